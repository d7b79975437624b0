//! The filters and tests of expressions: none of them makes much out of little, and none reaches outside.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

use aws_lc_rs::digest;
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, filters, tests as builtin};

use super::guard::TIMES;
use super::scope;
use crate::rules::convert::{Convert, json, uuid};
use crate::rules::escape;

/// Steps that one evaluation may take.
const FUEL: u64 = 10_000;

/// Deepest recursion of one evaluation.
const RECURSION: usize = 64;

/// Longest expression, in bytes.
pub const LONGEST: usize = 65_536;

/// Most names, operators and brackets in an expression: the parser recurses over them, and 800 fit into a thread's
/// stack of 2 MiB even without optimisation.
pub const MOST_TOKENS: usize = 500;

/// The filters that every expression may use.
pub const FILTERS: [(&str, &str); 15] = [
    ("lower", "letters in lower case"),
    ("upper", "letters in upper case"),
    ("trim", "white space at both ends taken off"),
    ("replace", "`replace('a', 'b')`"),
    ("split", "`split(',')`: a list"),
    ("first", "the first character or item"),
    ("last", "the last character or item"),
    ("length", "how many characters or items"),
    ("default", "`default(x)`: x where the name is missing"),
    ("int", "as an integer"),
    ("float", "as a number"),
    ("string", "as text"),
    ("bool", "as a boolean"),
    ("abs", "without its sign"),
    ("round", "`round(2)`"),
];

/// The tests that every expression may use.
pub const TESTS: [&str; 11] = [
    "defined",
    "undefined",
    "none",
    "boolean",
    "number",
    "integer",
    "string",
    "odd",
    "even",
    "startingwith",
    "endingwith",
];

/// The filters that the expressions of adapters have beside [`FILTERS`] and the words of
/// [`crate::rules::convert::catalog`].
pub const MORE: [(&str, &str); 21] = [
    ("convert", "`convert('minutes -> seconds')`, `convert('rfc3339 -> hl7', 'America/New_York')`: any converter"),
    ("lookup", "`lookup({'booked': 'B'})`: by a table; `lookup({...}, 'U')`: 'U' for what is not in it, else held"),
    ("coalesce", "`a | coalesce(b, c)`: the first that is not null"),
    ("join", "`join(', ')`: the items of a list as one text"),
    ("odata", "a text inside an OData literal: quotes doubled"),
    ("soql", "a text inside a SOQL literal: quotes and backslashes escaped"),
    ("url", "percent-encoded, whatever it stands in"),
    ("unpercent", "a text without its percent-encoding; as it is, where that gives no UTF-8"),
    ("xml", "escaped for XML, whatever it stands in; a carriage return as `&#xD;`"),
    ("hl7", "escaped for an HL7 v2 field, whatever it stands in"),
    ("json", "as JSON text"),
    ("elements", "`record | elements('m')`: fields as XML elements `<m:name>`, lists repeated, null left out"),
    ("without", "`record | without('id', 'x')`: the record without these fields"),
    ("with", "`record | with('HMS_Id__c', id)`: the record with this field, in its place or at the end"),
    ("merge", "`record | merge({'a': 1})`: the record with the fields of another, in their place or at the end"),
    ("compact", "a record without its fields that are null"),
    ("sha256bytes", "SHA-256 of the bytes of a text or blob, as bytes"),
    ("base32hex", "the bytes of a text or blob in base32hex without padding (RFC 4648 §7)"),
    ("uuid5", "`uuid5('url')`: a UUID of the text in a name space, `dns`, `url`, `oid` or a UUID (RFC 9562 §5.5)"),
    ("required", "held when it is empty: for a variable that only some records need"),
    ("raw", "as it is, without the escaping of what it stands in"),
];

/// Most bytes that an expression comes to.
pub const MOST_BYTES: usize = 16 << 20;

/// Puts one text in place of another, unless that makes much out of little.
fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let times = text.matches(from).count();
    let grows = times.saturating_mul(to.len().saturating_sub(from.len()));
    if text.len().saturating_add(grows) > MOST_BYTES {
        return Err(Error::new(ErrorKind::BadSerialization, "a text that does not become larger than 16 MiB"));
    }
    Ok(text.replace(from, to))
}

