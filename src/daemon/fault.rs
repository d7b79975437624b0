//! Why an agent cannot start.

use crate::config::Problems;
use crate::engine::drop;
use crate::engine::keeper::KeeperError;
use crate::engine::ledger::LedgerError;
use crate::engine::pull::PullError;
use crate::engine::push::WorkerError;
use crate::engine::reconcile::ReconcileError;
use crate::store::capture::CaptureError;
use crate::store::state::StateError;

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration.
    #[error("{0}")]
    Config(Problems),
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its writer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An application's file.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Keeping an application's file.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// The shadow of an application's file.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// A connector.
    #[error("{connector}: {error}")]
    Worker {
        /// Which.
        connector: String,
        /// Why.
        error: Box<WorkerError>,
    },
    /// What a connector reads.
    #[error("{connector}: {error}")]
    Pull {
        /// Which.
        connector: String,
        /// Why.
        error: Box<PullError>,
    },
    /// A drop.
    #[error("{drop}: {error}")]
    Drop {
        /// Which.
        drop: String,
        /// Why.
        error: Box<drop::StepError>,
    },
    /// The system gives no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl From<Problems> for AgentError {
    fn from(problems: Problems) -> AgentError {
        AgentError::Config(problems)
    }
}
