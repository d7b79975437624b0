//! `status`, `status TYPE KEY`, `deliveries list` and `show`: what a person sees of what happened.

use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::ca::Ca;
use crate::support::desk::Desk;
use crate::support::office::Office;
use crate::support::receiver::{Door, Receiver};
use crate::support::scenario::Scenario;

const SCHEMA: &str = "
    CREATE TABLE appointments(id INTEGER PRIMARY KEY, start TEXT, status TEXT);
    CREATE TABLE people(mrn TEXT NOT NULL COLLATE NOCASE, visit INTEGER NOT NULL, name TEXT, PRIMARY KEY(mrn, visit))";

fn target() -> Receiver {
    Receiver::start_with(Arc::new(Ca::new()), Door::Plain, "127.0.0.1:0")
}

/// An office whose two tables go to one target; an appointment of status `odd` cannot be mapped.
fn office(url: &str) -> Desk {
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {appointments: {}, people: {as: patient}}");
    desk.connector(
        "vista",
        &format!(
            "
listen: appointments
endpoint: {{url: '{url}/slots/{{id}}', method: PUT}}
start: beginning
mapping:
  start: start
  status: {{to: state, lookup: {{booked: B}}}}"
        ),
    );
    desk.connector("registry", &format!("listen: patient\nendpoint: {{url: '{url}/people'}}\nstart: beginning"));
    desk
}

fn connector(status: &Value, name: &str) -> Value {
    status["connectors"].as_array().unwrap().iter().find(|known| known["connector"] == name).unwrap().clone()
}

#[test]
fn before_the_first_run_it_says_so_and_makes_no_file() {
    let desk = office("https://legacy.example");
    let before = desk.files();
    let said = desk.ends(0, &["status"]);
    assert!(said.out.contains("has not run here yet: `hms-sync run`"), "{said:?}");
    assert!(said.out.contains("log office: nothing is captured yet"), "{said:?}");
    let status = desk.ends(0, &["status", "--json"]).json();
    assert_eq!((&status["agent"]["hasRun"], &connector(&status, "vista")["mode"]), (&json!(false), &json!("new")));
    assert!(desk.ends(0, &["deliveries", "list"]).out.contains("nothing parked"));
    assert_eq!(desk.files(), before);
}

#[test]
fn when_all_is_delivered_all_is_well_and_counted() {
    let receiver = target();
    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    desk.app
        .execute_batch(
            "INSERT INTO appointments VALUES(1, '08:00', 'booked'); INSERT INTO people VALUES('a', 1, 'Ann')",
        )
        .unwrap();
    desk.ends(0, &["run", "--once"]);
    let before = desk.files();
    let status = desk.ends(0, &["status", "--json"]).json();
    let vista = connector(&status, "vista");
    assert_eq!((&vista["delivered"], &vista["queued"], &vista["skipped"]), (&json!(1), &json!(0), &json!(1)));
    assert!(vista["last"].is_string());
    assert_eq!((&status["logs"][0]["captured"], &status["needs"]), (&json!(2), &json!([])));
    let said = desk.ends(0, &["status"]);
    assert!(said.out.contains("not running") && said.out.contains("capture ok"), "{said:?}");
    assert!(said.out.lines().all(|line| line.len() <= 110), "{}", said.out);
    assert_eq!(desk.files(), before);
}

#[test]
fn what_needs_a_person_ends_with_1_and_names_the_verb_that_mends_it() {
    let receiver = target();
    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    receiver.next(Scenario::named("refused"));
    desk.app
        .execute_batch("INSERT INTO people VALUES('a', 1, 'Ann'); INSERT INTO appointments VALUES(1, '08:00', 'odd')")
        .unwrap();
    desk.ends(1, &["run", "--once"]);
    let said = desk.ends(1, &["status"]);
    assert!(said.out.contains("`hms-sync deliveries list --connector registry --state dead`"), "{said:?}");
    assert!(said.out.contains("`hms-sync deliveries list --connector vista --state held`"), "{said:?}");
    desk.app.execute("INSERT INTO appointments VALUES(2, '08:00', 'booked')", []).unwrap();
    let status = desk.ends(1, &["status", "--json"]).json();
    assert_eq!((&connector(&status, "registry")["dead"], &connector(&status, "vista")["held"]), (&json!(1), &json!(1)));
    let needs = status["needs"].as_array().unwrap();
    let waits = needs.iter().find(|need| need["what"].as_str().unwrap().contains("not running")).unwrap();
    assert_eq!(waits["mend"], "`hms-sync run`");
}

