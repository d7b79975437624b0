//! One run: page after page, and what stands aside.

use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::fast::FixedState;

use super::again::{OUTDATED, OVERTAKEN};
use super::carry::{Batch, Tally};
use super::look::look;
use super::mapped::{Mapped, called, last_of_each, mapped, name_of};
use super::weigh::{How, Weighed, weigh};
use super::{HALTED, PullError, Worker, origin_of};
use crate::adapter::pull::{Ask, Bad, Fetched, Page, Reads};
use crate::clock;
use crate::rules::breaker::Permit;
use crate::rules::hex::hex;
use crate::rules::outcome::{Outcome, Reason};
use crate::store::capture::GUARD;
use crate::store::state::conflict::Knowing;
use crate::store::state::connector::{self, OpenBreaker};
use crate::store::state::counter::{self, Series};
use crate::store::state::pace;
use crate::store::state::pull::base::Base;
use crate::store::state::pull::item::{self, Aside, Item};
use crate::store::state::pull::{self, Contact};

/// A source that answers with the same page again so often has none that is its last.
const REPEATS: u32 = 3;
/// A cursor that has moved over nothing is stored after so long.
const CURSOR: Duration = Duration::from_secs(3600);
/// Items that stand aside and are looked at at once.
const SOME: usize = 500;
/// So many old deletions are known again.
const OUTDATED_KEPT: usize = 10_000;
/// Failures in a row that are noted: before that it may pass.
const NOTED: u32 = 3;

impl Worker {
    /// Reads what there is. `insists` = a source that fails is asked all the same.
    pub(super) fn fetch_all(&mut self, insists: bool) -> Result<(), PullError> {
        let mut tally = Tally::default();
        let mut expired = false;
        let (cursor, validator) = (self.cursor.clone(), self.pull.book.validator.clone());
        let mut ask = Ask { cursor, validator, ..Ask::default() };
        let asked_first = matches!(self.pull.contact, Contact::Asked(_));
        if asked_first {
            ask = Ask::default();
        }
        let overdue = self.inlet.full.is_some_and(|full| {
            let last = self.pull.book.whole.map_or(clock::Timestamp(0), clock::Timestamp);
            clock::now().since(last) >= full
        });
        // What is missing is seen only where everything is told, whatever was told before.
        if (overdue && ask.cursor.is_some()) || self.pull.book.agreed {
            (ask, expired) = (Ask::default(), true);
        }
        self.seen = ask.cursor.is_none().then(HashSet::new);
        self.uncertain = false;
        self.bad.clear();
        let (mut pages, mut repeats) = (HashSet::new(), 0);
        loop {
            if self.is_ending() || !(self.may_ask() || insists) {
                return Ok(());
            }
            let began = clock::now();
            self.polls.asked(began);
            let page = match self.inlet.source.fetch(&ask) {
                Fetched::Page(page) => page,
                Fetched::Unchanged => return self.succeeded(),
                Fetched::Expired if !expired => {
                    expired = true;
                    log::warn!(connector:% = self.inlet.name; "{}: the cursor is not known there any more: everything is read again", self.inlet.name);
                    ask = Ask::default();
                    (self.seen, pages) = (Some(HashSet::new()), HashSet::new());
                    continue;
                }
                Fetched::Expired | Fetched::Gone => {
                    return self.fail(Reason::new("no-page", "the source has no page to give"), HALTED);
                }
                Fetched::Failed(outcome) => return self.failed(&outcome),
            };
            self.succeeded()?;
            self.measure(&page)?;
            let next = page.next.clone();
            if let Some(next) = &next {
                repeats += u32::from(!pages.insert(next.clone()));
                if repeats >= REPEATS {
                    return self.fail(
                        Reason::new("repeated-page", "the source answers with the same page again and again"),
                        HALTED,
                    );
                }
            }
            if ask.next.is_none() && next.is_none() {
                // One page is all: the next answer may say that nothing has changed since.
                self.pull.book.validator.clone_from(&page.validator);
            }
            let (all, came) = self.take_page(page, began)?;
            tally.add_up(&came);
            if !all {
                return self.fail(
                    Reason::new("strict-order", "an item is refused, and `strictOrder` lets none pass it"),
                    HALTED,
                );
            }
            match next {
                Some(next) => ask.next = Some(next),
                None => break,
            }
        }
        if tally.again > 0 {
            tally.add_up(&self.again(Aside::Again)?);
        }
        if tally.written + tally.deleted > 0 {
            tally.add_up(&self.again(Aside::Refused)?);
        }
        self.complete(expired)
    }

