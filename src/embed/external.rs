//! `ExternalSync`: one record, delivered now.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::{Error, Status, whole};
use crate::config::{self, Config};
use crate::daemon::agent::{Agent, AgentError, Options};
use crate::daemon::api::KNOWN;
use crate::daemon::client::{self, ClientError, segment};
use crate::engine::push::Run;
use crate::rules::nearest::hint;
use crate::store::state::{StateError, holder};

/// Delivers single records on demand: `hms-sync sync SYSTEM TYPE ID` as a call.
///
/// It runs nothing between calls, and works beside an agent: where one has the state file (`hms-sync run`, or an
/// [`Agent`](crate::Agent) of this or another process) it asks that one, through its socket; else it takes the lock for as
/// long as the call takes.
///
/// ```no_run
/// let sync = hms_sync::ExternalSync::open("sync-config.yml")?; // same files as the CLI
/// let status = sync.sync("PublicHearingScheduler", "hearing_schedule", 123)?;
/// assert_eq!(status, hms_sync::Status::Success);
/// # Ok::<(), hms_sync::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExternalSync {
    path: PathBuf,
}

impl ExternalSync {
    /// Checks the configuration: a folder with `sync.yaml` and `connectors/`, that `sync.yaml`, or one file that holds everything. It is read again at each call, so that a
    /// change of it counts; nothing else is opened yet.
    ///
    /// # Errors
    /// [`Error::Config`] with everything that is wrong with it.
    pub fn open(config: impl AsRef<Path>) -> Result<ExternalSync, Error> {
        let path = whole(config.as_ref());
        config::load(&path)?;
        Ok(ExternalSync { path })
    }

    /// Delivers one record as it is now by one connector, and waits for what comes of it, at most a minute. `record_id` is the
    /// record's key; of several columns the values joined by commas, or JSON. A record that is gone is deleted at the target.
    ///
    /// [`Status::Success`]: the target has it. [`Status::Failed`]: it has not, and why; what can be tried again is, by the
    /// next run of an agent.
    ///
    /// # Errors
    /// [`Error::UnknownConnector`], or no agent could be asked or started.
    pub fn sync(&self, system: &str, record_type: &str, record_id: impl Display) -> Result<Status, Error> {
        Ok(deliver(config::load(&self.path)?, system, record_type, &record_id.to_string(), false)?)
    }
}

/// Delivers one record now; `known`: it was there once, and is deleted at the target when it is gone.
pub(crate) fn deliver(config: Config, system: &str, kind: &str, id: &str, known: bool) -> Result<Status, Undone> {
    let names = || config.connectors.iter().map(|spec| &*spec.name);
    if !names().any(|name| name == system) {
        return Err(Undone::Unknown { name: system.to_owned(), hint: hint(system, names()) });
    }
    let state = config.settings.state.clone();
    // An agent may start in between: asked once more, it is clear which.
    match ask(&state, system, kind, id, known)? {
        Some(status) => Ok(status),
        None => match alone(config, system, kind, id, known) {
            Err(Undone::Agent(AgentError::State(error @ StateError::Held { .. }))) => {
                ask(&state, system, kind, id, known)?.ok_or(Undone::Agent(AgentError::State(error)))
            }
            status => status,
        },
    }
}

/// Through the agent that runs; none = none does.
fn ask(state: &Path, system: &str, kind: &str, id: &str, known: bool) -> Result<Option<Status>, Undone> {
    let Some(holder) = holder(state) else { return Ok(None) };
    let socket = holder.socket.ok_or(Undone::Silent(holder.process))?;
    let mut path = format!("/sync/{}/{}/{}", segment(system), segment(kind), segment(id));
    if known {
        path = format!("{path}?{KNOWN}");
    }
    client::post(&socket, &path, Vec::new()).map(Some).map_err(Undone::Client)
}

/// With an agent of one connector.
fn alone(mut config: Config, system: &str, kind: &str, id: &str, known: bool) -> Result<Status, Undone> {
    config.connectors.retain(|spec| *spec.name == *system);
    config.drops.clear();
    let agent = Agent::start(config, Options { run: Run::Forever, take_over: false }, || {})?;
    let status = agent.handle().sync_record(system, kind, id, known);
    let broken = agent.stop().iter().any(|(_, summary)| summary.broken);
    if broken { Err(Undone::Broken) } else { Ok(status) }
}

/// Why a record could not even be tried, with all that the command line's exit code is made of.
#[derive(Debug)]
pub(crate) enum Undone {
    /// No connector has this name.
    Unknown { name: String, hint: String },
    /// This process holds the state file and does not listen.
    Silent(String),
    /// The agent that runs did not do it.
    Client(ClientError),
    /// None could be started.
    Agent(AgentError),
    /// A sync has failed.
    Broken,
}

impl From<AgentError> for Undone {
    fn from(error: AgentError) -> Undone {
        Undone::Agent(error)
    }
}

impl From<Undone> for Error {
    fn from(undone: Undone) -> Error {
        match undone {
            Undone::Unknown { name, hint } => Error::UnknownConnector { name, hint },
            Undone::Silent(process) => {
                let text = format!("process {process} holds the state file and does not listen (yet): try again");
                Error::Unreachable(text)
            }
            Undone::Client(error) => Error::Unreachable(error.to_string()),
            Undone::Agent(error) => error.into(),
            Undone::Broken => Error::Disk,
        }
    }
}
