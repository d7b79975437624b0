//! Conflicts as they are shown: in a list without the values of their records, one by one with both sides' values, as far as a view
//! lets them be seen.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::engine::report::shown;
use crate::event::{Record, Value};
use crate::format::json;
use crate::rules::conflict::{Dispute, Stand, Unit};
use crate::rules::governance::Gate;
use crate::store::state::conflict::{self, Choice, Entry};
use crate::store::state::{StateError, StateReader};

/// A conflict.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// Its number.
    pub id: i64,
    /// With which connector.
    pub connector: String,
    /// The watched table.
    pub table: String,
    /// The record's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The record's key.
    pub key: Box<RawValue>,
    /// The field or group of fields; `*` = the whole record.
    pub unit: String,
    /// The fields.
    pub fields: Vec<String>,
    /// `open`, `resolved`, `decided` or `superseded`.
    pub state: &'static str,
    /// The rule: its word in the conflict file, `person`, or why there is none.
    pub rule: String,
    /// Whose values both sides get: `local`, `remote`, `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// When it was first seen.
    pub since: String,
    /// When it came into this state, or its values changed last: what a decision about it may name as `seen`.
    pub at: String,
    /// What a person has decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The values, in full only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
}

/// What a person has decided.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// `local`, `remote` or `value`.
    pub take: String,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: String,
    /// The values that they gave, in full only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
}

/// Both sides of a conflict.
#[derive(Clone, Debug, Serialize)]
pub struct Values {
    /// As last agreed on; none = never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Box<RawValue>>,
    /// The application.
    pub local: Side,
    /// The outside system.
    pub remote: Side,
    /// Which of the times are the whole record's; empty = none.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub precision: &'static str,
}

/// One side.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// It does not have the record.
    pub deleted: bool,
    /// Its values of the disputed fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Box<RawValue>>,
    /// Its first change since they agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Its last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

impl Conflict {
    /// For a list; `view` says what of the key may be shown.
    pub fn new(entry: &Entry, view: &Gate) -> Conflict {
        let decision = entry.take.as_ref().map(|take| Decision {
            take: take.clone(),
            by: entry.who.clone().unwrap_or_default(),
            reason: entry.why.clone(),
            at: entry.resolved.map(|at| at.to_string()).unwrap_or_default(),
            value: None,
        });
        Conflict {
            id: entry.id,
            connector: entry.connector.clone(),
            table: entry.table.clone(),
            kind: entry.kind.clone(),
            key: shown(&view.veil_record(&entry.kind, &key(entry))),
            unit: entry.unit.clone(),
            fields: fields(entry),
            state: entry.state.as_str(),
            rule: entry.rule.clone(),
            winner: entry.winner.clone(),
            reason: entry.reason.clone(),
            since: entry.since.to_string(),
            at: entry.at.to_string(),
            decision,
            values: None,
        }
    }

    /// In full: with the values of both sides, as far as `view` lets them be shown.
    pub fn in_full(entry: &Entry, view: &Gate) -> Conflict {
        let seen = |record: &Record| shown(&view.veil_record(&entry.kind, record));
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let side = |stand: &Stand| Side {
            deleted: stand.values.is_none(),
            values: stand.values.as_ref().map(seen),
            first: time(stand.first),
            last: time(stand.last),
        };
        let dispute = Dispute {
            unit: Unit::Record,
            fields: Vec::new(),
            base: None,
            local: entry.local.clone(),
            remote: entry.remote.clone(),
        };
        let values = Values {
            base: entry.base.as_ref().map(seen),
            local: side(&entry.local),
            remote: side(&entry.remote),
            precision: dispute.precision(),
        };
        let mut conflict = Conflict { values: Some(values), ..Conflict::new(entry, view) };
        if let Some(decision) = &mut conflict.decision {
            decision.value = entry.value.as_ref().map(seen);
        }
        conflict
    }
}

/// The record's key.
pub fn key(entry: &Entry) -> Record {
    match json::decode(entry.key.as_bytes()) {
        Ok(Value::Map(key)) => key,
        _ => Record::new(),
    }
}

/// The disputed fields.
pub fn fields(entry: &Entry) -> Vec<String> {
    let some = entry.local.values.as_ref().or(entry.remote.values.as_ref());
    some.map(|values| values.iter().map(|(name, _)| name.to_string()).collect()).unwrap_or_default()
}

/// Those of a choice, the newest first.
pub fn chosen(state: &mut StateReader, which: &Choice) -> Result<Vec<Entry>, StateError> {
    state.read(|db| conflict::select(db, which))
}
