//! An office on its own: an application's database, a configuration, a state folder, and the shipped binary.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use hms_sync::rules::outcome::Reason;
use hms_sync::store::state::connector::{self, Mode};
use hms_sync::store::state::parked::{self, Parked, Selection};
use hms_sync::store::state::{StateReader, cursor, log as logs};
use rusqlite::Connection;

use super::receiver::Receiver;

/// Longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// SIGTERM to the end.
const LONGEST_STOP: Duration = Duration::from_secs(15);

/// The folders of one office; they go with it.
pub struct Office {
    folder: tempfile::TempDir,
}

/// A verb that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    /// What it died of.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Office {
    /// An office whose application has made its tables, in WAL mode.
    pub fn new(schema: &str) -> Office {
        let folder = tempfile::tempdir().unwrap();
        for name in ["app", "config/connectors"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let office = Office { folder };
        let app = office.app();
        app.pragma_update(None, "journal_mode", "wal").unwrap();
        app.execute_batch(schema).unwrap();
        office
    }

    /// One in a folder that has everything.
    pub fn of(folder: tempfile::TempDir) -> Office {
        Office { folder }
    }

    /// One with `visits(id, name)`, watched.
    pub fn visits() -> Office {
        let office = Office::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, minutes);");
        office.settings("visits: {}");
        office
    }

    /// One with a target, `legacy`: the agent will find what the SQL leaves there. `more` are further lines of the
    /// connector.
    pub fn with(target: &Receiver, more: &str, sql: &str) -> Office {
        let office = Office::visits();
        office.rest("legacy", target, more);
        assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
        office.sql(sql);
        office
    }

    /// Another one, as this one is now. Nobody may have its files open.
    pub fn copy(&self) -> Office {
        let folder = tempfile::tempdir().unwrap();
        copy_tree(self.folder(), folder.path());
        Office { folder }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The application's file.
    pub fn database(&self) -> PathBuf {
        self.folder().join("app/office.db")
    }

    /// The agent's file.
    pub fn state(&self) -> PathBuf {
        self.folder().join("state/state.db")
    }

    /// Every file that the agent keeps beside its own, at whatever depth.
    pub fn kept(&self) -> Vec<PathBuf> {
        files_beneath(self.state().parent().unwrap())
    }

    /// The configuration's folder.
    pub fn config(&self) -> PathBuf {
        self.folder().join("config")
    }

    /// A connection of the application's own; like many an application it does not wait for locks.
    pub fn app(&self) -> Connection {
        let app = Connection::open(self.database()).unwrap();
        // The pragma reads the file, which in rollback-journal mode can meet a write of the agent.
        app.busy_timeout(Duration::from_secs(10)).unwrap();
        app.pragma_update(None, "synchronous", "normal").unwrap();
        app.busy_timeout(Duration::ZERO).unwrap();
        app
    }

    /// The application writes. What it is refused because of a lock it tries again, as it would without an agent.
    pub fn sql(&self, sql: &str) {
        let app = self.app();
        app.busy_timeout(Duration::from_secs(10)).unwrap();
        app.execute_batch(sql).unwrap();
    }

    /// Writes `sync.yaml`; `watch` is the inside of its `watch:`.
    pub fn settings(&self, watch: &str) {
        let text = format!("database: ../app/office.db\nstate: ../state/state.db\noffice: OF042\nwatch: {{{watch}}}\n");
        std::fs::write(self.config().join("sync.yaml"), text).unwrap();
    }

    /// Adds a line to `sync.yaml`.
    pub fn add_settings(&self, line: &str) {
        let path = self.config().join("sync.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{line}\n")).unwrap();
    }

    /// Writes a connector's file.
    pub fn connector(&self, name: &str, yaml: &str) {
        std::fs::write(self.config().join(format!("connectors/{name}.yaml")), yaml).unwrap();
    }

    /// A connector that PUTs and DELETEs visits at a target, soon again when it fails; `more` are further lines.
    pub fn rest(&self, name: &str, target: &Receiver, more: &str) {
        let url = target.url("/visits/{id}");
        let ca = target.ca.file();
        self.connector(
            name,
            &format!(
                "target: {{url: \"{url}\", method: PUT, tls: {{ca: \"{}\"}}}}\nstart: beginning\n{RETRY}\n{more}\n",
                ca.display()
            ),
        );
    }

    /// The binary with arguments, in this office and nowhere else.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hms-sync"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HMS_") {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.folder()).env("XDG_RUNTIME_DIR", self.folder()).env_remove("XDG_STATE_HOME");
        command.arg("-c").arg(self.config()).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a verb to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.command(arguments))
    }

    /// Delivers once, with the summary as JSON.
    pub fn once(&self) -> (Option<i32>, serde_json::Value) {
        let ended = self.run(&["--json", "run", "--once"]);
        let summary = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("no summary: {ended:#?}"));
        (ended.code, summary)
    }

    /// Starts the agent and waits until it runs.
    pub fn agent(&self) -> Agent {
        let agent = Agent::start(self.command(&["-v", "run"]));
        agent.says("running: ");
        agent
    }

    /// A reading connection to the agent's file.
    pub fn reader(&self) -> StateReader {
        StateReader::open(&self.state()).unwrap()
    }

    /// The parked deliveries of a connector, in log order.
    pub fn parked(&self, connector: &str) -> Vec<Parked> {
        let which = Selection { connector: Some(connector.to_owned()), ..Selection::default() };
        let parked = self.reader().read(|db| parked::select(db, &which)).unwrap();
        parked.into_iter().map(|(_, parked)| parked).collect()
    }

    /// Their states and reasons, in short.
    pub fn parked_words(&self, connector: &str) -> Vec<String> {
        let word = |parked: &Parked| format!("{} {}", parked.state.as_str(), parked.reason.class);
        self.parked(connector).iter().map(word).collect()
    }

    /// Mode of a connector, and why.
    pub fn mode(&self, connector: &str) -> (Mode, Option<Reason>) {
        let known = self.reader().read(|db| connector::find(db, connector)).unwrap().unwrap();
        (known.mode, known.reason)
    }

    /// Waits until a connector has nothing left to do: everything captured lies below its cursor, nothing is parked.
    pub fn wait_settled(&self, connector: &str) {
        let highest = self.highest();
        let settled = || self.cursor(connector) >= highest && self.parked(connector).is_empty();
        wait(&format!("{connector} settles everything"), settled);
    }

    /// The highest position in the captured log.
    pub fn highest(&self) -> i64 {
        let last = "SELECT coalesce(max(seq), 0) FROM hms_sync_outbox";
        let app = self.app();
        // In rollback-journal mode a read can meet a write of the agent.
        app.busy_timeout(Duration::from_secs(10)).unwrap();
        app.query_row(last, [], |row| row.get(0)).unwrap()
    }

    /// Where a connector's cursor stands.
    pub fn cursor(&self, connector: &str) -> i64 {
        self.reader()
            .read(|db| {
                let known = connector::find(db, connector)?.unwrap();
                let log = logs::find(db, "office")?.unwrap();
                Ok(cursor::get(db, known.id, log)?.unwrap().seq)
            })
            .unwrap()
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Three visits.
pub const THREE: &str = "INSERT INTO visits VALUES (1, 'Ada', 10), (2, 'Bea', 20), (3, 'Cy', 30);";

/// Short delays, for tests.
pub const RETRY: &str = "retryPolicy: {backoff: 20ms, maxBackoff: 200ms}";

/// Every file in a folder and in the folders in it; none where it is not there.
pub fn files_beneath(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_beneath(&path)) } else { files.push(path) }
    }
    files
}

