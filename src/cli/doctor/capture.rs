//! Is everything captured? Triggers, our tables, identity, and a comparison of each table with what the log has told.

use super::finding::{Cure, Findings};
use crate::cli::failure::{Code, Failure};
use crate::config::watch::Database;
use crate::engine::keeper::last_seen;
use crate::engine::need::Need;
use crate::store::capture::{Access, CaptureError, CapturedLog, Finding, Seen, State, Watched};
use crate::store::shadow::{self, ShadowError};
use crate::store::state::{StateReader, fact, leftover};

/// Rows compared in one read transaction.
const STEP: usize = 500;

/// Looks at one database. `deep` = SQLite checks the whole file.
pub fn look(database: &Database, state: Option<&mut StateReader>, deep: bool, findings: &mut Findings) {
    let name = &*database.name;
    let mut log = match CapturedLog::open(name, &database.path, Access::Write) {
        Ok(log) => log,
        Err(error) => return findings.failed("database", name, error),
    };
    findings.ok("database", name, format!("{} can be read and written", database.path.display()));
    if let Err(error) = look_at(&mut log, state, deep, findings) {
        findings.failed("capture", name, error);
    }
}

fn look_at(
    log: &mut CapturedLog,
    state: Option<&mut StateReader>,
    deep: bool,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let name = log.name().to_owned();
    match log.journal_mode()?.as_str() {
        "wal" => findings.ok("journal", &name, "write-ahead log"),
        other => findings.warn(
            "journal",
            &name,
            format!("journal mode {other}: readers and the application's commits exclude each other"),
            "give the application a busy timeout, or let it use WAL",
        ),
    }
    if deep {
        let wrong = match log.quick_check() {
            // So torn that the check itself cannot go on.
            Err(CaptureError::Sqlite { source, .. }) => vec![source.to_string()],
            found => found?,
        };
        if wrong.is_empty() {
            findings.ok("integrity", &name, "SQLite finds no damage");
        } else {
            findings.bad("integrity", &name, wrong.join(", "), "restore a backup of the application's file");
            findings.with_code(Code::Data);
        }
    }
    if !log.installed()? {
        findings.warn(
            "triggers",
            &name,
            "nothing is captured here yet",
            "`watch:` in sync.yaml, or `hms-sync watch TABLE`",
        );
        return Ok(());
    }
    let (seen, state) = match state {
        Some(state) => {
            owned(log, state, findings)?;
            (last_seen(state, &name)?, Some(state))
        }
        None => (None, None),
    };
    let known = seen.is_some();
    let Some(same) = poll(log, seen, findings)? else { return Ok(()) };
    if same && known {
        findings.ok("identity", &name, "the file is the one that was read last");
    }
    let wrong = log.layout()?;
    if wrong.is_empty() {
        findings.ok("tables", &name, "our own tables are as they should be");
    }
    for what in wrong {
        findings.bad("tables", &name, what, "drop what is not ours; `hms-sync unwatch` and `watch` the table it names");
    }
    let (candidates, untold) = log.candidates_left()?;
    if untold {
        let what =
            format!("{candidates} rows that a REPLACE may have removed, and a delete among them is not told yet");
        findings.warn("candidates", &name, what, "the agent tells it at its next look");
        findings.curable(Cure::Repair);
    } else {
        findings.ok("candidates", &name, format!("{candidates} left over, none of them a delete"));
    }
    valve(log, findings)?;
    if let Some(state) = state.filter(|_| same) {
        let left = state.read(|db| leftover::all(db, &name))?;
        for watched in log.watched()? {
            compare(log, state, &watched, findings)?;
            if let Some(left) = left.iter().find(|left| *left.kind == *watched.kind) {
                let need = Need::of_leftover(&name, &watched.table, left);
                findings.bad("restore", &name, need.what, need.mend);
            }
        }
    }
    Ok(())
}

