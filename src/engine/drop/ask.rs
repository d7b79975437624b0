//! Asking a drop's hook about each record before the cut: the cut itself is one transaction and waits for nobody.
//!
//! What the hook has said is remembered by the question itself until the file is cut, so that a hook that goes down in the
//! middle is not asked about the first half again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::cut::Cut;
use super::worker::{StepError, Worker};
use super::{Drop, Extract};
use crate::adapter::hook::Asker;
use crate::adapter::sha256;
use crate::clock;
use crate::event::{Event, EventId, Op, Record};
use crate::format::hook as encoding;
use crate::rules::governance::Cleared;
use crate::rules::governance::hook::{NO_ANSWER, Question, Verdict};
use crate::rules::outcome::Reason;
use crate::store::state::drops::{self, FileId, change, member};
use crate::store::state::{ConnectorId, Db, Sql};

/// Records that are asked about before the next are looked for.
const CHUNK: usize = 2000;
/// So many failures of one question, and so many answers to others since its first, show that the question is to blame.
const OWN_FAULT: u64 = 3;
/// Class of the reason of a record that came in after all others were asked about.
const UNASKED: &str = "unasked";

/// What a hook has said, by the hash of the question.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts(HashMap<[u8; 32], Verdict>);

/// A drop's side towards its hook.
#[derive(Debug)]
pub(super) struct Asking {
    asker: Asker,
    verdicts: Arc<Verdicts>,
    /// How often in a row there was no answer.
    failures: u32,
    answered: u64,
    /// Questions without an answer: how often, and how many others had one before the first time.
    silent: HashMap<[u8; 32], (u64, u64)>,
    /// When it is asked again.
    pub(super) again: Option<clock::Timestamp>,
}

impl Asking {
    /// None when the drop has no hook.
    pub(super) fn of(drop: &Drop) -> Option<Asking> {
        let hook = drop.hook.as_ref()?;
        Some(Asking {
            asker: hook.asker(),
            verdicts: Arc::default(),
            failures: 0,
            answered: 0,
            silent: HashMap::new(),
            again: None,
        })
    }

    /// What was said so far.
    pub(super) fn verdicts(&self) -> Arc<Verdicts> {
        Arc::clone(&self.verdicts)
    }

    /// The file is cut: nothing is asked about its records any more.
    pub(super) fn forget(&mut self) {
        (self.verdicts, self.again) = (Arc::default(), None);
        self.silent.clear();
    }
}

/// A record to be asked about.
struct Line {
    id: EventId,
    op: Op,
    kind: Arc<str>,
    cleared: Cleared,
    classes: Vec<(String, String)>,
}

impl Line {
    fn of(drop: &Drop, event: &Event, cleared: Cleared) -> Line {
        let classes = drop.subscription.classes(event, &[]);
        Line { id: event.id, op: event.op, kind: Arc::clone(&event.kind), cleared, classes }
    }

    fn with<T>(&self, connector: &str, ask: impl FnOnce(Question<'_>) -> T) -> T {
        let id = self.id.to_string();
        ask(Question {
            number: 0,
            connector,
            id: &id,
            kind: &self.kind,
            op: self.op,
            payload: self.cleared.record(),
            fields: self.cleared.fields(),
            classes: &self.classes,
        })
    }

    fn hash(&self, connector: &str) -> [u8; 32] {
        self.with(connector, |question| sha256(&encoding::question(&question)))
    }
}

/// The record that leaves for a change that has passed the gate; `verdicts` = what the hook has said, none = nobody is
/// asked.
///
/// # Errors
/// The hook refuses it, or has no answer to it alone; it is held, or waits for the next file.
pub(super) fn judged(
    drop: &Drop,
    event: &Event,
    cleared: Cleared,
    verdicts: Option<&Verdicts>,
) -> Result<Record, Reason> {
    let Some(Verdicts(verdicts)) = verdicts else { return Ok(cleared.record().clone()) };
    let line = Line::of(drop, event, cleared);
    match verdicts.get(&line.hash(&drop.subscription.name)) {
        Some(Verdict::Allow) => Ok(line.cleared.record().clone()),
        Some(Verdict::Change(record)) => Ok(record.clone()),
        Some(Verdict::Refuse(reason)) => Err(reason.clone()),
        None => Err(Reason::new(UNASKED, "the hook was not asked yet")),
    }
}

/// Whether a record was met that was not asked about: the file is not cut then.
pub(super) fn is_unasked(reason: &Reason) -> bool {
    reason.class == UNASKED
}

impl Worker {
    /// Asks about every record of a file that has gathered everything, and cuts it. A reason says why it is not cut.
    pub(super) fn cut_asked(&mut self, file: FileId) -> Result<Result<Cut, Reason>, StepError> {
        let made = loop {
            match self.ask_all(file)? {
                Ok(()) => match self.cut(file)? {
                    Err(reason) if is_unasked(&reason) => {}
                    made => break made,
                },
                Err(reason) if reason.class == NO_ANSWER => {
                    let held = reason.clone();
                    self.ledger.call(move |state| state.commit(|db| drops::hold(db, file, Some(&held))))?;
                    break Err(reason);
                }
                Err(reason) => break Err(reason),
            }
        };
        if let (Ok(_), Some(asking)) = (&made, &mut self.asking) {
            asking.forget();
        }
        Ok(made)
    }

