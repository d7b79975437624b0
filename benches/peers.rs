//! Peers: the agent beside what a user would pick instead, with the bare loop as everybody's floor (P1, P2). The same
//! events, the same receiver over TLS, loss and order per record checked there. `benches/peers/run` gets the
//! alternatives and says what exactly is compared.

mod alternatives;
pub mod ledger;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::{median, paired, percentile, print};
use crate::support::process::{self, Cores, Running};
use crate::support::{agent, authority, office, receiver};
use alternatives::{ALL, Alternative, BARE, Backlog, Feed, OURS, Setting};
use ledger::Tally;

/// Events of one record: an insert and updates.
const VERSIONS: u64 = 5;
/// Records that are written together, in turn: so many events lie between two of one record.
const BLOCK: i64 = 20;
/// Events a request where several are measured.
const BATCH: usize = 100;
/// A drain that brought nothing new for so long has ended.
const STALL: Duration = Duration::from_secs(15);
/// Changes of one latency, and before these, some that do not count.
const SAMPLES: usize = 200;
const WARM: usize = 10;
/// Alternatives that must have delivered something, or it is no comparison.
const LEAST: usize = 3;
/// Between two changes.
const PAUSE: Duration = Duration::from_millis(50);

/// One drain of one alternative.
#[derive(Clone, Copy)]
struct Round {
    tally: Tally,
    lost: u64,
    cpu: f64,
    memory: f64,
}

/// The rounds of one alternative in one kind of drain.
struct Side {
    who: Alternative,
    rounds: Vec<Round>,
}

impl Side {
    fn rates(&self) -> Vec<f64> {
        self.of(|round| round.tally.received.saturating_sub(1) as f64 / round.tally.seconds.max(1e-9))
    }

    fn cpu(&self) -> Vec<f64> {
        self.of(|round| round.cpu * 100_000.0 / round.tally.received.max(1) as f64)
    }

    fn of(&self, part: impl Fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.iter().map(part).collect()
    }

    fn sum(&self, part: impl Fn(&Round) -> u64) -> u64 {
        self.rounds.iter().map(part).sum()
    }
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let events = arguments.events.unwrap_or(if arguments.long { 200_000 } else { 50_000 });
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 5 } else { 3 });
    let wanted = std::env::var("HMS_PEERS").unwrap_or_default();
    let here: Vec<Alternative> =
        ALL.into_iter().filter(|one| wanted.split_whitespace().any(|name| name == one.name)).collect();
    if here.is_empty() {
        eprintln!("peers: no alternative is there; benches/peers/run gets them and measures");
        std::process::exit(1);
    }
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    authority::make(place.path());
    let bench = Bench { place: place.path(), cores: arguments.cores, events, rounds };
    let mut drains = Vec::new();
    for (at, &flight) in arguments.flight.iter().enumerate() {
        let able: Vec<Alternative> = here.iter().copied().filter(|one| flight <= one.flight).collect();
        let sides = bench.drain(&[&[BARE, OURS], &able[..]].concat(), flight, 1);
        if at == 0 {
            enough(&sides);
        }
        drains.push(raw(&sides, flight, 1));
    }
    let able: Vec<Alternative> = here.iter().copied().filter(|one| one.batches).collect();
    drains.push(raw(&bench.drain(&[&[BARE], &able[..]].concat(), 1, BATCH), 1, BATCH));
    let latency = bench.latencies(&[&[OURS], &here[..]].concat());
    let versions = std::env::var("HMS_PEERS_VERSIONS").unwrap_or_default();
    json!({ "alternatives": versions.lines().collect::<Vec<_>>(), "events": events, "cores": format!("{:?}", arguments.cores), "rounds": rounds, "drains": drains,
            "latency ms": latency })
}

struct Bench<'a> {
    place: &'a Path,
    cores: Cores,
    events: u64,
    rounds: usize,
}

