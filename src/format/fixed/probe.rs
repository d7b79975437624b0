//! Numbers read out of encoded records, so that totals are those of what is sent.

use crate::format::fixed::Code;
use crate::format::fixed::number::Digits;

/// A way to read one number of a record.
#[derive(Clone, Debug)]
pub struct Probe {
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) digits: Digits,
}

impl Probe {
    /// First byte in the record, from 0.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Decimal places of [`Probe::read`]'s number: 2 means that 1250 is 12.50.
    pub fn scale(&self) -> i8 {
        self.digits.number.scale
    }

    /// The number in an encoded record, in units of its last digit.
    pub fn read(&self, record: &[u8]) -> Result<i128, Code> {
        let cell = record.get(self.offset..self.offset + self.length).ok_or(Code::Length)?;
        let number = self.digits.take(cell)?;
        let magnitude = i128::try_from(number.magnitude).map_err(|_| Code::Overflow)?;
        Ok(if number.negative { -magnitude } else { magnitude })
    }
}
