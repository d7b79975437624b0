//! The audit: what it costs an event, in the writer beside the same rows without a chain, and on the thread that proves and seals;
//! and how fast all of it is proved: the state file, its archive, an export.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use hms_sync::clock::{Timestamp, now};
use hms_sync::engine::archivist::{Archivist, Keep};
use hms_sync::engine::ledger::Ledger;
use hms_sync::event::{EventId, Op};
use hms_sync::store::state::attempt::{self, Intent, Settled, Under, Word};
use hms_sync::store::state::{ConnectorId, LogId, State, connector, log};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::agent::PROGRAM;
use crate::support::figures::{median, print};

/// Events of one row, as a busy agent groups them.
const GROUP: i64 = 100;
/// Rows of intents, and of outcomes, in one commit.
const COMMIT: i64 = 4;
const DAY: i64 = 86_400_000;
/// So many events are more rows than a piece of the archive has.
const MANY: u64 = 1_100_000;
/// CPU of one event of a drain, in microseconds, when nothing was measured in the same run: `docs/PERFORMANCE.md`.
const DRAIN: f64 = 14.6;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let events = arguments.events.unwrap_or(if arguments.long { 4_000_000 } else { MANY }).max(MANY) as i64;
    let rounds = arguments.rounds.unwrap_or(3);
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (chained, plain): (Vec<f64>, Vec<f64>) = (0..rounds)
        .map(|round| {
            let folder = place.path().join(format!("cost-{round}"));
            (cost(events / 4, |n, of| chained(&folder, n, of)), cost(events / 4, |n, of| plain(&folder, n, of)))
        })
        .unzip();
    let more = median(&chained) - median(&plain);
    let head = ["", "us an event", "of a drain's CPU"];
    let share = |us: f64| format!("{:.1} %", us / DRAIN * 100.0);
    let rows = [
        vec!["intent and outcome, chained".to_owned(), format!("{:.2}", median(&chained)), share(median(&chained))],
        vec!["the same rows without a chain".to_owned(), format!("{:.2}", median(&plain)), share(median(&plain))],
        vec!["the chain".to_owned(), format!("{more:.2}"), share(more)],
    ];
    print(&format!("audit: rows of {GROUP} events, CPU of the writer, median of {rounds}"), &head, &rows);

    let folder = place.path().join("office");
    std::fs::create_dir_all(folder.join("connectors")).unwrap();
    std::fs::write(folder.join("sync.yaml"), "state: state/state.db\noffice: BENCH\n").unwrap();
    let connector = "target: {url: \"http://127.0.0.1:9/\"}\nlisten: nothing\n";
    std::fs::write(folder.join("connectors/legacy.yaml"), connector).unwrap();
    fill(&folder.join("state/state.db"), events);
    let (mut rows, mut results) = (Vec::new(), serde_json::Map::new());
    let mut proved = |what: &str, more: &[&str]| {
        let rates: Vec<f64> = (0..rounds).map(|_| verified(&folder, more)).collect();
        rows.push(vec![what.to_owned(), format!("{:.0}", median(&rates))]);
        results.insert(what.to_owned(), json!(rates));
    };
    proved("the state file", &[]);
    for form in ["jsonl", "csv"] {
        let file = folder.join(form);
        said(&folder, &["audit", "export", "--format", form, "--output", file.to_str().unwrap()]);
        proved(&format!("an export, {form}"), &[file.to_str().unwrap()]);
    }
    // Yesterday is sealed today. Then as much of today is proved.
    let us_sealed = kept(&folder, events);
    let today = place.path().join("today");
    fill_at(&today.join("state/state.db"), events / 4, now());
    let us_proved = kept(&today, events / 4);
    proved("the archive", &["--archive", folder.join("state/audit").to_str().unwrap()]);
    let sealed: u64 = std::fs::read_dir(folder.join("state/audit"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".gz"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    print(
        &format!("audit verify: {} records, median of {rounds}; sealed they take {} MB", events * 2, sealed >> 20),
        &["", "records/s"],
        &rows,
    );
    let all = median(&chained) + us_proved + us_sealed;
    let rows = [("proved again", us_proved), ("sealed", us_sealed), ("all of the audit", all)]
        .map(|(what, us)| vec![what.to_owned(), format!("{us:.2}"), share(us)]);
    print("audit: CPU of the thread that keeps the archive, one round", &head, &rows);
    json!({ "records": events * 2, "rounds": rounds, "us an event": { "chained": chained, "plain": plain },
            "share of a drain": more / DRAIN, "us proved": us_proved, "us sealed": us_sealed, "all us": all, "drain us": DRAIN, "records/s": results, "sealed bytes": sealed })
}

/// CPU of the thread that keeps the archive for each event of so many, in microseconds: one round of its work.
fn kept(folder: &Path, events: i64) -> f64 {
    let path = folder.join("state/state.db");
    let (ledger, writer) = Ledger::start(State::open(&path).unwrap()).unwrap();
    let year = std::time::Duration::from_secs(365 * 86_400);
    let mut archivist =
        Archivist::open(&path, ledger.clone(), Keep { live: year, audit: year, conflicts: year }, None, None).unwrap();
    let began = cpu();
    archivist.round().unwrap();
    let took = cpu() - began;
    ledger.stop();
    writer.join().unwrap();
    took / events as f64
}

fn group(n: i64) -> (Vec<Intent>, Vec<Settled>) {
    let ids = (n * GROUP..(n + 1) * GROUP).map(|seq| EventId { epoch: 7, seq, nonce: seq as u32 });
    let kind: std::sync::Arc<str> = "appointments".into();
    let intent = |id: EventId| Intent {
        id,
        attempt: 1,
        mac: id.seq.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64).to_le_bytes(),
        old_mac: None,
        joined: false,
        what: Some((kind.clone(), Op::Update)),
    };
    let settled = |id: EventId| {
        let mut settled = Settled::unanswered(id, Word::Success, "");
        (settled.status, settled.took_us, settled.bytes) = (200, 900, (400, 20));
        // As hard to compress as hashes are.
        let mut random = fastrand::Rng::with_seed(id.seq as u64);
        random.fill(&mut settled.request_hash);
        random.fill(&mut settled.answer_hash);
        settled
    };
    (ids.clone().map(intent).collect(), ids.map(settled).collect())
}

