//! What targets call our records: remote ids, versions, addresses, as answers told them.

use rusqlite::{Connection, params};

use super::{ConnectorId, Sql};

/// Keeps what an answer told of a record, in place of what was kept before.
pub fn keep(db: &Connection, of: ConnectorId, kind: &str, key: &str, values: &[(String, String)]) -> Sql<()> {
    forget(db, of, kind, key)?;
    let mut insert =
        db.prepare_cached("INSERT INTO link(connector, kind, key, name, value) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (name, value) in values {
        insert.execute(params![of.0, kind, key, name, value])?;
    }
    Ok(())
}

/// The target has the record no more.
pub fn forget(db: &Connection, of: ConnectorId, kind: &str, key: &str) -> Sql<()> {
    db.prepare_cached("DELETE FROM link WHERE connector = ?1 AND kind = ?2 AND key = ?3")?
        .execute(params![of.0, kind, key])
        .map(drop)
}

/// What is known of a record, by name.
pub fn of(db: &Connection, of: ConnectorId, kind: &str, key: &str) -> Sql<Vec<(String, String)>> {
    db.prepare_cached("SELECT name, value FROM link WHERE connector = ?1 AND kind = ?2 AND key = ?3 ORDER BY name")?
        .query_map(params![of.0, kind, key], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{State, connector};
    use super::*;

    #[test]
    fn what_a_target_calls_a_record_is_kept_until_it_is_told_anew_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        state
            .commit(|db| {
                let one = connector::remember(db, "one")?.0.id;
                let two = connector::remember(db, "two")?.0.id;
                keep(db, one, "visits", "{\"id\":1}", &[pair("id", "a"), pair("etag", "1")])?;
                keep(db, two, "visits", "{\"id\":1}", &[pair("id", "b")])?;
                keep(db, one, "visits", "{\"id\":1}", &[pair("id", "a"), pair("etag", "2")])?;
                assert_eq!(of(db, one, "visits", "{\"id\":1}")?, [pair("etag", "2"), pair("id", "a")]);
                forget(db, one, "visits", "{\"id\":1}")?;
                assert!(of(db, one, "visits", "{\"id\":1}")?.is_empty());
                assert_eq!(of(db, two, "visits", "{\"id\":1}")?, [pair("id", "b")]);
                Ok(())
            })
            .unwrap();
    }
}
