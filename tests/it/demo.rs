//! The demo does what the README says of it, in the built program: for a script, for a reader, and until Ctrl-C.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::loopback::Way;

/// The program, with its temporary files in a folder of the test's own.
fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hms-sync"));
    command.args(arguments).env("TMPDIR", folder).env_remove("HMS_SYNC_CONFIG").env_remove("HMS_SYNC_LOG");
    command
}

fn said(output: &Output) -> (String, String) {
    (String::from_utf8(output.stdout.clone()).unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// Nothing is uncounted, everything arrived, and `failures` tells whether the scheduler had to have bad moments.
fn adds_up(summary: &Value, failures: bool) {
    assert_eq!(summary["ok"], true, "{summary}");
    assert_eq!(summary["wrong"], serde_json::json!([]), "{summary}");
    let n = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("{name} is no number: {summary}"));
    assert!(n("committed") > 0 && n("committed") >= n("transactions"), "{summary}");
    assert_eq!((n("captured"), n("delivered"), n("parked")), (n("committed"), n("committed"), 0), "{summary}");
    let met = |name: &str| summary["calls"][name].as_u64().unwrap_or(0);
    // A change of the key is two calls.
    assert!(met("done") + met("lostAnswer") >= n("committed"), "{summary}");
    if failures {
        for moment in ["busy", "busyRetryAfter", "lostAnswer", "knownKey", "reset", "down", "refused"] {
            assert!(met(moment) > 0, "{moment} did not come: {summary}");
        }
        let answered = met("busy") + met("busyRetryAfter") + met("reset") + met("lostAnswer");
        assert!(n("retried") >= answered, "{summary}");
        assert!(n("rolledBack") > 0, "{summary}");
        assert_eq!(n("deadLetters"), 1, "{summary}");
    }
}

#[test]
fn demo_once_gives_one_json_document_whose_sums_add_up_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path(), &["demo", "--once", "--json"]).output().unwrap();
    let (out, err) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert_eq!(err, "");
    adds_up(&serde_json::from_str(&out).unwrap(), true);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the temporary folder is still there");
}

#[test]
fn demo_once_tells_people_what_came_of_it_and_keeps_a_folder_that_the_agent_can_be_started_from() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path(), &["demo", "--once", "--keep"]).output().unwrap();
    let (out, err) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(out.starts_with("Every change arrived exactly as it was committed"), "{out}");
    for word in ["committed", "captured", "delivered", "retried", "parked", "hms-sync -c . init --database"] {
        assert!(out.contains(word), "no `{word}` in {out}");
    }
    assert!(!out.contains('\x1b') && !err.contains('\x1b'), "colours where there is no terminal");
    assert!(err.contains("clerk") && err.contains("ROLLBACK") && err.contains("dead letter"), "{err}");

    let kept = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mode = |file: &str| fs::metadata(kept.join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("scheduler.token"), 0o600);
    assert!(kept.join("agent.log").is_file() && kept.join("agent/state.db").is_file());
    let check = program(folder.path(), &["-c", kept.to_str().unwrap(), "-q", "check"]).output().unwrap();
    assert!(check.status.success());
    assert_eq!(said(&check), (String::new(), String::new()), "not even a warning");
}

#[test]
fn the_live_demo_ends_by_ctrl_c_with_everything_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program(folder.path(), &["demo", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let page = lines.by_ref().find_map(|line| Some(line.split_once("http://")?.1.to_owned())).expect("it has a page");
    let (address, code) = page.trim_end_matches(['"', '}']).split_once("/#code=").unwrap();
    let way = Way::Tcp(address.parse().unwrap(), String::new());
    assert_eq!(way.get("/").status, 200);
    assert_eq!(way.get("/status").status, 401);
    let code = code.split('"').next().unwrap();
    assert_eq!(way.post("/session", &format!("{{\"code\": \"{code}\"}}")).json()["name"], "demo");
    let done = lines.by_ref().filter(|line| line.contains(r#""who":"clerk""#)).take(5).count();
    assert_eq!(done, 5, "it ended by itself");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let last = lines.last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{last}");
    adds_up(&serde_json::from_str(&last).unwrap(), false);
}

#[test]
fn a_database_of_ones_own_is_not_taken_for_the_demos() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path(), &["demo", "--once", "-d", "office.db"]).output().unwrap();
    let (out, err) = said(&output);
    assert_eq!((output.status.code(), out.as_str()), (Some(2), ""));
    assert!(err.contains("hms-sync init --database"), "{err}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
