//! The witness: the highest event that any attempt has used, by which a restored or replaced file shows.

use crate::store::capture::{Seen, Witness};
use crate::store::state::{LogId, StateError, StateReader, attempt, log as logs};

/// What the agent knows of a log, with the witness where it stands now; none = it never looked at the log.
///
/// # Errors
/// The state file cannot be read.
pub fn last_seen(state: &mut StateReader, log: &str) -> Result<Option<Seen>, StateError> {
    let Some(id) = state.read(|db| logs::find(db, log))? else { return Ok(None) };
    let (seen, mut witness_n) = state.read(|db| logs::seen(db, id))?;
    let Some(mut seen) = seen.and_then(|seen| serde_json::from_str::<Seen>(&seen).ok()) else { return Ok(None) };
    advance_witness(state, id, &mut seen, &mut witness_n)?;
    Ok(Some(seen))
}

/// The witness moves up to the highest event that any intent of this epoch has used since.
pub(super) fn advance_witness(
    reader: &mut StateReader,
    id: LogId,
    seen: &mut Seen,
    witness_n: &mut i64,
) -> Result<(), StateError> {
    let (epoch, after) = (seen.epoch.short(), *witness_n);
    let (last, used) = reader.read(|db| attempt::highest_intent(db, id, epoch, after))?;
    *witness_n = last;
    if let Some(used) = used.map(Witness::from)
        && seen.witness.is_none_or(|witness| witness.seq < used.seq)
    {
        seen.witness = Some(used);
    }
    Ok(())
}
