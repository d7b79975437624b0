//! What an answer means, by the rules of an adapter's file: the first rule that fits decides.

mod extract;
mod status;

use std::time::Duration;

use regex::Regex;

use crate::clock::Timestamp;
use crate::rules::classify::wait;
use crate::rules::outcome::{Outcome, Reason};

pub use extract::{Extract, Hl7Path, XmlPath, pointer};
pub use status::Statuses;

/// An answer, as far as rules look at it.
pub trait Reading {
    /// HTTP status; 0 where the protocol has none.
    fn status(&self) -> u16;
    /// A header field.
    fn header(&self, name: &str) -> Option<&str>;
    /// What stands at a place, in order; none = the body is too long to be looked at.
    fn read(&self, what: &Extract) -> Option<Vec<String>>;
    /// Why nothing could be found in a body that was looked into; none = it could be read.
    fn flaw(&self) -> Option<Reason> {
        None
    }
}

/// An answer that goes on beyond what is read of it, where the rules need all of it.
pub fn too_long() -> Reason {
    Reason::new("long-answer", "the answer is longer than what is read of it, and the adapter's rules look into it")
}

/// The words of `is`, with what each means.
pub const WORDS: [(&str, Word); 9] = [
    ("success", Word::Success),
    ("success_with_remarks", Word::Remarks),
    ("duplicate", Word::Duplicate),
    ("conflict", Word::Conflict),
    ("retry", Word::Retry),
    ("reauth", Word::Reauth),
    ("reject", Word::Reject),
    ("halt", Word::Halt),
    ("unknown", Word::Unknown),
];

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// The target has it.
    Success,
    /// It has it, and remarks on it.
    Remarks,
    /// It had it already.
    Duplicate,
    /// It holds another version.
    Conflict,
    /// Again later.
    Retry,
    /// The credentials were not accepted.
    Reauth,
    /// This record was refused.
    Reject,
    /// The connector stops.
    Halt,
    /// Nobody knows.
    Unknown,
}

impl Word {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        WORDS.iter().find(|(_, word)| *word == self).map_or("unknown", |(text, _)| text)
    }
}

/// What must hold of the values at a place.
#[derive(Clone, Debug)]
pub enum Test {
    /// One of them is one of these.
    OneOf(Vec<String>),
    /// There are some, and all of them are among these.
    All(Vec<String>),
    /// Whether there is any.
    Exists(bool),
    /// One of them fits.
    Matches(Regex),
    /// One of them holds this text.
    Contains(String),
    /// It does not hold.
    Not(Box<Test>),
    /// One of them is the idempotency key.
    Key,
}

impl Test {
    pub(in crate::rules) fn holds(&self, values: &[String], key: &str) -> bool {
        match self {
            Test::OneOf(these) => values.iter().any(|value| these.contains(value)),
            Test::All(these) => !values.is_empty() && values.iter().all(|value| these.contains(value)),
            Test::Exists(wanted) => values.is_empty() != *wanted,
            Test::Matches(pattern) => values.iter().any(|value| pattern.is_match(value)),
            Test::Contains(text) => values.iter().any(|value| value.contains(text.as_str())),
            Test::Not(test) => !test.holds(values, key),
            Test::Key => values.iter().any(|value| value == key),
        }
    }
}

/// When it is tried again.
#[derive(Clone, Debug)]
pub enum After {
    /// As a header field says (`Retry-After`).
    Header(String),
    /// As a place in the answer says, in seconds.
    Place(Extract),
    /// After this time.
    Time(Duration),
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Statuses; none = any.
    pub status: Option<Statuses>,
    /// What must hold of places in the answer.
    pub tests: Vec<(Extract, Test)>,
    /// What it then is.
    pub is: Word,
    /// When it is tried again.
    pub after: Option<After>,
    /// The target's code for it.
    pub code: Option<Extract>,
    /// The target's words for it.
    pub message: Option<Extract>,
    /// A sentence for people.
    pub note: Option<String>,
}

impl Rule {
    /// Whether it fits every answer.
    pub fn is_always(&self) -> bool {
        self.status.is_none() && self.tests.is_empty()
    }

    /// Whether every answer that fits the other one fits this one too, as far as statuses tell.
    pub fn covers(&self, other: &Rule) -> bool {
        self.tests.is_empty()
            && match (&self.status, &other.status) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(others)) => own.covers(others),
            }
    }
}

/// What an answer came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// In a word.
    pub word: Word,
    /// For the engine.
    pub outcome: Outcome,
}

/// Longest code of a target that is shown.
const CODE: usize = 64;
/// In place of a code that is none.
const NOT_SHOWN: &str = "(not shown)";
/// Longest message of a target that is shown, in characters.
const MESSAGE: usize = 200;

