//! JSON: payloads for targets, the event JSON of the contract, and reading JSON with a depth limit.

use crate::event::{Event, Record, Value};
use crate::rules::outcome::Reason;

/// Deepest nesting that is read; deeper input is refused before the stack can overflow.
pub const DEPTH: usize = 64;

/// A record as compact JSON for a target. Blobs become `{"$base64": …}`; text that is not UTF-8 and infinities
/// are refused with class `encoding` and the field's name: the event is held.
pub fn encode(record: &Record) -> Result<Vec<u8>, Reason> {
    let _ = record;
    todo!()
}

/// The event JSON of the contract, one line, keys in the contract's order. Never fails: what JSON cannot hold is
/// written as `{"$base64": …}` (text that is not UTF-8) or as text (`"Infinity"`, `"-Infinity"`).
pub fn event(event: &Event) -> Vec<u8> {
    let _ = event;
    todo!()
}

/// A value as JSON, by the same rules as [`event`].
pub fn value(value: &Value) -> Vec<u8> {
    let _ = value;
    todo!()
}

/// Reads JSON; at most [`DEPTH`] deep, numbers exact, duplicate keys refused. The error says where.
pub fn decode(bytes: &[u8]) -> Result<Value, String> {
    let _ = bytes;
    todo!()
}
