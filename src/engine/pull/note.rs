//! Taking down when the application changed which field, as its log tells it.

use std::collections::HashMap;
use std::sync::Arc;

use super::{PullError, Site, Worker};
use crate::clock::Timestamp;
use crate::event::{Event, Op, Record};
use crate::store::capture::CapturedLog;
use crate::store::state::pull::change::{self, Changes};

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
            let (name, site) = (&*self.inlet.name, &self.site);
            events
                .iter()
                .filter(|event| is_own(event, name, site))
                .for_each(|event| take_down(event, site, &mut noted));
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
}

/// What the application did from a position of the log on, by record, on top of what was noted before: for who looks and writes nothing.
pub(super) fn unnoted(
    log: &mut CapturedLog,
    name: &str,
    site: &Site,
    noted: i64,
) -> Result<HashMap<String, Changes>, PullError> {
    let mut found: HashMap<String, Changes> = HashMap::new();
    let mut after = noted.max(log.lowest_seq()?.saturating_sub(1));
    loop {
        let events = log.read(after, EVENTS, BYTES)?;
        let Some(last) = events.last().map(Event::seq) else { return Ok(found) };
        let mut noted = Vec::new();
        events.iter().filter(|event| is_own(event, name, site)).for_each(|event| take_down(event, site, &mut noted));
        for Noted { key, fields, at, seq } in noted {
            let changes = found.entry(key).or_default();
            changes.seq = seq;
            if fields.is_empty() {
                changes.deleted = Some(at);
            }
            for field in fields {
                let span = changes.fields.entry(field).or_insert((at, at));
                *span = (span.0.min(at), span.1.max(at));
            }
        }
        after = last;
    }
}

/// What was noted of a record, and what came since.
pub(super) fn add_up(noted: &mut Changes, since: &Changes) {
    noted.seq = noted.seq.max(since.seq);
    noted.deleted = noted.deleted.max(since.deleted);
    for (field, (first, last)) in &since.fields {
        let span = noted.fields.entry(field.clone()).or_insert((*first, *last));
        *span = (span.0.min(*first), span.1.max(*last));
    }
}

/// Whether it is a change of the pulled table that did not come from there.
fn is_own(event: &Event, name: &str, site: &Site) -> bool {
    event.kind == site.kind && !event.synthetic && event.origin.as_deref() != Some(name)
}

fn take_down(event: &Event, site: &Site, noted: &mut Vec<Noted>) {
    let of = |key: &Record| {
        let values: Option<Vec<_>> = site.fitting.key().iter().map(|name| key.get(name).cloned()).collect();
        values.map(|values| site.identity(&values))
    };
    let (at, seq) = (event.at, event.seq());
    if let Some(key) = event.old_key.as_ref().and_then(of) {
        noted.push(Noted { key, fields: Vec::new(), at, seq });
    }
    let Some(key) = of(&event.key) else { return };
    let fields: Vec<Arc<str>> = match (event.op, &event.old_key) {
        (Op::Delete, _) => Vec::new(),
        // Under its new key the record is new.
        (Op::Insert, _) | (_, Some(_)) => site.columns.clone(),
        _ => site.columns.iter().filter(|column| event.changed.contains(column)).cloned().collect(),
    };
    if event.op == Op::Delete || !fields.is_empty() {
        noted.push(Noted { key, fields, at, seq });
    }
}
