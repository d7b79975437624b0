//! Changing verbs: through the running agent's socket, or, when none runs, under the lock of the state file.

use std::path::Path;
use std::sync::Arc;

use crate::cli::failure::{Code, Failure};
use crate::config::{Config, Settings};
use crate::daemon;
use crate::daemon::agent::{Agent, Options};
use crate::daemon::api::{Manner, Order};
use crate::daemon::client::{self, ClientError};
use crate::embed::{Undone, deliver};
use crate::engine::alarm::AlertStatus;
use crate::engine::inflow::InflowStatus;
use crate::engine::need::Need;
use crate::engine::operate::{self, Actor, Deed, Operation, operate};
use crate::engine::pull::Poll;
use crate::engine::push::{Run, Summary};
use crate::engine::single::Status;
use crate::store::shadow::Report;
use crate::store::state::{Holder, State, StateError, StateReader, connector, holder};

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let code = match &error {
            ClientError::Unreachable { .. } => Code::Unavailable,
            ClientError::Refused { status: 409, .. } => Code::Data,
            ClientError::Refused { status: 503, .. } => Code::Temporary,
            ClientError::Refused { status: 507, .. } => Code::Disk,
            ClientError::Refused { .. } => Code::Failed,
        };
        match error {
            // The same words as without an agent.
            ClientError::Refused { status: 409, detail } => Failure::new(code, detail),
            error => Failure::new(code, error.to_string()),
        }
    }
}

