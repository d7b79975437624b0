//! Parked deliveries: only the exceptions. A record's parked changes form a chain; only its head can move.

mod chain;
mod selection;

use chain::promote;
pub use chain::{is_head, let_pass};
pub use selection::{Selection, select};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::counter::{self, Series};
use super::{ConnectorId, LogId, Sql, account, cursor};
use crate::clock::Timestamp;
use crate::event::{Event, EventId};
use crate::rules::governance::denied_by;
use crate::rules::outcome::Reason;
use crate::store::image;

/// Why a delivery stands aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParkedState {
    /// It failed for a passing cause and is due again.
    Waiting,
    /// An earlier change of the same record is parked.
    Behind,
    /// Its mapping, encoding or gate failed, or a person holds it.
    Held,
    /// It was refused, or is out of attempts: a dead letter.
    Dead,
}

impl ParkedState {
    /// All states.
    pub const ALL: [ParkedState; 4] = [ParkedState::Waiting, ParkedState::Behind, ParkedState::Held, ParkedState::Dead];

    /// The word in the file and in `deliveries`.
    pub fn as_str(self) -> &'static str {
        match self {
            ParkedState::Waiting => "waiting",
            ParkedState::Behind => "behind",
            ParkedState::Held => "held",
            ParkedState::Dead => "dead",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<ParkedState> {
        ParkedState::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// One parked delivery.
#[derive(Clone, Debug)]
pub struct Parked {
    /// The event, copied.
    pub event: Event,
    /// Its log.
    pub log: LogId,
    /// State.
    pub state: ParkedState,
    /// When it is due again (waiting only).
    pub due: Option<Timestamp>,
    /// Attempts that counted.
    pub attempts: u32,
    /// First attempt.
    pub first_attempt: Option<Timestamp>,
    /// When it came into this state.
    pub since: Timestamp,
    /// Why.
    pub reason: Reason,
    /// Last HTTP status.
    pub status: Option<u16>,
    /// Configuration under which it was last tried or refused.
    pub config_hash: Option<[u8; 32]>,
    /// A later change of the record was delivered meanwhile: its seq.
    pub passed: Option<i64>,
    /// The request of an attempt whose outcome is unknown (the engine's encoding).
    pub frozen: Option<Vec<u8>>,
}

impl Parked {
    /// An event that was never sent, standing aside; not due.
    pub fn new(event: Event, log: LogId, state: ParkedState, reason: Reason, since: Timestamp) -> Parked {
        Parked {
            event,
            log,
            state,
            due: None,
            attempts: 0,
            first_attempt: None,
            since,
            reason,
            status: None,
            config_hash: None,
            passed: None,
            frozen: None,
        }
    }
}

const COLUMNS: &str =
    "event, log, state, due, attempts, first_attempt, since, class, reason, status, config_hash, passed, frozen";

fn row(row: &rusqlite::Row<'_>) -> Sql<Parked> {
    let copy: &[u8] = row.get_ref(0)?.as_blob()?;
    let event = image::decode_event(copy)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error)))?;
    Ok(Parked {
        event,
        log: LogId(row.get(1)?),
        state: ParkedState::parse(row.get_ref(2)?.as_str()?).unwrap_or(ParkedState::Held),
        due: row.get::<_, Option<i64>>(3)?.map(Timestamp),
        attempts: row.get(4)?,
        first_attempt: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        since: Timestamp(row.get(6)?),
        reason: Reason::new(row.get::<_, String>(7)?, row.get::<_, String>(8)?),
        status: row.get(9)?,
        config_hash: row.get(10)?,
        passed: row.get(11)?,
        frozen: row.get(12)?,
    })
}

/// Parks a delivery, or changes how it is parked.
pub fn park(db: &Connection, connector: ConnectorId, parked: &Parked) -> Sql<()> {
    let event = &parked.event;
    db.prepare_cached(
        "INSERT OR REPLACE INTO parked(connector, event_id, log, seq, kind, state, lane, lane2, due, attempts,
           first_attempt, since, class, reason, status, config_hash, passed, event, frozen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
    )?
    .execute(params![
        connector.0,
        event.id.to_string(),
        parked.log.0,
        event.seq(),
        &*event.kind,
        parked.state.as_str(),
        event.lane as i64,
        event.old_lane.map(|lane| lane as i64),
        parked.due.map(|due| due.0),
        parked.attempts,
        parked.first_attempt.map(|at| at.0),
        parked.since.0,
        &*parked.reason.class,
        &*parked.reason.text,
        parked.status,
        parked.config_hash,
        parked.passed,
        image::encode_event(event),
        parked.frozen,
    ])?;
    // One that waits behind another is counted when it is its turn.
    match denied_by(&parked.reason).filter(|_| parked.state == ParkedState::Held) {
        Some(rule) => counter::add_to(db, connector, Series::Denied, rule, 1),
        None => Ok(()),
    }
}

