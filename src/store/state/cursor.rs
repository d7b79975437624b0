//! Cursors: everything at or below was delivered, filtered out, or is parked.

use rusqlite::{Connection, OptionalExtension as _};

use super::{ConnectorId, LogId, Sql, account};
use crate::event::EventId;

/// A connector's position in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything at or below is settled.
    pub seq: i64,
    /// Events up to here are sent again by a replay; 0 = none.
    pub replay_to: i64,
}

/// Reads a cursor.
pub fn get(db: &Connection, connector: ConnectorId, log: LogId) -> Sql<Option<Cursor>> {
    db.prepare_cached("SELECT seq, replay_to FROM cursor WHERE connector = ?1 AND log = ?2")?
        .query_row((connector.0, log.0), |row| Ok(Cursor { seq: row.get(0)?, replay_to: row.get(1)? }))
        .optional()
}

/// The lowest cursor of all connectors that have begun in a log; none = nobody has.
pub fn lowest(db: &Connection, log: LogId) -> Sql<Option<i64>> {
    db.prepare_cached("SELECT min(seq) FROM cursor WHERE log = ?1")?.query_row([log.0], |row| row.get(0))
}

/// All cursors of a connector.
pub fn of(db: &Connection, connector: ConnectorId) -> Sql<Vec<(LogId, Cursor)>> {
    db.prepare_cached("SELECT log, seq, replay_to FROM cursor WHERE connector = ?1 ORDER BY log")?
        .query_map([connector.0], |row| Ok((LogId(row.get(0)?), Cursor { seq: row.get(1)?, replay_to: row.get(2)? })))?
        .collect()
}

/// Sets where a connector begins in a log, unless it has begun already. Opens its account when it has none.
pub fn begin(db: &Connection, connector: ConnectorId, log: LogId, seq: i64) -> Sql<()> {
    account::open(db, connector)?;
    let sql = "INSERT OR IGNORE INTO cursor(connector, log, seq) VALUES (?1, ?2, ?3)";
    if db.execute(sql, (connector.0, log.0, seq))? > 0 {
        account::begin(db, connector, seq)?;
    }
    Ok(())
}

/// Moves a cursor forward; it never goes back this way.
pub fn advance(db: &Connection, connector: ConnectorId, log: LogId, seq: i64) -> Sql<()> {
    db.prepare_cached("UPDATE cursor SET seq = ?3 WHERE connector = ?1 AND log = ?2 AND seq < ?3")?.execute((
        connector.0,
        log.0,
        seq,
    ))?;
    db.prepare_cached("DELETE FROM ahead WHERE connector = ?1 AND log = ?2 AND seq <= ?3")?.execute((
        connector.0,
        log.0,
        seq,
    ))?;
    Ok(())
}

/// Notes that an event is done although the cursor still stands below it.
pub fn note_ahead(db: &Connection, connector: ConnectorId, log: LogId, id: EventId) -> Sql<()> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO ahead(connector, log, seq, event_id)
         SELECT connector, log, ?3, ?4 FROM cursor WHERE connector = ?1 AND log = ?2 AND seq < ?3",
    )?
    .execute((connector.0, log.0, id.seq, id.to_string()))?;
    Ok(())
}

/// The events of a log that are done although the cursor still stands below them.
pub fn ahead(db: &Connection, connector: ConnectorId, log: LogId) -> Sql<Vec<EventId>> {
    db.prepare_cached("SELECT event_id FROM ahead WHERE connector = ?1 AND log = ?2")?
        .query_map((connector.0, log.0), |row| row.get::<_, String>(0))?
        .filter_map(|id| id.map(|id| id.parse().ok()).transpose())
        .collect()
}

/// Sets a cursor back to `seq` so that what follows is sent again (replay).
pub fn set_back(db: &Connection, connector: ConnectorId, log: LogId, seq: i64) -> Sql<()> {
    db.execute(
        "UPDATE cursor SET replay_to = max(replay_to, seq), seq = ?3 WHERE connector = ?1 AND log = ?2 AND seq > ?3",
        (connector.0, log.0, seq),
    )?;
    Ok(())
}

/// A connector sends no more: it holds nothing back in any log, and begins anew when it sends again.
pub fn forget(db: &Connection, connector: ConnectorId) -> Sql<()> {
    account::close(db, connector)?;
    db.execute("DELETE FROM cursor WHERE connector = ?1", [connector.0])?;
    db.execute("DELETE FROM ahead WHERE connector = ?1", [connector.0]).map(drop)
}

/// Puts a cursor where it must stand, in either direction (a replaced or restored log).
pub fn put(db: &Connection, connector: ConnectorId, log: LogId, seq: i64) -> Sql<()> {
    account::close_epoch(db, connector)?;
    db.execute(
        "INSERT INTO cursor(connector, log, seq) VALUES (?1, ?2, ?3)
         ON CONFLICT(connector, log) DO UPDATE SET seq = excluded.seq, replay_to = 0",
        (connector.0, log.0, seq),
    )?;
    Ok(())
}
