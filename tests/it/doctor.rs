//! `doctor` finds what is really wrong, and `--fix` mends it: afterwards the target has what stands in the table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod host;
mod odd;

use std::collections::BTreeMap;
use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::journal::{Entry, body, committed};
use crate::support::office::{Office, THREE, ended};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// What `doctor` said.
#[derive(Debug)]
struct Said {
    code: i32,
    findings: Vec<Value>,
    mended: Vec<Value>,
}

fn doctor(office: &Office, more: &[&str]) -> Said {
    said(&mut office.command(&[&["--json", "doctor"], more].concat()))
}

fn said(command: &mut std::process::Command) -> Said {
    let ended = ended(command);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("no answer: {ended:#?}"));
    let list = |name: &str| answer[name].as_array().unwrap().clone();
    Said { code: ended.code.unwrap(), findings: list("findings"), mended: list("mended") }
}

impl Said {
    /// Whether a check found something of this level that holds the text; what is bad or doubtful says what to do.
    fn has(&self, level: &str, check: &str, text: &str) -> bool {
        self.findings.iter().any(|finding| {
            finding["level"] == level
                && finding["check"] == check
                && finding["what"].as_str().unwrap().contains(text)
                && (level == "ok" || finding["mend"].is_string())
        })
    }

    #[track_caller]
    fn finds(&self, level: &str, check: &str, text: &str) {
        assert!(self.has(level, check, text), "no {level} {check} with {text:?} in {self:#?}");
    }

    #[track_caller]
    fn is_well(&self) {
        let bad: Vec<&Value> = self.findings.iter().filter(|finding| finding["level"] == "bad").collect();
        assert!(self.code == 0 && bad.is_empty(), "{bad:#?}");
    }
}

/// Three visits, at the target, and no agent running.
fn delivered(target: &Receiver) -> Office {
    let office = Office::with(target, "", THREE);
    assert_eq!(office.once().0, Some(0));
    office
}

/// Our triggers are away while the application writes, and back as they were.
fn behind_the_triggers(office: &Office, sql: &str) {
    let app = office.app();
    let list = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'hms_sync_%'";
    let triggers: Vec<(String, String)> = app
        .prepare(list)
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let away: String = triggers.iter().map(|(name, _)| format!("DROP TRIGGER {name};")).collect();
    let back: String = triggers.iter().map(|(_, text)| format!("{text};")).collect();
    office.sql(&format!("BEGIN IMMEDIATE; {away} {sql}; {back} COMMIT"));
}

/// What the target has, by path: the last that it committed.
fn held(journal: &[Entry]) -> BTreeMap<String, i64> {
    let mut held = BTreeMap::new();
    for entry in journal.iter().filter(|entry| entry.committed) {
        match entry.method.as_str() {
            "DELETE" => drop(held.remove(&entry.path)),
            _ => drop(held.insert(entry.path.clone(), body(entry)["minutes"].as_i64().unwrap())),
        }
    }
    held
}

