//! `check --online`: each place is reached and looked at, and nothing is changed there.

use std::fs;
use std::process::Command;

use crate::support::office::{Ended, Office, ended};
use crate::support::sshd::{Sshd, me};

/// An office with a drop to these places; `ack` is a section, or nothing.
fn office(adapter: &str, deliver: &str, ack: &str) -> Office {
    let office = Office::visits();
    let drop = format!(
        "adapter: {adapter}\nlisten: visits\ndrop:\n  schedule: {{cut_off: \"18:00\", zone: UTC}}\n  \
         format: {{kind: csv, columns: [id, name]}}\n  name: \"V{{seq:06}}.csv\"\n  deliver: {deliver}\n{ack}"
    );
    office.connector("nightly", &drop);
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office
}

/// Both verbs that reach places; what they say.
fn reached(office: &Office) -> [Ended; 2] {
    [office.run(&["check", "--online"]), office.run(&["doctor", "--online"])]
}

/// Both say it of the place, with the connector's name.
#[track_caller]
fn says(office: &Office, place: &str, text: &str, code: i32) {
    for said in reached(office) {
        let is_said = |line: &str| line.contains(&format!("nightly, {place}")) && line.contains(text);
        assert!(said.stdout.lines().any(is_said), "{place}, {text}: {said:#?}");
        assert_eq!(said.code, Some(code), "{said:#?}");
    }
}

fn sftp(server: &Sshd, dir: &str, host_key: &str) -> String {
    let (key, port, user) = (server.folder.path().join("user"), server.port, me());
    format!(
        "[{{sftp: {{host: 127.0.0.1, port: {port}, user: {user}, key: {{file: {}}}, host_key: \"{host_key}\", dir: {dir}}}, name: host}}]",
        key.display()
    )
}

const ACK: &str = "  ack: {dir: DIR, pattern: \"*.ack\", format: {kind: csv, columns: [{field: id, required: true}], header: [\"ACK {seq}\"]}, match: {file: {sequence: seq}}, after: AFTER}\n";

fn ack(dir: &str, after: &str) -> String {
    ACK.replace("DIR", dir).replace("AFTER", after)
}

#[test]
fn a_server_is_reached_and_its_folders_are_looked_at_and_left_as_they_are() {
    let server = Sshd::start("");
    let (files, key) = (server.files(), server.fingerprint("ed25519"));
    let dir = files.to_str().unwrap();
    fs::create_dir(files.join("acks")).unwrap();
    let fine = office("sftp", &sftp(&server, dir, &key), &ack(&format!("{dir}/acks"), "leave"));
    says(&fine, "host", "can be reached, and its folder is there", 0);
    says(&fine, "answers from host", "can be reached", 0);
    assert_eq!(server.names(), ["acks"]);
    assert!(fine.run(&["check"]).code == Some(0), "without --online nothing is reached");

    let missing = office("sftp", &sftp(&server, &format!("{dir}/nowhere"), &key), "");
    says(&missing, "host", "missing: ", 69);
    says(&missing, "host", "nowhere", 69);
    fs::write(files.join("plain"), "").unwrap();
    let plain = office("sftp", &sftp(&server, &format!("{dir}/plain"), &key), "");
    says(&plain, "host", "plain is not a folder there", 69);
    let answers = office("sftp", &sftp(&server, dir, &key), &ack(&format!("{dir}/gone"), "leave"));
    says(&answers, "host", "can be reached", 69);
    says(&answers, "answers from host", "missing: ", 69);
}

#[test]
fn a_server_that_is_another_or_lets_nobody_in_is_said_to() {
    let server = Sshd::start("");
    let other = Sshd::start("");
    let dir = server.files().to_str().unwrap().to_owned();
    let wrong = office("sftp", &sftp(&server, &dir, &other.fingerprint("ed25519")), "");
    says(&wrong, "host", &server.fingerprint("ed25519"), 69);
    fs::write(server.folder.path().join("authorized"), "").unwrap();
    let shut = office("sftp", &sftp(&server, &dir, &server.fingerprint("ed25519")), "");
    says(&shut, "host", "authentication: ", 69);
    let port = server.port;
    drop(server);
    let gone = office("sftp", &sftp(&other, &dir, "SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDqPZMXKFrRtFvJxLk"), "");
    let path = gone.config().join("connectors/nightly.yaml");
    let text = fs::read_to_string(&path).unwrap().replace(&format!("port: {}", other.port), &format!("port: {port}"));
    fs::write(path, text).unwrap();
    says(&gone, "host", "connection: ", 69);
}

#[test]
fn a_folder_of_this_machine_must_be_there_and_be_writable() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir_all(&out).unwrap();
    let place = |path: &std::path::Path| format!("{{directory: {}, name: share}}", path.display());
    let fine = office("directory", &place(&out), "");
    says(&fine, "share", "can be reached, and its folder is there", 0);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    let missing = office("directory", &place(&folder.path().join("nowhere")), "");
    says(&missing, "share", "missing: ", 69);
    // A mount that may only be read, in a world of its own.
    let command = fine.command(&["check", "--online"]);
    let mut closed = Command::new("unshare");
    closed.args([
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs -o ro none \"$1\" && shift && exec \"$@\"",
        "sh",
    ]);
    closed.arg(&out).arg(command.get_program()).args(command.get_args());
    let said = ended(&mut closed);
    assert_eq!(said.code, Some(69), "{said:#?}");
    assert!(said.stdout.contains("nightly, share: cannot be reached"), "{said:#?}");
}
