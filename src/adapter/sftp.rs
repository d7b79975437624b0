//! Files over SFTP: SSH with pinned host keys below, version 3 of the file protocol above.
//!
//! The asynchronous parts stay behind this door: a session has a runtime of its own thread, which runs only while a
//! call waits. A build without the feature `sftp` has the settings and a clear error.

#[cfg(feature = "sftp")]
mod exchange;
#[cfg(feature = "sftp")]
mod guard;
#[cfg(feature = "sftp")]
mod identity;
#[cfg(feature = "sftp")]
mod scan;
#[cfg(feature = "sftp")]
mod session;
#[cfg(feature = "sftp")]
mod ssh;
pub mod target;
#[cfg(feature = "sftp")]
mod transfer;
#[cfg(feature = "sftp")]
mod via;
#[cfg(feature = "sftp")]
pub mod wire;

use std::time::Duration;

use crate::adapter::place::{Place, Trouble};
use target::Target;

/// A host key as a server shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostKey {
    /// Algorithm, as in known_hosts: `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:` and base64 without padding, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

/// Opens a session: connects, checks the host key, shows who we are once, prepares.
#[cfg(feature = "sftp")]
pub fn open(target: &Target) -> Result<Box<dyn Place + Send>, Trouble> {
    session::Sftp::open(target).map(|place| Box::new(place) as Box<dyn Place + Send>)
}

/// Opens a session: not in this build.
#[cfg(not(feature = "sftp"))]
pub fn open(_target: &Target) -> Result<Box<dyn Place + Send>, Trouble> {
    Err(absent())
}

/// The host keys of a server, one of each kind that it has, without showing who we are. `patience` holds for each
/// connection.
#[cfg(feature = "sftp")]
pub fn scan(host: &str, port: u16, patience: Duration) -> Result<Vec<HostKey>, Trouble> {
    scan::scan(host, port, patience)
}

/// The host keys of a server: not in this build.
#[cfg(not(feature = "sftp"))]
pub fn scan(_host: &str, _port: u16, _patience: Duration) -> Result<Vec<HostKey>, Trouble> {
    Err(absent())
}

#[cfg(not(feature = "sftp"))]
fn absent() -> Trouble {
    use crate::adapter::place::Class;
    Trouble::new(Class::Unsupported, "this build has no SFTP: it was made without the feature `sftp`")
}
