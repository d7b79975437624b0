//! Random histories: whatever an application does, replaying the log gives its tables exactly.
//!
//! `HMS_HISTORIES` says how many histories to run in all (default 600), shared by three SQLite libraries;
//! `HMS_HISTORY=seed` runs one on the bundled library and prints it.

mod engine;
mod make;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::Engine;
use hms_sync::event::{Event, Op, Record, Value};
use hms_sync::store::capture::{Access, CapturedLog, Due, WatchSpec};
use make::History;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// So many histories share one process of a foreign library.
const BATCH: u64 = 100;

fn count() -> u64 {
    std::env::var("HMS_HISTORIES").map_or(600, |text| text.parse().expect("HMS_HISTORIES is a number"))
}

#[test]
fn replaying_the_log_gives_the_tables_exactly_under_the_bundled_library() {
    if let Ok(seed) = std::env::var("HMS_HISTORY") {
        let history = make::history(seed.parse().unwrap(), Engine::Bundled.ability());
        println!("{history:#?}");
        assert_eq!(run(&Engine::Bundled, seed.parse().unwrap(), 1), 1);
        return;
    }
    prove(&Engine::Bundled, 1_000_000, "3.5");
}

#[test]
fn replaying_the_log_gives_the_tables_exactly_under_debians_library() {
    prove(&engine::debian(), 2_000_000, "3.");
}

#[test]
fn replaying_the_log_gives_the_tables_exactly_under_an_old_library() {
    prove(&engine::old(), 3_000_000, "3.2");
}

fn prove(engine: &Engine, first: u64, version: &str) {
    let found = engine.version();
    assert!(found.starts_with(version), "{engine:?} is SQLite {found}, not {version}x");
    let count = count().div_ceil(3);
    let mut events = 0;
    for batch in 0..count.div_ceil(BATCH) {
        events += run(engine, first + batch * BATCH, BATCH.min(count - batch * BATCH));
    }
    println!("SQLite {found}: {count} histories, {events} with events, 0 wrong");
    assert!(events * 2 > count, "only {events} of {count} histories wrote anything");
}

/// Runs histories; returns how many captured something.
fn run(engine: &Engine, first: u64, count: u64) -> u64 {
    let folder = fast_folder();
    let path = |kind: &str, seed: u64| folder.path().join(format!("{kind}{seed}.db"));
    let histories: Vec<(u64, History)> =
        (first..first + count).map(|seed| (seed, make::history(seed, engine.ability()))).collect();
    for (seed, history) in &histories {
        prepare(history, &path("watched", *seed), &path("control", *seed));
    }
    let work = |kind| -> Vec<(PathBuf, &[String])> {
        histories.iter().map(|(seed, history)| (path(kind, *seed), history.statements.as_slice())).collect()
    };
    engine.run(&work("watched"));
    engine.run(&work("control"));
    let mut wrote = 0;
    for (seed, history) in &histories {
        let events = judge(history, &path("watched", *seed), &path("control", *seed))
            .unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}\n{history:#?}"));
        wrote += u64::from(events > 0);
    }
    wrote
}

/// Files of no worth are best kept in memory.
fn fast_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// The watched file with our triggers, and the control with empty ones: any trigger, even an empty one, changes
/// the order in which SQLite visits rows.
fn prepare(history: &History, watched: &Path, control: &Path) {
    let open = |path: &Path| {
        let app = Connection::open(path).unwrap();
        app.pragma_update(None, "synchronous", "off").unwrap();
        app.pragma_update(None, "journal_mode", "memory").unwrap();
        app
    };
    let run = |app: &Connection, statements: &[String]| {
        for statement in statements {
            app.execute_batch(statement).unwrap_or_else(|error| panic!("{error}: {statement}\n{history:#?}"));
        }
    };
    let app = open(watched);
    run(&app, &history.schema);
    run(&app, &history.older);
    drop(app);
    std::fs::copy(watched, control).unwrap();
    let mut log = CapturedLog::open("office", watched, Access::Write).unwrap();
    log.install(&history.watch).unwrap();
    drop(log);
    let app = open(watched);
    run(&app, &history.newer);
    let empty = empty_triggers(&app);
    let app = open(control);
    run(&app, &empty);
    run(&app, &history.newer);
}

fn empty_triggers(app: &Connection) -> Vec<String> {
    let mut list = app
        .prepare(
            "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'hms_sync_*' ORDER BY rowid",
        )
        .unwrap();
    let rows = list.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    rows.map(|row| {
        let (name, table) = row.unwrap();
        let when = match &name[9..11] {
            "bi" => "BEFORE INSERT",
            "bu" => "BEFORE UPDATE",
            "ai" | "ci" => "AFTER INSERT",
            "au" | "cu" => "AFTER UPDATE",
            _ => "AFTER DELETE",
        };
        format!("CREATE TRIGGER empty_{name} {when} ON \"{}\" BEGIN SELECT 1; END", table.replace('"', "\"\""))
    })
    .collect()
}

