//! `deliveries retry/discard/hold/release`: what a person does with parked deliveries.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::cli::failure::{Code, Failure};
use crate::cli::order;
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::Config;
use crate::engine::operate::{Operation, Refused, Report, retryable};
use crate::engine::single::Status;
use crate::event::{EventId, Value};
use crate::format::json;
use crate::store::capture::Access;
use crate::store::image;
use crate::store::state::parked::{self, Selection};
use crate::store::state::{connector, log as logs};

/// Which parked deliveries
#[derive(Clone, Debug, clap::Args)]
pub struct Filter {
    /// Event ids, or positions in the log
    ids: Vec<String>,
    /// Only at this connector
    #[arg(long)]
    connector: Option<String>,
    /// Only in this state; `bad`, with `discard` and --connector: what cannot be read of what comes in
    #[arg(long, value_parser = ["waiting", "behind", "held", "dead", "bad"])]
    state: Option<String>,
    /// Only of this event type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only with this class of reason (http-422, mapping, gate...)
    #[arg(long)]
    class: Option<String>,
}

impl Filter {
    /// As the store takes it.
    pub fn selection(&self) -> Selection {
        let Filter { ids, connector, state, kind, class } = self.clone();
        Selection { ids, connector, state, kind, class, limit: None }
    }
}

/// Which deliveries are meant, and why.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    #[command(flatten)]
    filter: Filter,
    /// All of them: needed when nothing narrows the choice
    #[arg(long)]
    all: bool,
    /// Why; kept in the audit
    #[arg(long)]
    reason: Option<String>,
}

/// Sends dead letters and held deliveries again
///
/// Takes the states dead and held, of each record the first. With a filter in place of ids: all that fit; those that a
/// person holds only with --state held or --class operator. An id that does not fit is refused, and the exit code is 65.
#[derive(Debug, clap::Args)]
pub struct Retry {
    #[command(flatten)]
    which: Which,
    /// Sends the record as it is now, in place of deliveries that later changes have overtaken
    #[arg(long, conflicts_with = "stale")]
    latest: bool,
    /// Sends it although later changes of the record were delivered meanwhile
    #[arg(long)]
    stale: bool,
}

/// A choice of deliveries, and why
#[derive(Debug, clap::Args)]
pub struct Choice {
    #[command(flatten)]
    which: Which,
}

impl Which {
    fn selection(&self, config: &Config) -> Result<Selection, Failure> {
        let Filter { ids, connector, state, kind, class } = &self.filter;
        let narrowed = !ids.is_empty() || [connector, state, kind, class].into_iter().any(Option::is_some);
        if !narrowed && !self.all {
            let text = "which deliveries? Name ids, narrow it by --connector, --state, --type or --class, or say --all";
            return Err(Failure::new(Code::Usage, text));
        }
        order::known(config, connector.as_deref())?;
        Ok(self.filter.selection())
    }
}

/// Runs `deliveries retry`. 65 when something that was named was refused.
pub fn retry(place: &Place, retry: Retry) -> Outcome {
    let config = place.config()?;
    let which = retry.which.selection(&config)?;
    if retry.latest {
        return latest(place, config, which, retry.which.reason);
    }
    let named = !which.ids.is_empty();
    let ids = which.ids.clone();
    let mut report =
        order::order(&config.settings, Operation::Retry { which, stale: retry.stale }, retry.which.reason)?;
    refuse_absent(&ids, &mut report);
    show(place, &report)?;
    // What a filter chose beyond what fits is told and no error.
    Ok(if named && !report.refused.is_empty() { Code::Data } else { Code::Ok })
}

/// Runs `deliveries discard`.
pub fn discard(place: &Place, choice: Choice) -> Outcome {
    let config = place.config()?;
    let which = choice.which.selection(&config)?;
    let ids = which.ids.clone();
    let mut report = order::order(&config.settings, Operation::Discard { which }, choice.which.reason)?;
    refuse_absent(&ids, &mut report);
    done(place, report)
}

/// Runs `deliveries hold`.
pub fn hold(place: &Place, choice: Choice) -> Outcome {
    let config = place.config()?;
    let which = choice.which.selection(&config)?;
    let mut report =
        order::order(&config.settings, Operation::Hold { which: which.clone() }, choice.which.reason.clone())?;
    let queued = Selection { ids: absent(&which.ids, &report), ..which };
    hold_queued(place, &config, &queued, choice.which.reason, &mut report)?;
    done(place, report)
}

/// Runs `deliveries release`.
pub fn release(place: &Place, choice: Choice) -> Outcome {
    let config = place.config()?;
    let which = choice.which.selection(&config)?;
    let ids = which.ids.clone();
    let mut report = order::order(&config.settings, Operation::Release { which }, choice.which.reason)?;
    refuse_absent(&ids, &mut report);
    done(place, report)
}

