//! Rows laid out so that they compress well and fast: what is alike lies together, and hashes lie apart.
//!
//! Half of what is recorded of an attempt are hashes, on which a compression spends its time for nothing. A block has two parts. In
//! the first, a row is: length u32 (of the row's own bytes), sort u8, and for sort `AS_IT_IS` those bytes. For `INTENTS` and
//! `OUTCOMES`: the length u32 of what stands before the entries, and that; the number of entries u32; of the bytes that every entry
//! has (without the hashes of an outcome) the first of every entry, then the second of every entry, and so on; then the rest of each
//! entry. The second part has, in the same order, the hashes of the outcomes and behind those of a row its own.

use std::ops::Range;

use crate::rules::attempt::entries::{self, Framed, HASHES};
use crate::rules::chain::{Body, Hash, Row};

const AS_IT_IS: u8 = 0;
const INTENTS: u8 = 1;
const OUTCOMES: u8 = 2;
/// A length of 0 where a row would begin: the rows end.
pub(super) const END: [u8; 4] = [0; 4];

/// The two parts of a block, as they are gathered or as they were read.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) rows: Vec<u8>,
    pub(super) hashes: Vec<u8>,
}

/// How far a block was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    row: usize,
    hash: usize,
}

/// The columns of the bytes that every entry has, but for those that lie apart, in runs.
fn runs(intents: bool) -> [Range<usize>; 2] {
    let fixed = entries::fixed(intents);
    if intents { [0..fixed, fixed..fixed] } else { [0..HASHES.start, HASHES.end..fixed] }
}

fn columns(intents: bool) -> impl Iterator<Item = usize> {
    runs(intents).into_iter().flatten()
}

/// The entries of a row of attempts; none = it is an act, or they cannot be read.
pub(super) fn frames<'a>(row: &Row<'a>) -> Option<Vec<Framed<'a>>> {
    let (intents, mut rest) = match row.body {
        Body::Intents { entries, .. } => (true, entries),
        Body::Outcomes { entries, .. } => (false, entries),
        Body::Act { .. } => return None,
    };
    let mut framed = Vec::with_capacity(rest.len() / entries::fixed(intents));
    while !rest.is_empty() {
        framed.push(entries::take_framed(intents, &mut rest)?);
    }
    Some(framed)
}

/// Appends these columns of the entries, one after the other.
fn turn(framed: &[Framed<'_>], run: Range<usize>, out: &mut Vec<u8>) {
    let mut column = run.start;
    while column + 8 <= run.end {
        eight(framed, column, out);
        column += 8;
    }
    for column in column..run.end {
        out.extend(framed.iter().map(|entry| entry.fixed.get(column).copied().unwrap_or_default()));
    }
}

/// Eight columns at once: eight bytes of eight entries are a square of bytes, which is turned.
fn eight(framed: &[Framed<'_>], column: usize, out: &mut Vec<u8>) {
    let (begin, count) = (out.len(), framed.len());
    out.resize(begin + 8 * count, 0);
    for (nth, entries) in framed.chunks(8).enumerate() {
        let mut square = [0_u64; 8];
        for (row, entry) in square.iter_mut().zip(entries) {
            let bytes = entry.fixed.get(column..).and_then(<[u8]>::first_chunk);
            *row = bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        }
        for (step, bits, mask) in
            [(1, 8, 0x00ff_00ff_00ff_00ff), (2, 16, 0x0000_ffff_0000_ffff), (4, 32, 0x0000_0000_ffff_ffff_u64)]
        {
            for low in (0..8).filter(|row| row & step == 0) {
                let changed = ((square[low] >> bits) ^ square[low + step]) & mask;
                square[low] ^= changed << bits;
                square[low + step] ^= changed;
            }
        }
        for (nth_column, bytes) in square.iter().enumerate() {
            let at = begin + nth_column * count + 8 * nth;
            if let Some(place) = out.get_mut(at..at + entries.len()) {
                place.copy_from_slice(&bytes.to_le_bytes()[..entries.len()]);
            }
        }
    }
}

fn put(out: &mut Vec<u8>, length: usize) {
    // No row is longer than SQLite holds.
    out.extend_from_slice(&(length as u32).to_le_bytes());
}

impl Block {
    /// Bytes of rows and hashes.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.hashes.len()
    }

    /// Empties both, and keeps their room.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.hashes.clear();
    }

    /// Adds a row, of which these are the entries.
    pub(super) fn push(&mut self, row: &Row<'_>, framed: Option<&[Framed<'_>]>, bytes: &[u8], hash: &Hash) {
        put(&mut self.rows, bytes.len());
        // The entries are the last part of a row.
        let laid_out = match (&row.body, framed) {
            (Body::Intents { entries, .. }, Some(framed)) => Some((true, framed, bytes.strip_suffix(*entries))),
            (Body::Outcomes { entries, .. }, Some(framed)) => Some((false, framed, bytes.strip_suffix(*entries))),
            _ => None,
        };
        if let Some((intents, framed, Some(before))) = laid_out {
            self.lay_out(intents, before, framed);
        } else {
            self.rows.push(AS_IT_IS);
            self.rows.extend_from_slice(bytes);
        }
        self.hashes.extend_from_slice(hash);
    }

    /// Adds a row's entries by columns.
    fn lay_out(&mut self, intents: bool, before: &[u8], framed: &[Framed<'_>]) {
        self.rows.push(if intents { INTENTS } else { OUTCOMES });
        put(&mut self.rows, before.len());
        self.rows.extend_from_slice(before);
        put(&mut self.rows, framed.len());
        for run in runs(intents) {
            turn(framed, run, &mut self.rows);
        }
        framed.iter().for_each(|entry| self.rows.extend_from_slice(entry.tail));
        if !intents {
            framed
                .iter()
                .filter_map(|entry| entry.fixed.get(HASHES))
                .for_each(|two| self.hashes.extend_from_slice(two));
        }
    }

    /// Whether all rows were read.
    pub(super) fn is_read(&self, place: Place) -> bool {
        place.row >= self.rows.len()
    }

    /// Reads the row at a place into `row`, and goes on to the next; its hash, none = this is no row.
    pub(super) fn read(&self, place: &mut Place, row: &mut Vec<u8>) -> Option<Hash> {
        let (mut rows, mut hashes) = (self.rows.get(place.row..)?, self.hashes.get(place.hash..)?);
        let length = number(&mut rows)?;
        row.clear();
        match take(&mut rows, 1)? {
            [AS_IT_IS] => row.extend_from_slice(take(&mut rows, length)?),
            [INTENTS] => put_back(true, &mut rows, &mut hashes, row)?,
            [OUTCOMES] => put_back(false, &mut rows, &mut hashes, row)?,
            _ => return None,
        }
        let hash = take(&mut hashes, 32)?.try_into().ok()?;
        (place.row, place.hash) = (self.rows.len() - rows.len(), self.hashes.len() - hashes.len());
        (row.len() == length).then_some(hash)
    }
}

