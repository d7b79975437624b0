//! Days: each is sealed, packed and signed, leaves the state file when it is not needed there, and goes when it is old.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::{beside, broken, lines, pieces, well, whole};
use crate::support::faketime::under;
use crate::support::office::{Ended, Office, THREE, ended};
use crate::support::receiver::Receiver;
use crate::support::strace::{Fault, Injection, Strace};

/// Runs a verb on a day, counted from today.
pub fn on_day(office: &Office, day: i64, arguments: &[&str]) -> Ended {
    let mut command = under(&office.command(arguments));
    command.env("FAKETIME", format!("+{day}d"));
    ended(&mut command)
}

/// Changes each visit, and delivers that, on each of some days.
pub fn work(office: &Office, days: std::ops::Range<i64>) {
    for day in days {
        office.sql(&format!("UPDATE visits SET minutes = {}", 100 + day));
        let once = on_day(office, day, &["run", "--once"]);
        assert_eq!(once.code, Some(0), "{once:#?}");
    }
}

#[test]
fn days_are_sealed_into_files_that_prove_themselves_and_tell_of_every_record() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    work(&office, 0..4);
    let sealed = pieces(&office);
    assert_eq!(sealed.len(), 3, "the day that is not over is open: {sealed:?}");
    for piece in &sealed {
        assert_eq!(std::fs::metadata(piece).unwrap().permissions().mode() & 0o777, 0o600);
        let verdict = whole(&office, &[piece.to_str().unwrap()]);
        assert_eq!(verdict["signed"], verdict["last"], "{verdict:#}");
        // It is a gzip file like any other.
        let unpacked = std::process::Command::new("gzip").arg("-tv").arg(piece).output().unwrap();
        assert!(unpacked.status.success(), "{unpacked:?}");
    }
    let folder = sealed[0].parent().unwrap().to_path_buf();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(beside(&office, ".key")).unwrap().permissions().mode() & 0o777, 0o600);
    let verdict = whole(&office, &[]);
    assert_eq!(verdict["warnings"].as_array().unwrap().len(), 0, "{verdict:#}");
    // A copy of the archive proves itself, elsewhere.
    let copy = office.folder().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for piece in &sealed {
        std::fs::copy(piece, copy.join(piece.file_name().unwrap())).unwrap();
    }
    let verdict = whole(&office, &["--archive", copy.to_str().unwrap()]);
    assert_eq!(verdict["first"], 0);
    // Every day signs with a key of its own, which the one before has named; the first leads to all.
    let keys: Vec<Value> = lines(&office, &["--json", "audit", "show", "--acts", "--limit", "0", "--since", "1d"]);
    let keys: Vec<&str> =
        keys.iter().filter(|act| act["verb"] == "key").filter_map(|act| act["subject"].as_str()).collect();
    assert_eq!(keys.len(), 4);
    for key in [keys[0], keys[3]] {
        whole(&office, &["--key", key]);
    }
    let stranger = "hms-sync/0000000000000000+32aa9ee8+AZ2K7B5SqFyyS6Ws9xC3uBq6r2tSUnNMyv4l7iSSsmuO";
    assert_eq!(office.run(&["audit", "verify", "--key", stranger]).code, Some(2), "that is no key");
    let report: Value =
        serde_json::from_str(&well(&office, &["--json", "audit", "report", "visits", "2"]).stdout).unwrap();
    assert_eq!(report["attempts"].as_array().unwrap().len(), 5, "{report:#}");
    // Without its indexes it tells the same.
    for piece in &sealed {
        std::fs::remove_file(piece.to_str().unwrap().replace(".gz", ".idx")).unwrap();
    }
    let again: Value =
        serde_json::from_str(&well(&office, &["--json", "audit", "report", "visits", "2"]).stdout).unwrap();
    assert_eq!(again, report);
}

