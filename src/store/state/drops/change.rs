//! The changes that a drop's files carry.

use rusqlite::{Connection, params};

use super::FileId;
use crate::event::{Event, EventId, Op};
use crate::store::image;
use crate::store::state::{ConnectorId, LogId, Sql};

/// One change of one record. A change of a record's key is two: half 0 of the old key, half 1 of the new one.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its event.
    pub id: EventId,
    /// 0, or 1 for the second half of a change of the key.
    pub half: u8,
    /// The record: type and key.
    pub key: String,
    /// Its place in commit order.
    pub ordinal: i64,
    /// Its log.
    pub log: LogId,
    /// What it does to this record.
    pub op: Op,
    /// The event as it does this.
    pub event: Event,
}

/// Puts changes into a file. One that a file of this drop carries already stays there.
pub fn gather(db: &Connection, connector: ConnectorId, file: FileId, changes: &[Change]) -> Sql<()> {
    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO drop_change(connector, event_id, half, file, key, ordinal, log, op, event)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for change in changes {
        insert.execute(params![
            connector.0,
            change.id.to_string(),
            change.half,
            file.0,
            change.key,
            change.ordinal,
            change.log.0,
            change.op.as_str(),
            image::encode_event(&change.event),
        ])?;
    }
    Ok(())
}

/// Puts changes into a file that another one may have carried: they were held, or the host has refused them.
pub fn take_over(db: &Connection, connector: ConnectorId, file: FileId, changes: &[Change]) -> Sql<()> {
    for change in changes {
        leave(db, connector, change.id, change.half)?;
    }
    gather(db, connector, file, changes)
}

/// The highest place in a file; 0 when it is empty.
pub fn highest(db: &Connection, file: FileId) -> Sql<i64> {
    db.prepare_cached("SELECT max(0, ifnull(max(ordinal), 0)) FROM drop_change WHERE file = ?1")?
        .query_row([file.0], |row| row.get(0))
}

/// The lowest place in a file; 0 when it is empty.
pub fn lowest(db: &Connection, file: FileId) -> Sql<i64> {
    db.prepare_cached("SELECT min(0, ifnull(min(ordinal), 0)) FROM drop_change WHERE file = ?1")?
        .query_row([file.0], |row| row.get(0))
}

/// Whether a file carries a change of a record.
pub fn has_record(db: &Connection, file: FileId, key: &str) -> Sql<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM drop_change WHERE file = ?1 AND key = ?2)")?
        .query_row(params![file.0, key], |row| row.get(0))
}

/// Whether a file carries an event.
pub fn is_in(db: &Connection, connector: ConnectorId, file: FileId, id: EventId) -> Sql<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM drop_change WHERE connector = ?1 AND event_id = ?2 AND file = ?3)")?
        .query_row(params![connector.0, id.to_string(), file.0], |row| row.get(0))
}

