//! Every row of the answers table, heard by a lane of the REST adapter, and what a request looks like.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hms_sync::adapter::auth::{Credential, Scheme};
use hms_sync::adapter::http::{Client, Options};
use hms_sync::adapter::oauth::{OAuth2, OAuth2Spec};
use hms_sync::adapter::rest::{Delete, RestAdapter, RestSpec};
use hms_sync::adapter::secret::{SecretRef, SecretSource};
use hms_sync::adapter::{Adapter, Delivery, Parcel, Request};
use hms_sync::clock::Timestamp;
use hms_sync::event::{Event, EventId, Op, Record, Value};
use hms_sync::rules::governance::Gate;
use hms_sync::rules::mapping::Mapping;
use hms_sync::rules::outcome::Outcome;
use hms_sync::rules::template::Template;

use crate::support::journal::{Expected, judge};
use crate::support::receiver::Receiver;
use crate::support::scenario::{End, Mix, Scenario, json};
use crate::transport::{adapter, options, parcel};

const LIMIT: Duration = Duration::from_secs(5);

/// One record of the office.
fn event(op: Op, id: i64) -> Event {
    let image: Record = [("id", Value::Integer(id)), ("name", "Röntgen / 3".into())].into_iter().collect();
    Event {
        id: EventId { epoch: 1, seq: id, nonce: 2 },
        log: "office".into(),
        kind: "slots".into(),
        op,
        key: [("id", Value::Integer(id))].into_iter().collect(),
        old_key: None,
        before: (op == Op::Delete).then(|| image.clone()),
        after: (op != Op::Delete).then_some(image),
        changed: Vec::new(),
        at: Timestamp(0),
        origin: None,
        dest: None,
        lane: id as u64,
        old_lane: None,
        synthetic: false,
    }
}

fn cleared(adapter: &RestAdapter, op: Op, id: i64) -> Parcel {
    let event = event(op, id);
    let record = Gate::open().clear(&event, &Mapping::whole(), adapter.fields()).unwrap();
    Parcel::new(event.id.to_string(), op, &event.kind, record)
}

fn spec(url: &str, http: Options) -> RestSpec {
    let url = Template::parse(url).unwrap();
    RestSpec {
        delete: Delete::default_for(&url),
        url,
        method: "POST".into(),
        headers: Vec::new(),
        idem_key: None,
        retry_on: Vec::new(),
        http,
        credential: None,
    }
}

fn meets(target: &Receiver, scenario: Scenario) -> Delivery {
    let url = target.url("/slots");
    target.next(scenario);
    adapter(&url, Options { timeout: LIMIT, ..options(&target.ca) }).lane().deliver(&parcel(&url, "k", b"{}"))
}

#[test]
fn answers_that_say_yes_are_delivered() {
    let target = Receiver::start();
    for name in ["ok", "status_200", "status_201", "status_204", "chunked", "http10", "no_length", "early_hints"] {
        let delivery = meets(&target, Scenario::named(name));
        assert_eq!(delivery.outcome, Outcome::Success, "{name}: {delivery:?}");
        assert!(delivery.answer_hash.is_some());
    }
    let accepted = meets(&target, Scenario::named("status_202"));
    assert!(
        matches!(&accepted.outcome, Outcome::SuccessWithRemarks(reason) if reason.class == "accepted"),
        "{accepted:?}"
    );
}

#[test]
fn answers_that_say_nothing_are_unknown_but_no_transport_failure() {
    let target = Receiver::start();
    for (name, class) in [
        ("html", "html"),
        ("empty_json", "not-json"),
        ("bad_json", "not-json"),
        ("deep_json", "not-json"),
        ("error_inside", "error-inside"),
        ("bad_chunk", "bad-answer"),
        ("gzip_bomb", "content-encoding"),
        ("huge_json", "not-json"),
        ("many_headers", "bad-answer"),
        ("big_header", "bad-answer"),
        ("two_lengths", "bad-answer"),
        ("same_length_twice", "bad-answer"),
        ("te_cl", "bad-answer"),
        ("bad_status_line", "bad-answer"),
        ("garbage", "bad-answer"),
    ] {
        let delivery = meets(&target, Scenario::named(name));
        let Outcome::Unknown { reason, transport: false } = &delivery.outcome else { panic!("{name}: {delivery:?}") };
        assert_eq!(reason.class, class, "{name}: {reason}");
        assert!(delivery.bytes.1 <= 64 * 1024, "{name}");
    }
}

