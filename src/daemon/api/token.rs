//! The token of TCP callers.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;

use super::problem::Problem;
use crate::adapter::secret::{Secret, SecretRef, SecretSource};
use crate::clock::{self, Timestamp};
use crate::rules::hex::hex;

/// The file's name, beside the state file.
const FILE: &str = "api.token";
/// Wrong tokens that are answered at once; each is forgiven after [`FORGIVE`].
const WRONG: u32 = 10;
const FORGIVE: Duration = Duration::from_secs(6);

/// The token.
#[derive(Debug)]
pub(super) struct Token {
    source: Arc<SecretSource>,
    wrong: Mutex<Wrong>,
}

/// Wrong tokens, or codes, of late.
#[derive(Debug)]
pub(super) struct Wrong {
    count: u32,
    since: Timestamp,
}

impl Wrong {
    /// None.
    pub(super) fn new(now: Timestamp) -> Wrong {
        Wrong { count: 0, since: now }
    }

    /// Counts one more; false when there were too many.
    pub(super) fn add(&mut self, now: Timestamp) -> bool {
        let forgiven = u32::try_from(now.since(self.since).as_secs() / FORGIVE.as_secs()).unwrap_or(u32::MAX);
        if forgiven > 0 {
            self.count = self.count.saturating_sub(forgiven);
            self.since = now;
        }
        let few = self.count < WRONG;
        self.count += u32::from(few);
        few
    }
}

impl Token {
    /// The token of the configuration, else that of the file, which is made when it is missing.
    pub(super) fn open(state: &Path, from: Option<&SecretRef>) -> io::Result<Token> {
        let from = match from {
            Some(from) => from.clone(),
            None => SecretRef::File(made(state)?),
        };
        let wrong = Mutex::new(Wrong::new(clock::steady()));
        Ok(Token { source: Arc::new(SecretSource::new(from)), wrong })
    }

    /// Where it is.
    pub(super) fn from(&self) -> &SecretRef {
        self.source.from()
    }

    /// Lets who shows it in. The right one is let in whatever others have tried: nobody can guess 256 bits, and nobody is
    /// to lock the others out.
    pub(super) async fn admit(&self, shown: Option<Secret>) -> Result<(), Problem> {
        let mut guess = false;
        if let Some(shown) = shown {
            let secret = self.secret().await?;
            // In constant time.
            if *secret == shown {
                return Ok(());
            }
            // Who shows nothing, or something else than a token, guesses nothing.
            guess = secret.expose().len() == shown.expose().len();
        }
        if !guess || self.wrong.lock().unwrap_or_else(PoisonError::into_inner).add(clock::steady()) {
            let detail = "`Authorization: Bearer TOKEN` is missing or wrong: the token is in the file `api.token` beside the state file, or where `api: {token:}` says";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
        }
        let seconds = u32::try_from(FORGIVE.as_secs()).unwrap_or(u32::MAX);
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many calls without the right token").after(seconds))
    }

    async fn secret(&self) -> Result<Arc<Secret>, Problem> {
        if let Some(secret) = self.source.held() {
            return Ok(secret);
        }
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || source.get()).await.map_err(|_| Problem::broken())?;
        read.map_err(|error| {
            log::error!("the API's token cannot be read: {error}");
            Problem::later("the agent cannot read its own token: its log says why")
        })
    }
}

/// The token's file; made with a new token when it is missing.
fn made(state: &Path) -> io::Result<PathBuf> {
    let path = state.with_file_name(FILE);
    let path = std::path::absolute(&path)?;
    let mut file = match File::options().write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(path),
        other => other?,
    };
    let mut bits = [0; 32];
    aws_lc_rs::rand::fill(&mut bits).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let written = writeln!(file, "{}", hex(&bits)).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a token would be one for ever.
        std::fs::remove_file(&path)?;
    }
    written.map(|()| path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.db");
        let path = made(&state).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        assert_eq!((first.trim().len(), path.metadata().unwrap().permissions().mode() & 0o777), (64, 0o600));
        assert_eq!(std::fs::read_to_string(made(&state).unwrap()).unwrap(), first);
    }

    #[test]
    fn wrong_tokens_are_forgiven_one_by_one() {
        let start = Timestamp(0);
        let mut wrong = Wrong::new(start);
        assert!((0..WRONG).all(|_| wrong.add(start)) && !wrong.add(start));
        let later = start.plus(FORGIVE);
        assert!(wrong.add(later) && !wrong.add(later));
    }
}