/// Reads the log as the agent does and compares; the number of events, or what is wrong.
fn judge(history: &History, watched: &Path, control: &Path) -> Result<usize, String> {
    let mut log = CapturedLog::open("office", watched, Access::Write).map_err(|error| error.to_string())?;
    let app = Connection::open(watched).unwrap();
    app.pragma_update(None, "synchronous", "off").unwrap();
    let other = Connection::open(control).unwrap();
    for spec in &history.watch {
        if rows(&app, spec, None) != rows(&other, spec, None) {
            return Err(format!("table {}: the application's own result differs from the control", spec.table));
        }
    }
    log.tend(&Due::default()).map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    loop {
        let after = events.last().map_or(0, Event::seq);
        let more = log.read(after, 50, 4096).map_err(|error| error.to_string())?;
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    let mut held: BTreeMap<String, BTreeMap<String, Record>> = BTreeMap::new();
    for event in &events {
        replay(held.entry(event.kind.to_string()).or_default(), event, history.plain)
            .map_err(|wrong| format!("event {}: {wrong}\n{}", event.seq(), tell(&events)))?;
    }
    let watched = log.watched().map_err(|error| error.to_string())?;
    for (spec, table) in history.watch.iter().zip(&watched) {
        let columns: Vec<&str> = table.columns.iter().map(|column| &**column).collect();
        let mut expected: Vec<String> = rows(&app, spec, Some(&columns));
        let mut replayed: Vec<String> = held
            .remove(&spec.table)
            .unwrap_or_default()
            .values()
            .map(|image| show(image.iter().map(|(_, value)| value)))
            .collect();
        expected.sort();
        replayed.sort();
        if expected != replayed {
            let events = tell(&events);
            return Err(format!("table {}: replay {replayed:#?}\ntable {expected:#?}\n{events}", spec.table));
        }
        if table.lost != 0 {
            return Err(format!("{} counted as lost", table.lost));
        }
    }
    Ok(events.len())
}

/// Upsert and delete by exact key, as a receiver does; `strict` also compares what the event says was before.
fn replay(held: &mut BTreeMap<String, Record>, event: &Event, strict: bool) -> Result<(), String> {
    let name = |key: &Record| show(key.iter().map(|(_, value)| value));
    let key = name(&event.key);
    let before = match &event.old_key {
        Some(old) => held.remove(&name(old)),
        None => held.get(&key).cloned(),
    };
    if strict && event.op != Op::Insert && !same(event.before.as_ref(), before.as_ref()) {
        return Err(format!("before is not what the replay held: {before:#?}"));
    }
    match (event.op, &event.after) {
        (Op::Delete, None) => {
            held.remove(&key);
        }
        (Op::Insert | Op::Update, Some(after)) => {
            if let (Op::Update, Some(before)) = (event.op, &event.before) {
                let differ = after.iter().zip(before.iter()).filter(|((_, a), (_, b))| show([*a]) != show([*b]));
                let changed: Vec<_> = differ.map(|((name, _), _)| name.clone()).collect();
                if changed != event.changed {
                    return Err(format!("changed is {changed:?}"));
                }
            }
            held.insert(key, after.clone());
        }
        _ => return Err("an image where none belongs, or none where one does".to_owned()),
    }
    Ok(())
}

/// The events, a line each.
fn tell(events: &[Event]) -> String {
    let values = |record: Option<&Record>| record.map_or("-".to_owned(), |record| show(record.iter().map(|(_, v)| v)));
    let line = |event: &Event| {
        format!(
            "{} {} {} key {} was {} before {} after {}\n",
            event.seq(),
            event.kind,
            event.op,
            values(Some(&event.key)),
            values(event.old_key.as_ref()),
            values(event.before.as_ref()),
            values(event.after.as_ref())
        )
    };
    events.iter().map(line).collect()
}

fn same(a: Option<&Record>, b: Option<&Record>) -> bool {
    let show = |image: Option<&Record>| image.map(|image| show(image.iter().map(|(_, value)| value)));
    show(a) == show(b)
}

/// Values to the byte, apart in class: 5 is not 5.0.
fn show<'v>(values: impl IntoIterator<Item = &'v Value>) -> String {
    values.into_iter().map(|value| format!("{value:?}|")).collect()
}

/// All rows of a table, as [`show`] shows them.
fn rows(app: &Connection, spec: &WatchSpec, columns: Option<&[&str]>) -> Vec<String> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let list =
        columns.map_or("*".to_owned(), |columns| columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(","));
    let mut statement = app
        .prepare(&format!("SELECT {list} FROM {} ORDER BY 1, 2, 3", quoted(&spec.table)))
        .unwrap_or_else(|_| app.prepare(&format!("SELECT {list} FROM {}", quoted(&spec.table))).unwrap());
    let count = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut shown = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let values: Vec<Value> = (0..count)
            .map(|at| match row.get_ref(at).unwrap() {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Integer(number),
                ValueRef::Real(number) => Value::Real(number),
                ValueRef::Text(text) => String::from_utf8(text.to_vec())
                    .map_or_else(|error| Value::BadText(error.into_bytes()), |text| Value::Text(text.into())),
                ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
            })
            .collect();
        shown.push(show(&values));
    }
    shown
}
