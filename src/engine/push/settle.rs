//! Judging what came back: done, parked, put back, or the connector halts.

use std::time::Duration;

use super::fill::behind;
use super::{DISPUTED, PAUSE, Worker};
use crate::adapter::{Delivery, hash_in};
use crate::clock::{self, Timestamp};
use crate::engine::chains::Chains;
use crate::engine::frozen::freeze;
use crate::engine::lanes::Done;
use crate::engine::meter;
use crate::engine::window::{Slot, SlotId};
use crate::rules::batch::Shape;
use crate::rules::outcome::{Outcome, Reason};
use crate::rules::retry::{Tally, Verdict, judge};
use crate::store::state::attempt::{Settled, UNSENT, Word};
use crate::store::state::batch::Entry;
use crate::store::state::connector::OpenBreaker;
use crate::store::state::counter::Counter;
use crate::store::state::parked::{Parked, ParkedState};

/// Hears of each event that was delivered, with the status of the answer when it is about that event.
pub type Synced = fn(Option<u16>);

/// What came of an attempt for one event.
pub(super) struct Came<'a> {
    pub(super) outcome: &'a Outcome,
    /// All of it was delivered.
    pub(super) delivered: bool,
    /// Whether the target may have it; none = the attempt does not say.
    pub(super) doubt: Option<bool>,
    pub(super) status: Option<u16>,
    pub(super) took: Duration,
    /// The breaker was closed before it.
    pub(super) closed: bool,
}

impl Worker {
    /// Takes what the lanes have brought back.
    pub(super) fn take_results(&mut self) {
        let (done, unsent) = self.lanes.take();
        for done in done {
            self.settle(done);
        }
        self.put_back(unsent);
    }

    fn settle(&mut self, done: Done) {
        let Done { slot: id, mut deliveries } = done;
        self.is_back(id);
        if let Some(rest) = self.joined.remove(&id) {
            rest.iter().for_each(|id| self.is_back(*id));
            return self.settle_joint(std::iter::once(id).chain(rest).collect(), deliveries);
        }
        // Of one record in a list the target has spoken of that one.
        for delivery in &mut deliveries {
            if let [only] = &*delivery.items {
                delivery.outcome = only.clone();
            }
        }
        let Some(slot) = self.window.get(id) else { return };
        if self.reading.is_some() {
            let event = slot.event.clone();
            self.hear_version(&event, deliveries.iter().flat_map(|delivery| &delivery.left));
        }
        self.keep_left(&mut deliveries);
        let Some(slot) = self.window.get(id) else { return };
        let delivered = !deliveries.is_empty()
            && deliveries.len() == slot.parts.len()
            && deliveries.iter().all(|delivery| delivery.outcome.is_delivered());
        let last = deliveries.last();
        let outcome = last.map_or_else(broken_lane, |delivery| delivery.outcome.clone());
        // Of several parts all count, sent or not: the next attempt asks whether the delivery is still the same.
        let hash = match (slot.shape, &*slot.parts) {
            (Shape::Alone, [_]) => last.map(|delivery| delivery.request_hash),
            (shape, parts) => hash_in(shape, parts),
        };
        let hash = hash.unwrap_or([0; 32]);
        let (lane, log, event_id) = (slot.event.lane, slot.log, slot.event.id);
        let status = last.and_then(|delivery| delivery.status);
        let took = last.map_or(Duration::ZERO, |delivery| delivery.took);
        let doubt = if delivered { Some(false) } else { doubt_after(&outcome, &deliveries) };
        let mut line = record(event_id, &outcome, &deliveries, hash);
        if doubt == Some(true) {
            line.word = Word::Unknown;
        }
        self.settled.entry(log).or_default().push(line);
        let now = clock::steady();
        let closed = self.breaker.is_closed();
        self.note_endpoint(&outcome, lane, now);
        self.conclude(id, Came { outcome: &outcome, delivered, doubt, status, took, closed });
    }

    /// Keeps what deliveries leave behind of their records.
    pub(super) fn keep_left(&mut self, deliveries: &mut [Delivery]) {
        for left in deliveries.iter_mut().flat_map(|delivery| std::mem::take(&mut delivery.left)) {
            self.pending.push(Entry::Link(left.kind, left.key, left.values));
        }
    }