/// With [`FILTERS`] and [`TESTS`] only.
pub fn plain() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    // Only so that errors know their place.
    environment.set_debug(true);
    environment.add_filter(TIMES, |value: Value| match value.kind() {
        ValueKind::String | ValueKind::Bytes | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            Err(refused("numbers on both sides of `*`: `| int`, `| float` or `| number` makes one of a text"))
        }
        _ => Ok(value),
    });
    environment.add_filter("lower", filters::lower);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("replace", replace);
    environment.add_filter("split", filters::split);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("default", filters::default);
    environment.add_filter("int", filters::int);
    environment.add_filter("float", filters::float);
    environment.add_filter("string", filters::string);
    environment.add_filter("bool", filters::bool);
    environment.add_filter("abs", filters::abs);
    environment.add_filter("round", filters::round);
    environment.add_test("defined", builtin::is_defined);
    environment.add_test("undefined", builtin::is_undefined);
    environment.add_test("none", builtin::is_none);
    environment.add_test("boolean", builtin::is_boolean);
    environment.add_test("number", builtin::is_number);
    environment.add_test("integer", builtin::is_integer);
    environment.add_test("string", builtin::is_string);
    environment.add_test("odd", builtin::is_odd);
    environment.add_test("even", builtin::is_even);
    environment.add_test("startingwith", builtin::is_startingwith);
    environment.add_test("endingwith", builtin::is_endingwith);
    environment
}

/// The words of the converters that are filters too, without their arguments; those that
/// stand in the lists above keep the meaning that they have there.
static WORDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let words = crate::rules::convert::words().map(|(word, _)| word.split('(').next().unwrap_or(word));
    words.filter(|word| FILTERS.iter().chain(&MORE).all(|(known, _)| known != word)).collect()
});

/// Every filter of the expressions of adapters.
pub fn known() -> impl Iterator<Item = &'static str> {
    FILTERS.iter().chain(&MORE).map(|(name, _)| *name).chain(WORDS.iter().copied())
}

/// [`plain`], with the converters and escapes that requests need.
pub static FULL: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = plain();
    for word in WORDS.iter() {
        environment.add_filter(*word, move |value: Value, arguments: Rest<Value>| by_word(word, &value, &arguments));
    }
    environment.add_filter("convert", |value: Value, name: &str, zone: Option<&str>| converted(&value, name, zone));
    environment.add_filter("lookup", lookup);
    environment.add_filter("coalesce", |value: Value, others: Rest<Value>| {
        let is_there = |value: &Value| !value.is_undefined() && !value.is_none();
        std::iter::once(value).chain(others.0).find(is_there).unwrap_or_default()
    });
    environment.add_filter("join", |value: Value, between: Option<&str>| -> Result<Value, Error> {
        let items: Vec<String> = value.try_iter()?.map(|item| item.to_string()).collect();
        Ok(Value::from(items.join(between.unwrap_or_default())))
    });
    // A number is its digits: most keys are.
    environment.add_filter("odata", |value: Value| single(&value).map(|text| escape::odata(&text)));
    environment.add_filter("soql", |value: Value| single(&value).map(|text| escape::soql(&text)));
    environment.add_filter("url", |value: Value| safe(&value, |text| Ok(escape::percent(text))));
    environment.add_filter("unpercent", |text: &str| escape::unpercent(text));
    environment.add_filter("xml", |value: Value| safe(&value, escape::xml));
    environment.add_filter("hl7", |value: Value| safe(&value, |text| Ok(escape::hl7(text))));
    environment.add_filter("raw", |value: Value| safe(&value, |text| Ok(text.to_owned())));
    environment.add_filter("without", |value: Value, names: Rest<String>| {
        by_record(&value, |record| names.iter().for_each(|name| drop(record.remove(name))))
    });
    environment.add_filter("with", |value: Value, name: String, field: Value| {
        let field = scope::taken(&field).ok_or_else(|| refused("a value to put in"))?;
        by_record(&value, |record| record.set(&name, field))
    });
    environment.add_filter("merge", |value: Value, other: Value| match scope::taken(&other) {
        Some(crate::event::Value::Map(other)) => {
            by_record(&value, |record| other.into_iter().for_each(|(name, value)| record.set(&name, value)))
        }
        _ => Err(Error::new(ErrorKind::InvalidOperation, "merge wants a record: merge({'a': 1})")),
    });
    environment.add_filter("compact", |value: Value| {
        by_record(&value, |record| {
            let fields = std::mem::take(record).into_iter();
            *record = fields.filter(|(_, value)| *value != crate::event::Value::Null).collect();
        })
    });
    environment.add_filter("sha256bytes", |value: Value| {
        Ok::<Value, Error>(Value::from_bytes(digest::digest(&digest::SHA256, &bytes(&value)?).as_ref().to_vec()))
    });
    environment.add_filter("base32hex", |value: Value| {
        Ok::<Value, Error>(Value::from(data_encoding::BASE32HEX_NOPAD.encode(&bytes(&value)?)))
    });
    environment.add_filter("uuid5", |value: Value, space: &str| uuid5(&single(&value)?, space));
    environment.add_filter("elements", |value: Value, prefix: Option<&str>| {
        let value = scope::taken(&value).ok_or_else(|| refused("a record"))?;
        let text = escape::elements(&value, prefix.unwrap_or_default()).map_err(|wants| refused(&wants))?;
        Ok::<Value, Error>(Value::from_safe_string(text))
    });
    environment.add_filter("required", |value: Value| match value.is_none() || value.as_str() == Some("") {
        true => Err(refused("a value: the connector's `vars` leave it empty")),
        false => Ok(value),
    });
    environment.add_filter("json", |value: Value| {
        let value = scope::taken(&value).ok_or_else(|| refused("a value that JSON can hold"))?;
        let text = json::write(&value).ok_or_else(|| refused("a value that JSON can hold"))?;
        Ok::<Value, Error>(Value::from(text))
    });
    environment
});

