//! Conflicts: what both sides of a record have changed is kept, shown to who may see it, and decided by a person.
//!
//! What is held is written here by the same functions by which the engine writes it.

mod calls;
mod checked;
mod page;

use std::collections::BTreeMap;
use std::sync::Arc;

use hms_sync::clock::{Timestamp, now};
use hms_sync::event::{Record, Value};
use hms_sync::rules::conflict::{Base, Policy, Side, Sides, Span, Times, decide};
use hms_sync::store::state::conflict::{Entry, Knowing, Subject, find, resolutions, settle};
use hms_sync::store::state::{State, connector};

use crate::support::office::Office;
use crate::support::receiver::Receiver;

const KEY: &str = r#"{"id":1}"#;

fn visit(name: &str, minutes: i64) -> Record {
    [("name", Value::from(name)), ("minutes", Value::Integer(minutes))].into_iter().collect()
}

/// Both sides have changed visit 1: here it is Ada L., there Ada B.; no rule is about it. Nobody may hold the state file.
fn dispute(office: &Office, remote: Option<&Record>) {
    let (base, local) = (visit("Ada", 10), visit("Ada L.", 10));
    let fields: Vec<Arc<str>> = vec!["name".into(), "minutes".into()];
    let at = Timestamp(now().0 - 60_000);
    let changed: BTreeMap<Arc<str>, Span> = [("name".into(), Span { first: at, last: at })].into_iter().collect();
    let sides = Sides {
        base: Some(Base { local: &base, remote: &base }),
        local: Side {
            image: Some(&local),
            times: Times::Fields { changed: &changed, deleted: None },
            trusted: true,
            names: &[],
        },
        remote: Side { image: remote, times: Times::Record(Some(at)), trusted: true, names: &["legacy"] },
        fields: &fields,
        now: now(),
        resolved: &[],
        barred: false,
        round: false,
    };
    let verdict = decide(&Policy::none("visits"), &sides);
    assert_eq!(verdict.held.len(), 1, "{verdict:?}");
    let mut state = State::open(&office.state()).unwrap();
    state
        .commit(|db| {
            let connector = connector::remember(db, "legacy")?.0.id;
            settle(
                db,
                &Subject { connector, table: "visits", kind: "visits", key: KEY },
                &verdict,
                &Knowing::default(),
                now(),
            )
        })
        .unwrap();
}

/// An office that has run, and in which visit 1 is disputed.
fn disputed(target: &Receiver) -> Office {
    let office = Office::with(target, "", "INSERT INTO visits VALUES (1, 'Ada L.', 10)");
    assert_eq!(office.once().0, Some(0));
    dispute(&office, Some(&visit("Ada B.", 10)));
    office
}

fn entry(office: &Office) -> Entry {
    office.reader().read(|db| find(db, 1)).unwrap().expect("it is kept")
}

/// What a person has decided, as the engine will hear it.
fn told(office: &Office) -> usize {
    let read = |db: &hms_sync::store::state::Db| {
        let known = connector::find(db, "legacy")?.expect("it has run");
        resolutions(db, known.id, "visits", KEY)
    };
    office.reader().read(read).unwrap().len()
}

