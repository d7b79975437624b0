//! Requests that a hook has changed, kept while they are under way: after a crash the same bytes go again, and the hook is
//! not asked a second time about what may have arrived.

use rusqlite::Connection;

use super::{ConnectorId, LogId, Sql};
use crate::event::EventId;

fn name(connector: ConnectorId, log: LogId, id: &str) -> String {
    format!("amended/{}/{}/{id}", connector.0, log.0)
}

/// Keeps the frozen request of an event that is about to be sent.
pub fn keep(db: &Connection, connector: ConnectorId, log: LogId, id: EventId, frozen: &[u8]) -> Sql<()> {
    db.prepare_cached("INSERT OR REPLACE INTO meta(k, v) VALUES (?1, ?2)")?
        .execute((name(connector, log, &id.to_string()), frozen))?;
    Ok(())
}

/// Forgets it: what came of it is known, or stands elsewhere.
pub fn forget(db: &Connection, connector: ConnectorId, log: LogId, id: EventId) -> Sql<()> {
    db.prepare_cached("DELETE FROM meta WHERE k = ?1")?.execute([name(connector, log, &id.to_string())])?;
    Ok(())
}

/// All that is kept of a connector and a log.
pub fn all(db: &Connection, connector: ConnectorId, log: LogId) -> Sql<Vec<(EventId, Vec<u8>)>> {
    let from = name(connector, log, "");
    let mut read = db.prepare_cached("SELECT k, v FROM meta WHERE k >= ?1 AND k < ?1 || 'g'")?;
    let rows = read.query_map([&from], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut kept = Vec::new();
    for row in rows {
        let (name, frozen) = row?;
        kept.extend(name.strip_prefix(&from).and_then(|id| id.parse().ok()).map(|id| (id, frozen)));
    }
    Ok(kept)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::state::State;

    #[test]
    fn what_is_kept_is_found_by_its_connector_and_log_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let id = |seq| EventId { epoch: 0xffff_ffff, seq, nonce: 7 };
        let (one, eleven) = (ConnectorId(1), ConnectorId(11));
        state
            .commit(|db| {
                keep(db, one, LogId(1), id(1), b"a")?;
                keep(db, one, LogId(1), id(1), b"b")?;
                keep(db, one, LogId(2), id(2), b"c")?;
                keep(db, eleven, LogId(1), id(3), b"d")
            })
            .unwrap();
        let found = |state: &mut State, of, log| state.read(|db| all(db, of, log)).unwrap();
        assert_eq!(found(&mut state, one, LogId(1)), [(id(1), b"b".to_vec())]);
        assert_eq!(found(&mut state, one, LogId(2)), [(id(2), b"c".to_vec())]);
        state.commit(|db| forget(db, one, LogId(1), id(1))).unwrap();
        assert_eq!(found(&mut state, one, LogId(1)), []);
        assert_eq!(found(&mut state, eleven, LogId(1)), [(id(3), b"d".to_vec())]);
    }
}
