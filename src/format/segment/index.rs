//! The index of a sealed piece: in which of its members a record's mac, or what else is said of the event at a position, is found.

use std::io::{Read, Seek, SeekFrom};

use super::Form;
use crate::event::EventId;
use crate::rules::attempt::entries::Framed;
use crate::rules::chain::{Body, Row};

/// What an index begins with, for each form of the pieces. They differ in the order of their lines too.
const MAGIC: [(Form, &[u8; 8]); 2] = [(Form::Rows, b"HMSAUDX1"), (Form::Columns, b"HMSAUDX2")];
/// Bytes of one line of an index.
const PLACE: u64 = 12;

/// Where what is found, as it is gathered.
#[derive(Debug, Default)]
pub(super) struct Places {
    members: Vec<u64>,
    macs: Vec<(u64, u32)>,
    positions: Vec<(u64, u32)>,
}

/// What lines are sorted by.
fn order(form: Form, key: [u8; 8]) -> u64 {
    match form {
        Form::Rows => u64::from_be_bytes(key),
        Form::Columns => u64::from_le_bytes(key),
    }
}

impl Places {
    /// Another member begins at this offset.
    pub(super) fn member(&mut self, offset: u64) {
        self.members.push(offset);
    }

    /// A row of the last member, of which these are the entries.
    pub(super) fn take(&mut self, row: &Row<'_>, framed: &[Framed<'_>]) {
        let member = self.members.len().saturating_sub(1) as u32;
        match &row.body {
            Body::Intents { .. } => {
                self.macs.reserve(framed.len());
                for entry in framed {
                    self.macs.extend(entry.macs().map(|mac| (u64::from_le_bytes(mac), member)));
                }
            }
            Body::Outcomes { .. } => {
                self.positions.extend(framed.iter().map(|entry| (entry.seq().cast_unsigned(), member)));
            }
            Body::Act { subject, .. } => {
                let id = subject.and_then(|subject| subject.parse::<EventId>().ok());
                self.positions.extend(id.map(|id| (id.seq.cast_unsigned(), member)));
            }
        }
    }

    /// The bytes of the index.
    pub(super) fn index(mut self) -> Vec<u8> {
        let lines = self.macs.len() + self.positions.len();
        let mut out = Vec::with_capacity(32 + self.members.len() * 8 + lines * PLACE as usize);
        out.extend_from_slice(MAGIC[1].1);
        let count = |out: &mut Vec<u8>, count: usize| out.extend_from_slice(&(count as u64).to_le_bytes());
        count(&mut out, self.members.len());
        self.members.iter().for_each(|offset| out.extend_from_slice(&offset.to_le_bytes()));
        for found in [&mut self.macs, &mut self.positions] {
            found.sort_unstable();
            found.dedup();
            count(&mut out, found.len());
            for (key, member) in found.iter() {
                out.extend_from_slice(&key.to_le_bytes());
                out.extend_from_slice(&member.to_le_bytes());
            }
        }
        out
    }
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
    form: Form,
    members: u64,
    /// Where the macs and the positions begin, and how many there are.
    tables: [(u64, u64); 2],
}

impl<R: Read + Seek> Index<R> {
    /// Opens an index; none = it is none, or is not whole.
    pub fn open(mut from: R) -> Option<Index<R>> {
        let mut magic = [0; 8];
        from.read_exact(&mut magic).ok()?;
        let form = MAGIC.into_iter().find(|(_, known)| **known == magic)?.0;
        let members = number(&mut from)?;
        let length = from.seek(SeekFrom::End(0)).ok()?;
        let mut at = 16u64.checked_add(members.checked_mul(8)?)?;
        let mut tables = [(0, 0); 2];
        for table in &mut tables {
            from.seek(SeekFrom::Start(at)).ok()?;
            let count = number(&mut from)?;
            *table = (at + 8, count);
            at = (at + 8).checked_add(count.checked_mul(PLACE)?)?;
        }
        (at == length).then_some(Index { from, form, members, tables })
    }

    /// The form of the piece that it is of.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The offsets of the members in which it is found, in order; none = the index is damaged.
    pub fn find(&mut self, wanted: Wanted) -> Option<Vec<u64>> {
        let [macs, positions] = self.tables;
        let (key, (begin, count)) = match wanted {
            Wanted::Mac(mac) => (mac, macs),
            Wanted::Position(seq) => (seq.to_le_bytes(), positions),
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let before = order(self.form, self.place(begin, middle)?.0) < order(self.form, key);
            if before { low = middle + 1 } else { high = middle }
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
        self.from.seek(SeekFrom::Start(begin + at * PLACE)).ok()?;
        let (mut key, mut member) = ([0; 8], [0; 4]);
        self.from.read_exact(&mut key).and_then(|()| self.from.read_exact(&mut member)).ok()?;
        Some((key, u32::from_le_bytes(member)))
    }

    fn offset(&mut self, member: u32) -> Option<u64> {
        if u64::from(member) >= self.members {
            return None;
        }
        self.from.seek(SeekFrom::Start(16 + u64::from(member) * 8)).ok()?;
        number(&mut self.from)
    }
}

fn number(from: &mut impl Read) -> Option<u64> {
    let mut number = [0; 8];
    from.read_exact(&mut number).ok()?;
    Some(u64::from_le_bytes(number))
}