/// What was sent: an answer may echo it.
pub trait Sent {
    /// A target's words without values of the record, in whatever form, and without secrets.
    fn hide(&self, text: &str) -> String;

    /// Whether a target's code is a value of the record, or a secret.
    fn holds(&self, code: &str) -> bool;
}

/// Judges an answer; none = no rule fits. `key` is the idempotency key; `sent` is what it may echo.
pub fn judge(rules: &[Rule], reading: &dyn Reading, key: &str, now: Timestamp, sent: &dyn Sent) -> Option<Verdict> {
    for rule in rules {
        match fits(rule, reading, key) {
            Some(true) => return Some(verdict(rule, reading, now, sent)),
            Some(false) => {}
            None => {
                let outcome = Outcome::Unknown { reason: too_long(), transport: false };
                return Some(Verdict { word: Word::Unknown, outcome });
            }
        }
    }
    None
}

/// None = the answer cannot be looked at so closely.
fn fits(rule: &Rule, reading: &dyn Reading, key: &str) -> Option<bool> {
    if rule.status.as_ref().is_some_and(|statuses| !statuses.has(reading.status())) {
        return Some(false);
    }
    for (place, test) in &rule.tests {
        if !test.holds(&reading.read(place)?, key) {
            return Some(false);
        }
    }
    Some(true)
}

fn verdict(rule: &Rule, reading: &dyn Reading, now: Timestamp, sent: &dyn Sent) -> Verdict {
    let first = |place: &Option<Extract>| reading.read(place.as_ref()?)?.into_iter().find(|text| !text.is_empty());
    let code = first(&rule.code).map(|code| if sent.holds(&code) { NOT_SHOWN.to_owned() } else { plain(&code) });
    let message = first(&rule.message).map(|message| spoken(&sent.hide(&message)));
    let status = reading.status();
    let class = match &code {
        Some(code) if status == 0 => format!("code-{code}"),
        _ if status == 0 => rule.is.as_str().to_owned(),
        _ => format!("http-{status}"),
    };
    let mut text = rule.note.clone().unwrap_or_else(|| in_words(rule.is).to_owned());
    if let Some(code) = code {
        text.push_str(&format!(", code {code}"));
    }
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        text.push_str(&format!(": {message}"));
    }
    let reason = match reading.flaw().filter(|_| rule.is == Word::Unknown) {
        // Of an answer that nobody can read, that is what there is to say.
        Some(flaw) => Reason::new(flaw.class, format!("{text}: {}", flaw.text)),
        None => Reason::new(class, text),
    };
    let after = match &rule.after {
        None => None,
        Some(After::Time(time)) => Some(*time),
        Some(After::Place(place)) => {
            reading.read(place).and_then(|found| found.into_iter().next()).and_then(|text| wait(&text, None, now))
        }
        Some(After::Header(name)) => reading.header(name).and_then(|text| wait(text, reading.header("Date"), now)),
    };
    let outcome = match rule.is {
        Word::Success => Outcome::Success,
        Word::Remarks => Outcome::SuccessWithRemarks(reason),
        Word::Duplicate => Outcome::Duplicate,
        Word::Conflict => Outcome::Conflict(reason),
        Word::Retry => Outcome::Retry { reason, after, transport: false },
        Word::Reauth => Outcome::Reauth(reason),
        Word::Reject => Outcome::Reject(reason),
        Word::Halt => Outcome::Halt(reason),
        Word::Unknown => Outcome::Unknown { reason, transport: false },
    };
    Verdict { word: rule.is, outcome }
}

fn in_words(word: Word) -> &'static str {
    match word {
        Word::Success | Word::Remarks => "taken by the target, which remarks on it",
        Word::Duplicate => "the target had it already",
        Word::Conflict => "the target holds another version of the record",
        Word::Retry => "the target cannot take it now",
        Word::Reauth => "the target does not accept the credentials",
        Word::Reject => "the target refuses this record",
        Word::Halt => "the target or its configuration is wrong for every record",
        Word::Unknown => "the answer says nothing about the record",
    }
}

/// A code as it may be shown: what is no word of a machine is not.
fn plain(code: &str) -> String {
    let code = code.trim();
    let sound = !code.is_empty()
        && code.len() <= CODE
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte));
    if sound { code.to_owned() } else { NOT_SHOWN.to_owned() }
}

/// One line of a message.
fn spoken(message: &str) -> String {
    let line: String = message.chars().map(|char| if char.is_control() { ' ' } else { char }).take(MESSAGE).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "verdict/tests.rs"]
mod tests;
