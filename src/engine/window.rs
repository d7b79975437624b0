//! The window: the bounded set of events above the cursor that are being worked on, never two of one record at once.

mod asking;
mod joining;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};

use crate::adapter::Parcel;
use crate::clock::Timestamp;
use crate::event::{Event, EventId};
use crate::rules::batch::Shape;
use crate::store::state::LogId;
use crate::store::state::attempt::Together;

/// Which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u64);

/// An event being worked on.
#[derive(Debug)]
pub struct Slot {
    /// The event.
    pub event: Event,
    /// Its log.
    pub log: LogId,
    /// What is sent for it, in order (two parts when its key changed).
    pub parts: Arc<[Parcel]>,
    /// Attempts that counted.
    pub attempts: u32,
    /// Every attempt, counted or not, for the attempt log.
    pub tries: u32,
    /// First attempt that counted.
    pub first_attempt: Option<Timestamp>,
    /// It came from the parked deliveries, not from reading on.
    pub from_parked: bool,
    /// The target may have it: no attempt's outcome since has said that it has not.
    pub in_doubt: bool,
    /// The configuration that encoded it, when that is not the connector's own of today.
    pub config: Option<[u8; 32]>,
    /// Its parked row holds what is sent, so that after a kill the same is sent again.
    pub is_frozen: bool,
    /// How it stands in a request.
    pub shape: Shape,
    /// It went in one request with others, and nobody knows whether that arrived: it goes with the same ones again.
    pub together: Option<Together>,
    /// Most events of a request that it goes in, itself included: halved when the target refuses them together.
    pub most_together: usize,
    /// The hook has not said yet whether it may leave.
    pub is_asking: bool,
    /// The hook has put another payload in its place.
    pub is_amended: bool,
    /// How often it has failed in a row without being parked for it.
    pub failures: u32,
    /// How many records were delivered before it failed first.
    pub answered_before: u64,
    /// Lower bound of the numbers of its attempts, once there are any. What was attempted is looked up from here after a
    /// restart, until the event is settled and the cursor has passed over it.
    pub intent_after: Option<i64>,
    weight: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Behind an earlier one of its record.
    Queued,
    /// May be sent.
    Ready,
    /// May be sent from this time on.
    Delayed(Timestamp),
    /// Its intent is being written, or it is being sent: alone, or as the first of its request.
    Open,
    /// The same, in the request of the one opened before it.
    Joined,
}

impl Slot {
    /// A fresh slot.
    pub fn new(event: Event, log: LogId, parts: Vec<Parcel>) -> Slot {
        let weight = parts.iter().map(Parcel::weight).sum();
        Slot {
            event,
            log,
            parts: parts.into(),
            attempts: 0,
            tries: 0,
            first_attempt: None,
            from_parked: false,
            in_doubt: false,
            config: None,
            is_frozen: false,
            shape: Shape::Alone,
            together: None,
            most_together: usize::MAX,
            is_asking: false,
            is_amended: false,
            failures: 0,
            answered_before: 0,
            intent_after: None,
            weight,
            phase: Phase::Queued,
        }
    }

    /// Whether it is in the request of the one opened before it.
    pub fn is_joined(&self) -> bool {
        self.phase == Phase::Joined
    }

    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Joined)
    }

    fn lanes(&self) -> impl Iterator<Item = u64> + use<> {
        self.event.lanes()
    }
}

/// The window of one connector.
#[derive(Debug, Default)]
pub struct Window {
    /// Each in a place of its own: a table of them would be twice as large as what is in it.
    slots: HashMap<SlotId, Box<Slot>>,
    ids: HashSet<EventId>,
    lanes: HashMap<u64, Queue>,
    ready: BTreeSet<(i64, SlotId)>,
    delayed: BTreeSet<(Timestamp, SlotId)>,
    /// Open requests.
    open: usize,
    /// What may be sent now waits for more to go along.
    is_filling: bool,
    fresh: usize,
    weight: usize,
    next: u64,
    logs: HashMap<LogId, Passage>,
}

