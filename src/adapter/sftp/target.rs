//! What a session needs to know: where, as whom, known by which key, how long, how fast.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapter::secret::SecretSource;

/// Port of SSH.
pub const PORT: u16 = 22;

/// What stands for the file's name in a folder that is not simply in front of it: `//'OF042.{name}'`.
pub const NAME: &str = "{name}";

/// Said of a target with [`Target::legacy`], as long as it stands.
pub const LEGACY_WARNING: &str = "accepts SHA-1 signatures, SHA-1 key exchange and CBC ciphers, which can be \
     attacked: ask the receiver for a date by which the server speaks anything newer";

/// An SFTP server and a folder there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name or address.
    pub host: String,
    /// Port; usually [`PORT`].
    pub port: u16,
    /// User there.
    pub user: String,
    /// How the user shows who he is.
    pub identity: Identity,
    /// By which keys the server is known.
    pub known: Known,
    /// Folder of published files, sent byte for byte: nothing is resolved or normalised. Empty = where the session
    /// begins. With [`NAME`] in it, the name is put there; else it comes behind, after a `/`.
    pub folder: String,
    /// Folder of temporary files; none = the same.
    pub temps: Option<String>,
    /// What is done first in each session, in order.
    pub prepare: Vec<Prepare>,
    /// Whether algorithms that are broken or nearly so are accepted too; see [`LEGACY_WARNING`].
    pub legacy: bool,
    /// What lies between.
    pub via: Via,
    /// Time limits.
    pub times: Times,
    /// Bytes a second that an upload takes at most; none = as fast as it goes.
    pub rate: Option<u64>,
}

impl Target {
    /// A target with the defaults for everything that has one.
    pub fn new(host: impl Into<String>, user: impl Into<String>, identity: Identity, known: Known) -> Target {
        Target {
            host: host.into(),
            port: PORT,
            user: user.into(),
            identity,
            known,
            folder: String::new(),
            temps: None,
            prepare: Vec::new(),
            legacy: false,
            via: Via::Nothing,
            times: Times::default(),
            rate: None,
        }
    }

    /// Warnings that stand as long as the settings do.
    pub fn warnings(&self) -> Vec<String> {
        let legacy = self.legacy.then(|| format!("{} {LEGACY_WARNING}", self.host));
        legacy.into_iter().collect()
    }
}

/// How a user shows who he is. With both, the key comes first and the password when the server asks for more.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// A private key: OpenSSH or PEM; ed25519, ecdsa or rsa. A source [with lines](SecretSource::with_lines).
    pub key: Option<Arc<SecretSource>>,
    /// What the key is encrypted with.
    pub passphrase: Option<Arc<SecretSource>>,
    /// A password; given to a keyboard-interactive prompt when the server has only that.
    pub password: Option<Arc<SecretSource>>,
}

/// By which keys a server is known. One match is enough; nothing is learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// `SHA256:...`, several while keys are rotated.
    pub fingerprints: Vec<String>,
    /// A file in the format of OpenSSH; hashed names too, markers (`@`) and patterns not.
    pub hosts: Option<PathBuf>,
}

/// A request before the first look: how servers for mainframes take options (`/+mode=binary,recfm=fb,lrecl=80`),
/// which hold for the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepare {
    /// Lists a path and forgets what it holds.
    List(String),
    /// Asks for the attributes of a path.
    Stat(String),
}

/// What lies between this machine and the server.
#[derive(Clone, Debug, Default)]
pub enum Via {
    /// A straight connection.
    #[default]
    Nothing,
    /// A SOCKS5 proxy without a password: host and port.
    Socks(String, u16),
    /// An HTTP proxy that takes CONNECT: host and port.
    Connect(String, u16),
    /// Another SSH server that forwards (`ProxyJump`); its folders are of no use.
    Jump(Box<Target>),
}

/// Time limits of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For the connection, the key exchange and the host key together.
    pub connect: Duration,
    /// For each answer; while a file is sent, for each piece of it.
    pub operation: Duration,
    /// How often a silent server is asked whether it is still there; after three questions without an answer it is not.
    pub keep_alive: Duration,
    /// A session in which nothing comes for so long is closed.
    pub idle: Duration,
}

impl Default for Times {
    fn default() -> Times {
        Times {
            connect: Duration::from_secs(30),
            operation: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            idle: Duration::from_secs(300),
        }
    }
}

/// The path of a file, byte for byte.
pub fn path(folder: &str, name: &str) -> String {
    match folder.split_once(NAME) {
        Some((front, behind)) => format!("{front}{name}{behind}"),
        None if folder.is_empty() || folder.ends_with('/') => format!("{folder}{name}"),
        None => format!("{folder}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_folder_and_the_name_and_nothing_is_made_nicer() {
        for (folder, path_there) in [
            ("", "F"),
            ("incoming", "incoming/F"),
            ("incoming/", "incoming/F"),
            ("/", "/F"),
            ("a/../b//", "a/../b//F"),
            ("//'OF042.{name}'", "//'OF042.F'"),
            ("//OF042.{name}", "//OF042.F"),
            ("/-/OF042.{name}", "/-/OF042.F"),
            ("//!OF042.{name}", "//!OF042.F"),
            ("/ftadv:mode=bin,recfm=fb,lrecl=80/__OF042.", "/ftadv:mode=bin,recfm=fb,lrecl=80/__OF042./F"),
        ] {
            assert_eq!(path(folder, "F"), path_there);
        }
    }
}
