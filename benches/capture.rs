//! Capture: what the application's writes cost without a trigger, with a plain JSON trigger, and with ours (P6).

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};

use hms_sync::store::capture::{Access, CapturedLog, WatchSpec};

use crate::Arguments;
use crate::support::figures::{median, paired, print};
use crate::support::office;

/// Records of one transaction in batches.
const BATCH: i64 = 1000;

#[derive(Clone, Copy, PartialEq)]
enum Trigger {
    None,
    Plain,
    Ours,
}

const TRIGGERS: [(Trigger, &str); 3] =
    [(Trigger::None, "no trigger"), (Trigger::Plain, "plain JSON"), (Trigger::Ours, "hms-sync")];
const WORK: [&str; 4] = ["insert, in batches", "update, in batches", "delete, in batches", "one-row FULL commits"];

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 21 } else { 7 });
    let (rows, commits) = if arguments.long { (100_000, 500) } else { (20_000, 150) };
    // Seconds by work, by trigger, by round; all three in turn in each round, so that a slow moment hits all.
    let mut seconds = vec![vec![Vec::new(); TRIGGERS.len()]; WORK.len()];
    for _ in 0..rounds {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let offices: Vec<Connection> = TRIGGERS.iter().map(|(trigger, _)| office(place.path(), *trigger)).collect();
        for (work, seconds) in seconds.iter_mut().enumerate() {
            for (db, seconds) in offices.iter().zip(seconds) {
                seconds.push(measure(db, work, rows, commits));
            }
        }
    }
    let mut table = Vec::new();
    let mut results = serde_json::Map::new();
    for (work, seconds) in WORK.iter().zip(&seconds) {
        let writes = if *work == WORK[3] { commits } else { rows } as f64;
        for (at, (_, name)) in TRIGGERS.iter().enumerate() {
            table.push(vec![
                if at == 0 { (*work).to_owned() } else { String::new() },
                (*name).to_owned(),
                format!("{:.0}", writes / median(&seconds[at])),
                format!("{:.2}", paired(&seconds[at], &seconds[0])),
                format!("{:.2}", paired(&seconds[at], &seconds[1])),
            ]);
        }
        results.insert(
            (*work).to_owned(),
            json!({ "writes": writes, "none s": seconds[0], "plain s": seconds[1], "ours s": seconds[2],
                    "time of none": paired(&seconds[2], &seconds[0]), "time of plain": paired(&seconds[2], &seconds[1]) }),
        );
    }
    let title = format!(
        "capture: {rows} rows of 12 columns, {BATCH} a transaction; {commits} commits of one; median of {rounds}"
    );
    print(&title, &["", "", "rows/s", "time of none", "time of plain"], &table);
    Value::Object(results)
}

fn office(place: &Path, trigger: Trigger) -> Connection {
    let path = place.join(match trigger {
        Trigger::None => "none.db",
        Trigger::Plain => "plain.db",
        Trigger::Ours => "ours.db",
    });
    let db = office::open(&path);
    db.execute_batch(office::TABLE).unwrap();
    // A file that has grown already: its first pages cost more than all others.
    office::batches(&db, 1_000_000, 1_001_000, BATCH, office::insert);
    match trigger {
        Trigger::None => {}
        Trigger::Plain => office::plain_outbox(&db),
        Trigger::Ours => {
            let mut log = CapturedLog::open("office", &path, Access::Write).unwrap();
            log.install(&[WatchSpec::table("appointments")]).unwrap();
        }
    }
    db
}

fn measure(db: &Connection, work: usize, rows: i64, commits: i64) -> f64 {
    let started = Instant::now();
    match work {
        0 => office::batches(db, 1, rows + 1, BATCH, office::insert),
        1 => office::batches(db, 1, rows + 1, BATCH, office::update),
        2 => office::batches(db, 1, rows + 1, BATCH, office::delete),
        _ => {
            db.pragma_update(None, "synchronous", "FULL").unwrap();
            office::batches(db, 1_000_000, 1_000_000 + commits, 1, office::update);
        }
    }
    started.elapsed().as_secs_f64()
}