/// The events of one lane, in the order of coming in. Most have but one, which takes no memory of its own.
#[derive(Debug)]
struct Queue {
    first: SlotId,
    behind: VecDeque<SlotId>,
}

impl Queue {
    fn of(first: SlotId) -> Queue {
        Queue { first, behind: VecDeque::new() }
    }

    fn iter(&self) -> impl Iterator<Item = SlotId> {
        std::iter::once(self.first).chain(self.behind.iter().copied())
    }

    /// Takes one out; false = nothing is left.
    fn leave(&mut self, id: SlotId) -> bool {
        if self.first != id {
            self.behind.retain(|other| *other != id);
            return true;
        }
        self.behind.pop_front().map(|next| self.first = next).is_some()
    }
}

/// How far a log has been read, and which positions below are not settled yet.
#[derive(Debug, Default)]
struct Passage {
    read: i64,
    unsettled: BTreeSet<i64>,
    /// Settled positions above the cursor, with the lower bound of their attempt numbers.
    ahead: BTreeMap<i64, i64>,
}

impl Window {
    /// Begins a log at its cursor.
    pub fn begin(&mut self, log: LogId, cursor: i64) {
        self.logs.insert(log, Passage { read: cursor, ..Passage::default() });
    }

    /// Up to where a log has been read.
    pub fn read_to(&self, log: LogId) -> i64 {
        self.logs.get(&log).map_or(0, |passage| passage.read)
    }

    /// The log was read up to here; events that are in the window keep their place.
    pub fn has_read(&mut self, log: LogId, seq: i64) {
        if let Some(passage) = self.logs.get_mut(&log) {
            passage.read = passage.read.max(seq);
        }
    }

    /// An event that was settled before a restart, above the cursor: its attempts lie above this number.
    pub fn was_settled(&mut self, log: LogId, seq: i64, intent_after: i64) {
        if let Some(passage) = self.logs.get_mut(&log) {
            passage.ahead.insert(seq, intent_after);
        }
    }

    /// The cursor is stored here: what was attempted below does not matter any more.
    pub fn has_stored(&mut self, log: LogId, cursor: i64) {
        if let Some(passage) = self.logs.get_mut(&log) {
            passage.ahead = passage.ahead.split_off(&(cursor + 1));
        }
    }

    /// Where the cursor may stand: everything at or below is settled.
    pub fn cursor(&self, log: LogId) -> i64 {
        self.logs.get(&log).map_or(0, |passage| passage.unsettled.first().map_or(passage.read, |first| first - 1))
    }

