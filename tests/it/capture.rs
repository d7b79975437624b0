//! Capture in the application's file, beside the random histories: refusals, odd names and values, the valve,
//! restore, schema changes, synthetic events.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hms_sync::event::{Event, Op, Record, Value};
use hms_sync::store::capture::{
    Access, CaptureError, CapturedLog, ChangesToSend, Depth, Finding, Seen, State, WatchSpec,
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
