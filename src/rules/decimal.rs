//! Decimal numbers as text, compared and calculated without rounding.

use crate::event::Value;

/// A number in decimal notation: `±digits × 10^exponent`, in one form for each number, however long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty = zero.
    digits: String,
    exponent: i64,
}

/// Significant digits that every double holds (IEEE 754 binary64).
const DOUBLE_DIGITS: usize = 15;

impl Decimal {
    /// Reads `-12`, `+0.5`, `1.50e3`; None for anything else.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (number, power) = match text.split_once(['e', 'E']) {
            Some((number, power)) => (number, power.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (number, ""),
        };
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let all = [whole, fraction].concat();
        let kept = all.trim_end_matches('0');
        let zeros = i64::try_from(all.len() - kept.len()).ok()?;
        let exponent = power.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
        let digits = kept.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits: String::new(), exponent: 0 });
        }
        Some(Decimal { negative, digits: digits.to_owned(), exponent })
    }

    /// A number of a record, or a text that is one (spaces around it do not count). None for other kinds.
    pub fn of(value: &Value) -> Option<Decimal> {
        match value {
            Value::Integer(_) | Value::Real(_) | Value::Number(_) | Value::Text(_) => {
                Decimal::parse(value.as_text()?.trim())
            }
            _ => None,
        }
    }

    /// The double that stands for exactly this number in its shortest form, if there is one.
    pub fn to_double(&self) -> Option<f64> {
        let double = self.nearest_double();
        let short = double.is_finite() && self.digits.len() <= DOUBLE_DIGITS && (-280..280).contains(&self.exponent);
        (short || (double.is_finite() && Decimal::parse(&format!("{double:e}")).as_ref() == Some(self)))
            .then_some(double)
    }

    /// The double nearest to this number; infinite when it is beyond all.
    pub fn nearest_double(&self) -> f64 {
        let sign = if self.negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        format!("{sign}{digits}e{}", self.exponent).parse().unwrap_or(f64::INFINITY)
    }

    /// The 64-bit integer that is this number, if there is one.
    pub fn to_integer(&self) -> Option<i64> {
        i64::try_from(self.to_whole()?).ok()
    }

    /// The integer that is this number, if there is one of 128 bits.
    pub fn to_whole(&self) -> Option<i128> {
        let (number, exponent) = self.scaled()?;
        number.checked_mul(10_i128.checked_pow(u32::try_from(exponent).ok()?)?)
    }

    /// As number and power of ten, when that can be calculated with.
    fn scaled(&self) -> Option<(i128, i64)> {
        if self.digits.is_empty() {
            return Some((0, 0));
        }
        let number: i128 = self.digits.parse().ok()?;
        Some((if self.negative { -number } else { number }, self.exponent))
    }

    /// This number times `up / down` plus `(offset.0 / offset.1)`, when the result is a decimal number of bearable
    /// length; None means that it has no end (20 / 3), is too long, or divides by zero.
    pub fn times(&self, up: i128, down: i128, offset: (i128, i128)) -> Option<Decimal> {
        let (number, exponent) = self.scaled()?;
        // As one fraction over the common denominator.
        let tens = 10_i128.checked_pow(u32::try_from(exponent.unsigned_abs()).ok()?)?;
        let (grow, shrink) = if exponent < 0 { (1, tens) } else { (tens, 1) };
        let (top, bottom) = reduced(number.checked_mul(grow)?.checked_mul(up)?, shrink.checked_mul(down)?)?;
        let (add, under) = reduced(offset.0, offset.1)?;
        let sum = top.checked_mul(under)?.checked_add(add.checked_mul(bottom)?)?;
        let (mut top, mut bottom) = reduced(sum, bottom.checked_mul(under)?)?;
        let mut power = 0_i64;
        while bottom != 1 {
            let step = if bottom % 10 == 0 {
                (1, 10)
            } else if bottom % 2 == 0 {
                (5, 2)
            } else if bottom % 5 == 0 {
                (2, 5)
            } else {
                return None;
            };
            (top, bottom) = (top.checked_mul(step.0)?, bottom / step.1);
            power -= 1;
        }
        Decimal::parse(&format!("{top}e{power}"))
    }

    /// As a value: an integer where that is exact and `whole` is wanted, else a double where that is exact, else the
    /// digits.
    pub fn to_value(&self, whole: bool) -> Value {
        match (self.to_integer(), self.to_double()) {
            (Some(integer), _) if whole => Value::Integer(integer),
            (_, Some(double)) => Value::Real(double),
            _ => Value::Number(self.shortest().into()),
        }
    }

    /// In the digits of a JSON number: one spelling for each number, the shortest of a bearable length.
    pub fn shortest(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        let places = usize::try_from(-self.exponent).unwrap_or(0);
        match self.exponent {
            0 => format!("{sign}{digits}"),
            1..=40 => format!("{sign}{digits}{}", "0".repeat(usize::try_from(self.exponent).unwrap_or(0))),
            -40..0 if places >= digits.len() => format!("{sign}0.{}{digits}", "0".repeat(places - digits.len())),
            -40..0 => {
                let (whole, fraction) = digits.split_at(digits.len() - places);
                format!("{sign}{whole}.{fraction}")
            }
            exponent => format!("{sign}{digits}e{exponent}"),
        }
    }
}

