//! Beside a drain: what an application that waits for no lock meets while the agent delivers a large backlog and all
//! that is written meanwhile (P7). Its commits alone (captured, no agent) and beside the agent are measured in turn.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::figures::{median, paired, percentile, print};
use crate::support::journal::Tally;
use crate::support::locks::{Held, Strace};
use crate::support::process::{self, Cores, Running};
use crate::support::{agent, authority, office};
use crate::{Arguments, drain};

/// Records that the application changes, one in each transaction.
const HOT: i64 = 1000;
/// How long everything is waited for before the round counts as lost.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the application met.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Met {
    writes: u64,
    seconds: f64,
    /// Microseconds of a commit: from its statement to its end, until it went through.
    p50: f64,
    p99: f64,
    longest: f64,
    /// Writes that were refused at least once.
    refused: u64,
    /// Commits of others, that is of the agent, that the application saw.
    others: u64,
    /// Size of the write-ahead log at the end, MB.
    wal: f64,
}

/// One round beside the agent.
struct Beside {
    met: Met,
    /// Events a second at the receiver.
    rate: f64,
    /// CPU seconds of the agent for 100,000 events.
    cpu: f64,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let writes = if arguments.long { 400_000 } else { 100_000 };
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 9 } else { 3 });
    let events = arguments.events.unwrap_or(writes * 2);
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    authority::make(place.path());
    let template = place.path().join("template");
    backlog(&template, place.path(), i64::try_from(events).unwrap());
    let (mut rows, mut results) = (Vec::new(), serde_json::Map::new());
    for (title, cores, journal, writes) in [
        ("WAL, a core of its own", Cores::Apart, "wal", writes),
        ("WAL, cores free", Cores::Free, "wal", writes),
        ("rollback journal, cores free", Cores::Free, "delete", writes / 20),
    ] {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let folder = place.path().join("round");
            copy(&template, &folder, journal);
            alone.push(write(&folder, cores, journal, writes));
            beside.push(round(&template, place.path(), cores, journal, writes, events));
        }
        let met: Vec<Met> = beside.iter().map(|round| round.met.clone()).collect();
        let of = |which: &[Met], part: fn(&Met) -> f64| which.iter().map(part).collect::<Vec<f64>>();
        let sum = |which: &[Met], part: fn(&Met) -> u64| which.iter().map(part).sum::<u64>();
        let refused =
            |which: &[Met]| sum(which, |met| met.refused) as f64 * 100_000.0 / sum(which, |met| met.writes) as f64;
        for (name, which) in [("alone", &alone), ("beside", &met)] {
            let drained = which.len() == beside.len() && name == "beside";
            let rate = median(&beside.iter().map(|round| round.rate).collect::<Vec<_>>());
            rows.push(vec![
                title.to_owned(),
                name.to_owned(),
                format!("{:.0}", median(&of(which, |met| met.writes as f64 / met.seconds))),
                format!("{:.1}", median(&of(which, |met| met.p50))),
                format!("{:.1}", median(&of(which, |met| met.p99))),
                if drained {
                    format!("{:.2}", paired(&of(which, |met| met.p99), &of(&alone, |met| met.p99)))
                } else {
                    String::new()
                },
                format!("{:.1}", median(&of(which, |met| met.longest)) / 1000.0),
                format!("{:.2}", refused(which)),
                format!("{:.1}", median(&of(which, |met| met.wal))),
                if drained { format!("{rate:.0}") } else { String::new() },
            ]);
        }
        results.insert(
            title.to_owned(),
            json!({ "alone": alone, "beside": met, "p99 of alone": paired(&of(&met, |met| met.p99), &of(&alone, |met| met.p99)),
                    "refused in 100,000": refused(&met), "refused in 100,000 alone": refused(&alone),
                    "events/s": beside.iter().map(|round| round.rate).collect::<Vec<_>>(),
                    "agent cpu s/100k": beside.iter().map(|round| round.cpu).collect::<Vec<_>>() }),
        );
    }
    let title = format!("beside a drain of {events} events: an application's commits of one row, median of {rounds}");
    let head = [
        "",
        "",
        "commits/s",
        "p50 us",
        "p99 us",
        "of alone",
        "longest ms",
        "refused in 100,000",
        "WAL MB",
        "drained/s",
    ];
    print(&title, &head, &rows);
    if let Some(held) = held(&template, place.path(), writes / 4, events) {
        let row = |name: &str, held: &[f64]| {
            let at = |part| if held.is_empty() { "-".to_owned() } else { format!("{:.2}", percentile(held, part)) };
            vec![name.to_owned(), held.len().to_string(), at(0.5), at(0.99), at(1.0)]
        };
        let rows = [row("read", &held.read), row("write", &held.written)];
        print(
            "locks of the agent on the application's file, beside a writer, ms (traced, which makes them longer)",
            &["", "times", "p50", "p99", "longest"],
            &rows,
        );
        let longest = |held: &[f64]| if held.is_empty() { 0.0 } else { percentile(held, 1.0) };
        results.insert(
            "locks".into(),
            json!({ "read": held.read.len(), "longest read ms": longest(&held.read), "write": held.written.len(),
                    "longest write ms": longest(&held.written), "write ms": held.written }),
        );
    }
    Value::Object(results)
}

/// A folder whose office has written so many events that nobody has delivered yet.
fn backlog(folder: &Path, place: &Path, events: i64) {
    std::fs::create_dir_all(folder.join("state")).unwrap();
    let db = office::open(&folder.join("office.db"));
    db.execute_batch(office::TABLE).unwrap();
    agent::configure(folder, place, 1, 1, 1);
    agent::prepare(folder);
    office::batches(&db, 1, events + 1, 500, office::insert);
    db.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
}

