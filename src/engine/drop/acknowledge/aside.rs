//! Taking an answer: it is understood, kept, and applied; or put aside, and nothing changes.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::apply::{self, Applied};
use super::understand::{self, Which};
use super::{Ack, MOST, Matching, acks};
use crate::adapter::place::quoted;
use crate::clock;
use crate::engine::drop::worker::{StepError, Worker};
use crate::engine::operate::called;
use crate::format::feed::Parsed;
use crate::rules::answer::local_name;
use crate::rules::hex::hex;
use crate::rules::outcome::Reason;
use crate::store::state::act::{self, Act};
use crate::store::state::drops::{DropFile, FileId, FileState};

/// The word of an acknowledgement that could not be used.
pub const QUARANTINED: &str = "quarantined";
/// The word of one of which a person has said that it is dealt with.
pub const DISMISSED: &str = "dismissed";

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was used, now or before.
    Used,
    /// It was put aside.
    Aside,
    /// Its file is on its way still: another time.
    Later,
}

impl Worker {
    /// Takes an answer as it was received.
    pub(super) fn take(&mut self, ack: &Ack, name: &str, received: &[u8]) -> Result<Taken, StepError> {
        let Some(pgp) = &ack.pgp else { return self.take_read(ack, name, received, received) };
        let sha256 = crate::adapter::sha256(received);
        let known = self.known_answer(&sha256)?;
        if known.as_ref().is_some_and(|known| known.word == DISMISSED) {
            return Ok(Taken::Aside);
        }
        match pgp.open(received, MOST, clock::now()) {
            Ok(text) => {
                let taken = self.take_read(ack, name, &text, received)?;
                // From here on it is known by what it says: the same may come again and be encrypted otherwise.
                if known.is_some() && taken != Taken::Later {
                    let id = self.id;
                    self.ledger.call(move |state| state.commit(|db| acks::forget(db, id, &sha256)))?;
                }
                Ok(taken)
            }
            Err(reason) => {
                let reason = reason.to_string();
                if known.is_none_or(|known| known.reason.as_deref() != Some(&reason)) {
                    self.quarantine(name, received, sha256, reason)?;
                }
                Ok(Taken::Aside)
            }
        }
    }

    /// Takes an answer that can be read: `bytes` is what it says, `received` is kept.
    fn take_read(&mut self, ack: &Ack, name: &str, bytes: &[u8], received: &[u8]) -> Result<Taken, StepError> {
        let sha256 = crate::adapter::sha256(bytes);
        let known = self.known_answer(&sha256)?;
        match known.as_ref().map(|known| known.word.as_str()) {
            Some(DISMISSED) => return Ok(Taken::Aside),
            // What could not be used before is tried again: the file, or the configuration, may be there now.
            Some(QUARANTINED) | None => {}
            Some(_) => return Ok(Taken::Used),
        }
        match self.try_take(ack, name, (bytes, received), sha256)? {
            Ok(taken) => Ok(taken),
            Err(reason) => {
                let reason = reason.to_string();
                if known.is_none_or(|known| known.reason.as_deref() != Some(&reason)) {
                    self.quarantine(name, received, sha256, reason)?;
                }
                Ok(Taken::Aside)
            }
        }
    }

