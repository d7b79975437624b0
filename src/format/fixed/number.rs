//! Numbers: from the values of a row to digits, and digits to bytes and back. Decimal from end to end.
//!
//! Source of the bytes: IBM z/Architecture Principles of Operation, "Decimal instructions" (zoned and packed formats);
//! Micro Focus, "Sign representation in ASCII".

use std::io::Write as _;

use crate::event::Value;
use crate::format::codepage::CodePage;
use crate::format::fixed::{Code, Overpunch, Round};
use crate::format::layout::{Form, Number, Sign};
use crate::rules::decimal::Decimal;

/// Powers of ten up to the 31 digits of a record and beyond.
const TENS: [u128; 39] = {
    let mut tens = [1_u128; 39];
    let mut at = 1;
    while at < tens.len() {
        tens[at] = tens[at - 1] * 10;
        at += 1;
    }
    tens
};

/// The two digits of each number below 100, half a byte each.
const PAIRS: [u8; 100] = {
    let mut pairs = [0_u8; 100];
    let mut at = 0;
    while at < pairs.len() {
        pairs[at] = (((at / 10) << 4) | (at % 10)) as u8;
        at += 1;
    }
    pairs
};

/// Digits that the arithmetic of 64 bits carries.
const CHUNK: u64 = 1_000_000_000_000_000_000;

/// How a number stands in a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits {
    pub number: Number,
    pub round: Round,
    /// First value that has too many digits, or for COMP-5 too many bits.
    limit: u128,
    /// The digit zero, which the others follow, and the two signs.
    zero: u8,
    plus: u8,
    minus: u8,
    space: u8,
    over: Over,
    little: bool,
    blank_is_zero: bool,
}

/// How the sign shares the byte of a digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// In its upper half: C and D, F on reading.
    Zone,
    /// As the characters that those bytes are in EBCDIC.
    Image,
    /// Digits for plus, `p` to `y` for minus.
    MicroFocus,
}

/// What a number becomes: its sign, and its digits as one whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scaled {
    pub negative: bool,
    pub magnitude: u128,
}

impl Digits {
    pub fn new(
        number: Number,
        round: Round,
        page: &CodePage,
        overpunch: Option<Overpunch>,
        little: bool,
        blank_is_zero: bool,
    ) -> Digits {
        let length = number.length();
        let limit = match number.form {
            Form::Native => 1 << (length * 8 - usize::from(number.signed)),
            Form::Zoned(_) | Form::Packed | Form::Binary => tens(usize::from(number.digits)),
        };
        let over = match overpunch {
            _ if page.is_ebcdic() => Over::Zone,
            Some(Overpunch::MicroFocus) => Over::MicroFocus,
            _ => Over::Image,
        };
        let (plus, minus) = if page.is_ebcdic() { (0x4e, 0x60) } else { (b'+', b'-') };
        let little = little && number.form == Form::Native;
        let (zero, space) = (page.zero(), page.space());
        Digits { number, round, limit, zero, plus, minus, space, over, little, blank_is_zero }
    }

    /// Writes a value into `cell`, which has the item's length.
    pub fn encode(&self, value: &Value, cell: &mut [u8]) -> Result<(), Code> {
        let scaled = scaled(value, self.number.scale, self.round)?;
        self.put(scaled, cell)
    }

    /// Writes digits.
    pub fn put(&self, Scaled { negative, magnitude }: Scaled, cell: &mut [u8]) -> Result<(), Code> {
        // The one value that two's complement has below zero only.
        let lowest = self.number.form == Form::Native && self.number.signed && negative && magnitude == self.limit;
        if magnitude >= self.limit && !lowest {
            return Err(Code::Overflow);
        }
        if negative && !self.number.signed {
            return Err(Code::Negative);
        }
        if magnitude == 0 && self.number.blank_when_zero {
            cell.fill(self.space);
            return Ok(());
        }
        match self.number.form {
            Form::Zoned(sign) => self.zoned(sign, negative, magnitude, cell),
            Form::Packed => {
                let sign = match (self.number.signed, negative) {
                    (false, _) => 0xf,
                    (true, false) => 0xc,
                    (true, true) => 0xd,
                };
                packed(magnitude, sign, cell);
            }
            Form::Binary | Form::Native => {
                // As bits: two's complement in as many bytes as there are.
                let bits = if negative { magnitude.wrapping_neg() } else { magnitude };
                let bytes = bits.to_be_bytes();
                let (_, low) = bytes.split_at(bytes.len() - cell.len().min(bytes.len()));
                cell.copy_from_slice(low);
                if self.little {
                    cell.reverse();
                }
            }
        }
        Ok(())
    }

