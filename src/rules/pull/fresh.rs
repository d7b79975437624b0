//! Which items of a page are new: an overlap is read again and again, and most of it is known.

use crate::clock::Timestamp;

/// What is known of a record as it was seen there last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its version there.
    pub version: Option<String>,
    /// SHA-256 of its content.
    pub hash: [u8; 32],
    /// When it was changed, by the clock there.
    pub updated: Option<Timestamp>,
    /// It was deleted.
    pub deleted: bool,
}

/// What a sight of a record is, beside what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It was not seen in this state yet.
    New,
    /// It is as it was.
    Known,
    /// It is an earlier state than the one that is known: an overlap that was answered from a copy, or a deletion that was
    /// taken back since.
    Stale,
}

/// Compares a sight with what is known. Where both have a version, that decides; content decides otherwise. The time only
/// tells an earlier state, and only where both have one.
pub fn sight(known: Option<&Seen>, now: &Seen) -> Sight {
    let Some(known) = known else { return Sight::New };
    let same = match (&known.version, &now.version) {
        (Some(known), Some(now)) => known == now,
        _ => known.hash == now.hash,
    };
    if same && known.deleted == now.deleted {
        return Sight::Known;
    }
    match (known.updated, now.updated) {
        (Some(known), Some(now)) if now < known => Sight::Stale,
        _ => Sight::New,
    }
}
