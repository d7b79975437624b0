//! Which days are business days.
//!
//! A calendar covers whole years and knows nothing of others: a year that it does not cover is refused, because "no
//! holidays" would be a guess. Two forms are read. Plain text, a line each, `#` begins a comment:
//!
//! ```text
//! covers 2025-2030
//! weekend Saturday Sunday
//! 2025-01-20 Birthday of Martin Luther King, Jr.
//! working 2025-11-29 Saturday that is worked
//! ```
//!
//! and a mapping with the same words as keys (see [`CalendarFile`]).

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};
use serde::Deserialize;

use crate::rules::nearest::hint;

/// Days before its end at which a calendar begins to warn.
pub const EXPIRY_WARNING_DAYS: i32 = 60;

/// The names of the days of the week; the first three letters are enough.
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A calendar as a file in YAML or JSON says it: `{covers: 2025-2030, weekend: [saturday, sunday], holidays:
/// {2025-12-25: Christmas Day}, working: {2025-11-29: Saturday that is worked}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarFile {
    /// First and last year: `2025-2030`, or one year.
    pub covers: String,
    /// Days of the week that are no business days; default Saturday and Sunday.
    pub weekend: Option<Vec<String>>,
    /// Dates that are no business days, and why.
    #[serde(default)]
    pub holidays: BTreeMap<String, String>,
    /// Dates that are business days although they are on a weekend, and why.
    #[serde(default)]
    pub working: BTreeMap<String, String>,
}

/// Business days of some years.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    first: i16,
    last: i16,
    weekend: Vec<Weekday>,
    holidays: BTreeMap<Date, String>,
    working: BTreeMap<Date, String>,
}

/// The calendar does not cover a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the calendar does not cover {year} (only {first} to {last}): add that year's holidays to it")]
pub struct Uncovered {
    /// The year that was asked for.
    pub year: i16,
    /// First covered year.
    pub first: i16,
    /// Last covered year.
    pub last: i16,
}

impl Calendar {
    /// Reads the plain form. The error begins with the line.
    pub fn parse(text: &str) -> Result<Calendar, String> {
        let mut file = CalendarFile::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or("").trim();
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.trim();
            let done = match word {
                "" => Ok(()),
                "covers" if file.covers.is_empty() => years(rest).map(|_| rest.clone_into(&mut file.covers)),
                "weekend" if file.weekend.is_none() => {
                    let names: Vec<String> =
                        rest.split([' ', '\t', ',']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
                    names.iter().try_for_each(|name| day(name).map(drop)).map(|()| file.weekend = Some(names))
                }
                "covers" | "weekend" => Err(format!("a second `{word}`")),
                "working" => {
                    let (date, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                    enter(&mut file.working, date, name)
                }
                date if date.starts_with(|first: char| first.is_ascii_digit()) => enter(&mut file.holidays, date, rest),
                other => Err(format!("`{other}` is not known here{}", hint(other, ["covers", "weekend", "working"]))),
            };
            done.map_err(|what| format!("line {number}: {what}"))?;
        }
        Calendar::from_file(&file)
    }

    /// From the other form.
    pub fn from_file(file: &CalendarFile) -> Result<Calendar, String> {
        if file.covers.is_empty() {
            return Err("it does not say which years it covers: write for example `covers 2025-2030`".to_owned());
        }
        let (first, last) = years(&file.covers)?;
        let weekend = match &file.weekend {
            None => vec![Weekday::Saturday, Weekday::Sunday],
            Some(names) => names.iter().map(|name| day(name)).collect::<Result<_, _>>()?,
        };
        let dates = |days: &BTreeMap<String, String>| {
            days.iter().map(|(text, name)| Ok((date(text)?, name.clone()))).collect::<Result<BTreeMap<_, _>, String>>()
        };
        let calendar =
            Calendar { first, last, weekend, holidays: dates(&file.holidays)?, working: dates(&file.working)? };
        calendar.consistent()?;
        Ok(calendar)
    }

    /// Whether it can be meant so.
    fn consistent(&self) -> Result<(), String> {
        if let Some(date) = self.holidays.keys().chain(self.working.keys()).find(|date| !self.covers(date.year())) {
            return Err(format!("{date} is in none of the years that it covers, {} to {}", self.first, self.last));
        }
        if let Some(date) = self.working.keys().find(|date| self.holidays.contains_key(date)) {
            return Err(format!("{date} is both a holiday and a working day"));
        }
        for year in self.first..=self.last {
            for month in 1..=12 {
                self.nth_business_day(year, month, 1)
                    .map_err(|error| error.to_string())?
                    .ok_or_else(|| format!("{year}-{month:02} has no business day at all"))?;
            }
        }
        Ok(())
    }

    fn covers(&self, year: i16) -> bool {
        (self.first..=self.last).contains(&year)
    }

    /// First and last year that it covers.
    pub fn years(&self) -> (i16, i16) {
        (self.first, self.last)
    }

    /// The holidays with their names, in order.
    pub fn holidays(&self) -> impl Iterator<Item = (Date, &str)> {
        self.holidays.iter().map(|(date, name)| (*date, name.as_str()))
    }

    /// Whether that date is a business day.
    pub fn is_business_day(&self, date: Date) -> Result<bool, Uncovered> {
        if !self.covers(date.year()) {
            return Err(Uncovered { year: date.year(), first: self.first, last: self.last });
        }
        let weekend = self.weekend.contains(&date.weekday());
        Ok(self.working.contains_key(&date) || !(weekend || self.holidays.contains_key(&date)))
    }

    /// The first business day after `date`.
    pub fn next(&self, date: Date) -> Result<Date, Uncovered> {
        self.walk(date, 1)
    }

    /// The last business day before `date`.
    pub fn previous(&self, date: Date) -> Result<Date, Uncovered> {
        self.walk(date, -1)
    }

    fn walk(&self, from: Date, step: i64) -> Result<Date, Uncovered> {
        let mut date = from;
        loop {
            let beyond = Uncovered { year: date.year(), first: self.first, last: self.last };
            date = date.checked_add(jiff::Span::new().days(step)).map_err(|_| beyond)?;
            if self.is_business_day(date)? {
                return Ok(date);
            }
        }
    }

    /// The nth business day of a month: 1 is the first, -1 the last, -2 the one before it. None when the month has not
    /// so many, or there is no such month.
    pub fn nth_business_day(&self, year: i16, month: i8, nth: i8) -> Result<Option<Date>, Uncovered> {
        let Ok(first) = Date::new(year, month, 1) else { return Ok(None) };
        let mut days = Vec::new();
        for day in 1..=first.days_in_month() {
            if let Ok(date) = Date::new(year, month, day)
                && self.is_business_day(date)?
            {
                days.push(date);
            }
        }
        let count = usize::from(nth.unsigned_abs());
        let place = if nth > 0 { count.checked_sub(1) } else { days.len().checked_sub(count) };
        Ok(place.filter(|_| nth != 0).and_then(|place| days.get(place)).copied())
    }

    /// How many days are left of it, when that is at most [`EXPIRY_WARNING_DAYS`]; below zero when it has ended.
    pub fn expires(&self, today: Date) -> Option<i32> {
        let end = Date::new(self.last, 12, 31).ok()?;
        let left = today.until(end).ok()?.get_days();
        (left <= EXPIRY_WARNING_DAYS).then_some(left)
    }
}

fn enter(days: &mut BTreeMap<String, String>, text: &str, name: &str) -> Result<(), String> {
    date(text)?;
    match days.insert(text.to_owned(), name.trim().to_owned()) {
        None => Ok(()),
        Some(_) => Err(format!("{text} stands there twice")),
    }
}

fn date(text: &str) -> Result<Date, String> {
    let wrong = || format!("`{text}` is not a date like 2025-12-25");
    if text.len() != 10 {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

fn years(text: &str) -> Result<(i16, i16), String> {
    let wrong = || format!("`{text}` is not a range of years like 2025-2030");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let year = |part: &str| match part.trim().parse() {
        Ok(year @ 1900..=9000) => Ok(year),
        _ => Err(wrong()),
    };
    let (first, last) = (year(first)?, year(last)?);
    match last - first {
        0..=200 => Ok((first, last)),
        _ => Err(wrong()),
    }
}

/// A day of the week by its name or its first three letters.
pub(crate) fn day(name: &str) -> Result<Weekday, String> {
    let plain = name.to_lowercase();
    let place = DAYS.iter().position(|day| *day == plain || (plain.len() == 3 && day.starts_with(&plain)));
    place
        .and_then(|place| Weekday::from_monday_zero_offset(i8::try_from(place).ok()?).ok())
        .ok_or_else(|| format!("`{name}` is not a day of the week{}", hint(&plain, DAYS)))
}

#[cfg(test)]
#[path = "calendar/tests.rs"]
mod tests;
