//! `audit export`.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Where;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, since};
use crate::clock::{self, Timestamp};
use crate::engine::auditor::{AuditError, Since, Trail};
use crate::format::trail::{COLUMNS, Line, Sort, lines};
use crate::rules::chain::Row;
use crate::rules::hex::hex;

/// Writes the audit as lines that other programs read, and that `audit verify` proves
///
/// Without gaps: an export is a stretch of the chain. It holds no value of a record; records stand in it by their hash.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    place: Where,
    /// The form
    #[arg(long, value_enum, default_value_t = Form::Jsonl)]
    format: Form,
    /// The file to write, which must not be there yet; otherwise it goes to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// From this row on
    #[arg(long, value_name = "N", conflicts_with = "since")]
    from: Option<i64>,
    /// From this time on, as far as pieces of the archive allow: 30d, or 2026-03-05T00:00:00Z
    #[arg(long, value_parser = since::parse, value_name = "TIME")]
    since: Option<Timestamp>,
    /// To this row
    #[arg(long, value_name = "N")]
    to: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// JSON lines
    Jsonl,
    /// CSV as of RFC 4180
    Csv,
}

/// Runs `audit export`. 73 when it cannot be written.
pub fn export(place: &Place, export: &Export) -> Outcome {
    let mut trail = export.place.trail(place)?;
    let cannot = |error: &io::Error| match &export.output {
        Some(path) => Failure::new(Code::CannotWrite, format!("{}: {error}", path.display())),
        None => Failure::new(Code::CannotWrite, format!("the output cannot be written: {error}")),
    };
    let out: Box<dyn Write> = match &export.output {
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            Box::new(file.map_err(|error| cannot(&error))?)
        }
        None => Box::new(io::stdout().lock()),
    };
    let out = BufWriter::with_capacity(1 << 18, out);
    let mut pen = match export.format {
        Form::Jsonl => Pen::Json(out),
        Form::Csv => Pen::Csv(Box::new(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out))),
    };
    match written(&mut trail, export, &mut pen) {
        Ok(()) => Ok(Code::Ok),
        Err(Stop::Audit(error)) => Err(error.into()),
        // Whoever reads has enough.
        Err(Stop::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Code::Ok),
        Err(Stop::Write(error)) => Err(cannot(&error)),
    }
}

enum Stop {
    Audit(AuditError),
    Write(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Write(error)
    }
}

enum Pen<W: Write> {
    Json(W),
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> Pen<W> {
    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        match self {
            Pen::Json(out) => {
                serde_json::to_writer(&mut *out, line)?;
                out.write_all(b"\n")
            }
            Pen::Csv(out) => Ok(out.write_record(line.fields().iter().map(|field| field.as_bytes()))?),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Pen::Json(out) => out.flush(),
            Pen::Csv(out) => out.flush(),
        }
    }
}

fn written(trail: &mut Trail, export: &Export, pen: &mut Pen<impl Write>) -> Result<(), Stop> {
    if let Pen::Csv(out) = pen {
        out.write_record(COLUMNS).map_err(io::Error::from)?;
    }
    let origin = trail.origin().to_owned();
    let at = || clock::now().to_string();
    let from = match export.since {
        Some(at) => Since::Time(at),
        None => Since::Row(export.from.unwrap_or(0)),
    };
    let (mut failed, mut last) = (None, (-1, String::new()));
    // The newest that is about what is exported.
    let notes = trail.checkpoints().map_err(Stop::Audit)?;
    let note = notes.iter().rev().find(|note| export.to.is_none_or(|to| note.checkpoint.size <= to));
    let note = note.map(|note| note.write());
    let pen = std::cell::RefCell::new(pen);
    let put = |line: &Line<'_>| pen.borrow_mut().line(line);
    trail
        .each(
            from,
            |first, previous| {
                let begin = Line {
                    n: first,
                    at: at().into(),
                    kind: Sort::Begin,
                    actor: "system".into(),
                    subject: Some(origin.as_str().into()),
                    reason: note.as_deref().map(Into::into),
                    hash: Some(hex(previous).into()),
                    ..Line::default()
                };
                put(&begin).is_ok()
            },
            |bytes, hash| {
                let Some(row) = Row::read(bytes) else { return false };
                if export.to.is_some_and(|to| row.n > to) {
                    return false;
                }
                lines(&row, hash, |line| failed = failed.take().or_else(|| put(&line).err()));
                last = (row.n, hex(hash));
                failed.is_none()
            },
        )
        .map_err(Stop::Audit)?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let end = Line {
        n: last.0,
        at: at().into(),
        kind: Sort::End,
        actor: "system".into(),
        subject: Some(origin.as_str().into()),
        hash: Some(last.1.into()),
        ..Line::default()
    };
    put(&end)?;
    Ok(pen.borrow_mut().end()?)
}
