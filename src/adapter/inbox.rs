//! Files that come in: a folder, of this machine or of a server, whose files are read row by row, each once.
//!
//! A file is read when it is whole: its trigger is there, or its size and time have held still. It is known again by its
//! content, whatever it is called, and is moved or removed when its rows were applied, which is when the next page is asked
//! for. A file that cannot be read in all its rows gives none of them: it is told of as one bad item, and put aside like
//! the others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::adapter::directory::Directory;
use crate::adapter::place::{Class, Entry, Name, Place, Replace, Trouble, quoted};
use crate::adapter::pull::{Ask, Bad, Fetched, Item, Page, Reads, Source};
use crate::adapter::sftp;
use crate::adapter::sftp::target::Target;
use crate::adapter::sha256;
use crate::clock;
use crate::event::{Record, Value};
use crate::format::feed::Feed;
use crate::rules::answer::fits;
use crate::rules::hex::hex;
use crate::rules::outcome::{Outcome, Reason};
use crate::rules::publish::name::is_temporary;
use crate::rules::pull::item::Shape;

/// Where files come in.
#[derive(Debug)]
pub enum At {
    /// A server.
    Sftp(Box<Target>),
    /// A folder of this machine, and the one of files that were read.
    Directory {
        /// It.
        folder: PathBuf,
        /// Where files are moved; none = they are removed.
        done: Option<PathBuf>,
    },
}

/// How files are found and read.
#[derive(Debug)]
pub struct InboxSettings {
    /// Where they come in.
    pub at: At,
    /// Their names; `*` stands for any text.
    pub pattern: String,
    /// The name of a file's trigger, `{file}` for its own; none = size and time must hold still.
    pub trigger: Option<String>,
    /// For how long; default [`Inbox::SETTLE`].
    pub settle: Duration,
    /// What they look like.
    pub feed: Feed,
    /// What is taken of a row.
    pub shape: Arc<Shape>,
    /// They are moved to the folder of those that were read, not removed.
    pub moves: bool,
    /// Largest file that is read, in bytes; default [`Inbox::LARGEST`].
    pub largest: u64,
}

/// Files that come in.
#[derive(Debug)]
pub struct Inbox {
    settings: InboxSettings,
    origin: String,
    memory: Mutex<Memory>,
}

/// What is remembered between two pages; all of it can be found out again.
#[derive(Debug, Default)]
struct Memory {
    /// Size and time of each file, and since when they are the same.
    sights: BTreeMap<String, (Option<u64>, Option<u64>, i64)>,
    /// The file whose rows are being told.
    open: Option<(String, Vec<Record>)>,
}

/// How far the reading has come: what a cursor says, and the place in a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// Contents that were read, the newest last.
    done: Vec<String>,
    /// Name and content of the file that is being read, and how many of its rows were told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<(String, String, usize)>,
}

/// Rows of a page.
const ROWS: usize = 1000;
/// Contents that are remembered.
const REMEMBERED: usize = 200;

impl Inbox {
    /// How long a file must hold still before it is read, unless its trigger is there: a minute.
    pub const SETTLE: Duration = Duration::from_secs(60);
    /// Largest file: 64 MiB.
    pub const LARGEST: u64 = 64 << 20;

    /// An inbox.
    pub fn new(settings: InboxSettings) -> Inbox {
        let origin = match &settings.at {
            At::Sftp(target) => format!("sftp://{}:{}", target.host, target.port),
            At::Directory { folder, .. } => folder.display().to_string(),
        };
        Inbox { settings, origin, memory: Mutex::default() }
    }

    fn open(&self) -> Result<Box<dyn Place + Send>, Trouble> {
        match &self.settings.at {
            At::Sftp(target) => sftp::open(target),
            At::Directory { folder, done } => Ok(Box::new(Directory::open(folder, done.as_deref())?)),
        }
    }

    fn trigger_of(&self, name: &str) -> Option<String> {
        self.settings.trigger.as_ref().map(|trigger| trigger.replace("{file}", name))
    }

