//! JSON: payloads for targets, the event JSON of the contract, and reading JSON with a depth limit.

mod read;

use std::convert::Infallible;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::event::{Event, Record, Value};
use crate::rules::outcome::Reason;

pub use read::{DEPTH, decode};

/// The one key of an object that stands for bytes.
const BASE64: &str = "$base64";

/// A record as compact JSON for a target. Blobs become `{"$base64": …}`; text that is not UTF-8 and infinities
/// are refused with class `encoding` and the field's name: the event is held.
pub fn encode(record: &Record) -> Result<Vec<u8>, Reason> {
    let mut out = Vec::with_capacity(48 * record.len() + 64);
    let refuse = |_: &mut Vec<u8>, value: &Value| Err(value.kind());
    match object(&mut out, record, &refuse) {
        Ok(()) => Ok(out),
        Err(kind) => {
            let kind = if kind == "number" { "a number that is not finite" } else { kind };
            let field = odd_field(record).unwrap_or_default();
            Err(Reason::new("encoding", format!("field `{field}` is {kind}: JSON cannot hold it")))
        }
    }
}

/// The event JSON of the contract, one line, keys in the contract's order. Never fails: what JSON cannot hold is
/// written as `{"$base64": …}` (text that is not UTF-8) or as text (`"Infinity"`, `"-Infinity"`).
pub fn event(event: &Event) -> Vec<u8> {
    let image = |out: &mut Vec<u8>, image: &Option<Record>| match image {
        Some(record) => shown(out, record),
        None => out.extend_from_slice(b"null"),
    };
    let mut out = Vec::with_capacity(512);
    // Writing to a Vec cannot fail.
    let _ = write!(out, r#"{{"id":"{}","log":"#, event.id);
    text(&mut out, &event.log);
    let _ = write!(out, r#","seq":{},"type":"#, event.seq());
    text(&mut out, &event.kind);
    let _ = write!(out, r#","op":"{}","key":"#, event.op);
    shown(&mut out, &event.key);
    out.extend_from_slice(br#","before":"#);
    image(&mut out, &event.before);
    out.extend_from_slice(br#","after":"#);
    image(&mut out, &event.after);
    out.extend_from_slice(br#","changed":"#);
    list(&mut out, event.changed.iter(), |out, column| text(out, column));
    let _ = write!(out, r#","at":"{}","origin":"#, event.at);
    match &event.origin {
        Some(origin) => text(&mut out, origin),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    out
}

/// A value as JSON, by the same rules as [`event`].
pub fn value(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let Ok(()) = put(&mut out, value, &show);
    out
}

fn shown(out: &mut Vec<u8>, record: &Record) {
    let Ok(()) = object(out, record, &show);
}

/// Writes what JSON cannot hold in a form for people.
fn show(out: &mut Vec<u8>, value: &Value) -> Result<(), Infallible> {
    match value {
        Value::BadText(bytes) => base64(out, bytes),
        Value::Real(number) if number.is_nan() => text(out, "NaN"),
        Value::Real(number) => text(out, if *number > 0.0 { "Infinity" } else { "-Infinity" }),
        _ => text(out, value.kind()),
    }
    Ok(())
}

fn is_odd(value: &Value) -> bool {
    match value {
        Value::BadText(_) => true,
        Value::Real(number) => !number.is_finite(),
        _ => false,
    }
}

/// Writes a value; `odd` takes those of [`is_odd`].
fn put<E>(out: &mut Vec<u8>, value: &Value, odd: &impl Fn(&mut Vec<u8>, &Value) -> Result<(), E>) -> Result<(), E> {
    match value {
        value if is_odd(value) => odd(out, value)?,
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => scalar(out, number),
        // `{:?}` of a double is its shortest form that reads back, and keeps the `.0` of 5.0; as Value::as_text.
        Value::Real(number) => {
            let _ = write!(out, "{number:?}");
        }
        Value::Number(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Text(string) => text(out, string),
        Value::Blob(bytes) | Value::BadText(bytes) => base64(out, bytes),
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                put(out, item, odd)?;
            }
            out.push(b']');
        }
        Value::Map(fields) => object(out, fields, odd)?,
    }
    Ok(())
}

fn object<E>(
    out: &mut Vec<u8>,
    record: &Record,
    odd: &impl Fn(&mut Vec<u8>, &Value) -> Result<(), E>,
) -> Result<(), E> {
    out.push(b'{');
    for (at, (name, value)) in record.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(out, name);
        out.push(b':');
        put(out, value, odd)?;
    }
    out.push(b'}');
    Ok(())
}

fn list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn text(out: &mut Vec<u8>, text: &str) {
    scalar(out, text);
}

/// Strings and integers are written by serde_json.
fn scalar<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, scalar: &T) {
    // Writing a string or an integer to a Vec cannot fail.
    let _ = serde_json::to_writer(out, scalar);
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let _ = write!(out, r#"{{"{BASE64}":"{}"}}"#, STANDARD.encode(bytes));
}

/// The path of the first value in a record that JSON cannot hold.
fn odd_field(record: &Record) -> Option<String> {
    fn inside(value: &Value) -> Option<String> {
        match value {
            Value::Map(fields) => odd_field(fields).map(|path| format!(".{path}")),
            Value::List(items) => {
                items.iter().enumerate().find_map(|(at, item)| inside(item).map(|path| format!(".{at}{path}")))
            }
            value => is_odd(value).then(String::new),
        }
    }
    record.iter().find_map(|(name, value)| inside(value).map(|path| format!("{name}{path}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::{EventId, Op};
    use proptest::prelude::*;

    fn record<const N: usize>(fields: [(&str, Value); N]) -> Record {
        fields.into_iter().collect()
    }

    fn encoded(value: Value) -> String {
        String::from_utf8(encode(&record([("v", value)])).unwrap()).unwrap()
    }

    #[test]
    fn values_are_written_exactly() {
        for (value, json) in [
            (Value::Null, "null"),
            (Value::Bool(true), "true"),
            (Value::Integer(i64::MIN), "-9223372036854775808"),
            (Value::Integer(9_007_199_254_740_993), "9007199254740993"),
            (Value::Real(5.0), "5.0"),
            (Value::Real(0.1 + 0.2), "0.30000000000000004"),
            (Value::Real(f64::MAX), "1.7976931348623157e308"),
            (Value::Number("18446744073709551616".into()), "18446744073709551616"),
            ("a\"\\\n\0é\u{1f600}".into(), "\"a\\\"\\\\\\n\\u0000é\u{1f600}\""),
            (Value::Blob(vec![0, 255]), r#"{"$base64":"AP8="}"#),
            (Value::List(vec![Value::Integer(1), Value::Map(record([("a", Value::Null)]))]), r#"[1,{"a":null}]"#),
        ] {
            assert_eq!(encoded(value), format!("{{\"v\":{json}}}"));
        }
        assert_eq!(encode(&Record::new()).unwrap(), b"{}");
    }

    #[test]
    fn what_json_cannot_hold_is_refused_for_targets_by_its_path() {
        for (odd, what) in [
            (Value::Real(f64::INFINITY), "a number that is not finite"),
            (Value::BadText(vec![0xff]), "text that is not UTF-8"),
        ] {
            let nested = Value::List(vec![Value::Null, Value::Map(record([("c", odd)]))]);
            let reason = encode(&record([("a", Value::Null), ("b", nested)])).unwrap_err();
            assert_eq!(reason.to_string(), format!("encoding: field `b.1.c` is {what}: JSON cannot hold it"));
        }
        assert_eq!(value(&Value::BadText(vec![0xff])), br#"{"$base64":"/w=="}"#);
        assert_eq!(value(&Value::Real(f64::NEG_INFINITY)), br#""-Infinity""#);
        assert_eq!(value(&Value::Real(f64::INFINITY)), br#""Infinity""#);
    }

    #[test]
    fn an_event_is_written_as_the_contract_prints_it() {
        let mut change = Event {
            id: EventId { epoch: 0x6f1c_09aa, seq: 17, nonce: 0x0b7e_22d1 },
            log: "office".into(),
            kind: "appointments".into(),
            op: Op::Update,
            key: record([("id", 42.into())]),
            old_key: None,
            before: Some(record([("id", 42.into()), ("start", "08:00".into())])),
            after: Some(record([("id", 42.into()), ("start", "09:00".into())])),
            changed: vec!["start".into()],
            at: "2026-03-05T18:05:00.123Z".parse().map(Timestamp::from_jiff).unwrap(),
            origin: None,
            dest: None,
            push: None,
            lane: 0,
            old_lane: None,
            synthetic: false,
        };
        let json = r#"{"id":"6f1c09aa-17-0b7e22d1","log":"office","seq":17,"type":"appointments","op":"update","key":{"id":42},"before":{"id":42,"start":"08:00"},"after":{"id":42,"start":"09:00"},"changed":["start"],"at":"2026-03-05T18:05:00.123Z","origin":null}"#;
        assert_eq!(String::from_utf8(event(&change)).unwrap(), json);
        change.before = None;
        change.origin = Some("lotus".into());
        change.changed = vec!["a".into(), "b\"".into()];
        let json = String::from_utf8(event(&change)).unwrap();
        assert!(json.contains(r#""before":null,"#) && json.ends_with(r#""origin":"lotus"}"#), "{json}");
        assert!(json.contains(r#""changed":["a","b\""]"#), "{json}");
    }

    /// Any value that JSON can hold.
    fn plain() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::Real),
            "-?[1-9][0-9]{25,40}(\\.[0-9]{1,5})?".prop_map(|digits| Value::Number(digits.into())),
            any::<String>().prop_map(|text| Value::Text(text.into())),
            any::<Vec<u8>>().prop_map(Value::Blob),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|fields| Value::Map(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_reads_back_as_it_was_written(value in plain()) {
            let record: Record = [(Arc::<str>::from("v"), value)].into_iter().collect();
            let bytes = encode(&record).unwrap();
            prop_assert_eq!(decode(&bytes).unwrap(), Value::Map(record));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        }

        #[test]
        fn the_text_of_a_number_is_the_same_in_json_and_in_urls(number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let json = String::from_utf8(value(&Value::Real(number))).unwrap();
            let text = Value::Real(number).as_text().unwrap().into_owned();
            prop_assert_eq!(json, text);
        }
    }
}
