//! A sealed piece of the audit as a file: rows of the chain, compressed, with the signed checkpoint of their end.
//!
//! A gzip file of several members, which `zcat` reads too. The first member is the head: a line of magic and a line of JSON. Then
//! members in pairs: about a mebibyte of rows by columns, and their hashes, which do not compress (`columns.rs`). The last member is
//! a length of 0, a line of JSON (where the rows end), and the checkpoint. Beside it lies an index, which proves nothing and can be
//! made again (`index.rs`).
//!
//! The first form of it, which is still read, has single members of rows as they are: length u32, the row's bytes as
//! `rules::chain` has them, its hash.

mod columns;
mod index;

use std::io::{self, BufRead, Read, Write};

use flate2::Compression;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use self::columns::{Block, END, Place, frames};
use self::index::Places;
pub use self::index::{Index, Wanted};
use super::note::Note;
use crate::rules::chain::{Hash, Row};
use crate::rules::hex::hex;

/// How the rows lie in a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are, hashes among them.
    Rows,
    /// By columns, hashes apart.
    Columns,
}

/// What a piece begins with, for each form.
const MAGIC: [(Form, &str); 2] =
    [(Form::Rows, "hms-sync audit segment 1\n"), (Form::Columns, "hms-sync audit segment 2\n")];
/// Bytes of rows in one pair of members, compressed separately so that one can be read without those before it.
const MEMBER: usize = 1 << 20;
/// Columns are so much alike that more work makes them hardly smaller: a byte an attempt for twice the time.
const COLUMNS: Compression = Compression::fast();
/// No row is longer: SQLite holds none.
const LONGEST: usize = 1 << 30;
/// No line of JSON and no checkpoint is.
const LINE: u64 = 1 << 16;

/// What the file begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which chain.
    pub origin: String,
    /// The UTC day of its rows, `2026-03-05`.
    pub day: String,
    /// Its first row.
    pub first: i64,
    /// The hash of the row before that one, in hexadecimal.
    pub previous: String,
}

/// What it ends with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Its last row.
    pub last: i64,
    /// The hash of that one, in hexadecimal.
    pub hash: String,
    /// Rows in it.
    pub rows: u64,
    /// Records in it.
    pub records: u64,
}

/// Writes a segment.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    written: u64,
    block: Block,
    places: Places,
    end: End,
    hash: Option<Hash>,
}

impl<W: Write> Writer<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// As writing has.
    pub fn new(out: W, head: &Head) -> io::Result<Writer<W>> {
        let end = End { last: head.first - 1, hash: head.previous.clone(), rows: 0, records: 0 };
        let mut writer =
            Writer { out, written: 0, block: Block::default(), places: Places::default(), end, hash: None };
        let text = format!("{}{}\n", MAGIC[1].1, serde_json::to_string(head)?);
        writer.member(text.as_bytes(), COLUMNS)?;
        Ok(writer)
    }

    fn member(&mut self, bytes: &[u8], how: Compression) -> io::Result<()> {
        let mut packed = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), how);
        packed.write_all(bytes)?;
        let packed = packed.finish()?;
        self.written += packed.len() as u64;
        self.out.write_all(&packed)
    }

    /// Writes the next row.
    ///
    /// # Errors
    /// As writing has.
    pub fn row(&mut self, row: &Row<'_>, bytes: &[u8], hash: &Hash) -> io::Result<()> {
        if self.block.len() == 0 {
            self.places.member(self.written);
        }
        let framed = frames(row);
        self.places.take(row, framed.as_deref().unwrap_or_default());
        self.block.push(row, framed.as_deref(), bytes, hash);
        self.end.last = row.n;
        self.end.rows += 1;
        self.end.records += framed.map_or(1, |framed| framed.len() as u64);
        self.hash = Some(*hash);
        if self.block.len() >= MEMBER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut block = std::mem::take(&mut self.block);
        if block.len() > 0 {
            self.member(&block.rows, COLUMNS)?;
            self.member(&block.hashes, Compression::none())?;
        }
        block.clear();
        self.block = block;
        Ok(())
    }

    /// Bytes of the file so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes the end and the checkpoint of it; gives back what was written to, and the bytes of the index.
    ///
    /// # Errors
    /// As writing has.
    pub fn finish(mut self, note: &Note) -> io::Result<(W, End, Vec<u8>)> {
        self.flush()?;
        if let Some(hash) = &self.hash {
            self.end.hash = hex(hash);
        }
        let mut last = END.to_vec();
        last.extend_from_slice(serde_json::to_string(&self.end)?.as_bytes());
        last.push(b'\n');
        last.extend_from_slice(note.write().as_bytes());
        self.member(&last, COLUMNS)?;
        self.out.flush()?;
        Ok((self.out, self.end, self.places.index()))
    }
}

