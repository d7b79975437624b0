//! Braking records whose deliveries cause their own next change.

use std::time::Duration;

use super::Worker;
use super::agree::{LOOK, Leave};
use crate::clock::{self, Timestamp};
use crate::engine::window::{Slot, SlotId};
use crate::event::{Event, Op};
use crate::rules::batch::Batch;
use crate::rules::lane::lane;
use crate::store::state::batch::Entry;

/// How events are opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Opening {
    /// One, to see whether the endpoint is back.
    Probe,
    /// So many requests at most; of several events each, when there is a batch.
    Most(usize, Option<Batch>),
}

impl Worker {
    /// Opens what may be sent now, `most` requests at most; what has to wait for the brake is put off.
    pub(super) fn open_free(&mut self, opening: Opening, now: Timestamp) -> Vec<SlotId> {
        let before = self.brake.count();
        let to_come = self.wants_to_read();
        let serial = self.connector.serial;
        let (brake, name) = (&mut self.brake, &self.connector.name);
        let reading = self.reading.clone();
        // Whoever reads decides about nothing while it is looked which records may leave.
        let mut inside = reading.as_ref().map(|reading| reading.turnstile.lock());
        let (reader, connector, logs, mut over) = (&mut self.reader, self.id, &self.logs, Vec::new());
        let wait = |slot: &Slot| {
            if let (Some(reading), Some(inside)) = (&reading, &inside) {
                let is_replay = logs.iter().any(|log| log.id == slot.log && slot.event.seq() <= log.replay_to);
                match reading.may_leave(reader, connector, inside, slot, is_replay) {
                    Leave::May => {}
                    Leave::Later => return Some(now.plus(LOOK)),
                    not => {
                        over.push((slot.event.id, not));
                        return Some(now.plus(LOOK));
                    }
                }
            }
            let record = record_of(&slot.event, serial)?;
            let due = brake.wait(record, slot.event.at, now)?;
            if brake.begin(record) {
                log::warn!(
                    connector:% = name;
                     "{name}: {} {}: each delivery of this record is followed by another change of it, more than {} times: \
                     it is braked to one a second; look for what writes it again",
                    slot.event.kind,
                    slot.event.id,
                    crate::rules::brake::BURST
                );
            }
            Some(due)
        };
        let opened = match opening {
            Opening::Probe => self.window.open_probe(self.failed_lane, now, wait),
            Opening::Most(most, None) => self.window.open(most, now, wait),
            Opening::Most(most, Some(batch)) => {
                self.window.open_joined((most, self.connector.concurrency), &batch, to_come, now, wait)
            }
        };
        if let (Some(reading), Some(inside)) = (&reading, &mut inside) {
            for slot in opened.iter().filter_map(|id| self.window.get(*id)) {
                let keys: Vec<String> = reading.records_of(&slot.event).into_iter().map(|sent| sent.key).collect();
                keys.iter().for_each(|key| inside.leave(key, slot.event.seq()));
                self.away.insert(slot.event.id, keys);
            }
        }
        drop(inside);
        self.stays(over);
        self.note_brake(before);
        opened
    }

    /// A change was delivered; its last request took so long.
    pub(super) fn note_pace(&mut self, id: SlotId, took: Duration, now: Timestamp) {
        let Some(slot) = self.window.get(id) else { return };
        if let Some(record) = record_of(&slot.event, self.connector.serial) {
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
            log::warn!(connector:% = self.connector.name; "{}: a record that was braked has calmed down and is braked no more", self.connector.name);
        }
        self.note_brake(before);
    }

    /// Whether everything in the window waits for the brake.
    pub(super) fn is_braked(&self) -> bool {
        let held = |id: &SlotId| {
            let record = self.window.get(*id).and_then(|slot| record_of(&slot.event, self.connector.serial));
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
}

/// The record that a change is of. What is no change of a row (a posted event) has none. With `serial: true` all events
/// share one lane, but not one record.
fn record_of(event: &Event, serial: bool) -> Option<u64> {
    match event.op {
        Op::Event => None,
        _ if serial => Some(lane(&event.log, &event.kind, &event.key, &[])),
        _ => Some(event.lane),
    }
}
