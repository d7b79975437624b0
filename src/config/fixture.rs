//! Fixtures: a record, the requests that it must make, the answers, and what must come of it.

mod reading;

use std::path::Path;

use crate::adapter::http::{Reply, reply};
use crate::config::found::Found;
use crate::config::problem::{Problem, Problems, verdict};
use crate::config::source::Source;
use crate::config::tree::{Notation, Value};
use crate::event::{self, Op, Record};
use crate::rules::verdict::WORDS;
pub use reading::Reading;

/// The end of the name of a file with fixtures beside an adapter's.
pub const BESIDE: &str = ".fixtures.yaml";

/// Whose fixtures they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An adapter's.
    Adapter(String),
    /// A connector's.
    Connector(String),
}

/// A file of fixtures.
#[derive(Debug)]
pub struct Fixtures {
    /// Whose.
    pub subject: Subject,
    /// The file.
    pub file: String,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub line: u32,
    /// What happened to the record.
    pub op: Op,
    /// The event's type.
    pub kind: String,
    /// Its key.
    pub key: Record,
    /// The record: after the change; before it, for a delete.
    pub record: Record,
    /// The adapter's variables.
    pub vars: Record,
    /// The base of the addresses.
    pub base: String,
    /// What earlier answers have left.
    pub link: Vec<(String, String)>,
    /// What is sent, and what is answered.
    pub exchanges: Vec<Exchange>,
    /// The word for what comes of it; none = it is not looked at.
    pub outcome: Option<&'static str>,
    /// What its reason says.
    pub says: Option<String>,
    /// Seconds after which it is tried again.
    pub after: Option<u64>,
    /// What it leaves behind; none = it is not looked at.
    pub left: Option<Vec<(String, String)>>,
    /// What is read; none = something is sent.
    pub read: Option<Reading>,
}

/// A request and its answer.
#[derive(Debug)]
pub struct Exchange {
    /// Method and address.
    pub method: String,
    /// Address.
    pub url: String,
    /// Header fields that it must have, among others.
    pub headers: Vec<(String, String)>,
    /// The body; none = it is not looked at.
    pub body: Option<Vec<u8>>,
    /// The body as JSON, whose spacing does not matter.
    pub json: Option<event::Value>,
    /// What is answered; none = nothing any more.
    pub answer: Option<Reply>,
}

/// The fixtures in the program, by adapter.
pub fn of_preset(name: &str) -> Option<Result<Fixtures, Problems>> {
    let (_, text) = super::adapter::FIXTURES.iter().find(|(known, _)| *known == name)?;
    Some(parse(Source::new(Path::new(&format!("(fixtures of {name})"))), text))
}

/// The fixtures in a file.
pub fn of_file(path: &Path) -> Result<Fixtures, Problems> {
    let source = Source::new(path);
    let text = match super::library::read(path) {
        Ok(text) => text,
        Err(error) => {
            source.whole(&format!("cannot be read: {}", super::source::reason(&error)), None);
            return Err(Problems::new(source.into_problems()));
        }
    };
    parse(source, &text)
}

/// The files with fixtures of a configuration's folder: `fixtures/*.yaml`, and `NAME.fixtures.yaml` in `adapters/`.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let listed = |name: &str, end: &'static str| {
        let entries = folder.join(name).read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(move |path| path.to_string_lossy().ends_with(end))
    };
    let mut files: Vec<_> = listed("fixtures", ".yaml").chain(listed("adapters", BESIDE)).collect();
    files.sort();
    files
}

/// A connector for a case of an adapter itself, in canonical form: `text` is the adapter's file.
pub fn around(name: &str, text: &str, case: &Case) -> String {
    let vars = crate::format::json::value(&event::Value::Map(case.vars.clone()));
    let mut connector = serde_json::json!({
        "name": "fixture",
        "adapter": name,
        "adapterFile": text,
        "endpoint": {"url": case.base},
        "vars": serde_json::from_slice::<serde_json::Value>(&vars).unwrap_or_default(),
    });
    if let (serde_json::Value::Object(fields), Some(_)) = (&mut connector, &case.read) {
        fields.insert("strategy".to_owned(), "pull".into());
        fields.insert("pull".to_owned(), serde_json::json!({"table": case.kind}));
    }
    connector.to_string()
}

fn parse(source: Source, text: &str) -> Result<Fixtures, Problems> {
    let node = source.parse(text, Notation::of(None, text));
    let fixtures = node.and_then(|node| read(&source.root(&node)));
    let problems: Vec<Problem> = source.into_problems();
    match fixtures {
        Some(fixtures) => verdict(problems).map(|_| fixtures),
        None => Err(Problems::new(problems)),
    }
}

fn read(found: &Found<'_>) -> Option<Fixtures> {
    let fields = found.fields()?;
    let subject = match (fields.text("adapter"), fields.text("connector")) {
        (Some(name), None) => Some(Subject::Adapter(name)),
        (None, Some(name)) => Some(Subject::Connector(name)),
        _ => {
            found.error_hint("must say whose fixtures these are", "write `adapter: NAME` or `connector: NAME`");
            None
        }
    };
    let cases = fields.need("cases").and_then(|found| found.items()).unwrap_or_default();
    let cases: Vec<Option<Case>> = cases.iter().map(case).collect();
    fields.done();
    let cases = cases.into_iter().collect::<Option<Vec<_>>>();
    Some(Fixtures { subject: subject?, file: found.source.name.clone(), cases: cases? })
}

