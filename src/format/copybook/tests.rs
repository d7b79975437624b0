#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::format::layout::Initial;

/// Reads lines that begin in column 8.
fn fixed(text: &str) -> Result<Layout, Problems> {
    let text: String = text.lines().map(|line| format!("       {}\n", line.trim_start())).collect();
    read("T.cpy", &text, &Reading::default())
}

fn free(text: &str) -> Result<Layout, Problems> {
    read("T.cpy", text, &Reading { format: Format::Free, ..Reading::default() })
}

/// Every item as `level name offset length type`.
fn shown(layout: &Layout) -> Vec<String> {
    fn add(item: &Item, all: &mut Vec<String>) {
        let times = item.occurs.as_ref().map_or(String::new(), |occurs| match &occurs.depending {
            Some(count) => format!(" x{}-{} {count}", occurs.min, occurs.max),
            None => format!(" x{}", occurs.max),
        });
        let (level, title, offset, length) = (item.level, item.title(), item.offset, item.length);
        all.push(format!("{level:02} {title} {offset} {length} {}{times}", item.description()));
        item.items().iter().for_each(|below| add(below, all));
    }
    let mut all = Vec::new();
    layout.records.iter().for_each(|record| add(record, &mut all));
    all
}

#[test]
fn a_copybook_is_read_as_it_was_received() {
    let text = "\
000100* APPOINTMENTS                                                    00010000
000200 01  WIC-DETAIL.                                                  00020000
000300     05  WD-REC-TYPE             PIC X(02) VALUE 'DT'.            00030000
000400     05  WD-APPT-ID              PIC 9(10).                       00040000
000500/    A NEW PAGE
000600     05  WD-MONEY COMP-3.
000700D        10  DEBUG-ONLY          PIC X.
000800         10  WD-BALANCE          PIC S9(7)V99.
000900         10  wd-count            pic s9(04) .
001000     05  WD-STATE                PIC X.
001100         88  WD-OPEN             VALUE 'O' 'P' THRU 'R'.
001200     05                          PIC X(3).
001300     05  FILLER                  PIC A(5) VALUE SPACES.
001400     05  WD-TEXT  PIC X(20)   VALUE 'IT''S A LONG
001500-            ' ON'.
001600     05  WD-VERY-LONG-NA
001700-        ME                      PIC S9(4)V9(2) SIGN IS LEADING
001800                                 SEPARATE CHARACTER  .
001900 77  ALONE         PICTURE IS S9(9) USAGE IS COMPUTATIONAL.
\u{1a}";
    let layout = read("lib/WIC.CPY", text, &Reading::default()).unwrap();
    assert_eq!(
        shown(&layout),
        [
            "01 WIC-DETAIL 0 56 GROUP",
            "05 WD-REC-TYPE 0 2 X(02)",
            "05 WD-APPT-ID 2 10 9(10)",
            "05 WD-MONEY 12 8 GROUP",
            "10 WD-BALANCE 12 5 S9(7)V99 COMP-3",
            "10 WD-COUNT 17 3 S9(04) COMP-3",
            "05 WD-STATE 20 1 X",
            "05 FILLER 21 3 X(3)",
            "05 FILLER 24 5 A(5)",
            "05 WD-TEXT 29 20 X(20)",
            "05 WD-VERY-LONG-NAME 49 7 S9(4)V9(2) SIGN LEADING SEPARATE",
            "77 ALONE 0 4 S9(9) COMP",
        ]
    );
    let record = &layout.records[0];
    let value = &record.items().iter().find(|item| item.is_called("wd-text")).unwrap().value;
    // The literal reaches to column 72, and goes on behind the second quote.
    let Some(Initial::Text(value)) = value else { panic!("{value:?}") };
    assert_eq!(**value, format!("IT'S A LONG{} ON", " ".repeat(17)));
    assert_eq!((record.items()[0].line, &*record.items()[0].source), (3, "lib/WIC.CPY"));
}

