//! A sequence that a person has set, and one that the host knows to be further on than we do.

use super::worker::{StepError, Worker};
use crate::rules::outcome::Reason;
use crate::store::state::connector::Mode;
use crate::store::state::{ConnectorId, Db, Sql, drops, note, set_note};

fn name(connector: ConnectorId) -> String {
    format!("drop/{}/sequence", connector.0)
}

/// The number that a person wants the next file to have.
pub(super) fn forced(db: &Db, connector: ConnectorId) -> Sql<Option<u64>> {
    Ok(note(db, &name(connector))?.and_then(|text| text.parse().ok()))
}

/// Sets the number of the next file (`drop set-sequence`).
pub fn force(db: &Db, connector: ConnectorId, seq: u64) -> Sql<()> {
    set_note(db, &name(connector), &seq.to_string())
}

/// The number was given: it goes on from there.
pub(super) fn used(db: &Db, connector: ConnectorId) -> Sql<()> {
    match forced(db, connector)? {
        Some(_) => set_note(db, &name(connector), ""),
        None => Ok(()),
    }
}

impl Worker {
    /// Stands still when the host has answered a file of ours with a number that was not given yet: the state file is an older one
    /// that was put back, and the next files would have numbers that the host has seen.
    pub(super) fn guard_numbers(&mut self, answered: u64) -> Result<(), StepError> {
        let (id, name) = (self.id, std::sync::Arc::clone(&self.drop.subscription.name));
        let (last, forced) = self.reader.read(|db| Ok((drops::last_numbered(db, id)?, forced(db, id)?)))?;
        let last = last.and_then(|file| file.numbers).map(|numbers| numbers.seq);
        // What a person has set counts as if the number before it had been given.
        let used = forced.map_or(last, |next| Some(next.saturating_sub(1)));
        let sequence = self.drop.naming.sequence;
        let runs = matches!(self.mode, Mode::Running | Mode::Overflowed);
        if !runs || !sequence.is_behind(used, answered) {
            return Ok(());
        }
        let next = sequence.next(used).unwrap_or(u64::MAX);
        let text = format!(
            "the host has answered our number {answered}, and the next one here would be {next}: was an older state file put back? \
             `hms-sync drop set-sequence {name}` says with which number it goes on, then `hms-sync drop run {name}`"
        );
        self.stand_still(Reason::new("sequence", text))
    }
}
