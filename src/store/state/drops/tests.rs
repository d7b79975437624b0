//! A file's way, and what is frozen on it.

#![allow(clippy::unwrap_used)]

use super::change::Change;
use super::place::{PlaceState, Placed};
use super::*;
use crate::event::{Event, EventId, Op, Record, Value};
use crate::store::state::{LogId, State, connector};

fn state() -> (tempfile::TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&folder.path().join("state.db")).unwrap();
    (folder, state)
}

fn change(seq: i64, key: &str) -> Change {
    let event = Event::sample(seq, 1, None);
    Change { id: event.id, half: 0, key: key.to_owned(), ordinal: seq, log: LogId(1), op: Op::Insert, event }
}

#[test]
fn a_file_goes_its_way_and_keeps_what_the_cut_froze() {
    let (_folder, mut state) = state();
    state
        .commit(|db| {
            let drop = connector::remember(db, "wic")?.0.id;
            let id = open(db, drop, ("2026-03-05", 0), Timestamp(100), Timestamp(1))?;
            assert_eq!(open(db, drop, ("2026-03-05", 0), Timestamp(100), Timestamp(2))?, id, "one gathers at a time");
            assert_eq!(last_cut(db, drop)?, None);
            change::gather(db, drop, id, &[change(1, "b"), change(2, "a"), change(3, "b")])?;
            change::gather(db, drop, id, &[change(3, "b")])?;
            let mut seen = Vec::new();
            change::each_record(db, drop, id, |key, changes| {
                seen.push((key.to_owned(), changes.iter().map(|change| change.ordinal).collect::<Vec<_>>()));
                Sql::Ok(())
            })?;
            assert_eq!(seen, [("a".to_owned(), vec![2]), ("b".to_owned(), vec![1, 3])]);
            let payload: Record = [("id", Value::Integer(7))].into_iter().collect();
            member::add(db, id, 3, ("e-3", "b", "add"), &payload)?;
            let numbers = Numbers { n: 1, seq: 42, prev: 41, modifier: 0 };
            let cutting = Cutting {
                numbers,
                office: "OF042",
                name: "F42",
                records: 1,
                part: (1, 1),
                config_hash: &[7; 32],
                now: Timestamp(101),
            };
            cut(db, id, &cutting)?;
            let file = get(db, id)?.unwrap();
            assert_eq!((file.state, file.numbers, file.name.as_deref()), (FileState::Cut, Some(numbers), Some("F42")));
            assert_eq!(last_cut(db, drop)?, Some(("2026-03-05".to_owned(), 0)));
            rendered(db, id, (80, &[1; 32]), "{}", Timestamp(102))?;
            hold(db, id, Some(&Reason::new("permission", "no")))?;
            assert_eq!(under_way(db, drop)?[0].held.as_ref().unwrap().class, "permission");
            set_state(db, id, FileState::Published, Timestamp(103))?;
            assert!(under_way(db, drop)?.is_empty());
            for which in ["42", "2026-03-05", "F42"] {
                assert_eq!(meant(db, drop, which)?.len(), 1, "{which}");
            }
            assert_eq!(member::read(db, id, 0, 10)?[0].payload.as_ref(), Some(&payload));
            member::purge(db, id)?;
            assert_eq!(member::read(db, id, 0, 10)?[0].payload, None);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_number_is_never_given_twice() {
    let (_folder, mut state) = state();
    let given = state.commit(|db| {
        let drop = connector::remember(db, "wic")?.0.id;
        let numbers = Numbers { n: 1, seq: 1, ..Numbers::default() };
        let cutting = Cutting {
            numbers,
            office: "",
            name: "F",
            records: 0,
            part: (1, 1),
            config_hash: &[0; 32],
            now: Timestamp(1),
        };
        let first = open(db, drop, ("2026-03-05", 0), Timestamp(1), Timestamp(1))?;
        cut(db, first, &cutting)?;
        let second = open(db, drop, ("2026-03-06", 0), Timestamp(2), Timestamp(2))?;
        cut(db, second, &cutting)
    });
    assert!(given.is_err());
}

#[test]
fn what_a_place_has_is_kept_step_by_step() {
    let (_folder, mut state) = state();
    state
        .commit(|db| {
            let drop = connector::remember(db, "wic")?.0.id;
            let id = open(db, drop, ("2026-03-05", 0), Timestamp(1), Timestamp(1))?;
            let placed = Placed {
                place: "host".into(),
                state: PlaceState::Waiting,
                noted: String::new(),
                attempts: 0,
                due: None,
                since: Timestamp(1),
                reason: None,
            };
            place::set(db, id, &placed)?;
            place::note(db, id, "host", "rename")?;
            assert_eq!(place::of(db, id)?[0].noted, "rename");
            place::set(db, id, &Placed { state: PlaceState::Published, noted: "rename".into(), ..placed })?;
            assert_eq!(place::of(db, id)?[0].state, PlaceState::Published);
            assert_eq!(ack::known(db, drop, &[3; 32])?, None);
            let read = ack::Ack {
                sha256: [3; 32],
                name: "A.ACK".into(),
                at: Timestamp(2),
                file: Some(id),
                word: "accepted".into(),
                reason: None,
            };
            ack::remember(db, drop, &read)?;
            assert_eq!(ack::known(db, drop, &[3; 32])?, Some(read.clone()));
            assert_eq!(ack::newest(db, drop, Some("accepted"), 9)?, [read]);
            assert_eq!(ack::newest(db, drop, Some("quarantined"), 9)?, []);
            assert!(!member::has(db, drop, "a")?);
            member::set_has(db, drop, "a", true)?;
            assert!(member::has(db, drop, "a")?);
            let id = EventId { epoch: 1, seq: 9, nonce: 9 };
            assert_eq!(change::carried_by(db, drop, id)?, []);
            Ok(())
        })
        .unwrap();
}
