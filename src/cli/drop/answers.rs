//! `drop acks` and `drop dismiss`.

use super::Dismiss;
use super::change::order;
use super::show::known;
use crate::cli::failure::Code;
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::engine::drop::{AckLine, ack_lines};
use crate::engine::operate::{FileOperation, Operation};

/// The answers that were read.
pub fn acks(place: &Place, name: &str, limit: usize) -> Outcome {
    let config = place.config()?;
    let (mut state, known) = known(place, &config, name)?;
    let lines = state.read(|db| ack_lines(db, &known, limit))?;
    if place.json() {
        output::json(&lines)?;
        return Ok(Code::Ok);
    }
    if lines.is_empty() {
        output::line("no answer yet")?;
        return Ok(Code::Ok);
    }
    let row = |line: &AckLine| {
        let dash = || "-".to_owned();
        vec![
            line.at.clone(),
            line.name.clone(),
            line.word.clone(),
            line.file.clone().unwrap_or_else(dash),
            line.reason.clone().unwrap_or_else(dash),
            line.sha256.chars().take(12).collect(),
        ]
    };
    output::table(&["READ", "NAME", "WORD", "FILE", "WHAT", "SHA256"], lines.iter().map(row).collect())?;
    Ok(Code::Ok)
}

/// Takes note that an answer is dealt with.
pub fn dismiss(place: &Place, dismiss: Dismiss) -> Outcome {
    let Dismiss { drop, answer, why } = dismiss;
    let config = place.config()?;
    known(place, &config, &drop)?;
    let operation = Operation::Drop(FileOperation::Dismiss { drop, ack: answer });
    order(place, &config.settings, operation, why)
}
