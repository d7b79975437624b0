//! Every row of the answers table, heard by a lane of the REST adapter.

use std::sync::Arc;
use std::time::Duration;

use hms_sync::adapter::http::Options;
use hms_sync::adapter::rest::RestAdapter;
use hms_sync::adapter::{Adapter, Delivery, Parcel};
use hms_sync::event::Op;
use hms_sync::rules::outcome::Outcome;

use crate::support::ca::Ca;
use crate::support::journal::{Expected, judge};
use crate::support::receiver::{Door, Receiver};
use crate::support::rest::{OneLane, adapter, cleared, options, parcel, spec};
use crate::support::scenario::{End, Mix, Scenario, json};

const LIMIT: Duration = Duration::from_secs(5);

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
fn an_answer_with_bytes_changed_by_chance_harms_nothing() {
    let target = Receiver::start_with(Arc::new(Ca::new()), Door::Plain, "127.0.0.1:0");
    let url = target.url("/slots");
    let mut lane = adapter(&url, Options { timeout: LIMIT, ..options(&target.ca) }).lane();
    let mut chance = fastrand::Rng::with_seed(7);
    let whole = [
        json(200, "Date: Fri, 05 Mar 2027 18:05:00 GMT\r\nRetry-After: 5\r\n", r#"{"id":42,"name":"x"}"#),
        b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec(),
    ];
    for number in 0..400 {
        let mut bytes = whole[number % 2].clone();
        for _ in 0..chance.usize(1..6) {
            let at = chance.usize(..bytes.len());
            match chance.u8(..4) {
                0 => bytes[at] = chance.u8(..),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, *chance.choice(b"\r\n:0 \x00\xff").unwrap()),
                _ => bytes.truncate(at.max(1)),
            }
        }
        target.next(Scenario::answer("changed", true, bytes.clone(), End::Close));
        let key = format!("k-{number}");
        let delivery = lane.deliver(&parcel(&url, &key, b"{}"));
        let said_yes = bytes.starts_with(b"HTTP/1.1 2") || bytes.starts_with(b"HTTP/1.0 2");
        assert!(said_yes || !delivery.outcome.is_delivered(), "{:?}", String::from_utf8_lossy(&bytes));
        assert_eq!(target.journal().last().unwrap().key, key);
        target.wait_closed(number + 1);
    }
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
