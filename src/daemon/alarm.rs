//! Alerts, while the agent runs: one thread looks, and one for each channel tells. None of them is waited for by anybody
//! who delivers, and the end of the agent waits for none that is slow.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::daemon::handle::Handle;
use crate::engine::alarm::{AlertStatus, Line, Register, Seen, findings, subject_of};
use crate::engine::inflow::InflowStatus;
use crate::engine::lookout::Lookout;
use crate::engine::need::{Need, STATE};
use crate::format::notice::Notice;
use crate::rules::alert::{Condition, Finding, Severity, Step};
use crate::rules::outcome::Reason;
use crate::rules::retry::RetryPolicy;
use crate::store::state::{StateReader, alert as kept};

/// How long the end of the agent waits for a channel that is telling something.
const ENDING: Duration = Duration::from_secs(2);
/// The first pause after a channel has failed; it doubles,
const PAUSE: Duration = Duration::from_secs(5);
/// up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// What a channel could not be told for so long is given up.
const GIVE_UP: Duration = Duration::from_secs(7 * 86_400);
/// After a start it takes so long until targets have shown their clocks again.
const WARMING: Duration = Duration::from_secs(10 * 60);
/// Where the lines of the journal come from.
const JOURNAL: &str = "alert";

/// The alerts that are open, for whoever asks; cheap to clone. None = nobody looks.
#[derive(Clone, Debug, Default)]
pub struct Alerts(Arc<Mutex<Option<Vec<AlertStatus>>>>);

impl Alerts {
    /// The alerts that are open; none = nobody looks.
    pub fn open(&self) -> Option<Vec<AlertStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn are(&self, open: Vec<AlertStatus>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
    }
}

/// The threads.
#[derive(Debug)]
pub struct Alarm {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

/// What they share.
#[derive(Debug)]
struct Desk {
    register: Mutex<Register>,
    /// Something is to be told, or it ends.
    news: Condvar,
    stop: AtomicBool,
    handle: Handle,
}

impl Alarm {
    /// Begins to look, and to tell what was not told yet.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(handle: Handle, lines: Vec<Line>) -> std::io::Result<Alarm> {
        let read = StateReader::open(handle.state()).and_then(|mut state| state.read(|db| Register::read(db, &lines)));
        let register = read.unwrap_or_else(|error| {
            log::warn!("what was remembered of alerts cannot be read, and they begin anew: {error}");
            Register::default()
        });
        handle.alerts.are(register.open());
        let desk = Desk { register: Mutex::new(register), news: Condvar::new(), stop: AtomicBool::new(false), handle };
        let mut alarm = Alarm { desk: Arc::new(desk), threads: Vec::new() };
        for line in &lines {
            let (desk, line) = (alarm.desk.clone(), line.clone());
            let thread = std::thread::Builder::new().name(format!("alert/{}", line.name));
            alarm.threads.push(thread.spawn(move || desk.tell(&line))?);
        }
        let desk = alarm.desk.clone();
        let thread = std::thread::Builder::new().name("alarm".into());
        alarm.threads.push(thread.spawn(move || desk.watch(&lines))?);
        Ok(alarm)
    }

