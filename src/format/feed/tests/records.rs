//! Fixed records.

use super::*;
use crate::format::copybook::{Format, Reading, read};
use crate::format::feed::When;
use crate::format::fixed::{Choice, Null, Rules, Select, Unbound};
use crate::format::frame::Framing;
use crate::format::layout::{Item, Layout};
use crate::rules::total::Expression;

const WIC: &str = "
01 WIC-HEADER.
   05 WH-REC-TYPE PIC X(2). 05 WH-FILE-ID PIC X(8). 05 WH-OFFICE PIC X(8). 05 WH-BUS-DATE PIC 9(8). 05 WH-SEQ-NO PIC 9(6).
   05 FILLER PIC X(8).
01 WIC-DETAIL.
   05 WD-REC-TYPE PIC X(2). 05 WD-APPT-ID PIC 9(10). 05 WD-NAME PIC X(12). 05 WD-BALANCE PIC S9(7)V99 COMP-3.
   05 WD-VISITS PIC S9(4) COMP. 05 WD-ACTION PIC X. 05 WD-DATE PIC X(8).
01 WIC-TRAILER.
   05 WT-REC-TYPE PIC X(2). 05 WT-DETAIL-COUNT PIC 9(8). 05 WT-HASH-APPT-ID PIC 9(10). 05 WT-SUM-BALANCE PIC S9(9)V99 COMP-3.
   05 WT-ALL PIC 9(6). 05 FILLER PIC X(8).
";

pub(super) fn layout(text: &str) -> Layout {
    let reading = Reading { format: Format::Free, ..Reading::default() };
    read("T.cpy", text, &reading).unwrap_or_else(|problems| panic!("{problems}"))
}

pub(super) fn line(record: &Item, set: &[(&str, &str)]) -> FixedLine {
    let set = set.iter().map(|(item, text)| ((*item).to_owned(), Set::parse(text))).collect();
    FixedLine { set, ..FixedLine::new(record.clone()) }
}

pub(super) fn detail(record: &Item, set: &[(&str, &str)], map: &[(&str, &str)]) -> FixedDetail {
    let pick = |(item, field): &(&str, &str)| ((*item).to_owned(), Pick::Field((*field).to_owned()));
    FixedDetail { line: line(record, set), map: map.iter().map(pick).collect(), when: None }
}

pub(super) fn spec(framing: Framing, details: Vec<FixedDetail>) -> FixedFeed {
    FixedFeed {
        page: page("cp037"),
        overpunch: None,
        little_endian: false,
        blank_is_zero: false,
        framing,
        padding: None,
        eof: None,
        headers: Vec::new(),
        details,
        trailers: Vec::new(),
        fields: None,
        reading: false,
        sample: stamp(),
    }
}

fn fb(lrecl: usize) -> Framing {
    Framing::Fixed { lrecl, terminator: Vec::new() }
}

/// The drop of the specification's sketch.
fn wic() -> FixedFeed {
    let layout = layout(WIC);
    let [first, item, trailer] = layout.records.as_slice() else { panic!("three records") };
    let header = [
        ("WH-REC-TYPE", "HD"),
        ("WH-FILE-ID", "WICAPPT"),
        ("WH-OFFICE", "{office}"),
        ("WH-BUS-DATE", "{bus_date:%Y%m%d}"),
        ("WH-SEQ-NO", "{seq}"),
    ];
    let trailer_set = [
        ("WT-REC-TYPE", "TR"),
        ("WT-DETAIL-COUNT", "count()"),
        ("WT-HASH-APPT-ID", "hash(WD-APPT-ID, 10)"),
        ("WT-SUM-BALANCE", "sum(WD-BALANCE)"),
        ("WT-ALL", "count(*)"),
    ];
    let mut own = detail(
        item,
        &[("WD-REC-TYPE", "DT"), ("WD-DATE", "{bus_date:CCYYDDD}")],
        &[("WD-APPT-ID", "appt_id"), ("WD-BALANCE", "balance"), ("WD-NAME", "name"), ("WD-VISITS", "visits")],
    );
    let codes = ["add", "change", "delete"].map(|word| (word.to_owned(), Value::from(&word[..1]))).into();
    own.line.set.push(("WD-ACTION".to_owned(), Set::Action(codes)));
    FixedFeed {
        headers: vec![line(first, &header)],
        trailers: vec![line(trailer, &trailer_set)],
        ..spec(fb(40), vec![own])
    }
}

