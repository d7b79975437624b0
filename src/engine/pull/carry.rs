//! Carrying out a page: the plan, the rows, what is agreed on then (`docs/decisions/0028-a-pulled-page-is-planned-first.md`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::planned::{self, Agree, Planned};
use super::{PullError, Worker};
use crate::clock::{self, Timestamp};
use crate::event::{Op, Record, Value};
use crate::rules::conflict::{Unit, Verdict};
use crate::rules::outcome::Reason;
use crate::rules::pull::clock::Offsets;
use crate::store::capture::{Act, Applied, Change, GUARD, Part, SUB_BATCH};
use crate::store::state::act::{self, Act as Deed};
use crate::store::state::conflict::{self, Knowing, Subject};
use crate::store::state::counter::{self, Series};
use crate::store::state::pull::base::{self, Base, Both};
use crate::store::state::pull::item::{self, Aside, Item};
use crate::store::state::pull::lately::{self, Lately};
use crate::store::state::pull::{self, Any, change, sent};
use crate::store::state::{ConnectorId, Db, Sql, link};

/// After somebody else was seen to write, the file is left alone for so long between two transactions,
const PAUSE: Duration = Duration::from_millis(50);
/// for so long.
const BESIDE: Duration = Duration::from_secs(1);
/// Events that are read at once to find what was applied before a kill.
const EVENTS: usize = 1000;

/// What came of a page's items.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub written: u64,
    pub deleted: u64,
    pub echo: u64,
    pub again: u64,
    pub refused: u64,
    pub held: u64,
}

impl Tally {
    pub(super) fn words(&self) -> [(&'static str, u64); 6] {
        [
            ("written", self.written),
            ("deleted", self.deleted),
            ("echo", self.echo),
            ("again", self.again),
            ("refused", self.refused),
            ("held", self.held),
        ]
    }

    pub(super) fn add_up(&mut self, other: &Tally) {
        self.written += other.written;
        self.deleted += other.deleted;
        self.echo += other.echo;
        self.again += other.again;
        self.refused += other.refused;
        self.held += other.held;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let some: Vec<String> =
            self.words().iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}")).collect();
        f.write_str(if some.is_empty() { "nothing" } else { "" })?;
        f.write_str(&some.join(", "))
    }
}

/// What is to be done for the items of a page.
#[derive(Default)]
pub(super) struct Batch {
    /// What is to be done.
    pub plan: Vec<Planned>,
    /// Decisions that are logged, by the record's key as JSON, with what was known when they were made.
    pub verdicts: Vec<(String, Verdict, Knowing)>,
    /// Records that stood aside, and need not.
    pub quiet: Vec<String>,
    /// So many are decided again, with what is there then.
    pub again: u64,
}

/// What became of an item, and the end of the log then.
type Outcome = (Applied, i64);

impl Worker {
    /// Carries a page out; `cursor` = where the next run begins then. False = it stopped in the midst, because an item was
    /// refused and order counts.
    pub(super) fn carry(&mut self, batch: Batch, cursor: Option<String>) -> Result<(bool, Tally), PullError> {
        let Batch { plan, verdicts, quiet, .. } = batch;
        let n = self.pull.n + 1;
        if !plan.is_empty() || !verdicts.is_empty() || !quiet.is_empty() {
            let (id, bytes) = (self.id, planned::encode(&plan, cursor.as_deref()));
            let (table, kind) = (self.inlet.policy.table.clone(), self.site.kind.clone());
            let some = !plan.is_empty();
            // What is sent for it must name the version that was seen, and may be sent before the page is finished.
            let told: Vec<_> = plan
                .iter()
                .filter(|planned| planned.change.tell && !planned.change.key.is_empty())
                .filter(|planned| planned.mapped.deleted || !planned.mapped.links.is_empty())
                .map(|planned| (self.site.identity(&planned.change.key), planned.mapped.links.clone()))
                .collect();
            self.ledger.call(move |state| {
                state.commit(|db| {
                    let now = clock::now();
                    let subject = |key| Subject { connector: id, table: &table, kind: &kind, key };
                    // The values of whoever loses are kept before they are overwritten.
                    for (key, verdict, knowing) in &verdicts {
                        conflict::settle(db, &subject(key), verdict, knowing, now)?;
                    }
                    for key in &quiet {
                        conflict::settle(db, &subject(key), &Verdict::default(), &Knowing::default(), now)?;
                        item::end(db, id, key)?;
                    }
                    for (key, links) in &told {
                        link::keep(db, id, &kind, key, links)?;
                    }
                    if some { pull::plan(db, id, n, &bytes) } else { Ok(()) }
                })
            })?;
            self.pull.n += i64::from(some);
        }
        if plan.is_empty() && cursor.is_none() {
            return Ok((true, Tally::default()));
        }
        self.perform(n, plan, cursor, Vec::new())
    }

