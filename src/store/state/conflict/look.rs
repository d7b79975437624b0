//! What the log of conflicts holds.

use rusqlite::types::Value as Sqlite;
use rusqlite::{Connection, OptionalExtension as _};

use super::super::{ConnectorId, Sql, has_table};
use super::record;
use crate::clock::Timestamp;
use crate::event::Record;
use crate::rules::conflict::Stand;

/// How it stands with a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a person.
    Open,
    /// A person has decided, and it is to be carried out.
    Resolved,
    /// It was decided by a rule, or what a person decided was carried out.
    Decided,
    /// It is no conflict any more: the sides agree, or something else has decided.
    Superseded,
}

impl State {
    /// All states.
    pub const ALL: [State; 4] = [State::Open, State::Resolved, State::Decided, State::Superseded];

    /// The word in the file and in `conflicts`.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Resolved => "resolved",
            State::Decided => "decided",
            State::Superseded => "superseded",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a person may decide, or decide otherwise.
    pub fn waits(self) -> bool {
        matches!(self, State::Open | State::Resolved)
    }
}

/// One conflict of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// The connector's name.
    pub connector: String,
    /// The watched table.
    pub table: String,
    /// The record's type.
    pub kind: String,
    /// The record's key, as JSON.
    pub key: String,
    /// The field or group, `*` = the whole record.
    pub unit: String,
    /// How it stands.
    pub state: State,
    /// The rule's word (`rules/conflict/verdict.rs`).
    pub rule: String,
    /// `local`, `remote`, `value`; none = nobody yet.
    pub winner: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// When it was first seen.
    pub since: Timestamp,
    /// When it came into this state, or its values changed.
    pub at: Timestamp,
    /// The disputed fields as last agreed on.
    pub base: Option<Record>,
    /// The application.
    pub local: Stand,
    /// The outside system.
    pub remote: Stand,
    /// A person's decision: `local`, `remote` or `value`.
    pub take: Option<String>,
    /// The values that they gave.
    pub value: Option<Record>,
    /// Who.
    pub who: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// When.
    pub resolved: Option<Timestamp>,
}

/// Which conflicts are meant. Empty = all.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// With this connector.
    pub connector: Option<String>,
    /// In one of these states.
    pub states: Vec<State>,
    /// Of this type, or watched table.
    pub kind: Option<String>,
    /// At most so many; the newest.
    pub limit: Option<u32>,
}

const COLUMNS: &str = "conflict.id, connector.name, tbl, kind, key, unit, state, rule, winner, conflict.reason, conflict.since, at, \
     base, local, remote, local_first, local_last, remote_first, remote_last, by_record, local_seen, remote_seen, take, value, who, \
     why, resolved";

fn entry(row: &rusqlite::Row<'_>) -> Sql<Entry> {
    let time = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp));
    let by_record: i64 = row.get(19)?;
    Ok(Entry {
        id: row.get(0)?,
        connector: row.get(1)?,
        table: row.get(2)?,
        kind: row.get(3)?,
        key: row.get(4)?,
        unit: row.get(5)?,
        state: State::parse(row.get_ref(6)?.as_str()?).unwrap_or(State::Open),
        rule: row.get(7)?,
        winner: row.get(8)?,
        reason: row.get(9)?,
        since: Timestamp(row.get(10)?),
        at: Timestamp(row.get(11)?),
        base: record(row, 12)?,
        local: Stand {
            values: record(row, 13)?,
            first: time(15)?,
            last: time(16)?,
            by_record: by_record & 1 != 0,
            seen: row.get(20)?,
        },
        remote: Stand {
            values: record(row, 14)?,
            first: time(17)?,
            last: time(18)?,
            by_record: by_record & 2 != 0,
            seen: row.get(21)?,
        },
        take: row.get(22)?,
        value: record(row, 23)?,
        who: row.get(24)?,
        why: row.get(25)?,
        resolved: time(26)?,
    })
}

/// One by its number.
pub fn find(db: &Connection, id: i64) -> Sql<Option<Entry>> {
    if !has_table(db, "conflict")? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM conflict JOIN connector ON connector.id = conflict.connector WHERE conflict.id = ?1"
    );
    db.prepare_cached(&sql)?.query_row([id], entry).optional()
}

