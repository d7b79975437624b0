//! The fault matrix through the shipped binary: each row of the tables of transport and answers is met by a running
//! agent and comes to the outcome that `docs/QUEUE.md` states. After every run the whole journal is judged.
//!
//! `transport.rs`, `answers.rs` and `credentials.rs` have the same rows for a lane alone, with the class of each failure.

use std::sync::Arc;

use hms_sync::store::state::attempt::Line;
use hms_sync::store::state::connector::Mode;

use crate::support::ca::{Ca, Leaf};
use crate::support::journal::{all_the_same, at, committed};
use crate::support::office::{Office, RETRY, wait};
use crate::support::receiver::{Door, Receiver};
use crate::support::scenario::{End, Scenario, json};

/// One visit, delivered; a whole call may take a second.
fn office(target: &Receiver, path: &str) -> Office {
    let office = Office::visits();
    configure(&office, target, path);
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 0)");
    assert_eq!(office.once().0, Some(0));
    office
}

fn configure(office: &Office, target: &Receiver, path: &str) {
    let (url, ca) = (target.url(path), target.ca.file());
    let endpoint = format!("url: \"{url}\", method: PUT, timeout: 1s, tls: {{ca: \"{}\"}}", ca.display());
    office.connector("legacy", &format!("target: {{{endpoint}}}\nstart: beginning\n{RETRY}\n"));
}

/// Makes a change, meets the fault with it, and makes another change that waits behind it.
fn meets(office: &Office, target: &Receiver, round: usize, fault: impl Fn()) -> (usize, serde_json::Value) {
    let before = target.journal().len();
    fault();
    office.sql(&format!("UPDATE visits SET minutes = {round}"));
    let (code, summary) = office.once();
    assert_eq!((code, summary["delivered"].as_i64()), (Some(75), Some(0)), "{round}: {summary}");
    (before, summary)
}

/// RETRY: nothing is parked for good, every attempt is noted with this word, and when the fault is over the same bytes
/// go under the same key.
fn is_retried(office: &Office, target: &Receiver, round: usize, name: &str, word: &str, fault: impl Fn()) {
    let (before, _) = meets(office, target, round, fault);
    let words = office.outcomes_of_the_last("legacy");
    assert!(!words.is_empty() && words.iter().all(|said| said.starts_with(word)), "{name}: {words:?}");
    assert!(!office.parked_words("legacy").iter().any(|said| !said.starts_with("waiting")), "{name}");
    target.door(Door::Tls(Leaf::Good));
    target.behave();
    wait(name, || office.once().0 == Some(0));
    let journal = target.journal();
    // Of a request that was cut short the target has seen the head only.
    let entries: Vec<_> = journal[before..].iter().filter(|entry| entry.scenario != "rst_mid_request").collect();
    assert!(entries.last().is_some_and(|entry| entry.committed), "{name}: {entries:#?}");
    assert!(all_the_same(entries.iter().copied()), "{name}: {entries:#?}");
}

#[test]
fn a_connection_that_fails_is_retried_with_the_same_key_and_bytes() {
    let target = Receiver::start();
    let office = office(&target, "/visits/{id}");
    let doors = [
        ("reset before the request", "retry reset", Door::Reset),
        ("closed in the handshake", "retry closed", Door::CloseInHandshake),
        ("stalled handshake", "retry timeout", Door::Stall),
    ];
    for (round, (name, word, door)) in (1..).zip(doors) {
        is_retried(&office, &target, round, name, word, || target.door(door.clone()));
    }
    let (before, _) = meets(&office, &target, 10, || target.close());
    assert!(office.outcomes_of_the_last("legacy").iter().all(|word| word == "retry connect"));
    target.reopen();
    wait("the connection is not refused any more", || office.once().0 == Some(0));
    assert_eq!(target.journal().len(), before + 1);
    let requests = [
        ("rst_mid_request", "unknown reset"),
        ("rst_after_request", "unknown reset"),
        ("commit_rst", "unknown reset"),
        ("commit_close", "unknown closed"),
        ("commit_cut", "unknown closed"),
        ("commit_partial", "unknown closed"),
        ("cl_short", "unknown closed"),
        ("cl_short_cut", "unknown closed"),
        ("chunked_trunc", "unknown closed"),
        ("no_length_cut", "unknown closed"),
        ("hang", "unknown timeout"),
        ("commit_hang", "unknown timeout"),
        ("slow_headers", "unknown timeout"),
        ("slow_body", "unknown timeout"),
    ];
    for (round, (name, word)) in (20..).zip(requests) {
        is_retried(&office, &target, round, name, word, || target.meet(move |_| Some(Scenario::named(name))));
    }
    office.judge("legacy", &target);
}

