//! `batch:` of a connector: several records in one request.

use crate::config::found::Found;
use crate::rules::batch::{Batch, Shape};

/// Reads `batch: {max, maxBytes, shape}`. None when it is wrong; `Some(None)` = one record a request (`max: 1`).
pub(crate) fn batch(found: &Found<'_>) -> Option<Option<Batch>> {
    let fields = found.fields()?;
    let most = i64::try_from(Batch::MOST).unwrap_or(i64::MAX);
    let max = fields
        .take("max")
        .map_or(Some(Batch::MAX), |found| found.integer(1..=most).and_then(|max| usize::try_from(max).ok()));
    let max_bytes = fields.take("maxBytes").map_or(Some(Batch::MAX_BYTES), |found| {
        found.bytes().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    });
    let shape = fields.take("shape").map_or(Some(Shape::Array), |found| {
        let words = [("array", Some(Shape::Array)), ("ndjson", Some(Shape::Lines)), ("spec", None)];
        let shape = found.choice("shape", &words)?;
        if shape.is_none() {
            found.error_hint("`spec` is for adapters that describe their own requests", "write array or ndjson");
        }
        shape
    });
    fields.done();
    let (max, max_bytes, shape) = (max?, max_bytes?, shape?);
    Some((max > 1).then_some(Batch { max, max_bytes, shape }))
}
