//! kill -9, a full disk, a failing disk, failing syncs, interrupted and reset calls, at every system call of the
//! shipped binary that reaches a file or a socket, judged by the memory of the application and the target's journal.
//!
//! strace counts the calls and injects the fault (`support/strace.rs`). A first run without a fault shows how often each
//! call is made; then each of them fails in turn, in an office of its own. After the fault the application must be able
//! to write at once, both files must be sound, and a run without a fault must bring everything to the target.
//!
//! `HMS_FAULTS` = how many points of each scene are tried (default 12; `all`), or the names of some, as a failure shows
//! them, with commas between. `HMS_SEED` draws others (default 1).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod daemon;
mod points;
mod scene;

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::journal::{Entry, committed};
use crate::support::office::{Ended, Office, PATIENCE};
use crate::support::receiver::Receiver;
use crate::support::strace::{Fault, Injection, SYNCS, Strace, after_the_fault, call, counts};
use crate::support::verdict::{arrivals, installed, integrity, recorded, records};
use crate::support::visits::Memory;
use points::{Files, Point, points};
use scene::Scene;

/// Those of the contract that a fault may lead to. Never 78: after that systemd leaves the agent stopped.
const EXIT_CODES: [i32; 6] = [0, 1, 65, 73, 74, 75];
/// Offices that are tried at the same time: most of the time they wait.
const WORKERS: usize = 6;

/// How a verb under strace ended.
struct Met {
    status: Option<ExitStatus>,
    stderr: String,
    trace: Vec<String>,
}

/// Runs a command to its end, or says that it does not come to one.
fn to_the_end(command: &mut Command, errors: &std::path::Path) -> (Option<ExitStatus>, String) {
    let file = std::fs::File::create(errors).unwrap();
    let command = command.stdout(Stdio::null()).stderr(file).process_group(0);
    let mut child = command.spawn().expect("strace must be installed");
    let began = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if began.elapsed() > PATIENCE / 2 => {
                kill_process_group(Pid::from_child(&child), Signal::KILL).unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(std::time::Duration::from_millis(2)),
        }
    };
    (status, String::from_utf8_lossy(&std::fs::read(errors).unwrap()).into_owned())
}

fn under_strace(scene: Scene, office: &Office, mut strace: Strace) -> Met {
    strace.log = office.folder().join("strace");
    let mut command = strace.around(&office.command(scene.arguments()));
    let (status, stderr) = to_the_end(&mut command, &office.folder().join("stderr"));
    Met { status, stderr, trace: strace.lines() }
}

/// Meets the scene, with or without a fault.
fn meet(scene: Scene, office: &Office, memory: &mut Memory, target: &Receiver, strace: Strace) -> Met {
    match scene {
        Scene::Daemon => daemon::meet(office, memory, target, strace),
        _ => under_strace(scene, office, strace),
    }
}

/// The points of a scene.
fn points_of(scene: Scene) -> Vec<Point> {
    let target = Receiver::start();
    let template = scene.prepare(&target);
    let mut all = Vec::new();
    for files in Files::ALL {
        let (office, mut memory) = (template.0.copy(), template.1.clone());
        let strace = Strace { paths: files.paths(&office), ..Strace::default() };
        let met = meet(scene, &office, &mut memory, &target, strace);
        target.forget();
        assert_eq!(met.status.and_then(|status| status.code()), Some(0), "{}", met.stderr);
        let begins = |line: &str| files != Files::Any || scene == Scene::Daemon || line.contains("sync.yaml");
        all.extend(points(scene, files, &counts(&met.trace, begins)));
    }
    all
}

/// Runs until everything is delivered.
fn good_runs(scene: Scene, office: &Office) -> Result<(), String> {
    let mut last: Option<Ended> = None;
    let began = Instant::now();
    let mut verbs = vec![&["--json", "run", "--once"][..]];
    if scene == Scene::Backfill {
        verbs.insert(0, scene.arguments());
    }
    for verb in verbs {
        loop {
            let ended = office.run(verb);
            if ended.code == Some(0) {
                break;
            }
            if began.elapsed() > PATIENCE / 4 {
                return Err(format!("a run without a fault ends with {last:?}"));
            }
            last = Some(ended);
        }
    }
    Ok(())
}

