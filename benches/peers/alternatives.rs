//! The alternatives: how each is started, and how its backlog gets to where it keeps one.

use std::io::{BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::agent;
use crate::support::process::{Cores, Running};

/// Where an alternative keeps what it has not yet delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// In the application's file, captured by the agent's own triggers.
    Captured,
    /// In the application's file, a JSON outbox that a trigger writes.
    Outbox,
    /// In the application's file, apalis's job table, which a trigger writes.
    Jobs,
    /// In files of its own; the application writes a line an event into its socket.
    Queue,
}

/// Something that delivers.
#[derive(Clone, Copy, Debug)]
pub struct Alternative {
    /// As tables and `benches/peers/run --only` call it.
    pub name: &'static str,
    pub backlog: Backlog,
    /// It gets one in so many of the events, because it takes so much longer.
    pub share: u64,
    /// Requests in flight at most.
    pub flight: usize,
    /// Can send several events a request.
    pub batches: bool,
}

/// The floor.
pub const BARE: Alternative = known("bare loop", Backlog::Outbox, 1, 64, true);
/// The agent.
pub const OURS: Alternative = known("hms-sync", Backlog::Captured, 1, 64, false);
/// What a user would pick instead.
pub const ALL: [Alternative; 6] = [
    known("syslog-ng", Backlog::Queue, 1, 64, true),
    known("rsyslog", Backlog::Queue, 1, 64, false),
    known("node", Backlog::Outbox, 1, 64, true),
    known("python", Backlog::Outbox, 5, 64, true),
    known("apalis", Backlog::Jobs, 5, 64, false),
    known("tutorial", Backlog::Outbox, 50, 1, false),
];

const fn known(name: &'static str, backlog: Backlog, share: u64, flight: usize, batches: bool) -> Alternative {
    Alternative { name, backlog, share, flight, batches }
}

/// The surroundings of one start.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Folder of the alternative's own.
    pub folder: PathBuf,
    /// Folder of the authority.
    pub authority: PathBuf,
    pub port: u16,
    pub flight: usize,
    /// Events a request.
    pub batch: usize,
    pub cores: Cores,
}

impl Setting {
    /// The application's file.
    pub fn database(&self) -> PathBuf {
        self.folder.join("office.db")
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("feed.sock")
    }

    fn fed(&self) -> PathBuf {
        self.folder.join("fed")
    }
}

