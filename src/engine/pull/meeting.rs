//! How both sides meet as a person says: whether they have to, and what counts as agreed then.

use std::borrow::Cow;
use std::sync::Arc;

use super::{HALTED, Inlet, Mapped, PullError, Worker};
use crate::engine::push::Message;
use crate::engine::turnstile::FIRST_CONTACT;
use crate::event::Record;
use crate::rules::conflict::same::same;
use crate::rules::conflict::{DeleteRule, Policy, Rule, Winner};
use crate::rules::outcome::Reason;
use crate::store::state::pull::base::Both;
use crate::store::state::pull::{self, Book, Contact, First};

/// Whether both sides must be compared before anything is read; `rows` = of the table here, asked only where that decides.
pub(super) fn waits<E>(
    inlet: &Inlet,
    contact: Contact,
    book: &Book,
    rows: impl FnOnce() -> Result<u64, E>,
) -> Result<bool, E> {
    Ok(match contact {
        Contact::Made | Contact::Asked(_) => false,
        Contact::Doubted => true,
        // What has begun goes on.
        Contact::None => inlet.both_ways && book.applied == 0 && rows()? > 0,
    })
}

/// The rules while they meet.
pub(super) fn rules(policy: &Policy, first: Option<First>) -> Policy {
    let (winner, delete) = match first {
        Some(First::Local) => (Winner::Local, DeleteRule::UpdateWins),
        Some(First::Remote) => (Winner::Remote, DeleteRule::UpdateWins),
        Some(First::Rules) | None => return policy.clone(),
    };
    let otherwise = Some(Rule::of(winner));
    Policy { groups: policy.groups.clone(), rules: Vec::new(), otherwise, delete, ..policy.clone() }
}

/// What counts as agreed on of a record while they meet. What only one side has changed since goes the way that the person has
/// said too: a side that does not count is taken for unchanged, and the other for changed. What both have changed is decided by
/// [`rules`].
pub(super) fn agreed<'k>(
    first: Option<First>,
    item: &Mapped,
    row: Option<&Record>,
    held: Option<&'k Both>,
    fields: &[Arc<str>],
) -> Option<Cow<'k, Both>> {
    let held = held?;
    let local = match first {
        Some(First::Local) => true,
        Some(First::Remote) => false,
        Some(First::Rules) | None => return Some(Cow::Borrowed(held)),
    };
    let mut both = held.clone();
    match (row, item.deleted, local) {
        // The side that counts has it, the other has not: it is new there.
        (None, false, false) | (Some(_), true, true) => return None,
        // The side that counts has deleted what the other has, whatever that is now.
        (None, false, true) => both.there = item.fields.clone(),
        (Some(row), true, false) => both.local = row.clone(),
        (Some(row), false, _) => {
            for field in fields {
                let (here, there) = (row.get(field), item.fields.get(field));
                let changed = (!same(here, held.local.get(field)), !same(there, held.there.get(field)));
                let alone = match changed {
                    (true, false) if !local => here,
                    (false, true) if local => there,
                    _ => continue,
                };
                if let Some(value) = alone {
                    both.local.set(field, value.clone());
                    both.there.set(field, value.clone());
                }
            }
        }
        (None, true, _) => {}
    }
    Some(Cow::Owned(both))
}

impl Worker {
    /// It has only read, and sends from now on: what the application has changed since the last run was never sent either.
    pub(super) fn look_back(&mut self) -> Result<(), PullError> {
        self.note_changes()?;
        let id = self.id;
        if self.reader.read(|db| pull::any(db, id))?.changes {
            self.ledger.call(move |state| state.commit(|db| pull::set_contact(db, id, Contact::Doubted)))?;
            self.reload()?;
        }
        Ok(())
    }

    /// Notes whether both sides have still to meet; whether a person has to say how. Until they have met nothing leaves: what
    /// was never compared would be overwritten there.
    pub(super) fn stand_apart(&mut self) -> Result<bool, PullError> {
        let rows = || self.log.count(&self.inlet.table, None);
        let waits = waits(&self.inlet, self.pull.contact, &self.pull.book, rows)?;
        let apart = self.inlet.both_ways && (waits || matches!(self.pull.contact, Contact::Asked(_)));
        let before = self.gate.0.lock().set_apart(apart);
        if let Some(sender) = self.sender.as_ref().filter(|_| before && !apart) {
            sender.tell(Message::Wake);
        }
        Ok(waits)
    }

    /// Whether both sides were compared, or need not be.
    pub(super) fn may_begin(&mut self) -> Result<bool, PullError> {
        self.reload()?;
        if !self.stand_apart()? {
            return Ok(true);
        }
        let text = format!(
            "the table has records and was never compared with the other side: look with `hms-sync reconcile --connector \
             {}`, then choose with --apply",
            self.inlet.name
        );
        let reason = Reason::new(FIRST_CONTACT, text);
        if self.halted.as_ref() != Some(&reason) {
            log::warn!(connector:% = self.inlet.name; "{}: {}", self.inlet.name, reason.text);
        }
        self.summary.left_off = Some(reason.clone());
        self.fail(reason, HALTED)?;
        Ok(false)
    }
}
