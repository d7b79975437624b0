//! The circuit breaker of one endpoint: closed, open until a probe is due, half open while the probe is out.
//!
//! It opens after [`FAILURES`] failures in a row over at least two records, or [`FAILURES_ALONE`] on the only record
//! waiting. While it is open nothing is sent and nothing is written per event: an outage of any length costs neither
//! attempts nor disk. It re-opens the road slowly: after the probe got through one event may be under way, and with each
//! success one more, so that an endpoint that has just come up is not buried under what waited for it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::rules::outcome::Reason;

/// Failures in a row, over at least two records, that open it.
pub const FAILURES: u32 = 5;
/// Failures in a row that open it when only one record is waiting.
pub const FAILURES_ALONE: u32 = 3;
/// Longest time between two probes.
pub const LONGEST_PROBE: Duration = Duration::from_secs(60);
/// So many successes after it closed, the endpoint gets as much as there is.
const FULL: usize = 64;

/// A breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    first: Duration,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Closed {
        failures: u32,
        record: Option<u64>,
        several: bool,
        /// Events that may be under way at once, while it re-opens.
        most: usize,
    },
    /// Open; with the record when only one has failed: it may be the record that is to blame.
    Open(Opened, Option<u64>),
    Probing(Opened, Option<u64>),
}

/// An open breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Since when.
    pub at: Timestamp,
    /// When the next probe may go.
    pub next_probe: Timestamp,
    /// Probes that failed.
    pub failures: u32,
    /// The last failure.
    pub reason: Reason,
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// As much as there is.
    All,
    /// One event, as a probe.
    Probe,
    /// Nothing before this time.
    NotBefore(Timestamp),
    /// Nothing until the probe that is out has come back.
    ProbeIsOut,
}

impl Breaker {
    /// A closed breaker; `first` is the time to the first probe, doubled with each that fails.
    pub fn new(first: Duration) -> Breaker {
        Breaker { first, state: CLOSED }
    }

    /// A breaker that was open when the agent stopped. The stored time is clamped to what it could have waited.
    pub fn reopened(first: Duration, mut opened: Opened, now: Timestamp) -> Breaker {
        opened.next_probe = opened.next_probe.min(now.plus(LONGEST_PROBE)).max(now);
        Breaker { first, state: State::Open(opened, None) }
    }

    /// Whether events' attempts count: only while it is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// The open state, for the state file and `status`.
    pub fn opened(&self) -> Option<&Opened> {
        match &self.state {
            State::Closed { .. } => None,
            State::Open(opened, _) | State::Probing(opened, _) => Some(opened),
        }
    }

    /// The record that alone has failed, while it is open: another record may be tried at once, because it may be the
    /// record that is to blame and not the endpoint.
    pub fn only_record(&self) -> Option<u64> {
        match &self.state {
            State::Open(_, only) => *only,
            _ => None,
        }
    }

    /// Events that may be under way at once while what `permit` allows is all there is.
    pub fn most(&self) -> usize {
        match &self.state {
            State::Closed { most, .. } => *most,
            _ => usize::MAX,
        }
    }

    /// What may be sent now.
    pub fn permit(&self, now: Timestamp) -> Permit {
        match &self.state {
            State::Closed { .. } => Permit::All,
            State::Probing(..) => Permit::ProbeIsOut,
            State::Open(opened, _) if opened.next_probe <= now => Permit::Probe,
            State::Open(opened, _) => Permit::NotBefore(opened.next_probe),
        }
    }

    /// The probe goes out.
    pub fn probe_sent(&mut self) {
        if let State::Open(opened, only) = &self.state {
            self.state = State::Probing(opened.clone(), *only);
        }
    }

    /// The probe did not go out after all, or what came of it says nothing of the endpoint.
    pub fn probe_void(&mut self) {
        if let State::Probing(opened, only) = &self.state {
            self.state = State::Open(opened.clone(), *only);
        }
    }

