//! Pausing and halting: when a connector sends nothing, and what ends that.

use std::time::Duration;

use super::Worker;
use crate::clock::{self, Timestamp};
use crate::rules::outcome::Reason;
use crate::rules::retry::MEANINGLESS;
use crate::store::state::batch::Entry;
use crate::store::state::connector::Mode;

/// A halted connector tries one event this often.
pub(super) const HALT_PROBE: Duration = Duration::from_secs(15 * 60);

impl Worker {
    pub(super) fn set_paused(&mut self, pause: bool) {
        let (mode, verb) = if pause { (Mode::Paused, "paused") } else { (Mode::Running, "running") };
        if self.mode != mode {
            log::info!(connector:% = self.connector.name; "{}: {verb}", self.connector.name);
            self.mode = mode;
            self.mode_reason = None;
            self.streak.clear();
            self.pending.push(Entry::Mode(mode, None));
        }
    }

    /// The connector stops until a probe gets through, the configuration changes, or a person resumes it.
    pub(super) fn halt(&mut self, reason: Reason) {
        let reason = self.blame_clock(reason);
        self.halt_probe = clock::steady().plus(HALT_PROBE);
        self.halt_tried = false;
        self.call_back();
        if self.mode != Mode::Halted || self.mode_reason.as_ref() != Some(&reason) {
            log::error!(connector:% = self.connector.name, class:% = reason.class; "{}: halted: {reason}", self.connector.name);
            self.mode = Mode::Halted;
            self.mode_reason = Some(reason.clone());
            self.pending.push(Entry::Mode(Mode::Halted, Some(reason)));
        }
    }

    /// A delivered event ends a halt when it was tried after it.
    pub(super) fn unhalt(&mut self, lane: u64) {
        if self.mode == Mode::Halted && self.halt_tried {
            log::info!(connector:% = self.connector.name; "{}: the target takes events again", self.connector.name);
            self.mode = Mode::Running;
            self.mode_reason = None;
            self.pending.push(Entry::Mode(Mode::Running, None));
        }
        self.streak.delivered(lane);
    }

    /// The record that alone met answers which say nothing, where that halted the connector: it may be the record that is to
    /// blame and not the target.
    pub(super) fn halted_by(&self) -> Option<u64> {
        let meaningless = self.mode_reason.as_ref().is_some_and(|reason| reason.class == MEANINGLESS);
        self.streak.only_record().filter(|_| self.mode == Mode::Halted && meaningless)
    }

    /// Whether a halted connector may try an event now: when its time has come, or at once an event of another record than
    /// the one that alone halted it.
    pub(super) fn may_try_halted(&self, now: Timestamp) -> bool {
        now >= self.halt_probe || self.halted_by().is_some_and(|lane| self.window.has_other(lane))
    }
}
