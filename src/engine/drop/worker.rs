//! A drop's worker: makes the cuts that are due, renders what was cut, and brings it to its outlets, in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use jiff::civil::Date;

use super::acknowledge::Watch;
use super::acknowledge::awaited::{self, Awaited};
use super::ask::Asking;
use super::cut::Cut as Made;
use super::staging::Staging;
pub use super::step::StepError;
use super::{Drop, request};
use crate::clock::{self, Timestamp};
use crate::engine::ledger::Ledger;
use crate::engine::push::{Mailbox, Message, Run, Summary};
use crate::engine::source::Sources;
use crate::rules::cutoff::{Cut, Jump, NoCut, Reading, Slot, jump};
use crate::rules::governance::hook::NO_ANSWER;
use crate::rules::outcome::Reason;
use crate::store::state::connector::{self, Mode};
use crate::store::state::drops::{self, DropFile, FileId, FileState};
use crate::store::state::{ConnectorId, StateReader, cursor, note, parked, set_note};

/// How long a worker waits after the state file, a log or the disk refused.
const PAUSE: Duration = Duration::from_secs(5);
/// How often what stands still is looked at again, and retention is kept.
const LOOK: Duration = Duration::from_secs(60);
/// Bytes that must be free before a file is cut: a file that cannot be rendered helps nobody.
const LEAST_FREE: u64 = 16 << 20;

/// What a worker is made of.
pub struct Parts {
    /// What it makes.
    pub drop: Arc<Drop>,
    /// The logs it reads.
    pub sources: Sources,
    /// The writer.
    pub ledger: Ledger,
    /// Its own reading connection.
    pub reader: StateReader,
    /// Where files lie; none = the drop's own folder.
    pub folder: Option<PathBuf>,
    /// For files that an older configuration has cut.
    pub rebuild: Rebuild,
}

/// Builds a drop again from its stored configuration.
pub type Rebuild = Arc<dyn Fn(&str) -> Option<Drop> + Send + Sync>;

/// Up to where a cut gathers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The moment of the cut-off.
    CutOff,
    /// All that is there.
    Now,
}

/// A drop's worker.
pub struct Worker {
    pub(super) drop: Arc<Drop>,
    pub(super) id: ConnectorId,
    pub(super) ledger: Ledger,
    pub(super) reader: StateReader,
    pub(super) sources: Sources,
    pub(super) staging: Staging,
    rebuild: Rebuild,
    pub(super) summary: Summary,
    pub(super) dice: fastrand::Rng,
    /// The highest place in the file that gathers.
    pub(super) ordinal: Option<(FileId, i64)>,
    pub(super) mode: Mode,
    /// From when on a drop that has made no cut yet counts.
    begin: Timestamp,
    reading: Reading,
    /// A person has said that the cuts that are due, and the clock, are right.
    confirmed: bool,
    /// What was said last; it is said once.
    said: Option<String>,
    next_look: Timestamp,
    /// When keys are looked at again.
    pub(super) next_keys: Timestamp,
    pub(super) watch: Watch,
    /// Questions to the hook; none = nobody is asked.
    pub(super) asking: Option<Asking>,
    inbox: Receiver<Message>,
    mailbox: Mailbox,
    stopping: bool,
    /// A person wants to see it tried: what waits to be tried again is tried now.
    pub(super) hurry: bool,
}

