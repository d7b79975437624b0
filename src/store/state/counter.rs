//! Sums per connector, kept in the commit that makes them true.

use rusqlite::Connection;

use super::{ConnectorId, Sql};

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
}

impl Counter {
    /// All counters.
    pub const ALL: [Counter; 7] = [
        Counter::Delivered,
        Counter::Skipped,
        Counter::Retried,
        Counter::Dead,
        Counter::Held,
        Counter::Discarded,
        Counter::Repeated,
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
        }
    }
}

/// Adds to a counter.
pub fn add(db: &Connection, connector: ConnectorId, counter: Counter, n: u64) -> Sql<()> {
    if n > 0 {
        db.prepare_cached(
            "INSERT INTO counter(connector, name, n) VALUES (?1, ?2, ?3)
             ON CONFLICT(connector, name) DO UPDATE SET n = n + excluded.n",
        )?
        .execute((connector.0, counter.as_str(), i64::try_from(n).unwrap_or(i64::MAX)))?;
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
