//! The application of the demo: an office database, and a clerk who edits it. Plain SQL on the office's own table;
//! nothing here knows that anybody listens.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rusqlite::{Connection, Result, Transaction, TransactionBehavior, params};

use super::truth::{Appointment, Change, Edit, Truth};

const TABLE: &str = "CREATE TABLE appointments (
  id INTEGER PRIMARY KEY,
  patient TEXT NOT NULL,
  room TEXT NOT NULL,
  starts TEXT NOT NULL,
  minutes INTEGER NOT NULL,
  status TEXT NOT NULL DEFAULT 'booked',
  UNIQUE (room, starts))";

/// The room that the scheduler has not heard of.
pub const ANNEX: &str = "annex";
const ROOMS: [&str; 3] = ["room 1", "room 2", "room 3"];
const PATIENTS: [&str; 12] = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivo", "Jane", "Karl", "Lena"];

/// What a clerk does of a morning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A new appointment.
    Book,
    /// Another time.
    Move,
    /// The patient is here, or was seen.
    Progress,
    /// More time.
    Lengthen,
    /// The whole row written again with REPLACE.
    Rewrite,
    /// Onto another's time, who loses it: UPDATE OR REPLACE, and SQLite fires no delete trigger by itself.
    Bump,
    /// Another number: the key changes.
    Renumber,
    /// Cancelled.
    Cancel,
    /// Many rows in one transaction, one of them twice.
    Shuffle,
    /// Begun and rolled back.
    Regret,
    /// A new appointment in a room that the scheduler refuses.
    BookAnnex,
    /// The one in that room once more.
    MoveAnnex,
}

/// What was done, for people.
#[derive(Clone, Debug)]
pub struct Deed {
    /// The statement's first words.
    pub sql: &'static str,
    /// In words.
    pub text: String,
}

/// The clerk.
pub struct Clerk {
    db: Connection,
    rng: Rng,
    next: i64,
    book: BTreeMap<i64, Appointment>,
    truth: Truth,
}

impl Clerk {
    /// Makes the office database. The same seed does the same things.
    pub fn open(file: &Path, seed: u64) -> Result<Clerk> {
        let db = Connection::open(file)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.execute(TABLE, [])?;
        Ok(Clerk { db, rng: Rng::with_seed(seed), next: 101, book: BTreeMap::new(), truth: Truth::default() })
    }

    /// What was committed so far.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Something a clerk might do next.
    pub fn whim(&mut self) -> Act {
        use Act::{
            Book, BookAnnex, Bump, Cancel, Lengthen, Move, MoveAnnex, Progress, Regret, Renumber, Rewrite, Shuffle,
        };
        const WHIMS: [Act; 20] = [
            Book, Move, Move, Move, Progress, Progress, Progress, Progress, Lengthen, Lengthen, Rewrite, Bump,
            Renumber, Cancel, Cancel, Shuffle, Regret, BookAnnex, MoveAnnex, Move,
        ];
        match self.book.len() {
            0..=5 => Book,
            8.. => Cancel,
            _ => WHIMS.get(self.rng.usize(..WHIMS.len())).copied().unwrap_or(Book),
        }
    }

    /// Does it. None when there is nothing to do it to.
    pub fn act(&mut self, act: Act) -> Result<Option<Deed>> {
        match act {
            Act::Book => self.book_in(None).map(Some),
            Act::BookAnnex if self.in_annex().is_some() => Ok(None),
            Act::BookAnnex => self.book_in(Some(ANNEX)).map(Some),
            Act::Move => self.any(|_| true).map(|id| self.shift(id)).transpose(),
            Act::MoveAnnex => self.in_annex().map(|id| self.shift(id)).transpose(),
            Act::Progress => self.any(|now| now.status != "seen").map(|id| self.progress(id)).transpose(),
            Act::Lengthen => self.any(|now| now.minutes < 60).map(|id| self.lengthen(id)).transpose(),
            Act::Rewrite => self.any(|_| true).map(|id| self.rewrite(id)).transpose(),
            Act::Bump => self.bump(),
            Act::Renumber => self.any(|_| true).map(|id| self.renumber(id)).transpose(),
            Act::Cancel => self.pick(|_| true).map(|id| self.cancel(id)).transpose(),
            Act::Shuffle => self.shuffle(),
            Act::Regret => self.any(|_| true).map(|id| self.regret(id)).transpose(),
        }
    }

    /// What is in the table that is not in the clerk's book, or the other way round: a fault of the demo itself.
    pub fn disagreements(&self) -> Result<Vec<String>> {
        let mut statement = self.db.prepare("SELECT id, patient, room, starts, minutes, status FROM appointments")?;
        let table: BTreeMap<i64, Appointment> = statement
            .query_map([], |row| {
                let (patient, room, starts) = (row.get(1)?, row.get(2)?, row.get(3)?);
                Ok((row.get(0)?, Appointment { patient, room, starts, minutes: row.get(4)?, status: row.get(5)? }))
            })?
            .collect::<Result<_>>()?;
        let ids = table.keys().chain(self.book.keys().filter(|id| !table.contains_key(id)));
        let wrong = ids.filter(|id| table.get(id) != self.book.get(id));
        Ok(wrong
            .map(|id| format!("appointment {id}: somebody else than the clerk edited the office database"))
            .collect())
    }

