//! Decrypting and verifying.

use std::io::{BufReader, Cursor, Read as _};

use pgp::composed::{DecryptionOptions, Message, TheRing};
use pgp::crypto::hash::HashAlgorithm;
use pgp::types::VerifyingKey;

use super::judge::{self, Part};
use super::{KEY, MESSAGE, Open, Role, SIGNATURE, called, keyring};
use crate::clock::Timestamp;
use crate::rules::outcome::Reason;

/// Layers of a message: encrypted, signed, compressed, and some more.
const DEEPEST: usize = 8;
/// Signatures of one message that are looked at.
const MOST_SIGNATURES: usize = 16;

pub(super) fn open(open: &Open, message: &[u8], most: u64, now: Timestamp) -> Result<Vec<u8>, Reason> {
    // The library's own words may hold bytes of the message.
    let damaged = || Reason::new(MESSAGE, "it is no OpenPGP message, or is damaged or cut off");
    let (mut message, _) =
        Message::from_reader(BufReader::new(Cursor::new(message.to_vec()))).map_err(|_| damaged())?;
    let mut encrypted = false;
    for _ in 0..DEEPEST {
        if message.is_encrypted() {
            encrypted = true;
            message = decrypt(open, message)?;
        } else if message.is_compressed() {
            message = message.decompress().map_err(|_| damaged())?;
        } else {
            break;
        }
    }
    if open.key.is_some() && !encrypted {
        return Err(Reason::new(MESSAGE, "it is not encrypted"));
    }
    if !open.signers.is_empty() && !message.is_signed() {
        return Err(Reason::new(SIGNATURE, "it is not signed"));
    }
    let mut text = Vec::new();
    let read = (&mut message).take(most.saturating_add(1)).read_to_end(&mut text);
    read.map_err(|_| damaged())?;
    if text.len() as u64 > most {
        return Err(Reason::new(MESSAGE, format!("it holds more than {} MiB", most >> 20)));
    }
    // What comes behind the content, the signature too, is read when nothing more of that comes.
    if message.read(&mut [0]).map_err(|_| damaged())? > 0 {
        return Err(damaged());
    }
    if !open.signers.is_empty() {
        verify(open, &message, now)?;
    }
    Ok(text)
}

fn decrypt<'m>(open: &Open, message: Message<'m>) -> Result<Message<'m>, Reason> {
    let Some(own) = &open.key else {
        return Err(Reason::new(MESSAGE, "it is encrypted, and no `key` is configured for answers"));
    };
    let unlocked = keyring::own(own).map_err(|why| {
        let called = called(Role::Decryption, &own.fingerprint);
        Reason::new(KEY, format!("{called} cannot be used: {}", why.text()))
    })?;
    let ring = TheRing {
        secret_keys: vec![&unlocked.key],
        key_passwords: vec![&unlocked.password],
        decrypt_options: DecryptionOptions::new().enable_gnupg_aead(),
        ..TheRing::default()
    };
    match message.decrypt_the_ring(ring, true) {
        Ok((message, _)) => Ok(message),
        Err(pgp::errors::Error::MissingKey) => {
            let text = "it is not encrypted for our key, or the passphrase does not open that";
            Err(Reason::new(MESSAGE, text))
        }
        Err(_) => Err(Reason::new(MESSAGE, "it cannot be decrypted: it is damaged, or not protected against changes")),
    }
}

/// One of the signatures must be of one of the signers. The message was read to its end.
fn verify(open: &Open, message: &Message<'_>, now: Timestamp) -> Result<(), Reason> {
    let mut unusable = None;
    let mut weak = false;
    for file in &open.signers {
        let key = match keyring::public(file) {
            Ok(key) => key,
            Err(why) => {
                unusable = Some((file, why));
                continue;
            }
        };
        let parts = match judge::signing(&key, now) {
            Ok((parts, _)) => parts,
            Err(why) => {
                unusable = Some((file, why));
                continue;
            }
        };
        for part in parts {
            let part: &dyn VerifyingKey = match part {
                Part::Primary(key) => key,
                Part::Sub(key) => key,
            };
            for nth in 0..MOST_SIGNATURES {
                let Ok(signature) = message.verify_nested_explicit(nth, part) else { continue };
                match signature.hash_alg() {
                    Some(HashAlgorithm::Md5 | HashAlgorithm::Sha1 | HashAlgorithm::Ripemd160) | None => weak = true,
                    Some(_) => return Ok(()),
                }
            }
        }
    }
    let text = match (weak, unusable) {
        (true, _) => "its signature is of a kind that can be forged (MD5, SHA-1 or RIPEMD-160)".to_owned(),
        (false, Some((file, why))) => {
            return Err(Reason::new(KEY, format!("{} cannot be used: {why}", called(Role::Signer, &file.fingerprint))));
        }
        (false, None) => "it is not signed by any of the configured signers".to_owned(),
    };
    Err(Reason::new(SIGNATURE, text))
}
