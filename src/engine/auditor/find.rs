//! What of a record went where, when, and with what result: found by the hash of its key, not by the key.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom};

use serde::Serialize;

use super::{AuditError, Trail};
use crate::engine::archive::Piece;
use crate::format::segment::{Form, Wanted, member};
use crate::format::trail::{Line, Sort, lines};
use crate::rules::chain::Row;
use crate::rules::hex::hex;

/// One attempt: what was about to be sent, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The number of its record.
    pub n: i64,
    /// When it was about to be sent.
    pub at: String,
    /// By which connector.
    pub connector: String,
    /// Scheme, host and port of the target.
    pub origin: Option<String>,
    /// Log of the event.
    pub log: String,
    /// Event id.
    pub event: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What happened.
    pub op: Option<String>,
    /// The how manieth attempt.
    pub attempt: u32,
    /// Hash of the connector's configuration.
    pub config: Option<String>,
    /// Who: `system`.
    pub actor: String,
    /// What came of it; none = not known yet.
    #[serde(flatten)]
    pub result: Option<Answer>,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// When that was known.
    pub answered: String,
    /// The word of the outcome.
    pub outcome: String,
    /// HTTP status.
    pub status: Option<u16>,
    /// Class of the failure.
    pub class: Option<String>,
    /// Microseconds from first byte out to last byte in.
    pub duration_us: u32,
    /// Body bytes out.
    pub bytes_out: u32,
    /// Body bytes in.
    pub bytes_in: u32,
    /// SHA-256 of the request.
    pub request: Option<String>,
    /// SHA-256 of the answer's body.
    pub answer: Option<String>,
}

/// What was done to an event that is no attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// The number of its record.
    pub n: i64,
    /// When.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What.
    pub verb: String,
    /// At which connector.
    pub connector: Option<String>,
    /// Event id.
    pub event: String,
    /// Why.
    pub reason: Option<String>,
}

/// Everything of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct History {
    /// Attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Other acts upon its events, oldest first.
    pub acts: Vec<Deed>,
}

type Owned = Line<'static>;

/// Looks for the records with one of these hashes.
///
/// # Errors
/// The trail cannot be read.
pub fn find(trail: &mut Trail, macs: &[[u8; 8]]) -> Result<History, AuditError> {
    let texts: Vec<String> = macs.iter().map(|mac| hex(mac)).collect();
    let is_meant = |line: &Line<'_>| {
        let has = |mac: &Option<std::borrow::Cow<'_, str>>| {
            mac.as_ref().is_some_and(|mac| texts.iter().any(|text| *text == **mac))
        };
        line.kind == Sort::Intent && (has(&line.record) || has(&line.old_record))
    };
    let wanted: Vec<Wanted> = macs.iter().map(|mac| Wanted::Mac(*mac)).collect();
    let intents = gather(trail, &wanted, is_meant)?;
    let ids: std::collections::BTreeSet<String> =
        intents.iter().filter_map(|line| line.event.as_deref().map(str::to_owned)).collect();
    let seq = |id: &String| id.parse::<crate::event::EventId>().ok().map(|id| Wanted::Position(id.seq));
    let wanted: Vec<Wanted> = ids.iter().filter_map(seq).collect();
    let others = gather(trail, &wanted, |line| {
        let of = match line.kind {
            Sort::Outcome => &line.event,
            Sort::Act => &line.subject,
            _ => return false,
        };
        of.as_deref().is_some_and(|id| ids.contains(id))
    })?;
    Ok(join(intents, others))
}