fn appointment(id: i64, name: &str, balance: &str, visits: i64) -> Record {
    record([
        ("appt_id", Value::Integer(id)),
        ("name", Value::from(name)),
        ("balance", Value::from(balance)),
        ("visits", Value::Integer(visits)),
    ])
}

#[test]
fn a_file_of_fixed_blocks_has_these_bytes() {
    let feed = Feed::fixed(wic()).unwrap();
    assert!(!feed.sums_first());
    let rows = [appointment(4_000_000_001, "ALVAREZ", "12.50", 3), appointment(7_000_000_002, "NÚÑEZ", "-0.75", -1)];
    let (bytes, finished) = file(&feed, &rows).unwrap();
    let records: Vec<&[u8]> = bytes.chunks(40).collect();
    assert_eq!((records.len(), bytes.len()), (4, 160));
    assert_eq!(text("037", records[0]), "HDWICAPPT OF042   20260305000017        ");
    assert_eq!(text("037", &records[1][..24]), "DT4000000001ALVAREZ     ");
    assert_eq!(records[1][24..31], [0, 0, 0x01, 0x25, 0x0c, 0, 3]);
    assert_eq!(text("037", &records[1][31..]), "a2026064 ");
    assert_eq!(records[2][12..17], [0xd5, 0xfe, 0x69, 0xc5, 0xe9], "NÚÑEZ in code page 037");
    assert_eq!(records[2][24..31], [0, 0, 0, 0x07, 0x5d, 0xff, 0xff]);
    assert_eq!(text("037", &records[3][..20]), "TR000000021000000003");
    assert_eq!(records[3][20..26], [0, 0, 0, 0x01, 0x17, 0x5c]);
    assert_eq!(text("037", &records[3][26..]), "000004        ");
    assert_eq!((finished.details, finished.records), (2, 4));
    let sum = |text: &str| finished.sums.get(text).cloned().flatten();
    assert_eq!(sum("count()").as_deref(), Some("2"));
    assert_eq!(sum("hash(WD-APPT-ID, 10)").as_deref(), Some("1000000003"));
    assert_eq!(sum("sum(WD-BALANCE)").as_deref(), Some("11.75"));

    let parsed = feed.read(&bytes).unwrap();
    assert_eq!(parsed.header[0].get("WH-OFFICE"), Some(&Value::from("OF042")));
    assert_eq!(parsed.details[1].get("WD-NAME"), Some(&Value::from("NÚÑEZ")));
    assert_eq!(parsed.trailer[0].get("WT-DETAIL-COUNT"), Some(&Value::Integer(2)));
}

#[test]
fn an_empty_file_has_header_and_trailer_and_counts_nothing() {
    let (bytes, finished) = file(&Feed::fixed(wic()).unwrap(), &[]).unwrap();
    assert_eq!(text("037", &bytes[40..60]), "TR000000000000000000");
    assert_eq!(finished, Finished { details: 0, records: 2, sums: finished.sums.clone() });
}

#[test]
fn a_file_that_was_tampered_with_is_not_read() {
    let feed = Feed::fixed(wic()).unwrap();
    let rows = [appointment(1, "A", "1.00", 1), appointment(2, "B", "2.00", 1)];
    let (bytes, _) = file(&feed, &rows).unwrap();
    let refused = |bytes: &[u8]| feed.read(bytes).unwrap_err().to_string();
    let lost = [&bytes[..40], &bytes[80..]].concat();
    assert_eq!(refused(&lost), "decoding: record 3: `count()` is not what the details come to: wrong_total");
    let mut other = bytes.clone();
    other[40] = 0xe9;
    assert_eq!(refused(&other), "decoding: record 2 is no WIC-DETAIL: WD-REC-TYPE: other_constant");
    assert!(refused(&bytes[..150]).contains("ends within record 4"));
    assert!(refused(&bytes[..40]).contains("wrong_record_count"));
    let mut digit = bytes.clone();
    digit[42] = 0x40;
    assert_eq!(refused(&digit), "decoding: record 2 is no WIC-DETAIL: WD-APPT-ID at byte 2: bad_zone");
}

