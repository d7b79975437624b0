//! A program in place of a server: what it is given, what its words and its end mean, and that nothing of it is left behind.

use std::path::Path;

use hms_sync::store::state::connector::Mode;
use serde_json::{Value, json};

use crate::support::office::{Office, RETRY, THREE, wait};

/// Notes each run and what it was given, and answers by the record's name.
const PROGRAM: &str = r#"
import json, os, subprocess, sys, time
here = os.path.dirname(os.path.abspath(__file__))
lines = sys.stdin.readlines()
with open(here + "/runs", "a") as file:
    file.write(json.dumps({"lines": lines, "env": dict(os.environ), "cwd": os.getcwd(), "args": sys.argv[1:]}) + "\n")
def first(name):
    path = here + "/seen-" + name
    new = not os.path.exists(path)
    open(path, "w").close()
    return new
for line in lines:
    asked = json.loads(line)
    name = asked["record"].get("name") or ""
    answer = {"id": asked["id"], "outcome": "success"}
    if name == "nope":
        answer = {"id": asked["id"], "outcome": "reject", "code": "E7", "message": "nope is too short, Ada"}
    elif name == "later" and first(name):
        answer = {"id": asked["id"], "outcome": "retry", "code": "BUSY"}
    elif name == "forgotten" and first(name):
        continue
    elif name == "poison":
        os._exit(9)
    elif name == "slow" and first(name):
        child = subprocess.Popen(["sleep", "600"])
        with open(here + "/children", "w") as file:
            file.write("%d %d" % (os.getpid(), child.pid))
        time.sleep(600)
    elif name == "loud":
        sys.stderr.write("loud and secret s3cr3t-value\n")
    elif name == "chatty":
        print("hello, I am a human")
    print(json.dumps(answer), flush=True)
"#;

