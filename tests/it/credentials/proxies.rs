//! SOCKS proxies, for deliveries and for tokens.

use std::sync::Arc;

use hms_sync::adapter::http::{Login, Options, Proxy};
use hms_sync::event::Op;
use hms_sync::rules::outcome::Outcome;

use super::assertions::{office, secret};
use crate::support::ca::Ca;
use crate::support::doorman::{Doorman, answer};
use crate::support::proxy::ConnectProxy;
use crate::support::receiver::{Door, Receiver};
use crate::support::rest::{OneLane as _, adapter, cleared, options};
use crate::support::socks::SocksProxy;

fn through(proxy: Proxy, ca: &Ca) -> Options {
    Options { proxy: Some(proxy), ..options(ca) }
}

fn once(url: &str, http: Options) -> Outcome {
    let rest = adapter(url, http);
    rest.lane().deliver(&cleared(&rest, Op::Insert, 1)).outcome
}

#[test]
fn a_socks_proxy_gets_the_address_or_the_name_as_it_was_asked_for() {
    let target = Receiver::start();
    let port = target.address().port();
    let url = format!("https://localhost:{port}/");
    let proxy = SocksProxy::start(None, Some(target.address()));
    for scheme in ["socks5", "socks5h"] {
        let parsed = Proxy::parse(&proxy.url(scheme), None).unwrap();
        assert_eq!(once(&url, through(parsed, &target.ca)), Outcome::Success, "{scheme}");
    }
    let asked = proxy.asked();
    assert!(asked[0].starts_with("address 127.0.0.1:") || asked[0].starts_with("address ::1"), "{asked:?}");
    assert_eq!(asked[1], format!("name localhost:{port}"));
}

#[test]
fn a_name_that_only_the_proxy_knows_is_reached() {
    let target = Receiver::start_with(Arc::new(Ca::new()), Door::Plain, "127.0.0.1:0");
    let proxy = SocksProxy::start(None, Some(target.address()));
    let parsed = Proxy::parse(&proxy.url("socks5h"), None).unwrap();
    assert_eq!(once("http://only-the-proxy-knows.test/x", through(parsed, &target.ca)), Outcome::Success);
    assert_eq!(proxy.asked(), ["name only-the-proxy-knows.test:80"]);
    let parsed = Proxy::parse(&proxy.url("socks5"), None).unwrap();
    let outcome = once("http://only-the-proxy-knows.invalid/x", through(parsed, &target.ca));
    assert!(matches!(&outcome, Outcome::Retry { reason, .. } if reason.class == "dns"), "{outcome:?}");
    // An address that must never be connected to is not asked for either.
    let parsed = Proxy::parse(&proxy.url("socks5h"), None).unwrap();
    let outcome = once("http://169.254.169.254/", through(parsed, &target.ca));
    assert!(matches!(&outcome, Outcome::Halt(reason) if reason.class == "address"), "{outcome:?}");
    assert_eq!(proxy.asked().len(), 1);
}

#[test]
fn a_socks_proxy_that_refuses_halts_and_one_that_cannot_connect_is_retried() {
    let target = Receiver::start();
    let folder = target.ca.folder();
    let proxy = SocksProxy::start(Some(("clerk", "open sesame")), None);
    let login =
        |password: &str| Some(Login { user: "clerk".into(), password: crate::support::rest::secret(folder, password) });
    let with = |login| through(Proxy::parse(&proxy.url("socks5h"), login).unwrap(), &target.ca);
    assert_eq!(once(&target.url("/"), with(login("open sesame"))), Outcome::Success);
    for (login, why) in [(login("c4nary"), "refuses our user name"), (None, "wants a user name")] {
        let Outcome::Halt(reason) = once(&target.url("/"), with(login)) else { panic!("no halt") };
        assert!(reason.text.contains(why) && !reason.text.contains("c4nary"), "{reason}");
    }
    proxy.reply(2);
    assert!(matches!(once(&target.url("/"), with(login("open sesame"))), Outcome::Halt(_)));
    for code in [1, 3, 4, 5, 6, 99] {
        proxy.reply(code);
        let outcome = once(&target.url("/"), with(login("open sesame")));
        assert!(matches!(outcome, Outcome::Retry { transport: true, .. }), "{code}: {outcome:?}");
    }
    let wrong = ConnectProxy::start();
    wrong.answer(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let outcome = once(
        &target.url("/"),
        through(Proxy::parse(&wrong.url().replace("http", "socks5"), None).unwrap(), &target.ca),
    );
    assert!(!matches!(outcome, Outcome::Success), "{outcome:?}");
    assert_eq!(target.journal().len(), 1);
}

#[test]
fn tokens_and_deliveries_go_through_a_proxy_that_knows_us() {
    let target = Doorman::start(|entry| match entry.path.as_str() {
        "/token" => answer(200, "", "application/json", r#"{"access_token":"good"}"#),
        _ => answer(201, "", "application/json", "{}"),
    });
    let proxy = SocksProxy::start(Some(("clerk", "c4nary")), None);
    let by = format!("{{url: \"{}\", credentialsId: through}}", proxy.url("socks5h"));
    let credential = format!(
        "{{type: oauth2, tokenUrl: \"{}\", clientId: hms, clientSecret: {{file: pw}}, proxy: {by}, tls: {{ca: $CA}}}}\n  through: {{type: basic, username: clerk, password: {{file: pw}}}}",
        target.url("/token")
    );
    let office = office(&target, &credential, "");
    let path = office.config().join("connectors/legacy.yaml");
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("credentialsId: it", &format!("credentialsId: it, proxy: {by}"));
    std::fs::write(&path, text).unwrap();
    secret(&office, "pw", "c4nary");
    assert_eq!(office.once().0, Some(0));
    assert!(proxy.asked().len() >= 2, "{:?}", proxy.asked());
    assert_eq!((target.count("/token"), target.count("/visits")), (1, 3));
}
