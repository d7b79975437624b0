//! Pull: pages of a thousand records applied to a watched table, with plan, origin, cursor and agreement. The floor is the
//! same rows inserted by a plain connection in transactions of fifty, with the triggers there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hms_sync::adapter::pull::{Ask, Fetched, Item, Page, Reads, Source};
use hms_sync::engine::ledger::Ledger;
use hms_sync::engine::pull::{Inlet, Parts, Tempo, Worker};
use hms_sync::engine::push::Run;
use hms_sync::event::{Record, Value as Field};
use hms_sync::rules::conflict::Policy;
use hms_sync::rules::governance::Gate;
use hms_sync::rules::mapping::Mapping;
use hms_sync::rules::pull::clock::Trust;
use hms_sync::rules::retry::RetryPolicy;
use hms_sync::store::capture::{Access, CapturedLog, WatchSpec};
use hms_sync::store::state::{State, StateReader};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::{median, print};

const PAGE: i64 = 1000;
const TABLE: &str =
    "CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, start TEXT, minutes INTEGER, room TEXT, note TEXT)";

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let rows = if arguments.long { 400_000 } else { 60_000 };
    let rounds = arguments.rounds.unwrap_or(3);
    let inserts: Vec<f64> = (0..rounds).map(|_| pull(rows, false)).collect();
    let updates: Vec<f64> = (0..rounds).map(|_| pull(rows, true)).collect();
    let floor: Vec<f64> = (0..rounds).map(|_| plain(rows)).collect();
    let figures = [("new rows", &inserts), ("changed rows", &updates), ("floor: plain inserts", &floor)];
    let table: Vec<_> =
        figures.iter().map(|(name, rates)| vec![(*name).to_owned(), format!("{:.0} rows/s", median(rates))]).collect();
    print(&format!("{rows} rows pulled in pages of {PAGE} (target: 40,000 rows/s)"), &["", ""], &table);
    json!({ "new rows/s": median(&inserts), "changed rows/s": median(&updates), "plain rows/s": median(&floor) })
}

/// Pages that are made as they are asked for.
#[derive(Debug)]
struct Made {
    rows: i64,
    round: i64,
}

fn record(id: i64, round: i64) -> Record {
    [
        ("id", Field::Integer(id)),
        ("name", Field::from(&*format!("Person Number {id}"))),
        ("start", Field::from("2026-03-05T09:00:00Z")),
        ("minutes", Field::Integer(20 + round)),
        ("room", Field::from("Main office, room 7")),
        ("note", Field::Null),
    ]
    .into_iter()
    .collect()
}

impl Source for Made {
    fn origin(&self) -> &str {
        "https://made.test:443"
    }

    fn reads(&self) -> Reads {
        Reads::Changes { deletions: true }
    }

    fn fetch(&self, ask: &Ask) -> Fetched {
        let first: i64 = ask.next.as_ref().map_or(1, |next| next.parse().unwrap());
        let end = (first + PAGE).min(self.rows + 1);
        let items = (first..end).map(|id| Item { body: record(id, self.round), ..Item::default() }).collect();
        let next = (end <= self.rows).then(|| end.to_string());
        Fetched::Page(Page { items, next, cursor: Some(format!("{}/{end}", self.round)), ..Page::default() })
    }

    fn fetch_one(&self, _: &Record, _: &[(String, String)]) -> Option<Fetched> {
        None
    }
}

fn office() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("office.db");
    let app = Connection::open(&path).unwrap();
    app.pragma_update(None, "journal_mode", "wal").unwrap();
    app.execute_batch(TABLE).unwrap();
    let mut log = CapturedLog::open("office", &path, Access::Write).unwrap();
    log.install(&[WatchSpec::table("visits")]).unwrap();
    (folder, path)
}

/// Rows a second of a pull; `again` = of one that changes what the first has brought.
fn pull(rows: i64, again: bool) -> f64 {
    let (folder, path) = office();
    let mut rate = 0.0;
    for round in 0..=i64::from(again) {
        let state = folder.path().join("state.db");
        let (ledger, thread) = Ledger::start(State::open(&state).unwrap()).unwrap();
        let inlet = Inlet {
            name: "made".into(),
            source: Arc::new(Made { rows, round }),
            table: "visits".into(),
            back: Mapping::whole().reverse().unwrap(),
            gate: Gate::open(),
            policy: Policy::none("visits"),
            names: vec!["made".to_owned()],
            office: "OF042".to_owned(),
            both_ways: false,
            strict_order: false,
            clock: Trust::Same,
            max_delete: 5.0,
            full: None,
            tempo: Tempo::Every(Duration::from_secs(60)),
            retry: RetryPolicy::default(),
        };
        let log = CapturedLog::open("office", &path, Access::Write).unwrap();
        let reader = StateReader::open(&state).unwrap();
        let worker = Worker::new(Parts { inlet, log, ledger: ledger.clone(), reader }).unwrap();
        let started = Instant::now();
        let summary = worker.run(Run::Once);
        rate = rows as f64 / started.elapsed().as_secs_f64();
        assert_eq!((summary.delivered, summary.left_off), (rows.unsigned_abs(), None));
        ledger.stop();
        thread.join().unwrap();
    }
    rate
}

fn plain(rows: i64) -> f64 {
    let (_folder, path) = office();
    let app = Connection::open(&path).unwrap();
    app.pragma_update(None, "synchronous", "normal").unwrap();
    let started = Instant::now();
    for first in (1..=rows).step_by(50) {
        app.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut insert = app.prepare_cached("INSERT INTO visits VALUES (?1, ?2, ?3, 20, ?4, NULL)").unwrap();
        for id in first..(first + 50).min(rows + 1) {
            let name = format!("Person Number {id}");
            insert.execute((id, name, "2026-03-05T09:00:00Z", "Main office, room 7")).unwrap();
        }
        app.execute_batch("COMMIT").unwrap();
    }
    rows as f64 / started.elapsed().as_secs_f64()
}
