//! The agent: state, ledger, keepers, workers, wired together. Used by `run`, by one-shot verbs and by the demo.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use crate::config::Config;
use crate::config::watch::Database;
use crate::daemon::alarm::{Alarm, Alerts};
use crate::daemon::archive::{Archiving, Place};
use crate::daemon::assemble::{Assembled, WithHandlers, assemble};
use crate::daemon::board::Board;
use crate::daemon::handle::Handle;
use crate::daemon::heal::{Task, heal};
use crate::daemon::keep::keep;
#[cfg(feature = "ws")]
use crate::daemon::subscribe::Subscriptions;
use crate::daemon::tidy::tidy as tidy_up;
use crate::daemon::trouble::Trouble;
use crate::daemon::turn::Turn;
use crate::daemon::wake::{Bell, Watch};
use crate::engine::alarm::Line;
use crate::engine::archivist::Keep;
use crate::engine::begin::{ended, started};
use crate::engine::drop;
use crate::engine::handler;
use crate::engine::inflow::Inflow;
use crate::engine::intake::{Tidy, Valve};
use crate::engine::keeper::{Asked, Keeper};
use crate::engine::ledger::Ledger;
use crate::engine::lookout::Lookout;
use crate::engine::overview::Configured;
use crate::engine::pull;
use crate::engine::push::{Beat, Mailbox, Message, Run, Summary, Synced, Worker};
use crate::engine::reconcile::Reconciler;
use crate::rules::governance::Classes;
use crate::store::state::{State, fact};

/// How long an ending agent waits for the shadow to come to the end of the log.
const HEALING: Duration = Duration::from_secs(3);

/// How long a handler may take to come back once the agent stops.
const HANDLING: Duration = Duration::from_secs(10);

pub use crate::daemon::fault::AgentError;
pub use crate::daemon::rehearse::{register, rehearse};

/// How to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Until stopped, or once.
    pub run: Run,
    /// Take the logs from another agent.
    pub take_over: bool,
}

/// A running agent.
pub struct Agent {
    ledger: Ledger,
    writer: JoinHandle<State>,
    keepers: Vec<(Bell, JoinHandle<Keeper>)>,
    healers: Vec<(String, Sender<Task>)>,
    pruners: Vec<(String, Bell, Asked)>,
    healing: Vec<JoinHandle<()>>,
    workers: Vec<RunningWorker>,
    pulls: Vec<RunningWorker>,
    polls: Vec<(Arc<str>, pull::Polls)>,
    handlers: Vec<RunningWorker>,
    turn: Turn,
    /// Who prunes the intake log; it ends when the sender goes.
    pruner: Option<(Sender<()>, JoinHandle<()>)>,
    databases: Vec<Database>,
    office: Arc<str>,
    configured: Arc<[Configured]>,
    state: PathBuf,
    trouble: Trouble,
    classes: Option<Arc<Classes>>,
    life: Arc<()>,
    pulse: Option<Beat>,
    // Whoever builds without `ws` has none.
    #[cfg_attr(not(feature = "ws"), allow(dead_code))]
    sources: Vec<Inflow>,
    board: Board,
    alerts: Alerts,
    lookout: Arc<Lookout>,
    lines: Vec<Line>,
    /// How much may wait of what is posted.
    valve: Valve,
    alarm: Option<Alarm>,
    archiving: Option<Archiving>,
    #[cfg(feature = "ws")]
    subscriptions: Option<Subscriptions>,
}

struct RunningWorker {
    name: Arc<str>,
    mailbox: Mailbox,
    thread: JoinHandle<Summary>,
}

impl Agent {
    /// Starts everything. `ended` is called when a worker has ended by itself in a run of once, and when a sync has
    /// failed.
    pub fn start(
        config: Config,
        options: Options,
        ended: impl Fn() + Send + Sync + 'static,
    ) -> Result<Agent, AgentError> {
        Agent::start_told(config, options, None, ended)
    }

    /// The same; `synced` hears of each event that was delivered.
    pub fn start_told(
        config: Config,
        options: Options,
        synced: Option<Synced>,
        ended: impl Fn() + Send + Sync + 'static,
    ) -> Result<Agent, AgentError> {
        Agent::start_with(config, options, synced, Box::new(|_| Vec::new()), ended)
    }

