//! A handler's worker: reads on, has each event handled, and stores what was pushed together with how far it has come.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use super::done::{Done, Entry};
use super::{Handle, PREFIX, Push, Spec};
use crate::clock::{self, Timestamp};
use crate::engine::ledger::Ledger;
use crate::engine::push::{Mailbox, Message, Run, Summary, WorkerError};
use crate::engine::source::{Source, Sources};
use crate::event::Event;
use crate::rules::listen::Listen;
use crate::rules::outcome::Reason;
use crate::rules::retry::RetryPolicy;
use crate::store::state::connector::{self, Mode, OpenBreaker};
use crate::store::state::{ConnectorId, LogId, StateError, StateReader, cursor, parked};

/// Events read at once.
const CHUNK: usize = 64;
/// Bytes of values read at once, about.
const CHUNK_BYTES: usize = 1 << 20;
/// What was handled is stored after so long, also when there is more: a crash repeats no more than that.
const SPAN: Duration = Duration::from_millis(20);
/// How long it waits after the state file or a log refused.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(60);

/// What a worker is made of.
pub struct Parts {
    /// The handler.
    pub spec: Spec,
    /// The logs that it hears.
    pub sources: Sources,
    /// The writer.
    pub ledger: Ledger,
    /// Its own reading connection.
    pub reader: StateReader,
    /// Who is woken by what it pushes.
    pub workers: Vec<Mailbox>,
}

struct Log {
    id: LogId,
    source: Box<dyn Source>,
    /// Up to here it has handled.
    after: i64,
    /// Up to here a replay has it handle again.
    replay_to: i64,
    exhausted: bool,
    /// What was last said of it, while it cannot be read.
    said: String,
}

/// A handler's worker.
pub struct Worker {
    name: Arc<str>,
    id: ConnectorId,
    listen: Listen,
    handle: Handle,
    logs: Vec<Log>,
    ledger: Ledger,
    reader: StateReader,
    workers: Arc<[Mailbox]>,
    retry: RetryPolicy,
    dice: fastrand::Rng,
    paused: bool,
    /// Something may be parked for it: a log was pruned under its cursor, or a person did something.
    look_aside: bool,
    /// A log's positions are others now.
    rewind: bool,
    /// Its last failures in a row, and when it tries again.
    failed: Option<OpenBreaker>,
    not_before: Option<Timestamp>,
    /// What was last said of the state file, while it cannot be read.
    said: String,
    done: Done,
    stopped: bool,
    inbox: Receiver<Message>,
    mailbox: Mailbox,
    summary: Summary,
}

impl Worker {
    /// Makes a worker: remembers the handler and begins its cursors.
    ///
    /// # Errors
    /// When the state file or a log cannot be read.
    pub fn new(mut parts: Parts) -> Result<Worker, WorkerError> {
        let Spec { name, listen, from_beginning, handle } = parts.spec;
        let name: Arc<str> = format!("{PREFIX}{name}").into();
        let mut begins = Vec::new();
        for (log, source) in &mut parts.sources {
            let from = if from_beginning {
                source.floor()?
            } else {
                let highest = source.highest()?;
                // Where a cursor begins must not be taken back: what comes in its place would lie below.
                source.make_durable(highest)?;
                highest
            };
            begins.push((*log, from));
        }
        let called = name.clone();
        let (known, cursors) = parts.ledger.call(move |state| {
            state.commit(|db| {
                let (known, _) = connector::remember(db, &called)?;
                let mut cursors = Vec::new();
                for (log, from) in &begins {
                    cursor::begin(db, known.id, *log, *from)?;
                    cursors.push(cursor::get(db, known.id, *log)?.unwrap_or_default());
                }
                Ok((known, cursors))
            })
        })?;
        let failed = parts.reader.read(|db| connector::breaker(db, known.id, super::done::ORIGIN))?;
        let logs = parts.sources.into_iter().zip(cursors).map(|((id, source), at)| Log {
            id,
            source,
            after: at.seq,
            replay_to: at.replay_to,
            exhausted: false,
            said: String::new(),
        });
        let (sender, inbox) = channel();
        Ok(Worker {
            name,
            id: known.id,
            listen,
            handle,
            logs: logs.collect(),
            ledger: parts.ledger,
            reader: parts.reader,
            workers: parts.workers.into(),
            retry: RetryPolicy { max_backoff: LONGEST, ..RetryPolicy::default() },
            dice: fastrand::Rng::new(),
            paused: known.mode == Mode::Paused,
            look_aside: true,
            rewind: false,
            failed,
            // A start is a reason to try again.
            not_before: None,
            said: String::new(),
            done: Done::default(),
            stopped: false,
            inbox,
            mailbox: Mailbox::new(sender),
            summary: Summary::default(),
        })
    }

