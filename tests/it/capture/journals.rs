//! Journals of the application's transactions: one is not touched that belongs to another file, one that a dead writer left
//! is rolled back.

use super::*;

const MANY: &str = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO t SELECT i, randomblob(500) FROM n";

/// In rollback mode, with one row that the log has told.
fn in_rollback_mode() -> (Office, CapturedLog) {
    let office = Office::new("CREATE TABLE t(k INTEGER PRIMARY KEY, v)");
    office.app.pragma_update(None, "journal_mode", "delete").unwrap();
    let mut log = office.log();
    log.install(&[WatchSpec::table("t")]).unwrap();
    office.run("INSERT INTO t VALUES (1, 1)");
    assert_eq!(all(&mut log).len(), 1);
    (office, log)
}

fn journal(office: &Office) -> PathBuf {
    office.folder.path().join("office.db-journal")
}

/// The application writes a file that was moved to the path, while a connection to the old one looks and writes.
#[test]
fn the_journal_of_another_file_at_the_path_is_not_taken_for_that_of_the_file_that_is_open() {
    let (office, mut log) = in_rollback_mode();
    let other = office.folder.path().join("other.db");
    office.run(&format!("VACUUM INTO '{}'", other.display()));
    std::fs::rename(&other, office.path()).unwrap();
    let app = Connection::open(office.path()).unwrap();
    // More than the cache takes: the journal is whole, and pages go to the file before the commit.
    app.execute_batch(&format!("PRAGMA cache_size = 2; BEGIN IMMEDIATE; UPDATE t SET v = 2; {MANY}")).unwrap();
    assert!(journal(&office).exists());
    assert!(matches!(log.data_version(), Err(CaptureError::HotJournal { .. })));
    assert!(matches!(log.read(0, 10, usize::MAX), Err(CaptureError::HotJournal { .. })));
    assert_eq!(log.pause("t", None).map_err(|error| error.to_string().contains("replaced")), Err(true));
    assert!(matches!(log.roll_back(), Err(CaptureError::Replaced { .. })));
    app.execute_batch("COMMIT").unwrap();
    assert!(!journal(&office).exists());
    assert_eq!(app.query_row("SELECT v FROM t WHERE k = 1", [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    // Between two transactions the old file can be read to its end.
    assert_eq!(all(&mut log).len(), 1);
}

#[test]
fn a_transaction_that_a_dead_writer_left_is_rolled_back_when_the_file_is_opened() {
    let (office, log) = in_rollback_mode();
    drop(log);
    // As if it died in the midst of one, with pages of it in the file.
    office.run("PRAGMA cache_size = 2; BEGIN IMMEDIATE");
    office.run(MANY);
    let died = tempfile::tempdir().unwrap();
    for name in ["office.db", "office.db-journal"] {
        std::fs::copy(office.folder.path().join(name), died.path().join(name)).unwrap();
    }
    assert!(matches!(
        CapturedLog::open("office", &died.path().join("office.db"), Access::Read),
        Err(CaptureError::HotJournal { .. })
    ));
    let mut log = open(&died.path().join("office.db"));
    assert_eq!(all(&mut log).len(), 1);
    assert!(!died.path().join("office.db-journal").exists());
}
