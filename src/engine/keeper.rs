//! The keeper of one captured log: notices what happened to the file, repairs capture, and tidies.
//!
//! Looking is reading, and done at every wake-up. Writing to the application's file is done seldom, in gaps: when
//! nobody else has written for [`GAP`], or else at most once in [`SELDOM`].

use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::engine::ledger::{Ledger, LedgerError};
use crate::store::capture::{CaptureError, CapturedLog, Finding, Repair, Seen, WatchSpec, Witness};
use crate::store::shadow;
use crate::store::state::act::Act;
use crate::store::state::connector::{self, Mode};
use crate::store::state::{ConnectorId, LogId, StateError, StateReader, act, attempt, cursor, log as logs};

/// Writes to the application's file wait until nobody has written for so long.
pub const GAP: Duration = Duration::from_millis(250);
/// Beside an application that never pauses, one short write so often.
pub const SELDOM: Duration = Duration::from_secs(25);
/// An idle log is tidied so often, because events also grow old while nobody writes.
const HOUR: Duration = Duration::from_secs(3600);
/// Rows pruned in one transaction.
const BLOCK: i64 = 500;
/// Capture never stops before so many events are waiting, however large they are.
const LEAST_CAP: i64 = 10_000;
/// A connector that lags by more than this part of the cap is left behind, so that capture goes on for the others.
const OVERFLOW_PART: f64 = 0.8;

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
    connectors: Vec<ConnectorId>,
    version: Option<i64>,
    quiet_since: Timestamp,
    last_write: Timestamp,
    acked: i64,
    cap: i64,
    trouble: Vec<String>,
    heal: Heal,
}

/// What the reconciler is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heal {
    /// Tables whose changes may have been missed.
    pub tables: Vec<String>,
    /// The file is another than before: the shadow stays as it is and the log counts from its end.
    pub anew: bool,
}

impl Heal {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && !self.anew
    }
}