    /// Its row in the state file.
    pub fn id(&self) -> ConnectorId {
        self.id
    }

    /// Its name, as `status` shows it.
    pub fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Where to send messages.
    pub fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    /// Works until it is stopped, or (once) until everything is handled, or handling has failed.
    pub fn run(mut self, run: Run) -> Summary {
        loop {
            let idle = !self.work() && !self.rewind;
            if self.stopped || self.summary.broken {
                break;
            }
            if run == Run::Once && idle {
                if let Some(failed) = self.failed.as_ref().filter(|_| self.not_before.is_some()) {
                    self.summary.left_off = Some(failed.reason.clone());
                } else if self.paused {
                    self.summary.left_off = Some(Reason::new("paused", "it is paused"));
                } else if !self.said.is_empty() || self.logs.iter().any(|log| !log.said.is_empty()) {
                    self.summary.left_off = Some(Reason::new("log", "a log or the state file cannot be used"));
                }
                break;
            }
            self.listen(idle);
        }
        self.summary
    }

    /// Takes the messages that have come; an idle worker waits for one.
    fn listen(&mut self, idle: bool) {
        if idle {
            let first = match self.not_before {
                Some(due) => match self.inbox.recv_timeout(due.since(clock::steady())) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return self.stopped = true,
                },
                None => match self.inbox.recv() {
                    Ok(message) => Some(message),
                    Err(_) => return self.stopped = true,
                },
            };
            first.into_iter().for_each(|message| self.hear(message));
        }
        loop {
            match self.inbox.try_recv() {
                Ok(message) => self.hear(message),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.stopped = true,
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Wake => self.logs.iter_mut().for_each(|log| log.exhausted = false),
            Message::RunNow => self.not_before = None,
            Message::Reload => self.look_aside = true,
            Message::Pause(pause) => {
                self.paused = pause;
                self.not_before = None;
            }
            // Once what was handled is stored.
            Message::Rewind => self.rewind = true,
            Message::LetGo => self.logs.iter_mut().for_each(|log| log.source.let_go()),
            Message::Broken => self.summary.broken = true,
            Message::Stop => self.stopped = true,
            Message::Results | Message::Asked(_) | Message::Committed(_) => {}
        }
    }

    /// A log's positions are not what they were, or a person has set a cursor back: it goes on from there.
    fn begin_again(&mut self) {
        self.rewind = false;
        let (id, reader) = (self.id, &mut self.reader);
        for log in &mut self.logs {
            if let Ok(Some(at)) = reader.read(|db| cursor::get(db, id, log.id)) {
                (log.after, log.replay_to, log.exhausted) = (at.seq, at.replay_to, false);
                log.source.forget();
            }
        }
        self.look_aside = true;
    }

    /// Handles what there is, at most a chunk of each log; false when there is nothing to do now.
    fn work(&mut self) -> bool {
        if self.paused || self.not_before.is_some_and(|due| due > clock::steady()) {
            return false;
        }
        self.not_before = None;
        if self.rewind {
            self.begin_again();
        }
        let mut worked = false;
        if self.look_aside {
            match self.handle_parked() {
                Some(true) => return true,
                Some(false) => self.look_aside = false,
                None => return false,
            }
        }
        for at in 0..self.logs.len() {
            match self.read_on(at) {
                Some(more) => worked |= more,
                None => return false,
            }
        }
        worked
    }