impl Worker {
    /// Makes a worker: remembers the drop, and begins its cursors.
    ///
    /// # Errors
    /// When the state file, a log or the drop's folder cannot be used.
    pub fn new(parts: Parts) -> Result<Worker, StepError> {
        let Parts { drop, mut sources, ledger, reader, folder, rebuild } = parts;
        let mut begins = Vec::new();
        for (log, source) in &mut sources {
            let from = if drop.from_beginning {
                source.floor()?
            } else {
                let highest = source.highest()?;
                source.make_durable(highest)?;
                highest
            };
            begins.push((*log, from));
        }
        let answers = drop.ack.as_ref().map_or(Awaited::No, |ack| Awaited::Yes(ack.overdue));
        let (name, hash, text) = (Arc::clone(&drop.subscription.name), drop.config_hash, drop.config.clone());
        let policy = drop.subscription.policy(drop.hook.as_deref());
        let now = clock::now();
        let (known, begin) = ledger.call(move |state| {
            state.commit(|db| {
                let (known, _) = connector::remember(db, &name)?;
                connector::set_config(db, known.id, &hash, &text)?;
                for (log, from) in &begins {
                    cursor::begin(db, known.id, *log, *from)?;
                }
                awaited::set(db, known.id, answers)?;
                let policy_of = format!("policy/{}", known.id.0);
                let before = note(db, &policy_of)?;
                if before.as_ref() != Some(&policy) {
                    // What the gate refused may leave now: it is tried with the next file.
                    if before.is_some() {
                        parked::release_classes(db, known.id, &["gate"], clock::steady())?;
                    }
                    set_note(db, &policy_of, &policy)?;
                }
                let key = format!("drop/{}/begin", known.id.0);
                let begin = note(db, &key)?.and_then(|text| text.parse().ok());
                if begin.is_none() {
                    set_note(db, &key, &now.0.to_string())?;
                }
                Ok((known, Timestamp(begin.unwrap_or(now.0))))
            })
        })?;
        let asking = Asking::of(&drop);
        let staging = Staging::open(folder.as_deref().unwrap_or(&drop.folder))?;
        let (sender, inbox): (Sender<Message>, _) = channel();
        Ok(Worker {
            id: known.id,
            mode: known.mode,
            drop,
            ledger,
            reader,
            sources,
            staging,
            rebuild,
            summary: Summary::default(),
            dice: fastrand::Rng::new(),
            ordinal: None,
            begin,
            reading: Reading { wall: now, steady: Some(clock::steady()) },
            confirmed: false,
            said: None,
            next_look: clock::steady(),
            next_keys: clock::steady(),
            watch: Watch::default(),
            asking,
            inbox,
            mailbox: Mailbox::new(sender),
            stopping: false,
            hurry: false,
        })
    }

    /// The drop's row in the state file.
    pub fn id(&self) -> ConnectorId {
        self.id
    }

    /// Where to send messages.
    pub fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    /// Works until it is stopped, or (once) until nothing is left that can be done now.
    pub fn run(mut self, run: Run) -> Summary {
        // A run of once is a person's, or a timer's: there is no later.
        self.hurry = run == Run::Once;
        loop {
            let due = match self.turn() {
                Ok(due) => due,
                Err(error) => {
                    self.summary.broken |= error.broken;
                    if run == Run::Once {
                        self.summary.left_off.get_or_insert_with(|| Reason::new("drop", error.text.clone()));
                    }
                    self.say(log::Level::Warn, &error.text);
                    clock::steady().plus(PAUSE)
                }
            };
            if run == Run::Once || self.summary.broken || self.stopping {
                return self.summary;
            }
            self.listen(due);
            if self.summary.broken || self.stopping {
                return self.summary;
            }
        }
    }

