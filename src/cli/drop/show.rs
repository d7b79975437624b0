//! `drop list` and `drop show`.

use serde::Serialize;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::status::standing;
use crate::cli::{Outcome, order, output};
use crate::clock;
use crate::config::Config;
use crate::engine::drop::{
    DropStatus, FileLine, MemberLine, ago, drop_status, file_line, member_lines, next_cut_of, shown_record,
};
use crate::engine::operate::several_are;
use crate::rules::governance::Gate;
use crate::store::state::connector::{self, Remembered};
use crate::store::state::drops::{self, DropFile};
use crate::store::state::{StateError, StateReader, holder};

/// A drop with what only its configuration tells.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(flatten)]
    status: DropStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cut: Option<String>,
}

/// All drops.
pub fn all(place: &Place) -> Outcome {
    let config = place.config()?;
    let mut state = match StateReader::open(&config.settings.state) {
        Ok(state) => Some(state),
        Err(StateError::Absent(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut lines = Vec::new();
    for spec in &config.drops {
        let found = match &mut state {
            None => None,
            Some(state) => state.read(|db| {
                let Some(known) = connector::find(db, &spec.name)? else { return Ok(None) };
                let status = drop_status(db, &known)?.unwrap_or_else(|| DropStatus::of(&known));
                Ok(Some((status, drops::last_cut(db, known.id)?)))
            })?,
        };
        let (status, last) = found.unwrap_or_else(|| (DropStatus::unknown(&spec.name), None));
        let next = spec.drop().and_then(|drop| next_cut_of(&drop.timing, last.as_ref(), clock::now()));
        lines.push(Line { status, next_cut: next.map(|cut| cut.at.to_string()) });
    }
    if place.json() {
        output::json(&lines)?;
        return Ok(Code::Ok);
    }
    if lines.is_empty() {
        output::line("no drop is configured: a connector with `adapter: sftp` or `directory` and `drop:` is one")?;
        return Ok(Code::Ok);
    }
    let next = |status: &DropStatus| {
        lines.iter().find(|line| line.status.drop == status.drop).and_then(|line| line.next_cut.clone())
    };
    rows(lines.iter().map(|line| &line.status), holder(&config.settings.state).is_some(), Some(&next))?;
    Ok(Code::Ok)
}

/// The drops at a glance, as `status` shows them.
pub fn table(drops: &[DropStatus], running: bool) -> Result<(), Failure> {
    rows(drops.iter(), running, None)
}

type NextCut<'n> = &'n dyn Fn(&DropStatus) -> Option<String>;

/// `running` = the agent does.
fn rows<'d>(
    drops: impl Iterator<Item = &'d DropStatus>,
    running: bool,
    next: Option<NextCut<'_>>,
) -> Result<(), Failure> {
    let mut header = vec!["DROP", "MODE", "LAST DATE", "SEQ", "PUBLISHED"];
    header.extend(next.map(|_| "NEXT CUT"));
    header.extend(["HELD", "REJECTED", "UNVERIFIED", "ANSWERS"]);
    let dash = || "-".to_owned();
    let row = |status: &DropStatus| {
        let age = status.last_published.as_deref().and_then(ago).map(|age| format!("{} ago", output::age(age)));
        let mut row = vec![
            status.drop.clone(),
            standing(status.mode, running).to_owned(),
            status.last_date.clone().unwrap_or_else(dash),
            status.last_seq.map_or_else(dash, |seq| seq.to_string()),
            age.unwrap_or_else(dash),
        ];
        row.extend(next.map(|next| next(status).unwrap_or_else(dash)));
        row.extend([status.held, status.rejected, status.unverified].map(|n| n.to_string()));
        row.push(answers(status));
        row
    };
    output::table(&header, drops.map(row).collect())
}

/// The answers that are missing, or need a person.
fn answers(status: &DropStatus) -> String {
    let words = [(status.pending, "pending"), (status.overdue, "overdue"), (status.quarantined, "put aside")];
    let words: Vec<String> = words.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// The drop of a name as the state file remembers it.
pub(super) fn known(place: &Place, config: &Config, name: &str) -> Result<(StateReader, Remembered), Failure> {
    let mut state = place.state(&config.settings)?;
    match state.read(|db| connector::find(db, name))? {
        Some(known) => Ok((state, known)),
        None => {
            let names: Vec<_> = config.drops.iter().map(|spec| spec.name.clone()).collect();
            if names.iter().any(|known| **known == *name) {
                return Err(Failure::new(Code::Data, format!("the drop `{name}` has not run yet")));
            }
            Err(order::unknown(name, &names))
        }
    }
}

/// The one file that is meant.
pub(super) fn meant(state: &mut StateReader, known: &Remembered, which: &str) -> Result<DropFile, Failure> {
    let mut found = state.read(|db| drops::meant(db, known.id, which))?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => {
            let text = format!(
                "{} has no file `{which}`: name its number, its business date, its name, or `file:N`",
                known.name
            );
            Err(Failure::new(Code::Data, text))
        }
        _ => Err(Failure::new(Code::Data, several_are(which, &found))),
    }
}

/// The files of a drop.
pub fn files(place: &Place, name: &str, limit: usize) -> Outcome {
    let config = place.config()?;
    let (mut state, known) = known(place, &config, name)?;
    let lines: Vec<FileLine> = state.read(|db| {
        let files = drops::newest(db, known.id, limit)?;
        files.iter().map(|file| file_line(db, file)).collect()
    })?;
    if place.json() {
        output::json(&lines)?;
        return Ok(Code::Ok);
    }
    if lines.is_empty() {
        output::line("no file yet")?;
        return Ok(Code::Ok);
    }
    let header = ["SEQ", "DATE", "NAME", "STATE", "ANSWER", "RECORDS", "BYTES", "SINCE", "OUTLETS"];
    let row = |line: &FileLine| {
        let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
        let outlets: Vec<String> =
            line.outlets.iter().map(|outlet| format!("{} {}", outlet.outlet, outlet.state)).collect();
        let state = if line.reason.is_some() { format!("{}, held", line.state) } else { line.state.to_owned() };
        let outlets = outlets.join(", ");
        vec![
            number(line.seq),
            line.date.clone(),
            line.name.clone().unwrap_or_else(|| "-".to_owned()),
            state,
            line.answer.unwrap_or("-").to_owned(),
            number(line.records),
            number(line.size),
            line.since.clone(),
            outlets,
        ]
    };
    output::table(&header, lines.iter().map(row).collect())?;
    Ok(Code::Ok)
}

/// A file with its lines.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    file: FileLine,
    totals: Option<serde_json::Value>,
    lines: Vec<MemberLine>,
}

/// One file.
pub fn file(place: &Place, name: &str, which: &str, limit: usize) -> Outcome {
    let config = place.config()?;
    let (mut state, known) = known(place, &config, name)?;
    let file = meant(&mut state, &known, which)?;
    let (line, mut lines) = state.read(|db| Ok((file_line(db, &file)?, member_lines(db, &file, limit)?)))?;
    let view = Gate::of_views(config.settings.governance.as_ref());
    lines.iter_mut().for_each(|line| line.record = shown_record(&line.record, &view));
    let totals = file.totals.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let whole = Whole { file: line, totals, lines };
    if place.json() {
        output::json(&whole)?;
        return Ok(Code::Ok);
    }
    let text = |name: &str, value: Option<String>| {
        value.map_or(Ok(()), |value| output::line(&format!("{:<10} {value}", format!("{name}:"))))
    };
    let line = &whole.file;
    text("number", line.seq.map(|seq| seq.to_string()))?;
    text("date", Some(line.date.clone()))?;
    text("name", line.name.clone())?;
    text("state", Some(format!("{} since {}", line.state, line.since)))?;
    text("answer", line.answer.map(str::to_owned))?;
    text("held", line.reason.clone())?;
    text("records", line.records.map(|n| n.to_string()))?;
    text("bytes", line.size.map(|n| n.to_string()))?;
    text("sha256", line.sha256.clone())?;
    if let Some(sent) = &line.encrypted {
        text("encrypted", Some(format!("{} bytes, sha256 {}", sent.size, sent.sha256)))?;
    }
    text("totals", whole.totals.as_ref().map(ToString::to_string))?;
    for outlet in &line.outlets {
        let why = outlet.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        output::line(&format!("outlet {}: {} since {}{why}", outlet.outlet, outlet.state, outlet.since))?;
    }
    for ack in &line.acks {
        let what = ack.reason.as_ref().map_or_else(String::new, |what| format!(": {what}"));
        output::line(&format!("answer {} of {}{what}", ack.name, ack.at))?;
    }
    if !whole.lines.is_empty() {
        output::line("")?;
        let row = |line: &MemberLine| {
            let answer = line.answer.clone().unwrap_or_else(|| "-".to_owned());
            vec![line.record.clone(), line.action.clone(), line.event.clone(), answer]
        };
        output::table(&["RECORD", "ACTION", "EVENT", "ANSWER"], whole.lines.iter().map(row).collect())?;
    }
    Ok(Code::Ok)
}
