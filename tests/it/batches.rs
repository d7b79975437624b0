//! Several records in one request (`batch`), shown of the shipped binary.

use std::fmt::Write as _;

use hms_sync::store::state::connector::Mode;

use crate::support::journal::{Entry, all_the_same, body, committed, unfold};
use crate::support::office::{Office, RETRY, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::{End, Mix, Scenario, json};

/// An office that sends its visits together; `more` are further lines of the connector.
fn office(target: &Receiver, batch: &str, more: &str, sql: &str) -> Office {
    let office = Office::visits();
    configure(&office, target, batch, more);
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(sql);
    office
}

fn configure(office: &Office, target: &Receiver, batch: &str, more: &str) {
    let (url, ca) = (target.url("/visits"), target.ca.file());
    let endpoint = format!("target: {{url: \"{url}\", tls: {{ca: \"{}\"}}}}", ca.display());
    office.connector("legacy", &format!("{endpoint}\nstart: beginning\n{RETRY}\n{batch}\n{more}\n"));
}

/// So many visits, one transaction; the event of visit N has position N.
fn visits(from: i64, to: i64) -> String {
    (from..=to).fold("BEGIN;".to_owned(), |mut sql, id| {
        write!(sql, "INSERT INTO visits VALUES ({id}, 'Ada', {id});").unwrap();
        sql
    }) + "COMMIT;"
}

/// Positions of the events of a request.
fn positions(entry: &Entry) -> Vec<i64> {
    let keys = entry.header("sync-keys").unwrap();
    keys.split(", ").map(|key| key.split('-').nth(1).unwrap().parse().unwrap()).collect()
}

#[test]
fn records_that_wait_travel_together_in_order_and_each_keeps_its_key() {
    let target = Receiver::start();
    let office = office(&target, "batch: {max: 100}", "", &visits(1, 250));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let sizes: Vec<usize> = journal.iter().map(|entry| positions(entry).len()).collect();
    assert_eq!((sizes.iter().sum::<usize>(), sizes.iter().max()), (250, Some(&100)), "{sizes:?}");
    assert!(sizes.len() <= 5, "{sizes:?}");
    let first = journal.iter().find(|entry| positions(entry)[0] == 1).unwrap();
    assert_eq!(positions(first), (1..=100).collect::<Vec<_>>());
    let records = body(first);
    assert_eq!((&records[0]["id"], &records[99]["minutes"]), (&1.into(), &100.into()));
    assert!(first.key.starts_with(first.header("sync-keys").unwrap().split(", ").next().unwrap()), "{}", first.key);
    assert_eq!(first.header("sync-op"), Some("insert"));
    office.judge("legacy", &target);
}

#[test]
fn a_request_can_be_lines_of_json() {
    let target = Receiver::start();
    let office = office(&target, "batch: {max: 40, shape: ndjson}", "", &visits(1, 80));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    assert!(journal.iter().all(|entry| entry.header("content-type") == Some("application/x-ndjson")));
    assert!(journal.iter().all(|entry| entry.body.ends_with(b"}\n")));
    office.judge("legacy", &target);
}

#[test]
fn a_change_that_comes_alone_goes_at_once_under_its_own_key() {
    let target = Receiver::start();
    let office = office(&target, "batch: {max: 100}", "", "");
    let agent = office.agent();
    for id in 1..=3 {
        office.sql(&visits(id, id));
        let journal = target.wait("it arrives", |journal| committed(journal) as i64 == id);
        let last = journal.last().unwrap();
        assert_eq!((positions(last), Some(last.key.as_str())), (vec![id], last.header("sync-keys")));
        assert_eq!(body(last)[0]["id"], id);
    }
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn a_request_is_no_larger_than_the_bytes_it_may_have() {
    let target = Receiver::start();
    let office = office(&target, "batch: {max: 100, maxBytes: 1KB}", "", &visits(1, 100));
    assert_eq!(office.once().0, Some(0));
    assert!(target.journal().iter().all(|entry| entry.body.len() <= 1_100), "one record more than the limit at most");
    office.judge("legacy", &target);
}

#[test]
fn a_list_of_keys_stays_within_what_servers_take_as_a_header() {
    let target = Receiver::start();
    let office = office(&target, "batch: {max: 2000}", "", &visits(1, 1500));
    assert_eq!(office.once().0, Some(0));
    assert!(target.journal().iter().all(|entry| entry.header("sync-keys").unwrap().len() <= 7_000));
    office.judge("legacy", &target);
}

#[test]
fn updates_and_deletes_keep_their_order_and_deletes_have_requests_of_their_own() {
    let target = Receiver::start();
    let changes = "UPDATE visits SET minutes = 0; DELETE FROM visits WHERE id % 3 = 0;
                   INSERT INTO visits VALUES (3, 'Bea', 1); UPDATE visits SET id = 1000 WHERE id = 4;";
    let office = office(&target, "batch: {max: 10}", "", &(visits(1, 30) + changes));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let ops: Vec<_> = journal.iter().filter_map(|entry| entry.header("sync-op")).collect();
    assert!(ops.contains(&"delete") && ops.contains(&"update"), "{ops:?}");
    office.judge("legacy", &target);
}

#[test]
fn what_the_target_finds_too_large_is_split_until_it_fits() {
    let target = Receiver::start();
    target.meet(|entry| (positions(entry).len() > 8).then(|| Scenario::named("status_413")));
    let office = office(&target, "batch: {max: 100}\nconcurrency: 1", "", &visits(1, 300));
    let agent = office.agent();
    agent.says("legacy: the target finds a request of 100 records too large: 50 at most for now");
    office.wait_settled("legacy");
    agent.stop();
    let refused = target.journal().iter().filter(|entry| !entry.committed).count();
    assert!(refused < 30, "it learns what fits: {refused} requests were refused");
    office.judge("legacy", &target);
}

#[test]
fn one_refused_record_among_many_is_found_and_parked_alone() {
    let target = Receiver::start();
    target.meet(|entry| positions(entry).contains(&37).then(|| Scenario::named("refused")));
    let office = office(&target, "batch: {max: 64}", "", &visits(1, 128));
    assert_eq!(office.once().0, Some(1), "something is parked");
    assert_eq!(office.parked_words("legacy"), ["dead http-422"]);
    assert_eq!(office.parked("legacy")[0].event.seq(), 37);
    assert_eq!(office.mode("legacy").0, Mode::Running);
    assert_eq!(unfold(&target.journal()).iter().filter(|entry| entry.committed).count(), 127);
    office.judge("legacy", &target);
}

#[test]
fn a_target_that_refuses_everything_halts_the_connector_and_little_is_parked() {
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("refused")));
    let office = office(&target, "batch: {max: 16}\nconcurrency: 1", "", &visits(1, 64));
    let agent = office.agent();
    agent.says("legacy: halted: refusals");
    agent.stop();
    // Five show that it is not the records; two more may be under way by then.
    let parked = office.parked("legacy").len();
    assert!((5..=7).contains(&parked), "{parked} of 64 are parked");
    office.judge("legacy", &target);
}

