//! `doctor --fix`: capture is repaired and what was missed is sent; files of ours become their owner's alone. The running
//! agent is asked where one runs; else its lock is taken meanwhile.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::finding::Cure;
use crate::cli::failure::Failure;
use crate::cli::order;
use crate::clock;
use crate::config::{Config, Settings};
use crate::daemon::agent::{Agent, Options};
use crate::engine::operate::Deed;
use crate::engine::push::Run;
use crate::engine::reconcile::Reconciler;
use crate::store::state::State;

/// How long the running agent is waited for: it looks at capture every two seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked whether it has.
const GLANCE: Duration = Duration::from_millis(200);

/// What was done, in words, and what could not be.
#[derive(Debug, Default)]
pub struct Done {
    /// Each in a sentence.
    pub done: Vec<String>,
    /// What failed.
    pub failed: Vec<Failure>,
}

/// Does what can be done. `left` says what of it is still to be cured.
pub fn mend(settings: &Settings, cures: &[Cure], left: &dyn Fn() -> Vec<Cure>) -> Done {
    let mut done = Done::default();
    for cure in cures {
        let (tried, what) = match cure {
            Cure::Mode(path, mode) => (
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode)),
                format!("{}: mode {mode:03o}", path.display()),
            ),
            Cure::Remove(path) => (std::fs::remove_file(path), format!("{}: removed", path.display())),
            Cure::Repair | Cure::Reconcile { .. } => continue,
        };
        match tried {
            Ok(()) => done.done.push(what),
            Err(error) => {
                let text = format!("{what} is not possible: {error}");
                done.failed.push(Failure::new(crate::cli::failure::Code::CannotWrite, text));
            }
        }
    }
    if !cures.is_empty() {
        order::note(settings, Deed::CaptureRepair, "doctor --fix", Some(format!("{} findings", cures.len())));
    }
    if cures.iter().any(of_capture)
        && let Err(failure) = capture(settings, cures, left, &mut done.done)
    {
        done.failed.push(failure);
    }
    done
}

fn of_capture(cure: &Cure) -> bool {
    matches!(cure, Cure::Repair | Cure::Reconcile { .. })
}

fn capture(
    settings: &Settings,
    cures: &[Cure],
    left: &dyn Fn() -> Vec<Cure>,
    done: &mut Vec<String>,
) -> Result<(), Failure> {
    if order::running(&settings.state)?.is_some() {
        ask(settings, cures)?;
        let until = clock::steady().plus(PATIENCE);
        while left().iter().any(of_capture) {
            if clock::steady() >= until {
                done.push("the running agent was asked and is still at it: its log tells what comes of it".to_owned());
                return Ok(());
            }
            std::thread::sleep(GLANCE);
        }
        done.push("the running agent has repaired capture and sends what was missed".to_owned());
        return Ok(());
    }
    repair(settings)?;
    done.push("capture: tables and triggers are in place, what was missed waits to be sent".to_owned());
    // The repair compares the tables that it found changed; what changed behind the triggers' back it does not see.
    for cure in left() {
        let Cure::Reconcile { log, table } = cure else { continue };
        let Some(database) = settings.databases.iter().find(|database| *database.name == *log) else { continue };
        let _held = State::open(&settings.state)?;
        let report = Reconciler::open(&log, &database.path, &settings.state)?.reconcile(&table, false)?;
        done.push(format!(
            "{log}: {table} is reconciled: {} records compared, {} to be sent again, {} deletes to be sent",
            report.compared, report.images, report.deletes
        ));
    }
    Ok(())
}

/// What the agent does at each start and once a look, without delivering anything.
fn repair(settings: &Settings) -> Result<(), Failure> {
    let config = Config {
        settings: settings.clone(),
        connectors: Vec::new(),
        drops: Vec::new(),
        conflicts: Vec::new(),
        warnings: Vec::new(),
    };
    Agent::start(config, Options { run: Run::Once, take_over: false }, || {})?.finish();
    Ok(())
}

/// Lets the running agent compare what differs; missing triggers it finds by itself.
fn ask(settings: &Settings, cures: &[Cure]) -> Result<(), Failure> {
    for cure in cures {
        if let Cure::Reconcile { log, table } = cure {
            order::reconcile(&settings.state, log, table)?;
        }
    }
    Ok(())
}
