//! What the shadow has taken in and some connector has not passed yet. As long as the file stays the same its log still
//! tells that; when another stands in its place nobody does, and the comparison would find nothing to send. So what is
//! read above the lowest cursor is marked: an image by the position behind its hash, a record that went by a line of its
//! own.

use rusqlite::{Connection, params};

use super::{Result, atomically};
use crate::store::state::{cursor, log as logs};

/// Bytes of a hash; what follows is the position of the event that told the image, big-endian.
const HASH: usize = 32;

/// Up to where every connector has settled a log; `i64::MAX` when none reads it.
pub(super) fn passed(state: &Connection, log: &str) -> Result<i64> {
    let lowest = match logs::find(state, log)? {
        Some(id) => cursor::lowest(state, id)?,
        None => None,
    };
    Ok(lowest.unwrap_or(i64::MAX))
}

/// A hash with the position of its event.
pub(super) fn marked(mut hash: Vec<u8>, seq: i64) -> Vec<u8> {
    hash.extend_from_slice(&seq.to_be_bytes());
    hash
}

/// The hash without such a mark.
pub(super) fn bare(mut hash: Vec<u8>) -> Vec<u8> {
    hash.truncate(HASH);
    hash
}

/// Notes that a record went at a position.
pub(super) fn note_gone(state: &Connection, log: &str, kind: &str, key: &[u8], seq: i64) -> Result<()> {
    state
        .prepare_cached("INSERT OR REPLACE INTO shadow_gone (log, kind, key, seq) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![log, kind, key, seq])?;
    Ok(())
}

/// Forgets the records that went where every connector has passed, or below `floor`, from where on nothing is in the log
/// any more.
pub fn settle(state: &Connection, log: &str, floor: i64) -> Result<()> {
    let settled = passed(state, log)?.max(floor);
    state.prepare_cached("DELETE FROM shadow_gone WHERE log = ?1 AND seq <= ?2")?.execute(params![log, settled])?;
    Ok(())
}

/// The log is no more. What it told above `passed`, the lowest cursor then, some target may not have: a comparison sends
/// each of these records as it is now, and a delete where it is in the table no more.
pub fn recall(state: &Connection, log: &str, passed: i64) -> Result<()> {
    atomically(state, || {
        state.execute(
            "UPDATE shadow SET hash = CASE WHEN substr(hash, ?2 + 1) > ?3 THEN x'' ELSE substr(hash, 1, ?2) END
              WHERE log = ?1 AND length(hash) > ?2",
            params![log, HASH as i64, passed.to_be_bytes()],
        )?;
        state.execute(
            "INSERT OR IGNORE INTO shadow (log, kind, key, hash)
             SELECT log, kind, key, x'' FROM shadow_gone WHERE log = ?1 AND seq > ?2",
            params![log, passed],
        )?;
        state.execute("DELETE FROM shadow_gone WHERE log = ?1", [log])?;
        Ok(())
    })
}
