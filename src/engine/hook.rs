//! Asking the hook of a connector, off the way of everything else: threads of its own, a few questions at once, and
//! patience when it gives no answer.
//!
//! A hook that is down is asked by one question at a time, ever slower; its events stay where they are and cost nothing. A
//! question that alone finds no answer while others do is given back, so that it does not stand in their way.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::adapter::hook::{Asker, Hook};
use crate::engine::compile::Passed;
use crate::engine::window::SlotId;
use crate::rules::governance::hook::{Question, Verdict};
use crate::rules::outcome::Reason;
use crate::rules::retry::RetryPolicy;

/// So many failures of one question, and so many answers to others since its first, show that the question is to blame.
const OWN_FAULT: u32 = 3;
/// Longest time between two questions to a hook that is down.
const LONGEST: Duration = Duration::from_secs(60);

/// The parts of one event that have passed the gate, to be asked about.
#[derive(Debug)]
pub struct Asked {
    /// Whose.
    pub slot: SlotId,
    /// In order.
    pub parts: Vec<Passed>,
    /// Class of each source.
    pub classes: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug)]
pub struct Answered {
    /// Whose.
    pub slot: SlotId,
    /// What the hook says.
    pub said: Said,
}

/// What a hook says of an event.
#[derive(Debug)]
pub enum Said {
    /// This may leave.
    Passed {
        /// In order, as they were or as the hook has changed them.
        parts: Vec<Passed>,
        /// It has changed something.
        changed: bool,
    },
    /// Nothing of it may.
    Refused(Reason),
    /// It has no answer to this one, although it has to others.
    Silent(Reason),
}

/// Asks about the parts of one event; the first that is refused decides.
///
/// # Errors
/// There was no answer.
pub fn ask(asker: &mut Asker, connector: &str, parts: &[Passed], classes: &[(String, String)]) -> Result<Said, Reason> {
    let (mut passed, mut changed) = (Vec::with_capacity(parts.len()), false);
    for part in parts {
        let id = format!("{}{}", part.id, part.letter);
        let question = Question {
            number: 0,
            connector,
            id: &id,
            kind: &part.kind,
            op: part.op,
            payload: part.cleared.record(),
            fields: part.cleared.fields(),
            classes,
        };
        match asker.ask(question)? {
            Verdict::Allow => passed.push(part.clone()),
            Verdict::Change(record) => {
                changed = true;
                passed.push(Passed { cleared: part.cleared.amended(record), ..part.clone() });
            }
            Verdict::Refuse(reason) => return Ok(Said::Refused(reason)),
        }
    }
    Ok(Said::Passed { parts: passed, changed })
}

/// A hook that gives no answers.
#[derive(Clone, Debug)]
pub struct Down {
    /// How often in a row.
    pub failures: u32,
    /// When it is asked again, from now.
    pub again: Duration,
    /// Why.
    pub reason: Reason,
}

struct Waiting {
    asked: Asked,
    failures: u32,
    /// Answers there were before its first failure.
    answered_before: u64,
}

#[derive(Default)]
struct Desk {
    questions: VecDeque<Waiting>,
    answers: Vec<Answered>,
    /// Questions that are being asked.
    open: usize,
    answered: u64,
    /// Failures in a row.
    failures: u32,
    down: Option<Reason>,
    again: Option<Instant>,
    threads: usize,
    stopping: bool,
}

#[derive(Default)]
struct Shared {
    desk: Mutex<Desk>,
    bell: Condvar,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Notify = Arc<dyn Fn() + Send + Sync>;

/// The questions of one connector.
pub struct Asking {
    shared: Arc<Shared>,
    hook: Arc<Hook>,
    connector: Arc<str>,
    retry: RetryPolicy,
    notify: Notify,
}

impl Asking {
    /// `notify` is called when answers wait, and when the hook goes down or comes back.
    pub fn new(hook: Arc<Hook>, connector: Arc<str>, retry: &RetryPolicy, notify: Notify) -> Asking {
        let retry = RetryPolicy { max_backoff: LONGEST, backoff: retry.backoff.min(LONGEST), ..RetryPolicy::default() };
        Asking { shared: Arc::default(), hook, connector, retry, notify }
    }

    /// Hands a question over. False = the system gives no thread to ask it with, and it was not taken.
    pub fn ask(&self, asked: Asked) -> bool {
        let mut desk = self.shared.desk();
        if desk.threads < self.hook.concurrency() && desk.threads <= desk.questions.len() + desk.open {
            match self.start() {
                Ok(()) => desk.threads += 1,
                Err(error) if desk.threads == 0 => {
                    log::error!("{}: no thread to ask the hook with: {error}", self.connector);
                    return false;
                }
                Err(_) => {}
            }
        }
        let answered_before = desk.answered;
        desk.questions.push_back(Waiting { asked, failures: 0, answered_before });
        self.shared.bell.notify_one();
        true
    }

    fn start(&self) -> std::io::Result<()> {
        let (shared, hook, connector) = (Arc::clone(&self.shared), Arc::clone(&self.hook), Arc::clone(&self.connector));
        let (retry, notify) = (self.retry.clone(), Arc::clone(&self.notify));
        let thread = std::thread::Builder::new().name(format!("hook/{connector}")).stack_size(512 * 1024);
        thread.spawn(move || work(&shared, &hook, &connector, &retry, &notify)).map(drop)
    }

    /// Takes the answers that wait.
    pub fn take(&self) -> Vec<Answered> {
        std::mem::take(&mut self.shared.desk().answers)
    }

    /// Whether the hook gives no answers.
    pub fn down(&self) -> Option<Down> {
        let desk = self.shared.desk();
        let again = desk.again.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        desk.down.clone().map(|reason| Down { failures: desk.failures, again, reason })
    }

