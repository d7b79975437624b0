//! `conflicts`: what both sides of a record have changed, and what a person decides about it.

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::record::key_text;
use crate::cli::{Outcome, order, output};
use crate::clock::{self, Timestamp};
use crate::engine::conflict::{Conflict, chosen, key};
use crate::engine::operate::{Operation, Refused};
use crate::engine::report::shown;
use crate::event::Record;
use crate::rules::conflict::Stand;
use crate::rules::governance::Gate;
use crate::store::state::conflict::{self, Choice, Entry, State};
use crate::store::state::{StateError, StateReader};

/// Lists and shows what both sides of a record have changed, and decides what waits for a person
#[derive(Debug, clap::Args)]
pub struct Conflicts {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    List(List),
    Show(Show),
    Resolve(Resolve),
}

/// Lists conflicts, the newest first: those that wait for a person, or all
#[derive(Debug, clap::Args)]
struct List {
    /// Only with this connector
    #[arg(long)]
    connector: Option<String>,
    /// open (waits for a person), resolved (a person has decided, to be carried out), decided, superseded, or all
    #[arg(long, default_value = "open", value_name = "STATE")]
    state: String,
    /// Only of this event type or table
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: u32,
}

/// Shows conflicts in full, with the values of both sides
///
/// What the views of `governance:` may not show is ***.
#[derive(Debug, clap::Args)]
struct Show {
    /// Numbers of conflicts
    #[arg(required = true, value_name = "ID")]
    ids: Vec<i64>,
}

/// Decides a conflict that waits for a person
///
/// The running agent carries it out: both sides get what is taken. When a side changes before that, the conflict waits again.
/// Ends with 65 when it is refused.
#[derive(Debug, clap::Args)]
struct Resolve {
    /// The conflict's number
    #[arg(value_name = "ID")]
    id: i64,
    /// local (what the application has), remote (what the outside system has), or a value as JSON: of a field the value
    /// ('"10:00"', 7, null), of a group an object with its fields
    #[arg(long, value_name = "local|remote|JSON")]
    take: String,
    /// Why, for the audit
    #[arg(long)]
    reason: Option<String>,
}

/// Runs `conflicts`.
pub fn conflicts(place: &Place, conflicts: Conflicts) -> Outcome {
    match conflicts.verb {
        Verb::List(which) => list(place, which),
        Verb::Show(Show { ids }) => show(place, &ids),
        Verb::Resolve(Resolve { id, take, reason }) => resolve(place, id, take, reason),
    }
}

fn states(word: &str) -> Result<Vec<State>, Failure> {
    if word == "all" {
        return Ok(Vec::new());
    }
    let known = State::parse(word).map(|state| vec![state]);
    known.ok_or_else(|| {
        Failure::new(Code::Usage, format!("--state {word}: there are open, resolved, decided, superseded and all"))
    })
}

