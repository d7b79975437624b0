//! Another file in the place of the application's: a backup, a copy, a fresh one, with the agent running or not.

mod owed;

use std::fs;
use std::path::Path;

use hms_sync::store::shadow;
use hms_sync::store::state::connector::Mode;
use rusqlite::Connection;

use crate::support::journal::{at, body};
use crate::support::office::{Agent, Office, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// Puts `from` in the place of the office's file, as a person does it: the log of the old one goes too.
fn put_in_place(office: &Office, from: &Path) {
    for end in ["-wal", "-shm"] {
        let mut beside = office.database().into_os_string();
        beside.push(end);
        let _ = fs::remove_file(beside);
    }
    fs::rename(from, office.database()).unwrap();
}

/// The application writes. While its file is replaced under everybody's hands SQLite may refuse it once (a `-wal` that
/// goes away while it is opened): it tries again, as it would without an agent.
fn write(office: &Office, sql: &str) {
    wait("the application can write", || {
        Connection::open(office.database())
            .and_then(|app| app.busy_timeout(std::time::Duration::from_secs(10)).and_then(|()| app.execute_batch(sql)))
            .is_ok()
    });
}

fn backup(office: &Office) -> std::path::PathBuf {
    let to = office.folder().join("backup.db");
    office.sql(&format!("VACUUM INTO '{}'", to.display()));
    to
}

/// A database with the same table, in which the agent never was.
fn fresh(office: &Office) -> std::path::PathBuf {
    let to = office.folder().join("fresh.db");
    let made = Connection::open(&to).unwrap();
    let schema: String =
        office.app().query_row("SELECT sql FROM sqlite_master WHERE name = 'visits'", [], |row| row.get(0)).unwrap();
    made.pragma_update(None, "journal_mode", "wal").unwrap();
    made.execute_batch(&format!("{schema}; INSERT INTO visits VALUES (1, 'Ada', 11), (7, 'Gus', 70);")).unwrap();
    to
}

/// The office has two visits, both of them at the target.
fn delivered(target: &Receiver) -> (Office, Agent) {
    let office = Office::with(target, "", "INSERT INTO visits VALUES (1, 'Ada', 10), (2, 'Bea', 20)");
    let agent = office.agent();
    target.wait("both arrive", |journal| journal.len() == 2);
    office.wait_settled("legacy");
    (office, agent)
}

/// Waits until the last that the target heard of a record is this many minutes.
fn arrives(target: &Receiver, path: &str, minutes: i64) {
    target.wait(&format!("{path} has {minutes} minutes"), |journal| {
        at(journal, path).last().is_some_and(|entry| entry.method == "PUT" && body(entry)["minutes"] == minutes)
    });
}

#[test]
fn a_copy_that_replaces_the_file_while_the_agent_runs_is_followed_and_locks_nobody_out() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    for minutes in [31, 32, 33] {
        let copy = office.folder().join("copy.db");
        // A copy by VACUUM INTO is in rollback mode, whatever the original was in.
        let _ = fs::remove_file(&copy);
        write(&office, &format!("VACUUM INTO '{}'", copy.display()));
        put_in_place(&office, &copy);
        agent.says("the file was replaced");
        write(&office, &format!("UPDATE visits SET minutes = {minutes} WHERE id = 2"));
        arrives(&target, "/visits/2", minutes);
    }
    agent.stop();
}

#[test]
fn a_backup_that_is_restored_while_the_agent_runs_is_noticed_and_what_differs_is_sent() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    let backup = backup(&office);
    write(&office, "UPDATE visits SET minutes = 99 WHERE id = 1; INSERT INTO visits VALUES (3, 'Cleo', 30)");
    arrives(&target, "/visits/1", 99);
    arrives(&target, "/visits/3", 30);
    office.wait_settled("legacy");
    put_in_place(&office, &backup);
    agent.says("a new epoch begins");
    // The target is told of the table as it is now: one value as it was, one record gone.
    arrives(&target, "/visits/1", 10);
    target.wait("what the backup did not have is deleted", |journal| {
        at(journal, "/visits/3").last().is_some_and(|entry| entry.method == "DELETE")
    });
    write(&office, "UPDATE visits SET minutes = 12 WHERE id = 1");
    arrives(&target, "/visits/1", 12);
    agent.stop();
}

