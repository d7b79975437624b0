//! The lanes of one connector: threads, each with a connection of its own, that take parcels from one queue.
//!
//! Lanes take work in groups and hand results in by groups, so that a busy connector pays no hand-off per event; a
//! group is small while little waits, so that no lane sits idle behind another's, and a result never waits long.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::adapter::{Adapter, Delivery, Lane, Parcel};
use crate::engine::window::SlotId;
use crate::rules::outcome::Outcome;

/// Work for a lane: the parts of one event, in order.
#[derive(Debug)]
pub struct Job {
    /// Whose.
    pub slot: SlotId,
    /// What to send.
    pub parts: Vec<Parcel>,
}

/// What came of a job: one delivery for each part that was tried; the first that is not delivered is the last.
#[derive(Debug)]
pub struct Done {
    /// Whose.
    pub slot: SlotId,
    /// The parts, given back.
    pub parts: Vec<Parcel>,
    /// What came of them; empty when the lane broke down before it could say.
    pub deliveries: Vec<Delivery>,
}

#[derive(Debug, Default)]
struct Desk {
    jobs: VecDeque<Job>,
    done: Vec<Done>,
    idle: usize,
    /// An answer concerns every delivery: no lane begins another until the worker has seen it.
    held: bool,
    unsent: Vec<Job>,
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    work: Condvar,
    stopping: AtomicBool,
    /// Moves, under the desk's lock, when what is not begun must not be begun: a lane that has taken a group before
    /// gives the rest of it back. Read without the lock, because it is read before every event.
    turn: AtomicU64,
    most: usize,
}

impl Shared {
    fn turn_over(&self) {
        self.turn.fetch_add(1, Ordering::Release);
    }

    fn recall(&self, desk: &mut Desk) -> Vec<Job> {
        self.turn_over();
        desk.held = false;
        desk.unsent.drain(..).chain(desk.jobs.drain(..)).collect()
    }
}