/// What a filter wants; it never shows the value.
fn refused(wants: &str) -> Error {
    Error::new(ErrorKind::BadSerialization, wants.to_owned())
}

/// A text that is not escaped again.
fn safe(value: &Value, escape: impl FnOnce(&str) -> Result<String, &'static str>) -> Result<Value, Error> {
    if value.is_none() {
        return Ok(value.clone());
    }
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None if matches!(value.kind(), ValueKind::Number | ValueKind::Bool) => value.to_string(),
        None => return Err(refused("a single value")),
    };
    Ok(Value::from_safe_string(escape(&text).map_err(refused)?))
}

/// A single value as text.
fn single(value: &Value) -> Result<String, Error> {
    let text = scope::taken(value).and_then(|value| value.as_text().map(std::borrow::Cow::into_owned));
    text.ok_or_else(|| refused("a text or a number"))
}

/// A record, changed.
fn by_record(value: &Value, change: impl FnOnce(&mut crate::event::Record)) -> Result<Value, Error> {
    match scope::taken(value) {
        Some(crate::event::Value::Map(mut record)) => {
            change(&mut record);
            Ok(scope::whole(record))
        }
        _ => Err(refused("a record")),
    }
}

/// The bytes of a text or blob.
fn bytes(value: &Value) -> Result<Vec<u8>, Error> {
    match scope::taken(value) {
        Some(crate::event::Value::Blob(bytes)) => Ok(bytes),
        Some(value) => value.as_text().map(|text| text.as_bytes().to_vec()).ok_or_else(|| refused("a text or bytes")),
        None => Err(refused("a text or bytes")),
    }
}

/// A UUID of a text in a name space.
fn uuid5(text: &str, space: &str) -> Result<String, Error> {
    let space = uuid::space(space).map_err(|what| Error::new(ErrorKind::InvalidOperation, what))?;
    Ok(uuid::five(&space, text))
}

fn by_word(word: &str, value: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let name = match arguments {
        [] => word.to_owned(),
        some => {
            // In quotes a text keeps its commas and blanks.
            let quoted = |argument: &Value| match argument.as_str().filter(|text| !text.contains('\'')) {
                Some(text) => format!("'{text}'"),
                None => argument.to_string(),
            };
            format!("{word}({})", some.iter().map(quoted).collect::<Vec<_>>().join(", "))
        }
    };
    converted(value, &name, None)
}

/// Converters that were parsed before: trying out a form of date costs more than to use it.
static PARSED: LazyLock<RwLock<HashMap<String, Arc<Convert>>>> = LazyLock::new(RwLock::default);

/// Most that are kept: a file names few.
const KEPT: usize = 256;

fn parsed(name: &str, zone: Option<&str>) -> Result<Arc<Convert>, String> {
    let key = format!("{name}\n{}", zone.unwrap_or_default());
    if let Some(known) = PARSED.read().ok().and_then(|kept| kept.get(&key).cloned()) {
        return Ok(known);
    }
    let convert = Arc::new(Convert::parse(name, zone)?);
    if let Ok(mut kept) = PARSED.write()
        && kept.len() < KEPT
    {
        kept.insert(key, Arc::clone(&convert));
    }
    Ok(convert)
}

fn converted(value: &Value, name: &str, zone: Option<&str>) -> Result<Value, Error> {
    let convert = parsed(name, zone).map_err(|message| Error::new(ErrorKind::InvalidOperation, message))?;
    let value = scope::taken(value).ok_or_else(|| refused("a value that is there"))?;
    let value = convert.apply(value).map_err(|reason| Error::new(ErrorKind::BadSerialization, reason.text))?;
    Ok(scope::shown(&value, &Arc::default()))
}

fn lookup(value: Value, table: Value, other: Option<Value>) -> Result<Value, Error> {
    if table.kind() != ValueKind::Map {
        return Err(Error::new(ErrorKind::InvalidOperation, "lookup wants a table: lookup({'booked': 'B'})"));
    }
    let by_text = || table.get_item(&Value::from(value.to_string())).ok().filter(|found| !found.is_undefined());
    let found = table.get_item(&value).ok().filter(|found| !found.is_undefined());
    found.or_else(by_text).or(other).ok_or_else(|| refused("a value that its table has"))
}
