//! Opening events: permission, durable intent, then the lanes. And the batch that goes to the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::brake::Opening;
use super::halt::HALT_PROBE;
use super::health::Health;
use super::{Message, PAUSE, Reading, Run, Worker};
use crate::clock::{self, Timestamp};
use crate::engine::frozen::freeze;
use crate::engine::lanes::Job;
use crate::engine::ledger::Committed;
use crate::engine::window::SlotId;
use crate::rules::batch::Shape;
use crate::rules::breaker::Permit;
use crate::rules::lane::mac;
use crate::store::state::attempt::Intent;
use crate::store::state::batch::{Batch, Entry};
use crate::store::state::connector::Mode;
use crate::store::state::counter::Counter;
use crate::store::state::{LogId, StateError};

/// Events that are open for each lane: enough that a lane never waits for the commit of the next group.
const OPEN_PER_LANE: usize = 8;
/// Requests of several events that are open for each lane: one on its way, one that waits, one in the next commit.
const REQUESTS_PER_LANE: usize = 2;
/// Events that are open at least, so that a commit is shared by many even with one lane.
const OPEN_AT_LEAST: usize = 32;
/// Open events for each result that comes in while one batch is committed: some are being sent, some wait in the lanes,
/// some are in the batch. Where answers are slow this asks for nothing; where the disk is, it hides the disk.
const AHEAD: usize = 4;
/// While every lane has work, results gather so long for one commit.
const GATHER: Duration = Duration::from_millis(5);
/// A cursor that has moved so far is stored without waiting for anything else.
const FAR: i64 = 4096;

impl Worker {
    /// Whether there is something to hand to the ledger, apart from a cursor that has moved.
    pub(super) fn has_news(&self) -> bool {
        !(self.pending.is_empty() && self.settled.is_empty() && self.intents.is_empty() && self.counts.is_empty())
    }

    pub(super) fn cursor_moved(&self) -> bool {
        self.logs.iter().any(|log| self.window.cursor(log.id) > log.stored)
    }

    /// When something that cannot be opened now may be: the breaker, `Retry-After`, the rate, a delay.
    pub(super) fn next_open(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_apart() {
            return None;
        }
        let mut at = match (self.window.ready() > 0, self.window.next_delayed()) {
            (true, _) if self.room() == 0 => return None,
            (true, _) => now,
            (false, Some(delayed)) => delayed,
            (false, None) => return None,
        };
        if let Some(until) = self.hold_until {
            at = at.max(until);
        }
        match self.permit(now) {
            Permit::All | Permit::Probe => {}
            Permit::NotBefore(next) => at = at.max(next),
            Permit::ProbeIsOut => return None,
        }
        if self.mode == Mode::Halted {
            if !self.may_try_halted(now) {
                at = at.max(self.halt_probe);
            }
            if self.window.opened() > 0 {
                return None;
            }
        }
        Some(at.max(self.next_send))
    }

    fn room(&self) -> usize {
        self.most_open().min(self.breaker.most()).saturating_sub(self.window.opened())
    }

    pub(super) fn most_open(&self) -> usize {
        if self.connector.serial {
            return 1;
        }
        if self.connector.batch.is_some() {
            return self.connector.concurrency * REQUESTS_PER_LANE;
        }
        let most = (self.connector.concurrency * OPEN_PER_LANE).max(OPEN_AT_LEAST);
        most.max(self.flow.saturating_mul(AHEAD)).min(super::WINDOW)
    }

    /// Whether the next batch may gather a little more: every lane has work for longer than a commit takes, and
    /// nothing but results and intents waits.
    fn may_gather(&mut self) -> bool {
        let with_lanes = self.window.opened().saturating_sub(self.opening_requests);
        let busy = with_lanes >= (self.most_open() / 2).max(2 * self.connector.concurrency);
        if !busy || !self.pending.is_empty() || self.stop_at.is_some() {
            return false;
        }
        let now = clock::steady();
        now < *self.gather_until.get_or_insert(now.plus(GATHER))
    }

