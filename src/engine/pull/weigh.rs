//! What is to be done about one item: nothing new, our own push seen again, or a decision between both sides.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::look::Known;
use super::planned::{Agree, Planned};
use super::{Inlet, Mapped, Site, meeting};
use crate::clock::Timestamp;
use crate::event::{Record, Value};
use crate::rules::conflict::same::{fingerprint, same};
use crate::rules::conflict::{
    Base, Because, Held, Next, Resolution, Side, Sides, Span, Times, Verdict, Why, Write, decide,
};
use crate::rules::outcome::Reason;
use crate::rules::pull::clock::Belief;
use crate::store::capture::{Act, Change};
use crate::store::state::pull::First;
use crate::store::state::pull::base::Both;
use crate::store::state::pull::item::Aside;

/// How a decision is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct How<'a> {
    /// Our wall clock.
    pub now: Timestamp,
    /// What is believed of both clocks.
    pub clock: Belief,
    /// Both sides meet for the first time, and a person has said how.
    pub first: Option<First>,
    /// It is looked at again though the other side has not changed it.
    pub again: bool,
    /// What a person has decided about the record.
    pub resolved: &'a [Resolution],
    /// The guard has found what must not be.
    pub barred: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum Weighed {
    /// Both sides have nothing new.
    Quiet,
    /// Both sides were compared, and nothing is to be done.
    Agreed,
    /// What of it waits for a person waits as it did, and nothing else has moved.
    Stands,
    /// This is to be done, after these decisions.
    Plan(Box<Planned>, Box<Verdict>),
    /// It cannot be placed.
    Bad(Reason),
    /// It tells of a deletion from before the record was changed there: the record may have been made again since.
    Outdated,
}

/// Weighs an item against what is known of its record. `seq` = the end of the log when that was looked up.
pub(super) fn weigh(inlet: &Inlet, site: &Site, item: &Mapped, known: &Known, seq: i64, how: How<'_>) -> Weighed {
    let held = known.base.as_ref().and_then(|base| base.held.as_ref());
    if known.key.is_empty() {
        if item.deleted {
            // It was never here.
            return Weighed::Quiet;
        }
        if !site.fitting.gives_key() || (item.remote.is_none() && item.key.is_none()) {
            return Weighed::Bad(Reason::new("no-key", "it has no key: map all key columns of the table"));
        }
    }
    let fields: Vec<Arc<str>> = match item.deleted {
        true => site.columns.clone(),
        false => item.fields.iter().map(|(name, _)| name.clone()).collect(),
    };
    if let (Some(base), false) = (&known.base, how.again || how.first.is_some()) {
        if item.deleted && base.held.is_none() && known.row.is_none() {
            return Weighed::Quiet;
        }
        if item.deleted && base.held.is_some() && item.updated.zip(base.updated).is_some_and(|(item, base)| item < base)
        {
            return Weighed::Outdated;
        }
        let as_before = match &base.held {
            Some(held) => !item.deleted && is_same(&fields, &item.fields, &held.there),
            None => false,
        };
        let same_version = item.version.is_some() && item.version == base.version;
        // What waits for a person is looked at as often as it is read.
        let waits = !known.open.is_empty();
        if as_before && !waits && (item.version.is_none() || same_version) {
            return Weighed::Quiet;
        }
        // What it made of what we sent, or the same under another version.
        if let (Some(held), false, true) = (&base.held, item.deleted || waits, as_before || same_version) {
            return plan_echo(known, item, &fields, held, base.seq);
        }
    }
    let goes_round = known.open.iter().any(|open| open.rule == Why::LOOP);
    if let (false, false, Some((sent, local))) = (item.deleted, goes_round, own(known, item, &fields)) {
        let held = Both { local: local.clone(), there: local.clone() };
        return plan_echo(known, item, &fields, &held, sent);
    }
    let changed: BTreeMap<Arc<str>, Span> = known
        .changes
        .fields
        .iter()
        .map(|(field, (first, last))| (field.clone(), Span { first: *first, last: *last }))
        .collect();
    let updated = item.updated.map(|at| how.clock.by_ours(at));
    // A time that went back is of no clock that can decide anything.
    let before = known.base.as_ref().and_then(|base| base.updated).map(|at| how.clock.by_ours(at));
    let went_back = updated.zip(before).is_some_and(|(updated, before)| updated < before && before <= how.now);
    let earliest = known.changes.fields.values().map(|(first, _)| *first).chain(known.changes.deleted).min();
    let names: Vec<&str> = inlet.names.iter().map(String::as_str).collect();
    let office = [inlet.office.as_str()];
    let policy = meeting::rules(&inlet.policy, how.first);
    let agreed = meeting::agreed(how.first, item, known.row.as_ref(), held, &fields);
    let sides = Sides {
        base: agreed.as_deref().map(|held| Base { local: &held.local, remote: &held.there }),
        local: Side {
            image: known.row.as_ref(),
            times: Times::Fields { changed: &changed, deleted: known.changes.deleted },
            trusted: how.clock.ours,
            names: &office,
        },
        remote: Side {
            image: (!item.deleted).then_some(&item.fields),
            times: Times::Record(updated),
            trusted: how.clock.trusts(updated, earliest) && !went_back,
            names: &names,
        },
        fields: &fields,
        now: how.now,
        resolved: how.resolved,
        barred: how.barred,
        round: goes_round,
    };
    let mut verdict = decide(&policy, &sides);
    // Of what waits for a person already nothing is sent, so that it does not go round.
    let contents = || fingerprint((!item.deleted).then_some(&item.fields), &fields);
    if verdict.to_local.is_some()
        && known.open.is_empty()
        && how.first.is_none()
        && known.crossings.goes_round(&contents(), how.now)
    {
        verdict = decide(&policy, &Sides { round: true, ..sides });
    }
    plan(inlet, item, known, &fields, seq, verdict)
}

