//! How a file appears at its destination, and what a second look at an interrupted publication means.
//!
//! A publication may lose its answer at any request. What was noted durably beforehand and what can be seen
//! afterwards decide together ([`next`]): never by a guess, never a second time.

pub mod name;
pub mod noted;
#[cfg(test)]
mod tests;

/// How the final name comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Written under a temporary name, then renamed: the final name is never open for writing.
    #[default]
    Rename,
    /// Written under the final name; the receiver waits for the trigger file, which comes last.
    Trigger,
    /// Written under the final name, and there is no trigger: a receiver may take it half written.
    Direct,
}

/// What a file of another under the final name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// It stays; the publication is held.
    #[default]
    Never,
    /// It is replaced in one step (`posix-rename@openssh.com`, rename(2)); needs [`Strategy::Rename`].
    Atomic,
}

/// How the written bytes are checked before the final name appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Verify {
    /// The size that the destination tells is the size sent.
    #[default]
    Size,
    /// The file is read back and its SHA-256 compared: for places whose sizes are estimates.
    ReadBack,
    /// Not at all: for places that show nothing.
    None,
}

/// What is under a name, compared with the file to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Absent,
    /// A file of the same size.
    Same,
    /// A file of the same bytes.
    Proven,
    /// A file of fewer bytes.
    Shorter(u64),
    /// A file of more bytes, or of other bytes.
    Other,
    /// A file, of which the place says nothing that could be relied on.
    Unjudged,
    /// The place does not let itself be looked at.
    Hidden,
}

impl Seen {
    /// Whether something is there for certain.
    pub fn is_there(self) -> bool {
        !matches!(self, Seen::Absent | Seen::Hidden)
    }
}

/// What was noted durably about one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Memory {
    /// It was written, closed without an error, and verified.
    pub uploaded: bool,
    /// The request that makes the final name appear may have left: the rename, or the opening of the final name.
    pub sent: bool,
}

/// The rules of a destination that the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How the final name comes to be.
    pub strategy: Strategy,
    /// What a file of another means.
    pub overwrite: Overwrite,
    /// False for names such as `(+1)` that mean another file each time: after they were sent once, nothing is
    /// repeated.
    pub repeatable: bool,
}

/// Why a publication is held for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Another file, or a damaged one, has the final name.
    Foreign,
    /// A file of this name and size is there that was never sent from here, and its bytes cannot be compared.
    Unproven,
    /// The name means another file each time, and it may have been used.
    NotRepeatable,
}

/// Why nobody can say whether the file arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It was sent, and neither name is there any more: published and taken away, most likely.
    Taken,
    /// It was sent without an answer, and the place shows nothing.
    Blind,
}

/// What to do next about one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is published. A temporary file that is left is removed.
    Done,
    /// Write it; the first so many bytes may be there already ([`name::TAIL`] are compared before they are believed).
    Upload(u64),
    /// The temporary file is complete: rename it.
    Rename,
    /// Read the final file and compare its bytes; when that cannot be done, the action inside holds.
    Prove(Doubt),
    /// Touch nothing; a person decides.
    Hold(Held),
    /// Published or not: unknowable. Said once, never sent again by itself.
    Unverified(Unknown),
}

/// What holds when the bytes under the final name cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The rename had been sent: the size is enough.
    Done,
    /// Nothing was ever sent: a file of somebody else.
    Hold,
    /// It may be replaced anyway.
    Replace,
}

/// What to do about a file of which this is seen and that was noted. `temp` is [`Seen::Absent`] for the strategies
/// without a temporary name.
pub fn next(terms: Terms, target: Seen, temp: Seen, memory: Memory) -> Action {
    if memory.sent && !terms.repeatable && !(memory.uploaded && terms.strategy != Strategy::Rename) {
        return Action::Hold(Held::NotRepeatable);
    }
    match terms.strategy {
        Strategy::Rename => renamed(terms.overwrite, target, temp, memory),
        Strategy::Trigger | Strategy::Direct => direct(terms.strategy, target, memory),
    }
}

