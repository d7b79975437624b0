//! A person at a terminal: a configuration, an application's file, and the binary as it is shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::cargo::CommandCargoExt as _;
use rusqlite::Connection;

/// A folder with `office.db` and `config/`; nothing outside it is read or written.
pub struct Desk {
    folder: tempfile::TempDir,
    pub app: Connection,
}

/// What a command came to.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Desk {
    /// A desk with an office database of this schema, and no configuration yet.
    pub fn new(schema: &str) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let app = Connection::open(folder.path().join("office.db")).unwrap();
        app.pragma_update(None, "journal_mode", "wal").unwrap();
        app.execute_batch(schema).unwrap();
        Desk { folder, app }
    }

    /// A path below the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file below the folder.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes `sync.yaml` for the office database; `more` stands below.
    pub fn settings(&self, more: &str) {
        let (database, state) = (self.path("office.db"), self.path("state/state.db"));
        let text = format!("database: {}\nstate: {}\n{more}\n", database.display(), state.display());
        self.write("config/sync.yaml", &text);
    }

    /// Writes a connector.
    pub fn connector(&self, name: &str, text: &str) {
        self.write(&format!("config/connectors/{name}.yaml"), text);
    }

    /// The binary, ready to be given arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::cargo_bin("hms-sync").unwrap();
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("HMS_SYNC_CONFIG", self.path("config"))
            .current_dir(self.folder.path());
        command
    }

    /// Runs a command line.
    pub fn run(&self, line: &[&str]) -> Said {
        let output = self.command().args(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command line that must end with this code.
    #[track_caller]
    pub fn ends(&self, code: i32, line: &[&str]) -> Said {
        let said = self.run(line);
        assert_eq!(said.code, code, "{line:?}: {said:?}");
        said
    }

    /// The bytes of every file below the folder but SQLite's `-wal` and `-shm`, which readers make too.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                if path.is_dir() {
                    walk(&path, found);
                } else if !name.ends_with("-wal") && !name.ends_with("-shm") {
                    found.push((path.clone(), fs::read(&path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        found.sort();
        found
    }
}

impl Said {
    /// Stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Stdout as JSON lines.
    #[track_caller]
    pub fn lines(&self) -> Vec<serde_json::Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}
