//! Whether what the expressions of an adapter name is there.

use std::collections::BTreeSet;

use crate::config::adapter::pull::ROOTS;
use crate::config::found::Found;
use crate::rules::expression::{Escape, Expression, OMIT};
use crate::rules::nearest::hint;
use crate::rules::operation::{Body, Call, Spec};
use crate::rules::pull::{Feed, One, Pull};

/// What `event` has.
const EVENT: [&str; 6] = ["id", "seq", "type", "op", "at", "log"];

/// Notes names of variables, parts, steps and captures that are nowhere given.
pub(super) fn check(found: &Found<'_>, spec: &Spec) {
    let mut said = BTreeSet::new();
    let vars: Vec<&str> = spec.vars.iter().map(|(name, _)| name.as_str()).collect();
    let parts: Vec<&str> = spec.parts.iter().map(|(name, _)| name.as_str()).collect();
    let linked = spec.pull.iter().flat_map(|pull| &pull.feeds).flat_map(|feed| &feed.item.links);
    let captured: Vec<&str> = spec
        .operations
        .all()
        .flat_map(|(_, operation)| &operation.steps)
        .flat_map(|step| &step.capture)
        .map(|(name, _)| name.as_str())
        .chain(linked.map(|(name, _)| name.as_str()))
        .chain(spec.joint.iter().flat_map(|joint| joint.captures()))
        .collect();
    let mut one = |expression: &Expression, steps: &[&str]| {
        for (root, name) in expression.paths() {
            let known: &[&str] = match root.as_str() {
                "vars" => &vars,
                "parts" => &parts,
                "link" => &captured,
                "steps" => steps,
                "event" => &EVENT,
                _ => continue,
            };
            if !known.contains(&name.as_str()) && said.insert(format!("{root}.{name}")) {
                let what = match root.as_str() {
                    "vars" => "there is no variable",
                    "parts" => "there is no part",
                    "link" => "no step captures",
                    "steps" => "no earlier step is called",
                    _ => "an event has no",
                };
                let hint = hint(&name, known.iter().copied());
                let message = format!("`{}`: {what} `{name}`{hint}", expression.as_str());
                found.error_where(expression.as_str(), message, None);
            }
        }
    };
    for (_, operation) in spec.operations.all() {
        let mut before: Vec<&str> = Vec::new();
        for step in &operation.steps {
            step.expressions().into_iter().for_each(|expression| one(expression, &before));
            before.push(&step.id);
        }
    }
    if let Some(joint) = &spec.joint {
        joint.expressions().into_iter().for_each(|expression| one(expression, &[]));
        joint.steps.iter().flat_map(|step| step.request.expressions()).for_each(|expression| one(expression, &[]));
    }
    if let Some(probe) = &spec.probe {
        probe.request.expressions().into_iter().for_each(|expression| one(expression, &[]));
    }
    if let Some(pull) = &spec.pull {
        pull.expressions().into_iter().for_each(|expression| one(expression, &[]));
        read(found, pull);
    }
    for (_, body) in &spec.parts {
        body.expressions().into_iter().for_each(|expression| one(expression, &[]));
    }
    secrets(found, spec);
}

/// What requests that read may name: there is no record.
pub(crate) fn read(found: &Found<'_>, pull: &Pull) {
    let single = pull.one.iter().flat_map(One::expressions);
    let pages = pull.feeds.iter().flat_map(Feed::expressions).map(|expression| (expression, false));
    for (expression, is_single) in pages.chain(single.map(|expression| (expression, true))) {
        for name in expression.names().iter().filter(|name| *name != OMIT) {
            let known = ROOTS.iter().map(|(root, _)| *root).filter(|root| match *root {
                "key" | "link" => is_single,
                "cursor" | "next" | "page" | "offset" => !is_single,
                _ => true,
            });
            let known: Vec<&str> = known.collect();
            if !known.contains(&name.as_str()) {
                let hint = hint(name, known.iter().copied());
                let what = format!("`{}`: a request that reads knows no `{name}`{hint}", expression.as_str());
                found.error_hint(what, format!("known here: {}", known.join(", ")));
            }
        }
    }
}

/// A secret is put in when a call leaves, where its place stands whole: in the XML of a call.
fn secrets(found: &Found<'_>, spec: &Spec) {
    let is_secret = |expression: &&Expression| expression.names().iter().any(|name| name == "secret");
    let places = |call: &Call| match &call.body {
        Body::Text { text, escape: Escape::Xml } => text.expressions().filter(|one| one.secret().is_some()).count(),
        _ => 0,
    };
    let of = |call: &Call, all: Vec<&Expression>| all.iter().filter(|one| is_secret(one)).count() - places(call);
    let steps = spec.operations.all().flat_map(|(_, operation)| &operation.steps);
    let misplaced = steps.map(|step| of(&step.request, step.expressions()));
    let joint = spec.joint.iter().flat_map(|joint| joint.steps.iter().map(|step| &step.request));
    let others = joint.chain(spec.probe.iter().map(|probe| &probe.request));
    let misplaced = misplaced.chain(others.map(|call| of(call, call.expressions())));
    let items = spec.joint.iter().flat_map(|joint| joint.expressions()).filter(is_secret).count();
    let in_parts = spec.parts.iter().flat_map(|(_, body)| body.expressions()).filter(is_secret).count();
    if misplaced.sum::<usize>() + in_parts + items > 0 {
        found.error_where(
            "secret.",
            "`secret` names what a credential puts into the XML of a request",
            Some("write `{secret.NAME}` by itself in `xml:` of a request; elsewhere the credential's `body:` adds it"),
        );
    }
}
