//! Framing: records to a stream of bytes, and back.
//!
//! Source: IBM z/OS DFSMS Using Data Sets, "Fixed-length and variable-length record formats": the record descriptor word
//! (RDW) and the block descriptor word (BDW) are a length of two bytes, high byte first, which counts the word itself, and
//! two zero bytes.

mod read;
mod write;

use std::io;

pub use read::Reader;
pub use write::Writer;

/// Bytes of a descriptor word.
pub const WORD: usize = 4;

/// The largest LRECL and BLKSIZE of a data set.
pub const LARGEST: usize = 32_760;

/// How records stand in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `recfm: F|FB`: every record has `lrecl` bytes.
    Fixed {
        /// Bytes of a record.
        lrecl: usize,
        /// What follows each record, for text of fixed length; empty on mainframes.
        terminator: Vec<u8>,
    },
    /// `recfm: V|VB`: a record descriptor word before each record.
    Variable {
        /// Bytes of the longest record, with the 4 of its word.
        lrecl: usize,
        /// Bytes of the largest block, with the 4 of its word; none = no blocks.
        blksize: Option<usize>,
    },
    /// Lines.
    Text {
        /// What ends each line.
        terminator: Vec<u8>,
    },
}

/// A file is filled up with records until their number is a multiple of one block's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pad {
    /// Records of a block.
    pub multiple: u64,
    /// The record that fills: of 9s for banks, of zeros for others.
    pub record: Vec<u8>,
}

/// A record that its frame cannot hold, or a file that is not framed so.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A record of another length.
    #[error("record {record} has {length} bytes, but LRECL is {lrecl}")]
    NotFixed {
        /// From 1.
        record: u64,
        /// Its bytes.
        length: usize,
        /// What it should have.
        lrecl: usize,
    },
    /// A record that is too long.
    #[error("record {record} has {length} bytes and {WORD} of its descriptor, but LRECL is {lrecl}")]
    TooLong {
        /// From 1.
        record: u64,
        /// Its bytes.
        length: usize,
        /// What it may have, with its descriptor.
        lrecl: usize,
    },
    /// The terminator stands in a line.
    #[error("record {record} holds the bytes that end a line")]
    Terminator {
        /// From 1.
        record: u64,
    },
    /// The file ends within a record or a block.
    #[error("the file ends within record {record}, at byte {at}")]
    Cut {
        /// From 1.
        record: u64,
        /// Bytes before it, from 0.
        at: u64,
    },
    /// A descriptor word that is none.
    #[error("record {record}: at byte {at} stands no {word}: {why}")]
    Descriptor {
        /// From 1.
        record: u64,
        /// Where, from 0.
        at: u64,
        /// `RDW` or `BDW`.
        word: &'static str,
        /// Why it is none.
        why: &'static str,
    },
    /// What should follow a record of fixed length does not.
    #[error("after record {record}, at byte {at}, its terminator is missing")]
    NoTerminator {
        /// From 1.
        record: u64,
        /// Where, from 0.
        at: u64,
    },
    /// The file cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The lengths of a kind of record, and what they are the sum of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The record.
    pub name: String,
    /// Bytes of the shortest.
    pub shortest: usize,
    /// Bytes of the longest.
    pub longest: usize,
    /// What the longest is the sum of: items with their bytes.
    pub parts: Vec<(String, usize)>,
}

impl Lengths {
    /// Those of a record of a layout.
    pub fn of(record: &crate::format::layout::Item) -> Lengths {
        let own = record.items().iter().filter(|item| item.redefines.is_none());
        let mut parts: Vec<_> = own
            .map(|item| match item.times() {
                1 => (item.title().to_owned(), item.length),
                times => (format!("{} ({times} x {})", item.title(), item.length), item.whole()),
            })
            .collect();
        let sum: usize = parts.iter().map(|(_, length)| length).sum();
        if sum < record.length {
            parts.push(("longer redefinitions".to_owned(), record.length - sum));
        }
        Lengths { name: record.title().to_owned(), shortest: record.shortest, longest: record.length, parts }
    }

    /// `WD-A 10 + WD-B 20 = 30`; the middle of a long sum is left out.
    fn sum(&self) -> String {
        const SHOWN: usize = 12;
        let parts: Vec<String> = self.parts.iter().map(|(name, length)| format!("{name} {length}")).collect();
        if parts.is_empty() {
            return self.longest.to_string();
        }
        let left_out = parts.len().saturating_sub(SHOWN);
        let middle = SHOWN / 2;
        let shown: Vec<String> = if left_out == 0 {
            parts
        } else {
            let between = std::iter::once(format!("{left_out} more"));
            parts[..middle]
                .iter()
                .cloned()
                .chain(between)
                .chain(parts[parts.len() - middle..].iter().cloned())
                .collect()
        };
        format!("{} = {}", shown.join(" + "), self.longest)
    }
}

impl Framing {
    /// What is wrong with it for these records: one line each, with the arithmetic.
    pub fn check(&self, records: &[Lengths]) -> Vec<String> {
        let mut wrong = Vec::new();
        match self {
            Framing::Fixed { lrecl, .. } => {
                for record in records {
                    let Lengths { name, shortest, longest, .. } = record;
                    if shortest != longest {
                        wrong.push(format!(
                            "{name} has {shortest} to {longest} bytes, but F and FB have records of one length: use VB"
                        ));
                    } else if longest != lrecl {
                        let (more, less) = (longest.saturating_sub(*lrecl), lrecl.saturating_sub(*longest));
                        let off = if more > 0 { format!("{more} too many") } else { format!("{less} too few") };
                        wrong
                            .push(format!("LRECL is {lrecl}, but {name} has {longest} bytes, {off}: {}", record.sum()));
                    }
                }
            }
            Framing::Variable { lrecl, blksize } => {
                for record in records.iter().filter(|record| record.longest.saturating_add(WORD) > *lrecl) {
                    let Lengths { name, longest, .. } = record;
                    wrong.push(format!(
                        "LRECL is {lrecl}, but {name} has up to {longest} bytes and {WORD} of its descriptor = {}: {}",
                        longest.saturating_add(WORD),
                        record.sum()
                    ));
                }
                if let Some(blksize) = blksize
                    && *blksize < lrecl.saturating_add(WORD)
                {
                    wrong.push(format!(
                        "BLKSIZE is {blksize}, but a block holds at least one record: LRECL {lrecl} and {WORD} of its \
                         descriptor = {}",
                        lrecl.saturating_add(WORD)
                    ));
                }
                if blksize.is_some_and(|blksize| blksize > LARGEST) {
                    wrong.push(format!("BLKSIZE is at most {LARGEST}"));
                }
            }
            Framing::Text { terminator } if terminator.is_empty() => {
                wrong.push("lines without a terminator cannot be told apart".to_owned());
            }
            Framing::Text { .. } => {}
        }
        if let Framing::Fixed { lrecl, .. } | Framing::Variable { lrecl, .. } = self
            && !(1..=LARGEST).contains(lrecl)
        {
            wrong.push(format!("LRECL is between 1 and {LARGEST}"));
        }
        wrong
    }
}

#[cfg(test)]
mod tests;
