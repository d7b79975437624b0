//! What is kept and for how long: the valve, connectors that are left behind, pruning, retention, and the limit of deletes.

use hms_sync::store::state::connector::Mode;

use crate::support::journal::{at, body, committed};
use crate::support::office::{Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

fn number(office: &Office, sql: &str) -> i64 {
    let app = office.app();
    app.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    app.query_row(sql, [], |row| row.get(0)).unwrap()
}

const KEPT: &str = "SELECT count(*) FROM hms_sync_outbox";
const LOST: &str = "SELECT ifnull(sum(n), 0) FROM hms_sync_lost";

#[test]
fn what_the_valve_did_not_keep_is_made_good_by_comparison_when_the_agent_is_back() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    assert_eq!(office.once().0, Some(0));
    // An agent that is away for months.
    office.sql("UPDATE hms_sync_ctl SET acked = (SELECT max(seq) FROM hms_sync_outbox), cap = 20");
    for n in 0..10 {
        office.sql(&format!(
            "INSERT INTO visits VALUES (1{n}, 'x', {n}); UPDATE visits SET minutes = minutes + 1; DELETE FROM visits WHERE id = {n}"
        ));
    }
    assert_eq!(office.highest(), 3 + 20, "beyond the cap nothing is kept");
    assert!(number(&office, LOST) > 20);
    let agent = office.agent();
    agent.says("visits is reconciled");
    office.wait_settled("legacy");
    office.sql("UPDATE visits SET minutes = 99 WHERE id = 15");
    target.wait("capture goes on", |journal| {
        at(journal, "/visits/15").last().is_some_and(|entry| body(entry)["minutes"] == 99)
    });
    office.wait_settled("legacy");
    agent.stop();
    // Everything that was captured, in order, and in the end what stands in the table.
    office.judge("legacy", &target);
}

/// Two connectors: `legacy` hears of visits, `other` of calls. The cap is the least there is: 10,000 events.
pub fn two(target: &Receiver, other: &Receiver) -> Office {
    let office = Office::new(
        "CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, minutes); CREATE TABLE calls(id INTEGER PRIMARY KEY);",
    );
    office.settings("visits: {}, calls: {}");
    office.add_settings("capture: {cap: 64KiB}\nretention: {maxRows: 500}");
    office.rest("legacy", target, "listen: visits");
    office.rest("other", other, "listen: calls");
    for table in ["visits", "calls"] {
        assert_eq!(office.run(&["watch", table]).code, Some(0));
    }
    office
}

/// Changes each of 50 visits so many times.
pub fn work(office: &Office, times: i64) {
    office.sql(&format!(
        "INSERT OR IGNORE INTO visits WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         SELECT i, 'x', 0 FROM n; BEGIN; {} COMMIT;",
        "UPDATE visits SET minutes = minutes + 1;".repeat(times as usize)
    ));
}

#[test]
fn a_connector_that_is_left_behind_keeps_no_other_from_being_captured_and_catches_up_with_the_last_of_each_record() {
    let (target, other) = (Receiver::start(), Receiver::start());
    let office = two(&target, &other);
    target.close();
    let agent = office.agent();
    work(&office, 180);
    agent.says("legacy: the endpoint is down");
    wait("it is left behind", || office.mode("legacy").0 == Mode::Overflowed);
    let status = office.run(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("legacy: fell too far behind"), "{status:#?}");
    office.sql("INSERT INTO calls VALUES (1)");
    other.wait("capture goes on for the other", |journal| committed(journal) == 1);
    wait("what it has not had is pruned", || number(&office, "SELECT min(seq) FROM hms_sync_outbox") > 1000);
    work(&office, 60);
    office.sql("INSERT INTO calls VALUES (2)");
    other.wait("capture goes on for the other", |journal| committed(journal) == 2);
    assert_eq!(number(&office, LOST), 0, "12,000 events were captured under a cap of 10,000");
    let parked = office.parked("legacy");
    assert!((1..=50).contains(&parked.len()), "of each record the last change only: {}", parked.len());
    target.reopen();
    wait("it catches up", || office.mode("legacy").0 == Mode::Running);
    office.wait_settled("legacy");
    agent.stop();
    assert_eq!(office.unlike_the_table(&target.journal()), Vec::<String>::new());
}

