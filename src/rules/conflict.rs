//! Who wins when a record was changed on both sides.
//!
//! A *base* holds the values at the last agreement. Each field, or group of fields, is compared with it: changed on one side
//! only, that side's value goes to the other; changed on both to the same, they agree; changed on both and different, there is
//! a *conflict*, and the rule of that field decides: [`decide()`]. What no rule decides is held for a person, and only that: other fields
//! of the record go on.
//!
//! Nothing here knows which side asks, in which order the changes arrived, or what time it is, unless that is an argument: the same
//! [`Sides`] give the same [`Verdict`] everywhere. Values are compared in one canonical form ([`same`]).

mod decide;
mod guard;
pub mod same;
mod sides;
mod verdict;
mod weigh;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use decide::decide;
pub use sides::{Base, Resolution, Side, Sides, Span, Take, Times};
pub use verdict::{Because, Decided, Dispute, Doubt, Held, Next, Stand, Verdict, Which, Why, Won, Write, precision};

/// The name by which an order of authority calls the application, besides the name of its office.
pub const HERE: &str = "hms";

/// The rules of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The watched table.
    pub table: Arc<str>,
    /// Fields that are decided together, never mixed. A field stands in one group at most.
    pub groups: Vec<Group>,
    /// Rules by field or group.
    pub rules: Vec<(Arc<str>, Rule)>,
    /// For each field without a rule of its own; none = a person decides.
    pub otherwise: Option<Rule>,
    /// A delete against an update.
    pub delete: DeleteRule,
    /// A query that finds what the changed row must not meet (a double booking); see [`Sides::barred`].
    pub guard: Option<Guard>,
    /// Times closer together than this, or exactly so close, are a tie; default [`Policy::TOLERANCE`].
    pub tolerance: Duration,
    /// What decides where a rule by time finds a time that cannot be trusted; default a person.
    pub untrusted: Rule,
}

/// Fields that are decided together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name that a rule gives.
    pub name: Arc<str>,
    /// Its fields.
    pub fields: Vec<Arc<str>>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What decides.
    pub winner: Winner,
    /// Names in order of authority: a connector, its adapter, the office, or [`HERE`]. Decides by itself for
    /// [`Winner::Authority`], and a tie for the rules by time.
    pub order: Vec<String>,
}

/// What decides a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    /// The side whose first change since the base is earlier.
    EarliestChange,
    /// The side whose last change since the base is later.
    LatestChange,
    /// The application.
    Local,
    /// The outside system.
    Remote,
    /// The first in the rule's order that is one of the two sides.
    Authority,
    /// A person.
    Manual,
}

/// A delete against an update of the same record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeleteRule {
    /// The record is deleted on both sides.
    DeleteWins,
    /// The record stays, and is created again where it was deleted.
    UpdateWins,
    /// A person decides; until then nothing is deleted.
    #[default]
    Manual,
}

/// A query over the application's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// One `SELECT`, with `:column` for the values of the row as it would become. A row found = the change is held.
    pub sql: String,
    /// The columns that it names, without the colon, each once, in order.
    pub parameters: Vec<Arc<str>>,
}

/// What is decided as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// The whole record: a delete against an update.
    Record,
    /// A group of fields, by its name.
    Group(Arc<str>),
    /// One field.
    Field(Arc<str>),
}

impl Unit {
    /// The name of [`Unit::Record`].
    pub const WHOLE: &str = "*";

    /// The name of the group or field, `*` for the whole record: as the log of conflicts and the metric have it.
    pub fn name(&self) -> &str {
        match self {
            Unit::Record => Unit::WHOLE,
            Unit::Group(name) | Unit::Field(name) => name,
        }
    }
}

impl Policy {
    /// When the file does not say.
    pub const TOLERANCE: Duration = Duration::from_secs(5);

    /// The rules of a table for which no file was written: a person decides each conflict.
    pub fn none(table: &str) -> Policy {
        Policy {
            table: table.into(),
            groups: Vec::new(),
            rules: Vec::new(),
            otherwise: None,
            delete: DeleteRule::Manual,
            guard: None,
            tolerance: Policy::TOLERANCE,
            untrusted: Rule::of(Winner::Manual),
        }
    }

    /// With what a field is decided.
    pub fn unit_of(&self, field: &Arc<str>) -> Unit {
        match self.groups.iter().find(|group| group.fields.contains(field)) {
            Some(group) => Unit::Group(Arc::clone(&group.name)),
            None => Unit::Field(Arc::clone(field)),
        }
    }

    /// The rule of a field or group, none = a person decides. [`DeleteRule`] is the one of a whole record.
    pub fn rule_of(&self, unit: &Unit) -> Option<&Rule> {
        let named = self.rules.iter().find(|(name, _)| **name == *unit.name()).map(|(_, rule)| rule);
        named.or(self.otherwise.as_ref()).filter(|_| *unit != Unit::Record)
    }

    /// Whether any of its rules asks when the sides changed.
    pub fn by_time(&self) -> bool {
        self.rules.iter().map(|(_, rule)| rule).chain(&self.otherwise).any(|rule| rule.winner.by_time())
    }

    /// Whether the guard has to be asked before these fields are written into the application's row.
    pub fn guards<'f>(&self, fields: impl IntoIterator<Item = &'f Arc<str>>) -> bool {
        let Some(guard) = &self.guard else { return false };
        fields.into_iter().any(|field| guard.parameters.contains(field))
    }
}

impl Rule {
    /// A rule without an order of authority.
    pub fn of(winner: Winner) -> Rule {
        Rule { winner, order: Vec::new() }
    }
}

/// The words of [`Winner`], as a conflict file has them.
pub const WINNERS: [(&str, Winner); 6] = [
    ("earliest_change", Winner::EarliestChange),
    ("latest_change", Winner::LatestChange),
    ("local", Winner::Local),
    ("remote", Winner::Remote),
    ("authority", Winner::Authority),
    ("manual", Winner::Manual),
];

/// The words of [`DeleteRule`], as a conflict file has them.
pub const DELETES: [(&str, DeleteRule); 3] =
    [("delete_wins", DeleteRule::DeleteWins), ("update_wins", DeleteRule::UpdateWins), ("manual", DeleteRule::Manual)];

impl Winner {
    /// The word of a conflict file.
    pub fn word(self) -> &'static str {
        WINNERS.iter().find(|(_, winner)| *winner == self).map_or("manual", |(word, _)| word)
    }

    /// Whether it asks when the sides changed.
    pub fn by_time(self) -> bool {
        matches!(self, Winner::EarliestChange | Winner::LatestChange)
    }
}

impl DeleteRule {
    /// The word of a conflict file.
    pub fn word(self) -> &'static str {
        DELETES.iter().find(|(_, rule)| *rule == self).map_or("manual", |(word, _)| word)
    }
}