/// What is wrong with a segment's file.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// It cannot be read, or its compression is broken.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is no segment.
    #[error("is no segment of an audit")]
    Magic,
    /// It breaks off or goes on where it must not.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
}

/// Reads a segment from its beginning to its end.
pub struct Reader<R: BufRead> {
    from: Source<R>,
    head: Head,
    row: Vec<u8>,
}

/// Where the rows come from, by the form of the piece.
enum Source<R: BufRead> {
    Rows(Box<io::BufReader<MultiGzDecoder<R>>>),
    Columns(Blocks<R>),
}

/// A row as it lies in a segment.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A row's bytes, and its hash.
    Row(&'a [u8], Hash),
    /// The end, and its checkpoint.
    End(End, Note),
}

impl<R: BufRead> Reader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// It is no segment.
    pub fn open(mut from: R) -> Result<Reader<R>, SegmentError> {
        let mut text = Vec::new();
        // The limit is of what is kept: the member must be read to its end.
        let read = GzDecoder::new(&mut from).take(LINE).read_to_end(&mut text);
        let known = |(form, magic): &(Form, &str)| text.strip_prefix(magic.as_bytes()).map(|line| (*form, line));
        let (form, line) = MAGIC.iter().find_map(known).ok_or(SegmentError::Magic)?;
        read?;
        let head = serde_json::from_slice(line).map_err(|_| SegmentError::Damaged("its head cannot be read"))?;
        let from = match form {
            Form::Rows => Source::Rows(Box::new(io::BufReader::with_capacity(1 << 16, MultiGzDecoder::new(from)))),
            Form::Columns => Source::Columns(Blocks::new(from)),
        };
        Ok(Reader { from, head, row: Vec::new() })
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next row, or the end.
    ///
    /// # Errors
    /// It cannot be read on.
    pub fn read_on(&mut self) -> Result<Piece<'_>, SegmentError> {
        let (found, last) = match &mut self.from {
            Source::Rows(from) => match frame(from, &mut self.row)? {
                Some(hash) => (Some(hash), Vec::new()),
                None => {
                    let mut last = Vec::new();
                    from.take(LINE).read_to_end(&mut last)?;
                    (None, last)
                }
            },
            Source::Columns(blocks) => match blocks.row(&mut self.row)? {
                Some(hash) => (Some(hash), Vec::new()),
                None => (None, blocks.last()?),
            },
        };
        found.map_or_else(|| end(&last), |hash| Ok(Piece::Row(&self.row, hash)))
    }
}

/// What stands behind the rows.
fn end<'a>(last: &[u8]) -> Result<Piece<'a>, SegmentError> {
    let text = std::str::from_utf8(last).map_err(|_| SegmentError::Damaged("its end cannot be read"))?;
    let (end, note) = text.split_once('\n').ok_or(SegmentError::Damaged("its end is cut off"))?;
    let end = serde_json::from_str(end).map_err(|_| SegmentError::Damaged("its end cannot be read"))?;
    let note = Note::read(note).ok_or(SegmentError::Damaged("its checkpoint cannot be read"))?;
    Ok(Piece::End(end, note))
}

