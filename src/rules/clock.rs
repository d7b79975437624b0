//! Whether the wall clock can be believed, and what may be deleted by age.
//!
//! Order never comes from time, so a wrong clock costs no event its place. What it can cost is history (everything looks
//! old) and connections (every certificate looks expired, or not valid yet).

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// A clock may be set back by so much without being doubted.
pub const LEEWAY: Duration = Duration::from_secs(5 * 60);

/// Why the clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It shows a time before this program was built.
    BeforeBuild {
        /// What it shows.
        now: Timestamp,
        /// When the program was built.
        built: Timestamp,
    },
    /// It shows a time before what is recorded already.
    BeforeLast {
        /// What it shows.
        now: Timestamp,
        /// The last line of the attempt log.
        last: Timestamp,
    },
}

/// Doubts the clock: `built` = when the program was built, `last` = the last line of the attempt log.
pub fn doubt(now: Timestamp, built: Timestamp, last: Option<Timestamp>) -> Option<Doubt> {
    if now < built {
        return Some(Doubt::BeforeBuild { now, built });
    }
    let last = last.filter(|last| now.plus(LEEWAY) < *last)?;
    Some(Doubt::BeforeLast { now, last })
}

/// What is older than this may be deleted by age; none while the clock is not believed. `steady` moves on without jumps
/// from the time at which the process started: a clock that is set forward while it runs makes nothing old at once.
/// A process that started with a clock from before the build follows the wall clock instead.
pub fn cutoff(
    now: Timestamp,
    steady: Timestamp,
    built: Timestamp,
    last: Option<Timestamp>,
    keep: Duration,
) -> Option<Timestamp> {
    if doubt(now, built, last).is_some() {
        return None;
    }
    let believed = if steady < built { now } else { now.min(steady) };
    Some(believed.minus(keep))
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::BeforeBuild { now, built } => {
                write!(f, "the clock shows {now}, but this program was built at {built}")
            }
            Doubt::BeforeLast { now, last } => {
                write!(f, "the clock shows {now}, but something was sent at {last} already")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: Timestamp = Timestamp(1_000_000_000);
    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    #[test]
    fn a_clock_before_the_build_or_more_than_five_minutes_before_the_last_line_is_doubted() {
        let at = |ms: i64| Timestamp(BUILT.0 + ms);
        assert!(matches!(doubt(at(-1), BUILT, None), Some(Doubt::BeforeBuild { .. })));
        assert_eq!(doubt(at(0), BUILT, None), None);
        assert_eq!(doubt(at(0), BUILT, Some(at(300_000))), None);
        assert!(matches!(doubt(at(0), BUILT, Some(at(300_001))), Some(Doubt::BeforeLast { .. })));
    }

    #[test]
    fn nothing_is_old_by_a_clock_that_is_doubted_or_was_just_set_forward() {
        let (now, years) = (BUILT.plus(WEEK), Duration::from_secs(10 * 365 * 86_400));
        assert_eq!(cutoff(BUILT.minus(WEEK), now, BUILT, None, WEEK), None);
        assert_eq!(cutoff(now, now, BUILT, Some(now.plus(WEEK)), WEEK), None);
        assert_eq!(cutoff(now, now, BUILT, None, WEEK), Some(now.minus(WEEK)));
        assert_eq!(cutoff(now.plus(years), now, BUILT, None, WEEK), Some(now.minus(WEEK)));
        // Started with a clock that had not been set yet: its own time says nothing.
        assert_eq!(cutoff(now, Timestamp(0), BUILT, None, WEEK), Some(now.minus(WEEK)));
    }
}
