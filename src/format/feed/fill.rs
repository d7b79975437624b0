//! What stands in an item or a column that no field of the record gives.

use crate::event::Value;
use crate::format::feed::counting::Counting;
use crate::rules::naming::{Pattern, Place, Stamp, Values};
use crate::rules::outcome::Reason;
use crate::rules::total::Expression;

/// What stands in an item or a column that no field of the record gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Set {
    /// A text with placeholders, `{seq:06}`; or one total alone, `sum(BALANCE)`, which stays a number.
    Pattern(String),
    /// Always this value.
    Constant(Value),
    /// What the line tells the host, by a table of `add`, `change`, `delete`, `message`; an empty table is the words
    /// themselves. A line whose action is not in the table is held. In details only.
    Action(Vec<(String, Value)>),
    /// The number of the line, from 1. In details only.
    Ordinal,
}

impl Set {
    /// By its text: `{action}`, `{ordinal}`, else a pattern.
    pub fn parse(text: &str) -> Set {
        match text.trim() {
            "{action}" => Set::Action(Vec::new()),
            "{ordinal}" => Set::Ordinal,
            _ => Set::Pattern(text.to_owned()),
        }
    }

    /// The value, when it is always the same.
    pub(super) fn constant(&self) -> Option<Value> {
        match self {
            Set::Constant(value) => Some(value.clone()),
            Set::Pattern(text) if !text.contains(['{', '}']) && !is_total(text) => Some(Value::from(text.as_str())),
            Set::Pattern(_) | Set::Action(_) | Set::Ordinal => None,
        }
    }
}

/// Whether a text is one total: a word in lower case with something in parentheses.
fn is_total(text: &str) -> bool {
    let text = text.trim();
    text.split_once('(').is_some_and(|(word, rest)| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()) && rest.ends_with(')')
    })
}

/// A value that is the same in all of a file, compiled.
#[derive(Debug)]
pub(super) enum Fill {
    /// A text, and the places of its totals among those that are counted.
    Text(Pattern, Vec<usize>),
    /// One total.
    Total(usize),
}

/// What a fill is filled with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'g> {
    pub stamp: &'g Stamp,
    pub file: &'g str,
    /// What the totals that are counted came to.
    pub results: &'g [Option<String>],
}

impl Fill {
    pub fn compile(text: &str, counting: &mut Counting) -> Result<Fill, String> {
        if is_total(text) {
            return Expression::parse(text).map(|expression| Fill::Total(counting.add(&expression)));
        }
        let pattern = Pattern::parse(text, Place::Line)?;
        let totals = pattern.totals().iter().map(|expression| counting.add(expression)).collect();
        Ok(Fill::Text(pattern, totals))
    }

    /// The places of the totals that it shows.
    pub fn totals(&self) -> &[usize] {
        match self {
            Fill::Text(_, totals) => totals,
            Fill::Total(total) => std::slice::from_ref(total),
        }
    }

    /// How many things it shows.
    pub fn placeholders(&self) -> usize {
        match self {
            Fill::Text(pattern, _) => pattern.to_string().matches('{').count(),
            Fill::Total(_) => 1,
        }
    }

    /// Bytes of its text as it was written.
    pub fn written(&self) -> usize {
        match self {
            Fill::Text(pattern, _) => pattern.to_string().len(),
            Fill::Total(_) => 0,
        }
    }

    /// Its value; null for the smallest or largest of nothing.
    pub fn value(&self, given: &Given<'_>) -> Result<Value, Reason> {
        match self {
            Fill::Text(..) => self.text(given).map(|text| Value::Text(text.into())),
            Fill::Total(total) => {
                let result = given.results.get(*total).and_then(Option::as_deref);
                Ok(result.map_or(Value::Null, |digits| Value::Number(digits.into())))
            }
        }
    }

    /// Its text.
    pub fn text(&self, given: &Given<'_>) -> Result<String, Reason> {
        let result = |total: &usize| given.results.get(*total).cloned().flatten();
        match self {
            Fill::Text(pattern, totals) => {
                let totals: Vec<_> = totals.iter().map(result).collect();
                let Given { stamp, file, .. } = *given;
                pattern.fill(&Values { stamp, file, sealed: None, totals: &totals })
            }
            Fill::Total(total) => Ok(result(total).unwrap_or_default()),
        }
    }
}