    /// Begins a log anew at a cursor that was set to another place: what has not been opened yet is given up and will
    /// be read again; what is open stays, without holding the cursor.
    pub fn restart(&mut self, log: LogId, cursor: i64) {
        let idle: Vec<SlotId> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.log == log && !slot.from_parked && !slot.is_open())
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.remove(id);
        }
        self.begin(log, cursor);
    }

    /// Puts an event in. One that is not from the parked deliveries holds the cursor below it.
    pub fn add(&mut self, slot: Slot) -> SlotId {
        let id = SlotId(self.next);
        self.next += 1;
        if !slot.from_parked {
            self.fresh += 1;
            if let Some(passage) = self.logs.get_mut(&slot.log) {
                passage.unsettled.insert(slot.event.seq());
            }
        }
        self.weight += slot.weight;
        self.ids.insert(slot.event.id);
        let lanes = slot.lanes();
        self.slots.insert(id, Box::new(slot));
        for lane in lanes {
            self.lanes.entry(lane).and_modify(|queue| queue.behind.push_back(id)).or_insert_with(|| Queue::of(id));
        }
        self.settle_phase(id);
        id
    }

    /// Whether an event is in the window; if it is, it holds the cursor of its log (again) until it is settled.
    pub fn keep(&mut self, id: &EventId) -> bool {
        if !self.holds(id) {
            return false;
        }
        let fresh = self.slots.values().find(|slot| slot.event.id == *id && !slot.from_parked);
        if let Some(passage) = fresh.and_then(|slot| self.logs.get_mut(&slot.log)) {
            passage.unsettled.insert(id.seq);
        }
        true
    }

    /// Whether an event is in the window.
    pub fn holds(&self, id: &EventId) -> bool {
        self.ids.contains(id)
    }

    /// A slot.
    pub fn get(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(&id).map(Box::as_ref)
    }

    /// A slot, to change.
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(&id).map(Box::as_mut)
    }

    /// Takes up to `most` events that may be sent now, in log order, and opens them, each in a request of its own.
    /// `wait` says which has to wait, and until when.
    pub fn open(
        &mut self,
        most: usize,
        now: Timestamp,
        mut wait: impl FnMut(&Slot) -> Option<Timestamp>,
    ) -> Vec<SlotId> {
        self.wake_delayed(now);
        let mut opened = Vec::new();
        while opened.len() < most {
            let Some((_, id)) = self.ready.pop_first() else { break };
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            if let Some(due) = wait(slot) {
                slot.phase = Phase::Delayed(due);
                self.delayed.insert((due, id));
                continue;
            }
            slot.phase = Phase::Open;
            self.open += 1;
            opened.push(id);
        }
        opened
    }

    /// Whether an event of another record may be sent now.
    pub fn has_other(&self, not: u64) -> bool {
        self.ready.iter().any(|(_, id)| self.slots.get(id).is_some_and(|slot| slot.event.lane != not))
    }

    fn wake_delayed(&mut self, now: Timestamp) {
        while let Some((due, id)) = self.delayed.first().copied() {
            if due > now {
                break;
            }
            self.delayed.pop_first();
            self.make_ready(id);
        }
    }

    /// Opens one event to probe the endpoint with: not of the record that failed last, when there is any other. One
    /// record that the target cannot bear must not be taken for an endpoint that is down.
    pub fn open_probe(
        &mut self,
        not: Option<u64>,
        now: Timestamp,
        mut wait: impl FnMut(&Slot) -> Option<Timestamp>,
    ) -> Vec<SlotId> {
        self.wake_delayed(now);
        let other = |(_, id): &&(i64, SlotId)| self.slots.get(id).is_some_and(|slot| Some(slot.event.lane) != not);
        // One that has not failed itself says most.
        let failures = |(_, id): &&(i64, SlotId)| self.slots.get(id).map_or(0, |slot| slot.failures);
        let chosen = self.ready.iter().filter(other).min_by_key(failures).or_else(|| self.ready.first()).copied();
        let Some((_, id)) = chosen else { return Vec::new() };
        if let Some(due) = self.get(id).and_then(&mut wait) {
            self.delay(id, due);
            return Vec::new();
        }
        let request = self.whole(id).unwrap_or_else(|| vec![id]);
        self.open_request(&request);
        request
    }

    /// An open event goes back: it may be sent again from `due` on.
    pub fn put_back(&mut self, id: SlotId, due: Option<Timestamp>) {
        let Some(slot) = self.slots.get(&id) else { return };
        if slot.phase == Phase::Open {
            self.open -= 1;
        }
        self.is_filling = false;
        match due {
            Some(due) => self.delay(id, due),
            None => self.make_ready(id),
        }
    }

    fn delay(&mut self, id: SlotId, due: Timestamp) {
        if let Some(slot) = self.slots.get_mut(&id) {
            if slot.phase == Phase::Ready {
                self.ready.remove(&(slot.event.seq(), id));
            }
            slot.phase = Phase::Delayed(due);
            self.delayed.insert((due, id));
        }
    }

    /// Everything delayed may be sent now (the endpoint is back).
    pub fn hurry(&mut self) {
        for (_, id) in std::mem::take(&mut self.delayed) {
            self.make_ready(id);
        }
    }

    /// Takes an event out: it is settled, or parked. The next of its record moves up.
    pub fn remove(&mut self, id: SlotId) -> Option<Slot> {
        let slot = *self.slots.remove(&id)?;
        self.weight -= slot.weight;
        self.ids.remove(&slot.event.id);
        match slot.phase {
            Phase::Open => self.open -= 1,
            Phase::Ready => {
                self.ready.remove(&(slot.event.seq(), id));
            }
            Phase::Delayed(due) => {
                self.delayed.remove(&(due, id));
            }
            Phase::Queued | Phase::Joined => {}
        }
        self.is_filling = false;
        if !slot.from_parked {
            self.fresh -= 1;
            if let Some(passage) = self.logs.get_mut(&slot.log) {
                passage.unsettled.remove(&slot.event.seq());
                passage.ahead.extend(slot.intent_after.map(|after| (slot.event.seq(), after)));
            }
        }
        for lane in slot.lanes() {
            let Some(queue) = self.lanes.get_mut(&lane) else { continue };
            if queue.leave(id) {
                let first = queue.first;
                self.settle_phase(first);
            } else {
                self.lanes.remove(&lane);
            }
        }
        Some(slot)
    }

    /// The events of a lane that are not open, in the order of coming in.
    pub fn waiting_in(&self, lane: u64) -> Vec<SlotId> {
        let idle = |id: &SlotId| self.slots.get(id).is_some_and(|slot| !slot.is_open());
        self.lanes.get(&lane).into_iter().flat_map(Queue::iter).filter(idle).collect()
    }

    /// The slot of an event that is not open.
    pub fn idle_slot(&self, id: &EventId) -> Option<SlotId> {
        if !self.holds(id) {
            return None;
        }
        self.slots.iter().find(|(_, slot)| slot.event.id == *id && !slot.is_open()).map(|(id, _)| *id)
    }

    /// Everything that is not open, in the order of coming in.
    pub fn idle(&self) -> Vec<SlotId> {
        let idle = self.slots.iter().filter(|(_, slot)| !slot.is_open());
        let mut found: Vec<SlotId> = idle.map(|(id, _)| *id).collect();
        found.sort_unstable();
        found
    }

    /// How many events are in the window.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is in the window.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of the requests in the window.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// How many of them were read from a log (the rest came from the parked deliveries).
    pub fn fresh(&self) -> usize {
        self.fresh
    }

    /// How many requests are open: their intents being written, or being sent.
    pub fn opened(&self) -> usize {
        self.open
    }

    /// How many may be sent now.
    pub fn ready(&self) -> usize {
        if self.is_filling { 0 } else { self.ready.len() }
    }

    /// When the next delayed event may be sent.
    pub fn next_delayed(&self) -> Option<Timestamp> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// How many different records wait or are under way.
    pub fn records(&self) -> usize {
        self.lanes.len()
    }

    /// The lowest bound of the attempt numbers that a restart has to know.
    pub fn oldest_intent(&self) -> Option<i64> {
        let ahead = self.logs.values().flat_map(|passage| passage.ahead.values().copied());
        self.slots.values().filter_map(|slot| slot.intent_after).chain(ahead).min()
    }

    fn make_ready(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.phase = Phase::Ready;
            self.ready.insert((slot.event.seq(), id));
            self.is_filling = false;
        }
    }

    /// A queued event that is first in all its lanes may be sent.
    fn settle_phase(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get(&id) else { return };
        if slot.phase != Phase::Queued || slot.is_asking {
            return;
        }
        let first = slot.lanes().all(|lane| self.lanes.get(&lane).is_none_or(|queue| queue.first == id));
        if first {
            self.make_ready(id);
        }
    }
}
