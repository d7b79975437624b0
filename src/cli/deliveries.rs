//! `deliveries`: what stands aside, and what a person does about it.

use serde::Serialize;

use crate::cli::amend::{self, Choice, Retry};
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::record::{key_text, show_stand};
use crate::cli::{Outcome, order, output};
use crate::clock;
use crate::engine::delivery::{Delivery, chosen};
use crate::engine::pull::{StandsAside, stands_aside};
use crate::engine::report::{Stand, shown, stand, why};
use crate::format::json;
use crate::rules::governance::Gate;
use crate::store::state::connector::Remembered;
use crate::store::state::parked::{self, Parked, Selection};
use crate::store::state::{StateError, StateReader};

/// Lists parked deliveries, and retries, discards, holds or releases them
#[derive(Debug, clap::Args)]
pub struct Deliveries {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    List(List),
    Show(Show),
    Retry(Retry),
    /// Gives deliveries up; the next of the record moves up
    ///
    /// Takes every state. With a filter in place of ids: all that fit it.
    Discard(Choice),
    /// Holds deliveries until they are released
    ///
    /// Takes the states waiting, behind and held; with ids and --connector also what is still queued. A dead letter stands
    /// still as it is: as an id it is refused (exit code 65), a filter passes it over.
    Hold(Choice),
    /// Lets held deliveries go
    ///
    /// Takes the state held. An id in another state is refused (exit code 65), a filter passes it over.
    Release(Choice),
}

/// Lists parked deliveries (waiting, behind an earlier one of their record, held, or dead), and what of connectors that read stands
/// aside (refused by the application's rules, held, or bad)
#[derive(Debug, clap::Args)]
struct List {
    /// Event ids, or positions in the log
    ids: Vec<String>,
    /// Only at this connector
    #[arg(long)]
    connector: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = ["waiting", "behind", "held", "dead", "refused", "bad"])]
    state: Option<String>,
    /// Only of this event type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only with this class of reason (http-422, mapping, gate, not-null...)
    #[arg(long)]
    class: Option<String>,
    /// Only what goes out, or only what comes in
    #[arg(long, value_parser = ["outbound", "inbound"])]
    direction: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: u32,
}

/// Shows parked deliveries in full, with every attempt
#[derive(Debug, clap::Args)]
struct Show {
    /// Event ids, or positions in the log
    #[arg(required = true)]
    ids: Vec<String>,
    /// Only at this connector
    #[arg(long)]
    connector: Option<String>,
    /// Also the values of the record; what the views of `governance:` may not show is ***
    #[arg(long)]
    values: bool,
}

/// Runs `deliveries`.
pub fn deliveries(place: &Place, deliveries: Deliveries) -> Outcome {
    match deliveries.verb {
        Verb::List(List { ids, connector, state, kind, class, direction, limit }) => {
            let which = Selection { ids, connector, state, kind, class, limit: Some(limit) };
            list(place, which, direction.as_deref())
        }
        Verb::Show(Show { ids, connector, values }) => {
            show(place, Selection { ids, connector, ..Selection::default() }, values)
        }
        Verb::Retry(retry) => amend::retry(place, retry),
        Verb::Discard(choice) => amend::discard(place, choice),
        Verb::Hold(choice) => amend::hold(place, choice),
        Verb::Release(choice) => amend::release(place, choice),
    }
}

