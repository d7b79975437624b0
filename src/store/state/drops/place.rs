//! What each place has of a drop's file, and the pieces that belong to it.

use rusqlite::{Connection, params};

use super::FileId;
use crate::clock::Timestamp;
use crate::rules::outcome::Reason;
use crate::store::state::Sql;

/// Whether a place has a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaceState {
    /// Not yet.
    Waiting,
    /// It has all of it, the trigger too.
    Published,
    /// It may have it: it was taken away, or the place cannot be looked into. Never sent again by itself.
    Unverified,
    /// A person is needed.
    Held,
}

impl PlaceState {
    const ALL: [PlaceState; 4] = [PlaceState::Waiting, PlaceState::Published, PlaceState::Unverified, PlaceState::Held];

    /// The word in the file and in `drop show`.
    pub fn as_str(self) -> &'static str {
        match self {
            PlaceState::Waiting => "waiting",
            PlaceState::Published => "published",
            PlaceState::Unverified => "unverified",
            PlaceState::Held => "held",
        }
    }

    fn parse(word: &str) -> PlaceState {
        PlaceState::ALL.into_iter().find(|state| state.as_str() == word).unwrap_or(PlaceState::Held)
    }
}

/// A file at a place.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Name of the place.
    pub place: String,
    /// Whether it has the file.
    pub state: PlaceState,
    /// What was noted before it was done (the engine's words).
    pub noted: String,
    /// Attempts.
    pub attempts: u32,
    /// When it is tried again.
    pub due: Option<Timestamp>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// Why it is not there.
    pub reason: Option<Reason>,
}

impl Placed {
    /// A place of which only a person can say whether it has the file.
    pub fn doubted(place: &str, reason: Reason, now: Timestamp) -> Placed {
        Placed {
            place: place.to_owned(),
            state: PlaceState::Unverified,
            noted: String::new(),
            attempts: 0,
            due: None,
            since: now,
            reason: Some(reason),
        }
    }
}

/// The places of a file, by name.
pub fn of(db: &Connection, file: FileId) -> Sql<Vec<Placed>> {
    db.prepare_cached(
        "SELECT place, state, noted, attempts, due, since, class, reason FROM drop_place WHERE file = ?1 ORDER BY place",
    )?
    .query_map([file.0], |row| {
        let class: Option<String> = row.get(6)?;
        let reason: Option<String> = row.get(7)?;
        Ok(Placed {
            place: row.get(0)?,
            state: PlaceState::parse(row.get_ref(1)?.as_str()?),
            noted: row.get(2)?,
            attempts: row.get(3)?,
            due: row.get::<_, Option<i64>>(4)?.map(Timestamp),
            since: Timestamp(row.get(5)?),
            reason: class.map(|class| Reason::new(class, reason.unwrap_or_default())),
        })
    })?
    .collect()
}

/// A place that is to get a file; one that is known already stays as it is.
pub fn begin(db: &Connection, file: FileId, place: &str, now: Timestamp) -> Sql<()> {
    db.prepare_cached("INSERT OR IGNORE INTO drop_place(file, place, state, since) VALUES (?1, ?2, 'waiting', ?3)")?
        .execute(params![file.0, place, now.0])?;
    Ok(())
}

/// Remembers what a place has.
pub fn set(db: &Connection, file: FileId, placed: &Placed) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO drop_place(file, place, state, noted, attempts, due, since, class, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT(file, place) DO UPDATE SET state = excluded.state, noted = excluded.noted,
           attempts = excluded.attempts, due = excluded.due, since = excluded.since, class = excluded.class,
           reason = excluded.reason",
    )?
    .execute(params![
        file.0,
        placed.place,
        placed.state.as_str(),
        placed.noted,
        placed.attempts,
        placed.due.map(|due| due.0),
        placed.since.0,
        placed.reason.as_ref().map(|reason| &reason.class),
        placed.reason.as_ref().map(|reason| &reason.text),
    ])?;
    Ok(())
}

/// Forgets a place of a file.
pub fn remove(db: &Connection, file: FileId, place: &str) -> Sql<()> {
    db.prepare_cached("DELETE FROM drop_place WHERE file = ?1 AND place = ?2")?.execute(params![file.0, place])?;
    Ok(())
}

/// Notes a step at a place before it is done.
pub fn note(db: &Connection, file: FileId, place: &str, noted: &str) -> Sql<()> {
    db.prepare_cached("UPDATE drop_place SET noted = ?3 WHERE file = ?1 AND place = ?2")?
        .execute(params![file.0, place, noted])?;
    Ok(())
}

/// A file that belongs to a batch: `data`, `control`, `trigger`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which.
    pub role: String,
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
    /// The bytes of the small ones; the data file lies in the staging folder or the archive.
    pub body: Option<Vec<u8>>,
}

/// Remembers a piece.
pub fn set_piece(db: &Connection, file: FileId, piece: &Piece) -> Sql<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO drop_piece(file, role, name, size, sha256, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![file.0, piece.role, piece.name, super::signed(piece.size), piece.sha256, piece.body])?;
    Ok(())
}

/// The pieces of a file.
pub fn pieces(db: &Connection, file: FileId) -> Sql<Vec<Piece>> {
    db.prepare_cached("SELECT role, name, size, sha256, body FROM drop_piece WHERE file = ?1 ORDER BY role")?
        .query_map([file.0], |row| {
            Ok(Piece {
                role: row.get(0)?,
                name: row.get(1)?,
                size: row.get::<_, i64>(2)?.unsigned_abs(),
                sha256: row.get(3)?,
                body: row.get(4)?,
            })
        })?
        .collect()
}
