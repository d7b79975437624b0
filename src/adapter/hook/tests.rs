#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::adapter::tls::{TlsFiles, client_config};
use crate::event::{Op, Record, Value};

fn payload() -> Record {
    [("city", Value::from("Ames"))].into_iter().collect()
}

fn ask(asker: &mut Asker) -> Result<Verdict, Reason> {
    let (payload, fields) = (payload(), Record::default());
    asker.ask(Question {
        number: 0,
        connector: "vista",
        id: "1",
        kind: "patients",
        op: Op::Insert,
        payload: &payload,
        fields: &fields,
        classes: &[],
    })
}

/// A hook of a script.
fn script(text: &str, timeout: Duration) -> (tempfile::TempDir, Arc<Hook>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hook.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let hook = Hook::exec("/bin/sh".into(), vec![path.display().to_string()], timeout);
    (folder, Arc::new(hook))
}

const LONG: Duration = Duration::from_secs(60);
const ALLOW: &str = r#"n=$((n+1)); printf '{"number":%d,"verdict":"allow"}\n' $n"#;

#[test]
fn a_program_is_started_once_and_asked_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let text = format!(
        "echo start >> {0}\nwhile read -r line; do printf '%s\\n' \"$line\" >> {0}; {ALLOW}; done",
        seen.display()
    );
    let (_folder, hook) = script(&text, LONG);
    let mut asker = hook.asker();
    for _ in 0..3 {
        assert_eq!(ask(&mut asker), Ok(Verdict::Allow));
    }
    let seen = std::fs::read_to_string(&seen).unwrap();
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines.len(), 4, "{seen}");
    let first = r#"{"number":1,"connector":"vista","id":"1","type":"patients","op":"insert","payload":{"city":"Ames"},"fields":{},"classes":{}}"#;
    assert_eq!((lines[0], lines[1]), ("start", first));
}

#[test]
fn a_program_sees_nothing_of_the_environment_but_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let text = format!("env | cut -d= -f1 | sort > {}; while read -r line; do {ALLOW}; done", seen.display());
    let (_folder, hook) = script(&text, LONG);
    assert_eq!(ask(&mut hook.asker()), Ok(Verdict::Allow));
    let names = std::fs::read_to_string(&seen).unwrap();
    // The shell sets the others itself.
    let foreign: Vec<&str> =
        names.lines().filter(|name| !["PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect();
    assert!(foreign.is_empty() && names.contains("PATH"), "{names}");
}

#[test]
fn a_program_that_crashes_is_silent_talks_nonsense_or_too_much_gives_no_answer_and_is_started_anew() {
    for (text, says) in [
        ("exit 3", "ended without an answer"),
        ("read -r line; exit 0", "ended without an answer"),
        ("read -r line; printf '{\"number\":1,\"verdict\":\"allow\"}'; exit 0", "ended without an answer"),
        ("read -r line; echo s3cret", "no JSON object"),
        ("read -r line; echo '{\"number\":2,\"verdict\":\"allow\"}'", "does not repeat the `number`"),
        ("read -r line; head -c 2000000 /dev/zero | tr '\\0' x; echo", "longer than 1 MiB"),
    ] {
        let (_folder, hook) = script(text, LONG);
        let reason = ask(&mut hook.asker()).unwrap_err();
        assert!(reason.class == NO_ANSWER && reason.text.contains(says), "{text}: {reason}");
        assert!(!reason.text.contains("s3cret"));
    }
    let (_folder, hook) = script("while :; do read -r line || exit; sleep 600; done", Duration::from_millis(50));
    assert!(ask(&mut hook.asker()).unwrap_err().text.contains("no answer within 50 ms"));
    let gone = Arc::new(Hook::exec("/no/such/hook".into(), Vec::new(), LONG));
    assert!(ask(&mut gone.asker()).unwrap_err().text.contains("cannot be started"));

    // The first one ends after an answer, the next one goes on.
    let (_folder, hook) = script(&format!("read -r line; {ALLOW}; exit 1"), LONG);
    let mut asker = hook.asker();
    assert_eq!(ask(&mut asker), Ok(Verdict::Allow));
    assert!(ask(&mut asker).is_err());
    let text = "while read -r line; do n=${line#*:}; n=${n%%,*}; echo \"{\\\"number\\\":$n,\\\"verdict\\\":\\\"allow\\\"}\"; done";
    let (_folder, hook) = script(text, LONG);
    let mut asker = hook.asker();
    assert_eq!(ask(&mut asker), Ok(Verdict::Allow));
    asker.running = None;
    assert_eq!(ask(&mut asker), Ok(Verdict::Allow), "started anew, the numbers go on");
}

/// An address that gives one answer to everything.
fn address(answer: &'static str) -> Arc<Hook> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?key=s3cret", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut seen = Vec::new();
            let mut part = [0; 4096];
            while !seen.ends_with(b"\"classes\":{}}") {
                match socket.read(&mut part).unwrap() {
                    0 => break,
                    count => seen.extend_from_slice(&part[..count]),
                }
            }
            socket.write_all(answer.as_bytes()).unwrap();
        }
    });
    let http = Options { plain: true, timeout: LONG, ..Options::new(client_config(&TlsFiles::default()).unwrap()) };
    Arc::new(Hook::url(&url, http, None, 2))
}

#[test]
fn an_address_is_asked_by_a_post_and_anything_but_a_good_answer_is_none() {
    let good = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 19\r\n\r\n{\"verdict\":\"allow\"}";
    let hook = address(good);
    assert_eq!(ask(&mut hook.asker()), Ok(Verdict::Allow));
    assert!(!hook.shown().contains("s3cret"), "{}", hook.shown());
    for (bad, says) in [
        ("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", "HTTP 204"),
        ("HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        ("HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 19\r\n\r\n{\"verdict\":\"allow\"}", "HTTP 500"),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 99\r\n\r\n{\"verdict\":\"allow\"}", ""),
        ("", ""),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "no JSON object"),
    ] {
        let reason = ask(&mut address(bad).asker()).unwrap_err();
        assert!(reason.class == NO_ANSWER && reason.text.contains(says), "{bad}: {reason}");
    }
}
