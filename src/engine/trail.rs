//! Where in a log the events of one record may be: what its trail says, as far as that is of this very log.

use crate::store::capture::{CaptureError, CapturedLog};
use crate::store::shadow::trail;
use crate::store::state::{StateError, StateReader};

/// Why that cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The log cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The state file cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Where in a log events of these lanes may be. All of it without a trail, or with one of another file.
pub fn places(
    log: &mut CapturedLog,
    state: Option<&mut StateReader>,
    lanes: &[u64],
) -> Result<Vec<(i64, i64)>, TrailError> {
    let all = (log.lowest_seq()?, log.highest_seq()?);
    let Some(state) = state else { return Ok(vec![all]) };
    let name = log.name().to_owned();
    let end = state.read(|db| trail::end(db, &name))?;
    let follows = match end {
        Some(end) => log.event_at(end.seq)?.is_some_and(|event| event.id == end),
        None => false,
    };
    if !follows {
        return Ok(vec![all]);
    }
    Ok(state.read(|db| trail::places(db, &name, lanes, all))?)
}
