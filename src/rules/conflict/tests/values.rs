//! What is the same value.

use super::super::same::{fingerprint, same};
use super::*;

#[test]
fn spellings_of_one_value_are_the_same() {
    let text = |text: &str| Value::from(text);
    let pairs = [
        (Value::Integer(1), Value::Real(1.0)),
        (Value::Integer(1), Value::Number("1.00".into())),
        (Value::Integer(1), Value::Bool(true)),
        (Value::Real(12.5), text("12.5")),
        (Value::Integer(7), text(" 7 ")),
        (Value::Null, text("  ")),
        (text("visit"), text("visit \n")),
        (text("a\r\nb"), text("a\nb")),
        (text("10:00"), text("10:00:00Z")),
        (text("10:00"), text("10:00:00.000")),
        (text("2026-03-05 10:00:00"), text("2026-03-05T10:00:00.000Z")),
        (text("2026-03-05 10:00"), text("2026-03-05T10:00:00+00:00")),
        (text("2026-03-05T04:00:00-06:00"), text("2026-03-05T10:00:00Z")),
        (
            Value::Map([("a", Value::Null), ("b", Value::Integer(1))].into_iter().collect()),
            Value::Map([("b", Value::Real(1.0))].into_iter().collect()),
        ),
    ];
    for (one, other) in &pairs {
        assert!(same(Some(one), Some(other)) && same(Some(other), Some(one)), "{one:?} {other:?}");
        let image = |value: &Value| -> Record { [("f", value.clone())].into_iter().collect() };
        let fields = names(&["f"]);
        assert_eq!(fingerprint(Some(&image(one)), &fields), fingerprint(Some(&image(other)), &fields));
    }
    assert!(same(None, Some(&Value::Null)));
}

#[test]
fn what_means_something_else_is_not_the_same() {
    let text = |text: &str| Value::from(text);
    let all = [
        Value::Null,
        Value::Integer(0),
        Value::Integer(7),
        text("007"),
        text("1.50"),
        Value::Real(1.5),
        text("Visit"),
        text("visit"),
        text("2026-03-05"),
        text("2026-03-05T00:00:00"),
        text("2026-03-05T00:00:00+01:00"),
        text("00:00"),
        text("24:00"),
        text("10:00 Uhr"),
        text("-"),
        Value::Real(f64::INFINITY),
        text("inf"),
        Value::Blob(b"7".to_vec()),
        Value::BadText(b"7\xff".to_vec()),
        Value::Integer(i64::MAX),
        Value::Real(i64::MAX as f64),
        Value::List(vec![]),
        Value::List(vec![Value::Null]),
        Value::Map(Record::new()),
    ];
    for (at, one) in all.iter().enumerate() {
        for (place, other) in all.iter().enumerate() {
            assert_eq!(same(Some(one), Some(other)), at == place, "{one:?} {other:?}");
        }
    }
}

#[test]
fn a_fingerprint_is_the_same_in_every_version() {
    let image = record(&[("start", "10:00"), ("subject", "visit")]);
    let hash = |fields: &[&str]| crate::rules::hex::hex(&fingerprint(Some(&image), &names(fields)));
    assert_eq!(hash(&["subject", "start"]), hash(&["start", "subject"]));
    assert_eq!(hash(&["start"]), START, "ties that were decided would be decided anew");
    assert_ne!(hash(&["start"]), hash(&["start", "end"]));
    assert_ne!(fingerprint(None, &names(&["start"])), fingerprint(Some(&Record::new()), &names(&["start"])));
}

const START: &str = "68789cf9f35d4167b4a829ffefcd879b9fe1d5fc415ae42abeab2e6f98b122cb";
