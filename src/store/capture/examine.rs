//! Looking a file over, for `doctor`: nothing is changed.

use super::fault::Result;
use super::{CapturedLog, OWN_TABLES};

/// Columns of the log, as `schema.sql` makes it.
const COLUMNS: [&str; 8] = ["seq", "tid", "op", "ver", "origin", "dest", "nonce", "at"];

/// The valve of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Valve {
    /// Rows beyond those that everybody has had.
    pub waiting: i64,
    /// How many may wait.
    pub cap: i64,
    /// Changes are counted and not kept.
    pub closed: bool,
}

impl CapturedLog {
    /// What SQLite's own quick check finds wrong with the application's file. Reads all of it in one transaction: in
    /// rollback-journal mode the application cannot commit meanwhile, so a person must ask for it.
    pub fn quick_check(&mut self) -> Result<Vec<String>> {
        self.told("check it", |log| {
            let mut check = log.conn.prepare("PRAGMA main.quick_check(10)")?;
            let found: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok(found.into_iter().filter(|line| line != "ok").collect())
        })
    }

    /// The columns of a table as they are declared, without what any DEFAULT or CHECK says: name, type, whether it is
    /// NOT NULL, its place in the primary key (0 = none).
    pub fn declared(&mut self, table: &str) -> Result<Vec<(String, String, bool, i64)>> {
        self.reading("look at a table", |log| {
            let mut columns = log.conn.prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?1)")?;
            let found = columns.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What is not as it should be about our tables, each in words. All of them are there.
    pub fn layout(&mut self) -> Result<Vec<String>> {
        self.reading("look at our tables", |log| {
            log.need_own_tables()?;
            log.refresh_catalogue()?;
            let mut wrong = Vec::new();
            let mut list = log.conn.prepare("SELECT name FROM pragma_table_info('hms_sync_outbox')")?;
            let columns: Vec<String> = list.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            if !columns.iter().map(String::as_str).take(COLUMNS.len()).eq(COLUMNS) {
                wrong.push("the columns of hms_sync_outbox are not ours".to_owned());
            }
            for (tid, entry) in log.catalogue.entries.iter().filter(|(_, entry)| entry.watched) {
                let needs = log.catalogue.current(*tid).map_or(0, |version| version.columns.len());
                if needs > log.catalogue.width {
                    let (table, has) = (&entry.spec.table, log.catalogue.width);
                    wrong.push(format!("hms_sync_outbox has room for {has} columns, {table} needs {needs}"));
                }
                let mut counted = log.conn.prepare_cached("SELECT 1 FROM main.hms_sync_lost WHERE tid = ?1")?;
                if !counted.exists([tid])? {
                    wrong.push(format!("hms_sync_lost has no row for {}", entry.spec.table));
                }
            }
            // A constraint on what a trigger writes lets an INSERT OR IGNORE of the application drop the event in silence.
            for own in OWN_TABLES {
                let mut foreign = log.conn.prepare_cached(
                    "SELECT type || ' ' || name FROM main.sqlite_master
                      WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL",
                )?;
                let found: Vec<String> =
                    foreign.query_map([own], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
                wrong.extend(found.into_iter().map(|what| format!("{own} has the {what}, which is not ours")));
            }
            Ok(wrong)
        })
    }

    /// Candidates that stand, and whether a delete among them was not told yet: the agent tells it at its next look.
    pub fn candidates_left(&mut self) -> Result<(i64, bool)> {
        self.reading("look at candidates", |log| {
            log.refresh_catalogue()?;
            let mut list = log.conn.prepare_cached("SELECT tid, count(*) FROM main.hms_sync_cand GROUP BY tid")?;
            let counts: Vec<(i64, i64)> =
                list.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
            let mut untold = false;
            for (tid, _) in &counts {
                untold |= log.any_gone(*tid)?;
            }
            Ok((counts.iter().map(|(_, n)| n).sum(), untold))
        })
    }

    /// How full the log is.
    pub fn fill_level(&self) -> Result<Valve> {
        self.tell("look at the valve", || {
            let sql = "SELECT ifnull((SELECT max(seq) FROM main.hms_sync_outbox), 0) - acked, cap, closed IS NOT NULL
                         FROM main.hms_sync_ctl WHERE id = 1";
            let row = |row: &rusqlite::Row<'_>| {
                Ok(Valve { waiting: row.get::<_, i64>(0)?.max(0), cap: row.get(1)?, closed: row.get(2)? })
            };
            Ok(self.conn.prepare_cached(sql)?.query_row([], row)?)
        })
    }
}
