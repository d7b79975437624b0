//! A cut that a person has asked for.

use jiff::civil::Date;

use super::worker::{StepError, Worker};
use crate::clock;
use crate::rules::cutoff::Slot;
use crate::rules::outcome::Reason;
use crate::store::state::{ConnectorId, Db, Sql, drops, note, set_note};

/// Between the asking and the date: a note without a date is one too.
const ASKED: &str = "asked:";

fn name(connector: ConnectorId) -> String {
    format!("drop/{}/run", connector.0)
}

/// Asks for a cut now; for a business date, or (empty) for that of the next cut-off.
pub fn ask(db: &Db, connector: ConnectorId, date: &str) -> Sql<()> {
    set_note(db, &name(connector), &format!("{ASKED}{date}"))
}

/// The date that was asked for, if a cut was: empty = that of the next cut-off.
pub(super) fn asked(db: &Db, connector: ConnectorId) -> Sql<Option<String>> {
    Ok(note(db, &name(connector))?.and_then(|text| text.strip_prefix(ASKED).map(str::to_owned)))
}

/// It was made.
pub(super) fn done(db: &Db, connector: ConnectorId) -> Sql<()> {
    set_note(db, &name(connector), "")
}

impl Worker {
    /// The slot of a cut now for a date; the same date again is one more of it. Without a date that of the next cut-off.
    pub(super) fn asked_slot(&mut self, date: &str) -> Result<Result<Slot, Reason>, StepError> {
        let next = match self.coming_slot() {
            Ok(next) => next,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(date) = date.parse::<Date>().ok().filter(|date| *date != next.date) else { return Ok(Ok(next)) };
        let id = self.id;
        let last = self.reader.read(|db| drops::last_cut(db, id))?;
        let same = last.filter(|(last, _)| *last == date.to_string());
        Ok(Ok(Slot { date, nth: same.map_or(0, |(_, nth)| nth + 1) }))
    }

    /// The slot of a cut now: that of the next cut-off; one more of its date when its own was made already, so that the
    /// night after it keeps its file.
    fn coming_slot(&mut self) -> Result<Slot, Reason> {
        let (id, next) = (self.id, self.next_cut()?.slot);
        let coming = self.drop.timing.cut_offs.of(clock::now());
        let coming = coming.map_err(|error| Reason::new("calendar", error.to_string()))?.slot.date;
        let last = self.reader.read(|db| drops::last_cut(db, id));
        let last = last.map_err(|error| Reason::new("state", error.to_string()))?;
        let last = last.and_then(|(date, nth)| Some(Slot { date: date.parse().ok()?, nth }));
        Ok(match last {
            Some(last) if coming <= last.date && last.date < next.date => Slot { nth: last.nth + 1, ..last },
            _ => next,
        })
    }
}
