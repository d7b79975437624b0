//! What an agent is made of, from its configuration: logs, keepers, workers, event sources.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use crate::config::alerts::Way;
use crate::config::build;
use crate::config::channels::channels;
use crate::config::hook::HookWay;
use crate::config::lookout::lookout;
use crate::config::retention::Retention;
use crate::config::watch::{CaptureMode, Watch as WatchConfig};
use crate::config::{Config, ConnectorSpec, Settings, from_canonical};
use crate::daemon::agent::{AgentError, Options};
use crate::daemon::heal::do_heal;
use crate::daemon::notify;
use crate::daemon::trouble::Trouble;
use crate::engine::alarm::Line;
use crate::engine::begin;
use crate::engine::connector::Connector;
use crate::engine::drop;
use crate::engine::handler;
use crate::engine::inflow::Inflow;
use crate::engine::intake::Tidy;
use crate::engine::keeper::{Keep, Keeper};
use crate::engine::ledger::Ledger;
use crate::engine::lookout::Lookout;
use crate::engine::pull::{self, PullError};
use crate::engine::push::{Beat, Mailbox, Parts, Reading, Rebuild, Run, Synced, Worker, WorkerError};
use crate::engine::reconcile::Reconciler;
use crate::engine::source::{Intake, Sources};
use crate::store::capture::{Access, CaptureError, CapturedLog, Depth, WatchSpec};
use crate::store::state::{LogId, StateError, StateReader, log as logs};

/// What an agent is made of.
pub(super) struct Assembled {
    pub(super) keepers: Vec<(Keeper, Reconciler)>,
    pub(super) workers: Vec<(Arc<str>, Worker)>,
    pub(super) pulls: Vec<(Arc<str>, pull::Worker)>,
    pub(super) drops: Vec<(Arc<str>, drop::Worker)>,
    pub(super) sources: Vec<Inflow>,
    /// The sign of life of the state file's writer.
    pub(super) pulse: Option<Beat>,
    pub(super) handlers: Vec<handler::Worker>,
    pub(super) tidy: Tidy,
    pub(super) lines: Vec<Line>,
    pub(super) lookout: Lookout,
}

/// Makes the handlers, given what they can push to.
pub type WithHandlers = Box<dyn FnOnce(handler::Desk) -> Vec<handler::Spec>>;

