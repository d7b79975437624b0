//! What the next file would be, made in a folder that is thrown away; and an old file made again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;

use super::Drop;
use super::render::{Unrendered, Way, write};
use super::worker::{Parts, StepError, Until, Worker};
use crate::clock;
use crate::engine::ledger::Ledger;
use crate::engine::source::Sources;
use crate::rules::cutoff::Cut;
use crate::rules::outcome::Reason;
use crate::store::state::drops::member::{self, Member};
use crate::store::state::drops::preview::copy;
use crate::store::state::drops::{DropFile, FileState};
use crate::store::state::parked::{self, Parked, Selection};
use crate::store::state::{State, StateReader, connector};

/// What a cut now would give.
#[derive(Debug)]
pub struct Preview {
    /// The files, with their lines and bytes; none when nothing would be sent.
    pub files: Vec<Previewed>,
    /// Rows that would be held, and why.
    pub held: Vec<Parked>,
    /// Why the file would not be cut.
    pub refused: Option<Reason>,
}

/// A file that would be cut.
#[derive(Debug)]
pub struct Previewed {
    /// Its line in the ledger.
    pub file: DropFile,
    /// Its lines.
    pub lines: Vec<Member>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Cuts and renders in a folder of its own, for a business date or (none) that of the next cut-off. Nothing of the agent's changes, and
/// nothing is sent.
///
/// # Errors
/// When a log, the state file or the folder cannot be used.
pub fn preview(
    drop: Arc<Drop>,
    sources: Sources,
    real: &mut StateReader,
    (date, folder): (Option<&str>, &Path),
) -> Result<Preview, StepError> {
    let path = folder.join("state.db");
    let mut state = State::open(&path)?;
    let known = real.read(|db| connector::find(db, &drop.subscription.name))?;
    if let Some(known) = &known {
        real.read(|from| Ok(state.commit(|to| copy(from, to, known.id))))??;
    }
    let (ledger, writer) = Ledger::start(state)?;
    let reader = StateReader::open(&path)?;
    let parts = Parts {
        drop,
        sources,
        ledger: ledger.clone(),
        reader,
        folder: Some(folder.join("files")),
        rebuild: Arc::new(|_| None),
    };
    let made = Worker::new(parts).and_then(|worker| worker.preview(date.unwrap_or_default()));
    ledger.stop();
    let _ = writer.join();
    made
}

/// Makes an old file again from what was frozen at its cut. True = the same bytes as then.
///
/// # Errors
/// `Ok(Err)` when it cannot be made: its payloads were purged, or the configuration that cut it is not known any more.
pub fn regenerate(
    drop: &Drop,
    file: &DropFile,
    reader: &mut StateReader,
    mut out: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<Result<bool, Reason>, StepError> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let made = write(drop, file, reader, |bytes| {
        hash.update(bytes);
        out(bytes)
    });
    match made {
        Ok(_) => Ok(Ok(file.sha256.is_some_and(|sha256| hash.finish().as_ref() == sha256))),
        Err(Unrendered::Reason(reason)) => Ok(Err(reason)),
        Err(Unrendered::Step(error)) => Err(error),
    }
}

impl Worker {
    /// Cuts and renders what is there now.
    fn preview(mut self, date: &str) -> Result<Preview, StepError> {
        let mut preview = Preview { files: Vec::new(), held: Vec::new(), refused: None };
        // Nobody is told of what is only looked at.
        self.asking = None;
        let before = self.parked()?;
        match self.asked_slot(date)? {
            Ok(slot) => {
                let cut = Cut { slot, at: clock::now() };
                preview.refused = self.try_cut(cut, Until::Now)?.err();
            }
            Err(reason) => preview.refused = Some(reason),
        }
        for file in self.in_state(FileState::Cut)? {
            if let Err(reason) = self.render_to(&file, Way::Look)? {
                preview.refused = Some(reason);
                continue;
            }
            let id = file.id;
            let lines = self.reader.read(|db| member::read(db, id, i64::MIN, usize::MAX))?;
            let mut bytes = Vec::new();
            self.staging.read(id, |some| {
                bytes.extend_from_slice(some);
                Ok(())
            })?;
            preview.files.push(Previewed { file, lines, bytes });
        }
        let new = |parked: &Parked| !before.iter().any(|known| known.event.id == parked.event.id);
        preview.held = self.parked()?.into_iter().filter(new).collect();
        Ok(preview)
    }

    fn parked(&mut self) -> Result<Vec<Parked>, StepError> {
        let name = self.drop.subscription.name.to_string();
        let which = Selection { connector: Some(name), ..Selection::default() };
        let parked = self.reader.read(|db| parked::select(db, &which))?;
        Ok(parked.into_iter().map(|(_, parked)| parked).collect())
    }
}
