//! Several records in one request in parts (`multipart/mixed`, OData `$batch`), what the answer says of each, and what is kept of
//! it.

use super::{asked, office, text, unchecked};
use crate::support::journal::Entry;
use crate::support::office::{Office, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::{End, Scenario, json};

/// What a target keeps of records: numbers of its own, and versions.
const KEPT: &str = r#"
adapter: site
push:
  create: {request: {url: "{base}/people", json: {ours: "{id}", name: "{name}"}}, capture: {number: "json:/number"}}
  update: {request: {method: PUT, url: "{base}/people/{link.number}", headers: {If-Match: "{link.etag}"}, json: {name: "{name}"}}, capture: {etag: "header:ETag"}}
  delete: {request: {method: DELETE, url: "{base}/people/{link.number}"}}
batch:
  key: "{id}"
  items:
    create: {json: {ours: "{id}", name: "{name}"}}
  request: {url: "{base}/all", json: "{items}"}
  classify: [{status: 200, is: success}, {default: standard}]
  results:
    in: json:/*
    key: /ours
    status: /status
    classify:
      - {status: 2xx, is: success}
      - {status: 422, is: reject, message: "json:/why"}
      - default: unknown
    capture: {number: "json:/number", etag: "json:/etag"}
classify: [{default: standard}]
"#;

fn three(office: &Office) {
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 1), (2, 'Bea', 2), (3, 'Cy', 3)");
}

fn ids(entry: &Entry) -> Vec<i64> {
    let body: Vec<serde_json::Value> = serde_json::from_slice(&entry.body).unwrap();
    body.iter().map(|record| record["ours"].as_i64().unwrap()).collect()
}

#[test]
fn results_are_found_by_their_key_and_what_they_leave_is_used_for_each_record_after_a_restart() {
    let target = Receiver::start();
    let office = office(&target, KEPT, "batch: {}");
    three(&office);
    target.answer(|entry| {
        if entry.path != "/srv/all" {
            let bytes =
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"v2\"\r\nContent-Length: 2\r\n\r\n{}";
            return Some(Scenario::answer("one", true, bytes.to_vec(), End::Keep));
        }
        // In another order than they came in, and of one nothing is said.
        let said: Vec<String> = ids(entry)
            .iter()
            .rev()
            .filter_map(|id| match id {
                2 => Some("{\"ours\":2,\"status\":422,\"why\":\"Bea is no name\"}".to_owned()),
                3 => None,
                id => Some(format!("{{\"ours\":{id},\"status\":201,\"number\":\"N{id}\",\"etag\":\"\\\"v{id}\\\"\"}}")),
            })
            .collect();
        Some(Scenario::answer("all", true, json(200, "", &format!("[{}]", said.join(","))), End::Keep))
    });
    assert_eq!(office.once().0, Some(1));
    assert_eq!(ids(&target.journal()[0]), [1, 2, 3]);
    let words = office.parked_words("legacy");
    assert!(words.contains(&"dead http-422".to_owned()) && words.len() == 2, "{words:?}");
    office.sql("UPDATE visits SET name = 'Ada B' WHERE id = 1");
    office.once();
    office.sql("UPDATE visits SET name = 'Ada C' WHERE id = 1");
    office.once();
    office.sql("DELETE FROM visits WHERE id = 1");
    office.once();
    let journal = target.journal();
    let own: Vec<&Entry> = journal.iter().filter(|entry| entry.path.starts_with("/srv/people")).collect();
    let lines: Vec<String> = own.iter().map(|entry| format!("{} {}", entry.method, entry.path)).collect();
    assert_eq!(lines, ["PUT /srv/people/N1", "PUT /srv/people/N1", "DELETE /srv/people/N1"]);
    let versions: Vec<_> = own.iter().filter_map(|entry| entry.header("if-match")).collect();
    assert_eq!(versions, ["\"v1\"", "\"v2\""]);
}

const BATCH: &str = r#"
adapter: site
push:
  upsert: {request: {method: PUT, url: "{base}/ApptSet('{id | odata}')", json: {Name: "{name}"}}}
  delete: {request: {method: DELETE, url: "{base}/ApptSet('{id | odata}')"}, classify: [{status: 404, is: success}]}
batch:
  max: 50
  MORE
  items:
    upsert: {request: {method: PUT, url: "{base}/ApptSet('{id | odata}')", headers: {Accept: application/json}, json: {Name: "{name}"}}}
    delete: {request: {method: DELETE, url: "{base}/ApptSet('{id | odata}')"}}
  request: {url: "{base}/$batch", mixed: {changesets: SETS, urls: URLS}}
  classify: [{status: [200, 202], is: success}, {default: standard}]
  results:
    in: parts
    classify:
      - {status: 2xx, is: success}
      - {status: 412, is: conflict}
      - {status: 503, is: retry}
      - {status: 4xx, is: reject, code: "json:/error/code", message: "json:/error/message"}
      - default: unknown
    capture: {etag: "header:ETag"}
classify: [{default: standard}]
"#;

fn batch(sets: &str, urls: &str) -> String {
    let more = if sets == "one" { "atomic: true" } else { "key: \"{id}\"" };
    BATCH.replace("MORE", more).replace("SETS", sets).replace("URLS", urls)
}

/// The requests within a request: their numbers, lines and bodies.
fn inner(entry: &Entry) -> Vec<(String, String, String)> {
    let body = text(entry);
    let head = |part: &str, name: &str| {
        part.lines().find_map(|line| line.strip_prefix(name)).map_or(String::new(), |value| value.trim().to_owned())
    };
    body.split("Content-Type: application/http\r\n")
        .skip(1)
        .map(|part| {
            let mut pieces = part.splitn(3, "\r\n\r\n");
            let (of_part, request) = (pieces.next().unwrap(), pieces.next().unwrap());
            let body = pieces.next().unwrap_or_default().split("\r\n--").next().unwrap_or_default();
            (head(of_part, "Content-ID:"), request.lines().next().unwrap().to_owned(), body.to_owned())
        })
        .collect()
}

fn part(number: Option<&str>, status: &str, more: &str, body: &str) -> String {
    let id = number.map_or(String::new(), |number| format!("Content-ID: <response-{number}>\r\n"));
    let length = body.len();
    format!(
        "Content-Type: application/http\r\n{id}\r\nHTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n{body}\r\n"
    )
}

fn mixed(status: u16, parts: &[String]) -> Scenario {
    let body: String = parts.iter().map(|part| format!("--answer\r\n{part}")).collect::<String>() + "--answer--\r\n";
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: multipart/mixed; boundary=answer\r\nContent-Length: {length}\r\n\r\n"
    );
    Scenario::answer("mixed", true, head + &body, End::Keep)
}

fn changeset(parts: &[String]) -> String {
    let body: String = parts.iter().map(|part| format!("--set\r\n{part}")).collect();
    format!("Content-Type: multipart/mixed; boundary=set\r\n\r\n{body}--set--\r\n\r\n")
}

const NO: &str = "{\"error\":{\"code\":\"SY/1\",\"message\":\"Bea is no name\"}}";

#[test]
fn each_request_of_a_batch_in_parts_has_the_outcome_of_its_own_part() {
    let target = Receiver::start();
    let office = office(&target, &batch("each", "relative"), "batch: {}");
    three(&office);
    target.answer(|entry| {
        let parts: Vec<String> = inner(entry)
            .iter()
            .map(|(_, line, _)| match line.contains("('2')") {
                // What is refused has no changeset around it (OData v2).
                true => part(None, "400 No", "Content-Type: application/json\r\n", NO),
                false => changeset(&[part(None, "204 No Content", "ETag: W/\"1\"\r\n", "")]),
            })
            .collect();
        Some(mixed(202, &parts))
    });
    assert_eq!(office.once().0, Some(1));
    let journal = target.journal();
    assert_eq!(asked(&journal), ["POST /srv/$batch"]);
    let boundary = journal[0].header("content-type").unwrap().split_once("boundary=").unwrap().1.to_owned();
    assert!(text(&journal[0]).ends_with(&format!("--{boundary}--\r\n")), "{}", text(&journal[0]));
    let said = inner(&journal[0]);
    assert_eq!(said[0], ("1".to_owned(), "PUT ApptSet('1') HTTP/1.1".to_owned(), "{\"Name\":\"Ada\"}".to_owned()));
    assert_eq!(text(&journal[0]).matches("multipart/mixed; boundary=changeset_").count(), 3);
    assert_eq!(office.parked_words("legacy"), ["dead http-400"]);
    let list = office.run(&["deliveries", "list"]).stdout;
    assert!(list.contains("code SY/1: *** is no name") && !list.contains("Bea is"), "{list}");
}

#[test]
fn a_changeset_that_is_taken_whole_or_not_is_halved_until_the_one_at_fault_is_alone() {
    let target = Receiver::start();
    let office = office(&target, &batch("one", "path"), "batch: {}\nconcurrency: 1");
    let rows: Vec<String> = (1..=16).map(|id| format!("({id}, 'P{id}', {id})")).collect();
    office.sql(&format!("INSERT INTO visits VALUES {}", rows.join(",")));
    target.answer(|entry| {
        let requests = inner(entry);
        let bad = requests.iter().any(|(_, line, _)| line.contains("('5')"));
        Some(mixed(
            202,
            &[match bad {
                true => part(None, "400 No", "Content-Type: application/json\r\n", NO),
                false => {
                    let each = |_| part(None, "204 No Content", "ETag: W/\"1\"\r\n", "");
                    changeset(&requests.iter().map(each).collect::<Vec<_>>())
                }
            }],
        ))
    });
    assert_eq!(office.once().0, Some(1));
    assert_eq!(office.parked_words("legacy"), ["dead http-400"]);
    assert_eq!(office.parked("legacy")[0].event.key.get("id"), Some(&hms_sync::event::Value::Integer(5)));
    let journal = target.journal();
    assert!(inner(&journal[0])[0].1.starts_with("PUT /srv/ApptSet('1') HTTP/1.1"), "{:?}", inner(&journal[0])[0]);
    let taken = |id: usize| {
        let with = |entry: &&Entry| inner(entry).iter().any(|(_, line, _)| line.contains(&format!("('{id}')")));
        let good = |entry: &&Entry| !inner(entry).iter().any(|(_, line, _)| line.contains("('5')"));
        journal.iter().filter(with).filter(good).count()
    };
    assert!((1..=16).all(|id| taken(id) == usize::from(id != 5)), "each once, where the bad one was not with it");
}

#[test]
fn parts_that_name_the_requests_that_they_answer_may_come_in_any_order() {
    let target = Receiver::start();
    let office = office(&target, &batch("none", "whole"), "batch: {}");
    three(&office);
    target.answer(|entry| {
        let requests = inner(entry);
        let parts = requests.iter().rev().map(|(number, line, _)| match line.contains("('2')") {
            true => part(Some(number), "400 No", "Content-Type: application/json\r\n", NO),
            false => part(Some(number), "200 OK", "Content-Type: application/json\r\n", "{}"),
        });
        Some(mixed(200, &parts.collect::<Vec<_>>()))
    });
    assert_eq!(office.once().0, Some(1));
    assert!(inner(&target.journal()[0])[0].1.starts_with("PUT https://"), "{:?}", inner(&target.journal()[0]));
    assert_eq!(office.parked("legacy").iter().map(|parked| parked.event.seq()).collect::<Vec<_>>(), [2]);
}

#[test]
fn an_answer_in_parts_that_is_cut_or_says_too_little_is_unknown_and_its_records_go_again_in_halves() {
    for short in [false, true] {
        let target = Receiver::start();
        let office = office(&target, &batch("none", "relative"), "batch: {}");
        three(&office);
        let asked_before = std::sync::atomic::AtomicBool::new(false);
        target.answer(move |entry| {
            if asked_before.swap(true, std::sync::atomic::Ordering::SeqCst) {
                let each = |_| part(None, "200 OK", "", "{}");
                return Some(mixed(200, &inner(entry).iter().map(each).collect::<Vec<_>>()));
            }
            Some(match short {
                true => mixed(200, &[part(None, "200 OK", "", "{}")]),
                false => {
                    let body = "--answer\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
                    let head = "HTTP/1.1 200 X\r\nContent-Type: multipart/mixed; boundary=answer\r\n";
                    let bytes = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                    Scenario::answer("cut", true, bytes, End::Keep)
                }
            })
        });
        wait("all are taken", || office.once().0 == Some(0));
        let journal = target.journal();
        let sent: Vec<Vec<String>> = journal
            .iter()
            .map(|entry| inner(entry).into_iter().map(|(_, line, body)| line + &body).collect())
            .collect();
        assert_eq!((sent.len(), sent[0].len()), (3, 3), "{short}: {sent:?}");
        let mut again: Vec<String> = sent[1..].concat();
        again.sort();
        assert_eq!(again, sent[0], "{short}: each once more, as it was");
    }
}

#[test]
fn what_is_wrong_with_a_batch_in_parts_is_said_with_its_place() {
    let target = Receiver::start();
    for (file, says) in [
        (batch("one", "relative").replace("atomic: true", "max: 7"), "is given twice"),
        (
            batch("one", "relative").replace("atomic: true", "key: \"{id}\""),
            "a changeset of all records is taken whole or not",
        ),
        (
            batch("each", "relative").replace("mixed: {changesets: each, urls: relative}", "json: \"{items}\""),
            "does not fit the body",
        ),
        (batch("each", "relative").replace("in: parts", "in: parts\n    key: /id"), "a part has its own status"),
        (batch("each", "relative").replace("changesets: each", "changesets: all"), "changesets"),
        (
            KEPT.replace("in: json:/*", "in: parts").replace("    key: /ours\n    status: /status\n", ""),
            "`in: parts` is for answers to requests in parts",
        ),
        (KEPT.replace("{link.etag}", "{link.etga}"), "did you mean `etag`"),
    ] {
        let office = unchecked(&target, &file, "batch: {}");
        let check = office.run(&["check"]);
        let said = check.stdout + &check.stderr;
        assert!(check.code == Some(78) && said.contains(says), "{says}\nis not said: {said}");
        assert!(said.contains("adapters/site.yaml:"), "{said}");
    }
}
