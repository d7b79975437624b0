//! What a pull would change, without writing anything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::aside::key_of;
use super::fetch::hashed;
use super::look::{Known, look};
use super::mapped::{Mapped, last_of_each, mapped, name_of};
use super::measure::{believed, is_ours_believed, measure};
use super::meeting;
use super::note::{add_up, unnoted};
use super::weigh::{How, Weighed, weigh};
use super::{Inlet, PullError, Site};
use crate::adapter::pull::{Ask, Fetched, Page, Reads};
use crate::clock;
use crate::event::{Record, Value};
use crate::rules::conflict::same::same;
use crate::rules::conflict::{Verdict, Write};
use crate::rules::hex::hex;
use crate::rules::outcome::Reason;
use crate::rules::pull::may_go;
use crate::store::capture::{Act, CapturedLog};
use crate::store::state::pull::base;
use crate::store::state::pull::change::Changes;
use crate::store::state::{ConnectorId, StateReader, connector, pull};

/// What a pull would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Both sides wait to be compared: nothing of it is done before a person says how they meet.
    pub first_contact: bool,
    /// As they would meet: `local`, `remote`, `rules`; none = as a run would do it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<&'static str>,
    /// Records that were read there.
    pub read: u64,
    /// Rows that would be new.
    pub inserts: u64,
    /// Rows that would be changed.
    pub updates: u64,
    /// Rows that would be deleted.
    pub deletes: u64,
    /// Records that would be sent there.
    pub sends: u64,
    /// Of those the ones that would be new there.
    pub sends_new: u64,
    /// Those that would be changed there.
    pub sends_changed: u64,
    /// Those that would be deleted there.
    pub sends_deleted: u64,
    /// Conflicts that would wait for a person.
    pub held: u64,
    /// Records that are missing there, more than would be deleted unasked.
    pub missing: u64,
    /// Items that cannot be read, mapped or placed.
    pub bad: u64,
    /// Records that are the same on both sides.
    pub same: u64,
    /// Records that both sides have, and that differ.
    pub different: u64,
    /// Records that only the other side has.
    pub only_there: u64,
    /// Records that only the application has; none = not everything was read.
    pub only_here: Option<u64>,
    /// Why it could not be read to its end.
    pub left_off: Option<String>,
}

/// What would become of a record on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Becomes {
    /// It is new.
    New,
    /// It is changed.
    Changed,
    /// It is deleted.
    Deleted,
}

/// What would be done about one record. No value but those of its key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foreseen {
    /// Its key; of what cannot be read its name there, or its hash, as `there`.
    pub key: Record,
    /// In the table.
    pub here: Option<Becomes>,
    /// At the other side.
    pub there: Option<Becomes>,
    /// What a person would have to decide.
    pub held: Option<Reason>,
    /// Why it cannot come in.
    pub bad: Option<Reason>,
    /// The fields that would be changed, or are in dispute.
    pub fields: Vec<Arc<str>>,
}

/// Pages that are read at most.
const PAGES: usize = 100_000;
/// Records that are looked at at once.
const SOME: usize = 500;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What a run would read.
    News,
    /// Everything, as if a person had said so how both sides meet.
    Whole(pull::First),
}

/// Reads and decides as a run would. While both sides wait to be compared that is everything, by the rules. `tell` hears of each
/// record for which something would be done.
pub fn rehearse(
    inlet: &Inlet,
    log: &mut CapturedLog,
    state: Option<&mut StateReader>,
    extent: Extent,
    tell: &mut dyn FnMut(Foreseen),
) -> Result<Forecast, PullError> {
    let site = Site::of(inlet, log)?;
    let state = match state {
        Some(reader) => reader.read(|db| connector::find(db, &inlet.name))?.map(|known| (reader, known.id)),
        None => None,
    };
    let mut rehearsal = Rehearsal {
        inlet,
        site,
        log,
        state,
        book: pull::Book::default(),
        since: HashMap::new(),
        ours: true,
        first: None,
        forecast: Forecast::default(),
        seen: HashSet::new(),
        bad: HashSet::new(),
        uncertain: false,
        matched: 0,
        tell,
    };
    rehearsal.run(extent)?;
    Ok(rehearsal.forecast)
}

