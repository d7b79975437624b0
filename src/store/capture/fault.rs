//! What can go wrong with the application's file: each with what, where, and what to do.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rustix::fs::Access;

/// A failure around the application's file.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is no such file.
    #[error("{path}: no such file; give the path of the application's SQLite database")]
    Missing {
        /// The path as given.
        path: PathBuf,
    },
    /// It is a folder, a socket, or anything but a file.
    #[error("{path}: not a file; give the path of the application's SQLite database")]
    NotAFile {
        /// The path as given.
        path: PathBuf,
    },
    /// Not one byte, or not one page: an application's database has tables.
    #[error("{path}: is empty; is it being copied there? Else give the path of the application's SQLite database")]
    Empty {
        /// The path as given.
        path: PathBuf,
    },
    /// Another file stands in its place, or other files beside it.
    #[error("{path}: replaced under the agent; it is opened again when nobody has written it for some seconds")]
    Replaced {
        /// The database.
        path: PathBuf,
    },
    /// The bytes are not SQLite's.
    #[error("{path}: not an SQLite database, or an encrypted one, or not whole yet; check `database:`")]
    NotADatabase {
        /// The path as given.
        path: PathBuf,
    },
    /// The file, or its folder, cannot be written.
    #[error("{path}: {what} is read-only for this user (uid {uid}); give it write permission")]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// `the file` or `the folder`.
        what: &'static str,
        /// Our effective user.
        uid: u32,
    },
    /// SQLite cannot open the file, its `-wal` or its `-shm`.
    #[error("{path}: cannot be opened: {cause}; check the permissions of the file and of its folder")]
    CannotOpen {
        /// The database.
        path: PathBuf,
        /// SQLite's words.
        cause: String,
    },
    /// Another connection kept the lock for longer than we wait.
    #[error(
        "{path}: locked by another process for more than {seconds} s while trying to {doing}; look for a long \
         transaction in the application, then try again"
    )]
    Busy {
        /// The database.
        path: PathBuf,
        /// What we were about to do.
        doing: &'static str,
        /// How long we waited.
        seconds: u64,
    },
    /// A journal that nobody is writing lies beside the file: a writer has died, or the file is another.
    #[error(
        "{path}: a transaction was cut short and is not rolled back yet; start the application, or `hms-sync run`: \
         either does that"
    )]
    HotJournal {
        /// The database.
        path: PathBuf,
    },
    /// Files that we leave behind when killed would lock the application out of its own database.
    #[error(
        "{path}: {cause}; run as the file's owner, or share a group: `chgrp GROUP FOLDER FILE && chmod 2770 FOLDER && chmod 660 FILE`"
    )]
    Lockout {
        /// The database.
        path: PathBuf,
        /// Who owns what.
        cause: String,
    },
    /// Some of our own tables are gone from the file, or were altered.
    #[error(
        "{path}: the tables of capture are damaged ({what}); the application's writes may fail; run `hms-sync capture repair`"
    )]
    OwnTables {
        /// The database.
        path: PathBuf,
        /// Which tables.
        what: String,
    },
    /// Nothing was ever watched in this file.
    #[error("{path}: nothing is captured here yet; run `hms-sync watch TABLE`")]
    NotInstalled {
        /// The database.
        path: PathBuf,
    },
    /// This table cannot be captured.
    #[error("table {table}: {reason}")]
    Refused {
        /// The table as named.
        table: String,
        /// Why, and what to do.
        reason: String,
    },
    /// An operator's filter is not one SQL expression over the table.
    #[error("--where: {0}")]
    Filter(String),
    /// Another agent, with another state file, captures here.
    #[error(
        "{path}: captured by another agent (owner {owner}); stop that one, then start here with `run --take-over`, \
         which begins a new epoch"
    )]
    OtherOwner {
        /// The database.
        path: PathBuf,
        /// The owner written in the file.
        owner: String,
    },
    /// A reconcile would delete so much that a person must agree.
    #[error(
        "table {table}: reconcile would delete {deletes} records, more than {limit}; look at the table, then force \
         it with `hms-sync reconcile {table} --force`"
    )]
    TooManyDeletes {
        /// The table.
        table: String,
        /// How many records are gone.
        deletes: u64,
        /// max(100, 5 %).
        limit: u64,
    },
    /// What stands in `hms_sync_meta` cannot be read.
    #[error("hms_sync_meta: entry {entry} cannot be read ({cause}); run `hms-sync capture repair`")]
    Catalogue {
        /// The key of the entry.
        entry: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Our tables were laid out by another version of the agent.
    #[error("hms_sync_meta: the tables of capture have format {found}, this version knows 1; run the newer hms-sync")]
    Format {
        /// What stands in the file.
        found: i64,
    },
    /// The disk (or quota) is full.
    #[error("{path}: the disk is full, cannot {doing}; free space on it")]
    Full {
        /// The database.
        path: PathBuf,
        /// What we were about to do.
        doing: &'static str,
    },
    /// A sync has failed: what the file holds is no longer known, and a second sync would prove nothing.
    #[error(
        "{path}: the disk failed while trying to {doing} ({cause}): the agent stops and starts again; check the disk"
    )]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What we were about to do.
        doing: &'static str,
        /// The system's or SQLite's words.
        cause: String,
    },
    /// A file operation failed.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What we were about to do.
        doing: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// Anything else that SQLite says.
    #[error("{path}: cannot {doing}: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What we were about to do.
        doing: &'static str,
        /// SQLite's words.
        source: rusqlite::Error,
    },
    /// SQLite's error before it is known where it happened; public functions never return it.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

