//! `database:`, `databases:` and `watch:`: which tables of which files are captured.

use std::path::PathBuf;

use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::problem::Place;

/// An application's SQLite file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Name of its log: the key in `databases:`, or the file's stem for `database:`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

impl Database {
    /// A file whose log is named by its stem, as `database:` does.
    pub(crate) fn at(path: PathBuf) -> Database {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Database { name, path }
    }
}

/// What the outbox keeps of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureMode {
    /// The image of the row and the old values.
    #[default]
    Full,
    /// The key alone; the row is read when it is delivered.
    Key,
}

/// One table to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Name of the database's log; none when no database is configured (one may be given on the command line).
    pub database: Option<String>,
    /// The table.
    pub table: String,
    /// Key columns; none = the primary key.
    pub key: Option<Vec<String>>,
    /// Columns to capture; none = all.
    pub columns: Option<Vec<String>>,
    /// Columns to leave out.
    pub exclude: Vec<String>,
    /// Event type: `as`, or the table's name.
    pub kind: String,
    /// What is kept of a change.
    pub capture: CaptureMode,
    /// Where it stands in the file.
    pub place: Place,
}

/// The log of events that were posted or subscribed to; no database can have its name.
const INTAKE: &str = "intake";

/// Reads `database:` or `databases:`.
pub(crate) fn databases(fields: &Fields<'_>) -> Vec<Database> {
    let (one, many) = (fields.take("database"), fields.take("databases"));
    if let (Some(_), Some(many)) = (&one, &many) {
        many.error_hint("stands beside `database:`", "only one of the two: move that file here under a name");
    }
    let mut databases: Vec<Database> = Vec::new();
    if let Some(path) = one.as_ref().and_then(Found::path) {
        let database = Database::at(path);
        if let Some(one) = &one {
            log_name(one, &database.name);
        }
        databases.push(database);
    }
    for (name, found) in many.and_then(|many| many.entries()).unwrap_or_default() {
        let Some(path) = found.path() else { continue };
        log_name(&found, name);
        if name.contains('.') {
            found.error_hint("has a dot in its name", "`watch:` writes DATABASE.TABLE, so the name has none");
        }
        if let Some(twin) = databases.iter().find(|database| database.path == path) {
            found.error(format!("is the same file as `{}`", twin.name));
        }
        databases.push(Database { name: name.to_owned(), path });
    }
    databases
}

fn log_name(found: &Found<'_>, name: &str) {
    if name == INTAKE {
        found.error_hint(
            "would have the log name `intake`, which is kept for posted events",
            "name it otherwise under `databases:`",
        );
    } else if name.is_empty() || name.contains(['/', ':', '\\']) || name.chars().any(char::is_control) {
        found.error_hint(
            format!("`{}` cannot name a log", name.escape_debug()),
            "give it a name without slashes and colons under `databases:`",
        );
    }
}

/// Reads `watch:`.
pub(crate) fn watch(found: &Found<'_>, databases: &[Database]) -> Vec<Watch> {
    let mut watches: Vec<Watch> = Vec::new();
    for (name, found) in found.entries().unwrap_or_default() {
        let place = place(&found, name, databases);
        let Some(watch) = one(&found, place) else { continue };
        if let Some(twin) = watches.iter().find(|twin| twin.kind == watch.kind) {
            found.error_hint(
                format!("has the event type `{}` of another watched table, `{}`", watch.kind, twin.table),
                "give one of them another type with `as:`",
            );
        }
        watches.push(watch);
    }
    watches
}

/// The database and table that `registry.patients` or `patients` names.
fn place<'n>(found: &Found<'_>, name: &'n str, databases: &[Database]) -> (Option<String>, &'n str) {
    match databases {
        [] => (None, name),
        // A table's own name may hold dots.
        [only] => match name.split_once('.') {
            Some((database, table)) if database == only.name => (Some(only.name.clone()), table),
            _ => (Some(only.name.clone()), name),
        },
        several => {
            let names = several.iter().map(|database| database.name.as_str());
            match name.split_once('.') {
                Some((database, table)) => {
                    if !several.iter().any(|known| known.name == database) {
                        found.unknown("database", database, names);
                    }
                    (Some(database.to_owned()), table)
                }
                None => {
                    let example = names.map(|database| format!("{database}.{name}")).collect::<Vec<_>>().join(" or ");
                    found.error_hint("does not say which database", format!("write {example}"));
                    (None, name)
                }
            }
        }
    }
}

fn one(found: &Found<'_>, (database, table): (Option<String>, &str)) -> Option<Watch> {
    const CAPTURE: [(&str, CaptureMode); 2] = [("full", CaptureMode::Full), ("key", CaptureMode::Key)];
    if table.is_empty() {
        found.error("names no table");
    } else if table.starts_with("sqlite_") || table.starts_with("hms_sync_") {
        found.error("is a table of SQLite's or of the agent's own and cannot be watched");
    }
    let fields = found.fields()?;
    let columns = fields.take("columns");
    let exclude = fields.take("exclude");
    if let (Some(_), Some(exclude)) = (&columns, &exclude) {
        exclude.error_hint("stands beside `columns:`", "list the columns to capture, or those to leave out");
    }
    let watch = Watch {
        database,
        table: table.to_owned(),
        key: fields.texts("key"),
        columns: columns.and_then(|found| found.texts()),
        exclude: exclude.and_then(|found| found.texts()).unwrap_or_default(),
        kind: fields.text("as").unwrap_or_else(|| table.to_owned()),
        capture: fields.take("capture").and_then(|found| found.choice("capture mode", &CAPTURE)).unwrap_or_default(),
        place: found.place,
    };
    fields.done();
    Some(watch)
}
