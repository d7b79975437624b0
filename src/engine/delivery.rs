//! Parked deliveries as they are shown: never with the values of their records unless somebody asks for them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::engine::report::{Stand, Step, shown};
use crate::format::json;
use crate::rules::governance::Gate;
use crate::store::state::connector::{self, Remembered};
use crate::store::state::parked::{self, Parked, Selection};
use crate::store::state::{StateError, StateReader};

/// A parked delivery.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// At which connector.
    pub connector: String,
    /// Event id.
    pub event: String,
    /// Its log.
    pub log: String,
    /// Its position there.
    pub seq: i64,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub op: &'static str,
    /// The record's key.
    pub key: Box<RawValue>,
    /// When it happened.
    pub at: String,
    /// `waiting`, `behind`, `held` or `dead`.
    pub state: &'static str,
    /// Since when.
    pub since: String,
    /// Attempts that count.
    pub attempts: u32,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Why, as a word.
    pub class: String,
    /// Why, in words.
    pub reason: String,
    /// The target's last HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The position of a later change of the record that was delivered meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_by: Option<i64>,
    /// Columns that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// What happened to it here, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Step>,
    /// The event with its values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<RawValue>>,
}

impl Delivery {
    /// For a list; `view` says what of the record may be shown.
    pub fn new(connector: &str, parked: &Parked, view: &Gate) -> Delivery {
        let event = &parked.event;
        Delivery {
            connector: connector.to_owned(),
            event: event.id.to_string(),
            log: event.log.to_string(),
            seq: event.seq(),
            kind: event.kind.to_string(),
            op: event.op.as_str(),
            key: shown(&view.veil_record(&event.kind, &event.key)),
            at: event.at.to_string(),
            state: parked.state.as_str(),
            since: parked.since.to_string(),
            attempts: parked.attempts,
            due: parked.due.map(|due| due.to_string()),
            class: parked.reason.class.to_string(),
            reason: parked.reason.text.to_string(),
            status: parked.status,
            passed_by: parked.passed,
            changed: Vec::new(),
            history: Vec::new(),
            record: None,
        }
    }

    /// In full; `values`: also the values of its record, as far as `view` lets them be shown.
    pub fn in_full(connector: &str, parked: &Parked, stand: Stand, values: bool, view: &Gate) -> Delivery {
        let record = values.then(|| String::from_utf8(json::event(&view.veil(&parked.event))).ok()).flatten();
        Delivery {
            changed: parked.event.changed.iter().map(ToString::to_string).collect(),
            history: stand.history,
            record: record.and_then(|text| RawValue::from_string(text).ok()),
            ..Delivery::new(connector, parked, view)
        }
    }
}

/// The parked deliveries of a choice, each with its connector.
pub fn chosen(state: &mut StateReader, which: &Selection) -> Result<Vec<(Remembered, Parked)>, StateError> {
    let known = state.read(connector::all)?;
    let chosen = state.read(|db| parked::select(db, which))?;
    let of = |id| known.iter().find(|known| known.id == id).cloned();
    Ok(chosen.into_iter().filter_map(|(id, parked)| Some((of(id)?, parked))).collect())
}
