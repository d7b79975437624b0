//! TLS settings that follow their files: an authority, a certificate or a key that is replaced counts from the next
//! connection on, without a restart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::{TlsFiles, client_config};
use crate::adapter::stamp::{Stamp, stamp};

/// How often the files are looked at. In between no system call is made.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The TLS settings of one target.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: TlsFiles,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    config: Arc<ClientConfig>,
    /// Counts the settings.
    generation: u64,
    stamps: Vec<Stamp>,
    looked: Instant,
}

impl From<Arc<ClientConfig>> for Tls {
    /// Settings that no file changes.
    fn from(config: Arc<ClientConfig>) -> Tls {
        Tls::holding(TlsFiles::default(), config, Vec::new())
    }
}

impl Tls {
    /// The settings that files make. Errors are those of [`client_config`].
    pub fn of(files: &TlsFiles) -> Result<Tls, String> {
        // Looked at first: what changes while they are read is read again.
        let stamps = stamps(files);
        Ok(Tls::holding(files.clone(), client_config(files)?, stamps))
    }

    fn holding(files: TlsFiles, config: Arc<ClientConfig>, stamps: Vec<Stamp>) -> Tls {
        let held = Held { config, generation: 0, stamps, looked: Instant::now() };
        Tls(Arc::new(Inner { files, held: Mutex::new(held) }))
    }

    /// The settings as the files make them now. While the files make none (a certificate is there and its key is not
    /// yet), those from before.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.look().0
    }

    /// Another number for each version of the settings.
    pub fn generation(&self) -> u64 {
        // Whoever has no files of its own never waits for a lock.
        if self.0.files.paths().next().is_none() { 0 } else { self.look().1 }
    }

    fn look(&self) -> (Arc<ClientConfig>, u64) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.looked.elapsed() >= LOOK_AGAIN {
            held.looked = Instant::now();
            let stamps = stamps(&self.0.files);
            if stamps != held.stamps {
                match client_config(&self.0.files) {
                    Ok(config) => {
                        (held.config, held.stamps) = (config, stamps);
                        held.generation += 1;
                        log::info!("the TLS files have changed: new connections use what they hold now");
                    }
                    // Told once for each change.
                    Err(why) => {
                        log::warn!(
                            "the TLS files have changed and cannot be used, what was there before is kept: {why}"
                        );
                        held.stamps = stamps;
                    }
                }
            }
        }
        (Arc::clone(&held.config), held.generation)
    }

    #[cfg(test)]
    fn look_now(&self) -> u64 {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner).looked = Instant::now() - LOOK_AGAIN;
        self.generation()
    }
}

fn stamps(files: &TlsFiles) -> Vec<Stamp> {
    files.paths().map(stamp).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::ClientFiles;
    use super::*;

    fn pair(names: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![names.to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn files_that_change_make_new_settings_once_they_fit_together() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let put = |path: &std::path::Path, text: &str| {
            let temp = folder.path().join("new");
            std::fs::write(&temp, text).unwrap();
            std::fs::rename(&temp, path).unwrap();
        };
        let (one, two) = (pair("one.test"), pair("two.test"));
        put(&cert, &one.0);
        put(&key, &one.1);
        let files =
            TlsFiles { client: Some(ClientFiles { cert: cert.clone(), key: key.clone() }), ..TlsFiles::default() };
        let tls = Tls::of(&files).unwrap();
        let first = tls.config();
        assert_eq!(tls.look_now(), 0);
        put(&cert, &two.0);
        assert_eq!(tls.look_now(), 0);
        assert!(Arc::ptr_eq(&tls.config(), &first));
        put(&key, &two.1);
        assert_eq!(tls.look_now(), 1);
        assert!(!Arc::ptr_eq(&tls.config(), &first));
        std::fs::remove_file(&key).unwrap();
        assert_eq!(tls.look_now(), 1);
    }
}
