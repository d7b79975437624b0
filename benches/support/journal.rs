//! What a receiver keeps of what came: how much, in which time, lost or out of order per record.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{authority, receiver};

/// What came until everything was there.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// From the first request to the last.
    pub seconds: f64,
    /// Requests.
    pub received: u64,
    /// Versions of a record that came again.
    pub repeated: u64,
    /// Versions of a record that came before the one below them.
    pub overtaken: u64,
    /// CPU seconds of the receiver.
    pub cpu: f64,
}

/// Which record and version a body is about.
pub fn version(body: &[u8]) -> Option<(usize, u32)> {
    let after = |name: &[u8]| {
        let at = body.windows(name.len()).position(|part| part == name)?;
        Some(receiver::number(&body[at + name.len()..]))
    };
    Some((usize::try_from(after(b"\"record\":")?).ok()?, u32::try_from(after(b"\"version\":")?).ok()?))
}

/// A receiver process: folder of the authority, number of records, number of events. Prints its port, and the tally as
/// JSON once so many events have come.
pub fn serve(mut words: impl Iterator<Item = String>) {
    let folder = PathBuf::from(words.next().unwrap());
    let records: usize = words.next().unwrap().parse().unwrap();
    let events: u64 = words.next().unwrap().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr().unwrap().port()).unwrap();
    let mut last = vec![0_u32; records + 1];
    let mut tally = Tally::default();
    let mut first: Option<Instant> = None;
    receiver::serve(&listener, &authority::server(&folder), |body| {
        let first = *first.get_or_insert_with(Instant::now);
        let (record, version) = version(body).expect("a body without record and version");
        match version.cmp(&(last[record] + 1)) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Less => tally.repeated += 1,
            std::cmp::Ordering::Greater => tally.overtaken += 1,
        }
        last[record] = last[record].max(version);
        tally.received += 1;
        if tally.received - tally.repeated == events {
            tally.seconds = first.elapsed().as_secs_f64();
            tally.cpu = super::process::cpu(std::process::id());
            writeln!(out, "{}", serde_json::to_string(&tally).unwrap()).unwrap();
        }
    })
    .unwrap();
}
