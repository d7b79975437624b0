//! Who in this process has an application's file open, and when all of them must let go of it.
//!
//! SQLite's locks belong to the process, not to a connection: all connections to one inode share one mapping of the
//! `-shm`, and whoever closes any descriptor of a file drops every lock that the process has on it. A connection to the
//! new file beside one to the old would read the new `-wal` by the old index, and the first that is closed would leave
//! the other without its lock: the next program that opens the file cuts the `-shm` under our mapping, and the system
//! ends the agent. So once the file or what stands beside it is another, every connection of this process is closed
//! before the first is opened again, and that only when nobody has written the file for a while: it may be copied there
//! just now.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::{CaptureError, Result};
use super::folder::{FileId, identify};
use crate::clock::{self, Timestamp};

/// A file that was replaced is opened again when nobody has written it for so long.
const REST: Duration = Duration::from_secs(2);
/// An application that writes its file all the time is not waited for longer. A copy that takes longer is shorter than
/// its header says, or empty, and is not opened by SQLite.
const LONGEST: Duration = Duration::from_secs(30);

/// When a file was written last, and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    seconds: i64,
    nanos: i64,
    size: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Stamp {
        Stamp { seconds: metadata.mtime(), nanos: metadata.mtime_nsec(), size: metadata.size() }
    }
}

/// The `-wal` and the `-shm` beside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) wal: Option<FileId>,
    pub(super) shm: Option<FileId>,
}

impl Beside {
    /// As they are now beside the file.
    pub(super) fn now(real: &Path) -> Result<Beside> {
        Ok(Beside { wal: identify(&sibling(real, "-wal"))?, shm: identify(&sibling(real, "-shm"))? })
    }
}

/// A file that SQLite keeps beside another.
pub(super) fn sibling(real: &Path, ending: &str) -> PathBuf {
    let mut path = real.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

/// What this process has open at one path.
#[derive(Debug)]
struct Held {
    file: FileId,
    beside: Option<Beside>,
    connections: usize,
    over: Arc<AtomicBool>,
    /// Set once all must let go.
    rest: Option<Rest>,
    /// Somebody opens it before all others then.
    first: bool,
    /// And has not said yet that they may.
    closed: bool,
    /// A row that was read is another now: of this position.
    doubt: Option<i64>,
}

#[derive(Debug)]
struct Rest {
    since: Timestamp,
    still: Timestamp,
    stamp: Option<Stamp>,
    /// Only what stands beside the file was taken away: the file itself is as it was at that stamp.
    intact: bool,
}

impl Held {
    fn end(&mut self, real: &Path, intact: bool) {
        self.over.store(true, Ordering::Release);
        self.closed = self.first;
        let now = clock::steady();
        self.rest = Some(Rest { since: now, still: now, stamp: stamp(real), intact });
    }
}

/// By real path. Of the process, because the locks are.
static HELD: Mutex<BTreeMap<PathBuf, Held>> = Mutex::new(BTreeMap::new());

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a file was written last.
pub(super) fn stamp(real: &Path) -> Option<Stamp> {
    std::fs::metadata(real).ok().map(|metadata| Stamp::of(&metadata))
}

/// The right to one connection to a file. Dropped after the connection.
#[derive(Debug)]
pub(super) struct Hold {
    real: PathBuf,
    over: Arc<AtomicBool>,
}

impl Hold {
    /// Takes one for the file that stands at a path now; with it what stands beside the file, where a connection knows.
    ///
    /// # Errors
    /// [`CaptureError::Replaced`]: others must let go first, or the file has not rested, or the one that goes `first` has
    /// not said yet that others may.
    pub(super) fn take(real: &Path, file: FileId, first: bool) -> Result<(Hold, Option<Beside>)> {
        let wait = || CaptureError::Replaced { path: real.to_path_buf() };
        let mut all = held();
        let now = clock::steady();
        let known = all.entry(real.to_path_buf()).or_insert_with(|| Held {
            file,
            beside: None,
            connections: 0,
            over: Arc::default(),
            rest: None,
            first: false,
            closed: false,
            doubt: None,
        });
        if known.rest.is_none() && known.connections > 0 {
            let beside = known.beside.map(|_| Beside::now(real)).transpose()?;
            if known.file != file || known.beside != beside {
                known.end(real, false);
            }
        }
        if let Some(rest) = &mut known.rest {
            let stamp = stamp(real);
            if rest.stamp != stamp {
                (rest.stamp, rest.still, rest.intact) = (stamp, now, false);
            }
            let rested = now.since(rest.still) >= REST || now.since(rest.since) >= LONGEST;
            if known.connections > 0 || !rested || (known.closed && !first) {
                return Err(wait());
            }
            (known.rest, known.beside, known.over) = (None, None, Arc::default());
        }
        if known.closed && !first {
            return Err(wait());
        }
        known.file = file;
        known.connections += 1;
        Ok((Hold { real: real.to_path_buf(), over: known.over.clone() }, known.beside))
    }

    /// Whether the connection must be closed.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// The file is not what it was: every connection must be closed. `intact` = it is, and only what stood beside it is not.
    pub(super) fn end(&self, intact: bool) {
        if let Some(known) = held().get_mut(&self.real)
            && !self.is_over()
        {
            known.end(&self.real, intact);
        }
    }

    /// Whether what was taken away stood beside the file, and nobody has written that since: together with what only we
    /// have open now, it still reads as it was.
    pub(super) fn is_intact(&self) -> bool {
        let rest = held().get(&self.real).and_then(|known| known.rest.as_ref().map(|rest| (rest.intact, rest.stamp)));
        rest.is_some_and(|(intact, before)| intact && before == stamp(&self.real))
    }

    /// Another row stands at a position that was read.
    pub(super) fn doubt(&self, seq: i64) {
        if let Some(known) = held().get_mut(&self.real) {
            known.doubt.get_or_insert(seq);
        }
    }

    /// The position of such a row, until it is answered for.
    pub(super) fn doubted(&self) -> Option<i64> {
        held().get(&self.real).and_then(|known| known.doubt)
    }

    /// The answer was given.
    pub(super) fn believe(&self) {
        if let Some(known) = held().get_mut(&self.real) {
            known.doubt = None;
        }
    }

    /// A connection has found what stands beside the file.
    pub(super) fn found(&self, beside: Beside) {
        if let Some(known) = held().get_mut(&self.real)
            && !self.is_over()
        {
            known.beside.get_or_insert(beside);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut all = held();
        if let Some(known) = all.get_mut(&self.real) {
            known.connections = known.connections.saturating_sub(1);
            if known.connections == 0 && known.rest.is_none() {
                all.remove(&self.real);
            }
        }
    }
}

/// Opens a file that was replaced before anybody else in this process, and says when the others may.
#[derive(Debug)]
pub(super) struct First {
    real: PathBuf,
}

impl First {
    /// From now on. The caller holds the file.
    pub(super) fn at(real: &Path) -> First {
        if let Some(known) = held().get_mut(real) {
            known.first = true;
        }
        First { real: real.to_path_buf() }
    }

    /// The others may.
    pub(super) fn release(&self) {
        if let Some(known) = held().get_mut(&self.real)
            && known.rest.is_none()
        {
            known.closed = false;
        }
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if let Some(known) = held().get_mut(&self.real) {
            (known.first, known.closed) = (false, false);
        }
    }
}

/// Whether some connection of this process must still let go of the file at a path.
pub(super) fn is_waited_for(real: &Path) -> bool {
    held().get(real).is_some_and(|known| known.rest.is_some() && known.connections > 0)
}
