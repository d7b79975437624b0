//! The one writer of the state file: takes batches from every worker and commits what has gathered together, so that
//! one sync makes many attempts durable.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::clock;
use crate::engine::need::{self, Need};
use crate::store::state::batch::Batch;
use crate::store::state::{Db, Sql, State, StateError, attempt, set_note};

/// A batch is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The last attempt number before this batch: its intents have higher ones.
    pub before: i64,
}

/// One caller's part of a commit.
pub(super) trait Part: Send {
    /// Writes it inside the transaction; called again when the transaction that it shared was refused.
    fn apply(&mut self, db: &Db) -> Sql<()>;

    /// Hears on the writer's thread that it is durable, or that nothing of it stayed.
    fn answer(self: Box<Self>, result: Result<Committed, Arc<StateError>>);
}

/// A worker's part.
struct Share<A> {
    batch: Arc<Batch>,
    answer: A,
}

impl<A: FnOnce(Result<Committed, Arc<StateError>>) + Send> Part for Share<A> {
    fn apply(&mut self, db: &Db) -> Sql<()> {
        self.batch.apply(db)
    }

    fn answer(self: Box<Self>, result: Result<Committed, Arc<StateError>>) {
        (self.answer)(result);
    }
}

type Call = Box<dyn FnOnce(&mut State) + Send>;

enum Order {
    Part(Box<dyn Part>),
    Call(Call),
    Stop,
}

/// A handle to the ledger; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    orders: Sender<Order>,
    refused: Refused,
    listener: Listener,
}

/// Who hears of each [`MANY`] rows.
type Listener = Arc<Mutex<Option<Sender<()>>>>;

/// After so many rows of the attempt log whoever listens is told.
pub const MANY: i64 = 1000;

/// Why the last batch was refused; none when it was taken. Nothing is sent meanwhile.
type Refused = Arc<Mutex<Option<Need>>>;

/// The ledger is gone: its thread has ended.
#[derive(Debug, thiserror::Error)]
#[error("the state file's writer has stopped")]
pub struct LedgerGone;

/// What a call on the ledger can fail with.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The writer has stopped.
    #[error(transparent)]
    Gone(#[from] LedgerGone),
    /// The state file refused.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Ledger {
    /// Starts the writer on its thread. The thread ends, and gives the state back, after [`Ledger::stop`].
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(state: State) -> std::io::Result<(Ledger, JoinHandle<State>)> {
        let (orders, inbox) = channel();
        let refused = Refused::default();
        let told = refused.clone();
        let listener = Listener::default();
        let hears = listener.clone();
        let thread =
            std::thread::Builder::new().name("ledger".into()).spawn(move || write(state, &inbox, &told, &hears))?;
        Ok((Ledger { orders, refused, listener }, thread))
    }

    /// Tells `listener` whenever [`MANY`] rows have been written since it was told last.
    pub fn tell_of_many(&self, listener: Sender<()>) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// Hands over a batch; `answer` is called on the writer's thread once it is durable or refused. A refused batch
    /// left nothing behind and may be handed over again.
    pub fn submit(
        &self,
        batch: Arc<Batch>,
        answer: impl FnOnce(Result<Committed, Arc<StateError>>) + Send + 'static,
    ) -> Result<(), LedgerGone> {
        self.join(Box::new(Share { batch, answer }))
    }

    /// Hands over a part of the next commit.
    pub(super) fn join(&self, part: Box<dyn Part>) -> Result<(), LedgerGone> {
        self.orders.send(Order::Part(part)).map_err(|_| LedgerGone)
    }

    /// Runs `work` on the writer's connection and waits for it.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, result) = channel();
        let call: Call = Box::new(move |state| {
            let _ = reply.send(work(state));
        });
        self.orders.send(Order::Call(call)).map_err(|_| LedgerGone)?;
        Ok(result.recv().map_err(|_| LedgerGone)??)
    }

    /// Has the writer's thread call this, after everything that was handed over so far; nobody waits for it.
    pub fn ping(&self, answer: impl FnOnce() + Send + 'static) {
        let _ = self.orders.send(Order::Call(Box::new(move |_| answer())));
    }

    /// Why nothing can be recorded at this time, and so nothing is sent.
    pub fn refused(&self) -> Option<Need> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tries whether a state file that refused takes something again, by noting the time in it.
    pub fn probe(&self) -> Result<(), LedgerError> {
        let refused = self.refused.clone();
        self.call(move |state| {
            state.commit(|db| set_note(db, PROBE, &clock::now().to_string()))?;
            *refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
            Ok(())
        })
    }

    /// Ends the writer after everything handed over so far.
    pub fn stop(&self) {
        let _ = self.orders.send(Order::Stop);
    }
}

/// The note that [`Ledger::probe`] writes.
const PROBE: &str = "probe";
/// At most so many parts in one commit: a bound on how long one transaction grows.
const GATHER: usize = 256;

fn write(mut state: State, inbox: &Receiver<Order>, refused: &Refused, listener: &Listener) -> State {
    let mut waiting: Vec<Box<dyn Part>> = Vec::new();
    let mut told = 0;
    loop {
        let mut next = if waiting.is_empty() { inbox.recv().ok() } else { inbox.try_recv().ok() };
        let ended = next.is_none() && waiting.is_empty();
        while let Some(Order::Part(part)) = next {
            waiting.push(part);
            next = if waiting.len() < GATHER { inbox.try_recv().ok() } else { None };
        }
        if let Some(last) = commit(&mut state, &mut waiting, refused)
            && last >= told + MANY
        {
            told = last;
            // Nobody may listen, or no longer.
            listener.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|listener| listener.send(()));
        }
        match next {
            Some(Order::Call(call)) => call(&mut state),
            Some(Order::Stop) => return state,
            _ if ended => return state,
            _ => {}
        }
    }
}

/// One transaction for all; when it fails, each alone, so that one worker's trouble is not another's. Gives the last
/// attempt number before it, when all went together.
fn commit(state: &mut State, waiting: &mut Vec<Box<dyn Part>>, refused: &Refused) -> Option<i64> {
    if waiting.is_empty() {
        return None;
    }
    let together = state.commit(|db| {
        let before = attempt::last(db)?;
        waiting.iter_mut().try_for_each(|part| part.apply(db))?;
        Ok(Committed { before })
    });
    let alone = waiting.len() == 1;
    let need = together.as_ref().err().map(|error| Need::of(need::STATE, &error.to_string()));
    *refused.lock().unwrap_or_else(PoisonError::into_inner) = need;
    match together {
        Ok(committed) => {
            waiting.drain(..).for_each(|part| part.answer(Ok(committed)));
            return Some(committed.before);
        }
        Err(error) if alone || matches!(error, StateError::Disk { .. } | StateError::Broken { .. }) => {
            let error = Arc::new(error);
            waiting.drain(..).for_each(|part| part.answer(Err(error.clone())));
        }
        Err(_) => {
            for mut part in waiting.drain(..) {
                let result = state.commit(|db| {
                    let before = attempt::last(db)?;
                    part.apply(db)?;
                    Ok(Committed { before })
                });
                part.answer(result.map_err(Arc::new));
            }
        }
    }
    None
}
