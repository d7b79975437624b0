//! What is kept of published files, how, and for how long.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::nightly::Nightly;

const NIGHTS: [&str; 4] = ["2027-03-03 00:30:00", "2027-03-04 00:30:00", "2027-03-05 00:30:00", "2027-03-06 00:30:00"];

/// Four nights, each with a file.
fn four(archive: &str) -> Nightly {
    let nightly = Nightly::new(&[("archive", archive)]);
    nightly.night("2027-03-02 18:00:10");
    for (night, id) in NIGHTS.iter().zip(1..) {
        nightly.sql(&format!("INSERT INTO visits VALUES ({id}, 'Ada', 1, NULL)"));
        nightly.night(night);
    }
    nightly
}

fn states(nightly: &Nightly, time: &str) -> Vec<(u64, String)> {
    let ended = nightly.run_at(time, &["--json", "drop", "list", "nightly"]);
    let files: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).unwrap();
    let one = |file: &serde_json::Value| (file["seq"].as_u64().unwrap(), file["state"].as_str().unwrap().to_owned());
    files.iter().map(one).collect()
}

const ARCHIVE: &str = "state/drops/nightly/archive";

#[test]
fn published_files_are_packed_and_nobody_elses() {
    let nightly = four("{}");
    for n in 1..=4 {
        let kept = nightly.office.folder().join(ARCHIVE).join(format!("{n}.data.gz"));
        let unpacked = flate2::read::GzDecoder::new(fs::File::open(&kept).unwrap());
        let sent = fs::read(nightly.out().join(&nightly.names("out")[n - 1])).unwrap();
        assert_eq!(std::io::read_to_string(unpacked).unwrap().into_bytes(), sent);
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(
        nightly.names("state/drops/nightly"),
        ["archive"],
        "what was published is packed, and nothing else is left"
    );
}

#[test]
fn only_the_newest_are_kept_and_of_the_others_the_line_stays() {
    let nightly = four("{count: 2}");
    let state = |word: &str, n| (n, word.to_owned());
    let expected = [state("published", 4), state("published", 3), state("purged", 2), state("purged", 1)];
    assert_eq!(states(&nightly, NIGHTS[3]), expected);
    assert_eq!(nightly.names(ARCHIVE), ["3.data.gz", "4.data.gz"]);
    let shown = nightly.json(&["drop", "show", "nightly", "1"]);
    assert_eq!((&shown["records"], &shown["lines"][0]["action"]), (&1.into(), &"add".into()), "{shown:#}");
    // Whoever wants it back is told when it went.
    let refused = nightly.run(&["drop", "resend", "nightly", "1", "--reason", "lost"]);
    assert!(refused.code == Some(65) && refused.stderr.contains("was purged at 2027-03-05"), "{refused:?}");
    let to = nightly.office.folder().join("again");
    let refused = nightly.run(&["drop", "regenerate", "nightly", "1", "--to", to.to_str().unwrap()]);
    assert!(refused.code != Some(0) && refused.stderr.contains("purged"), "{refused:?}");
}

#[test]
fn what_is_older_than_the_time_goes_and_not_by_a_clock_that_is_not_believed() {
    let nightly = four("{retain: 36h}");
    let state = |word: &str, n| (n, word.to_owned());
    let expected = [state("published", 4), state("published", 3), state("purged", 2), state("purged", 1)];
    assert_eq!(states(&nightly, NIGHTS[3]), expected);
    // Years ahead at once: it may be the clock.
    nightly.run_at("2031-01-01 00:00:00", &["run", "--once"]);
    assert_eq!(states(&nightly, NIGHTS[3])[..2], expected[..2]);
}

#[test]
fn a_file_that_an_answer_is_awaited_for_is_never_purged() {
    const ACK: &str = "{dir: ../acks, pattern: \"*.ack\", trigger: \"{file}.done\", format: {kind: csv, names: off, columns: [{field: id, required: true}], header: [\"ACK {seq}\"]}, match: {file: {sequence: seq}}}";
    let mut nightly = four("{count: 1}");
    assert_eq!(states(&nightly, NIGHTS[3])[1].1, "purged");
    fs::create_dir_all(nightly.office.folder().join("acks")).unwrap();
    nightly.set(&[("ack", ACK)]);
    for (night, id) in ["2027-03-07 00:30:00", "2027-03-08 00:30:00", "2027-03-09 00:30:00"].iter().zip(5..) {
        nightly.sql(&format!("INSERT INTO visits VALUES ({id}, 'Ada', 1, NULL)"));
        nightly.night(night);
    }
    let late = "2027-03-09 01:00:00";
    assert_eq!(states(&nightly, late).iter().filter(|(_, state)| state == "published").count(), 4);
    // One is answered: it may go.
    fs::write(nightly.office.folder().join("acks/5.ack"), "ACK 5\r\n").unwrap();
    fs::write(nightly.office.folder().join("acks/5.ack.done"), "").unwrap();
    let looked = nightly.run_at("2027-03-09 01:10:00", &["run", "--once"]);
    nightly.run_at("2027-03-09 01:20:00", &["run", "--once"]);
    let after = states(&nightly, "2027-03-09 02:00:00");
    assert!(after.contains(&(6, "published".to_owned())) && after.contains(&(4, "published".to_owned())), "{after:?}");
    assert!(after.contains(&(5, "acked".to_owned())), "the newest answered file is kept: {after:?} {looked:?}");
    let kept = nightly.names(ARCHIVE);
    assert!(kept.contains(&"6.data.gz".to_owned()) && kept.contains(&"4.data.gz".to_owned()), "{kept:?}");
}
