//! Filling the window: reading on in the logs, and loading parked deliveries that are due.

use super::settle::OWN_FAULT;
use super::{BATCH_WINDOW, CHUNK, CHUNK_BYTES, DUE_WINDOW, PAUSE, WINDOW, WINDOW_BYTES, Worker};
use crate::adapter::hash_in;
use crate::clock;
use crate::engine::compile::{Compiled, compile};
use crate::engine::connector::Connector;
use crate::engine::frozen::{freeze, thaw};
use crate::engine::window::Slot;
use crate::event::{Event, EventId};
use crate::rules::batch::Shape;
use crate::rules::outcome::Reason;
use crate::store::state::batch::Entry;
use crate::store::state::connector::Mode;
use crate::store::state::counter::Counter;
use crate::store::state::parked::{self, Parked, ParkedState};
use crate::store::state::{LogId, attempt};

/// With `serial: true` every event is in this one lane: the whole log in order.
const SERIAL: u64 = 0;

impl Worker {
    pub(super) fn wants_to_read(&self) -> bool {
        self.has_room()
            && self
                .logs
                .iter()
                .any(|log| !log.exhausted && log.upto.is_none_or(|upto| self.window.read_to(log.id) < upto))
    }

    fn has_room(&self) -> bool {
        self.window.fresh() < self.window_most() && self.window.weight() < WINDOW_BYTES && !self.has_enough()
    }

    /// Most events that were read from the logs in the window at once: with several in one request, as many as the
    /// requests need that are open, and half as many again to make the next ones of.
    fn window_most(&self) -> usize {
        let requests = self.most_open();
        self.connector.batch.map_or(WINDOW, |batch| {
            requests
                .saturating_mul(self.size.most.min(batch.max))
                .saturating_mul(3)
                .div_ceil(2)
                .clamp(WINDOW, BATCH_WINDOW)
        })
    }

    /// While nothing may be sent but a probe, reading on would only park what waits behind parked changes of its
    /// record, a write for each: it rests as soon as there is a record to probe with, beside the one that alone failed.
    fn has_enough(&self) -> bool {
        let down = !self.breaker.is_closed() || self.mode == Mode::Halted;
        let by_one = self.breaker.only_record().is_some() || self.halted_by().is_some();
        down && self.window.records() > usize::from(by_one)
    }

    /// Reads on in each log, once: what was found is sent on its way before the next look, which often finds nothing.
    pub(super) fn fill(&mut self) {
        if let Some(until) = self.source_pause {
            if clock::steady() < until {
                return;
            }
            self.source_pause = None;
        }
        if !self.may_run() {
            return;
        }
        for at in 0..self.logs.len() {
            if !self.has_room() {
                return;
            }
            let Some(log) = self.logs.get_mut(at) else { return };
            let after = self.window.read_to(log.id);
            if log.exhausted || log.upto.is_some_and(|upto| after >= upto) {
                continue;
            }
            let events = match log.source.read(after, CHUNK, CHUNK_BYTES) {
                Ok(events) => {
                    self.source_said.clear();
                    events
                }
                Err(error) => {
                    // Said once, and by the keeper when it is only that the file was replaced.
                    let text = error.to_string();
                    if !error.replaced && self.source_said != text {
                        log::warn!(connector:% = self.connector.name; "{}: {text}", self.connector.name);
                        self.source_said = text;
                    }
                    self.source_pause = Some(clock::steady().plus(PAUSE));
                    return;
                }
            };
            let (id, upto) = (log.id, log.upto);
            log.exhausted = events.is_empty();
            for event in events {
                if upto.is_some_and(|upto| event.seq() > upto) {
                    break;
                }
                self.window.has_read(id, event.seq());
                self.take_in(id, event);
            }
        }
    }

