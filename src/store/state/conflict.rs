//! The log of conflicts: what both sides of a record changed, how it was decided, and what waits for a person.
//!
//! Whoever carries out a verdict calls [`settle`] in the commit that makes the verdict true; that is all it needs to write here. It
//! asks [`resolutions`] before it decides a record, and [`resolved`] for the records in which a person has decided something since.

mod look;

pub use look::{Choice, Entry, State, Waiting, count, find, of_record, select, waiting};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{ConnectorId, Sql};
use crate::clock::Timestamp;
use crate::event::Record;
use crate::rules::conflict::{Because, Decided, Dispute, Held, Resolution, Stand, Take, Verdict};
use crate::store::image;

/// The record that a conflict is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// With whom.
    pub connector: ConnectorId,
    /// Its watched table, as the metric names it.
    pub table: &'a str,
    /// Its event type.
    pub kind: &'a str,
    /// Its key as JSON, like those of `link`: `{"id":42}`.
    pub key: &'a str,
}

/// The word in `rule` of what a person has decided and a side refuses.
const REFUSED: &str = "refused";
/// The word in `winner` of what is held.
const HELD: &str = "held";

/// What was known when a verdict was made.
#[derive(Clone, Debug, Default)]
pub struct Knowing {
    /// What a person had decided: who decides after that is heard the next time.
    pub resolved: Vec<Resolution>,
    /// Its writes are made only if the guard finds nothing: what waits because of that waits until they are made ([`let_in`]).
    pub guard_is_asked: bool,
}

/// Writes down what a verdict says of a record: what a rule has decided is logged and counted, what is held is opened (or opened
/// again, when a side has changed since a person decided), and whatever else waited of this record is no conflict any more. What
/// a person has decided stays as it is until [`carried_out`], or [`reopen`]. A verdict that says nothing costs one look-up.
pub fn settle(db: &Connection, subject: &Subject<'_>, verdict: &Verdict, knowing: &Knowing, now: Timestamp) -> Sql<()> {
    let waiting: Vec<(i64, String)> = db
        .prepare_cached(
            "SELECT id, unit FROM conflict
             WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND state IN ('open', 'resolved')
               AND NOT (?4 AND rule = 'guard')",
        )?
        .query_map((subject.connector.0, subject.kind, subject.key, knowing.guard_is_asked), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Sql<_>>()?;
    let told =
        verdict.held.iter().map(|held| &held.dispute).chain(verdict.decided.iter().map(|decided| &decided.dispute));
    let told: Vec<&str> = told.map(|dispute| dispute.unit.name()).collect();
    for (id, _) in waiting.iter().filter(|(_, unit)| !told.contains(&unit.as_str())) {
        supersede(db, *id, now)?;
    }
    // What a person has decided waits until it is carried out.
    let by_rule = verdict.decided.iter().filter(|decided| decided.because != Because::Person);
    by_rule.into_iter().try_for_each(|decided| note_decided(db, subject, decided, now).map(drop))?;
    verdict.held.iter().try_for_each(|held| hold(db, subject, held, &knowing.resolved, now).map(drop))
}

/// Logs and counts one conflict that a rule has decided. What waited for a person about the same unit is superseded. The very
/// same conflict, decided the same way once more (after a kill, say), is one. Gives its number.
pub fn note_decided(db: &Connection, subject: &Subject<'_>, decided: &Decided, now: Timestamp) -> Sql<i64> {
    let Decided { dispute, winner, because } = decided;
    let waits = waits(db, subject, dispute.unit.name())?;
    if waits.is_none()
        && let Some(id) = known(db, subject, dispute, winner.word())?
    {
        return Ok(id);
    }
    add(db, subject.table, dispute.unit.name(), winner.word())?;
    waits.map_or(Ok(()), |row| supersede(db, row.id, now))?;
    insert(db, subject, dispute, "decided", because.rule(), Some(winner.word()), &because.reason(winner), now)
}

/// What a person has decided about a unit is done, on this side at least. False when nothing of that was decided, it was done
/// already, or that person has decided otherwise meanwhile.
pub fn carried_out(db: &Connection, subject: &Subject<'_>, unit: &str, winner: &str, now: Timestamp) -> Sql<bool> {
    let changed = db
        .prepare_cached(
            "UPDATE conflict SET state = 'decided', winner = ?5, at = ?6
             WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND unit = ?4 AND state = 'resolved'
               AND take = ?5",
        )?
        .execute(params![subject.connector.0, subject.kind, subject.key, unit, winner, now.0])?;
    if changed > 0 {
        add(db, subject.table, unit, winner)?;
    }
    Ok(changed > 0)
}

/// The guard has let a record in: what waited because of it is no conflict any more.
pub fn let_in(db: &Connection, subject: &Subject<'_>, now: Timestamp) -> Sql<()> {
    db.prepare_cached(
        "UPDATE conflict SET state = 'superseded', at = ?4
         WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND state IN ('open', 'resolved') AND rule = 'guard'",
    )?
    .execute((subject.connector.0, subject.kind, subject.key, now.0))
    .map(drop)
}

/// What came of holding something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// It waits from now on.
    New,
    /// It waited already, with the same values.
    Same,
    /// It waited already; a side has changed since.
    Changed,
    /// A person had decided it, and a side has changed since: it waits again.
    Reopened,
}