/// Waits for something that can only be looked at.
pub fn wait(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a command to its end.
pub fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (code, signal) = (output.status.code(), output.status.signal());
    Ended { code, signal, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A running agent. It is killed when dropped.
pub struct Agent {
    child: Child,
    said: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Agent {
    /// Starts one.
    pub fn start(mut command: Command) -> Agent {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
        let (lines, heard) = (BufReader::new(child.stderr.take().unwrap()).lines(), said.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.0.lock().unwrap().push(line);
                heard.1.notify_all();
            }
        });
        Agent { child, said }
    }

    /// Waits until it has said so much on stderr.
    pub fn says(&self, text: &str) {
        let said = self.said.0.lock().unwrap();
        let has = |said: &[String]| said.iter().any(|line| line.contains(text));
        let (said, waited) = self.said.1.wait_timeout_while(said, PATIENCE, |said| !has(said)).unwrap();
        assert!(!waited.timed_out(), "it never said {text:?} but: {said:#?}");
    }

    /// Everything it has said so far.
    pub fn said(&self) -> String {
        self.said.0.lock().unwrap().join("\n")
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How it has ended, if it has.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end, as long as it may take (R-TERM).
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < LONGEST_STOP, "it does not end; it said: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGTERM: it must end well.
    pub fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.said());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
