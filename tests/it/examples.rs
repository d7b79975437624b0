//! The examples run as their READMEs say: their own files, their own mock, the shipped binary.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use assert_cmd::cargo::CommandCargoExt as _;
use rusqlite::Connection;

/// A copy of an example, with a mock on a free port in place of the README's.
struct Example {
    folder: tempfile::TempDir,
    mock: Child,
    heard: BufReader<ChildStdout>,
}

impl Example {
    fn new(name: &str, port: &str, mock_options: &[&str]) -> Example {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        copy(&source.join(name), folder.path(), port, &free);
        let mut mock = Command::new("python3")
            .arg("-u")
            .arg(source.join("mock.py"))
            .args(["--port", &free])
            .args(mock_options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("the examples need python3: {error}"));
        let mut heard = BufReader::new(mock.stdout.take().unwrap());
        let mut line = String::new();
        heard.read_line(&mut line).unwrap();
        assert!(line.starts_with("listening"), "{line}");
        let example = Example { folder, mock, heard };
        let schema = fs::read_to_string(example.path("schema.sql")).unwrap();
        example.office().execute_batch(&schema).unwrap();
        example
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn office(&self) -> Connection {
        Connection::open(self.path("office.db")).unwrap()
    }

    #[track_caller]
    fn ends_well(&self, line: &[&str]) -> String {
        let mut command = Command::cargo_bin("hms-sync").unwrap();
        let output = command.args(["--config", "."]).args(line).current_dir(self.folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// Ends the mock; every call that it heard, without the ids, which differ from run to run.
    fn calls(mut self) -> Vec<String> {
        self.mock.kill().unwrap();
        self.mock.wait().unwrap();
        let mut text = String::new();
        self.heard.read_to_string(&mut text).unwrap();
        let without_id = |line: &str| {
            line.split("  ").filter(|part| !part.starts_with("Idempotency-Key:")).collect::<Vec<_>>().join("  ")
        };
        text.lines().map(without_id).collect()
    }
}

fn copy(from: &Path, to: &Path, port: &str, free: &str) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target, port, free);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            fs::write(target, text.replace(port, free)).unwrap();
        }
    }
}

#[test]
fn the_vista_example_runs_as_its_readme_says() {
    let example = Example::new("vista", "8801", &[]);
    example.ends_well(&["check"]);
    example.ends_well(&["run", "--once"]);
    example
        .office()
        .execute("UPDATE appointment_rules SET duration = 20, maxPatients = 4 WHERE ruleId = 42", [])
        .unwrap();
    example.office().execute("DELETE FROM appointment_rules WHERE ruleId = 41", []).unwrap();
    example.ends_well(&["run", "--once"]);
    let record = example.ends_well(&["status", "appointment-rule-changed", "42"]);
    assert!(record.contains("delivered"), "{record}");
    let mut calls = example.calls();
    calls.sort();
    assert_eq!(
        calls,
        [
            "DELETE /planner/rules/41  Sync-Op: delete  -> 200 (new)",
            r#"PUT /planner/rules/42  Sync-Op: update  {"rule":{"id":42,"clinic":"AUDIOLOGY"},"slot":{"seconds":1200,"capacity":4}}  -> 200 (new)"#,
            r#"PUT /vista/appointment-rules  Idem-Key: 41  Sync-Op: delete  {"slotLen":15,"capacity":6}  -> 200 (new)"#,
            r#"PUT /vista/appointment-rules  Idem-Key: 42  Sync-Op: update  {"slotLen":20,"capacity":4}  -> 200 (new)"#,
        ]
    );
}

