//! `prune`: what retention no longer keeps goes now.

use crate::cli::failure::Code;
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output};

/// Removes now what retention no longer keeps, which the agent else does by itself
///
/// Events that every connector has settled and that are older than `retention: {events:}`, or beyond its rows or bytes. What
/// is queued, parked or in flight is never touched.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Counts what would go, and removes nothing
    #[arg(long)]
    dry_run: bool,
    /// Why; kept in the audit
    #[arg(long)]
    reason: Option<String>,
}

/// Runs `prune`. 75 when a log could not be pruned now.
pub fn prune(place: &Place, prune: Prune) -> Outcome {
    let report = order::prune(place.config()?, prune.dry_run, prune.reason)?;
    if place.json() {
        output::json(&report)?;
    } else {
        for line in report.done.iter().filter(|_| !place.quiet()) {
            output::line(line)?;
        }
        report.refused.iter().for_each(|refused| eprintln!("{}: {}", refused.subject, refused.why));
    }
    Ok(if report.refused.is_empty() { Code::Ok } else { Code::Temporary })
}
