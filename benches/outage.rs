//! Outage: the endpoint hangs up on everyone while events come in (P13). What the agent writes meanwhile, held against
//! the same agent in the same outage with nothing coming in; and how often it knocks, by the listener's own count.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::print;
use crate::support::process::{self, Cores};
use crate::support::{agent, authority, office};

const RECORDS: i64 = 2000;
/// Events of one transaction of the application.
const BATCH: i64 = 100;

/// What the agent did in a stretch of the outage.
struct Stretch {
    seconds: f64,
    events: u64,
    /// Bytes and calls of its writes, bytes to the disk.
    written: [f64; 3],
    probes: u64,
    cpu: f64,
    /// Rows that the queue wrote: attempts, parked deliveries, acts.
    rows: i64,
    /// Events that the shadow of the comparison followed: it is written beside the queue.
    shadowed: i64,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let (seconds, events) = if arguments.long { (600, 1_000_000) } else { (20, 100_000) };
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    authority::make(place.path());
    let folder = place.path().join("office");
    std::fs::create_dir_all(folder.join("state")).unwrap();
    let db = office::open(&folder.join("office.db"));
    db.execute_batch(office::TABLE).unwrap();
    let (port, knocks) = hang_up();
    agent::configure(&folder, place.path(), port, 4, 1);
    agent::prepare(&folder);
    office::batches(&db, 1, RECORDS + 1, BATCH, office::insert);
    let agent = agent::start(&folder, Cores::Free);
    let began = Instant::now();
    while asked(&folder, "SELECT count(*) FROM breaker") == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the breaker does not open");
        std::thread::sleep(Duration::from_millis(20));
    }
    let opened = Instant::now();
    // What the events from before cost is not the outage's: the log is followed to its end once.
    std::thread::sleep(Duration::from_secs(2));
    let stretch = |seconds: u64, events: u64| {
        let rows = "SELECT (SELECT count(*) FROM attempt) + (SELECT count(*) FROM parked) + (SELECT count(*) FROM act)";
        let shadow = "SELECT max(seq) FROM shadow_at WHERE kind = ''";
        let now = || [rows, shadow].map(|sql| asked(&folder, sql));
        let told = now();
        let (before, cpu, knocked) =
            (process::written(agent.0.id()), process::fine_cpu(agent.0.id()), knocks.load(Ordering::Relaxed));
        come_in(&db, seconds, events);
        let after = process::written(agent.0.id());
        let cpu = process::fine_cpu(agent.0.id()) - cpu;
        let [rows, shadowed] = [0, 1].map(|at| now()[at] - told[at]);
        Stretch {
            seconds: seconds as f64,
            events,
            written: [0, 1, 2].map(|at| after[at] - before[at]),
            probes: knocks.load(Ordering::Relaxed) - knocked,
            cpu,
            rows,
            shadowed,
        }
    };
    let quiet = stretch(seconds / 2, 0);
    let busy = stretch(seconds, events);
    let lasted = opened.elapsed().as_secs_f64();
    let probes = (quiet.probes + busy.probes) as f64;
    let rate = |part: usize| {
        // What it writes without any event in the same time is not the events' doing.
        let due = quiet.written[part] * busy.seconds / quiet.seconds;
        (busy.written[part] - due).max(0.0) / busy.events as f64
    };
    let (bytes, calls, disk) = (rate(0), rate(1), rate(2));
    let row = |name: &str, stretch: &Stretch| {
        let mut row = vec![name.to_owned(), format!("{:.0}", stretch.seconds), stretch.events.to_string()];
        row.extend(stretch.written.map(|count| format!("{count:.0}")));
        row.extend([stretch.rows, stretch.shadowed].map(|count| count.to_string()));
        row.extend([stretch.probes.to_string(), format!("{:.2}", stretch.cpu)]);
        row
    };
    let per_event = ["more, an event", "", "1"]
        .map(str::to_owned)
        .into_iter()
        .chain([bytes, calls, disk].map(|per| format!("{per:.4}")));
    let title =
        "outage: the endpoint hangs up on everyone (P13: no writes an event, at most 4 probes a minute over an hour)";
    let head = [
        "",
        "s",
        "events in",
        "bytes written",
        "write calls",
        "bytes to disk",
        "queue rows",
        "shadowed",
        "probes",
        "CPU s",
    ];
    print(title, &head, &[row("nothing comes in", &quiet), row("events come in", &busy), per_event.collect()]);
    // The first minute has most of them: the pauses are 1, 2, 4... up to 60 s, each up to a quarter shorter.
    let minutes = lasted / 60.0;
    println!("{probes:.0} probes in the first {lasted:.0} s of the outage\n");
    json!({ "seconds": lasted, "events": events, "bytes an event": bytes, "write calls an event": calls,
            "disk bytes an event": disk, "probes": probes, "quiet written": quiet.written, "busy written": busy.written,
            "queue rows": [quiet.rows, busy.rows], "events shadowed": busy.shadowed,
            "probes a minute": (minutes >= 5.0).then_some(probes / minutes), "cpu s": busy.cpu })
}

/// Changes that many records, evenly over the time.
fn come_in(db: &Connection, seconds: u64, events: u64) {
    let began = Instant::now();
    let whole = Duration::from_secs(seconds);
    let batches = events / BATCH as u64;
    for number in 0..batches {
        let due = whole.mul_f64(number as f64 / batches as f64);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let from = 1 + (number as i64 * BATCH) % RECORDS;
        office::batches(db, from, from + BATCH, BATCH, office::update);
    }
    std::thread::sleep(whole.saturating_sub(began.elapsed()));
}

/// A listener that closes every connection at once, and how many there were.
fn hang_up() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let knocks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&knocks);
    std::thread::spawn(move || {
        for _ in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, knocks)
}

/// What the agent's state file answers; 0 as long as there is none.
fn asked(folder: &Path, sql: &str) -> i64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let state = Connection::open_with_flags(folder.join("state/state.db"), flags);
    state.and_then(|state| state.query_row(sql, [], |row| row.get(0))).unwrap_or(0)
}