    fn book_in(&mut self, room: Option<&str>) -> Result<Deed> {
        let new = self.appointment(room);
        let id = self.number();
        let text = format!("books {} as {id} at {} in {}", new.patient, new.starts, new.room);
        self.commit(vec![Edit::Set(id, new.clone())], |db| insert(db, id, &new))?;
        Ok(Deed { sql: "INSERT", text })
    }

    fn shift(&mut self, id: i64) -> Result<Deed> {
        let was = self.at(id);
        let starts = self.free(&was.room);
        let text = format!("moves {id} {} from {} to {starts}", was.patient, was.starts);
        let now = Appointment { starts: starts.clone(), ..was };
        self.commit(vec![Edit::Set(id, now)], |db| {
            db.execute("UPDATE appointments SET starts = ?2 WHERE id = ?1", (id, starts)).map(drop)
        })?;
        Ok(Deed { sql: "UPDATE", text })
    }

    fn progress(&mut self, id: i64) -> Result<Deed> {
        let was = self.at(id);
        let status = if was.status == "booked" { "arrived" } else { "seen" };
        let text = format!("notes that {id} {} {}", was.patient, if status == "seen" { "was seen" } else { "is here" });
        let now = Appointment { status: status.to_owned(), ..was };
        self.commit(vec![Edit::Set(id, now)], |db| {
            db.execute("UPDATE appointments SET status = ?2 WHERE id = ?1", (id, status)).map(drop)
        })?;
        Ok(Deed { sql: "UPDATE", text })
    }

    fn lengthen(&mut self, id: i64) -> Result<Deed> {
        let was = self.at(id);
        let text = format!("gives {id} {} ten minutes more", was.patient);
        let now = Appointment { minutes: was.minutes + 10, ..was };
        self.commit(vec![Edit::Set(id, now)], |db| {
            db.execute("UPDATE appointments SET minutes = minutes + 10 WHERE id = ?1", [id]).map(drop)
        })?;
        Ok(Deed { sql: "UPDATE", text })
    }

    fn rewrite(&mut self, id: i64) -> Result<Deed> {
        let was = self.at(id);
        let minutes = if was.minutes == 20 { 30 } else { 20 };
        let now = Appointment { minutes, ..was };
        let text = format!("types {id} {} in again, {minutes} minutes", now.patient);
        self.commit(vec![Edit::Set(id, now.clone())], |db| {
            db.execute(
                "REPLACE INTO appointments(id, patient, room, starts, minutes, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, now.patient, now.room, now.starts, now.minutes, now.status],
            )
            .map(drop)
        })?;
        Ok(Deed { sql: "REPLACE", text })
    }

    fn bump(&mut self) -> Result<Option<Deed>> {
        let Some(id) = self.any(|_| true) else { return Ok(None) };
        let was = self.at(id);
        let Some(loser) = self.any(|other| other.patient != was.patient) else {
            return Ok(None);
        };
        let (room, starts, other) = (self.at(loser).room, self.at(loser).starts, self.at(loser).patient);
        let text = format!("gives {id} {} the time of {loser} {other}, who is out", was.patient);
        let now = Appointment { room: room.clone(), starts: starts.clone(), ..was };
        self.commit(vec![Edit::Gone(loser), Edit::Set(id, now)], |db| {
            let sql = "UPDATE OR REPLACE appointments SET room = ?2, starts = ?3 WHERE id = ?1";
            db.execute(sql, (id, room, starts)).map(drop)
        })?;
        Ok(Some(Deed { sql: "UPDATE OR REPLACE", text }))
    }

    fn renumber(&mut self, id: i64) -> Result<Deed> {
        let (was, new) = (self.at(id), self.number());
        let text = format!("gives {id} {} the number {new}", was.patient);
        self.commit(vec![Edit::Renumbered(id, new, was)], |db| {
            db.execute("UPDATE appointments SET id = ?2 WHERE id = ?1", (id, new)).map(drop)
        })?;
        Ok(Deed { sql: "UPDATE of the key", text })
    }

    fn cancel(&mut self, id: i64) -> Result<Deed> {
        let text = format!("cancels {id} {}", self.at(id).patient);
        self.commit(vec![Edit::Gone(id)], |db| delete(db, id))?;
        Ok(Deed { sql: "DELETE", text })
    }

