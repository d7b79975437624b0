//! The chain of attempts and acts: its head, its next row, its rows in order, and how it began.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Sql;
use crate::clock::{self, Timestamp};
use crate::rules::chain::{BEGINNING, Body, Hash, Row, link};

/// The last row of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub n: i64,
    /// Its hash.
    pub hash: Hash,
}

/// A row with the hash that it gets.
pub(super) struct Next<'a> {
    pub(super) row: Row<'a>,
    pub(super) hash: Hash,
}

/// A row as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Its number.
    pub n: i64,
    /// Its bytes, as `Row::write` writes them.
    pub bytes: &'a [u8],
    /// Its hash as it is stored; none = it has none, or one of another length.
    pub hash: Option<Hash>,
    /// The positions that it is found by; none for an act.
    pub span: Option<(i64, i64)>,
}

/// Nothing is written over, taken out or put in between. What is sealed in the archive may leave.
const TRIGGERS: &str = "
CREATE TRIGGER attempt_keep BEFORE UPDATE ON attempt BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END;
CREATE TRIGGER attempt_stay BEFORE DELETE ON attempt
  WHEN OLD.n > ifnull((SELECT CAST(v AS INTEGER) FROM meta WHERE k = 'sealed'), -1)
  BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END;
CREATE TRIGGER attempt_last BEFORE INSERT ON attempt WHEN NEW.n <= (SELECT max(n) FROM attempt)
  BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END;
CREATE TRIGGER act_keep BEFORE UPDATE ON act BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END;
CREATE TRIGGER act_stay BEFORE DELETE ON act
  WHEN OLD.n > ifnull((SELECT CAST(v AS INTEGER) FROM meta WHERE k = 'sealed'), -1)
  BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END;
CREATE TRIGGER act_last BEFORE INSERT ON act WHEN NEW.n <= (SELECT max(n) FROM act)
  BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END;";

/// The verb of row 0.
pub const BEGIN: &str = "begin";

/// The last row. The newest row never leaves the file, so there is always one.
pub fn head(db: &Connection) -> Sql<Head> {
    let last = |sql: &str| {
        let head = |row: &rusqlite::Row<'_>| Ok(Head { n: row.get(0)?, hash: row.get(1)? });
        db.prepare_cached(sql)?.query_row([], head).optional()
    };
    let attempt = last("SELECT n, hash FROM attempt ORDER BY n DESC LIMIT 1")?;
    let act = last("SELECT n, hash FROM act ORDER BY n DESC LIMIT 1")?;
    attempt.into_iter().chain(act).max_by_key(|head| head.n).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The row that comes next.
pub(super) fn next<'a>(db: &Connection, at: Timestamp, up: i64, body: Body<'a>) -> Sql<Next<'a>> {
    let head = head(db)?;
    let row = Row { n: head.n + 1, at, up: Some(up), body };
    let mut bytes = Vec::new();
    row.write(&mut bytes);
    let hash = link(&head.hash, &bytes);
    Ok(Next { row, hash })
}

const ATTEMPTS: &str =
    "SELECT a.n, a.at, a.up, a.phase, ifnull(c.name, ''), ifnull(l.name, ''), a.origin, a.config_hash, a.kinds,
      a.entries, a.hash, a.first_seq, a.last_seq
    FROM attempt AS a LEFT JOIN connector AS c ON c.id = a.connector LEFT JOIN log AS l ON l.id = a.log
    WHERE a.n > ?1 ORDER BY a.n";

const ACTS: &str = "SELECT a.n, a.at, a.up, a.actor, a.verb,
      CASE WHEN a.connector IS NOT NULL THEN ifnull(c.name, '') END, a.subject, a.reason, a.hash
    FROM act AS a LEFT JOIN connector AS c ON c.id = a.connector
    WHERE a.n > ?1 ORDER BY a.n";

