//! A target that a file describes: its requests, and what its answers mean.
//!
//! What is known before any answer is rendered once, like a plain REST request. What takes several calls, or needs what
//! an earlier answer left, travels as a plan: the record and what is known beside it, from which each call is rendered
//! when its turn has come. The same plan and the same answers make the same bytes.

mod body;
mod caller;
mod echo;
pub mod exec;
mod joint;
mod mllp;
mod names;
mod plan;
mod probe;
mod pull;
mod reading;
mod road;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::adapter::auth::Credential;
use crate::adapter::auth::body::slot;
use crate::adapter::http::{Client, Next, Rehearsed, Reply, rehearse};
use crate::adapter::{Adapter, Fleet, Links, Parcel, Request, Shown};
use crate::clock;
use crate::event::{Op, Record, Value};
use crate::rules::classify::{Asked, classify};
use crate::rules::expression::Scope;
use crate::rules::governance::Cleared;
use crate::rules::operation::joint::{Item, Joint};
use crate::rules::operation::{Operation, Spec, Then};
use crate::rules::outcome::{Outcome, Reason};
use crate::rules::verdict::{Word, judge};
use echo::Echo;
use names::BOTH_WAYS;
use plan::Plan;
pub use pull::{Answering, PullSettings, PullSource};
use reading::Answer;
use road::Reach;
pub use road::Road;

/// What a target of a file's making is made of.
#[derive(Debug)]
pub struct SpecSettings {
    /// What the file says.
    pub spec: Arc<Spec>,
    /// The connector's `endpoint.url`, without a slash at its end.
    pub base: String,
    /// The connector's variables, with the file's defaults.
    pub vars: Record,
    /// The installation's name.
    pub office: String,
    /// Several records go in one request, where the file says how.
    pub joins: bool,
    /// The connector reads too.
    pub both_ways: bool,
    /// Further header fields of the connector.
    pub headers: Vec<(String, String)>,
    /// Further statuses that are retried.
    pub retry_on: Vec<u16>,
    /// What it is reached by.
    pub road: Road,
    /// Who it comes from.
    pub credential: Option<Arc<Credential>>,
}

/// A target that a file describes.
#[derive(Debug)]
pub struct SpecAdapter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    spec: Arc<Spec>,
    base: String,
    joins: bool,
    /// `vars`, `office` and the places of secrets: what is the same for every record.
    roots: Record,
    headers: Vec<(String, String)>,
    retry_on: Vec<u16>,
    credential: Option<Arc<Credential>>,
    reach: Reach,
    origin: String,
    fields: Vec<String>,
    links: OnceLock<Arc<dyn Links>>,
}

/// How far a parcel has come that takes several calls.
#[derive(Debug)]
pub enum Course {
    /// One record.
    Plan(Box<Voyage>),
    /// Several in one request.
    Joint(joint::Round),
}

/// How far a plan has come.
#[derive(Debug)]
pub struct Voyage {
    plan: Plan,
    scope: Scope,
    /// The step that is under way.
    at: usize,
    /// What the answers have left.
    captured: Vec<(String, String)>,
    /// What earlier answers had left is not so any more.
    forgot: bool,
}

impl SpecAdapter {
    /// An adapter. Errors name the setting and what is wrong.
    pub fn new(settings: SpecSettings) -> Result<SpecAdapter, Vec<String>> {
        let SpecSettings { spec, base, vars, office, joins, both_ways, headers, retry_on, road, credential } = settings;
        let (base, origin, reach) = road.open(&base).map_err(|error| vec![format!("url: {error}")])?;
        let mut secrets = Record::new();
        for expression in spec.all_expressions() {
            if let Some(name) = expression.secret() {
                // Without a credential of that name it is empty.
                let fills = credential.as_ref().is_some_and(|credential| credential.fills(name));
                let place = if fills { slot(name) } else { String::new() };
                secrets.set(name, Value::Text(place.into()));
            }
        }
        let fields = names::wanted(&spec);
        let mut roots: Record =
            [("vars", Value::Map(vars)), ("office", Value::from(office.as_str())), (BOTH_WAYS, Value::Bool(both_ways))]
                .into_iter()
                .collect();
        if secrets.iter().next().is_some() {
            roots.push("secret", Value::Map(secrets));
        }
        let links = OnceLock::new();
        let shared = Shared { spec, base, joins, roots, headers, retry_on, credential, reach, origin, fields, links };
        Ok(SpecAdapter { shared: Arc::new(shared) })
    }
}

