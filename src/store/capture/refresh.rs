//! Synthetic events: the current state of rows, sent again. Written into the log itself by `INSERT ... SELECT`, so
//! that `seq` stays the true order beside the application's own changes.

use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, params_from_iter};

use super::fault::{CaptureError, Result};
use super::read::value;
use super::trigger::{Plan, quote};
use super::{CapturedLog, filter};
use crate::event::{Record, Value};

/// A write transaction of [`CapturedLog::refresh_exact`] holds at most this many rows,
const SHORT_ROWS: usize = 50;
/// and takes no further row after this time: what is left of 10 ms is for the commit.
const SHORT: Duration = Duration::from_millis(5);

/// What one call of [`CapturedLog::refresh`] wrote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refreshed {
    /// How many rows.
    pub count: usize,
    /// Key of the last one, to go on after; none when no row was left.
    pub last: Option<Record>,
}

/// What became of one key in [`CapturedLog::refresh_key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The row stands; its image is written at this position.
    Image(i64),
    /// No such row; a delete is written at this position.
    Gone(i64),
}

/// A value of a key as SQLite takes it.
pub(super) struct Key<'v>(pub(super) &'v Value);

impl ToSql for Key<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Bool(flag) => ValueRef::Integer(i64::from(*flag)),
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Number(digits) => ValueRef::Text(digits.as_bytes()),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::BadText(text) => ValueRef::Text(text),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::List(_) | Value::Map(_) => {
                return Err(rusqlite::Error::ToSqlConversionFailure("a key is one value a column".into()));
            }
        }))
    }
}

impl CapturedLog {
    /// Writes the current image of rows of a watched table (by name or event type) as synthetic events, in key
    /// order, at most `limit` in one short write transaction; go on with `after` = the last key. `filter` is an
    /// operator's SQL expression; `dest` names the one connector they are for, none means all that listen.
    pub fn refresh(
        &mut self,
        table: &str,
        filter: Option<&str>,
        dest: Option<&str>,
        after: Option<&Record>,
        limit: usize,
    ) -> Result<Refreshed> {
        self.writing("write synthetic events", |log| {
            let (tid, entry) = log.entry(table)?;
            if let Some(filter) = filter {
                filter::check(&log.conn, &entry.spec.table, filter)?;
            }
            let done = log.with_plan(tid, |plan| {
                let (beyond, keys) = beyond(plan, after, 2);
                let mut statement = log.conn.prepare_cached(&plan.refresh(&parenthesised(filter), &beyond, limit))?;
                let mut values: Vec<Box<dyn ToSql + '_>> = vec![Box::new(dest)];
                values.extend(keys.into_iter().map(|key| Box::new(Key(key)) as Box<dyn ToSql>));
                let count = statement.execute(params_from_iter(values))?;
                let last = match count {
                    0 => None,
                    _ => Some(log.key_of_row(plan, log.conn.last_insert_rowid())?),
                };
                Ok(Refreshed { count, last })
            })?;
            done.ok_or_else(|| changed(table))
        })
    }

    /// Writes one record's current state: its image, or a delete when no such row stands. Values of the key may
    /// come from a command line: text is taken as the column takes it, and any spelling that the key's collation
    /// finds equal is found.
    pub fn refresh_key(&mut self, table: &str, key: &[Value], dest: Option<&str>) -> Result<Sent> {
        let sent = self.refresh_each(table, &[key], dest, as_written)?;
        sent.first().copied().ok_or_else(|| changed(table))
    }

    /// Whether a row stands that [`CapturedLog::refresh_key`] would find. Writes nothing.
    pub fn stands(&mut self, table: &str, key: &[Value]) -> Result<bool> {
        self.reading("look for a row", |log| {
            let (tid, _) = log.entry(table)?;
            let stands = log.with_plan(tid, |plan| {
                need_length(plan, key)?;
                let places = plan.table.key.iter().enumerate();
                let here: Vec<String> =
                    places.map(|(place, key)| as_written(plan, key.at, format!("?{}", place + 1))).collect();
                let sql = format!("SELECT 1 FROM main.{} AS r WHERE {}", quote(&plan.table.name), here.join(" AND "));
                Ok(log.conn.prepare_cached(&sql)?.exists(params_from_iter(key.iter().map(Key)))?)
            })?;
            stands.ok_or_else(|| changed(table))
        })
    }

    /// The current state of records by their keys to the byte, as reconcile has them: a row under another spelling is another record. As many of
    /// them, from the first on, as one short write transaction takes (at least one); the caller goes on with the rest.
    pub fn refresh_exact(
        &mut self,
        table: &str,
        keys: &[impl AsRef<[Value]>],
        dest: Option<&str>,
    ) -> Result<Vec<Sent>> {
        self.refresh_each(table, keys, dest, |plan, at, place| {
            let only =
                |other: usize| if other == at { place.clone() } else { format!("r.{}", column_name(plan, other)) };
            plan.key("r", only)
        })
    }

