//! What the receiver of a file answers: each answer is applied once and as a whole, a rejected record is not lost and
//! not sent behind its back, and what cannot be understood changes nothing.

pub mod desk;
mod fixed;
mod killed;
#[cfg(feature = "sftp")]
mod remote;

use desk::{Desk, ack, id};
use hms_sync::store::state::parked::ParkedState;

/// The usual answers: lines of records with a word for each, only those that were rejected have to be there.
pub const LISTED: &str = "match: {file: {sequence: seq}, record: id, status: {item: word, accepted: [A], rejected: [R]}, code: code, text: text}";

#[test]
fn an_answer_without_a_rejection_accepts_the_whole_file() {
    let desk = Desk::new(LISTED);
    desk.three();
    assert_eq!(desk.cut(), "published");
    assert_eq!(desk.shown("1")["answer"], "pending");
    desk.answer("1.ack", ack("ACK 1\n"));
    desk.look();
    assert_eq!(desk.state(1), "acked");
    assert_eq!(desk.answers(1), ["accepted", "accepted", "accepted"]);
    assert!(desk.shown("1").get("answer").is_none());
    assert_eq!(desk.acks()[0]["word"], "acked");
    desk.balanced();
}

#[test]
fn a_listed_record_is_rejected_and_becomes_a_dead_letter_with_the_hosts_words() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n2,R,E 17,unknown clinic\n"));
    desk.look();
    assert_eq!(desk.state(1), "partial");
    assert_eq!(desk.answers(1), ["accepted", "rejected (E 17)", "accepted"]);
    let parked = desk.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].state, &*parked[0].reason.class), (ParkedState::Dead, "host-E17"));
    assert_eq!(parked[0].reason.text, "unknown clinic");
    desk.balanced();
    assert!(!desk.said().contains("Bea"), "no value of a record is told");
}

#[test]
fn what_is_listed_without_a_status_is_what_the_others_are_not() {
    let desk = Desk::new("match: {file: {sequence: seq}, record: id}");
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n3,,,\n"));
    desk.look();
    assert_eq!(desk.answers(1), ["accepted", "accepted", "rejected"]);
    desk.balanced();
}

#[test]
fn with_listed_acceptances_the_others_wait_for_another_answer() {
    let desk = Desk::new("match: {file: {sequence: seq}, record: id}\n    unlisted: pending");
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n1,,,\n3,,,\n"));
    desk.look();
    assert_eq!(desk.state(1), "published");
    assert_eq!(desk.answers(1), ["accepted", "-", "accepted"]);
    desk.answer("1b.ack", ack("ACK 1\n2,,,\n"));
    desk.look();
    assert_eq!(desk.state(1), "acked");
    desk.balanced();
}

#[test]
fn an_answer_by_name_without_records_is_about_the_whole_file() {
    let desk = Desk::with_header("ACK {file}", "match: {file: {name: file}}");
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK visits.000001.CSV\n"));
    desk.look();
    assert_eq!(desk.state(1), "acked");
}

#[test]
fn the_same_answer_again_changes_nothing_whatever_the_place_allows() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    let text = ack("ACK 1\n2,R,E1,\n");
    desk.answer("1.ack", &text);
    for _ in 0..3 {
        desk.look();
    }
    // The operator gives the dead letter up; the answer that is still there does not bring it back.
    desk.ok(&["drop", "discard", "legacy", "--event", &desk.parked()[0].event.id.to_string()]);
    desk.answer("1-again.ack", &text);
    desk.look();
    assert_eq!(desk.parked().len(), 0);
    assert_eq!(desk.acks().len(), 1);
    desk.balanced();
}

#[test]
fn a_half_written_answer_is_left_alone() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.put("1.ack", "ACK 1\n2,R");
    desk.look();
    assert_eq!((desk.state(1).as_str(), desk.acks().len()), ("published", 0), "its trigger is not there");
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    desk.look();
    assert_eq!(desk.state(1), "partial");
}

#[test]
fn without_a_trigger_an_answer_is_read_when_two_looks_have_seen_the_same() {
    let desk = Desk::new(LISTED);
    desk.configure("ACK {seq}", LISTED, "settle: 1ms");
    desk.three();
    desk.cut();
    desk.put("1.ack", "ACK 1\n");
    desk.look();
    desk.put("1.ack", ack("ACK 1\n2,R,E1,\n"));
    desk.look();
    assert_eq!((desk.state(1).as_str(), desk.acks().len()), ("published", 0), "it has changed since the first look");
    desk.look();
    assert_eq!(desk.state(1), "partial");
}

