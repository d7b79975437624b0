//! Numbers in text files: decimal, exact, in the places that were agreed.

use super::Code;
use crate::event::Value;
use crate::rules::decimal::Decimal;

/// How numbers are written. The default is `-12.5`: a point, as many places as there are, the sign in front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// What stands before the decimal places.
    pub point: Point,
    /// Exactly so many decimal places; none = as many as the number has. Not with [`Point::Implied`], which says it.
    pub places: Option<u32>,
    /// Where the sign of a negative number stands.
    pub sign: Sign,
    /// What stands in the sign's place of a number that is not negative; none = nothing.
    pub plus: Option<char>,
    /// Zeros fill it up to so many characters, sign and point counted; none = they do not.
    pub width: Option<usize>,
}

/// What stands before the decimal places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Point {
    /// `.`
    #[default]
    Point,
    /// `,`
    Comma,
    /// Nothing, and there are so many: 12.5 with 2 is 1250.
    Implied(u32),
}

/// Where the sign of a negative number stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sign {
    /// In front of the digits and their zeros.
    #[default]
    Leading,
    /// Behind.
    Trailing,
    /// Nowhere: a negative number does not fit.
    None,
}

/// A number as it was written, and what totals calculate with.
pub(super) struct Written {
    /// As it stands in the file.
    pub(super) text: String,
    /// The same in plain digits with a leading sign; implied places are digits like all others.
    pub(super) digits: String,
}

/// Decimal places that can be written.
const MOST_PLACES: u32 = 18;

impl Numbers {
    pub(super) fn check(&self) -> Result<(), String> {
        let implied = match self.point {
            Point::Implied(places) => Some(places),
            Point::Point | Point::Comma => None,
        };
        if implied.is_some() && self.places.is_some() {
            return Err("implied decimals say already how many places there are".to_owned());
        }
        if implied.or(self.places).is_some_and(|places| places > MOST_PLACES) {
            return Err(format!("a number has at most {MOST_PLACES} decimal places here"));
        }
        if self.plus.is_some() && self.sign == Sign::None {
            return Err("no sign is written, so none for plus".to_owned());
        }
        if self.plus.is_some_and(|plus| plus == '-' || plus.is_ascii_digit()) {
            return Err("the sign for plus cannot be a `-` or a digit".to_owned());
        }
        match self.width {
            Some(0) => Err("a width of 0 has no place for a number".to_owned()),
            _ => Ok(()),
        }
    }

    /// Writes a number, or a text that is one.
    pub(super) fn write(&self, value: &Value) -> Result<Written, Code> {
        let (units, places) = self.units(value)?;
        let magnitude = units.unsigned_abs();
        let negative = units < 0;
        let sign = match (negative, self.sign) {
            (true, Sign::None) => return Err(Code::Negative),
            (true, _) => "-".to_owned(),
            (false, _) => self.plus.map(String::from).unwrap_or_default(),
        };
        let minus = if negative { "-" } else { "" };
        let (digits, plain) = match self.point {
            Point::Implied(_) => (magnitude.to_string(), format!("{minus}{magnitude}")),
            point => {
                let all = format!("{magnitude:0width$}", width = places + 1);
                let (whole, fraction) = all.split_at(all.len() - places);
                let with = |point: &str| match fraction {
                    "" => whole.to_owned(),
                    fraction => format!("{whole}{point}{fraction}"),
                };
                (with(if point == Point::Comma { "," } else { "." }), format!("{minus}{}", with(".")))
            }
        };
        let length = digits.len() + sign.chars().count();
        let fill = match self.width {
            None => 0,
            Some(width) => width.checked_sub(length).ok_or(Code::Overflow)?,
        };
        let zeros = "0".repeat(fill);
        let text = match self.sign {
            Sign::Trailing => format!("{zeros}{digits}{sign}"),
            Sign::Leading | Sign::None => format!("{sign}{zeros}{digits}"),
        };
        Ok(Written { text, digits: plain })
    }

    /// The number in units of its last decimal place, and how many places there are.
    fn units(&self, value: &Value) -> Result<(i128, usize), Code> {
        let asked = match self.point {
            Point::Implied(places) => Some(places),
            Point::Point | Point::Comma => self.places,
        };
        if let (Value::Integer(number), None | Some(0)) = (value, asked) {
            return Ok((i128::from(*number), 0));
        }
        let decimal = match value {
            Value::Integer(_) | Value::Real(_) | Value::Number(_) | Value::Text(_) => Decimal::of(value),
            _ => None,
        };
        let decimal = decimal.ok_or(Code::NotANumber)?;
        let with = |places: u32| decimal.times(10_i128.checked_pow(places)?, 1, (0, 1))?.to_whole();
        let fewest = (0..=MOST_PLACES).find_map(|places| Some((with(places)?, places)));
        match (asked, fewest) {
            (None, Some((units, places))) => Ok((units, usize::try_from(places).map_err(|_| Code::Overflow)?)),
            (Some(asked), Some((_, places))) if places > asked => Err(Code::Inexact),
            (Some(asked), Some(_)) => {
                Ok((with(asked).ok_or(Code::Overflow)?, usize::try_from(asked).map_err(|_| Code::Overflow)?))
            }
            // Too large, or with more places than any number here has.
            (_, None) => Err(Code::Overflow),
        }
    }

    /// Reads what [`write`](Numbers::write) wrote; zeros and spaces in front do not count.
    pub(super) fn read(&self, text: &str) -> Result<Value, Code> {
        let text = text.trim();
        let plus = |char: char| Some(char) == self.plus || char == '+';
        let (negative, digits) = match self.sign {
            Sign::None => (false, text),
            Sign::Leading => match text.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, text.strip_prefix(plus).unwrap_or(text)),
            },
            Sign::Trailing => match text.strip_suffix('-') {
                Some(digits) => (true, digits),
                None => (false, text.strip_suffix(plus).unwrap_or(text)),
            },
        };
        let (whole, fraction) = match self.point {
            Point::Point => digits.split_once('.').unwrap_or((digits, "")),
            Point::Comma => digits.split_once(',').unwrap_or((digits, "")),
            Point::Implied(_) => (digits, ""),
        };
        let all = [whole, fraction].concat();
        if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Code::NotANumber);
        }
        let places = match self.point {
            Point::Implied(places) => usize::try_from(places).map_err(|_| Code::Overflow)?,
            Point::Point | Point::Comma => fraction.len(),
        };
        let sign = if negative { "-" } else { "" };
        let decimal = Decimal::parse(&format!("{sign}{all}e-{places}")).ok_or(Code::NotANumber)?;
        Ok(decimal.to_value(true))
    }
}
