//! Applying an answer: one commit, all of it or nothing.
//!
//! A rejected record becomes a dead letter, made from the copy of its change: it goes with the next file when the record
//! changes again, or when a person releases it. When a later file tells of the record too, that one's answer counts and
//! no dead letter is made, so that nothing old is ever sent behind something newer.

use std::fmt;

use super::aside;
use super::aside::{is_or_repeats, subject};
use super::understand::{Plan, Word};
use crate::clock::{self, Timestamp};
use crate::engine::drop::gather::join;
use crate::engine::drop::{Drop, Extract, entry};
use crate::event::Event;
use crate::rules::answer::{Said, Whole, class, host_has};
use crate::rules::hex::hex;
use crate::rules::outcome::Reason;
use crate::store::state::act::{self, Act};
use crate::store::state::counter::{self, Counter};
use crate::store::state::drops::ack::{self, Line};
use crate::store::state::drops::{self, DropFile, FileId, FileState, change, member};
use crate::store::state::parked::{self, Parked, ParkedState};
use crate::store::state::{ConnectorId, Db, LogId, Sql};

/// Lines looked at at once.
const CHUNK: usize = 1000;

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It was applied before.
    Known,
    /// Its file is on its way still.
    Later,
    /// It is applied.
    Done(Tally),
}

/// What a file's lines came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) pending: u64,
    /// Rejected ones of which no dead letter could be made: their changes are not kept any more.
    pub(super) lost: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accepted, {} rejected", self.accepted, self.rejected)?;
        if self.pending > 0 {
            write!(f, ", {} not answered", self.pending)?;
        }
        if self.lost > 0 {
            write!(f, "; {} rejected changes are not kept any more: send their records again", self.lost)?;
        }
        Ok(())
    }
}

/// Applies an answer. A reason says why it cannot be: nothing has changed then.
pub(super) fn apply(
    db: &Db,
    drop: &Drop,
    connector: ConnectorId,
    (plan, whole): (&Plan, Option<&Word>),
    mut read: ack::Ack,
) -> Sql<Result<Applied, Reason>> {
    let before = ack::known(db, connector, &read.sha256)?;
    if before.is_some_and(|before| before.word != aside::QUARANTINED) {
        return Ok(Ok(Applied::Known));
    }
    let Some(file) = read.file.map(|id| drops::get(db, id)).transpose()?.flatten() else {
        return Ok(Err(Reason::new("unknown-file", "its file is gone")));
    };
    if matches!(file.state, FileState::Cut | FileState::Rendered) {
        return Ok(Ok(Applied::Later));
    }
    drops::or_nothing(db, || {
        let any_parked = parked::counts(db, connector)?.into_iter().any(|(_, count)| count > 0);
        let run = Run { db, drop, connector, file: &file, any_parked, now: clock::now() };
        let mut tally = match run.lines(plan)? {
            Ok(lost) => Tally { lost, ..tally(db, file.id)? },
            Err(reason) => return Ok(Err(reason)),
        };
        run.mend_what_the_host_has()?;
        let empty = tally.accepted + tally.rejected + tally.pending == 0;
        let state = match (Whole::of(tally.accepted, tally.rejected, tally.pending), whole.map(|word| word.said)) {
            (Whole::Accepted, _) => FileState::Acked,
            (Whole::Partial, _) => FileState::Partial,
            (Whole::Refused, _) => FileState::Refused,
            (Whole::Open, Some(Said::Rejected)) if empty => FileState::Refused,
            (Whole::Open, _) if empty => FileState::Acked,
            (Whole::Open, _) => FileState::Published,
        };
        if state != file.state {
            drops::set_state(db, file.id, state, run.now)?;
        }
        if state != FileState::Published {
            change::forget(db, file.id)?;
        }
        tally.lost = tally.lost.min(tally.rejected);
        let reason = format!("{} (sha256 {}): {tally}", read.name, hex(&read.sha256));
        act::record(
            db,
            &Act {
                actor: "system",
                verb: "drop acknowledge",
                connector: Some(connector),
                subject: Some(&subject(&file)),
                reason: Some(&reason),
            },
            run.now,
        )?;
        read.word = state.as_str().to_owned();
        read.reason = Some(tally.to_string());
        ack::remember(db, connector, &read)?;
        Ok(Ok(Applied::Done(tally)))
    })
}

/// How many lines of a file have which answer.
fn tally(db: &Db, file: FileId) -> Sql<Tally> {
    let answers = member::answers(db, file)?;
    let of = |word: &str| answers.iter().filter(|(answer, _)| answer == word).map(|(_, n)| n).sum::<u64>();
    let (accepted, rejected) = (of(Said::Accepted.as_str()), of(Said::Rejected.as_str()));
    let all: u64 = answers.iter().map(|(_, n)| n).sum();
    Ok(Tally { accepted, rejected, pending: all - accepted - rejected, lost: 0 })
}

/// The state of a file that was published once more, by the answers that it has had.
pub(in crate::engine::drop) fn state(db: &Db, connector: ConnectorId, file: FileId) -> Sql<FileState> {
    let Tally { accepted, rejected, pending, .. } = tally(db, file)?;
    Ok(match Whole::of(accepted, rejected, pending) {
        Whole::Accepted => FileState::Acked,
        Whole::Partial => FileState::Partial,
        Whole::Refused => FileState::Refused,
        Whole::Open if pending > 0 => FileState::Published,
        // Without a line the answer itself is all there is.
        Whole::Open => {
            let last = ack::of_file(db, connector, file)?.pop();
            last.and_then(|last| FileState::parse(&last.word)).unwrap_or(FileState::Published)
        }
    })
}

