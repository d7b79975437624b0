//! Whether what a bidirectional connector sends names the version that was read: what does not overwrites what was changed
//! there and not read yet.

use super::pull::PullSpec;
use crate::config::found::Found;
use crate::rules::operation::Spec;

/// The header fields by which a write is made to one version only (RFC 9110 §13.1).
const CONDITIONS: [&str; 2] = ["if-match", "if-unmodified-since"];

/// Whether some write of an adapter's file names a version.
pub fn is_conditional(spec: &Spec) -> bool {
    let steps = spec.operations.all().filter(|(name, _)| *name != "delete").flat_map(|(_, operation)| &operation.steps);
    let mut headers = steps.flat_map(|step| &step.request.headers);
    headers.any(|(name, _)| CONDITIONS.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// What is around it.
pub(super) struct Around<'a> {
    /// What the adapter's file says; none = plain REST.
    pub spec: Option<&'a Spec>,
    /// Several records go in one request.
    pub joins: bool,
    /// How it reads.
    pub reading: &'a PullSpec,
}

/// Warns at the connector where nothing that it sends names a version.
pub(super) fn warn(found: &Found<'_>, around: &Around<'_>) {
    const LOST: &str = "what is changed there and not read yet is overwritten by what is sent";
    let Around { spec, joins, reading } = around;
    let (why, how) = match spec {
        _ if *joins && reading.is_asked() => {
            ("a record among several names no version (`If-Match`)".to_owned(), "leave `batch` out where that matters")
        }
        Some(spec) if !is_conditional(spec) => (
            format!("the adapter {} names no version (`If-Match`)", spec.name),
            "keep `every` short, and see docs/PULL.md#both-sides",
        ),
        None if !reading.conditional && !reading.declined => (
            "no version is named (`If-Match`), for it could not be had anew when it is refused".to_owned(),
            "say in `pull` how `one` record is asked for, or `ifMatch: false` where the target knows no conditions",
        ),
        Some(_) | None => return,
    };
    found.warn(format!("{LOST}: {why}"), Some(how));
}