#[test]
fn a_copybook_without_level_01_is_one_record_of_its_own_name() {
    let layout = free("05 A PIC X. 05 B PIC 9(3)\n *> what B is\n .").unwrap();
    assert_eq!(shown(&layout), ["01 T 0 4 GROUP", "05 A 0 1 X", "05 B 1 3 9(3)"]);
}

#[test]
fn every_usage_has_its_length_and_groups_hand_theirs_down() {
    let layout = fixed(
        "01 R.
           05 A PIC S9(4) COMP. 05 B PIC S9(5) COMP-4. 05 C PIC 9(9) BINARY.
           05 D PIC S9(10) USAGE COMPUTATIONAL.
           05 E PIC S9(18) COMP-5. 05 F PIC S9(7) PACKED-DECIMAL.
           05 G PIC 9(8) COMPUTATIONAL-3.
           05 H USAGE DISPLAY PIC S9(3) TRAILING SEPARATE.
           05 I SIGN LEADING SEPARATE.
              10 J PIC S9(3). 10 K PIC 9(3). 10 L PIC S9(3) TRAILING.
              10 M PIC X(2).
           05 N PIC 9(3)P(2). 05 O PIC SVPP9(3) COMP-3.
           05 P PIC 9(5) BLANK WHEN ZERO.
           05 Q PIC X(4) JUSTIFIED RIGHT.",
    )
    .unwrap();
    let lengths: Vec<_> =
        shown(&layout).iter().skip(1).map(|line| line.split(' ').nth(3).unwrap().to_owned()).collect();
    assert_eq!(lengths.join(" "), "2 4 4 8 8 4 5 4 12 4 3 3 2 3 2 5 4");
}

#[test]
fn items_that_share_a_place_begin_where_the_first_does() {
    let layout = fixed(
        "01 R.
           05 KIND PIC X.
           05 A. 10 A1 PIC X(4). 10 A2 PIC 9(4).
           05 B REDEFINES A. 10 B1 PIC S9(9) COMP. 10 B2 PIC X(4).
           05 C REDEFINES B PIC X(10).
           05 D OCCURS 3 TIMES.
              10 E PIC X(4).
              10 F REDEFINES E PIC 9(4).
              10 FILLER REDEFINES E. 15 G PIC S9(4) COMP OCCURS 2.
           05 H PIC X.
         01 S REDEFINES R. 05 T PIC X(2).",
    )
    .unwrap();
    assert_eq!(
        shown(&layout),
        [
            "01 R 0 24 GROUP",
            "05 KIND 0 1 X",
            "05 A 1 8 GROUP",
            "10 A1 1 4 X(4)",
            "10 A2 5 4 9(4)",
            "05 B 1 8 GROUP",
            "10 B1 1 4 S9(9) COMP",
            "10 B2 5 4 X(4)",
            "05 C 1 10 X(10)",
            "05 D 11 4 GROUP x3",
            "10 E 11 4 X(4)",
            "10 F 11 4 9(4)",
            "10 FILLER 11 4 GROUP",
            "15 G 11 2 S9(4) COMP x2",
            "05 H 23 1 X",
            "01 S 0 2 GROUP",
            "05 T 0 2 X(2)",
        ]
    );
}

#[test]
fn a_table_that_depends_on_a_count_has_two_lengths() {
    let layout = fixed(
        "01 R.
           05 N PIC 9(2).
           05 T OCCURS 1 TO 5 TIMES DEPENDING ON N
             ASCENDING KEY IS K INDEXED BY I J.
              10 K PIC X(3).
              10 L PIC S9(4) COMP OCCURS 2.
           05 U PIC X(2).",
    )
    .unwrap();
    let record = layout.record("r").unwrap();
    assert_eq!((record.shortest, record.length), (2 + 7 + 2, 2 + 35 + 2));
    assert_eq!(shown(&layout)[2], "05 T 2 7 GROUP x1-5 N");
    let last = record.items().last().unwrap();
    assert_eq!((last.offset, last.moves), (37, true));
}

