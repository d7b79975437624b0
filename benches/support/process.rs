//! Processes beside this one: where they run, and what they used.

use std::path::Path;
use std::process::{Child, Command};

/// Where the two sides of a measurement run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Cores {
    /// Wherever the system puts them.
    Free,
    /// All on one core.
    Shared,
    /// The receiver on one core, the sender on another.
    Apart,
}

impl Cores {
    fn core(self, receiver: bool) -> Option<&'static str> {
        match self {
            Cores::Free => None,
            Cores::Shared => Some("0"),
            Cores::Apart => Some(if receiver { "0" } else { "1" }),
        }
    }

    /// A command that runs where its side belongs.
    pub fn command(self, program: &Path, receiver: bool) -> Command {
        match self.core(receiver) {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", core]).arg(program);
                command
            }
            None => Command::new(program),
        }
    }
}

/// CPU seconds that a running process has used, threads that have ended included.
pub fn cpu(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The second field is the name, which may hold anything, in brackets; utime and stime are fields 14 and 15.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: f64 = fields[11..=12].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / rustix::param::clock_ticks_per_second() as f64
}

/// CPU seconds of the threads that a process has now, to the nanosecond.
pub fn fine_cpu(process: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let used = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    used.sum::<f64>() / 1e9
}

/// What a running process has written: bytes and calls of its write calls, and bytes that went to the disk for it.
pub fn written(process: u32) -> [f64; 3] {
    let text = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    ["wchar: ", "syscw: ", "write_bytes: "]
        .map(|name| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap())
}

/// Most memory that a running process has had, in MB.
pub fn peak_memory(process: u32) -> f64 {
    peak_memory_of(process).unwrap()
}

/// The same; none = it has ended.
pub fn peak_memory_of(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0)
}

/// A process that ends with its owner.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
