//! How a run starts, reloads and ends, shown of the shipped binary.

use rustix::process::Signal;

use crate::support::journal::{all_the_same, at, body, committed};
use crate::support::office::{Agent, Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

#[test]
fn one_run_ends_with_0_when_all_is_delivered_1_when_something_is_refused_75_when_the_target_is_down() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    target.close();
    let (code, summary) = office.once();
    assert_eq!((code, summary["delivered"].as_i64()), (Some(75), Some(0)), "{summary}");
    assert!(summary["leftOff"][0].as_str().unwrap().starts_with("legacy: "), "{summary}");
    target.reopen();
    wait("the next run delivers", || office.once().0 == Some(0));
    assert_eq!(committed(&target.journal()), 1);
    target.next(Scenario::named("refused"));
    office.sql("UPDATE visits SET minutes = 11");
    let (code, summary) = office.once();
    assert_eq!((code, summary["dead"].as_i64()), (Some(1), Some(1)), "{summary}");
    office.judge("legacy", &target);
}

#[test]
fn one_run_delivers_what_a_schedule_would_deliver_later() {
    let target = Receiver::start();
    let office = Office::with(&target, "schedule: \"0 0 1 1 *\"", THREE);
    assert_eq!(office.once().0, Some(0));
    assert_eq!(committed(&target.journal()), 3);
    office.judge("legacy", &target);
}

#[test]
fn a_second_agent_is_refused_and_told_who_runs() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let agent = office.agent();
    for arguments in [&["run"][..], &["run", "--once"]] {
        let second = office.run(arguments);
        assert_eq!(second.code, Some(75), "{second:?}");
        assert!(second.stderr.contains(&format!("process {}", agent.pid())), "{second:?}");
    }
    agent.kill();
    assert_eq!(office.once().0, Some(0), "a kill leaves nothing locked");
}

#[test]
fn a_broken_configuration_is_refused_at_reload_and_the_old_one_kept() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    let good = std::fs::read_to_string(office.config().join("connectors/legacy.yaml")).unwrap();
    let agent = office.agent();
    let broken = [
        ("connectors/legacy.yaml", "target: {urll: https://legacy.test/}\n".to_owned(), "urll"),
        ("sync.yaml", "database: [\n".to_owned(), "sync.yaml"),
        ("sync.yaml", "database: ../app/other.db\nstate: ../state/state.db\n".to_owned(), "other.db"),
        ("connectors/legacy.yaml", good.replace("ca.pem", "gone.pem"), "gone.pem"),
    ];
    for (at, (file, text, names)) in (1..).zip(broken) {
        let path = office.config().join(file);
        let before = std::fs::read(&path).unwrap();
        std::fs::write(&path, text).unwrap();
        agent.signal(Signal::HUP);
        wait("it says so", || agent.said().matches("not reloaded").count() == at);
        let said = agent.said();
        let before_it = said.rsplit("not reloaded").nth(1).unwrap();
        assert!(before_it.contains(names) && !before_it.contains("\\n"), "{before_it}");
        std::fs::write(&path, before).unwrap();
        office.sql("UPDATE visits SET minutes = minutes + 1");
        target.wait("it delivers as before", |journal| committed(journal) == at + 1);
    }
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn a_stop_waits_for_a_request_in_flight_and_no_longer_than_it_may() {
    let target = Receiver::start();
    target.next(Scenario::named("commit_hang"));
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    let agent = office.agent();
    target.wait("it arrives", |journal| journal.len() == 1);
    agent.stop();
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    assert!(journal.len() == 2 && all_the_same(&journal), "{journal:#?}");
    office.judge("legacy", &target);
}

#[test]
fn a_stop_is_told_when_it_begins_and_when_it_is_over() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let mut agent = office.agent();
    office.wait_settled("legacy");
    agent.signal(Signal::TERM);
    agent.says("stopping: ");
    agent.says("stopped");
    assert_eq!(agent.wait().code(), Some(0));
}

