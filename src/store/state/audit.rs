//! What of the audit may leave this file, once it lies in the archive.

use rusqlite::Connection;

use super::{Sql, segment};
use crate::clock::Timestamp;

/// The newest attempts stay however old they are: the clock is held against their times.
const NEWEST: i64 = 100;
/// Rows that are looked through from the oldest on.
const REACH: i64 = 2000;

/// What of the attempt log may go: sealed, settled at its connector, and read through for the witness of its log. From the
/// oldest on, so that what stays is whole.
const ATTEMPTS: &str = "SELECT a.n FROM (SELECT n, at, connector, log FROM attempt ORDER BY n LIMIT ?2) AS a
     JOIN connector AS c ON c.id = a.connector AND a.n <= c.settled
     JOIN log AS l ON l.id = a.log AND (a.n <= l.witness_n OR l.name = 'intake')
    WHERE a.at < ?1 AND a.n <= ?5 AND a.n <= (SELECT max(n) FROM attempt) - ?3 ORDER BY a.n LIMIT ?4";

/// The same of acts. What was done to a parked delivery is shown with it; the newest row of all is where the chain goes on.
const ACTS: &str = "SELECT n FROM (SELECT n, at, subject FROM act ORDER BY n LIMIT ?2) AS a
    WHERE at < ?1 AND n <= ?4 AND NOT EXISTS (SELECT 1 FROM parked WHERE event_id = a.subject)
      AND (n < (SELECT max(n) FROM act) OR n < (SELECT max(n) FROM attempt)) ORDER BY n LIMIT ?3";

/// Whether anything may leave.
pub fn has_older(db: &Connection, cutoff: Timestamp) -> Sql<bool> {
    let sealed = segment::sealed(db)?;
    Ok(db.prepare_cached(ACTS)?.exists((cutoff.0, REACH, 1, sealed))?
        || db.prepare_cached(ATTEMPTS)?.exists((cutoff.0, REACH, NEWEST, 1, sealed))?)
}

/// Takes at most `rows` attempts, and as many acts, out of this file; how many went.
pub fn release(db: &Connection, cutoff: Timestamp, rows: i64) -> Sql<usize> {
    let sealed = segment::sealed(db)?;
    let attempts = db
        .prepare_cached(&format!("DELETE FROM attempt WHERE n IN ({ATTEMPTS})"))?
        .execute((cutoff.0, REACH, NEWEST, rows, sealed))?;
    let acts =
        db.prepare_cached(&format!("DELETE FROM act WHERE n IN ({ACTS})"))?.execute((cutoff.0, REACH, rows, sealed))?;
    Ok(attempts + acts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::act::{self, Act};
    use super::super::attempt::{Settled, Word, settle};
    use super::super::segment::Segment;
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

    fn seal(state: &mut State, to: i64) {
        let (day, hash, last_at) = (0, [0; 32], Timestamp(to));
        let name = to.to_string();
        let segment = Segment { first_n: 0, last_n: to, day, name, hash, last_at, records: 1, size: 1 };
        state.commit(|db| segment::seal(db, &segment)).unwrap();
    }

    #[test]
    fn what_is_older_goes_in_blocks_from_the_oldest_on_and_what_is_still_needed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let (old, log) = state
            .commit(|db| {
                let old = connector::remember(db, "legacy")?.0;
                let log = log::remember(db, "office")?;
                // A line of time `t` has the number `t + 1`; the acts follow from 1001 on.
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
        assert!(!state.read(|db| has_older(db, Timestamp(9999))).unwrap(), "nothing is sealed");
        seal(&mut state, 600);
        assert!(!state.read(|db| has_older(db, Timestamp(0))).unwrap());
        let release = |state: &mut State, cutoff| state.commit(|db| release(db, Timestamp(cutoff), 100)).unwrap();
        assert_eq!((release(&mut state, 10), kept(&state)), (10, (990, 11)));
        assert_eq!((release(&mut state, 500), kept(&state)), (100, (890, 111)));
        while release(&mut state, 500) > 0 {}
        assert_eq!(kept(&state), (500, 501));
        while release(&mut state, 9999) > 0 {}
        assert_eq!(kept(&state), (400, 601), "the rest is not sealed");
        seal(&mut state, 1020);
        while release(&mut state, 9999) > 0 {}
        assert_eq!(kept(&state), (300, 701), "the witness is not looked for there yet");
        state.commit(|db| log::set_seen(db, log, "{}", 1000)).unwrap();
        while release(&mut state, 9999) > 0 {}
        assert_eq!(kept(&state), (200, 801), "what came of the rest is not known yet");
        state.commit(|db| connector::set_settled(db, old.id, 1000)).unwrap();
        while release(&mut state, 9999) > 0 {}
        assert_eq!(kept(&state), (100, 901), "the newest stay");
        let acts = "SELECT count(*), max(n) FROM act";
        let acts = state.read(|db| db.query_row(acts, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))));
        assert_eq!(acts.unwrap(), (2, 1020), "the chain goes on behind the last, and its beginning is young");
        assert!(!state.read(|db| has_older(db, Timestamp(9999))).unwrap());
    }
}
