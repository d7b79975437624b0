//! The check of a chain, row by row, and of what was signed of it. It stops at the first record that is not right.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Serialize;

use crate::engine::archivist::{FORGET, NEXT_KEY};
use crate::format::note::{Note, Verifier};
use crate::format::segment::{Piece, Reader};
use crate::rules::chain::{BEGINNING, Body, Hash, Row, link};
use crate::rules::hex::{bytes, hex};

/// The first record that is not right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Its number.
    pub n: i64,
    /// What is wrong with it.
    pub what: String,
    /// Where it lies.
    pub place: String,
}

/// What came of a check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether all of it is right.
    pub whole: bool,
    /// Which chain.
    pub origin: String,
    /// Its first record here.
    pub first: i64,
    /// Its last record here.
    pub last: i64,
    /// Rows.
    pub rows: u64,
    /// Records: attempts by event, and acts.
    pub records: u64,
    /// The hash of the last row.
    pub hash: String,
    /// Up to which record a checkpoint vouches for it; none = no checkpoint was found.
    pub signed: Option<i64>,
    /// The key that signs at its end.
    pub key: Option<String>,
    /// What an auditor should know although nothing is wrong.
    pub warnings: Vec<String>,
    /// The first record that is not right.
    pub broken: Option<Broken>,
}

/// A key, and from which row on it signs.
#[derive(Clone, Debug)]
struct Key {
    from: i64,
    verifier: Verifier,
    /// The key before it has said that it follows.
    vouched: bool,
    /// It was given, or one that was has said so.
    pinned: bool,
}

/// A check under way.
#[derive(Debug, Default)]
pub struct Check {
    origin: String,
    first: i64,
    last: i64,
    /// The hash that the next row holds on to; none = it may be any.
    hash: Option<Hash>,
    /// What the first row held on to, when rows before it are gone.
    cut: Option<Hash>,
    /// That must have been deleted by age.
    whole: bool,
    /// What follows the last row lies elsewhere.
    open: bool,
    rows: u64,
    records: u64,
    keys: Vec<Key>,
    /// Keys of which one must be in the chain.
    pins: Vec<Verifier>,
    notes: BTreeMap<i64, Vec<(Note, String)>>,
    signed: Option<i64>,
    forgotten: Vec<Hash>,
    warnings: Vec<String>,
    broken: Option<Broken>,
}

impl Check {
    /// A check that wants one of these keys in the chain; none = whichever are there.
    pub fn new(pins: Vec<Verifier>) -> Check {
        Check { pins, last: -1, ..Check::default() }
    }

    /// Adds a checkpoint that the chain must agree with.
    pub fn note(&mut self, note: Note, place: &str) {
        self.notes.entry(note.checkpoint.size).or_default().push((note, place.to_owned()));
    }

    /// Begins with a row that holds on to `previous`, somewhere in a chain.
    pub fn begin(&mut self, origin: &str, first: i64, previous: Option<Hash>) {
        (self.origin, self.first, self.last, self.hash) = (origin.to_owned(), first, first - 1, previous);
        if previous.is_none() {
            self.fail(first, "does not say what comes before it", "the beginning");
        }
    }

    /// Begins a chain that must be there from its beginning, or from where it was deleted by age.
    /// `open`: its end is not here.
    pub(super) fn begin_whole(&mut self, origin: &str, first: i64, open: bool) {
        self.open = open;
        (self.origin, self.first, self.last, self.whole) = (origin.to_owned(), first, first - 1, true);
        self.hash = (first == 0).then_some(BEGINNING);
    }

    /// Whether a piece goes on where the one before it ended.
    pub(super) fn follows(&mut self, first: i64, previous: Option<Hash>, place: &str) -> bool {
        let Some(previous) = previous else { return false };
        match self.hash {
            None => {
                (self.hash, self.cut) = (Some(previous), Some(previous));
            }
            Some(hash) if hash != previous => {
                let what = match first - self.next() {
                    ..1 => "does not go on from the record before it".to_owned(),
                    1 => "is missing".to_owned(),
                    _ => format!("is missing, with all up to {}", first - 1),
                };
                self.fail(self.next(), &what, place);
            }
            Some(_) => {}
        }
        true
    }

    /// The number that the next row should have.
    pub fn next(&self) -> i64 {
        self.last + 1
    }

    /// The number of the last row so far.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// Whether something was found: nothing after that counts.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Takes down what is wrong, unless something was found before.
    pub fn fail(&mut self, n: i64, what: &str, place: &str) {
        if self.broken.is_none() {
            self.broken = Some(Broken { n, what: what.to_owned(), place: place.to_owned() });
        }
    }

    /// Checks the next row.
    pub fn row(&mut self, row: &[u8], hash: &Hash, place: &str) {
        let before = self.hash.unwrap_or(BEGINNING);
        let Some((n, records)) = self.look(row) else {
            self.fail(self.next(), "cannot be read", place);
            return;
        };
        if n <= self.last {
            self.fail(n, "stands where a later one must", place);
        } else if link(&before, row) != *hash {
            let next = self.next();
            // Numbers have no gaps but where rows were deleted before there was a chain, and those hold on to each other.
            let what = match n - next {
                0 => "was changed".to_owned(),
                1 => "is missing".to_owned(),
                _ => format!("is missing, with all up to {}", n - 1),
            };
            self.fail(next, &what, place);
        }
        if self.broken.is_some() {
            return;
        }
        (self.last, self.hash) = (n, Some(*hash));
        self.rows += 1;
        self.records += records;
        if let Some(notes) = self.notes.remove(&n) {
            notes.into_iter().for_each(|(note, place)| self.agree(&note, &place));
        }
    }

