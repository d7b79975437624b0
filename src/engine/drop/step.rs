//! Why a step of a drop could not be made.

use crate::engine::ledger::LedgerError;
use crate::engine::source::SourceError;
use crate::store::state::StateError;

/// A step that could not be made; it is tried again.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct StepError {
    pub(super) text: String,
    /// A sync has failed: the agent must end.
    pub broken: bool,
}

impl From<StateError> for StepError {
    fn from(error: StateError) -> StepError {
        StepError { broken: error.is_broken(), text: error.to_string() }
    }
}

impl From<LedgerError> for StepError {
    fn from(error: LedgerError) -> StepError {
        let broken = matches!(&error, LedgerError::Gone(_)) || matches!(&error, LedgerError::State(e) if e.is_broken());
        StepError { broken, text: error.to_string() }
    }
}

impl From<SourceError> for StepError {
    fn from(error: SourceError) -> StepError {
        StepError { broken: error.broken, text: error.to_string() }
    }
}

impl From<std::io::Error> for StepError {
    fn from(error: std::io::Error) -> StepError {
        StepError { broken: false, text: format!("the drop's folder: {error}") }
    }
}
