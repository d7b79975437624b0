//! Asking the connector's hook before an event may be sent, and what its answer means for the event.

use std::sync::Arc;

use super::{Mailbox, Message, Worker};
use crate::clock;
use crate::engine::compile::{Compiled, Passed, compile_passed, pass};
use crate::engine::connector::Connector;
use crate::engine::hook::{Answered, Asked, Asking, Said};
use crate::engine::window::{Slot, SlotId};
use crate::rules::outcome::Reason;
use crate::store::state::batch::Entry;
use crate::store::state::connector::OpenBreaker;
use crate::store::state::counter::Counter;
use crate::store::state::parked::{Parked, ParkedState};

/// Where a hook that gives no answers is noted, among the endpoints that are down.
const ORIGIN: &str = "hook";
/// A run of once leaves off after so many questions in a row without an answer.
pub(super) const GIVEN_UP: u32 = 3;

/// The questions of a connector; none when it has no hook.
pub(super) fn asking(connector: &Connector, mailbox: &Mailbox) -> Option<Asking> {
    let mailbox = mailbox.clone();
    let notify = Arc::new(move || mailbox.tell(Message::Results));
    let hook = connector.hook.clone()?;
    Some(Asking::new(hook, connector.name.clone(), &connector.retry, notify))
}

impl Worker {
    /// Puts an event into the window. With a hook it waits there for its answer, unless what is sent for it was answered
    /// before and may have arrived (`decided`).
    pub(super) fn admit(&mut self, mut slot: Slot, decided: bool) {
        if self.asking.is_none() || decided {
            self.window.add(slot);
            return;
        }
        let event = slot.event.clone();
        slot.is_asking = true;
        let slot = self.window.add(slot);
        let parts = match pass(&self.connector, &event) {
            Ok(parts) => parts,
            Err(reason) => return self.refuse(slot, ParkedState::Held, reason),
        };
        let classes = self.connector.subscription.classes(&event, self.connector.adapter.fields());
        let taken = self.asking.as_ref().is_some_and(|asking| asking.ask(Asked { slot, parts, classes }));
        if !taken {
            self.refuse(
                slot,
                ParkedState::Waiting,
                Reason::new("hook", "the system gives no thread to ask the hook with"),
            );
        }
    }

    /// Takes the answers that have come, and notes when the hook goes down or comes back.
    pub(super) fn take_answers(&mut self) {
        let Some(asking) = &self.asking else { return };
        let (answers, down) = (asking.take(), asking.down());
        let reason = down.as_ref().map(|down| down.reason.clone());
        self.hook_failures = down.as_ref().map_or(0, |down| down.failures);
        if reason != self.hook_down {
            match &reason {
                Some(reason) => log::warn!("{}: nothing leaves: {reason}", self.connector.name),
                None => log::info!("{}: the hook is back", self.connector.name),
            }
            let now = clock::steady();
            let open = down.map(|down| OpenBreaker {
                opened: self.hook_since.unwrap_or(now),
                next_probe: now.plus(down.again),
                failures: down.failures,
                reason: down.reason,
            });
            self.hook_since = open.as_ref().map(|open| open.opened);
            self.hook_down = reason;
            self.pending.push(Entry::Breaker(ORIGIN.to_owned(), open));
        }
        for Answered { slot, said } in answers {
            // One that was taken out meanwhile is asked about again when it comes back.
            if !self.window.get(slot).is_some_and(|slot| slot.is_asking) {
                continue;
            }
            match said {
                Said::Passed { parts, changed } => self.passed(slot, &parts, changed),
                Said::Refused(reason) => self.refuse(slot, ParkedState::Held, reason),
                Said::Silent(reason) => self.refuse(slot, ParkedState::Waiting, reason),
            }
        }
        self.forget_amended();
    }

    /// The hook lets an event go, as it is or changed.
    fn passed(&mut self, id: SlotId, parts: &[Passed], changed: bool) {
        let Some(slot) = self.window.get(id) else { return };
        let (log, event_id) = (slot.log, slot.event.id);
        let connector = self.connector.clone();
        // Under which key depends on whether the target knows these bytes.
        let compiled = self.encode_as(&connector, log, event_id, &|suffix| compile_passed(&connector, parts, suffix));
        match compiled {
            Compiled::Send(parts) => self.window.may_leave(id, parts, changed),
            Compiled::Hold(reason) => self.refuse(id, ParkedState::Held, reason),
            Compiled::Skip => {
                let reason =
                    Reason::new("encoding", "nothing is left to be sent of what the hook has put in its place");
                self.refuse(id, ParkedState::Held, reason);
            }
        }
    }

    /// An event stands aside without an attempt: it is refused, or finds no answer.
    fn refuse(&mut self, id: SlotId, state: ParkedState, reason: Reason) {
        let Some(slot) = self.window.remove(id) else { return };
        let lanes = slot.event.lanes().collect::<Vec<_>>();
        if slot.from_parked || state != ParkedState::Held {
            log::warn!(
                "{}: {} {} is {}: {reason}",
                self.connector.name,
                slot.event.kind,
                slot.event.id,
                state.as_str()
            );
        }
        if state == ParkedState::Held && !slot.from_parked {
            self.park_fresh(slot.log, slot.event, state, reason, None);
        } else {
            if !slot.from_parked {
                self.chains.add(slot.log, &slot.event);
            }
            let waits = self.connector.retry.max_backoff.mul_f64(0.5 + self.dice.f64() / 2.0);
            self.count(if state == ParkedState::Held { Counter::Held } else { Counter::Retried });
            self.park(Parked {
                state,
                due: (state == ParkedState::Waiting).then(|| clock::steady().plus(waits)),
                attempts: slot.attempts,
                first_attempt: slot.first_attempt,
                config_hash: Some(*self.config_hash),
                ..Parked::new(slot.event, slot.log, state, reason, clock::now())
            });
        }
        self.step_back_in(lanes);
    }

    /// Nobody waits for an answer any more to what has left the window.
    pub(super) fn drop_questions(&self) {
        if let Some(asking) = &self.asking {
            asking.keep(|slot| self.window.get(slot).is_some_and(|slot| slot.is_asking));
        }
    }

    /// What a hook has made of an event is kept while nobody knows whether it has arrived.
    fn forget_amended(&mut self) {
        let (window, pending) = (&self.window, &mut self.pending);
        self.amended.retain(|id, (log, _)| {
            let is_over = !window.holds(id) && window.read_to(*log) >= id.seq;
            if is_over {
                pending.push(Entry::Forget(*log, *id));
            }
            !is_over
        });
    }
}
