//! Alerts: what is wrong now is held against what is remembered, and what follows is told and remembered.

mod find;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::adapter::channel::Channel;
use crate::clock::Timestamp;
use crate::engine::lookout::Lookout;
use crate::format::notice::{Notice, VERSION};
use crate::rules::alert::{Book, Condition, Finding, Severity, Step, judge};
use crate::store::state::alert::{self as kept, Owed};
use crate::store::state::{Db, Sql};

pub use find::{Seen, findings, overdue};

/// Which program says so.
const AGENT: &str = concat!("hms-sync ", env!("CARGO_PKG_VERSION"));

/// A channel, ready to be used.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub name: Arc<str>,
    /// Conditions that it is told of; empty = all.
    pub on: Vec<String>,
    /// The way.
    pub channel: Arc<dyn Channel>,
}

/// What an alert is about that a channel cannot be told.
pub fn subject_of(channel: &str) -> String {
    format!("channel {channel}")
}

/// An alert that is open, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertStatus {
    /// The condition's word.
    pub condition: String,
    /// What it is about.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// How many, where there is something to count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub mend: String,
    /// Since when.
    pub since: String,
    /// When it was opened.
    pub opened: String,
    /// When it was told last.
    pub told: String,
    /// How often it was told.
    pub notices: u32,
}

impl AlertStatus {
    fn new(condition: Condition, subject: &str, book: &Book) -> AlertStatus {
        AlertStatus {
            condition: condition.as_str().to_owned(),
            subject: subject.to_owned(),
            severity: book.severity,
            count: book.count,
            what: book.what.clone(),
            mend: book.mend.clone(),
            since: Timestamp(book.since).to_string(),
            opened: Timestamp(book.opened).to_string(),
            told: Timestamp(book.told).to_string(),
            notices: book.times,
        }
    }
}

/// The alerts that are open, as the state file has them.
pub fn open(db: &Db) -> Sql<Vec<AlertStatus>> {
    let all = kept::all(db)?;
    let open = all.iter().filter(|(_, _, book)| book.cleared.is_none());
    Ok(open.map(|(condition, subject, book)| AlertStatus::new(*condition, subject, book)).collect())
}

/// Everything that is remembered of alerts. It lives in memory as well as in the state file: while that one takes nothing,
/// which is something to be told of, alerts go on.
#[derive(Debug, Default)]
pub struct Register {
    books: BTreeMap<(Condition, String), Book>,
    /// What channels must still be told, by channel and alert.
    owed: BTreeMap<(String, String), Owed>,
    /// What was found at the last look and is no alert before it is found again.
    fresh: BTreeSet<(Condition, String)>,
    last: i64,
    /// Notices up to this number may be told: they are in the state file, or it takes nothing.
    ready: i64,
    /// What the state file does not have yet.
    changes: Changes,
}

/// What is to be written to the state file, all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    books: BTreeMap<(Condition, String), Option<Book>>,
    owed: Vec<Owed>,
    told: Vec<(String, i64)>,
    last: i64,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.books.is_empty() && self.owed.is_empty() && self.told.is_empty()
    }

    /// Writes it.
    pub fn apply(&self, db: &Db) -> Sql<()> {
        for ((condition, subject), book) in &self.books {
            kept::put(db, *condition, subject, book.as_ref())?;
        }
        self.owed.iter().try_for_each(|owed| kept::owe(db, owed))?;
        self.told.iter().try_for_each(|(channel, notice)| kept::told(db, channel, *notice))?;
        kept::set_last(db, self.last)
    }
}

impl Register {
    /// What the state file remembers, for these channels; what others were to be told is forgotten.
    pub fn read(db: &Db, lines: &[Line]) -> Sql<Register> {
        let books = kept::all(db)?.into_iter().map(|(condition, subject, book)| ((condition, subject), book)).collect();
        let last = kept::last(db)?;
        let mut register = Register { books, last, ready: last, ..Register::default() };
        for owed in kept::owed(db)? {
            if lines.iter().any(|line| *line.name == *owed.channel) {
                register.owed.insert((owed.channel.clone(), owed.alert.clone()), owed);
            } else {
                register.changes.told.push((owed.channel, owed.notice));
            }
        }
        Ok(register)
    }

    /// The alerts that are open.
    pub fn open(&self) -> Vec<AlertStatus> {
        let open = self.books.iter().filter(|(_, book)| book.cleared.is_none());
        open.map(|((condition, subject), book)| AlertStatus::new(*condition, subject, book)).collect()
    }

    /// Holds what is found against what is remembered, and gives what is to be told. `unsure` = what could not be looked at,
    /// so that nothing of it is over.
    pub fn look(
        &mut self,
        found: Vec<Finding>,
        unsure: impl Fn(Condition, &str) -> bool,
        lookout: &Lookout,
        lines: &[Line],
        now: Timestamp,
    ) -> Vec<Notice> {
        let mut found: BTreeMap<(Condition, String), Finding> =
            found.into_iter().map(|found| ((found.condition, found.subject.clone()), found)).collect();
        let mut keys: Vec<(Condition, String)> = self.books.keys().chain(found.keys()).cloned().collect();
        keys.sort();
        keys.dedup();
        let mut fresh = std::mem::take(&mut self.fresh);
        let mut notices = Vec::new();
        for key in keys {
            let (condition, subject) = (key.0, key.1.as_str());
            let mut finding = found.remove(&key);
            if finding.is_some() && condition.must_last() && !self.is_open(&key) && !fresh.remove(&key) {
                self.fresh.insert(key.clone());
                finding = None;
            }
            if finding.is_none() && unsure(condition, subject) {
                continue;
            }
            let before = self.books.remove(&key);
            let (after, step) = judge(condition.pace(), before.clone(), finding.as_ref(), &lookout.limits, now);
            if let Some((step, book)) = step.zip(after.as_ref()) {
                let notice = self.notice(condition, subject, book, step, lookout, now);
                self.owe(condition, subject, &notice, lines);
                notices.push(notice);
            }
            if after != before {
                self.changes.books.insert(key.clone(), after.clone());
            }
            if let Some(after) = after {
                self.books.insert(key, after);
            }
        }
        notices
    }

