//! Reads a JSON answer without keeping it: does it parse, and does it say "error" at its top?

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting that is read; deeper input is refused before the stack can overflow.
const DEPTH: usize = 64;

/// Whether a JSON object says at its top that the call failed: an `error` or `errors` that is not empty, or
/// `success: false`. None when the bytes are not JSON.
pub fn says_error(body: &[u8]) -> Option<bool> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let shape = Skim { depth: 0 }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(matches!(shape, Shape::Failed))
}

/// As much of a value as the rule needs.
enum Shape {
    /// false
    False,
    /// null, 0, "", [], {}
    Empty,
    /// Anything else.
    Filled,
    /// An object that says that the call failed.
    Failed,
}

#[derive(Clone, Copy)]
struct Skim {
    depth: usize,
}

impl Skim {
    fn deeper<E: Error>(self) -> Result<Skim, E> {
        if self.depth >= DEPTH { Err(E::custom("nested too deeply")) } else { Ok(Skim { depth: self.depth + 1 }) }
    }
}

fn shape(empty: bool) -> Shape {
    if empty { Shape::Empty } else { Shape::Filled }
}

impl<'de> DeserializeSeed<'de> for Skim {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Shape, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skim {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Shape, E> {
        Ok(if flag { Shape::Filled } else { Shape::False })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Filled)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Shape, E> {
        Ok(shape(number == 0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Filled)
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(shape(text.is_empty()))
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Empty)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let deeper = self.deeper()?;
        let mut empty = true;
        while items.next_element_seed(deeper)?.is_some() {
            empty = false;
        }
        Ok(shape(empty))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Shape, A::Error> {
        let deeper = self.deeper()?;
        let (mut empty, mut failed) = (true, false);
        while let Some(name) = fields.next_key_seed(Name)? {
            let value = fields.next_value_seed(deeper)?;
            empty = false;
            failed |= match name {
                Field::Error => matches!(value, Shape::Filled | Shape::Failed),
                Field::Success => matches!(value, Shape::False),
                Field::Other => false,
            };
        }
        Ok(if failed { Shape::Failed } else { shape(empty) })
    }
}

enum Field {
    Error,
    Success,
    Other,
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Field, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Field, E> {
        Ok(match name {
            "error" | "errors" => Field::Error,
            "success" => Field::Success,
            _ => Field::Other,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn only_the_top_of_an_object_says_error() {
        for (body, expected) in [
            (r#"{}"#, false),
            (r#"[{"error":1}]"#, false),
            (r#"{"record":{"error":"x","success":false}}"#, false),
            (r#"{"error":null,"errors":[]}"#, false),
            (r#"{"error":0}"#, false),
            (r#"{"error":""}"#, false),
            (r#"{"error":false,"success":true}"#, false),
            (r#""error""#, false),
            (r#"{"error":"x"}"#, true),
            (r#"{"errors":[{}]}"#, true),
            (r#"{"error":{"error":{"code":498}}}"#, true),
            (r#"{"\u0065rror":7}"#, true),
            (r#"{"id":1,"success":false}"#, true),
        ] {
            assert_eq!(says_error(body.as_bytes()), Some(expected), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_or_too_deep_is_none() {
        for body in ["", "{", "{}x", "<p>", "{\"a\":}", "nul", "\u{feff}{}"] {
            assert_eq!(says_error(body.as_bytes()), None, "{body}");
        }
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert_eq!(says_error(&nested(DEPTH)), Some(false));
        assert_eq!(says_error(&nested(DEPTH + 1)), None);
        assert_eq!(says_error(&nested(100_000)), None);
        assert_eq!(says_error(b"{\"a\":\"\xff\"}"), None);
    }
}
