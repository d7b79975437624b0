//! What both sides of a record agreed on last.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::super::{ConnectorId, Sql};
use crate::clock::Timestamp;
use crate::event::Record;
use crate::store::image;

/// The last agreement about a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Base {
    /// Its name there.
    pub remote: Option<String>,
    /// Its version there, as it was seen last.
    pub version: Option<String>,
    /// When it was changed there, by the clock there.
    pub updated: Option<Timestamp>,
    /// The change of ours up to which they agree.
    pub seq: i64,
    /// When that was, by our wall clock.
    pub at: Timestamp,
    /// What each side held; none = it is deleted on both.
    pub held: Option<Both>,
}

/// What each side held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Both {
    /// The application.
    pub local: Record,
    /// The other side, in our names.
    pub there: Record,
}

const COLUMNS: &str = "remote, version, updated, seq, at, local, there";

fn read(row: &Row<'_>) -> Sql<Base> {
    let held = |at: usize| -> Sql<Option<Record>> {
        let bytes: Option<Vec<u8>> = row.get(at)?;
        // What cannot be read is not agreed on.
        Ok(bytes.and_then(|bytes| image::decode_record(&bytes).ok()))
    };
    let (local, there) = (held(5)?, held(6)?);
    Ok(Base {
        remote: row.get(0)?,
        version: row.get(1)?,
        updated: row.get::<_, Option<i64>>(2)?.map(Timestamp),
        seq: row.get(3)?,
        at: Timestamp(row.get(4)?),
        held: local.map(|local| Both { there: there.unwrap_or_else(|| local.clone()), local }),
    })
}

/// The base of a record.
pub fn get(db: &Connection, of: ConnectorId, kind: &str, key: &str) -> Sql<Option<Base>> {
    let sql = format!("SELECT {COLUMNS} FROM pull_base WHERE connector = ?1 AND kind = ?2 AND key = ?3");
    db.prepare_cached(&sql)?.query_row(params![of.0, kind, key], read).optional()
}

/// What a base says beside the values: the name there, when it was changed there, and the change of ours up to which both sides
/// agree.
pub type Place = (Option<String>, Option<Timestamp>, i64);

/// The place of a record's base.
pub fn place(db: &Connection, of: ConnectorId, kind: &str, key: &str) -> Sql<Option<Place>> {
    let sql = "SELECT remote, updated, seq FROM pull_base WHERE connector = ?1 AND kind = ?2 AND key = ?3";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(Timestamp), row.get(2)?));
    db.prepare_cached(sql)?.query_row(params![of.0, kind, key], read).optional()
}

/// Since when both sides agree on a record; none = they never did.
pub fn rested(db: &Connection, of: ConnectorId, kind: &str, key: &str) -> Sql<Option<Timestamp>> {
    let sql = "SELECT at FROM pull_base WHERE connector = ?1 AND kind = ?2 AND key = ?3";
    db.prepare_cached(sql)?.query_row(params![of.0, kind, key], |row| row.get(0).map(Timestamp)).optional()
}

/// The key of the record that the other side calls so.
pub fn key_of(db: &Connection, of: ConnectorId, kind: &str, remote: &str) -> Sql<Option<String>> {
    let sql = "SELECT key FROM pull_base WHERE connector = ?1 AND kind = ?2 AND remote = ?3";
    db.prepare_cached(sql)?.query_row(params![of.0, kind, remote], |row| row.get(0)).optional()
}

/// Sets the base of a record.
pub fn set(db: &Connection, of: ConnectorId, kind: &str, key: &str, base: &Base) -> Sql<()> {
    let local = base.held.as_ref().map(|held| image::encode_record(&held.local));
    let there = base.held.as_ref().filter(|held| held.there != held.local);
    let there = there.map(|held| image::encode_record(&held.there));
    db.prepare_cached(
        "INSERT OR REPLACE INTO pull_base(connector, kind, key, remote, version, updated, seq, at, local, there)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        of.0,
        kind,
        key,
        base.remote,
        base.version,
        base.updated.map(|at| at.0),
        base.seq,
        base.at.0,
        local,
        there
    ])
    .map(drop)
}

/// The keys of all records that both sides have, in order, after one, at most so many.
pub fn keys(db: &Connection, of: ConnectorId, kind: &str, after: &str, limit: usize) -> Sql<Vec<String>> {
    let sql = "SELECT key FROM pull_base WHERE connector = ?1 AND kind = ?2 AND key > ?3 AND local IS NOT NULL
                ORDER BY key LIMIT ?4";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.prepare_cached(sql)?.query_map(params![of.0, kind, after, limit], |row| row.get(0))?.collect()
}