#[test]
fn answers_come_in_any_order() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.sql("UPDATE visits SET name = 'Bo' WHERE id = 2; INSERT INTO visits VALUES (4, 'Di', 40);");
    desk.cut();
    desk.answer("2.ack", ack("ACK 2\n4,R,E4,\n"));
    desk.look();
    assert_eq!((desk.state(1), desk.state(2)), ("published".into(), "partial".into()));
    // The second file told the host of record 2 again, and it was taken: the rejection of the first is history.
    desk.answer("1.ack", ack("ACK 1\n2,R,E2,\n3,R,E3,\n"));
    desk.look();
    assert_eq!((desk.state(1), desk.state(2)), ("partial".into(), "partial".into()));
    assert_eq!(desk.parked().iter().map(id).collect::<Vec<_>>(), [3, 4]);
    desk.balanced();
}

#[test]
fn what_cannot_be_understood_is_put_aside_and_changes_nothing() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    for (name, text, class) in [
        ("file.ack", ack("ACK 9\n2,R,E1,\n"), "unknown-file"),
        ("key.ack", ack("ACK 1\n2,R,E1,\n7654321,R,E1,\n"), "unknown-key"),
        ("word.ack", ack("ACK 1\n2,X,E1,\n"), "status"),
        ("total.ack", "ACK 1\n2,R,E1,\nEND 7\n".to_owned(), "decoding"),
        ("junk.ack", "\0\u{1}\n".to_owned(), "decoding"),
    ] {
        desk.answer(name, &text);
        let said = desk.look();
        assert!(said.contains(class), "{name}: {said}");
        assert!(!said.contains("7654321"), "no key of an answer is told: {said}");
        assert_eq!((desk.state(1).as_str(), desk.parked().len()), ("published", 0), "{name}");
        assert_eq!(desk.answers(1), ["-", "-", "-"], "{name}");
        let needs = desk.office.run(&["status"]).stdout;
        assert!(needs.contains(&format!("the answer {name} was put aside: {class}")), "{needs}");
        assert!(desk.quarantine().iter().any(|kept| kept.starts_with(name)), "{:?}", desk.quarantine());
        // Said once, until a person has dealt with it.
        assert!(!desk.look().contains("put aside"));
        desk.ok(&["drop", "dismiss", "legacy", name]);
        assert!(!desk.office.run(&["status"]).stdout.contains("put aside"));
    }
    desk.answer("1.ack", ack("ACK 1\n"));
    desk.look();
    assert_eq!(desk.state(1), "acked");
    desk.balanced();
}

#[test]
fn an_answer_that_contradicts_an_earlier_one_is_put_aside() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    desk.look();
    desk.answer("1b.ack", ack("ACK 1\n1,R,E1,\n"));
    assert!(desk.look().contains("contradiction"));
    assert_eq!(desk.answers(1), ["accepted", "rejected (E1)", "accepted"]);
    assert_eq!(desk.parked().iter().map(id).collect::<Vec<_>>(), [2]);
    desk.balanced();
}

#[test]
fn an_answer_put_aside_is_used_once_its_file_is_known() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("2.ack", ack("ACK 2\n"));
    desk.look();
    assert_eq!(desk.acks()[0]["word"], "quarantined");
    desk.sql("INSERT INTO visits VALUES (4, 'Di', 40);");
    desk.cut();
    desk.look();
    assert_eq!(desk.state(2), "acked");
    assert_eq!(desk.acks()[0]["word"], "acked");
}

#[test]
fn a_rejected_record_goes_again_when_its_row_changes_and_the_host_is_told_of_it_as_new() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    desk.look();
    desk.sql("INSERT INTO visits VALUES (4, 'Di', 40);");
    desk.cut();
    assert_eq!(desk.lines(2), ["4,A,Di"], "by itself it does not go again");
    desk.sql("UPDATE visits SET name = 'Bo' WHERE id IN (1, 2);");
    desk.cut();
    assert_eq!(desk.lines(3), ["1,C,Bo", "2,A,Bo"]);
    assert_eq!(desk.parked().len(), 0);
    desk.answer("3.ack", ack("ACK 3\n"));
    desk.look();
    assert_eq!((desk.state(3).as_str(), desk.parked().len()), ("acked", 0));
    desk.balanced();
}

#[test]
fn a_rejected_record_goes_again_when_it_is_released_and_only_it() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    desk.look();
    desk.ok(&["drop", "release", "legacy"]);
    desk.balanced();
    desk.cut();
    assert_eq!(desk.lines(2), ["2,A,Bea"]);
    assert_eq!(desk.parked().len(), 0);
    desk.balanced();
    // It may be rejected once more.
    desk.answer("2.ack", ack("ACK 2\n2,R,E2,\n"));
    desk.look();
    assert_eq!(desk.state(2), "refused");
    assert_eq!(desk.parked_words(), ["dead host-E2"]);
    desk.balanced();
}

