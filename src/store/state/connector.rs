//! Connectors as the state file remembers them: identity, mode, breaker.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{ConnectorId, Sql};
use crate::clock::Timestamp;
use crate::rules::outcome::Reason;

/// Whether a connector delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It delivers.
    Running,
    /// A person stopped it.
    Paused,
    /// The target or its configuration is wrong for every record; probed now and then.
    Halted,
    /// It fell so far behind that capture went on without it; healed by reconcile.
    Overflowed,
}

impl Mode {
    /// The word in the file and in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Running => "running",
            Mode::Paused => "paused",
            Mode::Halted => "halted",
            Mode::Overflowed => "overflowed",
        }
    }

    fn from_str(word: &str) -> Mode {
        match word {
            "paused" => Mode::Paused,
            "halted" => Mode::Halted,
            "overflowed" => Mode::Overflowed,
            _ => Mode::Running,
        }
    }
}

/// A connector's row.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// Row number.
    pub id: ConnectorId,
    /// Name.
    pub name: String,
    /// Mode.
    pub mode: Mode,
    /// Why it is not running.
    pub reason: Option<Reason>,
    /// Since when it is in this mode.
    pub since: Option<Timestamp>,
    /// Configuration it last ran with.
    pub config_hash: Option<[u8; 32]>,
    /// Start of its last scheduled run.
    pub last_run: Option<Timestamp>,
    /// Attempt number up to which every intent has its outcome.
    pub settled: i64,
}

const COLUMNS: &str = "id, name, mode, class, reason, since, config_hash, last_run, settled";

fn row(row: &rusqlite::Row<'_>) -> Sql<Remembered> {
    let class: Option<String> = row.get(3)?;
    let text: Option<String> = row.get(4)?;
    Ok(Remembered {
        id: ConnectorId(row.get(0)?),
        name: row.get(1)?,
        mode: Mode::from_str(&row.get::<_, String>(2)?),
        reason: class.zip(text).map(|(class, text)| Reason::new(class, text)),
        since: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        config_hash: row.get(6)?,
        last_run: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        settled: row.get(8)?,
    })
}

/// All connectors, by name.
pub fn all(db: &Connection) -> Sql<Vec<Remembered>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM connector ORDER BY name"))?.query_map([], row)?.collect()
}

/// A connector by name.
pub fn find(db: &Connection, name: &str) -> Sql<Option<Remembered>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM connector WHERE name = ?1"))?.query_row([name], row).optional()
}

/// The name of a connector.
pub fn name(db: &Connection, id: ConnectorId) -> Sql<String> {
    db.prepare_cached("SELECT name FROM connector WHERE id = ?1")?.query_row([id.0], |row| row.get(0))
}

