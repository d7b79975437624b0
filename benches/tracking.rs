//! One record among very many events: how long `status TYPE KEY` takes, as a process of its own, when the log has ten million
//! events, each with an attempt. Beside it the same question to a log of ten thousand.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use hms_sync::clock::now;
use hms_sync::store::capture::{Access, CapturedLog};
use hms_sync::store::state::attempt::{self, Intent, Settled, Under, Word};
use hms_sync::store::state::{State, connector, cursor, log};
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::agent::PROGRAM;
use crate::support::figures::{median, percentile, print};
use crate::support::office;

const MANY: u64 = 10_000_000;
const FEW: u64 = 10_000;
/// Changes of each record.
const EACH: u64 = 50;
/// Events of one row of attempts, as a busy agent groups them.
const GROUP: usize = 100;
/// Events that are read and recorded at once.
const BLOCK: usize = 20_000;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let rounds = arguments.rounds.unwrap_or(30);
    let (mut rows, mut results) = (Vec::new(), Vec::new());
    for events in [FEW, arguments.events.unwrap_or(MANY)] {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let folder = place.path().join("office");
        fill(&folder, events);
        let records = events / EACH;
        let mut dice = fastrand::Rng::with_seed(7);
        let took: Vec<f64> = (0..rounds).map(|_| asked(&folder, dice.u64(1..=records))).collect();
        let slowest = took.iter().copied().fold(0.0, f64::max);
        rows.push(vec![
            events.to_string(),
            format!("{:.1} ms", median(&took)),
            format!("{:.1} ms", percentile(&took, 0.9)),
            format!("{slowest:.1} ms"),
        ]);
        results.push(json!({ "events": events, "ms": took }));
    }
    let title = format!("status TYPE KEY: a record with {EACH} changes, {rounds} records (target: 100 ms)");
    print(&title, &["events in the log", "median", "p90", "slowest"], &rows);
    json!({ "sizes": results })
}

/// An office in which so many events were delivered, written by statements and not through the agent.
fn fill(folder: &Path, events: u64) {
    std::fs::create_dir_all(folder.join("connectors")).unwrap();
    let db = office::open(&folder.join("office.db"));
    db.execute_batch("CREATE TABLE visits (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, room TEXT NOT NULL)").unwrap();
    let settings = "database: office.db\nstate: state/state.db\noffice: BENCH\nwatch: {visits: {}}\n\
                    governance: {default: public}\ncapture: {cap: 1000GiB}\n";
    std::fs::write(folder.join("sync.yaml"), settings).unwrap();
    let connector = "listen: visits\ntarget: {url: \"http://127.0.0.1:9/visits/{id}\"}\n";
    std::fs::write(folder.join("connectors/target-0.yaml"), connector).unwrap();
    agent(folder, &["watch", "visits"]);
    agent(folder, &["run", "--once"]);
    // Nobody needs this file after a crash, and a large one is to be there soon.
    db.execute_batch("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=20000; UPDATE hms_sync_ctl SET cap = 1e15")
        .unwrap();
    let records = i64::try_from(events / EACH).unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
               INSERT INTO visits SELECT i, 1, 'R' || i % 120 FROM n";
    db.execute(sql, [records]).unwrap();
    for _ in 1..EACH {
        db.execute("UPDATE visits SET n = n + 1", []).unwrap();
    }
    db.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    drop(db);

    let mut log = CapturedLog::open("office", &folder.join("office.db"), Access::Read).unwrap();
    let mut state = State::open(&folder.join("state/state.db")).unwrap();
    let (connector, log_id) =
        state.commit(|db| Ok((connector::remember(db, "target-0")?.0.id, log::remember(db, "office")?))).unwrap();
    let under = Under { config: &[5; 32], origin: "http://127.0.0.1:9" };
    let mut at = 0;
    loop {
        let block = log.read(at, BLOCK, usize::MAX).unwrap();
        let Some(last) = block.last() else { break };
        at = last.id.seq;
        state
            .commit(|db| {
                for group in block.chunks(GROUP) {
                    let intent = |event: &hms_sync::event::Event| Intent {
                        id: event.id,
                        attempt: 1,
                        mac: event.lane.to_le_bytes(),
                        old_mac: None,
                        joined: false,
                        what: Some((event.kind.clone(), event.op)),
                    };
                    let settled = |event: &hms_sync::event::Event| {
                        let mut settled = Settled::unanswered(event.id, Word::Success, "");
                        (settled.status, settled.took_us, settled.bytes) = (200, 900, (400, 20));
                        settled
                    };
                    let (intents, outcomes): (Vec<_>, Vec<_>) = group.iter().map(|e| (intent(e), settled(e))).unzip();
                    attempt::intend(db, connector, log_id, under, now(), &intents)?;
                    attempt::settle(db, connector, log_id, now(), &outcomes)?;
                }
                cursor::advance(db, connector, log_id, at)
            })
            .unwrap();
    }
    assert_eq!(at, i64::try_from(events).unwrap(), "capture has left some out");
    drop((log, state));
    // The agent follows the log once, as it does while it delivers.
    agent(folder, &["run", "--once"]);
}

fn agent(folder: &Path, line: &[&str]) {
    let mut command = Command::new(PROGRAM);
    let done = command.arg("--quiet").arg("--config").arg(folder).args(line).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{line:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Milliseconds of one question, and whether the answer has all of it.
fn asked(folder: &Path, record: u64) -> f64 {
    let began = Instant::now();
    let mut command = Command::new(PROGRAM);
    command.arg("--config").arg(folder).args(["--json", "status", "visits", &record.to_string()]);
    let done = command.stdin(Stdio::null()).output().unwrap();
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    let events = told["events"].as_array().unwrap();
    assert_eq!(events.len() as u64, EACH);
    assert!(events.iter().all(|event| event["connectors"][0]["state"] == "delivered"), "{told:#}");
    took
}
