//! Whatever is sent, the answer is one that the OpenAPI document declares, and what it carries is what it says.
//!
//! The generator reads the document: for each operation it makes paths, queries, fields and bodies that fit their schemas, and
//! such that do not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{office, ways};
use crate::support::loopback::Way;
use crate::support::office::THREE;
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// Requests for each operation; `HMS_FUZZ` sets another number.
const ROUNDS: usize = 100;

struct Fuzzer {
    document: Value,
    dice: fastrand::Rng,
}

impl Fuzzer {
    fn resolve(&self, schema: &Value) -> Value {
        match schema["$ref"].as_str() {
            Some(name) => self.document.pointer(name.trim_start_matches('#')).unwrap().clone(),
            None => schema.clone(),
        }
    }

    /// A value that fits a schema, more or less.
    fn value(&mut self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        if self.dice.u8(..8) == 0 {
            return self.odd();
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let choice = &choices[self.dice.usize(..choices.len())];
            return self.value(choice);
        }
        if !schema["const"].is_null() {
            return schema["const"].clone();
        }
        if let Some(choices) = schema["enum"].as_array() {
            return choices[self.dice.usize(..choices.len())].clone();
        }
        if let Some(examples) = schema["examples"].as_array() {
            return examples[0].clone();
        }
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.clone(),
            kind => vec![kind.clone()],
        };
        match kinds[self.dice.usize(..kinds.len())].as_str() {
            Some("string") => match schema["maxLength"].as_u64() {
                Some(0) => json!(""),
                _ => json!(self.word()),
            },
            // A number with nothing behind its point is an integer too.
            Some("integer") if self.dice.u8(..4) == 0 => json!(f64::from(self.dice.i16(-2..1100))),
            Some("integer") => json!(self.dice.i64(-2..1100)),
            Some("boolean") => json!(self.dice.bool()),
            Some("array") => {
                let count = self.dice.usize(..3);
                (0..count).map(|_| self.value(&schema["items"])).collect()
            }
            Some("object") => {
                let mut object = Map::new();
                for (name, of) in schema["properties"].as_object().into_iter().flatten() {
                    let required = schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
                    if (required && self.dice.u8(..10) > 0) || (!required && self.dice.bool()) {
                        object.insert(name.clone(), self.value(of));
                    }
                }
                if schema["properties"].is_null() || self.dice.u8(..10) == 0 {
                    object.insert(self.word(), self.odd());
                }
                Value::Object(object)
            }
            _ => self.odd(),
        }
    }

    fn odd(&mut self) -> Value {
        match self.dice.u8(..7) {
            0 => Value::Null,
            1 => json!(self.dice.i64(..)),
            2 => json!(self.dice.f64() * 1e300),
            3 => json!([self.word(), {}]),
            4 => json!({ self.word(): self.word() }),
            5 => json!("\u{0}\u{1F600}\u{202E}\u{FFFF}"),
            _ => json!(self.word()),
        }
    }

    /// Names that are there, and names that are not.
    fn word(&mut self) -> String {
        let known =
            ["legacy", "visits", "1", "2", "office", "intake", "dead", "pause", "discard", "visits.insert", "*"];
        match self.dice.u8(..6) {
            0 => "é%/?#&=\u{1F600}".to_owned(),
            1 => (0..self.dice.usize(..300)).map(|_| self.dice.alphanumeric()).collect(),
            2 => ["..", "", " ", "a:1", "-1", "[1", "{}", "'", "<script>"][self.dice.usize(..9)].to_owned(),
            _ => known[self.dice.usize(..known.len())].to_owned(),
        }
    }

    /// What is there under the name of a parameter.
    fn fitting(&mut self, name: &str) -> Option<String> {
        let known: &[&str] = match name {
            "name" | "connector" | "system" => &["legacy"],
            "type" | "record_type" | "table" => &["visits"],
            "key" | "id" | "record_id" => &["1", "2", "3", "4", "5", "6"],
            "log" => &["office", "intake"],
            _ => return None,
        };
        Some(known[self.dice.usize(..known.len())].to_owned())
    }

    fn text(&mut self, schema: &Value) -> String {
        match self.value(schema) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }
}

