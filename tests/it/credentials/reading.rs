//! What reads signs in, fetches tokens and signs like what sends: once, and again when the other side has forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::assertions::secret;
use super::signing::aws_signature;
use crate::support::doorman::{Doorman, answer, form};
use crate::support::office::Office;

const JSON: &str = "application/json";
const VISITS: &str = r#"{"items": [{"id": 1, "name": "Ann", "minutes": 5}, {"id": 2, "name": "Bob", "minutes": 7}]}"#;

/// An office that reads visits with this credential.
fn office(target: &Doorman, credential: &str) -> Office {
    let office = Office::visits();
    let ca = target.ca.file().display().to_string();
    office.add_settings(&format!("credentials:\n  it: {}", credential.replace("$CA", &ca)));
    let url = target.url("/visits");
    office.connector(
        "there",
        &format!(
            "strategy: pull\ntarget: {{url: \"{url}\", credentialsId: it, tls: {{ca: \"{ca}\"}}}}\n\
             pull: {{table: visits, items: \"json:/items\", key: /id, query: {{b: \"2\", a: \"1\"}}}}\n"
        ),
    );
    office
}

fn names(office: &Office) -> Vec<String> {
    let app = office.app();
    let mut names = app.prepare("SELECT name FROM visits ORDER BY id").unwrap();
    names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Reads once, and again after the other side has forgotten who asks.
fn reads_twice(office: &Office, given: &Mutex<HashMap<String, String>>) {
    let ended = office.run(&["run", "--once"]);
    assert_eq!((ended.code, names(office)), (Some(0), vec!["Ann".to_owned(), "Bob".into()]), "{ended:#?}");
    assert_eq!(given.lock().unwrap().len(), 1);
    let agent = office.agent();
    crate::support::office::wait("it has signed in", || given.lock().unwrap().len() == 2);
    given.lock().unwrap().values_mut().for_each(|token| token.push_str(" forgotten"));
    office.sql("DELETE FROM visits WHERE id = 2");
    office.run(&["sync", "there"]);
    crate::support::office::wait("it signs in again", || given.lock().unwrap().len() == 3);
    assert!(!agent.said().contains("c4nary"));
    agent.stop();
    let reason = office.mode("there").1;
    assert_eq!(reason, None);
    let ended = office.run(&["run", "--once"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

fn cookie(entry: &crate::support::journal::Entry, name: &str) -> Option<String> {
    let pairs = entry.header("cookie")?.split("; ").filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

#[test]
fn a_session_is_begun_for_reading_and_again_when_the_sign_in_page_comes() {
    let given: Arc<Mutex<HashMap<String, String>>> = Arc::default();
    let book = given.clone();
    let target = Doorman::start(move |entry| {
        let mut book = book.lock().unwrap();
        if entry.path == "/names.nsf?Login" {
            assert_eq!(form(&entry.body)["Password"], "c4nary & open");
            let session = format!("s{}", book.len() + 1);
            let set = format!("Set-Cookie: DomAuthSessId={session}; path=/; HttpOnly\r\nLocation: /\r\n");
            book.insert(session.clone(), session);
            return answer(302, &set, "text/html", "");
        }
        let known = cookie(entry, "DomAuthSessId").filter(|session| book.get(session) == Some(session));
        match known {
            Some(_) => answer(200, "", JSON, VISITS),
            None => answer(200, "", "text/html; charset=utf-8", "<html><form action=\"/login\"></form></html>"),
        }
    });
    let login = target.url("/names.nsf?Login");
    let credential = format!(
        "{{type: session, login: {{url: \"{login}\", form: {{Username: svc, Password: {{file: pw}}}}}}, cookie: DomAuthSessId, tls: {{ca: $CA}}}}"
    );
    let office = office(&target, &credential);
    secret(&office, "pw", "c4nary & open");
    reads_twice(&office, &given);
}

#[test]
fn a_token_against_forged_requests_is_fetched_for_reading_too() {
    let given: Arc<Mutex<HashMap<String, String>>> = Arc::default();
    let book = given.clone();
    let target = Doorman::start(move |entry| {
        let mut book = book.lock().unwrap();
        if entry.header("authorization") != Some("Basic c2FwOmM0bmFyeQ==") {
            return answer(401, "", JSON, "{}");
        }
        if entry.header("x-csrf-token") == Some("Fetch") {
            let (session, token) = (format!("s{}", book.len() + 1), format!("t{}", book.len() + 1));
            let more = format!("X-CSRF-Token: {token}\r\nSet-Cookie: SAP_SESSIONID={session}; path=/; secure\r\n");
            book.insert(session, token);
            return answer(200, &more, JSON, "{}");
        }
        let token = cookie(entry, "SAP_SESSIONID").and_then(|session| book.get(&session).cloned());
        match token.is_some() && entry.header("x-csrf-token") == token.as_deref() {
            true => answer(200, "", JSON, VISITS),
            false => answer(403, "x-csrf-token: Required\r\n", "text/plain", "CSRF token validation failed"),
        }
    });
    let credential = format!(
        "[{{type: basic, username: sap, password: {{file: pw}}}}, {{type: csrf, fetch: {{url: \"{}\"}}, tls: {{ca: $CA}}}}]",
        target.url("/sap/")
    );
    let office = office(&target, &credential);
    secret(&office, "pw", "c4nary");
    reads_twice(&office, &given);
}

#[test]
fn what_reads_is_signed_as_aws_checks_it() {
    let target = Doorman::start(move |entry| {
        let expected = aws_signature(entry, "c4nary/secret+key");
        let shown = entry.header("authorization").and_then(|value| value.split("Signature=").nth(1));
        match expected.is_some() && shown == expected.as_deref() {
            true => answer(200, "", JSON, VISITS),
            false => answer(403, "", JSON, "{}"),
        }
    });
    let office = office(
        &target,
        "{type: sigV4, accessKeyId: AKIDEXAMPLE, secretAccessKey: {file: key}, region: us-gov-west-1, service: execute-api}",
    );
    secret(&office, "key", "c4nary/secret+key");
    let ended = office.run(&["run", "--once"]);
    assert_eq!((ended.code, names(&office).len()), (Some(0), 2), "{ended:#?}");
    // A wrong key is told, and nothing is read.
    secret(&office, "key", "c4nary wrong");
    let ended = office.run(&["run", "--once"]);
    assert_eq!(ended.code, Some(75), "{ended:#?}");
    assert!(!ended.stdout.contains("c4nary") && !ended.stderr.contains("c4nary"), "{ended:#?}");
}