#[test]
fn a_backup_that_was_restored_and_written_to_while_the_agent_was_down_is_noticed_though_the_numbers_fit() {
    for changes in [0, 1, 10] {
        let target = Receiver::start();
        let (office, agent) = delivered(&target);
        let backup = backup(&office);
        write(&office, "UPDATE visits SET minutes = 99 WHERE id = 1; INSERT INTO visits VALUES (3, 'Cleo', 30)");
        arrives(&target, "/visits/3", 30);
        office.wait_settled("legacy");
        agent.stop();
        put_in_place(&office, &backup);
        // The numbers of what was sent are given again to other changes, and more than those.
        (0..changes).for_each(|n| write(&office, &format!("UPDATE visits SET minutes = {n} + 50 WHERE id = 2")));
        let agent = office.agent();
        agent.says("a new epoch begins");
        arrives(&target, "/visits/1", 10);
        target.wait("what the backup did not have is deleted", |journal| {
            at(journal, "/visits/3").last().is_some_and(|entry| entry.method == "DELETE")
        });
        office.wait_settled("legacy");
        agent.stop();
        assert_eq!(office.unlike_the_table(&target.journal()), Vec::<String>::new(), "{changes} changes");
    }
}

/// The backup in the application's journal mode, as it was copied while nobody wrote.
fn backup_in(office: &Office, mode: &str) -> std::path::PathBuf {
    let to = backup(office);
    let made = Connection::open(&to).unwrap();
    made.pragma_update(None, "journal_mode", mode).unwrap();
    drop(made);
    to
}

/// Removes what SQLite keeps beside the office's file, as the manual says.
fn remove_beside(office: &Office) {
    for end in ["-wal", "-shm"] {
        let mut beside = office.database().into_os_string();
        beside.push(end);
        let _ = fs::remove_file(beside);
    }
}

/// Two visits delivered by an agent, in a journal mode.
fn delivered_in(target: &Receiver, mode: &str) -> (Office, Agent) {
    delivered_by(target, mode, "")
}

/// The same; `more` are further lines of the connector.
fn delivered_by(target: &Receiver, mode: &str, more: &str) -> (Office, Agent) {
    let office = Office::with(target, more, "INSERT INTO visits VALUES (1, 'Ada', 10), (2, 'Bea', 20)");
    office.sql(&format!("PRAGMA journal_mode = {mode}"));
    let agent = office.agent();
    target.wait("both arrive", |journal| journal.len() == 2);
    office.wait_settled("legacy");
    (office, agent)
}

/// What the backup of `delivered_in` does not have: one value, one record.
fn change_both(office: &Office, target: &Receiver) {
    write(office, "UPDATE visits SET minutes = 99 WHERE id = 1; INSERT INTO visits VALUES (3, 'Cleo', 30)");
    arrives(target, "/visits/1", 99);
    arrives(target, "/visits/3", 30);
    office.wait_settled("legacy");
    wait_known(office);
}

/// What was told last is taken down in a quiet moment; a file that is copied over cannot be asked for it any more.
fn wait_known(office: &Office) {
    let told = || office.reader().read(|db| Ok(shadow::position(db, "office").unwrap())).unwrap();
    wait("what was told is known", || told() >= office.highest());
}

/// The target comes to have what the file has, also what is written from now on, with no agent started anew.
fn heals(office: &Office, target: &Receiver, agent: Agent) {
    arrives(target, "/visits/1", 10);
    target.wait("what the backup did not have is deleted", |journal| {
        at(journal, "/visits/3").last().is_some_and(|entry| entry.method == "DELETE")
    });
    write(office, "UPDATE visits SET minutes = 13 WHERE id = 2");
    arrives(target, "/visits/2", 13);
    office.wait_settled("legacy");
    is_brief(&agent);
    agent.stop();
    assert_eq!(office.unlike_the_table(&target.journal()), Vec::<String>::new());
}

/// No line of trouble comes again and again.
fn is_brief(agent: &Agent) {
    let said = agent.said();
    let trouble = said.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
    assert!(trouble <= 8, "{trouble} lines: {said}");
}

