//! One file while it is read: its text as a tree, and what was found wrong in it.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::found::Found;
use crate::config::problem::{Place, Problem, Severity};
use crate::config::tree::{self, Node, Notation, Value};

/// Longest file that is read as configuration.
const LONGEST: u64 = 1024 * 1024;

/// The name of the source of a configuration that was kept in the state file.
const KEPT: &str = "(kept configuration)";

/// A file and the problems found in it so far.
pub(crate) struct Source {
    /// The file as it was named, for messages.
    pub(crate) name: String,
    /// The folder that relative paths in it start from.
    pub(crate) folder: PathBuf,
    problems: RefCell<Vec<Problem>>,
}

impl Source {
    /// A source for the file at `path`; nothing is read yet.
    pub(crate) fn new(path: &Path) -> Source {
        Source {
            name: path.display().to_string(),
            folder: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            problems: RefCell::default(),
        }
    }

    /// A source for a configuration that was kept in the state file.
    pub(crate) fn kept() -> Source {
        Source::new(Path::new(KEPT))
    }

    /// Whether it is one that was kept in the state file.
    pub(crate) fn is_kept(&self) -> bool {
        self.name == KEPT
    }

    /// Reads the file into a tree whose root is a map. What is wrong is noted; then there is no tree.
    pub(crate) fn read(&self, path: &Path) -> Option<Node> {
        let mut bytes = Vec::new();
        match File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)) {
            Ok(length) if length as u64 > LONGEST => {
                self.whole("is longer than 1 MiB", Some("this is not a configuration file"));
                return None;
            }
            Ok(_) => {}
            Err(error) => {
                self.unread(Place::default(), "", &Unread::new("", &error));
                return None;
            }
        }
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
                let last = good.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
                let column = String::from_utf8_lossy(last).chars().count() + 1;
                let place = Place { line: line as u32, column: column as u32 };
                self.note(Severity::Error, place, "", "is not UTF-8 text", Some("save the file as UTF-8".into()));
                return None;
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let extension = path.extension().and_then(|extension| extension.to_str());
        self.parse(text, Notation::of(extension, text))
    }

    /// Parses a text into a tree whose root is a map. What is wrong is noted; then there is no tree.
    pub(crate) fn parse(&self, text: &str, notation: Notation) -> Option<Node> {
        if text.trim().is_empty() {
            self.whole("is empty", None);
            return None;
        }
        match tree::parse(text, notation) {
            Ok(Node { value: Value::Null, .. }) => {
                self.whole("holds nothing but comments", None);
                None
            }
            Ok(node) if !matches!(node.value, Value::Map(_)) => {
                let message = format!("must be a section of `key: value` lines, found {}", node.value.kind());
                self.note(Severity::Error, node.place, "", &message, None);
                None
            }
            Ok(node) => Some(node),
            Err(error) => {
                self.note(Severity::Error, error.place, "", &error.message, error.hint.map(str::to_owned));
                None
            }
        }
    }

    /// The whole tree as a value without a key.
    pub(crate) fn root<'a>(&'a self, node: &'a Node) -> Found<'a> {
        Found { source: self, key: String::new(), place: node.place, node }
    }

    /// Notes an error about the file as a whole.
    pub(crate) fn whole(&self, message: &str, hint: Option<&str>) {
        self.note(Severity::Error, Place::default(), "", message, hint.map(str::to_owned));
    }

    /// Notes a problem.
    pub(crate) fn note(&self, severity: Severity, place: Place, key: &str, message: &str, hint: Option<String>) {
        self.problems.borrow_mut().push(Problem {
            severity,
            file: self.name.clone(),
            line: place.line,
            column: place.column,
            key: key.to_owned(),
            message: message.to_owned(),
            hint,
            disk: false,
        });
    }

    /// Notes that a file cannot be read, at the place that names it.
    pub(crate) fn unread(&self, place: Place, key: &str, unread: &Unread) {
        self.note(Severity::Error, place, key, &unread.text, None);
        if let Some(noted) = self.problems.borrow_mut().last_mut() {
            noted.disk = unread.disk;
        }
    }

    /// Takes over what was found in a file that this one names; what another has brought already is not said again.
    pub(crate) fn adopt(&self, problems: Vec<Problem>) {
        let mut own = self.problems.borrow_mut();
        for problem in problems {
            if !own.contains(&problem) {
                own.push(problem);
            }
        }
    }

    /// Whether an error was noted.
    pub(crate) fn failed(&self) -> bool {
        self.problems.borrow().iter().any(|problem| problem.severity == Severity::Error)
    }

    /// What was found.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// Why a file cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    /// In words.
    pub(crate) text: String,
    /// The disk failed: [`is_disk`].
    pub(crate) disk: bool,
}

impl Unread {
    /// A file that cannot be read; its name is empty where the message stands at the file itself.
    pub(crate) fn new(name: &str, error: &std::io::Error) -> Unread {
        let text = format!("{name}{}cannot be read: {}", if name.is_empty() { "" } else { " " }, reason(error));
        Unread { text, disk: is_disk(error) }
    }
}

impl From<String> for Unread {
    /// A file that is not there, or is not what it should be.
    fn from(text: String) -> Unread {
        Unread { text, disk: false }
    }
}

/// Whether the disk, or the way to it, failed: nothing that a person wrote is wrong.
pub(crate) fn is_disk(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let failing =
        [Errno::IO, Errno::NXIO, Errno::NODEV, Errno::STALE, Errno::NOTCONN, Errno::HOSTDOWN, Errno::TIMEDOUT];
    failing.iter().any(|errno| Some(errno.raw_os_error()) == error.raw_os_error())
}

/// A short reason without the operating system's error number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::IsADirectory => "it is a folder".into(),
        _ => error.to_string(),
    }
}