    /// Finishes a page that a kill has cut off.
    pub(super) fn recover(&mut self) -> Result<(), PullError> {
        let id = self.id;
        let Some((n, bytes)) = self.reader.read(|db| pull::planned(db, id))? else { return Ok(()) };
        let (plan, cursor) = planned::decode(&bytes)?;
        let mark = self.log.mark(&self.inlet.name)?.filter(|mark| mark.page == n).unwrap_or_default();
        log::warn!(
            connector:% = self.inlet.name;
            "{}: page {n} was cut off after {} of {} changes; it is finished now", self.inlet.name, mark.done, plan.len()
        );
        let done = self.applied_before(&plan, mark.done, &mark.given)?;
        self.pull.n = n;
        self.perform(n, plan, cursor, done).map(drop)
    }

    /// What became of the changes that were done before a kill: the log tells it.
    fn applied_before(
        &mut self,
        plan: &[Planned],
        done: usize,
        given: &BTreeMap<usize, i64>,
    ) -> Result<Vec<Outcome>, PullError> {
        if done == 0 {
            return Ok(Vec::new());
        }
        let mut after = plan.iter().map(|planned| planned.seq).min().unwrap_or(0);
        let mut told: HashMap<String, (Option<Record>, i64)> = HashMap::new();
        loop {
            let events = self.log.read(after, EVENTS, usize::MAX)?;
            let Some(last) = events.last() else { break };
            after = last.seq();
            let mine = |event: &&crate::event::Event| {
                event.kind == self.site.kind && event.origin.as_deref() == Some(&*self.inlet.name)
            };
            for event in events.iter().filter(mine) {
                let key: Vec<Value> = event.key.iter().map(|(_, value)| value.clone()).collect();
                let row = event.after.clone().filter(|_| event.op != Op::Delete);
                told.insert(self.site.identity(&key), (row, event.seq()));
            }
        }
        let mut outcomes = Vec::with_capacity(done);
        for (place, planned) in plan.iter().take(done).enumerate() {
            let key = match given.get(&place) {
                Some(given) if planned.change.key.is_empty() => vec![Value::Integer(*given)],
                _ => planned.change.key.clone(),
            };
            let outcome = match (told.get(&self.site.identity(&key)), &planned.change.act) {
                (_, Act::Keep) => Applied::Done { key, row: planned.change.expect.clone(), altered: false },
                (Some((row, _)), _) => Applied::Done { key, row: row.clone(), altered: false },
                // It was refused, or the log was full.
                (None, _) => Applied::Moved,
            };
            let seq = told.get(&self.site.identity(&planned.change.key)).map_or(planned.seq, |(_, seq)| *seq);
            outcomes.push((outcome, seq));
        }
        Ok(outcomes)
    }

