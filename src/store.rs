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

/// The part of `schema.sql` that belongs into the state file.
fn state_schema() -> &'static str {
    SCHEMA.split_once(STATE_MARK).map_or("", |(_, state)| state)
}
