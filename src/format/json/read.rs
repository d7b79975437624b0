//! Reading JSON (RFC 8259) into values: exact numbers, no duplicate keys, bounded depth.
//!
//! An own reader, because serde_json either rounds numbers or (feature `arbitrary_precision`) changes its number
//! type for every crate of the program; strings with escapes are left to it.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::BASE64;
use crate::event::{Record, Value};
use crate::rules::decimal::Decimal;

/// Deepest nesting that is read; deeper input is refused before the stack can overflow.
pub const DEPTH: usize = 64;

/// From so many fields on, duplicate keys are looked for by hash.
const MANY_FIELDS: usize = 32;

/// Reads JSON; at most [`DEPTH`] deep, numbers exact, duplicate keys refused. The error says where.
///
/// An object with the one key `$base64` and canonical base64 in it is bytes, as [`super::encode`] writes them.
pub fn decode(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| place(bytes, error.valid_up_to(), "the text is not UTF-8".to_owned()))?;
    let mut reader = Reader { text, at: 0 };
    let read = reader.value(0).and_then(|value| {
        reader.space();
        match reader.peek() {
            None => Ok(value),
            Some(_) => reader.fail("something follows after the value"),
        }
    });
    read.map_err(|what| place(bytes, reader.at, what))
}

/// The message with line and column, both from 1; columns count characters.
fn place(bytes: &[u8], at: usize, what: String) -> String {
    let before = bytes.get(..at).unwrap_or(bytes);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count() + 1;
    format!("line {line} column {column}: {what}")
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fail<T>(&self, what: &str) -> Result<T, String> {
        Err(if self.peek().is_none() { format!("{what}: the text ends here") } else { what.to_owned() })
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Value::Text(self.string()?.into())),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{' | b'[') if depth == DEPTH => self.fail(&format!("more than {DEPTH} levels of nesting")),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.list(depth + 1),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.fail("expected a value"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, String> {
        match self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            true => {
                self.at += word.len();
                Ok(value)
            }
            false => self.fail("expected a value"),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            if !self.take(b',') {
                return self.fail("expected `,` or `]`");
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut fields = Record::new();
        let mut names = HashSet::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Map(fields));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return self.fail("expected a key in double quotes");
            }
            let name: Arc<str> = self.string()?.into();
            if fields.len() == MANY_FIELDS {
                names.extend(fields.iter().map(|(name, _)| Arc::clone(name)));
            }
            let twice = match fields.len() < MANY_FIELDS {
                true => fields.get(&name).is_some(),
                false => !names.insert(Arc::clone(&name)),
            };
            if twice {
                self.at = start;
                return Err(format!("the key `{}` occurs twice in one object", name.escape_debug()));
            }
            self.space();
            if !self.take(b':') {
                return self.fail("expected `:` after the key");
            }
            let value = self.value(depth)?;
            fields.push(name, value);
            self.space();
            if self.take(b'}') {
                return Ok(bytes_or(fields));
            }
            if !self.take(b',') {
                return self.fail("expected `,` or `}`");
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    // The escaped character, which is checked below; of a longer one its first byte is enough.
                    self.at += 2;
                }
                Some(0..0x20) => return self.fail("a control character stands in a string: write it as \\u00XX"),
                Some(_) => self.at += 1,
                None => {
                    self.at = self.text.len();
                    return self.fail("a string is not closed");
                }
            }
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        if !escaped {
            return Ok(quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned());
        }
        serde_json::from_str(quoted).map_err(|_| {
            self.at = start;
            "this string has an escape that is not one of JSON, or half of a surrogate pair".to_owned()
        })
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        self.take(b'-');
        let zero = self.peek() == Some(b'0');
        if self.digits()? > 1 && zero {
            self.at = start;
            return self.fail("a number begins with 0");
        }
        let mut whole = true;
        if self.take(b'.') {
            whole = false;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            whole = false;
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let digits = self.text.get(start..self.at).unwrap_or_default();
        let exact = match whole {
            true => digits.parse().ok().map(Value::Integer),
            // A zero keeps its sign.
            false => Decimal::parse(digits)
                .and_then(|number| number.to_double())
                .map(|double| Value::Real(if double == 0.0 && digits.starts_with('-') { -0.0 } else { double })),
        };
        Ok(exact.unwrap_or_else(|| Value::Number(digits.into())))
    }

    fn digits(&mut self) -> Result<usize, String> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at - start {
            0 => self.fail("expected a digit"),
            count => Ok(count),
        }
    }
}

