//! Pulling: what an outside system changed comes into the application's table.
//!
//! One thread for each connector that is read. A run asks for page after page; each item is mapped back, compared with what
//! both sides agreed on last and with the row as it is now, and what is decided is written down before it is done:
//!
//! 1. *state file*: the page's plan, under its number;
//! 2. *application's file*: the rows, a few in a transaction, with how far the page has come, the last with the cursor;
//! 3. *state file*: what both sides agree on now; the plan goes.
//!
//! After a kill the application's file says how much of the plan is done, and the rest is done then: a row that is not as it
//! was when that was decided is decided anew. So a change is neither lost nor made twice, and the cursor never moves without
//! the rows (`docs/decisions/0028-a-pulled-page-is-planned-first.md`).

mod again;
mod aside;
mod carry;
mod fetch;
mod look;
mod mapped;
mod measure;
mod meeting;
mod note;
mod planned;
mod polls;
mod rehearse;
mod report;
mod reread;
mod site;
mod sweep;
mod tempo;
mod told;
mod weigh;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use crate::adapter::pull::Source;
use crate::clock::{self, Timestamp};
use crate::engine::ledger::{Ledger, LedgerError};
use crate::engine::push::{Mailbox, Message, Run, Summary};
use crate::engine::turnstile::{Reader, Turnstile};
use crate::rules::breaker::Breaker;
use crate::rules::conflict::Policy;
use crate::rules::governance::Gate;
use crate::rules::mapping::Reverse;
use crate::rules::outcome::Reason;
use crate::rules::pull::clock::Trust;
use crate::rules::retry::RetryPolicy;
use crate::store::capture::{CaptureError, CapturedLog};
use crate::store::state::connector::{self, Mode};
use crate::store::state::pull::{self, Pull};
use crate::store::state::{ConnectorId, StateError, StateReader};

pub use aside::{StandsAside, stands_aside};
pub use mapped::Mapped;
pub use polls::{Poll, Polls};
pub use rehearse::{Becomes, Extent, Forecast, Foreseen, rehearse};
pub use report::{PullStatus, pull_status, pulled};
use site::Site;
pub use tempo::Tempo;
pub use told::{AsideRecord, PulledRecord, pulled_record};

/// What one connector reads, and where that goes.
#[derive(Debug)]
pub struct Inlet {
    /// The connector's name: the origin of what comes in.
    pub name: Arc<str>,
    /// The outside system.
    pub source: Arc<dyn Source>,
    /// The watched table, or its event type.
    pub table: Arc<str>,
    /// From the other side's record to the row's columns.
    pub back: Reverse,
    /// What may come in.
    pub gate: Gate,
    /// Who wins where both sides changed a record.
    pub policy: Policy,
    /// What an order of authority may call the other side: the connector, its adapter.
    pub names: Vec<String>,
    /// What it may call this one: the office.
    pub office: String,
    /// What the application changes is sent there too.
    pub both_ways: bool,
    /// An item that cannot be applied stops the run, and is not passed over.
    pub strict_order: bool,
    /// What the connector says of the clock there.
    pub clock: Trust,
    /// Up to so many records in a hundred are deleted unasked because they are missing; default 5. One may always go, unless it is 0.
    pub max_delete: f64,
    /// After so long everything is read again.
    pub full: Option<Duration>,
    /// When it is read.
    pub tempo: Tempo,
    /// How failed requests are tried again.
    pub retry: RetryPolicy,
}

/// What a worker is made of.
pub struct Parts {
    /// What it reads.
    pub inlet: Inlet,
    /// A connection of its own to the application's file, to write.
    pub log: CapturedLog,
    /// The writer of the state file.
    pub ledger: Ledger,
    /// Its own reading connection.
    pub reader: StateReader,
}

/// What can go wrong, but for the requests.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The application's file.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its writer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The plan that was written down cannot be read.
    #[error("the plan of a page cannot be read: it was damaged, or written by a newer version")]
    Plan,
}

