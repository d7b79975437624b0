//! What an answer means, and what cannot be sent.

use hms_sync::store::state::connector::Mode;

use super::{asked, office, text};
use crate::support::office::wait;
use crate::support::receiver::Receiver;
use crate::support::scenario::{Act, End, Scenario, json};

const SOAP: &str = r#"
adapter: site
hl7In: "xml://return"
parts:
  hl7:
    hl7: |
      MSH|^~\&|HMSSYNC|{office}|IIS|ST|{event.at | convert('rfc3339 -> hl7')}||VXU^V04^VXU_V04|{idempotency}|P|2.5.1
      PID|1||{id}^^^{office}^MR||{name}
push:
  upsert:
    request:
      headers: {Content-Type: 'application/soap+xml; charset=utf-8; action="urn:x"'}
      xml: "<m:hl7Message xmlns:m=\"urn:x\">{parts.hl7}</m:hl7Message>"
classify:
  - {xml: {"//*[local-name()='SecurityFault']": exists}, is: halt, note: the receiver knows neither user nor password}
  - {hl7: {MSA-2: {not: "{idempotency}"}, MSA-1: exists}, is: unknown}
  - {hl7: {MSA-1: AA}, is: success}
  - {hl7: {MSA-1: AE, ERR-4: {all: [W, I]}}, is: success_with_remarks, message: "hl7:ERR-8"}
  - {hl7: {MSA-1: AE}, is: reject, code: "hl7:ERR-3.1", message: "hl7:ERR-8"}
  - {status: ">=500", is: retry, after: "header:Retry-After"}
  - default: unknown
"#;

fn ack(code: &str, key: &str, err: &str) -> Scenario {
    let hl7 = format!("MSH|^~\\&amp;|IIS|ST|||20260305||ACK|9|P|2.5.1&#xD;MSA|{code}|{key}&#xD;{err}");
    let body = format!("<s:Envelope xmlns:s=\"x\"><s:Body><r><return>{hl7}</return></r></s:Body></s:Envelope>");
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: {}\r\n\r\n", body.len());
    Scenario::answer("ack", true, head + &body, End::Keep)
}

#[test]
fn an_hl7_message_in_a_soap_envelope_keeps_its_segments_and_its_answer_decides() {
    let target = Receiver::start();
    let office = office(&target, SOAP, "");
    office.sql("INSERT INTO visits VALUES (1, 'García & <Söhne>|^', NULL)");
    target.meet(|entry| Some(ack("AA", &entry.key, "")));
    assert_eq!(office.once().0, Some(0));
    let journal = target.journal();
    let body = text(&journal[0]);
    assert!(body.starts_with("<m:hl7Message xmlns:m=\"urn:x\">MSH|^~\\&amp;|HMSSYNC|"), "{body}");
    assert!(body.contains("&#xD;PID|1||1^^^"), "{body}");
    assert!(body.contains("García \\T\\ &lt;Söhne&gt;\\F\\\\S\\"), "{body}");
    assert!(body.ends_with("&#xD;</m:hl7Message>") && !body.contains('\r'), "{body}");
    assert!(body.contains(&format!("|VXU^V04^VXU_V04|{}|P|", journal[0].key)), "{body}");
}

