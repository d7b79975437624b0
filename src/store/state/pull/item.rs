//! Items of a pull that stand aside.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::super::{ConnectorId, Sql};
use crate::clock::Timestamp;
use crate::rules::outcome::Reason;

/// Why an item stands aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// Another row stood there than the one it was decided on: it is decided again.
    Again,
    /// The application's rules refuse it. Tried again when something else was applied, and on demand.
    Refused,
    /// A person decides.
    Held,
    /// It cannot be read or mapped.
    Bad,
}

impl Aside {
    /// The word in the file and in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Aside::Again => "again",
            Aside::Refused => "refused",
            Aside::Held => "held",
            Aside::Bad => "bad",
        }
    }

    fn from_str(word: &str) -> Aside {
        match word {
            "again" => Aside::Again,
            "refused" => Aside::Refused,
            "held" => Aside::Held,
            _ => Aside::Bad,
        }
    }
}

/// An item that stands aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The record's key as JSON, or the item's hash in hex.
    pub id: String,
    /// Why.
    pub state: Aside,
    /// In words; no value.
    pub reason: Reason,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// A copy of it, where it can be tried again.
    pub copy: Option<Vec<u8>>,
}

fn read(row: &Row<'_>) -> Sql<Item> {
    Ok(Item {
        id: row.get(0)?,
        state: Aside::from_str(&row.get::<_, String>(1)?),
        reason: Reason::new(row.get::<_, String>(2)?, row.get::<_, String>(3)?),
        since: Timestamp(row.get(4)?),
        tries: row.get(5)?,
        copy: row.get(6)?,
    })
}

const COLUMNS: &str = "id, state, class, reason, since, tries, item";

/// Puts an item aside; one that stands aside already keeps its time, and was tried once more.
pub fn put(db: &Connection, of: ConnectorId, item: &Item) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO pull_item(connector, id, state, class, reason, since, tries, item) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)
             ON CONFLICT DO UPDATE SET state = excluded.state, class = excluded.class, reason = excluded.reason,
                tries = tries + 1, item = excluded.item",
    )?
    .execute(params![of.0, item.id, item.state.as_str(), item.reason.class, item.reason.text, item.since.0, item.copy])
    .map(drop)
}

/// It stands aside no more; whether it did.
pub fn end(db: &Connection, of: ConnectorId, id: &str) -> Sql<bool> {
    let gone =
        db.prepare_cached("DELETE FROM pull_item WHERE connector = ?1 AND id = ?2")?.execute(params![of.0, id])?;
    Ok(gone > 0)
}

/// One item.
pub fn get(db: &Connection, of: ConnectorId, id: &str) -> Sql<Option<Item>> {
    let sql = format!("SELECT {COLUMNS} FROM pull_item WHERE connector = ?1 AND id = ?2");
    db.prepare_cached(&sql)?.query_row(params![of.0, id], read).optional()
}

/// Those of a state, by id, after one, at most so many.
pub fn list(db: &Connection, of: ConnectorId, state: Aside, after: &str, limit: usize) -> Sql<Vec<Item>> {
    let sql =
        format!("SELECT {COLUMNS} FROM pull_item WHERE connector = ?1 AND state = ?2 AND id > ?3 ORDER BY id LIMIT ?4");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.prepare_cached(&sql)?.query_map(params![of.0, state.as_str(), after, limit], read)?.collect()
}
