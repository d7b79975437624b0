//! Texts with expressions in braces.

use std::fmt;

use super::{Came, Expression, Scope};
use crate::event::Value;
use crate::rules::escape;
use crate::rules::outcome::Reason;

/// How a value is written where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// One segment of a path or one value of a query: percent-encoded; empty, `.` and `..` are refused.
    Url,
    /// A header field: visible ASCII; empty is refused.
    Header,
    /// XML text or attribute.
    Xml,
    /// A field of HL7 v2.
    Hl7,
    /// As it is; null is empty.
    Plain,
}

/// A text with expressions: `{id}`, `{start | convert('iso -> hl7')}`; `{{` and `}}` are braces.
#[derive(Debug)]
pub struct Text {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Value(Expression),
}

impl Text {
    /// Parses; errors say at which character.
    pub fn parse(text: &str) -> Result<Text, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        let at = |rest: &str| text.get(..text.len() - rest.len()).unwrap_or_default().chars().count() + 1;
        while let Some(char) = rest.chars().next() {
            let after = rest.get(char.len_utf8()..).unwrap_or_default();
            match char {
                '{' | '}' if after.starts_with(char) => {
                    literal.push(char);
                    rest = after.get(1..).unwrap_or_default();
                }
                '}' => {
                    return Err(format!("`}}` without `{{` at character {}: write `}}}}` for a brace", at(rest)));
                }
                '{' => {
                    let Some(end) = closing(after) else {
                        return Err(format!("`{{` at character {} is not closed: write `{{{{` for a brace", at(rest)));
                    };
                    let (inside, tail) = after.split_at(end);
                    let value = Expression::compile(inside)
                        .map_err(|what| format!("in the braces at character {}: {what}", at(rest)))?;
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Value(value));
                    rest = tail.get(1..).unwrap_or_default();
                }
                char => {
                    literal.push(char);
                    rest = after;
                }
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Text { pieces })
    }

    /// Its expressions.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(expression) => Some(expression),
            Piece::Literal(_) => None,
        })
    }

    /// Its one expression, when there is nothing else in it.
    pub fn alone(&self) -> Option<&Expression> {
        match self.pieces.as_slice() {
            [Piece::Value(expression)] => Some(expression),
            _ => None,
        }
    }

    /// What stands before the first expression.
    pub fn start(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// The text, when it has no expression.
    pub fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Its value: of one expression alone with its type; else text. None = `omit`.
    pub fn value(&self, scope: &Scope) -> Result<Option<Value>, Reason> {
        match self.pieces.as_slice() {
            [Piece::Value(expression)] => Ok(expression.eval(scope)?.value),
            _ => Ok(Some(Value::Text(self.write(scope, Escape::Plain)?.into()))),
        }
    }

    /// The text with its values, each escaped for where it stands.
    pub fn write(&self, scope: &Scope, how: Escape) -> Result<String, Reason> {
        let mut out = String::with_capacity(64);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Value(expression) => {
                    // A setting of the connector that stands in an address as it is may be nothing: a folder, a prefix.
                    let is_setting = how == Escape::Url && expression.uses("raw");
                    let came = expression.eval(scope)?;
                    if is_setting && came.value.as_ref().and_then(Value::as_text).is_some_and(|text| text.is_empty()) {
                        continue;
                    }
                    put(&mut out, &came, how).map_err(|what| refused(expression, what))?;
                }
            }
        }
        Ok(out)
    }
}

fn put(out: &mut String, came: &Came, how: Escape) -> Result<(), &'static str> {
    let value = came.value.as_ref().unwrap_or(&Value::Null);
    let text = match value {
        Value::Null => std::borrow::Cow::Borrowed(""),
        value => value.as_text().ok_or("is not a single value")?,
    };
    match how {
        Escape::Url | Escape::Header if text.is_empty() => return Err("is empty"),
        Escape::Url if text == "." || text == ".." => return Err("is a relative path segment"),
        Escape::Header if !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') => {
            return Err("holds a character that is not visible ASCII");
        }
        _ if came.safe => out.push_str(&text),
        Escape::Url => out.push_str(&escape::percent(&text)),
        Escape::Xml => out.push_str(&escape::xml(&text).map_err(|_| "holds a character that XML cannot hold")?),
        Escape::Hl7 => out.push_str(&escape::hl7(&text)),
        Escape::Header | Escape::Plain => out.push_str(&text),
    }
    Ok(())
}

fn refused(expression: &Expression, what: &str) -> Reason {
    Reason::new("encoding", format!("`{}` {what}", expression.as_str()))
}

/// Where the brace closes that was opened before the text: not in a quoted text, not of a table inside.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0usize, None, false);
    for (at, char) in text.char_indices() {
        match (quote, char) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), char) if char == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(char),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
                Piece::Value(expression) => write!(f, "{{{}}}", expression.as_str())?,
            }
        }
        Ok(())
    }
}