#[test]
fn the_cdc_example_runs_as_its_readme_says() {
    let example = Example::new("cdc", "8802", &["--oauth2", "hms:only-for-the-mock"]);
    let secret = example.path("cdc-secret");
    fs::write(&secret, "only-for-the-mock").unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    example.ends_well(&["check"]);
    example.ends_well(&["run", "--once"]);
    let shots = fs::read_to_string(example.path("shots.sql")).unwrap();
    example.office().execute_batch(&shots).unwrap();
    example.ends_well(&["run", "--once"]);
    let again = example.ends_well(&["sync", "CDC-Immunization", "immunizations", "2"]);
    assert_eq!(again.trim(), r#"{"status":"success"}"#);
    let simulated = example.ends_well(&["simulate", "--since", "1h"]);
    assert!(simulated.contains("900-00-0001") && !simulated.contains("only-for-the-mock"), "{simulated}");
    let calls = example.calls();
    let sent: Vec<&str> = calls.iter().map(String::as_str).filter(|call| !call.starts_with("POST /token")).collect();
    let call = |op: &str, ssn: &str, code: &str| {
        format!(
            r#"POST /immunizations  Sync-Op: {op}  {{"ssn":"{ssn}","cvxcvxc":"{code}","date":"2026-03-05"}}  -> 200 (new)"#
        )
    };
    // Records go side by side; what follows each other is what happened to one of them.
    let of = |ssn: &str| sent.iter().filter(|call| call.contains(ssn)).copied().collect::<Vec<_>>();
    assert_eq!(of("900-00-0001"), [call("insert", "900-00-0001", "140")]);
    assert_eq!(
        of("900-00-0002"),
        [
            call("insert", "900-00-0002", "208"),
            call("update", "900-00-0002", "207"),
            call("update", "900-00-0002", "207"),
        ]
    );
}

/// The commands of a README, in order.
fn commands(readme: &str) -> String {
    let blocks = readme.split("```sh\n").skip(1);
    blocks.filter_map(|block| block.split("```").next()).collect()
}

/// A copy of `examples/mainframe` with a server on a free port; the server ends with it.
struct Mainframe(tempfile::TempDir);

impl Drop for Mainframe {
    fn drop(&mut self) {
        if self.0.path().join("host/sshd.pid").exists() {
            let _ = Command::new("sh").args(["host.sh", "stop"]).current_dir(self.0.path()).output();
        }
    }
}

#[test]
fn the_mainframe_example_runs_as_its_readme_says() {
    let example = Mainframe(tempfile::tempdir().unwrap());
    let folder = example.0.path();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/mainframe"), folder, "8803", &free);
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_hms-sync")).parent().unwrap();
    let path = format!("{}:{}:/usr/sbin", binary.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &commands(&readme)]).current_dir(folder).env("PATH", path);
    let output = shell.output().unwrap();
    let said: String = output.stdout.iter().map(|byte| char::from(*byte)).collect();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("TRAILER IS WRONG"), "{said}");
    // What the README shows of the first file, line for line, and the second one beside it.
    let shown = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let printed: Vec<&str> = said.lines().map(str::trim_end).collect();
    for line in shown.lines() {
        assert!(printed.contains(&line.trim_end()), "{line}: {said}");
    }
    for line in [
        "A 000100003 A shorter name            WIC-S    20260306   20        0.00      0.00",
        "C 000100004 Grace Hopper              WIC-S    00000000   45       -0.01     12.34",
        "TRAILER IS RIGHT: 00000003 DETAILS",
    ] {
        assert!(printed.contains(&line), "{line}: {said}");
    }
    assert!(printed.iter().any(|line| line.starts_with("D 000100002")), "{said}");
    assert!(said.contains("encoding: WD-NAME: overflow"), "{said}");
    // The answers of the host: one file was taken, of the other a record was rejected, and it went again.
    assert!(said.contains("one appointment was rejected") && said.contains("add, rejected (E017)"), "{said}");
    let again = "A 000100003 A shorter name            WIC-S    20260306   20        0.00      0.00";
    assert_eq!(printed.iter().filter(|line| **line == again).count(), 2, "{said}");
    assert!(fs::read_dir(folder.join("host/outgoing")).unwrap().next().is_none(), "what was used is removed");
}
