//! What is deleted by age, and whether the clock can be believed for that.

use std::time::Duration;

use super::{Keeper, KeeperError};
use crate::clock::{self, Timestamp};
use crate::rules::clock::{cutoff, doubt, is_far_ahead, to_note};
use crate::store::state::act::{self, Act};
use crate::store::state::belief;

impl Keeper {
    /// What is older may be deleted; none while the clock is not believed.
    pub(super) fn cutoff(&mut self, keep: Duration) -> Result<Option<Timestamp>, KeeperError> {
        let known = self.reader.read(belief::known)?;
        Ok(cutoff(clock::now(), clock::steady(), &known, keep))
    }

    /// Tells, once, when the clock is not believed any more, and when it is again: between these two lines nothing that
    /// is written down has a time that counts. Notes what the next look, and the next start, must know of it.
    pub(super) fn watch_clock(&mut self) -> Result<(), KeeperError> {
        let (now, known) = (clock::now(), self.reader.read(belief::known)?);
        if to_note(now, &known).is_some() {
            self.ledger.call(move |state| state.commit(|db| belief::keep(db, now)))?;
        }
        let doubt = doubt(now, &known);
        if doubt.is_none() && is_far_ahead(now, &known) != self.far_ahead {
            self.far_ahead = !self.far_ahead;
            if self.far_ahead {
                log::warn!(
                    "the clock shows {now}, far ahead of all that is known: nothing is deleted by age until an answer \
                     of a target shows the same, or for three days"
                );
            }
        }
        if doubt.is_some() == self.doubted {
            return Ok(());
        }
        self.doubted = doubt.is_some();
        let reason = match doubt {
            Some(doubt) => format!(
                "clock=suspect: {doubt}; nothing is deleted by age until it is set, or an answer of a target shows the same"
            ),
            None => "the clock is believed again".to_owned(),
        };
        log::warn!("{reason}");
        self.ledger.call(move |state| {
            state.commit(|db| {
                let reason = Some(reason.as_str());
                let act = Act { actor: "system", verb: "clock", connector: None, subject: Some("clock"), reason };
                act::record(db, &act, clock::now())
            })
        })?;
        Ok(())
    }
}