/// The state file, and what of its values may be shown; none where the agent has never run.
fn opened(place: &Place) -> Result<Option<(StateReader, Gate)>, Failure> {
    let config = place.config()?;
    let view = Gate::of_views(config.settings.governance.as_ref());
    match StateReader::open(&config.settings.state) {
        Ok(state) => Ok(Some((state, view))),
        Err(StateError::Absent(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn list(place: &Place, which: List) -> Outcome {
    let List { connector, state, kind, limit } = which;
    let states = states(&state)?;
    order::known(&place.config()?, connector.as_deref())?;
    let choice = Choice { connector, states, kind, limit: Some(limit) };
    let (entries, view) = match opened(place)? {
        Some((mut state, view)) => (chosen(&mut state, &choice)?, view),
        None => (Vec::new(), Gate::open()),
    };
    if place.json() {
        output::json(&entries.iter().map(|entry| Conflict::new(entry, &view)).collect::<Vec<_>>())?;
        return Ok(Code::Ok);
    }
    if entries.is_empty() {
        output::line(if state == "open" { "no conflict waits for a person" } else { "no conflict fits" })?;
        return Ok(Code::Ok);
    }
    let rows = entries.iter().map(|entry| {
        vec![
            entry.id.to_string(),
            entry.connector.clone(),
            entry.kind.clone(),
            key_text(&view.veil_record(&entry.kind, &key(entry))),
            entry.unit.clone(),
            match &entry.winner {
                Some(winner) => format!("{}: {winner}", entry.state.as_str()),
                None => entry.state.as_str().to_owned(),
            },
            output::age(clock::now().since(entry.since)),
            entry.rule.clone(),
            entry.reason.clone(),
        ]
    });
    output::table(&["ID", "CONNECTOR", "TYPE", "KEY", "FIELD", "STATE", "FOR", "RULE", "REASON"], rows.collect())?;
    if usize::try_from(limit) == Ok(entries.len()) {
        log::warn!("the list ends here; --limit N shows more");
    }
    Ok(Code::Ok)
}

fn show(place: &Place, ids: &[i64]) -> Outcome {
    let mut found: Vec<Entry> = Vec::new();
    let mut view = Gate::open();
    if let Some((mut state, gate)) = opened(place)? {
        view = gate;
        for id in ids {
            found.extend(state.read(|db| conflict::find(db, *id))?);
        }
    }
    let absent: Vec<String> =
        ids.iter().filter(|id| !found.iter().any(|entry| entry.id == **id)).map(ToString::to_string).collect();
    if place.json() && !found.is_empty() {
        output::json(&found.iter().map(|entry| Conflict::in_full(entry, &view)).collect::<Vec<_>>())?;
    } else {
        found.iter().try_for_each(|entry| page(entry, &view))?;
    }
    if absent.is_empty() {
        return Ok(Code::Ok);
    }
    let text = format!(
        "{}: no such conflict: `hms-sync conflicts list --state all` shows those that are kept",
        absent.join(", ")
    );
    Err(Failure::new(Code::Unavailable, text))
}

fn page(entry: &Entry, view: &Gate) -> Result<(), Failure> {
    let conflict = Conflict::in_full(entry, view);
    let about = match conflict.unit.as_str() {
        "*" => "the whole record".to_owned(),
        unit if conflict.fields.len() == 1 && conflict.fields.iter().all(|field| field == unit) => unit.to_owned(),
        unit => format!("{unit} ({})", conflict.fields.join(", ")),
    };
    let Conflict { id, connector, kind, key, state, reason, rule, since, at, .. } = &conflict;
    output::line(&format!("conflict {id} with {connector}  {kind} {key}: {about}"))?;
    let winner = conflict.winner.as_ref().map(|winner| format!(", {winner} wins")).unwrap_or_default();
    output::line(&format!("  {state}{winner}; rule {rule}: {reason}"))?;
    output::line(&format!("  first seen {since}, as it is since {at}"))?;
    let values = |record: Option<&Record>| match record {
        Some(record) => shown(&view.veil_record(&entry.kind, record)).to_string(),
        None => "deleted".to_owned(),
    };
    if let Some(base) = &entry.base {
        output::line(&format!("  agreed before  {}", values(Some(base))))?;
    }
    let times = |stand: &Stand| {
        let of = |at: Option<Timestamp>| at.map_or("not known".to_owned(), |at| at.to_string());
        let precision = if stand.by_record { " (of the record)" } else { "" };
        match (stand.first, stand.last) {
            (first, last) if first == last => format!("{}{precision}", of(first)),
            (first, last) => format!("{} to {}{precision}", of(first), of(last)),
        }
    };
    for (name, stand) in [("local ", &entry.local), ("remote", &entry.remote)] {
        output::line(&format!("  {name}         {}", values(stand.values.as_ref())))?;
        output::line(&format!("    changed      {}", times(stand)))?;
    }
    if let Some(decision) = &conflict.decision {
        let given = decision.value.as_ref().map(|value| format!(" {value}")).unwrap_or_default();
        let why = decision.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let done = if *state == "resolved" { ", to be carried out" } else { "" };
        output::line(&format!("  {} took {}{given} at {}{done}{why}", decision.by, decision.take, decision.at))?;
    } else if *state == "open" {
        output::line(&format!("  -> hms-sync conflicts resolve {id} --take local|remote|JSON --reason WHY"))?;
    }
    Ok(())
}

fn resolve(place: &Place, conflict: i64, take: String, reason: Option<String>) -> Outcome {
    let config = place.config()?;
    let report = order::order(&config.settings, Operation::Resolve { conflict, take, seen: None }, reason)?;
    if place.json() {
        output::json(&report)?;
    } else {
        report.done.iter().try_for_each(|subject| output::line(subject))?;
        for Refused { subject, why } in &report.refused {
            eprintln!("{subject}: {why}");
        }
    }
    Ok(if report.refused.is_empty() { Code::Ok } else { Code::Data })
}
