//! What `status` tells of connectors and of one record.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::engine::drop::{self, Carried};
use crate::event::{Event, Record, Value};
use crate::format::json;
use crate::store::state::attempt::{Line, Word};
use crate::store::state::connector::{self, Mode, Remembered};
use crate::store::state::counter::{self, Counter};
use crate::store::state::parked::{self, Parked, ParkedState};
use crate::store::state::{LogId, StateError, StateReader, act, attempt, cursor, log as logs};

/// A connector at a glance.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorStatus {
    /// Its name.
    pub connector: String,
    /// `running`, `paused`, `halted`, `overflowed`, or `new` when it never ran.
    pub mode: &'static str,
    /// It stands in the configuration.
    pub configured: bool,
    /// Why it is not running, or why its endpoint is taken for down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The endpoint does not answer; since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_since: Option<String>,
    /// Events above the cursor, not yet looked at or in flight; those that are parked are not among them.
    pub queued: i64,
    /// When the oldest of them was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// Parked: due again.
    pub waiting: u64,
    /// Parked: behind an earlier change of the same record.
    pub behind: u64,
    /// Parked: held.
    pub held: u64,
    /// Parked: dead letters.
    pub dead: u64,
    /// Records that are braked, because each delivery of them causes their next change.
    pub braked: u64,
    /// Delivered so far.
    pub delivered: u64,
    /// When it last delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Filtered out so far.
    pub skipped: u64,
    /// Discarded by a person so far.
    pub discarded: u64,
    /// Attempts that failed and were made again.
    pub retried: u64,
}

/// One connector's status. `logs` gives, for each log it reads, the highest position and when the event after a
/// position was captured.
pub fn connector_status(
    state: &mut StateReader,
    known: &Remembered,
    logs: &[(LogId, i64)],
    mut captured_at: impl FnMut(LogId, i64) -> Option<Timestamp>,
) -> Result<ConnectorStatus, StateError> {
    state.read(|db| {
        let mut queued = 0;
        let mut oldest: Option<Timestamp> = None;
        for (log, highest) in logs {
            let Some(at) = cursor::get(db, known.id, *log)? else { continue };
            if *highest > at.seq {
                let aside = i64::try_from(parked::ids_above(db, known.id, *log, at.seq)?.len()).unwrap_or(0);
                queued += (highest - at.seq - aside).max(0);
                let first = captured_at(*log, at.seq);
                oldest = [oldest, first].into_iter().flatten().min();
            }
        }
        let counts = parked::counts(db, known.id)?;
        let parked = |state: ParkedState| counts.iter().find(|(of, _)| *of == state).map_or(0, |(_, n)| *n);
        let breaker = connector::any_breaker(db, known.id)?;
        let reason = match known.mode {
            Mode::Running => breaker.as_ref().map(|open| open.reason.to_string()),
            _ => known.reason.as_ref().map(ToString::to_string),
        };
        Ok(ConnectorStatus {
            connector: known.name.clone(),
            mode: known.mode.as_str(),
            configured: true,
            reason,
            down_since: breaker.map(|open| open.opened.to_string()),
            queued,
            oldest: oldest.map(|at| at.to_string()),
            waiting: parked(ParkedState::Waiting),
            behind: parked(ParkedState::Behind),
            held: parked(ParkedState::Held),
            dead: parked(ParkedState::Dead),
            braked: connector::braked(db, known.id)?,
            delivered: counter::delivered(db, known.id)?,
            last: attempt::last_delivered(db, known.id)?.map(|at| at.to_string()),
            skipped: counter::get(db, known.id, Counter::Skipped)?,
            discarded: counter::get(db, known.id, Counter::Discarded)?,
            retried: counter::get(db, known.id, Counter::Retried)?,
        })
    })
}

/// One event of a record, at every connector.
#[derive(Clone, Debug, Serialize)]
pub struct EventHistory {
    /// Event id.
    pub id: String,
    /// Log.
    pub log: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub op: String,
    /// Its key, as in the event's JSON.
    pub key: Box<RawValue>,
    /// Its key before, when that changed.
    #[serde(rename = "oldKey", skip_serializing_if = "Option::is_none")]
    pub old_key: Option<Box<RawValue>>,
    /// When.
    pub at: String,
    /// Columns that changed.
    pub changed: Vec<String>,
    /// At each connector.
    pub connectors: Vec<Stand>,
}

