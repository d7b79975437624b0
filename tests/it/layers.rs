//! The house stands: no layer looks upward, and none holds what it must not (`docs/ARCHITECTURE.md`).
//!
//! The table below is the rule. Imports are looked for everywhere, unit tests included; the other words only
//! outside them, where a test may play the application or the outside system.

mod source;

use std::fs;
use std::path::Path;

use source::Source;

/// One layer: its name in `src/`, what it may import of ours besides itself, and what it must not hold.
struct Layer {
    name: &'static str,
    may_import: &'static [&'static str],
    /// Paths, matched anywhere (`std::fs`), or as a crate's own name at the start (`log::`).
    must_not_hold: &'static [&'static str],
}

const EVERYTHING: &[&str] = &["*"];

/// What makes an answer depend on more than the arguments.
const IMPURE: &[&str] = &[
    "rusqlite",
    "ureq",
    "hyper",
    "axum",
    "tokio",
    "async",
    "await",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "SystemTime",
    "Instant::now",
    "clock::now",
    "fastrand",
    "rand::",
    "log::",
    "println",
    "eprintln",
];

const LAYERS: &[Layer] = &[
    Layer { name: "event", may_import: &["clock"], must_not_hold: IMPURE },
    Layer { name: "clock", may_import: &[], must_not_hold: &["rusqlite", "ureq", "tokio", "async", "fastrand"] },
    Layer { name: "rules", may_import: &["event", "clock"], must_not_hold: IMPURE },
    Layer { name: "format", may_import: &["event", "clock", "rules"], must_not_hold: IMPURE },
    Layer {
        name: "store",
        may_import: &["event", "clock", "rules"],
        must_not_hold: &["ureq", "hyper", "axum", "tokio", "async", "await", "rustls", "std::net", "UnixStream"],
    },
    Layer {
        name: "adapter",
        may_import: &["event", "clock", "rules", "format"],
        must_not_hold: &["rusqlite", "sleep", "park_timeout"],
    },
    Layer {
        name: "engine",
        may_import: &["event", "clock", "rules", "format", "store", "adapter"],
        must_not_hold: &[
            "rusqlite",
            "ureq",
            "hyper",
            "axum",
            "http::",
            "tokio",
            "async",
            "await",
            "std::net",
            "StatusCode",
        ],
    },
    Layer {
        name: "config",
        may_import: &["event", "clock", "rules", "format", "adapter", "engine"],
        must_not_hold: &[
            "rusqlite",
            // Addresses and URIs are values that a file may hold; sockets and agents are not.
            "ureq::Agent",
            "ureq::config",
            "hyper",
            "axum",
            "tokio",
            "async",
            "await",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "ToSocketAddrs",
            "std::thread",
            "Command",
            "File::create",
            "OpenOptions",
            "fs::write",
            "fs::rename",
            "create_dir",
            "create_dir_all",
            "remove_file",
            "remove_dir_all",
            "set_var",
        ],
    },
    Layer { name: "daemon", may_import: EVERYTHING, must_not_hold: &["rusqlite", "ureq"] },
    Layer { name: "embed", may_import: EVERYTHING, must_not_hold: &["rusqlite", "ureq"] },
    Layer { name: "cli", may_import: EVERYTHING, must_not_hold: &["rusqlite", "ureq"] },
];

/// The demo brings its own application, a clerk who edits an office database: that program's SQL is not ours.
const PLAYS_THE_APPLICATION: &[&str] = &["cli/demo.rs", "cli/demo/"];

/// Names that gather what belongs elsewhere.
const NO_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "types", "misc", "mod"];

/// Lines a file may have without a line that begins `// long because`.
const LONG: usize = 500;

