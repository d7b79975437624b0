//! Rows are tried out, and where files have a largest size they are divided by it.

use super::Drop;
use crate::format::feed::{Gauge, Row};
use crate::rules::outcome::Reason;

/// Tries rows out one after the other, and keeps what each takes where that is asked for.
pub(super) struct Scale<'d> {
    gauge: Gauge<'d>,
    limit: Option<Limit>,
}

struct Limit {
    /// Bytes of the rows of one file.
    room: u64,
    /// Bytes of the largest file, for messages.
    most: u64,
    /// Rows of the record that is looked at: they count when all of it can be encoded.
    coming: Vec<(i64, u64)>,
    /// All rows: place and bytes.
    rows: Vec<(i64, u64)>,
}

impl<'d> Scale<'d> {
    /// With the bytes of the largest file and those that stand around its rows; none = no limit.
    pub(super) fn new(drop: &'d Drop, limit: Option<(u64, u64)>) -> Result<Scale<'d>, Reason> {
        let limit = match limit {
            None => None,
            Some((most, around)) if around < most => {
                Some(Limit { room: most - around, most, coming: Vec::new(), rows: Vec::new() })
            }
            Some((most, around)) => {
                let text = format!("`max_bytes` is {most}, and header and trailer may take {around}");
                return Err(Reason::new("max-bytes", text));
            }
        };
        Ok(Scale { gauge: drop.feed.gauge()?, limit })
    }

    /// Tries a row out.
    pub(super) fn weigh(&mut self, place: i64, row: &Row<'_>) -> Result<(), Reason> {
        let tried = self.gauge.row(row);
        let Some(limit) = &mut self.limit else { return tried.map(drop) };
        let bytes = match tried {
            Ok(bytes) if bytes <= limit.room => bytes,
            Ok(_) => {
                limit.coming.clear();
                let text = format!("the row alone is larger than a file of {} bytes: too_large", limit.most);
                return Err(Reason::new("encoding", text));
            }
            Err(reason) => {
                limit.coming.clear();
                return Err(reason);
            }
        };
        limit.coming.push((place, bytes));
        Ok(())
    }

    /// The rows of a record that were tried out go into the file.
    pub(super) fn keep(&mut self) {
        if let Some(limit) = &mut self.limit {
            limit.rows.append(&mut limit.coming);
        }
    }

    /// The place of the last row of each file but the last, with at most so many rows; none = files have no largest size.
    pub(super) fn ends(&mut self, most: u64) -> Option<Vec<i64>> {
        let limit = self.limit.as_mut()?;
        limit.rows.sort_unstable();
        let mut ends = Vec::new();
        let (mut rows, mut bytes, mut before) = (0_u64, 0_u64, None);
        for (place, size) in &limit.rows {
            if let Some(before) = before.filter(|_| rows == most || bytes + size > limit.room) {
                ends.push(before);
                (rows, bytes) = (0, 0);
            }
            (rows, bytes, before) = (rows + 1, bytes + size, Some(*place));
        }
        Some(ends)
    }
}