    /// Everybody of a room gets five minutes more, one of them also comes at another time, and somebody new is booked.
    fn shuffle(&mut self) -> Result<Option<Deed>> {
        let Some(first) = self.any(|_| true) else { return Ok(None) };
        let room = self.at(first).room;
        let starts = self.free(&room);
        let (new, number) = (self.appointment(None), self.number());
        let mut edits: Vec<Edit> = Vec::new();
        for (id, was) in self.book.iter().filter(|(_, now)| now.room == room) {
            edits.push(Edit::Set(*id, Appointment { minutes: was.minutes + 5, ..was.clone() }));
        }
        let mut moved = self.at(first);
        moved.minutes += 5;
        moved.starts.clone_from(&starts);
        edits.push(Edit::Set(first, moved));
        edits.push(Edit::Set(number, new.clone()));
        let text = format!("{} changes at once: {room} runs late, {} comes too", edits.len(), new.patient);
        self.commit(edits, |db| {
            db.execute("UPDATE appointments SET minutes = minutes + 5 WHERE room = ?1", [&room])?;
            db.execute("UPDATE appointments SET starts = ?2 WHERE id = ?1", (first, &starts))?;
            insert(db, number, &new)
        })?;
        Ok(Some(Deed { sql: "BEGIN … COMMIT", text }))
    }

    fn regret(&mut self, id: i64) -> Result<Deed> {
        let text = format!("cancels {id} {}, and thinks better of it", self.at(id).patient);
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        delete(&transaction, id)?;
        transaction.rollback()?;
        self.truth.rolled_back += 1;
        Ok(Deed { sql: "BEGIN … ROLLBACK", text })
    }

    /// One transaction, and the same in the clerk's memory once it is committed.
    fn commit(&mut self, edits: Vec<Edit>, work: impl FnOnce(&Transaction<'_>) -> Result<()>) -> Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&transaction)?;
        let at = Instant::now();
        transaction.commit()?;
        self.truth.transactions += 1;
        for edit in edits {
            match &edit {
                Edit::Set(id, now) => drop(self.book.insert(*id, now.clone())),
                Edit::Gone(id) => drop(self.book.remove(id)),
                Edit::Renumbered(old, new, now) => {
                    self.book.remove(old);
                    self.book.insert(*new, now.clone());
                }
            }
            self.truth.changes.push(Change { at, edit });
        }
        Ok(())
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }

    fn at(&self, id: i64) -> Appointment {
        let nobody = || Appointment {
            patient: String::new(),
            room: String::new(),
            starts: String::new(),
            minutes: 0,
            status: String::new(),
        };
        self.book.get(&id).cloned().unwrap_or_else(nobody)
    }

    /// Some appointment, in one of the usual rooms.
    fn any(&mut self, fits: impl Fn(&Appointment) -> bool) -> Option<i64> {
        self.pick(|now| now.room != ANNEX && fits(now))
    }

    fn pick(&mut self, fits: impl Fn(&Appointment) -> bool) -> Option<i64> {
        let ids: Vec<i64> = self.book.iter().filter(|(_, now)| fits(now)).map(|(id, _)| *id).collect();
        ids.get(self.rng.usize(..ids.len().max(1))).copied()
    }

    fn in_annex(&self) -> Option<i64> {
        self.book.iter().find(|(_, now)| now.room == ANNEX).map(|(id, _)| *id)
    }

    fn appointment(&mut self, room: Option<&str>) -> Appointment {
        let taken = |name: &str| self.book.values().any(|now| now.patient == name);
        let free: Vec<&str> = PATIENTS.into_iter().filter(|name| !taken(name)).collect();
        let patient = free.get(self.rng.usize(..free.len().max(1))).copied().unwrap_or("Max").to_owned();
        let room = room.or_else(|| ROOMS.get(self.rng.usize(..ROOMS.len())).copied()).unwrap_or_default().to_owned();
        let starts = self.free(&room);
        let minutes = self.rng.i64(1..=3) * 10;
        Appointment { patient, room, starts, minutes, status: "booked".to_owned() }
    }

    /// A time at which nobody is in the room.
    fn free(&mut self, room: &str) -> String {
        loop {
            let starts = format!("{:02}:{:02}", self.rng.u8(8..17), self.rng.u8(0..12) * 5);
            if !self.book.values().any(|now| now.room == room && now.starts == starts) {
                return starts;
            }
        }
    }
}

fn insert(db: &Connection, id: i64, new: &Appointment) -> Result<()> {
    db.execute(
        "INSERT INTO appointments(id, patient, room, starts, minutes, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![id, new.patient, new.room, new.starts, new.minutes, new.status],
    )
    .map(drop)
}

fn delete(db: &Connection, id: i64) -> Result<()> {
    db.execute("DELETE FROM appointments WHERE id = ?1", [id]).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_clerk_does_the_table_is_as_the_clerk_remembers_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut clerk = Clerk::open(&folder.path().join("office.db"), 7).unwrap();
        let mut done = Vec::new();
        for _ in 0..400 {
            let act = clerk.whim();
            if clerk.act(act).unwrap().is_some() && !done.contains(&act) {
                done.push(act);
            }
            assert_eq!(clerk.disagreements().unwrap(), Vec::<String>::new(), "after {act:?}");
        }
        assert_eq!(done.len(), 12, "every act was done: {done:?}");
        clerk.db.execute("UPDATE appointments SET minutes = 1", []).unwrap();
        assert!(!clerk.disagreements().unwrap().is_empty());
    }
}
