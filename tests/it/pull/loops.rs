//! Nothing ping-pongs: contents that cross again and again stop, and a person is told. Honest edits cross.

use super::both_ways::{office, once, rows, writes};
use crate::support::office::Office;
use crate::support::world::{Paging, Told, World};

/// What waits for a person: number, connector, rule.
fn waiting(office: &Office) -> Vec<(i64, String, String)> {
    let listed: serde_json::Value = serde_json::from_str(&office.run(&["--json", "conflicts", "list"]).stdout).unwrap();
    let list = listed.as_array().or(listed["conflicts"].as_array()).unwrap().clone();
    let word = |conflict: &serde_json::Value, name: &str| conflict[name].as_str().unwrap().to_owned();
    list.iter()
        .map(|conflict| (conflict["id"].as_i64().unwrap(), word(conflict, "connector"), word(conflict, "rule")))
        .collect()
}

#[test]
fn of_a_record_that_stands_twice_in_a_page_the_later_counts_and_the_next_poll_brings_nothing() {
    let world = World::start(Paging::Token, 10);
    let office = office(&world, "", "1h");
    let item = |version: u64, title: &str| serde_json::json!({"id": 1, "title": title, "version": version, "updated": "2026-03-05T18:05:00Z", "deleted": false});
    let page = serde_json::json!({"items": [item(1, "first"), item(2, "second")]});
    world.meet(move |asked, _| (asked.path == "/items").then(|| Told::json(&page)));
    (0..8).for_each(|_| once(&office));
    assert_eq!((rows(&office)["1"].as_str(), office.highest()), ("second", 1));
    assert!(waiting(&office).is_empty());
}

#[test]
fn honest_edits_cross_however_many_and_two_values_in_turn_cross_four_times() {
    let world = World::start(Paging::Token, 10);
    world.run_clock();
    let office = office(&world, "", "1h");
    world.put(1, "t");
    once(&office);
    for n in 0..7 {
        office.sql(&format!("UPDATE things SET title = 'edit {n}'"));
        once(&office);
        assert_eq!((world.alive()["1"].clone(), waiting(&office)), (format!("edit {n}"), Vec::new()));
    }
    let sent = writes(&world);
    for n in 0..8 {
        office.sql(&format!("UPDATE things SET title = '{}'", ["a", "b"][n % 2]));
        once(&office);
    }
    assert_eq!(writes(&world), sent + 4);
    assert_eq!((world.alive()["1"].as_str(), rows(&office)["1"].as_str()), ("b", "b"));
    // Both say the same again, so that nothing waits; the next turn does.
    office.sql("UPDATE things SET title = 'a'");
    once(&office);
    let (id, _, rule) = waiting(&office).remove(0);
    assert_eq!((rule.as_str(), world.alive()["1"].as_str()), ("loop", "b"));
    let said = office.run(&["conflicts", "resolve", &id.to_string(), "--take", "local", "--reason", "it is meant"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    once(&office);
    once(&office);
    assert_eq!((world.alive()["1"].as_str(), waiting(&office).len()), ("a", 0));
    assert!(office.parked("world").is_empty(), "{:?}", office.parked_words("world"));
}
