//! Retention: what is older than a drop keeps it goes.

use std::collections::BTreeSet;

use super::worker::{StepError, Worker};
use crate::clock;
use crate::store::state::drops::{self, DropFile, FileState, change, member};

impl Worker {
    /// Forgets what is older than the drop keeps it: bytes and payloads; the line in the ledger stays.
    pub(super) fn tidy(&mut self) -> Result<(), StepError> {
        let (id, oldest) = (self.id, clock::now().minus(self.drop.keep));
        let ends: BTreeSet<FileState> =
            [FileState::Published, FileState::Acked, FileState::Partial, FileState::Refused, FileState::Skipped].into();
        // A file that an answer is awaited for stays.
        let waits = |file: &DropFile| self.drop.awaits_answer() && file.state == FileState::Published;
        let old: Vec<DropFile> = self
            .reader
            .read(|db| drops::before(db, id, oldest))?
            .into_iter()
            .filter(|file| ends.contains(&file.state) && !waits(file))
            .collect();
        self.staging.remove_answers(oldest)?;
        for file in old {
            self.staging.remove(file.id)?;
            self.ledger.call(move |state| {
                state.commit(|db| {
                    member::purge(db, file.id)?;
                    change::forget(db, file.id)?;
                    drops::set_state(db, file.id, FileState::Purged, clock::now())
                })
            })?;
        }
        Ok(())
    }
}
