//! Somebody is told when something needs a person, and when it is over: once for each condition, by every channel, and never
//! at the cost of a delivery.

mod ahead;
mod files;
mod mail;
mod records;
mod standing;
mod surviving;

use std::path::PathBuf;

use serde_json::Value;

use crate::support::loopback::Way;
use crate::support::office::{Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// Looks each second, and takes a second of calm for the end.
pub const QUICK: &str = "alertAfter: {check: 1s, clear: 1s, diskFree: 1}";

/// An office whose target refuses the records of these ids.
pub fn refusing(target: &Receiver, paths: &'static [&'static str]) {
    target.meet(move |entry| paths.contains(&entry.path.as_str()).then(|| Scenario::named("status_422")));
}

/// The notices in a file of lines.
pub fn lines(path: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// What happened, in short: event and condition.
pub fn words(notices: &[Value]) -> Vec<String> {
    let word = |notice: &Value, name: &str| notice[name].as_str().unwrap().to_owned();
    notices
        .iter()
        .map(|notice| format!("{} {} {}", word(notice, "event"), word(notice, "condition"), word(notice, "subject")))
        .collect()
}

#[test]
fn three_dead_letters_are_one_alert_by_file_program_and_webhook_and_it_is_over_when_they_are_gone() {
    let (target, hook) = (Receiver::start(), Receiver::start());
    refusing(&target, &["/visits/1", "/visits/2", "/visits/3"]);
    let office = Office::with(&target, "", THREE);
    let (file, run) = (office.folder().join("alerts.jsonl"), office.folder().join("run.jsonl"));
    std::fs::write(office.folder().join("hook.secret"), "canary-secret-of-the-hook").unwrap();
    std::fs::set_permissions(office.folder().join("hook.secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    office.add_settings(QUICK);
    office.add_settings(&format!(
        "alerts:\n  - {{type: file, path: {}}}\n  - {{type: exec, command: [sh, -c, 'cat >> {1}; echo >> {1}']}}\n  - {{type: webhook, url: \"{2}\", secret: {{file: ../hook.secret}}, tls: {{ca: {3}}}}}\n  - {{type: file, name: never, path: /no/such/folder/x, on: [certificate]}}",
        file.display(),
        run.display(),
        hook.url("/hook?token=canary-query"),
        hook.ca.file().display()
    ));
    let agent = office.agent();
    let told = hook.wait("the hook is told", |journal| !journal.is_empty());
    wait("all are told", || lines(&file).len() == 1 && lines(&run).len() == 1);
    let notice = &lines(&file)[0];
    assert_eq!(words(std::slice::from_ref(notice)), ["opened dead-letters legacy"]);
    assert_eq!(
        (&notice["version"], &notice["office"], &notice["severity"]),
        (&1.into(), &"OF042".into(), &"critical".into())
    );
    // However many there were at the first look, it is one alert, and `status` has the latest count.
    assert_eq!(&lines(&run)[0], notice);
    assert_eq!(serde_json::from_slice::<Value>(&told[0].body).unwrap(), *notice);
    assert_eq!(told[0].header("idempotency-key"), notice["id"].as_str());
    let signature = told[0].header("sync-signature").unwrap();
    let (seconds, tag) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"canary-secret-of-the-hook");
    let signed = [seconds.as_bytes(), b".", &told[0].body].concat();
    let bytes: Vec<u8> =
        (0..tag.len()).step_by(2).map(|at| u8::from_str_radix(&tag[at..at + 2], 16).unwrap()).collect();
    aws_lc_rs::hmac::verify(&key, &signed, &bytes).unwrap();

    wait("status knows of three", || {
        let alerts = Way::socket(&office).get("/alerts").json();
        alerts[0]["count"] == 3 && alerts.as_array().unwrap().len() == 1
    });
    let status = office.run(&["status"]);
    assert!(status.stdout.contains("alert dead-letters legacy for "), "{status:#?}");
    let listed = office.run(&["--json", "alerts", "list"]);
    assert_eq!(listed.code, Some(1));
    assert_eq!(serde_json::from_str::<Value>(&listed.stdout).unwrap(), Way::socket(&office).get("/alerts").json());
    assert!(agent.said().contains("[OF042] dead-letters: legacy"), "{}", agent.said());

    assert_eq!(
        office.run(&["deliveries", "discard", "--connector", "legacy", "--state", "dead", "--reason", "test"]).code,
        Some(0)
    );
    wait("it is over", || lines(&file).len() == 2 && lines(&run).len() == 2);
    assert_eq!(words(&lines(&file)), ["opened dead-letters legacy", "cleared dead-letters legacy"]);
    assert_eq!(lines(&file)[1]["alert"], lines(&file)[0]["alert"]);
    assert_ne!(lines(&file)[1]["id"], lines(&file)[0]["id"]);
    hook.wait("the hook hears of the end", |journal| journal.len() == 2);
    assert_eq!(Way::socket(&office).get("/alerts").json(), serde_json::json!([]));
    assert_eq!(office.run(&["alerts", "list"]).code, Some(0));
    let all = [std::fs::read_to_string(&file).unwrap(), agent.said()].concat();
    for secret in ["canary", "Ada", "Bea"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    agent.stop();
}

#[test]
fn an_endpoint_that_is_down_is_told_after_its_time_and_not_also_as_an_old_event() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let file = office.folder().join("alerts.jsonl");
    office.add_settings("alertAfter: {check: 1s, clear: 1s, breakerOpen: 2s, oldest: 1s, diskFree: 1}");
    office.add_settings(&format!("alerts: [{{type: file, path: {}}}]", file.display()));
    let agent = office.agent();
    target.close();
    office.sql(THREE);
    wait("it is told", || !lines(&file).is_empty());
    assert_eq!(words(&lines(&file)), ["opened breaker-open legacy"]);
    target.reopen();
    wait("and that it is over", || lines(&file).len() == 2);
    assert_eq!(words(&lines(&file))[1], "cleared breaker-open legacy");
    agent.stop();
}

#[test]
fn a_paused_connector_with_old_events_and_one_that_delivers_nothing_are_told_where_somebody_wants_to_know() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let file = office.folder().join("alerts.jsonl");
    office.rest("idle", &target, "listen: nothing");
    office.add_settings(
        "alertAfter: {check: 1s, diskFree: 1, connectors: {legacy: {oldest: 1s}, idle: {noDelivery: 2s}}}",
    );
    office.add_settings(&format!("alerts: [{{type: file, path: {}}}]", file.display()));
    let agent = office.agent();
    assert_eq!(Way::socket(&office).post("/connectors/legacy/pause", "{}").status, 200);
    office.sql(THREE);
    wait("both are told", || lines(&file).len() == 2);
    let mut told = words(&lines(&file));
    told.sort();
    assert_eq!(told, ["opened no-delivery idle", "opened oldest legacy"]);
    assert!(lines(&file).iter().any(|notice| notice["what"].as_str().unwrap().contains("it is paused")));
    agent.stop();
}

#[test]
fn a_watched_table_that_is_gone_is_told_under_the_name_of_its_log() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let file = office.folder().join("alerts.jsonl");
    office.add_settings(QUICK);
    office.add_settings(&format!("alerts: [{{type: file, path: {}}}]", file.display()));
    let agent = office.agent();
    office.wait_settled("legacy");
    office.sql("DROP TABLE visits");
    wait("it is told", || !lines(&file).is_empty());
    assert_eq!(words(&lines(&file)), ["opened capture office"]);
    agent.stop();
}

