//! How much room a disk must have.

use crate::rules::alert::Severity;

/// Less free space than this is little, in bytes,
pub const LITTLE: u64 = 500_000_000;
/// and less than one part of so many of the disk too; below both it is too little.
pub const PART: u64 = 10;
/// Below this, and below the same part, somebody is told before it is too little.
pub const EARLY: u64 = 4 * LITTLE;

/// How the room on a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Enough.
    Enough,
    /// Little: somebody should make room before it is full.
    Little,
    /// Too little.
    TooLittle,
}

/// Judges the free bytes of a disk of so many.
pub fn room(free: u64, all: u64) -> Room {
    match (free < LITTLE, free < all / PART) {
        (true, true) => Room::TooLittle,
        (false, false) => Room::Enough,
        _ => Room::Little,
    }
}

/// Whether somebody must be told, unasked: `early` bytes are little. A tenth of a large disk is room enough.
pub fn alarms(free: u64, all: u64, early: u64) -> Option<Severity> {
    match room(free, all) {
        Room::TooLittle => Some(Severity::Critical),
        _ if free < early && (free < all / PART || early != EARLY) => Some(Severity::Warning),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    #[test]
    fn a_disk_is_full_below_500_mb_and_a_tenth_and_little_below_either() {
        assert_eq!(room(4 * GB, 20 * GB), Room::Enough);
        assert_eq!(room(GB, 20 * GB), Room::Little);
        assert_eq!(room(GB / 4, GB), Room::Little);
        assert_eq!(room(GB / 4, 20 * GB), Room::TooLittle);
    }

    #[test]
    fn nobody_is_told_of_a_large_disk_that_is_nine_tenths_full_but_of_what_somebody_wants_to_know() {
        assert_eq!(alarms(150 * GB, 2_000 * GB, EARLY), None);
        assert_eq!(alarms(GB, 20 * GB, EARLY), Some(Severity::Warning));
        assert_eq!(alarms(GB / 4, 20 * GB, EARLY), Some(Severity::Critical));
        assert_eq!(alarms(GB, 4 * GB, EARLY), None);
        assert_eq!(alarms(40 * GB, 100 * GB, 50 * GB), Some(Severity::Warning));
    }
}
