//! `drop run`, `resend`, `release`, `discard`, `accept`, `set-sequence`.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use super::show::{known, meant};
use super::{Discard, Release, Resend, Run, SetSequence, Which, Why};
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output};
use crate::config::Settings;
use crate::engine::drop::progress::watch;
use crate::engine::operate::{FileOperation, Operation, Refused, Report, called};
use crate::rules::outcome::Reason;
use crate::store::state::StateReader;
use crate::store::state::connector::{Mode, Remembered};
use crate::store::state::drops::place::{self, PlaceState};
use crate::store::state::drops::{self, DropFile, FileState};
use crate::store::state::parked::{self, Selection};

/// Cuts now. With an agent it only starts; without one it runs to its end.
pub fn run(place: &Place, run: Run) -> Outcome {
    if run.why.dry_run {
        return super::preview::preview(place, &run.drop, run.bus_date.as_deref(), None);
    }
    let config = place.config()?;
    let settings = config.settings.clone();
    let names: Vec<_> = config.drops.iter().map(|spec| spec.name.clone()).collect();
    if !names.iter().any(|name| **name == *run.drop) {
        return Err(order::unknown(&run.drop, &names));
    }
    let asked = FileOperation::Run { drop: run.drop.clone(), date: run.bus_date };
    if order::running(&settings.state)?.is_some() {
        let report = order::order(&settings, Operation::Drop(asked), run.why.reason)?;
        return done(place, &report);
    }
    // A drop that has never run is made known first.
    crate::daemon::agent::register(&config)?;
    let report = order::order(&settings, Operation::Drop(asked), run.why.reason)?;
    if !report.refused.is_empty() {
        return done(place, &report);
    }
    let newest_of = |state: &mut StateReader, known: &Remembered| state.read(|db| drops::newest(db, known.id, 1));
    let (mut state, before) = known(place, &config, &run.drop)?;
    let before = newest_of(&mut state, &before)?.first().map(|file| file.id);
    show_progress(place);
    let summary = order::run_drop(config, &run.drop)?;
    let (mut state, known) = known(place, &place.config()?, &run.drop)?;
    let files = newest_of(&mut state, &known)?;
    // One of before is not what was asked for.
    let newest = files.first().filter(|file| Some(file.id) != before || file.state == FileState::Open);
    if place.json() {
        let line = state.read(|db| newest.map(|file| crate::engine::drop::file_line(db, file)).transpose())?;
        output::json(
            &serde_json::json!({ "drop": run.drop, "file": line, "leftOff": summary.left_off.as_ref().map(ToString::to_string) }),
        )?;
    } else if let Some(file) = newest {
        output::line(&format!("{} {}: {}", run.drop, called(file), file.state.as_str()))?;
    }
    if summary.broken {
        return Ok(Code::Disk);
    }
    if newest.is_some_and(|file| file.held.is_some()) {
        return Ok(Code::Failed);
    }
    if matches!(known.mode, Mode::Halted | Mode::Paused) {
        let why = known.reason.map_or_else(String::new, |reason| format!(": {reason}"));
        return Err(Failure::new(Code::Failed, format!("{} is {}{why}", run.drop, known.mode.as_str())));
    }
    left_off(&mut state, &run.drop, newest, summary.left_off.as_ref())?;
    if newest.is_none() {
        return Err(Failure::new(Code::Temporary, format!("{}: nothing was cut; the log says why", run.drop)));
    }
    Ok(Code::Ok)
}

/// Where a file stands still: 1 when a person is needed at a place, which does not go by trying again; else 75.
fn left_off(
    state: &mut StateReader,
    drop: &str,
    file: Option<&DropFile>,
    reason: Option<&Reason>,
) -> Result<(), Failure> {
    let places = state.read(|db| file.map(|file| place::of(db, file.id)).transpose())?.unwrap_or_default();
    if let Some(at) = places.iter().find(|at| matches!(at.state, PlaceState::Held | PlaceState::Unverified)) {
        let why = at.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        return Err(Failure::new(Code::Failed, format!("{drop} at {}: {}{why}", at.place, at.state.as_str())));
    }
    match reason {
        Some(reason) => Err(Failure::new(Code::Temporary, format!("{drop}: {reason}"))),
        None => Ok(()),
    }
}

/// A bar for each long step, on a terminal.
fn show_progress(place: &Place) {
    if !std::io::stderr().is_terminal() || place.quiet() {
        return;
    }
    let style = ProgressStyle::with_template("{msg:<20} {bar:40} {pos}/{len} {eta}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    watch(move |step| {
        if bar.message() != step.step || step.done < bar.position() {
            // Each step begins anew, and with it what is left of it is guessed anew.
            bar.reset();
            bar.set_message(step.step.to_owned());
        }
        bar.set_length(step.of);
        bar.set_position(step.done);
        if step.done >= step.of {
            bar.finish_and_clear();
        }
    });
}

