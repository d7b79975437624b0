//! What an adapter's file sends for a change: steps, each a request and what its answer leads to.

pub mod joint;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Op, Record, Value};
use crate::rules::expression::{Escape, Expression, OMIT, ROOTS, Scope, Text};
use crate::rules::outcome::Reason;
use crate::rules::pull::Pull;
use crate::rules::rate::Rate;
use crate::rules::transport::Transport;
use crate::rules::verdict::{Extract, Rule, Word};

/// Everything that an adapter's file says.
#[derive(Debug)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// What it is for, in one line.
    pub about: String,
    /// What carries its calls.
    pub transport: Transport,
    /// Its variables, with their defaults; none = the connector must give it.
    pub vars: Vec<(String, Option<Value>)>,
    /// Named texts, in order; later ones may use earlier ones.
    pub parts: Vec<(String, Body)>,
    /// What is done for each kind of change.
    pub operations: Operations,
    /// What a connector keeps to unless it says otherwise.
    pub limits: Limits,
    /// How the target is asked whether it works, without changing anything; none = it is only connected to.
    pub probe: Option<Probe>,
    /// How several records go in one request; none = one record, one request.
    pub joint: Option<joint::Joint>,
    /// What an answer means, when a step does not say.
    pub rules: Vec<Rule>,
    /// Where in an answer the HL7 v2 message stands.
    pub hl7_in: Option<Extract>,
    /// Whether an attempt whose outcome is unknown may be made again.
    pub repeatable: bool,
    /// What is read; none = the file does not say.
    pub pull: Option<Arc<Pull>>,
}

/// What the target bears.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// At most so many requests; none = no limit.
    pub rate: Option<Rate>,
    /// Requests in flight.
    pub concurrency: Option<usize>,
    /// Time for a whole call.
    pub timeout: Option<Duration>,
    /// Most bytes of a request's body: what is larger is held.
    pub body: Option<usize>,
    /// Most bytes of an answer's body that are read; none = [`Limits::ANSWER`], with several records in a request
    /// [`Limits::ANSWERS`].
    pub answer: Option<usize>,
}

impl Limits {
    /// Most bytes that are read of an answer about one record.
    pub const ANSWER: usize = 64 << 10;
    /// Most bytes that are read of an answer about several.
    pub const ANSWERS: usize = 1 << 20;
    /// Most that a file may ask for.
    pub const MOST_ANSWER: usize = 8 << 20;
}

/// A request that changes nothing, and what must come of it.
#[derive(Debug)]
pub struct Probe {
    /// What is sent; its expressions see no record.
    pub request: Call,
    /// What an answer means: a success is a target that works.
    pub rules: Vec<Rule>,
}

/// What is done for each kind of change.
#[derive(Debug)]
pub struct Operations<T = Operation> {
    /// A new record.
    pub create: Option<T>,
    /// A changed one.
    pub update: Option<T>,
    /// Either.
    pub upsert: Option<T>,
    /// A deleted one.
    pub delete: Option<T>,
    /// An event that is no row.
    pub event: Option<T>,
}

impl<T> Default for Operations<T> {
    fn default() -> Operations<T> {
        Operations { create: None, update: None, upsert: None, delete: None, event: None }
    }
}

impl<T> Operations<T> {
    /// What is done for a change.
    pub fn of(&self, op: Op) -> Option<&T> {
        match op {
            Op::Insert => self.create.as_ref().or(self.upsert.as_ref()),
            Op::Update => self.update.as_ref().or(self.upsert.as_ref()),
            Op::Event => self.event.as_ref().or(self.upsert.as_ref()).or(self.create.as_ref()),
            Op::Delete => self.delete.as_ref(),
        }
    }

    /// All, with their names.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &T)> {
        let named = [
            ("create", &self.create),
            ("update", &self.update),
            ("upsert", &self.upsert),
            ("delete", &self.delete),
            ("event", &self.event),
        ];
        named.into_iter().filter_map(|(name, operation)| Some((name, operation.as_ref()?)))
    }
}

