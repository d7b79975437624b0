//! `classify:`, the rules by which an answer means something.

use regex::RegexBuilder;

use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::tree::Value;
use crate::rules::verdict::{After, Extract, Hl7Path, Rule, Statuses, Test, Word, XmlPath, pointer};

/// Largest compiled pattern, in bytes.
const PATTERN: usize = 1 << 20;

/// The word for the rules that plain REST targets have.
const STANDARD: &str = "standard";

/// Reads rules; `whole`: they must decide every answer, so the last one says what all others are.
pub(crate) fn rules(found: &Found<'_>, whole: bool) -> Vec<Rule> {
    let items = found.items().unwrap_or_default();
    // With the number of each, from 1, among all that are written.
    let mut rules: Vec<(usize, Rule)> = Vec::new();
    let mut closed = false;
    for (number, item) in (1..).zip(&items) {
        let is_reached = !closed;
        if !is_reached {
            item.error_hint("is never reached: the `default` above takes every answer", "put `default` last");
        }
        let Some(fields) = item.fields() else { continue };
        if let Some(default) = fields.take("default") {
            closed = true;
            if default.node_text() == Some(STANDARD) {
                fields.done();
                continue;
            }
            let read = super::word(&default);
            let rule = rest(&fields, read.unwrap_or(Word::Retry), None, Vec::new());
            fields.done();
            rules.extend(read.map(|_| (number, rule)));
            continue;
        }
        let rule = rule(&fields);
        fields.done();
        let Some(rule) = rule.filter(|_| is_reached) else { continue };
        if let Some((earlier, _)) = rules.iter().find(|(_, earlier)| earlier.covers(&rule)) {
            item.error_hint(
                format!("is never reached: rule {earlier} above takes every answer that it would"),
                "put it before that one",
            );
        }
        if rule.is_always() {
            item.error_hint("has no condition", "write `default: OUTCOME` for the last rule");
        }
        rules.push((number, rule));
    }
    if whole && !closed {
        found.error_hint(
            "does not say what all other answers mean",
            "end it with `- default: unknown`, or with `- default: standard` for the rules of plain REST targets",
        );
    }
    rules.into_iter().map(|(_, rule)| rule).collect()
}

fn rule(fields: &Fields<'_>) -> Option<Rule> {
    let (conditions, is) = (conditions(fields), fields.need("is").and_then(|found| super::word(&found)));
    let is_read = is.is_some();
    // What else it says is looked at whatever is wrong with these; `retry` may say all of it.
    let (status, tests) = conditions.clone().unwrap_or_default();
    let rule = rest(fields, is.unwrap_or(Word::Retry), status, tests);
    (conditions.is_some() && is_read).then_some(rule)
}

/// Answers that mean one thing: conditions without a word.
pub(super) fn cases(found: &Found<'_>, is: Word) -> Vec<Rule> {
    let mut rules = Vec::new();
    for item in found.one_or_many() {
        let Some(fields) = item.fields() else { continue };
        let conditions = conditions(&fields);
        fields.done();
        let Some((status, tests)) = conditions else { continue };
        let rule = Rule { status, tests, is, after: None, code: None, message: None, note: None };
        if rule.is_always() {
            item.error_hint("has no condition", "say by what such an answer is known: `status: 410`");
        }
        rules.push(rule);
    }
    rules
}

/// Statuses and tests, all of which must hold.
type Conditions = (Option<Statuses>, Vec<(Extract, Test)>);

