//! An outlet: a place where files are published, and how.

use std::path::PathBuf;

use super::Beside;
use super::publish::{Plan, Tidy};
use crate::adapter::directory::Directory;
use crate::adapter::place::{Place, Trouble};
use crate::adapter::sftp;
use crate::adapter::sftp::target::Target;
use crate::clock::Timestamp;
use crate::rules::publish::{Terms, Verify};

/// A place where files are published.
#[derive(Debug)]
pub struct Outlet {
    /// Its name in the ledger: of several outlets each has its own.
    pub name: String,
    /// Where it is.
    pub reach: Reach,
    /// How final names come to be.
    pub terms: Terms,
    /// How written bytes are checked.
    pub verify: Verify,
    /// Whether an upload that was cut goes on where it was cut.
    pub resume: bool,
    /// Old temporary files of ours are removed after so many days; none = never.
    pub tidy_days: Option<u32>,
    /// The file that tells the receiver to begin.
    pub trigger: Option<Beside>,
}

/// How a place is reached.
#[derive(Debug)]
pub enum Reach {
    /// Over SSH.
    Sftp(Box<Target>),
    /// On this machine, or mounted.
    Directory {
        /// Where files are published.
        folder: PathBuf,
        /// Where temporary files are; none = there too.
        temps: Option<PathBuf>,
    },
}

impl Outlet {
    /// Opens a session.
    pub fn open(&self) -> Result<Box<dyn Place + Send>, Trouble> {
        match &self.reach {
            Reach::Sftp(target) => sftp::open(target),
            Reach::Directory { folder, temps } => Ok(Box::new(Directory::open(folder, temps.as_deref())?)),
        }
    }

    /// Reaches it without changing anything there: who it is, whether it lets us in, and its folders.
    pub fn probe(&self) -> Result<(), Trouble> {
        self.open()?.probe()
    }

    /// The rules of a publication at this time.
    pub fn plan(&self, now: Timestamp) -> Plan {
        let tidy = self.tidy_days.map(|days| Tidy { days, now: u64::try_from(now.0 / 1000).unwrap_or(0) });
        let hidden = matches!(self.reach, Reach::Directory { .. });
        Plan { terms: self.terms, verify: self.verify, resume: self.resume, hidden, tidy }
    }
}
