//! A COBOL program reads the records: of fixed length, and unblocked from variable ones.

use fastrand::Rng;
use hms_sync::event::{Record as Row, Value};
use hms_sync::format::codepage::named;
use hms_sync::format::copybook::{Format, Reading, read};
use hms_sync::format::fixed::{Choice, Options, Record, Select, Unbound};
use hms_sync::format::frame::{Framing, Writer};

use super::cobol::Cobol;
use super::independent::{Form, Held, How, Page, World};
use super::rows::CHARACTERS;

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

/// Copies of a record with one byte changed at one of these places: what we call damage, COBOL calls not numeric, and the
/// other way round.
fn damage_is_seen_by_both(cobol: &Cobol, program: &str, record: &Record, intact: &[u8], places: &[usize]) {
    let mut rng = Rng::with_seed(17);
    let mut file = Vec::new();
    let copies: Vec<Vec<u8>> = (0..400)
        .map(|_| {
            let mut copy = intact.to_vec();
            // Not a line feed, which COBOL shows as it is.
            let byte = rng.u8(..);
            copy[places[rng.usize(..places.len())]] = if byte == 0x25 { 0 } else { byte };
            file.extend_from_slice(&copy);
            copy
        })
        .collect();
    // A record is shown on one line, and one more for each item that is not numeric.
    let mut theirs = vec![Vec::new()];
    for line in reads(cobol, program, &file) {
        match line.split_once("BAD ") {
            Some((_, item)) => theirs.last_mut().unwrap().push(item.to_owned()),
            None => theirs.push(Vec::new()),
        }
    }
    let ours: Vec<Vec<String>> = copies
        .iter()
        .map(|copy| record.decode(copy).err().map(|damage| damage.field.to_string()).into_iter().collect())
        .collect();
    assert_eq!(theirs.len(), ours.len() + 1);
    let differ: Vec<_> =
        copies.iter().zip(ours.iter().zip(&theirs)).filter(|(_, (ours, theirs))| ours != theirs).collect();
    assert!(differ.is_empty(), "{} differ: {:02x?}", differ.len(), differ.first());
    let damaged = ours.iter().filter(|items| !items.is_empty()).count();
    assert!((200..400).contains(&damaged), "{damaged}");
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
    // All but the bytes that share a digit with a sign: there we read more than COBOL takes for numeric.
    let places: Vec<usize> = (8..13).chain(14..20).chain(22..35).collect();
    damage_is_seen_by_both(&cobol, &program, &record, &file[..length], &places);
}

/// A number for the other encoder.
fn number(digits: usize, signed: bool, how: How, value: i64) -> (Form, Held) {
    (Form::Number { digits, places: 0, signed, how }, Held::Number(value < 0, value.unsigned_abs()))
}

/// A text for the other encoder.
fn text(length: usize, text: &str) -> (Form, Held) {
    (Form::Text(length), Held::Text(text.to_owned()))
}

/// What the other encoder makes of fields.
fn other(fields: &[(Form, Held)], page: &Page) -> Vec<u8> {
    fields.iter().flat_map(|(form, held)| form.bytes(held, World::Ebcdic, page)).collect()
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
    let page = Page::of("IBM037", CHARACTERS);
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
        let start = file.len();
        record.encode(&values, &mut file).unwrap();
        let mut fields = vec![
            text(1, if note { "N" } else { "M" }),
            number(9, false, How::Binary, key),
            number(7, false, How::Packed, date),
        ];
        if note {
            fields.push(text(15, "[note] Ä"));
        } else {
            fields.push(number(9, true, How::Packed, balance));
            fields.push(number(4, true, How::Binary, rate));
            fields.push(number(18, true, How::Binary, serial));
        }
        fields.extend(counts.iter().flat_map(|n| [text(2, "é+"), number(3, true, How::Packed, *n)]));
        assert_eq!(file[start..], other(&fields, &page));
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
    // The second row has type M. Left out are the signs, and binary numbers, which are always numeric for COBOL.
    let intact = &file[length..2 * length];
    damage_is_seen_by_both(&cobol, &program, &record, intact, &[5, 6, 7, 9, 10, 11, 12, 26, 30, 34]);
    let mut other = intact.to_vec();
    other[0] = 0xe9;
    assert!(reads(&cobol, &program, &other).iter().any(|line| line.contains("BAD B-TYPE")));
    assert_eq!(&*record.decode(&other).unwrap_err().field, "B-TYPE");
}

/// Records with their descriptors in blocks with theirs.
fn blocked(records: &[Vec<u8>], blksize: usize) -> Vec<u8> {
    let word = |length: usize| [(length / 256) as u8, (length % 256) as u8, 0, 0].to_vec();
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for record in records {
        let described = [word(record.len() + 4), record.clone()].concat();
        match blocks.last_mut() {
            Some(block) if 4 + block.len() + described.len() <= blksize => block.extend(described),
            _ => blocks.push(described),
        }
    }
    blocks.into_iter().flat_map(|block| [word(block.len() + 4), block].concat()).collect()
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
    let page = Page::of("IBM037", CHARACTERS);
    let (mut wanted, mut theirs) = (Vec::new(), Vec::new());
    for at in 0..40 {
        let number_of = rng.usize(0..10);
        let mut line = format!("K{at:<3}|{number_of}");
        let mut visits = Vec::new();
        let mut fields = vec![text(4, &format!("K{at}")), number(2, false, How::Zoned, number_of as i64)];
        for _ in 0..number_of {
            let cents = rng.i64(-99_999..99_999);
            let money = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
            let day = rng.i64(26_001..26_366);
            if rng.bool() {
                visits.push(row([("C-KIND", Value::from("D")), ("C-WHEN", Value::Integer(day))]));
                line.push_str(&format!("|{day}"));
                fields.extend([text(1, "D"), number(5, false, How::Zoned, day)]);
            } else {
                visits.push(row([("C-KIND", Value::from("M")), ("C-MONEY", Value::from(&*money))]));
                line.push_str(&format!("|{money}"));
                fields.extend([text(1, "M"), number(9, true, How::Packed, cents)]);
            }
        }
        wanted.push(line);
        theirs.push(other(&fields, &page));
        let mut bytes = Vec::new();
        record.encode(&[Value::from(&*format!("K{at}")), Value::List(visits)], &mut bytes).unwrap();
        writer.write(&bytes).unwrap();
    }
    let (file, records, _) = writer.finish().unwrap();
    assert_eq!(records, 40);
    assert_eq!(file, blocked(&theirs, blksize));
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