    /// The same, with handlers of the embedding program.
    pub fn start_with(
        config: Config,
        options: Options,
        synced: Option<Synced>,
        with: WithHandlers,
        ended: impl Fn() + Send + Sync + 'static,
    ) -> Result<Agent, AgentError> {
        let state_path = config.settings.state.clone();
        let mut state = State::open(&state_path)?;
        state.recheck()?;
        let databases = config.settings.databases.clone();
        let (office, configured) = (config.settings.office.as_str().into(), config.configured().into());
        let classes = config.settings.governance.clone().map(Arc::new);
        let secret = state.read(|db| fact(db, "mac_key"))?;
        let place = Place {
            state: state_path.clone(),
            keep: Keep {
                live: config.settings.retention.events,
                audit: config.settings.retention.audit,
                conflicts: config.settings.retention.conflicts,
            },
            audit: config.settings.audit.clone(),
        };
        let hash = config.hash();
        let (ledger, writer) = Ledger::start(state)?;
        match assemble(config, options, synced, with, &ledger, &state_path, secret) {
            Ok(Assembled { keepers, workers, pulls, drops, sources, handlers, tidy, pulse, lines, lookout }) => {
                let mut agent = Agent {
                    ledger,
                    writer,
                    keepers: Vec::new(),
                    healers: Vec::new(),
                    pruners: Vec::new(),
                    healing: Vec::new(),
                    workers: Vec::new(),
                    pulls: Vec::new(),
                    polls: Vec::new(),
                    handlers: Vec::new(),
                    turn: Turn::default(),
                    pruner: None,
                    databases,
                    office,
                    configured,
                    state: state_path,
                    trouble: Trouble::new(Arc::new(ended)),
                    classes,
                    life: Arc::default(),
                    pulse,
                    sources,
                    board: Board::default(),
                    alerts: Alerts::default(),
                    lookout: Arc::new(lookout),
                    lines,
                    valve: tidy.valve(),
                    alarm: None,
                    archiving: None,
                    #[cfg(feature = "ws")]
                    subscriptions: None,
                };
                started(&agent.ledger, &hash, options.run == Run::Once)?;
                agent.archiving = Some(Archiving::start(place, &agent.ledger, &agent.trouble)?);
                agent.read(pulls, options.run)?;
                agent.set_going(keepers, workers, drops, handlers, tidy, options.run)?;
                Ok(agent)
            }
            Err(error) => {
                ledger.stop();
                let _ = writer.join();
                Err(error)
            }
        }
    }

    /// Starts those that read.
    fn read(&mut self, pulls: Vec<(Arc<str>, pull::Worker)>, run: Run) -> Result<(), AgentError> {
        let turn = self.turn.clone();
        for (name, worker) in pulls {
            // What comes in is sent on in the same run.
            let first = (run == Run::Once).then(|| turn.first());
            let mailbox = worker.mailbox();
            self.polls.push((name.clone(), worker.polls()));
            let pull = self.start_worker(format!("pull/{name}"), name, mailbox, move || {
                let _first = first;
                worker.run(run)
            })?;
            self.pulls.push(pull);
        }
        Ok(())
    }

