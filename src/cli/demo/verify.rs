//! The checker: did everything that was committed arrive, exactly as committed, in order, and nothing else?
//!
//! It holds the clerk's own memory against the scheduler's journal. The agent's files are not asked.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::scheduler::Entry;
use super::truth::{Change, Step};

/// Everything that is wrong, one line each; none = every change arrived exactly as committed.
///
/// - For each record, what the scheduler carried out is what was committed, in that order, with that content.
/// - Calls with the same idempotency key are equal, and a key is carried out once.
pub fn verify(truth: &[Change], journal: &[Entry]) -> Vec<String> {
    let mut wrong = same_key_same_bytes(journal);
    let mut expected: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    for step in truth.iter().flat_map(Change::steps) {
        expected.entry(step.record).or_default().push(step);
    }
    let mut arrived: BTreeMap<i64, Vec<&Entry>> = BTreeMap::new();
    for entry in journal.iter().filter(|entry| entry.met.carried_out()) {
        arrived.entry(entry.record).or_default().push(entry);
    }
    let records: std::collections::BTreeSet<i64> = expected.keys().chain(arrived.keys()).copied().collect();
    for record in records {
        let steps = expected.get(&record).map(Vec::as_slice).unwrap_or_default();
        let entries = arrived.get(&record).map(Vec::as_slice).unwrap_or_default();
        for (at, (step, entry)) in steps.iter().zip(entries).enumerate() {
            if !is(entry, step) {
                wrong.push(format!("appointment {record}: arrival {} is not what was committed at that place", at + 1));
            }
        }
        if steps.len() > entries.len() {
            wrong.push(format!("appointment {record}: {} of {} changes arrived", entries.len(), steps.len()));
        }
        if entries.len() > steps.len() {
            let more = entries.len() - steps.len();
            wrong.push(format!("appointment {record}: {more} arrived that the clerk did not commit"));
        }
    }
    wrong
}

fn is(entry: &Entry, step: &Step) -> bool {
    match &step.now {
        Some(now) => {
            let body: Option<Value> = serde_json::from_slice(&entry.body).ok();
            entry.method == "PUT" && body.as_ref() == Some(&now.wanted())
        }
        None => entry.method == "DELETE" && entry.body.is_empty(),
    }
}

fn same_key_same_bytes(journal: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut first: HashMap<&str, &Entry> = HashMap::new();
    let mut done = HashSet::new();
    for entry in journal {
        if entry.key.is_empty() {
            wrong.push(format!("appointment {}: a call without an idempotency key", entry.record));
            continue;
        }
        let before = *first.entry(&entry.key).or_insert(entry);
        if (before.record, &before.method, &before.body) != (entry.record, &entry.method, &entry.body) {
            wrong.push(format!("appointment {}: one key, different calls", entry.record));
        }
        if entry.met.carried_out() && !done.insert(&entry.key) {
            wrong.push(format!("appointment {}: carried out twice under one key", entry.record));
        }
    }
    wrong
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::super::scheduler::Met;
    use super::super::truth::{Appointment, Edit};
    use super::*;

    fn appointment(starts: &str) -> Appointment {
        Appointment {
            patient: "Ada".into(),
            room: "1".into(),
            starts: starts.into(),
            minutes: 30,
            status: "booked".into(),
        }
    }

    fn change(edit: Edit) -> Change {
        Change { at: Instant::now(), edit }
    }

    fn put(key: &str, record: i64, starts: &str) -> Entry {
        let body = serde_json::to_vec(&appointment(starts).wanted()).unwrap();
        Entry { at: Instant::now(), record, method: "PUT".into(), key: key.into(), body, met: Met::Done }
    }

    fn delete(key: &str, record: i64) -> Entry {
        Entry { method: "DELETE".into(), body: Vec::new(), ..put(key, record, "") }
    }

    fn failed(met: Met, entry: &Entry) -> Entry {
        Entry { met, ..entry.clone() }
    }

    /// Booked at nine, moved to ten, renumbered; another one booked and cancelled.
    fn truth() -> Vec<Change> {
        vec![
            change(Edit::Set(1, appointment("09:00"))),
            change(Edit::Set(2, appointment("11:00"))),
            change(Edit::Set(1, appointment("10:00"))),
            change(Edit::Renumbered(1, 3, appointment("10:00"))),
            change(Edit::Gone(2)),
        ]
    }

    fn journal() -> Vec<Entry> {
        vec![
            put("k2", 2, "11:00"),
            put("k1", 1, "09:00"),
            put("k3", 1, "10:00"),
            delete("k5", 2),
            delete("k4-a", 1),
            put("k4-b", 3, "10:00"),
        ]
    }

    fn says(journal: &[Entry], what: &str) {
        let wrong = verify(&truth(), journal);
        assert!(wrong.iter().any(|line| line.contains(what)), "expected `{what}`, got {wrong:?}");
    }

    #[test]
    fn all_is_well_when_each_record_went_the_committed_way_even_with_repeats_and_failures() {
        assert_eq!(verify(&truth(), &journal()), Vec::<String>::new());
        let mut repeated = journal();
        repeated.insert(0, failed(Met::Busy, &journal()[0]));
        repeated.insert(0, failed(Met::Refused, &journal()[1]));
        repeated.push(failed(Met::Again, &journal()[2]));
        assert_eq!(verify(&truth(), &repeated), Vec::<String>::new());
    }

    #[test]
    fn a_change_that_never_arrived_is_found() {
        for lost in 0..journal().len() {
            let mut journal = journal();
            journal.remove(lost);
            assert!(!verify(&truth(), &journal).is_empty(), "arrival {lost} was not missed");
        }
        says(&journal()[..5], "appointment 3: 0 of 1 changes arrived");
    }

    #[test]
    fn a_refused_change_has_not_arrived() {
        let mut journal = journal();
        journal[5].met = Met::Refused;
        says(&journal, "appointment 3: 0 of 1");
    }

    #[test]
    fn changes_of_one_record_in_the_wrong_order_are_found_and_of_two_records_are_not_looked_at() {
        let mut wrong = journal();
        wrong.swap(1, 2);
        says(&wrong, "appointment 1: arrival 1");
        let mut fine = journal();
        fine.swap(0, 1);
        assert_eq!(verify(&truth(), &fine), Vec::<String>::new());
    }

    #[test]
    fn other_content_is_found() {
        let mut journal = journal();
        journal[5] = put("k4-b", 3, "10:30");
        says(&journal, "appointment 3: arrival 1");
    }

    #[test]
    fn what_nobody_committed_is_found() {
        let mut journal = journal();
        journal.push(put("k9", 3, "12:00"));
        says(&journal, "appointment 3: 1 arrived that the clerk did not commit");
        journal.push(put("k10", 7, "12:00"));
        says(&journal, "appointment 7: 1 arrived");
    }

    #[test]
    fn one_key_with_other_bytes_or_carried_out_twice_or_missing_is_found() {
        let mut other = journal();
        other.push(failed(Met::Again, &put("k3", 1, "10:05")));
        says(&other, "one key, different calls");
        let mut twice = journal();
        twice.push(journal()[3].clone());
        says(&twice, "carried out twice");
        let mut bare = journal();
        bare[0].key.clear();
        says(&bare, "without an idempotency key");
    }
}
