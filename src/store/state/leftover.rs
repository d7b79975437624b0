//! Tables of which a target may have a record that stands nowhere any more: a restore took away the only log that told of
//! it. Noted until a person says that it was looked after.

use rusqlite::{Connection, params};

use super::{Sql, set_note};

/// What is not known any more of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The event type of the table.
    pub kind: String,
    /// Nothing is known of what was sent after this position of the log that is gone,
    pub after: i64,
    /// up to this one.
    pub told: i64,
}

/// The notes' names in `meta` begin so, then comes the type; their text is both positions.
fn prefix(log: &str) -> String {
    format!("leftover/{log}/")
}

/// Notes it; it replaces what was noted of the same table.
pub fn set(db: &Connection, log: &str, left: &Leftover) -> Sql<()> {
    set_note(db, &format!("{}{}", prefix(log), left.kind), &format!("{} {}", left.after, left.told))
}

/// A person has looked after a table.
pub fn clear(db: &Connection, log: &str, kind: &str) -> Sql<()> {
    db.prepare_cached("DELETE FROM meta WHERE k = ?1")?.execute([format!("{}{kind}", prefix(log))])?;
    Ok(())
}

/// What is noted of a log's tables.
pub fn all(db: &Connection, log: &str) -> Sql<Vec<Leftover>> {
    let prefix = prefix(log);
    let mut statement = db.prepare_cached(
        "SELECT substr(k, length(?1) + 1), v FROM meta WHERE substr(k, 1, length(?1)) = ?1 ORDER BY k",
    )?;
    let rows = statement.query_map(params![prefix], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let mut found = Vec::new();
    for row in rows {
        let (kind, text): (String, String) = row?;
        let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0));
        found.push(Leftover { kind, after: numbers.next().unwrap_or(0), told: numbers.next().unwrap_or(0) });
    }
    Ok(found)
}
