//! Comparing a table with the shadow and writing nothing: is everything that stands in the table what the log has told?

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{Result, decode_key, encode_key, free_deletes, hash, is_filled, known_hash, position};
use crate::event::{Event, Op, Record, Value};
use crate::store::capture::CapturedLog;

/// What a comparison found. A reconcile would send exactly these again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Rows of the table.
    pub rows: u64,
    /// Rows that the log never told of.
    pub missing: u64,
    /// Rows whose last told image is another.
    pub different: u64,
    /// Records that the log told of and that have no row.
    pub superfluous: u64,
}

impl Comparison {
    /// Whether table and log agree.
    pub fn agrees(&self) -> bool {
        self.missing + self.different + self.superfluous == 0
    }

    /// Whether a reconcile would stop and ask a person, because very many records are gone.
    pub fn asks(&self) -> bool {
        self.superfluous > free_deletes(self.rows - self.missing.min(self.rows) + self.superfluous)
    }
}

/// What the log tells beyond the shadow, which is not written: by key, the hash of the image, or none once deleted.
#[derive(Default)]
struct Unread {
    at: i64,
    told: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Unread {
    fn apply(&mut self, kind: &str, events: &[Event]) {
        for event in events {
            self.at = self.at.max(event.seq());
            if *event.kind != *kind {
                continue;
            }
            if let Some(old) = &event.old_key {
                self.told.insert(encode_key(old.iter().map(|(_, value)| value)), None);
            }
            let key = encode_key(event.key.iter().map(|(_, value)| value));
            match (event.op, &event.after) {
                (Op::Insert | Op::Update, Some(image)) => drop(self.told.insert(key, Some(hash(image)))),
                (Op::Delete, _) => drop(self.told.insert(key, None)),
                _ => {}
            }
        }
    }
}

/// Compares a watched table with the shadow, `rows` at a time: each look at the application's file is one short read
/// transaction, in which the events that were not read yet are read too. `state` must be one snapshot. None = the table was
/// never taken into the shadow.
pub fn compare(state: &Connection, log: &mut CapturedLog, table: &str, rows: usize) -> Result<Option<Comparison>> {
    let kind = log.kind_of(table)?;
    let name = log.name().to_owned();
    if !is_filled(state, &name, &kind)? {
        return Ok(None);
    }
    let mut unread = Unread { at: position(state, &name)?, told: HashMap::new() };
    loop {
        let events = log.read(unread.at, 1000, 1 << 20)?;
        if events.is_empty() {
            break;
        }
        unread.apply(&kind, &events);
    }
    let mut found = Comparison::default();
    let mut after: Option<Record> = None;
    loop {
        let scan = log.scan(table, after.as_ref(), rows, unread.at)?;
        unread.apply(&kind, &scan.events);
        for (key, image) in &scan.rows {
            let key = encode_key(key.iter().map(|(_, value)| value));
            let told = match unread.told.get(&key) {
                Some(told) => told.clone(),
                None => known_hash(state, &name, &kind, &key)?,
            };
            match told {
                None => found.missing += 1,
                Some(told) if told != hash(image) => found.different += 1,
                Some(_) => {}
            }
        }
        found.rows += scan.rows.len() as u64;
        let Some((key, _)) = scan.rows.into_iter().next_back() else { break };
        after = Some(key);
    }
    let mut last = Vec::new();
    loop {
        let keys: Vec<Vec<u8>> = state
            .prepare_cached("SELECT key FROM shadow WHERE log = ?1 AND kind = ?2 AND key > ?3 ORDER BY key LIMIT ?4")?
            .query_map(params![name, &*kind, last, rows as i64], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let Some(end) = keys.last().cloned() else { break };
        found.superfluous += gone(log, table, &kind, &keys, &mut unread)?;
        last = end;
    }
    let mut news = Vec::new();
    for (key, told) in &unread.told {
        if told.is_some() && known_hash(state, &name, &kind, key)?.is_none() {
            news.push(key.clone());
        }
    }
    for keys in news.chunks(rows) {
        found.superfluous += gone(log, table, &kind, keys, &mut unread)?;
    }
    Ok(Some(found))
}

/// How many of these records have no row, and no event that says so.
fn gone(log: &mut CapturedLog, table: &str, kind: &str, keys: &[Vec<u8>], unread: &mut Unread) -> Result<u64> {
    let values: Vec<Vec<Value>> = keys.iter().map(|key| decode_key(key)).collect();
    let (events, gone) = log.absent(table, values, unread.at)?;
    unread.apply(kind, &events);
    let told = |key: &Vec<Value>| unread.told.get(&encode_key(key)) == Some(&None);
    Ok(gone.iter().filter(|key| !told(key)).count() as u64)
}