impl SpecAdapter {
    /// Connects, and has the credential ready.
    fn reached(&self, client: &Client) -> Result<String, Reason> {
        let Some(credential) = &self.shared.credential else { return client.probe(&self.shared.origin) };
        // Where calls go may be known only by who has a token.
        let ready = if credential.leads() { credential.ready() } else { Ok(()) };
        let base = credential.base();
        let reached = client.probe(base.as_deref().unwrap_or(&self.shared.origin))?;
        match ready.and_then(|()| credential.ready()) {
            Ok(()) => Ok(format!("{reached}, credential {} is ready", credential.name())),
            Err(outcome) => {
                Err(outcome.reason().cloned().unwrap_or_else(|| Reason::new("credential", "cannot be had")))
            }
        }
    }
}

impl Shared {
    /// What is done for a change; none = the file does not say.
    fn operation(&self, op: Op) -> Result<&Operation, Reason> {
        self.spec.operations.of(op).ok_or_else(|| {
            let name = &self.spec.name;
            Reason::new("delete-rule", format!("the adapter {name} does not say what it does with a {op}"))
        })
    }

    /// What stands for a record where several go in one request; none = it goes alone.
    fn item(&self, op: Op) -> Option<(&Joint, &Item)> {
        let joint = self.spec.joint.as_ref().filter(|_| self.joins)?;
        joint.items.of(op).map(|item| (joint, item))
    }

    /// What the expressions see of a record.
    fn scope(&self, parcel: &Parcel, record: &Cleared) -> Scope {
        let mut roots = self.roots.clone();
        let (event, key) = names::event_and_key(&self.fields, parcel, record);
        roots.push("event", Value::Map(event));
        roots.push("key", Value::Map(key));
        roots.push("idempotency", Value::from(parcel.key()));
        Scope { record: record.record().clone(), roots }
    }

    fn render(&self, parcel: &Parcel, record: &Cleared) -> Result<Option<Request>, Reason> {
        if let Some((joint, item)) = self.item(parcel.op()) {
            let item = joint::item(self, joint, item, &mut self.scope(parcel, record), parcel)?;
            return self.bearable(item).map(Some);
        }
        let operation = self.operation(parcel.op())?;
        let mut scope = self.scope(parcel, record);
        if !self.spec.is_plain(operation) {
            let plan = Plan { identity: parcel.identity().to_owned(), scope };
            return plan.request(&self.base, &self.spec.name).map(Some);
        }
        match operation.steps.first() {
            Some(step) => self.call(&step.request, &mut scope, parcel).map(Some),
            None => Ok(None),
        }
    }

    /// A call as it stands on the wire.
    fn call(
        &self,
        call: &crate::rules::operation::Call,
        scope: &mut Scope,
        parcel: &Parcel,
    ) -> Result<Request, Reason> {
        body::parts(&self.spec.parts, scope)?;
        if let Some(verb) = self.spec.transport.verb() {
            let request = body::bare(call, scope, verb, &self.base, parcel.key())?;
            self.reach.takes(&request)?;
            return self.bearable(request);
        }
        let around = body::Around { base: &self.base, key: parcel.key(), headers: &self.headers };
        self.bearable(body::request(call, scope, &around)?)
    }

    /// A request, unless its body is larger than the target takes.
    fn bearable(&self, request: Request) -> Result<Request, Reason> {
        match self.spec.limits.body {
            Some(most) if request.body.len() > most => {
                let text = format!("the body has {} bytes, and the adapter's target takes {most}", request.body.len());
                Err(Reason::new("encoding", text))
            }
            _ => Ok(request),
        }
    }

