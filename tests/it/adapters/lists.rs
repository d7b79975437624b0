//! Several records in one request of an adapter's file, and what its answer says of each.

use serde_json::Value;

use super::{office, text};
use crate::support::journal::Entry;
use crate::support::office::Office;
use crate::support::receiver::Receiver;
use crate::support::scenario::{End, Scenario, json};

const LISTS: &str = r#"
adapter: site
push:
  upsert: {request: {method: PUT, url: "{base}/one/{id}", json: {n: "{name}"}}}
  delete: {request: {method: DELETE, url: "{base}/one/{id}"}}
batch:
  max: 50
  key: "{name}"
  items:
    upsert: {json: {id: "{id}", name: "{name}", minutes: "{minutes}"}}
  request: {url: "{base}/all", json: {office: "{office}", records: "{items}"}}
  classify: [{status: 200, is: success}, {default: standard}]
  results:
    in: json:/results/*
    status: /status
    classify:
      - {status: 2xx, is: success}
      - {status: 503, is: retry}
      - {status: 422, is: reject, message: "json:/why"}
      - default: unknown
classify: [{default: standard}]
"#;

fn names(entry: &Entry) -> Vec<String> {
    let body: Value = serde_json::from_slice(&entry.body).unwrap();
    let records = body["records"].as_array().unwrap();
    records.iter().map(|record| record["name"].as_str().unwrap().to_owned()).collect()
}

/// Answers each record by its name.
fn by_name(target: &Receiver, status: impl Fn(&str) -> (u16, &'static str) + Send + 'static) {
    target.answer(move |entry| {
        if entry.path != "/srv/all" {
            return None;
        }
        let results: Vec<String> = names(entry)
            .iter()
            .map(|name| match status(name) {
                (status, "") => format!("{{\"status\":{status}}}"),
                (status, why) => format!("{{\"status\":\"{status} X\",\"why\":\"{why}\"}}"),
            })
            .collect();
        let body = format!("{{\"results\":[{}]}}", results.join(","));
        Some(Scenario::answer("each", true, json(200, "", &body), End::Keep))
    });
}

fn insert(office: &Office, from: i64, to: i64) {
    let rows: Vec<String> = (from..=to).map(|id| format!("({id}, 'Person{id}', {id})")).collect();
    office.sql(&format!("INSERT INTO visits VALUES {}", rows.join(",")));
}

#[test]
fn records_travel_in_the_body_that_the_file_describes_and_deletes_go_alone() {
    let target = Receiver::start();
    let office = office(&target, LISTS, "batch: {max: 20}");
    insert(&office, 1, 60);
    office.sql("DELETE FROM visits WHERE id = 60");
    by_name(&target, |_| (200, ""));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let lists: Vec<&Entry> = journal.iter().filter(|entry| entry.path == "/srv/all").collect();
    let sizes: Vec<usize> = lists.iter().map(|entry| names(entry).len()).collect();
    assert_eq!((sizes.iter().sum::<usize>(), sizes.iter().max()), (60, Some(&20)), "{sizes:?}");
    // Which of them arrives first is a matter of the connections.
    let begins = "\"records\":[{\"id\":1,\"name\":\"Person1\",\"minutes\":1},";
    assert!(lists.iter().any(|list| text(list).contains(begins)), "{}", text(lists[0]));
    assert!(lists.iter().all(|entry| entry.header("sync-keys").is_none() && !entry.key.is_empty()));
    assert_eq!(journal.iter().filter(|entry| entry.path == "/srv/one/60" && entry.method == "DELETE").count(), 1);
}

#[test]
fn each_record_has_the_outcome_that_its_result_says_and_only_that_one_waits_or_is_parked() {
    let target = Receiver::start();
    let office = office(&target, LISTS, "batch: {}");
    insert(&office, 1, 10);
    by_name(&target, |name| match name {
        "Person3" => (422, "Person3 is no name"),
        "Person7" => (503, ""),
        _ => (201, ""),
    });
    assert_eq!(office.once().0, Some(1));
    assert_eq!(names(&target.journal()[0]).len(), 10);
    let words = office.parked_words("legacy");
    assert!(words.contains(&"dead http-422".to_owned()) && words.len() == 2, "{words:?}");
    let list = office.run(&["deliveries", "list"]).stdout;
    assert!(list.contains("*** is no name") && !list.contains("Person3 is"), "{list}");
    by_name(&target, |_| (200, ""));
    let agent = office.agent();
    target.wait("the one that waited is taken", |journal| {
        journal.last().is_some_and(|entry| names(entry) == ["Person7"])
    });
    agent.stop();
}

#[test]
fn two_records_of_one_name_at_the_target_never_stand_in_one_request() {
    let target = Receiver::start();
    let office = office(&target, LISTS, "batch: {}\nconcurrency: 1");
    office.sql("INSERT INTO visits VALUES (1, 'same', 1), (2, 'other', 2), (3, 'same', 3), (4, 'more', 4)");
    by_name(&target, |_| (200, ""));
    assert_eq!(office.once().0, Some(0));
    for entry in target.journal() {
        let mut names = names(&entry);
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{}", text(&entry));
    }
}

#[test]
fn of_a_list_that_is_taken_whole_or_not_the_one_at_fault_is_found_and_parked_alone() {
    for (name, atomic) in [("no results", ""), ("results", "  atomic: true\n")] {
        let target = Receiver::start();
        let file = match atomic {
            "" => {
                let (before, after) = LISTS.split_once("  results:\n").unwrap();
                format!(
                    "{before}{}",
                    &after[after
                        .find("classify: [{default: standard}]\n\"")
                        .unwrap_or(after.rfind("classify:").unwrap())..]
                )
            }
            atomic => LISTS.replace("  key: \"{name}\"\n", &format!("  key: \"{{name}}\"\n{atomic}")),
        };
        let office = office(&target, &file, "batch: {}\nconcurrency: 1");
        insert(&office, 1, 16);
        let whole = atomic.is_empty();
        target.answer(move |entry| {
            let bad = |name: &String| name == "Person5";
            let body = match (whole, names(entry).iter().any(bad)) {
                (true, true) => return Some(Scenario::named("refused")),
                (_, false) => names(entry).iter().map(|_| "{\"status\":200}").collect::<Vec<_>>().join(","),
                (false, true) => names(entry)
                    .iter()
                    .map(|name| if bad(name) { "{\"status\":422}" } else { "{\"status\":200}" })
                    .collect::<Vec<_>>()
                    .join(","),
            };
            let body = format!("{{\"results\":[{body}]}}");
            Some(Scenario::answer("list", true, json(200, "", &body), End::Keep))
        });
        assert_eq!(office.once().0, Some(1), "{name}");
        assert_eq!(office.parked_words("legacy"), ["dead http-422"], "{name}");
        let fifth = target.journal().iter().filter(|entry| names(entry).contains(&"Person5".to_owned())).count();
        assert!(fifth >= 4, "{name}: halved until it was alone: {fifth}");
    }
}

#[test]
fn a_list_whose_answer_was_lost_is_sent_again_as_the_same_request_after_a_kill() {
    let target = Receiver::start();
    let office = office(&target, LISTS, "batch: {}");
    insert(&office, 1, 8);
    target.next(Scenario::named("commit_hang"));
    let agent = office.agent();
    target.wait("it has arrived", |journal| journal.len() == 1);
    agent.kill();
    insert(&office, 9, 12);
    by_name(&target, |_| (200, ""));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let (first, again) =
        (&journal[0], journal.iter().skip(1).find(|entry| names(entry).contains(&"Person1".to_owned())).unwrap());
    assert_eq!((&again.key, &again.body, &again.path), (&first.key, &first.body, &first.path));
}

#[test]
fn lists_can_be_lines_or_elements_or_fields_of_a_form() {
    for (item, request, body) in [
        (
            "{json: {id: \"{id}\"}}",
            "{url: \"{base}/all\", headers: {Content-Type: application/x-ndjson}, text: \"{items}\"}",
            "{\"id\":1}\n{\"id\":2}\n",
        ),
        ("{text: \"{id};{name}\"}", "{url: \"{base}/all\", text: \"HEAD\\n{items}\"}", "HEAD\n1;A&B\n2;C\n"),
        (
            "{xml: \"<v id='{id}'>{name}</v>\"}",
            "{url: \"{base}/all\", xml: \"<l>{items}</l>\"}",
            "<l><v id='1'>A&amp;B</v><v id='2'>C</v></l>",
        ),
        (
            "{json: {n: \"{name}\"}, list: adds}",
            "{url: \"{base}/all\", form: {f: json, adds: \"{items.adds}\"}}",
            "f=json&adds=%5B%7B%22n%22%3A%22A%26B%22%7D%2C%7B%22n%22%3A%22C%22%7D%5D",
        ),
    ] {
        let target = Receiver::start();
        let file = format!(
            "adapter: site\npush: {{upsert: {{request: {{}}}}}}\nbatch:\n  items: {{upsert: {item}}}\n  request: {request}\n  classify: [{{default: standard}}]\nclassify: [{{default: standard}}]\n"
        );
        let office = office(&target, &file, "batch: {}");
        office.sql("INSERT INTO visits VALUES (1, 'A&B', 1), (2, 'C', 2)");
        assert_eq!(office.once().0, Some(0));
        let journal = target.journal();
        assert_eq!(text(&journal[0]), body);
    }
}

#[test]
fn what_is_wrong_with_a_batch_is_said_with_its_place() {
    let target = Receiver::start();
    let file = |batch: &str| {
        format!(
            "adapter: site\npush: {{upsert: {{request: {{}}}}}}\nbatch: {batch}\nclassify: [{{default: standard}}]\n"
        )
    };
    let whole = "classify: [{default: standard}]";
    for (batch, says) in [
        (
            format!("{{items: {{}}, request: {{json: \"{{items}}\"}}, {whole}}}"),
            "says nothing (say what stands for a record",
        ),
        (
            format!("{{items: {{upsert: {{json: {{a: 1}}}}}}, request: {{json: {{}}}}, {whole}}}"),
            "the request does not hold `{items}`",
        ),
        (
            format!(
                "{{items: {{upsert: {{json: {{a: \"{{link.x}}\"}}}}}}, request: {{json: \"{{items}}\"}}, {whole}}}"
            ),
            "a record among several has no `link`",
        ),
        (
            format!(
                "{{items: {{upsert: {{json: {{a: 1}}}}}}, request: {{url: \"{{base}}/{{id}}\", json: \"{{items}}\"}}, {whole}}}"
            ),
            "has no one record's `id`",
        ),
        (
            format!("{{items: {{upsert: {{json: {{a: 1}}}}}}, request: {{json: \"{{items | length}}\"}}, {whole}}}"),
            "a list of records stands by itself",
        ),
        (
            format!("{{items: {{upsert: {{json: {{a: 1}}}}}}, request: {{json: \"a {{items}}\"}}, {whole}}}"),
            "stands where it cannot be filled in",
        ),
        (
            format!("{{items: {{upsert: {{xml: \"<a/>\"}}}}, request: {{json: \"{{items}}\"}}, {whole}}}"),
            "does not fit the body of the request",
        ),
        (
            format!(
                "{{items: {{upsert: {{json: {{a: 1}}, list: adds}}}}, request: {{form: {{a: \"{{items.ads}}\"}}}}, {whole}}}"
            ),
            "there is no list `ads`: did you mean `adds`?",
        ),
        (
            format!(
                "{{items: {{upsert: {{json: {{a: 1}}}}}}, request: {{json: \"{{items}}\"}}, {whole}, results: {{in: json:/*, key: /id, {whole}}}}}"
            ),
            "nothing says what does",
        ),
        (
            format!(
                "{{steps: [{{id: a, request: {{json: \"{{items}}\"}}, {whole}}}, {{id: b, request: {{json: \"{{items}}\"}}, {whole}}}], items: {{upsert: {{json: {{a: 1}}}}}}}}"
            ),
            "is never reached",
        ),
        (
            format!("{{max: 1, items: {{upsert: {{json: {{a: 1}}}}}}, request: {{json: \"{{items}}\"}}, {whole}}}"),
            "1 is not between 2 and",
        ),
    ] {
        let office = super::unchecked(&target, &file(&batch), "");
        let check = office.run(&["check"]);
        let said = check.stdout + &check.stderr;
        assert!(check.code == Some(78) && said.contains(says), "{batch}\nsays: {said}");
        assert!(said.contains("adapters/site.yaml:3:"), "{said}");
    }
    let twice = file(&format!("{{items: {{upsert: {{json: {{a: 1}}}}}}, request: {{json: \"{{items}}\"}}, {whole}}}"));
    let office = super::unchecked(&target, &format!("repeatable: false\n{twice}"), "");
    let check = office.run(&["check"]);
    let said = check.stdout + &check.stderr;
    assert!(check.code == Some(78) && said.contains("does not go with `repeatable: false`"), "{said}");
    let none = "adapter: site\npush: {upsert: {request: {}}}\nclassify: [{default: standard}]\n";
    for (more, says) in [
        ("batch: {max: 10}", "the adapter site says nothing of several records in one request"),
        ("batch: {shape: array}", "the adapter's file says how records stand in a request"),
    ] {
        let office = super::unchecked(&target, none, more);
        let check = office.run(&["check"]);
        let said = check.stdout + &check.stderr;
        assert!(check.code == Some(78) && said.contains(says), "{said}");
    }
}
