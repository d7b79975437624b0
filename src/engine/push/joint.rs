//! Several events in one request (`batch`): making it, and what its answer means for each of them.

use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use super::settle::{Came, broken_lane, doubt_after, has_failed, record};
use crate::adapter::join::join;
use crate::adapter::{Delivery, Left, Parcel, hash_in};
use crate::clock;
use crate::engine::lanes::Job;
use crate::engine::window::SlotId;
use crate::event::{Event, Value};
use crate::format::json;
use crate::rules::batch::{self, Batch, Next, Shape};
use crate::rules::outcome::Outcome;
use crate::store::state::attempt::{Together, Word};
use crate::store::state::counter::Counter;

impl Worker {
    /// How events are put together now.
    pub(super) fn batch_now(&self) -> Option<Batch> {
        self.connector.batch.map(|batch| Batch { max: batch.max.min(self.size.most), ..batch })
    }

    /// The job of a request by its events; of an event with two parts (its key changed) each is a request.
    pub(super) fn join(&mut self, first: SlotId, rest: Vec<SlotId>) -> Job {
        let members = std::iter::once(&first).chain(&rest);
        let slots: Vec<_> = members.filter_map(|id| self.window.get(*id)).collect();
        let shape = slots.first().map_or(Shape::Alone, |slot| slot.shape);
        let whole = |parcels: &[&Parcel]| join(shape, parcels);
        let parts: Vec<Parcel> = match slots.as_slice() {
            [only] => only.parts.iter().filter_map(|part| whole(&[part])).collect(),
            several => {
                let parts: Vec<&Parcel> = several.iter().flat_map(|slot| slot.parts.iter()).collect();
                whole(&parts).into_iter().collect()
            }
        };
        if !rest.is_empty() {
            self.joined.insert(first, rest);
        }
        Job { slot: first, parts: Arc::from(parts) }
    }

    /// The events of a request that is given back, the first among them.
    pub(super) fn members(&mut self, first: SlotId) -> Vec<SlotId> {
        std::iter::once(first).chain(self.joined.remove(&first).unwrap_or_default()).collect()
    }

    /// Judges what came back for several events in one request.
    pub(super) fn settle_joint(&mut self, members: Vec<SlotId>, mut deliveries: Vec<Delivery>) {
        if self.reading.is_some() {
            let events: Vec<Event> =
                members.iter().filter_map(|id| self.window.get(*id)).map(|slot| slot.event.clone()).collect();
            for event in events {
                let key = json::value(&Value::Map(event.key.clone()));
                let own = |left: &&Left| *left.kind == *event.kind && left.key.as_bytes() == key;
                self.hear_version(&event, deliveries.iter().flat_map(|delivery| &delivery.left).filter(own));
            }
        }
        self.keep_left(&mut deliveries);
        let last = deliveries.last();
        let outcome = last.map_or_else(broken_lane, |delivery| delivery.outcome.clone());
        let status = last.and_then(|delivery| delivery.status);
        let took = last.map_or(Duration::ZERO, |delivery| delivery.took);
        let items = last.map(|delivery| &*delivery.items).filter(|items| items.len() == members.len());
        let doubt = if outcome.is_delivered() { Some(false) } else { doubt_after(&outcome, &[]) };
        for (at, id) in members.iter().enumerate() {
            let Some(slot) = self.window.get(*id) else { continue };
            // The hash is that of the request that the event would be alone: with it a later replay is compared.
            let hash = hash_in(slot.shape, &slot.parts).unwrap_or_default();
            let own = items.and_then(|items| items.get(at)).unwrap_or(&outcome);
            let mut line = record(slot.event.id, own, if at == 0 { &deliveries } else { &[] }, hash);
            line.bytes.0 = u32::try_from(slot.parts.iter().map(Parcel::weight).sum::<usize>()).unwrap_or(u32::MAX);
            line.status = status.unwrap_or(0);
            if items.is_none() && doubt == Some(true) {
                line.word = Word::Unknown;
            }
            self.settled.entry(slot.log).or_default().push(line);
        }
        let closed = self.breaker.is_closed();
        let lane = members.first().and_then(|id| self.window.get(*id)).map_or(0, |slot| slot.event.lane);
        if let Some(items) = items {
            // An answer that speaks of each record is one of an endpoint that works, unless it puts all of them off.
            let put_off = items.iter().all(|item| matches!(item, Outcome::Retry { .. }));
            let endpoint = items.first().filter(|_| put_off).unwrap_or(&Outcome::Success);
            self.note_endpoint(endpoint, lane, clock::steady());
            for (id, outcome) in members.into_iter().zip(items) {
                let (delivered, doubt) = (outcome.is_delivered(), doubt_after(outcome, &[]));
                // The status of the whole says nothing of one record; its own class does.
                self.conclude(id, Came { outcome, delivered, doubt, status: None, took, closed });
            }
            return;
        }
        match &outcome {
            // One record may be what it cannot bear: that says little of the endpoint. It is asked again with fewer.
            Outcome::Retry { transport: false, after: None, .. } => self.breaker.probe_void(),
            _ => self.note_endpoint(&outcome, lane, clock::steady()),
        }
        if outcome.is_delivered() {
            self.widen(members.len());
            for id in members {
                self.conclude(id, Came { outcome: &outcome, delivered: true, doubt, status, took, closed });
            }
            return;
        }
        self.try_again(&members, &outcome, status, doubt);
    }