#[test]
fn a_backup_that_is_copied_over_the_file_of_a_running_agent_is_noticed_and_nothing_written_after_it_is_lost() {
    for mode in ["wal", "delete"] {
        let target = Receiver::start();
        let (office, agent) = delivered_in(&target, mode);
        let backup = backup_in(&office, mode);
        change_both(&office, &target);
        remove_beside(&office);
        fs::copy(&backup, office.database()).unwrap();
        // The application starts again and writes at once; the numbers of what was sent are given again.
        (41..=44).for_each(|n| write(&office, &format!("UPDATE visits SET minutes = {n} WHERE id = 2")));
        arrives(&target, "/visits/2", 44);
        heals(&office, &target, agent);
    }
}

#[test]
fn a_backup_that_is_copied_over_the_file_before_its_log_is_removed_is_noticed_too() {
    let target = Receiver::start();
    let (office, agent) = delivered_in(&target, "wal");
    let backup = backup_in(&office, "wal");
    change_both(&office, &target);
    fs::copy(&backup, office.database()).unwrap();
    remove_beside(&office);
    write(&office, "UPDATE visits SET minutes = 44 WHERE id = 2");
    arrives(&target, "/visits/2", 44);
    heals(&office, &target, agent);
}

#[test]
fn a_backup_that_sqlite_restores_into_the_file_while_the_agent_runs_is_noticed() {
    for mode in ["wal", "delete"] {
        let target = Receiver::start();
        let (office, agent) = delivered_in(&target, mode);
        let backup = backup_in(&office, mode);
        change_both(&office, &target);
        wait("SQLite restores it", || {
            let mut app = Connection::open(office.database()).unwrap();
            app.restore("main", &backup, None::<fn(rusqlite::backup::Progress)>).is_ok()
        });
        (41..=44).for_each(|n| write(&office, &format!("UPDATE visits SET minutes = {n} WHERE id = 2")));
        arrives(&target, "/visits/2", 44);
        heals(&office, &target, agent);
    }
}

/// What was passed over unsent is no witness: only the connector itself knows which rows it has read.
#[test]
fn rows_that_come_in_the_place_of_rows_that_were_not_wanted_are_delivered() {
    for rows in [2, 3, 5] {
        let target = Receiver::start();
        let (office, agent) = delivered_by(&target, "delete", "where: after.minutes < 1000");
        let backup = backup_in(&office, "delete");
        write(&office, "INSERT INTO visits VALUES (11, 'x', 1000), (12, 'y', 1000), (13, 'z', 1000)");
        office.wait_settled("legacy");
        fs::copy(&backup, office.database()).unwrap();
        let values: Vec<String> = (21..21 + rows).map(|id| format!("({id}, 'Zoe', {id})")).collect();
        write(&office, &format!("INSERT INTO visits VALUES {}", values.join(", ")));
        agent.says("a new epoch begins");
        (21..21 + rows).for_each(|id| arrives(&target, &format!("/visits/{id}"), id));
        agent.stop();
    }
}

#[test]
fn a_connector_that_is_halted_and_reads_nothing_lets_go_of_a_replaced_file_too() {
    let (target, other) = (Receiver::start(), Receiver::start());
    other.meet(|_| Some(Scenario::status(403, "")));
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10), (2, 'Bea', 20)");
    office.rest("other", &other, "");
    let agent = office.agent();
    target.wait("both arrive", |journal| journal.len() == 2);
    wait("the other is halted", || office.mode("other").0 == Mode::Halted);
    office.wait_settled("legacy");
    let backup = backup_in(&office, "wal");
    change_both(&office, &target);
    remove_beside(&office);
    fs::copy(&backup, office.database()).unwrap();
    write(&office, "UPDATE visits SET minutes = 44 WHERE id = 2");
    arrives(&target, "/visits/2", 44);
    heals(&office, &target, agent);
}

