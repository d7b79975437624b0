//! When an event source is connected to again, and what its refusal means.

use std::time::Duration;

use crate::rules::retry::RetryPolicy;

/// First delay; doubles with each failure.
const FIRST: Duration = Duration::from_secs(1);
/// Longest delay.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// A connection that has held for so long was a good one: the next failure is a first one.
pub const STABLE: Duration = Duration::from_secs(60);

/// What ended a connection, or kept it from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It passes by itself.
    Passing,
    /// The source does not accept who we are.
    Credentials,
    /// A person must change something: a certificate, an address.
    Lasting,
}

impl Refusal {
    /// What a close code (RFC 6455 7.4, and the private range) means.
    pub fn of_close(code: u16) -> Refusal {
        match code {
            // Policy violation; and what servers made of HTTP's 401 and 403 in the private and registered ranges.
            1008 | 3000 | 3003 | 4401 | 4403 => Refusal::Credentials,
            _ => Refusal::Passing,
        }
    }

    /// What an HTTP status in place of a WebSocket (101) means.
    pub fn of_status(status: u16) -> Refusal {
        match status {
            401 | 403 => Refusal::Credentials,
            // Where the agent connects to is configuration: nobody else moves it.
            300..=399 => Refusal::Lasting,
            _ => Refusal::Passing,
        }
    }
}

/// How fast a source is connected to again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reconnect {
    failures: u32,
}

impl Reconnect {
    /// The delay after a connection ended that had held for `held` (zero = it was never made): full jitter between
    /// nothing and 1 s, doubled with each failure up to 5 min; for what only a person can change, between half and all
    /// of these 5 min. `jitter` is in 0..1.
    pub fn delay(&mut self, refusal: Refusal, held: Duration, jitter: f64) -> Duration {
        if held >= STABLE {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        match refusal {
            Refusal::Passing => {
                let policy = RetryPolicy { backoff: FIRST, max_backoff: LONGEST, ..RetryPolicy::default() };
                policy.delay(self.failures, jitter)
            }
            Refusal::Credentials | Refusal::Lasting => LONGEST.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_five_minutes_and_begin_anew_after_a_good_connection() {
        let mut pace = Reconnect::default();
        let mut next = |held: u64| pace.delay(Refusal::Passing, Duration::from_secs(held), 1.0).as_secs();
        assert_eq!([next(0), next(59), next(1), next(0)], [1, 2, 4, 8]);
        assert_eq!((0..40).map(|_| next(0)).max(), Some(300));
        assert_eq!([next(60), next(0)], [1, 2]);
        assert_eq!(Reconnect::default().delay(Refusal::Passing, Duration::ZERO, 0.0), Duration::ZERO);
    }

    #[test]
    fn what_a_person_must_change_is_asked_slowly() {
        for refusal in [Refusal::Credentials, Refusal::Lasting] {
            let delay = |jitter| Reconnect::default().delay(refusal, Duration::ZERO, jitter).as_secs();
            assert_eq!((delay(0.0), delay(1.0)), (150, 300));
        }
        for code in [1008, 3000, 4401, 4403] {
            assert_eq!(Refusal::of_close(code), Refusal::Credentials);
        }
        for code in [1000, 1001, 1006, 1011, 1012, 1013, 4000] {
            assert_eq!(Refusal::of_close(code), Refusal::Passing);
        }
        let of = Refusal::of_status;
        assert_eq!([of(401), of(403), of(301), of(308)].map(|refusal| refusal != Refusal::Passing), [true; 4]);
        assert_eq!([of(200), of(404), of(429), of(503)], [Refusal::Passing; 4]);
    }
}
