//! Posting: `POST /sync` over TCP with keep-alive clients, each event durable before its answer, beside its two floors: the
//! same rows inserted by hand in groups of as many as there are clients, and an HTTP server of the same kind that only
//! answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::routing::post;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::agent;
use crate::support::figures::{median, paired, percentile, print};
use crate::support::process::{self, Cores};

/// Clients that post at once.
const CLIENTS: usize = 32;
/// What is wanted, events a second.
const WANTED: f64 = 5000.0;

/// One side of one round.
struct Round {
    rate: f64,
    /// Answer times in milliseconds.
    median: f64,
    slow: f64,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let span = Duration::from_secs(if arguments.long { 30 } else { 5 });
    let rounds = arguments.rounds.unwrap_or(3);
    let (mut ours, mut inserts, mut echoes, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        inserts.push(insert(&place.path().join("bare.db"), span));
        echoes.push(echo(span));
        let (round, used) = posted(place.path(), span);
        ours.push(round);
        cpu.push(used);
    }
    let rates = |rounds: &[Round]| rounds.iter().map(|round| round.rate).collect::<Vec<f64>>();
    let row = |name: &str, rounds: &[Round], beside: &str| {
        let of = |part: fn(&Round) -> f64| median(&rounds.iter().map(part).collect::<Vec<_>>());
        let (rate, middle, slow) = (of(|round| round.rate), of(|round| round.median), of(|round| round.slow));
        vec![name.to_owned(), format!("{rate:.0}"), beside.to_owned(), format!("{middle:.2}"), format!("{slow:.2}")]
    };
    let ratio = |floor: &[Round]| paired(&rates(&ours), &rates(floor));
    let rows = [
        row("insert by hand", &inserts, ""),
        row("HTTP that only answers", &echoes, ""),
        row("hms-sync", &ours, &format!("{:.2} / {:.2}", ratio(&inserts), ratio(&echoes))),
    ];
    let title =
        format!("posting: {CLIENTS} clients, durable answers, {span:?} a round, median of {rounds}; wanted {WANTED}/s");
    print(&title, &["", "events/s", "of insert / HTTP", "p50 ms", "p99 ms"], &rows);
    json!({
        "clients": CLIENTS, "seconds": span.as_secs(), "wanted events/s": WANTED,
        "ours": { "events/s": rates(&ours), "cpu s/100k": cpu, "p99 ms": ours.iter().map(|round| round.slow).collect::<Vec<_>>() },
        "insert": { "events/s": rates(&inserts) },
        "http": { "events/s": rates(&echoes) },
        "rate of insert": ratio(&inserts),
        "rate of http": ratio(&echoes),
    })
}

fn body(client: usize, n: usize) -> String {
    format!(
        r#"{{"type":"appointment-rule-changed","payload":{{"id":"{client}-{n}","clinic":"Outpatient audiology","duration":20,"slots":[1,2,3],"active":true}}}}"#
    )
}

/// So many clients post for a while.
fn clients(address: SocketAddr, token: &str, span: Duration) -> Round {
    let (times, began) = (Mutex::new(Vec::new()), Instant::now());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let times = &times;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                let (mut mine, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
                for n in 0.. {
                    if began.elapsed() >= span {
                        break;
                    }
                    let body = body(client, n);
                    let request = format!(
                        "POST /sync HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
                         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let asked = Instant::now();
                    stream.write_all(request.as_bytes()).unwrap();
                    let mut have = 0;
                    // The answers are small: their last byte closes an object.
                    while have == 0 || buffer[have - 1] != b'}' {
                        let read = stream.read(&mut buffer[have..]).unwrap();
                        assert!(read > 0, "it has hung up");
                        have += read;
                    }
                    assert!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer[..have]));
                    mine.push(asked.elapsed().as_secs_f64() * 1000.0);
                }
                times.lock().unwrap().extend(mine);
            });
        }
    });
    let times = times.into_inner().unwrap();
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    Round { rate, median: percentile(&times, 0.5), slow: percentile(&times, 0.99) }
}

/// The agent, and CPU seconds for 100,000 events.
fn posted(folder: &Path, span: Duration) -> (Round, f64) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Nobody wants what is posted: what is measured is taking it in.
    agent::configure(folder, folder, 1, 1, 1);
    let settings = std::fs::read_to_string(folder.join("sync.yaml")).unwrap();
    let settings = settings.replace("database: office.db\n", "").replace("watch: {appointments: {}}\n", "");
    let settings = settings.replace("governance: {default: public}\n", "");
    std::fs::write(folder.join("sync.yaml"), format!("{settings}api: {{listen: \"{address}\"}}\n")).unwrap();
    std::fs::write(
        folder.join("connectors/target-0.yaml"),
        "listen: another\ntarget: {url: http://127.0.0.1:1/x, plainHttp: true, method: POST}\n",
    )
    .unwrap();
    let running = agent::start(folder, Cores::Free);
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let token = std::fs::read_to_string(folder.join("state/api.token")).unwrap();
    let before = process::cpu(running.0.id());
    let round = clients(address, token.trim(), span);
    let used = process::cpu(running.0.id()) - before;
    let per = used / (round.rate * span.as_secs_f64()) * 100_000.0;
    (round, per)
}

/// The floor of storing: as many rows in each commit as there are clients.
fn insert(path: &Path, span: Duration) -> Round {
    let mut db = Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.execute_batch("CREATE TABLE plain (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, kind TEXT, body BLOB)")
        .unwrap();
    let (began, mut count, mut times) = (Instant::now(), 0, Vec::new());
    while began.elapsed() < span {
        let asked = Instant::now();
        let group = db.transaction().unwrap();
        for client in 0..CLIENTS {
            let mut insert = group.prepare_cached("INSERT INTO plain(at, kind, body) VALUES (1, 'x', ?1)").unwrap();
            insert.execute(params![body(client, count).into_bytes()]).unwrap();
        }
        group.commit().unwrap();
        count += 1;
        times.push(asked.elapsed().as_secs_f64() * 1000.0);
    }
    let rate = (count * CLIENTS) as f64 / began.elapsed().as_secs_f64();
    Round { rate, median: percentile(&times, 0.5), slow: percentile(&times, 0.99) }
}

/// The floor of answering.
fn echo(span: Duration) -> Round {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let answer = |axum::Json(asked): axum::Json<Value>| async move {
                axum::Json(json!({ "status": "ok", "id": asked["payload"]["id"] }))
            };
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, axum::Router::new().route("/sync", post(answer))).await.unwrap();
        });
    });
    clients(address, "none", span)
}
