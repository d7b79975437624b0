//! One publication at one destination: data, control files, and the trigger strictly last.
//!
//! Everything that cannot be taken back is noted before it is done ([`Mark::Sent`]). A run that begins again after a
//! crash or a lost answer looks at the destination, asks [`rules::publish::next`](next) what that means, and goes on
//! from there. It never guesses and sends nothing twice.

use std::io;

use crate::adapter::place::{Class, Look, Name, Opening, Place, Progress, Replace, Trouble, compare};
use crate::engine::drop::staged::{Checked, Files, Staged};
use crate::rules::outcome::Reason;
use crate::rules::publish::name::{TAIL, is_repeatable, is_stale, resume_at, temporary};
use crate::rules::publish::noted::{Mark, Noted, Part, Step};
use crate::rules::publish::{
    Action, Doubt, Held, Memory, Overwrite, Seen, Strategy, Terms, Unknown, Verify, next, seen,
};

/// The rules of a destination.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How final names come to be.
    pub terms: Terms,
    /// How written bytes are checked.
    pub verify: Verify,
    /// Whether an upload that was cut goes on where it was cut. Needs exact sizes and leave to read.
    pub resume: bool,
    /// Whether temporary names begin with a dot.
    pub hidden: bool,
    /// Whether old temporary files are removed after a success; needs leave to list and to remove.
    pub tidy: Option<Tidy>,
}

/// When a temporary file is old.
#[derive(Clone, Copy, Debug)]
pub struct Tidy {
    /// After so many days.
    pub days: u32,
    /// Seconds since 1970 now.
    pub now: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything is published; there is no trigger.
    Published,
    /// Everything is published, the trigger too.
    Triggered,
    /// Not yet; the same run again later may succeed. The class says how soon and whom to tell.
    Later(Reason, Class),
    /// A person decides; nothing was touched.
    Held(Reason),
    /// Sent, and nobody can say whether it arrived. To be told once; never sent again by itself.
    Unverified(Reason),
}

/// Why a run stops before its end.
enum Stop<E> {
    Ended(Box<Ended>),
    /// What was to be noted could not be.
    Unnoted(E),
}

impl<E> From<Ended> for Stop<E> {
    fn from(ended: Ended) -> Stop<E> {
        Stop::Ended(Box::new(ended))
    }
}

impl<E> From<Trouble> for Stop<E> {
    fn from(trouble: Trouble) -> Stop<E> {
        later(trouble).into()
    }
}

/// Publishes. `noted` is what earlier runs noted of the same publication here; `note` must have stored a step durably
/// when it returns; `progress` is told the bytes of the data that the place accepted.
///
/// An error is one of `note`: then nothing was done that is not noted.
pub fn publish<E>(
    place: &mut dyn Place,
    files: &Files,
    plan: &Plan,
    noted: Noted,
    note: &mut dyn FnMut(Step) -> Result<(), E>,
    progress: Progress<'_>,
) -> Result<Ended, E> {
    let mut run = Run { place, plan, note, progress };
    match run.all(files, &noted) {
        Ok(()) => {
            run.tidy();
            Ok(if files.trigger.is_some() { Ended::Triggered } else { Ended::Published })
        }
        Err(Stop::Ended(ended)) => Ok(*ended),
        Err(Stop::Unnoted(error)) => Err(error),
    }
}

struct Run<'a, E> {
    place: &'a mut dyn Place,
    plan: &'a Plan,
    note: &'a mut dyn FnMut(Step) -> Result<(), E>,
    progress: Progress<'a>,
}

/// What is left to do about a file.
enum Task {
    /// It is published; a temporary file may be left.
    Nothing {
        left: bool,
    },
    Upload(u64),
    Rename,
}

/// One file on its way.
struct Way<'a> {
    part: Part,
    file: &'a Staged,
    terms: Terms,
    temp: String,
    memory: Memory,
}

impl Way<'_> {
    fn renames(&self) -> bool {
        self.terms.strategy == Strategy::Rename
    }

    fn target(&self) -> Name<'_> {
        Name::Final(&self.file.name)
    }

    /// The name that is written.
    fn written(&self) -> Name<'_> {
        if self.renames() { Name::Temp(&self.temp) } else { self.target() }
    }
}

