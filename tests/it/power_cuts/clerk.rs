//! The application's side: what a clerk writes, transaction by transaction, with an account of its own in the same
//! transactions. What that account has after a power cut is the truth.

use std::collections::{BTreeMap, BTreeSet};

use hms_sync::event::{Event, Op, Value};
use rusqlite::Connection;

/// The application's tables.
pub const SCHEMA: &str = "
CREATE TABLE visits(id INTEGER PRIMARY KEY, n INTEGER NOT NULL, ward TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE history(n INTEGER PRIMARY KEY, id INTEGER NOT NULL, gone INTEGER NOT NULL);";

/// Records that there are.
const RECORDS: i64 = 10;

/// One change of one record; `n` is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub n: i64,
    pub id: i64,
    pub gone: bool,
}

/// The ward of a record: always the same. Few are in the north.
pub fn ward(id: i64) -> &'static str {
    if id <= 2 { "north" } else { "south" }
}

/// The name that change `n` writes; some are longer than a sector.
pub fn name(n: i64) -> String {
    format!("{n}/{}", "abcdefghij".repeat(usize::try_from(n * 37 % 80).unwrap()))
}

/// Somebody who changes visits.
pub struct Clerk {
    dice: fastrand::Rng,
    n: i64,
    there: BTreeSet<i64>,
}

impl Clerk {
    /// One whose first change has the number `n`, and who finds these records.
    pub fn new(seed: u64, n: i64, there: BTreeSet<i64>) -> Clerk {
        Clerk { dice: fastrand::Rng::with_seed(seed), n, there }
    }

    /// The next transaction, on one line, and what it changes.
    pub fn transaction(&mut self) -> (String, Vec<Change>) {
        let (mut sql, mut changes) = ("BEGIN IMMEDIATE;".to_owned(), Vec::new());
        for _ in 0..self.dice.u32(1..=3) {
            let (n, id) = (self.n, self.dice.i64(1..=RECORDS));
            self.n += 1;
            let gone = self.there.contains(&id) && self.dice.u32(..6) == 0;
            let (ward, name) = (ward(id), name(n));
            sql += &match (self.there.contains(&id), gone) {
                (_, true) => format!("DELETE FROM visits WHERE id={id};"),
                (true, _) => format!("UPDATE visits SET n={n},name='{name}' WHERE id={id};"),
                (false, _) => format!("INSERT INTO visits VALUES({id},{n},'{ward}','{name}');"),
            };
            sql += &format!("INSERT INTO history VALUES({n},{id},{});", i64::from(gone));
            if gone {
                self.there.remove(&id);
            } else {
                self.there.insert(id);
            }
            changes.push(Change { n, id, gone });
        }
        (sql + "COMMIT;", changes)
    }
}

/// Everything that the account in a file has, in order.
pub fn account(app: &Connection) -> Vec<Change> {
    let mut rows = app.prepare("SELECT n, id, gone FROM history ORDER BY n").unwrap();
    let change = |row: &rusqlite::Row<'_>| Ok(Change { n: row.get(0)?, id: row.get(1)?, gone: row.get(2)? });
    rows.query_map([], change).unwrap().map(Result::unwrap).collect()
}

/// The records that are there after these changes, with the number of their last one.
pub fn replayed(account: &[Change]) -> BTreeMap<i64, i64> {
    let mut there = BTreeMap::new();
    for change in account {
        if change.gone {
            there.remove(&change.id);
        } else {
            there.insert(change.id, change.n);
        }
    }
    there
}

/// What is torn in the application's file: its table against its account, and its log against both.
pub fn torn(app: &Connection, account: &[Change], log: &[Event]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rows = app.prepare("SELECT id, n, name FROM visits").unwrap();
    let visit = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?));
    let visits: Vec<(i64, i64, String)> = rows.query_map([], visit).unwrap().map(Result::unwrap).collect();
    let table: BTreeMap<i64, i64> = visits.iter().map(|(id, n, _)| (*id, *n)).collect();
    if table != replayed(account) {
        wrong.push(format!("torn: the table is {table:?}, the account says {:?}", replayed(account)));
    }
    wrong.extend(visits.iter().filter(|(_, n, text)| *text != name(*n)).map(|(id, ..)| format!("torn: record {id}")));
    if log.len() != account.len() {
        wrong.push(format!("torn: {} changes, {} events", account.len(), log.len()));
    }
    for (event, change) in log.iter().zip(account) {
        let n = event.after.as_ref().and_then(|after| after.get("n"));
        let same = (event.op == Op::Delete) == change.gone && n.is_none_or(|n| *n == Value::Integer(change.n));
        if !same || event.key.get("id") != Some(&Value::Integer(change.id)) {
            wrong.push(format!("torn: event {} is not change {change:?}", event.id));
        }
    }
    wrong
}
