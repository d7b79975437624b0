//! Signatures over requests, looked at by targets that have the keys; and secrets that go into bodies.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::assertions::{office, secret};
use crate::support::doorman::{Doorman, answer};
use crate::support::journal::Entry;

const JSON: &str = "application/json";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// The signature that a request must have, worked out from what came over the wire.
pub fn aws_signature(entry: &Entry, secret: &str) -> Option<String> {
    let shown = entry.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let mut parts = shown.split(", ").map(|part| part.split_once('=').unwrap().1);
    let (scope, signed) = (parts.next()?.split_once('/')?.1, parts.next()?);
    let [day, region, service, end]: [&str; 4] = scope.split('/').collect::<Vec<_>>().try_into().ok()?;
    let date = entry.header("x-amz-date")?;
    assert!(date.starts_with(day) && date.len() == 16 && end == "aws4_request");
    assert_eq!(entry.header("x-amz-content-sha256")?, sha256(&entry.body));
    let typed = (!entry.body.is_empty()).then_some("content-type");
    for must in ["host", "x-amz-date", "x-amz-content-sha256"].into_iter().chain(typed) {
        assert!(signed.split(';').any(|name| name == must), "{must} is not signed: {signed}");
    }
    let (path, query) = entry.path.split_once('?').unwrap_or((&entry.path, ""));
    assert!(!path.contains('%') && !query.contains(['+', '~']), "this checker knows plain paths only");
    let mut query: Vec<&str> = query.split('&').collect();
    query.sort_unstable();
    let fields: String = signed.split(';').map(|name| format!("{name}:{}\n", entry.header(name).unwrap())).collect();
    let canonical =
        format!("{}\n{path}\n{}\n{fields}\n{signed}\n{}", entry.method, query.join("&"), sha256(&entry.body));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let key = [day, region, service, end]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part.as_bytes()));
    Some(hex(&mac(&key, text.as_bytes())))
}

#[test]
fn a_request_is_signed_as_aws_checks_it() {
    for (service, token) in [("execute-api", false), ("s3", true)] {
        let target = Doorman::start(move |entry| {
            let expected = aws_signature(entry, "c4nary/secret+key");
            let shown = entry.header("authorization").and_then(|value| value.split("Signature=").nth(1));
            assert_eq!(entry.header("x-amz-security-token"), token.then_some("c4nary-session"));
            answer(if expected.is_some() && shown == expected.as_deref() { 201 } else { 403 }, "", JSON, "{}")
        });
        let more = if token { ", sessionToken: {file: token}" } else { "" };
        let credential = format!(
            "{{type: sigV4, accessKeyId: AKIDEXAMPLE, secretAccessKey: {{file: key}}, region: us-gov-west-1, service: {service}{more}}}"
        );
        let office = office(&target, &credential, "");
        let url = target.url("/a/visits?b=2&a=1");
        let path = office.config().join("connectors/legacy.yaml");
        let text = std::fs::read_to_string(&path).unwrap().replace(&target.url("/visits"), &url);
        std::fs::write(&path, text).unwrap();
        secret(&office, "key", "c4nary/secret+key");
        secret(&office, "token", "c4nary-session");
        assert_eq!(office.once().0, Some(0), "{service}");
        assert_eq!(target.count("/a/visits"), 3);
    }
}

/// The secrets that a request was signed by, of those that the receiver knows.
fn signed_by(entry: &Entry, secrets: &[&str]) -> Vec<usize> {
    let of = |name: &str| entry.header(name).unwrap();
    assert_eq!(of("webhook-id"), of("idempotency-key"));
    let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(of("webhook-timestamp").parse::<u64>().unwrap().abs_diff(seconds) < 300);
    let text = [format!("{}.{}.", of("webhook-id"), of("webhook-timestamp")).as_bytes(), &entry.body].concat();
    let shown: Vec<&str> = of("webhook-signature").split(' ').collect();
    let signature = |secret: &str| {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        format!("v1,{}", STANDARD.encode(mac(&key, &text)))
    };
    (0..secrets.len()).filter(|at| shown.contains(&signature(secrets[*at]).as_str())).collect()
}

#[test]
fn a_webhook_is_signed_by_the_old_and_the_new_secret_until_the_old_one_is_gone() {
    let secrets: [String; 2] = [1, 2].map(|n| format!("whsec_{}", STANDARD.encode([n; 32])));
    let known = secrets.clone();
    let target = Doorman::start(move |entry| {
        let by = signed_by(entry, &[&known[0], &known[1]]);
        answer(if by.is_empty() { 400 } else { 201 }, "", JSON, "{}")
    });
    let office = office(&target, "{type: webhook, secrets: [{file: new}, {file: old}]}", "");
    secret(&office, "new", &secrets[0]);
    secret(&office, "old", &secrets[0]);
    let agent = office.agent();
    office.wait_settled("legacy");
    // The new secret is put in its place under the running agent.
    secret(&office, "new", &secrets[1]);
    let by = |entry: &Entry| signed_by(entry, &[&secrets[0], &secrets[1]]);
    crate::support::office::wait("both sign", || {
        office.sql("UPDATE visits SET minutes = minutes + 1 WHERE id = 1");
        target.journal().last().is_some_and(|entry| by(entry) == [0, 1])
    });
    secret(&office, "old", &secrets[1]);
    crate::support::office::wait("the new one signs", || {
        office.sql("UPDATE visits SET minutes = minutes + 1 WHERE id = 1");
        target.journal().last().is_some_and(|entry| by(entry) == [1])
    });
    assert!(target.journal().iter().all(|entry| !by(entry).is_empty()));
    agent.stop();
}

