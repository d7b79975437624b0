//! What people and the agent did that is no attempt.

use rusqlite::{Connection, params};

use super::{ConnectorId, Sql, chain, connector};
use crate::clock::{self, Timestamp};
use crate::rules::chain::Body;

/// One act.
#[derive(Clone, Debug)]
pub struct Act<'a> {
    /// `system`, or the operator's user name.
    pub actor: &'a str,
    /// `retry`, `discard`, `hold`, `release`, `replay`, `pause`, `resume`, `repair`, `start`, `stop`...
    pub verb: &'a str,
    /// Which connector, if one.
    pub connector: Option<ConnectorId>,
    /// Event id, table, file: what it was done to.
    pub subject: Option<&'a str>,
    /// Why, in the operator's or the agent's words.
    pub reason: Option<&'a str>,
}

/// Records an act.
pub fn record(db: &Connection, act: &Act<'_>, now: Timestamp) -> Sql<()> {
    let name = act.connector.map(|id| connector::name(db, id)).transpose()?;
    let Act { actor, verb, .. } = *act;
    // Nothing and an empty text are one, as in a CSV file.
    let (subject, reason) = (act.subject.filter(|text| !text.is_empty()), act.reason.filter(|text| !text.is_empty()));
    let up = clock::uptime();
    let next = chain::next(db, now, up, Body::Act { actor, verb, connector: name.as_deref(), subject, reason })?;
    db.prepare_cached(
        "INSERT INTO act(n, at, actor, verb, connector, subject, reason, up, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        next.row.n,
        now.0,
        actor,
        verb,
        act.connector.map(|id| id.0),
        subject,
        reason,
        up,
        next.hash
    ])?;
    Ok(())
}

/// An act as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub verb: String,
    /// Why.
    pub reason: Option<String>,
}

const UPON: &str = "SELECT at, actor, verb, reason FROM act
    WHERE subject = ?2 AND connector = ?1 AND verb NOT IN ('park', 'gate') ORDER BY n LIMIT 1000";

/// The acts upon one event at one connector, oldest first. That it was parked shows by itself.
pub fn upon(db: &Connection, connector: ConnectorId, subject: &str) -> Sql<Vec<Recorded>> {
    db.prepare_cached(UPON)?
        .query_map((connector.0, subject), |row| {
            Ok(Recorded { at: Timestamp(row.get(0)?), actor: row.get(1)?, verb: row.get(2)?, reason: row.get(3)? })
        })?
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{State, plan};
    use super::*;

    #[test]
    fn what_was_done_to_an_event_is_found_by_the_event() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state.db")).unwrap();
        let plan = state.read(|db| Ok(plan(db, UPON))).unwrap();
        assert_eq!(plan, ["SEARCH act USING INDEX act_subject (subject=?)"]);
    }
}
