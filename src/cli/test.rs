//! `test`: fixtures of connectors and adapters, offline.

mod pull;

use std::path::PathBuf;

use serde_json::json;

use crate::adapter::Request;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::connector::ConnectorSpec;
use crate::config::fixture::{self, Case, Change, Exchange, Fixtures, Subject};
use crate::config::{self, Settings, adapter, build};
use crate::engine::rehearse::{Came, Given, rehearse, same_json};

/// Goes through fixtures of connectors and adapters, offline
///
/// A fixture is a record, the requests that it must make, the answers, and what must come of it: through the connector's
/// own `where`, mapping and gate, or the adapter alone. No connection is opened and nothing is written. Without a file:
/// those in `fixtures/`, and those beside the site's adapters. Ends with 1 when one does not hold.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Files of fixtures
    files: Vec<PathBuf>,
}

/// Runs `test`.
pub fn test(place: &Place, test: Test) -> Outcome {
    let files = match (test.files.is_empty(), place.config_path().ok().filter(|path| path.is_dir())) {
        (false, _) => test.files,
        (true, Some(folder)) => fixture::files(&folder),
        (true, None) => Vec::new(),
    };
    if files.is_empty() {
        let text = "no fixtures: put them into `fixtures/` of the configuration, or name a file";
        return Err(Failure::new(Code::Config, text));
    }
    let suites: Result<Vec<Fixtures>, _> = files.iter().map(|file| fixture::of_file(file)).collect();
    go(place, suites.map_err(Failure::from)?, &[])
}

/// Goes through suites; `bare` = adapters without fixtures.
pub(super) fn go(place: &Place, suites: Vec<Fixtures>, bare: &[String]) -> Outcome {
    let (mut passed, mut failed, mut lines) = (0, 0, Vec::new());
    for suite in &suites {
        let of = match &suite.subject {
            Subject::Adapter(name) => format!("adapter {name}"),
            Subject::Connector(name) => format!("connector {name}"),
        };
        for case in &suite.cases {
            let wrong = judge(place, suite, case)?;
            match wrong.is_empty() {
                true => passed += 1,
                false => failed += 1,
            }
            let at = format!("{}:{}", suite.file, case.line);
            if place.json() {
                lines.push(json!({"of": of, "case": case.name, "at": at, "ok": wrong.is_empty(), "wrong": wrong}));
            } else if !wrong.is_empty() {
                output::line(&format!("FAILED  {of}: {} ({at})", case.name))?;
                wrong.iter().try_for_each(|line| output::line(&format!("        {line}")))?;
            } else if !place.quiet() {
                output::line(&format!("ok      {of}: {}", case.name))?;
            }
        }
    }
    if place.json() {
        output::json(&json!({"passed": passed, "failed": failed, "cases": lines, "withoutFixtures": bare}))?;
    } else {
        bare.iter().try_for_each(|name| output::line(&format!("none    adapter {name} has no fixtures")))?;
        output::line(&format!("{passed} passed, {failed} failed"))?;
    }
    Ok(if failed > 0 { Code::Failed } else { Code::Ok })
}

/// What is wrong with a case; nothing = it holds.
fn judge(place: &Place, suite: &Fixtures, case: &Case) -> Result<Vec<String>, Failure> {
    if let Some(reading) = &case.read {
        let source = match &suite.subject {
            Subject::Adapter(name) => {
                let (spec, settings) = described(place, name, case)?;
                build::asked_source_of(&spec, &settings, &build::Credentials::new())
            }
            Subject::Connector(name) => {
                let (spec, settings, credentials) = configured(place, name)?;
                build::asked_source_of(&spec, &settings, &credentials)
            }
        };
        let Some(source) = source.map_err(Failure::from)? else {
            return Ok(vec!["it does not read: its strategy is push".to_owned()]);
        };
        return Ok(pull::judge(&source, case, reading));
    }
    let connector = match &suite.subject {
        Subject::Adapter(name) => {
            let (spec, settings) = described(place, name, case)?;
            build::connector(spec, &settings, &build::Credentials::new(), [0; 32]).map_err(Failure::from)?
        }
        Subject::Connector(name) => {
            let (spec, settings, credentials) = configured(place, name)?;
            build::connector(spec, &settings, &credentials, [0; 32]).map_err(Failure::from)?
        }
    };
    let given = |change: &Change| Given {
        op: change.op,
        kind: change.kind.clone(),
        key: change.key.clone(),
        record: change.record.clone(),
        link: case.link.clone(),
    };
    let given: Vec<Given> = case.changes.iter().map(given).collect();
    let mut answers = case.exchanges.iter();
    let came = rehearse(&connector, &given, &mut |_| answers.next()?.answer.clone());
    Ok(differences(case, &came))
}