#[test]
fn a_rejected_delete_means_that_the_host_has_the_record_still() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.sql("DELETE FROM visits WHERE id = 2;");
    desk.cut();
    desk.answer("2.ack", ack("ACK 2\n2,R,E1,\n"));
    desk.look();
    desk.sql("INSERT INTO visits VALUES (2, 'Bess', 1);");
    desk.cut();
    assert_eq!(desk.lines(3), ["2,C,Bess"]);
    desk.balanced();
}

#[test]
fn both_halves_of_a_rejected_change_of_a_key_go_again() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.sql("UPDATE visits SET id = 20 WHERE id = 2;");
    desk.cut();
    assert_eq!(desk.sorted(2), ["2,D,Bea", "20,A,Bea"]);
    desk.answer("2.ack", ack("ACK 2\n2,R,E1,\n20,R,E1,\n"));
    desk.look();
    assert_eq!(desk.state(2), "refused");
    desk.balanced();
    desk.ok(&["drop", "release", "legacy"]);
    desk.cut();
    assert_eq!(desk.sorted(3), ["2,D,Bea", "20,A,Bea"]);
    desk.balanced();
}

#[test]
fn one_half_of_a_change_of_a_key_goes_again_alone() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.sql("UPDATE visits SET id = 20 WHERE id = 2;");
    desk.cut();
    desk.answer("2.ack", ack("ACK 2\n20,R,E1,\n"));
    desk.look();
    desk.ok(&["drop", "release", "legacy"]);
    desk.cut();
    assert_eq!(desk.lines(3), ["20,A,Bea"]);
    desk.balanced();
}

#[test]
fn an_answer_that_was_used_is_kept_here_and_moved_or_removed_there() {
    for (after, left) in
        [("leave", vec!["1.ack", "1.ack.done", "done"]), ("delete", vec!["done"]), ("move", vec!["done"])]
    {
        let desk = Desk::new(LISTED);
        desk.configure("ACK {seq}", LISTED, &format!("trigger: \"{{file}}.done\"\n    after: {after}"));
        desk.three();
        desk.cut();
        std::fs::create_dir(desk.acks_folder().join("done")).unwrap();
        desk.answer("1.ack", ack("ACK 1\n"));
        desk.look();
        assert_eq!(desk.state(1), "acked");
        assert_eq!(desk.there(), left, "{after}");
        let moved = std::fs::read_dir(desk.acks_folder().join("done")).unwrap().count();
        assert_eq!(moved, if after == "move" { 2 } else { 0 });
        let kept = desk.archived();
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(desk::mode(&kept[0]), 0o600);
        assert_eq!(desk::unpacked(&kept[0]), ack("ACK 1\n"));
    }
}

#[test]
fn an_answer_is_used_although_it_may_not_be_moved() {
    let desk = Desk::new(LISTED);
    desk.configure("ACK {seq}", LISTED, "trigger: \"{file}.done\"\n    after: move");
    desk.three();
    desk.cut();
    // There is no folder to move it to.
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    assert!(desk.look().contains("was used and stays"));
    assert_eq!((desk.state(1).as_str(), desk.there().len()), ("partial", 2));
    desk.look();
    assert_eq!((desk.parked().len(), desk.acks().len()), (1, 1));
    desk.balanced();
}

#[test]
fn an_answer_that_is_late_is_told_and_the_file_stays_published() {
    let desk = Desk::new(LISTED);
    desk.configure("ACK {seq}", LISTED, "trigger: \"{file}.done\"\n    overdue: 1ms");
    desk.three();
    desk.cut();
    assert!(desk.look().contains("not answered"));
    assert_eq!((desk.state(1).as_str(), &desk.shown("1")["answer"]), ("published", &"overdue".into()));
    assert!(desk.office.run(&["drop", "list", "legacy"]).stdout.contains("overdue"));
    assert!(desk.office.run(&["drop", "list"]).stdout.contains("1 overdue"));
    assert!(desk.office.run(&["status"]).stdout.contains("and not answered"));
    desk.answer("1.ack", ack("ACK 1\n"));
    desk.look();
    assert_eq!(desk.state(1), "acked");
    assert!(!desk.office.run(&["status"]).stdout.contains("not answered"));
}

#[test]
fn a_file_that_is_sent_again_keeps_the_answers_that_it_had() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    desk.look();
    std::fs::remove_file(desk.out().join("VISITS.000001.csv")).unwrap();
    desk.ok(&["drop", "resend", "legacy", "1", "--reason", "lost there"]);
    assert!(desk.out().join("VISITS.000001.csv").exists());
    assert_eq!((desk.state(1).as_str(), desk.parked().len()), ("partial", 1));
    desk.balanced();
}