/// CPU of this thread for each event of so many, in microseconds, without making them.
fn cost(events: i64, write: impl FnOnce(i64, &[(Vec<Intent>, Vec<Settled>)]) -> f64) -> f64 {
    let groups: Vec<_> = (0..events / GROUP).map(group).collect();
    write(events, &groups)
}

fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

const UNDER: Under<'_> = Under { config: &[5; 32], origin: "https://legacy.example:443" };

fn chained(folder: &Path, events: i64, groups: &[(Vec<Intent>, Vec<Settled>)]) -> f64 {
    let mut state = State::open(&folder.join("chained/state.db")).unwrap();
    let (connector, log) = named(&mut state);
    let began = cpu();
    for groups in groups.chunks(COMMIT as usize) {
        state
            .commit(|db| {
                groups.iter().try_for_each(|(intents, outcomes)| {
                    attempt::settle(db, connector, log, now(), outcomes)?;
                    attempt::intend(db, connector, log, UNDER, now(), intents)
                })
            })
            .unwrap();
    }
    (cpu() - began) / events as f64
}

fn named(state: &mut State) -> (ConnectorId, LogId) {
    state.commit(|db| Ok((connector::remember(db, "legacy")?.0.id, log::remember(db, "office")?))).unwrap()
}

/// The same rows in the same table of the same file, without hash, number and names.
fn plain(folder: &Path, events: i64, groups: &[(Vec<Intent>, Vec<Settled>)]) -> f64 {
    use hms_sync::rules::attempt::entries::{Kinds, put_intent, put_settled};
    let path = folder.join("plain/state.db");
    named(&mut State::open(&path).unwrap());
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; DROP TRIGGER attempt_last; DROP TRIGGER attempt_keep",
    )
    .unwrap();
    let insert = |phase: &str, low: i64, entries: &[u8]| {
        db.prepare_cached(
            "INSERT INTO attempt(at, connector, log, phase, first_seq, last_seq, config_hash, entries)
             VALUES (?1, 1, 1, ?2, ?3, ?4, ?5, ?6)",
        )
        .unwrap()
        .execute(params![now().0, phase, low, low + GROUP - 1, UNDER.config, entries])
        .unwrap();
    };
    let began = cpu();
    for groups in groups.chunks(COMMIT as usize) {
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        for (intents, outcomes) in groups {
            let (mut packed, mut kinds) = (Vec::with_capacity(10_000), Kinds::default());
            outcomes.iter().for_each(|settled| put_settled(settled, &mut packed));
            insert("outcome", outcomes[0].id.seq, &packed);
            packed.clear();
            intents.iter().for_each(|intent| put_intent(intent, &mut kinds, &mut packed));
            insert("intent", intents[0].id.seq, &packed);
        }
        db.execute_batch("COMMIT").unwrap();
    }
    (cpu() - began) / events as f64
}

/// A state file in which so many events were delivered yesterday.
fn fill(path: &Path, events: i64) {
    fill_at(path, events, Timestamp(now().0 - DAY));
}

/// The same at another time.
fn fill_at(path: &Path, events: i64, at: Timestamp) {
    let mut state = State::open(path).unwrap();
    let (connector, log) = named(&mut state);
    for first in (0..events / GROUP).step_by(100) {
        state
            .commit(|db| {
                (first..(first + 100).min(events / GROUP)).try_for_each(|n| {
                    let (intents, outcomes) = group(n);
                    attempt::intend(db, connector, log, UNDER, at, &intents)?;
                    attempt::settle(db, connector, log, at, &outcomes)
                })
            })
            .unwrap();
    }
}

fn said(folder: &Path, line: &[&str]) -> String {
    let mut command = Command::new(PROGRAM);
    let done = command.arg("--config").arg(folder).args(line).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{line:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Records that are proved in a second.
fn verified(folder: &Path, more: &[&str]) -> f64 {
    let began = Instant::now();
    let verdict: Value = serde_json::from_str(&said(folder, &[&["--json", "audit", "verify"], more].concat())).unwrap();
    assert_eq!(verdict["whole"], true, "{verdict:#}");
    verdict["records"].as_f64().unwrap() / began.elapsed().as_secs_f64()
}
