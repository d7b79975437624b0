//! The application of the fault tests: a small known history, and its own memory of what it has committed.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::office::Office;

/// What a commit made of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Put(i64, Visit),
    Gone(i64),
}

impl Step {
    pub fn id(&self) -> i64 {
        match self {
            Step::Put(id, _) | Step::Gone(id) => *id,
        }
    }
}

/// Name and minutes.
pub type Visit = (String, i64);

/// What the application knows of its own table, and of the way there.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub visits: BTreeMap<i64, Visit>,
    pub account: Vec<Step>,
}

impl Memory {
    fn put(&mut self, db: &Connection, id: i64, name: &str, minutes: i64) {
        let sql = "INSERT INTO visits VALUES (?1, ?2, ?3)
                   ON CONFLICT(id) DO UPDATE SET name = excluded.name, minutes = excluded.minutes";
        db.execute(sql, (id, name, minutes)).unwrap();
        self.visits.insert(id, (name.to_owned(), minutes));
        self.account.push(Step::Put(id, (name.to_owned(), minutes)));
    }

    fn remove(&mut self, db: &Connection, id: i64) {
        db.execute("DELETE FROM visits WHERE id = ?1", [id]).unwrap();
        self.visits.remove(&id);
        self.account.push(Step::Gone(id));
    }

    /// Twelve changes of four records, two of them in one transaction, and a transaction that is rolled back.
    pub fn work(&mut self, office: &Office) {
        let db = application(office);
        self.put(&db, 1, "Ada", 10);
        self.put(&db, 2, "Bea", 20);
        self.put(&db, 1, "Ada", 11);
        self.put(&db, 3, "Åse \"Ö\"\n", 30);
        self.put(&db, 2, "Bea", 21);
        db.execute_batch("BEGIN; UPDATE visits SET minutes = 99; DELETE FROM visits WHERE id = 3; ROLLBACK").unwrap();
        db.execute_batch("BEGIN").unwrap();
        self.put(&db, 1, "Ada", 12);
        self.put(&db, 4, "Dot", 40);
        db.execute_batch("COMMIT").unwrap();
        self.put(&db, 3, "Åse", 31);
        self.remove(&db, 2);
        self.put(&db, 4, "Dot", 41);
        self.put(&db, 2, "Bea again", 22);
        self.put(&db, 1, "Ada", 13);
    }

    /// A few hundred visits, two changes of each.
    pub fn work_hard(&mut self, office: &Office) {
        let db = application(office);
        for minutes in [1, 2] {
            for id in 100..400 {
                self.put(&db, id, "Many", minutes);
            }
        }
    }

    /// Rows that stand in the table and were never told.
    pub fn untold(&mut self, office: &Office) {
        self.work(office);
        self.account.clear();
    }

    /// One write of an application that waits for nobody's lock.
    pub fn write_at_once(&mut self, office: &Office) -> Result<(), rusqlite::Error> {
        let db = Connection::open(office.database())?;
        db.busy_timeout(std::time::Duration::ZERO)?;
        db.execute("INSERT INTO visits VALUES (5, 'Eve', 50)", [])?;
        self.visits.insert(5, ("Eve".to_owned(), 50));
        self.account.push(Step::Put(5, ("Eve".to_owned(), 50)));
        Ok(())
    }

    /// Two updates and a delete while no trigger looks.
    pub fn behind_the_back(&mut self, office: &Office) {
        let db = application(office);
        let mut list = db.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").unwrap();
        let triggers: Vec<String> = list.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(!triggers.is_empty());
        drop(list);
        triggers.iter().for_each(|name| db.execute_batch(&format!("DROP TRIGGER \"{name}\"")).unwrap());
        self.put(&db, 1, "Ada", 77);
        self.put(&db, 3, "Åse", 78);
        self.remove(&db, 4);
        self.account.clear();
    }
}

/// Its connection waits for locks: what counts here is the agent.
fn application(office: &Office) -> Connection {
    let db = office.app();
    db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    db
}