    /// Everything that there is was read.
    fn complete(&mut self, expired: bool) -> Result<(), PullError> {
        let Some(mut seen) = self.seen.take() else { return Ok(()) };
        let told = matches!(self.inlet.source.reads(), Reads::Changes { deletions: true });
        let meets = matches!(self.pull.contact, Contact::Asked(_));
        // What cannot be read may be any of them.
        if !self.uncertain && (expired || !told || meets) {
            self.sweep(&mut seen)?;
        } else if self.pull.book.agreed {
            let text = "an item cannot be read, and may be one of those that seem to be missing: nothing is deleted";
            self.summary.left_off = Some(Reason::new("many-missing", text));
        }
        self.forget_bad()?;
        if self.inlet.full.is_some() {
            self.pull.book.whole = Some(clock::now().0);
            self.store_book()?;
        }
        if meets {
            self.send_unmatched(&seen)?;
        }
        if self.pull.contact != Contact::Made {
            let id = self.id;
            self.ledger.call(move |state| state.commit(|db| pull::set_contact(db, id, Contact::Made)))?;
            self.pull.contact = Contact::Made;
        }
        self.stand_apart()?;
        Ok(())
    }

    /// What could not be read once, and is not there any more where everything was read.
    fn forget_bad(&mut self) -> Result<(), PullError> {
        let (id, mut after) = (self.id, String::new());
        let bad = std::mem::take(&mut self.bad);
        loop {
            let some = self.reader.read(|db| item::list(db, id, Aside::Bad, &after, SOME))?;
            let Some(last) = some.last() else { return Ok(()) };
            after.clone_from(&last.id);
            let gone: Vec<String> = some.into_iter().map(|item| item.id).filter(|id| !bad.contains(id)).collect();
            if !gone.is_empty() {
                self.ledger.call(move |state| {
                    state.commit(|db| gone.iter().try_for_each(|gone| item::end(db, id, gone).map(drop)))
                })?;
            }
        }
    }

    /// Takes a page: what can be mapped, in order; what cannot stands aside.
    fn take_page(&mut self, page: Page, began: clock::Timestamp) -> Result<(bool, Tally), PullError> {
        let mut items = Vec::with_capacity(page.items.len());
        let mut bad: Vec<Item> = page.bad.iter().map(aside).collect();
        for item in &page.items {
            match mapped(&self.inlet, &self.site, item) {
                Ok(mapped) => items.push(mapped),
                Err(reason) => bad.push(Item { id: name_of(&self.inlet, &self.site, item), reason, ..blank() }),
            }
        }
        if !bad.is_empty() {
            self.uncertain = true;
            self.put_aside(bad)?;
            if self.inlet.strict_order {
                return Ok((false, Tally::default()));
            }
        }
        let items = last_of_each(&self.site, items);
        let moved = page.cursor.filter(|cursor| Some(cursor) != self.cursor.as_ref());
        self.process(items, moved, began, false)
    }

    /// Weighs items and carries out what comes of it; two of one record one after the other.
    pub(super) fn process(
        &mut self,
        items: Vec<Mapped>,
        cursor: Option<String>,
        began: clock::Timestamp,
        again: bool,
    ) -> Result<(bool, Tally), PullError> {
        let mut tally = Tally::default();
        let mut rest = items.as_slice();
        loop {
            let mut keys = HashSet::new();
            let distinct = rest.iter().position(|item| !keys.insert(called(&self.site, item)));
            let (some, later) = rest.split_at(distinct.unwrap_or(rest.len()));
            rest = later;
            let is_last = rest.is_empty();
            let batch = self.weigh_all(some, began, again)?;
            tally.again += batch.again;
            let cursor = cursor.clone().filter(|_| is_last);
            let (all, came) = match batch.plan.is_empty() {
                // Nothing is written for a cursor alone, for a while.
                true => {
                    let now = clock::now().0;
                    let long = i64::try_from(CURSOR.as_millis()).unwrap_or(i64::MAX);
                    let stored = self.pull.book.moved.is_some_and(|moved| now - moved < long);
                    let kept = cursor.as_ref().filter(|_| stored).cloned();
                    let came = self.carry(batch, cursor.filter(|_| !stored))?;
                    self.cursor = kept.or(self.cursor.take());
                    came
                }
                false => self.carry(batch, cursor)?,
            };
            self.gate.0.lock().let_go();
            tally.add_up(&came);
            if !all || is_last {
                return Ok((all, tally));
            }
        }
    }

