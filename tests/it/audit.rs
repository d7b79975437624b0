//! The audit: every attempt and every act, chained, sealed day by day, signed, and proved by a program that only reads
//! (R-AUD-1 to R-AUD-4).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod carried;
mod days;
mod migrating;
mod tampering;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::Value;

use crate::support::journal::Entry;
use crate::support::office::{Ended, Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// What `audit verify` says.
fn verify(office: &Office, more: &[&str]) -> (Option<i32>, Value) {
    let ended = office.run(&[&["--json", "audit", "verify"], more].concat());
    (ended.code, serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:#?}")))
}

/// It is as it was recorded; the verdict.
#[track_caller]
fn whole(office: &Office, more: &[&str]) -> Value {
    let (code, verdict) = verify(office, more);
    assert!(code == Some(0) && verdict["whole"] == true, "{verdict:#}");
    verdict
}

/// The first record that is not right, and what is said of it.
#[track_caller]
fn broken(office: &Office, more: &[&str]) -> (i64, String) {
    let (code, verdict) = verify(office, more);
    assert!(code == Some(65) && verdict["whole"] == false, "{verdict:#}");
    let broken = &verdict["broken"];
    (broken["n"].as_i64().unwrap(), broken["what"].as_str().unwrap().to_owned())
}

/// What a verb prints as JSON lines.
#[track_caller]
fn lines(office: &Office, arguments: &[&str]) -> Vec<Value> {
    let ended = office.run(arguments);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

#[track_caller]
fn well(office: &Office, arguments: &[&str]) -> Ended {
    let ended = office.run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
    ended
}

/// The first request to a path meets this status.
fn once_for(path: &'static str, status: u16) -> impl Fn(&Entry) -> Option<Scenario> + Send {
    let first = AtomicBool::new(true);
    move |entry| {
        let met = entry.path == path && first.swap(false, SeqCst);
        met.then(|| Scenario::status(status, ""))
    }
}

/// The pieces of the archive.
fn pieces(office: &Office) -> Vec<PathBuf> {
    let Ok(folder) = std::fs::read_dir(office.folder().join("state/audit")) else { return Vec::new() };
    let mut pieces: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).filter(|path| is_piece(path)).collect();
    pieces.sort();
    pieces
}

/// The file of the archive whose name ends so.
fn beside(office: &Office, end: &str) -> PathBuf {
    let folder = std::fs::read_dir(office.folder().join("state/audit")).unwrap();
    folder.map(|entry| entry.unwrap().path()).find(|path| path.to_string_lossy().ends_with(end)).unwrap()
}

fn is_piece(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".audit.gz")
}

#[test]
fn every_attempt_is_recorded_with_all_that_an_auditor_asks_for_and_no_value_of_a_record() {
    let target = Receiver::start();
    target.meet(once_for("/visits/2", 503));
    let office = Office::with(&target, "", THREE);
    office.sql("UPDATE visits SET name = 'Dee' WHERE id = 3; DELETE FROM visits WHERE id = 1");
    let agent = office.agent();
    office.wait_settled("legacy");
    agent.stop();
    whole(&office, &[]);

    let all = lines(&office, &["--json", "audit", "show", "--limit", "0"]);
    let of = |kind: &str| all.iter().filter(|line| line["kind"] == kind).cloned().collect::<Vec<_>>();
    let (intents, outcomes, acts) = (of("intent"), of("outcome"), of("act"));
    assert_eq!((intents.len(), outcomes.len()), (6, 6), "five changes, of which one was tried twice: {all:#?}");
    for intent in &intents {
        assert_eq!(intent["connector"], "legacy");
        assert_eq!(
            (&intent["log"], &intent["type"], &intent["actor"]),
            (&"office".into(), &"visits".into(), &"system".into())
        );
        let origin = intent["origin"].as_str().unwrap();
        assert_eq!(origin, target.url(""));
        assert_eq!(intent["record"].as_str().unwrap().len(), 16);
        assert_eq!(intent["config"].as_str().unwrap().len(), 64);
        assert!(intent["up"].as_i64().unwrap() > 0);
    }
    let ops: Vec<&str> = intents.iter().filter_map(|intent| intent["op"].as_str()).collect();
    assert_eq!(ops.iter().collect::<BTreeSet<_>>().len(), 3, "{ops:?}");
    let busy: Vec<_> = outcomes.iter().filter(|line| line["status"] == 503).collect();
    assert_eq!(busy.len(), 1);
    assert_eq!((&busy[0]["outcome"], &busy[0]["class"]), (&"retry".into(), &"http-503".into()), "{:#}", busy[0]);
    for outcome in &outcomes {
        assert_eq!(outcome["request"].as_str().unwrap().len(), 64);
        assert!(outcome["durationUs"].as_i64().unwrap() > 0);
    }
    let verbs: Vec<&str> = acts.iter().filter_map(|act| act["verb"].as_str()).collect();
    for verb in ["begin", "start", "configuration", "key", "stop"] {
        assert!(verbs.contains(&verb), "{verb}: {verbs:?}");
    }
    // Each intent stands before its outcome.
    for outcome in &outcomes {
        let before = intents
            .iter()
            .any(|intent| intent["event"] == outcome["event"] && intent["n"].as_i64() < outcome["n"].as_i64());
        assert!(before, "{outcome:#}");
    }
    let export = well(&office, &["audit", "export"]).stdout;
    for value in ["Ada", "Bea", "Cy", "Dee"] {
        assert!(!export.contains(value), "{value} is in the audit");
    }
}

#[test]
fn a_report_tells_what_of_a_record_went_where_and_with_what_result_also_under_its_old_key() {
    let target = Receiver::start();
    target.meet(once_for("/visits/2", 400));
    let office = Office::with(&target, "", THREE);
    assert_eq!(office.once().0, Some(1), "one is refused");
    well(&office, &["deliveries", "retry", "--connector", "legacy", "--reason", "mended by hand"]);
    office.sql("UPDATE visits SET id = 33 WHERE id = 3");
    assert_eq!(office.once().0, Some(0));

    let report = |id: &str| -> Value {
        serde_json::from_str(&well(&office, &["--json", "audit", "report", "visits", id]).stdout).unwrap()
    };
    let two = report("2");
    let outcomes: Vec<&str> =
        two["attempts"].as_array().unwrap().iter().filter_map(|line| line["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["reject", "success"], "{two:#}");
    assert_eq!((&two["attempts"][0]["status"], &two["attempts"][0]["attempt"]), (&400.into(), &1.into()));
    let acts = two["acts"].as_array().unwrap();
    let verbs: Vec<&str> = acts.iter().filter_map(|act| act["verb"].as_str()).collect();
    assert_eq!(verbs, ["park", "retry"], "{two:#}");
    let act = &acts[1];
    assert_eq!(act["reason"], "mended by hand");
    assert!(act["actor"] != "system" && act["connector"] == "legacy", "{act:#}");
    let (old, new) = (report("3"), report("33"));
    assert_eq!(old["attempts"].as_array().unwrap().len(), 2, "{old:#}");
    assert_eq!(new["attempts"][0], old["attempts"][1], "the change of the key is found under both");
    let text = well(&office, &["audit", "report", "visits", "2"]).stdout;
    assert!(text.contains("mended by hand") && text.contains("HTTP 400"), "{text}");

    let never = office.run(&["audit", "report", "visits", "99"]);
    assert_eq!(never.code, Some(69), "{never:?}");
    let unknown = office.run(&["audit", "report", "visit", "2"]);
    assert!(unknown.code == Some(65) && unknown.stderr.contains("visits"), "{unknown:?}");
    whole(&office, &[]);
}

#[test]
fn an_export_is_proved_by_itself_and_what_is_changed_in_it_is_named() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    assert_eq!(office.once().0, Some(0));
    office.sql("UPDATE visits SET minutes = 11");
    assert_eq!(office.once().0, Some(0));
    let records = whole(&office, &[])["records"].clone();
    for form in ["jsonl", "csv"] {
        let file = office.folder().join(format!("export.{form}"));
        let path = file.to_str().unwrap();
        well(&office, &["audit", "export", "--format", form, "--output", path]);
        let verdict = whole(&office, &[path]);
        assert_eq!(verdict["records"], records, "{form}");
        assert!(verdict["signed"].as_i64().unwrap() > 0, "{verdict:#}");
        assert_eq!(office.run(&["audit", "export", "--output", path]).code, Some(73), "it writes over nothing");

        let text = std::fs::read_to_string(&file).unwrap();
        let all: Vec<&str> = text.lines().collect();
        let changed = |changed: &[&str], what: &str| {
            let file = office.folder().join("changed");
            std::fs::write(&file, changed.join("\n")).unwrap();
            let (_, said) = broken(&office, &[file.to_str().unwrap()]);
            assert!(!said.is_empty(), "{form}: {what}");
        };
        // The line where it begins has a checkpoint, which is several lines in CSV.
        let rows = if form == "csv" { 7..all.len() - 1 } else { 1..all.len() - 1 };
        for at in rows.clone() {
            let without = [&all[..at], &all[at + 1..]].concat();
            changed(&without, &format!("without line {at}"));
            if at + 1 < rows.end {
                let swapped = [&all[..at], &[all[at + 1], all[at]], &all[at + 2..]].concat();
                changed(&swapped, &format!("lines {at} and the next swapped"));
            }
            let twice = [&all[..at], &[all[at]], &all[at..]].concat();
            changed(&twice, &format!("line {at} twice"));
            for (from, to) in [("legacy", "ledger"), ("success", "reject"), ("system", "ada"), ("T", "U"), ("0", "1")] {
                if all[at].contains(from) {
                    let line = all[at].replacen(from, to, 1);
                    changed(&[&all[..at], &[line.as_str()], &all[at + 1..]].concat(), &format!("line {at}: {line}"));
                }
            }
        }
        changed(&all[..all.len() - 1], "without its last line");
    }
    // A stretch of it is proved too.
    let part = office.folder().join("part");
    well(&office, &["audit", "export", "--from", "3", "--to", "7", "--output", part.to_str().unwrap()]);
    let verdict = whole(&office, &[part.to_str().unwrap()]);
    assert_eq!((&verdict["first"], &verdict["last"]), (&3.into(), &7.into()));
    std::fs::write(&part, "something else\n").unwrap();
    assert_eq!(office.run(&["audit", "verify", part.to_str().unwrap()]).code, Some(65));
}

#[test]
fn a_running_agent_is_verified_and_its_checkpoints_stand_in_its_log() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let copied = office.folder().join("elsewhere");
    office.add_settings(&format!("audit: {{checkpoints: \"{}\"}}", copied.display()));
    let agent = office.agent();
    for round in 0..5 {
        office.sql(&format!("UPDATE visits SET minutes = {round}"));
        whole(&office, &[]);
    }
    office.wait_settled("legacy");
    agent.says("audit: checkpoint hms-sync/");
    agent.signal(rustix::process::Signal::TERM);
    agent.says("stopped");
    let log = office.folder().join("journal");
    std::fs::write(&log, agent.said()).unwrap();
    drop(agent);
    for kept in [&log, &copied] {
        let verdict = whole(&office, &["--checkpoint", kept.to_str().unwrap()]);
        assert_eq!(verdict["signed"], verdict["last"], "the end is signed when it stops: {verdict:#}");
    }
    let head: Value = serde_json::from_str(&well(&office, &["--json", "audit", "head"]).stdout).unwrap();
    let note = well(&office, &["audit", "head"]).stdout;
    assert_eq!(head["note"].as_str().unwrap().trim(), note.trim());
    let key = well(&office, &["audit", "head", "--key"]).stdout;
    assert_eq!(head["key"].as_str().unwrap(), key.trim());
    whole(&office, &["--key", key.trim()]);
    let nothing = office.folder().join("nothing");
    std::fs::write(&nothing, "no checkpoint\n").unwrap();
    assert_eq!(office.run(&["audit", "verify", "--checkpoint", nothing.to_str().unwrap()]).code, Some(65));
}

#[test]
fn what_people_and_the_agent_do_is_recorded_with_who_and_why() {
    let target = Receiver::start();
    target.meet(|entry| (entry.path == "/visits/2").then(|| Scenario::status(400, "")));
    let office = Office::with(&target, "", THREE);
    office.add_settings("credentials: {hook: {type: bearer, token: {env: HOME}}}");
    office.add_settings("alerts: [{type: webhook, name: ops, url: \"https://127.0.0.1:9/\", credentialsId: hook}]");
    assert_eq!(office.once().0, Some(1));
    well(&office, &["deliveries", "discard", "--connector", "legacy", "--state", "dead", "--reason", "never mind"]);
    let agent = office.agent();
    for way in [
        &["replay", "--connector", "legacy", "--from", "1"][..],
        &["capture", "pause", "visits"],
        &["capture", "resume", "visits"],
    ] {
        well(&office, way);
    }
    office.rest("legacy", &target, "where: id > 0");
    agent.signal(rustix::process::Signal::HUP);
    agent.says("reloaded");
    wait("the new configuration is recorded", || {
        let acts = lines(&office, &["--json", "audit", "show", "--acts", "--limit", "0"]);
        acts.iter().filter(|act| act["verb"] == "configuration").count() == 3
    });
    agent.stop();
    let acts = lines(&office, &["--json", "audit", "show", "--acts", "--limit", "0"]);
    let found = |verb: &str| acts.iter().filter(|act| act["verb"] == verb).collect::<Vec<_>>();
    assert_eq!(found("discard")[0]["reason"], "never mind");
    assert!(found("discard")[0]["actor"] != "system");
    assert_eq!(found("replay").len(), 1);
    let credential = found("credential")[0];
    assert_eq!((&credential["subject"], &credential["reason"]), (&"hook".into(), &"used by channel ops".into()));
    let hashes: BTreeSet<&str> = found("configuration").iter().filter_map(|act| act["subject"].as_str()).collect();
    assert_eq!(hashes.len(), 2, "the reload brought another: {hashes:?}");
    assert!(!found("reload").is_empty() && !found("watch").is_empty(), "{acts:#?}");
    assert_eq!((found("capture-pause").len(), found("capture-resume").len()), (1, 1), "{acts:#?}");
    whole(&office, &[]);
}