/// Has the application write, in a process of its own.
fn write(folder: &Path, cores: Cores, journal: &str, writes: u64) -> Met {
    let mut writer = cores.command(&std::env::current_exe().unwrap(), false);
    writer.arg("as-writer").arg(folder.join("office.db")).args([journal.to_owned(), writes.to_string()]);
    let output = writer.stdout(Stdio::piped()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the application failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The application: one row in each transaction, and no waiting for locks. Arguments: file, journal mode, how many.
pub fn application(mut words: impl Iterator<Item = String>) {
    let path = PathBuf::from(words.next().unwrap());
    let journal = words.next().unwrap();
    let writes: u64 = words.next().unwrap().parse().unwrap();
    let db = Connection::open(&path).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, journal);
    db.pragma_update(None, "synchronous", "NORMAL").unwrap();
    db.busy_timeout(Duration::ZERO).unwrap();
    let mut update = db.prepare("UPDATE appointments SET n = n + 1, minutes = minutes % 60 + 5 WHERE id = ?1").unwrap();
    let mut version = db.prepare("PRAGMA data_version").unwrap();
    let mut seen: Option<i64> = None;
    let mut met = Met { writes, ..Met::default() };
    let mut commits = Vec::with_capacity(usize::try_from(writes).unwrap());
    let began = Instant::now();
    for number in 0..i64::try_from(writes).unwrap() {
        let began = Instant::now();
        let mut refused = false;
        while let Err(error) = update.execute([number % HOT + 1]) {
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy), "{error}");
            refused = true;
        }
        commits.push(began.elapsed().as_secs_f64() * 1e6);
        met.refused += u64::from(refused);
        if number % 16 == 0
            && let Ok(now) = version.query_row([], |row| row.get(0))
        {
            met.others += u64::from(seen.is_some_and(|seen| seen != now));
            seen = Some(now);
        }
    }
    met.seconds = began.elapsed().as_secs_f64();
    (met.p50, met.p99, met.longest) =
        (percentile(&commits, 0.5), percentile(&commits, 0.99), percentile(&commits, 1.0));
    let wal = path.with_file_name("office.db-wal");
    met.wal = std::fs::metadata(wal).map_or(0.0, |wal| wal.len() as f64 / 1e6);
    println!("{}", serde_json::to_string(&met).unwrap());
}

/// A receiver and the agent, at work on a copy of the backlog.
struct Draining {
    folder: PathBuf,
    agent: Running,
    _receiver: Running,
    tally: std::sync::mpsc::Receiver<Option<std::io::Result<String>>>,
}

/// A fresh copy of the backlog, in this journal mode: beside a drain it could not be changed.
fn copy(template: &Path, folder: &Path, journal: &str) {
    let _ = std::fs::remove_dir_all(folder);
    drain::copy(template, folder);
    if journal == "delete" {
        office::open(&folder.join("office.db")).pragma_update(None, "journal_mode", "DELETE").unwrap();
    }
}

/// The agent and its receiver share the core that the application does not have.
fn start(template: &Path, place: &Path, cores: Cores, journal: &str, events: u64, writes: u64) -> Draining {
    let folder = place.join("round");
    copy(template, &folder, journal);
    // It stands for another machine, and takes no processor away from the application.
    let mut receiver = cores.command(Path::new("nice"), true);
    receiver
        .args(["-n", "19"])
        .arg(std::env::current_exe().unwrap())
        .arg("as-receiver")
        .arg(place)
        .args([events.to_string(), (events + writes).to_string()]);
    let mut receiver = Running(receiver.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(receiver.0.stdout.take().unwrap()).lines();
    let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
    agent::configure(&folder, place, port, 16, 1);
    let agent = agent::start(&folder, if cores == Cores::Apart { Cores::Shared } else { cores });
    // The drain has begun when the state file grows.
    let state = folder.join("state/state.db-wal");
    let before = std::fs::metadata(&state).map_or(0, |state| state.len());
    while std::fs::metadata(&state).map_or(0, |state| state.len()) < before + 100_000 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (told, tally) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(lines.next()));
    Draining { folder, agent, _receiver: receiver, tally }
}

fn round(template: &Path, place: &Path, cores: Cores, journal: &str, writes: u64, events: u64) -> Beside {
    let draining = start(template, place, cores, journal, events, writes);
    let met = write(&draining.folder, cores, journal, writes);
    let line = draining.tally.recv_timeout(PATIENCE).expect("the drain did not end").unwrap().unwrap();
    let tally: Tally = serde_json::from_str(&line).unwrap();
    assert_eq!(tally.overtaken, 0, "changes of one record out of order");
    Beside {
        met,
        rate: tally.received as f64 / tally.seconds,
        cpu: process::cpu(draining.agent.0.id()) * 100_000.0 / tally.received as f64,
    }
}

/// How long the agent holds its locks on the application's file, by its system calls; none without strace.
fn held(template: &Path, place: &Path, writes: u64, events: u64) -> Option<Held> {
    let draining = start(template, place, Cores::Free, "wal", events, 1 << 40);
    let trace = Strace::attach(draining.agent.0.id(), &place.join("trace"))?;
    write(&draining.folder, Cores::Free, "wal", writes);
    // A pause, in which the agent tidies; and some more writes.
    std::thread::sleep(Duration::from_secs(3));
    write(&draining.folder, Cores::Free, "wal", writes / 10);
    Some(trace.held("office.db-shm"))
}
