//! Forms of date and time.
//!
//! Between two local forms nothing passes through a time zone, so an hour that a zone skips or repeats stays as it
//! is written. Where a zone is needed, a skipped time moves forward by the gap and of a repeated one the first is
//! meant (RFC 5545).

use jiff::civil::{self, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::{units, unknown};
use crate::event::Value;
use crate::rules::decimal::Decimal;
use crate::rules::zone;

/// The forms by name, with what they are. Any other form is a pattern with `%` (strftime, as jiff documents it).
pub const FORMS: &[(&str, &str)] = &[
    ("rfc3339", "2026-03-05T18:05:00Z, or with an offset; written in UTC"),
    ("iso", "the same; read also without an offset, as local time"),
    ("date", "2026-03-05"),
    ("datetime", "2026-03-05 18:05:00, local time; read also with `T`, with a fraction, or without seconds"),
    ("epoch", "seconds since 1970-01-01T00:00:00Z; written whole"),
    ("epoch_ms", "milliseconds since 1970-01-01T00:00:00Z; written whole"),
    ("julian", "CCYYDDD, year and day of the year"),
    ("hl7", "YYYYMMDDHHMMSS+ZZZZ; read also shorter, and without offset as local time"),
    ("odata2", "/Date(milliseconds)/"),
];

/// From one form to another.
#[derive(Clone, Debug)]
pub struct Dates {
    from: Form,
    to: Form,
    zone: TimeZone,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    Rfc3339,
    Iso,
    Date,
    DateTime,
    Epoch,
    EpochMs,
    Julian,
    Hl7,
    Odata2,
    Pattern(String),
}

/// A moment as it was written.
enum Moment {
    /// With its offset from UTC: the same everywhere.
    Instant(Timestamp),
    /// On the clock of the zone.
    Local(DateTime),
}

/// Whether this is the name of a form.
pub fn is_form(name: &str) -> bool {
    FORMS.iter().any(|(form, _)| *form == name)
}

impl Dates {
    /// Two forms of date, and the zone of those that are local.
    pub fn parse(from: &str, to: &str, zone: Option<&str>) -> Result<Dates, String> {
        let zone = zone::find(zone)?;
        let dates = Dates { from: Form::parse(from)?, to: Form::parse(to)?, zone };
        dates.try_out(from, to)?;
        Ok(dates)
    }

    /// Reads and writes a sample in both patterns, so that a pattern that can never work is found now.
    fn try_out(&self, from: &str, to: &str) -> Result<(), String> {
        let sample = civil::date(2026, 3, 5).at(18, 5, 9, 123_000_000);
        if let Err(what) = self.to.write(&Moment::Local(sample), &self.zone) {
            return Err(format!("`{to}` cannot be written: {what}"));
        }
        if let Form::Pattern(_) = &self.from {
            let read = match self.from.write(&Moment::Local(sample), &self.zone) {
                Ok(text) => self.from.read(&text),
                Err(what) => return Err(format!("`{from}` cannot be read: {what}")),
            };
            let Some(read) = read else {
                return Err(format!("`{from}` cannot be read: a pattern must give a date, or a time, that is whole"));
            };
            // Of a time alone only a time can be written: no day must show.
            let shown = |day: civil::Date| self.to.write(&Moment::Local(day.to_datetime(sample.time())), &self.zone);
            if let Moment::Local(local) = read
                && local.date() == NO_DAY
                && shown(NO_DAY).ok() != shown(sample.date()).ok()
            {
                return Err(format!("`{from}` gives no date, which `{to}` needs"));
            }
        }
        Ok(())
    }

    /// From the second form to the first. None when the second does not hold the day, the year, the hour or the minute that
    /// the first does; seconds and their fractions may be missing.
    pub fn inverse(&self) -> Option<Dates> {
        let back = Dates { from: self.to.clone(), to: self.from.clone(), zone: self.zone.clone() };
        let same = |sample: DateTime| {
            let there = self.from.write(&Moment::Local(sample), &self.zone).ok()?;
            let here = back.apply(&self.apply(&there).ok()?).ok()?;
            let text = |value: &Value| value.as_text().map(std::borrow::Cow::into_owned);
            (text(&here) == text(&there)).then_some(())
        };
        SAMPLES.into_iter().try_for_each(same)?;
        Some(back)
    }

    /// Converts; the error is what it wants.
    pub fn apply(&self, value: &Value) -> Result<Value, &'static str> {
        let moment = self.from.read(value).ok_or_else(|| self.from.wants())?;
        self.to.write(&moment, &self.zone).map_err(|_| "a date within the years that can be written")
    }
}

