//! The thread that keeps the shadow of one log and reconciles its tables. It may take its time; nobody waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::clock;
use crate::daemon::trouble::Trouble;
use crate::engine::reconcile::{ReconcileError, Reconciler};
use crate::store::capture::{CaptureError, Heal};
use crate::store::shadow::Report;

/// What the thread is told.
#[derive(Debug)]
pub enum Task {
    /// Tables may have changed unseen, or the file is another.
    Heal(Heal),
    /// A person wants a table reconciled.
    Reconcile {
        /// Which.
        table: String,
        /// Also when very many of its records are gone.
        force: bool,
        /// Who waits for what comes of it.
        told: Option<Sender<Told>>,
    },
    /// The log has grown and is quiet now.
    CatchUp,
    /// The file was replaced: the old one is closed.
    LetGo,
    /// The agent stops.
    Stop,
}

/// What came of a reconcile that a person wanted.
pub type Told = Result<Report, Stopped>;

/// Why a reconcile did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Very many records are gone: a person must agree.
    pub asks: bool,
    /// What, and what to do.
    pub text: String,
}

/// Every table is reconciled so often, whatever was or was not noticed.
const WEEKLY: Duration = Duration::from_secs(7 * 86_400);
/// What could not be done (the application kept its file locked) is tried again after so long.
const AGAIN: Duration = Duration::from_secs(30);

/// Takes new tables into the shadow, then does what it is told until it is stopped or a sync has failed, and says what it
/// has `done`.
pub fn heal(name: &str, mut reconciler: Reconciler, tasks: &Receiver<Task>, done: &Sender<Heal>, trouble: &Trouble) {
    let mut left = Heal::default();
    let mut came = told(name, reconciler.fill(), trouble).map(drop);
    // From the last time on, whoever ran then: an agent that is started anew each night compares too.
    let next = told(name, reconciler.next_round(WEEKLY), trouble).ok().flatten();
    let mut weekly = clock::steady().plus(next.unwrap_or(WEEKLY));
    loop {
        if let Err(broken) = came {
            log::error!(log:% = name; "{name}: {broken}");
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
                if heal.anew {
                    left.begin_anew(heal.told, heal.passed);
                }
                heal.tables.iter().for_each(|table| left.add(table));
                do_heal(name, &mut reconciler, &mut left, done, trouble)
            }
            Ok(Task::Reconcile { table, force, told }) => {
                reconcile(name, &mut reconciler, &table, force, told.as_ref(), trouble).map(|came| {
                    if came == Came::Done {
                        let _ = done.send(Heal { tables: vec![table], ..Heal::default() });
                    }
                })
            }
            // The log of another file does not follow what the shadow knows, until that was begun anew.
            Ok(Task::CatchUp) if left.anew => Ok(()),
            Ok(Task::CatchUp) => told(name, reconciler.fill().and_then(|()| reconciler.catch_up()), trouble).map(drop),
            Ok(Task::LetGo) => told(name, reconciler.let_go(), trouble).map(drop),
            Err(RecvTimeoutError::Timeout) => {
                if weekly <= clock::steady() {
                    weekly = clock::steady().plus(WEEKLY);
                    let _ = told(name, reconciler.note_round(), trouble);
                    reconciler.tables().unwrap_or_default().iter().for_each(|table| left.add(table));
                }
                do_heal(name, &mut reconciler, &mut left, done, trouble)
            }
            // What was told up to the end is known at the next start, whatever happens to the file in between.
            Ok(Task::Stop) => {
                if !left.anew {
                    let _ = told(name, reconciler.catch_up(), trouble);
                }
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
    trouble: &Trouble,
) -> Result<(), ReconcileError> {
    if left.anew {
        // Compared with a shadow that follows another log, every difference would be a wrong one.
        if told(name, reconciler.begin_anew(left.told, left.passed), trouble)?.is_none() {
            return Ok(());
        }
        let anew = Heal { anew: true, ..Heal::default() };
        left.remove(&anew);
        let _ = done.send(anew);
    }
    for table in left.tables.clone() {
        let came = reconcile(name, reconciler, &table, false, None, trouble)?;
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

/// `told` hears what came of it.
fn reconcile(
    name: &str,
    reconciler: &mut Reconciler,
    table: &str,
    force: bool,
    told: Option<&Sender<Told>>,
    trouble: &Trouble,
) -> Result<Came, ReconcileError> {
    let who = format!("{name}: comparing {table}");
    let tell = |what: Told| told.map(|told| told.send(what));
    match reconciler.reconcile(table, force) {
        Ok(report) => {
            log::warn!(
                log:% = name;
                 "{name}: {table} is reconciled: {} records compared, {} sent again, {} deletes sent",
                report.compared,
                report.images,
                report.deletes
            );
            trouble.tell(&who, None);
            tell(Ok(report));
        }
        Err(broken) if broken.is_broken() => return Err(broken),
        Err(error) if told.is_none() && matches!(error.capture(), Some(CaptureError::Replaced { .. })) => {
            return Ok(Came::Again);
        }
        Err(error) => {
            // Whether very many records are gone stands in the state file.
            let asks = matches!(error.capture(), Some(CaptureError::TooManyDeletes { .. }));
            tell(Err(Stopped { asks, text: error.to_string() }));
            if error.is_broken() {
                return Err(error);
            }
            log::error!(log:% = name; "{name}: {table} is not reconciled: {error}");
            let came = match error.capture() {
                Some(CaptureError::TooManyDeletes { .. }) => Came::Asks,
                // The table is not there, or not watched: its next finding, if any, asks anew.
                Some(CaptureError::Refused { .. }) => Came::Done,
                _ => Came::Again,
            };
            trouble.tell(&who, (came == Came::Again).then(|| error.need(name)));
            return Ok(came);
        }
    }
    Ok(Came::Done)
}

/// Logs what has failed (then none), and passes on what ends the agent.
fn told<T>(name: &str, result: Result<T, ReconcileError>, trouble: &Trouble) -> Result<Option<T>, ReconcileError> {
    let who = format!("{name}: comparing");
    match result {
        Ok(value) => {
            trouble.tell(&who, None);
            Ok(Some(value))
        }
        Err(broken) if broken.is_broken() => Err(broken),
        // The keeper says so, and opens it again.
        Err(error) if matches!(error.capture(), Some(CaptureError::Replaced { .. })) => Ok(None),
        Err(error) => {
            log::error!(log:% = name; "{name}: {error}");
            trouble.tell(&who, Some(error.need(name)));
            Ok(None)
        }
    }
}
