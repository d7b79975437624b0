//! `status TYPE KEY`: one record's whole history at every connector.

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::engine::conflict::Conflict;
use crate::engine::drop::CarriedLine;
use crate::engine::record::{RecordError, record as history};
use crate::engine::report::{EventHistory, Stand, shown};
use crate::event::Record;
use crate::rules::governance::Gate;
use crate::rules::nearest::hint;
use crate::store::capture::Access;
use crate::store::state::{StateError, StateReader};

/// Shows what is known of a record. 65 for an unknown type or a key that does not fit it, 69 when nothing is known.
pub fn record(place: &Place, name: &str, text: &str, limit: usize) -> Outcome {
    let settings = place.config()?.settings;
    let mut state = match StateReader::open(&settings.state) {
        Ok(state) => Some(state),
        Err(StateError::Absent(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let view = Gate::of_views(settings.governance.as_ref());
    let mut logs = if settings.databases.is_empty() { Vec::new() } else { place.logs(&settings, Access::Read)? };
    let found = history(&mut logs, state.as_mut(), name, text, limit, &view).map_err(|error| match error {
        RecordError::Unknown { known } => {
            let there = if known.is_empty() {
                "; nothing is captured yet: `hms-sync watch TABLE`".to_owned()
            } else {
                format!(" (there are {}){}", known.join(", "), hint(name, known.iter().map(String::as_str)))
            };
            Failure::new(Code::Data, format!("no type or table `{name}` is known{there}"))
        }
        RecordError::Key(error) => Failure::new(Code::Data, format!("{name} {text}: {error}")),
        RecordError::Nothing => {
            let text = format!(
                "no change of {name} {text} is in a log or parked: `hms-sync tail --type {name} --once` lists those that are"
            );
            Failure::new(Code::Unavailable, text)
        }
        RecordError::Capture(error) => error.into(),
        RecordError::State(error) => error.into(),
    })?;
    if place.json() {
        output::json(&found)?;
    } else {
        show(&found.events, state.is_some())?;
        for conflict in &found.conflicts {
            let Conflict { id, connector, unit, state, reason, since, .. } = conflict;
            let winner = conflict.winner.as_ref().map(|winner| format!(", {winner} wins")).unwrap_or_default();
            let about = if unit == "*" { "the whole record" } else { unit };
            output::line(&format!("{since}  conflict {id} with {connector} about {about}: {state}{winner}: {reason}"))?;
        }
        found
            .pulled
            .iter()
            .try_for_each(|pulled| output::line(&format!("{} is read too: {}", pulled.connector, pulled.words())))?;
    }
    Ok(Code::Ok)
}

fn show(histories: &[EventHistory], has_run: bool) -> Result<(), Failure> {
    for (at, history) in histories.iter().enumerate() {
        if at > 0 {
            output::line("")?;
        }
        let EventHistory { id, kind, op, key, old_key, at, origin, changed, connectors, .. } = history;
        let was = old_key.as_ref().map(|old| format!(" (was {old})")).unwrap_or_default();
        let by = origin.as_ref().map(|by| format!(", read from {by}")).unwrap_or_default();
        output::line(&format!("{at}  {op} of {kind} {key}{was}{by}"))?;
        let columns = if op == "update" && !changed.is_empty() {
            format!("; changed: {}", changed.join(", "))
        } else {
            String::new()
        };
        output::line(&format!("  event {id}{columns}"))?;
        for stand in connectors {
            show_stand(stand)?;
        }
        if connectors.is_empty() {
            let why = if has_run {
                "no connector that sends has read this log yet"
            } else {
                "the agent has not run here yet"
            };
            output::line(&format!("  {why}"))?;
        }
    }
    Ok(())
}

/// Prints where an event stands at a connector, and how it came there.
pub fn show_stand(stand: &Stand) -> Result<(), Failure> {
    let reason = stand.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let due = stand.due.as_ref().map(|due| format!(", due again {due}")).unwrap_or_default();
    output::line(&format!("  {}: {}{reason}{due}", stand.connector, stand.state))?;
    stand.history.iter().try_for_each(|step| output::line(&format!("    {}  {}", step.at, step.what)))?;
    for file in &stand.files {
        let seq = file.seq.map(|seq| format!("{seq} ")).unwrap_or_default();
        let called = format!("file {seq}({}, {})", file.date, file.name.as_deref().unwrap_or("no name yet"));
        let line = |line: &CarriedLine| {
            let code = line.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            let answer = line.answer.as_ref().map(|answer| format!(", {answer}{code}")).unwrap_or_default();
            format!("{}{answer}", line.action)
        };
        let lines: Vec<String> = file.lines.iter().map(line).collect();
        let lines = if lines.is_empty() { "no line of it".to_owned() } else { lines.join("; ") };
        output::line(&format!("    {}  {called} {}: {lines}", file.since, file.state))?;
    }
    Ok(())
}

/// A key as people read it in a list: the value alone, or JSON when there are several.
pub fn key_text(key: &Record) -> String {
    let single = key.iter().next().filter(|_| key.len() == 1).and_then(|(_, value)| value.as_text());
    single.map_or_else(|| shown(key).to_string(), |text| text.into_owned())
}
