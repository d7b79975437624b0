//! In which files of a drop a change went, for the history of its record.

use serde::Serialize;

use crate::event::EventId;
use crate::store::state::drops::change;
use crate::store::state::drops::member::{self, Member};
use crate::store::state::drops::{self, FileState};
use crate::store::state::{ConnectorId, Db, Sql};

/// A file that carries a change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Carried {
    /// Its number, from the cut on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Business date.
    pub date: String,
    /// Name, from the cut on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How far it is, in the words of `drop list`.
    pub state: &'static str,
    /// Since when.
    pub since: String,
    /// What it tells the host of the record: none where its changes come to nothing.
    pub lines: Vec<CarriedLine>,
}

/// A line of such a file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CarriedLine {
    /// `add`, `change`, `delete` or `message`.
    pub action: String,
    /// What the host said of it: `accepted`, `rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The host's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl From<Member> for CarriedLine {
    fn from(member: Member) -> CarriedLine {
        let (answer, code) = member.answer.map_or((None, None), |(answer, code)| (Some(answer), code));
        CarriedLine { action: member.action, answer, code }
    }
}

/// The files that carry an event, oldest first.
pub fn carried(db: &Db, connector: ConnectorId, event: EventId) -> Sql<Vec<Carried>> {
    let mut files = Vec::new();
    for id in change::carried_by(db, connector, event)? {
        let Some(file) = drops::get(db, id)? else { continue };
        let mut lines = Vec::new();
        for key in change::records_in(db, connector, id, event)? {
            lines.extend(member::of_key(db, id, &key)?.into_iter().map(CarriedLine::from));
        }
        files.push(Carried {
            seq: file.numbers.map(|numbers| numbers.seq),
            date: file.date,
            name: file.name,
            state: file.state.as_str(),
            since: file.since.to_string(),
            lines,
        });
    }
    Ok(files)
}

/// Where a change stands that these files carry, in the words for every connector.
pub fn stands(files: &[Carried]) -> &'static str {
    let in_state =
        |states: &[FileState]| files.iter().any(|file| states.iter().any(|state| state.as_str() == file.state));
    if in_state(&[FileState::Open]) {
        "queued"
    } else if in_state(&[FileState::Cut, FileState::Rendered]) {
        "sending"
    } else if files.iter().all(|file| file.state == FileState::Discarded.as_str()) {
        "discarded"
    } else if files.iter().all(|file| file.state == FileState::Skipped.as_str()) {
        "skipped"
    } else {
        "delivered"
    }
}
