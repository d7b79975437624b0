//! The agent's own file: kept as durable as SQLite can, in a folder of its own, and looked through once a week
//! (R-DUR-1).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::os::unix::fs::PermissionsExt as _;

use hms_sync::clock::{self, Timestamp};
use hms_sync::store::state::health::{self, Health};
use hms_sync::store::state::{State, StateReader};
use rusqlite::Connection;

use crate::support::office::{Agent, Office, THREE, wait};
use crate::support::receiver::Receiver;

#[test]
fn the_state_file_is_a_synced_wal_without_memory_mapping_whose_deleted_bytes_are_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&folder.path().join("a/state/state.db")).unwrap();
    let pragma = |name: &str| -> String {
        let value = |row: &rusqlite::Row<'_>| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => other.as_str().unwrap().to_owned(),
            })
        };
        state.read(|db| db.query_row(&format!("PRAGMA {name}"), [], value)).unwrap()
    };
    let values = ["journal_mode", "synchronous", "mmap_size", "secure_delete"].map(pragma);
    assert_eq!(values, ["wal", "2", "0", "1"]);
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    for made in ["a", "a/state"] {
        let mode = std::fs::metadata(folder.path().join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
}

#[test]
fn the_state_file_is_looked_through_once_a_week_and_whenever_the_clock_was_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::open(&folder.path().join("state.db")).unwrap();
    let due = |state: &State, now| state.read(|db| health::is_due(db, now)).unwrap();
    let (day, now) = (86_400_000, clock::now());
    assert!(due(&state, now), "nobody has looked yet");
    state.commit(|db| health::set(db, now, None)).unwrap();
    assert_eq!(state.read(health::last).unwrap(), Some(Health { at: now, damage: None }));
    assert!(!due(&state, Timestamp(now.0 + 7 * day - 1)));
    assert!(due(&state, Timestamp(now.0 + 7 * day)));
    assert!(due(&state, Timestamp(now.0 - day)));
}

fn look(office: &Office) -> Option<Health> {
    StateReader::open(&office.state()).unwrap().read(health::last).unwrap()
}

#[test]
fn a_damaged_state_file_ends_the_agent_with_74_is_told_by_status_and_refused_until_it_is_mended() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let agent = office.agent();
    wait("it has looked at its file", || look(&office).is_some_and(|health| health.damage.is_none()));
    agent.stop();
    let status = office.run(&["--json", "status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.contains(r#""checked":"#), "{status:?}");

    // The pages of an index that nobody knows any more; and the last look is long ago.
    let state = Connection::open(office.state()).unwrap();
    state.execute_batch("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'parked_state';").unwrap();
    health::set(&state, Timestamp(0), None).unwrap();
    drop(state);
    let mut agent = Agent::start(office.command(&["-v", "run"]));
    assert_eq!(agent.wait().code(), Some(74), "{}", agent.said());
    agent.says("the state file is damaged");
    let status = office.run(&["status"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(status.stdout.contains("state: the state file is damaged"), "{status:?}");
    let refused = office.run(&["run", "--once"]);
    assert_eq!(refused.code, Some(74), "{refused:?}");

    Connection::open(office.state()).unwrap().execute_batch("VACUUM").unwrap();
    office.sql("UPDATE visits SET minutes = 11");
    assert_eq!(office.once().0, Some(0));
    assert_eq!(office.run(&["status"]).code, Some(0));
}
