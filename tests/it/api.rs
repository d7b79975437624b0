//! The loopback API: what is posted is kept, everything is answered, and nobody else gets in.

mod door;
mod fuzz;
mod page;
mod posting;
mod stream;

use crate::support::journal::committed;
use crate::support::loopback::Way;
use crate::support::office::{Agent, Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// An office whose agent listens on TCP too.
fn office(target: &Receiver, sql: &str) -> Office {
    let office = Office::with(target, "", sql);
    office.add_settings("api: {listen: \"127.0.0.1:0\"}");
    // No alert is opened between two views that must be equal.
    office.add_settings("alertAfter: {check: 5m}");
    office
}

/// Both ways in.
fn ways(office: &Office, agent: &Agent) -> [Way; 2] {
    [Way::socket(office), Way::tcp(agent)]
}

#[test]
fn every_view_is_the_same_on_the_socket_and_on_tcp_and_as_the_command_line_has_it() {
    let target = Receiver::start();
    target.meet(|entry| (entry.path == "/visits/2").then(|| Scenario::named("status_422")));
    let office = office(&target, THREE);
    let agent = office.agent();
    wait("one is dead and the others are there", || office.parked_words("legacy") == ["dead http-422"]);
    target.wait("the others arrive", |journal| committed(journal) == 2);
    wait("it is written down", || office.cursor("legacy") == 3);
    // `status` tells when: not between two views that must be equal.
    agent.says("the state file is whole");
    for way in ways(&office, &agent) {
        let verb = |line: &[&str]| -> serde_json::Value {
            serde_json::from_str(&office.run(&[&["--json"], line].concat()).stdout).unwrap()
        };
        let status = way.get("/status");
        assert_eq!(status.status, 200);
        // Between the two a minute of the last hour may have ended.
        wait("both say the same", || way.get("/status").json() == verb(&["status"]));
        let connectors = || way.get("/status").json()["connectors"].clone();
        wait("so does the list", || way.get("/connectors").json() == connectors());
        wait("so does one of it", || way.get("/connectors/legacy").json() == connectors()[0]);
        assert_eq!(way.get("/records/visits/2").json(), verb(&["status", "visits", "2"]));
        let dead = way.get("/deliveries?state=dead&connector=legacy&limit=5");
        assert_eq!(dead.json(), verb(&["deliveries", "list", "--state", "dead"]));
        assert_eq!(dead.json()[0]["seq"], 2);
        assert_eq!(way.get("/needs").json(), serde_json::json!([]));
        assert_eq!(way.get("/healthz").json()["status"], "ok");
        assert_eq!(way.get("/readyz").json()["status"], "ready");
        assert_eq!(way.get("/openapi.json").json()["openapi"], "3.1.0");
        for (target, status) in [
            ("/connectors/legcy", 404),
            ("/records/nothing/2", 404),
            ("/records/visits/99", 404),
            ("/records/visits/[1", 400),
            ("/deliveries?connector=legcy", 404),
            ("/deliveries?state=odd", 400),
            ("/deliveries?limit=0", 400),
            ("/deliveries?limit=x", 400),
            ("/deliveries?odd=1", 400),
            ("/connectors/%ff", 400),
            ("/nowhere", 404),
            ("/sync", 405),
        ] {
            let answer = way.get(target);
            assert_eq!(answer.status, status, "{target}: {answer:?}");
            assert!(!answer.detail().is_empty());
        }
        assert_eq!(way.call("OPTIONS", "/sync", &[], b"").status, 405);
    }
    agent.stop();
}

#[test]
fn deliveries_and_connectors_are_mended_by_call_and_the_history_says_who_did_it_and_why() {
    let target = Receiver::start();
    target.meet(|entry| (entry.path != "/visits/1").then(|| Scenario::named("status_422")));
    let office = office(&target, THREE);
    let agent = office.agent();
    wait("two are dead", || office.parked_words("legacy") == ["dead http-422", "dead http-422"]);
    wait("it is written down", || office.cursor("legacy") == 3);
    let [socket, tcp] = ways(&office, &agent);
    let refused = tcp.post("/deliveries/legacy/2/release", "");
    assert_eq!((refused.status, refused.detail().contains("is dead, not held")), (409, true), "{refused:?}");
    assert_eq!(tcp.post("/deliveries/legacy/99/retry", "").status, 404);
    assert_eq!(tcp.post("/deliveries/legcy/2/retry", "").status, 404);
    assert_eq!(tcp.post("/deliveries/legacy/2/retry", "{\"because\": 1}").status, 422);
    assert_eq!(tcp.post("/deliveries/legacy/2/retry", "{").status, 400);
    let discarded = tcp.post("/deliveries/legacy/2/discard", "{\"reason\": \"a test row\"}");
    assert_eq!((discarded.status, discarded.json()["done"].as_array().unwrap().len()), (200, 1), "{discarded:?}");
    target.behave();
    assert_eq!(socket.post("/deliveries/legacy/3/retry", "{\"reason\": \"mended\"}").status, 200);
    target.wait("it is sent again", |journal| journal.iter().filter(|entry| entry.path == "/visits/3").count() == 2);
    let history = |key: &str| String::from_utf8(tcp.get(&format!("/records/visits/{key}")).body).unwrap();
    assert!(history("2").contains("discard by api token: a test row"), "{}", history("2"));
    let me = std::process::Command::new("id").arg("-un").output().unwrap();
    let me = String::from_utf8(me.stdout).unwrap();
    let expected = format!("retry by {}: mended", me.trim());
    assert!(history("3").contains(&expected), "{expected}: {}", history("3"));
    // Who asks over the socket is who the system says.
    let order = r#"{"operation":{"verb":"pause","connector":"legacy"},"actor":{"name":"somebody","reason":null}}"#;
    assert_eq!(socket.post("/operations", order).status, 200);
    // A number with nothing behind its point is an integer, to JSON as to its schemas.
    let replay = |after: &str| {
        let order = r#"{"operation":{"verb":"dryrun","of":{"verb":"replay","connector":"legacy","log":"office","after":AFTER}},"actor":{"name":""}}"#;
        socket.post("/operations", &order.replace("AFTER", after))
    };
    assert_eq!([replay("2.0").status, replay("2e0").status, replay("2").status], [200; 3], "{:?}", replay("2.0"));
    assert_eq!([replay("1.5").status, replay("\"2\"").status], [422; 2], "{:?}", replay("1.5"));
    assert_eq!(tcp.post("/connectors/legacy/resume", "").status, 200);
    assert_eq!(tcp.post("/connectors/legacy/pause", "{\"reason\":\"night\"}").status, 200);
    assert_eq!(tcp.get("/connectors/legacy").json()["mode"], "paused");
    assert_eq!(tcp.post("/connectors/legcy/pause", "").status, 404);
    assert_eq!(socket.post("/connectors/legacy/resume", "").status, 200);
    let started = tcp.post("/connectors/legacy/sync", "");
    assert_eq!(started.json(), serde_json::json!({"status": "sync started", "connector": "legacy"}));
    assert_eq!(tcp.post("/connectors/legcy/sync", "").status, 404);
    assert_eq!(tcp.post("/sync/legacy/visits/1", "").json(), serde_json::json!({"status": "success"}));
    assert_eq!(tcp.post("/sync/legacy/visits/77", "").json()["status"], "failed");
    assert_eq!(tcp.post("/logs/office/tables/visits/reconcile", "{\"force\": false, \"wait\": true}").status, 200);
    assert_eq!(tcp.post("/logs/nowhere/tables/visits/reconcile", "{\"force\": false}").status, 404);
    assert_eq!(tcp.post("/logs/office/tables/nowhere/reconcile", "{\"force\": false}").status, 404);
    agent.stop();
}

#[test]
fn an_agent_that_was_started_with_a_relative_path_is_reached_from_every_folder() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    office.add_settings("api: {listen: \"unix:api.sock\"}");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hms-sync"));
    command.current_dir(office.config()).args(["-c", ".", "-v", "run"]).stdin(std::process::Stdio::null());
    command.env("HOME", office.folder()).env("XDG_RUNTIME_DIR", office.folder()).env_remove("XDG_STATE_HOME");
    let agent = Agent::start(command);
    agent.says("running: ");
    let synced = office.run(&["sync", "legacy"]);
    assert_eq!(synced.code, Some(0), "{synced:#?}");
    let status = office.run(&["status"]);
    assert_eq!(status.code, Some(0), "{status:#?}");
    agent.stop();
}
