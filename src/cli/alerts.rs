//! `alerts`: those that are open, and a try of each channel.

use crate::cli::failure::Code;
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output};
use crate::clock::{self, Timestamp};
use crate::config::build;
use crate::config::channels::channels;
use crate::engine::alarm::{self, AlertStatus};
use crate::rules::alert::Severity;
use crate::store::state::{StateError, StateReader, holder};

/// Shows the alerts that are open, or tries the channels
///
/// `list` ends with 1 when one is open. `test` tells each channel of `alerts:` that somebody tries it, whether the agent runs or
/// not, and ends with 69 when one could not be told.
#[derive(Debug, clap::Args)]
pub struct Alerts {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Shows the alerts that are open
    List,
    /// Sends a test alert to each channel
    Test {
        /// Only to this channel, by its name
        #[arg(long, value_name = "NAME")]
        channel: Option<String>,
    },
}

/// Runs `alerts`.
pub fn alerts(place: &Place, verb: Alerts) -> Outcome {
    match verb.verb {
        Verb::List => list(place),
        Verb::Test { channel } => test(place, channel.as_deref()),
    }
}

fn list(place: &Place) -> Outcome {
    let config = place.config()?;
    let state = &config.settings.state;
    let told = holder(state).as_ref().and_then(order::alerts);
    let open = match told {
        Some(open) => open,
        None => match StateReader::open(state) {
            Ok(mut state) => state.read(alarm::open)?,
            Err(StateError::Absent(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
    };
    if place.json() {
        output::json(&open)?;
    } else if open.is_empty() && !place.quiet() {
        output::line("no alert is open")?;
    } else {
        open.iter().try_for_each(|alert| output::line(&format!("{}\n  -> {}", line(alert), alert.mend)))?;
    }
    Ok(if open.is_empty() { Code::Ok } else { Code::Failed })
}

/// An alert in one line.
pub(super) fn line(alert: &AlertStatus) -> String {
    let AlertStatus { condition, subject, what, notices, .. } = alert;
    let since = alert.since.parse().ok().map(Timestamp::from_jiff);
    let age = since.map(|at| format!(" for {}", output::age(clock::now().since(at)))).unwrap_or_default();
    let word = if alert.severity == Severity::Warning { "warning" } else { "alert" };
    let times = if *notices == 1 { "told once".to_owned() } else { format!("told {notices} times") };
    format!("{word} {condition} {subject}{age}: {what} ({times})")
}

fn test(place: &Place, only: Option<&str>) -> Outcome {
    let config = place.config()?;
    let settings = &config.settings;
    let mut lines = channels(settings, &build::credentials(settings)?)?;
    if let Some(name) = only {
        let names: Vec<String> = lines.iter().map(|line| line.name.to_string()).collect();
        lines.retain(|line| *line.name == *name);
        if lines.is_empty() {
            let hint = crate::rules::nearest::hint(name, names.iter().map(String::as_str));
            return Err(crate::cli::failure::Failure::new(
                Code::Usage,
                format!("no channel `{name}` is configured{hint}"),
            ));
        }
    }
    let notice = alarm::test(&settings.office, clock::now());
    let mut tried = Vec::new();
    for line in &lines {
        let told = line.channel.tell(&notice);
        tried.push((line.name.to_string(), told.err().map(|reason| reason.to_string())));
    }
    let failed = tried.iter().any(|(_, why)| why.is_some());
    if place.json() {
        let tried: Vec<_> = tried
            .iter()
            .map(|(name, why)| serde_json::json!({ "channel": name, "told": why.is_none(), "reason": why }))
            .collect();
        output::json(&tried)?;
    } else if tried.is_empty() {
        output::line("no channel is configured: `alerts:` in sync.yaml names them; the journal has every alert")?;
    } else {
        for (name, why) in &tried {
            match why {
                None if place.quiet() => {}
                None => output::line(&format!("{name}: told"))?,
                Some(why) => output::line(&format!("{name}: not told: {why}"))?,
            }
        }
    }
    Ok(if failed { Code::Unavailable } else { Code::Ok })
}
