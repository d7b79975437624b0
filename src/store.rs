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

/// The marker line before what version 2 of the state file adds.
const DROPS_MARK: &str = "-- ===== the agent's state file, version 2: file drops =====";

/// The part of `schema.sql` that belongs into the state file: what version 1 had.
fn state_schema() -> &'static str {
    let state = SCHEMA.split_once(STATE_MARK).map_or("", |(_, state)| state);
    state.split_once(DROPS_MARK).map_or(state, |(first, _)| first)
}

/// The marker line before what version 3 of the state file adds.
const AUDIT_MARK: &str = "-- ===== the agent's state file, version 3: the audit as a chain =====";

/// What version 2 adds.
fn drops_schema() -> &'static str {
    let drops = SCHEMA.split_once(DROPS_MARK).map_or("", |(_, drops)| drops);
    drops.split_once(AUDIT_MARK).map_or(drops, |(drops, _)| drops)
}

/// What version 3 adds.
fn audit_schema() -> &'static str {
    SCHEMA.split_once(AUDIT_MARK).map_or("", |(_, audit)| audit)
}
