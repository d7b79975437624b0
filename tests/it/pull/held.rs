//! What a person has to decide about stays as it is on both sides until that is decided, whatever else of the record moves.

use std::collections::BTreeMap;

use super::both_ways::{ADAPTER, once, rows};
use crate::support::office::{Office, wait};
use crate::support::world::{Paging, World};

/// An office with `things(id, title, note)`: the later title wins, about notes a person decides. `careful` = what is sent names the version
/// that it is made from.
pub fn office(world: &World, careful: bool, every: &str) -> Office {
    let office = Office::new("CREATE TABLE things(id INTEGER PRIMARY KEY, title TEXT, note TEXT);");
    office.settings("things: {}");
    let config = office.config();
    std::fs::create_dir_all(config.join("adapters")).unwrap();
    std::fs::create_dir_all(config.join("conflicts")).unwrap();
    let header = "headers: {If-Match: \"{link.etag | default(omit)}\"}, ";
    assert!(ADAPTER.contains(header));
    let adapter = if careful { ADAPTER.to_owned() } else { ADAPTER.replace(header, "") };
    std::fs::write(config.join("adapters/world.yaml"), adapter).unwrap();
    let rules = "rules: [{field: title, winner: latest_change}, {field: note, winner: manual}]\n";
    std::fs::write(config.join("conflicts/things.yaml"), format!("table: things\nkey: id\n{rules}")).unwrap();
    office.connector(
        "world",
        &format!(
            "adapter: world\nstrategy: bidirectional\nlisten: things\nendpoint: {{url: \"{}\"}}\n\
             map: {{id: id, title: title, note: note}}\nretryPolicy: {{backoff: 10ms, maxBackoff: 50ms}}\n\
             pull: {{every: {every}, clock: same}}\n",
            world.url("/items")
        ),
    );
    office
}

