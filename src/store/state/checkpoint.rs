//! Who checkpoints the state file: its one writer, and so that a failed sync is heard.

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;

use super::Sql;

/// Pages in the log at which the writer checkpoints; SQLite's own default.
const CHECKPOINT_PAGES: i32 = 1000;

/// The writer checkpoints as SQLite would by itself, but a sync that fails there is an error of the commit. SQLite keeps
/// quiet about it and syncs again at the next checkpoint.
pub fn aloud(db: &mut Connection) -> Sql<()> {
    db.wal_hook(Some(|wal: &mut Wal, pages: i32| {
        if pages < CHECKPOINT_PAGES {
            return Ok(());
        }
        match wal.checkpoint() {
            Err(error) if crate::store::is_failed_sync(&error) => Err(error),
            // Busy, or no space: the log grows on, and the next commit tries again.
            _ => Ok(()),
        }
    }))
}

/// Only the writer's connection checkpoints, so that only it syncs.
pub fn leave(db: &Connection) -> Sql<()> {
    never(db)?;
    db.pragma_update(None, "wal_autocheckpoint", 0)
}

/// Closing this connection checkpoints nothing.
pub fn never(db: &Connection) -> Sql<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}