    fn zoned(&self, sign: Sign, negative: bool, magnitude: u128, cell: &mut [u8]) {
        let signed = self.number.signed;
        let digits = match (signed && sign.separate, sign.leading) {
            (false, _) => &mut *cell,
            (true, leading) => {
                let byte = if negative { self.minus } else { self.plus };
                let (own, digits) = if leading { cell.split_first_mut() } else { cell.split_last_mut() }
                    .map_or((None, [].as_mut_slice()), |(own, digits)| (Some(own), digits));
                if let Some(own) = own {
                    *own = byte;
                }
                digits
            }
        };
        spread(magnitude, self.zero, digits);
        if signed && !sign.separate {
            let byte = if sign.leading { digits.first_mut() } else { digits.last_mut() };
            if let Some(byte) = byte {
                *byte = self.over(*byte - self.zero, negative);
            }
        }
    }

    /// The byte of a digit with a sign.
    fn over(&self, digit: u8, negative: bool) -> u8 {
        const PLUS: &[u8; 10] = b"{ABCDEFGHI";
        const MINUS: &[u8; 10] = b"}JKLMNOPQR";
        match (self.over, negative) {
            (Over::Zone, false) => 0xc0 | digit,
            (Over::Zone, true) => 0xd0 | digit,
            (Over::Image, false) => PLUS[usize::from(digit % 10)],
            (Over::Image, true) => MINUS[usize::from(digit % 10)],
            (Over::MicroFocus, false) => b'0' | digit,
            (Over::MicroFocus, true) => b'p' | digit,
        }
    }

    /// The digit and the sign of a byte that has both.
    fn split(&self, byte: u8) -> Result<(u8, bool), Code> {
        let (negative, digit) = match (self.over, byte) {
            (Over::Zone, _) => match byte >> 4 {
                0xa | 0xc | 0xe | 0xf => (false, byte & 0xf),
                0xb | 0xd => (true, byte & 0xf),
                _ => return Err(Code::BadSign),
            },
            (_, b'0'..=b'9') => (false, byte - b'0'),
            (Over::Image, b'{') => (false, 0),
            (Over::Image, b'A'..=b'I') => (false, byte - b'A' + 1),
            (Over::Image, b'}') => (true, 0),
            (Over::Image, b'J'..=b'R') => (true, byte - b'J' + 1),
            (Over::MicroFocus, b'p'..=b'y') => (true, byte - b'p'),
            _ => return Err(Code::BadSign),
        };
        if digit > 9 { Err(Code::BadDigit) } else { Ok((digit, negative)) }
    }

    /// The digits of a cell; None for blanks that count as zero, or that the item's own BLANK WHEN ZERO wrote.
    pub fn take(&self, cell: &[u8]) -> Result<Scaled, Code> {
        const NOTHING: Scaled = Scaled { negative: false, magnitude: 0 };
        if matches!(self.number.form, Form::Zoned(_)) && cell.iter().all(|byte| *byte == self.space) {
            return if self.blank_is_zero || self.number.blank_when_zero { Ok(NOTHING) } else { Err(Code::Blank) };
        }
        let (negative, magnitude) = match self.number.form {
            Form::Zoned(sign) => self.read_zoned(sign, cell)?,
            Form::Packed => self.read_packed(cell)?,
            Form::Binary | Form::Native => self.read_binary(cell),
        };
        let lowest = self.number.form == Form::Native && negative && magnitude == self.limit;
        if magnitude >= self.limit && !lowest {
            return Err(Code::Overflow);
        }
        if negative && magnitude > 0 && !self.number.signed {
            return Err(Code::BadSign);
        }
        // Minus zero is zero.
        Ok(Scaled { negative: negative && magnitude > 0, magnitude })
    }

    fn read_zoned(&self, sign: Sign, cell: &[u8]) -> Result<(bool, u128), Code> {
        let (mut digits, mut negative, mut last) = (cell, false, None);
        let ends = |digits: &[u8]| {
            let split = if sign.leading { digits.split_first() } else { digits.split_last() };
            split.map_or((0, 0), |(own, rest)| (*own, rest.len()))
        };
        let (own, rest) = ends(cell);
        if self.number.signed && sign.separate {
            negative = own == self.minus;
            if own != self.plus && own != self.minus {
                return Err(Code::BadSign);
            }
        } else if self.number.signed || self.over == Over::Zone {
            // An unsigned number of EBCDIC may come with a sign as well.
            let (digit, minus) = self.split(own)?;
            negative = minus;
            last = Some(digit);
        }
        if (self.number.signed && sign.separate) || last.is_some() {
            digits = if sign.leading { &cell[cell.len() - rest..] } else { &cell[..rest] };
        }
        let first = if sign.leading { last } else { None };
        let mut magnitude = u128::from(first.unwrap_or(0));
        for byte in digits {
            let digit = byte.wrapping_sub(self.zero);
            if digit > 9 {
                return Err(if byte & 0xf0 == self.zero { Code::BadDigit } else { Code::BadZone });
            }
            magnitude = magnitude * 10 + u128::from(digit);
        }
        if let (false, Some(digit)) = (sign.leading, last) {
            magnitude = magnitude * 10 + u128::from(digit);
        }
        Ok((negative, magnitude))
    }