impl EventHistory {
    /// An event and where it stands; no value of the record but its key.
    pub fn new(event: &Event, connectors: Vec<Stand>) -> EventHistory {
        EventHistory {
            id: event.id.to_string(),
            log: event.log.to_string(),
            kind: event.kind.to_string(),
            op: event.op.to_string(),
            key: shown(&event.key),
            old_key: event.old_key.as_ref().map(shown),
            at: event.at.to_string(),
            changed: event.changed.iter().map(ToString::to_string).collect(),
            connectors,
        }
    }
}

/// A key as JSON.
pub fn shown(key: &Record) -> Box<RawValue> {
    let text = String::from_utf8(json::value(&Value::Map(key.clone()))).unwrap_or_default();
    // What the format writes is JSON.
    RawValue::from_string(text).unwrap_or_default()
}

/// Where an event stands at one connector.
#[derive(Clone, Debug, Serialize)]
pub struct Stand {
    /// Which.
    pub connector: String,
    /// `queued`, `sending`, `delivered`, `skipped`, `discarded`, `waiting`, `behind`, `held`, `dead`.
    pub state: String,
    /// Why, when it is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is due again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// What happened, oldest first, in plain words.
    pub history: Vec<Step>,
    /// The files that it went into, where the connector is a drop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Carried>,
}

/// One step of a history.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// When.
    pub at: String,
    /// What, in plain words.
    pub what: String,
}

/// Where an event stands at every connector that the agent knows.
pub fn stands(state: &mut StateReader, event: &Event) -> Result<Vec<Stand>, StateError> {
    let Some(log) = state.read(|db| logs::find(db, &event.log))? else { return Ok(Vec::new()) };
    let known = state.read(connector::all)?;
    known.iter().map(|known| stand(state, known, log, event)).collect()
}

/// Where one event stands at one connector, and how it came there.
pub fn stand(state: &mut StateReader, known: &Remembered, log: LogId, event: &Event) -> Result<Stand, StateError> {
    let id = event.id.to_string();
    state.read(|db| {
        let lines = attempt::of_event(db, known.id, log, event.id)?;
        let parked = parked::find(db, known.id, &id)?;
        let at = cursor::get(db, known.id, log)?.unwrap_or_default();
        let delivered =
            lines.iter().any(|line| matches!(line, Line::Outcome { settled, .. } if settled.word.is_delivered()));
        let acts = act::upon(db, known.id, &id)?;
        let discarded = acts.iter().any(|act| act.verb == "discard");
        let files = drop::carried(db, known.id, event.id)?;
        let state = match &parked {
            Some(parked) => parked.state.as_str(),
            None if delivered => "delivered",
            None if !files.is_empty() => drop::stands(&files),
            None if event.seq() > at.seq && matches!(lines.last(), Some(Line::Intent { .. })) => "sending",
            None if event.seq() > at.seq => "queued",
            None if discarded => "discarded",
            None => "skipped",
        };
        let mut history: Vec<(Timestamp, String)> = lines.iter().map(describe).collect();
        history.extend(acts.into_iter().map(|act| {
            let why = act.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            (act.at, format!("{} by {}{why}", act.verb, act.actor))
        }));
        history.sort_by_key(|(at, _)| *at);
        Ok(Stand {
            connector: known.name.clone(),
            state: state.to_owned(),
            reason: parked.as_ref().map(why),
            due: parked.and_then(|parked| parked.due).map(|due| due.to_string()),
            history: history.into_iter().map(|(at, what)| Step { at: at.to_string(), what }).collect(),
            files,
        })
    })
}

/// Why a delivery is parked. What stands behind another is of the class `behind`: beside its state, once is enough.
pub fn why(parked: &Parked) -> String {
    let reason = &parked.reason;
    if *reason.class == *parked.state.as_str() { reason.text.to_string() } else { reason.to_string() }
}

fn describe(line: &Line) -> (Timestamp, String) {
    match line {
        Line::Intent { at, intent, .. } => (*at, format!("attempt {}", intent.attempt)),
        Line::Outcome { at, settled } => {
            let what = match settled.word {
                Word::Success => "delivered",
                Word::SuccessWithRemarks => "delivered, with remarks",
                Word::Duplicate => "the target had it already",
                Word::Conflict => "conflict with a change at the target",
                Word::Retry => "not delivered, to be tried again",
                Word::Reauth => "not delivered, the credential was refused",
                Word::Reject => "refused by the target",
                Word::Halt => "not delivered, the connector halted",
                Word::Unknown => "not known whether it was delivered, to be sent again",
            };
            let status = if settled.status == 0 { String::new() } else { format!(", HTTP {}", settled.status) };
            let class = if settled.class.is_empty() { String::new() } else { format!(" ({})", settled.class) };
            let took = f64::from(settled.took_us) / 1000.0;
            (*at, format!("{what}{class}{status}, after {took:.1} ms"))
        }
    }
}
