//! Housekeeping by hand: a copy of the state file and its way back, the manual, completions.

use std::process::Command;

use hms_sync::store::state::StateReader;

use crate::support::journal::{all_the_same, committed};
use crate::support::office::{Office, THREE, ended};
use crate::support::receiver::Receiver;

#[test]
fn a_backup_made_beside_a_running_agent_is_whole_and_put_back_repeats_with_equal_keys_and_loses_nothing() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let agent = office.agent();
    office.wait_settled("legacy");
    let copy = office.folder().join("copy.db");
    let made = office.run(&["backup", copy.to_str().unwrap()]);
    assert!(made.code == Some(0) && made.stdout.contains("checked"), "{made:#?}");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    StateReader::open(&copy).unwrap();
    let again = office.run(&["backup", copy.to_str().unwrap()]);
    assert!(again.code == Some(73) && again.stderr.contains("name another file"), "{again:#?}");
    office.sql("UPDATE visits SET minutes = 99");
    target.wait("it goes on", |journal| committed(journal) == 6);
    agent.stop();
    // As docs/INSTALL.md says.
    let state = office.state();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", state.display()));
    }
    std::fs::copy(&copy, &state).unwrap();
    office.sql("INSERT INTO visits VALUES (4, 'Dee', 40)");
    let agent = office.agent();
    target.wait("what came after the copy arrives again, and what is new", |journal| {
        journal.iter().any(|entry| entry.path == "/visits/4")
    });
    office.wait_settled("legacy");
    let doctor = office.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:#?}");
    agent.stop();
    for id in 1..4 {
        let of: Vec<_> = target.journal().into_iter().filter(|entry| entry.path == format!("/visits/{id}")).collect();
        let mut keys: Vec<_> = of.iter().map(|entry| entry.key.clone()).collect();
        keys.dedup();
        assert_eq!(keys.len(), 2, "one for each change: {of:#?}");
        let last: Vec<_> = of.iter().filter(|entry| entry.key == keys[1]).cloned().collect();
        assert!(all_the_same(&last));
    }
}

#[test]
fn a_backup_that_finds_no_room_leaves_nothing_behind() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    assert_eq!(office.once().0, Some(0));
    let nowhere = office.folder().join("no/such/folder/copy.db");
    let refused = office.run(&["backup", nowhere.to_str().unwrap()]);
    assert_eq!(refused.code, Some(73), "{refused:#?}");
    // A file that grows is refused by the system: as on a full disk.
    let copy = office.folder().join("copy.db");
    let plain = office.command(&["backup", copy.to_str().unwrap()]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args());
    for (name, value) in plain.get_envs() {
        value.map(|value| limited.env(name, value));
    }
    let refused = ended(&mut limited);
    assert!(refused.code != Some(0) && !copy.exists(), "{refused:#?}");
}

