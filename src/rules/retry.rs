//! Retry policy: what an outcome means for the event, how long to wait, and when it is enough.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::rules::outcome::{Outcome, Reason};

/// `retryPolicy` of a connector.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// First delay; doubles with each attempt.
    pub backoff: Duration,
    /// Longest delay.
    pub max_backoff: Duration,
    /// Attempts of one event before it becomes a dead letter; none = no limit.
    pub max_attempts: Option<u32>,
    /// Age of the first attempt after which the event becomes a dead letter; none = no limit.
    pub give_up_after: Option<Duration>,
    /// Further statuses that are retried (`retryOn: [409, 422]`).
    pub retry_on: Vec<u16>,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(15 * 60),
            max_attempts: None,
            give_up_after: None,
            retry_on: Vec::new(),
        }
    }
}

impl RetryPolicy {
    /// How long an answer that only `retryOn` retries is retried: what a person declared passing must pass some day.
    pub const LONGEST_RETRY_ON: Duration = Duration::from_secs(24 * 3600);

    /// The delay before the next attempt, with full jitter: evenly between nothing and `backoff` doubled with each
    /// attempt, at most `max_backoff`. `attempts` have failed, `jitter` is in 0..1.
    pub fn delay(&self, attempts: u32, jitter: f64) -> Duration {
        let doubled = self.backoff.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.max_backoff).mul_f64(jitter.clamp(0.0, 1.0))
    }
}

/// What is to be done with an event after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target has it.
    Done,
    /// The endpoint failed, not the event: it stays where it is and costs nothing; the breaker counts.
    Again(Reason),
    /// It is parked and due again after the delay; this attempt counted.
    Wait {
        /// Until it is due.
        delay: Duration,
        /// Why.
        reason: Reason,
    },
    /// A dead letter.
    Dead(Reason),
    /// The connector halts; the event stays where it is.
    Halt(Reason),
}

/// What has happened to an event so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that counted, this one not among them.
    pub attempts: u32,
    /// Time since the first attempt that counted.
    pub age: Duration,
    /// The answer is one that only `retryOn` retries: not for ever, see [`RetryPolicy::LONGEST_RETRY_ON`].
    pub by_request: bool,
}

/// Decides. `closed` = the breaker is closed: only then do answers count against the event.
pub fn judge(outcome: &Outcome, tally: Tally, policy: &RetryPolicy, closed: bool, jitter: f64) -> Verdict {
    match outcome {
        Outcome::Success | Outcome::SuccessWithRemarks(_) | Outcome::Duplicate => Verdict::Done,
        Outcome::Retry { reason, transport: true, .. } | Outcome::Unknown { reason, transport: true } => {
            Verdict::Again(reason.clone())
        }
        Outcome::Retry { reason, transport: false, .. } | Outcome::Unknown { reason, transport: false } => {
            if !closed {
                return Verdict::Again(reason.clone());
            }
            let attempts = tally.attempts.saturating_add(1);
            if policy.max_attempts.is_some_and(|most| attempts >= most) {
                let text = format!("{} (given up after {attempts} attempts)", reason.text);
                return Verdict::Dead(Reason::new(reason.class.clone(), text));
            }
            let most = if tally.by_request {
                Some(policy.give_up_after.unwrap_or(RetryPolicy::LONGEST_RETRY_ON))
            } else {
                policy.give_up_after
            };
            if most.is_some_and(|most| tally.age >= most) {
                let text = format!("{} (given up after {} s)", reason.text, tally.age.as_secs());
                return Verdict::Dead(Reason::new(reason.class.clone(), text));
            }
            Verdict::Wait { delay: policy.delay(attempts, jitter), reason: reason.clone() }
        }
        Outcome::Conflict(reason) | Outcome::Reject(reason) => Verdict::Dead(reason.clone()),
        Outcome::Reauth(reason) | Outcome::Halt(reason) => Verdict::Halt(reason.clone()),
    }
}

/// Refusals, or meaningless answers, in a row: so many of different records mean that the receiver is broken, not the
/// records.
#[derive(Clone, Debug, Default)]
pub struct Streak {
    refused: Vec<u64>,
    /// Records of the meaningless answers in a row.
    meaningless: Vec<u64>,
    /// Records that meet such answers while others are delivered: it is the record, and says nothing of the target.
    odd: BTreeSet<u64>,
}

/// The class of a halt because of answers that say nothing.
pub const MEANINGLESS: &str = "meaningless";
/// So many records are known to be odd.
const ODD: usize = 1_000;

impl Streak {
    /// Refusals of different records in a row that halt the connector.
    pub const REFUSALS: usize = 5;
    /// Meaningless answers in a row that halt the connector (a captive portal?).
    pub const MEANINGLESS: usize = 3;

    /// Takes note of an outcome for a record (by its lane); a reason to halt when it is one too many.
    pub fn note(&mut self, outcome: &Outcome, lane: u64) -> Option<Reason> {
        match outcome {
            Outcome::Reject(reason) => {
                if !self.refused.contains(&lane) {
                    self.refused.push(lane);
                }
                (self.refused.len() >= Streak::REFUSALS).then(|| {
                    let text = format!(
                        "{} different records were refused in a row (last: {}): the receiver or the mapping is wrong",
                        self.refused.len(),
                        reason.class
                    );
                    Reason::new("refusals", text)
                })
            }
            Outcome::Unknown { transport: false, .. } if self.odd.contains(&lane) => None,
            Outcome::Unknown { reason, transport: false } => {
                self.meaningless.push(lane);
                (self.meaningless.len() >= Streak::MEANINGLESS).then(|| {
                    let text = format!(
                        "{} answers in a row say nothing (last: {}): is there a captive portal or a proxy in between?",
                        self.meaningless.len(),
                        reason.text
                    );
                    Reason::new(MEANINGLESS, text)
                })
            }
            Outcome::Success | Outcome::SuccessWithRemarks(_) | Outcome::Duplicate => {
                self.delivered(lane);
                None
            }
            _ => None,
        }
    }

