//! Converters of one word: case, cutting and padding, types, base64, hash.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{json, uuid};
use crate::event::Value;
use crate::rules::decimal::Decimal;
use crate::rules::escape;
use crate::rules::hex::hex;
use crate::rules::nearest::hint;

/// The words, as written, with what they do.
pub const WORDS: &[(&str, &str)] = &[
    ("upper", "letters in upper case"),
    ("lower", "letters in lower case"),
    ("trim", "white space at both ends taken off"),
    ("text", "a number or boolean as text"),
    ("integer", "a number or a text that is one, as an integer; held when it is not whole"),
    ("number", "a text as a number, every digit kept"),
    ("boolean", "1/0, true/false, yes/no, y/n, t/f, on/off as a boolean"),
    ("base64", "the bytes of a text or blob in base64"),
    ("sha256", "SHA-256 of the bytes of a text, number or blob, in hexadecimal"),
    ("sha256bytes", "SHA-256 of the bytes of a text, number or blob, as bytes: for `base32hex` or `base64` after it"),
    ("base32hex", "the bytes of a text or blob in base32hex without padding (RFC 4648 §7)"),
    ("uuid5(space)", "a UUID of the text in a name space, `dns`, `url`, `oid` or a UUID (RFC 9562 §5.5)"),
    (
        "concat(before, behind)",
        "a text with another before and behind it, in quotes where it has blanks: `concat('MRN-')`",
    ),
    (
        "scale(places)",
        "a number times 10 to the power of `places`: `scale(2)` makes cents of dollars, `scale(-2)` dollars of cents",
    ),
    ("decimals(places)", "a number as text with so many decimals, the last one rounded half up"),
    (
        "escape(what)",
        "a text for where it will stand: `url`, `odata`, `soql`, `xml` (a carriage return as `&#xD;`) or `hl7`",
    ),
    ("json", "any value as JSON text"),
    ("parse_json", "the value of a JSON text: of a column that holds JSON, for paths of `each` and expressions"),
    ("substr(from, len)", "characters from number `from` (the first is 1), at most `len` of them (default: all)"),
    ("pad_left(width, char)", "filled on the left up to `width` characters (default: with spaces); never cut"),
    ("pad_right(width, char)", "filled on the right up to `width` characters (default: with spaces); never cut"),
];

/// Widest field that padding makes.
const WIDEST: usize = 10_000;

/// A converter of one word.
#[derive(Clone, Debug)]
pub enum Word {
    /// `upper`
    Upper,
    /// `lower`
    Lower,
    /// `trim`
    Trim,
    /// `text`
    Text,
    /// `integer`
    Integer,
    /// `number`
    Number,
    /// `boolean`
    Boolean,
    /// `base64`
    Base64,
    /// `sha256`
    Sha256,
    /// `sha256bytes`
    Sha256Bytes,
    /// `base32hex`
    Base32Hex,
    /// `uuid5(space)`
    Uuid5([u8; 16]),
    /// `concat(before, behind)`
    Concat(String, String),
    /// `scale(places)`
    Scale(i32),
    /// `decimals(places)`
    Decimals(u32),
    /// `escape(what)`
    Escape(Escape),
    /// `json`
    Json,
    /// `parse_json`
    ParseJson,
    /// `substr(from, len)`: characters to skip, characters to take.
    Substr(usize, usize),
    /// `pad_left(width, char)`
    PadLeft(usize, char),
    /// `pad_right(width, char)`
    PadRight(usize, char),
}

/// What a text is escaped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// One segment of a path, or one value of a query.
    Url,
    /// A literal of OData.
    Odata,
    /// A literal of SOQL.
    Soql,
    /// Text or attribute of XML.
    Xml,
    /// A field of HL7 v2.
    Hl7,
}

/// What a text is escaped for, by name.
const ESCAPES: [(&str, Escape); 5] = [
    ("url", Escape::Url),
    ("odata", Escape::Odata),
    ("soql", Escape::Soql),
    ("xml", Escape::Xml),
    ("hl7", Escape::Hl7),
];

/// Most places that a number is scaled by, or shown with.
const PLACES: i32 = 18;

