//! The attempt log: intents before the first byte leaves, outcomes after, packed by group.

mod entries;

use std::collections::HashMap;

use rusqlite::{Connection, params};

use entries::each;

use super::{ConnectorId, LogId, Sql};
use crate::clock::Timestamp;
use crate::event::EventId;

/// No group spans more than so many positions, so that the rows that can hold an event are found by a short range.
pub const SPAN: i64 = 4096;

const INTENT: &str = "intent";
const OUTCOME: &str = "outcome";

/// Class of an attempt that was intended and not made after all.
pub const UNSENT: &str = "unsent";

/// An event that is about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which event.
    pub id: EventId,
    /// Its how manieth attempt, from 1.
    pub attempt: u32,
    /// Keyed hash of the record's lane: finds the record without holding its key.
    pub mac: [u8; 8],
    /// It goes in one request with the intent before it.
    pub joined: bool,
}

/// Events that went in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    /// Which request: a number that no other one has as long as the agent runs.
    pub request: u64,
    /// How many events it had.
    pub of: usize,
    /// The position of the last of them.
    pub last: i64,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which event.
    pub id: EventId,
    /// What came of it.
    pub word: Word,
    /// HTTP status; 0 = no answer.
    pub status: u16,
    /// Microseconds from first byte out to last byte in.
    pub took_us: u32,
    /// Body bytes out and in.
    pub bytes: (u32, u32),
    /// SHA-256 of the request; of several, over theirs.
    pub request_hash: [u8; 32],
    /// SHA-256 of the answer's body; zeros = none.
    pub answer_hash: [u8; 32],
    /// Class of the failure; empty = none.
    pub class: String,
}

impl Settled {
    /// The outcome of an attempt to which no answer is known: `class` says why.
    pub fn unanswered(id: EventId, word: Word, class: &str) -> Settled {
        Settled {
            id,
            word,
            status: 0,
            took_us: 0,
            bytes: (0, 0),
            request_hash: [0; 32],
            answer_hash: [0; 32],
            class: class.to_owned(),
        }
    }
}

/// The outcome words of the contract, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Word {
    Success = 1,
    SuccessWithRemarks = 2,
    Duplicate = 3,
    Conflict = 4,
    Retry = 5,
    Reauth = 6,
    Reject = 7,
    Halt = 8,
    Unknown = 9,
}

