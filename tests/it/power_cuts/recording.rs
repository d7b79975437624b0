//! Application and agent at work together under one strace, and what of that left by the wire.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use super::clerk::{Clerk, SCHEMA, ward};
use crate::support::ca::Ca;
use crate::support::disk::{Disk, Image};
use crate::support::journal::{Entry, committed};
use crate::support::office::{Office, RETRY, wait};
use crate::support::receiver::{Door, Receiver};
use crate::support::scenario::Mix;
use crate::support::trace::{self, Act, Call};

/// Transactions of one recording.
const TRANSACTIONS: usize = 60;

/// How the application keeps its file, and what the target wants of it.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub journal: &'static str,
    pub synchronous: &'static str,
    /// Whether the connector wants only a few of the records. Its cursor passes over many changes then for which
    /// nothing is sent; and the agent is restarted more often, because that is when such a cursor is stored.
    pub few: bool,
}

/// A request that left, and between which moments it was sent and answered.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: usize,
    pub answered: usize,
    pub entry: Entry,
}

/// A commit that the application was told of, and when.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub at: usize,
    /// The number of its last change.
    pub n: i64,
}

/// What was recorded.
pub struct Recording {
    pub office: Office,
    pub target: Receiver,
    start: Image,
    calls: Vec<Call>,
    pub sent: Vec<Sent>,
    pub told: Vec<Told>,
    /// Moments from which cuts are drawn: something happened to a file or went out.
    pub moments: Vec<usize>,
}

impl Setup {
    /// Whether the connector wants a record.
    pub fn wants(self, id: i64) -> bool {
        !self.few || ward(id) == "north"
    }

    /// Lets both work, with restarts of the agent and reopenings of the application's file, and faults at the target.
    pub fn record(self, seed: u64) -> Recording {
        let target = Receiver::start_with(Arc::new(Ca::new()), Door::Plain, "127.0.0.1:0");
        let refused = if self.few { 30 } else { 8 };
        let lost = [(4, "commit_rst"), (3, "commit_close"), (3, "rst_after_request")];
        target.mix(Some(Mix::new(seed, &[&[(82, "ok"), (refused, "status_503")], &lost[..]].concat())));
        let office = Office::new(SCHEMA);
        office.settings("visits: {}");
        let only = if self.few { "where: ward == 'north'\n" } else { "" };
        let url = target.url("/visits/{id}");
        office.connector(
            "legacy",
            &format!("{only}target: {{url: \"{url}\", method: PUT}}\nstart: beginning\n{RETRY}\n"),
        );
        let app = Connection::open(office.database()).unwrap();
        let mode = if self.journal == "wal" { "wal" } else { "delete" };
        app.pragma_update(None, "journal_mode", mode).unwrap();
        app.close().unwrap();
        let start = Image::of(office.folder(), &["app"]);
        let mut both = Both::start(&office);
        self.work(&mut both, &target, seed);
        both.end(&office);
        let root = root(&office);
        let log = std::fs::read(office.folder().join("trace")).unwrap();
        let calls = trace::read(&log, |path| is_modelled(&root, path));
        let sent = requests(&calls, &target.journal());
        assert_eq!(sent.len(), target.journal().len(), "the log has every request");
        let told = calls.iter().filter_map(told).collect();
        let matters = |call: &&Call| !matches!(call.act, Act::Hear { .. });
        let moments = calls.iter().filter(matters).flat_map(|call| [call.begin, call.end]).collect();
        target.mix(None);
        Recording { office, target, start, calls, sent, told, moments }
    }

    fn work(self, both: &mut Both, target: &Receiver, seed: u64) {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut clerk = Clerk::new(seed, 1, std::collections::BTreeSet::new());
        let mut wanted = 0;
        both.open(self);
        for number in 1..=TRANSACTIONS {
            let (sql, changes) = clerk.transaction();
            let last = changes.last().unwrap().n;
            wanted += changes.iter().filter(|change| self.wants(change.id)).count();
            both.write(&format!("{sql} SELECT 'commit {last}';"), &format!("commit {last}"));
            if number % if self.few { 5 } else { 20 } == 0 {
                both.restart();
            }
            if number % 13 == 0 {
                both.open(self);
            }
            if dice.u32(..3) == 0 {
                target.wait("what was written arrives", |journal| committed(journal) >= wanted);
            }
        }
        target.wait("everything arrives", |journal| committed(journal) >= wanted);
    }
}

fn root(office: &Office) -> PathBuf {
    office.folder().canonicalize().unwrap()
}

impl Recording {
    /// The disk under both.
    pub fn disk(&self) -> Disk {
        Disk::new(&self.start, &root(&self.office), &self.calls)
    }

    /// The disk as it would be if the agent synced nothing of the application's.
    pub fn disk_of_a_careless_agent(&self) -> Disk {
        let application = self.calls.iter().find(|call| told(call).is_some()).unwrap().thread;
        let files = root(&self.office).join("app");
        let careless = |call: &&Call| match &call.act {
            Act::Sync { path, .. } => call.thread == application || !path.starts_with(&files),
            _ => true,
        };
        Disk::new(&self.start, &root(&self.office), self.calls.iter().filter(careless))
    }
}

/// Files whose fate is looked at. SQLite makes a `-shm` anew, and the lock and the socket hold nothing.
pub fn is_modelled(root: &Path, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = ["-shm", ".lock", ".sock"].iter().any(|end| name.ends_with(end));
    let inside = path == root || ["app", "state"].iter().any(|folder| path.starts_with(root.join(folder)));
    inside && !beside
}

