//! The units are such that systemd understands them, keep their sandbox, and name the account that the sysusers file makes.
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

/// The unit of the one agent of a machine, and that of one of several.
const UNITS: [&str; 2] = ["hms-sync.service", "hms-sync@.service"];

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn unit() -> String {
    read(UNITS[0])
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
fn written(name: &str, unit: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, unit).unwrap();
    (folder, file)
}

/// The unit with the installed binary's path replaced by the one that was just built.
fn with_our_binary(name: &str) -> String {
    let installed = "ExecStart=/usr/bin/hms-sync ";
    let unit = read(name);
    assert!(unit.contains(installed), "the unit starts the installed binary by its absolute path");
    unit.replace(installed, &format!("ExecStart=\"{}\" ", env!("CARGO_BIN_EXE_hms-sync")))
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    for name in UNITS {
        let (_folder, file) = written(name, &with_our_binary(name));
        let output = systemd_analyze(&["verify", "--man=no"], &file);
        assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
        // The same check sees a line that is wrong.
        let (_folder, file) = written(name, &with_our_binary(name).replace("RestartSec=5s", "RestartSec=soon"));
        let output = systemd_analyze(&["verify", "--man=no"], &file);
        assert!(!said(&output).is_empty(), "a wrong line passes: this test cannot fail");
    }
}

#[test]
fn the_sandbox_is_as_tight_as_promised() {
    let arguments = ["security", "--offline=true", EXPOSURE, "--no-pager"];
    for name in UNITS {
        let output = systemd_analyze(&arguments, &folder().join(name));
        assert!(output.status.success(), "{}", said(&output));
        // The same check sees a sandbox with a hole.
        let (_folder, file) = written(name, &read(name).replace("CapabilityBoundingSet=\n", ""));
        assert!(!systemd_analyze(&arguments, &file).status.success());
    }
}

#[test]
fn one_of_several_differs_from_the_only_one_by_its_places_alone() {
    let settings = |name: &str| -> Vec<String> {
        let unit = read(name);
        unit.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    let (only, several) = (settings(UNITS[0]), settings(UNITS[1]));
    let differ: Vec<&str> =
        only.iter().zip(&several).filter(|(one, other)| one != other).map(|(_, other)| other.as_str()).collect();
    let places = [
        "Description=HMS-SYNC agent %i",
        "ExecStart=/usr/bin/hms-sync run --config %E/hms-sync/%i",
        "StateDirectory=hms-sync/%i",
        "RuntimeDirectory=hms-sync@%i",
    ];
    assert_eq!((only.len(), differ), (several.len(), places.to_vec()));
}

/// The drop-ins of systemd/README.md: what stands in its blocks of `ini`.
fn drop_ins() -> Vec<String> {
    let page = read("README.md");
    let blocks = page.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|block| block.lines().map(|line| format!("{}\n", line.trim_start())).collect()).collect()
}

#[test]
fn systemd_understands_the_drop_ins_of_the_page_and_they_cost_the_sandbox_nothing() {
    let drop_ins = drop_ins();
    assert!(drop_ins.iter().any(|text| text.contains("LoadCredential")), "{drop_ins:?}");
    for text in drop_ins {
        let (folder, file) = written(UNITS[0], &format!("{}\n{text}", with_our_binary(UNITS[0])));
        let output = systemd_analyze(&["verify", "--man=no"], &file);
        assert!(output.status.success() && said(&output).is_empty(), "{text}{}", said(&output));
        let output = systemd_analyze(&["security", "--offline=true", EXPOSURE, "--no-pager"], &file);
        assert!(output.status.success(), "{text}{}", said(&output));
        drop(folder);
    }
}

#[test]
fn the_accounts_and_folders_are_made_as_the_unit_needs_them() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let make = |program: &str, more: &[&str], name: &str| {
        let at = format!("--root={}", root.path().display());
        let output = Command::new(program).arg(at).args(more).arg(folder().join(name)).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    };
    make("systemd-sysusers", &[], "hms-sync.sysusers");
    let accounts = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let groups = fs::read_to_string(root.path().join("etc/group")).unwrap();
    let number = |text: &str, name: &str| -> u32 {
        let line =
            text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap_or_else(|| panic!("{text}"));
        line.split(':').nth(1).unwrap().parse().unwrap()
    };
    number(&accounts, "hms-sync");
    let group = number(&groups, "hms-data");
    assert!(groups.lines().any(|line| line.starts_with("hms-data:") && line.ends_with("hms-sync")), "{groups}");
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOTE: only root can give folders away: hms-sync.tmpfiles is not carried out");
        return;
    }
    make("systemd-tmpfiles", &["--create"], "hms-sync.tmpfiles");
    use std::os::unix::fs::MetadataExt as _;
    let made = fs::metadata(root.path().join("etc/hms-sync/connectors")).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (0, group, 0o750));
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
