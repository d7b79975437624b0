//! One connector's worker: reads on, compiles, records the intent, sends, judges, records the outcome.
//!
//! A single thread decides; lanes only send. Each turn takes the messages that have come, then the results, then
//! fills the window, opens what may be sent, and hands one batch to the ledger: the outcomes of what has come back
//! ride in the same commit as the intents of what goes next. Nothing is sent before its intent is durable.

mod agree;
mod ask;
mod beat;
mod brake;
mod doubt;
mod fill;
mod halt;
mod health;
mod joint;
mod message;
mod open;
mod recover;
mod settle;

pub use agree::{DISPUTED, RESTLESS, Reading};
pub use beat::Beat;
pub use message::{Mailbox, Message};
pub use recover::WorkerError;
pub use settle::Synced;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use foldhash::{HashMap, HashSet};

use crate::clock::{self, Timestamp};
use crate::engine::chains::Chains;
use crate::engine::connector::{Connector, Pace};
use crate::engine::hook::Asking;
use crate::engine::lanes::Lanes;
use crate::engine::ledger::Ledger;
use crate::engine::source::{Source, Sources};
use crate::engine::turnstile::FIRST_CONTACT;
use crate::engine::window::{SlotId, Window};
use crate::event::EventId;
use crate::rules::brake::Brake;
use crate::rules::breaker::{Breaker, Permit};
use crate::rules::outcome::Reason;
use crate::rules::retry::Streak;
use crate::store::state::attempt::{Intent, Settled, Trace};
use crate::store::state::batch::{Batch, Entry};
use crate::store::state::connector::Mode;
use crate::store::state::counter::Counter;
use crate::store::state::{ConnectorId, LogId, StateReader};

/// How a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Until it is stopped.
    Forever,
    /// Until nothing is left that can be sent now.
    Once,
}

/// How a worker's run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events delivered in this run.
    pub delivered: u64,
    /// Attempts that failed and will be, or were, made again.
    pub retried: u64,
    /// Why it had to leave off before everything was sent: the endpoint is down, or the connector is halted.
    pub left_off: Option<Reason>,
    /// The state file, or a log, can no longer be trusted (a sync failed): the agent must restart.
    pub broken: bool,
}

/// Builds a connector again from its stored configuration.
pub type Rebuild = Arc<dyn Fn(&str) -> Option<Connector> + Send + Sync>;

/// What a worker is made of.
pub struct Parts {
    /// What it delivers, and where to.
    pub connector: Arc<Connector>,
    /// The logs it reads.
    pub sources: Sources,
    /// The writer.
    pub ledger: Ledger,
    /// Its own reading connection.
    pub reader: StateReader,
    /// For attempts that an older configuration encoded.
    pub rebuild: Rebuild,
    /// How it shows that it is alive, when somebody asks.
    pub beat: Option<Beat>,
    /// Who hears of what was delivered.
    pub synced: Option<Synced>,
    /// What the same connector reads.
    pub reading: Option<Reading>,
}

/// Most events read from the logs that are in the window at once.
const WINDOW: usize = 512;
/// The same for connectors that put several in one request.
const BATCH_WINDOW: usize = 16_384;
/// Most parked deliveries that are in the window at once.
const DUE_WINDOW: usize = 256;
/// Most bytes of requests that are in the window at once, about.
const WINDOW_BYTES: usize = 8 << 20;
/// Events read at once.
const CHUNK: usize = 256;
/// Bytes of values read at once, about.
const CHUNK_BYTES: usize = 1 << 20;
/// How long a worker waits after the state file or a log refused.
const PAUSE: Duration = Duration::from_secs(1);
/// How long requests in flight may take once the worker was told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// A cursor that has moved over skipped events only is stored at most this often.
const IDLE_ADVANCE: Duration = Duration::from_secs(1);

struct Log {
    id: LogId,
    source: Box<dyn Source>,
    /// Everything there was has been read.
    exhausted: bool,
    /// Up to here it was made durable.
    durable_to: i64,
    /// Up to here its cursor is stored.
    stored: i64,
    /// Up to here a replay sends again.
    replay_to: i64,
    /// Skipped events above the stored cursor: counted in the commit that moves the cursor over them.
    skipped: VecDeque<i64>,
    /// A scheduled run goes up to here.
    upto: Option<i64>,
}

