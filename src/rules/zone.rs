//! Time zones by their IANA names.

use jiff::tz::TimeZone;

use crate::rules::nearest::hint;

/// The time zone of that name; none = UTC. The error says what was probably meant.
pub fn find(name: Option<&str>) -> Result<TimeZone, String> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    TimeZone::get(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|known| known.to_string()).collect();
        format!("`{name}` is not a time zone{}", hint(name, known.iter().map(String::as_str)))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_zone_is_found_by_name_and_a_slip_is_explained() {
        assert_eq!(super::find(None), Ok(jiff::tz::TimeZone::UTC));
        assert!(super::find(Some("America/Chicago")).is_ok());
        let error = "`Europe/Berln` is not a time zone: did you mean `Europe/Berlin`?".to_owned();
        assert_eq!(super::find(Some("Europe/Berln")), Err(error));
    }
}
