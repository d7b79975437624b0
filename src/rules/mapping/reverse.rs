//! The way back: from the target's record to the row's columns, for what is pulled.
//!
//! What comes back is a row of which the mapping makes the same record: to read, and then to send, changes nothing at the
//! target. Constants and what is known of the event (`$event.`, `$before.`) are no columns and do not come back.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::path::Root;
use super::plan::{Passage, Turn};
use crate::event::{Record, Value};
use crate::rules::convert::Convert;
use crate::rules::outcome::Reason;

/// A mapping read backwards.
#[derive(Clone, Debug)]
pub struct Reverse {
    /// None = the record as it is.
    ways: Option<Vec<Way>>,
}

/// A source that cannot be had back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotInvertible {
    /// The number (from 0) of its entry.
    pub entry: usize,
    /// The target, as a dotted path.
    pub target: String,
    /// Why, as a sentence that the target's name can stand before; names the source, never a value of a record.
    pub why: String,
}

/// From one target to one column.
#[derive(Clone, Debug)]
struct Way {
    target: Vec<Turn>,
    /// The column, or nothing: every field of the target's object is one.
    column: Option<Arc<str>>,
    /// What `default` stands in for comes back as null.
    unlisted: Option<Value>,
    codes: Option<Codes>,
    convert: Vec<Convert>,
}

/// A code table read backwards.
#[derive(Clone, Debug)]
struct Codes {
    /// Single values by their text.
    by_text: HashMap<String, Value>,
    /// Lists and objects.
    others: Vec<(Value, Value)>,
    /// The code that null stands for.
    null: Option<Value>,
}

impl Reverse {
    /// The way back of these passages; none = the record as it is.
    pub(super) fn of(passages: Option<Vec<Passage<'_>>>) -> Result<Reverse, Vec<NotInvertible>> {
        let Some(passages) = passages else { return Ok(Reverse { ways: None }) };
        let is_column = |passage: &&Passage<'_>| matches!(passage.path.root, Root::Image | Root::Key | Root::After);
        let mut ways: Vec<Way> = Vec::new();
        let mut lost: Vec<(Arc<str>, NotInvertible)> = Vec::new();
        for passage in passages.iter().filter(|passage| !passage.one_way).filter(is_column) {
            let column: Arc<str> = Arc::from(&*passage.path.rest);
            let found = |ways: &[Way]| ways.iter().any(|way| way.column.as_deref().unwrap_or_default() == &*column);
            // One of several targets of a source is enough: the first from which it comes back.
            if found(&ways) {
                continue;
            }
            match Way::back(passage) {
                Ok(way) => {
                    lost.retain(|(known, _)| *known != column);
                    ways.push(way);
                }
                Err(why) => {
                    let target = dotted(&passage.target);
                    lost.push((column, NotInvertible { entry: passage.entry, target, why }));
                }
            }
        }
        match lost.is_empty() {
            true => Ok(Reverse { ways: Some(ways) }),
            false => Err(lost.into_iter().map(|(_, lost)| lost).collect()),
        }
    }

    /// The row's columns of a record of the target's, in the order of the mapping: those that the record has. Null stays
    /// null. A failure's reason has class `mapping` and names the target and the column.
    pub fn apply(&self, record: &Record) -> Result<Record, Reason> {
        let Some(ways) = &self.ways else { return Ok(record.clone()) };
        let mut row = Record::with_capacity(ways.len());
        for way in ways {
            let Some(value) = descend(record, &way.target) else { continue };
            let value = way.value(value)?;
            match (&way.column, value) {
                (Some(column), value) => row.push(Arc::clone(column), value),
                (None, Value::Map(fields)) => fields.into_iter().for_each(|(name, value)| row.set(&name, value)),
                (None, Value::Null) => {}
                (None, _) => return Err(way.failed("is no object, which the whole record is")),
            }
        }
        Ok(row)
    }

    /// The columns that it fills, as the sources are written; none for the record as it is, or when a target holds a whole
    /// record.
    pub fn columns(&self) -> Option<Vec<&str>> {
        self.ways.as_ref()?.iter().map(|way| way.column.as_deref()).collect()
    }

    /// The targets that it reads, as dotted paths, in the same order; none for the record as it is.
    pub fn targets(&self) -> Option<Vec<String>> {
        Some(self.ways.as_ref()?.iter().map(|way| dotted(&way.target)).collect())
    }
}

