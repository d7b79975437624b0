//! When a connector delivers: at once, or at the times of a schedule.

use super::optional;
use crate::config::fields::Fields;
use crate::engine::connector::Pace;
use crate::rules::schedule::Schedule;
use crate::rules::zone;

/// `mode: batch` without a schedule.
const HOURLY: &str = "0 * * * *";

/// `mode`, `schedule` and `timezone`; none = one of them is wrong.
pub(super) fn pace(fields: &Fields<'_>) -> Option<Pace> {
    let batch = fields.take("mode").map_or(Some(None), |found| {
        found.choice("mode", &[("stream", false), ("batch", true)]).map(|batch| Some((batch, found)))
    });
    let zone = fields.take("timezone");
    let known_zone = optional(zone.clone(), |found| {
        let name = found.text()?;
        if zone::find(Some(name)).is_err() {
            found.error_hint(format!("there is no time zone `{name}`"), "write an IANA name such as America/New_York");
            return None;
        }
        Some(name.to_owned())
    });
    let schedule = optional(fields.take("schedule"), |found| {
        // With a zone that does not exist the expression is still checked.
        let zone = known_zone.as_ref().and_then(|zone| zone.as_deref());
        Schedule::parse(found.text()?, zone).map_err(|message| found.error(message)).ok()
    });
    let zone_name = known_zone?;
    match (batch?, schedule?) {
        (Some((false, mode)), Some(schedule)) => {
            mode.warn(
                "`stream` has no effect beside `schedule`: it runs at its times",
                Some("leave one of the two out"),
            );
            Some(Pace::Schedule(schedule))
        }
        (_, Some(schedule)) => Some(Pace::Schedule(schedule)),
        (Some((true, mode)), None) => Schedule::parse(HOURLY, zone_name.as_deref())
            .map(Pace::Schedule)
            .map_err(|message| mode.error(message))
            .ok(),
        (_, None) => {
            if let Some(zone) = zone {
                zone.warn("has no effect without a `schedule`", None);
            }
            Some(Pace::Stream)
        }
    }
}