    /// The files that may be read now, by name: a file that is still written keeps those after it waiting.
    fn ready<'l>(&self, listing: &'l [Entry], memory: &mut Memory) -> Vec<&'l Entry> {
        let plain = |name: &str| !is_temporary(name) && !name.chars().any(char::is_control);
        let mut found: Vec<&Entry> =
            listing.iter().filter(|entry| fits(&self.settings.pattern, &entry.name) && plain(&entry.name)).collect();
        let triggers: Vec<String> = found.iter().filter_map(|entry| self.trigger_of(&entry.name)).collect();
        found.retain(|entry| !triggers.contains(&entry.name));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        memory.sights.retain(|name, _| found.iter().any(|entry| entry.name == *name));
        if self.settings.trigger.is_some() {
            let is_there = |name: Option<String>| listing.iter().any(|other| Some(&other.name) == name.as_ref());
            found.retain(|entry| is_there(self.trigger_of(&entry.name)));
            return found;
        }
        // Each is looked at, so that all of them hold still at the same time.
        let still: Vec<bool> = found.iter().map(|entry| self.is_still(entry, memory)).collect();
        let end = still.iter().position(|still| !still).unwrap_or(found.len());
        found.truncate(end);
        found
    }

    /// Whether size and time of a file have held still for long enough: between two looks, or as the time itself says.
    fn is_still(&self, entry: &Entry, memory: &mut Memory) -> bool {
        let settle = i64::try_from(self.settings.settle.as_millis()).unwrap_or(i64::MAX);
        let now = clock::steady().0;
        let known = memory.sights.get(&entry.name).copied();
        let since = match known {
            Some((size, written, since)) if (size, written) == (entry.size, entry.written) => since,
            _ => {
                memory.sights.insert(entry.name.clone(), (entry.size, entry.written, now));
                now
            }
        };
        // A writer that holds a file open for long and writes in between has a younger time.
        let written = entry.written.and_then(|written| i64::try_from(written).ok()?.checked_mul(1000));
        let aged = written.is_some_and(|written| clock::now().0.saturating_sub(written) >= settle.saturating_mul(2));
        aged || now.saturating_sub(since) >= settle
    }

    fn read_file(&self, place: &mut dyn Place, entry: &Entry) -> Result<Option<Vec<u8>>, Trouble> {
        let mut bytes = Vec::new();
        let most = self.settings.largest;
        place.read(Name::Final(&entry.name), 0, &mut |some| {
            bytes.extend_from_slice(some);
            (bytes.len() as u64) <= most
        })?;
        if bytes.len() as u64 > most {
            let text =
                format!("{} is larger than {most} bytes: allow more with `maxBytes`", quoted(entry.name.as_bytes()));
            return Err(Trouble::new(Class::Local, text));
        }
        // It grew or shrank meanwhile: the next look sees another size.
        Ok(entry.size.is_none_or(|size| size == bytes.len() as u64).then_some(bytes))
    }

    /// Puts a file, and its trigger, where those are that were read.
    fn put_away(&self, place: &mut dyn Place, name: &str, content: &str) -> Result<(), Trouble> {
        for name in [Some(name.to_owned()), self.trigger_of(name)].into_iter().flatten() {
            if !self.settings.moves {
                gone(place.remove(Name::Final(&name)))?;
                continue;
            }
            match place.rename(Name::Final(&name), Name::Temp(&name), Replace::Never) {
                // The name was used before: its content tells them apart. Some servers say only that it failed.
                Err(trouble) if matches!(trouble.class, Class::Exists | Class::Failure) => {
                    let other = format!("{name}.{}", content.get(..8).unwrap_or_default());
                    gone(place.rename(Name::Final(&name), Name::Temp(&other), Replace::Never))?;
                }
                moved => gone(moved)?,
            }
        }
        Ok(())
    }

    fn page(&self, ask: &Ask) -> Result<Page, Trouble> {
        let from = ask.next.as_deref().or(ask.cursor.as_deref());
        let mut progress: Progress = from.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut place = self.open()?;
        if let Some((name, content, told)) = progress.file.take() {
            let open = memory.open.take().filter(|(known, _)| *known == content).map(|(_, rows)| rows);
            let rows = match open {
                Some(rows) => Some(rows),
                None => self.again(&mut *place, &name, &content)?,
            };
            // A file that is gone, or another one now, is none that can be gone on with.
            if let Some(rows) = rows {
                return Ok(self.tell(progress, &mut memory, (name, content), rows, told));
            }
        }
        let listing = place.list(false)?;
        for entry in self.ready(&listing, &mut memory) {
            let Some(bytes) = self.read_file(&mut *place, entry)? else { return Ok(Page::default()) };
            let hash = sha256(&bytes);
            let content: String = hex(&hash).chars().take(32).collect();
            if progress.done.contains(&content) {
                // Its rows were applied; or somebody has sent the same again.
                if !ask.looks {
                    self.put_away(&mut *place, &entry.name, &content)?;
                }
                continue;
            }
            let parsed = match self.settings.feed.read(&bytes) {
                Ok(parsed) => parsed,
                Err(reason) => {
                    let text = format!("the file {}: {}", quoted(entry.name.as_bytes()), reason.text);
                    let bad = Bad { place: 0, id: None, hash, reason: Reason::new("file", text) };
                    let page = self.tell(progress, &mut memory, (entry.name.clone(), content), Vec::new(), 0);
                    return Ok(Page { bad: vec![bad], bytes: bytes.len() as u64, ..page });
                }
            };
            let page = self.tell(progress, &mut memory, (entry.name.clone(), content), parsed.details, 0);
            return Ok(Page { bytes: bytes.len() as u64, ..page });
        }
        Ok(Page::default())
    }

    /// The rows of a file that was being read when the agent stopped.
    fn again(&self, place: &mut dyn Place, name: &str, content: &str) -> Result<Option<Vec<Record>>, Trouble> {
        let listing = place.list(false)?;
        let Some(entry) = listing.iter().find(|entry| entry.name == name) else { return Ok(None) };
        let Some(bytes) = self.read_file(place, entry)? else { return Ok(None) };
        if !hex(&sha256(&bytes)).starts_with(content) {
            return Ok(None);
        }
        Ok(self.settings.feed.read(&bytes).ok().map(|parsed| parsed.details))
    }

    /// The next rows of a file, and where it goes on: with the rest of it, or with the next file.
    fn tell(
        &self,
        mut progress: Progress,
        memory: &mut Memory,
        (name, content): (String, String),
        rows: Vec<Record>,
        told: usize,
    ) -> Page {
        let mut page = Page::default();
        for (at, row) in rows.iter().enumerate().skip(told).take(ROWS) {
            let row = Value::Map(row.clone());
            match self.settings.shape.take(&row, false, &Record::new()) {
                Ok(None) => {}
                Ok(Some(taken)) => page.items.push(Item {
                    id: taken.id,
                    body: taken.body,
                    version: taken.version,
                    updated: taken.updated,
                    deleted: taken.deleted,
                    links: taken.links,
                }),
                Err(reason) => {
                    let hash = sha256(&crate::format::json::value(&row));
                    let text = format!("row {} of {}: {}", at + 1, quoted(name.as_bytes()), reason.text);
                    page.bad.push(Bad { place: at, id: None, hash, reason: Reason::new(reason.class, text) });
                }
            }
        }
        let end = told.saturating_add(ROWS);
        if end < rows.len() {
            memory.open = Some((content.clone(), rows));
            progress.file = Some((name, content, end));
            page.next = serde_json::to_string(&progress).ok();
            return page;
        }
        if progress.done.len() >= REMEMBERED {
            progress.done.remove(0);
        }
        progress.done.push(content);
        let text = serde_json::to_string(&progress).ok();
        (page.next, page.cursor) = (text.clone(), text);
        page
    }
}

/// What is not there any more needs no putting away.
fn gone(done: Result<(), Trouble>) -> Result<(), Trouble> {
    done.or_else(|trouble| if trouble.class == Class::Missing { Ok(()) } else { Err(trouble) })
}

impl Source for Inbox {
    fn origin(&self) -> &str {
        &self.origin
    }

    /// What a file does not name is not missing.
    fn reads(&self) -> Reads {
        Reads::Changes { deletions: true }
    }

    fn fetch(&self, ask: &Ask) -> Fetched {
        match self.page(ask) {
            Ok(page) => Fetched::Page(page),
            Err(trouble) => {
                let reason = Reason::new(trouble.class.word(), trouble.text.clone());
                Fetched::Failed(match trouble.class.is_configuration() {
                    true => Outcome::Halt(reason),
                    false => Outcome::Retry { reason, after: None, transport: true },
                })
            }
        }
    }

    fn fetch_one(&self, _: &Record, _: &[(String, String)]) -> Option<Fetched> {
        None
    }
}
