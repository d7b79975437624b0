//! Capture in the application's file, beside the random histories: refusals, odd names and values, the valve,
//! restore, schema changes, synthetic events.

mod changes;
mod journals;
mod reconcile;
mod synthetic;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hms_sync::event::{Event, Op, Record, Value};
use hms_sync::store::capture::{
    Access, CaptureError, CapturedLog, Depth, Due, Finding, Seen, Sent, State, Tended, WatchSpec,
};
use rusqlite::Connection;

/// An application's file in a folder of its own, and the application's connection.
struct Office {
    folder: tempfile::TempDir,
    app: Connection,
}

impl Office {
    fn new(schema: &str) -> Office {
        let folder = tempfile::tempdir().unwrap();
        let app = Connection::open(folder.path().join("office.db")).unwrap();
        app.pragma_update(None, "journal_mode", "wal").unwrap();
        app.pragma_update(None, "synchronous", "off").unwrap();
        app.pragma_update(None, "foreign_keys", "off").unwrap();
        app.execute_batch(schema).unwrap();
        Office { folder, app }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("office.db")
    }

    fn log(&self) -> CapturedLog {
        open(&self.path())
    }

    fn watching(schema: &str, specs: &[WatchSpec]) -> (Office, CapturedLog) {
        let office = Office::new(schema);
        let mut log = office.log();
        log.install(specs).unwrap();
        (office, log)
    }

    fn run(&self, sql: &str) {
        self.app.execute_batch(sql).unwrap();
    }
}

fn open(path: &Path) -> CapturedLog {
    CapturedLog::open("office", path, Access::Write).unwrap()
}

fn tend(log: &mut CapturedLog, due: Due) -> Tended {
    log.tend(&due).unwrap().expect("nobody else is writing")
}

fn all(log: &mut CapturedLog) -> Vec<Event> {
    log.read(0, usize::MAX, usize::MAX).unwrap()
}

fn record(fields: &[(&str, Value)]) -> Record {
    fields.iter().map(|(name, value)| (Arc::<str>::from(*name), value.clone())).collect()
}

fn int(number: i64) -> Value {
    Value::Integer(number)
}

const PATIENTS: &str = "CREATE TABLE patients(id INTEGER PRIMARY KEY, mrn TEXT UNIQUE, name)";

#[test]
fn inserts_updates_and_deletes_are_read_with_image_before_and_changed_columns() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    office.run(
        "INSERT INTO patients VALUES(1, 'a', 'Ann'); UPDATE patients SET name = 'Anna'; UPDATE patients SET id = 7;
         DELETE FROM patients",
    );
    let events = all(&mut log);
    let ops: Vec<Op> = events.iter().map(|event| event.op).collect();
    assert_eq!(ops, [Op::Insert, Op::Update, Op::Update, Op::Delete]);
    let [insert, update, moved, delete] = &events[..] else { panic!("{events:?}") };
    let image = |id, name: &str| record(&[("id", int(id)), ("mrn", "a".into()), ("name", name.into())]);
    assert_eq!(insert.after, Some(image(1, "Ann")));
    assert_eq!((insert.before.clone(), insert.changed.len()), (None, 3));
    assert_eq!((update.before.clone(), update.after.clone()), (Some(image(1, "Ann")), Some(image(1, "Anna"))));
    assert_eq!(update.changed, ["name".into()]);
    assert_eq!(update.old_key, None);
    assert_eq!(moved.key, record(&[("id", int(7))]));
    assert_eq!(moved.old_key, Some(record(&[("id", int(1))])));
    assert_eq!(moved.old_lane, Some(update.lane));
    assert_eq!(moved.lane, delete.lane);
    assert_eq!((delete.before.clone(), delete.after.clone()), (Some(image(7, "Anna")), None));
    assert_eq!(events.iter().map(Event::seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(&*insert.log, "office");
    assert_eq!(&*insert.kind, "patients");
    assert_eq!(log.event_at(2).unwrap().as_ref(), Some(update));
    assert_eq!(log.event_at(9).unwrap(), None);
}

#[test]
fn a_row_that_replace_removed_through_another_unique_key_is_a_delete_with_its_image() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    office.run("INSERT INTO patients VALUES(1, 'a', 'Ann'); REPLACE INTO patients VALUES(2, 'a', 'Bob')");
    let events = all(&mut log);
    assert_eq!(events.iter().map(|event| event.op).collect::<Vec<_>>(), [Op::Insert, Op::Delete, Op::Insert]);
    assert_eq!(events[1].before, events[0].after);
}