/// Those of a choice, the newest first.
pub fn select(db: &Connection, which: &Choice) -> Sql<Vec<Entry>> {
    if !has_table(db, "conflict")? {
        return Ok(Vec::new());
    }
    let mut sql = format!("SELECT {COLUMNS} FROM conflict JOIN connector ON connector.id = conflict.connector WHERE 1");
    let mut bound: Vec<Sqlite> = Vec::new();
    if let Some(name) = &which.connector {
        bound.push(Sqlite::Text(name.clone()));
        sql.push_str(&format!(" AND connector.name = ?{}", bound.len()));
    }
    if let Some(kind) = &which.kind {
        bound.push(Sqlite::Text(kind.clone()));
        sql.push_str(&format!(" AND (kind = ?{0} OR tbl = ?{0})", bound.len()));
    }
    if !which.states.is_empty() {
        // Our own words, not somebody's text.
        let words: Vec<String> = which.states.iter().map(|state| format!("'{}'", state.as_str())).collect();
        sql.push_str(&format!(" AND state IN ({})", words.join(", ")));
    }
    sql.push_str(" ORDER BY conflict.id DESC");
    if let Some(limit) = which.limit {
        sql.push_str(&format!(" LIMIT {limit}"));
    }
    db.prepare(&sql)?.query_map(rusqlite::params_from_iter(bound), entry)?.collect()
}

const OF_RECORD: &str = "kind = ?1 AND key = ?2 ORDER BY conflict.id";

/// Those of one record, the oldest first; `key` as JSON.
pub fn of_record(db: &Connection, kind: &str, key: &str) -> Sql<Vec<Entry>> {
    if !has_table(db, "conflict")? {
        return Ok(Vec::new());
    }
    let sql =
        format!("SELECT {COLUMNS} FROM conflict JOIN connector ON connector.id = conflict.connector WHERE {OF_RECORD}");
    db.prepare_cached(&sql)?.query_map((kind, key), entry)?.collect()
}

/// What waits for a person at a connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub open: u64,
    /// Decided by a person, and not carried out yet.
    pub resolved: u64,
    /// When the oldest of the open ones was first seen.
    pub since: Option<Timestamp>,
}

const WAITING: &str = "SELECT count(*) FILTER (WHERE state = 'open'), count(*) FILTER (WHERE state = 'resolved'),
       min(since) FILTER (WHERE state = 'open')
     FROM conflict WHERE connector = ?1 AND state IN ('open', 'resolved')";

/// What waits at a connector.
pub fn waiting(db: &Connection, connector: ConnectorId) -> Sql<Waiting> {
    if !has_table(db, "conflict")? {
        return Ok(Waiting::default());
    }
    let sum = |n: i64| u64::try_from(n).unwrap_or(0);
    db.prepare_cached(WAITING)?.query_row([connector.0], |row| {
        Ok(Waiting {
            open: sum(row.get(0)?),
            resolved: sum(row.get(1)?),
            since: row.get::<_, Option<i64>>(2)?.map(Timestamp),
        })
    })
}

/// How many conflicts there were, by table, unit and winner (`local`, `remote`, `value`, `held`).
pub fn count(db: &Connection) -> Sql<Vec<([String; 3], u64)>> {
    if !has_table(db, "conflict_count")? {
        return Ok(Vec::new());
    }
    db.prepare_cached("SELECT tbl, unit, winner, n FROM conflict_count ORDER BY tbl, unit, winner")?
        .query_map([], |row| {
            let n: i64 = row.get(3)?;
            Ok(([row.get(0)?, row.get(1)?, row.get(2)?], u64::try_from(n).unwrap_or(0)))
        })?
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::{State as File, plan as explained};
    use super::*;

    #[test]
    fn what_waits_is_found_without_reading_what_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let state = File::open(&folder.path().join("state.db")).unwrap();
        let plan = state.read(|db| Ok(explained(db, WAITING))).unwrap();
        assert_eq!(plan, ["SEARCH conflict USING INDEX conflict_waits (connector=?)"]);
        let plan = state.read(|db| Ok(explained(db, &format!("SELECT id FROM conflict WHERE {OF_RECORD}")))).unwrap();
        assert_eq!(plan, ["SEARCH conflict USING COVERING INDEX conflict_record (kind=? AND key=?)"]);
    }
}
