//! Whether everything is as promised after a fault and a good run: the files are sound, what arrived is what the
//! application remembers, and every request was recorded.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use hms_sync::store::state::attempt::{self, Line};
use hms_sync::store::state::{StateReader, connector, log as logs};
use rusqlite::{Connection, OpenFlags};

use super::checker::{delivery, event_of};
use super::journal::{Entry, Expected, judge};
use super::office::Office;
use super::visits::{Memory, Step};

/// What is wrong with a file of SQLite's.
pub fn integrity(path: &Path) -> Vec<String> {
    let look = || -> rusqlite::Result<Vec<String>> {
        // Reading leaves the files as they are; only what a rollback journal holds has to be put back first.
        let hot = Path::new(&format!("{}-journal", path.display())).exists();
        let mode = if hot { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
        let db = Connection::open_with_flags(path, mode)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        let mut check = db.prepare("PRAGMA integrity_check")?;
        check.query_map([], |row| row.get::<_, String>(0))?.collect()
    };
    match look() {
        Ok(lines) if lines == ["ok"] => Vec::new(),
        other => vec![format!("{} is damaged: {other:?}", path.display())],
    }
}

/// Our tables, indexes and triggers in the application's file.
pub fn installed(office: &Office) -> Vec<String> {
    let db = Connection::open(office.database()).unwrap();
    let mut list = db.prepare("SELECT name FROM sqlite_master WHERE name LIKE 'hms!_%' ESCAPE '!' ORDER BY 1").unwrap();
    list.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn step_of(entry: &Entry) -> Result<Step, String> {
    let id = entry.path.strip_prefix("/visits/").and_then(|id| id.parse().ok());
    let id: i64 = id.ok_or_else(|| format!("an odd request: {} {}", entry.method, entry.path))?;
    if entry.method == "DELETE" && entry.body.is_empty() {
        return Ok(Step::Gone(id));
    }
    let body: serde_json::Value = serde_json::from_slice(&entry.body).map_err(|error| format!("{entry:?}: {error}"))?;
    let same = body["id"] == id && entry.method == "PUT";
    match (same, body["name"].as_str(), body["minutes"].as_i64()) {
        (true, Some(name), Some(minutes)) => Ok(Step::Put(id, (name.to_owned(), minutes))),
        _ => Err(format!("an odd request: {} {} {body}", entry.method, entry.path)),
    }
}

/// Holds the journal against the application's memory. `steps` = every step of its account has arrived, in order and
/// nothing else; else = what arrived last of each record is what the table has.
pub fn arrivals(memory: &Memory, journal: &[Entry], steps: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut keys = HashSet::new();
    let mut arrived: BTreeMap<i64, Vec<(String, Step)>> = BTreeMap::new();
    for entry in journal.iter().filter(|entry| keys.insert(entry.key.clone())) {
        match step_of(entry) {
            Ok(step) => arrived.entry(step.id()).or_default().push((entry.key.clone(), step)),
            Err(odd) => wrong.push(odd),
        }
    }
    if steps {
        let mut truth: BTreeMap<i64, Vec<&Step>> = BTreeMap::new();
        memory.account.iter().for_each(|step| truth.entry(step.id()).or_default().push(step));
        let records: std::collections::BTreeSet<&i64> = truth.keys().chain(arrived.keys()).collect();
        for record in records {
            let told: Vec<&Step> = arrived.get(record).into_iter().flatten().map(|(_, step)| step).collect();
            let done = truth.get(record).cloned().unwrap_or_default();
            if told != done {
                wrong.push(format!("record {record}: committed {done:?}, first arrivals {told:?}"));
            }
        }
    } else {
        for (record, steps) in &arrived {
            let wanted = match memory.visits.get(record) {
                Some(visit) => Step::Put(*record, visit.clone()),
                None => Step::Gone(*record),
            };
            if steps.last().is_none_or(|(_, step)| *step != wanted) {
                wrong.push(format!("record {record}: it is {wanted:?}, arrivals {steps:?}"));
            }
        }
    }
    let expected: Vec<Expected> = arrived
        .iter()
        .flat_map(|(record, steps)| steps.iter().map(move |(key, _)| Expected::new(key, record.to_string())))
        .collect();
    wrong.extend(judge(&expected, journal));
    wrong
}

/// The records that arrived at all.
pub fn records(journal: &[Entry]) -> Vec<i64> {
    let mut ids: Vec<i64> = journal.iter().filter_map(|entry| step_of(entry).ok()).map(|step| step.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Every request that arrived was intended before, each event has its outcome, and no intent stands without one.
pub fn recorded(state: &Path, journal: &[Entry]) -> Vec<String> {
    told(state, journal, true)
}

/// Every request that arrived was intended before.
pub fn intended(state: &Path, journal: &[Entry]) -> Vec<String> {
    told(state, journal, false)
}

fn told(state: &Path, journal: &[Entry], settled: bool) -> Vec<String> {
    let mut tries: BTreeMap<&str, usize> = BTreeMap::new();
    journal.iter().for_each(|entry| *tries.entry(delivery(&entry.key)).or_default() += 1);
    // A power cut before anything was noted leaves no state file, or an empty one.
    if tries.is_empty() {
        return Vec::new();
    }
    let look = |db: &Connection| -> rusqlite::Result<Vec<String>> {
        let mut wrong = Vec::new();
        let (Some(known), Some(log)) = (connector::find(db, "legacy")?, logs::find(db, "office")?) else {
            return Ok(tries.keys().map(|key| format!("{key} arrived and no connector is known")).collect());
        };
        for (key, arrived) in &tries {
            let Some(event) = event_of(key) else {
                wrong.push(format!("{key} names no event"));
                continue;
            };
            let lines = attempt::of_event(db, known.id, log, event)?;
            let intents = lines.iter().filter(|line| matches!(line, Line::Intent { .. })).count();
            let outcomes = lines.len() - intents;
            let delivered = |line: &Line| matches!(line, Line::Outcome { settled, .. } if settled.word.is_delivered());
            if intents < *arrived {
                wrong.push(format!("{key} arrived {arrived} times and was intended {intents} times"));
            }
            if settled && (outcomes < intents || !lines.iter().any(delivered)) {
                wrong.push(format!("{key}: {intents} intents, {outcomes} outcomes: {lines:?}"));
            }
        }
        Ok(wrong)
    };
    match StateReader::open(state).and_then(|mut state| state.read(look)) {
        Ok(wrong) => wrong,
        Err(error) => vec![error.to_string()],
    }
}
