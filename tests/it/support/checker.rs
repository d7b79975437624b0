//! The judge of a whole run: what a target saw of a connector, held against the application's file and the attempt log.

use std::collections::{BTreeMap, HashMap, HashSet};

use hms_sync::event::{Event, EventId, Op};
use hms_sync::store::capture::{Access, CapturedLog};
use hms_sync::store::state::attempt::{self, Line};
use hms_sync::store::state::{connector, log as logs};

use super::journal::{Entry, Expected, body, judge, unfold};
use super::office::Office;
use super::receiver::Receiver;

impl Office {
    /// Everything that was promised of a connector, whatever it was put through: nothing below its cursor is lost,
    /// each record's changes came in order, a key always meant the same request, nothing came that was not committed,
    /// every request had its intent, every intent has its outcome (or `unknown`), and the target ends up with what
    /// stands in the table. To be called when the agent has ended well; what is parked is not expected at the target.
    #[track_caller]
    pub fn judge(&self, connector: &str, target: &Receiver) {
        let wrong = self.wrong(connector, &unfold(&target.journal()));
        assert!(wrong.is_empty(), "{connector}: {wrong:#?}");
    }

    fn wrong(&self, connector: &str, journal: &[Entry]) -> Vec<String> {
        let yaml = std::fs::read_to_string(self.config().join(format!("connectors/{connector}.yaml"))).unwrap();
        let says = |key: &str| yaml.lines().any(|line| line.starts_with(key));
        let parked: HashSet<EventId> = self.parked(connector).iter().map(|parked| parked.event.id).collect();
        let cursor = self.cursor(connector);
        let events = self.events();
        let attempts = self.attempts(connector, &events);
        let settled = |event: &Event| event.seq() <= cursor && !parked.contains(&event.id);
        // With a filter an event that was never tried was not wanted.
        let filtered = says("where:") || says("listen:") || says("onLeave:");
        let wanted = |event: &Event| settled(event) && !(filtered && attempts[&event.id].is_empty());
        let plain: Vec<Entry> =
            journal.iter().map(|entry| Entry { key: delivery(&entry.key).to_owned(), ..entry.clone() }).collect();
        let arrived: HashSet<&str> = plain.iter().map(|entry| entry.key.as_str()).collect();
        let expected: Vec<Expected> = events
            .iter()
            .flat_map(|event| parts(event).into_iter().map(move |part| (event, part)))
            .filter(|(event, part)| wanted(event) || arrived.contains(part.key.as_str()))
            .map(|(event, part)| Expected { optional: !wanted(event), ..part })
            .collect();
        let mut wrong = judge(&expected, &plain);
        wrong.extend(unrecorded(journal, &attempts));
        let done = cursor >= self.highest() && parked.is_empty();
        if done && !(filtered || says("map:") || says("delete:")) {
            wrong.extend(self.unlike_the_table(journal));
        }
        wrong
    }

    /// What the captured log holds.
    pub fn events(&self) -> Vec<Event> {
        let mut log = CapturedLog::open("office", &self.database(), Access::Read).unwrap();
        let mut events: Vec<Event> = Vec::new();
        loop {
            let more = log.read(events.last().map_or(0, Event::seq), 1000, usize::MAX).unwrap();
            if more.is_empty() {
                return events;
            }
            events.extend(more);
        }
    }

    /// The lines of the attempt log, by event.
    pub fn attempts(&self, connector: &str, events: &[Event]) -> HashMap<EventId, Vec<Line>> {
        self.reader()
            .read(|db| {
                let known = connector::find(db, connector)?.unwrap();
                let log = logs::find(db, "office")?.unwrap();
                events.iter().map(|event| Ok((event.id, attempt::of_event(db, known.id, log, event.id)?))).collect()
            })
            .unwrap()
    }

    /// Outcome and class of every attempt upon the last event, oldest first: `unknown reset`.
    pub fn outcomes_of_the_last(&self, connector: &str) -> Vec<String> {
        let event = self.events().pop().unwrap();
        let lines = self.attempts(connector, std::slice::from_ref(&event)).remove(&event.id).unwrap();
        let outcome = |line| match line {
            Line::Outcome { settled, .. } => Some(format!("{} {}", settled.word.as_str(), settled.class)),
            Line::Intent { .. } => None,
        };
        lines.into_iter().filter_map(outcome).map(|text| text.trim_end().to_owned()).collect()
    }

    /// The table `visits` is the application's own last word: the target must have it, and nothing else.
    pub fn unlike_the_table(&self, journal: &[Entry]) -> Vec<String> {
        let mut has: BTreeMap<String, serde_json::Value> = BTreeMap::new();
        for entry in journal.iter().filter(|entry| entry.committed) {
            match entry.method.as_str() {
                "DELETE" => drop(has.remove(&entry.path)),
                _ => drop(has.insert(entry.path.clone(), body(entry))),
            }
        }
        let app = self.app();
        let rows = app.prepare("SELECT json_object('id', id, 'name', name, 'minutes', minutes), id FROM visits");
        // Another table is judged by its own test.
        let Ok(mut rows) = rows else { return Vec::new() };
        let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap();
        let stands: BTreeMap<String, serde_json::Value> = rows
            .map(|row| row.unwrap())
            .map(|(row, id)| (format!("/visits/{id}"), serde_json::from_str(&row).unwrap()))
            .collect();
        if has == stands { Vec::new() } else { vec![format!("the target has {has:?}, the table {stands:?}")] }
    }
}

