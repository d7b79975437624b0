//! What a worker is told, and how.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::engine::ledger::Committed;
use crate::rules::outcome::Reason;
use crate::store::state::StateError;

/// What a worker is told.
#[derive(Clone, Debug)]
pub enum Message {
    /// A log has grown.
    Wake,
    /// Lanes have results.
    Results,
    /// The ledger has answered.
    Committed(Result<Committed, Arc<StateError>>),
    /// The target has been asked whether it works.
    Asked(Result<(), Reason>),
    /// Parked deliveries were changed by a person.
    Reload,
    /// Run now, whatever the schedule says.
    RunNow,
    /// Deliver, or stop delivering until told otherwise.
    Pause(bool),
    /// A log's positions are not what they were (replaced or restored file, replay): begin again from the cursor.
    Rewind,
    /// A log's file was replaced: let go of the old one.
    LetGo,
    /// The state file can no longer be trusted: end at once.
    Broken,
    /// Finish what is in flight, then end.
    Stop,
}

/// A handle to a worker.
#[derive(Clone, Debug)]
pub struct Mailbox(Sender<Message>);

impl Mailbox {
    /// The handle of a worker that listens at the other end.
    pub fn new(sender: Sender<Message>) -> Mailbox {
        Mailbox(sender)
    }

    /// Tells the worker; a worker that has ended hears nothing.
    pub fn tell(&self, message: Message) {
        let _ = self.0.send(message);
    }
}