#[test]
fn one_restore_after_the_other_beside_an_application_that_is_started_anew_each_time_loses_no_change() {
    for mode in ["wal", "delete"] {
        let target = Receiver::start();
        let (office, agent) = delivered_in(&target, mode);
        let backup = backup_in(&office, mode);
        for round in 1..=4 {
            let app = office.app();
            app.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
            for n in 1..=50 {
                let (id, minutes) = (10 + (n * 7 + round) % 20, round * 100 + n);
                let sql = "INSERT INTO visits VALUES (?1, 'Zoe', ?2) ON CONFLICT(id) DO UPDATE SET minutes = ?2";
                app.execute(sql, (id, minutes)).unwrap();
            }
            drop(app);
            arrives(&target, "/visits/11", last_of(&office, 11));
            office.wait_settled("legacy");
            wait_known(&office);
            if round < 4 {
                remove_beside(&office);
                fs::copy(&backup, office.database()).unwrap();
            }
        }
        office.wait_settled("legacy");
        agent.stop();
        assert_eq!(office.unlike_the_table(&target.journal()), Vec::<String>::new());
    }
}

fn last_of(office: &Office, id: i64) -> i64 {
    let app = office.app();
    app.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    app.query_row("SELECT minutes FROM visits WHERE id = ?1", [id], |row| row.get(0)).unwrap()
}

#[test]
fn a_half_copied_file_is_waited_for_and_gone_on_with_once_it_is_whole() {
    for mode in ["wal", "delete"] {
        let target = Receiver::start();
        let (office, agent) = delivered_in(&target, mode);
        let backup = backup_in(&office, mode);
        change_both(&office, &target);
        remove_beside(&office);
        let bytes = fs::read(&backup).unwrap();
        fs::write(office.database(), &bytes[..bytes.len() / 2]).unwrap();
        agent.says("malformed");
        let half = fs::read(office.database()).unwrap();
        assert!(half == bytes[..bytes.len() / 2], "the agent has written into a copy that was being made");
        remove_beside(&office);
        fs::write(office.database(), &bytes).unwrap();
        write(&office, "UPDATE visits SET minutes = 44 WHERE id = 2");
        arrives(&target, "/visits/2", 44);
        heals(&office, &target, agent);
    }
}

#[test]
fn an_empty_file_in_the_place_of_the_file_is_waited_out_and_costs_the_application_nothing() {
    for mode in ["wal", "delete"] {
        let target = Receiver::start();
        let (office, agent) = delivered_in(&target, mode);
        let aside = office.folder().join("app/aside.db");
        // Beside a running agent this stands in the log alone.
        write(&office, "UPDATE visits SET minutes = 15 WHERE id = 1");
        for minutes in [16, 17, 18] {
            let heard = agent.said().matches("is empty").count();
            fs::rename(office.database(), &aside).unwrap();
            fs::write(office.database(), "").unwrap();
            wait("the empty file is told of", || agent.said().matches("is empty").count() > heard);
            assert_eq!(fs::metadata(office.database()).unwrap().len(), 0, "the agent has written into it");
            fs::rename(&aside, office.database()).unwrap();
            write(&office, &format!("UPDATE visits SET minutes = {minutes} WHERE id = 2"));
            arrives(&target, "/visits/2", minutes);
        }
        arrives(&target, "/visits/1", 15);
        office.wait_settled("legacy");
        let said = agent.said();
        let trouble = said.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
        assert!(trouble <= 15, "{trouble} lines: {said}");
        assert!(!said.contains("a new epoch begins"), "{said}");
        agent.stop();
        assert_eq!(office.unlike_the_table(&target.journal()), Vec::<String>::new());
    }
}

#[test]
fn numbers_that_begin_again_in_an_emptied_log_are_noticed_and_what_differs_is_sent() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    agent.stop();
    write(&office, "DELETE FROM hms_sync_outbox; UPDATE sqlite_sequence SET seq = 0 WHERE name = 'hms_sync_outbox'");
    write(&office, "UPDATE visits SET minutes = 77 WHERE id = 1");
    let agent = office.agent();
    agent.says("a new epoch begins");
    arrives(&target, "/visits/1", 77);
    write(&office, "UPDATE visits SET minutes = 78 WHERE id = 2");
    arrives(&target, "/visits/2", 78);
    office.wait_settled("legacy");
    agent.stop();
    assert_eq!(office.unlike_the_table(&target.journal()), Vec::<String>::new());
}

#[test]
fn a_fresh_file_in_the_place_of_the_old_one_is_watched_and_compared_while_the_agent_runs() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    put_in_place(&office, &fresh(&office));
    arrives(&target, "/visits/1", 11);
    arrives(&target, "/visits/7", 70);
    write(&office, "UPDATE visits SET minutes = 71 WHERE id = 7");
    arrives(&target, "/visits/7", 71);
    agent.stop();
}

