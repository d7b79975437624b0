//! A file's text as a tree in which every key and value knows its place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::config::json;
use crate::config::problem::Place;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// A key of a map and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

/// What a file can hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Value {
    /// The word for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Integer(_) => "a whole number",
            Value::Real(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a section",
        }
    }
}

/// The notation of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    Yaml,
    Json,
}

impl Notation {
    /// By extension, failing that by content.
    pub(crate) fn of(extension: Option<&str>, text: &str) -> Notation {
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("json" | "jsonc" | "json5") => Notation::Json,
            Some("yaml" | "yml") => Notation::Yaml,
            _ if text.trim_start().starts_with(['{', '[']) || text.trim_start().starts_with("//") => Notation::Json,
            _ if text.trim_start().starts_with("/*") => Notation::Json,
            _ => Notation::Yaml,
        }
    }
}

/// Why a text is no tree. Holds no excerpt of the text: it may be a secret.
#[derive(Debug, PartialEq)]
pub(crate) struct NoTree {
    pub(crate) place: Place,
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
}

/// What YAML takes for a sign of its own at the beginning of a value.
const SIGNS: [char; 6] = ['!', '*', '&', '@', '`', '%'];
/// Deepest nesting; deeper text is refused before the stack can overflow.
const DEPTH: usize = 48;

/// Reads a text. Duplicate keys, several documents, unknown tags, nesting beyond [`DEPTH`] and alias bombs are refused.
pub(crate) fn parse(text: &str, notation: Notation) -> Result<Node, NoTree> {
    let plain;
    let text = match notation {
        Notation::Yaml => text,
        Notation::Json => {
            plain = json::blank(text);
            // First as JSON, so that what is wrong is said in JSON's words; YAML would accept more.
            serde_json::from_str::<IgnoredAny>(&plain).map_err(|error| bad_json(&error))?;
            &plain
        }
    };
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            flow_nesting_limit: DEPTH,
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        with_snippet: false,
        // yes, no, on, off are texts, as in YAML 1.2: a code table may have a key NO.
        strict_booleans: true,
        reject_unsupported_tags: true,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    };
    let mut tree = serde_saphyr::from_str_with_options(text, options).map_err(|error| bad_yaml(&error, text))?;
    keep_leading_zeros(&mut tree, &text.lines().collect::<Vec<_>>());
    Ok(tree)
}

/// An unquoted 01234 is a code, not a number: the parser would make it the real number 1234.
fn keep_leading_zeros(node: &mut Node, lines: &[&str]) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| keep_leading_zeros(item, lines)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| keep_leading_zeros(value, lines)),
        Value::Real(_) => {
            let (line, column) = (node.place.line.saturating_sub(1), node.place.column.saturating_sub(1));
            let rest = lines.get(line as usize).map(|line| line.chars().skip(column as usize));
            let written: String =
                rest.into_iter().flatten().take_while(|c| c.is_ascii_alphanumeric() || "+-._".contains(*c)).collect();
            let digits = written.trim_start_matches(['+', '-']);
            if digits.len() > 1 && digits.starts_with('0') && !digits.contains('.') {
                node.value = Value::Text(written);
            }
        }
        _ => {}
    }
}

fn bad_json(error: &serde_json::Error) -> NoTree {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    NoTree {
        place: Place { line: line(error.line() as u64), column: line(error.column() as u64).max(1) },
        message: format!("is not valid JSON: {message}"),
        hint: None,
    }
}

fn bad_yaml(error: &serde_saphyr::Error, text: &str) -> NoTree {
    let place = error.location().map(place).unwrap_or_default();
    let message = error.without_snippet().to_string();
    let message = match message.rfind(" at line ") {
        Some(end) => message.get(..end).unwrap_or_default(),
        None => message.trim_start_matches("error: "),
    };
    // A password that begins with ! is a tag to YAML.
    let message = match message {
        tag if tag.starts_with("unsupported tag") => "unsupported tag",
        twice if twice.starts_with("duplicate mapping key") => {
            let key = twice.split([':', ',']).nth(1).unwrap_or_default().trim();
            return NoTree { place, message: format!("the key `{key}` is given twice"), hint: None };
        }
        own if own.starts_with("recursive references") => {
            return NoTree { place, message: "an alias refers to itself".to_owned(), hint: None };
        }
        bomb if bomb.starts_with("alias") && bomb.contains("limit") => {
            return NoTree { place, message: "holds aliases that expand to too much".to_owned(), hint: None };
        }
        many if many.starts_with("multiple YAML documents") => "holds several documents: one file, one document",
        deep if deep.starts_with("recursion limit") => "is nested too deeply",
        other => other,
    };
    let broken = text.lines().nth((place.line.max(1) - 1) as usize).unwrap_or_default();
    // The parser points at the sign itself, behind it, or at the whole value.
    let column = broken.char_indices().nth(place.column.max(1) as usize - 1).map_or(broken.len(), |(at, _)| at);
    let value = broken.split_once(": ").map(|(_, value)| value.trim_start()).unwrap_or_default();
    let here = broken.get(column..).filter(|here| here.starts_with(SIGNS)).unwrap_or(value);
    let hint = if here.starts_with("*/") || here.starts_with("* ") {
        Some("quote the cron expression: \"*/5 * * * *\"")
    } else if here.starts_with(SIGNS) || message == "unsupported tag" {
        Some("quote a text that begins with ! * & @ ` or %")
    } else if broken.trim_start_matches(' ').starts_with('\t') {
        Some("indent with spaces, not with tabs")
    } else {
        None
    };
    NoTree { place, message: message.lines().next().unwrap_or_default().to_owned(), hint }
}

