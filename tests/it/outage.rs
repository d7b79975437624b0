//! Endpoints that are down and targets that refuse everything: the breaker, the halt, and what they cost.

use std::collections::BTreeMap;

use hms_sync::store::state::attempt::Line;
use hms_sync::store::state::connector::{self, Mode, OpenBreaker};
use rusqlite::Connection;

use crate::support::journal::committed;
use crate::support::office::{Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

fn breaker(office: &Office, name: &str) -> Option<OpenBreaker> {
    office
        .reader()
        .read(|db| {
            let known = connector::find(db, name)?.unwrap();
            connector::any_breaker(db, known.id)
        })
        .unwrap()
}

/// A connector whose delays are these.
fn configure(office: &Office, name: &str, target: &Receiver, retry: &str, more: &str) {
    let (url, ca) = (target.url("/visits/{id}"), target.ca.file());
    let endpoint = format!("url: \"{url}\", method: PUT, tls: {{ca: \"{}\"}}", ca.display());
    office.connector(name, &format!("target: {{{endpoint}}}\nstart: beginning\nretryPolicy: {{{retry}}}\n{more}\n"));
}

/// Rows of each table of the state file, apart from the picture that reconcile compares with, which follows the log
/// whether anything is delivered or not.
fn rows(office: &Office) -> BTreeMap<String, i64> {
    let state = Connection::open(office.state()).unwrap();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'shadow%' AND name <> 'trail' \
         AND name NOT LIKE 'sqlite%'";
    let names: Vec<String> =
        state.prepare(tables).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    // What a look for alerts notes, once, is about no event.
    let events = |name: &str| if name == "meta" { "k NOT LIKE 'alert/%' AND k NOT LIKE 'shown/%'" } else { "true" };
    let count = |name: &str| {
        let sql = format!("SELECT count(*) FROM {name} WHERE {}", events(name));
        state.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    names.into_iter().map(|name| (name.clone(), count(&name))).collect()
}

#[test]
fn an_outage_writes_nothing_for_the_thousand_events_that_come_in_and_uses_none_of_their_attempts() {
    let (target, other) = (Receiver::start(), Receiver::start());
    let office = Office::new(
        "CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, minutes); CREATE TABLE calls(id INTEGER PRIMARY KEY);",
    );
    office.settings("visits: {}, calls: {}");
    configure(&office, "legacy", &target, "backoff: 20ms, maxBackoff: 200ms, maxAttempts: 1", "listen: visits");
    configure(&office, "other", &other, "backoff: 20ms", "listen: calls");
    for table in ["visits", "calls"] {
        assert_eq!(office.run(&["watch", table]).code, Some(0));
    }
    office.sql(THREE);
    target.close();
    let agent = office.agent();
    agent.says("legacy: the endpoint is down");
    // The first look through the state file notes its time, once.
    agent.says("the state file is whole");
    office.sql("INSERT INTO calls VALUES (1)");
    other.wait("the other endpoint is served", |journal| committed(journal) == 1);
    wait("its delivery is recorded", || office.cursor("other") == office.highest());
    let (before, probes, cursor) =
        (rows(&office), breaker(&office, "legacy").unwrap().failures, office.cursor("legacy"));
    for _ in 0..10 {
        office.sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             INSERT INTO visits SELECT i, 'x', i FROM n WHERE true ON CONFLICT(id) DO UPDATE SET minutes = minutes + 1",
        );
    }
    office.sql("INSERT INTO calls VALUES (2)");
    other.wait("the other endpoint is served", |journal| committed(journal) == 2);
    wait("its delivery is recorded", || office.cursor("other") == office.highest());
    wait("the endpoint was asked again", || breaker(&office, "legacy").unwrap().failures > probes);
    let mut after = rows(&office);
    // A probe is an intent and an outcome; so is the delivery of the other connector.
    let asked = i64::from(breaker(&office, "legacy").unwrap().failures - probes) + 1;
    let noted = after["attempt"] - before["attempt"];
    assert!(noted <= 2 * asked + 2, "{noted} rows for {asked} probes");
    after.insert("attempt".into(), before["attempt"]);
    assert_eq!(before, after, "nothing was written for an event that waits");
    assert_eq!((office.cursor("legacy"), office.parked_words("legacy")), (cursor, Vec::new()));
    target.reopen();
    agent.says("legacy: the endpoint is back");
    office.wait_settled("legacy");
    agent.stop();
    assert_eq!(committed(&target.journal()), 1003);
    office.judge("legacy", &target);
}

#[test]
fn an_outage_writes_nothing_for_changes_that_would_wait_behind_a_record_that_failed_before() {
    let (target, other) = (Receiver::start(), Receiver::start());
    target.meet(|_| Some(Scenario::named("status_503")));
    let office = Office::with(&target, "", "");
    office.rest("other", &other, "");
    for id in 1..=8 {
        office.sql(&format!("INSERT INTO visits VALUES ({id}, 'x', 0)"));
    }
    let agent = office.agent();
    agent.says("legacy: the endpoint is down");
    other.wait("the other endpoint is served", |journal| committed(journal) == 8);
    for _ in 0..50 {
        office.sql("UPDATE visits SET minutes = minutes + 1");
    }
    other.wait("the other endpoint is served", |journal| committed(journal) == 408);
    agent.stop();
    let parked = office.parked_words("legacy");
    assert!(parked.len() <= 16, "those that failed before it opened, and no more: {parked:?}");
    target.behave();
    wait("everything arrives", || office.once().0 == Some(0));
    office.judge("legacy", &target);
}

#[test]
fn an_endpoint_that_is_down_is_asked_by_one_request_at_a_time() {
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("status_503")));
    let office = Office::with(&target, "concurrency: 8", "");
    for id in 1..=40 {
        office.sql(&format!("INSERT INTO visits VALUES ({id}, 'x', 0)"));
    }
    assert_eq!(office.once().0, Some(75));
    let opened = breaker(&office, "legacy").unwrap();
    for probe in 1..=5 {
        let before = target.journal().len();
        wait("the next probe", || {
            office.once();
            target.journal().len() > before
        });
        assert_eq!(target.journal().len(), before + 1, "a probe is one request");
        assert_eq!(breaker(&office, "legacy").unwrap().failures, opened.failures + probe);
    }
    target.behave();
    wait("everything arrives", || office.once().0 == Some(0));
    assert_eq!((committed(&target.journal()), breaker(&office, "legacy")), (40, None));
    office.judge("legacy", &target);
}

