//! How long deliveries take, from the application's commit to the acknowledgement of the target.
//!
//! Kept for the process, so that a reload begins nothing anew; counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Timestamp;

/// Upper ends of the buckets, in milliseconds; what took longer is in one more.
pub const ENDS: [u64; 16] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 86_400_000];

struct Meter {
    counts: [AtomicU64; ENDS.len() + 1],
    sum_ms: AtomicU64,
}

static DELIVERIES: Meter = Meter { counts: [const { AtomicU64::new(0) }; ENDS.len() + 1], sum_ms: AtomicU64::new(0) };

/// An event of this time was acknowledged now.
pub fn delivered(at: Timestamp, now: Timestamp) {
    let ms = u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
    let bucket = ENDS.partition_point(|end| *end < ms);
    if let Some(count) = DELIVERIES.counts.get(bucket) {
        count.fetch_add(1, Relaxed);
        DELIVERIES.sum_ms.fetch_add(ms, Relaxed);
    }
}

/// So far: upper end in seconds and count of each bucket, and the sum of all in seconds.
pub fn deliveries() -> (Vec<(f64, u64)>, f64) {
    let ends = ENDS.iter().map(|end| *end as f64 / 1000.0).chain([f64::INFINITY]);
    let buckets = ends.zip(DELIVERIES.counts.iter().map(|count| count.load(Relaxed))).collect();
    (buckets, DELIVERIES.sum_ms.load(Relaxed) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_counts_in_the_bucket_whose_end_it_does_not_exceed() {
        let before = deliveries();
        let at = Timestamp(1_000_000_000);
        for ms in [0, 5, 6, 86_400_001] {
            delivered(at, Timestamp(at.0 + ms));
        }
        // A clock that was set back meanwhile.
        delivered(at, Timestamp(0));
        let after = deliveries();
        let grown: Vec<u64> = after.0.iter().zip(&before.0).map(|((_, after), (_, before))| after - before).collect();
        assert_eq!((grown[0], grown[1], grown[16], grown.iter().sum()), (3, 1, 1, 5_u64));
        assert!((after.1 - before.1 - 86_400.012).abs() < 0.001, "{} {}", after.1, before.1);
    }
}
