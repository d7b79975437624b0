//! What happens to a file under the agent: restored, replaced, altered, damaged, claimed by another.

use super::*;

#[test]
fn a_file_restored_from_a_backup_is_found_by_the_nonce_and_begins_a_new_epoch() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    office.run("INSERT INTO patients VALUES(1, 'a', 0); INSERT INTO patients VALUES(2, 'b', 0)");
    let backup = office.folder.path().join("backup.db");
    office.app.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    office.run("INSERT INTO patients VALUES(3, 'c', 0)");
    let events = all(&mut log);
    let mut seen = log.seen(None).unwrap();
    seen.witness = events.last().map(|event| event.id.into());
    let text = serde_json::to_string(&seen).unwrap();
    let seen: Seen = serde_json::from_str(&text).unwrap();
    assert_eq!(log.poll(&seen).unwrap(), []);
    // Restored in place, the application goes on writing: the numbers come again with other rows.
    drop(log);
    let from = Connection::open(&backup).unwrap();
    let mut into = Connection::open(office.path()).unwrap();
    rusqlite::backup::Backup::new(&from, &mut into)
        .unwrap()
        .run_to_completion(100, std::time::Duration::ZERO, None)
        .unwrap();
    drop((from, into));
    let mut log = office.log();
    assert_eq!(log.poll(&seen).unwrap(), [Finding::WitnessGone { seq: 3 }]);
    office.run("INSERT INTO patients VALUES(4, 'd', 0)");
    let found = log.poll(&seen).unwrap();
    assert_eq!(found, [Finding::WitnessDiffers { seq: 3 }]);
    let repair = log.repair(&found[0]).unwrap();
    assert_eq!(repair.reconcile, ["patients"]);
    assert_eq!(log.poll(&seen).unwrap(), [Finding::EpochDiffers { found: repair.epoch.unwrap() }]);
    let seen = log.seen(None).unwrap();
    assert_eq!(log.poll(&seen).unwrap(), []);
    office.run("INSERT INTO patients VALUES(5, 'e', 0)");
    let after = all(&mut log);
    assert_eq!(after[2].id.epoch, events[2].id.epoch, "a row of the old epoch keeps its id");
    assert_ne!(after[2].id, events[2].id);
    assert_eq!(after[3].id.epoch, repair.epoch.unwrap().short());
}

#[test]
fn a_file_replaced_under_our_handle_is_noticed_and_opened_anew() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    let seen = log.seen(None).unwrap();
    let (other, mut fresh) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    other.run("INSERT INTO patients VALUES(1, 'a', 0); PRAGMA wal_checkpoint(TRUNCATE)");
    let epoch = fresh.seen(None).unwrap().epoch;
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(format!("{}{suffix}", office.path().display())).unwrap();
    }
    std::fs::rename(other.path(), office.path()).unwrap();
    assert_eq!(log.poll(&seen).unwrap(), [Finding::FileReplaced]);
    until_rested(|| log.repair(&Finding::FileReplaced));
    assert_eq!(log.poll(&seen).unwrap(), [Finding::EpochDiffers { found: epoch }]);
    assert_eq!(all(&mut log).len(), 1);
    std::fs::remove_file(office.path()).unwrap();
    assert_eq!(log.poll(&seen).unwrap(), [Finding::FileGone]);
}