    /// Applies what is left of a page, and finishes it.
    fn perform(
        &mut self,
        n: i64,
        mut plan: Vec<Planned>,
        cursor: Option<String>,
        mut done: Vec<Outcome>,
    ) -> Result<(bool, Tally), PullError> {
        let changes: Vec<Change> = plan
            .iter_mut()
            .map(|planned| {
                let unused =
                    Change { key: Vec::new(), expect: None, act: Act::Keep, tell: planned.change.tell, guarded: false };
                std::mem::replace(&mut planned.change, unused)
            })
            .collect();
        let mut first = true;
        let (mut all, table) = (true, self.inlet.table.clone());
        while done.len() < changes.len() || (first && changes.is_empty()) {
            let at = done.len();
            let most = if self.inlet.strict_order { 1 } else { SUB_BATCH };
            let some = changes.get(at..changes.len().min(at + most)).unwrap_or_default();
            let is_last = at + some.len() == changes.len();
            if !std::mem::replace(&mut first, false)
                && self.beside.is_some_and(|seen| clock::steady().since(seen) < BESIDE)
            {
                std::thread::sleep(PAUSE);
            }
            let part = Part {
                connector: &self.inlet.name,
                table: &table,
                columns: &self.site.columns,
                page: n,
                first: at,
                changes: some,
                cursor: cursor.as_deref().filter(|_| is_last),
                guard: self.inlet.policy.guard.as_ref().map(|guard| guard.sql.as_str()),
            };
            let came = self.log.apply(&part)?;
            if came.beside {
                self.beside = Some(clock::steady());
            }
            let seq = came.seq;
            done.extend(came.applied.into_iter().map(|applied| (applied, seq)));
            if self.inlet.strict_order && done.last().is_some_and(|(last, _)| !matches!(last, Applied::Done { .. })) {
                all = false;
                break;
            }
        }
        // What is agreed on must not be taken back by a power cut.
        self.log.sync_wal()?;
        if all && cursor.is_some() {
            self.cursor.clone_from(&cursor);
            self.pull.book.moved = Some(clock::now().0);
        }
        let tally = self.finish(n, plan, changes, done)?;
        Ok((all, tally))
    }

    /// Takes down what both sides agree on now.
    fn finish(
        &mut self,
        n: i64,
        plan: Vec<Planned>,
        changes: Vec<Change>,
        done: Vec<Outcome>,
    ) -> Result<Tally, PullError> {
        let now = clock::now();
        let mut endings = Vec::with_capacity(done.len());
        let mut tally = Tally::default();
        for ((mut planned, change), (applied, seq)) in plan.into_iter().zip(changes).zip(done) {
            planned.change = change;
            endings.push(self.ending(planned, applied, seq, now, &mut tally));
        }
        self.pull.book.applied += tally.written + tally.deleted;
        if endings.is_empty() && self.pull.book.moved.is_none() {
            return Ok(tally);
        }
        self.pull.book.last = Some(now.0);
        let (id, kind, book, noted) = (self.id, self.site.kind.to_string(), self.pull.book.clone(), self.noted);
        let table = self.inlet.policy.table.clone();
        let (name, words) = (self.inlet.table.to_string(), format!("page {n}: {tally}"));
        let some = !endings.is_empty();
        let told: Vec<_> = endings.iter().filter_map(|ending| Some((ending.id.clone(), ending.told?))).collect();
        self.ledger.call(move |state| {
            state.commit(|db| {
                let any = pull::any(db, id)?;
                endings.iter().try_for_each(|ending| ending.store(db, id, (&table, &kind), any, now))?;
                for (word, n) in tally.words() {
                    counter::add_to(db, id, Series::Pulled, word, n)?;
                }
                if some {
                    pull::finish(db, id)?;
                    let deed = Deed {
                        actor: "system",
                        verb: "pull",
                        connector: Some(id),
                        subject: Some(&name),
                        reason: Some(&words),
                    };
                    act::record(db, &deed, now)?;
                }
                change::set_noted(db, id, noted)?;
                pull::set_book(db, id, &book)
            })
        })?;
        let mut inside = self.gate.0.lock();
        told.iter().for_each(|(key, seq)| inside.tell(key, *seq));
        drop(inside);
        self.summary.delivered += tally.written + tally.deleted;
        if tally.written + tally.deleted + tally.refused + tally.held > 0 {
            log::info!(connector:% = self.inlet.name; "{}: page {n}: {tally}", self.inlet.name);
        }
        Ok(tally)
    }

