//! `retryPolicy:` of a connector, and `retryOn` beside it.

use std::time::Duration;

use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::rules::retry::RetryPolicy;

const DAY: Duration = Duration::from_secs(86_400);

/// Reads how failures are retried.
pub(super) fn retry(fields: &Fields<'_>) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    if let Some(found) = fields.take("retryPolicy")
        && let Some(retry) = found.fields()
    {
        let duration = |key, most: Duration| {
            retry.take(key).and_then(|found| {
                let length = found.duration()?;
                if length > most {
                    let days = most.as_secs() / DAY.as_secs();
                    found.error(if days == 1 {
                        "is longer than a day".into()
                    } else {
                        format!("is longer than {days} days")
                    });
                }
                Some((length, found))
            })
        };
        let (backoff, longest) = (duration("backoff", DAY), duration("maxBackoff", DAY));
        policy.backoff = backoff.map_or(policy.backoff, |(length, _)| length);
        policy.max_backoff = match longest {
            Some((length, found)) if length < policy.backoff => {
                found.error("is shorter than the first delay, `backoff`");
                policy.backoff
            }
            Some((length, _)) => length,
            None => policy.max_backoff.max(policy.backoff),
        };
        const USED_UP: &str = "used up, the event becomes a dead letter with an alert, and later changes of its \
                               record wait; what a whole endpoint's outage costs is not counted";
        if let Some(found) = retry.take("maxAttempts") {
            policy.max_attempts = found.integer(1..=1_000_000).and_then(|count| u32::try_from(count).ok());
            if policy.max_attempts.is_some() {
                found.warn(USED_UP, Some("leave it out to retry until delivered"));
            }
        }
        if let Some((length, found)) = duration("giveUpAfter", DAY * 3_650) {
            policy.give_up_after = Some(length);
            found.warn(USED_UP, Some("leave it out to retry until delivered"));
        }
        retry_on(retry.take("retryOn"), &mut policy);
        retry.done();
    }
    // Also accepted beside `retryPolicy`.
    retry_on(fields.take("retryOn"), &mut policy);
    policy
}

fn retry_on(found: Option<Found<'_>>, policy: &mut RetryPolicy) {
    let items = found.iter().flat_map(|found| found.one_or_many());
    policy
        .retry_on
        .extend(items.filter_map(|item| item.integer(400..=599)).filter_map(|status| u16::try_from(status).ok()));
}
