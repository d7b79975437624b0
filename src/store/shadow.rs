//! The shadow: for each record of a watched table, a hash of the image as the log last told it.
//!
//! It is the baseline of reconcile. Whatever changed in the table without an event (a blob written in place, a
//! trigger that was missing, a log that was full) differs from the shadow, and only that is sent again. The
//! shadow follows the log, so every comparison first applies the events that were not read yet, in the very
//! snapshot that it compares.

mod compare;
mod owed;
pub mod trail;

use aws_lc_rs::digest;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Op, Record, Value};
use crate::store::capture::{CaptureError, CapturedLog};

pub use compare::{Comparison, compare};
pub use owed::{recall, settle};

/// What can go wrong with the shadow.
#[derive(Debug, thiserror::Error)]
pub enum ShadowError {
    /// The state file.
    #[error("state file, shadow: {0}")]
    State(#[from] rusqlite::Error),
    /// The application's file.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Events were applied that do not follow those applied before.
    #[error("the shadow of log {log} stands at {at}, events after {after} do not follow; catch up first")]
    Gap {
        /// The log.
        log: String,
        /// Where the shadow stands.
        at: i64,
        /// Where the events begin.
        after: i64,
    },
}

impl ShadowError {
    /// Whether another process kept a lock for longer than we wait.
    pub fn is_busy(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, FileLockingProtocolFailed};
        match self {
            ShadowError::State(error) => {
                matches!(error.sqlite_error_code(), Some(DatabaseBusy | FileLockingProtocolFailed))
            }
            ShadowError::Capture(error) => matches!(error, CaptureError::Busy { .. }),
            ShadowError::Gap { .. } => false,
        }
    }

    /// Whether the disk is full or failing, as far as can be told.
    pub fn is_disk(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
        match self {
            ShadowError::State(error) => {
                matches!(error.sqlite_error_code(), Some(CannotOpen | DiskFull | SystemIoFailure))
            }
            ShadowError::Capture(error) => error.is_disk(),
            ShadowError::Gap { .. } => false,
        }
    }
}

/// A result about the shadow.
pub type Result<T> = std::result::Result<T, ShadowError>;

/// The entry of `shadow_at` that holds the log's position; a type's own entry says that it was filled.
const LOG: &str = "";

