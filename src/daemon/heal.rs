//! The thread that keeps the shadow of one log and reconciles its tables. It may take its time; nobody waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

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
    /// The agent stops.
    Stop,
}

/// Every table is reconciled so often, whatever was or was not noticed.
const WEEKLY: Duration = Duration::from_secs(7 * 86_400);
/// What could not be done (the application kept its file locked) is tried again after so long.
const AGAIN: Duration = Duration::from_secs(30);

/// Takes new tables into the shadow, then does what it is told until it is stopped, and says what it has `done`.
pub fn heal(name: &str, mut reconciler: Reconciler, tasks: &Receiver<Task>, done: &Sender<Heal>) {
    said(name, reconciler.fill());
    let mut left = Heal::default();
    loop {
        match tasks.recv_timeout(if left.is_empty() { WEEKLY } else { AGAIN }) {
            Ok(Task::Heal(heal)) => {
                left.anew |= heal.anew;
                left.told = left.told.max(heal.told);
                heal.tables.iter().for_each(|table| left.add(table));
                do_heal(name, &mut reconciler, &mut left, done);
            }
            Ok(Task::Reconcile { table, force }) => {
                if reconcile(name, &mut reconciler, &table, force) == Came::Done {
                    let _ = done.send(Heal { tables: vec![table], ..Heal::default() });
                }
            }
            Ok(Task::CatchUp) => said(name, reconciler.fill().and_then(|()| reconciler.catch_up())),
            Err(RecvTimeoutError::Timeout) => {
                if left.is_empty() {
                    left.tables = reconciler.tables().unwrap_or_default();
                }
                do_heal(name, &mut reconciler, &mut left, done);
            }
            // What was told up to the end is known at the next start, whatever happens to the file in between.
            Ok(Task::Stop) => return said(name, reconciler.catch_up()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Reconciles what needs it, one table after the other; what is not to be tried again is taken out of `left`.
pub fn do_heal(name: &str, reconciler: &mut Reconciler, left: &mut Heal, done: &Sender<Heal>) {
    if left.anew {
        match reconciler.begin_anew(left.told) {
            Ok(()) => {
                (left.anew, left.told) = (false, 0);
                let _ = done.send(Heal { anew: true, ..Heal::default() });
            }
            // Compared with a shadow that follows another log, every difference would be a wrong one.
            Err(error) => return said(name, Err(error)),
        }
    }
    for table in left.tables.clone() {
        let came = reconcile(name, reconciler, &table, false);
        if came != Came::Again {
            left.tables.retain(|other| *other != table);
        }
        if came == Came::Done {
            let _ = done.send(Heal { tables: vec![table], ..Heal::default() });
        }
    }
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

fn reconcile(name: &str, reconciler: &mut Reconciler, table: &str, force: bool) -> Came {
    match reconciler.reconcile(table, force) {
        Ok(report) => log::warn!(
            "{name}: {table} is reconciled: {} records compared, {} sent again, {} deletes sent",
            report.compared,
            report.images,
            report.deletes
        ),
        Err(error) => {
            log::error!("{name}: {table} is not reconciled: {error}");
            return match error.capture() {
                Some(CaptureError::TooManyDeletes { .. }) => Came::Asks,
                // The table is not there, or not watched: its next finding, if any, asks anew.
                Some(CaptureError::Refused { .. }) => Came::Done,
                _ => Came::Again,
            };
        }
    }
    Came::Done
}

fn said(name: &str, result: Result<(), ReconcileError>) {
    if let Err(error) = result {
        log::error!("{name}: {error}");
    }
}