/// How many events a file carries. A change of a key whose halves are in two files is one event in each.
pub fn events(db: &Connection, file: FileId) -> Sql<u64> {
    let count: i64 = db
        .prepare_cached("SELECT count(DISTINCT event_id) FROM drop_change WHERE file = ?1")?
        .query_row([file.0], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// How many events are in one file with one half and in another with the other.
pub fn shared(db: &Connection, connector: ConnectorId, one: FileId, other: FileId) -> Sql<u64> {
    let count: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM drop_change AS a JOIN drop_change AS b USING (connector, event_id)
             WHERE connector = ?1 AND a.file = ?2 AND b.file = ?3",
        )?
        .query_row(params![connector.0, one.0, other.0], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// How many events are in files of a drop that are not published yet; one in two files counts in each.
pub fn under_way(db: &Connection, connector: ConnectorId) -> Sql<u64> {
    let count: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM (SELECT DISTINCT event_id, file FROM drop_change WHERE connector = ?1 AND file IN
               (SELECT id FROM drop_file WHERE connector = ?1 AND state IN ('open', 'cut', 'rendered')))",
        )?
        .query_row([connector.0], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Goes through the records of a file, each with its changes in commit order.
pub fn each_record<E: From<rusqlite::Error>>(
    db: &Connection,
    connector: ConnectorId,
    file: FileId,
    mut each: impl FnMut(&str, &[Change]) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = db.prepare_cached(
        "SELECT key, ordinal, half, log, event FROM drop_change
         WHERE file = ?1 AND connector = ?2 AND event IS NOT NULL ORDER BY key, ordinal, half",
    )?;
    let mut rows = statement.query([file.0, connector.0])?;
    let mut changes: Vec<Change> = Vec::new();
    while let Some(row) = rows.next()? {
        let event =
            image::decode_event(row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Blob, Box::new(error))
            })?;
        let change = Change {
            id: event.id,
            half: row.get(2)?,
            key: row.get(0)?,
            ordinal: row.get(1)?,
            log: LogId(row.get(3)?),
            op: event.op,
            event,
        };
        if let Some(key) = changes.first().filter(|first| first.key != change.key).map(|first| first.key.clone()) {
            each(&key, &changes)?;
            changes.clear();
        }
        changes.push(change);
    }
    match changes.first().map(|first| first.key.clone()) {
        Some(key) => each(&key, &changes),
        None => Ok(()),
    }
}

/// Whether a file carries anything.
pub fn any(db: &Connection, file: FileId) -> Sql<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM drop_change WHERE file = ?1)")?
        .query_row([file.0], |row| row.get(0))
}

/// Takes a change out of its file: it is held, or goes with another one.
pub fn leave(db: &Connection, connector: ConnectorId, id: EventId, half: u8) -> Sql<()> {
    db.prepare_cached("DELETE FROM drop_change WHERE connector = ?1 AND event_id = ?2 AND half = ?3")?
        .execute(params![connector.0, id.to_string(), half])?;
    Ok(())
}

/// Moves the changes of a record to another file.
pub fn move_to(db: &Connection, from: FileId, to: FileId, key: &str) -> Sql<()> {
    db.prepare_cached("UPDATE drop_change SET file = ?2 WHERE file = ?1 AND key = ?3")?
        .execute(params![from.0, to.0, key])?;
    Ok(())
}

/// Forgets the copies of the events: the file needs them no more.
pub fn forget(db: &Connection, file: FileId) -> Sql<()> {
    db.prepare_cached("UPDATE drop_change SET event = NULL WHERE file = ?1")?.execute([file.0])?;
    Ok(())
}

/// The last change of a record that a file carries, while its copy is kept.
pub fn last_of(db: &Connection, file: FileId, key: &str) -> Sql<Option<(LogId, Event)>> {
    let mut statement = db.prepare_cached(
        "SELECT log, event FROM drop_change WHERE file = ?1 AND key = ?2 AND event IS NOT NULL
         ORDER BY ordinal DESC, half DESC LIMIT 1",
    )?;
    let mut rows = statement.query(params![file.0, key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let event = image::decode_event(row.get_ref(1)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error)))?;
    Ok(Some((LogId(row.get(0)?), event)))
}

/// The records of which a file carries a change by an event.
pub fn records_in(db: &Connection, connector: ConnectorId, file: FileId, id: EventId) -> Sql<Vec<String>> {
    db.prepare_cached(
        "SELECT DISTINCT key FROM drop_change WHERE connector = ?1 AND event_id = ?2 AND file = ?3 ORDER BY half",
    )?
    .query_map(params![connector.0, id.to_string(), file.0], |row| row.get(0))?
    .collect()
}

/// The files that carry a change.
pub fn carried_by(db: &Connection, connector: ConnectorId, id: EventId) -> Sql<Vec<FileId>> {
    db.prepare_cached("SELECT DISTINCT file FROM drop_change WHERE connector = ?1 AND event_id = ?2 ORDER BY file")?
        .query_map(params![connector.0, id.to_string()], |row| row.get(0).map(FileId))?
        .collect()
}
