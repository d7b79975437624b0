//! Is the agent's own file sound, is the agent there, and does every connector's account balance?

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::finding::{Cure, Findings};
use crate::cli::failure::{Code, Failure};
use crate::config::Settings;
use crate::daemon::serve::socket_of;
use crate::engine::archive;
use crate::store::state::account::account;
use crate::store::state::{StateError, StateReader, connector, holder, journal, quick_check};

/// A state file up to this size is checked by SQLite unasked: it takes a moment.
const SMALL: u64 = 64 << 20;

/// Others of this machine may not even read: deliveries that are parked hold records.
const OTHERS: u32 = 0o077;

/// Opens and looks at the state file; none when there is none, or none that can be read.
pub fn look(settings: &Settings, deep: bool, findings: &mut Findings) -> Option<StateReader> {
    let path = &settings.state;
    let name = path.display().to_string();
    let mut state = match StateReader::open(path) {
        Ok(state) => state,
        Err(StateError::Absent(_)) => {
            findings.warn("state", &name, "no state file yet: the agent has not run here", "`hms-sync run` makes it");
            return None;
        }
        Err(error) => {
            findings.failed("state", &name, error);
            return None;
        }
    };
    permissions(path, findings);
    agent(settings, findings);
    if let Err(error) = sound(&mut state, path, deep, findings).and_then(|()| accounts(&mut state, findings)) {
        findings.failed("state", &name, error);
        return None;
    }
    Some(state)
}

fn sound(state: &mut StateReader, path: &Path, deep: bool, findings: &mut Findings) -> Result<(), Failure> {
    let name = path.display().to_string();
    match state.read(journal)?.as_str() {
        "wal" => findings.ok("journal", &name, "write-ahead log, each commit synced"),
        other => findings.bad("journal", &name, format!("journal mode {other}"), "`hms-sync run` sets it to WAL"),
    }
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    if deep || size <= SMALL {
        let wrong = match state.read(quick_check) {
            // So torn that the check itself cannot go on.
            Err(StateError::Sqlite { error, .. }) => vec![error.to_string()],
            found => found?,
        };
        if wrong.is_empty() {
            findings.ok("integrity", &name, "SQLite finds no damage");
        } else {
            let mend = "check the disk; move the file away, and `hms-sync run --take-over` begins anew";
            findings.bad("integrity", &name, wrong.join(", "), mend);
            findings.with_code(Code::Data);
        }
    }
    Ok(())
}

/// Everything captured was delivered, skipped, discarded, is parked, or waits above the cursor: the sum says so.
fn accounts(state: &mut StateReader, findings: &mut Findings) -> Result<(), Failure> {
    for known in state.read(connector::all)? {
        let Some(account) = state.read(|db| account(db, known.id))? else {
            let what = "is counted anew once what was under way has settled, or from the agent's next start on: the \
                        log's positions are not what they were (a restored file, a connector that was left behind)";
            findings.ok("account", &known.name, what);
            continue;
        };
        let mut sides = format!(
            "{} events passed = {} delivered + {} skipped + {} discarded + {} parked",
            account.passed, account.delivered, account.skipped, account.discarded, account.parked
        );
        if account.gathered > 0 {
            sides.push_str(&format!(" + {} in files", account.gathered));
        }
        match account.missing() {
            0 => findings.ok("account", &known.name, sides),
            missing @ 1.. => {
                let mend = "`hms-sync replay --connector` sends them again; please report this";
                findings.bad("account", &known.name, format!("{missing} events are not accounted for: {sides}"), mend);
            }
            twice => {
                let what = format!("{} deliveries were made twice: {sides}", -twice);
                findings.warn("account", &known.name, what, "a replay of what was under way does that");
            }
        }
    }
    Ok(())
}

fn permissions(path: &Path, findings: &mut Findings) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let uid = rustix::process::geteuid().as_raw();
    let Ok(metadata) = std::fs::metadata(folder) else { return };
    let name = folder.display().to_string();
    if uid != 0 && metadata.uid() != uid {
        let what = format!("belongs to user {}, and this is user {uid}", metadata.uid());
        findings.bad("permissions", &name, what, "run this as the agent's user, or `chown` it");
        findings.with_code(Code::Refused);
        return;
    }
    if metadata.mode() & OTHERS == 0 {
        findings.ok("permissions", &name, format!("mode {:03o}, its owner's alone", metadata.mode() & 0o777));
        return;
    }
    let others = format!("mode {:03o}: others can look in", metadata.mode() & 0o777);
    // A folder that holds other things too is not ours to close; our files in it are.
    if holds_only_ours(folder, path) {
        findings.bad("permissions", &name, others, format!("`--fix`, or `chmod 700 {name}`"));
        findings.curable(Cure::Mode(folder.to_path_buf(), 0o700));
        return;
    }
    let mut open = false;
    for file in ours(path) {
        let Ok(metadata) = std::fs::metadata(&file) else { continue };
        if metadata.mode() & OTHERS != 0 {
            let (name, mode) = (file.display().to_string(), metadata.mode() & 0o777);
            findings.bad(
                "permissions",
                &name,
                format!("mode {mode:03o}: others can read what is parked"),
                "`--fix` closes it",
            );
            findings.curable(Cure::Mode(file, 0o600));
            open = true;
        }
    }
    if !open {
        let mend = "give the state file a folder of its own";
        findings.warn("permissions", &name, format!("{others}, not into the state file"), mend);
    }
}

/// The files of a state file that hold something.
fn ours(path: &Path) -> Vec<PathBuf> {
    ["", "-wal", "-shm", ".lock"]
        .iter()
        .map(|end| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        })
        .collect()
}

fn holds_only_ours(folder: &Path, path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let is_ours = |name: &str| name.starts_with(&stem) || name == archive::FOLDER;
    entries.flatten().all(|entry| is_ours(&entry.file_name().to_string_lossy()))
}

/// Is the agent there, and does it answer?
fn agent(settings: &Settings, findings: &mut Findings) {
    let socket = socket_of(settings);
    match holder(&settings.state) {
        None => {
            findings.warn("agent", "agent", "is not running: changes are captured and wait", "`hms-sync run`");
            if socket.exists() {
                let name = socket.display().to_string();
                findings.warn("agent", &name, "a socket that a killed agent left", "`--fix` removes it");
                findings.curable(Cure::Remove(socket));
            }
        }
        Some(holder) => match holder.socket.map(|socket| (UnixStream::connect(&socket), socket)) {
            Some((Ok(_), _)) => findings.ok("agent", "agent", format!("runs as process {}", holder.process)),
            Some((Err(error), socket)) => {
                let what = format!("process {} holds the state file and does not answer: {error}", holder.process);
                findings.bad(
                    "agent",
                    &socket.display().to_string(),
                    what,
                    "may this user use its socket? Else restart it",
                );
                findings.with_code(Code::Temporary);
            }
            None => {
                let what = format!("process {} holds the state file and does not listen (yet)", holder.process);
                findings.warn("agent", "agent", what, "look again in a moment");
            }
        },
    }
}