    /// Handles what was set aside for it when its log was pruned; true when there was any, none when it has to wait.
    fn handle_parked(&mut self) -> Option<bool> {
        let (id, now) = (self.id, clock::steady());
        let due = match self.reader.read(|db| parked::due(db, id, now, CHUNK)) {
            Ok(due) => due,
            Err(error) => return self.put_off(&error),
        };
        let mut due: Vec<_> = due.into_iter().map(|parked| (parked.log, Arc::new(parked.event))).collect();
        due.sort_by_key(|(log, event)| (log.0, event.seq()));
        let any = !due.is_empty();
        for (_, event) in due {
            match (self.handle)(&event) {
                Ok(pushes) => {
                    self.take_down(&event, pushes);
                    self.done.since.get_or_insert_with(clock::steady);
                    self.done.delivered += 1;
                    self.summary.delivered += 1;
                    self.done.ended.push(event);
                }
                Err(reason) => return self.fail(reason),
            }
            if !self.keep_up() {
                return None;
            }
        }
        self.store().then_some(any)
    }

    /// Reads a chunk of a log and handles it; none when it has to wait.
    fn read_on(&mut self, at: usize) -> Option<bool> {
        let Some(log) = self.logs.get_mut(at).filter(|log| !log.exhausted) else { return Some(false) };
        let read = log.source.read(log.after, CHUNK, CHUNK_BYTES);
        // What is handled must not be able to vanish from the application's file in a power cut.
        let read = read.and_then(|events| match events.last() {
            Some(last) => log.source.make_durable(last.seq()).map(|()| events),
            None => Ok(events),
        });
        let events = match read {
            Ok(events) => events,
            Err(error) => {
                self.summary.broken |= error.broken;
                let text = error.to_string();
                // The keeper says that a file was replaced.
                if !error.replaced && log.said != text {
                    log::warn!("{}: {text}", self.name);
                }
                log.said = text;
                self.not_before = Some(clock::steady().plus(PAUSE));
                return None;
            }
        };
        log.said.clear();
        log.exhausted = events.is_empty();
        let (id, replay_to) = (log.id, log.replay_to);
        let aside = self.aside(id, events.first().map(Event::seq))?;
        let any = !events.is_empty();
        for event in events {
            let (seq, counts) = (event.seq(), event.seq() > replay_to);
            if aside.contains(&event.id) {
                // It is handled from its copy.
                self.look_aside = true;
            } else if self.wants(&event) {
                let event = Arc::new(event);
                match (self.handle)(&event) {
                    Ok(pushes) => self.take_down(&event, pushes),
                    Err(reason) => return self.fail(reason),
                }
                self.done.delivered += u64::from(counts);
                self.summary.delivered += 1;
            } else {
                self.done.skipped += u64::from(counts);
            }
            self.done.reach(id, seq);
            if !self.keep_up() {
                return None;
            }
        }
        self.store().then_some(any)
    }

    /// The events of a log that are parked for it from a position on.
    fn aside(&mut self, log: LogId, from: Option<i64>) -> Option<Vec<crate::event::EventId>> {
        let (id, Some(from)) = (self.id, from) else { return Some(Vec::new()) };
        match self.reader.read(|db| parked::ids_above(db, id, log, from - 1)) {
            Ok(ids) => {
                self.said.clear();
                Some(ids)
            }
            Err(error) => self.put_off(&error),
        }
    }

    fn wants(&self, event: &Event) -> bool {
        let mine = event.dest.as_deref().is_none_or(|dest| *dest == *self.name);
        mine && event.push.is_none() && self.listen.hears(&event.kind, event.op)
    }

