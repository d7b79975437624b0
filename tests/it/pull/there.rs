//! An outside system that can be read: its records, and what changed after a cursor, a few at once.

use std::collections::BTreeMap;
use std::sync::Mutex;

use hms_sync::adapter::pull::{Ask, Fetched, Item, Page, Reads, Source};
use hms_sync::clock::Timestamp;
use hms_sync::event::{Record, Value};
use hms_sync::rules::outcome::{Outcome, Reason};

/// Items of a page.
pub const PAGE: usize = 3;

#[derive(Debug, Default)]
struct Inside {
    records: BTreeMap<i64, (Option<Record>, i64, Timestamp)>,
    changes: i64,
    now: i64,
    asked: usize,
    expired: bool,
    fails: Vec<Outcome>,
    ahead: Option<i64>,
    page: Option<usize>,
    buried: Vec<(i64, Timestamp)>,
    whole: bool,
}

/// The outside system.
#[derive(Debug, Default)]
pub struct There(Mutex<Inside>);

impl There {
    /// What it changes from now on it changes then.
    pub fn clock(&self, at: i64) {
        self.0.lock().unwrap().now = at;
    }

    pub fn put(&self, id: i64, name: &str, start: &str) {
        self.put_fields(id, &[("name", Value::from(name)), ("start", Value::from(start))]);
    }

    pub fn put_fields(&self, id: i64, fields: &[(&str, Value)]) {
        let mut record: Record = [("id", Value::Integer(id))].into_iter().collect();
        fields.iter().for_each(|(name, value)| record.push(*name, value.clone()));
        self.set(id, Some(record));
    }

    pub fn delete(&self, id: i64) {
        self.set(id, None);
    }

    fn set(&self, id: i64, record: Option<Record>) {
        let mut inside = self.0.lock().unwrap();
        inside.changes += 1;
        let (changes, now) = (inside.changes, Timestamp(inside.now));
        inside.records.insert(id, (record, changes, now));
    }

    /// Every page tells that this record was deleted then, whatever has become of it since.
    pub fn bury(&self, id: i64, at: i64) {
        self.0.lock().unwrap().buried.push((id, Timestamp(at)));
    }

    /// It tells everything each time, and knows its last answer again.
    pub fn tell_all(&self) {
        self.0.lock().unwrap().whole = true;
    }

    /// It is not there any more, and nothing says so.
    pub fn lose(&self, id: i64) {
        self.0.lock().unwrap().records.remove(&id);
    }

    pub fn page_size(&self, page: usize) {
        self.0.lock().unwrap().page = Some(page);
    }

    pub fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    /// It does not know the cursor any more.
    pub fn expire(&self) {
        self.0.lock().unwrap().expired = true;
    }

    /// The next requests come to this, the last first.
    pub fn fail(&self, outcome: Outcome) {
        self.0.lock().unwrap().fails.push(outcome);
    }
}

pub fn down() -> Outcome {
    Outcome::Retry { reason: Reason::new("http-503", "it is down"), after: None, transport: false }
}

impl Source for There {
    fn origin(&self) -> &str {
        "https://there.test:443"
    }

    fn reads(&self) -> Reads {
        if self.0.lock().unwrap().whole { Reads::All } else { Reads::Changes { deletions: true } }
    }

    fn fetch(&self, ask: &Ask) -> Fetched {
        let mut inside = self.0.lock().unwrap();
        inside.asked += 1;
        if let Some(outcome) = inside.fails.pop() {
            return Fetched::Failed(outcome);
        }
        if inside.expired && ask.cursor.is_some() {
            inside.expired = false;
            return Fetched::Expired;
        }
        let version = inside.whole.then(|| format!("{:?}", inside.records.keys().collect::<Vec<_>>()));
        if version.is_some() && ask.validator == version {
            return Fetched::Unchanged;
        }
        let after: i64 = ask.next.as_ref().or(ask.cursor.as_ref()).map_or(0, |text| text.parse().unwrap());
        let mut changed: Vec<_> = inside.records.iter().filter(|(_, (_, n, _))| *n > after).collect();
        changed.sort_by_key(|(_, (_, n, _))| *n);
        let size = inside.page.unwrap_or(PAGE);
        let more = changed.len() > size;
        changed.truncate(size);
        let last = changed.last().map(|(_, (_, n, _))| n.to_string());
        let items = changed.into_iter().map(|(id, (record, _, at))| Item {
            id: Some(format!("r{id}")),
            body: record.clone().unwrap_or_else(|| [("id", Value::Integer(*id))].into_iter().collect()),
            version: None,
            updated: (at.0 > 0).then_some(*at),
            deleted: record.is_none(),
            links: Vec::new(),
        });
        let buried = inside.buried.iter().map(|(id, at)| Item {
            body: [("id", Value::Integer(*id))].into_iter().collect(),
            updated: Some(*at),
            deleted: true,
            ..Item::default()
        });
        let items = items.chain(buried).collect();
        let next = last.clone().filter(|_| more);
        let cursor = last.filter(|_| !inside.whole);
        Fetched::Page(Page { items, next, cursor, validator: version, ahead_ms: inside.ahead, ..Page::default() })
    }

    fn fetch_one(&self, key: &Record, _links: &[(String, String)]) -> Option<Fetched> {
        let Some(Value::Integer(id)) = key.get("id") else { return Some(Fetched::Gone) };
        let inside = self.0.lock().unwrap();
        let Some((Some(record), _, at)) = inside.records.get(id) else { return Some(Fetched::Gone) };
        let item = Item {
            id: Some(format!("r{id}")),
            body: record.clone(),
            version: None,
            updated: (at.0 > 0).then_some(*at),
            deleted: false,
            links: Vec::new(),
        };
        Some(Fetched::Page(Page { items: vec![item], ..Page::default() }))
    }
}