impl Word {
    /// Reads a word with its arguments.
    pub fn parse(text: &str) -> Result<Word, String> {
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => {
                let inner = rest.strip_suffix(')').ok_or_else(|| format!("`{text}` lacks its closing `)`"))?;
                (name.trim(), Some(inner))
            }
            None => (text, None),
        };
        let (first, second) = match arguments.map(split) {
            Some((first, second)) => (first.trim(), second.trim()),
            None => ("", ""),
        };
        let count = |argument: &str, least: usize| match argument.parse::<usize>() {
            Ok(number) if (least..=WIDEST).contains(&number) => Ok(number),
            _ => Err(format!("`{text}`: `{argument}` is not a number from {least} to {WIDEST}")),
        };
        let word = match name {
            "substr" => {
                let length = if second.is_empty() { usize::MAX } else { count(second, 0)? };
                return Ok(Word::Substr(count(first, 1)? - 1, length));
            }
            "pad_left" => return Ok(Word::PadLeft(count(first, 1)?, filler(text, second)?)),
            "pad_right" => return Ok(Word::PadRight(count(first, 1)?, filler(text, second)?)),
            "uuid5" => return Ok(Word::Uuid5(uuid::space(unquoted(first))?)),
            "concat" if first.is_empty() && second.is_empty() => {
                return Err(format!("`{text}` adds nothing: write for example `concat('MRN-')`"));
            }
            "concat" => return Ok(Word::Concat(unquoted(first).to_owned(), unquoted(second).to_owned())),
            "scale" => {
                return match first.parse::<i32>() {
                    Ok(places) if (-PLACES..=PLACES).contains(&places) => Ok(Word::Scale(places)),
                    _ => Err(format!("`{text}`: `{first}` is not a number from -{PLACES} to {PLACES}")),
                };
            }
            "decimals" => {
                return match first.parse::<u32>() {
                    Ok(places) if places <= PLACES.unsigned_abs() => Ok(Word::Decimals(places)),
                    _ => Err(format!("`{text}`: `{first}` is not a number from 0 to {PLACES}")),
                };
            }
            "escape" => {
                let found = ESCAPES.iter().find(|(name, _)| *name == unquoted(first));
                return found.map(|(_, escape)| Word::Escape(*escape)).ok_or_else(|| {
                    let known = ESCAPES.map(|(name, _)| name);
                    format!("`{text}`: `{first}` is none of {}{}", known.join(", "), hint(first, known))
                });
            }
            "sha256bytes" => Word::Sha256Bytes,
            "base32hex" => Word::Base32Hex,
            "json" => Word::Json,
            "parse_json" => Word::ParseJson,
            "upper" => Word::Upper,
            "lower" => Word::Lower,
            "trim" => Word::Trim,
            "text" => Word::Text,
            "integer" => Word::Integer,
            "number" => Word::Number,
            "boolean" => Word::Boolean,
            "base64" => Word::Base64,
            "sha256" => Word::Sha256,
            _ => {
                let known = WORDS.iter().map(|(word, _)| word.split('(').next().unwrap_or(word));
                return Err(format!("`{name}` is not a converter{}", hint(name, known)));
            }
        };
        match arguments {
            None => Ok(word),
            Some(_) => Err(format!("`{name}` takes nothing in parentheses")),
        }
    }

    /// Converts; the error is what it wants.
    pub fn apply(&self, value: Value) -> Result<Value, &'static str> {
        match self {
            Word::Upper => text(&value, str::to_uppercase),
            Word::Lower => text(&value, str::to_lowercase),
            Word::Trim => text(&value, |text| text.trim().to_owned()),
            Word::Substr(skip, take) => text(&value, |text| text.chars().skip(*skip).take(*take).collect()),
            Word::PadLeft(width, char) => text(&value, |text| padding(text, *width, *char) + text),
            Word::PadRight(width, char) => text(&value, |text| text.to_owned() + &padding(text, *width, *char)),
            Word::Text => match value.as_text() {
                Some(text) => Ok(Value::Text(text.into())),
                None => Err("a text, a number or a boolean"),
            },
            Word::Integer => {
                let whole = match &value {
                    Value::Integer(number) => Some(*number),
                    Value::Bool(flag) => Some(i64::from(*flag)),
                    value => Decimal::of(value).and_then(|number| number.to_integer()),
                };
                whole.map(Value::Integer).ok_or("a whole number of at most 64 bits, or a text that is one")
            }
            Word::Number => match value {
                Value::Integer(_) | Value::Real(_) | Value::Number(_) => Ok(value),
                value => Decimal::of(&value).map(|number| number.to_value(true)).ok_or("a text that is a number"),
            },
            Word::Boolean => truth(&value).map(Value::Bool).ok_or("1/0, true/false, yes/no, y/n, t/f or on/off"),
            Word::Base64 => bytes(&value, |bytes| STANDARD.encode(bytes)),
            Word::Sha256 => bytes(&value, |bytes| hex(digest::digest(&digest::SHA256, bytes).as_ref())),
            Word::Sha256Bytes => {
                of_bytes(&value, |bytes| Value::Blob(digest::digest(&digest::SHA256, bytes).as_ref().to_vec()))
            }
            Word::Base32Hex => bytes(&value, |bytes| data_encoding::BASE32HEX_NOPAD.encode(bytes)),
            Word::Uuid5(space) => text(&value, |text| uuid::five(space, text)),
            Word::Concat(before, behind) => text(&value, |text| format!("{before}{text}{behind}")),
            Word::Scale(places) => scaled(&value, *places).ok_or("a number, or a text that is one"),
            Word::Decimals(places) => {
                let shown = Decimal::of(&value).and_then(|number| number.shown(*places));
                shown.map(|text| Value::Text(text.into())).ok_or("a number, or a text that is one")
            }
            Word::Escape(what) => escaped(&value, *what),
            Word::Json => written(&value).ok_or("a value that JSON can hold"),
            Word::ParseJson => match &value {
                Value::Text(text) => {
                    json::read(text).ok_or("a text that is JSON, with numbers of at most 15 digits or 64 bits")
                }
                Value::List(_) | Value::Map(_) => Ok(value),
                _ => Err("a text that is JSON"),
            },
        }
    }
}

