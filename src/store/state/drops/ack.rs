//! Acknowledgements that were read, and what the answers to lines have to know of other lines and of their changes.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{COLUMNS, DropFile, FileId, file};
use crate::clock::Timestamp;
use crate::event::{Event, EventId};
use crate::store::image;
use crate::store::state::{ConnectorId, LogId, Sql};

/// An acknowledgement that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// SHA-256 of its content: what it is known by.
    pub sha256: [u8; 32],
    /// Its name there.
    pub name: String,
    /// When it was read.
    pub at: Timestamp,
    /// The file that it answers; none = nobody knows.
    pub file: Option<FileId>,
    /// What came of it: the engine's word.
    pub word: String,
    /// More of that.
    pub reason: Option<String>,
}

const ACK: &str = "sha256, name, at, file, word, reason";

fn ack(row: &rusqlite::Row<'_>) -> Sql<Ack> {
    Ok(Ack {
        sha256: row.get(0)?,
        name: row.get(1)?,
        at: Timestamp(row.get(2)?),
        file: row.get::<_, Option<i64>>(3)?.map(FileId),
        word: row.get(4)?,
        reason: row.get(5)?,
    })
}

/// What was read of an acknowledgement with this content before; none = it is new.
pub fn known(db: &Connection, connector: ConnectorId, sha256: &[u8; 32]) -> Sql<Option<Ack>> {
    let sql = format!("SELECT {ACK} FROM drop_ack WHERE connector = ?1 AND sha256 = ?2");
    db.prepare_cached(&sql)?.query_row(params![connector.0, sha256], ack).optional()
}

/// Remembers an acknowledgement.
pub fn remember(db: &Connection, connector: ConnectorId, read: &Ack) -> Sql<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO drop_ack(connector, sha256, name, at, file, word, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        connector.0,
        read.sha256,
        read.name,
        read.at.0,
        read.file.map(|id| id.0),
        read.word,
        read.reason
    ])?;
    Ok(())
}

/// Forgets an acknowledgement: it is known by another content from now on.
pub fn forget(db: &Connection, connector: ConnectorId, sha256: &[u8; 32]) -> Sql<()> {
    db.prepare_cached("DELETE FROM drop_ack WHERE connector = ?1 AND sha256 = ?2")?
        .execute(params![connector.0, sha256])?;
    Ok(())
}

/// The newest acknowledgements of a drop, newest first; with a word only those of which that came.
pub fn newest(db: &Connection, connector: ConnectorId, word: Option<&str>, limit: usize) -> Sql<Vec<Ack>> {
    let sql = format!(
        "SELECT {ACK} FROM drop_ack WHERE connector = ?1 AND (?2 IS NULL OR word = ?2) ORDER BY at DESC, name LIMIT ?3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.prepare_cached(&sql)?.query_map(params![connector.0, word, limit], ack)?.collect()
}

/// The acknowledgements of a name.
pub fn named(db: &Connection, connector: ConnectorId, name: &str) -> Sql<Vec<Ack>> {
    let sql = format!("SELECT {ACK} FROM drop_ack WHERE connector = ?1 AND name = ?2 ORDER BY at");
    db.prepare_cached(&sql)?.query_map(params![connector.0, name], ack)?.collect()
}

/// The acknowledgements of a file, oldest first.
pub fn of_file(db: &Connection, connector: ConnectorId, of: FileId) -> Sql<Vec<Ack>> {
    let sql = format!("SELECT {ACK} FROM drop_ack WHERE connector = ?1 AND file = ?2 ORDER BY at, name");
    db.prepare_cached(&sql)?.query_map(params![connector.0, of.0], ack)?.collect()
}

/// The files with a number, newest first.
pub fn with_number(db: &Connection, connector: ConnectorId, seq: u64) -> Sql<Vec<DropFile>> {
    let sql =
        format!("SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 AND n IS NOT NULL AND seq = ?2 ORDER BY n DESC");
    db.prepare_cached(&sql)?.query_map(params![connector.0, super::signed(seq)], file)?.collect()
}

/// The files with a name, whatever the case of its letters, newest first.
pub fn with_name(db: &Connection, connector: ConnectorId, name: &str) -> Sql<Vec<DropFile>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 AND n IS NOT NULL AND name = ?2 COLLATE NOCASE
         ORDER BY name = ?2 DESC, n DESC"
    );
    db.prepare_cached(&sql)?.query_map(params![connector.0, name], file)?.collect()
}