#[test]
fn trouble_with_capture_or_with_the_database_is_told() {
    let desk = office("https://legacy.example");
    desk.ends(0, &["watch", "appointments", "people"]);
    let trigger: String = desk
        .app
        .query_row("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'people' LIMIT 1", [], |row| {
            row.get(0)
        })
        .unwrap();
    desk.app.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    let status = desk.ends(1, &["status", "--json"]).json();
    assert_eq!(status["logs"][0]["trouble"], json!(["people: triggers missing"]));
    assert_eq!(status["needs"][0]["subject"], "office");
    std::fs::remove_file(desk.path("office.db")).unwrap();
    let said = desk.ends(1, &["status"]);
    assert!(said.out.contains("office.db: no such file"), "{said:?}");
}

#[test]
fn it_works_while_the_agent_runs() {
    let receiver = target();
    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    let mut agent = desk.command().arg("run").stderr(Stdio::null()).spawn().unwrap();
    desk.app.execute("INSERT INTO appointments VALUES(1, '08:00', 'booked')", []).unwrap();
    let status = loop {
        let status = desk.run(&["status", "--json"]).json();
        if connector(&status, "vista")["delivered"] == 1 && connector(&status, "vista")["queued"] == 0 {
            break status;
        }
    };
    let told = &status["agent"];
    let process = agent.id().to_string();
    assert_eq!((&told["running"], &told["process"], &told["hasRun"]), (&json!(true), &json!(process), &json!(true)));
    assert!(desk.ends(0, &["status", "appointments", "1"]).out.contains("vista: delivered"));
    assert!(desk.ends(0, &["status"]).out.contains("the agent is running"));
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(desk.run(&["status"]).out.contains("the agent is not running"));
}

