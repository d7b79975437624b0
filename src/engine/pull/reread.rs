//! A push that met another version: the record is read again, decided again, and sent again if anything is to be sent.

use std::time::Duration;

use super::{PullError, Worker};
use crate::clock;
use crate::engine::operate::{Actor, Operation, operate};
use crate::engine::push::{DISPUTED, Message};
use crate::event::Value;
use crate::rules::outcome::Reason;
use crate::store::state::parked::{self, ParkedState, Selection};
use crate::store::state::pull::base;
use crate::store::state::pull::item::{self, Aside, Item};

/// So often a record is read and decided again for one delivery; then a person looks.
const TIMES: u32 = 3;
/// A record that met no other version for so long begins anew.
const CALM: Duration = Duration::from_secs(600);

impl Worker {
    /// Looks at what the other side would not take because it had another version.
    pub(super) fn reread(&mut self) -> Result<(), PullError> {
        if !self.inlet.both_ways {
            return Ok(());
        }
        let which = Selection {
            connector: Some(self.inlet.name.to_string()),
            state: Some(ParkedState::Held.as_str().to_owned()),
            kind: Some(self.site.kind.to_string()),
            class: Some(DISPUTED.to_owned()),
            ..Selection::default()
        };
        let waiting = self.reader.read(|db| parked::select(db, &which))?;
        for (_, delivery) in waiting {
            let key: Option<Vec<Value>> =
                self.site.fitting.key().iter().map(|name| delivery.event.key.get(name).cloned()).collect();
            let Some(key) = key.map(|key| self.site.identity(&key)) else { continue };
            let id = self.id;
            let held = |worker: &mut Worker| -> Result<bool, PullError> {
                let aside = worker.reader.read(|db| item::get(db, id, &key))?;
                Ok(aside.is_some_and(|item| item.state == Aside::Held))
            };
            if held(self)? {
                continue;
            }
            if !self.gate.0.lock().take(&key) {
                // Something of it is on its way; who sends says when it is back.
                continue;
            }
            // It was decided about meanwhile, with this change in mind.
            if self.is_over(&key, delivery.event.seq())? {
                self.gate.0.lock().let_go();
                self.end(delivery.event.id.to_string())?;
                continue;
            }
            let now = clock::steady();
            self.restless.retain(|_, (_, last)| now.since(*last) < CALM);
            let (tries, last) = self.restless.entry(key.clone()).or_default();
            (*tries, *last) = (*tries + 1, now);
            if *tries > TIMES {
                self.restless.remove(&key);
                self.give_up(&key)?;
                self.gate.0.lock().let_go();
                continue;
            }
            self.look_again(&key)?;
            if held(self)? {
                continue;
            }
            // Whatever is to be sent now was told to the log, as it is now.
            self.end(delivery.event.id.to_string())?;
        }
        Ok(())
    }

    /// Whether both sides have agreed on something newer than this change, or the record was told to the log after it.
    fn is_over(&mut self, key: &str, seq: i64) -> Result<bool, PullError> {
        let (id, kind) = (self.id, self.site.kind.clone());
        let agreed = self.reader.read(|db| base::get(db, id, &kind, key))?.map_or(0, |base| base.seq);
        Ok(agreed.max(self.gate.0.lock().told(key)) >= seq)
    }

    /// Both sides keep changing: a person looks.
    fn give_up(&mut self, key: &str) -> Result<(), PullError> {
        let reason =
            Reason::new("restless", "it was decided three times, and each time the outside system had changed again");
        log::error!(connector:% = self.inlet.name, class:% = reason.class; "{}: a record of {}: {}", self.inlet.name, self.inlet.table, reason.text);
        let id = self.id;
        let item = Item { id: key.to_owned(), state: Aside::Held, reason, since: clock::now(), tries: 0, copy: None };
        self.ledger.call(move |state| state.commit(|db| item::put(db, id, &item)))?;
        Ok(())
    }

    /// What waited for this is over.
    fn end(&mut self, event: String) -> Result<(), PullError> {
        let which =
            Selection { connector: Some(self.inlet.name.to_string()), ids: vec![event], ..Selection::default() };
        let actor = Actor { name: "system".to_owned(), reason: Some("decided again".to_owned()) };
        self.ledger.call(move |state| operate(state, &Operation::Discard { which }, &actor))?;
        if let Some(sender) = &self.sender {
            sender.tell(Message::Reload);
            sender.tell(Message::Wake);
        }
        Ok(())
    }
}
