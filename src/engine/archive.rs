//! The archive of the audit: a folder beside the state file with its sealed pieces, its key and its checkpoints.
//!
//! A file appears under its name only when all of it is on the disk. The folder and its files are their owner's alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::format::note::{Note, Signer};
use crate::format::segment::{Index, Reader, SegmentError};
use crate::rules::chain;
use crate::rules::hex::hex;

/// The folder's name.
pub const FOLDER: &str = "audit";
/// What the files of the sealed pieces and of their indexes end with.
const SEGMENT: &str = ".audit.gz";
const INDEX: &str = ".audit.idx";
const KEY: &str = ".key";
const CHECKPOINTS: &str = ".checkpoints";
/// The largest file of checkpoints that is read, in bytes.
const LARGEST: u64 = 1 << 28;

/// The archive of one chain.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
    /// First digits of the instance: pieces of another state file, which was lost, may lie beside these.
    id: String,
    origin: String,
}

/// A file of the archive that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}; look at the folder's owner, its mode and the space on its disk")]
pub struct ArchiveError {
    path: PathBuf,
    error: io::Error,
}

/// A sealed piece as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first row, as its name says.
    pub first_n: i64,
    /// Its file.
    pub path: PathBuf,
}

impl Piece {
    /// Its name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Opens it.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open(&self) -> Result<Reader<BufReader<File>>, SegmentError> {
        Reader::open(BufReader::with_capacity(1 << 16, File::open(&self.path)?))
    }

    /// Its index, if it has one that is whole.
    pub fn index(&self) -> Option<Index<BufReader<File>>> {
        let name = self.name();
        let index = self.path.with_file_name(format!("{}{INDEX}", name.strip_suffix(SEGMENT)?));
        Index::open(BufReader::with_capacity(512, File::open(index).ok()?))
    }
}

/// The two halves of the key's file: the key that signs, and the one that is to follow it.
#[derive(Debug, Default)]
pub struct Keys {
    /// What signs.
    pub current: Option<Zeroizing<[u8; 32]>>,
    /// What may be recorded already as the next.
    pub next: Option<Zeroizing<[u8; 32]>>,
}

impl Archive {
    /// The archive beside a state file; `instance` is that file's.
    pub fn beside(state: &Path, instance: &[u8; 32]) -> Archive {
        let folder = state.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Archive::at(&folder.join(FOLDER), instance)
    }

    /// The archive in a folder.
    pub fn at(folder: &Path, instance: &[u8; 32]) -> Archive {
        let id = hex(instance.get(..8).unwrap_or_default());
        Archive {
            folder: folder.to_owned(),
            origin: format!("hms-sync/{id}"),
            id: id.get(..8).unwrap_or_default().to_owned(),
        }
    }

