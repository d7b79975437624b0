//! Whether a drop's files are answered, and when an answer is late: noted by its worker, for whoever has no configuration.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::state::drops::{DropFile, FileState};
use crate::store::state::{ConnectorId, Db, Sql, note, set_note};

/// In the place of a number of milliseconds: an answer is never late.
const NEVER: &str = "never";

/// Whether a drop's files are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// They are not.
    No,
    /// They are, and are late after so long; none = never.
    Yes(Option<Duration>),
}

/// How far the answer to a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is waited for.
    Pending,
    /// It should be there.
    Overdue,
}

impl Answer {
    /// The word in `drop list`.
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Pending => "pending",
            Answer::Overdue => "overdue",
        }
    }
}

fn name(connector: ConnectorId) -> String {
    format!("drop/{}/answers", connector.0)
}

/// The note of what was seen of answers that are not read yet.
pub(super) fn sights(connector: ConnectorId) -> String {
    format!("drop/{}/sights", connector.0)
}

/// Notes whether a drop's files are answered.
pub(in crate::engine::drop) fn set(db: &Db, connector: ConnectorId, awaited: Awaited) -> Sql<()> {
    let text = match awaited {
        Awaited::No => String::new(),
        Awaited::Yes(None) => NEVER.to_owned(),
        Awaited::Yes(Some(limit)) => limit.as_millis().to_string(),
    };
    set_note(db, &name(connector), &text)
}

/// Whether a drop's files are answered.
pub fn get(db: &Db, connector: ConnectorId) -> Sql<Awaited> {
    Ok(match note(db, &name(connector))?.as_deref() {
        None | Some("") => Awaited::No,
        Some(text) => Awaited::Yes(text.parse().ok().map(Duration::from_millis)),
    })
}

impl Awaited {
    /// How far the answer to a file is; none = none is waited for.
    pub fn answer(self, file: &DropFile, now: Timestamp) -> Option<Answer> {
        match self {
            Awaited::Yes(limit) if file.state == FileState::Published => {
                let late = limit.is_some_and(|limit| now.since(file.since) >= limit);
                Some(if late { Answer::Overdue } else { Answer::Pending })
            }
            _ => None,
        }
    }
}
