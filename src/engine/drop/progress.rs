//! How far a long step is, for whoever watches on a terminal.

use std::sync::OnceLock;

/// One step of one file.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'p> {
    /// What is done: `rendering`, or the name of the outlet that takes it.
    pub step: &'p str,
    /// Records, or bytes, so far.
    pub done: u64,
    /// Of so many.
    pub of: u64,
}

type Observer = Box<dyn Fn(Progress<'_>) + Send + Sync>;

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Has the steps of this process told to somebody; the first one that asks is told.
pub fn watch(observer: impl Fn(Progress<'_>) + Send + Sync + 'static) {
    let _ = OBSERVER.set(Box::new(observer));
}

/// Tells how far a step is.
pub(super) fn tell(step: &str, done: u64, of: u64) {
    if let Some(observer) = OBSERVER.get() {
        observer(Progress { step, done, of });
    }
}