#[test]
fn an_answer_of_ten_gigabytes_is_left_after_64_kib_and_counts_by_its_status() {
    let target = Receiver::start();
    let delivery = meets(&target, Scenario::named("huge_body"));
    assert!(
        matches!(&delivery.outcome, Outcome::SuccessWithRemarks(reason) if reason.class == "long-answer"),
        "{delivery:?}"
    );
    assert_eq!(delivery.bytes, (2, 64 * 1024));
}

#[test]
fn a_redirect_halts_and_the_other_host_hears_nothing() {
    let target = Receiver::start();
    let evil = Receiver::start();
    for status in [301, 302, 303, 307, 308] {
        let to = format!("Location: {}?patient=4711\r\n", evil.url("/collect"));
        let delivery = meets(&target, Scenario::status(status, &to));
        let Outcome::Halt(reason) = &delivery.outcome else { panic!("{delivery:?}") };
        assert!(reason.text.contains(&evil.url("")) && !reason.text.contains("4711"), "{reason}");
    }
    assert_eq!((evil.connections(), evil.journal().len()), (0, 0));
}

#[test]
fn refusals_have_the_outcome_of_the_table() {
    let target = Receiver::start();
    for (status, word) in [
        (400, "reject"),
        (401, "reauth"),
        (403, "halt"),
        (404, "halt"),
        (405, "halt"),
        (406, "halt"),
        (407, "halt"),
        (408, "retry"),
        (409, "conflict"),
        (410, "halt"),
        (412, "conflict"),
        (413, "reject"),
        (415, "halt"),
        (422, "reject"),
        (425, "retry"),
        (426, "halt"),
        (429, "retry"),
        (431, "halt"),
        (451, "halt"),
        (500, "retry"),
        (501, "halt"),
        (502, "retry"),
        (503, "retry"),
        (504, "retry"),
        (505, "halt"),
        (507, "retry"),
        (511, "halt"),
        (520, "retry"),
        (599, "retry"),
    ] {
        let delivery = meets(&target, Scenario::status(status, ""));
        assert_eq!(delivery.outcome.word(), word, "{status}: {delivery:?}");
        assert_eq!(delivery.status, Some(status));
    }
    let compressed = meets(&target, Scenario::named("gzip_refusal"));
    assert_eq!((compressed.outcome.word(), compressed.bytes.1), ("reject", 0), "{compressed:?}");
}

#[test]
fn a_refusal_whose_explanation_breaks_off_still_stands() {
    let target = Receiver::start();
    let torn = Scenario::answer("torn", false, "HTTP/1.1 422 X\r\nContent-Length: 500\r\n\r\n{\"why", End::Close);
    assert_eq!(meets(&target, torn).outcome.word(), "reject");
}

#[test]
fn retry_after_reaches_the_outcome() {
    let target = Receiver::start();
    for (more, expected) in [
        ("Retry-After: 120\r\n", Some(120)),
        ("Retry-After: 9999999\r\n", Some(86_400)),
        ("Retry-After: soon\r\n", None),
        ("Date: Fri, 05 Mar 2027 18:05:00 GMT\r\nRetry-After: Fri, 05 Mar 2027 18:06:30 GMT\r\n", Some(90)),
    ] {
        for status in [429, 503] {
            let delivery = meets(&target, Scenario::status(status, more));
            let Outcome::Retry { after, transport: false, .. } = delivery.outcome else { panic!("{delivery:?}") };
            assert_eq!(after.map(|wait| wait.as_secs()), expected, "{more}");
        }
    }
}

