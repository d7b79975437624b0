//! When a connector is read.

use std::time::Duration;

use super::HALTED;
use crate::clock::Timestamp;
use crate::rules::schedule::Schedule;

/// When a connector is read.
#[derive(Clone, Debug)]
pub enum Tempo {
    /// So long after the last run ended.
    Every(Duration),
    /// At the times of a schedule.
    Schedule(Schedule),
}

impl Tempo {
    /// How long from now on until it is read again.
    pub(super) fn next(&self, now: Timestamp) -> Duration {
        match self {
            Tempo::Every(pause) => *pause,
            Tempo::Schedule(schedule) => schedule.next_after(now).map_or(HALTED, |at| at.since(now)),
        }
    }
}
