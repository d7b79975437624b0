//! What a receiver keeps of what came: how much, in which time, lost or out of order per record.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use serde::{Deserialize, Serialize};

use super::process::{Cores, Running};
use super::{authority, receiver};

/// What came until so much was there.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// From the first request to the last.
    pub seconds: f64,
    /// Events that were taken.
    pub received: u64,
    /// Versions of a record that came again.
    pub repeated: u64,
    /// Versions of a record that came before the one below them.
    pub overtaken: u64,
    /// Requests that were answered with 503.
    #[serde(default)]
    pub refused: u64,
    /// CPU seconds of the receiver.
    pub cpu: f64,
}

impl Tally {
    /// Requests a second since an earlier tally of the same receiver.
    pub fn rate_since(&self, earlier: &Tally) -> f64 {
        (self.received - earlier.received) as f64 / (self.seconds - earlier.seconds)
    }
}

/// Which record and version a body is about.
pub fn version(body: &[u8]) -> Option<(usize, u32)> {
    let after = |name: &[u8]| {
        let at = body.windows(name.len()).position(|part| part == name)?;
        Some(receiver::number(&body[at + name.len()..]))
    };
    Some((usize::try_from(after(b"\"record\":")?).ok()?, u32::try_from(after(b"\"version\":")?).ok()?))
}

/// The same of each record of a body with several.
pub fn versions(body: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let found = version(rest)?;
        let name = b"\"version\":";
        let at = rest.windows(name.len()).position(|part| part == name)?;
        rest = &rest[at + name.len()..];
        Some(found)
    })
}

/// How a receiver process answers, and when it tells.
#[derive(Clone, Debug, Parser)]
pub struct Manner {
    /// Folder of the authority
    pub folder: PathBuf,
    /// Records that there are
    pub records: usize,
    /// A tally is told once so many events have come
    #[arg(value_delimiter = ',')]
    pub marks: Vec<u64>,
    /// No TLS
    #[arg(long)]
    pub plain: bool,
    /// Events that come again count too (several connectors send the same)
    #[arg(long)]
    pub all: bool,
    /// Milliseconds after which it answers
    #[arg(long, default_value_t = 0)]
    pub after: u64,
    /// Part of the answers that are 503; which they are is the same in every run
    #[arg(long, default_value_t = 0.0)]
    pub refuse: f64,
}

impl Manner {
    /// Answers 200 at once, over TLS.
    pub fn new(folder: &Path, records: u64, marks: &[u64]) -> Manner {
        let (folder, marks) = (folder.to_owned(), marks.to_vec());
        Manner { folder, records: records as usize, marks, plain: false, all: false, after: 0, refuse: 0.0 }
    }

    fn words(&self) -> Vec<String> {
        let marks: Vec<String> = self.marks.iter().map(u64::to_string).collect();
        let mut words = vec![self.folder.display().to_string(), self.records.to_string(), marks.join(",")];
        words.extend([format!("--after={}", self.after), format!("--refuse={}", self.refuse)]);
        words.extend(self.plain.then(|| "--plain".to_owned()));
        words.extend(self.all.then(|| "--all".to_owned()));
        words
    }
}

/// A receiver in a process of its own.
pub struct Journal {
    process: Running,
    lines: Receiver<String>,
    /// Where it listens.
    pub port: u16,
}

impl Journal {
    /// Starts it.
    pub fn start(manner: &Manner, cores: Cores) -> Journal {
        let mut command = cores.command(&std::env::current_exe().unwrap(), true);
        let command = command.arg("as-receiver").args(manner.words()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running(command.spawn().unwrap());
        let mut said = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let port = said.next().unwrap().unwrap().parse().unwrap();
        let (told, lines) = channel();
        std::thread::spawn(move || said.map_while(Result::ok).try_for_each(|line| told.send(line)));
        Journal { process, lines, port }
    }

    /// The next tally; none = it did not come in this time.
    pub fn next(&self, patience: Duration) -> Option<Tally> {
        let line = self.lines.recv_timeout(patience).ok()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// What has come so far, whatever the marks.
    pub fn now(&mut self) -> Tally {
        writeln!(self.process.0.stdin.as_mut().unwrap()).unwrap();
        self.next(Duration::from_secs(30)).expect("the receiver does not answer")
    }
}

/// A receiver process, as [`Manner`] says. Prints its port, then a tally as JSON at each mark and for each line of its
/// input.
pub fn serve(words: impl Iterator<Item = String>) {
    let manner = Manner::parse_from(std::iter::once("as-receiver".to_owned()).chain(words));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Its first use gathers entropy: that is no time of who connects.
    aws_lc_rs::rand::fill(&mut [0; 32]).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let tally = Arc::new(Mutex::new(Tally::default()));
    let asked = Arc::clone(&tally);
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).for_each(|_| tell(&asked.lock().unwrap()))
    });
    let mut last = vec![0_u32; manner.records + 1];
    let mut marks = manner.marks.iter().peekable();
    let mut first: Option<Instant> = None;
    let mut chance = fastrand::Rng::with_seed(503);
    let tls = (!manner.plain).then(|| authority::server(&manner.folder));
    receiver::answer(&listener, tls.as_ref(), Duration::from_millis(manner.after), |body| {
        let first = *first.get_or_insert_with(Instant::now);
        let mut tally = tally.lock().unwrap();
        if manner.refuse > 0.0 && chance.f64() < manner.refuse {
            tally.refused += 1;
            return false;
        }
        let mut any = false;
        for (record, version) in versions(body) {
            any = true;
            match version.cmp(&(last[record] + 1)) {
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Less => tally.repeated += 1,
                std::cmp::Ordering::Greater => tally.overtaken += 1,
            }
            last[record] = last[record].max(version);
            tally.received += 1;
            let counted = tally.received - if manner.all { 0 } else { tally.repeated };
            if marks.next_if(|mark| **mark <= counted).is_some() {
                tally.seconds = first.elapsed().as_secs_f64();
                tally.cpu = super::process::cpu(std::process::id());
                tell(&tally);
            }
        }
        assert!(any, "a body without record and version");
        true
    })
    .unwrap();
}

fn tell(tally: &Tally) {
    println!("{}", serde_json::to_string(tally).unwrap());
}