#[test]
fn the_same_status_means_what_the_answer_says() {
    for (answer, expected, word) in [
        ("remarks", Some(0), ""),
        ("refused", Some(1), "code 101: *** is missing"),
        ("other", Some(75), "says nothing"),
        ("garbage", Some(75), "says nothing"),
        ("fault", Some(75), "neither user nor password"),
    ] {
        let target = Receiver::start();
        let office = office(&target, SOAP, "");
        office.sql("INSERT INTO visits VALUES (1, 'Smith', NULL)");
        target.meet(move |entry| {
            Some(match answer {
                "remarks" => ack("AE", &entry.key, "ERR|||101^x|W||||careful&#xD;ERR|||102^x|I"),
                "refused" => ack("AE", &entry.key, "ERR|||101^x|W&#xD;ERR|||101^x|E||||Smith is missing"),
                "other" => ack("AA", "another", ""),
                "fault" => {
                    let body = "<f><d:SecurityFault xmlns:d=\"y\"/></f>";
                    let head = format!("HTTP/1.1 500 X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    Scenario::answer("fault", false, head, End::Keep)
                }
                _ => Scenario::answer("garbage", false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", End::Keep),
            })
        });
        let (code, summary) = office.once();
        assert_eq!(code, expected, "{answer}: {summary}");
        let status = office.run(&["--json", "status"]).stdout + &office.run(&["--json", "deliveries", "list"]).stdout;
        assert!(status.contains(word), "{answer}: {status}");
        assert!(!status.contains("Smith"), "{answer}: {status}");
        if answer == "fault" {
            assert_eq!(office.mode("legacy").0, Mode::Halted);
        }
    }
}

#[test]
fn a_field_that_the_record_lacks_parks_that_event_only_and_names_the_field() {
    let target = Receiver::start();
    let adapter = "adapter: site\npush:\n  upsert: {request: {method: PUT, url: \"{base}/{id}\", json: {n: \"{name | integer}\"}}}\n  delete: {request: {method: DELETE, url: \"{base}/{nope}\"}}\nclassify: [{default: standard}]\n";
    let office = office(&target, adapter, "");
    office.sql("INSERT INTO visits VALUES (1, '17', NULL), (2, 'secret', NULL), (3, '18', NULL); DELETE FROM visits WHERE id = 3");
    assert_eq!(office.once().0, Some(1));
    let mut sent = asked(&target.journal());
    sent.sort();
    assert_eq!(sent, ["PUT /srv/1", "PUT /srv/3"]);
    let list = office.run(&["deliveries", "list"]).stdout;
    assert!(list.contains("`name | integer` wants") || list.contains("wants a number"), "{list}");
    assert!(list.contains("the adapter needs `nope`"), "{list}");
    assert!(!list.contains("secret"), "{list}");
}

#[test]
fn what_must_not_be_sent_twice_waits_for_a_person_when_its_answer_is_lost() {
    let target = Receiver::start();
    let adapter = "adapter: site\nrepeatable: false\npush: {upsert: {request: {url: \"{base}/add\", form: {text: \"{name}\"}}}}\nclassify: [{default: standard}]\n";
    let office = office(&target, adapter, "");
    office.sql("INSERT INTO visits VALUES (1, 'a b&c', NULL)");
    target.next(Scenario::named("commit_rst"));
    assert_eq!(office.once().0, Some(1));
    assert_eq!(office.once().0, Some(1));
    let journal = target.journal();
    assert_eq!(asked(&journal), ["POST /srv/add"]);
    assert_eq!(text(&journal[0]), "text=a+b%26c");
    assert!(office.run(&["deliveries", "list"]).stdout.contains("must not be sent twice"));
}

#[test]
fn an_answer_of_many_megabytes_or_a_bomb_decides_nothing_and_stops_nobody_else() {
    let target = Receiver::start();
    let adapter = "adapter: site\npush: {upsert: {request: {method: PUT, url: \"{base}/{id}\", json: {n: \"{id}\"}}}}\nclassify:\n  - {status: 2xx, json: {/ok: true}, is: success}\n  - {status: 5xx, is: retry}\n  - default: unknown\n";
    let office = office(&target, adapter, "concurrency: 1");
    office.sql("INSERT INTO visits VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'c', NULL), (4, 'd', NULL), (5, 'e', NULL), (6, 'f', NULL)");
    target.meet(|entry| {
        Some(match entry.path.as_str() {
            "/srv/2" => {
                let body = format!("{{\"ok\":true,\"x\":\"{}\"}}", "y".repeat(1 << 20));
                Scenario::answer("huge", false, json(200, "", &body), End::Keep)
            }
            "/srv/3" => Scenario::answer("deep", false, json(200, "", &"[".repeat(60_000)), End::Keep),
            _ => Scenario::answer("ok", true, json(200, "", "{\"ok\":true}"), End::Keep),
        })
    });
    let agent = office.agent();
    crate::support::office::wait("the others are delivered", || {
        target.journal().iter().filter(|entry| entry.committed).count() == 4
    });
    drop(agent);
}

/// An answer that is none: what it is, and what is said of it.
fn nonsense(name: &str) -> Scenario {
    let xml = |text: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n", text.len());
        Scenario::answer("xml", false, head + text, End::Keep)
    };
    match name {
        "50 MB" => Scenario {
            name: name.to_owned(),
            act: Act::Flood {
                head: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 52428800\r\n\r\n".to_vec(),
                unit: vec![b' '; 64 * 1024],
                times: 800,
            },
        },
        "gzip bomb" => Scenario::named("gzip_bomb"),
        "invalid UTF-8" => {
            let body = b"{\"ok\":true,\"x\":\"\xff\xfe\"}";
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            Scenario::answer("utf8", false, [head.as_bytes(), body].concat(), End::Keep)
        }
        "broken JSON" => Scenario::named("bad_json"),
        "deep JSON" => Scenario::named("deep_json"),
        "a web page" => Scenario::named("html"),
        "XML bomb" => {
            let lol: String =
                (1..9).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
            xml(&format!("<!DOCTYPE r [<!ENTITY l0 \"lol\">{lol}]><r><ok>&l8;</ok></r>"))
        }
        _ => xml("<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><r><ok>&x;</ok></r>"),
    }
}

const UNDERSTOOD: &str = "adapter: site\npush: {upsert: {request: {method: PUT, url: \"{base}/{id}\", json: {n: \"{id}\"}}}}\nclassify:\n  - {status: 2xx, json: {/ok: true}, is: success}\n  - {status: 2xx, xml: {//ok: exists}, is: success}\n  - {status: 5xx, is: retry}\n  - {default: unknown, note: the answer is not understood}\n";

/// Every answer about record 2 is nonsense: that one waits under a class of its own, however often it is tried, all others
/// arrive, also those that come later; and when its answers have sense again, it is delivered.
#[test]
fn each_bad_answer_has_a_class_of_its_own_parks_that_event_only_and_loses_nothing() {
    for (name, class) in [
        ("50 MB", "long-answer"),
        ("gzip bomb", "content-encoding"),
        ("invalid UTF-8", "not-utf8"),
        ("broken JSON", "not-json"),
        ("deep JSON", "not-json"),
        ("XML bomb", "doctype"),
        ("external entity", "doctype"),
        ("a web page", "html"),
    ] {
        let target = Receiver::start();
        let office = office(&target, UNDERSTOOD, "concurrency: 1");
        office.sql("INSERT INTO visits VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'c', NULL), (4, 'd', NULL)");
        let ok = || Scenario::answer("ok", true, json(200, "", "{\"ok\":true}"), End::Keep);
        target.meet(move |entry| Some(if entry.path == "/srv/2" { nonsense(name) } else { ok() }));
        let agent = office.agent();
        let taken = |path: &str| target.journal().iter().filter(|entry| entry.committed && entry.path == path).count();
        let tried = || target.journal().iter().filter(|entry| entry.path == "/srv/2").count();
        wait(name, || ["/srv/1", "/srv/3", "/srv/4"].iter().all(|path| taken(path) == 1));
        for id in 5..8 {
            // By then it is the only one that is there to be tried, and has failed in a row.
            let before = tried();
            wait(name, || tried() > before + 4);
            office.sql(&format!("INSERT INTO visits VALUES ({id}, 'later', NULL)"));
            wait(name, || taken(&format!("/srv/{id}")) == 1);
        }
        wait(name, || office.parked_words("legacy") == [format!("waiting {class}")]);
        wait(name, || office.mode("legacy").0 == Mode::Running);
        let status = office.run(&["--json", "status", "visits", "2"]).stdout;
        assert!(status.contains(class) && !status.contains("root:"), "{name}: {status}");
        target.meet(move |_| Some(ok()));
        office.wait_settled("legacy");
        assert!(taken("/srv/2") >= 1, "{name}");
        agent.stop();
        let journal = target.journal();
        let second = journal.iter().filter(|entry| entry.path == "/srv/2");
        assert!(crate::support::journal::all_the_same(second), "{name}: one key, the same bytes");
    }
}

/// A new office whose target is a page of somebody else's: nothing is delivered, so it is the target; but another record is
/// tried at once, because it may be the one record after all. Also after a restart.
#[test]
fn a_connector_that_one_record_alone_has_halted_tries_another_at_once() {
    let target = Receiver::start();
    let office = office(&target, UNDERSTOOD, "concurrency: 1");
    office.sql("INSERT INTO visits VALUES (2, 'b', NULL)");
    let ok = || Scenario::answer("ok", true, json(200, "", "{\"ok\":true}"), End::Keep);
    target.meet(move |entry| Some(if entry.path == "/srv/2" { nonsense("a web page") } else { ok() }));
    let agent = office.agent();
    agent.says("halted: meaningless");
    office.sql("INSERT INTO visits VALUES (3, 'c', NULL)");
    target.wait("the other one arrives", |journal| journal.iter().any(|entry| entry.path == "/srv/3"));
    wait("it goes on", || office.mode("legacy").0 == Mode::Running);
    agent.stop();
    target.meet(move |_| Some(nonsense("a web page")));
    let agent = office.agent();
    office.sql("INSERT INTO visits VALUES (4, 'd', NULL), (5, 'e', NULL)");
    agent.says("halted: meaningless");
    agent.stop();
    assert_eq!(office.mode("legacy").0, Mode::Halted);
    target.meet(move |entry| Some(if entry.path == "/srv/2" { nonsense("a web page") } else { ok() }));
    let agent = office.agent();
    let arrived = |path: &str| target.journal().iter().any(|entry| entry.path == path && entry.committed);
    wait("the others arrive after a restart", || arrived("/srv/4") && arrived("/srv/5"));
    agent.stop();
}

#[test]
fn a_field_never_adds_a_header_a_segment_or_a_parameter() {
    let target = Receiver::start();
    let adapter = "adapter: site\npush: {upsert: {request: {method: PUT, url: \"{base}/{id}?q={name}\", headers: {X-Name: \"{name}\"}, json: {}}}}\nclassify: [{default: standard}]\n";
    let office = office(&target, adapter, "");
    office.sql("INSERT INTO visits VALUES (1, 'canary' || char(13) || char(10) || 'X-Evil: yes', NULL), (2, 'good', NULL), (3, 'a&b=c#d', NULL)");
    assert_eq!(office.once().0, Some(1));
    let journal = target.journal();
    let mut paths: Vec<&str> = journal.iter().map(|entry| entry.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/srv/2?q=good", "/srv/3?q=a%26b%3Dc%23d"]);
    assert!(journal.iter().all(|entry| entry.header("x-evil").is_none()));
    let list = office.run(&["deliveries", "list"]).stdout;
    assert!(list.contains("`name`") && !list.contains("canary"), "{list}");
}

#[test]
fn what_a_file_says_of_its_target_holds_unless_the_connector_says_otherwise() {
    let target = Receiver::start();
    let adapter = "adapter: site\nlimits: {rate: 1000/s, concurrency: 1, timeout: 20s, bodyBytes: 40}\nprobe:\n  request: {method: GET, url: \"{base}/health\"}\n  expect:\n    - {status: 200, json: {/up: true}, is: success}\n    - {default: unknown, note: it is not up}\npush: {upsert: {request: {method: PUT, url: \"{base}/{id}\", json: {n: \"{name}\"}}}}\nclassify: [{default: standard}]\n";
    let office = office(&target, adapter, "");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', NULL), (2, 'a name that is too long for forty bytes', NULL)");
    assert_eq!(office.once().0, Some(1));
    assert_eq!(asked(&target.journal()), ["PUT /srv/1"]);
    let list = office.run(&["deliveries", "list"]).stdout;
    assert!(list.contains("the adapter's target takes 40"), "{list}");
    let up = |up: bool| Scenario::answer("up", false, json(200, "", &format!("{{\"up\":{up}}}")), End::Keep);
    target.next(up(true));
    let check = office.run(&["check", "--online"]);
    assert!(check.code == Some(0) && (check.stdout + &check.stderr).contains("answers as it should"));
    target.next(up(false));
    let check = office.run(&["check", "--online"]);
    let said = check.stdout + &check.stderr;
    assert!(check.code == Some(69) && said.contains("not answered as it should: it is not up"), "{said}");
    assert_eq!(asked(&target.journal())[1..], ["GET /srv/health", "GET /srv/health"]);
    target.next(up(true));
    let doctor = office.run(&["doctor", "--online"]);
    assert!((doctor.stdout + &doctor.stderr).contains("answers as it should"));
}

const LIMITED: &str = "adapter: site\nlimits: {LIMITS}\npush: {upsert: {request: {method: PUT, url: \"{base}/{id}\", json: {n: \"{name}\"}}}}\nclassify: [{default: standard}]\n";

/// An office with three visits, limits in the adapter's file, and what the connector says of them.
fn limited(target: &Receiver, limits: &str, more: &str) -> crate::support::office::Office {
    let office = office(target, &LIMITED.replace("LIMITS", limits), more);
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 1), (2, 'Bea', 2), (3, 'Cy', 3)");
    office
}

#[test]
fn a_connector_says_otherwise_than_the_limits_of_its_adapters_file() {
    // Requests in flight: the file allows one, the connector three.
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("ok_late")));
    let office = limited(&target, "concurrency: 1", "concurrency: 3");
    let agent = office.agent();
    target.wait("three are under way at once", |journal| journal.len() == 3);
    target.let_go();
    target.behave();
    office.wait_settled("legacy");
    agent.stop();

    // The file's one is kept to where the connector says nothing.
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("ok_late")));
    let office = limited(&target, "concurrency: 1", "");
    let agent = office.agent();
    target.wait("one is under way", |journal| journal.len() == 1);
    assert_eq!(target.journal().len(), 1);
    target.behave();
    target.let_go();
    office.wait_settled("legacy");
    agent.stop();

    // One an hour by the file would not end with this run.
    let target = Receiver::start();
    let office = limited(&target, "rate: 1/h", "rate: 1000/s");
    assert_eq!(office.once().0, Some(0));
    assert_eq!(target.journal().len(), 3);
}

