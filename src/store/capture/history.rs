//! One record's history: which types the log knows, and what it still holds of one key.

use std::sync::Arc;

use rusqlite::types::Value as Sqlite;

use super::CapturedLog;
use super::fault::Result;
use super::read::{decode, select};
use crate::event::{Event, Record, Value};
use crate::rules::lane::{Collation, lane};

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
    /// How they have compared it in any version of the table.
    pub ever: Vec<Vec<Collation>>,
    /// Whether the table is captured now.
    pub watched: bool,
}

impl Kind {
    /// Whether this is what a person calls `name`: the type, or the table.
    pub fn is_called(&self, name: &str) -> bool {
        *self.kind == *name || self.table.eq_ignore_ascii_case(name)
    }

    /// The lanes in which a log has the events of a key, as a person writes it.
    pub fn lanes(&self, log: &str, wanted: &[Value]) -> Vec<u64> {
        // Every way to read each of its values.
        let keys = wanted.iter().fold(vec![Vec::new()], |keys, wanted| {
            let readings = readings(wanted);
            let with = |key: &Vec<Value>, value: &Value| key.iter().cloned().chain([value.clone()]).collect();
            keys.iter().flat_map(|key| readings.iter().map(move |value| with(key, value))).collect()
        });
        let record = |key: &Vec<Value>| self.key.iter().cloned().zip(key.iter().cloned()).collect::<Record>();
        let mut lanes: Vec<u64> = keys
            .iter()
            .flat_map(|key| {
                self.ever.iter().chain([&self.folds]).map(|folds| lane(log, &self.kind, &record(key), folds))
            })
            .collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes
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
                    ever: (log.catalogue.versions.iter())
                        .filter(|((of, _), _)| of == tid)
                        .map(|(_, version)| version.folds.clone())
                        .collect(),
                    watched: entry.watched,
                })
            });
            Ok(known.collect())
        })
    }

    /// What the log still holds of a record, under this key now or before: the newest `limit` events, oldest first. Only
    /// these positions are looked at, ranges with the newest first.
    pub fn history(&mut self, kind: &Kind, key: &[Value], limit: usize, places: &[(i64, i64)]) -> Result<Vec<Event>> {
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
            let (from, to) = (bound.len() + 1, bound.len() + 2);
            let mut statement = log.conn.prepare(&among(&select(catalogue), (from, to), &conditions.join(" OR ")))?;
            let mut events = Vec::new();
            'found: for (first, last) in places {
                let range = [Sqlite::Integer(*first), Sqlite::Integer(*last)];
                let mut rows = statement.query(rusqlite::params_from_iter(bound.iter().chain(&range)))?;
                while let Some(row) = rows.next()? {
                    let event = decode(&log.name, catalogue, row, &mut 0)?;
                    let moved = event.old_key.as_ref().is_some_and(|old| kind.is_key(old, key));
                    if moved || kind.is_key(&event.key, key) {
                        events.push(event);
                        if events.len() >= limit {
                            break 'found;
                        }
                    }
                }
            }
            events.reverse();
            Ok(events)
        })
    }
}

/// Rows between two positions that fit a condition, the newest first.
fn among(select: &str, (from, to): (usize, usize), conditions: &str) -> String {
    format!("{select} WHERE seq BETWEEN ?{from} AND ?{to} AND ({conditions}) ORDER BY seq DESC")
}

/// The values that an event's key may hold for what a person wrote.
fn readings(wanted: &Value) -> Vec<Value> {
    match wanted {
        Value::Text(text) => {
            let mut values = vec![wanted.clone()];
            values.extend(text.parse().ok().map(Value::Integer));
            values.extend(text.parse().ok().map(Value::Real));
            values
        }
        Value::Blob(bytes) => vec![wanted.clone(), Value::BadText(bytes.clone())],
        _ => vec![wanted.clone()],
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_range_of_the_log_is_read_by_position_and_nothing_is_sorted() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE hms_sync_outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, tid, ver, c0, p0)")
            .unwrap();
        let condition = "(tid = 1 AND ver = 1 AND (c0 IN (?1) OR p0 IN (?1)))";
        let sql = among("SELECT seq FROM main.hms_sync_outbox", (2, 3), condition);
        let plan: Vec<String> = db
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map((1, 1, 9), |row| row.get(3))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert_eq!(plan, ["SEARCH main.hms_sync_outbox USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]);
    }

    #[test]
    fn every_way_to_write_a_key_leads_to_the_lane_that_its_event_has() {
        let kind = Kind {
            kind: "visits".into(),
            table: "visits".into(),
            key: vec!["site".into(), "id".into()],
            folds: vec![Collation::NoCase, Collation::Binary],
            ever: vec![vec![Collation::Binary, Collation::Binary]],
            watched: true,
        };
        let of = |site: &str, id: Value, fold| {
            let key: Record = [("site", Value::from(site)), ("id", id)].into_iter().collect();
            lane("office", "visits", &key, &[fold, Collation::Binary])
        };
        let lanes = kind.lanes("office", &[Value::from("North"), Value::from("42")]);
        for id in [Value::from("42"), Value::Integer(42), Value::Real(42.0)] {
            assert!(lanes.contains(&of("NORTH", id.clone(), Collation::NoCase)));
            assert!(lanes.contains(&of("North", id.clone(), Collation::Binary)), "as an older version compared it");
            assert!(!lanes.contains(&of("NORTH", id, Collation::Binary)));
        }
        let lanes = kind.lanes("office", &[Value::Blob(b"\xff".to_vec()), Value::Integer(1)]);
        let bad: Record = [("site", Value::BadText(b"\xff".to_vec())), ("id", Value::Integer(1))].into_iter().collect();
        assert!(lanes.contains(&lane("office", "visits", &bad, &kind.folds)));
    }
}