    /// An answer came that is no failure of the endpoint. True when this closed it.
    pub fn success(&mut self) -> bool {
        let (closes, most) = match &self.state {
            State::Closed { most, .. } if *most >= FULL => (false, usize::MAX),
            State::Closed { most, .. } => (false, *most + 1),
            _ => (true, 1),
        };
        self.state = State::Closed { failures: 0, record: None, several: false, most };
        closes
    }

    /// The endpoint failed for a record (by its lane). `alone` = no other record is waiting; `jitter` in 0..1. True
    /// when the open state changed and is to be stored.
    pub fn failure(&mut self, lane: u64, alone: bool, reason: &Reason, now: Timestamp, jitter: f64) -> bool {
        match &mut self.state {
            State::Closed { failures, record, several, .. } => {
                *failures += 1;
                *several |= record.is_some_and(|first| first != lane);
                record.get_or_insert(lane);
                let one_of_several = *several;
                let enough = (*several && *failures >= FAILURES) || (alone && *failures >= FAILURES_ALONE);
                if enough {
                    let next_probe = now.plus(self.pause(0, jitter));
                    let opened = Opened { at: now, next_probe, failures: 0, reason: reason.clone() };
                    self.state = State::Open(opened, Some(lane).filter(|_| !one_of_several));
                }
                enough
            }
            State::Probing(opened, only) => {
                let only = only.filter(|only| *only == lane);
                let opened = opened.clone();
                self.stays_open(opened, only, reason, now, jitter);
                true
            }
            // What was in flight when it opened.
            State::Open(..) => false,
        }
    }

    /// The endpoint was asked whether it works, in place of trying an event, and does not: no record is to blame. True when
    /// the open state changed and is to be stored.
    pub fn asked_in_vain(&mut self, reason: &Reason, now: Timestamp, jitter: f64) -> bool {
        let State::Probing(opened, _) = &self.state else { return false };
        let opened = opened.clone();
        self.stays_open(opened, None, reason, now, jitter);
        true
    }

    fn stays_open(&mut self, opened: Opened, only: Option<u64>, reason: &Reason, now: Timestamp, jitter: f64) {
        let failures = opened.failures.saturating_add(1);
        let next_probe = now.plus(self.pause(failures, jitter));
        self.state = State::Open(Opened { failures, next_probe, reason: reason.clone(), ..opened }, only);
    }

    /// `first` doubled `failures` times up to the longest, less up to a quarter, so that many agents do not knock at once.
    fn pause(&self, failures: u32, jitter: f64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
        doubled.min(LONGEST_PROBE).mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
    }
}