/// A connector's worker.
pub struct Worker {
    connector: Arc<Connector>,
    id: ConnectorId,
    ledger: Ledger,
    reader: StateReader,
    rebuild: Rebuild,
    logs: Vec<Log>,
    window: Window,
    lanes: Lanes,
    /// Questions to the hook, when there is one.
    asking: Option<Asking>,
    /// Why the hook gives no answers, and since when.
    hook_down: Option<Reason>,
    hook_since: Option<Timestamp>,
    hook_failures: u32,
    /// Events that are sent as the hook has changed them; with the bytes of those that an earlier run has sent.
    amended: HashMap<EventId, (LogId, Option<Vec<u8>>)>,
    breaker: Breaker,
    brake: Brake,
    beat: Option<Beat>,
    synced: Option<Synced>,
    reading: Option<Reading>,
    /// Versions that answers have told, until their events are done.
    versions: HashMap<EventId, String>,
    /// The records of events that are on their way, where the same connector reads them; of those that are back; and of
    /// those that are back in the batch being committed.
    away: HashMap<EventId, Vec<String>>,
    landing: Vec<String>,
    batch_landing: Vec<String>,
    /// Events that met another version, until that is durable.
    to_read: HashSet<EventId>,
    next_beat: Timestamp,
    /// A batch was committed since the last beat.
    has_committed: bool,
    /// The record that the endpoint failed for last.
    failed_lane: Option<u64>,
    streak: Streak,
    mode: Mode,
    mode_reason: Option<Reason>,
    halt_probe: Timestamp,
    halt_keys: halt::Keys,
    /// Something was tried since the halt, alone. What was under way when it came says nothing of it.
    halt_tried: bool,
    /// What the target says when it is asked whether it works, before an event is tried at one that was down.
    health: health::Health,
    /// What is parked and holds later changes of its records back.
    chains: Chains,
    /// Lanes of records with a dead letter that holds nobody back (`onDead: continue`).
    dead_lanes: HashSet<u64>,
    /// Parked events above the cursor, from before the start or set by a person.
    parked_ids: HashSet<EventId>,
    /// What earlier attempts left behind for events above the cursor.
    traces: HashMap<EventId, Trace>,
    /// Events whose parked row is changed by a batch that is not committed yet.
    touched: HashSet<EventId>,
    /// When the next parked delivery is due; none = not known.
    next_due: Option<Option<Timestamp>>,
    /// What goes into the next batch.
    pending: Vec<Entry>,
    settled: BTreeMap<LogId, Vec<Settled>>,
    intents: BTreeMap<(LogId, [u8; 32]), Vec<Intent>>,
    counts: BTreeMap<Counter, u64>,
    /// Slots whose intents are in the next batch, and in the one being committed.
    opening: Vec<SlotId>,
    committing: Vec<SlotId>,
    /// How many requests these make.
    opening_requests: usize,
    committing_requests: usize,
    /// The other events of requests that are at the lanes, by their first.
    joined: HashMap<SlotId, Vec<SlotId>>,
    /// Requests that the target has answered well.
    answered: u64,
    /// How many events go in one request now.
    size: joint::Size,
    /// Slots among these that were called back meanwhile: they are not sent when their intents are durable.
    called_back: HashSet<SlotId>,
    batch: Option<Arc<Batch>>,
    batch_touched: HashSet<EventId>,
    batch_refused: Option<Timestamp>,
    /// It was said that the state file refuses; it is said once.
    refusal_said: bool,
    /// Results that come in while one batch is committed, about.
    flow: usize,
    /// The next batch is held back until then, to take more along.
    gather_until: Option<Timestamp>,
    last_attempt: i64,
    settled_mark: i64,
    last_advance: Timestamp,
    hold_until: Option<Timestamp>,
    next_send: Timestamp,
    source_pause: Option<Timestamp>,
    /// What was last said of a log that cannot be read.
    source_said: String,
    next_run: Option<Timestamp>,
    running: bool,
    config_hash: Arc<[u8; 32]>,
    mac_key: aws_lc_rs::hmac::Key,
    dice: fastrand::Rng,
    inbox: Receiver<Message>,
    mailbox: Mailbox,
    stop_at: Option<Timestamp>,
    summary: Summary,
}

