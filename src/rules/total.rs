//! Totals of a file: counts, sums and checks of its records, for headers, trailers and control files.
//!
//! They are taken of the values as they were encoded, so that a total says what the receiver reads. Memory does not grow
//! with the file. Arithmetic is decimal and exact; a sum that cannot be calculated is an error, never a wrong number.
//!
//! | Expression | Total |
//! |---|---|
//! | `count()` | detail records |
//! | `count(*)` | all records that were passed, headers and trailers too |
//! | `count(DT)` | records of type `DT` |
//! | `bytes()` | bytes of all records that were passed |
//! | `sum(F)` | sum of field `F` |
//! | `abs(F)` | sum of its absolute values |
//! | `min(F)`, `max(F)` | smallest and largest value; nothing when there was none |
//! | `hash(F, 10)` | sum modulo 10^10 of the digits of an identifier, whatever its sign |
//!
//! A last argument `where=` takes only some records: `sum(AMOUNT, where=SIDE = 'D' and AMOUNT > 0)`. A comparison is a
//! field, one of `=` `!=` `<` `<=` `>` `>=`, and a number or a text in `'` (`''` is one `'`; only `=` and `!=`; spaces at
//! the end do not count). A record without the field is not taken. Only detail records have fields.

mod expression;

use std::cmp::Ordering;

use crate::rules::outcome::Reason;

pub use expression::Expression;
use expression::{Literal, Test, What};

/// The digits to which a hash total can be taken.
pub const HASH_DIGITS: u32 = 36;

/// A record as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'r> {
    /// Its record type, for `count(TYPE)`; empty when the file has only one.
    pub kind: &'r str,
    /// False for headers and trailers.
    pub detail: bool,
    /// Its length in the file, with what ends it.
    pub bytes: u64,
    /// Its fields by name, as encoded. A field that occurs several times stands here several times, and each counts.
    pub fields: &'r [(&'r str, Encoded<'r>)],
}

/// The value of a field as it was encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded<'r> {
    /// Text; a number in it as `-12.50`, a sign may stand behind.
    Text(&'r str),
    /// The number `units / 10^scale`.
    Number {
        /// In units of its last digit.
        units: i128,
        /// Decimal places.
        scale: u32,
    },
}

impl<'r> From<&'r str> for Encoded<'r> {
    fn from(text: &'r str) -> Encoded<'r> {
        Encoded::Text(text)
    }
}

impl Encoded<'_> {
    /// As a number; none when it is blank.
    fn number(self, field: &str) -> Result<Option<Number>, Reason> {
        match self {
            Encoded::Number { units, scale } => Ok(Some(Number { units, scale })),
            Encoded::Text(text) if text.trim().is_empty() => Ok(None),
            Encoded::Text(text) => Number::parse(text.trim()).map(Some).ok_or_else(|| not_a_number(text, field)),
        }
    }
}

/// Totals in the making.
#[derive(Clone, Debug)]
pub struct Totals {
    expressions: Vec<Expression>,
    states: Vec<State>,
    /// The states with the next record, until all of it fits.
    next: Vec<State>,
}

/// What one total has come to.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    sum: Number,
    seen: bool,
}

/// `units / 10^scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Number {
    units: i128,
    scale: u32,
}

impl Number {
    /// Reads `12`, `-12.50`, `12.50-`; None for anything else.
    fn parse(text: &str) -> Option<Number> {
        let (negative, digits) = match text.strip_prefix(['-', '+']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (text.ends_with('-'), text.strip_suffix(['-', '+']).unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || digits.ends_with('.') {
            return None;
        }
        let mut units = 0_i128;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
            units = units.checked_mul(10)?.checked_add(digit)?;
        }
        Some(Number { units: if negative { -units } else { units }, scale: u32::try_from(fraction.len()).ok()? })
    }

    /// Both with the larger scale.
    fn align(self, other: Number) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let grown = |number: Number| number.units.checked_mul(10_i128.checked_pow(scale - number.scale)?);
        Some((grown(self)?, grown(other)?, scale))
    }

    fn plus(self, other: Number) -> Option<Number> {
        let (a, b, scale) = self.align(other)?;
        Some(Number { units: a.checked_add(b)?, scale })
    }

    fn compare(self, other: Number) -> Option<Ordering> {
        self.align(other).map(|(a, b, _)| a.cmp(&b))
    }

    fn show(self) -> String {
        let sign = if self.units < 0 { "-" } else { "" };
        let width = usize::try_from(self.scale).unwrap_or(0) + 1;
        let digits = format!("{:0width$}", self.units.unsigned_abs());
        match digits.len() - (width - 1) {
            whole if width > 1 => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
            _ => format!("{sign}{digits}"),
        }
    }
}

impl Totals {
    /// Nothing counted yet.
    pub fn new(expressions: Vec<Expression>) -> Totals {
        let states = vec![State::default(); expressions.len()];
        Totals { next: states.clone(), states, expressions }
    }