/// The user on whose behalf this process runs.
pub fn user() -> String {
    let named = ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// Does what a person asks with parked deliveries, cursors and modes.
pub fn order(settings: &Settings, operation: Operation, reason: Option<String>) -> Result<operate::Report, Failure> {
    let actor = Actor { name: user(), reason };
    match running(&settings.state)? {
        Some(socket) => {
            let order = Order { operation, actor };
            let body = serde_json::to_vec(&order).map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
            Ok(client::post(&socket, "/operations", body)?)
        }
        None => {
            let mut state = State::open(&settings.state)?;
            Ok(operate(&mut state, &operation, &actor)?)
        }
    }
}

/// Prunes what retention no longer keeps, or counts it.
pub fn prune(config: Config, dry_run: bool, reason: Option<String>) -> Result<operate::Report, Failure> {
    match running(&config.settings.state)? {
        Some(_) => order(&config.settings, Operation::Prune { dry_run }, reason),
        None => Ok(daemon::prune::alone(&config, dry_run, &Actor { name: user(), reason })?),
    }
}

/// Takes down what a person is about to do to an application's file. Where no state file is yet, the agent has nothing to
/// tell of it; where it cannot be taken down, that is said and not in the way.
pub fn note(settings: &Settings, deed: Deed, subject: &str, reason: Option<String>) {
    if !settings.state.exists() {
        return;
    }
    let operation = Operation::Note { deed, subject: subject.to_owned() };
    if let Err(failure) = order(settings, operation, reason) {
        log::warn!("{} of {subject} is not in the audit: {}", deed.as_str(), failure.message);
    }
}

/// The socket of the agent that runs with this state file; none = no agent runs.
pub fn running(state: &Path) -> Result<Option<std::path::PathBuf>, Failure> {
    match holder(state) {
        None => Ok(None),
        Some(holder) => holder.socket.map(Some).ok_or_else(|| {
            let text = format!(
                "{}: process {} holds the state file and does not listen (yet): try again",
                state.display(),
                holder.process
            );
            Failure::new(Code::Temporary, text)
        }),
    }
}

/// Lets the running agent reconcile a table, and does not wait for it.
pub fn reconcile(state: &Path, log: &str, table: &str) -> Result<(), Failure> {
    if let Some(socket) = running(state)? {
        let manner = serde_json::to_vec(&Manner { force: false, wait: false })?;
        let _: serde_json::Value = client::post(&socket, &path_of(log, table), manner)?;
    }
    Ok(())
}

/// Lets the running agent reconcile a table to its end; none = no agent runs. 65 when a person must agree, 75 when the
/// agent stops before.
pub fn reconciled(state: &Path, log: &str, table: &str, force: bool) -> Result<Option<Report>, Failure> {
    let Some(socket) = running(state)? else { return Ok(None) };
    let manner = serde_json::to_vec(&Manner { force, wait: true })?;
    Ok(Some(client::post(&socket, &path_of(log, table), manner)?))
}

fn path_of(log: &str, table: &str) -> String {
    format!("/logs/{}/tables/{}/reconcile", client::segment(log), client::segment(table))
}

/// What the running agent says needs a person, beside what stands in files.
pub fn needs(holder: &Holder) -> Vec<Need> {
    // It does not listen yet.
    let Some(socket) = &holder.socket else { return Vec::new() };
    client::get(socket, "/needs").unwrap_or_else(|error| {
        let what = format!("process {} holds the state file and does not answer: {error}", holder.process);
        let mend = "if this user may use its socket, restart the agent".to_owned();
        vec![Need { subject: "agent".to_owned(), what, mend }]
    })
}

/// How it stands with the event sources, as the running agent says; nothing when it does not answer.
pub fn sources(holder: &Holder) -> Vec<InflowStatus> {
    let socket = holder.socket.as_ref();
    socket.and_then(|socket| client::get(socket, "/sources").ok()).unwrap_or_default()
}

/// When connectors that read were asked last and will be next, as the running agent says; nothing when it does not answer.
pub fn polls(holder: &Holder) -> Vec<(String, Poll)> {
    #[derive(serde::Deserialize)]
    struct Told {
        connector: String,
        pull: Option<Poll>,
    }
    let socket = holder.socket.as_ref();
    let told: Vec<Told> = socket.and_then(|socket| client::get(socket, "/connectors").ok()).unwrap_or_default();
    told.into_iter().filter_map(|told| Some((told.connector, told.pull?))).collect()
}

/// The alerts that are open, as the running agent says; none when it does not answer.
pub fn alerts(holder: &Holder) -> Option<Vec<AlertStatus>> {
    client::get(holder.socket.as_ref()?, "/alerts").ok()
}

/// Runs one connector now. Through the running agent, where it only starts (none is returned); else to its end.
pub fn sync(config: Config, connector: &str) -> Result<Option<Summary>, Failure> {
    match running(&config.settings.state)? {
        Some(socket) => {
            let path = format!("/connectors/{}/sync", client::segment(connector));
            let _: serde_json::Value = client::post(&socket, &path, Vec::new())?;
            Ok(None)
        }
        None => {
            let agent = alone(config, connector, Run::Once)?;
            // One that sends and reads has two.
            let mut whole = Summary::default();
            for (_, summary) in agent.finish() {
                whole.delivered += summary.delivered;
                whole.retried += summary.retried;
                whole.broken |= summary.broken;
                whole.left_off = whole.left_off.or(summary.left_off);
            }
            Ok(Some(whole))
        }
    }
}

/// Delivers one record now. `known`: it was there once, and is deleted at the target when it is gone.
pub fn sync_record(config: Config, system: &str, kind: &str, id: &str, known: bool) -> Result<Status, Failure> {
    Ok(deliver(config, system, kind, id, known)?)
}

impl From<Undone> for Failure {
    fn from(undone: Undone) -> Failure {
        match undone {
            Undone::Unknown { name, hint } => {
                Failure::new(Code::Usage, format!("no connector `{name}` is configured{hint}"))
            }
            Undone::Silent(process) => {
                let text = format!("process {process} holds the state file and does not listen (yet): try again");
                Failure::new(Code::Temporary, text)
            }
            Undone::Client(error) => error.into(),
            Undone::Agent(error) => error.into(),
            Undone::Broken => Failure::new(Code::Disk, "a file could not be synced: look at the disk"),
        }
    }
}

/// Runs one drop to the end of what can be done now; no agent runs.
pub fn run_drop(mut config: Config, drop: &str) -> Result<Summary, Failure> {
    config.connectors.clear();
    config.drops.retain(|spec| &*spec.name == drop);
    let agent = Agent::start(config, Options { run: Run::Once, take_over: false }, || {})?;
    Ok(agent.finish().into_iter().find(|(name, _)| **name == *drop).map(|(_, summary)| summary).unwrap_or_default())
}

/// An agent with one connector only.
fn alone(mut config: Config, connector: &str, run: Run) -> Result<Agent, Failure> {
    let names: Vec<Arc<str>> = config.connectors.iter().chain(&config.drops).map(|spec| spec.name.clone()).collect();
    config.connectors.retain(|spec| &*spec.name == connector);
    config.drops.retain(|spec| &*spec.name == connector);
    if config.connectors.is_empty() && config.drops.is_empty() {
        return Err(unknown(connector, &names));
    }
    Ok(Agent::start(config, Options { run, take_over: false }, || {})?)
}

/// Refuses the name of a connector that is neither configured nor remembered.
pub fn known(config: &Config, name: Option<&str>) -> Result<(), Failure> {
    let Some(name) = name else { return Ok(()) };
    let mut names: Vec<Arc<str>> =
        config.connectors.iter().chain(&config.drops).map(|spec| spec.name.clone()).collect();
    match StateReader::open(&config.settings.state) {
        Ok(mut state) => names.extend(state.read(connector::all)?.iter().map(|known| known.name.as_str().into())),
        Err(StateError::Absent(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if names.iter().any(|known| **known == *name) { Ok(()) } else { Err(unknown(name, &names)) }
}

/// The error for a connector that is not configured.
pub fn unknown(connector: &str, names: &[Arc<str>]) -> Failure {
    let hint = crate::rules::nearest::hint(connector, names.iter().map(|name| &**name));
    Failure::new(Code::Usage, format!("no connector `{connector}` is configured{hint}"))
}