#[test]
fn an_endpoint_that_is_back_gets_one_request_more_with_each_that_it_took_and_not_all_at_once() {
    let (target, other) = (Receiver::start(), Receiver::start());
    let office = Office::with(&target, "concurrency: 16", "");
    office.rest("other", &other, "");
    target.close();
    let agent = office.agent();
    for id in 1..=40 {
        office.sql(&format!("INSERT INTO visits VALUES ({id}, 'x', 0)"));
    }
    agent.says("legacy: the endpoint is down");
    other.wait("the other endpoint is served", |journal| committed(journal) == 40);
    // The probe and three more are answered, the others are not: what is under way then is what may be at once.
    let answered = std::sync::atomic::AtomicUsize::new(0);
    target.meet(move |_| {
        let number = answered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        (number >= 4).then(|| Scenario::named("hang"))
    });
    target.reopen();
    target.wait("the endpoint gets what it may", |journal| journal.len() == 4 + 4);
    office.sql("INSERT INTO visits VALUES (99, 'x', 0)");
    other.wait("the other endpoint is served", |journal| committed(journal) == 41);
    assert_eq!(target.journal().len(), 4 + 4, "after four successes four may be under way");
    agent.kill();
    target.behave();
    wait("everything arrives", || office.once().0 == Some(0));
    office.judge("legacy", &target);
    office.judge("other", &other);
}

#[test]
fn an_open_breaker_outlives_a_kill_and_an_endpoint_that_is_back_is_not_asked_before_its_time() {
    let target = Receiver::start();
    let office = Office::visits();
    configure(&office, "legacy", &target, "backoff: 60s, maxBackoff: 60s", "concurrency: 8");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    for id in 1..=10 {
        office.sql(&format!("INSERT INTO visits VALUES ({id}, 'x', 0)"));
    }
    target.close();
    let agent = office.agent();
    agent.says("the endpoint is down");
    wait("it is stored", || breaker(&office, "legacy").is_some());
    agent.kill();
    let kept = breaker(&office, "legacy").unwrap();
    target.reopen();
    let connections = target.connections();
    let (code, summary) = office.once();
    assert_eq!((code, summary["delivered"].as_i64()), (Some(75), Some(0)), "{summary}");
    assert!(summary["leftOff"][0].as_str().unwrap().contains("connect"), "{summary}");
    assert_eq!((target.connections(), breaker(&office, "legacy")), (connections, Some(kept)));
}

