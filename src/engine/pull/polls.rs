//! When a source was asked last, and will be next. A poll that finds nothing writes nothing: only the running process knows.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// When a source was asked last, and will be next, by the wall clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// When it was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polled: Option<String>,
    /// When it will be asked next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Shared by who reads and whoever tells of it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Polls(Arc<Mutex<Poll>>);

impl Polls {
    /// It is asked now.
    pub(super) fn asked(&self, at: Timestamp) {
        self.change(|poll| poll.polled = Some(at.to_string()));
    }

    /// It will be asked next then.
    pub(super) fn will_ask(&self, at: Option<Timestamp>) {
        self.change(|poll| poll.next = at.map(|at| at.to_string()));
    }

    /// As it stands.
    pub fn get(&self) -> Poll {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Poll)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
