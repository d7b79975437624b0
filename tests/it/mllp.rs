//! HL7 v2 over MLLP: messages and acknowledgements of the shipped binary, the failures of both, and the same message again.

use hms_sync::store::state::connector::Mode;
use hms_sync::store::state::parked::ParkedState;

use crate::support::ca::Leaf;
use crate::support::hl7::{Act, After, Arrived, Clinic, ack, framed};
use crate::support::office::{Office, RETRY, THREE};

/// What the preset needs and a visit has not.
const MAP: &str = "mapping: {id: id, name: lastName, a: {to: start, value: \"2026-03-10T14:00:00Z\"}, \
    b: {to: end, value: \"2026-03-10T14:20:00Z\"}, c: {to: patientId, value: 77}, d: {to: firstName, value: Jo}}";

/// An office whose visits go to a receiver; `more` are further lines of the connector.
fn office(clinic: &Clinic, endpoint: &str, more: &str) -> Office {
    let office = Office::visits();
    write(&office, clinic, endpoint, more);
    let watched = office.run(&["watch", "visits"]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    office
}

fn write(office: &Office, clinic: &Clinic, endpoint: &str, more: &str) {
    let ca = clinic.ca.file();
    let tls = if endpoint.contains("tls:") { String::new() } else { format!(", tls: {{ca: \"{}\"}}", ca.display()) };
    let vars = if more.contains("vars:") { "" } else { "vars: {facility: OF042}\n" };
    let url = clinic.url();
    let text = format!(
        "adapter: mllp\nendpoint: {{url: \"{url}\"{tls}{endpoint}}}\n{vars}{MAP}\nstart: beginning\n{RETRY}\n{more}\n"
    );
    office.connector("vista", &text);
}

/// The records' names, in the order of arrival.
fn names(journal: &[Arrived]) -> Vec<&str> {
    journal.iter().map(|arrived| arrived.field("PID", 5).split('^').next().unwrap()).collect()
}

#[test]
fn appointments_arrive_over_tls_on_one_connection_each_under_its_own_id() {
    let clinic = Clinic::start(Leaf::Good);
    let office = office(&clinic, "", "");
    office.sql(THREE);
    assert_eq!(office.once().0, Some(0));
    office.sql("UPDATE visits SET name = 'Ada|B' WHERE id = 1; DELETE FROM visits WHERE id = 3");
    assert_eq!(office.once().0, Some(0));
    let journal = clinic.journal();
    assert_eq!(names(&journal), ["Ada", "Bea", "Cy", "Ada\\F\\B", "Cy"]);
    let kinds: Vec<&str> = journal.iter().map(|arrived| arrived.field("MSH", 9)).collect();
    assert_eq!(kinds[0], "SIU^S12^SIU_S12");
    assert_eq!((kinds[3], kinds[4]), ("SIU^S13^SIU_S12", "SIU^S15^SIU_S12"));
    let mut ids: Vec<&str> = journal.iter().map(Arrived::control).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    // One connection for each run of the agent.
    assert_eq!(clinic.connections(), 2);
    assert!(journal[..3].iter().all(|arrived| arrived.connection == 0));
    assert!(office.parked("vista").is_empty());
}

#[test]
fn a_message_without_an_acknowledgement_is_sent_again_on_another_connection_byte_for_byte() {
    let clinic = Clinic::start(Leaf::Good);
    let half = |control: &str| {
        let whole = ack("AA", control, "");
        vec![whole[..20].to_vec()]
    };
    clinic.next(Act::silence(After::Close));
    clinic.next(Act::says(half).then(After::Close));
    clinic.next(Act::silence(After::Hang));
    clinic.next(Act::says(half).then(After::Hang));
    clinic.next(Act::says(|_| vec![ack("AA", "another", "")]));
    clinic.next(Act::says(|_| vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]).then(After::Close));
    let office = office(&clinic, ", timeout: 1s", "");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10)");
    let agent = office.agent();
    let journal = clinic.wait(7);
    office.wait_settled("vista");
    agent.stop();
    assert!(journal.iter().all(|arrived| arrived.message == journal[0].message), "{journal:#?}");
    let connections: Vec<usize> = journal.iter().map(|arrived| arrived.connection).collect();
    assert_eq!(connections, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn an_answer_that_comes_in_pieces_or_with_another_behind_it_is_read_and_who_goes_on_talking_is_left() {
    let clinic = Clinic::start(Leaf::Good);
    let bytes = |control: &str| ack("AA", control, "").iter().map(|byte| vec![*byte]).collect();
    clinic.next(Act::says(bytes));
    clinic.next(Act::says(|control| vec![b"\r\nnoise\x1c\r".to_vec(), ack("AA", control, "")]));
    clinic.next(Act::says(|control| vec![[ack("AA", control, ""), ack("AE", control, "")].concat()]));
    let office = office(&clinic, "", "serial: true");
    office.sql(THREE);
    office.sql("INSERT INTO visits VALUES (4, 'Di', 40)");
    assert_eq!(office.once().0, Some(0));
    let journal = clinic.journal();
    assert_eq!(names(&journal), ["Ada", "Bea", "Cy", "Di"]);
    let connections: Vec<usize> = journal.iter().map(|arrived| arrived.connection).collect();
    assert_eq!(connections, [0, 0, 0, 1]);
}

#[test]
fn what_the_receiver_says_decides_what_becomes_of_the_record_and_its_words_hold_no_values() {
    let clinic = Clinic::start(Leaf::Good);
    clinic.next(Act::says(|control| vec![ack("AE", control, "ERR|||101^x^HL70357|E||||Ada lacks PID-7\r")]));
    clinic.next(Act::says(|_| vec![framed("\u{15}")]));
    clinic.next(Act::says(|control| vec![ack("AE", control, "ERR|||102^x|W||||late\r")]));
    let office = office(&clinic, "", "onDead: continue");
    office.sql(THREE);
    let agent = office.agent();
    let journal = clinic.wait(4);
    agent.says("code 101: *** lacks");
    crate::support::office::wait("all but one are delivered", || office.cursor("vista") >= office.highest());
    agent.stop();
    // The negative commit of release 2 is tried again, with the same bytes, on the connection that works.
    assert_eq!(names(&journal[..2]), ["Ada", "Bea"]);
    let again: Vec<&Arrived> =
        journal.iter().filter(|arrived| names(&journal[1..2]) == names(std::slice::from_ref(arrived))).collect();
    assert_eq!((again.len(), &again[0].message), (2, &again[1].message));
    let parked = office.parked("vista");
    assert_eq!((parked.len(), parked[0].state), (1, ParkedState::Dead));
    assert!(!parked[0].reason.to_string().contains("Ada"), "{}", parked[0].reason);
}

#[test]
fn a_message_that_the_receiver_does_not_know_stops_the_connector() {
    let clinic = Clinic::start(Leaf::Good);
    clinic.next(Act::says(|control| vec![ack("AR", control, "ERR|||200^Unsupported|E\r")]));
    let office = office(&clinic, "", "");
    office.sql(THREE);
    assert_eq!(office.once().0, Some(75));
    let (mode, reason) = office.mode("vista");
    assert_eq!(mode, Mode::Halted);
    assert!(reason.unwrap().to_string().contains("code 200"));
    assert_eq!(clinic.journal().len(), 1);
}

#[test]
fn in_enhanced_mode_the_applications_word_counts_and_is_committed_when_it_asks_for_that() {
    let clinic = Clinic::start(Leaf::Good);
    // Together, apart, refused by the application, refused at the door, and one that wants to hear of its arrival.
    clinic.next(Act::says(|control| vec![[ack("CA", control, ""), ack("AA", control, "")].concat()]));
    clinic.next(Act::says(|control| vec![ack("CA", control, ""), ack("AA", control, "")]));
    clinic.next(Act::says(|control| vec![ack("CA", control, ""), ack("AE", control, "ERR|||103^x|E\r")]));
    clinic.next(Act::says(|control| vec![ack("CE", control, "ERR|||102^x|E\r")]));
    let wanting = |control: &str| {
        framed(&format!("MSH|^~\\&|V|500|HMSSYNC|OF042|20260305||ACK|A7|P|2.5.1|||AL|NE\rMSA|AA|{control}\r"))
    };
    clinic.next(Act::says(move |control| vec![ack("CA", control, ""), wanting(control)]));
    let office =
        office(&clinic, "", "vars: {facility: OF042, accept: AL, application: AL}\nserial: true\nonDead: continue");
    office.sql(THREE);
    office.sql("INSERT INTO visits VALUES (4, 'Di', 40), (5, 'Eve', 50)");
    assert_eq!(office.once().0, Some(1));
    let journal = clinic.wait(6);
    assert_eq!(names(&journal[..5]), ["Ada", "Bea", "Cy", "Di", "Eve"]);
    assert_eq!((journal[0].field("MSH", 15), journal[0].field("MSH", 16)), ("AL", "AL"));
    assert_eq!(journal[5].message, "MSH|^~\\&|HMSSYNC|OF042|V|500|20260305||ACK|A7-CA|P|2.5.1\rMSA|CA|A7\r");
    assert!(journal.iter().all(|arrived| arrived.connection == 0));
    assert_eq!(office.parked_words("vista"), ["dead code-103", "dead code-102"]);
}

#[test]
fn a_commit_without_the_applications_word_is_not_enough() {
    let clinic = Clinic::start(Leaf::Good);
    clinic.next(Act::ack("CA").then(After::Hang));
    clinic.next(Act::says(|control| vec![ack("CA", control, ""), ack("AA", control, "")]));
    let office = office(&clinic, ", timeout: 1s", "vars: {facility: OF042, accept: AL, application: AL}");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10)");
    let agent = office.agent();
    let journal = clinic.wait(2);
    office.wait_settled("vista");
    agent.stop();
    assert_eq!(journal[0].message, journal[1].message);
}

