//! A destination: a place, and the rules under which files appear there.

use std::path::PathBuf;

use crate::adapter::directory::Directory;
use crate::adapter::place::{Place, Trouble};
use crate::adapter::sftp::{self, target::Target};
use crate::engine::drop::publish::{Plan, Tidy};
use crate::rules::publish::{self, Overwrite, Strategy, Terms, Verify};

/// One entry of `deliver:`.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Name for ledgers, logs and metrics; one of its own in the drop.
    pub name: String,
    /// `sftp:` or `directory:`.
    pub at: At,
    /// `publish: rename | trigger | direct`; default rename.
    pub strategy: Strategy,
    /// `overwrite: never | atomic`; default never.
    pub overwrite: Overwrite,
    /// `verify: size | read_back | none`; default size.
    pub verify: Verify,
    /// `resume:` an upload that was cut goes on where it was cut; default true. Where the end of what is there cannot
    /// be read and compared, it begins again by itself.
    pub resume: bool,
    /// `tidyAfter:` days after which temporary files that are left over are removed; default none, since it needs leave
    /// to list and to remove.
    pub tidy_after: Option<u32>,
}

/// Where files are published.
#[derive(Clone, Debug)]
pub enum At {
    /// On another machine.
    Sftp(Box<Target>),
    /// In a folder of this one, or mounted on it.
    Directory {
        /// The folder, which must be there.
        folder: PathBuf,
        /// For temporary files, on the same file system; none = the same, under names with a leading dot.
        temps: Option<PathBuf>,
    },
}

impl Destination {
    /// A destination with the defaults.
    pub fn new(name: impl Into<String>, at: At) -> Destination {
        Destination {
            name: name.into(),
            at,
            strategy: Strategy::default(),
            overwrite: Overwrite::default(),
            verify: Verify::default(),
            resume: true,
            tidy_after: None,
        }
    }

    /// Opens a session. For SFTP this shows who we are, once: callers wait after [`Class::Authentication`], since
    /// accounts lock.
    ///
    /// [`Class::Authentication`]: crate::adapter::place::Class::Authentication
    pub fn open(&self) -> Result<Box<dyn Place + Send>, Trouble> {
        match &self.at {
            At::Sftp(target) => sftp::open(target),
            At::Directory { folder, temps } => Ok(Box::new(Directory::open(folder, temps.as_deref())?)),
        }
    }

    /// The rules for one run; `now` in seconds since 1970.
    pub fn plan(&self, now: u64) -> Plan {
        Plan {
            terms: Terms { strategy: self.strategy, overwrite: self.overwrite, repeatable: true },
            verify: self.verify,
            resume: self.resume,
            hidden: matches!(self.at, At::Directory { .. }),
            tidy: self.tidy_after.map(|days| Tidy { days, now }),
        }
    }

    /// What contradicts itself, for the check of a configuration; `trigger` = the drop has a trigger file.
    pub fn contradiction(&self, trigger: bool) -> Option<&'static str> {
        publish::contradiction(self.strategy, self.overwrite, trigger)
    }

    /// Warnings that stand as long as the settings do.
    pub fn warnings(&self) -> Vec<String> {
        let at = match &self.at {
            At::Sftp(target) => target.warnings(),
            At::Directory { .. } => Vec::new(),
        };
        let direct = (self.strategy == Strategy::Direct)
            .then(|| format!("{}: `publish: direct` lets the receiver take a file that is half written", self.name));
        at.into_iter().chain(direct).collect()
    }
}
