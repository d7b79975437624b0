//! A fixture that reads: the requests that are made from a cursor on, and what is read of the answers.

use super::compare;
use crate::adapter::Request;
use crate::adapter::http::Reply;
use crate::adapter::pull::{Fetched, Item};
use crate::adapter::spec::PullSource;
use crate::clock::Timestamp;
use crate::config::fixture::{Case, Reading};
use crate::rules::outcome::Outcome;

/// When it is: 2026-03-05T18:05:00.123Z, as for an event of a fixture.
const NOW: Timestamp = Timestamp(1_772_733_900_123);

/// Pages of a case, at most.
const MOST: usize = 100;

/// What came of a case.
#[derive(Default)]
struct Came {
    requests: Vec<Request>,
    items: Vec<Item>,
    bad: Vec<String>,
    cursor: Option<String>,
    word: &'static str,
    said: String,
}

/// What is wrong with a case; nothing = it holds.
pub(super) fn judge(source: &PullSource, case: &Case, reading: &Reading) -> Vec<String> {
    let mut came = Came { word: "unanswered", ..Came::default() };
    let mut answers = case.exchanges.iter();
    let mut requests = Vec::new();
    let mut answer = |request: &Request| -> Option<Reply> {
        requests.push(request.clone());
        answers.next()?.answer.clone()
    };
    match &reading.one {
        Some(key) => match source.rehearse_one(key, &case.link, NOW, &mut answer) {
            Some(Some(fetched)) => drop(take(fetched, &mut came)),
            Some(None) => came.said = "the adapter has no `one:`".to_owned(),
            None => {}
        },
        None => {
            let mut ask = reading.ask.clone();
            for _ in 0..MOST {
                let Some(fetched) = source.rehearse(&ask, NOW, &mut answer) else { break };
                match take(fetched, &mut came) {
                    Some(next) => ask.next = Some(next),
                    None => break,
                }
            }
        }
    }
    came.requests = requests;
    differences(case, reading, &came)
}

/// Adds what was read; the rest of the run, if there is any.
fn take(fetched: Fetched, came: &mut Came) -> Option<String> {
    match fetched {
        Fetched::Page(page) => {
            came.items.extend(page.items);
            came.bad.extend(page.bad.iter().map(|bad| bad.reason.to_string()));
            came.cursor = page.cursor.or(came.cursor.take());
            came.word = if page.next.is_none() { "read" } else { "unanswered" };
            return page.next;
        }
        Fetched::Unchanged => came.word = "unchanged",
        Fetched::Expired => came.word = "expired",
        Fetched::Gone => came.word = "gone",
        Fetched::Failed(outcome) => {
            came.word = outcome.word();
            came.said = outcome.reason().map(ToString::to_string).unwrap_or_default();
            if let Outcome::Retry { after: Some(after), .. } = outcome {
                came.said.push_str(&format!(" (after {} s)", after.as_secs()));
            }
        }
    }
    None
}

fn differences(case: &Case, reading: &Reading, came: &Came) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, exchange) in case.exchanges.iter().enumerate() {
        match came.requests.get(at) {
            None => wrong.push(format!("request {} is not made: {} {}", at + 1, exchange.method, exchange.url)),
            Some(request) => compare(at + 1, exchange, request, &mut wrong),
        }
    }
    for (at, request) in came.requests.iter().enumerate().skip(case.exchanges.len()) {
        wrong.push(format!("request {} is not expected: {} {}", at + 1, request.method, request.url));
    }
    if let Some(word) = case.outcome.filter(|word| *word != came.word) {
        wrong.push(format!("outcome: expected {word}, it is {} ({})", came.word, came.said));
    }
    if let Some(says) = case
        .says
        .as_ref()
        .filter(|says| !came.said.contains(says.as_str()) && !came.bad.iter().any(|bad| bad.contains(says.as_str())))
    {
        wrong.push(format!("reason: expected `{says}` in it, it is `{}` {:?}", came.said, came.bad));
    }
    if let Some(cursor) = reading.cursor.as_ref().filter(|cursor| Some(*cursor) != came.cursor.as_ref()) {
        wrong.push(format!("cursor: expected {cursor}, it is {}", came.cursor.as_deref().unwrap_or("where it was")));
    }
    if let Some(bad) = reading.bad.filter(|bad| *bad != came.bad.len()) {
        wrong.push(format!("bad: expected {bad}, they are {:?}", came.bad));
    }
    if let Some(items) = &reading.items {
        if items.len() != came.items.len() {
            wrong.push(format!("items: expected {}, there are {}", items.len(), came.items.len()));
        }
        for (at, (expected, item)) in items.iter().zip(&came.items).enumerate() {
            let at = at + 1;
            if expected.id.is_some() && expected.id != item.id {
                wrong.push(format!("item {at}: id: expected {:?}, it is {:?}", expected.id, item.id));
            }
            if expected.version.is_some() && expected.version != item.version {
                wrong.push(format!("item {at}: version: expected {:?}, it is {:?}", expected.version, item.version));
            }
            if expected.updated.is_some() && expected.updated != item.updated {
                let told = item.updated.map(|updated| updated.to_string());
                wrong.push(format!("item {at}: updated: expected {:?}, it is {told:?}", expected.updated));
            }
            if expected.deleted != item.deleted {
                wrong.push(format!("item {at}: deleted: expected {}, it is {}", expected.deleted, item.deleted));
            }
            if expected.links.as_ref().is_some_and(|links| *links != item.links) {
                wrong.push(format!("item {at}: links: expected {:?}, they are {:?}", expected.links, item.links));
            }
            for (name, value) in expected.body.iter().filter(|(name, value)| item.body.get(name) != Some(*value)) {
                let found = item.body.get(name);
                wrong.push(format!("item {at}: {name}: expected {value:?}, it is {found:?}"));
            }
        }
    }
    wrong
}