/// Puts a row's entries together again.
fn put_back(intents: bool, rows: &mut &[u8], hashes: &mut &[u8], row: &mut Vec<u8>) -> Option<()> {
    let before = number(rows)?;
    row.extend_from_slice(take(rows, before)?);
    let count = number(rows)?;
    let laid_out = take(rows, count.checked_mul(columns(intents).count())?)?;
    let fixed = entries::fixed(intents);
    for entry in 0..count {
        let begin = row.len();
        row.resize(begin + fixed, 0);
        let whole = row.get_mut(begin..)?;
        let mut of_entry = laid_out.iter().skip(entry).step_by(count);
        for column in columns(intents) {
            *whole.get_mut(column)? = *of_entry.next()?;
        }
        if !intents {
            whole.get_mut(HASHES)?.copy_from_slice(take(hashes, HASHES.len())?);
        }
        let tail = entries::following(intents, whole)?;
        row.extend_from_slice(take(rows, tail)?);
    }
    Some(())
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

fn number(from: &mut &[u8]) -> Option<usize> {
    take(from, 4)?.try_into().ok().map(|number| u32::from_le_bytes(number) as usize)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::{EventId, Op};
    use crate::rules::attempt::entries::{Kinds, put_intent, put_settled};
    use crate::rules::attempt::{Intent, Settled, Word};

    fn of_intents(seqs: &[i64]) -> Vec<u8> {
        let (mut kinds, mut out) = (Kinds::default(), Vec::new());
        for seq in seqs {
            let intent = Intent {
                id: EventId { epoch: 1, seq: *seq, nonce: 4 },
                attempt: 1,
                mac: seq.to_le_bytes(),
                old_mac: (seq % 3 == 0).then_some([9; 8]),
                joined: false,
                what: (seq % 2 == 0).then_some(("visits".into(), Op::Update)),
            };
            put_intent(&intent, &mut kinds, &mut out);
        }
        out
    }

    fn of_outcomes(seqs: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        for seq in seqs {
            let id = EventId { epoch: 1, seq: *seq, nonce: 4 };
            let mut settled = Settled::unanswered(id, Word::Retry, if seq % 2 == 0 { "http-503" } else { "" });
            (settled.request_hash, settled.answer_hash) = ([*seq as u8; 32], [7; 32]);
            put_settled(&settled, &mut out);
        }
        out
    }

    fn written(body: Body<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        Row { n: 3, at: Timestamp(5), up: None, body }.write(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn rows_are_read_as_they_were_written(
            all in prop::collection::vec((prop::collection::vec(any::<i64>(), 0..40), 0..4u8, any::<[u8; 32]>()), 0..8),
        ) {
            let (mut block, mut rows) = (Block::default(), Vec::new());
            for (seqs, sort, hash) in &all {
                let mut packed = if sort % 2 == 0 { of_intents(seqs) } else { of_outcomes(seqs) };
                if *sort > 1 {
                    // Nobody can read these.
                    packed.truncate(packed.len().saturating_sub(1));
                }
                let (connector, log, entries) = ("legacy", "office", packed.as_slice());
                let body = if sort % 2 == 0 {
                    Body::Intents { connector, log, origin: Some("x"), config: None, kinds: None, entries }
                } else {
                    Body::Outcomes { connector, log, entries }
                };
                let bytes = written(body);
                let row = Row::read(&bytes).unwrap();
                block.push(&row, frames(&row).as_deref(), &bytes, hash);
                rows.push((bytes, *hash));
            }
            let act = Body::Act { actor: "ada", verb: "retry", connector: None, subject: None, reason: Some("why") };
            let bytes = written(act);
            block.push(&Row::read(&bytes).unwrap(), None, &bytes, &[3; 32]);
            rows.push((bytes, [3; 32]));
            let (mut place, mut read) = (Place::default(), Vec::new());
            for (bytes, hash) in rows {
                prop_assert!(!block.is_read(place));
                prop_assert_eq!(block.read(&mut place, &mut read), Some(hash));
                prop_assert_eq!(&read, &bytes);
            }
            prop_assert!(block.is_read(place));
        }

        #[test]
        fn any_bytes_are_read_without_harm(rows in prop::collection::vec(0..9u8, 0..300), hashes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (block, mut place) = (Block { rows, hashes }, Place::default());
            while block.read(&mut place, &mut Vec::new()).is_some() {}
        }
    }
}
