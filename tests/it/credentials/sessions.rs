//! Signing in, and tokens against forged requests: asked for once, shared, renewed by one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::assertions::{office, secret};
use crate::support::doorman::{Doorman, answer, form};
use crate::support::journal::Entry;
use crate::support::office::Office;

const JSON: &str = "application/json";
const PAGE: &str = "<html><form action=\"/login\"></form></html>";

/// Sessions and the tokens that belong to them.
#[derive(Default)]
struct Book {
    sessions: HashMap<String, String>,
    given: u32,
}

impl Book {
    fn begin(&mut self) -> (String, String) {
        self.given += 1;
        let pair = (format!("s{}", self.given), format!("t{}", self.given));
        self.sessions.insert(pair.0.clone(), pair.1.clone());
        pair
    }
}

fn cookie<'e>(entry: &'e Entry, name: &str) -> Option<&'e str> {
    let cookies = entry.header("cookie")?.split("; ").filter_map(|pair| pair.split_once('='));
    cookies.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// How a server says that it does not know who asks.
#[derive(Clone, Copy)]
enum Stranger {
    Page,
    Refusal,
    Away,
}

fn domino(stranger: Stranger) -> (Doorman, Arc<Mutex<Book>>) {
    let book: Arc<Mutex<Book>> = Arc::default();
    let shared = book.clone();
    let target = Doorman::start(move |entry| {
        let mut book = shared.lock().unwrap();
        if entry.path == "/names.nsf?Login" {
            let form = form(&entry.body);
            let good = form["Username"] == "svc" && form["Password"] == "c4nary & open";
            // A page sets cookies too, but not the one of a session.
            if !good {
                return answer(200, "Set-Cookie: lang=en\r\n", "text/html", PAGE);
            }
            let (session, _) = book.begin();
            let set = format!(
                "Set-Cookie: lang=en\r\nSet-Cookie: DomAuthSessId={session}; path=/; HttpOnly\r\nLocation: /\r\n"
            );
            return answer(302, &set, "text/html", "");
        }
        let known = cookie(entry, "DomAuthSessId").is_some_and(|session| book.sessions.contains_key(session));
        match (known, stranger) {
            (true, _) => answer(201, "", JSON, "{}"),
            (false, Stranger::Page) => answer(200, "", "text/html; charset=utf-8", PAGE),
            (false, Stranger::Refusal) => answer(401, "", "text/html", PAGE),
            (false, Stranger::Away) => answer(302, "Location: /names.nsf?Login\r\n", "text/html", ""),
        }
    });
    (target, book)
}

fn signing_in(target: &Doorman) -> String {
    format!(
        "{{type: session, login: {{url: \"{}\", form: {{Username: svc, Password: {{file: pw}}}}}}, cookie: DomAuthSessId, tls: {{ca: $CA}}}}",
        target.url("/names.nsf?Login")
    )
}

#[test]
fn a_session_is_begun_once_and_again_when_the_target_shows_its_sign_in_page() {
    for stranger in [Stranger::Page, Stranger::Refusal, Stranger::Away] {
        let (target, book) = domino(stranger);
        let office = office(&target, &signing_in(&target), "");
        secret(&office, "pw", "c4nary & open");
        let agent = office.agent();
        office.wait_settled("legacy");
        assert_eq!(book.lock().unwrap().given, 1);
        book.lock().unwrap().sessions.clear();
        let many = (0..100).map(|at| format!("({}, 'x', 1)", 1000 + at)).collect::<Vec<_>>().join(",");
        office.sql(&format!("INSERT INTO visits VALUES {many}"));
        office.wait_settled("legacy");
        assert_eq!(book.lock().unwrap().given, 2);
        let cookies =
            target.journal().iter().filter_map(|entry| entry.header("cookie").map(str::to_owned)).collect::<Vec<_>>();
        assert!(
            cookies.iter().all(|value| value == "lang=en; DomAuthSessId=s1" || value == "lang=en; DomAuthSessId=s2"),
            "{cookies:?}"
        );
        assert!(!agent.said().contains("c4nary"));
        agent.stop();
        assert_eq!(in_the_audit(&office), ["used by legacy", "renewed", "renewed"]);
    }
}

