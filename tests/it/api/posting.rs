//! `POST /sync`: what was answered is kept, once.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};

use hms_sync::store::state::intake;
use serde_json::json;

use super::{office, ways};
use crate::support::loopback::{Answer, Way};
use crate::support::office::{Office, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// What the agent holds, by event id.
fn kept(office: &Office) -> Vec<String> {
    let events = office.reader().read(|db| intake::read(db, 0, usize::MAX >> 1)).unwrap();
    events.iter().map(|event| event.id.to_string()).collect()
}

fn keyed(way: &Way, key: &str, body: &str) -> Answer {
    way.call("POST", "/sync", &[JSON, ("Idempotency-Key", key)], body.as_bytes())
}

#[test]
fn what_was_answered_survives_a_kill_in_the_next_moment() {
    let target = Receiver::start();
    let office = office(&target, "");
    let mut answered = BTreeSet::new();
    for round in 0..5 {
        let agent = office.agent();
        let way = Way::tcp(&agent);
        let (told, ids) = std::sync::mpsc::channel();
        let posters: Vec<_> = (0..4)
            .map(|poster| {
                let (way, told) = (way.clone(), told.clone());
                std::thread::spawn(move || {
                    let mut line = way.open();
                    for n in 0.. {
                        let body = format!(r#"{{"type":"rule-changed","payload":{{"id":"{round}-{poster}-{n}"}}}}"#);
                        let Some(answer) = line.call("POST", "/sync", &[JSON], body.as_bytes()) else { return };
                        assert_eq!(answer.status, 200, "{answer:?}");
                        told.send(answer.json()["id"].as_str().unwrap().to_owned()).unwrap();
                    }
                })
            })
            .collect();
        answered.extend((0..30 + round * 7).map(|_| ids.recv().unwrap()));
        agent.kill();
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        answered.extend(ids.try_iter());
        let kept: BTreeSet<String> = kept(&office).into_iter().collect();
        assert_eq!(answered.difference(&kept).collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

#[test]
fn a_key_that_eight_post_at_once_is_stored_once_and_answered_alike() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let [socket, tcp] = ways(&office, &agent);
    for round in 0..10 {
        let start = Arc::new(Barrier::new(8));
        let posters: Vec<_> = (0..8)
            .map(|poster| {
                let (start, way) = (start.clone(), if poster % 2 == 0 { socket.clone() } else { tcp.clone() });
                std::thread::spawn(move || {
                    start.wait();
                    let body = format!(r#"{{"type":"rule-changed","payload":{{"id":{round}}}}}"#);
                    keyed(&way, &format!("key {round}"), &body)
                })
            })
            .collect();
        let answers: Vec<Answer> = posters.into_iter().map(|poster| poster.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body), "{answers:?}");
        assert_eq!(kept(&office).len(), round + 1);
    }
    let other = keyed(&tcp, "key 1", r#"{"type":"rule-changed","payload":{"id":99}}"#);
    assert_eq!((other.status, other.detail().contains("another body")), (422, true));
    assert_eq!(keyed(&tcp, "", "{}").status, 400);
    assert_eq!(keyed(&tcp, &"k".repeat(256), "{}").status, 400);
    assert_eq!(kept(&office).len(), 10);
    agent.stop();
    // It is remembered for as long as the event is.
    let agent = office.agent();
    let again = keyed(&Way::tcp(&agent), "key 1", r#"{"type":"rule-changed","payload":{"id":1}}"#);
    assert_eq!((again.status, kept(&office).len()), (200, 10));
    agent.stop();
}

#[test]
fn what_is_posted_is_delivered_as_it_was_written() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let record = r#"{"id":9007199254740993,"share":0.12345678901234566,"big":123456789012345678901234567890}"#;
    let answer = Way::socket(&office).post("/sync", &format!(r#"{{"type":"rule-changed","payload":{record}}}"#));
    assert_eq!(answer.json()["status"], "ok");
    let journal = target.wait("it arrives", |journal| !journal.is_empty());
    assert_eq!(String::from_utf8_lossy(&journal[0].body), record);
    assert_eq!(journal[0].path, "/visits/9007199254740993");
    agent.stop();
}

#[test]
fn who_waits_hears_what_came_of_it_at_every_connector() {
    let (target, refusing) = (Receiver::start(), Receiver::start());
    refusing.meet(|_| Some(Scenario::named("status_422")));
    let office = office(&target, "");
    office.rest("other", &target, "listen: other-type");
    office.rest("picky", &refusing, "");
    office.rest("resting", &target, "");
    let agent = office.agent();
    let way = Way::tcp(&agent);
    assert_eq!(way.post("/connectors/resting/pause", "").status, 200);
    let answer = way.post("/sync?wait=60s", r#"{"type":"rule-changed","payload":{"id":7}}"#);
    let status = |name: &str| {
        let all = answer.json()["deliveries"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["connector"] == name).unwrap()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status("legacy"), "success", "{}", answer.json());
    assert_eq!(status("other"), "skipped");
    assert_eq!(status("picky"), "failed");
    assert_eq!(status("resting"), "waiting");
    let short = way.post("/sync?wait=1ms", r#"{"type":"rule-changed","payload":{"id":8}}"#);
    assert_eq!(short.json()["deliveries"].as_array().unwrap().len(), 4, "{short:?}");
    for bad in ["wait=61s", "wait=", "wait=soon", "wait=1s&more=1"] {
        assert_eq!(way.post(&format!("/sync?{bad}"), "{}").status, 400, "{bad}");
    }
    agent.stop();
}

#[test]
fn what_is_no_event_is_refused_with_words_and_nothing_of_it_is_stored_or_logged() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let deep = format!(r#"{{"type":"a","payload":{{"x":{}"secret"{}}}}}"#, "[".repeat(500_000), "]".repeat(400_000));
    let large = format!(r#"{{"type":"a","payload":{{"x":"secret{}"}}}}"#, "x".repeat(1 << 20));
    for way in ways(&office, &agent) {
        for (status, body) in [
            (400, ""),
            (400, "secret"),
            (400, r#"{"type":"a","payload":{"x":"secret}"#),
            (400, r#"{"type":"a","payload":{"x":"secret","x":1}}"#),
            (400, "{\"type\":\"a\",\"payload\":{\"x\":\"secret\u{0}\"}}"),
            (400, &deep),
            (413, &large),
            (422, "[\"secret\"]"),
            (422, r#"{"type":"a"}"#),
            (422, r#"{"payload":{"x":"secret"}}"#),
            (422, r#"{"type":"","payload":{}}"#),
            (422, r#"{"type":"a","payload":"secret"}"#),
            (422, r#"{"type":"a","payload":{},"secret":1}"#),
        ] {
            let answer = way.post("/sync", body);
            assert_eq!(answer.status, status, "{}: {answer:?}", &body[..body.len().min(60)]);
            assert_eq!(answer.json()["status"], status);
            assert!(!answer.detail().is_empty());
        }
        let text = way.call("POST", "/sync", &[("Content-Type", "text/plain")], br#"{"type":"a","payload":{}}"#);
        assert_eq!(text.status, 415);
        assert_eq!(way.call("POST", "/sync", &[], br#"{"type":"a","payload":{}}"#).status, 415);
    }
    assert_eq!(kept(&office), Vec::<String>::new());
    assert!(!agent.said().contains("secret"), "{}", agent.said());
    agent.stop();
}

#[test]
fn a_posted_event_is_found_like_a_captured_one() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let way = Way::tcp(&agent);
    let id = way.post("/sync", r#"{"type":"rule-changed","payload":{"id":"A/7, x"}}"#).json()["id"].clone();
    wait("it is delivered", || {
        let found = way.get("/records/rule-changed/A%2F7%2C%20x");
        found.status == 200 && found.json()["events"][0]["connectors"][0]["state"] == "delivered"
    });
    let found = way.get("/records/rule-changed/A%2F7%2C%20x").json();
    assert_eq!((&found["events"][0]["id"], &found["events"][0]["key"]), (&id, &json!({"id": "A/7, x"})));
    agent.stop();
}