/// What `install` says of a table that it refuses.
fn refusal(office: &Office, spec: WatchSpec) -> String {
    match office.log().install(&[spec]) {
        Err(error @ CaptureError::Refused { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn each_table_that_cannot_be_captured_is_refused_with_its_reason() {
    let office = Office::new(
        "CREATE TABLE patients(id INTEGER PRIMARY KEY, mrn TEXT NOT NULL UNIQUE, nick TEXT UNIQUE, name);
         CREATE VIEW people AS SELECT * FROM patients;
         CREATE VIRTUAL TABLE notes USING fts5(body);
         CREATE TABLE loose(a, b);
         CREATE TABLE folded(id INTEGER PRIMARY KEY, name);
         CREATE UNIQUE INDEX folded_name ON folded(lower(name));
         CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT)",
    );
    let table = |name: &str| refusal(&office, WatchSpec::table(name));
    assert!(table("people").contains("is a view"));
    assert!(table("notes").contains("virtual table"));
    assert!(table("notes_content").contains("shadow table"));
    assert!(table("sqlite_sequence").contains("SQLite's own"));
    assert!(table("hms_sync_outbox").contains("belongs to the agent"));
    assert!(table("loose").contains("no primary key"));
    assert!(table("folded").contains("folded_name on an expression"));
    assert_eq!(table("patient"), "table patient: does not exist in this database (did you mean patients?)");
    assert!(table("zzz").ends_with("does not exist in this database"));
    let with = |change: &dyn Fn(&mut WatchSpec)| {
        let mut spec = WatchSpec::table("patients");
        change(&mut spec);
        refusal(&office, spec)
    };
    assert!(with(&|spec| spec.key = Some(vec!["nick".into()])).contains("may be NULL"));
    assert!(with(&|spec| spec.key = Some(vec!["mrm".into()])).contains("did you mean mrn?"));
    assert!(with(&|spec| spec.key = Some(vec!["id".into(), "mrn".into()])).contains("no unique index covers exactly"));
    assert!(with(&|spec| spec.columns = Some(vec!["nmae".into()])).contains("did you mean name?"));
    assert!(with(&|spec| spec.exclude = vec!["id".into()]).contains("part of the key"));
    // All or nothing: a refused table leaves nothing behind.
    let mut log = office.log();
    assert!(log.install(&[WatchSpec::table("patients"), WatchSpec::table("people")]).is_err());
    assert!(!log.installed().unwrap());
    assert_eq!(log.watched().unwrap(), []);
    let same_type = |name: &str| WatchSpec { kind: Some("person".into()), ..WatchSpec::table(name) };
    assert!(matches!(
        log.install(&[same_type("patients"), same_type("counted")]),
        Err(CaptureError::Refused { reason, .. }) if reason.contains("event type person is taken")
    ));
}

#[test]
fn what_the_operator_should_know_is_warned_of() {
    let office = Office::new(
        "CREATE TABLE t(k TEXT PRIMARY KEY, v);
         CREATE TRIGGER quiet AFTER UPDATE ON t WHEN NEW.v = 1 BEGIN SELECT RAISE(IGNORE); END",
    );
    let installed = office.log().install(&[WatchSpec::table("t")]).unwrap();
    let [nullable, raise] = &installed[0].warnings[..] else { panic!("{installed:?}") };
    assert!(nullable.contains("key column k may be NULL"));
    assert!(raise.contains("trigger quiet"));
}

#[test]
fn files_that_cannot_be_watched_say_what_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let fail = |path: &Path| CapturedLog::open("office", path, Access::Write).unwrap_err();
    assert!(matches!(fail(&path), CaptureError::Missing { .. }));
    assert!(matches!(fail(folder.path()), CaptureError::NotAFile { .. }));
    std::fs::write(&path, "this is a text of more than one hundred bytes, but it is not a database, ".repeat(20))
        .unwrap();
    let error = fail(&path);
    assert!(matches!(error, CaptureError::NotADatabase { .. }));
    assert!(error.to_string().starts_with(&format!("{}: not an SQLite database", path.display())), "{error}");
    // Nothing watched yet.
    let office = Office::new(PATIENTS);
    assert!(matches!(office.log().read(0, 1, 1), Err(CaptureError::NotInstalled { .. })));
}

#[test]
fn our_connection_changes_nothing_about_the_file_but_our_own_tables() {
    let office = Office::new(PATIENTS);
    let settings = || -> Vec<String> {
        ["journal_mode", "synchronous", "auto_vacuum", "page_size", "application_id", "user_version", "encoding"]
            .iter()
            .map(|name| {
                let value: rusqlite::types::Value =
                    office.app.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
                format!("{name} {value:?}")
            })
            .collect()
    };
    let before = settings();
    let mut log = office.log();
    log.install(&[WatchSpec::table("patients")]).unwrap();
    office.run("INSERT INTO patients VALUES(1, 'a', 'Ann')");
    all(&mut log);
    let wal = || std::fs::metadata(office.folder.path().join("office.db-wal")).unwrap().len();
    let long = wal();
    drop(log);
    assert_eq!(settings(), before);
    assert_eq!(wal(), long, "our connection checkpointed the log of the application");
    assert!(long > 0);
}

#[test]
fn odd_names_of_tables_and_columns_come_through() {
    let name = "wei\"rd 't; DROP TABLE x--";
    let columns = ["select", "na\"me", "na\u{ef}ve \u{5217}", "a'b", "c0", "r.x"];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let (office, mut log) = Office::watching(
        &format!("CREATE TABLE {}({} PRIMARY KEY NOT NULL, {} UNIQUE)", quoted(name), list[0], list[1..].join(",")),
        &[WatchSpec::table(name)],
    );
    office.run(&format!("INSERT INTO {} VALUES(1,2,3,4,5,6); UPDATE {0} SET {} = 9", quoted(name), list[1]));
    let events = all(&mut log);
    assert_eq!(&*events[0].kind, name);
    let names: Vec<&str> = events[0].after.as_ref().unwrap().iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, columns);
    assert_eq!(events[1].changed, ["na\"me".into()]);
    log.uninstall(name).unwrap();
    office.run(&format!("DELETE FROM {}", quoted(name)));
    assert_eq!(all(&mut log).len(), 2);
}

#[test]
fn every_value_comes_through_to_the_byte() {
    let (office, mut log) = Office::watching("CREATE TABLE t(id INTEGER PRIMARY KEY, v)", &[WatchSpec::table("t")]);
    let values: Vec<(&str, Value)> = vec![
        ("NULL", Value::Null),
        ("x'00ff10'", Value::Blob(vec![0, 255, 16])),
        ("x''", Value::Blob(Vec::new())),
        ("9007199254740993", int(9_007_199_254_740_993)),
        ("-9223372036854775808", int(i64::MIN)),
        ("0.1+0.2", Value::Real(0.1 + 0.2)),
        ("1.7976931348623157e308", Value::Real(f64::MAX)),
        ("5e-324", Value::Real(5e-324)),
        ("9e999", Value::Real(f64::INFINITY)),
        ("-9e999", Value::Real(f64::NEG_INFINITY)),
        ("9e999 - 9e999", Value::Null),
        ("'a' || char(0) || 'b'", "a\0b".into()),
        ("CAST(x'61ff62' AS TEXT)", Value::BadText(vec![0x61, 0xff, 0x62])),
        ("CAST(x'eda080' AS TEXT)", Value::BadText(vec![0xed, 0xa0, 0x80])),
        ("'{\"a\":1}'", "{\"a\":1}".into()),
        ("5.0", Value::Real(5.0)),
        ("'5'", "5".into()),
    ];
    for (sql, _) in &values {
        office.run(&format!("INSERT INTO t(v) VALUES({sql})"));
    }
    let read: Vec<Value> =
        all(&mut log).iter().map(|event| event.after.as_ref().unwrap().get("v").unwrap().clone()).collect();
    assert_eq!(read, values.into_iter().map(|(_, value)| value).collect::<Vec<_>>());
    // And as old values: a change of class alone is a change.
    office.run("DELETE FROM t WHERE id > 1; UPDATE t SET v = 5; UPDATE t SET v = 5.0; UPDATE t SET v = '5'");
    let events = all(&mut log);
    let [.., real, text] = &events[..] else { panic!() };
    assert_eq!(real.before.as_ref().unwrap().get("v"), Some(&int(5)));
    assert_eq!(real.changed, ["v".into()]);
    assert_eq!(text.before.as_ref().unwrap().get("v"), Some(&Value::Real(5.0)));
}

#[test]
fn a_table_wider_than_one_mask_keeps_all_its_changes() {
    let columns: Vec<String> = (0..150).map(|at| format!("f{at}")).collect();
    let (office, mut log) = Office::watching(
        &format!(
            "CREATE TABLE wide(id INTEGER PRIMARY KEY, {}); CREATE TABLE slim(id INTEGER PRIMARY KEY, v)",
            columns.join(",")
        ),
        &[WatchSpec::table("slim"), WatchSpec::table("wide")],
    );
    office.run(
        "INSERT INTO slim VALUES(1, 'x'); INSERT INTO wide(id, f5) VALUES(1, 7);
         UPDATE wide SET f58 = 1, f59 = 1, f60 = 1, f118 = 2, f119 = 3, f149 = 4, f5 = NULL; UPDATE slim SET v = 'y'",
    );
    let events = all(&mut log);
    assert_eq!(events[2].changed, ["f5", "f58", "f59", "f60", "f118", "f119", "f149"].map(Arc::from));
    assert_eq!(events[2].before, events[1].after);
    assert_eq!(events[3].changed, ["v".into()]);
}

#[test]
fn columns_exclude_and_key_only_capture_what_they_say_and_always_the_key() {
    let spec = |change: &dyn Fn(&mut WatchSpec)| {
        let mut spec = WatchSpec::table("patients");
        change(&mut spec);
        spec
    };
    let names = |spec: WatchSpec| {
        let (office, mut log) = Office::watching(PATIENTS, &[spec]);
        office.run("INSERT INTO patients VALUES(1, 'a', 'Ann'); UPDATE patients SET name = 'x', mrn = 'b'; DELETE FROM patients");
        let events = all(&mut log);
        let names = events[0].after.as_ref().unwrap().iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
        (names.join(","), events[1].changed.join(","), events[2].before.as_ref().unwrap().len())
    };
    assert_eq!(names(spec(&|spec| spec.columns = Some(vec!["NAME".into()]))), ("id,name".into(), "name".into(), 2));
    assert_eq!(names(spec(&|spec| spec.exclude = vec!["mrn".into()])), ("id,name".into(), "name".into(), 2));
    assert_eq!(names(spec(&|spec| spec.capture = Depth::Key)), ("id".into(), String::new(), 1));
}

#[test]
fn the_valve_keeps_the_cap_counts_the_rest_and_never_fails_the_application() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    office.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO patients SELECT i, 'm' || i, 0 FROM n");
    let before = log.highest_seq().unwrap();
    tend(&mut log, Due { acked: Some(before), cap: Some(1000), ..Due::default() });
    let seen = log.seen(Some(before)).unwrap();
    assert_eq!(log.poll(&seen).unwrap(), []);
    office.run("UPDATE patients SET name = 1");
    assert_eq!(log.highest_seq().unwrap() - before, 1000);
    assert_eq!(log.watched().unwrap()[0].lost, 4000);
    assert_eq!(log.poll(&seen).unwrap(), [Finding::Overflow { tid: 1, table: "patients".into(), lost: 4000 }]);
    // A row removed by REPLACE counts beside the row that replaced it, and a delete counts.
    office.run("REPLACE INTO patients VALUES(9001, 'm1', 0); DELETE FROM patients WHERE id = 2; UPDATE patients SET id = 9002 WHERE id = 3");
    assert_eq!(log.watched().unwrap()[0].lost, 4004);
    // Acknowledged, capture goes on.
    let highest = log.highest_seq().unwrap();
    tend(&mut log, Due { acked: Some(highest), ..Due::default() });
    office.run("DELETE FROM patients WHERE id = 4");
    assert_eq!(log.highest_seq().unwrap() - before, 1001);
    let healed = log.seen(Some(before)).unwrap();
    assert_eq!(log.poll(&healed).unwrap(), []);
}