    fn set_going(
        &mut self,
        keepers: Vec<(Keeper, Reconciler)>,
        workers: Vec<(Arc<str>, Worker)>,
        drops: Vec<(Arc<str>, drop::Worker)>,
        handlers: Vec<handler::Worker>,
        tidy: Tidy,
        run: Run,
    ) -> Result<(), AgentError> {
        let turn = self.turn.clone();
        for worker in handlers {
            let (name, mailbox) = (worker.name(), worker.mailbox());
            let first = (run == Run::Once).then(|| turn.first());
            let handler = self.start_worker(name.to_string(), name, mailbox, move || {
                let _first = first;
                worker.run(run)
            })?;
            self.handlers.push(handler);
        }
        for (name, worker) in workers {
            let turn = turn.clone();
            self.spawn(format!("push/{name}"), name, worker.mailbox(), move || {
                turn.wait();
                worker.run(run)
            })?;
        }
        for (name, worker) in drops {
            self.spawn(format!("drop/{name}"), name, worker.mailbox(), move || worker.run(run))?;
        }
        let (stop, stopped) = channel();
        let trouble = self.trouble.clone();
        let pruner = std::thread::Builder::new().name("prune/intake".to_owned());
        self.pruner = Some((stop, pruner.spawn(move || tidy_up(tidy, &stopped, &trouble))?));
        let mailboxes: Vec<Mailbox> = self.all().map(|worker| worker.mailbox.clone()).collect();
        for (mut keeper, reconciler) in keepers {
            let watch = Watch::on(keeper.log().path());
            let log = keeper.log().name().to_owned();
            let (healer, tasks) = channel();
            self.healers.push((log.clone(), healer.clone()));
            self.pruners.push((log.clone(), watch.bell(), keeper.asked()));
            let (done, healed) = channel();
            let thread = std::thread::Builder::new().name(format!("heal/{log}"));
            let trouble = self.trouble.clone();
            self.healing.push(thread.spawn(move || heal(&log, reconciler, &tasks, &done, &trouble))?);
            let trouble = self.trouble.clone();
            let (bell, mailboxes) = (watch.bell(), mailboxes.clone());
            let thread = std::thread::Builder::new()
                .name(format!("keep/{}", keeper.log().name()))
                .spawn(move || keep(keeper, &watch, &mailboxes, &healer, &healed, &trouble))?;
            self.keepers.push((bell, thread));
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        thread: String,
        name: Arc<str>,
        mailbox: Mailbox,
        work: impl FnOnce() -> Summary + Send + 'static,
    ) -> Result<(), AgentError> {
        let worker = self.start_worker(thread, name, mailbox, work)?;
        self.workers.push(worker);
        Ok(())
    }

    /// Those that deliver, those that read, and those that handle.
    fn all(&self) -> impl Iterator<Item = &RunningWorker> {
        self.workers.iter().chain(&self.pulls).chain(&self.handlers)
    }

    fn start_worker(
        &self,
        thread: String,
        name: Arc<str>,
        mailbox: Mailbox,
        work: impl FnOnce() -> Summary + Send + 'static,
    ) -> Result<RunningWorker, AgentError> {
        let trouble = self.trouble.clone();
        let thread = std::thread::Builder::new().name(thread).spawn(move || {
            let summary = work();
            if summary.broken {
                trouble.meet();
            } else {
                trouble.ended();
            }
            summary
        })?;
        Ok(RunningWorker { name, mailbox, thread })
    }

    /// Follows the event sources, from now until it stops. Not part of the start: a verb that delivers one record, or once,
    /// takes nothing in.
    ///
    /// # Errors
    /// The system gives no thread, or the state file cannot be read.
    pub fn subscribe(&mut self) -> Result<(), AgentError> {
        #[cfg(feature = "ws")]
        if !self.sources.is_empty() {
            let intake = self.handle().intake();
            let sources = std::mem::take(&mut self.sources);
            self.subscriptions = Some(Subscriptions::start(sources, &intake, &self.ledger, &self.board)?);
        }
        Ok(())
    }

    /// Looks from now on for what needs a person, and tells the channels of the configuration. Not part of the start either.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn watch(&mut self) -> Result<(), AgentError> {
        self.alarm = Some(Alarm::start(self.handle(), std::mem::take(&mut self.lines))?);
        Ok(())
    }

    /// A handle to it.
    pub fn handle(&self) -> Handle {
        Handle {
            ledger: self.ledger.clone(),
            workers: self.workers.iter().map(|worker| (worker.name.clone(), worker.mailbox.clone())).collect(),
            pulls: self.pulls.iter().map(|worker| (worker.name.clone(), worker.mailbox.clone())).collect(),
            polls: self.polls.clone(),
            handlers: self.handlers.iter().map(|worker| (worker.name.clone(), worker.mailbox.clone())).collect(),
            keepers: self.keepers.iter().map(|(bell, _)| bell.clone()).collect(),
            healers: self.healers.clone(),
            pruners: self.pruners.clone(),
            databases: self.databases.clone(),
            office: self.office.clone(),
            configured: self.configured.clone(),
            state: self.state.clone(),
            trouble: self.trouble.clone(),
            classes: self.classes.clone(),
            life: self.life.clone(),
            pulse: self.pulse.clone(),
            board: self.board.clone(),
            alerts: self.alerts.clone(),
            lookout: self.lookout.clone(),
            valve: self.valve.clone(),
        }
    }

