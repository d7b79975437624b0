//! `pgp:` of a drop, and of the answers to it: whose keys, and how.

use std::sync::Arc;

use crate::adapter::pgp::{KeyFile, Open, OwnKey, Seal};
use crate::adapter::secret::{SecretRef, SecretSource};
use crate::config::drop::sftp::credential;
use crate::config::fields::Fields;
use crate::config::found::Found;

/// Encryption of files, as plain data.
#[derive(Clone, Debug)]
pub struct SealSpec {
    /// `recipients`.
    pub recipients: Vec<KeyFile>,
    /// `sign`.
    pub sign: Option<OwnKeySpec>,
    /// `armor`.
    pub armor: bool,
    /// `compress`.
    pub compress: bool,
    /// `extension`: what stands behind the name of an encrypted file.
    pub extension: String,
}

/// Decryption of answers, as plain data.
#[derive(Clone, Debug)]
pub struct OpenSpec {
    /// `key`, `passphrase` and `fingerprint`.
    pub key: Option<OwnKeySpec>,
    /// `signers`.
    pub signers: Vec<KeyFile>,
}

/// A private key of ours, as plain data.
#[derive(Clone, Debug)]
pub struct OwnKeySpec {
    /// The key.
    pub key: SecretRef,
    /// What it is encrypted with.
    pub passphrase: Option<SecretRef>,
    /// Its fingerprint.
    pub fingerprint: String,
}

impl SealSpec {
    /// Ready to run. No key is read yet.
    pub(crate) fn seal(self) -> Seal {
        let SealSpec { recipients, sign, armor, compress, .. } = self;
        Seal { recipients, sign: sign.map(OwnKeySpec::own), armor, compress }
    }
}

impl OpenSpec {
    /// Ready to run. No key is read yet.
    pub(crate) fn open(self) -> Open {
        Open { key: self.key.map(OwnKeySpec::own), signers: self.signers }
    }
}

impl OwnKeySpec {
    fn own(self) -> OwnKey {
        OwnKey {
            key: Arc::new(SecretSource::with_lines(self.key)),
            passphrase: self.passphrase.map(|from| Arc::new(SecretSource::new(from))),
            fingerprint: self.fingerprint,
        }
    }

    /// Its secrets with their keys, for `check`.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        let passphrase = self.passphrase.iter().map(|from| ("passphrase", from));
        std::iter::once(("key", &self.key)).chain(passphrase).collect()
    }
}

/// Reads `pgp:` of a drop. `fixed` = the name is one that takes nothing behind it.
pub(super) fn seal(found: &Found<'_>, fixed: bool) -> Option<SealSpec> {
    let fields = found.fields()?;
    let recipients = match fields.need("recipients") {
        Some(found) => {
            let files = key_files(&found);
            if files.as_ref().is_some_and(Vec::is_empty) {
                found.error_hint("names no key", "write `{file: PATH, fingerprint: ...}` of whoever reads the files");
            }
            files
        }
        None => None,
    };
    let sign = match fields.take("sign") {
        None => Some(None),
        Some(found) if found.is_section() => {
            let fields = found.fields()?;
            let own = own(&found, &fields);
            fields.done();
            own.map(Some)
        }
        // Some receivers take no signed file: that can be said aloud.
        Some(found) => match found.flag() {
            Some(true) => {
                found.error_hint(
                    "does not say with which key",
                    "write sign: {key: {credential: NAME}, fingerprint: ...}",
                );
                None
            }
            Some(false) => Some(None),
            None => None,
        },
    };
    let armor = fields.take("armor").map_or(Some(false), |found| found.flag());
    let compress = fields.take("compress").map_or(Some(false), |found| found.flag());
    let place = fields.take("extension");
    let extension = place.as_ref().map_or(Some(None), |found| {
        let text = found.text_or_nothing()?;
        match text.contains(['/', '{', '}']) || text.chars().any(char::is_control) {
            true => {
                found.error("is what stands behind a name, and holds no `/`, `{` or `}`");
                None
            }
            false => Some(Some(text.to_owned())),
        }
    });
    fields.done();
    let usual = if armor == Some(true) { ".asc" } else { ".pgp" };
    let extension = extension?.unwrap_or_else(|| usual.to_owned());
    if fixed && !extension.is_empty() {
        place.as_ref().unwrap_or(found).error_hint(
            format!("puts `{extension}` behind a name that the receiver counts, as (+1)"),
            "write `extension: \"\"`",
        );
    }
    Some(SealSpec { recipients: recipients?, sign: sign?, armor: armor?, compress: compress?, extension })
}

