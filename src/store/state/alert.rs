//! Alerts: what is remembered of each, and what each channel must still be told.

use rusqlite::Connection;

use super::{Sql, note, set_note};
use crate::rules::alert::{Book, Condition};

/// The note's name in `meta`: the number of the last notice.
const LAST: &str = "alert/last";
/// The note's name: since when alerts are looked for here, in milliseconds.
const SINCE: &str = "alert/since";

/// Every alert that is open, or was lately. What an older or newer version has written and this one cannot read is left out.
pub fn all(db: &Connection) -> Sql<Vec<(Condition, String, Book)>> {
    let mut statement = db.prepare_cached("SELECT condition, subject, book FROM alert ORDER BY condition, subject")?;
    let read: Vec<(String, String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Sql<_>>()?;
    let known = |(condition, subject, book): (String, String, String)| {
        Some((Condition::parse(&condition)?, subject, serde_json::from_str(&book).ok()?))
    };
    Ok(read.into_iter().filter_map(known).collect())
}

/// Remembers an alert; none = forgets it.
pub fn put(db: &Connection, condition: Condition, subject: &str, book: Option<&Book>) -> Sql<()> {
    let Some(text) = book.and_then(|book| serde_json::to_string(book).ok()) else {
        db.prepare_cached("DELETE FROM alert WHERE condition = ?1 AND subject = ?2")?
            .execute((condition.as_str(), subject))?;
        return Ok(());
    };
    db.prepare_cached("INSERT OR REPLACE INTO alert(condition, subject, book) VALUES (?1, ?2, ?3)")?.execute((
        condition.as_str(),
        subject,
        text,
    ))?;
    Ok(())
}

/// A notice that a channel has not had yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The channel, by its name.
    pub channel: String,
    /// The alert: condition and subject.
    pub alert: String,
    /// Number of the notice.
    pub notice: i64,
    /// The notice as JSON.
    pub body: String,
}

/// Everything that channels must still be told, oldest first.
pub fn owed(db: &Connection) -> Sql<Vec<Owed>> {
    db.prepare_cached("SELECT channel, alert, notice, body FROM alert_owed ORDER BY notice, channel")?
        .query_map([], |row| {
            Ok(Owed { channel: row.get(0)?, alert: row.get(1)?, notice: row.get(2)?, body: row.get(3)? })
        })?
        .collect()
}

/// A channel must be told: in place of what it was not told yet of the same alert.
pub fn owe(db: &Connection, owed: &Owed) -> Sql<()> {
    db.prepare_cached("INSERT OR REPLACE INTO alert_owed(channel, alert, notice, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute((&owed.channel, &owed.alert, owed.notice, &owed.body))?;
    Ok(())
}

/// A channel has been told, or is not told any more.
pub fn told(db: &Connection, channel: &str, notice: i64) -> Sql<()> {
    db.prepare_cached("DELETE FROM alert_owed WHERE channel = ?1 AND notice = ?2")?.execute((channel, notice))?;
    Ok(())
}

/// The number of the last notice.
pub fn last(db: &Connection) -> Sql<i64> {
    Ok(note(db, LAST)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Notes the number of the last notice.
pub fn set_last(db: &Connection, notice: i64) -> Sql<()> {
    // Two writers may come in another order than they began.
    if last(db)? < notice { set_note(db, LAST, &notice.to_string()) } else { Ok(()) }
}

/// Since when alerts are looked for here, in milliseconds; noted at the first call.
pub fn since(db: &Connection, now: i64) -> Sql<i64> {
    if let Some(since) = note(db, SINCE)?.and_then(|text| text.parse().ok()) {
        return Ok(since);
    }
    set_note(db, SINCE, &now.to_string())?;
    Ok(now)
}

fn shown(connector: &str) -> String {
    format!("shown/{connector}")
}

/// Until when the certificate of a connector's target was valid when it was seen last, in milliseconds.
pub fn certificate(db: &Connection, connector: &str) -> Sql<Option<i64>> {
    Ok(note(db, &shown(connector))?.and_then(|text| text.parse().ok()))
}

/// Notes until when the certificate of a connector's target is valid.
pub fn set_certificate(db: &Connection, connector: &str, until: i64) -> Sql<()> {
    set_note(db, &shown(connector), &until.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn of_each_alert_a_channel_is_owed_the_newest_notice_and_nothing_once_it_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let make = |channel: &str, notice| Owed {
            channel: channel.to_owned(),
            alert: "oldest legacy".to_owned(),
            notice,
            body: "{}".to_owned(),
        };
        let left = state
            .commit(|db| {
                for (channel, notice) in [("mail", 1), ("hook", 1), ("mail", 2)] {
                    owe(db, &make(channel, notice))?;
                }
                // The answer to an older notice says nothing of the newer one.
                told(db, "mail", 1)?;
                told(db, "hook", 1)?;
                owed(db)
            })
            .unwrap();
        assert_eq!(left, [make("mail", 2)]);
    }
}