#[test]
fn the_manual_has_a_page_for_every_verb_and_the_real_man_reads_them() {
    let office = Office::visits();
    let folder = office.folder().join("man1");
    let made = office.run(&["man", "--dir", folder.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{made:#?}");
    let help = office.run(&["--help"]).stdout;
    let verbs = help.split("Commands:").nth(1).unwrap().lines().skip(1).take_while(|line| !line.is_empty());
    let verbs: Vec<&str> = verbs
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|verb| !verb.is_empty() && *verb != "help")
        .collect();
    assert!(verbs.len() > 20, "{verbs:?}");
    for verb in verbs {
        let page = folder.join(format!("hms-sync-{verb}.1"));
        assert!(page.is_file(), "no page for {verb}");
        let shown =
            Command::new("man").args(["--warnings", "-E", "UTF-8", "-l"]).arg(&page).env("MANPAGER", "cat").output();
        let shown = shown.expect("man (Debian package man-db)");
        let said = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(shown.status.success() && said.is_empty(), "{verb}: {said}");
        assert!(String::from_utf8_lossy(&shown.stdout).contains("SYNOPSIS"), "{verb}");
    }
    let one = office.run(&["man"]).stdout;
    assert!(one.contains(".TH") && one.contains("hms") && one.contains("snapshot"), "{one}");
    let of = office.run(&["man", "drop", "run"]);
    assert!(of.code == Some(0) && of.stdout.contains(".TH"), "{of:#?}");
    let wrong = office.run(&["man", "snapshoot"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("snapshot"), "{wrong:#?}");
}

#[test]
fn completions_are_taken_by_the_shells_and_complete_verbs() {
    let office = Office::visits();
    let script = |shell: &str| {
        let made = office.run(&["completions", shell]);
        assert_eq!(made.code, Some(0), "{made:#?}");
        let file = office.folder().join(format!("completions.{shell}"));
        std::fs::write(&file, made.stdout).unwrap();
        file
    };
    let run = |shell: &str, arguments: &[&str]| {
        let output = Command::new(shell).args(arguments).env("HOME", office.folder()).output();
        let output = output.unwrap_or_else(|error| panic!("{shell} (Debian package {shell}): {error}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{shell}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let bash = script("bash");
    let text = format!(
        "source {}; complete -p hms-sync; COMP_WORDS=(hms-sync snap); COMP_CWORD=1; _hms__sync hms-sync snap hms-sync; echo \"${{COMPREPLY[@]}}\"",
        bash.display()
    );
    let said = run("bash", &["--norc", "-c", &text]);
    assert!(said.contains("-F _hms__sync") && said.lines().last() == Some("snapshot"), "{said}");
    let zsh = script("zsh");
    let text = format!("autoload -U compinit; compinit -D -u; source {}; print ${{_comps[hms-sync]}}", zsh.display());
    assert_eq!(run("zsh", &["-f", "-c", &text]).trim(), "_hms-sync");
    let fish = script("fish");
    let text = format!("source {}; complete -C 'hms-sync snap'", fish.display());
    assert!(run("fish", &["--no-config", "-c", &text]).starts_with("snapshot"));
}

#[test]
fn prune_takes_away_what_retention_no_longer_keeps_beside_the_agent_and_without_it_and_nothing_that_is_owed() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let kept =
        || -> i64 { office.app().query_row("SELECT count(*) FROM hms_sync_outbox", [], |row| row.get(0)).unwrap() };
    let many = |first: u32| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first} + 1199)
             INSERT INTO visits SELECT i, 'Ada', i FROM n;"
        )
    };
    office.sql(&many(1));
    assert_eq!(office.once().0, Some(0));
    let dry = office.run(&["prune", "--dry-run"]);
    assert!(dry.code == Some(0) && dry.stdout.contains("office: 0 events would go"), "{dry:#?}");
    // From now on nothing that is settled needs to be kept.
    office.add_settings("retention: {events: 1s}");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let dry = office.run(&["prune", "--dry-run"]);
    assert!(dry.code == Some(0) && dry.stdout.contains("office: 1199 events would go") && kept() == 1200, "{dry:#?}");
    let done = office.run(&["prune", "--reason", "the disk is small"]);
    assert!(done.code == Some(0) && done.stdout.contains("office: 1199 events pruned"), "{done:#?}");
    assert_eq!(kept(), 1, "the witness stays");
    // Beside the agent, and while the target takes nothing.
    target.close();
    let agent = office.agent();
    office.sql(&many(10_001));
    agent.says("the endpoint is down");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let done = office.run(&["--json", "prune"]);
    assert_eq!(done.code, Some(0), "{done:#?}");
    assert!(kept() >= 1200, "what is owed stays: {done:#?}");
    target.reopen();
    target.wait("everything arrives", |journal| committed(journal) == 2400);
    office.wait_settled("legacy");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let done = office.run(&["prune"]);
    assert_eq!(done.code, Some(0), "{done:#?}");
    crate::support::office::wait("the rest goes", || office.run(&["prune"]).code == Some(0) && kept() == 1);
    agent.stop();
    let acts: Vec<(String, String)> = {
        let state = rusqlite::Connection::open(office.state()).unwrap();
        let mut acts =
            state.prepare("SELECT actor, reason FROM act WHERE verb = 'prune' AND reason IS NOT NULL").unwrap();
        acts.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(acts.len(), 1);
    assert!(!acts[0].0.is_empty() && acts[0].1 == "the disk is small", "{acts:?}");
}
