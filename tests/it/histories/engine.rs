//! The SQLite libraries that play the application.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;

/// What a library understands.
#[derive(Clone, Copy, Debug)]
pub struct Ability {
    pub generated: bool,
    pub strict: bool,
}

/// One library.
#[derive(Clone, Debug)]
pub enum Engine {
    /// The one that the agent brings.
    Bundled,
    /// Another, that reads `.open FILE` and statements, one a line, and goes on after errors.
    Command(PathBuf, Ability),
}

impl Engine {
    pub fn ability(&self) -> Ability {
        match self {
            Engine::Bundled => Ability { generated: true, strict: true },
            Engine::Command(_, ability) => *ability,
        }
    }

    /// Runs the statements on each file, errors ignored.
    pub fn run(&self, work: &[(PathBuf, &[String])]) {
        match self {
            Engine::Bundled => work.iter().for_each(|(file, statements)| {
                let app = Connection::open(file).unwrap();
                app.pragma_update(None, "foreign_keys", "off").unwrap();
                for statement in SETTINGS.iter().copied().chain(statements.iter().map(String::as_str)).chain(END) {
                    // Many statements are meant to fail.
                    let _ = app.execute_batch(statement);
                }
            }),
            Engine::Command(program, _) => {
                let mut script = Vec::new();
                for (file, statements) in work {
                    writeln!(script, ".open {}", file.display()).unwrap();
                    for statement in SETTINGS.iter().copied().chain(statements.iter().map(String::as_str)).chain(END) {
                        writeln!(script, "{statement};").unwrap();
                    }
                }
                let mut child = Command::new(program)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
                child.stdin.take().unwrap().write_all(&script).unwrap();
                child.wait().unwrap();
            }
        }
    }

    /// The library's version.
    pub fn version(&self) -> String {
        match self {
            Engine::Bundled => rusqlite::version().to_owned(),
            Engine::Command(program, _) => {
                let mut child = Command::new(program)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
                child.stdin.take().unwrap().write_all(b"SELECT sqlite_version();\n").unwrap();
                String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
            }
        }
    }
}

const SETTINGS: [&str; 2] = ["PRAGMA synchronous = OFF", "PRAGMA journal_mode = MEMORY"];
/// A commit may fail for a deferred foreign key.
const END: [&str; 2] = ["COMMIT", "ROLLBACK"];

/// Debian's command.
pub fn debian() -> Engine {
    let found = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|folder| folder.join("sqlite3")).find(|file| file.is_file()));
    let Some(program) = found else {
        panic!("the command sqlite3 is missing: apt-get install sqlite3");
    };
    Engine::Command(program, Ability { generated: true, strict: true })
}

/// A library older than 3.31: `HMS_OLD_SQLITE` names the program, else it is built from `tests/oldsqlite`.
pub fn old() -> Engine {
    let program = std::env::var_os("HMS_OLD_SQLITE").map_or_else(build_old, PathBuf::from);
    assert!(program.is_file(), "HMS_OLD_SQLITE: {} is not a file", program.display());
    Engine::Command(program, Ability { generated: false, strict: false })
}

fn build_old() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oldsqlite");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet", "--release", "--target-dir"])
        .arg(project.join("target"))
        .arg("--manifest-path")
        .arg(project.join("Cargo.toml"))
        .status()
        .unwrap();
    assert!(built.success(), "tests/oldsqlite does not build; set HMS_OLD_SQLITE to a program built from it");
    project.join("target/release/oldsqlite")
}
