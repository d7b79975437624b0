//! The file and its folder: who could be locked out by what we leave behind, is it still the same file, is its
//! write-ahead log on the disk. By `stat` alone; only the `-wal` is ever opened here.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access as Permission;

use super::fault::{CaptureError, Result};
use super::hold::{self, Beside, First, Stamp};
use super::{Access, CapturedLog};

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The application's `-wal` under our own descriptor.
#[derive(Debug)]
pub(super) struct OpenWal {
    file: File,
    id: FileId,
}

/// The file that a path names now; none when there is none.
pub(super) fn identify(path: &Path) -> Result<Option<FileId>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(FileId::of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CaptureError::Io { path: path.to_path_buf(), doing: "look at it", source }),
    }
}

/// Where the path leads, and which file that is. Refuses one that is no file, cannot be written, or whose folder would lock the application out;
/// and one that is empty, beside which SQLite would remove the application's `-wal`.
pub(super) fn check(path: &Path, access: Access) -> Result<(PathBuf, FileId)> {
    let file = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(CaptureError::Missing { path: path.to_path_buf() });
        }
        Err(source) => return Err(CaptureError::Io { path: path.to_path_buf(), doing: "look at it", source }),
    };
    if !file.is_file() {
        return Err(CaptureError::NotAFile { path: path.to_path_buf() });
    }
    if file.size() == 0 {
        return Err(CaptureError::Empty { path: path.to_path_buf() });
    }
    let real = std::fs::canonicalize(path).map_err(|source| CaptureError::Io {
        path: path.to_path_buf(),
        doing: "find it",
        source,
    })?;
    let folder_path = folder_of(&real);
    let uid = rustix::process::geteuid().as_raw();
    if access == Access::Write {
        let allowed = |path: &Path, permission| rustix::fs::access(path, permission).is_ok();
        if !allowed(path, Permission::READ_OK | Permission::WRITE_OK) {
            return Err(CaptureError::ReadOnly { path: path.to_path_buf(), what: "the file", uid });
        }
        if !allowed(&folder_path, Permission::WRITE_OK | Permission::EXEC_OK) {
            return Err(CaptureError::ReadOnly { path: path.to_path_buf(), what: "the folder", uid });
        }
    }
    let folder = std::fs::metadata(&folder_path).map_err(|source| CaptureError::Io {
        path: folder_path,
        doing: "look at it",
        source,
    })?;
    let us = Us { uid, gid: rustix::process::getegid().as_raw() };
    if let Some(cause) = lockout(Owned::of(&file), Owned::of(&folder), us) {
        return Err(CaptureError::Lockout { path: path.to_path_buf(), cause });
    }
    Ok((real, FileId::of(&file)))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[derive(Clone, Copy)]
struct Owned {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Owned {
    fn of(metadata: &Metadata) -> Owned {
        Owned { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() }
    }
}

#[derive(Clone, Copy)]
struct Us {
    uid: u32,
    gid: u32,
}

const SETGID: u32 = 0o2000;
const GROUP_READ_WRITE: u32 = 0o060;

/// A `-wal`, `-shm` or journal that we make has the file's permission bits, our user, and our group (or the
/// folder's, when that is setgid); after a kill it stays. Why the application could not open it, if so.
///
/// SQLite running as root gives such files to the database's owner itself.
fn lockout(file: Owned, folder: Owned, us: Us) -> Option<String> {
    if us.uid == 0 || us.uid == file.uid {
        return None;
    }
    let group = if folder.mode & SETGID != 0 { folder.gid } else { us.gid };
    if group != file.gid {
        return Some(format!(
            "files that the agent (uid {}, gid {}) makes beside it would belong to group {group} and not to the \
             file's group {}; left behind after a kill they lock the application (uid {}) out",
            us.uid, us.gid, file.gid, file.uid
        ));
    }
    (file.mode & GROUP_READ_WRITE != GROUP_READ_WRITE).then(|| {
        format!(
            "the file's mode {:03o} gives its group no writing, so files that the agent (uid {}) makes beside it \
             lock the application (uid {}) out after a kill",
            file.mode & 0o777,
            us.uid,
            file.uid
        )
    })
}

fn broken(path: &Path, cause: &io::Error) -> CaptureError {
    CaptureError::Broken { path: path.to_path_buf(), doing: "sync it", cause: cause.to_string() }
}

impl CapturedLog {
    /// Makes the log durable up to an event that was read. A sync covers all that was committed before it, and an application
    /// that writes meanwhile may have to wait for it: a backlog needs one, not one for each piece of it.
    ///
    /// # Errors
    /// As [`CapturedLog::sync_wal`].
    pub fn sync_to(&mut self, seq: i64) -> Result<()> {
        if seq <= self.durable {
            return Ok(());
        }
        // Beside a rollback journal each reader keeps a writer out for a moment: there nothing is read for this.
        let covers = if self.journal_mode()? == "wal" { self.highest_seq()?.max(seq) } else { seq };
        self.sync_wal()?;
        self.durable = covers;
        Ok(())
    }

