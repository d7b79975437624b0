//! `run`: the agent, until it is stopped or once.

mod forever;

use std::path::PathBuf;

use crate::adapter::tls;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::{self, Config, ConnectorSpec, Problem};
use crate::daemon::agent::{Agent, Options};
use crate::daemon::{dumps, yielding};
use crate::engine::pull::pull_status;
use crate::engine::push::{self, Summary, Synced};
use crate::store::state::connector;

/// Delivers until it is stopped, or once
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Delivers what is due and ends: 0 all delivered, 1 something is held or dead, or stands aside of what comes in, 75 try again later
    #[arg(long)]
    once: bool,
    /// A connector's file, beside the configured ones
    #[arg(long, value_name = "FILE")]
    connector: Vec<PathBuf>,
    /// Takes the database over from another agent's state file, with a new epoch
    #[arg(long)]
    take_over: bool,
}

impl Run {
    /// Whether it ends by itself.
    pub fn is_once(&self) -> bool {
        self.once
    }
}

/// Runs `run`.
pub fn run(place: &Place, run: Run) -> Outcome {
    let load = || {
        let mut config = load(place, !run.connector.is_empty())?;
        for file in &run.connector {
            let read = config::load_connector_file(file, &config.settings)?;
            put(&mut config, read);
        }
        Ok(config)
    };
    start(place, Manner { once: run.once, take_over: run.take_over, synced: None }, &load)
}

/// The configuration; none is needed when the command line names a connector and nobody says where one is.
pub(super) fn load(place: &Place, connector: bool) -> Result<Config, Failure> {
    match place.config_path() {
        Err(_) if connector => Ok(empty(place)),
        Ok(path) if connector && !place.has_named_config() && !path.exists() => Ok(empty(place)),
        _ => place.config(),
    }
}

/// Puts a connector into a configuration, in place of one of its name.
pub(super) fn put(config: &mut Config, (spec, warnings): (ConnectorSpec, Vec<Problem>)) {
    config.warnings.extend(warnings);
    config.connectors.retain(|known| known.name != spec.name);
    config.drops.retain(|known| known.name != spec.name);
    match spec.drop() {
        None => config.connectors.push(spec),
        Some(_) => config.drops.push(spec),
    }
}

/// How an agent is run.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) once: bool,
    pub(super) take_over: bool,
    /// Who hears of what was delivered.
    pub(super) synced: Option<Synced>,
}

/// Runs an agent with what `load` gives, now and at each reload.
pub(super) fn start(place: &Place, manner: Manner, load: &dyn Fn() -> Result<Config, Failure>) -> Outcome {
    yielding::stand_back();
    let _entropy = tls::warm_up();
    let load = &|| {
        let config = load()?;
        if !config.settings.credentials.is_empty() {
            dumps::refuse();
        }
        Ok(config)
    };
    let config = load()?;
    if config.connectors.is_empty() && config.drops.is_empty() {
        let text = "no connector: put one into connectors/ (`hms-sync scaffold connector NAME` writes one), or name a file with --connector";
        return Err(Failure::new(Code::Config, text));
    }
    if manner.once { once(place, config, manner.take_over) } else { forever::forever(config, manner, load) }
}

fn empty(place: &Place) -> Config {
    let mut config = Config {
        settings: config::Settings::default(),
        connectors: Vec::new(),
        drops: Vec::new(),
        conflicts: Vec::new(),
        warnings: Vec::new(),
    };
    place.apply_database(&mut config.settings);
    config
}

fn once(place: &Place, config: Config, take_over: bool) -> Outcome {
    let settings = config.settings.clone();
    let reading: Vec<_> =
        config.connectors.iter().filter(|spec| spec.strategy.pulls()).map(|spec| spec.name.clone()).collect();
    let agent = Agent::start(config, Options { run: push::Run::Once, take_over }, || {})?;
    let summaries = agent.finish();
    if summaries.iter().any(|(_, summary)| summary.broken) {
        return Ok(Code::Disk);
    }
    let mut state = place.state(&settings)?;
    let mut parked = std::collections::BTreeMap::new();
    for known in state.read(connector::all)? {
        for (kind, n) in state.read(|db| crate::store::state::parked::counts(db, known.id))? {
            *parked.entry(kind.as_str()).or_insert(0) += n;
        }
    }
    let (mut aside, mut said) = (0, Vec::new());
    for name in &reading {
        let status = state.read(|db| match connector::find(db, name)? {
            Some(known) => pull_status(db, &known),
            None => Ok(None),
        })?;
        let Some(status) = status else { continue };
        aside += status.aside();
        said.extend(status.aside_words(name).map(|words| format!("{name}: {words}")));
    }
    let count = |word: &str| parked.get(word).copied().unwrap_or(0);
    let delivered: u64 = summaries.iter().map(|(_, summary)| summary.delivered).sum();
    let left_off: Vec<String> = summaries
        .iter()
        .filter_map(|(name, summary)| summary.left_off.as_ref().map(|reason| format!("{name}: {reason}")))
        .collect();
    if place.json() {
        output::json(&serde_json::json!({
            "delivered": delivered, "waiting": count("waiting"), "behind": count("behind"), "held": count("held"),
            "dead": count("dead"), "aside": aside, "leftOff": left_off,
        }))?;
    } else if !place.quiet() {
        output::line(&format!(
            "delivered {delivered}, waiting {}, behind {}, held {}, dead {}",
            count("waiting"),
            count("behind"),
            count("held"),
            count("dead")
        ))?;
        said.iter().chain(&left_off).try_for_each(|text| output::line(text))?;
    }
    Ok(verdict(&summaries, count("held") + count("dead") + aside > 0, count("waiting") + count("behind") > 0))
}

fn verdict(summaries: &[(std::sync::Arc<str>, Summary)], stuck: bool, waiting: bool) -> Code {
    if summaries.iter().any(|(_, summary)| summary.broken) {
        Code::Disk
    } else if stuck {
        Code::Failed
    } else if waiting || summaries.iter().any(|(_, summary)| summary.left_off.is_some()) {
        Code::Temporary
    } else {
        Code::Ok
    }
}

fn names(agent: &Agent) -> String {
    agent.handle().connectors().collect::<Vec<_>>().join(", ")
}
