//! A folder of this machine, or mounted on it, as a [`Place`].

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::adapter::place::{Class, Entry, Look, Name, Opening, Place, Progress, Replace, Sink, Trouble};

/// Bytes that are copied at a time.
const CHUNK: usize = 256 * 1024;

/// A folder.
#[derive(Debug)]
pub struct Directory {
    folder: PathBuf,
    temps: PathBuf,
    open: Option<File>,
}

impl Directory {
    /// Mode of a published file: its owner writes, its group reads.
    pub const MODE: Mode = Mode::from_raw_mode(0o640);

    /// The folder where files are published, and the one for temporary files (none = the same), which must be on the
    /// same file system. A folder that is not there is [`Class::Missing`]: it is never made, since the place of a mount
    /// that is not mounted looks just so.
    pub fn open(folder: &Path, temps: Option<&Path>) -> Result<Directory, Trouble> {
        let temps = temps.unwrap_or(folder);
        for path in [folder, temps] {
            let found = fs::metadata(path).map_err(|error| trouble(&error.into(), "open the folder", path))?;
            if !found.is_dir() {
                return Err(Trouble::new(Class::Missing, format!("{} is not a folder", path.display())));
            }
        }
        Ok(Directory { folder: folder.to_owned(), temps: temps.to_owned(), open: None })
    }

    fn path(&self, name: Name<'_>) -> Result<PathBuf, Trouble> {
        let text = name.text();
        // A name is one of the folder, whatever it was made from.
        if text.is_empty() || text == "." || text == ".." || text.contains(['/', '\0']) {
            return Err(Trouble::new(Class::Local, format!("`{}` is not the name of a file", text.escape_debug())));
        }
        Ok(match name {
            Name::Final(_) => self.folder.join(text),
            Name::Temp(_) => self.temps.join(text),
        })
    }

    fn opened(&mut self) -> Result<&mut File, Trouble> {
        self.open.as_mut().ok_or_else(|| Trouble::new(Class::Local, "no file is open"))
    }
}

impl Place for Directory {
    fn probe(&mut self) -> Result<(), Trouble> {
        for folder in [&self.folder, &self.temps] {
            rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
                .map_err(|errno| trouble(&errno.into(), "write in the folder", folder))?;
        }
        Ok(())
    }

    fn look(&mut self, name: Name<'_>) -> Result<Look, Trouble> {
        let path = self.path(name)?;
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => Ok(Look::File(Some(found.len()))),
            // A link, a folder, a pipe: something that is not ours has the name.
            Ok(_) => Ok(Look::File(None)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A folder that went away (a mount that broke) is not a file that went away.
                fs::metadata(&self.folder)
                    .map_err(|error| trouble(&error.into(), "look into the folder", &self.folder))?;
                Ok(Look::Absent)
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Look::Hidden),
            Err(error) => Err(trouble(&error.into(), "look at", &path)),
        }
    }

    fn create(&mut self, name: Name<'_>, opening: Opening) -> Result<(), Trouble> {
        self.open = None;
        let path = self.path(name)?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make = |flags| rustix::fs::open(&path, flags, Directory::MODE).map(File::from);
        let file = match opening {
            Opening::Resume => make(flags),
            Opening::Empty => match make(flags | OFlags::CREATE | OFlags::EXCL) {
                // Ours of an earlier attempt, or of nobody; a new one either way, so that whoever has it open keeps his.
                Err(Errno::EXIST) => {
                    rustix::fs::unlink(&path).and_then(|()| make(flags | OFlags::CREATE | OFlags::EXCL))
                }
                file => file,
            },
        };
        self.open = Some(file.map_err(|errno| trouble(&errno.into(), "create", &path))?);
        Ok(())
    }

    fn write(&mut self, offset: u64, from: &mut dyn Read, progress: Progress<'_>) -> Result<u64, Trouble> {
        let folder = self.temps.clone();
        let file = self.opened()?;
        let failed = |error: std::io::Error| trouble(&error.into(), "write in", &folder);
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut buffer = vec![0; CHUNK];
        let mut written = 0;
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => return Ok(written),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Trouble::new(Class::Local, format!("the staged file cannot be read: {error}")));
                }
            };
            file.write_all(buffer.get(..read).unwrap_or_default()).map_err(failed)?;
            written += read as u64;
            progress(offset + written);
        }
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        let folder = self.temps.clone();
        self.opened()?.sync_all().map_err(|error| trouble(&error.into(), "store a file in", &folder))
    }

    fn close(&mut self) -> Result<(), Trouble> {
        // After fsync nothing is left that a close could fail to write; the folder's entry is.
        self.open = None;
        sync_folder(&self.temps)
    }

    fn rename(&mut self, from: Name<'_>, to: Name<'_>, replace: Replace) -> Result<(), Trouble> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        let done = match replace {
            Replace::Atomic => rustix::fs::rename(&from, &to),
            Replace::Never => match rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link(&from, &to),
                done => done,
            },
        };
        done.map_err(|errno| trouble(&errno.into(), "rename to", &to))
    }

    fn settle(&mut self) -> Result<(), Trouble> {
        sync_folder(&self.folder)?;
        if self.temps == self.folder { Ok(()) } else { sync_folder(&self.temps) }
    }

    fn remove(&mut self, name: Name<'_>) -> Result<(), Trouble> {
        let path = self.path(name)?;
        fs::remove_file(&path).map_err(|error| trouble(&error.into(), "remove", &path))
    }

    fn read(&mut self, name: Name<'_>, offset: u64, sink: Sink<'_>) -> Result<(), Trouble> {
        let path = self.path(name)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(&path, flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| trouble(&errno.into(), "read", &path))?;
        let mut buffer = vec![0; CHUNK];
        let mut at = offset;
        loop {
            let read = file.read_at(&mut buffer, at).map_err(|error| trouble(&error.into(), "read", &path))?;
            if read == 0 || !sink(buffer.get(..read).unwrap_or_default()) {
                return Ok(());
            }
            at += read as u64;
        }
    }

    fn list(&mut self, temp: bool) -> Result<Vec<Entry>, Trouble> {
        let folder = if temp { &self.temps } else { &self.folder };
        let failed = |error: std::io::Error| trouble(&error.into(), "list", folder);
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Taken away since the listing began, or nothing of ours.
            let Ok(found) = entry.metadata() else { continue };
            let Ok(name) = entry.file_name().into_string() else { continue };
            if found.is_file() {
                let written = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                entries.push(Entry { name, size: Some(found.len()), written: written.map(|time| time.as_secs()) });
            }
        }
        Ok(entries)
    }
}

