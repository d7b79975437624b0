//! The rules of delivery, one promise a test, shown of the shipped binary.

use std::collections::HashSet;

use hms_sync::store::state::attempt::Line;
use hms_sync::store::state::connector::Mode;
use rustix::process::Signal;

use crate::support::journal::{all_the_same, at, body, committed};
use crate::support::office::{Office, RETRY, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

#[test]
fn a_commit_wakes_the_agent_by_itself() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let agent = office.agent();
    for id in 1..=5_i64 {
        office.sql(&format!("INSERT INTO visits VALUES ({id}, 'Ada', 10)"));
        let journal = target.wait("the commit arrives", |journal| committed(journal) as i64 == id);
        assert_eq!(body(journal.last().unwrap())["id"], id);
    }
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn a_refused_record_is_parked_its_later_changes_wait_and_others_flow() {
    let target = Receiver::start();
    target.meet(|entry| (entry.path == "/visits/2").then(|| Scenario::named("refused")));
    let office = Office::with(&target, "", &format!("{THREE} UPDATE visits SET minutes = 5;"));
    let agent = office.agent();
    let journal = target.wait("the others arrive", |journal| committed(journal) == 4);
    wait("the cursor passes over what is parked", || office.cursor("legacy") == 6);
    assert_eq!(office.parked_words("legacy"), ["dead http-422", "behind behind"]);
    office.sql("UPDATE visits SET minutes = 6");
    target.wait("others still flow", |journal| committed(journal) == 6);
    agent.stop();
    assert_eq!(at(&target.journal(), "/visits/2").len(), 1, "a refusal is not tried again by itself");
    assert_eq!(office.parked_words("legacy"), ["dead http-422", "behind behind", "behind behind"]);
    assert_eq!(body(at(&journal, "/visits/1")[1])["minutes"], 5);
    office.judge("legacy", &target);
}

#[test]
fn a_record_that_the_target_cannot_bear_does_not_stop_the_others() {
    let target = Receiver::start();
    target.meet(|entry| (entry.path == "/visits/1").then(|| Scenario::named("status_500")));
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    let agent = office.agent();
    agent.says("the endpoint is down");
    office.sql("INSERT INTO visits VALUES (2, 'Bea', 20), (3, 'Cleo', 30), (4, 'Dan', 40)");
    target.wait("the others arrive", |journal| committed(journal) == 3);
    wait("the one is parked by itself", || office.parked_words("legacy") == ["waiting http-500"]);
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn a_busy_target_gets_the_same_key_and_bytes_again() {
    let target = Receiver::start();
    target.next(Scenario::named("status_503"));
    target.next(Scenario::named("status_500"));
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    let agent = office.agent();
    let journal = target.wait("it arrives", |journal| committed(journal) == 1);
    office.wait_settled("legacy");
    agent.stop();
    assert_eq!(journal.len(), 3);
    assert!(all_the_same(&journal));
    office.judge("legacy", &target);
}

#[test]
fn retry_after_holds_the_whole_connector_and_no_other() {
    let (target, other) = (Receiver::start(), Receiver::start());
    target.next(Scenario::status(503, "Retry-After: 3600\r\n"));
    let office = Office::with(&target, "concurrency: 1", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    office.rest("other", &other, "");
    let agent = office.agent();
    agent.says("legacy: ");
    office.sql("INSERT INTO visits VALUES (2, 'Bea', 20)");
    other.wait("the other connector goes on", |journal| committed(journal) == 2);
    agent.stop();
    assert_eq!(target.journal().len(), 1);
    assert_eq!((office.parked_words("legacy"), office.cursor("legacy")), (vec!["waiting http-503".to_owned()], 1));
    office.judge("legacy", &target);
}

#[test]
fn retry_after_outlives_a_kill_and_ends_with_another_configuration() {
    let target = Receiver::start();
    target.next(Scenario::status(503, "Retry-After: 3600\r\n"));
    let office = Office::with(&target, "concurrency: 1", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    let agent = office.agent();
    wait("it is put off", || office.parked_words("legacy") == ["waiting http-503"]);
    agent.kill();
    // Another record, which nothing else keeps back.
    office.sql("INSERT INTO visits VALUES (2, 'Bea', 20)");
    let (code, summary) = office.once();
    assert_eq!((code, target.journal().len()), (Some(75), 1), "{summary}");
    assert!(summary["leftOff"][0].as_str().unwrap().contains("asked to wait"), "{summary}");
    let told = || {
        let status: serde_json::Value = serde_json::from_str(&office.run(&["--json", "status"]).stdout).unwrap();
        (status["connectors"][0]["waitsUntil"].clone(), office.run(&["status"]).stdout)
    };
    let (until, shown) = told();
    assert!(shown.contains(&format!("legacy sends nothing until {}: its target", until.as_str().unwrap())), "{shown}");
    office.rest("legacy", &target, "concurrency: 2");
    let agent = office.agent();
    target.wait("it is tried again", |journal| at(journal, "/visits/2").iter().any(|entry| entry.committed));
    assert_eq!(told().0, serde_json::Value::Null);
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn what_was_delivered_behind_an_event_that_never_gets_through_is_not_counted_as_queued() {
    let target = Receiver::start();
    target.meet(|entry| entry.path.ends_with("/1").then(|| Scenario::named("rst_after_request")));
    let office = Office::with(&target, "", THREE);
    let agent = office.agent();
    wait("one is left", || {
        let status: serde_json::Value = serde_json::from_str(&office.run(&["--json", "status"]).stdout).unwrap();
        let known = &status["connectors"][0];
        known["queued"].as_i64().unwrap() + known["waiting"].as_i64().unwrap() == 1 && known["delivered"] == 2
    });
    target.behave();
    office.wait_settled("legacy");
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn rejected_credentials_halt_the_connector_and_no_other() {
    let (target, other) = (Receiver::start(), Receiver::start());
    target.admit(|entry| entry.header("authorization") == Some("Bearer right"));
    let office = Office::with(&target, "", THREE);
    token(&office, "wrong");
    office.add_settings("credentials: {lotus: {type: bearer, token: {file: token}}}");
    let (url, ca) = (target.url("/visits/{id}"), target.ca.file());
    let endpoint = format!("url: \"{url}\", method: PUT, credentialsId: lotus, tls: {{ca: \"{}\"}}", ca.display());
    office.connector("legacy", &format!("target: {{{endpoint}}}\nstart: beginning\nconcurrency: 1\n{RETRY}\n"));
    office.rest("other", &other, "");
    let agent = office.agent();
    agent.says("legacy: halted: http-401");
    other.wait("the other connector goes on", |journal| committed(journal) == 3);
    agent.stop();
    assert_eq!(target.journal().len(), 1, "nothing more is sent with credentials that were rejected");
    let (mode, reason) = office.mode("legacy");
    assert_eq!((mode, reason.unwrap().class.as_ref()), (Mode::Halted, "http-401"));
    assert_eq!(office.parked_words("legacy"), Vec::<String>::new());
    assert!(!agent_text(&office).contains("wrong"));
    token(&office, "right");
    assert_eq!(office.once().0, Some(0));
    assert_eq!((committed(&target.journal()), office.mode("legacy").0), (3, Mode::Running));
    office.judge("legacy", &target);
}

fn token(office: &Office, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = office.config().join("token");
    std::fs::write(&path, format!("{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// What the state file holds, as text.
fn agent_text(office: &Office) -> String {
    String::from_utf8_lossy(&std::fs::read(office.state()).unwrap()).into_owned()
}

#[test]
fn a_redirect_halts_and_nothing_goes_to_the_other_host() {
    for status in [301, 302, 307, 308] {
        let (target, thief) = (Receiver::start(), Receiver::start());
        let to = format!("Location: {}\r\n", thief.url("/visits/1"));
        target.meet(move |_| Some(Scenario::status(status, &to)));
        let office = Office::with(&target, "concurrency: 1", THREE);
        let (code, summary) = office.once();
        assert_eq!((code, summary["delivered"].as_i64()), (Some(75), Some(0)), "{status}: {summary}");
        assert!(summary["leftOff"][0].as_str().unwrap().contains("redirect"), "{summary}");
        assert_eq!((office.mode("legacy").0, thief.connections(), target.journal().len()), (Mode::Halted, 0, 1));
        target.behave();
        assert_eq!(office.once().0, Some(0), "nothing is lost");
        office.judge("legacy", &target);
    }
}

#[test]
fn a_web_page_is_no_success_and_three_in_a_row_halt_the_connector() {
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("html")));
    let office = Office::with(&target, "", THREE);
    let agent = office.agent();
    agent.says("captive portal");
    agent.says("legacy: halted: meaningless");
    assert!(!agent.said().contains("the endpoint is down"), "it answers: {}", agent.said());
    agent.stop();
    target.behave();
    let agent = office.agent();
    office.wait_settled("legacy");
    agent.stop();
    let journal = target.journal();
    for id in 1..=3 {
        let entries = at(&journal, &format!("/visits/{id}"));
        assert!(all_the_same(entries.iter().copied()) && !entries.is_empty(), "{entries:#?}");
        // What was said of a page may have been done: it is asked for again.
        assert_eq!(entries.last().unwrap().scenario, "ok");
    }
    office.judge("legacy", &target);
}

#[test]
fn an_outage_uses_up_no_attempts() {
    let target = Receiver::start();
    let office = Office::visits();
    let retry = "retryPolicy: {backoff: 20ms, maxBackoff: 200ms, maxAttempts: 1}";
    let (url, ca) = (target.url("/visits/{id}"), target.ca.file());
    let endpoint = format!("url: \"{url}\", method: PUT, tls: {{ca: \"{}\"}}", ca.display());
    office.connector("legacy", &format!("target: {{{endpoint}}}\nstart: beginning\n{retry}\n"));
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(THREE);
    target.close();
    let agent = office.agent();
    agent.says("the endpoint is down");
    target.reopen();
    target.wait("they arrive", |journal| committed(journal) == 3);
    agent.says("the endpoint is back");
    office.wait_settled("legacy");
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn a_record_that_always_fails_ends_as_a_dead_letter_after_its_attempts_and_others_flow() {
    let target = Receiver::start();
    target.meet(|entry| (entry.path == "/visits/2").then(|| Scenario::named("status_500")));
    let office = Office::visits();
    let retry = "retryPolicy: {backoff: 20ms, maxBackoff: 200ms, maxAttempts: 3}";
    let (url, ca) = (target.url("/visits/{id}"), target.ca.file());
    let endpoint = format!("url: \"{url}\", method: PUT, tls: {{ca: \"{}\"}}", ca.display());
    office.connector("legacy", &format!("target: {{{endpoint}}}\nstart: beginning\n{retry}\n"));
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(THREE);
    let agent = office.agent();
    agent.says("is a dead letter");
    office.sql("INSERT INTO visits VALUES (4, 'Di', 40)");
    target.wait("others flow", |journal| committed(journal) == 3);
    agent.stop();
    let parked = office.parked("legacy");
    assert_eq!(office.parked_words("legacy"), ["dead http-500"]);
    assert!(parked[0].reason.text.contains("given up after 3 attempts"), "{:?}", parked[0].reason);
    let journal = target.journal();
    let entries = at(&journal, "/visits/2");
    assert!(entries.len() == 3 && all_the_same(entries.iter().copied()), "{entries:#?}");
    office.judge("legacy", &target);
}

#[test]
fn a_record_that_cannot_be_mapped_is_held_and_goes_by_itself_when_the_mapping_is_mended() {
    let target = Receiver::start();
    let map = |convert: &str| format!("map: {{id: id, minutes: {{to: seconds{convert}}}}}");
    let bad = map(", convert: minutes -> seconds");
    let office = Office::with(&target, &bad, "INSERT INTO visits VALUES (1, 'Ada', 'ten'), (2, 'Bea', 20);");
    let agent = office.agent();
    agent.says("is held: mapping");
    office.sql("UPDATE visits SET minutes = 11");
    target.wait("the other record flows", |journal| committed(journal) == 2);
    wait("the cursor passes over what is held", || office.cursor("legacy") == 4);
    assert_eq!(office.parked_words("legacy"), ["held mapping", "behind behind"]);
    let reason = office.parked("legacy")[0].reason.text.clone();
    assert!(reason.contains("minutes") && !reason.contains("ten"), "it names the field and no value: {reason}");
    office.rest("legacy", &target, &map(""));
    agent.signal(Signal::HUP);
    agent.says("reloaded");
    target.wait("it goes by itself", |journal| committed(journal) == 4);
    office.wait_settled("legacy");
    agent.stop();
    let journal = target.journal();
    let seconds: Vec<_> = at(&journal, "/visits/1").iter().map(|entry| body(entry)["seconds"].clone()).collect();
    assert_eq!(seconds, [serde_json::json!("ten"), serde_json::json!(11)]);
    office.judge("legacy", &target);
}

#[test]
fn what_may_have_arrived_before_a_kill_is_sent_as_it_was_even_under_a_new_mapping() {
    let target = Receiver::start();
    let office = Office::with(&target, "map: {id: id, name: old}", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    // Two kills: what the second run sends again is still in doubt for the third.
    for (mapping, attempts) in [("map: {id: id, name: newer}", 1), ("map: {id: id, name: newest}", 2)] {
        target.next(Scenario::named("commit_hang"));
        let agent = office.agent();
        target.wait("it arrives", |journal| journal.len() == attempts);
        agent.kill();
        office.rest("legacy", &target, mapping);
    }
    office.sql("INSERT INTO visits VALUES (2, 'Bea', 20)");
    let agent = office.agent();
    target.wait("both arrive", |journal| committed(journal) == 2);
    office.wait_settled("legacy");
    agent.stop();
    let journal = target.journal();
    let first = at(&journal, "/visits/1");
    assert!(first.len() == 3 && all_the_same(first.iter().copied()), "{first:#?}");
    assert_eq!(body(first[2]), serde_json::json!({"id": 1, "old": "Ada"}));
    assert_eq!(body(at(&journal, "/visits/2")[0]), serde_json::json!({"id": 2, "newest": "Bea"}));
    office.judge("legacy", &target);
}

#[test]
fn a_lost_answer_stays_in_doubt_through_a_busy_target_and_a_new_mapping() {
    let target = Receiver::start();
    target.next(Scenario::named("commit_rst"));
    target.next(Scenario::named("status_503"));
    target.next(Scenario::status(503, "Retry-After: 3600\r\n"));
    let office = Office::with(&target, "map: {id: id, name: old}", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    let agent = office.agent();
    target.wait("it is put off", |journal| journal.len() == 3);
    agent.stop();
    office.rest("legacy", &target, "map: {id: id, name: new}");
    let agent = office.agent();
    office.wait_settled("legacy");
    agent.stop();
    let journal = target.journal();
    assert!(journal.len() == 4 && all_the_same(&journal), "{journal:#?}");
    office.judge("legacy", &target);
}

#[test]
fn a_record_that_leaves_the_where_is_deleted_at_the_target() {
    let target = Receiver::start();
    let office =
        Office::with(&target, "where: minutes < 60", &format!("{THREE} UPDATE visits SET minutes = 90 WHERE id = 2;"));
    office.sql("UPDATE visits SET name = 'Bea B' WHERE id = 2; DELETE FROM visits WHERE id = 3;");
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let methods = |path| at(&journal, path).iter().map(|entry| entry.method.clone()).collect::<Vec<_>>();
    assert_eq!(methods("/visits/1"), ["PUT"]);
    assert_eq!(methods("/visits/2"), ["PUT", "DELETE"], "outside the filter nothing more is said of it");
    assert_eq!(methods("/visits/3"), ["PUT", "DELETE"]);
    office.judge("legacy", &target);
}

#[test]
fn a_key_change_deletes_the_old_record_and_puts_the_new_one() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10); UPDATE visits SET id = 7;");
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let said: Vec<_> = journal.iter().map(|entry| (entry.method.as_str(), entry.path.as_str())).collect();
    assert_eq!(said, [("PUT", "/visits/1"), ("DELETE", "/visits/1"), ("PUT", "/visits/7")]);
    let one = journal[1].key.strip_suffix("-a").unwrap();
    assert_eq!(journal[2].key.strip_suffix("-b"), Some(one));
    office.judge("legacy", &target);
}

#[test]
fn a_key_change_that_waits_holds_up_both_of_its_records() {
    let target = Receiver::start();
    target.meet(|entry| (entry.path == "/visits/1").then(|| Scenario::status(503, "")));
    // The key change waits behind the first record, and what comes after it upon the second waits behind it.
    let office = Office::with(
        &target,
        "concurrency: 1",
        "INSERT INTO visits VALUES (1, 'Ada', 10); UPDATE visits SET id = 2; UPDATE visits SET minutes = 11;
         INSERT INTO visits VALUES (1, 'Bea', 20), (3, 'Cy', 30);",
    );
    let agent = office.agent();
    target.wait("a third record flows", |journal| committed(journal) == 1);
    assert!(at(&target.journal(), "/visits/2").is_empty());
    // After a restart what is read again finds the same order.
    agent.kill();
    let agent = office.agent();
    agent.says("waits");
    target.behave();
    office.wait_settled("legacy");
    agent.stop();
    let journal = target.journal();
    let firsts = |path: &str| {
        let mut keys = HashSet::new();
        let mut said: Vec<_> = at(&journal, path);
        said.retain(|entry| keys.insert(&entry.key));
        said.iter().map(|entry| entry.method.clone()).collect::<Vec<_>>()
    };
    assert_eq!(firsts("/visits/1"), ["PUT", "DELETE", "PUT"]);
    assert_eq!(firsts("/visits/2"), ["PUT", "PUT"]);
    assert_eq!(body(at(&journal, "/visits/2").last().unwrap())["minutes"], 11);
    office.judge("legacy", &target);
}

#[test]
fn the_parts_of_a_key_change_keep_their_keys_when_the_first_is_put_off() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10); UPDATE visits SET id = 2;");
    target.meet(|entry| (entry.method == "DELETE").then(|| Scenario::named("status_503")));
    let agent = office.agent();
    target.wait("the delete is put off", |journal| journal.len() > 2);
    target.behave();
    office.wait_settled("legacy");
    agent.stop();
    let keys: HashSet<String> = target.journal().into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    office.judge("legacy", &target);
}

#[test]
fn answers_that_say_nothing_are_retried_with_a_reason_and_lose_nothing() {
    let nonsense = [
        "html",
        "garbage",
        "bad_status_line",
        "empty_json",
        "bad_json",
        "deep_json",
        "error_inside",
        "huge_json",
        "commit_close",
        "commit_partial",
        "commit_rst",
        "cl_short",
        "chunked_trunc",
        "bad_chunk",
        "gzip_bomb",
        "many_headers",
        "big_header",
        "two_lengths",
    ];
    let target = Receiver::start();
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 0)");
    assert_eq!(office.once().0, Some(0));
    for (round, name) in (1..).zip(nonsense) {
        target.meet(move |_| Some(Scenario::named(name)));
        office.sql(&format!("UPDATE visits SET minutes = {round}"));
        let before = target.journal().len();
        let (code, summary) = office.once();
        assert_eq!((code, summary["delivered"].as_i64()), (Some(75), Some(0)), "{name}: {summary}");
        let said = office.parked("legacy").first().map(|parked| parked.reason.to_string());
        let said = said.or_else(|| summary["leftOff"][0].as_str().map(str::to_owned));
        assert!(said.is_some_and(|said| said.len() > 10), "{name}: {summary}");
        target.behave();
        wait(name, || office.once().0 == Some(0));
        let journal = target.journal();
        let entries: Vec<_> = journal.iter().skip(before).collect();
        assert!(entries.len() >= 2 && all_the_same(entries.iter().copied()), "{name}: {entries:#?}");
        assert_eq!(body(entries[0])["minutes"], round);
    }
    office.judge("legacy", &target);
}

#[test]
fn an_endless_answer_is_cut_off_and_its_status_counts() {
    let target = Receiver::start();
    target.next(Scenario::named("huge_body"));
    let office = Office::with(&target, "", THREE);
    assert_eq!(office.once().0, Some(0));
    assert_eq!((target.journal().len(), committed(&target.journal())), (3, 3));
    office.judge("legacy", &target);
}

#[test]
fn what_no_thread_could_be_had_for_is_noted_as_unsent_and_sent_later() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let target = Receiver::start();
    let office = Office::with(&target, "where: minutes < 60", "INSERT INTO visits VALUES (1, 'Ada', 90)");
    let agent = office.agent();
    // What is not wanted is passed over: all is open that the agent needs, but for the way to the target. And nothing is open
    // that it will close again: the archive has its key, and the first look through the state file is over.
    office.wait_settled("legacy");
    wait("the archive has a key", || office.kept().iter().any(|path| path.extension().is_some_and(|end| end == "key")));
    agent.says("the state file is whole");
    let open: Vec<u64> = std::fs::read_dir(format!("/proc/{}/fd", agent.pid()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    let none_left = (0..).find(|number| !open.contains(number)).unwrap();
    let pid = Pid::from_raw(i32::try_from(agent.pid()).unwrap());
    let maximum = getrlimit(Resource::Nofile).maximum;
    let before = prlimit(pid, Resource::Nofile, Rlimit { current: Some(none_left), maximum }).unwrap();
    office.sql("INSERT INTO visits VALUES (2, 'Bea', 20)");
    agent.says("no thread to send with");
    prlimit(pid, Resource::Nofile, before).unwrap();
    target.wait("it is sent later", |journal| committed(journal) == 1);
    office.wait_settled("legacy");
    agent.stop();
    let events = office.events();
    let attempts = office.attempts("legacy", &events);
    let lines = &attempts[&events[1].id];
    let classes: Vec<&str> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Outcome { settled, .. } => Some(&*settled.class),
            Line::Intent { .. } => None,
        })
        .collect();
    assert_eq!(lines.len(), 2 * classes.len(), "each intent has its outcome: {lines:#?}");
    assert!(classes.contains(&"unsent"), "{lines:#?}");
    office.judge("legacy", &target);
}
