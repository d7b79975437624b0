//! In a run of once the handlers go first: what they push is delivered in the same run.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Whose turn it is; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Turn {
    left: Arc<(Mutex<usize>, Condvar)>,
}

/// A place before the others; they wait until it is dropped.
pub(super) struct First(Turn);

impl Turn {
    /// Takes a place before the others.
    pub(super) fn first(&self) -> First {
        *self.left.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        First(self.clone())
    }

    /// Nobody waits any more: the agent stops.
    pub(super) fn end(&self) {
        let (left, none) = &*self.left;
        *left.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        none.notify_all();
    }

    /// Waits until all who go first are done.
    pub(super) fn wait(&self) {
        let left = self.left.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.left.1.wait_while(left, |left| *left > 0));
    }
}

impl Drop for First {
    fn drop(&mut self) {
        let (left, none) = &*self.0.left;
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(1);
        none.notify_all();
    }
}
