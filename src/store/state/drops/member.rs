//! The lines of a drop's files, and what the host has.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::FileId;
use crate::event::{Event, Record};
use crate::store::image;
use crate::store::state::{ConnectorId, LogId, Sql};

/// One line.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its place in the file.
    pub ordinal: i64,
    /// The event that gave its image.
    pub event: String,
    /// The record: type and key.
    pub key: String,
    /// `add`, `change`, `delete` or `message`.
    pub action: String,
    /// The mapped and cleared record as it was at the cut; none once it was purged.
    pub payload: Option<Record>,
    /// What the host said of it: `accepted` or `rejected`, and its code.
    pub answer: Option<(String, Option<String>)>,
}

/// Puts a line into a file.
pub fn add(
    db: &Connection,
    file: FileId,
    ordinal: i64,
    (event, key, action): (&str, &str, &str),
    payload: &Record,
) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO drop_member(file, ordinal, event_id, key, action, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![file.0, ordinal, event, key, action, image::encode_record(payload)])?;
    Ok(())
}

/// The lines of a file after a place, in order.
pub fn read(db: &Connection, file: FileId, after: i64, limit: usize) -> Sql<Vec<Member>> {
    let mut statement = db.prepare_cached(
        "SELECT ordinal, event_id, key, action, payload, answer, code FROM drop_member
         WHERE file = ?1 AND ordinal > ?2 ORDER BY ordinal LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![file.0, after, limit])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        members.push(member(row)?);
    }
    Ok(members)
}

/// The lines of a record in a file.
pub fn of_key(db: &Connection, file: FileId, key: &str) -> Sql<Vec<Member>> {
    let mut statement = db.prepare_cached(
        "SELECT ordinal, event_id, key, action, payload, answer, code FROM drop_member
         WHERE file = ?1 AND key = ?2 ORDER BY ordinal",
    )?;
    let mut rows = statement.query(params![file.0, key])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        members.push(member(row)?);
    }
    Ok(members)
}

/// What a file tells of a record.
#[derive(Clone, Debug)]
pub struct Told {
    /// Which file.
    pub file: FileId,
    /// The event that gave its image.
    pub event: String,
    /// `add`, `change`, `delete` or `message`.
    pub action: String,
    /// What the host said of it: `accepted` or `rejected`.
    pub answer: Option<String>,
    /// And its code.
    pub code: Option<String>,
}

const OF_RECORD: &str = "SELECT f.id, m.event_id, m.action, m.answer, m.code
     FROM drop_file f CROSS JOIN drop_member m INDEXED BY drop_member_key ON m.file = f.id AND m.key = ?2
     WHERE f.connector = ?1 ORDER BY +f.id, +m.ordinal";

/// What all files of a drop tell of a record, oldest first.
pub fn of_record(db: &Connection, connector: ConnectorId, key: &str) -> Sql<Vec<Told>> {
    db.prepare_cached(OF_RECORD)?
        .query_map(params![connector.0, key], |row| {
            Ok(Told {
                file: FileId(row.get(0)?),
                event: row.get(1)?,
                action: row.get(2)?,
                answer: row.get(3)?,
                code: row.get(4)?,
            })
        })?
        .collect()
}

fn member(row: &rusqlite::Row<'_>) -> Sql<Member> {
    let answer: Option<String> = row.get(5)?;
    let code: Option<String> = row.get(6)?;
    let payload = match row.get_ref(4)? {
        rusqlite::types::ValueRef::Null => None,
        value => Some(image::decode_record(value.as_blob()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Blob, Box::new(error))
        })?),
    };
    Ok(Member {
        ordinal: row.get(0)?,
        event: row.get(1)?,
        key: row.get(2)?,
        action: row.get(3)?,
        payload,
        answer: answer.map(|answer| (answer, code)),
    })
}

