//! Several records in one request, as an adapter's file says: what stands for each, and what the answer says of it.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::reading::{Answer, pointed, pointed_in};
use super::{Shared, body, echo};
use crate::adapter::http::{Caller as _, Each, Reply};
use crate::adapter::join::frame::{self, Kind, mark};
use crate::adapter::join::{Member, frame as frames};
use crate::adapter::{Parcel, Request};
use crate::clock;
use crate::event::{Record, Value};
use crate::rules::batch::MULTI_STATUS;
use crate::rules::expression::{Escape, Scope};
use crate::rules::operation::joint::{Item, Joint, JointStep, Results};
use crate::rules::operation::{Body, Call};
use crate::rules::outcome::{Outcome, Reason};
use crate::rules::verdict::{Extract, Reading, Word, judge as by_rules};

/// How far a joined request has come.
#[derive(Debug)]
pub struct Round {
    members: Arc<[Member]>,
    /// The step that is under way.
    at: usize,
    /// Of each record what has come of it, or the step that it is to be sent in.
    states: Vec<State>,
}

#[derive(Debug)]
enum State {
    Open(usize),
    Done(Outcome),
}

impl Round {
    /// At the beginning.
    pub fn of(members: &Arc<[Member]>) -> Round {
        Round { members: Arc::clone(members), at: 0, states: members.iter().map(|_| State::Open(0)).collect() }
    }

    /// The records of the request that is under way.
    fn open(&self) -> Vec<usize> {
        let open =
            self.states.iter().enumerate().filter(|(_, state)| matches!(state, State::Open(at) if *at == self.at));
        open.map(|(at, _)| at).collect()
    }
}

/// What stands for a record: its item, and the frame of the request that it will be in.
pub fn item(
    shared: &Shared,
    joint: &Joint,
    item: &Item,
    scope: &mut Scope,
    parcel: &Parcel,
) -> Result<Request, Reason> {
    let Some(step) = joint.steps.first() else { return Err(Reason::new("encoding", "the adapter has no request")) };
    body::parts(&shared.spec.parts, scope)?;
    let (_, bytes) = body::bytes(&item.body, scope, parcel.key())?;
    if bytes.is_empty() {
        return Err(Reason::new("encoding", "nothing stands for the record in a request of several"));
    }
    let name = joint.key.as_ref().map(|key| key.write(scope, Escape::Plain)).transpose()?.unwrap_or_default();
    let (framed, kind) = frame_of(shared, joint, step, parcel.key())?;
    Ok(frame::item(framed, kind, Member { list: item.list.clone(), name, body: bytes }))
}

/// A request with marks where the lists go, and how they stand there.
fn frame_of(shared: &Shared, joint: &Joint, step: &JointStep, key: &str) -> Result<(Request, Kind), Reason> {
    let mut roots = shared.roots.clone();
    let lists = joint.lists();
    let marked = match lists.as_slice() {
        [""] => Value::Text(mark("").into()),
        lists => Value::Map(lists.iter().map(|list| (*list, Value::Text(mark(list).into()))).collect()),
    };
    roots.set("items", marked);
    let scope = Scope { record: Record::new(), roots };
    let around = body::Around { base: &shared.base, key, headers: &shared.headers };
    Ok((body::request(&step.request, &scope, &around)?, kind_of(&step.request)))
}

/// How lists stand in the body of a call.
fn kind_of(call: &Call) -> Kind {
    match &call.body {
        Body::Form(_) => Kind::Form,
        Body::Text { escape: Escape::Xml, .. } => Kind::Run,
        Body::Text { .. } => Kind::Lines,
        _ => Kind::Json,
    }
}

/// The first call of a joined request, where more may follow, or of what stands for a record and was joined with none. None = it
/// is none of these.
#[expect(clippy::option_option, reason = "what is joined may need nothing but its own request")]
pub fn first(shared: &Shared, parcel: &Parcel, request: &Request) -> Option<Option<(Request, Round)>> {
    if frames::is_item(request) {
        let member = frame::member(request)?;
        let sent = frame::filled(request, "Idempotency-Key", parcel.key(), std::slice::from_ref(&member));
        return Some(Some((sent, Round::of(&Arc::from([member])))));
    }
    if parcel.members().is_empty() {
        return None;
    }
    let several = shared.spec.joint.as_ref().is_some_and(|joint| joint.steps.len() > 1);
    Some(several.then(|| (request.clone(), Round::of(parcel.members()))))
}