impl Word {
    const ALL: [(Word, &'static str); 9] = [
        (Word::Success, "success"),
        (Word::SuccessWithRemarks, "success_with_remarks"),
        (Word::Duplicate, "duplicate"),
        (Word::Conflict, "conflict"),
        (Word::Retry, "retry"),
        (Word::Reauth, "reauth"),
        (Word::Reject, "reject"),
        (Word::Halt, "halt"),
        (Word::Unknown, "unknown"),
    ];

    /// From an outcome's word.
    pub fn of(word: &str) -> Word {
        Word::ALL.iter().find(|(_, text)| *text == word).map_or(Word::Unknown, |(word, _)| *word)
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        Word::ALL.iter().find(|(word, _)| *word == self).map_or("unknown", |(_, text)| text)
    }

    /// Whether the target has the event.
    pub fn is_delivered(self) -> bool {
        matches!(self, Word::Success | Word::SuccessWithRemarks | Word::Duplicate)
    }

    fn from_byte(byte: u8) -> Word {
        Word::ALL.iter().find(|(word, _)| *word as u8 == byte).map_or(Word::Unknown, |(word, _)| *word)
    }
}

/// Appends the intents of a group; the highest attempt number given to them.
pub fn intend(
    db: &Connection,
    connector: ConnectorId,
    log: LogId,
    config: &[u8; 32],
    now: Timestamp,
    group: &[Intent],
) -> Sql<()> {
    append(
        db,
        INTENT,
        connector,
        log,
        Some(config),
        now,
        group,
        |intent| intent.id,
        |intent| intent.joined,
        entries::put_intent,
    )
}

/// Appends the outcomes of a group.
pub fn settle(db: &Connection, connector: ConnectorId, log: LogId, now: Timestamp, group: &[Settled]) -> Sql<()> {
    append(db, OUTCOME, connector, log, None, now, group, |settled| settled.id, |_| false, entries::put_settled)
}

#[allow(clippy::too_many_arguments)]
fn append<T>(
    db: &Connection,
    phase: &str,
    connector: ConnectorId,
    log: LogId,
    config: Option<&[u8; 32]>,
    now: Timestamp,
    group: &[T],
    id: impl Fn(&T) -> EventId,
    joined: impl Fn(&T) -> bool,
    write: impl Fn(&T, &mut Vec<u8>),
) -> Sql<()> {
    let mut rest = group;
    while let Some(first) = rest.first() {
        let (mut low, mut high) = (id(first).seq, id(first).seq);
        let mut entries = Vec::with_capacity(rest.len() * 32);
        let mut taken = 0;
        while let Some(item) = rest.get(taken) {
            // What goes in one request stands in one row.
            let with = rest.iter().skip(taken + 1).take_while(|item| joined(item)).count();
            let request = rest.get(taken..=taken + with).unwrap_or_default();
            let (lowest, highest) = request
                .iter()
                .map(|item| id(item).seq)
                .fold((id(item).seq, id(item).seq), |(lowest, highest), seq| (lowest.min(seq), highest.max(seq)));
            if taken > 0 && highest.max(high) - lowest.min(low) > SPAN {
                break;
            }
            (low, high) = (low.min(lowest), high.max(highest));
            request.iter().for_each(|item| write(item, &mut entries));
            taken += request.len();
        }
        db.prepare_cached(
            "INSERT INTO attempt(at, connector, log, phase, first_seq, last_seq, config_hash, entries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![now.0, connector.0, log.0, phase, low, high, config, entries])?;
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(())
}

/// The number of the last row of the attempt log.
pub fn last(db: &Connection) -> Sql<i64> {
    db.prepare_cached("SELECT ifnull(max(n), 0) FROM attempt")?.query_row([], |row| row.get(0))
}

/// Goes on through the intents of a log after attempt number `after`: the number of the last row, and the highest
/// event of an epoch among them. It is the witness that shows a restored file.
pub fn highest_intent(db: &Connection, log: LogId, epoch: u32, after: i64) -> Sql<(i64, Option<EventId>)> {
    let mut highest: Option<EventId> = None;
    let mut last = after;
    let mut statement = db.prepare_cached(
        "SELECT at, phase, config_hash, entries, n FROM attempt WHERE n > ?2 AND log = ?1 AND phase = 'intent' ORDER BY n",
    )?;
    let mut rows = statement.query((log.0, after))?;
    while let Some(row) = rows.next()? {
        last = row.get(4)?;
        each(row, |line| {
            let id = line.id();
            if id.epoch == epoch && highest.is_none_or(|known| known.seq < id.seq) {
                highest = Some(id);
            }
        })?;
    }
    Ok((last, highest))
}

/// One line of an event's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// It was about to be sent.
    Intent {
        /// When.
        at: Timestamp,
        /// The how manieth attempt.
        intent: Intent,
        /// Under which configuration.
        config: Option<[u8; 32]>,
    },
    /// What came of it.
    Outcome {
        /// When.
        at: Timestamp,
        /// What.
        settled: Settled,
    },
}

/// Every attempt of one event at one connector, oldest first.
pub fn of_event(db: &Connection, connector: ConnectorId, log: LogId, id: EventId) -> Sql<Vec<Line>> {
    let mut lines = Vec::new();
    let mut statement = db.prepare_cached(
        "SELECT at, phase, config_hash, entries FROM attempt
         WHERE connector = ?1 AND log = ?2 AND last_seq BETWEEN ?3 AND ?4 AND first_seq <= ?3 ORDER BY n",
    )?;
    let mut rows = statement.query((connector.0, log.0, id.seq, id.seq.saturating_add(SPAN)))?;
    while let Some(row) = rows.next()? {
        each(row, |line| {
            if line.id() == id {
                lines.push(line);
            }
        })?;
    }
    Ok(lines)
}

/// Rows of the attempt log that are looked through for the last delivery of a connector.
const RECENT: i64 = 2000;

/// When a connector last delivered something: among the newest rows of the attempt log, else among those of the highest
/// positions it has tried.
pub fn last_delivered(db: &Connection, connector: ConnectorId) -> Sql<Option<Timestamp>> {
    let look = |sql: &str, second: i64| -> Sql<Option<Timestamp>> {
        let mut latest = None;
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query((connector.0, second))?;
        while let Some(row) = rows.next()? {
            each(row, |line| match line {
                Line::Outcome { at, settled } if settled.word.is_delivered() => latest = latest.max(Some(at)),
                _ => {}
            })?;
        }
        Ok(latest)
    };
    let recent = look(
        "SELECT at, phase, config_hash, entries FROM attempt
         WHERE n > ?2 AND connector = ?1 AND phase = 'outcome'",
        last(db)?.saturating_sub(RECENT),
    )?;
    if recent.is_some() {
        return Ok(recent);
    }
    let mut latest = None;
    let logs: Vec<i64> =
        db.prepare_cached("SELECT id FROM log")?.query_map([], |row| row.get(0))?.collect::<Sql<_>>()?;
    for log in logs {
        latest = latest.max(look(
            "SELECT at, phase, config_hash, entries FROM attempt
             WHERE connector = ?1 AND log = ?2 AND phase = 'outcome' ORDER BY last_seq DESC LIMIT 100",
            log,
        )?);
    }
    Ok(latest)
}

/// What is known of an event above the cursor after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Attempts that were begun.
    pub attempts: u32,
    /// The target has it.
    pub delivered: bool,
    /// The target may have it: the outcome of an attempt is not known, and no later answer has settled that. A refusal
    /// for the time being (503) does not.
    pub unknown: bool,
    /// An attempt was begun and nothing at all was noted of it: the agent was stopped in between.
    pub open: bool,
    /// The configuration of the last attempt.
    pub config: Option<[u8; 32]>,
    /// What it went together with at the last attempt, when it did.
    pub together: Option<Together>,
}

/// The traces that a connector's attempts above `settled` left in a log, by event.
pub fn traces(db: &Connection, connector: ConnectorId, log: LogId, settled: i64) -> Sql<HashMap<EventId, Trace>> {
    let mut traces: HashMap<EventId, Trace> = HashMap::new();
    let mut statement = db.prepare_cached(
        "SELECT at, phase, config_hash, entries FROM attempt WHERE n > ?3 AND connector = ?1 AND log = ?2 ORDER BY n",
    )?;
    let mut rows = statement.query((connector.0, log.0, settled))?;
    // Requests of this run are numbered from the bottom, those of earlier ones from the middle.
    let mut request = Together { request: 1 << 63, of: 0, last: 0 };
    let mut requests: HashMap<u64, Together> = HashMap::new();
    while let Some(row) = rows.next()? {
        each(row, |line| {
            let trace = traces.entry(line.id()).or_default();
            match line {
                Line::Intent { intent, config, .. } => {
                    if !intent.joined {
                        request = Together { request: request.request + 1, of: 0, last: i64::MIN };
                    }
                    (request.of, request.last) = (request.of + 1, request.last.max(intent.id.seq));
                    if intent.joined {
                        requests.insert(request.request, request);
                    }
                    trace.together = Some(request);
                    trace.attempts = trace.attempts.max(intent.attempt);
                    trace.open = true;
                    trace.config = config;
                }
                Line::Outcome { settled, .. } => {
                    trace.unknown = match settled.word {
                        Word::Unknown => true,
                        Word::Retry | Word::Reauth | Word::Halt => trace.unknown,
                        _ => false,
                    };
                    trace.open = false;
                    trace.delivered |= settled.word.is_delivered();
                }
            }
        })?;
    }
    for trace in traces.values_mut() {
        trace.unknown |= trace.open;
        trace.together = trace.together.and_then(|went| requests.get(&went.request)).copied();
    }
    Ok(traces)
}

impl Line {
    fn id(&self) -> EventId {
        match self {
            Line::Intent { intent, .. } => intent.id,
            Line::Outcome { settled, .. } => settled.id,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{State, connector, log};
    use super::*;

    fn settled(id: EventId, word: Word) -> Settled {
        Settled {
            id,
            word,
            status: 503,
            took_us: 1234,
            bytes: (300, 20),
            request_hash: [7; 32],
            answer_hash: [0; 32],
            class: "http-503".into(),
        }
    }

    #[test]
    fn every_attempt_of_an_event_is_found_again_whatever_group_it_stood_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let id = |seq| EventId { epoch: 1, seq, nonce: 9 };
        let lines = state
            .commit(|db| {
                let connector = connector::remember(db, "vista")?.0.id;
                let log = log::remember(db, "office")?;
                let intent = |seq, attempt| Intent { id: id(seq), attempt, mac: [3; 8], joined: false };
                intend(db, connector, log, &[5; 32], Timestamp(1), &[intent(1, 1), intent(2, 1), intent(90_000, 1)])?;
                settle(
                    db,
                    connector,
                    log,
                    Timestamp(2),
                    &[settled(id(2), Word::Retry), settled(id(1), Word::Success)],
                )?;
                intend(db, connector, log, &[5; 32], Timestamp(3), &[intent(2, 2)])?;
                let traces = traces(db, connector, log, 0)?;
                assert!(traces[&id(1)].delivered && !traces[&id(1)].unknown);
                assert!(traces[&id(2)].unknown && traces[&id(2)].attempts == 2);
                assert_eq!(traces[&id(90_000)].config, Some([5; 32]));
                of_event(db, connector, log, id(2))
            })
            .unwrap();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1], Line::Outcome { at: Timestamp(2), settled: settled(id(2), Word::Retry) });
    }

    #[test]
    fn the_attempt_log_cannot_be_changed() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state
            .commit(|db| {
                settle(
                    db,
                    ConnectorId(1),
                    LogId(1),
                    Timestamp(2),
                    &[settled(EventId { epoch: 1, seq: 1, nonce: 1 }, Word::Halt)],
                )
            })
            .unwrap();
        assert!(state.commit(|db| db.execute("UPDATE attempt SET at = 0", [])).is_err());
    }
}
