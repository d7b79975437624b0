//! Who gets in, and that nobody keeps the others out.

use super::{office, ways};
use crate::support::loopback::Way;
use crate::support::office::Office;
use crate::support::receiver::Receiver;

#[test]
fn a_host_that_is_not_this_machine_gets_nothing_whatever_it_asks_for() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let way = Way::tcp(&agent);
    let port = way.address().port();
    for host in ["evil.example", "localhost.evil", "0.0.0.0", "127.1", "2130706433", "localhost.", "[::]"] {
        for target in ["/status", "/healthz", "/nowhere"] {
            let answer = way.call("GET", target, &[("Host", &format!("{host}:{port}"))], b"");
            assert_eq!(answer.status, 421, "{host} {target}: {answer:?}");
        }
    }
    assert_eq!(way.call("GET", "/status", &[("Host", "localhost")], b"").status, 421, "without the port");
    assert_eq!(way.call("GET", "/status", &[("Host", "-")], b"").status, 421, "without a Host");
    let ours = format!("localhost:{port}");
    assert_eq!(way.call("GET", "/status", &[("Host", &ours), ("Host", &ours)], b"").status, 421, "two");
    assert_eq!(way.call("GET", &format!("http://{ours}/status"), &[], b"").status, 421, "absolute form");
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        assert_eq!(way.call("GET", "/status", &[("Host", &format!("{name}:{port}"))], b"").status, 200, "{name}");
    }
    agent.stop();
}

#[test]
fn a_page_in_a_browser_changes_nothing_even_with_the_token() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let way = Way::tcp(&agent);
    let own = format!("http://localhost:{}", way.address().port());
    let pause = |fields: &[(&str, &str)]| way.call("POST", "/connectors/legacy/pause", fields, b"").status;
    for origin in ["null", "http://evil.example", "http://localhost:1", "https://localhost"] {
        assert_eq!(pause(&[("Origin", origin)]), 403, "{origin}");
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(pause(&[("Sec-Fetch-Site", site), ("Origin", &own)]), 403, "{site}");
    }
    assert_eq!(way.get("/connectors/legacy").json()["mode"], "running");
    assert_eq!(pause(&[("Origin", &own), ("Sec-Fetch-Site", "same-origin")]), 200);
    let answer = way.get("/status");
    assert!(!answer.head.to_lowercase().contains("access-control"), "{answer:?}");
    assert!(answer.head.contains("no-store") && answer.head.contains("nosniff"), "{answer:?}");
    agent.stop();
}

#[test]
fn without_the_token_there_is_nothing_but_health_and_guessing_ends_soon() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let way = Way::tcp(&agent);
    let (none, wrong) = (way.with_token(""), way.with_token(&"0".repeat(64)));
    assert_eq!((none.get("/healthz").status, none.get("/readyz").status), (200, 200));
    for answer in [none.get("/status"), wrong.get("/status"), none.get("/nowhere"), none.post("/sync", "{}")] {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.head.to_lowercase().contains("www-authenticate: bearer"));
    }
    let Way::Tcp(_, token) = &way else { unreachable!() };
    assert_eq!(none.get(&format!("/status?token={token}")).status, 401, "never in a URL");
    assert_eq!(none.call("GET", "/status", &[("Authorization", &format!("Basic {token}"))], b"").status, 401);
    let old = way.with_token("the one of last year");
    assert!((0..20).all(|_| none.get("/status").status == 401 && old.get("/status").status == 401), "no guesses");
    let refused: Vec<u16> = (0..20).map(|_| wrong.get("/status").status).collect();
    assert!(refused.contains(&429) && refused.iter().all(|status| [401, 429].contains(status)), "{refused:?}");
    assert_eq!(way.get("/status").status, 200, "the right one is not locked out");
    assert!(!agent.said().contains(token.as_str()));
    agent.stop();
}

#[test]
fn two_hundred_idle_connections_and_half_sent_heads_keep_nobody_out() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let [socket, tcp] = ways(&office, &agent);
    let mut idle = Vec::new();
    for n in 0..200 {
        let way = if n % 2 == 0 { &socket } else { &tcp };
        let mut line = way.open();
        if n % 3 == 0 {
            let _ = line.write(b"POST /sync HTTP/1.1\r\nHost: loc");
        }
        idle.push(line);
        if n % 20 == 0 {
            assert_eq!((socket.get("/healthz").status, tcp.get("/status").status), (200, 200));
        }
    }
    assert_eq!((socket.get("/status").status, tcp.get("/status").status), (200, 200));
    assert!(idle[0].is_hung_up(), "the one that was idle longest made place");
    // The others run out of time: half a head, and nothing at all.
    assert!(idle[198].is_hung_up() && idle[199].is_hung_up());
    agent.stop();
}

