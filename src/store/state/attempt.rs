//! The attempt log: intents before the first byte leaves, outcomes after, packed by group.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};

use super::{ConnectorId, LogId, Sql, chain, connector, log as logs, parked};
use crate::clock::{self, Timestamp};
use crate::event::EventId;
use crate::rules::attempt::entries::{self, Kinds};
pub use crate::rules::attempt::{Intent, Settled, Word};
use crate::rules::chain::Body;

/// No group spans more than so many positions, so that the rows that can hold an event are found by a short range.
pub const SPAN: i64 = 4096;

/// Class of an intent that was not followed by a request.
pub const UNSENT: &str = "unsent";

const INTENT: &str = "intent";
const OUTCOME: &str = "outcome";

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

/// Under what the events of a group are sent.
#[derive(Clone, Copy, Debug)]
pub struct Under<'a> {
    /// The configuration that encoded them, by its hash.
    pub config: &'a [u8; 32],
    /// Scheme, host and port of the target.
    pub origin: &'a str,
}

/// Appends the intents of a group.
pub fn intend(
    db: &Connection,
    connector: ConnectorId,
    log: LogId,
    under: Under<'_>,
    now: Timestamp,
    group: &[Intent],
) -> Sql<()> {
    let names = Names::of(db, connector, log)?;
    each_row(
        group,
        |intent| intent.id,
        |intent| intent.joined,
        |rows, (low, high)| {
            let (mut kinds, mut packed) = (Kinds::default(), Vec::with_capacity(rows.len() * 31));
            rows.iter().for_each(|intent| entries::put_intent(intent, &mut kinds, &mut packed));
            let kinds = kinds.text();
            let body = Body::Intents {
                connector: &names.connector,
                log: &names.log,
                origin: Some(under.origin),
                config: Some(under.config),
                kinds: kinds.as_deref(),
                entries: &packed,
            };
            append(db, INTENT, (connector, log), (low, high), now, body)
        },
    )
}

/// Appends the outcomes of a group.
pub fn settle(db: &Connection, connector: ConnectorId, log: LogId, now: Timestamp, group: &[Settled]) -> Sql<()> {
    let names = Names::of(db, connector, log)?;
    each_row(
        group,
        |settled| settled.id,
        |_| false,
        |rows, (low, high)| {
            let mut packed = Vec::with_capacity(rows.len() * 100);
            rows.iter().for_each(|settled| entries::put_settled(settled, &mut packed));
            let body = Body::Outcomes { connector: &names.connector, log: &names.log, entries: &packed };
            append(db, OUTCOME, (connector, log), (low, high), now, body)
        },
    )
}

/// A row names both, so that it means the same outside this file.
struct Names {
    connector: String,
    log: String,
}

impl Names {
    fn of(db: &Connection, connector: ConnectorId, log: LogId) -> Sql<Names> {
        Ok(Names { connector: connector::name(db, connector)?, log: logs::name(db, log)? })
    }
}

/// Gives the events of a group by the rows that they are stored in, with the lowest and the highest position of each.
fn each_row<T>(
    group: &[T],
    id: impl Fn(&T) -> EventId,
    joined: impl Fn(&T) -> bool,
    mut row: impl FnMut(&[T], (i64, i64)) -> Sql<()>,
) -> Sql<()> {
    let mut rest = group;
    while let Some(first) = rest.first() {
        let (mut low, mut high) = (id(first).seq, id(first).seq);
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
            taken += request.len();
        }
        let (these, others) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
        row(these, (low, high))?;
        rest = others;
    }
    Ok(())
}

fn append(
    db: &Connection,
    phase: &str,
    (connector, log): (ConnectorId, LogId),
    (low, high): (i64, i64),
    now: Timestamp,
    body: Body<'_>,
) -> Sql<()> {
    let up = clock::uptime();
    let row = chain::next(db, now, up, body)?;
    let (origin, config, kinds, entries) = match &row.row.body {
        Body::Intents { origin, config, kinds, entries, .. } => (*origin, *config, *kinds, *entries),
        Body::Outcomes { entries, .. } => (None, None, None, *entries),
        Body::Act { .. } => return Ok(()),
    };
    db.prepare_cached(
        "INSERT INTO attempt(n, at, connector, log, phase, first_seq, last_seq, config_hash, entries, origin, kinds, up, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        row.row.n, now.0, connector.0, log.0, phase, low, high, config, entries, origin, kinds, up, row.hash
    ])?;
    Ok(())
}

