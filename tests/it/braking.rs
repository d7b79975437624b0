//! A loop in which every delivery succeeds and causes the next change is braked; nothing else waits, nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::journal::{at, body};
use crate::support::office::{Office, PATIENCE, THREE, wait};
use crate::support::receiver::Receiver;

/// The target calls back: at each arrival of the first visit somebody writes that visit again, until the loop is cut.
pub fn looping(target: &Receiver, office: &Office) -> Arc<AtomicBool> {
    let (turns, app) = (Arc::new(AtomicBool::new(true)), office.app());
    app.busy_timeout(Duration::from_secs(10)).unwrap();
    let goes_on = turns.clone();
    target.meet(move |entry| {
        if entry.path == "/visits/1" && goes_on.load(SeqCst) {
            app.execute("UPDATE visits SET minutes = minutes + 1 WHERE id = 1", []).unwrap();
        }
        None
    });
    turns
}

fn braked(office: &Office) -> Option<u64> {
    let status: Value = serde_json::from_str(&office.run(&["--json", "status"]).stdout).unwrap();
    status["connectors"][0]["braked"].as_u64()
}

#[test]
fn a_loop_of_successes_is_braked_others_flow_and_all_arrives_once_it_is_cut() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let turns = looping(&target, &office);
    let agent = office.agent();
    // Five hundred turns take as long as they take, as long as it turns.
    let (mut turned, mut since) = (0, Instant::now());
    while !agent.said().contains("it is braked to one a second") {
        let now = at(&target.journal(), "/visits/1").len();
        if now > turned {
            (turned, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "it does not turn any more after {turned}: {}", agent.said());
        std::thread::sleep(Duration::from_millis(5));
    }
    wait("status says so", || braked(&office) == Some(1));
    let status = office.run(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("1 record is braked"), "{status:?}");
    assert!(at(&target.journal(), "/visits/1").len() >= 500, "not before a burst");
    // It is the record that is braked, not the connector.
    office.sql("UPDATE visits SET minutes = 77 WHERE id = 2");
    target.wait("another record flows", |journal| {
        at(journal, "/visits/2").last().is_some_and(|entry| body(entry)["minutes"] == 77)
    });
    assert_eq!(braked(&office), Some(1), "the loop still turns");
    turns.store(false, SeqCst);
    office.wait_settled("legacy");
    let minutes: i64 = office.app().query_row("SELECT minutes FROM visits WHERE id = 1", [], |row| row.get(0)).unwrap();
    let journal = target.journal();
    let arrived = at(&journal, "/visits/1");
    assert_eq!(body(arrived.last().unwrap())["minutes"], minutes);
    assert_eq!(arrived.len() as i64, minutes - 9, "each change arrived once, and none was left out");
    agent.says("has calmed down");
    wait("status is well", || braked(&office) == Some(0));
    // The log names the type and the event, never a value of the record.
    assert!(agent.said().lines().filter(|line| line.contains("braked to one")).count() == 1);
    assert!(!agent.said().contains("Ada"));
    agent.stop();
}

#[test]
fn a_backlog_of_one_record_is_never_braked() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let changes = "UPDATE visits SET minutes = minutes + 1 WHERE id = 1;".repeat(1200);
    office.sql(&format!("BEGIN; {changes} COMMIT"));
    assert_eq!(office.once().0, Some(0));
    assert_eq!(at(&target.journal(), "/visits/1").len(), 1201);
}

#[test]
fn one_run_ends_although_a_loop_turns() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let turns = looping(&target, &office);
    // It ends when a look finds nothing new, or else when the brake holds what is left.
    let (code, summary) = office.once();
    assert!([Some(0), Some(75)].contains(&code), "{summary}");
    assert_eq!(braked(&office), Some(0), "nobody brakes while no agent runs");
    turns.store(false, SeqCst);
    assert_eq!(office.once().0, Some(0));
}
