//! Copybooks on disk: the one that is asked for, and those that it copies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::format::codepage;

/// The folders that copybooks are looked for in, in this order.
#[derive(Clone, Debug, Default)]
pub struct Library {
    folders: Vec<PathBuf>,
}

/// Endings that files of copybooks have; mainframes have none.
const ENDINGS: [&str; 7] = ["", ".cpy", ".CPY", ".cbl", ".CBL", ".cob", ".COB"];

/// Bytes that the file of a copybook may have.
const LARGEST: u64 = 16 << 20;

impl Library {
    /// A library of folders; none = nothing is found.
    pub fn new(folders: Vec<PathBuf>) -> Library {
        Library { folders }
    }

    /// The text of the copybook that `COPY name` means: as it is spelled, in upper and in lower case, with the usual
    /// endings. A name that leads out of the folders means none.
    pub fn find(&self, name: &str) -> Option<String> {
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return None;
        }
        let spellings = [name.to_owned(), name.to_uppercase(), name.to_lowercase()];
        let names = spellings.iter().flat_map(|name| ENDINGS.map(|ending| format!("{name}{ending}")));
        let names: Vec<String> = names.collect();
        let mut files = self.folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
        files.find_map(|file| read(&file).ok())
    }
}

/// The text of a copybook: UTF-8, or else Latin 1, which old comments are in.
pub fn read(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > LARGEST {
        return Err(io::Error::other(format!("more than {LARGEST} bytes are no copybook")));
    }
    let bytes = fs::read(file)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => match codepage::named("ISO-8859-1") {
            Ok(latin) => latin.decode_lossy(error.as_bytes()).into_owned(),
            Err(_) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        },
    })
}
