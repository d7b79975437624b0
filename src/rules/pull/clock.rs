//! How far the clock of a source is from ours, as its last answers have shown.

use std::time::Duration;

/// From so much on a person is told.
pub const TOLD: Duration = Duration::from_secs(120);

/// So many answers count.
pub const KEPT: usize = 5;

/// The last answers' offsets, the newest last, in milliseconds: positive = the source is ahead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    last: Vec<i64>,
}

impl Offsets {
    /// Those that were kept.
    pub fn new(kept: &[i64]) -> Offsets {
        let from = kept.len().saturating_sub(KEPT);
        Offsets { last: kept.get(from..).unwrap_or_default().to_vec() }
    }

    /// Adds one.
    pub fn add(&mut self, ahead_ms: i64) {
        if self.last.len() >= KEPT {
            self.last.remove(0);
        }
        self.last.push(ahead_ms);
    }

    /// As they are kept.
    pub fn kept(&self) -> &[i64] {
        &self.last
    }

    /// Their median; of an even number of them the one nearer to nothing of the two in the middle. None = none is known.
    pub fn median(&self) -> Option<i64> {
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        let half = sorted.len() / 2;
        let upper = sorted.get(half).copied()?;
        if sorted.len() % 2 == 1 {
            return Some(upper);
        }
        let lower = sorted.get(half.checked_sub(1)?).copied()?;
        Some(if lower.unsigned_abs() <= upper.unsigned_abs() { lower } else { upper })
    }

    /// The median, where a person is to be told of it.
    pub fn told(&self) -> Option<i64> {
        self.median().filter(|ahead| u128::from(ahead.unsigned_abs()) > TOLD.as_millis())
    }
}
