//! The entrance for events that come from outside any database: posted to the agent, or subscribed to.
//!
//! What is posted is durable when the answer comes. Callers that come at the same time share one commit of the ledger, and
//! the workers are woken once it is there.

mod tidy;
mod valve;

pub use tidy::Tidy;
pub use valve::{Fill, Valve};

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::channel;

use aws_lc_rs::digest;

use crate::clock;
use crate::engine::ledger::{Committed, Ledger, LedgerGone, Part};
use crate::engine::push::{Mailbox, Message};
use crate::event::{EventId, Record, Value};
use crate::format::json;
use crate::rules::governance::Gate;
use crate::rules::outcome::Reason;
use crate::store::state::intake::{self, Taken};
use crate::store::state::{Db, Sql, StateError, set_note};

/// Largest body of a post or a message, in bytes.
pub const BODY: usize = 1 << 20;

/// The entrance; cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    ledger: Ledger,
    workers: Arc<[Mailbox]>,
    gate: Arc<Gate>,
    valve: Option<Valve>,
}

/// What is posted.
#[derive(Clone, Debug)]
pub struct Post {
    /// Event type.
    pub kind: Arc<str>,
    /// The record, as [`payload`] reads it.
    pub payload: Record,
    /// What names its record (`key:` of a source); else `payload.id`; else all of its type keep one order.
    pub lane_key: Option<String>,
    /// Where it came from and its id there: the same pair is stored once, for as long as its event is kept.
    pub message: Option<(String, String)>,
    /// [`hash`] of the body as received: tells a repetition from another message under the same id.
    pub body_hash: [u8; 32],
}

/// What became of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// How it met what is there.
    pub state: PostState,
    /// The event: the one that was there before unless it is new.
    pub id: EventId,
}

/// How a post met what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostState {
    /// Stored.
    New,
    /// Its id was there already, with the same body: nothing was stored.
    Known,
    /// Its id was there already, with another body: nothing was stored.
    Differs,
}

/// Why a post was not stored: nothing of it stayed, and it may be posted again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IntakeError {
    /// The agent ends.
    #[error("the state file's writer has stopped")]
    Gone,
    /// The state file refused.
    #[error("{0}")]
    Refused(Arc<StateError>),
    /// As much waits as may.
    #[error("{0}")]
    Full(Fill),
}

impl From<LedgerGone> for IntakeError {
    fn from(_: LedgerGone) -> IntakeError {
        IntakeError::Gone
    }
}

impl Intake {
    /// An entrance to the state file of a ledger; `workers` are woken by what comes in.
    pub fn new(ledger: Ledger, workers: impl IntoIterator<Item = Mailbox>) -> Intake {
        Intake { ledger, workers: workers.into_iter().collect(), gate: Arc::default(), valve: None }
    }

    /// The same with a limit on how much may wait.
    pub fn up_to(self, valve: Valve) -> Intake {
        Intake { valve: Some(valve), ..self }
    }

    /// The same with a gate: who stores asks it first, with [`Intake::admit`].
    pub fn behind(self, gate: Gate) -> Intake {
        Intake { gate: Arc::new(gate), ..self }
    }

    /// Whether a record of this type may come in.
    ///
    /// # Errors
    /// Class `gate`: the rule and the field, never a value.
    pub fn admit(&self, kind: &str, record: &Record) -> Result<(), Reason> {
        self.gate.admit(kind, record)
    }

    /// Stores a post and waits until it is durable.
    ///
    /// # Errors
    /// Nothing was stored.
    pub fn post(&self, post: Post) -> Result<Posted, IntakeError> {
        let (told, posted) = channel();
        self.submit(post, move |result| drop(told.send(result)))?;
        posted.recv().map_err(|_| IntakeError::Gone)?
    }

    /// Hands a post over; `answer` is called on the writer's thread once it is durable or refused, and must not wait
    /// for anything. It is dropped uncalled when the agent ends before.
    pub fn submit(
        &self,
        post: Post,
        answer: impl FnOnce(Result<Posted, IntakeError>) + Send + 'static,
    ) -> Result<(), LedgerGone> {
        self.submit_with(post, None, answer)
    }

    /// The same; a note by its name and text (how far a source has come) is stored in the same commit, also when the post
    /// itself was there already.
    pub fn submit_with(
        &self,
        post: Post,
        note: Option<(String, String)>,
        answer: impl FnOnce(Result<Posted, IntakeError>) + Send + 'static,
    ) -> Result<(), LedgerGone> {
        let (workers, valve) = (self.workers.clone(), self.valve.clone());
        self.ledger.join(Box::new(Entry { post, note, posted: None, full: None, workers, valve, answer }))
    }
}

/// A post on its way through the ledger.
struct Entry<A> {
    post: Post,
    note: Option<(String, String)>,
    posted: Option<Posted>,
    full: Option<Fill>,
    workers: Arc<[Mailbox]>,
    valve: Option<Valve>,
    answer: A,
}

