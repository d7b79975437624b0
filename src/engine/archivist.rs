//! The archivist of the audit: signs where the chain stands, seals its days into the archive, lets what is sealed leave the
//! state file, and deletes what is older than it must be kept.

mod seal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::clock::{self, Timestamp};
use crate::engine::archive::{self, Archive, ArchiveError, Keys};
use crate::engine::ledger::{Ledger, LedgerError, MANY};
use crate::format::note::{Checkpoint, Signer};
use crate::rules::chain::day;
use crate::rules::clock::cutoff;
use crate::rules::hex::hex;
use crate::store::state::act::Act;
use crate::store::state::chain::{self, Head};
use crate::store::state::{StateError, StateReader, act, audit, belief, conflict, fact, note, segment, set_note};

/// A chain that has grown is signed so often at least.
const HOURLY: Duration = Duration::from_secs(3600);
/// Whether anything is due is looked at so often.
const LOOK: Duration = Duration::from_secs(600);
/// Rows that leave the state file in one commit.
const BLOCK: i64 = 500;
/// The notes in `meta`: the key that signs now, and from which row on; the first key signs what is before it too.
const KEY: &str = "audit_key";
const KEY_ROW: &str = "audit_key_row";

/// How long the audit stays where.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// What is sealed stays in the state file so long, for `status`.
    pub live: Duration,
    /// In the archive it stays so long.
    pub audit: Duration,
    /// Conflicts that are over stay in the state file so long, with their values.
    pub conflicts: Duration,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ArchivistError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its writer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A piece cannot be written.
    #[error("{name}: {error}; look at the space on the disk of the archive")]
    Write {
        /// Its name.
        name: String,
        /// Why.
        error: std::io::Error,
    },
    /// No key can be made.
    #[error("the system gives no random numbers, so that no key can be made")]
    Random,
    /// A row is not what was recorded.
    #[error("record {n} of the audit was changed: nothing of it is sealed; `hms-sync audit verify` says more")]
    Broken {
        /// Its number.
        n: i64,
    },
}

impl ArchivistError {
    /// Whether a sync has failed or the state file is damaged: the agent must end.
    pub fn is_broken(&self) -> bool {
        match self {
            ArchivistError::State(error) | ArchivistError::Ledger(LedgerError::State(error)) => error.is_broken(),
            _ => false,
        }
    }
}

/// The archivist of one state file.
#[derive(Debug)]
pub struct Archivist {
    ledger: Ledger,
    reader: StateReader,
    archive: Archive,
    seed: Zeroizing<[u8; 32]>,
    signer: Signer,
    keep: Keep,
    /// A second file for checkpoints, best on another machine.
    copy: Option<PathBuf>,
    copy_fails: bool,
    signed: Option<Head>,
    signed_at: Timestamp,
}

impl Archivist {
    /// Opens the archive beside the state file, and makes its first key when there is none.
    ///
    /// # Errors
    /// The folder cannot be made, or the key not be kept.
    pub fn open(state: &Path, ledger: Ledger, keep: Keep, copy: Option<PathBuf>) -> Result<Archivist, ArchivistError> {
        let mut reader = StateReader::open(state)?;
        let instance = reader.read(|db| fact(db, "instance"))?;
        let archive = Archive::beside(state, &instance);
        archive.prepare()?;
        let (seed, signer) = key(&archive, &mut reader, &ledger)?;
        let signed =
            archive.checkpoints()?.last().map(|note| Head { n: note.checkpoint.size, hash: note.checkpoint.root });
        // Due at once: what an earlier run wrote before it was killed is not signed yet.
        let signed_at = clock::steady().minus(HOURLY);
        Ok(Archivist { ledger, reader, archive, seed, signer, keep, copy, copy_fails: false, signed, signed_at })
    }

    /// How long to wait for the next round when nothing is heard.
    pub fn patience(&self) -> Duration {
        let now = clock::now();
        let midnight = crate::rules::chain::begin_of(day(now) + 1).since(now).saturating_add(Duration::from_secs(1));
        midnight.min(LOOK)
    }

    /// Does what is due.
    ///
    /// # Errors
    /// Something of it could not be done; it is tried again in the next round.
    pub fn round(&mut self) -> Result<(), ArchivistError> {
        self.forget_conflicts()?;
        let head = self.reader.read(chain::head)?;
        let before = self.signed.map_or(-1, |signed| signed.n);
        if head.n >= before + MANY || clock::steady() >= self.signed_at.plus(HOURLY) {
            self.sign()?;
        }
        let mut sealed = false;
        while self.seal_next()? {
            sealed = true;
        }
        // One key for all that was overdue: where the next one begins stands behind it.
        if sealed {
            self.turn()?;
        }
        self.release()?;
        self.forget()
    }

