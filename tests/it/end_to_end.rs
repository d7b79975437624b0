//! The whole way: a real application process writes its file, the shipped binary delivers to a target over TLS, through
//! an outage, faults of every kind, kills, restarts and reloads, each with a changed configuration. The judge is the
//! application's own account of what it committed.
//!
//! `HMS_KILLS` sets how often the agent is interrupted (default 5), `HMS_SEED` the chances (default 1).

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rusqlite::{Connection, ErrorCode, params};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::support::checker::delivery;
use crate::support::journal::{Entry, Expected, committed, judge};
use crate::support::office::{Office, RETRY, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Mix;

/// A row of the application's table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    pub id: i64,
    pub slot: i64,
    /// Differs for every statement of a writer.
    pub n: i64,
    pub name: String,
    pub price: Option<f64>,
    pub note: Option<String>,
}

/// What one committed statement did to one record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    Put(Visit),
    Gone(i64),
}

impl Step {
    pub fn id(&self) -> i64 {
        match self {
            Step::Put(visit) => visit.id,
            Step::Gone(id) => *id,
        }
    }
}

pub const SCHEMA: &str = "CREATE TABLE visits(
  id INTEGER PRIMARY KEY, slot INTEGER UNIQUE, n INTEGER NOT NULL, name TEXT, price REAL, note TEXT);";
/// Records of one writer.
const RECORDS: i64 = 25;
/// Numbers that only one writer uses.
const OWN: i64 = 1_000_000;
/// Statements that one start of a writer will never come to.
const FOREVER: i64 = 1_000_000_000;

// ---------------------------------------------------------------------------------------------- the application

/// The application: writes when told, and keeps its own account of what was committed.
struct Application {
    db: Connection,
    dice: fastrand::Rng,
    base: i64,
    n: i64,
    visits: BTreeMap<i64, Visit>,
    busy: u64,
}

impl Application {
    fn visit(&mut self, id: i64) -> Visit {
        self.n += 1;
        const NAMES: [&str; 5] = ["Åse \"Ö\"", "O'Neill\n\t\\", "", "𝄞 null \u{1}", "  trailing "];
        // -0.0 is not among them: SQLite itself stores 0.0 for it.
        const PRICES: [f64; 5] = [0.1 + 0.2, 1.797_693_134_862_315_7e308, 5e-324, 1e16, 2.5];
        let price = self.dice.bool().then(|| PRICES[self.dice.usize(..PRICES.len())]);
        let note = self.dice.bool().then(|| "n".repeat(self.dice.usize(..200)));
        let slot = self.base + self.dice.i64(1..=3 * RECORDS);
        let name = NAMES[self.dice.usize(..NAMES.len())].to_owned();
        Visit { id, slot, n: self.n, name, price, note }
    }

    fn id(&mut self) -> i64 {
        self.base + self.dice.i64(1..=RECORDS)
    }

    /// The record that has this slot, apart from `id`.
    fn holder(&self, visit: &Visit) -> Option<i64> {
        self.visits.values().find(|other| other.slot == visit.slot && other.id != visit.id).map(|other| other.id)
    }

