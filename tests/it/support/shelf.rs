//! A destination in memory that behaves as told: what other people's servers do, and a log of what was asked of them.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard};

use hms_sync::adapter::place::{Class, Entry, Look, Name, Opening, Place, Progress, Replace, Sink, Trouble};
use hms_sync::adapter::sftp::wire::{flag, status};

/// What is told about sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sizes {
    #[default]
    Exact,
    /// None are told.
    None,
    /// In whole blocks, as hosts estimate them.
    Blocks,
}

/// How a rename ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Renames {
    #[default]
    Well,
    /// It happens, and is answered by FAILURE.
    ButFails,
    /// It does not happen, and is answered by this code.
    Not(u32),
}

/// How the destination behaves.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Nothing may be looked at, read or listed.
    pub blind: bool,
    pub sizes: Sizes,
    pub renames: Renames,
    /// CLOSE of a written file is answered by FAILURE.
    pub close_fails: bool,
    /// So many bytes at the end of each file are dropped, and nothing is said of it.
    pub short: usize,
    /// Bytes that it can hold.
    pub room: Option<usize>,
    /// Published files are taken away at once.
    pub takes: bool,
    /// What it says beside each code.
    pub words: Vec<u8>,
}

#[derive(Default)]
pub struct State {
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was taken away.
    pub taken: Vec<(String, Vec<u8>)>,
    /// Final names that appeared by a rename, in order.
    pub appeared: Vec<String>,
    /// Every request, as `OPEN path`.
    pub log: Vec<String>,
    pub manner: Manner,
    handles: BTreeMap<u32, (String, bool)>,
    next: u32,
}

pub type Answer<T> = Result<T, u32>;

impl State {
    pub fn stat(&mut self, path: &str) -> Answer<Option<u64>> {
        self.log.push(format!("STAT {path}"));
        if self.manner.blind {
            return Err(status::PERMISSION_DENIED);
        }
        let size = self.files.get(path).ok_or(status::NO_SUCH_FILE)?.len() as u64;
        Ok(self.size(size))
    }

    fn size(&self, size: u64) -> Option<u64> {
        match self.manner.sizes {
            Sizes::Exact => Some(size),
            Sizes::None => None,
            Sizes::Blocks => Some((size / 27_998 + 1) * 56_664),
        }
    }

    pub fn open(&mut self, path: &str, flags: u32) -> Answer<u32> {
        self.log.push(format!("OPEN {path} {flags:#x}"));
        let writes = flags & flag::WRITE != 0;
        if self.manner.blind && !writes {
            return Err(status::PERMISSION_DENIED);
        }
        if flags & flag::CREAT != 0 {
            self.files.entry(path.to_owned()).or_default();
        }
        let file = self.files.get_mut(path).ok_or(status::NO_SUCH_FILE)?;
        if flags & flag::TRUNC != 0 {
            file.clear();
        }
        self.next += 1;
        self.handles.insert(self.next, (path.to_owned(), writes));
        Ok(self.next)
    }

