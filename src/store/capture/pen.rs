//! Writing into the application's file, with a connection that is used for nothing else.
//!
//! Whoever may write also rolls back: SQLite takes a journal beside the path for the one of the file that it has open, and
//! when nobody holds the write lock of that file, plays it back and removes it. After another file was moved to the path
//! that is the journal of the application's transaction in the new file. So all reading is done by a connection that
//! cannot write, and this one begins only what is written at once, right after a look whether the path still names the
//! file that it has open.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::fault::{BUSY_TIMEOUT, CaptureError, Result};
use super::folder::identify;
use super::{Access, CapturedLog, catalogue, connect, hold};

/// A journal that nobody has touched for so long was left behind by a writer that died.
const STILL: Duration = Duration::from_secs(1);

/// Pauses between two tries to get the lock; the last one again and again.
const PAUSES: [u64; 6] = [1, 2, 5, 10, 25, 50];

impl CapturedLog {
    /// Runs `work` in one write transaction: `BEGIN IMMEDIATE`, for which another writer is waited for. While it runs,
    /// `conn` is the connection that writes.
    pub(super) fn writing<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut CapturedLog) -> Result<T>,
    ) -> Result<T> {
        self.writing_within(BUSY_TIMEOUT, doing, work)
    }

    fn writing_within<T>(
        &mut self,
        patience: Duration,
        doing: &'static str,
        work: impl FnOnce(&mut CapturedLog) -> Result<T>,
    ) -> Result<T> {
        self.told(doing, |log| {
            let Some(mut pen) = log.pen.take() else {
                let uid = rustix::process::geteuid().as_raw();
                return Err(CaptureError::ReadOnly { path: log.path.clone(), what: "this connection", uid });
            };
            if let Err(error) = log.begin(&pen, patience) {
                log.pen = Some(pen);
                return Err(error);
            }
            std::mem::swap(&mut log.conn, &mut pen);
            let mut done = work(log).and_then(|value| {
                log.conn.execute_batch("COMMIT")?;
                Ok(value)
            });
            if done.is_err() {
                if !log.conn.is_autocommit()
                    && let Err(error) = log.conn.execute_batch("ROLLBACK")
                {
                    done = Err(error.into());
                }
                // What was loaded inside the transaction may not exist any more.
                log.catalogue = catalogue::Catalogue::default();
            }
            std::mem::swap(&mut log.conn, &mut pen);
            log.pen = Some(pen);
            done
        })
    }

    /// As `writing`, but at once or not at all: none when somebody else holds the lock. In WAL mode the lock is not kept
    /// for a sync of the disk either: for what a power cut may take back, because it is done again.
    pub(super) fn writing_at_once<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut CapturedLog) -> Result<T>,
    ) -> Result<Option<T>> {
        match self.writing_unsynced(Duration::ZERO, doing, work) {
            Ok(value) => Ok(Some(value)),
            Err(CaptureError::Busy { .. } | CaptureError::Replaced { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As `writing`, but in WAL mode the lock is not kept for a sync of the disk: a power cut may take it back, until
    /// [`CapturedLog::sync_wal`].
    pub(super) fn writing_unsynced<T>(
        &mut self,
        patience: Duration,
        doing: &'static str,
        work: impl FnOnce(&mut CapturedLog) -> Result<T>,
    ) -> Result<T> {
        let is_wal = self.journal_mode()? == "wal";
        let synchronous = |log: &mut CapturedLog, how: &str| {
            log.told(doing, |log| match log.pen.as_ref().filter(|_| is_wal) {
                Some(pen) => Ok(pen.pragma_update(None, "synchronous", how)?),
                None => Ok(()),
            })
        };
        synchronous(self, "NORMAL")?;
        let done = self.writing_within(patience, doing, work);
        synchronous(self, "FULL")?;
        done
    }

    /// Takes the write lock. SQLite looks for a journal each time that it tries, so each time the path is looked at before.
    fn begin(&self, pen: &Connection, patience: Duration) -> Result<()> {
        let began = Instant::now();
        let mut pauses = PAUSES.into_iter();
        let mut pause = 0;
        pen.busy_timeout(Duration::ZERO)?;
        loop {
            if identify(&self.path)? != Some(self.file) {
                return Err(CaptureError::Replaced { path: self.path.clone() });
            }
            match pen.execute_batch("BEGIN IMMEDIATE") {
                Ok(()) => break,
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && began.elapsed() < patience =>
                {
                    pause = pauses.next().unwrap_or(pause);
                    std::thread::sleep(Duration::from_millis(pause));
                }
                Err(error) => return Err(error.into()),
            }
        }
        // The commit waits for readers; it looks for no journal.
        pen.busy_timeout(patience)?;
        Ok(pen.pragma_update(None, "cache_size", super::super::SMALL_CACHE)?)
    }

    /// Rolls back what a writer left behind that died, as the application's next start would. Does nothing when somebody is
    /// at work there: then it is no journal of this file.
    ///
    /// # Errors
    /// [`CaptureError::Replaced`]: the path names another file.
    pub fn roll_back(&mut self) -> Result<()> {
        let journal = hold::sibling(&self.real, "-journal");
        let before = hold::stamp(&journal);
        if self.access == Access::Read || before.is_none() {
            return Ok(());
        }
        std::thread::sleep(STILL);
        let pen = connect(&self.path, Access::Write)?;
        if hold::stamp(&journal) != before {
            return Ok(());
        }
        if identify(&self.path)? != Some(self.file) {
            return Err(CaptureError::Replaced { path: self.path.clone() });
        }
        self.tell("roll back", || Ok(pen.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?))?;
        log::warn!("{}: a transaction that its writer left behind was rolled back", self.path.display());
        Ok(())
    }
}
