//! Writing a file.

use std::fmt;

use crate::event::Value;
use crate::format::csv::Writer;
use crate::format::feed::csv::{Csv, Encode, Texts, misfit};
use crate::format::feed::fill::{Fill, Given};
use crate::format::feed::{ENCODING, Finished, Row, Sums, counting};
use crate::rules::naming::Stamp;
use crate::rules::outcome::Reason;
use crate::rules::total::{Counted, Totals};

/// A file in the making.
pub(crate) struct Pen<'f> {
    feed: &'f Csv,
    stamp: &'f Stamp,
    name: &'f str,
    writer: Writer<'f, Encode>,
    totals: Totals,
    file: Vec<Value>,
    details: u64,
    texts: Texts,
}

impl fmt::Debug for Pen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen").field("name", &self.name).field("details", &self.details).finish_non_exhaustive()
    }
}

impl<'f> Pen<'f> {
    pub(super) fn new(feed: &'f Csv, stamp: &'f Stamp, name: &'f str) -> Result<Pen<'f>, Reason> {
        let file = feed.file_values(&Given { stamp, file: name, results: &[] })?;
        let writer = feed.writer().map_err(|text| Reason::new(ENCODING, text))?;
        let texts = feed.counting.fields().iter().map(|_| (false, String::new())).collect();
        Ok(Pen { feed, stamp, name, writer, totals: feed.counting.totals(), file, details: 0, texts })
    }

    pub fn begin(&mut self, sums: Option<&Sums>, out: &mut Vec<u8>) -> Result<(), Reason> {
        let lines = self.lines(&self.feed.headers, &self.feed.counting.results(sums))?;
        let before = out.len();
        self.writer.start(&lines, out).map_err(|wrong| misfit(&wrong))?;
        self.count(lines.len(), out.len() - before)
    }

    pub fn row(&mut self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), Reason> {
        let whole = self.feed.whole(row, &self.file)?;
        let record = whole.as_ref().unwrap_or(row.record);
        self.feed.encode_row(record, &mut self.writer, out, &mut self.texts, &mut self.totals)?;
        self.details += 1;
        Ok(())
    }

    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Finished, Reason> {
        // A trailer shows totals in which it is counted itself.
        let counted = self.totals.clone();
        self.count(self.feed.trailers.len(), 0)?;
        let lines = self.lines(&self.feed.trailers, &self.totals.results())?;
        self.totals = counted;
        let before = out.len();
        self.writer.end(&lines, out).map_err(|wrong| misfit(&wrong))?;
        self.count(lines.len(), out.len() - before)?;
        let records = self.details + (self.feed.headers.len() + self.feed.trailers.len()) as u64;
        let sums = self.feed.counting.sums(&self.totals.results());
        Ok(Finished { details: self.details, records, sums })
    }

    fn lines(&self, fills: &[Fill], results: &[Option<String>]) -> Result<Vec<String>, Reason> {
        let given = Given { stamp: self.stamp, file: self.name, results };
        fills.iter().map(|fill| fill.text(&given)).collect()
    }

    /// Counts so many lines of so many bytes together; the names of the columns are no record.
    fn count(&mut self, lines: usize, bytes: usize) -> Result<(), Reason> {
        for nth in 0..lines {
            let bytes = if nth == 0 { bytes as u64 } else { 0 };
            self.totals.take(&Counted { kind: "", detail: false, bytes, fields: &[] }).map_err(counting::refused)?;
        }
        Ok(())
    }
}
