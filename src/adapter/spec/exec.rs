//! A program in place of a server: it is started for a batch of records, is given them as lines of JSON, and answers each with a
//! line of JSON. It ends in time, or is killed with whatever it has started.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, OFlags, access, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::adapter::crew::{Hand, Heard};
use crate::adapter::http::Reply;
use crate::adapter::join::KEYS;
use crate::adapter::program::{self, Running};
use crate::adapter::secret::SecretSource;
use crate::adapter::{Parcel, Request};
use crate::format::answers::{self, Answers, Said};
use crate::rules::outcome::{Outcome, Reason};

/// Most bytes of a program's output that are read.
pub const MOST: usize = 1 << 20;

/// As `timeout(1)` says that a program took too long.
const LATE: u16 = 124;
/// `EX_TEMPFAIL` of sysexits.h: nothing was done, and it may be tried again.
const TEMPORARY: u16 = 75;
/// `EX_CONFIG` of sysexits.h: something is not configured.
const CONFIGURATION: u16 = 78;
/// What a signal's number is added to where a shell tells of it.
const SIGNAL: i32 = 128;

/// Bytes that are read at once.
const BLOCK: usize = 16 * 1024;

/// A program, and what it is given.
#[derive(Debug)]
pub struct Program {
    /// Absolute path.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it runs; default `/`.
    pub directory: PathBuf,
    /// Its environment beside `PATH`: secrets, by name.
    pub environment: Vec<(String, SecretSource)>,
    /// How long one run may take.
    pub timeout: Duration,
}

impl Program {
    /// How long a run may take when the configuration does not say.
    pub const TIMEOUT: Duration = Duration::from_secs(60);

    /// As a request names it: path and arguments.
    pub fn url(&self) -> String {
        let mut url = self.origin();
        for argument in &self.arguments {
            url.push(' ');
            url.push_str(argument);
        }
        url
    }

    /// For the breaker, and for people: the path.
    pub fn origin(&self) -> String {
        format!("exec:{}", self.path.display())
    }

    /// Whether it could be started, without starting it.
    pub fn probe(&self) -> Result<String, Reason> {
        let wrong = |text: String| Reason::new("exec", text);
        let path = self.path.display();
        let about = std::fs::metadata(&self.path).map_err(|error| wrong(format!("{path}: {}", error.kind())))?;
        if !about.is_file() || access(&self.path, Access::EXEC_OK).is_err() {
            return Err(wrong(format!("{path} is no program that may be run")));
        }
        if !self.directory.is_dir() {
            return Err(wrong(format!("{} is no folder to run in", self.directory.display())));
        }
        for (name, source) in &self.environment {
            source.get().map_err(|why| Reason::new("credential", format!("env {name}: {why}")))?;
        }
        Ok(format!("{path} can be started"))
    }
}

/// What runs now.
#[derive(Debug, Default)]
struct Runs {
    groups: BTreeSet<i32>,
    /// Nothing is started any more.
    closed: bool,
}

/// A program that is started for each batch.
#[derive(Debug)]
pub struct Runner {
    program: Program,
    runs: Mutex<Runs>,
}