#[test]
fn an_answer_of_a_passing_cause_is_retried_with_the_same_key_and_bytes() {
    let target = Receiver::start();
    let office = office(&target, "/visits/{id}");
    for (round, status) in (1..).zip([408, 425, 429, 500, 502, 503, 504, 507, 520, 522, 599]) {
        let (name, word) = (format!("status_{status}"), format!("retry http-{status}"));
        is_retried(&office, &target, round, &name, &word, || target.meet(move |_| Some(Scenario::status(status, ""))));
    }
    is_retried(&office, &target, 20, "key in progress", "retry http-409", || {
        let busy = json(409, "", r#"{"title":"A request is outstanding for this Idempotency-Key"}"#);
        target.meet(move |_| Some(Scenario::answer("busy", false, busy.clone(), End::Keep)));
    });
    office.judge("legacy", &target);
}

#[test]
fn an_answer_that_says_nothing_is_unknown_and_three_in_a_row_halt_the_connector() {
    let target = Receiver::start();
    let office = office(&target, "/visits/{id}");
    let answers = [
        ("html", "html"),
        ("empty_json", "not-json"),
        ("bad_json", "not-json"),
        ("deep_json", "not-json"),
        ("huge_json", "not-json"),
        ("error_inside", "error-inside"),
        ("status_207", "multi-status"),
        ("bad_chunk", "bad-answer"),
        ("gzip_bomb", "content-encoding"),
        ("many_headers", "bad-answer"),
        ("big_header", "bad-answer"),
        ("two_lengths", "bad-answer"),
        ("te_cl", "bad-answer"),
        ("bad_status_line", "bad-answer"),
        ("garbage", "bad-answer"),
    ];
    for (round, (name, class)) in (1..).zip(answers) {
        let word = format!("unknown {class}");
        is_retried(&office, &target, round, name, &word, || {
            target.meet(move |_| Some(Scenario::named(name)));
        });
    }
    for (round, name) in (50..).zip(["html", "error_inside", "garbage"]) {
        target.meet(move |_| Some(Scenario::named(name)));
        let agent = office.agent();
        office.sql(&format!("UPDATE visits SET minutes = {round}"));
        agent.says("halted: meaningless");
        agent.stop();
        target.behave();
        wait("a start looks again", || office.once().0 == Some(0));
        assert_eq!(office.mode("legacy").0, Mode::Running, "{name}");
    }
    office.judge("legacy", &target);
}

/// HALT: the connector stops after one attempt and says why, no event is parked, and the next start looks again and
/// goes on.
fn is_halted(office: &Office, target: &Receiver, round: usize, reason: &str, requests: usize, fault: impl Fn()) {
    let (before, summary) = meets(office, target, round, fault);
    let (mode, said) = office.mode("legacy");
    assert_eq!(mode, Mode::Halted, "{reason}: {summary}");
    assert!(said.as_ref().unwrap().to_string().contains(reason), "{reason}: {said:?}");
    assert_eq!(target.journal().len(), before + requests, "{reason}: one attempt and no more");
    assert_eq!(office.parked_words("legacy"), Vec::<String>::new(), "{reason}");
    target.door(Door::Tls(Leaf::Good));
    target.behave();
    assert_eq!(office.once().0, Some(0), "{reason}: a start looks again");
    assert_eq!(office.mode("legacy").0, Mode::Running);
}

#[test]
fn a_certificate_or_a_tls_that_is_not_right_halts_the_connector_and_is_named() {
    let target = Receiver::start();
    let office = office(&target, "/visits/{id}");
    let doors = [
        (Door::Tls(Leaf::Expired), "expired on 2020-02-03"),
        (Door::Tls(Leaf::NotYet), "not valid before 2090-01-01"),
        (Door::Tls(Leaf::WrongHost), "not for 127.0.0.1"),
        (Door::Tls(Leaf::SelfSigned), "not known here"),
        (Door::Tls(Leaf::WantsClient), "client certificate"),
        (Door::Abort, "refuses TLS"),
        (Door::Tls11, "older than 1.2"),
        (Door::PlainInstead, "does not speak TLS"),
    ];
    for (round, (door, text)) in (1..).zip(doors) {
        is_halted(&office, &target, round, text, 0, || target.door(door.clone()));
    }
    office.judge("legacy", &target);
}

#[test]
fn an_answer_that_every_record_would_meet_halts_the_connector_and_costs_no_event_anything() {
    let target = Receiver::start();
    let office = office(&target, "/visits/{id}");
    let statuses = [301, 302, 303, 307, 308, 401, 403, 405, 406, 407, 410, 415, 426, 431, 451, 501, 505, 511];
    for (round, status) in (1..).zip(statuses) {
        let class = if status < 400 { "redirect".to_owned() } else { format!("http-{status}: ") };
        is_halted(&office, &target, round, &class, 1, || {
            target.meet(move |_| Some(Scenario::status(status, "Location: https://127.0.0.1:1/\r\n")));
        });
    }
    // Once more on a new connection, then it is the connector's affair.
    is_halted(&office, &target, 30, "http-421", 2, || target.meet(|_| Some(Scenario::status(421, ""))));
    office.judge("legacy", &target);
}

#[test]
fn a_404_of_a_collection_halts_the_connector() {
    let target = Receiver::start();
    let office = office(&target, "/visits");
    is_halted(&office, &target, 1, "http-404", 1, || target.meet(|_| Some(Scenario::status(404, ""))));
}

#[test]
fn a_refused_record_is_parked_its_later_changes_wait_others_flow_and_a_retry_sends_them_in_order() {
    for (name, class) in [
        ("status_400", "http-400"),
        ("refused", "http-422"),
        ("status_404", "http-404"),
        ("status_409", "http-409"),
        ("status_412", "http-412"),
        ("status_413", "http-413"),
        ("early_413", "http-413"),
        ("gzip_refusal", "http-422"),
    ] {
        let target = Receiver::start();
        let office = office(&target, "/visits/{id}");
        target.meet(move |entry| (entry.path == "/visits/1").then(|| Scenario::named(name)));
        office.sql(
            "UPDATE visits SET minutes = 1; UPDATE visits SET minutes = 2; INSERT INTO visits VALUES (2, 'Bea', 20)",
        );
        assert_eq!(office.once().0, Some(1), "{name}");
        assert_eq!(office.parked_words("legacy"), [&format!("dead {class}"), "behind behind"], "{name}");
        assert_eq!(office.mode("legacy").0, Mode::Running, "{name}");
        let journal = target.journal();
        assert_eq!((committed(&journal), at(&journal, "/visits/1").len()), (2, 2), "{name}: others flow, it does not");
        office.judge("legacy", &target);
        target.behave();
        let ended = office.run(&["deliveries", "retry", "--connector", "legacy", "--state", "dead"]);
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        assert_eq!(office.once().0, Some(0), "{name}");
        office.judge("legacy", &target);
    }
}

#[test]
fn an_answer_that_says_yes_is_delivered_with_one_request() {
    let target = Receiver::start();
    let office = office(&target, "/visits/{id}");
    let answers = [
        ("ok", "success", 1),
        ("status_200", "success", 1),
        ("status_201", "success", 1),
        ("status_202", "success_with_remarks accepted", 1),
        ("status_204", "success", 1),
        ("chunked", "success", 1),
        ("http10", "success", 1),
        ("no_length", "success", 1),
        ("early_hints", "success", 1),
        ("cl_extra", "success", 1),
        ("keepalive_poison", "success", 1),
        ("idle_close", "success", 1),
        ("huge_body", "success_with_remarks long-answer", 1),
        ("status_421", "success", 2),
    ];
    for (round, (name, word, requests)) in (1..).zip(answers) {
        let before = target.journal().len();
        target.next(Scenario::named(name));
        // A second record goes over the same connection: nothing of the first answer may be taken for its own.
        office.sql(&format!("UPDATE visits SET minutes = {round}"));
        assert_eq!(office.once().0, Some(0), "{name}");
        assert_eq!(office.outcomes_of_the_last("legacy"), [word], "{name}");
        assert_eq!(target.journal().len(), before + requests, "{name}");
    }
    office.judge("legacy", &target);
}

#[test]
fn a_delete_of_what_the_target_does_not_have_is_delivered() {
    for status in [404, 410] {
        let target = Receiver::start();
        let office = office(&target, "/visits/{id}");
        target.next(Scenario::answer(
            "gone",
            true,
            format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
            End::Keep,
        ));
        office.sql("DELETE FROM visits");
        assert_eq!(office.once().0, Some(0), "{status}");
        assert!(office.outcomes_of_the_last("legacy")[0].starts_with("success_with_remarks"), "{status}");
        office.judge("legacy", &target);
    }
}

#[test]
fn a_target_that_is_reached_by_ipv6_only_is_delivered_to() {
    let target = Receiver::start_with(Arc::new(Ca::new()), Door::Tls(Leaf::Good), "[::1]:0");
    let office = office(&target, "/visits/{id}");
    office.judge("legacy", &target);
}

#[test]
fn a_name_that_does_not_resolve_is_retried_and_another_endpoint_is_not_kept_waiting_by_it() {
    let target = Receiver::start();
    let office = office(&target, "/visits/{id}");
    office.connector(
        "legacy",
        &format!("target: {{url: \"https://no-such-host.invalid/\", method: PUT}}\nstart: beginning\n{RETRY}\n"),
    );
    office.sql("UPDATE visits SET minutes = 1");
    assert_eq!(office.once().0, Some(75));
    assert!(office.outcomes_of_the_last("legacy").iter().all(|word| word == "retry dns"));
    configure(&office, &target, "/visits/{id}");
    assert_eq!(office.once().0, Some(0), "the breaker is of the endpoint, not of the connector");
    office.judge("legacy", &target);
}

#[test]
fn what_was_under_way_at_a_kill_is_noted_as_unknown_at_the_next_start_and_sent_again() {
    let target = Receiver::start();
    let office = office(&target, "/visits/{id}");
    for (round, name) in (1..).zip(["hang", "commit_hang", "rst_after_request", "status_503"]) {
        let before = target.journal().len();
        office.connector(
            "legacy",
            &std::fs::read_to_string(office.config().join("connectors/legacy.yaml"))
                .unwrap()
                .replace("timeout: 1s", "timeout: 30s"),
        );
        target.next(Scenario::named("hang"));
        let agent = office.agent();
        office.sql(&format!("UPDATE visits SET minutes = {round}"));
        target.wait("it is under way", |journal| journal.len() > before);
        let event = office.events().pop().unwrap();
        let lines = office.attempts("legacy", std::slice::from_ref(&event)).remove(&event.id).unwrap();
        assert!(matches!(lines[..], [Line::Intent { .. }]), "{name}: an intent, and no outcome yet: {lines:?}");
        agent.kill();
        target.next(Scenario::named(name));
        configure(&office, &target, "/visits/{id}");
        wait(name, || office.once().0 == Some(0));
        let words = office.outcomes_of_the_last("legacy");
        assert_eq!(words.first().map(String::as_str), Some("unknown stopped"), "{name}: {words:?}");
        assert!(all_the_same(&target.journal()[before..]), "{name}");
        office.judge("legacy", &target);
    }
}
