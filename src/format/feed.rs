//! What the files of a drop look like: records to a file with its header, details and trailer, and back.
//!
//! A [`Feed`] is made once from plain data ([`CsvFeed`] or [`FixedFeed`]) and says at once everything that is wrong with
//! it. Files are written as they come, with memory that does not grow with them. Totals are taken of what was encoded, so
//! that they say what the receiver reads. What stands in a file depends on the rows and the stamp alone.

mod counting;
mod csv;
mod fill;
mod fixed;

use std::collections::BTreeMap;

use crate::event::Record;
use crate::rules::naming::Stamp;
use crate::rules::outcome::Reason;
use crate::rules::total::Expression;

pub use csv::{CsvColumn, CsvFeed};
pub use fill::Set;
pub use fixed::{FixedDetail, FixedFeed, FixedLine, Padding, Pick, When};

/// What the files of a drop look like.
#[derive(Debug)]
pub struct Feed {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Csv(Box<csv::Csv>),
    Fixed(Box<fixed::Fixed>),
}

/// One line of a file.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r> {
    /// The record as the mapping made it.
    pub record: &'r Record,
    /// `add`, `change`, `delete` or `message`: what it tells the host.
    pub action: &'r str,
    /// Which line of the file, from 1.
    pub ordinal: u64,
}

/// What the totals of a file came to, by the text of their expressions; none for the smallest or largest of nothing.
pub type Sums = BTreeMap<String, Option<String>>;

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Detail records.
    pub details: u64,
    /// All records: headers, details, trailers, and those that fill the last block.
    pub records: u64,
    /// All totals of the feed.
    pub sums: Sums,
}

/// A file that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// One record for each header: the items of a fixed record by their names; of a line the placeholders of its pattern
    /// as texts, totals by their expressions.
    pub header: Vec<Record>,
    /// The details: values by item, or by the field of each column. With several kinds of records the first field,
    /// [`Parsed::KIND`], says which.
    pub details: Vec<Record>,
    /// As `header`.
    pub trailer: Vec<Record>,
}

impl Parsed {
    /// The name of the field that says of which kind a detail is.
    pub const KIND: &'static str = "$record";
}

/// The class of the reasons for which a row or a file cannot be encoded.
const ENCODING: &str = "encoding";
/// The class of the reasons for which a file cannot be read.
const DECODING: &str = "decoding";

impl Feed {
    /// Delimited text, or text in columns. Errors are about the configuration, all at once.
    pub fn csv(spec: CsvFeed) -> Result<Feed, Vec<String>> {
        csv::Csv::new(spec).map(|csv| Feed { kind: Kind::Csv(Box::new(csv)) })
    }

    /// Fixed records. Errors are about the configuration, all at once, with the arithmetic of lengths.
    pub fn fixed(spec: FixedFeed) -> Result<Feed, Vec<String>> {
        fixed::Fixed::new(spec).map(|fixed| Feed { kind: Kind::Fixed(Box::new(fixed)) })
    }

