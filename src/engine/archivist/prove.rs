//! Proving: what is recorded and not sealed yet is read again and held against the chain, at each start and whenever it was signed,
//! so that a row that somebody changes is told while people remember, and not when an auditor comes.

use super::{Archivist, ArchivistError};
use crate::rules::chain::{BEGINNING, link};
use crate::store::state::chain::{self, Head};
use crate::store::state::segment;

/// Rows that are read in one snapshot.
const BLOCK: usize = 200;

impl Archivist {
    /// Proves what was signed since it was proved last.
    ///
    /// # Errors
    /// A row is not what was recorded: the first one. It is looked at again in every round.
    pub(super) fn prove(&mut self) -> Result<(), ArchivistError> {
        let until = self.signed.map_or(0, |signed| signed.n);
        let (sealed, last) = self.reader.read(|db| Ok((segment::sealed(db)?, segment::last(db)?)))?;
        let sealed = Head { n: sealed, hash: last.map_or(BEGINNING, |last| last.hash) };
        let mut at = self.proved.filter(|proved| proved.n > sealed.n).unwrap_or(sealed);
        while at.n < until {
            let (mut next, mut wrong, mut rows) = (at, None, 0);
            self.reader.read(|db| {
                chain::rows(db, at.n, |stored| {
                    let hash = link(&next.hash, stored.bytes);
                    // Numbers have gaps where rows were deleted before there was a chain.
                    if stored.hash != Some(hash) {
                        wrong = Some(next.n + 1);
                        return false;
                    }
                    next = Head { n: stored.n, hash };
                    rows += 1;
                    rows < BLOCK && next.n < until
                })
            })?;
            (at, self.proved) = (next, Some(next));
            match wrong {
                Some(n) => return Err(ArchivistError::Broken { n }),
                // The end of a chain that goes on was cut off.
                None if rows == 0 => return Err(ArchivistError::Broken { n: at.n + 1 }),
                None => {}
            }
        }
        Ok(())
    }
}
