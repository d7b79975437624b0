//! Taking down when the application changed which field, as its log tells it.

use std::sync::Arc;

use super::{PullError, Worker};
use crate::clock::Timestamp;
use crate::event::{Event, Op};
use crate::store::state::pull::change;

/// Events that are read at once.
const EVENTS: usize = 1000;
const BYTES: usize = 1 << 20;

/// A change, to be taken down.
struct Noted {
    key: String,
    fields: Vec<Arc<str>>,
    at: Timestamp,
    seq: i64,
}

impl Worker {
    /// Looks through the log from where it was looked through last. Writes only when the table was changed by somebody else
    /// than this connector.
    pub(super) fn note_changes(&mut self) -> Result<(), PullError> {
        // Nobody has what was pruned before it was looked at; then a time is missing, and a person decides.
        self.noted = self.noted.max(self.log.lowest_seq()?.saturating_sub(1));
        loop {
            let events = self.log.read(self.noted, EVENTS, BYTES)?;
            let Some(last) = events.last().map(Event::seq) else { return Ok(()) };
            let mut noted = Vec::new();
            events.iter().filter(|event| self.is_own(event)).for_each(|event| self.take_down(event, &mut noted));
            if !noted.is_empty() {
                self.has_noted = true;
                self.log.sync_wal()?;
                let (id, kind) = (self.id, self.site.kind.clone());
                self.ledger.call(move |state| {
                    state.commit(|db| {
                        for Noted { key, fields, at, seq } in &noted {
                            change::note(db, id, &kind, &change::Change { key, fields, at: *at, seq: *seq })?;
                        }
                        change::set_noted(db, id, last)
                    })
                })?;
            }
            self.noted = last;
        }
    }

    /// Whether it is a change of the pulled table that did not come from there.
    fn is_own(&self, event: &Event) -> bool {
        event.kind == self.site.kind && !event.synthetic && event.origin.as_deref() != Some(&*self.inlet.name)
    }

    fn take_down(&self, event: &Event, noted: &mut Vec<Noted>) {
        let of = |key: &crate::event::Record| {
            let values: Option<Vec<_>> = self.site.fitting.key().iter().map(|name| key.get(name).cloned()).collect();
            values.map(|values| self.site.identity(&values))
        };
        let (at, seq) = (event.at, event.seq());
        if let Some(key) = event.old_key.as_ref().and_then(of) {
            noted.push(Noted { key, fields: Vec::new(), at, seq });
        }
        let Some(key) = of(&event.key) else { return };
        let fields: Vec<Arc<str>> = match (event.op, &event.old_key) {
            (Op::Delete, _) => Vec::new(),
            // Under its new key the record is new.
            (Op::Insert, _) | (_, Some(_)) => self.site.columns.clone(),
            _ => self.site.columns.iter().filter(|column| event.changed.contains(column)).cloned().collect(),
        };
        if event.op == Op::Delete || !fields.is_empty() {
            noted.push(Noted { key, fields, at, seq });
        }
    }
}
