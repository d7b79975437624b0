//! Latency: from the application's commit to the request at the target, at about 20 a second over TLS (P5). The floor
//! is what cannot be left out: one sync of the application's WAL, one durable commit in the state file, one request.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::client::Client;
use crate::support::figures::{percentile, print};
use crate::support::process::{self, Cores};
use crate::support::{agent, authority, journal, office, receiver};

/// Between two commits; every second one is the floor's.
const PAUSE: Duration = Duration::from_millis(25);
/// Commits before it counts.
const WARM: usize = 20;
/// Record of the floor's own requests.
const FLOOR: i64 = 1;
/// Record whose changes the agent delivers.
const OURS: i64 = 2;

type Arrivals = Receiver<(usize, Instant)>;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let samples = arguments.rounds.unwrap_or(if arguments.long { 2000 } else { 300 });
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    authority::make(place.path());
    let (arrived, arrivals) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = authority::server(place.path());
    std::thread::spawn(move || {
        receiver::serve(&listener, &tls, |body| {
            let (record, _) = journal::version(body).unwrap();
            let _ = arrived.send((record, Instant::now()));
        })
    });
    let folder = place.path().join("agent");
    std::fs::create_dir_all(folder.join("state")).unwrap();
    let db = office::open(&folder.join("office.db"));
    db.execute_batch(office::TABLE).unwrap();
    agent::configure(&folder, place.path(), port, 4, 1);
    agent::prepare(&folder);
    let agent = agent::start(&folder, Cores::Free);
    office::insert(&db, OURS, OURS + 1);
    arrivals.recv_timeout(Duration::from_secs(30)).expect("the agent does not deliver");
    let mut floor = Floor::new(place.path(), port);
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    let before = process::cpu(agent.0.id());
    for sample in 0..samples + WARM {
        std::thread::sleep(PAUSE);
        office::update(&db, OURS, OURS + 1);
        let committed = Instant::now();
        let took = arrival(&arrivals, OURS, committed);
        std::thread::sleep(PAUSE);
        let least = floor.sample(&arrivals);
        if sample >= WARM {
            ours.push(took);
            floors.push(least);
        }
    }
    let cpu = (process::cpu(agent.0.id()) - before) * 1000.0 / (samples + WARM) as f64;
    let row = |name: &str, values: &[f64]| {
        let at = |part| percentile(values, part);
        let ratio = |part| format!("{:.2}", at(part) / percentile(&floors, part));
        let ms = |part| format!("{:.3}", at(part));
        vec![name.to_owned(), ms(0.5), ratio(0.5), ms(0.9), ms(0.99), ms(1.0)]
    };
    let title =
        format!("latency: commit to received, {samples} changes at 20 a second, HTTPS, ms; {cpu:.2} CPU ms a change");
    print(&title, &["", "p50", "of floor", "p90", "p99", "most"], &[row("floor", &floors), row("hms-sync", &ours)]);
    let of_floor = percentile(&ours, 0.5) / percentile(&floors, 0.5);
    json!({ "ours ms": ours, "floor ms": floors, "p50 of floor": of_floor, "agent cpu ms a change": cpu })
}

/// Milliseconds from a moment until a record's request is there.
fn arrival(arrivals: &Arrivals, record: i64, from: Instant) -> f64 {
    loop {
        let (which, at) = arrivals.recv_timeout(Duration::from_secs(30)).expect("a change did not arrive");
        if i64::try_from(which) == Ok(record) {
            return at.saturating_duration_since(from).as_secs_f64() * 1000.0;
        }
    }
}

/// An office and a state file of the floor's own.
struct Floor {
    office: Connection,
    wal: File,
    state: Connection,
    client: Client,
    number: i64,
}

impl Floor {
    fn new(place: &Path, port: u16) -> Floor {
        let path = place.join("floor.db");
        let office = office::open(&path);
        office.execute_batch(office::TABLE).unwrap();
        office::plain_outbox(&office);
        office::insert(&office, FLOOR, FLOOR + 1);
        let state = office::open(&place.join("floor-state.db"));
        state.pragma_update(None, "synchronous", "FULL").unwrap();
        state.execute_batch("CREATE TABLE attempt (n INTEGER PRIMARY KEY, entry BLOB NOT NULL)").unwrap();
        let wal = File::open(place.join("floor.db-wal")).unwrap();
        let client = Client::connect(port, Arc::clone(&authority::client(place)));
        Floor { office, wal, state, client, number: 0 }
    }

    fn sample(&mut self, arrivals: &Arrivals) -> f64 {
        office::update(&self.office, FLOOR, FLOOR + 1);
        let committed = Instant::now();
        self.wal.sync_data().unwrap();
        self.number += 1;
        let mut intend = self.state.prepare_cached("INSERT INTO attempt VALUES (?1, zeroblob(32))").unwrap();
        intend.execute([self.number]).unwrap();
        let mut body = Vec::with_capacity(300);
        body.extend_from_slice(format!("{{\"record\":{FLOOR},\"version\":{}", self.number).as_bytes());
        body.resize(299, b' ');
        body.push(b'}');
        self.client.post(self.number, &body);
        arrival(arrivals, FLOOR, committed)
    }
}
