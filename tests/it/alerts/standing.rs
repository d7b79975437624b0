//! What a connector cannot get past: what is held, what is left behind, what is braked. Each is told once, under the connector's
//! name, and its end when it is mended.

use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;

use rustix::process::Signal;
use serde_json::Value;

use super::{QUICK, lines, words};
use crate::braking::looping;
use crate::keeping::{two, work};
use crate::support::office::{Office, PATIENCE, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// Where the notices of an office are written.
pub fn told(office: &Office) -> PathBuf {
    let file = office.folder().join("alerts.jsonl");
    office.add_settings(QUICK);
    office.add_settings(&format!("alerts: [{{type: file, path: {}}}]", file.display()));
    file
}

/// Waits as long as a machine may take on which everything else is done first.
fn patiently(what: &str, file: &PathBuf, done: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !done() {
        assert!(since.elapsed() < 4 * PATIENCE, "{what}: {:?}", words(&lines(file)));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Waits for the one notice that a condition is there; gives it.
pub fn opened(file: &PathBuf, what: &str) -> Value {
    patiently(what, file, || !lines(file).is_empty());
    assert_eq!(words(&lines(file)), [format!("opened {what}")]);
    lines(file).remove(0)
}

/// Waits until it is over: it was told once, and so is its end, which is that of the same alert.
pub fn cleared(file: &PathBuf, what: &str) {
    patiently("it is over", file, || lines(file).len() > 1);
    let notices = lines(file);
    assert_eq!(words(&notices), [format!("opened {what}"), format!("cleared {what}")]);
    assert_eq!(notices[0]["alert"], notices[1]["alert"]);
}

#[test]
fn what_is_held_is_told_once_however_many_and_is_over_when_the_configuration_is_put_right() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let file = told(&office);
    let connector = office.config().join("connectors/legacy.yaml");
    let right = std::fs::read_to_string(&connector).unwrap();
    let wrong = right.replace("{id}", "{floor}");
    assert_ne!(right, wrong);
    std::fs::write(&connector, wrong).unwrap();
    let agent = office.agent();
    let notice = opened(&file, "held legacy");
    assert!(notice["mend"].as_str().unwrap().contains("--connector legacy --state held"), "{notice:#}");
    assert_eq!(notice["severity"], "warning");
    // More of it is the same alert.
    office.sql("INSERT INTO visits VALUES (4, 'canary-di', 40), (5, 'Eve', 50)");
    wait("all are held", || office.parked_words("legacy").iter().filter(|word| word.starts_with("held ")).count() == 5);
    std::fs::write(&connector, right).unwrap();
    agent.signal(Signal::HUP);
    target.wait("all arrive", |journal| journal.len() == 5);
    cleared(&file, "held legacy");
    assert!(!std::fs::read_to_string(&file).unwrap().contains("canary"));
    agent.stop();
}

#[test]
fn a_connector_that_is_left_behind_is_told_and_is_over_when_it_has_caught_up() {
    let (target, other) = (Receiver::start(), Receiver::start());
    let office = two(&target, &other);
    let file = told(&office);
    target.close();
    let agent = office.agent();
    work(&office, 180);
    let notice = opened(&file, "overflowed legacy");
    assert_eq!(notice["severity"], "critical");
    assert!(notice["what"].as_str().unwrap().contains("fell too far behind"), "{notice:#}");
    target.reopen();
    office.wait_settled("legacy");
    cleared(&file, "overflowed legacy");
    agent.stop();
}

#[test]
fn a_record_that_is_braked_is_told_and_is_over_when_the_loop_is_cut() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let file = told(&office);
    let turns = looping(&target, &office);
    let agent = office.agent();
    // Hundreds of turns take as long as they take.
    let since = std::time::Instant::now();
    while lines(&file).is_empty() {
        assert!(since.elapsed() < 4 * PATIENCE, "nothing is told: {}", agent.said());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let notice = opened(&file, "braked legacy");
    assert_eq!((&notice["count"], &notice["severity"]), (&1.into(), &"warning".into()));
    turns.store(false, SeqCst);
    office.wait_settled("legacy");
    cleared(&file, "braked legacy");
    agent.stop();
}

#[test]
fn a_connector_that_halted_is_told_and_is_over_when_it_may_go_on() {
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("status_403")));
    let office = Office::with(&target, "", THREE);
    let file = told(&office);
    let agent = office.agent();
    let notice = opened(&file, "halted legacy");
    assert!(notice["what"].as_str().unwrap().contains("it has halted"), "{notice:#}");
    target.behave();
    assert_eq!(office.run(&["sync", "legacy"]).code, Some(0), "{}", agent.said());
    office.wait_settled("legacy");
    cleared(&file, "halted legacy");
    agent.stop();
}
