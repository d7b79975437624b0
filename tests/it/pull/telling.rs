//! What a person, a program and a monitor are told of a connector that reads.

use super::both_ways::{office_that, once, rows};
use crate::support::loopback::Way;
use crate::support::office::{Agent, Office, wait};
use crate::support::world::{Paging, Told, World};

fn status(office: &Office) -> serde_json::Value {
    let text = office.run(&["--json", "status"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    let known = status["connectors"].as_array().unwrap().iter().find(|known| known["connector"] == "world");
    known.unwrap_or_else(|| panic!("{text}")).clone()
}

fn down() -> Told {
    Told::status(503).with("Retry-After", "3600")
}

/// An agent that has read once.
fn reading(office: &Office) -> Agent {
    let agent = office.agent();
    wait("it has read", || status(office)["pull"]["next"].is_string());
    agent
}

#[test]
fn status_the_api_and_the_figures_say_when_a_source_was_asked_will_be_and_what_went_wrong_last() {
    let world = World::start(Paging::Token, 10);
    world.pass(-3_600_000);
    world.run_clock();
    let office = office_that(&world, "", "every: 1h");
    office.add_settings("api: {listen: \"unix:../api.sock\"}");
    (1..=3).for_each(|id| world.put(id, &format!("t{id}")));
    let agent = reading(&office);
    let seen = status(&office)["pull"].clone();
    let time = |value: &serde_json::Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(time(&seen["polled"]) <= time(&seen["next"]), "{seen}");
    assert_eq!((&seen["applied"], &seen["agreed"]), (&3.into(), &3.into()));
    let text = office.run(&["status"]).stdout;
    assert!(
        text.contains("pull world: asked ") && text.contains("again in ") && text.contains("3 changed here"),
        "{text}"
    );
    let way = Way::Socket(office.folder().join("api.sock"));
    assert_eq!(way.get("/connectors/world").json()["pull"]["next"], seen["next"]);
    let figures = String::from_utf8(way.get("/metrics").body).unwrap();
    assert!(
        figures.contains("sync_events_total{connector=\"world\",direction=\"inbound\",outcome=\"written\"} 3"),
        "{figures}"
    );
    let skew = figures.lines().find(|line| line.starts_with("sync_clock_skew_seconds{connector=\"world\"}")).unwrap();
    let skew: f64 = skew.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((-3610.0..-3590.0).contains(&skew), "{skew}");
    // It fails: who looks sees that, and also later that it did.
    world.meet(|asked, _| (asked.path == "/items").then(down));
    office.run(&["sync", "world"]);
    wait("it is told", || status(&office)["lastError"]["class"] == "http-503");
    wait("it waits", || status(&office)["downSince"].is_string());
    world.calm_answers();
    office.run(&["sync", "world"]);
    wait("it works again", || status(&office)["downSince"].is_null());
    assert_eq!(status(&office)["lastError"]["class"], "http-503");
    let text = office.run(&["status"]).stdout;
    assert!(text.contains("last error "), "{text}");
    agent.stop();
    // Without an agent nobody knows when it is asked next; the rest stands.
    let seen = status(&office);
    assert!(seen["pull"]["next"].is_null() && seen["lastError"]["class"] == "http-503", "{seen}");
}

#[test]
fn a_source_that_is_down_is_left_alone_by_the_next_process_too_unless_somebody_asks() {
    let world = World::start(Paging::Token, 10);
    let office = office_that(&world, "", "every: 1h");
    world.put(1, "t1");
    let agent = reading(&office);
    world.meet(|asked, _| (asked.path == "/items").then(down));
    world.put(1, "t2");
    office.run(&["sync", "world"]);
    wait("it is noted", || status(&office)["downSince"].is_string());
    agent.kill();
    let asked = world.requests();
    let agent = office.agent();
    // It goes about its work: what the office writes is sent.
    office.sql("INSERT INTO things VALUES (9, 'ours')");
    wait("it sends", || world.alive().contains_key("9"));
    let reads = || world.journal().iter().skip(asked).filter(|asked| asked.path == "/items").count();
    assert_eq!(reads(), 0);
    world.calm_answers();
    office.run(&["sync", "world"]);
    wait("it is asked", || rows(&office).get("1").is_some_and(|title| title == "t2"));
    assert_eq!(reads(), 1);
    agent.stop();
    once(&office);
    assert_eq!(rows(&office), world.alive());
}

#[test]
fn a_system_that_tells_of_news_has_it_read_at_once() {
    let world = World::start(Paging::Token, 10);
    let office = office_that(&world, "", "every: 1h");
    office.add_settings("api: {listen: \"unix:../api.sock\"}");
    let agent = reading(&office);
    world.put(1, "news");
    let way = Way::Socket(office.folder().join("api.sock"));
    // What such systems send with it is not looked at.
    for (fields, body) in [(&[("Content-Type", "application/json")][..], "{\"anything\": [1]}"), (&[][..], "")] {
        let answer = way.call("POST", "/connectors/world/pull", fields, body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    wait("it is read", || rows(&office) == world.alive());
    assert_eq!(way.post("/connectors/nobody/pull", "").status, 404);
    agent.stop();
}

#[test]
fn what_comes_in_is_heard_as_inbound_and_what_the_application_writes_is_not() {
    let world = World::start(Paging::Token, 10);
    let office = office_that(&world, "", "every: 1h");
    office.add_settings("api: {listen: \"unix:../api.sock\"}");
    let agent = reading(&office);
    let way = Way::Socket(office.folder().join("api.sock"));
    let mut line = way.open();
    let head = line.head("GET", "/events?direction=inbound&type=things", &[]);
    line.write(format!("{head}\r\n").as_bytes()).unwrap();
    assert_eq!(line.answer().unwrap().status, 200);
    office.sql("INSERT INTO things VALUES (1, 'ours')");
    wait("it is sent", || world.alive().len() == 1);
    (2..=4).for_each(|id| world.put(id, &format!("t{id}")));
    world.delete(1);
    assert_eq!(way.post("/connectors/world/pull", "").status, 200);
    let mut heard = Vec::new();
    while heard.len() < 4 {
        let fields = line.message().unwrap();
        if let Some((_, data)) = fields.iter().find(|(name, _)| name == "data") {
            let event: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(event["origin"], "world", "{event}");
            heard.push(format!("{} {}", event["op"].as_str().unwrap(), event["key"]["id"]));
        }
    }
    heard.sort();
    assert_eq!(heard, ["delete 1", "insert 2", "insert 3", "insert 4"]);
    agent.stop();
}

#[test]
fn a_program_hears_what_comes_in_and_where_it_comes_from() {
    let world = World::start(Paging::Token, 2);
    let office = office_that(&world, "", "every: 1h");
    assert_eq!(office.run(&["watch", "things"]).code, Some(0));
    (1..=5).for_each(|id| world.put(id, &format!("t{id}")));
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let hear = heard.clone();
    let agent = hms_sync::Agent::open(office.config()).unwrap().on_change("things", move |event, _| {
        hear.lock().unwrap().push((event.get("id").as_i64().unwrap(), event.origin.clone()));
        Ok(())
    });
    agent.run_once().unwrap();
    office.sql("INSERT INTO things VALUES (9, 'ours')");
    let hear = heard.clone();
    let agent = hms_sync::Agent::open(office.config()).unwrap().on_change("things", move |event, _| {
        hear.lock().unwrap().push((event.get("id").as_i64().unwrap(), event.origin.clone()));
        Ok(())
    });
    agent.run_once().unwrap();
    let mut heard = heard.lock().unwrap().clone();
    heard.sort();
    let there = |id| (id, Some("world".to_owned()));
    assert_eq!(heard, [there(1), there(2), there(3), there(4), there(5), (9, None)]);
}

#[test]
fn a_file_that_cannot_be_read_stands_aside_until_a_person_gives_it_up() {
    let office = Office::visits();
    let folder = office.folder().join("in");
    std::fs::create_dir_all(folder.join("done")).unwrap();
    let connector = |end: &str| {
        let text = format!(
            "adapter: directory\nstrategy: pull\npull:\n  table: visits\n  directory: {}\n  pattern: \"*.csv\"\n  \
             settle: 1s\n  key: /id\n  format: {{columns: [id, name, minutes]{end}}}\n",
            folder.display()
        );
        office.connector("there", &text);
    };
    let put = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        let past = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        std::fs::File::options().write(true).open(folder.join(name)).unwrap().set_modified(past).unwrap();
    };
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    // Nobody has said how its lines end.
    connector("");
    put("a.csv", "id,name,minutes\n1,Ann,5\n2,Bob,7\n");
    assert_eq!(office.run(&["run", "--once"]).code, Some(0));
    let app = office.app();
    let count: i64 = app.query_row("SELECT count(*) FROM visits", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
    connector(", eol: crlf");
    put("b.csv", "id,name,minutes\n3,Cid,5\n");
    for _ in 0..2 {
        assert_eq!(office.run(&["run", "--once"]).code, Some(1));
    }
    let listed = office.run(&["deliveries", "list", "--state", "bad"]).stdout;
    assert!(listed.contains("the file b.csv: line 1, line: wrong_line_end"), "{listed}");
    let given_up =
        office.run(&["deliveries", "discard", "--connector", "there", "--state", "bad", "--reason", "sent again"]);
    assert_eq!((given_up.code, given_up.stdout.trim()), (Some(0), "there: 1 of what cannot be read"));
    assert_eq!(office.run(&["run", "--once"]).code, Some(0));
    assert!(office.run(&["audit", "show"]).stdout.contains("sent again"));
}

#[test]
fn looking_at_files_that_come_in_moves_none_of_them_and_a_run_writes_their_rows_and_does() {
    let office = Office::visits();
    let folder = office.folder().join("in");
    std::fs::create_dir_all(folder.join("done")).unwrap();
    let write = |place: &str| {
        let text = format!(
            "adapter: directory\nstrategy: pull\npull:\n  table: visits\n  directory: {place}\n  pattern: \"*.csv\"\n  \
             settle: 1s\n  key: /id\n  format: {{columns: [id, name, minutes]}}\n"
        );
        office.connector("there", &text);
    };
    let file = folder.join("a.csv");
    std::fs::write(&file, "id,name,minutes\r\n1,Ann,5\r\n2,Bob,7\r\n").unwrap();
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(past).unwrap();
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    // Where it looks first there is nothing: that is told, and not any more once it looks elsewhere.
    write("/nowhere");
    assert_eq!(office.run(&["run", "--once"]).code, Some(75));
    write(&folder.display().to_string());
    for _ in 0..2 {
        let shown = office.run(&["--json", "simulate", "there"]);
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{shown:#?}"));
        assert_eq!((&shown["read"], &shown["inserts"], &shown["bad"]), (&2.into(), &2.into(), &0.into()), "{shown}");
        assert!(file.exists(), "nothing is moved");
    }
    for _ in 0..2 {
        let ended = office.run(&["run", "--once"]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    let app = office.app();
    let sum: i64 = app.query_row("SELECT sum(minutes) FROM visits", [], |row| row.get(0)).unwrap();
    assert_eq!((sum, file.exists(), folder.join("done/a.csv").exists()), (12, false, true));
    let status: serde_json::Value = serde_json::from_str(&office.run(&["--json", "status"]).stdout).unwrap();
    assert_eq!(
        (&status["connectors"][0]["downSince"], &status["needs"]),
        (&().into(), &serde_json::json!([])),
        "{status}"
    );
}