/// Whether the verb ended as it may after this fault.
fn ending(point: &Point, met: &Met) -> Vec<String> {
    let mut wrong = Vec::new();
    let hit = after_the_fault(&met.trace);
    let Some(status) = met.status else {
        // A lock on a file of this machine can always be given back: SQLite counts on that, and keeps it for good otherwise.
        let unlock = hit.is_some_and(|(line, _)| line.contains("F_UNLCK"));
        let never = unlock && point.injection.fault == Fault::ErrorOnce;
        return if never { wrong } else { vec!["it did not end".to_owned()] };
    };
    let code = status.code();
    match point.injection.fault {
        Fault::Kill if status.signal() == Some(9) => {}
        // What wakes a thread does not wait, so that nothing can interrupt it; libraries count on that.
        Fault::Interrupted if hit.is_some_and(|(line, _)| line.contains("<anon_inode:")) => {}
        _ if code.is_none_or(|code| !EXIT_CODES.contains(&code)) => wrong.push(format!("it ended with {status}")),
        Fault::Interrupted if code != Some(0) => wrong.push(format!("an interrupted call shows: {status}")),
        // Whether a folder's sync has failed SQLite tells nobody.
        Fault::Sync if hit.is_some_and(|(line, _)| !line.contains(".db")) => {}
        Fault::Sync => {
            // The checkpoint when the state file is closed syncs what was synced when it was committed, and keeps quiet.
            // It shows in that nothing is written after it; a reader may make its index anew.
            let data = |line: &str| !line.contains("-shm>");
            let writes = |line: &String| call(line).is_some_and(|(_, name)| name == "pwrite64") && data(line);
            let closing = point.files == Files::State && hit.is_some_and(|(_, after)| !after.iter().any(writes));
            if hit.is_some() && code != Some(74) && !(closing && code == Some(0)) {
                wrong.push(format!("a sync failed and it ended with {status}"));
            }
            let again = |line: &&String| call(line).is_some_and(|(_, name)| SYNCS.contains(&name));
            // A rollback journal is only there while the state file is made: SQLite itself rolls back, and syncs that.
            if let Some((failed, after)) = hit
                && !failed.contains("-journal")
                && let Some(second) = after.iter().find(again)
            {
                wrong.push(format!("a second sync after the failed one: {failed}, then {second}"));
            }
        }
        Fault::Full | Fault::FullOnce if point.scene == Scene::Daemon && code != Some(0) => {
            wrong.push(format!("a full disk ends the running agent: {status}"));
        }
        _ => {}
    }
    if code.is_some_and(|code| code != 0) && met.stderr.trim().is_empty() && point.injection.fault != Fault::Kill {
        wrong.push(format!("it ended with {status} and said nothing"));
    }
    wrong
}

/// Everything that is wrong with one point.
fn try_point(point: &Point, template: &(Office, Memory), whole: &[String], target: &Receiver) -> Vec<String> {
    let (office, mut memory) = (template.0.copy(), template.1.clone());
    let scene = point.scene;
    let strace =
        Strace { paths: point.files.paths(&office), injection: Some(point.injection.clone()), ..Strace::default() };
    let met = meet(scene, &office, &mut memory, target, strace);
    let mut wrong = ending(point, &met);
    let there = installed(&office);
    if scene == Scene::First && !there.is_empty() && there != *whole {
        wrong.push(format!("half installed: {there:?}"));
    }
    let captured = memory.account.len();
    if let Err(error) = memory.write_at_once(&office) {
        wrong.push(format!("the application cannot write: {error}"));
    }
    if there.is_empty() {
        memory.account.truncate(captured);
    }
    wrong.extend(integrity(&office.database()));
    if office.state().exists() {
        wrong.extend(integrity(&office.state()));
    }
    match good_runs(scene, &office) {
        Err(in_vain) => wrong.push(in_vain),
        Ok(()) => {
            if scene == Scene::First {
                memory.work(&office);
                wrong.extend(good_runs(scene, &office).err());
            }
            wrong.extend(after_all(scene, &office, &memory, &target.journal()));
        }
    }
    target.forget();
    if !wrong.is_empty() {
        wrong.push(format!("it ended with {:?}, saying: {}", met.status, met.stderr.trim()));
        if let Some((line, _)) = after_the_fault(&met.trace) {
            wrong.push(line.to_owned());
        }
    }
    wrong
}

