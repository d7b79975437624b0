//! The auditor: reads the trail of the audit, wherever it lies, and says whether it is as it was recorded. Writes nothing.

mod check;
mod find;
mod trail;

pub use check::{Broken, Check, Verdict};
pub use find::{Answer, Attempt, Deed, History, find};
pub use trail::{Since, Trail};

use std::io::{self, BufRead};

use crate::engine::archive::{ArchiveError, Piece};
use crate::engine::archivist::NEXT_KEY;
use crate::format::note::{Note, Verifier};
use crate::format::segment::SegmentError;
use crate::format::trail::{COLUMNS, Line, Rows, Sort, Unreadable};
use crate::rules::chain::{Body, Hash, Row, link};
use crate::rules::hex::bytes;
use crate::store::state::StateError;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A piece of it.
    #[error("{name}: {error}")]
    Piece {
        /// Its name.
        name: String,
        /// Why.
        error: SegmentError,
    },
    /// A file.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The state file is from before the chain.
    #[error("the audit in {0} has no chain yet; the next start of the agent begins it")]
    Unchained(String),
    /// The folder has no piece of an audit.
    #[error("{0}: no piece of an audit lies there; name the folder `audit` beside the state file, or a copy of it")]
    Nothing(String),
}

/// The key that signs at a row, as the chain says.
///
/// # Errors
/// The trail cannot be read.
pub fn key_of(trail: &mut Trail, at: i64) -> Result<Option<Verifier>, AuditError> {
    let mut key = None;
    // Each piece begins with the key that signs it, or has the first.
    let from = trail.segments().iter().rev().find(|segment| segment.first_n <= at).map_or(0, |segment| segment.first_n);
    let begins = |_: i64, _: &Hash| true;
    trail.each(Since::Row(from), begins, |bytes, _| {
        let row = Row::read(bytes).filter(|row| row.n <= at);
        if let Some(Body::Act { verb: NEXT_KEY, subject: Some(subject), .. }) = row.as_ref().map(|row| &row.body) {
            key = Verifier::read(subject).ok();
        }
        row.is_some()
    })?;
    Ok(key)
}

/// Verifies one piece by itself.
///
/// # Errors
/// It is no piece, or cannot be opened.
pub fn verify_piece(piece: &Piece, check: &mut Check) -> Result<(), AuditError> {
    let name = piece.name();
    let told = |error| AuditError::Piece { name: name.clone(), error };
    let mut reader = piece.open().map_err(told)?;
    check.begin(&reader.head().origin.clone(), reader.head().first, bytes(&reader.head().previous));
    check.piece(&mut reader, &name);
    Ok(())
}

/// Verifies an export, JSON lines or CSV.
///
/// # Errors
/// It cannot be read at all.
pub fn verify_export(from: impl BufRead, name: &str, check: &mut Check) -> Result<(), AuditError> {
    let mut from = from;
    let json = from.fill_buf()?.first() == Some(&b'{');
    let mut export = Export { rows: Rows::default(), begun: false, ended: false, line: 0, name };
    if json {
        let mut text = String::new();
        while from.read_line(&mut text)? > 0 {
            match serde_json::from_str::<Line<'_>>(&text) {
                Ok(line) => export.take(&line, check),
                Err(error) => {
                    let column = error.column();
                    export.broken(check, &format!("is no line of an audit: column {column}"));
                }
            }
            if check.is_broken() {
                return Ok(());
            }
            text.clear();
        }
    } else {
        let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(from);
        if table.headers().ok().is_none_or(|head| head.iter().ne(COLUMNS)) {
            export.broken(check, "is no export of an audit: its first line does not name the fields");
            return Ok(());
        }
        let mut record = csv::StringRecord::new();
        let mut fields: Vec<&str>;
        loop {
            match table.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {}
                Err(error) => {
                    export.broken(check, &format!("cannot be read as CSV: {error}"));
                    return Ok(());
                }
            }
            fields = record.iter().collect();
            match Line::of_fields(&fields) {
                Ok(line) => export.take(&line, check),
                Err(error) => export.unreadable(check, &error),
            }
            if check.is_broken() {
                return Ok(());
            }
        }
    }
    export.end(check);
    Ok(())
}

/// An export as it is read.
struct Export<'a> {
    rows: Rows,
    begun: bool,
    ended: bool,
    line: u64,
    name: &'a str,
}

