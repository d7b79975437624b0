//! Random rows, encoded by two encoders and read by a COBOL program.

use fastrand::Rng;
use hms_sync::event::{Record as Row, Value};
use hms_sync::format::codepage::named;
use hms_sync::format::copybook::{Format, Reading, read};
use hms_sync::format::fixed::{Choice, Options, Overpunch, Record, Select, Unbound};
use hms_sync::format::frame::{Framing, Writer};

use super::cobol::Cobol;
use super::independent::{Form, Held, How, Page, World};

/// The characters of texts here: all are in 037, 1047, Latin 1.
const CHARACTERS: &str =
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~éÄñ¢";

fn form(rng: &mut Rng) -> Form {
    if rng.u8(..3) == 0 {
        return Form::Text(rng.usize(1..20));
    }
    let digits = rng.usize(1..=18);
    let places = rng.usize(0..=digits.min(4));
    let how = [How::Zoned, How::Leading, How::SeparateLeading, How::SeparateTrailing, How::Packed, How::Binary]
        [rng.usize(..6)];
    let signed = rng.bool() || !matches!(how, How::Zoned | How::Packed | How::Binary);
    Form::Number { digits, places, signed, how }
}

fn held(rng: &mut Rng, form: &Form) -> Held {
    match form {
        Form::Text(length) => {
            let all: Vec<char> = CHARACTERS.chars().collect();
            let text: String = (0..rng.usize(0..=*length)).map(|_| all[rng.usize(..all.len())]).collect();
            Held::Text(text.trim_end().to_owned())
        }
        Form::Number { digits, signed, .. } => {
            let most = 10_u64.pow(*digits as u32);
            let number = match rng.u8(..6) {
                0 => 0,
                1 => most - 1,
                2 => rng.u64(..most.min(100)),
                _ => rng.u64(..most),
            };
            Held::Number(*signed && rng.bool(), number)
        }
    }
}

/// A number as a person writes it, or as SQLite would have it.
fn value(rng: &mut Rng, form: &Form, held: &Held) -> Value {
    let (Form::Number { places, .. }, Held::Number(negative, number)) = (form, held) else {
        let Held::Text(text) = held else { unreachable!() };
        return Value::from(&**text);
    };
    let sign = if *negative { "-" } else { "" };
    let unit = 10_u64.pow(*places as u32);
    if *places == 0 && rng.bool() {
        return Value::Integer(if *negative { -(*number as i64) } else { *number as i64 });
    }
    let (whole, fraction) = (number / unit, number % unit);
    let text = if *places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0places$}") };
    match rng.u8(..3) {
        // Fifteen digits are the same in a double.
        0 if *number < 1_000_000_000_000_000 => Value::Real(text.parse().unwrap()),
        1 => Value::Number(text.into()),
        _ => Value::from(&*text),
    }
}

#[test]
fn an_independent_encoder_writes_the_same_bytes() {
    let mut rng = Rng::with_seed(19_640_407);
    for (page, theirs, world) in [
        ("cp037", "IBM037", World::Ebcdic),
        ("cp1047", "IBM1047", World::Ebcdic),
        ("latin1", "ISO-8859-1", World::Image),
        ("windows-1252", "CP1252", World::MicroFocus),
    ] {
        let characters = Page::of(theirs, CHARACTERS);
        for _ in 0..25 {
            let forms: Vec<Form> = (0..rng.usize(1..15)).map(|_| form(&mut rng)).collect();
            let items = forms.iter().enumerate();
            let items: String = items.map(|(at, form)| format!("05 F{at} {}.\n", form.clause())).collect();
            let reading = Reading { format: Format::Free, ..Reading::default() };
            let layout = read("rows.cpy", &format!("01 R.\n{items}"), &reading).unwrap();
            let overpunch = match world {
                World::Ebcdic => None,
                World::Image => Some(Overpunch::Ebcdic),
                World::MicroFocus => Some(Overpunch::MicroFocus),
            };
            let options = Options { overpunch, unbound: Unbound::Slot, ..Options::new(named(page).unwrap()) };
            let record = Record::compile(&layout.records[0], &options).unwrap();
            for _ in 0..20 {
                let held: Vec<Held> = forms.iter().map(|form| held(&mut rng, form)).collect();
                let both = || forms.iter().zip(&held);
                let values: Vec<Value> = both().map(|(form, held)| value(&mut rng, form, held)).collect();
                let mut ours = Vec::new();
                record.encode(&values, &mut ours).unwrap();
                let theirs: Vec<u8> = both().flat_map(|(form, held)| form.bytes(held, world, &characters)).collect();
                assert_eq!(ours, theirs, "{page} {items} {values:?}");
            }
        }
    }
}