    /// Draws the consequences of an attempt for its event, once they are drawn for the endpoint.
    pub(super) fn conclude(&mut self, id: SlotId, came: Came<'_>) {
        let Came { outcome, delivered, doubt, status, took, closed } = came;
        let now = clock::steady();
        if delivered {
            self.answered += 1;
            let lane = self.window.get(id).map_or(0, |slot| slot.event.lane);
            self.note_pace(id, took, now);
            self.deliver(id);
            if let Some(synced) = self.synced {
                synced(status);
            }
            self.unhalt(lane);
            return;
        }
        let Some(slot) = self.window.get_mut(id) else { return };
        slot.together = None;
        slot.in_doubt = doubt.unwrap_or(slot.in_doubt);
        let own = has_failed(slot, self.answered);
        let (lane, event_id, failures) = (slot.event.lane, slot.event.id, slot.failures);
        let age = slot.first_attempt.map_or(Duration::ZERO, |first| now.since(first));
        let by_request = status.is_some_and(|status| self.connector.retry.retry_on.contains(&status));
        let tally = Tally { attempts: slot.attempts, age, by_request };
        // What fails again and again while others get through is no outage: it counts as the event's own.
        let fault = if own { outcome.as_answered() } else { outcome.clone() };
        let verdict = judge(&fault, tally, &self.connector.retry, closed || own, self.dice.f64());
        let streak = self.streak.note(outcome, lane);
        match verdict {
            // Some parts were delivered, the rest was not tried: again from the first, they are repeatable.
            Verdict::Done => self.window.put_back(id, None),
            Verdict::Again(reason) => {
                self.count(Counter::Retried);
                self.summary.retried += 1;
                log::debug!(connector:% = self.connector.name, event:% = event_id, class:% = reason.class; "{}: {event_id} again: {reason}", self.connector.name);
                let delay = self.connector.retry.delay(failures, self.dice.f64());
                self.window.put_back(id, Some(now.plus(delay)));
            }
            Verdict::Wait { delay, reason } => {
                self.count(Counter::Retried);
                self.summary.retried += 1;
                log::info!(connector:% = self.connector.name, event:% = event_id, class:% = reason.class; "{}: {event_id} waits {} ms: {reason}", self.connector.name, delay.as_millis());
                self.stand_aside(id, ParkedState::Waiting, reason, status, Some(now.plus(delay)));
            }
            Verdict::Dead(reason)
                if matches!(outcome, Outcome::Conflict(_))
                    && self.window.get(id).is_some_and(|slot| self.is_to_be_read(&slot.event)) =>
            {
                log::info!(connector:% = self.connector.name, event:% = event_id, class:% = reason.class; "{}: {event_id} met another version: {reason}", self.connector.name);
                self.will_be_read(event_id);
                self.stand_aside(id, ParkedState::Held, Reason::new(DISPUTED, reason.text), status, None);
            }
            Verdict::Dead(reason) => {
                self.count(Counter::Dead);
                log::error!(connector:% = self.connector.name, event:% = event_id, class:% = reason.class; "{}: {event_id} is a dead letter: {reason}", self.connector.name);
                self.stand_aside(id, ParkedState::Dead, reason, status, None);
            }
            Verdict::Halt(reason) => {
                self.window.put_back(id, None);
                self.halt(reason);
            }
        }
        if let Some(reason) = streak {
            self.halt(reason);
        }
    }

    /// Tells the breaker what the outcome says of the endpoint.
    pub(super) fn note_endpoint(&mut self, outcome: &Outcome, lane: u64, now: Timestamp) {
        match outcome {
            Outcome::Retry { reason, after, .. } => {
                if let Some(after) = after {
                    let until = now.plus(*after);
                    let until = self.hold_until.map_or(until, |held| held.max(until));
                    self.hold_until = Some(until);
                    self.pending.push(Entry::Hold(self.connector.adapter.origin().to_owned(), until));
                    self.call_back();
                }
                self.endpoint_failed(reason, "the endpoint is down", lane, now);
            }
            Outcome::Unknown { reason, transport: true } => {
                self.endpoint_failed(reason, "the endpoint is down", lane, now);
            }
            // It answers. Whether that is the target itself is another question: three in a row halt the connector.
            Outcome::Unknown { reason, transport: false } => {
                self.endpoint_failed(reason, "the endpoint's answers say nothing", lane, now);
            }
            Outcome::Halt(_) | Outcome::Reauth(_) => self.breaker.probe_void(),
            Outcome::Success
            | Outcome::SuccessWithRemarks(_)
            | Outcome::Duplicate
            | Outcome::Conflict(_)
            | Outcome::Reject(_) => {
                if self.breaker.success() {
                    log::info!(connector:% = self.connector.name; "{}: the endpoint is back", self.connector.name);
                    self.window.hurry();
                    self.store_breaker();
                }
            }
        }
    }

