//! Reading a file back.

use crate::event::{Record, Value};
use crate::format::csv::{Column, Kind, Reader, Writer};
use crate::format::feed::csv::Csv;
use crate::format::feed::fill::Fill;
use crate::format::feed::{DECODING, Parsed, counting};
use crate::rules::naming::Scanned;
use crate::rules::outcome::Reason;
use crate::rules::total::{Counted, Encoded};

impl Csv {
    pub fn read(&self, file: &[u8]) -> Result<Parsed, Reason> {
        let page = self.page;
        let reader = Reader::new(&self.dialect, &self.columns, self.encode(), |bytes: &[u8]| page.decode(bytes).ok());
        let reader = reader.map_err(wrong)?;
        let (lead, trail) = (self.headers.len(), self.trailers.len());
        let sheet = reader.read(file, lead, trail).map_err(|torn| wrong(torn.to_string()))?;
        let results = self.count_again(&sheet.rows, lead + trail)?;
        let lines = |what: &str, fills: &[Fill], lines: &[String]| {
            let scan = |((fill, line), nth): ((&Fill, &String), u32)| {
                self.scan(fill, line, &results).map_err(|text| wrong(format!("{what} line {nth}: {text}")))
            };
            fills.iter().zip(lines).zip(1..).map(scan).collect::<Result<Vec<Record>, Reason>>()
        };
        let header = lines("header", &self.headers, &sheet.lead)?;
        let trailer = lines("trailer", &self.trailers, &sheet.trail)?;
        Ok(Parsed { header, details: sheet.rows, trailer })
    }

    /// What the totals of the details come to, from what was read; none for what cannot be taken of it again.
    fn count_again(&self, rows: &[Record], lines: usize) -> Result<Vec<Option<String>>, Reason> {
        // What a converter made is text that it does not take again.
        let plain = |column: &Column| match column.kind {
            Kind::Converted(_) => Column { kind: Kind::Text, ..column.clone() },
            _ => column.clone(),
        };
        let columns: Vec<Column> = self.columns.iter().map(plain).collect();
        let converted = self.columns.iter().any(|column| matches!(column.kind, Kind::Converted(_)));
        let mut writer = Writer::new(&self.dialect, &columns, self.encode()).map_err(wrong)?;
        let mut totals = self.counting.totals();
        let mut out = Vec::new();
        for (row, nth) in rows.iter().zip(1_u64..) {
            let mut values: Vec<(String, String)> = Vec::new();
            out.clear();
            let done = writer.row(row, &mut out, |field, text| values.push((field.to_owned(), text.to_owned())));
            done.map_err(|misfit| wrong(format!("record {nth}: {misfit}")))?;
            let fields: Vec<_> = values.iter().map(|(field, text)| (field.as_str(), Encoded::Text(text))).collect();
            let counted = Counted { kind: "", detail: true, bytes: out.len() as u64, fields: &fields };
            match totals.take(&counted) {
                Ok(()) => {}
                Err(_) if converted => return Ok(vec![None; self.counting.expressions().len()]),
                Err(reason) => return Err(wrong(format!("record {nth}: {}", counting::refused(reason).text))),
            }
        }
        for _ in 0..lines {
            let counted = Counted { kind: "", detail: false, bytes: 0, fields: &[] };
            totals.take(&counted).map_err(counting::refused)?;
        }
        Ok(totals.results())
    }

    /// A line by its pattern, its totals checked.
    fn scan(&self, fill: &Fill, line: &str, results: &[Option<String>]) -> Result<Record, String> {
        let mut record = Record::new();
        let result = |place: usize| results.get(place).and_then(Option::as_deref);
        match fill {
            Fill::Total(total) => {
                let expression = self.counting.expressions().get(*total).map(ToString::to_string).unwrap_or_default();
                if result(*total).is_some_and(|result| result != line.trim()) {
                    return Err(format!("`{expression}` is not what the records come to: wrong_total"));
                }
                record.push(expression, Value::from(line));
            }
            Fill::Text(pattern, totals) => {
                for found in pattern.scan(line).ok_or_else(|| format!("it is not `{pattern}`: other_line"))? {
                    match found {
                        Scanned::Placeholder(name, text) => record.set(name, Value::from(text)),
                        Scanned::Total(expression, nth, text) => {
                            let counted = totals.get(nth).and_then(|total| result(*total));
                            let shown = counted.and_then(|counted| pattern.total(nth, counted));
                            if counted.is_some() && shown.as_deref() != Some(text) {
                                return Err(format!("`{expression}` is not what the records come to: wrong_total"));
                            }
                            record.set(&expression.to_string(), Value::from(text));
                        }
                    }
                }
            }
        }
        Ok(record)
    }
}

fn wrong(text: String) -> Reason {
    Reason::new(DECODING, text)
}
