//! When the application changed the fields of a record since both sides agreed.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::super::{ConnectorId, Sql};
use crate::clock::Timestamp;

/// The name that a deletion is noted under.
const RECORD: &str = "";

/// What the application did to a record since the last agreement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// By field: the first and the last change.
    pub fields: BTreeMap<Arc<str>, (Timestamp, Timestamp)>,
    /// When it deleted the record.
    pub deleted: Option<Timestamp>,
    /// The last of these changes.
    pub seq: i64,
}

/// A change of the application as its log tells it.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The record's key as JSON.
    pub key: &'a str,
    /// The fields that it changed; empty = it deleted the record.
    pub fields: &'a [Arc<str>],
    /// When, by the wall clock.
    pub at: Timestamp,
    /// Where in the log.
    pub seq: i64,
}

/// Takes a change down, unless both sides have agreed on it already.
pub fn note(db: &Connection, of: ConnectorId, kind: &str, change: &Change<'_>) -> Sql<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO pull_change(connector, kind, key, field, first, last, seq)
         SELECT ?1, ?2, ?3, ?4, ?5, ?5, ?6
          WHERE NOT EXISTS (SELECT 1 FROM pull_base WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND seq >= ?6)
             ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last), seq = excluded.seq",
    )?;
    let mut put =
        |field: &str| insert.execute(params![of.0, kind, change.key, field, change.at.0, change.seq]).map(drop);
    match change.fields {
        [] => put(RECORD),
        fields => fields.iter().try_for_each(|field| put(field)),
    }
}

/// Notes how far the log was looked through.
pub fn set_noted(db: &Connection, of: ConnectorId, seq: i64) -> Sql<()> {
    db.prepare_cached("UPDATE pull SET noted = ?2 WHERE connector = ?1 AND noted < ?2")?.execute([of.0, seq]).map(drop)
}

/// What the application did to a record.
pub fn of(db: &Connection, of: ConnectorId, kind: &str, key: &str) -> Sql<Changes> {
    let sql = "SELECT field, first, last, seq FROM pull_change WHERE connector = ?1 AND kind = ?2 AND key = ?3";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![of.0, kind, key])?;
    let mut changes = Changes::default();
    while let Some(row) = rows.next()? {
        let field: String = row.get(0)?;
        let (first, last) = (Timestamp(row.get(1)?), Timestamp(row.get(2)?));
        changes.seq = changes.seq.max(row.get(3)?);
        if field == RECORD {
            changes.deleted = Some(last);
        } else {
            changes.fields.insert(field.into(), (first, last));
        }
    }
    Ok(changes)
}

/// Both sides agree on what was changed up to there.
pub fn agreed(db: &Connection, of: ConnectorId, kind: &str, key: &str, upto: i64) -> Sql<()> {
    let sql = "DELETE FROM pull_change WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND seq <= ?4";
    db.prepare_cached(sql)?.execute(params![of.0, kind, key, upto]).map(drop)
}

/// Both sides agree on this field, as it was changed up to there.
pub fn agreed_on(db: &Connection, of: ConnectorId, kind: &str, key: &str, field: &str, upto: i64) -> Sql<()> {
    let sql = "DELETE FROM pull_change WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND field = ?4 AND seq <= ?5";
    db.prepare_cached(sql)?.execute(params![of.0, kind, key, field, upto]).map(drop)
}