/// Gives the rows after number `after` in order, until `each` says that it has enough.
pub fn rows(db: &Connection, after: i64, mut each: impl FnMut(Stored<'_>) -> bool) -> Sql<()> {
    let (mut attempts, mut acts) = (db.prepare_cached(ATTEMPTS)?, db.prepare_cached(ACTS)?);
    let (mut attempts, mut acts) = (attempts.query([after])?, acts.query([after])?);
    let (mut attempt, mut act) = (attempts.next()?, acts.next()?);
    let mut bytes = Vec::new();
    loop {
        let number = |row: Option<&rusqlite::Row<'_>>| row.map(|row| row.get::<_, i64>(0)).transpose();
        let more = match (number(attempt)?, number(act)?) {
            (None, None) => return Ok(()),
            (Some(n), other) if other.is_none_or(|other| n < other) => {
                let Some(row) = attempt else { return Ok(()) };
                let stored = of_attempt(row, &mut bytes)?;
                let more = each(stored);
                attempt = attempts.next()?;
                more
            }
            _ => {
                let Some(row) = act else { return Ok(()) };
                let stored = of_act(row, &mut bytes)?;
                let more = each(stored);
                act = acts.next()?;
                more
            }
        };
        if !more {
            return Ok(());
        }
    }
}

fn of_attempt<'a>(row: &rusqlite::Row<'_>, bytes: &'a mut Vec<u8>) -> Sql<Stored<'a>> {
    let n = row.get(0)?;
    let (connector, log) = (row.get_ref(4)?.as_str()?, row.get_ref(5)?.as_str()?);
    let entries = row.get_ref(9)?.as_blob()?;
    let body = match row.get_ref(3)?.as_str()? {
        "intent" => Body::Intents {
            connector,
            log,
            origin: row.get_ref(6)?.as_str_or_null()?,
            config: row.get_ref(7)?.as_blob_or_null()?,
            kinds: row.get_ref(8)?.as_str_or_null()?,
            entries,
        },
        _ => Body::Outcomes { connector, log, entries },
    };
    Row { n, at: Timestamp(row.get(1)?), up: row.get(2)?, body }.write(bytes);
    Ok(Stored { n, bytes, hash: hash(row, 10)?, span: Some((row.get(11)?, row.get(12)?)) })
}

fn of_act<'a>(row: &rusqlite::Row<'_>, bytes: &'a mut Vec<u8>) -> Sql<Stored<'a>> {
    let n = row.get(0)?;
    let body = Body::Act {
        actor: row.get_ref(3)?.as_str()?,
        verb: row.get_ref(4)?.as_str()?,
        connector: row.get_ref(5)?.as_str_or_null()?,
        subject: row.get_ref(6)?.as_str_or_null()?,
        reason: row.get_ref(7)?.as_str_or_null()?,
    };
    Row { n, at: Timestamp(row.get(1)?), up: row.get(2)?, body }.write(bytes);
    Ok(Stored { n, bytes, hash: hash(row, 8)?, span: None })
}

fn hash(row: &rusqlite::Row<'_>, column: usize) -> Sql<Option<Hash>> {
    Ok(row.get_ref(column)?.as_blob_or_null()?.and_then(|hash| hash.try_into().ok()))
}

/// Begins the chain: its row 0, and behind it what was recorded before there was one, as it is found now: attempts under
/// their numbers, and behind them acts, which had numbers of their own.
pub(super) fn begin(db: &Connection, now: Timestamp) -> Sql<()> {
    db.execute_batch("DROP TRIGGER attempt_keep; UPDATE act SET n = -n")?;
    let last: i64 = db.query_row("SELECT ifnull(max(n), 0) FROM attempt", [], |row| row.get(0))?;
    db.execute("UPDATE act SET n = ?1 - n", [last])?;
    let end: i64 = db.query_row("SELECT max(?1, ifnull((SELECT max(n) FROM act), 0))", [last], |row| row.get(0))?;
    let reason = match end {
        0 => "nothing was recorded before".to_owned(),
        _ => format!("records 1 to {end} were made before there was a chain and are chained as they were found"),
    };
    let up = clock::uptime();
    let body = Body::Act { actor: "system", verb: BEGIN, connector: None, subject: None, reason: Some(&reason) };
    let mut bytes = Vec::new();
    Row { n: 0, at: now, up: Some(up), body }.write(&mut bytes);
    let mut hash = link(&BEGINNING, &bytes);
    db.execute(
        "INSERT INTO act(n, at, actor, verb, reason, up, hash) VALUES (0, ?1, 'system', ?2, ?3, ?4, ?5)",
        params![now.0, BEGIN, reason, up, hash],
    )?;
    let mut hashes = Vec::new();
    rows(db, 0, |stored| {
        hash = link(&hash, stored.bytes);
        hashes.push((stored.n, hash, stored.span.is_some()));
        true
    })?;
    for (n, hash, attempt) in hashes {
        let sql =
            if attempt { "UPDATE attempt SET hash = ?2 WHERE n = ?1" } else { "UPDATE act SET hash = ?2 WHERE n = ?1" };
        db.prepare_cached(sql)?.execute((n, hash))?;
    }
    db.execute_batch(TRIGGERS)
}

/// The hash of a row that is still here.
pub fn hash_of(db: &Connection, n: i64) -> Sql<Option<Hash>> {
    db.prepare_cached("SELECT hash FROM attempt WHERE n = ?1 UNION ALL SELECT hash FROM act WHERE n = ?1")?
        .query_row([n], |row| row.get(0))
        .optional()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::State;
    use super::super::act::{self, Act};
    use super::*;

    fn act(db: &Connection, reason: &str) -> Sql<()> {
        let act = Act { actor: "ada", verb: "retry", connector: None, subject: Some("x"), reason: Some(reason) };
        act::record(db, &act, Timestamp(7))
    }

    #[test]
    fn rows_are_numbered_on_and_each_holds_the_hash_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state.commit(|db| (0..5).try_for_each(|n| act(db, &n.to_string()))).unwrap();
        let (mut before, mut numbers) = (BEGINNING, Vec::new());
        state
            .read(|db| {
                rows(db, -1, |stored| {
                    before = link(&before, stored.bytes);
                    assert_eq!(stored.hash, Some(before));
                    numbers.push(stored.n);
                    true
                })
            })
            .unwrap();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        assert_eq!(state.read(head).unwrap(), Head { n: 5, hash: before });
        assert_eq!(state.read(|db| hash_of(db, 5)).unwrap(), Some(before));
    }

    #[test]
    fn a_row_refused_by_its_transaction_leaves_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let failed = state.commit(|db| {
            act(db, "lost")?;
            db.execute("INSERT INTO nowhere VALUES (1)", [])
        });
        assert!(failed.is_err());
        state.commit(|db| act(db, "kept")).unwrap();
        assert_eq!(state.read(head).unwrap().n, 1);
    }
}
