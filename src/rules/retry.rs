//! Retry policy: how long to wait, and when it is enough.

use std::time::Duration;

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
