//! `schedule:` of a drop: when a file is cut, and when it may leave.

use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::config::drop::shelf::Shelf;
use crate::config::found::Found;
use crate::config::source::Unread;
use crate::engine::drop::Timing;
use crate::rules::calendar::{Calendar, CalendarFile};
use crate::rules::cutoff::{CATCH_UP, CutOffs, Days, Missed, Window, time_of_day};
use crate::rules::zone;

/// Most cuts that are made up without asking.
const MOST_CAUGHT_UP: i64 = 1_000;

/// Reads `schedule:`, with the calendar.
pub(super) fn timing(found: &Found<'_>, shelf: &Shelf) -> Option<(Timing, Option<Calendar>)> {
    let fields = found.fields()?;
    let times = fields.need("cutOff");
    let texts = times.as_ref().and_then(|found| {
        let items = found.one_or_many();
        let good = items.iter().filter(|item| item.parsed(time_of_day).is_some()).count();
        if good == items.len() { found.texts() } else { None }
    });
    let zone = fields.need("zone").and_then(|found| found.parsed(|name| zone::find(Some(name))));
    let calendar = match fields.take("calendar") {
        Some(found) => {
            let read = found.text().map(|name| calendar(name, shelf).map_err(|why| found.unread(&why)));
            read.and_then(Result::ok).map(Some)
        }
        None => Some(None),
    };
    // One that cannot be read is one all the same.
    let has_calendar = !matches!(calendar, Some(None));
    let words = fields.take("days").map_or(Some(None), |found| {
        let text = found.text()?;
        found.parsed(|words| Days::parse(words, has_calendar)).map(|_| Some(text))
    });
    let missed = fields.take("missed").map_or(Some(Missed::default()), |found| found.parsed(Missed::parse));
    let catch_up = fields.take("catchUp").map_or(Some(CATCH_UP), |found| {
        found.integer(0..=MOST_CAUGHT_UP).and_then(|count| usize::try_from(count).ok())
    });
    let window = fields.take("deliveryWindow");
    let window = window.map_or(Some(None), |found| {
        let text = found.text()?;
        let zone = zone.clone().unwrap_or(TimeZone::UTC);
        Window::parse(text, zone).map_err(|message| found.error(message)).ok().map(Some)
    });
    let deadline: Option<Option<Time>> =
        fields.take("deadline").map_or(Some(None), |found| found.parsed(time_of_day).map(Some));
    fields.done();
    let (texts, calendar) = (texts?, calendar?);
    let named: Vec<&str> = texts.iter().map(String::as_str).collect();
    let cut_offs = CutOffs::new(&named, zone?, words?, calendar.clone())
        .map_err(|message| times.as_ref().unwrap_or(found).error(message));
    let timing =
        Timing { cut_offs: cut_offs.ok()?, missed: missed?, catch_up: catch_up?, window: window?, deadline: deadline? };
    Some((timing, calendar))
}

/// A calendar in one of its two forms.
fn calendar(name: &str, shelf: &Shelf) -> Result<Calendar, Unread> {
    let text = shelf.calendar(name)?;
    let about = |what: String| format!("{name}: {what}");
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let parsed = match ["yaml", "yml", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known)) {
        true => serde_saphyr::from_str::<CalendarFile>(&text)
            .map_err(|error| about(error.to_string().lines().next().unwrap_or_default().to_owned()))
            .and_then(|file| Calendar::from_file(&file).map_err(about)),
        false => Calendar::parse(&text).map_err(about),
    };
    Ok(parsed?)
}
