//! What is looked at beside the files: certificates, calendars, disks, and what targets show of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::adapter::{Adapter, Shown, tls};
use crate::clock::{self, Timestamp};
use crate::rules::alert::Limits;
use crate::rules::schedule::Schedule;

/// A certificate's file is read again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What the configuration says of what is to be looked at.
#[derive(Debug, Default)]
pub struct Lookout {
    /// This installation.
    pub office: String,
    /// Connectors and drops.
    pub connectors: Vec<Watched>,
    /// Log and table of what is to be captured.
    pub tables: Vec<(String, String)>,
    /// There is more than one database, so that a table's name says which.
    pub several: bool,
    /// Folders of the files that the agent lives on.
    pub folders: Vec<PathBuf>,
    /// Files of certificates, and whose they are: a connector, a credential, an event source.
    pub certificates: Vec<(String, PathBuf)>,
    /// From when on something is told.
    pub limits: Limits,
    /// The same for single connectors.
    pub own_limits: BTreeMap<String, Limits>,
    /// What the files of certificates said last.
    pub read: Reading,
}

/// What files said when they were read last.
#[derive(Debug, Default)]
pub struct Reading(Mutex<Option<(Timestamp, Vec<Ending>)>>);

/// A connector or drop.
#[derive(Debug)]
pub struct Watched {
    /// Its name.
    pub name: Arc<str>,
    /// When it runs; none = as soon as there is something.
    pub schedule: Option<Schedule>,
    /// When its calendar ends.
    pub calendar_until: Option<Timestamp>,
    /// It has files.
    pub drop: bool,
    /// Its way out, once it is built; none = it has files.
    pub adapter: Option<Arc<dyn Adapter>>,
}

/// A certificate's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Whose.
    pub owner: String,
    /// The file.
    pub file: PathBuf,
    /// When the first of it ends; else why that cannot be told.
    pub until: Result<Timestamp, String>,
}

/// The room on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The folder by which it was asked.
    pub folder: PathBuf,
    /// Bytes that are free for us.
    pub free: u64,
    /// All of it.
    pub all: u64,
}

impl Lookout {
    /// The folders of files, each once.
    pub fn folders_of<'f>(files: impl Iterator<Item = &'f Path>) -> Vec<PathBuf> {
        let folder = |file: &Path| match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        files.map(folder).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The way out of a connector is built.
    pub fn will_see(&mut self, name: &str, adapter: Arc<dyn Adapter>) {
        if let Some(watched) = self.connectors.iter_mut().find(|known| *known.name == *name) {
            watched.adapter = Some(adapter);
        }
    }

    /// A connector by its name.
    pub fn watched(&self, name: &str) -> Option<&Watched> {
        self.connectors.iter().find(|known| *known.name == *name)
    }

    /// What holds for a connector.
    pub fn limits_of(&self, connector: &str) -> &Limits {
        self.own_limits.get(connector).unwrap_or(&self.limits)
    }

    /// What the targets have shown of themselves.
    pub fn shown(&self) -> impl Iterator<Item = (&str, Shown)> {
        self.connectors.iter().filter_map(|known| Some((&*known.name, known.adapter.as_ref()?.shown())))
    }

    /// When the certificates end that the configuration names, as the files say or said within a minute.
    pub fn endings(&self) -> Vec<Ending> {
        let mut read = self.read.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::steady();
        if let Some((at, endings)) = read.as_ref()
            && now.since(*at) < LOOK_AGAIN
        {
            return endings.clone();
        }
        let ending = |(owner, file): &(String, PathBuf)| {
            let until = tls::validities(file)
                .and_then(|found| found.iter().map(|validity| validity.until).min().ok_or_else(String::new));
            Ending { owner: owner.clone(), file: file.clone(), until }
        };
        let endings: Vec<Ending> = self.certificates.iter().map(ending).collect();
        *read = Some((now, endings.clone()));
        endings
    }

    /// The disks, as far as they can be asked: each once, by the first folder that lies on it.
    pub fn disks(&self) -> Vec<Disk> {
        let mut known = Vec::new();
        let ask = |folder: &PathBuf| {
            let device = rustix::fs::stat(folder).ok()?.st_dev;
            if known.contains(&device) {
                return None;
            }
            known.push(device);
            let disk = rustix::fs::statvfs(folder).ok()?;
            let (free, all) =
                (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
            Some(Disk { folder: folder.clone(), free, all })
        };
        self.folders.iter().filter_map(ask).collect()
    }
}
