//! The lanes of one connector: threads, each with a connection of its own, that take parcels from one queue.
//!
//! Lanes take work in groups and the worker takes results in groups, so that a busy connector pays no hand-off per
//! event; a group is small while little waits, so that no lane sits idle behind another's.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::adapter::{Adapter, Delivery, Lane, Parcel};
use crate::engine::window::SlotId;

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
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    work: Condvar,
    stopping: AtomicBool,
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
        Lanes { shared: Arc::default(), adapter, notify, name: name.to_owned(), most: most.max(1), threads: Vec::new() }
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
        let count = jobs.len();
        lock(&self.shared.desk).jobs.extend(jobs);
        if count > 1 {
            self.shared.work.notify_all()
        } else {
            self.shared.work.notify_one()
        }
        Ok(())
    }

    /// Takes the results that wait.
    pub fn take(&self) -> Vec<Done> {
        std::mem::take(&mut lock(&self.shared.desk).done)
    }

    /// Takes back what no lane has begun.
    pub fn recall(&self) -> Vec<Job> {
        lock(&self.shared.desk).jobs.drain(..).collect()
    }

    /// Lets the lanes end after what they are at; does not wait for them.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Under the lock, so that no lane can miss it between its look and its sleep.
        let _desk = lock(&self.shared.desk);
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

/// Largest group that a lane takes at once.
const GROUP: usize = 16;

fn drive(shared: &Shared, mut lane: Box<dyn Lane>, notify: &Arc<dyn Fn() + Send + Sync>) {
    let mut group = Vec::with_capacity(GROUP);
    loop {
        let mut desk = lock(&shared.desk);
        while desk.jobs.is_empty() {
            if shared.stopping.load(Ordering::Acquire) {
                return;
            }
            desk.idle += 1;
            desk = shared.work.wait(desk).unwrap_or_else(PoisonError::into_inner);
            desk.idle -= 1;
        }
        let share = (desk.jobs.len() / 8).clamp(1, GROUP);
        let available = desk.jobs.len().min(share);
        group.extend(desk.jobs.drain(..available));
        drop(desk);
        let mut jobs = group.drain(..);
        while let Some(Job { slot, parts }) = jobs.next() {
            if shared.stopping.load(Ordering::Acquire) {
                let mut desk = lock(&shared.desk);
                desk.jobs.push_front(Job { slot, parts });
                desk.jobs.extend(jobs);
                drop(desk);
                notify();
                return;
            }
            // A lane that breaks down takes one event's answer with it, never the agent.
            let deliveries =
                catch_unwind(AssertUnwindSafe(|| deliver(lane.as_mut(), &parts))).unwrap_or_else(|_| Vec::new());
            let first = {
                let mut desk = lock(&shared.desk);
                desk.done.push(Done { slot, parts, deliveries });
                desk.done.len() == 1
            };
            if first {
                notify();
            }
        }
    }
}