    fn endpoint_failed(&mut self, reason: &Reason, words: &str, lane: u64, now: Timestamp) {
        self.failed_lane = Some(lane);
        let was_closed = self.breaker.is_closed();
        let alone = self.window.records() <= 1;
        if self.breaker.failure(lane, alone, reason, now, self.dice.f64()) {
            if was_closed {
                log::warn!(connector:% = self.connector.name, class:% = reason.class; "{}: {words}: {reason}", self.connector.name);
                self.call_back();
            }
            self.store_breaker();
        }
    }

    /// Takes back what no lane has begun to send: the target is not to be asked now.
    pub(super) fn call_back(&mut self) {
        self.called_back.extend(self.opening.iter().chain(&self.committing));
        let unsent = self.lanes.recall();
        self.put_back(unsent);
    }

    fn put_back(&mut self, unsent: Vec<SlotId>) {
        for first in unsent {
            for id in self.members(first) {
                self.put_back_unsent(id, None);
            }
        }
    }

    /// Puts an event back that was intended and is not sent after all; its attempt ends so in the attempt log.
    pub(super) fn put_back_unsent(&mut self, id: SlotId, due: Option<Timestamp>) {
        self.is_back(id);
        let Some(slot) = self.window.get(id) else { return };
        let (event, log) = (slot.event.id, slot.log);
        self.settled.entry(log).or_default().push(not_sent(event));
        self.window.put_back(id, due);
    }

    pub(super) fn store_breaker(&mut self) {
        let open = self.breaker.opened().map(|opened| OpenBreaker {
            opened: opened.at,
            next_probe: opened.next_probe,
            failures: opened.failures,
            reason: opened.reason.clone(),
        });
        let origin = self.connector.adapter.origin().to_owned();
        self.pending.push(Entry::Breaker(origin, open));
    }

    fn deliver(&mut self, id: SlotId) {
        let Some(slot) = self.window.remove(id) else { return };
        let event = slot.event;
        self.note_arrived(&event);
        if !self.is_replay(slot.log, event.seq()) {
            meter::delivered(event.at, clock::now());
        }
        let counted = slot.from_parked || !self.is_replay(slot.log, event.seq());
        if counted {
            self.count(Counter::Delivered);
        }
        self.summary.delivered += 1;
        if slot.from_parked {
            self.touched.insert(event.id);
            self.next_due = None;
            self.chains.remove(slot.log, &event);
            self.dead_lanes.remove(&event.lane);
            self.pending.push(Entry::End(slot.log, Box::new(event)));
        } else if self.dead_lanes.contains(&event.lane) {
            self.pending.push(Entry::Pass(Box::new(event)));
        }
    }

    /// Parks an event after an attempt, and with it what waits in the window behind it.
    fn stand_aside(
        &mut self,
        id: SlotId,
        state: ParkedState,
        reason: Reason,
        status: Option<u16>,
        due: Option<Timestamp>,
    ) {
        let Some(slot) = self.window.remove(id) else { return };
        let lanes = slot.event.lanes().collect::<Vec<_>>();
        let free = state == ParkedState::Dead && self.connector.continue_on_dead;
        if free {
            self.dead_lanes.insert(slot.event.lane);
            if slot.from_parked {
                self.chains.remove(slot.log, &slot.event);
            }
        } else if !slot.from_parked {
            self.chains.add(slot.log, &slot.event);
        }
        let frozen = slot.in_doubt.then(|| freeze(self.connector.adapter.origin(), &slot.parts)).flatten();
        self.park(Parked {
            event: slot.event,
            log: slot.log,
            state,
            due,
            attempts: slot.attempts.saturating_add(1),
            first_attempt: Some(slot.first_attempt.unwrap_or_else(clock::steady)),
            since: clock::now(),
            reason,
            status,
            config_hash: Some(slot.config.unwrap_or(*self.config_hash)),
            passed: None,
            frozen,
        });
        if free {
            return;
        }
        self.step_back_in(lanes);
    }

    /// Takes out of the window what has to wait now that something was parked in these lanes. A key change that steps
    /// back holds up its other record too.
    pub(super) fn step_back_in(&mut self, mut lanes: Vec<u64>) {
        while let Some(lane) = lanes.pop() {
            for id in self.window.waiting_in(lane) {
                let Some(slot) = self.window.get(id) else { continue };
                if self.is_blocked(slot.log, &slot.event) {
                    lanes.extend(slot.event.lanes());
                    self.step_back(id);
                }
            }
        }
    }

    /// Takes an event out of the window that has to wait behind a parked one. One that is parked itself is loaded again
    /// when nothing is before it any more.
    fn step_back(&mut self, id: SlotId) {
        let Some(slot) = self.window.remove(id) else { return };
        if !slot.from_parked {
            let doubt = slot.in_doubt.then(|| freeze(self.connector.adapter.origin(), &slot.parts)).flatten();
            let doubt = doubt.map(|frozen| (frozen, slot.config.unwrap_or(*self.config_hash)));
            self.park_fresh(slot.log, slot.event, ParkedState::Behind, behind(), doubt);
        }
    }