impl<E> Run<'_, E> {
    fn all(&mut self, files: &Files, noted: &Noted) -> Result<(), Stop<E>> {
        let controls = files.controls.iter().zip(1u16..).map(|(file, number)| (Part::Control(number), file));
        let trigger = files.trigger.iter().map(|file| (Part::Trigger, file));
        for (part, file) in std::iter::once((Part::Data, &files.data)).chain(controls).chain(trigger) {
            let before = noted.of(part);
            if before.published {
                continue;
            }
            let mut terms = self.plan.terms;
            terms.repeatable &= is_repeatable(&file.name);
            // What tells a receiver to begin is taken away as soon as it is there.
            if part == Part::Trigger && terms.strategy == Strategy::Trigger {
                terms.strategy = Strategy::Direct;
            }
            let temp = temporary(&file.name, &file.content.sha256, self.plan.hidden);
            self.one(Way { part, file, terms, temp, memory: before.memory })?;
        }
        Ok(())
    }

    fn one(&mut self, mut way: Way<'_>) -> Result<(), Stop<E>> {
        match self.decide(&way)? {
            Task::Upload(found) => {
                self.upload(&mut way, found)?;
                if way.renames() {
                    self.rename(&mut way)?;
                }
            }
            Task::Rename => self.rename(&mut way)?,
            // One that is left over beside the published file; the place may refuse, and nothing depends on it.
            Task::Nothing { left: true } => {
                let _ = self.place.remove(Name::Temp(&way.temp));
            }
            Task::Nothing { left: false } => {}
        }
        self.place.settle()?;
        self.note(&way, Mark::Published)
    }

    /// Looks, and says what is left to do.
    fn decide(&mut self, way: &Way<'_>) -> Result<Task, Stop<E>> {
        let mut target = self.sight(way.target(), way)?;
        if self.plan.verify == Verify::ReadBack && target == Seen::Unjudged {
            target = self.prove(way)?.unwrap_or(target);
        }
        let temp = if way.renames() { self.sight(Name::Temp(&way.temp), way)? } else { Seen::Absent };
        let mut action = next(way.terms, target, temp, way.memory);
        if let Action::Prove(doubt) = action {
            action = match (self.prove(way)?, doubt) {
                (Some(found), _) => next(way.terms, found, temp, way.memory),
                (None, Doubt::Done) => Action::Done,
                (None, Doubt::Hold) => Action::Hold(Held::Unproven),
                (None, Doubt::Replace) => next(way.terms, Seen::Other, temp, way.memory),
            };
        }
        match action {
            Action::Done => Ok(Task::Nothing { left: temp.is_there() }),
            Action::Upload(found) => Ok(Task::Upload(found)),
            Action::Rename => Ok(Task::Rename),
            Action::Hold(held) => Err(hold(way, held)),
            Action::Unverified(unknown) => Err(unverified(way, unknown)),
            // Compared bytes are equal or not: only a size asks for a proof.
            Action::Prove(_) => Err(hold(way, Held::Unproven)),
        }
    }

    fn sight(&mut self, name: Name<'_>, way: &Way<'_>) -> Result<Seen, Stop<E>> {
        Ok(match self.place.look(name)? {
            Look::Absent => Seen::Absent,
            Look::Hidden => Seen::Hidden,
            Look::File(size) => seen(self.plan.verify, size, way.file.content.size),
        })
    }

    /// Compares the bytes of the final file; none = it cannot be read.
    fn prove(&mut self, way: &Way<'_>) -> Result<Option<Seen>, Stop<E>> {
        match compare(self.place, way.target(), &way.file.content) {
            Ok(found) => Ok(Some(found)),
            Err(trouble) if trouble.class == Class::Missing => Ok(Some(Seen::Absent)),
            Err(trouble) if trouble.answered() => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }

    fn upload(&mut self, way: &mut Way<'_>, found: u64) -> Result<(), Stop<E>> {
        let start = self.resume(way, found)?;
        let before = way.memory.sent;
        if !way.renames() {
            // Under its final name a damaged file would be seen at once.
            let whole = way.file.is_whole().map_err(|error| unreadable(way, &error))?;
            if !whole {
                return Err(damaged(way));
            }
            self.note(way, Mark::Sent)?;
            way.memory.sent = true;
        }
        let opening = if start == 0 { Opening::Empty } else { Opening::Resume };
        if let Err(trouble) = self.place.create(way.written(), opening) {
            if !way.renames() && !before && trouble.answered() {
                self.note(way, Mark::Refused)?;
            }
            return Err(trouble.into());
        }
        if let Err(stop) = self.fill(way, start) {
            // What was written is of no use, but an open file at the other end is a nuisance.
            let _ = self.place.close();
            return Err(stop);
        }
        self.place.close()?;
        self.verify(way)?;
        self.note(way, Mark::Uploaded)?;
        way.memory.uploaded = true;
        Ok(())
    }

    fn fill(&mut self, way: &Way<'_>, start: u64) -> Result<(), Stop<E>> {
        let file = way.file.open().map_err(|error| unreadable(way, &error))?;
        let mut checked = Checked::new(file);
        io::copy(&mut io::Read::take(&mut checked, start), &mut io::sink()).map_err(|error| unreadable(way, &error))?;
        let Run { place, progress, .. } = self;
        let mut tell = |at| {
            if way.part == Part::Data {
                progress(at);
            }
        };
        place.write(start, &mut checked, &mut tell)?;
        if !checked.is(&way.file.content) {
            return Err(damaged(way));
        }
        match self.place.sync() {
            Err(trouble) if trouble.class == Class::Unsupported => Ok(()),
            synced => Ok(synced?),
        }
    }

    /// Where to begin: behind what is there, when its end is the same as ours; else at the beginning.
    fn resume(&mut self, way: &Way<'_>, found: u64) -> Result<u64, Stop<E>> {
        let Some(at) = resume_at(found, way.file.content.size).filter(|_| self.plan.resume) else { return Ok(0) };
        let from = at.saturating_sub(TAIL);
        let ours = way.file.piece(from, at).map_err(|error| unreadable(way, &error))?;
        let mut theirs = Vec::with_capacity(ours.len());
        let read = self.place.read(way.written(), from, &mut |bytes| {
            theirs.extend_from_slice(bytes);
            theirs.len() <= ours.len()
        });
        match read {
            Ok(()) => Ok(if theirs == ours { at } else { 0 }),
            Err(trouble) if trouble.answered() => Ok(0),
            Err(trouble) => Err(trouble.into()),
        }
    }

    fn verify(&mut self, way: &Way<'_>) -> Result<(), Stop<E>> {
        let size = way.file.content.size;
        let wrong = |what: String| {
            let text = format!("{}: {what}", way.file.name);
            Err(Ended::Later(Reason::new("verify", text), Class::Failure).into())
        };
        match self.plan.verify {
            Verify::None => Ok(()),
            Verify::ReadBack => match compare(self.place, way.written(), &way.file.content)? {
                Seen::Proven => Ok(()),
                _ => wrong("what was read back is not what was sent; it was not published".to_owned()),
            },
            Verify::Size => match self.place.look(way.written())? {
                Look::File(Some(there)) if there == size => Ok(()),
                Look::File(Some(there)) => wrong(format!(
                    "{there} bytes are there and {size} were sent; it was not published. A server that estimates sizes \
                     needs `verify: read_back` or `none`"
                )),
                Look::File(None) | Look::Hidden => wrong(
                    "the destination tells no size, so that the upload cannot be verified; it was not published. Such a \
                     destination needs `verify: read_back` or `none`"
                        .to_owned(),
                ),
                Look::Absent if way.terms.strategy == Strategy::Direct => {
                    Err(unverified(way, Unknown::Taken))
                }
                Look::Absent => wrong("it was written, and is not there any more".to_owned()),
            },
        }
    }

    fn rename(&mut self, way: &mut Way<'_>) -> Result<(), Stop<E>> {
        self.note(way, Mark::Sent)?;
        way.memory.sent = true;
        let replace = match way.terms.overwrite {
            Overwrite::Never => Replace::Never,
            Overwrite::Atomic => Replace::Atomic,
        };
        match self.place.rename(Name::Temp(&way.temp), way.target(), replace) {
            Ok(()) => self.confirm(way),
            Err(trouble) if trouble.answered() => self.refused(way, trouble),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// A server said that it renamed: what is there now must not be something else. Taken away already is fine.
    fn confirm(&mut self, way: &Way<'_>) -> Result<(), Stop<E>> {
        if self.plan.verify != Verify::Size {
            return Ok(());
        }
        match self.place.look(way.target()) {
            Ok(Look::File(Some(size))) if size != way.file.content.size => Err(hold(way, Held::Foreign)),
            _ => Ok(()),
        }
    }

    /// A rename that was answered by an error may have happened all the same: look and decide.
    fn refused(&mut self, way: &Way<'_>, trouble: Trouble) -> Result<(), Stop<E>> {
        if let Task::Nothing { .. } = self.decide(way)? {
            return Ok(());
        }
        self.note(way, Mark::Refused)?;
        let hint = match trouble.class {
            Class::Permission | Class::Unsupported if way.terms.overwrite == Overwrite::Never => {
                "; where renaming is not allowed, `publish: trigger` does without"
            }
            _ => "",
        };
        Err(later(Trouble::new(trouble.class, format!("{}{hint}", trouble.text))).into())
    }

    fn note(&mut self, way: &Way<'_>, mark: Mark) -> Result<(), Stop<E>> {
        (self.note)(Step { part: way.part, mark }).map_err(Stop::Unnoted)
    }

    /// Removes old temporary files. A courtesy: whatever stands in its way is no failure of the publication.
    fn tidy(&mut self) {
        let Some(tidy) = self.plan.tidy else { return };
        for entry in self.place.list(true).unwrap_or_default() {
            if is_stale(&entry.name, entry.written, tidy.now, tidy.days) {
                let _ = self.place.remove(Name::Temp(&entry.name));
            }
        }
    }
}

fn later(trouble: Trouble) -> Ended {
    Ended::Later(Reason::new(trouble.class.word(), trouble.text), trouble.class)
}

fn unreadable<E>(way: &Way<'_>, error: &io::Error) -> Stop<E> {
    Trouble::new(Class::Local, format!("the staged file of {} cannot be read: {error}", way.file.name)).into()
}

fn damaged<E>(way: &Way<'_>) -> Stop<E> {
    let text = format!(
        "the staged file of {} is not what it was when it was finished; it was not published. Render it again",
        way.file.name
    );
    Ended::Held(Reason::new("staged", text)).into()
}

fn hold<E>(way: &Way<'_>, held: Held) -> Stop<E> {
    let name = &way.file.name;
    let reason = match held {
        Held::Foreign => Reason::new(
            "foreign",
            format!(
                "the destination has another file under the name {name}: it was left as it is. Find out whose it is; when \
                 it may go, remove it there and send this one again"
            ),
        ),
        Held::Unproven => Reason::new(
            "unproven",
            format!(
                "the destination has a file of the name {name} that was never sent from here, and does not let it be \
                 read, so that nobody knows whether its bytes are ours. Compare it there by hand"
            ),
        ),
        Held::NotRepeatable => Reason::new(
            "not-repeatable",
            format!(
                "{name} means a new file each time it is used, and it may have been used: ask the receiver whether the \
                 file arrived before it is sent again"
            ),
        ),
    };
    Ended::Held(reason).into()
}

fn unverified<E>(way: &Way<'_>, unknown: Unknown) -> Stop<E> {
    let name = &way.file.name;
    let reason = match unknown {
        Unknown::Taken => Reason::new(
            "taken",
            format!(
                "{name} was sent and its answer was lost; it is not there any more, so most likely the receiver has taken \
                 it. Ask the receiver; it is not sent again by itself"
            ),
        ),
        Unknown::Blind => Reason::new(
            "blind",
            format!(
                "{name} was sent and its answer was lost, and the destination does not show whether it arrived. Ask the \
                 receiver; it is not sent again by itself"
            ),
        ),
    };
    Ended::Unverified(reason).into()
}
