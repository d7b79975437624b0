//! Is this the server that was agreed on? Asked before the user's name leaves.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::Handler;
use russh::keys::known_hosts::known_host_keys_path;
use russh::keys::{Algorithm, HashAlg, PublicKeyOrCertificate};

use crate::adapter::place::{Class, Trouble};
use crate::adapter::sftp::HostKey;
use crate::adapter::sftp::target::Target;

/// The keys that were agreed on; none = any will do, which only a scan asks for.
#[derive(Clone, Debug)]
pub(super) struct Pins(Option<Vec<String>>);

impl Pins {
    /// Whoever answers.
    pub(super) const ANY: Pins = Pins(None);

    /// Those of a target. None at all is an error: there is no trust on first use.
    pub(super) fn of(target: &Target) -> Result<Pins, Trouble> {
        let mut pins = target.known.fingerprints.clone();
        if let Some(path) = &target.known.hosts {
            let wrong = |what: String| Trouble::new(Class::HostKey, format!("{}: {what}", path.display()));
            std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
            let keys = known_host_keys_path(&target.host, target.port, path)
                .map_err(|_| wrong(format!("a key of {} cannot be read", target.host)))?;
            pins.extend(keys.iter().map(|(_, key)| key.fingerprint(HashAlg::Sha256).to_string()));
        }
        if pins.is_empty() {
            let hint = "compare what `hms-sync ssh scan` prints with what its administrator says, and configure that";
            return Err(Trouble::new(Class::HostKey, format!("no key of {} is known: {hint}", target.host)));
        }
        Ok(Pins(Some(pins)))
    }

    /// The agreed fingerprints in words.
    fn text(&self) -> String {
        self.0.as_deref().unwrap_or_default().join(" or ")
    }
}

/// What the server showed.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The key.
    pub(super) key: HostKey,
    /// Its algorithm.
    pub(super) algorithm: Algorithm,
    /// Whether it is one of those agreed on.
    pub(super) known: bool,
}

/// Stands between the key exchange and everything after it.
pub(super) struct Guard {
    pins: Pins,
    shown: Arc<Mutex<Option<Shown>>>,
}

impl Guard {
    /// A guard, and where it notes what it saw.
    pub(super) fn new(pins: Pins) -> (Guard, Arc<Mutex<Option<Shown>>>) {
        let shown = Arc::new(Mutex::new(None));
        (Guard { pins, shown: Arc::clone(&shown) }, shown)
    }
}

impl Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        // Certificates are not asked for: a server that sends one all the same is not known.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let known = self.pins.0.as_ref().is_none_or(|pins| pins.contains(&fingerprint));
        let algorithm = key.algorithm();
        let key = HostKey { algorithm: algorithm.to_string(), fingerprint };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(Shown { key, algorithm, known });
        Ok(known)
    }
}

/// The refusal of a server, with both fingerprints.
pub(super) fn stranger(target: &Target, pins: &Pins, shown: &[HostKey]) -> Trouble {
    let shown: Vec<String> = shown.iter().map(|key| format!("{} ({})", key.fingerprint, key.algorithm)).collect();
    Trouble::new(
        Class::HostKey,
        format!(
            "{} port {} shows the host key {}, and {} was agreed on: nothing was sent. Either the server has a new key \
             (ask its administrator, then configure it), or somebody stands in between",
            target.host,
            target.port,
            shown.join(" and "),
            pins.text(),
        ),
    )
}
