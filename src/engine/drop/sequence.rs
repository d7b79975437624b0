//! A sequence that a person has set.

use crate::store::state::{ConnectorId, Db, Sql, note, set_note};

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