    /// Carries what is not committed yet over into chains that were read from the state file.
    fn add_uncommitted(&mut self) {
        let under_way = self.batch.iter().flat_map(|batch| &batch.entries);
        for entry in under_way.chain(&self.pending) {
            match entry {
                Entry::Park(parked) if parked.state == ParkedState::Dead && self.connector.continue_on_dead => {
                    self.chains.remove(parked.log, &parked.event);
                }
                Entry::Park(parked) => self.chains.add(parked.log, &parked.event),
                Entry::End(log, event) => self.chains.remove(*log, event),
                _ => {}
            }
        }
    }

    /// A person has changed parked deliveries: take note, and leave alone what is parked now.
    pub(super) fn reload(&mut self) {
        let (id, held_by_dead) = (self.id, !self.connector.continue_on_dead);
        let read = self.reader.read(|db| {
            let lanes = crate::store::state::parked::lanes(db, id, held_by_dead)?;
            let mut ids = Vec::new();
            for log in &self.logs {
                ids.extend(crate::store::state::parked::ids_above(db, id, log.id, self.window.cursor(log.id))?);
            }
            Ok((lanes, ids))
        });
        match read {
            Ok((lanes, ids)) => {
                self.chains = Chains::of(lanes);
                self.add_uncommitted();
                for event in ids {
                    match self.window.idle_slot(&event) {
                        Some(slot) => drop(self.window.remove(slot)),
                        None => drop(self.parked_ids.insert(event)),
                    }
                }
                // What was loaded may be held or discarded now, and what was read may have to wait.
                for id in self.window.idle() {
                    let Some(slot) = self.window.get(id) else { continue };
                    if slot.from_parked || self.is_blocked(slot.log, &slot.event) {
                        self.step_back(id);
                    }
                }
                self.next_due = None;
                self.drop_questions();
            }
            Err(error) => {
                log::warn!(connector:% = self.connector.name; "{}: {error}", self.connector.name);
                self.source_pause = Some(clock::steady().plus(PAUSE));
            }
        }
    }
}

/// So many failures in a row, and so many records delivered since the first of them, show that a
/// failure is the event's own.
pub(super) const OWN_FAULT: u32 = 3;

/// Counts a failure of an event; whether failing is its own.
pub(super) fn has_failed(slot: &mut Slot, answered: u64) -> bool {
    if slot.failures == 0 {
        slot.answered_before = answered;
    }
    slot.failures = slot.failures.saturating_add(1);
    slot.failures >= OWN_FAULT && answered >= slot.answered_before.saturating_add(OWN_FAULT.into())
}

/// Whether a target may have (a part of) an event that was not delivered; none = this attempt says nothing of that, and
/// what was known before holds.
pub(super) fn doubt_after(outcome: &Outcome, deliveries: &[Delivery]) -> Option<bool> {
    match outcome {
        Outcome::Unknown { .. } => Some(true),
        Outcome::Conflict(_) | Outcome::Reject(_) => Some(false),
        _ => deliveries.iter().any(|delivery| delivery.outcome.is_delivered()).then_some(true),
    }
}

/// The outcome line of an attempt that was intended and then not made.
fn not_sent(id: crate::event::EventId) -> Settled {
    Settled::unanswered(id, Word::Retry, UNSENT)
}

/// What a lane that broke down says of its event: it may have arrived.
pub(super) fn broken_lane() -> Outcome {
    Outcome::Unknown { reason: Reason::new("internal", "the sender broke down while sending"), transport: true }
}

pub(super) fn record(
    id: crate::event::EventId,
    outcome: &Outcome,
    deliveries: &[Delivery],
    request_hash: [u8; 32],
) -> Settled {
    let sum = |part: fn(&Delivery) -> u64| deliveries.iter().map(part).fold(0, u64::saturating_add);
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let last = deliveries.last();
    let took: u64 =
        deliveries.iter().map(|d| u64::try_from(d.took.as_micros()).unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
    Settled {
        id,
        word: Word::of(outcome.word()),
        status: last.and_then(|delivery| delivery.status).unwrap_or(0),
        took_us: small(took),
        bytes: (small(sum(|d| d.bytes.0)), small(sum(|d| d.bytes.1))),
        request_hash,
        answer_hash: last.and_then(|delivery| delivery.answer_hash).unwrap_or([0; 32]),
        class: outcome.reason().map_or_else(String::new, |reason| reason.class.clone().into_owned()),
    }
}
