//! The service manager hears when the agent is ready, and signs of life only as long as it gets on or has nothing to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use crate::support::journal::committed;
use crate::support::office::{Agent, Office, PATIENCE, THREE};
use crate::support::receiver::Receiver;

/// What a service manager listens on.
struct Manager(UnixDatagram);

impl Manager {
    /// Hears the next word; none when nothing was said for so long.
    fn hears_within(&self, time: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(time)).unwrap();
        let mut bytes = [0; 256];
        match self.0.recv(&mut bytes) {
            Ok(length) => Some(String::from_utf8(bytes[..length].to_vec()).unwrap()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until this is said.
    #[track_caller]
    fn hears(&self, word: &str) {
        let began = Instant::now();
        while self.hears_within(PATIENCE).as_deref() != Some(word) {
            assert!(began.elapsed() < PATIENCE, "{word} was never said");
        }
    }

    /// Waits until nothing is said any more: for thirty times as long as between two signs of life.
    #[track_caller]
    fn hears_nothing_more(&self) {
        let began = Instant::now();
        while self.hears_within(Duration::from_secs(3)).is_some() {
            assert!(began.elapsed() < PATIENCE, "it goes on saying that it is alive");
        }
    }
}

/// An agent under a service manager that wants a sign of life every 400 ms.
fn managed(office: &Office) -> (Manager, Agent) {
    let path = office.folder().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
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
    (0..5).for_each(|_| manager.hears("WATCHDOG=1"));
    agent.signal(Signal::HUP);
    for word in ["RELOADING=1", "READY=1", "WATCHDOG=1"] {
        manager.hears(word);
    }
    // A target that takes its time, or is down, is no reason to restart this.
    target.close();
    office.sql("UPDATE visits SET minutes = 50 WHERE id = 1");
    agent.says("the endpoint is down");
    (0..5).for_each(|_| manager.hears("WATCHDOG=1"));
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
