//! What came of one event at every connector: the answer to whoever posted it and waits.

use serde::Serialize;

use crate::clock;
use crate::event::EventId;
use crate::store::state::attempt::{self, Line};
use crate::store::state::connector::{self, Mode};
use crate::store::state::parked::{self, ParkedState};
use crate::store::state::{LogId, StateError, StateReader, cursor};

/// What came of an event at one connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// Which.
    pub connector: String,
    /// How it stands.
    pub status: FateStatus,
    /// Why, unless the target has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Nothing that happens by itself soon changes this any more.
    #[serde(skip)]
    pub is_final: bool,
}

/// How an event stands at a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FateStatus {
    /// The target has it.
    Success,
    /// It was refused or is held: a person must decide.
    Failed,
    /// It is sent as soon as it can be.
    Waiting,
    /// It is not for this connector.
    Skipped,
}

/// What came of an event at each of these connectors so far.
pub fn fates(state: &mut StateReader, names: &[&str], log: LogId, event: EventId) -> Result<Vec<Fate>, StateError> {
    names.iter().map(|name| fate(state, name, log, event)).collect()
}

fn fate(state: &mut StateReader, name: &str, log: LogId, event: EventId) -> Result<Fate, StateError> {
    let now = clock::steady();
    let told = |status, reason: String, is_final| {
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        Ok(Fate { connector: name.to_owned(), status, reason, is_final })
    };
    state.read(|db| {
        let Some(known) = connector::find(db, name)? else {
            return told(FateStatus::Waiting, "the connector has not run yet".to_owned(), false);
        };
        let lines = attempt::of_event(db, known.id, log, event)?;
        if lines.iter().any(|line| matches!(line, Line::Outcome { settled, .. } if settled.word.is_delivered())) {
            return told(FateStatus::Success, String::new(), true);
        }
        if let Some(parked) = parked::find(db, known.id, &event.to_string())? {
            let reason = parked.reason;
            return match parked.state {
                ParkedState::Waiting => {
                    told(FateStatus::Waiting, format!("{reason}; it is sent again by itself"), false)
                }
                ParkedState::Behind => told(FateStatus::Waiting, reason.to_string(), false),
                ParkedState::Held => told(FateStatus::Failed, format!("held: {reason}"), true),
                ParkedState::Dead => told(FateStatus::Failed, format!("refused: {reason}"), true),
            };
        }
        let passed = cursor::get(db, known.id, log)?.is_some_and(|at| at.seq >= event.seq);
        if passed && lines.is_empty() {
            let why = "the event is not for this connector (`listen` or `where`)";
            return told(FateStatus::Skipped, why.to_owned(), true);
        }
        if known.mode != Mode::Running {
            let why = known.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            return told(FateStatus::Waiting, format!("the connector is {}{why}", known.mode.as_str()), true);
        }
        if let Some(open) = connector::any_breaker(db, known.id)?.filter(|open| open.next_probe > now) {
            let why = format!("the endpoint is down ({}); it is sent when it is back", open.reason);
            return told(FateStatus::Waiting, why, true);
        }
        told(FateStatus::Waiting, "it is on its way".to_owned(), false)
    })
}
