//! `sync CONNECTOR TYPE KEY`: one record, now.

use hms_sync::daemon::client::post;
use hms_sync::engine::single::Status;
use hms_sync::store::state::holder;

use crate::support::journal::committed;
use crate::support::office::{Office, THREE};
use crate::support::receiver::Receiver;

const UNKNOWN: &str =
    r#"{"status":"failed","reason":"no such record: no row of visits has this key, and none is known to have had it"}"#;

#[test]
fn a_record_that_never_was_is_not_deleted_at_the_target() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    assert_eq!(office.run(&["run", "--once"]).code, Some(0));
    let sync = || {
        let ended = office.run(&["sync", "legacy", "visits", "99"]);
        assert_eq!(ended.stdout.trim(), UNKNOWN, "{ended:?}");
        assert_ne!(ended.code, Some(0));
    };
    sync();
    let agent = office.agent();
    sync();
    agent.stop();
    assert_eq!(office.highest(), 3, "nothing was written");
    assert!(target.journal().iter().all(|entry| entry.method == "PUT"));
}

#[test]
fn a_record_that_is_gone_is_deleted_at_the_target_and_one_that_stands_is_sent() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let agent = office.agent();
    target.wait("all arrive", |journal| committed(journal) == 3);
    office.sql("DELETE FROM visits WHERE id = 2");
    target.wait("the delete arrives", |journal| committed(journal) == 4);
    for id in ["2", "3"] {
        let ended = office.run(&["sync", "legacy", "visits", id]);
        assert_eq!(ended.stdout.trim(), r#"{"status":"success"}"#, "{ended:?}");
    }
    agent.stop();
    let journal = target.journal();
    let calls: Vec<(&str, &str)> =
        journal.iter().skip(4).map(|entry| (entry.method.as_str(), entry.path.as_str())).collect();
    assert_eq!(calls, [("DELETE", "/visits/2"), ("PUT", "/visits/3")]);
}

#[test]
fn a_caller_that_knows_that_a_record_was_there_has_it_deleted() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let agent = office.agent();
    let socket = holder(&office.state()).and_then(|holder| holder.socket).unwrap();
    let status: Status = post(&socket, "/sync/legacy/visits/99?known", Vec::new()).unwrap();
    agent.stop();
    assert_eq!(status, Status::Success);
    let deleted = |path: &str| target.journal().iter().any(|entry| entry.method == "DELETE" && entry.path == path);
    assert!(deleted("/visits/99"));
}
