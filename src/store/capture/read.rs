//! Reading the log: rows become events, decoded by the version they were captured under.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension as _, Row};

use super::CapturedLog;
use super::catalogue::{Catalogue, Version};
use super::fault::{CaptureError, Result};
use super::poll::Witness;
use super::trigger::BITS;
use crate::clock::Timestamp;
use crate::event::{Event, EventId, Op, Record, Value};
use crate::rules::lane::lane;

/// Columns of a log row before the masks.
pub(super) const FIXED: usize = 8;

impl CapturedLog {
    /// Events after a position, in order: at most `limit`, and no more once they hold `max_bytes` bytes of values
    /// (at least one). One short read transaction.
    pub fn read(&mut self, after: i64, limit: usize, max_bytes: usize) -> Result<Vec<Event>> {
        self.reading("read events", |log| {
            log.refresh_catalogue()?;
            log.rows("seq > ?1", after, limit, max_bytes)
        })
    }

    /// The same for who reads the log from end to end.
    ///
    /// # Errors
    /// [`CaptureError::Replaced`] when another row stands where the last one was read, or the log ends before it: these
    /// events follow others than those that were read.
    pub fn read_on(&mut self, after: i64, limit: usize, max_bytes: usize) -> Result<Vec<Event>> {
        let read = self.reading("read events", |log| {
            log.refresh_catalogue()?;
            if let Some(last) = log.last_read.filter(|last| last.seq == after)
                && !log.still_holds(last)?
            {
                return Ok(None);
            }
            log.rows("seq > ?1", after, limit, max_bytes).map(Some)
        })?;
        if let Some(events) = read {
            self.last_read = events.last().map(|last| last.id.into()).or(self.last_read);
            return Ok(events);
        }
        self.last_read = None;
        self.hold.iter().for_each(|hold| hold.doubt(after));
        self.leave()?;
        Err(CaptureError::Replaced { path: self.path.clone() })
    }

    /// What was read is no measure any more: a new epoch has begun.
    pub fn forget_read(&mut self) {
        self.last_read = None;
        self.durable = i64::MIN;
    }

    /// Whether a row that was read stands there still, or was pruned: the highest one never is.
    fn still_holds(&self, row: Witness) -> Result<bool> {
        match self.nonce(row.seq)? {
            Some(nonce) => Ok(nonce == row.nonce),
            None => Ok(self.highest_seq()? > row.seq),
        }
    }

    /// The event at a position, if it is still there.
    pub fn event_at(&mut self, seq: i64) -> Result<Option<Event>> {
        self.reading("read an event", |log| {
            log.refresh_catalogue()?;
            Ok(log.rows("seq = ?1", seq, 1, usize::MAX)?.pop())
        })
    }

    /// The highest position; 0 when nothing was ever captured.
    pub fn highest_seq(&self) -> Result<i64> {
        self.end_seq("SELECT ifnull(max(seq), 0) FROM main.hms_sync_outbox")
    }

    /// The lowest position that was not pruned; 0 when the log is empty.
    pub fn lowest_seq(&self) -> Result<i64> {
        self.end_seq("SELECT ifnull(min(seq), 0) FROM main.hms_sync_outbox")
    }

    /// The position of the first event captured at or after a time; none when there is none. What follows it in the log
    /// followed it in commit order, whatever the wall clock did meanwhile.
    pub fn first_since(&self, at: Timestamp) -> Result<Option<i64>> {
        self.tell("look for the first event since a time", || {
            // Half a millisecond: an event's time is rounded to the millisecond when it is read.
            let from = at.to_julian_day() - 0.5 / 86_400_000.0;
            let sql = "SELECT seq FROM main.hms_sync_outbox WHERE at >= ?1 ORDER BY seq LIMIT 1";
            Ok(self.conn.prepare_cached(sql)?.query_row([from], |row| row.get(0)).optional()?)
        })
    }

    fn end_seq(&self, sql: &str) -> Result<i64> {
        self.tell("look at the end of the log", || {
            Ok(self.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
        })
    }

    /// Decodes rows; the caller holds a transaction and has refreshed the catalogue.
    pub(super) fn rows(&self, condition: &str, seq: i64, limit: usize, max_bytes: usize) -> Result<Vec<Event>> {
        let catalogue = &self.catalogue;
        // The limit stands in the text: SQLite plans by a bound limit, and so prepares anew whenever one is bound.
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement =
            self.conn.prepare_cached(&format!("{} WHERE {condition} ORDER BY seq LIMIT {limit}", select(catalogue)))?;
        let mut rows = statement.query([seq])?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            if bytes >= max_bytes && !events.is_empty() {
                break;
            }
            events.push(decode(&self.name, catalogue, row, &mut bytes)?);
        }
        Ok(events)
    }
}

/// The columns that [`decode`] reads.
pub(super) fn select(catalogue: &Catalogue) -> String {
    let list = |letter: char, count: usize| (0..count).map(move |at| format!(",{letter}{at}"));
    let columns: String =
        list('m', catalogue.masks).chain(list('c', catalogue.width)).chain(list('p', catalogue.width)).collect();
    format!("SELECT seq,tid,op,ver,origin,dest,nonce,at{columns} FROM main.hms_sync_outbox")
}

