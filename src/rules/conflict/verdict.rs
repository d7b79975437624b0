//! What a decision says.

use std::sync::Arc;

use super::{DeleteRule, Unit, Winner};
use crate::clock::Timestamp;
use crate::event::Record;

/// What is to be done about one record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// What the application's row needs; none = nothing.
    pub to_local: Option<Write>,
    /// What the other side needs, in the application's names; none = nothing.
    pub to_remote: Option<Write>,
    /// The conflicts that were decided. Agreement and changes of one side only are none.
    pub decided: Vec<Decided>,
    /// The conflicts that wait for a person. None of their fields is in a write.
    pub held: Vec<Held>,
    /// What the two sides agree on once both writes are done.
    pub next: Next,
}

/// A write to one side.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The record is not there: these are all the shared fields that it is to have. The key is the caller's to add.
    Insert(Record),
    /// It is there: these fields only.
    Update(Record),
    /// It is to be deleted.
    Delete,
}

/// The base after a verdict was carried out.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Next {
    /// As it was.
    #[default]
    Same,
    /// These values. Of what is written to a side that is what was written; a field that is held has its old value, or none.
    Base {
        /// Held by the application.
        local: Record,
        /// Held by the other side.
        remote: Record,
    },
    /// Neither has the record: there is no base any more. Whoever creates it again begins anew.
    Gone,
}

/// Both sides of a conflict about one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispute {
    /// What it is about.
    pub unit: Unit,
    /// Its fields, in the order of [`super::Sides::fields`]; for a whole record all of them.
    pub fields: Vec<Arc<str>>,
    /// The values last agreed on, of those fields, as the application held them; none = never agreed.
    pub base: Option<Record>,
    /// The application.
    pub local: Stand,
    /// The outside system.
    pub remote: Stand,
}

/// Where one side stands in a dispute.
#[derive(Clone, Debug, PartialEq)]
pub struct Stand {
    /// Its values of the disputed fields; none = it deleted the record.
    pub values: Option<Record>,
    /// Its first change since the base, where known for everything that it changed.
    pub first: Option<Timestamp>,
    /// Its last change.
    pub last: Option<Timestamp>,
    /// The times are the record's: the field itself may have been changed before.
    pub by_record: bool,
    /// SHA-256 of its values in their canonical form ([`super::same::fingerprint`]).
    pub seen: [u8; 32],
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The application.
    Local,
    /// The outside system.
    Remote,
}

impl Which {
    /// `local`, `remote`.
    pub fn word(self) -> &'static str {
        match self {
            Which::Local => "local",
            Which::Remote => "remote",
        }
    }

    /// The other one.
    pub fn other(self) -> Which {
        match self {
            Which::Local => Which::Remote,
            Which::Remote => Which::Local,
        }
    }
}

/// A conflict that is decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// Both sides.
    pub dispute: Dispute,
    /// Whose values both sides get.
    pub winner: Won,
    /// Why.
    pub because: Because,
}

/// Whose values both sides get.
#[derive(Clone, Debug, PartialEq)]
pub enum Won {
    /// One side's; the other's are lost, but for the log of conflicts.
    Side(Which),
    /// Values that a person gave.
    Values(Record),
}

impl Won {
    /// `local`, `remote`, `value`.
    pub fn word(&self) -> &'static str {
        match self {
            Won::Side(which) => which.word(),
            Won::Values(_) => "value",
        }
    }
}

/// Why a conflict was decided so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// By the rule: the times were apart, or the rule names a side.
    Rule(Winner),
    /// The times of this rule were a tie: by its order of authority.
    TieByOrder(Winner),
    /// The times of this rule were a tie: the smaller of the two canonical hashes.
    TieByHash(Winner),
    /// A time could not be trusted: by `times.untrusted`.
    Untrusted {
        /// The rule that asked for times.
        rule: Winner,
        /// What was wrong with them.
        doubt: Doubt,
        /// What decided instead.
        instead: Winner,
    },
    /// A delete against an update, by `delete.vs_update`.
    Delete(DeleteRule),
    /// A person.
    Person,
}

/// What is wrong with a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is missing.
    Missing(Which),
    /// It is in the future by more than the tolerance.
    Future(Which),
    /// The clock that it was read from is not to be believed.
    Clock(Which),
}

/// A conflict that waits for a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Both sides.
    pub dispute: Dispute,
    /// Why nothing decided it.
    pub why: Why,
}

/// Why nothing decided a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The rule says `manual`.
    Manual,
    /// No rule is about it.
    NoRule,
    /// The rule's order names neither side.
    NoAuthority,
    /// A rule by time, and a time that cannot be trusted.
    Untrusted(Winner, Doubt),
    /// A delete against an update, and no rule for that.
    Delete,
    /// The guard query has found a row that the change would meet.
    Guard,
    /// Its contents cross again and again ([`super::Sides::round`]).
    Loop,
}

