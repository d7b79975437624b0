//! Kills, dead channels and days.

use std::fs;
use std::time::{Duration, Instant};

use super::{QUICK, lines, refusing, words};
use crate::support::faketime::under;
use crate::support::journal::committed;
use crate::support::office::{Agent, Office, THREE, wait};
use crate::support::receiver::{Door, Receiver};
use crate::support::scenario::{End, Scenario, json};

fn office(target: &Receiver, hook: &Receiver) -> Office {
    refusing(target, &["/visits/1"]);
    let office = Office::with(target, "", THREE);
    office.add_settings(QUICK);
    office.add_settings(&format!(
        "alerts: [{{type: webhook, name: ops, url: \"{}\", tls: {{ca: {}}}}}]",
        hook.url("/hook"),
        hook.ca.file().display()
    ));
    office
}

#[test]
fn what_was_not_told_before_a_kill_is_told_after_it_and_what_was_is_not_told_again() {
    let (target, hook) = (Receiver::start(), Receiver::start());
    let office = office(&target, &hook);
    hook.close();
    let agent = office.agent();
    agent.says("[OF042] dead-letters: legacy");
    agent.says("ops cannot be told");
    agent.kill();
    hook.reopen();
    let agent = office.agent();
    hook.wait("it is told after the kill", |journal| journal.len() == 1);
    let owed = || {
        let mut reader = office.reader();
        reader.read(hms_sync::store::state::alert::owed).unwrap()
    };
    wait("that is written down", || owed().is_empty());
    agent.kill();
    let agent = office.agent();
    // Another alert is told, and the first one is not: they would come in this order.
    office.sql("DROP TABLE visits");
    let journal = hook.wait("the next one is told", |journal| journal.len() >= 2);
    let bodies: Vec<serde_json::Value> =
        journal.iter().map(|entry| serde_json::from_slice(&entry.body).unwrap()).collect();
    assert_eq!(words(&bodies), ["opened dead-letters legacy", "opened capture office"]);
    assert!(!agent.said().contains("dead-letters"), "{}", agent.said());
    agent.stop();
}

#[test]
fn a_channel_that_hangs_holds_up_no_delivery_no_other_channel_and_no_stop() {
    let (target, hook) = (Receiver::start(), Receiver::start());
    let office = office(&target, &hook);
    hook.door(Door::Stall);
    let file = office.folder().join("alerts.jsonl");
    let sync = office.config().join("sync.yaml");
    let text = fs::read_to_string(&sync).unwrap();
    fs::write(&sync, text.replace("alerts: [", &format!("alerts: [{{type: file, path: {}}}, ", file.display())))
        .unwrap();
    let agent = office.agent();
    wait("the hook is being told", || hook.connections() > 0);
    wait("the file is told", || lines(&file).len() == 1);
    office.sql("INSERT INTO visits VALUES (7, 'Gil', 1)");
    target.wait("a delivery goes on", |journal| committed(journal) >= 3);
    let began = Instant::now();
    agent.stop();
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_hundred_dead_letters_are_one_alert_and_a_dead_channel_is_owed_one_notice() {
    let (target, hook) = (Receiver::start(), Receiver::start());
    // One in three: five in a row would halt the connector.
    target.meet(|entry| {
        let id: u64 = entry.path.rsplit('/').next().unwrap().parse().unwrap();
        id.is_multiple_of(3).then(|| Scenario::named("status_422"))
    });
    let office = Office::with(&target, "", "");
    office.add_settings(QUICK);
    office.add_settings(&format!(
        "alerts: [{{type: webhook, name: ops, url: \"{}\", tls: {{ca: {}}}}}]",
        hook.url("/hook"),
        hook.ca.file().display()
    ));
    hook.close();
    let agent = office.agent();
    office.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO visits SELECT i, 'x', i FROM n");
    wait("all are dead", || office.parked("legacy").len() == 100);
    let open = || office.reader().read(hms_sync::engine::alarm::open).unwrap();
    wait("one alert has them all", || open().iter().any(|alert| alert.count == Some(100)));
    // That the channel fails is an alert as well, for the others to be told of: itself it is owed this one alone.
    let dead = open().into_iter().filter(|alert| alert.condition == "dead-letters").count();
    assert_eq!((dead, office.reader().read(hms_sync::store::state::alert::owed).unwrap().len()), (1, 1));
    agent.stop();
}

#[test]
fn an_alert_is_told_again_after_an_hour_and_each_day_also_when_the_agent_was_off_meanwhile() {
    let target = Receiver::start();
    refusing(&target, &["/visits/1"]);
    let office = Office::with(&target, "", THREE);
    let file = office.folder().join("alerts.jsonl");
    office.add_settings(QUICK);
    office.add_settings(&format!("alerts: [{{type: file, path: {}, on: [dead-*]}}]", file.display()));
    let time = office.folder().join("time");
    let set = |text: &str| fs::write(&time, format!("{text}\n")).unwrap();
    let start = || {
        let mut command = under(&office.command(&["-v", "run"]));
        command.env("FAKETIME_TIMESTAMP_FILE", &time).env("FAKETIME_NO_CACHE", "1");
        let agent = Agent::start(command);
        agent.says("running: ");
        agent
    };
    set("+0");
    let agent = start();
    wait("it is opened", || lines(&file).len() == 1);
    set("+61m");
    wait("it is told again after an hour", || lines(&file).len() == 2);
    agent.stop();
    set("+25h");
    let agent = start();
    wait("and after a day", || lines(&file).len() == 3);
    set("+50h");
    wait("and each day", || lines(&file).len() == 4);
    agent.stop();
    let told = words(&lines(&file));
    assert_eq!(told[0], "opened dead-letters legacy");
    assert!(told[1..].iter().all(|word| word == "reminded dead-letters legacy"), "{told:?}");
}

#[test]
fn a_certificate_that_a_target_has_shown_is_told_before_it_ends() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    // The certificates of the tests end in the year 4096: in so many days.
    let file = office.folder().join("alerts.jsonl");
    office.add_settings("alertAfter: {check: 1s, certificate: 1000000d, diskFree: 1}");
    office.add_settings(&format!("alerts: [{{type: file, path: {}}}]", file.display()));
    let agent = office.agent();
    wait("it is told", || !lines(&file).is_empty());
    let told = lines(&file);
    assert_eq!(words(&told), ["opened certificate legacy"]);
    assert_eq!(told[0]["severity"], "warning");
    agent.stop();
}

#[test]
fn a_target_whose_clock_shows_another_time_is_told() {
    let target = Receiver::start();
    let date = "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
    target.meet(move |_| Some(Scenario::answer("dated", true, json(200, date, "{}"), End::Keep)));
    let office = Office::with(&target, "", THREE);
    let file = office.folder().join("alerts.jsonl");
    // The first minutes after a start say nothing of clocks that were wrong before it; what is found is told at once.
    office.add_settings(QUICK);
    office.add_settings(&format!("alerts: [{{type: file, path: {}}}]", file.display()));
    let agent = office.agent();
    wait("it is told", || !lines(&file).is_empty());
    assert_eq!(words(&lines(&file)), ["opened clock host"]);
    let what = lines(&file)[0]["what"].as_str().unwrap().to_owned();
    assert!(
        what.starts_with("targets show another time than this machine: legacy by ") && what.ends_with(" s behind"),
        "{what}"
    );
    agent.stop();
}
