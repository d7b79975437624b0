//! `status TYPE KEY`: one record's whole history at every connector.

use serde_json::json;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::engine::report::{EventHistory, Stand, shown, stand};
use crate::engine::single::parse_key;
use crate::event::{Event, Record, Value};
use crate::rules::nearest::hint;
use crate::store::capture::{Access, Kind};
use crate::store::state::parked::{self, Selection};
use crate::store::state::{StateError, StateReader, connector, intake, log as logs};

/// Shows what is known of a record. 65 for an unknown type or a key that does not fit it, 69 when nothing is known.
pub fn record(place: &Place, name: &str, text: &str, limit: usize) -> Outcome {
    let settings = place.config()?.settings;
    let mut state = match StateReader::open(&settings.state) {
        Ok(state) => Some(state),
        Err(StateError::Absent(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut known: Vec<String> = Vec::new();
    let (mut meant, mut events) = (Vec::<(Kind, Vec<Value>)>::new(), Vec::<Event>::new());
    if !settings.databases.is_empty() {
        for mut log in place.logs(&settings, Access::Read)? {
            for kind in log.kinds()? {
                known.push(kind.kind.to_string());
                if kind.is_called(name) {
                    let key = parse_key(text, &kind.key)
                        .map_err(|error| Failure::new(Code::Data, format!("{name} {text}: {error}")))?;
                    events.extend(log.history(&kind, &key, limit)?);
                    meant.push((kind, key));
                }
            }
        }
    }
    if let Some(state) = &mut state {
        let posted = state.read(intake::kinds)?;
        if posted.iter().any(|kind| kind == name) {
            let kind = Kind {
                kind: name.into(),
                table: String::new(),
                key: vec!["id".into()],
                folds: Vec::new(),
                watched: false,
            };
            let key = parse_key(text, &kind.key)
                .map_err(|error| Failure::new(Code::Data, format!("{name} {text}: {error}")))?;
            events.extend(state.read(|db| intake::history(db, name, limit, |event| kind.is_key(&event.key, &key)))?);
            meant.push((kind, key));
        }
        known.extend(posted);
        for (kind, key) in &meant {
            let of_kind = Selection { kind: Some(kind.kind.to_string()), ..Selection::default() };
            for (_, parked) in state.read(|db| parked::select(db, &of_kind))? {
                let event = parked.event;
                let is_meant =
                    kind.is_key(&event.key, key) || event.old_key.as_ref().is_some_and(|old| kind.is_key(old, key));
                if is_meant && !events.iter().any(|known| known.id == event.id) {
                    events.push(event);
                }
            }
        }
    }
    if meant.is_empty() {
        known.sort();
        known.dedup();
        let there = if known.is_empty() {
            "; nothing is captured yet: `hms-sync watch TABLE`".to_owned()
        } else {
            format!(" (there are {}){}", known.join(", "), hint(name, known.iter().map(String::as_str)))
        };
        return Err(Failure::new(Code::Data, format!("no type or table `{name}` is known{there}")));
    }
    if events.is_empty() {
        let text = format!(
            "no change of {name} {text} is in a log or parked: `hms-sync tail --type {name} --once` lists those that are"
        );
        return Err(Failure::new(Code::Unavailable, text));
    }
    // One record has one log; within it the position is the order.
    events.sort_by(|a, b| (&a.log, a.seq(), a.at).cmp(&(&b.log, b.seq(), b.at)));
    let histories = events
        .iter()
        .map(|event| Ok(EventHistory::new(event, state.as_mut().map_or(Ok(Vec::new()), |state| stands(state, event))?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    if place.json() {
        output::json(&json!({ "type": meant.first().map(|(kind, _)| &kind.kind), "events": histories }))?;
    } else {
        show(&histories, state.is_some())?;
    }
    Ok(Code::Ok)
}

/// Where an event stands at every connector that the agent knows.
pub fn stands(state: &mut StateReader, event: &Event) -> Result<Vec<Stand>, Failure> {
    let Some(log) = state.read(|db| logs::find(db, &event.log))? else { return Ok(Vec::new()) };
    let known = state.read(connector::all)?;
    known.iter().map(|known| Ok(stand(state, known, log, event)?)).collect()
}

fn show(histories: &[EventHistory], has_run: bool) -> Result<(), Failure> {
    for (at, history) in histories.iter().enumerate() {
        if at > 0 {
            output::line("")?;
        }
        let EventHistory { id, kind, op, key, old_key, at, changed, connectors, .. } = history;
        let was = old_key.as_ref().map(|old| format!(" (was {old})")).unwrap_or_default();
        output::line(&format!("{at}  {op} of {kind} {key}{was}"))?;
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
            let why = if has_run { "no connector has read this log yet" } else { "the agent has not run here yet" };
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
    stand.history.iter().try_for_each(|step| output::line(&format!("    {}  {}", step.at, step.what)))
}

/// A key as people read it in a list: the value alone, or JSON when there are several.
pub fn key_text(key: &Record) -> String {
    let single = key.iter().next().filter(|_| key.len() == 1).and_then(|(_, value)| value.as_text());
    single.map_or_else(|| shown(key).to_string(), |text| text.into_owned())
}