/// What stands in the table.
fn stands(office: &Office) -> BTreeMap<String, i64> {
    let app = office.app();
    let mut list = app.prepare("SELECT '/visits/' || id, minutes FROM visits").unwrap();
    list.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// After `--fix` nothing is bad, and one more run brings the target to what stands in the table.
#[track_caller]
fn is_mended(office: &Office, target: &Receiver) {
    let fixed = doctor(office, &["--fix"]);
    fixed.is_well();
    assert!(!fixed.mended.is_empty(), "{fixed:#?}");
    assert_eq!(office.once().0, Some(0));
    assert_eq!(held(&target.journal()), stands(office));
    doctor(office, &[]).is_well();
}

#[test]
fn a_sound_office_is_found_sound_with_and_without_an_agent_and_nothing_is_changed() {
    let target = Receiver::start();
    let office = delivered(&target);
    let before = (fs::read(office.database()).unwrap(), fs::read(office.state()).unwrap());
    let quiet = doctor(&office, &["--deep", "--online"]);
    quiet.is_well();
    for check in ["database", "journal", "integrity", "owner", "triggers", "identity", "tables", "candidates", "valve"]
    {
        quiet.finds("ok", check, "");
    }
    quiet.finds("ok", "comparison", "visits: 3 rows");
    quiet.finds("ok", "account", "3 events passed = 3 delivered");
    quiet.finds("ok", "target", "");
    quiet.finds("warn", "agent", "is not running");
    assert!((fs::read(office.database()).unwrap(), fs::read(office.state()).unwrap()) == before);
    let agent = office.agent();
    let beside = doctor(&office, &[]);
    beside.is_well();
    beside.finds("ok", "agent", &format!("process {}", agent.pid()));
    agent.stop();
    // People get a line a finding.
    let text = office.run(&["doctor"]).stdout;
    assert!(text.lines().any(|line| line.starts_with("ok   office triggers: present and current: visits")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("warn agent agent: is not running")), "{text}");
}

#[test]
fn before_the_first_run_it_says_so_and_nothing_is_bad() {
    let target = Receiver::start();
    let office = Office::visits();
    office.rest("legacy", &target, "");
    let first = doctor(&office, &[]);
    first.is_well();
    first.finds("warn", "state", "has not run here");
    first.finds("warn", "triggers", "nothing is captured here yet");
}

#[test]
fn lost_triggers_are_found_with_what_they_missed_and_mended() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql(
        "DROP TRIGGER hms_sync_au_1; UPDATE visits SET minutes = 99 WHERE id = 1;
         DROP TRIGGER hms_sync_ai_1; INSERT INTO visits VALUES (4, 'Dee', 40);
         DROP TRIGGER hms_sync_ad_1; DELETE FROM visits WHERE id = 2;",
    );
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    said.finds("bad", "triggers", "visits: triggers missing");
    said.finds("bad", "comparison", "1 rows were never told, 1 stand otherwise than told, 1 told records have no row");
    is_mended(&office, &target);
}

#[test]
fn capture_repair_is_doctor_fix() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql("DROP TRIGGER hms_sync_au_1; UPDATE visits SET minutes = 99 WHERE id = 1");
    let repair = said(&mut office.command(&["--json", "capture", "repair"]));
    repair.is_well();
    assert_eq!(office.once().0, Some(0));
    assert_eq!(held(&target.journal()), stands(&office));
}

#[test]
fn a_row_changed_behind_the_triggers_is_found_and_sent_by_the_running_agent() {
    let target = Receiver::start();
    let office = delivered(&target);
    let agent = office.agent();
    // The agent notices a schema that moved and compares the table by itself: the difference may be gone before it is seen.
    behind_the_triggers(&office, "UPDATE visits SET minutes = 77 WHERE id = 3; DELETE FROM visits WHERE id = 1");
    let fixed = doctor(&office, &["--fix"]);
    fixed.is_well();
    target.wait("the target has what stands", |journal| held(journal) == stands(&office));
    agent.stop();
    doctor(&office, &[]).is_well();
}

#[test]
fn a_row_changed_behind_the_triggers_is_found_and_sent_without_an_agent() {
    let target = Receiver::start();
    let office = delivered(&target);
    behind_the_triggers(&office, "UPDATE visits SET minutes = 77 WHERE id = 3; DELETE FROM visits WHERE id = 1");
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    said.finds("ok", "triggers", "visits");
    said.finds("bad", "comparison", "0 rows were never told, 1 stand otherwise than told, 1 told records have no row");
    is_mended(&office, &target);
}

#[test]
fn what_was_captured_and_is_not_read_yet_is_no_difference() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql(
        "INSERT INTO visits VALUES (4, 'Dee', 40); UPDATE visits SET minutes = 41 WHERE id = 4; DELETE FROM visits WHERE id = 1;
         UPDATE visits SET id = 9 WHERE id = 2; INSERT INTO visits VALUES (5, 'Eve', 50); DELETE FROM visits WHERE id = 5;",
    );
    let said = doctor(&office, &[]);
    said.is_well();
    said.finds("ok", "comparison", "visits: 3 rows");
}

#[test]
fn a_restored_backup_is_found_and_mended() {
    let target = Receiver::start();
    let office = delivered(&target);
    let backup = office.folder().join("backup.db");
    office.sql(&format!("VACUUM INTO '{}'", backup.display()));
    office.sql("UPDATE visits SET minutes = 99 WHERE id = 1; INSERT INTO visits VALUES (4, 'Dee', 40)");
    assert_eq!(office.once().0, Some(0));
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", office.database().display()));
    }
    fs::rename(&backup, office.database()).unwrap();
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    said.finds("bad", "identity", "not the one that was read last");
    // A copy by VACUUM INTO is in rollback-journal mode.
    said.finds("warn", "journal", "journal mode delete");
    is_mended(&office, &target);
}

