//! OpenPGP (RFC 4880, and RFC 9580 where it says the same): files that leave encrypted and signed, and answers that come so.
//!
//! What is made is readable by old programs: version 1 packets with integrity protection, AES-256, SHA-2 signatures, ZIP.
//! Every key is known by its fingerprint; one that has expired or was revoked is refused. The files with the keys of others are
//! read each time, so that a new key needs no restart. A build without the feature `pgp` has the settings and a clear error.

#[cfg(feature = "pgp")]
mod judge;
#[cfg(feature = "pgp")]
mod keyring;
#[cfg(feature = "pgp")]
mod open;
#[cfg(feature = "pgp")]
mod seal;

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapter::secret::SecretSource;
use crate::clock::Timestamp;
use crate::rules::outcome::Reason;

/// A key that ends within this time should be renewed: 30 days.
pub const SOON: Duration = Duration::from_secs(30 * 86_400);

/// The class of what is wrong with a key.
pub const KEY: &str = "pgp-key";
/// The class of what is wrong with a message.
pub const MESSAGE: &str = "pgp-message";
/// The class of a signature that is missing, or not of whom it should be.
pub const SIGNATURE: &str = "pgp-signature";

/// A key of somebody else: a file, armoured or not, and which key in it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// Fingerprint of the primary key: 40 or 64 hexadecimal digits, upper case.
    pub fingerprint: String,
}

/// A private key of our own.
#[derive(Clone, Debug)]
pub struct OwnKey {
    /// The key, armoured.
    pub key: Arc<SecretSource>,
    /// What it is encrypted with; none = it is not.
    pub passphrase: Option<Arc<SecretSource>>,
    /// Fingerprint of the primary key: 40 or 64 hexadecimal digits, upper case.
    pub fingerprint: String,
}

/// How files are encrypted.
#[derive(Clone, Debug)]
pub struct Seal {
    /// Who can read them; at least one.
    pub recipients: Vec<KeyFile>,
    /// Who signs them; none = they are not signed.
    pub sign: Option<OwnKey>,
    /// Whether they are text (RFC 4880 6.2), not bytes.
    pub armor: bool,
    /// Whether they are compressed before they are encrypted.
    pub compress: bool,
}

/// How answers are read.
#[derive(Clone, Debug)]
pub struct Open {
    /// What decrypts them; none = they are not encrypted.
    pub key: Option<OwnKey>,
    /// Who must have signed them, one of these; empty = no signature is looked at.
    pub signers: Vec<KeyFile>,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A receiver of files.
    Recipient,
    /// Our signature under files.
    Signing,
    /// Our key for answers.
    Decryption,
    /// Whoever signs answers.
    Signer,
}

impl Role {
    /// The words for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Recipient => "the recipient's key",
            Role::Signing => "the signing key",
            Role::Decryption => "the key for answers",
            Role::Signer => "the key of the answers' signer",
        }
    }
}

/// How a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is for.
    pub role: Role,
    /// Its fingerprint.
    pub fingerprint: String,
    /// When it ends (none = never), or why it cannot be used.
    pub ends: Result<Option<Timestamp>, Unusable>,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The secret that it is, or that opens it, cannot be had here.
    Secret(String),
    /// Something is wrong with the key.
    Key(String),
}

impl Unusable {
    /// The words.
    pub fn text(&self) -> &str {
        let (Unusable::Secret(text) | Unusable::Key(text)) = self;
        text
    }
}

impl Standing {
    /// The key as messages name it: the last 16 digits of a fingerprint tell keys apart.
    pub fn called(&self) -> String {
        called(self.role, &self.fingerprint)
    }
}

/// A key as messages name it.
pub fn called(role: Role, fingerprint: &str) -> String {
    format!("{} {}", role.as_str(), fingerprint.get(fingerprint.len().saturating_sub(16)..).unwrap_or(fingerprint))
}