/// Everything that is wrong with one file, as `file:line: what`; `file` is relative to `src/`.
fn wrongs(file: &str, text: &str) -> Vec<String> {
    let mut wrongs = shape(file, text);
    let source = source::read(text);
    let modules: Vec<&str> = modules(file);
    let Some(top) = modules.first() else {
        wrongs.extend(root(file, text, &source));
        return wrongs;
    };
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == *top) else {
        wrongs.push(format!("{file}:1: `{top}` is in no layer: it belongs into one, or into the table of this test"));
        return wrongs;
    };
    let plays_the_application = PLAYS_THE_APPLICATION.iter().any(|part| file.starts_with(part));
    let test_file = file.ends_with("/tests.rs") || file.contains("/tests/");

    for path in &source.paths {
        let mut wrong = |what: String| wrongs.push(format!("{file}:{}: {what}", path.line));
        let spelled = path.segments.join("::");
        if let Some(import) = imported(&path.segments, modules.len() + path.inside)
            && import != layer.name
            && layer.may_import != EVERYTHING
            && !layer.may_import.contains(&import)
        {
            wrong(format!("{} must not import {import} ({spelled})", layer.name));
        }
        if path.segments.iter().any(|segment| segment == "unsafe") {
            wrong("unsafe".to_owned());
        }
        if path.test || test_file {
            continue;
        }
        for word in layer.must_not_hold {
            if holds(&path.segments, word) && !(plays_the_application && *word == "rusqlite") {
                wrong(format!("{} must not hold {word} ({spelled})", layer.name));
            }
        }
        let reads_clock = ["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now", "Local::now"]
            .iter()
            .any(|now| holds(&path.segments, now));
        if reads_clock && layer.name != "clock" {
            wrong(format!("only clock.rs reads the wall clock ({spelled})"));
        }
        if makes_agent(&path.segments) && !file.starts_with("adapter/http") {
            wrong(format!("only adapter/http makes an HTTP agent ({spelled})"));
        }
    }
    for text in source.texts.iter().filter(|text| !text.test && !test_file) {
        if layer.name != "store" && !plays_the_application && is_sql(&text.text) {
            wrongs.push(format!("{file}:{}: SQL lives only in store/ and schema.sql", text.line));
        }
        if layer.name == "engine" && is_http(&text.text) {
            wrongs.push(format!("{file}:{}: engine must not hold HTTP words ({:?})", text.line, text.text));
        }
    }
    if let Some(line) = text.lines().position(|line| line.contains("Arc<Config>") && !line.trim().starts_with("//")) {
        wrongs.push(format!("{file}:{}: the configuration does not travel: build parts from it", line + 1));
    }
    wrongs
}

/// Length and names.
fn shape(file: &str, text: &str) -> Vec<String> {
    let mut wrongs = Vec::new();
    let lines = text.lines().count();
    if lines > LONG && !text.lines().any(|line| line.trim_start().starts_with("// long because ")) {
        wrongs
            .push(format!("{file}:{LONG}: {lines} lines: split it, or give the reason in a line `// long because …`"));
    }
    for name in file.trim_end_matches(".rs").split('/').filter(|name| NO_NAMES.contains(name)) {
        wrongs.push(format!("{file}:1: `{name}` names no noun or verb of the trade"));
    }
    wrongs
}

/// `lib.rs` is the map and nothing else; `main.rs` stays under 15 lines.
fn root(file: &str, text: &str, source: &Source) -> Vec<String> {
    let mut wrongs = Vec::new();
    if file == "main.rs" && text.lines().count() >= 15 {
        wrongs.push(format!("{file}:1: arguments, cli, exit code: under 15 lines"));
    }
    for path in source.paths.iter().filter(|_| file == "lib.rs") {
        if let Some(word @ ("fn" | "struct" | "enum" | "trait" | "impl" | "const" | "static")) =
            path.segments.first().map(String::as_str)
        {
            wrongs.push(format!("{file}:{}: only modules and re-exports, no `{word}`", path.line));
        }
    }
    for path in source.paths.iter().filter(|path| path.segments.iter().any(|segment| segment == "unsafe")) {
        wrongs.push(format!("{file}:{}: unsafe", path.line));
    }
    wrongs
}

/// The module path of a file: `rules/retry.rs` is `rules`, `retry`; `main.rs` and `lib.rs` are the root.
fn modules(file: &str) -> Vec<&str> {
    match file {
        "main.rs" | "lib.rs" => Vec::new(),
        _ => file.trim_end_matches(".rs").split('/').collect(),
    }
}

/// The top module of ours that a path leads to, seen from `depth` modules below the root.
fn imported(segments: &[String], depth: usize) -> Option<&str> {
    let from_root = match segments.first()?.as_str() {
        "crate" | "hms_sync" => 1,
        "super" => {
            let ups = segments.iter().take_while(|segment| *segment == "super").count();
            if ups != depth {
                return None;
            }
            ups
        }
        _ => return None,
    };
    segments.get(from_root).map(String::as_str)
}