    /// A reason says why it cannot be used.
    fn try_take(
        &mut self,
        ack: &Ack,
        name: &str,
        (bytes, received): (&[u8], &[u8]),
        sha256: [u8; 32],
    ) -> Result<Result<Taken, Reason>, StepError> {
        let answer = match ack.feed.read(bytes).and_then(|parsed| understand::understand(ack, &parsed)) {
            Ok(answer) => answer,
            Err(reason) => return Ok(Err(reason)),
        };
        let file = match self.answered(&answer.which)? {
            Ok(file) => file,
            Err(reason) => {
                if let (Matching::Sequence { id: Some(_), .. }, Which::Number(seq)) = (&ack.file, &answer.which) {
                    self.guard_numbers(*seq)?;
                }
                return Ok(Err(reason));
            }
        };
        match file.state {
            FileState::Published | FileState::Acked | FileState::Partial | FileState::Refused => {}
            // It may be there although we do not know it yet.
            FileState::Cut | FileState::Rendered => return Ok(Ok(Taken::Later)),
            FileState::Open | FileState::Skipped | FileState::Discarded | FileState::Purged => {
                let text = format!("the file {} is {}", called(&file), file.state.as_str());
                return Ok(Err(Reason::new("unknown-file", text)));
            }
        }
        let ours = if answer.records.is_empty() { Ok(Default::default()) } else { self.sent(&file)? };
        let plan = match understand::plan(ack, &answer, || ours) {
            Ok(plan) => plan,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(received)?;
        self.staging.keep(&format!("archive/{}.ack.gz", local(name, &sha256)), &packed.finish()?)?;
        let (id, drop, shown) = (self.id, Arc::clone(&self.drop), quoted(name.as_bytes()));
        let read = acks::Ack {
            sha256,
            name: shown.clone(),
            at: clock::now(),
            file: Some(file.id),
            word: String::new(),
            reason: None,
        };
        let whole = answer.whole.clone();
        let applied = self
            .ledger
            .call(move |state| state.commit(|db| apply::apply(db, &drop, id, (&plan, whole.as_ref()), read)))?;
        let applied = match applied {
            Ok(applied) => applied,
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(Ok(match applied {
            Applied::Known => Taken::Used,
            Applied::Later => Taken::Later,
            Applied::Done(tally) => {
                let level = if tally.rejected > 0 { log::Level::Warn } else { log::Level::Info };
                let name = &self.drop.subscription.name;
                log::log!(level, connector:% = name; "{name}: {shown} answers {}: {tally}", called(&file));
                Taken::Used
            }
        }))
    }

    /// The file that an answer is about.
    fn answered(&mut self, which: &Which) -> Result<Result<DropFile, Reason>, StepError> {
        let id = self.id;
        let (found, what) = match which {
            Which::Number(seq) => {
                let seq = *seq;
                (self.reader.read(|db| acks::with_number(db, id, seq))?, "no file has its number")
            }
            Which::Name(name) => {
                // Whoever decrypts a file may call it by the name that it has then.
                let published = format!("{name}{}", self.drop.naming.extension);
                let mut found = self.reader.read(|db| acks::with_name(db, id, name))?;
                if found.is_empty() {
                    found = self.reader.read(|db| acks::with_name(db, id, &published))?;
                }
                (found, "no file has its name")
            }
            Which::Nobody(why) => (Vec::new(), *why),
        };
        // Numbers come again: the newest that waits is meant, else the newest.
        let waiting = found.iter().find(|file| file.state == FileState::Published);
        let file = waiting.or_else(|| found.first()).cloned();
        Ok(file.ok_or_else(|| Reason::new("unknown-file", what)))
    }

    /// The places of the lines of a file, and the file as its receiver reads it.
    fn sent(&mut self, file: &DropFile) -> Result<Result<(Vec<i64>, Parsed), Reason>, StepError> {
        let mut places = Vec::new();
        loop {
            let (id, after) = (file.id, places.last().copied().unwrap_or(i64::MIN));
            let lines = self.reader.read(|db| acks::lines(db, id, after, 1000))?;
            if lines.is_empty() {
                break;
            }
            places.extend(lines.into_iter().map(|line| line.ordinal));
        }
        let mut bytes = Vec::new();
        self.staging.read(file.id, |some| {
            bytes.extend_from_slice(some);
            Ok(())
        })?;
        // What wrote it then can read it.
        let Some(drop) = self.as_it_was(file)? else {
            return Ok(Err(Reason::new("changed", "the configuration that made our own file is not known any more")));
        };
        let parsed = drop.feed.read(&bytes);
        Ok(parsed.map(|parsed| (places, parsed)).map_err(|reason| {
            let text = format!("our own file cannot be read back: {}", reason.text);
            Reason::new("changed", text)
        }))
    }

    /// Puts an answer aside that cannot be used: a copy is kept, and a person is told.
    fn quarantine(&mut self, name: &str, bytes: &[u8], sha256: [u8; 32], reason: String) -> Result<(), StepError> {
        self.staging.keep(&format!("quarantine/{}", local(name, &sha256)), bytes)?;
        let (id, drop, shown) = (self.id, &self.drop.subscription.name, quoted(name.as_bytes()));
        log::error!(connector:% = drop; "{drop}: the answer {shown} is put aside, and nothing of it is applied: {reason}");
        self.ledger.call(move |state| {
            state.commit(|db| {
                // A person may have dealt with it since it was looked at.
                if acks::known(db, id, &sha256)?.is_some_and(|known| known.word == DISMISSED) {
                    return Ok(());
                }
                let now = clock::now();
                let text = format!("sha256 {}: {reason}", hex(&sha256));
                act::record(
                    db,
                    &Act {
                        actor: "system",
                        verb: "drop quarantine",
                        connector: Some(id),
                        subject: Some(&shown),
                        reason: Some(&text),
                    },
                    now,
                )?;
                let read = acks::Ack {
                    sha256,
                    name: shown.clone(),
                    at: now,
                    file: None,
                    word: QUARANTINED.to_owned(),
                    reason: Some(reason),
                };
                acks::remember(db, id, &read)
            })
        })?;
        Ok(())
    }
}

/// The name under which an answer is kept here.
fn local(name: &str, sha256: &[u8; 32]) -> String {
    let digits: String = hex(sha256).chars().take(12).collect();
    format!("{}.{digits}", local_name(name))
}

/// The number of a file, for the act that tells of it.
pub(super) fn subject(file: &DropFile) -> String {
    file.numbers.map_or_else(|| file.date.clone(), |numbers| numbers.seq.to_string())
}

/// Whether a file is the one, or the one that it repeats.
pub(super) fn is_or_repeats(file: &DropFile, carrier: FileId) -> bool {
    file.id == carrier || file.rerun_of == Some(carrier)
}