impl<A: FnOnce(Result<Posted, IntakeError>) + Send> Part for Entry<A> {
    fn apply(&mut self, db: &Db) -> Sql<()> {
        let Post { kind, payload, lane_key, message, body_hash } = &self.post;
        let message = intake::Message {
            kind,
            payload,
            lane_key: lane_key.as_deref(),
            message: message.as_ref().map(|(source, id)| (source.as_str(), id.as_str())),
            body_hash: *body_hash,
            to: None,
        };
        let found = intake::find(db, &message)?;
        // What is there already is answered as before, also when nothing more is taken in.
        self.full = match (&self.valve, &found) {
            (Some(valve), None) => valve.look(db)?,
            _ => None,
        };
        if self.full.is_some() {
            return Ok(());
        }
        let taken = match found {
            Some(known) => known,
            None => Taken::New(intake::put(db, &message, clock::now())?),
        };
        self.posted = Some(match taken {
            Taken::New(id) => Posted { state: PostState::New, id },
            Taken::Known(id) => Posted { state: PostState::Known, id },
            Taken::Differs(id) => Posted { state: PostState::Differs, id },
        });
        self.note.iter().try_for_each(|(name, text)| set_note(db, name, text))
    }

    fn answer(self: Box<Self>, result: Result<Committed, Arc<StateError>>) {
        let tell = |message: fn() -> Message| self.workers.iter().for_each(|worker| worker.tell(message()));
        match (result, self.posted) {
            (Ok(_), _) if let Some(full) = self.full => (self.answer)(Err(IntakeError::Full(full))),
            (Ok(_), Some(posted)) => {
                if posted.state == PostState::New {
                    tell(|| Message::Wake);
                }
                (self.answer)(Ok(posted));
            }
            (Ok(_), None) => (self.answer)(Err(IntakeError::Gone)),
            (Err(error), _) => {
                if error.is_broken() {
                    tell(|| Message::Broken);
                }
                (self.answer)(Err(IntakeError::Refused(error)));
            }
        }
    }
}

/// Why a body holds no payload; names no value of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPayload {
    /// It is not JSON, or nested more than 64 deep; says where.
    Malformed(String),
    /// It is JSON, but not an object.
    NoObject,
}

impl fmt::Display for NoPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPayload::Malformed(why) => f.write_str(why),
            NoPayload::NoObject => f.write_str("it is not a JSON object"),
        }
    }
}

/// The record of a JSON object: numbers as they were written, no duplicate keys, at most 64 levels deep.
///
/// # Errors
/// It is not one, and why.
pub fn payload(body: &[u8]) -> Result<Record, NoPayload> {
    match json::decode(body).map_err(NoPayload::Malformed)? {
        Value::Map(fields) => Ok(fields),
        _ => Err(NoPayload::NoObject),
    }
}

/// SHA-256 of a body as received.
pub fn hash(body: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
    hash
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;
    use crate::store::state::{State, StateReader};

    struct Desk {
        intake: Intake,
        woken: Receiver<Message>,
        state: std::path::PathBuf,
        _folder: tempfile::TempDir,
    }

    fn desk() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.db");
        let (ledger, _) = Ledger::start(State::open(&state).unwrap()).unwrap();
        let (sender, woken) = channel();
        Desk { intake: Intake::new(ledger, [Mailbox::new(sender)]), woken, state, _folder: folder }
    }

    fn post(body: &str, message: Option<&str>) -> Post {
        Post {
            kind: "rule-changed".into(),
            payload: payload(body.as_bytes()).unwrap(),
            lane_key: None,
            message: message.map(|id| ("ops".to_owned(), id.to_owned())),
            body_hash: hash(body.as_bytes()),
        }
    }

    #[test]
    fn what_was_posted_can_be_read_as_it_was_written_and_the_workers_are_woken() {
        let desk = desk();
        let body = r#"{"id":9007199254740993,"pi":3.14159265358979312}"#;
        let posted = desk.intake.post(post(body, None)).unwrap();
        assert_eq!(posted.state, PostState::New);
        assert!(matches!(desk.woken.try_recv(), Ok(Message::Wake)));
        let events = StateReader::open(&desk.state).unwrap().read(|db| intake::read(db, 0, 10)).unwrap();
        assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [posted.id]);
        assert_eq!(String::from_utf8(json::encode(events[0].after.as_ref().unwrap()).unwrap()).unwrap(), body);
    }

    #[test]
    fn many_callers_with_one_id_store_one_event_and_all_hear_which() {
        let desk = desk();
        let posts: Vec<_> = (0..16)
            .map(|_| {
                let intake = desk.intake.clone();
                std::thread::spawn(move || intake.post(post("{\"id\":7}", Some("m1"))).unwrap())
            })
            .collect();
        let posted: Vec<Posted> = posts.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(posted.iter().filter(|posted| posted.state == PostState::New).count(), 1);
        assert!(posted.iter().all(|one| one.id == posted[0].id));
        let other = desk.intake.post(post("{\"id\":8}", Some("m1"))).unwrap();
        assert_eq!(other, Posted { state: PostState::Differs, id: posted[0].id });
        let known = desk.intake.post(post("{\"id\":7}", Some("m1"))).unwrap();
        assert_eq!(known.state, PostState::Known);
        assert_eq!(StateReader::open(&desk.state).unwrap().read(|db| intake::read(db, 0, 10)).unwrap().len(), 1);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused_without_naming_a_value() {
        assert_eq!(payload(b"[1]"), Err(NoPayload::NoObject));
        let deep = format!("{{\"a\":{}secret{}}}", "[".repeat(70), "]".repeat(70));
        for bad in ["{\"a\":secret}", "{\"a\":1,\"a\":2}", "", &deep] {
            let Err(NoPayload::Malformed(why)) = payload(bad.as_bytes()) else { unreachable!("{bad}") };
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
