//! The shipped example, killed at random moments: every event is heard at least once and in order, every push arrives as one.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::journal::body;
use crate::support::office::{Office, RETRY, wait};
use crate::support::receiver::Receiver;

/// Records whose changes keep their order.
const RECORDS: i64 = 7;

/// The example, built as this test is.
fn example(name: &str) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--quiet", "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "the example {name} is built");
    PathBuf::from(env!("CARGO_BIN_EXE_hms-sync")).parent().unwrap().join("examples").join(name)
}

fn start(program: &PathBuf, office: &Office, heard: &Arc<Mutex<Vec<String>>>) -> Child {
    let mut child = Command::new(program)
        .arg(office.config())
        .env("XDG_RUNTIME_DIR", office.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (lines, heard) = (BufReader::new(child.stdout.take().unwrap()).lines(), heard.clone());
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| heard.lock().unwrap().push(line)));
    child
}

#[test]
fn killed_at_any_moment_a_program_hears_each_event_in_order_and_each_push_arrives_as_one() {
    let rounds: i64 = std::env::var("HMS_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12);
    let program = example("calendar");
    let target = Receiver::start();
    let office = Office::new("CREATE TABLE appointments(id INTEGER PRIMARY KEY, start TEXT, minutes INTEGER);");
    office.settings("appointments: {}");
    let (url, ca) = (target.url("/calendar/entries"), target.ca.file());
    let text = format!("listen: pushed-only\ntarget: {{url: \"{url}\", tls: {{ca: \"{}\"}}}}\n{RETRY}\n", ca.display());
    office.connector("calendar", &text);
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut child = start(&program, &office, &heard);
    wait("it has begun", || office.state().exists() && !super::status(&office, "on_change:appointments").is_null());
    let mut dice = fastrand::Rng::with_seed(7);
    let mut written = 0;
    for round in 0..rounds {
        let mut app = office.app();
        app.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        let until = heard.lock().unwrap().len() + dice.usize(1..40);
        let transaction = app.transaction().unwrap();
        for _ in 0..50 {
            written += 1;
            let sql =
                "INSERT INTO appointments VALUES (?1, ?2, ?3) ON CONFLICT(id) DO UPDATE SET minutes = excluded.minutes";
            transaction.execute(sql, (written % RECORDS, "09:00", written)).unwrap();
        }
        transaction.commit().unwrap();
        wait("it hears some", || heard.lock().unwrap().len() >= until);
        std::thread::sleep(std::time::Duration::from_micros(dice.u64(0..30_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 3 == 2 {
            // An outage of the target over the restart.
            target.close();
        }
        child = start(&program, &office, &heard);
        if round % 3 == 2 {
            target.reopen();
        }
    }
    let seconds = |entry: &crate::support::journal::Entry| body(entry)["seconds"].as_i64().unwrap();
    let all = |journal: &[crate::support::journal::Entry]| -> Vec<i64> {
        let mut keys = std::collections::HashSet::new();
        journal.iter().filter(|entry| entry.committed && keys.insert(entry.key.clone())).map(seconds).collect()
    };
    let journal = target.wait("all arrive", |journal| all(journal).len() as i64 >= written);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "SIGTERM ends it well");
    // Under as many keys as there were events: none twice, none missing, those of a record in order.
    let arrived = all(&journal);
    assert_eq!(arrived.len() as i64, written);
    for record in 0..RECORDS {
        let of: Vec<i64> = arrived.iter().copied().filter(|n| n / 60 % RECORDS == record).collect();
        let wanted: Vec<i64> = (1..=written).filter(|n| n % RECORDS == record).map(|n| n * 60).collect();
        assert_eq!(of, wanted, "record {record}");
    }
    // Heard: the position goes on from the last that is stored, so a repetition goes back a little, and nothing is left out.
    let heard = heard.lock().unwrap().clone();
    let seqs: Vec<i64> = heard.iter().map(|line| line.split('-').nth(1).unwrap().parse().unwrap()).collect();
    let mut next = 1;
    for seq in seqs {
        assert!(seq <= next, "{seq} came before {next}");
        next = next.max(seq + 1);
    }
    assert_eq!(next, written + 1);
}

#[test]
fn the_example_says_what_its_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/library");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let yaml = std::fs::read_to_string(source.join("sync.yaml")).unwrap().replace("7400", &free);
    std::fs::write(folder.path().join("sync.yaml"), yaml).unwrap();
    let app = rusqlite::Connection::open(folder.path().join("office.db")).unwrap();
    app.execute_batch(&std::fs::read_to_string(source.join("schema.sql")).unwrap()).unwrap();
    let mut mock = Command::new("python3")
        .args(["-u", source.parent().unwrap().join("mock.py").to_str().unwrap(), "--port", &free])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut heard = BufReader::new(mock.stdout.take().unwrap()).lines();
    assert!(heard.next().unwrap().unwrap().starts_with("listening"));
    let say = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(example(name));
        let output = command.args(arguments).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    assert_eq!(say("calendar", &["sync.yaml", "--once"]), "handled 0, delivered 0\n");
    app.execute("INSERT INTO appointments VALUES (42, '2026-03-05T09:00', 30)", []).unwrap();
    let said = say("calendar", &["sync.yaml", "--once"]);
    assert!(said.ends_with("handled 1, delivered 2\n"), "{said}");
    assert_eq!(say("one", &["sync.yaml", "archive", "appointments", "42"]), "archive has it\n");
    mock.kill().unwrap();
    mock.wait().unwrap();
    let mut calls: Vec<String> = heard.map_while(Result::ok).collect();
    calls.sort();
    assert_eq!(calls.len(), 3, "{calls:#?}");
    for (call, wanted) in calls.iter().zip([
        ["POST /calendar/entries", r#"{"appointment":42,"begins":"2026-03-05T09:00","seconds":1800}"#],
        ["PUT /archive/42", r#"{"id":42,"start":"2026-03-05T09:00","minutes":30}"#],
        ["PUT /archive/42", r#"{"id":42,"start":"2026-03-05T09:00","minutes":30}"#],
    ]) {
        assert!(wanted.iter().all(|part| call.contains(part)), "{call}");
    }
}
