//! What the state file knows of the time: when the clock was last believed, since when it is odd, and the times of the
//! attempts that count.

use rusqlite::Connection;

use super::{Sql, attempt, note, set_note};
use crate::clock::{self, Timestamp};
use crate::rules::clock::{Known, Note, to_note};

/// The note's name in `meta`. Its text: when the clock was last believed, since when it is odd (both in milliseconds of the
/// clock itself, or `-`), and the attempt number up to which recorded times count no more.
const NAME: &str = "clock";

/// What the note says.
#[derive(Clone, Copy, Default)]
struct Noted {
    believed: Option<Timestamp>,
    odd_since: Option<Timestamp>,
    overruled: i64,
}

fn noted(db: &Connection) -> Sql<Noted> {
    let text = note(db, NAME)?.unwrap_or_default();
    let mut words = text.split(' ').map(|word| word.parse::<i64>().ok());
    let mut next = || words.next().flatten();
    let (believed, odd_since) = (next().map(Timestamp), next().map(Timestamp));
    Ok(Noted { believed, odd_since, overruled: next().unwrap_or(0) })
}

/// All that is known of the time beside the clock. Of the attempts the last hundred count: a clock that was set back is
/// told from them also when it has written a few lines already.
pub fn known(db: &Connection) -> Sql<Known> {
    let Noted { believed, odd_since, overruled } = noted(db)?;
    let sql = "SELECT max(at) FROM (SELECT at FROM attempt WHERE n > ?1 ORDER BY n DESC LIMIT 100)";
    let last = db.prepare_cached(sql)?.query_row([overruled], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp);
    Ok(Known { built: clock::BUILT, last, believed, odd_since, vouched: clock::vouched() })
}

/// Notes what is to be noted of the clock at this time, if anything.
pub fn keep(db: &Connection, now: Timestamp) -> Sql<()> {
    let mut noted = noted(db)?;
    match to_note(now, &known(db)?) {
        None => return Ok(()),
        Some(Note::Odd) => noted.odd_since = Some(now),
        Some(Note::Believed { overrules }) => {
            (noted.believed, noted.odd_since) = (Some(now), None);
            if overrules {
                noted.overruled = attempt::last(db)?;
            }
        }
    }
    let word = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.0.to_string());
    set_note(db, NAME, &format!("{} {} {}", word(noted.believed), word(noted.odd_since), noted.overruled))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::super::{State, connector, log};
    use super::*;
    use crate::event::EventId;
    use crate::rules::clock::{SETTLED, doubt, is_far_ahead};
    use crate::store::state::attempt::{Settled, Word, settle};

    fn sent(db: &Connection, at: Timestamp) -> Sql<()> {
        let id = EventId { epoch: 1, seq: 1, nonce: 1 };
        let (connector, log) = (connector::remember(db, "legacy")?.0.id, log::remember(db, "office")?);
        settle(db, connector, log, at, &[Settled::unanswered(id, Word::Success, "")])
    }

    #[test]
    fn times_that_were_recorded_under_a_wrong_clock_count_no_more_once_a_right_one_was_believed() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let now = clock::BUILT.plus(Duration::from_secs(86_400));
        let years = now.plus(Duration::from_secs(10 * 365 * 86_400));
        let mut at = |time: Timestamp| {
            state
                .commit(|db| {
                    keep(db, time)?;
                    known(db)
                })
                .unwrap()
        };
        assert_eq!(at(now).believed, Some(now));
        assert!(is_far_ahead(years, &at(years)));
        state.commit(|db| sent(db, years)).unwrap();
        let mut at = |time: Timestamp| {
            state
                .commit(|db| {
                    keep(db, time)?;
                    known(db)
                })
                .unwrap()
        };
        let back = at(now);
        assert!(doubt(now, &back).is_some() && back.odd_since == Some(now), "{back:?}");
        let later = now.plus(SETTLED);
        let known = at(later);
        assert_eq!((known.last, known.believed, known.odd_since), (None, Some(later), None));
        assert!(doubt(now, &known).is_none());
    }
}