/// The object, or the bytes that it stands for.
fn bytes_or(fields: Record) -> Value {
    if fields.len() == 1
        && let Some(Value::Text(text)) = fields.get(BASE64)
        && let Ok(bytes) = STANDARD.decode(text.as_bytes())
    {
        return Value::Blob(bytes);
    }
    Value::Map(fields)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Value {
        decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_are_exact_or_kept_as_written() {
        for (text, value) in [
            ("-9223372036854775808", Value::Integer(i64::MIN)),
            ("9007199254740993", Value::Integer(9_007_199_254_740_993)),
            ("9223372036854775808", Value::Number("9223372036854775808".into())),
            ("0.1", Value::Real(0.1)),
            ("1.10", Value::Real(1.1)),
            ("5.0", Value::Real(5.0)),
            ("1E2", Value::Real(100.0)),
            ("0.300000000000000000001", Value::Number("0.300000000000000000001".into())),
            ("1e400", Value::Number("1e400".into())),
            ("1e-400", Value::Number("1e-400".into())),
            ("1e99999999999999999999", Value::Number("1e99999999999999999999".into())),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
        let Value::Real(zero) = read("-0.0") else { unreachable!() };
        assert!(zero.is_sign_negative());
    }

    #[test]
    fn strings_objects_and_bytes_are_read() {
        assert_eq!(read(r#" "a\u00e9\ud83d\ude00\n\/" "#), "aé\u{1f600}\n/".into());
        let Value::Map(map) = read("{\"b\" : [ ], \"a\":{ }, \"\":[true,false,null]}") else { unreachable!() };
        let names: Vec<_> = map.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["b", "a", ""]);
        assert_eq!(read(r#"{"$base64":"AP8="}"#), Value::Blob(vec![0, 255]));
        assert!(matches!(read(r#"{"$base64":"no base64"}"#), Value::Map(_)));
        assert!(matches!(read(r#"{"$base64":"AP8=","x":1}"#), Value::Map(_)));
    }

    #[test]
    fn errors_say_where_and_never_what_the_value_was() {
        for (text, message) in [
            ("", "line 1 column 1: expected a value: the text ends here"),
            ("{\n \"é\": tru}", "line 2 column 7: expected a value"),
            ("[1,]", "line 1 column 4: expected a value"),
            ("[1 2]", "line 1 column 4: expected `,` or `]`"),
            ("{\"a\":1,\"a\":2}", "line 1 column 8: the key `a` occurs twice in one object"),
            ("{a:1}", "line 1 column 2: expected a key in double quotes"),
            ("{\"a\" 1}", "line 1 column 6: expected `:` after the key"),
            ("{\"a\":1", "line 1 column 7: expected `,` or `}`: the text ends here"),
            ("1 2", "line 1 column 3: something follows after the value"),
            ("01", "line 1 column 1: a number begins with 0"),
            ("-", "line 1 column 2: expected a digit: the text ends here"),
            ("1.", "line 1 column 3: expected a digit: the text ends here"),
            ("1e+", "line 1 column 4: expected a digit: the text ends here"),
            ("NaN", "line 1 column 1: expected a value"),
            ("\"a", "line 1 column 3: a string is not closed: the text ends here"),
            ("\"\\", "line 1 column 3: a string is not closed: the text ends here"),
            ("\"\t\"", "line 1 column 2: a control character stands in a string: write it as \\u00XX"),
        ] {
            assert_eq!(decode(text.as_bytes()), Err(message.to_owned()), "{text}");
        }
        assert_eq!(decode(b"[\n\"\xff\"]"), Err("line 2 column 2: the text is not UTF-8".to_owned()));
        for bad in [r#""\x""#, r#""\ud800""#, r#""\udc00\ud800""#, r#""\u12""#, "\"\\é\""] {
            assert!(decode(bad.as_bytes()).unwrap_err().contains("column 1: this string"), "{bad}");
        }
    }

    #[test]
    fn a_million_levels_are_refused_and_the_limit_itself_is_read() {
        let nested = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat();
        assert!(decode(nested(DEPTH).as_bytes()).is_ok());
        let error = decode(nested(DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!(error, "line 1 column 65: more than 64 levels of nesting");
        assert!(decode("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(decode("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn a_duplicate_is_found_among_many_keys() {
        let object = |last: usize| {
            let fields: Vec<_> = (0..1000).chain([last]).map(|at| format!("\"k{at}\":0")).collect();
            decode(format!("{{{}}}", fields.join(",")).as_bytes())
        };
        assert!(object(1000).is_ok());
        for at in [0, 31, 32, 33, 999] {
            assert!(object(at).unwrap_err().contains("occurs twice"), "{at}");
        }
    }

    proptest! {
        #[test]
        fn it_accepts_what_serde_json_accepts(text in "[\\[\\]{},:\"a\\\\u0-9eE.+ \\-ntrulfs]{0,24}") {
            let ours = decode(text.as_bytes());
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // serde_json takes duplicate keys and refuses numbers beyond a double.
            match (&ours, &theirs) {
                (Err(error), Ok(_)) => prop_assert!(error.contains("occurs twice"), "{}: {}", text, error),
                (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{}: {}", text, error),
                _ => {}
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = decode(&bytes);
        }
    }
}