/// Times by which a form is tried out: afternoon and night, now and of an old person's birth.
const SAMPLES: [DateTime; 2] =
    [DateTime::constant(2026, 3, 5, 18, 5, 0, 0), DateTime::constant(1931, 11, 24, 4, 30, 0, 0)];

/// Stands for the day of a time without date.
const NO_DAY: civil::Date = civil::Date::constant(1, 1, 1);

impl Form {
    fn parse(name: &str) -> Result<Form, String> {
        Ok(match name {
            "rfc3339" => Form::Rfc3339,
            "iso" => Form::Iso,
            "date" => Form::Date,
            "datetime" => Form::DateTime,
            "epoch" => Form::Epoch,
            "epoch_ms" => Form::EpochMs,
            "julian" => Form::Julian,
            "hl7" => Form::Hl7,
            "odata2" => Form::Odata2,
            "" => return Err("a side of `->` is empty: write for example `rfc3339 -> date`".to_owned()),
            pattern if pattern.contains('%') => Form::Pattern(pattern.to_owned()),
            other if units::find(other).is_some() => return Err(format!("`{other}` is a unit, not a form of date")),
            other => return Err(unknown(other)),
        })
    }

    fn wants(&self) -> &'static str {
        match self {
            Form::Rfc3339 => "a text like 2026-03-05T18:05:00Z",
            Form::Iso => "a text like 2026-03-05T18:05:00",
            Form::Date => "a text like 2026-03-05",
            Form::DateTime => "a text like 2026-03-05 18:05:00",
            Form::Epoch => "seconds since 1970",
            Form::EpochMs => "milliseconds since 1970",
            Form::Julian => "year and day of the year like 2026064",
            Form::Hl7 => "a text like 20260305180500-0600",
            Form::Odata2 => "a text like /Date(1492098664000)/",
            Form::Pattern(_) => "a text of its pattern",
        }
    }

    fn read(&self, value: &Value) -> Option<Moment> {
        if let Form::Epoch | Form::EpochMs = self {
            let nanos = if *self == Form::Epoch { 1_000_000_000 } else { 1_000_000 };
            let nanos = Decimal::of(value)?.times(nanos, 1, (0, 1))?.to_whole()?;
            return Timestamp::from_nanosecond(nanos).ok().map(Moment::Instant);
        }
        let text = match value {
            Value::Text(_) | Value::Integer(_) => value.as_text()?,
            _ => return None,
        };
        let text = text.trim();
        match self {
            Form::Rfc3339 => text.parse().ok().map(Moment::Instant),
            Form::Iso => text.parse().ok().map(Moment::Instant).or_else(|| local(text)),
            Form::Date => strptime("%Y-%m-%d", text),
            Form::DateTime => local(text),
            Form::Julian if text.len() == 7 => strptime("%Y%j", text),
            Form::Hl7 => hl7(text),
            Form::Odata2 => odata2(text),
            Form::Pattern(pattern) => strptime(pattern, text),
            Form::Julian | Form::Epoch | Form::EpochMs => None,
        }
    }

    fn write(&self, moment: &Moment, zone: &TimeZone) -> Result<Value, String> {
        let zoned = || match moment {
            Moment::Instant(instant) => Ok(instant.to_zoned(zone.clone())),
            Moment::Local(local) => local.to_zoned(zone.clone()).map_err(|error| error.to_string()),
        };
        let strftime = |pattern: &str| match moment {
            // Local in, local out, unless the pattern shows the offset or the zone.
            Moment::Local(local) => {
                BrokenDownTime::from(*local).to_string(pattern).or_else(|_| written(pattern, &zoned()?))
            }
            Moment::Instant(_) => written(pattern, &zoned()?),
        };
        Ok(match self {
            Form::Rfc3339 | Form::Iso => Value::Text(zoned()?.timestamp().to_string().into()),
            Form::Date => Value::Text(strftime("%Y-%m-%d")?.into()),
            Form::DateTime => Value::Text(strftime("%Y-%m-%d %H:%M:%S")?.into()),
            Form::Epoch => Value::Integer(zoned()?.timestamp().as_second()),
            Form::EpochMs => Value::Integer(zoned()?.timestamp().as_millisecond()),
            Form::Julian => Value::Text(strftime("%Y%j")?.into()),
            Form::Hl7 => Value::Text(strftime("%Y%m%d%H%M%S%z")?.into()),
            Form::Odata2 => Value::Text(format!("/Date({})/", zoned()?.timestamp().as_millisecond()).into()),
            Form::Pattern(pattern) => Value::Text(strftime(pattern)?.into()),
        })
    }
}

