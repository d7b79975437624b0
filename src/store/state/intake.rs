//! The agent's own log: events that were posted or subscribed to. Same shape as a captured outbox.

use std::borrow::Cow;
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
    /// A push: the one connector it is for, and where there (see [`Event::push`]).
    pub to: Option<(&'a str, &'a str)>,
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

/// Stores a message, unless it is there already; durable when the transaction is.
pub fn take(db: &Connection, message: &Message<'_>, now: Timestamp) -> Sql<Taken> {
    match find(db, message)? {
        Some(known) => Ok(known),
        None => put(db, message, now).map(Taken::New),
    }
}

/// The event that is there already under a message's id, if any.
pub fn find(db: &Connection, message: &Message<'_>) -> Sql<Option<Taken>> {
    let Some((source, id)) = message.message else { return Ok(None) };
    let known: Option<(i64, [u8; 8], [u8; 32])> = db
        .prepare_cached("SELECT seq, nonce, body_hash FROM intake WHERE source = ?1 AND message = ?2")?
        .query_row((source, id), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((seq, nonce, hash)) = known else { return Ok(None) };
    let id = EventId { epoch: epoch(db)?, seq, nonce: leading(&nonce) };
    Ok(Some(if hash == message.body_hash { Taken::Known(id) } else { Taken::Differs(id) }))
}

/// Stores a message of which [`find`] knows nothing.
pub fn put(db: &Connection, message: &Message<'_>, now: Timestamp) -> Sql<EventId> {
    let payload = image::encode_record(message.payload);
    let size = i64::try_from(payload.len()).unwrap_or(i64::MAX).saturating_add(ROW);
    let before: Option<i64> = db.prepare_cached(LAST_TOTAL)?.query_row([], |row| row.get(0)).optional()?.flatten();
    let nonce: [u8; 8] = db.prepare_cached("SELECT randomblob(8)")?.query_row([], |row| row.get(0))?;
    db.prepare_cached(
        "INSERT INTO intake(nonce, at, kind, lane_key, payload, body_hash, source, message, record, dest, url, total)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        nonce,
        now.0,
        message.kind,
        message.lane_key,
        payload,
        message.body_hash,
        message.message.map(|(source, _)| source),
        message.message.map(|(_, id)| id),
        record_of(message),
        message.to.map(|(connector, _)| connector),
        message.to.map(|(_, url)| url),
        before.unwrap_or(0).saturating_add(size),
    ])?;
    Ok(EventId { epoch: epoch(db)?, seq: db.last_insert_rowid(), nonce: leading(&nonce) })
}

/// Bytes that a row takes beside its payload, about.
const ROW: i64 = 120;
const LAST_TOTAL: &str = "SELECT total FROM intake ORDER BY seq DESC LIMIT 1";
const FIRST_AFTER: &str = "SELECT total, length(payload) FROM intake WHERE seq > ?1 ORDER BY seq LIMIT 1";

/// Bytes that the events after a position take, about. Those that are older than the sums are not counted.
pub fn bytes_after(db: &Connection, seq: i64) -> Sql<u64> {
    let first: Option<(Option<i64>, i64)> =
        db.prepare_cached(FIRST_AFTER)?.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((first, payload)) = first else { return Ok(0) };
    let last: Option<i64> = db.prepare_cached(LAST_TOTAL)?.query_row([], |row| row.get(0))?;
    let before = first.map_or(0, |total| total.saturating_sub(payload.saturating_add(ROW)));
    Ok(u64::try_from(last.unwrap_or(0).saturating_sub(before)).unwrap_or(0))
}

/// What names a message's record, as text; empty = nothing that is text does.
fn record_of<'a>(message: &Message<'a>) -> Cow<'a, str> {
    let id = || message.payload.get("id").and_then(Value::as_text);
    message.lane_key.map(Cow::Borrowed).or_else(id).unwrap_or_default()
}

/// The events after a position, oldest first.
pub fn read(db: &Connection, after: i64, limit: usize) -> Sql<Vec<Event>> {
    read_some(db, after, limit, usize::MAX)
}

