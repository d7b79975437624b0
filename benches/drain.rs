//! Drain: a backlog to a fast target over TLS, beside a loop written by hand: one event a request (P1, P2, P8), or as
//! many as `--batch` says (P3, the bench `batches`).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use hms_sync::daemon::yielding::NICE;
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::{median, paired, print};
use crate::support::journal::Tally;
use crate::support::process::{Cores, Running};
use crate::support::{agent, authority, office, process};

/// Events of one record: an insert and updates.
const VERSIONS: u64 = 5;
/// How long a receiver is waited for before the round counts as lost.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);

/// One side of one round.
#[derive(Clone, Copy)]
struct Round {
    tally: Tally,
    cpu: f64,
    memory: f64,
}

/// Measures and prints: one event a request.
pub fn run(arguments: &Arguments) -> Value {
    measure(arguments, 1)
}

/// Events a request of the bench `batches`.
const BATCH: usize = 100;

/// The same with several events a request.
pub fn batches(arguments: &Arguments) -> Value {
    let more = |events| Some(arguments.events.unwrap_or(events));
    let events = more(if arguments.long { 500_000 } else { 200_000 });
    measure(&Arguments { events, ..arguments.clone() }, BATCH)
}

fn measure(arguments: &Arguments, batch: usize) -> Value {
    let events = arguments.events.unwrap_or(if arguments.long { 200_000 } else { 50_000 }) / VERSIONS * VERSIONS;
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 7 } else { 3 });
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    authority::make(place.path());
    let template = place.path().join("template");
    make_backlog(&template, place.path(), events);
    let (mut rows, mut results) = (Vec::new(), Vec::new());
    for &flight in &arguments.flight {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            bare.push(round(&template, place.path(), events, arguments.cores, (flight, batch), false));
            ours.push(round(&template, place.path(), events, arguments.cores, (flight, batch), true));
        }
        let rate = |rounds: &[Round]| -> Vec<f64> {
            rounds.iter().map(|round| (round.tally.received - 1) as f64 / round.tally.seconds).collect()
        };
        let cpu = |rounds: &[Round]| -> Vec<f64> {
            rounds.iter().map(|round| round.cpu * 100_000.0 / round.tally.received as f64).collect()
        };
        let memory = |rounds: &[Round]| -> Vec<f64> { rounds.iter().map(|round| round.memory).collect() };
        let sum = |part: fn(&Tally) -> u64| ours.iter().map(|round| part(&round.tally)).sum::<u64>();
        let (repeated, overtaken) = (sum(|tally| tally.repeated), sum(|tally| tally.overtaken));
        for (name, side, beside) in [("bare loop", &bare, None), ("hms-sync", &ours, Some(&bare))] {
            let ratio = |of: &dyn Fn(&[Round]) -> Vec<f64>| {
                beside.map_or_else(String::new, |bare| format!("{:.2}", paired(&of(side), &of(bare))))
            };
            rows.push(vec![
                flight.to_string(),
                name.to_owned(),
                format!("{:.0}", median(&rate(side))),
                ratio(&rate),
                format!("{:.2}", median(&cpu(side))),
                ratio(&cpu),
                format!("{:.1}", median(&memory(side))),
                beside.map_or_else(String::new, |_| format!("{repeated} / {overtaken}")),
            ]);
        }
        results.push(json!({
            "in flight": flight,
            "ours": { "events/s": rate(&ours), "cpu s/100k": cpu(&ours), "peak MB": memory(&ours),
                      "receiver": ours.iter().map(|round| round.tally).collect::<Vec<_>>() },
            "bare": { "events/s": rate(&bare), "cpu s/100k": cpu(&bare), "peak MB": memory(&bare),
                      "receiver": bare.iter().map(|round| round.tally).collect::<Vec<_>>() },
            "rate of bare": paired(&rate(&ours), &rate(&bare)),
            "cpu of bare": paired(&cpu(&ours), &cpu(&bare)),
        }));
    }
    let title =
        format!("drain: {events} events, HTTPS, {batch} a request, cores {:?}, median of {rounds}", arguments.cores);
    let head = ["in flight", "", "events/s", "of bare", "CPU s/100k", "of bare", "peak MB", "repeated / overtaken"];
    print(&title, &head, &rows);
    json!({ "events": events, "cores": format!("{:?}", arguments.cores), "rounds": rounds, "batch": batch, "flights": results })
}

/// A folder whose office has written so many events, captured by the agent's triggers and by a plain JSON outbox.
pub fn make_backlog(folder: &Path, place: &Path, events: u64) {
    std::fs::create_dir_all(folder.join("state")).unwrap();
    let db = office::open(&folder.join("office.db"));
    db.execute_batch(office::TABLE).unwrap();
    office::plain_outbox(&db);
    agent::configure(folder, place, 1, 1, 1);
    agent::prepare(folder);
    let records = i64::try_from(events / VERSIONS).unwrap();
    office::batches(&db, 1, records + 1, 500, office::insert);
    for _ in 1..VERSIONS {
        office::batches(&db, 1, records + 1, 500, office::update);
    }
    db.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
}

/// The same folder again, on the disk.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
            std::fs::File::open(&to).unwrap().sync_all().unwrap();
        }
    }
}

fn round(
    template: &Path,
    place: &Path,
    events: u64,
    cores: Cores,
    (flight, batch): (usize, usize),
    ours: bool,
) -> Round {
    let folder = place.join("round");
    copy(template, &folder);
    let mut receiver = cores.command(&std::env::current_exe().unwrap(), true);
    receiver.arg("as-receiver").arg(place).args([(events / VERSIONS).to_string(), events.to_string()]);
    let mut receiver = Running(receiver.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(receiver.0.stdout.take().unwrap()).lines();
    let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
    let sender = if ours {
        agent::Target { authority: place, port, plain: false, flight, connectors: 1, batch }.configure(&folder);
        agent::start(&folder, cores)
    } else {
        // It stands back as the agent does: what is compared is not who goes first on a core that both share with the receiver.
        let mut bare = cores.command(Path::new("nice"), false);
        bare.args(["-n", &NICE.to_string()])
            .arg(std::env::current_exe().unwrap())
            .arg("as-bare")
            .arg(folder.join("office.db"))
            .arg(place)
            .args([port, flight.try_into().unwrap(), batch.try_into().unwrap()].map(|n: u16| n.to_string()));
        Running(bare.spawn().unwrap())
    };
    let (told, tally) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(lines.next()));
    let line = tally.recv_timeout(PATIENCE).expect("the drain did not end").unwrap().unwrap();
    let process = sender.0.id();
    let round = Round {
        tally: serde_json::from_str(&line).unwrap(),
        cpu: process::cpu(process),
        memory: process::peak_memory(process),
    };
    drop((sender, receiver));
    if std::env::var_os("HMS_BENCH_KEEP").is_none() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    round
}