#[test]
fn after_kill_9_between_intent_and_answer_the_same_message_comes_again() {
    let clinic = Clinic::start(Leaf::Good);
    clinic.next(Act::silence(After::Hang));
    let office = office(&clinic, "", "");
    let agent = office.agent();
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10)");
    clinic.wait(1);
    agent.kill();
    // What the application does meanwhile changes nothing of it.
    office.sql("UPDATE visits SET name = 'Bo' WHERE id = 1");
    let again = office.agent();
    let journal = clinic.wait(3);
    office.wait_settled("vista");
    again.stop();
    assert_eq!(journal[0].message, journal[1].message);
    assert_eq!((journal[0].control(), names(&journal[1..])), (journal[1].control(), vec!["Ada", "Bo"]));
}

#[test]
fn only_a_receiver_of_the_right_authority_gets_anything_and_one_that_wants_to_know_us_does() {
    let strange = Clinic::start(Leaf::Good);
    let wanting = Clinic::start(Leaf::WantsClient);
    let office = office(&strange, &format!(", tls: {{ca: \"{}\"}}", wanting.ca.file().display()), "");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10)");
    assert_eq!(office.once().0, Some(75));
    assert_eq!((office.mode("vista").0, strange.journal().len()), (Mode::Halted, 0));
    let files = wanting.ca.client_files();
    let (ca, cert, key) = (wanting.ca.file(), files.cert, files.key);
    let tls = format!(", tls: {{ca: \"{}\", cert: \"{}\", key: \"{}\"}}", ca.display(), cert.display(), key.display());
    write(&office, &wanting, &tls, "");
    let checked = office.run(&["check", "--online"]);
    assert!(checked.stdout.contains("is reached, TLS 1.3"), "{checked:#?}");
    let agent = office.agent();
    // A connector that was halted looks again when somebody wants to see it.
    office.run(&["sync", "vista"]);
    wanting.wait(1);
    office.wait_settled("vista");
    agent.stop();
}

