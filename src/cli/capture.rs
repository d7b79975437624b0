//! `capture pause/resume/repair` and `reconcile`: the capture of a table, by hand.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::sides::{self, Sides};
use crate::cli::{Outcome, doctor, order, output, watch};
use crate::clock;
use crate::engine::operate::Deed;
use crate::engine::reconcile::Reconciler;
use crate::store::capture::{Access, CaptureError};

/// Pauses, resumes or repairs the capture of tables
#[derive(Debug, clap::Args)]
pub struct Capture {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Drops a table's triggers for a while, so that the application can alter the table; what happens meanwhile is
    /// found by the reconcile that ends the pause
    Pause {
        /// The table; LOG.TABLE when there is more than one database
        table: String,
        /// For how long
        #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = span)]
        time: Duration,
    },
    /// Ends a pause before its time
    Resume {
        /// The table; LOG.TABLE when there is more than one database
        table: String,
    },
    /// The same as `doctor --fix`: puts back what is missing of our tables and triggers, and reconciles what was missed
    Repair,
}

/// Compares a table with what was captured of it, and sends again what differs
#[derive(Debug, clap::Args)]
pub struct Reconcile {
    /// The table; LOG.TABLE when there is more than one database
    #[arg(required_unless_present = "connector", conflicts_with = "connector")]
    table: Option<String>,
    #[command(flatten)]
    sides: Sides,
    /// Also when more than 100 records, and more than 5 %, are gone from the table; also says that what a restore may have
    /// left of it at the targets was looked after
    #[arg(long)]
    force: bool,
}

fn span(text: &str) -> Result<Duration, String> {
    let span: Span = text.parse().map_err(|_| format!("`{text}` is no time span: write for example 10m, 1h30m"))?;
    let time = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    Duration::try_from(time).map_err(|_| format!("`{text}` is negative"))
}

/// Runs `capture`.
pub fn capture(place: &Place, capture: Capture) -> Outcome {
    let config = place.config()?;
    match capture.verb {
        Verb::Pause { table, time } => {
            let mut logs = place.logs(&config.settings, Access::Write)?;
            let (log, table) = watch::find(&mut logs, &table)?;
            let until = clock::now().plus(time);
            order::note(
                &config.settings,
                Deed::CapturePause,
                &format!("{}.{table}", log.name()),
                Some(format!("until {until}")),
            );
            log.pause(&table, Some(until))?;
            say(place, &format!("{table} is not captured until {until}"))
        }
        Verb::Resume { table } => {
            let mut logs = place.logs(&config.settings, Access::Write)?;
            let (log, table) = watch::find(&mut logs, &table)?;
            order::note(&config.settings, Deed::CaptureResume, &format!("{}.{table}", log.name()), None);
            log.pause(&table, Some(clock::now()))?;
            say(
                place,
                &format!("the pause of {table} is over; the agent's next look captures it again and reconciles it"),
            )
        }
        Verb::Repair => doctor::doctor(place, doctor::Doctor::fix()),
    }
}

/// Runs `reconcile`. 65 when too many records are gone and it was not forced.
pub fn reconcile(place: &Place, reconcile: Reconcile) -> Outcome {
    let Some(table) = &reconcile.table else { return sides::compare(place, reconcile.sides) };
    let config = place.config()?;
    let mut logs = place.logs(&config.settings, Access::Write)?;
    let (log, table) = watch::find(&mut logs, table)?;
    // An agent that runs is not asked for what is not there.
    log.kind_of(&table).map_err(|error| match error {
        CaptureError::Refused { .. } => Failure::new(Code::Usage, error.to_string()),
        error => error.into(),
    })?;
    let state = &config.settings.state;
    let report = match order::reconciled(state, log.name(), &table, reconcile.force)? {
        Some(report) => report,
        None => {
            order::note(&config.settings, Deed::Reconcile, &format!("{}.{table}", log.name()), None);
            let _held = crate::store::state::State::open(state)?;
            let mut reconciler = Reconciler::open(log.name(), log.path(), state)?;
            reconciler.fill()?;
            reconciler.reconcile(&table, reconcile.force)?
        }
    };
    if place.json() {
        output::json(&serde_json::json!({
            "table": table, "compared": report.compared, "images": report.images, "deletes": report.deletes,
        }))?;
        return Ok(Code::Ok);
    }
    say(
        place,
        &format!(
            "{table}: {} records compared, {} to be sent again, {} deletes to be sent",
            report.compared, report.images, report.deletes
        ),
    )
}

fn say(place: &Place, text: &str) -> Result<Code, Failure> {
    if place.json() {
        output::json(&serde_json::json!({ "done": text }))?;
    } else if !place.quiet() {
        output::line(text)?;
    }
    Ok(Code::Ok)
}