/// Parks a delivery that waits behind others. Those may have ended in the meantime, by a person's hand: then it is due.
pub fn park_behind(db: &Connection, connector: ConnectorId, parked: &Parked, now: Timestamp) -> Sql<()> {
    park(db, connector, parked)?;
    promote(db, connector, parked.event.lane, now)
}

/// Class of deliveries whose event left the log before its connector came that far.
const OVERFLOW: &str = "overflow";

/// Parks an event for a connector that was left behind. An earlier change of the same record that was parked for the
/// same reason is replaced: of each record the last one counts. A change of its key stays, because it ends a record.
pub fn set_aside(db: &Connection, connector: ConnectorId, log: LogId, event: Event, now: Timestamp) -> Sql<()> {
    account::close(db, connector)?;
    db.prepare_cached(
        "DELETE FROM parked WHERE connector = ?1 AND lane = ?2 AND class = ?3 AND lane2 IS NULL AND log = ?4 AND seq < ?5",
    )?
    .execute((connector.0, event.lane as i64, OVERFLOW, log.0, event.seq()))?;
    let alone = is_head(db, connector, &event)?;
    let state = if alone { ParkedState::Waiting } else { ParkedState::Behind };
    let reason = Reason::new(OVERFLOW, "its event left the log while the connector was far behind");
    let parked = Parked { due: alone.then_some(now), ..Parked::new(event, log, state, reason, now) };
    park(db, connector, &parked)
}

/// Keeps what is about to be sent for a parked delivery: it may arrive and its answer be lost.
pub fn freeze(db: &Connection, connector: ConnectorId, id: EventId, frozen: &[u8], config: &[u8; 32]) -> Sql<()> {
    db.prepare_cached("UPDATE parked SET frozen = ?3, config_hash = ?4 WHERE connector = ?1 AND event_id = ?2")?
        .execute((connector.0, id.to_string(), frozen, config))?;
    Ok(())
}

/// Ends a parked delivery (delivered or discarded) and promotes what waited behind it. False when it was not parked.
pub fn end(db: &Connection, connector: ConnectorId, event: &Event, now: Timestamp) -> Sql<bool> {
    let log: Option<i64> = db
        .prepare_cached("DELETE FROM parked WHERE connector = ?1 AND event_id = ?2 RETURNING log")?
        .query_row((connector.0, event.id.to_string()), |row| row.get(0))
        .optional()?;
    if let Some(log) = log {
        cursor::note_ahead(db, connector, LogId(log), event.id)?;
    }
    promote(db, connector, event.lane, now)?;
    if let Some(lane) = event.old_lane {
        promote(db, connector, lane, now)?;
    }
    Ok(log.is_some())
}

/// What is due, earliest first.
pub fn due(db: &Connection, connector: ConnectorId, now: Timestamp, limit: usize) -> Sql<Vec<Parked>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM parked WHERE connector = ?1 AND state = 'waiting' AND due <= ?2 ORDER BY due LIMIT ?3"
    ))?
    .query_map((connector.0, now.0, limit as i64), row)?
    .collect()
}

/// When the next one is due.
pub fn next_due(db: &Connection, connector: ConnectorId) -> Sql<Option<Timestamp>> {
    db.prepare_cached("SELECT min(due) FROM parked WHERE connector = ?1 AND state = 'waiting'")?
        .query_row([connector.0], |row| row.get::<_, Option<i64>>(0))
        .map(|due| due.map(Timestamp))
}

/// The lanes that hold parked deliveries, and where in the logs those lie. With `onDead: continue` dead letters hold
/// nobody back: they are left out when `dead_too` is false.
pub fn lanes(db: &Connection, connector: ConnectorId, dead_too: bool) -> Sql<Vec<(u64, LogId, i64)>> {
    db.prepare_cached(
        "SELECT lane, log, seq FROM parked WHERE connector = ?1 AND (?2 OR state <> 'dead')
         UNION ALL
         SELECT lane2, log, seq FROM parked WHERE connector = ?1 AND lane2 IS NOT NULL AND (?2 OR state <> 'dead')",
    )?
    .query_map((connector.0, dead_too), |row| Ok((row.get::<_, i64>(0)? as u64, LogId(row.get(1)?), row.get(2)?)))?
    .collect()
}

