//! A program of the site's own that runs: with nothing of ours around it, and ended with whatever it has started.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Where programs are looked for when our own environment does not say.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program to be started: of our environment it has `PATH` only, its input is a pipe, and what it says is thrown away unless
/// the caller wants it. A signal to our own group (Ctrl-C) is not for it.
pub fn command(program: impl Into<OsString>, arguments: &[String]) -> Command {
    let mut command = Command::new(program.into());
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command
}

/// The groups of all that run now.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills whatever runs: for an end of the agent that waits for nothing.
pub fn kill_all() {
    for group in running().iter().filter_map(|group| Pid::from_raw(*group)) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// A program that runs. When this is dropped, it and all of its group are killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    group: Pid,
    /// Waits for its end, and leaves it in the process table: as long as it is there its number is nobody else's.
    watch: Option<JoinHandle<()>>,
    end: PipeReader,
}

impl Running {
    /// Starts a program.
    ///
    /// # Errors
    /// What the operating system says: it is not there, it may not be run, there is no room for it.
    pub fn start(mut command: Command) -> io::Result<Running> {
        let (end, ended) = io::pipe()?;
        // Whoever kills all finds either no program, or one that it can end.
        let mut groups = running();
        let mut child = command.spawn()?;
        let group = Pid::from_child(&child);
        let watch = std::thread::Builder::new().name("program".into()).stack_size(64 * 1024).spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(group), options), Err(rustix::io::Errno::INTR)) {}
            drop(ended);
        });
        match watch {
            Ok(watch) => {
                groups.insert(group.as_raw_pid());
                Ok(Running { child, group, watch: Some(watch), end })
            }
            Err(error) => {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Its pipes, to be taken from it.
    pub fn pipes(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The number of its group.
    pub fn group(&self) -> Pid {
        self.group
    }

    /// Reads nothing, and ends when the program ends: to be waited for.
    pub fn end(&self) -> &PipeReader {
        &self.end
    }

    /// Waits for its end; false = it goes on after this time.
    pub fn ends_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        loop {
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
            match poll(&mut [PollFd::new(&self.end, PollFlags::IN)], left.as_ref()) {
                Ok(0) => return false,
                Err(rustix::io::Errno::INTR) => {}
                // What cannot be waited for is taken for ended: it is killed next.
                Ok(_) | Err(_) => return true,
            }
        }
    }

    /// Kills it and all of its group. It stays in the process table until [`Running::finish`].
    pub fn kill(&mut self) {
        if let Some(watch) = self.watch.take() {
            let _ = kill_process_group(self.group, Signal::KILL);
            let _ = watch.join();
            running().remove(&self.group.as_raw_pid());
        }
    }

    /// The same, and takes it out of the process table; how it ended, if it had ended by itself.
    ///
    /// # Errors
    /// It was lost.
    pub fn finish(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn shell(text: &str) -> Command {
        let mut command = command("/bin/sh", &["-c".to_owned(), text.to_owned()]);
        command.stdout(Stdio::piped());
        command
    }

    #[test]
    fn a_program_ends_with_all_that_it_has_started() {
        let mut running = Running::start(shell("sleep 600 & echo $!; exec sleep 600")).unwrap();
        let mut output = running.pipes().stdout.take().unwrap();
        let mut line = [0; 32];
        let count = output.read(&mut line).unwrap();
        let child: i32 = std::str::from_utf8(&line[..count]).unwrap().trim().parse().unwrap();
        assert_eq!(running.finish().unwrap().code(), None);
        // Both ends of the pipe that they held are gone.
        assert_eq!(output.read(&mut line).unwrap(), 0);
        let gone = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"));
        // A process lets go of its files before it is gone.
        let began = std::time::Instant::now();
        while !gone(child) && began.elapsed() < std::time::Duration::from_secs(60) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(gone(child));
    }

    #[test]
    fn the_end_of_a_program_is_seen_and_how_it_ended() {
        let mut running = Running::start(shell("exit 7")).unwrap();
        assert_eq!(running.end().read(&mut [0]).unwrap(), 0);
        assert_eq!(running.finish().unwrap().code(), Some(7));
    }

    #[test]
    fn nothing_of_our_environment_goes_along_but_the_path() {
        let mut running = Running::start(shell("/usr/bin/env")).unwrap();
        let mut said = String::new();
        running.pipes().stdout.take().unwrap().read_to_string(&mut said).unwrap();
        // The shell adds words of its own.
        let names: Vec<&str> = said.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(
            names.contains(&"PATH") && names.iter().all(|name| ["PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name)),
            "{names:?}"
        );
    }
}
