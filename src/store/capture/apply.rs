//! Applying what an outside system says to a table of the application: a few rows in one short transaction, together with
//! their origin, how far the page has come, and the cursor.
//!
//! The application's own rules hold: each row stands in a savepoint of its own, and one that a constraint or a trigger
//! refuses is given back with the reason while the rest is written. What the application's triggers make of a row is read
//! back in the same transaction.

mod fit;
mod refusal;
mod statements;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{ErrorCode, OptionalExtension as _, ToSql, params_from_iter};
use serde::{Deserialize, Serialize};

use super::CapturedLog;
use super::fault::{BUSY_TIMEOUT, CaptureError, Result};
use super::read::value;
use super::refresh::{Key, changed};
use super::trigger::{Plan, quote};
use crate::event::{Record, Value};
use crate::rules::outcome::Reason;

pub use fit::Fitting;
use refusal::{Refusal, refusal};
use statements::Statements;

/// At most so many rows in one transaction,
pub const SUB_BATCH: usize = 50;
/// and no further row after this time: what is left of 10 ms is for the commit.
const SHORT: Duration = Duration::from_millis(5);

/// The class of a refusal by the guard.
pub const GUARD: &str = "guard";

/// What is to become of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its key as the table holds it; empty = the table gives the row its key.
    pub key: Vec<Value>,
    /// What was there when this was decided: the shared columns, or no row. Another row is not touched.
    pub expect: Option<Record>,
    /// What is done.
    pub act: Act,
    /// The connector is to get the record as it is then.
    pub tell: bool,
    /// The guard is asked before it stays.
    pub guarded: bool,
}

/// What is done with a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// These columns are set, of a row that is new or there already.
    Put(Record),
    /// It is deleted.
    Delete,
    /// It stays as it is.
    Keep,
}

/// A few changes of one page, for one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Where they come from: the origin of their events.
    pub connector: &'a str,
    /// The watched table, or its event type.
    pub table: &'a str,
    /// The columns that both sides have.
    pub columns: &'a [Arc<str>],
    /// The page's number.
    pub page: i64,
    /// The place of the first change in its page.
    pub first: usize,
    /// The changes. No more than [`SUB_BATCH`] are taken.
    pub changes: &'a [Change],
    /// Where the next run begins, once these are the last changes of the page.
    pub cursor: Option<&'a str>,
    /// A query that finds what must not be (a double booking); `:column` is the value of the row that was just written.
    pub guard: Option<&'a str>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// It is done.
    Done {
        /// The row's key.
        key: Vec<Value>,
        /// The shared columns as they are now; none = there is no row.
        row: Option<Record>,
        /// The application's triggers made something else of it than was written.
        altered: bool,
    },
    /// Another row stands there than the one it was decided on: nothing was done.
    Moved,
    /// The application's rules refuse it: nothing was done.
    Refused(Reason),
}

/// What came of a part.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// One for each change that was taken, from the first on; the caller goes on with the rest.
    pub applied: Vec<Applied>,
    /// The end of the log in that transaction.
    pub seq: i64,
    /// Somebody else has written the file since the last part.
    pub beside: bool,
}

/// How far a connector's pull has come, as the application's file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The page.
    pub page: i64,
    /// So many of its changes are done.
    pub done: usize,
    /// Where the next run begins; moves with the last change of a page.
    pub cursor: Option<String>,
    /// Keys that the table gave to rows of this page, by the place of their change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<usize, i64>,
}

/// A row that was looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its key as the table holds it.
    pub key: Vec<Value>,
    /// The columns that were asked for.
    pub row: Record,
}

impl CapturedLog {
    /// How values fit into the columns of a watched table.
    pub fn fitting(&mut self, table: &str) -> Result<Fitting> {
        self.reading("look at a table", |log| {
            let (tid, _) = log.entry(table)?;
            log.with_plan(tid, |plan| Ok(Fitting::of(plan.table)))?.ok_or_else(|| changed(table))
        })
    }

    /// Rows of a watched table by their keys, in any spelling that the key's collation finds equal; with the end of the
    /// log: one snapshot.
    pub fn rows_of(
        &mut self,
        table: &str,
        columns: &[Arc<str>],
        keys: &[Vec<Value>],
    ) -> Result<(i64, Vec<Option<Found>>)> {
        self.reading("look up rows", |log| {
            let (tid, _) = log.entry(table)?;
            let found = log.with_plan(tid, |plan| {
                let looks = Statements::new(plan, columns)?;
                let mut found = Vec::with_capacity(keys.len());
                for key in keys {
                    found.push(log.look(&looks, &looks.as_written, key)?);
                }
                Ok((log.end()?, found))
            })?;
            found.ok_or_else(|| changed(table))
        })
    }

