//! REMEMBER: all SQL. Two files: the application's (capture; read mostly) and the agent's own state.

pub mod capture;
pub mod image;
pub mod shadow;
pub mod state;

/// Both files' tables, as they stand in `schema.sql`.
const SCHEMA: &str = include_str!("../schema.sql");

/// The marker line in `schema.sql` before the state file's part.
const STATE_MARK: &str = "-- ===== the agent's state file =====";

/// Page cache of a connection that only reads on, as SQLite counts: negative = KiB. The default is four times that, and
/// an agent has many such connections.
const SMALL_CACHE: i64 = -512;

/// Whether SQLite says that a sync has failed.
fn is_failed_sync(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(extended, Some(SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC))
}

/// The part of `schema.sql` that belongs into the state file.
fn state_schema() -> &'static str {
    SCHEMA.split_once(STATE_MARK).map_or("", |(_, state)| state)
}