#[test]
fn pruning_goes_in_small_pieces_and_never_takes_the_highest_row() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    office.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 700) INSERT INTO patients SELECT i, i, 0 FROM n");
    assert_eq!(log.size().unwrap().rows, 700);
    assert!(log.size().unwrap().bytes > 700 * 40);
    let oldest = Due { below: Some(i64::MAX), rows: 10_000, ..Due::default() };
    assert_eq!(tend(&mut log, Due { acked: Some(700), ..oldest }).pruned, 500);
    assert_eq!(tend(&mut log, oldest).pruned, 199);
    assert_eq!(tend(&mut log, oldest).pruned, 0);
    assert_eq!((log.lowest_seq().unwrap(), log.highest_seq().unwrap(), log.valve().unwrap().0), (700, 700, 700));
    // INSERT OR FAIL does not write sqlite_sequence: only the row that stays keeps its number from coming again.
    assert!(
        office
            .app
            .execute_batch("INSERT OR FAIL INTO patients VALUES(801, 'x', 0), (802, 'y', 0), (803, 'x', 0)")
            .is_err()
    );
    tend(&mut log, oldest);
    office.run("DELETE FROM patients WHERE id = 801");
    assert_eq!(all(&mut log).iter().map(Event::seq).collect::<Vec<_>>(), [702, 703]);
}

