//! Whether the wall clock can be believed, and what may be deleted by age.
//!
//! Order never comes from time, so a wrong clock costs no event its place. What it can cost is history (everything looks
//! old) and connections (every certificate looks expired, or not valid yet).
//!
//! A clock is held against what is known beside it. What it shows itself proves nothing: what was recorded while it was
//! wrong would vouch for it. So whoever answers elsewhere has the last word, and without anybody it is time: a wrong clock
//! that runs on for days is believed in the end, because nothing may wait for ever.

use std::fmt;
use std::time::Duration;

use crate::clock::{Timestamp, Voucher};

const DAY: Duration = Duration::from_secs(86_400);
/// A clock may be set back by so much without being doubted.
pub const LEEWAY: Duration = Duration::from_secs(5 * 60);
/// A clock that shows a time so long after it was last believed (the agent was off, or it is wrong) deletes nothing by age
/// until it is confirmed.
pub const FAR: Duration = Duration::from_secs(30 * 86_400);
/// The same where it was never believed yet: so long after the program was built. Programs are installed months old.
pub const FAR_FROM_BUILD: Duration = Duration::from_secs(365 * 86_400);
/// A clock that has run on for so long since it was first found odd is believed.
pub const SETTLED: Duration = Duration::from_secs(3 * 86_400);

/// What is known of the time beside the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// When the program was built.
    pub built: Timestamp,
    /// The latest time that was recorded lately and not overruled since.
    pub last: Option<Timestamp>,
    /// What the clock showed when it was last believed.
    pub believed: Option<Timestamp>,
    /// What it showed when it was first found odd, if it was at the last look.
    pub odd_since: Option<Timestamp>,
    /// Whose clock shows the same.
    pub vouched: Option<Voucher>,
}

/// Why the clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It shows a time before this program was built.
    BeforeBuild {
        /// What it shows.
        now: Timestamp,
        /// When the program was built.
        built: Timestamp,
    },
    /// It shows a time before what is recorded already.
    BeforeLast {
        /// What it shows.
        now: Timestamp,
        /// The latest time that is recorded.
        last: Timestamp,
    },
}

/// Whether another clock shows the same day: a target's clock need not be exact to show that ours is not years off.
pub fn agrees(now: Timestamp, other: Timestamp) -> bool {
    now.since(other).max(other.since(now)) <= DAY
}

/// Doubts the clock. One that is behind what was recorded deletes too little, never too much: any other clock that shows
/// the same is enough.
pub fn doubt(now: Timestamp, known: &Known) -> Option<Doubt> {
    if now < known.built {
        return Some(Doubt::BeforeBuild { now, built: known.built });
    }
    if known.vouched.is_some() || has_settled(now, known) {
        return None;
    }
    let last = known.last.filter(|last| now.plus(LEEWAY) < *last)?;
    Some(Doubt::BeforeLast { now, last })
}

/// Whether the clock is so far ahead of all that is known that it needs somebody to confirm it. One on this machine shows
/// the same wrong time.
pub fn is_far_ahead(now: Timestamp, known: &Known) -> bool {
    let latest = match known.believed {
        Some(believed) => believed.max(known.built).plus(FAR),
        None => known.built.plus(FAR_FROM_BUILD),
    };
    now > latest && known.vouched != Some(Voucher::Elsewhere) && !has_settled(now, known)
}

/// It has run on from where it was first found odd, and did not jump since.
fn has_settled(now: Timestamp, known: &Known) -> bool {
    known.odd_since.is_some_and(|since| (SETTLED..=FAR).contains(&now.since(since)))
}

/// What is to be noted of the clock, so that the next look knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// It is believed; `overrules` = what was recorded with a later time counts no more.
    Believed {
        /// Whether it does.
        overrules: bool,
    },
    /// It is odd, from now on.
    Odd,
}

/// What is to be noted; none = it is noted already, or was noted within a day.
pub fn to_note(now: Timestamp, known: &Known) -> Option<Note> {
    if doubt(now, known).is_some() || is_far_ahead(now, known) {
        // Where it has jumped meanwhile its days begin anew.
        let runs_on = known.odd_since.is_some_and(|since| since <= now && now.since(since) < SETTLED);
        return (!runs_on).then_some(Note::Odd);
    }
    let overrules = known.last.is_some_and(|last| now.plus(LEEWAY) < last);
    let fresh = known.believed.is_some_and(|believed| believed <= now && now.since(believed) < DAY);
    (overrules || !fresh || known.odd_since.is_some()).then_some(Note::Believed { overrules })
}

