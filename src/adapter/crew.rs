//! A fleet of threads, each of which makes one delivery at a time and waits for what comes back: for targets that are not
//! reached by HTTP (`docs/decisions/0024-other-ways-than-http.md`).
//!
//! A thread is started when there is work for it, keeps what it has (a connection) while it is used, and ends when there has been
//! nothing to do for long.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::adapter::http::{Caller, Each, Next, Reply};
use crate::adapter::{Delivery, Ended, Fleet, Parcel, Request, sha256};
use crate::rules::outcome::{Outcome, Reason};

/// What one thread reaches the target with.
pub trait Hand: Send {
    /// Makes one call and waits for its end. Whatever the target does, it ends in time.
    fn call(&mut self, part: &Parcel, request: &Request) -> Heard;
}

/// What came of a call.
#[derive(Debug)]
pub struct Heard {
    /// The answer, or why there is none.
    pub answer: Result<Reply, Outcome>,
    /// The request may have reached the target.
    pub sent: bool,
}

impl Heard {
    /// Nothing was sent.
    pub fn unsent(outcome: Outcome) -> Heard {
        Heard { answer: Err(outcome), sent: false }
    }
}

/// Makes what each thread works with.
type Hire = Box<dyn Fn() -> Box<dyn Hand> + Send + Sync>;

#[derive(Default)]
struct Desk {
    jobs: VecDeque<(u64, Arc<[Parcel]>)>,
    ended: Vec<Ended>,
    /// Jobs that are here or with a thread.
    under_way: usize,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
    roused: bool,
    closed: bool,
}

struct Shared<C> {
    caller: Arc<C>,
    hire: Hire,
    /// How long a thread without work keeps what it has.
    keep: Duration,
    desk: Mutex<Desk>,
    work: Condvar,
    news: Condvar,
}

impl<C> Shared<C> {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fleet.
pub struct Crew<C: Caller> {
    shared: Arc<Shared<C>>,
    name: &'static str,
    most: usize,
}

impl<C: Caller> Crew<C> {
    /// At most `most` deliveries at once; `hire` makes what a thread works with, `keep` is how long one without work stays.
    pub fn new(
        name: &'static str,
        caller: Arc<C>,
        most: usize,
        keep: Duration,
        hire: impl Fn() -> Box<dyn Hand> + Send + Sync + 'static,
    ) -> Crew<C> {
        let (desk, work, news) = Default::default();
        let shared = Shared { caller, hire: Box::new(hire), keep, desk, work, news };
        Crew { shared: Arc::new(shared), name, most: most.max(1) }
    }

    fn start(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(self.name.to_owned()).stack_size(512 * 1024);
        thread.spawn(move || work(&shared)).map(drop)
    }
}

impl<C: Caller> Drop for Crew<C> {
    /// Threads end after what they are at; they are not waited for.
    fn drop(&mut self) {
        let mut desk = self.shared.desk();
        desk.closed = true;
        desk.jobs.clear();
        self.shared.work.notify_all();
    }
}

impl<C: Caller> Fleet for Crew<C> {
    fn room(&self) -> usize {
        self.most.saturating_sub(self.shared.desk().under_way)
    }

    fn begin(&mut self, ticket: u64, parts: Arc<[Parcel]>) {
        let mut desk = self.shared.desk();
        if desk.idle <= desk.jobs.len() && desk.threads < self.most {
            match self.start() {
                Ok(()) => desk.threads += 1,
                Err(error) if desk.threads == 0 => {
                    let reason = Reason::new("internal", format!("the system gives no thread: {error}"));
                    let outcome = Outcome::Retry { reason, after: None, transport: true };
                    return desk.ended.push(Ended { ticket, deliveries: vec![unsent(outcome)] });
                }
                // The others do it, one after the other.
                Err(_) => {}
            }
        }
        desk.under_way += 1;
        desk.jobs.push_back((ticket, parts));
        self.shared.work.notify_one();
    }