#[test]
fn a_read_stops_at_its_limits_but_gives_at_least_one_event() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    office.run("INSERT INTO patients VALUES(1, 1, zeroblob(5000)), (2, 2, zeroblob(5000)), (3, 3, 0)");
    assert_eq!(log.read(0, 2, usize::MAX).unwrap().len(), 2);
    assert_eq!(log.read(0, 10, 1).unwrap().len(), 1);
    assert_eq!(log.read(0, 10, 6000).unwrap().len(), 2);
    assert_eq!(log.read(3, 10, 6000).unwrap(), []);
}

#[test]
fn syncing_works_in_every_journal_mode_and_after_the_log_file_changed() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    office.run("INSERT INTO patients VALUES(1, 'a', 0)");
    log.sync_wal().unwrap();
    log.sync_wal().unwrap();
    let before = log.data_version().unwrap();
    office.run("INSERT INTO patients VALUES(2, 'b', 0)");
    assert_ne!(log.data_version().unwrap(), before);
    drop(log);
    office.run("PRAGMA journal_mode = DELETE");
    let mut log = office.log();
    log.sync_wal().unwrap();
    assert_eq!(all(&mut log).len(), 2);
}

#[test]
fn rows_that_replace_removed_through_a_partial_index_a_default_or_a_spelling_are_deletes() {
    let gone = |schema: &str, sql: &str| {
        let (office, mut log) = Office::watching(schema, &[WatchSpec::table("t")]);
        office.run(sql);
        let deletes = all(&mut log).into_iter().filter(|event| event.op == Op::Delete);
        deletes.map(|event| (event.key.iter().next().unwrap().1.clone(), event.before.is_some())).collect::<Vec<_>>()
    };
    let partial = "CREATE TABLE t(id INTEGER PRIMARY KEY, u, live); CREATE UNIQUE INDEX i ON t(u) WHERE live = 1";
    let enters = "INSERT INTO t VALUES(1, 'a', 1), (2, 'a', 0); UPDATE OR REPLACE t SET live = 1 WHERE id = 2";
    assert_eq!(gone(partial, enters), [(int(1), true)]);
    for default in ["'it''s'", "\"it's\"", "('it' || '''s')"] {
        let schema = format!("CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT NOT NULL DEFAULT {default} UNIQUE)");
        let null = "INSERT INTO t VALUES(1, 'it''s'); INSERT OR REPLACE INTO t VALUES(2, NULL)";
        assert_eq!(gone(&schema, null), [(int(1), true)], "{default}");
    }
    let folded = "CREATE TABLE t(k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY)";
    assert_eq!(gone(folded, "INSERT INTO t VALUES('abc'); REPLACE INTO t VALUES('ABC')"), [("abc".into(), true)]);
    let cyclic = "PRAGMA foreign_keys = ON; CREATE TABLE t(id INTEGER PRIMARY KEY, up REFERENCES t ON DELETE CASCADE)";
    let both = "INSERT INTO t VALUES(1, NULL), (2, 1); UPDATE OR REPLACE t SET id = 1 WHERE id = 2; INSERT INTO t VALUES(3, NULL)";
    let mut removed = gone(cyclic, both);
    removed.sort_by_key(|key| format!("{key:?}"));
    assert_eq!(removed, [(int(1), true), (int(2), true)]);
}

