//! Encrypting and signing.

use std::io::{Read, Write};

use pgp::composed::{ArmorOptions, MessageBuilder};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::types::CompressionAlgorithm;
use rand_core::OsRng;

use super::judge::{self, Part};
use super::keyring::{self, Unlocked};
use super::{KEY, Role, Seal, Unsealed, called};
use crate::clock::Timestamp;
use crate::rules::outcome::Reason;

pub(super) fn seal(seal: &Seal, from: impl Read, out: impl Write, now: Timestamp) -> Result<(), Unsealed> {
    let refused = |role: Role, fingerprint: &str, why: &str| {
        Unsealed::Reason(Reason::new(KEY, format!("{} cannot be used: {why}", called(role, fingerprint))))
    };
    let mut builder = MessageBuilder::from_reader("", from).seipd_v1(OsRng, SymmetricKeyAlgorithm::AES256);
    for file in &seal.recipients {
        let wrong = |why: &str| refused(Role::Recipient, &file.fingerprint, why);
        let key = keyring::public(file).map_err(|why| wrong(&why))?;
        let (part, _) = judge::encrypting(&key, now).map_err(|why| wrong(&why))?;
        let added = match part {
            Part::Primary(key) => builder.encrypt_to_key(OsRng, key),
            Part::Sub(key) => builder.encrypt_to_key(OsRng, key),
        };
        added.map_err(|_| wrong("nothing can be encrypted with a key of its kind"))?;
    }
    let own: Option<(&str, Unlocked)> = match &seal.sign {
        None => None,
        Some(own) => {
            let key = keyring::own(own).map_err(|why| refused(Role::Signing, &own.fingerprint, why.text()))?;
            Some((own.fingerprint.as_str(), key))
        }
    };
    if let Some((fingerprint, own)) = &own {
        let (key, _) = own.signing(now).map_err(|why| refused(Role::Signing, fingerprint, &why))?;
        let password = pgp::types::Password::from(own.password.read().as_slice());
        builder.sign(key, password, key.hash_alg());
    }
    if seal.compress {
        builder.compression(CompressionAlgorithm::ZIP);
    }
    let mut out = Watched { out, failed: None };
    let done = match seal.armor {
        true => builder.to_armored_writer(OsRng, ArmorOptions::default(), &mut out),
        false => builder.to_writer(OsRng, &mut out),
    };
    match (done, out.failed) {
        (Ok(()), None) => Ok(()),
        (_, Some(error)) => Err(Unsealed::Io(error)),
        (Err(pgp::errors::Error::IO { source, .. }), None) => Err(Unsealed::Io(source)),
        (Err(_), None) => Err(Unsealed::Reason(Reason::new(KEY, "the file cannot be encrypted with these keys"))),
    }
}

/// Remembers why writing failed: errors of the library do not always say.
struct Watched<W> {
    out: W,
    failed: Option<std::io::Error>,
}

impl<W: Write> Watched<W> {
    fn watch<T>(&mut self, done: std::io::Result<T>) -> std::io::Result<T> {
        done.map_err(|error| {
            let told = std::io::Error::from(error.kind());
            if error.kind() != std::io::ErrorKind::Interrupted {
                self.failed.get_or_insert(error);
            }
            told
        })
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.out.write(bytes);
        self.watch(done)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.out.flush();
        self.watch(done)
    }
}
