//! What the receiver of a comparison keeps: which event came, how often, and whether a later one of its record had come
//! before it. Any number of events a request; a request without one (a probe) does not count.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::support::{authority, process, receiver};

/// What came so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// From the first event to the last new one.
    pub seconds: f64,
    /// Requests with events.
    pub requests: u64,
    /// Different events.
    pub received: u64,
    /// Events that had come before.
    pub repeated: u64,
    /// Events that came, for the first time, after a later one of the same record.
    pub overtaken: u64,
    /// CPU seconds of the receiver.
    pub cpu: f64,
}

/// The events of a body: record and version.
pub fn events(body: &[u8]) -> impl Iterator<Item = (usize, u32)> + '_ {
    let mut rest = body;
    let mut number = move |name: &[u8]| {
        let at = rest.windows(name.len()).position(|part| part == name)? + name.len();
        rest = &rest[at..];
        Some(receiver::number(rest))
    };
    std::iter::from_fn(move || {
        let record = usize::try_from(number(b"\"record\":")?).ok()?;
        Some((record, u32::try_from(number(b"\"version\":")?).ok()?))
    })
}

#[derive(Default)]
struct Ledger {
    /// By record: a bit for each version that came.
    seen: Vec<u32>,
    first: Option<Instant>,
    last: Option<Instant>,
    tally: Tally,
}

impl Ledger {
    fn enter(&mut self, body: &[u8]) {
        let before = self.tally.received;
        let mut any = false;
        for (record, version) in events(body) {
            any = true;
            let seen = &mut self.seen[record];
            let bit = 1 << (version - 1);
            if *seen & bit != 0 {
                self.tally.repeated += 1;
                continue;
            }
            self.tally.overtaken += u64::from(*seen > bit);
            *seen |= bit;
            self.tally.received += 1;
        }
        self.tally.requests += u64::from(any);
        if self.tally.received > before {
            let now = Instant::now();
            self.first.get_or_insert(now);
            self.last = Some(now);
        }
    }

    fn tell(&self) {
        let seconds = self.last.zip(self.first).map_or(0.0, |(last, first)| (last - first).as_secs_f64());
        let tally = Tally { seconds, cpu: process::cpu(std::process::id()), ..self.tally };
        println!("{}", serde_json::to_string(&tally).unwrap());
    }
}

/// A receiver process: folder of the authority, number of records, number of events, port or 0 for any. Prints its
/// port, then the tally as JSON once every event has come, and whenever a line comes in at its input.
pub fn serve(mut words: impl Iterator<Item = String>) {
    let folder = PathBuf::from(words.next().unwrap());
    let records: usize = words.next().unwrap().parse().unwrap();
    let events: u64 = words.next().unwrap().parse().unwrap();
    let port: u16 = words.next().unwrap().parse().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let ledger = Arc::new(Mutex::new(Ledger { seen: vec![0; records + 1], ..Ledger::default() }));
    let asked = Arc::clone(&ledger);
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).for_each(|_| asked.lock().unwrap().tell());
    });
    receiver::serve(&listener, &authority::server(&folder), |body| {
        let mut ledger = ledger.lock().unwrap();
        let before = ledger.tally.received;
        ledger.enter(body);
        if before < events && ledger.tally.received == events {
            ledger.tell();
        }
    })
    .unwrap();
}