/// A connector by name, made when it is new. The flag says whether it was.
pub fn remember(db: &Connection, name: &str) -> Sql<(Remembered, bool)> {
    if let Some(known) = find(db, name)? {
        return Ok((known, false));
    }
    db.execute("INSERT INTO connector(name) VALUES (?1)", [name])?;
    find(db, name)?.map(|made| (made, true)).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// Notes the configuration that a connector runs with.
pub fn set_config(db: &Connection, id: ConnectorId, hash: &[u8; 32], text: &str) -> Sql<()> {
    db.execute("INSERT OR IGNORE INTO config(hash, text) VALUES (?1, ?2)", params![hash, text])?;
    db.execute("UPDATE connector SET config_hash = ?2 WHERE id = ?1 AND config_hash IS NOT ?2", params![id.0, hash])?;
    Ok(())
}

/// A configuration by its hash.
pub fn config(db: &Connection, hash: &[u8; 32]) -> Sql<Option<String>> {
    db.query_row("SELECT text FROM config WHERE hash = ?1", [hash], |row| row.get(0)).optional()
}

/// Sets the mode.
pub fn set_mode(db: &Connection, id: ConnectorId, mode: Mode, reason: Option<&Reason>, now: Timestamp) -> Sql<()> {
    db.execute(
        "UPDATE connector SET mode = ?2, class = ?3, reason = ?4, since = ?5 WHERE id = ?1",
        params![id.0, mode.as_str(), reason.map(|r| &*r.class), reason.map(|r| &*r.text), now.0],
    )?;
    Ok(())
}

/// Notes the start of a scheduled run.
pub fn set_last_run(db: &Connection, id: ConnectorId, at: Timestamp) -> Sql<()> {
    db.execute("UPDATE connector SET last_run = ?2 WHERE id = ?1", params![id.0, at.0])?;
    Ok(())
}

/// Notes that every intent up to attempt `n` has its outcome.
pub fn set_settled(db: &Connection, id: ConnectorId, n: i64) -> Sql<()> {
    db.prepare_cached("UPDATE connector SET settled = ?2 WHERE id = ?1 AND settled < ?2")?.execute((id.0, n))?;
    Ok(())
}

/// Notes how many records are braked, for `status`; a brake itself does not survive a restart.
pub fn set_braked(db: &Connection, id: ConnectorId, records: u64) -> Sql<()> {
    let name = format!("braked/{}", id.0);
    match records {
        0 => db.execute("DELETE FROM meta WHERE k = ?1", [name]).map(drop),
        _ => super::set_note(db, &name, &records.to_string()),
    }
}

/// How many records are braked.
pub fn braked(db: &Connection, id: ConnectorId) -> Sql<u64> {
    let noted = super::note(db, &format!("braked/{}", id.0))?;
    Ok(noted.and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn hold_name(id: ConnectorId) -> String {
    format!("hold/{}", id.0)
}

/// Notes that an endpoint asked to be left alone until a time of the steady clock (`Retry-After`).
pub fn set_hold(db: &Connection, id: ConnectorId, origin: &str, until: Timestamp) -> Sql<()> {
    super::set_note(db, &hold_name(id), &format!("{} {origin}", until.0))
}

/// Forgets that an endpoint asked to be left alone.
pub fn forget_hold(db: &Connection, id: ConnectorId) -> Sql<()> {
    db.execute("DELETE FROM meta WHERE k = ?1", [hold_name(id)]).map(drop)
}

/// Until when whatever endpoint it has last had asked to be left alone.
pub fn any_hold(db: &Connection, id: ConnectorId) -> Sql<Option<Timestamp>> {
    let noted = super::note(db, &hold_name(id))?;
    Ok(noted.as_deref().and_then(|text| text.split_once(' ')).and_then(|(until, _)| until.parse().ok()).map(Timestamp))
}

/// Until when an endpoint asked to be left alone; none when it did not, or another one did.
pub fn hold(db: &Connection, id: ConnectorId, origin: &str) -> Sql<Option<Timestamp>> {
    let noted = super::note(db, &hold_name(id))?;
    let parted = noted.as_deref().and_then(|text| text.split_once(' '));
    Ok(parted.filter(|(_, of)| *of == origin).and_then(|(until, _)| until.parse().ok()).map(Timestamp))
}

/// An open breaker, as it survives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBreaker {
    /// Since when.
    pub opened: Timestamp,
    /// When the next probe is due.
    pub next_probe: Timestamp,
    /// Probes and failures so far.
    pub failures: u32,
    /// The last failure.
    pub reason: Reason,
}

/// The open breaker of a connector's endpoint; none = closed.
pub fn breaker(db: &Connection, id: ConnectorId, origin: &str) -> Sql<Option<OpenBreaker>> {
    db.prepare_cached(
        "SELECT opened, next_probe, failures, class, reason FROM breaker WHERE connector = ?1 AND origin = ?2",
    )?
    .query_row((id.0, origin), |row| {
        Ok(OpenBreaker {
            opened: Timestamp(row.get(0)?),
            next_probe: Timestamp(row.get(1)?),
            failures: row.get(2)?,
            reason: Reason::new(row.get::<_, String>(3)?, row.get::<_, String>(4)?),
        })
    })
    .optional()
}

/// Forgets the breakers of endpoints that a connector no longer sends to; of a source (`pull ORIGIN`), those of others that it no
/// longer reads.
pub fn forget_breakers_but(db: &Connection, id: ConnectorId, origin: &str) -> Sql<()> {
    let sql = "DELETE FROM breaker
        WHERE connector = ?1 AND origin <> ?2 AND (substr(origin, 1, 5) = 'pull ') = (substr(?2, 1, 5) = 'pull ')";
    db.execute(sql, (id.0, origin))?;
    Ok(())
}

/// The open breaker of a connector, for `status`.
pub fn any_breaker(db: &Connection, id: ConnectorId) -> Sql<Option<OpenBreaker>> {
    let origin: Option<String> =
        db.query_row("SELECT origin FROM breaker WHERE connector = ?1 LIMIT 1", [id.0], |row| row.get(0)).optional()?;
    origin.map_or(Ok(None), |origin| breaker(db, id, &origin))
}

/// Stores an open breaker, or removes a closed one.
pub fn set_breaker(db: &Connection, id: ConnectorId, origin: &str, open: Option<&OpenBreaker>) -> Sql<()> {
    match open {
        Some(open) => db.execute(
            "INSERT OR REPLACE INTO breaker(connector, origin, opened, next_probe, failures, class, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                id.0,
                origin,
                open.opened.0,
                open.next_probe.0,
                open.failures,
                &*open.reason.class,
                &*open.reason.text
            ],
        )?,
        None => db.execute("DELETE FROM breaker WHERE connector = ?1 AND origin = ?2", (id.0, origin))?,
    };
    Ok(())
}
