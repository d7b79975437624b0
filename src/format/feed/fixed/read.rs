//! Reading a file back.

use crate::event::{Record, Value};
use crate::format::feed::fixed::line::Line;
use crate::format::feed::fixed::{Detail, Fixed, take};
use crate::format::feed::{DECODING, Parsed, counting};
use crate::format::frame;
use crate::rules::decimal::Decimal;
use crate::rules::outcome::Reason;
use crate::rules::total::{Counted, Totals};

impl Fixed {
    pub fn read(&self, file: &[u8]) -> Result<Parsed, Reason> {
        let mut records = self.records(file)?;
        let fixed = self.headers.len() + self.trailers.len();
        if records.len() < fixed {
            return Err(wrong(format!(
                "it has {} records, and {fixed} are headers and trailers alone: wrong_record_count",
                records.len()
            )));
        }
        let trailers = records.split_off(records.len() - self.trailers.len());
        let details = records.split_off(self.headers.len());
        let mut totals = self.counting.totals();
        let mut number = 0;
        let mut parsed = Parsed::default();
        let mut shown = Vec::new();
        let mut around = |lines: &[Line], records: &[Vec<u8>], number: &mut usize, totals: &mut Totals| {
            let mut found = Vec::with_capacity(lines.len());
            for (line, bytes) in lines.iter().zip(records) {
                *number += 1;
                let values = line.decode(bytes, *number)?;
                let record = Counted { kind: line.name(), detail: false, bytes: self.taken(bytes.len()), fields: &[] };
                totals.take(&record).map_err(counting::refused)?;
                let shows = line.totals.iter().filter_map(|(slot, total)| Some((*total, values.get(*slot)?.clone())));
                shown.extend(shows.map(|(total, value)| (*number, total, value)));
                found.push(line.record(values));
            }
            Ok::<_, Reason>(found)
        };
        parsed.header = around(&self.headers, &records, &mut number, &mut totals)?;
        let mut texts = Vec::new();
        for bytes in &details {
            number += 1;
            let (detail, values) = self.kind(bytes, number)?;
            take(&mut totals, self, detail, bytes, &mut texts)
                .map_err(|reason| wrong(format!("record {number}: {}", reason.text)))?;
            let mut record = detail.line.record(values);
            if self.details.len() > 1 {
                let kind = (Parsed::KIND.into(), Value::from(detail.line.name()));
                record = std::iter::once(kind).chain(record).collect();
            }
            parsed.details.push(record);
        }
        parsed.trailer = around(&self.trailers, &trailers, &mut number, &mut totals)?;
        let results = totals.results();
        for (number, total, value) in shown {
            let result = results.get(total).cloned().flatten();
            if !agrees(&value, result.as_deref()) {
                let expression = self.counting.expressions().get(total).map(ToString::to_string).unwrap_or_default();
                return Err(wrong(format!(
                    "record {number}: `{expression}` is not what the details come to: wrong_total"
                )));
            }
        }
        Ok(parsed)
    }

    /// The records of a file, without those that fill its last block.
    fn records(&self, file: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
        let file = match self.eof {
            Some(eof) => file.strip_suffix(&[eof]).unwrap_or(file),
            None => file,
        };
        let mut reader = frame::Reader::new(file, self.framing.clone());
        let (mut records, mut record) = (Vec::new(), Vec::new());
        while reader.next(&mut record).map_err(|error| wrong(error.to_string()))? {
            records.push(std::mem::take(&mut record));
        }
        if let Some(pad) = &self.pad {
            while records.last() == Some(&pad.record) {
                records.pop();
            }
        }
        Ok(records)
    }

    /// The kind of a detail: the first that has what is always the same in it.
    fn kind(&self, bytes: &[u8], number: usize) -> Result<(&Detail, Vec<Value>), Reason> {
        let mut first = None;
        for detail in &self.details {
            match detail.line.decode(bytes, number) {
                Ok(values) => return Ok((detail, values)),
                Err(reason) => first = first.or(Some(reason)),
            }
        }
        match first {
            Some(reason) if self.details.len() == 1 => Err(reason),
            _ => Err(wrong(format!("record {number} is of none of the kinds of details: unknown_record"))),
        }
    }
}

impl Line {
    /// The values of a record that has what is always the same in it.
    fn decode(&self, bytes: &[u8], number: usize) -> Result<Vec<Value>, Reason> {
        let name = self.name();
        let values =
            self.reader.decode(bytes).map_err(|damage| wrong(format!("record {number} is no {name}: {damage}")))?;
        for (slot, constant) in &self.constants {
            if !values.get(*slot).is_some_and(|value| equal(value, constant)) {
                let item = self.reader.slots().get(*slot).map_or("", |slot| &slot.name);
                return Err(wrong(format!("record {number} is no {name}: {item}: other_constant")));
            }
        }
        Ok(values)
    }

    fn record(&self, values: Vec<Value>) -> Record {
        self.reader.slots().iter().map(|slot| slot.name.clone()).zip(values).collect()
    }
}

/// Whether an item holds a constant: numbers by their value, texts without the spaces at their end.
fn equal(value: &Value, constant: &Value) -> bool {
    match (value.as_text(), constant.as_text()) {
        (Some(value), Some(constant)) if value.trim_end() == constant.trim_end() => true,
        (Some(value), Some(constant)) => match (Decimal::parse(value.trim()), Decimal::parse(constant.trim())) {
            (Some(value), Some(constant)) => value == constant,
            _ => false,
        },
        // What stands for null.
        (None, _) => true,
        (Some(_), None) => false,
    }
}

/// Whether a shown total is the one that was counted.
fn agrees(shown: &Value, counted: Option<&str>) -> bool {
    match (shown.as_text(), counted) {
        (Some(shown), Some(counted)) => Decimal::parse(shown.trim()) == Decimal::parse(counted),
        // The smallest or largest of nothing is shown as whatever stands for null.
        (_, None) => true,
        (None, Some(_)) => false,
    }
}

fn wrong(text: String) -> Reason {
    Reason::new(DECODING, text)
}