#[test]
fn plain_mllp_leaves_this_machine_only_where_it_is_allowed_and_check_warns_of_it() {
    let clinic = Clinic::plain();
    let office = office(&clinic, "", "");
    office.sql(THREE);
    assert_eq!(office.once().0, Some(0));
    assert_eq!(clinic.journal().len(), 3);
    let check = |endpoint: &str, more: &str| {
        office.connector(
            "vista",
            &format!("adapter: mllp\nendpoint: {{{endpoint}}}\nvars: {{facility: A}}\n{MAP}\n{more}\n"),
        );
        let checked = office.run(&["check"]);
        (checked.code, format!("{}{}", checked.stdout, checked.stderr))
    };
    for (endpoint, more, code, text) in [
        ("url: mllp://hl7.example:2575", "", 78, "plainMllp: true"),
        ("url: mllp://hl7.example:2575, plainMllp: true", "", 0, "sends without encryption"),
        ("url: https://hl7.example", "", 78, "cannot use the scheme `https`"),
        ("url: mllps://hl7.example/x", "", 78, "more than a host and a port"),
        ("url: mllps://hl7.example, headers: {A: b}", "", 78, "is for calls of HTTP"),
        ("url: mllps://hl7.example, credentialsId: x", "", 78, "client certificate"),
        ("url: mllps://hl7.example", "batch: {max: 10}", 78, "one message at a time"),
        ("url: mllps://hl7.example", "retryOn: [409]", 78, "`retryOn` is for statuses"),
        ("url: mllps://hl7.example", "", 0, "mllps://hl7.example:2575"),
    ] {
        let (found, said) = check(endpoint, more);
        assert!(found == Some(code) && said.contains(text), "{endpoint} {more}: {found:?} {said}");
    }
}