    /// A change of this record was delivered: the target works, and what said nothing of other records is theirs.
    pub fn delivered(&mut self, lane: u64) {
        self.refused.clear();
        self.odd.remove(&lane);
        for other in self.meaningless.drain(..).filter(|other| *other != lane) {
            if self.odd.len() < ODD {
                self.odd.insert(other);
            }
        }
    }

    /// The record of all meaningless answers in a row, if it is one.
    pub fn only_record(&self) -> Option<u64> {
        let first = *self.meaningless.first()?;
        self.meaningless.iter().all(|lane| *lane == first).then_some(first)
    }

    /// Begins anew, after the connector was resumed.
    pub fn clear(&mut self) {
        *self = Streak::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(transport: bool) -> Outcome {
        Outcome::Retry { reason: Reason::new("http-503", "busy"), after: None, transport }
    }

    fn judged(outcome: &Outcome, attempts: u32, policy: &RetryPolicy, closed: bool) -> Verdict {
        judge(outcome, Tally { attempts, age: Duration::from_secs(100), by_request: false }, policy, closed, 1.0)
    }

    #[test]
    fn an_outage_never_uses_up_an_events_attempts() {
        let policy = RetryPolicy { max_attempts: Some(1), ..RetryPolicy::default() };
        assert!(matches!(judged(&retry(true), 0, &policy, true), Verdict::Again(_)));
        assert!(matches!(judged(&retry(false), 0, &policy, false), Verdict::Again(_)));
        assert!(matches!(judged(&retry(false), 0, &policy, true), Verdict::Dead(_)));
    }

    #[test]
    fn without_a_limit_an_event_is_retried_for_ever() {
        let policy = RetryPolicy::default();
        assert!(matches!(judged(&retry(false), u32::MAX, &policy, true), Verdict::Wait { .. }));
    }

    #[test]
    fn the_limits_that_a_user_sets_end_in_a_dead_letter() {
        let policy = RetryPolicy { max_attempts: Some(3), ..RetryPolicy::default() };
        assert!(matches!(judged(&retry(false), 1, &policy, true), Verdict::Wait { .. }));
        assert!(matches!(judged(&retry(false), 2, &policy, true), Verdict::Dead(_)));
        let policy = RetryPolicy { give_up_after: Some(Duration::from_secs(60)), ..RetryPolicy::default() };
        assert!(matches!(judged(&retry(false), 0, &policy, true), Verdict::Dead(_)));
    }

    #[test]
    fn what_only_retry_on_retries_is_given_up_after_a_day() {
        let tally = |hours: u64| Tally { attempts: 1, age: Duration::from_secs(hours * 3600), by_request: true };
        let policy = RetryPolicy { retry_on: vec![409], ..RetryPolicy::default() };
        assert!(matches!(judge(&retry(false), tally(23), &policy, true, 1.0), Verdict::Wait { .. }));
        assert!(matches!(judge(&retry(false), tally(24), &policy, true, 1.0), Verdict::Dead(_)));
    }

    #[test]
    fn delays_double_up_to_the_longest_and_are_spread_evenly() {
        let policy = RetryPolicy::default();
        let whole: Vec<u64> = (1..13).map(|attempts| policy.delay(attempts, 1.0).as_secs()).collect();
        assert_eq!(whole, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(policy.delay(3, 0.5), Duration::from_secs(2));
        assert_eq!(policy.delay(u32::MAX, 0.0), Duration::ZERO);
    }

    #[test]
    fn meaningless_answers_for_one_record_are_its_own_once_others_are_delivered() {
        let mut streak = Streak::default();
        let odd = Outcome::Unknown { reason: Reason::new("not-json", "broken"), transport: false };
        assert!(streak.note(&odd, 1).is_none() && streak.note(&odd, 1).is_none());
        assert_eq!(streak.note(&odd, 1).map(|reason| reason.class), Some(MEANINGLESS.into()));
        assert_eq!(streak.only_record(), Some(1), "another record may be tried");
        streak.delivered(2);
        assert_eq!(streak.only_record(), None);
        assert!((0..10).all(|_| streak.note(&odd, 1).is_none()), "it is this record's matter");
        // Others are not: then it is the target again.
        assert!(streak.note(&odd, 3).is_none() && streak.note(&odd, 4).is_none() && streak.note(&odd, 3).is_some());
        assert_eq!(streak.only_record(), None);
        streak.delivered(1);
        assert!(streak.note(&odd, 1).is_none() && streak.note(&odd, 1).is_none() && streak.note(&odd, 1).is_some());
    }

    #[test]
    fn five_refusals_of_different_records_in_a_row_halt_the_connector() {
        let mut streak = Streak::default();
        let refused = Outcome::Reject(Reason::new("http-400", "refused"));
        for lane in [1, 2, 2, 2, 3, 4] {
            assert_eq!(streak.note(&refused, lane), None);
        }
        streak.note(&Outcome::Success, 9);
        for lane in [1, 2, 3, 4] {
            assert_eq!(streak.note(&refused, lane), None);
        }
        assert!(streak.note(&refused, 5).is_some());
    }
}