impl Runner {
    /// A program, not started yet.
    pub fn new(program: Program) -> Runner {
        Runner { program, runs: Mutex::default() }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It may be started again.
    pub fn open(&self) {
        self.runs().closed = false;
    }

    /// Kills what runs, and starts nothing more.
    pub fn close(&self) {
        let mut runs = self.runs();
        runs.closed = true;
        for group in &runs.groups {
            if let Some(group) = Pid::from_raw(*group) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    fn start(&self) -> Result<Running, Outcome> {
        let Program { path, arguments, directory, environment, .. } = &self.program;
        let mut command = program::command(path, arguments);
        command.current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, source) in environment {
            let secret =
                source.get().map_err(|why| Outcome::Halt(Reason::new("credential", format!("env {name}: {why}"))))?;
            command.env(name, secret.expose());
        }
        // Whoever closes finds either no run, or one that it can end.
        let mut runs = self.runs();
        let later = |text: String| Outcome::Retry { reason: Reason::new("exec", text), after: None, transport: true };
        if runs.closed {
            return Err(later("the agent stops".to_owned()));
        }
        let running = Running::start(command).map_err(|error| {
            let text = format!("{} cannot be started: {}", path.display(), error.kind());
            match error.kind() {
                ErrorKind::NotFound
                | ErrorKind::PermissionDenied
                | ErrorKind::NotADirectory
                | ErrorKind::InvalidInput => Outcome::Halt(Reason::new("exec", text)),
                _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
                    Outcome::Halt(Reason::new("exec", format!("{text}; does it begin with #! and an interpreter?")))
                }
                _ => later(text),
            }
        })?;
        runs.groups.insert(running.group().as_raw_pid());
        Ok(running)
    }

    /// Ends it, and forgets its number before that may become somebody else's.
    fn finish(&self, mut running: Running) -> io::Result<ExitStatus> {
        running.kill();
        self.runs().groups.remove(&running.group().as_raw_pid());
        running.finish()
    }
}

/// One thread's way to a program.
pub struct Caller(pub Arc<Runner>);

impl Hand for Caller {
    fn call(&mut self, _: &Parcel, request: &Request) -> Heard {
        let runner = &*self.0;
        let mut running = match runner.start() {
            Ok(running) => running,
            Err(outcome) => return Heard::unsent(outcome),
        };
        let talk = talk(&mut running, &lines(request), Instant::now() + runner.program.timeout);
        let status = runner.finish(running);
        let lost = |text: String| Outcome::Unknown { reason: Reason::new("exec", text), transport: true };
        let (talk, status) = match (talk, status) {
            (Ok(talk), Ok(status)) => (talk, status),
            (Err(error), _) | (_, Err(error)) => {
                return Heard { answer: Err(lost(format!("the program was lost: {}", error.kind()))), sent: true };
            }
        };
        if talk.complaints > (0, 0) {
            let (lines, bytes) = talk.complaints;
            let path = runner.program.path.display();
            // Nobody knows whether there are values in it.
            log::info!("{path}: it wrote {lines} lines ({bytes} bytes) to its error output, which are not kept");
        }
        let code = if talk.late { i32::from(LATE) } else { code(status) };
        let reply = Reply {
            status: u16::try_from(code).unwrap_or(1),
            body: talk.output,
            whole: talk.whole,
            ..Reply::default()
        };
        Heard { answer: Ok(reply), sent: true }
    }
}

/// As shells say how a program ended.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| SIGNAL + status.signal().unwrap_or_default())
}

/// The records, each with the end of its line.
fn lines(request: &Request) -> Vec<u8> {
    let mut lines = request.body.clone();
    if !lines.is_empty() && !lines.ends_with(b"\n") {
        lines.push(b'\n');
    }
    lines
}

/// What a program says while it runs.
#[derive(Debug)]
struct Talk {
    output: Vec<u8>,
    /// False = it went on beyond the limit.
    whole: bool,
    late: bool,
    /// Lines and bytes of its error output.
    complaints: (u64, u64),
}

