//! What `status` tells of connectors and of one record.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::{self, Timestamp};
use crate::engine::drop::{self, Carried, told};
use crate::engine::handler::is_handler;
use crate::engine::pull::{PullStatus, pull_status};
use crate::event::{Event, Record, Value};
use crate::format::json;
use crate::rules::governance::Gate;
use crate::store::state::attempt::{Line, UNSENT, Word};
use crate::store::state::conflict;
use crate::store::state::connector::{self, Mode, Remembered};
use crate::store::state::counter::{self, Counter};
use crate::store::state::parked::{self, Parked, ParkedState};
use crate::store::state::{LogId, StateError, StateReader, act, attempt, cursor, log as logs, pace, pull};

/// A connector at a glance.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorStatus {
    /// Its name.
    pub connector: String,
    /// `stream`, `schedule` or `drop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// When it runs, in words, if not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// When it runs next, if not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run: Option<String>,
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
    /// When it is tried whether the endpoint answers again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_probe: Option<String>,
    /// Until when its endpoint has asked to be left alone (`Retry-After`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_until: Option<String>,
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
    /// Conflicts that wait for a person.
    #[serde(skip_serializing_if = "is_zero")]
    pub conflicts: u64,
    /// When the oldest of those was first seen.
    #[serde(skip)]
    pub oldest_conflict: Option<Timestamp>,
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
    /// What it reads, if it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullStatus>,
    /// What went wrong last, also when it is well again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Mishap>,
    /// The last hour; absent when nothing happened in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<LastHour>,
    /// When the oldest event was captured that is parked and due again.
    #[serde(skip)]
    pub oldest_waiting: Option<Timestamp>,
    /// The same of those that are behind or held.
    #[serde(skip)]
    pub oldest_held: Option<Timestamp>,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Mishap {
    /// When.
    pub at: String,
    /// What, as a word.
    pub class: String,
    /// What, in words.
    pub reason: String,
}

/// Sixty minutes, oldest first; the last one has only begun.
#[derive(Clone, Debug, Serialize)]
pub struct LastHour {
    /// Delivered in each.
    pub delivered: Vec<u64>,
    /// Attempts that failed in each, and what was held or refused.
    pub failed: Vec<u64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// So many events above the cursor are looked at one by one: one that is tried again and again holds the cursor while those
/// behind it are delivered. Of more, those few make no difference.
const FEW: i64 = 2_000;

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
                let mut left = (highest - at.seq - parked::count_above(db, known.id, *log, at.seq)?).max(0);
                if (1..=FEW).contains(&left) {
                    left = (left - attempt::delivered_above(db, known, *log, at.seq)?).max(0);
                }
                queued += left;
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
        let hour = pace::hour(db, known.id, clock::now())?;
        let is_quiet = hour.delivered.iter().chain(&hour.failed).all(|n| *n == 0);
        let last = match hour.last {
            Some(at) => Some(at),
            // From before it was noted.
            None => attempt::last_delivered(db, known.id)?,
        };
        let mishap = pace::mishap(db, known.id)?;
        let disputes = conflict::waiting(db, known.id)?;
        let waits = connector::any_hold(db, known.id)?.filter(|until| *until > clock::now());
        Ok(ConnectorStatus {
            connector: known.name.clone(),
            kind: None,
            schedule: None,
            next_run: None,
            mode: known.mode.as_str(),
            configured: true,
            reason,
            down_since: breaker.as_ref().map(|open| open.opened.to_string()),
            next_probe: breaker.map(|open| open.next_probe.to_string()),
            waits_until: waits.map(|until| until.to_string()),
            queued,
            oldest: oldest.map(|at| at.to_string()),
            waiting: parked(ParkedState::Waiting),
            behind: parked(ParkedState::Behind),
            held: parked(ParkedState::Held),
            dead: parked(ParkedState::Dead),
            conflicts: disputes.open,
            oldest_conflict: disputes.since,
            braked: connector::braked(db, known.id)?,
            delivered: counter::delivered(db, known.id)?,
            last: last.map(|at| at.to_string()),
            skipped: counter::get(db, known.id, Counter::Skipped)?,
            discarded: counter::get(db, known.id, Counter::Discarded)?,
            retried: counter::get(db, known.id, Counter::Retried)?,
            pull: pull_status(db, known)?,
            last_error: mishap.map(|(at, reason)| Mishap {
                at: at.to_string(),
                class: reason.class.to_string(),
                reason: reason.text.to_string(),
            }),
            hour: (!is_quiet).then(|| LastHour { delivered: hour.delivered.to_vec(), failed: hour.failed.to_vec() }),
            oldest_waiting: parked::oldest(db, known.id, &[ParkedState::Waiting])?,
            oldest_held: parked::oldest(db, known.id, &[ParkedState::Behind, ParkedState::Held])?,
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
    /// The connector that it came in by, when it was read from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Columns that changed.
    pub changed: Vec<String>,
    /// At each connector.
    pub connectors: Vec<Stand>,
}

impl EventHistory {
    /// An event and where it stands; no value of the record but its key, as far as `view` lets it be shown.
    pub fn new(event: &Event, connectors: Vec<Stand>, view: &Gate) -> EventHistory {
        let key = |key: &Record| shown(&view.veil_record(&event.kind, key));
        EventHistory {
            id: event.id.to_string(),
            log: event.log.to_string(),
            kind: event.kind.to_string(),
            op: event.op.to_string(),
            key: key(&event.key),
            old_key: event.old_key.as_ref().map(key),
            at: event.at.to_string(),
            origin: event.origin.as_ref().map(ToString::to_string),
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
    /// `queued`, `sending`, `delivered`, `skipped`, `passed` (by a handler), `discarded`, `waiting`, `behind`, `held`, `dead`.
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
    let mut stands = Vec::with_capacity(known.len());
    for known in &known {
        let stand = stand(state, known, log, event)?;
        // To one that only reads nothing is sent, whatever waits.
        let nothing = stand.history.is_empty() && stand.reason.is_none();
        if nothing && state.read(|db| pull::get(db, known.id))?.is_some_and(|pull| pull.book.both_ways == Some(false)) {
            continue;
        }
        stands.push(stand);
    }
    Ok(stands)
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
        let way = told::way(db, known, event)?;
        let files = drop::carried(db, known.id, event.id)?;
        let state = match &parked {
            Some(parked) => parked.state.as_str(),
            None if way.as_ref().is_some_and(|way| way.state == "held") => "held",
            None if !files.is_empty() => drop::stands(&files),
            None if way.is_some() => way.as_ref().map_or("queued", |way| way.state),
            None if delivered => "delivered",
            None if event.seq() > at.seq && matches!(lines.last(), Some(Line::Intent { .. })) => "sending",
            None if event.seq() > at.seq => "queued",
            None if discarded => "discarded",
            // What it has done with each is not noted.
            None if is_handler(&known.name) => "passed",
            None => "skipped",
        };
        let mut history: Vec<(Timestamp, String)> = lines.iter().map(describe).collect();
        history.extend(acts.into_iter().map(|act| {
            let why = act.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            (act.at, format!("{} by {}{why}", act.verb, act.actor))
        }));
        history.extend(way.into_iter().flat_map(|way| way.steps));
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
        Line::Outcome { at, settled } if settled.class == UNSENT => (*at, "put back before it was sent".to_owned()),
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