/// What an answer says of the records.
pub fn judge(shared: &Shared, parcel: &Parcel, request: &Request, reply: &Reply, round: &mut Round) -> Each {
    let Some(joint) = shared.spec.joint.as_ref() else { return Each::Unsaid };
    let Some(step) = joint.steps.get(round.at) else { return Each::Unsaid };
    let (_, whole) = shared.by_rules(&[&step.rules], parcel, request, reply);
    if !whole.is_delivered() {
        return Each::All(whole);
    }
    let open = round.open();
    let answer = Answer::new(reply, None);
    let mut lists: Vec<&str> =
        open.iter().filter_map(|at| round.members.get(*at)).map(|one| one.list.as_str()).collect();
    lists.sort_unstable();
    lists.dedup();
    let mut said: Vec<(usize, (Word, Outcome))> = Vec::with_capacity(open.len());
    for list in lists {
        let here: Vec<(usize, &Member)> = open
            .iter()
            .filter_map(|at| Some((*at, round.members.get(*at)?)))
            .filter(|(_, member)| member.list == *list)
            .collect();
        let Some((_, results)) = step.results.iter().find(|(named, _)| named == list) else {
            said.extend(here.iter().map(|(at, _)| (*at, (Word::Success, whole.clone()))));
            continue;
        };
        let members: Vec<&Member> = here.iter().map(|(_, member)| *member).collect();
        match each(results, &answer, &members, parcel, request) {
            Ok(words) => said.extend(here.iter().map(|(at, _)| *at).zip(words)),
            Err(reason) => return Each::All(shared.settle(Outcome::Unknown { reason, transport: false })),
        }
    }
    for (at, (word, outcome)) in said {
        let state = match step.on.get(&word) {
            Some(later) => State::Open(*later),
            None => State::Done(shared.settle(outcome)),
        };
        if let Some(place) = round.states.get_mut(at) {
            *place = state;
        }
    }
    let later = round.states.iter().filter_map(|state| match state {
        State::Open(at) if *at > round.at => Some(*at),
        _ => None,
    });
    if let Some(next) = later.min() {
        round.at = next;
        return match call(shared, joint, round, parcel) {
            Ok(request) => Each::Call(request),
            Err(reason) => Each::All(Outcome::Reject(reason)),
        };
    }
    let outcomes: Vec<Outcome> = round.states.iter().map(outcome_of).collect();
    // Of those that the target takes all or none, one that it has not taken speaks for all: they are tried as halves.
    match outcomes.iter().find(|outcome| joint.atomic && !outcome.is_delivered()) {
        Some(telling) if outcomes.len() > 1 => Each::All(telling.clone()),
        _ => Each::Items(outcomes),
    }
}

fn outcome_of(state: &State) -> Outcome {
    match state {
        State::Done(outcome) => outcome.clone(),
        State::Open(_) => Outcome::Unknown { reason: unsaid(), transport: false },
    }
}

/// The call of the step that a round has come to.
fn call(shared: &Shared, joint: &Joint, round: &Round, parcel: &Parcel) -> Result<Request, Reason> {
    let Some(step) = joint.steps.get(round.at) else { return Err(unsaid()) };
    let (mut request, kind) = frame_of(shared, joint, step, parcel.key())?;
    let members: Vec<Member> = round.open().into_iter().filter_map(|at| round.members.get(at).cloned()).collect();
    request.body = frame::body(&String::from_utf8_lossy(&request.body), kind, &members);
    Ok(request)
}

fn unsaid() -> Reason {
    Reason::new("bad-answer", "the answer says nothing of this record")
}

/// What the results say of records, in their order.
fn each(
    results: &Results,
    answer: &Answer<'_>,
    members: &[&Member],
    parcel: &Parcel,
    request: &Request,
) -> Result<Vec<(Word, Outcome)>, Reason> {
    let unread = |what: &'static str| Reason::new(MULTI_STATUS, what);
    let Some(found) = answer.results(&results.place) else {
        return Err(unread("the answer is too long or too broken to find the results of each record in it"));
    };
    let now = clock::now();
    let hide = |text: &str| echo::hide(text, request);
    let (key, rules, status) = (parcel.key(), &results.rules, results.status.as_deref());
    let judged = |result| {
        let verdict = by_rules(rules, &One { result, status, answer }, key, now, &hide);
        verdict.map_or_else(nothing, |verdict| (verdict.word, verdict.outcome))
    };
    match &results.key {
        Some(pointer) => {
            let mut named: HashMap<String, &Json> = HashMap::with_capacity(found.len());
            for result in found.iter().copied() {
                named.extend(pointed(result, pointer).into_iter().map(|name| (name, result)));
            }
            Ok(members
                .iter()
                .map(|member| named.get(&member.name).map_or_else(nothing, |result| judged(result)))
                .collect())
        }
        None if found.len() == members.len() => Ok(found.iter().map(|result| judged(result)).collect()),
        None => Err(unread("the answer does not list as many results as there were records")),
    }
}

fn nothing() -> (Word, Outcome) {
    (Word::Unknown, Outcome::Unknown { reason: unsaid(), transport: false })
}

/// What an answer says of one record.
struct One<'a, 'r> {
    result: &'a Json,
    status: Option<&'a str>,
    answer: &'a Answer<'r>,
}

impl Reading for One<'_, '_> {
    fn status(&self) -> u16 {
        let said = self.status.and_then(|pointer| pointed_in(self.result, pointer).into_iter().next());
        let number = said.and_then(|found| match found {
            Json::Number(number) => number.as_u64(),
            Json::String(text) => text.get(..3)?.parse().ok(),
            _ => None,
        });
        number.and_then(|number| u16::try_from(number).ok()).unwrap_or(0)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.answer.header(name)
    }

    fn read(&self, what: &Extract) -> Option<Vec<String>> {
        Some(match what {
            Extract::Status => vec![self.status().to_string()],
            Extract::Json(pointer) => pointed(self.result, pointer),
            Extract::Header(_) => return self.answer.read(what),
            Extract::Xml(_) | Extract::Hl7(_) | Extract::Body => Vec::new(),
        })
    }
}
