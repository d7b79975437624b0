//! What the agent costs when nothing happens, and until it delivers (P10, P11).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::figures::{median, print};
use crate::support::process::{self, Cores, Running};
use crate::support::{agent, authority};
use crate::{Arguments, drain};

const CONNECTORS: usize = 10;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let watched = Duration::from_secs(if arguments.long { 120 } else { 20 });
    let rounds = arguments.rounds.unwrap_or(5);
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    authority::make(place.path());
    let template = place.path().join("template");
    drain::make_backlog(&template, place.path(), 10_000);
    let starts: Vec<f64> = (0..rounds).map(|_| start(&template, place.path())).collect();

    let quiet = place.path().join("quiet");
    drain::make_backlog(&quiet, place.path(), 0);
    agent::configure(&quiet, place.path(), 1, 4, CONNECTORS);
    let agent = agent::start(&quiet, Cores::Free);
    // What a start leaves to do is done by then.
    std::thread::sleep(Duration::from_secs(5));
    let before = process::fine_cpu(agent.0.id());
    std::thread::sleep(watched);
    let idle = (process::fine_cpu(agent.0.id()) - before) / watched.as_secs_f64() * 100.0;
    let memory = process::peak_memory(agent.0.id());
    let size = std::fs::metadata(agent::PROGRAM).unwrap().len() as f64 / 1e6;
    let rows = [
        vec![format!("idle, {CONNECTORS} connectors, {} s", watched.as_secs()), format!("{idle:.3} % of a core")],
        vec![format!("memory of it, {CONNECTORS} connectors"), format!("{memory:.1} MB peak")],
        vec!["start to first request, 10,000 waiting".to_owned(), format!("{:.0} ms", median(&starts))],
        vec!["binary as built".to_owned(), format!("{size:.1} MB")],
    ];
    print("idle, start, size", &["", ""], &rows);
    json!({ "idle % of a core": idle, "idle connectors": CONNECTORS, "idle s": watched.as_secs(), "idle peak MB": memory,
            "start ms": starts, "binary MB": size })
}

/// Milliseconds from starting the process to its first request at the target.
fn start(template: &Path, place: &Path) -> f64 {
    let folder = place.join("start");
    drain::copy(template, &folder);
    let mut receiver = Cores::Free.command(&std::env::current_exe().unwrap(), true);
    receiver.arg("as-receiver").arg(place).args(["2000", "1"]);
    let mut receiver = Running(receiver.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(receiver.0.stdout.take().unwrap()).lines();
    let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
    agent::configure(&folder, place, port, 4, 1);
    let started = Instant::now();
    let agent = agent::start(&folder, Cores::Free);
    lines.next().unwrap().unwrap();
    let took = started.elapsed().as_secs_f64() * 1000.0;
    drop(agent);
    std::fs::remove_dir_all(&folder).unwrap();
    took
}