/// The conditions of a rule.
fn conditions(fields: &Fields<'_>) -> Option<Conditions> {
    let status = fields.take("status").map(|found| statuses(&found));
    let mut tests: Vec<(Extract, Test)> = Vec::new();
    let mut whole = true;
    let mut put = |place: Option<Extract>, test: Option<Test>| match place.zip(test) {
        Some(pair) => tests.push(pair),
        None => whole = false,
    };
    let mut add = |place: Result<Extract, String>, found: &Found<'_>| {
        let place = place.map_err(|message| found.error(message)).ok();
        put(place, test(found));
    };
    let named = |key: &'static str| fields.take(key).and_then(|found| found.entries()).unwrap_or_default();
    for (name, found) in named("header") {
        add(Ok(Extract::Header(name.to_owned())), &found);
    }
    for (place, found) in named("json") {
        add(pointer(place).map(Extract::Json), &found);
    }
    for (place, found) in fields.take_any(&["xml", "xpath"]).and_then(|found| found.entries()).unwrap_or_default() {
        add(XmlPath::parse(place).map(Extract::Xml), &found);
    }
    for (place, found) in named("hl7") {
        add(Hl7Path::parse(place).map(Extract::Hl7), &found);
    }
    if let Some(found) = fields.take("contentType") {
        let pattern = found.texts().and_then(|texts| {
            let any = texts.iter().map(|text| regex::escape(text)).collect::<Vec<_>>().join("|");
            RegexBuilder::new(&format!("(?i)^\\s*[a-z0-9.+-]*/?[a-z0-9.+-]*({any})")).build().ok()
        });
        put(Some(Extract::Header("Content-Type".to_owned())), pattern.map(Test::Matches));
    }
    if let Some(found) = fields.take("body") {
        let test = match found.is_section() {
            true => test(&found),
            false => found.text().and_then(|text| pattern(&found, text)).map(Test::Matches),
        };
        put(Some(Extract::Body), test);
    }
    let status = status.map_or(Some(None), |status| status.map(Some));
    if whole { Some((status?, tests)) } else { None }
}

/// What a rule says beside its conditions.
fn rest(fields: &Fields<'_>, is: Word, status: Option<Statuses>, tests: Vec<(Extract, Test)>) -> Rule {
    let place = |key| fields.take(key).and_then(|found| super::extract(&found));
    let after = fields.take("after").and_then(|found| {
        if is != Word::Retry {
            found.error_hint("is for `retry` only", "leave it out");
        }
        match found.node_text().and_then(|text| text.strip_prefix("header:")) {
            Some(name) => Some(After::Header(name.trim().to_owned())),
            None if found.node_text().is_some_and(|text| text.starts_with("json:") || text.starts_with("hl7:")) => {
                super::extract(&found).map(After::Place)
            }
            None => found.duration().map(After::Time),
        }
    });
    Rule { status, tests, is, after, code: place("code"), message: place("message"), note: fields.text("note") }
}

fn statuses(found: &Found<'_>) -> Option<Statuses> {
    let items = found.one_or_many();
    let words: Vec<String> = items.iter().filter_map(Found::word).collect();
    if words.len() != items.len() {
        return None;
    }
    Statuses::parse(words.iter().map(String::as_str)).map_err(|message| found.error(message)).ok()
}

/// What must hold: a value, a list of them, or a section.
pub(super) fn test(found: &Found<'_>) -> Option<Test> {
    let plain = |found: &Found<'_>| match &found.node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => found.text().map(str::to_owned),
    };
    let all = |found: &Found<'_>| found.one_or_many().iter().map(plain).collect::<Option<Vec<_>>>();
    if !found.is_section() {
        match found.node_text() {
            Some("exists") => return Some(Test::Exists(true)),
            Some("missing") => return Some(Test::Exists(false)),
            Some("{idempotency}") => return Some(Test::Key),
            _ => return all(found).map(Test::OneOf),
        }
    }
    let fields = found.fields()?;
    let given: Vec<(&str, Found<'_>)> = ["exists", "not", "matches", "contains", "all"]
        .iter()
        .filter_map(|key| Some((*key, fields.take(key)?)))
        .collect();
    fields.done();
    let [(key, inner)] = given.as_slice() else {
        found.error_hint("says not one thing", "write one of exists, not, matches, contains, all");
        return None;
    };
    match *key {
        "exists" => inner.flag().map(Test::Exists),
        "not" => test(inner).map(|test| Test::Not(Box::new(test))),
        "matches" => pattern(inner, inner.text()?).map(Test::Matches),
        "contains" => plain(inner).map(Test::Contains),
        _ => all(inner).map(Test::All),
    }
}

/// A pattern, which takes time linear in what it looks at.
fn pattern(found: &Found<'_>, text: &str) -> Option<regex::Regex> {
    let built = RegexBuilder::new(text).size_limit(PATTERN).dfa_size_limit(PATTERN).build();
    built.map_err(|error| found.error(format!("is no pattern: {}", said(&error)))).ok()
}

fn said(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or("it cannot be read").trim_start_matches("error: ").to_owned()
}
