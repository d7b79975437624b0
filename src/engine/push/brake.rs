//! Braking records whose deliveries cause their own next change.

use std::time::Duration;

use super::Worker;
use crate::clock::{self, Timestamp};
use crate::engine::window::SlotId;
use crate::event::{Event, Op};
use crate::rules::lane::lane;
use crate::store::state::batch::Entry;

impl Worker {
    /// Puts those of the opened events back that have to wait for the brake; gives the others.
    pub(super) fn brake(&mut self, opened: Vec<SlotId>, now: Timestamp) -> Vec<SlotId> {
        let mut free = Vec::with_capacity(opened.len());
        let before = self.brake.count();
        for id in opened {
            let Some(slot) = self.window.get(id) else { continue };
            let record = self.record_of(&slot.event);
            let due = record.and_then(|record| self.brake.wait(record, slot.event.at, now).map(|due| (record, due)));
            let Some((record, due)) = due else {
                free.push(id);
                continue;
            };
            if self.brake.begin(record) {
                log::warn!(
                    "{}: {} {}: each delivery of this record is followed by another change of it, more than {} times: \
                     it is braked to one a second; look for what writes it again",
                    self.connector.name,
                    slot.event.kind,
                    slot.event.id,
                    crate::rules::brake::BURST
                );
            }
            self.window.put_back(id, Some(due));
        }
        self.note_brake(before);
        free
    }

    /// A change was delivered; its last request took so long.
    pub(super) fn note_pace(&mut self, id: SlotId, took: Duration, now: Timestamp) {
        let Some(slot) = self.window.get(id) else { return };
        if let Some(record) = self.record_of(&slot.event) {
            self.brake.delivered(record, slot.event.at, clock::now().minus(took), now);
        }
    }

    /// Lets go of records that have calmed down.
    pub(super) fn release_brakes(&mut self, now: Timestamp) {
        let before = self.brake.count();
        if before == 0 {
            return;
        }
        for _ in self.brake.end(now) {
            log::warn!("{}: a record that was braked has calmed down and is braked no more", self.connector.name);
        }
        self.note_brake(before);
    }

    /// Whether everything in the window waits for the brake.
    pub(super) fn is_braked(&self) -> bool {
        let held = |id: &SlotId| {
            let record = self.window.get(*id).and_then(|slot| self.record_of(&slot.event));
            record.is_some_and(|record| self.brake.holds(record))
        };
        self.brake.count() > 0
            && !self.window.is_empty()
            && self.window.opened() == 0
            && self.window.idle().iter().all(held)
    }

    fn note_brake(&mut self, before: usize) {
        if self.brake.count() != before {
            self.pending.push(Entry::Braked(self.brake.count() as u64));
        }
    }

    /// The record that a change is of. What is no change of a row (a posted event) has none. With `serial: true` all
    /// events share one lane, but not one record.
    fn record_of(&self, event: &Event) -> Option<u64> {
        match event.op {
            Op::Event => None,
            _ if self.connector.serial => Some(lane(&event.log, &event.kind, &event.key, &[])),
            _ => Some(event.lane),
        }
    }
}