/// Opens the logs and makes who works on them: keepers, connectors, drops and event sources. Starts none of them.
pub(super) fn assemble(
    config: Config,
    options: Options,
    synced: Option<Synced>,
    with: WithHandlers,
    ledger: &Ledger,
    state: &Path,
    secret: [u8; 32],
) -> Result<Assembled, AgentError> {
    let mut lookout = lookout(&config);
    let settings = Arc::new(config.settings);
    let retention = &settings.retention;
    let keep = keep_of(retention, settings.capture.cap);
    let mut keepers: Vec<Keeper> = Vec::new();
    for database in &settings.databases {
        let log = CapturedLog::open(&database.name, &database.path, Access::Write)?;
        let reader = StateReader::open(state)?;
        let watch = watch_specs(&settings, &database.name);
        let mut keeper = Keeper::open(log, &watch, options.take_over, ledger.clone(), reader, keep)?;
        keeper.look()?;
        keepers.push(keeper);
    }
    let intake = ledger.call(|state| state.commit(|db| logs::remember(db, logs::INTAKE)))?;
    let credentials = Arc::new(build::credentials(&settings)?);
    for (name, credential) in credentials.iter() {
        let (name, ledger) = (name.clone(), ledger.clone());
        credential.tell(move |renewed| begin::renewed(&ledger, &name, renewed));
    }
    begin::credentials(ledger, used(&config.connectors, &settings))?;
    let inflows = build::sources(&settings, &credentials)?;
    let lines = channels(&settings, &credentials)?;
    let rebuild: Rebuild = {
        let (settings, credentials) = (settings.clone(), credentials.clone());
        Arc::new(move |text| {
            let spec = from_canonical(text).ok()?;
            build::connector(spec, &settings, &credentials, secret).ok()
        })
    };
    let (mut workers, mut pulls) = (Vec::new(), Vec::new());
    let mut ids = Vec::new();
    let mut reach = handler::Outlets::new();
    // One for each connector, and one for the writer of the state file, which an agent with drops alone has too.
    let sending = config.connectors.iter().filter(|spec| spec.strategy.pushes()).count();
    let beats = if options.run == Run::Forever { notify::beats(sending + 1) } else { Vec::new() };
    let mut beats = beats.into_iter();
    let pulse = beats.next().flatten();
    for spec in config.connectors {
        let mut reads = None;
        if let Some(inlet) = build::inlet(&spec, &settings, &credentials, &config.conflicts)? {
            let name = spec.name.clone();
            let reading = puller(inlet, &settings, ledger, state)
                .map_err(|error| AgentError::Pull { connector: name.to_string(), error: Box::new(error) })?;
            reads = spec.strategy.pushes().then(|| Reading {
                kind: reading.kind(),
                table: reading.table(),
                columns: reading.columns(),
                reader: reading.mailbox(),
                turnstile: reading.turnstile(),
            });
            pulls.push((name, reading));
        }
        if !spec.strategy.pushes() {
            continue;
        }
        let connector = build::connector(spec, &settings, &credentials, secret)?;
        let beat = beats.next().flatten();
        let name = connector.name.clone();
        reach.insert(name.clone(), Some(connector.adapter.clone()));
        lookout.will_see(&name, connector.adapter.clone());
        let worker =
            worker(connector, &settings, &keepers, intake, ledger, state, rebuild.clone(), beat, synced, reads)
                .map_err(|error| AgentError::Worker { connector: name.to_string(), error: Box::new(error) })??;
        ids.push(worker.id());
        if let Some((_, reading)) = pulls.iter_mut().find(|(reads, _)| *reads == name) {
            reading.tell_of_news(worker.mailbox());
        }
        workers.push((name, worker));
    }
    let again: drop::Rebuild = {
        let settings = settings.clone();
        Arc::new(move |text| build::drop(from_canonical(text).ok()?, &settings, secret).ok())
    };
    let mut drops = Vec::new();
    for spec in config.drops {
        let drop = Arc::new(build::drop(spec, &settings, secret)?);
        let name = drop.subscription.name.clone();
        reach.insert(name.clone(), None);
        let sources = sources(&settings, &keepers, intake, state)??;
        let (ledger, reader) = (ledger.clone(), StateReader::open(state)?);
        let worker =
            drop::Worker::new(drop::Parts { drop, sources, ledger, reader, folder: None, rebuild: again.clone() })
                .map_err(|error| AgentError::Drop { drop: name.to_string(), error: Box::new(error) })?;
        ids.push(worker.id());
        drops.push((name, worker));
    }
    let mailboxes: Vec<Mailbox> = workers.iter().map(|(_, worker)| worker.mailbox()).collect();
    let mut handlers = Vec::new();
    for spec in with(handler::Desk::new(reach)) {
        let name = format!("{}{}", handler::PREFIX, spec.name);
        let sources = sources(&settings, &keepers, intake, state)??;
        let (ledger, reader, workers) = (ledger.clone(), StateReader::open(state)?, mailboxes.clone());
        let worker = handler::Worker::new(handler::Parts { spec, sources, ledger, reader, workers })
            .map_err(|error| AgentError::Worker { connector: name, error: Box::new(error) })?;
        ids.push(worker.id());
        handlers.push(worker);
    }
    let tidy = Tidy::new(intake, ledger.clone(), StateReader::open(state)?, keep, ids.clone());
    let mut kept = Vec::new();
    for (database, mut keeper) in settings.databases.iter().zip(keepers) {
        keeper.set_connectors(ids.clone());
        let mut reconciler = Reconciler::open(&database.name, &database.path, state)?;
        if options.run == Run::Once {
            // What the one run is to deliver must be in the log before it begins.
            reconciler.fill()?;
            let (done, healed) = channel();
            do_heal(&database.name, &mut reconciler, &mut keeper.take_heal(), &done, &Trouble::new(Arc::new(|| {})))?;
            healed.try_iter().try_for_each(|done| keeper.healed(&done))?;
            reconciler.catch_up()?;
        }
        kept.push((keeper, reconciler));
    }
    Ok(Assembled { keepers: kept, workers, pulls, drops, sources: inflows, handlers, tidy, pulse, lines, lookout })
}

