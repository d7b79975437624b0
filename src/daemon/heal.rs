//! The thread that keeps the shadow of one log and reconciles its tables. It may take its time; nobody waits for it.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::daemon::trouble::Trouble;
use crate::engine::keeper::Heal;
use crate::engine::reconcile::{ReconcileError, Reconciler};
use crate::store::state::log::Debt;

/// What the thread is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Tables may have changed unseen, or the file is another.
    Heal(Heal),
    /// A person wants a table reconciled.
    Reconcile {
        /// Which.
        table: String,
        /// Also when very many of its records are gone.
        force: bool,
    },
    /// The log has grown and is quiet now.
    CatchUp,
    /// The agent stops.
    Stop,
}

/// Every table is reconciled so often, whatever was or was not noticed.
const WEEKLY: Duration = Duration::from_secs(7 * 86_400);

/// Takes new tables into the shadow, then does what it is told until it is stopped, or a sync has failed.
pub fn heal(name: &str, mut reconciler: Reconciler, tasks: &Receiver<Task>, trouble: &Trouble) {
    let mut done = told(name, reconciler.fill()).map(drop);
    loop {
        if let Err(broken) = done {
            log::error!("{name}: {broken}");
            trouble.meet();
            return;
        }
        let task = tasks.recv_timeout(WEEKLY);
        if trouble.is_met() {
            return;
        }
        done = match task {
            Ok(Task::Heal(heal)) => do_heal(name, &mut reconciler, &heal),
            Ok(Task::Reconcile { table, force }) => reconcile(name, &mut reconciler, &table, force).map(drop),
            Ok(Task::CatchUp) => told(name, reconciler.fill().and_then(|()| reconciler.catch_up())).map(drop),
            Err(RecvTimeoutError::Timeout) => {
                let tables = reconciler.tables().unwrap_or_default();
                do_heal(name, &mut reconciler, &Heal { tables, anew: false })
            }
            // What was told up to the end is known at the next start, whatever happens to the file in between.
            Ok(Task::Stop) => {
                let _ = told(name, reconciler.catch_up());
                return;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
    }
}

/// Reconciles what needs it, one table after the other.
///
/// # Errors
/// A sync has failed. Everything else is logged, and the next table is tried.
pub fn do_heal(name: &str, reconciler: &mut Reconciler, heal: &Heal) -> Result<(), ReconcileError> {
    let owed = told(name, reconciler.debts())?.unwrap_or_default();
    let anew = if heal.anew { told(name, reconciler.begin_anew())?.is_some() } else { false };
    let mut done = BTreeSet::new();
    for table in &heal.tables {
        if reconcile(name, reconciler, table, false)? {
            done.insert(table.as_str());
        }
    }
    let all = told(name, reconciler.tables())?.is_some_and(|all| all.iter().all(|table| done.contains(&**table)));
    for (debt, number) in &owed {
        let paid = match debt {
            Debt::All => all,
            Debt::Anew => anew,
            Debt::Table(table) => done.contains(&**table),
        };
        if paid {
            told(name, reconciler.pay(debt, *number))?;
        }
    }
    Ok(())
}

/// True when it was done.
fn reconcile(name: &str, reconciler: &mut Reconciler, table: &str, force: bool) -> Result<bool, ReconcileError> {
    match reconciler.reconcile(table, force) {
        Ok(report) => log::warn!(
            "{name}: {table} is reconciled: {} records compared, {} sent again, {} deletes sent",
            report.compared,
            report.images,
            report.deletes
        ),
        Err(broken) if broken.is_broken() => return Err(broken),
        Err(error) => {
            log::error!("{name}: {table} is not reconciled: {error}");
            return Ok(false);
        }
    }
    Ok(true)
}

/// Logs what has failed (then none), and passes on what ends the agent.
fn told<T>(name: &str, result: Result<T, ReconcileError>) -> Result<Option<T>, ReconcileError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(broken) if broken.is_broken() => Err(broken),
        Err(error) => {
            log::error!("{name}: {error}");
            Ok(None)
        }
    }
}