impl Bench<'_> {
    /// One table: everybody in turn, as many times as there are rounds.
    fn drain(&self, who: &[Alternative], flight: usize, batch: usize) -> Vec<Side> {
        let templates: Vec<PathBuf> = who.iter().map(|one| self.template(one, flight, batch)).collect();
        let mut sides: Vec<Side> = who.iter().map(|&who| Side { who, rounds: Vec::new() }).collect();
        for round in 0..self.rounds {
            for (side, template) in sides.iter_mut().zip(&templates) {
                eprintln!("peers: {flight} in flight, {batch} a request, round {round}: {}", side.who.name);
                side.rounds.push(self.round(&side.who, template, flight, batch));
            }
        }
        templates.iter().filter(|template| template.exists()).for_each(|path| std::fs::remove_dir_all(path).unwrap());
        let title = format!(
            "peers: {} events, HTTPS, {flight} in flight, {batch} a request, cores {:?}, median of {}",
            self.events, self.cores, self.rounds
        );
        table(&title, &sides);
        sides
    }

    fn share(&self, who: &Alternative) -> u64 {
        let whole = VERSIONS * BLOCK as u64;
        (self.events / who.share / whole).max(1) * whole
    }

    fn folder(&self) -> PathBuf {
        self.place.join("round")
    }

    /// A folder with the alternative's backlog, as far as it is in the application's file.
    fn template(&self, who: &Alternative, flight: usize, batch: usize) -> PathBuf {
        let template = self.place.join(format!("{}-{flight}-{batch}", who.name));
        make_office(&self.folder(), self.place, self.share(who));
        who.take_in(&self.setting(1, flight, batch, Cores::Free));
        std::fs::rename(self.folder(), &template).unwrap();
        template
    }

    fn setting(&self, port: u16, flight: usize, batch: usize, cores: Cores) -> Setting {
        Setting { folder: self.folder(), authority: self.place.to_owned(), port, flight, batch, cores }
    }

    fn round(&self, who: &Alternative, template: &Path, flight: usize, batch: usize) -> Round {
        let events = self.share(who);
        copy(template, &self.folder());
        let (mut receiver, mut sender, before);
        let tallies;
        if who.backlog == Backlog::Queue {
            // A target that comes back: the queue has been filled while nobody listened on its port.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            sender = who.start_filled(&self.setting(port, flight, batch, self.cores));
            before = process::cpu(sender.0.id());
            (receiver, tallies, _) = self.receiver(events, port);
        } else {
            let port;
            (receiver, tallies, port) = self.receiver(events, 0);
            sender = who.start(&self.setting(port, flight, batch, self.cores));
            before = 0.0;
        }
        let process = sender.0.id();
        let tally = until_end(&mut receiver, &tallies, events);
        let gone = sender.0.try_wait().unwrap().is_some();
        let (cpu, memory) =
            if gone { (0.0, 0.0) } else { (process::cpu(process) - before, process::peak_memory(process)) };
        let round = Round { tally, lost: events - tally.received, cpu, memory };
        if gone || round.lost > 0 {
            let log = std::fs::read_to_string(self.folder().join("log")).unwrap_or_default();
            let from = log.len().saturating_sub(2000);
            eprintln!(
                "peers: {} delivered {} of {events}: {}",
                who.name,
                tally.received,
                log.get(from..).unwrap_or("")
            );
        }
        drop((sender, receiver));
        std::fs::remove_dir_all(self.folder()).unwrap();
        round
    }
}

impl Bench<'_> {
    /// A receiver of its own, its tallies, and its port.
    fn receiver(&self, events: u64, port: u16) -> (Running, Receiver<String>, u16) {
        let mut command = self.cores.command(&std::env::current_exe().unwrap(), true);
        command.arg("as-ledger").arg(self.place);
        command.args([(events / VERSIONS).to_string(), events.to_string(), port.to_string()]);
        let mut receiver = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(receiver.0.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
        let (told, tallies) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
        (receiver, tallies, port)
    }
}

