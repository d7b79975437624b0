//! `audit head`.

use clap::Args;
use serde_json::json;

use super::Where;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::engine::auditor::key_of;
use crate::format::note::Signer;

/// Prints the newest checkpoint, and with -v the key that has signed it
///
/// Kept elsewhere it proves later, by `audit verify --checkpoint FILE`, that nothing before it was changed and that nothing was
/// cut off.
#[derive(Debug, Args)]
pub struct Head {
    #[command(flatten)]
    place: Where,
    /// Print the key that verifies it instead, for `audit verify --key`: with `audit: {key:}` the one that vouches for all others
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
    let seed = match head.place.archive {
        // A copy, wherever it lies, has the keys of its rows.
        Some(_) => None,
        None => {
            let audit = place.config()?.settings.audit;
            audit.seed().map_err(|why| Failure::new(Code::Config, format!("audit.key: {why}")))?
        }
    };
    let key = match seed.and_then(|seed| Signer::new(&note.checkpoint.origin, &seed)?.verifier()) {
        Some(lasting) => Some(lasting),
        None => key_of(&mut trail, note.checkpoint.size)?,
    };
    let key = key.map(|key| key.text());
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
