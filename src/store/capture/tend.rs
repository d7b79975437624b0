//! Tending the log: left-over candidates, acknowledgement, the valve, pruning, size, owner.

use rusqlite::types::ValueRef;

use super::CapturedLog;
use super::catalogue::{self, Epoch};
use super::fault::{CaptureError, Result};
use super::install::chosen;
use super::read::{FIXED, select};
use super::table::Table;
use super::trigger::Plan;

/// At most this many rows go in one pruning transaction, so that the application never waits long.
const PRUNE_ROWS: usize = 500;

/// Candidates that stand because their statement ignored its row do no harm, but each costs the next statement a
/// look; so many are worth a write of ours.
const IDLE_CANDIDATES: i64 = 200;

/// So many of the newest rows are measured to estimate the size of all.
const NEWEST: usize = 100;

/// Bytes of a row beside its values: header, seq, ids, nonce and time.
const OVERHEAD: f64 = 40.0;

/// How much the log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Rows from the lowest to the highest; at most a few more than there are.
    pub rows: i64,
    /// Their values, estimated from the newest hundred.
    pub bytes: i64,
}

/// What is due in the application's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Everything up to here need not be kept for anyone; the valve counts from there. Never moves back.
    pub acked: Option<i64>,
    /// So many rows may wait beyond the acknowledged ones before capture counts instead of keeping them. 1,000,000 at
    /// first.
    pub cap: Option<i64>,
    /// The oldest rows below this position go: never the highest row of the log (the witness of a restored backup, and
    /// what keeps `seq` from starting over).
    pub below: Option<i64>,
    /// At most so many of them; never more than 500.
    pub rows: usize,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Deletes written whose AFTER trigger never fired (a cascade onto the very row being updated).
    pub swept: usize,
    /// Rows removed from the log.
    pub pruned: usize,
}

impl CapturedLog {
    /// Does all that is due, left-over candidates included, in one transaction of about a millisecond; in none when
    /// nothing is. None = the application is writing: nothing was done, and nobody waited.
    pub fn tend(&mut self, due: &Due) -> Result<Option<Tended>> {
        let candidates = self.left_over()?;
        if candidates.is_empty() && due.acked.or(due.cap).or(due.below).is_none() {
            return Ok(Some(Tended::default()));
        }
        self.writing_at_once("tend the log", |log| {
            log.refresh_catalogue()?;
            let mut done = Tended::default();
            for tid in candidates {
                done.swept += log.sweep_table(tid)?;
            }
            if let Some(cap) = due.cap {
                log.conn.prepare_cached("UPDATE main.hms_sync_ctl SET cap = ?1 WHERE id = 1")?.execute([cap])?;
            }
            if let Some(seq) = due.acked {
                let sql = "UPDATE main.hms_sync_ctl SET acked = ?1 WHERE id = 1 AND acked < ?1";
                log.conn.prepare_cached(sql)?.execute([seq])?;
            }
            if due.cap.or(due.acked).is_some() {
                log.set_valve()?;
            }
            if let Some(below) = due.below {
                done.pruned = log.prune(below, due.rows)?;
            }
            Ok(done)
        })
    }

    /// The tables that have candidates worth a write of ours.
    fn left_over(&mut self) -> Result<Vec<i64>> {
        self.reading("look at candidates", |log| {
            log.refresh_catalogue()?;
            let mut waiting = Vec::new();
            let count = "SELECT tid, count(*) FROM main.hms_sync_cand GROUP BY tid";
            let counts: Vec<(i64, i64)> = log
                .conn
                .prepare_cached(count)?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for (tid, count) in counts {
                if count > IDLE_CANDIDATES || log.any_gone(tid)? {
                    waiting.push(tid);
                }
            }
            Ok(waiting)
        })
    }