    fn weigh_all(&mut self, items: &[Mapped], began: clock::Timestamp, again: bool) -> Result<Batch, PullError> {
        let refs: Vec<&Mapped> = items.iter().collect();
        // What the application did up to the look counts.
        self.note_changes()?;
        let landings = self.gate.0.lock().landings();
        let mut looked = look(&self.site, &mut self.log, Some((&mut self.reader, self.id)), &self.inlet.table, &refs)?;
        // Nothing more of these leaves until it is decided; what is on its way is waited for.
        let mut away = HashSet::new();
        let has_landed = {
            let mut inside = self.gate.0.lock();
            let ids = looked.1.iter().map(|known| &known.id).filter(|id| !id.is_empty());
            away.extend(ids.filter(|id| !inside.take(id)).cloned());
            inside.landings() != landings
        };
        if has_landed {
            looked = look(&self.site, &mut self.log, Some((&mut self.reader, self.id)), &self.inlet.table, &refs)?;
        }
        let (seq, known) = looked;
        let (clock, now) = (self.believed()?, clock::now());
        let first = match self.pull.contact {
            Contact::Asked(first) => Some(first),
            _ => None,
        };
        let (mut batch, mut bad) = (Batch::default(), Vec::new());
        for (item, known) in items.iter().zip(&known) {
            if let Some(seen) = &mut self.seen {
                seen.insert(hashed(&known.id));
            }
            // It was asked for before the record was sent or read again: what it says may be older than that.
            let newer = |base: &Base| base.at >= began && (base.version.is_none() || base.version != item.version);
            let overtaken = !again && known.base.as_ref().is_some_and(newer);
            let is_away = away.contains(&known.id);
            if overtaken || is_away {
                // Who sends says when it is back.
                batch.again += u64::from(!is_away);
                bad.push(Item {
                    id: known.id.clone(),
                    state: Aside::Again,
                    reason: overtaken_reason(),
                    copy: Some(item.copy()),
                    ..blank()
                });
                continue;
            }
            let barred = known.aside.as_ref().is_some_and(|(_, reason)| reason.class == GUARD);
            let how = How { now, clock, first, again, resolved: &known.resolved, barred };
            match weigh(&self.inlet, &self.site, item, known, seq, how) {
                Weighed::Agreed if !known.open.is_empty() || known.aside.is_some() => {
                    batch.quiet.push(known.id.clone())
                }
                // What was wrong with an earlier form of it is over.
                Weighed::Quiet if matches!(known.aside, Some((Aside::Bad | Aside::Refused, _))) => {
                    batch.quiet.push(known.id.clone());
                }
                Weighed::Quiet | Weighed::Agreed | Weighed::Stands => {}
                Weighed::Bad(reason) => {
                    let id =
                        if known.id.is_empty() { item.remote.clone().unwrap_or_default() } else { known.id.clone() };
                    bad.push(Item { id, reason, copy: Some(item.copy()), ..blank() });
                }
                Weighed::Outdated if !self.looks_into(&known.id, item) => {}
                Weighed::Outdated => {
                    batch.again += 1;
                    bad.push(Item {
                        id: known.id.clone(),
                        state: Aside::Again,
                        reason: Reason::new(
                            OUTDATED,
                            "its deletion is older than its last change there; the record itself is asked for",
                        ),
                        copy: Some(item.copy()),
                        ..blank()
                    });
                }
                Weighed::Plan(planned, verdict) => {
                    if !known.open.is_empty() || !verdict.decided.is_empty() || !verdict.held.is_empty() {
                        let knowing =
                            Knowing { resolved: known.resolved.clone(), guard_is_asked: planned.change.guarded };
                        batch.verdicts.push((known.id.clone(), *verdict, knowing));
                    }
                    batch.plan.push(*planned);
                }
            }
        }
        if !bad.is_empty() {
            self.put_aside(bad)?;
        }
        Ok(batch)
    }

    /// Whether a deletion from before the record was changed is looked into: once in a process.
    fn looks_into(&mut self, id: &str, item: &Mapped) -> bool {
        if self.outdated.len() >= OUTDATED_KEPT {
            self.outdated.clear();
        }
        self.outdated.insert((id.to_owned(), item.updated))
    }

