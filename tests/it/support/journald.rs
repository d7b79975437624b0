//! A journal of systemd that listens where the real one does, in a mount namespace of the agent's own.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use super::office::PATIENCE;

/// One entry: its fields.
pub type Entry = BTreeMap<String, String>;

/// What was sent to it so far.
pub struct Journald {
    folder: tempfile::TempDir,
    heard: Arc<(Mutex<Vec<Entry>>, Condvar)>,
}

/// Makes `/run/systemd/journal` the folder `$0`, says in the environment that stderr leads there, and goes on as `$@`.
const ENTER: &str = r#"mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal &&
    JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@""#;

impl Journald {
    pub fn start() -> Journald {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("socket")).unwrap();
        let heard: Arc<(Mutex<Vec<Entry>>, Condvar)> = Arc::default();
        let hears = heard.clone();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 1 << 20];
            while let Ok(length) = socket.recv(&mut bytes) {
                if length > 0 {
                    hears.0.lock().unwrap().push(entry(&bytes[..length]));
                    hears.1.notify_all();
                }
            }
        });
        Journald { folder, heard }
    }

    /// The command, with its stderr taken for a stream to this journal.
    pub fn around(&self, inner: &Command) -> Command {
        let mut command = Command::new("unshare");
        // A plain user is root in a user namespace of their own.
        let root = rustix::process::geteuid().is_root();
        command.arg("--mount").args((!root).then_some("--map-root-user")).args(["--", "sh", "-c", ENTER]);
        command.arg(self.folder.path()).arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Everything it was sent so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.heard.0.lock().unwrap().clone()
    }

    /// Waits for an entry whose message holds a text.
    #[track_caller]
    pub fn hears(&self, text: &str) -> Entry {
        let holds = |entry: &&Entry| entry["MESSAGE"].contains(text);
        let entries = self.heard.0.lock().unwrap();
        let none = |entries: &mut Vec<Entry>| !entries.iter().any(|entry| holds(&entry));
        let (entries, _) = self.heard.1.wait_timeout_while(entries, PATIENCE, none).unwrap();
        entries.iter().find(holds).unwrap_or_else(|| panic!("it never heard {text:?} but {entries:#?}")).clone()
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

/// The fields of a datagram (systemd.io/JOURNAL_NATIVE_PROTOCOL): `NAME=text`, or a name, a length and bytes.
fn entry(mut bytes: &[u8]) -> Entry {
    let mut entry = Entry::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                bytes = rest;
                (&line[..at], &line[at + 1..])
            }
            None => {
                let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
                assert_eq!(rest[8 + length], b'\n');
                bytes = &rest[8 + length + 1..];
                (line, &rest[8..8 + length])
            }
        };
        let before = entry.insert(text(name), text(value));
        assert!(before.is_none(), "a field twice: {}", text(name));
    }
    entry
}