#[test]
fn what_is_sealed_leaves_the_state_file_and_goes_when_it_is_old_and_that_is_recorded() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    office.add_settings("retention: {events: 1d, audit: 10d}");
    // A hundred attempts stay whatever their age: the clock is held against them.
    for n in 0..60 {
        office.sql(&format!("UPDATE visits SET minutes = 1{n}"));
        assert_eq!(office.once().0, Some(0));
    }
    let live = || -> i64 {
        let state = rusqlite::Connection::open(office.state()).unwrap();
        state.query_row("SELECT min(n) FROM attempt", [], |row| row.get(0)).unwrap()
    };
    let first = live();
    work(&office, 1..6);
    assert_eq!(pieces(&office).len(), 5);
    assert!(live() > first, "what is sealed has left");
    whole(&office, &[]);
    let report: Value =
        serde_json::from_str(&well(&office, &["--json", "audit", "report", "visits", "2"]).stdout).unwrap();
    assert_eq!(report["attempts"].as_array().unwrap().len(), 1 + 60 + 5, "all of it is told, wherever it lies");

    work(&office, 6..28);
    let kept = pieces(&office);
    assert!(kept.len() < 14, "{kept:?}");
    let verdict = whole(&office, &[]);
    assert!(verdict["first"].as_i64().unwrap() > 100, "{verdict:#}");
    let acts = lines(&office, &["--json", "audit", "show", "--acts", "--limit", "0", "--since", "1d"]);
    let deleted: Vec<_> = acts.iter().filter(|act| act["verb"] == "forget").collect();
    assert!(
        !deleted.is_empty() && deleted.iter().all(|act| act["reason"].as_str().unwrap().contains("hash")),
        "{deleted:#?}"
    );
    // What goes without that being recorded is missed.
    std::fs::remove_file(&kept[0]).unwrap();
    let (_, what) = broken(&office, &[]);
    assert!(what.contains("cannot be read"), "{what}");
}

#[test]
fn a_key_that_is_lost_is_followed_by_another_and_that_is_told() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    assert_eq!(office.once().0, Some(0));
    let first = well(&office, &["audit", "head", "--key"]).stdout;
    std::fs::remove_file(beside(&office, ".key")).unwrap();
    let once = office.run(&["run", "--once"]);
    assert!(once.code == Some(0) && once.stderr.contains("a new one signs"), "{once:?}");
    let verdict = whole(&office, &[]);
    assert!(verdict["warnings"][0].as_str().unwrap().contains("was it lost"), "{verdict:#}");
    let (_, what) = broken(&office, &["--key", first.trim()]);
    assert!(what.contains("does not lead to"), "{what}");
}

#[test]
fn one_key_of_the_configuration_vouches_for_all_that_sign_also_when_one_of_them_is_lost() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    office.add_settings("audit: {key: {file: ../vouching.key}}");
    let file = office.folder().join("vouching.key");
    let give = |text: &str| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let check = office.run(&["check"]);
    assert!(check.code == Some(78) && check.stdout.contains("audit.key: the secret"), "{check:?}");
    give("no key");
    let once = office.run(&["run", "--once"]);
    assert!(once.code == Some(0) && once.stderr.contains("is no key: 64 hexadecimal digits"), "{once:?}");
    assert!(!once.stderr.contains("no key\n"), "{once:?}");
    give(&format!("{}\n", "5a".repeat(32)));
    work(&office, 0..3);
    let key = well(&office, &["audit", "head", "--key"]).stdout;
    assert_eq!(whole(&office, &["--key", key.trim()])["warnings"].as_array().unwrap().len(), 0);
    // Somebody who has only the archive and that key is told so too.
    let folder = office.folder().join("state/audit");
    whole(&office, &["--archive", folder.to_str().unwrap(), "--key", key.trim()]);
    std::fs::remove_file(beside(&office, ".key")).unwrap();
    work(&office, 3..4);
    assert_eq!(whole(&office, &["--key", key.trim()])["warnings"].as_array().unwrap().len(), 0);
    // Another key has vouched for none of them.
    give(&format!("{}\n", "5b".repeat(32)));
    let other = well(&office, &["audit", "head", "--key"]).stdout;
    let (_, what) = broken(&office, &["--key", other.trim()]);
    assert!(what.contains("other keys"), "{what}");
    let rows = well(&office, &["audit", "export"]).stdout;
    assert!(!rows.contains("5a5a5a"), "the key itself stands nowhere");
}

