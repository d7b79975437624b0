//! Names of files, and the texts of headers, trailers, control and trigger files.
//!
//! A pattern is text with placeholders: `{office}.WICAPPT.D{bus_date:%y%m%d}.S{seq:06}`. `{{` and `}}` stand for braces;
//! `{upper(...)}` and `{lower(...)}` change the case of a placeholder. After a `:` stands how it is written: dates as
//! [`date`] says, numbers as [`number`] says, texts with the width to which spaces fill them up.
//!
//! Everything a placeholder stands for was fixed at the cut and is stored with the batch, so a pattern gives the same text
//! whenever and wherever it is filled. `{audit}` alone is of the moment: a control file that shows it is made once and kept. Nothing is cut off: a number that is wider than its place is an error.

pub mod date;
mod lint;
pub mod number;
mod part;
mod rerun;
mod scan;
mod sequence;

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::Timestamp;
use crate::rules::outcome::Reason;
use crate::rules::template::{Piece, pieces};
use crate::rules::total::Expression;

pub use lint::{Samples, Target, lint};
use part::Part;
pub use part::placeholders;
pub use rerun::Rerun;
pub use scan::Scanned;
pub use sequence::{Sequence, modifier};

/// Where a pattern stands, and so which placeholders it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The name of a data file: what the cut fixed.
    Name,
    /// The name of a file beside it: also `{file}`.
    Beside,
    /// A field or line of the data file: also totals.
    Line,
    /// The text of a trigger file: also size and digests of the data file.
    Trigger,
    /// The text of a control file: also the checkpoint of the audit.
    Control,
}

/// What a batch was given at its cut.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// `{office}`: this installation.
    pub office: String,
    /// `{drop}`: the drop's name.
    pub drop: String,
    /// `{bus_date}`: the business date.
    pub bus_date: Date,
    /// `{cut}`: the moment of the cut-off.
    pub cut: Timestamp,
    /// `{created}`: when the batch was made.
    pub created: Timestamp,
    /// The zone in which `{cut}` and `{created}` are written.
    pub zone: TimeZone,
    /// `{seq}`.
    pub seq: u64,
    /// `{prev_seq}`: the sequence of the file before; 0 for the first.
    pub prev_seq: u64,
    /// `{gen}`: the generation, of a counter that has no modulus.
    pub generation: u64,
    /// `{rerun}`: 0 for the file itself, 1 for its first rerun.
    pub rerun: u64,
    /// `{modifier}`: the how many-th file of its business date, from 0; written A to Z, then 0 to 9.
    pub modifier: u64,
    /// `{part}` and `{parts}`: 1 and 1 unless the batch has several files.
    pub part: (u64, u64),
}

/// What is known of the finished data file.
#[derive(Clone, Debug, Default)]
pub struct Sealed {
    /// `{size}`: its bytes.
    pub size: u64,
    /// `{sha256}`: 64 hexadecimal digits, lower case.
    pub sha256: String,
    /// `{md5}`: 32 hexadecimal digits, lower case.
    pub md5: String,
    /// `{crc32}`: 8 hexadecimal digits, lower case.
    pub crc32: String,
    /// `{audit}`: the newest signed checkpoint of the audit, on one line; empty = there is none yet.
    pub audit: String,
}

/// What the placeholders of one pattern are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Values<'v> {
    /// What the cut fixed.
    pub stamp: &'v Stamp,
    /// `{file}`: the name of the data file.
    pub file: &'v str,
    /// The data file, for [`Place::Trigger`] and [`Place::Control`].
    pub sealed: Option<&'v Sealed>,
    /// What the totals of [`Pattern::totals`] came to, in their order.
    pub totals: &'v [Option<String>],
}

/// A text with placeholders, parsed.
#[derive(Clone, Debug)]
pub struct Pattern {
    parts: Vec<Part>,
    totals: Vec<Expression>,
    text: String,
}

impl Pattern {
    /// Parses and tries it out; errors say at which character (from 1), and the nearest known placeholder.
    pub fn parse(text: &str, place: Place) -> Result<Pattern, String> {
        let mut totals = Vec::new();
        let part = |piece| match piece {
            Piece::Literal(text) => Ok(Part::Literal(text)),
            Piece::Inside { at, text } => Part::parse(text.trim(), place, &mut totals)
                .map_err(|what| format!("the placeholder at character {at}: {what}")),
        };
        let parts = pieces(text)?.into_iter().map(part).collect::<Result<Vec<Part>, String>>()?;
        Ok(Pattern { parts, totals, text: text.to_owned() })
    }

    /// The totals that it shows, in the order in which [`Values::totals`] must be.
    pub fn totals(&self) -> &[Expression] {
        &self.totals
    }

    /// Whether it shows the checkpoint of the audit.
    pub fn shows_audit(&self) -> bool {
        self.parts.iter().any(|part| part.placeholder() == Some("audit"))
    }

    /// The text. Reasons (class `naming`) name the placeholder and what does not fit.
    pub fn fill(&self, values: &Values) -> Result<String, Reason> {
        let mut out = String::with_capacity(self.text.len());
        for part in &self.parts {
            part.write(values, &mut out).map_err(|what| Reason::new("naming", format!("`{}`: {what}", self.text)))?;
        }
        Ok(out)
    }

    /// The name of a data file; as [`fill`](Pattern::fill).
    pub fn name(&self, stamp: &Stamp) -> Result<String, Reason> {
        self.fill(&Values { stamp, file: "", sealed: None, totals: &[] })
    }

    /// Whether it has that placeholder.
    pub fn has(&self, placeholder: &str) -> bool {
        self.parts.iter().any(|part| part.placeholder() == Some(placeholder))
    }

    /// Whether the receiver counts the generations itself, `NAME(+1)`: then the same name again is another file, and
    /// nothing may be repeated after a byte was accepted.
    pub fn is_relative(&self) -> bool {
        matches!(self.parts.last(), Some(Part::Literal(end)) if end.trim_end_matches('\'').ends_with("(+1)"))
    }
}

/// As written.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
#[path = "naming/tests.rs"]
mod tests;
