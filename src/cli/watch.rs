//! `watch`, `unwatch`, `watch --list`: which tables are captured.

use serde::Serialize;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output};
use crate::config::Settings;
use crate::daemon::agent;
use crate::daemon::assemble::watch_specs;
use crate::engine::operate::Deed;
use crate::store::capture::{Access, CapturedLog, State, WatchSpec};

/// Captures changes of tables
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Watch {
    /// Tables; LOG.TABLE when there is more than one database
    #[arg(required_unless_present = "list")]
    tables: Vec<String>,
    /// Shows what is captured, and whether that works
    #[arg(long, conflicts_with = "tables")]
    list: bool,
}

/// Captures a table's changes no more
#[derive(Debug, clap::Args)]
pub struct Unwatch {
    /// Tables; LOG.TABLE when there is more than one database
    #[arg(required = true)]
    tables: Vec<String>,
}

#[derive(Serialize)]
struct Line {
    log: String,
    table: String,
    #[serde(rename = "type")]
    kind: String,
    key: Vec<String>,
    columns: Vec<String>,
    excluded: Vec<String>,
    version: i64,
    capture: String,
    lost: i64,
}

/// Runs `watch`.
pub fn watch(place: &Place, watch: Watch) -> Outcome {
    let config = place.config()?;
    if watch.list {
        return list(place, &config.settings);
    }
    let mut logs = place.logs(&config.settings, Access::Write)?;
    // Connectors that stand in the configuration hear what is captured from now on, also before they first run.
    agent::register(&config)?;
    for table in &watch.tables {
        let (log, table) = find(&mut logs, table)?;
        // What the configuration says of this table holds here too.
        let configured = watch_specs(&config.settings, log.name());
        let spec = configured
            .into_iter()
            .find(|spec| spec.table.eq_ignore_ascii_case(&table) || spec.kind.as_deref() == Some(&*table))
            .unwrap_or_else(|| WatchSpec::table(table));
        order::note(&config.settings, Deed::Watch, &format!("{}.{}", log.name(), spec.table), None);
        for installed in log.install(&[spec])? {
            for warning in &installed.warnings {
                log::warn!("{}: {warning}", installed.table);
            }
            let text = if installed.changed { "is watched" } else { "was watched already" };
            if !place.quiet() && !place.json() {
                output::line(&format!(
                    "{} {text} (type {}, version {})",
                    installed.table, installed.kind, installed.version
                ))?;
            }
        }
    }
    if place.json() { list(place, &config.settings) } else { Ok(Code::Ok) }
}

/// Runs `unwatch`.
pub fn unwatch(place: &Place, unwatch: Unwatch) -> Outcome {
    let config = place.config()?;
    let mut logs = place.logs(&config.settings, Access::Write)?;
    for table in &unwatch.tables {
        let (log, table) = find(&mut logs, table)?;
        order::note(&config.settings, Deed::Unwatch, &format!("{}.{table}", log.name()), None);
        log.uninstall(&table)?;
        if watch_specs(&config.settings, log.name()).iter().any(|spec| spec.table.eq_ignore_ascii_case(&table)) {
            log::warn!("{table}: stands under `watch:` in the configuration: the next `run` watches it again");
        }
        if !place.quiet() && !place.json() {
            output::line(&format!("{table} is not watched any more"))?;
        }
    }
    if place.json() { list(place, &config.settings) } else { Ok(Code::Ok) }
}

fn list(place: &Place, settings: &Settings) -> Outcome {
    let mut lines = Vec::new();
    for mut log in place.logs(settings, Access::Read)? {
        for watched in log.watched()? {
            lines.push(Line {
                log: log.name().to_owned(),
                table: watched.table,
                kind: watched.kind.to_string(),
                key: watched.key.iter().map(ToString::to_string).collect(),
                columns: watched.columns.iter().map(ToString::to_string).collect(),
                excluded: watched.excluded,
                version: watched.version,
                capture: watched.state.to_string(),
                lost: watched.lost,
            });
        }
    }
    if place.json() {
        output::json(&lines)?;
    } else if lines.is_empty() {
        output::line("nothing is watched")?;
    } else {
        let rows = lines
            .iter()
            .map(|line| {
                vec![
                    line.log.clone(),
                    line.table.clone(),
                    line.kind.clone(),
                    line.key.join(", "),
                    line.columns.len().to_string(),
                    line.version.to_string(),
                    line.capture.clone(),
                    line.lost.to_string(),
                ]
            })
            .collect();
        output::table(&["LOG", "TABLE", "TYPE", "KEY", "COLUMNS", "VERSION", "CAPTURE", "LOST"], rows)?;
    }
    let broken = lines.iter().any(|line| line.capture != State::Ok.to_string() && !line.capture.starts_with("paused"));
    Ok(if broken { Code::Failed } else { Code::Ok })
}

/// The log that holds a table: `LOG.TABLE`, or the only one there is.
pub fn find<'l>(logs: &'l mut [CapturedLog], name: &str) -> Result<(&'l mut CapturedLog, String), Failure> {
    let names: Vec<String> = logs.iter().map(|log| log.name().to_owned()).collect();
    let (at, table) = match name.split_once('.') {
        _ if logs.len() == 1 => (Some(0), name),
        Some((log, table)) => (names.iter().position(|known| known == log), table),
        None => (None, name),
    };
    let known = names.join(", ");
    let unclear =
        || Failure::new(Code::Usage, format!("{name}: in which database? Write LOG.TABLE; the logs are {known}"));
    let found = at.and_then(|at| logs.get_mut(at)).ok_or_else(unclear)?;
    Ok((found, table.to_owned()))
}
