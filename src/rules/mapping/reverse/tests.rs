#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::{Entry, Mapping};
use super::*;
use crate::event::{Event, Op};

fn record<const N: usize>(fields: [(&str, Value); N]) -> Record {
    fields.into_iter().collect()
}

fn entry(source: &str, to: &str) -> Entry {
    Entry { source: source.to_owned(), to: Some(to.to_owned()), ..Entry::default() }
}

fn converted(source: &str, to: &str, steps: &[&str]) -> Entry {
    let convert = steps.iter().map(|step| Convert::parse(step, Some("America/New_York")).unwrap()).collect();
    Entry { convert, ..entry(source, to) }
}

fn table<const N: usize>(codes: [(&str, Value); N]) -> Option<Vec<(String, Value)>> {
    Some(codes.into_iter().map(|(code, value)| (code.to_owned(), value)).collect())
}

fn compile<const N: usize>(entries: [Entry; N]) -> Mapping {
    Mapping::compile(entries.into()).unwrap()
}

fn reverse<const N: usize>(entries: [Entry; N]) -> Reverse {
    compile(entries).reverse().unwrap()
}

fn lost<const N: usize>(entries: [Entry; N]) -> Vec<(usize, String, String)> {
    let lost = compile(entries).reverse().unwrap_err();
    lost.into_iter().map(|lost| (lost.entry, lost.target, lost.why)).collect()
}

fn sent(mapping: &Mapping, row: Record) -> Record {
    let event = Event { op: Op::Insert, after: Some(row), ..Event::sample(17, 0, None) };
    mapping.apply(&event).unwrap()
}

#[test]
fn what_was_renamed_nested_converted_and_looked_up_comes_back() {
    let state = table([("booked", "B".into()), ("cancelled", 7.into()), ("noshow", Value::List(vec![1.into()]))]);
    let mapping = compile([
        entry("hms.id", "vista.recordId"),
        entry("hms.family", "vista.person.name.family"),
        converted("hms.duration", "vista.slot.seconds", &["minutes -> seconds"]),
        converted("hms.start", "vista.slot.begin", &["datetime -> rfc3339"]),
        converted("hms.mrn", "vista.ids.0.value", &["integer", "pad_left(9, 0)"]),
        entry("hms.alias", "vista.ids.1.value"),
        Entry { lookup: state, ..entry("hms.state", "vista.status") },
        Entry { value: Some("HMS".into()), ..entry("", "vista.origin") },
        entry("$event.id", "vista.change"),
        entry("$before.start", "vista.was"),
    ]);
    let row = record([
        ("id", 42.into()),
        ("family", "García".into()),
        ("duration", 20.into()),
        ("start", "2026-03-10 14:00:00".into()),
        ("mrn", 4711.into()),
        ("alias", Value::Null),
        ("state", "noshow".into()),
    ]);
    let back = mapping.reverse().unwrap();
    assert_eq!(back.apply(&sent(&mapping, row.clone())).unwrap(), row);
    assert_eq!(back.columns().unwrap(), ["id", "family", "duration", "start", "mrn", "alias", "state"]);
    assert_eq!(back.targets().unwrap()[4], "ids.0.value");
    // What the target does not tell is not in the row; codes are known by their text.
    let partly = record([("status", "7".into()), ("slot", Value::Null), ("unknown", 1.into())]);
    let row = record([("duration", Value::Null), ("start", Value::Null), ("state", "cancelled".into())]);
    assert_eq!(back.apply(&partly).unwrap(), row);
}

#[test]
fn a_record_that_goes_as_it_is_comes_back_as_it_is() {
    let row = record([("b", 1.into()), ("a", Value::Null)]);
    let back = Mapping::whole().reverse().unwrap();
    assert_eq!(back.apply(&row).unwrap(), row);
    assert_eq!((back.columns(), back.targets()), (None, None));
    let back = reverse([entry("$after", "row"), entry("$key.id", "id")]);
    let whole = record([("id", 42.into()), ("row", Value::Map(row.clone()))]);
    assert_eq!(back.apply(&whole).unwrap(), record([("b", 1.into()), ("a", Value::Null), ("id", 42.into())]));
    let reason = back.apply(&record([("row", "secret".into())])).unwrap_err();
    assert_eq!(reason.to_string(), "mapping: field `row` is no object, which the whole record is");
}