/// An office whose visits are given to the program; `endpoint` and `more` are further keys.
fn office(endpoint: &str, more: &str, sql: &str) -> Office {
    let office = Office::visits();
    std::fs::write(office.folder().join("program.py"), PROGRAM).unwrap();
    write(&office, endpoint, more);
    let watched = office.run(&["watch", "visits"]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    office.sql(sql);
    office
}

fn write(office: &Office, endpoint: &str, more: &str) {
    let path = office.folder().join("program.py");
    let exec = format!("exec: [/usr/bin/python3, '{}', --site, OF042]", path.display());
    office.connector(
        "own",
        &format!("adapter: exec\nendpoint: {{{exec}{endpoint}}}\nstart: beginning\n{RETRY}\n{more}\n"),
    );
}

/// What the program was given, run by run.
fn runs(office: &Office) -> Vec<Value> {
    let text = std::fs::read_to_string(office.folder().join("runs")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(run: &Value) -> Vec<String> {
    let name = |line: &Value| {
        let line: Value = serde_json::from_str(line.as_str().unwrap()).unwrap();
        line["record"]["name"].as_str().unwrap_or_default().to_owned()
    };
    run["lines"].as_array().unwrap().iter().map(name).collect()
}

fn is_gone(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"))
}

fn children(folder: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(folder.join("children")).ok()?;
    let pids: Vec<String> = text.split(' ').map(str::to_owned).collect();
    (pids.len() == 2 && !pids[1].is_empty()).then_some(pids)
}

#[test]
fn a_batch_of_records_is_a_run_with_a_line_for_each_and_nothing_of_ours_around_it() {
    let office = office(", directory: /tmp", "", THREE);
    let mut command = office.command(&["run", "--once"]);
    command.env("SOME_PASSWORD", "hunter22");
    assert!(command.status().unwrap().success());
    let runs = runs(&office);
    assert_eq!((runs.len(), names(&runs[0])), (1, vec!["Ada".to_owned(), "Bea".to_owned(), "Cy".to_owned()]));
    let line: Value = serde_json::from_str(runs[0]["lines"][1].as_str().unwrap()).unwrap();
    assert_eq!(
        (&line["op"], &line["type"], &line["record"]),
        (&json!("insert"), &json!("visits"), &json!({"id": 2, "name": "Bea", "minutes": 20}))
    );
    assert!(line["id"].as_str().unwrap().split('-').count() == 3 && line["at"].is_string());
    assert_eq!((&runs[0]["cwd"], &runs[0]["args"]), (&json!("/tmp"), &json!(["--site", "OF042"])));
    let environment = runs[0]["env"].as_object().unwrap();
    assert!(environment.keys().all(|name| ["PATH", "LC_CTYPE"].contains(&name.as_str())), "{environment:?}");
    assert_eq!(office.cursor("own"), office.highest());
    // Deletes have runs of their own, and say what the record was.
    office.sql("DELETE FROM visits WHERE id = 2");
    assert_eq!(office.once().0, Some(0));
    let deleted: Value = serde_json::from_str(self::runs(&office)[1]["lines"][0].as_str().unwrap()).unwrap();
    assert_eq!((&deleted["op"], &deleted["record"]["name"]), (&json!("delete"), &json!("Bea")));
}

#[test]
fn each_record_has_its_own_answer_and_what_has_none_comes_again_with_the_same_line() {
    let sql = "INSERT INTO visits VALUES (1, 'Ada', 1), (2, 'nope', 2), (3, 'later', 3), (4, 'forgotten', 4), (5, 'chatty', 5)";
    let office = office("", "", sql);
    let agent = office.agent();
    wait("one is left", || office.cursor("own") >= office.highest() && office.parked("own").len() == 1);
    agent.stop();
    assert_eq!(office.parked_words("own"), ["dead code-E7"]);
    let reason = office.parked("own")[0].reason.to_string();
    assert!(reason.contains("code E7: *** is too short, ***"), "{reason}");
    let runs = runs(&office);
    let all: Vec<&str> =
        runs.iter().flat_map(|run| run["lines"].as_array().unwrap()).map(|line| line.as_str().unwrap()).collect();
    for (name, times) in [("Ada", 1), ("nope", 1), ("later", 2), ("forgotten", 2), ("chatty", 1)] {
        let same: Vec<&&str> = all.iter().filter(|line| line.contains(&format!("\"{name}\""))).collect();
        assert!(same.len() == times && same.iter().all(|line| *line == same[0]), "{name}: {same:#?}");
    }
}

#[test]
fn a_record_on_which_the_program_dies_stands_aside_and_the_others_go_on() {
    let sql = "INSERT INTO visits VALUES (1, 'Ada', 1), (2, 'poison', 2), (3, 'Cy', 3), (4, 'Di', 4), (5, 'Eve', 5), (6, 'Fay', 6)";
    let office = office("", "batch: {max: 2}", sql);
    let agent = office.agent();
    // It is known as its own fault once others have got through meanwhile.
    let next = std::cell::Cell::new(7);
    wait("it is parked, and the others are delivered", || {
        office.sql(&format!("INSERT INTO visits VALUES ({0}, 'More{0}', 1)", next.get()));
        next.set(next.get() + 1);
        office.parked_words("own") == ["waiting exec"]
    });
    wait("the others are delivered", || office.cursor("own") >= office.highest());
    agent.stop();
    let given: Vec<String> = runs(&office).iter().flat_map(names).collect();
    for name in ["Ada", "Cy", "Di", "Eve", "Fay"] {
        assert!(given.iter().any(|known| known == name), "{name} in {given:?}");
    }
}

#[test]
fn a_run_that_takes_too_long_is_killed_with_what_it_has_started_and_comes_again_the_same() {
    let office = office(", timeout: 3s", "", "INSERT INTO visits VALUES (1, 'Ada', 1), (2, 'slow', 2)");
    let agent = office.agent();
    office.wait_settled("own");
    agent.stop();
    let pids = children(office.folder()).unwrap();
    assert!(pids.iter().all(|pid| is_gone(pid)), "{pids:?}");
    let runs = runs(&office);
    // What was answered before stands; the other one's line is the same.
    let second = names(&runs[1]);
    assert_eq!((names(&runs[0]), second), (vec!["Ada".to_owned(), "slow".to_owned()], vec!["slow".to_owned()]));
    assert_eq!(runs[0]["lines"][1], runs[1]["lines"][0]);
}

#[test]
fn an_agent_that_stops_leaves_no_run_behind() {
    let office = office("", "", "INSERT INTO visits VALUES (1, 'slow', 1)");
    let agent = office.agent();
    wait("it runs", || children(office.folder()).is_some());
    agent.stop();
    let pids = children(office.folder()).unwrap();
    wait("both are gone", || pids.iter().all(|pid| is_gone(pid)));
    let again = office.agent();
    office.wait_settled("own");
    again.stop();
    let runs = runs(&office);
    assert_eq!(runs[0]["lines"], runs[1]["lines"]);
}

#[test]
fn an_agent_that_is_told_to_stop_twice_leaves_no_run_behind_either() {
    let office = office("", "", "INSERT INTO visits VALUES (1, 'slow', 1)");
    let mut agent = office.agent();
    wait("it runs", || children(office.folder()).is_some());
    agent.signal(rustix::process::Signal::TERM);
    agent.signal(rustix::process::Signal::INT);
    agent.wait();
    let pids = children(office.folder()).unwrap();
    wait("both are gone", || pids.iter().all(|pid| is_gone(pid)));
}

#[test]
fn after_kill_9_the_same_lines_come_again_together() {
    let office = office("", "", "INSERT INTO visits VALUES (1, 'slow', 1), (2, 'Bea', 2), (3, 'Cy', 3)");
    let agent = office.agent();
    wait("it runs", || children(office.folder()).is_some());
    agent.kill();
    office.sql("INSERT INTO visits VALUES (4, 'Di', 4)");
    let again = office.agent();
    office.wait_settled("own");
    again.stop();
    let runs = runs(&office);
    assert_eq!(runs[0]["lines"], runs[1]["lines"]);
    assert_eq!(names(&runs[1]), ["slow", "Bea", "Cy"]);
    // Nobody was there any more to end the first run.
    for pid in children(office.folder()).unwrap() {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[test]
fn a_secret_is_in_its_environment_and_nowhere_else_and_its_error_output_is_not_kept() {
    let office = office("", "", "INSERT INTO visits VALUES (1, 'loud', 1)");
    let secret = office.folder().join("token");
    std::fs::write(&secret, "s3cr3t-value\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    write(&office, &format!(", env: {{REGISTRY_TOKEN: {{file: '{}'}}}}", secret.display()), "");
    let checked = office.run(&["check"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let shown = office.run(&["simulate"]);
    assert!(
        shown.stdout.contains("RUN exec:/usr/bin/python3 ") && shown.stdout.contains("env REGISTRY_TOKEN: ***"),
        "{}",
        shown.stdout
    );
    assert!(runs(&office).is_empty(), "simulate starts nothing");
    let agent = office.agent();
    office.wait_settled("own");
    agent.says("1 lines (29 bytes)");
    let said = agent.said();
    agent.stop();
    assert_eq!(runs(&office)[0]["env"]["REGISTRY_TOKEN"], "s3cr3t-value");
    assert!(
        !said.contains("s3cr3t-value") && !shown.stdout.contains("s3cr3t-value") && !said.contains("loud"),
        "{said}"
    );
    for file in office.kept() {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"s3cr3t-value"), "{}", file.display());
    }
}

#[test]
fn a_program_that_cannot_be_run_stops_the_connector_and_goes_on_when_it_is_there() {
    let office = office("", "", "INSERT INTO visits VALUES (1, 'Ada', 1)");
    office.connector("own", "adapter: exec\nendpoint: {exec: /no/such/program}\nstart: beginning\n");
    let checked = office.run(&["check"]);
    let said = format!("{}{}", checked.stdout, checked.stderr);
    assert!(checked.code == Some(0) && said.contains("/no/such/program cannot be run here"), "{said}");
    assert_eq!(office.run(&["check", "--online"]).code, Some(69));
    assert_eq!(office.once().0, Some(75));
    let (mode, reason) = office.mode("own");
    assert!(mode == Mode::Halted && reason.unwrap().to_string().contains("cannot be started"));
    write(&office, "", "");
    let agent = office.agent();
    office.run(&["sync", "own"]);
    office.wait_settled("own");
    agent.stop();
}

#[test]
fn check_says_what_is_wrong_with_a_program_and_where() {
    let office = office("", "", "");
    let check = |endpoint: &str, more: &str| {
        office.connector("own", &format!("adapter: exec\nendpoint: {{{endpoint}}}\n{more}\n"));
        let checked = office.run(&["check"]);
        (checked.code, format!("{}{}", checked.stdout, checked.stderr))
    };
    for (endpoint, more, code, text) in [
        ("exec: program", "", 78, "full path of a program"),
        ("exec: [./program]", "", 78, "full path of a program"),
        ("url: https://a.example", "", 78, "exec"),
        ("exec: /bin/true, url: https://a.example", "", 78, "is for an address"),
        ("exec: /bin/true, credentialsId: x", "", 78, "is for an address"),
        ("exec: /bin/true, env: {TOKEN: hunter22}", "", 78, "never stands in the file"),
        ("exec: /bin/true, env: {'A B': {credential: x}}", "", 78, "cannot name a variable"),
        ("exec: /bin/true, env: {PATH: {credential: x}}", "", 78, "is given by the agent"),
        ("exec: /bin/true, env: {TOKEN: {file: /no/such/file}}", "", 78, "the secret of `env TOKEN` cannot be had"),
        ("exec: /bin/true, directory: tmp", "", 78, "is not a full path"),
        ("exec: /bin/true, timeout: 2h", "", 78, "longer than an hour"),
        ("exec: /bin/true", "batch: {shape: array}", 78, "a record a line"),
        ("exec: /bin/true", "retryOn: [409]", 78, "`retryOn` is for statuses"),
        ("exec: [/bin/true, --token=abc]", "", 0, "arguments stand in the process list"),
        (&*format!("exec: {}", office.folder().join("program.py").display()), "", 0, "may not be run"),
        ("exec: /bin/true", "batch: {max: 1}", 0, "exec:/bin/true"),
    ] {
        let (found, said) = check(endpoint, more);
        assert!(
            found == Some(code) && said.contains(text) && !said.contains("hunter22"),
            "{endpoint} {more}: {found:?} {said}"
        );
    }
}
