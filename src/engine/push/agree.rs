//! A connector that is read too: what it sends is known again when it is read, and what it took is agreed on.

use std::sync::Arc;
use std::time::Duration;

use foldhash::HashSet;

use super::{Mailbox, Message, Worker};
use crate::adapter::Left;
use crate::clock;
use crate::engine::turnstile::{Inside, Turnstile};
use crate::engine::window::{Slot, SlotId};
use crate::event::{Event, EventId, Op, Record, Value};
use crate::format::json;
use crate::rules::conflict::Why;
use crate::rules::conflict::same::fingerprint;
use crate::rules::outcome::Reason;
use crate::store::state::batch::Entry;
use crate::store::state::counter::Counter;
use crate::store::state::parked::{Parked, ParkedState};
use crate::store::state::pull::base;
use crate::store::state::pull::item::{self, Aside};
use crate::store::state::pull::lately;
use crate::store::state::pull::sent::Sent;
use crate::store::state::{ConnectorId, Db, Sql, StateReader, conflict};

/// The class of a delivery that waits until both sides of its record agree.
pub const DISPUTED: &str = "conflict";

/// The class of one that was refused again and again, though its record was read again each time: a person looks.
pub const RESTLESS: &str = "restless";

/// What the same connector reads.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The type of its table.
    pub kind: Arc<str>,
    /// That table, as its conflicts name it.
    pub table: Arc<str>,
    /// The columns that come back; none = all.
    pub columns: Option<Vec<String>>,
    /// Who reads.
    pub reader: Mailbox,
    /// Where both pass.
    pub turnstile: Turnstile,
}

/// What is being decided about is looked at again after so long.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Whether an event may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It may.
    May,
    /// It is being decided about its record.
    Later,
    /// Both sides have agreed on something newer since, or the record was told to the log anew.
    Over,
    /// A person decides about its record.
    Disputed,
    /// The record's contents cross again and again: from now on a person decides about it.
    Round,
}

/// Names under which an answer tells the version of what it has taken.
const VERSIONS: [&str; 2] = ["etag", "version"];

impl Reading {
    /// Whether nothing may leave, because both sides have still to meet.
    pub(super) fn is_apart(&self) -> bool {
        self.turnstile.lock().is_apart()
    }

