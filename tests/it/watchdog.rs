//! The service manager hears when the agent is ready, and signs of life only as long as it gets on or has nothing to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::drops::nightly::Nightly;
use crate::support::journal::committed;
use crate::support::notified::Manager;
use crate::support::office::{Agent, Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::strace::{files_of, traced};

/// An agent under a service manager that wants a sign of life every 400 ms.
fn managed(office: &Office) -> (Manager, Agent) {
    let path = office.folder().join("notify");
    let manager = Manager::at(&path);
    let mut command = office.command(&["-v", "run"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    (manager, Agent::start(command))
}

#[test]
fn it_says_when_it_is_ready_reloads_and_stops_and_is_alive_while_idle_and_while_the_target_is_slow() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    office.rest("second", &target, "listen: nothing");
    let (manager, agent) = managed(&office);
    manager.hears("READY=1");
    office.wait_settled("legacy");
    (0..5).for_each(|_| drop(manager.hears("WATCHDOG=1")));
    agent.signal(Signal::HUP);
    for word in ["RELOADING=1", "READY=1", "WATCHDOG=1"] {
        manager.hears(word);
    }
    // A target that takes its time, or is down, is no reason to restart this.
    target.close();
    office.sql("UPDATE visits SET minutes = 50 WHERE id = 1");
    agent.says("the endpoint is down");
    (0..5).for_each(|_| drop(manager.hears("WATCHDOG=1")));
    target.reopen();
    agent.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    agent.stop();
}

#[test]
fn no_sign_of_life_is_given_while_nothing_can_be_recorded_and_it_is_given_again_afterwards() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    office.rest("second", &target, "listen: nothing");
    let (manager, agent) = managed(&office);
    manager.hears("WATCHDOG=1");
    // Somebody keeps the state file for himself: the one worker that has something to do is stuck, the other is idle.
    let thief = Connection::open(office.state()).unwrap();
    thief.busy_timeout(Duration::from_secs(10)).unwrap();
    thief.execute_batch("BEGIN IMMEDIATE").unwrap();
    office.sql(THREE);
    manager.hears_nothing_more();
    assert_eq!(committed(&target.journal()), 0, "nothing is sent that cannot be recorded");
    thief.execute_batch("ROLLBACK").unwrap();
    target.wait("it goes on", |journal| committed(journal) == 3);
    manager.hears("WATCHDOG=1");
    agent.stop();
}

#[test]
fn no_sign_of_life_is_given_while_the_disk_does_not_answer() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let (manager, agent) = managed(&office);
    manager.hears("WATCHDOG=1");
    // Each sync of the state file takes ten minutes from now on.
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e"]);
    strace.arg("inject=fsync,fdatasync:delay_enter=600000000");
    for file in files_of(&office.state()) {
        strace.arg("-P").arg(file);
    }
    strace.args(["-p", &agent.pid().to_string()]).stdin(Stdio::null()).stderr(Stdio::null());
    let mut strace = strace.spawn().unwrap();
    wait("strace has every thread", || traced(agent.pid()));
    office.sql(THREE);
    manager.hears_nothing_more();
    assert_eq!(committed(&target.journal()), 0, "nothing is sent that is not recorded");
    strace.kill().unwrap();
    strace.wait().unwrap();
    // Whoever waits in a stopped call goes on without strace.
    target.wait("it goes on", |journal| committed(journal) == 3);
    manager.hears("WATCHDOG=1");
    agent.stop();
}

#[test]
fn an_agent_that_makes_files_alone_gives_signs_of_life_too() {
    let nightly = Nightly::new(&[]);
    let (manager, agent) = managed(&nightly.office);
    manager.hears("READY=1");
    (0..5).for_each(|_| drop(manager.hears("WATCHDOG=1")));
    agent.stop();
}
