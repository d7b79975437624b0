//! A target that was down is asked by the probe of its adapter's file before an event is tried at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{asked, office};
use crate::support::office::{Office, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::{End, Scenario, json};

const PROBED: &str = r#"
adapter: site
probe:
  request: {method: GET, url: "{base}/health"}
  expect:
    - {status: 200, json: {/up: true}, is: success}
    - {default: retry, note: it says that it is down}
push: {upsert: {request: {method: PUT, url: "{base}/{id}", json: {n: "{name}"}}}}
classify: [{default: standard}]
"#;

/// A target that is down until it is told otherwise: its health says so, and it takes no events (503).
fn down(target: &Receiver) -> Arc<AtomicBool> {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = up.clone();
    target.answer(move |entry| {
        let up = is_up.load(Ordering::SeqCst);
        match entry.path.as_str() {
            "/srv/health" => {
                Some(Scenario::answer("health", false, json(200, "", &format!("{{\"up\":{up}}}")), End::Keep))
            }
            _ if up => Some(Scenario::answer("ok", true, json(200, "", "{}"), End::Keep)),
            _ => Some(Scenario::status(503, "")),
        }
    });
    up
}

fn three(office: &Office) {
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 1), (2, 'Bea', 2), (3, 'Cy', 3)");
}

#[test]
fn while_a_target_is_down_only_its_probe_is_sent_and_no_event_until_that_is_answered_well() {
    let target = Receiver::start();
    let office = office(&target, PROBED, "");
    let up = down(&target);
    three(&office);
    let agent = office.agent();
    agent.says("the endpoint is down");
    let probes = |n: usize| {
        let health = |journal: &[crate::support::journal::Entry]| {
            asked(journal).iter().filter(|a| *a == "GET /srv/health").count() >= n
        };
        target.wait("it is asked", health)
    };
    let since = asked(&probes(1)).iter().position(|line| line == "GET /srv/health").unwrap();
    probes(2);
    office.sql("INSERT INTO visits VALUES (4, 'Di', 4)");
    let before = probes(4).len();
    let journal = target.journal();
    assert!(asked(&journal[since..before]).iter().all(|line| line == "GET /srv/health"), "{:#?}", asked(&journal));
    let reason = || office.run(&["--json", "status"]).stdout;
    wait("status says what the probe said", || reason().contains("it says that it is down"));
    up.store(true, Ordering::SeqCst);
    office.wait_settled("legacy");
    let journal = target.journal();
    let first = journal.iter().skip(before).position(|entry| entry.method == "PUT").unwrap() + before;
    let well = journal[..first].iter().rposition(|entry| entry.path == "/srv/health").unwrap();
    assert!(
        well > since && journal[well + 1..].iter().all(|entry| entry.method == "PUT" && entry.committed),
        "{:#?}",
        asked(&journal)
    );
    agent.stop();
    assert_eq!(journal.iter().filter(|entry| entry.committed).count(), 4);
}

#[test]
fn a_run_of_once_and_a_start_after_an_outage_ask_first() {
    let target = Receiver::start();
    let office = office(&target, PROBED, "");
    let up = down(&target);
    three(&office);
    assert_eq!(office.once().0, Some(75));
    let before = target.journal().len();
    assert_eq!(office.once().0, Some(75));
    let later = asked(&target.journal()[before..]);
    assert!(!later.is_empty() && later.iter().all(|line| line == "GET /srv/health"), "{later:?}");
    up.store(true, Ordering::SeqCst);
    let before = target.journal().len();
    wait("all is delivered", || office.once().0 == Some(0));
    assert_eq!(asked(&target.journal()[before..before + 1]), ["GET /srv/health"]);
    assert_eq!(target.journal().iter().filter(|entry| entry.committed).count(), 3);
}

#[test]
fn a_probe_that_is_answered_well_while_events_fail_lets_one_event_at_a_time_be_tried() {
    let target = Receiver::start();
    let office = office(&target, PROBED, "");
    target.answer(|entry| {
        Some(match entry.path.as_str() {
            "/srv/health" => Scenario::answer("health", false, json(200, "", "{\"up\":true}"), End::Keep),
            _ => Scenario::status(503, ""),
        })
    });
    three(&office);
    let agent = office.agent();
    agent.says("the endpoint is down");
    target.wait("it is asked often", |journal| journal.iter().filter(|entry| entry.path == "/srv/health").count() >= 3);
    agent.stop();
    let lines = asked(&target.journal());
    let first = lines.iter().position(|line| line == "GET /srv/health").unwrap();
    for pair in lines[first..].windows(2) {
        assert!(pair.iter().any(|line| line == "GET /srv/health"), "two events after one probe: {lines:#?}");
    }
    assert!(office.parked_words("legacy").iter().all(|word| word.starts_with("waiting")));
}
