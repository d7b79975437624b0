//! A receiver with GnuPG: keys of each kind, and what it says of our files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A keyring of its own, in a folder that is thrown away.
pub struct Gnupg {
    home: tempfile::TempDir,
}

impl Gnupg {
    pub fn new() -> Gnupg {
        let home = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(home.path().join("gpg-agent.conf"), "allow-loopback-pinentry\ns2k-count 65536\n").unwrap();
        Gnupg { home }
    }

    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    fn gpg(&self, arguments: &[&str]) -> Output {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.home.path());
        gpg.args(["--batch", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--trust-model", "always"]);
        gpg.args(arguments).output().expect("gpg is installed: see `needs` of tests/run")
    }

    /// Runs gpg, which must succeed; gives what it prints.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.gpg(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gpg {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A key that signs, with a part that encrypts; gives its fingerprint. `ends` as gpg takes it: `never`, `1y`, `10d`.
    pub fn key(&self, name: &str, (signs, encrypts): (&str, &str), passphrase: &str, ends: &str) -> String {
        self.key_made(&[], name, (signs, encrypts), passphrase, ends)
    }

    /// The same, with further options.
    pub fn key_made(
        &self,
        options: &[&str],
        name: &str,
        (signs, encrypts): (&str, &str),
        passphrase: &str,
        ends: &str,
    ) -> String {
        let with = |more: &[&str]| self.run(&[options, &["--passphrase", passphrase], more].concat());
        with(&["--quick-gen-key", name, signs, "sign", ends]);
        let fingerprint = self.fingerprint(name);
        with(&["--quick-add-key", &fingerprint, encrypts, "encr", ends]);
        fingerprint
    }

    pub fn fingerprint(&self, name: &str) -> String {
        let listed = self.run(&["--with-colons", "--list-keys", name]);
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// Revokes a key.
    pub fn revoke(&self, fingerprint: &str) {
        let made = self.home.path().join(format!("openpgp-revocs.d/{fingerprint}.rev"));
        // gpg guards it against accidents with a colon.
        let text = fs::read_to_string(made).unwrap().replace(":-----BEGIN", "-----BEGIN");
        let usable = self.home.path().join("revoke.asc");
        fs::write(&usable, text).unwrap();
        self.run(&["--import", usable.to_str().unwrap()]);
    }

    /// The public key, in a file of its own; `armoured` or not.
    pub fn public(&self, fingerprint: &str, armoured: bool) -> PathBuf {
        let path = self.home.path().join(format!("{fingerprint}.pub"));
        let form = if armoured { "--armor" } else { "--no-armor" };
        self.run(&[form, "--output", path.to_str().unwrap(), "--export", fingerprint]);
        path
    }

    /// The private key, in a file of its owner's alone.
    pub fn secret(&self, fingerprint: &str, passphrase: &str) -> PathBuf {
        let path = self.home.path().join(format!("{fingerprint}.sec"));
        let out = path.to_str().unwrap();
        self.run(&["--armor", "--passphrase", passphrase, "--output", out, "--export-secret-keys", fingerprint]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Takes the public key of another keyring.
    pub fn knows(&self, other: &Gnupg, fingerprint: &str) {
        self.run(&["--import", other.public(fingerprint, true).to_str().unwrap()]);
    }

    /// What a file holds, and what gpg says of it on the way, as its machine-readable lines.
    #[track_caller]
    pub fn decrypt(&self, file: &Path, passphrase: &str) -> (Vec<u8>, String) {
        let output = self.gpg(&["--status-fd", "2", "--passphrase", passphrase, "--decrypt", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (output.stdout, said)
    }

    /// The packets that a file is made of, as gpg lists them.
    pub fn packets(&self, file: &Path) -> String {
        self.run(&["--list-packets", file.to_str().unwrap()])
    }

    /// Encrypts and signs a text with these options.
    pub fn message(&self, text: &str, options: &[&str]) -> Vec<u8> {
        let (from, to) = (self.home.path().join("text"), self.home.path().join("message"));
        fs::write(&from, text).unwrap();
        let ends = ["--output", to.to_str().unwrap(), from.to_str().unwrap()];
        let (last, first) = options.split_last().unwrap();
        self.run(&[first, &ends[..2], &[*last], &ends[2..]].concat());
        fs::read(&to).unwrap()
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).output();
    }
}