fn written(pattern: &str, zoned: &Zoned) -> Result<String, String> {
    BrokenDownTime::from(zoned).to_string(pattern).map_err(|error| error.to_string())
}

/// Reads by a pattern: an instant where the text says its offset or zone, else local; a date alone is its midnight, a
/// time alone belongs to [`NO_DAY`].
fn strptime(pattern: &str, text: &str) -> Option<Moment> {
    let parts = BrokenDownTime::parse(pattern, text).ok()?;
    if parts.timestamp().is_some() || parts.offset().is_some() {
        return parts.to_timestamp().ok().map(Moment::Instant);
    }
    if parts.iana_time_zone().is_some() {
        return parts.to_zoned().ok().map(|zoned| Moment::Instant(zoned.timestamp()));
    }
    match parts.to_datetime() {
        Ok(local) => Some(Moment::Local(local)),
        Err(_) if parts.year().is_none() && parts.day().is_none() && parts.hour().is_some() => {
            parts.to_time().ok().map(|time| Moment::Local(NO_DAY.to_datetime(time)))
        }
        Err(_) => None,
    }
}

/// Local date and time as SQLite and ISO 8601 write it.
fn local(text: &str) -> Option<Moment> {
    const PATTERNS: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    PATTERNS.iter().find_map(|pattern| BrokenDownTime::parse(pattern, text).ok()?.to_datetime().ok().map(Moment::Local))
}

/// HL7 v2 TS: `YYYYMMDD[HH[MM[SS[.S[S[S[S]]]]]]][+/-ZZZZ]`.
fn hl7(text: &str) -> Option<Moment> {
    let (clock, offset) = match text.find(['+', '-']) {
        Some(at) => text.split_at_checked(at)?,
        None => (text, ""),
    };
    let pattern = match clock.split('.').next()?.len() {
        8 => "%Y%m%d",
        10 => "%Y%m%d%H",
        12 => "%Y%m%d%H%M",
        14 => "%Y%m%d%H%M%S%.f",
        _ => return None,
    };
    let local = BrokenDownTime::parse(pattern, clock).ok()?.to_datetime().ok()?;
    if offset.is_empty() {
        return Some(Moment::Local(local));
    }
    let offset: Offset = BrokenDownTime::parse("%z", offset).ok()?.offset()?;
    offset.to_timestamp(local).ok().map(Moment::Instant)
}

/// `/Date(ms)/` or `/Date(ms+minutes)/`: the offset is for display, the milliseconds are UTC (OData 2, JSON format).
fn odata2(text: &str) -> Option<Moment> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let digits = match inner.get(1..)?.find(['+', '-']) {
        Some(at) => inner.get(..=at)?,
        None => inner,
    };
    Timestamp::from_millisecond(digits.parse().ok()?).ok().map(Moment::Instant)
}
