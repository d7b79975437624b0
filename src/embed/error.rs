//! What can go wrong, for the embedding program to act on.

use crate::config::Problems;
use crate::daemon::agent::AgentError;
use crate::engine::push::WorkerError;
use crate::store::state::StateError;

/// Why something did not work. No text holds a record's value or a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is wrong: every problem, a line each, with file, line and key.
    #[error("the configuration is wrong\n{0}")]
    Config(String),
    /// A handler was not given as it must be: its pattern is none, or two have one name.
    #[error("on_change `{name}`: {why}")]
    Handler {
        /// The handler.
        name: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// No connector has this name.
    #[error("no connector `{name}` is configured{hint}")]
    UnknownConnector {
        /// The name that was given.
        name: String,
        /// The nearest known one, in words, or nothing.
        hint: String,
    },
    /// Another agent has the state file, here or in another process: there is one agent for each.
    #[error("{0}")]
    Held(String),
    /// The agent that runs cannot be asked: it does not listen yet, or this user may not use its socket.
    #[error("the agent that runs does not answer: {0}")]
    Unreachable(String),
    /// A database, the state file, or something of the system cannot be used; the source says what and where.
    #[error("{0}")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A sync of a file has failed. Nothing more was written, because nothing would be proved by it: end the process, and look
    /// at the disk. What was not recorded as delivered is delivered again, under the same keys.
    #[error("a file could not be synced: the disk cannot be trusted at this time")]
    Disk,
    /// Another agent has taken a database over: what is captured from now on is its to deliver.
    #[error("another agent has taken a database over")]
    TakenOver,
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Error {
        Error::Config(problems.to_string())
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Error {
        match error {
            StateError::Held { .. } => Error::Held(error.to_string()),
            error if error.is_broken() => Error::Disk,
            error => Error::Start(Box::new(error)),
        }
    }
}

impl From<AgentError> for Error {
    fn from(error: AgentError) -> Error {
        match error {
            AgentError::Config(problems) => problems.into(),
            AgentError::State(error) => error.into(),
            AgentError::Worker { connector, error } => match *error {
                WorkerError::State(error) => error.into(),
                error => Error::Start(Box::new(AgentError::Worker { connector, error: Box::new(error) })),
            },
            error => Error::Start(Box::new(error)),
        }
    }
}
