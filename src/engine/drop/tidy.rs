//! Retention: what is older than a drop keeps it goes, or what is more.

use super::worker::{StepError, Worker};
use super::{Keep, entry};
use crate::clock::{self, Timestamp};
use crate::rules::clock::cutoff;
use crate::store::state::belief;
use crate::store::state::drops::{self, DropFile, FileState, change, member};

/// The states in which nothing more comes of a file.
const ENDS: [FileState; 6] = [
    FileState::Published,
    FileState::Acked,
    FileState::Partial,
    FileState::Refused,
    FileState::Skipped,
    FileState::Discarded,
];

impl Worker {
    /// Forgets what is older, or more, than the drop keeps: bytes and payloads; the line in the ledger stays. A file that an answer
    /// is awaited for stays too, and nothing goes by age while the clock is not believed.
    pub(super) fn tidy(&mut self) -> Result<(), StepError> {
        let oldest = match self.drop.keep {
            Keep::For(time) => {
                let known = self.reader.read(belief::known)?;
                cutoff(clock::now(), clock::steady(), &known, time)
            }
            Keep::Newest(count) => self.oldest_of(count)?,
        };
        let Some(oldest) = oldest else { return Ok(()) };
        let id = self.id;
        let waits = |file: &DropFile| self.drop.awaits_answer() && file.state == FileState::Published;
        let old: Vec<DropFile> = self
            .reader
            .read(|db| drops::before(db, id, oldest))?
            .into_iter()
            .filter(|file| ENDS.contains(&file.state) && !waits(file))
            .collect();
        self.staging.remove_answers(oldest)?;
        for file in old {
            self.staging.remove(file.id)?;
            self.ledger.call(move |state| {
                state.commit(|db| {
                    member::purge(db, file.id)?;
                    change::forget(db, file.id)?;
                    entry::purge(db, &file, clock::now())?;
                    drops::set_state(db, file.id, FileState::Purged, clock::now())
                })
            })?;
        }
        Ok(())
    }

    /// Since when the oldest of the newest so many files is at its end; none = there are no more than that.
    fn oldest_of(&mut self, count: u64) -> Result<Option<Timestamp>, StepError> {
        let id = self.id;
        Ok(self.reader.read(|db| drops::since_of_newest(db, id, &ENDS, count))?)
    }
}
