//! Event sources: connected to, listened to, and connected to again, until they are told to stop. `docs/EVENTS.md`
//! describes what is spoken.

mod follow;
mod store;

use std::io;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::daemon::board::Board;
use crate::engine::inflow::{Inflow, InflowStatus, Standing};
use crate::engine::intake::Intake;
use crate::engine::ledger::Ledger;
use follow::Follower;

/// The running subscriptions: one task for each source, on a thread of their own.
#[derive(Debug)]
pub struct Subscriptions {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Subscriptions {
    /// Follows sources from where they stood when they were left.
    ///
    /// # Errors
    /// The system gives no thread, or the state file cannot be read.
    pub fn start(sources: Vec<Inflow>, intake: &Intake, ledger: &Ledger, board: &Board) -> io::Result<Subscriptions> {
        board.put_up(sources.iter().map(|source| InflowStatus::of(source, Standing::Connecting)).collect());
        let (stop, stopped) = watch::channel(false);
        let followers = sources.into_iter().enumerate().map(|(at, source)| {
            Follower::new(at, source, intake.clone(), ledger.clone(), board.clone(), stopped.clone())
        });
        let followers: Vec<Follower> = followers.collect::<io::Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("events".into()).spawn(move || {
            runtime.block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                followers.into_iter().for_each(|follower| drop(tasks.spawn(follower.run())));
                while tasks.join_next().await.is_some() {}
            });
            // A name that is being looked up cannot be broken off: it is left behind.
            runtime.shutdown_background();
        })?;
        Ok(Subscriptions { stop, thread })
    }

    /// Ends them: what was read is stored first, what was not stays with the source.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            log::error!("the event sources' thread broke down");
        }
    }
}

/// Waits until the agent stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Nobody is there to say so any more: that is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}