impl Worker {
    /// Makes a worker: remembers the connector, begins its cursors, and takes up what an earlier run left.
    ///
    /// # Errors
    /// When the state file or a log cannot be read.
    pub fn new(parts: Parts) -> Result<Worker, WorkerError> {
        let (sender, inbox) = channel();
        recover::worker(parts, Mailbox::new(sender), inbox)
    }

    /// The connector's row in the state file.
    pub fn id(&self) -> ConnectorId {
        self.id
    }

    /// Where to send messages.
    pub fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    /// Works until it is stopped, or (once) until nothing is left that can be sent now.
    pub fn run(mut self, run: Run) -> Summary {
        if run == Run::Once {
            self.running = true;
            self.next_run = None;
        }
        loop {
            self.listen();
            if self.summary.broken {
                break;
            }
            self.take_results();
            self.take_answers();
            if self.stop_at.is_some() {
                self.call_back();
            } else {
                self.release_brakes(clock::steady());
                self.look_at_keys(clock::steady());
                self.keep_schedule(run);
                self.load_due();
                self.fill();
                self.open_next();
            }
            if self.summary.broken {
                break;
            }
            self.submit(run);
            self.beat(clock::steady());
            if self.has_ended(run) {
                break;
            }
        }
        self.lanes.stop();
        self.summary
    }

    /// Waits for the next message, or until something is due, and takes all that have come.
    fn listen(&mut self) {
        let first = match self.next_turn() {
            Some(wait) => self.inbox.recv_timeout(wait).ok(),
            None => self.inbox.recv().ok(),
        };
        let mut next = first;
        while let Some(message) = next {
            self.hear(message);
            next = self.inbox.try_recv().ok();
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Wake => self.logs.iter_mut().for_each(|log| log.exhausted = false),
            Message::Results => {}
            Message::Committed(result) => self.committed(result),
            Message::Reload => self.reload(),
            Message::RunNow => {
                // Somebody wants to see it tried: a halted connector looks again at once.
                self.halt_probe = clock::steady();
                self.asking.iter().for_each(Asking::hurry);
                self.running = true;
                self.next_run = None;
                self.begin_run();
            }
            Message::Pause(pause) => self.set_paused(pause),
            Message::Asked(answer) => self.was_asked(answer),
            Message::Rewind => self.rewind(),
            Message::LetGo => self.logs.iter_mut().for_each(|log| log.source.let_go()),
            Message::Broken => self.summary.broken = true,
            Message::Stop => {
                if self.stop_at.is_none() {
                    self.stop_at = Some(clock::steady().plus(GRACE));
                    self.lanes.stop();
                }
            }
        }
    }

    /// How long until something is due; none = nothing but a message can change anything.
    fn next_turn(&mut self) -> Option<Duration> {
        let now = clock::steady();
        let mut due: Vec<Timestamp> = Vec::with_capacity(8);
        due.extend(self.next_beat(now));
        due.extend(self.stop_at);
        due.extend(self.batch_refused);
        if self.stop_at.is_none() {
            due.extend(self.source_pause);
            due.extend(self.next_run);
            due.extend(self.brake.next_end());
            if self.mode == Mode::Halted {
                due.push(self.halt_probe);
                due.extend(self.next_look());
            }
            if self.may_run() {
                if self.batch.is_none() && self.has_news() {
                    match self.gather_until {
                        Some(until) => due.push(until),
                        None => return Some(Duration::ZERO),
                    }
                }
                if self.batch.is_none() {
                    due.extend(self.next_open(now));
                }
                due.extend(self.next_due.flatten());
                if self.source_pause.is_none() && self.wants_to_read() {
                    return Some(Duration::ZERO);
                }
            }
            if self.batch.is_none() && self.cursor_moved() {
                due.push(self.last_advance.plus(IDLE_ADVANCE));
            }
        }
        due.into_iter().min().map(|first| first.since(now))
    }

