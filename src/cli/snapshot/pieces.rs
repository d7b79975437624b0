//! The pieces of a support bundle. Each is made by itself: what is wrong with one keeps none of the others away.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::adapter::secret::{SecretRef, SecretSource, redact};
use crate::cli::doctor;
use crate::cli::journal::clean;
use crate::cli::place::Place;
use crate::cli::status::glance;
use crate::clock;
use crate::config::masked::masked;
use crate::config::{self, Settings, Severity, Survey};
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::StateReader;
use crate::store::state::facts::facts;

/// Longest line of the log in it.
const LONGEST: usize = 2000;

/// One file of the bundle.
pub struct Piece {
    /// Its name in the archive.
    pub name: String,
    /// What it is.
    pub what: &'static str,
    /// Its content.
    pub text: String,
    /// Why it is not whole.
    pub trouble: Option<String>,
}

/// Makes all of them.
pub fn gather(place: &Place, lines: u32) -> Vec<Piece> {
    let path = place.config_path();
    let mut survey = path.as_ref().ok().map(|path| config::survey(path));
    let settings = survey.as_mut().and_then(|survey| survey.settings.as_mut()).map(|settings| {
        place.apply_database(settings);
        settings.clone()
    });
    // From here on they are known by their value, whatever holds them.
    settings.iter().flat_map(|settings| &settings.secrets).for_each(|secret| {
        if !matches!(secret.from, SecretRef::Exec(_)) {
            let _ = SecretSource::with_lines(secret.from.clone()).get();
        }
    });
    let mut pieces = vec![piece("version.json", "version of program, SQLite and system", Ok(version()))];
    match &path {
        Ok(path) => {
            for file in masked(path) {
                let what = "a file of the configuration, without secrets, literals and constants";
                pieces.push(piece(&format!("configuration/{}.json", file.name), what, file.text));
            }
        }
        Err(failure) => {
            let what = "the configuration";
            pieces.push(piece("configuration.txt", what, Err(failure.message.clone())));
        }
    }
    pieces.push(piece("problems.txt", "where `check` finds the configuration wrong", problems(survey.as_ref())));
    pieces.push(piece(
        "status.json",
        "what `status` says",
        of(settings.as_ref(), |settings| status(settings, survey.as_ref())),
    ));
    let connectors = survey.as_ref().map(|survey| survey.connectors.as_slice()).unwrap_or_default();
    let drops = survey.as_ref().map(|survey| survey.drops.as_slice()).unwrap_or_default();
    pieces.push(piece(
        "doctor.txt",
        "what `doctor` says",
        of(settings.as_ref(), |settings| Ok(doctor::told(settings, connectors, drops))),
    ));
    pieces.push(piece("tables.json", "how the watched tables are declared", of(settings.as_ref(), tables)));
    pieces.push(piece("state.json", "figures of the state file", of(settings.as_ref(), state)));
    pieces.push(piece(
        "files.json",
        "sizes and rights of our files",
        of(settings.as_ref(), |settings| Ok(files(settings))),
    ));
    pieces.push(piece("host.json", "system, limits, space", Ok(host(settings.as_ref()))));
    pieces.push(piece("log.txt", "the last lines of the log, from the journal", log(lines)));
    pieces.insert(0, readme(&pieces));
    pieces
}

fn piece(name: &str, what: &'static str, made: Result<String, String>) -> Piece {
    let (text, trouble) = match made {
        Ok(text) => (text, None),
        Err(why) => {
            (format!("could not be found out: {why}\n"), Some(why.lines().next().unwrap_or_default().to_owned()))
        }
    };
    let trouble = trouble.map(|why| clean(&why, LONGEST));
    Piece { name: name.to_owned(), what, text: redact(&text).into_owned(), trouble }
}

fn of<T>(settings: Option<&Settings>, make: impl FnOnce(&Settings) -> Result<T, String>) -> Result<T, String> {
    settings.map_or_else(|| Err("the configuration cannot be read".to_owned()), make)
}

fn pretty(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| error.to_string())
}

fn readme(pieces: &[Piece]) -> Piece {
    let mut text = format!(
        "HMS-SYNC {}, {}\n\nNo event, no key of a record, no body of a request or an answer, no secret is in here. Values of the\n\
         configuration that are not known to be harmless are shown as ***.\n\n",
        env!("CARGO_PKG_VERSION"),
        clock::now()
    );
    for piece in pieces {
        let _ = write!(text, "{:<40} {}", piece.name, piece.what);
        let _ = match &piece.trouble {
            Some(why) => writeln!(text, "; not all of it: {why}"),
            None => writeln!(text),
        };
    }
    piece("README.txt", "what is in here", Ok(text))
}

fn version() -> String {
    let system = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let features: Vec<&str> = [("sftp", cfg!(feature = "sftp")), ("ws", cfg!(feature = "ws"))]
        .iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| *name)
        .collect();
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"), "built": clock::BUILT.to_string(), "features": features,
        "sqlite": crate::store::sqlite_version(), "system": text(system.sysname()), "release": text(system.release()),
        "machine": text(system.machine()), "distribution": distribution(), "now": clock::now().to_string(),
    });
    format!("{value:#}\n")
}

