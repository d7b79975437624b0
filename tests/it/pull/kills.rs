//! kill -9, a full disk or a failing one at any write or sync of either file while a page is planned, applied and finished.

use super::both_ways::{office, once, rows};
use crate::support::office::{Office, ended};
use crate::support::strace::{Fault, Injection, SYNCS, Strace, WRITES, counts, files_of};
use crate::support::world::{Paging, World};

/// How many points are tried; `HMS_PULL_KILLS=all` for all of them.
fn sample() -> usize {
    match std::env::var("HMS_PULL_KILLS") {
        Ok(text) if text == "all" => usize::MAX,
        Ok(text) => text.parse().unwrap(),
        Err(_) => 10,
    }
}

fn world() -> World {
    let world = World::start(Paging::Token, 40);
    (1..=120).for_each(|id| world.put(id, &format!("t{id}")));
    world
}

fn prepared(world: &World) -> Office {
    let office = office(world, "", "1h");
    assert_eq!(office.run(&["watch", "things"]).code, Some(0));
    office
}

#[test]
fn a_page_that_a_kill_or_the_disk_cuts_off_anywhere_is_finished_and_nothing_is_written_twice() {
    let world = world();
    let mut points: Vec<(bool, Fault, String, usize)> = Vec::new();
    let reference = prepared(&world);
    for of_state in [false, true] {
        let office = prepared(&world);
        let log = office.folder().join("strace");
        let strace = Strace { paths: paths(&office, of_state), injection: None, log };
        let ended = ended(&mut strace.around(&office.command(&["run", "--once"])));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        for (call, (_, n)) in counts(&strace.lines(), |_| true) {
            if WRITES.contains(&&*call) || SYNCS.contains(&&*call) {
                for fault in [Fault::Kill, Fault::Full, Fault::Error, Fault::Sync]
                    .into_iter()
                    .filter(|fault| fault.calls().contains(&&*call))
                {
                    points.extend((1..=n).map(|n| (of_state, fault, call.clone(), n)));
                }
            }
        }
    }
    assert!(points.len() > 20, "{points:?}");
    assert_eq!(reference.run(&["run", "--once"]).code, Some(0));
    let captured = reference.highest();
    fastrand::seed(std::env::var("HMS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1));
    fastrand::shuffle(&mut points);
    let mut died = 0;
    println!("{} points", points.len());
    for (of_state, fault, call, n) in points.into_iter().take(sample()) {
        let office = prepared(&world);
        let injection = Some(Injection { fault, call: call.clone(), n });
        let log = office.folder().join("strace");
        let strace = Strace { paths: paths(&office, of_state), injection, log };
        let met = ended(&mut strace.around(&office.command(&["run", "--once"])));
        died += usize::from(met.code != Some(0));
        // The application writes at once.
        office.app().execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
        let again = office.run(&["run", "--once"]);
        assert_eq!(again.code, Some(0), "{fault:?}/{call}/{n}: {again:#?}");
        assert_eq!(rows(&office), world.alive(), "{fault:?}/{call}/{n}");
        assert_eq!(office.highest(), captured, "{fault:?}/{call}/{n}: each row was written once");
    }
    assert!(world.journal().iter().all(|asked| asked.method == "GET"), "nothing is echoed");
    assert!(died > 0, "no run was cut off");
}

/// Record 1 is disputed, and a person has taken what is there.
fn decided(world: &World) -> Office {
    let office = office(world, "", "1h");
    once(&office);
    world.put(1, "theirs");
    office.sql("UPDATE things SET title = 'ours' WHERE id = 1");
    once(&office);
    let resolved = office.run(&["conflicts", "resolve", "1", "--take", "remote", "--reason", "asked"]);
    assert_eq!(resolved.code, Some(0), "{resolved:#?}");
    office
}

/// The only conflict: its state, and what is there.
fn stands(office: &Office) -> (String, String) {
    let listed = office.run(&["--json", "conflicts", "list", "--state", "all"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let list = listed.as_array().or(listed["conflicts"].as_array()).unwrap();
    assert_eq!(list.len(), 1, "{listed}");
    (list[0]["state"].as_str().unwrap().to_owned(), list[0]["reason"].as_str().unwrap().to_owned())
}

fn fresh() -> World {
    let world = World::start(Paging::Token, 40);
    world.put(1, "t1");
    world
}

#[test]
fn what_a_person_has_decided_is_carried_out_whatever_cuts_it_off() {
    let mut cut = 0;
    for of_state in [false, true] {
        for n in 1..=sample().div_ceil(4).min(40) {
            for writes in [false, true] {
                let world = fresh();
                let office = decided(&world);
                let injection = Some(Injection { fault: Fault::Kill, call: "pwrite64".to_owned(), n });
                let log = office.folder().join("strace");
                let strace = Strace { paths: paths(&office, of_state), injection, log };
                let met = ended(&mut strace.around(&office.command(&["run", "--once"])));
                cut += usize::from(met.code != Some(0));
                let before = rows(&office)["1"].clone();
                // The application may change it again before it is known what came of it.
                if writes {
                    office.sql("UPDATE things SET title = 'anew' WHERE id = 1");
                }
                once(&office);
                let (state, _) = stands(&office);
                match (writes, before.as_str()) {
                    (false, _) => {
                        assert_eq!((rows(&office)["1"].as_str(), world.alive()["1"].as_str()), ("theirs", "theirs"));
                        assert_eq!(state, "decided", "{of_state} {n}");
                    }
                    // It was done before; what is written then is a change like any other.
                    (true, "theirs") => assert_eq!((state.as_str(), world.alive()["1"].as_str()), ("decided", "anew")),
                    // What was decided is about something that is no more.
                    (true, _) => {
                        assert_eq!((rows(&office)["1"].as_str(), world.alive()["1"].as_str()), ("anew", "theirs"));
                        assert_eq!(state, "open", "{of_state} {n}");
                    }
                }
            }
        }
    }
    assert!(cut > 0, "no run was cut off");
}

#[test]
fn what_a_person_has_decided_and_the_table_refuses_waits_again() {
    let world = fresh();
    let office = decided(&world);
    office.sql(
        "CREATE TRIGGER no BEFORE UPDATE ON things WHEN NEW.title = 'theirs' BEGIN SELECT RAISE(ABORT, 'never'); END",
    );
    once(&office);
    let (state, reason) = stands(&office);
    assert!(state == "open" && reason.starts_with("trigger"), "{state}: {reason}");
    assert_eq!(rows(&office)["1"], "ours");
    office.sql("DROP TRIGGER no");
    office.run(&["conflicts", "resolve", "1", "--take", "remote", "--reason", "mended"]);
    once(&office);
    assert_eq!((rows(&office)["1"].as_str(), stands(&office).0.as_str()), ("theirs", "decided"));
}

fn paths(office: &Office, of_state: bool) -> Vec<std::path::PathBuf> {
    if of_state { files_of(&office.state()) } else { files_of(&office.database()) }
}
