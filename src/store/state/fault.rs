//! What can go wrong with the state file: each with what, where, and what to do.

use std::path::{Path, PathBuf};

/// What can go wrong with the state file. Each says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another agent holds the file.
    #[error(
        "{path}: another agent (process {holder}) is running with this state file: stop it first, or give this one a state file of its own (`state:` in sync.yaml)"
    )]
    Held {
        /// The state file.
        path: PathBuf,
        /// Process number of the holder, as it wrote it down.
        holder: String,
    },
    /// The folder cannot be made or written.
    #[error(
        "{path}: the state folder cannot be used ({error}): make it writable for this user, or name another file with `state:` in sync.yaml"
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
    /// There is no state file yet.
    #[error("{0}: no state file yet: the agent has not run here. `hms-sync run` makes it")]
    Absent(PathBuf),
    /// Written by a newer version.
    #[error("{path}: written by a newer hms-sync (schema {found}, this one knows {known}): install that version again")]
    Newer {
        /// The state file.
        path: PathBuf,
        /// Its schema number.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// The disk is full or failing; nothing was stored.
    #[error(
        "{path}: the state file cannot be used ({error}), and nothing is sent that cannot be recorded first; {}",
        remedy(error)
    )]
    Disk {
        /// The state file.
        path: PathBuf,
        /// SQLite's answer.
        error: rusqlite::Error,
    },
    /// A sync has failed: what the file holds is no longer known, and a second sync would prove nothing.
    #[error(
        "{path}: the disk failed while the state file was being made durable ({error}): the agent stops and starts again; check the disk"
    )]
    Broken {
        /// The state file.
        path: PathBuf,
        /// SQLite's answer.
        error: rusqlite::Error,
    },
    /// Pages or indexes of the file are not as SQLite left them.
    #[error(
        "{path}: the state file is damaged ({found}): nothing is sent from it. Check the disk; put back a copy of the folder, mend it with `sqlite3 FILE .recover`, or move it away and begin a new epoch with `hms-sync run --take-over`"
    )]
    Damaged {
        /// The state file.
        path: PathBuf,
        /// The first thing that SQLite found.
        found: String,
    },
    /// Anything else that SQLite refuses.
    #[error("{path}: {error}")]
    Sqlite {
        /// The state file.
        path: PathBuf,
        /// SQLite's answer.
        error: rusqlite::Error,
    },
}

impl StateError {
    /// Whether the file must not be used any more by this process.
    pub fn is_broken(&self) -> bool {
        matches!(self, StateError::Broken { .. } | StateError::Damaged { .. })
    }

    /// Whether another process kept a lock for longer than we wait.
    pub fn is_busy(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, FileLockingProtocolFailed};
        let StateError::Sqlite { error, .. } = self else { return false };
        matches!(error.sqlite_error_code(), Some(DatabaseBusy | FileLockingProtocolFailed))
    }

    pub(super) fn of(path: &Path, error: rusqlite::Error) -> StateError {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, SystemIoFailure};
        let path = path.to_owned();
        if crate::store::is_failed_sync(&error) {
            return StateError::Broken { path, error };
        }
        match error.sqlite_error_code() {
            // A `-wal` or `-shm` that cannot be made is a disk in trouble too.
            Some(DiskFull | SystemIoFailure | ReadOnly | CannotOpen) => StateError::Disk { path, error },
            Some(DatabaseCorrupt | NotADatabase) => StateError::Damaged { path, found: error.to_string() },
            _ => StateError::Sqlite { path, error },
        }
    }
}

/// What to do about a disk that refuses: a full one and a failing one are not mended alike.
fn remedy(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, ReadOnly};
    match error.sqlite_error_code() {
        Some(DiskFull) => "free space on its disk",
        Some(ReadOnly) => "make the file and its disk writable again",
        Some(CannotOpen) => "look at the permissions and the disk of its folder",
        _ => "look at its disk (`dmesg`, `smartctl`)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_failing_one_are_told_apart() {
        let told = |code: i32| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            StateError::of(Path::new("/s.db"), error).to_string()
        };
        assert!(told(rusqlite::ffi::SQLITE_FULL).ends_with("; free space on its disk"));
        let failing = told(rusqlite::ffi::SQLITE_IOERR_WRITE);
        assert!(failing.ends_with("; look at its disk (`dmesg`, `smartctl`)"), "{failing}");
        assert!(told(rusqlite::ffi::SQLITE_READONLY).contains("writable again"));
    }
}
