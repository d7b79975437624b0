//! Pruning by hand, through the running agent or, when none runs, under the lock of the state file.

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::clock;
use crate::config::Config;
use crate::daemon::agent::{AgentError, register};
use crate::daemon::assemble::keep_of;
use crate::daemon::handle::Handle;
use crate::engine::keeper::{Keeper, Pruned};
use crate::engine::ledger::{Ledger, LedgerError};
use crate::engine::operate::{Actor, Refused, Report};
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::act::{self, Act};
use crate::store::state::{ConnectorId, State, StateReader, connector};

/// A keeper that is busy answers within so long.
const PATIENCE: Duration = Duration::from_secs(90);

impl Handle {
    /// Has every keeper prune, or count what it would prune, and waits for them.
    ///
    /// # Errors
    /// The state file does not take the note of who did it.
    pub fn prune(&self, dry: bool, actor: &Actor) -> Result<Report, LedgerError> {
        let mut answers = Vec::new();
        for (log, bell, asked) in &self.pruners {
            let (answer, answered) = channel();
            asked.ask(dry, answer);
            bell.ask();
            answers.push((log.clone(), answered));
        }
        let heard = answers.into_iter().map(|(log, answered)| {
            let none = |_| Err("its keeper did not get to it; try again".to_owned());
            (log, answered.recv_timeout(PATIENCE).unwrap_or_else(none))
        });
        report(heard.collect(), dry, actor, self.ledger())
    }
}

/// Prunes where no agent runs.
///
/// # Errors
/// Another agent holds the state file, or a file cannot be used.
pub fn alone(config: &Config, dry: bool, actor: &Actor) -> Result<Report, AgentError> {
    // A connector that has never run keeps what it is to begin with.
    register(config)?;
    let settings = &config.settings;
    let (ledger, writer) = Ledger::start(State::open(&settings.state)?)?;
    let pruned = each(config, dry, &ledger).and_then(|heard| Ok(report(heard, dry, actor, &ledger)?));
    ledger.stop();
    let _ = writer.join();
    pruned
}

fn each(config: &Config, dry: bool, ledger: &Ledger) -> Result<Vec<(String, Pruned)>, AgentError> {
    let settings = &config.settings;
    let keep = keep_of(&settings.retention, settings.capture.cap);
    let mut reader = StateReader::open(&settings.state)?;
    let known = reader.read(connector::all)?;
    let is_configured = |name: &str| config.connectors.iter().chain(&config.drops).any(|spec| *spec.name == *name);
    let ids: Vec<ConnectorId> = known.iter().filter(|known| is_configured(&known.name)).map(|known| known.id).collect();
    let mut heard = Vec::new();
    for database in &settings.databases {
        let mut log = CapturedLog::open(&database.name, &database.path, Access::Write)?;
        if !log.installed()? {
            continue;
        }
        log.sync_wal()?;
        let mut keeper = Keeper::open(log, &[], false, ledger.clone(), StateReader::open(&settings.state)?, keep)?;
        keeper.set_connectors(ids.clone());
        keeper.look()?;
        heard.push((database.name.clone(), keeper.prune(dry).map_err(|error| error.to_string())));
    }
    Ok(heard)
}

fn report(heard: Vec<(String, Pruned)>, dry: bool, actor: &Actor, ledger: &Ledger) -> Result<Report, LedgerError> {
    let mut report = Report::default();
    for (log, pruned) in heard {
        match pruned {
            Ok(events) if dry => report.done.push(format!("{log}: {events} events would go")),
            Ok(events) => report.done.push(format!("{log}: {events} events pruned")),
            Err(why) => report.refused.push(Refused { subject: log, why }),
        }
    }
    if !dry {
        let (actor, subject) = (actor.clone(), report.done.join(", "));
        ledger.call(move |state| {
            state.commit(|db| {
                let (subject, reason) = (Some(subject.as_str()), actor.reason.as_deref());
                let act = Act { actor: &actor.name, verb: "prune", connector: None, subject, reason };
                act::record(db, &act, clock::now())
            })
        })?;
    }
    Ok(report)
}