fn is_same(fields: &[Arc<str>], one: &Record, other: &Record) -> bool {
    fields.iter().all(|field| same(one.get(field), other.get(field)))
}

/// What we sent that this is, if it is.
fn own<'k>(known: &'k Known, item: &Mapped, fields: &[Arc<str>]) -> Option<(i64, &'k Record)> {
    let agreed = known.base.as_ref().map_or(0, |base| base.seq);
    let is_it = |(seq, local): &&(i64, Record)| *seq > agreed && is_same(fields, &item.fields, local);
    known.sent.iter().find(is_it).map(|(seq, local)| (*seq, local))
}

/// The row stays; what the other side holds is noted.
fn plan_echo(known: &Known, item: &Mapped, fields: &[Arc<str>], held: &Both, sent: i64) -> Weighed {
    let mut there = held.there.clone();
    fields.iter().for_each(|field| there.set(field, item.fields.get(field).cloned().unwrap_or(Value::Null)));
    // The application may have gone on since: it is compared with what was sent.
    let agree = Agree { local: held.local.clone(), there, upto: Some(sent), ..Agree::default() };
    Weighed::Plan(
        Box::new(Planned {
            mapped: item.clone(),
            change: Change {
                key: known.key.clone(),
                expect: known.row.clone(),
                act: Act::Keep,
                tell: false,
                guarded: false,
            },
            agree: Some(agree),
            held: None,
            decided: Vec::new(),
            seq: sent,
        }),
        Box::default(),
    )
}

