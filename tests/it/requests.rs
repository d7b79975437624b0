//! What a record looks like on the wire.

use std::collections::BTreeMap;

use hms_sync::adapter::http::Options;
use hms_sync::adapter::rest::{Delete, RestAdapter};
use hms_sync::adapter::{Adapter, Parcel, Request};
use hms_sync::event::Op;
use hms_sync::rules::outcome::Outcome;
use hms_sync::rules::template::Template;

use crate::support::receiver::Receiver;
use crate::support::rest::{OneLane, cleared, options, spec};

#[test]
fn a_record_becomes_one_request_with_its_keys_and_the_same_bytes_each_time() {
    let target = Receiver::start();
    let mut spec = spec(&target.url("/slots/{id}/{name}?n={name}"), options(&target.ca));
    spec.method = "PUT".into();
    spec.idem_key = Some(Template::parse("{id}").unwrap());
    spec.headers = vec![("X-Office".into(), "OF042".into())];
    let rest = RestAdapter::new(spec).unwrap();
    assert_eq!(rest.fields(), ["id", "name"]);
    assert_eq!(rest.origin(), target.url(""));
    let parcel = cleared(&rest, Op::Insert, 42);
    let request = rest.render(&parcel).unwrap().unwrap();
    assert_eq!(rest.render(&parcel).unwrap().unwrap(), request);
    let delivery = rest.lane().deliver(&parcel);
    assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    assert_eq!(delivery.request_hash, request.hash());
    let journal = target.journal();
    let seen = &journal[0];
    assert_eq!((seen.method.as_str(), seen.body.as_slice()), ("PUT", r#"{"id":42,"name":"Röntgen / 3"}"#.as_bytes()));
    assert_eq!(seen.path, "/slots/42/R%C3%B6ntgen%20%2F%203?n=R%C3%B6ntgen%20%2F%203");
    let fields: BTreeMap<&str, &str> =
        seen.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (name, value) in [
        ("content-type", "application/json"),
        ("idempotency-key", "00000001-42-00000002"),
        ("idem-key", "42"),
        ("sync-op", "insert"),
        ("x-office", "OF042"),
        ("accept-encoding", "identity"),
        ("user-agent", concat!("hms-sync/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(fields.get(name), Some(&value), "{name}");
    }
    assert!(!fields.contains_key("authorization") && !fields.contains_key("transfer-encoding"));
}

#[test]
fn each_method_carries_the_record() {
    let target = Receiver::start();
    for method in ["POST", "PUT", "PATCH"] {
        let mut spec = spec(&target.url("/slots/{id}"), options(&target.ca));
        spec.method = method.into();
        let rest = RestAdapter::new(spec).unwrap();
        assert_eq!(
            rest.lane().deliver(&cleared(&rest, Op::Update, 7)).outcome.word(),
            if method == "POST" { "success" } else { "reject" }
        );
    }
    let methods: Vec<_> = target.journal().into_iter().map(|entry| entry.method).collect();
    assert_eq!(methods, ["POST", "PUT", "PATCH"]);
}

#[test]
fn a_delete_follows_its_rule() {
    let target = Receiver::start();
    let made = |url: &str, delete: Option<Delete>| {
        let mut spec = spec(&target.url(url), options(&target.ca));
        if let Some(delete) = delete {
            spec.delete = delete;
        }
        RestAdapter::new(spec).unwrap()
    };
    let call =
        Delete::Request { method: "POST".into(), url: Some(Template::parse(&target.url("/gone/{id}")).unwrap()) };
    for (number, rest) in
        [made("/slots/{id}", None), made("/slots", None), made("/slots", Some(call))].iter().enumerate()
    {
        let delivery = rest.lane().deliver(&cleared(rest, Op::Delete, number as i64));
        assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    }
    let seen: Vec<_> = target
        .journal()
        .into_iter()
        .map(|entry| {
            let length = entry.header("content-length").map(str::to_owned);
            assert_eq!(entry.header("sync-op"), Some("delete"));
            (entry.method, entry.path, length, !entry.body.is_empty())
        })
        .collect();
    let row = |method: &str, path: &str, length: Option<&str>, body| {
        (method.to_owned(), path.to_owned(), length.map(str::to_owned), body)
    };
    assert_eq!(seen[0], row("DELETE", "/slots/0", None, false));
    assert_eq!((&*seen[1].0, &*seen[1].1, seen[1].3), ("POST", "/slots", true));
    assert_eq!(seen[2], row("POST", "/gone/2", Some("0"), false));
    let skip = made("/slots/{id}", Some(Delete::Skip));
    assert_eq!(skip.render(&cleared(&skip, Op::Delete, 9)), Ok(None));
    assert!(skip.lane().deliver(&cleared(&skip, Op::Delete, 9)).outcome.is_delivered());
    let hold = made("/slots/{id}", Some(Delete::Hold));
    assert_eq!(hold.render(&cleared(&hold, Op::Delete, 9)).unwrap_err().class, "delete-rule");
    assert_eq!(target.journal().len(), 3);
}

#[test]
fn a_record_that_the_template_cannot_hold_is_not_sent() {
    let target = Receiver::start();
    let rest = RestAdapter::new(spec(&target.url("/slots/{missing}"), options(&target.ca))).unwrap();
    let parcel = cleared(&rest, Op::Update, 1);
    assert_eq!(rest.render(&parcel).unwrap_err().class, "template");
    assert_eq!(rest.lane().deliver(&parcel).outcome.word(), "reject");
    let request = Request {
        method: "POST".into(),
        url: target.url(&format!("/{}", "x".repeat(70_000))).into(),
        headers: vec![],
        body: vec![],
    };
    let delivery = rest.lane().deliver(&Parcel::frozen("k".into(), Op::Update, "slots", request));
    assert!(matches!(&delivery.outcome, Outcome::Reject(reason) if reason.class == "url"), "{delivery:?}");
    assert_eq!(target.connections(), 0);
}

#[test]
fn a_specification_that_is_wrong_says_everything_at_once() {
    let target = Receiver::start();
    let mut bad = spec("http://user:pw@host/x", Options { plain: false, ..options(&target.ca) });
    bad.method = "GET".into();
    bad.headers =
        vec![("Authorization".into(), "Bearer x".into()), ("X-A".into(), "a\r\nb".into()), ("X Y".into(), "a".into())];
    bad.delete = Delete::Request { method: "PURGE".into(), url: Some(Template::parse("https://other/x").unwrap()) };
    let wrong = RestAdapter::new(bad).unwrap_err();
    for part in [
        "url: credentials",
        "method: GET",
        "delete: method: PURGE",
        "headers: Authorization",
        "headers: X-A",
        "headers: \"X Y\"",
    ] {
        assert!(wrong.iter().any(|line| line.contains(part)), "{part}: {wrong:?}");
    }
    assert!(!wrong.concat().contains("pw"));
    for url in ["https://{id}/x", "https://h{id}.example/x", "https://h:{id}/", "http://host/x", "ftp://host/x", "/x"] {
        let spec = spec(url, Options { plain: false, ..options(&target.ca) });
        assert!(RestAdapter::new(spec).is_err(), "{url}");
    }
}

#[test]
fn a_long_url_and_long_header_fields_arrive_whole() {
    let target = Receiver::start();
    let long = "x".repeat(40_000);
    let mut spec = spec(&target.url(&format!("/slots/{long}")), options(&target.ca));
    spec.headers = vec![("X-Long".into(), long.clone())];
    let rest = RestAdapter::new(spec).unwrap();
    assert_eq!(rest.lane().deliver(&cleared(&rest, Op::Insert, 1)).outcome, Outcome::Success);
    let seen = &target.journal()[0];
    assert_eq!((seen.path.len(), seen.header("x-long")), (40_007, Some(long.as_str())));
}
