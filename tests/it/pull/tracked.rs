//! What was read of a record shows where one looks for that record: when both sides agreed, what came since, what stands aside.

use serde_json::{Value, json};

use super::both_ways::office;
use crate::support::chromium::Chromium;
use crate::support::loopback::Way;
use crate::support::office::Office;
use crate::support::world::{Paging, World};

fn once(office: &Office) {
    let ended = office.run(&["run", "--once"]);
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:#?}");
}

fn tracked(office: &Office, key: &str) -> Value {
    let ended = office.run(&["--json", "status", "things", key]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn one_record_says_by_whom_it_came_in_when_both_sides_agreed_and_why_a_change_of_theirs_stands_aside() {
    let world = World::start(Paging::Token, 10);
    let office = office(&world, "manual", "1h");
    office.add_settings("api: {listen: \"127.0.0.1:0\"}");
    (1..=2).for_each(|id| world.put(id, "canary-t"));
    once(&office);
    let found = tracked(&office, "1");
    assert_eq!(found["events"][0]["origin"], "world", "{found:#}");
    assert_eq!(found["pulled"][0]["connector"], "world", "{found:#}");
    assert_eq!(found["pulled"][0]["state"], "agreed", "{found:#}");
    assert!(found["pulled"][0]["agreed"].is_string() && found["pulled"][0]["changedThere"].is_string(), "{found:#}");
    assert_eq!(found["pulled"][0]["aside"], Value::Null);

    // What is deleted there is deleted here, and both know it. What was made here is theirs too.
    world.delete(2);
    office.sql("INSERT INTO things VALUES (9, 'canary-new')");
    once(&office);
    assert_eq!(tracked(&office, "2")["pulled"][0]["state"], "deleted");
    let ours = tracked(&office, "9");
    assert_eq!(
        (&ours["events"][0]["origin"], &ours["pulled"][0]["state"]),
        (&Value::Null, &json!("agreed")),
        "{ours:#}"
    );
    assert!(office.run(&["status", "things", "2"]).stdout.contains("world is read too: deleted on both sides, as of "));

    // Both sides change it, and a person must decide.
    world.put(1, "canary-theirs");
    office.sql("UPDATE things SET title = 'canary-ours' WHERE id = 1");
    once(&office);
    let found = tracked(&office, "1");
    assert_eq!((&found["conflicts"][0]["state"], &found["conflicts"][0]["unit"]), (&json!("open"), &json!("title")));
    let pulled = &found["pulled"][0];
    assert_eq!((&pulled["state"], &pulled["aside"]["state"]), (&json!("aside"), &json!("held")), "{found:#}");
    assert_eq!(pulled["changedHere"], json!(["title"]), "{found:#}");
    let said = office.run(&["status", "things", "1"]).stdout;
    assert!(said.contains("insert of things {\"id\":1}, read from world"), "{said}");
    assert!(said.contains("; changed here since: title; what came in stands aside since "), "{said}");
    assert!(!found.to_string().contains("canary") && !said.contains("canary"), "no value: {said}");

    let agent = office.agent();
    let way = Way::socket(&office);
    // The agent has read again meanwhile, or has not.
    let seen = way.get("/records/things/1").json();
    let same =
        ["connector", "state", "agreed", "changedHere"].iter().all(|name| seen["pulled"][0][name] == pulled[name]);
    assert!(same && seen["pulled"][0]["aside"]["since"] == pulled["aside"]["since"], "{seen:#}: {found:#}");
    assert_eq!(office.run(&["status", "things", "77"]).code, Some(69));
    // On the page too.
    let opened = office.run(&["-q", "status", "--open"]);
    assert_eq!(opened.code, Some(0), "{opened:?}");
    let mut browser = Chromium::start();
    browser.view(400, false);
    browser.open(opened.stdout.trim());
    browser.says("#connectors", "world");
    browser.js("document.querySelector('#find-type').value = 'things'");
    browser.click("#find-key");
    browser.write("1");
    browser.press("Enter");
    browser.says("#record-events", "world is read too");
    for words in ["stands aside", "both sides agreed on it", "changed here since: title", "read from world"] {
        browser.says("#record-events", words);
    }
    assert_eq!(browser.js("document.documentElement.scrollWidth > innerWidth"), false, "nothing is cut off on a phone");
    assert!(!browser.text("body").contains("canary"), "no value");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    agent.stop();
}