impl Alternative {
    /// Starts it; it delivers until it is stopped. What it says goes to `log` in its folder.
    pub fn start(&self, setting: &Setting) -> Running {
        let mut command = self.command(setting);
        let log = std::fs::File::create(setting.folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Running(command.spawn().unwrap())
    }

    fn command(&self, setting: &Setting) -> Command {
        let (here, cores) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers"), setting.cores);
        // Packages of the distribution lie unpacked in a folder: nothing of them is installed on the machine.
        let debian = PathBuf::from(std::env::var_os("HMS_PEERS_DEBIAN").unwrap_or_default());
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut command = match self.name {
            "bare loop" => {
                let mut command = cores.command(&std::env::current_exe().unwrap(), false);
                command.arg("as-bare").arg(setting.database()).arg(&setting.authority);
                command.args([setting.port.to_string(), setting.flight.to_string(), setting.batch.to_string()]);
                command
            }
            "hms-sync" => {
                agent::configure(&setting.folder, &setting.authority, setting.port, setting.flight, 1);
                let mut command = cores.command(Path::new(agent::PROGRAM), false);
                command.arg("--config").arg(&setting.folder).arg("run");
                command
            }
            "syslog-ng" => {
                let mut command = cores.command(&debian.join("usr/sbin/syslog-ng"), false);
                command.args(["--foreground", "--no-caps", "--cfgfile"]).arg(here.join("syslog-ng.conf"));
                command.arg(format!("--module-path={}", modules(&debian.join("usr/lib/syslog-ng"), "").display()));
                for (option, file) in [("persist-file", "persist"), ("pidfile", "pid"), ("control", "control")] {
                    command.arg(format!("--{option}={}", setting.folder.join(file).display()));
                }
                command
            }
            "rsyslog" => {
                let mut command = cores.command(&debian.join("usr/sbin/rsyslogd"), false);
                command.arg("-n").arg("-f").arg(here.join("rsyslog.conf")).arg("-i").arg(setting.folder.join("pid"));
                command.arg("-M").arg(modules(&debian.join("usr/lib"), "-linux-gnu").join("rsyslog"));
                command
            }
            "node" => {
                let mut command = cores.command(Path::new("node"), false);
                command.arg(here.join("node/outbox.mjs"));
                command
            }
            "python" => {
                let mut command = cores.command(Path::new("python3"), false);
                command.arg(here.join("outbox.py"));
                command
            }
            "tutorial" => {
                let mut command = cores.command(Path::new("python3"), false);
                command.arg(here.join("tutorial.py"));
                command
            }
            "apalis" => cores.command(&here.join("apalis/target/release/apalis-peer"), false),
            other => panic!("no alternative {other}"),
        };
        let around = if setting.batch > 1 { ["[", "]"] } else { ["", ""] };
        command.envs([
            ("PEER_FOLDER", text(&setting.folder)),
            ("PEER_DATABASE", text(&setting.database())),
            ("PEER_SOCKET", text(&setting.socket())),
            ("PEER_FED", text(&setting.fed())),
            ("PEER_CA", text(&setting.authority.join("ca.pem"))),
            ("PEER_PORT", setting.port.to_string()),
            ("PEER_URL", format!("https://127.0.0.1:{}/appointments", setting.port)),
            ("PEER_FLIGHT", setting.flight.to_string()),
            ("PEER_BATCH", setting.batch.to_string()),
            ("PEER_PREFIX", around[0].to_owned()),
            ("PEER_SUFFIX", around[1].to_owned()),
        ]);
        if self.backlog == Backlog::Queue {
            command.env("LD_LIBRARY_PATH", std::env::var_os("HMS_PEERS_LIBRARIES").unwrap_or_default());
        }
        command
    }

    /// Brings what the application's file has in its outbox to apalis's table, if it is apalis's to deliver.
    pub fn take_in(&self, setting: &Setting) {
        if self.backlog != Backlog::Jobs {
            return;
        }
        let done = self.command(setting).arg("tables").output().unwrap();
        assert!(done.status.success(), "apalis: {}", String::from_utf8_lossy(&done.stderr));
        // The trigger of an application that wants its job in the transaction of its own row.
        let job = |row: &str| {
            format!(
                "INSERT INTO Jobs (job, id, job_type)
                 SELECT CAST({row}body AS BLOB), printf('%026d', {row}seq), '{}'",
                String::from_utf8_lossy(&done.stdout).trim()
            )
        };
        let db = Connection::open(setting.database()).unwrap();
        db.execute_batch(&format!(
            "{} FROM plain ORDER BY seq; CREATE TRIGGER job AFTER INSERT ON plain BEGIN {}; END;
             PRAGMA wal_checkpoint(TRUNCATE);",
            job(""),
            job("NEW.")
        ))
        .unwrap();
    }

    /// Starts it with the target out of reach, and gives its queue what the application's file has in its outbox.
    pub fn start_filled(&self, setting: &Setting) -> Running {
        let running = self.start(setting);
        let mut feed = Feed::open(setting);
        let db = Connection::open(setting.database()).unwrap();
        let mut read = db.prepare("SELECT body FROM plain ORDER BY seq").unwrap();
        let bodies = read.query_map((), |row| row.get::<_, String>(0)).unwrap();
        bodies.for_each(|body| feed.write(&body.unwrap()));
        feed.write("END");
        feed.flush();
        until("the queue to have everything", || std::fs::metadata(setting.fed()).is_ok_and(|file| file.len() > 0));
        running
    }
}

/// The application's end of the socket of an alternative with a queue of its own.
pub struct Feed(BufWriter<UnixStream>);

impl Feed {
    /// Waits until the alternative listens.
    pub fn open(setting: &Setting) -> Feed {
        let mut stream = None;
        until("a socket for the application", || {
            stream = UnixStream::connect(setting.socket()).ok();
            stream.is_some()
        });
        Feed(BufWriter::new(stream.unwrap()))
    }

    /// An event, or END.
    pub fn write(&mut self, line: &str) {
        writeln!(self.0, "{line}").unwrap();
    }

    pub fn flush(&mut self) {
        self.0.flush().unwrap();
    }
}

fn until(what: &str, mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < Duration::from_secs(120), "waited two minutes for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The folder with this end of its name, whatever the processor or the version before it is called.
fn modules(folder: &Path, end: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir() && path.to_string_lossy().ends_with(end)).max().unwrap_or_default()
}
