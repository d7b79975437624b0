//! A program that answers on its output, line by line, what it is asked on its input.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::none;
use crate::rules::outcome::Reason;

/// Longest answer, in bytes.
pub(super) const LONGEST: u64 = 1 << 20;

/// A program that runs. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    /// Questions for the thread that waits for the pipes, which may block for as long as they like.
    questions: Sender<Vec<u8>>,
    answers: Receiver<std::io::Result<Vec<u8>>>,
}

impl Program {
    /// Starts it, with nothing of the agent's environment but `PATH`, and without a way to say anything else: what it
    /// writes to its error output is thrown away, because nobody knows whether there are values in it.
    pub(super) fn start(program: &Path, arguments: &[String]) -> Result<Program, Reason> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        let started = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal to the agent's group (Ctrl-C) is not for it: it ends when its input does.
            .process_group(0)
            .spawn();
        let mut child =
            started.map_err(|error| none(format!("{} cannot be started: {}", program.display(), error.kind())))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (questions, asked) = channel();
        let (answer, answers) = channel();
        let talking = pipes.ok_or(()).and_then(|(input, output)| {
            let talk = move || talk(input, output, &asked, &answer);
            std::thread::Builder::new().name("hook".to_owned()).spawn(talk).map_err(drop)
        });
        let running = Program { child, questions, answers };
        talking.map(|_| running).map_err(|()| none("the system gives no thread to talk to it"))
    }

    /// Asks one question and waits for the line that answers it.
    pub(super) fn ask(&mut self, question: Vec<u8>, patience: Duration) -> Result<Vec<u8>, Reason> {
        let ended = || none("the program has ended without an answer");
        self.questions.send(question).map_err(|_| ended())?;
        match self.answers.recv_timeout(patience) {
            Ok(Ok(line)) if line.len() as u64 > LONGEST => Err(none("its answer is longer than 1 MiB")),
            Ok(Ok(line)) if line.ends_with(b"\n") => Ok(line),
            Ok(Ok(_)) | Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(ended()),
            Err(RecvTimeoutError::Timeout) => Err(none(format!("no answer within {} ms", patience.as_millis()))),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn talk(
    mut input: ChildStdin,
    output: ChildStdout,
    asked: &Receiver<Vec<u8>>,
    answer: &Sender<std::io::Result<Vec<u8>>>,
) {
    let mut output = BufReader::new(output);
    while let Ok(mut question) = asked.recv() {
        question.push(b'\n');
        let mut line = Vec::new();
        let told = input.write_all(&question).and_then(|()| input.flush());
        let read = told.and_then(|()| output.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line));
        if answer.send(read.map(|_| line)).is_err() {
            return;
        }
    }
}