/// Percent-encoded, for a path or a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// One request of an operation, and the status of its answer.
fn ask(fuzzer: &mut Fuzzer, way: &Way, method: &str, path: &str, operation: &Value) -> u16 {
    let (mut target, mut query, mut fields) = (path.to_owned(), Vec::new(), Vec::new());
    for parameter in operation["parameters"].as_array().unwrap() {
        let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
        let text = match fuzzer.dice.u8(..3) {
            0 => fuzzer.text(&parameter["schema"]),
            _ => fuzzer.fitting(name).unwrap_or_else(|| fuzzer.text(&parameter["schema"])),
        };
        match place {
            "path" => {
                let text = if text.is_empty() { "x".to_owned() } else { text };
                target = target.replace(&format!("{{{name}}}"), &encoded(&text));
            }
            // Nobody waits a minute here.
            "query" if name == "wait" && fuzzer.dice.bool() => query.push("wait=5ms".to_owned()),
            "query" if name != "wait" && fuzzer.dice.bool() => query.push(format!("{name}={}", encoded(&text))),
            "header" if fuzzer.dice.bool() => {
                fields.push((name.to_owned(), text.replace(|c: char| !c.is_ascii_graphic(), "!")))
            }
            _ => {}
        }
    }
    if fuzzer.dice.u8(..12) == 0 {
        query.push(encoded(&fuzzer.word()));
    }
    if !query.is_empty() {
        target = format!("{target}?{}", query.join("&"));
    }
    let mut body = Vec::new();
    if method == "post" {
        if operation["requestBody"].is_object() {
            body = fuzzer
                .value(&operation["requestBody"]["content"]["application/json"]["schema"])
                .to_string()
                .into_bytes();
        }
        match fuzzer.dice.u8(..12) {
            0 => body.truncate(fuzzer.dice.usize(..=body.len())),
            1 if !body.is_empty() => *fuzzer.dice.choice(&mut body).unwrap() ^= 1 << fuzzer.dice.u8(..8),
            2 => body.clear(),
            _ => {}
        }
        if fuzzer.dice.u8(..12) > 0 {
            fields.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
    }
    if fuzzer.dice.u8(..15) == 0 {
        fields.push(("Origin".to_owned(), "http://evil.example".to_owned()));
    }
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let asked = format!("{method} {target} {fields:?} {}", String::from_utf8_lossy(&body));
    let answer = way.open().call(&method.to_uppercase(), &target, &fields, &body);
    let answer = answer.unwrap_or_else(|| panic!("no answer to {asked}"));
    let declared = &operation["responses"][answer.status.to_string()];
    assert!(!declared.is_null() && answer.status < 500 || answer.status == 503, "{asked}: {answer:?}");
    if answer.status >= 400 {
        let problem = answer.json();
        assert!(!answer.detail().is_empty() && problem["status"] == answer.status, "{asked}: {answer:?}");
    } else if operation["responses"]["200"]["content"]["application/json"].is_object() {
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let wrong = wrongs(fuzzer, schema, &answer.json(), "");
        assert_eq!(wrong, Vec::<String>::new(), "{asked}: {answer:?}");
    }
    answer.status
}

/// What does not fit a schema, as far as the document's schemas go.
fn wrongs(fuzzer: &Fuzzer, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = fuzzer.resolve(schema);
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let mut found = Vec::new();
    let kinds = &schema["type"];
    if !kinds.is_null() && *kinds != *kind && !kinds.as_array().is_some_and(|kinds| kinds.contains(&json!(kind))) {
        found.push(format!("{at}: {kind}, not {kinds}"));
    }
    let choices = schema["enum"].as_array();
    if choices.is_some_and(|choices| !choices.contains(value)) || schema.get("const").is_some_and(|only| only != value)
    {
        found.push(format!("{at}: {value}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{at}: without {name}"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(of) => found.extend(wrongs(fuzzer, of, value, &format!("{at}.{name}"))),
            None if schema["properties"].is_object() => found.push(format!("{at}: {name} is not declared")),
            None => {}
        }
    }
    for value in value.as_array().into_iter().flatten() {
        found.extend(wrongs(fuzzer, &schema["items"], value, &format!("{at}[]")));
    }
    found
}

#[test]
fn whatever_is_sent_the_answer_is_declared_and_is_what_it_says() {
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("status_422")));
    let office = office(&target, THREE);
    office.sql("UPDATE visits SET minutes = 1");
    let agent = office.agent();
    let ways = ways(&office, &agent);
    let seed = std::env::var("HMS_SEED").map_or(1, |seed| seed.parse().unwrap());
    let rounds = std::env::var("HMS_FUZZ").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut fuzzer = Fuzzer { document: ways[0].get("/openapi.json").json(), dice: fastrand::Rng::with_seed(seed) };
    let paths = fuzzer.document["paths"].as_object().unwrap().clone();
    assert!(paths.len() >= 18, "{:?}", paths.keys());
    let mut met: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for round in 0..rounds {
        for (path, operations) in &paths {
            for (method, operation) in operations.as_object().unwrap() {
                // One that could wait for a minute is asked seldom.
                if path.starts_with("/sync/") && round % 10 > 0 {
                    continue;
                }
                let status = ask(&mut fuzzer, &ways[round % 2], method, path, operation);
                met.entry(format!("{method} {path}")).or_default().insert(status);
            }
        }
    }
    // The generator gets through, and it is refused.
    let through = |statuses: &BTreeSet<u16>| statuses.contains(&200);
    assert!(met.values().filter(|statuses| through(statuses)).count() >= met.len() - 5, "{met:?}");
    let all: BTreeSet<u16> = met.values().flatten().copied().collect();
    assert!([400, 403, 404, 409, 415, 422].iter().all(|status| all.contains(status)), "{met:?}");
    agent.stop();
}