/// What must hold in the end.
fn after_all(scene: Scene, office: &Office, memory: &Memory, journal: &[Entry]) -> Vec<String> {
    let mut wrong = arrivals(memory, journal, scene.counts_steps());
    wrong.extend(recorded(&office.state(), journal));
    wrong.extend(integrity(&office.database()));
    wrong.extend(integrity(&office.state()));
    let wanted: &[i64] = match scene {
        Scene::Heal => &[1, 3, 4, 5],
        Scene::Backfill => &[1, 2, 3, 4, 5],
        Scene::Prune => {
            let rows: i64 =
                office.app().query_row("SELECT count(*) FROM hms_sync_outbox", [], |row| row.get(0)).unwrap();
            if rows == 0 || rows > 2 {
                wrong.push(format!("{rows} rows are left of the log"));
            }
            &[5]
        }
        _ => return wrong,
    };
    if records(journal) != wanted {
        wrong.push(format!(
            "records {:?} arrived instead of {wanted:?}, {} in all",
            records(journal),
            committed(journal)
        ));
    }
    wrong
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The points of a scene that are to be tried.
fn chosen(scene: Scene) -> Vec<Point> {
    let wish = setting("HMS_FAULTS").unwrap_or_else(|| "12".to_owned());
    if wish.contains('/') {
        let named = wish.split(',').map(|name| Point::named(name).expect("a point's name"));
        return named.filter(|point| point.scene == scene).collect();
    }
    let mut all = points_of(scene);
    eprintln!("{}: there are {} points", scene.name(), all.len());
    let seed = setting("HMS_SEED").map_or(1, |seed| seed.parse().unwrap());
    fastrand::Rng::with_seed(seed).shuffle(&mut all);
    // What changes something first.
    all.sort_by_key(Point::reads);
    if wish == "all" {
        return all;
    }
    let wanted = wish.parse().expect("HMS_FAULTS is a number, `all`, or names");
    // One of each kind of fault, at a call that changes something and at one that looks; then what the chances bring.
    let mut first: Vec<Point> = Vec::new();
    for fault in Fault::ALL {
        for reads in [false, true] {
            first.extend(all.iter().find(|point| point.injection.fault == fault && point.reads() == reads).cloned());
        }
    }
    all.retain(|point| !first.contains(point));
    first.extend(all);
    first.truncate(wanted);
    first
}

fn series(scene: Scene) {
    let points = chosen(scene);
    let (queue, bad) = (Mutex::new(points.iter().enumerate()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS.min(points.len()) {
            scope.spawn(|| {
                let target = Receiver::start();
                let template = scene.prepare(&target);
                let done = template.0.copy();
                good_runs(scene, &done).unwrap();
                target.forget();
                let whole = installed(&done);
                loop {
                    let Some((at, point)) = queue.lock().unwrap().next() else { return };
                    if at > 0 && at % 100 == 0 {
                        eprintln!("{}: {at} of {} points", scene.name(), points.len());
                    }
                    // A point at which the judge itself fails is named too.
                    let tried = std::panic::AssertUnwindSafe(|| try_point(point, &template, &whole, &target));
                    let wrong = std::panic::catch_unwind(tried).unwrap_or_else(|_| vec!["the judge failed".to_owned()]);
                    if !wrong.is_empty() {
                        eprintln!("{}: {wrong:#?}", point.name());
                        bad.lock().unwrap().push(point.name());
                    }
                }
            });
        }
    });
    let bad = bad.into_inner().unwrap();
    eprintln!("{}: {} points, {} bad", scene.name(), points.len(), bad.len());
    assert!(bad.is_empty(), "{} of {} points: HMS_FAULTS={}", bad.len(), points.len(), bad.join(","));
}

/// Without this every point of the kind would hold, and show nothing.
#[test]
fn a_kill_at_a_system_call_is_a_kill() {
    for (call, n) in [("openat", 1), ("read", 1), ("openat", 3)] {
        let injection = Injection { fault: Fault::Kill, call: call.to_owned(), n };
        let scratch = tempfile::tempdir().unwrap();
        let strace = Strace { injection: Some(injection), log: scratch.path().join("strace"), ..Strace::default() };
        let mut version = Command::new(env!("CARGO_BIN_EXE_hms-sync"));
        version.arg("--version");
        let ended = strace.around(&version).output().expect("strace must be installed");
        assert_eq!(ended.status.signal(), Some(9), "{call} {n}: {ended:?}");
    }
}

#[test]
fn a_fault_in_the_first_run_leaves_nothing_installed_or_all_of_it() {
    series(Scene::First);
}

#[test]
fn a_fault_while_delivering_loses_nothing_and_sends_nothing_twice_with_other_bytes() {
    series(Scene::Deliver);
}

#[test]
fn a_fault_while_pruning_leaves_the_witness_and_sends_nothing_again() {
    series(Scene::Prune);
}

#[test]
fn a_fault_while_a_table_is_compared_loses_no_difference() {
    series(Scene::Heal);
}

#[test]
fn a_fault_in_a_running_agent_loses_nothing_and_a_full_disk_does_not_end_it() {
    series(Scene::Daemon);
}

#[test]
fn a_fault_in_a_backfill_loses_no_row() {
    series(Scene::Backfill);
}
