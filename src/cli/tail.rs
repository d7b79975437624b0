//! `tail`: events as JSON lines, from the past if asked, then live.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::cli::failure::{Code, Failure};
use crate::cli::past::{Log, Past, open};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::Settings;
use crate::daemon::keep::{AGAIN, SLOW};
use crate::daemon::wake::Watch;
use crate::engine::source::SourceError;
use crate::event::Event;
use crate::format::json;
use crate::rules::governance::Gate;
use crate::rules::listen::Listen;
use crate::rules::nearest::hint;

/// Prints events as JSON lines: from the past if asked, then as they are committed
///
/// With a `governance:` section every column whose class is not in its `views` (without that: is not
/// `public`) is shown as "***", in keys too. Several logs have no common order.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Only these: an event type or table, TYPE.insert, TYPE.update, TYPE.delete, with * for any text; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    #[command(flatten)]
    past: Past,
    /// Stops at the end; begins with the oldest event that is kept unless told otherwise
    #[arg(long)]
    once: bool,
}

/// What is shown, and how.
struct View {
    listen: Listen,
    gate: Gate,
}

/// Runs `tail`.
pub fn tail(place: &Place, tail: Tail) -> Outcome {
    let settings = place.config()?.settings;
    let logs = open(place, &settings)?;
    let view = Arc::new(View {
        listen: listen(&tail.types, &logs, &settings)?,
        gate: Gate::of_views(settings.governance.as_ref()),
    });
    let mut starts = Vec::new();
    for mut log in logs {
        let past = if tail.once || tail.past.is_named() { tail.past.after(&mut log, &settings)? } else { None };
        match past {
            Some(after) => starts.push((log, after)),
            None if tail.once => {}
            None => {
                let end = log.source.highest().map_err(told)?;
                starts.push((log, end));
            }
        }
    }
    if tail.once {
        for (mut log, mut after) in starts {
            let end = log.source.highest().map_err(told)?;
            while after < end {
                let Shown::Some { last } = show(&mut log, after, end, &view)? else { break };
                after = last;
            }
        }
        return Ok(Code::Ok);
    }
    let (ended, end) = channel();
    for (log, after) in starts {
        let (ended, view) = (ended.clone(), view.clone());
        std::thread::Builder::new()
            .name(format!("tail/{}", log.name))
            .spawn(move || drop(ended.send(follow(log, after, &view))))
            .map_err(|error| Failure::new(Code::Failed, format!("no thread could be started: {error}")))?;
    }
    // The first that cannot go on ends all: the reader is gone, or the output cannot be written.
    match end.recv() {
        Ok(Err(failure)) => Err(failure),
        Ok(Ok(())) | Err(_) => Ok(Code::Ok),
    }
}

/// Shows a log's events after a position, as they are committed, until the reader goes away.
fn follow(mut log: Log, mut after: i64, view: &View) -> Result<(), Failure> {
    let watch = Watch::on(&log.file);
    let mut again = AGAIN.iter();
    let mut patience = Duration::ZERO;
    let mut complaint = String::new();
    loop {
        if watch.wait(patience).is_some() {
            again = AGAIN.iter();
        }
        match show(&mut log, after, i64::MAX, view) {
            Ok(Shown::Some { last }) => {
                (after, again) = (last, AGAIN.iter());
                patience = Duration::ZERO;
                continue;
            }
            // A quiet log must not keep it waiting for somebody who is gone.
            Ok(Shown::Nothing) if output::is_unread() => return Ok(()),
            Ok(Shown::Nothing) => complaint.clear(),
            Ok(Shown::ReaderGone) => return Ok(()),
            Err(failure) if failure.code == Code::Failed => {
                // A file that is locked for a while is read on later.
                if failure.message != complaint {
                    log::warn!("{}: {}", log.name, failure.message);
                    complaint = failure.message;
                }
            }
            Err(failure) => return Err(failure),
        }
        patience = again.next().copied().unwrap_or(SLOW);
    }
}

/// Events read at once.
const CHUNK: usize = 256;
/// Bytes of values read at once, about.
const CHUNK_BYTES: usize = 1 << 20;

enum Shown {
    /// There is nothing after the position yet.
    Nothing,
    /// Events up to here were read, and shown as far as they were asked for.
    Some { last: i64 },
    /// Nobody reads the output any more.
    ReaderGone,
}

fn show(log: &mut Log, after: i64, end: i64, view: &View) -> Result<Shown, Failure> {
    let events = log.source.read(after, CHUNK, CHUNK_BYTES).map_err(told)?;
    let Some(last) = events.last().map(Event::seq) else { return Ok(Shown::Nothing) };
    for event in events.iter().filter(|event| event.seq() <= end && view.listen.hears(&event.kind, event.op)) {
        if !output::stream(&String::from_utf8_lossy(&json::event(&view.gate.veil(event))))? {
            return Ok(Shown::ReaderGone);
        }
    }
    Ok(Shown::Some { last })
}

fn told(error: SourceError) -> Failure {
    Failure::new(Code::Failed, error.to_string())
}

/// The types that are asked for; a table's name stands for its type.
fn listen(types: &[String], logs: &[Log], settings: &Settings) -> Result<Listen, Failure> {
    let kinds = || logs.iter().flat_map(|log| &log.kinds);
    let named = |name: &String| {
        let kind = kinds().find(|kind| kind.is_called(name)).map(|kind| kind.kind.to_string());
        if kind.is_none() && settings.events.is_empty() && !name.contains(['*', '.']) {
            let hint = hint(name, kinds().map(|kind| &*kind.kind));
            log::warn!("--type {name}: no event of this type was captured so far{hint}");
        }
        kind.unwrap_or_else(|| name.clone())
    };
    let patterns: Vec<String> = types.iter().map(named).collect();
    Listen::parse(&patterns).map_err(|message| Failure::new(Code::Usage, message))
}