struct Rehearsal<'r> {
    inlet: &'r Inlet,
    site: Site,
    log: &'r mut CapturedLog,
    state: Option<(&'r mut StateReader, ConnectorId)>,
    book: pull::Book,
    /// What the application did since the agent looked, as the run will find it.
    since: HashMap<String, Changes>,
    /// Our own clock is believed.
    ours: bool,
    first: Option<pull::First>,
    forecast: Forecast,
    /// The keys that were seen. Numbered pages are read twice.
    seen: HashSet<u64>,
    bad: HashSet<String>,
    /// Something could not be read.
    uncertain: bool,
    /// Rows that the other side has too.
    matched: u64,
    tell: &'r mut dyn FnMut(Foreseen),
}

impl Rehearsal<'_> {
    fn run(&mut self, extent: Extent) -> Result<(), PullError> {
        let mut contact = pull::Contact::None;
        if let Some((reader, of)) = &mut self.state {
            let noted;
            (noted, self.book, contact, self.ours) = reader.read(|db| {
                let known = pull::get(db, *of)?.map(|pull| (Some(pull.noted), pull.book, pull.contact));
                let (noted, book, contact) = known.unwrap_or((None, pull::Book::default(), contact));
                Ok((noted, book, contact, is_ours_believed(db)?))
            })?;
            if let Some(noted) = noted {
                self.since = unnoted(self.log, &self.inlet.name, &self.site, noted)?;
            }
        }
        let rows = || self.log.count(&self.inlet.table, None);
        self.forecast.first_contact = meeting::waits(self.inlet, contact, &self.book, rows)?;
        self.first = match (extent, contact) {
            (Extent::Whole(first), _) | (Extent::News, pull::Contact::Asked(first)) => Some(first),
            (Extent::News, _) => self.forecast.first_contact.then_some(pull::First::Rules),
        };
        self.forecast.how = self.first.map(pull::First::as_str);
        let whole = self.first.is_some() || self.book.agreed;
        let cursor = self.log.mark(&self.inlet.name)?.and_then(|mark| mark.cursor).filter(|_| !whole);
        let only = || Ask { looks: true, ..Ask::default() };
        let mut ask = Ask { cursor, ..only() };
        let mut expired = self.book.agreed;
        for _ in 0..PAGES {
            let page = match self.inlet.source.fetch(&ask) {
                Fetched::Page(page) => page,
                Fetched::Unchanged => return Ok(()),
                Fetched::Expired if ask.cursor.is_some() => {
                    (ask, expired) = (only(), true);
                    continue;
                }
                Fetched::Expired | Fetched::Gone => {
                    self.forecast.left_off = Some("the source has no page to give".to_owned());
                    return Ok(());
                }
                Fetched::Failed(outcome) => {
                    self.forecast.left_off = Some(outcome.reason().map(Reason::to_string).unwrap_or_default());
                    return Ok(());
                }
            };
            self.take(&page)?;
            match page.next {
                Some(next) => ask.next = Some(next),
                None if ask.cursor.is_none() => return self.complete(expired),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn take(&mut self, page: &Page) -> Result<(), PullError> {
        measure(&mut self.book, page);
        for bad in &page.bad {
            self.cannot(bad.id.clone().unwrap_or_else(|| hex(&bad.hash)), &bad.reason);
            self.uncertain = true;
        }
        let mut items: Vec<Mapped> = Vec::with_capacity(page.items.len());
        for item in &page.items {
            match mapped(self.inlet, &self.site, item) {
                Ok(mapped) => items.push(mapped),
                Err(reason) => {
                    self.cannot(name_of(self.inlet, &self.site, item), &reason);
                    self.uncertain = true;
                }
            }
        }
        let items = last_of_each(&self.site, items);
        let (seq, known) = self.look(&items)?;
        for (item, known) in items.iter().zip(&known) {
            let name = if known.id.is_empty() { item.remote.as_deref().unwrap_or_default() } else { &known.id };
            if !name.is_empty() && !self.seen.insert(hashed(name)) {
                continue;
            }
            self.forecast.read += 1;
            self.matched += u64::from(known.row.is_some());
            match (&known.row, item.deleted) {
                (Some(row), false) if item.fields.iter().all(|(name, value)| same(row.get(name), Some(value))) => {
                    self.forecast.same += 1;
                }
                (Some(_), _) => self.forecast.different += 1,
                (None, false) => self.forecast.only_there += 1,
                (None, true) => {}
            }
            self.weigh(item, known, seq, false);
        }
        Ok(())
    }

    fn look(&mut self, items: &[Mapped]) -> Result<(i64, Vec<Known>), PullError> {
        let refs: Vec<&Mapped> = items.iter().collect();
        let state = self.state.as_mut().map(|(reader, of)| (&mut **reader, *of));
        let (seq, mut known) = look(&self.site, self.log, state, &self.inlet.table, &refs)?;
        for known in &mut known {
            let agreed = known.base.as_ref().map_or(0, |base| base.seq);
            let news = self.since.get(&known.id).filter(|since| since.seq > agreed);
            news.into_iter().for_each(|since| add_up(&mut known.changes, since));
        }
        Ok((seq, known))
    }

    fn weigh(&mut self, item: &Mapped, known: &Known, seq: i64, again: bool) {
        let how = How {
            now: clock::now(),
            clock: believed(self.inlet, &self.book, self.ours),
            first: self.first,
            again,
            resolved: &known.resolved,
            barred: false,
        };
        match weigh(self.inlet, &self.site, item, known, seq, how) {
            Weighed::Quiet | Weighed::Agreed | Weighed::Stands | Weighed::Outdated => {}
            Weighed::Bad(reason) => {
                let name = if known.id.is_empty() { item.remote.clone().unwrap_or_default() } else { known.id.clone() };
                self.cannot(name, &reason);
            }
            Weighed::Plan(planned, verdict) => {
                let here = match (&planned.change.act, known.row.is_some()) {
                    (Act::Put(_), true) => Some(Becomes::Changed),
                    (Act::Put(_), false) => Some(Becomes::New),
                    (Act::Delete, _) => Some(Becomes::Deleted),
                    (Act::Keep, _) => None,
                };
                let there = match &verdict.to_remote {
                    Some(write) if planned.change.tell => Some(match write {
                        Write::Insert(_) => Becomes::New,
                        Write::Update(_) => Becomes::Changed,
                        Write::Delete => Becomes::Deleted,
                    }),
                    _ => None,
                };
                if here.is_none() && there.is_none() && planned.held.is_none() {
                    return;
                }
                self.count(Foreseen {
                    key: key_of(if known.id.is_empty() {
                        item.remote.as_deref().unwrap_or_default()
                    } else {
                        &known.id
                    }),
                    here,
                    there,
                    held: planned.held,
                    bad: None,
                    fields: fields(&verdict, here, there),
                });
            }
        }
    }

    fn cannot(&mut self, name: String, reason: &Reason) {
        if self.bad.insert(name.clone()) {
            self.count(Foreseen { key: key_of(&name), bad: Some(reason.clone()), ..Foreseen::default() });
        }
    }

    fn count(&mut self, foreseen: Foreseen) {
        let forecast = &mut self.forecast;
        let here = match foreseen.here {
            Some(Becomes::New) => Some(&mut forecast.inserts),
            Some(Becomes::Changed) => Some(&mut forecast.updates),
            Some(Becomes::Deleted) => Some(&mut forecast.deletes),
            None => None,
        };
        here.into_iter().for_each(|n| *n += 1);
        let there = match foreseen.there {
            Some(Becomes::New) => Some(&mut forecast.sends_new),
            Some(Becomes::Changed) => Some(&mut forecast.sends_changed),
            Some(Becomes::Deleted) => Some(&mut forecast.sends_deleted),
            None => None,
        };
        there.into_iter().for_each(|n| *n += 1);
        forecast.sends += u64::from(foreseen.there.is_some());
        forecast.held += u64::from(foreseen.held.is_some());
        forecast.bad += u64::from(foreseen.bad.is_some());
        (self.tell)(foreseen);
    }

    /// Everything was read: what is missing there, and what is only here.
    fn complete(&mut self, expired: bool) -> Result<(), PullError> {
        self.forecast.only_here = Some(self.log.count(&self.inlet.table, None)?.saturating_sub(self.matched));
        let told = matches!(self.inlet.source.reads(), Reads::Changes { deletions: true });
        if !self.uncertain && (expired || !told || self.first.is_some()) {
            self.sweep()?;
        }
        match self.first {
            Some(_) if self.inlet.both_ways => self.unmatched(),
            _ => Ok(()),
        }
    }

    fn sweep(&mut self) -> Result<(), PullError> {
        let Some((reader, of)) = &mut self.state else { return Ok(()) };
        let (mut missing, mut all, mut after) = (Vec::new(), 0_u64, String::new());
        loop {
            let some = reader.read(|db| base::keys(db, *of, &self.site.kind, &after, SOME))?;
            let Some(last) = some.last() else { break };
            after.clone_from(last);
            all += some.len() as u64;
            missing.extend(some.into_iter().filter(|key| !self.seen.contains(&hashed(key))));
        }
        let count = missing.len() as u64;
        let stays = self.first == Some(pull::First::Local) || self.book.agreed;
        if !stays && !may_go(count, all, self.inlet.max_delete) {
            self.forecast.missing = count;
            return Ok(());
        }
        let keys: Vec<Vec<Value>> = missing.iter().filter_map(|key| self.site.key_of(key)).collect();
        for some in keys.chunks(SOME) {
            let items = some.iter().map(|key| Mapped { key: Some(key.clone()), deleted: true, ..Mapped::default() });
            let items: Vec<Mapped> = items.collect();
            let (seq, known) = self.look(&items)?;
            items.iter().zip(&known).for_each(|(item, known)| self.weigh(item, known, seq, true));
        }
        Ok(())
    }

    fn unmatched(&mut self) -> Result<(), PullError> {
        let (mut after, table) = (None, self.inlet.table.clone());
        loop {
            let end = self.log.highest_seq()?;
            let rows = self.log.scan(&table, after.as_ref(), SOME, end)?.rows;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, _) in rows {
                let values: Vec<Value> = key.iter().map(|(_, value)| value.clone()).collect();
                let id = self.site.identity(&values);
                if self.seen.contains(&hashed(&id)) {
                    continue;
                }
                let known = match &mut self.state {
                    Some((reader, of)) => reader.read(|db| base::get(db, *of, &self.site.kind, &id))?,
                    None => None,
                };
                if known.is_none_or(|base| base.held.is_none()) {
                    self.count(Foreseen { key, there: Some(Becomes::New), ..Foreseen::default() });
                }
            }
        }
    }
}

/// The fields that a verdict is about: of what is new or deleted none.
fn fields(verdict: &Verdict, here: Option<Becomes>, there: Option<Becomes>) -> Vec<Arc<str>> {
    let written = |write: &Option<Write>, becomes: Option<Becomes>| match (write, becomes) {
        (Some(Write::Update(values)), Some(Becomes::Changed)) => {
            values.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        }
        _ => Vec::new(),
    };
    let mut fields = written(&verdict.to_local, here);
    fields.extend(written(&verdict.to_remote, there));
    fields.extend(verdict.held.iter().flat_map(|held| held.dispute.fields.iter().cloned()));
    fields.sort_unstable();
    fields.dedup();
    fields
}
