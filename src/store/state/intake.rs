//! The agent's own log: events that were posted or subscribed to. Same shape as a captured outbox.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Sql, log};
use crate::clock::Timestamp;
use crate::event::{Event, EventId, Op, Record, Value};
use crate::rules::lane::lane;
use crate::store::image;

/// A message to take in.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// Event type.
    pub kind: &'a str,
    /// Payload.
    pub payload: &'a Record,
    /// What names its record, when the source says so (`key:`); else `payload.id`; else one lane for the type.
    pub lane_key: Option<&'a str>,
    /// Where it came from, and its id there: the same pair is stored once.
    pub message: Option<(&'a str, &'a str)>,
    /// SHA-256 of the body as received.
    pub body_hash: [u8; 32],
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Stored.
    New(EventId),
    /// It was there already, with the same body.
    Known(EventId),
    /// Its id was there already, with another body: nothing was stored.
    Differs(EventId),
}

/// Stores a message; durable when the transaction is.
pub fn take(db: &Connection, message: &Message<'_>, now: Timestamp) -> Sql<Taken> {
    let epoch = epoch(db)?;
    if let Some((source, id)) = message.message {
        let known: Option<(i64, [u8; 8], [u8; 32])> = db
            .prepare_cached("SELECT seq, nonce, body_hash FROM intake WHERE source = ?1 AND message = ?2")?
            .query_row((source, id), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if let Some((seq, nonce, hash)) = known {
            let id = EventId { epoch, seq, nonce: leading(&nonce) };
            return Ok(if hash == message.body_hash { Taken::Known(id) } else { Taken::Differs(id) });
        }
    }
    let nonce: [u8; 8] = db.prepare_cached("SELECT randomblob(8)")?.query_row([], |row| row.get(0))?;
    db.prepare_cached(
        "INSERT INTO intake(nonce, at, kind, lane_key, payload, body_hash, source, message, lane)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        nonce,
        now.0,
        message.kind,
        message.lane_key,
        image::encode_record(message.payload),
        message.body_hash,
        message.message.map(|(source, _)| source),
        message.message.map(|(_, id)| id),
        lane(log::INTAKE, message.kind, &key_of(message.lane_key, message.payload), &[]) as i64,
    ])?;
    Ok(Taken::New(EventId { epoch, seq: db.last_insert_rowid(), nonce: leading(&nonce) }))
}

/// The events after a position, oldest first.
pub fn read(db: &Connection, after: i64, limit: usize) -> Sql<Vec<Event>> {
    read_some(db, after, limit, usize::MAX)
}

/// The events after a position, oldest first: at most `limit`, and no more once their payloads have `max_bytes`.
pub fn read_some(db: &Connection, after: i64, limit: usize, max_bytes: usize) -> Sql<Vec<Event>> {
    let mut into_event = reader(db)?;
    let mut statement = db.prepare_cached(
        "SELECT seq, nonce, at, kind, lane_key, payload FROM intake WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let (mut rows, mut events, mut bytes) = (statement.query((after, limit as i64))?, Vec::new(), 0);
    while let Some(row) = rows.next()? {
        bytes += row.get_ref(5)?.as_blob()?.len();
        events.push(into_event(row)?);
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(events)
}

/// Events of a type in a lane, and those of which an older version has not noted it.
const IN_LANE: &str = "SELECT seq, nonce, at, kind, lane_key, payload FROM intake WHERE kind = ?1 AND lane = ?2
     UNION ALL SELECT seq, nonce, at, kind, lane_key, payload FROM intake WHERE kind = ?1 AND lane IS NULL
     ORDER BY seq DESC";

/// The newest `limit` events of a type, in one of these lanes, that `is_meant`; oldest first.
pub fn history(
    db: &Connection,
    kind: &str,
    lanes: &[u64],
    limit: usize,
    is_meant: impl Fn(&Event) -> bool,
) -> Sql<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    for lane in lanes {
        let mut statement = db.prepare_cached(IN_LANE)?;
        let found = statement.query_map((kind, *lane as i64), reader(db)?)?;
        let meant = found.filter(|event| event.as_ref().map_or(true, &is_meant));
        events.extend(meant.take(limit).collect::<Sql<Vec<Event>>>()?);
    }
    events.sort_by_key(Event::seq);
    events.dedup_by_key(|event| event.id);
    Ok(events.split_off(events.len().saturating_sub(limit)))
}

/// From each type to the next, by the index.
const KINDS: &str = "WITH RECURSIVE known(kind) AS (SELECT min(kind) FROM intake
       UNION ALL SELECT (SELECT min(kind) FROM intake WHERE kind > known.kind) FROM known WHERE known.kind IS NOT NULL)
     SELECT kind FROM known WHERE kind IS NOT NULL";

/// The types of the events that were taken in.
pub fn kinds(db: &Connection) -> Sql<Vec<String>> {
    db.prepare_cached(KINDS)?.query_map([], |row| row.get(0))?.collect()
}

/// What names the record of a message: what its source says, else its `id`.
fn key_of(lane_key: Option<&str>, payload: &Record) -> Record {
    match lane_key.map(|key| Value::Text(key.into())).or_else(|| payload.get("id").cloned()) {
        Some(id) => [("id", id)].into_iter().collect(),
        None => Record::new(),
    }
}

