//! Secrets by reference: never in the configuration itself, never in a log, an error or a debug output.

mod known;

use std::fmt;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, mpsc};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::adapter::stamp::{Stamp, stamp};

pub use known::redact;
pub(crate) use known::remember;

/// Longest secret that is read, in bytes (systemd allows credentials of 1 MB; tokens and keys are far smaller).
const LONGEST: u64 = 64 * 1024;

/// How often a file is looked at for a change. In between no system call is made.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Shortest time between two runs of a command.
const CALM: Duration = Duration::from_secs(10);

/// Longest run of a command that prints a secret.
const EXEC_LIMIT: Duration = Duration::from_secs(10);

/// The text of a secret, overwritten in memory when dropped. `Debug` shows `***`; it cannot be printed otherwise.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text over.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself. For the wire only: whoever calls this must not store or show it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// `{file: PATH}`: a file of its owner's alone.
    File(PathBuf),
    /// `{env: NAME}`: a variable of the environment. Works, and `check` warns: other processes of the same user can
    /// read it.
    Env(String),
    /// `{credential: NAME}`: `$CREDENTIALS_DIRECTORY/NAME`, as systemd's `LoadCredential=` provides it.
    Credential(String),
    /// `{exec: [PROGRAM, ARGUMENT...]}`: what a program prints within 10 s.
    Exec(Vec<String>),
    /// On the command line (`--token`): works, and is warned of, because everybody can read it in the process table.
    Given(Secret),
}

impl SecretRef {
    /// The file that it is in; none = it is in no file, or nobody knows in which.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            SecretRef::File(path) => Some(path.clone()),
            SecretRef::Credential(name) => credential_path(name).ok(),
            SecretRef::Env(_) | SecretRef::Exec(_) | SecretRef::Given(_) => None,
        }
    }
}

impl fmt::Display for SecretRef {
    /// The reference as a person wrote it; it holds no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::File(path) => write!(f, "file {}", path.display()),
            SecretRef::Env(name) => write!(f, "environment variable {name}"),
            SecretRef::Credential(name) => write!(f, "credential {name}"),
            SecretRef::Exec(command) => write!(f, "command {}", command.first().map_or("", String::as_str)),
            SecretRef::Given(_) => f.write_str("the command line"),
        }
    }
}

/// A secret that is read when it is needed and again when its file changes.
#[derive(Debug)]
pub struct SecretSource {
    from: SecretRef,
    lines: bool,
    state: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    secret: Arc<Secret>,
    stamp: Stamp,
    looked: Instant,
    read: Instant,
}

impl SecretSource {
    /// A source; nothing is read yet.
    pub fn new(from: SecretRef) -> SecretSource {
        SecretSource { from, lines: false, state: Mutex::new(None) }
    }

    /// A source of a secret that may have several lines: a private key.
    pub fn with_lines(from: SecretRef) -> SecretSource {
        SecretSource { lines: true, ..SecretSource::new(from) }
    }

    /// Where it comes from.
    pub fn from(&self) -> &SecretRef {
        &self.from
    }

