#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::adapter::secret::SecretRef;
use crate::event::Op;

fn shell(text: &str, timeout: Duration) -> Arc<Runner> {
    Arc::new(Runner::new(Program {
        path: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), text.to_owned()],
        directory: "/".into(),
        environment: Vec::new(),
        timeout,
    }))
}

const LONG: Duration = Duration::from_secs(60);

fn parcel(body: &str) -> (Parcel, Request) {
    let request = Request {
        method: "RUN".into(),
        url: "exec:/bin/sh".into(),
        headers: vec![(KEYS.into(), "k1, k2".into())],
        body: body.as_bytes().to_vec(),
    };
    (Parcel::joined("k1+1-x".into(), Op::Insert, "t", request.clone(), 2), request)
}

fn run(runner: &Arc<Runner>, body: &str) -> Heard {
    let (parcel, request) = parcel(body);
    Caller(Arc::clone(runner)).call(&parcel, &request)
}

fn reply(text: &str, timeout: Duration, body: &str) -> Reply {
    run(&shell(text, timeout), body).answer.unwrap()
}

/// The words for two records.
fn words(reply: &Reply) -> Vec<String> {
    let (parcel, request) = parcel("{}\n{}\n");
    let word = |understood: Understood| match understood {
        Understood::Answer(line) => String::from_utf8(line.body).unwrap(),
        Understood::Outcome(outcome) => format!("{}: {}", outcome.word(), outcome.reason().unwrap()),
    };
    understand(&parcel, &request, reply).into_iter().map(word).collect()
}

#[test]
fn a_program_is_given_lines_and_heard_to_its_end() {
    let large = "{\"n\":1}\n".repeat(100_000);
    let heard = reply("cat > /dev/null; echo '{\"id\":\"k2\"}'; echo '{\"id\":\"k1\"}'; echo oops >&2", LONG, &large);
    assert_eq!((heard.status, heard.whole), (0, true));
    assert_eq!(words(&heard), ["{\"id\":\"k1\"}", "{\"id\":\"k2\"}"]);
    // A line without an end gets one; what is not read is no failure.
    assert_eq!(reply("read line; echo \"$line\"", LONG, "{\"id\":\"k1\"}").body, b"{\"id\":\"k1\"}\n");
    assert_eq!(reply("exit 3", LONG, &large).status, 3);
    assert_eq!(reply("kill -9 $$", LONG, "{}").status, 137);
}

#[test]
fn a_program_that_does_not_end_is_killed_with_what_it_has_started_and_what_it_said_stands() {
    let text = "echo '{\"id\":\"k1\"}'; sleep 600 & sleep 600";
    let heard = reply(text, Duration::from_millis(300), "{}\n{}\n");
    assert_eq!(heard.status, LATE);
    let words = words(&heard);
    assert_eq!(words[0], "{\"id\":\"k1\"}");
    assert!(words[1].starts_with("unknown: timeout") && words[1].contains("was killed"), "{words:?}");
    // What goes on behind a program that has ended does not hold anybody up.
    assert_eq!(reply("sleep 600 & exit 0", LONG, "{}").status, 0);
}

#[test]
fn a_program_that_never_stops_talking_is_cut_off() {
    let heard = reply("echo '{\"id\":\"k1\"}'; yes", LONG, "{}\n{}\n");
    assert_eq!((heard.whole, heard.body.len()), (false, MOST));
    let words = words(&heard);
    assert!(words[0].starts_with('{') && words[1].contains("longer than"), "{words:?}");
    // Neither does its error output fill anything.
    assert_eq!(reply("yes >&2 & sleep 1; exit 4", LONG, "{}").status, 4);
}

#[test]
fn how_a_program_ends_says_what_becomes_of_those_that_it_did_not_answer() {
    let ended = |status: u16, body: &str| {
        words(&Reply { status, body: body.as_bytes().to_vec(), whole: true, ..Reply::default() })
    };
    let first = "{\"id\":\"k1\"}\nhello\n";
    for (status, expected) in [
        (0, "unknown: bad-answer: no answer of the program: it ended with 0; a line of its output is no answer"),
        (1, "unknown: exec: no answer of the program: it ended with 1"),
        (75, "retry: exit-75"),
        (78, "halt: exit-78"),
        (139, "unknown: exec: no answer of the program: it ended with 139"),
    ] {
        let words = ended(status, first);
        assert!(words[0] == "{\"id\":\"k1\"}" && words[1].starts_with(expected), "{status}: {words:?}");
    }
    let twice = ended(0, "{\"id\":\"k1\",\"n\":1}\n{\"id\":\"k1\",\"n\":2}\n{\"id\":\"k2\"}");
    assert!(twice[0].contains("answered twice") && twice[1] == "{\"id\":\"k2\"}", "{twice:?}");
}

#[test]
fn what_cannot_be_started_stops_the_connector_and_nothing_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    let odd = folder.path().join("odd");
    std::fs::write(&odd, "no program either").unwrap();
    std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o755)).unwrap();
    for path in [folder.path().join("nowhere"), plain, odd, folder.path().to_owned()] {
        let program =
            Program { path, arguments: Vec::new(), directory: "/".into(), environment: Vec::new(), timeout: LONG };
        let heard = run(&Arc::new(Runner::new(program)), "{}");
        let outcome = heard.answer.unwrap_err();
        assert_eq!((outcome.word(), heard.sent), ("halt", false), "{outcome:?}");
    }
}

#[test]
fn only_the_secrets_that_are_named_are_in_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "s3cr3t-value\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let program = |file: PathBuf| Program {
        path: "/usr/bin/env".into(),
        arguments: Vec::new(),
        directory: folder.path().to_owned(),
        environment: vec![("REGISTRY_TOKEN".to_owned(), SecretSource::new(SecretRef::File(file)))],
        timeout: LONG,
    };
    let said = run(&Arc::new(Runner::new(program(file))), "{}").answer.unwrap();
    let text = String::from_utf8(said.body).unwrap();
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["PATH", "REGISTRY_TOKEN"]);
    assert!(text.contains("REGISTRY_TOKEN=s3cr3t-value"));
    let without = run(&Arc::new(Runner::new(program(folder.path().join("gone")))), "{}");
    assert_eq!(without.answer.unwrap_err().reason().unwrap().class, "credential");
}

#[test]
fn what_runs_when_the_agent_stops_is_killed_and_nothing_is_started_after_it() {
    let runner = shell("echo '{\"id\":\"k1\"}'; sleep 600", LONG);
    let other = Arc::clone(&runner);
    let thread = std::thread::spawn(move || run(&other, "{}"));
    while runner.runs().groups.is_empty() {
        std::thread::yield_now();
    }
    runner.close();
    let heard = thread.join().unwrap();
    assert_eq!(heard.answer.unwrap().status, 137);
    assert!(runner.runs().groups.is_empty());
    assert!(!run(&runner, "{}").sent);
    runner.open();
    let quick = shell("exit 0", LONG);
    assert!(run(&quick, "{}").sent);
}
