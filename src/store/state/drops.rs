//! File drops: a ledger of files, the changes that each carries, its lines, and what each place has of it.
//!
//! A file is made in steps, each one durable commit: open -> cut -> rendered -> published. What a step needs was frozen by
//! the one before it, so that a crash repeats a step and never changes what it makes.

pub mod ack;
pub mod change;
pub mod member;
pub mod place;
pub mod preview;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{ConnectorId, Sql};
use crate::clock::Timestamp;
use crate::rules::outcome::Reason;

/// Row number of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub i64);

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileState {
    /// It gathers changes.
    Open,
    /// Lines, payloads and number are frozen.
    Cut,
    /// Its bytes lie in the staging folder.
    Rendered,
    /// Every place has it, or may have it.
    Published,
    /// The host has taken all of it.
    Acked,
    /// The host has taken a part of it.
    Partial,
    /// The host has taken nothing of it.
    Refused,
    /// There was nothing to send.
    Skipped,
    /// A person gave it up.
    Discarded,
    /// Its bytes and payloads are gone; the line stays.
    Purged,
}

impl FileState {
    /// All states.
    pub const ALL: [FileState; 10] = [
        FileState::Open,
        FileState::Cut,
        FileState::Rendered,
        FileState::Published,
        FileState::Acked,
        FileState::Partial,
        FileState::Refused,
        FileState::Skipped,
        FileState::Discarded,
        FileState::Purged,
    ];

