//! Ways to tell somebody of an alert: one attempt each, no retry.

pub mod exec;
pub mod file;
pub mod mail;
pub mod webhook;

use std::fmt;

use crate::format::notice::Notice;
use crate::rules::outcome::Reason;

/// A way to tell somebody.
pub trait Channel: Send + Sync + fmt::Debug {
    /// Tells a notice, once. Waits until the other end has it, or it is known that it has not.
    ///
    /// # Errors
    /// Why the other end has it not, or may not have it.
    fn tell(&self, notice: &Notice) -> Result<(), Reason>;
}