/// A line and its answer, without what it says.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its place in the file.
    pub ordinal: i64,
    /// The event that gave its image.
    pub event: String,
    /// The record: type and key.
    pub key: String,
    /// `add`, `change`, `delete` or `message`.
    pub action: String,
    /// `accepted` or `rejected`.
    pub answer: Option<String>,
}

/// The lines of a file after a place, in order.
pub fn lines(db: &Connection, file: FileId, after: i64, limit: usize) -> Sql<Vec<Line>> {
    db.prepare_cached(
        "SELECT ordinal, event_id, key, action, answer FROM drop_member
         WHERE file = ?1 AND ordinal > ?2 ORDER BY ordinal LIMIT ?3",
    )?
    .query_map(params![file.0, after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(Line {
            ordinal: row.get(0)?,
            event: row.get(1)?,
            key: row.get(2)?,
            action: row.get(3)?,
            answer: row.get(4)?,
        })
    })?
    .collect()
}

/// Whether a file behind that count (reruns left out) tells the host of a record too.
pub fn told_later(db: &Connection, connector: ConnectorId, n: u64, key: &str) -> Sql<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM drop_file f JOIN drop_member m ON m.file = f.id AND m.key = ?3
           WHERE f.connector = ?1 AND f.n > ?2 AND f.state <> 'discarded' AND f.rerun_of IS NULL)",
    )?
    .query_row(params![connector.0, super::signed(n), key], |row| row.get(0))
}

/// What the host was told of a record, oldest first: the action of each line, and its answer. Reruns count once they are
/// answered.
pub fn trail(db: &Connection, connector: ConnectorId, key: &str) -> Sql<Vec<(String, Option<String>)>> {
    db.prepare_cached(
        "SELECT m.action, m.answer FROM drop_file f JOIN drop_member m ON m.file = f.id AND m.key = ?2
         WHERE f.connector = ?1 AND f.n IS NOT NULL AND f.state <> 'discarded'
           AND (f.rerun_of IS NULL OR m.answer IS NOT NULL)
         ORDER BY f.n, m.ordinal",
    )?
    .query_map(params![connector.0, key], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// Records of a file whose answers may not agree with what the host is taken to have: all that were rejected, and those
/// accepted ones that it is not taken to have, or to have still.
pub fn doubtful(db: &Connection, connector: ConnectorId, file: FileId) -> Sql<Vec<String>> {
    db.prepare_cached(
        "SELECT DISTINCT key FROM drop_member m WHERE file = ?2 AND (answer = 'rejected' OR (answer = 'accepted'
           AND (action = 'delete') = EXISTS (SELECT 1 FROM drop_has h WHERE h.connector = ?1 AND h.key = m.key)))",
    )?
    .query_map(params![connector.0, file.0], |row| row.get(0))?
    .collect()
}

/// Which file carries a change of a record, and its copy while that is kept.
pub fn carried(
    db: &Connection,
    connector: ConnectorId,
    event: &str,
    key: &str,
) -> Sql<Option<(FileId, LogId, Option<Event>)>> {
    let mut statement = db.prepare_cached(
        "SELECT file, log, event FROM drop_change WHERE connector = ?1 AND event_id = ?2 AND key = ?3 ORDER BY half LIMIT 1",
    )?;
    let mut rows = statement.query(params![connector.0, event, key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let copy = match row.get_ref(2)? {
        rusqlite::types::ValueRef::Null => None,
        value => Some(image::decode_event(value.as_blob()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Blob, Box::new(error))
        })?),
    };
    Ok(Some((FileId(row.get(0)?), LogId(row.get(1)?), copy)))
}

/// The half under which a change of a record is carried, or may be: that of the record where a file carries it already,
/// else the first that no file has.
pub fn half_of(db: &Connection, connector: ConnectorId, event: EventId, key: &str) -> Sql<u8> {
    let halves: Vec<(u8, String)> = db
        .prepare_cached("SELECT half, key FROM drop_change WHERE connector = ?1 AND event_id = ?2 ORDER BY half")?
        .query_map(params![connector.0, event.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Sql<_>>()?;
    let own = halves.iter().find(|(_, known)| known == key).map(|(half, _)| *half);
    Ok(own.unwrap_or_else(|| u8::from(halves.first().is_some_and(|(half, _)| *half == 0))))
}
