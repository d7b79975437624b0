//! A mapping in all its forms, through an adapter's file and a plain target, as the shipped binary sends it.

use super::text;
use crate::support::office::{Office, RETRY};
use crate::support::receiver::Receiver;

fn sent(schema: &str, sql: &str, mapping: &str) -> Vec<(String, String)> {
    let target = Receiver::start();
    let office = Office::new(schema);
    office.settings("visits: {}");
    let (url, ca) = (target.url("/in"), target.ca.file());
    let endpoint = format!("endpoint: {{url: \"{url}\", tls: {{ca: \"{}\"}}}}", ca.display());
    office.connector("legacy", &format!("{endpoint}\nstart: beginning\n{RETRY}\nlisten: visits\nmapping:\n{mapping}"));
    let check = office.run(&["check"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(sql);
    let (code, summary) = office.once();
    assert_eq!(code, Some(0), "{summary} {}", office.run(&["deliveries", "list"]).stdout);
    let op = |entry: &crate::support::journal::Entry| entry.header("sync-op").unwrap_or_default().to_owned();
    target.journal().iter().map(|entry| (op(entry), text(entry).to_owned())).collect()
}

#[test]
fn every_form_of_a_line_is_sent_as_it_is_written() {
    let schema = "CREATE TABLE visits(id INTEGER PRIMARY KEY, family TEXT, given TEXT, minutes INTEGER, fee REAL, starts TEXT, state TEXT, lines TEXT, mrn TEXT)";
    let sql = r#"INSERT INTO visits VALUES (7, 'García', 'Ana', 20, 12.5, '2026-03-05 18:05:00', 'booked', '[{"code":"A","qty":"2"},{"code":"B","qty":"1"}]', '77')"#;
    let mapping = r#"  id: [recordId, {to: link, convert: text}]
  family: person.name.family
  given: {to: person.name.given.0, convert: upper}
  minutes: {to: slot.seconds, convert: minutes -> seconds}
  fee: [{to: fee.cents, convert: "scale(2)"}, {to: fee.text, convert: "decimals(2)"}]
  starts: {to: slot.begin, convert: {from: datetime, to: hl7, zone: America/New_York}}
  state: {to: status, lookup: {booked: B}, default: U}
  lines: {to: items, convert: parse_json, each: {code: sku, qty: {to: count, convert: integer}}}
  mrn: [{to: ids.0, convert: "concat('MRN-')"}, {to: ids.1, convert: "uuid5(url)"}]
  office: {to: origin, value: HMS}
  full: {to: person.text, expression: "{family}, {given | first}."}
  total: {to: weight, expression: "{minutes * 2 + id}"}
  $event.op: change
"#;
    let sent = sent(schema, sql, mapping);
    assert_eq!(sent.len(), 1);
    let body: serde_json::Value = serde_json::from_str(&sent[0].1).unwrap();
    let expected = serde_json::json!({
        "recordId": 7, "link": "7",
        "person": {"name": {"family": "García", "given": ["ANA"]}, "text": "García, A."},
        "slot": {"seconds": 1200, "begin": "20260305180500-0500"},
        "fee": {"cents": 1250.0, "text": "12.50"},
        "status": "B",
        "items": [{"sku": "A", "count": 2}, {"sku": "B", "count": 1}],
        "ids": ["MRN-77", "57a5a4a7-9b6e-5d0c-8a3b-000000000000"],
        "origin": "HMS", "weight": 47, "change": "insert"
    });
    let mut body = body;
    let uuid = body["ids"][1].take();
    assert!(uuid.as_str().is_some_and(|uuid| uuid.len() == 36 && uuid.as_bytes()[14] == b'5'), "{uuid}");
    let mut expected = expected;
    expected["ids"][1].take();
    assert_eq!(body, expected);
}

#[test]
fn both_systems_names_are_taken_off_and_a_delete_of_a_key_sends_the_key() {
    let schema = "CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT)";
    let both = sent(
        schema,
        "INSERT INTO visits VALUES (1, 'Ada')",
        "  hms.id: vista.record.id\n  hms.name: vista.record.name\n",
    );
    assert_eq!(both[0].1, "{\"record\":{\"id\":1,\"name\":\"Ada\"}}");
    let one = sent(schema, "INSERT INTO visits VALUES (1, 'Ada')", "  hms.id: id\n  hms.name: vista.name\n");
    assert_eq!(one[0].1, "{\"id\":1,\"vista\":{\"name\":\"Ada\"}}");
    let gone = sent(
        schema,
        "INSERT INTO visits VALUES (1, 'Ada'); DELETE FROM visits WHERE id = 1",
        "  id: id\n  name: {to: name, convert: lower}\n  both: {to: both, expression: \"{id}-{name}\"}\n",
    );
    let deleted = gone.iter().find(|(op, _)| op == "delete").unwrap();
    assert_eq!(deleted.1, "{\"id\":1,\"name\":\"ada\",\"both\":\"1-Ada\"}");
}

#[test]
fn what_a_mapping_cannot_do_holds_that_event_and_is_said_without_its_value() {
    let target = Receiver::start();
    let office = Office::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, lines TEXT)");
    office.settings("visits: {}");
    let (url, ca) = (target.url("/in"), target.ca.file());
    let endpoint = format!("endpoint: {{url: \"{url}\", tls: {{ca: \"{}\"}}}}", ca.display());
    let mapping = "mapping:\n  id: id\n  lines: {to: items, convert: parse_json, each: {code: {to: sku, convert: integer}}}\n  n: {to: n, expression: \"{(lines | length) / (id - 4)}\"}\n";
    office.connector("legacy", &format!("{endpoint}\nstart: beginning\n{RETRY}\nlisten: visits\n{mapping}"));
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(r#"INSERT INTO visits VALUES (1, '[{"code":"1"}]'), (2, '[{"code":"canary"}]'), (3, 'canary'), (4, '[]'), (5, '[7]')"#);
    assert_eq!(office.once().0, Some(1));
    assert_eq!(target.journal().len(), 1);
    let list = office.run(&["deliveries", "list"]).stdout + &office.run(&["--json", "deliveries", "list"]).stdout;
    for says in [
        "`lines`, item 1: field `code`",
        "`parse_json` wants a text that is JSON",
        "expression",
        "`each` wants objects",
    ] {
        assert!(list.contains(says), "{says}: {list}");
    }
    assert!(!list.contains("canary"), "{list}");
}

#[test]
fn the_event_and_the_key_by_themselves_are_whole_and_pass_the_gate_as_fields_do() {
    let target = Receiver::start();
    let adapter = "adapter: site\npush:\n  upsert: {request: {url: \"{base}/a\", json: {e: \"{event}\", k: \"{key}\"}}}\nclassify: [{default: standard}]\n";
    let office = super::office(&target, adapter, "map: {name: n}");
    office.sql("INSERT INTO visits VALUES (7, 'Ada', NULL)");
    let shown = office.run(&["simulate", "--since", "1h"]).stdout;
    for part in [
        "\"type\":\"visits\"",
        "\"op\":\"insert\"",
        "\"id\":\"",
        "\"seq\":1",
        "\"at\":\"",
        "\"log\":\"",
        "\"k\":{\"id\":7}",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    office.add_settings("governance: {classify: {visits: {name: public, id: phi}}, default: public}");
    let shown = office.run(&["simulate", "--since", "1h"]).stdout;
    assert!(shown.contains("field `id` of `visits` may not leave") && !shown.contains("\"k\""), "{shown}");
}
