//! Cron schedules with time zones.

use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use crate::clock::Timestamp;
use crate::rules::zone;

/// A five-field cron expression in a time zone (default UTC).
///
/// Minute, hour, day of the month, month, day of the week (0 and 7 are Sunday). When both days are given, either is
/// enough, as POSIX says. A run that falls into an hour which the clock skips is made right after it; one in an hour
/// that comes twice is made once; `*/n` keeps its pace through both.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Arc<Cron>,
    zone: TimeZone,
}

/// From when a schedule must occur: any fixed moment will do.
const SINCE: Timestamp = Timestamp(1_767_225_600_000);

impl Schedule {
    /// Parses and checks that it ever occurs.
    pub fn parse(cron: &str, zone: Option<&str>) -> Result<Schedule, String> {
        const FORM: &str = "minute, hour, day of the month, month, day of the week, for example */5 * * * *";
        let fields = cron.split_whitespace().count();
        if fields != 5 {
            return Err(format!("`{cron}` has {fields} fields and not five: {FORM}"));
        }
        let zone = zone::find(zone)?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed =
            parser.parse(cron).map_err(|error| format!("`{cron}` is not a cron expression ({FORM}): {error}"))?;
        let schedule = Schedule { cron: Arc::new(parsed), zone };
        match schedule.next_after(SINCE) {
            Some(_) => Ok(schedule),
            None => Err(format!("`{cron}` never occurs: no month has that day")),
        }
    }

    /// The first occurrence after `time`.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let local = time.to_jiff().to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&local, false).ok().map(|next| Timestamp::from_jiff(next.timestamp()))
    }

    /// In words, for `check` and `status`: `At every 5 minutes (UTC)`.
    pub fn describe(&self) -> String {
        let words = self.cron.describe();
        format!("{} ({})", words.trim_end_matches('.'), self.zone.iana_name().unwrap_or("UTC"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn after(cron: &str, zone: Option<&str>, time: &str) -> String {
        let time = Timestamp::from_jiff(time.parse().unwrap());
        Schedule::parse(cron, zone).unwrap().next_after(time).unwrap().to_string()
    }

    #[test]
    fn the_printed_schedule_runs_every_five_minutes() {
        assert_eq!(after("*/5 * * * *", None, "2026-03-05T18:04:59.999Z"), "2026-03-05T18:05:00.000Z");
        assert_eq!(after("*/5 * * * *", None, "2026-03-05T18:05:00Z"), "2026-03-05T18:10:00.000Z");
        assert_eq!(after("*/5 * * * *", None, "2026-03-05T18:05:00.001Z"), "2026-03-05T18:10:00.000Z");
        assert_eq!(Schedule::parse("*/5 * * * *", None).unwrap().describe(), "At every 5 minutes (UTC)");
    }

    #[test]
    fn weekdays_and_days_are_those_of_posix() {
        for sunday in ["0", "7", "SUN"] {
            assert_eq!(after(&format!("0 0 * * {sunday}"), None, "2026-03-05T00:00:00Z"), "2026-03-08T00:00:00.000Z");
        }
        assert_eq!(after("0 0 1 * FRI", None, "2026-03-05T00:00:00Z"), "2026-03-06T00:00:00.000Z");
        assert_eq!(after("0 0 29 2 *", None, "2026-03-05T00:00:00Z"), "2028-02-29T00:00:00.000Z");
    }

    #[test]
    fn a_skipped_hour_is_made_up_and_a_repeated_one_runs_once() {
        let zone = Some("America/Chicago");
        // 2026-03-08: 02:00 becomes 03:00 there; 2026-11-01: 02:00 becomes 01:00.
        assert_eq!(after("30 2 * * *", zone, "2026-03-07T09:00:00Z"), "2026-03-08T08:00:00.000Z");
        assert_eq!(after("30 2 * * *", zone, "2026-03-08T08:00:00Z"), "2026-03-09T07:30:00.000Z");
        assert_eq!(after("30 1 * * *", zone, "2026-11-01T05:00:00Z"), "2026-11-01T06:30:00.000Z");
        assert_eq!(after("30 1 * * *", zone, "2026-11-01T06:30:00Z"), "2026-11-02T07:30:00.000Z");
        assert_eq!(after("*/30 * * * *", zone, "2026-11-01T06:30:00Z"), "2026-11-01T07:00:00.000Z");
        assert!(Schedule::parse("0 2 * * *", zone).unwrap().describe().ends_with("(America/Chicago)"));
    }

    #[test]
    fn a_schedule_that_cannot_run_is_refused() {
        for (bad, part) in [
            ("0 0 31 2 *", "never occurs"),
            ("0 0 30 2 *", "never occurs"),
            ("", "has 0 fields"),
            ("* * * *", "has 4 fields"),
            ("0 * * * * *", "has 6 fields"),
            ("@daily", "has 1 fields"),
            ("61 * * * *", "is not a cron expression"),
            ("a b c d e", "is not a cron expression"),
            ("*/0 * * * *", "is not a cron expression"),
        ] {
            let error = Schedule::parse(bad, None).unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
        assert!(Schedule::parse("* * * * *", Some("Mars/Base")).unwrap_err().contains("is not a time zone"));
    }

    #[test]
    fn the_end_of_the_calendar_has_no_next_run() {
        assert_eq!(Schedule::parse("* * * * *", None).unwrap().next_after(Timestamp(i64::MAX)), None);
    }
}
