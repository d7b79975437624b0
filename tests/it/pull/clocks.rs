//! Which side changed something first is told by two clocks: one that cannot be trusted decides nothing.

use super::both_ways::{office_that, once, rows};
use crate::support::faketime::under;
use crate::support::office::{Office, ended};
use crate::support::world::{Paging, World};

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

/// Both sides agree on record 1.
fn agreed(world: &World, rule: &str, pull: &str) -> Office {
    world.run_clock();
    let office = office_that(world, rule, pull);
    world.put_at(1, "t1", world.now() - 10 * MINUTE);
    once(&office);
    assert_eq!(rows(&office), world.alive());
    office
}

/// There a minute ago, by the clock there, and here now.
fn both_change(world: &World, office: &Office) {
    world.put_at(1, "theirs", world.now() - MINUTE);
    office.sql("UPDATE things SET title = 'ours'");
}

/// What waits for a person, and why.
fn waits(office: &Office) -> Vec<String> {
    let listed = office.run(&["--json", "conflicts", "list"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let list = listed.as_array().or(listed["conflicts"].as_array()).unwrap();
    list.iter().map(|conflict| conflict["reason"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn is_held(world: &World, office: &Office, why: &str) {
    assert_eq!((rows(office)["1"].as_str(), world.alive()["1"].as_str()), ("ours", "theirs"));
    assert_eq!(waits(office), [why]);
}

const THEIRS: &str = "the outside system's clock cannot be trusted";

#[test]
fn a_clock_that_is_an_hour_off_decides_as_if_it_were_right() {
    for ahead in [HOUR, -HOUR] {
        for (rule, wanted) in [("latest_change", "ours"), ("earliest_change", "theirs")] {
            let world = World::start(Paging::Token, 10);
            world.pass(ahead);
            let office = agreed(&world, rule, "every: 1h");
            both_change(&world, &office);
            once(&office);
            assert_eq!((rows(&office)["1"].as_str(), world.alive()["1"].as_str()), (wanted, wanted), "{rule} {ahead}");
            let status = office.run(&["status"]).stdout;
            let way = if ahead > 0 { "ahead" } else { "behind" };
            let told = status.split("the clock there is ").nth(1).unwrap_or_else(|| panic!("{status}"));
            let (seconds, told) = told.split_once(" s ").unwrap();
            assert!((3590..=3610).contains(&seconds.parse::<u64>().unwrap()) && told.starts_with(way), "{status}");
        }
    }
}

#[test]
fn a_clock_that_was_set_between_decides_nothing() {
    for by in [HOUR, -HOUR] {
        let world = World::start(Paging::Token, 10);
        let office = agreed(&world, "latest_change", "every: 1h");
        both_change(&world, &office);
        world.pass(by);
        once(&office);
        is_held(&world, &office, THEIRS);
        // Nor does it when it has shown the same for a while: both changes are from before.
        for _ in 0..6 {
            once(&office);
        }
        is_held(&world, &office, THEIRS);
        let status = office.run(&["status"]).stdout;
        assert!(status.contains("a clock was set"), "{status}");
    }
}

#[test]
fn a_clock_that_nobody_has_measured_decides_nothing_unless_the_connector_says_it_is_the_same() {
    for (pull, decides) in [("every: 1h", false), ("every: 1h, clock: same", true)] {
        let world = World::start(Paging::Token, 10);
        world.hide_date();
        let office = agreed(&world, "latest_change", pull);
        both_change(&world, &office);
        once(&office);
        if decides {
            assert_eq!((rows(&office)["1"].as_str(), world.alive()["1"].as_str()), ("ours", "ours"));
        } else {
            is_held(&world, &office, THEIRS);
        }
    }
}

#[test]
fn a_clock_that_runs_free_decides_nothing_however_right_it_is() {
    let world = World::start(Paging::Token, 10);
    let office = agreed(&world, "latest_change", "every: 1h, clock: free");
    both_change(&world, &office);
    once(&office);
    is_held(&world, &office, THEIRS);
    let wrong = office_that(&world, "latest_change", "every: 1h, clock: sundial").run(&["check"]);
    assert!(wrong.code == Some(78) && wrong.stdout.contains("measured, free, same"), "{wrong:#?}");
}

#[test]
fn our_own_clock_decides_nothing_while_it_is_not_believed() {
    let world = World::start(Paging::Token, 10);
    let office = agreed(&world, "latest_change", "every: 1h");
    both_change(&world, &office);
    let mut wrong = under(&office.command(&["run", "--once"]));
    let ended = ended(wrong.env("FAKETIME", "@2001-09-09 01:46:40"));
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:#?}");
    is_held(&world, &office, "this machine's clock cannot be trusted");
}