/// Why a file could not be encrypted.
#[derive(Debug)]
pub enum Unsealed {
    /// It could not be read or written here; it is tried again.
    Io(io::Error),
    /// A person is needed.
    Reason(Reason),
}

impl From<io::Error> for Unsealed {
    fn from(error: io::Error) -> Unsealed {
        Unsealed::Io(error)
    }
}

impl Seal {
    /// How its keys stand.
    pub fn standings(&self, now: Timestamp) -> Vec<Standing> {
        let recipients = self.recipients.iter().map(|file| standing_of(file, Role::Recipient, now));
        recipients.chain(self.sign.iter().map(|own| standing_of_own(own, Role::Signing, now))).collect()
    }

    /// Encrypts, and signs if that is wanted. The message has no name for its content: it is that of the file.
    ///
    /// # Errors
    /// When a key cannot be used, or one of the two ends fails; what was written until then is worth nothing.
    #[cfg(feature = "pgp")]
    pub fn seal(&self, from: impl Read, out: impl Write, now: Timestamp) -> Result<(), Unsealed> {
        seal::seal(self, from, out, now)
    }

    /// Encrypts: not in this build.
    #[cfg(not(feature = "pgp"))]
    pub fn seal(&self, _from: impl Read, _out: impl Write, _now: Timestamp) -> Result<(), Unsealed> {
        Err(Unsealed::Reason(Reason::new(KEY, ABSENT)))
    }
}

impl Open {
    /// How its keys stand.
    pub fn standings(&self, now: Timestamp) -> Vec<Standing> {
        let own = self.key.iter().map(|own| standing_of_own(own, Role::Decryption, now));
        own.chain(self.signers.iter().map(|file| standing_of(file, Role::Signer, now))).collect()
    }

    /// What a message says, at most `most` bytes, when it is encrypted and signed as it must be.
    ///
    /// # Errors
    /// The reason says what is missing, and nothing of what the message holds.
    #[cfg(feature = "pgp")]
    pub fn open(&self, message: &[u8], most: u64, now: Timestamp) -> Result<Vec<u8>, Reason> {
        open::open(self, message, most, now)
    }

    /// What a message says: not in this build.
    #[cfg(not(feature = "pgp"))]
    pub fn open(&self, _message: &[u8], _most: u64, _now: Timestamp) -> Result<Vec<u8>, Reason> {
        Err(Reason::new(KEY, ABSENT))
    }
}

#[cfg(not(feature = "pgp"))]
const ABSENT: &str = "this build has no OpenPGP: it was made without the feature `pgp`";

#[cfg(feature = "pgp")]
fn standing_of(file: &KeyFile, role: Role, now: Timestamp) -> Standing {
    let ends = keyring::public(file).and_then(|key| match role {
        Role::Recipient => judge::encrypting(&key, now).map(|(_, ends)| ends),
        _ => judge::signing(&key, now).map(|(_, ends)| ends),
    });
    Standing { role, fingerprint: file.fingerprint.clone(), ends: ends.map_err(Unusable::Key) }
}

#[cfg(feature = "pgp")]
fn standing_of_own(own: &OwnKey, role: Role, now: Timestamp) -> Standing {
    let ends = keyring::own(own).and_then(|unlocked| unlocked.ends(role, now).map_err(Unusable::Key));
    Standing { role, fingerprint: own.fingerprint.clone(), ends }
}

#[cfg(not(feature = "pgp"))]
fn standing_of(file: &KeyFile, role: Role, _now: Timestamp) -> Standing {
    Standing { role, fingerprint: file.fingerprint.clone(), ends: Err(Unusable::Key(ABSENT.to_owned())) }
}

#[cfg(not(feature = "pgp"))]
fn standing_of_own(own: &OwnKey, role: Role, _now: Timestamp) -> Standing {
    Standing { role, fingerprint: own.fingerprint.clone(), ends: Err(Unusable::Key(ABSENT.to_owned())) }
}