/// The ids of everything parked above a position: events that a read of the log must leave alone.
pub fn ids_above(db: &Connection, connector: ConnectorId, log: LogId, seq: i64) -> Sql<Vec<EventId>> {
    db.prepare_cached("SELECT event_id FROM parked WHERE connector = ?1 AND log = ?2 AND seq > ?3")?
        .query_map((connector.0, log.0, seq), |row| row.get::<_, String>(0))?
        .filter_map(|id| id.map(|id| id.parse().ok()).transpose())
        .collect()
}

/// How many are parked above a position.
pub fn count_above(db: &Connection, connector: ConnectorId, log: LogId, seq: i64) -> Sql<i64> {
    db.prepare_cached("SELECT count(*) FROM parked WHERE connector = ?1 AND log = ?2 AND seq > ?3")?
        .query_row((connector.0, log.0, seq), |row| row.get(0))
}

/// Notes at a record's dead letters that a later change of it was delivered.
pub fn pass(db: &Connection, connector: ConnectorId, event: &Event) -> Sql<()> {
    db.prepare_cached(
        "UPDATE parked SET passed = ?3 WHERE connector = ?1 AND lane = ?2 AND state = 'dead' AND seq < ?3",
    )?
    .execute((connector.0, event.lane as i64, event.seq()))?;
    Ok(())
}

/// Held heads whose reason is of one of these classes become due: the configuration that held them has changed.
pub fn release_classes(db: &Connection, connector: ConnectorId, classes: &[&str], now: Timestamp) -> Sql<usize> {
    let mut released = 0;
    for class in classes {
        released += db.execute(
            "UPDATE parked SET state = 'waiting', due = ?3, since = ?3
             WHERE connector = ?1 AND state = 'held' AND class = ?2",
            (connector.0, class, now.0),
        )?;
    }
    Ok(released)
}

/// The class of what is held because its connector only reads now.
pub const ONLY_READS: &str = "only-reads";

/// A connector sends no more: what is to be tried again is held, until it sends again or a person decides.
pub fn hold_waiting(db: &Connection, connector: ConnectorId, now: Timestamp) -> Sql<usize> {
    let reason = "the connector only reads now: let it send again, or discard this";
    db.execute(
        "UPDATE parked SET state = 'held', class = ?2, reason = ?3, since = ?4 WHERE connector = ?1 AND state = 'waiting'",
        (connector.0, ONLY_READS, reason, now.0),
    )
}

/// No stored due time lies further ahead than the longest back-off, whatever the clock was when it was stored.
pub fn clamp_due(db: &Connection, connector: ConnectorId, latest: Timestamp) -> Sql<()> {
    db.execute("UPDATE parked SET due = ?2 WHERE connector = ?1 AND due > ?2", (connector.0, latest.0))?;
    Ok(())
}

/// How many are parked, by state.
pub fn counts(db: &Connection, connector: ConnectorId) -> Sql<Vec<(ParkedState, u64)>> {
    db.prepare_cached("SELECT state, count(*) FROM parked WHERE connector = ?1 GROUP BY state")?
        .query_map([connector.0], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?
        .map(|read| {
            read.map(|(state, n)| {
                (ParkedState::parse(&state).unwrap_or(ParkedState::Held), u64::try_from(n).unwrap_or(0))
            })
        })
        .collect()
}

/// Those of a connector in a lane.
const IN_LANE: [&str; 2] = ["connector = ?1 AND lane = ?2", "connector = ?1 AND lane2 = ?2"];

/// Those of a connector in some lanes, also those whose key was another before.
pub fn in_lanes(db: &Connection, connector: ConnectorId, lanes: &[u64]) -> Sql<Vec<Parked>> {
    let mut found: Vec<Parked> = Vec::new();
    for (condition, lane) in IN_LANE.iter().flat_map(|condition| lanes.iter().map(move |lane| (condition, lane))) {
        let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM parked WHERE {condition}"))?;
        for parked in statement.query_map((connector.0, *lane as i64), row)? {
            found.push(parked?);
        }
    }
    found.sort_by_key(|parked| (parked.log, parked.event.seq()));
    found.dedup_by_key(|parked| parked.event.id);
    Ok(found)
}

/// When the event was captured that is the oldest of those parked in one of these states.
pub fn oldest(db: &Connection, connector: ConnectorId, states: &[ParkedState]) -> Sql<Option<Timestamp>> {
    let mut oldest = None;
    for state in states {
        for (log, _) in cursor::of(db, connector)? {
            let first = db
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM parked WHERE connector = ?1 AND state = ?2 AND log = ?3 ORDER BY seq LIMIT 1"
                ))?
                .query_row((connector.0, state.as_str(), log.0), row)
                .optional()?;
            oldest = [oldest, first.map(|parked| parked.event.at)].into_iter().flatten().min();
        }
    }
    Ok(oldest)
}

