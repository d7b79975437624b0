//! The decision table, the other cases by name, and what holds for all.

mod properties;
mod rows;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::clock::Timestamp;
use crate::event::{Record, Value};

/// `12:00` or `12:00:03` of one day.
fn at(time: &str) -> Timestamp {
    let mut parts = time.split(':').map(|part| part.parse::<i64>().unwrap_or(0));
    let (hours, minutes, seconds) = (parts.next(), parts.next(), parts.next());
    let seconds = hours.unwrap_or(0) * 3600 + minutes.unwrap_or(0) * 60 + seconds.unwrap_or(0);
    Timestamp(1_772_668_800_000 + seconds * 1000)
}

fn record(fields: &[(&str, &str)]) -> Record {
    fields.iter().map(|(name, value)| (*name, Value::from(*value))).collect()
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

/// One record on both sides, to be decided.
#[derive(Clone, Debug)]
struct Case {
    policy: Policy,
    base: Option<Record>,
    local: Option<Record>,
    local_times: BTreeMap<Arc<str>, Span>,
    local_deleted: Option<Timestamp>,
    remote: Option<Record>,
    remote_at: Option<Timestamp>,
    remote_trusted: bool,
    fields: Vec<Arc<str>>,
    now: Timestamp,
    resolved: Vec<Resolution>,
    barred: bool,
    round: bool,
}

impl Case {
    /// A record on whose `start` of 09:00 both sides agree, with a subject and an end.
    fn agreed() -> Case {
        let image = record(&[("start", "09:00"), ("end", "09:30"), ("subject", "visit")]);
        Case {
            policy: Policy::none("appointments"),
            base: Some(image.clone()),
            local: Some(image.clone()),
            local_times: BTreeMap::new(),
            local_deleted: None,
            remote: Some(image),
            remote_at: None,
            remote_trusted: true,
            fields: names(&["start", "end", "subject"]),
            now: at("23:00"),
            resolved: Vec::new(),
            barred: false,
            round: false,
        }
    }

    fn rule(mut self, field: &str, winner: Winner) -> Case {
        self.policy.rules.push((field.into(), Rule::of(winner)));
        self
    }

    fn ordered(mut self, field: &str, winner: Winner, order: &[&str]) -> Case {
        let order = order.iter().map(|name| (*name).to_owned()).collect();
        self.policy.rules.push((field.into(), Rule { winner, order }));
        self
    }

    fn group(mut self, name: &str, fields: &[&str]) -> Case {
        self.policy.groups.push(Group { name: name.into(), fields: names(fields) });
        self
    }

    /// The application changes a field.
    fn here(mut self, field: &str, value: &str, time: &str) -> Case {
        if let Some(image) = &mut self.local {
            image.set(field, value.into());
        }
        let time = at(time);
        self.local_times
            .entry(field.into())
            .and_modify(|span| span.last = time)
            .or_insert(Span { first: time, last: time });
        self
    }

    /// The outside system changes a field.
    fn there(mut self, field: &str, value: &str, time: &str) -> Case {
        if let Some(image) = &mut self.remote {
            image.set(field, value.into());
        }
        self.remote_at = Some(at(time));
        self
    }

    fn decide(&self) -> Verdict {
        let base = self.base.as_ref();
        decide(
            &self.policy,
            &Sides {
                base: base.map(|base| Base { local: base, remote: base }),
                local: Side {
                    image: self.local.as_ref(),
                    times: Times::Fields { changed: &self.local_times, deleted: self.local_deleted },
                    trusted: true,
                    names: &["OF042"],
                },
                remote: Side {
                    image: self.remote.as_ref(),
                    times: Times::Record(self.remote_at),
                    trusted: self.remote_trusted,
                    names: &["lotus", "lotus_notes"],
                },
                fields: &self.fields,
                now: self.now,
                resolved: &self.resolved,
                barred: self.barred,
                round: self.round,
            },
        )
    }

    /// Both sides after their writes.
    fn carried_out(&self) -> (Option<Record>, Option<Record>) {
        let verdict = self.decide();
        (written(&self.local, &verdict.to_local), written(&self.remote, &verdict.to_remote))
    }

    /// The same as the other side would decide it: what happened there happened here.
    fn mirrored(&self) -> Verdict {
        let base = self.base.as_ref();
        decide(
            &self.policy,
            &Sides {
                base: base.map(|base| Base { local: base, remote: base }),
                local: Side {
                    image: self.remote.as_ref(),
                    times: Times::Record(self.remote_at),
                    trusted: self.remote_trusted,
                    names: &["lotus", "lotus_notes"],
                },
                remote: Side {
                    image: self.local.as_ref(),
                    times: Times::Fields { changed: &self.local_times, deleted: self.local_deleted },
                    trusted: true,
                    names: &["OF042", HERE],
                },
                fields: &self.fields,
                now: self.now,
                resolved: &self.resolved,
                barred: self.barred,
                round: self.round,
            },
        )
    }

    /// What both sides show in a field afterwards; they must show the same, whichever side decides.
    fn both(&self, field: &str) -> Value {
        let (local, remote) = self.carried_out();
        let (local, remote) = (local.unwrap_or_default(), remote.unwrap_or_default());
        let shown = local.get(field).cloned();
        assert_eq!(shown, remote.get(field).cloned(), "the two sides differ in {field}");
        let there = self.mirrored();
        let (local, remote) = (written(&self.remote, &there.to_local), written(&self.local, &there.to_remote));
        assert_eq!(local.and_then(|image| image.get(field).cloned()), shown, "decided on the other side");
        assert_eq!(remote.and_then(|image| image.get(field).cloned()), shown, "decided on the other side");
        shown.unwrap_or(Value::Null)
    }

    fn only_decided(&self) -> Decided {
        let mut decided = self.decide().decided;
        assert_eq!(decided.len(), 1, "{decided:?}");
        decided.remove(0)
    }

    /// The one conflict that is held, whichever side decides; nothing of it is written.
    fn only_held(&self) -> Held {
        let verdict = self.decide();
        assert_eq!(self.mirrored().held.len(), verdict.held.len(), "held on one side, decided on the other");
        assert_eq!(verdict.held.len(), 1, "{verdict:?}");
        for held in &verdict.held {
            for write in [&verdict.to_local, &verdict.to_remote] {
                let writes = |field: &Arc<str>| match write {
                    Some(Write::Insert(set) | Write::Update(set)) => set.get(field).is_some(),
                    Some(Write::Delete) => true,
                    None => false,
                };
                assert!(!held.dispute.fields.iter().any(writes), "what is held is written: {verdict:?}");
            }
        }
        verdict.held.into_iter().next().unwrap_or_else(|| unreachable!("counted"))
    }
}

fn written(image: &Option<Record>, write: &Option<Write>) -> Option<Record> {
    match (image, write) {
        (image, None) => image.clone(),
        (None, Some(Write::Insert(record))) => Some(record.clone()),
        (Some(image), Some(Write::Update(set))) => {
            let mut image = image.clone();
            set.iter().for_each(|(name, value)| image.set(name, value.clone()));
            Some(image)
        }
        (Some(_), Some(Write::Delete)) => None,
        (image, write) => unreachable!("{write:?} to {image:?}"),
    }
}
