//! The demo's folder: the very files that an office would write, with a certificate authority and a token of its own.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The connector's name.
pub const CONNECTOR: &str = "scheduler";

const SETTINGS: &str = "\
# The settings of the agent. `hms-sync -c . check` in this folder finds what is wrong with them.

database: office/office.db        # the application's own file
state: agent/state.db             # the agent's

watch:
  appointments: {}                # every change of this table, by its primary key

credentials:
  scheduler-token: {type: bearer, token: {file: scheduler.token}}

# Whatever a connector's mapping says: the patient stays in the office, because only `public` may leave.
governance:
  classify: {appointments: {patient: pii}}
  default: public
";

const CONNECTOR_FILE: &str = "\
# Which changes go where, in which shape.

listen: appointments

endpoint:
  url: https://127.0.0.1:PORT/slots/{id}   # a deleted appointment becomes DELETE to the same address
  method: PUT
  credentialsId: scheduler-token
  timeout: 2s
  tls: {ca: ../ca.pem}                      # the scheduler has an authority of its own

# What the scheduler gets. What is not named here is not sent.
mapping:
  starts: slot.start
  minutes: {to: slot.seconds, convert: minutes -> seconds}
  room: slot.room
  status: {to: state, lookup: {booked: B, arrived: A, seen: S}}

# Impatient, because a demo is short; the defaults are 1s and 15m.
retryPolicy: {backoff: 250ms, maxBackoff: 2s}
";

/// The folder.
pub struct Folder {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Folder {
    /// A new folder, removed at the end unless it is kept.
    pub fn new() -> io::Result<Folder> {
        let temporary = tempfile::Builder::new().prefix("hms-sync-demo-").tempdir()?;
        let path = temporary.path().to_owned();
        for below in ["office", "connectors"] {
            fs::create_dir(path.join(below))?;
        }
        Ok(Folder { path, temporary: Some(temporary) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The application's file.
    pub fn database(&self) -> PathBuf {
        self.path.join("office/office.db")
    }

    /// Where the agent can be asked.
    pub fn socket(&self) -> PathBuf {
        self.path.join("agent/api.sock")
    }

    /// The agent's log.
    pub fn log(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    /// Keeps it.
    pub fn keep(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            self.path = temporary.keep();
        }
    }

    /// Whether it stays.
    pub fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    /// Writes the agent's configuration for a scheduler at this port.
    pub fn write_configuration(&self, port: u16, token: &str) -> io::Result<()> {
        fs::write(self.path.join("sync.yaml"), SETTINGS)?;
        let connector = CONNECTOR_FILE.replace("PORT", &port.to_string());
        fs::write(self.path.join("connectors").join(format!("{CONNECTOR}.yaml")), connector)?;
        let secret = self.path.join("scheduler.token");
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(secret)?.write_all(token.as_bytes())
    }

    /// A new authority, whose certificate goes into the folder, and the settings of a server that it vouches for.
    pub fn authority(&self) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "The legacy scheduler's own authority");
        let key = KeyPair::generate()?;
        fs::write(self.path.join("ca.pem"), authority.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(authority, key);

        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
        Ok(Arc::new(config))
    }
}