    fn ending(&self, planned: Planned, applied: Applied, seq: i64, now: Timestamp, tally: &mut Tally) -> Ending {
        let name = |key: &[Value]| match key {
            [] => planned.mapped.remote.clone().unwrap_or_default(),
            key => self.site.identity(key),
        };
        let put_aside = |state, reason: Reason| {
            let item = Item {
                id: name(&planned.change.key),
                state,
                reason,
                since: now,
                tries: 0,
                copy: Some(planned.mapped.copy()),
            };
            Ending { aside: Some(item), ..Ending::default() }
        };
        match applied {
            Applied::Moved => {
                tally.again += 1;
                put_aside(Aside::Again, Reason::new("moved", "the row was changed meanwhile; it is decided again"))
            }
            // It is decided again, with that in mind.
            Applied::Refused(reason) if reason.class == GUARD => {
                tally.again += 1;
                put_aside(Aside::Again, reason)
            }
            Applied::Refused(reason) => {
                tally.refused += 1;
                log::warn!(connector:% = self.inlet.name, class:% = reason.class; "{}: a record of {} is refused: {reason}", self.inlet.name, self.inlet.table);
                // What a person has decided about it cannot be done: that person is asked again.
                let state = if planned.decided.is_empty() { Aside::Refused } else { Aside::Held };
                let units = planned.decided.iter().map(|(unit, _)| (unit.clone(), None)).collect();
                Ending { id: name(&planned.change.key), decided: units, ..put_aside(state, reason) }
            }
            Applied::Done { key, row, .. } => {
                match &planned.change.act {
                    Act::Put(_) => tally.written += 1,
                    Act::Delete => tally.deleted += 1,
                    Act::Keep => tally.echo += u64::from(planned.held.is_none()),
                }
                let id = name(&key);
                let mut ending = match &planned.held {
                    Some(reason) => {
                        tally.held += 1;
                        put_aside(Aside::Held, reason.clone())
                    }
                    None => Ending::default(),
                };
                ending.base = planned.agree.map(|agree| agreed(agree, &planned.mapped, row, planned.seq, seq, now));
                ending.present = Offsets::new(&self.pull.book.ahead).theirs(now);
                ending.aside = ending.aside.map(|aside| Item { id: id.clone(), ..aside });
                ending.was = planned.mapped.remote.clone();
                ending.crossed = match planned.change.act {
                    Act::Put(_) | Act::Delete => Some((!planned.mapped.deleted).then(|| planned.mapped.fields.clone())),
                    Act::Keep => None,
                };
                ending.let_in = planned.change.guarded;
                ending.told = planned.change.tell.then_some(planned.seq);
                ending.decided = planned.decided.into_iter().map(|(unit, winner)| (unit, Some(winner))).collect();
                ending.links = planned.mapped.links;
                ending.id = id;
                ending
            }
        }
    }
}

/// What is stored for one item.
#[derive(Default)]
struct Ending {
    /// The record's key as JSON; empty = nothing was done.
    id: String,
    base: Option<Agreed>,
    links: Vec<(String, String)>,
    aside: Option<Item>,
    /// What it may have stood aside as.
    was: Option<String>,
    /// What a person has decided, and whose values were taken; none = it cannot be done.
    decided: Vec<(String, Option<String>)>,
    /// The present by the clock there, as far as it is known.
    present: Timestamp,
    /// Its contents have come in; none in it = it was deleted.
    crossed: Option<Option<Record>>,
    /// The guard was asked, and has found nothing.
    let_in: bool,
    /// It was told to the log anew, with what the application did up to there.
    told: Option<i64>,
}

/// A base to be stored.
struct Agreed {
    base: Base,
    /// The application's changes up to there are agreed on: all of the record, or these fields.
    upto: i64,
    whole: bool,
    fields: Vec<std::sync::Arc<str>>,
}

