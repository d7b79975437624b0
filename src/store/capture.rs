//! Capture: the tables and triggers in the application's file, and reading what they wrote.
//!
//! The application's file belongs to the application. Its writes never fail or wait because of us: our read
//! transactions are short, our write transactions are few and short (`BEGIN IMMEDIATE`), we never checkpoint,
//! never change its journal mode, and never open it or its `-shm` but through SQLite (closing any other
//! descriptor of them would drop SQLite's locks).

mod apply;
mod catalogue;
mod count;
mod examine;
mod fault;
mod filter;
mod folder;
mod foreign;
mod history;
mod hold;
mod install;
mod pen;
mod poll;
mod preview;
mod propose;
mod read;
mod refresh;
mod repair;
mod scan;
mod table;
mod tend;
mod trigger;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use catalogue::Catalogue;

pub use apply::{Act, Applied, Change, Done, Fitting, Found, GUARD, Mark, Part, SUB_BATCH};
pub use catalogue::{Depth, Epoch, WatchSpec};
pub use examine::Valve;
pub use fault::{BUSY_TIMEOUT, CaptureError, Result};
pub use history::Kind;
pub use install::{Installed, State, Watched};
pub use poll::{Finding, Heal, Seen, Witness};
pub use preview::Preview;
pub use propose::Candidate;
pub use refresh::{Refreshed, Sent};
pub use repair::Repair;
pub use scan::Scan;
pub use table::{Affinity, Column, KeyColumn, Table};
pub use tend::{Due, Size, Tended};

/// The capture part of `schema.sql`.
fn schema() -> &'static str {
    const WHOLE: &str = super::SCHEMA;
    let start = WHOLE.find("-- ===== the application's file =====").unwrap_or(0);
    let end = WHOLE.find("-- ===== the agent's state file =====").unwrap_or(WHOLE.len());
    WHOLE.get(start..end).unwrap_or_default()
}

/// Our tables in the application's file.
const OWN_TABLES: [&str; 5] = ["hms_sync_meta", "hms_sync_ctl", "hms_sync_lost", "hms_sync_cand", "hms_sync_outbox"];

/// What a connection to the application's file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Looking only: `status`, `simulate`, `watch --list`.
    Read,
    /// The agent, and verbs that change capture.
    Write,
}

/// The log of one application file: what its triggers captured, and the triggers themselves.
///
/// Holds one connection; not for sharing between threads (open another).
#[derive(Debug)]
pub struct CapturedLog {
    name: Arc<str>,
    path: PathBuf,
    /// Where the path leads: SQLite puts the `-wal` beside this.
    real: PathBuf,
    access: Access,
    /// To nothing while there is no `hold`. Cannot write: see `pen.rs`.
    conn: Connection,
    /// Writes; only with [`Access::Write`], and not while there is no `hold`.
    pen: Option<Connection>,
    /// The right to `conn`; goes after it.
    hold: Option<hold::Hold>,
    /// This one looks at a file that was replaced before others read it.
    first: Option<hold::First>,
    /// Another file was opened, and nobody asked whether.
    moved: bool,
    /// Up to here the log is on the disk.
    durable: i64,
    /// When it was looked at last, the file was as before and only what stood beside it was not.
    intact: bool,
    /// The last event that was read, also of a file that was replaced since.
    last_read: Option<Witness>,
    catalogue: Catalogue,
    /// Device and inode of the file that `conn` has open.
    file: folder::FileId,
    /// When that was written last, when it was looked at last.
    stamp: Option<hold::Stamp>,
    /// The `schema_version` at which all triggers were last found right.
    schema_seen: Option<i64>,
    /// The `data_version` of `pen` when it last applied what was pulled.
    pen_version: Option<i64>,
    wal: Option<folder::OpenWal>,
    /// The `-wal` and `-shm` beside it that `conn` has open, once it is in WAL mode.
    beside: Option<hold::Beside>,
}

