//! `init`: a commented configuration for a database.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Component, Path, PathBuf};

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::template::{self, Proposal};
use crate::store::capture::{Access, CapturedLog};

/// Writes a commented configuration for a database
///
/// The configuration lies where every verb looks for it: --config PATH, else $HMS_SYNC_CONFIG, else /etc/hms-sync when
/// that exists, else the user's own folder. With --database FILE it proposes which tables to watch. No file is ever
/// overwritten, and nothing is delivered until there is a connector.
#[derive(Debug, clap::Args)]
pub struct Init {}

/// The example lies there under a name that is not read, so that nothing is sent to it by accident.
const EXAMPLE: &str = "example.yaml.off";

/// Runs `init`.
pub fn init(place: &Place, _: Init) -> Outcome {
    let path = place.config_path()?;
    let (file, folder) = target(&path)?;
    let (database, tables) = match place.database() {
        None => (None, Vec::new()),
        Some(given) => {
            let path = plain(given);
            (Some(path.display().to_string()), look(&path)?)
        }
    };
    let mut written = vec![create(&file, &template::sync(database.as_deref(), &tables))?];
    if let Some(folder) = folder {
        let example = folder.join("connectors").join(EXAMPLE);
        if !example.exists() {
            written.push(create(&example, &template::connector("example", None))?);
        }
    }
    let (watch, refused): (Vec<&Proposal>, Vec<&Proposal>) = tables.iter().partition(|table| table.refused.is_none());
    if place.json() {
        output::json(&serde_json::json!({
            "written": written,
            "database": database,
            "watch": watch.iter().map(|table| &table.table).collect::<Vec<_>>(),
            "refused": refused
                .iter()
                .map(|table| serde_json::json!({ "table": table.table, "reason": table.refused }))
                .collect::<Vec<_>>(),
        }))?;
    } else if !place.quiet() {
        for path in &written {
            output::line(&format!("wrote {}", path.display()))?;
        }
        match (&database, watch.is_empty()) {
            (None, _) => output::line("no database was given: write its path under `database:`")?,
            (Some(database), true) => output::line(&format!("{database} has no table that can be captured yet"))?,
            (Some(_), false) => {
                let names: Vec<&str> = watch.iter().map(|table| table.table.as_str()).collect();
                output::line(&format!("proposed to watch: {}", names.join(", ")))?;
            }
        }
        for table in refused {
            let reason = table.refused.as_deref().unwrap_or_default();
            output::line(&format!("not proposed: {} {reason}", table.table))?;
        }
        output::line("next: read what was written, then `hms-sync scaffold connector NAME`, `check`, `run`")?;
    }
    Ok(Code::Ok)
}

/// The file to write, and the configuration's folder if it is one.
fn target(path: &Path) -> Result<(PathBuf, Option<&Path>), Failure> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    let taken = |file: &Path| {
        let text = format!(
            "{}: is there already and is not overwritten; edit it, or name another place with --config",
            file.display()
        );
        Err(Failure::new(Code::CannotWrite, text))
    };
    if !path.is_dir() {
        match extension.as_deref() {
            _ if path.exists() => return taken(path),
            Some("yaml" | "yml") => return Ok((path.to_owned(), None)),
            Some("json") => {
                let text = format!("{}: init writes YAML; name a folder or a .yaml file", path.display());
                return Err(Failure::new(Code::Usage, text));
            }
            _ => {}
        }
    }
    for name in ["sync.yaml", "sync.yml", "sync.json"] {
        if path.join(name).exists() {
            return taken(&path.join(name));
        }
    }
    Ok((path.join("sync.yaml"), Some(path)))
}

/// An absolute path without `..`: `my-sync/../office.db` is hard to recognise a year later. Links stay as they are where
/// nothing steps back over them.
fn plain(given: &Path) -> PathBuf {
    let path = std::path::absolute(given).unwrap_or_else(|_| given.to_owned());
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    folder.zip(path.file_name()).map(|(folder, name)| folder.join(name)).unwrap_or(path)
}

/// The tables of a database.
fn look(path: &Path) -> Result<Vec<Proposal>, Failure> {
    let candidates = CapturedLog::open("init", path, Access::Read)?.candidates()?;
    Ok(candidates
        .into_iter()
        .map(|found| Proposal { table: found.table, refused: found.refused, notes: found.warnings })
        .collect())
}

/// Writes a new file, with its folders; a file that is there stays as it is.
pub fn create(path: &Path, text: &str) -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| {
        let text = match error.kind() {
            ErrorKind::AlreadyExists => format!("{}: is there already and is not overwritten", path.display()),
            _ => format!("{}: cannot be written: {error}", path.display()),
        };
        Failure::new(Code::CannotWrite, text)
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    Ok(path.to_owned())
}
