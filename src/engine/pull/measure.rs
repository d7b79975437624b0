//! The clock of the other side, measured, and ours: what is believed of both while a page is decided about.

use super::{Inlet, PullError, Worker};
use crate::adapter::pull::Page;
use crate::clock::{self, Timestamp};
use crate::rules::clock::{doubt, is_far_ahead};
use crate::rules::pull::clock::{Belief, Offsets, SLOW, Trust};
use crate::store::state::pull::Book;
use crate::store::state::{Db, Sql, belief};

/// Takes down what a page shows of the clock there; how far the one that was set is away from where it was, if one was.
pub(super) fn measure(book: &mut Book, page: &Page) -> Option<std::time::Duration> {
    let ahead = page.ahead_ms.filter(|_| page.took < SLOW || book.ahead.is_empty())?;
    let mut offsets = Offsets::new(&book.ahead);
    let jump = offsets.add(ahead);
    book.ahead = offsets.kept().to_vec();
    if let Some(jump) = jump {
        let until = Belief::doubt(clock::now(), jump).0;
        book.doubted = Some(book.doubted.unwrap_or(until).max(until));
    }
    jump
}

/// What is believed with this book.
pub(super) fn believed(inlet: &Inlet, book: &Book, ours: bool) -> Belief {
    Belief {
        trust: inlet.clock,
        ahead_ms: Offsets::new(&book.ahead).median(),
        doubted: book.doubted.map(Timestamp),
        ours,
    }
}

/// Whether our own clock is believed.
pub(super) fn is_ours_believed(db: &Db) -> Sql<bool> {
    let (now, known) = (clock::now(), belief::known(db)?);
    Ok(doubt(now, &known).is_none() && !is_far_ahead(now, &known))
}

impl Worker {
    /// Measures the other side's clock.
    pub(super) fn measure(&mut self, page: &Page) -> Result<(), PullError> {
        if let Some(jump) = measure(&mut self.pull.book, page)
            && self.inlet.clock == Trust::Measured
        {
            log::warn!(
                connector:% = self.inlet.name;
                "{}: the clock there, or the one here, was set by {} s: what was changed before decides nothing by its time",
                self.inlet.name, jump.as_secs()
            );
            self.store_book()?;
        }
        Ok(())
    }

    /// What is believed of both clocks now.
    pub(super) fn believed(&mut self) -> Result<Belief, PullError> {
        let by_time = self.inlet.policy.by_time();
        let ours = !by_time || self.reader.read(is_ours_believed)?;
        Ok(believed(&self.inlet, &self.pull.book, ours))
    }
}
