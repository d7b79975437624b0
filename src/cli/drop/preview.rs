//! `drop preview` and `drop regenerate`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::Regenerate;
use super::change::done;
use super::show::{known, meant};
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output};
use crate::config::{self, Config, build};
use crate::engine::drop::{self, Previewed};
use crate::engine::operate::{FileOperation, Operation};
use crate::engine::source::{Intake, Sources};
use crate::format::json as encoding;
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::{StateReader, connector, fact, log as logs};

/// Shows, or writes to a file, what would be cut now.
pub fn preview(place: &Place, name: &str, date: Option<&str>, to: Option<&Path>) -> Outcome {
    let mut config = place.config()?;
    if let Some(date) = date {
        // What a cut for this date would be refused for.
        let run = FileOperation::Run { drop: name.to_owned(), date: Some(date.to_owned()) };
        known(place, &config, name)?;
        let asked = Operation::DryRun { of: Box::new(Operation::Drop(run)) };
        let report = order::order(&config.settings, asked, None)?;
        if !report.refused.is_empty() {
            return done(place, &report);
        }
    }
    let names: Vec<_> = config.drops.iter().map(|spec| spec.name.clone()).collect();
    let at = config.drops.iter().position(|spec| *spec.name == *name);
    let spec = at.map(|at| config.drops.swap_remove(at)).ok_or_else(|| order::unknown(name, &names))?;
    let mut real = place.state(&config.settings)?;
    let drop = Arc::new(built(spec, &config, &mut real)?);
    let sources = sources(&config, &mut real)?;
    let folder = tempfile::tempdir().map_err(|error| cannot("a temporary folder", &error))?;
    let made = drop::preview(Arc::clone(&drop), sources, &mut real, (date, folder.path()))
        .map_err(|error| Failure::new(Code::Failed, format!("{name}: {error}")))?;
    if drop.hook.is_some() && !place.quiet() {
        eprintln!("the hook is not asked: it may change or refuse records of the real file");
    }
    if let (Some(to), [file]) = (to, &*made.files) {
        write(to, |out| out.write_all(&file.bytes))?;
    }
    let parsed = |file: &Previewed| drop.feed.read(&file.bytes).ok();
    if place.json() {
        let files: Vec<_> = made.files.iter().map(|file| {
            let records = parsed(file).map(|parsed| {
                let show = |records: &[crate::event::Record]| -> Vec<serde_json::Value> {
                    records.iter().filter_map(|record| serde_json::from_slice(&encoding::encode(record).ok()?).ok()).collect()
                };
                json!({ "header": show(&parsed.header), "details": show(&parsed.details), "trailer": show(&parsed.trailer) })
            });
            json!({
                "name": file.file.name, "date": file.file.date, "seq": file.file.numbers.map(|numbers| numbers.seq),
                "records": file.lines.len(), "bytes": file.bytes.len(), "content": records,
            })
        }).collect();
        let held: Vec<_> = made
            .held
            .iter()
            .map(|parked| json!({ "event": parked.event.id.to_string(), "reason": parked.reason.to_string() }))
            .collect();
        output::json(&json!({
            "drop": name, "files": files, "held": held,
            "refused": made.refused.as_ref().map(ToString::to_string),
        }))?;
    } else {
        if made.files.is_empty() && made.refused.is_none() {
            output::line("nothing would be sent")?;
        }
        for file in &made.files {
            let called = file.file.name.as_deref().unwrap_or("(no name)");
            output::line(&format!(
                "{called}: {} records, {} bytes, for {}",
                file.lines.len(),
                file.bytes.len(),
                file.file.date
            ))?;
            if to.is_none() {
                show(&drop, file)?;
            }
        }
        for parked in &made.held {
            output::line(&format!("held: {}: {}", parked.event.id, parked.reason))?;
        }
        if let Some(reason) = &made.refused {
            output::line(&format!("would not be cut: {reason}"))?;
        }
    }
    Ok(if made.refused.is_some() { Code::Data } else { Code::Ok })
}

/// A file's records, as a receiver reads them.
fn show(drop: &drop::Drop, file: &Previewed) -> Result<(), Failure> {
    match drop.feed.read(&file.bytes) {
        Ok(parsed) => {
            let parts = [("header", &parsed.header), ("detail", &parsed.details), ("trailer", &parsed.trailer)];
            for (part, records) in parts {
                for record in records {
                    let text = encoding::encode(record).unwrap_or_default();
                    output::line(&format!("  {part:<8} {}", String::from_utf8_lossy(&text)))?;
                }
            }
            Ok(())
        }
        Err(reason) => output::line(&format!("  (it cannot be shown: {reason}; --to FILE writes its bytes)")),
    }
}

