//! The fault comes into a running agent, while the application works.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use super::Met;
use crate::support::journal::committed;
use crate::support::office::{Agent, Office, PATIENCE};
use crate::support::receiver::Receiver;
use crate::support::strace::Strace;
use crate::support::visits::Memory;

/// As long as a running agent may take to be done with a few changes in spite of a fault. Some faults last: then it is
/// stopped in the middle of it.
const LONG: Duration = Duration::from_secs(4);

/// Starts the agent, takes hold of it, lets the application work until everything is delivered and tidied, or the agent
/// has ended, or it has had long enough; then stops it.
pub fn meet(office: &Office, memory: &mut Memory, target: &Receiver, mut strace: Strace) -> Met {
    strace.log = office.folder().join("strace");
    // A lock on a file of this machine can always be given back. Where that fails nobody gets it before the agent ends.
    let locked = strace.injection.as_ref().is_some_and(|injection| injection.call == "fcntl");
    let mut agent = office.agent();
    let mut holder = strace.attach(agent.pid());
    memory.work(office);
    let began = Instant::now();
    let wanted = memory.account.len();
    let mut status = None;
    while status.is_none()
        && began.elapsed() < LONG
        && !(committed(&target.journal()) == wanted && is_tidy(office, locked))
    {
        std::thread::sleep(Duration::from_millis(10));
        status = agent.try_wait();
    }
    if status.is_none() {
        agent.signal(Signal::TERM);
        let told = Instant::now();
        while status.is_none() && told.elapsed() < PATIENCE / 2 {
            std::thread::sleep(Duration::from_millis(10));
            status = agent.try_wait();
        }
    }
    let stderr = said(&agent);
    drop(agent);
    holder.wait().unwrap();
    Met { status, stderr, trace: strace.lines() }
}

/// What it has said after it came up.
fn said(agent: &Agent) -> String {
    let said = agent.said();
    said.split_once("running: ").map_or(said.clone(), |(_, after)| after.to_owned())
}

/// Whether the application's file says that everything is acknowledged.
fn is_tidy(office: &Office, locked: bool) -> bool {
    let sql = "SELECT acked >= (SELECT max(seq) FROM hms_sync_outbox) FROM hms_sync_ctl";
    let app = if locked { Connection::open(office.database()).unwrap() } else { office.app() };
    app.query_row(sql, [], |row| row.get(0)).unwrap_or(false)
}
