//! The agent inside another program.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, RwLock};

use tokio::signal::unix::{SignalKind, signal};

use super::{Error, Event, HandlerError, Interest, Pusher, handler, whole};
use crate::adapter::tls;
use crate::config::{self, Config};
use crate::daemon::agent::{Agent as Running, Options};
use crate::daemon::serve::{listen, ways};
use crate::engine::handler::{Desk, PREFIX, Spec};
use crate::engine::push::Run;
use crate::store::state::{StateReader, connector, parked};

/// The whole agent in this process: what `hms-sync run` does, and handlers beside the connectors.
///
/// It captures, delivers, follows event sources, makes file drops and listens on its socket, so that `hms-sync status`,
/// `deliveries` and the other verbs work with it as with the daemon. There is one agent for each state file.
///
/// ```no_run
/// use hms_sync::{Agent, json};
///
/// let url = "https://lotus.example/calendar";
/// let agent = Agent::open("sync.yaml")?
///     .on_change("appointments", move |event, sync| {
///         sync.push("lotus_notes", url, json!({ "id": event.get("id"), "start": event.get("start") }))
///     });
/// agent.run()?; // or .run_once()
/// # Ok::<(), hms_sync::Error>(())
/// ```
pub struct Agent {
    config: Config,
    handlers: Vec<(Interest, MakeHandle)>,
    on_signals: bool,
    told: Sender<Told>,
    inbox: Receiver<Told>,
}

type MakeHandle = Box<dyn FnOnce(Desk) -> crate::engine::handler::Handle + Send>;

enum Told {
    Stop,
    Ended,
}

/// Stops an agent from elsewhere; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    told: Sender<Told>,
}

impl Handle {
    /// Has the agent stop: what is under way is finished within ten seconds, what is not is delivered, or handled, again at the
    /// next start. Returns at once; [`Agent::run`] returns when it has stopped. One that is stopped before it runs ends as
    /// soon as it does.
    pub fn stop(&self) {
        let _ = self.told.send(Told::Stop);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// What a run of once came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Events that connectors delivered in this run.
    pub delivered: u64,
    /// Events that handlers handled in this run.
    pub handled: u64,
    /// Deliveries that wait for a later attempt, or behind an earlier change of their record.
    pub waiting: u64,
    /// Deliveries that wait for a person: held (mapping, gate) or dead (refused).
    pub stuck: u64,
    /// Who left off before everything was done, as `NAME: why`: an endpoint is down, a handler fails.
    pub left_off: Vec<String>,
}

impl Drained {
    /// Whether nothing is left to do.
    pub fn is_complete(&self) -> bool {
        self.waiting == 0 && self.stuck == 0 && self.left_off.is_empty()
    }
}

impl Agent {
    /// Reads the configuration: a folder with `sync.yaml` and `connectors/`, that `sync.yaml`, or one file that holds everything; the
    /// same files as the command line's. Nothing else is opened yet.
    ///
    /// # Errors
    /// [`Error::Config`] with everything that is wrong with it.
    pub fn open(config: impl AsRef<Path>) -> Result<Agent, Error> {
        let config = config::load(&whole(config.as_ref()))?;
        config.warnings.iter().for_each(|warning| log::debug!("{warning}"));
        let (told, inbox) = channel();
        Ok(Agent { config, handlers: Vec::new(), on_signals: false, told, inbox })
    }

