//! A connector that is read too: what it sends is known again when it is read, and what it took is agreed on.

use std::sync::Arc;

use foldhash::HashSet;

use super::{Mailbox, Message, Worker};
use crate::adapter::Delivery;
use crate::event::{Event, EventId, Op, Record, Value};
use crate::format::json;
use crate::rules::outcome::Reason;
use crate::store::state::batch::Entry;
use crate::store::state::pull::item::{self, Aside};
use crate::store::state::pull::sent::Sent;

/// The class of a delivery that waits until both sides of its record agree.
pub const DISPUTED: &str = "conflict";

/// What the same connector reads.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The type of its table.
    pub kind: Arc<str>,
    /// The columns that come back; none = all.
    pub columns: Option<Vec<String>>,
    /// Who reads.
    pub reader: Mailbox,
}

/// Names under which an answer tells the version of what it has taken.
const VERSIONS: [&str; 2] = ["etag", "version"];

impl Worker {
    /// The records of the table that is read too that an event changes, as the other side gets them.
    fn records_of(&self, event: &Event) -> Vec<Sent> {
        let Some(reading) = self.reading.as_ref().filter(|reading| reading.kind == event.kind) else {
            return Vec::new();
        };
        if event.push.is_some() || event.op == Op::Event {
            return Vec::new();
        }
        let one = |key: &Record, local: Option<Record>| Sent {
            kind: event.kind.to_string(),
            key: String::from_utf8_lossy(&json::value(&Value::Map(key.clone()))).into_owned(),
            seq: event.seq(),
            local,
            version: None,
        };
        let comes_back = |name: &Arc<str>| {
            let columns = reading.columns.as_ref();
            event.key.get(name).is_none() && columns.is_none_or(|columns| columns.iter().any(|known| **known == **name))
        };
        let image = event.after.as_ref().filter(|_| event.op != Op::Delete);
        let local = image.map(|image| {
            image
                .iter()
                .filter(|(name, _)| comes_back(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        });
        let mut records: Vec<Sent> = event.old_key.iter().map(|key| one(key, None)).collect();
        records.push(one(&event.key, local));
        records
    }

    /// It is about to be sent.
    pub(super) fn note_leaving(&mut self, event: &Event) {
        let records = self.records_of(event);
        self.pending.extend(records.into_iter().map(|sent| Entry::Leaves(Box::new(sent))));
    }

    /// The other side has taken it.
    pub(super) fn note_arrived(&mut self, event: &Event) {
        let version = self.versions.remove(&event.id);
        for sent in self.records_of(event) {
            let version = version.clone().filter(|_| sent.local.is_some());
            self.pending.push(Entry::Arrived(Box::new(Sent { version, ..sent })));
        }
    }

    /// Remembers the version that an answer has told, until the event is done.
    pub(super) fn hear_version(&mut self, event: &Event, deliveries: &[Delivery]) {
        if self.reading.is_none() {
            return;
        }
        let told = deliveries.iter().rev().filter_map(|delivery| delivery.left.as_ref()?.values.as_ref());
        let version = told.flatten().find(|(name, _)| VERSIONS.contains(&name.as_str()));
        if let Some((_, version)) = version {
            self.versions.insert(event.id, version.clone());
        }
    }

    /// Whether a person has to decide about a record before anything of it is sent.
    pub(super) fn disputed(&mut self, event: &Event) -> Option<Reason> {
        let records = self.records_of(event);
        let id = self.id;
        let held = self.reader.read(|db| {
            for sent in &records {
                if item::get(db, id, &sent.key)?.is_some_and(|item| item.state == Aside::Held) {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        let wait = || {
            Reason::new(
                DISPUTED,
                "both sides have changed the record, and a person decides: see `hms-sync conflicts list`",
            )
        };
        held.unwrap_or(false).then(wait)
    }

    /// The other side holds another version of a record: who reads looks at it, and decides again.
    pub(super) fn is_wants_reading(&self, event: &Event) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.kind == event.kind)
    }

    /// It is parked for that: who reads hears of it once that is durable, and finds it.
    pub(super) fn wants_reading(&mut self, event: EventId) {
        self.to_read.insert(event);
    }

    /// The rows of these events are durable.
    pub(super) fn tell_reader(&mut self, touched: &HashSet<EventId>) {
        let before = self.to_read.len();
        self.to_read.retain(|event| !touched.contains(event));
        if let Some(reading) = self.reading.as_ref().filter(|_| self.to_read.len() < before) {
            reading.reader.tell(Message::Reload);
        }
    }
}