#[test]
fn a_row_that_does_not_fit_is_held_and_says_no_value() {
    let feed = Feed::fixed(wic()).unwrap();
    let held = |record: &Record, action: &str| {
        feed.gauge().unwrap().row(&Row { record, action, ordinal: 1 }).err().map(|reason| reason.to_string())
    };
    assert_eq!(held(&appointment(1, "A", "1.00", 1), "add"), None);
    let long = appointment(1, "MUCH TOO LONG A NAME", "1.00", 1);
    assert_eq!(held(&long, "add").as_deref(), Some("encoding: WD-NAME: overflow (WIC-DETAIL)"));
    assert_eq!(
        held(&appointment(1, "A", "1.005", 1), "add").as_deref(),
        Some("encoding: WD-BALANCE: inexact (WIC-DETAIL)")
    );
    assert_eq!(
        held(&appointment(1, "A", "1.00", 1), "message").as_deref(),
        Some("encoding: WD-ACTION: unknown_action (WIC-DETAIL)")
    );
    let key = record([("appt_id", Value::Integer(1))]);
    assert_eq!(held(&key, "change").as_deref(), Some("encoding: WD-NAME: no_such_field (WIC-DETAIL)"));
    assert_eq!(held(&key, "delete"), None, "of a deleted record only the key may be known");
}

