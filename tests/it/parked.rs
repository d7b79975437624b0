//! What people do with deliveries and connectors that stand aside, shown of the shipped binary.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use hms_sync::store::state::connector::Mode;

use crate::support::journal::{at, body, committed};
use crate::support::office::{Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// Three visits, the first of them refused, with a later change behind it.
fn refused(target: &Receiver, more: &str) -> Office {
    target.meet(|entry| (entry.path == "/visits/1").then(|| Scenario::named("refused")));
    let office = Office::with(target, more, &format!("{THREE} UPDATE visits SET minutes = 11 WHERE id = 1;"));
    assert_eq!(office.once().0, Some(1));
    target.behave();
    office
}

#[test]
fn a_discarded_dead_letter_is_never_sent_and_the_next_of_its_record_moves_up() {
    let target = Receiver::start();
    let office = refused(&target, "");
    assert_eq!(office.parked_words("legacy"), ["dead http-422", "behind behind"]);
    let head = office.parked("legacy")[0].event.id.to_string();
    assert_eq!(office.run(&["deliveries", "discard", &head]).code, Some(0));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let sent = at(&journal, "/visits/1");
    assert_eq!(sent.iter().filter(|entry| entry.key == head).count(), 1, "only the refused attempt");
    assert_eq!(body(sent.last().unwrap())["minutes"], 11);
    assert_eq!(office.parked_words("legacy"), Vec::<String>::new());
}

#[test]
fn a_delivery_that_a_person_holds_waits_over_a_restart_until_it_is_released() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    assert_eq!(office.once().0, Some(0));
    office.sql(THREE);
    assert_eq!(office.run(&["deliveries", "hold", "2", "--connector", "legacy"]).code, Some(0));
    office.agent().kill();
    office.once();
    assert_eq!(committed(&target.journal()), 2, "the others arrive");
    assert_eq!(office.parked_words("legacy"), ["held operator"]);
    assert!(at(&target.journal(), "/visits/2").is_empty());
    assert_eq!(office.run(&["deliveries", "release", "2"]).code, Some(0));
    assert_eq!(office.once().0, Some(0));
    office.judge("legacy", &target);
}

#[test]
fn with_on_dead_continue_later_changes_flow_and_a_retry_of_the_older_one_is_refused_unless_asked_for() {
    let target = Receiver::start();
    target.next(Scenario::named("refused"));
    let office = Office::with(&target, "onDead: continue\nconcurrency: 1", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    assert_eq!(office.once().0, Some(1));
    office.sql("UPDATE visits SET minutes = 11");
    office.once();
    assert_eq!((committed(&target.journal()), office.parked_words("legacy")), (1, vec!["dead http-422".to_owned()]));
    assert_eq!(office.run(&["deliveries", "retry", "1"]).code, Some(65), "the target has a later state");
    assert_eq!(office.run(&["deliveries", "retry", "1", "--stale"]).code, Some(0));
    assert_eq!(office.once().0, Some(0));
    assert_eq!(committed(&target.journal()), 2);
}

#[test]
fn a_dead_letter_that_holds_nobody_back_lets_what_waits_behind_a_later_one_go_on_too() {
    for serial in ["serial: true", "concurrency: 1"] {
        let target = Receiver::start();
        for name in ["refused", "status_503"] {
            target.next(Scenario::named(name));
        }
        let office = Office::with(
            &target,
            &format!("onDead: continue\n{serial}"),
            "INSERT INTO visits VALUES (1, 'Ada', 10); UPDATE visits SET minutes = 11; UPDATE visits SET minutes = 12",
        );
        assert_eq!(office.once().0, Some(1), "{serial}");
        wait("the others are delivered", || {
            office.once();
            office.parked_words("legacy") == ["dead http-422"]
        });
        let journal = target.journal();
        let minutes: Vec<i64> = journal
            .iter()
            .filter(|entry| entry.committed)
            .map(|entry| body(entry)["minutes"].as_i64().unwrap())
            .collect();
        assert_eq!(minutes, [11, 12], "{serial}");
        // A person who holds one and lets it go finds it on its way again.
        target.next(Scenario::named("status_503"));
        office.sql("UPDATE visits SET minutes = 13");
        office.once();
        if !office.parked_words("legacy").iter().any(|word| word.starts_with("waiting")) {
            continue;
        }
        assert_eq!(office.run(&["deliveries", "hold", "4"]).code, Some(0), "{serial}");
        assert_eq!(office.run(&["deliveries", "release", "4"]).code, Some(0), "{serial}");
        wait("what was let go is delivered", || {
            office.once();
            office.parked_words("legacy") == ["dead http-422"]
        });
    }
}

/// Asks the agent over its socket.
fn post(office: &Office, path: &str) -> String {
    let socket = office.folder().join("api.sock");
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_paused_connector_sends_nothing_also_after_a_kill_until_it_is_resumed() {
    let (target, other) = (Receiver::start(), Receiver::start());
    let office = Office::with(&target, "", "");
    office.add_settings(&format!("api: {{listen: \"unix:{}\"}}", office.folder().join("api.sock").display()));
    office.rest("other", &other, "");
    let agent = office.agent();
    assert!(post(&office, "/connectors/legacy/pause").starts_with("HTTP/1.1 200"));
    wait("it is stored", || office.mode("legacy").0 == Mode::Paused);
    office.sql(THREE);
    other.wait("the other goes on", |journal| committed(journal) == 3);
    agent.kill();
    let agent = office.agent();
    office.sql("UPDATE visits SET minutes = 1");
    other.wait("the other goes on", |journal| committed(journal) == 6);
    assert!(target.journal().is_empty());
    assert_eq!(office.run(&["status"]).code, Some(0), "a pause is what somebody wants");
    // Until it costs something: six changes wait, and the log holds seven. The agent sets its own cap at its first tidying.
    wait("status tells", || {
        office.sql("UPDATE hms_sync_ctl SET cap = 7");
        let status = office.run(&["status"]);
        status.code == Some(1) && status.stdout.contains("legacy: is paused and 6 changes behind")
    });
    assert!(post(&office, "/connectors/legacy/resume").starts_with("HTTP/1.1 200"));
    office.wait_settled("legacy");
    agent.stop();
    assert_eq!(office.mode("legacy").0, Mode::Running);
    office.judge("legacy", &target);
}

#[test]
fn a_connector_that_nobody_knows_is_an_error_of_every_verb_that_names_one() {
    let target = Receiver::start();
    let office = refused(&target, "");
    for verb in [&["list"][..], &["retry"], &["discard"], &["hold"], &["release"], &["show", "1"]] {
        let ended = office.run(&[&["deliveries"], verb, &["--connector", "legcy"]].concat());
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("no connector `legcy`") && ended.stderr.contains("`legacy`?"), "{ended:?}");
    }
    // One whose file is gone is still known by what is parked for it.
    std::fs::rename(office.config().join("connectors/legacy.yaml"), office.folder().join("away.yaml")).unwrap();
    assert_eq!(office.run(&["deliveries", "discard", "--connector", "legacy"]).code, Some(0));
    assert_eq!(office.parked("legacy").len(), 0);
}
