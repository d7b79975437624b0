//! `check` against the tables themselves: can they be captured, and do they have what connectors read?

use std::collections::BTreeMap;

use crate::config::problem::Place as At;
use crate::config::{Problem, Settings, Severity};
use crate::daemon::assemble::watch_spec;
use crate::engine::subscription::Subscription;
use crate::event::Op;
use crate::rules::nearest::hint;
use crate::store::capture::{Access, CaptureError, CapturedLog};

/// Columns of each event type, as far as the databases could be read.
pub type Columns = BTreeMap<String, Vec<String>>;

/// Keys of the same: their columns, and whether the table gives a new row its key itself.
pub type Keys = BTreeMap<String, (Vec<String>, bool)>;

/// Looks at every watched table, and notes what cannot be captured. A database that is not there (yet) is a warning:
/// the configuration may be written before it.
pub fn look(settings: &Settings, problems: &mut Vec<Problem>) -> (Columns, Keys) {
    let (mut columns, mut keys) = (Columns::new(), Keys::new());
    for database in &settings.databases {
        let mut note = |severity, at: At, key: String, message: String| {
            problems.push(problem(severity, &settings.file, at, key, message));
        };
        let mut log = match CapturedLog::open(&database.name, &database.path, Access::Read) {
            Ok(log) => log,
            Err(error) => {
                let severity =
                    if matches!(error, CaptureError::Missing { .. }) { Severity::Warning } else { Severity::Error };
                note(severity, At::default(), "database".to_owned(), error.to_string());
                continue;
            }
        };
        let only = settings.databases.len() == 1;
        for watch in settings.watch.iter().filter(|watch| match &watch.database {
            Some(name) => *name == database.name,
            None => only,
        }) {
            let key = format!("watch.{}", watch.table);
            match log.preview(&watch_spec(watch)) {
                Ok(preview) => {
                    for warning in preview.warnings {
                        note(Severity::Warning, watch.place, key.clone(), warning);
                    }
                    columns.insert(watch.kind.clone(), preview.columns);
                    keys.insert(watch.kind.clone(), (preview.key, preview.gives_key));
                }
                Err(error) => note(Severity::Error, watch.place, key, error.to_string()),
            }
        }
    }
    (columns, keys)
}

/// What a connector reads or redacts that a table it hears does not have, and what its gate would hold.
///
/// `reads` is what its way out reads besides the mapping; `at` is the place of the mapping, `lines` those of its entries, `url`
/// that of its address.
pub fn compare(
    file: &str,
    subscription: &Subscription,
    reads: &[String],
    (at, lines, url): (At, &[At], At),
    columns: &Columns,
    problems: &mut Vec<Problem>,
) {
    for (kind, columns) in columns {
        let hears = [Op::Insert, Op::Update, Op::Delete].into_iter().any(|op| subscription.listen.hears(kind, op));
        if !hears {
            continue;
        }
        let mut note = |key: &str, at: At, message: String| {
            problems.push(problem(Severity::Warning, file, at, key.to_owned(), message));
        };
        for (entry, path) in subscription.mapping.reads_by_entry() {
            let column = path.rest.split('.').next().unwrap_or_default();
            if path.is_of_row()
                && !column.is_empty()
                && !columns.iter().any(|known| *known == path.rest || known == column)
            {
                let near = hint(column, columns.iter().map(String::as_str));
                note(
                    "mapping",
                    lines.get(entry).copied().unwrap_or(at),
                    format!(
                        "reads `{}`, which `{kind}` does not have{near}: without a `default` its events are held",
                        path.rest
                    ),
                );
            }
        }
        // What a URL or a key names is a column, or what the mapping makes.
        let targets = subscription.mapping.targets().unwrap_or_default().iter().map(|target| &**target);
        let given: Vec<&str> = columns.iter().map(String::as_str).chain(targets).collect();
        for path in reads.iter().filter(|path| !path.starts_with('$')) {
            let first = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
            if !given.iter().any(|known| *known == path || first(known) == first(path)) {
                let near = hint(path, given.iter().copied());
                note(
                    "endpoint",
                    url,
                    format!(
                        "`{{{path}}}` stands in a URL or a key, and neither `{kind}` nor the mapping has it{near}: its events are held"
                    ),
                );
            }
        }
        for column in subscription.gate.redactions() {
            let first = column.split('.').next().unwrap_or_default();
            if !columns.iter().any(|known| known == column || known == first) {
                let near = hint(first, columns.iter().map(String::as_str));
                note(
                    "redact",
                    at,
                    format!("names `{column}`, which `{kind}` does not have{near}: nothing is redacted there"),
                );
            }
        }
        // One line for a type: who changes `allow` or the mapping wants to see all of it.
        let refused = subscription.gate.refused(kind, columns, &subscription.mapping, reads);
        if !refused.is_empty() {
            let list: Vec<String> = refused.iter().map(|(column, rule)| format!("`{column}` ({rule})")).collect();
            let (name, list) = (&subscription.name, list.join(", "));
            note(
                "allow",
                at,
                format!(
                    "{list} of `{kind}` may not leave: its events are held at the gate (`hms-sync gate explain {name} {kind}`)"
                ),
            );
        }
    }
}

pub(super) fn problem(severity: Severity, file: &str, at: At, key: String, message: String) -> Problem {
    Problem { severity, file: file.to_owned(), line: at.line, column: at.column, key, message, hint: None, disk: false }
}