/// The character that fills up: bare, or in quotes; nothing = a space.
fn filler(text: &str, argument: &str) -> Result<char, String> {
    let quoted = |quote| argument.strip_prefix(quote)?.strip_suffix(quote);
    let inner = match argument {
        "" => " ",
        argument if argument.chars().count() == 1 => argument,
        argument => quoted('\'').or_else(|| quoted('"')).unwrap_or(argument),
    };
    let mut chars = inner.chars();
    match (chars.next(), chars.next()) {
        (Some(char), None) => Ok(char),
        _ => Err(format!("`{text}`: `{argument}` is not one character, for example 0 or ' '")),
    }
}

fn padding(text: &str, width: usize, char: char) -> String {
    std::iter::repeat_n(char, width.saturating_sub(text.chars().count())).collect()
}

fn text(value: &Value, change: impl Fn(&str) -> String) -> Result<Value, &'static str> {
    match value {
        Value::Text(_) | Value::Integer(_) | Value::Number(_) => {
            value.as_text().map(|text| Value::Text(change(&text).into())).ok_or("a text or an integer")
        }
        _ => Err("a text or an integer"),
    }
}

fn bytes(value: &Value, change: impl Fn(&[u8]) -> String) -> Result<Value, &'static str> {
    of_bytes(value, |bytes| Value::Text(change(bytes).into()))
}

fn of_bytes(value: &Value, change: impl Fn(&[u8]) -> Value) -> Result<Value, &'static str> {
    match value {
        Value::Blob(bytes) | Value::BadText(bytes) => Ok(change(bytes)),
        value => match value.as_text() {
            Some(text) => Ok(change(text.as_bytes())),
            None => Err("a text, a number, a boolean or a blob"),
        },
    }
}

/// Times 10 to a power, exactly; an integer stays one where the result is whole.
pub fn scaled(value: &Value, places: i32) -> Option<Value> {
    let ten = 10_i128.checked_pow(places.unsigned_abs())?;
    let (up, down) = if places < 0 { (1, ten) } else { (ten, 1) };
    let exact = Decimal::of(value)?.times(up, down, (0, 1))?;
    Some(exact.to_value(!matches!(value, Value::Real(_))))
}

fn escaped(value: &Value, what: Escape) -> Result<Value, &'static str> {
    const WANTS: &str = "a text or an integer";
    let text = match value {
        Value::Text(_) | Value::Integer(_) | Value::Number(_) => value.as_text().ok_or(WANTS)?,
        _ => return Err(WANTS),
    };
    let text = match what {
        Escape::Url => escape::percent(&text),
        Escape::Odata => escape::odata(&text),
        Escape::Soql => escape::soql(&text),
        Escape::Xml => escape::xml(&text).map_err(|_| "a text whose characters XML can hold")?,
        Escape::Hl7 => escape::hl7(&text),
    };
    Ok(Value::Text(text.into()))
}

/// As JSON text.
fn written(value: &Value) -> Option<Value> {
    json::write(value).map(|text| Value::Text(text.into()))
}

/// Two arguments, at the comma that no quotes hold.
fn split(inner: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, char) in inner.char_indices() {
        match (char, quote) {
            ('\'' | '"', None) => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            (',', None) => return (inner.get(..at).unwrap_or(inner), inner.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
    }
    (inner, "")
}

/// Without the quotes around it.
fn unquoted(argument: &str) -> &str {
    let inside = |quote: char| argument.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"')).unwrap_or(argument)
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        Value::Real(number) if *number == 0.0 => Some(false),
        Value::Real(number) if *number == 1.0 => Some(true),
        Value::Text(text) => match &*text.trim().to_lowercase() {
            "1" | "true" | "yes" | "y" | "t" | "on" => Some(true),
            "0" | "false" | "no" | "n" | "f" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
