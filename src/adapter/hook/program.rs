//! A program that answers on its output, line by line, what it is asked on its input.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::none;
use crate::adapter::program::{self, Running};
use crate::rules::outcome::Reason;

/// Longest answer, in bytes.
pub(super) const LONGEST: u64 = 1 << 20;

/// A program that runs. It is killed when this is dropped, with what it has started.
#[derive(Debug)]
pub(super) struct Program {
    _running: Running,
    /// Questions for the thread that waits for the pipes, which may block for as long as they like.
    questions: Sender<Vec<u8>>,
    answers: Receiver<std::io::Result<Vec<u8>>>,
}

impl Program {
    /// Starts it, with nothing of the agent's environment but `PATH`, and without a way to say anything else: what it
    /// writes to its error output is thrown away, because nobody knows whether there are values in it.
    pub(super) fn start(program: &Path, arguments: &[String]) -> Result<Program, Reason> {
        let mut command = program::command(program, arguments);
        command.current_dir("/").stdout(Stdio::piped());
        let started = Running::start(command);
        let mut running =
            started.map_err(|error| none(format!("{} cannot be started: {}", program.display(), error.kind())))?;
        let pipes = running.pipes().stdin.take().zip(running.pipes().stdout.take());
        let (questions, asked) = channel();
        let (answer, answers) = channel();
        let talking = pipes.ok_or(()).and_then(|(input, output)| {
            let talk = move || talk(input, output, &asked, &answer);
            std::thread::Builder::new().name("hook".to_owned()).spawn(talk).map_err(drop)
        });
        let running = Program { _running: running, questions, answers };
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
