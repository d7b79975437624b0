//! The shadow and the reconcile that rests on it.

use super::*;
use hms_sync::engine::reconcile::Reconciler;
use hms_sync::engine::single::is_known;
use hms_sync::store::shadow::{self, Reconcile, Report, ShadowError};
use hms_sync::store::state::{State as StateFile, StateReader};

/// A state file with the tables of the shadow.
fn state() -> Connection {
    let schema = include_str!("../../../schema.sql");
    let state = Connection::open_in_memory().unwrap();
    for table in ["shadow", "shadow_at", "shadow_gone", "trail", "log", "cursor"] {
        let from = schema.find(&format!("CREATE TABLE {table} ")).unwrap();
        let length = schema[from..].find(';').unwrap();
        state.execute_batch(&schema[from..from + length]).unwrap();
    }
    let from = schema.find("CREATE UNIQUE INDEX trail_block").unwrap();
    let length = schema[from..].find(';').unwrap();
    state.execute_batch(&schema[from..from + length]).unwrap();
    state
}

fn run(state: &Connection, log: &mut CapturedLog, force: bool) -> Result<Report, ShadowError> {
    let mut reconcile = Reconcile::new(log, "t", force)?;
    while !reconcile.step(state, log, 7)? {}
    Ok(reconcile.report())
}

/// Changes the table behind the triggers' back.
fn unseen(office: &Office, sql: &str) {
    let all = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid";
    let triggers: Vec<(String, String)> = office
        .app
        .prepare(all)
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (name, _) in &triggers {
        office.run(&format!("DROP TRIGGER {name}"));
    }
    office.run(sql);
    for (_, sql) in &triggers {
        office.run(sql);
    }
}

const ROWS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
    INSERT INTO t SELECT 'k' || i, i FROM n";

#[test]
fn reconcile_sends_exactly_what_changed_without_an_event() {
    let office = Office::new("CREATE TABLE t(k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, v)");
    office.run(ROWS);
    let mut log = office.log();
    log.install(&[WatchSpec::table("t")]).unwrap();
    let state = state();
    assert!(!shadow::is_filled(&state, "office", "t").unwrap());
    assert_eq!(shadow::fill(&state, &mut log, "t", 7).unwrap(), 40);
    assert!(shadow::is_filled(&state, "office", "t").unwrap());
    // What the log told is no difference, read or not.
    office.run("UPDATE t SET v = 0 WHERE k = 'k1'; DELETE FROM t WHERE k = 'k2'; UPDATE t SET k = 'moved' WHERE k = 'k3'; INSERT INTO t VALUES('new', 1)");
    assert_eq!(run(&state, &mut log, false).unwrap(), Report { compared: 40, images: 0, deletes: 0 });
    let before = log.highest_seq().unwrap();
    unseen(
        &office,
        "UPDATE t SET v = 1 WHERE k = 'k4'; DELETE FROM t WHERE k = 'k5'; UPDATE t SET k = 'K6' WHERE k = 'k6'; INSERT INTO t VALUES('n', 1)",
    );
    office.run("UPDATE t SET v = 2 WHERE k = 'k7'");
    assert_eq!(run(&state, &mut log, false).unwrap(), Report { compared: 40, images: 3, deletes: 2 });
    let mut sent: Vec<(String, Op)> = log
        .read(before + 1, 100, usize::MAX)
        .unwrap()
        .into_iter()
        .map(|event| {
            assert!(event.synthetic);
            (format!("{:?}", event.key.get("k").unwrap()), event.op)
        })
        .collect();
    sent.sort_by_key(|(key, _)| key.clone());
    let expected = [("K6", Op::Update), ("k4", Op::Update), ("k5", Op::Delete), ("k6", Op::Delete), ("n", Op::Update)];
    assert_eq!(sent, expected.map(|(key, op)| (format!("Text({key:?})"), op)));
    // What was sent is what stands.
    assert_eq!(run(&state, &mut log, false).unwrap(), Report { compared: 40, images: 0, deletes: 0 });
    shadow::forget(&state, "office", "t").unwrap();
    assert!(!shadow::is_filled(&state, "office", "t").unwrap());
}

/// The triggers may be gone again before the table was looked through for the first time.
#[test]
fn what_changed_without_an_event_before_a_table_is_known_is_found_where_the_log_has_told_of_the_record() {
    let office = Office::new("CREATE TABLE t(k TEXT NOT NULL PRIMARY KEY, v)");
    let mut log = office.log();
    log.install(&[WatchSpec::table("t")]).unwrap();
    office.run(ROWS);
    unseen(&office, "UPDATE t SET v = 0 WHERE k = 'k4'; DELETE FROM t WHERE k = 'k5'");
    let state = state();
    assert_eq!(shadow::fill(&state, &mut log, "t", 7).unwrap(), 39);
    assert_eq!(run(&state, &mut log, false).unwrap(), Report { compared: 39, images: 1, deletes: 1 });
}

#[test]
fn a_column_added_without_a_default_makes_no_difference() {
    let office = Office::new("CREATE TABLE t(k TEXT NOT NULL PRIMARY KEY, v)");
    office.run(ROWS);
    let mut log = office.log();
    log.install(&[WatchSpec::table("t")]).unwrap();
    let state = state();
    shadow::fill(&state, &mut log, "t", 100).unwrap();
    office.run("ALTER TABLE t ADD COLUMN w; UPDATE t SET w = 1 WHERE k = 'k1'");
    log.install(&[WatchSpec::table("t")]).unwrap();
    assert_eq!(run(&state, &mut log, false).unwrap(), Report { compared: 40, images: 1, deletes: 0 });
}

