//! What is written to a system that is read too names the version that was read: nothing there is overwritten unseen.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::pull::both_ways::{self, once, rows};
use crate::support::office::{Office, wait};
use crate::support::world::{Asked, Paging, Told, World};

/// An office with `things(id, title)` and a plain REST connector that sends and reads them; `more` stands in its `pull`.
fn office(world: &World, more: &str) -> Office {
    let office = Office::new("CREATE TABLE things(id INTEGER PRIMARY KEY, title TEXT, note TEXT);");
    office.settings("things: {}");
    let url = world.url("/items");
    office.connector(
        "world",
        &format!(
            "strategy: bidirectional\nlisten: things\nendpoint: {{url: \"{url}/{{id}}\", method: PUT}}\n\
             retryPolicy: {{backoff: 10ms, maxBackoff: 50ms}}\n\
             pull:\n  every: 1h\n  url: {url}\n  items: json:/items\n  key: /id\n  version: /version\n  {more}\n"
        ),
    );
    office
}

fn note(office: &Office) -> (String, Option<String>) {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    office.app().query_row("SELECT title, note FROM things WHERE id = 1", [], row).unwrap()
}

/// One thing behind an address of its own, which answers with its `ETag`.
struct Tagged {
    fields: Value,
    version: u64,
    tag: fn(u64) -> String,
}

impl Tagged {
    fn start(tag: fn(u64) -> String) -> (World, Arc<Mutex<Tagged>>) {
        let fields = json!({"id": 1, "title": "t1", "note": null});
        let own = Arc::new(Mutex::new(Tagged { fields, version: 1, tag }));
        let (world, shared) = (World::start(Paging::Token, 10), Arc::clone(&own));
        world.meet(move |asked, _| Some(shared.lock().unwrap().answer(asked)));
        (world, own)
    }

    fn answer(&mut self, asked: &Asked) -> Told {
        if asked.headers.get("if-match").is_some_and(|wanted| *wanted != (self.tag)(self.version)) {
            return Told::status(412);
        }
        if asked.method == "PUT" {
            (self.fields, self.version) = (serde_json::from_str(&asked.body).unwrap(), self.version + 1);
        }
        let mut item = self.fields.clone();
        item["version"] = self.version.into();
        match asked.path.as_str() {
            "/items" => Told::json(&json!({"items": [item]})),
            _ => Told::json(&item).with("ETag", &(self.tag)(self.version)),
        }
    }

    fn edit(&mut self, name: &str, value: &str) {
        self.fields[name] = value.into();
        self.version += 1;
    }
}

fn conditions(world: &World) -> Vec<Option<String>> {
    let writes = world.journal().into_iter().filter(|asked| asked.method == "PUT");
    writes.map(|asked| asked.headers.get("if-match").cloned()).collect()
}

const ONE: &str = "one: {request: {url: \"{base}/{key.id}\"}}";

#[test]
fn plain_rest_names_the_version_that_an_answer_told_and_an_edit_there_is_not_overwritten() {
    let (world, there) = Tagged::start(|version| format!("\"{version}\""));
    let office = office(&world, &ONE.replace("{base}", &world.url("/items")));
    once(&office);
    let agent = office.agent();
    office.sql("UPDATE things SET note = 'first'");
    wait("it is sent", || there.lock().unwrap().fields["note"] == "first");
    office.wait_settled("world");
    there.lock().unwrap().edit("title", "EDITED THERE");
    office.sql("UPDATE things SET note = 'second'");
    wait("both edits are on both sides", || {
        let there = there.lock().unwrap().fields.clone();
        there["title"] == "EDITED THERE" && there["note"] == "second" && note(&office).0 == "EDITED THERE"
    });
    office.wait_settled("world");
    agent.stop();
    let conditions = conditions(&world);
    assert_eq!((&conditions[0], conditions.last()), (&None, Some(&Some("\"3\"".into()))));
    assert!(conditions[1..].iter().all(Option::is_some), "{conditions:?}");
}

#[test]
fn a_weak_entity_tag_is_no_version_and_who_does_not_want_a_condition_sends_none() {
    for (tag, more) in [
        ((|version| format!("W/\"{version}\"")) as fn(u64) -> String, ""),
        (|version| format!("\"{version}\""), "\n  ifMatch: false"),
    ] {
        let (world, there) = Tagged::start(tag);
        let office = office(&world, &format!("{}{more}", ONE.replace("{base}", &world.url("/items"))));
        once(&office);
        for note in ["first", "second"] {
            office.sql(&format!("UPDATE things SET note = '{note}'"));
            once(&office);
            assert_eq!(there.lock().unwrap().fields["note"], note);
        }
        assert_eq!(conditions(&world), [None, None]);
    }
}

#[test]
fn plain_rest_names_the_version_that_stands_in_the_items_where_the_connector_says_so() {
    let world = World::start(Paging::Token, 10);
    let office = office(&world, "links: {etag: /version}");
    world.put(1, "t1");
    once(&office);
    office.sql("UPDATE things SET title = 'ours'");
    once(&office);
    assert_eq!((conditions(&world), world.alive()["1"].as_str()), (vec![Some("1".into())], "ours"));
}

#[test]
fn what_meets_a_version_that_our_own_push_has_made_is_sent_again() {
    let world = World::start(Paging::Token, 10);
    let office = both_ways::office(&world, "", "1h");
    let file = office.config().join("adapters/world.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("        capture: {etag: \"header:ETag\"}\n", "")).unwrap();
    world.put(1, "t1");
    once(&office);
    let agent = office.agent();
    for title in ["first", "second"] {
        office.sql(&format!("UPDATE things SET title = '{title}' WHERE id = 1"));
        wait(title, || world.alive()["1"] == title);
        office.wait_settled("world");
    }
    agent.stop();
    assert_eq!(rows(&office)["1"], "second");
}
