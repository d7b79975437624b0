//! What may be pushed, and what becomes of it.

use std::sync::{Arc, Mutex};

use hms_sync::{Agent, Interest, PushError, json};

use super::{calendar, office, open, pushed, run};
use crate::support::journal::committed;
use crate::support::loopback::Way;
use crate::support::office::{THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// A connector whose way out is a file.
const NIGHTLY: &str = r#"
adapter: directory
listen: pushed-only
drop:
  schedule: {cut_off: "02:00", zone: UTC}
  format: {kind: csv, columns: [{field: id, type: text}, {field: name, type: text}]}
  name: "VISITS_{bus_date:%Y%m%d}_{seq:06}.txt"
  deliver: {directory: /nowhere}
"#;

#[test]
fn what_cannot_be_pushed_says_why_and_is_not_stored_and_the_rest_of_the_event_is() {
    let target = Receiver::start();
    let office = office(&target);
    office.connector("nightly", NIGHTLY);
    let refusals: Arc<Mutex<Vec<PushError>>> = Arc::default();
    let told = refusals.clone();
    let good = target.url("/elsewhere/7?x=1");
    let agent = open(&office).on_change("visits", move |_, sync| {
        let large = "x".repeat(2 << 20);
        let tries = [
            sync.push("calender", "", json!({"id": 1})),
            sync.push("nightly", "", json!({"id": 1})),
            sync.push("calendar", "https://127.0.0.2/calendar", json!({"id": 1})),
            sync.push("calendar", "https://user:secret@127.0.0.1/", json!({"id": 1})),
            sync.push("calendar", "/a/../admin", json!({"id": 1})),
            sync.push("calendar", "/a/%2E%2e/admin", json!({"id": 1})),
            sync.push("calendar", "/a b", json!({"id": 1})),
            sync.push("calendar", "//evil.example/x", json!({"id": 1})),
            sync.push("calendar", "calendar", json!({"id": 1})),
            sync.push("calendar", "", json!([1])),
            sync.push("calendar", "", json!({ "id": large })),
        ];
        let mut told = told.lock().unwrap();
        told.extend(tries.into_iter().filter_map(|tried| tried.err().and_then(|error| error.push().cloned())));
        sync.push("calendar", &good, json!({"id": 1}))?;
        sync.push("calendar", "/calendar/path", json!({"id": 2}))
    });
    let running = run(&office, agent);
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10)");
    let journal = target.wait("the good ones arrive", |journal| committed(journal) == 2);
    running.stop();
    let mut paths: Vec<&str> = journal.iter().map(|entry| entry.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/calendar/path", "/elsewhere/7?x=1"]);
    let said: Vec<String> = refusals.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 11, "{said:#?}");
    assert!(said[0].contains("no connector `calender` is configured") && said[0].contains("calendar"), "{}", said[0]);
    assert!(said[0].contains("scaffold connector"), "{}", said[0]);
    assert!(said[1].contains("file drop") && said[2].contains("make a connector for that host"), "{said:#?}");
    assert!(said.iter().all(|text| !text.contains("secret") && !text.contains("admin")), "{said:#?}");
    assert!(matches!(refusals.lock().unwrap()[10], PushError::TooLarge { size } if size > 2 << 20));
}

#[test]
fn a_push_goes_through_the_gate_and_the_handler_does_not_wait_for_it() {
    let target = Receiver::start();
    let office = office(&target);
    office.add_settings("governance: {classify: {visits: {name: phi}}, default: public}");
    let agent = || {
        open(&office).on_change("visits", |event, sync| {
            let field = if event.get("id") == 1 { "name" } else { "note" };
            sync.push("calendar", "", json!({ "id": event.get("id"), field: "x" }))
        })
    };
    agent().run_once().unwrap();
    office.sql(THREE);
    let drained = agent().run_once().unwrap();
    assert_eq!((drained.handled, drained.delivered, drained.stuck), (3, 2, 1));
    assert_eq!(office.parked_words("calendar"), ["held gate"]);
    let reason = office.parked("calendar")[0].reason.text.to_string();
    assert!(reason.contains("rule `phi`: field `name` of `visits`"), "{reason}");
    // The push is kept as it was made: what changes the policy releases it.
    calendar(&office, &target, "allow: [phi, public]");
    let drained = agent().run_once().unwrap();
    assert_eq!((drained.delivered, drained.stuck), (1, 0));
    assert_eq!(pushed(&target.journal()), [1, 2, 3]);
}

