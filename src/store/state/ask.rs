//! Comparisons that have stopped because they would delete very many records: a person is asked, and the question stays
//! until a comparison of that table comes to its end. And when all tables were compared last.

use rusqlite::{Connection, params};

use super::{Sql, note, set_note};
use crate::clock::Timestamp;

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The event type of the table.
    pub kind: String,
    /// How many records are gone from it.
    pub deletes: u64,
    /// How many may go unasked.
    pub limit: u64,
}

/// The notes' names in `meta` begin so, then comes the type; their text is both numbers.
fn prefix(log: &str) -> String {
    format!("asks/{log}/")
}

/// Notes a question; it replaces an earlier one about the same table.
pub fn set(db: &Connection, log: &str, ask: &Ask) -> Sql<()> {
    set_note(db, &format!("{}{}", prefix(log), ask.kind), &format!("{} {}", ask.deletes, ask.limit))
}

/// The question is answered: the table was compared to its end.
pub fn clear(db: &Connection, log: &str, kind: &str) -> Sql<()> {
    db.prepare_cached("DELETE FROM meta WHERE k = ?1")?.execute([format!("{}{kind}", prefix(log))])?;
    Ok(())
}

/// The open questions of a log.
pub fn all(db: &Connection, log: &str) -> Sql<Vec<Ask>> {
    let prefix = prefix(log);
    let mut statement = db.prepare_cached(
        "SELECT substr(k, length(?1) + 1), v FROM meta WHERE substr(k, 1, length(?1)) = ?1 ORDER BY k",
    )?;
    let rows = statement.query_map(params![prefix], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let mut asks = Vec::new();
    for row in rows {
        let (kind, text): (String, String) = row?;
        let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0));
        asks.push(Ask { kind, deletes: numbers.next().unwrap_or(0), limit: numbers.next().unwrap_or(0) });
    }
    Ok(asks)
}

/// When the last comparison of all tables of a log began, by the wall clock.
pub fn compared(db: &Connection, log: &str) -> Sql<Option<Timestamp>> {
    Ok(note(db, &format!("compared/{log}"))?.and_then(|text| text.parse().ok()).map(Timestamp))
}

/// Notes when a comparison of all tables of a log begins.
pub fn set_compared(db: &Connection, log: &str, at: Timestamp) -> Sql<()> {
    set_note(db, &format!("compared/{log}"), &at.0.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_question_is_of_one_table_of_one_log_and_stays_until_it_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let ask = |kind: &str, deletes| Ask { kind: kind.to_owned(), deletes, limit: 100 };
        let mut state = State::open(&path).unwrap();
        state
            .commit(|db| {
                set(db, "office", &ask("visits", 150))?;
                set(db, "office", &ask("visits", 151))?;
                set(db, "office", &ask("people", 900))?;
                set(db, "office2", &ask("visits", 1))
            })
            .unwrap();
        drop(state);
        let mut state = State::open(&path).unwrap();
        assert_eq!(state.read(|db| all(db, "office")).unwrap(), [ask("people", 900), ask("visits", 151)]);
        state.commit(|db| clear(db, "office", "visits")).unwrap();
        assert_eq!(state.read(|db| all(db, "office")).unwrap(), [ask("people", 900)]);
        assert_eq!(state.read(|db| all(db, "office2")).unwrap(), [ask("visits", 1)]);
    }
}