/// Tries until it is done; nothing but that the file has not been let go, or has not rested, may keep it.
fn until_rested<T>(mut work: impl FnMut() -> Result<T, CaptureError>) -> T {
    let began = std::time::Instant::now();
    loop {
        match work() {
            Ok(done) => return done,
            Err(CaptureError::Replaced { .. }) if began.elapsed().as_secs() < 60 => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_file_that_was_replaced_is_opened_when_all_have_let_go_and_first_by_the_one_that_goes_first() {
    let (office, mut keeper) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    keeper.go_first();
    let (mut worker, mut idle) = (office.log(), office.log());
    let copy = office.folder.path().join("copy.db");
    office.app.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    // Copied over, while its log goes on standing under our hands without a name.
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(format!("{}{suffix}", office.path().display())).unwrap();
    }
    std::fs::copy(&copy, office.path()).unwrap();
    let is_kept_out = |log: &mut CapturedLog| matches!(log.follow(), Err(CaptureError::Replaced { .. }));
    assert!(is_kept_out(&mut keeper) && !keeper.is_open() && keeper.is_waited_for());
    assert!(is_kept_out(&mut worker) && !worker.is_open());
    assert!(matches!(worker.read(0, 10, 1 << 20), Err(CaptureError::Replaced { .. })), "it reads no other file");
    // The third has not let go: a connection that is opened now would share its mapping.
    assert!(matches!(CapturedLog::open("office", &office.path(), Access::Read), Err(CaptureError::Replaced { .. })));
    idle.yield_file().unwrap();
    assert!(!idle.is_open() && !keeper.is_waited_for());
    assert!(until_rested(|| keeper.follow()));
    assert!(is_kept_out(&mut worker), "nobody has looked at the file yet");
    keeper.release();
    assert!(worker.follow().unwrap() && worker.has_moved() && !worker.has_moved());
    assert!(idle.follow().unwrap());
    assert!(!keeper.follow().unwrap(), "it is followed once");
}

#[test]
fn rows_of_a_restored_file_that_a_connector_reads_first_do_not_hide_the_restore() {
    let (office, mut keeper) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    drop(keeper);
    office.run("PRAGMA journal_mode = delete; INSERT INTO patients VALUES(1, 'a', 0)");
    let backup = office.folder.path().join("backup.db");
    std::fs::copy(office.path(), &backup).unwrap();
    keeper = office.log();
    keeper.go_first();
    let mut worker = office.log();
    office.run("INSERT INTO patients VALUES(2, 'b', 0)");
    assert_eq!(worker.read_on(0, 10, 1 << 20).unwrap().len(), 2);
    // The witness is older than what the worker has read.
    let seen = keeper.seen(Some(1)).unwrap();
    std::fs::copy(&backup, office.path()).unwrap();
    let app = Connection::open(office.path()).unwrap();
    app.execute_batch("INSERT INTO patients VALUES(3, 'c', 0); INSERT INTO patients VALUES(4, 'd', 0)").unwrap();
    let refused = worker.read_on(2, 10, 1 << 20).unwrap_err();
    assert!(matches!(refused, CaptureError::Replaced { .. }) && !worker.is_open(), "{refused}");
    assert!(keeper.yield_file().is_ok() && until_rested(|| keeper.follow()));
    let found = keeper.poll(&seen).unwrap();
    assert_eq!(found, [Finding::WitnessDiffers { seq: 2 }]);
    assert!(keeper.repair(&found[0]).unwrap().epoch.is_some());
    let seen = keeper.seen(None).unwrap();
    assert_eq!(keeper.poll(&seen).unwrap(), []);
    keeper.release();
    assert!(worker.follow().unwrap());
    assert_eq!(all(&mut worker).len(), 3);
}

#[test]
fn an_empty_file_is_not_opened_because_sqlite_would_remove_the_log_beside_it() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    office.run("INSERT INTO patients VALUES(1, 'a', 0)");
    let (aside, wal) = (office.folder.path().join("aside.db"), format!("{}-wal", office.path().display()));
    let before = std::fs::read(&wal).unwrap();
    std::fs::rename(office.path(), &aside).unwrap();
    std::fs::write(office.path(), "").unwrap();
    for _ in 0..3 {
        let refused = log.follow().unwrap_err();
        assert!(matches!(refused, CaptureError::Empty { .. }), "{refused}");
    }
    assert!(matches!(CapturedLog::open("office", &office.path(), Access::Write), Err(CaptureError::Empty { .. })));
    assert!(std::fs::read(&wal).unwrap() == before);
    std::fs::rename(&aside, office.path()).unwrap();
    assert!(until_rested(|| log.follow()));
    assert_eq!(all(&mut log).len(), 1);
}

#[test]
fn a_copy_over_a_file_in_rollback_mode_is_read_though_its_change_counter_is_the_same() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    drop(log);
    office.run("PRAGMA journal_mode = delete");
    let backup = office.folder.path().join("backup.db");
    std::fs::copy(office.path(), &backup).unwrap();
    office.run("INSERT INTO patients VALUES(1, 'a', 0)");
    log = office.log();
    assert_eq!(all(&mut log).len(), 1);
    let seen = log.seen(Some(1)).unwrap();
    assert_eq!(log.poll(&seen).unwrap(), []);
    // Restored, and one other change made: the counter stands where it stood.
    std::fs::copy(&backup, office.path()).unwrap();
    let app = Connection::open(office.path()).unwrap();
    app.execute_batch("INSERT INTO patients VALUES(2, 'b', 0)").unwrap();
    assert_eq!(log.poll(&seen).unwrap(), [Finding::WitnessDiffers { seq: 1 }]);
}