impl PullError {
    /// Whether a sync has failed: the agent must end.
    pub fn is_broken(&self) -> bool {
        match self {
            PullError::Capture(error) => error.is_broken(),
            PullError::State(error) | PullError::Ledger(LedgerError::State(error)) => error.is_broken(),
            PullError::Ledger(LedgerError::Gone(_)) | PullError::Plan => false,
        }
    }
}

/// How long a worker waits after one of the files refused.
const PAUSE: Duration = Duration::from_secs(1);
/// A source that refuses everybody is asked again after so long.
const HALTED: Duration = Duration::from_secs(15 * 60);

/// A new process leaves a source that failed alone for so long at most, whatever was written down.
const LEFT_ALONE: Duration = Duration::from_secs(3600);

/// A connector that is read.
pub struct Worker {
    inlet: Inlet,
    id: ConnectorId,
    log: CapturedLog,
    ledger: Ledger,
    reader: StateReader,
    site: Site,
    pull: Pull,
    /// Where the next run begins; ahead of what is stored while nothing was to be written.
    cursor: Option<String>,
    /// Up to where the log was looked through; ahead of what is stored while nothing was to be written.
    noted: i64,
    breaker: Breaker,
    failures: u32,
    dice: fastrand::Rng,
    not_before: Option<Timestamp>,
    /// Since when it cannot be read.
    down: Option<Timestamp>,
    polls: Polls,
    halted: Option<Reason>,
    paused: bool,
    /// A person or a push wants what stands aside to be looked at now.
    asked: bool,
    /// A person wants the source to be asked now, even if it failed.
    insists: bool,
    /// The keys that were seen since everything is read anew.
    seen: Option<HashSet<u64>>,
    /// And something could not be read.
    uncertain: bool,
    /// What could not, by its name.
    bad: HashSet<String>,
    /// Deletions from before a record was changed that were looked into, by the record's key and their time.
    outdated: HashSet<(String, Option<Timestamp>)>,
    /// The application has changed the table since what is held was looked at.
    has_noted: bool,
    /// When what is too old went last.
    tidied: Option<Timestamp>,
    /// Another writer was seen lately.
    beside: Option<Timestamp>,
    said: String,
    sender: Option<Mailbox>,
    /// Where both who sends and this one pass.
    gate: Reader,
    stopped: bool,
    inbox: Receiver<Message>,
    mailbox: Mailbox,
    summary: Summary,
}

impl Worker {
    /// Makes a worker and remembers the connector.
    ///
    /// # Errors
    /// The files cannot be read, or the table cannot take what is mapped to it.
    pub fn new(mut parts: Parts) -> Result<Worker, PullError> {
        let Parts { inlet, log, ledger, reader } = &mut parts;
        let site = Site::of(inlet, log)?;
        let (epoch, noted) = (log.seen(None)?.epoch.to_string(), log.highest_seq()?);
        // Where it begins must not be taken back.
        log.sync_wal()?;
        let origin = origin_of(&*inlet.source);
        let (name, log_name, both_ways) = (inlet.name.clone(), log.name().to_owned(), inlet.both_ways);
        let (known, pull, sends_now) = ledger.call(move |state| {
            state.commit(|db| {
                let (known, _) = connector::remember(db, &name)?;
                pull::begin(db, known.id, &log_name, &epoch, noted)?;
                let before = pull::get(db, known.id)?.and_then(|pull| pull.book.both_ways);
                pull::set_ways(db, known.id, both_ways)?;
                connector::forget_breakers_but(db, known.id, &origin)?;
                let known = connector::find(db, &name)?.unwrap_or(known);
                Ok((known.clone(), pull::get(db, known.id)?, both_ways && before == Some(false)))
            })
        })?;
        let pull = pull.ok_or(PullError::Plan)?;
        let stored = reader.read(|db| connector::breaker(db, known.id, &origin_of(&*inlet.source)))?;
        let cursor = log.mark(&inlet.name)?.and_then(|mark| mark.cursor);
        // A source that is down is not asked at once by each process that begins.
        let not_before = pull.book.until.map(|until| Timestamp(until).min(clock::steady().plus(LEFT_ALONE)));
        let gate = Reader::default();
        if let Some((_, bytes)) = reader.read(|db| pull::planned(db, known.id))? {
            // Nothing of these leaves before the page is finished.
            let mut inside = gate.0.lock();
            for planned in planned::decode(&bytes)?.0.iter().filter(|planned| !planned.change.key.is_empty()) {
                inside.take(&site.identity(&planned.change.key));
            }
        }
        let (sender, inbox) = channel();
        let Parts { inlet, log, ledger, reader } = parts;
        let mut worker = Worker {
            id: known.id,
            breaker: Breaker::new(inlet.retry.backoff),
            failures: stored.as_ref().map_or(0, |open| open.failures),
            site,
            noted: pull.noted,
            pull,
            cursor,
            dice: fastrand::Rng::new(),
            not_before,
            down: stored.as_ref().filter(|_| not_before.is_some()).map(|open| open.opened),
            polls: Polls::default(),
            halted: None,
            paused: known.mode == Mode::Paused,
            asked: false,
            insists: false,
            seen: None,
            uncertain: false,
            bad: HashSet::new(),
            outdated: HashSet::new(),
            has_noted: false,
            tidied: None,
            beside: None,
            said: String::new(),
            sender: None,
            gate,
            stopped: false,
            inbox,
            mailbox: Mailbox::new(sender),
            summary: Summary::default(),
            inlet,
            log,
            ledger,
            reader,
        };
        if sends_now {
            worker.look_back()?;
        }
        worker.stand_apart()?;
        Ok(worker)
    }