#[test]
fn our_own_tables_are_missed_and_made_again() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql("DROP TABLE hms_sync_ctl");
    assert!(
        office.app().execute_batch("UPDATE visits SET minutes = 5 WHERE id = 1").is_err(),
        "the application suffers"
    );
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    said.finds("bad", "tables", "missing: hms_sync_ctl");
    is_mended(&office, &target);
    office.sql("UPDATE visits SET minutes = 5 WHERE id = 1");
}

#[test]
fn a_constraint_on_the_outbox_is_found() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql("CREATE UNIQUE INDEX quick ON hms_sync_outbox(tid, c0)");
    let said = doctor(&office, &[]);
    said.finds("bad", "tables", "index quick, which is not ours");
    office.sql("DROP INDEX quick");
    doctor(&office, &[]).is_well();
}

#[test]
fn a_log_that_was_full_is_found_and_what_was_only_counted_is_sent() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql("UPDATE hms_sync_ctl SET cap = 2 + (SELECT max(seq) FROM hms_sync_outbox) - acked");
    let rows: String = (10..30).map(|id| format!("INSERT INTO visits VALUES ({id}, 'Zoe', {id});")).collect();
    office.sql(&rows);
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    said.finds("bad", "valve", "changes were counted and not kept, because the log was full");
    said.finds("bad", "valve", "further changes are counted");
    said.finds("bad", "comparison", "18 rows were never told");
    doctor(&office, &["--fix"]);
    assert_eq!(office.once().0, Some(0));
    assert_eq!(held(&target.journal()), stands(&office));
    doctor(&office, &["--fix"]).is_well();
}

#[test]
fn many_records_that_are_gone_are_left_to_a_person() {
    let target = Receiver::start();
    let office = delivered(&target);
    let rows: String = (10..310).map(|id| format!("INSERT INTO visits VALUES ({id}, 'Zoe', {id});")).collect();
    office.sql(&format!("BEGIN; {rows} COMMIT"));
    assert_eq!(office.once().0, Some(0));
    behind_the_triggers(&office, "DELETE FROM visits WHERE id > 100");
    let fixed = doctor(&office, &["--fix"]);
    assert_ne!(fixed.code, 0, "{fixed:#?}");
    fixed.finds("bad", "comparison", "209 told records have no row");
    let bad = fixed.findings.iter().find(|finding| finding["level"] == "bad" && finding["check"] == "comparison");
    let mend = bad.unwrap()["mend"].as_str().unwrap();
    assert!(mend.contains("`hms-sync reconcile visits --force`") && !mend.contains("`--fix`, or"), "{mend}");
    assert_eq!(fixed.mended, Vec::<Value>::new(), "nothing that would help is offered or tried: {fixed:#?}");
    assert_eq!(office.run(&["reconcile", "visits", "--force"]).code, Some(0));
    doctor(&office, &[]).is_well();
}

#[test]
fn a_torn_file_is_found_when_asked_and_ends_with_65() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql(
        "CREATE TABLE notes(text); INSERT INTO notes VALUES (hex(zeroblob(20000))); PRAGMA wal_checkpoint(TRUNCATE)",
    );
    let mut bytes = fs::read(office.database()).unwrap();
    let end = bytes.len();
    // The head of an overflow page: where the chain goes on.
    bytes[end - 4096..end - 4088].fill(0xff);
    let torn = office.folder().join("torn.db");
    fs::write(&torn, bytes).unwrap();
    fs::rename(torn, office.database()).unwrap();
    doctor(&office, &[]).is_well();
    let said = doctor(&office, &["--deep"]);
    assert_eq!(said.code, 65, "{said:#?}");
    said.finds("bad", "integrity", "");
}

