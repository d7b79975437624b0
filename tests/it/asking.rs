//! A comparison that would delete very many records stops and asks: everybody who looks is told, and how to go on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;

use crate::support::journal::committed;
use crate::support::office::{Office, wait};
use crate::support::receiver::Receiver;

/// 300 visits that the target has, and an agent that does not run.
fn delivered(target: &Receiver) -> Office {
    let office = Office::visits();
    office.rest("legacy", target, "");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    let rows: String = (0..300).map(|id| format!("INSERT INTO visits VALUES ({id}, 'Zoe', {id});")).collect();
    office.sql(&format!("BEGIN; {rows} COMMIT"));
    assert_eq!(office.once().0, Some(0));
    office
}

/// Most of them vanish while the triggers are away.
fn vanish(office: &Office) {
    assert_eq!(office.run(&["capture", "pause", "visits", "--for", "1h"]).code, Some(0));
    office.sql("CREATE TABLE away AS SELECT * FROM visits WHERE id >= 100; DELETE FROM visits WHERE id >= 100");
    assert_eq!(office.run(&["capture", "resume", "visits"]).code, Some(0));
}

/// Whether `status` tells of it, in text and as JSON, and ends with 1.
fn is_told(office: &Office) -> bool {
    let text = office.run(&["status"]);
    let json = office.run(&["status", "--json"]);
    let seen: Value = serde_json::from_str(&json.stdout).unwrap();
    let told = seen["needs"].as_array().unwrap().iter().any(|need| {
        let mend = need["mend"].as_str().unwrap();
        need["what"].as_str().unwrap().contains("visits: 200 records are gone")
            && mend.contains("`hms-sync reconcile visits --force`")
    });
    assert_eq!(told, text.stdout.contains("visits: 200 records are gone"), "{text:#?}");
    assert!(!told || (text.code, json.code) == (Some(1), Some(1)), "{text:#?}");
    told
}

#[test]
fn a_comparison_that_asks_is_told_by_status_and_by_reconcile_while_the_agent_runs_and_when_it_does_not() {
    let target = Receiver::start();
    let office = delivered(&target);
    let agent = office.agent();
    vanish(&office);
    agent.says("visits is not reconciled");
    wait("status tells", || is_told(&office));
    // The person who asks for it is told what the agent found, with the code of the same verb without an agent.
    let asked = office.run(&["reconcile", "visits"]);
    assert_eq!(asked.code, Some(65), "{asked:#?}");
    assert!(asked.stderr.contains("would delete 200 records, more than 100"), "{asked:#?}");
    assert!(asked.stderr.contains("`hms-sync reconcile visits --force`"), "{asked:#?}");
    agent.stop();
    assert!(is_told(&office), "it stands in the state file");
    let alone = office.run(&["reconcile", "visits"]);
    assert_eq!((alone.code, &alone.stderr), (asked.code, &asked.stderr));
    let agent = office.agent();
    assert!(is_told(&office));
    let forced = office.run(&["reconcile", "visits", "--force", "--json"]);
    assert_eq!(forced.code, Some(0), "{forced:#?}");
    let report: Value = serde_json::from_str(&forced.stdout).unwrap();
    assert_eq!((&report["deletes"], &report["compared"]), (&200.into(), &100.into()), "{report:#}");
    target.wait("they are deleted", |journal| committed(journal) == 500);
    wait("status is at peace", || office.run(&["status"]).code == Some(0));
    agent.stop();
}

#[test]
fn a_question_goes_when_the_records_are_back() {
    let target = Receiver::start();
    let office = delivered(&target);
    vanish(&office);
    assert_eq!(office.once().0, Some(0));
    assert!(is_told(&office));
    office.sql("INSERT INTO visits SELECT * FROM away");
    let done = office.run(&["reconcile", "visits"]);
    assert_eq!(done.code, Some(0), "{done:#?}");
    assert_eq!(office.once().0, Some(0));
    assert!(!is_told(&office));
    assert_eq!(office.run(&["status"]).code, Some(0));
}

#[test]
fn the_weekly_comparison_counts_from_the_last_one_whoever_ran_then() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.agent().stop();
    let state = rusqlite::Connection::open(office.state()).unwrap();
    let note = || state.query_row("SELECT v FROM meta WHERE k = 'compared/office'", [], |row| row.get::<_, String>(0));
    let first = note().unwrap();
    let agent = office.agent();
    office.sql("UPDATE visits SET minutes = 1000 WHERE id = 1");
    target.wait("it delivers", |journal| committed(journal) == 301);
    agent.stop();
    assert_eq!(note().unwrap(), first, "a start is no comparison");
    state.execute("UPDATE meta SET v = CAST(v - 7 * 86400000 AS TEXT) WHERE k = 'compared/office'", []).unwrap();
    let agent = office.agent();
    agent.says("visits is reconciled");
    assert!(note().unwrap() > first);
    agent.stop();
}