/// The events after a position, oldest first: at most `limit`, and no more once their payloads have `max_bytes`.
pub fn read_some(db: &Connection, after: i64, limit: usize, max_bytes: usize) -> Sql<Vec<Event>> {
    let mut into_event = reader(db)?;
    let mut statement =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM intake WHERE seq > ?1 ORDER BY seq LIMIT ?2"))?;
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

/// The newest `limit` events of a type that `is_meant`, oldest first. `key` is what names the record, as a person writes it:
/// only events whose record reads like it are looked at, where it can be looked up at all (a list cannot).
pub fn history(
    db: &Connection,
    kind: &str,
    key: &Value,
    limit: usize,
    is_meant: impl Fn(&Event) -> bool,
) -> Sql<Vec<Event>> {
    let mut into_event = reader(db)?;
    let mut events: Vec<Event> = Vec::new();
    let spellings = spellings(key);
    // Rows that are older than the column are looked through; they go with time.
    let query = |of: &str| format!("{HISTORY}{of}");
    let mut take = |rows: &mut rusqlite::Rows<'_>| -> Sql<()> {
        let mut left = limit;
        while left > 0 {
            let Some(row) = rows.next()? else { break };
            let event = into_event(row)?;
            if is_meant(&event) {
                events.push(event);
                left -= 1;
            }
        }
        Ok(())
    };
    match &spellings {
        None => take(&mut db.prepare_cached(&query(OF_KIND))?.query([kind])?)?,
        Some(spellings) => {
            for spelling in spellings {
                take(&mut db.prepare_cached(&query(OF_RECORD))?.query((kind, spelling))?)?;
            }
            take(&mut db.prepare_cached(&query(OF_OLD))?.query([kind])?)?;
        }
    }
    events.sort_by_key(Event::seq);
    let needless = events.len().saturating_sub(limit);
    Ok(events.split_off(needless))
}

/// How the text of a value that equals this one can read; none = it cannot be looked up.
fn spellings(key: &Value) -> Option<Vec<String>> {
    let mut spellings = vec![key.as_text()?.into_owned()];
    match key {
        Value::Integer(number) => spellings.push(format!("{:?}", *number as f64)),
        Value::Real(number) if number.fract() == 0.0 => spellings.push(format!("{number:.0}")),
        _ => {}
    }
    Some(spellings)
}

/// The types of the events that were taken in, by steps of the index from one to the next.
pub fn kinds(db: &Connection) -> Sql<Vec<String>> {
    db.prepare_cached(KINDS)?.query_map([], |row| row.get(0))?.collect()
}

/// The lowest position that is kept; none when nothing was ever taken in.
pub fn lowest(db: &Connection) -> Sql<Option<i64>> {
    db.prepare_cached("SELECT min(seq) FROM intake")?.query_row([], |row| row.get(0))
}

/// When the last event below a position was taken in; none = there is none.
pub fn last_taken_below(db: &Connection, seq: i64) -> Sql<Option<Timestamp>> {
    db.prepare_cached("SELECT at FROM intake WHERE seq < ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([seq], |row| row.get(0).map(Timestamp))
        .optional()
}

/// Bytes that a row takes, about: the average over the newest ones.
pub fn row_bytes(db: &Connection) -> Sql<u64> {
    let sql =
        "SELECT ifnull(avg(length(payload) + 120), 0) FROM (SELECT payload FROM intake ORDER BY seq DESC LIMIT 100)";
    db.prepare_cached(sql)?.query_row([], |row| row.get::<_, f64>(0)).map(|average| average as u64)
}

/// Removes the events below a position, never the highest: its number must not be given again. How many there were.
pub fn prune(db: &Connection, below: i64) -> Sql<usize> {
    db.prepare_cached("DELETE FROM intake WHERE seq < ?1 AND seq < (SELECT max(seq) FROM intake)")?.execute([below])
}

/// The columns that [`reader`] reads.
const COLUMNS: &str = "seq, nonce, at, kind, lane_key, payload, dest, url";
const HISTORY: &str = "SELECT seq, nonce, at, kind, lane_key, payload, dest, url FROM intake WHERE kind = ?1";
const OF_KIND: &str = " ORDER BY seq DESC";
const OF_RECORD: &str = " AND record = ?2 ORDER BY seq DESC";
const OF_OLD: &str = " AND record IS NULL ORDER BY seq DESC";
const KINDS: &str = "WITH RECURSIVE known(kind) AS (
    SELECT min(kind) FROM intake
    UNION ALL
    SELECT (SELECT min(kind) FROM intake WHERE kind > known.kind) FROM known WHERE known.kind IS NOT NULL)
  SELECT kind FROM known WHERE kind IS NOT NULL";