/// Who reads for a connector, with connections of its own to the database that has the table.
fn puller(inlet: pull::Inlet, settings: &Settings, ledger: &Ledger, state: &Path) -> Result<pull::Worker, PullError> {
    let mut refused = None;
    for database in &settings.databases {
        let mut log = CapturedLog::open(&database.name, &database.path, Access::Write)?;
        match log.kind_of(&inlet.table) {
            Ok(_) => {
                let parts = pull::Parts { inlet, log, ledger: ledger.clone(), reader: StateReader::open(state)? };
                return pull::Worker::new(parts);
            }
            Err(error) => refused = Some(error),
        }
    }
    let reason = "is in no database of the configuration: say where it is with `database:`".to_owned();
    Err(refused.unwrap_or(CaptureError::Refused { table: inlet.table.to_string(), reason }).into())
}

/// Who uses which credential.
fn used(connectors: &[ConnectorSpec], settings: &Settings) -> Vec<(String, String)> {
    let mut used = Vec::new();
    let mut uses = |who: String, credential: Option<&String>| {
        used.extend(credential.map(|credential| (who, credential.clone())));
    };
    for spec in connectors {
        if let Some(endpoint) = spec.endpoint() {
            let login = endpoint.proxy.as_ref().and_then(|proxy| proxy.login.as_ref());
            uses(spec.name.to_string(), endpoint.credential.as_ref());
            uses(format!("the proxy of {}", spec.name), login);
        }
        if let Some(HookWay::Url { credential, .. }) = spec.hook.as_ref().map(|hook| &hook.way) {
            uses(format!("the hook of {}", spec.name), credential.as_ref());
        }
    }
    for source in &settings.events {
        uses(format!("event source {}", source.name), source.credential.as_ref());
        uses(format!("the proxy of {}", source.name), source.proxy.as_ref().and_then(|proxy| proxy.login.as_ref()));
    }
    for alert in &settings.alerts {
        if let Way::Webhook { credential, .. } | Way::Email { credential, .. } = &alert.way {
            uses(format!("channel {}", alert.name), credential.as_ref());
        }
    }
    used
}

#[allow(clippy::too_many_arguments)]
fn worker(
    connector: Connector,
    settings: &Settings,
    keepers: &[Keeper],
    intake: LogId,
    ledger: &Ledger,
    state: &Path,
    rebuild: Rebuild,
    beat: Option<Beat>,
    synced: Option<Synced>,
    reading: Option<Reading>,
) -> Result<Result<Worker, CaptureError>, WorkerError> {
    let sources = match sources(settings, keepers, intake, state)? {
        Ok(sources) => sources,
        Err(error) => return Ok(Err(error)),
    };
    let reader = StateReader::open(state)?;
    Worker::new(Parts {
        connector: Arc::new(connector),
        sources,
        ledger: ledger.clone(),
        reader,
        rebuild,
        beat,
        synced,
        reading,
    })
    .map(Ok)
}

/// Every log, through connections of one worker's own.
fn sources(
    settings: &Settings,
    keepers: &[Keeper],
    intake: LogId,
    state: &Path,
) -> Result<Result<Sources, CaptureError>, StateError> {
    let mut sources: Sources = Vec::new();
    for (database, keeper) in settings.databases.iter().zip(keepers) {
        match CapturedLog::open(&database.name, &database.path, Access::Read) {
            Ok(log) => sources.push((keeper.id(), Box::new(log))),
            Err(error) => return Ok(Err(error)),
        }
    }
    sources.push((intake, Box::new(Intake::new(StateReader::open(state)?))));
    Ok(Ok(sources))
}

/// How long things are kept.
pub(super) fn keep_of(retention: &Retention, cap_bytes: u64) -> Keep {
    let Retention { events, max_rows, max_bytes, .. } = *retention;
    Keep { events, max_rows, max_bytes, cap_bytes }
}

/// What the configuration wants watched in one database.
pub fn watch_specs(settings: &Settings, database: &str) -> Vec<WatchSpec> {
    let only = settings.databases.len() == 1;
    let here = |watch: &&WatchConfig| watch.database.as_deref().map_or(only, |name| name == database);
    settings.watch.iter().filter(here).map(watch_spec).collect()
}

/// One table of the configuration as capture takes it.
pub fn watch_spec(watch: &WatchConfig) -> WatchSpec {
    WatchSpec {
        table: watch.table.clone(),
        kind: Some(watch.kind.clone()).filter(|kind| *kind != watch.table),
        key: watch.key.clone(),
        columns: watch.columns.clone(),
        exclude: watch.exclude.clone(),
        capture: match watch.capture {
            CaptureMode::Full => Depth::Full,
            CaptureMode::Key => Depth::Key,
        },
    }
}