#[test]
fn a_test_reaches_each_channel_without_an_agent_and_says_which_cannot_be_reached() {
    let (target, hook) = (Receiver::start(), Receiver::start());
    let office = Office::with(&target, "", "");
    let file = office.folder().join("alerts.jsonl");
    assert_eq!(office.run(&["alerts", "test"]).code, Some(0));
    office.add_settings(&format!(
        "alerts:\n  - {{type: file, path: {}}}\n  - {{type: webhook, name: ops, url: \"{}\", tls: {{ca: {}}}}}\n  - {{type: exec, command: [\"false\"]}}",
        file.display(),
        hook.url("/hook"),
        hook.ca.file().display()
    ));
    let tried = office.run(&["alerts", "test"]);
    assert_eq!(tried.code, Some(69), "{tried:#?}");
    assert!(
        tried.stdout.contains("ops: told") && tried.stdout.contains("exec false: not told: exec: false: it ended with"),
        "{tried:#?}"
    );
    assert_eq!(lines(&file)[0]["event"], "test");
    assert_eq!(hook.journal().len(), 1);
    assert_eq!(office.run(&["alerts", "test", "--channel", "ops"]).code, Some(0));
    assert_eq!(office.run(&["alerts", "test", "--channel", "opss"]).code, Some(2));
    hook.next(Scenario::named("status_401"));
    let refused = office.run(&["--json", "alerts", "test", "--channel", "ops"]);
    let told: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!((refused.code, &told[0]["reason"]), (Some(69), &"http-401: it answered 401".into()));
    // What only shows when it is built is said with its key.
    office.add_settings("credentials: {ops: {type: bearer, token: {file: x}}}");
    let sync = office.config().join("sync.yaml");
    let text = std::fs::read_to_string(&sync).unwrap();
    std::fs::write(
        &sync,
        text.replace(
            "command: [\"false\"]}",
            "command: [\"false\"]}\n  - {type: email, smtp: smtp://localhost, to: a@b.test, credentialsId: ops}",
        ),
    )
    .unwrap();
    let wrong = office.run(&["alerts", "test"]);
    assert_eq!(wrong.code, Some(78));
    assert!(wrong.stderr.contains("alerts[3].credentialsId: `ops` is not of type basic"), "{wrong:#?}");
    office.add_settings("alertAfter: {connectors: {legcy: {noDelivery: 1d}, legacy: {oldest: 1h}}}");
    let checked = office.run(&["check"]);
    assert_eq!(checked.code, Some(78));
    for text in [
        "alerts[3].credentialsId: `ops` is not of type basic",
        "warning: alertAfter.connectors.legcy: there is no connector `legcy`",
    ] {
        assert!([&*checked.stdout, &*checked.stderr].concat().contains(text), "{text}: {checked:#?}");
    }
    assert!(!checked.stdout.contains("connectors.legacy"), "{checked:#?}");
}