/// Holds events that are still queued: they are parked before they are sent.
fn hold_queued(
    place: &Place,
    config: &Config,
    which: &Selection,
    reason: Option<String>,
    report: &mut Report,
) -> Result<(), Failure> {
    let Some(connector) = &which.connector else {
        let why = "no such delivery is parked; to hold one that is still queued, name its connector with --connector";
        let refused = |id: &String| Refused { subject: id.clone(), why: why.to_owned() };
        report.refused.extend(which.ids.iter().map(refused));
        return Ok(());
    };
    for id in &which.ids {
        let subject = format!("{connector} {id}");
        let seq = id.parse::<i64>().ok().or_else(|| id.parse::<EventId>().ok().map(|id| id.seq));
        let mut found = None;
        for mut log in place.logs(&config.settings, Access::Read)? {
            let event = seq.map(|seq| log.event_at(seq)).transpose()?.flatten();
            if let Some(event) = event.filter(|event| id.parse::<i64>().is_ok() || event.id.to_string() == *id) {
                found = Some((log.name().to_owned(), event));
            }
        }
        let Some((log, event)) = found else {
            report.refused.push(Refused { subject, why: "is no event in the log".to_owned() });
            continue;
        };
        let event = BASE64_STANDARD.encode(image::encode_event(&event));
        let operation = Operation::HoldQueued { connector: connector.clone(), log, event };
        let answer = order::order(&config.settings, operation, reason.clone())?;
        report.done.extend(answer.done);
        report.refused.extend(answer.refused);
    }
    Ok(())
}

/// The ids, or positions, of which a report says nothing.
fn absent(ids: &[String], report: &Report) -> Vec<String> {
    let subjects = report.done.iter().chain(report.refused.iter().map(|refused| &refused.subject));
    let told: Vec<&str> = subjects.filter_map(|subject| subject.rsplit(' ').next()).collect();
    let seq = |id: &str| id.parse::<EventId>().ok().map(|id| id.seq);
    let is_told = |id: &&String| match id.parse::<i64>() {
        Ok(at) => told.iter().any(|told| seq(told) == Some(at)),
        Err(_) => told.contains(&id.as_str()),
    };
    ids.iter().filter(|id| !is_told(id)).cloned().collect()
}

/// What was named and is not there is refused.
fn refuse_absent(ids: &[String], report: &mut Report) {
    for subject in absent(ids, report) {
        let why = "no such delivery is parked; `hms-sync deliveries list` shows those that are".to_owned();
        report.refused.push(Refused { subject, why });
    }
}

/// In place of each delivery that was overtaken: the record as it is now.
fn latest(place: &Place, config: Config, which: Selection, reason: Option<String>) -> Outcome {
    let ids = which.ids.clone();
    let mut state = place.state(&config.settings)?;
    let chosen = state.read(|db| {
        let names = connector::all(db)?;
        let name = |id| names.iter().find(|known| known.id == id).map(|known| known.name.clone()).unwrap_or_default();
        let mut chosen = Vec::new();
        let all = parked::select(db, &which)?.into_iter();
        // A filter chooses what fits.
        for (at, parked) in all.filter(|(_, parked)| !which.ids.is_empty() || retryable(&which, parked)) {
            chosen.push((name(at), logs::name(db, parked.log)?, parked.event));
        }
        Ok(chosen)
    })?;
    let mut report = Report::default();
    for (connector, log, event) in chosen {
        let subject = format!("{connector} {}", event.id);
        if log == logs::INTAKE {
            let why = "is no row of a table: there is nothing newer to send; use --stale".to_owned();
            report.refused.push(Refused { subject, why });
            continue;
        }
        let only =
            Selection { connector: Some(connector.clone()), ids: vec![event.id.to_string()], ..Selection::default() };
        let why = reason.clone().or_else(|| Some("the record is sent as it is now".to_owned()));
        let given_up = order::order(&config.settings, Operation::Discard { which: only }, why)?;
        report.refused.extend(given_up.refused);
        let key = Value::List(event.key.iter().map(|(_, value)| value.clone()).collect());
        let key = String::from_utf8(json::value(&key)).unwrap_or_default();
        match order::sync_record(place.config()?, &connector, &event.kind, &key, true)? {
            Status::Success => report.done.push(subject),
            Status::Failed { reason } => report.refused.push(Refused { subject, why: reason }),
        }
    }
    refuse_absent(&ids, &mut report);
    done(place, report)
}

fn done(place: &Place, report: Report) -> Outcome {
    show(place, &report)?;
    Ok(if report.refused.is_empty() { Code::Ok } else { Code::Data })
}

fn show(place: &Place, report: &Report) -> Result<(), Failure> {
    if place.json() {
        output::json(report)?;
    } else {
        report.done.iter().try_for_each(|subject| output::line(subject))?;
        for Refused { subject, why } in &report.refused {
            eprintln!("{subject}: {why}");
        }
        if report.done.is_empty() && report.refused.is_empty() {
            output::line("nothing parked fits")?;
        }
    }
    Ok(())
}
