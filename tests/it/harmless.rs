//! The application is never harmed: what it would not meet without an agent beside it, it does not meet with one.

use std::time::{Duration, Instant};

use hms_sync::store::capture::{Access, CapturedLog, Due, WatchSpec};
use rusqlite::{Connection, ErrorCode};

use crate::support::journal::committed;
use crate::support::office::{Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// Writes of the test beside a drain.
const WRITES: u32 = 100_000;
/// Beside an application that never pauses the agent writes so seldom (`SELDOM` in `engine/keeper/tidy.rs`).
const SELDOM: Duration = Duration::from_secs(25);
/// A pause of the application's in which the agent may write.
const GAP: Duration = Duration::from_millis(250);

/// SQLite's `data_version`: moves when another connection, that is the agent's, has committed.
fn version(app: &Connection) -> i64 {
    app.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap()
}

/// A backlog of so many events in one statement.
fn backlog(events: u32) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < {events} + 99)
         INSERT INTO visits SELECT i, 'Ada', i FROM n;"
    )
}

#[test]
fn an_application_that_waits_for_no_lock_writes_beside_a_drain_as_if_it_were_alone() {
    let target = Receiver::start();
    let office = Office::with(&target, "", &format!("{THREE}{}", backlog(2_000)));
    let app = office.app();
    let agent = office.agent();
    target.wait("the drain has begun", |journal| !journal.is_empty());
    let mut write = app.prepare("UPDATE visits SET minutes = ?1 WHERE id = 1").unwrap();
    let mut seen = version(&app);
    let (mut refused, mut commits, mut pauses) = (0_u32, 0_u32, 0_u32);
    let began = Instant::now();
    let mut last = began;
    for number in 0..WRITES {
        let mut met = false;
        while let Err(error) = write.execute([number]) {
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy), "{error}");
            met = true;
        }
        refused += u32::from(met);
        let now = version(&app);
        commits += u32::from(now != seen);
        seen = now;
        // A machine that is busy otherwise can hold up the application itself: then the agent may take it for idle.
        pauses += u32::from(last.elapsed() >= GAP);
        last = Instant::now();
    }
    let arrived = target.journal().len();
    assert!(arrived > 100, "only {arrived} requests: this was no drain");
    let often = 1 + pauses + u32::try_from(began.elapsed().as_secs() / SELDOM.as_secs()).unwrap();
    let told = format!("in {:?}, {pauses} pauses: {refused} writes refused, {commits} commits", began.elapsed());
    assert!(commits <= often, "the agent wrote oftener than {often} times {told}");
    assert!(refused <= often, "{told}");
    agent.kill();
}

#[test]
fn a_start_and_a_reload_write_nothing_into_a_file_that_is_watched_already() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    // The first run makes the file this agent's own and acknowledges what is there.
    assert_eq!(office.once().0, Some(0));
    let app = office.app();
    // It holds the lock for as long as it likes: whoever starts now must do without.
    app.execute_batch("BEGIN IMMEDIATE; UPDATE visits SET minutes = 0").unwrap();
    let agent = office.agent();
    agent.signal(rustix::process::Signal::HUP);
    agent.says("reloaded");
    agent.stop();
    let once = office.run(&["run", "--once"]);
    assert!(once.code == Some(0) && !once.stderr.contains("locked"), "{once:?}");
    app.execute_batch("COMMIT").unwrap();
    assert_eq!(office.once().0, Some(0));
    assert_eq!(committed(&target.journal()), 6);
}

#[test]
fn deliveries_of_earlier_events_go_on_through_a_long_write_transaction_of_the_application() {
    let target = Receiver::start();
    // Two of them need a second attempt, which falls due while the application writes.
    for _ in 0..2 {
        target.next(Scenario::status(503, ""));
    }
    let office = Office::with(&target, "", &backlog(400));
    let agent = office.agent();
    target.wait("the drain has begun", |journal| !journal.is_empty());
    let app = office.app();
    app.execute_batch("BEGIN IMMEDIATE; UPDATE visits SET minutes = minutes + 1000 WHERE id < 110").unwrap();
    target.wait("what was committed before arrives", |journal| committed(journal) == 400);
    office.wait_settled("legacy");
    app.execute_batch("UPDATE visits SET minutes = minutes + 1000 WHERE id < 110; COMMIT").unwrap();
    target.wait("what was committed now arrives", |journal| committed(journal) == 420);
    office.wait_settled("legacy");
    wait("and then it is acknowledged", || acked(&office) == office.highest());
    assert!(!agent.said().contains("locked"), "{}", agent.said());
    agent.stop();
}

