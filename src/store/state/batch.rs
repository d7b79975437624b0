//! What one worker wants remembered in one commit.

use rusqlite::Connection;

use super::act::{self, Act};
use super::attempt::{self, Intent, Settled, Under};
use super::connector::{self, Mode, OpenBreaker};
use super::counter::{self, Counter};
use super::parked::{self, Parked, ParkedState};
use std::sync::Arc;

use super::pull::sent::{self, Sent};
use super::{ConnectorId, LogId, Sql, account, amended, cursor, link, pace};
use crate::clock::Timestamp;
use crate::event::{Event, EventId};
use crate::rules::outcome::Reason;

/// One thing to remember.
#[derive(Debug)]
pub enum Entry {
    /// These events are about to be sent, encoded under this configuration, to this scheme, host and port.
    Intend(LogId, [u8; 32], Box<str>, Vec<Intent>),
    /// This came of them.
    Settle(LogId, Vec<Settled>),
    /// Everything up to here is settled.
    Advance(LogId, i64),
    /// A delivery stands aside, or stands aside otherwise than before.
    Park(Box<Parked>),
    /// These bytes, encoded under this configuration, are about to be sent for a parked delivery.
    Freeze(EventId, Vec<u8>, [u8; 32]),
    /// These bytes, made by a hook, are about to be sent for an event that is not parked.
    Keep(LogId, EventId, Vec<u8>),
    /// What came of them is known.
    Forget(LogId, EventId),
    /// A parked delivery is done; the next of its record moves up.
    End(LogId, Box<Event>),
    /// A later change of a record with a dead letter was delivered.
    Pass(Box<Event>),
    /// Sums.
    Count(Counter, u64),
    /// The connector's mode.
    Mode(Mode, Option<Reason>),
    /// The breaker of an endpoint: open, or none when it closed.
    Breaker(String, Option<OpenBreaker>),
    /// An endpoint asked to be left alone until then (`Retry-After`).
    Hold(String, Timestamp),
    /// So many records are braked.
    Braked(u64),
    /// Every intent up to this attempt number has its outcome.
    Settled(i64),
    /// A scheduled run began.
    LastRun(Timestamp),
    /// What a target calls a record (event type, key): names and values; none = it has it no more.
    Link(String, String, Option<Vec<(String, String)>>),
    /// This record is about to be sent to a connector that is read too.
    Leaves(Box<Sent>),
    /// It has arrived there.
    Arrived(Box<Sent>),
    /// It does not leave, because its contents cross again and again; with the table of its conflicts.
    Round(Arc<str>, Box<Sent>),
}

/// What one worker wants remembered, all of it or nothing.
#[derive(Debug)]
pub struct Batch {
    /// Whose.
    pub connector: ConnectorId,
    /// What, in order.
    pub entries: Vec<Entry>,
}