#[test]
fn of_several_targets_of_a_source_the_first_that_comes_back_is_read() {
    let back = reverse([
        converted("id", "hash", &["sha256"]),
        converted("id", "link", &["text"]),
        entry("$key.id", "id"),
        converted("id", "shout", &["upper"]),
    ]);
    assert_eq!(back.targets().unwrap(), ["link"]);
    assert_eq!(back.apply(&record([("id", 1.into()), ("link", "2".into())])).unwrap(), record([("id", "2".into())]));
}

#[test]
fn what_cannot_be_had_back_is_named_with_its_line_and_the_reason() {
    let states = [("booked", "B".into()), ("moved", "B".into())];
    let said = lost([
        entry("id", "id"),
        converted("name", "name", &["trim", "upper"]),
        converted("start", "day", &["datetime -> date"]),
        Entry { lookup: table(states), ..entry("state", "a.status") },
        Entry { lookup: table([("x", Value::Null)]), ..entry("x", r"a.x\.y") },
        converted("mrn", "ids.0", &["pad_left(9, 0)"]),
        Entry { one_way: true, ..converted("ssn", "hash", &["sha256"]) },
    ]);
    let why = |what: &str| format!("does not hold all of {what}");
    assert_eq!(
        said,
        [
            (1, "name".to_owned(), why("`name`: nothing undoes the converter `upper`")),
            (2, "day".to_owned(), why("`start`: nothing undoes the converter `datetime -> date`")),
            (
                3,
                "a.status".to_owned(),
                "does not say which code of `state` it was: its `lookup` makes the same of `booked` and `moved`"
                    .to_owned()
            ),
            (
                4,
                r"a.x\.y".to_owned(),
                "does not say which code of `x` it was: its `lookup` makes null of `x`, and of null".to_owned()
            ),
            (5, "ids.0".to_owned(), why("`mrn`: nothing undoes the converter `pad_left(9, 0)`")),
        ]
    );
}

#[test]
fn what_a_default_stood_in_for_comes_back_as_null_where_the_table_does_not_list_it() {
    let codes = [("booked", "B".into()), ("gone", Value::Null)];
    let back = reverse([
        Entry { lookup: table(codes), default: Some("U".into()), ..entry("state", "status") },
        Entry { default: Some("-".into()), ..entry("note", "note") },
    ]);
    let row = |status: Value| back.apply(&record([("status", status)]));
    assert_eq!(row("B".into()).unwrap(), record([("state", "booked".into())]));
    assert_eq!(row("U".into()).unwrap(), record([("state", Value::Null)]));
    assert_eq!(row(Value::Null).unwrap(), record([("state", "gone".into())]));
    assert_eq!(
        row("secret".into()).unwrap_err().to_string(),
        "mapping: field `status`, for the column `state`, holds a value that its lookup does not list"
    );
    assert_eq!(back.apply(&record([("note", "-".into())])).unwrap(), record([("note", "-".into())]));
}

#[test]
fn a_value_that_does_not_go_back_is_named_by_its_fields_alone() {
    let back = reverse([converted("start", "slot.begin", &["datetime -> rfc3339"])]);
    let slot = Value::Map(record([("begin", "secret".into())]));
    let reason = back.apply(&record([("slot", slot)])).unwrap_err();
    assert_eq!(reason.class, "mapping");
    assert!(
        reason.text.starts_with("field `slot.begin`, for the column `start`, does not go back: converter"),
        "{reason}"
    );
    assert!(!reason.text.contains("secret"), "{reason}");
}