    /// Takes one record. When that is refused, no total has taken any of it. Reasons: `not-a-number` (the value of a field
    /// that is summed has other characters; blank is no value and counts for nothing), `not-a-text` (a number is compared
    /// with a text) and `overflow` (more than 38 digits).
    pub fn take(&mut self, record: &Counted) -> Result<(), Reason> {
        self.next.copy_from_slice(&self.states);
        for (expression, state) in self.expressions.iter().zip(&mut self.next) {
            state.take(expression, record)?;
        }
        std::mem::swap(&mut self.states, &mut self.next);
        Ok(())
    }

    /// What the totals come to, in the order of their expressions: `-12.50`, with as many decimal places as the values
    /// had. None for the smallest or largest of nothing.
    pub fn results(&self) -> Vec<Option<String>> {
        let result = |(expression, state): (&Expression, &State)| match expression.what {
            What::Min(_) | What::Max(_) if !state.seen => None,
            _ => Some(state.sum.show()),
        };
        self.expressions.iter().zip(&self.states).map(result).collect()
    }
}

impl State {
    fn take(&mut self, expression: &Expression, record: &Counted) -> Result<(), Reason> {
        for test in &expression.tests {
            if !record.detail || !holds(test, record)? {
                return Ok(());
            }
        }
        let overflow = || Reason::new("overflow", format!("the total `{expression}` is larger than can be calculated"));
        let by = |units: u64| Number { units: i128::from(units), scale: 0 };
        let field = match &expression.what {
            What::Details | What::All | What::Type(_) => {
                let counts = match &expression.what {
                    What::Type(kind) => record.kind == kind,
                    What::Details => record.detail,
                    _ => true,
                };
                self.sum = self.sum.plus(by(u64::from(counts))).ok_or_else(overflow)?;
                return Ok(());
            }
            What::Bytes => {
                self.sum = self.sum.plus(by(record.bytes)).ok_or_else(overflow)?;
                return Ok(());
            }
            What::Sum(field) | What::Abs(field) | What::Min(field) | What::Max(field) | What::Hash(field, _) => field,
        };
        let values = record.fields.iter().filter(|(name, _)| record.detail && name == field);
        for (_, value) in values {
            match (&expression.what, value) {
                (What::Hash(_, digits), value) => self.hash(*value, *digits, field)?,
                (what, value) => {
                    if let Some(number) = value.number(field)? {
                        self.add(what, number).ok_or_else(overflow)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// None when it cannot be calculated.
    fn add(&mut self, what: &What, number: Number) -> Option<()> {
        let nearer = |than| Some(!self.seen || number.compare(self.sum)? == than);
        self.sum = match what {
            What::Abs(_) => self.sum.plus(Number { units: number.units.checked_abs()?, ..number })?,
            What::Min(_) if nearer(Ordering::Less)? => number,
            What::Max(_) if nearer(Ordering::Greater)? => number,
            What::Min(_) | What::Max(_) => self.sum,
            _ => self.sum.plus(number)?,
        };
        self.seen = true;
        Some(())
    }

    fn hash(&mut self, value: Encoded, digits: u32, field: &str) -> Result<(), Reason> {
        let modulus = 10_i128.pow(digits.min(HASH_DIGITS));
        let part = match value {
            Encoded::Text(text) if text.trim().is_empty() => return Ok(()),
            Encoded::Text(text) => remainder(text.trim(), modulus),
            Encoded::Number { units, .. } => i128::try_from(units.unsigned_abs() % modulus.unsigned_abs()).ok(),
        };
        let part = part.ok_or_else(|| not_a_number("", field))?;
        self.sum = Number { units: (self.sum.units + part) % modulus, scale: 0 };
        Ok(())
    }
}

/// The digits of an identifier modulo `modulus`; a sign does not count. None for anything else.
fn remainder(text: &str, modulus: i128) -> Option<i128> {
    let digits = text.strip_prefix(['-', '+']).or_else(|| text.strip_suffix(['-', '+'])).unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits
        .bytes()
        .try_fold(0_i128, |rest, byte| byte.is_ascii_digit().then(|| (rest * 10 + i128::from(byte - b'0')) % modulus))
}

/// Why a text is no number to calculate with.
fn not_a_number(text: &str, field: &str) -> Reason {
    let long = text.bytes().filter(u8::is_ascii_digit).count() > 38;
    match long {
        true => Reason::new("overflow", format!("field `{field}` has more digits than can be calculated with")),
        false => Reason::new("not-a-number", format!("field `{field}` is in a total and is not a number")),
    }
}

/// Whether a record passes one test of a `where`.
fn holds(test: &Test, record: &Counted) -> Result<bool, Reason> {
    let Some((_, value)) = record.fields.iter().find(|(name, _)| *name == test.field) else { return Ok(false) };
    match (&test.than, value) {
        (Literal::Text(than), Encoded::Text(text)) => Ok(test.is.accepts(text.trim_end().cmp(than.trim_end()))),
        (Literal::Text(_), Encoded::Number { .. }) => {
            Err(Reason::new("not-a-text", format!("field `{}` is a number and is compared with a text", test.field)))
        }
        (Literal::Number(than), value) => {
            let Some(number) = value.number(&test.field)? else { return Ok(false) };
            let order = Number::parse(than).and_then(|than| number.compare(than));
            Ok(test.is.accepts(order.ok_or_else(|| not_a_number("", &test.field))?))
        }
    }
}

#[cfg(test)]
#[path = "total/tests.rs"]
mod tests;
