//! Finished files on this machine, waiting to be published.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;

use aws_lc_rs::digest;

use crate::adapter::place::Content;

/// One finished file.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Its name at the destination.
    pub name: String,
    /// Where its bytes are.
    pub source: Source,
    /// What they are.
    pub content: Content,
}

/// Where bytes are.
#[derive(Clone, Debug)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// Here: a control file, a trigger.
    Bytes(Vec<u8>),
}

/// Everything that one publication brings to a destination.
#[derive(Clone, Debug)]
pub struct Files {
    /// The data.
    pub data: Staged,
    /// Control files, after the data, in this order.
    pub controls: Vec<Staged>,
    /// The trigger, strictly last.
    pub trigger: Option<Staged>,
}

impl Staged {
    /// A small file that is made here.
    pub fn bytes(name: impl Into<String>, bytes: Vec<u8>) -> Staged {
        Staged { name: name.into(), content: Content::of(&bytes), source: Source::Bytes(bytes) }
    }

    /// Opens it.
    pub fn open(&self) -> io::Result<Box<dyn Bytes + '_>> {
        Ok(match &self.source {
            Source::File(path) => Box::new(File::open(path)?),
            Source::Bytes(bytes) => Box::new(Cursor::new(bytes.as_slice())),
        })
    }

    /// The bytes from one offset to another.
    pub fn piece(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut file = self.open()?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether the bytes are still what they were when it was finished.
    pub fn is_whole(&self) -> io::Result<bool> {
        let mut checked = Checked::new(self.open()?);
        io::copy(&mut checked, &mut io::sink())?;
        Ok(checked.is(&self.content))
    }
}

/// Something to read from any offset.
pub trait Bytes: Read + Seek {}
impl<B: Read + Seek> Bytes for B {}

/// Passes bytes on and sums them up, so that what was sent is known to be what was finished.
pub struct Checked<R> {
    from: R,
    read: u64,
    hash: digest::Context,
}

impl<R: Read> Checked<R> {
    /// Sums up from here on.
    pub fn new(from: R) -> Checked<R> {
        Checked { from, read: 0, hash: digest::Context::new(&digest::SHA256) }
    }

    /// Whether everything that was read is this, no more and no less.
    pub fn is(self, content: &Content) -> bool {
        self.read == content.size && self.hash.finish().as_ref() == content.sha256
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        self.read += read as u64;
        Ok(read)
    }
}
