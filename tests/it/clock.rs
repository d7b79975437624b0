//! A wrong clock costs no event its place, no retry its time and no history: the agent doubts it and says so.
//!
//! libfaketime plays the clock (Debian's package `faketime`); only what the agent sees is set, and the monotonic clock runs
//! on as it does on a real machine whose clock is set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use hms_sync::store::state::connector::Mode;

use crate::support::ca::Leaf;
use crate::support::faketime::under;
use crate::support::journal::at;
use crate::support::office::{Agent, Office, THREE, wait};
use crate::support::receiver::{Door, Receiver};
use crate::support::scenario::{End, Scenario, json};

/// A clock that can be set while the agent runs.
struct Clock(PathBuf);

impl Clock {
    /// `+0`: as it is; `+10y`; `@2001-09-09 01:46:40`.
    fn new(office: &Office, time: &str) -> Clock {
        let clock = Clock(office.folder().join("clock"));
        clock.set(time);
        clock
    }

    fn set(&self, time: &str) {
        fs::write(&self.0, format!("{time}\n")).unwrap();
    }

    /// The agent, under this clock.
    fn agent(&self, office: &Office) -> Agent {
        let agent = Agent::start(self.sees(&office.command(&["-v", "run"])));
        agent.says("running: ");
        agent
    }

    fn sees(&self, plain: &Command) -> Command {
        let mut command = under(plain);
        command.env("FAKETIME_TIMESTAMP_FILE", &self.0).env("FAKETIME_NO_CACHE", "1");
        command
    }
}

const LONG_AGO: &str = "@2001-09-09 01:46:40";

#[test]
fn due_retries_outlive_jumps_of_the_clock_both_ways_and_restarts() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let busy = Arc::new(AtomicBool::new(true));
    let still = busy.clone();
    target.meet(move |entry| (entry.path == "/visits/1" && still.load(SeqCst)).then(|| Scenario::status(503, "")));
    let clock = Clock::new(&office, "+0");
    let agent = clock.agent(&office);
    let goes_on = |what: &str| {
        let before = at(&target.journal(), "/visits/1").len();
        // Another record gets through now and then, so that it is the record that is retried and not the endpoint probed.
        wait(what, || {
            office.sql("UPDATE visits SET minutes = minutes + 1 WHERE id = 2");
            std::thread::sleep(std::time::Duration::from_millis(20));
            at(&target.journal(), "/visits/1").len() >= before + 3
        });
    };
    goes_on("it is tried again");
    wait("it is parked", || office.parked_words("legacy").iter().any(|word| word.starts_with("waiting")));
    clock.set("+10y");
    goes_on("it is tried again ten years on");
    clock.set(LONG_AGO);
    goes_on("it is tried again a quarter of a century before");
    agent.kill();
    // Due times were stored under all three clocks.
    for time in [LONG_AGO, "+10y", LONG_AGO, "+0"] {
        clock.set(time);
        let agent = clock.agent(&office);
        goes_on(&format!("it is tried again after a start at {time}"));
        agent.kill();
    }
    busy.store(false, SeqCst);
    let agent = clock.agent(&office);
    office.wait_settled("legacy");
    assert_eq!(at(&target.journal(), "/visits/1").iter().filter(|entry| entry.committed).count(), 1);
    agent.stop();
}

#[test]
fn a_clock_set_forward_makes_no_history_old() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let clock = Clock::new(&office, "+0");
    let agent = clock.agent(&office);
    office.wait_settled("legacy");
    clock.set("+10y");
    tidied(&office);
    let kept: i64 = office.app().query_row("SELECT count(*) FROM hms_sync_outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 5);
    agent.stop();
}

#[test]
fn a_clock_from_before_the_build_is_told_and_is_to_blame_for_certificates() {
    let target = Receiver::start();
    target.door(Door::Tls(Leaf::Expired));
    let office = Office::with(&target, "", THREE);
    let clock = Clock::new(&office, LONG_AGO);
    let agent = clock.agent(&office);
    agent.says("clock=suspect");
    wait("the connector halts", || office.mode("legacy").0 == Mode::Halted);
    let reason = office.mode("legacy").1.unwrap();
    assert_eq!(reason.class, "clock", "{reason}");
    assert!(reason.text.contains("2001-09-09") && reason.text.contains("not valid before 2019"), "{reason}");
    let status = clock.sees(&office.command(&["status"])).output().unwrap();
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(status.status.code() == Some(1) && text.contains("clock: the clock shows 2001-09-09"), "{text}");
    // Capture goes on, and the clock that is set is believed again.
    office.sql("UPDATE visits SET minutes = 50 WHERE id = 1");
    clock.set("+0");
    target.door(Door::Tls(Leaf::Good));
    office.sql("UPDATE visits SET minutes = 51 WHERE id = 1");
    agent.says("the clock is believed again");
    assert_eq!(office.run(&["sync", "legacy"]).code, Some(0));
    office.wait_settled("legacy");
    agent.stop();
    // By a clock that is right the same certificate has simply expired.
    target.door(Door::Tls(Leaf::Expired));
    office.sql("UPDATE visits SET minutes = 52 WHERE id = 1");
    assert_eq!(office.once().0, Some(75));
    assert_eq!(office.mode("legacy").1.unwrap().class, "tls");
}

/// Every answer shows the time as it is.
fn shows_the_time(target: &Receiver) {
    target.meet(|_| {
        let date = jiff::fmt::strtime::format(
            "%a, %d %b %Y %H:%M:%S GMT",
            &jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC),
        );
        let answer = json(200, &format!("Date: {}\r\n", date.unwrap()), "{}");
        Some(Scenario::answer("dated", true, answer, End::Keep))
    });
}

/// Once it has tidied, what is old by its clock is gone.
fn tidied(office: &Office) {
    // Tidying writes the acknowledged position first, then prunes: twice, so that one of them is over.
    for minutes in [50, 51] {
        office.sql(&format!("UPDATE visits SET minutes = {minutes} WHERE id = 1"));
        office.wait_settled("legacy");
        let highest = office.highest();
        wait("it has tidied", || {
            let acked = "SELECT acked FROM hms_sync_ctl";
            office.app().query_row(acked, [], |row| row.get::<_, i64>(0)).unwrap() >= highest
        });
    }
}

#[test]
fn an_agent_that_starts_years_ahead_deletes_no_history_and_with_a_right_clock_recovers_at_the_first_answer() {
    let target = Receiver::start();
    shows_the_time(&target);
    let office = Office::with(&target, "", THREE);
    let clock = Clock::new(&office, "+10y");
    let agent = clock.agent(&office);
    office.wait_settled("legacy");
    tidied(&office);
    agent.says("far ahead of all that is known");
    let kept: i64 = office.app().query_row("SELECT count(*) FROM hms_sync_outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 5, "nothing is old by a clock that nobody has confirmed");
    agent.stop();
    // What it has recorded lies ten years ahead of the clock that is right now.
    let status = office.run(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("clock: the clock shows"), "{status:#?}");
    clock.set("+0");
    let agent = clock.agent(&office);
    agent.says("clock=suspect");
    office.sql("UPDATE visits SET minutes = 52 WHERE id = 1");
    agent.says("the clock is believed again");
    wait("status is at peace", || office.run(&["status"]).code == Some(0));
    agent.stop();
    let agent = clock.agent(&office);
    tidied(&office);
    assert_eq!(office.run(&["status"]).code, Some(0), "and the next start knows");
    assert!(!agent.said().contains("clock=suspect"), "{}", agent.said());
    agent.stop();
}
