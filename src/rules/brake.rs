//! The brake on success loops: a delivery that causes another change of the same record would go on for ever at full speed,
//! and no breaker sees it, because every delivery succeeds.
//!
//! Each record has a bucket of [`BURST`] deliveries that refills by one a second. Only a change that was committed after
//! the delivery before it was sent takes one: what had queued up before does not. A loop turns by changes that are sent
//! soon after they were committed; others are not even remembered. So a backlog flows at full speed, a
//! record that its application changes all the time is held up for a second at most, and a loop turns once a second.

use std::collections::BTreeSet;
use std::time::Duration;

use foldhash::HashMap;

use crate::clock::Timestamp;

/// Deliveries of one record, each caused by (or at least later than) the one before, that go at full speed.
pub const BURST: i64 = 500;
/// From then on one goes in this time.
pub const PERIOD: Duration = Duration::from_secs(1);
/// A record that has been calm so long is not braked any more.
pub const CALM: Duration = Duration::from_secs(5);
/// A change that was sent later than this after its commit had queued up: it is no part of a loop.
pub const SOON: Duration = Duration::from_secs(10);
/// Most records that are remembered; more than these within a second are not braked.
pub const MOST: usize = 65_536;

/// Of a bucket, in milliseconds of refilling.
const ONE: i64 = PERIOD.as_millis() as i64;
const FULL: i64 = BURST * ONE;
/// Records that are remembered before the first sweep.
const FEW: usize = 1024;

/// The brake of one connector.
#[derive(Debug)]
pub struct Brake {
    records: HashMap<u64, Bucket>,
    /// Records that are braked.
    on: BTreeSet<u64>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Bucket {
    level: i64,
    /// When it was at that level, by the steady clock.
    at: Timestamp,
    /// When its last delivery was sent, by the wall clock, which stands in events too.
    sent: Timestamp,
}

impl Bucket {
    fn level(&self, now: Timestamp) -> i64 {
        let more = i64::try_from(now.since(self.at).as_millis()).unwrap_or(FULL);
        self.level.saturating_add(more).min(FULL)
    }
}

impl Default for Brake {
    fn default() -> Brake {
        Brake { records: HashMap::default(), on: BTreeSet::new(), sweep_at: FEW }
    }
}

impl Brake {
    /// A change of a record was delivered: when it was `committed` and `sent` by the wall clock; `now` by the steady one.
    pub fn delivered(&mut self, record: u64, committed: Timestamp, sent: Timestamp, now: Timestamp) {
        if let Some(bucket) = self.records.get_mut(&record) {
            let taken = if committed >= bucket.sent { ONE } else { 0 };
            bucket.level = (bucket.level(now) - taken).max(0);
            (bucket.at, bucket.sent) = (now, sent);
            return;
        }
        if sent.since(committed) > SOON {
            return;
        }
        if self.records.len() >= self.sweep_at {
            self.sweep(now);
        }
        if self.records.len() < MOST {
            self.records.insert(record, Bucket { level: FULL, at: now, sent });
        }
    }

    /// Until when a change of a record has to wait; none = it may go.
    pub fn wait(&self, record: u64, committed: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let bucket = self.records.get(&record).filter(|bucket| committed >= bucket.sent)?;
        let lacking = u64::try_from(ONE - bucket.level(now)).ok().filter(|lacking| *lacking > 0)?;
        Some(now.plus(Duration::from_millis(lacking)))
    }

    /// A change of this record has to wait. True when that is news.
    pub fn begin(&mut self, record: u64) -> bool {
        self.on.insert(record)
    }

    /// The braked records that have calmed down: they are braked no more.
    pub fn end(&mut self, now: Timestamp) -> Vec<u64> {
        let calm = |record: &u64| self.calm_at(*record).is_none_or(|at| at <= now);
        let ended: Vec<u64> = self.on.iter().copied().filter(calm).collect();
        self.on.retain(|record| !ended.contains(record));
        ended
    }

