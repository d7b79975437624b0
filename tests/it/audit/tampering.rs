//! A thousand records, and everything that somebody could do to them: the first bad one is named.

use std::path::PathBuf;

use rusqlite::Connection;

use super::days::on_day;
use super::{beside, broken, pieces, well, whole};
use crate::support::office::Office;
use crate::support::receiver::Receiver;

/// Somebody who can write to the state file takes its triggers away first.
const FREE: &str = "DROP TRIGGER attempt_keep; DROP TRIGGER attempt_stay; DROP TRIGGER attempt_last;
    DROP TRIGGER act_keep; DROP TRIGGER act_stay; DROP TRIGGER act_last;";

/// More than a thousand records over three days, of which two are sealed, and the checkpoint of the end, kept elsewhere.
fn prepared(target: &Receiver) -> (Office, PathBuf) {
    let office = Office::visits();
    office.rest("legacy", target, "concurrency: 2");
    well(&office, &["watch", "visits"]);
    for day in 0..3 {
        office.sql(&format!(
            "INSERT OR REPLACE INTO visits WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 180)
             SELECT i, 'Ada', {day} FROM n"
        ));
        let once = on_day(&office, day, &["run", "--once"]);
        assert_eq!(once.code, Some(0), "{once:#?}");
    }
    let kept = office.folder().join("kept");
    std::fs::write(&kept, well(&office, &["audit", "head"]).stdout).unwrap();
    let verdict = whole(&office, &[]);
    assert!(verdict["records"].as_i64().unwrap() > 1000, "{verdict:#}");
    assert_eq!(verdict["signed"], verdict["last"], "{verdict:#}");
    (office, kept)
}

/// Does something to a copy of the state file; the first bad record.
fn after(office: &Office, what: &str, sql: &str) -> i64 {
    let copy = office.copy();
    let state = Connection::open(copy.state()).unwrap();
    state.execute_batch(&format!("{FREE}{sql}")).unwrap_or_else(|error| panic!("{what}: {error}"));
    drop(state);
    broken(&copy, &[]).0
}

