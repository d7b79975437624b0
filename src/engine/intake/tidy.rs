//! Pruning the intake log: what every connector has passed and retention no longer keeps goes, in small blocks.
//!
//! As in a captured log (`keeper/tidy.rs`) the highest row always stays, so that no number is given twice, and what is parked
//! has its own copy. With an event goes its idempotency key.

use crate::clock;
use crate::engine::keeper::{Keep, KeeperError};
use crate::engine::ledger::Ledger;
use crate::rules::clock::{cutoff, to_note};
use crate::store::state::{ConnectorId, LogId, StateReader, belief, cursor, intake};

/// Rows pruned in one commit: posts wait for no longer than that takes.
const BLOCK: i64 = 500;

/// Who prunes the intake log.
pub struct Tidy {
    log: LogId,
    ledger: Ledger,
    reader: StateReader,
    keep: Keep,
    connectors: Vec<ConnectorId>,
}

impl Tidy {
    /// For the log of a state file that these connectors (and handlers) read.
    pub fn new(log: LogId, ledger: Ledger, reader: StateReader, keep: Keep, connectors: Vec<ConnectorId>) -> Tidy {
        Tidy { log, ledger, reader, keep, connectors }
    }

    /// Prunes one block, if any is due. True = there may be more.
    ///
    /// # Errors
    /// When the state file cannot be read or written.
    pub fn turn(&mut self) -> Result<bool, KeeperError> {
        // Without a database nobody else notes what is known of the clock.
        let (now, known) = (clock::now(), self.reader.read(belief::known)?);
        if to_note(now, &known).is_some() {
            self.ledger.call(move |state| state.commit(|db| belief::keep(db, now)))?;
        }
        let Some(below) = self.prunable()? else { return Ok(false) };
        Ok(self.ledger.call(move |state| state.commit(|db| intake::prune(db, below)))? > 0)
    }

    /// Up to where one block may go now: below every cursor, and out of its retention or beyond the ceilings.
    fn prunable(&mut self) -> Result<Option<i64>, KeeperError> {
        let (log, connectors, limits) = (self.log, &self.connectors, &self.keep);
        let found = self.reader.read(|db| {
            let Some(lowest) = intake::lowest(db)? else { return Ok(None) };
            let highest = intake::highest(db)?;
            let mut passed: Option<i64> = None;
            for connector in connectors {
                let at = cursor::get(db, *connector, log)?.map_or(0, |at| at.seq);
                passed = Some(passed.map_or(at, |passed| passed.min(at)));
            }
            // Nobody reads it: it is kept for who may come.
            let Some(passed) = passed else { return Ok(None) };
            let block = lowest.saturating_add(BLOCK).min(passed.saturating_add(1)).min(highest);
            if block <= lowest {
                return Ok(None);
            }
            let rows = u64::try_from(highest - lowest + 1).unwrap_or(0);
            let bytes = match limits.max_bytes {
                Some(_) => intake::row_bytes(db)?.saturating_mul(rows),
                None => 0,
            };
            let over = |value: u64, limit: Option<u64>| limit.is_some_and(|limit| value > limit);
            let full = over(rows, limits.max_rows) || over(bytes, limits.max_bytes);
            // Some numbers may be gone: what counts is the last row there is below.
            Ok(Some((block, full, intake::last_taken_below(db, block)?)))
        })?;
        let Some((block, full, last)) = found else { return Ok(None) };
        let known = self.reader.read(belief::known)?;
        let old = match cutoff(clock::now(), clock::steady(), &known, self.keep.events) {
            None => false,
            Some(cutoff) => last.is_none_or(|last| last < cutoff),
        };
        Ok((full || old).then_some(block))
    }
}
