//! `{field}` templates for URLs and the `Idem-Key` header.

use crate::event::Value;
use crate::rules::mapping::path::Path;
use crate::rules::outcome::Reason;

/// A text with `{path}` placeholders (`{{` and `}}` stand for braces).
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    paths: Vec<String>,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Field(String),
}

impl Template {
    /// Parses; errors say what is wrong and at which character (counted from 1).
    pub fn parse(text: &str) -> Result<Template, String> {
        let part = |piece| match piece {
            Piece::Literal(text) => Ok(Part::Literal(text)),
            Piece::Inside { at, text } => match checked(text.trim()) {
                Ok(path) => Ok(Part::Field(path.to_owned())),
                Err(what) => Err(format!("the placeholder at character {at}: {what}")),
            },
        };
        let parts = pieces(text)?.into_iter().map(part).collect::<Result<Vec<Part>, String>>()?;
        let paths = parts.iter().filter_map(Part::path).map(str::to_owned).collect();
        Ok(Template { parts, paths })
    }

    /// Parses the template of a URL: as [`Template::parse`], and the URL is absolute and no placeholder stands
    /// before its path, because a host never comes from data.
    pub fn parse_url(text: &str) -> Result<Template, String> {
        let template = Template::parse(text)?;
        let start = match template.parts.first() {
            Some(Part::Literal(text)) => text,
            Some(Part::Field(path)) => return Err(format!("`{{{path}}}` cannot choose the scheme or the host")),
            None => return Err("the URL is empty".to_owned()),
        };
        let Some((scheme, rest)) = start.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?', '#']))
        else {
            return Err("the URL does not begin with scheme://host, for example https://example.org/path".to_owned());
        };
        if scheme.is_empty() || rest.is_empty() || rest.starts_with(['/', '?', '#']) {
            return Err("the URL names no scheme or no host".to_owned());
        }
        match template.paths.first() {
            Some(path) if !rest.contains(['/', '?', '#']) => {
                Err(format!("`{{{path}}}` stands in the host or port: a host never comes from data"))
            }
            _ => Ok(template),
        }
    }

    /// Parses the template of a header's value: as [`Template::parse`], and the literal part is visible ASCII or
    /// space, without a space at an end.
    pub fn parse_header(text: &str) -> Result<Template, String> {
        match text.chars().position(|char| !char.is_ascii_graphic() && char != ' ') {
            Some(at) => Err(format!("character {} is not visible ASCII, which a header needs", at + 1)),
            None if text.trim() != text || text.is_empty() => {
                Err("a header's value is not empty and has no space at its ends".to_owned())
            }
            None => Template::parse(text),
        }
    }

    /// The placeholders' paths, in order.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Fills a URL: each value percent-encoded as one path segment (or query value), all but the unreserved
    /// characters of RFC 3986; missing, null, empty, `.` and `..` are refused. The literal part stays as it is.
    pub fn url<'v>(&self, lookup: impl Fn(&str) -> Option<&'v Value>) -> Result<String, Reason> {
        self.fill(lookup, |path, text, out| {
            if text == "." || text == ".." {
                return Err(refused(path, "is a relative path segment"));
            }
            for byte in text.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
                    byte => {
                        out.push('%');
                        out.extend([byte >> 4, byte & 15].map(|half| match half {
                            0..=9 => char::from(b'0' + half),
                            half => char::from(b'A' + half - 10),
                        }));
                    }
                }
            }
            Ok(())
        })
    }

    /// Fills a header value: missing, null and empty are refused, and whatever is not visible ASCII (so no space,
    /// no line break).
    pub fn header<'v>(&self, lookup: impl Fn(&str) -> Option<&'v Value>) -> Result<String, Reason> {
        self.fill(lookup, |path, text, out| {
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(refused(path, "holds a character that is not visible ASCII"));
            }
            out.push_str(text);
            Ok(())
        })
    }

    fn fill<'v>(
        &self,
        lookup: impl Fn(&str) -> Option<&'v Value>,
        write: impl Fn(&str, &str, &mut String) -> Result<(), Reason>,
    ) -> Result<String, Reason> {
        let mut out = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(path) => {
                    let value = lookup(path).ok_or_else(|| refused(path, "is missing"))?;
                    let text = value
                        .as_text()
                        .ok_or_else(|| refused(path, &format!("is {}, not a single value", value.kind())))?;
                    if text.is_empty() {
                        return Err(refused(path, "is empty"));
                    }
                    write(path, &text, &mut out)?;
                }
            }
        }
        Ok(out)
    }
}

impl Part {
    fn path(&self) -> Option<&str> {
        match self {
            Part::Field(path) => Some(path),
            Part::Literal(_) => None,
        }
    }
}

/// A piece of a text with placeholders in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is; `{{` and `}}` have become braces.
    Literal(String),
    /// What stands between `{` and `}`.
    Inside {
        /// The character at which the brace opens, counted from 1.
        at: usize,
        /// What stands inside, as it is.
        text: String,
    },
}

