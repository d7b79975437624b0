//! The days that have a cut-off.

use jiff::civil::{Date, Weekday};

use crate::rules::calendar::{self, Calendar, Uncovered};
use crate::rules::nearest::hint;

/// Which days have a cut-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// Every day, weekends and holidays too.
    Every,
    /// The business days of the calendar.
    Business,
    /// One day a week; when it is no business day, the first one after it.
    Weekly(Weekday),
    /// One day a month: the nth business day (1 = the first, -1 = the last, never 0).
    Monthly(i8),
}

impl Days {
    /// By words: `every`, `business`, `weekly friday`, `monthly first`, `monthly last`, `monthly 3`, `monthly -2`.
    pub fn parse(words: &str, calendar: bool) -> Result<Days, String> {
        const FORMS: [&str; 4] = ["every", "business", "weekly", "monthly"];
        let mut parts = words.split_whitespace();
        let days = match (parts.next(), parts.next(), parts.next()) {
            (Some("every"), None, None) => Days::Every,
            (Some("business"), None, None) => Days::Business,
            (Some("weekly"), Some(day), None) => Days::Weekly(calendar::day(day)?),
            (Some("monthly"), Some("first"), None) => Days::Monthly(1),
            (Some("monthly"), Some("last"), None) => Days::Monthly(-1),
            (Some("monthly"), Some(nth), None) => match nth.parse() {
                Ok(nth @ (1..=23 | -23..=-1)) => Days::Monthly(nth),
                _ => {
                    return Err(format!(
                        "`{words}`: write `monthly first`, `monthly last`, `monthly 3` or `monthly -2`"
                    ));
                }
            },
            (first, ..) => {
                let hint =
                    first.filter(|first| !FORMS.contains(first)).map_or_else(String::new, |first| hint(first, FORMS));
                return Err(format!(
                    "`{words}` are no days{hint}: write `every`, `business`, `weekly friday` or `monthly last`"
                ));
            }
        };
        match days {
            Days::Business | Days::Monthly(_) if !calendar => Err(format!("`{words}` needs a calendar")),
            _ => Ok(days),
        }
    }

    /// Whether that date has a cut-off.
    pub fn include(self, date: Date, calendar: Option<&Calendar>) -> Result<bool, Uncovered> {
        match (self, calendar) {
            (Days::Weekly(day), None) => Ok(date.weekday() == day),
            (Days::Every, _) | (Days::Business | Days::Monthly(_), None) => Ok(true),
            (Days::Business, Some(calendar)) => calendar.is_business_day(date),
            (Days::Monthly(nth), Some(calendar)) => {
                Ok(calendar.nth_business_day(date.year(), date.month(), nth)? == Some(date))
            }
            (Days::Weekly(day), Some(calendar)) => {
                if !calendar.is_business_day(date)? {
                    return Ok(false);
                }
                // The day itself, or the first business day after it.
                let mut back = date;
                while back.weekday() != day {
                    match back.yesterday() {
                        Ok(yesterday) if !calendar.is_business_day(yesterday)? => back = yesterday,
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
        }
    }
}
