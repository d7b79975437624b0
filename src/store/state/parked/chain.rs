//! The chain of a record's parked changes: only its head can move, and what heads it now.

use rusqlite::{Connection, OptionalExtension as _};

use super::super::{ConnectorId, Sql, set_note};
use super::ParkedState;
use crate::clock::Timestamp;
use crate::event::Event;

/// The head of a lane's chain becomes due when it only waited behind others and heads all its lanes.
pub(super) fn promote(db: &Connection, connector: ConnectorId, lane: u64, now: Timestamp) -> Sql<()> {
    let Some((id, state, own, second)) = head(db, connector, lane as i64, "")? else { return Ok(()) };
    if state != ParkedState::Behind.as_str() {
        return Ok(());
    }
    for other in [Some(own), second].into_iter().flatten() {
        if head(db, connector, other, "")?.is_some_and(|(first, ..)| first != id) {
            return Ok(());
        }
    }
    db.prepare_cached(
        "UPDATE parked SET state = 'waiting', due = ?3, since = ?3 WHERE connector = ?1 AND event_id = ?2",
    )?
    .execute((connector.0, id, now.0))?;
    Ok(())
}

type Head = (String, String, i64, Option<i64>);

/// The first of a lane that holds the others back. Where dead letters hold nobody ([`let_pass`]) they are passed over, but for
/// the one that is `asked` about.
fn head(db: &Connection, connector: ConnectorId, lane: i64, asked: &str) -> Sql<Option<Head>> {
    db.prepare_cached(
        "SELECT event_id, state, lane, lane2 FROM (
           SELECT * FROM parked WHERE connector = ?1 AND lane = ?2
           UNION ALL SELECT * FROM parked WHERE connector = ?1 AND lane2 = ?2)
         WHERE state <> 'dead' OR event_id = ?3 OR NOT EXISTS (SELECT 1 FROM meta WHERE k = ?4)
         ORDER BY log, seq LIMIT 1",
    )?
    .query_row((connector.0, lane, asked, passing(connector)), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })
    .optional()
}

/// The note of a connector whose dead letters hold nobody back.
fn passing(connector: ConnectorId) -> String {
    format!("dead-pass/{}", connector.0)
}

/// Notes whether a connector's dead letters let later changes of their records pass (`onDead: continue`). What waits behind
/// nothing else then is due.
pub fn let_pass(db: &Connection, connector: ConnectorId, pass: bool, now: Timestamp) -> Sql<()> {
    if !pass {
        db.execute("DELETE FROM meta WHERE k = ?1", [passing(connector)])?;
        return Ok(());
    }
    set_note(db, &passing(connector), "yes")?;
    let lanes: Vec<i64> = db
        .prepare_cached("SELECT DISTINCT lane FROM parked WHERE connector = ?1 AND state = 'behind'")?
        .query_map([connector.0], |row| row.get(0))?
        .collect::<Sql<_>>()?;
    lanes.into_iter().try_for_each(|lane| promote(db, connector, lane as u64, now))
}

/// Whether this delivery heads the chains of all its lanes.
pub fn is_head(db: &Connection, connector: ConnectorId, event: &Event) -> Sql<bool> {
    let id = event.id.to_string();
    for lane in [Some(event.lane), event.old_lane].into_iter().flatten() {
        if head(db, connector, lane as i64, &id)?.is_some_and(|(first, ..)| first != id) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::{State, connector, log};
    use super::super::tests::{event, parked};
    use super::super::{due, end, lanes, park};
    use super::*;

    #[test]
    fn ending_a_head_promotes_the_next_of_its_record_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state
            .commit(|db| {
                let connector = connector::remember(db, "vista")?.0.id;
                let log = log::remember(db, "office")?;
                // 1 is dead; 2 and 4 wait behind it; 3 (another record) changed its key into this record's lane.
                park(db, connector, &parked(log, event(1, 10, None), ParkedState::Dead))?;
                park(db, connector, &parked(log, event(2, 10, None), ParkedState::Behind))?;
                park(db, connector, &parked(log, event(3, 10, Some(20)), ParkedState::Behind))?;
                park(db, connector, &parked(log, event(4, 20, None), ParkedState::Behind))?;
                assert!(!is_head(db, connector, &event(2, 10, None))?);
                assert!(end(db, connector, &event(1, 10, None), Timestamp(50))?);
                let due_now = due(db, connector, Timestamp(50), 10)?;
                assert_eq!(due_now.iter().map(|parked| parked.event.seq()).collect::<Vec<_>>(), [2]);
                assert!(end(db, connector, &event(2, 10, None), Timestamp(60))?);
                assert!(end(db, connector, &event(3, 10, Some(20)), Timestamp(70))?);
                let due_now = due(db, connector, Timestamp(70), 10)?;
                assert_eq!(due_now.iter().map(|parked| parked.event.seq()).collect::<Vec<_>>(), [4]);
                assert_eq!(lanes(db, connector, true)?, [(20, log, 4)]);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn where_dead_letters_hold_nobody_the_next_is_promoted_past_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state
            .commit(|db| {
                let connector = connector::remember(db, "vista")?.0.id;
                let log = log::remember(db, "office")?;
                park(db, connector, &parked(log, event(1, 10, None), ParkedState::Dead))?;
                park(db, connector, &parked(log, event(2, 10, None), ParkedState::Waiting))?;
                park(db, connector, &parked(log, event(3, 10, None), ParkedState::Behind))?;
                assert!(!is_head(db, connector, &event(2, 10, None))?);
                let_pass(db, connector, true, Timestamp(40))?;
                assert!(due(db, connector, Timestamp(40), 10)?.is_empty(), "3 waits behind 2");
                // Both can be moved by a person: the dead letter, and the first of the others.
                assert!(is_head(db, connector, &event(1, 10, None))? && is_head(db, connector, &event(2, 10, None))?);
                assert!(!is_head(db, connector, &event(3, 10, None))?);
                assert!(end(db, connector, &event(2, 10, None), Timestamp(50))?);
                let due_now = |now| -> Sql<Vec<i64>> {
                    Ok(due(db, connector, Timestamp(now), 10)?.iter().map(|parked| parked.event.seq()).collect())
                };
                assert_eq!(due_now(50)?, [3]);
                let_pass(db, connector, false, Timestamp(60))?;
                park(db, connector, &parked(log, event(4, 10, None), ParkedState::Behind))?;
                assert!(end(db, connector, &event(3, 10, None), Timestamp(60))?);
                assert!(due_now(60)?.is_empty(), "the dead letter holds it again");
                // One that was left so by an older agent is found at the next start.
                let_pass(db, connector, true, Timestamp(70))?;
                assert_eq!(due_now(70)?, [4]);
                Ok(())
            })
            .unwrap();
    }
}
