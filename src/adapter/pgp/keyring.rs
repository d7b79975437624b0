//! Keys from where they are kept.

use std::io::Cursor;
use std::path::Path;

use pgp::composed::{Deserializable, SignedPublicKey, SignedSecretKey};
use pgp::types::{KeyDetails, Password, SigningKey};

use super::judge::{self, Part};
use super::{KeyFile, OwnKey, Role, Unusable};
use crate::clock::Timestamp;

/// Bytes of the largest file of keys that is read.
const MOST: u64 = 4 << 20;

/// The key of somebody else.
///
/// # Errors
/// In words: no such file, no such key in it.
pub(super) fn public(file: &KeyFile) -> Result<SignedPublicKey, String> {
    let path = file.path.display();
    let bytes = read(&file.path).map_err(|error| format!("{path} cannot be read: {error}"))?;
    let unreadable = || format!("{path} holds no OpenPGP key that can be read");
    let (keys, _) = SignedPublicKey::from_reader_many(Cursor::new(&bytes)).map_err(|_| unreadable())?;
    let (mut any, mut found) = (false, None);
    for key in keys {
        let Ok(key) = key else { continue };
        any = true;
        if is(&key.primary_key, &file.fingerprint) {
            found = Some(key);
        }
    }
    match (found, any) {
        (Some(key), _) => Ok(key),
        (None, true) => Err(format!("{path} holds another key, not the one with this fingerprint")),
        (None, false) => Err(unreadable()),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is(key: &impl KeyDetails, fingerprint: &str) -> bool {
    format!("{:X}", key.fingerprint()) == fingerprint
}

/// A private key of ours that can be used.
pub(super) struct Unlocked {
    pub(super) key: SignedSecretKey,
    public: SignedPublicKey,
    pub(super) password: Password,
}

/// A private key of ours, with the passphrase that opens it.
pub(super) fn own(own: &OwnKey) -> Result<Unlocked, Unusable> {
    let text = own.key.get().map_err(Unusable::Secret)?;
    let passphrase = own.passphrase.as_ref().map(|source| source.get()).transpose().map_err(Unusable::Secret)?;
    let password = passphrase.map_or_else(Password::empty, |secret| Password::from(secret.expose()));
    let wrong = |what: &str| Unusable::Key(what.to_owned());
    let unreadable = || wrong("it is not an armoured private key");
    let (keys, _) = SignedSecretKey::from_reader_many(Cursor::new(text.expose())).map_err(|_| unreadable())?;
    let (mut any, mut found) = (false, None);
    for key in keys {
        let Ok(key) = key else { continue };
        any = true;
        if is(key.primary_key.public_key(), &own.fingerprint) {
            found = Some(key);
        }
    }
    let key = match (found, any) {
        (Some(key), _) => key,
        (None, true) => return Err(wrong("the private key is another one, not that with this fingerprint")),
        (None, false) => return Err(unreadable()),
    };
    let public = key.to_public_key();
    Ok(Unlocked { key, public, password })
}

impl Unlocked {
    /// When it ends; whether the passphrase opens it is tried.
    pub(super) fn ends(&self, role: Role, now: Timestamp) -> Result<Option<Timestamp>, String> {
        if role == Role::Signing {
            return self.signing(now).map(|(_, ends)| ends);
        }
        let opens = |opened: pgp::errors::Result<pgp::errors::Result<()>>| opened.is_ok_and(|done| done.is_ok());
        let primary = &self.key.primary_key;
        let opened = opens(primary.unlock(&self.password, |_, _| Ok(())))
            || self.key.secret_subkeys.iter().any(|sub| opens(sub.key.unlock(&self.password, |_, _| Ok(()))));
        if !opened {
            return Err(LOCKED.to_owned());
        }
        judge::encrypting(&self.public, now).map(|(_, ends)| ends)
    }

    /// What signs, and until when.
    ///
    /// # Errors
    /// When it has expired, was revoked, is not here, or the passphrase does not open it.
    pub(super) fn signing(&self, now: Timestamp) -> Result<(&dyn SigningKey, Option<Timestamp>), String> {
        let (parts, ends) = judge::signing(&self.public, now)?;
        let mut locked = false;
        for part in parts {
            // A part may be kept elsewhere: then only its public half is here.
            let (key, opened): (&dyn SigningKey, _) = match part {
                Part::Primary(_) => {
                    let key = &self.key.primary_key;
                    (key, key.unlock(&self.password, |_, _| Ok(())))
                }
                Part::Sub(public) => {
                    let mut subs = self.key.secret_subkeys.iter();
                    let Some(sub) = subs.find(|sub| sub.key.fingerprint() == public.fingerprint()) else { continue };
                    (&sub.key, sub.key.unlock(&self.password, |_, _| Ok(())))
                }
            };
            match opened {
                Ok(Ok(())) => return Ok((key, ends)),
                _ => locked = true,
            }
        }
        Err(if locked { LOCKED.to_owned() } else { "its part that can sign is not in it".to_owned() })
    }
}

const LOCKED: &str = "the passphrase does not open it";
