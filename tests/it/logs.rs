//! The log: in the journal each line has its priority and its fields, on stderr it is text; one line an event, bounded, and
//! without secrets.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::journald::{Entry, Journald};
use crate::support::office::{Agent, Office, THREE, ended, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// A field of an entry; empty = it has none.
fn field<'a>(entry: &'a Entry, name: &str) -> &'a str {
    entry.get(name).map_or("", String::as_str)
}

#[test]
fn lines_in_the_journal_have_priority_and_fields_and_none_goes_to_stderr() {
    let target = Receiver::start();
    target.next(Scenario::named("refused"));
    let office = Office::with(&target, "concurrency: 1", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    let journald = Journald::start();
    let agent = Agent::start(journald.around(&office.command(&["run"])));
    let running = journald.hears("running: legacy");
    assert_eq!((field(&running, "PRIORITY"), field(&running, "SYSLOG_IDENTIFIER")), ("5", "hms-sync"));
    let dead = journald.hears("is a dead letter");
    assert_eq!(field(&dead, "PRIORITY"), "3");
    assert_eq!((field(&dead, "HMS_CONNECTOR"), field(&dead, "HMS_CLASS")), ("legacy", "http-422"));
    wait("it is parked", || !office.parked("legacy").is_empty());
    let id = office.parked("legacy")[0].event.id.to_string();
    assert_eq!(field(&dead, "HMS_EVENT"), id);
    target.close();
    office.sql("INSERT INTO visits VALUES (2, 'Bea', 20)");
    let down = journald.hears("the endpoint is down");
    assert_eq!((field(&down, "PRIORITY"), field(&down, "HMS_CONNECTOR")), ("4", "legacy"));
    assert!(!field(&down, "HMS_CLASS").is_empty(), "{down:?}");
    let names = |entry: &Entry| entry.keys().any(|name| name.starts_with("CODE_"));
    assert!(!journald.entries().iter().any(names), "where a line stands in the code tells nobody anything");
    assert_eq!(agent.said(), "");
    agent.stop();
}

#[test]
fn one_event_is_one_line_of_bounded_length_whatever_its_names_hold() {
    let office = Office::visits();
    // Each of these 500 characters is told as six.
    let (name, long) = ("x\nFORGED=1\nPRIORITY=0\u{1b}[31m\u{9b}", format!("long{}", "\u{1b}".repeat(500)));
    office.sql(&format!(
        "CREATE TABLE \"{name}\"(id INTEGER PRIMARY KEY); CREATE TABLE \"{long}\"(id INTEGER PRIMARY KEY)"
    ));
    office.settings(&format!(r#""x\nFORGED=1\nPRIORITY=0\e[31m\x9b": {{}}, "long{}": {{}}"#, r"\e".repeat(500)));
    office.connector("legacy", "target: {url: \"http://127.0.0.1:1/\"}\n");
    let journald = Journald::start();
    let agent = Agent::start(journald.around(&office.command(&["run"])));
    let entry = journald.hears("table x");
    assert!(entry["MESSAGE"].contains("x\\nFORGED=1\\nPRIORITY=0\\u{1b}[31m\\u{9b}"), "{entry:?}");
    assert!(field(&entry, "FORGED").is_empty() && field(&entry, "PRIORITY") == "5", "{entry:?}");
    let entry = journald.hears("table long");
    assert!(entry["MESSAGE"].len() < 5000 && entry["MESSAGE"].contains("bytes more)"), "{entry:?}");
    agent.stop();
    // On stderr too.
    let agent = office.agent();
    agent.stop();
    let said = ended(&mut office.command(&["-v", "run", "--once"])).stderr;
    assert!(!said.contains('\u{1b}') && said.lines().all(|line| line.len() < 5000), "{said}");
}

#[test]
fn a_secret_that_was_read_is_shown_in_no_line_and_no_field() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let token = "canary-c0ffee";
    let file = office.folder().join("token");
    std::fs::write(&file, token).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    office.add_settings(&format!("credentials: {{canary: {{type: bearer, token: {{file: {}}}}}}}", file.display()));
    // A connector that is called like its own secret: each line about it would show it.
    let (url, ca) = (target.url("/visits/{id}"), target.ca.file());
    office.connector(
        token,
        &format!(
            "target: {{url: \"{url}\", method: PUT, authType: bearer, credentialsId: canary, tls: {{ca: \"{}\"}}}}\nstart: beginning\n",
            ca.display()
        ),
    );
    target.meet(|request| request.path.contains("/visits/1").then(|| Scenario::named("refused")));
    let journald = Journald::start();
    let agent = Agent::start(journald.around(&office.command(&["-v", "run"])));
    journald.hears("running: ");
    office.sql(THREE);
    let dead = journald.hears("***: ");
    assert_eq!(field(&dead, "HMS_CONNECTOR"), "***", "{dead:?}");
    let read = journald.entries().into_iter().skip_while(|entry| !entry["MESSAGE"].contains("***"));
    let shown: Vec<Entry> = read.filter(|entry| entry.values().any(|text| text.contains(token))).collect();
    assert!(shown.is_empty(), "{shown:#?}");
    agent.stop();
}

#[test]
fn a_start_that_fails_is_told_to_the_journal_line_by_line_as_errors() {
    let office = Office::visits();
    office.connector("legacy", "target: {urll: \"https://legacy.test/\"}\n");
    let journald = Journald::start();
    let output = ended(&mut journald.around(&office.command(&["run"])));
    assert_eq!((output.code, output.stderr.as_str()), (Some(78), ""));
    let entry = journald.hears("legacy.yaml:1:");
    assert_eq!((field(&entry, "PRIORITY"), field(&entry, "HMS_EXIT")), ("3", "78"), "{entry:?}");
    assert!(!journald.entries().iter().any(|entry| entry["MESSAGE"].contains("\\n")));
}

#[test]
fn stderr_that_does_not_lead_to_the_journal_gets_the_lines() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let journald = Journald::start();
    // As in a unit whose stderr goes to a file, and in whatever a service starts with a pipe: the variable is inherited.
    let mut command = office.command(&["run"]);
    command.env("JOURNAL_STREAM", "1:1");
    let agent = Agent::start(command);
    agent.says("running: legacy");
    assert!(journald.entries().is_empty());
    agent.stop();
}