    /// The word in the file and in `drop list`.
    pub fn as_str(self) -> &'static str {
        match self {
            FileState::Open => "open",
            FileState::Cut => "cut",
            FileState::Rendered => "rendered",
            FileState::Published => "published",
            FileState::Acked => "acked",
            FileState::Partial => "partial",
            FileState::Refused => "refused",
            FileState::Skipped => "skipped",
            FileState::Discarded => "discarded",
            FileState::Purged => "purged",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<FileState> {
        FileState::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// Which numbers a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Counts the drop's files; never given twice.
    pub n: u64,
    /// What the name shows.
    pub seq: u64,
    /// What the name of the file before showed; 0 for the first.
    pub prev: u64,
    /// The how many-th file of its business date, from 0.
    pub modifier: u64,
}

/// A file of a drop.
#[derive(Clone, Debug)]
pub struct DropFile {
    /// Row number.
    pub id: FileId,
    /// Whose.
    pub connector: ConnectorId,
    /// How far it is.
    pub state: FileState,
    /// Business date, `2026-03-05`.
    pub date: String,
    /// The how many-th cut of its date, from 0.
    pub nth: usize,
    /// Its numbers, from the cut on.
    pub numbers: Option<Numbers>,
    /// Part so and so of so many.
    pub part: (u64, u64),
    /// The how many-th rerun, 0 for the file itself.
    pub rerun: u64,
    /// Which file it repeats.
    pub rerun_of: Option<FileId>,
    /// The moment of its cut-off.
    pub cut_at: Timestamp,
    /// When it was cut.
    pub created: Option<Timestamp>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// What the installation was called, from the cut on.
    pub office: Option<String>,
    /// Name of its data file, from the cut on.
    pub name: Option<String>,
    /// Detail records.
    pub records: Option<u64>,
    /// Bytes of the data file.
    pub size: Option<u64>,
    /// SHA-256 of the data file.
    pub sha256: Option<[u8; 32]>,
    /// Totals of its header, trailer and control file, as JSON.
    pub totals: Option<String>,
    /// The configuration that cut it.
    pub config_hash: Option<[u8; 32]>,
    /// Why it stands still, if it does.
    pub held: Option<Reason>,
}

const COLUMNS: &str = "id, connector, state, date, nth, n, seq, prev, modifier, part, parts, rerun, rerun_of, cut_at, created, \
                       since, name, records, size, sha256, totals, config_hash, class, reason, office";

fn file(row: &Row<'_>) -> Sql<DropFile> {
    let n: Option<u64> = unsigned(row.get(5)?);
    let seq = row.get::<_, Option<i64>>(6)?;
    let (prev, modifier) = (row.get::<_, Option<i64>>(7)?, row.get::<_, i64>(8)?);
    let class: Option<String> = row.get(22)?;
    let reason: Option<String> = row.get(23)?;
    Ok(DropFile {
        id: FileId(row.get(0)?),
        connector: ConnectorId(row.get(1)?),
        state: FileState::parse(row.get_ref(2)?.as_str()?).unwrap_or(FileState::Open),
        date: row.get(3)?,
        nth: usize::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
        numbers: n.map(|n| Numbers {
            n,
            seq: unsigned(seq).unwrap_or(0),
            prev: unsigned(prev).unwrap_or(0),
            modifier: modifier.unsigned_abs(),
        }),
        part: (row.get::<_, i64>(9)?.unsigned_abs(), row.get::<_, i64>(10)?.unsigned_abs()),
        rerun: row.get::<_, i64>(11)?.unsigned_abs(),
        rerun_of: row.get::<_, Option<i64>>(12)?.map(FileId),
        cut_at: Timestamp(row.get(13)?),
        created: row.get::<_, Option<i64>>(14)?.map(Timestamp),
        since: Timestamp(row.get(15)?),
        office: row.get(24)?,
        name: row.get(16)?,
        records: unsigned(row.get(17)?),
        size: unsigned(row.get(18)?),
        sha256: row.get(19)?,
        totals: row.get(20)?,
        config_hash: row.get(21)?,
        held: class.map(|class| Reason::new(class, reason.unwrap_or_default())),
    })
}

fn unsigned(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Runs `work` so that nothing of it stays when it gives an error of its own.
pub fn or_nothing<T, E>(db: &Connection, work: impl FnOnce() -> Sql<Result<T, E>>) -> Sql<Result<T, E>> {
    db.execute_batch("SAVEPOINT attempt")?;
    let done = work()?;
    let end = if done.is_ok() { "RELEASE attempt" } else { "ROLLBACK TO attempt; RELEASE attempt" };
    db.execute_batch(end)?;
    Ok(done)
}

/// The file that gathers changes for a cut; made when there is none.
pub fn open(
    db: &Connection,
    connector: ConnectorId,
    (date, nth): (&str, usize),
    cut_at: Timestamp,
    now: Timestamp,
) -> Sql<FileId> {
    let found = db
        .prepare_cached("SELECT id FROM drop_file WHERE connector = ?1 AND state = 'open' AND rerun_of IS NULL")?
        .query_row([connector.0], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        // A cut that was merged into a later one, or begun before the clock was set, is that one's.
        db.prepare_cached("UPDATE drop_file SET date = ?2, nth = ?3, cut_at = ?4 WHERE id = ?1")?.execute(params![
            id,
            date,
            signed(nth as u64),
            cut_at.0
        ])?;
        return Ok(FileId(id));
    }
    db.prepare_cached(
        "INSERT INTO drop_file(connector, state, date, nth, cut_at, since) VALUES (?1, 'open', ?2, ?3, ?4, ?5)",
    )?
    .execute(params![connector.0, date, signed(nth as u64), cut_at.0, now.0])?;
    Ok(FileId(db.last_insert_rowid()))
}

/// What the cut fixes.
#[derive(Clone, Debug)]
pub struct Cutting<'c> {
    /// Its numbers.
    pub numbers: Numbers,
    /// What the installation is called.
    pub office: &'c str,
    /// Name of its data file.
    pub name: &'c str,
    /// Detail records.
    pub records: u64,
    /// Part so and so of so many.
    pub part: (u64, u64),
    /// The configuration that cuts it.
    pub config_hash: &'c [u8; 32],
    /// Now: the creation stamp.
    pub now: Timestamp,
}

/// Cuts a file: from here on its lines and numbers are what they are.
pub fn cut(db: &Connection, id: FileId, cutting: &Cutting<'_>) -> Sql<()> {
    let Numbers { n, seq, prev, modifier } = cutting.numbers;
    db.prepare_cached(
        "UPDATE drop_file SET state = 'cut', n = ?2, seq = ?3, prev = ?4, modifier = ?5, name = ?6, records = ?7,
           part = ?8, parts = ?9, config_hash = ?10, created = ?11, since = ?11, office = ?12, class = NULL, reason = NULL
         WHERE id = ?1",
    )?
    .execute(params![
        id.0,
        signed(n),
        signed(seq),
        signed(prev),
        signed(modifier),
        cutting.name,
        signed(cutting.records),
        signed(cutting.part.0),
        signed(cutting.part.1),
        cutting.config_hash,
        cutting.now.0,
        cutting.office,
    ])?;
    Ok(())
}

/// Notes what rendering made.
pub fn rendered(
    db: &Connection,
    id: FileId,
    (size, sha256): (u64, &[u8; 32]),
    totals: &str,
    now: Timestamp,
) -> Sql<()> {
    db.prepare_cached(
        "UPDATE drop_file SET state = 'rendered', size = ?2, sha256 = ?3, totals = ?4, since = ?5, class = NULL, reason = NULL
         WHERE id = ?1",
    )?
    .execute(params![id.0, signed(size), sha256, totals, now.0])?;
    Ok(())
}

/// Moves a file on; what it stood still for is forgotten.
pub fn set_state(db: &Connection, id: FileId, state: FileState, now: Timestamp) -> Sql<()> {
    db.prepare_cached("UPDATE drop_file SET state = ?2, since = ?3, class = NULL, reason = NULL WHERE id = ?1")?
        .execute(params![id.0, state.as_str(), now.0])?;
    Ok(())
}

/// Notes why a file stands still, or (none) that it does no more.
pub fn hold(db: &Connection, id: FileId, reason: Option<&Reason>) -> Sql<()> {
    db.prepare_cached("UPDATE drop_file SET class = ?2, reason = ?3 WHERE id = ?1")?.execute(params![
        id.0,
        reason.map(|reason| &reason.class),
        reason.map(|reason| &reason.text)
    ])?;
    Ok(())
}

/// A file by its row.
pub fn get(db: &Connection, id: FileId) -> Sql<Option<DropFile>> {
    let sql = format!("SELECT {COLUMNS} FROM drop_file WHERE id = ?1");
    db.prepare_cached(&sql)?.query_row([id.0], file).optional()
}

/// Files of a drop that are not at their end, oldest first.
pub fn under_way(db: &Connection, connector: ConnectorId) -> Sql<Vec<DropFile>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 AND state IN ('open', 'cut', 'rendered') ORDER BY id"
    );
    db.prepare_cached(&sql)?.query_map([connector.0], file)?.collect()
}

