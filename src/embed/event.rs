//! An event as a handler sees it.

use serde_json::{Map, Number, Value as Json};

use crate::event::{self, Op, Record, Value};
use crate::format::json;

/// One change of a watched table, or one posted or subscribed event: the JSON of `tail`, as a value.
///
/// 64-bit integers and doubles are exact. Bytes are `{"$base64": "…"}`, infinities the texts `"Infinity"` and `"-Infinity"`. The
/// digits of a posted number that fits neither an integer nor a double are only in [`Event::to_json`], as they were written;
/// in the fields stands the nearest double.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Its id, the same however often it comes: `6f1c09aa-17-0b7e22d1`. What a handler does elsewhere should bear it.
    pub id: String,
    /// Name of its log: the database's, or `intake` for posted and subscribed events.
    pub log: String,
    /// Position in the log, which is commit order there.
    pub seq: i64,
    /// Event type: the watched table (or its `as`), or what was posted.
    pub kind: String,
    /// `insert`, `update`, `delete`, or `event` for what is no row.
    pub op: &'static str,
    /// The record's key, in key order; empty when nothing names a record.
    pub key: Map<String, Json>,
    /// The record before: updates and deletes, as far as known.
    pub before: Option<Map<String, Json>>,
    /// The record after: inserts and updates; the payload of an `event`.
    pub after: Option<Map<String, Json>>,
    /// Columns that changed.
    pub changed: Vec<String>,
    /// When the application wrote it, by that machine's clock: RFC 3339, UTC. Data, not order.
    pub at: String,
    /// The connector that a pulled change came from.
    pub origin: Option<String>,
    exact: String,
}

impl Event {
    /// From the event that moves through the agent.
    pub(super) fn of(event: &event::Event) -> Event {
        Event {
            id: event.id.to_string(),
            log: event.log.to_string(),
            seq: event.seq(),
            kind: event.kind.to_string(),
            op: event.op.as_str(),
            key: map(&event.key),
            before: event.before.as_ref().map(map),
            after: event.after.as_ref().map(map),
            changed: event.changed.iter().map(ToString::to_string).collect(),
            at: event.at.to_string(),
            origin: event.origin.as_ref().map(ToString::to_string),
            exact: String::from_utf8(json::event(event)).unwrap_or_default(),
        }
    }

    /// A field of the record: after the change, of a delete before it, else of the key; null when there is none.
    pub fn get(&self, field: &str) -> &Json {
        let image = if self.op == Op::Delete.as_str() { &self.before } else { &self.after };
        image.as_ref().and_then(|image| image.get(field)).or_else(|| self.key.get(field)).unwrap_or(&Json::Null)
    }

    /// The event as one line of JSON, every value exactly as it is.
    pub fn to_json(&self) -> &str {
        &self.exact
    }
}

fn map(record: &Record) -> Map<String, Json> {
    record.iter().map(|(name, value)| (name.to_string(), of_value(value))).collect()
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Integer(number) => Json::from(*number),
        Value::Real(number) if number.is_finite() => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Number(digits) => number(digits),
        Value::Text(text) => Json::String(text.to_string()),
        Value::List(items) => Json::Array(items.iter().map(of_value).collect()),
        Value::Map(fields) => Json::Object(map(fields)),
        // Written in the form that people see.
        odd @ (Value::Real(_) | Value::BadText(_) | Value::Blob(_)) => {
            serde_json::from_slice(&json::value(odd)).unwrap_or(Json::Null)
        }
    }
}

fn number(digits: &str) -> Json {
    let whole = digits.parse::<u64>().ok().map(Json::from);
    let near = || digits.parse::<f64>().ok().and_then(Number::from_f64).map(Json::Number);
    whole.or_else(near).unwrap_or_else(|| Json::String(digits.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::EventId;

    fn event(op: Op, image: &[(&str, Value)]) -> event::Event {
        let record: Record = image.iter().map(|(name, value)| (*name, value.clone())).collect();
        let (before, after) = if op == Op::Delete { (Some(record), None) } else { (None, Some(record)) };
        event::Event {
            id: EventId { epoch: 1, seq: 7, nonce: 2 },
            log: "office".into(),
            kind: "visits".into(),
            op,
            key: [("id", Value::Integer(42))].into_iter().collect(),
            old_key: None,
            before,
            after,
            changed: vec!["name".into()],
            at: Timestamp(0),
            origin: None,
            dest: None,
            push: None,
            lane: 0,
            old_lane: None,
            synthetic: false,
        }
    }

    #[test]
    fn values_come_as_they_are_and_what_json_cannot_hold_in_the_form_that_people_see() {
        let seen = Event::of(&event(
            Op::Insert,
            &[
                ("big", Value::Integer(i64::MIN)),
                ("third", Value::Real(1.0 / 3.0)),
                ("endless", Value::Real(f64::INFINITY)),
                ("bytes", Value::Blob(vec![0, 255])),
                ("digits", Value::Number("18446744073709551616".into())),
                ("most", Value::Number("18446744073709551615".into())),
                ("nested", Value::List(vec![Value::Bool(true), Value::Null])),
            ],
        ));
        assert_eq!(*seen.get("big"), json!(i64::MIN));
        assert_eq!(*seen.get("third"), json!(1.0 / 3.0));
        assert_eq!(*seen.get("endless"), json!("Infinity"));
        assert_eq!(*seen.get("bytes"), json!({ "$base64": "AP8=" }));
        assert_eq!(*seen.get("most"), json!(u64::MAX));
        assert_eq!(*seen.get("nested"), json!([true, null]));
        assert_eq!((seen.get("id"), seen.get("none")), (&json!(42), &json!(null)), "the key, and nothing");
        assert!(seen.to_json().contains(r#""digits":18446744073709551616"#), "{}", seen.to_json());
        assert!(seen.to_json().starts_with(r#"{"id":"00000001-7-00000002","log":"office","seq":7,"type":"visits""#));
    }

    #[test]
    fn a_field_of_a_deleted_record_is_that_which_it_had() {
        let seen = Event::of(&event(Op::Delete, &[("name", "Ada".into())]));
        assert_eq!((seen.op, seen.get("name"), &seen.after), ("delete", &json!("Ada"), &None));
    }
}