    /// Signs where the chain stands, unless it stands where it was signed last.
    ///
    /// # Errors
    /// The checkpoint cannot be kept.
    pub fn sign(&mut self) -> Result<(), ArchivistError> {
        let head = self.reader.read(chain::head)?;
        self.signed_at = clock::steady();
        if self.signed == Some(head) {
            return Ok(());
        }
        let checkpoint = Checkpoint { origin: self.archive.origin().to_owned(), size: head.n, root: head.hash };
        let Some(note) = self.signer.sign(&checkpoint) else { return Ok(()) };
        self.archive.add_checkpoint(&note)?;
        self.signed = Some(head);
        log::info!("audit: checkpoint {}", note.line());
        if let Some(copy) = &self.copy {
            let copied = archive::append(copy, &note);
            if let Err(error) = &copied
                && !self.copy_fails
            {
                log::warn!("{}: a checkpoint of the audit cannot be added: {error}", copy.display());
            }
            self.copy_fails = copied.is_err();
        }
        Ok(())
    }

    /// Lets what is sealed leave the state file, in blocks, when `status` needs it no more.
    fn release(&mut self) -> Result<(), ArchivistError> {
        let Some(cutoff) = self.cutoff(self.keep.live)? else { return Ok(()) };
        while self.reader.read(|db| audit::has_older(db, cutoff))? {
            self.ledger.call(move |state| state.commit(|db| audit::release(db, cutoff, BLOCK)))?;
        }
        Ok(())
    }

    /// Deletes the pieces that are older than they must be kept. That is recorded before the first of their files goes.
    fn forget(&mut self) -> Result<(), ArchivistError> {
        if let Some(cutoff) = self.cutoff(self.keep.audit)? {
            while let Some(old) = self.reader.read(|db| segment::oldest_before(db, cutoff))? {
                log::info!("audit: {} is older than `retention: audit` says, and is deleted", old.name);
                self.ledger.call(move |state| {
                    state.commit(|db| {
                        segment::forget(db, &old)?;
                        let reason = format!("records {} to {}, hash {}", old.first_n, old.last_n, hex(&old.hash));
                        record(db, FORGET, &old.name, &reason)
                    })
                })?;
            }
        }
        let forgotten = self.reader.read(segment::forgotten)?;
        for piece in self.archive.pieces()?.into_iter().filter(|piece| piece.first_n <= forgotten) {
            self.archive.remove(&piece.name())?;
        }
        Ok(())
    }

    /// Conflicts that are over go with their values once they are old, in blocks. It is no part of the audit, but goes by age
    /// like it, and at the same pace.
    fn forget_conflicts(&mut self) -> Result<(), ArchivistError> {
        let Some(cutoff) = self.cutoff(self.keep.conflicts)? else { return Ok(()) };
        while self.reader.read(|db| conflict::has_older(db, cutoff))? {
            self.ledger.call(move |state| state.commit(|db| conflict::forget(db, cutoff, BLOCK as usize)))?;
        }
        Ok(())
    }

    /// What is older may go; none while the clock is not believed.
    fn cutoff(&mut self, keep: Duration) -> Result<Option<Timestamp>, ArchivistError> {
        let known = self.reader.read(belief::known)?;
        Ok(cutoff(clock::now(), clock::steady(), &known, keep))
    }
}

/// The verbs of the archivist's own acts.
pub const SEAL: &str = "seal";
/// A piece was deleted by age.
pub const FORGET: &str = "forget";
/// Another key signs from here on.
pub const NEXT_KEY: &str = "key";

fn record(db: &crate::store::state::Db, verb: &str, subject: &str, reason: &str) -> crate::store::state::Sql<()> {
    let act = Act { actor: "system", verb, connector: None, subject: Some(subject), reason: Some(reason) };
    act::record(db, &act, clock::now())
}

fn random() -> Result<Zeroizing<[u8; 32]>, ArchivistError> {
    let mut seed = Zeroizing::new([0; 32]);
    rand::fill(seed.as_mut_slice()).map_err(|_| ArchivistError::Random)?;
    Ok(seed)
}

/// The key that the chain says signs now. A key that is lost is followed by a new one, which nobody vouches for.
fn key(
    archive: &Archive,
    reader: &mut StateReader,
    ledger: &Ledger,
) -> Result<(Zeroizing<[u8; 32]>, Signer), ArchivistError> {
    let Keys { current, next } = archive.keys()?;
    let known = reader.read(|db| note(db, KEY))?;
    for (seed, is_next) in [(current, false), (next, true)] {
        let Some(seed) = seed else { continue };
        let signer = archive.signer(&seed).ok_or(ArchivistError::Random)?;
        if known.is_some() && signer.verifier().map(|key| key.text()) == known {
            if is_next {
                archive.keep_keys(&seed, None)?;
            }
            return Ok((seed, signer));
        }
    }
    let seed = random()?;
    let signer = archive.signer(&seed).ok_or(ArchivistError::Random)?;
    let text = signer.verifier().map(|key| key.text()).unwrap_or_default();
    let lost = known.is_some();
    let reason = match known {
        None => "the first key".to_owned(),
        Some(lost) => {
            log::warn!(
                "audit: the key that signed so far is gone from {}; a new one signs",
                archive.folder().display()
            );
            format!("the key before it is lost: {lost}")
        }
    };
    archive.keep_keys(&seed, None)?;
    ledger.call(move |state| {
        state.commit(|db| {
            record(db, NEXT_KEY, &text, &reason)?;
            if lost {
                set_note(db, KEY_ROW, &chain::head(db)?.n.to_string())?;
            }
            set_note(db, KEY, &text)
        })
    })?;
    Ok((seed, signer))
}