/// The newest files of a drop, newest first.
pub fn newest(db: &Connection, connector: ConnectorId, limit: usize) -> Sql<Vec<DropFile>> {
    let sql = format!("SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 ORDER BY id DESC LIMIT ?2");
    db.prepare_cached(&sql)?.query_map(params![connector.0, signed(limit as u64)], file)?.collect()
}

/// Files of a drop in a state, oldest first.
pub fn in_state(db: &Connection, connector: ConnectorId, state: FileState) -> Sql<Vec<DropFile>> {
    let sql = format!("SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 AND state = ?2 ORDER BY id");
    db.prepare_cached(&sql)?.query_map(params![connector.0, state.as_str()], file)?.collect()
}

/// Files of a drop that are in their state since before a time.
pub fn before(db: &Connection, connector: ConnectorId, time: Timestamp) -> Sql<Vec<DropFile>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 AND since < ?2 AND state <> 'purged' ORDER BY id"
    );
    db.prepare_cached(&sql)?.query_map(params![connector.0, time.0], file)?.collect()
}

/// Since when the file is in its state that is the `count`-th newest of those with a number and in one of these states; none =
/// there are fewer.
pub fn since_of_newest(
    db: &Connection,
    connector: ConnectorId,
    states: &[FileState],
    count: u64,
) -> Sql<Option<Timestamp>> {
    let words = states.iter().map(|state| format!("'{}'", state.as_str())).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT since FROM drop_file WHERE connector = ?1 AND n IS NOT NULL AND state IN ({words})
         ORDER BY since DESC, id DESC LIMIT 1 OFFSET ?2"
    );
    db.prepare_cached(&sql)?
        .query_row(params![connector.0, signed(count.saturating_sub(1))], |row| row.get(0).map(Timestamp))
        .optional()
}

/// What stands before the count of a file, which no other one has: numbers may come again.
pub const COUNT: &str = "file:";

/// The files that a number, a date, a name or a count (`file:4`) means: the newest first.
pub fn meant(db: &Connection, connector: ConnectorId, which: &str) -> Sql<Vec<DropFile>> {
    let number = which.parse::<i64>().ok();
    let count = which.strip_prefix(COUNT).and_then(|count| count.parse::<i64>().ok());
    let sql = format!(
        "SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 AND state <> 'open'
           AND (seq = ?2 OR date = ?3 OR name = ?3 OR n = ?4) ORDER BY id DESC"
    );
    db.prepare_cached(&sql)?.query_map(params![connector.0, number, which, count], file)?.collect()
}

