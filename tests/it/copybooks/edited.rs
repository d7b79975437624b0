//! Edited items, beside what a COBOL program makes of the same numbers.

use fastrand::Rng;
use hms_sync::event::Value;
use hms_sync::format::codepage::named;
use hms_sync::format::copybook::{Format, Reading, read};
use hms_sync::format::fixed::{Options, Record, Unbound};

use super::cobol::Cobol;

/// Left out is what GnuCOBOL 3.1 does otherwise than IBM's compilers: a suppressed `/` or `0` (`Z/ZZ/99`), and a sign before `$`.
const PICTURES: [&str; 40] = [
    "ZZ9",
    "ZZZ",
    "Z(5)9.99",
    "ZZ,ZZ9.99-",
    "ZZ,ZZZ.ZZ",
    "-(6)9.99",
    "----,--9",
    "+++,++9.9",
    "++++",
    "+(4).++",
    "$ZZ,ZZ9.99CR",
    "$$,$$9.99",
    "$$,$$$.$$",
    "$(5)9.99-",
    "**,***.99",
    "****",
    "***,***.**",
    "*(4)9.9+",
    "99/99/9999",
    "9(3)B99",
    "9990",
    "0099",
    "+999.9",
    "-9(5)",
    "999.99+",
    "999-",
    "9(4)CR",
    "99.99DB",
    "Z,ZZ9",
    "ZZBZZ9",
    "ZZB9",
    "ZZ9V99",
    "+ZZ9.99",
    "-ZZ,ZZ9",
    "$99.99",
    "$ZZ9.99+",
    "$ZZ9.99-",
    "9,999,999.99",
    "ZZZ,Z99",
    "--9.99",
];

const TEXTS: [&str; 5] = ["XX/XX/XX", "X(3)BX(3)", "XXBXX0X", "A(2)BA(2)", "99/XX"];

#[test]
fn an_edited_item_shows_what_cobol_shows() {
    let mut rng = Rng::with_seed(1_959);
    let mut working = String::new();
    let mut procedure = String::new();
    let mut wanted = Vec::new();
    let options = Options { unbound: Unbound::Slot, ..Options::new(named("latin1").unwrap()) };
    let compiled = |picture: &str| {
        let reading = Reading { format: Format::Free, ..Reading::default() };
        let layout =
            read("e.cpy", &format!("01 R. 05 E PIC {picture}."), &reading).unwrap_or_else(|wrong| panic!("{wrong}"));
        Record::compile(&layout.records[0], &options).unwrap()
    };
    for (at, picture) in PICTURES.iter().enumerate() {
        let record = compiled(picture);
        working.push_str(&format!("01 E{at} PIC {picture}.\n"));
        for cents in [0, 5, 10, 123, -5, -450, 1000, 99_999, -99_999, 1_234_567].into_iter().chain((0..12).map(|_| {
            let most = 10_i64.pow(rng.u32(1..8));
            rng.i64(-most..most)
        })) {
            let text = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
            let value = Value::from(&*text);
            let mut ours = Vec::new();
            // What holds the row here, COBOL cuts without a word.
            if record.encode(std::slice::from_ref(&value), &mut ours).is_err() {
                continue;
            }
            let back = record.decode(&ours).unwrap();
            let number: f64 = back[0].as_text().unwrap().parse().unwrap();
            assert_eq!((number * 100.0).round(), cents as f64, "{picture}");
            procedure.push_str(&format!("    MOVE {text} TO E{at} DISPLAY '{picture} [' E{at} ']'\n"));
            wanted.push(format!("{picture} [{}]", String::from_utf8(ours).unwrap()));
        }
    }
    assert!(wanted.len() > 300, "{}", wanted.len());
    for (at, picture) in TEXTS.iter().enumerate() {
        let record = compiled(picture);
        working.push_str(&format!("01 T{at} PIC {picture}.\n"));
        for text in ["", "a", "abcd", "12"] {
            let mut ours = Vec::new();
            record.encode(&[Value::from(text)], &mut ours).unwrap();
            assert_eq!(record.decode(&ours).unwrap(), [Value::from(text)]);
            let text = if text.is_empty() { " " } else { text };
            procedure.push_str(&format!("    MOVE '{text}' TO T{at} DISPLAY '{picture} [' T{at} ']'\n"));
            wanted.push(format!("{picture} [{}]", String::from_utf8(ours).unwrap()));
        }
    }
    let program = format!(
        "IDENTIFICATION DIVISION.\nPROGRAM-ID. EDITED.\nDATA DIVISION.\nWORKING-STORAGE SECTION.\n{working}\
         PROCEDURE DIVISION.\nMAIN-PARA.\n{procedure}    STOP RUN.\n"
    );
    let printed = Cobol::new().run("edited", &program, true);
    let differ: Vec<_> = wanted.iter().zip(&printed).filter(|(ours, theirs)| ours != theirs).collect();
    assert!(differ.is_empty() && wanted.len() == printed.len(), "{differ:#?}");
}