    fn refresh_each(
        &mut self,
        table: &str,
        keys: &[impl AsRef<[Value]>],
        dest: Option<&str>,
        condition: impl Fn(&Plan<'_>, usize, String) -> String,
    ) -> Result<Vec<Sent>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.writing("write synthetic events", |log| {
            let began = Instant::now();
            let (tid, _) = log.entry(table)?;
            let done = log.with_plan(tid, |plan| {
                let places = plan.table.key.iter().enumerate();
                let here: Vec<String> =
                    places.map(|(place, key)| condition(plan, key.at, format!("?{}", place + 2))).collect();
                let mut image = log.conn.prepare_cached(&plan.refresh("1", &here.join(" AND "), 1))?;
                let mut sent = Vec::new();
                for key in keys.iter().take(SHORT_ROWS).map(AsRef::as_ref) {
                    need_length(plan, key)?;
                    let mut values: Vec<Box<dyn ToSql + '_>> = vec![Box::new(dest)];
                    values.extend(key.iter().map(|value| Box::new(Key(value)) as Box<dyn ToSql>));
                    sent.push(match image.execute(params_from_iter(values.iter()))? {
                        0 => Sent::Gone(log.write_gone(plan, key, dest)?),
                        _ => Sent::Image(log.conn.last_insert_rowid()),
                    });
                    if began.elapsed() >= SHORT {
                        break;
                    }
                }
                Ok(sent)
            })?;
            done.ok_or_else(|| changed(table))
        })
    }

    /// Writes a synthetic delete inside the caller's transaction; the caller knows that no such row stands.
    pub(super) fn write_gone(&self, plan: &Plan<'_>, key: &[Value], dest: Option<&str>) -> Result<i64> {
        let slots: Vec<String> = plan.table.key.iter().map(|key| format!("c{}", plan.slot(key.at))).collect();
        let places: Vec<String> = (2..key.len() + 2).map(|at| format!("?{at}")).collect();
        let native: Vec<Value> = key
            .iter()
            .zip(&plan.table.key)
            .map(|(value, key)| match (value, plan.table.columns.get(key.at)) {
                (Value::Text(text), Some(column)) if column.numeric => {
                    text.trim().parse().map_or_else(|_| value.clone(), Value::Integer)
                }
                _ => value.clone(),
            })
            .collect();
        let mut values: Vec<Box<dyn ToSql + '_>> = vec![Box::new(dest)];
        values.extend(native.iter().map(|value| Box::new(Key(value)) as Box<dyn ToSql>));
        self.conn
            .prepare_cached(&format!(
                "INSERT INTO main.hms_sync_outbox(tid,op,ver,dest,{}) VALUES ({},'G',{},?1,{})",
                slots.join(","),
                plan.tid,
                plan.ver,
                places.join(",")
            ))?
            .execute(params_from_iter(values))?;
        Ok(self.conn.last_insert_rowid())
    }

    fn key_of_row(&self, plan: &Plan<'_>, seq: i64) -> Result<Record> {
        let slots: Vec<String> = plan.table.key.iter().map(|key| format!("c{}", plan.slot(key.at))).collect();
        let sql = format!("SELECT {} FROM main.hms_sync_outbox WHERE seq = ?1", slots.join(","));
        let mut statement = self.conn.prepare_cached(&sql)?;
        let key = statement.query_row([seq], |row| {
            let name = |at: usize| plan.table.name_of(at).to_owned();
            let fields = plan.table.key.iter().enumerate();
            fields.map(|(at, key)| Ok((name(key.at), value(row.get_ref(at)?)))).collect::<rusqlite::Result<Record>>()
        })?;
        Ok(key)
    }
}

/// A condition on `r`: its key's column is what a person wrote.
pub(super) fn as_written(plan: &Plan<'_>, at: usize, place: String) -> String {
    let column = plan.table.key.iter().find(|key| key.at == at).filter(|key| key.known());
    let collation = column.map_or("BINARY".to_owned(), |key| quote(&key.collation));
    format!("r.{} COLLATE {collation} = {place}", column_name(plan, at))
}

fn need_length(plan: &Plan<'_>, key: &[Value]) -> Result<()> {
    let wanted = plan.table.key.len();
    if key.len() == wanted {
        return Ok(());
    }
    Err(CaptureError::Refused {
        table: plan.table.name.clone(),
        reason: format!("has a key of {wanted} columns, {} values were given", key.len()),
    })
}

/// A condition on `r`: it has a key, which comes after the given one in the key's order; parameters from `first`.
pub(super) fn beyond<'k>(plan: &Plan<'_>, after: Option<&'k Record>, first: usize) -> (String, Vec<&'k Value>) {
    let nullable =
        |at: &usize| !plan.table.rowid_key && plan.table.columns.get(*at).is_some_and(|column| !column.not_null);
    let mut conditions: Vec<String> = (plan.table.key.iter().map(|key| key.at))
        .filter(nullable)
        .map(|at| format!("r.{} IS NOT NULL", column_name(plan, at)))
        .collect();
    let values: Vec<&Value> = after.iter().flat_map(|after| after.iter()).map(|(_, value)| value).collect();
    if !values.is_empty() {
        let places: Vec<String> = (first..first + values.len()).map(|at| format!("?{at}")).collect();
        conditions.push(format!("({}) > ({})", plan.order("r"), places.join(",")));
    }
    (if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") }, values)
}

fn column_name(plan: &Plan<'_>, at: usize) -> String {
    quote(plan.table.name_of(at))
}

fn parenthesised(filter: Option<&str>) -> String {
    filter.map_or("1".to_owned(), |filter| format!("\n{filter}\n"))
}

pub(super) fn changed(table: &str) -> CaptureError {
    CaptureError::Refused {
        table: table.to_owned(),
        reason: "was changed since its triggers were installed; run `hms-sync capture repair` first".to_owned(),
    }
}
