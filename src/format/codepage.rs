//! Code pages: text to the bytes of one, and back. The tables are in the program.
//!
//! Source of the tables: glibc's `iconv`, whose EBCDIC pages are IBM's CDRA tables with line feed at 25 and NEL (U+0085,
//! z/OS UNIX's NL) at 15. Nothing is replaced unless the caller says with what.

mod ebcdic;
mod latin;

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use crate::rules::nearest;

/// For each byte its character (all are below U+10000), [`NONE`] for none.
type Table = [u16; 256];

/// No character: U+FFFF is none.
const NONE: u16 = 0xffff;

/// A code page. Compare and copy freely: there is one of each.
pub struct CodePage {
    name: &'static str,
    /// The numbers and words it is also known by, as [`plain`] spells them.
    also: &'static [&'static str],
    family: Family,
    /// None for UTF-8.
    table: Option<&'static Table>,
    reverse: OnceLock<Reverse>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Ebcdic,
    Ascii,
}

/// From characters to bytes. A zero is the byte 00 at U+0000 only, and nothing everywhere else.
struct Reverse {
    bytes: Box<[u8]>,
    /// Whether the page has every ASCII character.
    all_ascii: bool,
}

/// A character that the page does not have, or bytes that mean none in it. Never says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("position {at} has no counterpart in the code page")]
pub struct Unmapped {
    /// Position, from 0: of the byte in the text or in the bytes.
    pub at: usize,
}

/// There is no such code page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no code page `{name}`{hint}; known are {}", known())]
pub struct UnknownCodePage {
    name: String,
    hint: String,
}

const fn page(
    name: &'static str,
    also: &'static [&'static str],
    family: Family,
    table: Option<&'static Table>,
) -> CodePage {
    CodePage { name, also, family, table, reverse: OnceLock::new() }
}

use Family::{Ascii, Ebcdic};

static PAGES: [CodePage; 23] = [
    page("IBM-037", &["37"], Ebcdic, Some(&ebcdic::IBM037)),
    page("IBM-273", &["273"], Ebcdic, Some(&ebcdic::IBM273)),
    page("IBM-277", &["277"], Ebcdic, Some(&ebcdic::IBM277)),
    page("IBM-278", &["278"], Ebcdic, Some(&ebcdic::IBM278)),
    page("IBM-280", &["280"], Ebcdic, Some(&ebcdic::IBM280)),
    page("IBM-284", &["284"], Ebcdic, Some(&ebcdic::IBM284)),
    page("IBM-285", &["285"], Ebcdic, Some(&ebcdic::IBM285)),
    page("IBM-297", &["297"], Ebcdic, Some(&ebcdic::IBM297)),
    page("IBM-500", &["500"], Ebcdic, Some(&ebcdic::IBM500)),
    page("IBM-870", &["870"], Ebcdic, Some(&ebcdic::IBM870)),
    page("IBM-1025", &["1025"], Ebcdic, Some(&ebcdic::IBM1025)),
    page("IBM-1026", &["1026"], Ebcdic, Some(&ebcdic::IBM1026)),
    page("IBM-1047", &["1047", "openedition"], Ebcdic, Some(&ebcdic::IBM1047)),
    page("IBM-1140", &["1140"], Ebcdic, Some(&ebcdic::IBM1140)),
    page("IBM-1141", &["1141"], Ebcdic, Some(&ebcdic::IBM1141)),
    page("IBM-1146", &["1146"], Ebcdic, Some(&ebcdic::IBM1146)),
    page("IBM-1147", &["1147"], Ebcdic, Some(&ebcdic::IBM1147)),
    page("IBM-1148", &["1148"], Ebcdic, Some(&ebcdic::IBM1148)),
    page("ISO-8859-1", &["latin1", "l1", "iso88591", "819", "88591"], Ascii, Some(&latin::ISO8859_1)),
    page("ISO-8859-15", &["latin9", "l9", "iso885915", "923", "885915"], Ascii, Some(&latin::ISO8859_15)),
    page("windows-1252", &["1252", "windows1252", "win1252", "ansi"], Ascii, Some(&latin::CP1252)),
    page("US-ASCII", &["ascii", "usascii", "367", "ansix341968", "646"], Ascii, Some(&latin::ASCII)),
    page("UTF-8", &["utf8", "1208"], Ascii, None),
];