/// A fraction in lowest terms with a positive denominator.
fn reduced(top: i128, bottom: i128) -> Option<(i128, i128)> {
    if bottom == 0 || top == i128::MIN || bottom == i128::MIN {
        return None;
    }
    let (mut a, mut b) = (top.abs(), bottom.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let sign = if bottom < 0 { -1 } else { 1 };
    Some((sign * top / a, sign * bottom / a))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_one_number_are_equal() {
        for (a, b) in [("1.50e3", "1500"), ("-0", "0.000"), ("+0.5", "5e-1"), ("007", "7"), ("1e-3", "0.001")] {
            assert_eq!(decimal(a), decimal(b));
        }
        assert_ne!(decimal("0.30000000000000000000001"), decimal("0.3"));
        for bad in ["", "-", "1.", ".5", "1e", "0x1", "1 2", "NaN", "inf", "1e99999999999999999999", "--1", "½"] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_double_is_given_only_for_the_number_that_it_shows() {
        assert_eq!(decimal("0.1").to_double(), Some(0.1));
        assert_eq!(decimal("0.30000000000000004").to_double(), Some(0.300_000_000_000_000_04));
        assert_eq!(decimal("0.300000000000000041").to_double(), None);
        assert_eq!(decimal("1e400").to_double(), None);
        assert_eq!(decimal("1e-400").to_double(), None);
        assert_eq!(decimal("5e-324").to_double(), Some(5e-324));
    }

    #[test]
    fn arithmetic_is_exact_or_refused() {
        let value = |text: &str, up, down| decimal(text).times(up, down, (0, 1)).map(|number| number.to_value(true));
        assert_eq!(value("20", 60, 1), Some(Value::Integer(1200)));
        assert_eq!(value("90", 1, 60), Some(Value::Real(1.5)));
        assert_eq!(value("20", 1, 60), None);
        assert_eq!(value("0.1", 3, 1), Some(Value::Real(0.3)));
        assert_eq!(value("12345678901234567.25", 1, 1), Some(Value::Number("12345678901234567.25".into())));
        assert_eq!(decimal("98.6").times(5, 9, (-160, 9)), Some(decimal("37")));
        assert_eq!(value("1", 1, 0), None);
        assert_eq!(value("1e300", 1, 1), None);
    }

    #[test]
    fn an_integer_is_given_to_the_last_of_its_64_bits() {
        assert_eq!(decimal("9223372036854775807").to_integer(), Some(i64::MAX));
        assert_eq!(decimal("-9223372036854775808").to_integer(), Some(i64::MIN));
        assert_eq!(decimal("9223372036854775808").to_integer(), None);
        assert_eq!(decimal("1.5").to_integer(), None);
        assert_eq!(decimal("1200").to_integer(), Some(1200));
        assert_eq!(decimal("-0.00025").shortest(), "-0.00025");
        assert_eq!(decimal("12.5e50").shortest(), "125e49");
    }

    proptest! {
        #[test]
        fn every_double_is_found_again_in_its_digits(double in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
            prop_assert_eq!(Decimal::of(&Value::Real(double)).unwrap().to_double(), Some(double));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eE]{0,30}", up in any::<i128>(), down in any::<i128>()) {
            if let Some(number) = Decimal::parse(&text) {
                let _ = (number.times(up, down, (down, up)), number.to_value(true));
            }
        }
    }
}