/// Bytes of EBCDIC by number, and the bytes of Latin 1 that they are.
fn tables() -> Vec<u8> {
    let page = named("cp037").unwrap();
    let latin = named("latin1").unwrap();
    let all: Vec<u8> = (0..=255).collect();
    let mut translated = Vec::new();
    latin.encode(&page.decode(&all).unwrap(), None, &mut translated).unwrap();
    [all, translated].concat()
}

/// The beginning of a program that reads `file`: `record` is its description, `raw` how many bytes it reads at once.
fn program(raw: usize, working: &str, procedure: &str) -> String {
    format!(
        "IDENTIFICATION DIVISION.
PROGRAM-ID. READER.
ENVIRONMENT DIVISION.
INPUT-OUTPUT SECTION.
FILE-CONTROL.
    SELECT TBL ASSIGN TO 'TABLES' ORGANIZATION SEQUENTIAL.
    SELECT INP ASSIGN TO 'INPUT' ORGANIZATION SEQUENTIAL.
DATA DIVISION.
FILE SECTION.
FD TBL.
01 TBL-REC.
   05 TBL-EBCDIC PIC X(256).
   05 TBL-LATIN PIC X(256).
FD INP.
01 RAW PIC X({raw}).
WORKING-STORAGE SECTION.
01 DONE PIC X VALUE 'N'.
01 AT-END PIC X VALUE 'N'.
01 ED-2 PIC -(16)9.9(2).
01 ED-0 PIC -(18)9.
01 I PIC S9(9) COMP-5.
01 K PIC S9(9) COMP-5.
{working}
PROCEDURE DIVISION.
MAIN-PARA.
    OPEN INPUT TBL
    READ TBL AT END STOP RUN END-READ
    OPEN INPUT INP
    PERFORM UNTIL DONE = 'Y'
      READ INP AT END MOVE 'Y' TO DONE
      NOT AT END PERFORM ONE-PARA END-READ
    END-PERFORM
    STOP RUN.
{procedure}
"
    )
}

/// Rows of a table as values.
fn row<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().collect::<Row>())
}

/// Runs a reader over a file.
fn reads(cobol: &Cobol, program: &str, file: &[u8]) -> Vec<String> {
    cobol.write("TABLES", tables());
    cobol.write("INPUT", file);
    cobol.run("reader", program, true)
}

const ZONED: &str = "
   05 A-TEXT PIC X(8).
   05 A-ID PIC 9(6).
   05 A-MONEY PIC S9(5)V99.
   05 A-LEAD PIC S9(4) SIGN LEADING.
   05 A-SEP PIC S9(3) SIGN LEADING SEPARATE.
   05 A-TAIL PIC S9(3)V99 SIGN TRAILING SEPARATE CHARACTER.
";

