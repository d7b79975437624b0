//! A clock that was set, and times from the future.

use std::time::Duration;

use crate::clock::Timestamp;

/// A clock that was set by more than this needs a person's word before the next cut.
pub const JUMP: Duration = Duration::from_secs(24 * 3600);

/// What the clocks showed at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall: Timestamp,
    /// The steady clock of this process (`clock::steady`); none for a reading of an earlier process.
    pub steady: Option<Timestamp>,
}

/// How far the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// Forward by so much.
    Forward(Duration),
    /// Back by so much.
    Back(Duration),
}

/// Whether the wall clock was set by more than [`JUMP`] between two readings. Across a restart only a clock that was set
/// back is seen: one that was set forward looks like an agent that was off, which the limit of missed cuts bounds.
/// A machine that slept for so long looks like one whose clock was set.
pub fn jump(earlier: Reading, now: Reading) -> Option<Jump> {
    let elapsed = match (earlier.steady, now.steady) {
        (Some(before), Some(after)) => Some(after.since(before)),
        _ => None,
    };
    let back = earlier.wall.plus(elapsed.unwrap_or_default()).since(now.wall);
    if back > JUMP {
        return Some(Jump::Back(back));
    }
    let forward = now.wall.since(earlier.wall.plus(elapsed?));
    (forward > JUMP).then_some(Jump::Forward(forward))
}

/// The running maximum of the times of a log's changes, in the order of the log. A change's business date comes from
/// this, so that dates follow the order of commits although a clock was set back between two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest(pub Timestamp);

impl Newest {
    /// The time that counts for the next change of the log: the latest so far. `seen` = the wall clock when it was read: a
    /// time later than that is not believed, or one row from the future would take all later ones with it.
    pub fn pass(&mut self, at: Timestamp, seen: Timestamp) -> Timestamp {
        self.0 = self.0.max(at.min(seen));
        self.0
    }
}
