//! `run`: the agent, until it is stopped or once.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::adapter::tls;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::clock;
use crate::config::api::Listener;
use crate::config::{self, Config, ConnectorSpec, Problem};
use crate::daemon::agent::{Agent, AgentError, Options, rehearse};
use crate::daemon::api::{Api, Shared, Ways};
use crate::daemon::{dumps, notify, socket};
use crate::engine::push::{self, Summary, Synced};

/// A stop takes no longer than this, whatever happens (15 s are promised).
const LAST: Duration = Duration::from_secs(14);

/// Delivers until it is stopped, or once
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Delivers what is due and ends: 0 all delivered, 1 something is held or dead, 75 try again later
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
    if manner.once { once(place, config, manner.take_over) } else { forever(config, manner, load) }
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
    let agent = Agent::start(config, Options { run: push::Run::Once, take_over }, || {})?;
    let summaries = agent.finish();
    if summaries.iter().any(|(_, summary)| summary.broken) {
        return Ok(Code::Disk);
    }
    let mut state = place.state(&settings)?;
    let mut parked = std::collections::BTreeMap::new();
    for known in state.read(crate::store::state::connector::all)? {
        for (kind, n) in state.read(|db| crate::store::state::parked::counts(db, known.id))? {
            *parked.entry(kind.as_str()).or_insert(0) += n;
        }
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
            "dead": count("dead"), "leftOff": left_off,
        }))?;
    } else if !place.quiet() {
        output::line(&format!(
            "delivered {delivered}, waiting {}, behind {}, held {}, dead {}",
            count("waiting"),
            count("behind"),
            count("held"),
            count("dead")
        ))?;
        left_off.iter().try_for_each(|text| output::line(text))?;
    }
    Ok(verdict(&summaries, count("held") + count("dead") > 0, count("waiting") + count("behind") > 0))
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

/// Where the agent of this configuration listens.
pub fn socket_of(settings: &config::Settings) -> PathBuf {
    let configured = settings.api.listen.iter().find_map(|listener| match listener {
        Listener::Unix(path) => Some(path.clone()),
        Listener::Tcp(..) => None,
    });
    configured.unwrap_or_else(|| socket::default_path(&settings.state))
}

/// Every way in to the agent of this configuration.
fn ways(settings: &config::Settings) -> Ways {
    let tcp = settings.api.listen.iter().filter_map(|listener| match listener {
        Listener::Unix(_) => None,
        Listener::Tcp(address, port) => Some((*address, *port).into()),
    });
    Ways { socket: socket_of(settings), tcp: tcp.collect(), token: settings.api.token.clone() }
}

/// Starts the API. Delivery goes on without it.
fn listen(ways: &Ways, agent: &Agent, shared: &Shared) -> Option<Api> {
    match Api::listen(ways, shared.clone()) {
        Ok(api) => {
            announce(&ways.socket, agent);
            Some(api)
        }
        Err(error) => {
            let path = &ways.socket;
            log::error!("{}: the command line cannot reach this agent: {error}", path.display());
            None
        }
    }
}

fn announce(socket: &Path, agent: &Agent) {
    let path = socket.to_owned();
    let announced = agent.handle().ledger().call(move |state| Ok(state.announce(&path)));
    if let Ok(Err(error)) = announced {
        log::error!("{}: the command line cannot find this agent: {error}", socket.display());
    }
}

fn names(agent: &Agent) -> String {
    agent.handle().connectors().collect::<Vec<_>>().join(", ")
}

/// How loud a line about a configuration is that cannot be used: the warnings come with the errors.
fn level_of(line: &str) -> log::Level {
    let (warning, error) = (line.find(": warning: "), line.find(": error: "));
    match (warning, error) {
        (Some(warning), error) if error.is_none_or(|error| warning < error) => log::Level::Warn,
        _ => log::Level::Error,
    }
}

/// What the running agent is told from outside.
enum Told {
    Stop,
    StopNow,
    Reload,
    Ended,
}

