//! Facts about the state file for whoever looks for a fault: sizes, sums and classes; no event, no key, no secret.

use rusqlite::Connection;
use serde::Serialize;

use super::Sql;

/// What is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Version of its schema.
    pub schema: i64,
    /// Bytes of a page, pages, and those of them that are free.
    pub pages: [i64; 3],
    /// Rows by table.
    pub rows: Vec<(String, i64)>,
    /// Parked deliveries: connector, state, class, how many, most attempts.
    pub parked: Vec<(String, String, String, i64, i64)>,
    /// Open breakers: connector, since (milliseconds of 1970), failures, class.
    pub breakers: Vec<(String, i64, i64, String)>,
    /// Cursors: connector, log, position.
    pub cursors: Vec<(String, String, i64)>,
    /// Sums: connector, which, how many.
    pub counters: Vec<(String, String, i64)>,
    /// Files of drops: connector, state, how many.
    pub files: Vec<(String, String, i64)>,
}

/// Looks at all of it in one snapshot.
pub fn facts(db: &Connection) -> Sql<Facts> {
    let pragma = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let mut names =
        db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Sql<_>>()?;
    let mut rows = Vec::new();
    for name in names {
        let quoted = name.replace('"', "\"\"");
        let count = db.query_row(&format!("SELECT count(*) FROM \"{quoted}\""), [], |row| row.get(0))?;
        rows.push((name, count));
    }
    let known = rows.iter().any(|(name, _)| name == "drop_file");
    let mut facts = Facts {
        schema: pragma("user_version")?,
        pages: [pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?],
        rows,
        ..Facts::default()
    };
    let mut parked = db.prepare(
        "SELECT c.name, p.state, p.class, count(*), max(p.attempts) FROM parked AS p JOIN connector AS c ON c.id = p.connector
          GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )?;
    facts.parked = parked
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
        .collect::<Sql<_>>()?;
    let mut breakers = db.prepare(
        "SELECT c.name, b.opened, b.failures, b.class FROM breaker AS b JOIN connector AS c ON c.id = b.connector ORDER BY 1",
    )?;
    facts.breakers =
        breakers.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?.collect::<Sql<_>>()?;
    let three = |sql: &str| -> Sql<Vec<(String, String, i64)>> {
        db.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    };
    facts.cursors = three(
        "SELECT c.name, l.name, k.seq FROM cursor AS k JOIN connector AS c ON c.id = k.connector JOIN log AS l ON l.id = k.log
          ORDER BY 1, 2",
    )?;
    facts.counters =
        three("SELECT c.name, n.name, n.n FROM counter AS n JOIN connector AS c ON c.id = n.connector ORDER BY 1, 2")?;
    if known {
        facts.files = three(
            "SELECT c.name, f.state, count(*) FROM drop_file AS f JOIN connector AS c ON c.id = f.connector GROUP BY 1, 2 ORDER BY 1, 2",
        )?;
    }
    Ok(facts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{State, connector};
    use super::*;

    #[test]
    fn a_new_file_has_its_tables_and_nothing_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state.commit(|db| connector::remember(db, "legacy").map(drop)).unwrap();
        let facts = state.read(facts).unwrap();
        assert!(facts.rows.contains(&("connector".to_owned(), 1)) && facts.pages[1] > 1, "{facts:?}");
        assert!(facts.parked.is_empty() && facts.breakers.is_empty());
    }
}
