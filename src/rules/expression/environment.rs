//! The filters and tests of expressions: none of them makes much out of little, and none reaches outside.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest;
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, filters, tests as builtin};

use super::scope;
use crate::rules::convert::Convert;
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
pub const MORE: [(&str, &str); 20] = [
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
    ("compact", "a record without its fields that are null"),
    ("sha256bytes", "SHA-256 of the bytes of a text or blob, as bytes"),
    ("base32hex", "the bytes of a text or blob in base32hex without padding (RFC 4648 §7)"),
    ("uuid5", "`uuid5('url')`: a UUID of the text in a name space, `dns`, `url`, `oid` or a UUID (RFC 9562 §5.5)"),
    ("required", "held when it is empty: for a variable that only some records need"),
    ("raw", "as it is, without the escaping of what it stands in"),
];

/// With [`FILTERS`] and [`TESTS`] only.
pub fn plain() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    // Only so that errors know their place.
    environment.set_debug(true);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("replace", filters::replace);
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

/// The words of the converters that are filters too, without their arguments; those that minijinja has keep its meaning.
static WORDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let words = crate::rules::convert::words().map(|(word, _)| word.split('(').next().unwrap_or(word));
    words.filter(|word| FILTERS.iter().all(|(known, _)| known != word)).collect()
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
    environment.add_filter("odata", |text: &str| escape::odata(text));
    environment.add_filter("soql", |text: &str| escape::soql(text));
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
    environment.add_filter("uuid5", |text: &str, space: &str| uuid5(text, space));
    environment.add_filter("elements", |value: Value, prefix: Option<&str>| {
        let value = scope::taken(&value).ok_or_else(|| refused("a record"))?;
        let text = escape::elements(&value, prefix.unwrap_or_default()).map_err(refused)?;
        Ok::<Value, Error>(Value::from_safe_string(text))
    });
    environment.add_filter("required", |value: Value| match value.is_none() || value.as_str() == Some("") {
        true => Err(refused("a value: the connector's `vars` leave it empty")),
        false => Ok(value),
    });
    environment.add_filter("json", |value: Value| {
        let value = scope::taken(&value).ok_or_else(|| refused("a value that JSON can hold"))?;
        let text = scope::json(&value).ok_or_else(|| refused("a value that JSON can hold"))?;
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

/// A UUID of version 5 (RFC 9562 §5.5); the name spaces are those of its §6.6.
fn uuid5(text: &str, space: &str) -> Result<String, Error> {
    const SPACES: [(&str, &str); 3] = [
        ("dns", "6ba7b8109dad11d180b400c04fd430c8"),
        ("url", "6ba7b8119dad11d180b400c04fd430c8"),
        ("oid", "6ba7b8129dad11d180b400c04fd430c8"),
    ];
    let known = SPACES.iter().find(|(name, _)| *name == space).map(|(_, hex)| (*hex).to_owned());
    let hex = known.unwrap_or_else(|| space.replace('-', "").to_lowercase());
    let wrong = || Error::new(ErrorKind::InvalidOperation, "uuid5 wants dns, url, oid or a UUID as its name space");
    let space =
        data_encoding::HEXLOWER.decode(hex.as_bytes()).ok().filter(|bytes| bytes.len() == 16).ok_or_else(wrong)?;
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(&space);
    hash.update(text.as_bytes());
    let mut bytes: Vec<u8> = hash.finish().as_ref().iter().copied().take(16).collect();
    if let [_, _, _, _, _, _, version, _, variant, ..] = bytes.as_mut_slice() {
        *version = (*version & 0x0f) | 0x50;
        *variant = (*variant & 0x3f) | 0x80;
    }
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

fn by_word(word: &str, value: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let name = match arguments {
        [] => word.to_owned(),
        some => format!("{word}({})", some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    converted(value, &name, None)
}

fn converted(value: &Value, name: &str, zone: Option<&str>) -> Result<Value, Error> {
    let convert = Convert::parse(name, zone).map_err(|message| Error::new(ErrorKind::InvalidOperation, message))?;
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