impl Keeper {
    /// Opens a log for keeping: installs what is to be watched, makes this agent its owner, and compares it with what
    /// was seen last. `take_over` takes the log from another agent.
    ///
    /// # Errors
    /// As [`CapturedLog::open`] and [`CapturedLog::install`]; another agent owns the log.
    pub fn open(
        mut log: CapturedLog,
        watch: &[WatchSpec],
        take_over: bool,
        ledger: Ledger,
        mut reader: StateReader,
        keep: Keep,
    ) -> Result<Keeper, KeeperError> {
        let name = log.name().to_owned();
        let (id, (seen, mut witness_n), instance) = ledger.call(move |state| {
            state.commit(|db| {
                let id = logs::remember(db, &name)?;
                Ok((id, logs::seen(db, id)?, crate::store::state::fact(db, "instance")?))
            })
        })?;
        // What happened while nobody looked is found before anything is installed anew.
        let known = seen.and_then(|seen| serde_json::from_str::<Seen>(&seen).ok());
        let owner: String = instance.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let mut repairs: Vec<Repair> = Vec::new();
        let mut witness = None;
        if let Some(mut known) = known.filter(|_| log.installed().unwrap_or(false)) {
            advance_witness(&mut reader, id, &mut known, &mut witness_n)?;
            let (found, done) = answer(&mut log, &known)?;
            found.iter().for_each(|finding| log::debug!("{}: {finding:?}", log.name()));
            repairs = done;
            let anew = repairs.iter().any(|repair| repair.epoch.is_some());
            witness = known.witness.filter(|_| !anew).map(|witness| witness.seq);
        }
        for installed in log.install(watch)? {
            installed.warnings.iter().for_each(|warning| log::warn!("{}: {warning}", installed.table));
            if installed.changed {
                log::info!("{}: table {} is watched as {}", log.name(), installed.table, installed.kind);
            }
        }
        log.claim(&owner, take_over)?;
        let seen = log.seen(witness)?;
        let now = clock::steady();
        let mut keeper = Keeper {
            log,
            id,
            ledger,
            reader,
            seen,
            witness_n,
            keep,
            connectors: Vec::new(),
            version: None,
            quiet_since: now,
            last_write: now.minus(SELDOM),
            acked: 0,
            cap: 0,
            trouble: Vec::new(),
            heal: Heal::default(),
        };
        for repair in repairs {
            keeper.note(&repair)?;
        }
        keeper.remember_seen()?;
        Ok(keeper)
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

    /// Looks whether the log has grown and whether capture is still right; repairs what is not.
    pub fn look(&mut self) -> Result<Look, KeeperError> {
        let version = self.log.data_version()?;
        let grown = self.version != Some(version);
        if grown {
            self.version = Some(version);
            self.quiet_since = clock::steady();
        }
        let mut look = Look { grown, ..Look::default() };
        advance_witness(&mut self.reader, self.id, &mut self.seen, &mut self.witness_n)?;
        let (findings, repairs) = answer(&mut self.log, &self.seen)?;
        look.blind = findings.contains(&Finding::FileGone);
        if findings.is_empty() {
            self.trouble.clear();
            return Ok(look);
        }
        for repair in &repairs {
            look.rewound |= self.note(repair)?;
        }
        if !look.blind {
            let witness = self.seen.witness.filter(|_| !look.rewound).map(|witness| witness.seq);
            self.seen = self.log.seen(witness)?;
            self.remember_seen()?;
            look.grown = true;
            self.version = None;
        }
        Ok(look)
    }

    /// Takes down what a repair did, once. True when the cursors were set anew.
    fn note(&mut self, repair: &Repair) -> Result<bool, KeeperError> {
        if !self.trouble.contains(&repair.note) {
            log::warn!("{}: {}", self.log.name(), repair.note);
            self.trouble.push(repair.note.clone());
            let (subject, reason) = (self.log.name().to_owned(), repair.note.clone());
            self.ledger.call(move |state| {
                state.commit(|db| {
                    let act = Act {
                        actor: "system",
                        verb: "repair",
                        connector: None,
                        subject: Some(&subject),
                        reason: Some(&reason),
                    };
                    act::record(db, &act, clock::now())
                })
            })?;
        }
        for table in &repair.reconcile {
            if !self.heal.tables.contains(table) {
                self.heal.tables.push(table.clone());
            }
        }
        if repair.epoch.is_some() {
            self.heal.anew = true;
            self.set_cursors_anew()?;
        }
        Ok(repair.epoch.is_some())
    }

    fn remember_seen(&mut self) -> Result<(), KeeperError> {
        let Ok(text) = serde_json::to_string(&self.seen) else { return Ok(()) };
        let (id, witness_n) = (self.id, self.witness_n);
        self.ledger.call(move |state| state.commit(|db| logs::set_seen(db, id, &text, witness_n)))?;
        Ok(())
    }

    /// The file is not the one that was read last. Each connector goes back to the last row that is certainly one it
    /// has had: what lies above is sent (again), under the keys that its rows have.
    fn set_cursors_anew(&mut self) -> Result<(), KeeperError> {
        let id = self.id;
        let (lowest, highest) = (self.log.lowest_seq()?, self.log.highest_seq()?);
        let known = self.reader.read(connector::all)?;
        for connector in known {
            let at = connector.id;
            let Some(cursor) = self.reader.read(|db| cursor::get(db, at, id))? else { continue };
            let mut seq = cursor.seq.min(highest);
            while seq >= lowest {
                let event = self.log.event_at(seq)?;
                let had = match event {
                    Some(event) => self.reader.read(|db| attempt::of_event(db, at, id, event.id))?,
                    None => Vec::new(),
                };
                if !had.is_empty() {
                    break;
                }
                seq -= 1;
            }
            let seq = seq.max(lowest - 1).max(0);
            self.ledger.call(move |state| state.commit(|db| cursor::put(db, at, id, seq)))?;
        }
        Ok(())
    }

    /// When [`Keeper::tidy`] wants to be called next; none = nothing is to be done.
    pub fn tidy_due(&mut self) -> Result<Option<Timestamp>, KeeperError> {
        if !self.wants_tidying()? {
            return Ok(None);
        }
        let in_gap = self.quiet_since.plus(GAP);
        let at_last = self.last_write.plus(SELDOM);
        Ok(Some(in_gap.min(at_last.max(clock::steady()))))
    }

    fn wants_tidying(&mut self) -> Result<bool, KeeperError> {
        let (id, connectors) = (self.id, self.connectors.clone());
        let lowest = self.reader.read(|db| cursor::lowest(db, id, &connectors))?;
        let hourly = clock::steady() >= self.last_write.plus(HOUR);
        Ok(lowest.is_some_and(|seq| seq > self.acked) || self.quiet_since > self.last_write || hourly)
    }

    /// Writes what is due in the application's file: left-over candidates, the acknowledged position, the cap, one
    /// block of pruning. Each in a transaction of its own of well under 10 ms.
    pub fn tidy(&mut self) -> Result<(), KeeperError> {
        self.last_write = clock::steady();
        self.log.sweep()?;
        self.set_cap()?;
        let all = self.lowest(|_| true)?;
        let acked = self.lowest(|mode| mode != Mode::Overflowed)?;
        self.mark_overflow()?;
        if let Some(acked) = acked.filter(|seq| *seq > self.acked) {
            self.log.set_acked(acked)?;
            self.acked = acked;
        }
        if let Some(below) = self.prunable(all)? {
            self.log.prune(below, BLOCK as usize, None)?;
        }
        self.remember_seen()
    }

    /// The lowest cursor over the connectors in certain modes.
    fn lowest(&mut self, wanted: impl Fn(Mode) -> bool) -> Result<Option<i64>, KeeperError> {
        let (id, connectors) = (self.id, self.connectors.clone());
        Ok(self.reader.read(|db| {
            let all = connector::all(db)?;
            let chosen: Vec<ConnectorId> = all
                .iter()
                .filter(|known| connectors.contains(&known.id) && wanted(known.mode))
                .map(|known| known.id)
                .collect();
            cursor::lowest(db, id, &chosen)
        })?)
    }

    /// The cap in events that the configured bytes come to, by the average size of an event here.
    fn set_cap(&mut self) -> Result<(), KeeperError> {
        let size = self.log.size()?;
        if size.rows == 0 {
            return Ok(());
        }
        let average = (size.bytes / size.rows).max(1);
        let cap = (i64::try_from(self.keep.cap_bytes).unwrap_or(i64::MAX) / average).max(LEAST_CAP);
        // Not for every wobble of the average: this is a write in the application's file.
        if (cap - self.cap).abs() > self.cap / 5 {
            self.log.set_cap(cap)?;
            self.cap = cap;
        }
        Ok(())
    }

    /// A connector that lags beyond most of the cap is left behind: capture goes on for the others.
    fn mark_overflow(&mut self) -> Result<(), KeeperError> {
        if self.cap == 0 {
            return Ok(());
        }
        let (id, highest, limit) = (self.id, self.log.highest_seq()?, (self.cap as f64 * OVERFLOW_PART) as i64);
        let connectors = self.connectors.clone();
        let lagging: Vec<connector::Remembered> = self.reader.read(|db| {
            let mut lagging = Vec::new();
            for known in connector::all(db)? {
                let at = cursor::get(db, known.id, id)?;
                let behind = at.is_some_and(|at| highest - at.seq > limit);
                if connectors.contains(&known.id) && behind != (known.mode == Mode::Overflowed) {
                    lagging.push(known);
                }
            }
            Ok(lagging)
        })?;
        for known in lagging {
            let caught_up = known.mode == Mode::Overflowed;
            if !caught_up && known.mode != Mode::Running {
                continue;
            }
            let name = known.name.clone();
            let (mode, reason) = if caught_up {
                log::info!("{name}: has caught up");
                (Mode::Running, None)
            } else {
                log::error!("{name}: is so far behind that capture no longer waits for it");
                let text = "more than 80 % of the cap is waiting for it; capture no longer waits for it";
                (Mode::Overflowed, Some(crate::rules::outcome::Reason::new("overflow", text)))
            };
            self.ledger.call(move |state| {
                state.commit(|db| {
                    connector::set_mode(db, known.id, mode, reason.as_ref(), clock::now())?;
                    let act = Act {
                        actor: "system",
                        verb: if caught_up { "caught-up" } else { "overflow" },
                        connector: Some(known.id),
                        subject: Some(&name),
                        reason: None,
                    };
                    act::record(db, &act, clock::now())
                })
            })?;
        }
        Ok(())
    }

    /// Up to where one block may be pruned now: below every cursor, out of its retention or beyond the ceiling.
    fn prunable(&mut self, lowest_cursor: Option<i64>) -> Result<Option<i64>, KeeperError> {
        let Some(cursor) = lowest_cursor else { return Ok(None) };
        let name = self.log.name().to_owned();
        let shadow = self.reader.read(|db| shadow::position(db, &name).or(Ok(0)))?;
        let witness = self.seen.witness.map_or(i64::MAX, |witness| witness.seq);
        let ceiling = (cursor + 1).min(shadow + 1).min(witness);
        let lowest = self.log.lowest_seq()?;
        let block = lowest.saturating_add(BLOCK).min(ceiling);
        if block <= lowest {
            return Ok(None);
        }
        let size = self.log.size()?;
        let over =
            |value: i64, limit: Option<u64>| limit.is_some_and(|limit| u64::try_from(value).unwrap_or(0) > limit);
        let too_many = over(size.rows, self.keep.max_rows) || over(size.bytes, self.keep.max_bytes);
        let cutoff = clock::now().minus(self.keep.events);
        let old = self.log.event_at(block - 1)?.is_none_or(|event| event.at < cutoff);
        Ok((too_many || old).then_some(block))
    }

    /// What the reconciler is to do since this was last asked.
    pub fn take_heal(&mut self) -> Heal {
        std::mem::take(&mut self.heal)
    }
}

/// The witness moves up to the highest event that any intent of this epoch has used since.
fn advance_witness(
    reader: &mut StateReader,
    id: LogId,
    seen: &mut Seen,
    witness_n: &mut i64,
) -> Result<(), StateError> {
    let (epoch, after) = (seen.epoch.short(), *witness_n);
    let (last, used) = reader.read(|db| attempt::highest_intent(db, id, epoch, after))?;
    *witness_n = last;
    if let Some(used) = used.map(Witness::from)
        && seen.witness.is_none_or(|witness| witness.seq < used.seq)
    {
        seen.witness = Some(used);
    }
    Ok(())
}

/// Polls and answers every finding. What a repair changes can hide or make further findings, so it looks again until
/// nothing new is found.
fn answer(log: &mut CapturedLog, seen: &Seen) -> Result<(Vec<Finding>, Vec<Repair>), KeeperError> {
    let mut known = seen.clone();
    let (mut findings, mut repairs) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let found: Vec<Finding> = log.poll(&known)?.into_iter().filter(|finding| !findings.contains(finding)).collect();
        if found.is_empty() {
            break;
        }
        for finding in found {
            let repair = log.repair(&finding)?;
            let replaced = repair.epoch.is_some();
            repairs.push(repair);
            findings.push(finding);
            if replaced {
                known = log.seen(None)?;
            }
        }
        if findings.contains(&Finding::FileGone) {
            break;
        }
    }
    Ok((findings, repairs))
}
