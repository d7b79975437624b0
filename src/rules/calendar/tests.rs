#![allow(clippy::unwrap_used)]

use super::*;
use jiff::civil::date;
use proptest::prelude::*;

const FEDERAL: &str = include_str!("../../../examples/mainframe/calendars/us-federal.txt");

fn federal() -> Calendar {
    Calendar::parse(FEDERAL).unwrap()
}

/// The nth such weekday of a month; -1 = the last.
fn nth(year: i16, month: i8, weekday: Weekday, nth: i8) -> Date {
    Date::new(year, month, 1).unwrap().nth_weekday_of_month(nth, weekday).unwrap()
}

/// The days that 5 U.S.C. 6103(a) names, and the days on which they are observed.
fn statutory(year: i16) -> Vec<(Date, String)> {
    let days = [
        (date(year, 1, 1), "New Year's Day"),
        (nth(year, 1, Weekday::Monday, 3), "Birthday of Martin Luther King, Jr."),
        (nth(year, 2, Weekday::Monday, 3), "Washington's Birthday"),
        (nth(year, 5, Weekday::Monday, -1), "Memorial Day"),
        (date(year, 6, 19), "Juneteenth National Independence Day"),
        (date(year, 7, 4), "Independence Day"),
        (nth(year, 9, Weekday::Monday, 1), "Labor Day"),
        (nth(year, 10, Weekday::Monday, 2), "Columbus Day"),
        (date(year, 11, 11), "Veterans Day"),
        (nth(year, 11, Weekday::Thursday, 4), "Thanksgiving Day"),
        (date(year, 12, 25), "Christmas Day"),
    ];
    let observed = |(day, name): (Date, &str)| match day.weekday() {
        Weekday::Saturday => (day.yesterday().unwrap(), format!("{name}, observed")),
        Weekday::Sunday => (day.tomorrow().unwrap(), format!("{name}, observed")),
        _ => (day, name.to_owned()),
    };
    days.into_iter().map(observed).collect()
}

#[test]
fn the_federal_calendar_has_the_days_of_the_statute_and_no_others() {
    let mut days: Vec<(Date, String)> = (2025..=2031).flat_map(statutory).collect();
    days.retain(|(day, _)| day.year() <= 2030);
    days.sort();
    let listed: Vec<(Date, String)> = federal().holidays().map(|(day, name)| (day, name.to_owned())).collect();
    assert_eq!(listed, days);
    // As the Office of Personnel Management publishes them.
    let is = |day| federal().is_business_day(day);
    for holiday in [date(2025, 1, 20), date(2026, 7, 3), date(2027, 7, 5), date(2027, 12, 24), date(2027, 12, 31)] {
        assert_eq!(is(holiday), Ok(false), "{holiday}");
    }
    assert_eq!(is(date(2026, 7, 2)), Ok(true));
}

#[test]
fn a_year_that_is_not_covered_is_refused_and_not_taken_for_one_without_holidays() {
    let calendar = federal();
    let error = calendar.is_business_day(date(2031, 1, 1)).unwrap_err();
    assert_eq!(error, Uncovered { year: 2031, first: 2025, last: 2030 });
    assert!(error.to_string().contains("does not cover 2031 (only 2025 to 2030)"));
    assert!(calendar.next(date(2030, 12, 31)).is_err());
    assert!(calendar.previous(date(2025, 1, 2)).is_err());
    assert!(calendar.nth_business_day(2024, 12, 1).is_err());
    assert!(calendar.next(Date::MAX).is_err());
}

#[test]
fn the_end_of_a_calendar_is_told_sixty_days_before() {
    let calendar = federal();
    assert_eq!(calendar.expires(date(2030, 11, 1)), Some(60));
    assert_eq!(calendar.expires(date(2030, 10, 31)), None);
    assert_eq!(calendar.expires(date(2031, 1, 2)), Some(-2));
}

