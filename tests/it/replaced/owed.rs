//! What the agent had read of the old file and not sent yet: the new file does not tell it again.

use std::fs;

use hms_sync::engine::operate::{Actor, Operation, operate};
use hms_sync::store::state::State;
use rusqlite::Connection;

use super::*;

/// Lets the connector stand still, or go on. No agent runs.
fn order(office: &Office, operation: &Operation) {
    let actor = Actor { name: "test".to_owned(), reason: None };
    let mut state = State::open(&office.state()).unwrap();
    assert_eq!(operate(&mut state, operation, &actor).unwrap().refused, []);
}

fn pause(office: &Office) {
    order(office, &Operation::Pause { connector: "legacy".to_owned() });
}

fn resume(office: &Office) {
    order(office, &Operation::Resume { connector: "legacy".to_owned() });
}

/// Waits until the end of the old file was read and the new one is compared; then everything is delivered.
fn heal_paused(office: &Office, agent: Agent) -> Agent {
    agent.says("visits is reconciled");
    agent.stop();
    resume(office);
    office.agent()
}

#[test]
fn a_delete_that_was_read_and_not_sent_when_the_file_was_replaced_reaches_the_target() {
    for (mode, stopped) in [("wal", false), ("delete", false), ("wal", true)] {
        let target = Receiver::start();
        let (office, agent) = delivered_in(&target, mode);
        let backup = backup_in(&office, mode);
        change_both(&office, &target);
        agent.stop();
        pause(&office);
        let mut agent = office.agent();
        // The target has record 3; neither the table nor the backup has it.
        write(&office, "UPDATE visits SET minutes = 98 WHERE id = 1; DELETE FROM visits WHERE id = 3");
        if stopped {
            agent.stop();
            put_in_place(&office, &backup);
            agent = office.agent();
        } else {
            put_in_place(&office, &backup);
        }
        let agent = heal_paused(&office, agent);
        heals(&office, &target, agent);
    }
}

#[test]
fn a_key_that_was_changed_and_not_sent_when_the_file_was_replaced_is_deleted_at_the_target() {
    let target = Receiver::start();
    let (office, agent) = delivered_in(&target, "wal");
    let backup = backup_in(&office, "wal");
    change_both(&office, &target);
    agent.stop();
    pause(&office);
    let agent = office.agent();
    write(&office, "UPDATE visits SET id = 4 WHERE id = 3");
    put_in_place(&office, &backup);
    let agent = heal_paused(&office, agent);
    heals(&office, &target, agent);
}

/// The image that the log told last is the one that stands in the new file, and the target has an older one.
#[test]
fn an_image_that_was_read_and_not_sent_is_sent_though_the_new_file_has_the_same() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    agent.stop();
    pause(&office);
    let agent = office.agent();
    write(&office, "UPDATE visits SET minutes = 55 WHERE id = 2");
    let same = fresh(&office);
    Connection::open(&same)
        .unwrap()
        .execute_batch("DELETE FROM visits; INSERT INTO visits VALUES (1, 'Ada', 10), (2, 'Bea', 55)")
        .unwrap();
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", same.display()));
    }
    put_in_place(&office, &same);
    let agent = heal_paused(&office, agent);
    arrives(&target, "/visits/2", 55);
    office.wait_settled("legacy");
    agent.stop();
    assert_eq!(office.unlike_the_table(&target.journal()), Vec::<String>::new());
    assert_eq!(at(&target.journal(), "/visits/1").len(), 1, "what the target has is not sent again");
}

#[test]
fn what_every_connector_has_passed_is_owed_to_nobody() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    let owed = || -> i64 {
        let gone = "SELECT count(*) FROM shadow_gone";
        Connection::open(office.state()).unwrap().query_row(gone, [], |row| row.get(0)).unwrap()
    };
    agent.stop();
    pause(&office);
    let agent = office.agent();
    write(&office, "DELETE FROM visits WHERE id = 2");
    agent.stop();
    assert_eq!(owed(), 1);
    resume(&office);
    let agent = office.agent();
    target
        .wait("it is deleted", |journal| at(journal, "/visits/2").last().is_some_and(|entry| entry.method == "DELETE"));
    wait("nothing is owed any more", || owed() == 0);
    agent.stop();
}

#[test]
fn what_may_be_left_at_the_targets_is_told_until_a_person_has_looked_after_it() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    let backup = backup(&office);
    change_both(&office, &target);
    agent.kill();
    // As if it had died before it took down what it had sent last.
    Connection::open(office.state())
        .unwrap()
        .execute_batch(
            "UPDATE shadow_at SET seq = 2 WHERE kind = ''; DELETE FROM shadow WHERE key = x'690000000000000003'",
        )
        .unwrap();
    put_in_place(&office, &backup);
    let agent = office.agent();
    agent.says("stays at the targets");
    agent.says("visits is reconciled");
    office.wait_settled("legacy");
    let told = |verb: &str| {
        let ended = office.run(&[verb]);
        (ended.code, ended.stdout.contains("hms-sync reconcile visits --force"))
    };
    assert_eq!([told("status"), told("doctor")], [(Some(1), true); 2]);
    assert_eq!(office.run(&["reconcile", "visits"]).code, Some(0));
    agent.stop();
    assert_eq!(told("status"), (Some(1), true), "a comparison alone does not answer it");
    assert_eq!(office.run(&["reconcile", "visits", "--force"]).code, Some(0));
    assert_eq!([told("status"), told("doctor")].map(|(_, told)| told), [false; 2]);
}
