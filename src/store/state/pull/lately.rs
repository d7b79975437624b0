//! What happened to records lately: notes that are of no use after a while.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::{ConnectorId, Sql};
use super::base;
use crate::clock::Timestamp;
use crate::event::Record;
use crate::rules::conflict::same::fingerprint;
use crate::rules::crossing::{Crossings, SPAN};

/// What is noted of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lately {
    /// How often it was read again because the other side refused what was sent.
    Refused,
    /// The contents that have crossed.
    Crossed,
    /// Up to which change of it something newer was told to the log: what was to be sent before is over.
    Told,
}

/// All that is noted, to tidy it.
const ALL: [Lately; 3] = [Lately::Refused, Lately::Crossed, Lately::Told];

impl Lately {
    fn prefix(self, of: ConnectorId) -> String {
        let word = match self {
            Lately::Refused => "refused",
            Lately::Crossed => "crossed",
            Lately::Told => "told",
        };
        format!("lately/{word}/{}/", of.0)
    }

    fn name(self, of: ConnectorId, kind: &str, key: &str) -> String {
        format!("{}{kind}/{key}", self.prefix(of))
    }
}

/// What is noted of a record, and since when.
pub fn get(db: &Connection, of: ConnectorId, what: Lately, kind: &str, key: &str) -> Sql<Option<(Timestamp, String)>> {
    let sql = "SELECT v FROM meta WHERE k = ?1";
    let text: Option<String> =
        db.prepare_cached(sql)?.query_row([what.name(of, kind, key)], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| {
        let (at, text) = text.split_once(' ')?;
        Some((Timestamp(at.parse().ok()?), text.to_owned()))
    }))
}

/// Whether anything of this kind is noted.
pub fn any(db: &Connection, of: ConnectorId, what: Lately) -> Sql<bool> {
    let (from, to) = range(what, of);
    db.prepare_cached("SELECT 1 FROM meta WHERE k >= ?1 AND k < ?2 LIMIT 1")?.exists([from, to])
}

/// Notes something of a record.
pub fn set(
    db: &Connection,
    of: ConnectorId,
    what: Lately,
    (kind, key): (&str, &str),
    now: Timestamp,
    text: &str,
) -> Sql<()> {
    let sql = "INSERT INTO meta(k, v) VALUES (?1, ?2) ON CONFLICT(k) DO UPDATE SET v = excluded.v";
    db.prepare_cached(sql)?.execute([what.name(of, kind, key), format!("{} {text}", now.0)]).map(drop)
}

/// Nothing is noted of it any more.
pub fn forget(db: &Connection, of: ConnectorId, what: Lately, kind: &str, key: &str) -> Sql<()> {
    db.prepare_cached("DELETE FROM meta WHERE k = ?1")?.execute([what.name(of, kind, key)]).map(drop)
}

/// Forgets what was noted before. What was told stays until something newer has arrived ([`arrived`]).
pub fn tidy(db: &Connection, of: ConnectorId, before: Timestamp) -> Sql<()> {
    for what in [Lately::Refused, Lately::Crossed] {
        let (from, to) = range(what, of);
        let sql = "DELETE FROM meta WHERE k >= ?1 AND k < ?2 AND CAST(v AS INTEGER) < ?3";
        db.prepare_cached(sql)?.execute(params![from, to, before.0])?;
    }
    Ok(())
}

/// Forgets everything: the numbers of the log's changes mean something else now.
pub fn forget_all(db: &Connection, of: ConnectorId) -> Sql<()> {
    for what in ALL {
        let (from, to) = range(what, of);
        db.execute("DELETE FROM meta WHERE k >= ?1 AND k < ?2", [from, to])?;
    }
    Ok(())
}

/// What crossed of a record lately.
pub fn crossings(db: &Connection, of: ConnectorId, kind: &str, key: &str) -> Sql<Crossings> {
    let known = get(db, of, Lately::Crossed, kind, key)?;
    Ok(known.map_or_else(Crossings::default, |(_, text)| Crossings::read(&text)))
}

/// Contents of a record have crossed, in or out; none = it was deleted. Call it before the base is set: a record that has rested since
/// they agreed last costs a look-up, and is noted when it crosses again.
pub fn crossed(
    db: &Connection,
    of: ConnectorId,
    (kind, key): (&str, &str),
    contents: Option<&Record>,
    now: Timestamp,
) -> Sql<()> {
    let mut known = crossings(db, of, kind, key)?;
    let fields = |record: &Record| record.iter().map(|(name, _)| name.clone()).collect::<Vec<Arc<str>>>();
    if known == Crossings::default() {
        let Some(at) = base::rested(db, of, kind, key)?.filter(|at| now.since(*at) <= SPAN) else { return Ok(()) };
        if let Some(before) = base::get(db, of, kind, key)? {
            let there = before.held.map(|held| held.there);
            let names = contents.or(there.as_ref()).map(fields).unwrap_or_default();
            known.add(&fingerprint(there.as_ref(), &names), at);
        }
    }
    known.add(&fingerprint(contents, &contents.map(fields).unwrap_or_default()), now);
    set(db, of, Lately::Crossed, (kind, key), now, &known.to_string())
}

/// Up to which change of a record something newer was told to the log; 0 = nothing was.
pub fn told(db: &Connection, of: ConnectorId, kind: &str, key: &str) -> Sql<i64> {
    Ok(get(db, of, Lately::Told, kind, key)?.and_then(|(_, seq)| seq.parse().ok()).unwrap_or(0))
}

/// This change of a record has arrived: none before it comes any more, and it is not refused any more.
pub fn arrived(db: &Connection, of: ConnectorId, kind: &str, key: &str, seq: i64) -> Sql<()> {
    forget(db, of, Lately::Refused, kind, key)?;
    match told(db, of, kind, key)? {
        told if told > 0 && told < seq => forget(db, of, Lately::Told, kind, key),
        _ => Ok(()),
    }
}

/// From the first name to the one behind the last.
fn range(what: Lately, of: ConnectorId) -> (String, String) {
    let from = what.prefix(of);
    let to = format!("{}0", from.trim_end_matches('/'));
    (from, to)
}
