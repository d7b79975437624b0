//! One record's whole history: every change of it that is still in a log or parked, and what came of it everywhere.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::engine::conflict::Conflict;
use crate::engine::drop::ledger_key;
use crate::engine::drop::told::{InFile, in_files};
use crate::engine::pull::{PulledRecord, pulled_record};
use crate::engine::report::{EventHistory, stands};
use crate::engine::single::parse_key;
use crate::engine::trail::{TrailError, places};
use crate::event::{Event, Record, Value};
use crate::format::json;
use crate::rules::governance::Gate;
use crate::rules::lane::{Collation, lane, mac};
use crate::store::capture::{CaptureError, CapturedLog, Kind};
use crate::store::state::conflict::of_record;
use crate::store::state::{StateError, StateReader, connector, fact, intake, log as logs, parked};

/// What is known of a record.
#[derive(Clone, Debug, Serialize)]
pub struct RecordHistory {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its changes, oldest first.
    pub events: Vec<EventHistory>,
    /// What both sides have changed of it, oldest first; without values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// How it stands with each connector that is read; without values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pulled: Vec<PulledRecord>,
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

impl From<TrailError> for RecordError {
    fn from(error: TrailError) -> RecordError {
        match error {
            TrailError::Capture(error) => RecordError::Capture(error),
            TrailError::State(error) => RecordError::State(error),
        }
    }
}

/// What is known of the record `key` of the type or table `name`; of its changes the newest `limit` of each log. `key` is
/// its values in key order joined by commas, or JSON. `view` says what of a key may be shown. No state file = the agent has
/// never run.
pub fn record(
    logs: &mut [CapturedLog],
    mut state: Option<&mut StateReader>,
    name: &str,
    key: &str,
    limit: usize,
    view: &Gate,
) -> Result<RecordHistory, RecordError> {
    let mut known: Vec<String> = Vec::new();
    let (mut meant, mut events) = (Vec::<Meant>::new(), Vec::<Event>::new());
    for log in logs {
        for kind in log.kinds()? {
            known.push(kind.kind.to_string());
            if kind.is_called(name) {
                let key = parse_key(key, &kind.key).map_err(RecordError::Key)?;
                let lanes = kind.lanes(log.name(), &key);
                let places = places(log, state.as_deref_mut(), &lanes)?;
                events.extend(log.history(&kind, &key, limit, &places)?);
                meant.push(Meant { kind, key, lanes });
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
                ever: Vec::new(),
                watched: false,
            };
            let key = parse_key(key, &kind.key).map_err(RecordError::Key)?;
            let lanes = kind.lanes(logs::INTAKE, &key);
            let is_meant = |event: &Event| kind.is_key(&event.key, &key);
            let id = key.first().unwrap_or(&Value::Null);
            events.extend(state.read(|db| intake::history(db, name, id, limit, is_meant))?);
            meant.push(Meant { kind, key, lanes });
        }
        known.extend(posted);
        let connectors = state.read(connector::all)?;
        for (meant, connector) in meant.iter().flat_map(|meant| connectors.iter().map(move |known| (meant, known))) {
            for parked in state.read(|db| parked::in_lanes(db, connector.id, &meant.lanes))? {
                if meant.is(&parked.event) && !events.iter().any(|known| known.id == parked.event.id) {
                    events.push(parked.event);
                }
            }
        }
    }
    let Some(first) = meant.first() else {
        known.sort();
        known.dedup();
        return Err(RecordError::Unknown { known });
    };
    let (mut conflicts, mut pulled) = (Vec::new(), Vec::new());
    if let Some(state) = &mut state {
        let connectors = state.read(connector::all)?;
        for (meant, key) in meant.iter().flat_map(|meant| forms(&meant.key).into_iter().map(move |key| (meant, key))) {
            let key = Value::Map(meant.kind.key.iter().cloned().zip(key).collect());
            let key = String::from_utf8(json::value(&key)).unwrap_or_default();
            let found = state.read(|db| of_record(db, &meant.kind.kind, &key))?;
            conflicts.extend(found.iter().map(|entry| Conflict::new(entry, view)));
            for known in &connectors {
                pulled.extend(state.read(|db| pulled_record(db, known, &meant.kind.kind, &key))?);
            }
        }
    }
    if events.is_empty() && conflicts.is_empty() && pulled.is_empty() {
        return Err(RecordError::Nothing);
    }
    // One record has one log; within it the position is the order.
    events.sort_by(|a, b| (&a.log, a.seq(), a.at).cmp(&(&b.log, b.seq(), b.at)));
    let histories = events
        .iter()
        .map(|event| {
            let connectors = state.as_mut().map_or(Ok(Vec::new()), |state| stands(state, event))?;
            Ok(EventHistory::new(event, connectors, view))
        })
        .collect::<Result<Vec<_>, StateError>>()?;
    Ok(RecordHistory { kind: first.kind.kind.to_string(), events: histories, conflicts, pulled })
}

/// A type and key that are meant.
struct Meant {
    kind: Kind,
    key: Vec<Value>,
    /// The lanes in which its events are.
    lanes: Vec<u64>,
}

impl Meant {
    fn is(&self, event: &Event) -> bool {
        let moved = event.old_key.as_ref().is_some_and(|old| self.kind.is_key(old, &self.key));
        *event.kind == *self.kind.kind && (moved || self.kind.is_key(&event.key, &self.key))
    }
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
    let found = named(logs, state, name, key)?;
    Ok(found.iter().map(|one| mac(&secret, lane(&one.log, &one.kind, &one.key, &one.folds))).collect())
}

/// The files that tell of the record `key` of the type or table `name`, by drop, oldest first; of drops that are configured no more
/// too.
///
/// # Errors
/// As [`macs`].
pub fn files(
    logs: &mut [CapturedLog],
    state: &mut StateReader,
    name: &str,
    key: &str,
) -> Result<Vec<InFile>, RecordError> {
    let keys: BTreeSet<String> =
        named(logs, state, name, key)?.into_iter().map(|one| ledger_key(&one.kind, one.key)).collect();
    Ok(state.read(|db| {
        let mut files = Vec::new();
        for known in connector::all(db)? {
            for key in &keys {
                files.extend(in_files(db, &known, key)?);
            }
        }
        Ok(files)
    })?)
}

/// A record that a name and a key may mean.
struct Named {
    log: String,
    kind: String,
    key: Record,
    folds: Vec<Collation>,
}

/// Every record that a name and a key may mean: in each log that has the type, and in each way in which the key may be stored.
fn named(logs: &mut [CapturedLog], state: &mut StateReader, name: &str, key: &str) -> Result<Vec<Named>, RecordError> {
    let (mut known, mut found, mut meant) = (Vec::new(), Vec::new(), false);
    for log in logs {
        for kind in log.kinds()? {
            known.push(kind.kind.to_string());
            if kind.is_called(name) {
                meant = true;
                for key in forms(&parse_key(key, &kind.key).map_err(RecordError::Key)?) {
                    let key = kind.key.iter().cloned().zip(key).collect::<Record>();
                    let (log, folds) = (log.name().to_owned(), kind.folds.clone());
                    found.push(Named { log, kind: kind.kind.to_string(), key, folds });
                }
            }
        }
    }
    let posted = state.read(intake::kinds)?;
    if posted.iter().any(|kind| kind == name) {
        meant = true;
        for key in forms(&parse_key(key, &["id"]).map_err(RecordError::Key)?) {
            let key = std::iter::once("id").zip(key).collect::<Record>();
            found.push(Named { log: logs::INTAKE.to_owned(), kind: name.to_owned(), key, folds: Vec::new() });
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