#[test]
fn a_key_in_progress_is_retried_and_a_known_key_with_other_bytes_is_refused() {
    let target = Receiver::start();
    let busy = json(409, "", r#"{"title":"A request is outstanding for this Idempotency-Key"}"#);
    assert_eq!(meets(&target, Scenario::answer("busy", false, busy, End::Keep)).outcome.word(), "retry");
    let url = target.url("/slots");
    let adapter = adapter(&url, options(&target.ca));
    assert_eq!(adapter.lane().deliver(&parcel(&url, "same", b"{}")).outcome, Outcome::Success);
    assert_eq!(adapter.lane().deliver(&parcel(&url, "same", b"{}")).outcome, Outcome::Success);
    assert_eq!(adapter.lane().deliver(&parcel(&url, "same", b"[]")).outcome.word(), "reject");
}

#[test]
fn a_421_is_tried_once_more_on_a_new_connection() {
    let target = Receiver::start();
    let url = target.url("/slots");
    let mut lane = adapter(&url, options(&target.ca)).lane();
    target.next(Scenario::named("status_421"));
    assert_eq!(lane.deliver(&parcel(&url, "a", b"{}")).outcome, Outcome::Success);
    assert_eq!(target.connections(), 2);
    target.next(Scenario::named("status_421"));
    target.next(Scenario::named("status_421"));
    assert_eq!(lane.deliver(&parcel(&url, "b", b"{}")).outcome.word(), "halt");
    assert_eq!((target.connections(), target.journal().len()), (3, 4));
}

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
fn a_404_is_about_the_record_only_when_the_url_names_one() {
    let target = Receiver::start();
    for (url, op, word) in [
        ("/slots/{id}", Op::Update, "reject"),
        ("/slots", Op::Update, "halt"),
        ("/slots/{id}", Op::Delete, "success_with_remarks"),
        ("/slots", Op::Delete, "halt"),
    ] {
        target.next(Scenario::named("status_404"));
        let rest = RestAdapter::new(spec(&target.url(url), options(&target.ca))).unwrap();
        assert_eq!(rest.lane().deliver(&cleared(&rest, op, 1)).outcome.word(), word, "{url} {op}");
    }
}

#[test]
fn a_record_that_the_template_cannot_hold_is_not_sent() {
    let target = Receiver::start();
    let rest = RestAdapter::new(spec(&target.url("/slots/{missing}"), options(&target.ca))).unwrap();
    let parcel = cleared(&rest, Op::Update, 1);
    assert_eq!(rest.render(&parcel).unwrap_err().class, "template");
    assert_eq!(rest.lane().deliver(&parcel).outcome.word(), "reject");
    let long = Value::Text("x".repeat(70_000));
    let request = Request {
        method: "POST".into(),
        url: target.url(&format!("/{}", "x".repeat(70_000))),
        headers: vec![],
        body: vec![],
    };
    drop(long);
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

fn secret(folder: &Path, text: &str) -> SecretSource {
    let path = folder.join(format!("secret-{:016x}", fastrand::u64(..)));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    SecretSource::new(SecretRef::File(path))
}

fn oauth(target: &Receiver) -> Arc<Credential> {
    let spec = OAuth2Spec {
        token_url: target.url("/token"),
        client_id: "hms".into(),
        client_secret: secret(target.ca.folder(), "c4nary&secret"),
        scope: Some("write all".into()),
        audience: None,
        client_auth: None,
    };
    let oauth = OAuth2::new(spec, Client::new(options(&target.ca)));
    Arc::new(Credential::new("cdc", Scheme::OAuth2(oauth)).unwrap())
}

fn with(target: &Receiver, credential: &Arc<Credential>) -> RestAdapter {
    let mut spec = spec(&target.url("/slots"), options(&target.ca));
    spec.credential = Some(Arc::clone(credential));
    RestAdapter::new(spec).unwrap()
}

#[test]
fn one_token_serves_all_lanes_of_all_connectors() {
    let target = Receiver::start();
    let credential = oauth(&target);
    let adapters = [with(&target, &credential), with(&target, &credential)];
    std::thread::scope(|scope| {
        for lane in 0..8 {
            let adapter = &adapters[lane % 2];
            scope.spawn(move || {
                let parcel = cleared(adapter, Op::Insert, lane as i64);
                assert_eq!(adapter.lane().deliver(&parcel).outcome, Outcome::Success);
            });
        }
    });
    assert_eq!(target.tokens().len(), 1);
    assert!(target.journal().iter().all(|entry| entry.header("authorization") == Some("Bearer token-1")));
    let asked = &target.tokens()[0];
    assert_eq!(asked.body, b"grant_type=client_credentials&scope=write%20all");
    // hms:c4nary%26secret
    assert_eq!(asked.header("authorization"), Some("Basic aG1zOmM0bmFyeSUyNnNlY3JldA=="));
}

#[test]
fn a_401_renews_the_token_once_and_tries_once_more() {
    let target = Receiver::start();
    let rest = with(&target, &oauth(&target));
    target.admit(|entry| entry.header("authorization") == Some("Bearer token-2"));
    let delivery = rest.lane().deliver(&cleared(&rest, Op::Insert, 1));
    assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    assert_eq!((target.tokens().len(), target.journal().len()), (2, 2));
}

#[test]
fn credentials_that_stay_refused_are_reauth_without_a_storm_of_tokens() {
    let target = Receiver::start();
    let credential = oauth(&target);
    let rest = with(&target, &credential);
    target.admit(|_| false);
    std::thread::scope(|scope| {
        for lane in 0..8 {
            let rest = &rest;
            scope.spawn(move || {
                let mut line = rest.lane();
                for round in 0..3 {
                    let delivery = line.deliver(&cleared(rest, Op::Insert, lane * 10 + round));
                    assert!(matches!(delivery.outcome, Outcome::Reauth(_)), "{delivery:?}");
                    assert_eq!(delivery.status, Some(401));
                }
            });
        }
    });
    assert_eq!((target.tokens().len(), target.journal().len()), (2, 48));
}

#[test]
fn a_token_endpoint_that_fails_costs_no_attempt_and_one_that_refuses_halts() {
    let target = Receiver::start();
    for (scenario, word) in [
        (Scenario::named("status_503"), "retry"),
        (Scenario::named("status_429"), "retry"),
        (Scenario::named("commit_close"), "retry"),
        (Scenario::named("html"), "retry"),
        (Scenario::named("garbage"), "retry"),
        (Scenario::answer("empty", true, json(200, "", "{}"), End::Keep), "retry"),
        (Scenario::answer("scope", true, json(400, "", r#"{"error":"invalid_scope"}"#), End::Keep), "halt"),
        (Scenario::named("status_403"), "halt"),
        (Scenario::named("status_404"), "halt"),
        (Scenario::status(302, "Location: https://evil.test/\r\n"), "halt"),
        (Scenario::answer("mac", true, json(200, "", r#"{"access_token":"x","token_type":"mac"}"#), End::Keep), "halt"),
    ] {
        let name = scenario.name.clone();
        target.next_token(scenario);
        let rest = with(&target, &oauth(&target));
        let delivery = rest.lane().deliver(&cleared(&rest, Op::Insert, 1));
        assert_eq!(delivery.outcome.word(), word, "{name}: {delivery:?}");
        if let Outcome::Retry { transport, .. } = delivery.outcome {
            assert!(transport, "{name}");
        }
        assert_eq!(delivery.bytes, (0, 0));
    }
    assert!(target.journal().is_empty());
}

#[test]
fn a_client_that_is_refused_one_way_shows_its_secret_the_other_way() {
    let target = Receiver::start();
    let refused = || Scenario::answer("invalid", true, json(401, "", r#"{"error":"invalid_client"}"#), End::Keep);
    target.next_token(refused());
    let rest = with(&target, &oauth(&target));
    assert_eq!(rest.lane().deliver(&cleared(&rest, Op::Insert, 1)).outcome, Outcome::Success);
    let asked = target.tokens();
    assert!(asked[1].header("authorization").is_none());
    assert!(String::from_utf8_lossy(&asked[1].body).ends_with("&client_id=hms&client_secret=c4nary%26secret"));
    target.next_token(refused());
    target.next_token(refused());
    let rest = with(&target, &oauth(&target));
    let delivery = rest.lane().deliver(&cleared(&rest, Op::Insert, 2));
    let Outcome::Halt(reason) = &delivery.outcome else { panic!("{delivery:?}") };
    assert!(reason.text.contains("credential cdc") && reason.text.contains("invalid_client"), "{reason}");
    assert!(!reason.text.contains("c4nary"));
}

#[test]
fn a_missing_or_odd_lifetime_still_gives_a_token_that_is_kept() {
    for life in [None, Some("3600"), Some("\"3600\""), Some("0"), Some("-5"), Some("1e12"), Some("null")] {
        let target = Receiver::start();
        target.token_life(life);
        let rest = with(&target, &oauth(&target));
        let mut lane = rest.lane();
        for id in 0..3 {
            assert_eq!(lane.deliver(&cleared(&rest, Op::Insert, id)).outcome, Outcome::Success, "{life:?}");
        }
        assert_eq!(target.tokens().len(), 1, "{life:?}");
    }
}

#[test]
fn a_secret_shows_in_no_delivery_request_or_debug_output() {
    let target = Receiver::start();
    let credential = Arc::new(Credential::new("cdc", Scheme::Bearer(secret(target.ca.folder(), "c4nary"))).unwrap());
    let rest = with(&target, &credential);
    let parcel = cleared(&rest, Op::Insert, 1);
    let mut shown = format!("{:?} {rest:?} {parcel:?} {:?}", rest.render(&parcel), rest.masked_headers());
    for name in ["ok", "status_401", "status_403", "commit_rst", "html"] {
        target.next(Scenario::named(name));
        shown.push_str(&format!("{:?}", rest.lane().deliver(&parcel)));
    }
    assert!(!shown.contains("c4nary"));
    assert_eq!(rest.masked_headers(), [("Authorization".to_owned(), "Bearer ***".to_owned())]);
    assert_eq!(target.journal()[0].header("authorization"), Some("Bearer c4nary"));
}

#[test]
fn a_key_in_the_query_is_added_when_sending_and_nowhere_else() {
    let target = Receiver::start();
    let key = secret(target.ca.folder(), "c4nary");
    let credential = Arc::new(Credential::new("cdc", Scheme::QueryKey { name: "api_key".into(), key }).unwrap());
    let rest = with(&target, &credential);
    let parcel = cleared(&rest, Op::Insert, 1);
    let delivery = rest.lane().deliver(&parcel);
    assert_eq!(delivery.outcome, Outcome::Success);
    assert_eq!(target.journal()[0].path, "/slots?api_key=c4nary");
    assert_eq!(delivery.request_hash, rest.render(&parcel).unwrap().unwrap().hash());
}

#[test]
fn faults_by_chance_lose_nothing_when_every_unknown_is_sent_again_as_it_was() {
    const PARTS: [(u32, &str); 14] = [
        (40, "ok"),
        (3, "status_503"),
        (3, "commit_rst"),
        (3, "commit_close"),
        (3, "commit_partial"),
        (3, "rst_mid_request"),
        (3, "cl_short"),
        (3, "chunked_trunc"),
        (3, "html"),
        (3, "garbage"),
        (3, "te_cl"),
        (3, "idle_close"),
        (3, "keepalive_poison"),
        (3, "cl_extra"),
    ];
    for seed in 0..4 {
        let target = Receiver::start();
        target.mix(Some(Mix::new(seed, &PARTS)));
        let rest = RestAdapter::new(spec(&target.url("/slots/{id}"), options(&target.ca))).unwrap();
        let mut lane = rest.lane();
        let mut expected = Vec::new();
        for number in 0..150 {
            let parcel = cleared(&rest, Op::Insert, number);
            let request = rest.render(&parcel).unwrap().unwrap();
            expected.push(Expected { body: Some(request.body.clone()), ..Expected::new(parcel.key(), "1") });
            let frozen = Parcel::frozen(parcel.key().to_owned(), Op::Insert, "slots", request);
            let mut tries = 0;
            loop {
                let delivery = lane.deliver(&frozen);
                if delivery.outcome.is_delivered() {
                    break;
                }
                tries += 1;
                assert!(matches!(delivery.outcome, Outcome::Retry { .. } | Outcome::Unknown { .. }), "{delivery:?}");
                assert!(tries < 20, "seed {seed}: {delivery:?}");
            }
        }
        assert_eq!(judge(&expected, &target.journal()), Vec::<String>::new(), "seed {seed}");
    }
}