/// Makes a verdict into what is written here, and what is agreed on then.
fn plan(inlet: &Inlet, item: &Mapped, known: &Known, fields: &[Arc<str>], seq: i64, verdict: Verdict) -> Weighed {
    let held = known.base.as_ref().and_then(|base| base.held.as_ref());
    let act = match &verdict.to_local {
        Some(Write::Insert(values) | Write::Update(values)) => Act::Put(values.clone()),
        Some(Write::Delete) => Act::Delete,
        None => Act::Keep,
    };
    let disputed: Vec<&Arc<str>> = verdict.held.iter().flat_map(|held| &held.dispute.fields).collect();
    // What goes there is agreed on when it has arrived.
    let leaving = |field: &Arc<str>| match &verdict.to_remote {
        Some(Write::Insert(_) | Write::Delete) => true,
        Some(Write::Update(values)) => values.get(field).is_some(),
        None => false,
    };
    let agree = match (&verdict.next, &verdict.to_remote) {
        (Next::Same, _) => None,
        // Until the other side has deleted it, both sides are as they were.
        (Next::Gone, Some(Write::Delete)) => held.map(|held| Agree {
            local: held.local.clone(),
            there: merged(&held.there, &item.fields),
            ..Agree::default()
        }),
        (Next::Gone, _) => Some(Agree { gone: true, whole: true, ..Agree::default() }),
        // It is to be created there again.
        (Next::Base { .. }, Some(Write::Insert(_))) => Some(Agree { gone: true, ..Agree::default() }),
        (Next::Base { remote, .. }, _) => {
            let (mut fresh, mut there) = (Vec::new(), remote.clone());
            let mut local = held.map_or_else(Record::new, |held| held.local.clone());
            for field in fields {
                let is_open = disputed.contains(&field);
                if leaving(field) {
                    there.set(field, item.fields.get(field).cloned().unwrap_or(Value::Null));
                    // It has lost there, and is sent when the rest is decided too: what is here is newer than that.
                    if !disputed.is_empty()
                        && !same(held.and_then(|held| held.there.get(field)), item.fields.get(field))
                    {
                        local.set(field, item.fields.get(field).cloned().unwrap_or(Value::Null));
                    }
                } else if !is_open {
                    local.remove(field);
                    fresh.push(field.clone());
                }
                if is_open {
                    match held.and_then(|held| held.there.get(field)) {
                        Some(before) => there.set(field, before.clone()),
                        None => drop(there.remove(field)),
                    }
                }
            }
            let whole = disputed.is_empty() && verdict.to_remote.is_none();
            Some(Agree { fresh, local, there, whole, ..Agree::default() })
        }
    };
    // While a person has to decide about a record nothing of it is sent: it goes as a whole, with what is disputed.
    let tell = inlet.both_ways && verdict.to_remote.is_some() && verdict.held.is_empty();
    let reason = verdict.held.first().map(|held| {
        let names: Vec<&str> = verdict.held.iter().map(|held| held.dispute.unit.name()).collect();
        Reason::new("conflict", format!("{}: {}", names.join(", "), held.why.reason()))
    });
    let by_person = verdict.decided.iter().filter(|decided| decided.because == Because::Person);
    let by_person: Vec<(String, String)> =
        by_person.map(|decided| (decided.dispute.unit.name().to_owned(), decided.winner.word().to_owned())).collect();
    let guarded = by_person.is_empty() && inlet.policy.guards(verdict.writes_here());
    let idle = act == Act::Keep && !tell && reason.is_none();
    let news = item.version.is_some() && known.base.as_ref().is_some_and(|base| base.version != item.version);
    if idle && agree.is_none() && !news {
        return Weighed::Agreed;
    }
    if act == Act::Keep && !tell && !news && verdict.decided.is_empty() && stands(known, &verdict, agree.as_ref()) {
        return Weighed::Stands;
    }
    Weighed::Plan(
        Box::new(Planned {
            mapped: item.clone(),
            change: Change { key: known.key.clone(), expect: known.row.clone(), act, tell, guarded },
            agree,
            held: reason,
            decided: by_person,
            seq,
        }),
        Box::new(verdict),
    )
}

/// Whether a verdict holds what waits already, as it is noted, and nothing new is agreed on.
fn stands(known: &Known, verdict: &Verdict, agree: Option<&Agree>) -> bool {
    let is_noted = |held: &Held| {
        known.open.iter().any(|open| {
            open.unit == held.dispute.unit.name()
                && open.local == held.dispute.local.seen
                && open.remote == held.dispute.remote.seen
        })
    };
    let is_known = |agree: &Agree| {
        let Some(held) = known.base.as_ref().and_then(|base| base.held.as_ref()) else { return false };
        let here = |field: &Arc<str>| known.row.as_ref().and_then(|row| row.get(field));
        !agree.gone
            && agree.there == held.there
            && agree.local.iter().all(|(field, value)| held.local.get(field) == Some(value))
            && agree.fresh.iter().all(|field| held.local.get(field) == here(field))
    };
    matches!(known.aside, Some((Aside::Held, _)))
        && known.resolved.is_empty()
        && known.open.len() == verdict.held.len()
        && verdict.held.iter().all(is_noted)
        && agree.is_none_or(is_known)
}

fn merged(before: &Record, now: &Record) -> Record {
    let mut merged = before.clone();
    now.iter().for_each(|(name, value)| merged.set(name, value.clone()));
    merged
}
