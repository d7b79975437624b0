//! What a person does with the files of a drop.

use serde::{Deserialize, Serialize};

use super::{Actor, Refused, Report, note};
use crate::clock;
use crate::engine::drop::acknowledge::{DISMISSED, QUARANTINED};
use crate::engine::drop::request;
use crate::rules::hex::hex;
use crate::store::state::connector::{self, Remembered};
use crate::store::state::counter::{self, Counter};
use crate::store::state::drops::ack::{self, Ack};
use crate::store::state::drops::place::{self, PlaceState, Placed};
use crate::store::state::drops::{self, DropFile, FileState, change, member};
use crate::store::state::{Db, Sql};

/// What to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum FileOperation {
    /// Cuts now, whatever the cut-offs say.
    Run {
        /// Which drop.
        drop: String,
        /// For this business date; none = that of the next cut-off.
        date: Option<String>,
    },
    /// Sends a file's bytes again, under its name, where they are not there.
    Resend {
        /// Which drop.
        drop: String,
        /// Number, business date or name.
        file: String,
        /// Only at this outlet.
        outlet: Option<String>,
    },
    /// Makes a new file, with a number of its own, of lines of an older one.
    AsNew {
        /// Which drop.
        drop: String,
        /// Number, business date or name.
        file: String,
        /// Only the lines of these records; empty = all.
        keys: Vec<String>,
    },
    /// Takes a file for published of which nobody could say whether it arrived.
    Accept {
        /// Which drop.
        drop: String,
        /// Number, business date or name.
        file: String,
    },
    /// Gives up a file that is not published.
    Discard {
        /// Which drop.
        drop: String,
        /// Number, business date or name.
        file: String,
    },
    /// Takes note that an answer which was put aside is dealt with.
    Dismiss {
        /// Which drop.
        drop: String,
        /// Its name, or the first digits of its SHA-256.
        ack: String,
    },
    /// Sets the number of the next file.
    SetSequence {
        /// Which drop.
        drop: String,
        /// The number.
        seq: u64,
        /// Also one that a file has already.
        #[serde(default)]
        again: bool,
    },
    /// Takes down that a file is made again for somebody here.
    Regenerate {
        /// Which drop.
        drop: String,
        /// Number, business date or name.
        file: String,
    },
}

impl FileOperation {
    /// Which drop it is about.
    pub fn drop(&self) -> &str {
        match self {
            FileOperation::Run { drop, .. }
            | FileOperation::Resend { drop, .. }
            | FileOperation::AsNew { drop, .. }
            | FileOperation::Accept { drop, .. }
            | FileOperation::Discard { drop, .. }
            | FileOperation::Dismiss { drop, .. }
            | FileOperation::SetSequence { drop, .. }
            | FileOperation::Regenerate { drop, .. } => drop,
        }
    }
}

pub(super) fn operate(db: &Db, operation: &FileOperation, actor: &Actor, report: &mut Report) -> Sql<()> {
    let name = operation.drop();
    let refuse = |report: &mut Report, why: String| report.refused.push(Refused { subject: name.to_owned(), why });
    let Some(known) = connector::find(db, name)? else {
        refuse(report, "no drop of this name has run yet".to_owned());
        return Ok(());
    };
    let done = match operation {
        FileOperation::Run { date, .. } => run(db, &known, date.as_deref())?,
        FileOperation::SetSequence { seq, again, .. } => set_sequence(db, &known, *seq, *again)?,
        FileOperation::Regenerate { file, .. } => with(db, &known, file, |file| Ok(regenerate(file)))?,
        FileOperation::Dismiss { ack, .. } => dismiss(db, &known, ack)?,
        FileOperation::Resend { file, outlet, .. } => {
            with(db, &known, file, |file| resend(db, file, outlet.as_deref()))?
        }
        FileOperation::AsNew { file, keys, .. } => with(db, &known, file, |file| as_new(db, file, keys))?,
        FileOperation::Accept { file, .. } => with(db, &known, file, |file| accept(db, file))?,
        FileOperation::Discard { file, .. } => with(db, &known, file, |file| discard(db, file))?,
    };
    let verb = match operation {
        FileOperation::Run { .. } => "drop run",
        FileOperation::SetSequence { .. } => "drop set-sequence",
        FileOperation::Regenerate { .. } => "drop regenerate",
        FileOperation::Dismiss { .. } => "drop dismiss",
        FileOperation::Resend { .. } => "drop resend",
        FileOperation::AsNew { .. } => "drop resend --as-new",
        FileOperation::Accept { .. } => "drop accept",
        FileOperation::Discard { .. } => "drop discard",
    };
    match done {
        Ok(subject) => {
            note(db, actor, verb, known.id, &subject)?;
            report.done.push(format!("{name} {subject}"));
        }
        Err(why) => refuse(report, why),
    }
    Ok(())
}