    /// Forgets the questions of which nobody wants an answer any more.
    pub fn keep(&self, wanted: impl Fn(SlotId) -> bool) {
        self.shared.desk().questions.retain(|waiting| wanted(waiting.asked.slot));
    }

    /// A hook that is down is asked at once.
    pub fn hurry(&self) {
        self.shared.desk().again = None;
        self.shared.bell.notify_all();
    }
}

impl Drop for Asking {
    /// The threads end after what they are asking now; they are not waited for.
    fn drop(&mut self) {
        self.shared.desk().stopping = true;
        self.shared.bell.notify_all();
    }
}

fn work(shared: &Shared, hook: &Arc<Hook>, connector: &str, retry: &RetryPolicy, notify: &Notify) {
    let mut asker = hook.asker();
    let mut dice = fastrand::Rng::new();
    while let Some(waiting) = next(shared) {
        let said = ask(&mut asker, connector, &waiting.asked.parts, &waiting.asked.classes);
        let news = settle(&mut shared.desk(), waiting, said, retry, 0.5 + dice.f64() / 2.0);
        shared.bell.notify_all();
        if news {
            notify();
        }
    }
}

/// The next question; none = no more is asked.
fn next(shared: &Shared) -> Option<Waiting> {
    let mut desk = shared.desk();
    loop {
        if desk.stopping {
            return None;
        }
        let wait = desk.again.map(|at| at.saturating_duration_since(Instant::now())).filter(|wait| !wait.is_zero());
        let alone = desk.down.is_none() || desk.open == 0;
        match wait {
            None if alone => {
                if let Some(waiting) = desk.questions.pop_front() {
                    desk.open += 1;
                    return Some(waiting);
                }
                desk = shared.bell.wait(desk).unwrap_or_else(PoisonError::into_inner);
            }
            None => desk = shared.bell.wait(desk).unwrap_or_else(PoisonError::into_inner),
            Some(wait) => {
                desk = shared.bell.wait_timeout(desk, wait).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// Takes note of what came of a question; whether there is something to tell.
fn settle(desk: &mut Desk, mut waiting: Waiting, said: Result<Said, Reason>, retry: &RetryPolicy, jitter: f64) -> bool {
    desk.open = desk.open.saturating_sub(1);
    let slot = waiting.asked.slot;
    match said {
        Ok(said) => {
            desk.answered += 1;
            (desk.failures, desk.down, desk.again) = (0, None, None);
            desk.answers.push(Answered { slot, said });
            true
        }
        Err(reason) => {
            if waiting.failures == 0 {
                waiting.answered_before = desk.answered;
            }
            waiting.failures += 1;
            desk.failures = desk.failures.saturating_add(1);
            desk.again = Some(Instant::now() + retry.delay(desk.failures, jitter));
            let own = waiting.failures >= OWN_FAULT
                && desk.answered >= waiting.answered_before.saturating_add(u64::from(OWN_FAULT));
            let news = own || desk.down.as_ref() != Some(&reason) || desk.failures > 1;
            desk.down = Some(reason.clone());
            if own {
                // The hook is not down: it answers the others.
                (desk.failures, desk.down, desk.again) = (0, None, None);
                desk.answers.push(Answered { slot, said: Said::Silent(reason) });
            } else {
                // Behind the others: they may find an answer.
                desk.questions.push_back(waiting);
            }
            news
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn waiting(n: u64) -> Waiting {
        let asked = Asked { slot: SlotId(n), parts: Vec::new(), classes: Vec::new() };
        Waiting { asked, failures: 0, answered_before: 0 }
    }

    fn passed() -> Result<Said, Reason> {
        Ok(Said::Passed { parts: Vec::new(), changed: false })
    }

    fn silent() -> Result<Said, Reason> {
        Err(Reason::new("hook", "no answer"))
    }

    #[test]
    fn a_hook_that_is_down_keeps_its_questions_and_is_asked_ever_slower() {
        let (mut desk, retry) = (Desk::default(), RetryPolicy::default());
        let mut pauses = Vec::new();
        desk.questions.push_back(waiting(0));
        for _ in 0..8 {
            let next = desk.questions.pop_front().unwrap();
            assert!(settle(&mut desk, next, silent(), &RetryPolicy { max_backoff: LONGEST, ..retry.clone() }, 1.0));
            pauses.push(desk.again.unwrap().saturating_duration_since(Instant::now()).as_secs_f64().round());
        }
        assert_eq!(pauses, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        assert!(desk.answers.is_empty() && desk.down.is_some());
        let next = desk.questions.pop_front().unwrap();
        assert!(settle(&mut desk, next, passed(), &retry, 1.0));
        assert!(desk.down.is_none() && desk.again.is_none() && desk.answers.len() == 1);
    }

    #[test]
    fn a_question_that_alone_finds_no_answer_is_given_back_and_the_others_go_on() {
        let (mut desk, retry) = (Desk::default(), RetryPolicy::default());
        let mut poison = waiting(7);
        for turn in 0..2 {
            settle(&mut desk, poison, silent(), &retry, 0.0);
            poison = desk.questions.pop_back().unwrap();
            for n in 0..2 {
                assert!(settle(&mut desk, waiting(n), passed(), &retry, 0.0));
            }
            assert_eq!(desk.answers.len(), 2 * (turn + 1));
        }
        settle(&mut desk, poison, silent(), &retry, 0.0);
        assert!(matches!(desk.answers.last(), Some(Answered { slot: SlotId(7), said: Said::Silent(_) })));
        assert!(desk.questions.is_empty());
    }
}
