//! Converters of one word: case, cutting and padding, types, base64, hash.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::event::Value;
use crate::rules::decimal::Decimal;
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
    /// `substr(from, len)`: characters to skip, characters to take.
    Substr(usize, usize),
    /// `pad_left(width, char)`
    PadLeft(usize, char),
    /// `pad_right(width, char)`
    PadRight(usize, char),
}

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
        let (first, second) = match arguments.map(|inner| inner.split_once(',').unwrap_or((inner, ""))) {
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
    match value {
        Value::Blob(bytes) | Value::BadText(bytes) => Ok(Value::Text(change(bytes).into())),
        value => match value.as_text() {
            Some(text) => Ok(Value::Text(change(text.as_bytes()).into())),
            None => Err("a text, a number, a boolean or a blob"),
        },
    }
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
