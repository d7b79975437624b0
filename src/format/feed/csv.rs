//! Files of delimited text, or of text in columns of fixed width, with lines before and behind the records.

mod pen;
mod read;

use std::fmt;

use crate::event::{Record, Value};
use crate::format::codepage::CodePage;
use crate::format::csv::{Column, Dialect, Kind, Misfit, Unmappable, Writer};
use crate::format::feed::counting::{self, Counting};
use crate::format::feed::fill::{Fill, Given, Set};
use crate::format::feed::{ENCODING, Row};
use crate::rules::naming::Stamp;
use crate::rules::nearest::hint;
use crate::rules::outcome::Reason;
use crate::rules::total::{Counted, Encoded, Expression, Totals};

pub(super) use pen::Pen;

/// What a file of delimited text is made of.
#[derive(Clone, Debug)]
pub struct CsvFeed {
    /// How it is written.
    pub dialect: Dialect,
    /// The code page.
    pub page: &'static CodePage,
    /// The columns, in the order of the file.
    pub columns: Vec<CsvColumn>,
    /// Lines before the names of the columns: patterns.
    pub headers: Vec<String>,
    /// Lines behind the last record: patterns.
    pub trailers: Vec<String>,
    /// The fields of the records, as far as they are known: a column of another one is an error then.
    pub fields: Option<Vec<String>>,
    /// A stamp to try headers and trailers out with.
    pub sample: Stamp,
}

/// A column and what stands in it.
#[derive(Clone, Debug)]
pub struct CsvColumn {
    /// The column; its field is that of the record.
    pub column: Column,
    /// What stands in it instead of a field, as text unless the column says otherwise. Totals know it by the name of the
    /// column.
    pub set: Option<Set>,
}

/// A compiled feed.
#[derive(Debug)]
pub(super) struct Csv {
    dialect: Dialect,
    page: &'static CodePage,
    columns: Vec<Column>,
    /// Columns that are made, by their field.
    made: Vec<(String, Made)>,
    headers: Vec<Fill>,
    trailers: Vec<Fill>,
    counting: Counting,
    /// The values of the sample for what is made, for [`Gauge`].
    sample: Vec<Value>,
}

/// What stands in a column that is made.
#[derive(Debug)]
enum Made {
    Constant(Value),
    File(Fill),
    Action(Vec<(String, Value)>),
    Ordinal,
}

/// The texts of the fields that totals are of, in their order; false where there is no value.
type Texts = Vec<(bool, String)>;

/// Most digits of a number that is not known yet.
const DIGITS: u64 = 20;

type Encode = Box<dyn Fn(&str, &mut Vec<u8>) -> Result<(), Unmappable> + Send>;

impl Csv {
    pub fn new(spec: CsvFeed) -> Result<Csv, Vec<String>> {
        let mut wrong = Vec::new();
        let mut counting = Counting::default();
        let (mut columns, mut made) = (Vec::new(), Vec::new());
        for CsvColumn { mut column, set } in spec.columns {
            match (set, &spec.fields) {
                (Some(set), _) => {
                    column.field.clone_from(&column.name);
                    if matches!(column.kind, Kind::Any) {
                        column.kind = Kind::Text;
                    }
                    match Made::compile(set, &mut counting) {
                        Ok(own) => made.push((column.field.clone(), own)),
                        Err(text) => wrong.push(format!("column `{}`: {text}", column.name)),
                    }
                }
                (None, Some(fields)) if !fields.contains(&column.field) => {
                    let near = hint(&column.field, fields.iter().map(String::as_str));
                    wrong.push(format!("column `{}`: there is no field `{}`{near}", column.name, column.field));
                }
                (None, _) => {}
            }
            columns.push(column);
        }
        let mut lines = |what: &str, patterns: &[String]| -> Vec<Fill> {
            let compile = |(pattern, nth): (&String, u32)| {
                let about = |text| format!("{what} line {nth}: {text}");
                Fill::compile(pattern, &mut counting).map_err(|text| wrong.push(about(text))).ok()
            };
            patterns.iter().zip(1..).filter_map(compile).collect()
        };
        let (headers, trailers) = (lines("header", &spec.headers), lines("trailer", &spec.trailers));
        let (dialect, page) = (spec.dialect, spec.page);
        let mut csv = Csv { dialect, page, columns, made, headers, trailers, counting, sample: Vec::new() };
        csv.check_totals(&mut wrong);
        if wrong.is_empty() {
            csv.try_out(&spec.sample, &mut wrong);
        }
        match wrong.is_empty() {
            true => Ok(csv),
            false => Err(wrong),
        }
    }

