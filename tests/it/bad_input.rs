//! What is wrong with a database is said in words of its own, with an exit code of its own, and never harms the
//! application: it can write before and after.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::office::{Agent, Ended, Office, ended, wait};
use crate::support::receiver::Receiver;

/// A user of no privileges and no name.
const NOBODY: u32 = 64_321;
/// Another one.
const SOMEBODY: u32 = 64_322;

fn office(target: &Receiver) -> Office {
    let office = Office::visits();
    office.rest("legacy", target, "");
    office
}

/// The verb ends with this code and says these phrases on stderr, one of them with the path.
fn fails(ended: &Ended, code: i32, phrases: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:#?}");
    for phrase in phrases {
        assert!(ended.stderr.contains(phrase), "{phrase}: {ended:#?}");
    }
    assert!(!ended.stderr.contains("panicked"), "{ended:#?}");
}

fn application_writes(office: &Office) {
    let rows = office.app().execute("INSERT INTO visits(name) VALUES ('Ada')", []).unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn a_database_that_is_no_database_is_refused_in_words_of_its_own() {
    let target = Receiver::start();
    let office = office(&target);
    let put = |what: &dyn Fn(&Path)| {
        let path = office.database();
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_dir(&path);
        what(&path);
    };
    for verb in [&["run"][..], &["run", "--once"], &["watch", "visits"]] {
        put(&|_| {});
        fails(&office.run(verb), 69, &["office.db", "no such file", "path of the application's SQLite database"]);
        put(&|path| std::fs::create_dir(path).unwrap());
        fails(&office.run(verb), 78, &["office.db", "not a file"]);
        put(&|path| std::fs::write(path, "Not a database, but long enough to be taken for one. ".repeat(20)).unwrap());
        // A start beside a copy that is under way is one to make again.
        let code = if verb[0] == "run" { 75 } else { 78 };
        fails(&office.run(verb), code, &["office.db", "not an SQLite database"]);
        assert!(std::fs::read(office.database()).unwrap().starts_with(b"Not a database"), "it is left as it is");
    }
    assert!(target.journal().is_empty());
}

/// A copy arrives from its beginning on: whatever part of it is there at a start, systemd must start the agent again.
#[test]
fn a_start_beside_a_database_that_is_not_whole_yet_ends_with_75_and_the_next_one_delivers() {
    let target = Receiver::start();
    let known = office(&target);
    known.sql("INSERT INTO visits VALUES (1, 'Ada', 10); PRAGMA wal_checkpoint(TRUNCATE)");
    for already_watched in [false, true] {
        if already_watched {
            assert_eq!(known.once().0, Some(0));
            known.sql("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        let whole = std::fs::read(known.database()).unwrap();
        for part in [0, 1, 99, 511, 512, 4095, 4096, whole.len() / 2, whole.len() - 4096] {
            for left in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{left}", known.database().display()));
            }
            std::fs::write(known.database(), &whole[..part]).unwrap();
            for verb in [&["run"][..], &["run", "--once"]] {
                let ended = known.run(verb);
                assert_eq!(ended.code, Some(75), "{part} of {} bytes: {ended:#?}", whole.len());
                fails(&ended, 75, &["office.db", "start again when that is over"]);
            }
            assert_eq!(std::fs::read(known.database()).unwrap(), &whole[..part], "it is left as it is");
        }
        std::fs::write(known.database(), &whole).unwrap();
        assert_eq!(known.once().0, Some(0));
    }
    // A whole database that lacks the table is a wrong path: nobody is to try again.
    let fresh = office(&target);
    fresh.sql("DROP TABLE visits; CREATE TABLE others(id INTEGER PRIMARY KEY)");
    fails(&fresh.run(&["run"]), 78, &["visits"]);
}

#[test]
fn a_table_that_cannot_be_captured_is_refused_with_the_reason_and_the_others_are_not_touched() {
    let target = Receiver::start();
    let office = office(&target);
    office.sql("CREATE VIEW board AS SELECT * FROM visits; CREATE TABLE bag(a, b); CREATE VIRTUAL TABLE words USING fts5(text);");
    let cases =
        [("nosuch", "table nosuch: "), ("board", "table board: "), ("bag", "table bag: "), ("words", "table words: ")];
    let mut said = Vec::new();
    for (table, phrase) in cases {
        let ended = office.run(&["watch", table]);
        fails(&ended, 78, &[phrase]);
        said.push(ended.stderr.replace(table, "TABLE"));
        office.settings(&format!("visits: {{}}, {table}: {{}}"));
        fails(&office.run(&["run", "--once"]), 78, &[phrase]);
        application_writes(&office);
    }
    said.sort();
    said.dedup();
    assert_eq!(said.len(), cases.len(), "each has its own words: {said:#?}");
    office.settings("visits: {}");
    assert_eq!(office.once().0, Some(0));
    application_writes(&office);
}

#[test]
fn a_locked_database_ends_a_start_with_75_and_a_running_agent_says_so_and_goes_on() {
    let target = Receiver::start();
    let office = office(&target);
    // In this mode a writer keeps readers out too.
    let app = office.app();
    // The agent too locks it for moments.
    app.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    app.pragma_update(None, "journal_mode", "delete").unwrap();
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    app.execute_batch("BEGIN EXCLUSIVE; INSERT INTO visits VALUES (1, 'Ada', 10);").unwrap();
    let locked = "locked by another process for more than 5 s";
    fails(&office.run(&["run", "--once"]), 75, &["office.db", locked, "long transaction"]);
    app.execute_batch("COMMIT").unwrap();
    let agent = office.agent();
    target.wait("it delivers", |journal| journal.len() == 1);
    app.execute_batch("BEGIN EXCLUSIVE; INSERT INTO visits VALUES (2, 'Bea', 10);").unwrap();
    agent.says(locked);
    app.execute_batch("COMMIT").unwrap();
    target.wait("it goes on", |journal| journal.len() == 2);
    agent.stop();
    application_writes(&office);
}

#[test]
fn a_database_of_another_agent_is_refused_until_it_is_taken_over() {
    let target = Receiver::start();
    let office = office(&target);
    assert_eq!(office.once().0, Some(0));
    let settings = office.config().join("sync.yaml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("../state/", "../other/")).unwrap();
    fails(&office.run(&["run", "--once"]), 77, &["office.db", "captured by another agent", "--take-over"]);
    application_writes(&office);
    assert_eq!(office.run(&["run", "--once", "--take-over"]).code, Some(0));
    application_writes(&office);
    assert_eq!(office.once().0, Some(0));
}

/// A command of another user, where this one may become one. The binary is copied to where that user can reach it.
fn as_user(office: &Office, user: u32, arguments: &[&str]) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let binary = office.folder().join("hms-sync");
    if !binary.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_hms-sync"), &binary).unwrap();
    }
    let id = user.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(binary);
    command.env("HOME", office.folder()).env("XDG_RUNTIME_DIR", office.folder());
    command.arg("-c").arg(office.config()).args(arguments);
    Some(command)
}

/// Hands the application's folder to its user and lets everybody look at the rest.
fn give_away(office: &Office, user: u32, folder_mode: u32, file_mode: u32) -> PathBuf {
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(office.folder(), 0o777);
    let folder = office.folder().join("app");
    for path in [office.database(), folder.clone()] {
        chown(&path, Some(user), Some(user)).unwrap();
    }
    mode(&folder, folder_mode);
    mode(&office.database(), file_mode);
    folder
}

#[test]
fn a_database_that_cannot_be_written_is_refused_with_what_is_read_only() {
    let target = Receiver::start();
    let cases = [(0o755, 0o444, "the file is read-only"), (0o555, 0o644, "the folder is read-only")];
    for (folder_mode, file_mode, phrase) in cases {
        let office = office(&target);
        let user = if rustix::process::geteuid().is_root() { NOBODY } else { rustix::process::geteuid().as_raw() };
        let folder = give_away(&office, user, folder_mode, file_mode);
        let mut command =
            as_user(&office, NOBODY, &["run", "--once"]).unwrap_or_else(|| office.command(&["run", "--once"]));
        fails(&ended(&mut command), 78, &["office.db", phrase, "give it write permission"]);
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(office.database(), std::fs::Permissions::from_mode(0o644)).unwrap();
        application_writes(&office);
    }
}

/// Only where this test may change users; what decides is tested beside the decision in any case.
#[test]
fn a_folder_where_our_leftovers_would_lock_the_application_out_is_refused_and_a_shared_group_is_not() {
    let target = Receiver::start();
    let office = office(&target);
    // Writable by everybody, and still: a left-over -wal would belong to the agent and its group.
    let folder = give_away(&office, SOMEBODY, 0o777, 0o666);
    let Some(mut command) = as_user(&office, NOBODY, &["run", "--once"]) else { return };
    fails(&ended(&mut command), 78, &["office.db", "lock the application", "chgrp", "chmod 2770"]);
    application_writes(&office);
    // As the message says: a group of both, inherited by what is made in the folder.
    for path in [office.database(), folder.clone()] {
        chown(&path, None, Some(NOBODY)).unwrap();
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o2770)).unwrap();
    std::fs::set_permissions(office.database(), std::fs::Permissions::from_mode(0o660)).unwrap();
    let agent = Agent::start(as_user(&office, NOBODY, &["-v", "run"]).unwrap());
    agent.says("running: ");
    application_writes(&office);
    target.wait("it delivers", |journal| journal.len() == 1);
    agent.kill();
    // What the killed agent left behind, the application's own user can open.
    let mut sqlite = Command::new("setpriv");
    let id = SOMEBODY.to_string();
    sqlite.args(["--reuid", &id, "--regid", &id, "--groups", &NOBODY.to_string(), "sqlite3"]);
    sqlite.arg(office.database()).arg("INSERT INTO visits(name) VALUES ('Bea')");
    let wrote = ended(&mut sqlite);
    assert_eq!(wrote.code, Some(0), "{wrote:?}");
}

#[test]
fn a_database_that_vanishes_and_comes_back_is_missed_aloud_and_then_gone_on_with() {
    let target = Receiver::start();
    let office = office(&target);
    office.sql("PRAGMA journal_mode = delete");
    let agent = office.agent();
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10)");
    target.wait("it delivers", |journal| journal.len() == 1);
    let away = office.folder().join("app/away.db");
    std::fs::rename(office.database(), &away).unwrap();
    wait("it says so", || agent.said().lines().any(|line| !line.contains("INFO") && line.contains("office")));
    std::fs::rename(&away, office.database()).unwrap();
    office.sql("INSERT INTO visits VALUES (2, 'Bea', 20)");
    target.wait("it goes on", |journal| journal.len() == 2);
    agent.stop();
}
