//! The numbers that files are given.

use std::num::NonZeroU64;

/// The sequence of a drop: one number after the other, without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    start: u64,
    last: Option<NonZeroU64>,
}

impl Sequence {
    /// Begins with `start` (default 1) and goes on without end.
    pub fn from(start: u64) -> Sequence {
        Sequence { start, last: None }
    }

    /// With `wrap` like `99 -> 01`: the number after 99 is 1.
    pub fn parse(start: u64, wrap: Option<&str>) -> Result<Sequence, String> {
        let Some(wrap) = wrap else { return Ok(Sequence::from(start)) };
        let wrong = || format!("`{wrap}` is not the end of a sequence like `99 -> 01`");
        let (last, first) = wrap.split_once("->").ok_or_else(wrong)?;
        let last: NonZeroU64 = last.trim().parse().map_err(|_| wrong())?;
        if first.trim().parse() != Ok(1_u64) {
            return Err(format!("`{wrap}`: after its last number a sequence goes on with 1"));
        }
        if start > last.get() {
            return Err(format!("it starts with {start}, which is after its last number, {last}"));
        }
        Ok(Sequence { start, last: Some(last) })
    }

    /// The number after `used`; the first when none was used. None after the last of 64 bits.
    pub fn next(self, used: Option<u64>) -> Option<u64> {
        match (used, self.last) {
            (None, _) => Some(self.start),
            (Some(used), Some(last)) if used >= last.get() => Some(1),
            (Some(used), _) => used.checked_add(1),
        }
    }

    /// Whether the other side shows a number of ours that we do not know to have used: the state was restored from a
    /// backup. Numbers before the start were somebody's before us. With an end that wraps, up to half of the numbers ahead of ours count as ahead.
    pub fn is_behind(self, used: Option<u64>, shown: u64) -> bool {
        match (used, self.last) {
            (None, _) => shown >= self.start,
            (Some(used), None) => shown > used,
            (Some(used), Some(last)) => {
                let ahead = (shown % last + last.get() - used % last) % last;
                ahead > 0 && ahead <= last.get() / 2
            }
        }
    }
}

/// The file id modifier of the nth file of a date, from 0: A to Z, then 0 to 9 (as NACHA's file header has it).
pub fn modifier(nth: u64) -> Result<char, String> {
    let letters = ('A'..='Z').chain('0'..='9');
    usize::try_from(nth)
        .ok()
        .and_then(|nth| letters.clone().nth(nth))
        .ok_or_else(|| "there are only 36 modifiers a date, A to Z and 0 to 9".to_owned())
}