/// The lines that are meant, from the members of the archive to which its indexes lead, and from the state file.
fn gather(
    trail: &mut Trail,
    wanted: &[Wanted],
    is_meant: impl Fn(&Line<'_>) -> bool,
) -> Result<Vec<Owned>, AuditError> {
    let mut found = Vec::new();
    let mut row = |bytes: &[u8], hash: &[u8; 32]| {
        if let Some(row) = Row::read(bytes) {
            lines(&row, hash, |line| {
                if is_meant(&line) {
                    found.push(owned(line));
                }
            });
        }
    };
    for piece in trail.pieces() {
        let told = |error| AuditError::Piece { name: piece.name(), error };
        match offsets(piece, wanted) {
            Some((form, offsets)) => {
                for offset in offsets {
                    let mut file = BufReader::new(File::open(&piece.path)?);
                    file.seek(SeekFrom::Start(offset))?;
                    member(form, file, &mut row).map_err(told)?;
                }
            }
            // Without its index a piece is read as a whole.
            None => {
                let mut reader = piece.open().map_err(told)?;
                while let crate::format::segment::Piece::Row(bytes, hash) = reader.read_on().map_err(told)? {
                    row(bytes, &hash);
                }
            }
        }
    }
    trail.open_rows(&mut row)?;
    Ok(found)
}

fn offsets(piece: &Piece, wanted: &[Wanted]) -> Option<(Form, Vec<u64>)> {
    let mut index = piece.index()?;
    let mut offsets = Vec::new();
    for wanted in wanted {
        offsets.extend(index.find(*wanted)?);
    }
    offsets.sort_unstable();
    offsets.dedup();
    Some((index.form(), offsets))
}

fn owned(line: Line<'_>) -> Owned {
    let own = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| text.into_owned().into());
    Line {
        at: line.at.into_owned().into(),
        actor: line.actor.into_owned().into(),
        connector: own(line.connector),
        log: own(line.log),
        event: own(line.event),
        type_: own(line.type_),
        op: own(line.op),
        record: own(line.record),
        old_record: own(line.old_record),
        origin: own(line.origin),
        config: own(line.config),
        outcome: own(line.outcome),
        class: own(line.class),
        request: own(line.request),
        answer: own(line.answer),
        verb: own(line.verb),
        subject: own(line.subject),
        reason: own(line.reason),
        hash: own(line.hash),
        n: line.n,
        up: line.up,
        kind: line.kind,
        attempt: line.attempt,
        joined: line.joined,
        status: line.status,
        duration_us: line.duration_us,
        bytes_out: line.bytes_out,
        bytes_in: line.bytes_in,
    }
}

/// Puts each outcome to the last intent of its event before it.
fn join(intents: Vec<Owned>, others: Vec<Owned>) -> History {
    let text = |text: Option<std::borrow::Cow<'_, str>>| text.map(std::borrow::Cow::into_owned);
    let mut history = History::default();
    let mut all: Vec<Owned> = intents.into_iter().chain(others).collect();
    all.sort_by_key(|line| line.n);
    let mut open: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in all {
        let connector = text(line.connector).unwrap_or_default();
        match line.kind {
            Sort::Intent => {
                let event = text(line.event).unwrap_or_default();
                open.insert((connector.clone(), event.clone()), history.attempts.len());
                history.attempts.push(Attempt {
                    n: line.n,
                    at: line.at.into_owned(),
                    connector,
                    origin: text(line.origin),
                    log: text(line.log).unwrap_or_default(),
                    event,
                    kind: text(line.type_),
                    op: text(line.op),
                    attempt: line.attempt.unwrap_or_default(),
                    config: text(line.config),
                    actor: line.actor.into_owned(),
                    result: None,
                });
            }
            Sort::Outcome => {
                let event = text(line.event).unwrap_or_default();
                let attempt = open.remove(&(connector, event)).and_then(|at| history.attempts.get_mut(at));
                if let Some(attempt) = attempt {
                    attempt.result = Some(Answer {
                        answered: line.at.into_owned(),
                        outcome: text(line.outcome).unwrap_or_default(),
                        status: line.status,
                        class: text(line.class),
                        duration_us: line.duration_us.unwrap_or_default(),
                        bytes_out: line.bytes_out.unwrap_or_default(),
                        bytes_in: line.bytes_in.unwrap_or_default(),
                        request: text(line.request),
                        answer: text(line.answer),
                    });
                }
            }
            Sort::Act => history.acts.push(Deed {
                n: line.n,
                at: line.at.into_owned(),
                actor: line.actor.into_owned(),
                verb: text(line.verb).unwrap_or_default(),
                connector: Some(connector).filter(|name| !name.is_empty()),
                event: text(line.subject).unwrap_or_default(),
                reason: text(line.reason),
            }),
            Sort::Begin | Sort::End => {}
        }
    }
    history
}