#[test]
fn many_deletes_are_refused_before_anything_is_written_unless_forced() {
    let (office, mut log) = Office::watching("CREATE TABLE t(k INTEGER PRIMARY KEY, v)", &[WatchSpec::table("t")]);
    office.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO t SELECT i, i FROM n");
    let state = state();
    shadow::catch_up(&state, &mut log).unwrap();
    unseen(&office, "DELETE FROM t WHERE k > 199; UPDATE t SET v = 0 WHERE k = 1");
    let before = log.highest_seq().unwrap();
    match run(&state, &mut log, false) {
        Err(ShadowError::Capture(CaptureError::TooManyDeletes { deletes: 101, limit: 100, .. })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(log.highest_seq().unwrap(), before);
    assert_eq!(run(&state, &mut log, true).unwrap(), Report { compared: 199, images: 1, deletes: 101 });
}

#[test]
fn of_a_large_table_one_in_twenty_may_be_deleted_unasked_and_no_more() {
    let (office, mut log) = Office::watching("CREATE TABLE t(k INTEGER PRIMARY KEY, v)", &[WatchSpec::table("t")]);
    office.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, i FROM n");
    let state = state();
    shadow::catch_up(&state, &mut log).unwrap();
    unseen(&office, "DELETE FROM t WHERE k <= 151");
    match run(&state, &mut log, false) {
        Err(ShadowError::Capture(CaptureError::TooManyDeletes { deletes: 151, limit: 150, .. })) => {}
        other => panic!("{other:?}"),
    }
    office.run("INSERT INTO t VALUES(1, 1)");
    assert_eq!(run(&state, &mut log, false).unwrap(), Report { compared: 2850, images: 0, deletes: 150 });
}

#[test]
fn events_are_applied_once_and_a_gap_is_refused() {
    let (office, mut log) = Office::watching("CREATE TABLE t(k INTEGER PRIMARY KEY, v)", &[WatchSpec::table("t")]);
    office.run("INSERT INTO t VALUES(1, 1); DELETE FROM t; INSERT INTO t VALUES(2, 2)");
    let state = state();
    let events = all(&mut log);
    assert!(matches!(shadow::apply(&state, "office", 1, &events[1..]), Err(ShadowError::Gap { at: 0, after: 1, .. })));
    shadow::apply(&state, "office", 0, &events[..2]).unwrap();
    shadow::apply(&state, "office", 0, &events).unwrap();
    shadow::apply(&state, "office", 1, &events[1..]).unwrap();
    assert_eq!(shadow::position(&state, "office").unwrap(), 3);
    let records: i64 = state.query_row("SELECT count(*) FROM shadow", [], |row| row.get(0)).unwrap();
    assert_eq!(records, 1);
}

#[test]
fn rows_that_differ_and_rows_that_are_gone_are_sent_some_dozens_in_a_transaction() {
    let (office, mut log) = Office::watching("CREATE TABLE t(k INTEGER PRIMARY KEY, v)", &[WatchSpec::table("t")]);
    office.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) INSERT INTO t SELECT i, i FROM n");
    let state = state();
    shadow::catch_up(&state, &mut log).unwrap();
    unseen(&office, "UPDATE t SET v = -v; DELETE FROM t WHERE k > 310");
    let mut reconcile = Reconcile::new(&mut log, "t", true).unwrap();
    let (mut seen, mut pieces) = (log.highest_seq().unwrap(), Vec::new());
    loop {
        let done = reconcile.step(&state, &mut log, 500).unwrap();
        // Between two steps the application writes without waiting: no step holds anything.
        office.app.busy_timeout(std::time::Duration::ZERO).unwrap();
        office.run("CREATE TABLE IF NOT EXISTS own(x); INSERT INTO own VALUES(1)");
        let now = log.highest_seq().unwrap();
        pieces.push(now - seen);
        seen = now;
        if done {
            break;
        }
    }
    assert_eq!(reconcile.report(), Report { compared: 310, images: 310, deletes: 90 });
    assert_eq!(pieces.iter().sum::<i64>(), 400);
    assert!(pieces.iter().all(|written| *written <= 50), "{pieces:?}");
    assert!(pieces.iter().any(|written| *written > 1), "{pieces:?}");
    assert_eq!(run(&state, &mut log, false).unwrap(), Report { compared: 310, images: 0, deletes: 0 });
}

#[test]
fn a_record_is_known_by_its_row_by_the_log_or_by_the_shadow_in_any_spelling() {
    let office = Office::new(
        "CREATE TABLE t(k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, v); CREATE TABLE n(id INTEGER PRIMARY KEY);
         INSERT INTO t VALUES('Told', 1), ('Gone', 1); INSERT INTO n VALUES(42), (43)",
    );
    let mut log = office.log();
    log.install(&[WatchSpec::table("t"), WatchSpec::table("n")]).unwrap();
    let path = office.folder.path().join("state.db");
    drop(StateFile::open(&path).unwrap());
    Reconciler::open("office", &office.path(), &path).unwrap().fill().unwrap();
    unseen(&office, "DELETE FROM t WHERE k = 'Gone'; DELETE FROM n WHERE id = 42");
    office.run("INSERT INTO t VALUES('Logged', 1); DELETE FROM t WHERE k = 'Logged'");
    let (mut state, before) = (StateReader::open(&path).unwrap(), log.highest_seq().unwrap());
    for (table, key, known) in [
        ("t", "tOLD", true),
        ("t", "gONE", true),
        ("t", "lOGGED", true),
        ("t", "never", false),
        ("n", "43", true),
        ("n", "42", true),
        ("n", "4", false),
    ] {
        assert_eq!(is_known(&mut log, &mut state, table, &[key.into()]), Ok(known), "{table} {key}");
    }
    assert_eq!(log.highest_seq().unwrap(), before);
}