/// How long we wait for another connection's lock.
pub const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

impl CaptureError {
    /// Whether the file must not be used any more by this process.
    pub fn is_broken(&self) -> bool {
        matches!(self, CaptureError::Broken { .. })
    }

    /// Whether the disk is full or failing, as far as can be told.
    pub fn is_disk(&self) -> bool {
        match self {
            CaptureError::Broken { .. } | CaptureError::Full { .. } | CaptureError::Io { .. } => true,
            // A `-wal` or `-shm` that cannot be made.
            CaptureError::CannotOpen { .. } => true,
            CaptureError::Sqlite { source, .. } => source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure),
            _ => false,
        }
    }

    /// Whether SQLite finds the file damaged, or could not read enough of it to say otherwise.
    pub fn is_corrupt(&self) -> bool {
        let CaptureError::Sqlite { source, .. } = self else { return false };
        source.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
    }

    /// Whether it may be a file that is just being copied or restored: what stands there is not a whole database.
    pub fn is_unfinished(&self) -> bool {
        matches!(self, CaptureError::Empty { .. } | CaptureError::NotADatabase { .. }) || self.is_corrupt()
    }

    /// Whether the file holds something else than it did: no lock, no want of space, no failing disk.
    pub fn is_about_contents(&self) -> bool {
        match self {
            CaptureError::NotADatabase { .. }
            | CaptureError::NotInstalled { .. }
            | CaptureError::OwnTables { .. }
            | CaptureError::Catalogue { .. }
            | CaptureError::Format { .. } => true,
            error => error.is_corrupt(),
        }
    }

    /// Adds path and purpose to a bare SQLite error, and finds the message that fits it.
    pub(super) fn at(self, path: &Path, doing: &'static str) -> CaptureError {
        let CaptureError::Sql(source) = self else { return self };
        let path = path.to_path_buf();
        if crate::store::is_failed_sync(&source) {
            return CaptureError::Broken { path, doing, cause: source.to_string() };
        }
        if source.sqlite_error().map(|error| error.extended_code) == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK) {
            return CaptureError::HotJournal { path };
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                CaptureError::Busy { path, doing, seconds: BUSY_TIMEOUT.as_secs() }
            }
            Some(ErrorCode::NotADatabase) => CaptureError::NotADatabase { path },
            Some(ErrorCode::CannotOpen) => CaptureError::CannotOpen { path, cause: source.to_string() },
            // SQLite opens for reading what it is refused for writing, whatever the reason: if its permissions allow to
            // write, this one passes.
            Some(ErrorCode::ReadOnly) if rustix::fs::access(&path, Access::READ_OK | Access::WRITE_OK).is_ok() => {
                CaptureError::CannotOpen { path, cause: source.to_string() }
            }
            Some(ErrorCode::ReadOnly) => {
                CaptureError::ReadOnly { path, what: "the file", uid: rustix::process::geteuid().as_raw() }
            }
            Some(ErrorCode::DiskFull) => CaptureError::Full { path, doing },
            _ if source.to_string().contains("no such table: hms_sync_")
                || source.to_string().contains("no such table: main.hms_sync_") =>
            {
                CaptureError::OwnTables { path, what: source.to_string() }
            }
            _ => CaptureError::Sqlite { path, doing, source },
        }
    }
}

/// A result about the application's file.
pub type Result<T> = std::result::Result<T, CaptureError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_sqlite_becomes_the_message_that_says_what_to_do() {
        let told = |code: i32, text: &str| {
            let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(text.to_owned()));
            CaptureError::Sql(source).at(Path::new("/office.db"), "read events").to_string()
        };
        assert_eq!(
            told(rusqlite::ffi::SQLITE_BUSY, "database is locked"),
            "/office.db: locked by another process for more than 5 s while trying to read events; look for a long \
             transaction in the application, then try again"
        );
        assert!(told(rusqlite::ffi::SQLITE_NOTADB, "file is not a database").contains("not an SQLite database"));
        assert!(told(rusqlite::ffi::SQLITE_CANTOPEN, "unable to open").contains("check the permissions"));
        assert!(told(rusqlite::ffi::SQLITE_READONLY, "readonly").contains("give it write permission"));
        assert!(told(rusqlite::ffi::SQLITE_FULL, "full").contains("the disk is full, cannot read events"));
        assert!(told(rusqlite::ffi::SQLITE_ERROR, "no such table: hms_sync_ctl").contains("capture repair"));
        assert_eq!(told(rusqlite::ffi::SQLITE_ERROR, "odd"), "/office.db: cannot read events: odd");
    }
}
