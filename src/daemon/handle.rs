//! A handle to the running agent: what the API, and verbs without an agent of their own, may ask of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::clock;
use crate::config::watch::Database;
use crate::daemon::alarm::Alerts;
use crate::daemon::board::Board;
use crate::daemon::heal::{Task, Told};
use crate::daemon::trouble::Trouble;
use crate::daemon::wake::Bell;
use crate::engine::alarm::AlertStatus;
use crate::engine::inflow::InflowStatus;
use crate::engine::intake::{Intake, Valve};
use crate::engine::keeper::Asked;
use crate::engine::ledger::{Ledger, LedgerError};
use crate::engine::lookout::Lookout;
use crate::engine::need::Need;
use crate::engine::operate::{Actor, Operation, Refused, Report, operate};
use crate::engine::overview::{Configured, Overview, Parts, overview};
use crate::engine::pull::Polls;
use crate::engine::push::{Beat, Mailbox, Message};
use crate::engine::single::{Status, answer, ask, is_known, parse_key};
use crate::rules::governance::{Classes, Gate};
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::{StateError, StateReader, holder, log as logs};

/// How long one record may take before the answer is that it did not get through yet.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked whether it has.
const GLANCE: Duration = Duration::from_millis(5);

/// A handle to the running agent; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) ledger: Ledger,
    pub(super) workers: Vec<(Arc<str>, Mailbox)>,
    /// The connectors that read.
    pub(super) pulls: Vec<(Arc<str>, Mailbox)>,
    pub(super) polls: Vec<(Arc<str>, Polls)>,
    /// The handlers of the embedding program.
    pub(super) handlers: Vec<(Arc<str>, Mailbox)>,
    pub(super) keepers: Vec<Bell>,
    pub(super) healers: Vec<(String, Sender<Task>)>,
    pub(super) pruners: Vec<(String, Bell, Asked)>,
    pub(super) databases: Vec<Database>,
    /// What the installation is called.
    pub(super) office: Arc<str>,
    /// The connectors as they are configured.
    pub(super) configured: Arc<[Configured]>,
    pub(super) state: PathBuf,
    pub(super) trouble: Trouble,
    pub(super) board: Board,
    /// The alerts that are open.
    pub(super) alerts: Alerts,
    /// What is looked at beside the files.
    pub(super) lookout: Arc<Lookout>,
    /// Class of each column; none = nothing is classified.
    pub(super) classes: Option<Arc<Classes>>,
    /// How much may wait of what is posted.
    pub(super) valve: Valve,
    /// A sign of life of the state file's writer, when the service manager asks for any.
    pub(super) pulse: Option<Beat>,
    /// Another one after the configuration was loaded again.
    pub(super) life: Arc<()>,
}

impl Handle {
    /// The state file.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The writer of the state file.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The entrance for events from outside.
    pub fn intake(&self) -> Intake {
        let intake = Intake::new(self.ledger.clone(), self.all().map(|(_, mailbox)| mailbox.clone()));
        intake.behind(Gate::of_entrance(self.classes.as_deref())).up_to(self.valve.clone())
    }

    /// What needs a person and stands in no file: what the agent meets and lives with.
    pub fn needs(&self) -> Vec<Need> {
        let mut needs: Vec<Need> = self.ledger.refused().into_iter().collect();
        needs.extend(self.trouble.needs());
        needs.extend(self.valve.need());
        needs.extend(self.board.needs(clock::now()));
        // Who write to the same disk meet the same.
        needs.sort_by(|a, b| (&a.subject, &a.what).cmp(&(&b.subject, &b.what)));
        needs.dedup();
        needs
    }

    /// Everything at a glance, but for what stands in no file.
    ///
    /// # Errors
    /// The state file cannot be read.
    pub fn glance(&self) -> Result<Overview, StateError> {
        let state = Some(StateReader::open(&self.state)?);
        let logs = self.databases.iter().map(|database| {
            let opened = CapturedLog::open(&database.name, &database.path, Access::Read);
            (database.name.clone(), database.path.display().to_string(), opened)
        });
        let (office, configured) = (&*self.office, &*self.configured);
        let mut seen =
            overview(Parts { state, holder: holder(&self.state), logs: logs.collect(), office, configured })?;
        for (name, polls) in &self.polls {
            let known = seen.connectors.iter_mut().filter(|known| *known.connector == **name);
            known.filter_map(|known| known.pull.as_mut()).for_each(|pull| pull.poll = polls.get());
        }
        Ok(seen)
    }

    /// The alerts that are open; none = nobody looks.
    pub fn alerts(&self) -> Option<Vec<AlertStatus>> {
        self.alerts.open()
    }

    /// What is looked at beside the files.
    pub fn lookout(&self) -> &Lookout {
        &self.lookout
    }

    /// How it stands with the event sources.
    pub fn sources(&self) -> Vec<InflowStatus> {
        self.board.lines()
    }

    /// The names of the connectors that send.
    pub fn connectors(&self) -> impl Iterator<Item = &str> {
        self.workers.iter().map(|(name, _)| &**name)
    }

    /// Whether a connector or a handler of this name runs.
    pub fn runs(&self, name: &str) -> bool {
        self.all().any(|(known, _)| **known == *name)
    }

    /// Those that deliver, those that read, and those that handle.
    pub(super) fn all(&self) -> impl Iterator<Item = &(Arc<str>, Mailbox)> {
        self.workers.iter().chain(&self.pulls).chain(&self.handlers)
    }