#[test]
fn a_head_that_is_odd_is_refused_and_its_connection_closed() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let many = (0..80).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let large = format!("x: {}\r\n", "x".repeat(20_000));
    for way in ways(&office, &agent) {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "x: a\0b\r\n",
            " folded: 1\r\n",
            &many,
            &large,
        ] {
            let mut line = way.open();
            let head = line.head("POST", "/sync", &[("Content-Type", "application/json")]);
            let _ = line.write(format!("{head}{fields}\r\nabcde").as_bytes());
            let answer = line.answer();
            assert!(
                answer.as_ref().is_none_or(|answer| (400..500).contains(&answer.status)),
                "{fields:.60}: {answer:?}"
            );
            assert!(line.is_hung_up(), "{fields:.60}");
        }
        assert_eq!(way.get("/status").status, 200);
    }
    agent.stop();
}

#[test]
fn a_port_that_somebody_has_is_told_and_everything_else_goes_on() {
    let target = Receiver::start();
    let squatter = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let office = crate::support::office::Office::with(&target, "", "");
    office.add_settings(&format!("api: {{listen: \"{}\"}}", squatter.local_addr().unwrap()));
    let agent = office.agent();
    agent.says("cannot be listened on");
    let needs = Way::socket(&office).get("/status").json()["needs"].clone();
    assert!(needs[0]["what"].as_str().unwrap().contains("cannot be listened on"), "{needs}");
    assert_eq!(office.run(&["status"]).code, Some(1));
    agent.stop();
}

#[test]
fn a_body_that_does_not_come_is_given_up_with_408_and_nothing_of_it_is_stored() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let mut lines: Vec<_> = ways(&office, &agent)
        .into_iter()
        .map(|way| {
            let mut line = way.open();
            let head = line.head("POST", "/sync", &[("Content-Type", "application/json")]);
            line.write(format!("{head}Content-Length: 60\r\n\r\n{{\"type\":\"rule-changed\",").as_bytes()).unwrap();
            line
        })
        .collect();
    for line in &mut lines {
        let answer = line.answer().expect("an answer");
        assert_eq!(answer.status, 408, "{answer:?}");
        assert!(answer.detail().contains("did not come within"), "{answer:?}");
    }
    agent.stop();
    assert_eq!(office.reader().read(hms_sync::store::state::intake::highest).unwrap(), 0);
}

#[test]
fn a_token_that_a_program_gives_opens_the_door_and_no_other_does() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let program = office.folder().join("token");
    std::fs::write(&program, format!("#!/bin/sh\necho {}\n", "a1".repeat(32))).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let program = program.display();
    office.add_settings(&format!("api: {{listen: \"127.0.0.1:0\", token: {{exec: \"{program}\"}}}}"));
    let agent = office.agent();
    agent.says("the API is at http://");
    let said = agent.said();
    let address = said.split("the API is at http://").last().unwrap().split([';', '\n']).next().unwrap();
    let way = Way::Tcp(address.parse().unwrap_or_else(|_| panic!("{said}")), "a1".repeat(32));
    assert_eq!(way.get("/status").status, 200, "{said}");
    assert_eq!(way.with_token(&"b2".repeat(32)).get("/status").status, 401);
    assert!(!said.contains("a1a1"), "{said}");
    agent.stop();
}

#[test]
fn a_caller_over_tcp_that_knows_that_a_record_was_there_has_it_deleted() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    for (way, id) in ways(&office, &agent).into_iter().zip([98, 99]) {
        let unknown = way.post(&format!("/sync/legacy/visits/{id}"), "");
        assert_eq!((unknown.status, unknown.json()["status"].as_str()), (200, Some("failed")), "{unknown:?}");
        for query in ["known", "known="] {
            let known = way.post(&format!("/sync/legacy/visits/{id}?{query}"), "");
            assert_eq!((known.status, known.json()), (200, serde_json::json!({ "status": "success" })));
        }
        assert_eq!(way.post(&format!("/sync/legacy/visits/{id}?knwon"), "").status, 400);
    }
    agent.stop();
    let deleted = |path: &str| target.journal().iter().filter(|entry| entry.path == path).count();
    assert_eq!((deleted("/visits/98"), deleted("/visits/99")), (2, 2));
}
