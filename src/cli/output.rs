//! What goes to stdout and stderr, and in which form.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::cli::failure::{Code, Failure};

/// Prints a line to stdout; a reader that has gone away is no error.
pub fn line(text: &str) -> Result<(), Failure> {
    stream(text).map(drop)
}

/// Prints a line of many to stdout. False when the reader has gone away: nobody wants the rest.
pub fn stream(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Code::CannotWrite, format!("the output cannot be written: {error}"))),
    }
}

/// Whether nobody reads stdout any more: the other end of its pipe, socket or terminal is closed.
pub fn is_unread() -> bool {
    let out = io::stdout();
    let mut ends = [PollFd::new(&out, PollFlags::empty())];
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut ends, Some(&now)).is_ok() && ends.iter().any(|end| end.revents().intersects(gone))
}

/// Prints one JSON document, for people's eyes on a terminal and on one line elsewhere.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        if io::stdout().is_terminal() { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    line(&text.map_err(|error| Failure::new(Code::Failed, format!("the answer cannot be written as JSON: {error}")))?)
}

/// Prints one JSON document on one line, as scripts read it.
pub fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    line(&serde_json::to_string(value)?)
}

/// A length of time as people say it, in its largest unit.
pub fn age(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3600 => format!("{}m", seconds / 60),
        seconds @ ..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Prints a table, numbers to the right. On no terminal nothing is folded, so that a script sees whole cells.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
    {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(size.ws_col);
    }
    let is_number = |cell: &String| cell == "-" || cell.trim_end_matches(['s', 'm', 'h', 'd']).parse::<u64>().is_ok();
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if rows.iter().all(|row| row.get(at).is_some_and(is_number)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in rows {
        table.add_row(row.into_iter().map(|cell| cell.replace(|c: char| c.is_control(), " ")));
    }
    for printed in table.to_string().lines() {
        line(printed.trim_end())?;
    }
    Ok(())
}