/// The lanes.
pub struct Lanes {
    shared: Arc<Shared>,
    adapter: Arc<dyn Adapter>,
    notify: Arc<dyn Fn() + Send + Sync>,
    name: String,
    most: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Lanes {
    /// Lanes that are started as work comes, at most `most`; `notify` is called when results wait to be taken.
    pub fn new(name: &str, adapter: Arc<dyn Adapter>, most: usize, notify: Arc<dyn Fn() + Send + Sync>) -> Lanes {
        let most = most.max(1);
        let shared = Arc::new(Shared { most, ..Shared::default() });
        Lanes { shared, adapter, notify, name: name.to_owned(), most, threads: Vec::new() }
    }

    /// Hands over work.
    ///
    /// # Errors
    /// When the system gives not even one thread; the jobs are given back.
    pub fn send(&mut self, jobs: Vec<Job>) -> Result<(), (Vec<Job>, std::io::Error)> {
        let (waiting, idle) = {
            let desk = lock(&self.shared.desk);
            (desk.jobs.len() + jobs.len(), desk.idle)
        };
        let wanted = (waiting + self.threads.len().saturating_sub(idle)).min(self.most);
        while self.threads.len() < wanted {
            let (shared, notify) = (self.shared.clone(), self.notify.clone());
            let lane = self.adapter.lane();
            let name = format!("{}/{}", self.name, self.threads.len());
            match std::thread::Builder::new()
                .name(name)
                .stack_size(512 * 1024)
                .spawn(move || drive(&shared, lane, &notify))
            {
                Ok(thread) => self.threads.push(thread),
                Err(error) if self.threads.is_empty() => return Err((jobs, error)),
                Err(_) => break,
            }
        }
        let wake = {
            let mut desk = lock(&self.shared.desk);
            let count = jobs.len();
            desk.jobs.extend(jobs);
            count.min(desk.idle)
        };
        (0..wake).for_each(|_| self.shared.work.notify_one());
        Ok(())
    }

    /// Takes the results that wait; and what was given back, or not begun when a result concerns every delivery.
    pub fn take(&self) -> (Vec<Done>, Vec<Job>) {
        let mut desk = lock(&self.shared.desk);
        let done = std::mem::take(&mut desk.done);
        let unsent = if desk.held { self.shared.recall(&mut desk) } else { std::mem::take(&mut desk.unsent) };
        (done, unsent)
    }

    /// Takes back what no lane has begun.
    pub fn recall(&self) -> Vec<Job> {
        self.shared.recall(&mut lock(&self.shared.desk))
    }

    /// Lets the lanes end after what they are at; does not wait for them.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Under the lock, so that no lane can miss it between its look and its sleep.
        let _desk = lock(&self.shared.desk);
        self.shared.turn_over();
        self.shared.work.notify_all();
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn deliver(lane: &mut dyn Lane, parts: &[Parcel]) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(parts.len());
    for part in parts {
        let delivery = lane.deliver(part);
        let delivered = delivery.outcome.is_delivered();
        deliveries.push(delivery);
        if !delivered {
            break;
        }
    }
    deliveries
}

/// Whether an answer says that no other delivery is to be tried now: the credentials are not accepted, the target
/// halts the connector or asks it to wait.
fn concerns_all(deliveries: &[Delivery]) -> bool {
    let outcome = deliveries.last().map(|delivery| &delivery.outcome);
    matches!(outcome, Some(Outcome::Halt(_) | Outcome::Reauth(_) | Outcome::Retry { after: Some(_), .. }))
}

/// Largest group that a lane takes at once.
const GROUP: usize = 16;
/// Results that took so long together are handed in, whatever the group still has to do.
const KEEP: Duration = Duration::from_millis(1);

fn drive(shared: &Shared, mut lane: Box<dyn Lane>, notify: &Arc<dyn Fn() + Send + Sync>) {
    let mut group = Vec::with_capacity(GROUP);
    let mut results = Results::default();
    loop {
        let mut desk = lock(&shared.desk);
        while desk.jobs.is_empty() || desk.held {
            if shared.stopping.load(Ordering::Acquire) {
                return;
            }
            desk.idle += 1;
            desk = shared.work.wait(desk).unwrap_or_else(PoisonError::into_inner);
            desk.idle -= 1;
        }
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        let turn = shared.turn.load(Ordering::Acquire);
        // Half of what is a lane's share, so that the last of the work is spread over all of them.
        let share = (desk.jobs.len() / (2 * shared.most)).clamp(1, GROUP);
        let available = desk.jobs.len().min(share);
        group.extend(desk.jobs.drain(..available));
        drop(desk);
        let mut jobs = group.drain(..);
        while let Some(Job { slot, parts }) = jobs.next() {
            if shared.turn.load(Ordering::Acquire) != turn {
                let mut desk = lock(&shared.desk);
                desk.unsent.push(Job { slot, parts });
                desk.unsent.extend(jobs);
                drop(desk);
                notify();
                break;
            }
            // A lane that breaks down takes one event's answer with it, never the agent.
            let deliveries =
                catch_unwind(AssertUnwindSafe(|| deliver(lane.as_mut(), &parts))).unwrap_or_else(|_| Vec::new());
            results.add(Done { slot, parts, deliveries });
            if results.urgent {
                results.hand_in(shared, notify);
            }
        }
        results.hand_in(shared, notify);
    }
}

/// What a lane has not handed in yet.
#[derive(Default)]
struct Results {
    done: Vec<Done>,
    took: Duration,
    /// The worker must see them now: one is not plainly delivered, or they have waited for each other long enough.
    urgent: bool,
}

impl Results {
    fn add(&mut self, done: Done) {
        let plain = !done.deliveries.is_empty()
            && done.deliveries.iter().all(|delivery| delivery.outcome.is_delivered());
        self.took += done.deliveries.iter().map(|delivery| delivery.took).sum::<Duration>();
        self.urgent |= !plain || self.took >= KEEP;
        self.done.push(done);
    }

    fn hand_in(&mut self, shared: &Shared, notify: &Arc<dyn Fn() + Send + Sync>) {
        if self.done.is_empty() {
            return;
        }
        let mut desk = lock(&shared.desk);
        if !desk.held && self.done.iter().any(|done| concerns_all(&done.deliveries)) {
            desk.held = true;
            shared.turn_over();
        }
        let first = desk.done.is_empty();
        desk.done.append(&mut self.done);
        drop(desk);
        (self.took, self.urgent) = (Duration::ZERO, false);
        if first {
            notify();
        }
    }
}
