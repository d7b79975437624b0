//! Every row of the transport table: what a connection that fails comes to.

use std::sync::Arc;
use std::time::Duration;

use hms_sync::adapter::http::{Login, Options, Proxy};
use hms_sync::adapter::tls::{TlsFiles, client_config};
use hms_sync::adapter::{Adapter, Delivery};
use hms_sync::rules::outcome::Outcome;

use crate::support::ca::{Ca, Leaf};
use crate::support::proxy::ConnectProxy;
use crate::support::receiver::{Blackhole, Door, Receiver, refusing};
use crate::support::rest::{OneLane, adapter, options, parcel, secret};
use crate::support::scenario::Scenario;

/// Long enough for a busy machine, short enough for a test that waits it out.
pub const LIMIT: Duration = Duration::from_secs(1);

#[test]
fn a_first_call_over_tls_is_delivered() {
    let target = Receiver::start();
    let url = target.url("/slots");
    let delivery = adapter(&url, options(&target.ca)).lane().deliver(&parcel(&url, "k-1", br#"{"a":1}"#));
    assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    let journal = target.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].body, br#"{"a":1}"#);
    assert!(journal[0].committed);
}

fn once(url: &str, http: Options) -> Delivery {
    adapter(url, http).lane().deliver(&parcel(url, "k-1", b"{}"))
}

/// Retried as a transport failure, with this class: the target never had it.
#[track_caller]
fn unsent(delivery: &Delivery, class: &str) {
    let Outcome::Retry { reason, after: None, transport: true } = &delivery.outcome else { panic!("{delivery:?}") };
    assert_eq!(reason.class, class, "{reason}");
    assert_eq!((delivery.status, delivery.bytes), (None, (0, 0)));
}

/// The target may have it.
#[track_caller]
fn unknown(delivery: &Delivery, class: &str) {
    let Outcome::Unknown { reason, transport: true } = &delivery.outcome else { panic!("{delivery:?}") };
    assert_eq!(reason.class, class, "{reason}");
    assert!(delivery.bytes.0 > 0);
}

#[track_caller]
fn halted(delivery: &Delivery, class: &str, text: &str) {
    let Outcome::Halt(reason) = &delivery.outcome else { panic!("{delivery:?}") };
    assert_eq!(reason.class, class, "{reason}");
    assert!(reason.text.contains(text), "expected {text:?} in {reason}");
}

#[test]
fn a_refused_connection_is_retried() {
    let ca = Ca::new();
    unsent(&once(&format!("https://{}/", refusing()), options(&ca)), "connect");
}

#[test]
fn a_connection_that_never_completes_is_retried_after_the_connect_limit() {
    let ca = Ca::new();
    let hole = Blackhole::new();
    let http = Options { connect: LIMIT, ..options(&ca) };
    unsent(&once(&format!("https://{}/", hole.address), http), "connect");
}

#[test]
fn a_name_that_does_not_resolve_is_retried() {
    let ca = Ca::new();
    unsent(&once("https://no-such-host.invalid/", options(&ca)), "dns");
}

#[test]
fn an_ipv6_target_is_reached() {
    let target = Receiver::start_with(Arc::new(Ca::new()), Door::Tls(Leaf::Good), "[::1]:0");
    assert_eq!(once(&target.url("/"), options(&target.ca)).outcome, Outcome::Success);
}

#[test]
fn a_name_is_resolved_and_reached() {
    let target = Receiver::start();
    let url = format!("https://localhost:{}/", target.address().port());
    assert_eq!(once(&url, options(&target.ca)).outcome, Outcome::Success);
}

#[test]
fn a_link_local_or_unspecified_target_halts_before_anything_is_sent() {
    let ca = Ca::new();
    for host in ["169.254.169.254", "0.0.0.0", "[::ffff:127.0.0.1]", "[fe80::1]", "224.0.0.1"] {
        halted(&once(&format!("https://{host}/"), options(&ca)), "address", "never connected to");
    }
}

#[test]
fn a_reset_before_the_request_is_retried() {
    let target = Receiver::start();
    let url = target.url("/");
    target.door(Door::Reset);
    unsent(&once(&url, options(&target.ca)), "reset");
    assert!(target.journal().is_empty());
}

#[test]
fn a_reset_in_or_after_the_request_is_unknown() {
    let target = Receiver::start();
    for scenario in ["rst_mid_request", "rst_after_request", "commit_rst"] {
        target.next(Scenario::named(scenario));
        unknown(&once(&target.url("/"), options(&target.ca)), "reset");
    }
}

#[test]
fn a_commit_without_a_whole_answer_is_unknown() {
    let target = Receiver::start();
    for scenario in
        ["commit_close", "commit_cut", "commit_partial", "cl_short", "cl_short_cut", "chunked_trunc", "no_length_cut"]
    {
        target.next(Scenario::named(scenario));
        unknown(&once(&target.url("/"), options(&target.ca)), "closed");
    }
    assert!(target.journal().iter().all(|entry| entry.committed));
}

#[test]
fn silence_and_dripping_end_with_the_whole_call_budget() {
    std::thread::scope(|scope| {
        for scenario in ["commit_hang", "hang", "slow_headers", "slow_body"] {
            scope.spawn(move || {
                let target = Receiver::start();
                target.next(Scenario::named(scenario));
                let http = Options { timeout: LIMIT, ..options(&target.ca) };
                unknown(&once(&target.url("/"), http), "timeout");
            });
        }
    });
}

#[test]
fn a_stalled_handshake_is_retried_after_the_connect_limit_or_the_whole_budget() {
    let target = Receiver::start();
    let url = target.url("/");
    target.door(Door::Stall);
    let connect = Options { connect: LIMIT, ..options(&target.ca) };
    let whole = Options { timeout: LIMIT, ..options(&target.ca) };
    std::thread::scope(|scope| {
        for http in [connect, whole] {
            let url = &url;
            scope.spawn(move || unsent(&once(url, http), "timeout"));
        }
    });
}

#[test]
fn a_handshake_that_is_cut_is_retried() {
    let target = Receiver::start();
    let url = target.url("/");
    target.door(Door::CloseInHandshake);
    unsent(&once(&url, options(&target.ca)), "closed");
}

#[test]
fn a_certificate_that_is_not_right_halts_and_says_why() {
    let target = Receiver::start();
    let url = target.url("/");
    for (leaf, text) in [
        (Leaf::Expired, "expired on 2020-02-03T00:00:00.000Z"),
        (Leaf::NotYet, "not valid before 2090-01-01T00:00:00.000Z"),
        (Leaf::WrongHost, "not for 127.0.0.1 but for "),
        (Leaf::SelfSigned, "authority that is not known here"),
        (Leaf::WantsClient, "wants a client certificate"),
    ] {
        target.door(Door::Tls(leaf));
        halted(&once(&url, options(&target.ca)), "tls", text);
    }
    target.door(Door::Tls(Leaf::Good));
    halted(&once(&url, options(&Ca::new())), "tls", "authority that is not known here");
    assert!(target.journal().is_empty());
}

#[test]
fn a_target_that_speaks_no_safe_tls_halts() {
    let target = Receiver::start();
    let url = target.url("/");
    for (door, text) in [
        (Door::Abort, "refuses TLS as we offer it (HandshakeFailure)"),
        (Door::Tls11, "older than 1.2"),
        (Door::PlainInstead, "does not speak TLS"),
    ] {
        target.door(door);
        halted(&once(&url, options(&target.ca)), "tls", text);
    }
}

#[test]
fn a_client_certificate_opens_a_target_that_wants_one() {
    let target = Receiver::start();
    target.door(Door::Tls(Leaf::WantsClient));
    let files = TlsFiles { ca: vec![target.ca.file()], client: Some(target.ca.client_files()), ..TlsFiles::default() };
    let http = Options::new(client_config(&files).unwrap());
    assert_eq!(once(&target.url("/"), http).outcome, Outcome::Success);
}

#[test]
fn one_connection_carries_many_requests_of_a_lane() {
    let target = Receiver::start();
    let url = target.url("/");
    let mut lane = adapter(&url, options(&target.ca)).lane();
    for number in 0..200 {
        let delivery = lane.deliver(&parcel(&url, &format!("k-{number}"), b"{}"));
        assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    }
    assert_eq!((target.connections(), target.journal().len()), (1, 200));
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced_without_a_second_effect() {
    let target = Receiver::start();
    let url = target.url("/");
    let mut lane = adapter(&url, options(&target.ca)).lane();
    for number in 0..20 {
        target.next(Scenario::named("idle_close"));
        let delivery = lane.deliver(&parcel(&url, &format!("k-{number}"), b"{}"));
        assert_eq!(delivery.outcome, Outcome::Success, "{number}: {delivery:?}");
        target.wait_closed(number + 1);
    }
    assert_eq!((target.connections(), target.journal().len()), (20, 20));
}

#[test]
fn left_over_bytes_never_become_the_next_answer() {
    let target = Receiver::start();
    let url = target.url("/");
    for scenario in ["cl_extra", "keepalive_poison"] {
        for number in 0..20 {
            let mut lane = adapter(&url, options(&target.ca)).lane();
            target.next(Scenario::named(scenario));
            target.next(Scenario::named("refused"));
            let first = lane.deliver(&parcel(&url, &format!("{scenario}-{number}-a"), b"{}"));
            assert_eq!(first.outcome, Outcome::Success, "{first:?}");
            let second = lane.deliver(&parcel(&url, &format!("{scenario}-{number}-b"), b"{}"));
            assert_eq!(second.status, Some(422), "{second:?}");
        }
    }
}

#[test]
fn plain_http_is_spoken_only_where_it_is_allowed() {
    let target = Receiver::start_with(Arc::new(Ca::new()), Door::Plain, "127.0.0.1:0");
    let url = target.url("/");
    assert_eq!(once(&url, options(&target.ca)).outcome, Outcome::Success);
    let https_only = adapter("https://localhost/", Options { plain: false, ..options(&target.ca) });
    halted(&https_only.lane().deliver(&parcel(&url, "k-1", b"{}")), "plain-http", "is not allowed");
    assert_eq!(target.journal().len(), 1);
}

#[test]
fn a_large_request_arrives_whole() {
    let target = Receiver::start();
    let url = target.url("/");
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
    let delivery = adapter(&url, options(&target.ca)).lane().deliver(&parcel(&url, "k-1", &body));
    assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    assert_eq!(delivery.bytes.0, 3_000_000);
    assert!(target.journal()[0].body == body);
}

#[test]
fn an_answer_that_comes_before_the_body_was_read_is_heard() {
    let target = Receiver::start();
    let url = target.url("/");
    let body = vec![b' '; 20_000_000];
    target.next(Scenario::named("early_413"));
    let refused = adapter(&url, options(&target.ca)).lane().deliver(&parcel(&url, "k-1", &body));
    assert!(matches!(refused.outcome, Outcome::Reject(_)), "{refused:?}");
    assert_eq!(refused.status, Some(413));
    target.next(Scenario::named("early_200"));
    let odd = adapter(&url, options(&target.ca)).lane().deliver(&parcel(&url, "k-2", &body));
    assert!(matches!(odd.outcome, Outcome::Unknown { .. }), "{odd:?}");
}

#[test]
fn a_proxy_is_asked_to_connect_and_sees_no_request() {
    let target = Receiver::start();
    let proxy = ConnectProxy::start();
    let with = |proxy| Options { proxy: Some(proxy), ..options(&target.ca) };
    let http = with(Proxy::parse(&proxy.url(), None).unwrap());
    assert_eq!(once(&target.url("/secret"), http).outcome, Outcome::Success);
    let head = proxy.heads().concat();
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", target.address())), "{head}");
    assert!(!head.contains("secret") && !head.contains("Proxy-Authorization"), "{head}");
}

#[test]
fn a_proxy_gets_its_credentials_and_the_target_does_not() {
    let target = Receiver::start();
    let proxy = ConnectProxy::start();
    let login = Login { user: "Aladdin".into(), password: secret(target.ca.folder(), "open sesame") };
    let with = Proxy::parse(&proxy.url(), Some(login)).unwrap();
    let http = Options { proxy: Some(with), ..options(&target.ca) };
    assert_eq!(once(&target.url("/"), http).outcome, Outcome::Success);
    assert!(proxy.heads()[0].contains("Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
    assert!(target.journal()[0].header("proxy-authorization").is_none());
}

#[test]
fn a_proxy_that_refuses_halts_and_one_that_cannot_connect_is_retried() {
    let target = Receiver::start();
    let proxy = ConnectProxy::start();
    let with = || Options { proxy: Some(Proxy::parse(&proxy.url(), None).unwrap()), ..options(&target.ca) };
    for (answer, text) in
        [("HTTP/1.1 407 X\r\n\r\n", "407"), ("HTTP/1.1 403 X\r\n\r\n", "403"), ("SSH-2.0\r\n\r\n", "HTTP")]
    {
        proxy.answer(answer.as_bytes());
        halted(&once(&target.url("/"), with()), "proxy", text);
    }
    for answer in ["HTTP/1.1 502 X\r\n\r\n", "HTTP/1.1 2", ""] {
        proxy.answer(answer.as_bytes());
        unsent(&once(&target.url("/"), with()), "proxy");
    }
    let dead = Proxy::parse(&format!("http://{}", refusing()), None).unwrap();
    unsent(&once(&target.url("/"), Options { proxy: Some(dead), ..options(&target.ca) }), "connect");
    assert!(target.journal().is_empty());
}

#[test]
fn a_probe_says_what_it_found_and_sends_nothing() {
    let target = Receiver::start();
    let url = target.url("/slots");
    let text = adapter(&url, options(&target.ca)).probe().unwrap();
    assert!(text.contains("TLS 1.3, certificate valid until 4096-01-01"), "{text}");
    let reason = adapter(&url, options(&Ca::new())).probe().unwrap_err();
    assert_eq!(reason.class, "tls");
    assert!(target.journal().is_empty());
}
