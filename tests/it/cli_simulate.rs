//! `simulate`: exactly what would leave, and nothing does.

use std::net::TcpListener;
use std::sync::Arc;

use crate::support::ca::Ca;
use crate::support::desk::{Desk, Said};
use crate::support::receiver::{Door, Receiver};

const SCHEMA: &str = "CREATE TABLE appointments(id INTEGER PRIMARY KEY, start TEXT, status TEXT, room BLOB)";

/// An office with three appointments: one is sent, one is skipped, one is held.
fn office(url: &str) -> Desk {
    let desk = Desk::new(SCHEMA);
    desk.settings(
        "watch: {appointments: {}}
credentials:
  legacy: {type: bearer, token: {file: token}}",
    );
    desk.write("config/token", "s3cret\n");
    std::fs::set_permissions(desk.path("config/token"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    desk.connector(
        "vista",
        &format!(
            "
listen: appointments
where: status != 'draft'
endpoint: {{url: '{url}/slots/{{id}}', method: PUT, credentialsId: legacy, headers: {{X-Office: north}}}}
start: beginning
mapping:
  start: slot.start
  status: {{to: state, lookup: {{booked: B}}}}"
        ),
    );
    desk.ends(0, &["watch", "appointments"]);
    desk.app
        .execute_batch(
            "INSERT INTO appointments VALUES(1, '08:00', 'booked', NULL), (2, '09:00', 'draft', NULL), (3, '10:00', 'odd', NULL)",
        )
        .unwrap();
    desk
}

fn fates(said: &Said) -> Vec<String> {
    said.lines().iter().map(|line| line["fate"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn method_address_headers_and_body_are_shown_with_secrets_masked_and_reasons_for_the_rest() {
    let desk = office("https://legacy.example");
    let said = desk.ends(1, &["simulate", "--since", "1h", "--json"]);
    assert_eq!(fates(&said), ["sent", "skipped", "held"]);
    let lines = said.lines();
    let request = &lines[0]["requests"][0];
    assert_eq!((&request["method"], &request["url"]), (&"PUT".into(), &"https://legacy.example/slots/1".into()));
    assert_eq!(request["body"], r#"{"slot":{"start":"08:00"},"state":"B"}"#);
    let headers = request["headers"].to_string();
    assert!(headers.contains(r#"["Authorization","Bearer ***"]"#) && headers.contains(r#"["X-Office","north"]"#));
    assert!(headers.contains(&format!(r#"["Idempotency-Key",{}]"#, lines[0]["event"])), "{headers}");
    assert!(lines[1]["reason"].as_str().unwrap().contains("`where`"));
    assert_eq!(lines[2]["class"], "mapping");
    let said = desk.ends(1, &["simulate", "--since", "1h"]);
    assert!(said.out.contains("  PUT https://legacy.example/slots/1\n") && said.out.contains("Bearer ***"), "{said:?}");
    assert!(said.out.contains("skipped: the record does not match `where`") && said.out.contains("held: mapping"));
    assert!(said.err.contains("events 3, requests 1, held 1, skipped 1"), "{said:?}");
    assert!(!said.out.contains("s3cret") && !said.err.contains("s3cret"));
}

#[test]
fn no_socket_is_opened_and_no_file_changes_before_the_first_run_and_after_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let desk = office(&format!("http://{}", listener.local_addr().unwrap()));
    // As on a machine on which the agent has never run.
    std::fs::remove_dir_all(desk.path("state")).unwrap();
    let before = desk.files();
    assert!(!before.iter().any(|(path, _)| path.ends_with("state.db")));
    desk.ends(1, &["simulate", "--since", "1h"]);
    assert_eq!(desk.files(), before);
    let refused = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(refused, Err(std::io::ErrorKind::WouldBlock));

    let receiver = Receiver::start_with(Arc::new(Ca::new()), Door::Plain, "127.0.0.1:0");
    let desk = office(&receiver.url(""));
    desk.ends(1, &["run", "--once"]);
    let (before, connections) = (desk.files(), receiver.connections());
    assert!(before.iter().any(|(path, _)| path.ends_with("state.db")));
    desk.ends(1, &["simulate", "--since", "1h"]);
    assert_eq!(desk.files(), before);
    assert_eq!(receiver.connections(), connections);
}

#[test]
fn what_is_simulated_is_what_arrives() {
    let receiver = Receiver::start_with(Arc::new(Ca::new()), Door::Plain, "127.0.0.1:0");
    let desk = office(&receiver.url(""));
    desk.app.execute_batch("UPDATE appointments SET start = '08:30', id = 9 WHERE id = 1").unwrap();
    let simulated = desk.ends(1, &["simulate", "--json"]).lines();
    desk.ends(1, &["run", "--once"]);
    let journal = receiver.journal();
    let requests: Vec<_> = simulated.iter().filter_map(|line| line["requests"].as_array()).flatten().collect();
    assert_eq!(requests.len(), 3);
    assert_eq!(journal.len(), 3);
    for (request, arrived) in requests.iter().zip(&journal) {
        assert_eq!(request["method"], arrived.method.as_str());
        assert!(request["url"].as_str().unwrap().ends_with(&arrived.path), "{request} {arrived:?}");
        assert_eq!(request["body"].as_str().unwrap_or(""), String::from_utf8_lossy(&arrived.body));
        for header in request["headers"].as_array().unwrap() {
            let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
            if name != "Authorization" {
                assert_eq!(arrived.header(&name.to_lowercase()), Some(value));
            }
        }
    }
}

#[test]
fn a_part_of_the_past_and_one_connector_can_be_chosen() {
    let desk = office("https://legacy.example");
    desk.connector("other", "endpoint: {url: https://other.example/all}");
    assert_eq!(
        fates(&desk.ends(1, &["simulate", "--json", "--connector", "vista", "--from", "2"])),
        ["skipped", "held"]
    );
    assert_eq!(fates(&desk.ends(0, &["simulate", "--json", "--connector", "other", "--from", "office:3"])), ["sent"]);
    assert_eq!(desk.ends(0, &["simulate", "--json", "--since", "2999-01-01T00:00:00Z"]).out, "");
    assert_eq!(fates(&desk.ends(1, &["simulate", "--json", "--since", "2001-01-01T00:00:00Z"])).len(), 6);
    for bad in
        [&["simulate", "--since", "yesterday"][..], &["simulate", "--from", "x"], &["simulate", "--connector", "vist"]]
    {
        desk.ends(2, bad);
    }
    assert!(desk.ends(2, &["simulate", "--connector", "vist"]).err.contains("did you mean `vista`?"));
}
