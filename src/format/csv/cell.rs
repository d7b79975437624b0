//! One value to the text of its cell, and back.

use std::borrow::Cow;

use super::{Code, Column, Dialect, Kind, LineBreaks, Numbers, Point, is_break};
use crate::event::Value;

/// A value as text, before quotes and code page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Number {
        text: String,
        /// For totals: plain digits, see [`Numbers`].
        digits: String,
    },
}

impl Cell {
    /// What stands in the file for it; null is said by the dialect.
    pub(super) fn text(&self) -> &str {
        match self {
            Cell::Null => "",
            Cell::Text(text) | Cell::Number { text, .. } => text,
        }
    }
}

impl Column {
    /// The cell of a value.
    pub(super) fn cell(&self, value: &Value, dialect: &Dialect) -> Result<Cell, Code> {
        let cell = match (&self.kind, value) {
            (_, Value::Null) if self.required => return Err(Code::Null),
            (_, Value::Null) => return Ok(Cell::Null),
            (_, Value::Blob(_) | Value::BadText(_) | Value::List(_) | Value::Map(_)) => return Err(Code::Kind),
            (Kind::Converted(convert), _) => match convert.apply(value.clone()).map_err(|_| Code::Conversion)? {
                Value::Null => return Ok(Cell::Null),
                converted => match dialect.numbers.point {
                    Point::Implied(_) => any(&converted, &Numbers::default(), dialect)?,
                    Point::Point | Point::Comma => any(&converted, &dialect.numbers, dialect)?,
                },
            },
            (Kind::Number(numbers), _) => number(value, numbers)?,
            (Kind::Boolean(yes, no), _) => Cell::Text(boolean(value, yes, no)?),
            (Kind::Text, Value::Integer(_) | Value::Real(_) | Value::Number(_)) => {
                Cell::Text(Numbers::default().write(value)?.text)
            }
            (Kind::Text | Kind::Any, _) => any(value, &dialect.numbers, dialect)?,
        };
        match cell {
            Cell::Text(text) => Ok(Cell::Text(fit(text, dialect)?)),
            Cell::Number { ref text, .. } if text.contains(|char| dialect.forbid.contains(&char)) => {
                Err(Code::Forbidden)
            }
            cell => Ok(cell),
        }
    }

    /// The value of a cell's text. A column of [`Kind::Any`] gives text: a file does not say what is a number.
    pub(super) fn value(&self, text: Cow<str>) -> Result<Value, Code> {
        match &self.kind {
            Kind::Number(numbers) => numbers.read(&text),
            Kind::Boolean(yes, no) => match text {
                text if text == *yes => Ok(Value::Bool(true)),
                text if text == *no => Ok(Value::Bool(false)),
                _ => Err(Code::NotABoolean),
            },
            Kind::Any | Kind::Text | Kind::Converted(_) => Ok(Value::from(&*text)),
        }
    }
}

fn number(value: &Value, numbers: &Numbers) -> Result<Cell, Code> {
    let written = numbers.write(value)?;
    Ok(Cell::Number { text: written.text, digits: written.digits })
}

/// As the value's own kind says.
fn any(value: &Value, numbers: &Numbers, dialect: &Dialect) -> Result<Cell, Code> {
    match value {
        Value::Bool(flag) => {
            let (yes, no) = &dialect.booleans;
            Ok(Cell::Text(if *flag { yes.clone() } else { no.clone() }))
        }
        Value::Text(text) => Ok(Cell::Text(text.to_string())),
        Value::Integer(_) | Value::Real(_) | Value::Number(_) => number(value, numbers),
        Value::Null | Value::BadText(_) | Value::Blob(_) | Value::List(_) | Value::Map(_) => Err(Code::Kind),
    }
}

fn boolean(value: &Value, yes: &str, no: &str) -> Result<String, Code> {
    match value {
        Value::Bool(true) | Value::Integer(1) => Ok(yes.to_owned()),
        Value::Bool(false) | Value::Integer(0) => Ok(no.to_owned()),
        _ => Err(Code::NotABoolean),
    }
}

/// The text as the dialect lets it stand: without what it forbids, line breaks as it says.
fn fit(text: String, dialect: &Dialect) -> Result<String, Code> {
    let plain = |char: char| !char.is_control() && !dialect.forbid.contains(&char);
    let guarded = dialect.formula_guard && text.starts_with(['=', '+', '-', '@']);
    if !guarded && text.chars().all(plain) {
        return Ok(text);
    }
    let mut out = String::with_capacity(text.len() + 1);
    if guarded {
        out.push('\'');
    }
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if dialect.forbid.contains(&char) {
            return Err(Code::Forbidden);
        }
        match (is_break(char), dialect.line_breaks) {
            (true, LineBreaks::Reject) => return Err(Code::LineBreak),
            (true, LineBreaks::Space) => {
                if char == '\r' {
                    let _ = chars.next_if_eq(&'\n');
                }
                out.push(' ');
            }
            (true, LineBreaks::Keep) => out.push(char),
            // A tab is text; a delimiter among the control characters is for the quotes to decide.
            (false, _) if char.is_control() && char != '\t' && Some(char) != dialect.delimiter => {
                return Err(Code::Control);
            }
            (false, _) => out.push(char),
        }
    }
    Ok(out)
}
