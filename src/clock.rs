//! The only reader of the wall clock.
//!
//! Everything else takes a [`Timestamp`] as an input, so that a test can run a week in a millisecond.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment of wall time: milliseconds since 1970-01-01T00:00:00Z.
///
/// Wall time is data (an event's `at`, a due time that must survive a restart); the order of events is
/// `seq`, never time, and intervals inside one run are measured with [`std::time::Instant`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Julian day number of 1970-01-01T00:00:00Z, as SQLite's `julianday()` counts.
const UNIX_EPOCH_JULIAN_DAY: f64 = 2_440_587.5;
const MILLIS_PER_DAY: f64 = 86_400_000.0;

impl Timestamp {
    /// From SQLite's `julianday('now')`, rounded to the millisecond.
    pub fn from_julian_day(day: f64) -> Timestamp {
        // `as` saturates, so a nonsense day in a row becomes a far date and not a panic.
        Timestamp(((day - UNIX_EPOCH_JULIAN_DAY) * MILLIS_PER_DAY).round() as i64)
    }

    /// The same moment as SQLite's Julian day.
    pub fn to_julian_day(self) -> f64 {
        self.0 as f64 / MILLIS_PER_DAY + UNIX_EPOCH_JULIAN_DAY
    }

    /// This moment moved forward; saturates.
    pub fn plus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment moved back; saturates.
    pub fn minus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As a [`jiff::Timestamp`]; a moment beyond what a calendar can hold is clamped to its end.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }

    /// From a [`jiff::Timestamp`], cut to the millisecond.
    pub fn from_jiff(time: jiff::Timestamp) -> Timestamp {
        Timestamp(time.as_millisecond())
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-03-05T18:05:00.123Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

/// When this program was built: a clock that shows an earlier time is wrong.
pub const BUILT: Timestamp = match i64::from_str_radix(env!("HMS_SYNC_BUILT"), 10) {
    Ok(seconds) => Timestamp(seconds.saturating_mul(1000)),
    Err(_) => Timestamp(0),
};

/// A clock for timers: the wall time at which this process started, moved on by the monotonic clock. It never jumps
/// when the wall clock is set. A due time that was stored by an earlier process is clamped when it is loaded.
pub fn steady() -> Timestamp {
    static START: std::sync::LazyLock<(Timestamp, std::time::Instant)> =
        std::sync::LazyLock::new(|| (now(), std::time::Instant::now()));
    START.0.plus(START.1.elapsed())
}

/// The monotonic clock of the system, in microseconds, as `MONOTONIC_USEC=` of sd_notify(3) wants it.
pub fn monotonic_micros() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000)).unwrap_or(0)
}

/// Milliseconds since this machine was started, its sleep among them. Nobody sets it: two of them with the boot's id say
/// how long something took, whatever the wall clock did meanwhile.
pub fn uptime() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

/// Who has shown the same time as our wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// Somebody on this machine: by the same clock.
    Here,
    /// Somebody elsewhere.
    Elsewhere,
}

/// Who vouches is asked again after so long.
const VOUCHED: Duration = Duration::from_secs(60);
/// A clock that has moved against the steady one by more since it was vouched for is another.
const MOVED: u64 = 5 * 60 * 1000;

/// By voucher: the wall clock less the steady one, and the steady one, when both clocks agreed; none = never.
static VOUCHERS: std::sync::Mutex<[Option<(i64, Timestamp)>; 2]> = std::sync::Mutex::new([None; 2]);

fn stands(vouched: Option<(i64, Timestamp)>) -> Option<Timestamp> {
    let (ahead, at) = vouched?;
    ((now().0.saturating_sub(steady().0)).abs_diff(ahead) <= MOVED).then_some(at)
}

/// Somebody has shown the time: `agrees` says whether ours is the same. Asked once a minute only.
pub fn vouch(voucher: Voucher, agrees: impl FnOnce() -> bool) {
    let mut vouchers = VOUCHERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(mine) = vouchers.get_mut(voucher as usize) else { return };
    if stands(*mine).is_none_or(|at| steady().since(at) >= VOUCHED) && agrees() {
        *mine = Some((now().0.saturating_sub(steady().0), steady()));
    }
}

/// Who has vouched for the clock as it is set now, since the process started.
pub fn vouched() -> Option<Voucher> {
    let [here, elsewhere] = *VOUCHERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let elsewhere = stands(elsewhere).map(|_| Voucher::Elsewhere);
    elsewhere.or_else(|| stands(here).map(|_| Voucher::Here))
}

/// The wall clock, now.
pub fn now() -> Timestamp {
    let now = SystemTime::now();
    match now.duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
        Err(before) => Timestamp(i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_julian_day_from_sqlite_becomes_the_same_millisecond() {
        // select julianday('2026-03-05 18:05:00.123')
        let time = Timestamp::from_julian_day(2_461_105.253_473_646);
        assert_eq!(time.to_string(), "2026-03-05T18:05:00.123Z");
        assert_eq!(Timestamp::from_julian_day(time.to_julian_day()), time);
    }

    #[test]
    fn times_beyond_the_calendar_are_clamped_and_do_not_panic() {
        assert!(Timestamp(i64::MAX).to_string().starts_with("9999-"));
        assert!(Timestamp(i64::MIN).to_string().starts_with("-009999-"));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }
}
