//! `tail`: events as JSON lines.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::desk::{Desk, Said};

const SCHEMA: &str = "
    CREATE TABLE appointments(id INTEGER PRIMARY KEY, start TEXT);
    CREATE TABLE people(ssn TEXT NOT NULL PRIMARY KEY, city TEXT)";

fn office(settings: &str) -> Desk {
    let desk = Desk::new(SCHEMA);
    desk.settings(&format!("watch: {{appointments: {{}}, people: {{as: patient}}}}\n{settings}"));
    desk.ends(0, &["watch", "appointments", "people"]);
    desk.app
        .execute_batch(
            "INSERT INTO appointments VALUES(1, '08:00'); INSERT INTO people VALUES('123', 'Ames');
             UPDATE appointments SET start = '09:00'; DELETE FROM appointments",
        )
        .unwrap();
    desk
}

fn seqs(said: &Said) -> Vec<i64> {
    said.lines().iter().map(|line| line["seq"].as_i64().unwrap()).collect()
}

#[test]
fn once_prints_what_is_kept_from_a_place_and_of_a_type_and_ends() {
    let desk = office("");
    let said = desk.ends(0, &["tail", "--once"]);
    assert_eq!(seqs(&said), [1, 2, 3, 4]);
    let first = r#""log":"office","seq":1,"type":"appointments","op":"insert","key":{"id":1},"before":null,"after":{"id":1,"start":"08:00"},"changed":["id","start"],"at":""#;
    assert!(said.out.contains(first), "{said:?}");
    assert_eq!(seqs(&desk.ends(0, &["tail", "--once", "--from", "3"])), [3, 4]);
    assert_eq!(seqs(&desk.ends(0, &["tail", "--once", "--from", "office:4"])), [4]);
    assert_eq!(seqs(&desk.ends(0, &["tail", "--once", "--since", "1h"])), [1, 2, 3, 4]);
    assert_eq!(seqs(&desk.ends(0, &["tail", "--once", "--since", "2999-01-01T00:00:00Z"])), [0_i64; 0]);
    assert_eq!(seqs(&desk.ends(0, &["tail", "--once", "--type", "patient"])), [2]);
    // The table's name will do; so will an operation, and several.
    assert_eq!(seqs(&desk.ends(0, &["tail", "--once", "--type", "people", "--type", "appointments.delete"])), [2, 4]);
    let said = desk.ends(0, &["tail", "--once", "--type", "appointment"]);
    assert!(said.out.is_empty() && said.err.contains("did you mean `appointments`?"), "{said:?}");
    desk.ends(2, &["tail", "--once", "--since", "1h", "--from", "3"]);
}

#[test]
fn columns_that_are_not_public_are_masked_in_images_and_keys() {
    let desk = office("governance: {classify: {patient: {ssn: phi, city: public}}, default: internal}");
    let lines = desk.ends(0, &["tail", "--once"]).lines();
    assert_eq!(lines[1]["key"], serde_json::json!({"ssn": "***"}));
    assert_eq!(lines[1]["after"], serde_json::json!({"ssn": "***", "city": "Ames"}));
    assert_eq!(lines[2]["before"], serde_json::json!({"id": "***", "start": "***"}));
    assert_eq!(lines[2]["changed"], serde_json::json!(["start"]));
}

#[test]
fn what_is_committed_meanwhile_follows_and_a_reader_that_goes_away_ends_it() {
    let desk = office("");
    let mut child = desk.command().args(["tail", "--from", "4"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["seq"], 4);
    for n in 5..8 {
        desk.app.execute("INSERT INTO appointments(start) VALUES('10:00')", []).unwrap();
        assert_eq!(next()["seq"], n);
    }
    drop(lines);
    desk.app.execute("INSERT INTO appointments(start) VALUES('11:00')", []).unwrap();
    assert!(child.wait().unwrap().success());
    // It notices without another event too.
    let mut child = desk.command().args(["tail", "--from", "8"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("11:00"));
    drop(lines);
    assert!(child.wait().unwrap().success());
}

#[test]
fn where_nothing_is_captured_it_says_what_to_do() {
    let desk = Desk::new(SCHEMA);
    desk.settings("");
    let said = desk.ends(69, &["tail", "--once"]);
    assert!(said.err.contains("hms-sync watch TABLE"), "{said:?}");
    assert!(!desk.path("state").exists());
}
