#![allow(clippy::unwrap_used, clippy::panic)]

mod lines;
mod records;
mod round_trip;

use jiff::civil::date;
use jiff::tz::TimeZone;

use super::*;
use crate::clock::Timestamp;
use crate::event::Value;
use crate::format::codepage::{CodePage, named};

/// A stamp of 2026-03-05, sequence 17.
fn stamp() -> Stamp {
    Stamp {
        office: "OF042".to_owned(),
        drop: "nightly".to_owned(),
        bus_date: date(2026, 3, 5),
        cut: Timestamp(1_772_755_200_000),
        created: Timestamp(1_772_755_201_000),
        zone: TimeZone::UTC,
        seq: 17,
        prev_seq: 16,
        generation: 17,
        rerun: 0,
        modifier: 0,
        part: (1, 1),
    }
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Record {
    fields.into_iter().collect()
}

fn row(record: &Record, ordinal: u64) -> Row<'_> {
    Row { record, action: "add", ordinal }
}

/// A whole file. The output is taken away after each call, as a file on disk would.
fn file(feed: &Feed, rows: &[Record]) -> Result<(Vec<u8>, Finished), Reason> {
    let stamp = stamp();
    let write = |sums: Option<&Sums>| {
        let mut writing = feed.file(&stamp, "F.DAT")?;
        let (mut whole, mut out) = (Vec::new(), Vec::new());
        writing.begin(sums, &mut out)?;
        whole.append(&mut out);
        for (record, ordinal) in rows.iter().zip(1..) {
            let row = row(record, ordinal);
            feed.gauge()?.row(&row)?;
            writing.row(&row, &mut out)?;
            whole.append(&mut out);
        }
        let finished = writing.finish(&mut out)?;
        whole.append(&mut out);
        Ok((whole, finished))
    };
    let first = write(None)?;
    if feed.sums_first() { write(Some(&first.1.sums)) } else { Ok(first) }
}

fn page(name: &str) -> &'static CodePage {
    named(name).unwrap()
}

fn text(page_: &str, bytes: &[u8]) -> String {
    page(page_).decode(bytes).unwrap()
}

fn pattern(text: &str) -> Set {
    Set::Pattern(text.to_owned())
}