/// Whether a path has the words of `pattern` (`std::fs`) side by side. A pattern that ends in `::` is a crate's
/// name: it must begin the path and be followed by something.
fn holds(segments: &[String], pattern: &str) -> bool {
    if let Some(name) = pattern.strip_suffix("::") {
        return segments.len() > 1 && segments.first().is_some_and(|first| first == name);
    }
    let words: Vec<&str> = pattern.split("::").collect();
    segments.windows(words.len()).any(|window| window.iter().zip(&words).all(|(segment, word)| segment == word))
}

/// Whether a path calls one of ureq's ways to an agent or to a request without one.
fn makes_agent(segments: &[String]) -> bool {
    let ways = ["new_with_defaults", "new_with_config", "with_parts", "config_builder"];
    let calls = ["agent", "get", "post", "put", "patch", "delete", "head", "options", "trace", "connect", "run"];
    let agent = segments.windows(2).any(|pair| pair[0] == "Agent" && ways.contains(&pair[1].as_str()));
    agent || matches!(segments, [first, call] if first == "ureq" && calls.contains(&call.as_str()))
}

/// Whether a string literal begins as an SQL statement does.
fn is_sql(literal: &str) -> bool {
    // The literal is as in the source: a line may begin with an escape.
    let mut start = literal.trim_start();
    while let Some(rest) = ["\\n", "\\t", "\\"].iter().find_map(|escape| start.strip_prefix(escape)) {
        start = rest.trim_start();
    }
    let upper = start.to_uppercase();
    let words: Vec<&str> = upper.split_whitespace().take(4).collect();
    let shouted = words.first().is_some_and(|word| start.starts_with(word));
    match words.as_slice() {
        ["SELECT", _, ..] => shouted || upper.contains(" FROM "),
        ["UPDATE", _, ..] => shouted || words.get(2) == Some(&"SET"),
        ["INSERT" | "REPLACE", "INTO" | "OR", ..] | ["DELETE", "FROM", ..] => true,
        ["CREATE", "TABLE" | "TRIGGER" | "INDEX" | "UNIQUE" | "VIEW" | "TEMP" | "VIRTUAL", ..] => true,
        ["DROP" | "ALTER", "TABLE" | "TRIGGER" | "INDEX" | "VIEW", ..] => true,
        ["BEGIN", "IMMEDIATE" | "EXCLUSIVE" | "DEFERRED", ..] => true,
        ["PRAGMA" | "ATTACH" | "SAVEPOINT" | "WITH", _, ..] => shouted,
        ["PRAGMA" | "VACUUM" | "COMMIT" | "ROLLBACK" | "COMMIT;" | "ROLLBACK;" | "BEGIN" | "BEGIN;"] => shouted,
        _ => false,
    }
}

/// Whether a string literal is a word of HTTP.
fn is_http(literal: &str) -> bool {
    let words = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
    words.contains(&literal) || literal.starts_with("http://") || literal.starts_with("https://")
}