#[test]
fn a_rerun_that_is_accepted_ends_what_the_first_run_left_as_dead_letters() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n1,R,E1,\n2,R,E1,\n3,R,E1,\n"));
    desk.look();
    assert_eq!((desk.state(1).as_str(), desk.parked().len()), ("refused", 3));
    desk.ok(&["drop", "resend", "legacy", "1", "--as-new", "--reason", "asked by the host"]);
    desk.balanced();
    desk.answer("2.ack", ack("ACK 2\n3,R,E9,\n"));
    desk.look();
    assert_eq!(desk.state(2), "partial");
    assert_eq!(desk.parked().iter().map(id).collect::<Vec<_>>(), [3]);
    assert_eq!(desk.parked_words(), ["dead host-E9"]);
    desk.balanced();
}

#[test]
fn a_drop_of_every_record_sends_a_rejected_one_with_the_next_file() {
    let desk = Desk::new(LISTED);
    desk.every_record();
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    desk.look();
    assert_eq!((desk.state(1).as_str(), desk.parked_words()), ("partial", vec!["dead host-E1".to_owned()]));
    desk.balanced();
    desk.cut();
    assert_eq!(desk.lines(2), ["1,A,Ada", "2,A,Bea", "3,A,Cy"]);
    assert_eq!(desk.parked().len(), 0);
    desk.balanced();
    // An answer to the first file that comes now is history.
    desk.answer("1b.ack", ack("ACK 1\n2,R,E1,again\n"));
    desk.look();
    assert_eq!(desk.parked().len(), 0);
    desk.balanced();
}

#[test]
fn a_running_agent_reads_an_answer_as_soon_as_its_file_is_there() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    let agent = desk.office.agent();
    agent.says("put aside");
    desk.ok(&["drop", "run", "legacy"]);
    agent.says("1.ack answers 1");
    agent.stop();
    assert_eq!((desk.state(1).as_str(), desk.parked().len()), ("partial", 1));
    desk.balanced();
}

#[test]
fn a_refused_file_that_is_sent_again_is_answered_anew() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n1,R,E1,\n2,R,E1,\n3,R,E1,\n"));
    desk.look();
    assert_eq!((desk.state(1).as_str(), desk.parked().len()), ("refused", 3));
    desk.ok(&["drop", "resend", "legacy", "1", "--reason", "the host was not ready"]);
    desk.look();
    assert_eq!((desk.state(1).as_str(), desk.parked().len()), ("published", 3), "the old answer says nothing of it");
    desk.balanced();
    desk.answer("1b.ack", ack("ACK 1\n2,R,E2,\n"));
    desk.look();
    assert_eq!((desk.state(1), desk.parked_words()), ("partial".into(), vec!["dead host-E2".to_owned()]));
    desk.balanced();
    desk.ok(&["drop", "release", "legacy"]);
    desk.cut();
    assert_eq!(desk.lines(2), ["2,A,Bea"]);
    desk.balanced();
}

#[test]
fn the_history_of_a_record_names_its_files_and_what_the_host_said() {
    let desk = Desk::new(LISTED);
    desk.three();
    let history = |desk: &Desk, id: &str| -> serde_json::Value {
        let status = desk.ok(&["--json", "status", "visits", id]);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        status["events"].as_array().unwrap().last().unwrap()["connectors"][0].clone()
    };
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n2,R,E17,unknown clinic\n"));
    desk.look();
    let first = history(&desk, "1");
    assert_eq!((&first["state"], &first["files"][0]["state"]), (&"delivered".into(), &"partial".into()), "{first:#}");
    assert_eq!((&first["files"][0]["seq"], &first["files"][0]["name"]), (&1.into(), &"VISITS.000001.csv".into()));
    assert_eq!(first["files"][0]["lines"], serde_json::json!([{"action": "add", "answer": "accepted"}]));
    let second = history(&desk, "2");
    assert_eq!(second["state"], "dead");
    let line = serde_json::json!([{"action": "add", "answer": "rejected", "code": "E17"}]);
    assert_eq!(second["files"][0]["lines"], line, "{second:#}");
    let said = desk.ok(&["status", "visits", "2"]).stdout;
    assert!(said.contains("file 1 (") && said.contains(", VISITS.000001.csv) partial: add, rejected (E17)"), "{said}");
    assert!(!said.contains("Bea"), "{said}");
    // What came and went is in a file without a line; what is not cut yet waits.
    desk.sql("UPDATE visits SET name = 'Cyd' WHERE id = 3; INSERT INTO visits VALUES (9, 'Gone', 1); DELETE FROM visits WHERE id = 9;");
    assert_eq!(history(&desk, "3")["state"], "queued");
    desk.cut();
    let gone = history(&desk, "9");
    assert_eq!((&gone["state"], &gone["files"][0]["lines"]), (&"delivered".into(), &serde_json::json!([])), "{gone:#}");
    assert_eq!(history(&desk, "3")["files"][0]["lines"][0]["action"], "change");
}
