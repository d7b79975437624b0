//! What is wrong with a drop: an answer that does not come, and one that nobody understands.

use super::standing::{cleared, opened, told};
use crate::acknowledgements::LISTED;
use crate::acknowledgements::desk::{Desk, ack};
use crate::support::loopback::Way;

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
