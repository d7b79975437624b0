//! Blaming the clock for certificates that look expired, or not valid yet.

use super::Worker;
use crate::clock;
use crate::rules::clock::doubt;
use crate::rules::outcome::Reason;
use crate::store::state::belief;

impl Worker {
    /// A connector that halts because of TLS while the clock is not believed is held because of the clock.
    pub(super) fn blame_clock(&mut self, reason: Reason) -> Reason {
        if reason.class != "tls" {
            return reason;
        }
        let doubt = self.reader.read(belief::known).ok().and_then(|known| doubt(clock::now(), &known));
        match doubt {
            Some(doubt) => Reason::new("clock", format!("{doubt}; set it first: {}", reason.text)),
            None => reason,
        }
    }
}
