//! A place: one session at a folder where files are published, of this machine or of another.
//!
//! A place does what it is told, once, and says what came of it: it decides nothing, repeats nothing and looks for
//! no meaning in a file. Names are those of files in the folder, byte for byte.

use std::fmt;
use std::io::Read;

use aws_lc_rs::digest;

use crate::adapter::finish;
use crate::rules::publish::Seen;

/// Which name in a place: a published one, or a temporary one, which may be in another folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// In the folder itself.
    Final(&'a str),
    /// Where temporary files are.
    Temp(&'a str),
}

impl<'a> Name<'a> {
    /// The name without its folder.
    pub fn text(self) -> &'a str {
        match self {
            Name::Final(name) | Name::Temp(name) => name,
        }
    }
}

/// What a look at a name showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing is there.
    Absent,
    /// A file; with its size in bytes, when the place tells one.
    File(Option<u64>),
    /// The place does not let itself be looked at.
    Hidden,
}

/// One file of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name without its folder.
    pub name: String,
    /// Bytes, when told.
    pub size: Option<u64>,
    /// Seconds since 1970 of the last write, when told.
    pub written: Option<u64>,
}

/// How a file is opened for writing. Never for appending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A new file, or one of ours that begins again: created, emptied.
    Empty,
    /// What is there stays; writing goes on at an offset.
    Resume,
}

/// How a rename treats a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It fails.
    Never,
    /// It is replaced in one step, or the rename fails.
    Atomic,
}

/// What stood in the way, for the rules that say when to try again and whom to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// No connection, or it broke, or no answer in time: whether the request was carried out is not known.
    Connection,
    /// The place answered that it failed: disk full, quota, read-only, "exists", or a passing trouble.
    Failure,
    /// Not allowed.
    Permission,
    /// The folder (or the file) is not there.
    Missing,
    /// The place did not accept who we are.
    Authentication,
    /// The server is not the one that was agreed on.
    HostKey,
    /// The place cannot do this at all.
    Unsupported,
    /// A file has the name already.
    Exists,
    /// Something on this side: the staged file cannot be read, a key is missing.
    Local,
}

impl Class {
    /// Stable word for ledgers and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Class::Connection => "connection",
            Class::Failure => "failure",
            Class::Permission => "permission",
            Class::Missing => "missing",
            Class::Authentication => "authentication",
            Class::HostKey => "host-key",
            Class::Unsupported => "unsupported",
            Class::Exists => "exists",
            Class::Local => "local",
        }
    }

    /// Whether it is a matter of configuration: to be tried again slowly, since only a person changes it.
    pub fn is_configuration(self) -> bool {
        !matches!(self, Class::Connection | Class::Failure | Class::Exists)
    }
}

/// Why a place did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What kind.
    pub class: Class,
    /// What and where in plain words, without a full stop; never bytes of a file, never a secret.
    pub text: String,
}

impl Trouble {
    /// A trouble.
    pub fn new(class: Class, text: impl Into<String>) -> Trouble {
        Trouble { class, text: text.into() }
    }

    /// Whether the place answered, so that what was asked is known not to be under way any more.
    pub fn answered(&self) -> bool {
        self.class != Class::Connection
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Trouble {}

/// Is told how many bytes of the file have been accepted so far.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// Takes bytes that are read; false ends the reading.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// One session at a folder. One file is open for writing at most. After a trouble of [`Class::Connection`] the
/// session is of no use.
pub trait Place {
    /// Looks at the folders without changing anything: whether they are there and, as far as the place tells, can be written. A place
    /// that does not let itself be looked at is taken as it is.
    fn probe(&mut self) -> Result<(), Trouble>;

    /// Looks at one name.
    fn look(&mut self, name: Name<'_>) -> Result<Look, Trouble>;

    /// Opens a file for writing.
    fn create(&mut self, name: Name<'_>, opening: Opening) -> Result<(), Trouble>;

    /// Writes all of `from` at `offset` of the open file; gives the number of bytes that were accepted.
    fn write(&mut self, offset: u64, from: &mut dyn Read, progress: Progress<'_>) -> Result<u64, Trouble>;

    /// Has the open file stored durably, where the place offers that; else does nothing.
    fn sync(&mut self) -> Result<(), Trouble>;

    /// Closes the open file. An error here means that what was written may not be there.
    fn close(&mut self) -> Result<(), Trouble>;

    /// Gives a file another name.
    fn rename(&mut self, from: Name<'_>, to: Name<'_>, replace: Replace) -> Result<(), Trouble>;

    /// Has the names of the folder stored durably, as far as the place can: what is published stays so after a power cut.
    /// Most servers offer nothing of the kind.
    fn settle(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    /// Removes a file. One that is not there is [`Class::Missing`].
    fn remove(&mut self, name: Name<'_>) -> Result<(), Trouble>;

    /// Reads a file from `offset` to its end.
    fn read(&mut self, name: Name<'_>, offset: u64, sink: Sink<'_>) -> Result<(), Trouble>;

    /// The files of the folder (of temporary files, when `temp`) whose names are UTF-8, in no order.
    fn list(&mut self, temp: bool) -> Result<Vec<Entry>, Trouble>;
}

/// Where a finished file stands on this machine, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

impl Content {
    /// What these bytes are.
    pub fn of(bytes: &[u8]) -> Content {
        Content { size: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

/// Reads a file of the place and compares: [`Seen::Proven`], [`Seen::Shorter`] by so much as was read, or
/// [`Seen::Other`].
pub fn compare(place: &mut dyn Place, name: Name<'_>, content: &Content) -> Result<Seen, Trouble> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut read = 0u64;
    place.read(name, 0, &mut |bytes| {
        read += bytes.len() as u64;
        hash.update(bytes);
        read <= content.size
    })?;
    Ok(match read {
        read if read < content.size => Seen::Shorter(read),
        read if read == content.size && finish(hash) == content.sha256 => Seen::Proven,
        _ => Seen::Other,
    })
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(bytes);
    finish(hash)
}

/// Text of a stranger, fit for a log: without control characters, at most 120 characters.
pub fn quoted(text: &[u8]) -> String {
    const MOST: usize = 120;
    let text = String::from_utf8_lossy(text.get(..MOST * 4).unwrap_or(text));
    let clean: String = text.chars().filter(|c| !c.is_control()).take(MOST).collect();
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_stranger_is_short_and_drives_no_terminal() {
        assert_eq!(quoted(b"No\x1b[31m space\r\nleft\x00"), "No[31m spaceleft");
        assert_eq!(quoted(&vec![b'x'; 1 << 20]).len(), 120);
        assert_eq!(quoted("ä".repeat(4000).as_bytes()).chars().count(), 120);
        assert_eq!(quoted(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again_soon() {
        let soon: Vec<&str> = [
            Class::Connection,
            Class::Failure,
            Class::Permission,
            Class::Missing,
            Class::Authentication,
            Class::HostKey,
            Class::Unsupported,
            Class::Exists,
            Class::Local,
        ]
        .into_iter()
        .filter(|class| !class.is_configuration())
        .map(Class::word)
        .collect();
        assert_eq!(soon, ["connection", "failure", "exists"]);
    }
}
