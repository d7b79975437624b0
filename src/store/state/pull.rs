//! What is remembered of pulling: how far it has come, what both sides agreed on, and what stands aside.

pub mod base;
pub mod change;
pub mod item;
pub mod lately;
pub mod sent;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::connector::{self, Mode};
use super::{ConnectorId, Sql, conflict, cursor, parked};
use crate::clock::{self, Timestamp};

/// Whether both sides of a connector were ever compared as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Never.
    None,
    /// They were, in a log that is another now: nothing counts of it.
    Doubted,
    /// A person has said what is to be done where they differ: it is done with the next run.
    Asked(First),
    /// They were.
    Made,
}

/// What is done at the first contact where both sides have a record and it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum First {
    /// The application's values go to the other side.
    Local,
    /// The other side's values come in.
    Remote,
    /// The rules for conflicts decide.
    Rules,
}

impl First {
    /// The word of the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            First::Local => "local",
            First::Remote => "remote",
            First::Rules => "rules",
        }
    }
}

impl Contact {
    fn as_str(self) -> &'static str {
        match self {
            Contact::None => "none",
            Contact::Doubted => "doubted",
            Contact::Asked(first) => first.as_str(),
            Contact::Made => "made",
        }
    }

    fn from_str(word: &str) -> Contact {
        match word {
            "made" => Contact::Made,
            "doubted" => Contact::Doubted,
            "local" => Contact::Asked(First::Local),
            "remote" => Contact::Asked(First::Remote),
            "rules" => Contact::Asked(First::Rules),
            _ => Contact::None,
        }
    }
}

/// What is told of a pull, and what is asked for next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Book {
    /// When a run came to its end and had changed something.
    pub last: Option<i64>,
    /// When the cursor moved last.
    pub moved: Option<i64>,
    /// Records written into the application's table so far.
    pub applied: u64,
    /// When everything was read last.
    pub whole: Option<i64>,
    /// What the last answer to a first page was known by.
    pub validator: Option<String>,
    /// The last measures of how far the other side's clock is ahead, in milliseconds, oldest first.
    pub ahead: Vec<i64>,
    /// One of the two clocks was set: times up to there, by ours, decide nothing.
    pub doubted: Option<i64>,
    /// The connector sends too; none = not known.
    pub both_ways: Option<bool>,
    /// A source that fails is left alone until then, by a new process too; none = it works, or a person has to mend something.
    pub until: Option<i64>,
    /// So many records are missing where everything was read, more than may be deleted unasked: a person must agree.
    pub missing: Option<u64>,
    /// A person has agreed.
    pub agreed: bool,
}

/// How the pull of a connector stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The number of its last page.
    pub n: i64,
    /// The name of the log of its table.
    pub log: String,
    /// The epoch of that log, as it was seen last.
    pub epoch: Option<String>,
    /// Up to where changes of the table are noted.
    pub noted: i64,
    /// Whether both sides were compared.
    pub contact: Contact,
    /// What is told of it.
    pub book: Book,
}

/// How the pull of a connector stands; none = it never ran.
pub fn get(db: &Connection, of: ConnectorId) -> Sql<Option<Pull>> {
    if !super::has_table(db, "pull")? {
        return Ok(None);
    }
    let sql = "SELECT n, log, epoch, noted, contact, book FROM pull WHERE connector = ?1";
    db.prepare_cached(sql)?
        .query_row([of.0], |row| {
            let book: String = row.get(5)?;
            Ok(Pull {
                n: row.get(0)?,
                log: row.get(1)?,
                epoch: row.get(2)?,
                noted: row.get(3)?,
                contact: Contact::from_str(&row.get::<_, String>(4)?),
                book: serde_json::from_str(&book).unwrap_or_default(),
            })
        })
        .optional()
}

/// Begins the pull of a connector in a log, at a position of it. One that has begun stays as it is.
pub fn begin(db: &Connection, of: ConnectorId, log: &str, epoch: &str, noted: i64) -> Sql<()> {
    // A person may have said how both sides meet before they first did.
    let sql = "INSERT INTO pull(connector, log, epoch, noted) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT DO UPDATE SET log = excluded.log, epoch = excluded.epoch, noted = excluded.noted WHERE epoch IS NULL";
    db.prepare_cached(sql)?.execute(params![of.0, log, epoch, noted]).map(drop)
}

/// Begins anew: the log is another one than what is remembered was agreed in. Nothing is agreed any more.
pub fn begin_anew(db: &Connection, of: ConnectorId, log: &str, epoch: &str, noted: i64) -> Sql<()> {
    for table in ["pull_base", "pull_change", "pull_sent", "pull_plan"] {
        db.execute(&format!("DELETE FROM {table} WHERE connector = ?1"), [of.0])?;
    }
    lately::forget_all(db, of)?;
    let sql = "UPDATE pull SET log = ?2, epoch = ?3, noted = ?4, contact = 'doubted' WHERE connector = ?1";
    db.execute(sql, params![of.0, log, epoch, noted]).map(drop)
}

