//! Fixtures, gone through: the same code as in a delivery, without a connection.

use std::sync::Arc;

use crate::adapter::http::{Rehearsed, Reply};
use crate::adapter::join::{go_together, join, joins, name};
use crate::adapter::{Links, Parcel, Request};
use crate::clock::Timestamp;
use crate::engine::compile::{Compiled, compile};
use crate::engine::connector::Connector;
use crate::event::{Event, EventId, Op, Record, Value};
use crate::format::json;
use crate::rules::lane;
use crate::rules::outcome::{Outcome, Reason};

/// A change that a case begins with.
#[derive(Clone, Debug)]
pub struct Given {
    /// What happened to the record.
    pub op: Op,
    /// The event's type.
    pub kind: String,
    /// Its key.
    pub key: Record,
    /// The record: after the change; before it, for a delete.
    pub record: Record,
    /// What earlier answers have left.
    pub link: Vec<(String, String)>,
}

/// What came of a case.
#[derive(Debug)]
pub struct Came {
    /// The requests, in order.
    pub requests: Vec<Request>,
    /// A word: that of the outcome, `held`, `skipped`, or `unanswered`.
    pub word: &'static str,
    /// A word for each record, where the answer spoke of each.
    pub words: Vec<&'static str>,
    /// Why.
    pub reason: Option<Reason>,
    /// When it is tried again, in seconds.
    pub after: Option<u64>,
    /// What it leaves behind.
    pub left: Option<Vec<(String, String)>>,
}

/// The id of a fixture's event.
const ID: EventId = EventId { epoch: 0x6f1c_09aa, seq: 17, nonce: 0x0b7e_22d1 };
/// When it happened: 2026-03-05T18:05:00.123Z.
const AT: Timestamp = Timestamp(1_772_733_900_123);

impl Given {
    /// The event of a case, the `nth` of several.
    pub fn event(&self, nth: i64) -> Event {
        let (before, after) = match self.op {
            Op::Delete => (Some(self.record.clone()), None),
            _ => (None, Some(self.record.clone())),
        };
        Event {
            id: EventId { seq: ID.seq + nth, ..ID },
            log: "office".into(),
            kind: self.kind.as_str().into(),
            op: self.op,
            key: self.key.clone(),
            old_key: None,
            before,
            after,
            changed: Vec::new(),
            at: AT,
            origin: None,
            dest: None,
            lane: lane::lane("office", &self.kind, &self.key, &[]),
            old_lane: None,
            synthetic: false,
            push: None,
        }
    }
}

#[derive(Debug)]
struct Fixed(Vec<(String, String)>);

impl Links for Fixed {
    fn of(&self, _: &str, _: &str) -> Result<Vec<(String, String)>, String> {
        Ok(self.0.clone())
    }
}

/// Goes through a case at a connector; `answer` gives the answers. Several changes go together as the connector says.
pub fn rehearse(connector: &Connector, given: &[Given], answer: &mut dyn FnMut(&Request) -> Option<Reply>) -> Came {
    let link = given.first().map(|given| given.link.clone()).unwrap_or_default();
    connector.adapter.attach(Arc::new(Fixed(link)));
    let none = |word, reason| Came { requests: Vec::new(), word, words: Vec::new(), reason, after: None, left: None };
    let mut parcels = Vec::new();
    for (nth, given) in (0..).zip(given) {
        match compile(connector, &given.event(nth), "") {
            Compiled::Skip => return none("skipped", None),
            Compiled::Hold(reason) => return none("held", Some(reason)),
            Compiled::Send(parts) => parcels.extend(parts),
        }
    }
    let mut came = none("unanswered", None);
    for parcel in &requests(connector, parcels) {
        let Rehearsed { requests, outcome, items, left } = match connector.adapter.rehearse(parcel, answer) {
            Ok(rehearsed) => rehearsed,
            Err(reason) => return Came { word: "held", reason: Some(reason), ..came },
        };
        came.requests.extend(requests);
        came.words.extend(items.iter().map(Outcome::word));
        came.left = left.into_iter().next().and_then(|left| left.values);
        came.word = outcome.as_ref().map_or("unanswered", Outcome::word);
        came.reason = outcome.as_ref().and_then(|outcome| outcome.reason().cloned());
        came.after = match &outcome {
            Some(Outcome::Retry { after, .. }) => after.map(|after| after.as_secs()),
            _ => None,
        };
        if !outcome.is_some_and(|outcome| outcome.is_delivered()) {
            break;
        }
    }
    came
}

/// Parcels as they go: those that go together in one request, in the order of the first of each.
fn requests(connector: &Connector, parcels: Vec<Parcel>) -> Vec<Parcel> {
    let shape = connector.shape();
    let most = connector.batch.map_or(1, |batch| batch.max);
    let mut groups: Vec<Vec<Parcel>> = Vec::new();
    for parcel in parcels {
        let fits = |group: &&mut Vec<Parcel>| {
            let first = group.first().filter(|first| joins(shape, first) && joins(shape, &parcel));
            let named = |other: &Parcel| name(other).is_some() && name(other) == name(&parcel);
            group.len() < most && first.is_some_and(|first| go_together(first, &parcel)) && !group.iter().any(named)
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(parcel),
            None => groups.push(vec![parcel]),
        }
    }
    groups.iter().filter_map(|group| join(shape, &group.iter().collect::<Vec<_>>())).collect()
}

/// Whether two JSON texts say the same, whatever their spacing.
pub fn same_json(body: &[u8], wanted: &Value) -> bool {
    json::decode(body).is_ok_and(|value| value == *wanted)
}
