//! Where everything was read: what is missing there was deleted there, and what is only here is sent.

use std::collections::HashSet;

use super::fetch::hashed;
use super::{Mapped, PullError, Worker};
use crate::clock;
use crate::event::{Record, Value};
use crate::rules::outcome::Reason;
use crate::rules::pull::may_go;
use crate::store::state::pull::{self, Contact, First, base};

/// Records that are looked at at once.
const SOME: usize = 500;

impl Worker {
    /// Deletes what both sides had and the other side has no more. Very many of them wait for a person.
    pub(super) fn sweep(&mut self, seen: &mut HashSet<u64>) -> Result<(), PullError> {
        let (mut missing, mut all, mut after) = (Vec::new(), 0_u64, String::new());
        loop {
            let (id, kind) = (self.id, self.site.kind.clone());
            let some = self.reader.read(|db| base::keys(db, id, &kind, &after, SOME))?;
            let Some(last) = some.last() else { break };
            after.clone_from(last);
            all += some.len() as u64;
            missing.extend(some.into_iter().filter(|key| !seen.contains(&hashed(key))));
        }
        // What becomes of them is decided here, and nowhere else in this run.
        seen.extend(missing.iter().map(|key| hashed(key)));
        let count = missing.len() as u64;
        // Where the application counts, they are not deleted: they go there again.
        let stays = self.pull.contact == Contact::Asked(First::Local);
        if !stays && !may_go(count, all, self.inlet.max_delete) && !self.pull.book.agreed {
            if self.pull.book.missing != Some(count) {
                log::error!(
                    connector:% = self.inlet.name;
                    "{}: {count} of {all} records are missing there, more than may be deleted unasked: nothing is deleted \
                     until a person agrees (`hms-sync reconcile --connector {} --delete-missing`)",
                    self.inlet.name, self.inlet.name
                );
                self.pull.book.missing = Some(count);
                self.store_book()?;
            }
            return Ok(());
        }
        if self.pull.book.missing.is_some() || self.pull.book.agreed {
            (self.pull.book.missing, self.pull.book.agreed) = (None, false);
            self.store_book()?;
        }
        let items = missing.iter().filter_map(|key| self.site.key_of(key)).map(|key| Mapped {
            key: Some(key),
            fields: Record::new(),
            deleted: true,
            ..Mapped::default()
        });
        let items: Vec<Mapped> = items.collect();
        for some in items.chunks(SOME) {
            self.process(some.to_vec(), None, clock::now(), true)?;
        }
        Ok(())
    }

    /// At the first contact: what is only here, and was never agreed on, is sent there.
    pub(super) fn send_unmatched(&mut self, seen: &HashSet<u64>) -> Result<(), PullError> {
        if !self.inlet.both_ways {
            return Ok(());
        }
        let (mut after, mut count, table) = (None, 0_u64, self.inlet.table.clone());
        loop {
            let end = self.log.highest_seq()?;
            let rows = self.log.scan(&table, after.as_ref(), SOME, end)?.rows;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            let values = |key: &Record| key.iter().map(|(_, value)| value.clone()).collect::<Vec<Value>>();
            let keys = rows.iter().map(|(key, _)| values(key));
            let keys: Vec<_> = keys.map(|key| (self.site.identity(&key), key)).collect();
            let mut only = Vec::new();
            for (id, key) in keys.into_iter().filter(|(id, _)| !seen.contains(&hashed(id))) {
                let (of, kind) = (self.id, &self.site.kind);
                // What was agreed on and is missing there was looked after.
                if self.reader.read(|db| base::get(db, of, kind, &id))?.is_none_or(|base| base.held.is_none()) {
                    only.push(key);
                }
            }
            count += only.len() as u64;
            while !only.is_empty() {
                let sent = self.log.refresh_exact(&table, &only, Some(&self.inlet.name))?.len();
                only.drain(..sent);
            }
        }
        log::info!(connector:% = self.inlet.name; "{}: {count} records were only here and are sent", self.inlet.name);
        Ok(())
    }

    pub(super) fn store_book(&mut self) -> Result<(), PullError> {
        let (id, book) = (self.id, self.pull.book.clone());
        self.ledger.call(move |state| state.commit(|db| pull::set_book(db, id, &book)))?;
        if let Some(missing) = self.pull.book.missing {
            self.summary.left_off = Some(Reason::new("many-missing", format!("{missing} records are missing there")));
        }
        Ok(())
    }
}