#[test]
fn a_cobol_program_reads_zoned_records_of_fixed_length() {
    let copybook = format!("01 A-REC.{ZONED}");
    let layout = read("A.cpy", &copybook, &Reading { format: Format::Free, ..Reading::default() }).unwrap();
    let options = Options { unbound: Unbound::Slot, ..Options::new(named("cp037").unwrap()) };
    let record = Record::compile(&layout.records[0], &options).unwrap();
    let length = record.longest();
    let mut writer = Writer::new(Vec::new(), Framing::Fixed { lrecl: length, terminator: Vec::new() }, None);
    let mut rng = Rng::with_seed(7);
    let (mut wanted, mut bytes) = (Vec::new(), Vec::new());
    for at in 0..30 {
        let number = |rng: &mut Rng, most: i64| if at % 7 == 0 { -most } else { rng.i64(-most..=most) };
        let (money, lead) = (number(&mut rng, 9_999_999), number(&mut rng, 9999));
        let (sep, tail) = (number(&mut rng, 999), number(&mut rng, 99_999));
        let text = ["AB[C]", "x^y|z!", "Zoé", ""][at % 4];
        let cents = |n: i64| format!("{}{}.{:02}", if n < 0 { "-" } else { "" }, n.abs() / 100, n.abs() % 100);
        let values = [
            Value::from(text),
            Value::Integer(at as i64 * 1000),
            Value::from(&*cents(money)),
            Value::Integer(lead),
            Value::Integer(sep),
            Value::from(&*cents(tail)),
        ];
        bytes.clear();
        record.encode(&values, &mut bytes).unwrap();
        writer.write(&bytes).unwrap();
        wanted.push(format!("{text:<8}|{}|{}|{lead}|{sep}|{}", at * 1000, cents(money), cents(tail)));
    }
    let (file, _, _) = writer.finish().unwrap();
    let working = format!("01 A-REC.{ZONED}01 A-BYTES REDEFINES A-REC PIC X({length}).\n01 LINE-OUT PIC X(120).");
    let procedure = "ONE-PARA.
    MOVE RAW TO A-BYTES
    INSPECT A-BYTES CONVERTING TBL-EBCDIC TO TBL-LATIN
    IF A-ID IS NOT NUMERIC DISPLAY 'BAD A-ID' END-IF
    IF A-MONEY IS NOT NUMERIC DISPLAY 'BAD A-MONEY' END-IF
    IF A-LEAD IS NOT NUMERIC DISPLAY 'BAD A-LEAD' END-IF
    IF A-SEP IS NOT NUMERIC DISPLAY 'BAD A-SEP' END-IF
    IF A-TAIL IS NOT NUMERIC DISPLAY 'BAD A-TAIL' END-IF
    DISPLAY A-TEXT '|' WITH NO ADVANCING
    MOVE A-ID TO ED-0 DISPLAY FUNCTION TRIM(ED-0) '|' WITH NO ADVANCING
    MOVE A-MONEY TO ED-2 DISPLAY FUNCTION TRIM(ED-2) '|' WITH NO ADVANCING
    MOVE A-LEAD TO ED-0 DISPLAY FUNCTION TRIM(ED-0) '|' WITH NO ADVANCING
    MOVE A-SEP TO ED-0 DISPLAY FUNCTION TRIM(ED-0) '|' WITH NO ADVANCING
    MOVE A-TAIL TO ED-2 DISPLAY FUNCTION TRIM(ED-2).
";
    let cobol = Cobol::new();
    let program = program(length, &working, procedure);
    assert_eq!(reads(&cobol, &program, &file), wanted);
    // What we call damage, COBOL does not call numeric.
    for (at, byte, item) in
        [(8, 0x40, "A-ID"), (14, 0xc1, "A-MONEY"), (20, 0x15, "A-MONEY"), (21, 0x4b, "A-LEAD"), (25, 0x40, "A-SEP")]
    {
        let mut damaged = file[..length].to_vec();
        damaged[at] = byte;
        let said = reads(&cobol, &program, &damaged);
        assert!(said.iter().any(|line| line.starts_with(&format!("BAD {item}"))), "{at} {byte:02x}: {said:?}");
        assert_eq!(&*record.decode(&damaged).unwrap_err().field, item);
    }
}

const MIXED: &str = "
   05 B-TYPE PIC X.
   05 B-KEY PIC 9(9) COMP.
   05 B-DATE PIC 9(7) COMP-3.
   05 B-VARIANT.
      10 B-BALANCE PIC S9(7)V99 COMP-3.
      10 B-RATE PIC S9(4) COMP.
      10 B-SERIAL PIC S9(18) COMP.
   05 B-OTHER REDEFINES B-VARIANT.
      10 B-NOTE PIC X(15).
   05 B-TABLE OCCURS 3 TIMES.
      10 B-CODE PIC X(2).
      10 B-COUNT PIC S9(3) COMP-3.