#[test]
fn a_record_has_its_whole_history_by_type_or_table_and_by_any_form_of_its_key() {
    let receiver = target();
    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    desk.app
        .execute_batch(
            "INSERT INTO people VALUES('A1', 7, 'Ann'), ('B2', 7, 'Bob'); UPDATE people SET name = 'Anna' WHERE mrn = 'a1';
             UPDATE people SET mrn = 'C3' WHERE mrn = 'a1'",
        )
        .unwrap();
    desk.ends(0, &["run", "--once"]);
    for (kind, key) in
        [("patient", "A1,7"), ("people", "a1, 7"), ("patient", r#"["A1",7]"#), ("patient", r#"{"visit":7,"mrn":"A1"}"#)]
    {
        let events = desk.ends(0, &["status", kind, key, "--json"]).json()["events"].clone();
        let ops: Vec<_> =
            events.as_array().unwrap().iter().map(|event| event["op"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ops, ["insert", "update", "update"], "{kind} {key}");
        assert_eq!(events[1]["changed"], json!(["name"]));
        assert_eq!(
            (&events[2]["key"], &events[2]["oldKey"]),
            (&json!({"mrn": "C3", "visit": 7}), &json!({"mrn": "A1", "visit": 7}))
        );
        let stands = events[0]["connectors"].as_array().unwrap();
        let stand = |name: &str| stands.iter().find(|stand| stand["connector"] == name).unwrap();
        assert_eq!((&stand("registry")["state"], &stand("vista")["state"]), (&json!("delivered"), &json!("skipped")));
        assert!(stand("registry")["history"][1]["what"].as_str().unwrap().starts_with("delivered, HTTP 200"));
    }
    assert_eq!(desk.ends(0, &["status", "patient", "C3,7", "--json"]).json()["events"].as_array().unwrap().len(), 1);
    assert_eq!(
        desk.ends(0, &["status", "patient", "A1,7", "--limit", "2", "--json"]).json()["events"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let said = desk.ends(0, &["status", "patient", "A1,7"]);
    assert!(said.out.contains("changed: name") && said.out.contains("attempt 1"), "{said:?}");
    assert!(!said.out.contains("Anna"), "{said:?}");
}

#[test]
fn an_unknown_type_a_key_that_does_not_fit_and_an_unknown_record_are_told_apart() {
    let desk = office("https://legacy.example");
    desk.ends(0, &["watch", "appointments", "people"]);
    let said = desk.ends(65, &["status", "appointment", "1"]);
    assert!(said.err.contains("did you mean `appointments`?") && said.err.contains("patient"), "{said:?}");
    assert!(desk.ends(65, &["status", "patient", "A1"]).err.contains("mrn,visit"));
    assert!(desk.ends(69, &["status", "appointments", "99"]).err.contains("tail --type appointments"));
    desk.ends(2, &["status", "appointments"]);
}

#[test]
fn a_dead_letter_is_listed_and_shown_also_when_the_log_no_longer_holds_it() {
    let receiver = target();
    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    receiver.next(Scenario::named("refused"));
    desk.app.execute_batch("INSERT INTO people VALUES('A1', 7, 'Ann'); UPDATE people SET name = 'Anna'").unwrap();
    desk.ends(1, &["run", "--once"]);
    desk.app.execute("INSERT INTO appointments VALUES(5, '08:00', 'booked')", []).unwrap();
    desk.ends(1, &["run", "--once"]);
    desk.app.execute_batch("DELETE FROM hms_sync_outbox WHERE seq < 3").unwrap();
    let list = |more: &[&str]| {
        let lines = desk.ends(0, &[&["deliveries", "list", "--json"], more].concat()).json();
        lines.as_array().unwrap().iter().map(|line| line["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list(&[]), ["dead", "behind"]);
    assert_eq!(
        list(&["--state", "dead", "--connector", "registry", "--type", "patient", "--class", "http-422"]),
        ["dead"]
    );
    assert_eq!(list(&["--limit", "1"]), ["dead"]);
    assert_eq!(list(&["2"]), ["behind"]);
    assert_eq!(list(&["--connector", "vista"]), [""; 0]);
    let said = desk.ends(0, &["deliveries", "list"]);
    assert!(said.out.contains("http-422") && said.out.contains(r#"{"mrn":"A1","visit":7}"#), "{said:?}");

    let said = desk.ends(0, &["deliveries", "show", "1"]);
    assert!(said.out.contains("refused by the target (http-422), HTTP 422") && !said.out.contains("Ann"), "{said:?}");
    assert!(said.out.contains("`deliveries retry` or `discard`"), "{said:?}");
    assert!(desk.ends(0, &["deliveries", "show", "1", "--values"]).out.contains(r#""name":"Ann""#));
    let shown = desk.ends(0, &["deliveries", "show", "1", "--json", "--values"]).json();
    assert_eq!((&shown[0]["status"], &shown[0]["record"]["after"]["name"]), (&json!(422), &json!("Ann")));
    assert!(desk.ends(0, &["deliveries", "show", "1", "--json"]).json()[0].get("record").is_none());
    assert!(desk.ends(69, &["deliveries", "show", "3"]).err.contains("deliveries list"));
    assert!(desk.ends(2, &["deliveries", "list", "--connector", "registri"]).err.contains("did you mean `registry`?"));
    desk.ends(2, &["deliveries", "list", "--state", "asleep"]);

    let events = desk.ends(0, &["status", "patient", "A1,7", "--json"]).json()["events"].clone();
    let registry = |event: &Value| connector(event, "registry")["state"].clone();
    assert_eq!((registry(&events[0]), registry(&events[1])), (json!("dead"), json!("behind")));
}

#[test]
fn a_connector_whose_file_is_gone_is_told_as_such_and_needs_a_person_only_for_what_is_parked() {
    let receiver = target();
    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    desk.app.execute_batch("INSERT INTO appointments VALUES(1, '08:00', 'booked')").unwrap();
    desk.ends(0, &["run", "--once"]);
    let stopped = desk.ends(0, &["status"]);
    assert!(stopped.out.contains("stopped") && !stopped.out.contains(" running "), "{stopped:?}");
    std::fs::remove_file(desk.path("config/connectors/vista.yaml")).unwrap();
    desk.app.execute_batch("INSERT INTO appointments VALUES(2, '08:00', 'odd')").unwrap();
    desk.ends(0, &["run", "--once"]);
    let said = desk.ends(0, &["status"]);
    let row = said.out.lines().find(|line| line.starts_with("vista ")).unwrap();
    assert!(row.contains("not configured") && row.contains(" -"), "{row}");
    assert!(said.out.contains("stays until its file comes back"), "{said:?}");

    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    desk.app.execute_batch("INSERT INTO appointments VALUES(2, '08:00', 'odd')").unwrap();
    desk.ends(1, &["run", "--once"]);
    std::fs::remove_file(desk.path("config/connectors/vista.yaml")).unwrap();
    let said = desk.ends(1, &["status"]);
    assert!(said.out.contains("vista: is not configured any more; 1 parked delivery stays until"), "{said:?}");
    assert!(said.out.contains("`hms-sync deliveries discard --connector vista`"), "{said:?}");
}

#[test]
fn what_is_said_of_one_is_said_of_one_and_once() {
    let receiver = target();
    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    receiver.next(Scenario::named("refused"));
    desk.app.execute_batch("INSERT INTO people VALUES('A1', 7, 'Ann'); UPDATE people SET name = 'Anna'").unwrap();
    desk.ends(1, &["run", "--once"]);
    for line in [&["status", "patient", "A1,7"][..], &["deliveries", "list"], &["deliveries", "show", "2"]] {
        let said = desk.ends(0, line);
        assert!(said.out.contains("an earlier change of the same record"), "{said:?}");
        assert!(!said.out.contains("behind: behind") && !said.out.contains("  behind: an earlier"), "{said:?}");
    }
    desk.app.execute_batch("INSERT INTO appointments VALUES(1, '08:00', 'booked')").unwrap();
    let said = desk.ends(1, &["status"]);
    assert!(said.out.contains("registry: 1 delivery was refused or given up"), "{said:?}");
    assert!(said.out.contains("vista: 1 change waits and the agent"), "{said:?}");
}

#[test]
fn a_filter_takes_what_fits_and_an_id_that_does_not_is_refused() {
    let receiver = target();
    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    receiver.next(Scenario::named("refused"));
    desk.app.execute_batch("INSERT INTO people VALUES('A1', 7, 'Ann'); UPDATE people SET name = 'Anna'").unwrap();
    desk.app.execute("INSERT INTO appointments VALUES(1, '08:00', 'odd')", []).unwrap();
    desk.ends(1, &["run", "--once"]);
    let state = |seq: &str| desk.ends(0, &["deliveries", "list", "--json", seq]).json()[0]["state"].clone();
    assert_eq!([state("1"), state("2"), state("3")], ["dead", "behind", "held"]);
    assert!(desk.ends(65, &["deliveries", "release", "1"]).err.contains("is dead, not held"));
    assert!(desk.ends(65, &["deliveries", "retry", "2"]).err.contains("is behind"));
    assert!(desk.ends(65, &["deliveries", "hold", "1"]).err.contains("dead letter"));
    // A person holds one: no filter that does not say so takes it.
    desk.ends(0, &["deliveries", "hold", "3"]);
    let said = desk.ends(0, &["deliveries", "retry", "--all"]);
    assert_eq!((said.out.lines().count(), said.err.as_str()), (1, ""), "{said:?}");
    assert_eq!([state("1"), state("2"), state("3")], ["waiting", "behind", "held"]);
    let said = desk.ends(0, &["deliveries", "hold", "--connector", "registry"]);
    assert_eq!((said.out.lines().count(), said.err.as_str()), (2, ""), "{said:?}");
    let said = desk.ends(0, &["deliveries", "retry", "--state", "held"]);
    assert_eq!((said.out.lines().count(), said.err.as_str()), (2, ""), "only the first of each record: {said:?}");
    let said = desk.ends(0, &["deliveries", "release", "--all"]);
    assert_eq!((said.out.lines().count(), said.err.as_str()), (1, ""), "{said:?}");
    assert_eq!([state("1"), state("2"), state("3")], ["waiting", "behind", "waiting"]);
    for verb in ["retry", "hold", "release", "discard"] {
        assert!(desk.ends(0, &["help", "deliveries", verb]).out.contains("Takes "), "{verb}");
    }
}

#[test]
fn replay_takes_a_position_with_its_log() {
    let receiver = target();
    let desk = office(&receiver.url(""));
    desk.ends(0, &["watch", "appointments", "people"]);
    desk.app.execute_batch("INSERT INTO appointments VALUES(1, '08:00', 'booked')").unwrap();
    desk.ends(0, &["run", "--once"]);
    let line = ["replay", "--connector", "vista", "--dry-run", "--from"];
    let replay = |code, more: &[&str]| desk.ends(code, &[&line[..], more].concat());
    assert!(replay(0, &["office:1"]).out.contains("1 events of office after 0"));
    assert!(replay(0, &["1"]).out.contains("1 events of office after 0"));
    assert!(replay(2, &["other:1"]).err.contains("the logs are office"));
    assert!(replay(2, &["office:1", "--log", "other"]).err.contains("which log is meant?"));
}

#[test]
fn one_record_among_many_is_found_by_its_trail_and_also_without_and_with_one_of_another_file() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
                INSERT INTO visits SELECT i, 'Ada', 0 FROM n";
    office.sql(many);
    assert_eq!(office.once().0, Some(0));
    office.sql("UPDATE visits SET minutes = 1 WHERE id = 1234; UPDATE visits SET id = 99999 WHERE id = 7;");
    // These two the trail has not yet.
    let events = |key: &str| {
        let told = office.run(&["--json", "status", "visits", key]);
        let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"));
        told["events"].as_array().unwrap().len()
    };
    let found = || ["1234", "[1234]", "7", "99999", "2500"].map(events);
    assert_eq!(found(), [2, 2, 2, 1, 1]);
    assert_eq!(office.once().0, Some(0));
    assert_eq!(found(), [2, 2, 2, 1, 1], "the trail has them");
    let state = rusqlite::Connection::open(office.state()).unwrap();
    let blocks: i64 = state.query_row("SELECT count(*) FROM trail WHERE block >= 0", [], |row| row.get(0)).unwrap();
    assert_eq!(blocks, 3);
    // A trail that says of everything that it is of others: it is followed, as long as it is of this log.
    state
        .execute("UPDATE trail SET marks = unhex(replace(hex(zeroblob(1000)), '00', '0101')) WHERE block = 1", [])
        .unwrap();
    let misled = office.run(&["status", "visits", "1500"]);
    assert_eq!(misled.code, Some(69), "the trail is what is looked at: {misled:?}");
    state.execute("UPDATE trail SET marks = CAST('00000001-5-00000002' AS BLOB) WHERE block = -1", []).unwrap();
    assert_eq!((events("1500"), found()), (1, [2, 2, 2, 1, 1]), "it ends with an event that this log has not");
    state.execute("DELETE FROM trail", []).unwrap();
    assert_eq!(found(), [2, 2, 2, 1, 1], "without one");
}
