//! Pruning the intake log: what every connector has passed and retention no longer keeps goes, in small blocks.
//!
//! As in a captured log (`keeper/tidy.rs`) the highest row always stays, so that no number is given twice, and what is parked
//! has its own copy. With an event goes its idempotency key.

use std::sync::Arc;

use super::Valve;
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
    connectors: Arc<[ConnectorId]>,
    valve: Valve,
}

impl Tidy {
    /// For the log of a state file that these connectors (and handlers) read.
    pub fn new(log: LogId, ledger: Ledger, reader: StateReader, keep: Keep, connectors: Vec<ConnectorId>) -> Tidy {
        let connectors: Arc<[ConnectorId]> = connectors.into();
        let valve = Valve::new(log, connectors.clone(), keep.cap_bytes);
        Tidy { log, ledger, reader, keep, connectors, valve }
    }

    /// What bounds the log where it cannot be pruned.
    pub fn valve(&self) -> Valve {
        self.valve.clone()
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
        self.reader.read(|db| self.valve.look(db))?;
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
            for connector in connectors.iter() {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::{Record, Value};
    use crate::store::state::intake::{Message, Taken, take};
    use crate::store::state::{Db, State, connector, log as logs};

    const DAY: Duration = Duration::from_secs(86_400);

    struct Shelf {
        ledger: Ledger,
        reader: StateReader,
        log: LogId,
        connector: ConnectorId,
        _folder: tempfile::TempDir,
    }

    fn post(db: &Db, n: i64, at: Timestamp) -> Taken {
        let payload: Record = [("id", Value::Integer(n))].into_iter().collect();
        let name = n.to_string();
        let message = Some(("ops", name.as_str()));
        take(
            db,
            &Message { kind: "rule", payload: &payload, lane_key: None, message, body_hash: [0; 32], to: None },
            at,
        )
        .unwrap()
    }

    /// `old` events of nine days ago, then `new` ones of now.
    fn shelf(old: i64, new: i64) -> Shelf {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let (ledger, _) = Ledger::start(State::open(&path).unwrap()).unwrap();
        let (log, connector) = ledger
            .call(move |state| {
                state.commit(|db| {
                    for n in 1..=old + new {
                        let age = if n <= old { DAY * 9 } else { Duration::ZERO };
                        assert!(matches!(post(db, n, clock::now().minus(age)), Taken::New(_)));
                    }
                    let connector = connector::remember(db, "legacy")?.0.id;
                    let log = logs::remember(db, logs::INTAKE)?;
                    cursor::begin(db, connector, log, 0)?;
                    Ok((log, connector))
                })
            })
            .unwrap();
        Shelf { ledger, reader: StateReader::open(&path).unwrap(), log, connector, _folder: folder }
    }

    impl Shelf {
        fn reach(&self, seq: i64) {
            let (connector, log) = (self.connector, self.log);
            self.ledger.call(move |state| state.commit(|db| cursor::advance(db, connector, log, seq))).unwrap();
        }

        fn lowest(&mut self) -> i64 {
            self.reader.read(intake::lowest).unwrap().unwrap()
        }

        fn tidy(&self, limits: impl FnOnce(&mut Keep)) {
            let mut keep = Keep { events: DAY * 7, max_rows: None, max_bytes: None, cap_bytes: 0 };
            limits(&mut keep);
            let reader = StateReader::open(self.reader.path()).unwrap();
            let mut tidy = Tidy::new(self.log, self.ledger.clone(), reader, keep, vec![self.connector]);
            while tidy.turn().unwrap() {}
        }
    }

    #[test]
    fn what_is_old_and_passed_by_everybody_goes_and_nothing_else() {
        let mut shelf = shelf(1200, 10);
        shelf.tidy(|_| {});
        assert_eq!(shelf.lowest(), 1, "the connector has passed nothing");
        shelf.reach(700);
        shelf.tidy(|_| {});
        assert_eq!(shelf.lowest(), 701);
        shelf.reach(1210);
        shelf.tidy(|_| {});
        // A block goes when the last of it is old; the new ones stay.
        assert_eq!(shelf.lowest(), 1201);
    }

    #[test]
    fn a_key_is_known_for_as_long_as_its_event_is_kept() {
        let shelf = shelf(20, 1);
        shelf.reach(10);
        shelf.tidy(|_| {});
        let again = |n| shelf.ledger.call(move |state| state.commit(|db| Ok(post(db, n, clock::now())))).unwrap();
        assert!(matches!(again(11), Taken::Known(id) if id.seq == 11));
        assert!(matches!(again(5), Taken::New(id) if id.seq == 22));
    }

    #[test]
    fn beyond_the_ceilings_what_is_passed_goes_earlier_and_the_highest_stays() {
        for by_rows in [true, false] {
            let mut shelf = shelf(0, 1300);
            shelf.reach(1300);
            shelf.tidy(|keep| if by_rows { keep.max_rows = Some(100) } else { keep.max_bytes = Some(20_000) });
            let lowest = shelf.lowest();
            assert!((1001..=1300).contains(&lowest), "{lowest}");
            assert_eq!(shelf.reader.read(intake::highest).unwrap(), 1300);
        }
    }
}
