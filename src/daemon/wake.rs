//! Waking up when an application commits: a watch on its files, with a slow look as the fallback.
//!
//! The watch is for one write at a time, and only while somebody waits for it: each write to a watched file costs its
//! writer some microseconds, and an application that writes all the time must not pay them.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// What wakes a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Something was written in the application's folder.
    Written,
    /// Somebody asks for a look.
    Asked,
    /// The agent stops.
    Stop,
}

/// The watch on one application's file.
pub struct Watch {
    inbox: Receiver<Wake>,
    sender: Sender<Wake>,
    /// None where the system gives none: the slow look remains.
    eyes: Option<Eyes>,
}

impl Watch {
    /// Watches a database file, its `-wal` and its `-journal`, and what comes into their folder under these names.
    pub fn on(database: &Path) -> Watch {
        let (sender, inbox) = channel();
        let eyes = Eyes::open(database, sender.clone())
            .inspect_err(|error| {
                log::warn!("{}: cannot be watched ({error}): looked at now and then", database.display());
            })
            .ok();
        Watch { inbox, sender, eyes }
    }

    /// A handle to wake it by.
    pub fn bell(&self) -> Sender<Wake> {
        self.sender.clone()
    }

    /// Waits for a wake-up, or none within `patience`. Takes all that have gathered; a stop goes before all else. What
    /// was written before the files were watched again nobody knows: then it counts as written, at once.
    pub fn wait(&self, patience: Duration) -> Option<Wake> {
        let again = self.eyes.as_ref().is_some_and(Eyes::watch);
        let wake = self.pause(if again { Duration::ZERO } else { patience });
        wake.or(again.then_some(Wake::Written))
    }

    /// The same without the files being watched, for whoever looks at them in a moment anyway.
    pub fn pause(&self, patience: Duration) -> Option<Wake> {
        let mut first = match self.inbox.recv_timeout(patience) {
            Ok(wake) => wake,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => return Some(Wake::Stop),
        };
        while let Ok(next) = self.inbox.try_recv() {
            if first != Wake::Stop && next != Wake::Written {
                first = next;
            }
        }
        Some(first)
    }
}

/// What the system tells of the files (`inotify(7)`).
struct Eyes {
    /// The database and its `-wal`. A journal comes and goes, which the folder tells.
    files: [PathBuf; 2],
    inotify: Arc<OwnedFd>,
    /// The next write to the files is told.
    watching: Arc<AtomicBool>,
    /// Ends the thread that listens.
    end: Arc<OwnedFd>,
}

impl Eyes {
    fn open(database: &Path, tell: Sender<Wake>) -> io::Result<Eyes> {
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = database.file_name().unwrap_or_default().to_owned();
        let mut wal = name.clone();
        wal.push("-wal");
        let inotify = Arc::new(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?);
        let comings = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, folder, comings)?;
        let watching = Arc::new(AtomicBool::new(false));
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let mut ears = Ears {
            inotify: Arc::clone(&inotify),
            watching: Arc::clone(&watching),
            end: Arc::clone(&end),
            name: name.as_encoded_bytes().to_vec(),
            tell,
        };
        let thread = std::thread::Builder::new().name("watch".into()).stack_size(256 * 1024);
        thread.spawn(move || {
            if let Err(error) = ears.listen() {
                log::warn!("the watch on the application's file has ended ({error}): it is looked at now and then");
            }
        })?;
        Ok(Eyes { files: [folder.join(&name), folder.join(wal)], inotify, watching, end })
    }

    /// Has the next write told. True when it was not going to be.
    fn watch(&self) -> bool {
        if self.watching.swap(true, Ordering::AcqRel) {
            return false;
        }
        let mut any = false;
        for file in &self.files {
            // A file that is not there is told by the folder when it comes.
            any |= inotify::add_watch(&self.inotify, file, WatchFlags::MODIFY | WatchFlags::ONESHOT).is_ok();
        }
        any
    }
}

impl Drop for Eyes {
    fn drop(&mut self) {
        // The thread ends soon; nothing depends on when.
        let _ = rustix::io::write(&self.end, &1u64.to_ne_bytes());
    }
}

