//! What goes to stdout and stderr, and in which form.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::failure::{Code, Failure};

/// Logs go to stderr: warnings by default, all of ours with `-v`, everything with `-vv`.
pub fn start_logging(verbose: u8, quiet: bool) {
    let filter = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,hms_sync=info",
        (false, 2) => "info,hms_sync=debug",
        (false, _) => "trace",
    };
    start(filter, env_logger::Target::Stderr);
}

/// Logs go to a file instead.
pub fn start_logging_to(file: std::fs::File) {
    start("warn,hms_sync=info", env_logger::Target::Pipe(Box::new(file)));
}

fn start(filter: &str, target: env_logger::Target) {
    let env = env_logger::Env::new().filter_or("HMS_SYNC_LOG", filter);
    let mut builder = env_logger::Builder::from_env(env);
    builder.target(target);
    builder.format(|out, record| {
        // One line an event, whatever it holds: control characters cannot forge a line or drive a terminal.
        let text: String = record
            .args()
            .to_string()
            .chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect();
        let style = out.default_level_style(record.level());
        writeln!(out, "{} {style}{:5}{style:#} {text}", crate::clock::now(), record.level())
    });
    let _ = builder.try_init();
}

/// Prints a line to stdout; a reader that has gone away is no error.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::CannotWrite, format!("the output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints one JSON document, for people's eyes on a terminal and on one line elsewhere.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        if io::stdout().is_terminal() { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    line(&text.map_err(|error| Failure::new(Code::Failed, format!("the answer cannot be written as JSON: {error}")))?)
}

/// Prints a table. On no terminal nothing is folded, so that a script sees whole cells.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row.into_iter().map(|cell| cell.replace(|c: char| c.is_control(), " ")));
    }
    for printed in table.to_string().lines() {
        line(printed.trim_end())?;
    }
    Ok(())
}
