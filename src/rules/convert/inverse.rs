//! What undoes a converter, where something does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Step;
use super::text::Word;
use super::units::Scale;
use crate::event::Value;
use crate::rules::decimal::Decimal;

/// The way back of a converter.
#[derive(Clone, Debug)]
pub enum Back {
    /// The value as it is: what was taken away told nothing.
    Same,
    /// Blanks at both ends taken off, which a converter added or took off.
    Trim,
    /// The digits behind zeros that filled up.
    Digits,
    /// `true` is 1, `false` 0: SQLite has no booleans.
    Bit,
    /// The bytes that were written in base64.
    Bytes,
    /// From the second unit of this to its first.
    Units(Scale),
}

/// The digits to which a result is rounded, where that is what the converter made the value of: measures that people write
/// down have few.
const DIGITS: [usize; 2] = [12, 14];

/// Up to here a double holds every integer.
const WHOLE: f64 = 9_007_199_254_740_992.0;

impl Back {
    /// The way back of a word; none when what it takes away is gone. `before` is the step before it.
    pub(super) fn of(word: &Word, before: Option<&Step>) -> Option<Back> {
        let is_number = matches!(before, Some(Step::Text(Word::Integer)));
        match word {
            Word::Text | Word::Integer | Word::Number => Some(Back::Same),
            Word::Trim | Word::PadLeft(_, ' ') | Word::PadRight(_, ' ') => Some(Back::Trim),
            Word::PadLeft(_, '0') if is_number => Some(Back::Digits),
            Word::Boolean => Some(Back::Bit),
            Word::Base64 => Some(Back::Bytes),
            Word::Upper | Word::Lower | Word::Sha256 | Word::Substr(..) | Word::PadLeft(..) | Word::PadRight(..) => {
                None
            }
        }
    }

    /// Goes back; the error is what it wants.
    pub fn apply(&self, value: Value) -> Result<Value, &'static str> {
        match self {
            Back::Same => Ok(value),
            Back::Trim => match &value {
                Value::Text(text) => Ok(Value::from(text.trim())),
                _ => Ok(value),
            },
            Back::Digits => match Decimal::of(&value).and_then(|number| number.to_integer()) {
                Some(number) => Ok(Value::Integer(number)),
                None => Err("a whole number, or a text that is one"),
            },
            Back::Bit => match value {
                Value::Bool(flag) => Ok(Value::Integer(i64::from(flag))),
                Value::Integer(0 | 1) => Ok(value),
                _ => Err("true or false"),
            },
            Back::Bytes => {
                let bytes = match &value {
                    Value::Text(text) => STANDARD.decode(text.trim()).ok(),
                    _ => None,
                };
                bytes.map(Value::Blob).ok_or("a text in base64")
            }
            Back::Units(scale) => measure(scale, &value),
        }
    }
}

/// The measure in the first unit that the second is: the one of few digits, where there is one.
fn measure(scale: &Scale, value: &Value) -> Result<Value, &'static str> {
    let back = scale.inverse().apply(value)?;
    let rough = match (&back, Decimal::of(&back)) {
        (Value::Real(_) | Value::Number(_), Some(number)) => number.nearest_double(),
        _ => return Ok(back),
    };
    let makes = |number: f64| {
        let there = scale.apply(&Value::Real(number)).ok()?;
        (Decimal::of(&there)?.nearest_double() == Decimal::of(value)?.nearest_double()).then_some(number)
    };
    let short = |digits: usize| format!("{rough:.digits$e}").parse().ok().and_then(makes);
    let Some(number) = DIGITS.into_iter().find_map(short).filter(|number| *number != rough) else { return Ok(back) };
    let whole = number.fract() == 0.0 && number.abs() < WHOLE;
    Ok(if whole { Value::Integer(number as i64) } else { Value::Real(number) })
}
