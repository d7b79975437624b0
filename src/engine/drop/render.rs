//! Rendering: from frozen lines to the bytes of a file. The same lines under the same configuration give the same bytes,
//! on any machine, at any time.

use std::io;

use super::cut::stamp;
use super::seal::hindrance;
use super::staging::{Draft, Written};
use super::worker::{StepError, Worker};
use super::{Beside, Drop, progress};
use crate::clock;
use crate::engine::archive::Archive;
use crate::format::feed::{Finished, Row, Sums, Writing};
use crate::format::note::Note;
use crate::rules::naming::{Pattern, Sealed, Stamp, Values};
use crate::rules::outcome::Reason;
use crate::store::state::drops::member::{self, Member};
use crate::store::state::drops::place::Piece;
use crate::store::state::drops::{self, DropFile, place};
use crate::store::state::{StateError, StateReader, fact};

/// Lines read at once.
const CHUNK: usize = 1000;
/// Bytes that are written out at once, about.
const FLUSH: usize = 1 << 16;

/// Why rendering did not come to its end.
#[derive(Debug)]
pub(super) enum Unrendered {
    /// It is tried again.
    Step(StepError),
    /// A person is needed: the configuration that cut the file cannot make it.
    Reason(Reason),
}

impl<E: Into<StepError>> From<E> for Unrendered {
    fn from(error: E) -> Unrendered {
        Unrendered::Step(error.into())
    }
}

/// What a file is rendered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It leaves, encrypted where it must be.
    Leave,
    /// It is looked at, as its receiver will see it.
    Look,
}

impl Worker {
    /// Renders a file that was cut, with the pieces that go with it, and notes what was made.
    pub(super) fn render(&mut self, file: &DropFile) -> Result<Result<(), Reason>, StepError> {
        self.render_to(file, Way::Leave)
    }

    /// The same, for nobody but whoever wants to see it.
    pub(super) fn render_to(&mut self, file: &DropFile, way: Way) -> Result<Result<(), Reason>, StepError> {
        match self.try_render(file, way) {
            Ok(()) => Ok(Ok(())),
            Err(Unrendered::Reason(reason)) => {
                let (id, held) = (file.id, reason.clone());
                self.ledger.call(move |state| state.commit(|db| drops::hold(db, id, Some(&held))))?;
                Ok(Err(reason))
            }
            Err(Unrendered::Step(error)) => Err(error),
        }
    }

    fn try_render(&mut self, file: &DropFile, way: Way) -> Result<(), Unrendered> {
        let unknown = || Reason::new("configuration", "the configuration that cut the file is not known any more");
        let drop = self.as_it_was(file)?.ok_or_else(|| Unrendered::Reason(unknown()))?;
        if way == Way::Leave
            && let Some(why) = self.seals(file, &drop).and_then(hindrance)
        {
            return Err(Unrendered::Reason(why));
        }
        let mut draft = self.staging.write(file.id)?;
        let (sums, stamp) = write(&drop, file, &mut self.reader, |bytes| draft.write_all(bytes))?;
        let written = Draft::finish(draft)?;
        // What was rendered once is known by its bytes, and an outlet may have them: no others take their place.
        if file.sha256.is_some_and(|sha256| sha256 != written.sha256) {
            let text = "the rendered file is gone, and what is rendered now has other bytes";
            return Err(Unrendered::Reason(Reason::new("changed", text)));
        }
        let mut pieces = self.pieces(&drop, &stamp, file, &written, &sums)?;
        if way == Way::Leave
            && let Some(seal) = self.seals(file, &drop)
        {
            pieces.push(self.seal(file, seal)?);
        }
        let totals = serde_json::to_string(&sums).unwrap_or_default();
        let (id, now) = (file.id, clock::now());
        let outlets = self.outlet_names();
        self.ledger.call(move |state| {
            state.commit(|db| {
                for piece in &pieces {
                    place::set_piece(db, id, piece)?;
                }
                for outlet in &outlets {
                    place::begin(db, id, outlet, now)?;
                }
                drops::rendered(db, id, (written.size, &written.sha256), &totals, now)
            })
        })?;
        Ok(())
    }
}

impl Worker {
    /// The data file and what goes with it at every outlet. What an outlet has of its own (a trigger) is made there.
    fn pieces(
        &mut self,
        drop: &Drop,
        stamp: &Stamp,
        file: &DropFile,
        written: &Written,
        sums: &Sums,
    ) -> Result<Vec<Piece>, Unrendered> {
        let name = file.name.clone().unwrap_or_default();
        let (size, sha256) = (written.size, written.sha256);
        let mut pieces = vec![Piece { role: "data".into(), name: name.clone(), size, sha256, body: None }];
        let kept = self.reader.read(|db| place::pieces(db, file.id))?;
        for (nth, control) in drop.controls.iter().enumerate() {
            let role = format!("control{}", if nth == 0 { String::new() } else { (nth + 1).to_string() });
            let shows_audit = control.text.shows_audit();
            // What it showed when it was made first is what some outlet may have.
            if let Some(piece) = kept.iter().find(|piece| shows_audit && piece.role == role && piece.body.is_some()) {
                pieces.push(piece.clone());
                continue;
            }
            let audit = if shows_audit { self.checkpoint()? } else { String::new() };
            pieces.push(beside(role, control, (stamp, &name), written, sums, audit).map_err(Unrendered::Reason)?);
        }
        Ok(pieces)
    }