impl Export<'_> {
    fn broken(&self, check: &mut Check, what: &str) {
        let next = check.next();
        check.fail(next, what, &format!("{}, line {}", self.name, self.line + 1));
    }

    fn unreadable(&self, check: &mut Check, error: &Unreadable) {
        let n = if error.n < 0 { check.next() } else { error.n };
        check.fail(
            n,
            &format!("`{}` is missing or cannot be read", error.field),
            &format!("{}, line {}", self.name, self.line + 1),
        );
    }

    fn take(&mut self, line: &Line<'_>, check: &mut Check) {
        match line.kind {
            Sort::Begin => {
                let previous = line.hash.as_deref().and_then(bytes);
                check.begin(line.subject.as_deref().unwrap_or_default(), line.n, previous);
                line.reason.as_deref().and_then(Note::read).into_iter().for_each(|note| check.note(note, self.name));
                self.begun = true;
            }
            _ if !self.begun => self.broken(check, "comes before the line where an export begins"),
            _ if self.ended => self.broken(check, "comes behind the line where an export ends"),
            Sort::End => {
                self.ended = true;
                if self.rows.is_open() || line.n != check.last() {
                    check.fail(check.next(), "is missing: the export says that it is there", self.name);
                }
                check.settle();
            }
            Sort::Intent | Sort::Outcome | Sort::Act => match self.rows.take(line) {
                Ok(None) => {}
                Ok(Some((_, bytes, hash))) => {
                    let bytes = bytes.to_vec();
                    check.row(&bytes, &hash, self.name);
                }
                Err(error) => self.unreadable(check, &error),
            },
        }
        self.line += 1;
    }

    fn end(&self, check: &mut Check) {
        if !self.ended {
            check.fail(check.next(), "is missing: the export breaks off", self.name);
        }
    }
}

/// Verifies a whole trail: every piece of the archive, then what is still in the state file.
///
/// # Errors
/// The state file or the folder cannot be read.
pub fn verify(trail: &mut Trail, check: &mut Check) -> Result<(), AuditError> {
    for note in trail.checkpoints()? {
        check.note(note, "the checkpoints beside the archive");
    }
    let first = trail.pieces().first().map_or(0, |piece| piece.first_n);
    let origin = trail.origin().to_owned();
    // Live rows that are sealed as well must be the very ones.
    let live_from = trail.first_live()?;
    let mut known: std::collections::HashMap<i64, Hash> = std::collections::HashMap::new();
    check.begin_whole(&origin, first, trail.is_archive_only());
    for piece in trail.pieces().to_vec() {
        let name = piece.name();
        match piece.open() {
            Ok(mut reader) => {
                let previous = bytes(&reader.head().previous);
                if reader.head().origin != origin || !check.follows(reader.head().first, previous, &name) {
                    check.fail(piece.first_n, "is in a piece of another audit", &name);
                }
                check.piece_with(&mut reader, &name, |n, hash| {
                    if n >= live_from.saturating_sub(1) {
                        known.insert(n, *hash);
                    }
                });
            }
            Err(error) => check.fail(piece.first_n, &format!("cannot be read: the piece {error}"), &name),
        }
        if check.is_broken() {
            return Ok(());
        }
    }
    trail.live(|sealed, stored| {
        let (n, place) = (stored.n, "the state file");
        let Some(hash) = stored.hash else {
            check.fail(n, "has no hash", place);
            return false;
        };
        if n < first {
            // That its piece is gone is told below.
        } else if n <= sealed {
            let before = known.get(&(n - 1));
            let fits = || before.is_none_or(|before| link(before, stored.bytes) == hash);
            match known.get(&n) {
                Some(archived) if *archived == hash && fits() => {}
                Some(_) => check.fail(n, "was changed: the archive has another", place),
                None => check.fail(n, "is missing in the archive", place),
            }
        } else {
            check.row(stored.bytes, &hash, place);
        }
        if !check.is_broken() && stored.span.is_some_and(|span| span_of(stored.bytes) != Some(span)) {
            check.fail(n, "was changed: it is found by other positions than its own", place);
        }
        !check.is_broken()
    })?;
    check.settle();
    Ok(())
}

/// The lowest and the highest position of a row of attempts.
fn span_of(row: &[u8]) -> Option<(i64, i64)> {
    Row::read(row)?.extent().map(|(_, low, high)| (low, high))
}
