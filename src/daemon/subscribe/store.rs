//! Storing what a source says: durable before the next message is read, and with it how far the source has come.

use std::io;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::stopped;
use crate::clock;
use crate::daemon::board::Board;
use crate::engine::inflow::{Inflow, Standing};
use crate::engine::intake::{self, Intake, IntakeError, Post, PostState, Posted};
use crate::engine::ledger::Ledger;
use crate::event::{Record, Value};
use crate::format::json;
use crate::format::message::{self, Heard, Message, Said, Shape};
use crate::rules::outcome::Reason;
use crate::store::state::{note, set_note};

/// How long is waited for a state file that takes nothing, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// A source that sends nothing useful is complained of so often.
const COMPLAINTS: Duration = Duration::from_secs(60);

/// Keeps what one source says.
pub struct Keeping {
    at: usize,
    name: String,
    shape: Shape,
    intake: Intake,
    ledger: Ledger,
    board: Board,
    stop: watch::Receiver<bool>,
    /// The position of each pattern, as it is stored.
    positions: Record,
    complained: std::sync::Mutex<Option<Instant>>,
}

/// Nothing can be stored any more: the agent ends.
#[derive(Debug)]
pub struct Over;

/// The note that holds the positions of a source, in JSON.
fn note_of(source: &str) -> String {
    format!("positions/{source}")
}

/// What names a source beside the ids of its messages.
fn origin_of(source: &str) -> String {
    format!("events/{source}")
}

impl Keeping {
    /// Reads how far the source had come. A note that cannot be read counts as none: the source begins where it likes, and
    /// ids keep what comes twice out.
    pub fn open(
        at: usize,
        source: &Inflow,
        intake: Intake,
        ledger: &Ledger,
        board: Board,
        stop: watch::Receiver<bool>,
    ) -> io::Result<Keeping> {
        let name = note_of(&source.name);
        let kept = ledger.call(move |state| state.read(|db| note(db, &name))).map_err(io::Error::other)?;
        let positions = match kept.map(|text| json::decode(text.as_bytes())) {
            Some(Ok(Value::Map(positions))) => positions,
            None => Record::new(),
            Some(_) => {
                log::error!(source:% = source.name; "event source {}: how far it had come cannot be read: it is asked without", source.name);
                Record::new()
            }
        };
        let (name, shape, ledger) = (source.name.clone(), source.shape.clone(), ledger.clone());
        Ok(Keeping { at, name, shape, intake, ledger, board, stop, positions, complained: std::sync::Mutex::default() })
    }

    /// Where the source is asked to go on, for one of its patterns.
    pub fn position(&self, pattern: &str) -> Option<&Value> {
        self.positions.get(pattern)
    }

    /// Takes a message in; what is to be answered, if anything.
    pub async fn take(&mut self, text: &[u8]) -> Result<Option<String>, Over> {
        let Message { heard, ack, position } = self.shape.read(text);
        let heard = match heard {
            Heard::Event(said) => match self.intake.admit(&said.kind, &said.payload) {
                Ok(()) => Heard::Event(said),
                Err(reason) => Heard::Unusable(reason),
            },
            other => other,
        };
        let rejected = match heard {
            Heard::Word => return Ok(None),
            Heard::Event(said) => self.store(*said).await?,
            Heard::Unusable(reason) => {
                if let Some((pattern, place)) = position {
                    let (positions, text) = self.moved(&pattern, place);
                    let name = note_of(&self.name);
                    let ledger = self.ledger.clone();
                    let noting = move || ledger.call(move |state| state.commit(|db| set_note(db, &name, &text)));
                    // Not noted, it comes again and is rejected again.
                    if let Ok(Ok(())) = tokio::task::spawn_blocking(noting).await {
                        self.positions = positions;
                    }
                }
                Some(reason)
            }
        };
        if let Some(reason) = &rejected {
            self.reject(reason);
        }
        Ok(ack.map(|id| message::acknowledge(&id, rejected.as_ref().map(|reason| &*reason.class))))
    }

