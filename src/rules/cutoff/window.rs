//! When a drop may connect, and by when its file must be there.

use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::time_of_day;
use crate::clock::Timestamp;
use crate::rules::zone;

/// The part of each day in which a connection may be made; it may contain midnight.
#[derive(Clone, Debug)]
pub struct Window {
    from: Time,
    to: Time,
    zone: TimeZone,
}

impl Window {
    /// `20:00-04:00` in a zone: from the first time up to, but not at, the second.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Window, String> {
        let (from, to) =
            text.split_once('-').ok_or_else(|| format!("`{text}` is not a part of the day like 20:00-04:00"))?;
        let (from, to) = (time_of_day(from.trim())?, time_of_day(to.trim())?);
        if from == to {
            return Err(format!("`{text}` begins when it ends: leave it out to connect at any time"));
        }
        Ok(Window { from, to, zone })
    }

    /// When a connection may be made: `now`, or the next opening. None only beyond the years that can be calculated with.
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_jiff().to_zoned(self.zone.clone()).date();
        // The window of yesterday may contain today's midnight.
        let mut date = today.yesterday().ok()?;
        for _ in 0..8 {
            let last = if self.from < self.to { date } else { date.tomorrow().ok()? };
            let opens = zone::first_instant(&self.zone, date.to_datetime(self.from))?;
            let closes = zone::first_instant(&self.zone, last.to_datetime(self.to))?;
            // One that falls into a skipped hour altogether has no moment.
            if now < closes && opens < closes {
                return Some(opens.max(now));
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

/// By when a file of the cut at that moment must be published: the first moment after it at which a clock in the zone
/// shows `time`. None only beyond the years that can be calculated with.
pub fn deadline(cut: Timestamp, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    let mut date = cut.to_jiff().to_zoned(zone.clone()).date();
    loop {
        let deadline = zone::first_instant(zone, date.to_datetime(time))?;
        if deadline > cut {
            return Some(deadline);
        }
        date = date.tomorrow().ok()?;
    }
}