/// The listening side.
struct Ears {
    inotify: Arc<OwnedFd>,
    watching: Arc<AtomicBool>,
    end: Arc<OwnedFd>,
    name: Vec<u8>,
    tell: Sender<Wake>,
}

impl Ears {
    fn listen(&mut self) -> io::Result<()> {
        loop {
            let mut fds = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&self.end, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if !fds[1].revents().is_empty() {
                return Ok(());
            }
            if self.written()? {
                self.watching.store(false, Ordering::Release);
                if self.tell.send(Wake::Written).is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// Takes all that was told; whether some of it is about the application's file.
    fn written(&self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut ours = false;
        loop {
            match reader.next() {
                // A watch that has ended.
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {}
                // Of the files themselves there is no name; and a queue that ran over may have held anything.
                Ok(event) => ours |= event.file_name().is_none_or(|file| self.is_ours(file.to_bytes())),
                Err(Errno::AGAIN) => return Ok(ours),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The -shm is made by readers too, ours among them.
    fn is_ours(&self, file: &[u8]) -> bool {
        file.starts_with(&self.name) && !file.ends_with(b"-shm")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;

    use super::*;

    /// As long as it takes, in a test that passes.
    const LONG: Duration = Duration::from_secs(30);

    /// A folder with a database and its `-wal`, and a watch that waits for the next write.
    fn watched() -> (tempfile::TempDir, Watch) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("office.db"), "x").unwrap();
        fs::write(folder.path().join("office.db-wal"), "x").unwrap();
        let watch = Watch::on(&folder.path().join("office.db"));
        assert_eq!(watch.wait(LONG), Some(Wake::Written), "what was written before is not known");
        (folder, watch)
    }

    fn write(folder: &Path, name: &str) {
        File::options().append(true).open(folder.join(name)).unwrap().write_all(b"y").unwrap();
    }

    #[test]
    fn one_write_is_told_and_the_next_only_to_who_waits_again() {
        let (folder, watch) = watched();
        for name in ["office.db-wal", "office.db", "office.db-wal"] {
            write(folder.path(), name);
            assert_eq!(watch.wait(LONG), Some(Wake::Written));
            // Nobody waits: these cost their writer nothing, and tell nobody.
            (0..100).for_each(|_| write(folder.path(), name));
            assert_eq!(watch.pause(Duration::from_millis(50)), None);
            assert_eq!(watch.wait(LONG), Some(Wake::Written), "they may have come before anybody waited again");
        }
    }

    #[test]
    fn a_file_that_comes_or_goes_under_a_name_of_the_database_is_told() {
        let (folder, watch) = watched();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("office.db-journal"), "x").unwrap();
        assert_eq!(watch.wait(LONG), Some(Wake::Written));
        while watch.wait(Duration::ZERO).is_some() {}
        fs::remove_file(at("office.db-wal")).unwrap();
        assert_eq!(watch.wait(LONG), Some(Wake::Written));
        while watch.wait(Duration::ZERO).is_some() {}
        fs::write(at("new"), "x").unwrap();
        fs::rename(at("new"), at("office.db")).unwrap();
        assert_eq!(watch.wait(LONG), Some(Wake::Written));
        // It is the new file that is watched.
        while watch.wait(Duration::ZERO).is_some() {}
        write(folder.path(), "office.db");
        assert_eq!(watch.wait(LONG), Some(Wake::Written));
    }

    #[test]
    fn other_files_of_the_folder_and_the_shared_index_wake_nobody() {
        let (folder, watch) = watched();
        for name in ["state.db", "office.db-shm"] {
            fs::write(folder.path().join(name), "x").unwrap();
            write(folder.path(), name);
        }
        // What comes after them is all that is told.
        let bell = watch.bell();
        bell.send(Wake::Asked).unwrap();
        assert_eq!(watch.wait(LONG), Some(Wake::Asked));
        assert_eq!(watch.wait(Duration::from_millis(50)), None);
    }

    #[test]
    fn without_a_folder_to_watch_the_slow_look_remains_and_who_asks_is_heard() {
        let watch = Watch::on(Path::new("/proc/self/no-such-folder/office.db"));
        assert_eq!(watch.wait(Duration::ZERO), None);
        watch.bell().send(Wake::Asked).unwrap();
        assert_eq!(watch.wait(LONG), Some(Wake::Asked));
    }
}
