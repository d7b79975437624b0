//! Gathering what belongs to a cut: every log up to the moment of its cut-off, and what was released or changed again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::worker::{StepError, Worker};
use super::{Drop, entry};
use crate::clock::{self, Timestamp};
use crate::event::{Event, Record, Value};
use crate::format::json;
use crate::rules::cutoff::Newest;
use crate::rules::governance::Gate;
use crate::rules::governance::hook::NO_ANSWER;
use crate::rules::outcome::Reason;
use crate::store::state::counter::{self, Counter};
use crate::store::state::drops::FileId;
use crate::store::state::drops::ack;
use crate::store::state::drops::change::{self, Change};
use crate::store::state::parked::{self, Parked, ParkedState};
use crate::store::state::{ConnectorId, Db, LogId, Sql, cursor};

/// Events read, and committed, at once.
const CHUNK: usize = 512;
/// Bytes of values read at once, about.
const CHUNK_BYTES: usize = 1 << 20;

/// The record that an event is about, as ledgers and `drop show` name it: its type and its key as JSON.
pub(super) fn record_key(event: &Event) -> String {
    if event.key.is_empty() {
        return format!("{} {}", event.kind, event.id);
    }
    let key = event.key.iter().map(|(name, value)| (Arc::clone(name), value.clone())).collect();
    ledger_key(&event.kind, key)
}

/// The same of a type and a key.
pub fn ledger_key(kind: &str, key: Record) -> String {
    format!("{kind} {}", String::from_utf8_lossy(&json::value(&Value::Map(key))))
}

/// What names a record in ledgers, as far as a view lets the key be shown.
pub fn shown_record(record: &str, view: &Gate) -> String {
    let parts = record.match_indices(" {").filter_map(|(at, _)| Some((record.get(..at)?, record.get(at + 1..)?)));
    let key = parts.into_iter().find_map(|(kind, text)| match json::decode(text.as_bytes()) {
        Ok(Value::Map(key)) => Some((kind, key)),
        _ => None,
    });
    let Some((kind, key)) = key else { return record.to_owned() };
    let veiled = view.veil_record(kind, &key).into_owned();
    format!("{kind} {}", String::from_utf8_lossy(&json::value(&Value::Map(veiled))))
}

/// What one event of a log gives a file.
enum Taken {
    Skipped,
    Changes(Vec<Change>),
    Held(Box<Parked>),
}

impl Worker {
    /// Puts into a file what belongs to it: every change before the moment of the cut that no file has yet.
    ///
    /// # Errors
    /// When a log or the state file refuses; what was gathered until then stays gathered.
    pub(super) fn gather(&mut self, file: FileId, cut_at: Timestamp) -> Result<(), StepError> {
        for at in 0..self.sources.len() {
            let mut newest = Newest::default();
            while let Some((log, source)) = self.sources.get_mut(at) {
                let (log, id) = (*log, self.id);
                let after = self.reader.read(|db| cursor::get(db, id, log))?.map_or(0, |cursor| cursor.seq);
                let mut events = source.read(after, CHUNK, CHUNK_BYTES)?;
                let seen = clock::now();
                // A time that has not come yet was stamped by a clock that has been set back since: such a change goes with
                // the one before it, or it would hold up itself and all later ones until that time.
                let mut belongs = |at: Timestamp| newest.pass(if at > seen { newest.0 } else { at }, seen);
                let mine = events.iter().take_while(|event| belongs(event.at) < cut_at).count();
                let more = mine == events.len() && mine > 0;
                events.truncate(mine);
                let Some(last) = events.last().map(Event::seq) else { break };
                // What a file, or the list of held rows, says of a log must not vanish from it in a power cut.
                source.make_durable(last)?;
                self.store(file, log, events)?;
                if !more {
                    break;
                }
            }
        }
        self.take_up_parked(file)
    }

