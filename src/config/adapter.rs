//! An adapter's file: how the changes of records become requests of one kind of system, and what its answers mean.

pub(crate) mod find;
mod joint;
mod limits;
mod names;
mod presets;
pub(crate) mod pull;
mod request;
mod rule;
mod transport;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::secrecy;
use crate::rules::expression::Expression;
use crate::rules::operation::{Capture, Choice, Operation, Operations, Spec, Step, Then};
use crate::rules::transport::Transport;
use crate::rules::verdict::{Extract, WORDS, Word};

pub(crate) use find::{Finding, find};
pub use find::{all, parse, text_of};
pub(crate) use names::read as read_names;
pub use presets::{FIXTURES, PRESETS, REST};
pub use pull::ROOTS as READING_ROOTS;

/// Most steps of an operation.
const STEPS: usize = 16;

/// Reads an adapter's file.
pub(crate) fn read(found: &Found<'_>) -> Option<Spec> {
    let fields = found.fields()?;
    let name = fields.need("adapter").and_then(|found| name(&found));
    let about = fields.text("about").unwrap_or_default();
    let transport = fields.take("transport").map(|found| found.choice("transport", &Transport::WORDS));
    let vars = fields.take("vars").map(|found| vars(&found)).unwrap_or_default();
    let mut parts = Vec::new();
    for (name, found) in fields.take("parts").and_then(|found| found.entries()).unwrap_or_default() {
        if !is_word(name) {
            found.error_hint("cannot name a part", "letters, digits and _");
        }
        let body = found.fields().and_then(|fields| {
            let body = request::body(&fields);
            fields.done();
            body
        });
        parts.extend(body.map(|body| (name.to_owned(), body)));
    }
    let hl7_in = fields.take("hl7In").and_then(|found| extract(&found));
    let repeatable = fields.take("repeatable").and_then(|found| found.flag()).unwrap_or(true);
    let pull = fields.take("pull").map(|found| pull::section(&found));
    let operations = match (fields.take("push"), &pull) {
        // What is only read from has nothing to send.
        (None, Some(_)) => Some(Operations::default()),
        (None, None) => {
            found.error_hint("says nothing", "describe what is sent, `push:`, or what is read, `pull:`");
            None
        }
        (Some(found), _) => operations(&found),
    };
    let limits = fields.take("limits").and_then(|found| limits::limits(&found)).unwrap_or_default();
    let probe = fields.take("probe").map(|found| limits::probe(&found));
    let joint = fields.take("batch").map(|found| {
        if !repeatable {
            found.error_hint(
                "does not go with `repeatable: false`: of what is refused together each is sent again",
                "leave one of the two out",
            );
        }
        joint::joint(&found)
    });
    let rules = fields.need("classify").map(|found| rule::rules(&found, true)).unwrap_or_default();
    fields.done();
    let transport = transport.map_or(Some(Transport::Http), |known| known)?;
    let pull = pull.map_or(Some(None), |pull| pull.map(|pull| Some(Arc::new(pull))));
    let spec = Spec {
        name: name?,
        about,
        transport,
        vars,
        parts,
        operations: operations?,
        limits,
        probe: probe.map_or(Some(None), |probe| probe.map(Some))?,
        joint: joint.map_or(Some(None), |joint| joint.map(Some))?,
        rules,
        hl7_in,
        repeatable,
        pull: pull?,
    };
    names::check(found, &spec);
    transport::check(found, &spec);
    Some(spec)
}