/// Takes a text with placeholders to pieces, no literal beside another or empty; errors say at which character.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().zip(1..).peekable();
    while let Some((char, at)) = chars.next() {
        match char {
            '{' | '}' if chars.next_if(|(next, _)| *next == char).is_some() => literal.push(char),
            '}' => return Err(format!("`}}` without `{{` at character {at}: write `}}}}` for a brace")),
            '{' => {
                let mut inside = String::new();
                loop {
                    match chars.next() {
                        Some(('}', _)) => break,
                        Some(('{', _)) | None => {
                            return Err(format!("`{{` at character {at} is not closed: write `{{{{` for a brace"));
                        }
                        Some((char, _)) => inside.push(char),
                    }
                }
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Inside { at, text: inside });
            }
            char => literal.push(char),
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// A placeholder's path, or what is wrong with it.
fn checked(path: &str) -> Result<&str, String> {
    if path.contains('|') {
        return Err("no `|`: only a field's path may stand there, conversions belong in `mapping`".to_owned());
    }
    Path::parse(path).map(|_| path)
}

fn refused(path: &str, what: &str) -> Reason {
    Reason::new("template", format!("field `{path}` {what}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(template: &str, value: impl Into<Value>) -> Result<String, Reason> {
        let value = value.into();
        Template::parse_url(template).unwrap().url(|path| (path == "id").then_some(&value))
    }

    #[test]
    fn each_value_is_one_segment_of_the_url() {
        assert_eq!(url("https://h/a/{id}?q=1", "../admin").unwrap(), "https://h/a/..%2Fadmin?q=1");
        assert_eq!(url("https://h/{id}", "a b%2f?#é").unwrap(), "https://h/a%20b%252f%3F%23%C3%A9");
        assert_eq!(url("https://h:8443/{ id }/x", 42).unwrap(), "https://h:8443/42/x");
        assert_eq!(url("https://h/a%20b/Appt('{id}')", "A-z_0.9~").unwrap(), "https://h/a%20b/Appt('A-z_0.9~')");
    }

    #[test]
    fn a_value_that_makes_no_segment_is_refused_by_its_field_and_never_shown() {
        for bad in [Value::Null, "".into(), ".".into(), "..".into(), Value::Blob(vec![1]), Value::Real(f64::INFINITY)] {
            let reason = url("https://h/{id}", bad.clone());
            let reason = reason.unwrap_err();
            assert_eq!(reason.class, "template");
            assert!(reason.text.contains("`id`"), "{reason}");
        }
        let missing = Template::parse("https://h/{other}").unwrap().url(|_| None).unwrap_err();
        assert_eq!(missing.to_string(), "template: field `other` is missing");
    }

    #[test]
    fn doubled_braces_are_braces() {
        let template = Template::parse("{{{id}}}/{{}}").unwrap();
        assert_eq!(template.paths(), ["id"]);
        assert_eq!(template.url(|_| Some(&Value::Integer(7))).unwrap(), "{7}/{}");
    }

    #[test]
    fn a_broken_template_is_refused_with_its_place() {
        for (bad, part) in [
            ("ab{id", "character 3 is not closed"),
            ("ab}", "`}` without `{` at character 3"),
            ("{a{b}", "character 1 is not closed"),
            ("x{}", "character 2: the path is empty"),
            ("{a | upper}", "conversions belong in `mapping`"),
            ("{a..b}", "empty part"),
            ("{$event.idd}", "did you mean `id`?"),
        ] {
            let error = Template::parse(bad).unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }

    #[test]
    fn a_host_never_comes_from_data() {
        for bad in [
            "{base}/x",
            "https://{host}/x",
            "https://h:{port}/x",
            "https://h{id}",
            "{scheme}://h/",
            "https:///{id}",
            "/x/{id}",
            "https{x}://h/",
            "",
            "x?u=https://h/{id}",
        ] {
            assert!(Template::parse_url(bad).is_err(), "{bad}");
        }
        for good in ["https://h", "https://h/{id}", "https://h?q={id}", "https://user.h:1/{a}/{b}"] {
            assert!(Template::parse_url(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_header_takes_visible_ascii_only() {
        let header = |value: Value| Template::parse("{id}-x").unwrap().header(|_| Some(&value));
        assert_eq!(header(Value::Integer(42)).unwrap(), "42-x");
        for bad in ["", " a", "a\n", "ä{id}", "{id"] {
            assert!(Template::parse_header(bad).is_err(), "{bad}");
        }
        assert!(Template::parse_header("of042 {id}").is_ok());
        for bad in ["a\r\nX: y", "a b", "é", "", "\u{7f}", "a\0"] {
            assert_eq!(header(bad.into()).unwrap_err().class, "template");
        }
    }

    proptest! {
        #[test]
        fn no_value_ever_adds_a_segment_a_query_or_a_fragment(a in any::<String>(), b in any::<String>()) {
            let (a, b) = (Value::Text(a.into()), Value::Text(b.into()));
            let template = Template::parse_url("https://h/x/{a}/.{b}?q={a}").unwrap();
            if let Ok(url) = template.url(|path| Some(if path == "a" { &a } else { &b })) {
                prop_assert!(url.is_ascii());
                prop_assert_eq!(url.matches('/').count(), 5);
                prop_assert_eq!(url.matches('?').count(), 1);
                prop_assert!(!url.contains('#'));
                let path = url.split('?').next().unwrap();
                prop_assert!(path.split('/').skip(3).all(|segment| !matches!(segment, "" | "." | "..")));
            }
        }
    }
}
