//! A push that met another version: the record is read again, decided again, and sent again if anything is to be sent.

use std::time::Duration;

use super::{PullError, Worker};
use crate::clock;
use crate::engine::operate::{Actor, Operation, operate};
use crate::engine::push::{DISPUTED, Message, RESTLESS};
use crate::event::Value;
use crate::rules::outcome::Reason;
use crate::store::state::conflict;
use crate::store::state::parked::{self, Parked, ParkedState, Selection};
use crate::store::state::pull::base;
use crate::store::state::pull::item::{self, Aside};
use crate::store::state::pull::lately::{self, Lately};

/// So often a record is read and decided again because a push of it was refused; then a person looks.
const TIMES: u32 = 3;
/// A record that met no other version for so long begins anew.
const CALM: Duration = Duration::from_secs(600);

impl Worker {
    /// Looks at what the other side would not take because it had another version; `asked` = a person wants it tried once more.
    pub(super) fn reread(&mut self, asked: bool) -> Result<(), PullError> {
        if !self.inlet.both_ways {
            return Ok(());
        }
        for class in [DISPUTED, RESTLESS] {
            let which = Selection {
                connector: Some(self.inlet.name.to_string()),
                state: Some(ParkedState::Held.as_str().to_owned()),
                kind: Some(self.site.kind.to_string()),
                class: Some(class.to_owned()),
                ..Selection::default()
            };
            let waiting = self.reader.read(|db| parked::select(db, &which))?;
            for (_, delivery) in waiting {
                self.reread_one(delivery, asked || class == DISPUTED, asked)?;
            }
        }
        Ok(())
    }

    /// Looks at one of them. `tries` = it is read again; else it only ends when it is over. `anew` = whatever was tried before.
    fn reread_one(&mut self, delivery: Parked, tries: bool, anew: bool) -> Result<(), PullError> {
        let key: Option<Vec<Value>> =
            self.site.fitting.key().iter().map(|name| delivery.event.key.get(name).cloned()).collect();
        let Some(key) = key.map(|key| self.site.identity(&key)) else { return Ok(()) };
        if self.waits_for_a_person(&key)? {
            return Ok(());
        }
        if !self.gate.0.lock().take(&key) {
            // Something of it is on its way; who sends says when it is back.
            return Ok(());
        }
        let tried = if anew { 0 } else { self.tried(&key)? };
        let (agreed, told) = self.newer(&key)?;
        let over = agreed >= delivery.event.seq() || (told >= delivery.event.seq() && tried < TIMES);
        if !over && !tries {
            self.gate.0.lock().let_go();
            return Ok(());
        }
        // It was decided about meanwhile, with this change in mind: what was told then goes in its place.
        if over {
            self.gate.0.lock().let_go();
            self.note_tries(&key, tried + 1)?;
            return self.end(delivery.event.id.to_string());
        }
        if tried >= TIMES {
            self.gate.0.lock().let_go();
            return self.give_up(delivery);
        }
        // Where it cannot be read now it is read later.
        if self.look_again(&key)?.is_none() {
            return Ok(());
        }
        self.note_tries(&key, tried + 1)?;
        if self.waits_for_a_person(&key)? {
            return Ok(());
        }
        // Whatever is to be sent now was told to the log, as it is now.
        self.end(delivery.event.id.to_string())
    }

    /// Whether a person decides about a record.
    fn waits_for_a_person(&mut self, key: &str) -> Result<bool, PullError> {
        let (id, kind) = (self.id, self.site.kind.clone());
        Ok(self.reader.read(|db| {
            let aside = item::get(db, id, key)?;
            Ok(aside.is_some_and(|item| item.state == Aside::Held) || !conflict::open(db, id, &kind, key)?.is_empty())
        })?)
    }

    /// How often a record was read again lately.
    fn tried(&mut self, key: &str) -> Result<u32, PullError> {
        let (id, kind) = (self.id, self.site.kind.clone());
        let tried = self.reader.read(|db| lately::get(db, id, Lately::Refused, &kind, key))?;
        let lately = tried.filter(|(at, _)| clock::now().since(*at) < CALM);
        Ok(lately.and_then(|(_, text)| text.parse().ok()).unwrap_or(0))
    }

    /// It outlives this process: no more tries because there is a new one. Something that arrives, or a person, ends it.
    fn note_tries(&mut self, key: &str, tries: u32) -> Result<(), PullError> {
        let (id, kind, key) = (self.id, self.site.kind.clone(), key.to_owned());
        self.ledger.call(move |state| {
            state.commit(|db| lately::set(db, id, Lately::Refused, (&kind, &key), clock::now(), &tries.to_string()))
        })?;
        Ok(())
    }

    /// Up to which change both sides have agreed, and up to which one something newer was told to the log.
    fn newer(&mut self, key: &str) -> Result<(i64, i64), PullError> {
        let (id, kind) = (self.id, self.site.kind.clone());
        let known = |db: &_| Ok((base::place(db, id, &kind, key)?, lately::told(db, id, &kind, key)?));
        let (agreed, told) = self.reader.read(known)?;
        Ok((agreed.map_or(0, |(_, _, agreed)| agreed), told.max(self.gate.0.lock().told(key))))
    }

    /// It was refused each time: a person looks.
    fn give_up(&mut self, delivery: Parked) -> Result<(), PullError> {
        let text = format!(
            "the outside system says that it has another version each time, though it was read again {TIMES} times; \
             `hms-sync deliveries retry --connector {name}` or `hms-sync sync {name}` reads, decides and sends again",
            name = self.inlet.name
        );
        let reason = Reason::new(RESTLESS, text);
        log::error!(connector:% = self.inlet.name, class:% = reason.class; "{}: a record of {}: {}", self.inlet.name, self.inlet.table, reason.text);
        let id = self.id;
        let parked = Parked { reason, since: clock::now(), ..delivery };
        self.ledger.call(move |state| state.commit(|db| parked::park(db, id, &parked)))?;
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
