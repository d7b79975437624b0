//! What is done offline needs no network at all: it is done where there is none, and changes no file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::support::office::{Ended, Office, ended, files_beneath};
use crate::support::receiver::Receiver;

/// `unshare` with what this user needs for a network without interfaces.
fn alone() -> &'static [&'static str] {
    const WAYS: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    let works = |way: &&&[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(**way).args(["--", "true"]).output().is_ok_and(|output| output.status.success())
    };
    WAYS.iter().find(works).expect("this machine gives nobody a network of its own (util-linux: unshare)")
}

/// The command, in a network that has no interface.
fn in_no_network(office: &Office, arguments: &[&str]) -> Ended {
    let command = office.command(arguments);
    let mut around = Command::new("unshare");
    around.args(alone()).arg("--").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => around.env(name, value),
            None => around.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        around.current_dir(folder);
    }
    ended(&mut around)
}

/// All that is kept. Whoever reads beside a writer keeps marks for it in the `-shm`, which holds nothing of its own.
fn contents(office: &Office) -> BTreeMap<PathBuf, Vec<u8>> {
    let kept = files_beneath(office.folder()).into_iter().filter(|path| !path.to_string_lossy().ends_with("-shm"));
    let read = kept.map(|path| (path.clone(), std::fs::read(&path).unwrap()));
    read.filter(|(path, bytes)| !(bytes.is_empty() && path.to_string_lossy().ends_with("-wal"))).collect()
}

/// The names of what is not as it was.
fn changed(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<PathBuf> {
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[test]
fn simulate_test_and_adapter_test_work_without_any_network_and_change_no_file() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    std::fs::create_dir_all(office.config().join("fixtures")).unwrap();
    let fixture = format!(
        "connector: legacy\ncases:\n  - name: one\n    type: visits\n    record: {{id: 1, name: Ada, minutes: 20}}\n    exchanges:\n      \
         - {{request: {{method: PUT, url: \"{}\"}}, answer: {{status: 200}}}}\n    outcome: success\n",
        target.url("/visits/1")
    );
    std::fs::write(office.config().join("fixtures/legacy.yaml"), fixture).unwrap();
    let scaffolded = office.run(&["scaffold", "adapter", "clinic"]);
    assert_eq!(scaffolded.code, Some(0), "{scaffolded:?}");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', 20)");
    let before = contents(&office);
    for (arguments, says) in [
        (&["simulate", "--since", "1h"][..], "  PUT https://"),
        (&["test"], "passed, 0 failed"),
        (&["adapter", "test"], "passed, 0 failed"),
        (&["adapter", "list"], "salesforce"),
        (&["check"], ""),
    ] {
        let came = in_no_network(&office, arguments);
        assert!(came.code == Some(0) && came.stdout.contains(says), "{arguments:?}: {came:?}");
        assert_eq!(changed(&before, &contents(&office)), Vec::<PathBuf>::new(), "{arguments:?}");
    }
    // Where these were done there is no way out: a delivery there finds none.
    let sent = in_no_network(&office, &["run", "--once"]);
    assert_eq!(sent.code, Some(75), "{sent:?}");
    assert!(target.journal().is_empty());
}
