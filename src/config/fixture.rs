//! Fixtures: a record, the requests that it must make, the answers, and what must come of it.

mod reading;

use std::path::Path;

use crate::adapter::http::{Reply, reply};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::problem::{Problem, Problems, verdict};
use crate::config::source::Source;
use crate::config::tree::{Notation, Value};
use crate::event::{self, Op, Record};
use crate::rules::transport::Transport;
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

/// A change of a case.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened to the record.
    pub op: Op,
    /// The event's type.
    pub kind: String,
    /// Its key.
    pub key: Record,
    /// The record: after the change; before it, for a delete.
    pub record: Record,
}

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub line: u32,
    /// What happened: one change, or several that may go together.
    pub changes: Vec<Change>,
    /// They go together, as the adapter's file says.
    pub joined: bool,
    /// The adapter's variables.
    pub vars: Record,
    /// The base of the addresses, or the path of a program; none = [`base_of`] the adapter's transport.
    pub base: Option<String>,
    /// What earlier answers have left.
    pub link: Vec<(String, String)>,
    /// The connector reads too.
    pub both_ways: bool,
    /// What is sent, and what is answered.
    pub exchanges: Vec<Exchange>,
    /// The word for what comes of it; none = it is not looked at.
    pub outcome: Option<&'static str>,
    /// A word for each record of a request; none = it is not looked at.
    pub outcomes: Option<Vec<String>>,
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
    let described = super::adapter::FIXTURES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    let text = described.or((name == PLAIN).then_some(super::adapter::REST))?;
    Some(parse(Source::new(Path::new(&format!("(fixtures of {name})"))), text))
}

