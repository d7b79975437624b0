//! A stream to records.

use std::io::{BufRead, BufReader, ErrorKind, Read};

use crate::format::frame::{FrameError, Framing, LARGEST, WORD};

/// Reads records one after the other. A slice of bytes is a stream as well.
#[derive(Debug)]
pub struct Reader<R> {
    from: BufReader<R>,
    framing: Framing,
    /// The record that is read, from 1.
    record: u64,
    at: u64,
    /// Bytes left in the block.
    block: usize,
}

impl<R: Read> Reader<R> {
    /// Reads from a stream. `pad_to_block` records are records like others.
    pub fn new(from: R, framing: Framing) -> Reader<R> {
        Reader { from: BufReader::new(from), framing, record: 0, at: 0, block: 0 }
    }

    /// The number of the record that was read last, from 1.
    pub fn record(&self) -> u64 {
        self.record
    }

    /// Puts the next record into `record`; false at the end.
    pub fn next(&mut self, record: &mut Vec<u8>) -> Result<bool, FrameError> {
        record.clear();
        self.record += 1;
        let framing = std::mem::replace(&mut self.framing, Framing::Text { terminator: Vec::new() });
        let found = match &framing {
            Framing::Fixed { lrecl, terminator } => self.fixed(*lrecl, terminator, record),
            Framing::Variable { lrecl, blksize } => self.variable(*lrecl, blksize.is_some(), record),
            Framing::Text { terminator } => self.line(terminator, record),
        };
        self.framing = framing;
        if !matches!(found, Ok(true)) {
            self.record -= 1;
        }
        found
    }

    fn fixed(&mut self, lrecl: usize, terminator: &[u8], record: &mut Vec<u8>) -> Result<bool, FrameError> {
        let start = self.at;
        if !self.take(lrecl, record)? {
            return Ok(false);
        }
        let mut end = Vec::new();
        let cut = FrameError::NoTerminator { record: self.record, at: start + lrecl as u64 };
        if !terminator.is_empty() && (!self.take(terminator.len(), &mut end)? || end != terminator) {
            return Err(cut);
        }
        Ok(true)
    }

    fn variable(&mut self, lrecl: usize, blocks: bool, record: &mut Vec<u8>) -> Result<bool, FrameError> {
        if blocks && self.block == 0 {
            let Some(length) = self.descriptor("BDW")? else { return Ok(false) };
            self.block = length;
        }
        let start = self.at;
        let wrong = |reader: &Self, why| FrameError::Descriptor { record: reader.record, at: start, word: "RDW", why };
        let length = match self.descriptor("RDW")? {
            Some(length) => length,
            None if blocks => return Err(FrameError::Cut { record: self.record, at: self.at }),
            None => return Ok(false),
        };
        if length + WORD > lrecl {
            return Err(wrong(self, "it is longer than LRECL"));
        }
        if blocks {
            self.block =
                self.block.checked_sub(length + WORD).ok_or_else(|| wrong(self, "it ends behind its block"))?;
        }
        if length > 0 && !self.take(length, record)? {
            return Err(FrameError::Cut { record: self.record, at: self.at });
        }
        Ok(true)
    }

    /// The length in the next descriptor word, without the word; None at the end.
    fn descriptor(&mut self, word: &'static str) -> Result<Option<usize>, FrameError> {
        let at = self.at;
        let mut bytes = Vec::with_capacity(WORD);
        if !self.take(WORD, &mut bytes)? {
            return Ok(None);
        }
        let wrong = |why| FrameError::Descriptor { record: self.record, at, word, why };
        let [high, low, 0, 0] = bytes[..] else {
            return Err(wrong("its last two bytes are not zero (spanned records are not read)"));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > LARGEST {
            return Err(wrong("it is longer than any data set has"));
        }
        length.checked_sub(WORD).map(Some).ok_or_else(|| wrong("it is shorter than itself"))
    }

    fn line(&mut self, terminator: &[u8], record: &mut Vec<u8>) -> Result<bool, FrameError> {
        let Some((last, _)) = terminator.split_last() else {
            // Without a terminator all is one line.
            self.from.read_to_end(record)?;
            self.at += record.len() as u64;
            return Ok(!record.is_empty());
        };
        loop {
            let read = self.from.read_until(*last, record)?;
            self.at += read as u64;
            if record.ends_with(terminator) {
                record.truncate(record.len() - terminator.len());
                return Ok(true);
            }
            if read == 0 {
                // A last line may lack its terminator.
                return Ok(!record.is_empty());
            }
        }
    }

    /// Appends so many bytes; false when there are none at all.
    fn take(&mut self, length: usize, to: &mut Vec<u8>) -> Result<bool, FrameError> {
        let start = to.len();
        to.resize(start + length, 0);
        let mut filled = start;
        while filled < to.len() {
            match self.from.read(&mut to[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let read = filled - start;
        self.at += read as u64;
        match read {
            0 if length > 0 => Ok(false),
            read if read < length => Err(FrameError::Cut { record: self.record, at: self.at }),
            _ => Ok(true),
        }
    }
}
