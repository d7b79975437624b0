//! `batch:` of an adapter's file: several records in one request.

use std::collections::BTreeMap;

use super::{expression_names, is_word, request, rule};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::rules::batch::Batch;
use crate::rules::expression::{Escape, Expression};
use crate::rules::nearest::hint;
use crate::rules::operation::joint::{Changesets, Content, Item, Joint, JointStep, Place, Results};
use crate::rules::operation::{Body, Call, Operations, Tree};
use crate::rules::verdict::{Extract, WORDS};

/// Reads the section.
pub(super) fn joint(found: &Found<'_>) -> Option<Joint> {
    let fields = found.fields()?;
    let most = i64::try_from(Batch::MOST).unwrap_or(i64::MAX);
    let max = fields.take("max").map(|found| found.integer(2..=most).and_then(|max| usize::try_from(max).ok()));
    let max_bytes =
        fields.take("maxBytes").map(|found| found.bytes().map(|n| usize::try_from(n).unwrap_or(usize::MAX)));
    let atomic = fields.take("atomic").map_or(Some(false), |found| found.flag());
    let key = fields.take("key").map(|found| request::text(&found));
    let items = fields.need("items").and_then(|found| items(&found));
    let steps = match fields.take("steps") {
        Some(list) => {
            let listed = steps(&list);
            fields.done();
            listed
        }
        None => {
            let one = step(&fields, "request", &[]);
            fields.done();
            one.map(|(step, _)| vec![step])
        }
    };
    let whole = |part: Option<Option<usize>>| part.map_or(Some(None), |value| value.map(Some));
    let key = key.map_or(Some(None), |key| key.map(Some));
    let joint = Joint {
        max: whole(max)?,
        max_bytes: whole(max_bytes)?,
        atomic: atomic?,
        key: key?,
        items: items?,
        steps: steps?,
    };
    check(found, &joint).then_some(joint)
}

fn items(found: &Found<'_>) -> Option<Operations<Item>> {
    let fields = found.fields()?;
    let item = |name: &'static str| fields.take(name).map(|found| item(&found));
    let (create, update, upsert) = (item("create"), item("update"), item("upsert"));
    let (delete, event) = (item("delete"), item("event"));
    fields.done();
    if [&create, &update, &upsert, &delete, &event].iter().all(|item| item.is_none()) {
        found.error_hint("says nothing", "say what stands for a record: `upsert: {json: ...}`");
        return None;
    }
    let whole = |item: Option<Option<Item>>| item.map_or(Some(None), |read| read.map(Some));
    Some(Operations {
        create: whole(create)?,
        update: whole(update)?,
        upsert: whole(upsert)?,
        delete: whole(delete)?,
        event: whole(event)?,
    })
}

fn item(found: &Found<'_>) -> Option<Item> {
    let fields = found.fields()?;
    let list = fields.take("list").map_or(Some(String::new()), |found| {
        let name = found.text()?.to_owned();
        if !is_word(&name) {
            found.error_hint("cannot name a list", "letters, digits and _");
            return None;
        }
        Some(name)
    });
    let call = fields.take("request").map(|found| request::call(&found));
    let body = request::body(&fields);
    fields.done();
    let content = match (call, body?) {
        (Some(call), Body::Empty) => Content::Call(Box::new(call?)),
        (None, body @ (Body::Json(_) | Body::Text { .. })) => Content::Body(body),
        _ => {
            found.error_hint("does not say what stands for a record", "write `json:`, `xml:`, `text:` or `request:`");
            return None;
        }
    };
    for expression in content.expressions() {
        for name in expression.names().iter().filter(|name| *name == "link" || *name == "steps" || *name == "items") {
            found.error_where(
                expression.as_str(),
                format!("`{}`: a record among several has no `{name}`", expression.as_str()),
                Some("leave this kind of change out of `items`: it goes alone, as `push` says"),
            );
        }
    }
    Some(Item { list: list?, content })
}

fn steps(list: &Found<'_>) -> Option<Vec<JointStep>> {
    let steps: Vec<JointStep> = super::steps(list, step)?;
    let mut whole = true;
    for (at, item) in list.items()?.iter().enumerate().skip(1) {
        if !steps.iter().take(at).any(|earlier| earlier.on.values().any(|to| *to == at)) {
            item.error_hint("is never reached", "an earlier step leads to it: `on: {duplicate: goto ID}`");
            whole = false;
        }
    }
    whole.then_some(steps)
}