#[test]
fn whatever_is_done_to_any_row_in_the_state_file_the_first_bad_record_is_named() {
    let target = Receiver::start();
    let (office, _) = prepared(&target);
    let state = Connection::open(office.state()).unwrap();
    let numbers = |sql: &str| -> Vec<i64> {
        state.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let sealed = numbers("SELECT CAST(v AS INTEGER) FROM meta WHERE k = 'sealed'")[0];
    let attempts = numbers(&format!("SELECT n FROM attempt WHERE n > {sealed} ORDER BY n"));
    let acts = numbers(&format!("SELECT n FROM act WHERE n > {sealed} ORDER BY n"));
    let last = *attempts.iter().chain(&acts).max().unwrap();
    let old = numbers(&format!("SELECT n FROM attempt WHERE n <= {sealed} ORDER BY n"));
    drop(state);
    // How many events are one row is a matter of haste.
    assert!(attempts.len() > 3 && acts.len() > 3 && old.len() > 3, "{attempts:?} {acts:?} {old:?}");

    for &n in &attempts {
        for change in [
            "entries = CAST(substr(entries, 1, 40) || CASE substr(entries, 41, 1) WHEN x'ff' THEN x'00' ELSE x'ff' END || substr(entries, 42) AS BLOB)",
            "at = at + 1",
            "config_hash = NULL, phase = CASE phase WHEN 'intent' THEN 'outcome' ELSE 'intent' END",
            "hash = zeroblob(32)",
            "hash = NULL",
            "first_seq = first_seq - 1",
            "connector = connector + 1",
            "up = up + 1",
        ] {
            assert_eq!(
                after(&office, change, &format!("UPDATE attempt SET {change} WHERE n = {n}")),
                n,
                "{change} of {n}"
            );
        }
        assert_eq!(after(&office, "delete", &format!("DELETE FROM attempt WHERE n = {n}")), n);
    }
    for &n in &acts {
        for change in ["actor = 'ada'", "verb = 'x'", "reason = 'because'", "subject = 'y'", "at = 0"] {
            assert_eq!(after(&office, change, &format!("UPDATE act SET {change} WHERE n = {n}")), n, "{change} of {n}");
        }
        if n < last {
            assert_eq!(after(&office, "delete", &format!("DELETE FROM act WHERE n = {n}")), n);
        }
    }
    for pair in attempts.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let swap = format!(
            "UPDATE attempt SET n = -1 WHERE n = {a}; UPDATE attempt SET n = {a} WHERE n = {b}; UPDATE attempt SET n = {b} WHERE n = -1"
        );
        assert_eq!(after(&office, "swap", &swap), a);
        let columns = "at, connector, log, phase, first_seq, last_seq, config_hash, entries, origin, kinds, up, hash";
        let insert = format!(
            "UPDATE attempt SET n = -n - 1 WHERE n >= {b}; UPDATE attempt SET n = -n WHERE n < 0;
             UPDATE act SET n = -n - 1 WHERE n >= {b}; UPDATE act SET n = -n WHERE n < 0;
             INSERT INTO attempt(n, {columns}) SELECT {b}, {columns} FROM attempt WHERE n = {a}"
        );
        assert_eq!(after(&office, "insert", &insert), b);
    }
    // What is sealed as well is held against the archive.
    for n in old.into_iter().step_by(7) {
        assert_eq!(after(&office, "old", &format!("UPDATE attempt SET at = at + 1 WHERE n = {n}")), n);
    }
    // What is not there is missed by its number.
    let from = attempts[attempts.len() / 2];
    let cut = format!("DELETE FROM attempt WHERE n >= {from}; DELETE FROM act WHERE n >= {from}");
    assert_eq!(after(&office, "cut", &cut), from);
    assert_eq!(after(&office, "name", "UPDATE connector SET name = 'other'"), attempts[0].min(office_first(&office)));
}

