//! The keeper of one captured log: notices what happened to the file, repairs capture, and tidies.
//!
//! Looking is reading, and done at every wake-up. Writing to the application's file is done seldom, in gaps: when
//! nobody else has written for a moment, or else at most once in a long while (`tidy.rs` has the figures).

mod age;
mod anew;
mod prune;
mod tidy;
mod witness;

pub use prune::{Asked, Pruned};
pub use tidy::OVERFLOW_PART;
use witness::advance_witness;
pub use witness::last_seen;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::engine::ledger::{Ledger, LedgerError};
use crate::store::capture::{CaptureError, CapturedLog, Epoch, Finding, Heal, Repair, Seen, State, WatchSpec, Witness};
use crate::store::state::act::Act;
use crate::store::state::{ConnectorId, LogId, StateError, StateReader, act, cursor, log as logs};

/// How long events are kept, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Delivered events stay so long.
    pub events: Duration,
    /// Delivered events beyond this number go earlier.
    pub max_rows: Option<u64>,
    /// Delivered events beyond these bytes go earlier.
    pub max_bytes: Option<u64>,
    /// Unacknowledged events may take so many bytes before capture stops and counts.
    pub cap_bytes: u64,
}

/// What a look found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The log may have grown.
    pub grown: bool,
    /// Cursors were set anew: workers begin again from there.
    pub rewound: bool,
    /// The log cannot be used at this time.
    pub blind: bool,
}

/// What can go wrong in keeping.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The application's file.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its writer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl KeeperError {
    /// Whether a sync has failed or the state file is damaged: the agent must end.
    pub fn is_broken(&self) -> bool {
        match self {
            KeeperError::Capture(error) => error.is_broken(),
            KeeperError::State(error) | KeeperError::Ledger(LedgerError::State(error)) => error.is_broken(),
            KeeperError::Ledger(LedgerError::Gone(_)) => false,
        }
    }
}

/// The keeper of one log.
pub struct Keeper {
    log: CapturedLog,
    id: LogId,
    ledger: Ledger,
    reader: StateReader,
    seen: Seen,
    /// Up to which attempt number the intents have been looked through for the witness.
    witness_n: i64,
    keep: Keep,
    watch: Vec<WatchSpec>,
    owner: String,
    connectors: Vec<ConnectorId>,
    version: Option<i64>,
    quiet_since: Timestamp,
    /// The sum of the cursors when it was last asked whether they move.
    passed: i64,
    last_write: Timestamp,
    /// When the application was found writing at last.
    refused: Timestamp,
    acked: i64,
    cap: i64,
    /// The last tidying found something to prune: there may be more.
    again: bool,
    trouble: Vec<String>,
    /// What the reconciler has not been told yet; what it has not done yet is in `seen`.
    heal: Heal,
    /// The clock is not believed; that was told.
    doubted: bool,
    /// The clock is far ahead of all that is known; that was told.
    far_ahead: bool,
    /// Another agent has taken the log: nothing more is written there.
    lost: bool,
    /// The file that is open was looked at and answered: until then nothing else is written there.
    examined: bool,
    /// What a person asks.
    asked: Asked,
}

impl Keeper {
    /// Opens a log for keeping: installs what is to be watched, makes this agent its owner, and compares it with what
    /// was seen last. `take_over` takes the log from another agent.
    ///
    /// # Errors
    /// As [`CapturedLog::open`] and [`CapturedLog::install`]; another agent owns the log.
    pub fn open(
        log: CapturedLog,
        watch: &[WatchSpec],
        take_over: bool,
        ledger: Ledger,
        reader: StateReader,
        keep: Keep,
    ) -> Result<Keeper, KeeperError> {
        let name = log.name().to_owned();
        let (id, (seen, witness_n), instance) = ledger.call(move |state| {
            state.commit(|db| {
                let id = logs::remember(db, &name)?;
                Ok((id, logs::seen(db, id)?, crate::store::state::fact(db, "instance")?))
            })
        })?;
        // What happened while nobody looked is found before anything is installed anew.
        let known = seen.and_then(|seen| serde_json::from_str::<Seen>(&seen).ok());
        let mut keeper = Keeper {
            id,
            ledger,
            reader,
            // Nothing is known yet: `adopt` takes it from the file.
            seen: known.clone().unwrap_or(Seen {
                epoch: Epoch([0; 16]),
                witness: None,
                lost: BTreeMap::new(),
                heal: Heal::default(),
            }),
            witness_n,
            keep,
            watch: watch.to_vec(),
            owner: instance.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
            connectors: Vec::new(),
            version: None,
            quiet_since: clock::steady(),
            passed: 0,
            // Before it was quiet: what is due from earlier waits for a gap.
            last_write: clock::steady().minus(Duration::from_millis(1)),
            refused: clock::steady().minus(tidy::SELDOM),
            acked: 0,
            cap: 0,
            again: false,
            trouble: Vec::new(),
            heal: known.as_ref().map(|seen| seen.heal.clone()).unwrap_or_default(),
            doubted: false,
            far_ahead: false,
            lost: false,
            examined: false,
            asked: Asked::default(),
            log,
        };
        keeper.log.go_first();
        let mut anew = false;
        if known.is_some() && keeper.log.installed()? {
            let witness = keeper.seen.witness;
            advance_witness(&mut keeper.reader, id, &mut keeper.seen, &mut keeper.witness_n)?;
            let (findings, repairs) = keeper.answer(witness, !take_over)?;
            findings.iter().for_each(|finding| log::debug!("{}: {finding:?}", keeper.log.name()));
            for repair in repairs {
                anew |= keeper.note(&repair)?;
            }
        }
        keeper.adopt(known.is_some() && !anew, take_over)?;
        Ok(keeper)
    }

