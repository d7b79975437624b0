//! `backfill`: rows that are there already, as events for one connector.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output, watch};
use crate::daemon::agent;
use crate::engine::operate::Deed;
use crate::event::{Record, Value};
use crate::format::json;
use crate::store::capture::Access;

/// Sends rows that are there already to one connector
#[derive(Debug, clap::Args)]
pub struct Backfill {
    /// The table; LOG.TABLE when there is more than one database
    table: String,
    /// To which connector
    #[arg(long)]
    connector: String,
    /// Only rows for which this SQL expression is true
    #[arg(long = "where", value_name = "SQL")]
    filter: Option<String>,
    /// Begins anew instead of where an earlier run was stopped
    #[arg(long)]
    restart: bool,
}

/// Rows written in one transaction.
const BLOCK: usize = 200;
/// Pause between two of them, so that the application's own writes always get in.
const PAUSE: Duration = Duration::from_millis(50);

/// Where an interrupted run goes on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bookmark {
    log: String,
    table: String,
    connector: String,
    filter: Option<String>,
    /// The key of the last row, as a JSON object.
    after: Option<String>,
    written: u64,
}

/// Runs `backfill`. It writes the rows into the log, a block at a time; the agent delivers them.
pub fn backfill(place: &Place, backfill: Backfill) -> Outcome {
    let config = place.config()?;
    let names: Vec<_> = config.connectors.iter().chain(&config.drops).map(|spec| spec.name.clone()).collect();
    if !names.iter().any(|name| **name == *backfill.connector) {
        return Err(order::unknown(&backfill.connector, &names));
    }
    let settings = config.settings.clone();
    let mut logs = place.logs(&settings, Access::Write)?;
    let (log, table) = watch::find(&mut logs, &backfill.table)?;
    // A connector that has never run begins now, before the rows are written, not after.
    agent::register(&config)?;
    let wanted = Bookmark {
        log: log.name().to_owned(),
        table: table.clone(),
        connector: backfill.connector.clone(),
        filter: backfill.filter.clone(),
        after: None,
        written: 0,
    };
    let path = bookmark_path(&settings.state);
    let mut at = match read(&path) {
        Some(found) if !backfill.restart && same(&found, &wanted) => {
            eprintln!("going on after {} rows of an earlier run (--restart begins anew)", found.written);
            found
        }
        _ => wanted,
    };
    let to = format!("to {}, from row {} on", at.connector, at.written + 1);
    order::note(&settings, Deed::Backfill, &format!("{}.{table}", log.name()), Some(to));
    let total = log.count(&table, backfill.filter.as_deref())?;
    let bar = if std::io::stderr().is_terminal() && !place.quiet() {
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} rows, {eta} left") {
            bar.set_style(style);
        }
        bar.set_position(at.written);
        bar
    } else {
        ProgressBar::hidden()
    };
    loop {
        let after = at.after.as_deref().map(parse_after).transpose()?;
        let done = log.refresh(&table, backfill.filter.as_deref(), Some(&backfill.connector), after.as_ref(), BLOCK)?;
        let Some(last) = done.last else { break };
        at.written += done.count as u64;
        at.after = Some(String::from_utf8_lossy(&json::value(&Value::Map(last))).into_owned());
        write(&path, &at)?;
        bar.set_position(at.written);
        if done.count < BLOCK {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    bar.finish_and_clear();
    let _ = std::fs::remove_file(&path);
    if place.json() {
        output::json(&serde_json::json!({ "table": table, "connector": backfill.connector, "rows": at.written }))?;
    } else {
        output::line(&format!("{} rows of {table} are on their way to {}", at.written, backfill.connector))?;
    }
    Ok(Code::Ok)
}

fn bookmark_path(state: &Path) -> PathBuf {
    state.with_extension("backfill.json")
}

fn same(a: &Bookmark, b: &Bookmark) -> bool {
    (&a.log, &a.table, &a.connector, &a.filter) == (&b.log, &b.table, &b.connector, &b.filter)
}

fn read(path: &Path) -> Option<Bookmark> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// A bookmark that is lost, or older than it might be, costs only rows that are sent twice.
fn write(path: &Path, bookmark: &Bookmark) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| {
        Failure::new(Code::CannotWrite, format!("{}: cannot note how far it came: {error}", path.display()))
    };
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, serde_json::to_vec(bookmark)?).map_err(cannot)?;
    std::fs::rename(&temporary, path).map_err(cannot)
}

fn parse_after(text: &str) -> Result<Record, Failure> {
    match json::decode(text.as_bytes()) {
        Ok(Value::Map(key)) => Ok(key),
        _ => Err(Failure::new(Code::Data, "the note of an earlier run cannot be read: use --restart")),
    }
}