/// What is done, step by step.
#[derive(Debug)]
pub struct Operation {
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One request and what its answer leads to.
#[derive(Debug)]
pub struct Step {
    /// Its name.
    pub id: String,
    /// It is passed over unless this holds.
    pub when: Option<Expression>,
    /// What is sent.
    pub request: Call,
    /// What is kept of a good answer.
    pub capture: Vec<(String, Capture)>,
    /// What an answer means, before the file's own rules are asked.
    pub rules: Vec<Rule>,
    /// Where an answer leads; a word that is not here: `success`, `success_with_remarks` to the next step, all others to the
    /// end.
    pub on: BTreeMap<Word, Then>,
}

/// What is kept of an answer.
#[derive(Debug)]
pub struct Capture {
    /// Where it stands; of a choice, the items.
    pub from: Extract,
    /// Which item, and what of it; none = the first value.
    pub choice: Option<Choice>,
}

/// The one of several items that is meant.
#[derive(Debug)]
pub struct Choice {
    /// JSON pointer in an item.
    pub field: String,
    /// What that must hold.
    pub contains: Text,
    /// JSON pointer of what is kept.
    pub take: String,
}

/// Where an answer leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// To a later step.
    Step(usize),
    /// To the end, as what the answer says.
    End,
    /// To the end, as a success.
    Done,
}

/// A request with its expressions.
#[derive(Debug)]
pub struct Call {
    /// Method.
    pub method: String,
    /// URL, or what follows `{base}`.
    pub url: Text,
    /// The URL begins with `{base}`, the connector's `endpoint.url`.
    pub on_base: bool,
    /// Header fields.
    pub headers: Vec<(String, Text)>,
    /// Body.
    pub body: Body,
}

/// A body with its expressions.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// JSON with types kept.
    Json(Tree),
    /// `application/x-www-form-urlencoded`; a structure is its JSON text.
    Form(Vec<(String, Tree)>),
    /// A text whose values are escaped for it.
    Text {
        /// The text.
        text: Text,
        /// How values are written in it.
        escape: Escape,
    },
    /// An HL7 v2 message: a segment a line.
    Hl7(Vec<Text>),
    /// `multipart/form-data` (RFC 7578), or `multipart/related`.
    Multipart(Vec<Part>),
    /// Bytes of a field.
    Bytes(Expression),
    /// `multipart/mixed` of requests, one for each of several records (OData `$batch`).
    Mixed(joint::Mixed),
}

/// A part of a multipart body.
#[derive(Debug)]
pub struct Part {
    /// Field name.
    pub name: String,
    /// File name.
    pub filename: Option<Text>,
    /// Media type.
    pub media: Option<String>,
    /// What is in it.
    pub body: Body,
}

/// A structure with expressions.
#[derive(Debug)]
pub enum Tree {
    /// As it is.
    Value(Value),
    /// A text, or an expression with its type.
    Text(Text),
    /// A list.
    List(Vec<Tree>),
    /// Named values.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// The value; none = left out.
    pub fn value(&self, scope: &Scope) -> Result<Option<Value>, Reason> {
        Ok(match self {
            Tree::Value(value) => Some(value.clone()),
            Tree::Text(text) => text.value(scope)?,
            Tree::List(items) => {
                let items: Vec<Option<Value>> = items.iter().map(|item| item.value(scope)).collect::<Result<_, _>>()?;
                Some(Value::List(items.into_iter().flatten().collect()))
            }
            Tree::Map(fields) => {
                let mut record = Record::with_capacity(fields.len());
                for (name, tree) in fields {
                    if let Some(value) = tree.value(scope)? {
                        record.push(name.as_str(), value);
                    }
                }
                Some(Value::Map(record))
            }
        })
    }

    fn gather<'t>(&'t self, found: &mut Vec<&'t Expression>) {
        match self {
            Tree::Value(_) => {}
            Tree::Text(text) => found.extend(text.expressions()),
            Tree::List(items) => items.iter().for_each(|item| item.gather(found)),
            Tree::Map(fields) => fields.iter().for_each(|(_, tree)| tree.gather(found)),
        }
    }
}