    /// The first step from `from` on whose `when` holds.
    fn next(&self, operation: &Operation, from: usize, scope: &Scope) -> Result<Option<usize>, Reason> {
        for (at, step) in operation.steps.iter().enumerate().skip(from) {
            if step.when.as_ref().map_or(Ok(true), |when| when.holds(scope))? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// What an answer means at a step, with the word for where it leads.
    fn verdict(&self, parcel: &Parcel, at: usize, request: &Request, reply: &Reply) -> (Word, Outcome) {
        if !self.reach.is_http() {
            return self.spoken(parcel, at, request, reply);
        }
        let step = self.operation(parcel.op()).ok().and_then(|operation| operation.steps.get(at));
        let own = step.map_or(&[][..], |step| &step.rules);
        self.by_rules(&[own, &self.spec.rules], parcel, request, reply)
    }

    /// What an answer means by the first of these rules that fits, else by those of plain REST targets.
    fn by_rules(
        &self,
        rules: &[&[crate::rules::verdict::Rule]],
        parcel: &Parcel,
        request: &Request,
        reply: &Reply,
    ) -> (Word, Outcome) {
        let answer = Answer::new(reply, self.spec.hl7_in.as_ref());
        let sent = Echo::of(request);
        let now = clock::now();
        let retried = reply.status >= 300 && self.retry_on.contains(&reply.status);
        let mut rules = rules.iter().filter(|_| !retried);
        match rules.find_map(|rules| judge(rules, &answer, parcel.key(), now, &sent)) {
            Some(verdict) => (verdict.word, verdict.outcome),
            None => {
                let delete = parcel.op() == Op::Delete;
                let asked = Asked { delete, record_url: true, retry_on: &self.retry_on };
                let outcome = classify(&reply.answer(), asked, now);
                (word_of(&outcome), outcome)
            }
        }
    }

    /// The same of an answer without a status: only rules say what it means.
    fn spoken(&self, parcel: &Parcel, at: usize, request: &Request, reply: &Reply) -> (Word, Outcome) {
        let answer = Answer::new(reply, None);
        let sent = Echo::of(request);
        let now = clock::now();
        let step = self.operation(parcel.op()).ok().and_then(|operation| operation.steps.get(at));
        let own = step.and_then(|step| judge(&step.rules, &answer, parcel.key(), now, &sent));
        match own.or_else(|| judge(&self.spec.rules, &answer, parcel.key(), now, &sent)) {
            Some(verdict) => (verdict.word, verdict.outcome),
            None => {
                let reason = Reason::new("bad-answer", "no rule of the adapter says what this answer means");
                (Word::Unknown, Outcome::Unknown { reason, transport: false })
            }
        }
    }

    /// What was said of each record of a request to a program.
    fn answered(&self, parcel: &Parcel, request: &Request, reply: &Reply) -> Vec<Outcome> {
        let one = |understood| match understood {
            exec::Understood::Answer(line) => self.spoken(parcel, 0, request, &line).1,
            exec::Understood::Outcome(outcome) => outcome,
        };
        exec::understand(parcel, request, reply).into_iter().map(one).collect()
    }

    /// Goes on with a plan after an answer.
    fn go_on(&self, parcel: &Parcel, request: &Request, reply: &Reply, course: &mut Voyage) -> Result<Next, Reason> {
        let operation = self.operation(parcel.op())?;
        let (word, outcome) = self.verdict(parcel, course.at, request, reply);
        let Some(step) = operation.steps.get(course.at) else { return Ok(Next::End(outcome)) };
        let then = step.then(word, course.at, operation.steps.len());
        if outcome.is_delivered() || then != Then::End {
            course.take(step, &Answer::new(reply, self.spec.hl7_in.as_ref()));
        }
        let from = match then {
            Then::End => return Ok(Next::End(outcome)),
            Then::Done => return Ok(Next::End(Outcome::Success)),
            Then::Step(at) => at,
        };
        match self.next(operation, from, &course.scope)? {
            None => Ok(Next::End(Outcome::Success)),
            Some(at) => {
                course.at = at;
                let Some(step) = operation.steps.get(at) else { return Ok(Next::End(Outcome::Success)) };
                Ok(Next::Call(self.call(&step.request, &mut course.scope, parcel)?))
            }
        }
    }

    fn begin(
        &self,
        parcel: &Parcel,
        plan: Plan,
        links: Vec<(String, String)>,
    ) -> Result<Option<(Request, Voyage)>, Reason> {
        let operation = self.operation(parcel.op())?;
        let mut scope = plan.scope.clone();
        let links: Record = links.into_iter().map(|(name, value)| (name, Value::Text(value.into()))).collect();
        // What was stored of a record may be older than the way it goes now.
        scope.roots.set(BOTH_WAYS, self.roots.get(BOTH_WAYS).cloned().unwrap_or(Value::Bool(false)));
        scope.roots.push("link", Value::Map(links));
        scope.roots.push("steps", Value::Map(Record::new()));
        let Some(at) = self.next(operation, 0, &scope)? else { return Ok(None) };
        let Some(step) = operation.steps.get(at) else { return Ok(None) };
        let request = self.call(&step.request, &mut scope, parcel)?;
        Ok(Some((request, Voyage { plan, scope, at, captured: Vec::new(), forgot: false })))
    }
}

impl Voyage {
    /// Keeps what a step captures of an answer.
    fn take(&mut self, step: &crate::rules::operation::Step, answer: &Answer<'_>) {
        use crate::rules::verdict::Reading as _;
        let mut own = Record::new();
        for (name, capture) in &step.capture {
            let found = answer.read(&capture.from).unwrap_or_default();
            self.captured.retain(|(known, _)| known != name);
            let Some(value) = reading::choose(found, capture.choice.as_ref(), &self.scope) else {
                // What was known before is of an earlier version.
                if let Some(Value::Map(link)) = self.scope.roots.get_mut("link") {
                    self.forgot |= link.remove(name).is_some();
                }
                continue;
            };
            own.push(name.as_str(), Value::from(value.as_str()));
            self.captured.push((name.clone(), value));
        }
        if let Some(Value::Map(steps)) = self.scope.roots.get_mut("steps") {
            steps.set(&step.id, Value::Map(own.clone()));
        }
        if let Some(Value::Map(link)) = self.scope.roots.get_mut("link") {
            own.into_iter().for_each(|(name, value)| link.set(&name, value));
        }
    }
}

fn word_of(outcome: &Outcome) -> Word {
    let words = crate::rules::verdict::WORDS;
    words.iter().find(|(text, _)| *text == outcome.word()).map_or(Word::Unknown, |(_, word)| *word)
}

impl Adapter for SpecAdapter {
    fn origin(&self) -> &str {
        &self.shared.origin
    }

    fn render(&self, parcel: &Parcel) -> Result<Option<Request>, Reason> {
        Ok(parcel.request(|record| self.shared.render(parcel, record))?.map(Cow::into_owned))
    }

    fn calls(&self, parcel: &Parcel) -> Result<Vec<Request>, Reason> {
        let Some(mut request) = self.render(parcel)? else { return Ok(Vec::new()) };
        if matches!(self.shared.reach, Reach::Exec(_)) {
            // What is beside its records does not leave.
            request.headers.clear();
        }
        let Some(plan) = Plan::of(&request)? else { return Ok(vec![request]) };
        let operation = self.shared.operation(parcel.op())?;
        let mut scope = plan.scope;
        body::stand_in(&self.shared.spec, operation, &mut scope);
        operation.steps.iter().map(|step| self.shared.call(&step.request, &mut scope, parcel)).collect()
    }

    fn identifies(&self) -> bool {
        let (spec, joins) = (&self.shared.spec, self.shared.joins);
        let keeps = spec.joint.as_ref().is_some_and(|joint| joins && joint.captures().next().is_some());
        keeps || spec.operations.all().any(|(_, operation)| !spec.is_plain(operation))
    }

    fn rehearse(
        &self,
        parcel: &Parcel,
        answer: &mut dyn FnMut(&Request) -> Option<Reply>,
    ) -> Result<Rehearsed, Reason> {
        match self.shared.reach {
            Reach::Mllp(..) => rehearse(&*self.shared, parcel, &mut |request| answer(request).map(mllp::as_heard)),
            Reach::Http(_) | Reach::Exec(_) => rehearse(&*self.shared, parcel, answer),
        }
    }

    fn fields(&self) -> &[String] {
        &self.shared.fields
    }

    fn attach(&self, links: Arc<dyn Links>) {
        // Given once, when the connector begins; later ones would be the same.
        let _ = self.shared.links.set(links);
    }

    fn fleet(&self, most: usize) -> std::io::Result<Box<dyn Fleet>> {
        self.shared.reach.fleet(Arc::clone(&self.shared), most)
    }

    fn abandon(&self) {
        if let Reach::Exec(runner) = &self.shared.reach {
            runner.close();
        }
    }

    fn shown(&self) -> Shown {
        match &self.shared.reach {
            Reach::Http(client) | Reach::Mllp(client, _) => client.shown(),
            Reach::Exec(_) => Shown::default(),
        }
    }

    fn probe(&self) -> Result<String, Reason> {
        let client = match &self.shared.reach {
            Reach::Http(client) => client,
            Reach::Mllp(client, place) => return place.probe(client),
            Reach::Exec(runner) => return runner.program().probe(),
        };
        let reached = self.reached(client)?;
        match &self.shared.spec.probe {
            None => Ok(reached),
            Some(probe) => {
                probe::ask(&self.shared, client, probe).map(|()| format!("{reached}, and answers as it should"))
            }
        }
    }

    fn has_probe(&self) -> bool {
        self.shared.spec.probe.is_some() && self.shared.reach.is_http()
    }

    fn ask(&self) -> Result<(), Reason> {
        match (&self.shared.reach, &self.shared.spec.probe) {
            (Reach::Http(client), Some(probe)) => probe::ask(&self.shared, client, probe),
            _ => Ok(()),
        }
    }

    fn masked_headers(&self) -> Vec<(String, String)> {
        if let Reach::Exec(runner) = &self.shared.reach {
            let named = |(name, _): &(String, _)| (format!("env {name}"), "***".to_owned());
            return runner.program().environment.iter().map(named).collect();
        }
        self.shared.credential.as_ref().map(|credential| credential.masked()).unwrap_or_default()
    }
}
