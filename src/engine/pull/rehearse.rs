//! What a pull would change, without writing anything.

use std::collections::HashMap;

use serde::Serialize;

use super::look::look;
use super::mapped::mapped;
use super::measure::{believed, is_ours_believed, measure};
use super::note::{add_up, unnoted};
use super::weigh::{How, Weighed, weigh};
use super::{Inlet, Mapped, PullError, Site};
use crate::adapter::pull::{Ask, Fetched};
use crate::clock;
use crate::rules::conflict::same::same;
use crate::rules::outcome::Reason;
use crate::store::capture::{Act, CapturedLog};
use crate::store::state::{StateReader, connector, pull};

/// What a pull would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
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
    /// Conflicts that would wait for a person.
    pub held: u64,
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

/// Pages that are read at most.
const PAGES: usize = 100_000;

/// Reads and decides as a run would. `whole` = everything, as for the first contact, with the rule that a person would choose.
pub fn rehearse(
    inlet: &Inlet,
    log: &mut CapturedLog,
    state: Option<&mut StateReader>,
    whole: bool,
    first: Option<pull::First>,
) -> Result<Forecast, PullError> {
    let site = Site::of(inlet, log)?;
    let mut forecast = Forecast::default();
    let mut state = match state {
        Some(reader) => reader.read(|db| connector::find(db, &inlet.name))?.map(|known| (reader, known.id)),
        None => None,
    };
    let (noted, mut book, ours) = match &mut state {
        Some((reader, of)) => reader.read(|db| {
            let known = pull::get(db, *of)?.map(|pull| (Some(pull.noted), pull.book));
            let (noted, book) = known.unwrap_or_default();
            Ok((noted, book, is_ours_believed(db)?))
        })?,
        None => (None, pull::Book::default(), true),
    };
    // What the application did since the agent looked, as the run will find it.
    let since = match noted {
        Some(noted) => unnoted(log, &inlet.name, &site, noted)?,
        None => HashMap::new(),
    };
    let cursor = log.mark(&inlet.name)?.and_then(|mark| mark.cursor).filter(|_| !whole);
    let only = || Ask { looks: true, ..Ask::default() };
    let mut ask = Ask { cursor, ..only() };
    let mut matched = 0_u64;
    for _ in 0..PAGES {
        let page = match inlet.source.fetch(&ask) {
            Fetched::Page(page) => page,
            Fetched::Unchanged => break,
            Fetched::Expired if ask.cursor.is_some() => {
                ask = only();
                continue;
            }
            Fetched::Expired | Fetched::Gone => {
                forecast.left_off = Some("the source has no page to give".to_owned());
                break;
            }
            Fetched::Failed(outcome) => {
                forecast.left_off = Some(outcome.reason().map(Reason::to_string).unwrap_or_default());
                break;
            }
        };
        measure(&mut book, &page);
        forecast.bad += page.bad.len() as u64;
        forecast.read += page.items.len() as u64;
        let mut items: Vec<Mapped> = Vec::with_capacity(page.items.len());
        for item in &page.items {
            match mapped(inlet, &site, item) {
                Ok(mapped) => items.push(mapped),
                Err(_) => forecast.bad += 1,
            }
        }
        let refs: Vec<&Mapped> = items.iter().collect();
        let known = state.as_mut().map(|(reader, of)| (&mut **reader, *of));
        let (seq, mut known) = look(&site, log, known, &inlet.table, &refs)?;
        for known in &mut known {
            let agreed = known.base.as_ref().map_or(0, |base| base.seq);
            let news = since.get(&known.id).filter(|since| since.seq > agreed);
            news.into_iter().for_each(|since| add_up(&mut known.changes, since));
        }
        for (item, known) in items.iter().zip(&known) {
            matched += u64::from(known.row.is_some());
            match (&known.row, item.deleted) {
                (Some(row), false) if item.fields.iter().all(|(name, value)| same(row.get(name), Some(value))) => {
                    forecast.same += 1;
                }
                (Some(_), _) => forecast.different += 1,
                (None, false) => forecast.only_there += 1,
                (None, true) => {}
            }
            let how = How {
                now: clock::now(),
                clock: believed(inlet, &book, ours),
                first,
                again: false,
                resolved: &known.resolved,
                barred: false,
            };
            match weigh(inlet, &site, item, known, seq, how) {
                Weighed::Quiet | Weighed::Agreed | Weighed::Stands => {}
                Weighed::Bad(_) => forecast.bad += 1,
                Weighed::Plan(planned, _) => {
                    match (&planned.change.act, known.row.is_some()) {
                        (Act::Put(_), true) => forecast.updates += 1,
                        (Act::Put(_), false) => forecast.inserts += 1,
                        (Act::Delete, _) => forecast.deletes += 1,
                        (Act::Keep, _) => {}
                    }
                    forecast.sends += u64::from(planned.change.tell);
                    forecast.held += u64::from(planned.held.is_some());
                }
            }
        }
        match page.next {
            Some(next) => ask.next = Some(next),
            None => {
                if ask.cursor.is_none() {
                    forecast.only_here = Some(log.count(&inlet.table, None)?.saturating_sub(matched));
                }
                break;
            }
        }
    }
    Ok(forecast)
}