    /// Stores a chunk and moves the cursor over it, in one commit.
    fn store(&mut self, file: FileId, log: LogId, events: Vec<Event>) -> Result<(), StepError> {
        let (id, drop) = (self.id, Arc::clone(&self.drop));
        let taken: Vec<Taken> = events.iter().map(|event| take(&drop, log, event)).collect();
        let last = events.last().map_or(0, Event::seq);
        // Asked of the file once: it would be looked through for every chunk.
        let known = self.ordinal.filter(|(of, _)| *of == file).map(|(_, ordinal)| ordinal);
        let ordinal = self.ledger.call(move |state| {
            state.commit(|db| {
                let mut ordinal = known.map_or_else(|| change::highest(db, file), Ok)?;
                let mut skipped = 0;
                for taken in taken {
                    match taken {
                        Taken::Skipped => skipped += 1,
                        Taken::Changes(mut changes) => {
                            for change in &mut changes {
                                ordinal += 1;
                                change.ordinal = ordinal;
                            }
                            change::gather(db, id, file, &changes)?;
                        }
                        Taken::Held(held) => park(db, id, &held)?,
                    }
                }
                counter::add(db, id, Counter::Skipped, skipped)?;
                cursor::advance(db, id, log, last)?;
                Ok(ordinal)
            })
        })?;
        self.ordinal = Some((file, ordinal));
        log::debug!(connector:% = self.drop.subscription.name; "{}: gathered up to position {last}", self.drop.subscription.name);
        Ok(())
    }

    /// Takes up what is parked and may go again: what was released, and of each record that is in the file already all
    /// that is parked. They come before the newer changes.
    fn take_up_parked(&mut self, file: FileId) -> Result<(), StepError> {
        let (id, drop) = (self.id, Arc::clone(&self.drop));
        self.ledger.call(move |state| {
            state.commit(|db| {
                let now = clock::steady();
                let going = going(db, &drop, file)?;
                // All at once and in the order of the log: the last of a record is what it is now.
                let mut changes = Vec::new();
                for known in &going {
                    for ((part, key), nth) in known.parts.iter().zip(0..) {
                        let half = if nth > 0 { nth } else { ack::half_of(db, id, part.id, key)? };
                        let (log, op) = (known.parked.log, part.op);
                        changes.push(Change {
                            id: part.id,
                            half,
                            key: key.to_owned(),
                            ordinal: 0,
                            log,
                            op,
                            event: part.clone(),
                        });
                    }
                }
                let lowest = change::lowest(db, file)?;
                let count = i64::try_from(changes.len()).unwrap_or(0);
                for (change, nth) in changes.iter_mut().zip(0..) {
                    change.ordinal = lowest - count + nth;
                }
                change::take_over(db, id, file, &changes)?;
                for known in &going {
                    parked::end(db, id, &known.parked.event, now)?;
                    entry::along(db, id, &known.parked)?;
                }
                Ok(())
            })
        })?;
        Ok(())
    }
}

/// A parked change and what it does to which record, by the record's key.
struct Known {
    parked: Parked,
    parts: Vec<(Event, String)>,
    goes: bool,
}

/// The parked changes that go with a file, in the order of the logs.
fn going(db: &Db, drop: &Drop, file: FileId) -> Sql<Vec<Known>> {
    let name = drop.subscription.name.to_string();
    let selection = parked::Selection { connector: Some(name), ..parked::Selection::default() };
    let mut all = Vec::new();
    for (_, parked) in parked::select(db, &selection)? {
        let parts: Vec<(Event, String)> = parts(drop, &parked.event)
            .into_iter()
            .map(|part| {
                let key = record_key(&part);
                (part, key)
            })
            .collect();
        // Nothing else waits here, so its time does not count: it may be one of a clock that was set back.
        let mut goes = parked.state == ParkedState::Waiting;
        for (_, key) in &parts {
            goes = goes || change::has_record(db, file, key)?;
        }
        all.push(Known { parked, parts, goes });
    }
    // A change of a key ties two records together, so that one may bring along the next.
    let keys = |known: &Known| known.parts.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>();
    let mut records: BTreeSet<String> = all.iter().filter(|known| known.goes).flat_map(keys).collect();
    loop {
        let before = records.len();
        for known in &mut all {
            known.goes = known.goes || known.parts.iter().any(|(_, key)| records.contains(key));
            records.extend(known.goes.then(|| keys(known)).into_iter().flatten());
        }
        if records.len() == before {
            break;
        }
    }
    all.retain(|known| known.goes);
    Ok(all)
}