/// Copies lines to another file: those of some records, or (empty) all. How many.
pub fn copy(db: &Connection, from: FileId, to: FileId, keys: &[String]) -> Sql<u64> {
    const COPY: &str = "INSERT INTO drop_member(file, ordinal, event_id, key, action, payload)
                        SELECT ?2, ordinal, event_id, key, action, payload FROM drop_member WHERE file = ?1";
    if keys.is_empty() {
        return Ok(db.prepare_cached(COPY)?.execute((from.0, to.0))? as u64);
    }
    let mut copied = 0;
    for key in keys {
        // The key alone names a record too where the type is clear.
        copied += db
            .prepare_cached(&format!("{COPY} AND (key = ?3 OR substr(key, instr(key, ' ') + 1) = ?3)"))?
            .execute(params![from.0, to.0, key])? as u64;
    }
    Ok(copied)
}

/// A file that is given up: the host has not what it would have made it have.
pub fn undo_has(db: &Connection, connector: ConnectorId, file: FileId) -> Sql<()> {
    db.prepare_cached(
        // What a drop keeps of every record is no list of what the host has.
        "DELETE FROM drop_has WHERE connector = ?1 AND event IS NULL AND key IN
           (SELECT key FROM drop_member WHERE file = ?2 AND action = 'add')",
    )?
    .execute((connector.0, file.0))?;
    db.prepare_cached(
        "INSERT OR IGNORE INTO drop_has(connector, key)
         SELECT ?1, key FROM drop_member WHERE file = ?2 AND action = 'delete'",
    )?
    .execute((connector.0, file.0))?;
    Ok(())
}

/// Moves the lines of a file behind a place to another file, at most so many; how many were moved.
pub fn move_behind(db: &Connection, from: FileId, to: FileId, after: i64) -> Sql<u64> {
    let moved = db
        .prepare_cached("UPDATE drop_member SET file = ?2 WHERE file = ?1 AND ordinal > ?3")?
        .execute(params![from.0, to.0, after])?;
    db.prepare_cached(
        "UPDATE drop_change SET file = ?2 WHERE file = ?1 AND key IN (SELECT key FROM drop_member WHERE file = ?2)",
    )?
    .execute(params![from.0, to.0])?;
    Ok(moved as u64)
}

/// The place of the nth line (from 1), if there is a line behind it too.
pub fn place_of(db: &Connection, file: FileId, nth: u64) -> Sql<Option<i64>> {
    let places: Vec<i64> = db
        .prepare_cached("SELECT ordinal FROM drop_member WHERE file = ?1 ORDER BY ordinal LIMIT 2 OFFSET ?2")?
        .query_map(params![file.0, super::signed(nth.saturating_sub(1))], |row| row.get(0))?
        .collect::<Sql<_>>()?;
    Ok(places.first().filter(|_| places.len() == 2).copied())
}

