//! Both sides write at random, with clocks apart, lost answers and kills: in the end both are equal, or what differs is what
//! waits for a person.
//!
//! `HMS_PULL_OPS` = how many writes (default 150), `HMS_SEED` draws others (default 1).

use std::collections::BTreeSet;

use super::both_ways::{office, rows};
use crate::support::office::{Office, wait};
use crate::support::world::{Paging, World};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// The keys of the records that wait for a person.
fn held(office: &Office) -> BTreeSet<String> {
    let listed = office.run(&["--json", "conflicts", "list"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
    let list = listed.as_array().or(listed["conflicts"].as_array()).cloned().unwrap_or_default();
    list.iter().map(|conflict| conflict["key"]["id"].to_string()).collect()
}

fn different(office: &Office, world: &World) -> BTreeSet<String> {
    let (here, there) = (rows(office), world.alive());
    let keys: BTreeSet<String> = here.keys().chain(there.keys()).cloned().collect();
    keys.into_iter().filter(|key| here.get(key) != there.get(key)).collect()
}

#[test]
fn two_sides_that_write_at_random_are_equal_in_the_end_but_for_what_waits_for_a_person() {
    let (operations, mut dice) = (number("HMS_PULL_OPS", 150), fastrand::Rng::with_seed(number("HMS_SEED", 1)));
    let world = World::start(Paging::Token, 7);
    let office = office(&world, "latest_change", "50ms");
    (1..=20).for_each(|id| world.put(id, &format!("t{id}")));
    assert_eq!(office.run(&["run", "--once"]).code, Some(0));
    // Its clock is an hour ahead from now on.
    world.pass(3_600_000);
    world.lose_answers(5);
    let mut agent = office.agent();
    for n in 0..operations {
        let id = dice.u64(1..=25);
        let alive = world.alive().contains_key(&id.to_string());
        match dice.u8(..10) {
            0..=3 => office.sql(&format!(
                "INSERT INTO things VALUES ({id}, 'here {n}') ON CONFLICT(id) DO UPDATE SET title = excluded.title"
            )),
            4 => office.sql(&format!("DELETE FROM things WHERE id = {id}")),
            5 if alive => world.delete(id),
            _ => world.put(id, &format!("there {n}")),
        }
        world.pass(dice.i64(1..50));
        if n % 50 == 49 {
            agent.kill();
            agent = office.agent();
        }
    }
    world.lose_answers(0);
    let settled = || {
        let different = different(&office, &world);
        let held = held(&office);
        different.is_subset(&held)
            && office
                .parked("world")
                .iter()
                .all(|parked| &*parked.reason.class == "conflict" || &*parked.reason.class == "behind")
    };
    wait("both sides are equal, or wait for a person", settled);
    agent.stop();
    assert_eq!(office.run(&["run", "--once"]).code.map(|code| code < 2), Some(true));
    let (different, held) = (different(&office, &world), held(&office));
    assert!(different.is_subset(&held), "different {different:?}, held {held:?}");
}
