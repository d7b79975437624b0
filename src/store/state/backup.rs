//! A copy of the state file while it is used, by SQLite's own backup: one snapshot, whole, synced.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{StateError, StateReader, quick_check, sync_folder};

impl StateReader {
    /// Copies the file to a new one, its owner's alone; never over one that is there. Neither waits the writer for it nor it
    /// for the writer: all pages come from one snapshot. What was begun and failed is removed again.
    ///
    /// # Errors
    /// [`StateError::Folder`] when the new file cannot be made, [`StateError::Disk`] when it cannot be written,
    /// [`StateError::Damaged`] when the copy is not whole.
    pub fn backup(&mut self, to: &Path) -> Result<(), StateError> {
        let cannot = |error| StateError::Folder { path: to.to_owned(), error };
        File::options().write(true).create_new(true).mode(0o600).open(to).map_err(cannot)?;
        let done = self.copy(to);
        if done.is_err() {
            let _ = std::fs::remove_file(to);
        }
        done
    }

    fn copy(&mut self, to: &Path) -> Result<(), StateError> {
        let at = |error| StateError::of(to, error);
        let mut copy =
            Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(at)?;
        let backup = Backup::new(&self.db, &mut copy).map_err(at)?;
        // All at once, so that no commit of the agent's begins it anew.
        while backup.step(-1).map_err(at)? != StepResult::Done {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        drop(backup);
        let wrong = quick_check(&copy).map_err(at)?;
        if !wrong.is_empty() {
            return Err(StateError::Damaged { path: to.to_owned(), found: wrong.join(", ") });
        }
        copy.close().map_err(|(_, error)| at(error))?;
        let cannot = |error| StateError::Folder { path: to.to_owned(), error };
        File::open(to).and_then(|file| file.sync_all()).map_err(cannot)?;
        sync_folder(to.parent().unwrap_or(Path::new("."))).map_err(cannot)
    }
}
