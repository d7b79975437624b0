//! SIGHUP: a configuration is put in place of another while the agent runs, and nothing is lost or doubled by it; what cannot
//! be used is told with file and line, and the old one goes on.

use rustix::process::Signal;

use crate::support::journal::{all_the_same, committed};
use crate::support::notified::Manager;
use crate::support::office::{Agent, Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// An agent under a service manager.
fn managed(office: &Office) -> (Manager, Agent) {
    let path = office.folder().join("notify");
    let manager = Manager::at(&path);
    let mut command = office.command(&["-v", "run"]);
    command.env("NOTIFY_SOCKET", &path).env_remove("WATCHDOG_USEC");
    (manager, Agent::start(command))
}

/// So many visits, numbered on from a first.
fn visits(first: u32, count: u32) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first} + {count} - 1)
         INSERT INTO visits SELECT i, 'Ada', i FROM n;"
    )
}

/// What the system's monotonic clock shows, in microseconds.
fn monotonic() -> u128 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u128::try_from(time.tv_sec).unwrap() * 1_000_000 + u128::try_from(time.tv_nsec).unwrap() / 1000
}

#[test]
fn a_refused_reload_is_told_to_the_service_manager_with_file_and_line_until_one_succeeds() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let (manager, agent) = managed(&office);
    manager.hears("READY=1");
    let file = office.config().join("connectors/legacy.yaml");
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, "target:\n  urll: https://legacy.test/\n").unwrap();
    let before = monotonic();
    agent.signal(Signal::HUP);
    let reloading = manager.hears("RELOADING=1");
    let at = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!((before..=monotonic()).contains(&at.parse().unwrap()), "{reloading}");
    // Ready again, as before; what it shows says why.
    let (mut ready, mut told) = (false, false);
    while !(ready && told) {
        let said = manager.hears("");
        ready |= said == "READY=1";
        told |= said.starts_with("STATUS=not reloaded: ") && said.contains("legacy.yaml:2:3: error: ");
    }
    wait("it is said", || agent.said().contains("not reloaded, the old configuration stays"));
    office.sql("UPDATE visits SET minutes = 99");
    target.wait("the old one goes on", |journal| committed(journal) == 6);
    std::fs::write(&file, good).unwrap();
    agent.signal(Signal::HUP);
    manager.hears("RELOADING=1");
    // The one who tells the status is another thread: it may come before or after the agent is ready.
    let (mut ready, mut mended) = (false, false);
    while !(ready && mended) {
        let said = manager.hears("");
        ready |= said == "READY=1";
        mended |= said.starts_with("STATUS=") && !said.contains("not reloaded");
    }
    office.sql("UPDATE visits SET minutes = 100");
    target.wait("it goes on", |journal| committed(journal) == 9);
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn what_passes_the_check_and_cannot_start_leaves_the_old_configuration_running() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let (manager, agent) = managed(&office);
    manager.hears("READY=1");
    office.wait_settled("legacy");
    // Another agent's file, which only the start finds out: it would have to be taken over.
    let other = Office::visits();
    other.rest("legacy", &target, "");
    assert_eq!(other.run(&["run", "--once"]).code, Some(0));
    let settings = office.config().join("sync.yaml");
    let good = std::fs::read_to_string(&settings).unwrap();
    let both = format!("databases: {{office: ../app/office.db, other: {}}}", other.database().display());
    std::fs::write(
        &settings,
        good.replace("database: ../app/office.db", &both).replace("{visits: ", "{office.visits: "),
    )
    .unwrap();
    agent.signal(Signal::HUP);
    agent.says("not reloaded, the old configuration is started again");
    manager.shows("not reloaded: ");
    office.sql("UPDATE visits SET minutes = 99");
    target.wait("the old one goes on", |journal| committed(journal) == 6);
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn a_reload_while_the_target_is_down_takes_place_and_what_waits_is_delivered_by_the_new_one() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let agent = office.agent();
    office.wait_settled("legacy");
    target.close();
    office.sql(&visits(10, 50));
    agent.says("the endpoint is down");
    office.rest("legacy", &target, "concurrency: 2");
    agent.signal(Signal::HUP);
    agent.says("reloaded; running: legacy");
    office.sql(&visits(100, 50));
    target.reopen();
    target.wait("all of it arrives", |journal| committed(journal) == 103);
    office.wait_settled("legacy");
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn a_hundred_reloads_at_once_beside_a_drain_lose_and_double_nothing() {
    let target = Receiver::start();
    let office = Office::with(&target, "", &visits(1, 500));
    let agent = office.agent();
    target.wait("the drain has begun", |journal| !journal.is_empty());
    for number in 0..100 {
        agent.signal(Signal::HUP);
        if number % 10 == 0 {
            office.sql(&visits(1000 + number, 1));
        }
    }
    target.wait("everything arrives", |journal| committed(journal) == 510);
    office.wait_settled("legacy");
    agent.says("reloaded");
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn connectors_that_a_reload_takes_away_renames_and_adds_lose_and_double_nothing_in_flight() {
    let (target, other) = (Receiver::start(), Receiver::start());
    let office = Office::with(&target, "", "");
    office.rest("second", &other, "");
    let agent = office.agent();
    // Requests hang in flight at both when their connectors go.
    target.next(Scenario::named("commit_hang"));
    other.next(Scenario::named("commit_hang"));
    office.sql(&visits(1, 40));
    target.wait("one is in flight", |journal| !journal.is_empty());
    other.wait("one is in flight", |journal| !journal.is_empty());
    let (legacy, second) =
        (office.config().join("connectors/legacy.yaml"), office.config().join("connectors/second.yaml"));
    let away = office.folder().join("away.yaml");
    std::fs::rename(&legacy, &away).unwrap();
    std::fs::rename(&second, office.config().join("connectors/renamed.yaml")).unwrap();
    office.rest("third", &other, "listen: nothing");
    agent.signal(Signal::HUP);
    agent.says("reloaded; running: renamed, third");
    office.sql(&visits(100, 10));
    // The renamed one is a new one: it begins where its `start:` says, under the same keys.
    office.wait_settled("renamed");
    std::fs::rename(&away, &legacy).unwrap();
    agent.signal(Signal::HUP);
    agent.says("reloaded; running: legacy, renamed, third");
    target.wait("what was in flight and what came meanwhile arrives", |journal| committed(journal) >= 50);
    office.wait_settled("legacy");
    agent.stop();
    office.judge("legacy", &target);
    let journal = other.journal();
    for id in (1..41).chain(100..110) {
        let of: Vec<_> = journal.iter().filter(|entry| entry.path == format!("/visits/{id}")).cloned().collect();
        assert!(!of.is_empty() && all_the_same(&of), "{id}: {of:#?}");
    }
}

#[test]
fn a_stop_in_the_midst_of_a_reload_is_in_time_and_begins_nothing_anew() {
    for second in [false, true] {
        let target = Receiver::start();
        target.next(Scenario::named("commit_hang"));
        let office = Office::with(&target, "concurrency: 1", "INSERT INTO visits VALUES (1, 'Ada', 10)");
        let mut agent = office.agent();
        target.wait("it arrives", |journal| journal.len() == 1);
        agent.signal(Signal::HUP);
        // The reload waits for the request that hangs.
        agent.says("reloading: ");
        agent.signal(Signal::TERM);
        if second {
            agent.signal(Signal::TERM);
        }
        assert_eq!(agent.wait().code(), Some(0), "{}", agent.said());
        assert_eq!(agent.said().matches("running: legacy").count(), 1, "{}", agent.said());
        assert_eq!(office.once().0, Some(0));
        assert!(all_the_same(&target.journal()));
        office.judge("legacy", &target);
    }
}

#[test]
fn the_service_manager_shows_how_many_run_wait_and_are_down_and_no_record() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Canary', 10)");
    let (manager, agent) = managed(&office);
    office.wait_settled("legacy");
    manager.shows("1 connector running");
    target.close();
    office.sql("UPDATE visits SET minutes = 11; INSERT INTO visits VALUES (2, 'Canary', 10), (3, 'Canary', 10)");
    agent.says("the endpoint is down");
    let shown = manager.shows("1 down");
    assert!(shown.contains("3 queued") && !shown.contains("Canary"), "{shown}");
    target.reopen();
    let shown = manager.shows("1 connector running");
    assert!(!shown.contains("down") && !shown.contains("queued"), "{shown}");
    agent.stop();
}
