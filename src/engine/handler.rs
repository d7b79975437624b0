//! A handler: code of the embedding program that hears events, in order, each at least once, and may push to connectors.
//!
//! It is a consumer like a connector, with a row, cursors and counters of its own under `on_change:NAME`. What it pushes is
//! stored in the commit that moves its cursor: a crash leaves both or neither, so an event that is handled again pushes under
//! the keys of its first time or not at all. A failure stops the whole handler, in order, until it passes; others go on.

mod desk;
mod done;
mod push;
mod worker;

pub use desk::{Desk, Outlets};
pub use push::{Push, PushError};
pub use worker::{Parts, Worker};

use crate::event::Event;
use crate::rules::listen::Listen;
use crate::rules::outcome::Reason;

/// What the names of handlers begin with, where connectors have theirs.
pub const PREFIX: &str = "on_change:";

/// Whether a name of the state file is a handler's.
pub fn is_handler(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Handles one event and says what is to be pushed for it, in order. A failure is tried again with the same event.
pub type Handle = Box<dyn FnMut(&Event) -> Result<Vec<Push>, Reason> + Send>;

/// A handler as the embedding program gives it.
pub struct Spec {
    /// Its name, without [`PREFIX`].
    pub name: String,
    /// What it hears.
    pub listen: Listen,
    /// A new one begins with the oldest event that is kept, not now.
    pub from_beginning: bool,
    /// Handles.
    pub handle: Handle,
}
