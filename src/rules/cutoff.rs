//! When a drop is cut, and which business date a change belongs to.
//!
//! A cut-off is a local time on certain days. A change belongs to the first cut whose moment is later than its own: the
//! moments divide all time, so each change has exactly one, whenever the job ran. A cut-off in an hour that the clock
//! skips is at the end of the gap, in one that comes twice at the first.

mod days;
mod jump;
mod window;

use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::clock::Timestamp;
use crate::rules::calendar::{Calendar, Uncovered};
use crate::rules::zone;

pub use days::Days;
pub use jump::{JUMP, Jump, Newest, Reading, jump};
pub use window::{Window, deadline};

/// How many missed cuts are made up without asking, unless the drop says otherwise.
pub const CATCH_UP: usize = 31;

/// Days that are looked through for the next cut before it is said that there is none.
const HORIZON_DAYS: usize = 800;

/// The cut-offs of a drop.
#[derive(Clone, Debug)]
pub struct CutOffs {
    times: Vec<Time>,
    zone: TimeZone,
    days: Days,
    calendar: Option<Calendar>,
}

/// Which cut: business date, and the how many-th of that date (from 0). In the order in which cuts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The business date.
    pub date: Date,
    /// 0 for the first cut-off of the date.
    pub nth: usize,
}

/// A cut and its moment. Changes before the moment, and after that of the cut before, are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which.
    pub slot: Slot,
    /// Its moment.
    pub at: Timestamp,
}

/// There is no cut to name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCut {
    /// The calendar must be extended first.
    #[error(transparent)]
    Uncovered(#[from] Uncovered),
    /// No day of the next two years is one.
    #[error("no day within two years has a cut-off: change its days, or the calendar")]
    Never,
}

/// What is done about cuts that were missed while the agent was off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// A file for each, oldest first.
    #[default]
    OneFilePerBusinessDate,
    /// One file, of the last of them.
    Merge,
}

/// The cuts to make now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// In order; empty when none is due.
    pub cuts: Vec<Cut>,
    /// How many cuts the last file takes together; 1 unless they are merged.
    pub merged: usize,
    /// True when more are due than may be made up without asking; nothing of those is in `cuts`.
    pub more: bool,
}

impl Missed {
    /// The setting by its word.
    pub fn parse(word: &str) -> Result<Missed, String> {
        match word {
            "one_file_per_business_date" => Ok(Missed::OneFilePerBusinessDate),
            "merge" => Ok(Missed::Merge),
            other => Err(format!("`{other}` is not known: write `one_file_per_business_date` or `merge`")),
        }
    }
}

