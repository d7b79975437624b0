//! Signed notes: a text, and below it the lines of who signed it (C2SP signed-note), with a checkpoint as its text (C2SP
//! tlog-checkpoint): the origin, how far the log goes, and its hash there.
//!
//! The hash of ours is that of the chain's last row and not the root of a tree; so it is checked with the chain and not by a
//! proof of a few nodes.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::rules::chain::Hash;

/// The algorithm byte of Ed25519 in key ids and keys.
const ALGORITHM: u8 = 1;

/// A key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: [u8; 32],
}

/// A key that signs.
#[derive(Debug)]
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

/// The text is no key of this kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no key: a line `NAME+ID+KEY` is expected, as `hms-sync audit head` prints it")]
pub struct NotAKey;

/// Four bytes by which a signature names its key.
fn id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let mut context = digest::Context::new(&digest::SHA256);
    [name.as_bytes(), b"\n", &[ALGORITHM], key].into_iter().for_each(|part| context.update(part));
    let mut id = [0; 4];
    id.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    id
}

impl Verifier {
    /// Reads `NAME+ID+KEY`.
    ///
    /// # Errors
    /// The text is no such key, or its id is not that of the key.
    pub fn read(text: &str) -> Result<Verifier, NotAKey> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(told), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAKey);
        };
        let key = BASE64_STANDARD.decode(key).map_err(|_| NotAKey)?;
        let (Some((&ALGORITHM, key)), false) = (key.split_first(), name.is_empty()) else { return Err(NotAKey) };
        let key = key.try_into().map_err(|_| NotAKey)?;
        let verifier = Verifier { name: name.to_owned(), key };
        if told != crate::rules::hex::hex(&id(name, &key)) {
            return Err(NotAKey);
        }
        Ok(verifier)
    }

    /// `NAME+ID+KEY`.
    pub fn text(&self) -> String {
        let key = BASE64_STANDARD.encode([&[ALGORITHM], self.key.as_slice()].concat());
        format!("{}+{}+{key}", self.name, crate::rules::hex::hex(&id(&self.name, &self.key)))
    }

    /// Whether this key has said that `next` follows it; one of the words is what [`Signer::certify`] gives.
    pub fn has_certified(&self, next: &Verifier, words: &str) -> bool {
        let (key, said) = (UnparsedPublicKey::new(&ED25519, self.key), succession(next));
        let signatures = words.split_whitespace().filter_map(|word| BASE64_STANDARD.decode(word).ok());
        signatures.into_iter().any(|signature| key.verify(said.as_bytes(), &signature).is_ok())
    }

    fn has_signed(&self, text: &str, signature: &Signature) -> bool {
        signature.name == self.name
            && signature.id == id(&self.name, &self.key)
            && UnparsedPublicKey::new(&ED25519, self.key).verify(text.as_bytes(), &signature.bytes).is_ok()
    }
}

/// What a key signs for the one that follows it: nothing that could be taken for a checkpoint.
fn succession(next: &Verifier) -> String {
    format!("hms-sync audit: the next key is {}", next.text())
}

impl Signer {
    /// From the 32 bytes that the key was made of; none = they make no key.
    pub fn new(name: &str, seed: &[u8; 32]) -> Option<Signer> {
        Some(Signer { name: name.to_owned(), pair: Ed25519KeyPair::from_seed_unchecked(seed).ok()? })
    }

    /// The key that verifies what this one signs.
    pub fn verifier(&self) -> Option<Verifier> {
        let key = self.pair.public_key().as_ref().try_into().ok()?;
        Some(Verifier { name: self.name.clone(), key })
    }

    /// Says that `next` follows this key: the signature of that, in base64.
    pub fn certify(&self, next: &Verifier) -> String {
        BASE64_STANDARD.encode(self.pair.sign(succession(next).as_bytes()))
    }

    /// A checkpoint with its signature.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Option<Note> {
        let text = checkpoint.text();
        let Verifier { name, key } = self.verifier()?;
        let bytes = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        let signature = Signature { id: id(&name, &key), name, bytes };
        Some(Note { checkpoint: checkpoint.clone(), text, signatures: vec![signature] })
    }
}

/// How far a log goes, and what it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// The number of its last row.
    pub size: i64,
    /// The hash of its last row.
    pub root: Hash,
}

impl Checkpoint {
    /// What is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root))
    }

    fn read(text: &str) -> Option<Checkpoint> {
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        // Any further line is an extension, of which ours have none.
        let size = size.parse().ok().filter(|size: &i64| *size >= 0 && size.to_string().len() == text_len(*size))?;
        let root = BASE64_STANDARD.decode(root).ok()?.try_into().ok()?;
        Some(Checkpoint { origin: origin.to_owned(), size, root })
    }
}

