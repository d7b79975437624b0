//! Exit codes of the contract, and errors that carry one.

use std::process::ExitCode;

use crate::adapter::secret::redact;
use crate::cli::journal;
use crate::config::Problems;
use crate::daemon::agent::AgentError;
use crate::engine::keeper::KeeperError;
use crate::engine::ledger::LedgerError;
use crate::engine::pull::PullError;
use crate::engine::push::WorkerError;
use crate::engine::reconcile::ReconcileError;
use crate::store::capture::CaptureError;
use crate::store::shadow::ShadowError;
use crate::store::state::StateError;

/// The exit codes (those of sysexits.h where it has one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It worked.
    Ok = 0,
    /// The operation failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Bad data.
    Data = 65,
    /// A target or a file cannot be reached.
    Unavailable = 69,
    /// Output cannot be written.
    CannotWrite = 73,
    /// The disk failed.
    Disk = 74,
    /// Try again later.
    Temporary = 75,
    /// Refused by governance or permission.
    Refused = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

/// An error on its way to the user.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: Code,
    /// What, where, and what to do; may have several lines.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// Prints it on stderr; as JSON when the user asked for JSON. To the journal it goes as lines of the log, which have
    /// a priority there.
    pub fn print(&self, json: bool) {
        let message = redact(&self.message);
        if json {
            eprintln!("{}", serde_json::json!({ "error": message, "exit": self.code as u8 }));
        } else if journal::is_journal() {
            let exit = self.code as u8;
            message.lines().for_each(|line| log::log!(journal::level_of(line), exit; "{line}"));
        } else {
            eprintln!("hms-sync: {message}");
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        // Never 78 for a disk that fails, after which systemd would not start the agent again.
        if problems.is_disk() {
            return Failure::new(Code::Disk, format!("the configuration cannot be read\n{problems}"));
        }
        Failure::new(Code::Config, format!("the configuration is wrong\n{problems}"))
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Failure {
        let code = match &error {
            StateError::Held { .. } => Code::Temporary,
            StateError::Folder { .. } => Code::CannotWrite,
            StateError::Absent(_) => Code::Unavailable,
            StateError::Newer { .. } => Code::Data,
            StateError::Disk { .. } | StateError::Broken { .. } | StateError::Damaged { .. } => Code::Disk,
            StateError::Sqlite { .. } if error.is_busy() => Code::Temporary,
            StateError::Sqlite { .. } => Code::Failed,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Failure {
        match error {
            LedgerError::Gone(gone) => Failure::new(Code::Disk, gone.to_string()),
            LedgerError::State(error) => error.into(),
        }
    }
}

impl From<KeeperError> for Failure {
    fn from(error: KeeperError) -> Failure {
        match error {
            KeeperError::Capture(error) => error.into(),
            KeeperError::State(error) => error.into(),
            KeeperError::Ledger(error) => error.into(),
        }
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Failure {
        match error {
            AgentError::Config(problems) => problems.into(),
            AgentError::State(error) => error.into(),
            AgentError::Ledger(error) => error.into(),
            AgentError::Capture(error)
            | AgentError::Keeper(KeeperError::Capture(error))
            | AgentError::Reconcile(
                ReconcileError::Capture(error) | ReconcileError::Shadow(ShadowError::Capture(error)),
            ) => of_start(error),
            AgentError::Keeper(error) => error.into(),
            AgentError::Reconcile(error) => error.into(),
            AgentError::Worker { connector, error } => of_worker(&connector, *error),
            AgentError::Pull { connector, error } => {
                let failure: Failure = match *error {
                    PullError::Capture(error) => of_start(error),
                    PullError::State(error) => error.into(),
                    PullError::Ledger(error) => error.into(),
                    error @ PullError::Plan => Failure::new(Code::Failed, error.to_string()),
                };
                Failure { message: format!("{connector}: {}", failure.message), ..failure }
            }
            AgentError::Drop { drop, error } => {
                let code = if error.broken { Code::Disk } else { Code::Temporary };
                Failure::new(code, format!("{drop}: {error}"))
            }
            AgentError::Thread(_) => Failure::new(Code::Failed, error.to_string()),
        }
    }
}

fn of_worker(connector: &str, error: WorkerError) -> Failure {
    let failure: Failure = match error {
        WorkerError::State(error) => error.into(),
        WorkerError::Ledger(error) => error.into(),
        WorkerError::Source(error) => Failure::new(Code::Temporary, error.to_string()),
    };
    Failure { message: format!("{connector}: {}", failure.message), ..failure }
}

/// An agent that starts beside a copy or a restore that is under way must be started again when that is over: 75, never
/// 78, after which systemd would leave it.
fn of_start(error: CaptureError) -> Failure {
    if error.is_unfinished() {
        let text = format!("{error}. If it is just being copied or restored, start again when that is over");
        return Failure::new(Code::Temporary, text);
    }
    of_tables(error.into())
}

/// A table that cannot be captured as it is configured: `check` knows the line.
fn of_tables(failure: Failure) -> Failure {
    match failure.code {
        Code::Config => Failure {
            message: format!(
                "{}
`hms-sync check` names file and line",
                failure.message
            ),
            ..failure
        },
        _ => failure,
    }
}

impl From<ReconcileError> for Failure {
    fn from(error: ReconcileError) -> Failure {
        match error {
            ReconcileError::Capture(error) | ReconcileError::Shadow(ShadowError::Capture(error)) => error.into(),
            ReconcileError::State(error) => error.into(),
            ReconcileError::Shadow(error) if error.is_busy() => Failure::new(Code::Temporary, error.to_string()),
            ReconcileError::Shadow(error) if error.is_disk() => Failure::new(Code::Disk, error.to_string()),
            ReconcileError::Shadow(error) => Failure::new(Code::Failed, error.to_string()),
        }
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Failure {
        let code = match &error {
            CaptureError::Missing { .. } => Code::Unavailable,
            CaptureError::Busy { .. }
            | CaptureError::Empty { .. }
            | CaptureError::Replaced { .. }
            | CaptureError::HotJournal { .. } => Code::Temporary,
            // Never 78, after which systemd would not start the agent again.
            error if error.is_disk() => Code::Disk,
            error if error.is_corrupt() => Code::Data,
            // A read that failed once can look so too: the next start finds them, or makes them again.
            CaptureError::OwnTables { .. } | CaptureError::Catalogue { .. } => Code::Data,
            CaptureError::Sqlite { .. } => Code::Failed,
            CaptureError::OtherOwner { .. } => Code::Refused,
            CaptureError::TooManyDeletes { .. } | CaptureError::Filter(_) => Code::Data,
            _ => Code::Config,
        };
        Failure::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With 78 the service manager would not start the agent again.
    #[test]
    fn tables_of_ours_that_seem_damaged_are_no_mistake_in_the_configuration() {
        let seems = CaptureError::OwnTables { path: "office.db".into(), what: "no such table".into() };
        assert!(of_start(seems).code == Code::Data);
        let torn = CaptureError::Catalogue { entry: "version/1/1".into(), cause: "no JSON".into() };
        assert!(of_start(torn).code == Code::Data);
    }
}