    /// What the breaker allows; opened by one record alone, it allows another record at once.
    pub(super) fn permit(&self, now: Timestamp) -> Permit {
        match self.breaker.only_record() {
            Some(lane) if self.window.opened() == 0 && self.window.has_other(lane) => Permit::Probe,
            _ => self.breaker.permit(now),
        }
    }

    /// Whether both sides have still to meet.
    pub(super) fn is_apart(&self) -> bool {
        self.reading.as_ref().is_some_and(Reading::is_apart)
    }

    /// How many events may be opened now.
    fn allowance(&mut self, now: Timestamp) -> usize {
        if !self.may_run() || self.is_apart() || self.hold_until.is_some_and(|until| until > now) {
            return 0;
        }
        self.hold_until = None;
        let mut most = match self.permit(now) {
            Permit::All => self.room(),
            // The endpoint may be back: everything that was put off for it may go, one event first.
            Permit::Probe if self.window.opened() == 0 => 1,
            _ => return 0,
        };
        if self.mode == Mode::Halted {
            let probe = self.may_try_halted(now) && self.window.opened() == 0;
            most = most.min(usize::from(probe));
        }
        if self.connector.rate.is_some() {
            most = if self.next_send <= now { most.min(1) } else { 0 };
        }
        most
    }

    /// Opens what may be sent now: its intent goes into the next batch, and to the lanes once that is durable.
    pub(super) fn open_next(&mut self) {
        if self.batch.is_some() {
            return;
        }
        let now = clock::steady();
        let most = self.allowance(now);
        if most == 0 {
            return;
        }
        let probing = self.permit(now) == Permit::Probe;
        if probing && !self.is_healthy() {
            return;
        }
        let halted = self.mode == Mode::Halted;
        if probing || halted {
            self.window.hurry();
        }
        let opening = if probing || halted { Opening::Probe } else { Opening::Most(most, self.batch_now()) };
        let opened = self.open_free(opening, now);
        if opened.is_empty() {
            return;
        }
        if !self.make_durable(&opened) {
            for slot in opened {
                self.is_back(slot);
                self.window.put_back(slot, Some(now.plus(PAUSE)));
            }
            return;
        }
        if probing {
            self.breaker.probe_sent();
            self.health = Health::Unasked;
        }
        if self.mode == Mode::Halted {
            self.halt_probe = now.plus(HALT_PROBE);
            self.halt_tried = true;
        }
        if let Some(rate) = &self.connector.rate {
            self.next_send = now.max(self.next_send).plus(rate.gap());
        }
        for id in opened {
            let Some(slot) = self.window.get_mut(id) else { continue };
            let joined = slot.is_joined();
            self.opening_requests += usize::from(!joined);
            slot.tries = slot.tries.saturating_add(1);
            if slot.from_parked
                && !slot.is_frozen
                && let Some(frozen) = freeze(self.connector.adapter.origin(), &slot.parts)
            {
                slot.is_frozen = true;
                let config = slot.config.unwrap_or(*self.config_hash);
                self.pending.push(Entry::Freeze(slot.event.id, frozen, config));
            }
            if slot.is_amended
                && !slot.from_parked
                && !slot.is_frozen
                && let Some(frozen) = freeze(self.connector.adapter.origin(), &slot.parts)
            {
                slot.is_frozen = true;
                self.amended.insert(slot.event.id, (slot.log, None));
                self.pending.push(Entry::Keep(slot.log, slot.event.id, frozen));
            }
            let event = &slot.event;
            let intent = Intent {
                id: event.id,
                attempt: slot.tries,
                mac: mac(&self.mac_key, event.lane),
                old_mac: event.old_lane.map(|lane| mac(&self.mac_key, lane)),
                joined,
                what: Some((event.kind.clone(), event.op)),
            };
            let config = slot.config.unwrap_or(*self.config_hash);
            self.intents.entry((slot.log, config)).or_default().push(intent);
            self.opening.push(id);
            let leaving = self.reading.is_some().then(|| slot.event.clone());
            leaving.iter().for_each(|event| self.note_leaving(event));
        }
    }

