//! What a drop's files tell the host of one change: which file has it, where that is, and what the host said.

use serde::Serialize;

use super::gather::record_key;
use crate::clock::Timestamp;
use crate::engine::operate::called;
use crate::event::{Event, EventId};
use crate::rules::hex::hex;
use crate::store::state::connector::Remembered;
use crate::store::state::drops::member::{self, Told};
use crate::store::state::drops::place::{self, PlaceState};
use crate::store::state::drops::{self, DropFile, FileState, ack, change};
use crate::store::state::{Db, Sql};

/// How far a change has come in a drop.
#[derive(Clone, Debug)]
pub struct Way {
    /// As a delivery would have it: `queued`, `delivered`, `held` or `discarded`.
    pub state: &'static str,
    /// What happened, in plain words.
    pub steps: Vec<(Timestamp, String)>,
}

/// The way of a change; none = no file has it.
pub fn way(db: &Db, known: &Remembered, event: &Event) -> Sql<Option<Way>> {
    let lines = member::of_record(db, known.id, &record_key(event))?;
    let own: Vec<&Told> = lines.iter().filter(|line| line.event == event.id.to_string()).collect();
    // Several changes of a record become one line, which has the name of the last of them.
    let with = |line: &&Told| {
        let id: Option<EventId> = line.event.parse().ok();
        id.is_some_and(|id| id.epoch == event.id.epoch && id.seq > event.seq())
    };
    let joined = lines.iter().find(with).filter(|_| own.is_empty());
    let mut way = Way { state: "queued", steps: Vec::new() };
    for line in own.iter().copied().chain(joined) {
        let Some(file) = drops::get(db, line.file)? else { continue };
        let name = file.name.clone().unwrap_or_else(|| format!("of {}", file.date));
        let together = match joined {
            Some(line) => format!(", together with the later change {}", line.event),
            None => String::new(),
        };
        let cut = format!("goes as `{}` in the file {name}, business date {}{together}", line.action, file.date);
        way.steps.push((file.created.unwrap_or(file.cut_at), cut));
        way.steps.extend(published(db, &file, &name)?);
        way.steps.extend(answered(db, &file, line)?);
        way.state = state(&file);
    }
    if way.steps.is_empty() {
        for id in change::carried_by(db, known.id, event.id)? {
            let Some(file) = drops::get(db, id)? else { continue };
            way.steps.push((file.since, format!("gathered for the file of {}", file.date)));
        }
    }
    Ok((!way.steps.is_empty()).then_some(way))
}

/// What a file tells of a record, and how far the file is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InFile {
    /// Which drop.
    pub drop: String,
    /// Number, business date and name.
    pub file: String,
    /// When it was cut.
    pub cut: String,
    /// `add`, `change`, `delete` or `message`.
    pub action: String,
    /// The event that gave the record's image.
    pub event: String,
    /// How far the file is, in the words of `drop list`.
    pub state: &'static str,
    /// SHA-256 of the file, once it is rendered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The places that have it, or may have it, and since when.
    pub places: Vec<InPlace>,
    /// What the host said of the record: `accepted` or `rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// And its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What a place has of a file.
#[derive(Clone, Debug, Serialize)]
pub struct InPlace {
    /// Its name.
    pub outlet: String,
    /// `waiting`, `published`, `unverified` or `held`.
    pub state: &'static str,
    /// Since when.
    pub since: String,
}

/// What the files of a drop tell of a record, by its key in the ledger, oldest first.
pub fn in_files(db: &Db, known: &Remembered, key: &str) -> Sql<Vec<InFile>> {
    let mut found = Vec::new();
    for line in member::of_record(db, known.id, key)? {
        let Some(file) = drops::get(db, line.file)? else { continue };
        let places = place::of(db, file.id)?.into_iter();
        let places =
            places.map(|at| InPlace { outlet: at.place, state: at.state.as_str(), since: at.since.to_string() });
        found.push(InFile {
            drop: known.name.clone(),
            file: called(&file),
            cut: file.created.unwrap_or(file.cut_at).to_string(),
            action: line.action,
            event: line.event,
            state: file.state.as_str(),
            sha256: file.sha256.map(|sha256| hex(&sha256)),
            places: places.collect(),
            answer: line.answer,
            code: line.code,
        });
    }
    Ok(found)
}

fn state(file: &DropFile) -> &'static str {
    match file.state {
        FileState::Open | FileState::Cut | FileState::Rendered => "queued",
        FileState::Refused => "held",
        FileState::Discarded => "discarded",
        FileState::Published | FileState::Acked | FileState::Partial | FileState::Purged | FileState::Skipped => {
            "delivered"
        }
    }
}

fn published(db: &Db, file: &DropFile, name: &str) -> Sql<Vec<(Timestamp, String)>> {
    let places = place::of(db, file.id)?.into_iter().map(|at| {
        let what = match at.state {
            PlaceState::Published => format!("{name} is at {}", at.place),
            PlaceState::Unverified => format!("nobody can say whether {name} is at {}", at.place),
            PlaceState::Waiting | PlaceState::Held => {
                let why = at.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("{name} is not at {} yet{why}", at.place)
            }
        };
        (at.since, what)
    });
    Ok(places.collect())
}

fn answered(db: &Db, file: &DropFile, line: &Told) -> Sql<Vec<(Timestamp, String)>> {
    let acks = ack::of_file(db, file.connector, file.id)?;
    let last = acks.last().map_or(file.since, |ack| ack.at);
    let mut steps: Vec<_> = acks
        .iter()
        .map(|ack| (ack.at, format!("the host answered for the file with {}: {}", ack.name, ack.word)))
        .collect();
    if let Some(answer) = &line.answer {
        let code = line.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        steps.push((last, format!("the host has {answer} the record{code}")));
    }
    Ok(steps)
}