    /// The newest signed checkpoint of the audit, on one line; empty = there is none yet.
    fn checkpoint(&mut self) -> Result<String, Unrendered> {
        let instance = self.reader.read(|db| fact(db, "instance"))?;
        let notes = Archive::beside(self.reader.path(), &instance).checkpoints();
        let notes = notes.map_err(|error| Unrendered::Reason(Reason::new("audit", error.to_string())))?;
        Ok(notes.last().map(Note::line).unwrap_or_default())
    }
}

/// Makes the bytes of a file from what was frozen, and gives its totals.
pub(super) fn write(
    drop: &Drop,
    file: &DropFile,
    reader: &mut StateReader,
    mut out: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(Sums, Stamp), Unrendered> {
    let missing = || Unrendered::Reason(Reason::new("ledger", "the file has no numbers"));
    let (numbers, created) = (file.numbers.ok_or_else(missing)?, file.created.ok_or_else(missing)?);
    let stamp = stamp(drop, file, numbers, created).map_err(Unrendered::Reason)?;
    let name = file.name.clone().unwrap_or_default();
    let first = if drop.feed.sums_first() {
        // What the header shows is known when all lines were gone through.
        let finished = pass(drop, file, (&stamp, &name), None, reader, |_| Ok(()))?;
        Some(finished.sums)
    } else {
        None
    };
    let finished = pass(drop, file, (&stamp, &name), first.as_ref(), reader, &mut out)?;
    Ok((finished.sums, stamp))
}

fn pass(
    drop: &Drop,
    file: &DropFile,
    (stamp, name): (&Stamp, &str),
    first: Option<&Sums>,
    reader: &mut StateReader,
    mut out: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<Finished, Unrendered> {
    let mut writing: Writing<'_> = drop.feed.file(stamp, name).map_err(Unrendered::Reason)?;
    let mut bytes = Vec::with_capacity(2 * FLUSH);
    // Before it is known, the header has the zeros of an empty file in the places of its totals.
    let nothing = Sums::new();
    let sums = if drop.feed.sums_first() { Some(first.unwrap_or(&nothing)) } else { None };
    writing.begin(sums, &mut bytes).map_err(Unrendered::Reason)?;
    let (mut after, mut ordinal) = (i64::MIN, 0);
    loop {
        let members = lines(reader, file, after).map_err(StepError::from)?;
        let Some(last) = members.last() else { break };
        after = last.ordinal;
        for member in &members {
            ordinal += 1;
            let record = member.payload.as_ref().ok_or_else(|| {
                Unrendered::Reason(Reason::new("purged", "the file's payloads were purged: it cannot be made again"))
            })?;
            writing.row(&Row { record, action: &member.action, ordinal }, &mut bytes).map_err(Unrendered::Reason)?;
            if bytes.len() >= FLUSH {
                out(&bytes)?;
                bytes.clear();
            }
        }
        progress::tell("rendering", ordinal, file.records.unwrap_or(ordinal));
    }
    let finished = writing.finish(&mut bytes).map_err(Unrendered::Reason)?;
    out(&bytes)?;
    Ok(finished)
}

fn lines(reader: &mut StateReader, file: &DropFile, after: i64) -> Result<Vec<Member>, StateError> {
    reader.read(|db| member::read(db, file.id, after, CHUNK))
}

/// A small file that goes with a data file. `audit`: the checkpoint that it may show.
pub(super) fn beside(
    role: String,
    beside: &Beside,
    (stamp, name): (&Stamp, &str),
    written: &Written,
    sums: &Sums,
    audit: String,
) -> Result<Piece, Reason> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sealed = Sealed {
        size: written.size,
        sha256: hex(&written.sha256),
        md5: hex(&written.md5),
        crc32: format!("{:08x}", written.crc32),
        audit,
    };
    let fill = |pattern: &Pattern| {
        let totals: Vec<Option<String>> =
            pattern.totals().iter().map(|expression| sums.get(&expression.to_string()).cloned().flatten()).collect();
        pattern.fill(&Values { stamp, file: name, sealed: Some(&sealed), totals: &totals })
    };
    let body = fill(&beside.text)?.into_bytes();
    let sha256 = crate::adapter::sha256(&body);
    Ok(Piece { role, name: fill(&beside.name)?, size: body.len() as u64, sha256, body: Some(body) })
}
