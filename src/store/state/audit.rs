//! The end of the audit: attempts and acts that are older than they must be kept.

use rusqlite::Connection;

use super::Sql;
use crate::clock::Timestamp;

/// The newest attempts stay however old they are: the clock is held against their times.
const NEWEST: i64 = 100;
/// Rows that are looked through from the oldest on.
const REACH: i64 = 2000;

/// What of the attempt log may go: settled at its connector, and read through for the witness of its log. From the oldest
/// on, so that what stays is whole.
const ATTEMPTS: &str = "SELECT a.n FROM (SELECT n, at, connector, log FROM attempt ORDER BY n LIMIT ?2) AS a
     JOIN connector AS c ON c.id = a.connector AND a.n <= c.settled
     JOIN log AS l ON l.id = a.log AND (a.n <= l.witness_n OR l.name = 'intake')
    WHERE a.at < ?1 AND a.n <= (SELECT max(n) FROM attempt) - ?3 ORDER BY a.n LIMIT ?4";

/// Whether anything may be older.
pub fn has_older(db: &Connection, cutoff: Timestamp) -> Sql<bool> {
    let acts: bool = db
        .prepare_cached("SELECT ifnull((SELECT at FROM act ORDER BY n LIMIT 1) < ?1, 0)")?
        .query_row([cutoff.0], |row| row.get(0))?;
    Ok(acts || db.prepare_cached(ATTEMPTS)?.exists((cutoff.0, REACH, NEWEST, 1))?)
}

/// Removes at most `rows` attempts, and as many acts; how many went.
pub fn forget(db: &Connection, cutoff: Timestamp, rows: i64) -> Sql<usize> {
    let attempts = db
        .prepare_cached(&format!("DELETE FROM attempt WHERE n IN ({ATTEMPTS})"))?
        .execute((cutoff.0, REACH, NEWEST, rows))?;
    let acts = db
        .prepare_cached(
            "DELETE FROM act WHERE n IN (SELECT n FROM (SELECT n, at FROM act ORDER BY n LIMIT ?2) WHERE at < ?1)",
        )?
        .execute((cutoff.0, rows))?;
    Ok(attempts + acts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::act::{self, Act};
    use super::super::attempt::{Settled, Word, settle};
    use super::super::{LogId, State, connector, log};
    use super::*;
    use crate::event::EventId;

    fn sent(db: &Connection, at: &connector::Remembered, log: LogId, times: std::ops::Range<i64>) -> Sql<()> {
        times.into_iter().try_for_each(|n| {
            let id = EventId { epoch: 1, seq: n, nonce: 1 };
            settle(db, at.id, log, Timestamp(n), &[Settled::unanswered(id, Word::Success, "")])
        })
    }

    fn kept(state: &State) -> (i64, i64) {
        state
            .read(|db| db.query_row("SELECT count(*), min(n) FROM attempt", [], |row| Ok((row.get(0)?, row.get(1)?))))
            .unwrap()
    }

    #[test]
    fn what_is_older_goes_in_blocks_from_the_oldest_on_and_what_is_still_needed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let (old, log) = state
            .commit(|db| {
                let old = connector::remember(db, "legacy")?.0;
                let log = log::remember(db, "office")?;
                sent(db, &old, log, 0..1000)?;
                connector::set_settled(db, old.id, 800)?;
                log::set_seen(db, log, "{}", 700)?;
                let act = |at| {
                    let act = Act { actor: "ada", verb: "retry", connector: None, subject: None, reason: None };
                    act::record(db, &act, Timestamp(at))
                };
                (0..20).try_for_each(act)?;
                Ok((old, log))
            })
            .unwrap();
        assert!(!state.read(|db| has_older(db, Timestamp(0))).unwrap());
        // A line of time `t` has the number `t + 1`.
        let forget = |state: &mut State, cutoff| state.commit(|db| super::forget(db, Timestamp(cutoff), 100)).unwrap();
        assert_eq!((forget(&mut state, 10), kept(&state)), (20, (990, 11)));
        assert_eq!((forget(&mut state, 500), kept(&state)), (110, (890, 111)));
        while forget(&mut state, 500) > 0 {}
        assert_eq!(kept(&state), (500, 501));
        while forget(&mut state, 9999) > 0 {}
        assert_eq!(kept(&state), (300, 701), "the witness is not looked for there yet");
        state.commit(|db| log::set_seen(db, log, "{}", 1000)).unwrap();
        while forget(&mut state, 9999) > 0 {}
        assert_eq!(kept(&state), (200, 801), "what came of the rest is not known yet");
        state.commit(|db| connector::set_settled(db, old.id, 1000)).unwrap();
        while forget(&mut state, 9999) > 0 {}
        assert_eq!(kept(&state), (100, 901), "the newest stay");
        assert!(!state.read(|db| has_older(db, Timestamp(9999))).unwrap());
    }
}
