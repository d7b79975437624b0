//! The trail of the audit: the pieces of the archive in order, and behind them the rows that are still in the state file.

use std::path::Path;

use super::AuditError;
use crate::clock::Timestamp;
use crate::engine::archive::{Archive, Piece};
use crate::format::note::Note;
use crate::format::segment;
use crate::rules::chain::Hash;
use crate::store::state::chain::{self, Stored};
use crate::store::state::segment::{self as segments, Segment};
use crate::store::state::{StateReader, fact};

/// A trail.
#[derive(Debug)]
pub struct Trail {
    archive: Archive,
    state: Option<StateReader>,
    pieces: Vec<Piece>,
    known: Vec<Segment>,
    sealed: i64,
}

impl Trail {
    /// The trail of a state file and of the archive beside it, or in another folder.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn of_state(path: &Path, folder: Option<&Path>) -> Result<Trail, AuditError> {
        let mut state = StateReader::open(path)?;
        if !state.is_chained()? {
            return Err(AuditError::Unchained(path.display().to_string()));
        }
        let (instance, known, sealed) =
            state.read(|db| Ok((fact(db, "instance")?, segments::all(db)?, segments::sealed(db)?)))?;
        let archive = match folder {
            Some(folder) => Archive::at(folder, &instance),
            None => Archive::beside(path, &instance),
        };
        // What is there without being known was not finished, or is about to be removed.
        let pieces = known
            .iter()
            .map(|known| Piece { first_n: known.first_n, path: archive.folder().join(&known.name) })
            .collect();
        Ok(Trail { archive, state: Some(state), pieces, known, sealed })
    }

    /// The trail of a folder by itself: a copy of the archive.
    ///
    /// # Errors
    /// It cannot be read, or has no piece.
    pub fn of_folder(folder: &Path) -> Result<Trail, AuditError> {
        let archive = Archive::found(folder)?.ok_or_else(|| AuditError::Nothing(folder.display().to_string()))?;
        let pieces = archive.pieces()?;
        Ok(Trail { archive, state: None, pieces, known: Vec::new(), sealed: i64::MAX })
    }

    /// Whether it ends with the last piece that is sealed: what follows is in a state file that is not here.
    pub(super) fn is_archive_only(&self) -> bool {
        self.state.is_none()
    }

    /// What the chain is called.
    pub fn origin(&self) -> &str {
        self.archive.origin()
    }

    /// The sealed pieces, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What the state file knows of them.
    pub fn segments(&self) -> &[Segment] {
        &self.known
    }

    /// The checkpoints that lie beside the archive.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Note>, AuditError> {
        Ok(self.archive.checkpoints()?)
    }

    /// The newest checkpoint there is: beside the archive, or else at the end of its last piece.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn newest_checkpoint(&mut self) -> Result<Option<Note>, AuditError> {
        if let Some(note) = self.checkpoints()?.pop() {
            return Ok(Some(note));
        }
        let Some(piece) = self.pieces.last() else { return Ok(None) };
        let told = |error| AuditError::Piece { name: piece.name(), error };
        let mut reader = piece.open().map_err(told)?;
        loop {
            if let segment::Piece::End(_, note) = reader.read_on().map_err(told)? {
                return Ok(Some(note));
            }
        }
    }

    /// The last row that is sealed.
    pub fn sealed(&self) -> i64 {
        self.sealed
    }

    /// The first row that is still in the state file.
    pub(super) fn first_live(&mut self) -> Result<i64, AuditError> {
        let mut first = i64::MAX;
        self.live(|_, stored| {
            first = stored.n;
            false
        })?;
        Ok(first)
    }

    /// Gives the rows in the state file, those that are sealed too among them.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn live(&mut self, mut each: impl FnMut(i64, Stored<'_>) -> bool) -> Result<(), AuditError> {
        let sealed = self.sealed;
        match &mut self.state {
            Some(state) => Ok(state.read(|db| chain::rows(db, -1, |stored| each(sealed, stored)))?),
            None => Ok(()),
        }
    }

    /// Gives the rows in the state file that are not sealed yet.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn open_rows(&mut self, mut each: impl FnMut(&[u8], &Hash)) -> Result<(), AuditError> {
        let sealed = self.sealed;
        let Some(state) = &mut self.state else { return Ok(()) };
        state.read(|db| {
            chain::rows(db, sealed, |stored| {
                each(stored.bytes, &stored.hash.unwrap_or_default());
                true
            })
        })?;
        Ok(())
    }

    /// Gives every row from a place on, in order, until `each` has enough; the hash of the row before the first of them
    /// comes first. What cannot be read ends it with an error.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn each(
        &mut self,
        since: Since,
        mut begin: impl FnMut(i64, &Hash) -> bool,
        mut each: impl FnMut(&[u8], &Hash) -> bool,
    ) -> Result<(), AuditError> {
        let known = self.known.clone();
        let is_past = |piece: &Piece| {
            let segment = known.iter().find(|known| known.first_n == piece.first_n);
            segment.is_some_and(|segment| match since {
                Since::Row(n) => segment.last_n < n,
                Since::Time(at) => segment.last_at < at,
            })
        };
        let mut before = known
            .iter()
            .take_while(|known| self.pieces.iter().any(|piece| piece.first_n == known.first_n && is_past(piece)));
        let mut previous = before.by_ref().last().map(|known| (known.last_n, known.hash));
        let mut begun = false;
        let mut give = |bytes: &[u8], hash: &Hash| {
            let Some(n) = crate::rules::chain::Row::read(bytes).map(|row| row.n) else { return false };
            let wanted = match since {
                Since::Row(first) => n >= first,
                Since::Time(_) => true,
            };
            if wanted && !begun {
                begun = true;
                let hash = previous.map_or(crate::rules::chain::BEGINNING, |(_, hash)| hash);
                if !begin(n, &hash) {
                    return false;
                }
            }
            previous = Some((n, *hash));
            !wanted || each(bytes, hash)
        };
        for piece in self.pieces.iter().filter(|piece| !is_past(piece)) {
            let told = |error| AuditError::Piece { name: piece.name(), error };
            let mut reader = piece.open().map_err(told)?;
            while let segment::Piece::Row(bytes, hash) = reader.read_on().map_err(told)? {
                if !give(bytes, &hash) {
                    return Ok(());
                }
            }
        }
        let sealed = self.sealed;
        if let Some(state) = &mut self.state {
            state.read(|db| chain::rows(db, sealed, |stored| give(stored.bytes, &stored.hash.unwrap_or_default())))?;
        }
        Ok(())
    }
}

/// From where on a trail is read.
#[derive(Clone, Copy, Debug)]
pub enum Since {
    /// From this row on.
    Row(i64),
    /// From the first piece on that has anything so late.
    Time(Timestamp),
}