#[test]
fn every_account_balances_whatever_came_of_the_events_and_a_loss_shows() {
    let target = Receiver::start();
    let office = Office::with(&target, "concurrency: 1\nwhere: after.minutes != 13", "");
    let account = |said: &Said| -> String {
        let of_account = |finding: &&Value| finding["check"] == "account" && finding["subject"] == "legacy";
        said.findings.iter().find(of_account).unwrap()["what"].as_str().unwrap().to_owned()
    };
    // The second event: the first change of the second visit.
    target.meet(|entry| (entry.key.split('-').nth(1) == Some("2")).then(|| Scenario::named("refused")));
    office
        .sql(&format!("{THREE} INSERT INTO visits VALUES (4, 'Dee', 13); UPDATE visits SET minutes = 21 WHERE id = 2"));
    assert_eq!(office.once().0, Some(1));
    let said = doctor(&office, &[]);
    said.is_well();
    assert_eq!(account(&said), "5 events passed = 2 delivered + 1 skipped + 0 discarded + 2 parked");
    // What is captured and waits is in neither side.
    office.sql("INSERT INTO visits VALUES (5, 'Eve', 50)");
    assert_eq!(account(&doctor(&office, &[])), account(&said));
    assert_eq!(office.run(&["deliveries", "discard", "--connector", "legacy", "--state", "dead"]).code, Some(0));
    assert_eq!(office.once().0, Some(0));
    let said = doctor(&office, &[]);
    said.is_well();
    assert_eq!(account(&said), "6 events passed = 4 delivered + 1 skipped + 1 discarded + 0 parked");
    // A replay in which one is refused that was delivered before, and one that was discarded.
    target.meet(|entry| entry.path.ends_with("/visits/1").then(|| Scenario::named("refused")));
    assert_eq!(office.run(&["replay", "--connector", "legacy", "--from", "1"]).code, Some(0));
    assert_eq!(office.once().0, Some(1));
    let said = doctor(&office, &[]);
    said.is_well();
    assert!(account(&said).starts_with("6 events passed = ") && account(&said).ends_with("+ 1 parked"), "{said:#?}");
    target.behave();
    assert_eq!(office.run(&["deliveries", "retry", "--connector", "legacy", "--state", "dead"]).code, Some(0));
    assert_eq!(office.once().0, Some(0));
    doctor(&office, &[]).is_well();
    // One delivery that nobody counted is one event too few.
    Connection::open(office.state())
        .unwrap()
        .execute("UPDATE counter SET n = n - 1 WHERE name = 'delivered'", [])
        .unwrap();
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    said.finds("bad", "account", "1 events are not accounted for");
}

#[test]
fn accounts_balance_after_a_kill_in_the_midst_of_deliveries() {
    let target = Receiver::start();
    let office = Office::with(&target, "concurrency: 8", "");
    let agent = office.agent();
    let rows: String = (1..400).map(|id| format!("INSERT INTO visits VALUES ({id}, 'Zoe', {id});")).collect();
    office.sql(&format!("BEGIN; {rows} COMMIT"));
    target.wait("some arrive", |journal| committed(journal) > 50);
    agent.kill();
    doctor(&office, &[]).finds("ok", "account", "events passed");
    assert_eq!(office.once().0, Some(0));
    doctor(&office, &[]).finds("ok", "account", "399 events passed = 399 delivered");
}

/// What was delivered above the cursors has other numbers in the restored file, or none: it is never passed.
#[test]
fn an_account_is_counted_anew_after_a_restore_in_the_midst_of_deliveries() {
    let target = Receiver::start();
    let office = Office::with(&target, "concurrency: 8", "");
    let backup = office.folder().join("backup.db");
    office.sql(&format!("VACUUM INTO '{}'", backup.display()));
    let agent = office.agent();
    let rows = |from: i64| -> String {
        (from..from + 400).map(|id| format!("INSERT INTO visits VALUES ({id}, 'Zoe', {id});")).collect()
    };
    office.sql(&format!("BEGIN; {} COMMIT", rows(1)));
    target.wait("some arrive", |journal| committed(journal) > 50);
    agent.kill();
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", office.database().display()));
    }
    fs::copy(&backup, office.database()).unwrap();
    let account = |level: &str| {
        let said = doctor(&office, &[]);
        assert!(said.has(level, "account", ""), "{said:#?}");
    };
    assert_eq!(office.once().0, Some(0));
    account("ok");
    for from in [1001, 2001] {
        office.sql(&format!("BEGIN; {} COMMIT", rows(from)));
        assert_eq!(office.once().0, Some(0));
        account("ok");
    }
    // Once all is settled it is counted again, and shows a loss.
    doctor(&office, &[]).finds("ok", "account", "events passed");
    Connection::open(office.state())
        .unwrap()
        .execute("UPDATE counter SET n = n - 1 WHERE name = 'delivered'", [])
        .unwrap();
    account("bad");
}
