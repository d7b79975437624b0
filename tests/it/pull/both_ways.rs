//! A connector that sends and reads, by the shipped binary, against a system that stores what it is sent.

use std::collections::BTreeMap;

use crate::support::journal::committed;
use crate::support::office::{Office, wait};
use crate::support::receiver::Receiver;
use crate::support::world::{Paging, Told, World};

pub const ADAPTER: &str = "adapter: world
push:
  upsert:
    steps:
      - id: put
        request: {method: PUT, url: \"{base}/{id}\", headers: {If-Match: \"{link.etag | default(omit)}\"}, json: \"{record}\"}
        capture: {etag: \"header:ETag\"}
  delete:
    request: {method: DELETE, url: \"{base}/{id}\"}
    classify:
      - {status: 404, is: success}
pull:
  request: {url: \"{base}\", query: {since: \"{cursor}\", token: \"{next}\"}}
  items: json:/items
  next: \"json:/next\"
  item: &thing
    key: /id
    version: /version
    updated: /updated
    deleted: /deleted
    links: {etag: /version}
  cursor: {kind: timestamp}
  one: {request: {url: \"{base}/{key.id}\"}, item: *thing}
classify:
  - {status: 2xx, is: success}
  - {status: 412, is: conflict}
  - {status: [408, 429, 5xx], is: retry, after: \"header:Retry-After\"}
  - {status: 4xx, is: reject}
  - default: unknown
";

/// An office with `things(id, title)` and a connector `world` that sends and reads them.
pub fn office(world: &World, rule: &str, every: &str) -> Office {
    office_that(world, rule, &format!("every: {every}"))
}

/// The same, with this in `pull:`.
pub fn office_that(world: &World, rule: &str, pull: &str) -> Office {
    let office = Office::new("CREATE TABLE things(id INTEGER PRIMARY KEY, title TEXT);");
    office.settings("things: {}");
    let config = office.config();
    std::fs::create_dir_all(config.join("adapters")).unwrap();
    std::fs::create_dir_all(config.join("conflicts")).unwrap();
    std::fs::write(config.join("adapters/world.yaml"), ADAPTER).unwrap();
    if !rule.is_empty() {
        let text = format!("table: things\nkey: id\nrules: [{{field: title, winner: {rule}}}]\n");
        std::fs::write(config.join("conflicts/things.yaml"), text).unwrap();
    }
    office.connector(
        "world",
        &format!(
            "adapter: world\nstrategy: bidirectional\nlisten: things\nendpoint: {{url: \"{}\"}}\n\
             map: {{id: id, title: title}}\nretryPolicy: {{backoff: 10ms, maxBackoff: 50ms}}\npull: {{{pull}}}\n",
            world.url("/items")
        ),
    );
    office
}

/// The rows, by key.
pub fn rows(office: &Office) -> BTreeMap<String, String> {
    let app = office.app();
    let mut statement = app.prepare("SELECT id, title FROM things").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?.to_string(), row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

pub fn writes(world: &World) -> usize {
    world.journal().iter().filter(|asked| asked.method != "GET").count()
}

/// One run, by the shipped binary.
pub fn once(office: &Office) {
    let ended = office.run(&["run", "--once"]);
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:#?}");
}

#[test]
fn a_correction_made_outside_arrives_is_not_echoed_and_reaches_a_second_connector() {
    let (world, second) = (World::start(Paging::Token, 2), Receiver::start());
    let office = office(&world, "", "1h");
    office.connector(
        "second",
        &format!(
            "target: {{url: \"{}\", method: PUT, tls: {{ca: \"{}\"}}}}\nlisten: things\nstart: beginning\n",
            second.url("/things/{id}"),
            second.ca.file().display()
        ),
    );
    (1..=5).for_each(|id| world.put(id, &format!("t{id}")));
    once(&office);
    assert_eq!(rows(&office), world.alive());
    assert_eq!(writes(&world), 0, "nothing is echoed");
    assert_eq!(committed(&second.journal()), 5);
    // And the other way: what the office writes is sent once, and what is read then is known.
    office.sql("UPDATE things SET title = 'ours' WHERE id = 2; INSERT INTO things VALUES (9, 'new'); DELETE FROM things WHERE id = 3");
    once(&office);
    assert_eq!(rows(&office), world.alive());
    assert_eq!(writes(&world), 3);
    let captured = office.highest();
    world.pass(1000);
    once(&office);
    once(&office);
    assert_eq!((writes(&world), office.highest(), rows(&office)), (3, captured, world.alive()));
    let status = office.run(&["--json", "status"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let known = status["connectors"].as_array().unwrap().iter().find(|known| known["connector"] == "world").unwrap();
    assert_eq!((&known["pull"]["applied"], &known["pull"]["held"]), (&5.into(), &0.into()), "{status}");
}

#[test]
fn a_push_that_meets_another_version_is_decided_again_and_both_sides_get_the_same() {
    for (rule, wanted, most) in [("remote", "theirs", 1), ("local", "ours", 2)] {
        for pages in [false, true] {
            let world = World::start(Paging::Token, 10);
            let office = office(&world, rule, "1h");
            world.put(1, "t1");
            once(&office);
            if !pages {
                // Only the push finds out.
                world.meet(|asked, _| (asked.path == "/items").then(|| Told::status(503)));
            }
            let agent = office.agent();
            world.put(1, "theirs");
            office.sql("UPDATE things SET title = 'ours'");
            let equal = || rows(&office) == world.alive() && rows(&office)["1"] == wanted;
            wait(&format!("{rule}: {:?} {:?}", rows(&office), world.alive()), equal);
            office.wait_settled("world");
            assert!(equal() && office.parked("world").is_empty(), "{:?}", office.parked_words("world"));
            // Where pages are read at the same time, it may be decided before anything is sent.
            let met = world.journal().iter().filter(|asked| asked.method == "PUT").count();
            assert!(met == most || (pages && met == most - 1), "{rule}: {met}");
            // One that cannot read says so in the end.
            if pages { agent.stop() } else { agent.kill() }
        }
    }
}

#[test]
fn a_change_that_is_decided_about_before_it_leaves_is_sent_as_it_was_decided_or_not_at_all() {
    for (rule, wanted, sent) in [("remote", "theirs", 0), ("local", "ours", 1)] {
        let world = World::start(Paging::Token, 10);
        let office = office(&world, rule, "1h");
        world.put(1, "t1");
        once(&office);
        world.put(1, "theirs");
        office.sql("UPDATE things SET title = 'first'; UPDATE things SET title = 'ours'");
        once(&office);
        assert_eq!((rows(&office)["1"].as_str(), world.alive()["1"].as_str()), (wanted, wanted));
        assert_eq!(writes(&world), sent, "{rule}");
        assert!(office.parked("world").is_empty(), "{:?}", office.parked_words("world"));
        // And what the application changes then goes as ever.
        office.sql("UPDATE things SET title = 'later'");
        once(&office);
        assert_eq!((world.alive()["1"].as_str(), writes(&world)), ("later", sent + 1));
    }
}

#[test]
fn a_system_that_stores_values_in_a_form_of_its_own_is_not_fought_with() {
    let world = World::start(Paging::Token, 10);
    let office = office(&world, "", "1h");
    world.store_as(|title| title.trim().to_uppercase());
    once(&office);
    office.sql("INSERT INTO things VALUES (1, ' ann '), (2, 'BOB')");
    for _ in 0..4 {
        world.pass(1000);
        once(&office);
    }
    assert_eq!(writes(&world), 2, "each is sent once");
    assert_eq!(rows(&office)["1"], " ann ", "what it made of it is no change of its own");
    let captured = office.highest();
    world.put(1, "Eve");
    once(&office);
    assert_eq!((rows(&office)["1"].as_str(), writes(&world), office.highest()), ("Eve", 2, captured + 1));
}

#[test]
fn what_no_rule_decides_is_held_on_both_sides_until_a_person_takes_one() {
    for (take, wanted) in [("local", "ours"), ("remote", "theirs")] {
        let world = World::start(Paging::Token, 10);
        let office = office(&world, "", "1h");
        world.put(1, "t1");
        once(&office);
        world.put(1, "theirs");
        office.sql("UPDATE things SET title = 'ours'");
        once(&office);
        assert_eq!((rows(&office)["1"].as_str(), world.alive()["1"].as_str()), ("ours", "theirs"));
        let listed = office.run(&["--json", "conflicts", "list"]);
        let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
        let list = listed.as_array().or(listed["conflicts"].as_array()).unwrap();
        assert_eq!(list.len(), 1, "{listed}");
        let id = list[0]["id"].to_string();
        let resolved = office.run(&["conflicts", "resolve", &id, "--take", take, "--reason", "asked"]);
        assert_eq!(resolved.code, Some(0), "{resolved:#?}");
        once(&office);
        once(&office);
        assert_eq!((rows(&office)["1"].as_str(), world.alive()["1"].as_str()), (wanted, wanted), "{take}");
        assert!(office.parked("world").is_empty(), "{:?}", office.parked_words("world"));
    }
}

#[test]
fn two_sides_that_are_full_are_compared_shown_and_meet_as_a_person_says() {
    let world = World::start(Paging::Token, 2);
    let office = office(&world, "", "1h");
    office.sql("INSERT INTO things VALUES (1, 'same'), (2, 'ours'), (3, 'here')");
    [(1, "same"), (2, "theirs"), (4, "there")].into_iter().for_each(|(id, title)| world.put(id, title));
    let ended = office.run(&["run", "--once"]);
    assert_eq!(ended.code, Some(75), "{ended:#?}");
    assert_eq!((rows(&office).len(), world.alive().len()), (3, 3));
    let shown = office.run(&["--json", "reconcile", "--connector", "world"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let count = |name: &str| shown[name].as_u64().unwrap();
    assert_eq!((count("same"), count("different"), count("onlyThere"), count("onlyHere")), (1, 1, 1, 1), "{shown}");
    assert_eq!((rows(&office).len(), writes(&world)), (3, 0), "looking writes nothing");
    let applied = office.run(&["reconcile", "--connector", "world", "--apply", "local"]);
    assert_eq!(applied.code, Some(0), "{applied:#?}");
    once(&office);
    let wanted: BTreeMap<String, String> = [("1", "same"), ("2", "ours"), ("3", "here"), ("4", "there")]
        .map(|(id, title)| (id.into(), title.into()))
        .into();
    assert_eq!((rows(&office), world.alive()), (wanted.clone(), wanted));
}

/// Says another strategy.
fn change_ways(office: &Office, from: &str, to: &str) {
    let file = office.config().join("connectors/world.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let listen = "listen: things\n";
    let text = match to {
        // One that only reads hears nothing.
        "pull" => text.replace(listen, "").replace("pull: {", "pull: {table: things, "),
        _ => text.replace("pull: {table: things, ", "pull: {").replace("endpoint:", &format!("{listen}endpoint:")),
    };
    std::fs::write(&file, text.replace(&format!("strategy: {from}"), &format!("strategy: {to}"))).unwrap();
}

#[test]
fn a_connector_that_sends_no_more_holds_nothing_back_and_meets_the_other_side_anew_when_it_sends_again() {
    let world = World::start(Paging::Token, 10);
    let office = office(&world, "remote", "1h");
    (1..=3).for_each(|id| world.put(id, &format!("t{id}")));
    once(&office);
    // Down: what is sent is not taken.
    world.meet(|asked, _| (asked.method == "PUT").then(|| Told::status(503)));
    office.sql("UPDATE things SET title = 'queued' WHERE id = 1");
    office.run(&["run", "--once"]);
    change_ways(&office, "bidirectional", "pull");
    office.sql("UPDATE things SET title = 'ours' WHERE id = 2; UPDATE things SET title = 'mine' WHERE id = 3");
    world.put(3, "theirs");
    let ended = office.run(&["run", "--once"]);
    assert_eq!(ended.code, Some(1), "what cannot be sent any more is told: {ended:#?}");
    assert!(
        office.parked_words("world").iter().all(|word| word.starts_with("held")),
        "{:?}",
        office.parked_words("world")
    );
    // What was edited here stays; what both have changed goes by the rule.
    let titles: Vec<String> = rows(&office).into_values().collect();
    assert_eq!(titles, ["queued", "ours", "theirs"]);
    let status: serde_json::Value = serde_json::from_str(&office.run(&["--json", "status"]).stdout).unwrap();
    let known = status["connectors"].as_array().unwrap().iter().find(|known| known["connector"] == "world").unwrap();
    assert_eq!((&known["queued"], &known["mode"], &known["downSince"]), (&0.into(), &"running".into(), &().into()));
    assert_eq!(
        office
            .reader()
            .read(|db| {
                let id = hms_sync::store::state::connector::find(db, "world")?.unwrap().id;
                hms_sync::store::state::cursor::of(db, id).map(|cursors| cursors.len())
            })
            .unwrap(),
        0,
        "nothing is kept for it"
    );
    // It sends again: what the other side never heard of is shown before anything is done.
    world.calm_answers();
    change_ways(&office, "pull", "bidirectional");
    assert_eq!(office.run(&["run", "--once"]).code, Some(75));
    let shown = office.run(&["--json", "reconcile", "--connector", "world"]).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["different"], &shown["same"]), (&2.into(), &1.into()), "{shown}");
    assert_eq!(office.run(&["reconcile", "--connector", "world", "--apply", "rules"]).code, Some(0));
    once(&office);
    let titles: Vec<String> = rows(&office).into_values().collect();
    assert_eq!((titles, world.alive()), (vec!["queued".to_owned(), "ours".into(), "theirs".into()], rows(&office)));
}

#[test]
fn one_that_only_sends_tells_nothing_of_what_it_once_read() {
    let world = World::start(Paging::Token, 10);
    let office = office(&world, "remote", "1h");
    world.put(1, "theirs");
    once(&office);
    let told = || -> serde_json::Value {
        let status: serde_json::Value = serde_json::from_str(&office.run(&["--json", "status"]).stdout).unwrap();
        status["connectors"][0]["pull"].clone()
    };
    assert_eq!(told()["applied"], 1);
    let file = office.config().join("connectors/world.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let kept = text.lines().filter(|line| !line.starts_with("pull:")).collect::<Vec<_>>().join("\n");
    std::fs::write(&file, kept.replace("strategy: bidirectional", "strategy: push")).unwrap();
    once(&office);
    assert!(told().is_null(), "{}", told());
    let shown = office.run(&["status"]).stdout;
    assert!(shown.contains("world") && !shown.contains("pull world"), "{shown}");
}