    /// The secret, without the line end at its end. Errors name the reference and what to do, never the secret.
    pub fn get(&self) -> Result<Arc<Secret>, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = state.as_mut() {
            if held.looked.elapsed() < LOOK_AGAIN {
                return Ok(Arc::clone(&held.secret));
            }
            held.looked = Instant::now();
            // Environment and commands are asked once, until [`SecretSource::forget`].
            match self.path()? {
                None => return Ok(Arc::clone(&held.secret)),
                Some(path) if held.stamp.is_some() && held.stamp == stamp(&path) => {
                    return Ok(Arc::clone(&held.secret));
                }
                Some(_) => {}
            }
        }
        let stamp = self.path()?.and_then(|path| stamp(&path));
        let secret = Arc::new(self.read()?);
        remember(secret.expose());
        let now = Instant::now();
        *state = Some(Held { secret: Arc::clone(&secret), stamp, looked: now, read: now });
        Ok(secret)
    }

    /// What [`SecretSource::get`] gives, where it looks at nothing for it. Never waits: while somebody reads the secret,
    /// which a command may take long for, there is none.
    pub fn held(&self) -> Option<Arc<Secret>> {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        state.as_ref().filter(|held| held.looked.elapsed() < LOOK_AGAIN).map(|held| Arc::clone(&held.secret))
    }

    /// Makes the next [`SecretSource::get`] read again: the target did not accept what was held. A command that ran
    /// less than 10 s ago is not run again, however many lanes are refused.
    pub fn forget(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let young = state.as_ref().is_some_and(|held| held.read.elapsed() < CALM);
        if !(young && matches!(self.from, SecretRef::Exec(_))) {
            *state = None;
        }
    }

    fn path(&self) -> Result<Option<PathBuf>, String> {
        match &self.from {
            SecretRef::File(path) => Ok(Some(path.clone())),
            SecretRef::Credential(name) => credential_path(name).map(Some),
            SecretRef::Env(_) | SecretRef::Exec(_) | SecretRef::Given(_) => Ok(None),
        }
    }

    fn read(&self) -> Result<Secret, String> {
        let text = match &self.from {
            SecretRef::File(path) => {
                private(path)?;
                read_file(path)?
            }
            SecretRef::Credential(name) => {
                // The service manager keeps these: it owns them, and shows an access list as group bits.
                let path = credential_path(name)?;
                let mode = metadata(&path)?.permissions().mode();
                if mode & 0o007 != 0 {
                    return Err(format!("{}: everybody may read it; it must be the service's alone", path.display()));
                }
                read_file(&path)?
            }
            SecretRef::Env(name) => {
                let text = std::env::var(name).map_err(|error| match error {
                    std::env::VarError::NotPresent => format!("environment variable {name} is not set"),
                    std::env::VarError::NotUnicode(_) => format!("environment variable {name} is not UTF-8"),
                })?;
                Zeroizing::new(text)
            }
            SecretRef::Exec(command) => run(command)?,
            SecretRef::Given(secret) => Zeroizing::new(secret.expose().to_owned()),
        };
        let trimmed = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if trimmed.is_empty() {
            return Err(format!("{} is empty", self.from));
        }
        if trimmed.contains('\0') || (!self.lines && trimmed.contains(['\n', '\r'])) {
            return Err(format!("{} holds more than one line", self.from));
        }
        Ok(Secret::new(trimmed))
    }
}

fn credential_path(name: &str) -> Result<PathBuf, String> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(format!("credential {name:?}: the name must be a plain file name"));
    }
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        format!("credential {name}: $CREDENTIALS_DIRECTORY is not set; add LoadCredential={name}:FILE to the service")
    })?;
    Ok(Path::new(&folder).join(name))
}

fn metadata(path: &Path) -> Result<std::fs::Metadata, String> {
    std::fs::metadata(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))
}