/// A rename that fails when the name is taken, where the file system has none: both names for a moment, of one file.
fn link(from: &Path, to: &Path) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())?;
    rustix::fs::unlink(from)
}

fn sync_folder(folder: &Path) -> Result<(), Trouble> {
    let stored = File::open(folder).and_then(|folder| folder.sync_all());
    match stored {
        // Some mounted file systems cannot store a folder by itself; the server behind them does.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        stored => stored.map_err(|error| trouble(&error.into(), "store the folder", folder)),
    }
}

/// An error of the operating system, with what was tried where.
struct Os(Option<i32>, ErrorKind, String);

impl From<std::io::Error> for Os {
    fn from(error: std::io::Error) -> Os {
        Os(error.raw_os_error(), error.kind(), error.to_string())
    }
}

impl From<Errno> for Os {
    fn from(errno: Errno) -> Os {
        std::io::Error::from(errno).into()
    }
}

fn trouble(error: &Os, what: &str, path: &Path) -> Trouble {
    let gone = [Errno::STALE, Errno::NOTCONN, Errno::HOSTDOWN, Errno::HOSTUNREACH, Errno::TIMEDOUT, Errno::IO];
    let class = match error.1 {
        _ if gone.iter().any(|errno| Some(errno.raw_os_error()) == error.0) => Class::Connection,
        ErrorKind::NotFound | ErrorKind::NotADirectory => Class::Missing,
        ErrorKind::PermissionDenied => Class::Permission,
        ErrorKind::AlreadyExists => Class::Exists,
        ErrorKind::Unsupported | ErrorKind::CrossesDevices => Class::Unsupported,
        _ => Class::Failure,
    };
    Trouble::new(class, format!("cannot {what} {}: {}", path.display(), error.2))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().unwrap();
        let place = Directory::open(folder.path(), None).unwrap();
        (folder, place)
    }

    fn put(place: &mut Directory, name: Name<'_>, bytes: &[u8]) {
        place.create(name, Opening::Empty).unwrap();
        assert_eq!(place.write(0, &mut &*bytes, &mut |_| ()).unwrap(), bytes.len() as u64);
        place.sync().unwrap();
        place.close().unwrap();
    }

    #[test]
    fn a_rename_never_replaces_unless_it_is_told_to() {
        let (folder, mut place) = place();
        put(&mut place, Name::Temp(".a"), b"new");
        put(&mut place, Name::Final("a"), b"old");
        let refused = place.rename(Name::Temp(".a"), Name::Final("a"), Replace::Never).unwrap_err();
        assert_eq!(refused.class, Class::Exists);
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"old");
        place.rename(Name::Temp(".a"), Name::Final("a"), Replace::Atomic).unwrap();
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"new");
        assert_eq!(place.look(Name::Temp(".a")).unwrap(), Look::Absent);
    }

    #[test]
    fn where_the_file_system_has_no_such_rename_a_link_does_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join(".a"), folder.path().join("a"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        assert_eq!(link(&from, &to).unwrap_err(), Errno::EXIST);
        assert_eq!((fs::read(&from).unwrap(), fs::read(&to).unwrap()), (b"new".to_vec(), b"old".to_vec()));
        fs::remove_file(&to).unwrap();
        link(&from, &to).unwrap();
        assert_eq!((from.exists(), fs::read(&to).unwrap()), (false, b"new".to_vec()));
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let (folder, mut place) = place();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::write(elsewhere.path(), "precious").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(".a.part")).unwrap();
        put(&mut place, Name::Temp(".a.part"), b"bytes");
        assert_eq!(fs::read(elsewhere.path()).unwrap(), b"precious");
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("b")).unwrap();
        assert!(place.create(Name::Temp("b"), Opening::Resume).is_err());
        assert!(place.read(Name::Final("b"), 0, &mut |_| true).is_err());
        assert_eq!(place.look(Name::Final("b")).unwrap(), Look::File(None));
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_folder() {
        let (_folder, mut place) = place();
        for name in ["../a", "a/b", "..", ".", "", "a\0b"] {
            assert_eq!(place.create(Name::Final(name), Opening::Empty).unwrap_err().class, Class::Local, "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made_and_is_not_an_absent_file() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("mount");
        assert_eq!(Directory::open(&gone, None).unwrap_err().class, Class::Missing);
        fs::create_dir(&gone).unwrap();
        let mut place = Directory::open(&gone, None).unwrap();
        fs::remove_dir(&gone).unwrap();
        assert_eq!(place.look(Name::Final("a")).unwrap_err().class, Class::Missing);
        assert!(!gone.exists());
    }

    #[test]
    fn a_published_file_is_for_its_owner_and_group() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, mut place) = place();
        put(&mut place, Name::Final("a"), b"1");
        let mode = fs::metadata(folder.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
    }
}
