//! What a handler has done, and its commit: pushes, position and sums together.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::Push;
use crate::clock::{self, Timestamp};
use crate::engine::ledger::{Committed, Part};
use crate::engine::push::{Mailbox, Message};
use crate::event::Event;
use crate::store::state::connector::{self, OpenBreaker};
use crate::store::state::counter::{self, Counter};
use crate::store::state::{ConnectorId, Db, LogId, Sql, StateError, cursor, intake, parked};

/// What stands in the place of an endpoint's origin where the state file notes a failure.
pub(super) const ORIGIN: &str = "handler";

/// What was handled and is not stored yet.
#[derive(Default)]
pub(super) struct Done {
    pub(super) since: Option<Timestamp>,
    pub(super) handled: Vec<(Arc<Event>, Vec<Push>)>,
    /// Parked events among them.
    pub(super) ended: Vec<Arc<Event>>,
    pub(super) cursors: Vec<(LogId, i64)>,
    pub(super) delivered: u64,
    pub(super) skipped: u64,
    pub(super) retried: u64,
    /// A failure to be noted, or (none) to be taken back.
    pub(super) failed: Option<Option<OpenBreaker>>,
}

impl Done {
    pub(super) fn is_empty(&self) -> bool {
        self.cursors.is_empty() && self.ended.is_empty() && self.failed.is_none() && self.retried == 0
    }

    pub(super) fn reach(&mut self, log: LogId, seq: i64) {
        self.since.get_or_insert_with(clock::steady);
        match self.cursors.iter_mut().find(|(known, _)| *known == log) {
            Some((_, at)) => *at = seq,
            None => self.cursors.push((log, seq)),
        }
    }
}

/// One commit of a handler.
pub(super) struct Entry {
    pub(super) id: ConnectorId,
    pub(super) done: Arc<Done>,
    pub(super) pushed: bool,
    pub(super) workers: Arc<[Mailbox]>,
    pub(super) told: Sender<Result<(), Arc<StateError>>>,
}

impl Part for Entry {
    fn apply(&mut self, db: &Db) -> Sql<()> {
        let now = clock::now();
        self.pushed = false;
        for (event, pushes) in &self.done.handled {
            for (nth, push) in pushes.iter().enumerate() {
                push.stored(event, nth, |message| intake::take(db, message, now))?;
                self.pushed = true;
            }
        }
        for event in &self.done.ended {
            parked::end(db, self.id, event, clock::steady())?;
        }
        for (log, seq) in &self.done.cursors {
            cursor::advance(db, self.id, *log, *seq)?;
        }
        counter::add(db, self.id, Counter::Delivered, self.done.delivered)?;
        counter::add(db, self.id, Counter::Skipped, self.done.skipped)?;
        counter::add(db, self.id, Counter::Retried, self.done.retried)?;
        if let Some(failed) = &self.done.failed {
            connector::set_breaker(db, self.id, ORIGIN, failed.as_ref())?;
        }
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<Committed, Arc<StateError>>) {
        if self.pushed && result.is_ok() {
            self.workers.iter().for_each(|worker| worker.tell(Message::Wake));
        }
        let _ = self.told.send(result.map(drop));
    }
}