#[test]
fn what_waits_is_listed_and_shown_with_both_sides_and_status_asks_for_a_person() {
    let target = Receiver::start();
    let office = disputed(&target);
    let list = office.run(&["conflicts", "list"]);
    assert_eq!(list.code, Some(0), "{list:?}");
    for word in ["legacy", "visits", "name", "open", "no rule is about it"] {
        assert!(list.stdout.contains(word), "{word}: {}", list.stdout);
    }
    assert!(!list.stdout.contains("Ada"), "no value in a list: {}", list.stdout);
    let shown = office.run(&["conflicts", "show", "1"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for word in ["Ada\"", "Ada L.", "Ada B.", "(of the record)", "conflicts resolve 1 --take"] {
        assert!(shown.stdout.contains(word), "{word}: {}", shown.stdout);
    }
    let status = office.run(&["status"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(status.stdout.contains("legacy: 1 conflict waits for a person"), "{}", status.stdout);
    let record = office.run(&["status", "visits", "1"]);
    assert!(record.stdout.contains("conflict 1 with legacy about name: open"), "{record:?}");

    let json = |line: &[&str]| -> serde_json::Value {
        serde_json::from_str(&office.run(&[&["--json"], line].concat()).stdout).unwrap()
    };
    let listed = json(&["conflicts", "list"]);
    assert_eq!((&listed[0]["id"], &listed[0]["key"]["id"]), (&1.into(), &1.into()));
    assert!(listed[0]["values"].is_null(), "{listed}");
    assert_eq!(json(&["conflicts", "show", "1"])[0]["values"]["remote"]["values"]["name"], "Ada B.");
    assert_eq!(json(&["status", "visits", "1"])["conflicts"][0]["id"], 1);
    assert_eq!(json(&["conflicts", "list", "--state", "decided"]).as_array().map(Vec::len), Some(0));
    assert_eq!(
        json(&["conflicts", "list", "--state", "all", "--connector", "legacy"]).as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn a_decision_is_kept_and_audited_with_an_agent_and_without_one() {
    for running in [false, true] {
        let target = Receiver::start();
        let office = disputed(&target);
        let agent = running.then(|| office.agent());
        let done = office.run(&["conflicts", "resolve", "1", "--take", "remote", "--reason", "they called her"]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), "legacy conflict 1\n"), "{done:?}");
        let kept = entry(&office);
        assert_eq!((kept.state.as_str(), kept.take.as_deref()), ("resolved", Some("remote")));
        assert_eq!(kept.why.as_deref(), Some("they called her"));
        assert_eq!(told(&office), 1);
        // Until it is carried out it may be taken back by another decision.
        let done = office.run(&["conflicts", "resolve", "1", "--take", "\"Ada C.\"", "--reason", "asked her"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(entry(&office).value.unwrap().get("name"), Some(&"Ada C.".into()));
        let status = office.run(&["status"]);
        assert!(!status.stdout.contains("legacy: 1 conflict waits"), "{}", status.stdout);
        agent.into_iter().for_each(|agent| agent.stop());
        let audit = office.run(&["audit", "show"]);
        assert!(audit.stdout.contains("resolve") && audit.stdout.contains("they called her"), "{}", audit.stdout);
        assert!(!audit.stdout.contains("Ada"), "no value in the audit: {}", audit.stdout);
        assert_eq!(office.run(&["audit", "verify"]).code, Some(0));
    }
}

#[test]
fn what_cannot_be_decided_is_refused_with_65_in_the_same_words_with_an_agent_and_without_one() {
    let target = Receiver::start();
    let office = disputed(&target);
    let tries: [(&[&str], i32, &str); 6] = [
        (&["resolve", "7", "--take", "local"], 65, "there is none of this number"),
        (&["resolve", "1", "--take", "locl"], 65, "take `local`, `remote`, or a value as JSON"),
        (&["resolve", "1", "--take", "[1, 2]"], 65, "no column can hold this value"),
        (&["resolve", "1"], 2, "--take"),
        (&["show", "7"], 69, "no such conflict"),
        (&["list", "--state", "opn"], 2, "there are open, resolved"),
    ];
    let ask = || {
        tries.map(|(line, code, words)| {
            let said = office.run(&[&["conflicts"], line].concat());
            assert_eq!(said.code, Some(code), "{line:?}: {said:?}");
            assert!(said.stderr.contains(words), "{line:?}: {said:?}");
            said.stderr
        })
    };
    let without = ask();
    let agent = office.agent();
    assert_eq!(ask(), without);
    agent.stop();
    assert_eq!(entry(&office).state.as_str(), "open");
}

#[test]
fn values_that_views_may_not_show_are_masked_everywhere() {
    let target = Receiver::start();
    let office = disputed(&target);
    office.add_settings("governance: {classify: {visits: {name: phi}}, default: public, views: {allow: [public]}}");
    for line in [&["conflicts", "show", "1"][..], &["--json", "conflicts", "show", "1"], &["conflicts", "list"]] {
        let said = office.run(line);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(!said.stdout.contains("Ada"), "{line:?}: {}", said.stdout);
    }
    assert!(office.run(&["conflicts", "show", "1"]).stdout.contains("***"));
}

#[test]
fn a_deletion_against_a_change_is_decided_as_a_whole() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada L.', 10)");
    assert_eq!(office.once().0, Some(0));
    dispute(&office, None);
    let shown = office.run(&["conflicts", "show", "1"]).stdout;
    assert!(shown.contains("the whole record") && shown.contains("remote         deleted"), "{shown}");
    assert_eq!(office.run(&["conflicts", "resolve", "1", "--take", "{\"room\": 3}"]).code, Some(65));
    assert_eq!(office.run(&["conflicts", "resolve", "1", "--take", "{\"name\": \"Ada\"}"]).code, Some(0));
    assert_eq!(entry(&office).take.as_deref(), Some("value"));
}

#[test]
fn before_the_agent_has_ever_run_there_are_none() {
    let office = Office::visits();
    let list = office.run(&["conflicts", "list"]);
    assert_eq!((list.code, list.stdout.as_str()), (Some(0), "no conflict waits for a person\n"), "{list:?}");
    assert_eq!(office.run(&["--json", "conflicts", "list"]).stdout.trim(), "[]");
    assert_eq!(office.run(&["conflicts", "show", "1"]).code, Some(69));
}
