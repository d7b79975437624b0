//! Values of a row for the items of a record.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::event::{Record, Value};
use crate::format::feed::fixed::line::same;
use crate::format::fixed::Slot;
use crate::format::json;

use super::Pick;

/// A field of the records.
#[derive(Debug)]
pub(super) struct Field {
    name: String,
    /// By the name of an item: letter case does not count, and `-` is `_`.
    loose: bool,
    /// Where it was found last: records of one table have it there again.
    place: AtomicUsize,
}

impl Field {
    pub fn named(name: &str) -> Field {
        Field { name: name.to_owned(), loose: false, place: AtomicUsize::new(usize::MAX) }
    }

    /// That of an item.
    pub fn like(item: &str) -> Field {
        Field { loose: true, ..Field::named(item) }
    }

    /// Its value; none when the record does not have it.
    pub fn find<'r>(&self, record: &'r Record) -> Option<&'r Value> {
        let guess = self.place.load(Ordering::Relaxed);
        let found = match self.loose {
            true => record.find(guess, |name| alike(name, &self.name)),
            false => record.find(guess, |name| name == self.name),
        };
        match found {
            Some((at, value)) => {
                if at != guess {
                    self.place.store(at, Ordering::Relaxed);
                }
                Some(value)
            }
            None if self.loose => None,
            None => path(record, &self.name),
        }
    }
}

/// Whether a field is that of an item: letter case does not count, and `-` is `_`.
pub(super) fn alike(field: &str, item: &str) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    field.len() == item.len() && field.bytes().map(plain).eq(item.bytes().map(plain))
}

/// A field by its name, or by a path with dots into objects.
pub(super) fn path<'r>(record: &'r Record, name: &str) -> Option<&'r Value> {
    if let Some(value) = record.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    match record.get(first)? {
        Value::Map(inner) => path(inner, rest),
        Value::Null => Some(&Value::Null),
        _ => None,
    }
}

/// The occurrences of a table, in the order of its items. None when a field is not in the record.
pub(super) fn table(pick: &Pick, slot: &Slot, record: &Record) -> Option<Value> {
    match pick {
        Pick::Field(name) => Some(match path(record, name)? {
            Value::Text(text) => {
                json::decode(text.as_bytes()).map_or(Value::Text(text.clone()), |list| ordered(list, slot))
            }
            value => ordered(value.clone(), slot),
        }),
        Pick::List(picks) => {
            let mut items = Vec::with_capacity(picks.len());
            for pick in picks {
                items.push(occurrence(pick, slot, record)?);
            }
            let filled = items.iter().rposition(|item| !is_null(item)).map_or(0, |last| last + 1);
            items.truncate(filled);
            Some(Value::List(items))
        }
        Pick::Items(_) => occurrence(pick, slot, record).map(|only| Value::List(vec![only])),
    }
}

fn occurrence(pick: &Pick, slot: &Slot, record: &Record) -> Option<Value> {
    match pick {
        Pick::Field(name) => path(record, name).map(|value| rows(value.clone(), slot)),
        Pick::Items(items) => {
            let inner = slot.inner().iter().map(|slot| {
                let own = items.iter().find(|(name, _)| same(&slot.name, name));
                match own {
                    None => Some(Value::Null),
                    Some((_, Pick::Field(name))) if !slot.is_table() => path(record, name).cloned(),
                    Some((_, pick)) => table(pick, slot, record),
                }
            });
            inner.collect::<Option<Vec<Value>>>().map(Value::List)
        }
        Pick::List(_) => table(pick, slot, record),
    }
}

/// A list as it came, its objects as lists in the order of the items.
fn ordered(value: Value, slot: &Slot) -> Value {
    match value {
        Value::List(items) => Value::List(items.into_iter().map(|item| rows(item, slot)).collect()),
        other => other,
    }
}

fn rows(value: Value, slot: &Slot) -> Value {
    match value {
        Value::Map(object) if !slot.inner().is_empty() => {
            let inner = slot.inner().iter().map(|slot| {
                let name = slot.name.split(' ').next().unwrap_or_default();
                let found = object.find(usize::MAX, |field| alike(field, name)).map(|(_, value)| value.clone());
                match found {
                    Some(value) if slot.is_table() => ordered(value, slot),
                    Some(value) => value,
                    None => Value::Null,
                }
            });
            Value::List(inner.collect())
        }
        other => other,
    }
}

fn is_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::List(items) => items.iter().all(is_null),
        _ => false,
    }
}