fn distribution() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"').to_owned())
}

/// Places and keys. The message may quote what stands there.
fn problems(survey: Option<&Survey>) -> Result<String, String> {
    let survey = survey.ok_or("no configuration was found")?;
    let mut text = String::new();
    for problem in &survey.problems {
        let level = if problem.severity == Severity::Error { "error" } else { "warning" };
        let _ = writeln!(
            text,
            "{}:{}:{}: {level}: {}",
            problem.file,
            problem.line,
            problem.column,
            clean(&problem.key, LONGEST)
        );
    }
    let errors = survey.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let _ = writeln!(text, "{errors} errors (`hms-sync check` says what)");
    Ok(text)
}

fn status(settings: &Settings, survey: Option<&Survey>) -> Result<String, String> {
    let specs = survey.into_iter().flat_map(|survey| survey.connectors.iter().chain(&survey.drops));
    let seen = glance(settings, &crate::config::configured(specs)).map_err(|failure| failure.message)?;
    pretty(&seen)
}

fn tables(settings: &Settings) -> Result<String, String> {
    let mut logs = Vec::new();
    for database in &settings.databases {
        let looked = CapturedLog::open(&database.name, &database.path, Access::Read).and_then(|mut log| {
            let mut tables = Vec::new();
            for watched in log.watched()? {
                let columns = log.declared(&watched.table).unwrap_or_default();
                let columns: Vec<_> = columns
                    .into_iter()
                    .map(|(name, kind, not_null, key)| json!({ "name": name, "type": kind, "notNull": not_null, "key": key }))
                    .collect();
                tables.push(json!({
                    "table": watched.table, "type": watched.kind, "key": watched.key, "version": watched.version,
                    "excluded": watched.excluded, "capture": watched.state.to_string(), "lost": watched.lost, "columns": columns,
                }));
            }
            Ok(json!({ "log": database.name, "journal": log.journal_mode()?, "tables": tables }))
        });
        logs.push(looked.unwrap_or_else(|error| json!({ "log": database.name, "trouble": error.to_string() })));
    }
    pretty(&logs)
}

fn state(settings: &Settings) -> Result<String, String> {
    let mut state = StateReader::open(&settings.state).map_err(|error| error.to_string())?;
    pretty(&state.read(facts).map_err(|error| error.to_string())?)
}

fn files(settings: &Settings) -> String {
    let mut files = Vec::new();
    let mut add = |path: PathBuf| {
        files.push(match std::fs::metadata(&path) {
            Ok(found) => json!({
                "path": path.display().to_string(), "bytes": found.len(), "mode": format!("{:o}", found.mode() & 0o7777),
                "uid": found.uid(), "gid": found.gid(), "written": found.mtime(),
            }),
            Err(error) => json!({ "path": path.display().to_string(), "trouble": error.to_string() }),
        });
    };
    let all = settings.databases.iter().map(|database| &database.path).chain([&settings.state]);
    for file in all {
        file.parent().map(Path::to_owned).into_iter().for_each(&mut add);
        for end in ["", "-wal", "-shm", "-journal", ".lock"] {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            let path = PathBuf::from(name);
            if end.is_empty() || path.exists() {
                add(path);
            }
        }
    }
    format!("{:#}\n", json!(files))
}

fn host(settings: Option<&Settings>) -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let line = |text: Option<String>, key: &str| {
        text.and_then(|text| text.lines().find_map(|line| line.strip_prefix(key).map(|rest| rest.trim().to_owned())))
    };
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let folders =
        settings.map(|settings| settings.databases.iter().map(|database| &database.path).chain([&settings.state]));
    let disks: Vec<_> = folders
        .into_iter()
        .flatten()
        .filter_map(|file| file.parent())
        .filter_map(|folder| {
            let disk = rustix::fs::statvfs(folder).ok()?;
            let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
            Some(json!({ "folder": folder.display().to_string(), "free": free, "all": all, "inodes": disk.f_favail }))
        })
        .collect();
    let value = json!({
        "memory": line(read("/proc/meminfo"), "MemAvailable:"), "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "load": read("/proc/loadavg"), "uptime": read("/proc/uptime"), "openFiles": [files.current, files.maximum],
        "zone": std::env::var("TZ").ok().or_else(|| std::fs::read_link("/etc/localtime").ok().map(|at| at.display().to_string())),
        "user": rustix::process::geteuid().as_raw(), "disks": disks,
    });
    format!("{value:#}\n")
}

/// The journal's last lines of this program, as far as this user may read them.
fn log(lines: u32) -> Result<String, String> {
    let mut journal = Command::new("journalctl");
    journal
        .args(["--no-pager", "--quiet", "--output=short-iso-precise", "--identifier=hms-sync", "--lines"])
        .arg(lines.to_string());
    let output = journal.stdin(Stdio::null()).output().map_err(|error| format!("journalctl cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "journalctl ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut kept = String::new();
    text.lines().for_each(|line| kept.push_str(&(clean(line, LONGEST) + "\n")));
    Ok(kept)
}
