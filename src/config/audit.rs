//! `audit:`: where the audit is told outside the agent's own folder.

use std::path::PathBuf;

use crate::config::found::Found;

/// The audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// A second file to which each signed checkpoint is added, best on another machine; default none. The first lies beside
    /// the archive.
    pub checkpoints: Option<PathBuf>,
}

impl Audit {
    /// Reads `audit:`.
    pub(crate) fn read(found: &Found<'_>) -> Option<Audit> {
        let fields = found.fields()?;
        let audit = Audit { checkpoints: fields.path("checkpoints") };
        fields.done();
        Some(audit)
    }
}