fn forever(config: Config, manner: Manner, load: &dyn Fn() -> Result<Config, Failure>) -> Outcome {
    let (told, inbox) = channel();
    let signals = told.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Failed, format!("signals cannot be waited for: {error}")))?;
    let broken = |error: std::io::Error| Failure::new(Code::Failed, format!("signals cannot be waited for: {error}"));
    let (mut terminate, mut interrupt, mut hangup) = runtime
        .block_on(async {
            Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?))
        })
        .map_err(broken)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                let mut stopping = false;
                loop {
                    let word = tokio::select! {
                        _ = terminate.recv() => true,
                        _ = interrupt.recv() => true,
                        _ = hangup.recv() => false,
                    };
                    let message = match (word, stopping) {
                        (true, false) => {
                            stopping = true;
                            Told::Stop
                        }
                        (true, true) => Told::StopNow,
                        (false, _) => Told::Reload,
                    };
                    if signals.send(message).is_err() {
                        return;
                    }
                }
            });
        })
        .map_err(broken)?;
    let start = |config: Config, take_over: bool| {
        let told = told.clone();
        let options = Options { run: push::Run::Forever, take_over };
        let mut agent = Agent::start_told(config, options, manner.synced, move || drop(told.send(Told::Ended)))?;
        agent.subscribe()?;
        Ok::<_, AgentError>(agent)
    };
    let ways = ways(&config.settings);
    let state = config.settings.state.clone();
    let load = || match load()? {
        // The lock, the socket and everything that is remembered are there: a file that went missing must not move them.
        moved if moved.settings.state != state => {
            let text = format!(
                "the configuration now names another state file ({} instead of {}): put sync.yaml back, or stop the agent and start it anew",
                moved.settings.state.display(),
                state.display()
            );
            Err(Failure::new(Code::Config, text))
        }
        config => Ok(config),
    };
    let mut agent = start(config, manner.take_over)?;
    let shared = Arc::new(RwLock::new(agent.handle()));
    let api = listen(&ways, &agent, &shared);
    log::info!("running: {}", names(&agent));
    notify::tell("READY=1");
    loop {
        match inbox.recv() {
            Ok(Told::Reload) => match load().and_then(|config| Ok(rehearse(config)?)).and_then(|()| load()) {
                Ok(config) => {
                    notify::tell("RELOADING=1");
                    let broken = agent.stop().iter().any(|(_, summary)| summary.broken);
                    if broken {
                        return Ok(Code::Disk);
                    }
                    agent = start(config, false)?;
                    *shared.write().unwrap_or_else(PoisonError::into_inner) = agent.handle();
                    announce(&ways.socket, &agent);
                    notify::tell("READY=1");
                    log::info!("reloaded; running: {}", names(&agent));
                }
                Err(failure) => {
                    failure.message.lines().for_each(|line| log::log!(level_of(line), "{line}"));
                    log::error!("not reloaded, the old configuration stays");
                }
            },
            // At once: stopping in good order would write to the databases.
            Ok(Told::Ended) if agent.is_broken() => return Ok(Code::Disk),
            Ok(Told::Ended) if !agent.has_ended_worker() => {}
            Ok(Told::StopNow) => return Ok(Code::Ok),
            Ok(Told::Stop | Told::Ended) | Err(_) => break,
        }
    }
    notify::tell("STOPPING=1");
    log::info!("stopping: what is under way is finished first");
    // A second signal ends the process at once, whatever is in flight; and so does a disk that does not answer.
    let until = clock::steady().plus(LAST);
    let impatient = std::thread::Builder::new().name("impatient".into()).spawn(move || {
        loop {
            match inbox.recv_timeout(until.since(clock::steady())) {
                Ok(Told::StopNow) => std::process::exit(Code::Ok as i32),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    log::error!("the files do not answer: it ends without tidying them");
                    std::process::exit(Code::Ok as i32);
                }
            }
        }
    });
    let lost = agent.has_lost();
    let summaries = agent.stop();
    if let Some(api) = api {
        api.stop();
    }
    drop(impatient);
    log::info!("stopped");
    if lost {
        return Ok(Code::Refused);
    }
    Ok(verdict(&summaries, false, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_beside_an_error_is_told_as_one() {
        assert_eq!(level_of("the configuration is wrong"), log::Level::Error);
        assert_eq!(level_of("a.yaml:3:1: warning: listen: odd"), log::Level::Warn);
        assert_eq!(level_of("a.yaml:3:1: error: key: reads `x: warning: y`"), log::Level::Error);
    }
}