pub(super) fn decode(log: &Arc<str>, catalogue: &Catalogue, row: &Row<'_>, bytes: &mut usize) -> Result<Event> {
    let seq: i64 = row.get(0)?;
    let broken = |cause: &str| CaptureError::Catalogue {
        entry: format!("row {seq} of hms_sync_outbox"),
        cause: cause.to_owned(),
    };
    let (tid, ver): (i64, i64) = (row.get(1)?, row.get(3)?);
    let version =
        catalogue.versions.get(&(tid, ver)).ok_or_else(|| broken(&format!("version/{tid}/{ver} is missing")))?;
    let epoch = catalogue.epoch_of(seq).ok_or_else(|| broken("no epoch covers it"))?;
    let nonce = match row.get_ref(6)? {
        ValueRef::Blob([a, b, c, d, ..]) => u32::from_be_bytes([*a, *b, *c, *d]),
        _ => return Err(broken("its nonce is not 8 bytes")),
    };
    let reader = RowReader { row, version, masks: catalogue.masks, width: catalogue.width, seq };
    let code = row.get_ref(2)?.as_bytes().ok().and_then(|text| text.first().copied());
    let code = code.ok_or_else(|| broken("it has no op"))?;
    let key = reader.key(Side::New, bytes)?;
    let (mut before, mut after, mut changed, mut old_key) = (None, None, Vec::new(), None);
    let op = match code {
        b'I' => {
            after = Some(reader.image(Side::New, bytes)?);
            changed = version.columns.to_vec();
            Op::Insert
        }
        b'U' | b'M' => {
            let now = reader.image(Side::New, bytes)?;
            let mut then = Vec::with_capacity(version.columns.len());
            for (slot, (column, value)) in now.iter().enumerate() {
                if reader.changed(slot)? {
                    changed.push(column.clone());
                    then.push(reader.value(slot, Side::Old, bytes)?);
                } else {
                    *bytes += weight(value);
                    then.push(value.clone());
                }
            }
            (before, after) = (Some(Record::shared(&version.columns, then)), Some(now));
            if code == b'M' {
                old_key = Some(reader.key(Side::Old, bytes)?);
            }
            Op::Update
        }
        b'R' => {
            after = Some(reader.image(Side::New, bytes)?);
            Op::Update
        }
        b'D' => {
            before = Some(reader.image(Side::New, bytes)?);
            Op::Delete
        }
        b'K' | b'G' => Op::Delete,
        _ => return Err(broken("its op is unknown")),
    };
    Ok(Event {
        id: EventId { epoch: epoch.short(), seq, nonce },
        log: log.clone(),
        kind: version.kind.clone(),
        op,
        lane: lane(log, &version.kind, &key, &version.folds),
        old_lane: old_key.as_ref().map(|key| lane(log, &version.kind, key, &version.folds)),
        key,
        old_key,
        before,
        after,
        changed,
        at: Timestamp::from_julian_day(row.get(7)?),
        origin: name(row.get_ref(4)?),
        dest: name(row.get_ref(5)?),
        push: None,
        synthetic: matches!(code, b'R' | b'G'),
    })
}

fn name(value: ValueRef<'_>) -> Option<Arc<str>> {
    match value {
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into()),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Old,
    New,
}

struct RowReader<'r> {
    row: &'r Row<'r>,
    version: &'r Version,
    masks: usize,
    width: usize,
    seq: i64,
}

impl RowReader<'_> {
    /// Whether an update changed this column: its old value is there, or was a NULL that is none any more.
    fn changed(&self, slot: usize) -> Result<bool> {
        let (new, old) = (FIXED + self.masks + slot, FIXED + self.masks + self.width + slot);
        if self.row.get_ref(old)? != ValueRef::Null {
            return Ok(true);
        }
        let mask: i64 = self.row.get(FIXED + slot / BITS)?;
        Ok(mask >> (slot % BITS) & 1 == 1 && self.row.get_ref(new)? != ValueRef::Null)
    }

    fn value(&self, slot: usize, side: Side, bytes: &mut usize) -> Result<Value> {
        if slot >= self.width {
            return Err(CaptureError::Catalogue {
                entry: format!("row {} of hms_sync_outbox", self.seq),
                cause: format!("hms_sync_outbox has no column c{slot}"),
            });
        }
        let old = side == Side::Old && self.changed(slot)?;
        let at = FIXED + self.masks + slot + if old { self.width } else { 0 };
        let value = value(self.row.get_ref(at)?);
        *bytes += weight(&value);
        Ok(value)
    }

    fn image(&self, side: Side, bytes: &mut usize) -> Result<Record> {
        let mut values = Vec::with_capacity(self.version.columns.len());
        for slot in 0..self.version.columns.len() {
            values.push(self.value(slot, side, bytes)?);
        }
        Ok(Record::shared(&self.version.columns, values))
    }

    fn key(&self, side: Side, bytes: &mut usize) -> Result<Record> {
        let mut key = Record::with_capacity(self.version.key.len());
        for slot in &self.version.key {
            if let Some(column) = self.version.columns.get(*slot) {
                key.push(column.clone(), self.value(*slot, side, bytes)?);
            }
        }
        Ok(key)
    }
}

/// Bytes that a value takes, about.
fn weight(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::BadText(bytes) | Value::Blob(bytes) => bytes.len(),
        _ => 8,
    }
}

/// A value as SQLite stores it, to the byte.
pub(super) fn value(stored: ValueRef<'_>) -> Value {
    match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::BadText(text.to_vec()),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
