//! The decision about one record.

use std::sync::Arc;

use super::same::{fingerprint, same};
use super::weigh::{self, Weighed};
use super::{
    Base, Because, Decided, Dispute, Held, Next, Policy, Side, Sides, Span, Stand, Unit, Verdict, Which, Why, Won,
    Write,
};
use crate::event::{Record, Value};

/// What is to be done about one record: what to write to each side, which conflicts were decided and which wait for a person.
///
/// The verdict is the caller's to carry out: it writes both sides, and then keeps [`Verdict::next`] as the base. A guard is the
/// caller's to ask ([`Policy::guards`] of [`Verdict::writes_here`]): where it finds a row, this is asked again with
/// [`Sides::barred`].
pub fn decide(policy: &Policy, sides: &Sides<'_>) -> Verdict {
    match (sides.local.image, sides.remote.image) {
        (Some(local), Some(remote))
            if sides.round && sides.fields.iter().any(|field| !same(local.get(field), remote.get(field))) =>
        {
            round(sides, local, remote)
        }
        (Some(image), None) if sides.round => round_one(sides, Which::Local, image),
        (None, Some(image)) if sides.round => round_one(sides, Which::Remote, image),
        (Some(local), Some(remote)) => Both { policy, sides, local, remote }.decide(),
        (None, None) => {
            let next = if sides.base.is_some() { Next::Gone } else { Next::Same };
            Verdict { next, ..Verdict::default() }
        }
        (Some(image), None) => one(policy, sides, Which::Local, image),
        (None, Some(image)) => one(policy, sides, Which::Remote, image),
    }
}

/// These fields of an image; one that it does not have is null.
fn only(image: &Record, fields: &[Arc<str>]) -> Record {
    fields.iter().map(|field| (Arc::clone(field), image.get(field).cloned().unwrap_or(Value::Null))).collect()
}

/// A write to one side.
fn to(verdict: &mut Verdict, which: Which, write: Write) {
    match which {
        Which::Local => verdict.to_local = Some(write),
        Which::Remote => verdict.to_remote = Some(write),
    }
}

/// What a side held at the last agreement.
fn based<'a>(base: &Base<'a>, which: Which) -> &'a Record {
    match which {
        Which::Local => base.local,
        Which::Remote => base.remote,
    }
}

fn side_of<'a, 's>(sides: &'s Sides<'a>, which: Which) -> &'s Side<'a> {
    match which {
        Which::Local => &sides.local,
        Which::Remote => &sides.remote,
    }
}

/// Where a side stands that has the record: with these of its fields changed, out of those in dispute.
fn standing(side: &Side<'_>, image: &Record, disputed: &[Arc<str>], changed: &[&Arc<str>]) -> Stand {
    let spans: Vec<Option<Span>> = changed.iter().map(|field| side.span(field)).collect();
    let known: Option<Vec<Span>> = spans.into_iter().collect();
    Stand {
        values: Some(only(image, disputed)),
        first: known.as_ref().and_then(|spans| spans.iter().map(|span| span.first).min()),
        last: known.as_ref().and_then(|spans| spans.iter().map(|span| span.last.max(span.first)).max()),
        by_record: side.by_record(),
        seen: fingerprint(Some(image), disputed),
    }
}

/// Where a side stands that has deleted the record.
fn deleted(side: &Side<'_>, disputed: &[Arc<str>]) -> Stand {
    let span = side.deleted();
    Stand {
        values: None,
        first: span.map(|span| span.first),
        last: span.map(|span| span.last),
        by_record: side.by_record(),
        seen: fingerprint(None, disputed),
    }
}

