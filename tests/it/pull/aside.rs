//! What comes in and stands aside: who is told of it, where it is found, and when it is over.

use hms_sync::engine::pull::stands_aside;
use hms_sync::event::Value;
use hms_sync::rules::governance::Gate;
use hms_sync::store::state::StateReader;
use hms_sync::store::state::parked::Selection;
use hms_sync::store::state::pull::item::Aside;

use super::Desk;
use super::both_ways::office_that;
use crate::support::loopback::Way;
use crate::support::office::wait;
use crate::support::world::{Paging, World};

/// Keys and states of what stands aside.
fn listed(desk: &Desk) -> Vec<String> {
    let mut state = StateReader::open(&desk.office.state()).unwrap();
    let reading = [("lotus".to_owned(), "visits".to_owned())];
    let found = stands_aside(&mut state, &reading, &Selection::default(), &Gate::open()).unwrap();
    found.iter().map(|item| format!("{} {} {}", item.key, item.state, item.class)).collect()
}

fn soon(desk: &Desk, id: i64) {
    desk.there.put_fields(id, &[("name", Value::from("Ann")), ("minutes", Value::from("soon"))]);
}

#[test]
fn what_cannot_come_in_is_listed_by_its_key_until_it_can_or_is_gone() {
    let desk = Desk::visits();
    desk.there.put(1, "Ann", "09:00");
    soon(&desk, 2);
    soon(&desk, 3);
    desk.pull();
    assert_eq!(listed(&desk), [r#"{"id":2} bad type"#, r#"{"id":3} bad type"#]);
    desk.there.put(2, "Bob", "09:00");
    desk.there.delete(3);
    desk.pull();
    assert!(listed(&desk).is_empty(), "{:?}", listed(&desk));
    // As it was before, and agreed on.
    soon(&desk, 1);
    desk.pull();
    assert_eq!(listed(&desk).len(), 1);
    desk.there.put(1, "Ann", "09:00");
    desk.pull();
    assert!(listed(&desk).is_empty(), "{:?}", listed(&desk));
    // It is gone where everything is read, and nothing has said so.
    soon(&desk, 4);
    desk.pull();
    desk.there.lose(4);
    desk.there.expire();
    desk.pull();
    assert!(listed(&desk).is_empty(), "{:?}", listed(&desk));
}

#[test]
fn what_was_refused_and_is_deleted_there_is_not_tried_again() {
    let desk = Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT NOT NULL, start TEXT);");
    desk.there.put_fields(1, &[("name", Value::Null)]);
    desk.pull();
    assert_eq!(desk.aside(Aside::Refused).len(), 1);
    desk.there.delete(1);
    desk.pull();
    assert!(listed(&desk).is_empty());
}

#[test]
fn a_run_ends_with_1_as_long_as_something_stands_aside_and_whoever_is_told_finds_it() {
    let world = World::start(Paging::Token, 10);
    let office = office_that(&world, "", "every: 1h");
    office.sql(
        "CREATE TRIGGER never BEFORE INSERT ON things WHEN NEW.title = 'never' BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    office.add_settings("api: {listen: \"unix:../api.sock\"}");
    world.put(1, "t1");
    assert_eq!(office.run(&["run", "--once"]).code, Some(0));
    world.put(7, "never");
    for _ in 0..2 {
        let ended = office.run(&["run", "--once"]);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(ended.stdout.contains("1 refused") && ended.stdout.contains("`hms-sync deliveries list"), "{ended:#?}");
    }
    let failed = office.run(&["sync", "world"]);
    assert!(failed.code == Some(1) && failed.stdout.contains("1 refused"), "{failed:#?}");
    // The command that `status` names shows it.
    let status: serde_json::Value = serde_json::from_str(&office.run(&["--json", "status"]).stdout).unwrap();
    let mend = status["needs"][0]["mend"].as_str().unwrap();
    let command = mend.split('`').find_map(|part| part.strip_prefix("hms-sync ")).unwrap();
    let text = office.run(&command.split(' ').collect::<Vec<_>>()).stdout;
    let line = text.lines().find(|line| line.starts_with("world ")).unwrap_or_else(|| panic!("{mend}: {text}"));
    let cells: Vec<&str> = line.split_whitespace().take(4).collect();
    assert_eq!(cells, ["world", "things", "7", "refused"]);
    assert!(line.contains("trigger: a trigger of the application refuses it") && !text.contains("never"), "{text}");
    let list = |arguments: &[&str]| -> serde_json::Value {
        let shown = office.run(&[&["--json", "deliveries", "list"], arguments].concat());
        serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{shown:#?}"))
    };
    let all = list(&[]);
    let seen = ["direction", "key", "state", "class"].map(|name| all[0][name].to_string());
    assert_eq!(seen, ["\"inbound\"", "{\"id\":7}", "\"refused\"", "\"trigger\""], "{all}");
    assert!(all[0]["since"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    for none in [&["--direction", "outbound"][..], &["--state", "bad"], &["--type", "others"], &["--class", "check"]] {
        assert_eq!(list(none), serde_json::json!([]), "{none:?}");
    }
    let agent = office.agent();
    let way = Way::Socket(office.folder().join("api.sock"));
    wait("the API answers", || way.get("/aside").status == 200);
    let told = way.get("/aside?connector=world&state=refused").json();
    assert_eq!((&told[0]["key"]["id"], &told[0]["state"]), (&7.into(), &"refused".into()), "{told}");
    assert_eq!(way.get("/aside?state=dead").status, 400);
    assert_eq!(way.get("/aside?connector=nobody").status, 404);
    agent.stop();
    world.pass(60_000);
    world.put(7, "t7");
    assert_eq!(office.run(&["run", "--once"]).code, Some(0));
    assert_eq!(list(&[]), serde_json::json!([]));
}

#[test]
fn a_record_that_nothing_is_sent_of_is_not_queued_anywhere() {
    let world = World::start(Paging::Token, 10);
    let office = office_that(&world, "", "every: 1h");
    office.connector(
        "world",
        &format!(
            "adapter: world\nstrategy: pull\nendpoint: {{url: \"{}\"}}\nmap: {{id: id, title: title}}\n\
             pull: {{table: things, every: 1h}}\n",
            world.url("/items")
        ),
    );
    world.put(1, "t1");
    assert_eq!(office.run(&["run", "--once"]).code, Some(0));
    let text = office.run(&["status", "things", "1"]).stdout;
    assert!(text.contains("world is read too: both sides agreed") && !text.contains("queued"), "{text}");
}