    /// One event that was read from a log.
    fn take_in(&mut self, log: LogId, mut event: Event) {
        if self.connector.serial {
            event.lane = SERIAL;
            event.old_lane = None;
        }
        if self.parked_ids.remove(&event.id) || self.window.keep(&event.id) {
            return;
        }
        let replay = self.is_replay(log, event.seq());
        let trace = self.traces.remove(&event.id).unwrap_or_default();
        if trace.delivered && !replay {
            // Delivered and recorded before the restart; only the cursor had not moved over it yet.
            self.window.was_settled(log, event.seq(), self.settled_mark);
            return;
        }
        let (compiled, config, shape) = match self.as_amended(&event, &trace) {
            Some(amended) => amended,
            None => self.encode(log, &event, &trace, replay),
        };
        if self.reading.is_some()
            && !matches!(compiled, Compiled::Skip)
            && let Some(reason) = self.disputed(&event)
        {
            // Of what waits behind it, it is looked at again when its turn comes.
            let (state, reason) = match self.is_blocked(log, &event) {
                true => (ParkedState::Behind, behind()),
                false => (ParkedState::Held, reason),
            };
            self.park_fresh(log, event, state, reason, None);
            return;
        }
        let parts = match compiled {
            Compiled::Skip => {
                self.skip(log, event.seq());
                return;
            }
            Compiled::Hold(reason) => {
                let behind = self.is_blocked(log, &event);
                let state = if behind { ParkedState::Behind } else { ParkedState::Held };
                self.park_fresh(log, event, state, reason, None);
                return;
            }
            Compiled::Send(parts) => parts,
        };
        if self.is_blocked(log, &event) {
            let doubt = trace.unknown.then(|| freeze(self.connector.adapter.origin(), &parts)).flatten();
            let doubt = doubt.map(|frozen| (frozen, config.unwrap_or(*self.config_hash)));
            self.park_fresh(log, event, ParkedState::Behind, behind(), doubt);
            return;
        }
        let mut slot = Slot::new(event, log, parts);
        slot.tries = trace.attempts;
        slot.in_doubt = trace.unknown;
        slot.config = config;
        slot.shape = shape;
        slot.together = trace.together.filter(|_| trace.unknown);
        slot.intent_after = (trace.attempts > 0).then_some(self.settled_mark);
        self.admit(slot, trace.unknown);
    }

    /// The parcels of an event: under the configuration of an attempt whose outcome is unknown, if there was one;
    /// for a replay under a key of its own when the bytes have changed since they were delivered. With it the older
    /// configuration, if it was one, and the form in which they stand in a request.
    fn encode(
        &mut self,
        log: LogId,
        event: &Event,
        trace: &attempt::Trace,
        replay: bool,
    ) -> (Compiled, Option<[u8; 32]>, Shape) {
        if trace.unknown
            && let Some(hash) = trace.config.filter(|hash| *hash != *self.config_hash)
            && let Some(old) = self.old_configuration(&hash)
            // Another host has never had it: it gets what today's configuration makes of it.
            && old.adapter.origin() == self.connector.adapter.origin()
            && let Compiled::Send(parts) = self.encode_again(&old, log, event)
        {
            let shape = old.shape();
            return (Compiled::Send(parts), Some(hash), shape);
        }
        let again = replay || trace.attempts > 0;
        let compiled = if again {
            self.encode_again(&self.connector.clone(), log, event)
        } else {
            compile(&self.connector, event, "")
        };
        (compiled, None, self.connector.shape())
    }

    /// What a hook had made of an event when an attempt was made whose outcome is unknown: the same goes again.
    fn as_amended(&mut self, event: &Event, trace: &attempt::Trace) -> Option<(Compiled, Option<[u8; 32]>, Shape)> {
        let frozen = self.amended.get_mut(&event.id).filter(|_| trace.unknown)?.1.take()?;
        let parts = thaw(self.connector.adapter.origin(), &frozen)?;
        let config = trace.config.filter(|hash| *hash != *self.config_hash);
        let shape = self.shape_of(config);
        Some((Compiled::Send(parts), config, shape))
    }

    fn old_configuration(&mut self, hash: &[u8; 32]) -> Option<Connector> {
        let text = self.reader.read(|db| crate::store::state::connector::config(db, hash)).ok().flatten()?;
        (self.rebuild)(&text)
    }