    /// Waits until something is due, or somebody says something that changes what is.
    fn listen(&mut self, due: Timestamp) {
        loop {
            let message = match self.inbox.recv_timeout(due.since(clock::steady())) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.stopping = true;
                    return;
                }
            };
            if self.hear(message) {
                return;
            }
        }
    }

    /// Takes note of a message; whether it changes what is due.
    fn hear(&mut self, message: Message) -> bool {
        match message {
            // A log that grows changes nothing before the cut.
            Message::Wake | Message::Results | Message::Asked(_) | Message::Committed(_) => return false,
            Message::Reload => {
                self.watch.again();
                self.next_keys = clock::steady();
            }
            Message::RunNow => {
                self.hurry = true;
                self.next_keys = clock::steady();
                self.watch.again();
            }
            Message::Rewind => self.sources.iter_mut().for_each(|(_, source)| source.forget()),
            Message::LetGo => {
                self.sources.iter_mut().for_each(|(_, source)| source.let_go());
                return false;
            }
            Message::Pause(pause) => self.set_paused(pause),
            Message::Broken => self.summary.broken = true,
            Message::Stop => self.stopping = true,
        }
        true
    }

    /// Whether a long step has to leave off; takes what was said meanwhile.
    pub(super) fn is_told_to_stop(&mut self) -> bool {
        while let Ok(message) = self.inbox.try_recv() {
            self.hear(message);
        }
        self.stopping || self.summary.broken || self.mode == Mode::Paused
    }

    fn set_paused(&mut self, pause: bool) {
        self.mode = if pause { Mode::Paused } else { Mode::Running };
        self.confirmed |= !pause;
        self.said = None;
    }

    /// One turn: cuts, renders, delivers. Gives when the next one is due.
    fn turn(&mut self) -> Result<Timestamp, StepError> {
        let mut due = clock::steady().plus(LOOK);
        self.look_at_clock()?;
        if self.mode == Mode::Paused {
            return Ok(due);
        }
        self.look_at_keys()?;
        self.make_asked()?;
        self.number_reruns()?;
        // One that capture did not wait for gets what it missed from the list of parked changes.
        if matches!(self.mode, Mode::Running | Mode::Overflowed)
            && let Some(next) = self.make_cuts()?
        {
            due = due.min(next);
        }
        if let Some(again) = self.asking.as_ref().and_then(|asking| asking.again) {
            due = due.min(again);
        }
        for file in self.in_state(FileState::Cut)? {
            if let Err(reason) = self.render(&file)? {
                let name = file.name.as_deref().unwrap_or_default();
                self.say(log::Level::Error, &format!("{name} cannot be made: {reason}"));
                self.summary.left_off.get_or_insert(reason);
                break;
            }
        }
        if let Some(next) = self.deliver_all()? {
            due = due.min(next);
        }
        if let Some(next) = self.acknowledge()? {
            due = due.min(next);
        }
        self.watch_deadline()?;
        if clock::steady() >= self.next_look {
            self.next_look = clock::steady().plus(LOOK);
            self.tidy()?;
        }
        Ok(due)
    }

    /// The drop as it was when it cut a file: what it was made of then makes it now. None = that is not known any more.
    pub(super) fn as_it_was(&mut self, file: &DropFile) -> Result<Option<Arc<Drop>>, StepError> {
        let Some(hash) = file.config_hash.filter(|hash| *hash != self.drop.config_hash) else {
            return Ok(Some(Arc::clone(&self.drop)));
        };
        let text = self.reader.read(|db| connector::config(db, &hash))?;
        Ok(text.and_then(|text| (self.rebuild)(&text)).map(Arc::new))
    }

    pub(super) fn in_state(&mut self, state: FileState) -> Result<Vec<DropFile>, StepError> {
        let id = self.id;
        Ok(self.reader.read(|db| drops::in_state(db, id, state))?)
    }

    /// Makes the cut that a person has asked for: with what is there now, before its cut-off.
    fn make_asked(&mut self) -> Result<(), StepError> {
        let id = self.id;
        let Some(date) = self.reader.read(|db| request::asked(db, id))? else { return Ok(()) };
        self.hurry = true;
        // Whoever asks has seen what it stood still for.
        if self.mode == Mode::Halted {
            self.set_paused(false);
            self.ledger
                .call(move |state| state.commit(|db| connector::set_mode(db, id, Mode::Running, None, clock::now())))?;
        }
        self.make_cuts()?;
        let slot = match self.asked_slot(&date)? {
            Ok(slot) => slot,
            Err(reason) => return self.stand_still(reason),
        };
        if self.make_cut(Cut { slot, at: clock::now() }, Until::Now)? {
            self.ledger.call(move |state| state.commit(|db| request::done(db, id)))?;
        }
        Ok(())
    }

    /// Gives the files that are made of lines of older ones their numbers.
    fn number_reruns(&mut self) -> Result<(), StepError> {
        for file in self.in_state(FileState::Open)?.into_iter().filter(|file| file.rerun_of.is_some()) {
            if let Err(reason) = self.number(&file)? {
                self.say(log::Level::Error, &format!("the rerun of {} is held: {reason}", file.date));
            }
        }
        Ok(())
    }

    /// Makes the cuts that are due; gives when the next one is.
    fn make_cuts(&mut self) -> Result<Option<Timestamp>, StepError> {
        loop {
            let wall = clock::now();
            let first = match self.next_cut() {
                Ok(first) => first,
                Err(reason) => {
                    self.stand_still(reason)?;
                    return Ok(None);
                }
            };
            let timing = &self.drop.timing;
            let limit = if self.confirmed { usize::MAX } else { timing.catch_up };
            let due = match timing.cut_offs.due(first, wall, timing.missed, limit) {
                Ok(due) if due.more => {
                    let text = format!(
                        "more than {} cuts were missed: is the clock right? `hms-sync drop run {}` makes them up",
                        timing.catch_up, self.drop.subscription.name
                    );
                    self.stand_still(Reason::new("missed", text))?;
                    return Ok(None);
                }
                Ok(due) => due,
                Err(error) => {
                    self.stand_still(Reason::new("calendar", error.to_string()))?;
                    return Ok(None);
                }
            };
            let Some(cut) = due.cuts.first() else {
                self.confirmed = false;
                return Ok(Some(clock::steady().plus(first.at.since(wall))));
            };
            if !self.make_cut(*cut, Until::CutOff)? {
                return Ok(None);
            }
        }
    }

    /// The cut after the last one that was made.
    pub(super) fn next_cut(&mut self) -> Result<Cut, Reason> {
        let id = self.id;
        let last = self.reader.read(|db| drops::last_cut(db, id));
        let last = last.map_err(|error| Reason::new("state", error.to_string()))?;
        let offs = &self.drop.timing.cut_offs;
        let calendar = |error: NoCut| Reason::new("calendar", error.to_string());
        match last {
            None => offs.of(self.begin).map_err(calendar),
            Some((date, nth)) => {
                let date: Date =
                    date.parse().map_err(|_| Reason::new("ledger", "the last file's business date is no date"))?;
                offs.after(Slot { date, nth }).map_err(calendar)
            }
        }
    }

    /// Gathers and cuts. False = it stands still; a person is needed, or it is tried again later.
    fn make_cut(&mut self, cut: Cut, until: Until) -> Result<bool, StepError> {
        if self.staging.free()? < LEAST_FREE {
            let text = "the disk of the drop's folder is almost full: nothing is cut";
            self.say(log::Level::Error, text);
            self.summary.left_off = Some(Reason::new("disk", text));
            return Ok(false);
        }
        let name = Arc::clone(&self.drop.subscription.name);
        match self.try_cut(cut, until)? {
            Ok(Made::Files(files, lines, held)) => {
                self.said = None;
                self.summary.left_off.take_if(|reason| reason.class == NO_ANSWER);
                let parts = if files == 1 { String::new() } else { format!(" in {files} files") };
                log::info!(connector:% = name; "{name}: cut for {}: {lines} records{parts}, {held} held", cut.slot);
                Ok(true)
            }
            Ok(Made::Skipped) => {
                log::info!(connector:% = name; "{name}: cut for {}: nothing to send", cut.slot);
                Ok(true)
            }
            Err(reason) if reason.class == NO_ANSWER => {
                self.say(log::Level::Warn, &format!("the file for {} is not cut yet: {reason}", cut.slot));
                self.summary.left_off = Some(reason);
                Ok(false)
            }
            Err(_) if self.stopping => Ok(false),
            Err(reason) => {
                self.say(log::Level::Error, &format!("the file for {} is held: {reason}", cut.slot));
                Ok(false)
            }
        }
    }

    /// Gathers and cuts. A reason says why nothing was cut.
    pub(super) fn try_cut(&mut self, cut: Cut, until: Until) -> Result<Result<Made, Reason>, StepError> {
        let (id, now) = (self.id, clock::now());
        let Slot { date, nth } = cut.slot;
        let file = self
            .ledger
            .call(move |state| state.commit(|db| drops::open(db, id, (&date.to_string(), nth), cut.at, now)))?;
        let end = match until {
            Until::CutOff => cut.at,
            Until::Now => Timestamp(i64::MAX),
        };
        self.gather(file, end)?;
        self.cut_asked(file)
    }

    /// No cut is made by a clock that was set by more than a day, until a person says that it is right.
    fn look_at_clock(&mut self) -> Result<(), StepError> {
        let now = Reading { wall: clock::now(), steady: Some(clock::steady()) };
        let earlier = std::mem::replace(&mut self.reading, now);
        let Some(jump) = jump(earlier, now).filter(|_| !self.confirmed) else { return Ok(()) };
        let (Jump::Forward(by) | Jump::Back(by)) = jump;
        let way = if matches!(jump, Jump::Forward(_)) { "forward" } else { "back" };
        let text = format!(
            "the clock was set {way} by {} hours: set it right, then `hms-sync drop run {}`",
            by.as_secs() / 3600,
            self.drop.subscription.name
        );
        self.stand_still(Reason::new("clock", text))
    }

    /// The drop makes no cuts until a person resumes it; what was cut still goes.
    pub(super) fn stand_still(&mut self, reason: Reason) -> Result<(), StepError> {
        self.say(log::Level::Error, &reason.to_string());
        self.mode = Mode::Halted;
        let id = self.id;
        self.ledger.call(move |state| {
            state.commit(|db| connector::set_mode(db, id, Mode::Halted, Some(&reason), clock::now()))
        })?;
        Ok(())
    }

    /// Says something once, until something else was said or it is over.
    pub(super) fn say(&mut self, level: log::Level, text: &str) {
        if self.said.as_deref() != Some(text) {
            log::log!(level, connector:% = self.drop.subscription.name; "{}: {text}", self.drop.subscription.name);
            self.said = Some(text.to_owned());
        }
    }
}
