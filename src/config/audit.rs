//! `audit:`: where the audit is told outside the agent's own folder, and what vouches for its keys.

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::adapter::secret::{SecretRef, SecretSource};
use crate::config::credential;
use crate::config::found::Found;
use crate::config::settings::SecretPlace;
use crate::rules::hex::bytes;

/// The audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// A second file to which each signed checkpoint is added, best on another machine; default none. The first lies beside
    /// the archive.
    pub checkpoints: Option<PathBuf>,
    /// A key that vouches for every key that signs, and stays the same; default none.
    pub key: Option<SecretRef>,
}

impl Audit {
    /// Reads `audit:`; notes its secret among the others.
    pub(crate) fn read(found: &Found<'_>, secrets: &mut Vec<SecretPlace>) -> Option<Audit> {
        let fields = found.fields()?;
        let key = fields.take("key").map(|found| {
            let (credential, key, place) = ("audit.key".to_owned(), found.key.clone(), found.node.place);
            let from = credential::secret(&found)?;
            secrets.push(SecretPlace { credential, key, place, from: from.clone(), lines: false });
            Some(from)
        });
        let audit = Audit { checkpoints: fields.path("checkpoints"), key: key.flatten() };
        fields.done();
        Some(audit)
    }

    /// The 32 bytes that the key is made of, where there is one.
    ///
    /// # Errors
    /// It cannot be read, or is no key.
    pub fn seed(&self) -> Result<Option<Zeroizing<[u8; 32]>>, String> {
        let Some(from) = &self.key else { return Ok(None) };
        let secret = SecretSource::new(from.clone()).get()?;
        let seed = bytes(secret.expose()).map(Zeroizing::new);
        let wanted = || format!("{from} is no key: 64 hexadecimal digits, as `openssl rand -hex 32` prints them");
        seed.map(Some).ok_or_else(wanted)
    }
}