#[test]
fn schema_changes_are_found_and_answered_and_older_rows_keep_their_names() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    let seen = log.seen(None).unwrap();
    let table = || "patients".to_owned();
    let mut answer = |sql: &str, expected: Finding| {
        office.run(sql);
        assert_eq!(log.poll(&seen).unwrap(), std::slice::from_ref(&expected), "{sql}");
        // Not answered, it is found again.
        assert_eq!(log.poll(&seen).unwrap().len(), 1, "{sql}");
        let repair = log.repair(&expected).unwrap();
        assert_eq!(repair.reconcile.len(), 1, "{sql}");
        assert_eq!(log.poll(&seen).unwrap(), [], "{sql}");
        log.watched().unwrap().remove(0)
    };
    assert_eq!(
        answer(
            "INSERT INTO patients VALUES(1, 'a', 'Ann'); ALTER TABLE patients ADD COLUMN born",
            Finding::TableChanged { table: table() }
        )
        .version,
        2
    );
    assert_eq!(
        answer(
            "UPDATE patients SET born = 1990; ALTER TABLE patients RENAME COLUMN name TO called",
            Finding::TableChanged { table: table() }
        )
        .version,
        3
    );
    assert_eq!(
        answer(
            "UPDATE patients SET called = 'Anna'; DROP TRIGGER hms_sync_au_1",
            Finding::TriggersMissing { table: table() }
        )
        .version,
        3
    );
    let rebuild = "ALTER TABLE patients RENAME TO old; CREATE TABLE patients(id INTEGER PRIMARY KEY, mrn TEXT UNIQUE, called, born);
         INSERT INTO patients SELECT * FROM old; DROP TABLE old";
    answer(rebuild, Finding::TriggersMissing { table: table() });
    let renamed = answer(
        "UPDATE patients SET born = 1991; ALTER TABLE patients RENAME TO people",
        Finding::TableRenamed { table: table(), now: "people".into() },
    );
    assert_eq!((&*renamed.table, &*renamed.kind), ("people", "patients"));
    office.run("DELETE FROM people; VACUUM");
    assert_eq!(log.poll(&seen).unwrap(), [], "VACUUM alone is no alarm");
    let names = |event: &Event| event.image().iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(",");
    let events = all(&mut log);
    assert_eq!(
        events.iter().map(names).collect::<Vec<_>>(),
        ["id,mrn,name", "id,mrn,name,born", "id,mrn,called,born", "id,mrn,called,born", "id,mrn,called,born"]
    );
    assert!(events.iter().all(|event| &*event.kind == "patients"));
    office.run("DROP TABLE people");
    let dropped = Finding::TableDropped { table: "people".into() };
    assert_eq!(log.poll(&seen).unwrap(), std::slice::from_ref(&dropped));
    assert_eq!(log.repair(&dropped).unwrap().reconcile, [] as [String; 0]);
    assert_eq!(all(&mut log).len(), 5, "a dropped table sends no deletes");
    log.uninstall("people").unwrap();
    assert_eq!(log.poll(&seen).unwrap(), []);
}

#[test]
fn a_pause_lets_a_column_be_dropped_and_its_end_is_a_finding() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    let seen = log.seen(None).unwrap();
    let drop_column = "ALTER TABLE patients DROP COLUMN name";
    assert!(office.app.execute_batch(drop_column).is_err());
    log.pause("patients", None).unwrap();
    office.run(drop_column);
    assert_eq!(log.poll(&seen).unwrap(), []);
    assert_eq!(log.watched().unwrap()[0].state, State::Paused(None));
    log.pause("patients", Some(hms_sync::clock::Timestamp(0))).unwrap();
    let over = Finding::PauseOver { table: "patients".into() };
    assert_eq!(log.poll(&seen).unwrap(), std::slice::from_ref(&over));
    assert_eq!(log.repair(&over).unwrap().reconcile, ["patients"]);
    assert_eq!(log.watched().unwrap()[0].state, State::Ok);
    office.run("INSERT INTO patients VALUES(1, 'a')");
    assert_eq!(all(&mut log).len(), 1);
}