fn raw(sides: &[Side], flight: usize, batch: usize) -> Value {
    let bare = &sides[0];
    let each = sides.iter().map(|side| {
        json!({ "name": side.who.name, "events/s": side.rates(), "cpu s/100k": side.cpu(),
                "peak MB": side.of(|round| round.memory), "lost": side.of(|round| round.lost as f64),
                "receiver": side.rounds.iter().map(|round| round.tally).collect::<Vec<_>>(),
                "rate of bare": paired(&side.rates(), &bare.rates()),
                "cpu of bare": paired(&side.cpu(), &bare.cpu()) })
    });
    json!({ "in flight": flight, "events a request": batch, "sides": each.collect::<Vec<_>>() })
}

/// Waits until everything has come, or nothing new does.
fn until_end(receiver: &mut Running, tallies: &Receiver<String>, events: u64) -> Tally {
    let mut before = 0;
    loop {
        let line = match tallies.recv_timeout(STALL) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => panic!("the receiver has ended"),
            Err(RecvTimeoutError::Timeout) => {
                writeln!(receiver.0.stdin.as_mut().unwrap()).unwrap();
                tallies.recv().unwrap()
            }
        };
        let tally: Tally = serde_json::from_str(&line).unwrap();
        if tally.received == events || tally.received == before {
            return tally;
        }
        before = tally.received;
    }
}

/// Prints it, and how the agent stands beside the best that lost nothing.
fn table(title: &str, sides: &[Side]) {
    let bare = &sides[0];
    let rows: Vec<Vec<String>> = sides
        .iter()
        .map(|side| {
            vec![
                side.who.name.to_owned(),
                format!("{:.0}", median(&side.rates())),
                format!("{:.3}", paired(&side.rates(), &bare.rates())),
                format!("{:.2}", median(&side.cpu())),
                format!("{:.2}", paired(&side.cpu(), &bare.cpu())),
                format!("{:.1}", median(&side.of(|round| round.memory))),
                side.sum(|round| round.lost).to_string(),
                side.sum(|round| round.tally.repeated).to_string(),
                side.sum(|round| round.tally.overtaken).to_string(),
                side.sum(|round| round.tally.received).to_string(),
            ]
        })
        .collect();
    let head = [
        "",
        "events/s",
        "of bare",
        "CPU s/100k",
        "of bare",
        "peak MB",
        "lost",
        "repeated",
        "out of order",
        "of events",
    ];
    print(title, &head, &rows);
    let Some(ours) = sides.iter().find(|side| side.who.name == OURS.name) else { return };
    let lossless = || {
        sides
            .iter()
            .filter(|side| ALL.iter().any(|one| one.name == side.who.name))
            .filter(|side| side.sum(|round| round.lost) == 0)
    };
    let best = |sides: &mut dyn Iterator<Item = &Side>| -> Option<String> {
        let best = sides.max_by(|one, other| median(&one.rates()).total_cmp(&median(&other.rates())))?;
        let (rate, cpu) = (paired(&ours.rates(), &best.rates()), paired(&ours.cpu(), &best.cpu()));
        Some(format!("{} ({rate:.2} times its events/s, {cpu:.2} times its CPU)", best.who.name))
    };
    let none = || "none".to_owned();
    println!(
        "hms-sync beside the fastest alternative that lost nothing: {}",
        best(&mut lossless()).unwrap_or_else(none)
    );
    let ordered = best(&mut lossless().filter(|side| side.sum(|round| round.tally.overtaken) == 0));
    println!("hms-sync beside the fastest that also kept the order of each record: {}\n", ordered.unwrap_or_else(none));
}

/// Ends here when too few deliver anything to call it a comparison.
fn enough(sides: &[Side]) {
    let others = sides.iter().filter(|side| ALL.iter().any(|one| one.name == side.who.name));
    let (ran, not): (Vec<&Side>, Vec<&Side>) = others.partition(|side| side.sum(|round| round.tally.received) > 0);
    for side in &not {
        println!("peers: {} did not deliver a single event", side.who.name);
    }
    if ran.len() < LEAST {
        eprintln!("peers: fewer than {LEAST} alternatives could be run");
        std::process::exit(1);
    }
}

