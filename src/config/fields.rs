//! A section of a file: known keys are taken out one by one; what is left at the end is unknown.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::found::Found;
use crate::config::hint;
use crate::config::problem::{Place, Severity};
use crate::config::tree::{Key, Node, Value};

/// A section. Every key may be written in camelCase or snake_case. Dropping it without [`Fields::done`] would
/// accept unknown keys in silence, so every reader ends with that.
#[must_use]
pub(crate) struct Fields<'a> {
    found: Found<'a>,
    entries: &'a [(Key, Node)],
    known: RefCell<Vec<&'static str>>,
}

/// `retry_policy` and `retryPolicy` are one key.
pub(crate) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' if !out.is_empty() => upper = true,
            _ if upper => {
                out.extend(c.to_uppercase());
                upper = false;
            }
            _ => out.push(c),
        }
    }
    out
}

impl<'a> Fields<'a> {
    /// Opens a section; nothing counts as an empty one.
    pub(crate) fn open(found: &Found<'a>) -> Option<Fields<'a>> {
        let entries: &[(Key, Node)] = match &found.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                found.error(format!("expected a section of `key: value` lines, found {}", other.kind()));
                return None;
            }
        };
        Some(Fields { found: found.clone(), entries, known: RefCell::default() })
    }

    /// The section as a value.
    pub(crate) fn section(&self) -> &Found<'a> {
        &self.found
    }

    /// Takes a key that may be absent; `name` in camelCase. Writing it twice, in two styles, is an error.
    pub(crate) fn take(&self, name: &'static str) -> Option<Found<'a>> {
        self.take_any(&[name])
    }

    /// Takes a key that has several names.
    pub(crate) fn take_any(&self, names: &[&'static str]) -> Option<Found<'a>> {
        self.known.borrow_mut().extend(names);
        let mut hits = self.entries.iter().filter(|(key, _)| names.contains(&camel(&key.name).as_str()));
        let (key, node) = hits.next()?;
        for (again, _) in hits {
            self.note(again.place, &again.name, &format!("is the same key as `{}` above", key.name), None);
        }
        let path = self.found.below(&key.name);
        Some(Found { source: self.found.source, key: path, place: key.place, node })
    }

    /// Takes a key that must be there.
    pub(crate) fn need(&self, name: &'static str) -> Option<Found<'a>> {
        self.need_any(&[name])
    }

    /// Takes a key with several names that must be there.
    pub(crate) fn need_any(&self, names: &[&'static str]) -> Option<Found<'a>> {
        let found = self.take_any(names);
        if found.is_none() {
            let names = names.join("` or `");
            let message = if self.found.key.is_empty() {
                format!("`{names}` is missing")
            } else {
                format!("`{names}` is missing here")
            };
            self.found.source.note(Severity::Error, self.found.node.place, &self.found.key, &message, None);
        }
        found
    }

    /// Text, if there.
    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        self.take(name)?.text().map(str::to_owned)
    }

    /// True or false; false when absent.
    pub(crate) fn flag(&self, name: &'static str) -> bool {
        self.take(name).and_then(|found| found.flag()).unwrap_or_default()
    }

    /// A duration, if there.
    pub(crate) fn duration(&self, name: &'static str) -> Option<Duration> {
        self.take(name)?.duration()
    }

    /// A path, if there.
    pub(crate) fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.take(name)?.path()
    }

    /// A path or a list of paths; none when absent.
    pub(crate) fn paths(&self, name: &'static str) -> Vec<PathBuf> {
        let found = self.take(name).map(|found| found.one_or_many()).unwrap_or_default();
        found.iter().filter_map(Found::path).collect()
    }

    /// Text or a list of texts, if there.
    pub(crate) fn texts(&self, name: &'static str) -> Option<Vec<String>> {
        self.take(name)?.texts()
    }

    fn note(&self, place: Place, name: &str, message: &str, hint: Option<String>) {
        self.found.source.note(Severity::Error, place, &self.found.below(name), message, hint);
    }

    /// Counts keys as known that may not be looked at, when what they belong to is wrong.
    pub(crate) fn know(&self, names: &[&'static str]) {
        self.known.borrow_mut().extend(names);
    }

    /// Leaves the other keys to whoever reads the section as a whole.
    pub(crate) fn leave(self) {}

    /// Reports every key that nobody took.
    pub(crate) fn done(self) {
        let known = self.known.borrow();
        for (key, _) in self.entries {
            if !known.contains(&camel(&key.name).as_str()) {
                self.note(key.place, &key.name, "is no known key", hint::hint(&key.name, known.iter().copied()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_are_one_key() {
        assert_eq!(camel("retry_policy"), "retryPolicy");
        assert_eq!(camel("retryPolicy"), "retryPolicy");
        assert_eq!(camel("_x_"), "_x");
        assert_eq!(camel("max_attempts_per_day"), "maxAttemptsPerDay");
    }
}
