//! Events that the agent itself writes into the log.

use super::*;

#[test]
fn a_row_removed_without_its_after_trigger_is_swept() {
    // A cascade onto the very row being updated: SQLite never fires its AFTER UPDATE.
    let (office, mut log) = Office::watching(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, up REFERENCES t(id) ON DELETE CASCADE)",
        &[WatchSpec::table("t")],
    );
    office.run("PRAGMA foreign_keys = ON; INSERT INTO t VALUES(1, 'a', NULL), (2, 'b', 1)");
    assert_eq!(tend(&mut log, Due::default()).swept, 0);
    office.run("UPDATE OR REPLACE t SET u = 'a' WHERE id = 2");
    assert_eq!(office.app.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    assert_eq!(tend(&mut log, Due::default()).swept, 1);
    assert_eq!(tend(&mut log, Due::default()).swept, 0);
    let mut gone: Vec<Value> =
        log.read(2, 10, usize::MAX).unwrap().iter().map(|event| event.key.get("id").unwrap().clone()).collect();
    gone.sort_by_key(|value| format!("{value:?}"));
    assert_eq!(gone, [int(1), int(2)]);
}

#[test]
fn synthetic_events_carry_the_current_row_in_key_order_and_can_be_resumed() {
    let (office, mut log) = Office::watching(
        "CREATE TABLE t(b INT NOT NULL, a TEXT COLLATE NOCASE NOT NULL, v, PRIMARY KEY(a, b))",
        &[WatchSpec::table("t")],
    );
    office.run("INSERT INTO t VALUES(2, 'b', 1), (1, 'B', 1), (1, 'a', 1), (1, 'c', 0), (3, 'C', 1)");
    let from = log.highest_seq().unwrap();
    let first = log.refresh("t", Some("v = 1 -- only these"), Some("lotus"), None, 3).unwrap();
    assert_eq!(first.count, 3);
    let rest = log.refresh("t", Some("v = 1"), Some("lotus"), first.last.as_ref(), 3).unwrap();
    assert_eq!(rest.count, 1);
    let end = log.refresh("t", Some("v = 1"), Some("lotus"), rest.last.as_ref(), 3).unwrap();
    assert_eq!((end.count, end.last), (0, None));
    let events = log.read(from, 10, usize::MAX).unwrap();
    let keys: Vec<Record> = events.iter().map(|event| event.key.clone()).collect();
    let key = |a: &str, b| record(&[("a", a.into()), ("b", int(b))]);
    assert_eq!(keys, [key("a", 1), key("B", 1), key("b", 2), key("C", 3)]);
    for event in &events {
        assert_eq!((event.op, event.synthetic, event.dest.as_deref()), (Op::Update, true, Some("lotus")));
        assert_eq!((event.before.as_ref(), event.changed.len()), (None, 0));
    }
    for bad in ["v = 1; DROP TABLE t", "1) OR (1", "nope = 1"] {
        assert!(matches!(log.refresh("t", Some(bad), None, None, 3), Err(CaptureError::Filter(_))), "{bad}");
    }
    assert!(matches!(log.refresh("u", None, None, None, 3), Err(CaptureError::Refused { .. })));
}

#[test]
fn one_record_is_sent_again_by_any_spelling_of_its_key_or_as_a_delete() {
    let (office, mut log) = Office::watching(
        "CREATE TABLE t(k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, v); CREATE TABLE n(id INTEGER PRIMARY KEY)",
        &[WatchSpec::table("t"), WatchSpec::table("n")],
    );
    office.run("INSERT INTO t VALUES('Abc', 1); INSERT INTO n VALUES(42)");
    assert_eq!(log.refresh_key("t", &["aBC".into()], None).unwrap(), Sent::Image(3));
    assert_eq!(log.refresh_key("n", &["42".into()], None).unwrap(), Sent::Image(4));
    assert_eq!(log.refresh_key("n", &["43".into()], Some("x")).unwrap(), Sent::Gone(5));
    assert_eq!(log.refresh_exact("t", &[vec!["aBC".into()]], None).unwrap(), [Sent::Gone(6)]);
    let events = all(&mut log);
    assert_eq!(events[2].key, record(&[("k", "Abc".into())]));
    assert_eq!((events[4].op, &events[4].key), (Op::Delete, &record(&[("id", int(43))])));
    assert_eq!((events[4].synthetic, events[4].before.as_ref()), (true, None));
    assert!(log.refresh_key("n", &[int(1), int(2)], None).is_err());
}