    /// Tells one connector something; false when no such connector runs.
    pub fn tell(&self, connector: &str, message: Message) -> bool {
        // One that sends and reads has two.
        let workers = self.all().filter(|(name, _)| &**name == connector);
        workers.map(|(_, mailbox)| mailbox.tell(message.clone())).count() > 0
    }

    /// Tells every connector and keeper to look again.
    pub fn look(&self) {
        for bell in &self.keepers {
            bell.ask();
        }
        self.all().for_each(|(_, mailbox)| mailbox.tell(Message::Wake));
    }

    /// Whether a log watches a table; none = there is no such log. A file that cannot be read now may watch anything.
    pub fn watches(&self, log: &str, table: &str) -> Option<bool> {
        let database = self.databases.iter().find(|database| database.name == log)?;
        let opened = CapturedLog::open(&database.name, &database.path, Access::Read);
        let watched = opened.and_then(|mut log| log.watched());
        Some(watched.map_or(true, |watched| watched.iter().any(|known| known.table == table)))
    }

    /// Reconciles a table in the background; false when no such log is kept. `force` = also when very many of its records
    /// are gone; `told` hears what came of it, and is dropped when the agent stops before.
    pub fn reconcile(&self, log: &str, table: &str, force: bool, told: Option<Sender<Told>>) -> bool {
        let healer = self.healers.iter().find(|(name, _)| name == log);
        healer.is_some_and(|(_, healer)| healer.send(Task::Reconcile { table: table.to_owned(), force, told }).is_ok())
    }

    /// The connectors that read, with the type of the table that each reads into.
    pub fn reading(&self) -> Vec<(String, String)> {
        let reads = |spec: &Configured| Some((spec.name.to_string(), spec.pulls.clone()?));
        self.configured.iter().filter_map(reads).collect()
    }

    /// Runs a connector now, whatever its schedule says; false when no such connector runs.
    pub fn sync(&self, connector: &str) -> bool {
        self.look();
        self.tell(connector, Message::RunNow)
    }

    /// Does what a person asks, and tells the workers.
    pub fn operate(&self, operation: Operation, actor: Actor) -> Result<Report, LedgerError> {
        if let Operation::Prune { dry_run } = operation {
            return self.prune(dry_run, &actor);
        }
        if let Operation::Meet { connector, .. } = &operation
            && !self.pulls.iter().any(|(known, _)| **known == *connector)
        {
            let why = "no connector of this name reads".to_owned();
            let refused = vec![Refused { subject: connector.clone(), why }];
            return Ok(Report { refused, ..Report::default() });
        }
        let asked = operation.clone();
        let report = self.ledger.call(move |state| operate(state, &asked, &actor))?;
        match &operation {
            Operation::Pause { connector } => drop(self.tell(connector, Message::Pause(true))),
            Operation::Resume { connector } => drop(self.tell(connector, Message::Pause(false))),
            Operation::Replay { connector, .. } => drop(self.tell(connector, Message::Rewind)),
            Operation::Drop(operation) => drop(self.tell(operation.drop(), Message::Reload)),
            _ => self.all().for_each(|(_, mailbox)| mailbox.tell(Message::Reload)),
        }
        Ok(report)
    }

    /// Delivers one record now and waits for what comes of it. A record that is gone is deleted at the target when
    /// anything is known of it here, or the caller knows (`known`) that it was there; else nothing is written.
    pub fn sync_record(&self, system: &str, kind: &str, id: &str, known: bool) -> Status {
        self.try_sync_record(system, kind, id, known).unwrap_or_else(Status::failed)
    }

    fn try_sync_record(&self, system: &str, kind: &str, id: &str, known: bool) -> Result<Status, String> {
        if !self.connectors().any(|name| name == system) {
            let known = self.connectors().collect::<Vec<_>>().join(", ");
            return Err(format!("no connector `{system}`; there are {known}"));
        }
        let mut types = Vec::new();
        for database in &self.databases {
            let mut log =
                CapturedLog::open(&database.name, &database.path, Access::Write).map_err(|error| error.to_string())?;
            for watched in log.watched().map_err(|error| error.to_string())? {
                if &*watched.kind != kind && !watched.table.eq_ignore_ascii_case(kind) {
                    types.push(watched.kind.to_string());
                    continue;
                }
                let key = parse_key(id, &watched.key)?;
                let mut state = StateReader::open(&self.state).map_err(|error| error.to_string())?;
                if !known && !is_known(&mut log, &mut state, &watched.table, &key)? {
                    return Err(format!(
                        "no such record: no row of {} has this key, and none is known to have had it",
                        watched.table
                    ));
                }
                let event = ask(&mut log, &watched.table, &key, system)
                    .map_err(|error| error.to_string())?
                    .ok_or("the record's event could not be read back")?;
                // Nothing is kept open while it waits: a file that was replaced is opened only when nobody has the old one.
                drop(log);
                return self.wait_for(&mut state, system, &database.name, &event);
            }
        }
        Err(format!("no watched table has the type `{kind}`; there are {}", types.join(", ")))
    }

    fn wait_for(
        &self,
        state: &mut StateReader,
        system: &str,
        log: &str,
        event: &crate::event::Event,
    ) -> Result<Status, String> {
        let log = state
            .read(|db| logs::find(db, log))
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("the log {log} has not been read yet"))?;
        self.sync(system);
        let until = clock::steady().plus(PATIENCE);
        loop {
            if let Some(status) = answer(state, system, log, event).map_err(|error| error.to_string())? {
                return Ok(status);
            }
            if clock::steady() >= until {
                let text = format!("no answer within {} s; it is sent as soon as it can be", PATIENCE.as_secs());
                return Ok(Status::failed(text));
            }
            std::thread::sleep(GLANCE);
        }
    }
}
