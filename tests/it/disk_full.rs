//! A full disk: the agent goes on running, sends nothing that it cannot first record, answers, and goes on by itself when
//! there is space again (R-DISK).
//!
//! The disk is a tmpfs of 2 MB in a mount namespace of the agent's own. Where no file system may be mounted, strace
//! answers the agent's writes for the disk instead, and lets go of it when there is to be space.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use hms_sync::store::state::{StateReader, intake};
use rustix::process::{Pid, Signal, kill_process};

use crate::alerts::{QUICK, lines, words};
use crate::support::journal::committed;
use crate::support::loopback::Way;
use crate::support::office::{Agent, Office, ended, wait};
use crate::support::receiver::Receiver;
use crate::support::strace::{Fault, Injection, Strace, files_of};
use crate::support::verdict::{arrivals, integrity, intended, recorded};
use crate::support::visits::Memory;

/// A disk that can be filled.
trait Disk {
    /// Starts the agent with its state file there.
    fn start(&mut self, office: &Office) -> Agent;
    /// Leaves no byte.
    fn fill(&mut self, office: &Office, agent: &Agent);
    /// Takes away what filled it.
    fn free(&mut self, office: &Office, agent: &Agent);
    /// The state file, or a copy of it, where this process can read it.
    fn state(&self, office: &Office, agent: &Agent) -> PathBuf;
    /// A verb, where the agent's files are.
    fn verb(&self, office: &Office, agent: &Agent, arguments: &[&str]) -> Command;
}

/// A real one, of 2 MB.
struct Tmpfs {
    /// `unshare` with what this user needs to mount something.
    unshare: Vec<&'static str>,
}