#[test]
fn a_connector_that_is_halted_for_weeks_keeps_no_other_from_being_captured() {
    let (target, other) = (Receiver::start(), Receiver::start());
    target.meet(|_| Some(Scenario::named("status_403")));
    let office = two(&target, &other);
    let agent = office.agent();
    work(&office, 1);
    agent.says("legacy: halted");
    work(&office, 180);
    wait("the other passes over them", || office.cursor("other") > 9000);
    wait("capture does not wait for it", || number(&office, "SELECT acked FROM hms_sync_ctl") > 9000);
    work(&office, 60);
    office.sql("INSERT INTO calls VALUES (1)");
    other.wait("capture goes on for the other", |journal| committed(journal) == 1);
    assert_eq!(number(&office, LOST), 0, "12,000 events were captured under a cap of 10,000");
    assert_eq!(office.mode("legacy").0, Mode::Halted, "it stays what it is");
    agent.stop();
}

#[test]
fn what_was_delivered_goes_after_its_retention_in_blocks_and_the_highest_row_never() {
    let (target, down) = (Receiver::start(), Receiver::start());
    let office = Office::visits();
    office.rest("legacy", &target, "");
    office.rest("down", &down, "");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    work(&office, 20);
    let highest = office.highest();
    down.close();
    let agent = office.agent();
    office.wait_settled("legacy");
    // Days go by.
    office.sql("UPDATE hms_sync_outbox SET at = at - 6");
    let tidied = || number(&office, "SELECT acked FROM hms_sync_ctl");
    office.sql("CREATE TABLE own(x)");
    assert_eq!(number(&office, KEPT), highest, "what is not old enough is kept");
    office.sql("UPDATE hms_sync_outbox SET at = at - 2");
    assert_eq!((number(&office, KEPT), tidied()), (highest, 0), "what one connector has not had is kept for it");
    down.reopen();
    office.wait_settled("down");
    let mut least = highest;
    wait("all but the witness goes", || number(&office, KEPT) == 1);
    least = least.min(number(&office, "SELECT min(seq) FROM hms_sync_outbox"));
    assert_eq!((office.highest(), least), (highest, highest), "the highest row stays");
    agent.stop();
    // Its number is not given again, and it shows that the file is the same.
    office.sql("UPDATE visits SET minutes = 0 WHERE id = 1");
    assert_eq!((office.highest(), office.once().0), (highest + 1, Some(0)));
    assert_eq!(office.unlike_the_table(&target.journal()), Vec::<String>::new());
}

#[test]
fn a_comparison_that_would_delete_very_many_records_stops_and_asks() {
    let target = Receiver::start();
    let office = Office::with(
        &target,
        "",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 160) INSERT INTO visits SELECT i, 'x', i FROM n",
    );
    let agent = office.agent();
    target.wait("all arrive", |journal| committed(journal) == 160);
    office.wait_settled("legacy");
    agent.stop();
    // The table is rebuilt under its own name, and most of it is not there any more.
    office.sql(
        "CREATE TABLE fresh(id INTEGER PRIMARY KEY, name TEXT, minutes); INSERT INTO fresh SELECT * FROM visits WHERE id <= 20;
         DROP TABLE visits; ALTER TABLE fresh RENAME TO visits;",
    );
    let agent = office.agent();
    agent.says("visits is not reconciled");
    office.sql("UPDATE visits SET minutes = 0 WHERE id = 1");
    target.wait("what is changed goes on being delivered", |journal| journal.len() == 161);
    assert!(target.journal().iter().all(|entry| entry.method == "PUT"), "nothing was deleted unasked");
    assert_eq!(office.run(&["reconcile", "visits", "--force"]).code, Some(0));
    target.wait("asked, it deletes", |journal| journal.iter().filter(|entry| entry.method == "DELETE").count() == 140);
    office.wait_settled("legacy");
    agent.stop();
    office.judge("legacy", &target);
}
