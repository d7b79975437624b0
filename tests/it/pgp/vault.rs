//! An office whose files leave encrypted, and a host with GnuPG.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use hms_sync::rules::hex::hex;

use crate::support::gnupg::Gnupg;
use crate::support::office::{Ended, Office};

pub struct Vault {
    pub office: Office,
    /// The keyring of the host.
    pub host: Gnupg,
    /// The keyring of the office.
    pub ours: Gnupg,
}

/// A file of one record.
pub fn content(seq: u64) -> Vec<u8> {
    format!("H|{seq}\r\n{seq},Åda {seq}\r\nT|1\r\n").into_bytes()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

impl Vault {
    /// Without a configuration yet.
    pub fn new() -> Vault {
        let vault = Vault { office: Office::visits(), host: Gnupg::new(), ours: Gnupg::new() };
        fs::create_dir_all(vault.out().join("acks")).unwrap();
        vault.configure("", "");
        assert_eq!(vault.office.run(&["watch", "visits"]).code, Some(0));
        vault
    }

    /// With one recipient.
    pub fn with_a_host() -> Vault {
        let vault = Vault::new();
        let host = vault.host.key("host", super::MODERN, "", "never");
        fs::copy(vault.host.public(&host, true), vault.key_file()).unwrap();
        vault.configure(&vault.recipient(&host), "");
        vault
    }

    /// Where the key of the one recipient lies.
    pub fn key_file(&self) -> PathBuf {
        self.office.config().join("connectors/host.asc")
    }

    /// The section for the one recipient.
    pub fn recipient(&self, fingerprint: &str) -> String {
        format!("{{recipients: {{file: host.asc, fingerprint: \"{fingerprint}\"}}}}")
    }

    /// `{file, fingerprint}` of a key of the host.
    pub fn file_of(&self, fingerprint: &str, armoured: bool) -> String {
        let file = self.host.public(fingerprint, armoured);
        format!("{{file: {}, fingerprint: \"{fingerprint}\"}}", file.display())
    }

    /// `{key, passphrase, fingerprint}` of a private key of the office.
    pub fn own(&self, fingerprint: &str, passphrase: &str) -> String {
        let key = self.ours.secret(fingerprint, passphrase);
        let mut opens = String::new();
        if !passphrase.is_empty() {
            let file = self.ours.folder().join("passphrase");
            fs::write(&file, format!("{passphrase}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            opens = format!(", passphrase: {{file: {}}}", file.display());
        }
        format!("{{key: {{file: {}}}{opens}, fingerprint: \"{fingerprint}\"}}", key.display())
    }

    /// `pgp` of the drop (empty = none), and further lines of it.
    pub fn configure(&self, pgp: &str, more: &str) {
        let pgp = if pgp.is_empty() { String::new() } else { format!("  pgp: {pgp}\n") };
        let drop = format!(
            r#"adapter: directory
listen: visits
mapping: {{id: id, name: name}}
start: beginning
drop:
  source: {{key: [id]}}
  schedule: {{cut_off: "23:59", zone: UTC, days: every}}
  format:
    kind: csv
    names: off
    columns: [{{field: id}}, {{field: name}}]
    header: ["H|{{seq}}"]
    trailer: ["T|{{count()}}"]
  when_empty: skip
  name: "VISITS.{{seq:06}}.csv"
  control: {{content: "{{size}}|{{count()}}|{{sha256}}"}}
  deliver: {{directory: {out}, trigger: "{{file}}.done"}}
{pgp}{more}"#,
            out = self.out().display()
        );
        self.office.connector("legacy", &drop);
    }

    pub fn out(&self) -> PathBuf {
        self.office.folder().join("out")
    }

    /// A file as it was encrypted.
    pub fn sealed(&self, file: u64) -> PathBuf {
        self.office.folder().join(format!("state/drops/legacy/archive/{file}.pgp"))
    }

    pub fn sql(&self, sql: &str) {
        self.office.sql(sql);
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        let ended = self.office.run(arguments);
        for secret in ["Åda", "open sesame", "PRIVATE KEY"] {
            assert!(!ended.stderr.contains(secret), "{ended:#?}");
        }
        ended
    }

    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
        ended
    }

    /// Cuts and publishes a file.
    #[track_caller]
    pub fn cut(&self) {
        self.ok(&["drop", "run", "legacy"]);
    }

    /// A file as `drop show` shows it.
    pub fn shown(&self, which: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(&["--json", "drop", "show", "legacy", which]).stdout).unwrap()
    }

    /// How far a file is; none = it is not known, or has no number yet.
    pub fn state(&self, which: &str) -> Option<String> {
        let ended = self.run(&["--json", "drop", "show", "legacy", which]);
        let shown: serde_json::Value = serde_json::from_str(&ended.stdout).ok()?;
        Some(shown["state"].as_str()?.to_owned())
    }

    /// What of the drop needs a person.
    pub fn needs(&self) -> String {
        let status: serde_json::Value = serde_json::from_str(&self.run(&["--json", "status"]).stdout).unwrap();
        status["needs"].to_string()
    }
}
