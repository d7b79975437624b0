//! Sums per connector, kept in the commit that makes them true.

use rusqlite::Connection;

use super::attempt::{Settled, UNSENT};
use super::{ConnectorId, Sql};
use crate::rules::tally;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Events that the target has acknowledged.
    Delivered,
    /// Events that were not for this connector (`listen`, `where`, origin, `delete: skip`).
    Skipped,
    /// Attempts that failed and are made again.
    Retried,
    /// Events that became dead letters.
    Dead,
    /// Events that were held (mapping, gate, a person).
    Held,
    /// Parked events that a person discarded.
    Discarded,
    /// Events that are counted another time: a replay has parked them, a file is sent again, two files carry a half each.
    Repeated,
    /// Detail records of files that were published; a file that is published again counts again.
    Records,
}

impl Counter {
    /// All counters.
    pub const ALL: [Counter; 8] = [
        Counter::Delivered,
        Counter::Skipped,
        Counter::Retried,
        Counter::Dead,
        Counter::Held,
        Counter::Discarded,
        Counter::Repeated,
        Counter::Records,
    ];

    /// The word in the file and in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Counter::Delivered => "delivered",
            Counter::Skipped => "skipped",
            Counter::Retried => "retried",
            Counter::Dead => "dead",
            Counter::Held => "held",
            Counter::Discarded => "discarded",
            Counter::Repeated => "repeated",
            Counter::Records => "records",
        }
    }
}

/// Sums that have a further word: one for each class, or rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// Attempts, by what came of them (`rules/tally.rs`).
    Attempts,
    /// Refusals of the governance gate, by the rule that refused.
    Denied,
    /// Items that were pulled, by what came of them: written, deleted, echo, again, refused, held, bad.
    Pulled,
}

impl Series {
    /// What their names in the file begin with.
    fn prefix(self) -> &'static str {
        match self {
            Series::Attempts => "attempts/",
            Series::Denied => "denied/",
            Series::Pulled => "pulled/",
        }
    }
}

/// Adds to a counter.
pub fn add(db: &Connection, connector: ConnectorId, counter: Counter, n: u64) -> Sql<()> {
    add_named(db, connector, counter.as_str(), n)
}

/// Adds to one sum of a series.
pub fn add_to(db: &Connection, connector: ConnectorId, series: Series, word: &str, n: u64) -> Sql<()> {
    add_named(db, connector, &format!("{}{word}", series.prefix()), n)
}

/// A series: its words with their sums.
pub fn series(db: &Connection, connector: ConnectorId, series: Series) -> Sql<Vec<(String, u64)>> {
    let prefix = series.prefix();
    db.prepare_cached(
        "SELECT substr(name, length(?2) + 1), n FROM counter WHERE connector = ?1 AND substr(name, 1, length(?2)) = ?2",
    )?
    .query_map((connector.0, prefix), |row| Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0))))?
    .collect()
}

/// Counts what came of a group of attempts. What was intended and not sent after all is no attempt.
pub fn add_attempts(db: &Connection, connector: ConnectorId, group: &[Settled]) -> Sql<()> {
    // Few classes in a group, and mostly one: the last one found is the next one wanted.
    let mut sums: Vec<(&str, u64)> = Vec::new();
    for settled in group {
        let word = if settled.class.is_empty() { settled.word.as_str() } else { settled.class.as_str() };
        match sums.iter_mut().rev().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => sums.push((word, 1)),
        }
    }
    let mut sent = sums.into_iter().filter(|(word, _)| *word != UNSENT);
    sent.try_for_each(|(word, n)| add_to(db, connector, Series::Attempts, &tally::class(word), n))
}

fn add_named(db: &Connection, connector: ConnectorId, name: &str, n: u64) -> Sql<()> {
    if n > 0 {
        db.prepare_cached(
            "INSERT INTO counter(connector, name, n) VALUES (?1, ?2, ?3)
             ON CONFLICT(connector, name) DO UPDATE SET n = n + excluded.n",
        )?
        .execute((connector.0, name, i64::try_from(n).unwrap_or(i64::MAX)))?;
    }
    Ok(())
}

/// Reads a counter.
pub fn get(db: &Connection, connector: ConnectorId, counter: Counter) -> Sql<u64> {
    db.prepare_cached("SELECT ifnull(sum(n), 0) FROM counter WHERE connector = ?1 AND name = ?2")?
        .query_row((connector.0, counter.as_str()), |row| row.get::<_, i64>(0))
        .map(|n| u64::try_from(n).unwrap_or(0))
}

/// Events that were delivered, each once, however often it was sent.
pub fn delivered(db: &Connection, connector: ConnectorId) -> Sql<u64> {
    Ok(get(db, connector, Counter::Delivered)?.saturating_sub(get(db, connector, Counter::Repeated)?))
}
