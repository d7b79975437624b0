//! The code pages in the binary are those of the machine's `iconv`, position by position.

use std::io::Write as _;
use std::process::{Command, Stdio};

use hms_sync::format::codepage::named;

/// Our name, glibc's name.
const PAGES: [(&str, &str); 22] = [
    ("cp037", "IBM037"),
    ("cp273", "IBM273"),
    ("cp277", "IBM277"),
    ("cp278", "IBM278"),
    ("cp280", "IBM280"),
    ("cp284", "IBM284"),
    ("cp285", "IBM285"),
    ("cp297", "IBM297"),
    ("cp500", "IBM500"),
    ("cp870", "IBM870"),
    ("cp1025", "IBM1025"),
    ("cp1026", "IBM1026"),
    ("cp1047", "IBM1047"),
    ("cp1140", "IBM1140"),
    ("cp1141", "IBM1141"),
    ("cp1146", "IBM1146"),
    ("cp1147", "IBM1147"),
    ("cp1148", "IBM1148"),
    ("latin1", "ISO-8859-1"),
    ("latin9", "ISO-8859-15"),
    ("windows-1252", "CP1252"),
    ("ascii", "US-ASCII"),
];

/// What `iconv` makes of some bytes: None when it refuses them.
fn iconv(from: &str, to: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new("iconv")
        .args(["-f", from, "-t", to])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then_some(output.stdout)
}

#[test]
fn all_256_positions_of_each_code_page_are_those_of_iconv() {
    for (ours, theirs) in PAGES {
        let page = named(ours).unwrap();
        let all: Vec<u8> = (0..=u8::MAX).filter(|byte| page.character(*byte).is_some()).collect();
        // What we have, iconv has in the same way: one call for all.
        let text = String::from_utf8(iconv(theirs, "UTF-8", &all).unwrap()).unwrap();
        assert_eq!(page.decode(&all).unwrap(), text, "{ours}");
        let mut back = Vec::new();
        page.encode(&text, None, &mut back).unwrap();
        assert_eq!(back, all, "{ours}");
        // What we lack, iconv lacks: a call for each.
        for byte in (0..=u8::MAX).filter(|byte| !all.contains(byte)) {
            let known = iconv(theirs, "UTF-8", &[byte]).is_some();
            assert_eq!(page.character(byte).is_some(), known, "{ours} {byte:02x}");
        }
    }
}

#[test]
fn what_iconv_cannot_convert_is_refused_and_never_replaced() {
    let strange = "é ¤ € [ ] ^ | ¢ ~ Ł ж ş ı – “ 日 😀 \u{85} \u{a0} ¯ ñ ø ß";
    for (ours, theirs) in PAGES {
        let page = named(ours).unwrap();
        for c in strange.chars() {
            let mut own = Vec::new();
            let done = page.encode(c.encode_utf8(&mut [0; 4]), None, &mut own);
            let theirs = iconv("UTF-8", theirs, c.to_string().as_bytes());
            assert_eq!(done.ok().map(|()| own), theirs, "{ours}: U+{:04X}", c as u32);
        }
    }
}
