//! A crash, a full or failing disk or a failed sync at any system call of `drop run` takes no change twice and loses none.
//!
//! As in `process_faults.rs`: a run without a fault shows the calls, then each fails in turn in an office of its own.
//! `HMS_FAULTS` = how many points are tried (default 16; `all`), `HMS_SEED` draws others.

use std::os::unix::process::ExitStatusExt as _;

use fastrand::Rng;

use super::nightly::{Nightly, ONE, at};
use crate::support::office::{Office, ended};
use crate::support::strace::{Fault, Injection, Strace, counts};
use crate::support::verdict::integrity;

const RUN: [&str; 3] = ["drop", "run", "nightly"];

/// An office with a night's changes.
fn template() -> Nightly {
    let nightly = Nightly::new(&[
        ("when_empty", "skip"),
        ("max_records", "2"),
        ("control", "{name: \"{file}.ctl\", content: \"{count()}\"}"),
        ("deliver", "[{directory: ../../out, name: host, trigger: \"{file}.done\"}]"),
    ]);
    nightly.night("2027-03-02 18:00:10");
    nightly.sql("INSERT INTO visits VALUES (1, 'Ada', 1, NULL), (2, 'Bea', 1, NULL), (3, 'Cy', 1, NULL)");
    nightly
}

fn under(office: &Office, injection: Option<Injection>) -> (std::process::Output, Vec<String>) {
    let strace = Strace { injection, log: office.folder().join("strace"), ..Strace::default() };
    let mut command = strace.around(&at(ONE, &office.command(&RUN)));
    let output = command.output().expect("strace must be installed");
    (output, strace.lines())
}

/// Everything that is wrong after a fault.
fn wrong(point: &Injection) -> Vec<String> {
    let mut wrong = Vec::new();
    let nightly = template();
    let (output, trace) = under(&nightly.office, Some(point.clone()));
    // What wakes a thread is on no disk: a library takes a failure there for a fault of the program. Nothing may be lost by it.
    let no_file = |line: &String| line.contains("(INJECTED)") && line.contains("<anon_inode:");
    let excused = point.fault != Fault::Kill && trace.iter().any(no_file) && output.status.code() == Some(101);
    let killed = point.fault == Fault::Kill && output.status.signal() == Some(9);
    // 78: a copybook that could not be opened is one that is not there.
    if !killed && !excused && ![0, 1, 65, 73, 74, 75, 78].map(Some).contains(&output.status.code()) {
        wrong.push(format!("it ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    wrong.extend(integrity(&nightly.office.state()));
    // What was asked may have been made, may still be asked for, or may never have been written down.
    let after = ended(&mut at("2027-03-02 20:00:00", &nightly.office.command(&["run", "--once"])));
    let again = ended(&mut at("2027-03-02 21:00:00", &nightly.office.command(&RUN)));
    if after.code != Some(0) || again.code != Some(0) {
        wrong.push(format!("it does not go on: {after:?} {again:?}"));
        return wrong;
    }
    let files = nightly.files();
    let mut lines: Vec<&str> = files.iter().flat_map(|file| file.lines.iter().map(String::as_str)).collect();
    lines.sort_unstable();
    if lines != ["A 1 Ada 1.00 00000000", "A 2 Bea 1.00 00000000", "A 3 Cy 1.00 00000000"] {
        wrong.push(format!("the files say {lines:?}"));
    }
    if !files.iter().map(|file| file.seq).eq(1..=files.len() as u64) {
        wrong.push(format!("the numbers have a gap: {files:?}"));
    }
    if nightly.names("out").len() != 3 * files.len() {
        wrong.push(format!("something is left: {:?}", nightly.names("out")));
    }
    if nightly.names("state/drops/nightly") != ["archive"] {
        wrong.push(format!("something is left: {:?}", nightly.names("state/drops/nightly")));
    }
    let doctor = nightly.run_at("2027-03-02 21:00:10", &["doctor"]);
    if doctor.code != Some(0) {
        wrong.push(format!("{doctor:?}"));
    }
    wrong
}

#[test]
fn a_fault_at_any_call_of_a_run_leaves_every_change_in_exactly_one_file() {
    let setting = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let sample = template();
    let (output, trace) = under(&sample.office, None);
    assert!(output.status.success(), "{output:?}");
    let calls = counts(&trace, |line| line.contains("sync.yaml"));
    let mut points = Vec::new();
    for fault in [Fault::Kill, Fault::FullOnce, Fault::ErrorOnce, Fault::Sync] {
        for call in fault.calls() {
            // What only looks says nothing of what is left behind.
            let writes = !matches!(call, "read" | "readv" | "pread64" | "fcntl" | "flock" | "lseek" | "getdents64")
                && !call.contains("stat")
                && !call.contains("access");
            let Some((first, last)) = calls.get(call).filter(|_| writes) else { continue };
            points.extend((*first..=*last).map(|n| Injection { fault, call: call.to_owned(), n }));
        }
    }
    let all = points.len();
    Rng::with_seed(setting("HMS_SEED").map_or(1, |seed| seed.parse().unwrap())).shuffle(&mut points);
    let wish = setting("HMS_FAULTS").unwrap_or_default();
    if wish != "all" {
        // Renames and links are few, and what they do is all that a receiver sees.
        points.sort_by_key(|point| !point.call.starts_with("rename") && point.call != "link");
        // Names are those of points of `process_faults.rs`.
        points.truncate(wish.parse().unwrap_or(16));
    }
    eprintln!("{} of {all} points", points.len());
    let found: Vec<String> = points
        .iter()
        .filter_map(|point| {
            let wrong = wrong(point);
            (!wrong.is_empty()).then(|| format!("{point:?}: {}", wrong.join("; ")))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_file_of_which_nobody_can_say_whether_it_arrived_is_not_sent_again_by_itself() {
    let nightly = template();
    let (_, trace) = under(&template().office, None);
    let publishes = trace.iter().find(|line| line.contains("renameat2("));
    assert!(publishes.is_some_and(|line| line.contains("/out/")), "{publishes:?}");
    let (output, _) =
        under(&nightly.office, Some(Injection { fault: Fault::Kill, call: "renameat2".to_owned(), n: 1 }));
    assert_eq!(output.status.signal(), Some(9), "{output:?}");
    // The host has taken it away before anybody looked.
    for left in nightly.names("out") {
        std::fs::remove_file(nightly.out().join(left)).unwrap();
    }
    nightly.night("2027-03-02 20:00:00");
    let shown = nightly.json(&["drop", "show", "nightly", "1"]);
    assert_eq!(shown["outlets"][0]["state"], "unverified", "{shown}");
    let status = nightly.run(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("nobody can say whether"), "{status:?}");
    assert!(nightly.files().iter().all(|file| file.seq != 1));
    nightly.well(&["drop", "accept", "nightly", "1", "--dry-run"]);
    nightly.well(&["drop", "accept", "nightly", "1", "--reason", "the host has it"]);
    let status = nightly.run(&["status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    let twice = nightly.run(&["drop", "accept", "nightly", "1"]);
    assert_eq!(twice.code, Some(65), "{twice:?}");
}