    /// The archive that a folder has, when it is not known whose: of several the one with the newest piece.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn found(folder: &Path) -> Result<Option<Archive>, ArchiveError> {
        let any = Archive { folder: folder.to_owned(), id: String::new(), origin: String::new() };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| any.failed(folder, error))? {
            let name = entry.map_err(|error| any.failed(folder, error))?.file_name().to_string_lossy().into_owned();
            names.extend(Some(name).filter(|name| name.ends_with(SEGMENT)));
        }
        names.sort();
        for name in names.iter().rev() {
            let piece = Piece { first_n: 0, path: folder.join(name) };
            let id = name.strip_suffix(SEGMENT).and_then(|begin| begin.rsplit('-').next()).map(str::to_owned);
            if let (Some(id), Ok(reader)) = (id, piece.open()) {
                return Ok(Some(Archive { id, origin: reader.head().origin.clone(), ..any }));
            }
        }
        Ok(None)
    }

    /// What the chain is called in checkpoints.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder when it is not there, and removes what an interrupted run has left half written.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn prepare(&self) -> Result<(), ArchiveError> {
        let told = |error| self.failed(&self.folder, error);
        if !self.folder.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(told)?;
            self.folder.parent().map_or(Ok(()), sync_folder).map_err(told)?;
        }
        for entry in fs::read_dir(&self.folder).map_err(told)?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(&path).map_err(|error| self.failed(&path, error))?;
            }
        }
        Ok(())
    }

    #[allow(clippy::unused_self)]
    fn failed(&self, path: &Path, error: io::Error) -> ArchiveError {
        ArchiveError { path: path.to_owned(), error }
    }

    /// The name of a piece.
    pub fn name(&self, day: i64, first_n: i64) -> String {
        format!("{}-{first_n:012}-{}{SEGMENT}", day_text(day), self.id)
    }

    /// The pieces that lie there, in order.
    ///
    /// # Errors
    /// The folder cannot be read. One that is not there has none.
    pub fn pieces(&self) -> Result<Vec<Piece>, ArchiveError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            entries => entries.map_err(|error| self.failed(&self.folder, error))?,
        };
        let end = format!("-{}{SEGMENT}", self.id);
        let mut pieces = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| self.failed(&self.folder, error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let first = name.strip_suffix(&end).and_then(|begin| begin.rsplit('-').next()).map(str::parse);
            if let Some(Ok(first_n)) = first {
                pieces.push(Piece { first_n, path });
            }
        }
        pieces.sort_by_key(|piece| piece.first_n);
        Ok(pieces)
    }

    /// Begins to write the file of a piece; it has no name of its own before [`Archive::keep`].
    ///
    /// # Errors
    /// It cannot be made.
    pub fn draft(&self, name: &str) -> Result<BufWriter<File>, ArchiveError> {
        let path = self.part(name);
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        Ok(BufWriter::with_capacity(1 << 16, file.map_err(|error| self.failed(&path, error))?))
    }

    /// What belongs to this chain and to no other that may lie here too.
    fn named(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{}{end}", self.id))
    }

    fn part(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.part"))
    }

    /// Takes away what was begun.
    pub fn give_up(&self, name: &str) {
        let _ = fs::remove_file(self.part(name));
    }

    /// Makes a piece durable, with its index beside it; its size in bytes.
    ///
    /// # Errors
    /// Something cannot be written: then the piece is not there.
    pub fn keep(&self, name: &str, file: BufWriter<File>, index: &[u8]) -> Result<u64, ArchiveError> {
        let path = self.folder.join(name);
        let keep = || -> io::Result<u64> {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            let size = file.metadata()?.len();
            fs::rename(self.part(name), &path)?;
            let beside = name.strip_suffix(SEGMENT).unwrap_or(name);
            self.write(&format!("{beside}{INDEX}"), index)?;
            Ok(size)
        };
        keep().map_err(|error| self.failed(&path, error))
    }

    /// Writes a small file in one piece, durably.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let part = self.part(name);
        let _ = fs::remove_file(&part);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, self.folder.join(name))?;
        sync_folder(&self.folder)
    }

    /// Removes a piece and its index; one that is not there is no error.
    ///
    /// # Errors
    /// It stays.
    pub fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        let beside = name.strip_suffix(SEGMENT).map(|begin| format!("{begin}{INDEX}"));
        for name in [Some(name.to_owned()), beside].into_iter().flatten() {
            let path = self.folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.failed(&path, error)),
                _ => {}
            }
        }
        sync_folder(&self.folder).map_err(|error| self.failed(&self.folder, error))
    }

    /// The keys; none where there is no file, or one that is not of this chain.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn keys(&self) -> Result<Keys, ArchiveError> {
        let path = self.named(KEY);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Keys::default()),
            text => Zeroizing::new(text.map_err(|error| self.failed(&path, error))?),
        };
        let mut lines = text.lines();
        if lines.next() != Some(self.origin.as_str()) {
            return Ok(Keys::default());
        }
        let mut seed = || Some(Zeroizing::new(<[u8; 32]>::try_from(BASE64_STANDARD.decode(lines.next()?).ok()?).ok()?));
        Ok(Keys { current: seed(), next: seed() })
    }

    /// Keeps the keys in the place of those that were kept before.
    ///
    /// # Errors
    /// They cannot be written: the old ones are kept.
    pub fn keep_keys(&self, current: &[u8; 32], next: Option<&[u8; 32]>) -> Result<(), ArchiveError> {
        let mut text = Zeroizing::new(format!("{}\n", self.origin));
        for seed in [Some(current), next].into_iter().flatten() {
            text.push_str(&Zeroizing::new(BASE64_STANDARD.encode(seed)));
            text.push('\n');
        }
        self.write(&format!("{}{KEY}", self.id), text.as_bytes()).map_err(|error| self.failed(&self.named(KEY), error))
    }

    /// Who signs with a seed.
    pub fn signer(&self, seed: &[u8; 32]) -> Option<Signer> {
        Signer::new(&self.origin, seed)
    }

    /// The checkpoints that are kept, in the order in which they were made.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Note>, ArchiveError> {
        match read_checkpoints(&self.named(CHECKPOINTS), Some(&self.origin)) {
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            notes => notes.map_err(|error| self.failed(&self.named(CHECKPOINTS), error)),
        }
    }

    /// Adds a checkpoint to those that are kept.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add_checkpoint(&self, note: &Note) -> Result<(), ArchiveError> {
        let path = self.named(CHECKPOINTS);
        append(&path, note).map_err(|error| self.failed(&path, error))
    }

    /// Keeps of the checkpoints only those after a row: what is sealed has its own.
    ///
    /// # Errors
    /// They cannot be written: all are kept.
    pub fn trim_checkpoints(&self, after: i64) -> Result<(), ArchiveError> {
        let all = self.checkpoints()?;
        if all.iter().all(|note| note.checkpoint.size > after) {
            return Ok(());
        }
        let kept =
            all.iter().filter(|note| note.checkpoint.size > after).map(Note::write).collect::<Vec<_>>().join("\n");
        self.write(&format!("{}{CHECKPOINTS}", self.id), kept.as_bytes())
            .map_err(|error| self.failed(&self.named(CHECKPOINTS), error))
    }
}

/// Adds a checkpoint to a file, behind an empty line, and syncs it.
///
/// # Errors
/// As opening and writing has.
pub fn append(path: &Path, note: &Note) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let space = if file.metadata()?.len() == 0 { "" } else { "\n" };
    file.write_all(format!("{space}{}", note.write()).as_bytes())?;
    file.sync_data()
}

/// The checkpoints of one chain that a file has, whatever else it has: a file of checkpoints, or a log.
///
/// # Errors
/// It cannot be read, or is larger than any such file.
pub fn read_checkpoints(path: &Path, origin: Option<&str>) -> io::Result<Vec<Note>> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "is too large for a file of checkpoints"));
    }
    Ok(Note::read_all(&String::from_utf8_lossy(&fs::read(path)?), origin))
}

/// There is no such file, or no folder in which it could be.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A day as it is written: `2026-03-05`.
pub fn day_text(day: i64) -> String {
    chain::begin_of(day).to_string().chars().take_while(|c| *c != 'T').collect()
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}