/// How many lines a file has.
pub fn count(db: &Connection, file: FileId) -> Sql<u64> {
    let count: i64 =
        db.prepare_cached("SELECT count(*) FROM drop_member WHERE file = ?1")?.query_row([file.0], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Notes what the host said of a line.
pub fn answer(db: &Connection, file: FileId, ordinal: i64, answer: &str, code: Option<&str>) -> Sql<()> {
    db.prepare_cached("UPDATE drop_member SET answer = ?3, code = ?4 WHERE file = ?1 AND ordinal = ?2")?
        .execute(params![file.0, ordinal, answer, code])?;
    Ok(())
}

/// Notes the same of every line of which nothing was said yet.
pub fn answer_rest(db: &Connection, file: FileId, answer: &str, code: Option<&str>) -> Sql<()> {
    db.prepare_cached("UPDATE drop_member SET answer = ?2, code = ?3 WHERE file = ?1 AND answer IS NULL")?
        .execute(params![file.0, answer, code])?;
    Ok(())
}

/// Forgets what the host said of the lines of a file: it is sent to it again.
pub fn forget_answers(db: &Connection, file: FileId) -> Sql<()> {
    db.prepare_cached("UPDATE drop_member SET answer = NULL, code = NULL WHERE file = ?1")?.execute([file.0])?;
    Ok(())
}

/// How many lines have each answer; an empty word for those without.
pub fn answers(db: &Connection, file: FileId) -> Sql<Vec<(String, u64)>> {
    db.prepare_cached("SELECT ifnull(answer, ''), count(*) FROM drop_member WHERE file = ?1 GROUP BY 1 ORDER BY 1")?
        .query_map([file.0], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
        .collect()
}

/// Forgets the payloads; the lines stay.
pub fn purge(db: &Connection, file: FileId) -> Sql<()> {
    db.prepare_cached("UPDATE drop_member SET payload = NULL WHERE file = ?1")?.execute([file.0])?;
    Ok(())
}

/// Whether the host has a record, as far as the files cut so far say.
pub fn has(db: &Connection, connector: ConnectorId, key: &str) -> Sql<bool> {
    let found = db
        .prepare_cached("SELECT 1 FROM drop_has WHERE connector = ?1 AND key = ?2")?
        .query_row(params![connector.0, key], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

/// Notes whether the host has a record.
pub fn set_has(db: &Connection, connector: ConnectorId, key: &str, has: bool) -> Sql<()> {
    let sql = if has {
        "INSERT OR IGNORE INTO drop_has(connector, key) VALUES (?1, ?2)"
    } else {
        "DELETE FROM drop_has WHERE connector = ?1 AND key = ?2"
    };
    db.prepare_cached(sql)?.execute(params![connector.0, key])?;
    Ok(())
}

/// Keeps the last change of a record, for a drop that sends every record each time; none = the record is gone.
pub fn mirror(db: &Connection, connector: ConnectorId, key: &str, last: Option<(LogId, &Event)>) -> Sql<()> {
    let Some((log, event)) = last else { return set_has(db, connector, key, false) };
    db.prepare_cached("INSERT OR REPLACE INTO drop_has(connector, key, log, event) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![connector.0, key, log.0, image::encode_event(event)])?;
    Ok(())
}

/// The last change of a record that is kept for a drop that sends every record each time.
pub fn mirror_of(db: &Connection, connector: ConnectorId, key: &str) -> Sql<Option<(LogId, Event)>> {
    let mut statement = db.prepare_cached(
        "SELECT log, event FROM drop_has WHERE connector = ?1 AND key = ?2 AND log IS NOT NULL AND event IS NOT NULL",
    )?;
    let mut rows = statement.query(params![connector.0, key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let event = image::decode_event(row.get_ref(1)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error)))?;
    Ok(Some((LogId(row.get(0)?), event)))
}

/// The records that were kept, by key, after one of them.
pub fn mirrored(
    db: &Connection,
    connector: ConnectorId,
    after: Option<&str>,
    limit: usize,
) -> Sql<Vec<(String, LogId, Event)>> {
    let mut statement = db.prepare_cached(
        "SELECT key, log, event FROM drop_has
         WHERE connector = ?1 AND (?2 IS NULL OR key > ?2) AND event IS NOT NULL ORDER BY key LIMIT ?3",
    )?;
    let mut rows = statement.query(params![connector.0, after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let event = image::decode_event(row.get_ref(2)?.as_blob()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Blob, Box::new(error))
        })?;
        found.push((row.get(0)?, LogId(row.get(1)?), event));
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::state::{State, plan};

    #[test]
    fn what_the_files_of_a_drop_tell_of_a_record_is_found_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state.db")).unwrap();
        let plan = state.read(|db| Ok(plan(db, OF_RECORD))).unwrap();
        assert!(plan[0].starts_with("SEARCH f USING") && plan[0].contains("(connector=?"), "{plan:?}");
        assert_eq!(plan[1], "SEARCH m USING INDEX drop_member_key (file=? AND key=?)");
    }
}
