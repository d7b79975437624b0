//! The hook of a gate: somebody else's word on each payload. One question, one answer; what gives no answer in time, or
//! none that can be read, is an error, and nothing leaves by it.
//!
//! Two kinds: an address that is called for each question, and a program that is started once and answers line by line.

mod program;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapter::Request;
use crate::adapter::auth::{Credential, Sealed};
use crate::adapter::http::{Client, Envelope, Options, Reply};
use crate::format::hook as encoding;
use crate::rules::governance::hook::{NO_ANSWER, Question, Verdict};
use crate::rules::outcome::{Outcome, Reason};

use program::Program;

/// A hook, ready to be asked.
#[derive(Debug)]
pub struct Hook {
    way: Way,
    timeout: Duration,
    concurrency: usize,
}

#[derive(Debug)]
enum Way {
    Url { url: Arc<str>, client: Client, credential: Option<Arc<Credential>> },
    Exec { program: PathBuf, arguments: Vec<String> },
}

impl Hook {
    /// For an answer, unless configured.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
    /// Questions at an address at once, unless configured.
    pub const CONCURRENCY: usize = 4;

    /// An address; `http` has the time limit of a call.
    pub fn url(url: &str, http: Options, credential: Option<Arc<Credential>>, concurrency: usize) -> Hook {
        let timeout = http.timeout;
        Hook { way: Way::Url { url: url.into(), client: Client::new(http), credential }, timeout, concurrency }
    }

    /// A program. It is asked one question after the other.
    pub fn exec(program: PathBuf, arguments: Vec<String>, timeout: Duration) -> Hook {
        Hook { way: Way::Exec { program, arguments }, timeout, concurrency: 1 }
    }

    /// How many questions may be open at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// What asks it; a program is started with the first question and ends with its asker.
    pub fn asker(self: &Arc<Hook>) -> Asker {
        Asker { hook: Arc::clone(self), running: None, number: 0 }
    }

    /// What it is, for people: the address without its query, or the program.
    pub fn shown(&self) -> String {
        match &self.way {
            Way::Url { url, .. } => url.split('?').next().unwrap_or_default().to_owned(),
            Way::Exec { program, .. } => program.display().to_string(),
        }
    }

    /// Whether it can be reached, without a question (`check --online`).
    ///
    /// # Errors
    /// Why not.
    pub fn probe(&self) -> Result<String, Reason> {
        match &self.way {
            Way::Url { url, client, .. } => client.probe(url),
            Way::Exec { program, arguments } => {
                Program::start(program, arguments).map(|_| format!("{} can be started", program.display()))
            }
        }
    }
}

/// Asks a hook, one question at a time.
#[derive(Debug)]
pub struct Asker {
    hook: Arc<Hook>,
    running: Option<Program>,
    number: u64,
}

impl Asker {
    /// Asks. The number of the question is given here. At most the hook's time limit passes.
    ///
    /// # Errors
    /// There is no answer, class [`NO_ANSWER`]: nothing is known of the payload, and it must not leave.
    pub fn ask(&mut self, question: Question<'_>) -> Result<Verdict, Reason> {
        self.number += 1;
        let question = Question { number: self.number, ..question };
        let line = encoding::question(&question);
        let hook = Arc::clone(&self.hook);
        match &hook.way {
            Way::Url { url, client, credential } => {
                let request = Request {
                    method: "POST".into(),
                    url: Arc::clone(url),
                    headers: vec![("Content-Type".into(), "application/json".into())],
                    body: line,
                };
                let reply = call(client, &request, credential.as_deref())?;
                if reply.status != 200 {
                    return Err(none(format!("it answered HTTP {} instead of 200", reply.status)));
                }
                if !reply.whole {
                    return Err(none("its answer is longer than 64 KiB"));
                }
                encoding::answer(&reply.body, &question, None)
            }
            Way::Exec { program, arguments } => {
                let mut running = match self.running.take() {
                    Some(running) => running,
                    None => Program::start(program, arguments)?,
                };
                let answer = running.ask(line, hook.timeout)?;
                let verdict = encoding::answer(&answer, &question, Some(self.number))?;
                // One that has answered well goes on; any other is ended and started anew.
                self.running = Some(running);
                Ok(verdict)
            }
        }
    }
}

/// One call; a credential that is refused is renewed once.
fn call(client: &Client, request: &Request, credential: Option<&Credential>) -> Result<Reply, Reason> {
    let seal = |credential: &Credential| credential.seal(request).map_err(|outcome| silent(&outcome));
    let send = |sealed: Option<&Sealed>| {
        let envelope = sealed.map_or_else(Envelope::default, |sealed| sealed.envelope.clone());
        client.exchange().call(request, &envelope).map_err(|failure| silent(&failure.outcome()))
    };
    let sealed = credential.map(seal).transpose()?;
    let reply = send(sealed.as_ref())?;
    if let (Some(credential), Some(used)) = (credential, &sealed)
        && let Some(refusal) = credential.refusal(&reply)
        && credential.refused(used, refusal).map_err(|outcome| silent(&outcome))?
    {
        return send(Some(&seal(credential)?));
    }
    Ok(reply)
}

fn silent(outcome: &Outcome) -> Reason {
    outcome.reason().map_or_else(|| none("it gave no answer"), |reason| none(reason.to_string()))
}

fn none(text: impl Into<String>) -> Reason {
    Reason::new(NO_ANSWER, text.into())
}

#[cfg(test)]
#[path = "hook/tests.rs"]
mod tests;