    /// How far a connector's pull has come here; none = nothing of it was ever applied in this file.
    pub fn mark(&mut self, connector: &str) -> Result<Option<Mark>> {
        self.reading("look at a pull", |log| {
            log.need_own_tables()?;
            log.read_mark(connector)
        })
    }

    /// Applies a part in one short write transaction. In WAL mode it is not synced: [`CapturedLog::sync_wal`] before
    /// anything is concluded from it.
    ///
    /// # Errors
    /// What is not about a row: locked for too long, no space, a failing disk, a table that is not as it was. Nothing was
    /// written then.
    pub fn apply(&mut self, part: &Part<'_>) -> Result<Done> {
        let mut refused = BTreeMap::new();
        let mut most = SUB_BATCH.min(part.changes.len());
        loop {
            let mut ended = None;
            let tried = self.writing_unsynced(BUSY_TIMEOUT, "apply what was pulled", |log| {
                log.apply_once(part, most, &refused, &mut ended)
            });
            match tried {
                Ok(done) => return Ok(done),
                // A trigger of the application has rolled back the whole of it: again without that row.
                Err(_) if ended.is_some() => refused.extend(ended),
                // A foreign key that is looked at in the end: fewer at once, until it is known whose.
                Err(error) if is_deferred(&error) && most > 1 => most /= 2,
                Err(error) if is_deferred(&error) => {
                    drop(refused.insert(0, Reason::new("foreign-key", "FOREIGN KEY constraint failed")));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Applies what can be; an error with `ended` is about the row that has ended the transaction.
    fn apply_once(
        &mut self,
        part: &Part<'_>,
        most: usize,
        refused: &BTreeMap<usize, Reason>,
        ended: &mut Option<(usize, Reason)>,
    ) -> Result<Done> {
        let began = Instant::now();
        let version: i64 = self.conn.pragma_query_value(None, "data_version", |row| row.get(0))?;
        let beside = self.pen_version.replace(version).is_some_and(|before| before != version);
        let (tid, _) = self.entry(part.table)?;
        let mut mark = self.read_mark(part.connector)?.unwrap_or_default();
        if mark.page != part.page {
            mark = Mark { page: part.page, cursor: mark.cursor, ..Mark::default() };
        }
        let log = &*self;
        let done = log.with_plan(tid, |plan| {
            let looks = Statements::new(plan, part.columns)?;
            log.set_origin(Some(part.connector))?;
            let (mut applied, mut tells) = (Vec::with_capacity(most), Vec::new());
            let mut seq = log.end()?;
            for (place, change) in part.changes.iter().take(most).enumerate() {
                if let Some(reason) = refused.get(&place) {
                    applied.push(Applied::Refused(reason.clone()));
                    continue;
                }
                log.conn.prepare_cached("SAVEPOINT pulled")?.execute([])?;
                let outcome = match log.apply_one(plan, &looks, change, part.guard) {
                    Ok(outcome) => outcome,
                    Err(Trouble::Refused(_, reason)) if log.conn.is_autocommit() => {
                        *ended = Some((place, reason));
                        return Err(changed(part.table));
                    }
                    Err(Trouble::Refused(_, reason)) => Applied::Refused(reason),
                    Err(Trouble::Failed(error)) => return Err(error),
                };
                if matches!(outcome, Applied::Refused(_)) {
                    log.conn.prepare_cached("ROLLBACK TO pulled")?.execute([])?;
                }
                log.conn.prepare_cached("RELEASE pulled")?.execute([])?;
                if let Applied::Done { key, row, altered } = &outcome {
                    let end = log.end()?;
                    if end > seq + 1 {
                        log.disown(plan, (seq, end), key)?;
                    }
                    seq = end;
                    if change.key.is_empty()
                        && let [Value::Integer(given)] = &**key
                    {
                        mark.given.insert(part.first + place, *given);
                    }
                    if *altered || change.tell {
                        tells.push((key.clone(), row.is_some()));
                    }
                }
                applied.push(outcome);
                if began.elapsed() >= SHORT {
                    break;
                }
            }
            log.set_origin(None)?;
            for (key, stands) in &tells {
                log.tell_of(plan, &looks, part.connector, key, *stands)?;
            }
            mark.done = part.first + applied.len();
            if applied.len() == part.changes.len() && part.cursor.is_some() {
                mark.cursor = part.cursor.map(str::to_owned);
            }
            log.write_mark(part.connector, &mark)?;
            Ok(Done { applied, seq: log.end()?, beside })
        })?;
        done.ok_or_else(|| changed(part.table))
    }

    fn apply_one(
        &self,
        plan: &Plan<'_>,
        looks: &Statements<'_>,
        change: &Change,
        guard: Option<&str>,
    ) -> std::result::Result<Applied, Trouble> {
        let before = match change.key.is_empty() {
            true => None,
            false => self.look(looks, &looks.exactly, &change.key)?.map(|found| found.row),
        };
        if before != change.expect {
            return Ok(Applied::Moved);
        }
        let mut key = change.key.clone();
        match (&change.act, &before) {
            (Act::Keep, _) | (Act::Delete, None) => return Ok(Applied::Done { key, row: before, altered: false }),
            (Act::Delete, Some(_)) => {
                let keys = key.iter().map(|value| Box::new(Key(value)) as Box<dyn ToSql>);
                self.execute(&looks.delete, keys)?;
            }
            (Act::Put(values), Some(_)) => {
                if !values.is_empty() {
                    let sql = looks.write(false, values, || {
                        let set = values.iter().enumerate();
                        let set: Vec<String> =
                            set.map(|(at, (name, _))| format!("{} = ?{}", quote(name), at + 1)).collect();
                        let first = values.len() + 1;
                        format!("UPDATE OR ABORT {} SET {} WHERE {}", looks.on, set.join(","), looks.here(plan, first))
                    });
                    let all = values.iter().map(|(_, value)| value).chain(&key);
                    self.execute(&sql, all.map(|value| Box::new(Key(value)) as Box<dyn ToSql>))?;
                }
            }
            (Act::Put(values), None) => {
                let named = plan.table.key.iter().map(|key| plan.table.name_of(key.at)).zip(&key);
                let is_key = |name: &str| named.clone().any(|(known, _)| known == name);
                let rest = values.iter().map(|(name, value)| (&**name, value)).filter(|(name, _)| !is_key(name));
                let all: Vec<(&str, &Value)> = named.clone().chain(rest).collect();
                let text = || {
                    let names: Vec<String> = all.iter().map(|(name, _)| quote(name)).collect();
                    let places: Vec<String> = (1..=all.len()).map(|at| format!("?{at}")).collect();
                    match all.is_empty() {
                        true => format!("INSERT OR ABORT INTO {} DEFAULT VALUES", looks.table),
                        false => format!(
                            "INSERT OR ABORT INTO {}({}) VALUES ({})",
                            looks.table,
                            names.join(","),
                            places.join(",")
                        ),
                    }
                };
                // One whose key the table gives has other columns than one that brings it.
                let sql = if key.is_empty() { text().into() } else { looks.write(true, values, text) };
                self.execute(&sql, all.iter().map(|(_, value)| Box::new(Key(value)) as Box<dyn ToSql>))?;
                if key.is_empty() {
                    key = vec![Value::Integer(self.conn.last_insert_rowid())];
                }
            }
        }
        let row = self.look(looks, &looks.exactly, &key)?.map(|found| found.row);
        let as_written = match (&change.act, &row) {
            (Act::Put(_), None) => {
                return Ok(Applied::Refused(Reason::new("ignored", "a trigger of the application does not let it be")));
            }
            (Act::Put(values), Some(row)) => {
                values.iter().all(|(name, value)| row.get(name).is_none_or(|now| fit::is_same(now, value)))
            }
            (_, row) => row.is_none(),
        };
        if let (Some(guard), Act::Put(_), Some(row)) = (guard.filter(|_| change.guarded), &change.act, &row)
            && self.guarded(plan, guard, &key, row)?
        {
            return Ok(Applied::Refused(Reason::new(GUARD, "the guard query finds what must not be")));
        }
        Ok(Applied::Done { key, row, altered: !as_written })
    }

    fn execute<'v>(
        &self,
        sql: &str,
        values: impl Iterator<Item = Box<dyn ToSql + 'v>>,
    ) -> std::result::Result<usize, Trouble> {
        let run = || self.conn.prepare_cached(sql)?.execute(params_from_iter(values));
        run().map_err(|error| match refusal(&error) {
            Some(reason) => Trouble::Refused(Refusal, reason),
            None => Trouble::Failed(error.into()),
        })
    }

    /// Whether the guard finds anything. It names columns of the row as parameters.
    fn guarded(&self, plan: &Plan<'_>, guard: &str, key: &[Value], row: &Record) -> std::result::Result<bool, Trouble> {
        let wrong = |text: String| Trouble::Refused(Refusal, Reason::new("guard", text));
        let mut statement = self.conn.prepare_cached(guard).map_err(|error| match refusal(&error) {
            Some(reason) => wrong(format!("the guard query cannot be run: {}", reason.text)),
            None => wrong("the guard query cannot be run".to_owned()),
        })?;
        if !statement.readonly() {
            return Err(wrong("the guard query writes".to_owned()));
        }
        for at in 1..=statement.parameter_count() {
            let name = statement.parameter_name(at).map(|name| name.trim_start_matches([':', '@', '$']).to_owned());
            let name = name.unwrap_or_default();
            let of_key = plan.table.key.iter().position(|key| plan.table.name_of(key.at) == name);
            let value = of_key.and_then(|at| key.get(at)).or_else(|| row.get(&name));
            let value =
                value.ok_or_else(|| wrong(format!("the guard query names `:{name}`, which both sides do not have")))?;
            statement.raw_bind_parameter(at, Key(value)).map_err(CaptureError::from)?;
        }
        let mut rows = statement.raw_query();
        Ok(rows.next().map_err(CaptureError::from)?.is_some())
    }

    /// Events of a row's transaction that are about other rows are the application's own: its triggers made them.
    fn disown(&self, plan: &Plan<'_>, (after, upto): (i64, i64), key: &[Value]) -> Result<()> {
        let same: Vec<String> = plan
            .table
            .key
            .iter()
            .enumerate()
            .map(|(at, key)| format!("c{} IS ?{}", plan.slot(key.at), at + 3))
            .collect();
        let sql = format!(
            "UPDATE main.hms_sync_outbox SET origin = NULL WHERE seq > ?1 AND seq <= ?2 AND NOT (tid = {} AND {})",
            plan.tid,
            same.join(" AND ")
        );
        let (after, upto) = (Value::Integer(after), Value::Integer(upto));
        let values = [&after, &upto].into_iter().chain(key);
        self.conn.prepare_cached(&sql)?.execute(params_from_iter(values.map(Key)))?;
        Ok(())
    }

    /// The record as it is now, for the connector that it came from.
    fn tell_of(
        &self,
        plan: &Plan<'_>,
        looks: &Statements<'_>,
        connector: &str,
        key: &[Value],
        stands: bool,
    ) -> Result<()> {
        if !stands {
            return self.write_gone(plan, key, Some(connector)).map(drop);
        }
        let sql = plan.refresh("1", &looks.here(plan, 2), 1);
        let mut values: Vec<Box<dyn ToSql + '_>> = vec![Box::new(connector)];
        values.extend(key.iter().map(|value| Box::new(Key(value)) as Box<dyn ToSql>));
        self.conn.prepare_cached(&sql)?.execute(params_from_iter(values))?;
        Ok(())
    }

    fn look(&self, looks: &Statements<'_>, sql: &str, key: &[Value]) -> Result<Option<Found>> {
        if key.len() != looks.keys {
            return Ok(None);
        }
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(key.iter().map(Key)))?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let key = (0..looks.keys).map(|at| Ok(value(row.get_ref(at)?))).collect::<Result<Vec<_>>>()?;
        let values = looks.columns.iter().enumerate().map(|(at, _)| Ok(value(row.get_ref(looks.keys + at)?)));
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(Some(Found { key, row: looks.columns.iter().cloned().zip(values).collect() }))
    }

    fn end(&self) -> Result<i64> {
        let sql = "SELECT ifnull(max(seq), 0) FROM main.hms_sync_outbox";
        Ok(self.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    fn set_origin(&self, origin: Option<&str>) -> Result<()> {
        self.conn.prepare_cached("UPDATE main.hms_sync_ctl SET origin = ?1 WHERE id = 1")?.execute([origin])?;
        Ok(())
    }

    fn read_mark(&self, connector: &str) -> Result<Option<Mark>> {
        let entry = format!("pull/{connector}");
        let text: Option<String> = self
            .conn
            .prepare_cached("SELECT v FROM main.hms_sync_meta WHERE k = ?1")?
            .query_row([&entry], |row| row.get(0))
            .optional()?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|error| CaptureError::Catalogue { entry, cause: error.to_string() })
        };
        text.map(read).transpose()
    }

    fn write_mark(&self, connector: &str, mark: &Mark) -> Result<()> {
        let entry = format!("pull/{connector}");
        let text = serde_json::to_string(mark)
            .map_err(|error| CaptureError::Catalogue { entry: entry.clone(), cause: error.to_string() })?;
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO main.hms_sync_meta(k, v) VALUES (?1, ?2)")?
            .execute([&entry, &text])?;
        Ok(())
    }
}

/// Why a row was not written.
enum Trouble {
    Refused(Refusal, Reason),
    Failed(CaptureError),
}

impl From<CaptureError> for Trouble {
    fn from(error: CaptureError) -> Trouble {
        Trouble::Failed(error)
    }
}

/// The commit was refused by a foreign key that is looked at in the end.
fn is_deferred(error: &CaptureError) -> bool {
    let CaptureError::Sqlite { source, .. } = error else { return false };
    source.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
