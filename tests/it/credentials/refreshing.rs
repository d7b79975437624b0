//! Refresh tokens that the server replaces at each use, and tokens that end.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::assertions::{office, secret};
use crate::support::doorman::{Doorman, answer, form};

const JSON: &str = "application/json";

/// What the server knows: the one refresh token that counts, and the access tokens that do.
#[derive(Default)]
struct Book {
    refresh: String,
    access: HashSet<String>,
    given: u32,
}

/// A server that takes each refresh token once. `lasting` = it says that its tokens hold for long.
fn server(lasting: bool) -> (Doorman, Arc<Mutex<Book>>) {
    let book = Arc::new(Mutex::new(Book { refresh: "c4nary-0".into(), ..Book::default() }));
    let shared = book.clone();
    let target = Doorman::start(move |entry| {
        let mut book = shared.lock().unwrap();
        if entry.path != "/token" {
            let shown = entry.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
            let known = shown.is_some_and(|token| book.access.contains(token));
            return answer(if known { 201 } else { 401 }, "", JSON, "{}");
        }
        let form = form(&entry.body);
        assert_eq!((form["grant_type"].as_str(), form["client_id"].as_str()), ("refresh_token", "hms"));
        if form["refresh_token"] != book.refresh {
            return answer(400, "", JSON, r#"{"error":"invalid_grant"}"#);
        }
        book.given += 1;
        let number = book.given;
        book.refresh = format!("c4nary-{number}");
        book.access.insert(format!("access-{number}"));
        let life = if lasting { r#","expires_in":3600"# } else { "" };
        let body = format!(r#"{{"access_token":"access-{number}","refresh_token":"c4nary-{number}"{life}}}"#);
        answer(200, "", JSON, &body)
    });
    (target, book)
}

fn credential(target: &Doorman) -> String {
    format!(
        "{{type: oauth2, grant: refreshToken, tokenUrl: \"{}\", clientId: hms, clientAuth: none, refreshToken: {{file: first}}, tls: {{ca: $CA}}}}",
        target.url("/token")
    )
}

#[test]
fn a_replaced_refresh_token_outlives_a_kill_and_a_check_beside_the_agent() {
    let (target, book) = server(true);
    let office = office(&target, &credential(&target), "");
    secret(&office, "first", "c4nary-0");
    for round in 0..3 {
        let agent = office.agent();
        office.sql(&format!("INSERT INTO visits VALUES ({}, 'x', 1)", 100 + round));
        office.wait_settled("legacy");
        // Another process uses the token meanwhile, and the agent's next use is of what that one got.
        let check = office.run(&["check", "--online"]);
        assert_eq!(check.code, Some(0), "{check:?}");
        book.lock().unwrap().access.clear();
        office.sql(&format!("INSERT INTO visits VALUES ({}, 'x', 1)", 200 + round));
        office.wait_settled("legacy");
        assert!(!agent.said().contains("c4nary"), "{}", agent.said());
        agent.kill();
    }
    assert_eq!(book.lock().unwrap().given, 9);
    let kept = office.folder().join("state/credentials/it.json");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(kept).unwrap().contains("c4nary-9"));
}

#[test]
fn a_refresh_token_that_is_configured_anew_takes_the_place_of_the_kept_one() {
    let (target, book) = server(true);
    let office = office(&target, &credential(&target), "");
    secret(&office, "first", "c4nary-0");
    assert_eq!(office.once().0, Some(0));
    // Access was withdrawn, and somebody has signed in again.
    *book.lock().unwrap() = Book { refresh: "c4nary-anew".into(), ..Book::default() };
    office.sql("INSERT INTO visits VALUES (100, 'x', 1)");
    assert_eq!(office.once().0, Some(75));
    let (_, reason) = office.mode("legacy");
    assert!(reason.unwrap().text.contains("invalid_grant"));
    secret(&office, "first", "c4nary-anew");
    assert_eq!(office.once().0, Some(0));
}

#[test]
fn tokens_that_end_are_renewed_by_one_and_no_delivery_is_lost() {
    let (target, book) = server(false);
    let office = office(&target, &credential(&target), "");
    secret(&office, "first", "c4nary-0");
    let agent = office.agent();
    office.wait_settled("legacy");
    book.lock().unwrap().access.clear();
    let many = (0..200).map(|at| format!("({}, 'x', 1)", 1000 + at)).collect::<Vec<_>>().join(",");
    office.sql(&format!("INSERT INTO visits VALUES {many}"));
    office.wait_settled("legacy");
    assert_eq!((book.lock().unwrap().given, target.count("/token")), (2, 2));
    agent.stop();
}
