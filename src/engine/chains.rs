//! The chains of parked deliveries: which positions hold later changes of their records back.

use std::collections::{BTreeSet, HashMap};

use crate::event::Event;
use crate::store::state::LogId;

/// For each lane the positions that are parked, in the order in which they move up.
#[derive(Clone, Debug, Default)]
pub struct Chains(HashMap<u64, BTreeSet<(LogId, i64)>>);

impl Chains {
    /// What the state file holds.
    pub fn of(parked: impl IntoIterator<Item = (u64, LogId, i64)>) -> Chains {
        let mut chains = Chains::default();
        for (lane, log, seq) in parked {
            chains.0.entry(lane).or_default().insert((log, seq));
        }
        chains
    }

    /// An event is parked.
    pub fn add(&mut self, log: LogId, event: &Event) {
        for lane in event.lanes() {
            self.0.entry(lane).or_default().insert((log, event.seq()));
        }
    }

    /// An event is parked no more.
    pub fn remove(&mut self, log: LogId, event: &Event) {
        for lane in event.lanes() {
            if let Some(chain) = self.0.get_mut(&lane) {
                chain.remove(&(log, event.seq()));
                if chain.is_empty() {
                    self.0.remove(&lane);
                }
            }
        }
    }

    /// Whether an earlier change of one of the event's records is parked. A later one says nothing: after a restart
    /// an event is read again that lies before a parked one, when a key change waits in one of its two lanes.
    pub fn is_behind(&self, log: LogId, event: &Event) -> bool {
        let at = (log, event.seq());
        event.lanes().any(|lane| self.0.get(&lane).and_then(BTreeSet::first).is_some_and(|first| *first < at))
    }

    /// Whether anything is parked in a lane.
    pub fn holds(&self, lane: u64) -> bool {
        self.0.contains_key(&lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId(1);

    fn event(seq: i64, lane: u64, old_lane: Option<u64>) -> Event {
        Event::sample(seq, lane, old_lane)
    }

    #[test]
    fn only_an_earlier_change_of_a_record_holds_an_event_up() {
        let mut chains = Chains::default();
        chains.add(LOG, &event(5, 10, Some(20)));
        assert!(chains.is_behind(LOG, &event(6, 20, None)) && chains.is_behind(LOG, &event(7, 30, Some(10))));
        assert!(!chains.is_behind(LOG, &event(4, 20, None)), "read again after a restart");
        assert!(!chains.is_behind(LOG, &event(5, 10, Some(20))) && !chains.is_behind(LOG, &event(6, 30, None)));
        chains.add(LOG, &event(4, 20, None));
        assert!(chains.is_behind(LOG, &event(5, 10, Some(20))));
        chains.remove(LOG, &event(5, 10, Some(20)));
        assert!(!chains.holds(10) && chains.holds(20));
    }
}
