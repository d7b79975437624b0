//! Copybooks on disk: the one that is asked for, and those that it copies.

use std::fs;
use std::io::{self, Read as _};
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
    /// endings; none = there is none. A name that leads out of the folders means none.
    ///
    /// # Errors
    /// With the name of the file that is there and cannot be read: no other is taken in its place.
    pub fn find(&self, name: &str) -> Result<Option<String>, (String, io::Error)> {
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return Ok(None);
        }
        let spellings = [name.to_owned(), name.to_uppercase(), name.to_lowercase()];
        let names = spellings.iter().flat_map(|name| ENDINGS.map(|ending| format!("{name}{ending}")));
        let names: Vec<String> = names.collect();
        for file in self.folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))) {
            match read(&file) {
                Ok(text) => return Ok(Some(text)),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err((file.display().to_string(), error)),
            }
        }
        Ok(None)
    }
}

/// No file of the name: nothing, a folder, or a part of the path that is none.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename
    )
}

/// The text of a copybook: UTF-8, or else Latin 1, which old comments are in.
pub fn read(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    // What is no file may have no end.
    fs::File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {LARGEST} bytes are no copybook")));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => match codepage::named("ISO-8859-1") {
            Ok(latin) => latin.decode_lossy(error.as_bytes()).into_owned(),
            Err(_) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        },
    })
}
