//! A value that was found in a file, and its conversions. What does not fit is noted, and the reader goes on.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::fields::Fields;
use crate::config::hint;
use crate::config::problem::{Place, Severity};
use crate::config::source::{Source, Unread};
use crate::config::tree::{Node, Value};
use crate::event;

/// A value with its key and place.
#[derive(Clone)]
pub(crate) struct Found<'a> {
    pub(crate) source: &'a Source,
    /// Path of the key: `endpoint.url`, `mapping[2].to`.
    pub(crate) key: String,
    /// Where the key stands; for an item of a list, the item.
    pub(crate) place: Place,
    pub(crate) node: &'a Node,
}

impl<'a> Found<'a> {
    /// Notes an error at the value.
    pub(crate) fn error(&self, message: impl AsRef<str>) {
        self.source.note(Severity::Error, self.node.place, &self.key, message.as_ref(), None);
    }

    /// Notes an error at the first text below that holds these words; at the value where none does.
    pub(crate) fn error_where(&self, words: &str, message: impl AsRef<str>, hint: Option<&str>) {
        fn spot(node: &Node, words: &str) -> Option<Place> {
            match &node.value {
                Value::Text(text) => text.contains(words).then_some(node.place),
                Value::List(items) => items.iter().find_map(|item| spot(item, words)),
                Value::Map(fields) => fields.iter().find_map(|(_, node)| spot(node, words)),
                _ => None,
            }
        }
        let place = spot(self.node, words).unwrap_or(self.node.place);
        self.source.note(Severity::Error, place, &self.key, message.as_ref(), hint.map(str::to_owned));
    }

    /// Notes an error at the value, with a way out.
    pub(crate) fn error_hint(&self, message: impl AsRef<str>, hint: impl Into<String>) {
        self.source.note(Severity::Error, self.node.place, &self.key, message.as_ref(), Some(hint.into()));
    }

    /// Notes at the value that the file which it names cannot be read.
    pub(crate) fn unread(&self, unread: &Unread) {
        self.source.unread(self.node.place, &self.key, unread);
    }

    /// Notes a warning at the value.
    pub(crate) fn warn(&self, message: impl AsRef<str>, hint: Option<&str>) {
        self.source.note(Severity::Warning, self.node.place, &self.key, message.as_ref(), hint.map(str::to_owned));
    }