/// Digits of a number without zeros before it.
fn text_len(size: i64) -> usize {
    size.checked_ilog10().unwrap_or(0) as usize + 1
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A checkpoint that somebody has signed, as far as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What was signed.
    pub checkpoint: Checkpoint,
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Reads one note; none = it is none.
    pub fn read(note: &str) -> Option<Note> {
        let (text, signed) = note.split_once("\n\n")?;
        let text = format!("{text}\n");
        let checkpoint = Checkpoint::read(&text)?;
        let mut signatures = Vec::new();
        for line in signed.lines().filter(|line| !line.trim().is_empty()) {
            let (name, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let bytes = BASE64_STANDARD.decode(bytes.trim()).ok()?;
            let (id, bytes) = bytes.split_at_checked(4)?;
            signatures.push(Signature { name: name.to_owned(), id: id.try_into().ok()?, bytes: bytes.to_vec() });
        }
        (!signatures.is_empty()).then_some(Note { checkpoint, text, signatures })
    }

    /// As it is written.
    pub fn write(&self) -> String {
        let line = |signature: &Signature| {
            let bytes = BASE64_STANDARD.encode([signature.id.as_slice(), &signature.bytes].concat());
            format!("\u{2014} {} {bytes}\n", signature.name)
        };
        format!("{}\n{}", self.text, self.signatures.iter().map(line).collect::<String>())
    }

    /// Whether this key has signed it.
    pub fn is_signed_by(&self, verifier: &Verifier) -> bool {
        self.signatures.iter().any(|signature| verifier.has_signed(&self.text, signature))
    }

    /// On one line, as a log has it: the lines of the note with spaces between them.
    pub fn line(&self) -> String {
        self.write().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Reads the notes that a text has, whatever else it has: a file of checkpoints, or a log in which they stand as
    /// [`Note::line`] writes them.
    pub fn read_all(text: &str, origin: Option<&str>) -> Vec<Note> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let found = words.iter().enumerate().filter(|(_, word)| **word == "\u{2014}").filter_map(|(at, _)| {
            let [text @ .., _, name, signature] = words.get(at.checked_sub(3)?..at + 3)? else { return None };
            Note::read(&format!("{}\n\n\u{2014} {name} {signature}\n", text.join("\n")))
        });
        found.filter(|note| origin.is_none_or(|origin| note.checkpoint.origin == origin)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::new("hms-sync/0011223344556677", &[7; 32]).unwrap()
    }

    fn note(size: i64) -> Note {
        let checkpoint = Checkpoint { origin: "hms-sync/0011223344556677".to_owned(), size, root: [9; 32] };
        signer().sign(&checkpoint).unwrap()
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_verifies_by_its_key_and_no_other() {
        let note = note(1234);
        let read = Note::read(&note.write()).unwrap();
        assert_eq!(read, note);
        assert!(read.is_signed_by(&signer().verifier().unwrap()));
        assert!(!read.is_signed_by(&Signer::new("hms-sync/0011223344556677", &[8; 32]).unwrap().verifier().unwrap()));
        assert!(!read.is_signed_by(&Signer::new("other", &[7; 32]).unwrap().verifier().unwrap()));
    }

    #[test]
    fn a_note_of_which_anything_was_changed_does_not_verify() {
        let written = note(1234).write();
        // The end of the last line means nothing.
        for at in 0..written.len() - 1 {
            let mut bytes = written.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let verifies = Note::read(&text).is_some_and(|note| note.is_signed_by(&signer().verifier().unwrap()));
            assert!(!verifies, "{at}: {text}");
        }
    }

    #[test]
    fn a_key_names_the_one_that_follows_it() {
        let next = Signer::new("hms-sync/0011223344556677", &[8; 32]).unwrap().verifier().unwrap();
        let (first, said) = (signer().verifier().unwrap(), signer().certify(&next));
        assert!(first.has_certified(&next, &said));
        assert!(!first.has_certified(&first, &said) && !next.has_certified(&next, &said));
        assert!(!first.has_certified(&next, "") && !first.has_certified(&next, "nonsense"));
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = signer().verifier().unwrap();
        assert_eq!(Verifier::read(&key.text()), Ok(key.clone()));
        let text = key.text();
        for wrong in ["", "a+b", "hms-sync+00000000+AQ==", &text[1..], &text[..text.len() - 4]] {
            assert_eq!(Verifier::read(wrong), Err(NotAKey), "{wrong}");
        }
    }

    /// The example of golang.org/x/mod/sumdb/note, whose form this is.
    #[test]
    fn keys_and_signatures_are_those_of_other_programs() {
        let key = Verifier::read("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let text =
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let bytes = BASE64_STANDARD.decode(line).unwrap();
        let signature =
            Signature { name: "PeterNeumann".into(), id: bytes[..4].try_into().unwrap(), bytes: bytes[4..].to_vec() };
        assert!(key.has_signed(text, &signature));
    }

    #[test]
    fn notes_are_found_in_a_file_and_in_a_log() {
        let (one, two) = (note(0), note(70));
        let file = format!("{}\n{}", one.write(), two.write());
        assert_eq!(Note::read_all(&file, None), [one.clone(), two.clone()]);
        let line = |note: &Note| format!("2026 host INFO audit: checkpoint {}", note.line());
        let log = format!("started \u{2014} so\n{}\nsomething else\n{}\n", line(&one), line(&two));
        assert_eq!(Note::read_all(&log, None), [one, two]);
        assert_eq!(Note::read_all(&log, Some("another")), []);
    }
}
