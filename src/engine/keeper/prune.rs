//! Pruning by hand: all that retention no longer keeps goes now, in the same small steps.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Keeper, KeeperError};
use crate::clock;
use crate::store::shadow;

/// Between two steps the application gets its turn.
const PAUSE: Duration = Duration::from_millis(50);
/// So many steps without any progress: the application writes all the time, or nothing is left.
const IN_VAIN: u32 = 8;
/// A person waits no longer; what is left goes by itself.
const LONGEST: Duration = Duration::from_secs(60);

/// How many events went, or why none could.
pub type Pruned = Result<i64, String>;

/// Whether it is only to be counted, and who hears the answer.
type Question = (bool, Sender<Pruned>);

/// What a person asks of the keeper of one log: whether it is only to be counted, and who hears of it.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Mutex<Option<Question>>>);

impl Asked {
    /// Leaves the question there; the keeper answers it at its next look. One that was not answered yet is taken back.
    pub fn ask(&self, dry: bool, answer: Sender<Pruned>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((dry, answer));
    }
}

impl Keeper {
    /// Where a person can ask for pruning.
    pub fn asked(&self) -> Asked {
        self.asked.clone()
    }

    /// Does what a person has asked for since the last look.
    pub fn answer_asked(&mut self) {
        let asked = self.asked.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((dry, answer)) = asked {
            let _ = answer.send(self.prune(dry).map_err(|error| error.to_string()));
        }
    }

    /// Prunes what retention no longer keeps; how many events went. `dry` = counts them and writes nothing. What is not
    /// settled everywhere, and the witness, stay.
    ///
    /// # Errors
    /// As [`Keeper::tidy`].
    pub fn prune(&mut self, dry: bool) -> Result<i64, KeeperError> {
        if dry {
            return self.prunable_in_all();
        }
        let (first, until) = (self.log.lowest_seq()?, clock::steady().plus(LONGEST));
        let mut vain = 0;
        // At first the file may have been written just now: steps are taken until that is longer ago than a gap.
        while vain < IN_VAIN && clock::steady() < until && self.prunable_in_all()? > 0 {
            let before = self.log.lowest_seq()?;
            self.tidy()?;
            vain = if self.log.lowest_seq()? > before { 0 } else { vain + 1 };
            std::thread::sleep(PAUSE);
        }
        Ok((self.log.lowest_seq()? - first).max(0))
    }

    /// How many events would go.
    fn prunable_in_all(&mut self) -> Result<i64, KeeperError> {
        let Some(cursor) = self.settled()? else { return Ok(0) };
        let name = self.log.name().to_owned();
        let shadow = self.reader.read(|db| shadow::position(db, &name).or(Ok(0)))?;
        let witness = self.seen.witness.map_or(i64::MAX, |witness| witness.seq);
        let lowest = self.log.lowest_seq()?;
        let end = (cursor + 1).min(witness).min(self.log.highest_seq()?).min(shadow + 1);
        if lowest <= 0 || end <= lowest {
            return Ok(0);
        }
        let size = self.log.size()?;
        let over = |value: i64, limit: Option<u64>| {
            limit.map_or(0, |limit| (value - i64::try_from(limit).unwrap_or(i64::MAX)).max(0))
        };
        let average = (size.bytes / size.rows.max(1)).max(1);
        let mut below =
            lowest + over(size.rows, self.keep.max_rows).max(over(size.bytes, self.keep.max_bytes) / average);
        if let Some(cutoff) = self.cutoff(self.keep.events)? {
            let (mut old, mut young) = (lowest, end);
            while old < young {
                let middle = old + (young - old) / 2;
                match self.log.event_at(middle)? {
                    Some(event) if event.at >= cutoff => young = middle,
                    _ => old = middle + 1,
                }
            }
            below = below.max(old);
        }
        Ok(below.min(end) - lowest)
    }
}