    /// In which form something stands in a request that was encoded under a configuration; none = today's.
    fn shape_of(&mut self, config: Option<[u8; 32]>) -> Shape {
        let older = config.filter(|hash| *hash != *self.config_hash);
        older.map_or(self.connector.shape(), |hash| {
            self.old_configuration(&hash).map_or(Shape::Alone, |old| old.shape())
        })
    }

    /// Encodes an event whose outcome is known: the same key when the bytes are the same as any that the target has
    /// answered to, else `<id>-rN`.
    fn encode_again(&mut self, connector: &Connector, log: LogId, event: &Event) -> Compiled {
        self.encode_as(connector, log, event.id, &|suffix| compile(connector, event, suffix))
    }

    /// The same of whatever `compile` makes of the event.
    pub(super) fn encode_as(
        &mut self,
        connector: &Connector,
        log: LogId,
        event: EventId,
        compile: &dyn Fn(&str) -> Compiled,
    ) -> Compiled {
        let id = self.id;
        let lines = self.reader.read(|db| attempt::of_event(db, id, log, event)).unwrap_or_default();
        let mut answered: Vec<[u8; 32]> = Vec::new();
        for line in lines {
            if let attempt::Line::Outcome { settled, .. } = line
                && settled.status != 0
                && !answered.contains(&settled.request_hash)
            {
                answered.push(settled.request_hash);
            }
        }
        let mut suffixes = (0..=answered.len()).map(|n| if n == 0 { String::new() } else { format!("-r{n}") });
        let mut newest = compile("");
        if answered.is_empty() {
            return newest;
        }
        // Known bytes keep their key; bytes that the target has never answered to get the next free one.
        let mut last = String::new();
        for suffix in suffixes.by_ref() {
            let compiled = compile(&suffix);
            if let Compiled::Send(parts) = &compiled
                && hash_in(connector.shape(), parts).is_some_and(|hash| answered.contains(&hash))
            {
                return compiled;
            }
            last = suffix;
            newest = compiled;
        }
        log::info!(connector:% = self.connector.name, event:% = event; "{}: {event} is sent again with other bytes, as {event}{last}", self.connector.name);
        newest
    }

    /// Whether an earlier delivery of the record is parked.
    pub(super) fn is_blocked(&self, log: LogId, event: &Event) -> bool {
        self.chains.is_behind(log, event)
    }

    pub(super) fn skip(&mut self, log: LogId, seq: i64) {
        if self.is_replay(log, seq) {
            return;
        }
        if let Some(log) = self.logs.iter_mut().find(|known| known.id == log) {
            let place = log.skipped.partition_point(|known| *known < seq);
            log.skipped.insert(place, seq);
        }
    }

    /// Parks an event without an attempt. The cursor passes over it in the same commit. `doubt` = what an earlier
    /// attempt has sent that may have arrived, and under which configuration.
    pub(super) fn park_fresh(
        &mut self,
        log: LogId,
        event: Event,
        state: ParkedState,
        reason: Reason,
        doubt: Option<(Vec<u8>, [u8; 32])>,
    ) {
        if state == ParkedState::Held {
            log::warn!(connector:% = self.connector.name, event:% = event.id, class:% = reason.class; "{}: {} {} is held: {reason}", self.connector.name, event.kind, event.id);
            self.count(Counter::Held);
        }
        self.chains.add(log, &event);
        let (frozen, config) = doubt.map_or((None, *self.config_hash), |(frozen, config)| (Some(frozen), config));
        let parked = Parked::new(event, log, state, reason, clock::now());
        let parked = Parked { config_hash: Some(config), frozen, ..parked };
        self.park(parked);
    }

    pub(super) fn park(&mut self, parked: Parked) {
        self.touched.insert(parked.event.id);
        self.next_due = None;
        self.pending.push(Entry::Park(Box::new(parked)));
    }

