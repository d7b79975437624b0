//! `batch:` of a connector: several records in one request.

use crate::config::found::Found;
use crate::rules::batch::{Batch, Shape};
use crate::rules::operation::Spec;

/// Reads `batch: {max, maxBytes, shape}`. `spec` = the adapter that a file describes; one that is wrong says nothing. None when it
/// is wrong; `Some(None)` = one record a request (`max: 1`).
pub(crate) fn batch(found: &Found<'_>, spec: Option<Option<&Spec>>) -> Option<Option<Batch>> {
    let fields = found.fields()?;
    let joint = spec.flatten().and_then(|spec| spec.joint.as_ref());
    let most = i64::try_from(Batch::MOST).unwrap_or(i64::MAX);
    let max = fields.take("max").map_or(Some(joint.and_then(|joint| joint.max).unwrap_or(Batch::MAX)), |found| {
        found.integer(1..=most).and_then(|max| usize::try_from(max).ok())
    });
    let max_bytes = fields
        .take("maxBytes")
        .map_or(Some(joint.and_then(|joint| joint.max_bytes).unwrap_or(Batch::MAX_BYTES)), |found| {
            found.bytes().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
        });
    let own = if spec.is_some() { Shape::Spec } else { Shape::Array };
    let shape = fields.take("shape").map_or(Some(own), |found| {
        let words = [("array", Shape::Array), ("ndjson", Shape::Lines), ("spec", Shape::Spec)];
        let shape = found.choice("shape", &words)?;
        match (shape == Shape::Spec, spec.is_some()) {
            (true, false) => {
                found.error_hint("`spec` is for adapters that describe their own requests", "write array or ndjson");
                None
            }
            (false, true) => {
                found.error_hint("the adapter's file says how records stand in a request", "leave `shape` out");
                None
            }
            _ => Some(shape),
        }
    });
    fields.done();
    if let Some(Some(spec)) = spec
        && spec.joint.is_none()
    {
        let text = format!("the adapter {} says nothing of several records in one request", spec.name);
        found.error_hint(text, "leave `batch` out, or add `batch:` to a copy of the adapter's file");
        return None;
    }
    let (max, max_bytes, shape) = (max?, max_bytes?, shape?);
    let max = max.min(joint.and_then(|joint| joint.max).unwrap_or(usize::MAX));
    let max_bytes = max_bytes.min(joint.and_then(|joint| joint.max_bytes).unwrap_or(usize::MAX));
    Some((max > 1).then_some(Batch { max, max_bytes, shape }))
}