#[test]
fn converters_that_can_be_undone_are() {
    for (step, there, here) in [
        ("minutes -> seconds", Value::Integer(1200), Value::Integer(20)),
        ("seconds -> minutes", Value::Real(20.0 / 60.0), Value::Integer(20)),
        ("celsius -> fahrenheit", Value::Real(98.6), Value::Real(37.0)),
        ("inches -> cm", Value::Real(2.54), Value::Real(1.0)),
        ("rfc3339 -> hl7", "20260305130500-0500".into(), "2026-03-05T18:05:00Z".into()),
        ("rfc3339 -> epoch_ms", 1_772_733_900_000.into(), "2026-03-05T18:05:00Z".into()),
        ("iso -> odata2", "/Date(1772733900000)/".into(), "2026-03-05T18:05:00Z".into()),
        ("datetime -> rfc3339", "2026-03-05T18:05:00Z".into(), "2026-03-05 13:05:00".into()),
        ("datetime -> %Y%m%d%H%M", "202603051305".into(), "2026-03-05 13:05:00".into()),
        ("date -> julian", 2_026_064.into(), "2026-03-05".into()),
        ("%m/%d/%Y -> date", "2026-03-05".into(), "03/05/2026".into()),
        ("trim", " a ".into(), "a".into()),
        ("text", "42".into(), "42".into()),
        ("integer", 42.into(), 42.into()),
        ("boolean", Value::Bool(true), 1.into()),
        ("base64", "/wA=".into(), Value::Blob(vec![255, 0])),
        ("pad_right(9)", "ab       ".into(), "ab".into()),
    ] {
        let back = reverse([converted("x", "x", &[step])]);
        let (there, here) = (record([("x", there)]), record([("x", here)]));
        assert_eq!(back.apply(&there).unwrap(), here, "{step}");
    }
    let none =
        ["rfc3339 -> date", "datetime -> %H:%M", "date -> %y%m%d", "datetime -> %I:%M %Y-%m-%d", "date -> %m/%d"];
    for step in none.iter().chain(&["upper", "lower", "sha256", "substr(1, 3)", "pad_right(9, x)"]) {
        assert_eq!(lost([converted("x", "x", &[step])]).len(), 1, "{step}");
    }
}

proptest! {
    /// Reading and sending again changes nothing at the target.
    #[test]
    fn what_comes_back_makes_the_same_record_again(
        minutes in -100_000_i64..100_000,
        scaled in -1_000_000_i64..1_000_000,
        moment in -2_000_000_000_i64..4_000_000_000,
        code in 0..3_usize,
        text in any::<Option<String>>(),
    ) {
        let codes = ["a", "b", "c"];
        let units = ["seconds -> minutes", "minutes -> seconds", "lb -> kg", "fahrenheit -> celsius", "gal -> ml", "m -> ft"];
        let times = ["epoch -> rfc3339", "epoch -> datetime", "epoch -> hl7", "epoch -> odata2"];
        let mut entries = vec![
            Entry { lookup: table([("a", 1.into()), ("b", "2".into()), ("c", Value::Bool(true))]), ..entry("code", "c.0") },
            converted("text", "t.rim", &["trim"]),
        ];
        entries.extend(units.iter().enumerate().map(|(at, step)| converted(&format!("u{at}"), &format!("u.{at}"), &[step])));
        entries.extend(times.iter().enumerate().map(|(at, step)| converted(&format!("t{at}"), &format!("w{at}"), &[step])));
        let mapping = Mapping::compile(entries).unwrap();
        let mut row = record([("code", codes[code].into()), ("text", text.as_deref().map_or(Value::Null, Value::from))]);
        for (at, _) in units.iter().enumerate() {
            row.push(format!("u{at}"), if at % 2 == 0 { minutes.into() } else { Value::Real(scaled as f64 / 1000.0) });
        }
        (0..4).for_each(|at| row.push(format!("t{at}"), moment.into()));
        let there = sent(&mapping, row);
        let back = mapping.reverse().unwrap().apply(&there).unwrap();
        let again = sent(&mapping, back);
        for ((name, one), (_, other)) in there.iter().zip(again.iter()) {
            prop_assert_eq!(one, other, "{}", name);
        }
    }
}
