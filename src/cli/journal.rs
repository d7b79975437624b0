//! The log: to the journal of systemd where stderr leads there, each line with its priority and fields; else to stderr as
//! text. One line an event, of a bounded length, without control characters and without secrets.

use std::io::Write as _;
use std::panic::PanicHookInfo;

use env_logger::Logger;
use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

use crate::adapter::secret::redact;

/// Under which name the journal keeps the lines (`journalctl -t hms-sync`).
const IDENTIFIER: &str = "hms-sync";
/// Longest line, in bytes: what is beyond is cut and counted.
const LONGEST: usize = 4096;
/// Longest field beside the line.
const LONGEST_FIELD: usize = 256;

/// Warnings by default, all of ours with `-v`, everything with `-vv`.
pub fn start(verbose: u8, quiet: bool) {
    let filter = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,hms_sync=info",
        (false, 2) => "info,hms_sync=debug",
        (false, _) => "trace",
    };
    let builder = builder(filter);
    if connected_to_journal()
        && let Ok(journal) = JournalLog::empty()
    {
        let journal = Journal { filter: filter_of(builder), to: journal.with_syslog_identifier(IDENTIFIER.into()) };
        let most = journal.filter.filter();
        if log::set_boxed_logger(Box::new(journal)).is_ok() {
            log::set_max_level(most);
        }
    } else {
        as_text(builder, env_logger::Target::Stderr);
    }
    std::panic::set_hook(Box::new(|panic| log::error!("{}", of_panic(panic))));
}

/// Logs go to a file instead.
pub fn start_to(file: std::fs::File) {
    as_text(builder("warn,hms_sync=info"), env_logger::Target::Pipe(Box::new(file)));
}

/// Whether stderr leads to the journal.
pub fn is_journal() -> bool {
    connected_to_journal()
}

/// A text as a log may hold it: one line of a bounded length, without control characters, which could forge a line or
/// drive a terminal, and without secrets.
pub fn clean(text: &str, longest: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(longest));
    let redacted = redact(text);
    for (at, c) in redacted.char_indices() {
        if clean.len() >= longest {
            clean.push_str(&format!("... ({} bytes more)", redacted.len() - at));
            break;
        }
        if c.is_control() { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

/// How loud a line about a configuration is that cannot be used: the warnings come with the errors.
pub fn level_of(line: &str) -> log::Level {
    let (warning, error) = (line.find(": warning: "), line.find(": error: "));
    match (warning, error) {
        (Some(warning), error) if error.is_none_or(|error| warning < error) => log::Level::Warn,
        _ => log::Level::Error,
    }
}

fn builder(filter: &str) -> env_logger::Builder {
    let mut builder = env_logger::Builder::from_env(env_logger::Env::new().filter_or("HMS_SYNC_LOG", filter));
    // At finer levels these would log the bytes of requests and answers, and the watch its own log file: never.
    for wire in ["ureq", "ureq_proto", "rustls", "russh", "hyper", "tungstenite", "notify", "mio", "pgp"] {
        builder.filter_module(wire, LevelFilter::Warn);
    }
    builder
}

fn as_text(mut builder: env_logger::Builder, target: env_logger::Target) {
    builder.target(target);
    builder.format(|out, record| {
        let text = clean(&record.args().to_string(), LONGEST);
        let style = out.default_level_style(record.level());
        writeln!(out, "{} {style}{:5}{style:#} {text}", crate::clock::now(), record.level())
    });
    let _ = builder.try_init();
}

/// Which lines are wanted; this logger writes none itself.
fn filter_of(mut builder: env_logger::Builder) -> Logger {
    builder.build()
}

/// What the journal is told when a thread breaks down: where, and never with which words, because those may hold a value.
fn of_panic(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
    format!("thread {} broke down at {place}: a fault of this program, please report it", thread.name().unwrap_or("?"))
}

/// Lines with priority and fields, by the journal's own protocol.
struct Journal {
    filter: Logger,
    to: JournalLog,
}

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.matches(record) {
            return;
        }
        let text = clean(&record.args().to_string(), LONGEST);
        let mut fields = Fields::default();
        // A field that cannot be read is left out; its line is not.
        let _ = record.key_values().visit(&mut fields);
        // Without file and line: what a person looks for is the line's text.
        let sent = self.to.journal_send(
            &Record::builder()
                .level(record.level())
                .target(record.target())
                .key_values(&fields)
                .args(format_args!("{text}"))
                .build(),
        );
        if sent.is_err() {
            // The journal's own stream may take what its socket did not.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    fn flush(&self) {}
}

/// A record's fields under names of ours: `connector` becomes `HMS_CONNECTOR`.
#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl Source for Fields {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        self.0.iter().try_for_each(|(name, text)| visitor.visit_pair(Key::from(name.as_str()), text.into()))
    }
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push((format!("HMS_{}", key.as_str()), clean(&value.to_string(), LONGEST_FIELD)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_beside_an_error_is_told_as_one() {
        assert_eq!(level_of("the configuration is wrong"), log::Level::Error);
        assert_eq!(level_of("a.yaml:3:1: warning: listen: odd"), log::Level::Warn);
        assert_eq!(level_of("a.yaml:3:1: error: key: reads `x: warning: y`"), log::Level::Error);
    }
}
