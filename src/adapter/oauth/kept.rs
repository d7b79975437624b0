//! A refresh token that the server replaces at each use: the newest one is kept in a file beside the state file. Who loses
//! it has lost access, so it is on the disk before the token that came with it is used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::adapter::secret::{Secret, SecretSource};
use crate::adapter::sha256;
use crate::rules::hex::hex;
use crate::rules::outcome::{Outcome, Reason};

/// A refresh token: the configured one, and what became of it.
#[derive(Debug)]
pub struct Kept {
    first: SecretSource,
    file: PathBuf,
    /// What could not be written: the only copy of what the server takes next.
    unsaved: Mutex<Option<Paper>>,
}

/// What stands in the file: the newest token, and which configured one it came from. With another configured one it is of
/// no account: somebody has asked for access anew.
#[derive(Clone, Debug)]
struct Paper {
    from: String,
    token: Secret,
}

/// One use of the token; nobody else, in this process or another, uses it meanwhile.
pub struct Turn<'k> {
    kept: &'k Kept,
    unsaved: MutexGuard<'k, Option<Paper>>,
    paper: Paper,
    _lock: File,
}

impl Kept {
    /// `first` is the configured token; `file` is where what follows it is kept.
    pub fn new(first: SecretSource, file: PathBuf) -> Kept {
        Kept { first, file, unsaved: Mutex::new(None) }
    }

    /// Takes the newest token to use it once.
    pub fn turn(&self) -> Result<Turn<'_>, Outcome> {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = self.lock().map_err(|error| self.trouble("cannot be locked", &error))?;
        if let Some(paper) = unsaved.as_ref() {
            self.write(paper).map_err(|error| self.trouble("cannot be written", &error))?;
            *unsaved = None;
        }
        let there = self.read().map_err(|error| self.trouble("cannot be read", &error))?;
        let paper = match (self.first.get(), there) {
            (Ok(first), there) => {
                let from = hex(&sha256(first.expose().as_bytes()));
                let follows = there.filter(|paper| paper.from == from);
                follows.unwrap_or_else(|| Paper { from, token: Secret::clone(&first) })
            }
            // Whoever has removed the first one after it was used has removed nothing that counts.
            (Err(_), Some(paper)) => paper,
            (Err(why), None) => return Err(Outcome::Halt(Reason::new("credential", why))),
        };
        Ok(Turn { kept: self, unsaved, paper, _lock: lock })
    }

    fn lock(&self) -> io::Result<File> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        if !folder.is_dir() {
            // Root would make a state folder that the agent's user cannot use.
            let known = folder.parent().is_none_or(|state| state.as_os_str().is_empty() || state.is_dir());
            if rustix::process::geteuid().is_root() && !known {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "its folder is not there yet; start the agent first",
                ));
            }
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            give(folder)?;
        }
        let path = self.file.with_extension("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        give(&path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn read(&self) -> io::Result<Option<Paper>> {
        let text = match fs::read(&self.file) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let odd = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it is not what the agent writes; remove it and configure a new refresh token",
            )
        };
        let value: Value = serde_json::from_slice(&text).map_err(|_| odd())?;
        match (value["from"].as_str(), value["token"].as_str()) {
            (Some(from), Some(token)) => Ok(Some(Paper { from: from.to_owned(), token: Secret::new(token) })),
            _ => Err(odd()),
        }
    }

    /// Replaces the file as a whole, on the disk when this returns.
    fn write(&self, paper: &Paper) -> io::Result<()> {
        let text = json!({ "from": paper.from, "token": paper.token.expose() }).to_string();
        let text = Zeroizing::new(text);
        let temp = self.file.with_extension("new");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temp)?;
        give(&temp)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temp, &self.file)?;
        File::open(self.file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    fn trouble(&self, what: &str, error: &io::Error) -> Outcome {
        let text = format!("the refresh token's file {} {what}: {error}", self.file.display());
        Outcome::Retry { reason: Reason::new("credential", text), after: None, transport: true }
    }
}

impl Turn<'_> {
    /// The token to be used.
    pub fn token(&self) -> &Secret {
        &self.paper.token
    }

    /// The server has given another one. An error = it could not be written; it is tried again before it is used.
    pub fn keep(&mut self, token: Secret) -> Result<(), Outcome> {
        if token == self.paper.token {
            return Ok(());
        }
        let paper = Paper { from: self.paper.from.clone(), token };
        if let Err(error) = self.kept.write(&paper) {
            *self.unsaved = Some(paper);
            return Err(self.kept.trouble("cannot be written", &error));
        }
        Ok(())
    }
}

/// What root makes (`check --online`) belongs to whom its folder belongs to: the agent.
fn give(path: &Path) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let owner = fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
        chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::adapter::secret::SecretRef;

    fn kept(folder: &Path, first: &str) -> Kept {
        let path = folder.join("first");
        fs::write(&path, first).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Kept::new(SecretSource::new(SecretRef::File(path)), folder.join("credentials/a.json"))
    }

    fn token(kept: &Kept) -> String {
        kept.turn().unwrap().token().expose().to_owned()
    }

    #[test]
    fn the_newest_token_is_kept_for_its_owner_alone_until_another_one_is_configured() {
        let folder = tempfile::tempdir().unwrap();
        let one = kept(folder.path(), "first");
        assert_eq!(token(&one), "first");
        one.turn().unwrap().keep(Secret::new("second")).unwrap();
        assert_eq!(token(&one), "second");
        assert_eq!(token(&kept(folder.path(), "first")), "second");
        let file = folder.path().join("credentials/a.json");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_file(folder.path().join("first")).unwrap();
        let gone = Kept::new(SecretSource::new(SecretRef::File(folder.path().join("first"))), file);
        assert_eq!(token(&gone), "second");
        assert_eq!(token(&kept(folder.path(), "asked for anew")), "asked for anew");
    }

    #[test]
    fn a_token_that_cannot_be_written_is_held_and_written_before_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let one = kept(folder.path(), "first");
        let mut turn = one.turn().unwrap();
        // Even root cannot replace a folder by a file.
        let file = folder.path().join("credentials/a.json");
        fs::create_dir(&file).unwrap();
        assert!(matches!(turn.keep(Secret::new("c4nary")), Err(Outcome::Retry { .. })));
        drop(turn);
        let Err(Outcome::Retry { reason, .. }) = one.turn() else { unreachable!() };
        assert!(reason.text.contains("cannot be written") && !reason.text.contains("c4nary"), "{reason}");
        fs::remove_dir(&file).unwrap();
        assert_eq!(token(&one), "c4nary");
        assert_eq!(token(&kept(folder.path(), "first")), "c4nary");
    }

    #[test]
    fn a_file_that_is_something_else_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let one = kept(folder.path(), "first");
        drop(one.turn().unwrap());
        fs::write(folder.path().join("credentials/a.json"), "c4nary").unwrap();
        let Err(Outcome::Retry { reason, .. }) = one.turn() else { unreachable!() };
        assert!(reason.text.contains("not what the agent writes") && !reason.text.contains("c4nary"), "{reason}");
    }
}