/// Lets one conflict wait for a person. Gives its number, which it keeps as long as it waits. `known` = [`Knowing::resolved`].
pub fn hold(
    db: &Connection,
    subject: &Subject<'_>,
    held: &Held,
    known: &[Resolution],
    now: Timestamp,
) -> Sql<(i64, Holding)> {
    let Held { dispute, why } = held;
    let unit = dispute.unit.name();
    let Some(row) = waits(db, subject, unit)? else {
        add(db, subject.table, unit, HELD)?;
        let id = insert(db, subject, dispute, "open", why.rule(), None, &why.reason(), now)?;
        return Ok((id, Holding::New));
    };
    let same = row.local == dispute.local.seen && row.remote == dispute.remote.seen;
    let as_told = row.reason.ends_with(&why.reason()) || row.rule == REFUSED;
    // A person has decided just this, after it was looked at: the next look finds it.
    let unheard = row.take.is_some() && !known.iter().any(|known| *known.unit == *unit);
    if same && (unheard || (row.take.is_none() && as_told)) {
        return Ok((row.id, Holding::Same));
    }
    let reason = match &row.take {
        Some(_) if same => format!("what was decided does not say all of it: {}", why.reason()),
        Some(_) => format!("a side has changed since it was decided: {}", why.reason()),
        None => why.reason(),
    };
    db.prepare_cached(
        "UPDATE conflict SET state = 'open', rule = ?2, reason = ?3, at = ?4, take = NULL, value = NULL, who = NULL,
           why = NULL, resolved = NULL WHERE id = ?1",
    )?
    .execute(params![row.id, why.rule(), reason, now.0])?;
    describe(db, row.id, dispute)?;
    if row.take.is_none() {
        return Ok((row.id, Holding::Changed));
    }
    add(db, subject.table, unit, HELD)?;
    Ok((row.id, Holding::Reopened))
}

/// What a person has decided cannot be done (a side refuses it): it waits again, and `reason` says why. Never a value in it.
/// False when nothing of that was decided.
pub fn reopen(db: &Connection, subject: &Subject<'_>, unit: &str, reason: &str, now: Timestamp) -> Sql<bool> {
    let changed = db
        .prepare_cached(
            "UPDATE conflict SET state = 'open', rule = ?7, reason = ?5, at = ?6, take = NULL, value = NULL, who = NULL,
               why = NULL, resolved = NULL WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND unit = ?4 AND state = 'resolved'",
        )?
        .execute(params![subject.connector.0, subject.kind, subject.key, unit, reason, now.0, REFUSED])?;
    Ok(changed > 0)
}

/// What a person has decided about a record and is not carried out yet: for [`crate::rules::conflict::Sides::resolved`].
pub fn resolutions(db: &Connection, connector: ConnectorId, kind: &str, key: &str) -> Sql<Vec<Resolution>> {
    db.prepare_cached(
        "SELECT unit, take, value, local_seen, remote_seen FROM conflict
         WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND state = 'resolved'",
    )?
    .query_map((connector.0, kind, key), |row| {
        let take = match row.get_ref(1)?.as_str()? {
            "local" => Take::Local,
            "remote" => Take::Remote,
            _ => Take::Values(record(row, 2)?.unwrap_or_default()),
        };
        Ok(Resolution { unit: row.get::<_, String>(0)?.into(), take, local: row.get(3)?, remote: row.get(4)? })
    })?
    .collect()
}

