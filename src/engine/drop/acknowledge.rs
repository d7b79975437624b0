//! Acknowledgements: the answers of the receiver are looked for, read and applied.
//!
//! An answer is read when it is whole: its trigger is there, or its size and time have held still between two looks. What
//! it says is checked before anything of it is applied, and all of it is applied in one commit, with its content: the
//! same again changes nothing, whatever the place lets us do with it. What cannot be understood is put aside and changes
//! nothing either.

mod apply;
mod aside;
pub mod awaited;
mod understand;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outlet::Reach;
use super::worker::{StepError, Worker};
use crate::adapter::directory::Directory;
use crate::adapter::pgp::Open;
use crate::adapter::place::{Class, Entry, Name, Place, Replace, Trouble, quoted};
use crate::adapter::sftp;
use crate::clock::{self, Timestamp};
use crate::engine::operate::called;
use crate::format::feed::Feed;
use crate::rules::answer::{Unlisted, Words, fits};
use crate::rules::hex::hex;
use crate::rules::publish::name::is_temporary;
use crate::store::state::drops::{FileId, FileState, ack as acks};
use crate::store::state::{note, set_note};
use aside::Taken;

pub(super) use apply::state;
pub use aside::{DISMISSED, QUARANTINED};

/// How often is looked for answers while a file waits for one.
const LOOK: Duration = Duration::from_secs(60);
/// How often otherwise: an answer to a file that waits for none is a mistake that somebody should hear of.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// Bytes of the largest answer that is read.
const MOST: u64 = 256 << 20;

/// How answers are fetched, read and understood.
#[derive(Debug)]
pub struct Ack {
    /// The place that has them, for messages.
    pub outlet: String,
    /// Their folder; its folder for temporary files is that of answers that were used.
    pub reach: Reach,
    /// Names of answers; `*` stands for any text.
    pub pattern: String,
    /// The name of the partner's trigger, `{file}` for that of the answer; none = size and time must hold still.
    pub trigger: Option<String>,
    /// For how long, between two looks.
    pub settle: Duration,
    /// What an answer looks like.
    pub feed: Feed,
    /// How it says which file it answers.
    pub file: Matching,
    /// Its item with the key of a record, and the item or field of our file that it repeats. None = answers are about
    /// whole files.
    pub record: Option<(String, String)>,
    /// What it says of a record.
    pub status: Option<Words>,
    /// What it says of the file as a whole.
    pub file_status: Option<Words>,
    /// Its item with a code.
    pub code: Option<String>,
    /// Its item with a text.
    pub text: Option<String>,
    /// What holds for records that it does not list.
    pub unlisted: Unlisted,
    /// An answer that is not there after so long is an alarm; none = never.
    pub overdue: Option<Duration>,
    /// What becomes of it there.
    pub after: After,
    /// How it is decrypted and verified; none = it comes as it is.
    pub pgp: Option<Open>,
}

/// How an answer says which file it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matching {
    /// By our number in one of its headers or trailers, and a file id that is ours.
    Sequence {
        /// The item with the file id, and what ours is; none = it is not compared.
        id: Option<(String, String)>,
        /// The item with our number.
        sequence: String,
    },
    /// By the name of our file in one of its headers or trailers.
    Name(String),
}

/// What becomes of an answer that was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// It stays.
    #[default]
    Leave,
    /// It is removed.
    Delete,
    /// It is moved to the folder of those that were used.
    Move,
}

impl Ack {
    /// Opens a session, and says why nothing can be moved in it.
    fn open(&self) -> Result<(Box<dyn Place + Send>, Option<Trouble>), Trouble> {
        match &self.reach {
            Reach::Sftp(target) => Ok((sftp::open(target)?, None)),
            Reach::Directory { folder, temps } => {
                // The folder of those that were used may not be there: answers are read all the same.
                let moving = temps.as_deref().map(|temps| Directory::open(folder, Some(temps)));
                match moving {
                    Some(Ok(place)) => Ok((Box::new(place), None)),
                    Some(Err(trouble)) => Ok((Box::new(Directory::open(folder, None)?), Some(trouble))),
                    None => Ok((Box::new(Directory::open(folder, None)?), None)),
                }
            }
        }
    }