pub fn notes(office: &Office) -> BTreeMap<String, String> {
    let app = office.app();
    let mut statement = app.prepare("SELECT id, note FROM things").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?.to_string(), row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The conflicts that are open: number, key, and the notes of both sides.
fn open(office: &Office) -> Vec<(i64, String, String, String)> {
    let listed: serde_json::Value = serde_json::from_str(&office.run(&["--json", "conflicts", "list"]).stdout).unwrap();
    let list = listed.as_array().or(listed["conflicts"].as_array()).unwrap().clone();
    let mut open: Vec<_> = list
        .iter()
        .map(|conflict| {
            let id = conflict["id"].as_i64().unwrap();
            let shown = office.run(&["--json", "conflicts", "show", &id.to_string()]).stdout;
            let shown = serde_json::from_str::<serde_json::Value>(&shown).unwrap()[0].clone();
            assert_eq!((&shown["unit"], &shown["state"]), (&"note".into(), &"open".into()), "{shown}");
            let note = |side: &str| shown["values"][side]["values"]["note"].as_str().unwrap_or("-").to_owned();
            (id, conflict["key"]["id"].to_string(), note("local"), note("remote"))
        })
        .collect();
    open.sort();
    open
}

#[test]
fn what_waits_for_a_person_stays_on_both_sides_whatever_else_is_written_and_however_often_it_is_looked_at() {
    for careful in [true, false] {
        let world = World::start(Paging::Token, 4);
        world.run_clock();
        let office = office(&world, careful, "50ms");
        let keys = 1..=6_u64;
        for id in keys.clone() {
            world.put(id, "t");
            world.note(id, "agreed");
        }
        once(&office);
        let (mut here, mut there) = (BTreeMap::new(), BTreeMap::new());
        for id in keys.clone() {
            // In half of them something else moves at the same time, here or there.
            let title = if id % 3 == 1 { ", title = 'ours'" } else { "" };
            office.sql(&format!("UPDATE things SET note = 'ours {id}'{title} WHERE id = {id}"));
            if id % 3 == 2 {
                world.put(id, "theirs");
            }
            world.note(id, &format!("theirs {id}"));
            here.insert(id.to_string(), format!("ours {id}"));
            there.insert(id.to_string(), format!("theirs {id}"));
        }
        once(&office);
        let numbers: Vec<(i64, String)> = open(&office).into_iter().map(|(id, key, ..)| (id, key)).collect();
        assert_eq!(numbers.len(), 6, "{numbers:?}");
        let mut dice = fastrand::Rng::with_seed(7);
        for n in 0..60 {
            let id = dice.u64(keys.clone());
            match dice.u8(..6) {
                0 | 1 => office.sql(&format!("UPDATE things SET title = 'here {n}' WHERE id = {id}")),
                2 | 3 => world.put(id, &format!("there {n}")),
                4 => {
                    office.sql(&format!("UPDATE things SET note = 'ours {n}' WHERE id = {id}"));
                    here.insert(id.to_string(), format!("ours {n}"));
                }
                _ => {
                    world.note(id, &format!("theirs {n}"));
                    there.insert(id.to_string(), format!("theirs {n}"));
                }
            }
            if n % 6 != 5 {
                continue;
            }
            if n % 12 == 5 {
                once(&office);
            } else {
                let agent = office.agent();
                let asked = world.requests();
                wait("it is read a few times", || world.requests() > asked + 6);
                agent.kill();
            }
            assert_eq!((notes(&office), world.notes()), (here.clone(), there.clone()), "{careful} {n}");
            let now: Vec<(i64, String)> = open(&office).into_iter().map(|(id, key, ..)| (id, key)).collect();
            assert_eq!(now, numbers, "{careful} {n}");
        }
        once(&office);
        once(&office);
        for (id, key, local, remote) in open(&office) {
            assert_eq!((&local, &remote), (&here[&key], &there[&key]), "conflict {id}");
        }
        // Decided, this way and that: both sides are equal then, with all that was written beside.
        for (at, (id, key)) in numbers.iter().enumerate() {
            let take = ["local", "remote", "\"mine\""][at % 3];
            let said = office.run(&["conflicts", "resolve", &id.to_string(), "--take", take, "--reason", "asked"]);
            assert_eq!(said.code, Some(0), "{said:#?}");
            let wanted = [here[key].clone(), there[key].clone(), "mine".to_owned()][at % 3].clone();
            here.insert(key.clone(), wanted);
        }
        once(&office);
        once(&office);
        assert_eq!((notes(&office), world.notes()), (here.clone(), here), "{careful}");
        assert_eq!(rows(&office), world.alive());
        assert!(open(&office).is_empty() && office.parked("world").is_empty(), "{:?}", office.parked_words("world"));
    }
}

#[test]
fn what_differs_at_the_first_contact_and_no_rule_decides_waits_under_its_number() {
    let world = World::start(Paging::Token, 4);
    let office = office(&world, true, "50ms");
    office.sql("INSERT INTO things VALUES (1, 'same', 'same'), (2, 'same', 'ours')");
    for (id, note) in [(1, "same"), (2, "theirs")] {
        world.put(id, "same");
        world.note(id, note);
    }
    office.run(&["run", "--once"]);
    let applied = office.run(&["reconcile", "--connector", "world", "--apply", "rules"]);
    assert!(matches!(applied.code, Some(0 | 1)), "{applied:#?}");
    once(&office);
    let first = open(&office);
    assert_eq!(first.len(), 1);
    for _ in 0..2 {
        once(&office);
        let agent = office.agent();
        let asked = world.requests();
        wait("it is read a few times", || world.requests() > asked + 4);
        agent.kill();
        assert_eq!(open(&office), first);
        assert_eq!((notes(&office)["2"].as_str(), world.notes()["2"].as_str()), ("ours", "theirs"));
    }
    office.sql("UPDATE things SET title = 'later' WHERE id = 2");
    once(&office);
    once(&office);
    assert_eq!(open(&office), first);
    assert_eq!((notes(&office)["2"].as_str(), world.notes()["2"].as_str()), ("ours", "theirs"));
}

#[test]
fn what_simulate_says_is_decided_is_decided_by_the_run_after_it() {
    let world = World::start(Paging::Token, 4);
    world.run_clock();
    let office = office(&world, true, "1h");
    (1..=3).for_each(|id| world.put(id, "t"));
    once(&office);
    // The agent has not looked at the log since.
    office.sql("UPDATE things SET title = 'ours'");
    (1..=3).for_each(|id| world.put(id, "theirs"));
    let simulated = office.run(&["--json", "simulate", "world"]);
    let forecast: serde_json::Value = serde_json::from_str(&simulated.stdout).unwrap();
    assert_eq!((&forecast["held"], &forecast["different"]), (&0.into(), &3.into()), "{simulated:#?}");
    once(&office);
    once(&office);
    assert!(open(&office).is_empty());
    assert_eq!(rows(&office), world.alive());
}