/// Reads one row as it is into `row`; none = the rows end here.
fn frame(from: &mut impl Read, row: &mut Vec<u8>) -> Result<Option<Hash>, SegmentError> {
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SegmentError::Damaged("it breaks off"),
        _ => SegmentError::Read(error),
    };
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length == 0 {
        return Ok(None);
    }
    if length > LONGEST {
        return Err(SegmentError::Damaged("a row is longer than any can be"));
    }
    row.clear();
    let read = from.take(length as u64).read_to_end(row)?;
    if read < length {
        return Err(SegmentError::Damaged("it breaks off"));
    }
    let mut hash = [0; 32];
    from.read_exact(&mut hash).map_err(cut)?;
    Ok(Some(hash))
}

/// The rows of a piece by columns, a pair of members at a time.
struct Blocks<R> {
    from: R,
    block: Block,
    place: Place,
    /// What is wrong with the block: said when its rows were given, so that it is known where they differ.
    wrong: Option<io::Error>,
}

impl<R: BufRead> Blocks<R> {
    fn new(from: R) -> Blocks<R> {
        Blocks { from, block: Block::default(), place: Place::default(), wrong: None }
    }

    /// Reads one row into `row`; none = the rows end here.
    fn row(&mut self, row: &mut Vec<u8>) -> Result<Option<Hash>, SegmentError> {
        if self.block.is_read(self.place) {
            self.load()?;
        }
        if self.block.rows.starts_with(&END) {
            return Ok(None);
        }
        match self.block.read(&mut self.place, row) {
            None => Err(self.wrong.take().map_or(SegmentError::Damaged("a row cannot be read"), SegmentError::Read)),
            hash => Ok(hash),
        }
    }

    fn load(&mut self) -> Result<(), SegmentError> {
        if let Some(error) = self.wrong.take() {
            return Err(error.into());
        }
        if self.from.fill_buf()?.is_empty() {
            return Err(SegmentError::Damaged("it breaks off"));
        }
        self.block.clear();
        self.place = Place::default();
        self.wrong = unpack(&mut self.from, &mut self.block.rows);
        if !self.block.rows.starts_with(&END) && !self.from.fill_buf()?.is_empty() {
            let wrong = unpack(&mut self.from, &mut self.block.hashes);
            self.wrong = self.wrong.take().or(wrong);
        }
        Ok(())
    }

    /// What stands behind the rows.
    fn last(&mut self) -> Result<Vec<u8>, SegmentError> {
        match self.wrong.take() {
            Some(error) => Err(error.into()),
            None if !self.from.fill_buf()?.is_empty() => Err(SegmentError::Damaged("something follows its end")),
            None => Ok(self.block.rows.get(END.len()..).unwrap_or_default().to_vec()),
        }
    }
}

/// Reads one member as far as it can be read; what is wrong with it.
fn unpack(from: &mut impl BufRead, into: &mut Vec<u8>) -> Option<io::Error> {
    let read = GzDecoder::new(from).take(2 * LONGEST as u64).read_to_end(into);
    read.err()
}

/// Gives the rows of one member, or of one pair, which begins where `from` stands.
///
/// # Errors
/// It cannot be read.
pub fn member(form: Form, from: impl BufRead, mut each: impl FnMut(&[u8], &Hash)) -> Result<(), SegmentError> {
    let mut row = Vec::new();
    match form {
        Form::Rows => {
            let mut from = io::BufReader::with_capacity(1 << 16, GzDecoder::new(from));
            while !from.fill_buf()?.is_empty() {
                match frame(&mut from, &mut row)? {
                    Some(hash) => each(&row, &hash),
                    None => return Ok(()),
                }
            }
        }
        Form::Columns => {
            let mut blocks = Blocks::new(from);
            blocks.load()?;
            while !blocks.block.is_read(blocks.place) {
                match blocks.row(&mut row)? {
                    Some(hash) => each(&row, &hash),
                    None => return Ok(()),
                }
            }
            if let Some(error) = blocks.wrong {
                return Err(error.into());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "segment/tests.rs"]
mod tests;
