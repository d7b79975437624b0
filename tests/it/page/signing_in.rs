//! Who gets in by the page, and what its session may do.

use serde_json::json;

use super::{address, browser, office};
use crate::support::loopback::{Answer, Way};
use crate::support::office::{Office, THREE};
use crate::support::receiver::Receiver;

/// A port, without the token.
struct Door {
    way: Way,
    origin: String,
}

/// What a code was exchanged for.
struct Session {
    cookie: String,
    key: String,
}

impl Door {
    fn new(agent: &crate::support::office::Agent) -> Door {
        let way = Way::tcp(agent).with_token("");
        Door { origin: format!("http://{}", way.address()), way }
    }

    fn sign_in(&self, code: &str) -> Answer {
        let same = [("Content-Type", "application/json"), ("Origin", &self.origin), ("Sec-Fetch-Site", "same-origin")];
        self.way.call("POST", "/session", &same, json!({ "code": code }).to_string().as_bytes())
    }

    fn session(&self, code: &str) -> Session {
        let answer = self.sign_in(code);
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        let key = answer.json()["key"].as_str().unwrap().to_owned();
        Session { cookie: cookie.split(';').next().unwrap().to_owned(), key }
    }

    /// A call as the page makes it, but for what `instead` says (`-`: left out).
    fn call(&self, method: &str, target: &str, by: &Session, instead: &[(&str, &str)]) -> Answer {
        let usual = [
            ("Cookie", by.cookie.as_str()),
            ("X-HMS-Page", &by.key),
            ("Content-Type", "application/json"),
            ("Origin", &self.origin),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let other = |name: &str| instead.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let fields = usual.map(|(name, value)| (name, other(name).unwrap_or(value)));
        let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
        self.way.call(method, target, &fields, body)
    }
}

fn code(office: &Office) -> String {
    address(office).split("#code=").nth(1).unwrap().to_owned()
}

#[test]
fn a_code_works_once_and_guessing_ends_soon_and_none_of_it_is_logged() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let door = Door::new(&agent);
    let code = code(&office);
    let session = door.session(&code);
    assert_eq!(door.call("GET", "/status", &session, &[]).status, 200);
    let again = door.sign_in(&code);
    assert_eq!((again.status, again.detail().contains("used already")), (401, true), "{again:?}");
    let guesses: Vec<u16> = (0..20).map(|n| door.sign_in(&format!("{n:032x}")).status).collect();
    assert!(guesses.contains(&429) && guesses.iter().all(|status| [401, 429].contains(status)), "{guesses:?}");
    let other = door.session(&super::signing_in::code(&office));
    assert_eq!(door.call("GET", "/status", &other, &[]).status, 200, "the right one is not locked out");
    for bad in [json!({}), json!({"code": 7}), json!({"code": code, "more": 1})] {
        let fields = [("Content-Type", "application/json")];
        assert_eq!(door.way.call("POST", "/session", &fields, bad.to_string().as_bytes()).status, 422, "{bad}");
    }
    let text = json!({ "code": code }).to_string();
    assert_eq!(door.way.call("POST", "/session", &[("Content-Type", "text/plain")], text.as_bytes()).status, 415);
    let said = agent.said();
    for secret in [&code, &session.cookie, &session.key] {
        assert!(!said.contains(secret.as_str()), "{said}");
    }
    assert!(said.contains("has signed in to the status page"), "{said}");
    agent.stop();
}

#[test]
fn a_session_is_worth_nothing_without_its_key_from_another_page_or_in_another_form() {
    let target = Receiver::start();
    let office = office(&target, THREE);
    let agent = office.agent();
    let door = Door::new(&agent);
    let session = door.session(&code(&office));
    let pause = |instead: &[(&str, &str)]| door.call("POST", "/connectors/legacy/pause", &session, instead).status;
    assert_eq!(pause(&[("X-HMS-Page", "-")]), 401, "the cookie alone, as another port of this machine would have it");
    assert_eq!(pause(&[("X-HMS-Page", "0")]), 401);
    assert_eq!(pause(&[("Cookie", "-")]), 401, "the key alone");
    assert_eq!(pause(&[("Cookie", "hms-sync-1=0")]), 401);
    assert_eq!(pause(&[("Content-Type", "text/plain")]), 403, "as a form sends it");
    assert_eq!(pause(&[("Content-Type", "-")]), 403);
    for site in ["cross-site", "same-site", "none"] {
        assert_eq!(pause(&[("Sec-Fetch-Site", site)]), 403, "{site}");
    }
    assert_eq!(pause(&[("Origin", "http://localhost:1")]), 403);
    assert_eq!(pause(&[("Origin", "-"), ("Sec-Fetch-Site", "-")]), 403, "it does not say where it comes from");
    let read = |instead: &[(&str, &str)]| door.call("GET", "/status", &session, instead).status;
    assert_eq!(read(&[("Sec-Fetch-Site", "same-site")]), 403, "another port of this machine");
    assert_eq!(read(&[("X-HMS-Page", "-")]), 401);
    assert_eq!(door.call("GET", "/connectors/legacy", &session, &[]).json()["mode"], "running", "nothing was done");
    assert_eq!(pause(&[]), 200);
    assert_eq!(door.call("GET", "/connectors/legacy", &session, &[]).json()["mode"], "paused");
    let codes = door.call("POST", "/session/codes", &session, &[]);
    assert_eq!((codes.status, codes.detail().contains("status --open")), (403, true), "it cannot prolong itself");
    let who = door.call("GET", "/session", &session, &[]).json();
    assert!(who["way"] == "page" && who["name"].as_str().unwrap().ends_with(" (page)"), "{who}");
    assert_eq!(door.call("DELETE", "/session", &session, &[("Sec-Fetch-Site", "cross-site")]).status, 403);
    assert_eq!(door.call("DELETE", "/session", &session, &[]).status, 200);
    assert_eq!(read(&[]), 401, "signed out");
    agent.stop();
}