    fn wait(&mut self, patience: Option<Duration>, ended: &mut Vec<Ended>) -> io::Result<()> {
        let mut desk = self.shared.desk();
        let until = patience.map(|patience| Instant::now() + patience);
        while desk.ended.is_empty() && !desk.roused {
            desk = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.shared.news.wait(desk).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.shared.news.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        desk.roused = false;
        ended.append(&mut desk.ended);
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || {
            shared.desk().roused = true;
            shared.news.notify_all();
        })
    }
}

/// A thread's life.
fn work<C: Caller>(shared: &Shared<C>) {
    let mut hand = None;
    while let Some((ticket, parts)) = next(shared) {
        let delivered = catch_unwind(AssertUnwindSafe(|| {
            let hand = hand.get_or_insert_with(|| (shared.hire)());
            deliver(&*shared.caller, &mut **hand, &parts)
        }));
        // One that breaks down has said nothing of its delivery, and what it worked with may be broken too.
        let deliveries = delivered.unwrap_or_else(|_| {
            hand = None;
            Vec::new()
        });
        let mut desk = shared.desk();
        desk.under_way = desk.under_way.saturating_sub(1);
        desk.ended.push(Ended { ticket, deliveries });
        drop(desk);
        shared.news.notify_all();
    }
}

/// The next job; none = the thread ends.
fn next<C>(shared: &Shared<C>) -> Option<(u64, Arc<[Parcel]>)> {
    let until = Instant::now() + shared.keep;
    let mut desk = shared.desk();
    desk.idle += 1;
    let job = loop {
        let left = until.saturating_duration_since(Instant::now());
        match desk.jobs.pop_front() {
            Some(job) => break Some(job),
            None if desk.closed || left.is_zero() => break None,
            None => desk = shared.work.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner).0,
        }
    };
    desk.idle -= 1;
    desk.threads -= usize::from(job.is_none());
    job
}

/// Delivers the parts in order, until one is not delivered.
fn deliver<C: Caller>(caller: &C, hand: &mut dyn Hand, parts: &[Parcel]) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(parts.len());
    for part in parts {
        let delivery = one(caller, hand, part);
        let goes_on = delivery.outcome.is_delivered();
        deliveries.push(delivery);
        if !goes_on {
            break;
        }
    }
    deliveries
}

fn unsent(outcome: Outcome) -> Delivery {
    Delivery {
        outcome,
        items: Vec::new(),
        status: None,
        request_hash: [0; 32],
        answer_hash: None,
        bytes: (0, 0),
        took: Duration::ZERO,
        left: Vec::new(),
    }
}

fn one<C: Caller>(caller: &C, hand: &mut dyn Hand, part: &Parcel) -> Delivery {
    let started = Instant::now();
    let own = match part.rendered() {
        Some(request) => request.clone(),
        None => match caller.render(part) {
            Ok(Some(request)) => request,
            Ok(None) => {
                let reason = Reason::new("skipped", "the connector sends nothing for this");
                return unsent(Outcome::SuccessWithRemarks(reason));
            }
            Err(reason) => return unsent(Outcome::Reject(reason)),
        },
    };
    // Of several calls the parcel's own request stands for all.
    let request_hash = own.hash();
    let (mut request, mut course) = match caller.set_out(part, &own) {
        Ok(Some((first, course))) => (first, Some(course)),
        Ok(None) => (own, None),
        Err(reason) => return Delivery { request_hash, ..unsent(Outcome::Reject(reason)) },
    };
    let (mut bytes, mut answer_hash, mut items) = ((0, 0), None, Vec::new());
    let outcome = loop {
        let Heard { answer, sent } = hand.call(part, &request);
        bytes.0 += if sent { request.body.len() as u64 } else { 0 };
        let reply = match answer {
            Ok(reply) => reply,
            Err(outcome) => break outcome,
        };
        bytes.1 += reply.body.len() as u64;
        answer_hash = Some(sha256(&reply.body));
        let each = match part.items() {
            0 => Each::Unsaid,
            _ => caller.judge_items(part, &request, &reply, course.as_mut()),
        };
        let next = match each {
            Each::Unsaid => caller.judge(part, &request, &reply, course.as_mut()),
            Each::All(outcome) => Next::End(outcome),
            Each::Call(request) => Next::Call(request),
            Each::Items(each) => {
                items = each;
                match items.iter().find(|outcome| !outcome.is_delivered()).or(items.first()) {
                    Some(telling) => Next::End(telling.clone()),
                    None => caller.judge(part, &request, &reply, course.as_mut()),
                }
            }
        };
        match next {
            Next::Call(next) => request = next,
            Next::End(outcome) => break outcome,
        }
    };
    let outcome = caller.settle(outcome);
    let items: Vec<Outcome> = items.into_iter().map(|item| caller.settle(item)).collect();
    let left = match course {
        Some(course) if outcome.is_delivered() => caller.leave(part, course),
        _ => Vec::new(),
    };
    Delivery { outcome, items, status: None, request_hash, answer_hash, bytes, took: started.elapsed(), left }
}

#[cfg(test)]
#[path = "crew/tests.rs"]
mod tests;