/// Gives a program its input and hears it until it ends, says too much, or the time is over.
fn talk(running: &mut Running, input: &[u8], until: Instant) -> io::Result<Talk> {
    let child = running.pipes();
    let (mut stdin, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let pipes = [stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
    pipes.into_iter().flatten().try_for_each(never_wait)?;
    let (mut talk, mut rest) = (Talk { output: Vec::new(), whole: true, late: false, complaints: (0, 0) }, input);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Talk { late: true, ..talk });
        }
        let mut watched = vec![PollFd::new(running.end(), PollFlags::IN)];
        watched.extend(stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        watched.extend(stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        watched.extend(stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut watched, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Asked before its pipes are emptied: all that it has said is in them then.
        let ended = watched.first().is_some_and(|end| !end.revents().is_empty());
        give(&mut stdin, &mut rest);
        hear(&mut stdout, |block| {
            talk.output.extend_from_slice(block);
            talk.output.len() <= MOST
        });
        hear(&mut stderr, |block| {
            talk.complaints.0 += block.iter().filter(|byte| **byte == b'\n').count() as u64;
            talk.complaints.1 += block.len() as u64;
            false
        });
        if talk.output.len() > MOST {
            talk.output.truncate(MOST);
            return Ok(Talk { whole: false, ..talk });
        }
        if ended {
            return Ok(talk);
        }
    }
}

fn never_wait(pipe: BorrowedFd<'_>) -> io::Result<()> {
    Ok(fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?)
}

/// Writes as much as the pipe takes, and closes it behind the last byte. A program need not read what it is given.
fn give(pipe: &mut Option<impl Write>, rest: &mut &[u8]) {
    while let Some(writer) = pipe {
        if rest.is_empty() {
            *pipe = None;
            return;
        }
        match writer.write(rest) {
            Ok(count) => *rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => *pipe = None,
        }
    }
}

/// Reads what has come, as long as `take` wants more at a time.
fn hear(pipe: &mut Option<impl Read>, mut take: impl FnMut(&[u8]) -> bool) {
    let mut block = [0; BLOCK];
    while let Some(reader) = pipe {
        match reader.read(&mut block) {
            Ok(0) => *pipe = None,
            Ok(count) => {
                if !take(block.get(..count).unwrap_or_default()) {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => *pipe = None,
        }
    }
}

/// What a program's output says of one record.
pub enum Understood {
    /// This line.
    Answer(Reply),
    /// Nothing that could be judged: what that means.
    Outcome(Outcome),
}

/// What a program has said of each record of a request, in their order.
pub fn understand(parcel: &Parcel, request: &Request, reply: &Reply) -> Vec<Understood> {
    let ids = ids(parcel, request);
    let Answers { said, strange } = answers::read(&reply.body, &ids);
    // One that has answered nothing at all is down; one that has answered some is not.
    let down = said.iter().all(|said| *said == Said::Nothing);
    let one = |said: Said<'_>| match said {
        Said::Line(line) => Understood::Answer(Reply { body: line.to_vec(), whole: true, ..Reply::default() }),
        Said::Twice => {
            let reason = Reason::new("bad-answer", "the program answered twice, and not the same");
            Understood::Outcome(Outcome::Unknown { reason, transport: false })
        }
        Said::Nothing => Understood::Outcome(missing(reply, strange, down)),
    };
    said.into_iter().map(one).collect()
}

/// Whether a program has answered any of the records.
pub fn has_answered(parcel: &Parcel, request: &Request, reply: &Reply) -> bool {
    let answers = answers::read(&reply.body, &ids(parcel, request));
    answers.said.iter().any(|said| *said != Said::Nothing)
}

/// The ids of the records: those of a batch are listed beside it.
fn ids<'r>(parcel: &'r Parcel, request: &'r Request) -> Vec<&'r str> {
    let list = request.headers.iter().find(|(name, _)| name == KEYS).filter(|_| parcel.items() > 0);
    list.map_or_else(|| vec![parcel.key()], |(_, list)| list.split(", ").collect())
}

/// What becomes of a record that was not answered. `down` = none was: then what is meaningless counts for the endpoint, else it
/// is only sent again.
pub fn missing(reply: &Reply, strange: usize, down: bool) -> Outcome {
    let how = match reply.status {
        _ if !reply.whole => format!("its output is longer than {MOST} bytes and was not read on"),
        0 => "it ended with 0".to_owned(),
        LATE => "it did not end in time, and was killed".to_owned(),
        status => format!("it ended with {status}"),
    };
    let lines = match strange {
        0 => String::new(),
        1 => "; a line of its output is no answer".to_owned(),
        _ => format!("; {strange} lines of its output are no answers"),
    };
    let reason = |class: &'static str| Reason::new(class, format!("no answer of the program: {how}{lines}"));
    match reply.status {
        _ if !reply.whole => Outcome::Unknown { reason: reason("bad-answer"), transport: !down },
        TEMPORARY => Outcome::Retry { reason: reason("exit-75"), after: None, transport: down },
        CONFIGURATION => Outcome::Halt(reason("exit-78")),
        LATE => Outcome::Unknown { reason: reason("timeout"), transport: true },
        0 => Outcome::Unknown { reason: reason("bad-answer"), transport: !down },
        _ => Outcome::Unknown { reason: reason("exec"), transport: true },
    }
}

#[cfg(test)]
#[path = "exec/tests.rs"]
mod tests;
