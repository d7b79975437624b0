//! The outside system of the demo: a legacy scheduler that keeps slots, answers over TLS, and has its bad moments.
//!
//! It knows an `Idempotency-Key` again, as a good target does, and keeps a journal of every call for the checker.

mod wire;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use serde_json::{Value, json};

use super::clerk::ANNEX;

/// What `Retry-After` asks for.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a call met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// Carried out and answered.
    Done,
    /// Carried out, and the connection broke before the answer: the caller cannot know.
    Lost,
    /// Known by its key; answered as the first time and not carried out again.
    Again,
    /// 503.
    Busy,
    /// 503 with `Retry-After`.
    BusyFor,
    /// 422: the room is not known here.
    Refused,
    /// The connection was reset before anything was done.
    Reset,
    /// The same, because the scheduler was down.
    Down,
}

impl Met {
    /// Whether it did what was asked now.
    pub fn carried_out(self) -> bool {
        matches!(self, Met::Done | Met::Lost)
    }

    /// A word for counting.
    pub fn word(self) -> &'static str {
        match self {
            Met::Done => "done",
            Met::Lost => "lostAnswer",
            Met::Again => "knownKey",
            Met::Busy => "busy",
            Met::BusyFor => "busyRetryAfter",
            Met::Refused => "refused",
            Met::Reset => "reset",
            Met::Down => "down",
        }
    }

    /// In words, for what went wrong.
    pub fn trouble(self) -> Option<&'static str> {
        match self {
            Met::Done => None,
            Met::Lost => Some("does it, but the answer is lost"),
            Met::Again => Some("knows the key again, does nothing twice"),
            Met::Busy => Some("is busy (503)"),
            Met::BusyFor => Some("is busy, come back in a second (503, Retry-After)"),
            Met::Refused => Some("refuses the record (422): unknown room"),
            Met::Reset => Some("breaks the connection"),
            Met::Down => Some("is down"),
        }
    }
}

/// One call, as it arrived.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// The record in its path.
    pub record: i64,
    /// Method.
    pub method: String,
    /// `Idempotency-Key`; empty = none.
    pub key: String,
    /// Body, byte for byte.
    pub body: Vec<u8>,
    /// What it met.
    pub met: Met,
}

/// A bad moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Slow,
    Busy,
    Lost,
    BusyFor,
    Reset,
    Outage,
}

const MOMENTS: [Moment; 6] = [Moment::Busy, Moment::Slow, Moment::Lost, Moment::BusyFor, Moment::Reset, Moment::Outage];

/// How bad its moments are.
#[derive(Clone, Copy, Debug)]
pub struct Moods {
    /// Good calls between two bad moments.
    pub gap: usize,
    /// How long an outage takes.
    pub outage: Duration,
    /// Whether they come again and again, or each once.
    pub forever: bool,
}

/// What is done with a call.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    Answer { status: u16, retry_after: Option<u64>, body: Value, after: Duration },
    Reset,
}

/// The scheduler's desk.
pub struct Desk {
    /// Every call.
    pub journal: Vec<Entry>,
    /// Its slots, as the calls left them.
    pub slots: BTreeMap<i64, Value>,
    /// Whether it takes the annex for a room.
    pub knows_annex: bool,
    keys: HashSet<String>,
    moods: Moods,
    good: usize,
    moment: usize,
    down_until: Option<Instant>,
}

impl Desk {
    /// An empty desk.
    pub fn new(moods: Moods) -> Desk {
        Desk {
            journal: Vec::new(),
            slots: BTreeMap::new(),
            knows_annex: false,
            keys: HashSet::new(),
            moods,
            good: 0,
            moment: 0,
            down_until: None,
        }
    }

    /// Whether it is down.
    pub fn is_down(&self, now: Instant) -> bool {
        self.down_until.is_some_and(|until| now < until)
    }

    /// Whether each of its bad moments has come.
    pub fn has_shown_all(&self) -> bool {
        self.moment >= MOMENTS.len()
    }

    /// No bad moments from now on.
    pub fn behave(&mut self) {
        self.moment = usize::MAX;
        self.down_until = None;
        self.knows_annex = true;
    }

    /// The next bad moment, when it is due.
    fn moment(&mut self) -> Option<Moment> {
        self.good += 1;
        if self.good <= self.moods.gap || (self.moment >= MOMENTS.len() && !self.moods.forever) {
            return None;
        }
        self.good = 0;
        let moment = MOMENTS.get(self.moment.checked_rem(MOMENTS.len())?).copied();
        self.moment = self.moment.saturating_add(1);
        moment
    }

    /// Takes a call.
    pub(super) fn take(&mut self, call: wire::Call, now: Instant) -> Reply {
        let Some(record) = call.path.strip_prefix("/slots/").and_then(|id| id.parse().ok()) else {
            return answer(404, None);
        };
        let (met, reply) = self.meet(&call, record, now);
        let wire::Call { method, key, body, .. } = call;
        self.journal.push(Entry { at: now, record, method, key, body, met });
        reply
    }

