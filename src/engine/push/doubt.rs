//! Blaming the clock for certificates that look expired, or not valid yet.

use super::Worker;
use crate::clock::{self, BUILT};
use crate::rules::clock::doubt;
use crate::rules::outcome::Reason;
use crate::store::state::last_line;

impl Worker {
    /// A connector that halts because of TLS while the clock is not believed is held because of the clock.
    pub(super) fn blame_clock(&mut self, reason: Reason) -> Reason {
        if reason.class != "tls" {
            return reason;
        }
        let last = self.reader.read(last_line).ok().flatten();
        match doubt(clock::now(), BUILT, last) {
            Some(doubt) => Reason::new("clock", format!("{doubt}; set it first: {}", reason.text)),
            None => reason,
        }
    }
}