/// Reads `pgp:` of `ack:`.
pub(super) fn open(found: &Found<'_>) -> Option<OpenSpec> {
    let fields = found.fields()?;
    let encrypted = fields.take("key").is_some();
    let key = match encrypted {
        true => own(found, &fields).map(Some),
        false => {
            for name in ["passphrase", "fingerprint"] {
                if let Some(found) = fields.take(name) {
                    found.error("stands without a `key`");
                }
            }
            Some(None)
        }
    };
    let signers = fields.take("signers").map_or(Some(Vec::new()), |found| key_files(&found));
    fields.done();
    let (key, signers) = (key?, signers?);
    if key.is_none() && signers.is_empty() {
        found.error_hint("says nothing", "write `key` to decrypt answers, `signers` to verify them, or both");
        return None;
    }
    if signers.is_empty() {
        found.warn(
            "anybody who has our public key can write an answer: no signature is looked at",
            Some("write `signers: {file: PATH, fingerprint: ...}` if the receiver signs"),
        );
    }
    Some(OpenSpec { key, signers })
}

/// `key`, `passphrase` and `fingerprint` of a private key.
fn own(found: &Found<'_>, fields: &Fields<'_>) -> Option<OwnKeySpec> {
    let key = fields.need("key").and_then(|found| credential(&found));
    let passphrase = fields.take("passphrase").map_or(Some(None), |found| credential(&found).map(Some));
    let fingerprint = fingerprint_of(found, fields);
    Some(OwnKeySpec { key: key?, passphrase: passphrase?, fingerprint: fingerprint? })
}

fn key_files(found: &Found<'_>) -> Option<Vec<KeyFile>> {
    found.one_or_many().iter().map(key_file).collect()
}

/// `{file: PATH, fingerprint: ...}`.
fn key_file(found: &Found<'_>) -> Option<KeyFile> {
    let fields = found.fields()?;
    let path = fields.need("file").and_then(|found| found.path());
    let fingerprint = fingerprint_of(found, &fields);
    fields.done();
    Some(KeyFile { path: path?, fingerprint: fingerprint? })
}

fn fingerprint_of(found: &Found<'_>, fields: &Fields<'_>) -> Option<String> {
    match fields.take("fingerprint") {
        Some(found) => found.parsed(fingerprint),
        None => {
            found.error_hint(
                "does not say by which fingerprint the key is known",
                "`gpg --show-keys --fingerprint FILE` prints it: compare it with its owner, then write it here",
            );
            None
        }
    }
}

/// A fingerprint in any of the forms in which people copy it.
fn fingerprint(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let digits: String = digits.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    match matches!(digits.len(), 40 | 64) && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(digits.to_ascii_uppercase()),
        false => Err(format!("`{text}` is not a fingerprint: 40 hexadecimal digits, all of them, as gpg prints it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_taken_as_people_copy_it_and_a_key_id_is_not_enough() {
        let full = "0123456789ABCDEF0123456789ABCDEF01234567";
        for text in
            [full, "0x0123456789abcdef0123456789abcdef01234567", "0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567"]
        {
            assert_eq!(fingerprint(text).as_deref(), Ok(full));
        }
        for text in ["89ABCDEF01234567", "", "0123456789ABCDEF0123456789ABCDEF0123456G"] {
            assert!(fingerprint(text).is_err(), "{text}");
        }
    }
}