    /// Its row in the state file.
    pub fn id(&self) -> ConnectorId {
        self.id
    }

    /// Where to send messages.
    pub fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    /// The type of its table.
    pub fn kind(&self) -> Arc<str> {
        self.site.kind.clone()
    }

    /// The table as its conflicts name it.
    pub fn table(&self) -> Arc<str> {
        self.inlet.policy.table.clone()
    }

    /// Where who sends for the same connector passes too.
    pub fn turnstile(&self) -> Turnstile {
        self.gate.0.clone()
    }

    /// The columns that come back; none = all.
    pub fn columns(&self) -> Option<Vec<String>> {
        self.inlet.back.columns().map(|columns| columns.into_iter().map(str::to_owned).collect())
    }

    /// Who sends for the same connector: hears when what waits there is over.
    pub fn tell_of_news(&mut self, sender: Mailbox) {
        self.sender = Some(sender);
    }

    /// Reads until it is stopped, or (once) one run.
    pub fn run(mut self, run: Run) -> Summary {
        loop {
            self.hear_all();
            if self.stopped || self.summary.broken {
                break;
            }
            let due = run == Run::Once || self.not_before.is_none_or(|at| at <= clock::steady());
            if !self.paused && (due || self.asked) {
                self.turn(run == Run::Once);
            }
            if run == Run::Once || self.stopped || self.summary.broken {
                break;
            }
            self.wait();
        }
        if run == Run::Once && self.paused {
            self.summary.left_off = Some(Reason::new("paused", "it is paused"));
        }
        self.summary
    }

    /// One run now, for whoever has the worker to himself.
    pub fn turn_now(&mut self) -> Option<Reason> {
        self.turn(false);
        self.summary.left_off.clone()
    }

    /// When it was asked last, and will be next: who tells of it looks there.
    pub fn polls(&self) -> Polls {
        self.polls.clone()
    }

