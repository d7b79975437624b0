//! The support bundle tells what helps and nothing that must not leave: no secret, no record, wherever one could be.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::journal::committed;
use crate::support::loopback::Way;
use crate::support::office::{Office, THREE, ended, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::{self, End, Scenario};

const TOKEN: &str = "canary/T0ken+of=the:target";
const SSN: &str = "987-65-4321";

/// The files of a bundle by name.
fn unpacked(bundle: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(bundle).unwrap()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().strip_prefix("hms-sync").unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert!(files.insert(name, text).is_none(), "a name twice");
    }
    files
}

/// A verb that finds this program as `journalctl`.
fn with_journal(office: &Office, script: &str, arguments: &[&str]) -> Command {
    let folder = office.folder().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("journalctl"), format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(folder.join("journalctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = office.command(arguments);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", folder.display()));
    command
}

/// Makes a bundle and unpacks it.
fn bundle(office: &Office, name: &str) -> BTreeMap<String, String> {
    let file = office.folder().join(name);
    let made = ended(&mut with_journal(office, "exit 1", &["snapshot", file.to_str().unwrap()]));
    assert_eq!(made.code, Some(0), "{made:#?}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    unpacked(&file)
}

#[test]
fn no_secret_and_no_record_gets_into_the_bundle_the_log_or_status_wherever_they_are() {
    let target = Receiver::start();
    let office = Office::visits();
    let file = office.folder().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    office.add_settings(&format!("credentials: {{cdc: {{type: bearer, token: {{file: {}}}}}}}", file.display()));
    let (url, ca) = (target.url("/visits/{id}"), target.ca.file());
    office.connector(
        "legacy",
        &format!(
            "listen: [visits, rule-changed]\nwhere: \"after.name != 'canary {SSN}'\"\nstart: beginning\nconcurrency: 1\n\
             target: {{url: \"{url}\", method: PUT, authType: bearer, credentialsId: cdc, headers: {{X-Purpose: \"for {SSN}\"}}, tls: {{ca: \"{}\"}}}}\n\
             map: {{id: id, name: name, note: {{to: note, default: \"{SSN}\"}}}}\nretryPolicy: {{backoff: 20ms, maxBackoff: 200ms}}\n",
            ca.display()
        ),
    );
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    let agent = office.agent();
    // A receiver that says back what it was sent, and by whom; and one that answers nothing.
    target.meet(|request| {
        let echo =
            || scenario::json(422, &format!("X-Said: {TOKEN}\r\n"), &format!("{{\"error\": \"{SSN} {TOKEN}\"}}"));
        match request.path.as_str() {
            "/visits/1" => Some(Scenario::answer("echo", false, echo(), End::Keep)),
            "/visits/2" => Some(Scenario::named("commit_hang")),
            _ => None,
        }
    });
    office.sql(&format!("INSERT INTO visits VALUES (1, 'dead {SSN}', 1)"));
    agent.says("is a dead letter");
    let api = Way::socket(&office);
    let posted = json!({"type": "rule-changed", "payload": {"id": 3, "name": SSN}}).to_string();
    assert_eq!(api.post("/sync", &posted).status, 200);
    target.wait("what was posted arrives", |journal| committed(journal) >= 1);
    office.sql(&format!("INSERT INTO visits VALUES (2, 'FrozenCanary {SSN}', 2), (4, 'QueuedCanary {SSN}', 3)"));
    target.wait("one hangs", |journal| journal.iter().any(|entry| entry.path == "/visits/2"));

    let held = [SSN, TOKEN, "Y2FuYXJ5L1Qwa2Vu", "canary%2FT0ken", "FrozenCanary", "QueuedCanary"];
    let clean = |what: &str, text: &str| {
        for canary in held {
            assert!(!text.contains(canary), "{what} holds {canary}: {text}");
        }
    };
    let log = format!("echo 'WARN legacy: said {TOKEN} and Basic Y2FuYXJ5L1Qwa2VuK29mPXRoZTp0YXJnZXQ='");
    let (first, second) = (office.folder().join("running.tar.gz"), office.folder().join("stopped.tar.gz"));
    let made = ended(&mut with_journal(&office, &log, &["snapshot", first.to_str().unwrap()]));
    assert_eq!(made.code, Some(0), "{made:#?}");
    clean("what snapshot says", &format!("{}{}", made.stdout, made.stderr));
    clean("/status", &String::from_utf8_lossy(&api.get("/status").body));
    clean("the log", &agent.said());
    agent.kill();
    let made = ended(&mut with_journal(&office, &log, &["snapshot", second.to_str().unwrap()]));
    assert_eq!(made.code, Some(0), "{made:#?}");
    for bundle in [first, second] {
        let files = unpacked(&bundle);
        files.iter().for_each(|(name, text)| clean(name, text));
        assert!(files["log.txt"].contains("said *** and"), "{}", files["log.txt"]);
        // And it does tell.
        let state: Value = serde_json::from_str(&files["state.json"]).unwrap();
        let first = state["parked"][0].as_array().unwrap();
        assert_eq!(first[..3], [json!("legacy"), json!("dead"), json!("http-422")], "{state:#}");
        let status: Value = serde_json::from_str(&files["status.json"]).unwrap();
        assert_eq!(
            (&status["connectors"][0]["dead"], status["needs"].as_array().unwrap().is_empty()),
            (&json!(1), false)
        );
        let config: Value = serde_json::from_str(&files["configuration/connectors/legacy.yaml.json"]).unwrap();
        assert_eq!((&config["where"], &config["map"]["note"]["to"]), (&json!("after.name != ?"), &json!("note")));
        assert!(files["doctor.txt"].contains("legacy") && files["README.txt"].contains("state.json"));
        let tables: Value = serde_json::from_str(&files["tables.json"]).unwrap();
        assert_eq!(tables[0]["tables"][0]["columns"][1]["name"], "name", "{tables:#}");
    }
    for status in [office.run(&["status"]), office.run(&["--json", "status"]), office.run(&["doctor"])] {
        clean("what a verb says", &format!("{}{}", status.stdout, status.stderr));
    }
    // The token is in no file of ours. A record is in the state file where it waits, and nowhere else.
    for file in office.kept() {
        let bytes = std::fs::read(&file).unwrap();
        let has = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        assert!(!has, "{} holds the token", file.display());
    }
}

#[test]
fn a_bundle_of_a_configuration_that_is_wrong_says_where_and_none_of_its_text() {
    let office = Office::with(&Receiver::start(), "", THREE);
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.connector("wrong", &format!("target: {{urll: \"https://{SSN}.test\", headers: {{a: \"{TOKEN}\"}}}}\n"));
    office.connector("torn", &format!("target: \"{TOKEN}\n  x: [{SSN}\n"));
    let files = bundle(&office, "wrong.tar.gz");
    assert!(
        files["problems.txt"].contains("wrong.yaml:1:") && files["problems.txt"].contains("torn.yaml:"),
        "{files:#?}"
    );
    assert!(files["configuration/connectors/torn.yaml.json"].contains("cannot be read as YAML"), "{files:#?}");
    assert!(files["tables.json"].contains("visits"), "{files:#?}");
    files.iter().for_each(|(name, text)| assert!(!text.contains(TOKEN) && !text.contains(SSN), "{name}: {text}"));
    // Settings that cannot be read at all.
    std::fs::write(office.config().join("sync.yaml"), format!("database: [{SSN}\n")).unwrap();
    let files = bundle(&office, "torn.tar.gz");
    assert!(files["problems.txt"].contains("sync.yaml:"), "{files:#?}");
    assert!(files["README.txt"].contains("not all of it"), "{files:#?}");
    assert!(files["log.txt"].contains("could not be found out"), "{files:#?}");
    files.values().for_each(|text| assert!(!text.contains(SSN), "{text}"));
}

#[test]
fn a_bundle_of_a_damaged_state_file_says_so_and_has_all_the_rest() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    assert_eq!(office.once().0, Some(0));
    let mut bytes = std::fs::read(office.state()).unwrap();
    bytes[..4096].fill(0x5a);
    std::fs::write(office.state(), bytes).unwrap();
    let files = bundle(&office, "damaged.tar.gz");
    assert!(files["state.json"].contains("damaged"), "{files:#?}");
    assert!(files["doctor.txt"].contains("damaged"), "{files:#?}");
    assert!(files["tables.json"].contains("visits") && files["host.json"].contains("disks"), "{files:#?}");
}

#[test]
fn a_bundle_writes_over_nothing_and_its_list_writes_nothing() {
    let office = Office::with(&Receiver::start(), "", "");
    let file = office.folder().join("kept");
    std::fs::write(&file, "mine").unwrap();
    let refused = office.run(&["snapshot", file.to_str().unwrap()]);
    assert_eq!((refused.code, std::fs::read_to_string(&file).unwrap().as_str()), (Some(73), "mine"), "{refused:#?}");
    let names = || std::fs::read_dir(office.folder()).unwrap().count();
    let before = names();
    let mut command = office.command(&["snapshot", "--list"]);
    let listed = ended(command.current_dir(office.folder()));
    assert!(listed.code == Some(0) && listed.stdout.contains("state.json") && names() == before, "{listed:#?}");
    let json = office.run(&["--json", "snapshot", "--list"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(json["file"].is_null() && json["pieces"].as_array().unwrap().len() > 8, "{json:#}");
    // Without a name it stands in the folder that one is in.
    let made = ended(office.command(&["snapshot"]).current_dir(office.folder()));
    assert_eq!(made.code, Some(0), "{made:#?}");
    wait("it is there", || names() == before + 1);
}