/// Only one side has the record.
fn one(policy: &Policy, sides: &Sides<'_>, has: Which, image: &Record) -> Verdict {
    let Some(base) = &sides.base else {
        // Never agreed on: it is new there.
        return create(policy, sides, has, image);
    };
    let before = based(base, has);
    let changed: Vec<&Arc<str>> =
        sides.fields.iter().filter(|field| !same(image.get(field), before.get(field))).collect();
    if changed.is_empty() {
        return write_one(sides, has, image, &Won::Side(has.other()));
    }
    let dispute = presence(sides, has, image, &changed);
    match weigh::record(policy, sides, &dispute, has.other()) {
        Weighed::Held(why) => held(dispute, why),
        Weighed::Won(winner, because) => {
            let creates_here = has == Which::Remote && winner != Won::Side(Which::Local);
            if creates_here && because != Because::Person && sides.barred {
                return held(dispute, Why::Guard);
            }
            let mut verdict = write_one(sides, has, image, &winner);
            verdict.decided.push(Decided { dispute, winner, because });
            verdict
        }
    }
}

/// A record that one side has and the other never had. Held only by the guard.
fn create(policy: &Policy, sides: &Sides<'_>, has: Which, image: &Record) -> Verdict {
    let guarded = has == Which::Remote && policy.guard.is_some();
    if guarded && (sides.barred || !sides.resolved.is_empty()) {
        let changed: Vec<&Arc<str>> = sides.fields.iter().collect();
        let dispute = presence(sides, has, image, &changed);
        if let Some((winner, because)) = weigh::by_person(sides, &dispute) {
            let mut verdict = write_one(sides, has, image, &winner);
            verdict.decided.push(Decided { dispute, winner, because });
            return verdict;
        }
        if sides.barred {
            return held(dispute, Why::Guard);
        }
    }
    write_one(sides, has, image, &Won::Side(has))
}

/// A record whose contents cross again and again: a person says which both sides get.
fn round(sides: &Sides<'_>, local: &Record, remote: &Record) -> Verdict {
    let differs: Vec<&Arc<str>> =
        sides.fields.iter().filter(|field| !same(local.get(field), remote.get(field))).collect();
    let dispute = Dispute {
        unit: Unit::Record,
        fields: sides.fields.to_vec(),
        base: sides.base.as_ref().map(|base| only(base.local, sides.fields)),
        local: standing(&sides.local, local, sides.fields, &differs),
        remote: standing(&sides.remote, remote, sides.fields, &differs),
    };
    let Some((winner, because)) = weigh::by_person(sides, &dispute) else { return held(dispute, Why::Loop) };
    let won = |field: &Arc<str>| match &winner {
        Won::Side(Which::Local) => local.get(field),
        Won::Side(Which::Remote) => remote.get(field),
        // What that person does not say stays as it is here.
        Won::Values(values) => values.get(field).or_else(|| local.get(field)),
    };
    let (mut writes, mut bases) = ([Record::new(), Record::new()], [Record::new(), Record::new()]);
    for field in sides.fields {
        let won = won(field);
        for ((image, write), base) in [local, remote].into_iter().zip(&mut writes).zip(&mut bases) {
            let stays = same(won, image.get(field));
            let value = if stays { image.get(field) } else { won }.cloned().unwrap_or(Value::Null);
            if !stays {
                write.set(field, value.clone());
            }
            base.set(field, value);
        }
    }
    let ([here, there], [local, remote]) = (writes, bases);
    Verdict {
        to_local: (!here.is_empty()).then_some(Write::Update(here)),
        to_remote: (!there.is_empty()).then_some(Write::Update(there)),
        decided: vec![Decided { dispute, winner, because }],
        held: Vec::new(),
        next: Next::Base { local, remote },
    }
}

/// The same of one that is deleted and made again in turn.
fn round_one(sides: &Sides<'_>, has: Which, image: &Record) -> Verdict {
    let changed: Vec<&Arc<str>> = sides.fields.iter().collect();
    let dispute = presence(sides, has, image, &changed);
    let Some((winner, because)) = weigh::by_person(sides, &dispute) else { return held(dispute, Why::Loop) };
    let mut verdict = write_one(sides, has, image, &winner);
    verdict.decided.push(Decided { dispute, winner, because });
    verdict
}