    /// Whether a sync has failed: the process must end, and write nothing to the databases before.
    pub fn is_broken(&self) -> bool {
        self.trouble.is_met()
    }

    /// Whether a worker has ended by itself.
    pub fn has_ended_worker(&self) -> bool {
        self.trouble.has_ended() || self.all().any(|worker| worker.thread.is_finished())
    }

    /// How many work: connectors, drops and handlers.
    pub fn workers(&self) -> usize {
        self.all().count()
    }

    /// Whether another agent has taken a log: the workers have stopped then.
    pub fn has_lost(&self) -> bool {
        self.trouble.is_lost()
    }

    /// Waits until every worker has ended by itself (a run of once), then stops the rest.
    pub fn finish(self) -> Vec<(Arc<str>, Summary)> {
        self.end(None)
    }

    /// Stops: finishes what is in flight within its limit, commits, ends.
    pub fn stop(mut self) -> Vec<(Arc<str>, Summary)> {
        self.alarm.take().into_iter().for_each(Alarm::stop);
        #[cfg(feature = "ws")]
        self.subscriptions.take().into_iter().for_each(Subscriptions::stop);
        self.all().for_each(|worker| worker.mailbox.tell(Message::Stop));
        self.turn.end();
        self.end(Some(HANDLING))
    }

    /// `patience`: how long a handler may take to come to its end; none = as long as it takes.
    fn end(mut self, patience: Option<Duration>) -> Vec<(Arc<str>, Summary)> {
        let mut summaries: Vec<(Arc<str>, Summary)> = self
            .workers
            .into_iter()
            .chain(std::mem::take(&mut self.pulls))
            .map(|worker| {
                let summary = worker.thread.join().unwrap_or_else(|_| {
                    log::error!(connector:% = worker.name; "{}: its worker broke down", worker.name);
                    Summary { broken: true, ..Summary::default() }
                });
                (worker.name, summary)
            })
            .collect();
        summaries.extend(handled(std::mem::take(&mut self.handlers), patience));
        if let Some((stop, pruner)) = self.pruner.take() {
            drop(stop);
            let _ = pruner.join();
        }
        if self.trouble.is_met() {
            // The end is where the databases would be tidied and closed, and synced once more.
            summaries.push(("disk".into(), Summary { broken: true, ..Summary::default() }));
            return summaries;
        }
        for (_, healer) in &self.healers {
            let _ = healer.send(Task::Stop);
        }
        // The shadow comes to its end if that is soon; a reconcile that takes its time goes on at the next start.
        let until = clock::steady().plus(HEALING);
        while self.healing.iter().any(|thread| !thread.is_finished()) && clock::steady() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        for (bell, thread) in self.keepers {
            bell.stop();
            if let Ok(mut keeper) = thread.join()
                && !self.trouble.is_met()
                && let Err(error) = keeper.tidy()
            {
                let name = keeper.log().name();
                log::warn!(log:% = name; "{name}: {error}");
                if error.is_broken() {
                    self.trouble.meet();
                }
            }
        }
        if self.trouble.is_met() {
            summaries.push(("disk".into(), Summary { broken: true, ..Summary::default() }));
            return summaries;
        }
        // The end of the audit is signed, so that nobody can cut it off unseen.
        if let Err(error) = ended(&self.ledger) {
            log::warn!("{error}");
        }
        self.archiving.into_iter().for_each(Archiving::stop);
        self.ledger.stop();
        let _ = self.writer.join();
        summaries
    }
}

/// What came of the handlers. One that does not come back is left alone: its code is not ours to end. What it was handling
/// is not stored, and comes again at the next start.
fn handled(handlers: Vec<RunningWorker>, patience: Option<Duration>) -> Vec<(Arc<str>, Summary)> {
    let until = patience.map(|patience| clock::steady().plus(patience));
    let mut summaries = Vec::new();
    for RunningWorker { name, thread, .. } in handlers {
        while !thread.is_finished() && until.is_none_or(|until| clock::steady() < until) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            let summary = thread.join().unwrap_or_else(|_| {
                log::error!("{name}: its worker broke down");
                Summary { broken: true, ..Summary::default() }
            });
            summaries.push((name, summary));
        } else {
            log::error!("{name}: still handles an event, and is left alone; the event comes again at the next start");
        }
    }
    summaries
}
