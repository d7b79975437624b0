//! Pausing and halting: when a connector sends nothing, and what ends that.

use std::time::Duration;

use super::Worker;
use crate::adapter::stamp::{Stamp, stamp};
use crate::clock::{self, Timestamp};
use crate::rules::outcome::Reason;
use crate::rules::retry::MEANINGLESS;
use crate::store::state::batch::Entry;
use crate::store::state::connector::Mode;

/// A halted connector tries one event this often.
pub(super) const HALT_PROBE: Duration = Duration::from_secs(15 * 60);
/// How often a halted connector looks whether its credential or its TLS files have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Its credential and its TLS files as they were when it halted.
#[derive(Debug, Default)]
pub(super) struct Keys {
    stamps: Vec<Stamp>,
    next: Option<Timestamp>,
}

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
        // What was under way when it halted, and what is tried meanwhile, had the ones that are known.
        if self.mode != Mode::Halted || self.halt_keys.next.is_none() {
            self.halt_keys = Keys { stamps: self.stamps(), next: Some(clock::steady().plus(LOOK_AGAIN)) };
        }
        self.call_back();
        if self.mode != Mode::Halted || self.mode_reason.as_ref() != Some(&reason) {
            log::error!(connector:% = self.connector.name, class:% = reason.class; "{}: halted: {reason}", self.connector.name);
            self.mode = Mode::Halted;
            self.mode_reason = Some(reason.clone());
            self.pending.push(Entry::Mode(Mode::Halted, Some(reason)));
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.connector.keys.iter().map(|path| stamp(path)).collect()
    }

    /// When a halted connector looks again; none = it has no such files.
    pub(super) fn next_look(&self) -> Option<Timestamp> {
        self.halt_keys.next.filter(|_| self.mode == Mode::Halted && !self.connector.keys.is_empty())
    }

    /// Tries at once where another credential or authority has come: that may have been what was wrong.
    pub(super) fn look_at_keys(&mut self, now: Timestamp) {
        if self.next_look().is_none_or(|next| now < next) {
            return;
        }
        let stamps = self.stamps();
        if stamps != self.halt_keys.stamps {
            log::info!(connector:% = self.connector.name; "{}: its credential or its TLS files have changed: it is tried again", self.connector.name);
            self.halt_probe = now;
        }
        self.halt_keys = Keys { stamps, next: Some(now.plus(LOOK_AGAIN)) };
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
