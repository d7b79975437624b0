//! `simulate`: what would be sent for past events. No socket is opened, nothing is written.

use serde_json::json;

use crate::adapter::Request;
use crate::cli::failure::{Code, Failure};
use crate::cli::past::{Past, open};
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output, sides};
use crate::clock::Timestamp;
use crate::config::{Config, ConnectorSpec, Settings, build};
use crate::engine::connector::Connector;
use crate::engine::simulate::{Fate, Simulated, Tally, simulate as run};
use crate::engine::source::SourceError;
use crate::event::Value;
use crate::format::json;
use crate::rules::governance::Redact;
use crate::store::state::fact;

/// Shows what would be sent for past events, without sending it
///
/// For every event and connector: method, address, headers (secrets masked) and body exactly as they would leave, or why
/// the event is skipped or held. No connection is opened, no hook is asked and nothing is written. Requests that a replay has to give
/// another idempotency key are shown with their first one. Without --since or --from: everything that is kept. Ends with
/// 1 when something would be held.
#[derive(Debug, clap::Args)]
pub struct Simulate {
    /// A connector that reads: asks the outside system and shows what would come in, and what would be decided. Writes nothing
    #[arg(value_name = "CONNECTOR", conflicts_with_all = ["connector", "since", "from"])]
    reading: Option<String>,
    #[command(flatten)]
    past: Past,
    /// Only for this connector
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
}

/// Runs `simulate`.
pub fn simulate(place: &Place, simulate: Simulate) -> Outcome {
    if let Some(name) = &simulate.reading {
        return sides::show(place, &place.config()?, name, None, "nothing was written");
    }
    let Config { settings, connectors, .. } = place.config()?;
    let connectors: Vec<_> = connectors.into_iter().filter(|spec| spec.strategy.pushes()).collect();
    let connectors = build(place, &settings, connectors, simulate.connector.as_deref())?;
    let mut tally = Tally::default();
    for mut log in open(place, &settings)? {
        let Some(after) = simulate.past.after(&mut log, &settings)? else { continue };
        run::<Stop>(&connectors, &mut *log.source, after, &mut tally, |seen| Ok(show(place, &seen)?))?;
    }
    if !place.json() && !place.quiet() {
        let Tally { events, requests, held, skipped } = tally;
        eprintln!("events {events}, requests {requests}, held {held}, skipped {skipped}; nothing was sent");
    }
    Ok(if tally.held > 0 { Code::Failed } else { Code::Ok })
}

/// Why a simulation stops.
struct Stop(Failure);

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Stop {
        Stop(Failure::new(Code::Failed, error.to_string()))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop(failure)
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Failure {
        stop.0
    }
}

fn build(
    place: &Place,
    settings: &Settings,
    specs: Vec<ConnectorSpec>,
    only: Option<&str>,
) -> Result<Vec<Connector>, Failure> {
    let names: Vec<_> = specs.iter().map(|spec| spec.name.clone()).collect();
    if let Some(name) = only.filter(|name| !names.iter().any(|known| **known == **name)) {
        return Err(order::unknown(name, &names));
    }
    if names.is_empty() {
        let text = "no connector: put one into connectors/ (`hms-sync scaffold connector NAME` writes one)";
        return Err(Failure::new(Code::Config, text));
    }
    // The key of hashed fields is made when the agent first runs.
    let secret = place.state(settings).ok().and_then(|mut state| state.read(|db| fact(db, "mac_key")).ok());
    let credentials = build::credentials(settings)?;
    let specs = specs.into_iter().filter(|spec| only.is_none_or(|name| *spec.name == *name));
    specs
        .map(|spec| {
            if secret.is_none() && spec.redact.values().any(|how| *how == Redact::Hash) {
                log::warn!("{}: hashed fields will differ: their key is made when the agent first runs", spec.name);
            }
            Ok(build::connector(spec, settings, &credentials, secret.unwrap_or_default())?)
        })
        .collect()
}

fn show(place: &Place, seen: &Simulated<'_>) -> Result<bool, Failure> {
    if place.json() { output::stream(&document(seen).to_string()) } else { output::stream(&page(seen)) }
}

/// One line of JSON for an event at a connector.
fn document(seen: &Simulated<'_>) -> serde_json::Value {
    let event = seen.event;
    let mut document = json!({
        "connector": seen.connector,
        "event": event.id.to_string(),
        "log": event.log,
        "seq": event.seq(),
        "type": event.kind,
        "op": event.op.as_str(),
        "at": event.at.to_string(),
        "fate": match &seen.fate { Fate::Skipped(_) => "skipped", Fate::Held(_) => "held", Fate::Sent(_) => "sent" },
    });
    match &seen.fate {
        Fate::Skipped(why) => document["reason"] = json!(why),
        Fate::Held(reason) => {
            document["class"] = json!(reason.class);
            document["reason"] = json!(reason.text);
        }
        Fate::Sent(requests) => {
            document["requests"] = requests.iter().map(request).collect();
            if seen.is_unasked {
                document["hook"] = json!("not asked");
            }
        }
    }
    document
}

fn request(request: &Request) -> serde_json::Value {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| json!([name, value])).collect();
    json!({ "method": request.method, "url": request.url, "headers": headers, "body": body(&request.body) })
}

/// The body byte for byte: as text, or as the bytes of the contract.
fn body(bytes: &[u8]) -> serde_json::Value {
    match std::str::from_utf8(bytes) {
        Ok("") => serde_json::Value::Null,
        Ok(text) => json!(text),
        Err(_) => serde_json::from_slice(&json::value(&Value::Blob(bytes.to_vec()))).unwrap_or_default(),
    }
}

/// A page of text for an event at a connector.
fn page(seen: &Simulated<'_>) -> String {
    let event = seen.event;
    let at: Timestamp = event.at;
    let head = format!("{}: {} {} {} {at}", seen.connector, event.kind, event.op, event.id);
    match &seen.fate {
        Fate::Skipped(why) => format!("{head}\n  skipped: {why}\n"),
        Fate::Held(reason) => format!("{head}\n  held: {reason}\n"),
        Fate::Sent(requests) => {
            let hook = if seen.is_unasked { "  (the hook is not asked: it may change or refuse this)\n" } else { "" };
            format!("{head}\n{hook}{}", requests.iter().map(sheet).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn sheet(request: &Request) -> String {
    let Request { method, url, headers, body } = request;
    let headers: String = headers.iter().map(|(name, value)| format!("  {name}: {value}\n")).collect();
    let body = match std::str::from_utf8(body) {
        Ok("") => String::new(),
        // The segments of HL7 end in a carriage return, which would write each over the one before.
        Ok(text) => format!("\n  {}\n", text.trim_end_matches('\r').replace('\r', "\n  ")),
        Err(_) => format!("\n  ({} bytes that are no text)\n", body.len()),
    };
    format!("  {method} {url}\n{headers}{body}")
}
