//! The agent until it is stopped: signals, reloads, the end.

use std::sync::mpsc::channel;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Manner, names};
use crate::adapter::program;
use crate::cli::failure::{Code, Failure};
use crate::cli::{Outcome, journal};
use crate::config::{self, Config, ConnectorSpec};
use crate::daemon::agent::{Agent, AgentError, Options, rehearse};
use crate::daemon::api::Api;
use crate::daemon::notify;
use crate::daemon::pulse::Pulse;
use crate::daemon::serve::{announce, listen, ways};
use crate::engine::push;

/// A stop takes no longer than this, whatever happens (15 s are promised).
const LAST: Duration = Duration::from_secs(14);

/// What the running agent is told from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
    Ended,
}

/// A configuration that runs, as far as it takes to start it again.
struct Kept {
    settings: config::Settings,
    connectors: Vec<String>,
    drops: Vec<String>,
}

impl Kept {
    fn of(config: &Config) -> Kept {
        let texts = |specs: &[ConnectorSpec]| specs.iter().map(|spec| spec.config.clone()).collect();
        let Config { settings, connectors, drops, .. } = config;
        Kept { settings: settings.clone(), connectors: texts(connectors), drops: texts(drops) }
    }

    fn again(&self) -> Result<Config, Failure> {
        let office = &self.settings.office;
        let spec = |text: &String| config::from_canonical_of(text, office);
        let specs = |texts: &[String]| texts.iter().map(spec).collect::<Result<_, _>>();
        Ok(Config {
            settings: self.settings.clone(),
            connectors: specs(&self.connectors)?,
            drops: specs(&self.drops)?,
            conflicts: Vec::new(),
            warnings: Vec::new(),
        })
    }
}

/// Ends the process when the time of a stop is over, whatever holds it up.
fn end_by_then() {
    let timer = std::thread::Builder::new().name("patience".into()).spawn(|| {
        std::thread::sleep(LAST);
        log::error!("the files do not answer: it ends without tidying them");
        program::kill_all();
        std::process::exit(Code::Ok as i32);
    });
    if let Err(error) = timer {
        log::error!("the time that the stop takes has no limit: {error}");
    }
}

/// What of an error the service manager shows: its first line that names a place, else the first.
fn in_short(failure: &Failure) -> &str {
    let mut lines = failure.message.lines();
    let first = lines.next().unwrap_or_default();
    lines.find(|line| line.contains(": error: ")).unwrap_or(first)
}

pub(super) fn forever(config: Config, manner: Manner, load: &dyn Fn() -> Result<Config, Failure>) -> Outcome {
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
                            end_by_then();
                            Told::Stop
                        }
                        // At once, whatever is in flight or under way: a reload, a start, a disk that does not answer.
                        (true, true) => {
                            program::kill_all();
                            std::process::exit(Code::Ok as i32)
                        }
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
        let mut agent =
            Agent::start_told(config, options, manner.synced, move || told.send(Told::Ended).unwrap_or_default())?;
        agent.subscribe()?;
        agent.watch()?;
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
    let mut kept = Kept::of(&config);
    let mut agent = start(config, manner.take_over)?;
    let shared = Arc::new(RwLock::new(agent.handle()));
    let api = listen(&ways, &agent, &shared);
    log::info!("running: {}", names(&agent));
    notify::tell("READY=1");
    let pulse = Pulse::start(shared.clone());
    let mut next = None;
    loop {
        match next.take().map_or_else(|| inbox.recv(), Ok) {
            Ok(Told::Reload) => {
                // Who asks a hundred times at once is answered once: what is there now counts for all of them.
                next = inbox.try_iter().find(|told| *told != Told::Reload);
                notify::tell_reloading();
                let config = match load().and_then(|config| Ok(rehearse(config)?)).and_then(|()| load()) {
                    Ok(config) => config,
                    Err(failure) => {
                        failure.message.lines().for_each(|line| log::log!(journal::level_of(line), "{line}"));
                        log::error!("not reloaded, the old configuration stays");
                        pulse.notice(Some(format!("not reloaded: {}", in_short(&failure))));
                        notify::tell("READY=1");
                        continue;
                    }
                };
                log::info!("reloading: what is under way is finished first");
                if agent.stop().iter().any(|(_, summary)| summary.broken) {
                    return Ok(Code::Disk);
                }
                // Whoever wants it to end does not want it to begin again first.
                if next.is_none() {
                    next = inbox.try_iter().find(|told| *told == Told::Stop);
                }
                if next == Some(Told::Stop) {
                    notify::tell("STOPPING=1");
                    log::info!("stopped");
                    api.into_iter().for_each(Api::stop);
                    return Ok(Code::Ok);
                }
                let new = Kept::of(&config);
                agent = match start(config, false).map_err(Failure::from) {
                    Ok(agent) => {
                        kept = new;
                        pulse.notice(None);
                        log::info!("reloaded; running: {}", names(&agent));
                        agent
                    }
                    Err(failure) => {
                        failure.message.lines().for_each(|line| log::log!(journal::level_of(line), "{line}"));
                        log::error!("not reloaded, the old configuration is started again");
                        pulse.notice(Some(format!("not reloaded: {}", in_short(&failure))));
                        start(kept.again()?, false)?
                    }
                };
                *shared.write().unwrap_or_else(PoisonError::into_inner) = agent.handle();
                announce(&ways.socket, &agent);
                notify::tell("READY=1");
            }
            // At once: stopping in good order would write to the databases.
            Ok(Told::Ended) if agent.is_broken() => return Ok(Code::Disk),
            Ok(Told::Ended) if !agent.has_ended_worker() => {}
            Ok(Told::Stop) => break,
            Ok(Told::Ended) | Err(_) => {
                end_by_then();
                break;
            }
        }
    }
    notify::tell("STOPPING=1");
    log::info!("stopping: what is under way is finished first");
    let lost = agent.has_lost();
    let summaries = agent.stop();
    if let Some(api) = api {
        api.stop();
    }
    drop(pulse);
    log::info!("stopped");
    if lost {
        return Ok(Code::Refused);
    }
    // What was left off is done at the next start: a stop that somebody asked for is no failure.
    Ok(if summaries.iter().any(|(_, summary)| summary.broken) { Code::Disk } else { Code::Ok })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_configuration_that_is_started_again_is_the_same() {
        for folder in ["folder", "folder-drop"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/good").join(folder);
            let config = config::load(&folder).unwrap();
            let again = Kept::of(&config).again().unwrap();
            let hashes = |config: &Config| -> Vec<_> {
                let specs = config.connectors.iter().chain(&config.drops);
                specs.map(|spec| (spec.name.clone(), spec.config_hash)).collect()
            };
            assert!(!hashes(&config).is_empty());
            assert_eq!(hashes(&config), hashes(&again));
        }
    }

    #[test]
    fn the_service_manager_shows_the_first_line_that_names_a_place() {
        let of = |text: &str| in_short(&Failure::new(Code::Config, text)).to_owned();
        let text = "the configuration is wrong\na.yaml:1:2: warning: listen: odd\na.yaml:3:1: error: url: is missing";
        assert_eq!(of(text), "a.yaml:3:1: error: url: is missing");
        assert_eq!(of("office.db: is locked"), "office.db: is locked");
        assert_eq!(of(""), "");
    }
}