    /// Loads parked deliveries that are due. Rows that an uncommitted batch changes are left for the next turn.
    pub(super) fn load_due(&mut self) {
        let now = clock::steady();
        let room = DUE_WINDOW.saturating_sub(self.window.len() - self.window.fresh());
        if !self.may_run() || room == 0 {
            return;
        }
        if self.next_due.is_none() {
            let id = self.id;
            match self.reader.read(|db| parked::next_due(db, id)) {
                Ok(due) => self.next_due = Some(due),
                Err(error) => log::warn!(connector:% = self.connector.name; "{}: {error}", self.connector.name),
            }
        }
        if self.next_due.flatten().is_none_or(|due| due > now) {
            return;
        }
        let (id, limit) = (self.id, room + self.window.len() + self.touched.len() + self.batch_touched.len());
        let due = match self.reader.read(|db| parked::due(db, id, now, limit)) {
            Ok(due) => due,
            Err(error) => {
                log::warn!(connector:% = self.connector.name; "{}: {error}", self.connector.name);
                return;
            }
        };
        let (mut loaded, mut early) = (0, false);
        for parked in due {
            let known = &parked.event.id;
            if self.window.holds(known) || self.touched.contains(known) || self.batch_touched.contains(known) {
                continue;
            }
            // An earlier change of its record may be parked, or not be read yet (after a restart, or in a replay).
            if self.is_blocked(parked.log, &parked.event) {
                continue;
            }
            if self.is_unread(parked.log, parked.event.seq()) {
                early = true;
                continue;
            }
            if loaded == room {
                break;
            }
            loaded += 1;
            self.take_due(parked);
        }
        // What is in the window now is no reason to wake up again; the commit of what comes of it asks anew. What is
        // early is looked for again at the next turn: reading on makes one.
        self.next_due = if early { None } else { Some(self.next_due.flatten().filter(|due| *due > now)) };
    }

    /// Whether reading has not come to this position yet.
    fn is_unread(&self, log: LogId, seq: i64) -> bool {
        let behind = |log: &&super::Log| !log.exhausted && self.window.read_to(log.id) < seq;
        self.logs.iter().filter(|known| known.id == log).any(|log| behind(&log))
    }

    fn take_due(&mut self, parked: Parked) {
        if let Some(reason) = self.is_to_be_read_first(&parked) {
            self.will_be_read(parked.event.id);
            return self.park(Parked { state: ParkedState::Held, due: None, since: clock::now(), reason, ..parked });
        }
        let origin = self.connector.adapter.origin();
        let thawed = parked.frozen.as_deref().and_then(|frozen| thaw(origin, frozen));
        let compiled = match thawed {
            Some(parts) => Compiled::Send(parts),
            None => self.encode_again(&self.connector.clone(), parked.log, &parked.event),
        };
        match compiled {
            Compiled::Send(parts) => {
                let mut slot = Slot::new(parked.event, parked.log, parts);
                slot.attempts = parked.attempts;
                slot.tries = parked.attempts;
                slot.first_attempt = parked.first_attempt;
                slot.from_parked = true;
                slot.in_doubt = parked.frozen.is_some();
                slot.is_frozen = slot.in_doubt;
                slot.config = parked.config_hash.filter(|_| slot.in_doubt);
                slot.shape = self.shape_of(slot.config);
                if slot.attempts > 0 {
                    // What has failed by itself goes by itself.
                    slot.most_together = 1;
                    (slot.failures, slot.answered_before) = (OWN_FAULT, self.answered);
                }
                let decided = slot.in_doubt;
                self.admit(slot, decided);
            }
            Compiled::Hold(reason) => {
                let config_hash = Some(*self.config_hash);
                self.park(Parked {
                    state: ParkedState::Held,
                    due: None,
                    since: clock::now(),
                    reason,
                    config_hash,
                    ..parked
                });
            }
            Compiled::Skip => {
                self.touched.insert(parked.event.id);
                self.chains.remove(parked.log, &parked.event);
                self.count(Counter::Skipped);
                self.next_due = None;
                self.pending.push(Entry::End(parked.log, Box::new(parked.event)));
            }
        }
    }
}

/// The reason of a delivery that only waits for an earlier one of its record.
pub(super) fn behind() -> Reason {
    Reason::new("behind", "an earlier change of the same record is parked")
}
