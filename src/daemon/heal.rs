//! The thread that keeps the shadow of one log and reconciles its tables. It may take its time; nobody waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::clock;
use crate::daemon::trouble::Trouble;
use crate::engine::reconcile::{ReconcileError, Reconciler};
use crate::store::capture::{CaptureError, Heal};

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
    /// The file was replaced: the old one is closed.
    LetGo,
    /// The agent stops.
    Stop,
}

/// Every table is reconciled so often, whatever was or was not noticed.
const WEEKLY: Duration = Duration::from_secs(7 * 86_400);
/// What could not be done (the application kept its file locked) is tried again after so long.
const AGAIN: Duration = Duration::from_secs(30);

/// Takes new tables into the shadow, then does what it is told until it is stopped or a sync has failed, and says what it
/// has `done`.
pub fn heal(name: &str, mut reconciler: Reconciler, tasks: &Receiver<Task>, done: &Sender<Heal>, trouble: &Trouble) {
    let mut left = Heal::default();
    let mut weekly = clock::steady().plus(WEEKLY);
    let mut came = told(name, reconciler.fill()).map(drop);
    loop {
        if let Err(broken) = came {
            log::error!("{name}: {broken}");
            trouble.meet();
            return;
        }
        let patience = weekly.since(clock::steady());
        let task = tasks.recv_timeout(if left.is_empty() { patience } else { patience.min(AGAIN) });
        if trouble.is_met() {
            return;
        }
        came = match task {
            Ok(Task::Heal(heal)) => {
                left.anew |= heal.anew;
                left.told = left.told.max(heal.told);
                heal.tables.iter().for_each(|table| left.add(table));
                do_heal(name, &mut reconciler, &mut left, done)
            }
            Ok(Task::Reconcile { table, force }) => reconcile(name, &mut reconciler, &table, force).map(|came| {
                if came == Came::Done {
                    let _ = done.send(Heal { tables: vec![table], ..Heal::default() });
                }
            }),
            Ok(Task::CatchUp) => told(name, reconciler.fill().and_then(|()| reconciler.catch_up())).map(drop),
            Ok(Task::LetGo) => told(name, reconciler.let_go()).map(drop),
            Err(RecvTimeoutError::Timeout) => {
                if weekly <= clock::steady() {
                    weekly = clock::steady().plus(WEEKLY);
                    reconciler.tables().unwrap_or_default().iter().for_each(|table| left.add(table));
                }
                do_heal(name, &mut reconciler, &mut left, done)
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

/// Reconciles what needs it, one table after the other; what is not to be tried again is taken out of `left`.
///
/// # Errors
/// A sync has failed. Everything else is logged, and the next table is tried.
pub fn do_heal(
    name: &str,
    reconciler: &mut Reconciler,
    left: &mut Heal,
    done: &Sender<Heal>,
) -> Result<(), ReconcileError> {
    if left.anew {
        // Compared with a shadow that follows another log, every difference would be a wrong one.
        if told(name, reconciler.begin_anew(left.told))?.is_none() {
            return Ok(());
        }
        (left.anew, left.told) = (false, 0);
        let _ = done.send(Heal { anew: true, ..Heal::default() });
    }
    for table in left.tables.clone() {
        let came = reconcile(name, reconciler, &table, false)?;
        if came != Came::Again {
            left.tables.retain(|other| *other != table);
        }
        if came == Came::Done {
            let _ = done.send(Heal { tables: vec![table], ..Heal::default() });
        }
    }
    Ok(())
}

/// What a reconcile came to.
#[derive(Clone, Copy, PartialEq)]
enum Came {
    /// There is nothing left to do.
    Done,
    /// A person must agree; the next start says so again.
    Asks,
    /// It is tried again.
    Again,
}

fn reconcile(name: &str, reconciler: &mut Reconciler, table: &str, force: bool) -> Result<Came, ReconcileError> {
    match reconciler.reconcile(table, force) {
        Ok(report) => log::warn!(
            "{name}: {table} is reconciled: {} records compared, {} sent again, {} deletes sent",
            report.compared,
            report.images,
            report.deletes
        ),
        Err(broken) if broken.is_broken() => return Err(broken),
        Err(error) if matches!(error.capture(), Some(CaptureError::Replaced { .. })) => return Ok(Came::Again),
        Err(error) => {
            log::error!("{name}: {table} is not reconciled: {error}");
            return Ok(match error.capture() {
                Some(CaptureError::TooManyDeletes { .. }) => Came::Asks,
                // The table is not there, or not watched: its next finding, if any, asks anew.
                Some(CaptureError::Refused { .. }) => Came::Done,
                _ => Came::Again,
            });
        }
    }
    Ok(Came::Done)
}

/// Logs what has failed (then none), and passes on what ends the agent.
fn told<T>(name: &str, result: Result<T, ReconcileError>) -> Result<Option<T>, ReconcileError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(broken) if broken.is_broken() => Err(broken),
        // The keeper says so, and opens it again.
        Err(error) if matches!(error.capture(), Some(CaptureError::Replaced { .. })) => Ok(None),
        Err(error) => {
            log::error!("{name}: {error}");
            Ok(None)
        }
    }
}
