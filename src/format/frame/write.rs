//! Records to a stream.

use std::io::Write;

use crate::format::frame::{FrameError, Framing, Pad, WORD};

/// Writes records as they come; only a block is kept back.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    framing: Framing,
    pad: Option<Pad>,
    records: u64,
    bytes: u64,
    /// The block that is being filled, its word included.
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`. Check the framing first: [`Framing::check`].
    pub fn new(out: W, framing: Framing, pad: Option<Pad>) -> Writer<W> {
        Writer { out, framing, pad, records: 0, bytes: 0, block: Vec::new() }
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The stream, to take out what was written to it; a block that is being filled is not in it yet.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes one record. After an error about its length nothing of it was written.
    pub fn write(&mut self, record: &[u8]) -> Result<(), FrameError> {
        let (number, length) = (self.records + 1, record.len());
        match &self.framing {
            Framing::Fixed { lrecl, .. } if length != *lrecl => {
                return Err(FrameError::NotFixed { record: number, length, lrecl: *lrecl });
            }
            Framing::Fixed { terminator, .. } => {
                self.out.write_all(record)?;
                self.out.write_all(terminator)?;
                self.bytes += (length + terminator.len()) as u64;
            }
            Framing::Variable { lrecl, blksize } => {
                let whole = length + WORD;
                let word = match u16::try_from(whole) {
                    Ok(word) if whole <= *lrecl => word,
                    _ => return Err(FrameError::TooLong { record: number, length, lrecl: *lrecl }),
                };
                match *blksize {
                    None => {
                        self.out.write_all(&descriptor(word))?;
                        self.out.write_all(record)?;
                        self.bytes += whole as u64;
                    }
                    Some(blksize) => {
                        if whole + WORD > blksize {
                            return Err(FrameError::TooLong {
                                record: number,
                                length,
                                lrecl: blksize - WORD.min(blksize),
                            });
                        }
                        if self.block.len() + whole > blksize {
                            self.end_block()?;
                        }
                        if self.block.is_empty() {
                            self.block.extend_from_slice(&[0; WORD]);
                        }
                        self.block.extend_from_slice(&descriptor(word));
                        self.block.extend_from_slice(record);
                    }
                }
            }
            Framing::Text { terminator } => {
                if holds(record, terminator) {
                    return Err(FrameError::Terminator { record: number });
                }
                self.out.write_all(record)?;
                self.out.write_all(terminator)?;
                self.bytes += (length + terminator.len()) as u64;
            }
        }
        self.records = number;
        Ok(())
    }

    /// Writes the block that was filled.
    fn end_block(&mut self) -> Result<(), FrameError> {
        let length = u16::try_from(self.block.len()).unwrap_or(u16::MAX);
        if let Some(word) = self.block.get_mut(..WORD) {
            word.copy_from_slice(&descriptor(length));
            self.out.write_all(&self.block)?;
            self.bytes += self.block.len() as u64;
            self.block.clear();
        }
        Ok(())
    }

    /// Fills up with records, ends the last block, and gives the stream back with the number of records and of bytes in it.
    pub fn finish(mut self) -> Result<(W, u64, u64), FrameError> {
        if let Some(pad) = self.pad.take() {
            while pad.multiple > 0 && !self.records.is_multiple_of(pad.multiple) {
                self.write(&pad.record)?;
            }
        }
        self.end_block()?;
        self.out.flush()?;
        Ok((self.out, self.records, self.bytes))
    }
}

/// A length in a descriptor word.
fn descriptor(length: u16) -> [u8; WORD] {
    let [high, low] = length.to_be_bytes();
    [high, low, 0, 0]
}

fn holds(record: &[u8], terminator: &[u8]) -> bool {
    match terminator {
        [] => false,
        // A line that ends with the beginning of a longer terminator would end too early.
        [first, ..] => {
            record.windows(terminator.len()).any(|window| window == terminator)
                || (1..terminator.len()).any(|part| record.ends_with(&terminator[..part]) && repeats(terminator, part))
                || (terminator.len() == 1 && record.contains(first))
        }
    }
}

/// Whether the terminator, put after its own first `part` bytes, is found too early.
fn repeats(terminator: &[u8], part: usize) -> bool {
    let both = [&terminator[..part], terminator].concat();
    both.windows(terminator.len()).position(|window| window == terminator) != Some(part)
}