/// A delivery's key without `-rN`, which stands behind the key of one that is sent again with other bytes.
pub fn delivery(key: &str) -> &str {
    match key.rsplit_once("-r") {
        Some((delivery, number)) if number.parse::<u32>().is_ok() => delivery,
        _ => key,
    }
}

/// The event that a request was made for.
pub fn event_of(key: &str) -> Option<EventId> {
    let key = delivery(key);
    key.strip_suffix("-a").or(key.strip_suffix("-b")).unwrap_or(key).parse().ok()
}

/// The deliveries of an event: a change of its key is two of them.
fn parts(event: &Event) -> Vec<Expected> {
    let part = |letter: &str, key| Expected::new(format!("{}{letter}", event.id), format!("{} {key:?}", event.kind));
    match &event.old_key {
        Some(old) if event.op == Op::Update => vec![part("-a", old), part("-b", &event.key)],
        _ => vec![part("", &event.key)],
    }
}

/// What the attempt log does not tell as it was: a request without its intent, an intent without its outcome, a
/// delivery that never was.
pub fn unrecorded(journal: &[Entry], attempts: &HashMap<EventId, Vec<Line>>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut requests: HashMap<EventId, HashMap<&str, usize>> = HashMap::new();
    let mut had: HashSet<EventId> = HashSet::new();
    for entry in journal {
        let Some(event) = event_of(&entry.key) else { continue };
        if entry.committed {
            had.insert(event);
        }
        // Answered so, one attempt asks twice: with a new token, on a new connection.
        let again = ["status_401", "status_421"].contains(&entry.scenario.as_str());
        *requests.entry(event).or_default().entry(delivery(&entry.key)).or_default() += usize::from(!again);
    }
    for (event, by_part) in &requests {
        let lines = attempts.get(event).map_or(&[][..], Vec::as_slice);
        let intents = lines.iter().filter(|line| matches!(line, Line::Intent { .. })).count();
        let most = by_part.values().max().copied().unwrap_or_default();
        if intents < most {
            wrong.push(format!("not recorded: {event} was asked for {most} times and intended {intents} times"));
        }
    }
    for (event, lines) in attempts {
        let mut open = 0_i64;
        for line in lines {
            open += if matches!(line, Line::Intent { .. }) { 1 } else { -1 };
            if !(0..=1).contains(&open) {
                wrong.push(format!("{event}: intents and outcomes do not alternate: {lines:?}"));
                break;
            }
        }
        if open == 1 {
            wrong.push(format!("no outcome: the last attempt upon {event}"));
        }
        let delivered = |line: &Line| matches!(line, Line::Outcome { settled, .. } if settled.word.is_delivered());
        if lines.iter().any(delivered) && !had.contains(event) {
            wrong.push(format!("said to be delivered, and the target has never had it: {event}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use hms_sync::clock::Timestamp;
    use hms_sync::store::state::attempt::{Intent, Settled, Word};

    use super::*;

    #[test]
    fn the_judge_finds_requests_without_intent_intents_without_outcome_and_deliveries_that_never_were() {
        let id = EventId { epoch: 1, seq: 1, nonce: 1 };
        let at = Timestamp(0);
        let intended = Intent { id, attempt: 1, mac: [0; 8], old_mac: None, joined: false, what: None };
        let intent = || Line::Intent { at, intent: intended.clone(), config: None };
        let outcome = |word| Line::Outcome { at, settled: Settled::unanswered(id, word, "") };
        let request = |committed| Entry {
            connection: 0,
            method: "PUT".into(),
            path: "/".into(),
            headers: Vec::new(),
            body: Vec::new(),
            key: format!("{id}-a"),
            committed,
            scenario: "ok".into(),
        };
        let wrong = |journal: &[Entry], lines: Vec<Line>| unrecorded(journal, &HashMap::from([(id, lines)])).len();
        let whole = || vec![intent(), outcome(Word::Unknown), intent(), outcome(Word::Success)];
        assert_eq!(wrong(&[request(true), request(true)], whole()), 0);
        assert_eq!(wrong(&[request(true), request(true), request(true)], whole()), 1, "a request without its intent");
        assert_eq!(wrong(&[request(true)], vec![intent()]), 1, "an intent without its outcome");
        assert_eq!(wrong(&[], vec![intent(), intent(), outcome(Word::Retry), outcome(Word::Retry)]), 1, "two at once");
        assert_eq!(wrong(&[request(false)], vec![intent(), outcome(Word::Success)]), 1, "a delivery that never was");
    }
}
