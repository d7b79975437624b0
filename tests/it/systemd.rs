//! The unit is one that systemd understands, keeps its sandbox, and names the account that its sysusers file makes.
//!
//! A start under a running systemd is tried by hand (`systemd/README.md`); here systemd-analyze, from Debian's
//! package `systemd`, judges the files. Where it is missing the tests fail: they are not skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The sandbox's exposure, in tenths: 1.2 is where `systemd-analyze security` puts it, and no worse is accepted.
/// The two tenths above the floor for a service with network and sockets are the shared umask and the missing
/// `PrivateUsers=`, both of which the application's file needs.
const EXPOSURE: &str = "--threshold=12";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

fn unit() -> String {
    fs::read_to_string(folder().join("hms-sync.service")).unwrap()
}

fn systemd_analyze(arguments: &[&str], file: &Path) -> Output {
    Command::new("systemd-analyze")
        .args(arguments)
        .arg(file)
        .env("SYSTEMD_PAGER", "cat")
        .output()
        .expect("systemd-analyze runs: install the package `systemd`, or use tests/run, which does")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A unit file under its own name in a folder of its own.
fn written(unit: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hms-sync.service");
    fs::write(&file, unit).unwrap();
    (folder, file)
}

/// The unit with the installed binary's path replaced by the one that was just built.
fn with_our_binary() -> String {
    let installed = "ExecStart=/usr/bin/hms-sync ";
    let unit = unit();
    assert!(unit.contains(installed), "the unit starts the installed binary by its absolute path");
    unit.replace(installed, &format!("ExecStart=\"{}\" ", env!("CARGO_BIN_EXE_hms-sync")))
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let (_folder, file) = written(&with_our_binary());
    let output = systemd_analyze(&["verify", "--man=no"], &file);
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
    // The same check sees a line that is wrong.
    let (_folder, file) = written(&with_our_binary().replace("RestartSec=5s", "RestartSec=soon"));
    let output = systemd_analyze(&["verify", "--man=no"], &file);
    assert!(!said(&output).is_empty(), "a wrong line passes: this test cannot fail");
}

#[test]
fn the_sandbox_is_as_tight_as_promised() {
    let arguments = ["security", "--offline=true", EXPOSURE, "--no-pager"];
    let output = systemd_analyze(&arguments, &folder().join("hms-sync.service"));
    assert!(output.status.success(), "{}", said(&output));
    // The same check sees a sandbox with a hole.
    let (_folder, file) = written(&unit().replace("CapabilityBoundingSet=\n", ""));
    assert!(!systemd_analyze(&arguments, &file).status.success());
}

#[test]
fn the_unit_runs_as_the_account_that_sysusers_makes() {
    let (unit, accounts) = (unit(), fs::read_to_string(folder().join("hms-sync.sysusers")).unwrap());
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let makes = |kind: &str, name: &str| accounts.lines().any(|line| line.split_whitespace().take(2).eq([kind, name]));
    assert!(makes("u", value("User=")) && makes("g", value("Group=")), "{accounts}");
}

#[test]
fn it_is_watched_and_says_itself_when_it_is_ready() {
    let unit = unit();
    for line in ["Type=notify", "NotifyAccess=main", "WatchdogSec=2min"] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn only_a_configuration_error_is_not_tried_again() {
    let unit = unit();
    assert!(unit.lines().any(|line| line == "Restart=on-failure"));
    assert!(unit.lines().any(|line| line == "RestartPreventExitStatus=78"));
    assert!(unit.lines().any(|line| line == "StartLimitIntervalSec=0"));
}
