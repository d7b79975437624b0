//! A file that takes a line for each notice, for whatever reads it.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::Channel;
use crate::format::notice::Notice;
use crate::rules::outcome::Reason;

/// Appends to a file: one JSON document, one line. A file that is missing is made, for its owner alone; its folder is not.
#[derive(Debug)]
pub struct Lines(PathBuf);

impl Lines {
    /// Into this file.
    pub fn new(path: PathBuf) -> Lines {
        Lines(path)
    }
}

impl Channel for Lines {
    fn tell(&self, notice: &Notice) -> Result<(), Reason> {
        let line = format!("{}\n", notice.json());
        // Opened anew each time: whoever rotates it need tell nobody.
        let write = || {
            let mut file = File::options().append(true).create(true).mode(0o600).open(&self.0)?;
            // One write: a line is whole, or is not there.
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        write().map_err(|error| Reason::new("file", format!("{}: {error}", self.0.display())))
    }
}
