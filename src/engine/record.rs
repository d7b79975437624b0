//! One record's whole history: every change of it that is still in a log or parked, and what came of it everywhere.

use serde::Serialize;

use crate::engine::report::{EventHistory, stands};
use crate::engine::single::parse_key;
use crate::event::{Event, Record, Value};
use crate::rules::lane::{lane, mac};
use crate::store::capture::{CaptureError, CapturedLog, Kind};
use crate::store::state::parked::{self, Selection};
use crate::store::state::{StateError, StateReader, fact, intake, log as logs};

/// What is known of a record.
#[derive(Clone, Debug, Serialize)]
pub struct RecordHistory {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its changes, oldest first.
    pub events: Vec<EventHistory>,
}

/// Why nothing can be said of a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No such type or table.
    #[error("no such type or table is known")]
    Unknown {
        /// Those that are, sorted.
        known: Vec<String>,
    },
    /// The key does not fit the type.
    #[error("{0}")]
    Key(String),
    /// No change of the record is kept.
    #[error("no change of this record is in a log or parked")]
    Nothing,
    /// A log cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The state file cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What is known of the record `key` of the type or table `name`; of its changes the newest `limit` of each log. `key` is
/// its values in key order joined by commas, or JSON. No state file = the agent has never run.
pub fn record(
    logs: &mut [CapturedLog],
    mut state: Option<&mut StateReader>,
    name: &str,
    key: &str,
    limit: usize,
) -> Result<RecordHistory, RecordError> {
    let mut known: Vec<String> = Vec::new();
    let (mut meant, mut events) = (Vec::<(Kind, Vec<Value>)>::new(), Vec::<Event>::new());
    for log in logs {
        for kind in log.kinds()? {
            known.push(kind.kind.to_string());
            if kind.is_called(name) {
                let key = parse_key(key, &kind.key).map_err(RecordError::Key)?;
                events.extend(log.history(&kind, &key, limit)?);
                meant.push((kind, key));
            }
        }
    }
    if let Some(state) = &mut state {
        let posted = state.read(intake::kinds)?;
        if posted.iter().any(|kind| kind == name) {
            let kind = Kind {
                kind: name.into(),
                table: String::new(),
                key: vec!["id".into()],
                folds: Vec::new(),
                watched: false,
            };
            let key = parse_key(key, &kind.key).map_err(RecordError::Key)?;
            events.extend(state.read(|db| intake::history(db, name, limit, |event| kind.is_key(&event.key, &key)))?);
            meant.push((kind, key));
        }
        known.extend(posted);
        for (kind, key) in &meant {
            let of_kind = Selection { kind: Some(kind.kind.to_string()), ..Selection::default() };
            for (_, parked) in state.read(|db| parked::select(db, &of_kind))? {
                let event = parked.event;
                let is_meant =
                    kind.is_key(&event.key, key) || event.old_key.as_ref().is_some_and(|old| kind.is_key(old, key));
                if is_meant && !events.iter().any(|known| known.id == event.id) {
                    events.push(event);
                }
            }
        }
    }
    let Some((first, _)) = meant.first() else {
        known.sort();
        known.dedup();
        return Err(RecordError::Unknown { known });
    };
    if events.is_empty() {
        return Err(RecordError::Nothing);
    }
    // One record has one log; within it the position is the order.
    events.sort_by(|a, b| (&a.log, a.seq(), a.at).cmp(&(&b.log, b.seq(), b.at)));
    let histories = events
        .iter()
        .map(|event| {
            let connectors = state.as_mut().map_or(Ok(Vec::new()), |state| stands(state, event))?;
            Ok(EventHistory::new(event, connectors))
        })
        .collect::<Result<Vec<_>, StateError>>()?;
    Ok(RecordHistory { kind: first.kind.to_string(), events: histories })
}

/// The hashes by which the audit knows the record `key` of the type or table `name`: one for each way in which the key may be
/// stored (a number or a text), in each log that has the type.
///
/// # Errors
/// As [`record`]; that nothing is kept of the record is none.
pub fn macs(
    logs: &mut [CapturedLog],
    state: &mut StateReader,
    name: &str,
    key: &str,
) -> Result<Vec<[u8; 8]>, RecordError> {
    let secret = state.read(|db| fact(db, "mac_key"))?;
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
    let (mut known, mut found, mut meant) = (Vec::new(), Vec::new(), false);
    for log in logs {
        for kind in log.kinds()? {
            known.push(kind.kind.to_string());
            if kind.is_called(name) {
                meant = true;
                for key in forms(&parse_key(key, &kind.key).map_err(RecordError::Key)?) {
                    let key = kind.key.iter().cloned().zip(key).collect::<Record>();
                    found.push(mac(&secret, lane(log.name(), &kind.kind, &key, &kind.folds)));
                }
            }
        }
    }
    let posted = state.read(intake::kinds)?;
    if posted.iter().any(|kind| kind == name) {
        meant = true;
        for key in forms(&parse_key(key, &["id"]).map_err(RecordError::Key)?) {
            let key = std::iter::once("id").zip(key).collect::<Record>();
            found.push(mac(&secret, lane(logs::INTAKE, name, &key, &[])));
        }
    }
    known.extend(posted);
    if !meant {
        known.sort();
        known.dedup();
        return Err(RecordError::Unknown { known });
    }
    Ok(found)
}

/// A key in every way in which its values may be stored: what a person types as digits may be a number or a text.
fn forms(key: &[Value]) -> Vec<Vec<Value>> {
    let mut forms = vec![Vec::new()];
    for value in key {
        let mut ways = vec![value.clone()];
        if let Value::Text(text) = value {
            ways.extend(text.parse().ok().map(Value::Integer));
            ways.extend(
                text.parse().ok().filter(|number: &f64| number.is_finite() && number.fract() != 0.0).map(Value::Real),
            );
        }
        forms = forms
            .iter()
            .flat_map(|form| ways.iter().map(|way| form.iter().cloned().chain([way.clone()]).collect()))
            .collect();
    }
    forms
}
