//! The life of an alert: opened, reminded, cleared. One for each condition and what it is about, however many events
//! are behind it.
//!
//! It is opened when its condition is found, and told again at growing distances for as long as that lasts. It is over
//! when nothing was found for a while; what comes and goes is given a longer while each time, so that a flapping
//! endpoint does not ring at every flap.

mod condition;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::rules::room::EARLY;

pub use condition::{Condition, Pace, Severity, matches};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// It is told again when the trouble has lasted so long, then each day.
pub const STEPS: [Duration; 2] = [HOUR, DAY];
/// Between two notices of one alert lies at least so much time.
const GAP: Duration = Duration::from_secs(15 * 60);
/// The longest while for which nothing must be found, however often it has come and gone.
const LONGEST_CALM: Duration = Duration::from_secs(2 * 3600);
/// An alert that was over for so long is forgotten; one that comes again before has come and gone.
const FORGET: Duration = DAY;

/// From when on something is a condition, and how long it must be gone to be over. What stands here holds unless
/// `alertAfter:` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Dead letters of a connector.
    pub dead_letters: u64,
    /// Deliveries of a connector that are held.
    pub held: u64,
    /// How long an endpoint may be down.
    pub breaker_open: Duration,
    /// How old the oldest event may be that waits for a connector, counted from when it was due.
    pub oldest: Duration,
    /// How long a connector may deliver nothing; none = for ever, since many have nothing to deliver for days.
    pub no_delivery: Option<Duration>,
    /// Free bytes below which a disk is told of before it has too little.
    pub disk_free: u64,
    /// Before a certificate ends.
    pub certificate: Duration,
    /// Before a calendar ends.
    pub calendar: Duration,
    /// By how much the clock of a target may differ from ours.
    pub clock: Duration,
    /// For how long nothing must be found before an alert is over.
    pub clear: Duration,
    /// How often is looked.
    pub check: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            dead_letters: 1,
            held: 1,
            breaker_open: Duration::from_secs(15 * 60),
            oldest: Duration::from_secs(15 * 60),
            no_delivery: None,
            disk_free: EARLY,
            certificate: DAY * 30,
            calendar: DAY * 60,
            clock: Duration::from_secs(5 * 60),
            clear: Duration::from_secs(5 * 60),
            check: Duration::from_secs(15),
        }
    }
}

/// A condition as it is found: counts, names and classes, never a key or a value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub condition: Condition,
    /// What it is about: a connector, a log, a folder.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// Since when, as far as known.
    pub since: Option<Timestamp>,
    /// How many, where there is something to count.
    pub count: Option<u64>,
    /// What is wrong, one line.
    pub what: String,
    /// What to do.
    pub mend: String,
}

/// What is remembered of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// How bad, as last found.
    pub severity: Severity,
    /// Since when the condition holds, as far as known; else when it was found.
    pub since: i64,
    /// How many, as last found.
    pub count: Option<u64>,
    /// What is wrong, as last found.
    pub what: String,
    /// What to do.
    pub mend: String,
    /// When it was opened.
    pub opened: i64,
    /// When it was told last.
    pub told: i64,
    /// How often it was told since it was opened.
    pub times: u32,
    /// Since when nothing is found; none = it is.
    pub calm: Option<i64>,
    /// When it was over; none = it is open.
    pub cleared: Option<i64>,
    /// How often it has come again soon after it was over.
    pub flaps: u32,
}

/// What is to be told of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// It begins.
    Opened,
    /// It is still so, or worse.
    Reminded,
    /// It is over.
    Cleared,
    /// Somebody tries the channel.
    Test,
}

impl Step {
    /// The word in notices.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Opened => "opened",
            Step::Reminded => "reminded",
            Step::Cleared => "cleared",
            Step::Test => "test",
        }
    }
}

/// What becomes of an alert at this time, and what is to be told: `book` is what was remembered of it, `found` what is
/// found now. None in place of a book = there is nothing to remember.
pub fn judge(
    pace: Pace,
    book: Option<Book>,
    found: Option<&Finding>,
    limits: &Limits,
    now: Timestamp,
) -> (Option<Book>, Option<Step>) {
    let book = book.map(|book| not_ahead(book, now));
    match (book, found) {
        (None, None) => (None, None),
        (None, Some(found)) => (Some(open(found, 0, now)), Some(Step::Opened)),
        (Some(book), Some(found)) if book.cleared.is_some() => {
            (Some(open(found, book.flaps.saturating_add(1), now)), Some(Step::Opened))
        }
        (Some(book), None) if book.cleared.is_some() => {
            let old = book.cleared.is_some_and(|cleared| now.since(Timestamp(cleared)) >= FORGET);
            ((!old).then_some(book), None)
        }
        (Some(mut book), None) => {
            let calm = *book.calm.get_or_insert(now.0);
            if now.since(Timestamp(calm)) < calm_needed(book.flaps, limits) {
                return (Some(book), None);
            }
            book.cleared = Some(now.0);
            (Some(book), Some(Step::Cleared))
        }
        (Some(mut book), Some(found)) => {
            let worse = found.severity > book.severity;
            book.calm = None;
            renew(&mut book, found);
            if !worse && now < next(pace, &book) {
                return (Some(book), None);
            }
            book.told = now.0;
            book.times = book.times.saturating_add(1);
            (Some(book), Some(Step::Reminded))
        }
    }
}

fn open(found: &Finding, flaps: u32, now: Timestamp) -> Book {
    Book {
        severity: found.severity,
        since: found.since.unwrap_or(now).min(now).0,
        count: found.count,
        what: found.what.clone(),
        mend: found.mend.clone(),
        opened: now.0,
        told: now.0,
        times: 1,
        calm: None,
        cleared: None,
        flaps,
    }
}

fn renew(book: &mut Book, found: &Finding) {
    book.severity = found.severity;
    book.count = found.count;
    book.what.clone_from(&found.what);
    book.mend.clone_from(&found.mend);
}

/// When it is told again.
fn next(pace: Pace, book: &Book) -> Timestamp {
    let told = Timestamp(book.told);
    match (pace, book.severity) {
        (Pace::Slow, Severity::Warning) => told.plus(WEEK),
        (Pace::Slow, Severity::Critical) => told.plus(DAY),
        (Pace::Fast, _) => {
            let steps = STEPS.iter().map(|step| Timestamp(book.since).plus(*step));
            steps.filter(|step| *step >= told.plus(GAP)).min().unwrap_or(told.plus(DAY))
        }
    }
}

fn calm_needed(flaps: u32, limits: &Limits) -> Duration {
    let longer = limits.clear.saturating_mul(1_u32.checked_shl(flaps.min(16)).unwrap_or(u32::MAX));
    longer.min(LONGEST_CALM.max(limits.clear))
}

/// A clock that was set back must not make an alert silent until it has come as far again.
fn not_ahead(mut book: Book, now: Timestamp) -> Book {
    let times = [Some(&mut book.since), Some(&mut book.told), book.calm.as_mut(), book.cleared.as_mut()];
    for time in times.into_iter().flatten() {
        *time = now.0.min(*time);
    }
    book
}

#[cfg(test)]
#[path = "alert/tests.rs"]
mod tests;