/// The fixtures in a file.
pub fn of_file(path: &Path) -> Result<Fixtures, Problems> {
    let source = Source::new(path);
    let text = match super::library::read(path) {
        Ok(text) => text,
        Err(error) => {
            source.unread(super::problem::Place::default(), "", &super::source::Unread::new("", &error));
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

/// The adapter that no file describes: a record is JSON at an address.
pub const PLAIN: &str = "rest";

/// A connector for a case of [`PLAIN`], in canonical form: `base` is the whole address, which may name fields.
pub fn plain(case: &Case) -> String {
    let url = case.base.as_deref().unwrap_or("https://target.example/records/{id}");
    let mut connector = serde_json::json!({"name": "fixture", "endpoint": {"url": url, "method": "PUT"}});
    if case.joined {
        connector["batch"] = serde_json::json!({});
    }
    if case.both_ways {
        connector["strategy"] = "bidirectional".into();
        let one = serde_json::json!({"request": {"url": url.replace("{id}", "{key.id}")}});
        connector["pull"] =
            serde_json::json!({"table": "records", "url": "https://target.example/records", "one": one});
    }
    connector.to_string()
}

/// What a case is sent to unless it says otherwise.
pub fn base_of(transport: Transport) -> &'static str {
    match transport {
        Transport::Http => "https://target.example",
        Transport::Mllp => "mllps://target.example:2575",
        Transport::Exec => "/usr/local/bin/target",
    }
}

/// A connector for a case of an adapter itself, in canonical form: `text` is the adapter's file.
pub fn around(name: &str, text: &str, transport: Transport, case: &Case) -> String {
    let base = case.base.as_deref().unwrap_or(base_of(transport));
    let endpoint = match transport {
        Transport::Http | Transport::Mllp => serde_json::json!({"url": base}),
        Transport::Exec => serde_json::json!({"exec": base}),
    };
    let vars = crate::format::json::value(&event::Value::Map(case.vars.clone()));
    let mut connector = serde_json::json!({
        "name": "fixture",
        "adapter": name,
        "adapterFile": text,
        "endpoint": endpoint,
        "vars": serde_json::from_slice::<serde_json::Value>(&vars).unwrap_or_default(),
    });
    if case.joined {
        connector["batch"] = serde_json::json!({});
    }
    if let (serde_json::Value::Object(fields), Some(reading)) = (&mut connector, &case.read) {
        fields.insert("strategy".to_owned(), "pull".into());
        fields.insert("pull".to_owned(), serde_json::json!({"table": reading.table}));
    }
    if case.both_ways {
        connector["strategy"] = "bidirectional".into();
        connector["pull"] = serde_json::json!({"table": "records"});
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

/// What happened to one record.
fn change(fields: &Fields<'_>) -> Option<Change> {
    const OPS: [(&str, Op); 4] =
        [("insert", Op::Insert), ("update", Op::Update), ("delete", Op::Delete), ("event", Op::Event)];
    let op = fields.take("op").map_or(Some(Op::Insert), |found| found.choice("op", &OPS));
    let kind = fields.text("type").unwrap_or_else(|| "records".to_owned());
    let record = fields.need("record").map(|found| record(&found))?;
    let key = match fields.take("key") {
        Some(found) => self::record(&found),
        // The first field, as in most tables.
        None => record.iter().take(1).map(|(name, value)| (name.clone(), value.clone())).collect(),
    };
    Some(Change { op: op?, kind, key, record })
}

fn case(found: &Found<'_>) -> Option<Case> {
    let fields = found.fields()?;
    let name = fields.need("name").and_then(|found| found.text().map(str::to_owned));
    let together = fields.take("changes");
    let read = fields.take("pull").map(|found| {
        for key in ["record", "changes"] {
            if let Some(found) = fields.take(key) {
                found.error_hint("stands beside `pull`", "what is read is said in `items`");
            }
        }
        reading::read(&found, &fields)
    });
    let changes = match &together {
        _ if read.is_some() => Some(Vec::new()),
        None => change(&fields).map(|change| vec![change]),
        Some(list) => {
            let read = |found: &Found<'_>| {
                let fields = found.fields()?;
                let change = change(&fields);
                fields.done();
                change
            };
            list.items().and_then(|items| items.iter().map(read).collect::<Option<Vec<_>>>())
        }
    };
    let vars = fields.take("vars").map(|found| self::record(&found)).unwrap_or_default();
    let base = fields.text("base");
    let link = fields.take("link").map(|found| texts(&found)).unwrap_or_default();
    let both_ways = fields.flag("bidirectional");
    let exchanges = fields.take("exchanges").and_then(|found| found.items()).unwrap_or_default();
    let exchanges: Vec<Option<Exchange>> = exchanges.iter().map(exchange).collect();
    let outcome = fields.take("outcome").and_then(|found| {
        let words: Vec<(&str, &str)> = WORDS.iter().map(|(word, _)| (*word, *word)).chain(MORE).collect();
        found.choice("outcome", &words)
    });
    let outcomes = fields.take("outcomes").and_then(|found| found.texts());
    let says = fields.text("says");
    let after = fields.duration("after").map(|after| after.as_secs());
    let left = fields.take("left").map(|found| texts(&found));
    fields.done();
    Some(Case {
        name: name?,
        line: found.place.line,
        changes: changes?,
        joined: together.is_some(),
        vars,
        base,
        link,
        both_ways,
        exchanges: exchanges.into_iter().collect::<Option<_>>()?,
        outcome,
        outcomes,
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
    let method = asked.text("method");
    let url = asked.need("url").and_then(|found| found.text().map(str::to_owned));
    let headers = asked.take("headers").map(|found| texts(&found)).unwrap_or_default();
    let json = asked.take("json").and_then(|found| found.constant());
    let body = asked.take("body").and_then(|found| found.text_or_nothing().map(|text| text.as_bytes().to_vec()));
    asked.done();
    let transport = url.as_deref().map_or(Transport::Http, transport_of);
    let answer = fields.take("answer").and_then(|found| answer(&found, transport));
    fields.done();
    let method = method.unwrap_or_else(|| transport.verb().unwrap_or("POST").to_owned());
    Some(Exchange { method, url: url?, headers, body, json, answer })
}

/// By the address of a request.
fn transport_of(url: &str) -> Transport {
    match url.split(':').next() {
        Some("mllp" | "mllps") => Transport::Mllp,
        Some("exec") => Transport::Exec,
        _ => Transport::Http,
    }
}

fn answer(found: &Found<'_>, transport: Transport) -> Option<Reply> {
    let fields = found.fields()?;
    let status = match transport {
        Transport::Http => fields.take("status").map_or(Some(200), |found| found.integer(100..=599))?,
        // How the program ended.
        Transport::Exec => fields.take("exit").map_or(Some(0), |found| found.integer(0..=255))?,
        Transport::Mllp => 0,
    };
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