    /// One statement, and what it does; the account is in the order of the records' own changes.
    fn statement(&mut self) -> rusqlite::Result<Vec<Step>> {
        let id = self.id();
        let visit = self.visit(id);
        let there = self.visits.contains_key(&id);
        let values = params![visit.id, visit.slot, visit.n, visit.name, visit.price, visit.note];
        let mut steps = Vec::new();
        match self.dice.u32(..100) {
            // REPLACE takes away the row with the same key and the row with the same slot.
            0..25 => {
                self.db.execute(
                    "INSERT OR REPLACE INTO visits(id, slot, n, name, price, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    values,
                )?;
                steps.extend(self.holder(&visit).map(Step::Gone));
                steps.push(Step::Put(visit));
            }
            25..45 if self.holder(&visit).is_none() => {
                self.db.execute(
                    "INSERT INTO visits(id, slot, n, name, price, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT(id) DO UPDATE SET slot = ?2, n = ?3, name = ?4, price = ?5, note = ?6",
                    values,
                )?;
                steps.push(Step::Put(visit));
            }
            45..55 if there => {
                self.db.execute("DELETE FROM visits WHERE id = ?1", [id])?;
                steps.push(Step::Gone(id));
            }
            55..65 if there => {
                let to = self.id();
                if self.visits.contains_key(&to) {
                    return Ok(steps);
                }
                self.db.execute("UPDATE visits SET id = ?2, n = ?3 WHERE id = ?1", params![id, to, visit.n])?;
                steps.push(Step::Gone(id));
                steps.push(Step::Put(Visit { id: to, n: visit.n, ..self.visits[&id].clone() }));
            }
            // Many records in one statement; each sees its own image.
            65..70 => {
                self.db.execute(
                    "UPDATE visits SET n = ?1, note = NULL WHERE id BETWEEN ?2 AND ?3",
                    params![visit.n, id, id + 5],
                )?;
                let range = self.visits.range(id..=id + 5).map(|(_, visit)| visit.clone());
                let new = range.map(|old| Step::Put(Visit { n: visit.n, note: None, ..old }));
                steps.extend(new);
            }
            // A savepoint that is taken back leaves nothing.
            70..75 => self.db.execute_batch(
                "SAVEPOINT s; DELETE FROM visits; INSERT INTO visits(id, n) VALUES (999, 0); ROLLBACK TO s;
                 RELEASE s;",
            )?,
            _ if there => {
                self.db.execute(
                    "UPDATE visits SET n = ?2, name = ?3, price = ?4, note = ?5 WHERE id = ?1",
                    params![id, visit.n, visit.name, visit.price, visit.note],
                )?;
                steps.push(Step::Put(Visit { slot: self.visits[&id].slot, ..visit }));
            }
            _ => {}
        }
        for step in &steps {
            match step {
                Step::Gone(id) => drop(self.visits.remove(id)),
                Step::Put(visit) => drop(self.visits.insert(visit.id, visit.clone())),
            }
        }
        Ok(steps)
    }

    /// One transaction; empty when it was rolled back.
    fn transaction(&mut self) -> Vec<Step> {
        let busy = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
        while let Err(error) = self.db.execute_batch("BEGIN IMMEDIATE") {
            assert!(busy(&error), "the application's write failed: {error}");
            self.busy += 1;
            std::thread::yield_now();
        }
        let before = self.visits.clone();
        let mut steps = Vec::new();
        for _ in 0..self.dice.u32(1..=4) {
            steps.extend(self.statement().expect("the application's write failed"));
        }
        if self.dice.u32(..5) == 0 {
            self.db.execute_batch("ROLLBACK").unwrap();
            self.visits = before;
            return Vec::new();
        }
        self.db.execute_batch("COMMIT").expect("the application's commit failed");
        steps
    }
}

impl Application {
    fn new(db: Connection, writer: i64, seed: i64) -> Application {
        db.pragma_update(None, "synchronous", "normal").unwrap();
        // It does not wait for anybody's lock once it is at work.
        db.busy_timeout(std::time::Duration::ZERO).unwrap();
        let base = writer * OWN;
        let dice = fastrand::Rng::with_seed(seed.unsigned_abs() + writer.unsigned_abs());
        // It goes on with the records that it left, under numbers that no earlier start of it has used.
        let own = |id: &i64| (base..base + OWN).contains(id);
        let visits = table(&db).into_iter().filter(|(id, _)| own(id)).collect();
        Application { db, dice, base, n: base + seed * FOREVER, visits, busy: 0 }
    }
}

/// The application's table as it is.
pub fn table(db: &Connection) -> BTreeMap<i64, Visit> {
    let mut rows = db.prepare("SELECT id, slot, n, name, price, note FROM visits").unwrap();
    let visit = |row: &rusqlite::Row<'_>| {
        Ok(Visit {
            id: row.get(0)?,
            slot: row.get(1)?,
            n: row.get(2)?,
            name: row.get(3)?,
            price: row.get(4)?,
            note: row.get(5)?,
        })
    };
    rows.query_map([], visit).unwrap().map(|visit| visit.unwrap()).map(|visit| (visit.id, visit)).collect()
}

