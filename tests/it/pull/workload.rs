//! Both sides write at random, with clocks apart, lost answers and kills: in the end both are equal, or what differs is what
//! waits for a person. Records of one time stand on both sides of a page's border, some are seen only minutes after their time,
//! pushes meet other versions, and a person decides now and then.
//!
//! `HMS_PULL_OPS` = how many writes (default 150), `HMS_SEED` draws others (default 1).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::both_ways::{office, rows};
use crate::support::office::{Office, PATIENCE, wait};
use crate::support::world::{Paging, World};

const HOUR: i64 = 3_600_000;

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

/// A person decides about some of what waits, this way or that.
fn decide(office: &Office, dice: &mut fastrand::Rng) {
    let listed = office.run(&["--json", "conflicts", "list"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
    let list = listed.as_array().or(listed["conflicts"].as_array()).cloned().unwrap_or_default();
    for conflict in list.iter().take(5) {
        if dice.bool() {
            continue;
        }
        let take = if dice.bool() { "local" } else { "remote" };
        let id = conflict["id"].to_string();
        // It may be decided, or another one, by now.
        office.run(&["conflicts", "resolve", &id, "--take", take, "--reason", "at random"]);
    }
}

#[test]
fn two_sides_that_write_at_random_are_equal_in_the_end_but_for_what_waits_for_a_person() {
    let (operations, mut dice) = (number("HMS_PULL_OPS", 150), fastrand::Rng::with_seed(number("HMS_SEED", 1)));
    let world = World::start(Paging::Token, 7);
    // Its clock is an hour ahead.
    world.pass(HOUR);
    world.run_clock();
    let office = office(&world, "latest_change", "50ms");
    // All of one time, over several pages.
    (1..=20).for_each(|id| world.put(id, &format!("t{id}")));
    assert_eq!(office.run(&["run", "--once"]).code, Some(0));
    world.lose_answers(5);
    let mut agent = office.agent();
    // The more is written, the more records there are, so that not each of them waits in the end.
    let most = 25.max(operations / 50);
    for n in 0..operations {
        let id = dice.u64(1..=most);
        let alive = world.alive().contains_key(&id.to_string());
        match dice.u8(..12) {
            0..=3 => office.sql(&format!(
                "INSERT INTO things VALUES ({id}, 'here {n}') ON CONFLICT(id) DO UPDATE SET title = excluded.title"
            )),
            4 => office.sql(&format!("DELETE FROM things WHERE id = {id}")),
            5 if alive => world.delete(id),
            // Both at once: the push meets another version.
            6 => {
                world.put(id, &format!("there {n}"));
                office.sql(&format!("UPDATE things SET title = 'here {n}' WHERE id = {id}"));
            }
            // What was begun up to five minutes ago and is seen only now.
            7 => world.put_late(id, &format!("late {n}"), dice.i64(0..300_000)),
            // Several of one time, which pages part.
            8 => (id..id + 10).for_each(|id| world.put(id.min(most), &format!("with others {n}"))),
            _ => world.put(id, &format!("there {n}")),
        }
        // Some follow one another within the same millisecond.
        world.pass(dice.i64(0..50) * dice.i64(0..2));
        if n % 10 == 9 {
            // It is at work meanwhile.
            let asked = world.requests();
            wait("it asks", || world.requests() > asked);
        }
        if n % 50 == 49 {
            agent.kill();
            agent = office.agent();
        }
        if n % 100 == 70 {
            decide(&office, &mut dice);
        }
    }
    world.lose_answers(0);
    let settled = || {
        let different = different(&office, &world);
        different.is_empty() || different.is_subset(&held(&office))
    };
    // What is in flight when both are equal may still part them.
    let began = Instant::now();
    let mut quiet = 0;
    while quiet < 3 {
        assert!(began.elapsed() < PATIENCE, "{}", story(&office, &world));
        std::thread::sleep(Duration::from_millis(200));
        quiet = if settled() { quiet + 1 } else { 0 };
    }
    agent.stop();
    assert_eq!(office.run(&["run", "--once"]).code.map(|code| code < 2), Some(true));
    assert!(settled(), "{}", story(&office, &world));
    if operations >= 1000 {
        let refused = world.refused();
        assert!(refused > 0, "no push met another version");
        println!("{} requests, {refused} of them refused with 412", world.requests());
        println!("{} records, {} of them wait for a person", world.alive().len(), held(&office).len());
    }
}

/// What is known of the records that differ, for whoever looks into a failure.
fn story(office: &Office, world: &World) -> String {
    let state = rusqlite::Connection::open(office.state()).unwrap();
    let text = |sql: &str| {
        let mut statement = state.prepare(sql).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map([], |row| {
            let shown = (0..width).map(|at| match row.get_ref(at).unwrap() {
                rusqlite::types::ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            });
            Ok(shown.collect::<Vec<_>>().join(" "))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("\n    ")
    };
    let (here, there) = (rows(office), world.alive());
    let mut story = format!("held {:?}\n", held(office));
    for key in different(office, world) {
        let like = format!("key = '{{\"id\":{key}}}'");
        story.push_str(&format!(
            "{key}: here {:?}, there {:?}\n  base {}\n  changes {}\n  sent {}\n  aside {}\n  conflicts {}\n  links {}\n  parked {}\n",
            here.get(&key),
            there.get(&key),
            text(&format!("SELECT remote, version, updated, seq, local, there FROM pull_base WHERE {like}")),
            text(&format!("SELECT field, first, last, seq FROM pull_change WHERE {like}")),
            text(&format!("SELECT seq, local FROM pull_sent WHERE {like} ORDER BY seq DESC LIMIT 3")),
            text(&format!("SELECT state, class, reason, tries FROM pull_item WHERE id = '{{\"id\":{key}}}'")),
            text(&format!("SELECT id, unit, state, winner, reason FROM conflict WHERE {like}")),
            text(&format!("SELECT name, value FROM link WHERE {like}")),
            text("SELECT seq, state, class, reason, attempts FROM parked LIMIT 20"),
        ));
        let app = office.app();
        let mut statement = app
            .prepare("SELECT seq, op, origin, dest, c1 FROM hms_sync_outbox WHERE c0 = ?1 ORDER BY seq DESC LIMIT 8")
            .unwrap();
        let events = statement.query_map([key.parse::<i64>().unwrap()], |row| {
            Ok(format!(
                "{} {} {:?} {:?} {:?}",
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<String>>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, Option<String>>(4)?
            ))
        });
        events.unwrap().for_each(|event| story.push_str(&format!("  event {}\n", event.unwrap())));
        for asked in world.journal().iter().filter(|asked| asked.path == format!("/items/{key}")).rev().take(6) {
            story.push_str(&format!("  asked {} {:?} {}\n", asked.method, asked.headers.get("if-match"), asked.body));
        }
    }
    story
}
