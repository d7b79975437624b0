//! `sftp:` of a place: a server, and a folder there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapter::secret::{SecretRef, SecretSource};
use crate::adapter::sftp::target::{Identity, Known, LEGACY_WARNING, PORT, Prepare, Target, Times, Via};
use crate::config::credential::secret;
use crate::config::fields::Fields;
use crate::config::found::Found;

/// A server and a folder there, as plain data.
#[derive(Clone, Debug)]
pub struct SftpSpec {
    /// Name or address.
    pub host: String,
    /// Port; default 22.
    pub port: u16,
    /// User there.
    pub user: String,
    /// Private key.
    pub key: Option<SecretRef>,
    /// What the key is encrypted with.
    pub passphrase: Option<SecretRef>,
    /// Password.
    pub password: Option<SecretRef>,
    /// Fingerprints of the server's keys.
    pub host_key: Vec<String>,
    /// A file of known hosts.
    pub known_hosts: Option<PathBuf>,
    /// Folder of published files.
    pub dir: String,
    /// Folder of temporary files; none = the same.
    pub temp_dir: Option<String>,
    /// What is done first in each session.
    pub prepare: Vec<Prepare>,
    /// `legacy: true`.
    pub legacy: bool,
    /// What lies between.
    pub via: Between,
    /// Time limits.
    pub times: Times,
    /// Bytes a second at most.
    pub rate: Option<u64>,
    /// The secrets with their keys (`key`, `passphrase`, `password`), for `check`.
    pub secrets: Vec<(&'static str, SecretRef)>,
}

/// What lies between this machine and a server.
#[derive(Clone, Debug)]
pub enum Between {
    /// Nothing.
    Nothing,
    /// A SOCKS5 proxy.
    Socks(String, u16),
    /// An HTTP proxy that takes CONNECT.
    Connect(String, u16),
    /// Another SSH server.
    Jump(Box<SftpSpec>),
}

impl SftpSpec {
    /// As the adapter takes it. No secret is read yet.
    pub(crate) fn target(self) -> Target {
        let source = |from: Option<SecretRef>| from.map(|from| Arc::new(SecretSource::new(from)));
        let identity = Identity {
            key: self.key.map(|from| Arc::new(SecretSource::with_lines(from))),
            passphrase: source(self.passphrase),
            password: source(self.password),
        };
        let known = Known { fingerprints: self.host_key, hosts: self.known_hosts };
        Target {
            port: self.port,
            folder: self.dir,
            temps: self.temp_dir,
            prepare: self.prepare,
            legacy: self.legacy,
            via: match self.via {
                Between::Nothing => Via::Nothing,
                Between::Socks(host, port) => Via::Socks(host, port),
                Between::Connect(host, port) => Via::Connect(host, port),
                Between::Jump(spec) => Via::Jump(Box::new(spec.target())),
            },
            times: self.times,
            rate: self.rate,
            ..Target::new(self.host, self.user, identity, known)
        }
    }
}

/// Reads `sftp:`; `folders` = whether it has any, which a server that is only passed through has not.
pub(super) fn sftp(found: &Found<'_>, folders: bool) -> Option<SftpSpec> {
    let fields = found.fields()?;
    let host = fields.need("host").and_then(|found| {
        found.parsed(|host| match host.chars().any(|c| c.is_whitespace() || c == '/' || c == '@') {
            true => Err("is not the name of a host: a user, a port and a folder have keys of their own".to_owned()),
            false => Ok(host.to_owned()),
        })
    });
    let port = fields
        .take("port")
        .map_or(Some(PORT), |found| found.integer(1..=65_535).and_then(|port| u16::try_from(port).ok()));
    let user = fields.need("user").and_then(|found| found.word());
    let mut secrets = Vec::new();
    let mut reference = |name: &'static str| -> Option<Option<SecretRef>> {
        let Some(found) = fields.take(name) else { return Some(None) };
        let from = credential(&found)?;
        secrets.push((name, from.clone()));
        Some(Some(from))
    };
    let (key, passphrase, password) = (reference("key"), reference("passphrase"), reference("password"));
    if matches!((&key, &password), (Some(None), Some(None))) {
        found.error_hint("has neither a `key` nor a `password`", "write `key: {credential: NAME}`");
    }
    if matches!((&key, &passphrase), (Some(None), Some(Some(_)))) {
        found.error("has a `passphrase` and no `key`");
    }
    let host_key = fields.take("hostKey").map_or(Some(Vec::new()), |found| {
        let items = found.one_or_many();
        let read: Vec<String> = items.iter().filter_map(fingerprint).collect();
        (read.len() == items.len()).then_some(read)
    });
    let known_hosts = fields.take("knownHosts").map_or(Some(None), |found| found.path().map(Some));
    if matches!((&host_key, &known_hosts), (Some(keys), Some(None)) if keys.is_empty()) {
        found.error_hint(
            "does not say by which key the server is known",
            "write `host_key: [\"SHA256:...\"]`; `hms-sync ssh scan HOST` prints the keys to compare",
        );
    }
    let text = |name: &'static str| match fields.take(name) {
        Some(found) if !folders => {
            found.error("is for a server where files are published");
            Some(None)
        }
        Some(found) => found.text_or_nothing().map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let (dir, temp_dir) = (text("dir"), text("tempDir"));
    let prepare = fields.take("prepare").map_or(Some(Vec::new()), |found| {
        let items = found.one_or_many();
        let read: Vec<Prepare> = items.iter().filter_map(prepare).collect();
        (read.len() == items.len()).then_some(read)
    });
    let legacy = fields.take("legacy").map_or(Some(false), |found| {
        let legacy = found.flag()?;
        if legacy {
            found.warn(LEGACY_WARNING, None);
        }
        Some(legacy)
    });
    let via = fields.take("via").map_or(Some(Between::Nothing), |found| via(&found));
    let rate = fields.take("rate").map_or(Some(None), |found| found.bytes().map(Some));
    let times = times(&fields);
    fields.done();
    Some(SftpSpec {
        host: host?,
        port: port?,
        user: user?,
        key: key?,
        passphrase: passphrase?,
        password: password?,
        host_key: host_key?,
        known_hosts: known_hosts?,
        dir: dir?.unwrap_or_default(),
        temp_dir: temp_dir?,
        prepare: prepare?,
        legacy: legacy?,
        via: via?,
        times: times?,
        rate: rate?,
        secrets,
    })
}