    fn read_packed(&self, cell: &[u8]) -> Result<(bool, u128), Code> {
        let (last, rest) = cell.split_last().ok_or(Code::BadSign)?;
        let negative = match last & 0xf {
            0xa | 0xc | 0xe | 0xf => false,
            0xb | 0xd => true,
            _ => return Err(Code::BadSign),
        };
        let mut magnitude = 0_u128;
        let nibbles = rest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).chain([last >> 4]);
        for digit in nibbles {
            if digit > 9 {
                return Err(Code::BadDigit);
            }
            magnitude = magnitude * 10 + u128::from(digit);
        }
        Ok((negative, magnitude))
    }

    fn read_binary(&self, cell: &[u8]) -> (bool, u128) {
        let fold = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        let bits = if self.little { cell.iter().rev().fold(0, fold) } else { cell.iter().fold(0, fold) };
        let unused = 64 - 8 * cell.len().min(8) as u32;
        if self.number.signed && bits.checked_shl(unused).unwrap_or(0) >> 63 == 1 {
            let negative = (bits << unused) as i64 >> unused;
            (true, u128::from(negative.unsigned_abs()))
        } else {
            (false, u128::from(bits))
        }
    }

    /// A number as the value of a row: an integer where it has no places and 64 bits are enough, else a double where
    /// that is exact, else its digits.
    pub fn value(&self, scaled: Scaled) -> Value {
        valued(scaled, self.number.scale)
    }
}

/// A number with `scale` places as the value of a row.
pub(super) fn valued(Scaled { negative, magnitude }: Scaled, scale: i8) -> Value {
    if let (0, Ok(integer)) = (scale, i64::try_from(magnitude)) {
        return Value::Integer(if negative { -integer } else { integer });
    }
    let sign = if negative { "-" } else { "" };
    let decimal = Decimal::parse(&format!("{sign}{magnitude}e{}", -i16::from(scale)));
    decimal.map_or(Value::Null, |decimal| match decimal.to_integer() {
        Some(integer) if scale <= 0 => Value::Integer(integer),
        _ if scale <= 0 => Value::Number(decimal.to_whole().map_or_else(String::new, |whole| whole.to_string()).into()),
        _ => decimal.to_value(false),
    })
}

/// A power of ten; the largest number for those beyond 128 bits.
pub(super) fn tens(power: usize) -> u128 {
    TENS.get(power).copied().unwrap_or(u128::MAX)
}

/// Writes digits, a byte each, from the right.
fn spread(magnitude: u128, zero: u8, digits: &mut [u8]) {
    if let Ok(small) = u64::try_from(magnitude) {
        return spread_small(small, zero, digits);
    }
    let (upper, lower) = digits.split_at_mut(digits.len().saturating_sub(18));
    spread_small((magnitude % u128::from(CHUNK)) as u64, zero, lower);
    spread((magnitude / u128::from(CHUNK)).min(u128::from(CHUNK - 1)), zero, upper);
}

fn spread_small(mut rest: u64, zero: u8, digits: &mut [u8]) {
    let mut pairs = digits.rchunks_exact_mut(2);
    for pair in &mut pairs {
        let two = PAIRS[(rest % 100) as usize];
        rest /= 100;
        if let [tens, ones] = pair {
            *tens = zero + (two >> 4);
            *ones = zero + (two & 0xf);
        }
    }
    if let [first] = pairs.into_remainder() {
        *first = zero + (rest % 10) as u8;
    }
}

/// Writes digits, half a byte each, with the sign in the last half.
fn packed(magnitude: u128, sign: u8, cell: &mut [u8]) {
    let Some((last, rest)) = cell.split_last_mut() else { return };
    if let Ok(small) = u64::try_from(magnitude) {
        *last = ((small % 10) as u8) << 4 | sign;
        pack_small(small / 10, rest);
        return;
    }
    *last = ((magnitude % 10) as u8) << 4 | sign;
    let magnitude = magnitude / 10;
    let (upper, lower) = rest.split_at_mut(rest.len().saturating_sub(9));
    pack_small((magnitude % u128::from(CHUNK)) as u64, lower);
    pack_small((magnitude / u128::from(CHUNK)) as u64, upper);
}