#[test]
fn a_file_that_does_not_go_with_its_transport_is_an_error_with_its_place() {
    let office = Office::visits();
    std::fs::create_dir_all(office.config().join("adapters")).unwrap();
    office.connector("vista", "adapter: site\nendpoint: {url: mllps://hl7.example}\n");
    let check = |push: &str, more: &str| {
        let text = format!("adapter: site\ntransport: mllp\n{more}\npush:\n  upsert:\n    request:\n{push}\n");
        std::fs::write(office.config().join("adapters/site.yaml"), text).unwrap();
        let checked = office.run(&["check"]);
        (checked.code, format!("{}{}", checked.stdout, checked.stderr))
    };
    let (good, rules) = ("      hl7: [\"MSH|^~\\\\&|{id}\"]", "classify: [{default: unknown}]");
    for (push, more, place, text) in [
        (&*format!("      url: \"{{base}}/x\"\n{good}"), rules, "site.yaml:7:", "`url` is for HTTP"),
        (&*format!("      method: PUT\n{good}"), rules, "site.yaml:7:", "`method` is for HTTP"),
        ("      json: {a: \"{id}\"}", rules, "site.yaml:", "another body than `hl7:`"),
        (good, "classify: [{default: standard}]", "site.yaml:3:", "`default: standard`"),
        (good, "classify: [{status: 200, is: success}, {default: unknown}]", "site.yaml:3:", "looks at a status"),
        (good, "hl7In: body\nclassify: [{default: unknown}]", "site.yaml:3:", "the message itself"),
    ] {
        let (code, said) = check(push, more);
        assert!(code == Some(78) && said.contains(place) && said.contains(text), "{push} {more}: {code:?} {said}");
    }
    assert_eq!(check(good, rules).0, Some(0));
}

#[test]
fn simulate_shows_the_message_and_nothing_is_connected_to() {
    let clinic = Clinic::start(Leaf::Good);
    let office = office(&clinic, "", "");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10)");
    let shown = office.run(&["simulate", "--json"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let document: serde_json::Value = serde_json::from_str(shown.stdout.lines().next().unwrap()).unwrap();
    let request = &document["requests"][0];
    assert_eq!((request["method"].as_str(), request["url"].as_str()), (Some("SEND"), Some(&*clinic.url())));
    let body = request["body"].as_str().unwrap().to_owned();
    assert!(
        body.starts_with("MSH|^~\\&|HMSSYNC|OF042|VISTA||") && body.contains("\rPID|1||77^^^OF042^MR||Ada^Jo"),
        "{body}"
    );
    // A person sees a segment a line.
    assert!(office.run(&["simulate"]).stdout.contains("\n  PID|1||77^^^OF042^MR||Ada^Jo"));
    assert_eq!(clinic.connections(), 0);
    assert_eq!(office.once().0, Some(0));
    assert_eq!(clinic.journal()[0].message, body);
}
