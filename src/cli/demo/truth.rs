//! What the office has done, as the clerk knows it: kept in memory, beside the database and not from the outbox.

use std::fmt;
use std::time::Instant;

use serde_json::{Value, json};

/// An appointment, as the office's table holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appointment {
    /// Who comes. Not in the connector's map, so it never leaves the office.
    pub patient: String,
    /// Where.
    pub room: String,
    /// When, `HH:MM`.
    pub starts: String,
    /// How long, in minutes.
    pub minutes: i64,
    /// `booked`, `arrived`, `seen`.
    pub status: String,
}

impl Appointment {
    /// The body that the scheduler is to get for it. Written down here a second time on purpose: what the agent makes
    /// of the connector's `mapping` is held against this.
    pub fn wanted(&self) -> Value {
        let state = match self.status.as_str() {
            "booked" => "B",
            "arrived" => "A",
            _ => "S",
        };
        json!({"slot": {"start": self.starts, "seconds": self.minutes * 60, "room": self.room}, "state": state})
    }
}

impl fmt::Display for Appointment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Appointment { room, starts, minutes, status, .. } = self;
        write!(f, "{starts} {minutes:>2} min {room:<6} {status}")
    }
}

/// What a change does to the records.
#[derive(Clone, Debug)]
pub enum Edit {
    /// The record is now this.
    Set(i64, Appointment),
    /// The record is gone.
    Gone(i64),
    /// The record has another number, and is now this.
    Renumbered(i64, i64, Appointment),
}

/// One committed change of one row.
#[derive(Clone, Debug)]
pub struct Change {
    /// When its commit began.
    pub at: Instant,
    /// What it does.
    pub edit: Edit,
}

/// What must arrive about one record.
#[derive(Clone, Debug)]
pub struct Step {
    /// The record.
    pub record: i64,
    /// It is now this; none = it is gone.
    pub now: Option<Appointment>,
    /// When its commit began.
    pub at: Instant,
}

impl Change {
    /// What must arrive, in order.
    pub fn steps(&self) -> Vec<Step> {
        let step = |record: i64, now: Option<&Appointment>| Step { record, now: now.cloned(), at: self.at };
        match &self.edit {
            Edit::Set(record, now) => vec![step(*record, Some(now))],
            Edit::Gone(record) => vec![step(*record, None)],
            Edit::Renumbered(old, new, now) => vec![step(*old, None), step(*new, Some(now))],
        }
    }
}

/// Everything that was committed, in commit order.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// The changes.
    pub changes: Vec<Change>,
    /// Transactions that were committed.
    pub transactions: u64,
    /// Transactions that were rolled back.
    pub rolled_back: u64,
}