impl CapturedLog {
    /// Opens the application's file under the log's name. Nothing is created or changed in it.
    ///
    /// # Errors
    /// Missing, not SQLite, empty or read-only (for [`Access::Write`]), a folder in which files that we leave behind when
    /// killed would lock the application out, or locked for [`BUSY_TIMEOUT`].
    pub fn open(name: &str, path: &Path, access: Access) -> Result<CapturedLog> {
        let (real, file) = folder::check(path, access)?;
        let mut log = CapturedLog {
            name: name.into(),
            path: path.to_path_buf(),
            real,
            access,
            conn: nowhere(path)?,
            pen: None,
            hold: None,
            first: None,
            moved: false,
            durable: i64::MIN,
            intact: false,
            last_read: None,
            catalogue: Catalogue::default(),
            file,
            stamp: None,
            schema_seen: None,
            pen_version: None,
            wal: None,
            beside: None,
        };
        log.connect()?;
        Ok(log)
    }

    /// Opens the file that the path names now. The first read tells whether it is a database at all.
    fn connect(&mut self) -> Result<()> {
        let (hold, beside) =
            hold::Hold::take(&self.real, self.file, self.first.is_some()).map_err(|error| match error {
                CaptureError::Replaced { .. } => CaptureError::Replaced { path: self.path.clone() },
                other => other,
            })?;
        (self.hold, self.beside) = (Some(hold), beside);
        let mut opened = self.open_both();
        if matches!(opened, Err(CaptureError::HotJournal { .. })) {
            opened = self.roll_back().and_then(|()| self.open_both());
        }
        if let Err(error) = opened {
            self.let_go()?;
            return Err(error);
        }
        let read = self.first_read();
        match &read {
            // It may be copied there just now: not tried again at once.
            Err(error) if error.is_about_contents() => self.leave()?,
            Err(_) => self.let_go()?,
            Ok(()) => {}
        }
        read
    }

    /// Reads the file as far as to know its tables, so that a journal that was left behind shows here.
    fn open_both(&mut self) -> Result<()> {
        self.conn = connect(&self.path, Access::Read)?;
        self.pen = match self.access {
            Access::Read => None,
            Access::Write => Some(connect(&self.path, Access::Write)?),
        };
        self.stamp = hold::stamp(&self.real);
        Ok(())
    }

    fn first_read(&mut self) -> Result<()> {
        self.told("open it", |log| {
            let own = log.own_tables()?;
            let pages: i64 = log.conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
            if log.access == Access::Write && pages == 0 {
                return Err(CaptureError::Empty { path: log.path.clone() });
            }
            if own.len() == OWN_TABLES.len() {
                log.catalogue = Catalogue::load(&log.conn)?;
            }
            log.find_beside()
        })
    }

    /// Opens what stands at the path now, once every connection of this process has let go of what was open.
    fn reopen(&mut self) -> Result<()> {
        self.leave()?;
        (self.real, self.file) = folder::check(&self.path, self.access)?;
        self.connect()?;
        self.moved = true;
        self.durable = i64::MIN;
        Ok(())
    }

    /// Closes the connection.
    fn let_go(&mut self) -> Result<()> {
        self.conn = nowhere(&self.path)?;
        (self.pen, self.hold) = (None, None);
        (self.catalogue, self.schema_seen, self.pen_version) = (Catalogue::default(), None, None);
        (self.stamp, self.wal, self.beside) = (None, None, None);
        self.intact = false;
        Ok(())
    }

    /// The log's name: its key in `databases:`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The application's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anything was ever watched in this file.
    pub fn installed(&self) -> Result<bool> {
        self.tell("look for our tables", || Ok(!self.own_tables()?.is_empty()))
    }

    /// SQLite's `data_version`: moves when another connection committed to the file. About a microsecond.
    pub fn data_version(&self) -> Result<i64> {
        self.tell("ask for data_version", || {
            Ok(self.conn.prepare_cached("PRAGMA main.data_version")?.query_row([], |row| row.get(0))?)
        })
    }