#[test]
fn our_tables_dropped_by_the_application_are_made_again() {
    for victims in [&["hms_sync_outbox"][..], &["hms_sync_meta"], &["hms_sync_ctl", "hms_sync_lost", "hms_sync_cand"]] {
        let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
        office.run("INSERT INTO patients VALUES(1, 'a', 0)");
        let seen = log.seen(Some(1)).unwrap();
        for victim in victims {
            office.run(&format!("DROP TABLE {victim}"));
        }
        let found = log.poll(&seen).unwrap();
        assert_eq!(
            found,
            [Finding::OwnTablesGone { missing: victims.iter().map(|name| (*name).to_owned()).collect() }]
        );
        assert!(matches!(log.install(&[WatchSpec::table("patients")]), Err(CaptureError::OwnTables { .. })));
        let repair = log.repair(&found[0]).unwrap();
        assert_eq!(repair.reconcile, ["patients"], "{victims:?}");
        let seen = log.seen(None).unwrap();
        assert_eq!(Some(seen.epoch), repair.epoch);
        assert_eq!(log.poll(&seen).unwrap(), []);
        let before = log.highest_seq().unwrap();
        // An application's open connection sees the new tables with its next statement that it can prepare.
        office.run("SELECT id FROM patients");
        office.run("INSERT INTO patients VALUES(2, 'b', 0); UPDATE patients SET name = 1");
        assert_eq!(log.read(before, 10, usize::MAX).unwrap().len(), 3, "{victims:?}");
    }
}

#[test]
fn watching_again_changes_nothing_unless_the_spec_differs() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("PATIENTS")]);
    let again = log.install(&[WatchSpec::table("patients")]).unwrap();
    assert_eq!((again[0].changed, again[0].version), (false, 1));
    let spec = WatchSpec { kind: Some("person".into()), exclude: vec!["name".into()], ..WatchSpec::table("patients") };
    let differs = log.install(std::slice::from_ref(&spec)).unwrap();
    assert_eq!((differs[0].changed, differs[0].version), (true, 2));
    office.run("INSERT INTO patients VALUES(1, 'a', 0)");
    assert_eq!(&*all(&mut log)[0].kind, "person");
    // Another process that has the log open decodes by the new version too.
    let mut reader = CapturedLog::open("office", &office.path(), Access::Read).unwrap();
    log.install(&[WatchSpec::table("patients")]).unwrap();
    office.run("DELETE FROM patients");
    assert_eq!(all(&mut reader).iter().map(|event| event.kind.to_string()).collect::<Vec<_>>(), ["person", "patients"]);
    assert!(matches!(reader.tend(&Due { acked: Some(1), ..Due::default() }), Err(CaptureError::ReadOnly { .. })));
    log.uninstall("patients").unwrap();
    assert!(matches!(log.uninstall("patients"), Err(CaptureError::Refused { .. })));
    assert_eq!(log.install(&[spec]).unwrap()[0].version, 4);
}

#[test]
fn a_second_agent_is_refused_unless_it_takes_over_and_then_a_new_epoch_begins() {
    let (office, mut log) = Office::watching(PATIENTS, &[WatchSpec::table("patients")]);
    assert_eq!(log.claim("one", false).unwrap(), None);
    assert_eq!(log.claim("one", false).unwrap(), None);
    let seen = log.seen(None).unwrap();
    let mut other = office.log();
    assert!(matches!(other.claim("two", false), Err(CaptureError::OtherOwner { owner, .. }) if owner == "one"));
    let epoch = other.claim("two", true).unwrap().unwrap();
    assert_eq!(other.owner().unwrap().as_deref(), Some("two"));
    assert_eq!(log.poll(&seen).unwrap(), [Finding::EpochDiffers { found: epoch }]);
}
