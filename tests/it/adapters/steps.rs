//! Several calls for one change, and what they leave for the next one.

use super::{asked, office, text};
use crate::support::receiver::Receiver;
use crate::support::scenario::{End, Scenario, json};

const UPSERT: &str = r#"
adapter: site
about: a system that makes its own ids
push:
  upsert:
    steps:
      - id: change
        when: link.number is defined
        request:
          method: PUT
          url: "{base}/items/{link.number}"
          headers: {If-Match: "{link.etag}"}
          json: {title: "{name}", seconds: "{minutes | convert('minutes -> seconds')}"}
        capture: {etag: "header:ETag"}
        on: {success: done}
      - id: create
        when: link.number is not defined
        request:
          url: "{base}/items"
          json: {title: "{name}", own: "{key.id}", seconds: "{minutes | convert('minutes -> seconds')}"}
        capture: {number: "json:/item/number", etag: "header:ETag"}
        on: {duplicate: find}
      - id: find
        when: steps.create.number is not defined
        request: {method: GET, url: "{base}/items?own={key.id}"}
        capture: {number: "json:/items/0/number"}
      - id: again
        when: steps.create.number is not defined
        request: {method: PUT, url: "{base}/items/{link.number}", json: {title: "{name}"}}
        capture: {etag: "header:ETag"}
  delete:
    request: {method: DELETE, url: "{base}/items/{link.number}"}
    classify: [{status: [404, 410], is: success}]
classify:
  - {status: 409, json: {/error: exists}, is: duplicate}
  - default: standard
"#;

fn item(status: u16, etag: &str, body: &str) -> Scenario {
    Scenario::answer("item", true, json(status, &format!("ETag: {etag}\r\n"), body), End::Keep)
}

#[test]
fn what_a_target_calls_a_record_is_used_for_its_later_changes_over_restarts() {
    let target = Receiver::start();
    let office = office(&target, UPSERT, "");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 20)");
    target.next(item(201, "\"v1\"", r#"{"item":{"number":4711}}"#));
    assert_eq!(office.once().0, Some(0));
    office.sql("UPDATE visits SET name = 'Bea' WHERE id = 1");
    target.next(item(200, "\"v2\"", "{}"));
    assert_eq!(office.once().0, Some(0));
    office.sql("UPDATE visits SET name = 'Cy' WHERE id = 1; DELETE FROM visits WHERE id = 1");
    target.next(item(200, "\"v3\"", "{}"));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let wanted = ["POST /srv/items", "PUT /srv/items/4711", "PUT /srv/items/4711", "DELETE /srv/items/4711"];
    assert_eq!(asked(&journal), wanted);
    assert_eq!(text(&journal[0]), r#"{"title":"Ada","own":1,"seconds":1200}"#);
    let matched: Vec<_> = journal.iter().map(|entry| entry.header("if-match")).collect();
    assert_eq!(matched, [None, Some("\"v1\""), Some("\"v2\""), None]);
    office.sql("INSERT INTO visits VALUES (1, 'Dee', 5)");
    target.next(item(201, "\"w1\"", r#"{"item":{"number":9}}"#));
    assert_eq!(office.once().0, Some(0));
    assert_eq!(
        asked(&target.journal()).last().map(String::as_str),
        Some("POST /srv/items"),
        "the old id went with the record"
    );
}

#[test]
fn a_record_that_is_there_already_is_looked_for_and_changed() {
    let target = Receiver::start();
    let office = office(&target, UPSERT, "");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 20)");
    target.next(Scenario::answer("there", false, json(409, "", r#"{"error":"exists"}"#), End::Keep));
    target.next(Scenario::answer("found", false, json(200, "", r#"{"items":[{"number":"A/7"}]}"#), End::Keep));
    target.next(item(200, "\"v5\"", "{}"));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    assert_eq!(asked(&journal), ["POST /srv/items", "GET /srv/items?own=1", "PUT /srv/items/A%2F7"]);
    let keys: Vec<_> = journal.iter().map(|entry| entry.header("idempotency-key")).collect();
    assert_eq!(keys[0], keys[2]);
    assert_eq!(keys[1], None, "a look-up changes nothing");
}

#[test]
fn every_record_is_carried_through_its_steps_while_answers_are_lost() {
    let target = Receiver::start();
    let office = office(&target, UPSERT, "concurrency: 8");
    let rows: Vec<String> = (1..=200).map(|id| format!("({id}, 'N{id}', {id})")).collect();
    office.sql(&format!("INSERT INTO visits VALUES {}", rows.join(",")));
    let n = std::sync::atomic::AtomicUsize::new(0);
    target.meet(move |entry| {
        let n = n.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Some(match (n % 7, entry.method.as_str()) {
            (3, _) => Scenario::named("rst_after_request"),
            (5, _) => Scenario::named("status_503"),
            (_, "GET") => Scenario::answer("found", false, json(200, "", r#"{"items":[{"number":1}]}"#), End::Keep),
            (1, "POST") => Scenario::answer("there", false, json(409, "", r#"{"error":"exists"}"#), End::Keep),
            _ => item(200, "\"e\"", r#"{"item":{"number":1}}"#),
        })
    });
    let agent = office.agent();
    crate::support::office::wait("all are delivered", || {
        let status = office.run(&["--json", "status"]);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        status["connectors"][0]["delivered"] == 200
    });
    drop(agent);
    let journal = target.journal();
    for id in 1..=200 {
        let own = format!("\"own\":{id},");
        assert!(journal.iter().any(|entry| text(entry).contains(&own)), "{id}");
    }
}