/// A secret's file must be its owner's alone, and nobody else may be able to put another in its place.
fn private(path: &Path) -> Result<(), String> {
    let show = path.display();
    let found = metadata(path)?;
    if !found.is_file() {
        return Err(format!("{show}: is not a file"));
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("{show}: others may read or write it (mode {mode:03o}); run: chmod 600 {show}"));
    }
    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me && found.uid() != 0 && me != 0 {
        return Err(format!("{show}: belongs to another user; run: chown to the user that runs hms-sync"));
    }
    let absolute = std::fs::canonicalize(path).map_err(|error| format!("{show}: cannot be read: {error}"))?;
    for (depth, folder) in absolute.ancestors().skip(1).enumerate() {
        let mode = metadata(folder)?.permissions().mode();
        let sticky = mode & 0o1000 != 0;
        let writable = if depth == 0 { mode & 0o022 } else { mode & 0o002 };
        if writable != 0 && !sticky {
            return Err(format!(
                "{show}: others may write to its folder {} and could replace it; run: chmod go-w {0}",
                folder.display()
            ));
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let show = path.display();
    let file = std::fs::File::open(path).map_err(|error| format!("{show}: cannot be read: {error}"))?;
    text_of(file).map_err(|why| format!("{show}: {why}"))
}

fn text_of(from: impl Read) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    match from.take(LONGEST + 1).read_to_string(&mut text) {
        Ok(_) if text.len() as u64 > LONGEST => Err(format!("is longer than {LONGEST} bytes")),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err("is not UTF-8".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

fn run(command: &[String]) -> Result<Zeroizing<String>, String> {
    let Some((program, arguments)) = command.split_first() else {
        return Err("exec: names no program".to_owned());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("command {program} cannot be started: {error}"))?;
    let (to, from) = mpsc::sync_channel(1);
    if let Some(out) = child.stdout.take() {
        std::thread::spawn(move || to.send(text_of(out)).ok());
    }
    let text = from.recv_timeout(EXEC_LIMIT);
    if text.is_err() {
        // A kill that fails means that it ended by itself meanwhile.
        child.kill().ok();
    }
    let status = child.wait().map_err(|error| format!("command {program} was lost: {error}"))?;
    let text = text.map_err(|_| format!("command {program} did not end within {} s", EXEC_LIMIT.as_secs()))?;
    if !status.success() {
        return Err(format!("command {program} failed ({status})"));
    }
    text.map_err(|why| format!("command {program}: its output {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn read(path: &Path) -> Result<String, String> {
        SecretSource::new(SecretRef::File(path.to_owned())).get().map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn a_file_of_its_owner_alone_is_read_without_its_line_end() {
        for (text, expected) in [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), ("s3cret ", "s3cret ")] {
            let (_folder, path) = file(text, 0o600);
            assert_eq!(read(&path).unwrap(), expected);
        }
    }

    #[test]
    fn a_file_that_others_may_read_or_replace_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o666] {
            let (_folder, path) = file("s3cret", mode);
            let error = read(&path).unwrap_err();
            assert!(error.contains("chmod 600") && !error.contains("s3cret"), "{error}");
        }
        let (folder, path) = file("s3cret", 0o600);
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(read(&path).unwrap_err().contains("could replace it"));
    }

    #[test]
    fn empty_long_or_multi_line_secrets_are_refused_without_showing_them() {
        for (text, expected) in [
            ("\n".to_owned(), "is empty"),
            ("s3cret\nmore\n".to_owned(), "more than one line"),
            ("x".repeat(70_000), "is longer than"),
        ] {
            let (_folder, path) = file(&text, 0o600);
            let error = read(&path).unwrap_err();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again_after_forget() {
        let (_folder, path) = file("one", 0o600);
        let source = SecretSource::new(SecretRef::File(path.clone()));
        assert_eq!(source.get().unwrap().expose(), "one");
        std::fs::write(&path, "two").unwrap();
        source.forget();
        assert_eq!(source.get().unwrap().expose(), "two");
    }

    #[test]
    fn a_changed_file_is_noticed_by_its_time() {
        let (_folder, path) = file("one", 0o600);
        let source = SecretSource::new(SecretRef::File(path.clone()));
        source.get().unwrap();
        std::fs::write(&path, "two").unwrap();
        let later = std::time::SystemTime::now() + Duration::from_secs(100);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        source.state.lock().unwrap().as_mut().unwrap().looked = Instant::now() - LOOK_AGAIN;
        assert_eq!(source.get().unwrap().expose(), "two");
    }

    #[test]
    fn a_command_that_fails_is_named() {
        let source = |command: &[&str]| {
            SecretSource::new(SecretRef::Exec(command.iter().map(|part| (*part).to_owned()).collect()))
        };
        assert_eq!(source(&["echo", "s3cret"]).get().unwrap().expose(), "s3cret");
        assert!(source(&["false"]).get().unwrap_err().contains("command false failed"));
        assert!(source(&["/no/such/program"]).get().unwrap_err().contains("cannot be started"));
        assert!(source(&[]).get().unwrap_err().contains("names no program"));
    }

    #[test]
    fn a_missing_variable_or_credential_says_what_to_do() {
        let missing = |from| SecretSource::new(from).get().unwrap_err();
        assert!(missing(SecretRef::Env("HMS_NO_SUCH_VARIABLE".into())).contains("is not set"));
        assert!(missing(SecretRef::Credential("../x".into())).contains("plain file name"));
    }

    #[test]
    fn a_secret_never_shows_in_debug() {
        let (_folder, path) = file("s3cret", 0o600);
        let source = SecretSource::new(SecretRef::File(path));
        let secret = source.get().unwrap();
        assert!(!format!("{secret:?} {source:?}").contains("s3cret"));
    }
}
