//! `retention:` and `capture:`: how long and how much is kept.

use std::time::Duration;

use crate::config::found::Found;

const DAY: u64 = 86_400;

/// What is kept, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Delivered events stay this long for replay and simulate; default 7 days.
    pub events: Duration,
    /// Audit records stay this long; default 6 years (45 CFR 164.316(b)(2)).
    pub audit: Duration,
    /// Conflicts that are over stay this long, with the values of both sides; default 90 days.
    pub conflicts: Duration,
    /// Delivered events beyond this number go earlier.
    pub max_rows: Option<u64>,
    /// Delivered events beyond this size go earlier.
    pub max_bytes: Option<u64>,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            events: Duration::from_secs(7 * DAY),
            audit: Duration::from_secs(6 * 365 * DAY),
            conflicts: Duration::from_secs(90 * DAY),
            max_rows: None,
            max_bytes: None,
        }
    }
}

impl Retention {
    /// Reads `retention:`.
    pub(crate) fn read(found: &Found<'_>) -> Option<Retention> {
        let fields = found.fields()?;
        let default = Retention::default();
        let retention = Retention {
            events: fields.duration("events").unwrap_or(default.events),
            audit: fields.duration("audit").unwrap_or(default.audit),
            conflicts: fields.duration("conflicts").unwrap_or(default.conflicts),
            max_rows: fields.take("maxRows").and_then(|found| found.integer(1..=i64::MAX)).map(i64::unsigned_abs),
            max_bytes: fields.take("maxBytes").and_then(|found| found.bytes()),
        };
        fields.done();
        Some(retention)
    }
}

/// The overflow valve of capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Bytes of unacknowledged events beyond which capture stops and counts instead, so that an agent that is
    /// down for months does not fill the application's disk; default [`Capture::CAP`].
    pub cap: u64,
}

impl Capture {
    /// 1 GiB: a million changes of a thousand bytes, weeks of a busy office.
    pub const CAP: u64 = 1 << 30;

    /// Reads `capture:`.
    pub(crate) fn read(found: &Found<'_>) -> Option<Capture> {
        let fields = found.fields()?;
        let capture = Capture { cap: fields.take("cap").and_then(|found| found.bytes()).unwrap_or(Capture::CAP) };
        fields.done();
        Some(capture)
    }
}

impl Default for Capture {
    fn default() -> Capture {
        Capture { cap: Capture::CAP }
    }
}