    /// Ends it. A channel that is slow is left alone: what it was not told is told after the next start.
    pub fn stop(self) {
        self.desk.stop.store(true, Ordering::Release);
        drop(self.desk.register());
        self.desk.news.notify_all();
        let until = clock::steady().plus(ENDING);
        while self.threads.iter().any(|thread| !thread.is_finished()) && clock::steady() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Desk {
    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Looks again and again.
    fn watch(&self, lines: &[Line]) {
        let lookout = self.handle.lookout.clone();
        let mut eye = Eye::new(&self.handle);
        while !self.ends() {
            let (found, all) = eye.look(&self.handle, &lookout);
            let (warming, now) = (clock::steady() < eye.began.plus(WARMING), clock::now());
            // A reload and a start count a source's absence anew: it is over when the source is back.
            let away: Vec<String> =
                self.handle.sources().into_iter().filter(InflowStatus::is_away).map(|line| line.source).collect();
            let unsure = |condition: Condition, subject: &str| match condition {
                Condition::State => false,
                Condition::Source if away.iter().any(|name| name == subject) => true,
                Condition::Clock if warming => true,
                _ => !all,
            };
            let (notices, open) = {
                let mut register = self.register();
                (register.look(found, unsure, &lookout, lines, now), register.open())
            };
            notices.iter().for_each(journal);
            self.handle.alerts.are(open);
            self.write();
            let register = self.register();
            let wait = |_: &mut Register| !self.ends();
            drop(self.news.wait_timeout_while(register, lookout.limits.check, wait));
        }
    }

    /// Writes what has changed to the state file, and lets what is new be told: also when it takes nothing, since that is
    /// something to be told of.
    fn write(&self) {
        let (changes, last) = {
            let mut register = self.register();
            (register.changes(), register.last())
        };
        let refused = (!changes.is_empty()).then(|| changes.clone()).filter(|_| {
            let written = self.handle.ledger().call(move |state| state.commit(|db| changes.apply(db)));
            written.inspect_err(|error| log::debug!("alerts cannot be remembered: {error}")).is_err()
        });
        self.register().settle(refused, last);
        self.news.notify_all();
    }

    /// Tells a channel what it must be told, one notice after the other.
    fn tell(&self, line: &Line) {
        let pauses = RetryPolicy { backoff: PAUSE, max_backoff: LONGEST_PAUSE, ..RetryPolicy::default() };
        let mut dice = fastrand::Rng::new();
        let (mut failures, mut until, mut tried) = (0, None, 0);
        while let Some((number, body)) = self.next(&line.name, until, tried) {
            let notice = match serde_json::from_str::<Notice>(&body) {
                Ok(notice) => notice,
                Err(error) => {
                    log::error!(target: JOURNAL, "{}: a notice cannot be read and is given up: {error}", line.name);
                    self.settle(&line.name, number);
                    continue;
                }
            };
            tried = number;
            match line.channel.tell(&notice) {
                Ok(()) => {
                    if failures > 0 {
                        log::info!(target: JOURNAL, "{} takes notices again", line.name);
                    }
                    (failures, until) = (0, None);
                    self.handle.trouble.tell(&format!("alert/{}", line.name), None);
                    self.settle(&line.name, number);
                }
                Err(reason) => {
                    failures += 1;
                    let pause = PAUSE.max(pauses.delay(failures, dice.f64()));
                    until = Some(clock::steady().plus(pause));
                    self.failed(line, &reason, failures);
                    if notice.at.parse().is_ok_and(|at| clock::now().since(Timestamp::from_jiff(at)) >= GIVE_UP) {
                        log::error!(target: JOURNAL, "{}: given up after days: {}", line.name, notice.subject());
                        self.settle(&line.name, number);
                    }
                }
            }
        }
    }

    /// The next notice for a channel, not before `until`: after the one that was tried last, so that one which is refused does
    /// not stand in the way of the others. None = it ends.
    fn next(&self, channel: &str, until: Option<Timestamp>, tried: i64) -> Option<(i64, String)> {
        let mut register = self.register();
        loop {
            if self.ends() {
                return None;
            }
            let left = until.map(|until| until.since(clock::steady())).filter(|left| !left.is_zero());
            if left.is_none() {
                let owed = register.owed(channel);
                let next = owed.iter().find(|owed| owed.notice > tried).or(owed.first());
                if let Some(owed) = next {
                    return Some((owed.notice, owed.body.clone()));
                }
            }
            register = match left {
                Some(left) => self.news.wait_timeout(register, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.news.wait(register).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// A channel has a notice, or is told it no more.
    fn settle(&self, channel: &str, notice: i64) {
        self.register().told(channel, notice);
        self.write();
    }

    fn failed(&self, line: &Line, reason: &Reason, failures: u32) {
        if failures == 1 {
            log::warn!(target: JOURNAL, "{} cannot be told: {reason}; it is tried again", line.name);
        }
        let need = Need {
            subject: subject_of(&line.name),
            what: format!("cannot be told since {failures} attempts: {reason}"),
            mend: "mend the channel; `hms-sync alerts test` tries it. What it must be told is kept".to_owned(),
        };
        self.handle.trouble.tell(&format!("alert/{}", line.name), Some(need));
    }
}

/// Who looks.
struct Eye {
    began: Timestamp,
    /// Since when is looked on this state file.
    since: Timestamp,
    /// Until when targets' certificates are valid, as seen last.
    certificates: BTreeMap<String, Timestamp>,
}

impl Eye {
    fn new(handle: &Handle) -> Eye {
        let now = clock::now();
        let since = handle.ledger().call(move |state| state.commit(|db| kept::since(db, now.0)));
        Eye { began: clock::steady(), since: since.map_or(now, Timestamp), certificates: BTreeMap::new() }
    }

    /// What is wrong, and whether everything could be looked at.
    fn look(&mut self, handle: &Handle, lookout: &Lookout) -> (Vec<Finding>, bool) {
        let overview = match handle.glance() {
            Ok(overview) => overview,
            Err(error) => {
                let need = Need::of(STATE, &error.to_string());
                return (vec![unread(need)], false);
            }
        };
        self.note_certificates(handle, lookout);
        let certificates: Vec<(String, Timestamp)> = self.certificates.clone().into_iter().collect();
        let (needs, sources) = (handle.needs(), handle.sources());
        let seen = Seen {
            overview: &overview,
            needs: &needs,
            sources: &sources,
            lookout,
            certificates: &certificates,
            since: self.since,
            now: clock::now(),
        };
        (findings(&seen), true)
    }

    /// Remembers what targets have shown, so that a start does not forget it.
    fn note_certificates(&mut self, handle: &Handle, lookout: &Lookout) {
        for (name, shown) in lookout.shown() {
            let Some(until) = shown.certificate_until else {
                if !self.certificates.contains_key(name) {
                    let noted = StateReader::open(handle.state())
                        .and_then(|mut state| state.read(|db| kept::certificate(db, name)));
                    self.certificates.extend(noted.ok().flatten().map(|until| (name.to_owned(), Timestamp(until))));
                }
                continue;
            };
            if self.certificates.get(name) == Some(&until) {
                continue;
            }
            let of = name.to_owned();
            let noted = handle.ledger().call(move |state| state.commit(|db| kept::set_certificate(db, &of, until.0)));
            if noted.is_ok() {
                self.certificates.insert(name.to_owned(), until);
            }
        }
    }
}

fn unread(need: Need) -> Finding {
    Finding {
        condition: Condition::State,
        subject: need.subject,
        severity: Severity::Critical,
        since: None,
        count: None,
        what: need.what,
        mend: need.mend,
    }
}

/// The journal hears of everything.
fn journal(notice: &Notice) {
    let level = match (notice.event, notice.severity) {
        (Step::Cleared | Step::Test, _) => log::Level::Info,
        (_, Severity::Warning) => log::Level::Warn,
        (_, Severity::Critical) => log::Level::Error,
    };
    let (subject, what, mend) = (notice.subject(), &notice.what, &notice.mend);
    match notice.event {
        Step::Cleared => log::log!(target: JOURNAL, level, "{subject}: it was: {what}"),
        _ => log::log!(target: JOURNAL, level, "{subject}: {what} -> {mend}"),
    }
}