/// A step with the places where it leads on.
fn step<'a>(fields: &Fields<'a>, id: &str, ids: &[String]) -> Option<(JointStep, Vec<(Found<'a>, usize)>)> {
    let call = fields.need("request").and_then(|found| request::call(&found));
    let rules = fields.need("classify").map(|found| rule::rules(&found, true)).unwrap_or_default();
    let results = fields.take("results").map_or(Some(Vec::new()), |found| results(&found));
    let (mut on, mut places) = (BTreeMap::new(), Vec::new());
    for (word, found) in fields.take("on").and_then(|found| found.entries()).unwrap_or_default() {
        let Some((_, word)) = WORDS.iter().find(|(known, _)| *known == word) else {
            found.unknown("outcome", word, WORDS.map(|(known, _)| known));
            continue;
        };
        let Some(text) = found.text() else { continue };
        let to = text.strip_prefix("goto ").map_or(text, str::trim);
        match ids.iter().position(|id| id == to) {
            Some(at) => {
                on.insert(*word, at);
                places.push((found, at));
            }
            None => found.unknown("step", to, ids.iter().map(String::as_str)),
        }
    }
    Some((JointStep { id: id.to_owned(), request: call?, rules, results: results?, on }, places))
}

/// `results:` of the one list, or of each by its name.
fn results(found: &Found<'_>) -> Option<Vec<(String, Results)>> {
    if found.entries_quietly().iter().any(|(name, _)| *name == "in") {
        return Some(vec![(String::new(), result(found)?)]);
    }
    found.entries()?.into_iter().map(|(name, found)| Some((name.to_owned(), result(&found)?))).collect()
}

fn result(found: &Found<'_>) -> Option<Results> {
    let pointer =
        |found: &Found<'_>| crate::rules::verdict::pointer(found.text()?).map_err(|message| found.error(message)).ok();
    let fields = found.fields()?;
    let place = fields.need("in").and_then(|found| {
        if found.node_text() == Some("parts") {
            return Some(Place::Parts);
        }
        match super::extract(&found)? {
            Extract::Json(pointer) => Some(Place::Json(pointer)),
            _ => {
                let hint = "write a JSON pointer to the results, json:/results/*, or `parts` of an answer in parts";
                found.error_hint("is no list of results", hint);
                None
            }
        }
    });
    let key = fields.take("key").map(|found| pointer(&found));
    let status = fields.take("status").map(|found| pointer(&found));
    let rules = fields.need("classify").map(|found| rule::rules(&found, true)).unwrap_or_default();
    let mut capture = Vec::new();
    for (name, found) in fields.take("capture").and_then(|found| found.entries()).unwrap_or_default() {
        if !is_word(name) {
            found.error_hint("cannot name what is captured", "letters, digits and _");
        }
        capture.extend(super::extract(&found).map(|place| (name.to_owned(), place)));
    }
    fields.done();
    let place = place?;
    if place == Place::Parts && (key.is_some() || status.is_some()) {
        let what =
            "`key` and `status` are for results in JSON: a part has its own status, and its place or its Content-ID";
        found.error_hint(what, "leave them out");
        return None;
    }
    let whole = |part: Option<Option<String>>| part.map_or(Some(None), |value| value.map(Some));
    Some(Results { place, key: whole(key)?, status: whole(status)?, rules, capture })
}

/// Whether the parts fit each other.
fn check(found: &Found<'_>, joint: &Joint) -> bool {
    let lists = joint.lists();
    let mut sound = true;
    let mut wrong = |message: String, hint: &str| {
        // Where it speaks of an expression, that is the place.
        let said = message.strip_prefix('`').and_then(|rest| rest.split('`').next()).unwrap_or("\0");
        found.error_where(said, &message, Some(hint));
        sound = false;
    };
    if lists.len() > 1 && lists.contains(&"") {
        wrong("some items have a `list` and some have none".to_owned(), "name the list of each");
    }
    for (name, item) in joint.items.all() {
        let fits = joint.steps.iter().all(|step| match (&step.request.body, &item.content) {
            (Body::Mixed(_), content) => matches!(content, Content::Call(_)) && item.list.is_empty(),
            (_, Content::Call(_)) => false,
            (Body::Json(_) | Body::Form(_), Content::Body(body)) => matches!(body, Body::Json(_)),
            (Body::Text { escape: Escape::Xml, .. }, Content::Body(body)) => {
                matches!(body, Body::Text { escape: Escape::Xml, .. })
            }
            (Body::Text { .. }, Content::Body(body)) => !matches!(body, Body::Text { escape: Escape::Xml, .. }),
            _ => false,
        });
        if !fits {
            let hint = "`json:` goes into `json:`, `form:` and `text:`, `text:` into `text:`, `xml:` into `xml:`, `request:` into `mixed:`";
            wrong(format!("what stands for a record in `items.{name}` does not fit the body of the request"), hint);
        }
    }
    for (at, step) in joint.steps.iter().enumerate() {
        let mut named = Vec::new();
        for expression in step.request.expressions() {
            let of_records = |name: &&String| !["vars", "office", "items", "secret"].contains(&name.as_str());
            if let Some(name) = expression.names().iter().find(of_records) {
                let text =
                    format!("`{}`: a request of several records has no one record's `{name}`", expression.as_str());
                wrong(text, "only `vars`, `office` and `items` can stand in it");
            }
            let Some(list) = list_of(expression) else {
                if expression_names(expression, "items") {
                    let text =
                        format!("`{}`: a list of records stands by itself, without filters", expression.as_str());
                    wrong(text, "write `{items}` or `{items.NAME}`, and nothing else in its text");
                }
                continue;
            };
            if !lists.contains(&list) {
                wrong(format!("there is no list `{list}`{}", hint(list, lists.iter().copied())), "see `items`");
            }
            named.push(list.to_owned());
        }
        let placed = placed(&step.request);
        if named.iter().any(|list| !placed.contains(&list.as_str())) {
            let hint = "write it into the body as a value of its own: `records: \"{items}\"`";
            wrong("a list of records stands where it cannot be filled in".to_owned(), hint);
        }
        let whole = match &step.request.body {
            Body::Mixed(mixed) => Some(mixed.changesets == Changesets::One),
            _ => None,
        };
        if whole == Some(true) && !joint.atomic {
            let hint = "write `atomic: true` beside `items`, or `changesets: each`";
            wrong("a changeset of all records is taken whole or not".to_owned(), hint);
        }
        if whole.is_none() && step.results.iter().any(|(_, results)| results.place == Place::Parts) {
            let hint = "write `mixed:` in the request, or a JSON pointer in `results`";
            wrong("`in: parts` is for answers to requests in parts".to_owned(), hint);
        }
        let absent = lists
            .iter()
            .filter(|_| whole.is_none())
            .find(|list| !named.iter().any(|name| name == *list))
            .filter(|_| at == 0);
        if let Some(list) = absent {
            let list = if list.is_empty() { "{items}".to_owned() } else { format!("{{items.{list}}}") };
            wrong(format!("the request does not hold `{list}`"), "say where in its body the records stand");
        }
        for (list, results) in &step.results {
            if !lists.contains(&list.as_str()) {
                wrong(format!("`results`: there is no list `{list}`"), "see `items`");
            }
            if results.key.is_some() && joint.key.is_none() {
                let hint = "write `key: \"{id}\"` beside `items`";
                wrong("`results.key` finds a record by what names it, and nothing says what does".to_owned(), hint);
            }
        }
    }
    sound
}

/// The list whose place an expression is; empty for the only one.
fn list_of(expression: &Expression) -> Option<&str> {
    match expression.as_str().split_once('.') {
        None if expression.as_str() == "items" => Some(""),
        Some(("items", list)) if is_word(list) => Some(list),
        _ => None,
    }
}

/// The lists that stand where they can be filled in.
fn placed(call: &Call) -> Vec<&str> {
    fn walk<'t>(tree: &'t Tree, found: &mut Vec<&'t str>) {
        match tree {
            Tree::Text(text) => found.extend(text.alone().and_then(list_of)),
            Tree::List(items) => items.iter().for_each(|item| walk(item, found)),
            Tree::Map(fields) => fields.iter().for_each(|(_, tree)| walk(tree, found)),
            Tree::Value(_) => {}
        }
    }
    let mut found = Vec::new();
    match &call.body {
        Body::Json(tree) => walk(tree, &mut found),
        Body::Form(fields) => {
            for (_, tree) in fields {
                if let Tree::Text(text) = tree {
                    found.extend(text.alone().and_then(list_of));
                }
            }
        }
        Body::Text { text, .. } => found.extend(text.expressions().filter_map(list_of)),
        _ => {}
    }
    found
}