    /// What is about to be sent must not be able to vanish from the application's file in a power cut.
    fn make_durable(&mut self, opened: &[SlotId]) -> bool {
        let slots = opened.iter().filter_map(|id| self.window.get(*id)).filter(|slot| !slot.from_parked);
        let positions: Vec<_> = slots.map(|slot| (slot.log, slot.event.seq())).collect();
        self.make_durable_to(&positions)
    }

    /// The same for what the state file is about to say of a log without anything being sent: an event that is parked is
    /// sent later from there, and below a cursor nothing is ever looked for again, whatever a power cut puts there.
    fn make_noted_durable(&mut self) -> bool {
        let parked = self.pending.iter().filter_map(|entry| match entry {
            Entry::Park(parked) => Some((parked.log, parked.event.seq())),
            _ => None,
        });
        let moved = self.logs.iter().map(|log| (log.id, self.window.cursor(log.id), log.stored));
        let moved = moved.filter(|(_, cursor, stored)| cursor > stored).map(|(log, cursor, _)| (log, cursor));
        let positions: Vec<_> = parked.chain(moved).collect();
        self.make_durable_to(&positions)
    }

    fn make_durable_to(&mut self, positions: &[(LogId, i64)]) -> bool {
        for log in &mut self.logs {
            if !positions.iter().any(|(id, seq)| *id == log.id && *seq > log.durable_to) {
                continue;
            }
            // The sync covers everything that has been read, not only this group.
            let covers = self.window.read_to(log.id);
            if let Err(error) = log.source.make_durable(covers) {
                let text = format!("nothing is sent: {error}");
                if !error.replaced && self.source_said != text {
                    log::error!(connector:% = self.connector.name; "{}: {text}", self.connector.name);
                    self.source_said = text;
                }
                self.summary.broken |= error.broken;
                return false;
            }
            log.durable_to = covers;
        }
        true
    }

    /// Hands the next batch to the ledger, unless one is under way.
    pub(super) fn submit(&mut self, run: Run) {
        if let Some(batch) = &self.batch {
            if self.batch_refused.is_some_and(|at| at <= clock::steady()) {
                self.batch_refused = None;
                let batch = batch.clone();
                self.hand_over(batch);
            }
            return;
        }
        if self.has_news() && self.may_gather() {
            return;
        }
        self.gather_until = None;
        let moved = self.cursor_moved();
        let far = self.logs.iter().any(|log| self.window.cursor(log.id) > log.stored + FAR);
        let idle = clock::steady() >= self.last_advance.plus(super::IDLE_ADVANCE);
        let ending = run == Run::Once || self.stop_at.is_some();
        if !self.has_news() && !(moved && (far || idle || ending)) {
            return;
        }
        if !self.make_noted_durable() {
            // The outcomes of this batch can wait: without them the same is sent again under the same keys.
            let until = clock::steady().plus(PAUSE);
            (self.source_pause, self.gather_until, self.last_advance) = (Some(until), Some(until), clock::steady());
            return;
        }
        let results = self.settled.values().map(Vec::len).sum::<usize>();
        self.flow = results.max(self.flow - self.flow / 8);
        // Order inside the batch: outcomes, then what they change, then the cursors, then the next intents.
        let mut entries = Vec::with_capacity(self.pending.len() + 8);
        entries.extend(std::mem::take(&mut self.settled).into_iter().map(|(log, group)| Entry::Settle(log, group)));
        entries.append(&mut self.pending);
        if moved {
            self.last_advance = clock::steady();
            for log in &mut self.logs {
                let cursor = self.window.cursor(log.id);
                if cursor > log.stored {
                    log.stored = cursor;
                    let passed = log.skipped.partition_point(|seq| *seq <= cursor);
                    if passed > 0 {
                        log.skipped.drain(..passed);
                        *self.counts.entry(Counter::Skipped).or_default() += passed as u64;
                    }
                    entries.push(Entry::Advance(log.id, cursor));
                }
            }
        }
        entries.extend(std::mem::take(&mut self.counts).into_iter().map(|(counter, n)| Entry::Count(counter, n)));
        // What was not met when reading came past it is not there to be met.
        let (logs, window) = (&self.logs, &self.window);
        self.traces.retain(|id, _| logs.iter().any(|log| !log.exhausted && window.read_to(log.id) < id.seq));
        self.logs.iter().for_each(|log| self.window.has_stored(log.id, log.stored));
        let mark = self.window.oldest_intent().unwrap_or(self.last_attempt);
        if mark > self.settled_mark && self.traces.is_empty() {
            self.settled_mark = mark;
            entries.push(Entry::Settled(mark));
        }
        let intents = std::mem::take(&mut self.intents);
        let origin = self.connector.adapter.origin();
        let intents = intents.into_iter();
        entries.extend(intents.map(|((log, config), group)| Entry::Intend(log, config, origin.into(), group)));
        self.committing = std::mem::take(&mut self.opening);
        self.committing_requests = std::mem::take(&mut self.opening_requests);
        self.batch_touched = std::mem::take(&mut self.touched);
        self.batch_landing = std::mem::take(&mut self.landing);
        let batch = Arc::new(Batch { connector: self.id, entries });
        self.batch = Some(batch.clone());
        self.hand_over(batch);
    }

