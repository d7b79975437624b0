//! The distribution's own SSH server on a loopback port, with keys of its own and without privileges.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hms_sync::adapter::secret::{SecretRef, SecretSource};
use hms_sync::adapter::sftp::target::{Identity, Known, Target};

/// A server; it ends with the value.
pub struct Sshd {
    process: Child,
    /// Holds keys and settings, and the folder of files.
    pub folder: tempfile::TempDir,
    pub port: u16,
}

impl Sshd {
    /// A server whose `sftp-server` gets these arguments (`-R`, `-P posix-rename`), with an ed25519 host key.
    pub fn start(arguments: &str) -> Sshd {
        Sshd::with(arguments, &["ed25519"], "")
    }

    /// A server with these kinds of host keys and further settings.
    pub fn with(arguments: &str, kinds: &[&str], settings: &str) -> Sshd {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("files")).unwrap();
        for kind in kinds {
            keygen(&root.join(format!("host_{kind}")), kind, "");
        }
        keygen(&root.join("user"), "ed25519", "");
        fs::copy(root.join("user.pub"), root.join("authorized")).unwrap();
        // As root, sshd insists on the folder into which it would lock its unprivileged part.
        let _ = fs::create_dir("/run/sshd");
        let host_keys: Vec<String> =
            kinds.iter().map(|kind| format!("HostKey {}", root.join(format!("host_{kind}")).display())).collect();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\nLogLevel ERROR\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile {}\n\
             Subsystem sftp {} {arguments}\n{}\n{settings}\n",
            root.join("authorized").display(),
            sftp_server().display(),
            host_keys.join("\n"),
        );
        fs::write(root.join("sshd_config"), text).unwrap();
        let process = Command::new(sshd())
            .args(["-D", "-e", "-f"])
            .arg(root.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(root.join("log")).unwrap())
            .spawn()
            .expect("sshd (Debian package openssh-server)");
        let mut server = Sshd { process, folder, port };
        if server.is_up() {
            return server;
        }
        // Somebody else may have taken the port in between.
        let log = fs::read_to_string(server.folder.path().join("log")).unwrap();
        assert!(log.contains("Address already in use"), "sshd does not start: {log}");
        Sshd::with(arguments, kinds, settings)
    }

    fn is_up(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let mut greeting = [0; 4];
                if stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-" {
                    return true;
                }
            }
            std::thread::yield_now();
        }
        false
    }

    /// The folder that a client sees files in.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// The names in it, sorted.
    pub fn names(&self) -> Vec<String> {
        names(&self.files())
    }

    /// The fingerprint of a host key as ssh-keygen prints it.
    pub fn fingerprint(&self, kind: &str) -> String {
        fingerprint(&self.folder.path().join(format!("host_{kind}.pub")))
    }

    /// A target at the folder, with the user's key and the pinned ed25519 key.
    pub fn target(&self) -> Target {
        let known = Known { fingerprints: vec![self.fingerprint("ed25519")], hosts: None };
        self.target_known(known)
    }

    /// A target at the folder, with the server known otherwise.
    pub fn target_known(&self, known: Known) -> Target {
        let identity = Identity { key: Some(secret(&self.folder.path().join("user"))), ..Identity::default() };
        let folder = self.files().to_str().unwrap().to_owned();
        Target { port: self.port, folder, ..Target::new("127.0.0.1", me(), identity, known) }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A secret in a file.
pub fn secret(path: &Path) -> Arc<SecretSource> {
    Arc::new(SecretSource::with_lines(SecretRef::File(path.to_owned())))
}

/// Makes a key; `kind` may name a size: `rsa-2048`.
pub fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let (kind, bits) = kind.split_once('-').unwrap_or((kind, ""));
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", passphrase, "-C", "", "-f"]).arg(path);
    if !bits.is_empty() {
        command.args(["-b", bits]);
    }
    assert!(command.status().expect("ssh-keygen (Debian package openssh-client)").success());
}

/// The SHA256 fingerprint of a public key.
pub fn fingerprint(path: &Path) -> String {
    let output = Command::new("ssh-keygen").args(["-l", "-E", "sha256", "-f"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(1).unwrap().to_owned()
}

/// The user who runs the tests.
pub fn me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn sshd() -> PathBuf {
    first(&["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"])
}

fn sftp_server() -> PathBuf {
    first(&["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"])
}

fn first(paths: &[&str]) -> PathBuf {
    let found = paths.iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("none of {paths:?} is there: Debian packages openssh-server, openssh-sftp-server"))
}