    /// The totals of the lines.
    fn check_totals(&self, wrong: &mut Vec<String>) {
        for expression in self.counting.expressions() {
            wrong.extend(self.can_count(expression).err());
            if expression.to_string().starts_with("bytes") {
                wrong.push(format!(
                    "`{expression}` is not known in a line of the file: a control file can show `{{size}}`"
                ));
            }
        }
    }

    /// The dialect and the lines with a sample.
    fn try_out(&mut self, sample: &Stamp, wrong: &mut Vec<String>) {
        let results = self.counting.results(None);
        let given = Given { stamp: sample, file: "", results: &results };
        match self.file_values(&given) {
            Ok(values) => self.sample = values,
            Err(reason) => wrong.push(reason.text.into_owned()),
        }
        let mut writer = match self.writer() {
            Ok(writer) => writer,
            Err(text) => return wrong.push(text),
        };
        for (what, fills) in [("header", &self.headers), ("trailer", &self.trailers)] {
            for (fill, nth) in fills.iter().zip(1..) {
                let text = fill.text(&given).map_err(|reason| reason.text.into_owned());
                let done =
                    text.and_then(|text| writer.line(&text, &mut Vec::new()).map_err(|misfit| misfit.to_string()));
                wrong.extend(done.err().map(|text| format!("{what} line {nth}: {text}")));
            }
        }
    }

    fn encode(&self) -> Encode {
        let page = self.page;
        Box::new(move |text, out| page.encode(text, None, out).map_err(|_| Unmappable))
    }

    fn writer(&self) -> Result<Writer<'_, Encode>, String> {
        Writer::new(&self.dialect, &self.columns, self.encode())
    }

    pub fn sums_first(&self) -> bool {
        self.headers.iter().any(|fill| !fill.totals().is_empty())
    }

    pub fn can_count(&self, expression: &Expression) -> Result<(), String> {
        Counting::check(expression, &[], |field| {
            let mut own = self.columns.iter().filter(|column| column.field == field);
            match (own.next(), own.next()) {
                (Some(column), None) if matches!(column.kind, Kind::Boolean(..)) => {
                    Err(format!("`{field}` is true or false"))
                }
                (Some(_), None) => Ok(Encoded::Text("")),
                (Some(_), Some(_)) => Err(format!("`{field}` stands in several columns, and each would count")),
                (None, _) => {
                    let near = hint(field, self.columns.iter().map(|column| column.field.as_str()));
                    Err(format!("there is no column of `{field}`{near}"))
                }
            }
        })
    }

    pub fn count(&mut self, expression: &Expression) {
        if self.can_count(expression).is_ok() {
            self.counting.add(expression);
        }
    }

    /// What is the same in all of a file, for each column that is made; null for others.
    fn file_values(&self, given: &Given<'_>) -> Result<Vec<Value>, Reason> {
        let value = |(_, made): &(String, Made)| match made {
            Made::Constant(value) => Ok(value.clone()),
            Made::File(fill) => fill.value(given),
            Made::Action(_) | Made::Ordinal => Ok(Value::Null),
        };
        self.made.iter().map(value).collect()
    }

    /// The record with the columns that are made; none when there are none.
    fn whole(&self, row: &Row<'_>, file: &[Value]) -> Result<Option<Record>, Reason> {
        if row.action != "delete"
            && let Some(column) = self.columns.iter().find(|column| {
                row.record.get(&column.field).is_none() && !self.made.iter().any(|(field, _)| *field == column.field)
            })
        {
            return Err(Reason::new(ENCODING, format!("{}: no_such_field", column.field)));
        }
        if self.made.is_empty() {
            return Ok(None);
        }
        let mut record = row.record.clone();
        for ((field, made), value) in self.made.iter().zip(file) {
            let value = match made {
                Made::Constant(_) | Made::File(_) => value.clone(),
                Made::Ordinal => Value::Integer(i64::try_from(row.ordinal).unwrap_or(i64::MAX)),
                Made::Action(table) => match table.iter().find(|(word, _)| word == row.action) {
                    Some((_, code)) => code.clone(),
                    None => return Err(Reason::new(ENCODING, format!("{field}: unknown_action"))),
                },
            };
            record.set(field, value);
        }
        Ok(Some(record))
    }

    pub fn gauge(&self) -> Result<Gauge<'_>, Reason> {
        let writer = self.writer().map_err(|text| Reason::new(ENCODING, text))?;
        let texts = self.counting.fields().iter().map(|_| (false, String::new())).collect();
        let varies = |(_, made): &&(String, Made)| matches!(made, Made::File(_) | Made::Ordinal);
        let growth = self.made.iter().filter(varies).count() as u64 * DIGITS;
        Ok(Gauge { feed: self, writer, out: Vec::new(), texts, growth })
    }

    /// Bytes by which the lines around the rows may be longer than those of an empty file: what they show has more digits. Where
    /// the trailer of an empty one could not be written (`ended` is false), all of it is counted.
    pub fn growth(&self, ended: bool) -> u64 {
        let shown: usize = self.headers.iter().chain(&self.trailers).map(Fill::placeholders).sum();
        let written: usize = if ended { 0 } else { self.trailers.iter().map(|fill| fill.written() + 2).sum() };
        shown as u64 * DIGITS + written as u64
    }

    /// Encodes a row and takes it into the totals.
    fn encode_row(
        &self,
        record: &Record,
        writer: &mut Writer<'_, Encode>,
        out: &mut Vec<u8>,
        texts: &mut Texts,
        totals: &mut Totals,
    ) -> Result<(), Reason> {
        let before = out.len();
        let fields = self.counting.fields();
        texts.iter_mut().for_each(|(there, _)| *there = false);
        let encoded = writer.row(record, out, |field, encoded| {
            let counted = fields.iter().zip(texts.iter_mut()).find(|(name, _)| *name == field);
            if let Some((_, (there, text))) = counted {
                *there = true;
                text.clear();
                text.push_str(encoded);
            }
        });
        encoded.map_err(|wrong| misfit(&wrong))?;
        let found = fields.iter().zip(texts.iter()).filter(|(_, (there, _))| *there);
        let found: Vec<_> = found.map(|(name, (_, text))| (name.as_str(), Encoded::Text(text))).collect();
        let bytes = (out.len() - before) as u64;
        totals.take(&Counted { kind: "", detail: true, bytes, fields: &found }).map_err(counting::refused)
    }

    pub fn file<'f>(&'f self, stamp: &'f Stamp, name: &'f str) -> Result<Pen<'f>, Reason> {
        Pen::new(self, stamp, name)
    }
}