/// One by its event id.
pub fn find(db: &Connection, connector: ConnectorId, id: &str) -> Sql<Option<Parked>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM parked WHERE connector = ?1 AND event_id = ?2"))?
        .query_row((connector.0, id), row)
        .optional()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{State, connector, log, plan};
    use super::*;

    #[test]
    fn what_is_parked_of_a_record_is_found_by_its_lanes() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let plans = state
            .read(
                |db| Ok(IN_LANE.map(|condition| plan(db, &format!("SELECT {COLUMNS} FROM parked WHERE {condition}")))),
            )
            .unwrap();
        assert_eq!(plans[0], ["SEARCH parked USING INDEX parked_lane (connector=? AND lane=?)"]);
        assert_eq!(plans[1], ["SEARCH parked USING INDEX parked_lane2 (connector=? AND lane2=?)"]);
        state
            .commit(|db| {
                let connector = connector::remember(db, "vista")?.0.id;
                let log = log::remember(db, "office")?;
                for one in [event(1, 10, None), event(2, 20, Some(10)), event(3, 30, None)] {
                    park(db, connector, &parked(log, one, ParkedState::Dead))?;
                }
                let found = |lanes: &[u64]| -> Sql<Vec<i64>> {
                    Ok(in_lanes(db, connector, lanes)?.iter().map(|parked| parked.event.seq()).collect())
                };
                assert_eq!((found(&[10])?, found(&[20, 10])?, found(&[99])?), (vec![1, 2], vec![1, 2], vec![]));
                Ok(())
            })
            .unwrap();
    }

    pub(super) fn event(seq: i64, lane: u64, old_lane: Option<u64>) -> Event {
        Event::sample(seq, lane, old_lane)
    }

    pub(super) fn parked(log: LogId, event: Event, state: ParkedState) -> Parked {
        Parked::new(event, log, state, Reason::new("x", "y"), Timestamp(1))
    }

    #[test]
    fn what_was_discarded_above_the_cursor_is_remembered_until_the_cursor_passes() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state
            .commit(|db| {
                let connector = connector::remember(db, "vista")?.0.id;
                let log = log::remember(db, "office")?;
                cursor::begin(db, connector, log, 0)?;
                park(db, connector, &parked(log, event(3, 10, None), ParkedState::Dead))?;
                assert!(end(db, connector, &event(3, 10, None), Timestamp(1))?);
                assert_eq!(cursor::ahead(db, connector, log)?, [event(3, 10, None).id]);
                cursor::advance(db, connector, log, 2)?;
                assert_eq!(cursor::ahead(db, connector, log)?.len(), 1);
                cursor::advance(db, connector, log, 3)?;
                assert_eq!(cursor::ahead(db, connector, log)?.len(), 0);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn of_a_record_left_behind_only_the_last_change_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state
            .commit(|db| {
                let connector = connector::remember(db, "vista")?.0.id;
                let log = log::remember(db, "office")?;
                for one in [
                    event(1, 10, None),
                    event(2, 20, None),
                    event(3, 10, None),
                    event(4, 10, Some(30)),
                    event(5, 10, None),
                ] {
                    set_aside(db, connector, log, one, Timestamp(9))?;
                }
                let kept: Vec<_> =
                    select(db, &Selection::default())?.into_iter().map(|(_, p)| (p.event.seq(), p.state)).collect();
                assert_eq!(kept, [(2, ParkedState::Waiting), (4, ParkedState::Waiting), (5, ParkedState::Behind)]);
                Ok(())
            })
            .unwrap();
    }
}
