//! Deadlines: a file that is not published in time is told of, by name, until it is.

use super::worker::{StepError, Worker};
use crate::clock;
use crate::engine::operate::called;
use crate::rules::cutoff::deadline;
use crate::store::state::drops::FileState;
use crate::store::state::{ConnectorId, Db, Sql, note, set_note};

fn name(connector: ConnectorId) -> String {
    format!("drop/{}/late", connector.0)
}

/// The file that is late, as people call it, and by when it should have been published.
pub(super) fn late(db: &Db, connector: ConnectorId) -> Sql<Option<String>> {
    Ok(note(db, &name(connector))?.filter(|text| !text.is_empty()))
}

impl Worker {
    /// Notes what is late, or that nothing is any more.
    pub(super) fn watch_deadline(&mut self) -> Result<(), StepError> {
        let Some(time) = self.drop.timing.deadline else { return Ok(()) };
        let (wall, id) = (clock::now(), self.id);
        let mut files = self.in_state(FileState::Cut)?;
        files.extend(self.in_state(FileState::Rendered)?);
        let zone = self.drop.timing.cut_offs.zone();
        let found = files.iter().find_map(|file| {
            let by = deadline(file.cut_at, time, zone).filter(|by| *by <= wall)?;
            Some(format!("{} was due at {by}", called(file)))
        });
        let text = found.clone().unwrap_or_default();
        let before = self.reader.read(|db| late(db, id))?;
        if before.unwrap_or_default() == text {
            return Ok(());
        }
        if let Some(late) = &found {
            log::error!(connector:% = self.drop.subscription.name; "{}: {late} and is not published yet", self.drop.subscription.name);
        }
        self.ledger.call(move |state| state.commit(|db| set_note(db, &name(id), &text)))?;
        Ok(())
    }
}