    fn meet(&mut self, call: &wire::Call, record: i64, now: Instant) -> (Met, Reply) {
        if self.is_down(now) {
            return (Met::Down, Reply::Reset);
        }
        if self.keys.contains(&call.key) {
            return (Met::Again, answer(200, None));
        }
        let body: Option<Value> = serde_json::from_slice(&call.body).ok();
        let annex = body.as_ref().and_then(|body| body.pointer("/slot/room")) == Some(&json!(ANNEX));
        if annex && !self.knows_annex {
            return (Met::Refused, answer(422, None));
        }
        let moment = self.moment();
        match moment {
            Some(Moment::Busy) => return (Met::Busy, answer(503, None)),
            Some(Moment::BusyFor) => return (Met::BusyFor, answer(503, Some(RETRY_AFTER.as_secs()))),
            Some(Moment::Reset) => return (Met::Reset, Reply::Reset),
            Some(Moment::Outage) => {
                self.down_until = Some(now + self.moods.outage);
                return (Met::Down, Reply::Reset);
            }
            Some(Moment::Slow | Moment::Lost) | None => {}
        }
        match (call.method.as_str(), body) {
            ("PUT", Some(body)) => drop(self.slots.insert(record, body)),
            ("DELETE", _) => drop(self.slots.remove(&record)),
            _ => return (Met::Refused, answer(400, None)),
        }
        self.keys.insert(call.key.clone());
        match moment {
            Some(Moment::Lost) => (Met::Lost, Reply::Reset),
            Some(Moment::Slow) => (Met::Done, slowly(answer(200, None), Duration::from_millis(300))),
            _ => (Met::Done, answer(200, None)),
        }
    }
}

fn answer(status: u16, retry_after: Option<u64>) -> Reply {
    let body = if status < 300 { json!({"status": "ok"}) } else { json!({"status": "failed"}) };
    Reply::Answer { status, retry_after, body, after: Duration::ZERO }
}

fn slowly(reply: Reply, pause: Duration) -> Reply {
    match reply {
        Reply::Answer { status, retry_after, body, .. } => Reply::Answer { status, retry_after, body, after: pause },
        Reply::Reset => Reply::Reset,
    }
}

/// The running scheduler. Its threads end with the process.
pub struct Scheduler {
    desk: Arc<Mutex<Desk>>,
    port: u16,
}

impl Scheduler {
    /// Opens on a free port of the loopback; who calls must show the bearer token.
    pub fn start(tls: Arc<ServerConfig>, token: &str, moods: Moods) -> io::Result<Scheduler> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let desk = Arc::new(Mutex::new(Desk::new(moods)));
        wire::serve(listener, tls, format!("Bearer {token}"), Arc::clone(&desk))?;
        Ok(Scheduler { desk, port })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its desk.
    pub fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }
}

/// A thread that broke down has left the desk as it was before or after a call.
fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(key: &str, room: &str) -> wire::Call {
        wire::Call {
            method: "PUT".to_owned(),
            path: "/slots/7".to_owned(),
            key: key.to_owned(),
            authorization: String::new(),
            body: json!({"slot": {"room": room}}).to_string().into_bytes(),
        }
    }

    #[test]
    fn every_bad_moment_comes_and_only_what_was_done_is_known_again() {
        let mut desk = Desk::new(Moods { gap: 1, outage: Duration::from_secs(1), forever: false });
        let mut now = Instant::now();
        for n in 0..40 {
            let key = format!("k{n}");
            let mut tries = 0;
            while !matches!(desk.take(call(&key, "room 1"), now), Reply::Answer { status: 200, .. }) {
                now += Duration::from_millis(600);
                tries += 1;
                assert!(tries < 5);
            }
        }
        assert!(desk.has_shown_all());
        for met in [Met::Done, Met::Lost, Met::Again, Met::Busy, Met::BusyFor, Met::Reset, Met::Down] {
            assert!(desk.journal.iter().any(|entry| entry.met == met), "{met:?}");
        }
        let done = desk.journal.iter().filter(|entry| entry.met.carried_out()).count();
        assert_eq!(done, 40, "each once");
    }

    #[test]
    fn a_room_it_does_not_know_is_refused_until_it_learns_of_it() {
        let mut desk = Desk::new(Moods { gap: 9, outage: Duration::ZERO, forever: true });
        let now = Instant::now();
        assert!(matches!(desk.take(call("a", ANNEX), now), Reply::Answer { status: 422, .. }));
        assert!(desk.slots.is_empty());
        desk.knows_annex = true;
        assert!(matches!(desk.take(call("a", ANNEX), now), Reply::Answer { status: 200, .. }));
        assert_eq!(desk.slots.len(), 1);
    }
}
