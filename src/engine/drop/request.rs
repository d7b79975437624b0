//! A cut that a person has asked for.

use crate::store::state::{ConnectorId, Db, Sql, note, set_note};

/// Between the asking and the date: a note without a date is one too.
const ASKED: &str = "asked:";

fn name(connector: ConnectorId) -> String {
    format!("drop/{}/run", connector.0)
}

/// Asks for a cut now; for a business date, or (empty) for that of the next cut-off.
pub fn ask(db: &Db, connector: ConnectorId, date: &str) -> Sql<()> {
    set_note(db, &name(connector), &format!("{ASKED}{date}"))
}

/// The date that was asked for, if a cut was: empty = that of the next cut-off.
pub(super) fn asked(db: &Db, connector: ConnectorId) -> Sql<Option<String>> {
    Ok(note(db, &name(connector))?.and_then(|text| text.strip_prefix(ASKED).map(str::to_owned)))
}

/// It was made.
pub(super) fn done(db: &Db, connector: ConnectorId) -> Sql<()> {
    set_note(db, &name(connector), "")
}