#[test]
fn a_fresh_file_in_the_place_of_the_old_one_is_noticed_at_the_next_start() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    agent.stop();
    put_in_place(&office, &fresh(&office));
    let agent = office.agent();
    write(&office, "UPDATE visits SET minutes = 72 WHERE id = 7");
    arrives(&target, "/visits/1", 11);
    arrives(&target, "/visits/7", 72);
    agent.stop();
}

#[test]
fn a_watched_table_that_is_renamed_keeps_no_other_from_being_delivered() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    agent.stop();
    write(&office, "ALTER TABLE visits RENAME TO calls");
    let agent = office.agent();
    write(&office, "UPDATE calls SET minutes = 55 WHERE id = 2");
    arrives(&target, "/visits/2", 55);
    agent.stop();
    // The second start finds the table under its new name in the catalogue, and the old one in the configuration.
    let agent = office.agent();
    write(&office, "UPDATE calls SET minutes = 56 WHERE id = 2");
    arrives(&target, "/visits/2", 56);
    agent.stop();
}

/// The finding itself is gone once the triggers are back: what it means must outlive the process that found it.
#[test]
fn what_was_missed_is_found_though_the_agent_is_killed_before_it_has_compared() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    // The comparison must write into the file, which the application keeps locked as soon as the triggers are back.
    let app = Connection::open(office.database()).unwrap();
    write(
        &office,
        "BEGIN; CREATE TABLE new(id INTEGER PRIMARY KEY, name TEXT, minutes); INSERT INTO new SELECT * FROM visits;
         DROP TABLE visits; ALTER TABLE new RENAME TO visits; UPDATE visits SET minutes = 77 WHERE id = 2; COMMIT",
    );
    let triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'";
    let began = std::time::Instant::now();
    while app.query_row(triggers, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
        assert!(began.elapsed() < crate::support::office::PATIENCE, "the triggers never come back");
    }
    app.execute_batch("BEGIN IMMEDIATE").unwrap();
    agent.kill();
    app.execute_batch("ROLLBACK").unwrap();
    let agent = office.agent();
    arrives(&target, "/visits/2", 77);
    agent.stop();
}

#[test]
fn a_parked_change_that_the_restored_file_no_longer_has_is_not_sent() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    let backup = backup(&office);
    target.meet(|entry| (entry.path == "/visits/1").then(|| Scenario::status(503, "")));
    write(&office, "UPDATE visits SET minutes = 99 WHERE id = 1; UPDATE visits SET minutes = 98 WHERE id = 1");
    wait("both are parked", || office.parked("legacy").len() == 2);
    agent.kill();
    put_in_place(&office, &backup);
    target.behave();
    let agent = office.agent();
    agent.says("visits is reconciled");
    write(&office, "UPDATE visits SET minutes = 21 WHERE id = 2");
    arrives(&target, "/visits/2", 21);
    office.wait_settled("legacy");
    let journal = target.journal();
    let committed = at(&journal, "/visits/1").into_iter().rfind(|entry| entry.committed).unwrap();
    assert_eq!(body(committed)["minutes"], 10);
    agent.stop();
}

#[test]
fn a_parked_delete_of_a_record_that_the_restored_file_never_had_reaches_the_target() {
    let target = Receiver::start();
    let (office, agent) = delivered(&target);
    let backup = backup(&office);
    write(&office, "INSERT INTO visits VALUES (3, 'Cy', 30)");
    arrives(&target, "/visits/3", 30);
    office.wait_settled("legacy");
    target.meet(|entry| (entry.path == "/visits/3").then(|| Scenario::status(503, "")));
    write(&office, "DELETE FROM visits WHERE id = 3");
    wait("it is parked", || office.parked("legacy").len() == 1);
    agent.stop();
    put_in_place(&office, &backup);
    target.behave();
    let agent = office.agent();
    target.wait("the record is deleted", |journal| {
        at(journal, "/visits/3").last().is_some_and(|entry| entry.method == "DELETE" && entry.committed)
    });
    office.wait_settled("legacy");
    agent.stop();
}
