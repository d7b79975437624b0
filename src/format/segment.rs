//! A sealed piece of the audit as a file: rows of the chain, compressed, with the signed checkpoint of their end.
//!
//! A gzip file of several members, which `zcat` reads too. The first member is the head: a line of magic and a line of JSON. Then
//! members of about a mebibyte, each a sequence of rows: length u32, the row's bytes as `rules::chain` has them, its hash.
//! The last member is a length of 0, a line of JSON (where the rows end), and the checkpoint. Beside it lies an index, which
//! proves nothing and can be made again: in which member a record's mac, or what else is said of the event at a position, is found.

use std::io::{self, BufRead, Read, Write};

use flate2::Compression;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::note::Note;
use crate::event::EventId;
use crate::rules::attempt::entries::{self, Kinds};
use crate::rules::chain::{Body, Hash, Row};
use crate::rules::hex::hex;

const MAGIC: &str = "hms-sync audit segment 1\n";
const INDEX: &[u8; 8] = b"HMSAUDX1";
/// Bytes of rows in one member, compressed separately so that one can be read without those before it.
const MEMBER: usize = 1 << 20;
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
    rows: Vec<u8>,
    places: Places,
    end: End,
}

/// Where what is found, as it is gathered.
#[derive(Debug, Default)]
struct Places {
    members: Vec<u64>,
    macs: Vec<([u8; 8], u32)>,
    positions: Vec<([u8; 8], u32)>,
}

impl<W: Write> Writer<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// As writing has.
    pub fn new(out: W, head: &Head) -> io::Result<Writer<W>> {
        let end = End { last: head.first - 1, hash: head.previous.clone(), rows: 0, records: 0 };
        let mut writer = Writer { out, written: 0, rows: Vec::new(), places: Places::default(), end };
        let text = format!("{MAGIC}{}\n", serde_json::to_string(head)?);
        writer.member(text.as_bytes())?;
        Ok(writer)
    }

    fn member(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::new(4));
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
        if self.rows.is_empty() {
            self.places.members.push(self.written);
        }
        let member = self.places.members.len().saturating_sub(1) as u32;
        self.places.take(row, member);
        self.rows.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.rows.extend_from_slice(bytes);
        self.rows.extend_from_slice(hash);
        self.end.last = row.n;
        self.end.rows += 1;
        self.end.records += row.records().unwrap_or(1);
        self.end.hash = hex(hash);
        if self.rows.len() >= MEMBER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { self.member(&rows) }
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
        let mut last = 0u32.to_le_bytes().to_vec();
        last.extend_from_slice(serde_json::to_string(&self.end)?.as_bytes());
        last.push(b'\n');
        last.extend_from_slice(note.write().as_bytes());
        self.member(&last)?;
        self.out.flush()?;
        Ok((self.out, self.end, self.places.index()))
    }
}

impl Places {
    fn take(&mut self, row: &Row<'_>, member: u32) {
        match &row.body {
            Body::Intents { entries: packed, .. } => {
                let (mut packed, kinds) = (*packed, Kinds::default());
                while let Some(intent) = entries::take_intent(&mut packed, &kinds) {
                    self.macs.push((intent.mac, member));
                    self.macs.extend(intent.old_mac.map(|mac| (mac, member)));
                }
            }
            Body::Outcomes { entries: packed, .. } => {
                let mut packed = *packed;
                while let Some(settled) = entries::take_settled(&mut packed) {
                    self.positions.push((settled.id.seq.to_le_bytes(), member));
                }
            }
            Body::Act { subject, .. } => {
                let id = subject.and_then(|subject| subject.parse::<EventId>().ok());
                self.positions.extend(id.map(|id| (id.seq.to_le_bytes(), member)));
            }
        }
    }

