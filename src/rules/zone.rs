//! Time zones by their IANA names.
//!
//! Their rules are those in the program, whatever the machine has: the same times everywhere, and none that are stale
//! because a machine is never updated. Other rules are given as a database of their own.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::clock::Timestamp;
use crate::rules::nearest::hint;

/// The time zone of that name; none = UTC. The error says what was probably meant.
pub fn find(name: Option<&str>) -> Result<TimeZone, String> {
    static BUILT_IN: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    find_in(&BUILT_IN, name)
}

/// The same by the rules of another database.
pub fn find_in(database: &TimeZoneDatabase, name: Option<&str>) -> Result<TimeZone, String> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    database.get(name).map_err(|_| {
        let known: Vec<String> = database.available().map(|known| known.to_string()).collect();
        format!("`{name}` is not a time zone{}", hint(name, known.iter().map(String::as_str)))
    })
}

/// The first moment at which a clock in that zone shows `local` or later: in an hour that comes twice the first, for one
/// that is skipped the end of the gap. Thus a later local time is never an earlier moment. None beyond the years that
/// can be calculated with.
pub fn first_instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let moment = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(local).ok()?
        }
        AmbiguousOffset::Gap { after, .. } => {
            // By the offset after the gap it would have been before it.
            zone.following(after.to_timestamp(local).ok()?).next()?.timestamp()
        }
    };
    Some(Timestamp::from_jiff(moment))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn a_skipped_time_is_the_end_of_the_gap_and_a_repeated_one_its_first() {
        for (zone, local, first) in [
            ("America/Chicago", "2026-03-08T02:30", "2026-03-08T08:00:00.000Z"),
            ("America/Chicago", "2026-03-08T01:59", "2026-03-08T07:59:00.000Z"),
            ("America/Chicago", "2026-11-01T01:30", "2026-11-01T06:30:00.000Z"),
            ("America/Chicago", "2026-11-01T02:00", "2026-11-01T08:00:00.000Z"),
            ("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00:00.000Z"),
            ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30:00.000Z"),
            // The day that Samoa left out.
            ("Pacific/Apia", "2011-12-30T18:00", "2011-12-30T10:00:00.000Z"),
            ("Asia/Kolkata", "2026-03-08T02:30", "2026-03-07T21:00:00.000Z"),
        ] {
            let zone = super::find(Some(zone)).unwrap();
            assert_eq!(super::first_instant(&zone, local.parse().unwrap()).unwrap().to_string(), first, "{local}");
        }
    }

    #[test]
    fn a_zone_is_found_by_name_and_a_slip_is_explained() {
        assert_eq!(super::find(None), Ok(jiff::tz::TimeZone::UTC));
        assert!(super::find(Some("America/Chicago")).is_ok());
        let error = "`Europe/Berln` is not a time zone: did you mean `Europe/Berlin`?".to_owned();
        assert_eq!(super::find(Some("Europe/Berln")), Err(error));
    }
}