impl Verdict {
    /// Whether nothing is to be written, logged or remembered.
    pub fn is_quiet(&self) -> bool {
        *self == Verdict::default()
    }

    /// The fields that it writes into the application's row.
    pub fn writes_here(&self) -> impl Iterator<Item = &Arc<str>> {
        let set = match &self.to_local {
            Some(Write::Insert(set) | Write::Update(set)) => Some(set),
            Some(Write::Delete) | None => None,
        };
        set.into_iter().flat_map(|set| set.iter().map(|(name, _)| name))
    }
}

impl Dispute {
    /// See [`precision`].
    pub fn precision(&self) -> &'static str {
        precision(&self.local, &self.remote)
    }
}

/// Which of the times are those of the whole record, in words; empty when both sides know the times of their fields.
pub fn precision(local: &Stand, remote: &Stand) -> &'static str {
    match (local.by_record, remote.by_record) {
        (false, false) => "",
        (false, true) => "the outside system's time is that of the whole record",
        (true, false) => "the application's time is that of the whole record",
        (true, true) => "both times are those of the whole record",
    }
}

impl Because {
    /// The rule's word: one of [`super::WINNERS`] or [`super::DELETES`], or `person`.
    pub fn rule(&self) -> &'static str {
        match self {
            Because::Rule(winner) | Because::TieByOrder(winner) | Because::TieByHash(winner) => winner.word(),
            Because::Untrusted { rule, .. } => rule.word(),
            Because::Delete(rule) => rule.word(),
            Because::Person => "person",
        }
    }

    /// In words, for the log of conflicts; `won` = who has won by it. Never a value.
    pub fn reason(&self, won: &Won) -> String {
        let place = if *won == Won::Side(Which::Local) { "here" } else { "there" };
        match self {
            Because::Rule(Winner::EarliestChange) => format!("it was changed {place} first"),
            Because::Rule(Winner::LatestChange) => format!("it was changed {place} last"),
            Because::Rule(Winner::Authority) => "it comes first in the order of authority".to_owned(),
            Because::Rule(_) => "the rule names this side".to_owned(),
            Because::TieByOrder(_) => "the times are a tie: by the order of authority".to_owned(),
            Because::TieByHash(_) => "the times are a tie: the smaller of the two hashes".to_owned(),
            Because::Untrusted { doubt, instead, .. } => {
                format!("{}: by times.untrusted, {}", doubt.reason(), instead.word())
            }
            Because::Delete(DeleteRule::DeleteWins) => {
                "deleted on one side, changed on the other: a delete wins".to_owned()
            }
            Because::Delete(_) => "deleted on one side, changed on the other: an update wins".to_owned(),
            Because::Person => "a person has decided".to_owned(),
        }
    }
}

impl Doubt {
    /// In words.
    pub fn reason(&self) -> &'static str {
        match self {
            Doubt::Missing(Which::Local) => "when the application changed it is not known",
            Doubt::Missing(Which::Remote) => "the outside system does not say when it changed it",
            Doubt::Future(Which::Local) => "the application's time of change is in the future",
            Doubt::Future(Which::Remote) => "the outside system's time of change is in the future",
            Doubt::Clock(Which::Local) => "this machine's clock cannot be trusted",
            Doubt::Clock(Which::Remote) => "the outside system's clock cannot be trusted",
        }
    }
}

impl Why {
    /// The word of [`Why::Loop`].
    pub const LOOP: &str = "loop";

    /// The rule's word, for the log of conflicts: one of [`super::WINNERS`], `none`, `delete`, `guard` or `loop`.
    pub fn rule(&self) -> &'static str {
        match self {
            Why::Manual => Winner::Manual.word(),
            Why::NoRule => "none",
            Why::NoAuthority => Winner::Authority.word(),
            Why::Untrusted(rule, _) => rule.word(),
            Why::Delete => "delete",
            Why::Guard => "guard",
            Why::Loop => Why::LOOP,
        }
    }

    /// In words, for the log of conflicts. Never a value.
    pub fn reason(&self) -> String {
        match self {
            Why::Manual => "the rule leaves it to a person".to_owned(),
            Why::NoRule => "no rule is about it".to_owned(),
            Why::NoAuthority => "the order of authority names neither side".to_owned(),
            Why::Untrusted(_, doubt) => doubt.reason().to_owned(),
            Why::Delete => "deleted on one side, changed on the other".to_owned(),
            Why::Guard => "the guard query found a row that this change would meet".to_owned(),
            Why::Loop => {
                "its contents cross again and again: two systems each make something else of them, or somebody changes them \
                 back each time"
                    .to_owned()
            }
        }
    }
}