    /// Makes all that was read durable, whatever the application's `synchronous` says: `fdatasync` of its `-wal`,
    /// or, where the end of a rollback journal is the commit, of what is left of the journal and of the folder. Call
    /// before the first send of what was read: a change that a power cut takes back must never have been sent.
    ///
    /// `synchronous=OFF` in the application cannot be repaired.
    ///
    /// # Errors
    /// [`CaptureError::Broken`] when a sync has failed: the agent must end.
    pub fn sync_wal(&mut self) -> Result<()> {
        if self.journal_mode()? != "wal" {
            return self.sync_journal();
        }
        let path = self.sibling("-wal");
        let fail = |doing, source| CaptureError::Io { path: path.clone(), doing, source };
        let Some(id) = identify(&path)? else {
            // All of it is in the database: whoever checkpointed and removed the log synced it first.
            self.wal = None;
            return self.sync_folder();
        };
        if self.wal.as_ref().is_none_or(|wal| wal.id != id) {
            let file = File::open(&path).map_err(|source| fail("open it", source))?;
            let id = FileId::of(&file.metadata().map_err(|source| fail("look at it", source))?);
            self.wal = Some(OpenWal { file, id });
            // A new log is only durable once its name is.
            self.sync_folder()?;
        }
        match &self.wal {
            Some(wal) => wal.file.sync_data().map_err(|source| broken(&path, &source)),
            None => Ok(()),
        }
    }

    /// A journal that is kept was cut to nothing or overwritten at its head by the commit: without a sync a power cut
    /// brings it back, and SQLite rolls the commit back with it. One that was removed is gone with its name.
    fn sync_journal(&self) -> Result<()> {
        let path = self.sibling("-journal");
        match File::open(&path).and_then(|journal| journal.sync_all()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(CaptureError::Io { path, doing: "sync it", source })
            }
            _ => self.sync_folder(),
        }
    }

    /// A file that SQLite keeps beside the application's.
    fn sibling(&self, ending: &str) -> PathBuf {
        hold::sibling(&self.real, ending)
    }

    /// The file's journal mode: `wal`, `delete`, ...
    pub fn journal_mode(&self) -> Result<String> {
        self.tell("ask for journal_mode", || {
            Ok(self.conn.prepare_cached("PRAGMA main.journal_mode")?.query_row([], |row| row.get(0))?)
        })
    }

    fn sync_folder(&self) -> Result<()> {
        let folder = folder_of(&self.real);
        let open = File::open(&folder).map_err(|source| CaptureError::Io {
            path: folder.clone(),
            doing: "open it",
            source,
        })?;
        open.sync_all().map_err(|source| broken(&folder, &source))
    }