fn pack_small(mut rest: u64, cell: &mut [u8]) {
    for byte in cell.iter_mut().rev() {
        *byte = PAIRS[(rest % 100) as usize];
        rest /= 100;
    }
}

/// A value as a number with `scale` places.
pub(super) fn scaled(value: &Value, scale: i8, round: Round) -> Result<Scaled, Code> {
    let mut buffer = [0_u8; 48];
    let text = match value {
        Value::Integer(integer) => {
            let (negative, magnitude) = (*integer < 0, u128::from(integer.unsigned_abs()));
            if let Ok(scale) = usize::try_from(scale) {
                // Beyond 128 bits it has more digits than any item.
                let magnitude = magnitude.checked_mul(tens(scale)).ok_or(Code::Overflow)?;
                return Ok(Scaled { negative, magnitude });
            }
            let mut rest = buffer.as_mut_slice();
            write!(rest, "{integer}").map_err(|_| Code::NotANumber)?;
            let length = 48 - rest.len();
            &buffer[..length]
        }
        Value::Real(real) => {
            let mut rest = buffer.as_mut_slice();
            // The shortest digits that read back as the same double.
            write!(rest, "{real:?}").map_err(|_| Code::NotANumber)?;
            let length = 48 - rest.len();
            &buffer[..length]
        }
        Value::Number(digits) => digits.as_bytes(),
        Value::Text(text) => text.trim_matches(' ').as_bytes(),
        Value::Null => return Err(Code::Null),
        Value::Bool(_) | Value::BadText(_) | Value::Blob(_) | Value::List(_) | Value::Map(_) => return Err(Code::Kind),
    };
    parse(text, scale, round)
}

/// Reads `-12`, `+0.5`, `1.50e3` with `scale` places.
fn parse(text: &[u8], scale: i8, round: Round) -> Result<Scaled, Code> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (number, power) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => {
            let power = std::str::from_utf8(&text[at + 1..]).ok().and_then(|power| power.parse::<i32>().ok());
            // Beyond that there are no digits of a record left, or only they.
            (&text[..at], power.ok_or(Code::NotANumber)?.clamp(-1_000_000_000, 1_000_000_000))
        }
        None => (text, 0),
    };
    let point = number.iter().position(|byte| *byte == b'.').unwrap_or(number.len());
    let (whole, fraction) = (&number[..point], number.get(point + 1..).unwrap_or_default());
    if whole.is_empty() || (fraction.is_empty() && point < number.len()) {
        return Err(Code::NotANumber);
    }
    // Digits that are kept: those before the point after it has moved.
    let length = i64::try_from(whole.len()).map_err(|_| Code::NotANumber)?;
    let kept = length + i64::from(power) + i64::from(scale);
    let (mut magnitude, mut first, mut more, mut large) = (0_u128, 0_u8, false, false);
    for (at, byte) in (0_i64..).zip(whole.iter().chain(fraction)) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Code::NotANumber);
        }
        if at < kept {
            match magnitude.checked_mul(10).and_then(|m| m.checked_add(u128::from(digit))) {
                Some(more) => magnitude = more,
                None => large = true,
            }
        } else if at == kept {
            first = digit;
        } else {
            more |= digit != 0;
        }
    }
    let digits = length + i64::try_from(fraction.len()).map_err(|_| Code::NotANumber)?;
    if kept > digits && magnitude != 0 {
        let zeros = usize::try_from(kept - digits).ok().filter(|zeros| *zeros < TENS.len());
        match zeros.and_then(|zeros| magnitude.checked_mul(tens(zeros))) {
            Some(more) => magnitude = more,
            None => large = true,
        }
    }
    if large {
        return Err(Code::Overflow);
    }
    // Digits right of all that are kept, when even the first of them is further right.
    if kept < 0 {
        more |= first != 0;
        first = 0;
        more |= number.iter().any(|byte| (b'1'..=b'9').contains(byte));
    }
    let up = match round {
        Round::Exact if first != 0 || more => return Err(Code::Inexact),
        Round::Exact | Round::Truncate => false,
        Round::HalfUp => first >= 5,
        Round::HalfEven => first > 5 || (first == 5 && (more || magnitude % 2 == 1)),
    };
    let magnitude = magnitude.checked_add(u128::from(up)).ok_or(Code::Overflow)?;
    Ok(Scaled { negative: negative && magnitude > 0, magnitude })
}

#[cfg(test)]
mod tests;
