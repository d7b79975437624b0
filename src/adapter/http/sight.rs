//! What a target shows of itself beside its answers: until when its certificate is valid, and what its clock says.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::answer::Reply;
use crate::adapter::{Shown, tls};
use crate::clock::{self, Timestamp};
use crate::rules::classify::http_date;

/// The clock of a target is looked at this often at most.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Half of what a `Date` leaves out: it names whole seconds.
const HALF_A_SECOND: i64 = 500;

/// In place of a number that is not known.
const UNKNOWN: i64 = i64::MIN;

/// What was seen last, for whoever asks.
#[derive(Debug)]
pub(super) struct Sight {
    certificate_until: AtomicI64,
    ahead_ms: AtomicI64,
    /// When the clock is looked at again, by the steady one.
    next: AtomicI64,
}

impl Default for Sight {
    fn default() -> Sight {
        Sight { certificate_until: UNKNOWN.into(), ahead_ms: UNKNOWN.into(), next: UNKNOWN.into() }
    }
}

impl Sight {
    /// The chain that a handshake has shown: as good as what ends first.
    pub(super) fn certificates(&self, chain: &[CertificateDer<'_>]) {
        if let Some(until) = chain.iter().filter_map(tls::not_after).min() {
            self.certificate_until.store(until.0, Relaxed);
        }
    }

    /// The time that an answer shows.
    pub(super) fn date(&self, reply: &Reply) {
        let steady = clock::steady();
        if steady.0 < self.next.load(Relaxed) {
            return;
        }
        if let Some(date) = reply.date.as_deref().and_then(|date| http_date(date.trim())) {
            self.next.store(steady.plus(LOOK_AGAIN).0, Relaxed);
            let shown = date.0.saturating_add(HALF_A_SECOND);
            self.ahead_ms.store(shown.saturating_sub(clock::now().0), Relaxed);
        }
    }

    pub(super) fn shown(&self) -> Shown {
        let known = |number: &AtomicI64| Some(number.load(Relaxed)).filter(|number| *number != UNKNOWN);
        Shown { certificate_until: known(&self.certificate_until).map(Timestamp), ahead_ms: known(&self.ahead_ms) }
    }
}
