//! How fast a connector has delivered in the last hour, and what went wrong last.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{ConnectorId, Sql, has_table};
use crate::clock::Timestamp;
use crate::rules::outcome::Reason;

/// Minutes that are kept.
pub const MINUTES: usize = 60;

const MINUTE: i64 = 60_000;

/// The last hour, minute by minute, oldest first; the last one is the minute that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Delivered.
    pub delivered: [u64; MINUTES],
    /// Attempts that failed, and what was held or refused.
    pub failed: [u64; MINUTES],
    /// When it last delivered; also when that is longer ago.
    pub last: Option<Timestamp>,
}

/// Adds what came of some deliveries.
pub fn add(db: &Connection, connector: ConnectorId, delivered: u64, failed: u64, now: Timestamp) -> Sql<()> {
    if delivered + failed == 0 {
        return Ok(());
    }
    let minute = now.0.div_euclid(MINUTE);
    let last = (delivered > 0).then_some(now.0);
    db.prepare_cached(
        "INSERT INTO pace(connector, slot, minute, delivered, failed, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT(connector, slot) DO UPDATE SET
           delivered = iif(minute = excluded.minute, delivered, 0) + excluded.delivered,
           failed = iif(minute = excluded.minute, failed, 0) + excluded.failed,
           last = ifnull(excluded.last, last), minute = excluded.minute",
    )?
    .execute(params![
        connector.0,
        minute.rem_euclid(MINUTES as i64),
        minute,
        i64::try_from(delivered).unwrap_or(i64::MAX),
        i64::try_from(failed).unwrap_or(i64::MAX),
        last
    ])?;
    Ok(())
}

/// The hour up to `now`.
pub fn hour(db: &Connection, connector: ConnectorId, now: Timestamp) -> Sql<Hour> {
    let mut hour = Hour { delivered: [0; MINUTES], failed: [0; MINUTES], last: None };
    if !has_table(db, "pace")? {
        return Ok(hour);
    }
    let newest = now.0.div_euclid(MINUTE);
    let mut statement =
        db.prepare_cached("SELECT minute, delivered, failed, last FROM pace WHERE connector = ?1 ORDER BY minute")?;
    let mut rows = statement.query([connector.0])?;
    while let Some(row) = rows.next()? {
        hour.last = hour.last.max(row.get::<_, Option<i64>>(3)?.map(Timestamp));
        let ago = newest.saturating_sub(row.get(0)?);
        let at = usize::try_from(ago).ok().and_then(|ago| (MINUTES - 1).checked_sub(ago));
        if let Some((delivered, failed)) =
            at.and_then(|at| Some((hour.delivered.get_mut(at)?, hour.failed.get_mut(at)?)))
        {
            *delivered = row.get::<_, i64>(1)?.unsigned_abs();
            *failed = row.get::<_, i64>(2)?.unsigned_abs();
        }
    }
    Ok(hour)
}

/// Notes what went wrong.
pub fn note_mishap(db: &Connection, connector: ConnectorId, reason: &Reason, now: Timestamp) -> Sql<()> {
    db.prepare_cached("INSERT OR REPLACE INTO mishap(connector, at, class, reason) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![connector.0, now.0, &*reason.class, &*reason.text])?;
    Ok(())
}

/// What went wrong last, and when.
pub fn mishap(db: &Connection, connector: ConnectorId) -> Sql<Option<(Timestamp, Reason)>> {
    if !has_table(db, "mishap")? {
        return Ok(None);
    }
    db.prepare_cached("SELECT at, class, reason FROM mishap WHERE connector = ?1")?
        .query_row([connector.0], |row| {
            Ok((Timestamp(row.get(0)?), Reason::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?)))
        })
        .optional()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{State, connector};
    use super::*;

    #[test]
    fn a_minute_is_a_place_of_sixty_that_is_used_again_and_the_last_delivery_stays_known() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let at = |minute: i64| Timestamp(1_800_000_000_000 + minute * MINUTE);
        state
            .commit(|db| {
                let id = connector::remember(db, "vista")?.0.id;
                add(db, id, 2, 0, at(0))?;
                add(db, id, 1, 3, at(0).plus(std::time::Duration::from_secs(20)))?;
                add(db, id, 5, 0, at(10))?;
                let seen = hour(db, id, at(10))?;
                assert_eq!((seen.delivered[59], seen.delivered[49], seen.failed[49]), (5, 3, 3));
                assert_eq!(seen.last, Some(at(10)));
                let later = hour(db, id, at(69))?;
                assert_eq!((later.delivered[0], later.delivered.iter().sum::<u64>()), (5, 5));
                assert_eq!(hour(db, id, at(70))?.delivered, [0; MINUTES]);
                assert_eq!(hour(db, id, at(7000))?.last, Some(at(10)), "however long ago");
                add(db, id, 0, 1, at(70))?;
                let reused = hour(db, id, at(70))?;
                assert_eq!((reused.delivered[59], reused.failed[59], reused.last), (0, 1, Some(at(10))));
                // A clock that was set back shows no future.
                assert_eq!(hour(db, id, at(-5))?.delivered, [0; MINUTES]);
                assert_eq!(mishap(db, id)?, None);
                note_mishap(db, id, &Reason::new("http-503", "503"), at(1))?;
                note_mishap(db, id, &Reason::new("connect", "refused"), at(2))?;
                assert_eq!(mishap(db, id)?, Some((at(2), Reason::new("connect", "refused"))));
                Ok(())
            })
            .unwrap();
    }
}
