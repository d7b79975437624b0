//! Whether the state file itself is whole. SQLite's own check looks through all of it once a week (R-DUR-1); what it
//! found is noted in the file, so that `status` can tell and a start knows.

use std::time::Duration;

use super::{Db, Sql, State, StateError, StateReader, note, set_note};
use crate::clock::{self, Timestamp};

/// How often the file is looked through.
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// The note's name in `meta`; its text is the wall time in milliseconds, a space, and what was found.
const NAME: &str = "integrity";
/// What SQLite finds in a file that is whole.
const WHOLE: &str = "ok";

/// What the last look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// What is damaged, in SQLite's words (pages and names of our own tables); none = the file is whole.
    pub damage: Option<String>,
}

/// What the last look found; none = nobody has looked yet.
pub fn last(db: &Db) -> Sql<Option<Health>> {
    let text = note(db, NAME)?;
    Ok(text.as_deref().and_then(|text| text.split_once(' ')).and_then(|(at, found)| {
        let damage = (found != WHOLE).then(|| found.to_owned());
        Some(Health { at: Timestamp(at.parse().ok()?), damage })
    }))
}

/// Whether it is time to look: a week has gone by, or nobody can tell because the clock was set back.
pub fn is_due(db: &Db, now: Timestamp) -> Sql<bool> {
    Ok(last(db)?.is_none_or(|last| last.at > now || now.since(last.at) >= WEEK))
}

/// Notes what a look found.
pub fn set(db: &Db, at: Timestamp, damage: Option<&str>) -> Sql<()> {
    set_note(db, NAME, &format!("{} {}", at.0, damage.unwrap_or(WHOLE)))
}

fn inspect(db: &Db) -> Sql<Option<String>> {
    let found: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((found != WHOLE).then(|| found.replace('\n', " ")))
}

impl StateReader {
    /// Looks through the whole file, in one snapshot; nobody waits for that.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when it is not whole.
    pub fn inspect(&mut self) -> Result<(), StateError> {
        match self.read(inspect)? {
            None => Ok(()),
            Some(found) => Err(StateError::Damaged { path: self.path.clone(), found }),
        }
    }
}

impl State {
    /// Looks through a file that was found damaged before: it may have been mended since. One that was whole is not
    /// looked through.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when it is still damaged.
    pub fn recheck(&mut self) -> Result<(), StateError> {
        if self.read(last)?.is_none_or(|last| last.damage.is_none()) {
            return Ok(());
        }
        match self.read(inspect)? {
            None => self.commit(|db| set(db, clock::now(), None)),
            Some(found) => Err(StateError::Damaged { path: self.path.clone(), found }),
        }
    }
}