/// The code page of a name in any of its usual spellings: `cp037`, `IBM037`, `037`, `ibm-1047`, `CCSID 1140`, `latin1`.
pub fn named(name: &str) -> Result<&'static CodePage, UnknownCodePage> {
    let wanted = plain(name);
    PAGES.iter().find(|page| page.also.contains(&&*wanted)).ok_or_else(|| {
        // A number is not misspelt by a letter: only words are guessed at.
        let digits = wanted.chars().all(|c| c.is_ascii_digit());
        let names = PAGES.iter().map(|page| page.name).filter(|_| !digits);
        UnknownCodePage { name: name.to_owned(), hint: nearest::hint(name, names) }
    })
}

fn known() -> String {
    PAGES.iter().map(|page| page.name).collect::<Vec<_>>().join(", ")
}

/// Letters and digits alone, in lower case, without the words that stand before a number and its leading zeros.
fn plain(name: &str) -> String {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let number = ["ibm", "cp", "ccsid", "ebcdic", "ebcdiccp", "cp0", "x"].iter().find_map(|word| {
        let rest = plain.strip_prefix(word)?;
        (!rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())).then_some(rest)
    });
    let number = number.unwrap_or(&plain);
    match number.trim_start_matches('0') {
        "" => number.to_owned(),
        rest => rest.to_owned(),
    }
}

impl CodePage {
    /// Its name: `IBM-037`, `ISO-8859-1`, `UTF-8`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is one of the EBCDIC pages.
    pub fn is_ebcdic(&self) -> bool {
        self.family == Ebcdic
    }

    /// The byte of a space: 40 in EBCDIC, else 20.
    pub fn space(&self) -> u8 {
        if self.is_ebcdic() { 0x40 } else { b' ' }
    }

    /// The byte of the digit zero, which the other nine follow: F0 in EBCDIC, else 30.
    pub fn zero(&self) -> u8 {
        if self.is_ebcdic() { 0xf0 } else { b'0' }
    }

    /// The byte of a character; None when the page does not have it, or has it in more than one byte (UTF-8).
    pub fn byte(&self, c: char) -> Option<u8> {
        match self.table {
            None => u8::try_from(c).ok().filter(u8::is_ascii),
            Some(_) => self.reverse().byte(c),
        }
    }

    /// The character of a byte; None when it means none, or is a part of one (UTF-8).
    pub fn character(&self, byte: u8) -> Option<char> {
        match self.table {
            None => byte.is_ascii().then_some(char::from(byte)),
            Some(table) => char::from_u32(u32::from(table[usize::from(byte)])).filter(|_| self.has(byte)),
        }
    }

    fn has(&self, byte: u8) -> bool {
        self.table.is_none_or(|table| table[usize::from(byte)] != NONE)
    }

    /// Appends the bytes of `text`. A character that the page does not have becomes `replacement`, or ends the call with
    /// its position; what was appended before it stays.
    pub fn encode(&self, text: &str, replacement: Option<u8>, out: &mut Vec<u8>) -> Result<(), Unmapped> {
        if self.table.is_none() {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let reverse = self.reverse();
        if reverse.all_ascii && text.is_ascii() {
            out.extend(text.bytes().map(|byte| reverse.bytes[usize::from(byte)]));
            return Ok(());
        }
        out.reserve(text.len());
        for (at, c) in text.char_indices() {
            out.push(reverse.byte(c).or(replacement).ok_or(Unmapped { at })?);
        }
        Ok(())
    }

    /// The text of bytes.
    pub fn decode(&self, bytes: &[u8]) -> Result<String, Unmapped> {
        match self.table {
            None => std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| Unmapped { at: error.valid_up_to() }),
            Some(_) => {
                bytes.iter().enumerate().map(|(at, byte)| self.character(*byte).ok_or(Unmapped { at })).collect()
            }
        }
    }

    /// The text of bytes for people's eyes: U+FFFD where there is none.
    pub fn decode_lossy<'b>(&self, bytes: &'b [u8]) -> Cow<'b, str> {
        match self.table {
            None => String::from_utf8_lossy(bytes),
            Some(_) => bytes.iter().map(|byte| self.character(*byte).unwrap_or('\u{fffd}')).collect::<String>().into(),
        }
    }

    fn reverse(&self) -> &Reverse {
        self.reverse.get_or_init(|| {
            let mut bytes = vec![0; 0x1_0000].into_boxed_slice();
            for (byte, character) in (0..=u8::MAX).zip(self.table.into_iter().flatten()) {
                if *character != NONE {
                    bytes[usize::from(*character)] = byte;
                }
            }
            let all_ascii = bytes[1..128].iter().all(|byte| *byte != 0);
            Reverse { bytes, all_ascii }
        })
    }
}

