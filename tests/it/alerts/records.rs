//! What is wrong with what the agent itself keeps: its audit, and the log of what was posted.

use rusqlite::Connection;

use super::standing::told;
use super::{lines, words};
use crate::support::loopback::Way;
use crate::support::office::{Office, THREE, wait};
use crate::support::receiver::Receiver;

#[test]
fn a_record_of_the_audit_that_somebody_changed_is_told_at_the_next_start_and_nothing_waits_for_it() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let file = told(&office);
    let agent = office.agent();
    office.wait_settled("legacy");
    agent.stop();
    assert_eq!(words(&lines(&file)), Vec::<String>::new());
    let change = |by: i64| {
        let state = Connection::open(office.state()).unwrap();
        let keep: String =
            state.query_row("SELECT sql FROM sqlite_master WHERE name = 'attempt_keep'", [], |row| row.get(0)).unwrap();
        let n: i64 = state.query_row("SELECT min(n) FROM attempt", [], |row| row.get(0)).unwrap();
        let change = format!("DROP TRIGGER attempt_keep; UPDATE attempt SET at = at + {by} WHERE n = {n}; {keep}");
        state.execute_batch(&change).unwrap();
        n
    };
    let n = change(1);
    assert_eq!(office.run(&["audit", "verify"]).code, Some(65));
    let agent = office.agent();
    wait("it is told", || !lines(&file).is_empty());
    let notice = &lines(&file)[0];
    assert_eq!(words(std::slice::from_ref(notice)), ["opened audit audit"]);
    assert_eq!(notice["severity"], "critical");
    assert!(notice["what"].as_str().unwrap().contains(&format!("record {n} of the audit was changed")), "{notice:#}");
    assert!(notice["mend"].as_str().unwrap().contains("audit verify"), "{notice:#}");
    let status = office.run(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("audit: record "), "{status:#?}");
    let figures = String::from_utf8(Way::socket(&office).get("/metrics").body).unwrap();
    assert!(figures.contains("sync_alerts_open{condition=\"audit\"} 1"), "{figures}");
    // It delivers, and records that, all the same.
    office.sql("UPDATE visits SET minutes = 77");
    office.wait_settled("legacy");
    agent.stop();
    change(-1);
    assert_eq!(office.run(&["audit", "verify"]).code, Some(0));
    let agent = office.agent();
    wait("it is over", || lines(&file).len() == 2);
    assert_eq!(words(&lines(&file))[1], "cleared audit audit");
    agent.stop();
}

#[test]
fn what_is_posted_is_refused_once_as_much_waits_as_may_and_taken_in_again_when_the_target_is_back() {
    let target = Receiver::start();
    let office = Office::with(&target, "listen: rule-changed", "");
    let file = told(&office);
    office.add_settings("capture: {cap: 40KB}");
    target.close();
    let agent = office.agent();
    let way = Way::socket(&office);
    let post = |id: usize| {
        let body = format!(r#"{{"type":"rule-changed","payload":{{"id":{id},"text":"{}"}}}}"#, "x".repeat(1000));
        way.call(
            "POST",
            "/sync",
            &[("Content-Type", "application/json"), ("Idempotency-Key", &id.to_string())],
            body.as_bytes(),
        )
    };
    let mut taken = 0;
    let refused = loop {
        let answer = post(taken);
        if answer.status != 200 {
            break answer;
        }
        taken += 1;
        assert!(taken < 100, "the cap is 40 KB");
    };
    assert!(taken > 20, "{taken}");
    assert_eq!(refused.status, 507, "{refused:?}");
    let detail = refused.detail();
    assert!(detail.contains("nothing was stored") && detail.contains("wait for `legacy`"), "{detail}");
    assert!(refused.head.to_lowercase().contains("retry-after: 60"), "{refused:?}");
    assert_eq!(post(taken + 1).status, 507);
    assert_eq!(post(0).status, 200, "what is there already is answered as before");
    wait("it is told", || words(&lines(&file)).contains(&"opened capture intake".to_owned()));
    let status = office.run(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("nothing more is taken in"), "{status:#?}");
    assert!(status.stdout.contains("bring the target of `legacy` back"), "{status:#?}");
    target.reopen();
    target.wait("all that was taken in comes", |journal| journal.len() >= taken);
    wait("there is room again", || post(taken).status == 200);
    wait("it is over", || words(&lines(&file)).contains(&"cleared capture intake".to_owned()));
    let ids: std::collections::BTreeSet<String> = target
        .wait("that one too", |journal| journal.len() > taken)
        .iter()
        .map(|entry| serde_json::from_slice::<serde_json::Value>(&entry.body).unwrap()["id"].to_string())
        .collect();
    assert_eq!(ids.len(), taken + 1, "nothing that was refused came, and nothing that was taken in was lost");
    agent.stop();
}