";

/// Options with the second alternative for type `N`.
fn by_type(of: &str, item: &str, when: [(&str, &str); 2]) -> Options {
    let when = when.map(|(value, name)| (Value::from(value), name.to_owned())).to_vec();
    let choice = Choice { of: of.to_owned(), select: Select::By { item: item.to_owned(), when } };
    Options { unbound: Unbound::Slot, choices: vec![choice], ..Options::new(named("cp037").unwrap()) }
}

#[test]
fn a_cobol_program_reads_packed_binary_redefined_and_repeated_items() {
    let copybook = format!("01 B-REC.{MIXED}");
    let layout = read("B.cpy", &copybook, &Reading { format: Format::Free, ..Reading::default() }).unwrap();
    let options = by_type("B-VARIANT", "B-TYPE", [("M", "B-VARIANT"), ("N", "B-OTHER")]);
    let record = Record::compile(&layout.records[0], &options).unwrap();
    let length = record.longest();
    let names: Vec<&str> = record.slots().iter().map(|slot| &*slot.name).collect();
    assert_eq!(names, ["B-TYPE", "B-KEY", "B-DATE", "B-BALANCE", "B-RATE", "B-SERIAL", "B-NOTE", "B-TABLE"]);
    let mut rng = Rng::with_seed(11);
    let (mut file, mut wanted) = (Vec::new(), Vec::new());
    for at in 0..30_i64 {
        let note = at % 3 == 0;
        let (key, date) = (rng.i64(0..1_000_000_000), 2_026_000 + rng.i64(1..366));
        let (balance, rate, serial) =
            (rng.i64(-999_999_999..1_000_000_000), rng.i64(-9999..10_000), rng.i64(-999_999..1) * 999_999_999_999);
        let cents = format!("{}{}.{:02}", if balance < 0 { "-" } else { "" }, balance.abs() / 100, balance.abs() % 100);
        let counts: Vec<i64> = (0..3).map(|_| rng.i64(-999..1000)).collect();
        let table =
            counts.iter().map(|n| row([("B-CODE", Value::from("é+")), ("B-COUNT", Value::Integer(*n))])).collect();
        let values = [
            Value::from(if note { "N" } else { "M" }),
            Value::Integer(key),
            Value::Integer(date),
            Value::from(&*cents),
            Value::Integer(rate),
            Value::Integer(serial),
            Value::from("[note] Ä"),
            Value::List(table),
        ];
        record.encode(&values, &mut file).unwrap();
        let middle = if note { "[note] Ä       ".to_owned() } else { format!("{cents}|{rate}|{serial}") };
        let counts: String = counts.iter().map(|n| format!("|é+{n}")).collect();
        wanted.push(format!("{key}|{date}|{middle}{counts}"));
    }
    let working = format!("01 B-REC.{MIXED}01 B-BYTES REDEFINES B-REC PIC X({length}).");
    let procedure = "ONE-PARA.
    MOVE RAW TO B-BYTES
    INSPECT B-TYPE CONVERTING TBL-EBCDIC TO TBL-LATIN
    IF B-KEY IS NOT NUMERIC DISPLAY 'BAD B-KEY' END-IF
    IF B-DATE IS NOT NUMERIC DISPLAY 'BAD B-DATE' END-IF
    MOVE B-KEY TO ED-0 DISPLAY FUNCTION TRIM(ED-0) '|' WITH NO ADVANCING
    MOVE B-DATE TO ED-0 DISPLAY FUNCTION TRIM(ED-0) '|' WITH NO ADVANCING
    EVALUATE B-TYPE
      WHEN 'M'
        IF B-BALANCE IS NOT NUMERIC DISPLAY 'BAD B-BALANCE' END-IF
        MOVE B-BALANCE TO ED-2 DISPLAY FUNCTION TRIM(ED-2) '|' WITH NO ADVANCING
        MOVE B-RATE TO ED-0 DISPLAY FUNCTION TRIM(ED-0) '|' WITH NO ADVANCING
        MOVE B-SERIAL TO ED-0 DISPLAY FUNCTION TRIM(ED-0) WITH NO ADVANCING
      WHEN 'N'
        INSPECT B-NOTE CONVERTING TBL-EBCDIC TO TBL-LATIN
        DISPLAY B-NOTE WITH NO ADVANCING
      WHEN OTHER DISPLAY 'BAD B-TYPE'
    END-EVALUATE
    PERFORM VARYING I FROM 1 BY 1 UNTIL I > 3
      INSPECT B-CODE(I) CONVERTING TBL-EBCDIC TO TBL-LATIN
      IF B-COUNT(I) IS NOT NUMERIC DISPLAY 'BAD B-COUNT' END-IF
      MOVE B-COUNT(I) TO ED-0
      DISPLAY '|' B-CODE(I) FUNCTION TRIM(ED-0) WITH NO ADVANCING
    END-PERFORM
    DISPLAY ' '.
";
    let cobol = Cobol::new();
    let program = program(length, &working, procedure);
    assert_eq!(reads(&cobol, &program, &file), wanted);
    // The second row has type M: a sign of an unsigned number, a digit, a type, a sign that is none.
    for (at, byte, item) in [
        (8, 0x6c, "B-DATE"),
        (5, 0xa0, "B-DATE"),
        (0, 0xe9, "B-TYPE"),
        (13, 0x00, "B-BALANCE"),
        (length - 1, 0x11, "B-COUNT"),
    ] {
        let mut damaged = file[length..2 * length].to_vec();
        damaged[at] = byte;
        let said = reads(&cobol, &program, &damaged);
        assert!(said.iter().any(|line| line.contains(&format!("BAD {item}"))), "{at} {byte:02x}: {said:?}");
        // COBOL calls a plus on an unsigned number not numeric; mainframes write it, so we read it.
        if at != 8 {
            assert_eq!(&*record.decode(&damaged).unwrap_err().field, item, "{at} {byte:02x}");
        }
    }
}