    /// Asks about every record that a file is about to have. A reason says why that did not come to its end.
    fn ask_all(&mut self, file: FileId) -> Result<Result<(), Reason>, StepError> {
        let Some(mut asking) = self.asking.take() else { return Ok(Ok(())) };
        let asked = self.ask_with(&mut asking, file);
        self.asking = Some(asking);
        asked
    }

    fn ask_with(&mut self, asking: &mut Asking, file: FileId) -> Result<Result<(), Reason>, StepError> {
        let (id, drop) = (self.id, Arc::clone(&self.drop));
        let name = Arc::clone(&drop.subscription.name);
        loop {
            let verdicts = asking.verdicts();
            let lines = self.reader.read(|db| unasked(db, &drop, id, file, &verdicts))?;
            // The only other hand that holds them.
            std::mem::drop(verdicts);
            if lines.is_empty() {
                return Ok(Ok(()));
            }
            for line in lines {
                if self.is_told_to_stop() {
                    return Ok(Err(Reason::new("stopped", "the agent stops")));
                }
                let hash = line.hash(&name);
                match line.with(&name, |question| asking.asker.ask(question)) {
                    Ok(verdict) => {
                        asking.answered += 1;
                        asking.failures = 0;
                        asking.silent.remove(&hash);
                        Arc::make_mut(&mut asking.verdicts).0.insert(hash, verdict);
                    }
                    Err(reason) => {
                        let answered = asking.answered;
                        let (times, before) = asking.silent.entry(hash).or_insert((0, answered));
                        *times += 1;
                        if *times >= OWN_FAULT && answered >= *before + OWN_FAULT {
                            // It alone finds no answer: the others do not wait for it.
                            Arc::make_mut(&mut asking.verdicts).0.insert(hash, Verdict::Refuse(reason));
                            continue;
                        }
                        asking.failures = asking.failures.saturating_add(1);
                        if asking.failures > 1 || *times > 1 {
                            let delay = drop.retry.delay(asking.failures, 0.5 + self.dice.f64() / 2.0);
                            asking.again = Some(clock::steady().plus(delay));
                            return Ok(Err(reason));
                        }
                    }
                }
            }
        }
    }
}

/// Records that a cut would send and that were not asked about, some of them at once. What does not pass the gate is not
/// shown to anybody.
fn unasked(db: &Db, drop: &Drop, connector: ConnectorId, file: FileId, verdicts: &Verdicts) -> Sql<Vec<Line>> {
    let mut lines = Vec::new();
    let mut look = |event: &Event| {
        if lines.len() < CHUNK
            && let Ok(cleared) = drop.subscription.clear(event, &[])
        {
            let line = Line::of(drop, event, cleared);
            if !verdicts.0.contains_key(&line.hash(&drop.subscription.name)) {
                lines.push(line);
            }
        }
        lines.len() < CHUNK
    };
    match drop.content.extract {
        Extract::Changes => change::each_record(db, connector, file, |key, changes| {
            let had = member::has(db, connector, key)?;
            let ops: Vec<_> = changes.iter().map(|change| change.op).collect();
            let sent = drop.content.coalesce.decide(&ops, had).lines;
            sent.iter().filter_map(|line| changes.get(line.image)).for_each(|change| {
                look(&change.event);
            });
            Sql::Ok(())
        })?,
        Extract::Snapshot => {
            let mut changed = HashSet::new();
            change::each_record(db, connector, file, |key, changes| {
                changed.insert(key.to_owned());
                changes.last().filter(|last| last.op != Op::Delete).map(|last| look(&last.event));
                Sql::Ok(())
            })?;
            let mut after: Option<String> = None;
            loop {
                let records = member::mirrored(db, connector, after.as_deref(), CHUNK)?;
                let Some((last, ..)) = records.last() else { break };
                after = Some(last.clone());
                let kept = records.iter().filter(|(key, ..)| !changed.contains(key));
                if !kept.fold(true, |room, (_, _, event)| room && look(event)) {
                    break;
                }
            }
        }
    }
    Ok(lines)
}
