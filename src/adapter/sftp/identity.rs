//! Showing who we are: a key, a password, or both. Once: accounts lock after a few attempts.

use std::sync::Arc;

use russh::MethodKind;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};

use crate::adapter::place::{Class, Trouble};
use crate::adapter::secret::{Secret, SecretSource};
use crate::adapter::sftp::guard::Guard;
use crate::adapter::sftp::target::Target;

/// Shows the user's key, password or both, each once.
pub(super) async fn show(handle: &mut Handle<Guard>, target: &Target) -> Result<(), Trouble> {
    let identity = &target.identity;
    let key = identity.key.as_deref().map(|key| read(key, identity.passphrase.as_deref())).transpose()?;
    let password = identity.password.as_deref().map(secret).transpose()?;
    if key.is_none() && password.is_none() {
        return Err(Trouble::new(Class::Authentication, format!("no key and no password for {}", target.user)));
    }
    // To ask with neither is not an attempt: it is how a server says what it takes.
    let first = match key {
        Some(key) => with_key(handle, target, key).await?,
        None => handle.authenticate_none(&target.user).await.map_err(|error| broke(target, &error))?,
    };
    let (offered, partial) = match first {
        AuthResult::Success => return Ok(()),
        AuthResult::Failure { remaining_methods, partial_success } => (remaining_methods, partial_success),
    };
    if handle.is_closed() {
        return Err(gone(target));
    }
    match password {
        Some(_) if identity.key.is_some() && !partial => Err(refused(target, "the key", &offered)),
        None if partial => Err(refused(target, "the key, and asks for more,", &offered)),
        None => Err(refused(target, "the key", &offered)),
        Some(password) if offered.contains(&MethodKind::Password) => {
            let answer = handle.authenticate_password(&target.user, password.expose()).await;
            settled(handle, target, answer, "the password")
        }
        Some(password) if offered.contains(&MethodKind::KeyboardInteractive) => {
            interactive(handle, target, &password).await
        }
        Some(_) => Err(refused(target, "a password", &offered)),
    }
}

async fn with_key(handle: &mut Handle<Guard>, target: &Target, key: PrivateKey) -> Result<AuthResult, Trouble> {
    let hash = if key.algorithm().is_rsa() {
        match handle.best_supported_rsa_hash().await.map_err(|error| broke(target, &error))? {
            // SHA-1, the only one that the server takes.
            Some(None) if !target.legacy => {
                let text = format!(
                    "{} takes RSA keys only with SHA-1 signatures: use an ed25519 or ecdsa key, or `legacy: true`",
                    target.host
                );
                return Err(Trouble::new(Class::Authentication, text));
            }
            Some(hash) => hash,
            None => Some(HashAlg::Sha256),
        }
    } else {
        None
    };
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    handle.authenticate_publickey(&target.user, key).await.map_err(|error| broke(target, &error))
}

async fn interactive(handle: &mut Handle<Guard>, target: &Target, password: &Secret) -> Result<(), Trouble> {
    let mut step = handle.authenticate_keyboard_interactive_start(&target.user, None::<String>).await;
    let mut given = false;
    loop {
        let answers = match step.map_err(|error| broke(target, &error))? {
            KeyboardInteractiveAuthResponse::Success => return Ok(()),
            KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => {
                return Err(refused(target, "the password", &remaining_methods));
            }
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } if prompts.is_empty() => Vec::new(),
            // A second question is a one-time code, or the password again: neither has an answer here.
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } if prompts.len() > 1 || given => {
                let text = format!("{} asks more than a password", target.host);
                return Err(Trouble::new(Class::Authentication, text));
            }
            KeyboardInteractiveAuthResponse::InfoRequest { .. } => {
                given = true;
                vec![password.expose().to_owned()]
            }
        };
        step = handle.authenticate_keyboard_interactive_respond(answers).await;
    }
}

fn settled(
    handle: &Handle<Guard>,
    target: &Target,
    answer: Result<AuthResult, russh::Error>,
    what: &str,
) -> Result<(), Trouble> {
    match answer.map_err(|error| broke(target, &error))? {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { remaining_methods, .. } if remaining_methods.is_empty() && handle.is_closed() => {
            Err(gone(target))
        }
        AuthResult::Failure { remaining_methods, .. } => Err(refused(target, what, &remaining_methods)),
    }
}

fn read(key: &SecretSource, passphrase: Option<&SecretSource>) -> Result<PrivateKey, Trouble> {
    let text = secret(key)?;
    let passphrase = passphrase.map(secret).transpose()?;
    let from = key.from();
    decode_secret_key(text.expose(), passphrase.as_deref().map(Secret::expose)).map_err(|error| {
        let why = match error {
            russh::keys::Error::KeyIsEncrypted => "is encrypted, and no passphrase is configured".to_owned(),
            russh::keys::Error::UnsupportedKeyType { .. } => {
                "is of a kind that is not supported: use ed25519, ecdsa or rsa".to_owned()
            }
            _ if passphrase.is_some() => "cannot be read: most likely the passphrase is not its own".to_owned(),
            _ => "cannot be read: it must be a private key as OpenSSH or in PEM".to_owned(),
        };
        Trouble::new(Class::Local, format!("the private key ({from}) {why}"))
    })
}

fn secret(source: &SecretSource) -> Result<Arc<Secret>, Trouble> {
    source.get().map_err(|text| Trouble::new(Class::Local, text))
}

fn refused(target: &Target, what: &str, offered: &[MethodKind]) -> Trouble {
    let offered: Vec<&str> = offered.iter().map(<&str>::from).collect();
    let offered = if offered.is_empty() { "nothing more".to_owned() } else { offered.join(" or ") };
    let text = format!("{} does not accept {what} of user {}; it takes {offered}", target.host, target.user);
    Trouble::new(Class::Authentication, text)
}

fn gone(target: &Target) -> Trouble {
    // Most do so when they had enough of wrong passwords: not to be repeated soon, whatever it was.
    let text = format!("{} closed the connection while user {} showed who he is", target.host, target.user);
    Trouble::new(Class::Authentication, text)
}

fn broke(target: &Target, error: &russh::Error) -> Trouble {
    let why = crate::adapter::place::quoted(error.to_string().as_bytes());
    Trouble::new(Class::Connection, format!("the connection to {} broke: {why}", target.host))
}