/// What the audit says of the credential.
fn in_the_audit(office: &Office) -> Vec<String> {
    let acts = office.run(&["--json", "audit", "show", "--acts", "--limit", "0"]).stdout;
    let acts = acts.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let ours = acts.filter(|act| act["verb"] == "credential" && act["subject"] == "it");
    ours.map(|act| act["reason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_sign_in_that_is_refused_halts_and_says_what_to_look_at() {
    let (target, _) = domino(Stranger::Page);
    let office = office(&target, &signing_in(&target), "");
    secret(&office, "pw", "c4nary wrong");
    office.once();
    let reason = office.mode("legacy").1.unwrap().text;
    assert!(reason.contains("credential it") && reason.contains("without the cookie of a session"), "{reason}");
    assert!(in_the_audit(&office).contains(&"not renewed".to_owned()));
    assert!(!reason.contains("c4nary"));
    assert_eq!(target.count("/visits"), 0);
    let check = office.run(&["check", "--online"]);
    assert!(check.code != Some(0) && check.stdout.contains("without the cookie of a session"), "{check:?}");
}

#[test]
fn cookies_of_one_origin_are_shown_to_no_other() {
    let (target, _) = domino(Stranger::Page);
    let other = Doorman::of(target.ca.clone(), |_| answer(201, "", JSON, "{}"));
    let office = office(&other, &signing_in(&target), "");
    secret(&office, "pw", "c4nary & open");
    office.once();
    let reason = office.mode("legacy").1.unwrap().text;
    assert!(reason.contains("the request goes elsewhere"), "{reason}");
    assert!(other.journal().is_empty());
}

/// A gateway: Basic, and a token that belongs to a session of its own.
fn gateway() -> (Doorman, Arc<Mutex<Book>>) {
    let book: Arc<Mutex<Book>> = Arc::default();
    let shared = book.clone();
    let target = Doorman::start(move |entry| {
        let mut book = shared.lock().unwrap();
        if entry.header("authorization") != Some("Basic c2FwOmM0bmFyeQ==") {
            return answer(401, "", JSON, "{}");
        }
        if entry.header("x-csrf-token") == Some("Fetch") {
            let (session, token) = book.begin();
            let more = format!("X-CSRF-Token: {token}\r\nSet-Cookie: SAP_SESSIONID={session}; path=/; secure\r\n");
            return answer(200, &more, JSON, "{}");
        }
        let token = cookie(entry, "SAP_SESSIONID").and_then(|session| book.sessions.get(session));
        match token.is_some() && entry.header("x-csrf-token") == token.map(String::as_str) {
            true => answer(201, "", JSON, "{}"),
            false => answer(403, "x-csrf-token: Required\r\n", "text/plain", "CSRF token validation failed"),
        }
    });
    (target, book)
}

fn with_token(target: &Doorman) -> String {
    format!(
        "[{{type: basic, username: sap, password: {{file: pw}}}}, {{type: csrf, fetch: {{url: \"{}\"}}, tls: {{ca: $CA}}}}]",
        target.url("/sap/")
    )
}

#[test]
fn many_lanes_share_one_token_and_one_of_them_fetches_the_next() {
    let (target, book) = gateway();
    let office = office(&target, &with_token(&target), "");
    secret(&office, "pw", "c4nary");
    let many = |from: i64| (0..200).map(|at| format!("({}, 'x', 1)", from + at)).collect::<Vec<_>>().join(",");
    office.sql(&format!("INSERT INTO visits VALUES {}", many(1000)));
    let agent = office.agent();
    office.wait_settled("legacy");
    assert_eq!((book.lock().unwrap().given, target.count("/sap/")), (1, 1));
    // The session ends while everybody is at it, and at once again.
    for round in 1..4 {
        book.lock().unwrap().sessions.clear();
        office.sql(&format!("INSERT INTO visits VALUES {}", many(1000 + round * 1000)));
        office.wait_settled("legacy");
        let given = i64::from(book.lock().unwrap().given);
        assert_eq!((given, target.count("/sap/") as i64), (1 + round, 1 + round));
    }
    assert!(
        target.journal().iter().filter(|entry| entry.path == "/visits").any(|entry| entry.connection > 0),
        "several lanes"
    );
    assert!(!agent.said().contains("c4nary"));
    agent.stop();
    assert_eq!(in_the_audit(&office), ["used by legacy", "renewed", "renewed", "renewed", "renewed"]);
}

#[test]
fn a_token_that_cannot_be_had_says_why_and_nothing_is_sent() {
    let (target, _) = gateway();
    let office = office(&target, &with_token(&target), "");
    secret(&office, "pw", "c4nary wrong");
    office.once();
    let reason = office.mode("legacy").1.unwrap().text;
    assert!(reason.contains("fetching the CSRF token: the credentials are not accepted"), "{reason}");
    assert_eq!(target.count("/visits"), 0);
    // The password is put right; the connector goes on.
    secret(&office, "pw", "c4nary");
    assert_eq!(office.once().0, Some(0));
    assert_eq!(target.count("/visits"), 3);
}

#[test]
fn a_sign_in_that_is_answered_by_a_token_has_it_sent_where_it_belongs() {
    for (from, more, shown) in [
        ("bearer", "", "authorization: Bearer t1"),
        ("claims.token", ", header: X-Token", "x-token: t1"),
        ("bearer", ", query: token", "?token=t1"),
        ("bearer", ", body: token", "\"token\":\"t1\"}"),
    ] {
        let target = Doorman::start(move |entry| {
            if entry.path == "/auth" {
                let good = entry.body == br#"{"username":"svc","password":"c4nary \" open"}"#;
                let body =
                    if good { r#"{"bearer":"t1","claims":{"token":"t1"}}"# } else { r#"{"error":{"code":400}}"# };
                return answer(200, "", JSON, body);
            }
            let headers: String = entry.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let all = format!("{}\n{headers}{}", entry.path, String::from_utf8_lossy(&entry.body));
            answer(if all.contains(shown) { 201 } else { 401 }, "", JSON, "{}")
        });
        let credential = format!(
            "{{type: session, login: {{url: \"{}\", json: {{username: svc, password: {{file: pw}}}}}}, token: {{from: {from}{more}}}, lifetime: 1h, tls: {{ca: $CA}}}}",
            target.url("/auth")
        );
        let office = office(&target, &credential, "");
        secret(&office, "pw", "c4nary \" open");
        assert_eq!(office.once().0, Some(0), "{shown}");
        assert_eq!((target.count("/auth"), target.count("/visits")), (1, 3));
        secret(&office, "pw", "c4nary wrong");
        let check = office.run(&["check", "--online"]);
        assert!(check.code != Some(0) && check.stdout.contains("without the token of a session"), "{check:?}");
    }
}