#[test]
fn the_widest_table_that_can_be_watched_is_captured_read_swept_and_measured() {
    const WIDTH: usize = 900;
    let columns: Vec<String> = (2..WIDTH).map(|at| format!("v{at}")).collect();
    let schema = format!("CREATE TABLE t(id INTEGER PRIMARY KEY, mrn TEXT UNIQUE, {})", columns.join(","));
    let (office, mut log) = Office::watching(&schema, &[WatchSpec::table("t")]);
    assert_eq!(log.size().unwrap().bytes, 0);
    let values = |start: usize| (start..start + WIDTH - 2).map(|v| v.to_string()).collect::<Vec<_>>().join(",");
    office.run(&format!("INSERT INTO t VALUES(1, 'a', {})", values(0)));
    let all_columns = columns.iter().map(|name| format!("{name} = {name} + 1")).collect::<Vec<_>>().join(",");
    office.run(&format!("UPDATE t SET {all_columns}; UPDATE t SET v2 = NULL, v899 = NULL; UPDATE t SET v899 = 7"));
    office.run(&format!("REPLACE INTO t VALUES(2, 'a', {}); UPDATE t SET id = 3; DELETE FROM t", values(5)));
    assert_eq!(tend(&mut log, Due::default()).swept, 0);
    let events = all(&mut log);
    let ops: Vec<Op> = events.iter().map(|event| event.op).collect();
    assert_eq!(ops, [Op::Insert, Op::Update, Op::Update, Op::Update, Op::Delete, Op::Insert, Op::Update, Op::Delete]);
    let field = |image: &Option<Record>, name: &str| image.as_ref().unwrap().get(name).cloned().unwrap();
    assert_eq!(events[0].after.as_ref().unwrap().len(), WIDTH);
    assert_eq!((field(&events[1].before, "v899"), field(&events[1].after, "v899")), (int(897), int(898)));
    assert_eq!(events[1].changed.len(), WIDTH - 2);
    assert_eq!(events[2].changed, ["v2".into(), "v899".into()]);
    assert_eq!((field(&events[3].before, "v899"), field(&events[3].after, "v899")), (Value::Null, int(7)));
    assert_eq!((field(&events[4].before, "v899"), field(&events[4].before, "v898")), (int(7), int(897)));
    assert_eq!(events[6].old_key, Some(record(&[("id", int(2))])));
    assert_eq!((field(&events[7].before, "id"), field(&events[7].before, "v899")), (int(3), int(902)));
    let size = log.size().unwrap();
    assert_eq!(size.rows, 8);
    assert!(size.bytes > 8 * WIDTH as i64, "{size:?}");
    assert_eq!(log.refresh("t", None, None, None, 10).unwrap().count, 0);
}