#[test]
fn business_days_are_found_forward_backward_and_within_a_month() {
    let calendar = federal();
    assert_eq!(calendar.next(date(2025, 11, 26)), Ok(date(2025, 11, 28)));
    assert_eq!(calendar.next(date(2026, 7, 2)), Ok(date(2026, 7, 6)));
    assert_eq!(calendar.previous(date(2026, 1, 2)), Ok(date(2025, 12, 31)));
    assert_eq!(calendar.nth_business_day(2026, 1, 1), Ok(Some(date(2026, 1, 2))));
    assert_eq!(calendar.nth_business_day(2026, 5, -1), Ok(Some(date(2026, 5, 29))));
    assert_eq!(calendar.nth_business_day(2026, 5, -2), Ok(Some(date(2026, 5, 28))));
    assert_eq!(calendar.nth_business_day(2026, 5, 5), Ok(Some(date(2026, 5, 7))));
    for (month, nth) in [(5, 22), (5, 0), (5, -22), (13, 1)] {
        assert_eq!(calendar.nth_business_day(2026, month, nth), Ok(None), "{month} {nth}");
    }
}

#[test]
fn weekends_and_extra_working_days_are_what_the_file_says() {
    let text =
        "covers 2026 # one year\nweekend fri, SATURDAY\n2026-03-03\tA day, with a comma\nworking 2026-03-06 Worked\n";
    let calendar = Calendar::parse(text).unwrap();
    let is = |day: i8| calendar.is_business_day(date(2026, 3, day)).unwrap();
    assert_eq!((1..=8).map(is).collect::<Vec<_>>(), [true, true, false, true, true, true, false, true]);
    assert_eq!(calendar.holidays().collect::<Vec<_>>(), [(date(2026, 3, 3), "A day, with a comma")]);
    assert_eq!(calendar.years(), (2026, 2026));
}

#[test]
fn both_forms_say_the_same() {
    let yaml = "covers: 2025-2026\nweekend: [saturday, sunday]\nholidays: {2025-12-25: Christmas Day}\nworking: {2025-12-27: x}\n";
    let file: CalendarFile = serde_saphyr::from_str(yaml).unwrap();
    let plain = Calendar::parse("covers 2025-2026\n2025-12-25 Christmas Day\nworking 2025-12-27 x").unwrap();
    assert_eq!(Calendar::from_file(&file), Ok(plain));
    assert!(serde_saphyr::from_str::<CalendarFile>("covers: 2025\nholiday: {}\n").is_err());
}

#[test]
fn a_mistake_is_told_with_its_line() {
    for (text, part) in [
        ("2025-12-25 Christmas", "does not say which years"),
        ("covers 2025\n\n2025-13-01 x", "line 3: `2025-13-01` is not a date"),
        ("covers 2025\n2025-1-01 x", "line 2: `2025-1-01` is not a date"),
        ("covers 2025\ncover 2026", "line 2: `cover` is not known here: did you mean `covers`?"),
        ("covers 2025\ncovers 2026", "line 2: a second `covers`"),
        ("covers 2025-2020", "line 1: `2025-2020` is not a range"),
        ("covers 25", "line 1: `25` is not a range"),
        ("covers 2025\nweekend sat sundy", "line 2: `sundy` is not a day of the week: did you mean `sunday`?"),
        ("covers 2025\n2025-12-25 a\n2025-12-25 b", "line 3: 2025-12-25 stands there twice"),
        ("covers 2025\n2026-12-25 a", "2026-12-25 is in none of the years"),
        ("covers 2025\n2025-12-27 a\nworking 2025-12-27 b", "both a holiday and a working day"),
        ("covers 2025\nweekend mon tue wed thu fri sat sun", "2025-01 has no business day at all"),
    ] {
        let error = Calendar::parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn next_and_previous_undo_each_other(offset in 10_i32..2150) {
        let calendar = federal();
        let from = date(2025, 1, 1).checked_add(jiff::Span::new().days(offset)).unwrap();
        let next = calendar.next(from).unwrap();
        prop_assert!(next > from && calendar.is_business_day(next).unwrap());
        if calendar.is_business_day(from).unwrap() {
            prop_assert_eq!(calendar.previous(next).unwrap(), from);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(covers|weekend|working|[-0-9 a-z#\n]){0,12}") {
        let _ = Calendar::parse(&text);
    }
}