    /// Its number and how many records it has; takes note of keys and deletions.
    fn look(&mut self, row: &[u8]) -> Option<(i64, u64)> {
        let row = Row::read(row)?;
        match row.body {
            Body::Act { verb: NEXT_KEY, subject: Some(subject), reason, .. } => {
                let verifier = Verifier::read(subject).ok()?;
                let reason = reason.unwrap_or_default();
                let vouched = match self.keys.last() {
                    Some(key) => key.verifier.has_certified(&verifier, reason),
                    None => true,
                };
                let pinned = self.pins.iter().any(|pin| *pin == verifier || pin.has_certified(&verifier, reason));
                if !vouched && !pinned {
                    self.warnings.push(format!(
                        "record {}: a new key signs from here on, and the one before it has not said so: was it lost?",
                        row.n
                    ));
                }
                self.keys.push(Key { from: row.n, verifier, vouched, pinned });
            }
            Body::Act { verb: FORGET, reason: Some(reason), .. } => {
                self.forgotten.extend(reason.rsplit(' ').next().and_then(bytes::<32>));
            }
            _ => {}
        }
        Some((row.n, row.records()?))
    }

    /// Holds a checkpoint against the row that was checked last.
    fn agree(&mut self, note: &Note, place: &str) {
        let n = note.checkpoint.size;
        if self.hash != Some(note.checkpoint.root) {
            let since = self.signed.map_or("all of it".to_owned(), |signed| format!("some record after {signed}"));
            self.fail(n, &format!("is not what was signed: {since} was written anew"), place);
        } else if let Some(key) = self.keys.iter().rev().find(|key| key.from <= n) {
            if note.is_signed_by(&key.verifier) {
                self.signed = self.signed.max(Some(n));
            } else {
                self.fail(n, "has a checkpoint that the key in force has not signed", place);
            }
        }
    }

    /// Checks the rows of a piece, and its end.
    pub(super) fn piece(&mut self, reader: &mut Reader<impl BufRead>, name: &str) {
        self.piece_with(reader, name, |_, _| {});
    }

    pub(super) fn piece_with(
        &mut self,
        reader: &mut Reader<impl BufRead>,
        name: &str,
        mut each: impl FnMut(i64, &Hash),
    ) {
        while self.broken.is_none() {
            match reader.read_on() {
                Ok(Piece::Row(row, hash)) => {
                    self.row(row, &hash, name);
                    each(self.last, &hash);
                }
                Ok(Piece::End(end, note)) => {
                    if end.last != self.last || Some(end.hash) != self.hash.map(|hash| hex(&hash)) {
                        self.fail(self.next(), "is missing: its piece says that it is there", name);
                    } else if note.checkpoint.size != self.last {
                        self.fail(self.last, "is not what the checkpoint of its piece is about", name);
                    } else {
                        self.agree(&note, name);
                    }
                    return;
                }
                Err(error) => self.fail(self.next(), &format!("cannot be read: the piece {error}"), name),
            }
        }
    }

    /// The end: every checkpoint must have been met by now.
    pub fn settle(&mut self) {
        // What lies before the beginning was deleted, or is not part of an export.
        let first = self.first;
        self.notes.retain(|n, _| *n >= first);
        if let Some((n, notes)) = self.notes.pop_last() {
            let place = notes.first().map(|(_, place)| place.clone()).unwrap_or_default();
            let (next, last) = (self.next(), self.last);
            if n > last && self.open {
                self.warnings.push(format!("records {next} to {n} are not here: a checkpoint is about them"));
            } else if n > last {
                self.fail(next, &format!("is missing: a checkpoint says that there are records up to {n}"), &place);
            } else {
                self.fail(n, "is missing: a checkpoint is about it", &place);
            }
        }
        if let Some(cut) = self.cut.filter(|cut| self.whole && !self.forgotten.contains(cut)) {
            let what =
                format!("is missing, with all up to {}: that they were deleted by age is not recorded", first - 1);
            let _ = cut;
            self.fail(0, &what, "the archive");
        }
        if !self.pins.is_empty() {
            let pinned = self.keys.iter().position(|key| key.pinned);
            match pinned {
                None => self.fail(self.last, "is signed by other keys than the one that was given", "the keys"),
                Some(at) => {
                    let stranger = self.keys.iter().skip(at + 1).find(|key| !key.vouched && !key.pinned);
                    if let Some(from) = stranger.map(|key| key.from) {
                        self.fail(from, "brings a key that the given one does not lead to", "the keys");
                    }
                }
            }
        }
    }

    /// What came of it.
    pub fn verdict(mut self) -> Verdict {
        match self.signed {
            None => self.warnings.push(
                "no checkpoint vouches for it: that its end was cut off would not show; give one with --checkpoint"
                    .to_owned(),
            ),
            Some(signed) if signed < self.last => {
                self.warnings.push(format!("records {} to {} are not signed yet", signed + 1, self.last));
            }
            Some(_) => {}
        }
        Verdict {
            whole: self.broken.is_none(),
            origin: self.origin,
            first: self.first,
            last: self.last,
            rows: self.rows,
            records: self.records,
            hash: self.hash.map(|hash| hex(&hash)).unwrap_or_default(),
            signed: self.signed,
            key: self.keys.last().map(|key| key.verifier.text()),
            warnings: self.warnings,
            broken: self.broken,
        }
    }
}