const VARYING: &str = "
   05 :TAG:-KEY PIC X(4).
   05 :TAG:-NUMBER PIC 9(2).
   05 :TAG:-VISIT OCCURS 0 TO 9 TIMES DEPENDING ON :TAG:-NUMBER.
      10 :TAG:-KIND PIC X.
      10 :TAG:-WHEN PIC 9(5).
      10 :TAG:-MONEY REDEFINES :TAG:-WHEN PIC S9(7)V99 COMP-3.
";

#[test]
fn a_cobol_program_unblocks_variable_records_with_tables_that_depend_on_a_count() {
    let library = |name: &str| (name == "VISITS").then(|| VARYING.to_owned());
    let copybook = "01 C-REC. COPY VISITS REPLACING ==:TAG:== BY ==C==.";
    let layout =
        read("C.cpy", copybook, &Reading { format: Format::Free, library: &library, ..Reading::default() }).unwrap();
    let record =
        Record::compile(&layout.records[0], &by_type("C-WHEN", "C-KIND", [("D", "C-WHEN"), ("M", "C-MONEY")])).unwrap();
    let (lrecl, blksize) = (record.longest() + 4, record.longest() + 24);
    let mut writer = Writer::new(Vec::new(), Framing::Variable { lrecl, blksize: Some(blksize) }, None);
    let mut rng = Rng::with_seed(13);
    let mut wanted = Vec::new();
    for at in 0..40 {
        let number = rng.usize(0..10);
        let mut line = format!("K{at:<3}|{number}");
        let mut visits = Vec::new();
        for _ in 0..number {
            let cents = rng.i64(-99_999..99_999);
            let text = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
            let day = rng.i64(26_001..26_366);
            if rng.bool() {
                visits.push(row([("C-KIND", Value::from("D")), ("C-WHEN", Value::Integer(day))]));
                line.push_str(&format!("|{day}"));
            } else {
                visits.push(row([("C-KIND", Value::from("M")), ("C-MONEY", Value::from(&*text))]));
                line.push_str(&format!("|{text}"));
            }
        }
        wanted.push(line);
        let mut bytes = Vec::new();
        record.encode(&[Value::from(&*format!("K{at}")), Value::List(visits)], &mut bytes).unwrap();
        writer.write(&bytes).unwrap();
    }
    let (file, records, _) = writer.finish().unwrap();
    assert_eq!(records, 40);
    let working = "01 C-BYTES PIC X(60).
01 BLOCK-LEFT PIC S9(9) COMP-5 VALUE 0.
01 LEN-N PIC S9(9) COMP-5 VALUE 0.
01 GOT PIC S9(9) COMP-5 VALUE 0.
01 WORD-N.
   05 WORD-LEN PIC 9(4) COMP.
   05 WORD-ZERO PIC 9(4) COMP.
01 WORD-X REDEFINES WORD-N PIC X(4).
01 STATE-N PIC X VALUE 'B'.
LINKAGE SECTION.
01 C-REC. COPY VISITS REPLACING ==:TAG:== BY ==C==.";
    // Byte for byte: a block's word, a record's word, a record.
    let procedure = "ONE-PARA.
    ADD 1 TO GOT
    IF STATE-N = 'R'
      MOVE RAW TO C-BYTES(GOT:1)
    ELSE
      MOVE RAW TO WORD-X(GOT:1)
    END-IF
    EVALUATE TRUE
      WHEN STATE-N = 'B' AND GOT = 4
        IF WORD-ZERO NOT = 0 DISPLAY 'BAD BDW' END-IF
        COMPUTE BLOCK-LEFT = WORD-LEN - 4
        MOVE 'W' TO STATE-N MOVE 0 TO GOT
      WHEN STATE-N = 'W' AND GOT = 4
        IF WORD-ZERO NOT = 0 DISPLAY 'BAD RDW' END-IF
        COMPUTE LEN-N = WORD-LEN - 4
        SUBTRACT WORD-LEN FROM BLOCK-LEFT
        MOVE 'R' TO STATE-N MOVE 0 TO GOT
      WHEN STATE-N = 'R' AND GOT = LEN-N
        PERFORM SHOW-PARA
        MOVE 0 TO GOT
        IF BLOCK-LEFT = 0 MOVE 'B' TO STATE-N ELSE MOVE 'W' TO STATE-N END-IF
      WHEN OTHER CONTINUE
    END-EVALUATE.
SHOW-PARA.
    SET ADDRESS OF C-REC TO ADDRESS OF C-BYTES
    INSPECT C-BYTES(1:6) CONVERTING TBL-EBCDIC TO TBL-LATIN
    IF C-NUMBER IS NOT NUMERIC DISPLAY 'BAD C-NUMBER' END-IF
    IF LEN-N NOT = 6 + 6 * C-NUMBER DISPLAY 'BAD LENGTH' END-IF
    MOVE C-NUMBER TO ED-0
    DISPLAY C-KEY '|' FUNCTION TRIM(ED-0) WITH NO ADVANCING
    PERFORM VARYING I FROM 1 BY 1 UNTIL I > C-NUMBER
      INSPECT C-KIND(I) CONVERTING TBL-EBCDIC TO TBL-LATIN
      IF C-KIND(I) = 'D'
        COMPUTE K = 8 + 6 * (I - 1)
        INSPECT C-BYTES(K:5) CONVERTING TBL-EBCDIC TO TBL-LATIN
        IF C-WHEN(I) IS NOT NUMERIC DISPLAY 'BAD C-WHEN' END-IF
        DISPLAY '|' C-WHEN(I) WITH NO ADVANCING
      ELSE
        IF C-MONEY(I) IS NOT NUMERIC DISPLAY 'BAD C-MONEY' END-IF
        MOVE C-MONEY(I) TO ED-2
        DISPLAY '|' FUNCTION TRIM(ED-2) WITH NO ADVANCING
      END-IF
    END-PERFORM
    DISPLAY ' '.
";
    let cobol = Cobol::new();
    cobol.write("VISITS.cpy", VARYING);
    assert_eq!(reads(&cobol, &program(1, working, procedure), &file), wanted);
}