#[test]
fn a_record_that_the_target_cannot_bear_does_not_stop_those_it_travels_with() {
    let target = Receiver::start();
    target.meet(|entry| positions(entry).contains(&5).then(|| Scenario::named("status_500")));
    let office = office(&target, "batch: {max: 20}", "", &visits(1, 60));
    let agent = office.agent();
    let arrived = |journal: &[Entry]| unfold(journal).iter().filter(|entry| entry.committed).count();
    target.wait("the others arrive", |journal| arrived(journal) == 59);
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn a_record_alone_in_its_request_keeps_its_key_however_often_it_is_tried() {
    for shape in ["array", "ndjson"] {
        let target = Receiver::start();
        for fault in ["status_504", "status_500", "status_503"] {
            target.next(Scenario::named(fault));
        }
        let office = office(&target, &format!("batch: {{max: 50, shape: {shape}}}"), "", &visits(1, 1));
        let agent = office.agent();
        office.wait_settled("legacy");
        agent.stop();
        let journal = target.journal();
        assert!(journal.len() == 4 && all_the_same(&journal), "{shape}: {journal:#?}");
        office.judge("legacy", &target);
    }
}

#[test]
fn in_another_form_a_record_has_another_key() {
    let target = Receiver::start();
    target.next(Scenario::named("refused"));
    let office = office(&target, "batch: {max: 50}", "", &visits(1, 1));
    assert_eq!(office.once().0, Some(1));
    configure(&office, &target, "batch: {max: 50, shape: ndjson}", "");
    assert_eq!(office.run(&["deliveries", "retry", "--all"]).code, Some(0));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    assert_eq!(journal[1].key, format!("{}-r1", journal[0].key));
}

#[test]
fn a_few_records_that_the_target_never_bears_do_not_stop_the_rest() {
    let target = Receiver::start();
    let bad = |position: &i64| position % 40 == 0;
    target.meet(move |entry| positions(entry).iter().any(bad).then(|| Scenario::named("status_500")));
    let office = office(&target, "batch: {max: 100}", "", &visits(1, 800));
    let agent = office.agent();
    let arrived = |journal: &[Entry]| unfold(journal).iter().filter(|entry| entry.committed).count();
    target.wait("all the others arrive", |journal| arrived(journal) == 780);
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn a_record_that_never_gets_through_is_parked_and_its_companions_are_not() {
    for fault in ["rst_after_request", "commit_close"] {
        let target = Receiver::start();
        target.meet(move |entry| positions(entry).contains(&7).then(|| Scenario::named(fault)));
        let office = office(&target, "batch: {max: 10}", "", &visits(1, 200));
        let agent = office.agent();
        let others = |journal: &[Entry]| {
            let keys = unfold(journal).into_iter().filter(|entry| entry.path != "/visits/7" && entry.committed);
            keys.map(|entry| entry.key).collect::<std::collections::HashSet<_>>().len()
        };
        target.wait("the others arrive", |journal| others(journal) == 199);
        // It is known as its own fault once others have got through meanwhile.
        let next = std::cell::Cell::new(201);
        wait("it is parked", || {
            office.sql(&visits(next.get(), next.get()));
            next.set(next.get() + 1);
            !office.parked("legacy").is_empty()
        });
        assert!(office.parked_words("legacy")[0].starts_with("waiting "), "{fault}");
        target.behave();
        office.wait_settled("legacy");
        agent.stop();
        office.judge("legacy", &target);
    }
}

#[test]
fn a_record_that_ends_the_connection_is_found_though_nothing_else_is_there_to_get_through() {
    for fault in ["rst_after_request", "commit_close"] {
        let target = Receiver::start();
        target.meet(move |entry| positions(entry).contains(&1).then(|| Scenario::named(fault)));
        let office = office(&target, "batch: {max: 10}", "", &visits(1, 6));
        let agent = office.agent();
        target.wait("the others arrive", |journal| {
            let others = journal.iter().filter(|entry| entry.committed && !positions(entry).contains(&1));
            others.flat_map(positions).collect::<std::collections::BTreeSet<_>>().len() == 5
        });
        target.behave();
        office.wait_settled("legacy");
        agent.stop();
        office.judge("legacy", &target);
    }
}

#[test]
fn one_record_that_is_too_large_does_not_make_the_requests_small_for_good() {
    let target = Receiver::start();
    target.meet(|entry| positions(entry).contains(&30).then(|| Scenario::named("status_413")));
    let office = office(&target, "batch: {max: 50}\nconcurrency: 1", "", &visits(1, 1500));
    assert_eq!(office.once().0, Some(1));
    assert_eq!(office.parked_words("legacy"), ["dead http-413"]);
    let sizes: Vec<usize> = target.journal().iter().map(|entry| positions(entry).len()).collect();
    assert!(sizes.len() < 60, "{sizes:?}");
    office.judge("legacy", &target);
}

#[test]
fn each_record_of_a_multi_status_answer_has_its_own_outcome() {
    let target = Receiver::start();
    target.meet(|entry| {
        let keys = positions(entry);
        let status = |position: &i64| match position {
            7 => 422,
            9 if keys.len() > 1 => 503,
            _ => 201,
        };
        let list: Vec<String> = keys.iter().map(|key| format!("{{\"status\": {}}}", status(key))).collect();
        Some(Scenario::answer("items", true, json(207, "", &format!("[{}]", list.join(","))), End::Keep))
    });
    let office = office(&target, "batch: {max: 20}", "", &visits(1, 20));
    let agent = office.agent();
    wait("all but the refused one are settled", || office.parked_words("legacy") == ["dead http-422"]);
    wait("the cursor has passed", || office.cursor("legacy") == 20);
    agent.stop();
    let journal = target.journal();
    let times = |position| journal.iter().filter(|entry| positions(entry).contains(&position)).count();
    assert_eq!((times(7), times(9), times(1)), (1, 2, 1), "only what was put off is sent again");
    assert_eq!(office.parked("legacy")[0].event.seq(), 7);
}

#[test]
fn a_multi_status_answer_that_does_not_fit_the_request_counts_for_nothing() {
    let target = Receiver::start();
    target.next(Scenario::answer("odd", true, json(207, "", "[{\"status\": 201}]"), End::Keep));
    let office = office(&target, "batch: {max: 20}\nconcurrency: 1", "", &visits(1, 20));
    assert_eq!(office.once().0, Some(0));
    assert!(target.journal().len() > 1);
    office.judge("legacy", &target);
}

#[test]
fn what_may_have_arrived_is_sent_again_as_the_same_request() {
    for fault in ["commit_rst", "commit_close", "cl_short", "rst_after_request", "html"] {
        let target = Receiver::start();
        target.next(Scenario::named(fault));
        let office = office(&target, "batch: {max: 50}\nconcurrency: 1", "", &visits(1, 50));
        let agent = office.agent();
        target.wait("it comes again", |journal| journal.len() >= 2);
        office.sql(&visits(51, 60));
        office.wait_settled("legacy");
        agent.stop();
        let journal = target.journal();
        assert_eq!(positions(&journal[0]).len(), 50, "{fault}");
        assert!(all_the_same(&journal[..2]), "{fault}: {:?} {:?}", journal[0].key, journal[1].key);
        office.judge("legacy", &target);
    }
}

#[test]
fn after_a_kill_what_may_have_arrived_is_sent_again_as_the_same_request() {
    let target = Receiver::start();
    target.next(Scenario::named("commit_hang"));
    let office = office(&target, "batch: {max: 30}\nconcurrency: 1", "", &visits(1, 45));
    let agent = office.agent();
    target.wait("it is under way", |journal| journal.len() == 1);
    agent.kill();
    // Another order of arrival must not make other requests of the same events.
    office.sql(&visits(46, 90));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    assert_eq!(positions(&journal[0]), (1..=30).collect::<Vec<_>>());
    let again: Vec<_> = journal.iter().filter(|entry| positions(entry).contains(&1)).collect();
    assert!(again.len() == 2 && all_the_same(again.iter().copied()), "{again:#?}");
    office.judge("legacy", &target);
}

#[test]
fn after_a_changed_configuration_what_may_have_arrived_is_still_the_same_request() {
    let target = Receiver::start();
    target.next(Scenario::named("commit_hang"));
    let office = office(&target, "batch: {max: 30}\nconcurrency: 1", "", &visits(1, 45));
    let agent = office.agent();
    target.wait("it is under way", |journal| journal.len() == 1);
    agent.kill();
    configure(&office, &target, "batch: {max: 7, shape: ndjson}", "map: {id: id, minutes: time}");
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let again: Vec<_> = journal.iter().filter(|entry| positions(entry).contains(&1)).collect();
    assert!(again.len() == 2 && all_the_same(again.iter().copied()), "{again:#?}");
    let other: Vec<_> = journal.iter().filter(|entry| !positions(entry).contains(&1)).collect();
    assert!(!other.is_empty() && other.iter().all(|entry| positions(entry).len() <= 7), "{other:#?}");
    assert!(other.iter().all(|entry| entry.header("content-type") == Some("application/x-ndjson")));
}

#[test]
fn an_outage_costs_nothing_and_afterwards_everything_arrives() {
    let target = Receiver::start();
    let office = office(&target, "batch: {max: 25}", "", "");
    let agent = office.agent();
    target.close();
    office.sql(&visits(1, 500));
    agent.says("legacy: the endpoint is down");
    target.reopen();
    office.wait_settled("legacy");
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn whatever_the_network_does_nothing_is_lost_and_every_record_keeps_its_order() {
    for seed in 0..4 {
        let target = Receiver::start();
        let parts = [
            (30, "ok"),
            (2, "commit_rst"),
            (2, "commit_close"),
            (2, "rst_mid_request"),
            (2, "status_503"),
            (1, "status_500"),
            (1, "chunked_trunc"),
        ];
        target.mix(Some(Mix::new(seed, &parts)));
        let office = office(&target, "batch: {max: 12}", "", &visits(1, 60));
        let agent = office.agent();
        for round in 0..6 {
            office.sql(&format!("UPDATE visits SET minutes = {round} WHERE id % 2 = {}", round % 2));
            office.sql(&format!("DELETE FROM visits WHERE id = {}", round * 7 + 1));
        }
        office.wait_settled("legacy");
        agent.stop();
        office.judge("legacy", &target);
    }
}

#[test]
fn simulate_shows_the_form_of_the_request() {
    let target = Receiver::start();
    let office = office(&target, "batch: {max: 10}", "", &visits(1, 2));
    let shown = office.run(&["simulate", "--since", "1h"]);
    assert!(shown.stdout.contains("Sync-Keys") && shown.stdout.contains("[{\"id\":1"), "{}", shown.stdout);
}
