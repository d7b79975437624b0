//! Writing a file.

use crate::event::Value;
use crate::format::feed::fill::Given;
use crate::format::feed::fixed::line::Line;
use crate::format::feed::fixed::{Fixed, framed, take};
use crate::format::feed::{Finished, Row, Sums, counting};
use crate::format::frame;
use crate::rules::naming::Stamp;
use crate::rules::outcome::Reason;
use crate::rules::total::{Counted, Totals};

/// A file in the making.
#[derive(Debug)]
pub(crate) struct Pen<'f> {
    feed: &'f Fixed,
    stamp: &'f Stamp,
    name: &'f str,
    frame: frame::Writer<Vec<u8>>,
    totals: Totals,
    /// What is the same in each detail of the file, by kind.
    file: Vec<Vec<Value>>,
    details: u64,
    /// The record that is made.
    record: Vec<u8>,
    texts: Vec<String>,
}

impl<'f> Pen<'f> {
    pub(super) fn new(feed: &'f Fixed, stamp: &'f Stamp, name: &'f str) -> Result<Pen<'f>, Reason> {
        let given = Given { stamp, file: name, results: &[] };
        let file = feed.details.iter().map(|detail| detail.line.file_values(&given)).collect::<Result<_, _>>()?;
        Ok(Pen {
            feed,
            stamp,
            name,
            frame: frame::Writer::new(Vec::new(), feed.framing.clone(), feed.pad.clone()),
            totals: feed.counting.totals(),
            file,
            details: 0,
            record: Vec::new(),
            texts: Vec::new(),
        })
    }

    pub fn begin(&mut self, sums: Option<&Sums>, out: &mut Vec<u8>) -> Result<(), Reason> {
        let results = self.feed.counting.results(sums);
        self.lines(&self.feed.headers, &results, out)
    }

    pub fn row(&mut self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), Reason> {
        let feed = self.feed;
        let kinds = feed.details.iter().zip(&self.file);
        let (detail, file) = match feed.details.as_slice() {
            [only] if only.when.is_none() => (only, self.file.first().map(Vec::as_slice).unwrap_or_default()),
            _ => {
                let wanted = feed.detail(row)?;
                kinds
                    .into_iter()
                    .find(|(detail, _)| std::ptr::eq(*detail, wanted))
                    .map_or((wanted, [].as_slice()), |(detail, file)| (detail, file.as_slice()))
            }
        };
        self.record.clear();
        detail.line.detail(row, file, &mut self.record)?;
        take(&mut self.totals, feed, detail, &self.record, &mut self.texts)?;
        self.details += 1;
        self.write(out)
    }

    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Finished, Reason> {
        // A trailer shows totals in which it is counted itself.
        let mut ahead = self.totals.clone();
        for line in &self.feed.trailers {
            ahead.take(&self.counted(line, line.longest())).map_err(counting::refused)?;
        }
        let results = ahead.results();
        self.lines(&self.feed.trailers, &results, out)?;
        let sums = self.feed.counting.sums(&self.totals.results());
        let (mut rest, records, _) = self.frame.finish().map_err(framed)?;
        out.append(&mut rest);
        out.extend(self.feed.eof);
        Ok(Finished { details: self.details, records, sums })
    }

    fn lines(&mut self, lines: &[Line], results: &[Option<String>], out: &mut Vec<u8>) -> Result<(), Reason> {
        for line in lines {
            self.record.clear();
            line.encode(&Given { stamp: self.stamp, file: self.name, results }, &mut self.record)?;
            let counted = self.counted(line, self.record.len());
            self.totals.take(&counted).map_err(counting::refused)?;
            self.write(out)?;
        }
        Ok(())
    }

    /// A header or trailer, as totals count it.
    fn counted<'l>(&self, line: &'l Line, bytes: usize) -> Counted<'l> {
        Counted { kind: line.name(), detail: false, bytes: self.feed.taken(bytes), fields: &[] }
    }

    /// The record, and what of it is not kept back for its block.
    fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Reason> {
        self.frame.write(&self.record).map_err(framed)?;
        out.append(self.frame.get_mut());
        Ok(())
    }
}
