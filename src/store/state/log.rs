//! The logs that events are read from, as the state file remembers them.

use rusqlite::{Connection, OptionalExtension as _};

use super::{LogId, Sql};

/// Name of the agent's own log of posted and subscribed events.
pub const INTAKE: &str = "intake";

/// The row of a log, made when it is new.
pub fn remember(db: &Connection, name: &str) -> Sql<LogId> {
    db.execute("INSERT OR IGNORE INTO log(name) VALUES (?1)", [name])?;
    db.query_row("SELECT id FROM log WHERE name = ?1", [name], |row| row.get(0)).map(LogId)
}

/// The row of a log, if it is known.
pub fn find(db: &Connection, name: &str) -> Sql<Option<LogId>> {
    db.prepare_cached("SELECT id FROM log WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
        .map(|id| id.map(LogId))
}

/// The name of a log.
pub fn name(db: &Connection, log: LogId) -> Sql<String> {
    db.prepare_cached("SELECT name FROM log WHERE id = ?1")?.query_row([log.0], |row| row.get(0))
}

/// What the last poll of this log found, as JSON, and up to which attempt number it holds the witness.
pub fn seen(db: &Connection, log: LogId) -> Sql<(Option<String>, i64)> {
    db.query_row("SELECT seen, witness_n FROM log WHERE id = ?1", [log.0], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Stores what a poll found.
pub fn set_seen(db: &Connection, log: LogId, seen: &str, witness_n: i64) -> Sql<()> {
    db.execute("UPDATE log SET seen = ?2, witness_n = ?3 WHERE id = ?1", (log.0, seen, witness_n))?;
    Ok(())
}