    fn put_aside(&mut self, items: Vec<Item>) -> Result<(), PullError> {
        let id = self.id;
        let mut news = Vec::new();
        if self.seen.is_some() {
            self.bad.extend(items.iter().filter(|item| item.state == Aside::Bad).map(|item| item.id.clone()));
        }
        for item in items {
            let known = self.reader.read(|db| item::get(db, id, &item.id))?;
            if known
                .is_none_or(|known| (known.state, &known.reason, &known.copy) != (item.state, &item.reason, &item.copy))
            {
                news.push(item);
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        for item in &news {
            log::warn!(connector:% = self.inlet.name, class:% = item.reason.class; "{}: an item stands aside: {}", self.inlet.name, item.reason);
        }
        self.ledger.call(move |state| {
            state.commit(|db| {
                for state in [Aside::Bad, Aside::Held] {
                    let n = news.iter().filter(|item| item.state == state).count() as u64;
                    counter::add_to(db, id, Series::Pulled, state.as_str(), n)?;
                }
                news.iter().try_for_each(|item| item::put(db, id, item))
            })
        })?;
        Ok(())
    }

    /// Whether the source may be asked now.
    fn may_ask(&mut self) -> bool {
        let now = clock::steady();
        // It failed, and is left alone for a while.
        if self.down.is_some() && self.not_before.is_some_and(|at| at > now) {
            return false;
        }
        match self.breaker.permit(now) {
            Permit::All => true,
            Permit::Probe => {
                self.breaker.probe_sent();
                true
            }
            Permit::NotBefore(at) => {
                self.not_before = Some(at);
                false
            }
            Permit::ProbeIsOut => true,
        }
    }

    fn succeeded(&mut self) -> Result<(), PullError> {
        self.breaker.success();
        // What it was left alone for is over.
        (self.halted, self.down, self.not_before) = (None, None, None);
        if std::mem::take(&mut self.failures) >= NOTED {
            log::warn!(connector:% = self.inlet.name; "{}: it can be read again", self.inlet.name);
            self.note_failure(None)?;
        }
        Ok(())
    }

    /// A request came to nothing.
    pub(super) fn failed(&mut self, outcome: &Outcome) -> Result<(), PullError> {
        let reason =
            outcome.reason().cloned().unwrap_or_else(|| Reason::new("no-page", "the source has no page to give"));
        let pause = match outcome {
            Outcome::Retry { after, .. } => {
                let delay = self.inlet.retry.delay(self.failures + 1, self.dice.f64());
                after.map_or(delay, |after| after.max(delay))
            }
            Outcome::Unknown { .. } => self.inlet.retry.delay(self.failures + 1, self.dice.f64()),
            _ => HALTED,
        };
        self.breaker.failure(0, true, &reason, clock::steady(), self.dice.f64());
        self.summary.retried += 1;
        self.down.get_or_insert(clock::now());
        let passes = matches!(outcome, Outcome::Retry { .. } | Outcome::Unknown { .. });
        self.pull.book.until = passes.then(|| clock::steady().plus(pause).0);
        self.fail(reason, pause)
    }

    /// It cannot go on now; it is tried again after a pause, or when a person asks.
    pub(super) fn fail(&mut self, reason: Reason, pause: Duration) -> Result<(), PullError> {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(clock::steady().plus(pause));
        self.summary.left_off = Some(reason.clone());
        let news = self.halted.as_ref() != Some(&reason);
        if news {
            log::warn!(connector:% = self.inlet.name, class:% = reason.class; "{}: cannot be read: {reason}", self.inlet.name);
        }
        if (pause >= HALTED && news) || self.failures >= NOTED {
            self.failures = self.failures.max(NOTED);
            self.note_failure(Some(reason.clone()))?;
        }
        self.halted = Some(reason);
        Ok(())
    }

    fn note_failure(&mut self, reason: Option<Reason>) -> Result<(), PullError> {
        let (id, origin, now) = (self.id, origin_of(&*self.inlet.source), clock::steady());
        let (failures, next_probe, opened) = (self.failures, self.not_before.unwrap_or(now), self.down.unwrap_or(now));
        self.pull.book.until = self.pull.book.until.filter(|_| reason.is_some());
        let book = self.pull.book.clone();
        self.ledger.call(move |state| {
            state.commit(|db| {
                if let Some(reason) = &reason {
                    pace::note_mishap(db, id, reason, clock::now())?;
                }
                let open = reason.map(|reason| OpenBreaker { opened, next_probe, failures, reason });
                connector::set_breaker(db, id, &origin, open.as_ref())?;
                pull::set_book(db, id, &book)
            })
        })?;
        Ok(())
    }
}

fn overtaken_reason() -> Reason {
    Reason::new(OVERTAKEN, "the record was sent or read again since it was asked for; it is decided again")
}

fn blank() -> Item {
    Item {
        id: String::new(),
        state: Aside::Bad,
        reason: Reason::new("bad", ""),
        since: clock::now(),
        tries: 0,
        copy: None,
    }
}

fn aside(bad: &Bad) -> Item {
    Item { id: bad.id.clone().unwrap_or_else(|| hex(&bad.hash)), reason: bad.reason.clone(), ..blank() }
}

/// A record's key, in short.
pub(super) fn hashed(id: &str) -> u64 {
    FixedState::with_seed(0x68_6d_73).hash_one(id)
}