impl Way {
    /// The way back of one passage; the error says why there is none.
    fn back(passage: &Passage<'_>) -> Result<Way, String> {
        let source = passage.source;
        let codes = match passage.lookup {
            Some(table) => Some(
                Codes::of(table, passage.default.is_some())
                    .map_err(|why| format!("does not say which code of `{source}` it was: its `lookup` makes {why}"))?,
            ),
            None => None,
        };
        let steps = passage.convert.iter().enumerate().rev().map(|(at, convert)| {
            let before = at.checked_sub(1).and_then(|before| passage.convert.get(before));
            convert.inverse(before).ok_or_else(|| {
                format!("does not hold all of `{source}`: nothing undoes the converter `{}`", convert.name())
            })
        });
        Ok(Way {
            target: passage.target.clone(),
            column: (!passage.path.rest.is_empty()).then(|| Arc::from(&*passage.path.rest)),
            unlisted: passage.default.filter(|_| codes.is_some()).cloned(),
            convert: steps.collect::<Result<_, _>>()?,
            codes,
        })
    }

    fn value(&self, value: &Value) -> Result<Value, Reason> {
        let mut value = match &self.codes {
            Some(codes) => match codes.code(value) {
                Some(code) => code.clone(),
                None if *value == Value::Null || self.unlisted.as_ref() == Some(value) => Value::Null,
                None => return Err(self.failed("holds a value that its lookup does not list")),
            },
            None => value.clone(),
        };
        for convert in &self.convert {
            value =
                convert.apply(value).map_err(|reason| self.failed(&format!("does not go back: {}", reason.text)))?;
        }
        Ok(value)
    }

    #[cold]
    fn failed(&self, what: &str) -> Reason {
        let column = match &self.column {
            Some(column) => format!(", for the column `{column}`,"),
            None => String::new(),
        };
        Reason::new("mapping", format!("field `{}`{column} {what}", dotted(&self.target)))
    }
}

impl Codes {
    /// The table backwards. The error says which of its values tells too little.
    fn of(table: &HashMap<String, Value>, defaulted: bool) -> Result<Codes, String> {
        let mut codes = Codes { by_text: HashMap::new(), others: Vec::new(), null: None };
        // In an order of their own, so that the same codes are always named.
        let mut table: Vec<(&String, &Value)> = table.iter().collect();
        table.sort_by_key(|(code, _)| *code);
        for (code, value) in table {
            let code_value = Value::from(code.as_str());
            let known = match (value, value.as_text()) {
                (Value::Null, _) if !defaulted => return Err(format!("null of `{code}`, and of null")),
                (Value::Null, _) => codes.null.replace(code_value),
                (_, Some(text)) => codes.by_text.insert(text.into_owned(), code_value),
                (value, None) => {
                    let known = codes.others.iter().find(|(other, _)| other == value).map(|(_, code)| code.clone());
                    codes.others.push((value.clone(), code_value));
                    known
                }
            };
            if let Some(known) = known {
                let known = known.as_text().map(Cow::into_owned).unwrap_or_default();
                return Err(format!("the same of `{known}` and `{code}`"));
            }
        }
        Ok(codes)
    }

    fn code(&self, value: &Value) -> Option<&Value> {
        match (value, value.as_text()) {
            (Value::Null, _) => self.null.as_ref(),
            (_, Some(text)) => self.by_text.get(&*text),
            (value, None) => self.others.iter().find(|(other, _)| other == value).map(|(_, code)| code),
        }
    }
}

/// The value at a target. What lies inside a null is null; none where there is nothing.
fn descend<'r>(record: &'r Record, target: &[Turn]) -> Option<&'r Value> {
    let (Turn::Field(first), rest) = target.split_first()? else { return None };
    rest.iter().try_fold(record.get(first)?, |value, turn| match (value, turn) {
        (Value::Null, _) => Some(value),
        (Value::Map(inner), Turn::Field(name)) => inner.get(name),
        (Value::List(items), Turn::Item(at)) => items.get(*at),
        _ => None,
    })
}

fn dotted(target: &[Turn]) -> String {
    let names = target.iter().map(|turn| match turn {
        Turn::Field(name) => name.replace('.', r"\."),
        Turn::Item(at) => at.to_string(),
    });
    names.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
#[path = "reverse/tests.rs"]
mod tests;
