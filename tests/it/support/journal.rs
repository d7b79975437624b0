//! What a target saw, and whether that is what it should have seen.

use std::collections::{HashMap, HashSet};

/// One request as it arrived, in order of arrival.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Number of the connection it came by.
    pub connection: usize,
    /// Method and path with query.
    pub method: String,
    pub path: String,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body; cut short where the scenario did not read it all.
    pub body: Vec<u8>,
    /// `Idempotency-Key`.
    pub key: String,
    /// Whether the store has it now.
    pub committed: bool,
    /// Name of the scenario that it met.
    pub scenario: String,
}

impl Entry {
    /// A header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// One delivery that must have arrived. A list of these is in commit order.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Idempotency key.
    pub key: String,
    /// The record it belongs to: deliveries of one record arrive in order.
    pub record: String,
    /// The exact body, where the test knows it.
    pub body: Option<Vec<u8>>,
    /// It may also not have arrived: it is parked, or was not read yet.
    pub optional: bool,
}

impl Expected {
    /// A delivery whose body is not looked at.
    pub fn new(key: impl Into<String>, record: impl Into<String>) -> Expected {
        Expected { key: key.into(), record: record.into(), body: None, optional: false }
    }
}

/// Everything that is wrong: loss, what was never asked for, first arrivals or first commits of a record out of
/// order, one key with different bytes. Empty = as promised.
pub fn judge(expected: &[Expected], journal: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let known: HashMap<&str, &Expected> = expected.iter().map(|item| (item.key.as_str(), item)).collect();
    let committed: HashSet<&str> =
        journal.iter().filter(|entry| entry.committed).map(|entry| entry.key.as_str()).collect();
    for item in expected {
        if !item.optional && !committed.contains(item.key.as_str()) {
            wrong.push(format!("lost: {} of record {}", item.key, item.record));
        }
    }
    let mut first: HashMap<&str, &Entry> = HashMap::new();
    for entry in journal {
        match known.get(entry.key.as_str()) {
            None => wrong.push(format!("never asked for: key {:?} at {}", entry.key, entry.path)),
            Some(item) if item.body.as_ref().is_some_and(|body| entry.committed && *body != entry.body) => {
                wrong.push(format!("other bytes than expected: {}", entry.key));
            }
            Some(_) => {}
        }
        let before = *first.entry(&entry.key).or_insert(entry);
        let part = |longer: &Entry, shorter: &Entry| longer.body.starts_with(&shorter.body);
        let same = before.method == entry.method
            && before.path == entry.path
            && (part(before, entry) || part(entry, before))
            && (!before.committed || !entry.committed || before.body == entry.body);
        if !same {
            wrong.push(format!("one key, different requests: {}", entry.key));
        }
    }
    for (what, arrivals) in [
        ("arrived", journal.iter().collect::<Vec<_>>()),
        ("was committed", journal.iter().filter(|entry| entry.committed).collect()),
    ] {
        let mut seen = HashSet::new();
        let mut latest: HashMap<&str, usize> = HashMap::new();
        let place: HashMap<&str, usize> =
            expected.iter().enumerate().map(|(at, item)| (item.key.as_str(), at)).collect();
        for entry in arrivals {
            let (Some(item), Some(at)) = (known.get(entry.key.as_str()), place.get(entry.key.as_str())) else {
                continue;
            };
            if !seen.insert(&entry.key) {
                continue;
            }
            let last = latest.entry(&item.record).or_insert(*at);
            if *at < *last {
                wrong.push(format!("out of order: {} of record {} {what} after a later one", item.key, item.record));
            }
            *last = (*last).max(*at);
        }
    }
    wrong
}

/// The journal as if each record of a request with several (`Sync-Keys`) had come alone. Requests that did not arrive
/// whole are left out of it: of their records nothing can be said.
pub fn unfold(journal: &[Entry]) -> Vec<Entry> {
    journal.iter().flat_map(records).collect()
}

fn records(entry: &Entry) -> Vec<Entry> {
    let Some(keys) = entry.header("sync-keys") else { return vec![entry.clone()] };
    let lines = entry.header("content-type") == Some("application/x-ndjson");
    let read = if lines {
        let text = String::from_utf8_lossy(&entry.body);
        text.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()
    } else {
        serde_json::from_slice(&entry.body)
    };
    let Ok(records) = read else { return Vec::new() };
    let keys: Vec<&str> = keys.split(", ").collect();
    assert_eq!(records.len(), keys.len(), "as many keys as records");
    let delete = entry.header("sync-op") == Some("delete");
    let one = |(record, key): (&serde_json::Value, &str)| Entry {
        method: if delete { "DELETE" } else { "PUT" }.to_owned(),
        path: format!("/visits/{}", record["id"]),
        body: serde_json::to_vec(record).unwrap(),
        key: key.to_owned(),
        ..entry.clone()
    };
    records.iter().zip(keys).map(one).collect()
}

/// The requests for one path.
pub fn at<'j>(journal: &'j [Entry], path: &str) -> Vec<&'j Entry> {
    journal.iter().filter(|entry| entry.path == path).collect()
}

/// How many deliveries the target has.
pub fn committed(journal: &[Entry]) -> usize {
    journal.iter().filter(|entry| entry.committed).map(|entry| &entry.key).collect::<HashSet<_>>().len()
}

/// The same request under the same key, however often it came.
pub fn all_the_same<'j>(entries: impl IntoIterator<Item = &'j Entry>) -> bool {
    let request = |entry: &'j Entry| (&entry.key, &entry.method, &entry.path, &entry.body);
    let mut requests = entries.into_iter().map(request);
    let first = requests.next();
    requests.all(|other| Some(other) == first)
}

/// The body of a request.
pub fn body(entry: &Entry) -> serde_json::Value {
    serde_json::from_slice(&entry.body).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, body: &str, committed: bool) -> Entry {
        Entry {
            connection: 0,
            method: "POST".into(),
            path: "/".into(),
            headers: Vec::new(),
            body: body.into(),
            key: key.into(),
            committed,
            scenario: "ok".into(),
        }
    }

    #[test]
    fn the_judge_finds_loss_disorder_strangers_and_changed_bytes() {
        let expected = [Expected::new("a", "1"), Expected::new("b", "1"), Expected::new("c", "2")];
        let good = [entry("c", "3", true), entry("a", "1", false), entry("a", "1", true), entry("b", "2", true)];
        assert_eq!(judge(&expected, &good), Vec::<String>::new());
        let says = |journal: &[Entry], what: &str| {
            let wrong = judge(&expected, journal);
            assert!(wrong.iter().any(|line| line.starts_with(what)), "{what}: {wrong:?}");
        };
        says(&good[..3], "lost: b");
        says(&[entry("b", "2", true), entry("a", "1", true), entry("c", "3", true)], "out of order: a");
        says(&[entry("a", "1", true), entry("a", "x", true)], "one key, different requests: a");
        says(&[entry("z", "1", true)], "never asked for");
        let exact = [Expected { body: Some(b"1".to_vec()), ..Expected::new("a", "1") }];
        assert_eq!(judge(&exact, &[entry("a", "2", true)]), ["other bytes than expected: a"]);
    }
}
