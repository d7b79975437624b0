//! A file of a drop carries a checkpoint of the audit to its host, where the configuration asks for it.

use std::path::PathBuf;

use rusqlite::Connection;

use super::{beside, broken, well, whole};
use crate::support::office::{Office, THREE};

const DROP: &str = "adapter: directory
listen: visits
mapping: {id: id}
start: beginning
drop:
  source: {key: [id]}
  schedule: {cut_off: \"23:59\", zone: UTC, days: every}
  format: {kind: csv, names: off, eol: lf, columns: [{field: id}]}
  when_empty: skip
  name: \"VISITS.{seq:06}.csv\"
  CONTROL
  deliver: {directory: OUT, trigger: {content: \"TRIGGER\"}}
";

fn office(control: &str, trigger: &str) -> (Office, PathBuf) {
    let office = Office::visits();
    let out = office.folder().join("out");
    std::fs::create_dir(&out).unwrap();
    let drop = DROP.replace("OUT", &out.display().to_string()).replace("CONTROL", control).replace("TRIGGER", trigger);
    office.connector("nightly", &drop);
    (office, out)
}

const AUDIT: &str = "control: {name: \"{file}.audit\", content: \"{audit}\\n\"}";

#[test]
fn a_checkpoint_that_a_host_has_shows_that_the_end_was_cut_off_and_stays_what_it_was_when_it_is_sent_again() {
    let (office, out) = office(AUDIT, "{size}");
    well(&office, &["watch", "visits"]);
    office.sql(THREE);
    well(&office, &["run", "--once"]);
    well(&office, &["drop", "run", "nightly"]);
    let there = out.join("VISITS.000001.csv.audit");
    let kept = office.folder().join("kept");
    std::fs::copy(&there, &kept).unwrap();
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(text.starts_with("hms-sync/") && text.lines().count() == 1, "{text:?}");
    let kept = kept.to_str().unwrap();
    let verdict = whole(&office, &["--checkpoint", kept]);

    // Who cuts the end off, and the checkpoints here, is found by what the host has.
    let signed: i64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(signed <= verdict["last"].as_i64().unwrap(), "{text:?}: {verdict:#}");
    let cut = office.copy();
    let state = Connection::open(cut.state()).unwrap();
    state
        .execute_batch(&format!(
            "DROP TRIGGER act_stay; DROP TRIGGER attempt_stay; DELETE FROM act WHERE n >= {signed}; DELETE FROM attempt WHERE n >= {signed}"
        ))
        .unwrap();
    std::fs::remove_file(beside(&cut, ".checkpoints")).unwrap();
    whole(&cut, &[]);
    let (n, what) = broken(&cut, &["--checkpoint", kept]);
    assert_eq!(n, signed, "{what}");

    // A later checkpoint goes with the next file; this one is sent again as it was.
    office.sql("INSERT INTO visits VALUES (4, 'Di', 40)");
    well(&office, &["run", "--once"]);
    well(&office, &["drop", "run", "nightly"]);
    let next = std::fs::read_to_string(out.join("VISITS.000002.csv.audit")).unwrap();
    assert_ne!(next, text);
    std::fs::remove_file(&there).unwrap();
    well(&office, &["drop", "resend", "nightly", "1", "--reason", "it was lost there"]);
    well(&office, &["run", "--once"]);
    assert_eq!(std::fs::read_to_string(&there).unwrap(), text);
}

#[test]
fn no_file_gets_a_checkpoint_that_nobody_asked_for_and_a_trigger_cannot_have_one() {
    let (office, out) = office("", "{size}");
    well(&office, &["watch", "visits"]);
    office.sql(THREE);
    well(&office, &["run", "--once"]);
    well(&office, &["drop", "run", "nightly"]);
    let mut there: Vec<_> = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, ["VISITS.000001.csv", "VISITS.000001.csv.done"]);
    let (office, _) = self::office("", "{audit}");
    let said = office.run(&["check"]);
    assert_eq!(said.code, Some(78), "{said:#?}");
    assert!(said.stdout.contains("`audit` is not known yet when a trigger file is made"), "{said:#?}");
}
