//! Values as JSON text and back: what a column of text may hold.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::event::{Record, Value};
use crate::rules::decimal::Decimal;

/// A value as JSON text; none = JSON cannot hold it (bytes, text that is not UTF-8, infinities).
pub fn write(value: &Value) -> Option<String> {
    fn put(value: &Value, out: &mut String) -> Option<()> {
        match value {
            Value::Null => out.push_str("null"),
            Value::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    put(item, out)?;
                }
                out.push(']');
            }
            Value::Map(fields) => {
                out.push('{');
                for (at, (name, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&serde_json::to_string(&**name).ok()?);
                    out.push(':');
                    put(value, out)?;
                }
                out.push('}');
            }
            Value::Text(text) => out.push_str(&serde_json::to_string(&**text).ok()?),
            value => out.push_str(&value.as_text()?),
        }
        Some(())
    }
    let mut out = String::new();
    put(value, &mut out)?;
    Some(out)
}

/// The value of a JSON text. None when it is none, is nested too deep, or holds a number that cannot be kept digit by digit.
pub fn read(text: &str) -> Option<Value> {
    if !numbers(text).all(is_exact) {
        return None;
    }
    serde_json::from_str::<Read>(text).ok().map(|read| read.0)
}

/// Whether a number is an integer of 64 bits, or what a double shows.
fn is_exact(number: &str) -> bool {
    Decimal::parse(number).is_some_and(|number| number.to_integer().is_some() || number.to_double().is_some())
}

/// The numbers of a JSON text, outside its strings.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let (mut in_text, mut escaped) = (false, false);
    let plain = move |char: char| {
        let quote = char == '"' && !escaped;
        escaped = in_text && char == '\\' && !escaped;
        in_text ^= quote;
        in_text || quote || !(char.is_ascii_digit() || matches!(char, '+' | '-' | '.' | 'e' | 'E'))
    };
    // The letters of `true` and `false` are no numbers.
    text.split(plain).filter(|part| part.bytes().any(|byte| byte.is_ascii_digit()))
}

struct Read(Value);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Read, D::Error> {
        deserializer.deserialize_any(Reader).map(Read)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Integer).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Read(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut record = Record::new();
        while let Some((name, Read(value))) = fields.next_entry::<String, Read>()? {
            record.set(&name, value);
        }
        Ok(Value::Map(record))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_column_keeps_its_order_its_types_and_every_digit() {
        let text = r#"{"b":[1,-2.5,true,null,"9.99999999999999999999"],"a":{"x":9223372036854775807,"y":1e3}}"#;
        let value = read(text).unwrap();
        assert_eq!(write(&value).unwrap(), text.replace("1e3", "1000.0"));
        for bad in ["", "{", "[1,]", "1 2", "0.1234567890123456789", "18446744073709551615", &"[".repeat(200)] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