    fn take_down(&mut self, event: &Arc<Event>, pushes: Vec<Push>) {
        if !pushes.is_empty() {
            self.done.handled.push((event.clone(), pushes));
        }
        if self.failed.take().is_some() {
            log::warn!("{}: it works again", self.name);
            self.done.failed = Some(None);
        }
    }

    /// Stores what was handled when it has waited long enough, and hears whether it is to stop; false = go no further now.
    fn keep_up(&mut self) -> bool {
        let due = self.done.since.is_some_and(|since| clock::steady().since(since) >= SPAN);
        if due && !self.store() {
            return false;
        }
        while let Ok(message) = self.inbox.try_recv() {
            self.hear(message);
        }
        if self.summary.broken {
            // A further commit would prove nothing.
            return false;
        }
        if self.stopped || self.paused || self.rewind {
            self.store();
            return false;
        }
        true
    }

    /// A failure: what was handled before is stored with it, and the same event comes again.
    fn fail<T>(&mut self, reason: Reason) -> Option<T> {
        let now = clock::steady();
        let (opened, failures) = self.failed.as_ref().map_or((now, 0), |failed| (failed.opened, failed.failures));
        let failures = failures.saturating_add(1);
        let due = now.plus(self.retry.delay(failures, self.dice.f64()));
        if self.failed.as_ref().is_none_or(|failed| failed.reason != reason) {
            log::warn!("{}: {reason}; the same event comes again until it passes", self.name);
        }
        let failed = OpenBreaker { opened, next_probe: due, failures, reason };
        self.failed = Some(failed.clone());
        self.not_before = Some(due);
        self.summary.retried += 1;
        self.done.retried += 1;
        self.done.failed = Some(Some(failed));
        self.store();
        None
    }

    /// The state file cannot be read: it is tried again soon. Said once.
    fn put_off<T>(&mut self, error: &StateError) -> Option<T> {
        let text = error.to_string();
        if self.said != text {
            log::warn!("{}: {text}", self.name);
        }
        self.said = text;
        self.not_before = Some(clock::steady().plus(PAUSE));
        None
    }

    /// Stores what was handled; false when that is not possible, because the agent ends.
    fn store(&mut self) -> bool {
        if self.done.is_empty() {
            return true;
        }
        let done = Arc::new(std::mem::take(&mut self.done));
        let mut said = false;
        loop {
            let (told, stored) = channel();
            let (done, workers) = (done.clone(), self.workers.clone());
            let entry = Entry { id: self.id, done, pushed: false, workers, told };
            if self.ledger.join(Box::new(entry)).is_err() {
                self.stopped = true;
                return false;
            }
            match stored.recv() {
                Ok(Ok(())) => break,
                Ok(Err(error)) if error.is_broken() => {
                    log::error!("{}: {error}", self.name);
                    self.summary.broken = true;
                    return false;
                }
                Ok(Err(error)) => {
                    // It is not handled again for that: the same is stored later.
                    if !std::mem::replace(&mut said, true) {
                        log::error!("{}: nothing more is handled until this is stored: {error}", self.name);
                    }
                    if !self.wait(PAUSE) {
                        return false;
                    }
                }
                Err(_) => {
                    self.stopped = true;
                    return false;
                }
            }
        }
        if said {
            log::warn!("{}: the state file can be written again", self.name);
        }
        for (log, seq) in &done.cursors {
            if let Some(known) = self.logs.iter_mut().find(|known| known.id == *log) {
                known.after = known.after.max(*seq);
            }
        }
        true
    }

    /// Waits, and hears what comes meanwhile; false when it is to stop.
    fn wait(&mut self, pause: Duration) -> bool {
        let until = clock::steady().plus(pause);
        loop {
            match self.inbox.recv_timeout(until.since(clock::steady())) {
                Ok(message) => self.hear(message),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => self.stopped = true,
            }
            if self.stopped || self.summary.broken {
                return false;
            }
            if clock::steady() >= until {
                return true;
            }
        }
    }
}
