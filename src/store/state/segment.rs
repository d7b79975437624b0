//! The sealed pieces of the chain, which lie in the archive.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Sql, note, set_note};
use crate::clock::Timestamp;
use crate::rules::chain::Hash;

/// The notes in `meta`: the last row that is sealed, and the last that was deleted by age.
const SEALED: &str = "sealed";
const FORGOTTEN: &str = "forgotten";

/// A sealed piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first row.
    pub first_n: i64,
    /// Its last row.
    pub last_n: i64,
    /// The UTC day of its rows, counted from 1970-01-01.
    pub day: i64,
    /// Name of its file in the archive.
    pub name: String,
    /// Hash of its last row.
    pub hash: Hash,
    /// The latest time of its rows.
    pub last_at: Timestamp,
    /// Records in it.
    pub records: u64,
    /// Bytes of its file.
    pub size: u64,
}

/// The number of the last row that is sealed; -1 = none is.
pub fn sealed(db: &Connection) -> Sql<i64> {
    Ok(note(db, SEALED)?.and_then(|text| text.parse().ok()).unwrap_or(-1))
}

/// The number of the last row that was deleted by age; -1 = none was.
pub fn forgotten(db: &Connection) -> Sql<i64> {
    Ok(note(db, FORGOTTEN)?.and_then(|text| text.parse().ok()).unwrap_or(-1))
}

/// Takes down that a piece lies in the archive, durably.
pub fn seal(db: &Connection, segment: &Segment) -> Sql<()> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    db.execute(
        "INSERT INTO segment(last_n, first_n, day, name, hash, last_at, records, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            segment.last_n,
            segment.first_n,
            segment.day,
            segment.name,
            segment.hash,
            segment.last_at.0,
            number(segment.records),
            number(segment.size)
        ],
    )?;
    set_note(db, SEALED, &segment.last_n.to_string())
}

const COLUMNS: &str = "first_n, last_n, day, name, hash, last_at, records, size";

fn segment(row: &rusqlite::Row<'_>) -> Sql<Segment> {
    let number = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.unsigned_abs());
    Ok(Segment {
        first_n: row.get(0)?,
        last_n: row.get(1)?,
        day: row.get(2)?,
        name: row.get(3)?,
        hash: row.get(4)?,
        last_at: Timestamp(row.get(5)?),
        records: number(6)?,
        size: number(7)?,
    })
}

/// All sealed pieces that are kept, in order.
pub fn all(db: &Connection) -> Sql<Vec<Segment>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM segment ORDER BY last_n"))?.query_map([], segment)?.collect()
}

/// The newest of them.
pub fn last(db: &Connection) -> Sql<Option<Segment>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM segment ORDER BY last_n DESC LIMIT 1"))?
        .query_row([], segment)
        .optional()
}

/// The oldest piece, when all of it is older than it must be kept and no row of it is needed here any more. The newest stays:
/// the next one holds on to it.
pub fn oldest_before(db: &Connection, cutoff: Timestamp) -> Sql<Option<Segment>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM (SELECT * FROM segment ORDER BY last_n LIMIT 1) AS s WHERE last_at < ?1
           AND last_n < (SELECT max(last_n) FROM segment)
           AND NOT EXISTS (SELECT 1 FROM attempt WHERE n <= s.last_n) AND NOT EXISTS (SELECT 1 FROM act WHERE n <= s.last_n)"
    ))?
    .query_row([cutoff.0], segment)
    .optional()
}

/// Forgets a piece that is to be deleted.
pub fn forget(db: &Connection, segment: &Segment) -> Sql<()> {
    db.execute("DELETE FROM segment WHERE last_n = ?1", [segment.last_n])?;
    set_note(db, FORGOTTEN, &segment.last_n.to_string())
}