impl Body {
    fn gather<'t>(&'t self, found: &mut Vec<&'t Expression>) {
        match self {
            Body::Empty => {}
            Body::Json(tree) => tree.gather(found),
            Body::Form(fields) => fields.iter().for_each(|(_, tree)| tree.gather(found)),
            Body::Text { text, .. } => found.extend(text.expressions()),
            Body::Hl7(lines) => lines.iter().for_each(|line| found.extend(line.expressions())),
            Body::Multipart(parts) => {
                for part in parts {
                    found.extend(part.filename.iter().flat_map(Text::expressions));
                    part.body.gather(found);
                }
            }
            Body::Bytes(expression) => found.push(expression),
            Body::Mixed(_) => {}
        }
    }

    /// The expressions in it.
    pub fn expressions(&self) -> Vec<&Expression> {
        let mut found = Vec::new();
        self.gather(&mut found);
        found
    }
}

impl Call {
    /// The expressions in it.
    pub fn expressions(&self) -> Vec<&Expression> {
        let mut found: Vec<&Expression> = self.url.expressions().collect();
        self.headers.iter().for_each(|(_, text)| found.extend(text.expressions()));
        found.extend(self.body.expressions());
        found
    }
}

impl Step {
    /// The expressions in it.
    pub fn expressions(&self) -> Vec<&Expression> {
        let mut found = self.request.expressions();
        found.extend(&self.when);
        let choices = self.capture.iter().filter_map(|(_, capture)| capture.choice.as_ref());
        choices.for_each(|choice| found.extend(choice.contains.expressions()));
        found
    }

    /// Where an answer leads from the step at `at`.
    pub fn then(&self, word: Word, at: usize, steps: usize) -> Then {
        match self.on.get(&word) {
            Some(then) => *then,
            None if matches!(word, Word::Success | Word::Remarks) && at + 1 < steps => Then::Step(at + 1),
            None => Then::End,
        }
    }
}

/// Names that a record must have.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its fields.
    pub fields: Vec<String>,
    /// The parts of its key.
    pub keys: Vec<String>,
}

impl Spec {
    /// What a record must have for whatever is done but a delete, of which only the key may be known. What an expression asks
    /// about first is not among it.
    pub fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        let mut put = |list: fn(&mut Wanted) -> &mut Vec<String>, name: &str| {
            let list = list(&mut wanted);
            if !list.iter().any(|known| known == name) {
                list.push(name.to_owned());
            }
        };
        for (_, operation) in self.operations.all().filter(|(name, _)| *name != "delete") {
            for expression in self.expressions(operation).into_iter().filter(|expression| expression.is_strict()) {
                let own = |name: &&String| !ROOTS.iter().any(|(root, _)| root == name) && *name != OMIT;
                expression.names().iter().filter(own).for_each(|name| put(|wanted| &mut wanted.fields, name));
                let keys = expression.paths().into_iter().filter(|(root, _)| root == "key");
                keys.for_each(|(_, name)| put(|wanted| &mut wanted.keys, &name));
            }
        }
        wanted
    }

    /// Every expression of an operation and of the parts.
    pub fn expressions<'s>(&'s self, operation: &'s Operation) -> Vec<&'s Expression> {
        let mut found: Vec<&Expression> = operation.steps.iter().flat_map(Step::expressions).collect();
        found.extend(self.parts.iter().flat_map(|(_, body)| body.expressions()));
        found
    }

    /// Every expression that sees a record.
    pub fn all_expressions(&self) -> Vec<&Expression> {
        let mut found: Vec<&Expression> =
            self.operations.all().flat_map(|(_, operation)| &operation.steps).flat_map(Step::expressions).collect();
        found.extend(self.parts.iter().flat_map(|(_, body)| body.expressions()));
        if let Some(joint) = &self.joint {
            found.extend(joint.expressions());
            found.extend(joint.steps.iter().flat_map(|step| step.request.expressions()));
        }
        found.extend(self.probe.iter().flat_map(|probe| probe.request.expressions()));
        found
    }

    /// Whether what is sent is known before any answer: one step that needs nothing which an earlier answer left.
    pub fn is_plain(&self, operation: &Operation) -> bool {
        let needs = |expression: &&Expression| expression.names().iter().any(|name| name == "link" || name == "steps");
        matches!(operation.steps.as_slice(), [only] if only.when.is_none() && only.capture.is_empty())
            && !self.expressions(operation).iter().any(needs)
    }
}