fn described(place: &Place, name: &str, case: &Case) -> Result<(ConnectorSpec, Settings), Failure> {
    let settings = Settings { office: "OF042".to_owned(), ..Settings::default() };
    if name == fixture::PLAIN {
        return Ok((config::from_canonical(&fixture::plain(case)).map_err(Failure::from)?, settings));
    }
    let folder = place.config_path().ok().filter(|path| path.is_dir());
    let Some((text, at)) = adapter::text_of(folder.as_deref(), name) else {
        return Err(Failure::new(Code::Config, format!("there is no adapter `{name}`")));
    };
    let transport = adapter::parse(&text, &at).map_err(Failure::from)?.transport;
    let spec = config::from_canonical(&fixture::around(name, &text, transport, case)).map_err(Failure::from)?;
    Ok((spec, settings))
}

fn configured(place: &Place, name: &str) -> Result<(ConnectorSpec, Settings, build::Credentials), Failure> {
    let config = place.config()?;
    let credentials = build::credentials(&config.settings).map_err(Failure::from)?;
    let Some(spec) = config.connectors.into_iter().find(|spec| *spec.name == *name) else {
        return Err(Failure::new(Code::Config, format!("there is no connector `{name}` that makes calls")));
    };
    Ok((spec, config.settings, credentials))
}

fn differences(case: &Case, came: &Came) -> Vec<String> {
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
    let said = came.reason.as_ref().map(ToString::to_string).unwrap_or_default();
    if let Some(word) = case.outcome.filter(|word| *word != came.word) {
        wrong.push(format!("outcome: expected {word}, it is {} ({said})", came.word));
    }
    if let Some(words) = case.outcomes.as_ref().filter(|words| **words != came.words) {
        wrong.push(format!("outcomes: expected {words:?}, they are {:?} ({said})", came.words));
    }
    if let Some(says) = case.says.as_ref().filter(|says| !said.contains(says.as_str())) {
        wrong.push(format!("reason: expected `{says}` in it, it is `{said}`"));
    }
    if case.after.is_some() && case.after != came.after {
        wrong.push(format!("after: expected {:?} s, it is {:?} s", case.after, came.after));
    }
    if let Some(left) = &case.left {
        let mut expected = left.clone();
        let mut found = came.left.clone().unwrap_or_default();
        expected.sort();
        found.sort();
        if expected != found {
            wrong.push(format!("left: expected {expected:?}, it is {found:?}"));
        }
    }
    wrong
}

fn compare(n: usize, exchange: &Exchange, request: &Request, wrong: &mut Vec<String>) {
    if *exchange.method != *request.method || *exchange.url != *request.url {
        let (method, url) = (&exchange.method, &exchange.url);
        wrong.push(format!("request {n}: expected {method} {url}, it is {} {}", request.method, request.url));
    }
    for (name, value) in &exchange.headers {
        let found =
            request.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value);
        if found != Some(value.as_str()) {
            wrong.push(format!("request {n}: header {name}: expected `{value}`, it is {found:?}"));
        }
    }
    let body = String::from_utf8_lossy(&request.body);
    if let Some(json) = exchange.json.as_ref().filter(|json| !same_json(&request.body, json)) {
        let json = crate::format::json::value(json);
        wrong.push(format!("request {n}: body: expected {}, it is {body}", String::from_utf8_lossy(&json)));
    }
    if let Some(expected) = exchange.body.as_ref().filter(|expected| **expected != request.body) {
        let expected = String::from_utf8_lossy(expected);
        wrong.push(format!("request {n}: body: expected {expected:?}, it is {body:?}"));
    }
}