/// The truth of the end-to-end test is only as good as the account that the application keeps. Started by that test as a
/// process of its own, this one plays the application; else it holds the account against the table.
#[test]
fn the_application_keeps_a_true_account_of_what_it_commits() {
    let Some(database) = std::env::var_os("HMS_TEST_APP") else {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(SCHEMA).unwrap();
        let mut app = Application::new(db, 1, 7);
        let mut told = BTreeMap::new();
        for _ in 0..2_000 {
            for step in app.transaction() {
                match step {
                    Step::Put(visit) => drop(told.insert(visit.id, visit)),
                    Step::Gone(id) => drop(told.remove(&id)),
                }
            }
        }
        assert_eq!(told, table(&app.db));
        assert_eq!(app.visits, table(&app.db));
        return;
    };
    let number = |name: &str| std::env::var(name).unwrap().parse::<i64>().unwrap();
    let (writer, seed) = (number("HMS_TEST_WRITER"), number("HMS_TEST_SEED"));
    let db = Connection::open(PathBuf::from(database)).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let mut app = Application::new(db, writer, seed);
    let mut out = std::io::stdout();
    for line in std::io::stdin().lines() {
        let transactions: u32 = line.unwrap().parse().unwrap();
        let mut account = String::new();
        for _ in 0..transactions {
            for step in app.transaction() {
                writeln!(account, "STEP {}", serde_json::to_string(&step).unwrap()).unwrap();
            }
        }
        writeln!(out, "{account}DONE {}", app.busy).unwrap();
        out.flush().unwrap();
    }
}

/// A running application.
pub struct Writer {
    child: Child,
    orders: ChildStdin,
    account: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Writer {
    pub fn start(database: &Path, writer: i64, seed: u64) -> Writer {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "end_to_end::the_application_keeps_a_true_account_of_what_it_commits",
                "--exact",
                "--nocapture",
                "--quiet",
            ])
            .env("HMS_TEST_APP", database)
            .env("HMS_TEST_WRITER", writer.to_string())
            .env("HMS_TEST_SEED", seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let account = BufReader::new(child.stdout.take().unwrap()).lines();
        Writer { child, orders, account }
    }

    /// Has it do so many transactions; it goes on by itself.
    pub fn work(&mut self, transactions: u32) {
        writeln!(self.orders, "{transactions}").unwrap();
        self.orders.flush().unwrap();
    }

