//! Looking at a table and at the unread part of its log in one snapshot: what reconcile compares.

use rusqlite::params_from_iter;

use super::CapturedLog;
use super::fault::Result;
use super::read::value;
use super::refresh::{Key, beyond, changed};
use super::trigger::quote;
use crate::event::{Event, Record, Value};

/// A piece of a table, in key order, and what the log said up to that moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    /// All events after the position that was asked for.
    pub events: Vec<Event>,
    /// (key, image of the captured columns).
    pub rows: Vec<(Record, Record)>,
}

impl CapturedLog {
    /// The event type of a watched table, named by either.
    pub fn kind_of(&mut self, table: &str) -> Result<std::sync::Arc<str>> {
        self.reading("look up a table", |log| {
            let (tid, _) = log.entry(table)?;
            log.catalogue.current(tid).map(|version| version.kind.clone()).ok_or_else(|| changed(table))
        })
    }

    /// Rows of a watched table after a key, at most `limit`, with all events after `unread`: one snapshot.
    pub fn scan(&mut self, table: &str, after: Option<&Record>, limit: usize, unread: i64) -> Result<Scan> {
        self.reading("scan a table", |log| {
            let (tid, _) = log.entry(table)?;
            let events = log.rows("seq > ?1", unread, usize::MAX, usize::MAX)?;
            let rows = log.with_plan(tid, |plan| {
                let (condition, keys) = beyond(plan, after, 1);
                let name = |at: &usize| plan.table.name_of(*at);
                let list: Vec<String> = plan.columns.iter().map(|at| format!("r.{}", quote(name(at)))).collect();
                let mut statement = log.conn.prepare_cached(&format!(
                    "SELECT {} FROM main.{} AS r WHERE {condition} ORDER BY {} LIMIT {limit}",
                    list.join(","),
                    quote(&plan.table.name),
                    plan.order("r")
                ))?;
                let mut rows = statement.query(params_from_iter(keys.into_iter().map(Key)))?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    let mut image = Record::with_capacity(plan.columns.len());
                    for (slot, at) in plan.columns.iter().enumerate() {
                        image.push(name(at), value(row.get_ref(slot)?));
                    }
                    let mut key = Record::with_capacity(plan.table.key.len());
                    for column in &plan.table.key {
                        key.push(name(&column.at), value(row.get_ref(plan.slot(column.at))?));
                    }
                    found.push((key, image));
                }
                Ok(found)
            })?;
            Ok(Scan { events, rows: rows.ok_or_else(|| changed(table))? })
        })
    }

    /// Which of these keys have no row, exactly so spelt, with all events after `unread`: one snapshot.
    pub fn absent(&mut self, table: &str, keys: Vec<Vec<Value>>, unread: i64) -> Result<(Vec<Event>, Vec<Vec<Value>>)> {
        self.reading("look for records", |log| {
            let (tid, _) = log.entry(table)?;
            let events = log.rows("seq > ?1", unread, usize::MAX, usize::MAX)?;
            let gone = log.with_plan(tid, |plan| {
                let place = |at: usize| {
                    format!("?{}", plan.table.key.iter().position(|key| key.at == at).map_or(1, |place| place + 1))
                };
                let mut statement = log.conn.prepare_cached(&format!(
                    "SELECT 1 FROM main.{} AS r WHERE {}",
                    quote(&plan.table.name),
                    plan.key("r", place)
                ))?;
                let mut gone = Vec::new();
                for key in keys {
                    if key.len() != plan.table.key.len() || !statement.exists(params_from_iter(key.iter().map(Key)))? {
                        gone.push(key);
                    }
                }
                Ok(gone)
            })?;
            Ok((events, gone.ok_or_else(|| changed(table))?))
        })
    }
}