/// The file that has a number since the numbers last began anew; none = it is free.
pub fn lap_has(db: &Connection, connector: ConnectorId, seq: u64) -> Sql<Option<DropFile>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 AND seq = ?2 AND n >
           ifnull((SELECT max(earlier.n) FROM drop_file AS earlier JOIN drop_file AS later
                   ON later.connector = ?1 AND later.n = earlier.n + 1
                   WHERE earlier.connector = ?1 AND later.seq <= earlier.seq), 0)
         ORDER BY n DESC LIMIT 1"
    );
    db.prepare_cached(&sql)?.query_row(params![connector.0, signed(seq)], file).optional()
}

/// The last cut that was made, whether or not it gave a file: business date and the how many-th of it.
pub fn last_cut(db: &Connection, connector: ConnectorId) -> Sql<Option<(String, usize)>> {
    db.prepare_cached(
        "SELECT date, nth FROM drop_file WHERE connector = ?1 AND state <> 'open' AND rerun_of IS NULL
         ORDER BY date DESC, nth DESC LIMIT 1",
    )?
    .query_row([connector.0], |row| Ok((row.get(0)?, usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0))))
    .optional()
}

/// The file with the highest count: what the next number follows.
pub fn last_numbered(db: &Connection, connector: ConnectorId) -> Sql<Option<DropFile>> {
    let sql = format!("SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 AND n IS NOT NULL ORDER BY n DESC LIMIT 1");
    db.prepare_cached(&sql)?.query_row([connector.0], file).optional()
}

/// The newest file that is published, or was answered.
pub fn last_published(db: &Connection, connector: ConnectorId) -> Sql<Option<DropFile>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM drop_file
         WHERE connector = ?1 AND state IN ('published', 'acked', 'partial', 'refused', 'purged') AND rerun_of IS NULL
         ORDER BY n DESC LIMIT 1"
    );
    db.prepare_cached(&sql)?.query_row([connector.0], file).optional()
}

/// Files of which nobody can say whether an outlet has them.
pub fn unverified(db: &Connection, connector: ConnectorId) -> Sql<Vec<DropFile>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM drop_file WHERE connector = ?1 AND state <> 'purged'
           AND EXISTS (SELECT 1 FROM drop_place WHERE file = drop_file.id AND state = 'unverified') ORDER BY id"
    );
    db.prepare_cached(&sql)?.query_map([connector.0], file)?.collect()
}

/// How many files of a business date have a number.
pub fn numbered_on(db: &Connection, connector: ConnectorId, date: &str) -> Sql<u64> {
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM drop_file WHERE connector = ?1 AND date = ?2 AND n IS NOT NULL")?
        .query_row(params![connector.0, date], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Begins a further file of the same cut (a part, or a rerun of another file).
pub fn begin_beside(
    db: &Connection,
    of: &DropFile,
    rerun_of: Option<FileId>,
    rerun: u64,
    now: Timestamp,
) -> Sql<FileId> {
    db.prepare_cached(
        "INSERT INTO drop_file(connector, state, date, nth, cut_at, since, rerun, rerun_of)
         VALUES (?1, 'open', ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        of.connector.0,
        of.date,
        signed(of.nth as u64),
        of.cut_at.0,
        now.0,
        signed(rerun),
        rerun_of.map(|id| id.0)
    ])?;
    Ok(FileId(db.last_insert_rowid()))
}

/// Takes a file without a line back.
pub fn remove_empty(db: &Connection, id: FileId) -> Sql<()> {
    db.execute("DELETE FROM drop_file WHERE id = ?1 AND state = 'open'", [id.0])?;
    Ok(())
}

/// How many reruns a file has had.
pub fn reruns(db: &Connection, of: FileId) -> Sql<u64> {
    let count: i64 = db
        .prepare_cached("SELECT ifnull(max(rerun), 0) FROM drop_file WHERE rerun_of = ?1")?
        .query_row([of.0], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Files of a drop by state.
pub fn counts(db: &Connection, connector: ConnectorId) -> Sql<Vec<(FileState, u64)>> {
    db.prepare_cached("SELECT state, count(*) FROM drop_file WHERE connector = ?1 GROUP BY state")?
        .query_map([connector.0], |row| {
            let state = FileState::parse(row.get_ref(0)?.as_str()?).unwrap_or(FileState::Open);
            Ok((state, row.get::<_, i64>(1)?.unsigned_abs()))
        })?
        .collect()
}

#[cfg(test)]
mod tests;