#[test]
fn days_that_could_not_be_sealed_are_sealed_together_when_the_archive_is_back() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    work(&office, 0..1);
    let (folder, away) = (office.folder().join("state/audit"), office.folder().join("away"));
    std::fs::rename(&folder, &away).unwrap();
    std::fs::write(&folder, "something else").unwrap();
    for day in 1..3 {
        office.sql(&format!("UPDATE visits SET minutes = {}", 100 + day));
        let once = on_day(&office, day, &["run", "--once"]);
        assert!(once.code == Some(0) && once.stderr.contains("audit: "), "it delivers and says so: {once:#?}");
        whole(&office, &[]);
    }
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    work(&office, 3..5);
    assert_eq!(pieces(&office).len(), 4);
    let verdict = whole(&office, &[]);
    assert_eq!(verdict["warnings"].as_array().unwrap().len(), 0, "{verdict:#}");
    for piece in pieces(&office) {
        whole(&office, &[piece.to_str().unwrap()]);
    }
    let copy = whole(&office, &["--archive", folder.to_str().unwrap()]);
    assert_eq!(copy["first"], 0);
}

#[test]
fn a_kill_in_the_midst_of_sealing_leaves_a_trail_that_is_whole_and_is_sealed_at_the_next_start() {
    let target = Receiver::start();
    let prepared = Office::with(&target, "", THREE);
    work(&prepared, 0..1);
    let mut killed = 0;
    let mut calls: Vec<(&str, usize)> = Vec::new();
    for (call, most) in [("openat", 5), ("write", 8), ("fsync", 6), ("rename", 5), ("unlink", 2)] {
        calls.extend((1..=most).map(|n| (call, n)));
    }
    for (call, n) in calls {
        let office = prepared.copy();
        let folder = office.folder().join("state/audit");
        let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let today = lines(&office, &["--json", "audit", "show", "--acts", "--limit", "1"]);
        let (day, origin) =
            (today[0]["at"].as_str().unwrap()[..10].to_owned(), well(&office, &["audit", "head"]).stdout);
        let id = &origin.lines().next().unwrap().trim_start_matches("hms-sync/")[..8];
        let piece = format!("{day}-000000000000-{id}.audit");
        for name in [
            format!("{piece}.gz"),
            format!("{piece}.gz.part"),
            format!("{piece}.idx"),
            format!("{piece}.idx.part"),
            format!("{id}.key.part"),
            format!("{id}.checkpoints.part"),
        ] {
            paths.push(folder.join(name));
        }
        paths.push(folder.clone());
        let injection = Some(Injection { fault: Fault::Kill, call: call.to_owned(), n });
        let strace = Strace { paths, injection, log: office.folder().join("strace") };
        let mut command = under(&office.command(&["run", "--once"]));
        command.env("FAKETIME", "+1d");
        let end = ended(&mut strace.around(&command));
        killed += usize::from(end.code != Some(0));
        let verdict = whole(&office, &[]);
        let next = on_day(&office, 1, &["run", "--once"]);
        assert_eq!(next.code, Some(0), "{call} {n}: {next:#?}");
        let sealed = pieces(&office);
        assert_eq!(sealed.len(), 1, "{call} {n}: {sealed:?}");
        let after = whole(&office, &[]);
        assert!(after["records"].as_u64() > verdict["records"].as_u64(), "{call} {n}");
        assert_eq!(after["warnings"].as_array().unwrap().len(), 0, "{call} {n}: {after:#}");
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{call} {n}: {left:?}");
    }
    assert!(killed > 8, "only {killed} were killed");
}
