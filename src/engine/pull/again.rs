//! What stands aside is looked at again, and one record as it is there now.

use std::time::Duration;

use super::carry::Tally;
use super::mapped::{Mapped, mapped};
use super::{PullError, Worker};
use crate::adapter::pull::Fetched;
use crate::clock;
use crate::event::Record;
use crate::store::state::pull::item::{self, Aside};
use crate::store::state::{conflict, link, pull};

/// The class of an item that says what was there before a push of ours.
pub(super) const OVERTAKEN: &str = "overtaken";
/// The class of an item that tells of a deletion from before the record was changed.
pub(super) const OUTDATED: &str = "outdated";
/// Items that stand aside and are looked at at once.
const SOME: usize = 500;
/// Tombstones are kept for so long, in milliseconds: who was away for longer is read anew. And what was sent.
const TOMBSTONES: i64 = 90 * 86_400_000;
const SENT: i64 = 86_400_000;
/// What is older goes so often.
const TIDY: Duration = Duration::from_secs(6 * 3600);

impl Worker {
    /// Looks again at what stands aside: what was decided on another row always, what was refused or held when a person asks.
    pub(super) fn take_aside(&mut self, asked: bool) -> Result<(), PullError> {
        self.again(Aside::Again)?;
        let id = self.id;
        let resolved = self.reader.read(|db| conflict::resolved(db, id, SOME))?;
        for (kind, key) in &resolved {
            if **kind != *self.site.kind {
                continue;
            }
            self.look_again(key)?;
        }
        if self.has_noted && !asked {
            self.again(Aside::Held)?;
        }
        self.has_noted = false;
        if asked {
            self.again(Aside::Refused)?;
            self.again(Aside::Held)?;
        }
        if asked || self.tidied.is_none_or(|at| clock::steady().since(at) >= TIDY) {
            self.tidied = Some(clock::steady());
            let (id, now) = (self.id, clock::now().0);
            let until = (clock::Timestamp(now - TOMBSTONES), clock::Timestamp(now - SENT));
            self.ledger.call(move |state| state.commit(|db| pull::tidy(db, id, until.0, until.1)))?;
        }
        Ok(())
    }

    pub(super) fn again(&mut self, state: Aside) -> Result<Tally, PullError> {
        let (mut tally, mut after) = (Tally::default(), String::new());
        loop {
            let id = self.id;
            let some = self.reader.read(|db| item::list(db, id, state, &after, SOME))?;
            let Some(last) = some.last() else { return Ok(tally) };
            after.clone_from(&last.id);
            let (anew, some): (Vec<_>, Vec<_>) =
                some.into_iter().partition(|item| [OVERTAKEN, OUTDATED].contains(&&*item.reason.class));
            for item in anew {
                tally.add_up(&self.look_again(&item.id)?.unwrap_or_default());
            }
            let copies = some.iter().filter_map(|item| Mapped::of_copy(item.copy.as_ref()?).ok());
            let (_, came) = self.process(copies.collect(), None, clock::now(), true)?;
            tally.add_up(&came);
        }
    }

    /// Decides about one record again, as it is there now; none = it is on its way, or cannot be read now.
    pub(super) fn look_again(&mut self, key: &str) -> Result<Option<Tally>, PullError> {
        let id = self.id;
        let Some(values) = self.site.key_of(key) else { return Ok(None) };
        if !self.gate.0.lock().take(key) {
            return Ok(None);
        }
        let kind = self.site.kind.clone();
        let (stored, links) = self.reader.read(|db| Ok((item::get(db, id, key)?, link::of(db, id, &kind, key)?)))?;
        let names = self.site.fitting.key().iter().cloned();
        let record: Record = names.zip(values.iter().cloned()).collect();
        let fetched = match self.inlet.source.fetch_one(&record, &links) {
            Some(Fetched::Page(page)) => {
                self.measure(&page)?;
                page.items.first().map(|item| mapped(&self.inlet, &self.site, item))
            }
            Some(Fetched::Gone) => Some(Ok(Mapped { key: Some(values.clone()), deleted: true, ..Mapped::default() })),
            Some(Fetched::Failed(outcome)) => {
                self.failed(&outcome)?;
                None
            }
            Some(Fetched::Unchanged | Fetched::Expired) | None => None,
        };
        // What was seen last has to do where a single record cannot be asked for.
        let outdated = stored.as_ref().is_some_and(|item| item.reason.class == OUTDATED);
        let seen = stored.and_then(|item| Mapped::of_copy(item.copy.as_ref()?).ok()).filter(|_| !outdated);
        let Some(mut item) = fetched.and_then(Result::ok).or(seen) else {
            self.gate.0.lock().let_go();
            if outdated {
                // The record is as it was seen last, as far as anybody says.
                let key = key.to_owned();
                self.ledger.call(move |state| state.commit(|db| item::end(db, id, &key).map(drop)))?;
                return Ok(Some(Tally::default()));
            }
            return Ok(None);
        };
        item.key.get_or_insert(values);
        Ok(Some(self.process(vec![item], None, clock::now(), true)?.1))
    }
}
