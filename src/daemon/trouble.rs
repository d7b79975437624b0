//! What ends the agent before anybody tells it to (a sync that failed, a log that another agent has taken), and what it
//! meets and lives with, for `status` to tell.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::need::Need;

/// Shared by all threads of an agent; cheap to clone. Whoever meets a failed sync says so here, and nobody writes to the
/// databases any more: a second sync would prove nothing.
#[derive(Clone)]
pub struct Trouble {
    met: Arc<AtomicBool>,
    lost: Arc<AtomicBool>,
    /// A worker has ended by itself. Not asked of its thread, which is still there while it says so.
    over: Arc<AtomicBool>,
    /// What is wrong at this time, by who has met it.
    told: Arc<Mutex<BTreeMap<String, Need>>>,
    ended: Arc<dyn Fn() + Send + Sync>,
}

impl Trouble {
    /// None so far. `ended` is called when there is.
    pub fn new(ended: Arc<dyn Fn() + Send + Sync>) -> Trouble {
        Trouble { met: Arc::default(), lost: Arc::default(), over: Arc::default(), told: Arc::default(), ended }
    }

    /// A sync has failed.
    pub fn meet(&self) {
        self.met.store(true, Ordering::Release);
        self.over.store(true, Ordering::Release);
        (self.ended)();
    }

    /// A worker has ended, as it may.
    pub fn ended(&self) {
        self.over.store(true, Ordering::Release);
        (self.ended)();
    }

    /// Whether one has.
    pub fn has_ended(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// What `who` has met, in place of what they met before; none = all is well with them again.
    pub fn tell(&self, who: &str, need: Option<Need>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match need {
            Some(need) => drop(told.insert(who.to_owned(), need)),
            None => drop(told.remove(who)),
        }
    }

    /// What is wrong at this time.
    pub fn needs(&self) -> Vec<Need> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Another agent has taken a log.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether one has.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether one has failed: this process must not write to the databases any more.
    pub fn is_met(&self) -> bool {
        self.met.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trouble").field("met", &self.met).field("told", &self.told).finish_non_exhaustive()
    }
}
