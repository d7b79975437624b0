//! What is taken of an item of a page.

use crate::clock::Timestamp;
use crate::event::{Record, Value};
use crate::rules::expression::{Expression, Scope};
use crate::rules::outcome::Reason;
use crate::rules::pull::cursor;
use crate::rules::verdict::Test;

/// A place in an item, and what is made of the value there.
#[derive(Debug)]
pub struct Pick {
    /// JSON pointer (RFC 6901); on its way a list means its first item that has the rest.
    pub pointer: String,
    /// What is made of it, as an expression over `value`.
    pub then: Option<Expression>,
}

/// What is taken of an item.
#[derive(Debug, Default)]
pub struct Shape {
    /// Where in it the record stands; none = it is the record.
    pub record: Option<String>,
    /// What is put into the record beside its own fields.
    pub fields: Vec<(String, Pick)>,
    /// What the source calls the record.
    pub key: Option<Pick>,
    /// The field of a record that the key is, for deleted ones that have nothing else.
    pub key_field: Option<String>,
    /// Its version.
    pub version: Option<Pick>,
    /// When it was changed last.
    pub updated: Option<Pick>,
    /// It is deleted where one of these holds; none = where the place is true.
    pub deleted: Vec<(Pick, Option<Test>)>,
    /// Only items of which all of these hold count; the others are passed over.
    pub wanted: Vec<(Pick, Test)>,
    /// What is remembered of the record for later requests.
    pub links: Vec<(String, Pick)>,
}

/// An item, taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// See [`Shape::key`].
    pub id: Option<String>,
    /// The record.
    pub body: Record,
    /// See [`Shape::version`].
    pub version: Option<String>,
    /// See [`Shape::updated`].
    pub updated: Option<Timestamp>,
    /// The time as the source wrote it, for requests that repeat it.
    pub written: Option<Value>,
    /// It is deleted.
    pub deleted: bool,
    /// See [`Shape::links`].
    pub links: Vec<(String, String)>,
}

/// The largest item that is taken, in bytes of JSON.
pub const LARGEST: usize = 1 << 20;

/// What stands in place of bytes that are no UTF-8.
const NO_TEXT: char = '\u{fffd}';

/// The value at a pointer; none = there is none, or it is null.
pub fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    let Some(rest) = pointer.strip_prefix('/') else {
        return Some(value).filter(|value| pointer.is_empty() && **value != Value::Null);
    };
    let (name, rest) = match rest.find('/') {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    match value {
        Value::Map(fields) => at(fields.get(&name)?, rest),
        Value::List(items) => match name.parse::<usize>() {
            Ok(index) => at(items.get(index)?, rest),
            Err(_) => items.iter().find_map(|item| at(item, pointer)),
        },
        _ => None,
    }
}

/// All values at a pointer, `*` being every item of a list or object.
pub fn all<'v>(value: &'v Value, pointer: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        found = found
            .into_iter()
            .flat_map(|value| -> Vec<&Value> {
                match (value, name.as_str()) {
                    (Value::List(items), "*") => items.iter().collect(),
                    (Value::Map(fields), "*") => fields.iter().map(|(_, value)| value).collect(),
                    (Value::List(items), index) => {
                        index.parse().ok().and_then(|at: usize| items.get(at)).into_iter().collect()
                    }
                    (Value::Map(fields), name) => fields.get(name).into_iter().collect(),
                    _ => Vec::new(),
                }
            })
            .collect();
    }
    found
}

/// Whether a value says yes.
pub fn holds(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Integer(number) => *number != 0,
        Value::Real(number) => *number != 0.0,
        Value::Text(text) => {
            let text = text.trim();
            !text.is_empty() && !["0", "false", "no", "n", "f"].iter().any(|no| text.eq_ignore_ascii_case(no))
        }
        Value::Null => false,
        _ => true,
    }
}

/// A single value as text: of an element with attributes its own text.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Map(fields) => text(fields.get("#text")?),
        value => value.as_text().map(|text| text.into_owned()).filter(|text| !text.is_empty()),
    }
}