    /// What it has committed since it was told to work.
    pub fn account(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let line = self.account.next().expect("the application has ended").unwrap();
            if let Some(step) = line.strip_prefix("STEP ") {
                steps.push(serde_json::from_str(step).unwrap());
            } else if line.starts_with("DONE ") {
                return steps;
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// ------------------------------------------------------------------------------------------------------ the judge

/// One request, read back as what it says of a record.
pub fn step_of(entry: &Entry) -> Step {
    if entry.method == "DELETE" {
        assert!(entry.body.is_empty());
        return Step::Gone(entry.path.strip_prefix("/visits/").unwrap().parse().unwrap());
    }
    assert_eq!(entry.method, "PUT");
    #[derive(Deserialize)]
    struct Body<'a> {
        id: i64,
        slot: i64,
        n: i64,
        name: String,
        #[serde(borrow)]
        price: Option<&'a serde_json::value::RawValue>,
        note: Option<String>,
    }
    let body: Body<'_> = serde_json::from_slice(&entry.body).unwrap();
    assert_eq!(entry.path, format!("/visits/{}", body.id));
    // serde_json's own reading of numbers may be off by one bit; Rust's is exact.
    let price = body.price.map(|digits| digits.get().parse().unwrap());
    Step::Put(Visit { id: body.id, slot: body.slot, n: body.n, name: body.name, price, note: body.note })
}

/// Holds the journal against what the application says it committed: everything arrived, as it was, in order for
/// each record, nothing else arrived, and what arrived twice was the same request under the same key.
pub fn compare(truth: &[Step], journal: &[Entry]) {
    let mut by_record: BTreeMap<i64, Vec<&Step>> = BTreeMap::new();
    truth.iter().for_each(|step| by_record.entry(step.id()).or_default().push(step));
    let mut keys = HashSet::new();
    let mut arrived: BTreeMap<i64, Vec<(String, Step)>> = BTreeMap::new();
    // A request that was cut short says nothing of its content: its first whole arrival does.
    for entry in journal.iter().filter(|entry| entry.scenario != "rst_mid_request") {
        if keys.insert(delivery(&entry.key)) {
            let step = step_of(entry);
            arrived.entry(step.id()).or_default().push((delivery(&entry.key).to_owned(), step));
        }
    }
    let mut done: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in journal.iter().filter(|entry| entry.committed) {
        let first = *done.entry(delivery(&entry.key)).or_insert(entry);
        assert_eq!(first.key, entry.key, "committed under two keys");
        assert_eq!(first.header("x-round"), entry.header("x-round"), "{}: one key, two configurations", entry.key);
    }
    let mut expected = Vec::new();
    for (record, steps) in &by_record {
        let seen = arrived.remove(record).unwrap_or_default();
        for (at, step) in steps.iter().enumerate() {
            let (key, got) = seen.get(at).unwrap_or_else(|| panic!("record {record}: change {at} is lost: {step:?}"));
            assert_eq!(got, *step, "record {record}, change {at}, {key}");
            if let (Step::Put(one), Step::Put(other)) = (got, *step) {
                assert_eq!(one.price.map(f64::to_bits), other.price.map(f64::to_bits));
            }
            expected.push(Expected::new(key.clone(), record.to_string()));
        }
        assert_eq!(seen.len(), steps.len(), "record {record}: more arrived than was committed: {seen:?}");
    }
    assert!(arrived.is_empty(), "records that were never committed arrived: {arrived:?}");
    let plain = |entry: &Entry| Entry { key: delivery(&entry.key).to_owned(), ..entry.clone() };
    assert_eq!(judge(&expected, &journal.iter().map(plain).collect::<Vec<_>>()), Vec::<String>::new());
}

pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn every_commit_arrives_in_order_through_outage_faults_kills_restarts_and_reloads() {
    let (kills, seed) = (setting("HMS_KILLS", 5), setting("HMS_SEED", 1));
    let mut dice = fastrand::Rng::with_seed(seed);
    let target = Receiver::start();
    let office = Office::new(SCHEMA);
    office.settings("visits: {}");
    let configure = |round: u64| {
        let ca = target.ca.file();
        let endpoint =
            format!("url: \"{}\", method: PUT, tls: {{ca: \"{}\"}}", target.url("/visits/{id}"), ca.display());
        let text = format!("target: {{{endpoint}, headers: {{X-Round: \"{round}\"}}}}\nstart: beginning\n{RETRY}\n");
        office.connector("legacy", &text);
    };
    configure(0);
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    target.mix(Some(Mix::new(
        seed,
        &[
            (74, "ok"),
            (6, "status_503"),
            (3, "status_429"),
            (4, "commit_rst"),
            (3, "commit_close"),
            (3, "commit_partial"),
            (3, "rst_after_request"),
            (2, "rst_mid_request"),
            (2, "idle_close"),
        ],
    )));
    let mut writers: Vec<Writer> = (1..=2).map(|n| Writer::start(&office.database(), n, seed)).collect();
    let mut truth = Vec::new();
    let mut agent = office.agent();
    for round in 0..=kills {
        let outage = round == kills / 2;
        if outage {
            target.close();
        }
        let before = target.journal().len();
        writers.iter_mut().for_each(|writer| writer.work(40));
        if outage {
            agent.says("the endpoint is down");
        } else {
            let enough = before + dice.usize(1..40);
            target.wait("the agent goes on", |journal| journal.len() >= enough);
        }
        if round < kills {
            configure(round + 1);
            match dice.u32(..6) {
                0 => {
                    let before = agent.said().matches("reloaded").count();
                    agent.signal(Signal::HUP);
                    wait("it reloads", || agent.said().matches("reloaded").count() > before);
                }
                1 => {
                    agent.stop();
                    agent = office.agent();
                }
                _ => {
                    agent.kill();
                    agent = office.agent();
                }
            }
        }
        if outage {
            target.reopen();
        }
        // Each writer's own order is what counts: their records are not the same.
        writers.iter_mut().for_each(|writer| truth.extend(writer.account()));
    }
    let wanted = truth.len();
    target.wait("everything arrives", |journal| committed(journal) >= wanted);
    office.wait_settled("legacy");
    agent.stop();
    let journal = target.journal();
    compare(&truth, &journal);
    office.judge("legacy", &target);
}
