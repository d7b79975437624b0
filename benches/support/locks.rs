//! How long a process holds its locks on a file in WAL mode, by its own system calls.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::Running;

/// The lock byte of the writer in a `-shm`; those from 123 to 127 are the readers'.
const WRITER: u64 = 120;
const READERS: std::ops::RangeInclusive<u64> = 123..=127;

/// Milliseconds, one for each time.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Read transactions.
    pub read: Vec<f64>,
    /// Write transactions.
    pub written: Vec<f64>,
}

/// A running trace.
pub struct Strace {
    process: Running,
    out: PathBuf,
}

impl Strace {
    /// Traces the locks that a process takes; none where there is no strace.
    pub fn attach(process: u32, out: &Path) -> Option<Strace> {
        let mut command = Command::new("strace");
        command.args(["-f", "-ttt", "-y", "-e", "trace=fcntl", "-p", &process.to_string(), "-o"]).arg(out);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = child else {
            println!("no strace on this machine: how long locks are held was not measured");
            return None;
        };
        let trace = Strace { process: Running(child), out: out.to_path_buf() };
        while std::fs::metadata(out).map_or(0, |out| out.len()) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Some(trace)
    }

    /// Ends the trace and reads it.
    pub fn held(self, file: &str) -> Held {
        let pid = rustix::process::Pid::from_child(&self.process.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let out = self.out.clone();
        let mut process = self.process;
        process.0.wait().unwrap();
        read(&std::fs::read_to_string(out).unwrap(), file)
    }
}

/// From a lock that was got to its release. SQLite shares the locks of one process between its connections: what is
/// seen here is what other processes see, the union of overlapping transactions.
fn read(trace: &str, file: &str) -> Held {
    let (mut held, mut since, mut begun) = (Held::default(), HashMap::new(), HashMap::new());
    for line in trace.lines() {
        let mut words = line.split_whitespace();
        let (Some(thread), Some(at)) = (words.next(), words.next().and_then(|at| at.parse::<f64>().ok())) else {
            continue;
        };
        // A call that was interrupted in the log by another thread's is told in two lines.
        let told = if line.contains("<unfinished") {
            begun.insert(thread, (at, line));
            continue;
        } else if line.contains("resumed>") {
            let Some((from, first)) = begun.remove(thread) else { continue };
            (from, first, line)
        } else {
            (at, line, line)
        };
        let (from, call, result) = told;
        if !call.contains(file) || !result.contains(") = 0") {
            continue;
        }
        let Some(byte) = call.split("l_start=").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok())
        else {
            continue;
        };
        if call.contains("F_UNLCK") {
            if let Some((since, write)) = since.remove(&byte) {
                let ms = (at - since) * 1000.0;
                if write { held.written.push(ms) } else { held.read.push(ms) }
            }
        } else if byte == WRITER && call.contains("F_WRLCK") {
            since.entry(byte).or_insert((from, true));
        } else if READERS.contains(&byte) && call.contains("F_RDLCK") {
            since.entry(byte).or_insert((from, false));
        }
    }
    held
}