    pub(super) fn any_gone(&self, tid: i64) -> Result<bool> {
        let found = self.with_plan(tid, |plan| {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM main.hms_sync_cand AS y WHERE {})", plan.gone());
            Ok(self.conn.query_row(&sql, [], |row| row.get(0))?)
        })?;
        // Candidates of a table that is no longer as it was are cleared; reconcile finds what they hid.
        Ok(found.unwrap_or(true))
    }

    /// Sweeps one table inside the caller's transaction.
    pub(super) fn sweep_table(&self, tid: i64) -> Result<usize> {
        let swept = self.with_plan(tid, |plan| {
            let [count, emit, forget] = plan.sweep();
            self.conn.execute(&count, [])?;
            let emitted = self.conn.execute(&emit, [])?;
            self.conn.execute(&forget, [])?;
            Ok(emitted)
        })?;
        if swept.is_none() {
            self.conn.execute("DELETE FROM main.hms_sync_cand WHERE tid = ?1", [tid])?;
        }
        Ok(swept.unwrap_or(0))
    }

    /// Runs `work` with the plan by which the table is captured now; none when the table is not as it was then.
    pub(super) fn with_plan<T>(&self, tid: i64, work: impl FnOnce(&Plan<'_>) -> Result<T>) -> Result<Option<T>> {
        let (Some(entry), Some(version)) = (self.catalogue.entries.get(&tid), self.catalogue.current(tid)) else {
            return Ok(None);
        };
        let inspected = Table::inspect(&self.conn, &entry.spec.table, entry.spec.key.as_deref())
            .and_then(|table| chosen(&table, &entry.spec).map(|columns| (table, columns)));
        let (table, columns) = match inspected {
            Ok(found) => found,
            Err(CaptureError::Refused { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let names = columns.iter().filter_map(|at| table.columns.get(*at)).map(|column| column.name.as_str());
        if !names.eq(version.columns.iter().map(|name| &**name)) {
            return Ok(None);
        }
        work(&Plan { table: &table, tid, ver: entry.ver, columns: &columns, ours: true }).map(Some)
    }

    /// Opens or closes the valve by what the log holds now; inside the caller's transaction.
    fn set_valve(&self) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE main.hms_sync_ctl
                    SET closed = CASE WHEN acked + cap <= (SELECT ifnull(max(seq), 0) FROM main.hms_sync_outbox) THEN 1 END
                  WHERE id = 1",
            )?
            .execute([])?;
        Ok(())
    }

    /// (acknowledged position, cap) of the valve.
    pub fn valve(&self) -> Result<(i64, i64)> {
        self.tell("look at the valve", || {
            let sql = "SELECT acked, cap FROM main.hms_sync_ctl WHERE id = 1";
            Ok(self.conn.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
    }

    /// Removes the oldest rows below a position inside the caller's transaction.
    fn prune(&self, below: i64, limit: usize) -> Result<usize> {
        let limit = i64::try_from(limit.min(PRUNE_ROWS)).unwrap_or(0);
        let mut statement = self.conn.prepare_cached(
            "DELETE FROM main.hms_sync_outbox WHERE seq IN
               (SELECT seq FROM main.hms_sync_outbox
                 WHERE seq < ?1 AND seq < (SELECT max(seq) FROM main.hms_sync_outbox) ORDER BY seq LIMIT ?2)",
        )?;
        Ok(statement.execute([below, limit])?)
    }

    /// How much the log holds. Cheap at any size.
    pub fn size(&mut self) -> Result<Size> {
        self.reading("measure the log", |log| {
            log.refresh_catalogue()?;
            // Two look-ups at the ends; min and max in one SELECT would scan.
            let (lowest, highest): (i64, i64) = log
                .conn
                .prepare_cached(
                    "SELECT (SELECT min(seq) FROM main.hms_sync_outbox), (SELECT max(seq) FROM main.hms_sync_outbox)",
                )?
                .query_row([], |row| {
                    Ok((row.get::<_, Option<i64>>(0)?.unwrap_or(1), row.get::<_, Option<i64>>(1)?.unwrap_or(0)))
                })?;
            let rows = highest - lowest + 1;
            // Measured here and not in SQL: a sum over all columns of a wide table is deeper than SQLite parses.
            let text = format!("{} ORDER BY seq DESC LIMIT {NEWEST}", select(&log.catalogue));
            let mut statement = log.conn.prepare_cached(&text)?;
            let columns = statement.column_count();
            let mut newest = statement.query([])?;
            let (mut looked, mut held) = (0_i64, 0_i64);
            while let Some(row) = newest.next()? {
                looked += 1;
                for at in FIXED..columns {
                    held += stored(row.get_ref(at)?);
                }
            }
            let average = if looked == 0 { 0.0 } else { held as f64 / looked as f64 + OVERHEAD };
            Ok(Size { rows, bytes: (average * rows as f64) as i64 })
        })
    }

    /// The id of the agent that captures here, as the last look found it.
    pub fn last_owner(&self) -> Option<&str> {
        self.catalogue.owner.as_deref()
    }

    /// The id of the agent that captures here.
    pub fn owner(&mut self) -> Result<Option<String>> {
        self.reading("look at the owner", |log| {
            log.refresh_catalogue()?;
            Ok(log.catalogue.owner.clone())
        })
    }

    /// Makes this agent the owner. Another owner is refused, unless `take_over`, which begins a new epoch (and is
    /// returned): the other agent then notices that it lost the file.
    pub fn claim(&mut self, owner: &str, take_over: bool) -> Result<Option<Epoch>> {
        // Every start comes by here: it writes, and waits for the application's own writing, only when it must.
        if self.owner()?.as_deref() == Some(owner) {
            return Ok(None);
        }
        self.writing("claim the log", |log| {
            log.need_own_tables()?;
            log.catalogue = catalogue::Catalogue::load(&log.conn)?;
            let begun = match log.catalogue.owner.as_deref() {
                Some(current) if current == owner => return Ok(None),
                Some(current) if !take_over => {
                    return Err(CaptureError::OtherOwner { path: log.path.clone(), owner: current.to_owned() });
                }
                Some(_) => Some(catalogue::new_epoch(&log.conn)?),
                None => None,
            };
            catalogue::put(&log.conn, "owner", &owner)?;
            catalogue::touch(&log.conn)?;
            log.catalogue = catalogue::Catalogue::load(&log.conn)?;
            Ok(begun)
        })
    }
}

/// Bytes that a value takes in the file, about.
fn stored(value: ValueRef<'_>) -> i64 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 8,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => i64::try_from(bytes.len()).unwrap_or(i64::MAX),
    }
}
