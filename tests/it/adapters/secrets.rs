//! What a credential puts into the calls that an adapter's file describes.

use super::{asked, text};
use crate::credentials::assertions::secret;
use crate::support::office::{Office, RETRY};
use crate::support::receiver::Receiver;
use crate::support::scenario::{End, Scenario, json};

/// An office whose visits go to a target by an adapter, with a credential whose secret is in the file `key`.
fn office(target: &Receiver, adapter: &str, credential: &str, more: &str) -> Office {
    let office = Office::visits();
    office.add_settings(&format!("credentials:\n  it: {credential}"));
    let (url, ca) = (target.url("/srv"), target.ca.file());
    let endpoint = format!("endpoint: {{url: \"{url}\", credentialsId: it, tls: {{ca: \"{}\"}}}}", ca.display());
    office.connector("legacy", &format!("adapter: {adapter}\n{endpoint}\nstart: beginning\n{RETRY}\n{more}\n"));
    office
}

fn written(office: &Office, file: &str) {
    std::fs::create_dir_all(office.config().join("adapters")).unwrap();
    std::fs::write(office.config().join("adapters/site.yaml"), file).unwrap();
}

#[test]
fn the_password_of_an_immunization_registry_is_on_the_wire_and_nowhere_else() {
    let target = Receiver::start();
    let more = "listen: [visits.insert]\nvars: {username: of042, facility: OF042}\nmapping: {id: id, name: lastName, minutes: patientId, a: {to: firstName, value: Ada}, b: {to: birthDate, value: \"1970-01-31\"}, c: {to: vaccineCode, value: \"208\"}, d: {to: date, value: \"2026-03-05\"}}";
    let office = office(&target, "cdc_immunization", "{type: apiKey, body: password, key: {file: key}}", more);
    secret(&office, "key", "c4nary<&>");
    let watched = office.run(&["watch", "visits"]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 20)");
    let simulated = office.run(&["simulate", "--since", "1h"]);
    assert!(simulated.stdout.contains("password>***</"), "{simulated:?}");
    office.once();
    let journal = target.journal();
    assert!(!journal.is_empty());
    assert!(text(&journal[0]).contains("<u:password>c4nary&lt;&amp;&gt;</u:password>"), "{}", text(&journal[0]));
    for file in std::fs::read_dir(office.folder().join("state")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"c4nary"), "{}", path.display());
        }
    }
}

#[test]
fn every_call_of_several_is_signed_for_itself() {
    const TWO: &str = "adapter: site\npush:\n  upsert:\n    steps:\n      - {id: make, request: {url: \"{base}/items\", json: {name: \"{name}\"}}}\n      - {id: tell, request: {url: \"{base}/told\", json: {minutes: \"{minutes}\"}}}\nclassify: [{default: standard}]\n";
    let target = Receiver::start();
    let credential =
        "{type: sigV4, accessKeyId: AKIDEXAMPLE, secretAccessKey: {file: key}, region: us-gov-west-1, service: s3}";
    let office = office(&target, "site", credential, "listen: [visits.insert]");
    written(&office, TWO);
    secret(&office, "key", "c4nary/secret+key");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 20)");
    target.meet(|_| Some(Scenario::answer("taken", false, json(200, "", "{}"), End::Keep)));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    assert_eq!(asked(&journal), ["POST /srv/items", "POST /srv/told"]);
    for entry in &journal {
        let expected = crate::credentials::signing::aws_signature(entry, "c4nary/secret+key");
        let shown = entry.header("authorization").and_then(|value| value.split("Signature=").nth(1));
        assert!(expected.is_some() && shown == expected.as_deref(), "{}", entry.path);
    }
}

#[test]
fn an_answer_that_asks_for_another_token_at_a_later_call_repeats_that_call_only() {
    const TWO: &str = "adapter: site\npush:\n  upsert:\n    steps:\n      - {id: make, request: {url: \"{base}/items\", json: {name: \"{name}\"}}, capture: {number: \"json:/number\"}}\n      - {id: tell, request: {url: \"{base}/told/{link.number}\", json: {minutes: \"{minutes}\"}}}\nclassify: [{json: {/error/code: 498}, is: reauth}, {default: standard}]\n";
    let target = Receiver::start();
    let ca = target.ca.file().display().to_string();
    let token = target.url("/token");
    let credential = format!(
        "{{type: oauth2, tokenUrl: \"{token}\", clientId: hms, clientSecret: {{file: key}}, tls: {{ca: \"{ca}\"}}}}"
    );
    let office = office(&target, "site", &credential, "listen: [visits.insert]");
    written(&office, TWO);
    secret(&office, "key", "c4nary");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 20)");
    let answer = |body: &str| Scenario::answer("said", false, json(200, "", body), End::Keep);
    target.meet(move |entry| {
        let by = entry.header("authorization");
        match entry.path.as_str() {
            "/srv/items" => Some(answer("{\"number\":7}")),
            "/srv/told/7" if by == Some("Bearer token-1") => Some(answer("{\"error\":{\"code\":498}}")),
            "/srv/told/7" => Some(answer("{}")),
            _ => None,
        }
    });
    assert_eq!(office.once().0, Some(0));
    assert_eq!(asked(&target.journal()), ["POST /srv/items", "POST /srv/told/7", "POST /srv/told/7"]);
    assert_eq!(target.tokens().len(), 2);
}