/// Tries rows out.
pub(super) struct Gauge<'f> {
    feed: &'f Csv,
    writer: Writer<'f, Encode>,
    out: Vec<u8>,
    texts: Texts,
    /// Bytes by which a row may be longer than with the sample.
    growth: u64,
}

impl fmt::Debug for Gauge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauge").finish_non_exhaustive()
    }
}

impl Gauge<'_> {
    pub fn row(&mut self, row: &Row<'_>) -> Result<u64, Reason> {
        self.out.clear();
        let mut totals = self.feed.counting.totals();
        let whole = self.feed.whole(row, &self.feed.sample)?;
        let record = whole.as_ref().unwrap_or(row.record);
        self.feed.encode_row(record, &mut self.writer, &mut self.out, &mut self.texts, &mut totals)?;
        Ok(self.out.len() as u64 + self.growth)
    }
}

impl Made {
    fn compile(set: Set, counting: &mut Counting) -> Result<Made, String> {
        if let Some(value) = set.constant() {
            return Ok(Made::Constant(value));
        }
        Ok(match set {
            Set::Constant(value) => Made::Constant(value),
            Set::Pattern(text) => match Fill::compile(&text, counting)? {
                fill if fill.totals().is_empty() => Made::File(fill),
                _ => return Err("it shows a total, which is known only when all records are written".to_owned()),
            },
            Set::Action(table) if table.is_empty() => Made::Action(
                ["add", "change", "delete", "message"].map(|word| (word.to_owned(), Value::from(word))).into(),
            ),
            Set::Action(table) => Made::Action(table),
            Set::Ordinal => Made::Ordinal,
        })
    }
}

/// A misfit as the reason for which its row is held.
fn misfit(misfit: &Misfit) -> Reason {
    Reason::new(ENCODING, misfit.to_string())
}
