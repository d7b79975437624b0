//! A configuration for other people's eyes: its keys, names and settings; no secret, no literal of a filter, no constant of a
//! mapping, no header's value, and of an address only where it leads. What is not known to be harmless is left out.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use crate::adapter::secret::redact;
use crate::config::fields::camel;
use crate::config::source::Source;
use crate::config::tree::{Node, Value};

/// What stands in place of a value.
const LEFT_OUT: &str = "***";
/// A name or setting is not longer.
const LONGEST: usize = 200;

/// Keys whose texts are names, words and times.
const HARMLESS: [&str; 92] = [
    "ack",
    "adapter",
    "allow",
    "api",
    "as",
    "audit",
    "authType",
    "backoff",
    "ca",
    "calendar",
    "calendars",
    "cap",
    "capture",
    "cert",
    "classify",
    "coalesce",
    "codepage",
    "columns",
    "connect",
    "convert",
    "copybook",
    "credential",
    "credentialsId",
    "cutOff",
    "database",
    "databases",
    "deadline",
    "deliver",
    "deliveryWindow",
    "dir",
    "directory",
    "env",
    "event",
    "events",
    "exclude",
    "field",
    "fields",
    "file",
    "giveUpAfter",
    "host",
    "hostKey",
    "idempotencyKey",
    "idle",
    "keepAlive",
    "key",
    "knownHosts",
    "listen",
    "map",
    "mapping",
    "max",
    "maxBackoff",
    "maxBytes",
    "method",
    "mode",
    "name",
    "nameRules",
    "office",
    "onDead",
    "onLeave",
    "operation",
    "order",
    "outlet",
    "overdue",
    "overwrite",
    "pattern",
    "publish",
    "rate",
    "recfm",
    "record",
    "redact",
    "resume",
    "rows",
    "schedule",
    "settle",
    "shape",
    "start",
    "state",
    "strategy",
    "table",
    "tables",
    "tempDir",
    "terminator",
    "timeout",
    "timezone",
    "to",
    "tolerance",
    "type",
    "unchanged",
    "untrusted",
    "verify",
    "vsUpdate",
    "winner",
];
/// Keys below which every value is a person's own, and may be of a record.
const CLOSED: [&str; 9] = ["headers", "value", "default", "lookup", "set", "content", "values", "secret", "ifs"];
/// Keys whose texts are addresses.
const ADDRESSES: [&str; 5] = ["url", "tokenUrl", "proxy", "smtp", "socks"];

/// One file.
#[derive(Clone, Debug)]
pub struct Masked {
    /// Its path below the configuration.
    pub name: String,
    /// Its content as JSON, or why it cannot be shown (with the place, without any of its text).
    pub text: Result<String, String>,
}

/// The files of the configuration at `path`, a folder or a file.
pub fn masked(path: &Path) -> Vec<Masked> {
    let files = if path.is_dir() { files(path) } else { vec![path.to_owned()] };
    let one = |file: PathBuf| {
        let name = file.strip_prefix(path).ok().filter(|name| !name.as_os_str().is_empty());
        let name = name.or(file.file_name().map(Path::new)).unwrap_or(&file).display().to_string();
        let source = Source::new(&file);
        let text = match source.read(&file) {
            Some(node) => Ok(format!("{:#}", mask(&node, "", false))),
            None => Err(source.into_problems().first().map_or("cannot be read".to_owned(), |problem| {
                format!("line {}, column {}: cannot be read as YAML or JSON", problem.line, problem.column)
            })),
        };
        Masked { name, text }
    };
    files.into_iter().map(one).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for below in ["", "connectors", "sync-config", "mappings", "conflicts"] {
        let entries = std::fs::read_dir(folder.join(below)).into_iter().flatten().flatten();
        let mut here: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_ours(path)).collect();
        here.sort();
        files.extend(here);
    }
    files
}

fn is_ours(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json")) && path.is_file()
}