/// Notes which ways a connector's records go. One that only reads holds nothing back in a log. One that has only read and now
/// sends too may have changes of the application that the other side never heard of: both sides are compared first.
pub fn set_ways(db: &Connection, of: ConnectorId, both: bool) -> Sql<()> {
    let Some(pull) = get(db, of)? else { return Ok(()) };
    let before = pull.book.both_ways;
    if !both && before != Some(false) {
        cursor::forget(db, of)?;
        parked::hold_waiting(db, of, clock::now())?;
        connector::forget_breakers_but(db, of, "")?;
        let known = connector::all(db)?.into_iter().find(|known| known.id == of);
        if known.is_some_and(|known| known.mode != Mode::Paused && known.mode != Mode::Running) {
            connector::set_mode(db, of, Mode::Running, None, clock::now())?;
        }
    }
    if both && before == Some(false) {
        parked::release_classes(db, of, &[parked::ONLY_READS], clock::now())?;
        if any(db, of)?.changes {
            set_contact(db, of, Contact::Doubted)?;
        }
    }
    if before != Some(both) {
        set_book(db, of, &Book { both_ways: Some(both), ..pull.book })?;
    }
    Ok(())
}

/// Of which kinds anything is remembered of a connector: mostly of none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Any {
    /// Changes of the application that are not agreed on.
    pub changes: bool,
    /// Records that were sent and not seen again.
    pub sent: bool,
    /// Items that stand aside.
    pub aside: bool,
    /// Conflicts that wait for a person.
    pub conflicts: bool,
    /// Records that have crossed more than once lately.
    pub crossings: bool,
}

/// Looks whether there are any.
pub fn any(db: &Connection, of: ConnectorId) -> Sql<Any> {
    let exists = |table: &str| {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE connector = ?1)");
        db.prepare_cached(&sql)?.query_row([of.0], |row| row.get(0))
    };
    Ok(Any {
        changes: exists("pull_change")?,
        sent: exists("pull_sent")?,
        aside: exists("pull_item")?,
        conflicts: conflict::any_open(db, of)?,
        crossings: lately::any(db, of, lately::Lately::Crossed)?,
    })
}

/// Notes whether both sides were compared.
pub fn set_contact(db: &Connection, of: ConnectorId, contact: Contact) -> Sql<()> {
    db.execute("UPDATE pull SET contact = ?2 WHERE connector = ?1", params![of.0, contact.as_str()]).map(drop)
}

/// A person has said how both sides meet.
pub fn meet(db: &Connection, of: ConnectorId, how: First) -> Sql<()> {
    db.execute("INSERT OR IGNORE INTO pull(connector, log) VALUES (?1, '')", [of.0])?;
    set_contact(db, of, Contact::Asked(how))
}

/// Notes what is told of it.
pub fn set_book(db: &Connection, of: ConnectorId, book: &Book) -> Sql<()> {
    let text = serde_json::to_string(book).unwrap_or_default();
    db.prepare_cached("UPDATE pull SET book = ?2 WHERE connector = ?1")?.execute(params![of.0, text]).map(drop)
}

/// Takes down a page that is about to be applied, under its number.
pub fn plan(db: &Connection, of: ConnectorId, n: i64, plan: &[u8]) -> Sql<()> {
    db.prepare_cached("UPDATE pull SET n = ?2 WHERE connector = ?1")?.execute([of.0, n])?;
    db.prepare_cached("INSERT OR REPLACE INTO pull_plan(connector, n, plan) VALUES (?1, ?2, ?3)")?
        .execute(params![of.0, n, plan])
        .map(drop)
}

/// The page that was taken down and is not finished: its number and plan.
pub fn planned(db: &Connection, of: ConnectorId) -> Sql<Option<(i64, Vec<u8>)>> {
    db.prepare_cached("SELECT n, plan FROM pull_plan WHERE connector = ?1")?
        .query_row([of.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// The page is finished.
pub fn finish(db: &Connection, of: ConnectorId) -> Sql<()> {
    db.prepare_cached("DELETE FROM pull_plan WHERE connector = ?1")?.execute([of.0]).map(drop)
}

/// Of the two sides of a connector: how many records agree, were deleted on both sides, and stand aside by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that both sides have agreed on.
    pub agreed: u64,
    /// Items that stand aside: state and how many.
    pub aside: Vec<(String, u64)>,
}

/// Counts them.
pub fn counts(db: &Connection, of: ConnectorId) -> Sql<Counts> {
    let agreed = "SELECT count(*) FROM pull_base WHERE connector = ?1 AND local IS NOT NULL";
    let aside = "SELECT state, count(*) FROM pull_item WHERE connector = ?1 GROUP BY state ORDER BY state";
    Ok(Counts {
        agreed: db.prepare_cached(agreed)?.query_row([of.0], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))?,
        aside: db
            .prepare_cached(aside)?
            .query_map([of.0], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
            .collect::<Sql<_>>()?,
    })
}

/// Tombstones and what was sent are kept for so long. What happened lately is late after what was sent.
pub fn tidy(db: &Connection, of: ConnectorId, tombstones: Timestamp, sent: Timestamp) -> Sql<()> {
    let sql = "DELETE FROM pull_base WHERE connector = ?1 AND local IS NULL AND there IS NULL AND at < ?2";
    db.prepare_cached(sql)?.execute([of.0, tombstones.0])?;
    db.prepare_cached("DELETE FROM pull_sent WHERE connector = ?1 AND at < ?2")?.execute([of.0, sent.0])?;
    lately::tidy(db, of, sent)
}
