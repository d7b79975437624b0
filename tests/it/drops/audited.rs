//! What the audit says of files, and what a dry run does.

use std::fs;

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::Connection;

use super::nightly::{NOON, Nightly};

const TWO: &str = "INSERT INTO visits VALUES (1, 'Ada', '10.50', '2027-03-05'), (2, 'Bea', 3, '2027-03-05')";
const FIRST: &str = "OF042.VISITS.D270302.S000001";
const CALLED: &str = "1 (2027-03-02, OF042.VISITS.D270302.S000001)";

/// What the agent recorded of files: verb, subject, reason.
fn told(nightly: &Nightly) -> Vec<(String, String, String)> {
    let state = Connection::open(nightly.office.state()).unwrap();
    let sql = "SELECT verb, subject, reason FROM act WHERE actor = 'system' AND verb LIKE 'drop %' ORDER BY n";
    let mut acts = state.prepare(sql).unwrap();
    let rows = acts.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn each_file_that_is_cut_sent_and_published_stands_in_the_audit_with_its_hash() {
    let nightly = Nightly::new(&[]);
    nightly.sql(TWO);
    nightly.well(&["drop", "run", "nightly"]);
    let bytes = fs::read(nightly.out().join(FIRST)).unwrap();
    let sum = format!("{} bytes, sha256 {}", bytes.len(), hash(&bytes));
    let acts = told(&nightly);
    let verbs: Vec<(&str, &str)> = acts.iter().map(|(verb, subject, _)| (&**verb, &**subject)).collect();
    assert_eq!(verbs, [("drop cut", CALLED), ("drop send", CALLED), ("drop publish", CALLED)]);
    assert!(acts[0].2.starts_with("2 records, configuration "), "{acts:?}");
    assert!(acts[1].2.starts_with("to host (") && acts[1].2.ends_with(&sum), "{acts:?}");
    assert!(acts[2].2.starts_with("at host (") && acts[2].2.ends_with(&sum), "{acts:?}");

    // A place that holds it is told of too, and one that cannot be reached has got nothing.
    fs::write(nightly.out().join(FIRST), "another").unwrap();
    let held = nightly.run(&["drop", "resend", "nightly", "1", "--reason", "lost"]);
    assert_eq!(held.code, Some(1), "{held:?}");
    let last = told(&nightly).pop().unwrap();
    assert!(last.0 == "drop hold" && last.2.ends_with(&format!("{sum}: foreign")), "{last:?}");
    let count = told(&nightly).len();
    fs::remove_dir_all(nightly.out()).unwrap();
    let missing = nightly.run(&["drop", "resend", "nightly", "1", "--reason", "lost"]);
    assert_eq!(missing.code, Some(75), "{missing:?}");
    assert_eq!(told(&nightly).len(), count, "nothing left for a folder that is not there");
    fs::create_dir(nightly.out()).unwrap();
    nightly.sql("UPDATE visits SET name = 'Bea B' WHERE id = 2");
    nightly.night("2027-03-04 00:30:00");
    let verify = nightly.well(&["audit", "verify"]);
    assert!(verify.contains("all as they were recorded"), "{verify}");
    let shown = nightly.well(&["audit", "show", "--acts"]);
    assert!(shown.contains("drop publish") && !shown.contains("Bea"), "{shown}");
}

#[test]
fn a_cut_without_a_file_is_told_of_too() {
    let nightly = Nightly::new(&[("when_empty", "skip")]);
    nightly.well(&["drop", "run", "nightly"]);
    let acts = told(&nightly);
    assert_eq!(acts, [("drop cut".into(), "2027-03-02".into(), "nothing to send, no file".into())]);
}

#[test]
fn the_report_of_a_record_names_the_files_that_it_went_with() {
    let nightly = Nightly::new(&[]);
    nightly.sql(TWO);
    nightly.well(&["drop", "run", "nightly"]);
    nightly.sql("DELETE FROM visits WHERE id = 2");
    nightly.well(&["drop", "run", "nightly"]);
    let sum = hash(&fs::read(nightly.out().join(FIRST)).unwrap());
    let said = nightly.well(&["audit", "report", "visits", "2"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].contains(&format!("nightly: add in the file {CALLED}, event ")), "{said}");
    assert!(
        lines[0].contains(", published at host since ") && lines[0].ends_with(&format!(", sha256 {sum}")),
        "{said}"
    );
    assert!(lines[1].contains("nightly: delete in the file 2 (2027-03-02, "), "{said}");
    assert_eq!(lines[2], "2 lines in files of nightly");
    let report = nightly.json(&["audit", "report", "visits", "1"]);
    let file = &report["files"][0];
    assert_eq!((&file["action"], &file["sha256"], &file["state"]), (&"add".into(), &sum.into(), &"published".into()));
    assert_eq!((&report["files"][1], &report["attempts"]), (&serde_json::Value::Null, &serde_json::json!([])));
    let none = nightly.run(&["audit", "report", "visits", "3"]);
    assert!(none.code == Some(69) && none.stderr.contains("no attempt"), "{none:?}");
}

#[test]
fn a_dry_run_does_nothing_and_says_what_would_be_refused() {
    let nightly = Nightly::new(&[]);
    nightly.sql(TWO);
    nightly.sql("INSERT INTO visits VALUES (3, 'much too long a name', 1, NULL)");
    nightly.well(&["drop", "run", "nightly"]);
    let state = || {
        let state = Connection::open(nightly.office.state()).unwrap();
        let count = |sql: &str| state.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        (count("SELECT count(*) FROM act WHERE connector IS NOT NULL"), count("SELECT count(*) FROM drop_file"))
    };
    let before = (state(), fs::read(nightly.out().join(FIRST)).unwrap());
    let parked = nightly.json(&["deliveries", "list"]);
    let event = parked[0]["event"].as_str().unwrap_or_else(|| panic!("{parked}"));
    let again = nightly.office.folder().join("again");
    let to = again.to_str().unwrap();
    let would: &[(&[&str], &str)] = &[
        (&["resend", "nightly", "1"], "would be sent again where it is not"),
        (&["resend", "nightly", "1", "--as-new"], "2 lines in a new file: would go"),
        (&["release", "nightly"], "would go with the next file"),
        (&["discard", "nightly", "--event", event], "would be given up"),
        (&["set-sequence", "nightly", "50"], "the next file is 50: would be set"),
        (&["regenerate", "nightly", "1"], "made again: the same bytes"),
        (&["regenerate", "nightly", "1", "--to", to], "made again: the same bytes"),
    ];
    for (words, says) in would {
        let words = [&["drop"][..], words, &["--dry-run"]].concat();
        let said = nightly.well(&words);
        assert!(said.contains(says), "{words:?}: {said}");
        let json = nightly.json(&words);
        assert!(json["done"][0].is_string() || json["dryRun"] == true, "{words:?}: {json}");
    }
    let refused: &[(&[&str], &str)] = &[
        (&["accept", "nightly", "1"], "is in no doubt"),
        (&["discard", "nightly", "1"], "only a file that is not published"),
        (&["dismiss", "nightly", "nothing"], "put no answer"),
        (&["set-sequence", "nightly", "1"], "has this number already"),
        (&["set-sequence", "nightly", "0"], "numbers begin with 1"),
        (&["resend", "nightly", "1", "--outlet", "nobody"], "does not go to such an outlet"),
        (&["resend", "nightly", "1", "--as-new", "--record", "x"], "has no line of these records"),
        (&["run", "nightly", "--bus-date", "soon"], "is no date like"),
        (&["run", "nightly", "--bus-date", "2027-03-01"], "is cut already"),
    ];
    for (words, says) in refused {
        let words = [&["drop"][..], words, &["--dry-run"]].concat();
        let said = nightly.run(&words);
        assert!(said.code == Some(65) && said.stderr.contains(says), "{words:?}: {said:?}");
        let json: serde_json::Value =
            serde_json::from_str(&nightly.run(&[&["--json"], &words[..]].concat()).stdout).unwrap();
        assert!(json["refused"][0]["why"].as_str().unwrap().contains(says), "{words:?}: {json}");
    }
    assert_eq!(before, (state(), fs::read(nightly.out().join(FIRST)).unwrap()));
    assert!(!again.exists());
    // The date that a cut would have is that of the preview.
    let said = nightly.well(&["drop", "run", "nightly", "--bus-date", "2027-03-09", "--dry-run"]);
    assert!(said.contains("OF042.VISITS.D270309.S000002: 0 records"), "{said}");
    let said = nightly.well(&["drop", "preview", "nightly", "--bus-date", "2027-03-02"]);
    assert!(said.contains("OF042.VISITS.D270302.S000002"), "{said}");
}

#[test]
fn a_file_that_is_made_again_for_somebody_is_taken_down_with_the_reason() {
    let nightly = Nightly::at(NOON, &[]);
    nightly.sql(TWO);
    nightly.well(&["drop", "run", "nightly"]);
    let to = nightly.office.folder().join("again");
    let made = nightly.json(&[
        "drop",
        "regenerate",
        "nightly",
        "1",
        "--to",
        to.to_str().unwrap(),
        "--reason",
        "the auditor asks",
    ]);
    assert_eq!((&made["same"], &made["file"]), (&true.into(), &FIRST.into()), "{made}");
    let state = Connection::open(nightly.office.state()).unwrap();
    let act: (String, String) = state
        .query_row("SELECT subject, reason FROM act WHERE verb = 'drop regenerate'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(act, (CALLED.to_owned(), "the auditor asks".to_owned()));
}

#[test]
fn a_number_is_given_twice_only_when_that_is_said_and_each_of_both_can_be_meant() {
    let nightly = Nightly::new(&[("name", "\"VISITS.S{seq:06}\"")]);
    nightly.sql(TWO);
    nightly.well(&["drop", "run", "nightly"]);
    nightly.well(&["drop", "run", "nightly"]);
    let twice = nightly.run(&["drop", "set-sequence", "nightly", "1"]);
    assert!(twice.code == Some(65) && twice.stderr.contains("--again"), "{twice:?}");
    nightly.well(&["drop", "set-sequence", "nightly", "1", "--again"]);
    fs::remove_file(nightly.out().join("VISITS.S000001")).unwrap();
    nightly.well(&["drop", "run", "nightly"]);
    let which = nightly.run(&["drop", "show", "nightly", "1"]);
    assert!(
        which.code == Some(65)
            && which.stderr.contains("`1` may be file:3 = 1 (")
            && which.stderr.contains("file:1 = 1 ("),
        "{which:?}"
    );
    assert_eq!(nightly.json(&["drop", "show", "nightly", "file:1"])["records"], 2);
    assert_eq!(nightly.json(&["drop", "show", "nightly", "file:3"])["records"], 0);
    // The second one has not the bytes of the first: what is there is another file.
    let held = nightly.run(&["drop", "resend", "nightly", "file:1", "--reason", "lost"]);
    assert!(held.code == Some(1) && held.stderr.contains("foreign"), "{held:?}");
    // Numbers that began anew are free again.
    nightly.well(&["drop", "set-sequence", "nightly", "2"]);
}

#[test]
fn a_file_that_a_person_must_see_to_ends_the_run_with_1_not_with_try_again() {
    let nightly = Nightly::new(&[]);
    nightly.sql(TWO);
    fs::write(nightly.out().join(FIRST), "another").unwrap();
    let ended = nightly.run(&["drop", "run", "nightly"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("nightly at host: held: foreign: "), "{ended:?}");
}

#[test]
fn a_row_that_is_held_and_what_becomes_of_it_stand_in_the_audit_without_a_value() {
    let nightly = Nightly::new(&[]);
    nightly
        .sql("INSERT INTO visits VALUES (1, 'much too long a name', 1, NULL), (2, 'another of such names', 1, NULL)");
    nightly.well(&["drop", "run", "nightly"]);
    nightly.sql("UPDATE visits SET name = 'Short' WHERE id = 1");
    nightly.well(&["drop", "run", "nightly"]);
    let parked = nightly.json(&["deliveries", "list"]);
    let event = parked[0]["event"].as_str().unwrap();
    nightly.well(&["drop", "discard", "nightly", "--event", event, "--reason", "entered by mistake"]);
    let state = Connection::open(nightly.office.state()).unwrap();
    let sql = "SELECT verb, subject, ifnull(reason, '') FROM act WHERE verb IN ('park', 'drop release', 'discard') ORDER BY n";
    let mut acts = state.prepare(sql).unwrap();
    let rows = acts.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let acts: Vec<(String, String, String)> = rows.unwrap().map(Result::unwrap).collect();
    let short: Vec<(&str, &str)> = acts.iter().map(|(verb, _, reason)| (&**verb, &**reason)).collect();
    let held = ("park", "encoding: VD-NAME: overflow (V-DETAIL)");
    assert_eq!(
        short,
        [held, held, ("drop release", "goes with the next file; encoding before"), ("discard", "entered by mistake")]
    );
    assert_eq!((&acts[0].1, &acts[1].1, event), (&acts[2].1, &acts[3].1, acts[3].1.as_str()));
}
