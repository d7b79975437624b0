//! `GET /events`: a client that comes back misses nothing and hears nothing twice.

use super::office;
use crate::support::loopback::{Line, Way};
use crate::support::office::{Office, THREE};
use crate::support::receiver::Receiver;

type Fields = Vec<(String, String)>;

fn field(fields: &Fields, name: &str) -> Option<String> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// Opens a stream and reads its greeting: the stream and its position.
fn listen(way: &Way, query: &str, last: &str) -> (Line, String) {
    let mut line = way.open();
    let head = line.head("GET", &format!("/events{query}"), &[("Last-Event-ID", last)]);
    line.write(format!("{head}\r\n").as_bytes()).unwrap();
    let answer = line.answer().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("text/event-stream"), "{answer:?}");
    let greeting = line.message().unwrap();
    (line, field(&greeting, "id").unwrap())
}

/// The next event: its id and its JSON. Positions without one are passed over.
fn next(line: &mut Line) -> Option<(String, serde_json::Value)> {
    loop {
        let fields = line.message()?;
        if let Some(data) = field(&fields, "data") {
            assert_eq!(field(&fields, "event"), None, "{fields:?}");
            return Some((field(&fields, "id").unwrap(), serde_json::from_str(&data).unwrap()));
        }
    }
}

fn post(office: &Office, id: usize) {
    let body = format!(r#"{{"type":"rule-changed","payload":{{"id":{id}}}}}"#);
    assert_eq!(Way::socket(office).post("/sync", &body).status, 200);
}

#[test]
fn a_stream_goes_on_where_it_was_cut_off_over_restarts_without_a_gap_or_a_repetition() {
    let target = Receiver::start();
    let office = office(&target, THREE);
    let mut agent = office.agent();
    let (mut line, mut last) = listen(&Way::tcp(&agent), "", "-");
    let mut heard: Vec<String> = Vec::new();
    let mut written = 0;
    for round in 0..4 {
        for _ in 0..10 {
            written += 1;
            office.sql(&format!("INSERT INTO visits(name, minutes) VALUES ('n', {written})"));
            post(&office, written);
        }
        // Cut off somewhere among them.
        for _ in 0..7 + round {
            let (id, event) = next(&mut line).unwrap();
            last = id;
            heard.push(format!("{} {}", event["log"].as_str().unwrap(), event["seq"]));
        }
        if round % 2 == 0 {
            agent.stop()
        } else {
            agent.kill()
        }
        agent = office.agent();
        (line, _) = listen(&Way::tcp(&agent), "", &last);
    }
    while heard.len() < 2 * written {
        let (_, event) = next(&mut line).unwrap();
        heard.push(format!("{} {}", event["log"].as_str().unwrap(), event["seq"]));
    }
    for (log, first) in [("office", 4), ("intake", 1)] {
        let of: Vec<&String> = heard.iter().filter(|event| event.starts_with(log)).collect();
        let expected: Vec<String> = (first..first + written).map(|seq| format!("{log} {seq}")).collect();
        assert_eq!(of, expected.iter().collect::<Vec<_>>());
    }
    agent.stop();
    while line.message().is_some() {}
}

#[test]
fn a_stream_shows_only_what_is_asked_for_and_masks_what_is_not_public() {
    let target = Receiver::start();
    let office = office(&target, "");
    office.add_settings("governance: {default: phi, classify: {visits: {id: public, minutes: public}}}");
    let agent = office.agent();
    let way = Way::tcp(&agent);
    let (mut all, _) = listen(&way, "", "-");
    let (mut inbound, _) = listen(&way, "?direction=inbound", "-");
    let (mut updates, _) = listen(&way, "?type=visits.update", "-");
    office.sql("INSERT INTO visits(id, name, minutes) VALUES (1, 'Ann', 5); UPDATE visits SET minutes = 6");
    let (_, event) = next(&mut all).unwrap();
    assert_eq!(
        (&event["op"], &event["after"]["name"], &event["after"]["minutes"]),
        (&"insert".into(), &"***".into(), &5.into())
    );
    assert_eq!(next(&mut updates).unwrap().1["op"], "update");
    post(&office, 7);
    assert_eq!(next(&mut inbound).unwrap().1["type"], "rule-changed");
    for (target, last) in [("/events?direction=sideways", "-"), ("/events?type=.insert", "-"), ("/events", "12")] {
        let answer = way.call("GET", target, &[("Last-Event-ID", last)], b"");
        assert_eq!(answer.status, 400, "{target} {last}: {answer:?}");
    }
    // What is masked may be another thing after a reload: streams end, and clients come back.
    agent.signal(rustix::process::Signal::HUP);
    agent.says("reloaded");
    while all.message().is_some() {}
    post(&office, 8);
    assert_eq!(listen(&way, "", "-").1, "office:2,intake:2");
    agent.stop();
}

#[test]
fn positions_that_are_not_kept_any_more_are_told_and_more_streams_than_there_are_places_are_refused() {
    let target = Receiver::start();
    let office = office(&target, THREE);
    let agent = office.agent();
    let way = Way::tcp(&agent);
    let (mut line, _) = listen(&way, "?direction=inbound", "intake:50");
    // Where the application's log stands is told too: what is pulled into it comes in as well.
    let gap = std::iter::from_fn(|| line.message()).find(|message| field(message, "event").is_some()).unwrap();
    assert_eq!(field(&gap, "event").as_deref(), Some("gap"), "{gap:?}");
    let id = field(&gap, "id").unwrap();
    assert!(["office:0,intake:0", "office:3,intake:0"].contains(&id.as_str()), "{id}");
    let mut lines = vec![line];
    lines.extend((0..15).map(|_| listen(&way, "", "-").0));
    let refused = way.get("/events");
    assert_eq!((refused.status, way.get("/status").status), (503, 200), "{refused:?}");
    agent.stop();
}
