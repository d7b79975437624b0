//! `audit`: the record of what was sent where and of what was done, and whether it is as it was recorded.

mod export;
mod head;
mod report;
mod show;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Outcome;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::engine::auditor::{AuditError, Trail};

/// Shows, looks through, verifies and exports the audit
///
/// Every attempt and every act is recorded before it takes effect, each record holding on to the one before it. All of this
/// reads only: it works while the agent runs, when it does not, and on a copy.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(show::Show),
    Report(report::Report),
    Verify(verify::Verify),
    Export(export::Export),
    Head(head::Head),
}

/// Where the trail lies.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// The archive: the folder `audit` beside the state file, or a copy of it, which is then read alone
    #[arg(long, value_name = "FOLDER")]
    archive: Option<PathBuf>,
}

impl Where {
    fn trail(&self, place: &Place) -> Result<Trail, Failure> {
        match &self.archive {
            Some(folder) => Ok(Trail::of_folder(folder)?),
            None => Ok(Trail::of_state(&place.config()?.settings.state, None)?),
        }
    }
}

/// Runs `audit`.
pub fn audit(place: &Place, audit: Audit) -> Outcome {
    match audit.verb {
        Verb::Show(show) => show::show(place, &show),
        Verb::Report(report) => report::report(place, &report),
        Verb::Verify(verify) => verify::verify(place, &verify),
        Verb::Export(export) => export::export(place, &export),
        Verb::Head(head) => head::head(place, &head),
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Failure {
        match error {
            AuditError::State(error) => error.into(),
            AuditError::Unchained(_) => Failure::new(Code::Unavailable, error.to_string()),
            AuditError::Nothing(_) | AuditError::Archive(_) | AuditError::Read(_) => {
                Failure::new(Code::Unavailable, error.to_string())
            }
            AuditError::Piece { .. } => Failure::new(Code::Data, format!("{error}; `hms-sync audit verify` says more")),
        }
    }
}
