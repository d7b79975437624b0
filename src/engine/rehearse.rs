//! Fixtures, gone through: the same code as in a delivery, without a connection.

use std::sync::Arc;

use crate::adapter::http::{Rehearsed, Reply};
use crate::adapter::{Links, Request};
use crate::clock::Timestamp;
use crate::engine::compile::{Compiled, compile};
use crate::engine::connector::Connector;
use crate::event::{Event, EventId, Op, Record, Value};
use crate::format::json;
use crate::rules::lane;
use crate::rules::outcome::{Outcome, Reason};

/// What a case begins with.
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
    /// The event of a case.
    pub fn event(&self) -> Event {
        let (before, after) = match self.op {
            Op::Delete => (Some(self.record.clone()), None),
            _ => (None, Some(self.record.clone())),
        };
        Event {
            id: ID,
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

/// Goes through a case at a connector; `answer` gives the answers.
pub fn rehearse(connector: &Connector, given: &Given, answer: &mut dyn FnMut(&Request) -> Option<Reply>) -> Came {
    connector.adapter.attach(Arc::new(Fixed(given.link.clone())));
    let none = |word, reason| Came { requests: Vec::new(), word, reason, after: None, left: None };
    let parcels = match compile(connector, &given.event(), "") {
        Compiled::Skip => return none("skipped", None),
        Compiled::Hold(reason) => return none("held", Some(reason)),
        Compiled::Send(parcels) => parcels,
    };
    let mut came = none("unanswered", None);
    for parcel in &parcels {
        let Rehearsed { requests, outcome, left } = match connector.adapter.rehearse(parcel, answer) {
            Ok(rehearsed) => rehearsed,
            Err(reason) => return Came { word: "held", reason: Some(reason), ..came },
        };
        came.requests.extend(requests);
        came.left = left.and_then(|left| left.values);
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

/// Whether two JSON texts say the same, whatever their spacing.
pub fn same_json(body: &[u8], wanted: &Value) -> bool {
    json::decode(body).is_ok_and(|value| value == *wanted)
}
