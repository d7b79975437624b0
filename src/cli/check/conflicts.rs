//! `check` of conflict rules against the tables and the connectors: do they name what is there, and has anything use of them?

use crate::config::conflict::{Named, What};
use crate::config::{ConflictRules, ConnectorSpec, Problem, Settings, Severity, Way};
use crate::daemon::assemble::watch_spec;
use crate::rules::conflict::HERE;
use crate::rules::nearest::{hint, nearest};
use crate::store::capture::{Access, CapturedLog};

/// How the connectors are called in an order of authority, and into which tables they read.
pub struct Callers {
    /// Names of connectors and of their adapters.
    names: Vec<String>,
    /// Watched tables, or event types, that are read into.
    pulled: Vec<String>,
}

impl Callers {
    /// Those of a configuration.
    pub fn of<'s>(specs: impl Iterator<Item = &'s ConnectorSpec>) -> Callers {
        let mut callers = Callers { names: Vec::new(), pulled: Vec::new() };
        for spec in specs {
            callers.names.push(spec.name.to_string());
            callers.names.extend(match &spec.way {
                Way::Spec(described) => Some(described.spec.name.clone()),
                _ => None,
            });
            callers.pulled.extend(spec.pull.as_ref().map(|pull| pull.table.clone()));
        }
        callers
    }
}

/// Looks at each table's rules.
pub fn look(conflicts: &[ConflictRules], settings: &Settings, callers: &Callers, problems: &mut Vec<Problem>) {
    for rules in conflicts {
        let mut note = |severity, named: &Named, message: String, way: Option<String>| {
            problems.push(Problem {
                severity,
                file: rules.file.clone(),
                line: named.place.line,
                column: named.place.column,
                key: named.key.clone(),
                message,
                hint: way,
            });
        };
        of_names(rules, settings, callers, &mut note);
        of_table(rules, settings, callers, &mut note);
    }
}

type Note<'n> = &'n mut dyn FnMut(Severity, &Named, String, Option<String>);

/// Names in orders of authority that are nobody's.
fn of_names(rules: &ConflictRules, settings: &Settings, callers: &Callers, note: Note<'_>) {
    let known = || callers.names.iter().map(String::as_str).chain([HERE, settings.office.as_str()]);
    for named in rules.named.iter().filter(|named| named.what == What::Authority) {
        if !known().any(|name| name == named.name) {
            let message =
                format!("`{}` is no connector, no adapter, not `{HERE}` and not the office: it never wins", named.name);
            note(
                Severity::Warning,
                named,
                message,
                nearest(&named.name, known()).map(|near| format!("did you mean `{near}`?")),
            );
        }
    }
}

fn of_table(rules: &ConflictRules, settings: &Settings, callers: &Callers, note: Note<'_>) {
    let Some(table) = rules.named.iter().find(|named| named.what == What::Table) else { return };
    let watch = settings.watch.iter().find(|watch| rules.is_of(&watch.table, &watch.kind));
    let Some(watch) = watch else {
        let known = settings.watch.iter().map(|watch| watch.table.as_str());
        let message =
            format!("`{}` is no watched table{}: its rules have no effect", table.name, hint(&table.name, known));
        note(Severity::Warning, table, message, None);
        return;
    };
    let reads = |pulled: &&String| **pulled == watch.kind || pulled.eq_ignore_ascii_case(&watch.table);
    if !callers.pulled.iter().any(|pulled| reads(&pulled)) {
        let message = format!("no connector reads into `{}`: its rules have no effect", watch.table);
        let way = "write `strategy: pull` or `strategy: bidirectional` in a connector, with `pull: {table: ...}`";
        note(Severity::Warning, table, message, Some(way.to_owned()));
    }
    let database =
        settings.databases.iter().find(|database| watch.database.as_ref().is_none_or(|name| *name == database.name));
    // What keeps the table from being looked at is said of the table.
    let Some(database) = database else { return };
    let Ok(mut log) = CapturedLog::open(&database.name, &database.path, Access::Read) else { return };
    let Ok(seen) = log.preview(&watch_spec(watch)) else { return };
    let columns = || seen.columns.iter().map(String::as_str);
    let near = |name: &str| nearest(name, columns()).map(|near| format!("did you mean `{near}`?"));
    let has = |name: &str| columns().any(|column| column == name);
    let is_group = |name: &str| rules.policy.groups.iter().any(|group| *group.name == *name);
    let (mut keys, mut guard) = (Vec::new(), None);
    for named in &rules.named {
        let name = named.name.as_str();
        let table = &watch.table;
        match named.what {
            What::Key => keys.push(named),
            What::Column if !has(name) => {
                note(Severity::Error, named, format!("`{table}` has no captured column `{name}`"), near(name));
            }
            What::Unit if !has(name) && !is_group(name) => {
                let message = format!("`{table}` has no captured column, and this file no group, `{name}`");
                note(Severity::Error, named, message, near(name));
            }
            What::Group
                if has(name)
                    && !rules
                        .policy
                        .groups
                        .iter()
                        .any(|group| *group.name == *name && group.fields.iter().any(|field| **field == *name)) =>
            {
                let message = format!("is also a column of `{table}`: a rule for `{name}` would mean either");
                note(Severity::Error, named, message, Some("name the group otherwise".to_owned()));
            }
            What::Parameter => {
                guard = Some(named);
                if !has(name) {
                    let message = format!("names `:{name}`, and `{table}` has no captured column of that name");
                    note(Severity::Error, named, message, near(name));
                }
            }
            _ => {}
        }
    }
    let wanted: Vec<&str> = keys.iter().map(|named| named.name.as_str()).collect();
    let is: Vec<&str> = seen.key.iter().map(String::as_str).collect();
    if let Some(first) = keys.first().filter(|_| wanted != is) {
        let message = format!("the key of `{}` is {}", watch.table, is.join(", "));
        note(Severity::Error, first, message, Some(format!("write `key: [{}]`", is.join(", "))));
    }
    if let (Some(named), Some(query)) = (guard, &rules.policy.guard)
        && let Ok(Err(why)) = log.try_guard(&query.sql)
    {
        note(Severity::Error, named, why, None);
    }
}