fn renamed(overwrite: Overwrite, target: Seen, temp: Seen, memory: Memory) -> Action {
    match (target, overwrite) {
        (Seen::Proven, _) => Action::Done,
        // A rename takes the temporary name away. One that is still there says that the file may be another's; or
        // that a server which links and unlinks was cut in between.
        (Seen::Same, _) if memory.sent && temp.is_there() => Action::Prove(Doubt::Done),
        // Yesterday's file may well have today's size, and a janitor have taken what was to replace it.
        (Seen::Same, Overwrite::Atomic) if memory.sent => Action::Prove(Doubt::Done),
        (Seen::Same, _) if memory.sent => Action::Done,
        (Seen::Same, Overwrite::Never) => Action::Prove(Doubt::Hold),
        (Seen::Same, Overwrite::Atomic) => Action::Prove(Doubt::Replace),
        (Seen::Unjudged, Overwrite::Never) if !memory.sent => Action::Prove(Doubt::Hold),
        // It was absent before, and now the temporary name is: the rename is what happened in between.
        (Seen::Unjudged, Overwrite::Never) if temp == Seen::Absent => Action::Done,
        (Seen::Unjudged, Overwrite::Never) if temp == Seen::Hidden => Action::Unverified(Unknown::Blind),
        (Seen::Other | Seen::Shorter(_) | Seen::Unjudged, Overwrite::Never) => Action::Hold(Held::Foreign),
        (Seen::Hidden, _) if memory.sent => Action::Unverified(Unknown::Blind),
        (Seen::Absent | Seen::Hidden, _) | (Seen::Other | Seen::Shorter(_) | Seen::Unjudged, Overwrite::Atomic) => {
            unpublished(temp, memory)
        }
    }
}

/// The final name is free, or may be replaced.
fn unpublished(temp: Seen, memory: Memory) -> Action {
    match temp {
        Seen::Same | Seen::Proven | Seen::Unjudged if memory.uploaded => Action::Rename,
        // Without the answer to its CLOSE a file of the right size is not known to be complete: as far as it goes.
        Seen::Shorter(size) => Action::Upload(size),
        Seen::Same | Seen::Proven => Action::Upload(u64::MAX),
        Seen::Other | Seen::Unjudged => Action::Upload(0),
        Seen::Absent if memory.sent => Action::Unverified(Unknown::Taken),
        Seen::Hidden if memory.sent => Action::Unverified(Unknown::Blind),
        Seen::Absent | Seen::Hidden => Action::Upload(0),
    }
}

/// The final name itself is written.
fn direct(strategy: Strategy, target: Seen, memory: Memory) -> Action {
    if !memory.sent {
        return match target {
            Seen::Proven => Action::Done,
            Seen::Same | Seen::Unjudged => Action::Prove(Doubt::Hold),
            Seen::Shorter(_) | Seen::Other => Action::Hold(Held::Foreign),
            Seen::Absent | Seen::Hidden => Action::Upload(0),
        };
    }
    // It was closed without an error and verified, under its final name: whatever became of it since.
    if memory.uploaded {
        return match target {
            Seen::Shorter(_) | Seen::Other => Action::Hold(Held::Foreign),
            _ => Action::Done,
        };
    }
    match (target, strategy) {
        (Seen::Proven, _) => Action::Done,
        (Seen::Same, _) => Action::Upload(u64::MAX),
        (Seen::Shorter(size), _) => Action::Upload(size),
        (Seen::Other, _) => Action::Hold(Held::Foreign),
        // Nobody takes it before the trigger: it can be written again.
        (Seen::Absent | Seen::Hidden | Seen::Unjudged, Strategy::Trigger) => Action::Upload(0),
        (Seen::Absent, _) => Action::Unverified(Unknown::Taken),
        (Seen::Hidden | Seen::Unjudged, _) => Action::Unverified(Unknown::Blind),
    }
}

/// What a look means: `told` is the size that the place tells of a file (none = it tells none), `size` the size to
/// be published. Under [`Verify::ReadBack`] sizes may be estimates and say nothing; under [`Verify::None`] only an
/// equal one says something.
pub fn seen(verify: Verify, told: Option<u64>, size: u64) -> Seen {
    match (verify, told) {
        (Verify::Size | Verify::None, Some(told)) if told == size => Seen::Same,
        (Verify::Size, Some(told)) if told < size => Seen::Shorter(told),
        (Verify::Size, Some(_)) => Seen::Other,
        _ => Seen::Unjudged,
    }
}

/// Terms that cannot be kept, in plain words.
pub fn contradiction(strategy: Strategy, overwrite: Overwrite, trigger: bool) -> Option<&'static str> {
    match (strategy, overwrite) {
        (Strategy::Trigger | Strategy::Direct, Overwrite::Atomic) => {
            Some("`overwrite: atomic` replaces a file by a rename, and so needs `publish: rename`")
        }
        (Strategy::Trigger, _) if !trigger => {
            Some("`publish: trigger` needs a trigger file, which tells the receiver that the data is complete")
        }
        _ => None,
    }
}