/// The first row of attempts that is still in the state file.
fn office_first(office: &Office) -> i64 {
    let state = Connection::open(office.state()).unwrap();
    state.query_row("SELECT min(n) FROM attempt", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_chain_that_was_written_anew_is_not_what_was_signed() {
    let target = Receiver::start();
    let (office, kept) = prepared(&target);
    // Somebody who knows how the hashes are made: `hms-sync` itself begins a chain of whatever it finds.
    let copy = office.copy();
    let state = Connection::open(copy.state()).unwrap();
    let sealed: i64 =
        state.query_row("SELECT CAST(v AS INTEGER) FROM meta WHERE k = 'sealed'", [], |row| row.get(0)).unwrap();
    state.execute_batch(FREE).unwrap();
    let n: i64 = state.query_row("SELECT min(n) FROM attempt WHERE n > ?1", [sealed], |row| row.get(0)).unwrap();
    state.execute("UPDATE attempt SET at = at - 60000 WHERE n = ?1", [n]).unwrap();
    let hash: Vec<u8> = state
        .query_row(
            "SELECT hash FROM (SELECT n, hash FROM attempt UNION SELECT n, hash FROM act) WHERE n = ?1",
            [n - 1],
            |row| row.get(0),
        )
        .unwrap();
    let mut hash: [u8; 32] = hash.try_into().unwrap();
    let mut hashes = Vec::new();
    hms_sync::store::state::chain::rows(&state, n - 1, |stored| {
        hash = hms_sync::rules::chain::link(&hash, stored.bytes);
        hashes.push((stored.n, hash));
        true
    })
    .unwrap();
    for (n, hash) in hashes {
        for table in ["attempt", "act"] {
            state.execute(&format!("UPDATE {table} SET hash = ?2 WHERE n = ?1"), (n, hash)).unwrap();
        }
    }
    drop(state);
    let (_, what) = broken(&copy, &[]);
    assert!(what.contains("was written anew"), "{what}");
    // They take the checkpoints as well: one that was kept elsewhere is left.
    std::fs::remove_file(beside(&copy, ".checkpoints")).unwrap();
    let verdict = whole(&copy, &[]);
    assert!(verdict["warnings"].to_string().contains("not signed yet"), "{verdict:#}");
    let (_, what) = broken(&copy, &["--checkpoint", kept.to_str().unwrap()]);
    assert!(what.contains("was written anew"), "{what}");
}

#[test]
fn a_tail_or_a_piece_that_is_cut_off_and_an_old_folder_are_missed() {
    let target = Receiver::start();
    let (office, kept) = prepared(&target);
    let kept = kept.to_str().unwrap();
    whole(&office, &["--checkpoint", kept]);
    let last = whole(&office, &[])["last"].as_i64().unwrap();

    // The tail, and the checkpoints beside it.
    let copy = office.copy();
    let state = Connection::open(copy.state()).unwrap();
    state
        .execute_batch(&format!("{FREE} DELETE FROM attempt WHERE n > {0}; DELETE FROM act WHERE n > {0}", last - 4))
        .unwrap();
    drop(state);
    std::fs::remove_file(beside(&copy, ".checkpoints")).unwrap();
    whole(&copy, &[]);
    let (n, what) = broken(&copy, &["--checkpoint", kept]);
    assert_eq!(n, last - 3);
    assert!(what.contains("is missing"), "{what}");

    // A whole piece: the first, the last; with and without what the state file knows of it.
    let sealed = pieces(&office);
    for piece in &sealed {
        let name = piece.file_name().unwrap().to_str().unwrap();
        let first: i64 = name[11..23].parse().unwrap();
        let copy = office.copy();
        std::fs::remove_file(copy.folder().join("state/audit").join(name)).unwrap();
        assert_eq!(broken(&copy, &[]).0, first, "{name}");
        let state = Connection::open(copy.state()).unwrap();
        state.execute("DELETE FROM segment WHERE name = ?1", [name]).unwrap();
        drop(state);
        let (n, what) = broken(&copy, &[]);
        assert_eq!(n, first, "{name}: {what}");
        assert!(what.contains("missing"), "{what}");
    }

    // A bit anywhere in a piece.
    let bytes = std::fs::read(&sealed[1]).unwrap();
    let (begin, end) =
        (sealed[1].to_str().unwrap()[..].rsplit('/').next().unwrap()[11..23].parse::<i64>().unwrap(), last);
    for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
        let copy = office.copy();
        let path = copy.folder().join("state/audit").join(sealed[1].file_name().unwrap());
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let (code, verdict) = super::verify(&copy, &[]);
        if code == Some(0) {
            // The heads of gzip members hold a time and a system, which say nothing of the rows.
            let unpack = |path: &std::path::Path| std::process::Command::new("zcat").arg(path).output().unwrap().stdout;
            assert_eq!(unpack(&path), unpack(&sealed[1]), "byte {at}");
            continue;
        }
        assert_eq!(code, Some(65), "{verdict:#}");
        let n = verdict["broken"]["n"].as_i64().unwrap();
        assert!((begin..end).contains(&n), "byte {at}: {verdict:#}");
    }

    // An old folder in the place of the new one.
    let old = office.copy();
    office.sql("UPDATE visits SET minutes = 77");
    let once = on_day(&office, 3, &["run", "--once"]);
    assert_eq!(once.code, Some(0), "{once:#?}");
    let newer = office.folder().join("newer");
    std::fs::write(&newer, well(&office, &["audit", "head"]).stdout).unwrap();
    whole(&old, &[]);
    let (n, what) = broken(&old, &["--checkpoint", newer.to_str().unwrap()]);
    assert_eq!(n, last + 1);
    assert!(what.contains("is missing"), "{what}");
}