/// What is older than this may be deleted by age; none while the clock is not believed, or is far ahead. `steady` moves on
/// without jumps from the time at which the process started: a clock that is set forward while it runs makes nothing old
/// at once. A process that started with a clock from before the build follows the wall clock instead.
pub fn cutoff(now: Timestamp, steady: Timestamp, known: &Known, keep: Duration) -> Option<Timestamp> {
    if doubt(now, known).is_some() || is_far_ahead(now, known) {
        return None;
    }
    let believed = if steady < known.built { now } else { now.min(steady) };
    Some(believed.minus(keep))
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::BeforeBuild { now, built } => {
                write!(f, "the clock shows {now}, but this program was built at {built}")
            }
            Doubt::BeforeLast { now, last } => {
                write!(f, "the clock shows {now}, but something was sent at {last} already")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: Timestamp = Timestamp(1_000_000_000_000);
    const WEEK: Duration = Duration::from_secs(7 * 86_400);
    const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    const FRESH: Known = Known { built: BUILT, last: None, believed: None, odd_since: None, vouched: None };

    fn known(more: impl FnOnce(&mut Known)) -> Known {
        let mut known = FRESH;
        more(&mut known);
        known
    }

    #[test]
    fn a_clock_before_the_build_or_more_than_five_minutes_before_the_last_line_is_doubted() {
        let at = |ms: i64| Timestamp(BUILT.0 + ms);
        let last = |ms: i64| known(|known| known.last = Some(at(ms)));
        assert!(matches!(doubt(at(-1), &FRESH), Some(Doubt::BeforeBuild { .. })));
        assert_eq!(doubt(at(0), &FRESH), None);
        assert_eq!(doubt(at(0), &last(300_000)), None);
        assert!(matches!(doubt(at(0), &last(300_001)), Some(Doubt::BeforeLast { .. })));
    }

    #[test]
    fn nothing_is_old_by_a_clock_that_is_doubted_or_was_just_set_forward() {
        let now = BUILT.plus(WEEK);
        let ahead = known(|known| known.last = Some(now.plus(WEEK)));
        assert_eq!(cutoff(BUILT.minus(WEEK), now, &FRESH, WEEK), None);
        assert_eq!(cutoff(now, now, &ahead, WEEK), None);
        assert_eq!(cutoff(now, now, &FRESH, WEEK), Some(now.minus(WEEK)));
        let month = now.plus(WEEK * 4);
        assert_eq!(cutoff(month, now, &FRESH, WEEK), Some(now.minus(WEEK)));
        // Started with a clock that had not been set yet: its own time says nothing.
        assert_eq!(cutoff(now, Timestamp(0), &FRESH, WEEK), Some(now.minus(WEEK)));
    }

    #[test]
    fn a_clock_far_ahead_of_all_that_is_known_deletes_nothing_until_somebody_elsewhere_shows_the_same() {
        let now = BUILT.plus(YEARS);
        let believed = known(|known| known.believed = Some(BUILT.plus(WEEK)));
        for mut known in [FRESH, believed] {
            assert!(is_far_ahead(now, &known) && cutoff(now, now, &known, WEEK).is_none());
            // What it has recorded itself since does not vouch for it, nor does a target on the same machine.
            known.last = Some(now);
            known.vouched = Some(Voucher::Here);
            assert_eq!(cutoff(now, now, &known, WEEK), None);
            known.vouched = Some(Voucher::Elsewhere);
            assert_eq!(cutoff(now, now, &known, WEEK), Some(now.minus(WEEK)));
        }
        // A program of last season on a new machine is nothing odd; nor is an agent that was off for some weeks.
        assert!(!is_far_ahead(BUILT.plus(WEEK * 40), &FRESH));
        assert!(!is_far_ahead(BUILT.plus(WEEK * 5), &believed) && is_far_ahead(BUILT.plus(WEEK * 6), &believed));
    }

    #[test]
    fn a_right_clock_after_a_wrong_one_is_believed_as_soon_as_anybody_shows_the_same_and_overrules_what_was_recorded() {
        let now = BUILT.plus(WEEK);
        let recorded = known(|known| (known.last, known.believed) = (Some(now.plus(YEARS)), Some(now.plus(YEARS))));
        assert!(doubt(now, &recorded).is_some());
        assert_eq!(to_note(now, &recorded), Some(Note::Odd));
        let vouched = Known { vouched: Some(Voucher::Here), ..recorded };
        assert_eq!(doubt(now, &vouched), None);
        assert_eq!(to_note(now, &vouched), Some(Note::Believed { overrules: true }));
        // No other clock overrules the build.
        assert!(doubt(BUILT.minus(WEEK), &vouched).is_some());
    }

    #[test]
    fn with_nobody_to_ask_an_odd_clock_is_believed_after_days_whichever_way_it_is_odd() {
        let now = BUILT.plus(WEEK);
        let behind = known(|known| known.last = Some(now.plus(YEARS)));
        let ahead = known(|known| known.believed = Some(now.minus(YEARS)));
        for (mut known, odd) in [(behind, now), (Known { built: now.minus(YEARS), ..ahead }, now)] {
            assert_eq!(to_note(odd, &known), Some(Note::Odd));
            known.odd_since = Some(odd);
            let day = |n: u32| odd.plus(DAY * n);
            assert_eq!((to_note(day(2), &known), cutoff(day(2), day(2), &known, WEEK)), (None, None));
            assert!(cutoff(day(3), day(3), &known, WEEK).is_some());
            assert!(matches!(to_note(day(3), &known), Some(Note::Believed { .. })));
            // One that jumps begins anew.
            assert_eq!(to_note(odd.minus(DAY), &known), Some(Note::Odd));
            assert_eq!(to_note(odd.plus(FAR).plus(DAY), &known), Some(Note::Odd));
        }
    }

    #[test]
    fn a_clock_that_is_believed_is_noted_once_a_day() {
        let now = BUILT.plus(WEEK);
        assert_eq!(to_note(now, &FRESH), Some(Note::Believed { overrules: false }));
        let noted = known(|known| known.believed = Some(now));
        assert_eq!((to_note(now, &noted), to_note(now.plus(DAY / 2), &noted)), (None, None));
        assert_eq!(to_note(now.plus(DAY), &noted), Some(Note::Believed { overrules: false }));
        assert_eq!(to_note(now, &Known { odd_since: Some(now), ..noted }), Some(Note::Believed { overrules: false }));
    }

    #[test]
    fn another_clock_agrees_within_a_day() {
        assert!(agrees(BUILT, BUILT.plus(DAY)) && agrees(BUILT.plus(DAY), BUILT));
        assert!(!agrees(BUILT, BUILT.plus(DAY * 2)) && !agrees(BUILT.plus(DAY * 2), BUILT));
    }
}