type Done = Result<String, String>;

fn with(db: &Db, known: &Remembered, which: &str, work: impl FnOnce(&DropFile) -> Sql<Done>) -> Sql<Done> {
    match drops::meant(db, known.id, which)?.as_slice() {
        [] => Ok(Err(format!("has no file `{which}`: name its number, its business date or its name"))),
        [file] => work(file),
        several => Ok(Err(several_are(which, several))),
    }
}

/// Why a word does not say which file is meant.
pub fn several_are(which: &str, several: &[DropFile]) -> String {
    let name = |file: &DropFile| match file.numbers {
        Some(numbers) => format!("{}{} = {}", drops::COUNT, numbers.n, called(file)),
        None => called(file),
    };
    let names: Vec<String> = several.iter().map(name).collect();
    format!("`{which}` may be {}: name the one by its `{}N`", names.join(" or "), drops::COUNT)
}

/// A file as people call it.
pub fn called(file: &DropFile) -> String {
    let seq = file.numbers.map_or_else(String::new, |numbers| format!("{} ", numbers.seq));
    format!("{seq}({}, {})", file.date, file.name.as_deref().unwrap_or("no name"))
}

fn run(db: &Db, known: &Remembered, date: Option<&str>) -> Sql<Done> {
    if let Some(date) = date {
        if date.parse::<jiff::civil::Date>().is_err() {
            return Ok(Err(format!("`{date}` is no date like 2026-03-05")));
        }
        if let Some((last, _)) = drops::last_cut(db, known.id)?.filter(|(last, _)| date < last.as_str()) {
            return Ok(Err(format!("{last} is cut already, and business dates go forward: nothing is cut for {date}")));
        }
    }
    request::ask(db, known.id, date.unwrap_or_default())?;
    Ok(Ok(date.map_or_else(|| "now".to_owned(), |date| format!("for {date}"))))
}

fn set_sequence(db: &Db, known: &Remembered, seq: u64, again: bool) -> Sql<Done> {
    if seq == 0 {
        return Ok(Err("numbers begin with 1".to_owned()));
    }
    if let Some(file) = drops::lap_has(db, known.id, seq)?.filter(|_| !again) {
        return Ok(Err(format!(
            "{} has this number already, and the host may refuse it: --again gives it twice",
            called(&file)
        )));
    }
    crate::engine::drop::sequence::force(db, known.id, seq)?;
    Ok(Ok(format!("the next file is {seq}")))
}

fn dismiss(db: &Db, known: &Remembered, which: &str) -> Sql<Done> {
    let is = |read: &Ack| read.name == which || (which.len() >= 6 && hex(&read.sha256).starts_with(which));
    let aside = ack::newest(db, known.id, Some(QUARANTINED), usize::MAX)?;
    let found: Vec<Ack> = aside.into_iter().filter(is).collect();
    if found.is_empty() {
        let name = &known.name;
        return Ok(Err(format!("has put no answer `{which}` aside: `hms-sync drop acks {name}` lists them")));
    }
    for read in &found {
        ack::remember(db, known.id, &Ack { word: DISMISSED.to_owned(), ..read.clone() })?;
    }
    Ok(Ok(which.to_owned()))
}