    /// When the next braked record will have calmed down, if nothing of it is delivered until then.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.on.iter().filter_map(|record| self.calm_at(*record)).min()
    }

    fn calm_at(&self, record: u64) -> Option<Timestamp> {
        let bucket = self.records.get(&record)?;
        let lacking = (CALM.as_millis() as i64 - bucket.level).max(0);
        Some(bucket.at.plus(Duration::from_millis(lacking.unsigned_abs())))
    }

    /// How many records are braked.
    pub fn count(&self) -> usize {
        self.on.len()
    }

    /// Whether a record is braked.
    pub fn holds(&self, record: u64) -> bool {
        self.on.contains(&record)
    }

    /// Forgets the records whose bucket is full again and that were not delivered within a period: a loop as slow as that
    /// takes no more than what flows in.
    fn sweep(&mut self, now: Timestamp) {
        let on = &self.on;
        self.records
            .retain(|record, bucket| on.contains(record) || bucket.level(now) < FULL || now.since(bucket.at) < PERIOD);
        self.sweep_at = (self.records.len() * 2).max(FEW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns a loop for so long (ms), each delivery taking `took` and causing the next change; gives how many went.
    fn turn(brake: &mut Brake, from: i64, until: i64, took: i64) -> usize {
        let (mut now, mut went) = (from, 0);
        let mut committed = from;
        while now < until {
            if let Some(due) = brake.wait(7, Timestamp(committed), Timestamp(now)) {
                brake.begin(7);
                now = due.0;
                continue;
            }
            brake.delivered(7, Timestamp(committed), Timestamp(now), Timestamp(now + took));
            now += took;
            committed = now;
            went += 1;
        }
        went
    }

    #[test]
    fn a_loop_turns_five_hundred_times_and_then_once_a_second() {
        let mut brake = Brake::default();
        let first = turn(&mut brake, 0, 5_000, 5);
        assert!((500..=510).contains(&first), "{first}");
        assert_eq!(brake.count(), 1);
        let then = turn(&mut brake, 5_000, 105_000, 5);
        assert!((99..=101).contains(&then), "{then}");
    }

    #[test]
    fn a_change_that_was_committed_before_the_last_was_sent_takes_nothing_and_never_waits() {
        let mut brake = Brake::default();
        for n in 0..100_000 {
            assert_eq!(brake.wait(7, Timestamp(0), Timestamp(n)), None);
            brake.delivered(7, Timestamp(0), Timestamp(1 + n), Timestamp(1 + n));
        }
        // Also while the record is braked: what queued up goes at once, only what comes after it waits.
        turn(&mut brake, 200_000, 203_000, 1);
        assert!(brake.wait(7, Timestamp(203_000), Timestamp(203_000)).is_some());
        assert_eq!(brake.wait(7, Timestamp(100_000), Timestamp(203_000)), None);
        assert_eq!(brake.wait(8, Timestamp(203_000), Timestamp(203_000)), None, "another record");
    }

    #[test]
    fn a_record_that_has_calmed_down_is_braked_no_more() {
        let mut brake = Brake::default();
        turn(&mut brake, 0, 3_000, 1);
        assert_eq!(brake.end(Timestamp(3_001)), Vec::<u64>::new());
        let end = brake.next_end().unwrap_or_default();
        assert!((7_000..=8_001).contains(&end.0), "{end:?}");
        assert_eq!(brake.end(end), [7]);
        assert_eq!((brake.count(), brake.next_end()), (0, None));
    }

    #[test]
    fn what_it_remembers_is_bounded() {
        let mut brake = Brake::default();
        for n in 0..300_000_u64 {
            let now = Timestamp(i64::try_from(n).unwrap_or(0));
            brake.delivered(n, now, now, now);
        }
        assert!(brake.records.len() <= 4 * 1000, "{}", brake.records.len());
        for n in 0..200_000_u64 {
            brake.delivered(1_000_000 + n, Timestamp(300_000), Timestamp(300_000), Timestamp(300_000));
        }
        assert!(brake.records.len() <= MOST);
    }
}
