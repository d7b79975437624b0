//! Several records in one request, as an adapter's file says: what stands for each, and what the answer says of it.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::echo::Echo;
use super::reading::{Answer, pointed, pointed_in};
use super::{Shared, body};
use crate::adapter::http::{Caller as _, Each, Reply, parts};
use crate::adapter::join::frame::{self, Kind, mark};
use crate::adapter::join::{Member, Of, frame as frames};
use crate::adapter::{Left, Parcel, Request};
use crate::clock;
use crate::event::{Op, Record, Value};
use crate::rules::batch::MULTI_STATUS;
use crate::rules::expression::{Escape, Scope};
use crate::rules::operation::joint::{Content, Item, Joint, JointStep, Place, Results};
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
    /// With what is kept of it.
    Done(Outcome, Captured),
}

/// Names and values that an answer has left.
type Captured = Vec<(String, String)>;

impl Round {
    /// At the beginning.
    pub fn of(members: &Arc<[Member]>) -> Round {
        Round { members: Arc::clone(members), at: 0, states: members.iter().map(|_| State::Open(0)).collect() }
    }

    /// What it leaves behind: of each record that the target has taken what was kept of its result, beside what was `known`.
    pub fn left(self, known: impl Fn(&Of) -> Captured) -> Vec<Left> {
        let mut left = Vec::new();
        for (member, state) in self.members.iter().zip(self.states) {
            let (Some(of), State::Done(outcome, captured)) = (&member.of, state) else { continue };
            if !outcome.is_delivered() || (captured.is_empty() && !of.gone) {
                continue;
            }
            let values = (!of.gone).then(|| {
                let mut values = known(of);
                values.retain(|(name, _)| !captured.iter().any(|(newer, _)| newer == name));
                values.extend(captured);
                values
            });
            left.push(Left { kind: of.kind.clone(), key: of.key.clone(), values });
        }
        left
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
    let bytes = match (&item.content, &step.request.body) {
        (Content::Call(call), Body::Mixed(mixed)) => {
            let around = body::Around { base: &shared.base, key: parcel.key(), headers: &[] };
            body::within(call, scope, &around, mixed.urls)?
        }
        (Content::Body(body), _) => body::bytes(body, scope, parcel.key())?.1,
        (Content::Call(_), _) => Vec::new(),
    };
    if bytes.is_empty() {
        return Err(Reason::new("encoding", "nothing stands for the record in a request of several"));
    }
    let name = joint.key.as_ref().map(|key| key.write(scope, Escape::Plain)).transpose()?.unwrap_or_default();
    let (framed, kind) = frame_of(shared, joint, step, parcel.key())?;
    let of = (!parcel.identity().is_empty()).then(|| Of {
        kind: parcel.kind().to_owned(),
        key: parcel.identity().to_owned(),
        gone: parcel.op() == Op::Delete,
    });
    Ok(frame::item(framed, kind, Member { list: item.list.clone(), name, of, body: bytes }))
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
        Body::Mixed(mixed) => Kind::Mixed(mixed.changesets),
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
    // Something is kept of them.
    let kept = parcel.members().iter().any(|member| member.of.is_some());
    Some((several || kept).then(|| (request.clone(), Round::of(parcel.members()))))
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
    let mut said: Vec<(usize, Said)> = Vec::with_capacity(open.len());
    for list in lists {
        let here: Vec<(usize, &Member)> = open
            .iter()
            .filter_map(|at| Some((*at, round.members.get(*at)?)))
            .filter(|(_, member)| member.list == *list)
            .collect();
        let Some((_, results)) = step.results.iter().find(|(named, _)| named == list) else {
            said.extend(here.iter().map(|(at, _)| (*at, Said::of(Word::Success, whole.clone()))));
            continue;
        };
        let members: Vec<&Member> = here.iter().map(|(_, member)| *member).collect();
        match each(results, &answer, reply, &members, parcel, request) {
            Ok(Spoken::Each(words)) => said.extend(here.iter().map(|(at, _)| *at).zip(words)),
            Ok(Spoken::All(outcome)) => return Each::All(shared.settle(outcome)),
            Err(reason) => return Each::All(shared.settle(Outcome::Unknown { reason, transport: false })),
        }
    }
    for (at, Said { word, outcome, captured }) in said {
        let state = match step.on.get(&word) {
            Some(later) => State::Open(*later),
            None => State::Done(shared.settle(outcome), captured),
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
        State::Done(outcome, _) => outcome.clone(),
        State::Open(_) => Outcome::Unknown { reason: unsaid(), transport: false },
    }
}

/// The call of the step that a round has come to.
fn call(shared: &Shared, joint: &Joint, round: &Round, parcel: &Parcel) -> Result<Request, Reason> {
    let Some(step) = joint.steps.get(round.at) else { return Err(unsaid()) };
    let (request, kind) = frame_of(shared, joint, step, parcel.key())?;
    let members: Vec<Member> = round.open().into_iter().filter_map(|at| round.members.get(at).cloned()).collect();
    Ok(frame::fill(request, kind, &members))
}

fn unsaid() -> Reason {
    Reason::new("bad-answer", "the answer says nothing of this record")
}

/// What is said of one record.
struct Said {
    word: Word,
    outcome: Outcome,
    captured: Captured,
}

impl Said {
    fn of(word: Word, outcome: Outcome) -> Said {
        Said { word, outcome, captured: Vec::new() }
    }

    /// Nothing.
    fn nothing() -> Said {
        Said::of(Word::Unknown, Outcome::Unknown { reason: unsaid(), transport: false })
    }
}

/// What results say.
enum Spoken {
    /// Of each record, in their order.
    Each(Vec<Said>),
    /// Of all of them one thing.
    All(Outcome),
}

/// What the results say of records, in their order.
fn each(
    results: &Results,
    answer: &Answer<'_>,
    reply: &Reply,
    members: &[&Member],
    parcel: &Parcel,
    request: &Request,
) -> Result<Spoken, Reason> {
    let unread = |what: &'static str| Reason::new(MULTI_STATUS, what);
    let sent = Echo::of(request);
    let now = clock::now();
    let judged = |result: &dyn Reading| {
        let Some(verdict) = by_rules(&results.rules, result, parcel.key(), now, &sent) else { return Said::nothing() };
        let mut captured = Captured::new();
        if verdict.outcome.is_delivered() {
            let kept =
                |(name, place): &(String, Extract)| Some((name.clone(), result.read(place)?.into_iter().next()?));
            captured.extend(results.capture.iter().filter_map(kept));
        }
        Said { word: verdict.word, outcome: verdict.outcome, captured }
    };
    let place = match &results.place {
        Place::Json(place) => place,
        Place::Parts => {
            let found = parts(reply).filter(|_| reply.whole);
            let found = found.ok_or_else(|| unread("the answer is too long or too broken to find its parts"))?;
            let said: Vec<Said> = found.iter().map(|part| judged(&Answer::new(part, None))).collect();
            return in_order(&found, said, members.len()).ok_or_else(|| unread(FEW));
        }
    };
    let Some(found) = answer.results(place) else {
        return Err(unread("the answer is too long or too broken to find the results of each record in it"));
    };
    let status = results.status.as_deref();
    let judged = |result| judged(&One { result, status, answer });
    match &results.key {
        Some(pointer) => {
            let mut named: HashMap<String, &Json> = HashMap::with_capacity(found.len());
            for result in found.iter().copied() {
                named.extend(pointed(result, pointer).into_iter().map(|name| (name, result)));
            }
            let said = members
                .iter()
                .map(|member| named.get(&member.name).map_or_else(Said::nothing, |result| judged(result)));
            Ok(Spoken::Each(said.collect()))
        }
        None if found.len() == members.len() => Ok(Spoken::Each(found.iter().map(|result| judged(result)).collect())),
        None => Err(unread(FEW)),
    }
}

const FEW: &str = "the answer does not list as many results as there were records";

/// What parts say, in the order of the records: by their `Content-ID` where every part has one of ours, else by their place. One
/// part that refuses speaks for all of a changeset.
fn in_order(parts: &[Reply], said: Vec<Said>, records: usize) -> Option<Spoken> {
    let number = |part: &Reply| {
        let id = part.fields.one("Content-ID")?;
        let id = id.trim().trim_matches(['<', '>']);
        let id = id.strip_prefix("response-").unwrap_or(id);
        id.parse::<usize>().ok().filter(|number| (1..=records).contains(number))
    };
    let numbers: Option<Vec<usize>> = parts.iter().map(number).collect();
    match numbers.filter(|numbers| numbers.len() == records) {
        Some(numbers) => {
            let mut ordered: Vec<Option<Said>> = Vec::new();
            ordered.resize_with(records, || None);
            for (number, said) in numbers.into_iter().zip(said) {
                *ordered.get_mut(number - 1)? = Some(said);
            }
            Some(Spoken::Each(ordered.into_iter().map(|said| said.unwrap_or_else(Said::nothing)).collect()))
        }
        None if said.len() == records => Some(Spoken::Each(said)),
        None => match <[Said; 1]>::try_from(said) {
            Ok([only]) if !only.outcome.is_delivered() => Some(Spoken::All(only.outcome)),
            _ => None,
        },
    }
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