/// Makes an old file again and compares it.
pub fn regenerate(place: &Place, again: Regenerate) -> Outcome {
    let Regenerate { drop: name, file: which, to, why } = &again;
    let config = place.config()?;
    let (mut state, known) = known(place, &config, name)?;
    let file = meant(&mut state, &known, which)?;
    let operation = Operation::Drop(FileOperation::Regenerate { drop: name.clone(), file: which.clone() });
    // A file of records is made for somebody: that is taken down before.
    let asked = if why.dry_run { Operation::DryRun { of: Box::new(operation) } } else { operation };
    let report = order::order(&config.settings, asked, why.reason.clone())?;
    if !report.refused.is_empty() {
        return done(place, &report);
    }
    let Some(hash) = file.config_hash else {
        return Err(Failure::new(Code::Data, format!("the file `{which}` was never cut")));
    };
    // The configuration of then, not of now: layouts and calendars with it.
    let text = state.read(|db| connector::config(db, &hash))?;
    let text = text.ok_or_else(|| Failure::new(Code::Data, "the configuration that cut it is not known any more"))?;
    let office = file.office.as_deref().unwrap_or(&config.settings.office);
    let drop = built(config::from_canonical_of(&text, office)?, &config, &mut state)?;
    let mut same = None;
    let mut make = |out: &mut dyn Write| -> std::io::Result<()> {
        let made = drop::regenerate(&drop, &file, &mut state, |bytes| out.write_all(bytes));
        same = Some(made.map_err(std::io::Error::other)?);
        Ok(())
    };
    match to.as_deref().filter(|_| !why.dry_run) {
        Some(to) => write(to, |out| make(out))?,
        None => make(&mut std::io::sink()).map_err(|error| Failure::new(Code::Failed, format!("{which}: {error}")))?,
    }
    let called = file.name.as_deref().unwrap_or(which);
    let made =
        to.as_deref().filter(|_| !why.dry_run).map_or_else(|| "made again".to_owned(), |to| to.display().to_string());
    match same {
        Some(Ok(true)) if place.json() => {
            output::json(&json!({ "drop": name, "file": called, "to": to, "same": true, "dryRun": why.dry_run }))?;
            Ok(Code::Ok)
        }
        Some(Ok(true)) => {
            output::line(&format!("{made}: the same bytes as {called}"))?;
            Ok(Code::Ok)
        }
        Some(Ok(false)) => {
            Err(Failure::new(Code::Data, format!("{made}: other bytes than {called} had; both cannot be right")))
        }
        Some(Err(reason)) => Err(Failure::new(Code::Data, format!("{called}: {reason}"))),
        None => Err(Failure::new(Code::Failed, "nothing was made")),
    }
}

/// Writes a file that holds records: its owner's alone.
fn write(to: &Path, work: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>) -> Result<(), Failure> {
    let mut options = std::fs::File::options();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(to);
    opened
        .and_then(|mut file| work(&mut file).and_then(|()| file.sync_all()))
        .map_err(|error| Failure::new(Code::CannotWrite, format!("{}: cannot be written: {error}", to.display())))
}

fn cannot(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Code::CannotWrite, format!("{what} cannot be made: {error}"))
}

fn built(
    spec: crate::config::connector::ConnectorSpec,
    config: &Config,
    state: &mut StateReader,
) -> Result<drop::Drop, Failure> {
    let secret = state.read(|db| fact(db, "mac_key"))?;
    Ok(build::drop(spec, &config.settings, secret)?)
}

/// The logs, to read from.
fn sources(config: &Config, state: &mut StateReader) -> Result<Sources, Failure> {
    let mut sources: Sources = Vec::new();
    for database in &config.settings.databases {
        let log = CapturedLog::open(&database.name, &database.path, Access::Read)?;
        let id = state.read(|db| logs::find(db, &database.name))?;
        let id =
            id.ok_or_else(|| Failure::new(Code::Data, format!("the log {} has not been read yet", database.name)))?;
        sources.push((id, Box::new(log)));
    }
    if let Some(id) = state.read(|db| logs::find(db, logs::INTAKE))? {
        sources.push((id, Box::new(Intake::new(StateReader::open(state.path())?))));
    }
    Ok(sources)
}