/// A time of day: `18:00` or `18:00:30`.
pub fn time_of_day(text: &str) -> Result<Time, String> {
    let wrong = || format!("`{text}` is not a time of day like 18:00");
    let parts: Vec<&str> = text.split(':').collect();
    if !matches!(parts.len(), 2 | 3)
        || parts.iter().any(|part| part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(wrong());
    }
    let numbers: Vec<i8> = parts.iter().map_while(|part| part.parse().ok()).collect();
    match numbers.as_slice() {
        [hour, minute] => Time::new(*hour, *minute, 0, 0).map_err(|_| wrong()),
        [hour, minute, second] => Time::new(*hour, *minute, *second, 0).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

impl CutOffs {
    /// Cut-offs at `times` (ascending, at least one; `18:00`) in the zone, on those days (see [`Days::parse`]); default:
    /// business days when there is a calendar, else every day.
    pub fn new(
        times: &[&str],
        zone: TimeZone,
        days: Option<&str>,
        calendar: Option<Calendar>,
    ) -> Result<CutOffs, String> {
        let parsed = times.iter().map(|time| time_of_day(time)).collect::<Result<Vec<Time>, _>>()?;
        if parsed.is_empty() {
            return Err("there is no cut-off time: write for example \"18:00\"".to_owned());
        }
        if let Some(pair) = parsed.windows(2).find(|pair| pair.first() >= pair.last()) {
            return Err(format!("the cut-off times must ascend, and {pair:?} do not"));
        }
        let days = match days {
            Some(words) => Days::parse(words, calendar.is_some())?,
            None if calendar.is_some() => Days::Business,
            None => Days::Every,
        };
        Ok(CutOffs { times: parsed, zone, days, calendar })
    }

    /// The zone of its times.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// How many cuts a date has.
    pub fn per_date(&self) -> usize {
        self.times.len()
    }

    /// The cut for a change that counts as of that moment, when `first` is the earliest cut that was not made yet: what a
    /// cut that was made could not see goes into the next one. (Of many changes in a row, those before `first.at` are all
    /// of `first`.)
    pub fn belonging(&self, moment: Timestamp, first: Cut) -> Result<Cut, NoCut> {
        if moment < first.at { Ok(first) } else { self.of(moment) }
    }

    /// The cut to which a moment belongs: the first that is later.
    pub fn of(&self, moment: Timestamp) -> Result<Cut, NoCut> {
        let today = moment.to_jiff().to_zoned(self.zone.clone()).date();
        let mut cut = self.on_or_after(today)?;
        while cut.at <= moment {
            cut = self.after(cut.slot)?;
        }
        Ok(cut)
    }

    /// The cut after that one.
    pub fn after(&self, slot: Slot) -> Result<Cut, NoCut> {
        let nth = slot.nth + 1;
        match self.times.get(nth) {
            Some(time) => self.cut(slot.date, nth, *time),
            None => self.on_or_after(slot.date.tomorrow().map_err(|_| NoCut::Never)?),
        }
    }

    /// The first cut of the first date, from that one on, that has one.
    fn on_or_after(&self, mut date: Date) -> Result<Cut, NoCut> {
        for _ in 0..HORIZON_DAYS {
            if self.days.include(date, self.calendar.as_ref())? {
                let first = self.times.first().ok_or(NoCut::Never)?;
                return self.cut(date, 0, *first);
            }
            date = date.tomorrow().map_err(|_| NoCut::Never)?;
        }
        Err(NoCut::Never)
    }

    fn cut(&self, date: Date, nth: usize, time: Time) -> Result<Cut, NoCut> {
        let at = zone::first_instant(&self.zone, date.to_datetime(time)).ok_or(NoCut::Never)?;
        Ok(Cut { slot: Slot { date, nth }, at })
    }

    /// What to cut at `now`, when `first` is the earliest cut that was not made yet: that [`after`](CutOffs::after) the
    /// last one, or for a new drop that [`of`](CutOffs::of) its beginning. A cut that was made is never due again, whatever
    /// the clock does. `limit` = how many missed cuts are made up without asking; a merged file needs no limit.
    ///
    /// Where the calendar ends among the missed cuts, those before its end are due now and the error comes after them.
    pub fn due(&self, first: Cut, now: Timestamp, missed: Missed, limit: usize) -> Result<Due, NoCut> {
        let mut due = Due { cuts: Vec::new(), merged: 1, more: false };
        let mut next = Ok(first);
        let mut passed = 0;
        while let Ok(cut) = next
            && cut.at <= now
        {
            match missed {
                Missed::OneFilePerBusinessDate if due.cuts.len() >= limit => {
                    due.more = true;
                    break;
                }
                Missed::OneFilePerBusinessDate => due.cuts.push(cut),
                Missed::Merge => due.cuts = vec![cut],
            }
            passed += 1;
            next = self.after(cut.slot);
        }
        if missed == Missed::Merge {
            due.merged = passed.max(1);
        }
        match next {
            Err(error) if due.cuts.is_empty() => Err(error),
            _ => Ok(due),
        }
    }
}

/// `2026-03-05`, or `2026-03-05 (2)` for the second cut of a date.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            0 => write!(f, "{}", self.date),
            nth => write!(f, "{} ({})", self.date, nth + 1),
        }
    }
}

#[cfg(test)]
#[path = "cutoff/tests.rs"]
mod tests;