    /// The records of the table that is read too that an event changes, as the other side gets them.
    pub(super) fn records_of(&self, event: &Event) -> Vec<Sent> {
        if self.kind != event.kind || event.push.is_some() || event.op == Op::Event {
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
            let columns = self.columns.as_ref();
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

    /// Whether an event may leave now. Only with what both sides agreed on last at hand can that be said: where the state
    /// file cannot be read, it waits.
    pub(super) fn may_leave(
        &self,
        reader: &mut StateReader,
        of: ConnectorId,
        inside: &Inside,
        slot: &Slot,
        is_replay: bool,
    ) -> Leave {
        let records = self.records_of(&slot.event);
        if records.is_empty() {
            return Leave::May;
        }
        if records.iter().any(|sent| inside.is_taken(&sent.key)) {
            return Leave::Later;
        }
        let looked = reader.read(|db| {
            let (mut over, mut held, mut round) = (true, false, false);
            for Sent { kind, key, seq, local, .. } in &records {
                let fields: Vec<Arc<str>> = local.iter().flat_map(Record::iter).map(|(name, _)| name.clone()).collect();
                let crossings = lately::crossings(db, of, kind, key)?;
                round |= crossings.goes_round(&fingerprint(local.as_ref(), &fields), clock::now());
                let agreed = base::place(db, of, kind, key)?.map_or(0, |(_, _, seq)| seq);
                over &= agreed.max(inside.told(key)).max(lately::told(db, of, kind, key)?) >= *seq;
                held |= why_held(db, of, kind, key)?.is_some();
            }
            Ok((over, held, round))
        });
        match looked {
            Err(_) => Leave::Later,
            Ok((true, ..)) if !is_replay => Leave::Over,
            Ok((_, true, _)) => Leave::Disputed,
            // What may have arrived goes again as it was.
            Ok((.., true)) if !is_replay && !slot.in_doubt => Leave::Round,
            Ok(_) => Leave::May,
        }
    }
}

/// Why nothing of a record is sent now: a person decides about it, or it stands aside.
fn why_held(db: &Db, of: ConnectorId, kind: &str, key: &str) -> Sql<Option<Reason>> {
    if !conflict::open(db, of, kind, key)?.is_empty() {
        return Ok(Some(disputed()));
    }
    let aside = item::get(db, of, key)?.filter(|item| item.state == Aside::Held);
    Ok(aside.map(|item| Reason::new(DISPUTED, item.reason.text)))
}

fn undecided() -> Reason {
    Reason::new(DISPUTED, "both sides have changed the record: it is read and decided again")
}

fn disputed() -> Reason {
    Reason::new(DISPUTED, "a person decides about the record: see `hms-sync conflicts list`")
}

impl Worker {
    fn records_of(&self, event: &Event) -> Vec<Sent> {
        self.reading.as_ref().map(|reading| reading.records_of(event)).unwrap_or_default()
    }

    /// What was looked at to be opened and does not leave: it is over, or waits for a person.
    pub(super) fn stays(&mut self, events: Vec<(EventId, Leave)>) {
        for (event, why) in events {
            let Some(slot) = self.window.idle_slot(&event).and_then(|id| self.window.remove(id)) else { continue };
            let (log, lanes) = (slot.log, slot.event.lanes().collect::<Vec<_>>());
            let reason = match why {
                Leave::Round => disputed(),
                _ => self.disputed(&slot.event).unwrap_or_else(undecided),
            };
            if let (Leave::Round, Some(reading)) = (why, &self.reading) {
                log::error!(connector:% = self.connector.name, event:% = event; "{}: {} {event}: {}", self.connector.name, slot.event.kind, Why::Loop.reason());
                let records = reading.records_of(&slot.event).into_iter();
                self.pending.extend(records.map(|sent| Entry::Round(reading.table.clone(), Box::new(sent))));
            }
            match (why, slot.from_parked) {
                (Leave::Over, false) => self.skip(log, slot.event.seq()),
                (Leave::Over, true) => {
                    self.touched.insert(event);
                    self.chains.remove(log, &slot.event);
                    self.count(Counter::Skipped);
                    self.next_due = None;
                    self.pending.push(Entry::End(log, Box::new(slot.event)));
                }
                (_, false) => {
                    self.park_fresh(log, slot.event, ParkedState::Held, reason, None);
                    self.step_back_in(lanes);
                }
                (_, true) => {
                    let parked = Parked::new(slot.event, log, ParkedState::Held, reason, clock::now());
                    let (attempts, first_attempt) = (slot.attempts, slot.first_attempt);
                    self.park(Parked { attempts, first_attempt, config_hash: Some(*self.config_hash), ..parked });
                    self.step_back_in(lanes);
                }
            }
        }
    }

    /// An event that was on its way is back; that counts once it is durable.
    pub(super) fn is_back(&mut self, id: SlotId) {
        let Some(slot) = self.window.get(id) else { return };
        self.landing.extend(self.away.remove(&slot.event.id).unwrap_or_default());
    }

    /// What came of them is durable: it may be decided about their records.
    pub(super) fn land(&mut self) {
        let landed = std::mem::take(&mut self.batch_landing);
        let Some(reading) = self.reading.as_ref().filter(|_| !landed.is_empty()) else { return };
        let mut inside = reading.turnstile.lock();
        if landed.iter().fold(false, |missed, key| inside.land(key) | missed) {
            reading.reader.tell(Message::Reload);
        }
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
    pub(super) fn hear_version<'l>(&mut self, event: &Event, left: impl DoubleEndedIterator<Item = &'l Left>) {
        if self.reading.is_none() {
            return;
        }
        let told = left.rev().filter_map(|left| left.values.as_ref());
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
                if let Some(reason) = why_held(db, id, &sent.kind, &sent.key)? {
                    return Ok(Some(reason));
                }
            }
            Ok(None)
        });
        held.ok().flatten()
    }

    /// The other side holds another version of a record: who reads looks at it, and decides again.
    pub(super) fn is_to_be_read(&self, event: &Event) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.kind == event.kind)
    }

    /// One that met another version is not sent as it was, whoever lets it go: who reads looks at its record, and tells the log what is
    /// to be sent now. The reason to park it with, if it is such a one.
    pub(super) fn is_to_be_read_first(&self, parked: &Parked) -> Option<Reason> {
        let met = [DISPUTED, RESTLESS].contains(&&*parked.reason.class);
        (met && parked.event.push.is_none() && self.is_to_be_read(&parked.event)).then(undecided)
    }

    /// It is parked for that: who reads hears of it once that is durable, and finds it.
    pub(super) fn will_be_read(&mut self, event: EventId) {
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
