//! What is taken of an item of a page.

use crate::clock::Timestamp;
use crate::event::{Record, Value};
use crate::rules::expression::{Escape, Expression, Scope, Text};
use crate::rules::outcome::Reason;
use crate::rules::pull::cursor;
use crate::rules::verdict::Test;

/// A place in an item, and what is made of the value there.
#[derive(Debug)]
pub struct Pick {
    /// JSON pointer (RFC 6901), in which variables may stand; on its way a list means its first item that has the rest.
    pub at: Text,
    /// Of a list, the item in which a pointer's value is a text, and the pointer of what is meant of it.
    pub choice: Option<(String, Text, String)>,
    /// What is made of it, as an expression over `value`.
    pub then: Option<Expression>,
}

/// What is taken of an item.
#[derive(Debug, Default)]
pub struct Shape {
    /// Where in it the record stands; none = it is the record, unless `fields` says what the record has.
    pub record: Option<String>,
    /// What is put into the record.
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
    /// The value; none = there is none. A failure names the place and never a value. `roots` = the variables.
    pub fn of(&self, item: &Value, roots: &Record) -> Result<Option<Value>, Reason> {
        let place = self.place(roots)?;
        let found = match &self.choice {
            None => at(item, &place),
            Some((field, wanted, take)) => {
                let scope = Scope { record: Record::new(), roots: roots.clone() };
                let wanted = wanted.write(&scope, Escape::Plain)?;
                let list = at(item, &place);
                let items: &[Value] = match list {
                    Some(Value::List(items)) => items,
                    Some(one) => std::slice::from_ref(one),
                    None => &[],
                };
                let fits = |one: &&Value| at(one, field).and_then(text).is_some_and(|text| text == wanted);
                items.iter().find(fits).and_then(|one| at(one, take))
            }
        };
        let Some(value) = found else { return Ok(None) };
        let Some(then) = &self.then else { return Ok(Some(value.clone())) };
        let value = match value {
            Value::Map(fields) => fields.get("#text").unwrap_or(value),
            value => value,
        };
        let scope = Scope { record: [("value", value.clone())].into_iter().collect(), roots: roots.clone() };
        let came = then.eval(&scope).map_err(|reason| Reason::new("item", format!("{place}: {}", reason.text)))?;
        Ok(came.value.filter(|value| *value != Value::Null))
    }

    /// The pointer, with its variables filled in.
    pub fn place(&self, roots: &Record) -> Result<String, Reason> {
        if let Some(plain) = self.at.literal() {
            return Ok(plain.to_owned());
        }
        self.at.write(&Scope { record: Record::new(), roots: roots.clone() }, Escape::Plain)
    }

    fn text(&self, item: &Value, roots: &Record) -> Result<Option<String>, Reason> {
        let Some(value) = self.of(item, roots)? else { return Ok(None) };
        match text(&value) {
            Some(text) => Ok(Some(text)),
            None if matches!(value, Value::Text(_)) => Ok(None),
            None => {
                let place = self.place(roots)?;
                Err(Reason::new("item", format!("{place} is {}, not a single value", value.kind())))
            }
        }
    }

    /// What is there without a text of its own counts as an empty one.
    fn fits(&self, item: &Value, test: &Test, roots: &Record) -> Result<bool, Reason> {
        let text = self.of(item, roots)?.map(|value| text(&value).unwrap_or_default());
        Ok(test.holds(text.as_slice(), ""))
    }
}

impl Shape {
    /// What the source calls an item, as far as that can be read. `roots` = the variables.
    pub fn name(&self, item: &Value, roots: &Record) -> Option<String> {
        self.key.as_ref().and_then(|pick| pick.text(item, roots).ok().flatten())
    }

    /// Whether the records that it makes have a field: none = that stands in the items themselves. `roots` = the variables.
    pub fn gives(&self, name: &str, roots: &Record) -> Option<bool> {
        if let Some((_, pick)) = self.fields.iter().find(|(known, _)| known == name) {
            // What is called nothing is nowhere.
            return Some(pick.place(roots).is_ok_and(|place| !place.ends_with('/')));
        }
        if self.key_field.as_deref() == Some(name) {
            return Some(true);
        }
        (self.record.is_none() && !self.fields.is_empty()).then_some(false)
    }

    /// Takes an item apart; none = it is not wanted. `deletions` = it stands where only deleted records do. An error is what is
    /// wrong with this one item. `roots` = the variables.
    pub fn take(&self, item: &Value, deletions: bool, roots: &Record) -> Result<Option<Taken>, Reason> {
        for (pick, test) in &self.wanted {
            if !pick.fits(item, test, roots)? {
                return Ok(None);
            }
        }
        // Where only deleted records stand, an item is one, unless it can say otherwise.
        let mut deleted = deletions && self.deleted.is_empty();
        for (pick, test) in &self.deleted {
            deleted |= match test {
                Some(test) => pick.fits(item, test, roots)?,
                None => pick.of(item, roots)?.is_some_and(|value| holds(&value)),
            };
        }
        let id = self.key.as_ref().map(|pick| pick.text(item, roots)).transpose()?.flatten();
        if let (Some(pick), None) = (&self.key, &id) {
            return Err(Reason::new("item", format!("it has no key at {}", pick.place(roots)?)));
        }
        let found = match &self.record {
            Some(pointer) => at(item, pointer),
            None if self.fields.is_empty() => Some(item),
            // What is said field by field is all of it.
            None => None,
        };
        let mut body = match found {
            Some(Value::Map(fields)) => fields.clone(),
            None if self.record.is_none() => Record::new(),
            _ if deleted => Record::new(),
            Some(other) => return Err(Reason::new("item", format!("it is {}, not an object", other.kind()))),
            None => {
                let place = self.record.as_deref().unwrap_or_default();
                return Err(Reason::new("item", format!("it has no record at {place}")));
            }
        };
        for (name, pick) in &self.fields {
            match pick.of(item, roots)? {
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
            let place = pick.place(roots)?;
            written = at(item, &place).cloned();
            if let Some(text) = pick.text(item, roots)? {
                let time = cursor::time(&text);
                updated =
                    Some(time.ok_or_else(|| {
                        Reason::new("item", format!("{place} is no time in RFC 3339 with an offset"))
                    })?);
            }
        }
        let version = self.version.as_ref().map(|pick| pick.text(item, roots)).transpose()?.flatten();
        let mut links = Vec::with_capacity(self.links.len());
        for (name, pick) in &self.links {
            links.extend(pick.text(item, roots)?.map(|text| (name.clone(), text)));
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