#[test]
fn the_page_itself_is_for_everybody_and_holds_nothing_and_may_do_nothing_else() {
    let target = Receiver::start();
    let office = office(&target, THREE);
    let agent = office.agent();
    let door = Door::new(&agent);
    let page = door.way.get("/");
    assert_eq!(page.status, 200);
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; script-src 'sha256-",
        "frame-ancestors 'none'",
        "connect-src 'self'",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
    ] {
        assert!(page.head.contains(header), "{header}: {}", page.head);
    }
    assert!(!page.head.contains("unsafe"), "{}", page.head);
    assert!(!String::from_utf8(page.body).unwrap().contains("legacy"));
    assert_eq!(door.way.get("/status").status, 401);
    let port = door.way.address().port();
    assert_eq!(door.way.call("GET", "/", &[("Host", &format!("evil.example:{port}"))], b"").status, 421);
    assert_eq!(door.way.post("/", "{}").status, 405);
    agent.stop();
}

#[test]
fn a_socket_that_was_forwarded_to_a_browser_serves_the_page_and_no_page_of_anybody_else() {
    let target = Receiver::start();
    let office = office(&target, THREE);
    let agent = office.agent();
    let way = Way::socket(&office);
    let host = ("Host", "localhost:7003");
    assert_eq!(way.call("GET", "/", &[host], b"").status, 200);
    let who = way.call("GET", "/session", &[host], b"").json();
    assert_eq!(who["way"], "socket", "no sign-in: its permissions have decided");
    let json = ("Content-Type", "application/json");
    let pause = |fields: &[(&str, &str)]| way.call("POST", "/connectors/legacy/pause", fields, b"{}").status;
    assert_eq!(pause(&[host, json, ("Origin", "http://evil.example")]), 403);
    assert_eq!(pause(&[host, json, ("Origin", "http://localhost:7004")]), 403);
    assert_eq!(pause(&[host, json, ("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(pause(&[("Host", "evil.example:7003"), json, ("Origin", "http://evil.example:7003")]), 421, "rebinding");
    assert_eq!(way.call("GET", "/status", &[("Host", "evil.example:7003")], b"").status, 421);
    assert_eq!(pause(&[host, json, ("Origin", "http://localhost:7003"), ("Sec-Fetch-Site", "same-origin")]), 200);
    agent.stop();
}

#[test]
fn who_has_no_port_or_no_agent_is_told_how_to_get_the_page() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let opened = office.run(&["status", "--open"]);
    assert_eq!(opened.code, Some(69), "{opened:?}");
    let agent = office.agent();
    let opened = office.run(&["status", "--open"]);
    assert_eq!((opened.code, opened.stdout.as_str()), (Some(78), ""), "{opened:?}");
    for word in ["api: {listen: \"127.0.0.1:7003\"}", "ssh -L 7003:", ".sock HOST"] {
        assert!(opened.stderr.contains(word), "{word}: {}", opened.stderr);
    }
    agent.stop();
}

#[test]
fn a_browser_signs_in_by_the_address_and_out_by_a_button() {
    let target = Receiver::start();
    let office = office(&target, THREE);
    let agent = office.agent();
    let address = address(&office);
    let mut browser = browser(&office);
    assert_eq!(browser.js("location.hash + document.cookie"), "", "neither code nor cookie is there for a script");
    browser.says("#name", "(page)");
    browser.js("document.querySelector('#find-type').value = 'visits'");
    browser.js("document.querySelector('#find-key').value = '3'");
    browser.js("document.querySelector('#search').requestSubmit()");
    browser.says("#record-title", "visits 3");
    browser.click("#sign-out");
    browser.says("#signin-why", "You have signed out");
    assert_eq!(browser.js("document.documentElement.textContent.includes('visits 3')"), false, "nor hidden");
    browser.wait("nothing is seen any more", "document.querySelector('#board').hidden");
    browser.open(&address);
    browser.says("#verdict-title", "All is well");
    browser.click("#sign-out");
    browser.says("#signin-why", "You have signed out");
    browser.open(&address);
    browser.says("#signin-why", "This code was used already");
    agent.stop();
}