fn agreed(agree: Agree, item: &super::Mapped, row: Option<Record>, decided: i64, seq: i64, now: Timestamp) -> Agreed {
    let mut local = agree.local;
    if let Some(row) = &row {
        for field in &agree.fresh {
            local.set(field, row.get(field).cloned().unwrap_or(Value::Null));
        }
    }
    let held = (!agree.gone).then_some(Both { local, there: agree.there });
    let upto = agree.upto.unwrap_or(if agree.whole { seq } else { decided });
    let base = Base {
        remote: item.remote.clone(),
        version: item.version.clone(),
        updated: item.updated,
        seq: upto,
        at: now,
        held,
    };
    Agreed { base, upto, whole: agree.whole || agree.upto.is_some(), fields: agree.fresh }
}

impl Ending {
    /// `any` = what there is of this connector: where there is nothing, nothing of this record is.
    fn store(&self, db: &Db, of: ConnectorId, (table, kind): (&str, &str), any: Any, now: Timestamp) -> Sql<()> {
        let subject = Subject { connector: of, table, kind, key: &self.id };
        for (unit, winner) in &self.decided {
            match (winner, &self.aside) {
                (Some(winner), _) => drop(conflict::carried_out(db, &subject, unit, winner, now)?),
                (None, Some(aside)) => drop(conflict::reopen(db, &subject, unit, &aside.reason.to_string(), now)?),
                (None, None) => {}
            }
        }
        if self.let_in {
            conflict::let_in(db, &subject, now)?;
        }
        if let Some(seq) = self.told {
            lately::set(db, of, Lately::Told, (kind, &self.id), now, &seq.to_string())?;
        }
        // A person has decided about all of it: what crosses then counts anew.
        if self.decided.iter().any(|(unit, winner)| unit == Unit::WHOLE && winner.is_some()) {
            lately::forget(db, of, Lately::Crossed, kind, &self.id)?;
        } else if let Some(contents) = &self.crossed {
            lately::crossed(db, of, (kind, &self.id), contents.as_ref(), now)?;
        }
        let known = if self.base.is_some() { base::place(db, of, kind, &self.id)? } else { None };
        // What was sent for it meanwhile, and has arrived, is newer than this.
        let overtaken = |agreed: &&Agreed| known.as_ref().is_some_and(|(_, _, seq)| *seq > agreed.upto);
        if let Some(agreed) = self.base.as_ref().filter(|agreed| !overtaken(agreed)) {
            let mut base = agreed.base.clone();
            if let Some((remote, updated, seq)) = &known {
                base.remote = base.remote.or_else(|| remote.clone());
                // A time that went back takes nothing away from one that has passed.
                base.updated = base.updated.max(updated.filter(|at| base.updated.is_none() || *at <= self.present));
                base.seq = if agreed.whole { base.seq } else { *seq };
            } else if !agreed.whole {
                base.seq = 0;
            }
            base::set(db, of, kind, &self.id, &base)?;
            if agreed.whole {
                if any.changes {
                    change::agreed(db, of, kind, &self.id, agreed.upto)?;
                }
                if any.sent {
                    sent::seen(db, of, kind, &self.id, agreed.upto)?;
                }
            } else if any.changes {
                agreed
                    .fields
                    .iter()
                    .try_for_each(|field| change::agreed_on(db, of, kind, &self.id, field, agreed.upto))?;
            }
            // What it was called there, and its version, went with it.
            if base.held.is_none() {
                link::forget(db, of, kind, &self.id)?;
            } else if !self.links.is_empty() {
                link::keep(db, of, kind, &self.id, &self.links)?;
            }
        }
        match &self.aside {
            Some(aside) => item::put(db, of, aside),
            None if !self.id.is_empty() && any.aside => {
                item::end(db, of, &self.id)?;
                self.was.as_ref().map_or(Ok(()), |was| item::end(db, of, was).map(drop))
            }
            None => Ok(()),
        }
    }
}