#[test]
fn a_breaker_is_of_one_connector_and_one_endpoint() {
    let (down, target) = (Receiver::start(), Receiver::start());
    down.close();
    let office = Office::visits();
    for name in ["legacy", "twin"] {
        configure(&office, name, &down, "backoff: 60s, maxBackoff: 60s", "");
    }
    configure(&office, "other", &target, "backoff: 60s, maxBackoff: 60s", "");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    for id in 1..=10 {
        office.sql(&format!("INSERT INTO visits VALUES ({id}, 'x', 0)"));
    }
    let agent = office.agent();
    agent.says("legacy: the endpoint is down");
    agent.says("twin: the endpoint is down");
    target.wait("the other endpoint is served", |journal| committed(journal) == 10);
    // Another endpoint is not kept waiting by the one that is down, and nothing speaks of that any more.
    configure(&office, "legacy", &target, "backoff: 60s, maxBackoff: 60s", "");
    agent.signal(rustix::process::Signal::HUP);
    agent.says("reloaded");
    office.wait_settled("legacy");
    wait("it is forgotten", || breaker(&office, "legacy").is_none());
    assert!(breaker(&office, "twin").is_some());
    agent.stop();
}

#[test]
fn five_refusals_in_a_row_of_different_records_halt_the_connector_instead_of_emptying_the_outbox() {
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("refused")));
    let office = Office::with(
        &target,
        "",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO visits SELECT i, 'x', i FROM n",
    );
    let agent = office.agent();
    agent.says("halted: refusals");
    agent.stop();
    let (mode, reason) = office.mode("legacy");
    assert_eq!((mode, reason.unwrap().class.as_ref()), (Mode::Halted, "refusals"));
    let dead = office.parked_words("legacy");
    // Those that were under way when the fifth was refused are refused too.
    assert!((5..=40).contains(&dead.len()) && dead.iter().all(|word| word == "dead http-422"), "{dead:?}");
    assert_eq!(target.journal().len(), dead.len());
    office.judge("legacy", &target);
    target.behave();
    let ended = office.run(&["deliveries", "retry", "--connector", "legacy", "--state", "dead"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(office.once().0, Some(0), "none of them is lost");
    assert_eq!(committed(&target.journal()), 200);
    office.judge("legacy", &target);
}

#[test]
fn a_halt_reaches_what_is_about_to_be_sent_and_what_it_takes_back_is_noted_as_unsent() {
    for round in 0..8 {
        let target = Receiver::start();
        let taken = std::sync::atomic::AtomicUsize::new(0);
        let most = 100 + 7 * round;
        target.meet(move |_| {
            let number = taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            (number >= most).then(|| Scenario::named("status_403"))
        });
        let office = Office::with(
            &target,
            "",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) INSERT INTO visits SELECT i, 'x', i FROM n",
        );
        let agent = office.agent();
        agent.says("halted: http-403");
        agent.stop();
        let refused = target.journal().len() - most;
        assert!(refused <= 4, "{refused} requests were refused: one for each of four lanes and no more");
        office.judge("legacy", &target);
    }
}

#[test]
fn a_delivery_that_was_under_way_when_the_connector_halted_does_not_end_the_halt() {
    let target = Receiver::start();
    let first = std::sync::atomic::AtomicBool::new(true);
    target.meet(move |_| {
        let first = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        Some(Scenario::named(if first { "ok_late" } else { "status_403" }))
    });
    let office = Office::visits();
    configure(&office, "legacy", &target, "", "concurrency: 2");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO visits SELECT i, 'x', i FROM n");
    let agent = office.agent();
    agent.says("halted: http-403");
    target.let_go();
    wait("the late answer is noted", || {
        office
            .attempts("legacy", &office.events())
            .values()
            .flatten()
            .any(|line| matches!(line, Line::Outcome { settled, .. } if settled.word.is_delivered()))
    });
    agent.stop();
    assert_eq!((target.journal().len(), office.mode("legacy").0), (2, Mode::Halted));
    target.behave();
    assert_eq!((office.once().0, office.mode("legacy").0), (Some(0), Mode::Running));
    office.judge("legacy", &target);
}

#[test]
fn a_halted_connector_tries_one_event_when_it_looks_again_and_uses_up_no_attempt() {
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("status_403")));
    let office = Office::visits();
    configure(&office, "legacy", &target, "backoff: 20ms, maxAttempts: 1", "concurrency: 1");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(THREE);
    let agent = office.agent();
    agent.says("halted: http-403");
    for tries in 2..=4 {
        assert_eq!(office.run(&["sync", "legacy"]).code, Some(0));
        target.wait("it looks again", |journal| journal.len() == tries);
    }
    office.sql("UPDATE visits SET minutes = 1");
    agent.stop();
    assert_eq!((target.journal().len(), office.parked_words("legacy")), (4, Vec::new()));
    target.behave();
    assert_eq!((office.once().0, office.mode("legacy").0), (Some(0), Mode::Running));
    let events = office.events();
    let attempts = office.attempts("legacy", &events);
    assert!(attempts.values().all(|lines| matches!(lines.last(), Some(Line::Outcome { .. }))));
    office.judge("legacy", &target);
}
