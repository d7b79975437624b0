//! What expressions see of an event and of its record's key: what they name, as far as the gate lets it through.

use crate::adapter::Parcel;
use crate::event::{Record, Value};
use crate::rules::governance::Cleared;
use crate::rules::operation::Spec;

/// What expressions know of the connector's `strategy`.
pub const BOTH_WAYS: &str = "bidirectional";
/// The key with all of its parts.
const WHOLE_KEY: &str = "$key";
/// What there is to know of an event.
const EVENT: [&str; 6] = ["id", "seq", "type", "op", "at", "log"];

/// The paths that the expressions of a file name of event and key.
pub fn wanted(spec: &Spec) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for expression in spec.all_expressions() {
        if expression.wants_whole("event") {
            fields.extend(EVENT.iter().map(|name| format!("$event.{name}")));
        }
        if expression.wants_whole("key") {
            fields.push(WHOLE_KEY.to_owned());
        }
        for (root, name) in expression.paths() {
            match root.as_str() {
                "key" => fields.push(format!("$key.{name}")),
                "event" => fields.push(format!("$event.{name}")),
                _ => {}
            }
        }
    }
    fields.sort();
    fields.dedup();
    fields
}

/// Event and key of a record, as far as they are wanted.
pub fn event_and_key(wanted: &[String], parcel: &Parcel, record: &Cleared) -> (Record, Record) {
    let (mut event, mut key) = (Record::new(), Record::new());
    event.push("type", Value::from(parcel.kind()));
    event.push("op", Value::from(parcel.op().as_str()));
    for field in wanted {
        let Some(value) = record.field(field) else { continue };
        if let (WHOLE_KEY, Value::Map(parts)) = (field.as_str(), value) {
            parts.iter().for_each(|(name, value)| key.set(name, value.clone()));
        } else if let Some(name) = field.strip_prefix("$key.") {
            key.set(name, value.clone());
        } else if let Some(name) = field.strip_prefix("$event.") {
            event.set(name, value.clone());
        }
    }
    (event, key)
}