#[test]
fn a_push_outlives_an_outage_and_a_restart_under_one_key_and_a_404_is_its_own() {
    let target = Receiver::start();
    let office = office(&target);
    let agent = || {
        open(&office).on_change("visits", |event, sync| {
            sync.push("calendar", format!("/of/{}", event.get("id")), json!({ "id": event.get("id") }))
        })
    };
    agent().run_once().unwrap();
    target.close();
    office.sql(THREE);
    let drained = agent().run_once().unwrap();
    assert_eq!((drained.handled, drained.delivered, drained.left_off.len()), (3, 0, 1), "{drained:?}");
    assert!(!drained.is_complete());
    target.reopen();
    // The first that arrives is taken and its answer lost.
    target.next(Scenario::named("commit_rst"));
    target.meet(|entry| (entry.path == "/of/2").then(|| Scenario::named("status_404")));
    wait("it is done", || {
        let drained = agent().run_once().unwrap();
        drained.waiting == 0 && drained.left_off.is_empty()
    });
    // The URL names a record that is not there: that holds nobody else up.
    assert_eq!(office.parked_words("calendar"), ["dead http-404"]);
    let journal = target.journal();
    for path in ["/of/1", "/of/3"] {
        let keys: std::collections::HashSet<_> =
            journal.iter().filter(|entry| entry.path == path).map(|entry| &entry.key).collect();
        assert_eq!(keys.len(), 1, "{path}");
    }
}

#[test]
fn handlers_hear_posted_events_and_never_what_is_pushed() {
    let target = Receiver::start();
    let office = office(&target);
    let agent = open(&office).on_change(Interest::in_types(["*"]), |event, sync| {
        sync.push("calendar", "", json!({ "id": event.get("id"), "kind": event.kind }))
    });
    let running = run(&office, agent);
    let way = Way::socket(&office);
    for id in 1..=3 {
        let answer = way.post("/sync", &format!(r#"{{"type":"rule-changed","payload":{{"id":{id}}}}}"#));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    office.sql("INSERT INTO visits VALUES (4, 'Di', 40)");
    target.wait("all arrive", |journal| committed(journal) == 4);
    let settled = || super::status(&office, "on_change:*")["queued"] == 0;
    wait("nothing is left to hear", settled);
    running.stop();
    assert_eq!(committed(&target.journal()), 4, "a push is no event to be pushed for");
}

#[test]
fn a_handler_that_is_set_back_pushes_nothing_twice_unless_it_pushes_something_else() {
    let target = Receiver::start();
    let office = office(&target);
    let agent = |text: &'static str| -> Agent {
        open(&office).on_change("visits", move |event, sync| {
            sync.push("calendar", "", json!({ "id": event.get("id"), "text": text }))
        })
    };
    agent("a").run_once().unwrap();
    office.sql(THREE);
    assert_eq!(agent("a").run_once().unwrap().delivered, 3);
    let replay = || {
        let ended = office.run(&["replay", "--from", "1", "--connector", "on_change:visits"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    replay();
    let drained = agent("a").run_once().unwrap();
    assert_eq!((drained.handled, drained.delivered), (3, 0));
    replay();
    let drained = agent("b").run_once().unwrap();
    assert_eq!((drained.handled, drained.delivered), (3, 3));
    assert_eq!(committed(&target.journal()), 6);
}
