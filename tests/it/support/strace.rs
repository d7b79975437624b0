//! Faults at a system call of the shipped binary: strace kills it there, or has the call fail.
//!
//! strace counts the calls of each thread for itself: `when=7` is the seventh such call of whichever thread makes one,
//! so that a kill comes at the first thread's seventh and an error at every thread's. `-P` narrows it to the calls on
//! certain files, which tells the threads apart: only the state file's writer writes there, only the keeper here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::office::wait;

/// Calls that write to files, or make, cut, rename or remove them.
pub const WRITES: [&str; 15] = [
    "write",
    "writev",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "openat",
    "open",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "link",
];
/// Calls that make files durable.
pub const SYNCS: [&str; 2] = ["fsync", "fdatasync"];
/// Calls that read files, look at them, or lock them.
pub const READS: [&str; 12] = [
    "read",
    "readv",
    "pread64",
    "fcntl",
    "flock",
    "lseek",
    "newfstatat",
    "fstat",
    "stat",
    "statx",
    "getdents64",
    "faccessat2",
];
/// Calls on sockets.
pub const SOCKETS: [&str; 9] =
    ["socket", "connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "getsockopt", "setsockopt", "shutdown"];

/// What happens at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9 before the call is made.
    Kill,
    /// No space, once.
    FullOnce,
    /// No space from then on.
    Full,
    /// The disk fails, once.
    ErrorOnce,
    /// The disk fails from then on.
    Error,
    /// A sync fails, once. Another one would succeed, and prove nothing.
    Sync,
    /// Interrupted by a signal, once.
    Interrupted,
    /// The connection is reset, once.
    Reset,
}

impl Fault {
    pub const ALL: [Fault; 8] = [
        Fault::Kill,
        Fault::FullOnce,
        Fault::Full,
        Fault::ErrorOnce,
        Fault::Error,
        Fault::Sync,
        Fault::Interrupted,
        Fault::Reset,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::FullOnce => "enospc1",
            Fault::Full => "enospc",
            Fault::ErrorOnce => "eio1",
            Fault::Error => "eio",
            Fault::Sync => "fsync",
            Fault::Interrupted => "eintr",
            Fault::Reset => "reset",
        }
    }

    /// The calls that can end so.
    pub fn calls(self) -> Vec<&'static str> {
        let of = |sets: &[&[&'static str]]| sets.concat();
        match self {
            Fault::Kill => of(&[&WRITES, &SYNCS, &READS, &SOCKETS]),
            Fault::Full | Fault::FullOnce => of(&[&WRITES]),
            Fault::Error | Fault::ErrorOnce => of(&[&WRITES, &READS]),
            Fault::Sync => of(&[&SYNCS]),
            // Only what can wait can be interrupted. SQLite's lock requests and a look at a file do not wait, nor does a
            // socket that connects without blocking; and a sync that was interrupted has failed.
            Fault::Interrupted => vec![
                "write",
                "writev",
                "pwrite64",
                "ftruncate",
                "openat",
                "open",
                "read",
                "readv",
                "pread64",
                "sendto",
                "sendmsg",
                "recvfrom",
                "recvmsg",
            ],
            Fault::Reset => vec!["connect", "sendto", "sendmsg", "recvfrom", "recvmsg"],
        }
    }

    fn injection(self, n: usize) -> String {
        match self {
            Fault::Kill => format!("signal=KILL:when={n}"),
            Fault::FullOnce => format!("error=ENOSPC:when={n}"),
            Fault::Full => format!("error=ENOSPC:when={n}+"),
            Fault::ErrorOnce | Fault::Sync => format!("error=EIO:when={n}"),
            Fault::Error => format!("error=EIO:when={n}+"),
            Fault::Interrupted => format!("error=EINTR:when={n}"),
            Fault::Reset => format!("error=ECONNRESET:when={n}"),
        }
    }
}

/// A fault at the n-th call of a name, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Injection {
    pub fault: Fault,
    pub call: String,
    pub n: usize,
}

/// What strace is to do.
#[derive(Clone, Debug, Default)]
pub struct Strace {
    /// Only calls on these; none = every call.
    pub paths: Vec<PathBuf>,
    /// One fault; none = it only writes down what it sees.
    pub injection: Option<Injection>,
    /// Where it writes.
    pub log: PathBuf,
}

impl Strace {
    fn base(&self) -> Command {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-y", "-s", "0", "-o"]).arg(&self.log);
        for path in &self.paths {
            strace.arg("-P").arg(path);
        }
        let all = Fault::Kill.calls().iter().map(|call| format!("?{call}")).collect::<Vec<_>>().join(",");
        strace.arg("-e").arg(format!("trace={all}")).args(["-e", "signal=none"]);
        if let Some(Injection { fault, call, n }) = &self.injection {
            strace.arg("-e").arg(format!("inject={call}:{}", fault.injection(*n)));
        }
        strace
    }

    /// The command under strace from its first call on.
    pub fn around(&self, inner: &Command) -> Command {
        let mut command = self.base();
        // The kernel's filter spares the calls that nobody asked for, but with it strace 6.1 sends no signal.
        let kills = self.injection.as_ref().is_some_and(|injection| injection.fault == Fault::Kill);
        command
            .args((!kills).then_some("--seccomp-bpf"))
            .arg("--")
            .arg(inner.get_program())
            .args(inner.get_args())
            .stdin(Stdio::null());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Takes hold of a running process and all its threads; they are counted from now on.
    pub fn attach(&self, pid: u32) -> Child {
        let mut strace = self.base();
        let child = strace.arg("-p").arg(pid.to_string()).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait("strace has every thread", || traced(pid));
        child
    }

    /// What it wrote down.
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }
}

/// Whether every thread of a process is traced.
pub fn traced(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    tasks.flatten().all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.lines().all(|line| line.strip_prefix("TracerPid:").is_none_or(|tracer| tracer.trim() != "0"))
    })
}

/// Thread and name of the call that a line begins; none for the end of one that was begun before.
pub fn call(line: &str) -> Option<(&str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some((thread, name))
}

/// How often each call was made at most by one thread, from which number on; `from` = the first line that counts.
pub fn counts(lines: &[String], from: impl Fn(&str) -> bool) -> BTreeMap<String, (usize, usize)> {
    let mut by_thread: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut begun = false;
    for line in lines {
        let Some((thread, name)) = call(line) else { continue };
        begun = begun || from(line);
        let so_far = by_thread.entry((thread, name)).or_default();
        *so_far += 1;
        if begun {
            first.entry(name).or_insert(*so_far);
        }
    }
    let mut most: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for ((_, name), n) in by_thread {
        if let Some(first) = first.get(name) {
            let entry = most.entry(name.to_owned()).or_insert((*first, 0));
            entry.1 = entry.1.max(n);
        }
    }
    most
}

/// The lines that fail because of the injection, and what comes after the first of them.
pub fn after_the_fault(lines: &[String]) -> Option<(&str, &[String])> {
    let at = lines.iter().position(|line| line.contains("(INJECTED)"))?;
    Some((&lines[at], &lines[at + 1..]))
}

/// A database's files, as strace's `-P` takes them.
pub fn files_of(database: &Path) -> Vec<PathBuf> {
    let with = |end: &str| PathBuf::from(format!("{}{end}", database.display()));
    let mut files: Vec<PathBuf> = ["", "-wal", "-shm", "-journal", ".lock"].into_iter().map(with).collect();
    files.extend(database.parent().map(Path::to_owned));
    files
}