#[test]
fn copied_text_is_replaced_and_found_in_the_library() {
    let library = HashMap::from([
        ("ADDR", "       05  :TAG:-STREET PIC X(5).\n           COPY ZIP REPLACING LEADING ==Z== BY ==:TAG:==."),
        ("ZIP", "       05  Z-CODE PIC 9(5).\n       05  OTHER PIC X."),
        ("LOOP", "           COPY LOOP2."),
        ("LOOP2", "           COPY 'loop.cpy'."),
    ]);
    let lookup = |name: &str| library.get(name).map(|text| (*text).to_owned());
    let read = |text: &str, replacing: &[(&str, &str)]| {
        let replacing = replacing.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let text: String = text.lines().map(|line| format!("       {}\n", line.trim_start())).collect();
        super::read("T", &text, &Reading { replacing, library: &lookup, ..Reading::default() })
    };
    let layout = read(
        "01 R. COPY ADDR REPLACING ==:TAG:== BY ==HOME==
             ==OTHER PIC X== BY ==MORE PIC X(2)==.
         01 :X:-S. 05 :X: PIC 9.",
        &[(":x:", "OWN")],
    )
    .unwrap();
    assert_eq!(
        shown(&layout),
        [
            "01 R 0 12 GROUP",
            "05 HOME-STREET 0 5 X(5)",
            "05 HOME-CODE 5 5 9(5)",
            "05 MORE 10 2 X(2)",
            "01 OWN-S 0 1 GROUP",
            "05 OWN 0 1 9",
        ]
    );
    for (text, part) in [
        ("01 R. COPY NONE.", "T:1: COPY NONE: there is no such copybook"),
        ("01 R. COPY LOOP.", "LOOP2:1: COPY loop.cpy: it would copy itself"),
        ("01 R. COPY ADDR REPLACING ==:TAG:== ==X==.", "T:1: REPLACING: expected"),
        ("01 R. COPY ADDR REPLACING ==== BY ==X==.", "T:1: REPLACING: there is nothing"),
        ("01 R. COPY ADDR", "T:1: COPY is not ended"),
        ("01 R. COPY ADDR SOMEHOW.", "T:1: COPY ADDR: only OF"),
        // A name that was not replaced is none.
        ("01 R. COPY ADDR.", "ADDR:1: `:TAG:-STREET` is no name"),
    ] {
        let said = read(text, &[]).unwrap_err().to_string();
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn what_is_not_supported_is_refused_with_line_and_item() {
    for (text, part) in [
        ("05 A COMP-1.", "T.cpy:2: A: USAGE COMP-1 (hexadecimal"),
        ("05 A USAGE IS COMP-2.", "T.cpy:2: A: USAGE COMP-2 (hexadecimal"),
        ("05 A PIC S9(4) COMP SYNC.", "T.cpy:2: A: SYNCHRONIZED"),
        ("05 A PIC X. 66 B RENAMES A.", "T.cpy:2: B: level 66"),
        ("05 A PIC N(4).", "T.cpy:2: A: PICTURE N (two-byte"),
        ("05 A PIC G(4) DISPLAY-1.", "T.cpy:2: A: USAGE DISPLAY-1 (two-byte"),
        ("05 A POINTER.", "T.cpy:2: A: USAGE POINTER"),
        ("05 A USAGE INDEX.", "T.cpy:2: A: USAGE INDEX"),
        ("05 A PIC Z9Z.", "T.cpy:2: A: the symbols of the edited picture"),
        ("05 A PIC Z9.9 COMP-3.", "T.cpy:2: A: a USAGE other than DISPLAY"),
        ("05 A PIC 9(19).", "T.cpy:2: A: 19 digits; 18 are the most"),
        ("05 A PIC 9(3) COMP-6.", "T.cpy:2: A: USAGE COMP-6"),
        ("05 A PIC X(3) COMP.", "T.cpy:2: A: a USAGE other than DISPLAY"),
        ("05 A COMP-3. 10 B PIC S9(3) COMP.", "T.cpy:2: B: its USAGE contradicts"),
        ("05 A PIC 9(3) SIGN LEADING.", "T.cpy:2: A: SIGN stands at a number with S"),
        ("05 A PIC X. 10 B PIC X.", "T.cpy:2: A: has a PICTURE and items below it (`B`"),
        ("05 A.", "T.cpy:2: A: has neither a PICTURE nor items below it"),
        ("05 A PIC X 05 B PIC X.", "T.cpy:2: A: no period before `05`"),
        ("05 A PIC X", "T.cpy:2: A: the entry is not ended by a period"),
        ("05 A PICT X.", "T.cpy:2: A: `PICT` is no clause of an item: did you mean `PIC`?"),
        ("05 A PIC X PIC X.", "T.cpy:2: A: PICTURE stands there twice"),
        ("05 A PIC X OCCURS 0.", "T.cpy:2: A: OCCURS 0 TO 0"),
        ("05 A PIC X OCCURS 1 TO 3.", "T.cpy:2: A: OCCURS n TO m has DEPENDING ON"),
        ("05 A PIC X OCCURS 1 TO 3 DEPENDING ON B.", "T.cpy:2: A: depends on `B`, which is no item before it in R"),
        ("05 B PIC X. 05 A PIC X OCCURS 1 TO 3 DEPENDING ON B.", "T.cpy:2: A: depends on `B`, which is no number"),
        (
            "05 B PIC 9. 05 C OCCURS 1 TO 2 DEPENDING ON B. 10 A PIC X OCCURS 1 TO 3 DEPENDING ON B.",
            "T.cpy:2: A: depends on `B`, which does not stand in the same occurrence",
        ),
        ("05 A PIC X. 05 C PIC X. 05 B REDEFINES A PIC X.", "T.cpy:2: B: redefines `A`, but other items"),
        ("05 B REDEFINES A PIC X.", "T.cpy:2: B: redefines `A`, which is not among"),
        ("05 A PIC X OCCURS 2. 05 B REDEFINES A PIC X.", "T.cpy:2: B: redefines `A`, which has OCCURS"),
        ("05 A PIC X VALUE 'ABC.", "T.cpy:2: the literal is not closed on its line"),
        ("05 A PIC X(99999999).", "T.cpy:2: A: a repetition in a picture is between"),
        ("05 A PIC X(9999999) OCCURS 10.", "T.cpy:1: R: the record is longer than"),
        ("05 A PIC X(9999999). 05 B PIC X(9999999).", "T.cpy:1: R: the record is longer than"),
        ("50 A PIC X.", "T.cpy:2: expected a level number"),
        ("DATA DIVISION.", "T.cpy:2: expected a level number (01 to 49, 77 or 88), found `DATA`"),
        ("05 -A PIC X.", "T.cpy:2: `-A` is no name"),
        ("78 A VALUE 3.", "T.cpy:2: A: level 78"),
        ("88 A.", "T.cpy:2: A: level 88 has a VALUE"),
    ] {
        let said = free(&format!("01 R.\n {text}")).map(|layout| shown(&layout)).unwrap_err().to_string();
        assert!(said.contains(part), "{text}: {said}");
    }
    let several = free("01 R.\n 05 A COMP-1.\n 05 B PIC N.\n 05 C PIC X.").unwrap_err().to_string();
    assert_eq!(several.lines().count(), 2, "{several}");
    let column = read("T", "01  RECORD-A.\n    05 A PIC X.", &Reading::default()).unwrap_err().to_string();
    assert!(column.contains("T:1: column 7 holds `C`, which is no indicator; is the file in free format?"), "{column}");
    let wide = format!("       01  R.\n       05  A{}PIC S9(5)V99.\n", " ".repeat(50));
    let cut = read("T", &wide, &Reading::default()).unwrap_err().to_string();
    assert!(cut.contains("T:2: a word stands across column 72"), "{cut}");
    let named = fixed("01 R. 05 TYPE PIC X. 05 COMPUTATIONAL-3 PIC 9.").unwrap();
    assert_eq!(shown(&named)[1..], ["05 TYPE 0 1 X", "05 FILLER 1 1 9 COMP-3"]);
    assert!(read("T", "", &Reading::default()).unwrap_err().to_string().contains("there is no item"));
    assert!(fixed("01 R OCCURS 2. 05 A PIC X.").is_err() && fixed("77 A PIC X. 05 B PIC X.").is_err());
    let reading = Reading { extended: true, format: Format::Free, ..Reading::default() };
    assert!(read("T", "01 A PIC S9(31) COMP-3. 01 B PIC 9(19).", &reading).is_ok());
    assert!(read("T", "01 A PIC S9(19) COMP.", &reading).is_err() && read("T", "01 B PIC 9(32).", &reading).is_err());
}

const SAMPLE: &str = "       01  R.
           05  N PIC 9(2).
           05  A.
               10  B PIC S9(5)V99 COMP-3 VALUE -1.5.
               10  C REDEFINES B PIC X(4).
           COPY X REPLACING ==:T:== BY ==A B:T:==, LEADING ==Q== BY ====.
           05  T OCCURS 0 TO 9 TIMES DEPENDING ON N INDEXED BY I.
               10  D PIC X(3) VALUE ALL 'x''y'.
      -            88 E VALUES 1 THRU 3.
           05  F SIGN LEADING SEPARATE PIC S999 BLANK WHEN ZERO.
";

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}") {
        let _ = free(&text);
        let _ = fixed(&text);
    }

    #[test]
    fn no_words_make_it_panic(words in proptest::collection::vec(
        prop_oneof![
            Just("01 "), Just("05 "), Just("A "), Just("PIC "), Just("X(3) "), Just(". "), Just("REDEFINES "), Just("COPY X "),
            Just("REPLACING "), Just("==A== "), Just("BY "), Just("OCCURS "), Just("3 "), Just("TO "), Just("DEPENDING "),
            Just("ON "), Just("'x"), Just("=="), Just("VALUE "), Just("\n"), Just("88 "), Just("S9(4) "), Just("COMP-3 "),
            Just("SIGN "), Just("49 "), Just(":T:"), Just("\n      -"), Just("\t"), Just("("), Just("é"),
        ], 0..60)) {
        let text = words.concat();
        let library = |_: &str| Some(text.clone());
        for format in [Format::Free, Format::Fixed] {
            let reading = Reading { format, library: &library, ..Reading::default() };
            let _ = read("T", &text, &reading);
        }
    }

    #[test]
    fn no_damaged_copybook_makes_it_panic(cuts in proptest::collection::vec((0_usize..700, 0_usize..6, "\\PC{0,3}"), 0..5)) {
        let mut text = SAMPLE.to_owned();
        for (at, length, put) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, &put);
            }
        }
        let library = |_: &str| Some(text.clone());
        let reading = Reading { library: &library, replacing: vec![(":T:".into(), "Q:T:".into())], ..Reading::default() };
        if let Ok(layout) = read("T", &text, &reading) {
            prop_assert!(layout.records.iter().all(|record| record.length <= layout::RECORD_MAX));
        }
    }
}

#[test]
fn copies_of_copies_and_deep_levels_come_to_an_end() {
    let many = "       COPY B. COPY C. COPY D. COPY E. COPY F. COPY G.\n       05 X PIC X.\n".repeat(20);
    let library = |name: &str| Some(many.replace(&format!("COPY {name}."), ""));
    let reading = Reading { library: &library, ..Reading::default() };
    assert!(read("A", &many, &reading).is_err());
    let deep: String = (1..=49).map(|level| format!("{level:02} L{level}.\n")).collect();
    assert!(free(&format!("{deep} 49 X PIC X.")).is_err());
    let deep: String = (1..=48).map(|level| format!("{level:02} L{level}.\n")).collect();
    assert_eq!(free(&format!("{deep} 49 X PIC X.")).unwrap().records[0].length, 1);
    let wide: String = (0..50_000).map(|number| format!("05 L{number} PIC X(300).\n")).collect();
    assert_eq!(free(&wide).unwrap().records[0].length, 15_000_000);
    let bomb: Vec<(String, String)> = (0..40).map(|_| (":T:".to_owned(), ":T:-:T:".to_owned())).collect();
    assert!(read("T", "       05 :T: PIC X.", &Reading { replacing: bomb, ..Reading::default() }).is_err());
}