    /// One run, and when the next one is. `once` = a source that was to be left alone for a while is asked all the same, as
    /// when somebody asks for it.
    fn turn(&mut self, once: bool) {
        let asked = std::mem::take(&mut self.asked);
        let person = std::mem::take(&mut self.insists);
        let done = self.run_once(asked, person, person || once);
        let now = clock::steady();
        match done {
            Ok(()) => {
                self.said.clear();
                if self.not_before.is_none_or(|at| at <= now) {
                    self.not_before = Some(now.plus(self.inlet.tempo.next(clock::now())));
                }
            }
            Err(error) => {
                self.summary.broken |= error.is_broken();
                let text = error.to_string();
                if self.said != text {
                    log::warn!(connector:% = self.inlet.name; "{}: {text}", self.inlet.name);
                }
                self.summary.left_off = Some(Reason::new("file", text.clone()));
                self.said = text;
                self.not_before = Some(now.plus(PAUSE));
            }
        }
        self.polls.will_ask(self.not_before.map(|at| clock::now().plus(at.since(clock::steady()))));
    }

    fn run_once(&mut self, asked: bool, person: bool, insists: bool) -> Result<(), PullError> {
        self.summary.left_off = None;
        if self.log.follow()? {
            self.site = Site::of(&self.inlet, &mut self.log)?;
        }
        self.look_at_epoch()?;
        self.recover()?;
        self.gate.0.lock().let_go();
        if !self.may_begin()? {
            return Ok(());
        }
        self.note_changes()?;
        self.take_aside(asked)?;
        self.reread(person)?;
        self.fetch_all(insists)
    }

    /// Nothing is agreed any more once the log is another: both sides are compared first, and a person says so.
    fn look_at_epoch(&mut self) -> Result<(), PullError> {
        let epoch = self.log.seen(None)?.epoch.to_string();
        if self.pull.epoch.as_deref() == Some(&*epoch) {
            return Ok(());
        }
        log::error!(
            connector:% = self.inlet.name;
            "{}: the log of its table is another than before: what both sides agreed on counts no more", self.inlet.name
        );
        let (id, name, noted) = (self.id, self.log.name().to_owned(), self.log.highest_seq()?);
        self.ledger.call(move |state| state.commit(|db| pull::begin_anew(db, id, &name, &epoch, noted)))?;
        (self.cursor, self.noted) = (None, noted);
        self.reload()
    }

    /// Reads again how it stands. What is told of it, and how far the log was looked through, this process knows better, but
    /// for what a person has said.
    fn reload(&mut self) -> Result<(), PullError> {
        let id = self.id;
        if let Some(mut pull) = self.reader.read(|db| pull::get(db, id))? {
            self.noted = self.noted.max(pull.noted);
            let (missing, agreed) = (pull.book.missing, pull.book.agreed);
            pull.book = pull::Book { missing, agreed, ..std::mem::take(&mut self.pull.book) };
            self.pull = pull;
        }
        Ok(())
    }

    fn hear_all(&mut self) {
        loop {
            match self.inbox.try_recv() {
                Ok(message) => self.hear(message),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.stopped = true,
            }
        }
    }

    /// Waits for a message, or until the next run.
    fn wait(&mut self) {
        let message = match self.not_before.filter(|_| !self.paused) {
            Some(due) => match self.inbox.recv_timeout(due.since(clock::steady())) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => return self.stopped = true,
            },
            None if !self.paused => return,
            None => match self.inbox.recv() {
                Ok(message) => message,
                Err(_) => return self.stopped = true,
            },
        };
        self.hear(message);
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::RunNow => (self.asked, self.insists) = (true, true),
            Message::Reload => self.asked = true,
            Message::Pause(pause) => self.paused = pause,
            Message::LetGo => {
                if let Err(error) = self.log.yield_file() {
                    log::debug!("{}: {error}", self.inlet.name);
                }
            }
            Message::Broken => self.summary.broken = true,
            Message::Stop => self.stopped = true,
            // What the application writes is looked at when it is read the next time.
            Message::Wake | Message::Rewind | Message::Results | Message::Asked(_) | Message::Committed(_) => {}
        }
    }

    /// Whether it is to end now, in the midst of a run.
    fn is_ending(&mut self) -> bool {
        self.hear_all();
        self.stopped || self.summary.broken || self.paused
    }
}

/// Under which name the state file keeps a failing source, beside the endpoint that is sent to.
fn origin_of(source: &dyn Source) -> String {
    format!("pull {}", source.origin())
}