    /// Has a handler hear events: `what` is a type (`"appointments"`), or an [`Interest`] that says more.
    ///
    /// Each handler has a thread and a durable position of its own. It sees each event at least once, in the order of its log
    /// (several databases have no common order), and the next one only when it has returned `Ok` for this one. After an
    /// `Err` or a panic the same event comes again, after a second at first and at most a minute later on, for as long as it
    /// takes; meanwhile connectors and other handlers go on, and `hms-sync status` shows what is wrong. To pass over an event,
    /// return `Ok`.
    ///
    /// "At least once": after a crash the events of the last moments come again, though what they pushed is not stored twice.
    /// A new handler begins with what happens after its first start. One whose program is away misses nothing that the agent
    /// still keeps for it; while another agent runs on the same state file without it, events are kept for `retention:` only.
    pub fn on_change<F>(mut self, what: impl Into<Interest>, handler: F) -> Agent
    where
        F: FnMut(&Event, &mut Pusher<'_>) -> Result<(), HandlerError> + Send + 'static,
    {
        self.handlers.push((what.into(), Box::new(move |desk| handler::handle(desk, handler))));
        self
    }

    /// Stops at SIGINT (Ctrl-C) and SIGTERM. Signals are the program's own unless it asks for this; from then on they do not
    /// end the process by themselves any more.
    pub fn stop_on_signals(mut self) -> Agent {
        self.on_signals = true;
        self
    }

    /// What stops it, from another thread.
    pub fn handle(&self) -> Handle {
        Handle { told: self.told.clone() }
    }

    /// Runs until it is stopped.
    ///
    /// # Errors
    /// It could not be started, or had to end: [`Error::Disk`], [`Error::TakenOver`].
    pub fn run(self) -> Result<(), Error> {
        let _entropy = tls::warm_up();
        self.watch_signals()?;
        let ways = ways(&self.config.settings);
        let mut agent = Agent::start(self.config, self.handlers, self.told, Run::Forever)?;
        let follow = match agent.subscribe() {
            Ok(()) => agent.watch(),
            error => error,
        };
        let shared = Arc::new(RwLock::new(agent.handle()));
        let api = listen(&ways, &agent, &shared);
        let stopped = follow.is_err() || waits(&self.inbox, &agent, Run::Forever);
        let (lost, broken) = (agent.has_lost(), agent.is_broken());
        // After a failed sync stopping in good order would write to the databases.
        let summaries = if stopped || !broken { agent.stop() } else { Vec::new() };
        if let Some(api) = api {
            api.stop();
        }
        follow?;
        if broken || summaries.iter().any(|(_, summary)| summary.broken) {
            return Err(Error::Disk);
        }
        if lost { Err(Error::TakenOver) } else { Ok(()) }
    }

    /// Has the handlers handle and the connectors deliver what there is, and ends. What cannot be delivered now stays for the
    /// next run. Event sources are not followed, and the command line cannot ask it meanwhile.
    ///
    /// # Errors
    /// It could not be started, or [`Error::Disk`].
    pub fn run_once(self) -> Result<Drained, Error> {
        let _entropy = tls::warm_up();
        self.watch_signals()?;
        let state = self.config.settings.state.clone();
        let agent = Agent::start(self.config, self.handlers, self.told, Run::Once)?;
        let stopped = waits(&self.inbox, &agent, Run::Once);
        let summaries = if stopped { agent.stop() } else { agent.finish() };
        if summaries.iter().any(|(_, summary)| summary.broken) {
            return Err(Error::Disk);
        }
        let mut drained = Drained::default();
        for (name, summary) in &summaries {
            let sum = if name.starts_with(PREFIX) { &mut drained.handled } else { &mut drained.delivered };
            *sum += summary.delivered;
            drained.left_off.extend(summary.left_off.as_ref().map(|reason| format!("{name}: {reason}")));
        }
        let mut reader = StateReader::open(&state)?;
        for known in reader.read(connector::all)? {
            for (kind, n) in reader.read(|db| parked::counts(db, known.id))? {
                match kind {
                    parked::ParkedState::Waiting | parked::ParkedState::Behind => drained.waiting += n,
                    parked::ParkedState::Held | parked::ParkedState::Dead => drained.stuck += n,
                }
            }
        }
        Ok(drained)
    }

    /// Starts it; what may be wrong with the handlers is found before anything is opened.
    fn start(
        config: Config,
        handlers: Vec<(Interest, MakeHandle)>,
        told: Sender<Told>,
        run: Run,
    ) -> Result<Running, Error> {
        let (mut specs, mut names) = (Vec::new(), BTreeSet::new());
        for (interest, make) in handlers {
            let name = interest.name();
            let wrong = |why: String| Error::Handler { name: name.clone(), why };
            let listen = interest.listen().map_err(wrong)?;
            if !names.insert(name.clone()) {
                let why =
                    "two handlers have this name: their positions would be one; give one another by `Interest::named`";
                return Err(Error::Handler { name, why: why.to_owned() });
            }
            specs.push((name, listen, interest.from_beginning, make));
        }
        let mut configured = config.connectors.iter().chain(&config.drops);
        if let Some(spec) = configured.find(|spec| spec.name.starts_with(PREFIX)) {
            let why = format!("`{}` is a connector's name, and names with `{PREFIX}` are handlers'", spec.name);
            return Err(Error::Handler { name: spec.name.to_string(), why });
        }
        let make = move |desk: Desk| {
            let spec = |(name, listen, from_beginning, make): (_, _, _, MakeHandle)| {
                let handle = make(desk.clone());
                Spec { name, listen, from_beginning, handle }
            };
            specs.into_iter().map(spec).collect()
        };
        let ended = move || drop(told.send(Told::Ended));
        let options = Options { run, take_over: false };
        Ok(Running::start_with(config, options, None, Box::new(make), ended)?)
    }

    fn watch_signals(&self) -> Result<(), Error> {
        if !self.on_signals {
            return Ok(());
        }
        let told = self.told.clone();
        let unheard = |error: std::io::Error| Error::Start(Box::new(error));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unheard)?;
        let signals =
            runtime.block_on(async { Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)) });
        let (mut interrupt, mut terminate) = signals.map_err(unheard)?;
        let listen = move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if told.send(Told::Stop).is_err() {
                        return;
                    }
                }
            });
        };
        std::thread::Builder::new().name("signals".into()).spawn(listen).map(drop).map_err(unheard)
    }
}

/// Waits until it is told to stop (true), a sync has failed, or (in a run of once) every worker has ended (false).
fn waits(inbox: &Receiver<Told>, agent: &Running, run: Run) -> bool {
    let mut left = agent.workers();
    while run == Run::Forever || left > 0 {
        match inbox.recv() {
            Ok(Told::Stop) | Err(_) => return true,
            Ok(Told::Ended) if agent.is_broken() => return false,
            Ok(Told::Ended) if run == Run::Forever && agent.has_ended_worker() => return true,
            Ok(Told::Ended) => left = left.saturating_sub(1),
        }
    }
    false
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handlers: Vec<String> = self.handlers.iter().map(|(interest, _)| interest.name()).collect();
        f.debug_struct("Agent").field("handlers", &handlers).finish_non_exhaustive()
    }
}
