//! `backup FILE`: a copy of the state file while the agent runs.

use std::path::PathBuf;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::store::state::StateError;

/// Copies the agent's state file to a new one, whole, while the agent runs or not
///
/// The copy is its owner's alone, and is checked. How it is put back: docs/INSTALL.md. The application's file is the
/// application's to back up.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The new file; one that is there is not written over
    file: PathBuf,
}

/// Runs `backup`. 73 when the new file cannot be made, 74 when a disk or the state file is at fault.
pub fn backup(place: &Place, backup: &Backup) -> Outcome {
    let config = place.config()?;
    let file = &backup.file;
    let mut state = place.state(&config.settings)?;
    state.backup(file).map_err(|error| match error {
        StateError::Folder { path, error } if path == *file => {
            let text = format!("{}: cannot be made: {error}; name another file", file.display());
            Failure::new(Code::CannotWrite, text)
        }
        error => error.into(),
    })?;
    let bytes = std::fs::metadata(file).map_or(0, |made| made.len());
    if place.json() {
        output::json(&serde_json::json!({ "file": file.display().to_string(), "bytes": bytes }))?;
    } else if !place.quiet() {
        output::line(&format!("{}: {bytes} bytes, checked", file.display()))?;
    }
    Ok(Code::Ok)
}