fn regenerate(file: &DropFile) -> Done {
    match file.state {
        FileState::Open | FileState::Skipped => {
            Err(format!("{} is {}: it has no bytes", called(file), file.state.as_str()))
        }
        FileState::Purged => Err(format!("{} was purged at {}: what it was made of is gone", called(file), file.since)),
        _ => Ok(called(file)),
    }
}

fn resend(db: &Db, file: &DropFile, outlet: Option<&str>) -> Sql<Done> {
    match file.state {
        FileState::Open | FileState::Cut => return Ok(Err(format!("{} is not rendered yet", called(file)))),
        FileState::Skipped | FileState::Discarded => {
            return Ok(Err(format!("{} is {}: it has no bytes", called(file), file.state.as_str())));
        }
        FileState::Purged => {
            return Ok(Err(format!("{} was purged at {}: its bytes are gone", called(file), file.since)));
        }
        _ => {}
    }
    let mut again = 0;
    for placed in place::of(db, file.id)? {
        if outlet.is_none_or(|outlet| outlet == placed.place) {
            let fresh = Placed {
                state: PlaceState::Waiting,
                noted: String::new(),
                attempts: 0,
                due: None,
                since: clock::now(),
                reason: None,
                ..placed
            };
            place::set(db, file.id, &fresh)?;
            again += 1;
        }
    }
    if again == 0 {
        return Ok(Err(format!("{} does not go to such an outlet", called(file))));
    }
    if file.state != FileState::Rendered {
        // A file that was refused is answered anew; what became of its records stays until then.
        if file.state == FileState::Refused {
            member::forget_answers(db, file.id)?;
        }
        // It was counted when it was published the first time.
        counter::add(db, file.connector, Counter::Repeated, change::events(db, file.id)?)?;
        drops::set_state(db, file.id, FileState::Rendered, clock::now())?;
    }
    Ok(Ok(called(file)))
}

fn as_new(db: &Db, file: &DropFile, keys: &[String]) -> Sql<Done> {
    if matches!(file.state, FileState::Open | FileState::Skipped | FileState::Purged) {
        return Ok(Err(format!("{} is {}: it has no lines", called(file), file.state.as_str())));
    }
    let new = drops::begin_beside(db, file, Some(file.id), drops::reruns(db, file.id)? + 1, clock::now())?;
    let lines = member::copy(db, file.id, new, keys)?;
    if lines == 0 {
        drops::remove_empty(db, new)?;
        return Ok(Err(format!("{} has no line of these records", called(file))));
    }
    Ok(Ok(format!("{}: {lines} lines in a new file", called(file))))
}

fn accept(db: &Db, file: &DropFile) -> Sql<Done> {
    let mut taken = 0;
    for placed in place::of(db, file.id)? {
        if placed.state == PlaceState::Unverified {
            let known = Placed { state: PlaceState::Published, since: clock::now(), reason: None, ..placed };
            place::set(db, file.id, &known)?;
            taken += 1;
        }
    }
    if taken == 0 {
        return Ok(Err(format!("{} is in no doubt at any outlet", called(file))));
    }
    Ok(Ok(called(file)))
}

fn discard(db: &Db, file: &DropFile) -> Sql<Done> {
    if !matches!(file.state, FileState::Cut | FileState::Rendered) {
        return Ok(Err(format!(
            "{} is {}: only a file that is not published can be given up",
            called(file),
            file.state.as_str()
        )));
    }
    if place::of(db, file.id)?.iter().any(|placed| placed.state == PlaceState::Published) {
        return Ok(Err(format!("{} is published at one of its outlets already", called(file))));
    }
    member::undo_has(db, file.connector, file.id)?;
    counter::add(db, file.connector, Counter::Discarded, change::events(db, file.id)?)?;
    change::forget(db, file.id)?;
    drops::set_state(db, file.id, FileState::Discarded, clock::now())?;
    Ok(Ok(called(file)))
}