#[test]
fn what_is_wrong_with_the_configuration_is_said_at_once_with_the_arithmetic() {
    let mut wrong = wic();
    wrong.framing = fb(44);
    wrong.trailers[0].set[1].1 = pattern("count(WIC-DETIAL)");
    wrong.trailers[0].set[2].1 = pattern("hash(WD-APPT-NO, 10)");
    let said = Feed::fixed(wrong).unwrap_err().join("\n");
    assert!(
        said.contains(
            "LRECL is 44, but WIC-HEADER has 40 bytes, 4 too few: WH-REC-TYPE 2 + WH-FILE-ID 8 + WH-OFFICE 8 + \
             WH-BUS-DATE 8 + WH-SEQ-NO 6 + FILLER 8 = 40"
        ),
        "{said}"
    );

    let mut wrong = wic();
    wrong.fields = Some(["appt_id", "name", "balance"].map(str::to_owned).into());
    wrong.details[0].map.retain(|(item, _)| item != "WD-NAME");
    wrong.headers[0].set.pop();
    wrong.trailers[0].set[1].1 = pattern("{cuont()}");
    wrong.details[0].line.set[1].1 = pattern("{seq:06}{count()}");
    let said = Feed::fixed(wrong).unwrap_err().join("\n");
    for part in [
        "WIC-HEADER: WH-SEQ-NO: nothing stands in it: set it, or write `unset: initial`",
        "WT-DETAIL-COUNT: the placeholder at character 1: `cuont` is not a function of totals: did you mean `count`?",
        "WIC-DETAIL: WD-DATE: shows a total",
        "WIC-DETAIL: WD-VISITS: there is no field `visits`",
        "WIC-DETAIL: WD-NAME: nothing stands in it: map or set it, or write `unset: initial`",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert_eq!(said.lines().count(), 5, "each thing once: {said}");

    let mut wrong = wic();
    wrong.trailers[0].set[1].1 = pattern("count(WIC-DETIAL)");
    wrong.trailers[0].set[2].1 = pattern("hash(WD-APPT-NO, 10)");
    wrong.headers[0].set[3].1 = pattern("{bus_date:%Y-%m-%d}");
    let said = Feed::fixed(wrong).unwrap_err().join("\n");
    for part in [
        "there is no record `WIC-DETIAL`: did you mean `WIC-DETAIL`?",
        "there is no item `WD-APPT-NO` in WIC-DETAIL",
        "WH-BUS-DATE: not_a_number (WIC-HEADER)",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn a_header_with_totals_is_written_after_the_rows_were_gone_through() {
    let mut early = wic();
    early.headers[0].set[4].1 = pattern("count()");
    let feed = Feed::fixed(early).unwrap();
    assert!(feed.sums_first());
    let rows: Vec<_> = (1..=12).map(|id| appointment(id, "A", "0", 0)).collect();
    let (bytes, _) = file(&feed, &rows).unwrap();
    assert_eq!(text("037", &bytes[26..32]), "000012");
    feed.read(&bytes).unwrap();
}

#[test]
fn totals_of_control_files_are_counted_and_those_that_cannot_be_are_refused() {
    let mut feed = Feed::fixed(wic()).unwrap();
    let parse = |text: &str| Expression::parse(text).unwrap();
    let wanted = [parse("bytes()"), parse("max(WD-VISITS)"), parse("sum(NO-SUCH)"), parse("count(WIC-DETAIL)")];
    assert!(feed.can_count(&wanted[2]).unwrap_err().contains("there is no item `NO-SUCH`"));
    assert!(
        feed.can_count(&parse("sum(WD-VISITS, where=WD-VISITS = 'x')")).unwrap_err().contains("compared with a text")
    );
    feed.count_also(&wanted);
    let (_, finished) = file(&feed, &[appointment(1, "A", "1.00", 5), appointment(2, "B", "1.00", 9)]).unwrap();
    let sum = |text: &str| finished.sums.get(text).cloned().flatten();
    assert_eq!((sum("bytes()").as_deref(), sum("max(WD-VISITS)").as_deref()), (Some("160"), Some("9")));
    assert_eq!((sum("count(WIC-DETAIL)").as_deref(), finished.sums.contains_key("sum(NO-SUCH)")), (Some("2"), false));
}

#[test]
fn variable_records_have_their_words_tables_and_redefinitions() {
    let layout = layout(
        "01 CUST. 05 CU-ID PIC 9(4). 05 CU-TYPE PIC X. 05 CU-PERSON. 10 CU-LAST PIC X(4). 10 CU-FIRST PIC X(2).
         05 CU-FIRM REDEFINES CU-PERSON PIC X(6). 05 CU-N PIC 9. 05 CU-PHONE OCCURS 0 TO 3 DEPENDING ON CU-N.
         10 PH-KIND PIC X. 10 PH-NO PIC 9(3).",
    );
    let phone = |kind: &str, number: &str| {
        let field = |name: &str| Pick::Field(name.to_owned());
        Pick::Items(vec![("PH-KIND".to_owned(), field(kind)), ("PH-NO".to_owned(), field(number))])
    };
    let mut own = detail(&layout.records[0], &[], &[("CU-ID", "id"), ("CU-TYPE", "type")]);
    own.map.push(("CU-PHONE".to_owned(), Pick::List(vec![phone("k1", "n1"), phone("k2", "n2")])));
    own.map.extend(["CU-LAST", "CU-FIRST", "CU-FIRM"].map(|item| (item.to_owned(), Pick::Field("name".to_owned()))));
    own.line.items.push(("CU-FIRST".to_owned(), Rules { truncate_right: true, ..Rules::default() }));
    own.line.choices.push(Choice {
        of: "CU-PERSON".to_owned(),
        select: Select::By {
            item: "CU-TYPE".to_owned(),
            when: vec![(Value::from("P"), "CU-PERSON".to_owned()), (Value::from("F"), "CU-FIRM".to_owned())],
        },
    });
    let feed = Feed::fixed(spec(Framing::Variable { lrecl: 28, blksize: Some(50) }, vec![own])).unwrap();
    let customer = |id: i64, kind: &str, name: &str, phones: [(Value, Value); 2]| {
        let [(k1, n1), (k2, n2)] = phones;
        let id = Value::Integer(id);
        record([
            ("id", id),
            ("type", Value::from(kind)),
            ("name", Value::from(name)),
            ("k1", k1),
            ("n1", n1),
            ("k2", k2),
            ("n2", n2),
        ])
    };
    let none = || (Value::Null, Value::Null);
    let home = || (Value::from("H"), Value::Integer(7));
    let rows = [customer(1, "F", "ACME", [none(), none()]), customer(2, "P", "DOE", [home(), none()])];
    let (bytes, _) = file(&feed, &rows).unwrap();
    let mut wanted = vec![0, 40, 0, 0, 0, 16, 0, 0];
    page("037").encode("0001FACME  0", None, &mut wanted).unwrap();
    wanted.extend([0, 20, 0, 0]);
    page("037").encode("0002PDOE DO1H007", None, &mut wanted).unwrap();
    assert_eq!(bytes, wanted);
    let parsed = feed.read(&bytes).unwrap();
    let phone = Value::Map(record([("PH-KIND", Value::from("H")), ("PH-NO", Value::Integer(7))]));
    assert_eq!(parsed.details[1].get("CU-PHONE"), Some(&Value::List(vec![phone])));
    let other = customer(3, "X", "A", [none(), none()]);
    assert!(feed.gauge().unwrap().row(&row(&other, 1)).unwrap_err().to_string().contains("CU-TYPE: unknown_choice"));
}

#[test]
fn kinds_of_details_are_chosen_by_a_field_and_counted_by_their_names() {
    let layout = layout(
        "01 ADJ. 05 TY PIC X. 05 AMT PIC S9(3)V99. 01 NOTE. 05 TY PIC X. 05 TXT PIC X(5). 01 TRL. 05 A PIC 9(3). 05 N PIC 9(3).",
    );
    let [adj, note, trailer] = layout.records.as_slice() else { panic!("three records") };
    let mut first = detail(adj, &[("TY", "A")], &[]);
    first.when = Some(When { field: "kind".to_owned(), is: vec!["adj".to_owned(), "1".to_owned()] });
    let second = detail(note, &[("TY", "N")], &[("TXT", "text")]);
    let feed = FixedFeed {
        trailers: vec![line(trailer, &[("A", "count(ADJ)"), ("N", "count(NOTE)")])],
        ..spec(fb(6), vec![first, second])
    };
    let feed = Feed::fixed(feed).unwrap();
    let rows = [
        record([("kind", Value::from("adj")), ("amt", Value::from("-1.25"))]),
        record([("kind", Value::Null), ("text", Value::from("HELLO"))]),
        record([("kind", Value::Integer(1)), ("amt", Value::from("2"))]),
    ];
    let (bytes, _) = file(&feed, &rows).unwrap();
    assert_eq!(text("037", &bytes), "A0012NNHELLOA0020{002001");
    let parsed = feed.read(&bytes).unwrap();
    let kinds: Vec<_> = parsed.details.iter().map(|record| record.get(Parsed::KIND).cloned().unwrap()).collect();
    assert_eq!(kinds, ["ADJ", "NOTE", "ADJ"].map(Value::from));
}

#[test]
fn text_lines_blocks_fillers_and_nulls_are_as_they_were_asked_for() {
    let layout = layout("01 D. 05 N PIC 9(3). 05 X PIC X(3). 05 P PIC S9(3) COMP-3. 05 O PIC 9(2).");
    let mut own = detail(&layout.records[0], &[("O", "{ordinal}")], &[]);
    own.line.rules = Rules { null: Some(Null::High), null_number: Some(Null::Zeros), ..Rules::default() };
    let padding = Some(Padding { multiple: 3, with: '9' });
    let feed = Feed::fixed(FixedFeed { padding, ..spec(fb(10), vec![own.clone()]) }).unwrap();
    let rows = [record([("n", Value::Null), ("x", Value::Null), ("P", Value::Null)])];
    let (bytes, finished) = file(&feed, &rows).unwrap();
    assert_eq!(bytes[..10], [0xf0, 0xf0, 0xf0, 0xff, 0xff, 0xff, 0, 0x0c, 0xf0, 0xf1]);
    assert_eq!((bytes.len(), finished.records, finished.details), (30, 3, 1));
    assert!(bytes[10..].iter().all(|byte| *byte == 0xf9));
    assert_eq!(feed.read(&bytes).unwrap().details.len(), 1);

    assert_eq!(feed.gaps(), [""; 0]);
    own.line.unset = Unbound::Initial;
    own.line.rules = Rules::default();
    own.map.push(("X".to_owned(), Pick::Field("x".to_owned())));
    let framing = Framing::Fixed { lrecl: 10, terminator: b"\r\n".to_vec() };
    let feed = FixedFeed { page: page("ascii"), eof: Some(0x1a), ..spec(framing, vec![own]) };
    let feed = Feed::fixed(feed).unwrap();
    assert_eq!(feed.gaps(), ["D: nothing stands in N, P (5 bytes)"]);
    let (bytes, _) = file(&feed, &[record([("x", Value::from("AB"))])]).unwrap();
    assert_eq!(bytes, b"000AB \x00\x0c01\r\n\x1a");
    assert_eq!(feed.read(&bytes).unwrap().details[0].get("X"), Some(&Value::from("AB")));
}

#[test]
fn a_feed_for_reading_takes_every_item() {
    let layout =
        layout("01 ACK. 05 TY PIC X. 05 KEY-NO PIC 9(4). 05 ST PIC X. 01 END-REC. 05 TY PIC X. 05 N PIC 9(5).");
    let [ack, end] = layout.records.as_slice() else { panic!("two records") };
    let own = detail(ack, &[("TY", "D")], &[]);
    let trailers = vec![line(end, &[("TY", "T"), ("N", "count()")])];
    let feed = Feed::fixed(FixedFeed { reading: true, trailers, ..spec(fb(6), vec![own]) }).unwrap();
    let mut bytes = Vec::new();
    page("037").encode("D0042RD0043AT00002", None, &mut bytes).unwrap();
    let parsed = feed.read(&bytes).unwrap();
    let read: Vec<_> = parsed.details.iter().map(|record| record.get("ST").cloned().unwrap()).collect();
    assert_eq!(read, ["R", "A"].map(Value::from));
    bytes[17] = 0xf3;
    assert!(feed.read(&bytes).unwrap_err().to_string().contains("wrong_total"));
}
