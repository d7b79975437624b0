//! The one writer of the state file: takes batches from every worker and commits what has gathered together, so that
//! one sync makes many attempts durable.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::engine::need::{self, Need};
use crate::store::state::batch::Batch;
use crate::store::state::{State, StateError, attempt};

/// A batch is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The last attempt number before this batch: its intents have higher ones.
    pub before: i64,
}

type Answer = Box<dyn FnOnce(Result<Committed, Arc<StateError>>) + Send>;
type Call = Box<dyn FnOnce(&mut State) + Send>;

enum Order {
    Batch(Arc<Batch>, Answer),
    Call(Call),
    Stop,
}

/// A handle to the ledger; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    orders: Sender<Order>,
    refused: Refused,
}

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
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || write(state, &inbox, &told))?;
        Ok((Ledger { orders, refused }, thread))
    }

    /// Hands over a batch; `answer` is called on the writer's thread once it is durable or refused. A refused batch
    /// left nothing behind and may be handed over again.
    pub fn submit(
        &self,
        batch: Arc<Batch>,
        answer: impl FnOnce(Result<Committed, Arc<StateError>>) + Send + 'static,
    ) -> Result<(), LedgerGone> {
        self.orders.send(Order::Batch(batch, Box::new(answer))).map_err(|_| LedgerGone)
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

    /// Why nothing can be recorded at this time, and so nothing is sent.
    pub fn refused(&self) -> Option<Need> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the writer after everything handed over so far.
    pub fn stop(&self) {
        let _ = self.orders.send(Order::Stop);
    }
}

/// At most so many batches in one commit: a bound on how long one transaction grows.
const GATHER: usize = 256;

fn write(mut state: State, inbox: &Receiver<Order>, refused: &Refused) -> State {
    let mut waiting: Vec<(Arc<Batch>, Answer)> = Vec::new();
    loop {
        let mut next = if waiting.is_empty() { inbox.recv().ok() } else { inbox.try_recv().ok() };
        let ended = next.is_none() && waiting.is_empty();
        while let Some(Order::Batch(batch, answer)) = next {
            waiting.push((batch, answer));
            next = if waiting.len() < GATHER { inbox.try_recv().ok() } else { None };
        }
        commit(&mut state, &mut waiting, refused);
        match next {
            Some(Order::Call(call)) => call(&mut state),
            Some(Order::Stop) => return state,
            _ if ended => return state,
            _ => {}
        }
    }
}

/// One transaction for all; when it fails, each alone, so that one worker's trouble is not another's.
fn commit(state: &mut State, waiting: &mut Vec<(Arc<Batch>, Answer)>, refused: &Refused) {
    if waiting.is_empty() {
        return;
    }
    let together = state.commit(|db| {
        let before = attempt::last(db)?;
        waiting.iter().try_for_each(|(batch, _)| batch.apply(db))?;
        Ok(Committed { before })
    });
    let alone = waiting.len() == 1;
    let need = together.as_ref().err().map(|error| Need::of(need::STATE, &error.to_string()));
    *refused.lock().unwrap_or_else(PoisonError::into_inner) = need;
    match together {
        Ok(committed) => waiting.drain(..).for_each(|(_, answer)| answer(Ok(committed))),
        Err(error) if alone || matches!(error, StateError::Disk { .. } | StateError::Broken { .. }) => {
            let error = Arc::new(error);
            waiting.drain(..).for_each(|(_, answer)| answer(Err(error.clone())));
        }
        Err(_) => {
            for (batch, answer) in waiting.drain(..) {
                let result = state.commit(|db| {
                    let before = attempt::last(db)?;
                    batch.apply(db)?;
                    Ok(Committed { before })
                });
                answer(result.map_err(Arc::new));
            }
        }
    }
}