impl Bench<'_> {
    /// From the application's commit (its line in the socket, where the alternative has a queue of its own) to the
    /// request at the target, one change after the other at 20 a second.
    fn latencies(&self, who: &[Alternative]) -> Value {
        let (mut rows, mut results) = (Vec::new(), serde_json::Map::new());
        for one in who {
            eprintln!("peers: latency: {}", one.name);
            let values = self.latency(one);
            let at =
                |part| if values.is_empty() { "-".to_owned() } else { format!("{:.2}", percentile(&values, part)) };
            rows.push(vec![one.name.to_owned(), at(0.5), at(0.9), at(0.99), at(1.0)]);
            results.insert(one.name.to_owned(), json!(values));
        }
        let title = format!("peers: commit to received, {SAMPLES} changes at 20 a second, HTTPS, ms");
        print(&title, &["", "p50", "p90", "p99", "most"], &rows);
        Value::Object(results)
    }

    /// Milliseconds of each change; none if one did not come.
    fn latency(&self, who: &Alternative) -> Vec<f64> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let setting = self.setting(listener.local_addr().unwrap().port(), 1, 1, Cores::Free);
        make_office(&setting.folder, self.place, 0);
        who.take_in(&setting);
        let (tls, (arrived, arrivals)) = (authority::server(self.place), channel());
        std::thread::spawn(move || {
            receiver::serve(&listener, &tls, |body| {
                let now = Instant::now();
                ledger::events(body).for_each(|event| _ = arrived.send((event, now)));
            })
        });
        let running = who.start(&setting);
        let feed = (who.backlog == Backlog::Queue).then(|| Feed::open(&setting));
        let values = changes(&office::open(&setting.database()), feed, &arrivals);
        drop(running);
        std::fs::remove_dir_all(&setting.folder).unwrap();
        values.unwrap_or_default()
    }
}

/// Changes one record, again when the change before has arrived. None if one did not.
fn changes(db: &Connection, mut feed: Option<Feed>, arrivals: &Receiver<((usize, u32), Instant)>) -> Option<Vec<f64>> {
    office::insert(db, 1, 2);
    let mut values = Vec::new();
    for version in 2..=u32::try_from(WARM + SAMPLES).unwrap() + 1 {
        std::thread::sleep(PAUSE);
        office::update(db, 1, 2);
        if let Some(feed) = &mut feed {
            feed.write(&newest(db));
            feed.flush();
        }
        let committed = Instant::now();
        let arrived = loop {
            let (event, at) = arrivals.recv_timeout(STALL).ok()?;
            if event == (1, version) {
                break at;
            }
        };
        values.push(arrived.saturating_duration_since(committed).as_secs_f64() * 1000.0);
    }
    Some(values.split_off(WARM))
}

/// The newest event of the plain outbox.
fn newest(db: &Connection) -> String {
    let mut read = db.prepare_cached("SELECT body FROM plain ORDER BY seq DESC LIMIT 1").unwrap();
    read.query_row((), |row| row.get(0)).unwrap()
}

/// A folder whose application has written so many events, captured by the agent and by a plain JSON outbox. Records are
/// written in turn, a block of them at a time, so that events of one record come close after each other.
fn make_office(folder: &Path, place: &Path, events: u64) {
    std::fs::create_dir_all(folder.join("state")).unwrap();
    let db = office::open(&folder.join("office.db"));
    db.execute_batch(office::TABLE).unwrap();
    office::plain_outbox(&db);
    agent::configure(folder, place, 1, 1, 1);
    agent::prepare(folder);
    let mut from = 1;
    while from <= i64::try_from(events / VERSIONS).unwrap() {
        let to = from + BLOCK;
        office::batches(&db, from, to, BLOCK, |db, from, to| {
            office::insert(db, from, to);
            (1..VERSIONS).for_each(|_| office::update(db, from, to));
        });
        from = to;
    }
    db.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
}

/// The same folder again, on the disk; sockets stay behind.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if from.is_file() {
            std::fs::copy(&from, &to).unwrap();
            std::fs::File::open(&to).unwrap().sync_all().unwrap();
        }
    }
}
