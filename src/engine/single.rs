//! One record, delivered now: `sync SYSTEM TYPE ID`.

use serde::{Deserialize, Serialize};

use crate::clock::{self, Timestamp};
use crate::engine::trail::places;
use crate::event::{Event, Value};
use crate::format::json;
use crate::store::capture::{CaptureError, CapturedLog, Sent};
use crate::store::shadow;
use crate::store::state::attempt::{self, Line};
use crate::store::state::connector::{self, Mode};
use crate::store::state::parked::{self, ParkedState, Selection};
use crate::store::state::{LogId, StateError, StateReader, cursor};

/// The answer of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// The target has it.
    Success,
    /// It has not, and why; what can be retried is.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Status {
    /// A failure.
    pub fn failed(reason: impl Into<String>) -> Status {
        Status::Failed { reason: reason.into() }
    }
}

/// The values of a key from a command line or a URL: the values in key order, joined by commas, or a JSON list or
/// object. `names` are the key's columns.
pub fn parse_key(text: &str, names: &[impl AsRef<str>]) -> Result<Vec<Value>, String> {
    let wanted = names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",");
    if text.starts_with('[') || text.starts_with('{') {
        let values = match json::decode(text.as_bytes())? {
            Value::List(values) => values,
            Value::Map(fields) => {
                let found: Option<Vec<Value>> = names.iter().map(|name| fields.get(name.as_ref()).cloned()).collect();
                found.ok_or_else(|| format!("the key is made of {wanted}"))?
            }
            _ => Vec::new(),
        };
        if values.len() == names.len() {
            return Ok(values);
        }
        return Err(format!("the key has {} parts: {wanted}", names.len()));
    }
    if names.len() == 1 {
        return Ok(vec![Value::from(text)]);
    }
    let parts: Vec<Value> = text.split(',').map(|part| Value::from(part.trim())).collect();
    if parts.len() == names.len() { Ok(parts) } else { Err(format!("the key has {} parts: {wanted}", names.len())) }
}

/// Whether anything is known of a record: its row stands, or the log, the shadow or a parked delivery tells of it. Of a
/// record that is unknown there is nothing to send: its key was misspelt.
pub fn is_known(log: &mut CapturedLog, state: &mut StateReader, table: &str, key: &[Value]) -> Result<bool, String> {
    let told = |error: CaptureError| error.to_string();
    if log.stands(table, key).map_err(told)? {
        return Ok(true);
    }
    for kind in log.kinds().map_err(told)?.iter().filter(|kind| kind.is_called(table)) {
        let places = places(log, Some(&mut *state), &kind.lanes(log.name(), key)).map_err(|error| error.to_string())?;
        if !log.history(kind, key, 1, &places).map_err(told)?.is_empty() {
            return Ok(true);
        }
        let of_kind = Selection { kind: Some(kind.kind.to_string()), ..Selection::default() };
        let known = state.read(|db| {
            let is_meant = |values: Vec<Value>| kind.is_key(&kind.key.iter().cloned().zip(values).collect(), key);
            if shadow::any_key(db, log.name(), &kind.kind, is_meant)? {
                return Ok(true);
            }
            let of_log = |event: &Event| *event.log == *log.name();
            let parked = parked::select(db, &of_kind)?.into_iter().map(|(_, parked)| parked.event);
            Ok(parked.filter(of_log).any(|event| {
                kind.is_key(&event.key, key) || event.old_key.as_ref().is_some_and(|old| kind.is_key(old, key))
            }))
        });
        if known.map_err(|error| error.to_string())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the record's current state into the log, for one connector. The event that was written.
pub fn ask(log: &mut CapturedLog, table: &str, key: &[Value], connector: &str) -> Result<Option<Event>, CaptureError> {
    let (Sent::Image(seq) | Sent::Gone(seq)) = log.refresh_key(table, key, Some(connector))?;
    log.event_at(seq)
}

/// What has come of an event at a connector; none = nothing yet.
pub fn answer(state: &mut StateReader, name: &str, log: LogId, event: &Event) -> Result<Option<Status>, StateError> {
    let now: Timestamp = clock::steady();
    state.read(|db| {
        let Some(known) = connector::find(db, name)? else {
            return Ok(Some(Status::failed(format!("no connector `{name}` has run yet"))));
        };
        let lines = attempt::of_event(db, known.id, log, event.id)?;
        if lines.iter().any(|line| matches!(line, Line::Outcome { settled, .. } if settled.word.is_delivered())) {
            return Ok(Some(Status::Success));
        }
        if let Some(parked) = parked::find(db, known.id, &event.id.to_string())? {
            let reason = parked.reason;
            return Ok(Some(Status::failed(match parked.state {
                ParkedState::Waiting => format!("{reason}; it is sent again by itself"),
                ParkedState::Behind => format!("{reason}; it follows when that one is done"),
                ParkedState::Held => format!("held: {reason}"),
                ParkedState::Dead => format!("refused: {reason}"),
            })));
        }
        if known.mode != Mode::Running {
            let why = known.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            return Ok(Some(Status::failed(format!("the connector is {}{why}", known.mode.as_str()))));
        }
        if let Some(open) = connector::any_breaker(db, known.id)?.filter(|open| open.next_probe > now) {
            return Ok(Some(Status::failed(format!(
                "the endpoint is down ({}); it is sent when it is back",
                open.reason
            ))));
        }
        let passed = cursor::get(db, known.id, log)?.is_some_and(|at| at.seq >= event.seq());
        Ok((passed && lines.is_empty())
            .then(|| Status::failed("the record is not for this connector (`listen`, `where` or `delete: skip`)")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_commas_or_from_json() {
        assert_eq!(parse_key("42", &["id"]), Ok(vec![Value::from("42")]));
        assert_eq!(parse_key("a,b", &["id"]), Ok(vec![Value::from("a,b")]));
        assert_eq!(parse_key("a, 7", &["x", "y"]), Ok(vec![Value::from("a"), Value::from("7")]));
        assert_eq!(parse_key(r#"["a,b",7]"#, &["x", "y"]), Ok(vec![Value::from("a,b"), Value::Integer(7)]));
        assert_eq!(parse_key(r#"{"y":7,"x":"a"}"#, &["x", "y"]), Ok(vec![Value::from("a"), Value::Integer(7)]));
        for bad in ["a", "a,b,c", "[1]", "{\"x\":1}", "[1"] {
            assert!(parse_key(bad, &["x", "y"]).is_err(), "{bad}");
        }
    }
}