    /// Which of our tables are in the file.
    fn own_tables(&self) -> Result<Vec<String>> {
        let mut list = self.conn.prepare_cached(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name LIKE 'hms!_sync!_%' ESCAPE '!'",
        )?;
        let names: Vec<String> = list.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(OWN_TABLES.iter().map(|own| (*own).to_owned()).filter(|own| names.contains(own)).collect())
    }

    /// Fails unless all of our tables are there.
    fn need_own_tables(&self) -> Result<()> {
        let own = self.own_tables()?;
        if own.is_empty() {
            return Err(CaptureError::NotInstalled { path: self.path.clone() });
        }
        let missing: Vec<&str> = OWN_TABLES.into_iter().filter(|name| !own.iter().any(|own| own == name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(CaptureError::OwnTables { path: self.path.clone(), what: format!("missing: {}", missing.join(", ")) })
    }

    /// Loads the catalogue again when some process changed it. Call inside a transaction.
    fn refresh_catalogue(&mut self) -> Result<()> {
        if self.catalogue.epochs.is_empty() || catalogue::generation(&self.conn)? != self.catalogue.generation {
            self.need_own_tables()?;
            self.catalogue = Catalogue::load(&self.conn)?;
        }
        Ok(())
    }

    /// Runs `work` in one read transaction.
    fn reading<T>(&mut self, doing: &'static str, work: impl FnOnce(&mut CapturedLog) -> Result<T>) -> Result<T> {
        self.told(doing, |log| {
            log.conn.execute_batch("BEGIN")?;
            let done = work(log);
            log.conn.execute_batch("ROLLBACK")?;
            done
        })
    }

    /// Adds path and purpose to an error.
    fn told<T>(&mut self, doing: &'static str, work: impl FnOnce(&mut CapturedLog) -> Result<T>) -> Result<T> {
        self.need_open()?;
        let done = work(self);
        done.map_err(|error| error.at(&self.path, doing))
    }

    fn need_open(&self) -> Result<()> {
        if self.hold.is_some() {
            return Ok(());
        }
        Err(CaptureError::Replaced { path: self.path.clone() })
    }

    fn tell<T>(&self, doing: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.need_open()?;
        work().map_err(|error| error.at(&self.path, doing))
    }
}

/// What stands in the place of a connection while none may be open.
fn nowhere(path: &Path) -> Result<Connection> {
    Connection::open_in_memory().map_err(|error| CaptureError::from(error).at(path, "open it"))
}

/// A connection that cannot harm the application's file: no checkpoints, no memory mapping, no journal change.
fn connect(path: &Path, access: Access) -> Result<Connection> {
    let mode = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let open = || -> Result<Connection> {
        // No SQLITE_OPEN_URI: a name that begins with `file:` is a name.
        let conn = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        // A library older than 3.51.3 in the application can corrupt a WAL that two processes checkpoint.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // A misspelt column in double quotes must be an error, not a string.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        // What is pulled in must not break what the application relies on.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        conn.pragma_update(None, "mmap_size", 0)?;
        // The log is read from front to back: a page that was read is not read again. The one that writes reads nothing
        // before its transaction, and this would.
        if access == Access::Read {
            conn.pragma_update(None, "cache_size", super::SMALL_CACHE)?;
        }
        if access == Access::Write && conn.is_readonly("main")? {
            // Its permissions were looked at before. SQLite opens for reading what it is refused for writing, whatever
            // the reason: this one passes.
            let cause = "the system refused it for writing, though its permissions allow that".to_owned();
            return Err(CaptureError::CannotOpen { path: path.to_path_buf(), cause });
        }
        conn.set_prepared_statement_cache_capacity(64);
        Ok(conn)
    };
    open().map_err(|error| error.at(path, "open it"))
}
