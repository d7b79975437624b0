//! Signs of life, for whoever restarts an agent that is stuck.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use crate::clock::Timestamp;

/// How a worker shows that it is alive.
#[derive(Clone)]
pub struct Beat {
    /// How often.
    pub every: Duration,
    /// By what.
    pub tell: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Beat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beat").field("every", &self.every).finish_non_exhaustive()
    }
}

impl Worker {
    /// Shows that it is alive when it has made progress or has nothing to do. Waiting for a target is nothing to do: each
    /// request has its own limit, and a target that is slow or down is no fault of this process. A batch that is handed
    /// over and not committed is something to do: while the state file takes nothing, nothing is shown.
    pub(super) fn beat(&mut self, now: Timestamp) {
        let Some(beat) = &self.beat else { return };
        let alive = self.batch.is_none() || self.has_committed;
        if alive && now >= self.next_beat {
            (beat.tell)();
            self.has_committed = false;
            self.next_beat = now.plus(beat.every);
        }
    }

    /// When the next sign of life is due.
    pub(super) fn next_beat(&self, now: Timestamp) -> Option<Timestamp> {
        let beat = self.beat.as_ref()?;
        // While nothing is to be shown it looks again as often.
        Some(if self.next_beat > now { self.next_beat } else { now.plus(beat.every) })
    }
}
