//! The thread that keeps the archive of the audit. Nobody waits for it; what it cannot do now it tries again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::audit::Audit;
use crate::daemon::trouble::Trouble;
use crate::engine::archivist::{Archivist, ArchivistError, Keep};
use crate::engine::ledger::Ledger;
use crate::engine::need::Need;

/// What could not be done is tried again after so long.
const AGAIN: Duration = Duration::from_secs(60);

/// The archive of a running agent.
#[derive(Debug)]
pub(super) struct Archiving {
    bell: Sender<()>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Where, and how long things are kept.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) state: PathBuf,
    pub(super) keep: Keep,
    pub(super) audit: Audit,
}

impl Archiving {
    /// Starts it.
    pub(super) fn start(place: Place, ledger: &Ledger, trouble: &Trouble) -> std::io::Result<Archiving> {
        let (bell, heard) = channel();
        ledger.tell_of_many(bell.clone());
        let over = Arc::new(AtomicBool::new(false));
        let (stopped, ledger, trouble) = (over.clone(), ledger.clone(), trouble.clone());
        let thread = std::thread::Builder::new().name("audit".into());
        let thread = thread.spawn(move || keep(&place, &ledger, &heard, &stopped, &trouble))?;
        Ok(Archiving { bell, over, thread })
    }

    /// Signs where the chain stands at the end, and ends.
    pub(super) fn stop(self) {
        self.over.store(true, Ordering::Release);
        let _ = self.bell.send(());
        let _ = self.thread.join();
    }
}

fn keep(place: &Place, ledger: &Ledger, heard: &Receiver<()>, over: &AtomicBool, trouble: &Trouble) {
    let mut archivist: Option<Archivist> = None;
    let mut said = String::new();
    loop {
        let ending = over.load(Ordering::Acquire);
        let done = work(&mut archivist, place, ledger, ending);
        let told = done.as_ref().err().map(ToString::to_string).unwrap_or_default();
        if told != said {
            if !told.is_empty() {
                log::error!("audit: {told}");
            }
            trouble.tell("audit", (!told.is_empty()).then(|| Need::of("audit", &told)));
            said = told;
        }
        if done.as_ref().is_err_and(ArchivistError::is_broken) {
            trouble.meet();
        }
        if ending || trouble.is_met() {
            return;
        }
        let patience = match (&archivist, done) {
            (Some(archivist), Ok(())) => archivist.patience(),
            _ => AGAIN,
        };
        let _ = heard.recv_timeout(patience);
        // However often it was rung for, one round does.
        heard.try_iter().for_each(drop);
    }
}

fn work(archivist: &mut Option<Archivist>, place: &Place, ledger: &Ledger, ending: bool) -> Result<(), ArchivistError> {
    let archivist = match archivist {
        Some(archivist) => archivist,
        None => {
            let voucher = place.audit.seed().map_err(ArchivistError::Key)?;
            let checkpoints = place.audit.checkpoints.clone();
            archivist.insert(Archivist::open(&place.state, ledger.clone(), place.keep, checkpoints, voucher)?)
        }
    };
    archivist.round()?;
    if ending { archivist.sign() } else { Ok(()) }
}
