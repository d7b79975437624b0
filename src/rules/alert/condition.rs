//! What can be wrong, by name.

use serde::{Deserialize, Serialize};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody should look in the next days.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// The word in notices.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// How often something is told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// After an hour and a day, then each day.
    Fast,
    /// Each week; each day once it is critical. For what is known weeks before.
    Slow,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Condition {
    DeadLetters,
    Held,
    Halted,
    Overflowed,
    BreakerOpen,
    Oldest,
    NoDelivery,
    Braked,
    Conflicts,
    DropLate,
    AckOverdue,
    DropTrouble,
    Source,
    Capture,
    DiskLow,
    State,
    Certificate,
    Calendar,
    Clock,
    Audit,
    Agent,
}

impl Condition {
    /// Each with its word, and what it means.
    pub const ALL: [(Condition, &'static str, &'static str); 21] = [
        (Condition::DeadLetters, "dead-letters", "a connector has dead letters"),
        (Condition::Held, "held", "a connector has deliveries that are held: by a mapping, the gate, or a person"),
        (
            Condition::Halted,
            "halted",
            "a connector has halted: its target or its configuration is wrong for every record",
        ),
        (Condition::Overflowed, "overflowed", "a connector fell so far behind that capture goes on without it"),
        (Condition::BreakerOpen, "breaker-open", "an endpoint is down for too long"),
        (
            Condition::Oldest,
            "oldest",
            "an event waits for too long at a connector that runs and whose endpoint answers",
        ),
        (Condition::NoDelivery, "no-delivery", "a connector has delivered nothing for too long"),
        (Condition::Braked, "braked", "deliveries of a record cause its own next change"),
        (Condition::Conflicts, "conflicts", "both sides have changed a record, and a person has to decide"),
        (Condition::DropLate, "drop-late", "a file is not published by its deadline"),
        (Condition::AckOverdue, "ack-overdue", "a file is not answered in time"),
        (Condition::DropTrouble, "drop-trouble", "a file is held, was not verified, or an answer was put aside"),
        (Condition::Source, "source", "an event source is down for too long, or refuses us"),
        (Condition::Capture, "capture", "changes of a table are not captured, or its file cannot be read"),
        (Condition::DiskLow, "disk-low", "a disk has too little room"),
        (Condition::State, "state", "the state file takes nothing or is damaged: nothing is sent"),
        (Condition::Certificate, "certificate", "a certificate ends soon: the target's, ours, or an authority's"),
        (Condition::Calendar, "calendar", "the calendar of a drop ends soon"),
        (Condition::Clock, "clock", "the clock cannot be believed, or a target's clock shows another time"),
        (Condition::Audit, "audit", "the audit trail is broken"),
        (Condition::Agent, "agent", "anything else that the agent meets and needs a person for"),
    ];

    /// The word in notices, in `on:` and in `status`.
    pub fn as_str(self) -> &'static str {
        Condition::ALL.iter().find(|(condition, ..)| *condition == self).map_or("agent", |(_, word, _)| word)
    }

    /// By its word.
    pub fn parse(word: &str) -> Option<Condition> {
        Condition::ALL.iter().find(|(_, known, _)| *known == word).map(|(condition, ..)| *condition)
    }

    /// How often it is told again.
    pub fn pace(self) -> Pace {
        match self {
            Condition::Certificate | Condition::Calendar => Pace::Slow,
            _ => Pace::Fast,
        }
    }

    /// Whether it is one only when it is found at two looks in a row: what the agent mends by itself within moments.
    pub fn must_last(self) -> bool {
        matches!(self, Condition::Capture | Condition::State | Condition::Agent)
    }

    /// Whether a channel with this `on:` is told of it: words, in which `*` stands for anything; none = all.
    pub fn is_wanted(self, on: &[String]) -> bool {
        on.is_empty() || on.iter().any(|pattern| matches(pattern, self.as_str()))
    }
}

/// Whether a word is as a pattern says, in which `*` stands for any letters.
pub fn matches(pattern: &str, word: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == word,
        Some((begin, rest)) => word
            .strip_prefix(begin)
            .is_some_and(|word| (0..=word.len()).filter_map(|at| word.get(at..)).any(|end| matches(rest, end))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_has_one_word_of_its_own() {
        for (at, (condition, word, _)) in Condition::ALL.iter().enumerate() {
            assert_eq!((Condition::parse(word), condition.as_str()), (Some(*condition), *word));
            assert_eq!(*condition as usize, at);
        }
    }

    #[test]
    fn a_channel_hears_what_its_patterns_say_and_everything_without_any() {
        let on = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(Condition::DropLate.is_wanted(&[]));
        assert!(Condition::DropLate.is_wanted(&on(&["oldest", "drop-*"])));
        assert!(Condition::DropLate.is_wanted(&on(&["*late"])) && Condition::DropLate.is_wanted(&on(&["d*-*e"])));
        assert!(!Condition::DropLate.is_wanted(&on(&["drop"])) && !Condition::DropLate.is_wanted(&on(&["*-l"])));
    }
}