    /// Notes an unknown word, with the nearest known one.
    pub(crate) fn unknown<'k>(&self, what: &str, word: &str, known: impl IntoIterator<Item = &'k str>) {
        let hint = hint::hint(word, known);
        self.source.note(Severity::Error, self.node.place, &self.key, &format!("there is no {what} `{word}`"), hint);
    }

    fn wrong(&self, expected: &str) {
        let hint = match self.node.value {
            Value::Null => Some("leave the key out or give it a value"),
            Value::Integer(_) | Value::Real(_) | Value::Bool(_) if expected.starts_with("text") => {
                Some("quote it to make it text")
            }
            _ => None,
        };
        let message = format!("expected {expected}, found {}", self.node.value.kind());
        self.source.note(Severity::Error, self.node.place, &self.key, &message, hint.map(str::to_owned));
    }

    /// Text that is not empty.
    pub(crate) fn text(&self) -> Option<&'a str> {
        self.word_of("text")
    }

    /// Text of a kind that the message names.
    fn word_of(&self, expected: &str) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) if text.is_empty() => {
                self.error("is empty");
                None
            }
            Value::Text(text) => Some(text),
            _ => {
                self.wrong(expected);
                None
            }
        }
    }

    /// Text that may be empty.
    pub(crate) fn text_or_nothing(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => self.text(),
        }
    }

    /// The text, if it is one; nothing is noted if not.
    pub(crate) fn node_text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A word, which may look like a number: a code page.
    pub(crate) fn word(&self) -> Option<String> {
        match self.node.value {
            Value::Integer(number) => Some(number.to_string()),
            _ => self.text().map(str::to_owned),
        }
    }

    /// What a text means.
    pub(crate) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        parse(&self.word()?).map_err(|message| self.error(message)).ok()
    }

    /// True or false.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(flag) => Some(flag),
            _ => {
                self.wrong("true or false");
                None
            }
        }
    }

    /// A whole number in a range.
    pub(crate) fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        match self.node.value {
            Value::Integer(number) if range.contains(&number) => Some(number),
            Value::Integer(number) => {
                self.error(format!("{number} is not between {} and {}", range.start(), range.end()));
                None
            }
            _ => {
                self.wrong("a whole number");
                None
            }
        }
    }

    /// A length of time longer than nothing: `90s`, `2m`, `1h30m`, `7d`, `6y` (days have 24 hours, years 365 days).
    pub(crate) fn duration(&self) -> Option<Duration> {
        let text = self.word_of("a duration such as 90s, 2m, 1h30m or 7d")?;
        let length = span(text);
        if length.is_none() {
            self.error_hint(
                format!("`{text}` is not a duration longer than nothing"),
                "write for example 90s, 2m, 1h30m or 7d",
            );
        }
        length
    }

    /// A number of bytes: 1048576, `64KiB`, `1MB`, `2GiB`.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let size = match &self.node.value {
            Value::Integer(number) => u64::try_from(*number).ok().filter(|number| *number > 0),
            Value::Text(text) => size(text),
            _ => {
                self.wrong("a size such as 512KiB, 1MB or 2GiB");
                return None;
            }
        };
        if size.is_none() {
            self.error_hint("is not a size", "write for example 512KiB, 1MB or 2GiB");
        }
        size
    }

    /// A path; a relative one starts at the file's folder.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        Some(self.source.folder.join(self.word_of("text (a path)")?))
    }

    /// One of a few words, in any case and with any separators.
    pub(crate) fn choice<T: Copy>(&self, what: &str, words: &[(&str, T)]) -> Option<T> {
        let word = self.word_of("text")?;
        let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
        let found = words.iter().find(|(known, _)| plain(known) == plain(word));
        if found.is_none() {
            self.unknown(what, word, words.iter().map(|(known, _)| *known));
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Option<Vec<Found<'a>>> {
        match &self.node.value {
            Value::List(items) => Some(items.iter().enumerate().map(|(at, node)| self.item(at, node)).collect()),
            _ => {
                self.wrong("a list");
                None
            }
        }
    }

    /// The items of a list, or the one value as a list of one.
    pub(crate) fn one_or_many(&self) -> Vec<Found<'a>> {
        match &self.node.value {
            Value::List(items) => items.iter().enumerate().map(|(at, node)| self.item(at, node)).collect(),
            _ => vec![self.clone()],
        }
    }

    /// Text or a list of texts, at least one.
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        if !self.is_list() && !self.is_text() {
            self.wrong("text or a list of texts");
            return None;
        }
        let items = self.one_or_many();
        if items.is_empty() {
            self.error_hint("is an empty list", "leave the key out");
            return None;
        }
        let texts: Vec<String> = items.iter().filter_map(|item| item.text().map(str::to_owned)).collect();
        (texts.len() == items.len()).then_some(texts)
    }

    fn item(&self, at: usize, node: &'a Node) -> Found<'a> {
        Found { source: self.source, key: format!("{}[{at}]", self.key), place: node.place, node }
    }

    /// The entries of a map whose keys are the user's own names. Nothing = an empty map.
    pub(crate) fn entries(&self) -> Option<Vec<(&'a str, Found<'a>)>> {
        match &self.node.value {
            Value::Map(entries) => Some(
                entries
                    .iter()
                    .map(|(key, node)| {
                        let path = self.below(&key.name);
                        (key.name.as_str(), Found { source: self.source, key: path, place: key.place, node })
                    })
                    .collect(),
            ),
            Value::Null => Some(Vec::new()),
            _ => {
                self.wrong("a section of `name: value` lines");
                None
            }
        }
    }

    /// The entries of a map; nothing is noted when it is none.
    pub(crate) fn entries_quietly(&self) -> Vec<(&'a str, Found<'a>)> {
        if self.is_section() { self.entries().unwrap_or_default() } else { Vec::new() }
    }

    /// A section with known keys.
    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        Fields::open(self)
    }

    /// The path of a key below this one.
    pub(crate) fn below(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    /// Whether this is a text.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.node.value, Value::Text(_))
    }

    /// Whether this is a section.
    pub(crate) fn is_section(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// Whether this is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// A constant of a mapping, as it goes into a record.
    pub(crate) fn constant(&self) -> Option<event::Value> {
        if let Value::Real(number) = self.node.value
            && number.fract() == 0.0
            && number.abs() >= 9_007_199_254_740_992.0
        {
            self.error_hint("is too large to be kept exactly as a number", "quote it to send text");
            return None;
        }
        Some(constant(self.node))
    }
}

fn constant(node: &Node) -> event::Value {
    match &node.value {
        Value::Null => event::Value::Null,
        Value::Bool(flag) => event::Value::Bool(*flag),
        Value::Integer(number) => event::Value::Integer(*number),
        Value::Real(number) => event::Value::Real(*number),
        Value::Text(text) => event::Value::Text(text.as_str().into()),
        Value::List(items) => event::Value::List(items.iter().map(constant).collect()),
        Value::Map(entries) => {
            event::Value::Map(entries.iter().map(|(key, node)| (key.name.as_str(), constant(node))).collect())
        }
    }
}

fn span(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    let years = span.get_years();
    let rest = span.try_years(0).ok()?.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    let years = Duration::from_secs(u64::try_from(years).ok()? * 365 * 86_400);
    let length = years.checked_add(Duration::try_from(rest).ok()?)?;
    (!length.is_zero()).then_some(length)
}

fn size(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_and_nonsense_is_refused() {
        let second = Duration::from_secs;
        let good =
            [("90s", 90), ("2m", 120), ("1h30m", 5_400), ("7d", 604_800), ("6y", 6 * 365 * 86_400), ("2w", 1_209_600)];
        for (text, seconds) in good {
            assert_eq!(span(text), Some(second(seconds)), "{text}");
        }
        assert_eq!(span("250ms"), Some(Duration::from_millis(250)));
        for bad in ["", "2", "0s", "-2m", "2 parsecs", "1mo", "m", "99999999999y"] {
            assert_eq!(span(bad), None, "{bad}");
        }
        assert_eq!((size("64KiB"), size("1 MB"), size("12")), (Some(65_536), Some(1_000_000), Some(12)));
        for bad in ["", "0", "MB", "1.5MB", "-1", "1 parsec", "99999999999GiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