/// A reference to a secret, also as `cred:NAME`.
pub(super) fn credential(found: &Found<'_>) -> Option<SecretRef> {
    match found.node_text().and_then(|text| text.strip_prefix("cred:")) {
        Some(name) if !name.is_empty() && !name.contains('/') && !name.starts_with('.') => {
            Some(SecretRef::Credential(name.to_owned()))
        }
        Some(_) => {
            found.error("is not the name of a systemd credential");
            None
        }
        None => secret(found),
    }
}

/// `SHA256:` and 43 characters of base64, as OpenSSH shows keys.
fn fingerprint(found: &Found<'_>) -> Option<String> {
    found.parsed(|text| {
        let digits = text.strip_prefix("SHA256:").unwrap_or_default();
        let base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        match digits.len() == 43 && digits.chars().all(base64) {
            true => Ok(text.to_owned()),
            false => {
                Err(format!("`{text}` is not a fingerprint: `SHA256:` and 43 characters, as ssh-keygen -l shows it"))
            }
        }
    })
}

/// A path that is listed first, or `{list: PATH}` or `{stat: PATH}`.
fn prepare(found: &Found<'_>) -> Option<Prepare> {
    if !found.is_section() {
        return found.text().map(|path| Prepare::List(path.to_owned()));
    }
    let fields = found.fields()?;
    let (list, stat) = (fields.take("list"), fields.take("stat"));
    fields.done();
    match (list, stat) {
        (Some(path), None) => path.text().map(|path| Prepare::List(path.to_owned())),
        (None, Some(path)) => path.text().map(|path| Prepare::Stat(path.to_owned())),
        _ => {
            found.error_hint("is one request", "write {list: PATH} or {stat: PATH}");
            None
        }
    }
}

/// `{socks: HOST:PORT}`, `{connect: HOST:PORT}` or `{jump: {host, user, ...}}`.
fn via(found: &Found<'_>) -> Option<Between> {
    let fields = found.fields()?;
    let (socks, connect, jump) = (fields.take("socks"), fields.take("connect"), fields.take("jump"));
    fields.done();
    match (socks, connect, jump) {
        (Some(found), None, None) => address(&found).map(|(host, port)| Between::Socks(host, port)),
        (None, Some(found), None) => address(&found).map(|(host, port)| Between::Connect(host, port)),
        (None, None, Some(found)) => sftp(&found, false).map(|spec| Between::Jump(Box::new(spec))),
        _ => {
            found.error_hint("is one way", "write {socks: HOST:PORT}, {connect: HOST:PORT} or {jump: {...}}");
            None
        }
    }
}

fn address(found: &Found<'_>) -> Option<(String, u16)> {
    found.parsed(|text| {
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| format!("`{text}` is not HOST:PORT"))
    })
}

/// `timeouts: {connect, operation, keep_alive, idle}`.
fn times(fields: &Fields<'_>) -> Option<Times> {
    let default = Times::default();
    let Some(found) = fields.take("timeouts") else { return Some(default) };
    let section = found.fields()?;
    let length =
        |name: &'static str, default: Duration| section.take(name).map_or(Some(default), |found| found.duration());
    let times = (
        length("connect", default.connect),
        length("operation", default.operation),
        length("keepAlive", default.keep_alive),
        length("idle", default.idle),
    );
    section.done();
    let (connect, operation, keep_alive, idle) = times;
    Some(Times { connect: connect?, operation: operation?, keep_alive: keep_alive?, idle: idle? })
}
