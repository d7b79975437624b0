//! Opening several events as one request (`batch`).

use foldhash::HashSet;

use super::{Phase, Slot, SlotId, Window};
use crate::adapter::join::{self, go_together, joins};
use crate::clock::Timestamp;
use crate::rules::batch::{Batch, Shape};
use crate::store::state::attempt::SPAN;

/// Events that are looked at for each that a request may have: what does not go together is not searched for without
/// end.
const LOOK: usize = 4;

/// What was found to be opened next.
enum Found {
    /// A request: its events in order, and whether more could not go along.
    Request(Vec<SlotId>, bool),
    /// Of what went together some events are there no more: the others go as they come.
    Scattered(u64),
    Nothing,
}

impl Window {
    /// Takes what may be sent now, in log order, and opens it in up to `most` requests; one that has room for more only
    /// while fewer than `few` are open. Gives all events of a request one after another; those that are not its first
    /// are [`Slot::is_joined`]. What went together before is waited for while more is `to_come`. `wait` says which event
    /// has to wait, and until when.
    pub fn open_joined(
        &mut self,
        (most, few): (usize, usize),
        batch: &Batch,
        to_come: bool,
        now: Timestamp,
        mut wait: impl FnMut(&Slot) -> Option<Timestamp>,
    ) -> Vec<SlotId> {
        self.wake_delayed(now);
        let (mut opened, mut requests) = (Vec::new(), 0);
        while requests < most {
            let mut waiting = Vec::new();
            let found = self.find(batch, to_come, |id, slot| {
                let due = wait(slot);
                waiting.extend(due.map(|due| (id, due)));
                due.is_some()
            });
            let none_waits = waiting.is_empty();
            waiting.into_iter().for_each(|(id, due)| self.delay(id, due));
            match found {
                Found::Request(_, false) if self.open >= few => {
                    self.is_filling = true;
                    break;
                }
                Found::Request(request, _) => {
                    self.open_request(&request);
                    opened.extend(request);
                    requests += 1;
                }
                Found::Scattered(request) => self.scatter(request),
                Found::Nothing if none_waits => {
                    self.is_filling = true;
                    break;
                }
                Found::Nothing => {}
            }
        }
        opened
    }

    /// Looks through what is ready for the next request. `waits` is asked of each event before it is taken.
    fn find(&self, batch: &Batch, to_come: bool, mut waits: impl FnMut(SlotId, &Slot) -> bool) -> Found {
        let mut request: Vec<SlotId> = Vec::new();
        let mut head: Option<&Slot> = None;
        let (mut bytes, mut keys, mut most) = (0, 0, batch.max.max(1));
        let mut names: HashSet<&str> = HashSet::default();
        for (looked, (_, id)) in self.ready.iter().enumerate() {
            if looked >= LOOK * batch.max {
                return Found::Request(request, true);
            }
            let Some(slot) = self.slots.get(id) else { continue };
            let Some(first) = head else {
                if let Some(together) = slot.together {
                    match self.whole(*id) {
                        Some(whole) => return Found::Request(whole, true),
                        // The others have not been read yet.
                        None if to_come && self.read_to(slot.log) < together.last => continue,
                        None => return Found::Scattered(together.request),
                    }
                }
                if waits(*id, slot) {
                    continue;
                }
                request.push(*id);
                if !can_join(slot) {
                    return Found::Request(request, true);
                }
                (head, bytes, keys) = (Some(slot.as_ref()), slot.weight, key_bytes(slot));
                names.extend(name(slot));
                most = most.min(slot.most_together);
                if request.len() >= most {
                    return Found::Request(request, true);
                }
                continue;
            };
            let fits = slot.together.is_none() && request.len() < slot.most_together && goes_with(first, slot);
            // Two that are one record at the target would fail each other.
            if !fits || name(slot).is_some_and(|name| names.contains(name)) {
                continue;
            }
            if bytes + slot.weight > batch.max_bytes || keys + key_bytes(slot) > Batch::KEY_BYTES {
                return Found::Request(request, true);
            }
            if waits(*id, slot) {
                continue;
            }
            request.push(*id);
            names.extend(name(slot));
            (bytes, keys) = (bytes + slot.weight, keys + key_bytes(slot));
            most = most.min(slot.most_together);
            if request.len() >= most {
                return Found::Request(request, true);
            }
        }
        if request.is_empty() { Found::Nothing } else { Found::Request(request, false) }
    }

    /// The events that an event went together with, in their order, itself among them: when all of them are there and
    /// may be sent. None also for one that went alone.
    pub(super) fn whole(&self, id: SlotId) -> Option<Vec<SlotId>> {
        let together = self.slots.get(&id)?.together?;
        let with = self.slots.iter().filter(|(_, slot)| slot.together.is_some_and(|t| t.request == together.request));
        let mut with: Vec<(i64, SlotId, Phase)> = with.map(|(id, slot)| (slot.event.seq(), *id, slot.phase)).collect();
        with.sort_unstable_by_key(|(seq, id, _)| (*seq, *id));
        let all_ready = with.len() == together.of && with.iter().all(|(.., phase)| *phase == Phase::Ready);
        all_ready.then(|| with.into_iter().map(|(_, id, _)| id).collect())
    }

    /// Events that can never be all together again go as they come.
    fn scatter(&mut self, request: u64) {
        for slot in self.slots.values_mut().filter(|slot| slot.together.is_some_and(|t| t.request == request)) {
            slot.together = None;
        }
    }

    /// Opens events as one request.
    pub(super) fn open_request(&mut self, request: &[SlotId]) {
        for (at, id) in request.iter().enumerate() {
            let Some(slot) = self.slots.get_mut(id) else { continue };
            self.ready.remove(&(slot.event.seq(), *id));
            slot.phase = if at == 0 { Phase::Open } else { Phase::Joined };
        }
        self.open += usize::from(!request.is_empty());
    }
}

fn can_join(slot: &Slot) -> bool {
    matches!(&*slot.parts, [only] if joins(slot.shape, only))
}

fn goes_with(first: &Slot, slot: &Slot) -> bool {
    let near = (slot.event.seq() - first.event.seq()).abs() < SPAN;
    let like = slot.log == first.log && slot.shape == first.shape && slot.config == first.config;
    match (&*first.parts, &*slot.parts) {
        ([one], [other]) => near && like && can_join(slot) && go_together(one, other),
        _ => false,
    }
}

/// What names its record at the target, where an adapter's file says so.
fn name(slot: &Slot) -> Option<&str> {
    slot.parts.first().and_then(join::name)
}

/// Bytes in the list of keys, where there is one.
fn key_bytes(slot: &Slot) -> usize {
    if slot.shape == Shape::Spec {
        return 0;
    }
    slot.parts.first().map_or(0, |part| part.key().len() + 2)
}
