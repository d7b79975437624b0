//! The thread that keeps the shadow of one log and reconciles its tables. It may take its time; nobody waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::engine::keeper::Heal;
use crate::engine::reconcile::{ReconcileError, Reconciler};

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

/// Takes new tables into the shadow, then does what it is told until it is stopped.
pub fn heal(name: &str, mut reconciler: Reconciler, tasks: &Receiver<Task>) {
    said(name, reconciler.fill());
    loop {
        match tasks.recv_timeout(WEEKLY) {
            Ok(Task::Heal(heal)) => do_heal(name, &mut reconciler, &heal),
            Ok(Task::Reconcile { table, force }) => reconcile(name, &mut reconciler, &table, force),
            Ok(Task::CatchUp) => said(name, reconciler.fill().and_then(|()| reconciler.catch_up())),
            Err(RecvTimeoutError::Timeout) => {
                let tables = reconciler.tables().unwrap_or_default();
                do_heal(name, &mut reconciler, &Heal { tables, anew: false });
            }
            // What was told up to the end is known at the next start, whatever happens to the file in between.
            Ok(Task::Stop) => return said(name, reconciler.catch_up()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Reconciles what needs it, one table after the other.
pub fn do_heal(name: &str, reconciler: &mut Reconciler, heal: &Heal) {
    if heal.anew {
        said(name, reconciler.begin_anew());
    }
    for table in &heal.tables {
        reconcile(name, reconciler, table, false);
    }
}

fn reconcile(name: &str, reconciler: &mut Reconciler, table: &str, force: bool) {
    match reconciler.reconcile(table, force) {
        Ok(report) => log::warn!(
            "{name}: {table} is reconciled: {} records compared, {} sent again, {} deletes sent",
            report.compared,
            report.images,
            report.deletes
        ),
        Err(error) => log::error!("{name}: {table} is not reconciled: {error}"),
    }
}

fn said(name: &str, result: Result<(), ReconcileError>) {
    if let Err(error) = result {
        log::error!("{name}: {error}");
    }
}
