//! `audit head`.

use clap::Args;
use serde_json::json;

use super::Where;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::engine::auditor::key_of;

/// Prints the newest checkpoint, and with -v the key that has signed it
///
/// Kept elsewhere it proves later, by `audit verify --checkpoint FILE`, that nothing before it was changed and that nothing was
/// cut off.
#[derive(Debug, Args)]
pub struct Head {
    #[command(flatten)]
    place: Where,
    /// Print the key that verifies it instead: for `audit verify --key`
    #[arg(long)]
    key: bool,
}

/// Runs `audit head`. 69 when there is no checkpoint yet.
pub fn head(place: &Place, head: &Head) -> Outcome {
    let mut trail = head.place.trail(place)?;
    let newest = trail.newest_checkpoint()?;
    let Some(note) = newest else {
        let text = "there is no checkpoint yet: the agent signs one when it has run for a while, and when it stops";
        return Err(Failure::new(Code::Unavailable, text));
    };
    let key = key_of(&mut trail, note.checkpoint.size)?.map(|key| key.text());
    if place.json() {
        output::json(&json!({
            "origin": note.checkpoint.origin,
            "record": note.checkpoint.size,
            "hash": crate::rules::hex::hex(&note.checkpoint.root),
            "key": key,
            "note": note.write(),
        }))?;
    } else if head.key {
        output::line(&key.unwrap_or_default())?;
    } else {
        output::line(note.write().trim_end())?;
    }
    Ok(Code::Ok)
}