struct Run<'r> {
    db: &'r Db,
    drop: &'r Drop,
    connector: ConnectorId,
    file: &'r DropFile,
    /// Whether there may be a dead letter at all.
    any_parked: bool,
    now: Timestamp,
}

impl Run<'_> {
    /// Notes what was said of each line. Gives how many rejected changes are not kept any more.
    fn lines(&self, plan: &Plan) -> Sql<Result<u64, Reason>> {
        let (mut after, mut lost, mut nth) = (i64::MIN, 0, 0_u64);
        loop {
            let lines = ack::lines(self.db, self.file.id, after, CHUNK)?;
            let Some(last) = lines.last() else { return Ok(Ok(lost)) };
            after = last.ordinal;
            for line in &lines {
                nth += 1;
                let (word, aloud) = match (plan.lines.get(&line.ordinal), &plan.rest) {
                    (Some(word), _) => (word, true),
                    (None, Some(word)) => (word, plan.aloud),
                    (None, None) => continue,
                };
                match line.answer.as_deref().map(Said::parse) {
                    Some(Some(before)) if before == word.said || !aloud => continue,
                    // An accepted record never goes again by itself, and one that was rejected may be on its way again.
                    Some(_) => {
                        let text = format!("it says of line {nth} other than an answer before it");
                        return Ok(Err(Reason::new("contradiction", text)));
                    }
                    None => {}
                }
                member::answer(self.db, self.file.id, line.ordinal, word.said.as_str(), word.code.as_deref())?;
                match word.said {
                    Said::Rejected => lost += u64::from(!self.reject(line, word)?),
                    Said::Accepted => self.accept(line)?,
                }
            }
        }
    }

    /// Makes a dead letter of a rejected line. False = its change is not kept any more.
    fn reject(&self, line: &Line, word: &Word) -> Sql<bool> {
        let (db, connector) = (self.db, self.connector);
        let is_message = line.action == "message";
        if !is_message && ack::told_later(db, connector, self.count()?, &line.key)? {
            return Ok(true);
        }
        let text = word.text.clone().unwrap_or_else(|| "the host has rejected it".to_owned());
        let reason = Reason::new(class(word.code.as_deref()), text);
        let copy = if self.drop.content.extract == Extract::Snapshot {
            member::mirror_of(db, connector, &line.key)?.filter(|(_, last)| last.id.to_string() == line.event)
        } else {
            match ack::carried(db, connector, &line.event, &line.key)? {
                // It is on its way again.
                Some((carrier, ..)) if !is_or_repeats(self.file, carrier) => return Ok(true),
                found => found.and_then(|(_, log, copy)| Some((log, copy?))),
            }
        };
        let before = parked::find(db, connector, &line.event)?;
        let (log, event): (LogId, Event) = match (copy, &before) {
            (Some((log, event)), None) => (log, event),
            // A change of a key has two halves: both go again, as what they were together.
            (Some((log, event)), Some(before)) => (log, join(event, &before.event)),
            (None, Some(before)) => (before.log, before.event.clone()),
            (None, None) => return Ok(false),
        };
        let dead = Parked::new(event, log, ParkedState::Dead, reason, self.now);
        parked::park(db, connector, &dead)?;
        entry::park(db, connector, &dead)?;
        if before.is_none() {
            // It was counted as delivered when its file was published.
            counter::add(db, connector, Counter::Repeated, 1)?;
            counter::add(db, connector, Counter::Dead, 1)?;
        }
        Ok(true)
    }

    /// What the host has rejected before and takes now, of a rerun or of a file that was sent again, is no dead letter.
    fn accept(&self, line: &Line) -> Sql<()> {
        if !self.any_parked {
            return Ok(());
        }
        let Some(before) = parked::find(self.db, self.connector, &line.event)? else { return Ok(()) };
        // Released and not gone yet, it need not go any more.
        let waits = matches!(before.state, ParkedState::Dead | ParkedState::Waiting);
        if waits && before.reason.class.starts_with("host-") {
            parked::end(self.db, self.connector, &before.event, clock::steady())?;
            counter::add(self.db, self.connector, Counter::Delivered, 1)?;
        }
        Ok(())
    }

    /// The count of the file, or of the one that it repeats.
    fn count(&self) -> Sql<u64> {
        let root = match self.file.rerun_of {
            Some(root) => drops::get(self.db, root)?.and_then(|root| root.numbers),
            None => None,
        };
        Ok(root.or(self.file.numbers).map_or(0, |numbers| numbers.n))
    }

    /// A rejected add means that the host does not have the record, a rejected delete that it has it still.
    fn mend_what_the_host_has(&self) -> Sql<()> {
        if self.drop.content.extract == Extract::Snapshot {
            return Ok(());
        }
        for key in ack::doubtful(self.db, self.connector, self.file.id)? {
            let trail = ack::trail(self.db, self.connector, &key)?;
            let told = trail.iter().map(|(action, answer)| (action.as_str(), answer.as_deref().and_then(Said::parse)));
            if let Some(has) = host_has(told) {
                member::set_has(self.db, self.connector, &key, has)?;
            }
        }
        Ok(())
    }
}