fn mask(node: &Node, key: &str, closed: bool) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Map(entries) => {
            let mut map = Map::new();
            for (at, (own, value)) in entries.iter().enumerate() {
                let name = camel(&own.name);
                let deeper = closed || CLOSED.contains(&name.as_str());
                // The keys of a table of codes are codes of records.
                let shown = if closed && key == "lookup" { format!("{LEFT_OUT}{at}") } else { shown(&own.name) };
                let inner = if is_names(key) && !deeper { key } else { &name };
                map.insert(shown, mask(value, if closed { key } else { inner }, deeper));
            }
            Json::Object(map)
        }
        Value::List(items) if key == "exec" => {
            let first = items.first().map(|item| mask(item, "file", closed));
            Json::Array(first.into_iter().chain((items.len() > 1).then(|| json!(LEFT_OUT))).collect())
        }
        Value::List(items) => Json::Array(items.iter().map(|item| mask(item, key, closed)).collect()),
        _ if closed => json!(LEFT_OUT),
        Value::Bool(yes) => json!(yes),
        Value::Integer(number) => json!(number),
        Value::Real(number) => json!(number),
        Value::Text(text) if key == "where" => json!(without_literals(text)),
        Value::Text(text) if ADDRESSES.contains(&key) => json!(origin(text)),
        Value::Text(text) if HARMLESS.contains(&key) => json!(shown(text)),
        Value::Text(_) => json!(LEFT_OUT),
    }
}

/// Keys below which names stand on the left and words of ours on the right.
fn is_names(key: &str) -> bool {
    ["map", "mapping", "redact", "classify", "databases"].contains(&key)
}

fn shown(text: &str) -> String {
    if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return LEFT_OUT.to_owned();
    }
    redact(text).into_owned()
}

/// Scheme and host of an address. A path can be the secret itself.
fn origin(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return LEFT_OUT.to_owned() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    shown(&format!("{scheme}://{host}/{LEFT_OUT}"))
}

/// A filter's names and operators, with `?` for what it compares with.
fn without_literals(filter: &str) -> String {
    let mut out = String::new();
    let mut chars = filter.chars().peekable();
    let mut in_name = false;
    while let Some(c) = chars.next() {
        if c == '\'' || c == '"' {
            out.push('?');
            // To the end of the text, over doubled and escaped quotes; one that is not closed takes all.
            while let Some(next) = chars.next() {
                if next == '\\' || (next == c && chars.peek() == Some(&c)) {
                    chars.next();
                } else if next == c {
                    break;
                }
            }
        } else if c.is_numeric() && !in_name {
            out.push('?');
            while chars.next_if(|next| next.is_alphanumeric() || *next == '.').is_some() {}
        } else {
            out.push(c);
        }
        in_name = c.is_alphanumeric() || c == '_';
    }
    shown(&out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
name: legacy
listen: [visits, 'patients.update']
where: after.ssn == '123-45-6789' and after.city != "Am''es" and age2 > 42 or x == 'it''s canary'
target:
  url: https://user:canary@legacy.test:8443/hook/canary-path?key=canary
  headers: {X-Token: canary, X-Other: [canary, 7]}
  credentialsId: cdc
  timeout: 30s
map: {id: ruleId, name: {to: patient, convert: upper, default: canary}, code: {to: c, lookup: {canary1: canary2}}}
credentials: {cdc: {type: bearer, token: {file: /etc/secret}}, x: {type: basic, user: canary, password: {exec: [/bin/pass, canary]}}}
password: canary
unknownThing: canary
concurrency: 4
"#;

    #[test]
    fn names_and_settings_stay_and_whatever_may_be_a_secret_or_of_a_record_goes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sync.yaml"), CONFIG).unwrap();
        let shown = masked(folder.path()).remove(0).text.unwrap();
        for gone in ["canary", "123-45", "Am", "42", "user:", "it's", "7,"] {
            assert!(!shown.contains(gone), "{gone} in {shown}");
        }
        let json: Json = serde_json::from_str(&shown).unwrap();
        assert_eq!(json["where"], "after.ssn == ? and after.city != ? and age2 > ? or x == ?");
        assert_eq!(json["target"]["url"], "https://legacy.test:8443/***");
        assert_eq!((&json["target"]["timeout"], &json["concurrency"]), (&json!("30s"), &json!(4)));
        assert_eq!((&json["map"]["id"], &json["map"]["name"]["to"]), (&json!("ruleId"), &json!("patient")));
        assert_eq!(json["credentials"]["cdc"]["token"]["file"], "/etc/secret");
        assert_eq!(json["credentials"]["x"]["password"]["exec"], json!(["/bin/pass", "***"]));
    }

    #[test]
    fn what_cannot_be_read_shows_its_place_and_none_of_its_text() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sync.yaml"), "token: \"canary\ndatabase: [\n").unwrap();
        let why = masked(folder.path()).remove(0).text.unwrap_err();
        assert!(why.starts_with("line ") && !why.contains("canary"), "{why}");
    }
}