fn name(found: &Found<'_>) -> Option<String> {
    let name = found.text()?;
    let sound = name.len() <= 63
        && name.starts_with(|char: char| char.is_ascii_lowercase() || char.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
    if !sound {
        found.error_hint("cannot name an adapter", "small letters, digits, _ and -, at most 63 of them");
        return None;
    }
    Some(name.to_owned())
}

fn is_word(name: &str) -> bool {
    name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `vars:`, name -> default; nothing = the connector must give it.
fn vars(found: &Found<'_>) -> Vec<(String, Option<crate::event::Value>)> {
    let mut vars = Vec::new();
    for (name, found) in found.entries().unwrap_or_default() {
        if !is_word(name) {
            found.error_hint("cannot name a variable", "letters, digits and _");
        }
        secrecy::look(&found, name, "use a credential; in `xml:` its place is `{secret.NAME}`");
        let value = match found.constant() {
            Some(crate::event::Value::Null) => None,
            Some(crate::event::Value::List(_) | crate::event::Value::Map(_)) => {
                found.error("a variable is one value");
                None
            }
            value => value,
        };
        vars.push((name.to_owned(), value));
    }
    vars
}

fn operations(found: &Found<'_>) -> Option<Operations> {
    let fields = found.fields()?;
    let operation = |name| fields.take(name).map(|found| operation(&found));
    let (create, update, upsert) = (operation("create"), operation("update"), operation("upsert"));
    let (delete, event) = (operation("delete"), operation("event"));
    let none = [&create, &update, &upsert, &delete, &event].iter().all(|operation| operation.is_none());
    fields.done();
    if none {
        found.error_hint("says nothing", "describe at least one of create, update, upsert, delete, event");
        return None;
    }
    if upsert.is_some() && create.is_some() && update.is_some() {
        found.warn("`upsert` is never used beside both `create` and `update`", Some("leave one of them out"));
    }
    let whole = |operation: Option<Option<Operation>>| operation.map_or(Some(None), |read| read.map(Some));
    Some(Operations {
        create: whole(create)?,
        update: whole(update)?,
        upsert: whole(upsert)?,
        delete: whole(delete)?,
        event: whole(event)?,
    })
}

/// An operation: `steps:`, or the one step itself.
fn operation(found: &Found<'_>) -> Option<Operation> {
    let fields = found.fields()?;
    let Some(list) = fields.take("steps") else {
        let step = step(&fields, "request", &[]);
        fields.done();
        return Some(Operation { steps: vec![step?.0] });
    };
    fields.done();
    let steps = steps(&list, |fields, id, ids| {
        let (step, places) = step(fields, id, ids)?;
        let to = |(place, then)| match then {
            Then::Step(to) => Some((place, to)),
            _ => None,
        };
        Some((step, places.into_iter().filter_map(to).collect()))
    });
    Some(Operation { steps: steps? })
}

/// Steps that lead forward only. `read` reads one, with the places where it leads to another.
fn steps<T>(
    list: &Found<'_>,
    read: impl for<'a> Fn(&Fields<'a>, &str, &[String]) -> Option<(T, Vec<(Found<'a>, usize)>)>,
) -> Option<Vec<T>> {
    let items = list.items()?;
    if items.is_empty() || items.len() > STEPS {
        list.error(format!("must hold 1 to {STEPS} steps"));
        return None;
    }
    let ids: Vec<String> = items.iter().enumerate().map(|(at, item)| id_of(item, at)).collect();
    let mut steps = Vec::with_capacity(items.len());
    let mut whole = true;
    for (at, item) in items.iter().enumerate() {
        let Some(fields) = item.fields() else {
            whole = false;
            continue;
        };
        // Named already.
        let _ = fields.take("id");
        let id = ids.get(at).map_or("", String::as_str);
        if !is_word(id) {
            item.error_hint("its `id` cannot name a step", "letters, digits and _");
        }
        if ids.iter().take(at).any(|earlier| earlier == id) {
            item.error(format!("there is a step `{id}` already"));
        }
        match read(&fields, id, &ids) {
            Some((step, places)) => {
                for (place, _) in places.iter().filter(|(_, to)| *to <= at) {
                    place.error_hint("goes back: steps would run in a circle", "a step leads to a later one only");
                    whole = false;
                }
                steps.push(step);
            }
            None => whole = false,
        }
        fields.done();
    }
    whole.then_some(steps)
}

fn id_of(item: &Found<'_>, at: usize) -> String {
    let named = item.entries_quietly().into_iter().find(|(name, _)| *name == "id");
    named.and_then(|(_, found)| found.node_text().map(str::to_owned)).unwrap_or_else(|| format!("step{}", at + 1))
}

/// A step with the places where it leads elsewhere.
fn step<'a>(fields: &Fields<'a>, id: &str, ids: &[String]) -> Option<(Step, Vec<(Found<'a>, Then)>)> {
    let call = fields.need("request").and_then(|found| request::call(&found));
    let when = fields.take("when").map(|found| found.text().and_then(|text| expression(&found, text)));
    let mut capture = Vec::new();
    for (name, found) in fields.take("capture").and_then(|found| found.entries()).unwrap_or_default() {
        if !is_word(name) {
            found.error_hint("cannot name what is captured", "letters, digits and _");
        }
        capture.extend(self::capture(&found).map(|capture| (name.to_owned(), capture)));
    }
    let rules = fields.take("classify").map(|found| rule::rules(&found, false)).unwrap_or_default();
    let mut on = BTreeMap::new();
    let mut places = Vec::new();
    for (word, found) in fields.take("on").and_then(|found| found.entries()).unwrap_or_default() {
        let Some((_, word)) = WORDS.iter().find(|(known, _)| *known == word) else {
            found.unknown("outcome", word, WORDS.map(|(known, _)| known));
            continue;
        };
        let Some(then) = then(&found, ids) else { continue };
        on.insert(*word, then);
        places.push((found, then));
    }
    let step = Step {
        id: id.to_owned(),
        when: when.map_or(Some(None), |when| when.map(Some))?,
        request: call?,
        capture,
        rules,
        on,
    };
    Some((step, places))
}

/// `NAME: json:/id`, or `{from: json:/events/*, where: {/summary: TEXT}, take: /id}`: of the item that holds a text.
fn capture(found: &Found<'_>) -> Option<Capture> {
    if !found.is_section() {
        return extract(found).map(|from| Capture { from, choice: None });
    }
    let pointer =
        |found: &Found<'_>| crate::rules::verdict::pointer(found.text()?).map_err(|message| found.error(message)).ok();
    let fields = found.fields()?;
    let from = fields.need("from").and_then(|found| extract(&found));
    let take = fields.need("take").and_then(|found| pointer(&found));
    let chosen = fields.need("where").and_then(|found| {
        let entries = found.entries()?;
        let [(field, text)] = entries.as_slice() else {
            found.error("names one field and the text that it holds");
            return None;
        };
        let field = crate::rules::verdict::pointer(field).map_err(|message| found.error(message)).ok()?;
        Some((field, request::text(text)?))
    });
    fields.done();
    let (field, contains) = chosen?;
    Some(Capture { from: from?, choice: Some(Choice { field, contains, take: take? }) })
}

fn then(found: &Found<'_>, ids: &[String]) -> Option<Then> {
    let text = found.text()?;
    let to = text.strip_prefix("goto ").map_or(text, str::trim);
    match (to, ids.iter().position(|id| id == to)) {
        (_, Some(at)) => Some(Then::Step(at)),
        ("end", None) => Some(Then::End),
        ("done", None) => Some(Then::Done),
        (_, None) => {
            found.unknown("step", to, ids.iter().map(String::as_str).chain(["end", "done"]));
            None
        }
    }
}

pub(super) fn expression(found: &Found<'_>, text: &str) -> Option<Expression> {
    let inner = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    Expression::compile(inner).map_err(|message| found.error(message)).ok()
}

/// Whether an expression looks a name up.
fn expression_names(expression: &Expression, name: &str) -> bool {
    expression.names().iter().any(|known| known == name)
}

pub(super) fn extract(found: &Found<'_>) -> Option<Extract> {
    Extract::parse(found.text()?).map_err(|message| found.error(message)).ok()
}

/// The word that stands for what a file says, for messages.
pub(super) fn word(found: &Found<'_>) -> Option<Word> {
    let text = found.text()?;
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let known = WORDS.iter().find(|(known, _)| *known == plain(text));
    if known.is_none() {
        found.unknown("outcome", text, WORDS.map(|(known, _)| known));
    }
    known.map(|(_, word)| *word)
}