impl Pick {
    /// The value; none = there is none. A failure names the place and never a value.
    pub fn of(&self, item: &Value) -> Result<Option<Value>, Reason> {
        let Some(value) = at(item, &self.pointer) else { return Ok(None) };
        let Some(then) = &self.then else { return Ok(Some(value.clone())) };
        let value = match value {
            Value::Map(fields) => fields.get("#text").unwrap_or(value),
            value => value,
        };
        let scope = Scope { record: [("value", value.clone())].into_iter().collect(), roots: Record::new() };
        let came =
            then.eval(&scope).map_err(|reason| Reason::new("item", format!("{}: {}", self.pointer, reason.text)))?;
        Ok(came.value.filter(|value| *value != Value::Null))
    }

    fn text(&self, item: &Value) -> Result<Option<String>, Reason> {
        let Some(value) = self.of(item)? else { return Ok(None) };
        match text(&value) {
            Some(text) => Ok(Some(text)),
            None if matches!(value, Value::Text(_)) => Ok(None),
            None => Err(Reason::new("item", format!("{} is {}, not a single value", self.pointer, value.kind()))),
        }
    }

    fn fits(&self, item: &Value, test: &Test) -> Result<bool, Reason> {
        let text = self.of(item)?.and_then(|value| text(&value));
        Ok(test.holds(text.as_slice(), ""))
    }
}

impl Shape {
    /// Takes an item apart; none = it is not wanted. `deletions` = it stands where only deleted records do. An error is what is
    /// wrong with this one item.
    pub fn take(&self, item: &Value, deletions: bool) -> Result<Option<Taken>, Reason> {
        for (pick, test) in &self.wanted {
            if !pick.fits(item, test)? {
                return Ok(None);
            }
        }
        let mut deleted = deletions;
        for (pick, test) in &self.deleted {
            deleted |= match test {
                Some(test) => pick.fits(item, test)?,
                None => pick.of(item)?.is_some_and(|value| holds(&value)),
            };
        }
        let id = self.key.as_ref().map(|pick| pick.text(item)).transpose()?.flatten();
        if let (Some(pick), None) = (&self.key, &id) {
            return Err(Reason::new("item", format!("it has no key at {}", pick.pointer)));
        }
        let mut body = match self.record.as_ref().map_or(Some(item), |pointer| at(item, pointer)) {
            Some(Value::Map(fields)) => fields.clone(),
            _ if deleted => Record::new(),
            Some(other) => return Err(Reason::new("item", format!("it is {}, not an object", other.kind()))),
            None => {
                return Err(Reason::new(
                    "item",
                    format!("it has no record at {}", self.record.as_deref().unwrap_or("")),
                ));
            }
        };
        for (name, pick) in &self.fields {
            match pick.of(item)? {
                Some(value) => body.set(name, value),
                None if deleted => {}
                None => body.set(name, Value::Null),
            }
        }
        if let (Some(name), Some(id)) = (&self.key_field, &id)
            && body.get(name).is_none()
        {
            body.set(name, Value::from(id.as_str()));
        }
        let (mut updated, mut written) = (None, None);
        if let Some(pick) = &self.updated {
            written = at(item, &pick.pointer).cloned();
            if let Some(text) = pick.text(item)? {
                let time = cursor::time(&text);
                updated = Some(time.ok_or_else(|| {
                    Reason::new("item", format!("{} is no time in RFC 3339 with an offset", pick.pointer))
                })?);
            }
        }
        let version = self.version.as_ref().map(|pick| pick.text(item)).transpose()?.flatten();
        let mut links = Vec::with_capacity(self.links.len());
        for (name, pick) in &self.links {
            links.extend(pick.text(item)?.map(|text| (name.clone(), text)));
        }
        Ok(Some(Taken { id, body, version, updated, written, deleted, links }))
    }
}

/// Whether a text that was no UTF-8 stands in a value.
pub fn is_broken(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.contains(NO_TEXT),
        Value::List(items) => items.iter().any(is_broken),
        Value::Map(fields) => fields.iter().any(|(name, value)| name.contains(NO_TEXT) || is_broken(value)),
        _ => false,
    }
}