/// One conflict of a record that waits for a person, or for what that person has decided to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The unit's name.
    pub unit: String,
    /// Why nothing decides it.
    pub rule: String,
    /// The application's values as they are noted ([`Stand::seen`]).
    pub local: [u8; 32],
    /// The other side's.
    pub remote: [u8; 32],
}

/// What waits of a record. While anything does, nothing of the record is sent.
pub fn open(db: &Connection, connector: ConnectorId, kind: &str, key: &str) -> Sql<Vec<Open>> {
    db.prepare_cached(
        "SELECT unit, rule, local_seen, remote_seen FROM conflict
         WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND state IN ('open', 'resolved') ORDER BY id",
    )?
    .query_map((connector.0, kind, key), |row| {
        Ok(Open { unit: row.get(0)?, rule: row.get(1)?, local: row.get(2)?, remote: row.get(3)? })
    })?
    .collect()
}

/// Whether anything waits of a connector's records.
pub fn any_open(db: &Connection, connector: ConnectorId) -> Sql<bool> {
    db.prepare_cached("SELECT 1 FROM conflict WHERE connector = ?1 AND state IN ('open', 'resolved')")?
        .exists([connector.0])
}

/// The records of a connector in which a person has decided something that is not carried out yet: type and key as JSON, the oldest
/// decision first, at most `limit`.
pub fn resolved(db: &Connection, connector: ConnectorId, limit: usize) -> Sql<Vec<(String, String)>> {
    db.prepare_cached(
        "SELECT kind, key FROM conflict WHERE connector = ?1 AND state = 'resolved'
         GROUP BY kind, key ORDER BY min(resolved) LIMIT ?2",
    )?
    .query_map((connector.0, i64::try_from(limit).unwrap_or(i64::MAX)), |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// A person's decision about what waits. It can be taken back by another one until it is carried out.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// What is to be taken.
    pub take: &'a Take,
    /// Who says so.
    pub who: &'a str,
    /// Why.
    pub why: Option<&'a str>,
    /// [`Entry::at`] as that person saw it; none = as it is now.
    pub seen: Option<Timestamp>,
}

/// What came of a person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It stands, to be carried out.
    Stands,
    /// There is no such conflict.
    Absent,
    /// It is in this state, and waits for nobody.
    Over(State),
    /// A side has changed since that person looked.
    Stale,
}

/// Keeps a person's decision. It is carried out by the engine, which finds it by [`resolved`].
pub fn resolve(db: &Connection, id: i64, decision: &Decision<'_>, now: Timestamp) -> Sql<Taken> {
    let Some(entry) = find(db, id)? else { return Ok(Taken::Absent) };
    if !entry.state.waits() {
        return Ok(Taken::Over(entry.state));
    }
    if decision.seen.is_some_and(|seen| seen != entry.at) {
        return Ok(Taken::Stale);
    }
    let (take, value) = match decision.take {
        Take::Local => ("local", None),
        Take::Remote => ("remote", None),
        Take::Values(values) => ("value", Some(values)),
    };
    db.prepare_cached(
        "UPDATE conflict SET state = 'resolved', take = ?2, value = ?3, who = ?4, why = ?5, resolved = ?6, at = ?6
         WHERE id = ?1",
    )?
    .execute(params![id, take, bytes(value), decision.who, decision.why, now.0])?;
    Ok(Taken::Stands)
}

/// Forgets what is over since before `cutoff`, with its values, at most so many rows. What waits is never forgotten.
pub fn forget(db: &Connection, cutoff: Timestamp, rows: usize) -> Sql<usize> {
    db.prepare_cached(
        "DELETE FROM conflict WHERE id IN (
           SELECT id FROM conflict WHERE state IN ('decided', 'superseded') AND at < ?1 ORDER BY at LIMIT ?2)",
    )?
    .execute((cutoff.0, i64::try_from(rows).unwrap_or(i64::MAX)))
}

/// Whether anything is over since before `cutoff`.
pub fn has_older(db: &Connection, cutoff: Timestamp) -> Sql<bool> {
    if !super::has_table(db, "conflict")? {
        return Ok(false);
    }
    db.prepare_cached("SELECT 1 FROM conflict WHERE state IN ('decided', 'superseded') AND at < ?1")?.exists([cutoff.0])
}

/// What waits about one unit.
struct Row {
    id: i64,
    rule: String,
    reason: String,
    local: [u8; 32],
    remote: [u8; 32],
    take: Option<String>,
}