fn acked(office: &Office) -> i64 {
    office.app().query_row("SELECT acked FROM hms_sync_ctl", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_busy_file_is_tended_later_and_an_idle_one_at_once() {
    let office = Office::visits();
    let mut log = CapturedLog::open("office", &office.database(), Access::Write).unwrap();
    log.install(&[WatchSpec::table("visits")]).unwrap();
    office.sql(&backlog(700));
    let app = office.app();
    let due = Due { acked: Some(600), cap: Some(5_000), below: Some(600), rows: 1_000 };
    app.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(log.tend(&due).unwrap(), None);
    app.execute_batch("COMMIT").unwrap();
    let before = version(&app);
    assert_eq!(log.tend(&due).unwrap().unwrap().pruned, 500);
    assert_ne!(version(&app), before);
    assert_eq!(log.valve().unwrap(), (600, 5_000));
    // Nothing is due: nothing is written.
    let before = version(&app);
    assert!(log.tend(&Due::default()).unwrap().is_some());
    assert_eq!(version(&app), before);
    // The highest row stays.
    assert_eq!(log.tend(&Due { below: Some(i64::MAX), rows: 500, ..Due::default() }).unwrap().unwrap().pruned, 199);
    assert_eq!((log.lowest_seq().unwrap(), log.highest_seq().unwrap()), (700, 700));
}

#[test]
fn what_has_grown_old_is_pruned_to_its_end_though_the_application_writes_no_more() {
    let target = Receiver::start();
    let office = Office::visits();
    office.add_settings("retention: {events: 1s}");
    office.rest("legacy", &target, "");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(&backlog(2_000));
    let app = office.app();
    let agent = office.agent();
    target.wait("all arrives", |journal| committed(journal) == 2_000);
    office.wait_settled("legacy");
    wait("it is old", || {
        let age = "SELECT (julianday('now') - max(at)) * 86400.0 FROM hms_sync_outbox";
        app.query_row(age, [], |row| row.get::<_, f64>(0)).unwrap() > 1.0
    });
    // One more change, which is not old for now; the shadow follows the log at the same occasion.
    office.sql("UPDATE visits SET minutes = minutes + 1 WHERE id = 100");
    let rows = || -> (i64, i64) {
        let sql = "SELECT count(*), max(seq) FROM hms_sync_outbox";
        app.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    wait("all but the highest row is pruned", || {
        assert_eq!(rows().1, 2_001, "the highest row stays");
        rows().0 == 1
    });
    agent.stop();
}

/// The `nice` value of a process and of each of its threads (`proc_pid_stat(5)`, field 19).
fn nice(pid: u32) -> std::collections::BTreeSet<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let value = |stat: String| stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(16).unwrap().parse();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).ok())
        .map(|stat| value(stat).unwrap())
        .collect()
}

#[test]
fn the_agent_stands_back_behind_the_application_unless_it_was_told_where_to_stand() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let agent = office.agent();
    target.wait("it delivers", |journal| committed(journal) == 3);
    let own = nice(std::process::id()).into_iter().next().unwrap();
    assert_eq!(nice(agent.pid()), [if own == 0 { 10 } else { own }].into(), "all of its threads");
    agent.stop();
    let mut command = std::process::Command::new("nice");
    let run = office.command(&["-v", "run"]);
    command.args(["-n", "3"]).arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let agent = crate::support::office::Agent::start(command);
    agent.says("running: ");
    assert_eq!(nice(agent.pid()), [own + 3].into());
    agent.stop();
}