/// The two processes under strace.
struct Both {
    strace: Child,
    orders: ChildStdin,
    answers: std::io::Lines<BufReader<std::process::ChildStdout>>,
    folder: PathBuf,
    lock: PathBuf,
    database: PathBuf,
    starts: usize,
}

impl Both {
    /// Starts both; the agent is started again whenever it ends.
    fn start(office: &Office) -> Both {
        const SCRIPT: &str = r#"cd "$0"; until [ -e stop ]; do "$@" 2>>said; done & sqlite3 -batch; wait"#;
        let agent = office.command(&["-v", "run"]);
        let mut command = Command::new("strace");
        command.args(["-f", "--seccomp-bpf", "-y", "-s", "16777216", "-e", "signal=none"]);
        command.arg("-e").arg(format!("trace={}", trace::CALLS));
        command.arg("-o").arg(office.folder().join("trace"));
        command.args(["sh", "-c", SCRIPT]).arg(office.folder()).arg(agent.get_program()).args(agent.get_args());
        for (name, value) in agent.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut strace = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("strace is needed");
        let orders = strace.stdin.take().unwrap();
        let answers = BufReader::new(strace.stdout.take().unwrap()).lines();
        let (folder, database) = (office.folder().to_owned(), office.database());
        let lock = PathBuf::from(format!("{}.lock", office.state().display()));
        let both = Both { strace, orders, answers, folder, lock, database, starts: 1 };
        both.wait_running();
        both
    }

    fn wait_running(&self) {
        let said = || std::fs::read_to_string(self.folder.join("said")).unwrap_or_default();
        wait("the agent runs", || said().matches("running: ").count() >= self.starts);
    }

    /// Gives the application an order and waits for its answer.
    fn write(&mut self, sql: &str, answer: &str) {
        writeln!(self.orders, "{sql}").unwrap();
        loop {
            let line = self.answers.next().expect("the application has ended").unwrap();
            if line == answer {
                return;
            }
        }
    }

    /// The application opens its file, anew if it has it open.
    fn open(&mut self, setup: Setup) {
        let open = format!(
            ".open {}\n.timeout 20000\nPRAGMA journal_mode={}; PRAGMA synchronous={}; PRAGMA wal_autocheckpoint=25; \
             SELECT 'open';",
            self.database.display(),
            setup.journal,
            setup.synchronous
        );
        self.write(&open, "open");
    }

    fn signal(&self) {
        let lock = std::fs::read_to_string(&self.lock).unwrap();
        let pid = lock.lines().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        kill_process(pid.unwrap(), Signal::TERM).unwrap();
    }

    /// The agent ends as it should and starts again.
    fn restart(&mut self) {
        self.signal();
        self.starts += 1;
        self.wait_running();
    }

    fn end(mut self, office: &Office) {
        std::fs::write(self.folder.join("stop"), "").unwrap();
        self.signal();
        drop(self.orders);
        let ended = self.strace.wait().unwrap();
        let said = std::fs::read_to_string(office.folder().join("said")).unwrap();
        assert!(ended.success(), "{said}");
    }
}

/// The commit that the application tells of by this call, if it does.
fn told(call: &Call) -> Option<Told> {
    let Act::Say { bytes, .. } = &call.act else { return None };
    let text = std::str::from_utf8(bytes).ok()?;
    Some(Told { at: call.end, n: text.strip_prefix("commit ")?.trim_end().parse().ok()? })
}

/// The requests in the order in which they had left, each with what the target did with it.
fn requests(calls: &[Call], journal: &[Entry]) -> Vec<Sent> {
    let mut streams: HashMap<&str, Vec<u8>> = HashMap::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    let mut sent: Vec<Sent> = Vec::new();
    for call in calls {
        match &call.act {
            Act::Say { stream, bytes } if stream.starts_with("socket:") => {
                let waiting = streams.entry(stream).or_default();
                waiting.extend_from_slice(bytes);
                while let Some((entry, length)) = request(waiting) {
                    waiting.drain(..length);
                    open.insert(stream, sent.len());
                    sent.push(Sent { at: call.end, answered: usize::MAX, entry });
                }
            }
            Act::Hear { stream } => {
                if let Some(at) = open.remove(stream.as_str()) {
                    sent[at].answered = call.end;
                }
            }
            _ => {}
        }
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for sent in &mut sent {
        let time = seen.entry(sent.entry.key.clone()).or_default();
        let arrived = journal.iter().filter(|entry| entry.key == sent.entry.key).nth(*time);
        let arrived = arrived.unwrap_or_else(|| panic!("{} left and never arrived", sent.entry.key));
        *time += 1;
        assert_eq!(arrived.body, sent.entry.body);
        sent.entry = arrived.clone();
    }
    sent
}

/// One whole request at the beginning of these bytes, and its length.
fn request(bytes: &[u8]) -> Option<(Entry, usize)> {
    if !bytes.starts_with(b"PUT ") && !bytes.starts_with(b"DELETE ") {
        return None;
    }
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap().to_ascii_lowercase();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length = field("content-length:").map_or(0, |digits| digits.parse().unwrap());
    let body = bytes.get(head..head + length)?.to_vec();
    let mut words = text.split(' ').map(str::to_owned);
    let entry = Entry {
        connection: 0,
        method: words.next()?,
        path: words.next()?,
        headers: Vec::new(),
        body,
        key: field("idempotency-key:")?.trim_matches('"').to_owned(),
        committed: false,
        scenario: String::new(),
    };
    Some((entry, head + length))
}
