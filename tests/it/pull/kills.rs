//! kill -9, a full disk or a failing one at any write or sync of either file while a page is planned, applied and finished.

use super::both_ways::{office, rows};
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
                for fault in [Fault::Kill, Fault::Full, Fault::Error, Fault::Sync].into_iter().filter(|fault| fault.calls().contains(&&*call)) {
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

fn paths(office: &Office, of_state: bool) -> Vec<std::path::PathBuf> {
    if of_state { files_of(&office.state()) } else { files_of(&office.database()) }
}
