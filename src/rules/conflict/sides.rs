//! What a decision is made from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::event::Record;

/// Both sides of one record, and what they last agreed on. Values are in the application's names and kinds: the other side's were
/// mapped back.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// Values at the last agreement; none = the two never agreed on this record, or its deletion was agreed on since.
    pub base: Option<Base<'a>>,
    /// The application.
    pub local: Side<'a>,
    /// The outside system.
    pub remote: Side<'a>,
    /// The columns that both sides have, each once, without those of the key. A field that an image does not have is empty there: what
    /// a side did not say at all must not be among these.
    pub fields: &'a [Arc<str>],
    /// Our wall clock.
    pub now: Timestamp,
    /// What a person has decided about this record.
    pub resolved: &'a [Resolution],
    /// The guard has found a row for what an earlier verdict of the same sides would write here: what it writes to guarded
    /// fields is held instead. False at first.
    pub barred: bool,
    /// The record's contents cross again and again: a person decides about the whole of it, as long as the sides differ.
    pub round: bool,
}

/// The last agreement. Both are the same record unless the other side stores values in a form of its own (upper case, cut
/// short): then each side is compared with what it itself held.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// What the application held.
    pub local: &'a Record,
    /// What the outside system held, mapped back.
    pub remote: &'a Record,
}

/// One side as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Its values; none = it does not have the record.
    pub image: Option<&'a Record>,
    /// When it changed.
    pub times: Times<'a>,
    /// Whether its clock can be believed (`pull: {clock: free}` = not).
    pub trusted: bool,
    /// The names that an order of authority may call it by: the connector and its adapter, or the office. The application is
    /// [`super::HERE`] besides.
    pub names: &'a [&'a str],
}

/// When a side changed a record since the base, by our clock: the other side's offset is already taken off.
#[derive(Clone, Copy, Debug)]
pub enum Times<'a> {
    /// Known for each field.
    Fields {
        /// By field.
        changed: &'a BTreeMap<Arc<str>, Span>,
        /// When it was deleted.
        deleted: Option<Timestamp>,
    },
    /// Known for the record as a whole, and used for each field that differs from the base; none = not known.
    Record(Option<Timestamp>),
}

/// The first and the last change of a field since the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: Timestamp,
    /// The last; the first, when there was only one.
    pub last: Timestamp,
}

/// What a person has decided about a held unit. It stands as long as both sides are as that person saw them: a newer change on either
/// re-opens the conflict.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// The unit's name ([`super::Unit::name`]).
    pub unit: Arc<str>,
    /// What is to be taken.
    pub take: Take,
    /// The application's values as they were shown ([`super::Stand::seen`]).
    pub local: [u8; 32],
    /// The other side's.
    pub remote: [u8; 32],
}

/// A person's choice.
#[derive(Clone, Debug, PartialEq)]
pub enum Take {
    /// The application's values; its deletion, where it deleted the record.
    Local,
    /// The other side's.
    Remote,
    /// These values on both sides: the field; every field of the group; of a whole record those fields that are not to be
    /// as the side that still has the record has them.
    Values(Record),
}

impl Side<'_> {
    /// When it changed this field, where that is known.
    pub(super) fn span(&self, field: &str) -> Option<Span> {
        match self.times {
            Times::Fields { changed, .. } => changed.get(field).copied(),
            Times::Record(at) => at.map(|at| Span { first: at, last: at }),
        }
    }

    /// When it deleted the record.
    pub(super) fn deleted(&self) -> Option<Span> {
        let at = match self.times {
            Times::Fields { deleted, .. } => deleted,
            Times::Record(at) => at,
        };
        at.map(|at| Span { first: at, last: at })
    }

    /// Whether one time stands for the whole record.
    pub(super) fn by_record(&self) -> bool {
        matches!(self.times, Times::Record(_))
    }
}
