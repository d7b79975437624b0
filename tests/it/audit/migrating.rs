//! A state file from before the chain: what it has is chained as it is found, and nothing of it is lost.

use rusqlite::Connection;

use super::{lines, whole};
use crate::support::office::{Office, THREE};
use crate::support::receiver::Receiver;

/// Makes a state file what version 6 had of it.
fn of_version_6(state: &Connection) {
    state
        .execute_batch(
            "DROP TRIGGER attempt_keep; DROP TRIGGER attempt_stay; DROP TRIGGER attempt_last;
             DROP TRIGGER act_keep; DROP TRIGGER act_stay; DROP TRIGGER act_last; DROP TABLE segment;
             ALTER TABLE intake DROP COLUMN total;
             DROP TABLE conflict; DROP TABLE conflict_count;
             DROP TABLE pull; DROP TABLE pull_plan; DROP TABLE pull_base; DROP TABLE pull_change; DROP TABLE pull_item;
             DROP TABLE pull_sent;
             DELETE FROM act WHERE verb IN ('begin', 'start', 'stop', 'configuration', 'key');
             UPDATE act SET n = (SELECT count(*) FROM act AS b WHERE b.n <= act.n);
             ALTER TABLE attempt DROP COLUMN origin; ALTER TABLE attempt DROP COLUMN kinds;
             ALTER TABLE attempt DROP COLUMN up; ALTER TABLE attempt DROP COLUMN hash;
             ALTER TABLE act DROP COLUMN up; ALTER TABLE act DROP COLUMN hash;
             DELETE FROM meta WHERE k IN ('audit_key', 'sealed');
             CREATE TRIGGER attempt_keep BEFORE UPDATE ON attempt BEGIN SELECT RAISE(ABORT, 'the attempt log is append only'); END;
             PRAGMA user_version = 6;",
        )
        .unwrap();
}

#[test]
fn attempts_from_before_the_chain_begin_it() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    assert_eq!(office.once().0, Some(0));
    office.sql("UPDATE visits SET minutes = 9");
    assert_eq!(office.once().0, Some(0));
    let state = Connection::open(office.state()).unwrap();
    of_version_6(&state);
    let count = |sql: &str| state.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let (attempts, acts) = (count("SELECT count(*) FROM attempt"), count("SELECT count(*) FROM act"));
    let last = count("SELECT max(n) FROM attempt");
    assert!(attempts > 0);
    // Some of it was deleted by age.
    state.execute("DELETE FROM attempt WHERE n = (SELECT min(n) FROM attempt)", []).unwrap();
    std::fs::remove_dir_all(office.folder().join("state/audit")).unwrap();
    let old = office.run(&["audit", "verify"]);
    assert!(old.code == Some(69) && old.stderr.contains("no chain yet"), "{old:?}");
    assert_eq!(office.run(&["status"]).code, Some(0), "an older file can be looked at");
    assert_eq!(office.run(&["status", "visits", "2"]).code, Some(0));

    office.sql("UPDATE visits SET minutes = 11");
    assert_eq!(office.once().0, Some(0));
    let verdict = whole(&office, &[]);
    assert_eq!(verdict["first"], 0);
    let all = lines(&office, &["--json", "audit", "show", "--limit", "0"]);
    let begin = &all[0];
    let expected = format!("records 1 to {} were made before there was a chain", last + acts);
    assert!(begin["verb"] == "begin" && begin["reason"].as_str().unwrap().starts_with(&expected), "{begin:#}");
    let numbers: Vec<i64> = all.iter().filter_map(|line| line["n"].as_i64()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let before: Vec<_> =
        all.iter().filter(|line| line["kind"] == "intent" && line["n"].as_i64().unwrap() <= last).collect();
    assert!(before.iter().all(|line| line.get("up").is_none()), "{before:#?}");
    // What was under way then is told as well.
    assert_eq!(
        lines(&office, &["--json", "audit", "report", "visits", "2"])[0]["attempts"].as_array().unwrap().len(),
        2
    );

    // What was chained is held on to as much as what came later.
    state
        .execute_batch(
            "DROP TRIGGER attempt_keep; UPDATE attempt SET at = at + 1 WHERE n = (SELECT min(n) FROM attempt)",
        )
        .unwrap();
    let (code, verdict) = super::verify(&office, &[]);
    assert_eq!(code, Some(65), "{verdict:#}");
    assert_eq!(verdict["broken"]["n"].as_i64().unwrap(), 1, "{verdict:#}");
}