/// A dispute about whether there is a record at all; `has` is the side that has it.
fn presence(sides: &Sides<'_>, has: Which, image: &Record, changed: &[&Arc<str>]) -> Dispute {
    let here = standing(side_of(sides, has), image, sides.fields, changed);
    let there = deleted(side_of(sides, has.other()), sides.fields);
    let (local, remote) = if has == Which::Local { (here, there) } else { (there, here) };
    let base = sides.base.as_ref().map(|base| only(base.local, sides.fields));
    Dispute { unit: Unit::Record, fields: sides.fields.to_vec(), base, local, remote }
}

fn held(dispute: Dispute, why: Why) -> Verdict {
    Verdict { held: vec![Held { dispute, why }], ..Verdict::default() }
}

/// The writes when one side has the record and it is clear who wins.
fn write_one(sides: &Sides<'_>, has: Which, image: &Record, winner: &Won) -> Verdict {
    let mut verdict = Verdict::default();
    let mut whole = only(image, sides.fields);
    match winner {
        Won::Side(which) if *which != has => {
            to(&mut verdict, has, Write::Delete);
            verdict.next = Next::Gone;
            return verdict;
        }
        Won::Side(_) => {}
        Won::Values(values) => {
            let given = |field: &&Arc<str>| values.get(field).is_some_and(|value| !same(Some(value), image.get(field)));
            let set: Vec<Arc<str>> = sides.fields.iter().filter(given).cloned().collect();
            if !set.is_empty() {
                let set = only(values, &set);
                set.iter().for_each(|(field, value)| whole.set(field, value.clone()));
                to(&mut verdict, has, Write::Update(set));
            }
        }
    }
    to(&mut verdict, has.other(), Write::Insert(whole.clone()));
    verdict.next = Next::Base { local: whole.clone(), remote: whole };
    verdict
}

/// Both sides have the record.
struct Both<'a, 's> {
    policy: &'s Policy,
    sides: &'s Sides<'a>,
    local: &'a Record,
    remote: &'a Record,
}

/// One unit, compared with the base.
struct Compared {
    unit: Unit,
    fields: Vec<Arc<str>>,
    local: Vec<Arc<str>>,
    remote: Vec<Arc<str>>,
}

impl Both<'_, '_> {
    fn decide(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let (mut here, mut there) = (Record::new(), Record::new());
        let mut local_base = self.sides.base.map_or_else(Record::new, |base| base.local.clone());
        let mut remote_base = self.sides.base.map_or_else(Record::new, |base| base.remote.clone());
        let mut moved = self.sides.base.is_none();
        for compared in self.units() {
            if compared.local.is_empty() && compared.remote.is_empty() {
                continue;
            }
            let Some(winner) = self.settle(&compared, &mut verdict) else { continue };
            moved = true;
            // A field of a group that neither side has touched stays as each side writes it.
            let touched = |field: &&Arc<str>| compared.local.contains(field) || compared.remote.contains(field);
            for field in compared.fields.iter() {
                // What both sides get; none = each keeps what it has.
                let given = match &winner {
                    Some(Won::Values(values)) => Some(values.get(field)),
                    Some(Won::Side(Which::Local)) if touched(&field) => Some(self.local.get(field)),
                    Some(Won::Side(Which::Remote)) if touched(&field) => Some(self.remote.get(field)),
                    Some(Won::Side(_)) | None => None,
                };
                for (image, writes, base) in
                    [(self.local, &mut here, &mut local_base), (self.remote, &mut there, &mut remote_base)]
                {
                    let value = |value: Option<&Value>| value.cloned().unwrap_or(Value::Null);
                    match given {
                        Some(given) if !same(given, image.get(field)) => {
                            writes.push(Arc::clone(field), value(given));
                            base.set(field, value(given));
                        }
                        _ => base.set(field, value(image.get(field))),
                    }
                }
            }
        }
        verdict.to_local = (!here.is_empty()).then_some(Write::Update(here));
        verdict.to_remote = (!there.is_empty()).then_some(Write::Update(there));
        if moved {
            verdict.next = Next::Base { local: local_base, remote: remote_base };
        }
        verdict
    }

