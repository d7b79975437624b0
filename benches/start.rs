//! Start: from starting the process to its first request over TLS, with a large backlog; and the binary's size (P11).
//! The floor is the same program started to say its version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::{median, percentile, print};
use crate::support::journal::{Journal, Manner};
use crate::support::process::Cores;
use crate::support::{agent, backlog};

/// Backlogs that it starts with.
const WAITING: [u64; 2] = [10_000, 1_000_000];

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 21 } else { 7 });
    let floors: Vec<f64> = (0..rounds).map(|_| version()).collect();
    let row = |name: String, values: &[f64]| {
        vec![name, format!("{:.0} ms", median(values)), format!("{:.0} ms", percentile(values, 1.0))]
    };
    let mut rows = vec![row("floor: the program says its version".to_owned(), &floors)];
    let mut results = Vec::new();
    for waiting in WAITING {
        let starts: Vec<f64> = (0..rounds).map(|_| start(waiting)).collect();
        rows.push(row(format!("start to first request, {waiting} waiting"), &starts));
        results.push(json!({ "waiting": waiting, "ms": starts, "median ms": median(&starts) }));
    }
    let release = Some(size(Path::new(agent::PROGRAM)));
    let small =
        PathBuf::from(agent::PROGRAM).parent().and_then(Path::parent).map(|target| target.join("small/hms-sync"));
    let small = small.filter(|path| path.exists()).map(|path| size(&path));
    for (name, size) in [("release", release), ("small", small)] {
        let size =
            size.map_or_else(|| format!("not built: cargo build --profile {name}"), |size| format!("{size:.1} MB"));
        rows.push(vec![format!("binary, profile {name}"), size]);
    }
    let title = format!("start, size: median and most of {rounds} (P11: ready in 50 ms, binary at most 12 MB)");
    print(&title, &["", "", "most"], &rows);
    json!({ "version ms": floors, "starts": results, "release MB": release, "small MB": small })
}

fn size(path: &Path) -> f64 {
    std::fs::metadata(path).unwrap().len() as f64 / 1e6
}

fn version() -> f64 {
    let started = Instant::now();
    let status = Command::new(agent::PROGRAM).arg("--version").stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    started.elapsed().as_secs_f64() * 1000.0
}

/// Milliseconds from starting the process to its first request at the target.
fn start(waiting: u64) -> f64 {
    let stock = backlog::of(waiting);
    let folder = stock.fresh();
    let journal = Journal::start(&Manner::new(stock.authority(), backlog::RECORDS, &[1]), Cores::Free);
    agent::configure(&folder, stock.authority(), journal.port, 4, 1);
    let started = Instant::now();
    let agent = agent::start(&folder, Cores::Free);
    journal.next(Duration::from_secs(60)).expect("nothing comes");
    let took = started.elapsed().as_secs_f64() * 1000.0;
    drop(agent);
    took
}
