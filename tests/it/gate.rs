//! The gate from outside: what it says of itself, what views show, what comes in, and what a new policy changes.

use serde_json::{Value, json};

use crate::support::desk::Desk;
use crate::support::loopback::Way;
use crate::support::office::{Office, wait};
use crate::support::receiver::Receiver;

const SCHEMA: &str = "CREATE TABLE people(mrn INTEGER PRIMARY KEY, ssn TEXT, name TEXT, city TEXT, note TEXT)";
const CLASSES: &str = "governance: {classify: {patient: {mrn: internal, ssn: phi, name: pii, city: public}}}";

fn desk(connector: &str) -> Desk {
    let desk = Desk::new(SCHEMA);
    desk.settings(&format!("watch: {{people: {{as: patient}}}}\n{CLASSES}"));
    desk.connector("vista", &format!("target: {{url: 'https://x.example/{{mrn}}', method: PUT}}\n{connector}"));
    desk
}

/// The fields of the first sheet as `field class verdict to rule`.
fn fields(said: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |field: &Value| {
        let to: Vec<String> = field["to"].as_array().unwrap().iter().map(text).collect();
        format!(
            "{} {} {} {} ({})",
            text(&field["field"]),
            text(&field["class"]),
            text(&field["verdict"]),
            to.join("+"),
            text(&field["rule"])
        )
    };
    said[0]["fields"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn field_by_field_it_is_said_what_would_leave_and_why_and_77_when_something_is_refused() {
    let desk = desk(
        "map: {city: town.name, name: who, $before.ssn: was, $event.id: event, note: note, mrn: n}\nallow: [internal]\nredact: {name: hash}",
    );
    let said = desk.ends(77, &["--json", "gate", "explain", "vista", "patient"]).json();
    assert_eq!(
        fields(&said),
        [
            "mrn internal leaves n+URL or Idem-Key (class internal is in allow)",
            "ssn phi not mapped  (nothing reads it)",
            "name pii hashed who (redact: hash)",
            "city public refused town.name (class public is not in allow)",
            "note - refused note (unclassified: it is not listed, and there is no default)",
            "$before.ssn phi refused was (class phi is not in allow)",
            "$event.id - leaves event (known of the event itself)",
        ]
    );
    assert_eq!((&said[0]["refused"], &said[0]["allow"]), (&json!(true), &json!(["internal"])));
    let page = desk.ends(77, &["gate", "explain", "vista", "people"]);
    assert!(page.out.contains("vista, patient: classes that may leave: internal"), "{page:?}");
    assert!(page.out.contains("-> events that have a refused field are held"), "{page:?}");
    let glance = desk.ends(77, &["gate", "explain"]);
    assert!(glance.out.contains("REFUSED") && glance.out.contains("vista"), "{glance:?}");
    // What it refuses `check` lists too, once.
    let check = desk.ends(0, &["check"]).out;
    let line = "`city` (public), `note` (unclassified), `ssn` (phi) of `patient` may not leave: its events are held";
    assert_eq!(check.matches("may not leave").count(), 1, "{check}");
    assert!(check.contains(line) && check.contains("`hms-sync gate explain vista patient`"), "{check}");
}

#[test]
fn without_a_refusal_it_ends_well_and_what_is_not_there_is_said() {
    let desk = desk("listen: patient\nmap: {city: city}\nallow: [public, internal]");
    let said = desk.ends(0, &["--json", "gate", "explain", "vista"]).json();
    assert_eq!((said.as_array().unwrap().len(), &said[0]["refused"]), (1, &json!(false)));
    assert!(desk.ends(2, &["gate", "explain", "vitsa"]).err.contains("did you mean `vista`?"));
    assert!(desk.ends(65, &["gate", "explain", "vista", "visits"]).err.contains("does not listen to `visits`"));
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {people: {as: patient}}");
    desk.connector("vista", "target: {url: 'https://x.example/{mrn}', method: PUT}");
    let page = desk.ends(0, &["gate", "explain", "vista", "patient"]).out;
    assert!(page.contains("nothing is classified"), "{page}");
}

#[test]
fn of_a_type_that_is_posted_the_fields_that_are_known_are_explained_and_all_others_at_once() {
    let desk = Desk::new(SCHEMA);
    desk.settings("governance: {classify: {rule: {id: public, who.ssn: phi}}}");
    desk.connector("vista", "listen: rule\ntarget: {url: 'https://x.example/x'}");
    let said = desk.ends(77, &["--json", "gate", "explain", "vista", "rule"]).json();
    assert_eq!(
        fields(&said),
        [
            "id public leaves id (class public is in allow)",
            "who - refused who (unclassified: it is not listed, and there is no default)",
            "(any other field) - refused (any other field) (unclassified: it is not listed, and there is no default)",
            "who.ssn phi refused who.ssn (class phi is not in allow)",
        ]
    );
}

#[test]
fn a_slip_in_the_section_is_explained_with_file_and_line() {
    let desk = desk("allow: [interal]");
    assert!(desk.ends(78, &["check"]).out.contains("did you mean `internal`?"));
    for (section, says) in [
        ("{veiws: {allow: [public]}}", "did you mean `views`?"),
        ("{classify: {patient: {ssn: phi}}, views: {allow: [fi, phi]}}", "there is no class `fi`"),
        ("{views: {}}", "governance.views"),
        ("{inbound: [phi]}", "governance.inbound"),
        ("{hook: {}}", "says neither `url` nor `exec`"),
        ("{hook: {url: 'http://elsewhere.example/x'}}", "is plain http to another machine"),
        ("{hook: {exec: [gate]}}", "full path of a program"),
        ("{hook: {exec: [/bin/gate], concurrency: 3}}", "belongs to a `url`"),
        ("{hook: {exec: [/bin/gate], url: 'https://x.example/'}}", "stands beside `url`"),
        ("{hook: {url: 'https://x.example/', timeout: 2h}}", "longer than a minute"),
        ("{hook: {url: 'https://x.example/', credentialsId: ops}}", "there is no credential `ops`"),
    ] {
        let desk = Desk::new(SCHEMA);
        desk.settings(&format!("governance: {section}"));
        let said = desk.ends(78, &["check"]).out;
        assert!(said.contains(says) && said.contains("sync.yaml:3:"), "{section}: {said}");
    }
}

/// An office with a patient whose delivery is held, and the agent's socket.
fn held(target: &Receiver, views: &str) -> Office {
    let office = Office::new(SCHEMA);
    office.settings("people: {as: patient}");
    office.add_settings(&format!(
        "governance: {{classify: {{patient: {{mrn: internal, ssn: phi, city: public}}}}{views}}}"
    ));
    let ca = target.ca.file();
    let text = format!("target: {{url: '{}', tls: {{ca: '{}'}}}}\nstart: beginning", target.url("/all"), ca.display());
    office.connector("legacy", &text);
    assert_eq!(office.run(&["watch", "people"]).code, Some(0));
    office.sql("INSERT INTO people VALUES (4711, '123-45-6789', 'Ada', 'Ames', 'n')");
    office
}

#[test]
fn dead_letters_and_records_show_only_the_classes_of_views_also_in_keys() {
    let target = Receiver::start();
    for (views, key) in [("", "***"), (", views: {allow: [public, internal]}", "4711")] {
        let office = held(&target, views);
        let agent = office.agent();
        wait("it is held", || office.parked_words("legacy") == ["held gate"]);
        let verb = |line: &[&str]| office.run(&[&["--json"], line].concat()).stdout;
        let shown = verb(&["deliveries", "show", "1", "--values"]);
        let record = serde_json::from_str::<Value>(&shown).unwrap()[0]["record"].clone();
        assert_eq!(record["after"]["city"], "Ames");
        assert_eq!((&record["after"]["ssn"], &record["after"]["name"]), (&json!("***"), &json!("***")));
        let way = Way::socket(&office);
        let (list, history) = (way.get("/deliveries").json(), way.get("/records/patient/4711").json());
        for shown in [&record["key"], &list[0]["key"], &history["events"][0]["key"]] {
            let said = shown["mrn"].as_str().map_or_else(|| shown["mrn"].to_string(), str::to_owned);
            assert_eq!(said, key, "{shown}");
        }
        let page = office.run(&["deliveries", "show", "1", "--values"]).stdout;
        assert!(!page.contains("6789") && page.contains(key), "{page}");
        assert!(!office.run(&["deliveries", "list"]).stdout.contains("6789"));
        agent.stop();
    }
}

#[test]
fn what_comes_in_is_kept_out_by_its_class_with_rule_and_field_and_never_its_value() {
    let target = Receiver::start();
    let office = held(&target, ", inbound: {allow: [public, internal]}");
    let agent = office.agent();
    let way = Way::socket(&office);
    let post = |payload: &str| way.post("/sync", &format!(r#"{{"type":"patient","payload":{payload}}}"#));
    assert_eq!(post(r#"{"mrn":1,"city":"Ames"}"#).status, 200);
    for (payload, says) in [
        (r#"{"mrn":1,"ssn":"S3CRET"}"#, "rule `phi`: field `ssn` of `patient` may not come in: nothing was stored"),
        (r#"{"mrn":1,"more":"S3CRET"}"#, "rule `unclassified`: field `more`"),
    ] {
        let answer = post(payload);
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.detail().contains(says) && !answer.detail().contains("S3CRET"), "{answer:?}");
    }
    let kept = office.run(&["tail", "--once"]).stdout;
    assert_eq!(kept.lines().filter(|line| line.contains(r#""op":"event""#)).count(), 1, "{kept}");
    agent.stop();
}

#[test]
fn a_posted_event_with_a_field_that_is_not_listed_is_held_like_a_row() {
    let target = Receiver::start();
    let office = held(&target, "");
    let agent = office.agent();
    let answer =
        Way::socket(&office).post("/sync?wait=20s", r#"{"type":"patient","payload":{"city":"Ames","more":"S3CRET"}}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    let said = answer.json().to_string();
    assert!(said.contains("rule `unclassified`: field `more`") && !said.contains("S3CRET"), "{said}");
    agent.stop();
    assert!(target.journal().is_empty());
}

#[test]
fn what_the_gate_held_goes_by_itself_when_the_classes_change() {
    let target = Receiver::start();
    let office = held(&target, "");
    let agent = office.agent();
    wait("it is held", || office.parked_words("legacy") == ["held gate"]);
    let path = office.config().join("sync.yaml");
    let text = std::fs::read_to_string(&path).unwrap().replace("governance: {", "governance: {default: public, ");
    std::fs::write(&path, text.replace("mrn: internal, ssn: phi", "mrn: public, ssn: public")).unwrap();
    agent.signal(rustix::process::Signal::HUP);
    office.wait_settled("legacy");
    assert_eq!(target.journal().len(), 1);
    agent.stop();
}

#[test]
fn hashes_are_keyed_and_the_same_after_a_restart_and_another_office_has_others() {
    let target = Receiver::start();
    let hashes: Vec<String> = (0..2)
        .map(|_| {
            let office = held(&target, "");
            let path = office.config().join("connectors/legacy.yaml");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, format!("{text}\nmap: {{ssn: s}}\nredact: {{ssn: hash}}\n")).unwrap();
            assert_eq!(office.once().0, Some(0));
            office.sql("UPDATE people SET city = 'Boone'");
            assert_eq!(office.once().0, Some(0));
            let journal = target.take();
            let hash = |at: usize| {
                serde_json::from_slice::<Value>(&journal[at].body).unwrap()["s"].as_str().unwrap().to_owned()
            };
            assert_eq!((journal.len(), hash(0)), (2, hash(1)));
            assert_eq!(hash(0).len(), 64);
            hash(0)
        })
        .collect();
    assert_ne!(hashes[0], hashes[1], "whoever has no key has no dictionary");
    let plain = hms_sync::adapter::sha256(b"123-45-6789").map(|byte| format!("{byte:02x}")).concat();
    assert!(!hashes.contains(&plain));
}