fn line(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn place(location: Location) -> Place {
    Place { line: line(location.line()), column: line(location.column()) }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node { place: place(spanned.defined), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number)
            .map(Value::Integer)
            .map_err(|_| E::custom("a whole number beyond 9223372036854775807: quote it to make it text"))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        // As texts: a code table's keys are 01, 2, true; and `null:` is the key of what stands for null.
        while let Some(key) = entries.next_key::<Spanned<Option<String>>>()? {
            let name = key.value.unwrap_or_else(|| "null".to_owned());
            map.push((Key { place: place(key.defined), name }, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Result<Node, NoTree> {
        parse(text, Notation::Yaml)
    }

    #[test]
    fn every_key_and_value_knows_its_place() {
        let tree = yaml("a: 1\nb:\n  - x: true\n    y: [1.5, ~]\n").unwrap();
        let Value::Map(root) = &tree.value else { panic!() };
        let (key, b) = &root[1];
        assert_eq!((key.name.as_str(), key.place), ("b", Place { line: 2, column: 1 }));
        let Value::List(items) = &b.value else { panic!() };
        let Value::Map(item) = &items[0].value else { panic!() };
        assert_eq!(item[1].0.place, Place { line: 4, column: 5 });
        let Value::List(last) = &item[1].1.value else { panic!() };
        assert_eq!(last[0], Node { place: Place { line: 4, column: 9 }, value: Value::Real(1.5) });
        assert_eq!(last[1].value, Value::Null);
    }

    #[test]
    fn json_and_yaml_give_the_same_values() {
        let json = "{\"a\": [1, -2.5, \"x\\u00e9\\/\\ud83d\\ude00\", true, null], // c\n\t\"b\": {\"c\": \"1\"},}";
        let tree = parse(json, Notation::Json).unwrap();
        let Value::Map(root) = &tree.value else { panic!() };
        let Value::List(a) = &root[0].1.value else { panic!() };
        let values: Vec<&Value> = a.iter().map(|node| &node.value).collect();
        assert_eq!(
            values,
            [&Value::Integer(1), &Value::Real(-2.5), &Value::Text("xé/😀".into()), &Value::Bool(true), &Value::Null]
        );
        assert_eq!(root[1].0.place, Place { line: 2, column: 2 });
    }

    #[test]
    fn words_that_yaml_1_1_took_for_booleans_and_octals_are_texts() {
        let tree = yaml("a: no\nb: on\nc: 01234\n01: x\nno: y\nd: [00, 0.5, 0]").unwrap();
        let Value::Map(root) = &tree.value else { panic!() };
        assert_eq!(root[0].1.value, Value::Text("no".into()));
        assert_eq!(root[1].1.value, Value::Text("on".into()));
        assert_eq!(root[2].1.value, Value::Text("01234".into()));
        assert_eq!((root[3].0.name.as_str(), root[4].0.name.as_str()), ("01", "no"));
        let Value::List(d) = &root[5].1.value else { panic!() };
        let values: Vec<&Value> = d.iter().map(|node| &node.value).collect();
        assert_eq!(values, [&Value::Text("00".into()), &Value::Real(0.5), &Value::Integer(0)]);
    }

    #[test]
    fn bombs_are_refused_quickly() {
        assert!(yaml(&"[".repeat(100_000)).is_err());
        assert!(parse(&("[".repeat(100_000) + &"]".repeat(100_000)), Notation::Json).is_err());
        assert!(yaml(&"- ".repeat(10_000)).is_err());
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let refs = vec![format!("*a{}", level - 1); 9].join(", ");
            bomb += &format!("a{level}: &a{level} [{refs}]\n");
        }
        assert!(yaml(&bomb).is_err());
    }

    #[test]
    fn an_error_shows_no_excerpt_of_the_text() {
        for text in
            ["token: \"hunter2\n", "token: hunter2: x\n", "hunter2\n: [", "a: *hunter2", "{hunter2", "a: !hunter2 b"]
        {
            let error = yaml(text).unwrap_err();
            assert!(!error.message.contains("hunter2"), "{}", error.message);
        }
    }

    #[test]
    fn an_unquoted_cron_expression_gets_a_hint() {
        let error = yaml("a: 1\nschedule: */5 * * * *\n").unwrap_err();
        assert_eq!(error.place.line, 2);
        assert!(error.hint.unwrap().contains("cron"));
    }
}