fn reader(db: &Connection) -> Sql<impl FnMut(&rusqlite::Row<'_>) -> Sql<Event> + use<>> {
    let epoch = epoch(db)?;
    let name: Arc<str> = Arc::from(log::INTAKE);
    Ok(move |row: &rusqlite::Row<'_>| {
        let nonce: [u8; 8] = row.get(1)?;
        let kind: String = row.get(3)?;
        let lane_key: Option<String> = row.get(4)?;
        let (dest, url): (Option<String>, Option<String>) = (row.get(6)?, row.get(7)?);
        let payload = image::decode_record(row.get_ref(5)?.as_blob()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(5, rusqlite::types::Type::Blob, Box::new(error))
        })?;
        let key: Record = match lane_key.map(|key| Value::Text(key.into())).or_else(|| payload.get("id").cloned()) {
            Some(id) => [("id", id)].into_iter().collect(),
            None => Record::new(),
        };
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
            dest: dest.map(Arc::from),
            push: url.map(Arc::from),
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
    use super::super::{Db, State};
    use super::*;

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
            to: None,
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

    fn post(db: &Db, kind: &str, id: Value, at: i64) -> i64 {
        let payload: Record = [("id", id)].into_iter().collect();
        let message = Message { kind, payload: &payload, lane_key: None, message: None, body_hash: [0; 32], to: None };
        let Taken::New(id) = take(db, &message, Timestamp(at)).unwrap() else { unreachable!() };
        id.seq
    }

    fn state() -> (State, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (State::open(&folder.path().join("state.db")).unwrap(), folder)
    }

    #[test]
    fn a_record_and_the_types_are_found_by_an_index_however_many_events_there_are() {
        let (mut state, _folder) = state();
        state
            .commit(|db| {
                let plan = |sql: &str| -> Vec<String> {
                    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                    let binds = vec![rusqlite::types::Value::Null; statement.parameter_count()];
                    let rows = statement.query_map(rusqlite::params_from_iter(binds), |row| row.get(3)).unwrap();
                    rows.collect::<Sql<_>>().unwrap()
                };
                for sql in
                    [format!("{HISTORY}{OF_RECORD}"), format!("{HISTORY}{OF_OLD}"), format!("{HISTORY}{OF_KIND}")]
                {
                    let steps = plan(&sql);
                    assert!(
                        steps[0].starts_with("SEARCH intake USING INDEX intake_record (kind=?"),
                        "{sql}: {steps:?}"
                    );
                }
                let steps = plan(KINDS);
                let scans: Vec<_> = steps.iter().filter(|step| step.starts_with("SCAN intake")).collect();
                assert_eq!(scans, Vec::<&String>::new(), "{steps:?}");
                assert!(steps.iter().any(|step| step.contains("COVERING INDEX intake_record (kind>?)")), "{steps:?}");
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_record_is_found_by_any_spelling_of_its_key_also_when_its_row_is_older_than_the_index() {
        let (mut state, _folder) = state();
        state
            .commit(|db| {
                let found = |key: Value| -> Vec<i64> {
                    let events = history(db, "rule", &key, 10, |event| {
                        let id = event.key.get("id").unwrap();
                        *id == key
                            || id.as_text() == key.as_text()
                            || (*id == Value::Real(7.0) && key == Value::Integer(7))
                    });
                    events.unwrap().iter().map(Event::seq).collect()
                };
                post(db, "rule", Value::Integer(7), 1);
                post(db, "rule", "7".into(), 2);
                post(db, "rule", Value::Real(7.0), 3);
                post(db, "other", Value::Integer(7), 4);
                post(db, "rule", Value::List(vec![Value::Integer(7)]), 5);
                assert_eq!(found("7".into()), [1, 2]);
                assert_eq!(found(Value::Integer(7)), [1, 2, 3]);
                assert_eq!(found(Value::List(vec![Value::Integer(7)])), [5]);
                db.execute("UPDATE intake SET record = NULL WHERE seq < 3", [])?;
                assert_eq!(found(Value::Integer(7)), [1, 2, 3]);
                assert_eq!(
                    history(db, "rule", &"7".into(), 1, |_| true)?.iter().map(Event::seq).collect::<Vec<_>>(),
                    [2]
                );
                assert_eq!(kinds(db)?, ["other", "rule"]);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_push_reads_back_with_its_connector_and_url() {
        let (mut state, _folder) = state();
        state
            .commit(|db| {
                let payload: Record = [("x", Value::Integer(1))].into_iter().collect();
                let message = Message {
                    kind: "visits",
                    payload: &payload,
                    lane_key: Some("7"),
                    message: Some(("on_change", "a/0")),
                    body_hash: [0; 32],
                    to: Some(("calendar", "/x")),
                };
                take(db, &message, Timestamp(1))?;
                let event = read(db, 0, 1)?.remove(0);
                assert_eq!((event.dest.as_deref(), event.push.as_deref()), (Some("calendar"), Some("/x")));
                assert_eq!((event.key.get("id"), &*event.kind), (Some(&"7".into()), "visits"));
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn pruning_leaves_the_highest_row_so_that_no_number_comes_again() {
        let (mut state, _folder) = state();
        state
            .commit(|db| {
                for n in 1..=5 {
                    assert_eq!(post(db, "rule", Value::Integer(n), n), n);
                }
                assert_eq!((prune(db, 4)?, lowest(db)?, highest(db)?), (3, Some(4), 5));
                assert_eq!((prune(db, 99)?, lowest(db)?), (1, Some(5)));
                assert_eq!(post(db, "rule", Value::Integer(6), 6), 6);
                assert_eq!(last_taken_below(db, 6)?, Some(Timestamp(5)));
                assert!(row_bytes(db)? > 100);
                Ok(())
            })
            .unwrap();
    }
}