    /// What was not delivered together goes together again, or as two halves.
    fn try_again(&mut self, members: &[SlotId], outcome: &Outcome, status: Option<u16>, doubt: Option<bool>) {
        let slots = || members.iter().filter_map(|id| self.window.get(*id));
        let last = slots().map(|slot| slot.event.seq()).max().unwrap_or(0);
        let lane = slots().next().map_or(0, |slot| slot.event.lane);
        let together = members.first().map(|first| Together { request: first.0, of: members.len(), last });
        let (mut own, mut failures) = (true, 1);
        for id in members {
            let Some(slot) = self.window.get_mut(*id) else { continue };
            own &= has_failed(slot, self.answered);
            failures = slot.failures.max(failures);
        }
        let next = batch::next(outcome, own, failures);
        let halves = matches!(next, Next::Halves(_));
        let often = failures >= batch::OFTEN;
        for id in members {
            let Some(slot) = self.window.get_mut(*id) else { continue };
            slot.in_doubt = doubt.unwrap_or(slot.in_doubt);
            // Only where nobody knows whether it arrived must it be the same request again.
            slot.together = together.filter(|_| slot.in_doubt && !halves);
            if halves {
                slot.most_together = members.len().div_ceil(2);
                // What is known to fail by itself stays so: where nothing else is left to send, no more would get through.
                slot.failures = if own || often { slot.failures } else { 0 };
            }
        }
        let now = clock::steady();
        let name = &self.connector.name;
        let due = match &next {
            Next::Halves(reason) => {
                log::debug!(connector:% = name; "{name}: {} events go again as two halves: {reason}", members.len());
                // What is refused is refused at once again; what is put off may need its time.
                let refused = matches!(outcome, Outcome::Reject(_) | Outcome::Conflict(_));
                (!refused).then(|| now.plus(self.connector.retry.delay(failures, self.dice.f64())))
            }
            Next::Together(reason) => {
                log::debug!(connector:% = name; "{name}: {} events go together again: {reason}", members.len());
                Some(now.plus(self.connector.retry.delay(failures, self.dice.f64())))
            }
            Next::Halt(_) => None,
        };
        for id in members {
            if !matches!(next, Next::Halt(_)) {
                self.count(Counter::Retried);
                self.summary.retried += 1;
            }
            self.window.put_back(*id, due);
        }
        // What is halved because nobody knows better says nothing of how many records the target takes.
        if halves && !(often && matches!(outcome, Outcome::Unknown { .. })) {
            self.narrow(members.len(), status == Some(413));
        }
        // A refusal of many is counted when it is known whose it is.
        let streak = if halves { None } else { self.streak.note(outcome, lane) };
        match next {
            Next::Halt(reason) => self.halt(reason),
            _ => {
                if let Some(reason) = streak {
                    self.halt(reason);
                }
            }
        }
    }

    /// The target did not take a request of so many: the next ones have half as many events, but not fewer than it has taken.
    fn narrow(&mut self, had: usize, too_large: bool) {
        let size = &mut self.size;
        if had <= size.taken {
            // It has taken as many. One record of these may be at fault; where it is not, this leads down in steps.
            size.taken = had * 3 / 4;
            return;
        }
        size.most = had.div_ceil(2).max(size.taken).max(1).min(size.most);
        size.calm = 0;
        if too_large {
            log::info!(
                connector:% = self.connector.name;
                 "{}: the target finds a request of {had} records too large: {} at most for now",
                self.connector.name,
                size.most
            );
        }
    }

    /// Requests that the target has taken grow again, by a quarter at a time, up to what is configured; beyond what it has
    /// refused only after it has taken many.
    fn widen(&mut self, had: usize) {
        let most = self.connector.batch.map_or(1, |batch| batch.max);
        let size = &mut self.size;
        if had < size.most {
            return;
        }
        size.calm += 1;
        if had > size.taken || size.calm > CALM {
            size.taken = had.max(size.taken);
            size.most = (size.most + (size.most / 4).max(1)).min(most);
        }
    }
}

/// Full requests that the target must have taken before larger ones are tried.
const CALM: u32 = 20;

/// How many events go in one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// At most so many now.
    pub(super) most: usize,
    /// So many the target has taken.
    taken: usize,
    /// Full requests that it has taken since it refused one.
    calm: u32,
}

impl Size {
    /// As many as configured, until something speaks against it.
    pub(super) fn of(most: usize) -> Size {
        Size { most, taken: 0, calm: 0 }
    }
}
