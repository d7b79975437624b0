//! A hook is asked about each payload, may change or refuse it, and without its answer nothing leaves.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::office::{Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// Refuses Bea, changes Cy, allows the others; of `dumb` it has no answer, while a file `down` stands beside it to nobody.
const HOOK: &str = r#"
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
for line in sys.stdin:
    asked = json.loads(line)
    with open(here + "/asked", "a") as file:
        file.write(line)
    payload = asked["payload"]
    name = payload.get("name")
    if name == "dumb" or os.path.exists(here + "/down"):
        sys.exit(1)
    elif name == "Bea":
        answer = {"verdict": "refuse", "rule": "no-bea", "field": "name"}
    elif name == "Cy":
        payload["name"] = "C."
        answer = {"verdict": "change", "payload": payload}
    else:
        answer = {"verdict": "allow"}
    answer["number"] = asked["number"]
    print(json.dumps(answer), flush=True)
"#;

/// Lines of a connector that is asked by the program above.
fn program(office: &Office) -> String {
    let path = office.folder().join("hook.py");
    std::fs::write(&path, HOOK).unwrap();
    format!("hook: {{exec: [/usr/bin/env, python3, '{}'], timeout: 20s}}", path.display())
}

fn asked(office: &Office) -> Vec<Value> {
    let text = std::fs::read_to_string(office.folder().join("asked")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bodies(target: &Receiver) -> Vec<Value> {
    let journal = target.journal();
    journal.iter().filter(|entry| entry.committed).map(|entry| serde_json::from_slice(&entry.body).unwrap()).collect()
}

/// An office with a target and the program as its hook.
fn office(target: &Receiver, more: &str, sql: &str) -> Office {
    let office = Office::visits();
    office.rest("legacy", target, &format!("{}\n{more}", program(&office)));
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(sql);
    office
}

#[test]
fn a_program_allows_changes_and_refuses_and_what_it_refuses_is_held_with_rule_and_field() {
    let target = Receiver::start();
    let office = office(&target, "", THREE);
    let (code, _) = office.once();
    assert_eq!(code, Some(1));
    let mut arrived = bodies(&target);
    arrived.sort_by_key(|body| body["id"].as_i64());
    assert_eq!(
        arrived,
        [json!({"id": 1, "name": "Ada", "minutes": 10}), json!({"id": 3, "name": "C.", "minutes": 30})]
    );
    let parked = office.parked("legacy");
    assert_eq!(parked.len(), 1);
    let reason = "gate: rule `no-bea` of the hook: field `name` of `visits` may not leave by this connector";
    assert_eq!((parked[0].state.as_str(), parked[0].reason.to_string().as_str()), ("held", reason));
    let first = &asked(&office)[0];
    assert_eq!(first["payload"], json!({"id": 1, "name": "Ada", "minutes": 10}));
    assert_eq!(
        (&first["connector"], &first["type"], &first["op"], &first["fields"]),
        (&json!("legacy"), &json!("visits"), &json!("insert"), &json!({"id": 1}))
    );
    // A release asks again, and later changes of the record wait until it is let go.
    office.sql("UPDATE visits SET name = 'Bo' WHERE id = 2");
    assert_eq!(office.once().0, Some(1));
    assert_eq!(office.parked_words("legacy"), ["held gate", "behind behind"]);
    assert_eq!(office.run(&["deliveries", "discard", "--connector", "legacy", "2", "--reason", "t"]).code, Some(0));
    assert_eq!(office.once().0, Some(0));
    assert_eq!(bodies(&target).last().unwrap()["name"], "Bo");
}

#[test]
fn the_gate_comes_first_and_the_hook_sees_nothing_that_may_not_leave() {
    let target = Receiver::start();
    let office =
        office(&target, "map: {id: id, name: name, minutes: m}\nredact: {minutes: mask}\nallow: [internal]", THREE);
    office.add_settings("governance: {classify: {visits: {name: internal, minutes: phi}}, default: internal}");
    assert_eq!(office.once().0, Some(1));
    let seen = asked(&office);
    assert_eq!(seen[0]["payload"], json!({"id": 1, "name": "Ada", "m": "***"}));
    assert_eq!(seen[0]["classes"], json!({"id": "internal", "name": "internal", "minutes": "phi"}));
    assert_eq!(seen.len(), 3);
    office.sql("UPDATE visits SET minutes = 4711 WHERE id = 1");
    office.rest("legacy", &target, &format!("{}\nmap: {{minutes: m}}", program(&office)));
    assert_eq!(office.once().0, Some(1));
    assert_eq!(asked(&office).len(), 3, "what the gate refuses is asked of nobody");
}

#[test]
fn a_hook_that_is_down_stops_its_connector_costs_no_attempts_and_holds_up_no_other() {
    let target = Receiver::start();
    let office = office(&target, "", "");
    office.rest("plain", &target, "");
    std::fs::write(office.folder().join("down"), "").unwrap();
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10), (4, 'Di', 40), (5, 'Eve', 50)");
    let agent = office.agent();
    office.wait_settled("plain");
    agent.says("legacy: nothing leaves: hook: the program has ended without an answer");
    wait("status says so", || office.run(&["status"]).stdout.contains("legacy is down: hook: "));
    assert_eq!((office.cursor("legacy"), office.parked("legacy").len()), (0, 0));
    assert_eq!(bodies(&target).len(), 3);
    std::fs::remove_file(office.folder().join("down")).unwrap();
    office.wait_settled("legacy");
    assert_eq!(bodies(&target).len(), 6);
    wait("it is not down any more", || !office.run(&["status"]).stdout.contains("is down"));
    agent.stop();

    // A run of once leaves off, as with a target that is down.
    std::fs::write(office.folder().join("down"), "").unwrap();
    office.sql("INSERT INTO visits VALUES (6, 'Fay', 60)");
    let (code, summary) = office.once();
    assert_eq!(code, Some(75), "{summary}");
    std::fs::remove_file(office.folder().join("down")).unwrap();
    assert_eq!(office.once().0, Some(0));
}

#[test]
fn a_payload_that_alone_has_no_answer_waits_and_the_others_go() {
    let target = Receiver::start();
    let office = office(&target, "", "");
    let agent = office.agent();
    office.sql("INSERT INTO visits VALUES (1, 'dumb', 10), (2, 'Bo', 20)");
    for id in 3..9 {
        office.sql(&format!("INSERT INTO visits VALUES ({id}, 'Gil', {id})"));
    }
    target.wait("the others arrive", |journal| journal.len() >= 7);
    wait("the one waits", || office.parked_words("legacy") == ["waiting hook"]);
    assert_eq!(office.parked("legacy")[0].attempts, 0);
    agent.stop();
}

#[test]
fn what_was_sent_changed_and_has_no_known_outcome_goes_again_as_it_was_and_nobody_is_asked_twice() {
    for parked in [false, true] {
        let target = Receiver::start();
        let office = office(&target, "", "");
        if parked {
            // Its first attempt is refused for now: from then on it is a parked delivery.
            target.next(Scenario::named("status_503"));
        }
        target.meet(|entry| (entry.method == "PUT").then(|| Scenario::named("commit_hang")));
        let agent = office.agent();
        office.sql("INSERT INTO visits VALUES (3, 'Cy', 30)");
        let tries = 1 + usize::from(parked);
        target.wait("it is under way", |journal| journal.len() == tries);
        agent.kill();
        let before = asked(&office).len();
        target.behave();
        target.meet(|_| None);
        let agent = office.agent();
        let journal = target.wait("it goes again", |journal| journal.len() > tries);
        office.wait_settled("legacy");
        let (first, again) = (&journal[tries - 1], &journal[tries]);
        assert_eq!((&first.key, &first.body, &first.path), (&again.key, &again.body, &again.path));
        assert!(String::from_utf8_lossy(&again.body).contains("C."));
        assert_eq!(asked(&office).len(), before);
        // Nothing of it is kept once its outcome is known.
        office.sql("INSERT INTO visits VALUES (4, 'Di', 40)");
        office.wait_settled("legacy");
        agent.stop();
        let state = rusqlite::Connection::open(office.state()).unwrap();
        let kept: i64 =
            state.query_row("SELECT count(*) FROM meta WHERE k LIKE 'amended/%'", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, 0);
    }
}

/// An address that answers each question; what it was asked is kept, head and body.
fn address(answer: impl Fn(&Value) -> String + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/gate", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let (mut seen, mut part) = (Vec::new(), [0; 4096]);
            let question = loop {
                let count = socket.read(&mut part).unwrap();
                seen.extend_from_slice(&part[..count]);
                let text = String::from_utf8(seen.clone()).unwrap();
                let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
                if let Some(question) = body {
                    kept.lock().unwrap().push(text);
                    break question;
                }
                assert!(count > 0, "{text}");
            };
            let body = answer(&question);
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            socket.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    (url, asked)
}

#[test]
fn an_address_is_asked_with_its_credential_and_several_records_may_go_in_one_request() {
    let target = Receiver::start();
    let (url, asked) = address(|asked| match asked["payload"]["name"].as_str() {
        Some("Bea") => json!({"verdict": "refuse", "rule": "no-bea", "field": "name"}).to_string(),
        Some("Cy") => json!({"verdict": "change", "payload": {"id": 3, "name": "C."}}).to_string(),
        Some("Zoe") => "<html>".to_owned(),
        _ => json!({"verdict": "allow"}).to_string(),
    });
    let office = Office::visits();
    std::fs::write(office.folder().join("token"), "t0ken").unwrap();
    std::fs::set_permissions(office.folder().join("token"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    office.add_settings("credentials: {ops: {type: bearer, token: {file: ../token}}}");
    office.add_settings(&format!(
        "governance: {{default: public, hook: {{url: '{url}', credentialsId: ops, timeout: 20s}}}}"
    ));
    let (url, ca) = (target.url("/all"), target.ca.file());
    let text = format!("target: {{url: '{url}', tls: {{ca: '{}'}}}}\nbatch: {{max: 10, shape: array}}", ca.display());
    office.connector("legacy", &format!("{text}\nstart: beginning"));
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(THREE);
    let ended = office.run(&["run", "--once"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let sent = || -> Vec<Value> { bodies(&target).iter().flat_map(|body| body.as_array().unwrap().clone()).collect() };
    let mut arrived = sent();
    arrived.sort_by_key(|record| record["id"].as_i64());
    assert_eq!(arrived, [json!({"id": 1, "name": "Ada", "minutes": 10}), json!({"id": 3, "name": "C."})]);
    assert_eq!(office.parked_words("legacy"), ["held gate"]);
    let heads = asked.lock().unwrap().clone();
    assert!(heads.len() == 3 && heads.iter().all(|head| head.contains("authorization: Bearer t0ken")), "{heads:#?}");
    // An answer that cannot be used lets nothing leave.
    office.sql("INSERT INTO visits VALUES (9, 'Zoe', 1)");
    let ended = office.run(&["run", "--once"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("no JSON object"), "{ended:#?}");
    assert_eq!(sent().len(), 2);
}

#[cfg(feature = "sftp")]
mod files {
    use super::{HOOK, asked, wait};
    use crate::support::office::{Agent, Office};

    const DROP: &str = "adapter: directory
listen: visits
start: beginning
retryPolicy: {backoff: 50ms, maxBackoff: 200ms}
map: {id: id, name: name}
drop:
  schedule: {cut_off: \"00:00\", zone: UTC}
  source: {key: [id], extract: EXTRACT}
  format: {kind: csv, columns: [id, name]}
  name: \"V{seq:06}.csv\"
  when_empty: skip
  deliver: {directory: ../../out}
";

    fn office(extract: &str) -> Office {
        let office = Office::visits();
        std::fs::create_dir_all(office.folder().join("out")).unwrap();
        std::fs::write(office.folder().join("hook.py"), HOOK).unwrap();
        let hook = office.folder().join("hook.py");
        let hook = format!("hook: {{exec: [/usr/bin/env, python3, '{}'], timeout: 20s}}", hook.display());
        office.connector("nightly", &format!("{hook}\n{}", DROP.replace("EXTRACT", extract)));
        assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
        office
    }

    fn published(office: &Office) -> Vec<String> {
        let mut files: Vec<_> =
            std::fs::read_dir(office.folder().join("out")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        let text = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
        files.iter().filter(|path| path.extension().is_some_and(|end| end == "csv")).map(text).collect()
    }

    #[test]
    fn a_file_has_what_the_hook_allows_as_it_has_changed_it_and_a_preview_asks_nobody() {
        for extract in ["changes", "snapshot"] {
            let office = office(extract);
            office.sql("INSERT INTO visits VALUES (1, 'Ada', 10), (2, 'Bea', 20), (3, 'Cy', 30)");
            let preview = office.run(&["drop", "preview", "nightly"]);
            assert!(preview.stdout.contains("Bea") && preview.stderr.contains("the hook is not asked"), "{preview:?}");
            assert!(asked(&office).is_empty());
            assert_eq!(office.run(&["drop", "run", "nightly"]).code, Some(0));
            assert_eq!(published(&office), ["id,name\n1,Ada\n3,C.\n"], "{extract}");
            assert_eq!(office.parked_words("nightly"), ["held gate"]);
            assert!(office.parked("nightly")[0].reason.text.contains("rule `no-bea` of the hook: field `name`"));
            assert_eq!(asked(&office).len(), 3);
        }
    }

    #[test]
    fn without_an_answer_no_file_is_cut_and_it_is_cut_when_the_hook_is_back() {
        let office = office("changes");
        office.sql("INSERT INTO visits VALUES (1, 'Ada', 10), (3, 'Cy', 30)");
        std::fs::write(office.folder().join("down"), "").unwrap();
        let ended = office.run(&["drop", "run", "nightly"]);
        assert_ne!(ended.code, Some(0), "{ended:?}");
        assert!(published(&office).is_empty());
        let agent: Agent = office.agent();
        agent.says("is not cut yet: hook: the program has ended without an answer");
        std::fs::remove_file(office.folder().join("down")).unwrap();
        wait("the file is there", || published(&office) == ["id,name\n1,Ada\n3,C.\n"]);
        agent.stop();
    }
}
