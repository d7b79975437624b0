//! The short form: `hms-sync --mapping FILE --token TOKEN` follows an event source and delivers what comes.

use std::path::PathBuf;

use crate::adapter::secret::{Secret, SecretRef};
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::run::{Manner, load, put, start};
use crate::cli::{Outcome, output};
use crate::config::credential::Credential;
use crate::config::events::EventSource;
use crate::config::{self, Config, Instead};

/// Where events come from when nobody says.
const EVENTS: &str = "wss://hms-ops.gov/events";
/// The token of the event source, when no argument gives one.
const TOKEN: &str = "HMS_TOKEN";
/// The credential's name that the token gets.
const CREDENTIAL: &str = "--token";

/// The short form: delivers with one connector, and follows an event source.
#[derive(Debug, clap::Args)]
pub struct Follow {
    /// A connector's file: delivers with it, beside the configured ones, and prints a line for each event
    #[arg(long, value_name = "FILE", env = "MAPPING")]
    mapping: Option<PathBuf>,
    /// Token for the event source; --token-file, or HMS_TOKEN, keeps it out of the process table
    #[arg(long, value_name = "TOKEN", requires = "mapping", conflicts_with = "token_file")]
    token: Option<String>,
    /// File that holds the token, readable by nobody else
    #[arg(long, value_name = "FILE", requires = "mapping")]
    token_file: Option<PathBuf>,
    /// The event source [default: wss://hms-ops.gov/events]
    #[arg(long, value_name = "URL", env = "HMS_EVENTS_URL")]
    events: Option<String>,
    /// Event types to ask for and to deliver, instead of the connector's own
    #[arg(long, value_name = "TYPE", env = "LISTEN", value_delimiter = ',')]
    listen: Option<Vec<String>>,
    /// Where to deliver, instead of the connector's own URL
    #[arg(long, value_name = "URL", env = "TARGET_URL")]
    target_url: Option<String>,
}

/// Runs the short form.
pub fn follow(place: &Place, follow: Follow) -> Outcome {
    let Some(mapping) = &follow.mapping else {
        return Err(Failure::new(Code::Usage, "which verb? `hms-sync --help` lists them"));
    };
    if follow.token.is_some() {
        log::warn!("--token shows the token in the process table: --token-file, or {TOKEN}, keeps it out");
    }
    // Whoever sets a variable to nothing means none.
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let types: Vec<String> = follow.listen.iter().flatten().map(|kind| kind.trim().to_owned()).collect();
    let listen = Some(types).filter(|types| types.iter().any(|kind| !kind.is_empty()));
    let instead = Instead { listen, url: given(&follow.target_url) };
    let (events, token) = (given(&follow.events), follow.secret(&given(&follow.token)));
    let load = || {
        let mut config = load(place, true)?;
        let (spec, warnings) = config::load_mapping(mapping, &config.settings, &instead)?;
        let mut listen = spec.listen.patterns().to_vec();
        if listen.is_empty() {
            listen.push("*".to_owned());
        }
        put(&mut config, (spec, warnings));
        // With a database and nothing said of events, the tables are meant.
        if token.is_some() || events.is_some() || config.settings.databases.is_empty() {
            subscribe(&mut config, &events, listen, token.as_ref())?;
        }
        Ok(config)
    };
    let synced = if place.json() { synced_json } else { synced };
    start(place, Manner { once: false, take_over: false, synced: (!place.quiet()).then_some(synced) }, &load)
}

impl Follow {
    fn secret(&self, token: &Option<String>) -> Option<SecretRef> {
        if let Some(token) = token {
            return Some(SecretRef::Given(Secret::new(token.clone())));
        }
        let named = std::env::var_os(TOKEN).filter(|token| !token.is_empty());
        self.token_file.clone().map(SecretRef::File).or_else(|| named.map(|_| SecretRef::Env(TOKEN.to_owned())))
    }
}

/// Adds the source. One that the configuration has at the same address keeps what is said of it there.
fn subscribe(
    config: &mut Config,
    events: &Option<String>,
    listen: Vec<String>,
    token: Option<&SecretRef>,
) -> Result<(), Failure> {
    let settings = &mut config.settings;
    let address = events.as_deref().unwrap_or(EVENTS);
    let known = settings.events.iter().position(|source| source.url == address);
    let mut source = match known {
        Some(at) => EventSource { listen, ..settings.events.remove(at) },
        None => EventSource::named(address, listen)?,
    };
    if let Some(token) = token {
        settings.credentials.insert(CREDENTIAL.to_owned(), Credential::Bearer { token: token.clone() });
        source.credential = Some(CREDENTIAL.to_owned());
    }
    if settings.events.iter().any(|other| other.name == source.name) {
        source.name = address.split('?').next().unwrap_or_default().to_owned();
    }
    settings.events.push(source);
    Ok(())
}

/// Says that an event was delivered. That nobody reads it is no reason to stop.
fn synced(status: Option<u16>) {
    let text = status.map_or_else(|| "synced".to_owned(), |status| format!("synced {status}"));
    let _ = output::stream(&text);
}

fn synced_json(status: Option<u16>) {
    let _ = output::stream(&serde_json::json!({ "synced": true, "status": status }).to_string());
}
