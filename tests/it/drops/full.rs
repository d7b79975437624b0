//! A full disk while a file is cut or published: it waits, and goes on by itself when there is space again.
//!
//! The disk is a small tmpfs in a mount namespace of the command's own.

use std::path::Path;
use std::process::Command;

use super::nightly::{Nightly, ONE, at};
use crate::support::office::{Ended, ended};

const THREE: &str = "INSERT INTO visits VALUES (1, 'Ada', 1, NULL), (2, 'Bea', 1, NULL), (3, 'Cy', 1, NULL)";

/// A verb that sees a disk of so many KiB at a folder.
fn with_disk(nightly: &Nightly, kib: u32, at_folder: &Path, arguments: &[&str]) -> Ended {
    let inner = at(ONE, &nightly.office.command(arguments));
    let mut unshare = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let script = format!("mount -t tmpfs -o size={kib}k,mode=0700 tmpfs \"$0\" && exec \"$@\"");
    unshare.args(["--mount", "--", "sh", "-c", &script]).arg(at_folder);
    unshare.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => unshare.env(name, value),
            None => unshare.env_remove(name),
        };
    }
    ended(&mut unshare)
}

#[test]
fn an_outlet_without_space_gets_the_file_when_it_has_some() {
    let nightly = Nightly::new(&[]);
    nightly.night("2027-03-02 18:00:10");
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 800)
        INSERT INTO visits SELECT i, 'Visit', 1, NULL FROM n";
    nightly.sql(many);
    let full = with_disk(&nightly, 16, &nightly.out(), &["drop", "run", "nightly"]);
    assert_eq!(full.code, Some(75), "{full:?}");
    let shown = nightly.json(&["drop", "show", "nightly", "1", "--limit", "1"]);
    assert_eq!((&shown["state"], &shown["outlets"][0]["state"]), (&"rendered".into(), &"waiting".into()), "{shown}");
    nightly.night("2027-03-02 20:00:00");
    assert_eq!(nightly.only().len(), 800);
    assert_eq!(nightly.names("out").len(), 1, "no part of the first attempt is left");
}

#[test]
fn nothing_is_cut_where_the_file_could_not_be_made() {
    let nightly = Nightly::new(&[]);
    nightly.night("2027-03-02 18:00:10");
    nightly.sql(THREE);
    let drops = nightly.office.folder().join("state/drops");
    let full = with_disk(&nightly, 2048, &drops, &["drop", "run", "nightly"]);
    assert_ne!(full.code, Some(0), "{full:?}");
    assert!(full.stderr.contains("almost full"), "{full:?}");
    let listed = nightly.json(&["drop", "list", "nightly"]);
    assert_eq!(listed, serde_json::json!([]), "nothing was cut and no number used");
    // It is still asked for.
    nightly.night("2027-03-02 20:00:00");
    assert_eq!(nightly.only().len(), 3);
    assert_eq!(nightly.files()[0].seq, 1);
}

#[test]
fn a_full_disk_of_the_ledger_ends_in_the_same_files() {
    let nightly = Nightly::new(&[]);
    nightly.night("2027-03-02 18:00:10");
    nightly.sql(THREE);
    let strace = crate::support::strace::Strace {
        paths: crate::support::strace::files_of(&nightly.office.state()),
        injection: Some(crate::support::strace::Injection {
            fault: crate::support::strace::Fault::Full,
            call: "pwrite64".to_owned(),
            n: 3,
        }),
        log: nightly.office.folder().join("strace"),
    };
    let full = ended(&mut strace.around(&at(ONE, &nightly.office.command(&["drop", "run", "nightly"]))));
    assert_ne!(full.code, Some(0), "{full:?}");
    nightly.run_at("2027-03-02 20:00:00", &["drop", "run", "nightly", "--bus-date", "2027-03-02"]);
    let lines: Vec<String> = nightly.files().into_iter().flat_map(|file| file.lines).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
}
