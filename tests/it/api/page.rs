//! docs/API.md: every example is run as it stands there, and every call has one.

use serde_json::Value;

use super::{office, ways};
use crate::support::loopback::{Answer, Way};
use crate::support::office::{THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// An example: its request, and its answer as it is printed.
struct Example<'p> {
    request: &'p str,
    answer: &'p str,
}

fn examples(page: &str) -> Vec<Example<'_>> {
    let blocks = page.split("```http\n").skip(1);
    blocks
        .map(|block| {
            let (request, rest) = block.split_once("```\n").unwrap();
            let answer = rest.trim_start_matches("```").split("```").next().unwrap();
            Example { request, answer: answer.split_once('\n').unwrap().1 }
        })
        .collect()
}

fn ask(way: &Way, request: &str) -> (crate::support::loopback::Line, Answer) {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let (first, fields) = head.split_once('\n').unwrap_or((head, ""));
    let (method, target) = first.split_once(' ').unwrap();
    let fields: Vec<(&str, &str)> = fields.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut line = way.open();
    let answer = line.call(method, target, &fields, body.trim().as_bytes()).unwrap();
    (line, answer)
}

/// Members that are printed and are not there.
fn missing(printed: &Value, found: &Value, at: &str) -> Vec<String> {
    match (printed, found) {
        (Value::Object(printed), Value::Object(found)) => printed
            .iter()
            .flat_map(|(name, printed)| match found.get(name) {
                Some(found) => missing(printed, found, &format!("{at}.{name}")),
                None => vec![format!("{at}.{name}")],
            })
            .collect(),
        (Value::Array(printed), Value::Array(found)) => match (printed.first(), found.first()) {
            (Some(printed), Some(found)) => missing(printed, found, &format!("{at}[]")),
            (Some(_), None) => vec![format!("{at}[]")],
            _ => Vec::new(),
        },
        (printed, found) => {
            let alike = std::mem::discriminant(printed) == std::mem::discriminant(found);
            if alike { Vec::new() } else { vec![format!("{at}: {found}")] }
        }
    }
}

#[test]
fn every_example_of_the_page_is_answered_as_it_says_and_every_call_has_one() {
    let target = Receiver::start();
    target.meet(|entry| (entry.path == "/visits/2").then(|| Scenario::named("status_422")));
    let office = office(&target, THREE);
    let agent = office.agent();
    wait("one is dead", || office.parked_words("legacy") == ["dead http-422"] && office.cursor("legacy") == 3);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/API.md")).unwrap();
    let [_, way] = ways(&office, &agent);
    let mut shown: Vec<String> = Vec::new();
    for Example { request, answer } in examples(&page) {
        let first = request.lines().next().unwrap();
        shown.push(first.split('?').next().unwrap().to_owned());
        let (mut line, found) = ask(&way, request);
        let Some((status, printed)) = answer.trim().split_once(' ').filter(|(status, _)| status.parse::<u16>().is_ok())
        else {
            // A stream of events.
            assert_eq!(found.status, 200, "{request}: {found:?}");
            let text = loop {
                let fields = line.message().unwrap();
                if let Some((_, data)) = fields.into_iter().find(|(name, _)| name == "data") {
                    break data;
                }
            };
            let printed = answer.split("data: ").nth(1).unwrap();
            let wrong = missing(&serde_json::from_str(printed).unwrap(), &serde_json::from_str(&text).unwrap(), "");
            assert_eq!(wrong, Vec::<String>::new(), "{request}: {text}");
            continue;
        };
        assert_eq!(found.status.to_string(), status, "{request}: {found:?}");
        if first == "GET /metrics" {
            let text = String::from_utf8(found.body).unwrap();
            printed.lines().for_each(|line| assert!(text.contains(line), "{line}: {text}"));
            continue;
        }
        let printed: Value = serde_json::from_str(printed).unwrap();
        assert_eq!(missing(&printed, &found.json(), ""), Vec::<String>::new(), "{request}: {found:?}");
    }
    // As many segments, those that are no names alike.
    let document = way.get("/openapi.json").json();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let call = format!("{} {path}", method.to_uppercase());
            let alike = |shown: &String| {
                let (known, shown): (Vec<_>, Vec<_>) = (call.split('/').collect(), shown.split('/').collect());
                known.len() == shown.len()
                    && known.iter().zip(&shown).all(|(known, shown)| known.starts_with('{') || known == shown)
            };
            // One example stands for both lists, and a page is no JSON.
            let needs_none = ["GET /connectors", "GET /"].contains(&call.as_str());
            assert!(shown.iter().any(alike) || needs_none, "no example of {call}");
        }
    }
    agent.stop();
}
