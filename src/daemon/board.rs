//! How it stands with each event source, for `status` to tell.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{self, Timestamp};
use crate::engine::inflow::{InflowStatus, Standing};
use crate::engine::need::Need;

/// Shared by whoever follows sources and whoever tells of them; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Vec<InflowStatus>>>);

impl Board {
    /// Puts sources up, in their order, in place of what was there.
    pub fn put_up(&self, sources: Vec<InflowStatus>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sources;
    }

    /// Changes what stands of one of them.
    pub fn change(&self, at: usize, change: impl FnOnce(&mut InflowStatus)) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(at) {
            change(line);
        }
    }

    /// Notes how it stands from now on, and why; the time stays when only the reason changes.
    pub fn stands(&self, at: usize, state: Standing, reason: Option<String>) {
        self.change(at, |line| {
            if line.state != state {
                line.since = Some(clock::now().to_string());
            }
            (line.state, line.reason) = (state, reason);
        });
    }

    /// All of it.
    pub fn lines(&self) -> Vec<InflowStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a person must do.
    pub fn needs(&self, now: Timestamp) -> Vec<Need> {
        self.lines().iter().filter_map(|line| line.need(now)).collect()
    }
}