    fn index(mut self) -> Vec<u8> {
        let mut out = INDEX.to_vec();
        let count = |out: &mut Vec<u8>, count: usize| out.extend_from_slice(&(count as u64).to_le_bytes());
        count(&mut out, self.members.len());
        self.members.iter().for_each(|offset| out.extend_from_slice(&offset.to_le_bytes()));
        for found in [&mut self.macs, &mut self.positions] {
            found.sort_unstable();
            found.dedup();
            count(&mut out, found.len());
            for (key, member) in found.iter() {
                out.extend_from_slice(key);
                out.extend_from_slice(&member.to_le_bytes());
            }
        }
        out
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
    from: io::BufReader<MultiGzDecoder<R>>,
    head: Head,
    row: Vec<u8>,
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
    pub fn open(from: R) -> Result<Reader<R>, SegmentError> {
        let mut from = io::BufReader::with_capacity(1 << 16, MultiGzDecoder::new(from));
        let mut magic = vec![0; MAGIC.len()];
        from.read_exact(&mut magic).map_err(|_| SegmentError::Magic)?;
        if magic != MAGIC.as_bytes() {
            return Err(SegmentError::Magic);
        }
        let mut line = String::new();
        (&mut from).take(LINE).read_line(&mut line)?;
        let head = serde_json::from_str(&line).map_err(|_| SegmentError::Damaged("its head cannot be read"))?;
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
        let (length, hash) = match frame(&mut self.from, &mut self.row)? {
            Some(hash) => (self.row.len(), hash),
            None => return self.end(),
        };
        let row = self.row.get(..length).unwrap_or_default();
        Ok(Piece::Row(row, hash))
    }

    fn end(&mut self) -> Result<Piece<'_>, SegmentError> {
        let mut text = String::new();
        (&mut self.from).take(LINE).read_to_string(&mut text)?;
        let (end, note) = text.split_once('\n').ok_or(SegmentError::Damaged("its end is cut off"))?;
        let end = serde_json::from_str(end).map_err(|_| SegmentError::Damaged("its end cannot be read"))?;
        let note = Note::read(note).ok_or(SegmentError::Damaged("its checkpoint cannot be read"))?;
        Ok(Piece::End(end, note))
    }
}

/// Reads one row into `row`; none = the rows end here.
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

/// Gives the rows of one member, which begins where `from` stands.
///
/// # Errors
/// It cannot be read.
pub fn member(from: impl BufRead, mut each: impl FnMut(&[u8], &Hash)) -> Result<(), SegmentError> {
    let mut from = io::BufReader::with_capacity(1 << 16, GzDecoder::new(from));
    let mut row = Vec::new();
    while !from.fill_buf()?.is_empty() {
        match frame(&mut from, &mut row)? {
            Some(hash) => each(&row, &hash),
            None => return Ok(()),
        }
    }
    Ok(())
}

/// What the members of a segment are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Intents of a record, by its mac.
    Mac([u8; 8]),
    /// Outcomes of, and acts upon, the event at a position.
    Position(i64),
}

/// An index, read by a few small reads however large it is.
pub struct Index<R> {
    from: R,
    members: u64,
    /// Where the macs and the positions begin, and how many there are.
    tables: [(u64, u64); 2],
}

/// Bytes of one line of an index.
const PLACE: u64 = 12;

impl<R: Read + io::Seek> Index<R> {
    /// Opens an index; none = it is none, or is not whole.
    pub fn open(mut from: R) -> Option<Index<R>> {
        let mut magic = [0; 8];
        from.read_exact(&mut magic).ok()?;
        let members = number(&mut from)?;
        let length = from.seek(io::SeekFrom::End(0)).ok()?;
        let mut at = 16u64.checked_add(members.checked_mul(8)?)?;
        let mut tables = [(0, 0); 2];
        for table in &mut tables {
            from.seek(io::SeekFrom::Start(at)).ok()?;
            let count = number(&mut from)?;
            *table = (at + 8, count);
            at = (at + 8).checked_add(count.checked_mul(PLACE)?)?;
        }
        (magic == *INDEX && at == length).then_some(Index { from, members, tables })
    }

    /// The offsets of the members in which it is found, in order; none = the index is damaged.
    pub fn find(&mut self, wanted: Wanted) -> Option<Vec<u64>> {
        let (key, [(begin, count), _]) = match wanted {
            Wanted::Mac(mac) => (mac, self.tables),
            Wanted::Position(seq) => (seq.to_le_bytes(), [self.tables[1], self.tables[1]]),
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.place(begin, middle)?.0 < key { low = middle + 1 } else { high = middle }
        }
        let mut offsets = Vec::new();
        while low < count {
            let (found, member) = self.place(begin, low)?;
            if found != key {
                break;
            }
            offsets.push(self.offset(member)?);
            low += 1;
        }
        Some(offsets)
    }

    fn place(&mut self, begin: u64, at: u64) -> Option<([u8; 8], u32)> {
        self.from.seek(io::SeekFrom::Start(begin + at * PLACE)).ok()?;
        let (mut key, mut member) = ([0; 8], [0; 4]);
        self.from.read_exact(&mut key).and_then(|()| self.from.read_exact(&mut member)).ok()?;
        Some((key, u32::from_le_bytes(member)))
    }

    fn offset(&mut self, member: u32) -> Option<u64> {
        if u64::from(member) >= self.members {
            return None;
        }
        self.from.seek(io::SeekFrom::Start(16 + u64::from(member) * 8)).ok()?;
        number(&mut self.from)
    }
}