    pub fn write(&mut self, handle: u32, offset: u64, bytes: &[u8]) -> Answer<()> {
        let (path, _) = self.handles.get(&handle).ok_or(status::FAILURE)?;
        let used: usize = self.files.values().map(Vec::len).sum();
        if self.manner.room.is_some_and(|room| used + bytes.len() > room) {
            return Err(status::FAILURE);
        }
        let file = self.files.get_mut(path).ok_or(status::FAILURE)?;
        let end = offset as usize + bytes.len();
        file.resize(file.len().max(end), 0);
        file[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    pub fn read(&mut self, handle: u32, offset: u64, length: u32) -> Answer<Vec<u8>> {
        let (path, _) = self.handles.get(&handle).ok_or(status::FAILURE)?;
        let file = self.files.get(path).ok_or(status::FAILURE)?;
        let rest = file.get(offset as usize..).filter(|rest| !rest.is_empty()).ok_or(status::EOF)?;
        Ok(rest[..rest.len().min(length as usize)].to_vec())
    }

    pub fn close(&mut self, handle: u32) -> Answer<()> {
        self.log.push("CLOSE".to_owned());
        let (path, writes) = self.handles.remove(&handle).ok_or(status::FAILURE)?;
        if !writes {
            return Ok(());
        }
        if let Some(file) = self.files.get_mut(&path) {
            file.truncate(file.len().saturating_sub(self.manner.short));
        }
        if self.manner.close_fails {
            return Err(status::FAILURE);
        }
        Ok(())
    }

    pub fn rename(&mut self, from: &str, to: &str, replace: bool) -> Answer<()> {
        self.log.push(format!("RENAME {from} {to}"));
        if let Renames::Not(code) = self.manner.renames {
            return Err(code);
        }
        if !self.files.contains_key(from) {
            return Err(status::NO_SUCH_FILE);
        }
        if self.files.contains_key(to) && !replace {
            return Err(status::FAILURE);
        }
        let file = self.files.remove(from).unwrap();
        self.appeared.push(to.to_owned());
        if self.manner.takes {
            self.taken.push((to.to_owned(), file));
        } else {
            self.files.insert(to.to_owned(), file);
        }
        if self.manner.renames == Renames::ButFails { Err(status::FAILURE) } else { Ok(()) }
    }

    pub fn remove(&mut self, path: &str) -> Answer<()> {
        self.log.push(format!("REMOVE {path}"));
        self.files.remove(path).map(drop).ok_or(status::NO_SUCH_FILE)
    }
}

/// A session in memory. `cut` counts requests down: at the last one the connection breaks, before or after it is
/// carried out.
#[derive(Clone, Default)]
pub struct Shelf {
    state: Arc<Mutex<State>>,
    open: Option<u32>,
    pub cut: Option<(usize, bool)>,
    dead: bool,
}

/// Bytes of one request to write.
pub const PIECE: usize = 1000;

impl Shelf {
    pub fn new(manner: Manner) -> Shelf {
        let shelf = Shelf::default();
        shelf.state().manner = manner;
        shelf
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A new session at the same place.
    pub fn again(&self, cut: Option<(usize, bool)>) -> Shelf {
        Shelf { state: Arc::clone(&self.state), open: None, cut, dead: false }
    }

    fn ask<T>(&mut self, work: impl FnOnce(&mut State) -> Answer<T>) -> Result<T, Trouble> {
        let broken = || Trouble::new(Class::Connection, "cut");
        if self.dead {
            return Err(broken());
        }
        if let Some((left, after)) = &mut self.cut {
            if *left == 0 {
                self.dead = true;
                if *after {
                    let _ = work(&mut self.state.lock().unwrap());
                }
                return Err(broken());
            }
            *left -= 1;
        }
        work(&mut self.state.lock().unwrap()).map_err(|code| {
            let class = match code {
                status::NO_SUCH_FILE => Class::Missing,
                status::PERMISSION_DENIED => Class::Permission,
                status::OP_UNSUPPORTED => Class::Unsupported,
                _ => Class::Failure,
            };
            Trouble::new(class, format!("code {code}"))
        })
    }
}

impl Place for Shelf {
    fn probe(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn look(&mut self, name: Name<'_>) -> Result<Look, Trouble> {
        match self.ask(|state| state.stat(name.text())) {
            Ok(size) => Ok(Look::File(size)),
            Err(trouble) if trouble.class == Class::Missing => Ok(Look::Absent),
            Err(trouble) if trouble.class == Class::Permission => Ok(Look::Hidden),
            Err(trouble) => Err(trouble),
        }
    }

    fn create(&mut self, name: Name<'_>, opening: Opening) -> Result<(), Trouble> {
        let flags = match opening {
            Opening::Empty => flag::WRITE | flag::CREAT | flag::TRUNC,
            Opening::Resume => flag::WRITE,
        };
        self.open = Some(self.ask(|state| state.open(name.text(), flags))?);
        Ok(())
    }

    fn write(&mut self, offset: u64, from: &mut dyn Read, progress: Progress<'_>) -> Result<u64, Trouble> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        let handle = self.open.unwrap();
        let mut at = offset;
        for piece in bytes.chunks(PIECE) {
            self.ask(|state| state.write(handle, at, piece))?;
            at += piece.len() as u64;
            progress(at);
        }
        Ok(at - offset)
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        self.ask(|_| Ok(()))
    }

    fn close(&mut self) -> Result<(), Trouble> {
        let handle = self.open.take().unwrap();
        self.ask(|state| state.close(handle))
    }

    fn rename(&mut self, from: Name<'_>, to: Name<'_>, replace: Replace) -> Result<(), Trouble> {
        self.ask(|state| state.rename(from.text(), to.text(), replace == Replace::Atomic))
    }

    fn remove(&mut self, name: Name<'_>) -> Result<(), Trouble> {
        self.ask(|state| state.remove(name.text()))
    }

    fn read(&mut self, name: Name<'_>, offset: u64, sink: Sink<'_>) -> Result<(), Trouble> {
        let handle = self.ask(|state| state.open(name.text(), flag::READ))?;
        let bytes = self.ask(|state| match state.read(handle, offset, u32::MAX) {
            Err(status::EOF) => Ok(Vec::new()),
            read => read,
        })?;
        sink(&bytes);
        self.ask(|state| state.close(handle))
    }

    fn list(&mut self, _temp: bool) -> Result<Vec<Entry>, Trouble> {
        self.ask(|state| {
            if state.manner.blind {
                return Err(status::PERMISSION_DENIED);
            }
            let entry = |(name, bytes): (&String, &Vec<u8>)| Entry {
                name: name.clone(),
                size: Some(bytes.len() as u64),
                written: Some(0),
            };
            Ok(state.files.iter().map(entry).collect())
        })
    }
}
