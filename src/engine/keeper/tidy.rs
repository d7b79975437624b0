//! Tidying a captured log: acknowledged position, cap, pruning, and connectors that are left behind.

use std::time::Duration;

use super::{Keeper, KeeperError, Look};
use crate::clock::{self, Timestamp};
use crate::event::Event;
use crate::store::capture::Due;
use crate::store::shadow;
use crate::store::state::act::{self, Act};
use crate::store::state::connector::{self, Mode};
use crate::store::state::{ConnectorId, StateError, cursor, health, parked};

/// Writes to the application's file wait until nobody has written for so long.
pub const GAP: Duration = Duration::from_millis(250);
/// Also in a gap not oftener than this.
const BETWEEN: Duration = Duration::from_secs(1);
/// Beside an application that never pauses, one short write so often.
pub const SELDOM: Duration = Duration::from_secs(25);
/// An idle log is tidied so often, because events also grow old while nobody writes.
const HOUR: Duration = Duration::from_secs(3600);
/// Rows pruned in one transaction.
const BLOCK: i64 = 500;
/// And when the application never pauses: what takes well under a millisecond.
const BLOCK_BESIDE: usize = 100;
/// Capture never stops before so many events are waiting, however large they are.
const LEAST_CAP: i64 = 10_000;
/// A connector that lags by more than this part of the cap is left behind, so that capture goes on for the others.
pub const OVERFLOW_PART: f64 = 0.8;

impl Keeper {
    /// When [`Keeper::tidy`] wants to be called next; none = nothing is to be done.
    pub fn tidy_due(&mut self) -> Result<Option<Timestamp>, KeeperError> {
        if !self.examined || !self.wants_tidying()? {
            return Ok(None);
        }
        let in_gap = self.quiet_since.plus(GAP).max(self.last_write.plus(BETWEEN));
        let at_last = self.last_write.plus(SELDOM);
        Ok(Some(in_gap.min(at_last).max(self.refused.plus(BETWEEN)).max(clock::steady())))
    }

    fn wants_tidying(&mut self) -> Result<bool, KeeperError> {
        let hourly = clock::steady() >= self.last_write.plus(HOUR);
        let now = hourly || self.again || self.quiet_since > self.last_write;
        Ok(now || self.settled()?.is_some_and(|seq| seq > self.acked))
    }

    /// Up to where every connector that is not left behind has settled everything; when all are, the lowest of them.
    pub(super) fn settled(&mut self) -> Result<Option<i64>, KeeperError> {
        // Whoever lags so far is left out, also when it is halted or paused: capture goes on for the others.
        let floor = self.overflow_floor()?;
        match self.lowest(|mode, seq| mode != Mode::Overflowed && seq >= floor)? {
            Some(seq) => Ok(Some(seq)),
            None => self.lowest(|_, _| true),
        }
    }

    /// Writes what is due in the application's file: left-over candidates, the acknowledged position, the cap, one block
    /// of pruning; all in one transaction, and not now when the application is just writing.
    pub fn tidy(&mut self) -> Result<Look, KeeperError> {
        if self.lost || !self.examined {
            return Ok(Look::default());
        }
        let in_gap = clock::steady() >= self.quiet_since.plus(GAP);
        self.watch_clock()?;
        self.mark_overflow()?;
        self.again = false;
        let acked = self.settled()?;
        let mut look = Look::default();
        let below = self.prunable(acked)?;
        if let Some(below) = below {
            look.rewound = self.set_aside(below)?;
        }
        let due = Due {
            acked: acked.filter(|seq| *seq > self.acked),
            cap: self.new_cap()?,
            below,
            rows: if in_gap { BLOCK as usize } else { BLOCK_BESIDE },
        };
        // What could not be written (a lock, a full disk) is not tried again at once.
        let refused = std::mem::replace(&mut self.refused, clock::steady());
        let Some(done) = self.log.tend(&due)? else { return Ok(look) };
        self.refused = refused;
        self.again |= done.pruned > 0;
        self.last_write = clock::steady();
        self.acked = due.acked.unwrap_or(self.acked);
        self.cap = due.cap.unwrap_or(self.cap);
        self.remember_seen()?;
        Ok(look)
    }

    /// Looks through the state file when that is due, and notes what was found. Call in a quiet moment.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when the file is not whole.
    pub fn check_state(&mut self) -> Result<(), KeeperError> {
        let at = clock::now();
        if !self.reader.read(|db| health::is_due(db, at))? {
            return Ok(());
        }
        let damage = match self.reader.inspect() {
            Ok(()) => None,
            Err(StateError::Damaged { found, .. }) => Some(found),
            Err(error) => return Err(error.into()),
        };
        let noted = damage.clone();
        let kept = self.ledger.call(move |state| state.commit(|db| health::set(db, at, noted.as_deref())));
        match damage {
            None => {
                log::info!("the state file is whole");
                Ok(kept?)
            }
            // A file that is damaged may refuse the note.
            Some(found) => Err(StateError::Damaged { path: self.reader.path().to_owned(), found }.into()),
        }
    }

    /// Whether every connector has settled everything that was captured.
    pub fn is_drained(&mut self) -> Result<bool, KeeperError> {
        let highest = self.log.highest_seq()?;
        Ok(self.lowest(|_, _| true)?.is_none_or(|lowest| lowest >= highest))
    }

    /// Whether any connector has got on since this was last asked.
    pub fn has_moved(&mut self) -> Result<bool, KeeperError> {
        let (id, connectors) = (self.id, self.connectors.clone());
        let furthest = self.reader.read(|db| {
            let known = connectors.iter().map(|known| Ok(cursor::get(db, *known, id)?.map_or(0, |at| at.seq)));
            known.sum::<Result<i64, _>>()
        })?;
        Ok(std::mem::replace(&mut self.passed, furthest) != furthest)
    }

