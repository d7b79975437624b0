//! REMEMBER: all SQL. Two files: the application's (capture; read mostly) and the agent's own state.

pub mod capture;
pub mod image;
pub mod shadow;
pub mod state;

/// Both files' tables, as they stand in `schema.sql`.
const SCHEMA: &str = include_str!("../schema.sql");

/// How the marker lines in `schema.sql` begin before each version of the state file.
const STATE_MARK: &str = "-- ===== the agent's state file";

/// Page cache of a connection, as SQLite counts: negative = KiB. The default is four times that, and an agent has many
/// connections, none of which reads a page often.
const SMALL_CACHE: i64 = -512;

/// Whether SQLite says that a sync has failed.
fn is_failed_sync(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(extended, Some(SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC))
}

/// What each version of the state file adds, from the first on.
fn state_schemas() -> impl Iterator<Item = &'static str> {
    SCHEMA.split(STATE_MARK).skip(1).map(|part| part.split_once('\n').map_or("", |(_, schema)| schema))
}

/// The version of SQLite that is built in.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}