fn waits(db: &Connection, subject: &Subject<'_>, unit: &str) -> Sql<Option<Row>> {
    db.prepare_cached(
        "SELECT id, rule, reason, local_seen, remote_seen, take FROM conflict
         WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND unit = ?4 AND state IN ('open', 'resolved')",
    )?
    .query_row((subject.connector.0, subject.kind, subject.key, unit), |row| {
        Ok(Row {
            id: row.get(0)?,
            rule: row.get(1)?,
            reason: row.get(2)?,
            local: row.get(3)?,
            remote: row.get(4)?,
            take: row.get(5)?,
        })
    })
    .optional()
}

/// The same conflict as it was decided before.
fn known(db: &Connection, subject: &Subject<'_>, dispute: &Dispute, winner: &str) -> Sql<Option<i64>> {
    let Dispute { unit, base, local, remote, .. } = dispute;
    db.prepare_cached(
        "SELECT id FROM conflict WHERE kind = ?1 AND key = ?2 AND connector = ?3 AND unit = ?4 AND state = 'decided'
           AND winner = ?5 AND local_seen = ?6 AND remote_seen = ?7 AND base IS ?8 AND local_last IS ?9 AND remote_last IS ?10",
    )?
    .query_row(
        params![
            subject.kind,
            subject.key,
            subject.connector.0,
            unit.name(),
            winner,
            local.seen,
            remote.seen,
            bytes(base.as_ref()),
            millis(local.last),
            millis(remote.last),
        ],
        |row| row.get(0),
    )
    .optional()
}

fn supersede(db: &Connection, id: i64, now: Timestamp) -> Sql<()> {
    db.prepare_cached("UPDATE conflict SET state = 'superseded', at = ?2 WHERE id = ?1")?.execute((id, now.0)).map(drop)
}

#[allow(clippy::too_many_arguments)]
fn insert(
    db: &Connection,
    subject: &Subject<'_>,
    dispute: &Dispute,
    state: &str,
    rule: &str,
    winner: Option<&str>,
    reason: &str,
    now: Timestamp,
) -> Sql<i64> {
    db.prepare_cached(
        "INSERT INTO conflict(connector, tbl, kind, key, unit, state, rule, winner, reason, since, at, by_record, local_seen,
           remote_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, 0, x'', x'')",
    )?
    .execute(params![
        subject.connector.0,
        subject.table,
        subject.kind,
        subject.key,
        dispute.unit.name(),
        state,
        rule,
        winner,
        reason,
        now.0,
    ])?;
    let id = db.last_insert_rowid();
    describe(db, id, dispute)?;
    Ok(id)
}

/// Writes down where both sides stand.
fn describe(db: &Connection, id: i64, dispute: &Dispute) -> Sql<()> {
    let Dispute { base, local, remote, .. } = dispute;
    db.prepare_cached(
        "UPDATE conflict SET base = ?2, local = ?3, remote = ?4, local_first = ?5, local_last = ?6, remote_first = ?7,
           remote_last = ?8, by_record = ?9, local_seen = ?10, remote_seen = ?11 WHERE id = ?1",
    )?
    .execute(params![
        id,
        bytes(base.as_ref()),
        bytes(local.values.as_ref()),
        bytes(remote.values.as_ref()),
        millis(local.first),
        millis(local.last),
        millis(remote.first),
        millis(remote.last),
        by_record(local, remote),
        local.seen,
        remote.seen,
    ])
    .map(drop)
}

fn add(db: &Connection, table: &str, unit: &str, winner: &str) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO conflict_count(tbl, unit, winner, n) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT(tbl, unit, winner) DO UPDATE SET n = n + 1",
    )?
    .execute((table, unit, winner))
    .map(drop)
}

fn bytes(record: Option<&Record>) -> Option<Vec<u8>> {
    record.map(image::encode_record)
}

fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| at.0)
}

fn by_record(local: &Stand, remote: &Stand) -> i64 {
    i64::from(local.by_record) | i64::from(remote.by_record) << 1
}

/// A record in a column; none = NULL.
fn record(row: &rusqlite::Row<'_>, column: usize) -> Sql<Option<Record>> {
    let Some(bytes) = row.get_ref(column)?.as_blob_or_null()? else { return Ok(None) };
    let unreadable =
        |error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error));
    image::decode_record(bytes).map(Some).map_err(unreadable)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