/// What a parked change does to which record: a change of a key, kept whole, to two.
fn parts(drop: &Drop, event: &Event) -> Vec<Event> {
    if event.old_key.is_some()
        && let Ok(parts) = drop.subscription.parts(event)
        && !parts.is_empty()
    {
        return parts.into_iter().map(|part| part.event.into_owned()).collect();
    }
    vec![event.clone()]
}

/// The two halves of a change of a key as the one change that they were; one half twice is itself.
pub(super) fn join(one: Event, other: &Event) -> Event {
    if one.key == other.key || one.old_key.is_some() || other.old_key.is_some() {
        return if other.old_key.is_some() { other.clone() } else { one };
    }
    let (gone, come) = if one.after.is_none() { (one, other.clone()) } else { (other.clone(), one) };
    Event { old_key: Some(gone.key), ..come }
}

/// What an event means to the drop.
fn take(drop: &Drop, log: LogId, event: &Event) -> Taken {
    match drop.subscription.parts(event) {
        Ok(parts) if parts.is_empty() => Taken::Skipped,
        Ok(parts) => Taken::Changes(
            parts
                .into_iter()
                .zip(0..)
                .map(|(part, half)| Change {
                    id: event.id,
                    half,
                    key: record_key(&part.event),
                    ordinal: 0,
                    log,
                    op: part.event.op,
                    event: part.event.into_owned(),
                })
                .collect(),
        ),
        Err(reason) => Taken::Held(Box::new(held(log, event.clone(), reason))),
    }
}

/// An event that stands aside.
pub(super) fn held(log: LogId, event: Event, reason: Reason) -> Parked {
    // What only the hook has no answer to goes with the next file, if it has one then.
    if reason.class == NO_ANSWER {
        let due = Some(clock::steady());
        return Parked { due, ..Parked::new(event, log, ParkedState::Waiting, reason, clock::now()) };
    }
    Parked::new(event, log, ParkedState::Held, reason, clock::now())
}

/// Parks a change. One of a record of which another is parked waits behind it.
pub(super) fn park(db: &Db, connector: ConnectorId, held: &Parked) -> Sql<()> {
    parked::park(db, connector, held)?;
    if !parked::is_head(db, connector, &held.event)? {
        let behind = Parked { state: ParkedState::Behind, ..held.clone() };
        parked::park(db, connector, &behind)?;
    }
    entry::park(db, connector, held)?;
    counter::add(db, connector, Counter::Held, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Op, Record, Value};

    #[test]
    fn the_halves_of_a_change_of_a_key_become_that_change_again() {
        let key = |n: i64| -> Record { [("id", Value::Integer(n))].into_iter().collect() };
        let whole = Event { old_key: Some(key(2)), ..Event::sample(7, 1, Some(2)) };
        let come = Event { old_key: None, ..whole.clone() };
        let gone = Event { op: Op::Delete, key: key(2), old_key: None, after: None, ..whole.clone() };
        for (one, other) in [(&come, &gone), (&gone, &come)] {
            let joined = join(one.clone(), other);
            assert_eq!((joined.op, &joined.key, &joined.old_key), (Op::Update, &whole.key, &whole.old_key));
            assert_eq!(join(one.clone(), &joined).old_key, whole.old_key);
        }
        assert_eq!(join(come.clone(), &come).old_key, None);
    }
}