impl Tmpfs {
    /// None where this user may mount nothing.
    fn new() -> Option<Tmpfs> {
        let ways: [&[&'static str]; 2] = [&["--mount"], &["--mount", "--map-root-user"]];
        let folder = tempfile::tempdir().unwrap();
        let works = |way: &&&[&str]| {
            let mut unshare = Command::new("unshare");
            unshare.args(**way).args(["--", "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(folder.path());
            unshare.output().is_ok_and(|output| output.status.success())
        };
        ways.iter().find(works).map(|way| Tmpfs { unshare: way.to_vec() })
    }

    fn filler(office: &Office, agent: &Agent) -> PathBuf {
        inside(agent, &office.folder().join("state/filler"))
    }
}

/// A path as the agent sees it.
fn inside(agent: &Agent, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{}/root", agent.pid())).join(path.strip_prefix("/").unwrap())
}

/// A command around another one.
fn around(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

impl Disk for Tmpfs {
    fn start(&mut self, office: &Office) -> Agent {
        let state = office.folder().join("state");
        std::fs::create_dir(&state).unwrap();
        let mut unshare = Command::new("unshare");
        let script = "mount -t tmpfs -o size=2m,mode=0700 tmpfs \"$0\" && exec \"$@\"";
        unshare.args(&self.unshare).args(["--", "sh", "-c", script]).arg(state);
        let agent = Agent::start(around(unshare, &office.command(&["-v", "run"])));
        agent.says("running: ");
        agent
    }

    fn fill(&mut self, office: &Office, agent: &Agent) {
        let mut filler = std::fs::File::create(Tmpfs::filler(office, agent)).unwrap();
        for size in [65536, 4096, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&mut self, office: &Office, agent: &Agent) {
        std::fs::remove_file(Tmpfs::filler(office, agent)).unwrap();
    }

    fn state(&self, office: &Office, agent: &Agent) -> PathBuf {
        // SQLite would follow the way through /proc back to this side: it gets a copy.
        let copy = office.folder().join("copy/state.db");
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        for end in ["", "-wal"] {
            let from = format!("{}{end}", inside(agent, &office.state()).display());
            std::fs::copy(from, format!("{}{end}", copy.display())).unwrap();
        }
        copy
    }

    fn verb(&self, office: &Office, agent: &Agent, arguments: &[&str]) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg("--target").arg(agent.pid().to_string()).arg("--mount");
        if self.unshare.contains(&"--map-root-user") {
            nsenter.args(["--user", "--preserve-credentials"]);
        }
        nsenter.arg("--");
        around(nsenter, &office.command(arguments))
    }
}

/// strace, which answers for the disk.
#[derive(Default)]
struct Injected {
    strace: Option<Child>,
}

impl Disk for Injected {
    fn start(&mut self, office: &Office) -> Agent {
        office.agent()
    }

    fn fill(&mut self, office: &Office, agent: &Agent) {
        self.strace = Some(no_space(office, &office.state(), agent));
    }

    fn free(&mut self, _: &Office, _: &Agent) {
        let_go(self.strace.take().unwrap());
    }

    fn state(&self, office: &Office, _: &Agent) -> PathBuf {
        office.state()
    }

    fn verb(&self, office: &Office, _: &Agent, arguments: &[&str]) -> Command {
        office.command(arguments)
    }
}

/// From now on the agent finds no space for a database.
pub fn no_space(office: &Office, database: &Path, agent: &Agent) -> Child {
    refuses(Fault::Full, office, database, agent)
}

/// From now on the disk refuses what the agent writes to a database.
fn refuses(fault: Fault, office: &Office, database: &Path, agent: &Agent) -> Child {
    let call = "pwrite64,write,ftruncate,fallocate".to_owned();
    let injection = Some(Injection { fault, call, n: 1 });
    let log = office.folder().join("strace");
    Strace { paths: files_of(database), injection, log }.attach(agent.pid())
}

pub fn let_go(mut strace: Child) {
    kill_process(Pid::from_child(&strace), Signal::INT).unwrap();
    strace.wait().unwrap();
}

/// Whether `status` tells this.
fn needs(seen: &serde_json::Value, subject: &str, what: &str, mend: &str) -> bool {
    let has = |need: &serde_json::Value, name: &str, text: &str| need[name].as_str().unwrap().contains(text);
    let all = seen["needs"].as_array().unwrap();
    all.iter().any(|need| need["subject"] == subject && has(need, "what", what) && has(need, "mend", mend))
}

/// What `status` says, and with which code it ends.
fn status(office: &Office) -> (Option<i32>, serde_json::Value) {
    let ended = office.run(&["--json", "status"]);
    (ended.code, serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:#?}")))
}

fn goes_on_through_a_full_disk(disk: &mut dyn Disk) {
    let target = Receiver::start();
    let office = Office::visits();
    office.rest("legacy", &target, "");
    let agent = disk.start(&office);
    let mut memory = Memory::default();
    memory.work(&office);
    target.wait("it delivers", |journal| committed(journal) == memory.account.len());
    let idle = || ended(&mut disk.verb(&office, &agent, &["status"])).code == Some(0);
    wait("everything is settled", idle);

    disk.fill(&office, &agent);
    memory.work_hard(&office);
    agent.says("nothing new is sent (what was recorded before still leaves)");
    let status = ended(&mut disk.verb(&office, &agent, &["--json", "status"]));
    let seen: serde_json::Value = serde_json::from_str(&status.stdout).unwrap_or_else(|_| panic!("{status:#?}"));
    assert_eq!(seen["agent"]["process"], agent.pid().to_string(), "{seen:#}");
    assert_eq!(status.code, Some(1), "{status:#?}");
    assert!(needs(&seen, "state", "nothing is sent", "free space"), "{seen:#}");
    let sync = ended(&mut disk.verb(&office, &agent, &["sync", "legacy"]));
    assert_eq!(sync.code, Some(0), "it does not answer at its socket: {sync:#?}");
    assert_eq!(intended(&disk.state(&office, &agent), &target.journal()), Vec::<String>::new());

    disk.free(&office, &agent);
    target.wait("it goes on by itself", |journal| committed(journal) == memory.account.len());
    wait("everything is settled", || {
        let done = recorded(&disk.state(&office, &agent), &target.journal());
        done.is_empty()
    });
    let state = disk.state(&office, &agent);
    let mut wrong = arrivals(&memory, &target.journal(), true);
    wrong.extend(integrity(&state));
    wrong.extend(integrity(&office.database()));
    assert_eq!(wrong, Vec::<String>::new());
    let verified = ended(&mut disk.verb(&office, &agent, &["--json", "audit", "verify"]));
    assert_eq!(verified.code, Some(0), "the audit has a hole or something else in it: {verified:#?}");
    agent.stop();
}

/// What is posted while the disk is full is refused and leaves nothing; what was answered is kept.
fn posts_through_a_full_disk(disk: &mut dyn Disk) {
    let target = Receiver::start();
    let office = Office::visits();
    office.rest("legacy", &target, "listen: visits");
    office.add_settings("api: {listen: \"unix:../api.sock\"}");
    let agent = disk.start(&office);
    let way = Way::Socket(office.folder().join("api.sock"));
    let (mut taken, mut next) = (Vec::new(), 0..);
    let mut post = || {
        let id: i64 = next.next().unwrap();
        let text = "x".repeat(2000);
        let body = format!(r#"{{"type":"rule-changed","payload":{{"id":{id},"text":"{text}"}}}}"#);
        let answer = way.post("/sync", &body);
        if answer.status == 200 {
            taken.push(id);
        }
        answer
    };
    assert_eq!((post().status, way.get("/readyz").status), (200, 200));
    disk.fill(&office, &agent);
    // What SQLite has of the disk already it may still use.
    let refused = (0..2000).map(|_| post()).find(|answer| answer.status != 200).expect("the disk is full");
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.detail().contains("nothing was stored") && refused.detail().contains("free space"), "{refused:?}");
    assert_eq!((0..5).map(|_| post().status).collect::<Vec<_>>(), [507; 5]);
    assert_eq!((way.get("/readyz").status, way.get("/status").status, way.get("/healthz").status), (503, 200, 200));
    disk.free(&office, &agent);
    wait("it is ready by itself", || way.get("/readyz").status == 200);
    assert_eq!(post().status, 200);
    let mut state = StateReader::open(&disk.state(&office, &agent)).unwrap();
    let kept = state.read(|db| intake::read(db, 0, usize::MAX >> 1)).unwrap();
    let kept: Vec<i64> =
        kept.iter().map(|event| event.key.get("id").unwrap().as_text().unwrap().parse().unwrap()).collect();
    assert_eq!(kept, taken);
    agent.stop();
}

#[test]
fn a_post_that_finds_no_space_is_refused_and_leaves_nothing() {
    posts_through_a_full_disk(&mut Injected::default());
    if let Some(mut disk) = Tmpfs::new() {
        posts_through_a_full_disk(&mut disk);
    }
}

#[test]
fn an_agent_on_a_disk_of_2_mb_that_is_full_sends_nothing_unrecorded_answers_and_goes_on_by_itself() {
    match Tmpfs::new() {
        Some(mut disk) => goes_on_through_a_full_disk(&mut disk),
        None => {
            eprintln!("NOTE: this user may mount no file system here: strace answers for a full disk instead");
            goes_on_through_a_full_disk(&mut Injected::default());
        }
    }
}

#[test]
fn an_agent_whose_every_write_is_refused_for_want_of_space_goes_on_by_itself() {
    goes_on_through_a_full_disk(&mut Injected::default());
}

#[test]
fn what_was_captured_is_delivered_even_when_the_agent_finds_no_space_in_the_applications_file() {
    let target = Receiver::start();
    let office = Office::visits();
    office.rest("legacy", &target, "");
    let agent = office.agent();
    let mut memory = Memory::default();
    let strace = no_space(&office, &office.database(), &agent);
    memory.work(&office);
    target.wait("it delivers", |journal| committed(journal) == memory.account.len());
    agent.says("the disk is full");
    let (code, seen) = status(&office);
    assert!(code == Some(1) && needs(&seen, "office", "the disk is full", "free space"), "{seen:#}");
    let_go(strace);
    let acknowledged = "SELECT acked >= (SELECT max(seq) FROM hms_sync_outbox) FROM hms_sync_ctl";
    wait("it acknowledges", || office.app().query_row(acknowledged, [], |row| row.get(0)).unwrap());
    wait("status is at peace", || status(&office).0 == Some(0));
    let mut wrong = arrivals(&memory, &target.journal(), true);
    wrong.extend(recorded(&office.state(), &target.journal()));
    wrong.extend(integrity(&office.database()));
    assert_eq!(wrong, Vec::<String>::new());
    agent.stop();
}

#[test]
fn a_failing_disk_is_told_as_such_by_log_and_status_until_it_works_again() {
    let target = Receiver::start();
    let office = Office::visits();
    office.rest("legacy", &target, "");
    let agent = office.agent();
    let mut memory = Memory::default();
    let strace = refuses(Fault::Error, &office, &office.state(), &agent);
    memory.work(&office);
    agent.says("nothing is sent that cannot be recorded first; look at its disk");
    let (code, seen) = status(&office);
    assert!(code == Some(1) && needs(&seen, "state", "disk I/O error", "look at its disk"), "{seen:#}");
    let text = office.run(&["status"]);
    assert!(text.stdout.contains("disk I/O error") && !text.stdout.contains("free space"), "{text:#?}");
    let_go(strace);
    target.wait("it goes on by itself", |journal| committed(journal) == memory.account.len());
    wait("status is at peace", || status(&office).0 == Some(0));
    agent.stop();
}

#[test]
fn somebody_is_told_of_a_state_file_that_takes_nothing_and_when_it_does_again() {
    let target = Receiver::start();
    let office = Office::visits();
    office.rest("legacy", &target, "");
    let file = office.folder().join("alerts.jsonl");
    office.add_settings(QUICK);
    office.add_settings(&format!("alerts: [{{type: file, path: {}, on: [state]}}]", file.display()));
    let agent = office.agent();
    let strace = no_space(&office, &office.state(), &agent);
    Memory::default().work(&office);
    wait("it is told", || lines(&file).len() == 1);
    assert_eq!(words(&lines(&file)), ["opened state state"]);
    assert_eq!(Way::socket(&office).get("/alerts").json()[0]["condition"], "state");
    let_go(strace);
    wait("it is over", || lines(&file).len() == 2);
    assert_eq!(words(&lines(&file))[1], "cleared state state");
    // What could not be written down while it was full is written down now: nothing is told again.
    let written = || office.reader().read(hms_sync::store::state::alert::owed).unwrap().is_empty();
    wait("what is owed is known to be told", written);
    agent.kill();
    let agent = office.agent();
    wait("it has looked", || Way::socket(&office).get("/alerts").json() == serde_json::json!([]));
    assert!(written() && lines(&file).len() == 2, "{:#?}", lines(&file));
    agent.stop();
}