    /// The fields in their units, in the order in which a field of each comes first.
    fn units(&self) -> Vec<Compared> {
        let mut units: Vec<Compared> = Vec::new();
        for field in self.sides.fields {
            let changed = |image: &Record, which| {
                let before = self.sides.base.as_ref().and_then(|base| based(base, which).get(field));
                !same(image.get(field), before)
            };
            let (local, remote) = (changed(self.local, Which::Local), changed(self.remote, Which::Remote));
            let unit = self.policy.unit_of(field);
            let at = match &unit {
                Unit::Group(_) => units.iter().position(|other| other.unit == unit),
                Unit::Record | Unit::Field(_) => None,
            };
            let at = at.unwrap_or_else(|| {
                units.push(Compared { unit, fields: Vec::new(), local: Vec::new(), remote: Vec::new() });
                units.len() - 1
            });
            let Some(compared) = units.get_mut(at) else { continue };
            compared.fields.push(Arc::clone(field));
            compared.local.extend(local.then(|| Arc::clone(field)));
            compared.remote.extend(remote.then(|| Arc::clone(field)));
        }
        units
    }

    /// Who wins a unit that was changed: some side, a person's values, or nobody because both say the same (`Some(None)`).
    /// None = it is held.
    fn settle(&self, compared: &Compared, verdict: &mut Verdict) -> Option<Option<Won>> {
        let alike = |field: &Arc<str>| same(self.local.get(field), self.remote.get(field));
        let changed_both = !compared.local.is_empty() && !compared.remote.is_empty();
        if changed_both && compared.local.iter().chain(&compared.remote).all(alike) {
            return Some(None);
        }
        let barred = self.sides.barred && self.policy.guards(&compared.fields);
        if !changed_both && !barred && self.sides.resolved.is_empty() {
            let only = if compared.local.is_empty() { Which::Remote } else { Which::Local };
            return Some(Some(Won::Side(only)));
        }
        let dispute = self.dispute(compared);
        let weighed = if changed_both {
            weigh::fields(self.policy, self.sides, &dispute)
        } else {
            match weigh::by_person(self.sides, &dispute) {
                Some((won, because)) => Weighed::Won(won, because),
                None if barred && compared.local.is_empty() => Weighed::Held(Why::Guard),
                None if compared.local.is_empty() => return Some(Some(Won::Side(Which::Remote))),
                None => return Some(Some(Won::Side(Which::Local))),
            }
        };
        match weighed {
            Weighed::Won(Won::Side(Which::Remote), because) if barred && because != Because::Person => {
                verdict.held.push(Held { dispute, why: Why::Guard });
                None
            }
            Weighed::Won(winner, because) => {
                verdict.decided.push(Decided { dispute, winner: winner.clone(), because });
                Some(Some(winner))
            }
            Weighed::Held(why) => {
                verdict.held.push(Held { dispute, why });
                None
            }
        }
    }

    fn dispute(&self, compared: &Compared) -> Dispute {
        let stand = |side: &Side<'_>, image: &Record, changed: &[Arc<str>]| {
            let changed: Vec<&Arc<str>> = changed.iter().collect();
            standing(side, image, &compared.fields, &changed)
        };
        Dispute {
            unit: compared.unit.clone(),
            fields: compared.fields.clone(),
            base: self.sides.base.as_ref().map(|base| only(base.local, &compared.fields)),
            local: stand(&self.sides.local, self.local, &compared.local),
            remote: stand(&self.sides.remote, self.remote, &compared.remote),
        }
    }
}
