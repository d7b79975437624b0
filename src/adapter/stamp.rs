//! What tells one version of a file from the next, without reading it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

/// Time of the last change, inode and length; none = it cannot be looked at.
pub type Stamp = Option<(SystemTime, u64, u64)>;

/// The stamp of a file as it is now.
pub fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.ino(), found.len()))
}