/// Reads the entries of one row of `at, phase, config_hash, entries`; entries that cannot be read end the row.
fn each(row: &rusqlite::Row<'_>, mut line: impl FnMut(Line)) -> Sql<()> {
    let at = Timestamp(row.get(0)?);
    let intent = row.get_ref(1)?.as_str()? == INTENT;
    let config: Option<[u8; 32]> = row.get(2)?;
    let mut packed = row.get_ref(3)?.as_blob()?;
    // The types stand in a column of their own, which nobody needs here.
    let kinds = Kinds::default();
    while !packed.is_empty() {
        let read = if intent {
            entries::take_intent(&mut packed, &kinds).map(|intent| Line::Intent { at, intent, config })
        } else {
            entries::take_settled(&mut packed).map(|settled| Line::Outcome { at, settled })
        };
        match read {
            Some(read) => line(read),
            None => break,
        }
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

/// How far a group spans, in classes, as the index has it.
const CLASS: &str = "(CASE WHEN last_seq = first_seq THEN 0 WHEN last_seq - first_seq < 64 THEN 1 ELSE 2 END)";
/// How far those of each class reach. Of the first two there are many, so that their rows must be few.
const REACH: [i64; 3] = [0, 63, SPAN];

fn around(class: usize) -> String {
    format!(
        "SELECT at, phase, config_hash, entries, n FROM attempt WHERE connector = ?1 AND log = ?2 AND {CLASS} = {class}
           AND last_seq BETWEEN ?3 AND ?4 AND first_seq <= ?3"
    )
}

/// Every attempt of one event at one connector, oldest first.
pub fn of_event(db: &Connection, connector: ConnectorId, log: LogId, id: EventId) -> Sql<Vec<Line>> {
    let mut lines: Vec<(i64, Line)> = Vec::new();
    for (class, reach) in REACH.iter().enumerate() {
        let mut statement = db.prepare_cached(&around(class))?;
        let mut rows = statement.query((connector.0, log.0, id.seq, id.seq.saturating_add(*reach)))?;
        while let Some(row) = rows.next()? {
            let n = row.get(4)?;
            each(row, |line| {
                if line.id() == id {
                    lines.push((n, line));
                }
            })?;
        }
    }
    lines.sort_by_key(|(n, _)| *n);
    Ok(lines.into_iter().map(|(_, line)| line).collect())
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
        for class in 0..REACH.len() {
            let highest = format!(
                "SELECT at, phase, config_hash, entries FROM attempt WHERE connector = ?1 AND log = ?2 AND {CLASS} = {class}
                   AND phase = 'outcome' ORDER BY last_seq DESC LIMIT 100"
            );
            latest = latest.max(look(&highest, log)?);
        }
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

/// How many events of a log above a connector's cursor were delivered already, and are not parked.
pub fn delivered_above(db: &Connection, known: &connector::Remembered, log: LogId, cursor: i64) -> Sql<i64> {
    let parked: HashSet<EventId> = parked::ids_above(db, known.id, log, cursor)?.into_iter().collect();
    let traces = traces(db, known.id, log, known.settled)?;
    let delivered = traces.iter().filter(|(id, trace)| id.seq > cursor && trace.delivered && !parked.contains(id));
    Ok(i64::try_from(delivered.count()).unwrap_or(i64::MAX))
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
    use super::super::{State, connector, log, plan};
    use super::*;

    #[test]
    fn the_attempts_of_an_event_are_found_by_an_index_on_how_far_their_group_spans() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state.db")).unwrap();
        for class in 0..REACH.len() {
            let plan = state.read(|db| Ok(plan(db, &around(class)))).unwrap();
            assert_eq!(
                plan,
                [
                    "SEARCH attempt USING INDEX attempt_span (connector=? AND log=? AND <expr>=? AND last_seq>? AND last_seq<?)"
                ]
            );
        }
    }

    #[test]
    fn groups_of_every_span_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let id = |seq| EventId { epoch: 1, seq, nonce: 9 };
        state
            .commit(|db| {
                let connector = connector::remember(db, "vista")?.0.id;
                let log = log::remember(db, "office")?;
                for spans in
                    [vec![5], vec![5, 6], vec![5, 68], vec![5, 69], vec![1, 5], vec![5, 5 + SPAN], vec![900, 901]]
                {
                    let group: Vec<Settled> = spans.into_iter().map(|seq| settled(id(seq), Word::Retry)).collect();
                    settle(db, connector, log, Timestamp(group.len() as i64), &group)?;
                }
                assert_eq!(of_event(db, connector, log, id(5))?.len(), 6);
                assert_eq!(of_event(db, connector, log, id(901))?.len(), 1);
                assert_eq!(of_event(db, connector, log, id(700))?, []);
                Ok(())
            })
            .unwrap();
    }

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
                let intent = |seq, attempt| Intent {
                    id: id(seq),
                    attempt,
                    mac: [3; 8],
                    old_mac: None,
                    joined: false,
                    what: Some(("visits".into(), crate::event::Op::Update)),
                };
                let under = Under { config: &[5; 32], origin: "https://legacy.example" };
                intend(db, connector, log, under, Timestamp(1), &[intent(1, 1), intent(2, 1), intent(90_000, 1)])?;
                settle(
                    db,
                    connector,
                    log,
                    Timestamp(2),
                    &[settled(id(2), Word::Retry), settled(id(1), Word::Success)],
                )?;
                intend(db, connector, log, under, Timestamp(3), &[intent(2, 2)])?;
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
                let (connector, log) = (connector::remember(db, "vista")?.0.id, log::remember(db, "office")?);
                settle(db, connector, log, Timestamp(2), &[settled(EventId { epoch: 1, seq: 1, nonce: 1 }, Word::Halt)])
            })
            .unwrap();
        for change in [
            "UPDATE attempt SET at = 0",
            "DELETE FROM attempt",
            "INSERT OR REPLACE INTO attempt SELECT * FROM attempt",
            "UPDATE act SET at = 0",
            "DELETE FROM act",
            "INSERT OR REPLACE INTO act SELECT * FROM act",
        ] {
            let refused = state.commit(|db| db.execute(change, [])).unwrap_err().to_string();
            assert!(refused.contains("append only"), "{change}: {refused}");
        }
    }
}