/// The outcomes of a fixture beside those of an answer.
const MORE: [(&str, &str); 6] = [
    ("held", "held"),
    ("skipped", "skipped"),
    ("read", "read"),
    ("unchanged", "unchanged"),
    ("expired", "expired"),
    ("gone", "gone"),
];

fn case(found: &Found<'_>) -> Option<Case> {
    const OPS: [(&str, Op); 4] =
        [("insert", Op::Insert), ("update", Op::Update), ("delete", Op::Delete), ("event", Op::Event)];
    let fields = found.fields()?;
    let name = fields.need("name").and_then(|found| found.text().map(str::to_owned));
    let op = fields.take("op").map_or(Some(Op::Insert), |found| found.choice("op", &OPS));
    let kind = fields.text("type").unwrap_or_else(|| "records".to_owned());
    let read = fields.take("pull").map(|found| reading::read(&found, &fields));
    let record = match (fields.take("record"), &read) {
        (None, Some(_)) => Record::new(),
        (Some(found), None) => record(&found),
        (None, None) => fields.need("record").map(|found| record(&found))?,
        (Some(found), Some(_)) => {
            found.error_hint("stands beside `pull`", "what is read is said in `items`");
            return None;
        }
    };
    let key = match fields.take("key") {
        Some(found) => self::record(&found),
        // The first field, as in most tables.
        None => record.iter().take(1).map(|(name, value)| (name.clone(), value.clone())).collect(),
    };
    let vars = fields.take("vars").map(|found| self::record(&found)).unwrap_or_default();
    let base = fields.text("base").unwrap_or_else(|| "https://target.example".to_owned());
    let link = fields.take("link").map(|found| texts(&found)).unwrap_or_default();
    let exchanges = fields.take("exchanges").and_then(|found| found.items()).unwrap_or_default();
    let exchanges: Vec<Option<Exchange>> = exchanges.iter().map(exchange).collect();
    let outcome = fields.take("outcome").and_then(|found| {
        let words: Vec<(&str, &str)> = WORDS.iter().map(|(word, _)| (*word, *word)).chain(MORE).collect();
        found.choice("outcome", &words)
    });
    let says = fields.text("says");
    let after = fields.duration("after").map(|after| after.as_secs());
    let left = fields.take("left").map(|found| texts(&found));
    fields.done();
    Some(Case {
        name: name?,
        line: found.place.line,
        op: op?,
        kind,
        key,
        record,
        vars,
        base,
        link,
        exchanges: exchanges.into_iter().collect::<Option<_>>()?,
        outcome,
        says,
        after,
        left,
        read: read.map_or(Some(None), |read| read.map(Some))?,
    })
}

fn record(found: &Found<'_>) -> Record {
    match found.constant() {
        Some(event::Value::Map(record)) => record.into_iter().map(|(name, value)| (name, bytes(value))).collect(),
        _ => {
            found.error("must be a section of `name: value` lines");
            Record::new()
        }
    }
}

/// `{$base64: ...}` is bytes.
fn bytes(value: event::Value) -> event::Value {
    let text = crate::format::json::value(&value);
    crate::format::json::decode(&text).unwrap_or(value)
}

fn texts(found: &Found<'_>) -> Vec<(String, String)> {
    let entries = found.entries().unwrap_or_default().into_iter();
    entries.filter_map(|(name, found)| Some((name.to_owned(), found.word()?))).collect()
}

fn exchange(found: &Found<'_>) -> Option<Exchange> {
    let fields = found.fields()?;
    let asked = fields.need("request").and_then(|found| found.fields())?;
    let method = asked.text("method").unwrap_or_else(|| "POST".to_owned());
    let url = asked.need("url").and_then(|found| found.text().map(str::to_owned));
    let headers = asked.take("headers").map(|found| texts(&found)).unwrap_or_default();
    let json = asked.take("json").and_then(|found| found.constant());
    let body = asked.take("body").and_then(|found| found.text_or_nothing().map(|text| text.as_bytes().to_vec()));
    asked.done();
    let answer = fields.take("answer").and_then(|found| answer(&found));
    fields.done();
    Some(Exchange { method, url: url?, headers, body, json, answer })
}

fn answer(found: &Found<'_>) -> Option<Reply> {
    let fields = found.fields()?;
    let status = fields.take("status").map_or(Some(200), |found| found.integer(100..=599))?;
    let mut headers = fields.take("headers").map(|found| texts(&found)).unwrap_or_default();
    let json = fields.take("json");
    let body = match &json {
        Some(found) => {
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
            }
            found.constant().map(|value| crate::format::json::value(&value)).unwrap_or_default()
        }
        None => match fields.take("body") {
            Some(found) => match &found.node.value {
                Value::Text(text) => text.as_bytes().to_vec(),
                _ => found.text().map(|text| text.as_bytes().to_vec()).unwrap_or_default(),
            },
            None => Vec::new(),
        },
    };
    fields.done();
    Some(reply(u16::try_from(status).unwrap_or(200), &headers, body))
}
