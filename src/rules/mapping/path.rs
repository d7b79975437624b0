//! Paths into an event: `a.b`, `items.0.code`, `$event.id`, `$key.x`, `$before.x`, `$after.x`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::event::{Event, Record, Value};
use crate::rules::nearest::hint;

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The image that mappings read: after, or before for a delete.
    Image,
    /// `$key.`
    Key,
    /// `$before.`
    Before,
    /// `$after.`
    After,
    /// `$event.`: what is known of the event itself, never of the record.
    Event(Meta),
}

/// What `$event.` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// `id`, as text.
    Id,
    /// `log`
    Log,
    /// `seq`
    Seq,
    /// `type`
    Type,
    /// `op`
    Op,
    /// `at`, RFC 3339 in UTC with milliseconds.
    At,
    /// `origin`, or null.
    Origin,
}

const META: [(&str, Meta); 7] = [
    ("id", Meta::Id),
    ("log", Meta::Log),
    ("seq", Meta::Seq),
    ("type", Meta::Type),
    ("op", Meta::Op),
    ("at", Meta::At),
    ("origin", Meta::Origin),
];

/// What a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'e> {
    /// A value.
    Value(Cow<'e, Value>),
    /// The event has no such image (`$before.` of an insert): as good as null.
    NoImage,
    /// There is no such field.
    Missing,
}

/// A path: its root, and the dotted rest (empty = the whole image or key).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'p> {
    /// Where it begins.
    pub root: Root,
    /// The way from there.
    pub rest: Cow<'p, str>,
}

impl<'p> Path<'p> {
    /// The whole image.
    pub fn whole() -> Path<'static> {
        Path { root: Root::Image, rest: Cow::Borrowed("") }
    }

    /// Reads a path; the error says what is wrong with it.
    pub fn parse(text: &'p str) -> Result<Path<'p>, String> {
        let path = |root, rest| Ok(Path { root, rest: Cow::Borrowed(rest) });
        if text.split('.').any(str::is_empty) {
            return Err(match text {
                "" => "the path is empty".to_owned(),
                _ => format!("`{text}` has an empty part"),
            });
        }
        if !text.starts_with('$') {
            return path(Root::Image, text);
        }
        match text.split_once('.').unwrap_or((text, "")) {
            ("$key", rest) => path(Root::Key, rest),
            ("$before", rest) => path(Root::Before, rest),
            ("$after", rest) => path(Root::After, rest),
            ("$event", name) => match META.into_iter().find(|(known, _)| *known == name) {
                Some((_, meta)) => path(Root::Event(meta), ""),
                None => {
                    let known = META.map(|(known, _)| known);
                    Err(format!("`$event.{name}` is none of {}{}", known.join(", "), hint(name, known)))
                }
            },
            (root, _) => {
                let known = ["$event", "$key", "$before", "$after"];
                Err(format!("`{root}` is none of {}{}", known.join(", "), hint(root, known)))
            }
        }
    }

    /// The same path, on its own.
    pub fn into_owned(self) -> Path<'static> {
        Path { root: self.root, rest: Cow::Owned(self.rest.into_owned()) }
    }

    /// Whether it begins in the image of a row (or its key), not in what is known of the event itself.
    pub fn is_of_row(&self) -> bool {
        !matches!(self.root, Root::Event(_))
    }

    /// Follows the path in an event.
    pub fn find<'e>(&self, event: &'e Event) -> Found<'e> {
        if let Root::Event(meta) = self.root {
            return Found::Value(Cow::Owned(meta.of(event)));
        }
        let Some(record) = self.record(event) else { return Found::NoImage };
        if self.rest.is_empty() {
            return Found::Value(Cow::Owned(Value::Map(record.clone())));
        }
        match descend(record, &self.rest) {
            Some(value) => Found::Value(Cow::Borrowed(value)),
            None => Found::Missing,
        }
    }

    /// The record that the path leads into.
    pub fn record<'e>(&self, event: &'e Event) -> Option<&'e Record> {
        match self.root {
            Root::Image => Some(event.image()),
            Root::Key => Some(&event.key),
            Root::Before => event.before.as_ref(),
            Root::After => event.after.as_ref(),
            Root::Event(_) => None,
        }
    }

    /// The column that the path reads in an event: the longest name of the record that the path begins with, else
    /// its first part. Empty for a whole record and for `$event.`.
    pub fn column(&self, event: &Event) -> &str {
        if !self.rest.contains('.') {
            return &self.rest;
        }
        self.column_in(self.record(event))
    }

    /// As [`Path::column`], in a record.
    pub fn column_in(&self, record: Option<&Record>) -> &str {
        let names = std::iter::once(&*self.rest).chain(prefixes(&self.rest).map(|(name, _)| name));
        let found = record.and_then(|record| names.into_iter().find(|name| record.get(name).is_some()));
        found.unwrap_or_else(|| self.rest.split('.').next().unwrap_or_default())
    }
}

impl Meta {
    fn of(self, event: &Event) -> Value {
        match self {
            Meta::Id => Value::Text(event.id.to_string().into()),
            Meta::Log => Value::Text(Arc::clone(&event.log)),
            Meta::Seq => Value::Integer(event.seq()),
            Meta::Type => Value::Text(Arc::clone(&event.kind)),
            Meta::Op => Value::Text(event.op.as_str().into()),
            Meta::At => Value::Text(event.at.to_string().into()),
            Meta::Origin => event.origin.as_deref().map_or(Value::Null, Value::from),
        }
    }
}

/// The ways to cut a path in two at a dot, the longest first part first.
pub fn prefixes(path: &str) -> impl Iterator<Item = (&str, &str)> {
    path.rmatch_indices('.').filter_map(|(at, _)| Some((path.get(..at)?, path.get(at + 1..)?)))
}

/// The value at a dotted path of a record. A field whose own name has dots is found too; the longest name wins. What
/// lies inside a null is null.
pub fn descend<'r>(record: &'r Record, path: &str) -> Option<&'r Value> {
    record
        .get(path)
        .or_else(|| prefixes(path).find_map(|(name, rest)| record.get(name).and_then(|value| inside(value, rest))))
}

fn inside<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    match value {
        Value::Map(record) => descend(record, path),
        Value::List(items) => match path.split_once('.') {
            Some((index, rest)) => inside(items.get(index.parse::<usize>().ok()?)?, rest),
            None => items.get(path.parse::<usize>().ok()?),
        },
        Value::Null => Some(value),
        _ => None,
    }
}
