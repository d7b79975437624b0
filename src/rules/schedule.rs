//! Cron schedules with time zones.

use crate::clock::Timestamp;

/// A five-field cron expression in a time zone (default UTC).
#[derive(Clone, Debug)]
pub struct Schedule;

impl Schedule {
    /// Parses and checks that it ever occurs.
    pub fn parse(cron: &str, zone: Option<&str>) -> Result<Schedule, String> {
        let _ = (cron, zone);
        todo!()
    }

    /// The first occurrence after `time`.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let _ = time;
        todo!()
    }

    /// In words, for `check` and `status`.
    pub fn describe(&self) -> String {
        todo!()
    }
}