    /// Whether the connector delivers at all at this time.
    fn may_run(&self) -> bool {
        self.running && self.mode != Mode::Paused
    }

    fn has_ended(&mut self, run: Run) -> bool {
        let quiet = self.batch.is_none() && !self.has_news() && self.window.opened() == 0;
        if let Some(stop_at) = self.stop_at {
            return quiet || clock::steady() >= stop_at;
        }
        // What is at the lanes is waited for; that it was sent cannot be recorded, so it counts as unknown.
        let at_lanes = self.window.opened().saturating_sub(self.opening_requests + self.committing_requests);
        if run == Run::Once && self.batch_refused.is_some() && at_lanes == 0 {
            self.summary.left_off = Some(Reason::new("state", "the state file cannot be written"));
            return true;
        }
        if run == Run::Forever || !quiet || self.health == health::Health::Asked {
            return false;
        }
        let now = clock::steady();
        if self.mode == Mode::Paused || (self.mode == Mode::Halted && !self.may_try_halted(now)) {
            self.summary.left_off = self.mode_reason.clone().or_else(|| Some(Reason::new("paused", "it is paused")));
            return !self.cursor_moved();
        }
        if self.is_apart() {
            let text = "both sides have still to be compared: `hms-sync reconcile --connector` shows how";
            self.summary.left_off = Some(Reason::new(FIRST_CONTACT, text));
            return !self.cursor_moved();
        }
        if let Some(opened) =
            self.breaker.opened().filter(|opened| opened.next_probe > now && self.permit(now) != Permit::Probe)
        {
            self.summary.left_off = Some(opened.reason.clone());
            return !self.cursor_moved();
        }
        if let Some(reason) = self.hook_down.as_ref().filter(|_| self.hook_failures >= ask::GIVEN_UP) {
            self.summary.left_off = Some(reason.clone());
            return !self.cursor_moved();
        }
        if self.hold_until.is_some_and(|until| until > now) {
            self.summary.left_off = Some(Reason::new("retry-after", "the target asked to wait"));
            return !self.cursor_moved();
        }
        if self.is_braked() {
            self.summary.left_off = Some(Reason::new("brake", "each delivery of a record causes its next change"));
            return !self.cursor_moved();
        }
        if self.source_pause.is_some() {
            self.summary.left_off = Some(Reason::new("log", "a log cannot be read"));
            return true;
        }
        let due_now = self.next_due.is_none() || self.next_due.flatten().is_some_and(|due| due <= now);
        self.window.is_empty() && self.logs.iter().all(|log| log.exhausted) && !due_now && !self.cursor_moved()
    }

    /// Starts, and ends, scheduled runs.
    fn keep_schedule(&mut self, run: Run) {
        let connector = self.connector.clone();
        let Pace::Schedule(schedule) = &connector.pace else { return };
        if run == Run::Once {
            return;
        }
        let now = clock::steady();
        if self.next_run.is_some_and(|next| next <= now) {
            self.running = true;
            self.next_run = None;
            self.begin_run();
        }
        let read = self.logs.iter().all(|log| log.upto.is_some_and(|upto| self.window.read_to(log.id) >= upto));
        if self.running && self.next_run.is_none() && read && self.window.is_empty() {
            self.running = self.next_due.flatten().is_some();
            // Cron follows the wall clock; the wait for it must not.
            let wall = clock::now();
            let next = schedule.next_after(wall);
            self.next_run = next.map(|next| clock::steady().plus(next.since(wall)));
        }
    }

    /// Notes up to where a scheduled run goes: what is there now.
    fn begin_run(&mut self) {
        if matches!(self.connector.pace, Pace::Stream) {
            return;
        }
        for log in &mut self.logs {
            log.exhausted = false;
            log.upto = log.source.highest().ok();
        }
        self.pending.push(Entry::LastRun(clock::now()));
    }

    fn count(&mut self, counter: Counter) {
        *self.counts.entry(counter).or_default() += 1;
    }

    fn is_replay(&self, log: LogId, seq: i64) -> bool {
        self.logs.iter().any(|known| known.id == log && seq <= known.replay_to)
    }
}