impl Reverse {
    #[inline]
    fn byte(&self, c: char) -> Option<u8> {
        match self.bytes.get(c as usize) {
            Some(0) | None if c != '\0' => None,
            byte => byte.copied(),
        }
    }
}

impl PartialEq for CodePage {
    fn eq(&self, other: &CodePage) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for CodePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodePage({})", self.name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn encoded(page: &str, text: &str) -> Result<Vec<u8>, Unmapped> {
        let mut out = Vec::new();
        named(page).unwrap().encode(text, None, &mut out).map(|()| out)
    }

    #[test]
    fn a_page_is_found_under_its_usual_names_and_no_other() {
        for (name, found) in [
            ("cp037", "IBM-037"),
            ("IBM037", "IBM-037"),
            ("037", "IBM-037"),
            ("37", "IBM-037"),
            ("ebcdic-cp-037", "IBM-037"),
            ("ibm-1047", "IBM-1047"),
            ("CCSID 1140", "IBM-1140"),
            ("cp01140", "IBM-1140"),
            ("latin1", "ISO-8859-1"),
            ("ISO_8859-15", "ISO-8859-15"),
            ("cp1252", "windows-1252"),
            ("Windows-1252", "windows-1252"),
            ("ascii", "US-ASCII"),
            ("utf8", "UTF-8"),
        ] {
            assert_eq!(named(name).map(CodePage::name), Ok(found), "{name}");
        }
        for name in ["", "0", "cp", "38", "1252x", "ibm", "ebcdic", "¼"] {
            assert!(named(name).is_err(), "{name}");
        }
        assert!(named("lain-1").unwrap_err().to_string().contains("known are IBM-037, "));
        assert!(named("windws-1252").unwrap_err().to_string().contains("did you mean `windows-1252`?"));
    }

    #[test]
    fn what_the_pages_disagree_about_is_where_ibm_has_it() {
        for (page, bytes) in [
            ("037", [0xba, 0xbb, 0xb0, 0x4f, 0x5a, 0x4a]),
            ("1047", [0xad, 0xbd, 0x5f, 0x4f, 0x5a, 0x4a]),
            ("500", [0x4a, 0x5a, 0x5f, 0xbb, 0x4f, 0xb0]),
        ] {
            assert_eq!(encoded(page, "[]^|!¢"), Ok(bytes.to_vec()), "{page}");
        }
        assert_eq!(encoded("1140", "€"), Ok(vec![0x9f]));
        assert_eq!(encoded("037", "¤"), Ok(vec![0x9f]));
        assert_eq!(encoded("1140", "a¤"), Err(Unmapped { at: 1 }));
        assert_eq!(encoded("1047", "\n\u{85}"), Ok(vec![0x25, 0x15]));
    }

    #[test]
    fn what_a_page_lacks_is_refused_or_replaced_and_never_guessed() {
        for (page, text, at) in [("ascii", "né", 1), ("latin1", "a€", 1), ("037", "日", 0), ("037", "😀", 0)] {
            assert_eq!(encoded(page, text), Err(Unmapped { at }), "{page}");
        }
        let mut out = Vec::new();
        named("037").unwrap().encode("né日", Some(0x6f), &mut out).unwrap();
        assert_eq!(out, [0x95, 0x51, 0x6f]);
        assert_eq!(named("1252").unwrap().decode(&[0x41, 0x81]), Err(Unmapped { at: 1 }));
        assert_eq!(named("utf8").unwrap().decode(&[0x41, 0xc3]), Err(Unmapped { at: 1 }));
        assert_eq!(named("1252").unwrap().decode_lossy(&[0x41, 0x81]), "A\u{fffd}");
    }

    #[test]
    fn every_byte_of_every_page_comes_back_and_space_and_digits_are_where_records_want_them() {
        for page in PAGES.iter().filter(|page| page.table.is_some()) {
            for byte in (0..=u8::MAX).filter(|byte| page.has(*byte)) {
                let text = page.decode(&[byte]).unwrap();
                assert_eq!(encoded(page.name, &text), Ok(vec![byte]), "{page:?} {byte:02x}");
            }
            let (plus, minus) = if page.is_ebcdic() { (0x4e, 0x60) } else { (b'+', b'-') };
            let mut wanted = vec![page.space(), plus, minus];
            wanted.extend((0..10).map(|digit| page.zero() + digit));
            assert_eq!(encoded(page.name, " +-0123456789"), Ok(wanted), "{page:?}");
        }
    }
}