fn number(from: &mut impl Read) -> Option<u64> {
    let mut number = [0; 8];
    from.read_exact(&mut number).ok()?;
    Some(u64::from_le_bytes(number))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::note::{Checkpoint, Signer};
    use super::*;
    use crate::clock::Timestamp;
    use crate::rules::attempt::{Intent, Settled, Word};
    use crate::rules::chain::{BEGINNING, link};

    /// Rows of intents and of their outcomes; record `r` has the mac `r % 100`.
    fn segment(rows: i64) -> (Vec<u8>, Vec<u8>, Vec<Vec<u8>>) {
        let head = Head { origin: "x".into(), day: "2026-03-05".into(), first: 1, previous: hex(&BEGINNING) };
        let mut writer = Writer::new(Vec::new(), &head).unwrap();
        let (mut hash, mut all) = (BEGINNING, Vec::new());
        for n in 1..=rows {
            let mut packed = Vec::new();
            for event in 0..20 {
                let seq = (n - 1) / 2 * 20 + event;
                let id = EventId { epoch: 1, seq, nonce: 5 };
                if n % 2 == 1 {
                    let mac = (seq % 100).to_le_bytes();
                    let intent = Intent { id, attempt: 1, mac, old_mac: None, joined: false, what: None };
                    entries::put_intent(&intent, &mut Kinds::default(), &mut packed);
                } else {
                    let mut settled = Settled::unanswered(id, Word::Success, "");
                    // Hashes are what makes rows hard to compress.
                    settled.request_hash = link(&BEGINNING, &seq.to_le_bytes());
                    entries::put_settled(&settled, &mut packed);
                }
            }
            let (connector, log, entries) = ("legacy", "office", packed.as_slice());
            let body = if n % 2 == 1 {
                Body::Intents { connector, log, origin: None, config: None, kinds: None, entries }
            } else {
                Body::Outcomes { connector, log, entries }
            };
            let row = Row { n, at: Timestamp(n), up: None, body };
            let mut bytes = Vec::new();
            row.write(&mut bytes);
            hash = link(&hash, &bytes);
            writer.row(&row, &bytes, &hash).unwrap();
            all.push(bytes);
        }
        let signer = Signer::new("x", &[1; 32]).unwrap();
        let note = signer.sign(&Checkpoint { origin: "x".into(), size: rows, root: hash }).unwrap();
        let (file, end, index) = writer.finish(&note).unwrap();
        assert_eq!((end.last, end.rows, end.records), (rows, rows as u64, rows as u64 * 20));
        (file, index, all)
    }

    fn read(file: &[u8]) -> Result<(Vec<Vec<u8>>, End), SegmentError> {
        let mut reader = Reader::open(file)?;
        let mut rows = Vec::new();
        loop {
            match reader.read_on()? {
                Piece::Row(row, _) => rows.push(row.to_vec()),
                Piece::End(end, _) => return Ok((rows, end)),
            }
        }
    }

    #[test]
    fn a_segment_of_several_members_is_read_as_it_was_written() {
        let (file, _, rows) = segment(2000);
        assert_eq!(read(&file).unwrap().0, rows);
        let none = segment(0).0;
        assert_eq!(read(&none).unwrap().0, Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_segment_that_is_cut_anywhere_is_no_whole_one() {
        let (file, ..) = segment(60);
        for end in 0..file.len() {
            assert!(read(&file[..end]).is_err(), "{end} of {}", file.len());
        }
        assert!(matches!(read(b"something else"), Err(SegmentError::Magic)));
    }

    #[test]
    fn the_index_leads_to_every_row_of_a_record_and_to_no_other_member() {
        let (file, index, rows) = segment(2000);
        let mut index = Index::open(io::Cursor::new(index)).unwrap();
        let mut found = 0;
        let all = index.find(Wanted::Mac(7i64.to_le_bytes())).unwrap();
        assert!(all.len() > 1 && all.is_sorted(), "{all:?}");
        for offset in all {
            member(&file[offset as usize..], |bytes, _| {
                assert!(rows.iter().any(|row| row == bytes));
                found += usize::from(bytes[1] == 1);
            })
            .unwrap();
        }
        assert_eq!(found, 1000, "all members have intents of it");
        assert_eq!(index.find(Wanted::Position(11)).unwrap().len(), 1);
        assert_eq!(index.find(Wanted::Position(-4)).unwrap(), Vec::<u64>::new());
        assert_eq!(index.find(Wanted::Mac([255; 8])).unwrap(), Vec::<u64>::new());
    }

    #[test]
    fn an_index_that_is_cut_is_none() {
        let index = segment(2).1;
        for end in 0..index.len() {
            assert!(Index::open(io::Cursor::new(&index[..end])).is_none(), "{end}");
        }
    }
}