#[test]
fn the_time_for_a_call_is_the_connectors_and_else_that_of_its_adapters_file() {
    for (limits, own) in [("timeout: 300ms", ""), ("timeout: 10m", "timeout: 300ms, ")] {
        let target = Receiver::start();
        target.meet(|_| Some(Scenario::named("hang")));
        let office = limited(&target, limits, "");
        let path = office.config().join("connectors/legacy.yaml");
        let file = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, file.replace("endpoint: {", &format!("endpoint: {{{own}"))).unwrap();
        assert_eq!(office.once().0, Some(75), "{limits}{own}");
        let words = office.outcomes_of_the_last("legacy");
        assert!(words.iter().all(|word| word == "unknown timeout"), "{limits}{own}: {words:?}");
    }
}

#[test]
fn more_of_an_answer_is_read_where_the_adapters_file_asks_for_it() {
    for (limits, code) in [("rate: 100/s", Some(75)), ("answerBytes: 200KB", Some(0))] {
        let target = Receiver::start();
        let file = LIMITED.replace("LIMITS", limits).replace(
            "classify: [{default: standard}]",
            "classify: [{status: 200, json: {/ok: true}, is: success}, {default: unknown}]",
        );
        let office = office(&target, &file, "");
        office.sql("INSERT INTO visits VALUES (1, 'Ada', 1)");
        target.meet(|_| {
            let body = format!("{{\"ok\":true,\"x\":\"{}\"}}", "y".repeat(150_000));
            Some(Scenario::answer("long", true, json(200, "", &body), End::Keep))
        });
        assert_eq!(office.once().0, code, "{limits}");
    }
    let target = Receiver::start();
    for (limits, says) in
        [("answerBytes: 9MiB", "so much of an answer is not read"), ("answerBytes: much", "is not a size")]
    {
        let office = super::unchecked(&target, &LIMITED.replace("LIMITS", limits), "");
        let check = office.run(&["check"]);
        let said = check.stdout + &check.stderr;
        assert!(check.code == Some(78) && said.contains(says), "{said}");
    }
}