    fn hand_over(&mut self, batch: Arc<Batch>) {
        let mailbox = self.mailbox.clone();
        if self.ledger.submit(batch, move |result| mailbox.tell(Message::Committed(result))).is_err() {
            log::error!(connector:% = self.connector.name; "{}: the state file's writer has stopped", self.connector.name);
            self.summary.broken = true;
        }
    }

    /// Hands to the lanes what is intended durably; `before` is a lower bound of the numbers of its attempts.
    fn send(&mut self, slots: Vec<SlotId>, before: i64) {
        let stopping = self.stop_at.is_some();
        let mut requests: Vec<(SlotId, Vec<SlotId>)> = Vec::new();
        let mut jobs = Vec::with_capacity(slots.len());
        for id in slots {
            if self.called_back.remove(&id) || stopping {
                self.put_back_unsent(id, None);
                continue;
            }
            let Some(slot) = self.window.get_mut(id) else { continue };
            slot.intent_after.get_or_insert(before);
            match (slot.shape, slot.is_joined(), requests.last_mut()) {
                (Shape::Alone, ..) => jobs.push(Job { slot: id, parts: Arc::clone(&slot.parts) }),
                (_, true, Some((_, rest))) => rest.push(id),
                _ => requests.push((id, Vec::new())),
            }
        }
        jobs.extend(requests.into_iter().map(|(first, rest)| self.join(first, rest)));
        if jobs.is_empty() {
            return;
        }
        if let Err((jobs, error)) = self.lanes.send(jobs) {
            log::error!(connector:% = self.connector.name; "{}: no thread to send with: {error}", self.connector.name);
            let due = clock::steady().plus(PAUSE);
            for job in jobs {
                for id in self.members(job.slot) {
                    self.put_back_unsent(id, Some(due));
                }
            }
        }
    }

    /// The ledger has answered: what was intended may be sent now.
    pub(super) fn committed(&mut self, result: Result<Committed, Arc<StateError>>) {
        match result {
            Ok(committed) => {
                self.batch = None;
                self.has_committed = true;
                if std::mem::take(&mut self.refusal_said) {
                    log::warn!(connector:% = self.connector.name; "{}: the state file can be written again", self.connector.name);
                }
                if !self.batch_touched.is_empty() {
                    let touched = std::mem::take(&mut self.batch_touched);
                    self.tell_reader(&touched);
                    self.next_due = None;
                }
                self.land();
                self.last_attempt = self.last_attempt.max(committed.before);
                let slots = std::mem::take(&mut self.committing);
                self.committing_requests = 0;
                self.send(slots, committed.before);
            }
            Err(error) => {
                if error.is_broken() {
                    log::error!(connector:% = self.connector.name; "{}: {error}", self.connector.name);
                    self.summary.broken = true;
                    return;
                }
                if !std::mem::replace(&mut self.refusal_said, true) {
                    let name = &self.connector.name;
                    log::error!(connector:% = name; "{name}: nothing new is sent (what was recorded before still leaves): {error}");
                }
                self.batch_refused = Some(clock::steady().plus(PAUSE));
            }
        }
    }
}
