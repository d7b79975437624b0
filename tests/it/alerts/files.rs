//! What is wrong with a drop: an answer that does not come, and one that nobody understands.

use super::standing::{cleared, opened, told};
use super::{lines, words};
use crate::acknowledgements::LISTED;
use crate::acknowledgements::desk::{Desk, ack};
use crate::drops::nightly::{NOON, Nightly, at};
use crate::support::loopback::Way;
use crate::support::office::{Agent, wait};

#[test]
fn an_answer_that_does_not_come_in_time_is_told_once_and_is_over_when_it_has_come() {
    let desk = Desk::new(LISTED);
    desk.configure("ACK {seq}", LISTED, "trigger: \"{file}.done\"\n    overdue: 1ms");
    let file = told(&desk.office);
    desk.three();
    assert_eq!(desk.cut(), "published");
    let agent = desk.office.agent();
    let notice = opened(&file, "ack-overdue legacy");
    assert_eq!((&notice["count"], &notice["severity"]), (&1.into(), &"critical".into()));
    assert!(notice["mend"].as_str().unwrap().contains("drop list legacy"), "{notice:#}");
    agent.stop();
    // Another start knows that it was told.
    let agent = desk.office.agent();
    assert_eq!(Way::socket(&desk.office).get("/alerts").json()[0]["notices"], 1);
    agent.stop();
    desk.answer("1.ack", ack("ACK 1\n"));
    desk.look();
    assert_eq!(desk.state(1), "acked");
    let agent = desk.office.agent();
    cleared(&file, "ack-overdue legacy");
    agent.stop();
}

#[test]
fn an_answer_that_was_put_aside_is_told_once_and_is_over_when_a_person_has_dealt_with_it() {
    let desk = Desk::new(LISTED);
    let file = told(&desk.office);
    desk.three();
    desk.cut();
    desk.answer("canary.ack", ack("ACK 9\n2,R,E1,\n"));
    desk.look();
    let agent = desk.office.agent();
    let notice = opened(&file, "drop-trouble legacy");
    assert!(notice["what"].as_str().unwrap().contains("1 answers were put aside"), "{notice:#}");
    desk.ok(&["drop", "dismiss", "legacy", "canary.ack"]);
    cleared(&file, "drop-trouble legacy");
    assert!(!std::fs::read_to_string(&file).unwrap().contains("canary"), "the host's names are for `status`");
    agent.stop();
}

#[test]
fn a_file_that_is_not_published_by_its_deadline_is_told_and_is_over_when_it_is_there() {
    let schedule = "{cut_off: \"18:00\", zone: America/Chicago, deadline: \"05:00\"}";
    let nightly = Nightly::new(&[("schedule", schedule)]);
    let file = told(&nightly.office);
    nightly.run_at(NOON, &["run", "--once"]);
    nightly.sql_at("2027-03-02 20:00:00", "INSERT INTO visits VALUES (1, 'canary-ann', '1.00', '2027-03-02')");
    // The folder that the host looks into is not there.
    let out = nightly.office.folder().join("out");
    std::fs::remove_dir(&out).unwrap();
    let evening = nightly.run_at("2027-03-03 00:30:00", &["run", "--once"]);
    assert!(evening.code != Some(0), "{evening:#?}");
    let agent = Agent::start(at("2027-03-03 11:30:00", &nightly.office.command(&["-v", "run"])));
    wait("it is told", || words(&lines(&file)).contains(&"opened drop-late nightly".to_owned()));
    let late = || lines(&file).into_iter().filter(|notice| notice["condition"] == "drop-late").collect::<Vec<_>>();
    assert!(late()[0]["what"].as_str().unwrap().contains(" was due at 2027-03-03T11:00:00"), "{:#}", late()[0]);
    assert_eq!(late()[0]["severity"], "critical");
    std::fs::create_dir(&out).unwrap();
    assert_eq!(nightly.office.run(&["sync", "nightly"]).code, Some(0), "{}", agent.said());
    wait("it is over", || late().len() == 2);
    assert_eq!(late()[1]["event"], "cleared");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
    assert!(!std::fs::read_to_string(&file).unwrap().contains("canary"));
    agent.stop();
}