/// The state file and what of it is meant; none where the agent has never run.
#[allow(clippy::type_complexity)]
fn select(place: &Place, which: &Selection) -> Result<Option<(StateReader, Vec<(Remembered, Parked)>, Gate)>, Failure> {
    let config = place.config()?;
    let view = Gate::of_views(config.settings.governance.as_ref());
    let mut state = match StateReader::open(&config.settings.state) {
        Ok(state) => state,
        Err(StateError::Absent(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    order::known(&config, which.connector.as_deref())?;
    let chosen = chosen(&mut state, which)?;
    Ok(Some((state, chosen, view)))
}

/// A line of the list as JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Out(Box<Delivery>),
    In(Box<StandsAside>),
}

fn list(place: &Place, which: Selection, direction: Option<&str>) -> Outcome {
    let (mut chosen, view, aside) = match select(place, &which)? {
        Some((mut state, chosen, view)) => {
            let reading = place.config()?.reading();
            let aside = if direction == Some("outbound") {
                Vec::new()
            } else {
                stands_aside(&mut state, &reading, &which, &view)?
            };
            (chosen, view, aside)
        }
        None => Default::default(),
    };
    if direction == Some("inbound") {
        chosen.clear();
    }
    if place.json() {
        let out = chosen.iter().map(|(known, parked)| Line::Out(Box::new(Delivery::new(&known.name, parked, &view))));
        output::json(&out.chain(aside.into_iter().map(|item| Line::In(Box::new(item)))).collect::<Vec<_>>())?;
        return Ok(Code::Ok);
    }
    if chosen.is_empty() && aside.is_empty() {
        output::line("nothing parked fits")?;
        return Ok(Code::Ok);
    }
    let is_cut = |n: usize| which.limit.is_some_and(|limit| usize::try_from(limit) == Ok(n));
    if !chosen.is_empty() {
        outbound(&chosen, &view)?;
    }
    if !aside.is_empty() {
        if !chosen.is_empty() {
            output::line("")?;
        }
        inbound(&aside)?;
    }
    if is_cut(chosen.len()) || is_cut(aside.len()) {
        log::warn!("the list ends here; --limit N shows more");
    }
    Ok(Code::Ok)
}

/// What comes in and stands aside.
fn inbound(aside: &[StandsAside]) -> Result<(), Failure> {
    let row = |item: &StandsAside| {
        vec![
            item.connector.clone(),
            item.kind.clone(),
            key_text(&item.record),
            item.state.to_owned(),
            output::age(clock::now().since(item.at)),
            item.tries.to_string(),
            format!("{}: {}", item.class, item.reason),
        ]
    };
    let head = ["COMES IN BY", "TYPE", "KEY", "STATE", "FOR", "TRIES", "REASON"];
    output::table(&head, aside.iter().map(row).collect())
}

/// What goes out and is parked.
fn outbound(chosen: &[(Remembered, Parked)], view: &Gate) -> Result<(), Failure> {
    let rows = chosen
        .iter()
        .map(|(known, parked)| {
            vec![
                known.name.clone(),
                parked.event.seq().to_string(),
                parked.event.kind.to_string(),
                key_text(&view.veil_record(&parked.event.kind, &parked.event.key)),
                parked.state.as_str().to_owned(),
                output::age(clock::now().since(parked.since)),
                parked.attempts.to_string(),
                why(parked),
            ]
        })
        .collect();
    output::table(&["CONNECTOR", "SEQ", "TYPE", "KEY", "STATE", "FOR", "TRIES", "REASON"], rows)
}

fn show(place: &Place, which: Selection, values: bool) -> Outcome {
    let Some((mut state, chosen, view)) = select(place, &which)?.filter(|(_, chosen, _)| !chosen.is_empty()) else {
        let text = format!(
            "{}: no such delivery is parked: `hms-sync deliveries list` shows those that are, `hms-sync status TYPE KEY` what became of a record",
            which.ids.join(", ")
        );
        return Err(Failure::new(Code::Unavailable, text));
    };
    let mut documents = Vec::new();
    for (known, parked) in &chosen {
        let stand = stand(&mut state, known, parked.log, &parked.event)?;
        if place.json() {
            documents.push(Delivery::in_full(&known.name, parked, stand, values, &view));
        } else {
            page(&known.name, parked, &stand, values, &view)?;
        }
    }
    if place.json() {
        output::json(&documents)?;
    }
    Ok(Code::Ok)
}

fn page(connector: &str, parked: &Parked, stand: &Stand, values: bool, view: &Gate) -> Result<(), Failure> {
    let event = &*view.veil(&parked.event);
    output::line(&format!("{}  {} of {} {}", event.at, event.op, event.kind, shown(&event.key)))?;
    output::line(&format!("  event {} of log {}, position {}", event.id, event.log, event.seq()))?;
    if !event.changed.is_empty() {
        let columns: Vec<&str> = event.changed.iter().map(|column| &**column).collect();
        output::line(&format!("  changed: {}", columns.join(", ")))?;
    }
    show_stand(stand)?;
    let attempts = parked.attempts;
    output::line(&format!(
        "    {}  {} since then, {attempts} attempts that count",
        parked.since,
        parked.state.as_str()
    ))?;
    if let Some(later) = parked.passed {
        output::line(&format!("    a later change of the record, {later}, was delivered meanwhile"))?;
    }
    if values {
        output::line(&format!("  {}", String::from_utf8_lossy(&json::event(event))))?;
    }
    let verbs = match parked.state {
        parked::ParkedState::Waiting => "it is sent again by itself; `deliveries hold` stops that",
        parked::ParkedState::Behind => "it follows when the earlier change of the record is done",
        parked::ParkedState::Held => "`deliveries release`, `retry` or `discard`",
        parked::ParkedState::Dead => "`deliveries retry` or `discard`",
    };
    output::line(&format!("  -> {verbs} (--connector {connector} {})", event.id))
}
