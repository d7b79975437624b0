//! The lanes of one connector: one thread that keeps as many deliveries under way as the connector may have.
//!
//! Work comes and results go in groups, so that a busy connector pays no hand-off per event; a result never waits long,
//! and not at all when nothing else is under way.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use foldhash::HashMap;

use crate::adapter::{Adapter, Delivery, Ended, Fleet, Parcel};
use crate::engine::window::SlotId;
use crate::rules::outcome::Outcome;

/// Work for the lanes: the parts of one event, in order.
#[derive(Debug)]
pub struct Job {
    /// Whose.
    pub slot: SlotId,
    /// What to send.
    pub parts: Arc<[Parcel]>,
}

/// What came of a job: one delivery for each part that was tried; the first that is not delivered is the last.
#[derive(Debug)]
pub struct Done {
    /// Whose.
    pub slot: SlotId,
    /// What came of it; empty when the lanes broke down before they could say.
    pub deliveries: Vec<Delivery>,
}

type Notify = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Desk {
    jobs: VecDeque<Job>,
    done: Vec<Done>,
    /// An answer concerns every delivery: none is begun until the worker has seen it.
    held: bool,
    unsent: Vec<SlotId>,
    /// There is a thread that takes jobs from here.
    manned: bool,
    /// Wakes the thread; there while it waits with room for more.
    asleep: Option<Notify>,
    /// Wakes the thread in any case.
    waker: Option<Notify>,
}

#[derive(Default)]
struct Shared {
    desk: Mutex<Desk>,
    stopping: AtomicBool,
    /// Moves, under the desk's lock, when what is not begun must not be begun: what the thread has taken before is given
    /// back. Read without the lock, because it is read before every event.
    turn: AtomicU64,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, desk: &mut Desk) -> Vec<SlotId> {
        self.turn_over(desk);
        desk.held = false;
        desk.unsent.drain(..).chain(desk.jobs.drain(..).map(|job| job.slot)).collect()
    }

    fn turn_over(&self, desk: &Desk) {
        self.turn.fetch_add(1, Ordering::Release);
        if let Some(waker) = &desk.waker {
            waker();
        }
    }
}

/// The lanes.
pub struct Lanes {
    shared: Arc<Shared>,
    adapter: Arc<dyn Adapter>,
    notify: Notify,
    name: String,
    most: usize,
    thread: Option<JoinHandle<()>>,
}

impl Lanes {
    /// Lanes that start when work comes, with at most `most` deliveries under way; `notify` is called when results wait
    /// to be taken.
    pub fn new(name: &str, adapter: Arc<dyn Adapter>, most: usize, notify: Notify) -> Lanes {
        let shared = Arc::default();
        Lanes { shared, adapter, notify, name: name.to_owned(), most: most.max(1), thread: None }
    }

    /// Hands over work.
    ///
    /// # Errors
    /// When the system gives no thread, or not what sockets are watched with; the jobs are given back.
    pub fn send(&mut self, jobs: Vec<Job>) -> Result<(), (Vec<Job>, std::io::Error)> {
        let (wake, manned) = {
            let mut desk = self.shared.desk();
            desk.jobs.extend(jobs);
            (desk.asleep.take(), desk.manned)
        };
        if let Some(wake) = wake {
            wake();
        }
        if manned && !self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Ok(());
        }
        match self.start() {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                let mut desk = self.shared.desk();
                desk.manned = false;
                return Err((desk.jobs.drain(..).collect(), error));
            }
        }
        Ok(())
    }

    fn start(&self) -> std::io::Result<JoinHandle<()>> {
        let fleet = make(&*self.adapter, self.most)?;
        self.shared.desk().manned = true;
        let mut lanes = Driver {
            shared: Arc::clone(&self.shared),
            adapter: Arc::clone(&self.adapter),
            notify: Arc::clone(&self.notify),
            most: self.most,
            fleet,
            turn: self.shared.turn.load(Ordering::Acquire),
            jobs: VecDeque::new(),
            under_way: HashMap::default(),
            results: Results::default(),
        };
        std::thread::Builder::new().name(self.name.clone()).stack_size(512 * 1024).spawn(move || lanes.drive())
    }

    /// Takes the results that wait; and what was given back, or not begun when a result concerns every delivery.
    pub fn take(&self) -> (Vec<Done>, Vec<SlotId>) {
        let mut desk = self.shared.desk();
        let done = std::mem::take(&mut desk.done);
        let unsent = if desk.held { self.shared.recall(&mut desk) } else { std::mem::take(&mut desk.unsent) };
        (done, unsent)
    }

    /// Takes back what is not begun.
    pub fn recall(&self) -> Vec<SlotId> {
        self.shared.recall(&mut self.shared.desk())
    }

    /// Lets the lanes end after what they are at; does not wait for them.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.turn_over(&self.shared.desk());
    }
}

impl Drop for Lanes {
    /// What is still under way is waited for no longer.
    fn drop(&mut self) {
        self.stop();
        self.adapter.abandon();
    }
}

/// A fleet, also of an adapter that breaks down instead.
fn make(adapter: &dyn Adapter, most: usize) -> std::io::Result<Box<dyn Fleet>> {
    let broken = |_| Err(std::io::Error::other("the adapter broke down"));
    catch_unwind(AssertUnwindSafe(|| adapter.fleet(most))).unwrap_or_else(broken)
}

/// Whether an answer says that no other delivery is to be tried now: the credentials are not accepted, the target
/// halts the connector or asks it to wait.
fn concerns_all(deliveries: &[Delivery]) -> bool {
    let outcome = deliveries.last().map(|delivery| &delivery.outcome);
    matches!(outcome, Some(Outcome::Halt(_) | Outcome::Reauth(_) | Outcome::Retry { after: Some(_), .. }))
}