    /// Reaches the place of the answers without changing anything there.
    pub fn probe(&self) -> Result<(), Trouble> {
        match self.open()? {
            (_, Some(trouble)) => Err(trouble),
            (mut place, None) => match self.after {
                // What stays is only read.
                After::Leave => place.list(false).map(drop),
                After::Delete | After::Move => place.probe(),
            },
        }
    }

    /// The answer of which a trigger tells.
    fn told_of<'n>(&self, trigger: &'n str) -> Option<&'n str> {
        let (before, behind) = self.trigger.as_ref()?.split_once("{file}")?;
        let name = trigger.strip_prefix(before)?.strip_suffix(behind)?;
        fits(&self.pattern, name).then_some(name)
    }

    fn trigger_of(&self, name: &str) -> Option<String> {
        self.trigger.as_ref().map(|trigger| trigger.replace("{file}", name))
    }
}

/// What was seen of an answer that is not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sight {
    size: Option<u64>,
    written: Option<u64>,
    /// Since when, by the clock for timers.
    since: i64,
}

/// What a worker keeps in mind between two looks.
#[derive(Debug, Default)]
pub(super) struct Watch {
    next: Timestamp,
    /// Answers that must hold still; none = what an earlier run has seen was not read yet.
    seen: Option<BTreeMap<String, Sight>>,
    /// Answers that were dealt with, by name, with size and time: they are not fetched again.
    dealt: BTreeMap<String, (Option<u64>, Option<u64>)>,
    /// Files of which was said that their answers are late.
    late: BTreeSet<FileId>,
    /// What was said last of the place.
    said: Option<String>,
}

impl Watch {
    /// It is looked at once.
    pub(super) fn now(&mut self) {
        self.next = clock::steady();
    }

    /// It is looked at once, and at what was dealt with too.
    pub(super) fn again(&mut self) {
        self.now();
        self.dealt.clear();
    }
}

impl Worker {
    /// Looks for answers when it is time; gives when that is again. None = nothing is answered here.
    pub(super) fn acknowledge(&mut self) -> Result<Option<Timestamp>, StepError> {
        let drop = Arc::clone(&self.drop);
        let Some(ack) = &drop.ack else { return Ok(None) };
        self.say_late(ack)?;
        if let Some(opens) = self.closed_until() {
            return Ok(Some(opens));
        }
        let now = clock::steady();
        if now < self.watch.next {
            return Ok(Some(self.watch.next));
        }
        let waits = !self.in_state(FileState::Published)?.is_empty() || !self.in_state(FileState::Rendered)?.is_empty();
        let mut next = now.plus(if waits { LOOK } else { IDLE });
        let said = self.watch.said.take();
        match self.look(ack, said.as_deref())? {
            Ok(due) => next = due.map_or(next, |due| next.min(due)),
            Err(trouble) => {
                self.say_of_place(said.as_deref(), format!("no answers from {}: {trouble}", ack.outlet));
                // A person changes it; until then each attempt may be one too many for the account there.
                if trouble.class.is_configuration() {
                    next = now.plus(IDLE);
                }
            }
        }
        self.watch.next = next;
        Ok(Some(next))
    }

    /// Says once of each file that its answer is late.
    fn say_late(&mut self, ack: &Ack) -> Result<(), StepError> {
        let Some(limit) = ack.overdue else { return Ok(()) };
        let now = clock::now();
        for file in self.in_state(FileState::Published)? {
            if now.since(file.since) >= limit && self.watch.late.insert(file.id) {
                let name = &self.drop.subscription.name;
                log::error!(connector:% = name; "{name}: {} is published since {} and not answered", called(&file), file.since);
            }
        }
        Ok(())
    }

