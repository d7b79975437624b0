//! The texts of SQL by which the rows of one table are looked up and written.

use std::cell::RefCell;
use std::sync::Arc;

use super::super::fault::{CaptureError, Result};
use super::super::refresh::as_written;
use super::super::trigger::{Plan, quote};
use crate::event::Record;

/// The texts that one table's rows are looked up and written by.
pub(super) struct Statements<'c> {
    pub(super) table: String,
    pub(super) on: String,
    pub(super) as_written: String,
    pub(super) exactly: String,
    pub(super) delete: String,
    pub(super) columns: &'c [Arc<str>],
    pub(super) keys: usize,
    /// The text that a row was written by last, and what it is of: most rows of a page have the same columns.
    last: RefCell<Option<Written>>,
}

/// The text that a row was written by.
struct Written {
    /// The row was new.
    new: bool,
    /// With these columns.
    columns: Vec<Arc<str>>,
    sql: Arc<str>,
}

impl<'c> Statements<'c> {
    pub(super) fn new(plan: &Plan<'_>, columns: &'c [Arc<str>]) -> Result<Statements<'c>> {
        if let Some(absent) =
            columns.iter().find(|name| !plan.table.columns.iter().any(|column| column.name == ***name))
        {
            let reason = format!("has no column `{absent}`, which the other side has");
            return Err(CaptureError::Refused { table: plan.table.name.clone(), reason });
        }
        let table = format!("main.{}", quote(&plan.table.name));
        let keys = plan.table.key.iter().map(|key| plan.table.name_of(key.at));
        let list: Vec<String> =
            keys.chain(columns.iter().map(|name| &**name)).map(|name| format!("r.{}", quote(name))).collect();
        let select = format!("SELECT {} FROM {table} AS r WHERE ", list.join(","));
        let spelt = plan.table.key.iter().enumerate().map(|(at, key)| as_written(plan, key.at, format!("?{}", at + 1)));
        let spelt = spelt.collect::<Vec<_>>().join(" AND ");
        let mut statements = Statements {
            on: format!("{table} AS r"),
            as_written: format!("{select}{spelt}"),
            exactly: select,
            delete: String::new(),
            table,
            columns,
            keys: plan.table.key.len(),
            last: RefCell::default(),
        };
        let here = statements.here(plan, 1);
        statements.exactly.push_str(&here);
        statements.delete = format!("DELETE FROM {} WHERE {here}", statements.on);
        Ok(statements)
    }

    /// The text that writes a row with these columns, made by `make` where the last one had others.
    pub(super) fn write(&self, new: bool, columns: &Record, make: impl FnOnce() -> String) -> Arc<str> {
        let mut last = self.last.borrow_mut();
        let names = || columns.iter().map(|(name, _)| name);
        if let Some(known) = &*last
            && known.new == new
            && known.columns.iter().eq(names())
        {
            return Arc::clone(&known.sql);
        }
        let sql: Arc<str> = make().into();
        *last = Some(Written { new, columns: names().cloned().collect(), sql: Arc::clone(&sql) });
        sql
    }

    /// A condition on `r`: it has exactly the key whose parameters begin there.
    pub(super) fn here(&self, plan: &Plan<'_>, first: usize) -> String {
        plan.key("r", |at| {
            let place = plan.table.key.iter().position(|key| key.at == at).unwrap_or(0);
            format!("?{}", first + place)
        })
    }
}