/// Results that waited so long for others are handed in.
const KEEP: Duration = Duration::from_millis(1);

/// Jobs that are taken from the desk at once, at least.
const AHEAD: usize = 16;

/// The thread's side.
struct Driver {
    shared: Arc<Shared>,
    adapter: Arc<dyn Adapter>,
    notify: Notify,
    most: usize,
    fleet: Box<dyn Fleet>,
    turn: u64,
    jobs: VecDeque<Job>,
    under_way: HashMap<u64, SlotId>,
    results: Results,
}

impl Driver {
    fn drive(&mut self) {
        let mut ended = Vec::new();
        self.shared.desk().waker = Some(self.fleet.waker());
        loop {
            let patience = match self.begin_more() {
                Next::End => return,
                Next::Wait => None,
                Next::HandInSoon => Some(KEEP),
            };
            // An adapter that breaks down takes the answers of what is under way with it, never the agent.
            let waited = catch_unwind(AssertUnwindSafe(|| self.fleet.wait(patience, &mut ended)));
            let broken = !matches!(waited, Ok(Ok(())));
            for Ended { ticket, deliveries } in ended.drain(..) {
                if let Some(slot) = self.under_way.remove(&ticket) {
                    self.results.add(Done { slot, deliveries });
                }
            }
            if broken && !self.begin_anew() {
                return;
            }
            if self.results.urgent() || (self.under_way.is_empty() && self.jobs.is_empty()) {
                self.hand_in();
            }
        }
    }

    /// Begins what there is room for.
    fn begin_more(&mut self) -> Next {
        if self.shared.turn.load(Ordering::Acquire) != self.turn {
            let mut desk = self.shared.desk();
            self.turn = self.shared.turn.load(Ordering::Acquire);
            if !self.jobs.is_empty() {
                desk.unsent.extend(self.jobs.drain(..).map(|job| job.slot));
                drop(desk);
                (self.notify)();
            }
        }
        while self.fleet.room() > 0 {
            if self.jobs.is_empty() {
                let mut desk = self.shared.desk();
                if self.shared.stopping.load(Ordering::Acquire) || self.shared.turn.load(Ordering::Acquire) != self.turn
                {
                    break;
                }
                if !desk.held {
                    let most = desk.jobs.len().min(self.most.max(AHEAD));
                    self.jobs.extend(desk.jobs.drain(..most));
                }
                if self.jobs.is_empty() {
                    if self.under_way.is_empty() && !self.results.done.is_empty() {
                        drop(desk);
                        self.hand_in();
                        continue;
                    }
                    desk.asleep = desk.waker.clone();
                    break;
                }
            }
            let Some(job) = self.jobs.pop_front() else { break };
            let ticket = job.slot.0;
            self.under_way.insert(ticket, job.slot);
            let begun = catch_unwind(AssertUnwindSafe(|| self.fleet.begin(ticket, job.parts)));
            if begun.is_err() && !self.begin_anew() {
                return Next::End;
            }
        }
        if self.shared.stopping.load(Ordering::Acquire) && self.under_way.is_empty() {
            self.hand_in();
            return Next::End;
        }
        if self.results.done.is_empty() { Next::Wait } else { Next::HandInSoon }
    }

    /// After a breakdown: nobody knows what came of what was under way. False = there is no other fleet to be had.
    fn begin_anew(&mut self) -> bool {
        for (_, slot) in self.under_way.drain() {
            self.results.add(Done { slot, deliveries: Vec::new() });
        }
        let fleet = make(&*self.adapter, self.most);
        let mut desk = self.shared.desk();
        if let Ok(fleet) = fleet {
            desk.waker = Some(fleet.waker());
            drop(desk);
            self.fleet = fleet;
            self.hand_in();
            return true;
        }
        // Nobody is here any more to begin what waits.
        (desk.waker, desk.asleep, desk.manned) = (None, None, false);
        let left = self.jobs.drain(..).chain(std::mem::take(&mut desk.jobs)).map(|job| job.slot);
        desk.unsent.extend(left);
        drop(desk);
        self.hand_in();
        (self.notify)();
        false
    }

    fn hand_in(&mut self) {
        let done = self.results.take();
        if done.is_empty() {
            return;
        }
        let mut desk = self.shared.desk();
        if !desk.held && done.iter().any(|done| concerns_all(&done.deliveries)) {
            desk.held = true;
            self.shared.turn_over(&desk);
        }
        let first = desk.done.is_empty();
        desk.done.extend(done);
        drop(desk);
        if first {
            (self.notify)();
        }
    }
}

/// What the thread does next.
enum Next {
    /// Wait for what comes.
    Wait,
    /// Wait no longer than results may.
    HandInSoon,
    /// Nothing any more.
    End,
}

/// What is not handed in yet.
#[derive(Default)]
struct Results {
    done: Vec<Done>,
    since: Option<Instant>,
    /// One is not plainly delivered: the worker must see it now.
    telling: bool,
}

impl Results {
    fn add(&mut self, done: Done) {
        let plain =
            !done.deliveries.is_empty() && done.deliveries.iter().all(|delivery| delivery.outcome.is_delivered());
        self.telling |= !plain;
        self.since.get_or_insert_with(Instant::now);
        self.done.push(done);
    }

    fn urgent(&self) -> bool {
        self.telling || self.since.is_some_and(|since| since.elapsed() >= KEEP)
    }

    fn take(&mut self) -> Vec<Done> {
        (self.since, self.telling) = (None, false);
        std::mem::take(&mut self.done)
    }
}