/// Sends a file again, or its lines in a new one.
pub fn resend(place: &Place, resend: Resend) -> Outcome {
    let Resend { which: Which { drop, file, why }, outlet, as_new, record } = resend;
    if why.reason.is_none() && !why.dry_run {
        let text = "a file is sent again for a reason: say it with --reason TEXT, it is kept in the audit";
        return Err(Failure::new(Code::Usage, text));
    }
    let operation = if as_new {
        FileOperation::AsNew { drop: drop.clone(), file: file.clone(), keys: record }
    } else {
        FileOperation::Resend { drop: drop.clone(), file: file.clone(), outlet }
    };
    ask(place, operation, &file, why)
}

/// Takes a file for published.
pub fn accept(place: &Place, which: Which) -> Outcome {
    let Which { drop, file, why } = which;
    ask(place, FileOperation::Accept { drop, file: file.clone() }, &file, why)
}

/// Sets the number of the next file.
pub fn set_sequence(place: &Place, set: SetSequence) -> Outcome {
    let config = place.config()?;
    known(place, &config, &set.drop)?;
    let operation = FileOperation::SetSequence { drop: set.drop, seq: set.seq, again: set.again };
    order(place, &config.settings, Operation::Drop(operation), set.why)
}

/// Has it done, or says what would be.
pub(super) fn order(place: &Place, settings: &Settings, operation: Operation, why: Why) -> Outcome {
    if why.dry_run {
        return dry(place, settings, operation);
    }
    done(place, &order::order(settings, operation, why.reason)?)
}

/// Says what would be done, and what would be refused.
fn dry(place: &Place, settings: &Settings, operation: Operation) -> Outcome {
    let what = match &operation {
        Operation::Drop(FileOperation::Resend { .. }) => "would be sent again where it is not",
        Operation::Drop(FileOperation::AsNew { .. }) => "would go",
        Operation::Drop(FileOperation::Accept { .. }) => "would be taken for published",
        Operation::Drop(FileOperation::Dismiss { .. }) => "would count as dealt with",
        Operation::Drop(FileOperation::SetSequence { .. }) => "would be set",
        Operation::Retry { .. } => "would go with the next file",
        _ => "would be given up",
    };
    let mut report = order::order(settings, Operation::DryRun { of: Box::new(operation) }, None)?;
    if !place.json() {
        report.done.iter_mut().for_each(|subject| *subject = format!("{subject}: {what}"));
    }
    done(place, &report)
}

/// Gives up a file, or held rows.
pub fn discard(place: &Place, discard: Discard) -> Outcome {
    let Discard { drop, file, event, why } = discard;
    if let Some(file) = file {
        return ask(place, FileOperation::Discard { drop, file: file.clone() }, &file, why);
    }
    let which = Selection { connector: Some(drop), ids: event, ..Selection::default() };
    rows(place, which, why, |which| Operation::Discard { which })
}

/// Lets held rows, and records that the host has refused, go with the next file.
pub fn release(place: &Place, release: Release) -> Outcome {
    let Release { drop, events, why } = release;
    let which = Selection { connector: Some(drop), ids: events, ..Selection::default() };
    rows(place, which, why, |which| Operation::Retry { which, stale: true })
}

fn rows(place: &Place, which: Selection, why: Why, operation: impl FnOnce(Selection) -> Operation) -> Outcome {
    let config = place.config()?;
    let (mut state, _) = known(place, &config, which.connector.as_deref().unwrap_or_default())?;
    if why.dry_run && !place.json() {
        for (_, parked) in state.read(|db| parked::select(db, &which))? {
            output::line(&format!("{} is {}: {}", parked.event.id, parked.state.as_str(), parked.reason))?;
        }
    }
    order(place, &config.settings, operation(which), why)
}

/// Does it with one file, which must be there.
fn ask(place: &Place, operation: FileOperation, file: &str, why: Why) -> Outcome {
    let config = place.config()?;
    let (mut state, known) = known(place, &config, operation.drop())?;
    let mut found = meant(&mut state, &known, file)?;
    if why.dry_run {
        return dry(place, &config.settings, Operation::Drop(operation));
    }
    let settings = config.settings.clone();
    let goes = matches!(operation, FileOperation::Resend { .. } | FileOperation::AsNew { .. });
    let is_new = matches!(operation, FileOperation::AsNew { .. });
    let drop = operation.drop().to_owned();
    let report = order::order(&settings, Operation::Drop(operation), why.reason)?;
    show_progress(place);
    if goes && report.refused.is_empty() && order::running(&settings.state)?.is_none() {
        let summary = order::run_drop(config, &drop)?;
        if let Some(newest) = state.read(|db| drops::newest(db, known.id, 1))?.pop().filter(|_| is_new) {
            found = newest;
        }
        left_off(&mut state, &drop, Some(&found), summary.left_off.as_ref())?;
    }
    done(place, &report)
}

pub(super) fn done(place: &Place, report: &Report) -> Outcome {
    if place.json() {
        output::json(report)?;
    } else {
        report.done.iter().try_for_each(|subject| output::line(subject))?;
        for Refused { subject, why } in &report.refused {
            eprintln!("{subject}: {why}");
        }
        if report.done.is_empty() && report.refused.is_empty() {
            output::line("nothing fits")?;
        }
    }
    Ok(if report.refused.is_empty() { Code::Ok } else { Code::Data })
}