    /// Installs what is to be watched, makes this agent the owner, and takes down how the file is now. `known` = it was
    /// seen before and is said to be the same: when its epoch says otherwise, everything begins anew.
    fn adopt(&mut self, known: bool, take_over: bool) -> Result<bool, KeeperError> {
        self.install()?;
        self.log.claim(&self.owner, take_over)?;
        let now = self.log.seen(None)?;
        let another = known && now.epoch != self.seen.epoch;
        if another {
            let tables = self.log.watched()?.into_iter().map(|watched| watched.table).collect();
            let note = "another file stands in the place of the one that was read last; a new epoch begins".to_owned();
            self.note(&Repair { reconcile: tables, epoch: Some(now.epoch), note })?;
        }
        let witness = self.seen.witness.filter(|_| known && !another);
        self.seen = Seen { witness, heal: self.seen.heal.clone(), ..now };
        self.remember_seen()?;
        Ok(another)
    }

    /// Installs what is to be watched. A table that was watched before and cannot be now (dropped, renamed) is told and
    /// does not keep the others from being delivered; one that never was is an error of the configuration.
    fn install(&mut self) -> Result<(), KeeperError> {
        match self.log.install(&self.watch) {
            Ok(installed) => {
                for installed in installed {
                    installed.warnings.iter().for_each(|warning| log::warn!("{}: {warning}", installed.table));
                    if installed.changed {
                        log::info!(log:% = self.log.name(); "{}: table {} is watched as {}", self.log.name(), installed.table, installed.kind);
                        let reason = format!("as {}, version {}", installed.kind, installed.version);
                        self.record("install", &format!("{}.{}", self.log.name(), installed.table), &reason)?;
                    }
                }
                Ok(())
            }
            Err(error @ CaptureError::Refused { .. }) => {
                let before = self.log.watched().unwrap_or_default();
                let was_watched = |spec: &WatchSpec| {
                    let kind = spec.kind.as_deref().unwrap_or(&spec.table);
                    before.iter().any(|watched| &*watched.kind == kind && !matches!(watched.state, State::Ok))
                        || before.iter().any(|watched| &*watched.kind == kind && watched.table != spec.table)
                };
                let (gone, rest): (Vec<WatchSpec>, Vec<WatchSpec>) = self.watch.drain(..).partition(was_watched);
                self.watch = rest;
                if gone.is_empty() {
                    return Err(error.into());
                }
                for spec in &gone {
                    log::error!(
                        log:% = self.log.name();
                         "{}: `watch:` names {}, which is not there as before: {error}",
                        self.log.name(),
                        spec.table
                    );
                }
                self.install()
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The log's row in the state file.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// The connectors that read this log: what they have not settled is not pruned.
    pub fn set_connectors(&mut self, connectors: Vec<ConnectorId>) {
        self.connectors = connectors;
    }

    /// The log.
    pub fn log(&mut self) -> &mut CapturedLog {
        &mut self.log
    }

    /// Whether somebody has committed to the application's file since the last look. About a microsecond.
    pub fn is_newer(&self) -> bool {
        self.log.is_open() && self.log.data_version().map_or(true, |version| self.version != Some(version))
    }

    /// The application's file as it is now, by a number that each commit changes; none when it cannot be asked.
    pub fn version(&self) -> Option<i64> {
        self.log.data_version().ok()
    }

    /// The same as of the last look.
    pub fn looked_at(&self) -> Option<i64> {
        self.version
    }

    /// Whether the file is closed because another stands in its place; `look` opens that when it can.
    pub fn is_away(&self) -> bool {
        !self.log.is_open()
    }

    /// Lets the workers read a file that was replaced. Call when they were told to begin again.
    pub fn release(&self) {
        if self.examined {
            self.log.release();
        }
    }

    /// Looks whether the log has grown and whether capture is still right; repairs what is not. A file that seems to be
    /// another is closed first, by everybody, and looked at once it has rested: nothing is ever written into a copy
    /// that is being made.
    pub fn look(&mut self) -> Result<Look, KeeperError> {
        let mut looked = self.look_at_all();
        if matches!(looked, Err(KeeperError::Capture(CaptureError::HotJournal { .. }))) {
            self.log.roll_back()?;
            looked = self.look_at_all();
        }
        if looked.is_ok() {
            self.examined |= self.log.is_open();
        } else if !self.log.is_open() {
            self.examined = false;
        }
        looked
    }

    fn look_at_all(&mut self) -> Result<Look, KeeperError> {
        let mut look = Look::default();
        match self.log.follow() {
            Ok(false) | Err(CaptureError::Missing { .. }) => {}
            Ok(true) => {
                self.examined = false;
                // What the workers were about to send when they let go is written down before it is asked for.
                self.ledger.call(|_| Ok(()))?;
                self.note(&Repair {
                    note: "the file was replaced by another; opened the new one".to_owned(),
                    ..Repair::default()
                })?;
                (look.grown, self.version) = (true, None);
            }
            Err(error) => return Err(error.into()),
        }
        if self.log.is_open() {
            let version = self.log.data_version()?;
            if self.version != Some(version) {
                (look.grown, self.version) = (true, Some(version));
                self.quiet_since = clock::steady();
            }
        }
        let witness = self.seen.witness;
        advance_witness(&mut self.reader, self.id, &mut self.seen, &mut self.witness_n)?;
        let (findings, repairs) = match self.answer(witness, true) {
            Ok(answered) => answered,
            Err(error @ KeeperError::Capture(CaptureError::OtherOwner { .. })) => {
                self.lost = true;
                return Err(error);
            }
            Err(KeeperError::Capture(error)) if self.examined && error.is_about_contents() => {
                self.log.leave()?;
                return Err(error.into());
            }
            // The file that stands there now was never watched.
            Err(_) if self.log.is_current().unwrap_or(false) && !self.log.installed().unwrap_or(true) => {
                look.rewound = self.adopt(true, false)?;
                look.grown = true;
                self.version = None;
                return Ok(look);
            }
            Err(error) => return Err(error),
        };
        look.blind = findings.contains(&Finding::FileGone);
        if findings.is_empty() {
            self.trouble.clear();
            return Ok(look);
        }
        // What stays as it is (a table that was dropped) is found at every look, and told and stored once.
        let news = repairs.iter().any(|repair| {
            repair.epoch.is_some() || !repair.reconcile.is_empty() || !self.trouble.contains(&repair.note)
        });
        for repair in &repairs {
            look.rewound |= self.note(repair)?;
        }
        if look.rewound && !look.blind {
            // A new epoch may mean a file that was never watched.
            self.install()?;
            self.log.claim(&self.owner, false)?;
            for watched in self.log.watched()? {
                self.heal.add(&watched.table);
                self.seen.heal.add(&watched.table);
            }
        }
        if !look.blind && news {
            // The witness stays as it was: asked of the file that is open now, it would prove nothing.
            let witness = self.seen.witness.filter(|_| !look.rewound);
            self.seen = Seen { witness, heal: self.seen.heal.clone(), ..self.log.seen(None)? };
            self.remember_seen()?;
            look.grown = true;
            self.version = None;
        }
        Ok(look)
    }

    /// Takes down what a repair did, once. True when the cursors were set anew.
    fn note(&mut self, repair: &Repair) -> Result<bool, KeeperError> {
        for table in &repair.reconcile {
            self.heal.add(table);
            self.seen.heal.add(table);
        }
        // First of all, for a file that was mended does not show any more that something was missed.
        if !repair.reconcile.is_empty() {
            self.remember_seen()?;
        }
        if !self.trouble.contains(&repair.note) {
            log::warn!(log:% = self.log.name(); "{}: {}", self.log.name(), repair.note);
            self.trouble.push(repair.note.clone());
            self.record("repair", self.log.name(), &repair.note)?;
        }
        if repair.epoch.is_some() {
            let told = self.seen.witness.map_or(0, |witness| witness.seq);
            let id = self.id;
            // Before they are set anew.
            let passed = self.reader.read(|db| cursor::lowest(db, id))?.unwrap_or(i64::MAX);
            [&mut self.heal, &mut self.seen.heal].into_iter().for_each(|heal| heal.begin_anew(told, passed));
            // With the epoch of before: after a death in between all of this is done again, and by the old cursors.
            self.remember_seen()?;
            self.set_cursors_anew()?;
        }
        Ok(repair.epoch.is_some())
    }

    fn record(&self, verb: &'static str, subject: &str, reason: &str) -> Result<(), KeeperError> {
        let (subject, reason) = (subject.to_owned(), reason.to_owned());
        Ok(self.ledger.call(move |state| {
            state.commit(|db| {
                let (subject, reason) = (Some(subject.as_str()), Some(reason.as_str()));
                act::record(db, &Act { actor: "system", verb, connector: None, subject, reason }, clock::now())
            })
        })?)
    }

    fn remember_seen(&mut self) -> Result<(), KeeperError> {
        let Ok(text) = serde_json::to_string(&self.seen) else { return Ok(()) };
        let (id, witness_n) = (self.id, self.witness_n);
        self.ledger.call(move |state| state.commit(|db| logs::set_seen(db, id, &text, witness_n)))?;
        Ok(())
    }

    /// Whether another agent has taken the log.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// What the reconciler is to do since this was last asked. Until it is said to be [`Keeper::healed`], the next start
    /// asks for it again.
    pub fn take_heal(&mut self) -> Heal {
        std::mem::take(&mut self.heal)
    }

    /// Takes down what the reconciler has done.
    pub fn healed(&mut self, done: &Heal) -> Result<(), KeeperError> {
        // What was found again meanwhile is not done by that.
        let mut done = done.clone();
        done.remove(&self.heal);
        for table in &done.tables {
            self.record("reconcile", &format!("{}.{table}", self.log.name()), "compared with what was captured of it")?;
        }
        self.seen.heal.remove(&done);
        self.remember_seen()
    }

    /// Polls and answers every finding. What a repair changes can hide or make further findings, so it looks again until
    /// nothing new is found. A log that another agent has taken is that one's to mend, unless it is being taken back: two
    /// that both begin new epochs would never end.
    ///
    /// The witness of the last look is asked for first: the one of now may come from what was read of another file since.
    fn answer(&mut self, last: Option<Witness>, owned: bool) -> Result<(Vec<Finding>, Vec<Repair>), KeeperError> {
        let mut known = Seen { witness: last.or(self.seen.witness), ..self.seen.clone() };
        let mut now = self.seen.witness.filter(|_| known.witness != self.seen.witness);
        let (mut findings, mut repairs) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            // A file can be replaced twice while it is looked at; anything else that was answered is not asked again.
            let fresh = |finding: &Finding| *finding == Finding::FileReplaced || !findings.contains(finding);
            let found: Vec<Finding> = self.log.poll(&known)?.into_iter().filter(fresh).collect();
            if let Some(other) = self.log.last_owner().filter(|other| owned && *other != self.owner) {
                let (path, owner) = (self.log.path().to_path_buf(), other.to_owned());
                return Err(CaptureError::OtherOwner { path, owner }.into());
            }
            if found.is_empty() {
                let Some(witness) = now.take() else { break };
                known.witness = Some(witness);
                continue;
            }
            if self.examined && found.iter().any(Finding::is_another_file) {
                self.log.leave()?;
                return Err(CaptureError::Replaced { path: self.log.path().to_path_buf() }.into());
            }
            for finding in found {
                // Once it is repaired nothing in the file shows any more that something may have been missed.
                if let Some(table) = finding.missed() {
                    self.seen.heal.add(table);
                    self.remember_seen()?;
                }
                let repair = self.log.repair(&finding)?;
                let replaced = repair.epoch.is_some();
                repairs.push(repair);
                findings.push(finding);
                if replaced {
                    known = self.log.seen(None)?;
                    now = None;
                }
            }
            if findings.contains(&Finding::FileGone) {
                break;
            }
        }
        Ok((findings, repairs))
    }
}