fn reader(db: &Connection) -> Sql<impl FnMut(&rusqlite::Row<'_>) -> Sql<Event> + use<>> {
    let epoch = epoch(db)?;
    let name: Arc<str> = Arc::from(log::INTAKE);
    Ok(move |row: &rusqlite::Row<'_>| {
        let nonce: [u8; 8] = row.get(1)?;
        let kind: String = row.get(3)?;
        let lane_key: Option<String> = row.get(4)?;
        let payload = image::decode_record(row.get_ref(5)?.as_blob()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(5, rusqlite::types::Type::Blob, Box::new(error))
        })?;
        let key = key_of(lane_key.as_deref(), &payload);
        Ok(Event {
            id: EventId { epoch, seq: row.get(0)?, nonce: leading(&nonce) },
            log: name.clone(),
            lane: lane(&name, &kind, &key, &[]),
            kind: kind.into(),
            op: Op::Event,
            key,
            old_key: None,
            before: None,
            after: Some(payload),
            changed: Vec::new(),
            at: Timestamp(row.get(2)?),
            origin: None,
            dest: None,
            old_lane: None,
            synthetic: false,
        })
    })
}

/// The position of the first event taken in at or after a time; none when there is none.
pub fn first_since(db: &Connection, at: Timestamp) -> Sql<Option<i64>> {
    db.prepare_cached("SELECT seq FROM intake WHERE at >= ?1 ORDER BY seq LIMIT 1")?
        .query_row([at.0], |row| row.get(0))
        .optional()
}

/// The highest position taken in.
pub fn highest(db: &Connection) -> Sql<i64> {
    db.prepare_cached("SELECT ifnull(max(seq), 0) FROM intake")?.query_row([], |row| row.get(0))
}

fn epoch(db: &Connection) -> Sql<u32> {
    super::fact(db, "intake_epoch").map(|epoch| leading(&epoch))
}

fn leading(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{State, plan};
    use super::*;

    #[test]
    fn a_posted_record_and_the_types_are_found_by_the_index() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state.db")).unwrap();
        let plan = |sql| state.read(|db| Ok(plan(db, sql))).unwrap();
        let steps = plan(IN_LANE);
        let searches =
            steps.iter().filter(|step| step.contains("SEARCH intake USING INDEX intake_lane (kind=? AND lane=?)"));
        assert_eq!(searches.count(), 2, "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("SCAN intake")), "{steps:?}");
        let steps = plan(KINDS);
        assert!(
            steps.iter().all(|step| !step.contains("intake") || step.contains("SEARCH intake USING COVERING INDEX")),
            "{steps:?}"
        );
    }

    #[test]
    fn a_posted_record_is_found_however_its_key_was_sent_and_also_when_an_older_version_took_it_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let payload = |id: Value| -> Record { [("id", id)].into_iter().collect() };
        fn message<'m>(payload: &'m Record, lane_key: Option<&'m str>) -> Message<'m> {
            Message { kind: "rule", payload, lane_key, message: None, body_hash: [0; 32] }
        }
        state
            .commit(|db| {
                for (id, lane_key) in [(7, None), (8, None), (9, Some("k"))] {
                    let payload = payload(Value::Integer(id));
                    take(db, &message(&payload, lane_key), Timestamp(5))?;
                }
                let found = |lanes: &[u64]| history(db, "rule", lanes, 10, |_| true).map(|found| found.len());
                let of = |key: Record| lane(log::INTAKE, "rule", &key, &[]);
                assert_eq!(found(&[of(payload(Value::Integer(7)))])?, 1);
                assert_eq!(found(&[of(payload(Value::Text("k".into())))])?, 1);
                assert_eq!(found(&[of(payload(Value::Integer(9)))])?, 0, "its source has named it otherwise");
                db.execute("UPDATE intake SET lane = NULL WHERE seq = 2", [])?;
                assert_eq!(found(&[1])?, 1, "looked at");
                assert_eq!(kinds(db)?, ["rule"]);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_message_is_stored_once_and_another_body_under_its_id_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let payload: Record = [("id", Value::Integer(7)), ("duration", Value::Integer(20))].into_iter().collect();
        let message = |hash: u8| Message {
            kind: "appointment-rule-changed",
            payload: &payload,
            lane_key: None,
            message: Some(("ops", "m1")),
            body_hash: [hash; 32],
        };
        state
            .commit(|db| {
                let Taken::New(id) = take(db, &message(1), Timestamp(5))? else { unreachable!() };
                assert_eq!(take(db, &message(1), Timestamp(6))?, Taken::Known(id));
                assert_eq!(take(db, &message(2), Timestamp(6))?, Taken::Differs(id));
                let events = read(db, 0, 10)?;
                assert_eq!(events.len(), 1);
                assert_eq!((events[0].id, events[0].after.as_ref()), (id, Some(&payload)));
                assert_eq!(events[0].key.get("id"), Some(&Value::Integer(7)));
                take(db, &Message { message: None, ..message(1) }, Timestamp(7))?;
                assert_eq!((read_some(db, 0, 10, 1)?.len(), read_some(db, 0, 10, 1000)?.len()), (1, 2));
                Ok(())
            })
            .unwrap();
    }
}