const CLOSED: State = State::Closed { failures: 0, record: None, several: false, most: usize::MAX };

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fail(breaker: &mut Breaker, lane: u64, alone: bool, now: i64) -> bool {
        breaker.failure(lane, alone, &Reason::new("connect", "refused"), Timestamp(now), 0.0)
    }

    #[test]
    fn five_failures_over_two_records_open_it_and_a_success_between_does_not_let_it() {
        let mut breaker = Breaker::new(Duration::from_secs(1));
        for lane in [1, 1, 1, 1, 1, 1] {
            assert!(!fail(&mut breaker, lane, false, 0), "one record alone says nothing of the endpoint");
        }
        assert!(fail(&mut breaker, 2, false, 0));
        assert!(breaker.success());
        for lane in [1, 2, 1, 2] {
            assert!(!fail(&mut breaker, lane, false, 0));
        }
        assert!(!breaker.success());
        for lane in [1, 2, 1, 2] {
            assert!(!fail(&mut breaker, lane, false, 0));
        }
        assert!(fail(&mut breaker, 1, false, 0));
    }

    #[test]
    fn three_failures_of_the_only_record_waiting_open_it() {
        let mut breaker = Breaker::new(Duration::from_secs(1));
        assert!(!fail(&mut breaker, 1, true, 0));
        assert!(!fail(&mut breaker, 1, true, 0));
        assert!(fail(&mut breaker, 1, true, 0));
    }

    #[test]
    fn opened_by_one_record_alone_it_lets_another_be_tried_at_once_and_only_one() {
        let mut breaker = Breaker::new(Duration::from_secs(1));
        (0..3).for_each(|_| {
            fail(&mut breaker, 1, true, 0);
        });
        assert_eq!(breaker.only_record(), Some(1));
        breaker.probe_sent();
        assert!(fail(&mut breaker, 2, false, 0));
        assert_eq!(breaker.only_record(), None, "two records failed: it is the endpoint");
    }

    #[test]
    fn probes_go_one_at_a_time_ever_slower_and_a_success_closes_it() {
        let mut breaker = Breaker::new(Duration::from_secs(1));
        (0..3).for_each(|_| {
            fail(&mut breaker, 1, true, 0);
        });
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let Permit::NotBefore(next) = breaker.permit(Timestamp(now)) else { unreachable!() };
            pauses.push((next.0 - now) / 1000);
            now = next.0;
            assert_eq!(breaker.permit(Timestamp(now)), Permit::Probe);
            breaker.probe_sent();
            assert_eq!(breaker.permit(Timestamp(now)), Permit::ProbeIsOut);
            assert!(fail(&mut breaker, 1, true, now));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        breaker.probe_sent();
        assert!(breaker.success());
        assert_eq!(breaker.permit(Timestamp(now)), Permit::All);
    }

    #[test]
    fn an_endpoint_that_says_itself_that_it_is_down_is_asked_ever_more_slowly_and_blames_no_record() {
        let mut breaker = Breaker::new(Duration::from_secs(1));
        let down = Reason::new("http-503", "down");
        assert!(!breaker.asked_in_vain(&down, Timestamp(0), 0.0), "nobody was asked");
        (0..3).for_each(|_| {
            fail(&mut breaker, 1, true, 0);
        });
        for (now, next) in [(1_000, 3_000), (3_000, 7_000)] {
            breaker.probe_sent();
            assert!(breaker.asked_in_vain(&down, Timestamp(now), 0.0));
            assert_eq!(
                (breaker.permit(Timestamp(now)), breaker.only_record()),
                (Permit::NotBefore(Timestamp(next)), None)
            );
        }
        breaker.probe_sent();
        breaker.probe_void();
        assert_eq!(breaker.permit(Timestamp(7_000)), Permit::Probe, "it works: an event may be tried at once");
        assert!(!breaker.is_closed());
    }

    #[test]
    fn after_an_outage_one_event_may_be_under_way_and_with_each_success_one_more_until_all_may() {
        let mut breaker = Breaker::new(Duration::from_secs(1));
        assert_eq!(breaker.most(), usize::MAX, "without an outage nothing is held back");
        (0..3).for_each(|_| {
            fail(&mut breaker, 1, true, 0);
        });
        breaker.probe_sent();
        assert!(breaker.success());
        for most in 1..FULL {
            assert_eq!(breaker.most(), most);
            breaker.success();
        }
        fail(&mut breaker, 1, false, 0);
        assert_eq!(breaker.most(), FULL, "a target that fails now and then gets there too");
        breaker.success();
        assert_eq!(breaker.most(), usize::MAX);
    }

    #[test]
    fn a_stored_probe_time_from_a_wrong_clock_is_clamped() {
        let opened = Opened {
            at: Timestamp(0),
            next_probe: Timestamp(i64::MAX),
            failures: 3,
            reason: Reason::new("connect", "refused"),
        };
        let breaker = Breaker::reopened(Duration::from_secs(1), opened, Timestamp(1000));
        assert_eq!(breaker.permit(Timestamp(1000)), Permit::NotBefore(Timestamp(61_000)));
    }
}