    /// The lowest cursor over the connectors that are wanted by their mode and where their cursor stands.
    fn lowest(&mut self, wanted: impl Fn(Mode, i64) -> bool) -> Result<Option<i64>, KeeperError> {
        let (id, connectors) = (self.id, self.connectors.clone());
        Ok(self.reader.read(|db| {
            let mut lowest = None;
            for known in connector::all(db)?.into_iter().filter(|known| connectors.contains(&known.id)) {
                let at = cursor::get(db, known.id, id)?.map(|at| at.seq).filter(|seq| wanted(known.mode, *seq));
                lowest = at.into_iter().chain(lowest).min();
            }
            Ok(lowest)
        })?)
    }

    /// A cursor below this lags by more than most of the cap.
    fn overflow_floor(&mut self) -> Result<i64, KeeperError> {
        if self.cap == 0 {
            return Ok(i64::MIN);
        }
        Ok(self.log.highest_seq()? - (self.cap as f64 * OVERFLOW_PART) as i64)
    }

    /// The cap in events that the configured bytes come to, by the average size of an event here; none = as it is.
    fn new_cap(&mut self) -> Result<Option<i64>, KeeperError> {
        let size = self.log.size()?;
        if size.rows == 0 {
            return Ok(None);
        }
        let average = (size.bytes / size.rows).max(1);
        let cap = (i64::try_from(self.keep.cap_bytes).unwrap_or(i64::MAX) / average).max(LEAST_CAP);
        // Not for every wobble of the average: this is a write in the application's file.
        Ok(((cap - self.cap).abs() > self.cap / 5).then_some(cap))
    }

    /// A connector that lags beyond most of the cap is left behind: capture goes on for the others.
    fn mark_overflow(&mut self) -> Result<(), KeeperError> {
        let (id, floor) = (self.id, self.overflow_floor()?);
        let connectors = self.connectors.clone();
        let lagging: Vec<connector::Remembered> = self.reader.read(|db| {
            let mut lagging = Vec::new();
            for known in connector::all(db)? {
                let at = cursor::get(db, known.id, id)?;
                let behind = at.is_some_and(|at| at.seq < floor);
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
                log::info!(connector:% = name; "{name}: has caught up");
                (Mode::Running, None)
            } else {
                log::error!(connector:% = name; "{name}: is so far behind that capture no longer waits for it");
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

    /// What is about to be pruned under the cursor of a connector that was left behind is parked for it: of each record
    /// the last change only. That bounds what an endpoint that is down for months can cost by the number of records.
    /// True when a cursor was moved.
    fn set_aside(&mut self, below: i64) -> Result<bool, KeeperError> {
        let (id, connectors) = (self.id, self.connectors.clone());
        let behind: Vec<(ConnectorId, i64)> = self.reader.read(|db| {
            let mut behind = Vec::new();
            for known in connector::all(db)? {
                let at = cursor::get(db, known.id, id)?.map(|at| at.seq);
                if let Some(seq) = at.filter(|seq| connectors.contains(&known.id) && *seq < below - 1) {
                    behind.push((known.id, seq));
                }
            }
            Ok(behind)
        })?;
        if !behind.is_empty() {
            // What is parked is sent from there, and must not vanish from here.
            self.log.sync_wal()?;
        }
        for (at, seq) in &behind {
            let (at, mut after) = (*at, *seq);
            while after < below - 1 {
                let mut events = self.log.read(after, BLOCK as usize, 1 << 20)?;
                events.retain(|event| event.seq() < below);
                let Some(last) = events.last().map(Event::seq) else { break };
                self.ledger.call(move |state| {
                    state.commit(|db| {
                        events
                            .into_iter()
                            .try_for_each(|event| parked::set_aside(db, at, id, event, clock::steady()))?;
                        cursor::advance(db, at, id, last)
                    })
                })?;
                after = last;
            }
            self.ledger.call(move |state| state.commit(|db| cursor::advance(db, at, id, below - 1)))?;
        }
        Ok(!behind.is_empty())
    }

    /// Up to where one block may be pruned now: below every cursor, out of its retention or beyond the ceiling. When
    /// there is something to prune, tidying comes again without waiting for another write.
    fn prunable(&mut self, lowest_cursor: Option<i64>) -> Result<Option<i64>, KeeperError> {
        let Some(cursor) = lowest_cursor else { return Ok(None) };
        let name = self.log.name().to_owned();
        let shadow = self.reader.read(|db| shadow::position(db, &name).or(Ok(0)))?;
        let witness = self.seen.witness.map_or(i64::MAX, |witness| witness.seq);
        let lowest = self.log.lowest_seq()?;
        let block = lowest.saturating_add(BLOCK).min(cursor + 1).min(witness).min(self.log.highest_seq()?);
        if block <= lowest {
            return Ok(None);
        }
        let size = self.log.size()?;
        let over =
            |value: i64, limit: Option<u64>| limit.is_some_and(|limit| u64::try_from(value).unwrap_or(0) > limit);
        let too_many = over(size.rows, self.keep.max_rows) || over(size.bytes, self.keep.max_bytes);
        let cutoff = self.cutoff(self.keep.events)?;
        let old = match (cutoff, self.log.event_at(block - 1)?) {
            (None, _) => false,
            (Some(cutoff), event) => event.is_none_or(|event| event.at < cutoff),
        };
        if !(too_many || old) {
            return Ok(None);
        }
        // What the shadow has not read yet stays; it is on its way.
        self.again = true;
        let block = block.min(shadow + 1);
        Ok((block > lowest).then_some(block))
    }
}
