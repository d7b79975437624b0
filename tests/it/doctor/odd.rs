//! The rarer findings: pauses, dropped and renamed tables, altered triggers, left-over candidates, a worn-out log, a torn
//! state file, a lock whose holder does not answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;

use rusqlite::Connection;

use super::{delivered, doctor, is_mended};
use crate::support::office::wait;
use crate::support::receiver::Receiver;

#[test]
fn a_pause_is_known_and_one_that_is_over_is_ended() {
    let target = Receiver::start();
    let office = delivered(&target);
    assert_eq!(office.run(&["capture", "pause", "visits", "--for", "1h"]).code, Some(0));
    let paused = doctor(&office, &[]);
    paused.is_well();
    paused.finds("warn", "triggers", "visits: paused until");
    assert_eq!(office.run(&["capture", "pause", "visits", "--for", "1ms"]).code, Some(0));
    office.sql("UPDATE visits SET minutes = 99 WHERE id = 1");
    wait("the pause is over", || doctor(&office, &[]).has("bad", "triggers", "its pause is over"));
    is_mended(&office, &target);
}

#[test]
fn a_dropped_table_is_left_to_a_person_and_a_renamed_one_is_followed() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql("ALTER TABLE visits RENAME TO calls; UPDATE calls SET minutes = 99 WHERE id = 1");
    doctor(&office, &[]).finds("bad", "triggers", "visits is called calls now");
    doctor(&office, &["--fix"]).is_well();
    office.sql("DROP TABLE calls");
    for more in [&[][..], &["--fix"]] {
        let said = doctor(&office, more);
        assert_ne!(said.code, 0, "{said:#?}");
        said.finds("bad", "triggers", "calls was dropped");
    }
}

#[test]
fn an_altered_trigger_is_found_and_made_anew() {
    let target = Receiver::start();
    let office = delivered(&target);
    let text: String = office
        .app()
        .query_row("SELECT sql FROM sqlite_master WHERE name = 'hms_sync_au_1'", [], |row| row.get(0))
        .unwrap();
    let hollow = format!("{} BEGIN SELECT 1; END", text.split_once("BEGIN").unwrap().0);
    office.sql(&format!("DROP TRIGGER hms_sync_au_1; {hollow}; UPDATE visits SET minutes = 99 WHERE id = 1"));
    let said = doctor(&office, &[]);
    said.finds("bad", "triggers", "visits: the table or its triggers were changed");
    said.finds("bad", "comparison", "1 stand otherwise than told");
    is_mended(&office, &target);
}

#[test]
fn a_delete_among_left_over_candidates_is_told() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql("INSERT INTO hms_sync_cand(tid, op, c0, c1, c2) VALUES (1, 'D', 2, 'Bea', 20)");
    doctor(&office, &[]).finds("ok", "candidates", "1 left over");
    // As after a REPLACE whose AFTER trigger never fired.
    office.sql("DROP TRIGGER hms_sync_ad_1; DELETE FROM visits WHERE id = 2");
    let said = doctor(&office, &[]);
    said.finds("warn", "candidates", "a delete among them is not told yet");
    is_mended(&office, &target);
    doctor(&office, &[]).finds("ok", "candidates", "0 left over");
}

#[test]
fn positions_that_run_out_are_told() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.sql(
        "UPDATE sqlite_sequence SET seq = 4611686018427387910 WHERE name = 'hms_sync_outbox';
         UPDATE hms_sync_ctl SET acked = 4611686018427387910; UPDATE visits SET minutes = 99 WHERE id = 1",
    );
    doctor(&office, &[]).finds("bad", "valve", "has reached position 4611686018427387911");
}

#[test]
fn a_state_file_that_is_torn_or_in_the_wrong_mode_is_found() {
    let target = Receiver::start();
    let office = delivered(&target);
    let state = Connection::open(office.state()).unwrap();
    state.pragma_update(None, "journal_mode", "delete").unwrap();
    doctor(&office, &[]).finds("bad", "journal", "journal mode delete");
    let page: i64 =
        state.query_row("SELECT rootpage FROM sqlite_master WHERE name = 'act'", [], |row| row.get(0)).unwrap();
    drop(state);
    let mut bytes = fs::read(office.state()).unwrap();
    let at = usize::try_from(page - 1).unwrap() * 4096;
    bytes[at + 1..at + 8].fill(0xff);
    fs::write(office.state(), bytes).unwrap();
    doctor(&office, &[]).finds("bad", "state", "is damaged");
}

#[test]
fn a_holder_of_the_lock_that_does_not_answer_is_told_with_75() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.agent().kill();
    // Its socket stands and nobody listens; somebody else has the lock.
    let lock = fs::File::options().read(true).write(true).open(office.folder().join("state/state.db.lock")).unwrap();
    lock.try_lock().unwrap();
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 75, "{said:#?}");
    said.finds("bad", "agent", "holds the state file and does not answer");
    drop(lock);
    doctor(&office, &["--fix"]).is_well();
}