    /// Counts a message that cannot be used, and says so now and then.
    pub fn reject(&self, reason: &Reason) {
        let mut rejected = 0;
        self.board.change(self.at, |line| {
            line.rejected += 1;
            rejected = line.rejected;
        });
        let mut complained = self.complained.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if complained.is_none_or(|at| at.elapsed() >= COMPLAINTS) {
            *complained = Some(Instant::now());
            log::warn!(source:% = self.name; "event source {}: a message cannot be used ({rejected} so far): {reason}", self.name);
        }
    }

    /// Stores an event; a reason when it is none that can be stored.
    async fn store(&mut self, said: Said) -> Result<Option<Reason>, Over> {
        let Said { kind, payload, lane_key, id, position } = said;
        let moved = position.map(|(pattern, place)| self.moved(&pattern, place));
        let record = Value::Map(payload);
        let body_hash = hash(&kind, &record);
        let Value::Map(payload) = record else { return Ok(None) };
        let message = id.map(|id| (origin_of(&self.name), id));
        let post = Post { kind, payload, lane_key, message, body_hash };
        let noted = moved.as_ref().map(|(_, text)| (note_of(&self.name), text.clone()));
        let posted = self.post(post, noted).await?;
        if let Some((positions, _)) = moved {
            self.positions = positions;
        }
        let now = clock::now();
        self.board.change(self.at, |line| match posted.state {
            PostState::New => {
                line.received += 1;
                line.last = Some(now.to_string());
            }
            PostState::Known => line.duplicates += 1,
            PostState::Differs => {}
        });
        let differs = || Reason::new("id-reused", "another message came under its id before; that one was kept");
        Ok((posted.state == PostState::Differs).then(differs))
    }

    /// Hands a post over until it is durable. While the state file takes nothing, nothing is read from the source.
    async fn post(&mut self, post: Post, noted: Option<(String, String)>) -> Result<Posted, Over> {
        let mut pause = PAUSES[0];
        let mut refused = false;
        loop {
            let (told, posted) = oneshot::channel();
            let answer = move |result| drop(told.send(result));
            self.intake.submit_with(post.clone(), noted.clone(), answer).map_err(|_| Over)?;
            match posted.await {
                Ok(Ok(posted)) => {
                    if refused {
                        self.board.stands(self.at, Standing::Connected, None);
                    }
                    return Ok(posted);
                }
                Err(_) | Ok(Err(IntakeError::Gone)) => return Err(Over),
                Ok(Err(IntakeError::Refused(error))) if error.is_broken() => return Err(Over),
                Ok(Err(error)) => {
                    if !refused {
                        log::error!(source:% = self.name; "event source {}: nothing is read on: {error}", self.name);
                    }
                    refused = true;
                    let why = match error {
                        IntakeError::Full(_) => "as much waits for the connectors as may",
                        _ => "the state file takes nothing",
                    };
                    let text = format!("{why}: a message is held and nothing is read on");
                    self.board.stands(self.at, Standing::Connected, Some(text));
                }
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(PAUSES[1]),
                // What is held was not acknowledged and its position not stored: the source has it still.
                () = stopped(&mut self.stop) => return Err(Over),
            }
        }
    }

    /// The positions after a message, and their note.
    fn moved(&self, pattern: &str, place: Value) -> (Record, String) {
        let mut positions = self.positions.clone();
        positions.set(pattern, place);
        let record = Value::Map(positions);
        let text = String::from_utf8_lossy(&json::value(&record)).into_owned();
        let Value::Map(positions) = record else { return (Record::new(), text) };
        (positions, text)
    }
}

/// What tells a repetition from another message under the same id: type and payload. What a source writes around them
/// (when it was sent, for the how many-th time) may differ.
fn hash(kind: &str, payload: &Value) -> [u8; 32] {
    let mut bytes = kind.as_bytes().to_vec();
    bytes.push(0);
    bytes.extend(json::value(payload));
    intake::hash(&bytes)
}
