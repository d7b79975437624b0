//! One record's history: which types the log knows, and what it still holds of one key.

use std::sync::Arc;

use rusqlite::types::Value as Sqlite;

use super::CapturedLog;
use super::fault::Result;
use super::read::{decode, select};
use crate::event::{Event, Record, Value};
use crate::rules::lane::Collation;

/// A type of events in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub kind: Arc<str>,
    /// The table it comes from.
    pub table: String,
    /// Key columns, in key order.
    pub key: Vec<Arc<str>>,
    /// How they compare text.
    pub folds: Vec<Collation>,
    /// Whether the table is captured now.
    pub watched: bool,
}

impl Kind {
    /// Whether this is what a person calls `name`: the type, or the table.
    pub fn is_called(&self, name: &str) -> bool {
        *self.kind == *name || self.table.eq_ignore_ascii_case(name)
    }

    /// Whether a key is the one that was asked for, as a person writes it: the text `42` is also the number.
    pub fn is_key(&self, key: &Record, wanted: &[Value]) -> bool {
        key.len() == wanted.len()
            && key
                .iter()
                .zip(wanted)
                .enumerate()
                .all(|(at, ((_, value), wanted))| same(value, wanted, self.folds.get(at).copied().unwrap_or_default()))
    }
}

fn same(value: &Value, wanted: &Value, fold: Collation) -> bool {
    match (value, wanted) {
        (Value::Text(text), Value::Text(wanted)) => match fold {
            Collation::Binary => text == wanted,
            Collation::NoCase => text.eq_ignore_ascii_case(wanted),
            Collation::RTrim => text.trim_end_matches(' ') == wanted.trim_end_matches(' '),
        },
        (Value::BadText(bytes), Value::Blob(wanted)) => bytes == wanted,
        (Value::Integer(number), Value::Real(wanted)) | (Value::Real(wanted), Value::Integer(number)) => {
            *number as f64 == *wanted
        }
        (number @ (Value::Integer(_) | Value::Real(_)), Value::Text(wanted)) => {
            number.as_text().as_deref() == Some(wanted)
        }
        _ => value == wanted,
    }
}

impl CapturedLog {
    /// Every type of events that the log knows, also of tables that are not captured any more.
    pub fn kinds(&mut self) -> Result<Vec<Kind>> {
        self.reading("look at the types", |log| {
            if log.own_tables()?.is_empty() {
                return Ok(Vec::new());
            }
            log.refresh_catalogue()?;
            let known = log.catalogue.entries.iter().filter_map(|(tid, entry)| {
                let version = log.catalogue.current(*tid)?;
                Some(Kind {
                    kind: version.kind.clone(),
                    table: entry.spec.table.clone(),
                    key: version.key.iter().filter_map(|slot| version.columns.get(*slot).cloned()).collect(),
                    folds: version.folds.clone(),
                    watched: entry.watched,
                })
            });
            Ok(known.collect())
        })
    }

    /// What the log still holds of a record, under this key now or before: the newest `limit` events, oldest first.
    pub fn history(&mut self, kind: &Kind, key: &[Value], limit: usize) -> Result<Vec<Event>> {
        self.reading("look for a record", |log| {
            log.refresh_catalogue()?;
            let catalogue = &log.catalogue;
            // A superset by the first column of the key, in SQLite; the rest is compared as events.
            let (mut conditions, mut bound) = (Vec::new(), Vec::<Sqlite>::new());
            for ((tid, ver), version) in &catalogue.versions {
                let (Some(slot), Some(first)) = (version.key.first(), key.first()) else { continue };
                if version.kind != kind.kind || version.key.len() != key.len() {
                    continue;
                }
                let fold = match version.folds.first() {
                    Some(Collation::NoCase) => " COLLATE NOCASE",
                    Some(Collation::RTrim) => " COLLATE RTRIM",
                    _ => "",
                };
                let values = spellings(first);
                let marks: Vec<String> = (1..=values.len()).map(|n| format!("?{}", bound.len() + n)).collect();
                let marks = marks.join(", ");
                conditions.push(format!(
                    "(tid = {tid} AND ver = {ver} AND (c{slot}{fold} IN ({marks}) OR p{slot}{fold} IN ({marks})))"
                ));
                bound.extend(values);
            }
            if conditions.is_empty() {
                return Ok(Vec::new());
            }
            let conditions = conditions.join(" OR ");
            let mut statement =
                log.conn.prepare(&format!("{} WHERE {conditions} ORDER BY seq DESC", select(catalogue)))?;
            let mut rows = statement.query(rusqlite::params_from_iter(bound))?;
            let mut events = Vec::new();
            while let Some(row) = rows.next()? {
                let event = decode(&log.name, catalogue, row, &mut 0)?;
                let moved = event.old_key.as_ref().is_some_and(|old| kind.is_key(old, key));
                if moved || kind.is_key(&event.key, key) {
                    events.push(event);
                    if events.len() >= limit {
                        break;
                    }
                }
            }
            events.reverse();
            Ok(events)
        })
    }
}

/// The values that SQLite may hold for what a person wrote.
fn spellings(wanted: &Value) -> Vec<Sqlite> {
    match wanted {
        Value::Text(text) => {
            let mut values = vec![Sqlite::Text(text.to_string())];
            values.extend(text.parse().ok().map(Sqlite::Integer));
            values.extend(text.parse().ok().map(Sqlite::Real));
            values
        }
        Value::Integer(number) => vec![Sqlite::Integer(*number)],
        Value::Real(number) => vec![Sqlite::Real(*number)],
        Value::Blob(bytes) => {
            let text = String::from_utf8(bytes.clone()).ok().map(Sqlite::Text);
            std::iter::once(Sqlite::Blob(bytes.clone())).chain(text).collect()
        }
        _ => Vec::new(),
    }
}