impl Batch {
    /// Writes everything; the transaction around it makes it durable.
    pub fn apply(&self, db: &Connection) -> Sql<()> {
        let of = self.connector;
        // Times in the attempt log are wall time: they are read by people, never compared.
        let now = crate::clock::now();
        let (mut delivered, mut failed) = (0, 0);
        for entry in &self.entries {
            match entry {
                Entry::Intend(log, config, origin, group) => {
                    attempt::intend(db, of, *log, Under { config, origin }, now, group)?;
                }
                Entry::Settle(log, group) => {
                    attempt::settle(db, of, *log, now, group)?;
                    counter::add_attempts(db, of, group)?;
                }
                Entry::Advance(log, seq) => cursor::advance(db, of, *log, *seq)?,
                Entry::Park(parked) => {
                    account::note_parked(db, of, parked)?;
                    if matches!(parked.state, ParkedState::Held | ParkedState::Dead) {
                        let (subject, reason) = (parked.event.id.to_string(), parked.reason.to_string());
                        let verb = if *parked.reason.class == *GATE { GATE } else { PARK };
                        note(db, of, verb, Some(&subject), Some(&reason), now)?;
                    }
                    if parked.state == ParkedState::Behind {
                        parked::park_behind(db, of, parked, crate::clock::steady())?;
                    } else {
                        parked::park(db, of, parked)?;
                    }
                }
                Entry::Freeze(id, frozen, config) => parked::freeze(db, of, *id, frozen, config)?,
                Entry::Keep(log, id, frozen) => amended::keep(db, of, *log, *id, frozen)?,
                Entry::Forget(log, id) => amended::forget(db, of, *log, *id)?,
                Entry::End(_, event) => {
                    parked::end(db, of, event, crate::clock::steady())?;
                }
                Entry::Pass(event) => parked::pass(db, of, event)?,
                Entry::Count(counter, n) => {
                    match counter {
                        Counter::Delivered => delivered += n,
                        Counter::Retried | Counter::Dead | Counter::Held => failed += n,
                        _ => {}
                    }
                    counter::add(db, of, *counter, *n)?;
                }
                Entry::Mode(mode, reason) => {
                    connector::set_mode(db, of, *mode, reason.as_ref(), now)?;
                    let reason = reason.as_ref().map(ToString::to_string);
                    note(db, of, mode.as_str(), None, reason.as_deref(), now)?;
                }
                Entry::Breaker(origin, open) => connector::set_breaker(db, of, origin, open.as_ref())?,
                Entry::Hold(origin, until) => connector::set_hold(db, of, origin, *until)?,
                Entry::Braked(n) => connector::set_braked(db, of, *n)?,
                Entry::Settled(n) => {
                    connector::set_settled(db, of, *n)?;
                    account::reopen(db, of)?;
                }
                Entry::LastRun(at) => connector::set_last_run(db, of, *at)?,
                Entry::Link(kind, key, Some(values)) => link::keep(db, of, kind, key, values)?,
                Entry::Leaves(record) => sent::leaves(db, of, record, now)?,
                Entry::Arrived(record) => sent::arrived(db, of, record, now)?,
                Entry::Round(table, record) => sent::goes_round(db, of, table, record, now)?,
                Entry::Link(kind, key, None) => link::forget(db, of, kind, key)?,
            }
        }
        if let Some(reason) = self.went_wrong() {
            pace::note_mishap(db, of, &reason, now)?;
        }
        pace::add(db, of, delivered, failed, now)
    }

    /// What went wrong last, if anything did. What an answer meant for its delivery says more than the answer.
    fn went_wrong(&self) -> Option<Reason> {
        let meant = self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Park(parked) if parked.state != ParkedState::Behind => Some(parked.reason.clone()),
            Entry::Mode(Mode::Halted, Some(reason)) => Some(reason.clone()),
            Entry::Breaker(_, Some(open)) => Some(open.reason.clone()),
            _ => None,
        });
        meant.or_else(|| {
            self.entries.iter().rev().find_map(|entry| match entry {
                Entry::Settle(_, group) => group.iter().rev().find_map(failed),
                _ => None,
            })
        })
    }
}

/// The failure of an attempt, if it was one and was made at all.
fn failed(settled: &Settled) -> Option<Reason> {
    if settled.word.is_delivered() || settled.class.is_empty() || settled.class == attempt::UNSENT {
        return None;
    }
    let words = match settled.status {
        0 => format!("no answer ({})", settled.class),
        status => format!("the target answered {status}"),
    };
    Some(Reason::new(settled.class.clone(), words))
}

/// The verbs under which the agent notes what it parks by itself: a refusal of the gate, and anything else.
pub const GATE: &str = "gate";
/// As [`GATE`].
pub const PARK: &str = "park";

fn note(
    db: &Connection,
    of: ConnectorId,
    verb: &str,
    subject: Option<&str>,
    reason: Option<&str>,
    now: Timestamp,
) -> Sql<()> {
    act::record(db, &Act { actor: "system", verb, connector: Some(of), subject, reason }, now)
}