/// The position up to which the shadow knows a log.
pub fn position(state: &Connection, log: &str) -> Result<i64> {
    let mut statement = state.prepare_cached("SELECT seq FROM shadow_at WHERE log = ?1 AND kind = ?2")?;
    Ok(statement.query_row(params![log, LOG], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Sets the position: at the first watch (there is nothing before it), and when a new epoch begins. A position
/// that is set by hand needs a [`fill`] of every type.
pub fn set_position(state: &Connection, log: &str, seq: i64) -> Result<()> {
    trail::forget(state, log)?;
    mark(state, log, LOG, seq)
}

fn mark(state: &Connection, log: &str, kind: &str, seq: i64) -> Result<()> {
    state
        .prepare_cached("INSERT OR REPLACE INTO shadow_at (log, kind, seq) VALUES (?1, ?2, ?3)")?
        .execute(params![log, kind, seq])?;
    Ok(())
}

/// Nothing is known of the images of a log's records any more, only that they were told: a comparison sends them all.
pub fn doubt(state: &Connection, log: &str) -> Result<()> {
    state.execute("UPDATE shadow SET hash = x'' WHERE log = ?1", [log])?;
    Ok(())
}

/// Whether a type was filled; an unfilled one would be sent whole by reconcile.
pub fn is_filled(state: &Connection, log: &str, kind: &str) -> Result<bool> {
    let mut statement = state.prepare_cached("SELECT 1 FROM shadow_at WHERE log = ?1 AND kind = ?2")?;
    Ok(statement.exists(params![log, kind])?)
}

/// Whether a record with such a key is known. Looks at all keys of the type: text is compared by the caller's rules.
pub fn any_key(
    state: &Connection,
    log: &str,
    kind: &str,
    is_meant: impl Fn(Vec<Value>) -> bool,
) -> rusqlite::Result<bool> {
    let mut statement = state.prepare_cached("SELECT key FROM shadow WHERE log = ?1 AND kind = ?2")?;
    let mut rows = statement.query([log, kind])?;
    while let Some(row) = rows.next()? {
        if is_meant(decode_key(row.get_ref(0)?.as_blob()?)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets a type: it is no longer watched.
pub fn forget(state: &Connection, log: &str, kind: &str) -> Result<()> {
    state.execute("DELETE FROM shadow WHERE log = ?1 AND kind = ?2", [log, kind])?;
    state.execute("DELETE FROM shadow_at WHERE log = ?1 AND kind = ?2", [log, kind])?;
    state.execute("DELETE FROM shadow_gone WHERE log = ?1 AND kind = ?2", [log, kind])?;
    Ok(())
}

/// Applies events as they are read: all that follow position `after`. Those applied before are passed over.
/// Runs inside the caller's transaction, so that it is part of the group commit.
///
/// # Errors
/// [`ShadowError::Gap`] when `after` is beyond the shadow's position.
pub fn apply(state: &Connection, log: &str, after: i64, events: &[Event]) -> Result<()> {
    let at = position(state, log)?;
    if after > at {
        return Err(ShadowError::Gap { log: log.to_owned(), at, after });
    }
    let passed = owed::passed(state, log)?;
    let mut remove = state.prepare_cached("DELETE FROM shadow WHERE log = ?1 AND kind = ?2 AND key = ?3")?;
    for event in events.iter().filter(|event| event.seq() > at) {
        let owed = Some(event.seq()).filter(|seq| *seq > passed);
        let mut remove = |key: Vec<u8>| -> Result<()> {
            let was_known = remove.execute(params![log, &*event.kind, key])? > 0;
            match owed.filter(|_| was_known) {
                Some(seq) => owed::note_gone(state, log, &event.kind, &key, seq),
                None => Ok(()),
            }
        };
        if let Some(old) = &event.old_key {
            remove(encode_key(old.iter().map(|(_, value)| value)))?;
        }
        let key = encode_key(event.key.iter().map(|(_, value)| value));
        match (event.op, &event.after) {
            (Op::Insert | Op::Update, Some(image)) => put(state, log, &event.kind, &key, image, owed)?,
            (Op::Delete, _) => remove(key)?,
            _ => {}
        }
    }
    match events.last() {
        Some(last) if last.seq() > at => {
            let first = events.iter().position(|event| event.seq() > at).unwrap_or(0);
            trail::lay(state, log, events.get(first..).unwrap_or_default())?;
            mark(state, log, LOG, last.seq())
        }
        _ => Ok(()),
    }
}

/// `owed`: the position that told the image, when not every connector has passed that.
fn put(state: &Connection, log: &str, kind: &str, key: &[u8], image: &Record, owed: Option<i64>) -> Result<()> {
    let hash = match owed {
        Some(seq) => owed::marked(hash(image), seq),
        None => hash(image),
    };
    state
        .prepare_cached("INSERT OR REPLACE INTO shadow (log, kind, key, hash) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![log, kind, key, hash])?;
    Ok(())
}

/// Applies what the log holds beyond the shadow's position; returns the position reached.
pub fn catch_up(state: &Connection, log: &mut CapturedLog) -> Result<i64> {
    const EVENTS: usize = 1000;
    const BYTES: usize = 1 << 20;
    let mut has_moved = false;
    loop {
        let at = position(state, log.name())?;
        let events = log.read(at, EVENTS, BYTES)?;
        if events.is_empty() {
            if has_moved {
                trail::prune(state, log.name(), log.lowest_seq()?)?;
            }
            return Ok(at);
        }
        has_moved = true;
        // The shadow must not know what a power cut can take back.
        log.sync_wal()?;
        atomically(state, || apply(state, log.name(), at, &events))?;
    }
}

/// Takes a whole table into the shadow, in pieces of `rows` rows: at `watch`. Nothing is sent. Of a record that the log
/// has told, the shadow keeps what was told: should the row be another by now, nobody has told that.
pub fn fill(state: &Connection, log: &mut CapturedLog, table: &str, rows: usize) -> Result<u64> {
    let kind = log.kind_of(table)?;
    let mut after: Option<Record> = None;
    let mut filled = 0;
    loop {
        let at = catch_up(state, log)?;
        let scan = log.scan(table, after.as_ref(), rows, at)?;
        atomically(state, || {
            apply(state, log.name(), at, &scan.events)?;
            for (key, image) in &scan.rows {
                let key = encode_key(key.iter().map(|(_, value)| value));
                if known_hash(state, log.name(), &kind, &key)?.is_none() {
                    put(state, log.name(), &kind, &key, image, None)?;
                }
            }
            Ok(())
        })?;
        filled += scan.rows.len() as u64;
        let Some((key, _)) = scan.rows.into_iter().next_back() else {
            mark(state, log.name(), &kind, at)?;
            return Ok(filled);
        };
        after = Some(key);
    }
}

/// What a reconcile found and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Records compared.
    pub compared: u64,
    /// Images sent again, because the table had another (or a new) one than the log told.
    pub images: u64,
    /// Deletes sent, because the log told of a record that the table no longer has.
    pub deletes: u64,
}

/// A reconcile of one table, a step at a time, so that the caller can pace it.
#[derive(Debug)]
pub struct Reconcile {
    table: String,
    kind: std::sync::Arc<str>,
    force: bool,
    stage: Stage,
    gone: Vec<Vec<Value>>,
    /// Keys of rows that differ and are not sent yet.
    differing: Vec<Vec<Value>>,
    report: Report,
}

#[derive(Debug)]
enum Stage {
    /// Which records of the shadow have no row? After this encoded key.
    Gone(Vec<u8>),
    /// Which rows differ? After this key.
    Images(Option<Record>),
    /// Write the deletes.
    Deletes,
    Done,
}

/// A reconcile that deletes more than this many, and more than 5 % of the records, needs a person.
const FREE_DELETES: u64 = 100;

/// How many of so many known records may be deleted unasked.
fn free_deletes(records: u64) -> u64 {
    FREE_DELETES.max(records / 20)
}

impl Reconcile {
    /// A reconcile of a watched table, by name or event type. `force` = delete however many are gone.
    pub fn new(log: &mut CapturedLog, table: &str, force: bool) -> Result<Reconcile> {
        let kind = log.kind_of(table)?;
        let (table, stage) = (table.to_owned(), Stage::Gone(Vec::new()));
        let (gone, differing) = (Vec::new(), Vec::new());
        Ok(Reconcile { table, kind, force, stage, gone, differing, report: Report::default() })
    }

    /// Compares the next `rows` records, or sends some of those that were found to differ, in one short write
    /// transaction; true when all is done. Nothing is held between steps: a caller that pauses after each step that
    /// wrote leaves the file to the application.
    ///
    /// # Errors
    /// [`CaptureError::TooManyDeletes`] before anything was written.
    pub fn step(&mut self, state: &Connection, log: &mut CapturedLog, rows: usize) -> Result<bool> {
        match &self.stage {
            Stage::Gone(after) => {
                let after = after.clone();
                self.look_for_gone(state, log, &after, rows)?;
            }
            // What stands by now is sent, which may be newer than what was compared.
            Stage::Images(_) if !self.differing.is_empty() => {
                self.report.images += send(log, &self.table, &mut self.differing)?;
            }
            Stage::Images(after) => {
                let after = after.clone();
                self.compare(state, log, after.as_ref(), rows)?;
            }
            Stage::Deletes => {
                self.report.deletes += send(log, &self.table, &mut self.gone)?;
                if self.gone.is_empty() {
                    self.stage = Stage::Done;
                }
            }
            Stage::Done => {}
        }
        Ok(matches!(self.stage, Stage::Done))
    }

    /// What was found so far.
    pub fn report(&self) -> Report {
        self.report
    }

    fn look_for_gone(&mut self, state: &Connection, log: &mut CapturedLog, after: &[u8], rows: usize) -> Result<()> {
        let at = catch_up(state, log)?;
        let keys: Vec<Vec<u8>> = state
            .prepare_cached("SELECT key FROM shadow WHERE log = ?1 AND kind = ?2 AND key > ?3 ORDER BY key LIMIT ?4")?
            .query_map(params![log.name(), &*self.kind, after, rows as i64], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let Some(last) = keys.last().cloned() else {
            return self.judge_deletes(state, log);
        };
        let (events, gone) = log.absent(&self.table, keys.iter().map(|key| decode_key(key)).collect(), at)?;
        atomically(state, || apply(state, log.name(), at, &events))?;
        // Those that an unread event deleted left the shadow just now.
        for key in gone {
            if known_hash(state, log.name(), &self.kind, &encode_key(&key))?.is_some() {
                self.gone.push(key);
            }
        }
        self.stage = Stage::Gone(last);
        Ok(())
    }

    fn judge_deletes(&mut self, state: &Connection, log: &CapturedLog) -> Result<()> {
        let records: i64 = state
            .prepare_cached("SELECT count(*) FROM shadow WHERE log = ?1 AND kind = ?2")?
            .query_row(params![log.name(), &*self.kind], |row| row.get(0))?;
        let limit = free_deletes(u64::try_from(records).unwrap_or(0));
        let deletes = self.gone.len() as u64;
        if deletes > limit && !self.force {
            return Err(CaptureError::TooManyDeletes { table: self.table.clone(), deletes, limit }.into());
        }
        self.stage = Stage::Images(None);
        Ok(())
    }

    fn compare(
        &mut self,
        state: &Connection,
        log: &mut CapturedLog,
        after: Option<&Record>,
        rows: usize,
    ) -> Result<()> {
        let at = catch_up(state, log)?;
        let scan = log.scan(&self.table, after, rows, at)?;
        atomically(state, || apply(state, log.name(), at, &scan.events))?;
        self.report.compared += scan.rows.len() as u64;
        for (key, image) in &scan.rows {
            let encoded = encode_key(key.iter().map(|(_, value)| value));
            if known_hash(state, log.name(), &self.kind, &encoded)?.as_deref() != Some(hash(image).as_slice()) {
                let key: Vec<Value> = key.iter().map(|(_, value)| value.clone()).collect();
                self.differing.push(key);
            }
        }
        self.stage = match scan.rows.into_iter().next_back() {
            Some((key, _)) => Stage::Images(Some(key)),
            None => Stage::Deletes,
        };
        Ok(())
    }
}

/// Sends the first of these records, as many as one short write transaction takes; returns how many went.
fn send(log: &mut CapturedLog, table: &str, keys: &mut Vec<Vec<Value>>) -> Result<u64> {
    let sent = log.refresh_exact(table, keys, None)?.len();
    keys.drain(..sent);
    Ok(sent as u64)
}

fn known_hash(state: &Connection, log: &str, kind: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut statement = state.prepare_cached("SELECT hash FROM shadow WHERE log = ?1 AND kind = ?2 AND key = ?3")?;
    Ok(statement.query_row(params![log, kind, key], |row| row.get(0)).optional()?.map(owed::bare))
}

/// Runs `work` as one unit, inside a transaction of the caller's or not.
fn atomically<T>(state: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // Inside a caller's transaction a savepoint; else a transaction that takes the lock before it reads, because one
    // that reads first is refused when another connection writes meanwhile.
    let (begin, end, undo) = if state.is_autocommit() {
        ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
    } else {
        ("SAVEPOINT shadow", "RELEASE shadow", "ROLLBACK TO shadow; RELEASE shadow")
    };
    state.execute_batch(begin)?;
    let done = work();
    state.execute_batch(if done.is_ok() { end } else { undo })?;
    done
}

/// SHA-256 over a canonical encoding of the image. A NULL counts as absent, so that a column added without a
/// default leaves every hash as it was. Names count: after a column is renamed every record is sent again, because a
/// record that is sent whole carries the name, and no target would learn the new one otherwise.
fn hash(image: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in image.iter().filter(|(_, value)| **value != Value::Null) {
        encode(&Value::from(&**name), &mut bytes);
        encode(value, &mut bytes);
    }
    digest::digest(&digest::SHA256, &bytes).as_ref().to_vec()
}

fn encode_key<'v>(values: impl IntoIterator<Item = &'v Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.into_iter().for_each(|value| encode(value, &mut bytes));
    bytes
}

/// A letter for the class, then eight bytes of number, or eight of length and the bytes.
fn encode(value: &Value, to: &mut Vec<u8>) {
    let mut part = |class: u8, number: u64, bytes: &[u8]| {
        to.push(class);
        to.extend_from_slice(&number.to_be_bytes());
        to.extend_from_slice(bytes);
    };
    match value {
        Value::Integer(number) => part(b'i', number.cast_unsigned(), &[]),
        Value::Real(number) => part(b'r', number.to_bits(), &[]),
        Value::Text(text) => part(b't', text.len() as u64, text.as_bytes()),
        Value::BadText(text) => part(b't', text.len() as u64, text),
        Value::Blob(bytes) => part(b'b', bytes.len() as u64, bytes),
        // SQLite has no other classes.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => part(b'n', 0, &[]),
    }
}

fn decode_key(mut bytes: &[u8]) -> Vec<Value> {
    let mut values = Vec::new();
    while let Some((class, rest)) = bytes.split_first() {
        let Some((number, rest)) = rest.split_first_chunk::<8>() else { break };
        let number = u64::from_be_bytes(*number);
        let length = if matches!(class, b't' | b'b') { usize::try_from(number).unwrap_or(usize::MAX) } else { 0 };
        let Some((part, rest)) = rest.split_at_checked(length) else { break };
        values.push(match class {
            b'i' => Value::Integer(number.cast_signed()),
            b'r' => Value::Real(f64::from_bits(number)),
            b't' => match String::from_utf8(part.to_vec()) {
                Ok(text) => Value::Text(text.into()),
                Err(bad) => Value::BadText(bad.into_bytes()),
            },
            b'b' => Value::Blob(part.to_vec()),
            _ => Value::Null,
        });
        bytes = rest;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_any_class_reads_back_as_it_was() {
        let key = vec![
            Value::Integer(-5),
            Value::Real(0.1),
            Value::Text("na\u{ef}ve".into()),
            Value::BadText(vec![0xff, 0x41]),
            Value::Blob(vec![0, 255]),
            Value::Null,
        ];
        assert_eq!(decode_key(&encode_key(&key)), key);
    }

    #[test]
    fn a_null_counts_as_absent_and_every_other_difference_changes_the_hash() {
        let image = |fields: &[(&str, Value)]| -> Record {
            fields.iter().map(|(name, value)| (*name, value.clone())).collect()
        };
        let base = image(&[("a", Value::Integer(5)), ("b", "x".into())]);
        assert_eq!(hash(&base), hash(&image(&[("a", Value::Integer(5)), ("b", "x".into()), ("c", Value::Null)])));
        for other in [
            image(&[("a", Value::Real(5.0)), ("b", "x".into())]),
            image(&[("a", Value::Integer(5)), ("b", Value::Blob(b"x".to_vec()))]),
            image(&[("a", Value::Integer(5)), ("c", "x".into())]),
            image(&[("a", Value::Integer(5))]),
        ] {
            assert_ne!(hash(&base), hash(&other));
        }
    }
}
