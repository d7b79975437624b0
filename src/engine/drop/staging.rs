//! The drop's own folder: rendered files before they are published, and the archive of those that were.
//!
//! A file appears under its name only when all of it is on the disk: it is written under another, synced, renamed, and the
//! folder is synced. The folder is its owner's alone; the files hold records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use aws_lc_rs::digest;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::clock::Timestamp;
use crate::store::state::drops::FileId;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// Their MD5, for control files that show it.
    pub md5: [u8; 16],
    /// Their CRC-32 (IEEE 802.3), for control files that show it.
    pub crc32: u32,
}

/// A drop's folder.
#[derive(Clone, Debug)]
pub struct Staging {
    folder: PathBuf,
}

impl Staging {
    /// The folder; made when it is not there.
    pub fn open(folder: &Path) -> io::Result<Staging> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join("archive"))?;
        Ok(Staging { folder: folder.to_owned() })
    }

    /// Where a rendered file lies.
    pub fn path(&self, file: FileId) -> PathBuf {
        self.folder.join(format!("{}.data", file.0))
    }

    /// Where a published file is kept.
    pub fn archived(&self, file: FileId) -> PathBuf {
        self.folder.join(format!("archive/{}.data.gz", file.0))
    }

    /// Where a file lies as it was encrypted, from then until it is purged: what was sent once is sent again as it is.
    pub fn sealed(&self, file: FileId) -> PathBuf {
        self.folder.join(format!("archive/{}.pgp", file.0))
    }

    /// Begins to write a file; what an interrupted run left is written over.
    pub fn write(&self, file: FileId) -> io::Result<Draft> {
        draft(self.path(file))
    }

    /// The same of the encrypted file.
    pub fn write_sealed(&self, file: FileId) -> io::Result<Draft> {
        draft(self.sealed(file))
    }

    /// Whether a rendered file is there, and is the one that the ledger knows.
    pub fn has(&self, file: FileId, size: u64, sha256: &[u8; 32]) -> bool {
        whole(&self.path(file), size, sha256)
    }

    /// The same of the encrypted file.
    pub fn has_sealed(&self, file: FileId, size: u64, sha256: &[u8; 32]) -> bool {
        whole(&self.sealed(file), size, sha256)
    }

    /// Size and digests of a file.
    pub fn sums(&self, file: FileId) -> io::Result<Written> {
        let mut sums = Sums::new();
        self.read(file, |bytes| {
            sums.add(bytes);
            Ok(())
        })?;
        Ok(sums.end())
    }

    /// Keeps a published file in the archive and removes the rendered one.
    pub fn archive(&self, file: FileId) -> io::Result<()> {
        let (from, to) = (self.path(file), self.archived(file));
        if !from.exists() && to.exists() {
            return Ok(());
        }
        let temp = to.with_extension("part");
        let _ = fs::remove_file(&temp);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
        let mut packed = GzEncoder::new(BufWriter::new(opened), Compression::default());
        copy(&mut File::open(&from)?, |bytes| packed.write_all(bytes))?;
        let opened = packed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        opened.sync_all()?;
        fs::rename(&temp, &to)?;
        sync(to.parent())?;
        fs::remove_file(&from)?;
        sync(from.parent())
    }

    /// Puts an archived file back where it lay when it was rendered; what lies there is replaced.
    pub fn restore(&self, file: FileId) -> io::Result<()> {
        let mut draft = self.write(file)?;
        copy(&mut GzDecoder::new(File::open(self.archived(file))?), |bytes| draft.write_all(bytes))?;
        draft.finish().map(drop)
    }

    /// The bytes of a file, rendered or archived.
    pub fn read(&self, file: FileId, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match File::open(self.path(file)) {
            Ok(mut from) => copy(&mut from, each),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                copy(&mut GzDecoder::new(File::open(self.archived(file))?), &mut each)
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps some bytes under a path of this folder; the folders on it are made. Nothing is there before it is whole.
    pub fn keep(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let to = self.folder.join(path);
        let parent = to.parent().unwrap_or(&self.folder);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        let temp = parent.join(".keeping.part");
        let _ = fs::remove_file(&temp);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temp, &to)?;
        sync(Some(parent))?;
        sync(Some(&self.folder))
    }

    /// Removes kept answers that were written before a time.
    pub fn remove_answers(&self, before: Timestamp) -> io::Result<()> {
        for (folder, ending) in [("archive", ".ack.gz"), ("quarantine", "")] {
            let Ok(entries) = fs::read_dir(self.folder.join(folder)) else { continue };
            for entry in entries {
                let entry = entry?;
                let written = entry.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                let is_old = i64::try_from(written.as_millis()).is_ok_and(|written| written < before.0);
                if is_old && entry.file_name().to_string_lossy().ends_with(ending) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Removes what is kept of a file.
    pub fn remove(&self, file: FileId) -> io::Result<()> {
        for path in [self.path(file), self.archived(file), self.sealed(file)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        sync(Some(&self.folder))
    }

    /// Bytes that are free for this folder.
    pub fn free(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A file being written.
pub struct Draft {
    out: BufWriter<File>,
    temp: PathBuf,
    target: PathBuf,
    sums: Sums,
}

impl Draft {
    /// Writes more.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sums.add(bytes);
        self.out.write_all(bytes)
    }

    /// Makes it durable under its name.
    pub fn finish(self) -> io::Result<Written> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.temp, &self.target)?;
        sync(self.target.parent())?;
        Ok(self.sums.end())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sums.add(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Sums {
    size: u64,
    sha256: digest::Context,
    md5: md5::Md5,
    crc32: crc32fast::Hasher,
}

impl Sums {
    fn new() -> Sums {
        use md5::Digest as _;
        Sums {
            size: 0,
            sha256: digest::Context::new(&digest::SHA256),
            md5: md5::Md5::new(),
            crc32: crc32fast::Hasher::new(),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        use md5::Digest as _;
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        self.md5.update(bytes);
        self.crc32.update(bytes);
    }

    fn end(self) -> Written {
        use md5::Digest as _;
        let mut sha256 = [0; 32];
        sha256.iter_mut().zip(self.sha256.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Written { size: self.size, sha256, md5: self.md5.finalize().into(), crc32: self.crc32.finalize() }
    }
}

/// Begins to write what will have that name.
fn draft(target: PathBuf) -> io::Result<Draft> {
    let temp = target.with_extension("part");
    let _ = fs::remove_file(&temp);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
    Ok(Draft { out: BufWriter::with_capacity(1 << 16, opened), temp, target, sums: Sums::new() })
}

/// Whether a file is there and has these bytes.
fn whole(path: &Path, size: u64, sha256: &[u8; 32]) -> bool {
    let read = || {
        let mut from = File::open(path)?;
        let mut sums = Sums::new();
        copy(&mut from, |bytes| {
            sums.add(bytes);
            Ok(())
        })?;
        io::Result::Ok(sums.end())
    };
    read().is_ok_and(|found| found.size == size && found.sha256 == *sha256)
}

fn copy(from: &mut impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut part = vec![0; 1 << 16];
    loop {
        match from.read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(count) => each(part.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn sync(folder: Option<&Path>) -> io::Result<()> {
    folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_staged_archived_and_restored_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(&folder.path().join("wic")).unwrap();
        let id = FileId(7);
        let mut draft = staging.write(id).unwrap();
        draft.write_all(b"HD\r\n").unwrap();
        assert!(!staging.path(id).exists(), "it has no name before it is whole");
        draft.write_all(b"TR\r\n").unwrap();
        let written = draft.finish().unwrap();
        assert_eq!((written.size, written.crc32), (8, crc32fast::hash(b"HD\r\nTR\r\n")));
        assert!(staging.has(id, 8, &written.sha256) && !staging.has(id, 8, &[0; 32]));
        staging.archive(id).unwrap();
        assert!(!staging.path(id).exists() && staging.archived(id).exists());
        let mut bytes = Vec::new();
        let read = |staging: &Staging, bytes: &mut Vec<u8>| {
            bytes.clear();
            staging.read(id, |some| {
                bytes.extend_from_slice(some);
                Ok(())
            })
        };
        read(&staging, &mut bytes).unwrap();
        assert_eq!(bytes, b"HD\r\nTR\r\n");
        staging.restore(id).unwrap();
        assert!(staging.has(id, 8, &written.sha256));
        staging.remove(id).unwrap();
        assert!(read(&staging, &mut bytes).is_err());
    }
}