/// Every Rust file below `folder`, as (path relative to `src/`, content).
fn files(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            files(&path, &format!("{name}/"), found);
        } else if name.ends_with(".rs") {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn no_layer_looks_upward_or_holds_what_it_must_not() {
    let mut sources = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    for layer in LAYERS {
        let there = sources.iter().any(|(file, _)| *file == format!("{}.rs", layer.name));
        assert!(there, "src/{}.rs is gone: was it renamed without this test's table?", layer.name);
    }
    let mut wrong: Vec<String> = sources.iter().flat_map(|(file, text)| wrongs(file, text)).collect();
    wrong.sort();
    assert!(wrong.is_empty(), "src/ breaks its own rules:\n{}", wrong.join("\n"));
}

/// What the checker says of a snippet, without the `file:line: ` in front.
fn said(file: &str, text: &str) -> Vec<String> {
    wrongs(file, text).iter().map(|wrong| wrong.splitn(3, ':').nth(2).unwrap().trim().to_owned()).collect()
}

#[test]
fn an_import_from_above_is_seen_however_it_is_written() {
    for text in [
        "use crate::store::state::State;",
        "use crate::{event::Event, store};",
        "use crate::{event::Event as Happening, store as cellar};",
        "use crate::{\n  event::{Event, Op},\n  store::{state::State, capture},\n};",
        "use super::store::state;",
        "pub use hms_sync::store;",
        "fn f() { let x = crate::store::open(); }",
        "mod tests { use super::super::store; }",
        "fn f() { log!(crate::store::open()) }",
    ] {
        let said = said("rules.rs", text);
        assert!(
            !said.is_empty() && said.iter().all(|s| s.starts_with("rules must not import store")),
            "{text}: {said:?}"
        );
    }
    assert_eq!(said("rules/retry.rs", "use super::super::engine::push;").len(), 1);
    assert_eq!(said("rules/retry.rs", "use crate::format::json;").len(), 1);
    assert_eq!(said("store/state.rs", "use crate::adapter::Parcel;").len(), 1);
    assert_eq!(said("adapter/rest.rs", "use crate::store::state::State;").len(), 1);
    assert_eq!(said("engine/push.rs", "use crate::config::Config;").len(), 1);
    assert_eq!(said("config/load.rs", "use crate::daemon;").len(), 1);
    assert_eq!(said("format/json.rs", "#[cfg(test)] mod tests { use crate::engine::push; }").len(), 1);
}

#[test]
fn looking_down_or_sideways_within_the_layer_is_allowed() {
    for (file, text) in [
        ("rules/retry.rs", "use super::outcome::Outcome; use crate::event::{Event, Op}; use crate::clock::Timestamp;"),
        ("store/state.rs", "use crate::rules::{lane::Lane, outcome::Reason}; use super::capture;"),
        ("engine/push.rs", "use crate::{adapter::Adapter, rules::retry, store::state::State, format::json};"),
        ("config/url.rs", "use std::net::IpAddr; use ureq::http::Uri; use crate::rules::{convert, mapping};"),
        ("daemon/run.rs", "use crate::{config, engine::push, store};"),
        ("cli/demo.rs", "use crate::daemon; fn clerk() { run(\"INSERT INTO appointments VALUES (1)\") }"),
        ("rules/lane.rs", "mod fold { use super::Lane; #[cfg(test)] mod tests { use super::super::Lane; } }"),
    ] {
        assert_eq!(wrongs(file, text), Vec::<String>::new());
    }
}

#[test]
fn a_word_that_a_layer_must_not_hold_is_seen() {
    for (file, text) in [
        ("rules/retry.rs", "use std::{collections::BTreeMap, fs};"),
        ("rules/retry.rs", "fn f() -> u64 { fastrand::u64(..) }"),
        ("rules/retry.rs", "fn f() { log::info!(\"x\") }"),
        ("rules/retry.rs", "use log::info;"),
        ("rules/retry.rs", "use std::time::Instant; fn f() { Instant::now(); }"),
        ("rules/retry.rs", "fn f() { crate::clock::now(); }"),
        ("rules/retry.rs", "use crate::clock::{now, Timestamp};"),
        ("format/json.rs", "use std::time::SystemTime;"),
        ("format/json.rs", "use rusqlite::types::Value;"),
        ("format/json.rs", "async fn f() {}"),
        ("store/state.rs", "use std::net::TcpStream;"),
        ("adapter/rest.rs", "use rusqlite::Connection;"),
        ("adapter/rest.rs", "fn f() { std::thread::sleep(d) }"),
        ("engine/push.rs", "fn f(status: http::StatusCode) {}"),
        ("engine/push.rs", "const METHOD: &str = \"DELETE\";"),
        ("config/load.rs", "fn f() { std::fs::write(a, b); }"),
        ("config/load.rs", "use std::net::{IpAddr, TcpStream};"),
        ("config/load.rs", "use ureq::{http::Uri, Agent};"),
        ("daemon/worker.rs", "fn f() { rusqlite::Connection::open(p); }"),
        ("cli/run.rs", "fn f(config: Arc<Config>) {}"),
    ] {
        assert!(!wrongs(file, text).is_empty(), "{file}: {text}");
    }
    let fine =
        "//! never reads std::fs, never says log::info!\n/// `fastrand`, SELECT x FROM y\nfn f(log: u8) { event.log; }";
    assert_eq!(wrongs("rules/retry.rs", fine), Vec::<String>::new());
    let test = "#[cfg(test)]\n#[allow(clippy::unwrap_used)]\nmod tests { use std::fs; const S: &str = \"SELECT 1\"; }";
    assert_eq!(wrongs("rules/retry.rs", test), Vec::<String>::new());
    let after = format!("{test}\nuse std::fs;");
    assert_eq!(wrongs("rules/retry.rs", &after), ["rules/retry.rs:4: rules must not hold std::fs (std::fs)"]);
    assert_eq!(wrongs("rules/retry.rs", "#[cfg(not(test))] use std::fs;").len(), 1);
}

#[test]
fn sql_outside_the_store_is_seen_and_english_is_not_taken_for_it() {
    for sql in [
        "SELECT 1",
        "select a\\n  from b",
        "\\n    INSERT INTO t VALUES (?1)",
        "insert or replace into t",
        "UPDATE t SET a = 1",
        "update t set a = 1",
        "DELETE FROM t",
        "CREATE TABLE t (a)",
        "CREATE TEMP TABLE t (a)",
        "drop trigger x",
        "ALTER TABLE t ADD COLUMN b",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "PRAGMA journal_mode",
        "WITH x AS (SELECT 1)",
    ] {
        let text = format!("fn f() {{ run(\"{sql}\") }}");
        assert_eq!(said("engine/push.rs", &text), ["SQL lives only in store/ and schema.sql"], "{sql}");
        assert_eq!(wrongs("store/state.rs", &text), Vec::<String>::new(), "{sql}");
    }
    for english in
        ["update", "deliveries to select", "Delete the record", "create the folder first", "with care", "insert"]
    {
        assert_eq!(
            said("engine/push.rs", &format!("const T: &str = \"{english}\";")),
            Vec::<String>::new(),
            "{english}"
        );
    }
    assert_eq!(said("cli/status.rs", "const Q: &str = r#\"SELECT \"a\" FROM t\"#;").len(), 1);
}

#[test]
fn the_wall_clock_and_http_agents_have_one_place_each() {
    assert_eq!(said("daemon/run.rs", "fn f() { std::time::SystemTime::now(); }").len(), 1);
    assert_eq!(said("engine/push.rs", "fn f() { jiff::Timestamp::now(); }").len(), 1);
    assert_eq!(said("clock.rs", "fn f() { SystemTime::now(); }"), Vec::<String>::new());
    assert_eq!(said("adapter/rest.rs", "use ureq::Agent; fn f() { Agent::new_with_defaults(); }").len(), 1);
    assert_eq!(said("adapter/auth.rs", "fn f() { ureq::post(url); }").len(), 1);
    assert_eq!(said("adapter/http.rs", "fn f() { ureq::Agent::config_builder(); }"), Vec::<String>::new());
    assert_eq!(
        said("adapter/rest.rs", "fn f(agent: &ureq::Agent) -> ureq::Error { agent.post(u) }"),
        Vec::<String>::new()
    );
}

#[test]
fn unsafe_code_odd_names_long_files_and_strangers_are_seen() {
    assert_eq!(said("rules/retry.rs", "fn f() { unsafe { g() } }"), ["unsafe"]);
    assert_eq!(said("main.rs", "fn main() { unsafe { g() } }"), ["unsafe"]);
    for file in ["store/utils.rs", "engine/types/state.rs", "cli/mod.rs"] {
        assert_eq!(said(file, "").len(), 1, "{file}");
    }
    let long = "fn f() {}\n".repeat(LONG + 1);
    assert_eq!(said("rules/retry.rs", &long).len(), 1);
    assert_eq!(said("rules/retry.rs", &format!("// long because one table\n{long}")), Vec::<String>::new());
    assert_eq!(said("rules/retry.rs", &"fn f() {}\n".repeat(LONG)), Vec::<String>::new());
    assert_eq!(said("kitchen.rs", "").len(), 1);
    assert_eq!(said("lib.rs", "pub mod event;\nfn f() {}").len(), 1);
    assert_eq!(said("main.rs", &"\n".repeat(15)).len(), 1);
}