    /// What tries rows out, one after the other.
    pub fn gauge(&self) -> Result<Gauge<'_>, Reason> {
        Ok(Gauge(match &self.kind {
            Kind::Csv(csv) => Trial::Csv(Box::new(csv.gauge()?)),
            Kind::Fixed(fixed) => Trial::Fixed(fixed),
        }))
    }

    /// Bytes that a file of that stamp and name has at most beside those of its rows.
    pub fn around(&self, stamp: &Stamp, name: &str) -> Result<u64, Reason> {
        let mut writing = self.file(stamp, name)?;
        let mut out = Vec::new();
        writing.begin(None, &mut out)?;
        // A trailer may show the smallest of nothing, which is none.
        let ended = writing.finish(&mut out).is_ok();
        let more = match &self.kind {
            Kind::Csv(csv) => csv.growth(ended),
            Kind::Fixed(fixed) => fixed.growth(),
        };
        Ok(out.len() as u64 + more)
    }

    /// Whether the header shows totals, so that rows have to be gone through before it is written: write a file without
    /// sums first, throw it away, and give the sums of its end to [`Writing::begin`].
    pub fn sums_first(&self) -> bool {
        match &self.kind {
            Kind::Csv(csv) => csv.sums_first(),
            Kind::Fixed(fixed) => fixed.sums_first(),
        }
    }

    /// Items with a name that nothing stands in, one text for each record that has any: which, and how many bytes.
    pub fn gaps(&self) -> Vec<String> {
        match &self.kind {
            Kind::Csv(_) => Vec::new(),
            Kind::Fixed(fixed) => fixed.gaps(),
        }
    }

    /// Begins a file of that stamp and name.
    pub fn file<'f>(&'f self, stamp: &'f Stamp, name: &'f str) -> Result<Writing<'f>, Reason> {
        Ok(Writing(match &self.kind {
            Kind::Csv(csv) => Pen::Csv(Box::new(csv.file(stamp, name)?)),
            Kind::Fixed(fixed) => Pen::Fixed(Box::new(fixed.file(stamp, name)?)),
        }))
    }

    /// Whether a total can be taken of these files: its fields are there, and can be calculated with.
    pub fn can_count(&self, expression: &Expression) -> Result<(), String> {
        match &self.kind {
            Kind::Csv(csv) => csv.can_count(expression),
            Kind::Fixed(fixed) => fixed.can_count(expression),
        }
    }

    /// Counts these totals too, which control files show. What [`Feed::can_count`] refuses is left out.
    pub fn count_also(&mut self, expressions: &[Expression]) {
        for expression in expressions {
            match &mut self.kind {
                Kind::Csv(csv) => csv.count(expression),
                Kind::Fixed(fixed) => fixed.count(expression),
            }
        }
    }

    /// Reads a file of this feed back. Its frame, what is always the same in it, and the totals that it shows of its
    /// details are checked; reasons (class `decoding`) say where it is wrong, and never a value.
    pub fn read(&self, file: &[u8]) -> Result<Parsed, Reason> {
        match &self.kind {
            Kind::Csv(csv) => csv.read(file),
            Kind::Fixed(fixed) => fixed.read(file),
        }
    }
}

/// Tries rows out before a file is made of them.
#[derive(Debug)]
pub struct Gauge<'f>(Trial<'f>);

#[derive(Debug)]
enum Trial<'f> {
    Csv(Box<csv::Gauge<'f>>),
    Fixed(&'f fixed::Fixed),
}

impl Gauge<'_> {
    /// The bytes that a row takes in a file at most, when it can be encoded: else why it is held (class `encoding`; field and
    /// code, never the value).
    pub fn row(&mut self, row: &Row<'_>) -> Result<u64, Reason> {
        match &mut self.0 {
            Trial::Csv(csv) => csv.row(row),
            Trial::Fixed(fixed) => fixed.fits(row),
        }
    }
}

/// A file in the making: [`begin`](Writing::begin), [`row`](Writing::row) for each line, [`finish`](Writing::finish).
/// Bytes are appended to `out`, which may be emptied between the calls. After an error the file is not to be used.
#[derive(Debug)]
pub struct Writing<'f>(Pen<'f>);

#[derive(Debug)]
enum Pen<'f> {
    Csv(Box<csv::Pen<'f>>),
    Fixed(Box<fixed::Pen<'f>>),
}

impl Writing<'_> {
    /// The header. `sums` is what the totals come to, where [`Feed::sums_first`] asks for it; without, they are shown as
    /// zero.
    pub fn begin(&mut self, sums: Option<&Sums>, out: &mut Vec<u8>) -> Result<(), Reason> {
        match &mut self.0 {
            Pen::Csv(pen) => pen.begin(sums, out),
            Pen::Fixed(pen) => pen.begin(sums, out),
        }
    }

    /// A detail.
    pub fn row(&mut self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), Reason> {
        match &mut self.0 {
            Pen::Csv(pen) => pen.row(row, out),
            Pen::Fixed(pen) => pen.row(row, out),
        }
    }

    /// The trailer, and whatever else ends the file.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<Finished, Reason> {
        match self.0 {
            Pen::Csv(pen) => pen.finish(out),
            Pen::Fixed(pen) => pen.finish(out),
        }
    }
}

#[cfg(test)]
mod tests;