#[test]
fn a_key_in_the_body_is_on_the_wire_and_nowhere_else() {
    let target = Doorman::start(|entry| {
        let good = String::from_utf8_lossy(&entry.body).contains(r#""token":"c4nary\"quoted""#);
        answer(if good { 503 } else { 400 }, "", JSON, "{}")
    });
    let office = office(&target, "{type: apiKey, body: token, key: {file: key}}", "");
    secret(&office, "key", "c4nary\"quoted");
    let simulated = office.run(&["simulate", "--since", "1h"]);
    assert!(simulated.stdout.contains(r#""token":"***"}"#), "{}", simulated.stdout);
    let agent = office.agent();
    target.wait("several attempts", |journal| journal.len() > 9);
    agent.kill();
    // Each attempt at one record is the same, byte for byte.
    let mut bodies = std::collections::HashMap::new();
    for entry in target.journal() {
        let body = bodies.entry(entry.key.clone()).or_insert_with(|| entry.body.clone());
        assert_eq!(*body, entry.body);
    }
    for path in office.kept() {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"c4nary"), "{}", path.display());
    }
}

#[test]
fn a_soap_message_gets_a_new_header_at_each_attempt_and_is_the_same_otherwise() {
    use hms_sync::adapter::auth::body::slot;
    use hms_sync::adapter::auth::wsse::UsernameToken;
    use hms_sync::adapter::auth::{Credential, Scheme};
    use hms_sync::adapter::rest::RestAdapter;
    use hms_sync::adapter::{Parcel, Request};
    use hms_sync::event::Op;

    use crate::support::rest::{OneLane as _, options, secret, spec};

    let target = Doorman::start(|_| answer(503, "", "text/xml", "<a/>"));
    let password = || secret(target.ca.folder(), "c4nary<&>");
    let token = |digest| {
        let lifetime = UsernameToken::LIFETIME;
        Scheme::UsernameToken(Box::new(UsernameToken { user: "of042".into(), password: password(), digest, lifetime }))
    };
    let key = Scheme::BodyKey { name: "password".into(), key: password() };
    let credential = Credential::several("iis", vec![token(true), key]).unwrap();
    let url = target.url("/iis");
    let mut spec = spec(&url, options(&target.ca));
    spec.credential = Some(std::sync::Arc::new(credential));
    let body = format!(
        "<s:Envelope xmlns:s=\"x\"><s:Body><u:password>{}</u:password></s:Body></s:Envelope>",
        slot("password")
    );
    let request = Request {
        method: "POST".into(),
        url: url.as_str().into(),
        headers: vec![("Content-Type".into(), "text/xml; charset=utf-8".into())],
        body: body.clone().into_bytes(),
    };
    let parcel = Parcel::frozen("k".into(), Op::Insert, "t", request.clone());
    let mut lane = RestAdapter::new(spec).unwrap().lane();
    let hashes = [(); 2].map(|()| lane.deliver(&parcel).request_hash);
    assert_eq!(hashes, [request.hash(); 2]);
    let sent: Vec<String> =
        target.journal().iter().map(|entry| String::from_utf8(entry.body.clone()).unwrap()).collect();
    assert_ne!(sent[0], sent[1]);
    for text in &sent {
        assert!(text.contains("<u:password>c4nary&lt;&amp;&gt;</u:password>"), "{text}");
        assert_eq!(text.matches("c4nary").count(), 1, "the digest shows the password: {text}");
        let part = |tag: &str| {
            text.split(&format!("<{tag}")).nth(1).unwrap().split_once('>').unwrap().1.split('<').next().unwrap()
        };
        let nonce = STANDARD.decode(part("wsse:Nonce")).unwrap();
        let created =
            text.split("<wsse:Nonce").nth(1).unwrap().split("<wsu:Created>").nth(1).unwrap().split('<').next().unwrap();
        let digest = digest::digest(
            &digest::SHA1_FOR_LEGACY_USE_ONLY,
            &[nonce.as_slice(), created.as_bytes(), b"c4nary<&>"].concat(),
        );
        assert_eq!(part("wsse:Password"), STANDARD.encode(digest));
    }
}
