//! Whether what an adapter's file says goes with the transport that it names.

use crate::config::found::Found;
use crate::rules::operation::{Body, Operation, Spec};
use crate::rules::transport::Transport;
use crate::rules::verdict::{Extract, Rule};

/// What a message or a line does not have.
const CALLS: [&str; 4] = ["method", "url", "headers", "header"];

/// Notes what a file says that its transport cannot do.
pub(super) fn check(found: &Found<'_>, spec: &Spec) {
    let transport = spec.transport;
    if transport == Transport::Http {
        return;
    }
    let word = transport.as_str();
    let push = below(found, "push");
    for (name, operation) in spec.operations.all() {
        let place = push.as_ref().and_then(|push| below(push, name));
        let Some(place) = place else { continue };
        let steps = below(&place, "steps").and_then(|steps| steps.items());
        for request in steps.unwrap_or_else(|| vec![place.clone()]).iter().filter_map(|step| below(step, "request")) {
            for (key, found) in request.entries_quietly().into_iter().filter(|(key, _)| CALLS.contains(key)) {
                found.error_hint(format!("`{key}` is for HTTP, and the transport is {word}"), "leave it out");
            }
        }
        let wanted = if transport == Transport::Mllp { "hl7" } else { "json" };
        if operation.steps.iter().any(|step| !fits(transport, &step.request.body)) {
            place.error_hint(format!("has another body than `{wanted}:`"), format!("the transport is {word}"));
        }
        if transport == Transport::Exec && !spec.is_plain(operation) {
            place.error_hint(
                "takes more than one step, or needs what an answer left",
                "a program is given each record once: it can remember what it wants to",
            );
        }
        rules(&place, own(operation), word);
    }
    let classify = below(found, "classify");
    let place = classify.as_ref().unwrap_or(found);
    rules(place, spec.rules.iter(), word);
    if !spec.rules.last().is_some_and(Rule::is_always) {
        place.error_hint(
            format!("`default: standard` are rules for statuses, and the transport is {word}"),
            "end it with `- default: unknown`",
        );
    }
    for (key, there) in [("probe", spec.probe.is_some()), ("batch", spec.joint.is_some())] {
        if let Some(found) = below(found, key).filter(|_| there) {
            found.error_hint(format!("`{key}` is for HTTP, and the transport is {word}"), "leave it out");
        }
    }
    let limits = below(found, "limits");
    if let Some(found) =
        limits.and_then(|limits| below(&limits, "answerBytes")).filter(|_| spec.limits.answer.is_some())
    {
        found.error_hint(format!("`answerBytes` is for HTTP, and the transport is {word}"), "leave it out");
    }
    if let Some(found) = below(found, "hl7In").filter(|_| spec.hl7_in.is_some()) {
        let what = if transport == Transport::Mllp { "the answer is the message itself" } else { "a line is JSON" };
        found.error_hint(what, "leave it out");
    }
}

fn below<'a>(found: &Found<'a>, name: &str) -> Option<Found<'a>> {
    found.entries_quietly().into_iter().find(|(key, _)| *key == name).map(|(_, found)| found)
}

fn own(operation: &Operation) -> impl Iterator<Item = &Rule> {
    operation.steps.iter().flat_map(|step| &step.rules)
}

fn fits(transport: Transport, body: &Body) -> bool {
    match transport {
        Transport::Http => true,
        Transport::Mllp => matches!(body, Body::Hl7(_)),
        Transport::Exec => matches!(body, Body::Json(_)),
    }
}

/// Statuses and header fields are nowhere but in HTTP.
fn rules<'r>(place: &Found<'_>, rules: impl Iterator<Item = &'r Rule>, word: &str) {
    let of_http = |extract: &Extract| matches!(extract, Extract::Status | Extract::Header(_));
    let asks = |rule: &Rule| {
        rule.status.is_some()
            || rule.tests.iter().any(|(place, _)| of_http(place))
            || rule.code.iter().chain(&rule.message).any(of_http)
            || matches!(rule.after, Some(crate::rules::verdict::After::Header(_)))
    };
    if rules.filter(|rule| asks(rule)).count() > 0 {
        place.error_hint(
            format!("a rule looks at a status or a header field, and the transport is {word}"),
            "rules may look at `hl7:`, `json:` and `body:`",
        );
    }
}