    /// The number of the last notice.
    pub fn last(&self) -> i64 {
        self.last
    }

    fn is_open(&self, key: &(Condition, String)) -> bool {
        self.books.get(key).is_some_and(|book| book.cleared.is_none())
    }

    /// What a channel must still be told, oldest first.
    pub fn owed(&self, channel: &str) -> Vec<&Owed> {
        let of = self.owed.values().filter(|owed| owed.channel == channel && owed.notice <= self.ready);
        let mut owed: Vec<&Owed> = of.collect();
        owed.sort_by_key(|owed| owed.notice);
        owed
    }

    /// A channel has a notice, or is told it no more.
    pub fn told(&mut self, channel: &str, notice: i64) {
        self.owed.retain(|_, owed| owed.channel != channel || owed.notice != notice);
        self.changes.owed.retain(|owed| owed.channel != channel || owed.notice != notice);
        self.changes.told.push((channel.to_owned(), notice));
    }

    /// What the state file does not have yet; taken out. Then comes [`Register::settle`].
    pub fn changes(&mut self) -> Changes {
        self.changes.last = self.last;
        std::mem::take(&mut self.changes)
    }

    /// What was written, or could not be, may be told now.
    pub fn settle(&mut self, refused: Option<Changes>, last: i64) {
        self.ready = self.ready.max(last);
        refused.into_iter().for_each(|changes| self.unwritten(changes));
    }

    /// The state file refused: what has changed since wins.
    fn unwritten(&mut self, changes: Changes) {
        let Changes { mut books, mut owed, mut told, .. } = changes;
        books.append(&mut self.changes.books);
        owed.retain(|old| !self.changes.owed.iter().any(|new| new.channel == old.channel && new.alert == old.alert));
        owed.append(&mut self.changes.owed);
        owed.retain(|owed| !self.changes.told.contains(&(owed.channel.clone(), owed.notice)));
        told.append(&mut self.changes.told);
        self.changes = Changes { books, owed, told, last: 0 };
    }

    fn notice(
        &mut self,
        condition: Condition,
        subject: &str,
        book: &Book,
        step: Step,
        lookout: &Lookout,
        now: Timestamp,
    ) -> Notice {
        self.last += 1;
        let (office, word) = (&lookout.office, condition.as_str());
        Notice {
            version: VERSION,
            id: format!("{office}-{}-{}", self.last, book.opened),
            alert: format!("{office}/{word}/{subject}/{}", book.opened),
            event: step,
            condition: word.to_owned(),
            severity: book.severity,
            office: office.clone(),
            subject: subject.to_owned(),
            count: book.count,
            what: book.what.clone(),
            mend: book.mend.clone(),
            since: Timestamp(book.since).to_string(),
            opened: Timestamp(book.opened).to_string(),
            at: now.to_string(),
            nth: if step == Step::Cleared { book.times.saturating_add(1) } else { book.times },
            agent: AGENT.to_owned(),
        }
    }

    /// Owes a notice to who wants it, in place of what they were not told yet of the same alert. Who has not heard of its
    /// opening hears of that first, with what is known now.
    fn owe(&mut self, condition: Condition, subject: &str, notice: &Notice, lines: &[Line]) {
        let alert = format!("{} {subject}", condition.as_str());
        let wanting = lines.iter().filter(|line| condition.is_wanted(&line.on));
        // That a channel fails is for the others.
        for line in wanting.filter(|line| subject_of(&line.name) != subject) {
            let key = (line.name.to_string(), alert.clone());
            let unheard = self.owed.get(&key).and_then(|old| serde_json::from_str::<Notice>(&old.body).ok());
            let unheard = unheard.is_some_and(|old| old.event == Step::Opened && old.alert == notice.alert);
            let event = if unheard && notice.event == Step::Reminded { Step::Opened } else { notice.event };
            let body = Notice { event, ..notice.clone() }.json();
            let owed = Owed { channel: key.0.clone(), alert: alert.clone(), notice: self.last, body };
            self.changes.owed.retain(|old| old.channel != owed.channel || old.alert != owed.alert);
            self.changes.owed.push(owed.clone());
            self.owed.insert(key, owed);
        }
    }
}

/// A notice that tries a channel.
pub fn test(office: &str, now: Timestamp) -> Notice {
    let at = now.to_string();
    Notice {
        version: VERSION,
        id: format!("{office}-test-{}", now.0),
        alert: format!("{office}/test/{}", now.0),
        event: Step::Test,
        condition: "test".to_owned(),
        severity: Severity::Warning,
        office: office.to_owned(),
        subject: "hms-sync alerts test".to_owned(),
        count: None,
        what: "somebody tries this channel; nothing is wrong".to_owned(),
        mend: "nothing".to_owned(),
        since: at.clone(),
        opened: at.clone(),
        at,
        nth: 1,
        agent: AGENT.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "alarm/tests.rs"]
mod tests;
