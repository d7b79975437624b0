//! `audit report TYPE KEY`.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::Where;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::engine::auditor::{Attempt, Deed, History, find};
use crate::engine::drop::told::InFile;
use crate::engine::record::{RecordError, files, macs};
use crate::rules::nearest::hint;
use crate::store::capture::Access;
use crate::store::state::StateReader;

/// Tells what of a record went where, when, and with what result
///
/// As far back as the audit is kept, also when the record, its events and its connector are long gone. The audit has no keys: the
/// record is found by a keyed hash of it. Which files of drops have it, their ledger says; what became of each, the acts upon it (`audit show`).
/// Ends with 69 when nothing of it was ever sent.
#[derive(Debug, Args)]
pub struct Report {
    /// An event type or table
    #[arg(value_name = "TYPE")]
    kind: String,
    /// The record's key: its values in key order joined by commas, or as JSON
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    place: Where,
}

/// Runs `audit report`.
pub fn report(place: &Place, report: &Report) -> Outcome {
    let settings = place.config()?.settings;
    let mut state = StateReader::open(&settings.state)?;
    let mut logs = if settings.databases.is_empty() { Vec::new() } else { place.logs(&settings, Access::Read)? };
    let (name, key) = (&report.kind, &report.key);
    let failed = |error| match error {
        RecordError::Unknown { known } => {
            let there = format!(" (there are {}){}", known.join(", "), hint(name, known.iter().map(String::as_str)));
            Failure::new(Code::Data, format!("no type or table `{name}` is known{there}"))
        }
        RecordError::Key(error) => Failure::new(Code::Data, format!("{name} {key}: {error}")),
        RecordError::Nothing => Failure::new(Code::Unavailable, "nothing is known of this record"),
        RecordError::Capture(error) => error.into(),
        RecordError::State(error) => error.into(),
    };
    let macs = macs(&mut logs, &mut state, name, key).map_err(failed)?;
    let files = files(&mut logs, &mut state, name, key).map_err(failed)?;
    let mut trail = report.place.trail(place)?;
    let found = find(&mut trail, &macs)?;
    if found.attempts.is_empty() && files.is_empty() {
        let text = format!("no attempt to send {name} {key} is recorded");
        return Err(Failure::new(Code::Unavailable, text));
    }
    if place.json() {
        output::json(&json!({ "type": name, "attempts": found.attempts, "acts": found.acts, "files": files }))?;
    } else {
        show(&found, &files)?;
    }
    Ok(Code::Ok)
}

fn show(found: &History, files: &[InFile]) -> Result<(), Failure> {
    let mut lines: Vec<(i64, String)> = found.attempts.iter().map(|attempt| (attempt.n, of_attempt(attempt))).collect();
    lines.extend(found.acts.iter().map(|deed| (deed.n, of_deed(deed))));
    lines.sort_by_key(|(n, _)| *n);
    lines.iter().try_for_each(|(_, line)| output::line(line))?;
    files.iter().try_for_each(|file| output::line(&of_file(file)))?;
    let mut sums = Vec::new();
    if !found.attempts.is_empty() {
        let places = found.attempts.iter().map(|attempt| attempt.connector.as_str());
        sums.push(format!("{} attempts at {}", found.attempts.len(), each(places)));
    }
    if !files.is_empty() {
        let word = if files.len() == 1 { "line" } else { "lines" };
        sums.push(format!("{} {word} in files of {}", files.len(), each(files.iter().map(|file| file.drop.as_str()))));
    }
    output::line(&sums.join(", "))
}

/// Each name once.
fn each<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<BTreeSet<&str>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// What a file tells of the record. The ledger has it; the audit has the file, by its SHA-256.
fn of_file(found: &InFile) -> String {
    let InFile { drop, file, cut, action, event, state, sha256, places, answer, code } = found;
    let places = places.iter().map(|at| format!("{} at {} since {}", at.state, at.outlet, at.since));
    let places = places.collect::<Vec<_>>().join(", ");
    let places = if places.is_empty() { String::new() } else { format!(", {places}") };
    let sum = sha256.as_ref().map(|sum| format!(", sha256 {sum}")).unwrap_or_default();
    let code = code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let said = answer.as_ref().map(|answer| format!("; the host has {answer} the record{code}")).unwrap_or_default();
    format!("{cut}  {drop}: {action} in the file {file}, event {event}: {state}{places}{sum}{said}")
}

fn of_attempt(attempt: &Attempt) -> String {
    let Attempt { n, at, connector, origin, event, kind, op, attempt: number, result, .. } = attempt;
    let what = [op.as_deref(), kind.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" of ");
    let to = origin.as_deref().map(|origin| format!(" to {origin}")).unwrap_or_default();
    let came = match result {
        None => "nothing is known of what came of it".to_owned(),
        Some(answer) => {
            let status = answer.status.map(|status| format!(", HTTP {status}")).unwrap_or_default();
            let class = answer.class.as_deref().map(|class| format!(" ({class})")).unwrap_or_default();
            let took = f64::from(answer.duration_us) / 1000.0;
            format!("{}{class}{status}, {} bytes, {took:.1} ms", answer.outcome, answer.bytes_out)
        }
    };
    format!("{at}  {connector}{to}: {what}, event {event}, attempt {number}: {came} (row {n})")
}

fn of_deed(deed: &Deed) -> String {
    let Deed { n, at, actor, verb, connector, event, reason } = deed;
    let place = connector.as_deref().map(|name| format!("{name}: ")).unwrap_or_default();
    let why = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{at}  {place}{verb} of event {event} by {actor}{why} (row {n})")
}