/// Is this agent the one that captures here?
fn owned(log: &mut CapturedLog, state: &mut StateReader, findings: &mut Findings) -> Result<(), Failure> {
    let instance: String =
        state.read(|db| fact(db, "instance"))?.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    match log.owner() {
        Ok(Some(owner)) if owner != instance => {
            let error = CaptureError::OtherOwner { path: log.path().to_path_buf(), owner };
            findings.failed("owner", log.name(), error);
        }
        Ok(_) => findings.ok("owner", log.name(), "this agent captures here, and no other"),
        // Our tables are gone: that is found, and mended, below.
        Err(CaptureError::OwnTables { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// What the agent's own look finds. False = the file is not the one that was read last; none = nothing more can be said.
fn poll(log: &mut CapturedLog, seen: Option<Seen>, findings: &mut Findings) -> Result<Option<bool>, Failure> {
    let name = log.name().to_owned();
    let seen = match seen {
        Some(seen) => seen,
        None => match log.seen(None) {
            Ok(seen) => seen,
            Err(error @ CaptureError::OwnTables { .. }) => {
                findings.failed("tables", &name, error);
                findings.curable(Cure::Repair);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        },
    };
    let found = log.poll(&seen)?;
    let mut same = true;
    let mut more = true;
    for finding in &found {
        const AGENT: &str = "the agent mends it by itself; `--fix` does it now";
        let curable = match finding {
            Finding::FileGone | Finding::FileReplaced => {
                findings.bad("database", &name, "was replaced while it was looked at", "look again");
                more = false;
                false
            }
            Finding::OwnTablesGone { missing } => {
                let what = format!("missing: {}; the application's writes may fail", missing.join(", "));
                findings.bad("tables", &name, what, AGENT);
                more = false;
                true
            }
            Finding::EpochDiffers { .. } | Finding::WitnessGone { .. } | Finding::WitnessDiffers { .. } => {
                let what = "the file is not the one that was read last (restored, replaced, or tampered with)";
                findings.bad("identity", &name, what, AGENT);
                same = false;
                true
            }
            Finding::TriggersMissing { table } => {
                findings.bad(
                    "triggers",
                    &name,
                    format!("{table}: triggers missing, its changes are not captured"),
                    AGENT,
                );
                true
            }
            Finding::TableChanged { table } => {
                findings.bad("triggers", &name, format!("{table}: the table or its triggers were changed"), AGENT);
                true
            }
            Finding::TableRenamed { table, now } => {
                findings.bad("triggers", &name, format!("{table} is called {now} now"), AGENT);
                true
            }
            Finding::PauseOver { table } => {
                findings.bad(
                    "triggers",
                    &name,
                    format!("{table}: its pause is over and it is not captured yet"),
                    AGENT,
                );
                true
            }
            Finding::TableDropped { table } => {
                let mend = format!("if that is meant: `hms-sync unwatch {table}`; nothing is deleted at the targets");
                findings.bad("triggers", &name, format!("{table} was dropped"), mend);
                false
            }
            Finding::TableRefused { table, reason } => {
                let mend = format!("mend the table, or give it up with `hms-sync unwatch {table}`");
                findings.bad("triggers", &name, format!("{table} {reason}"), mend);
                false
            }
            Finding::Overflow { table, lost, .. } => {
                let what = format!("{table}: {lost} changes were counted and not kept, because the log was full");
                findings.bad("valve", &name, what, AGENT);
                true
            }
            Finding::SeqHigh { seq } => {
                findings.bad("valve", &name, format!("the log has reached position {seq}"), "call for help");
                false
            }
        };
        if curable {
            findings.curable(Cure::Repair);
        }
    }
    if !more {
        return Ok(None);
    }
    triggers(log, findings)?;
    Ok(Some(same))
}

/// The tables whose triggers are present and current, and those that are paused on purpose.
fn triggers(log: &mut CapturedLog, findings: &mut Findings) -> Result<(), Failure> {
    let name = log.name().to_owned();
    let watched = log.watched()?;
    let current: Vec<&str> =
        watched.iter().filter(|watched| watched.state == State::Ok).map(|watched| &*watched.table).collect();
    if !current.is_empty() {
        findings.ok("triggers", &name, format!("present and current: {}", current.join(", ")));
    }
    for Watched { table, state, .. } in &watched {
        if let State::Paused(until) = state
            && until.is_none_or(|until| until > crate::clock::now())
        {
            let mend = format!("`hms-sync capture resume {table}` ends it; the table is compared then");
            findings.warn("triggers", &name, format!("{table}: {state}"), mend);
        }
    }
    Ok(())
}

fn valve(log: &mut CapturedLog, findings: &mut Findings) -> Result<(), Failure> {
    let (name, valve) = (log.name().to_owned(), log.fill_level()?);
    let what = format!("{} events wait of at most {}", valve.waiting, valve.cap);
    if valve.closed {
        let mend = "let the connectors catch up (`hms-sync status`), or raise `capture: {cap:}`";
        findings.bad("valve", &name, format!("{what}: further changes are counted and not kept"), mend);
    } else if valve.waiting > valve.cap / 2 {
        findings.warn("valve", &name, what, "see `hms-sync status`: who does not take them?");
    } else {
        findings.ok("valve", &name, what);
    }
    Ok(())
}

/// Holds a table against what the log has told of it, and writes nothing.
fn compare(
    log: &mut CapturedLog,
    state: &mut StateReader,
    watched: &Watched,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let (name, table) = (log.name().to_owned(), &watched.table);
    if matches!(watched.state, State::Dropped | State::Renamed(_) | State::Refused(_)) {
        return Ok(());
    }
    // One snapshot of the state file: the agent goes on meanwhile.
    let mut compared = Ok(None);
    state.read(|db| {
        compared = shadow::compare(db, log, table, STEP);
        Ok(())
    })?;
    match compared {
        Ok(None) => {
            let what = format!("{table}: not taken into the comparison yet");
            findings.warn("comparison", &name, what, "the agent does it at its start");
            findings.curable(Cure::Repair);
        }
        Ok(Some(found)) if found.agrees() => {
            let what = format!("{table}: {} rows, all as the log has told them", found.rows);
            findings.ok("comparison", &name, what);
        }
        Ok(Some(found)) => {
            let what = format!(
                "{table}: {} rows were never told, {} stand otherwise than told, {} told records have no row",
                found.missing, found.different, found.superfluous
            );
            if found.asks() {
                let mend = format!(
                    "so many are not deleted unasked: look at the table; if they are meant to be gone, `hms-sync \
                     reconcile {table} --force` (`--fix` does not)"
                );
                findings.bad("comparison", &name, what, mend);
                return Ok(());
            }
            let mend = format!("`--fix`, or `hms-sync reconcile {table}`, sends what differs");
            findings.bad("comparison", &name, what, mend);
            findings.curable(Cure::Reconcile { log: name, table: table.clone() });
        }
        // What was altered since its triggers were installed was said above.
        Err(ShadowError::Capture(CaptureError::Refused { .. })) => {}
        Err(error) => findings.failed("comparison", &name, crate::engine::reconcile::ReconcileError::from(error)),
    }
    Ok(())
}
