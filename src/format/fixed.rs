//! Fixed records: rows to the bytes of a layout, and back.
//!
//! A [`Record`] is compiled once from a layout, a code page and what stands in each item. What cannot be encoded is a
//! [`Misfit`], what cannot be decoded a [`Damage`]: both name the item and a code, never the value. The bytes of each
//! kind of item stand in `docs/MAINFRAME.md`.

mod binding;
mod cell;
mod compile;
mod decode;
mod edited;
mod encode;
mod names;
mod number;
mod probe;
mod step;

use std::fmt;
use std::sync::Arc;

pub use binding::{Binding, Choice, Null, Options, Overpunch, Round, Rules, Select, Source, Unbound};
pub use encode::Values;
pub use probe::Probe;
pub use step::{Gap, Slot, Takes};

use step::Step;

use crate::event::Value;
use crate::rules::outcome::Reason;

/// A compiled record.
#[derive(Debug)]
pub struct Record {
    name: Arc<str>,
    steps: Vec<Step>,
    slots: Vec<Slot>,
    gaps: Vec<Gap>,
    probes: Vec<(Arc<str>, Probe)>,
    longest: usize,
    shortest: usize,
    /// Places that a choice looks back at.
    marks: usize,
}

/// Why a value does not fit, or bytes cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Too long, or too many digits.
    Overflow,
    /// A character that the code page does not have.
    Unmappable,
    /// A control character in a text.
    Control,
    /// Not a number.
    NotANumber,
    /// More decimal places than the item has, and no rounding is declared.
    Inexact,
    /// Below zero, and the item has no sign.
    Negative,
    /// Null in a key.
    NullKey,
    /// Null where nothing says what stands for it.
    Null,
    /// A value of another kind: bytes, text that is not UTF-8, a list, an object.
    Kind,
    /// More occurrences than the table has.
    TooMany,
    /// Fewer occurrences than the table has at least.
    TooFew,
    /// No redefinition is chosen by this value.
    UnknownChoice,
    /// Fewer or more bytes than the record has.
    Length,
    /// Half a byte, or a byte, that is no digit.
    BadDigit,
    /// A sign that is none.
    BadSign,
    /// A digit with a zone that is none.
    BadZone,
    /// Blanks in a number.
    Blank,
    /// A byte that is no character.
    BadCharacter,
    /// A count outside of what the table allows.
    BadCount,
}

impl Code {
    /// The stable word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Overflow => "overflow",
            Code::Unmappable => "unmappable",
            Code::Control => "control_character",
            Code::NotANumber => "not_a_number",
            Code::Inexact => "inexact",
            Code::Negative => "negative",
            Code::NullKey => "null_key",
            Code::Null => "null",
            Code::Kind => "wrong_kind",
            Code::TooMany => "too_many_occurrences",
            Code::TooFew => "too_few_occurrences",
            Code::UnknownChoice => "unknown_choice",
            Code::Length => "wrong_length",
            Code::BadDigit => "bad_digit",
            Code::BadSign => "bad_sign",
            Code::BadZone => "bad_zone",
            Code::Blank => "blank_number",
            Code::BadCharacter => "bad_character",
            Code::BadCount => "bad_count",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A row that cannot be encoded: it is held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {code}", place(field, occurrence))]
pub struct Misfit {
    /// The item.
    pub field: Arc<str>,
    /// Which occurrence, from 1, the outermost first; empty outside of tables.
    pub occurrence: Vec<usize>,
    /// Why.
    pub code: Code,
}

impl From<&Misfit> for Reason {
    fn from(misfit: &Misfit) -> Reason {
        Reason::new("encoding", misfit.to_string())
    }
}

/// Bytes that are no such record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} at byte {at}: {code}", place(field, occurrence))]
pub struct Damage {
    /// The item, or the record.
    pub field: Arc<str>,
    /// Which occurrence, from 1, the outermost first; empty outside of tables.
    pub occurrence: Vec<usize>,
    /// Its first byte, from 0.
    pub at: usize,
    /// Why.
    pub code: Code,
}

/// `NAME`, or `NAME(2 1)` as COBOL writes it.
fn place(field: &str, occurrence: &[usize]) -> String {
    if occurrence.is_empty() {
        return field.to_owned();
    }
    let numbers: Vec<_> = occurrence.iter().map(usize::to_string).collect();
    format!("{field}({})", numbers.join(" "))
}

impl Record {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it takes, in the order of [`Record::encode`]'s values and [`Record::decode`]'s.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Bytes that no value stands in, and what they are filled with.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Bytes of the longest record.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes of the shortest record.
    pub fn shortest(&self) -> usize {
        self.shortest
    }

    /// Appends the bytes of a row. After a misfit nothing of it was appended.
    ///
    /// A table's value is a list: of the items of an elementary table; for a table of groups of objects whose keys are
    /// the names of [`Slot::inner`], or of lists in its order. A null, or a list that ends early, leaves the rest of a
    /// table blank.
    pub fn encode<V: Values + ?Sized>(&self, values: &V, out: &mut Vec<u8>) -> Result<(), Misfit> {
        encode::record(self, values, out)
    }

    /// The values of a record, as many as there are slots; tables as [`Record::encode`] takes them, of objects where
    /// the items are groups. What an alternative that was not chosen would hold is null.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<Value>, Damage> {
        decode::record(self, bytes)
    }

    /// A way to read one item of encoded records, for totals; None for what is in a table, behind one that varies, or in
    /// one of several redefinitions, and for what is no number.
    pub fn probe(&self, item: &str) -> Option<&Probe> {
        self.probes.iter().find(|(name, _)| name.eq_ignore_ascii_case(item)).map(|(_, probe)| probe)
    }
}

#[cfg(test)]
mod tests;
