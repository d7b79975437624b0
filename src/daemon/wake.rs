//! Waking up when an application commits: a watch on its files, with a slow look as the fallback.
//!
//! The watch is for one write at a time, and only while somebody waits for it: each write to a watched file costs its
//! writer some microseconds, and an application that writes all the time must not pay them.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
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

/// The watch on one application's file. Whoever has it waits by it, in one thread.
pub struct Watch {
    bell: Bell,
    /// None where the system gives none: the slow look remains.
    eyes: Option<Eyes>,
}

impl Watch {
    /// Watches a database file, its `-wal` and its `-journal`, and what comes into their folder under these names.
    pub fn on(database: &Path) -> Watch {
        let complain = |error: &io::Error| {
            log::warn!("{}: cannot be watched ({error}): looked at now and then", database.display());
        };
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from);
        let bell = Bell(Arc::new(Rung {
            stop: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            wire: bell.inspect_err(complain).ok(),
        }));
        Watch { bell, eyes: Eyes::open(database).inspect_err(complain).ok() }
    }

    /// A handle to wake it by.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Waits for a wake-up, or none within `patience`. Takes all that have gathered; a stop goes before all else. What
    /// was written before the files were watched again nobody knows: then it counts as written, at once.
    pub fn wait(&self, patience: Duration) -> Option<Wake> {
        let again = self.eyes.as_ref().is_some_and(Eyes::watch);
        let patience = if again { Duration::ZERO } else { patience };
        self.listen(self.eyes.as_ref(), patience).or(again.then_some(Wake::Written))
    }

    /// The same without the files being watched, for whoever looks at them in a moment anyway.
    pub fn pause(&self, patience: Duration) -> Option<Wake> {
        self.listen(None, patience)
    }

    fn listen(&self, eyes: Option<&Eyes>, patience: Duration) -> Option<Wake> {
        let began = Instant::now();
        loop {
            let left = patience.saturating_sub(began.elapsed());
            // Without a wire the bell is looked at.
            let step = if self.bell.0.wire.is_some() { left } else { left.min(UNWIRED) };
            let mut fds = Vec::with_capacity(2);
            fds.extend(self.bell.0.wire.as_ref().map(|wire| PollFd::new(wire, PollFlags::IN)));
            let eyes = eyes.filter(|eyes| !eyes.blind.get());
            fds.extend(eyes.map(|eyes| PollFd::new(&eyes.inotify, PollFlags::IN)));
            // An interrupted wait, or one that the system refuses, is a wait that was short.
            let limit = Timespec::try_from(step).ok();
            if let Err(error) = poll(&mut fds, limit.as_ref())
                && error != Errno::INTR
            {
                std::thread::sleep(step.min(UNWIRED));
            }
            let rung = self.bell.heard();
            if rung == Some(Wake::Stop) {
                return rung;
            }
            let written = eyes.is_some_and(Eyes::written);
            if rung.is_some() || written {
                return rung.or(Some(Wake::Written));
            }
            if began.elapsed() >= patience {
                return None;
            }
        }
    }
}

/// A bell that the system gave no wire for is looked at so often.
const UNWIRED: Duration = Duration::from_millis(100);

/// Wakes whoever waits by a [`Watch`].
#[derive(Clone, Debug)]
pub struct Bell(Arc<Rung>);

#[derive(Debug)]
struct Rung {
    stop: AtomicBool,
    asked: AtomicBool,
    /// Ends a wait; none where the system gives none.
    wire: Option<OwnedFd>,
}

impl Bell {
    /// Asks for a look.
    pub fn ask(&self) {
        self.ring(&self.0.asked);
    }

    /// Tells to stop, for good.
    pub fn stop(&self) {
        self.ring(&self.0.stop);
    }

    fn ring(&self, what: &AtomicBool) {
        what.store(true, Ordering::Release);
        if let Some(wire) = &self.0.wire {
            // It fails only when it has been rung very often and nobody has heard it yet.
            let _ = rustix::io::write(wire, &1u64.to_ne_bytes());
        }
    }

    fn heard(&self) -> Option<Wake> {
        if let Some(wire) = &self.0.wire {
            let _ = rustix::io::read(wire, &mut [0; 8]);
        }
        let asked = self.0.asked.swap(false, Ordering::AcqRel);
        if self.0.stop.load(Ordering::Acquire) {
            return Some(Wake::Stop);
        }
        asked.then_some(Wake::Asked)
    }
}

/// What the system tells of the files (`inotify(7)`).
struct Eyes {
    /// The database and its `-wal`. A journal comes and goes, which the folder tells.
    files: [PathBuf; 2],
    /// The database's name.
    name: Vec<u8>,
    inotify: OwnedFd,
    /// The next write to the files is told.
    watching: Cell<bool>,
    /// Nothing is told any more.
    blind: Cell<bool>,
}

impl Eyes {
    fn open(database: &Path) -> io::Result<Eyes> {
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = database.file_name().unwrap_or_default();
        let mut wal = name.to_owned();
        wal.push("-wal");
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let comings = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, folder, comings)?;
        let files = [folder.join(name), folder.join(wal)];
        Ok(Eyes {
            files,
            name: name.as_encoded_bytes().to_vec(),
            inotify,
            watching: Cell::new(false),
            blind: Cell::new(false),
        })
    }

    /// Has the next write told. True when it was not going to be.
    fn watch(&self) -> bool {
        if self.blind.get() || self.watching.replace(true) {
            return false;
        }
        let mut any = false;
        for file in &self.files {
            // A file that is not there is told by the folder when it comes.
            any |= inotify::add_watch(&self.inotify, file, WatchFlags::MODIFY | WatchFlags::ONESHOT).is_ok();
        }
        any
    }

    /// Takes all that was told; whether some of it is about the application's file.
    fn written(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut ours = false;
        loop {
            match reader.next() {
                // A watch that has ended.
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {}
                // Of the files themselves there is no name; and a queue that ran over may have held anything.
                Ok(event) => ours |= event.file_name().is_none_or(|file| self.is_ours(file.to_bytes())),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => {
                    log::warn!("the watch on {} has ended ({error}): looked at now and then", self.files[0].display());
                    self.blind.set(true);
                    break;
                }
            }
        }
        if ours {
            self.watching.set(false);
        }
        ours
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
        watch.bell().ask();
        assert_eq!(watch.wait(LONG), Some(Wake::Asked));
        assert_eq!(watch.wait(Duration::from_millis(50)), None);
    }

    #[test]
    fn without_a_folder_to_watch_the_slow_look_remains_and_who_asks_is_heard() {
        let watch = Watch::on(Path::new("/proc/self/no-such-folder/office.db"));
        assert_eq!(watch.wait(Duration::ZERO), None);
        watch.bell().ask();
        assert_eq!(watch.wait(LONG), Some(Wake::Asked));
    }

    #[test]
    fn who_rings_is_heard_from_another_thread_and_a_stop_goes_before_all_else() {
        let (folder, watch) = watched();
        let bell = watch.bell();
        let ringing = std::thread::spawn(move || {
            bell.ask();
            bell.stop();
        });
        ringing.join().unwrap();
        write(folder.path(), "office.db");
        assert_eq!(watch.wait(LONG), Some(Wake::Stop));
        assert_eq!(watch.pause(LONG), Some(Wake::Stop), "for good");
    }
}