    /// Says what it did not say at the look before.
    fn say_of_place(&mut self, before: Option<&str>, text: String) {
        if before != Some(&text) {
            log::warn!(connector:% = self.drop.subscription.name; "{}: {text}", self.drop.subscription.name);
        }
        self.watch.said = Some(text);
    }

    /// One look: reads what is whole. Gives when something may be whole that is not yet.
    fn look(&mut self, ack: &Ack, said: Option<&str>) -> Result<Result<Option<Timestamp>, Trouble>, StepError> {
        let (mut place, unmoved) = match ack.open() {
            Ok(opened) => opened,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let listing = match place.list(false) {
            Ok(listing) => listing,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let mut seen = self.sights()?;
        let before = seen.clone();
        let mut next: Option<Timestamp> = None;
        let answers = answers(ack, &listing);
        for entry in &answers {
            let stamp = (entry.size, entry.written);
            if entry.written.is_some() && self.watch.dealt.get(&entry.name) == Some(&stamp) {
                continue;
            }
            if let Some(due) = unsettled(ack, entry, &listing, &mut seen) {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            let bytes = match fetch(&mut *place, entry) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    // It has grown since it was listed.
                    seen.remove(&entry.name);
                    next = Some(clock::steady().plus(ack.settle));
                    continue;
                }
                Err(trouble) if trouble.answered() => {
                    self.say_of_place(said, format!("an answer cannot be read: {trouble}"));
                    continue;
                }
                Err(trouble) => return Ok(Err(trouble)),
            };
            match self.take(ack, &entry.name, &bytes)? {
                Taken::Later => continue,
                Taken::Aside => {}
                Taken::Used => self.put_away(ack, &mut *place, unmoved.as_ref(), &entry.name, &bytes),
            }
            seen.remove(&entry.name);
            self.watch.dealt.insert(entry.name.clone(), stamp);
        }
        let is_there = |name: &str| answers.iter().any(|entry| entry.name == name);
        // An end between the removing of an answer and of its trigger has left that one.
        for entry in listing.iter().filter(|_| ack.after != After::Leave) {
            let Some(name) = ack.told_of(&entry.name).filter(|name| !is_there(name)) else { continue };
            if self.was_used(name)? {
                self.put_away(ack, &mut *place, unmoved.as_ref(), name, &[]);
            }
        }
        self.watch.dealt.retain(|name, _| is_there(name));
        seen.retain(|name, _| is_there(name));
        if seen != before {
            self.keep_sights(&seen)?;
        }
        self.watch.seen = Some(seen);
        Ok(Ok(next))
    }

    /// What was seen, by this run or an earlier one.
    fn sights(&mut self) -> Result<BTreeMap<String, Sight>, StepError> {
        if let Some(seen) = &self.watch.seen {
            return Ok(seen.clone());
        }
        let name = awaited::sights(self.id);
        let kept = self.reader.read(|db| note(db, &name))?;
        Ok(kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    fn keep_sights(&self, seen: &BTreeMap<String, Sight>) -> Result<(), StepError> {
        let (name, text) = (awaited::sights(self.id), serde_json::to_string(seen).unwrap_or_default());
        Ok(self.ledger.call(move |state| state.commit(|db| set_note(db, &name, &text)))?)
    }

    /// What becomes of an answer, and of its trigger, when it was used. That the place refuses changes nothing.
    fn put_away(&self, ack: &Ack, place: &mut dyn Place, unmoved: Option<&Trouble>, name: &str, bytes: &[u8]) {
        let done = [Some(name.to_owned()), ack.trigger_of(name)].into_iter().flatten().try_for_each(|name| {
            match (ack.after, unmoved) {
                (After::Leave, _) => Ok(()),
                (After::Delete, _) => gone(place.remove(Name::Final(&name))),
                (After::Move, Some(trouble)) => Err(trouble.clone()),
                (After::Move, None) => {
                    match place.rename(Name::Final(&name), Name::Temp(&name), Replace::Never) {
                        // The name was used before: its content tells them apart. Some servers say only that it failed.
                        Err(trouble) if matches!(trouble.class, Class::Exists | Class::Failure) => {
                            let digits: String = hex(&crate::adapter::sha256(bytes)).chars().take(8).collect();
                            let other = format!("{name}.{digits}");
                            gone(place.rename(Name::Final(&name), Name::Temp(&other), Replace::Never))
                        }
                        moved => gone(moved),
                    }
                }
            }
        });
        if let Err(trouble) = done {
            let (drop, name) = (&self.drop.subscription.name, quoted(name.as_bytes()));
            log::warn!(connector:% = drop; "{drop}: the answer {name} was used and stays at {}: {trouble}", ack.outlet);
        }
    }

    /// Whether an answer of this name was used.
    fn was_used(&mut self, name: &str) -> Result<bool, StepError> {
        let (id, shown) = (self.id, quoted(name.as_bytes()));
        let known = self.reader.read(|db| acks::named(db, id, &shown))?;
        Ok(known.iter().any(|known| known.file.is_some()))
    }

    /// What was read with a content before.
    fn known_answer(&mut self, sha256: &[u8; 32]) -> Result<Option<acks::Ack>, StepError> {
        let id = self.id;
        Ok(self.reader.read(|db| acks::known(db, id, sha256))?)
    }
}

/// What is not there any more needs no putting away.
fn gone(done: Result<(), Trouble>) -> Result<(), Trouble> {
    done.or_else(|trouble| if trouble.class == Class::Missing { Ok(()) } else { Err(trouble) })
}

/// The answers of a listing by name, without what is on its way or tells of another.
fn answers<'l>(ack: &Ack, listing: &'l [Entry]) -> Vec<&'l Entry> {
    // A name that could drive a terminal is none of an answer.
    let plain = |name: &str| !is_temporary(name) && !name.chars().any(char::is_control);
    let fit = |entry: &&Entry| fits(&ack.pattern, &entry.name) && plain(&entry.name);
    let mut found: Vec<&Entry> = listing.iter().filter(fit).collect();
    let triggers: BTreeSet<String> = found.iter().filter_map(|entry| ack.trigger_of(&entry.name)).collect();
    found.retain(|entry| !triggers.contains(&entry.name));
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// When an answer may be whole; none = it is now.
fn unsettled(ack: &Ack, entry: &Entry, listing: &[Entry], seen: &mut BTreeMap<String, Sight>) -> Option<Timestamp> {
    let now = clock::steady();
    if let Some(trigger) = ack.trigger_of(&entry.name) {
        let is_there = listing.iter().any(|other| other.name == trigger);
        return (!is_there).then(|| now.plus(LOOK));
    }
    let fresh = Sight { size: entry.size, written: entry.written, since: now.0 };
    let before = seen.get(&entry.name).copied();
    match before {
        // A time that an earlier run has noted may lie anywhere.
        Some(sight) if (sight.size, sight.written) == (fresh.size, fresh.written) && sight.since <= now.0 => {
            let due = Timestamp(sight.since).plus(ack.settle);
            (due > now).then_some(due)
        }
        _ => {
            seen.insert(entry.name.clone(), fresh);
            Some(now.plus(ack.settle))
        }
    }
}

/// The bytes of an answer; none = it is not what was listed.
fn fetch(place: &mut dyn Place, entry: &Entry) -> Result<Option<Vec<u8>>, Trouble> {
    let mut bytes = Vec::new();
    place.read(Name::Final(&entry.name), 0, &mut |some| {
        bytes.extend_from_slice(some);
        (bytes.len() as u64) <= MOST
    })?;
    if bytes.len() as u64 > MOST {
        let text = format!("{} has more than {} MiB", quoted(entry.name.as_bytes()), MOST >> 20);
        return Err(Trouble::new(Class::Local, text));
    }
    let whole = entry.size.is_none_or(|size| size == bytes.len() as u64);
    Ok(whole.then_some(bytes))
}