    /// Whether the path still names the file that we have open, with the `-wal` and `-shm` that we have open; none when
    /// it names nothing. One of these that was taken away under us counts as another file: SQLite would go on with what
    /// has no name any more. So does a file that is empty: whoever copies over a file begins with that.
    pub(super) fn same_file(&mut self) -> Result<Option<bool>> {
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CaptureError::Io { path: self.path.clone(), doing: "look at it", source }),
        };
        self.intact = false;
        let known = self.hold.as_ref().is_some_and(|hold| !hold.is_over());
        if !known || FileId::of(&metadata) != self.file || metadata.size() == 0 {
            return Ok(Some(false));
        }
        let stamp = Stamp::of(&metadata);
        let written = self.stamp.is_some_and(|before| before != stamp);
        if written {
            // Copied over, it can have the very change counter by which SQLite knows the pages that it keeps.
            self.tell("forget what was read", || Ok(self.conn.execute_batch("PRAGMA shrink_memory")?))?;
        }
        self.stamp = Some(stamp);
        let now = Beside::now(&self.real)?;
        Ok(Some(match (self.beside, now) {
            (Some(known), now) => {
                self.intact = known != now && !written;
                known == now
            }
            // As long as a connection is in WAL mode its -wal stands: one that is missing was taken away.
            (None, Beside { wal: None, .. }) => self.journal_mode()? != "wal",
            (None, Beside { wal: Some(_), .. }) => {
                self.find_beside()?;
                true
            }
        }))
    }

    /// Takes down what stands beside the file, once this connection has it open: in WAL mode nobody else can remove it
    /// from then on but by force.
    pub(super) fn find_beside(&mut self) -> Result<()> {
        if self.beside.is_none() && self.journal_mode()? == "wal" {
            let now = Beside::now(&self.real)?;
            if let (Some(hold), Beside { wal: Some(_), shm: Some(_) }) = (&self.hold, now) {
                hold.found(now);
                self.beside = Some(now);
            }
        }
        Ok(())
    }

    /// Whether the path still names the file that is open.
    pub fn is_current(&mut self) -> Result<bool> {
        Ok(self.same_file()? == Some(true))
    }

    /// Whether a connection is open. None is while a file that was replaced has not rested yet.
    pub fn is_open(&self) -> bool {
        self.hold.is_some()
    }

    /// Whether what is open, though it was replaced, still reads as it was: the path names another file, or only the `-wal`
    /// and `-shm` lost their names.
    pub fn is_readable_still(&self) -> bool {
        let superseded = || identify(&self.path).is_ok_and(|now| now.is_some_and(|now| now != self.file));
        self.hold.as_ref().is_some_and(|hold| superseded() || self.intact || hold.is_intact())
    }

    /// Whether connections of this process are still open to what stood at the path before.
    pub fn is_waited_for(&self) -> bool {
        hold::is_waited_for(&self.real)
    }

    /// When the file is replaced this one is to be the first that opens it; others wait for [`CapturedLog::release`].
    pub fn go_first(&mut self) {
        self.first = Some(First::at(&self.real));
    }

    /// Others may open what this one has opened and looked at.
    pub fn release(&self) {
        self.first.iter().for_each(First::release);
    }

    /// Whether another file was opened since this was last asked.
    pub fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// What the file holds makes no sense, or is of another file: every connection of this process is to be closed, and
    /// opened again when nobody has written the file for a while.
    pub fn leave(&mut self) -> Result<()> {
        if let Some(hold) = &self.hold {
            hold.end(self.intact);
        }
        self.let_go()
    }

    /// Closes the connection when the file is not what it was: no other of this process is opened before. Does nothing
    /// while the file is gone: what was read of it can still be read.
    pub fn yield_file(&mut self) -> Result<()> {
        match self.same_file()? {
            Some(false) => self.leave(),
            Some(true) | None => Ok(()),
        }
    }

    /// Opens the file anew when the path names another one, or its `-wal` or `-shm` was taken away. True when it did.
    ///
    /// # Errors
    /// [`CaptureError::Replaced`] while others of this process have the old one open or the new one is being written;
    /// [`CaptureError::Missing`].
    pub fn follow(&mut self) -> Result<bool> {
        match self.same_file()? {
            Some(true) => Ok(false),
            Some(false) => self.reopen().map(|()| true),
            None => Err(CaptureError::Missing { path: self.path.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_where_our_leftovers_lock_the_application_out_is_refused() {
        let file = |gid, mode| Owned { uid: 500, gid, mode };
        let folder = |gid, mode| Owned { uid: 500, gid, mode };
        let agent = Us { uid: 600, gid: 600 };
        assert!(lockout(file(500, 0o660), folder(500, 0o770), agent).is_some_and(|why| why.contains("group 600")));
        assert!(lockout(file(500, 0o644), folder(500, 0o2770), agent).is_some_and(|why| why.contains("644")));
        assert_eq!(lockout(file(500, 0o660), folder(500, 0o2770), agent), None);
        assert_eq!(lockout(file(600, 0o660), folder(500, 0o770), agent), None);
        assert_eq!(lockout(file(500, 0o600), folder(500, 0o700), Us { uid: 500, gid: 600 }), None);
        assert_eq!(lockout(file(500, 0o600), folder(500, 0o700), Us { uid: 0, gid: 0 }), None);
    }
}
