//! How far the clock of a source is from ours, as its last answers have shown, and whether its times can decide anything.

use std::time::Duration;

use crate::clock::Timestamp;

/// From so much on a person is told.
pub const TOLD: Duration = Duration::from_secs(120);

/// So many answers count.
pub const KEPT: usize = 5;

/// An answer that shows another offset than those before by more than this tells that one of the two clocks was set: more
/// than a `Date`, which leaves out half a second on the average, and an answer of [`SLOW`] can be wrong by.
pub const JUMP: Duration = Duration::from_secs(15);

/// An answer that took longer does not tell at which moment of it the `Date` was written.
pub const SLOW: Duration = Duration::from_secs(10);

/// What the connector says of the clock there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// It counts as far as it is measured: by the `Date` of the answers.
    #[default]
    Measured,
    /// It is set by nobody: its times decide nothing.
    Free,
    /// It is the one that ours is, or set by the same: it needs no measure.
    Same,
}

/// The words of [`Trust`], as a connector has them.
pub const TRUSTS: [(&str, Trust); 3] = [("measured", Trust::Measured), ("free", Trust::Free), ("same", Trust::Same)];

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

    /// Adds one. Where it differs so much from those before that one of the two clocks must have been set, they count no more,
    /// and it is told by how much.
    pub fn add(&mut self, ahead_ms: i64) -> Option<Duration> {
        let jump = self.median().map(|median| Duration::from_millis(median.abs_diff(ahead_ms)));
        let jump = jump.filter(|jump| *jump > JUMP);
        if jump.is_some() {
            self.last.clear();
        }
        if self.last.len() >= KEPT {
            self.last.remove(0);
        }
        self.last.push(ahead_ms);
        jump
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

    /// A time of ours by the clock there; the same where nothing is known.
    pub fn theirs(&self, ours: Timestamp) -> Timestamp {
        Timestamp(ours.0.saturating_add(self.median().unwrap_or(0)))
    }

    /// The median, where a person is to be told of it.
    pub fn told(&self) -> Option<i64> {
        self.median().filter(|ahead| u128::from(ahead.unsigned_abs()) > TOLD.as_millis())
    }
}

/// What is believed of both clocks while a page is decided about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Belief {
    /// What the connector says.
    pub trust: Trust,
    /// By so many milliseconds the other clock is ahead; none = it was never measured.
    pub ahead_ms: Option<i64>,
    /// One of the two was set: what both say of the time up to there (by ours) may be from before.
    pub doubted: Option<Timestamp>,
    /// Ours is believed.
    pub ours: bool,
}

impl Belief {
    /// A time of theirs by our clock.
    pub fn by_ours(&self, theirs: Timestamp) -> Timestamp {
        match self.trust {
            Trust::Measured => Timestamp(theirs.0.saturating_sub(self.ahead_ms.unwrap_or(0))),
            Trust::Free | Trust::Same => theirs,
        }
    }

    /// Whether a time of theirs may decide anything beside one of ours, both by our clock; none = there is none.
    pub fn trusts(&self, theirs: Option<Timestamp>, ours: Option<Timestamp>) -> bool {
        match self.trust {
            Trust::Measured => self.ahead_ms.is_some() && self.is_since(theirs) && self.is_since(ours),
            Trust::Free => false,
            Trust::Same => true,
        }
    }

    /// Up to when times are in doubt after such a jump, by our clock: what was told before it is at most as much later than
    /// now, counted as it is now, as the jump is wide.
    pub fn doubt(now: Timestamp, jump: Duration) -> Timestamp {
        now.plus(jump)
    }

    fn is_since(&self, at: Option<Timestamp>) -> bool {
        self.doubted.is_none_or(|doubted| at.is_none_or(|at| at > doubted))
    }
}
