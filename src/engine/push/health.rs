//! Asking a target that was down whether it works (`probe` of its adapter's file), before an event is tried.

use std::sync::Arc;

use super::{Message, Worker};
use crate::clock;
use crate::rules::outcome::Reason;

/// What is known of a target that was down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    /// It was not asked.
    #[default]
    Unasked,
    /// It is being asked.
    Asked,
    /// It has said that it works: one event may be tried.
    Good,
}

impl Worker {
    /// Whether an event may be tried at an endpoint that was down: at once where there is no way to ask, else when it was
    /// asked and works. Asks it.
    pub(super) fn is_healthy(&mut self) -> bool {
        if !self.connector.adapter.has_probe() || self.health == Health::Good {
            return true;
        }
        if self.health == Health::Asked || self.window.is_empty() {
            return false;
        }
        let (adapter, mailbox) = (Arc::clone(&self.connector.adapter), self.mailbox.clone());
        let ask = move || mailbox.tell(Message::Asked(adapter.ask()));
        match std::thread::Builder::new().name("health".into()).stack_size(512 * 1024).spawn(ask) {
            Ok(_) => {
                self.health = Health::Asked;
                self.breaker.probe_sent();
                false
            }
            // Without a thread there is nobody to ask; the event asks instead.
            Err(_) => true,
        }
    }

    /// The target has been asked.
    pub(super) fn was_asked(&mut self, answer: Result<(), Reason>) {
        if self.health != Health::Asked {
            return;
        }
        let name = &self.connector.name;
        match answer {
            Ok(()) => {
                log::info!(connector:% = name; "{name}: the target says that it works again");
                self.health = Health::Good;
                self.breaker.probe_void();
            }
            Err(reason) => {
                log::debug!(connector:% = name, class:% = reason.class; "{name}: the target does not work yet: {reason}");
                self.health = Health::Unasked;
                if self.breaker.asked_in_vain(&reason, clock::steady(), self.dice.f64()) {
                    self.store_breaker();
                }
            }
        }
    }
}