#[test]
fn a_second_stop_ends_it_at_once_and_nothing_is_lost() {
    let target = Receiver::start();
    target.next(Scenario::named("commit_hang"));
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    let mut agent = office.agent();
    target.wait("it arrives", |journal| journal.len() == 1);
    agent.signal(Signal::TERM);
    agent.signal(Signal::INT);
    agent.wait();
    assert_eq!(office.once().0, Some(0));
    assert!(all_the_same(&target.journal()));
    office.judge("legacy", &target);
}

#[test]
fn one_run_says_that_the_target_asked_to_wait() {
    let target = Receiver::start();
    target.next(Scenario::status(429, "Retry-After: 3600\r\n"));
    let office = Office::with(&target, "concurrency: 1", THREE);
    let (code, summary) = office.once();
    assert_eq!((code, summary["delivered"].as_i64(), target.journal().len()), (Some(75), Some(0), 1));
    assert!(summary["leftOff"][0].as_str().unwrap().contains("asked to wait"), "{summary}");
}

#[test]
fn an_agent_whose_database_is_taken_over_leaves_it_alone_and_ends_with_77() {
    let (target, other_target) = (Receiver::start(), Receiver::start());
    let office = Office::with(&target, "", THREE);
    let mut first = office.agent();
    office.wait_settled("legacy");
    // Another agent, with a configuration and a state file of its own, for the same database.
    let second = Office::visits();
    let (database, state) = (office.database(), second.state());
    let settings = format!("database: {}\nstate: {}\nwatch: {{visits: {{}}}}\n", database.display(), state.display());
    std::fs::write(second.config().join("sync.yaml"), settings).unwrap();
    second.rest("legacy", &other_target, "");
    let refused = second.run(&["run"]);
    assert_eq!(refused.code, Some(77), "{refused:?}");
    let taken = Agent::start(second.command(&["-v", "run", "--take-over"]));
    taken.says("running: ");
    assert_eq!(first.wait().code(), Some(77), "{}", first.said());
    assert!(first.said().contains("captured by another agent"), "{}", first.said());
    // The first is started again and again, as a service manager does it: the other never notices.
    let epochs = || -> i64 {
        let count = "SELECT count(*) FROM hms_sync_meta WHERE k LIKE 'epoch/%'";
        office.app().query_row(count, [], |row| row.get(0)).unwrap()
    };
    let before = epochs();
    for _ in 0..3 {
        assert_eq!(office.run(&["run"]).code, Some(77));
    }
    office.sql("UPDATE visits SET minutes = 99 WHERE id = 1");
    other_target.wait("the second delivers", |journal| {
        at(journal, "/visits/1").last().is_some_and(|entry| body(entry)["minutes"] == 99)
    });
    assert_eq!((epochs(), before), (2, 2), "one take-over, one new epoch");
    let heard = at(&target.journal(), "/visits/1").len();
    assert_eq!(heard, 1, "the first delivers no more");
    taken.stop();
}

#[test]
fn a_reload_without_the_settings_is_refused_and_the_agent_goes_on() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let agent = office.agent();
    agent.says("running");
    let (settings, away) = (office.config().join("sync.yaml"), office.folder().join("away.yaml"));
    std::fs::rename(&settings, &away).unwrap();
    agent.signal(Signal::HUP);
    agent.says("names another state file");
    std::fs::rename(&away, &settings).unwrap();
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10)");
    target.wait("it still delivers", |journal| committed(journal) == 1);
    agent.stop();
    office.judge("legacy", &target);
}

#[test]
fn what_the_agent_makes_is_its_owners_alone_also_in_an_open_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let state = office.state();
    let _ = std::fs::remove_dir_all(state.parent().unwrap());
    std::fs::create_dir_all(state.parent().unwrap()).unwrap();
    std::fs::set_permissions(state.parent().unwrap(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(office.once().0, Some(0));
    for file in office.kept() {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.display());
    }
}
