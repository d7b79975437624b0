#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use jiff::civil::date;
use proptest::prelude::*;

const ZONES: [&str; 5] = ["America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"];
const FEDERAL: &str = include_str!("../../../examples/mainframe/calendars/us-federal.txt");
const HOUR: i64 = 3_600_000;

fn zone(name: &str) -> TimeZone {
    crate::rules::zone::find(Some(name)).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_jiff(text.parse().unwrap())
}

fn federal(times: &[&str], days: Option<&str>) -> CutOffs {
    CutOffs::new(times, zone("America/Chicago"), days, Some(Calendar::parse(FEDERAL).unwrap())).unwrap()
}

/// The business date of a moment.
fn of(cutoffs: &CutOffs, moment: &str) -> String {
    cutoffs.of(at(moment)).unwrap().slot.to_string()
}

/// The moments of the next cuts after one.
fn moments(cutoffs: &CutOffs, from: &str, count: usize) -> Vec<String> {
    let mut cut = cutoffs.of(at(from)).unwrap();
    let mut moments = Vec::new();
    for _ in 0..count {
        moments.push(format!("{} {}", cut.slot, cut.at));
        cut = cutoffs.after(cut.slot).unwrap();
    }
    moments
}

#[test]
fn a_change_at_the_cut_off_belongs_to_the_next_business_date() {
    let cutoffs = federal(&["18:00"], None);
    // Thursday 2026-03-05, 18:00 in Chicago is midnight in UTC.
    assert_eq!(of(&cutoffs, "2026-03-05T23:59:59.999Z"), "2026-03-05");
    assert_eq!(of(&cutoffs, "2026-03-06T00:00:00Z"), "2026-03-06");
    // Friday evening and the weekend go to Monday; the eve of Independence Day to the Monday after it.
    assert_eq!(of(&cutoffs, "2026-03-07T01:00:00Z"), "2026-03-09");
    assert_eq!(of(&cutoffs, "2026-03-08T20:00:00Z"), "2026-03-09");
    assert_eq!(of(&cutoffs, "2026-07-02T23:30:00Z"), "2026-07-06");
}

#[test]
fn a_cut_off_in_a_skipped_hour_is_at_its_end_and_in_a_doubled_one_at_the_first() {
    let chicago = CutOffs::new(&["02:30"], zone("America/Chicago"), None, None).unwrap();
    assert_eq!(
        moments(&chicago, "2026-03-07T12:00:00Z", 2),
        ["2026-03-08 2026-03-08T08:00:00.000Z", "2026-03-09 2026-03-09T07:30:00.000Z"]
    );
    let chicago = CutOffs::new(&["01:30"], zone("America/Chicago"), None, None).unwrap();
    assert_eq!(
        moments(&chicago, "2026-10-31T12:00:00Z", 2),
        ["2026-11-01 2026-11-01T06:30:00.000Z", "2026-11-02 2026-11-02T07:30:00.000Z"]
    );
    // The second half past one of that night is after the cut.
    assert_eq!(of(&chicago, "2026-11-01T07:30:00Z"), "2026-11-02");
}

#[test]
fn a_day_that_a_zone_left_out_is_cut_when_it_would_have_begun() {
    let apia = CutOffs::new(&["00:00", "18:00"], zone("Pacific/Apia"), None, None).unwrap();
    assert_eq!(
        moments(&apia, "2011-12-29T12:00:00Z", 5),
        [
            "2011-12-29 (2) 2011-12-30T04:00:00.000Z",
            "2011-12-30 2011-12-30T10:00:00.000Z",
            "2011-12-30 (2) 2011-12-30T10:00:00.000Z",
            "2011-12-31 2011-12-30T10:00:00.000Z",
            "2011-12-31 (2) 2011-12-31T04:00:00.000Z",
        ]
    );
    // All that could be changed on the day which was not are those before its beginning.
    assert_eq!(of(&apia, "2011-12-30T09:59:59.999Z"), "2011-12-30");
    assert_eq!(of(&apia, "2011-12-30T10:00:00Z"), "2011-12-31 (2)");
}

#[test]
fn a_drop_is_cut_several_times_a_day_once_a_week_or_once_a_month() {
    let twice = federal(&["12:00", "18:00"], None);
    assert_eq!(twice.per_date(), 2);
    assert_eq!(of(&twice, "2026-03-05T17:00:00Z"), "2026-03-05");
    assert_eq!(of(&twice, "2026-03-05T18:00:00Z"), "2026-03-05 (2)");
    let dates = |days, from| {
        let moments = moments(&federal(&["18:00"], Some(days)), from, 4);
        moments.iter().map(|moment| moment[..10].to_owned()).collect::<Vec<_>>()
    };
    let june = "2026-06-09T00:00:00Z";
    // Friday the 19th is a holiday.
    assert_eq!(dates("weekly friday", june), ["2026-06-12", "2026-06-22", "2026-06-26", "2026-07-06"]);
    assert_eq!(dates("monthly first", june), ["2026-07-01", "2026-08-03", "2026-09-01", "2026-10-01"]);
    assert_eq!(dates("monthly last", june), ["2026-06-30", "2026-07-31", "2026-08-31", "2026-09-30"]);
    assert_eq!(dates("monthly -2", june), ["2026-06-29", "2026-07-30", "2026-08-28", "2026-09-29"]);
    assert_eq!(dates("monthly 5", june), ["2026-07-08", "2026-08-07", "2026-09-08", "2026-10-07"]);
    // 00:00 in UTC is 19:00 of the day before there, which is after its cut-off.
    assert_eq!(dates("every", june), ["2026-06-09", "2026-06-10", "2026-06-11", "2026-06-12"]);
    let plain = CutOffs::new(&["18:00"], TimeZone::UTC, Some("weekly friday"), None).unwrap();
    assert_eq!(of(&plain, "2026-06-16T00:00:00Z"), "2026-06-19");
}

#[test]
fn what_a_cut_could_not_see_goes_into_the_next_one() {
    let cutoffs = federal(&["18:00"], None);
    let friday = cutoffs.of(at("2026-03-06T12:00:00Z")).unwrap();
    // Thursday's cut was made; this change of Thursday was committed after it.
    assert_eq!(cutoffs.belonging(at("2026-03-05T12:00:00Z"), friday), Ok(friday));
    assert_eq!(cutoffs.belonging(at("2026-03-06T12:00:00Z"), friday), Ok(friday));
    let later = cutoffs.belonging(at("2026-03-07T00:00:00Z"), friday).unwrap();
    assert_eq!(later.slot.to_string(), "2026-03-09");
    assert_eq!(cutoffs.belonging(Timestamp(0), friday), Ok(friday));
}

#[test]
fn missed_cuts_are_made_up_oldest_first_or_in_one_file() {
    let cutoffs = federal(&["18:00"], None);
    let first = cutoffs.of(at("2026-03-05T12:00:00Z")).unwrap();
    let due = |now: &str, missed, limit| {
        let due = cutoffs.due(first, at(now), missed, limit).unwrap();
        let dates: Vec<String> = due.cuts.iter().map(|cut| cut.slot.to_string()).collect();
        (dates.join(" "), due.merged, due.more)
    };
    let (each, merge) = (Missed::OneFilePerBusinessDate, Missed::Merge);
    let tuesday = "2026-03-11T03:00:00Z";
    assert_eq!(due("2026-03-05T23:59:59Z", each, 9), (String::new(), 1, false));
    assert_eq!(due("2026-03-06T00:00:00Z", each, 9), ("2026-03-05".to_owned(), 1, false));
    assert_eq!(due(tuesday, each, 9), ("2026-03-05 2026-03-06 2026-03-09 2026-03-10".to_owned(), 1, false));
    assert_eq!(due(tuesday, each, 2), ("2026-03-05 2026-03-06".to_owned(), 1, true));
    assert_eq!(due(tuesday, each, 4), ("2026-03-05 2026-03-06 2026-03-09 2026-03-10".to_owned(), 1, false));
    assert_eq!(due(tuesday, merge, 2), ("2026-03-10".to_owned(), 4, false));
    assert_eq!(due("2026-03-05T00:00:00Z", merge, 2), (String::new(), 1, false));
}

#[test]
fn where_the_calendar_ends_nothing_is_scheduled_and_nothing_before_is_lost() {
    let cutoffs = federal(&["18:00"], None);
    let first = cutoffs.of(at("2030-12-30T12:00:00Z")).unwrap();
    let due = cutoffs.due(first, at("2031-02-01T00:00:00Z"), Missed::default(), CATCH_UP).unwrap();
    assert_eq!(due.cuts.len(), 2);
    let error = cutoffs.after(due.cuts[1].slot).unwrap_err();
    assert!(matches!(error, NoCut::Uncovered(Uncovered { year: 2031, .. })));
    assert!(cutoffs.of(at("2031-02-01T00:00:00Z")).unwrap_err().to_string().contains("does not cover 2031"));
    let text = "covers 2025-2030\nweekend mon tue wed thu fri";
    let weekends = Calendar::parse(text).unwrap();
    let never = CutOffs::new(&["18:00"], TimeZone::UTC, Some("monthly 12"), Some(weekends)).unwrap();
    assert_eq!(never.of(at("2026-01-05T00:00:00Z")), Err(NoCut::Never));
}

#[test]
fn a_mistake_in_the_cut_offs_is_told() {
    let no = |times: &[&str], days| CutOffs::new(times, TimeZone::UTC, days, None).unwrap_err();
    assert!(no(&[], None).contains("no cut-off time"));
    for bad in ["18", "18:0", "24:00", "6:00", "18:00:00:00", "18:60", "+8:00", "18.00", ""] {
        assert!(no(&[bad], None).contains("is not a time of day"), "{bad}");
    }
    assert!(no(&["18:00", "12:00"], None).contains("must ascend"));
    assert!(no(&["18:00", "18:00"], None).contains("must ascend"));
    for (days, part) in [
        ("business", "needs a calendar"),
        ("monthly last", "needs a calendar"),
        ("monthly 0", "write `monthly first`"),
        ("monthly 24", "write `monthly first`"),
        ("weekly", "write `every`"),
        ("weekly frday", "did you mean `friday`?"),
        ("busines", "did you mean `business`?"),
        ("", "write `every`"),
    ] {
        assert!(no(&["18:00"], Some(days)).contains(part), "{days}");
    }
    assert_eq!(Missed::parse("merge"), Ok(Missed::Merge));
    assert_eq!(Missed::parse("one_file_per_business_date"), Ok(Missed::OneFilePerBusinessDate));
    assert!(Missed::parse("skip").is_err());
}

#[test]
fn a_clock_that_was_set_by_more_than_a_day_is_seen() {
    let reading = |wall: i64, steady: Option<i64>| Reading {
        wall: Timestamp(wall * HOUR),
        steady: steady.map(|hours| Timestamp(hours * HOUR)),
    };
    let before = reading(1000, Some(0));
    assert_eq!(jump(before, reading(1030, Some(30))), None);
    assert_eq!(jump(before, reading(1024, Some(0))), None);
    assert_eq!(jump(before, reading(1025, Some(0))), Some(Jump::Forward(Duration::from_secs(25 * 3600))));
    assert_eq!(jump(before, reading(976, Some(0))), None);
    assert_eq!(jump(before, reading(1000, Some(25))), Some(Jump::Back(Duration::from_secs(25 * 3600))));
    // Across a restart.
    assert_eq!(jump(reading(1000, None), reading(9000, Some(0))), None);
    assert_eq!(jump(reading(1000, None), reading(975, Some(0))), Some(Jump::Back(Duration::from_secs(25 * 3600))));
}

#[test]
fn the_date_follows_the_order_of_commits_and_the_future_is_not_believed() {
    let mut newest = Newest::default();
    let passed: Vec<i64> = [(10, 11), (8, 12), (15, 16), (9999, 17), (16, 18)]
        .map(|(at, seen)| newest.pass(Timestamp(at), Timestamp(seen)).0)
        .into();
    assert_eq!(passed, [10, 10, 15, 17, 17]);
}

#[test]
fn a_window_may_contain_midnight() {
    let window = Window::parse("20:00-04:00", zone("America/Chicago")).unwrap();
    let opens = |now: &str| window.opens(at(now)).unwrap().to_string();
    // 20:00 there is 02:00 in UTC.
    assert_eq!(opens("2026-03-05T12:00:00Z"), "2026-03-06T02:00:00.000Z");
    assert_eq!(opens("2026-03-06T02:00:00Z"), "2026-03-06T02:00:00.000Z");
    assert_eq!(opens("2026-03-06T09:59:59.999Z"), "2026-03-06T09:59:59.999Z");
    assert_eq!(opens("2026-03-06T10:00:00Z"), "2026-03-07T02:00:00.000Z");
    let day = Window::parse("09:00 - 17:00", TimeZone::UTC).unwrap();
    assert_eq!(day.opens(at("2026-03-05T16:59:59Z")), Some(at("2026-03-05T16:59:59Z")));
    assert_eq!(day.opens(at("2026-03-05T17:00:00Z")), Some(at("2026-03-06T09:00:00Z")));
    // One in the hour that is skipped has no moment on that day.
    let skipped = Window::parse("02:10-02:50", zone("America/Chicago")).unwrap();
    assert_eq!(skipped.opens(at("2026-03-08T00:00:00-06:00")), Some(at("2026-03-09T02:10:00-05:00")));
    for bad in ["20:00", "20:00-20:00", "20:00-4:00", "a-b"] {
        assert!(Window::parse(bad, TimeZone::UTC).is_err(), "{bad}");
    }
}

#[test]
fn a_deadline_is_the_first_such_time_after_the_cut() {
    let chicago = zone("America/Chicago");
    let by = |cut: &str, time: &str| deadline(at(cut), time_of_day(time).unwrap(), &chicago).unwrap().to_string();
    assert_eq!(by("2026-03-05T18:00:00-06:00", "05:00"), "2026-03-06T11:00:00.000Z");
    assert_eq!(by("2026-03-05T18:00:00-06:00", "23:00"), "2026-03-06T05:00:00.000Z");
    assert_eq!(by("2026-03-05T18:00:00-06:00", "18:00"), "2026-03-07T00:00:00.000Z");
    assert_eq!(by("2026-03-07T18:00:00-06:00", "02:30"), "2026-03-08T08:00:00.000Z");
}

#[test]
fn beyond_the_years_that_can_be_calculated_with_there_is_nothing() {
    let chicago = zone("America/Chicago");
    let cutoffs = CutOffs::new(&["18:00"], chicago.clone(), None, None).unwrap();
    let window = Window::parse("20:00-04:00", chicago.clone()).unwrap();
    let end = Timestamp(i64::MAX);
    assert_eq!(cutoffs.of(end), Err(NoCut::Never));
    assert_eq!(window.opens(end), None);
    assert_eq!(deadline(end, time_of_day("05:00").unwrap(), &chicago), None);
    assert_eq!(cutoffs.of(Timestamp(i64::MIN)), Err(NoCut::Never));
}

/// Cut-offs that are likely to meet a change of clocks.
fn cutoffs() -> impl Strategy<Value = CutOffs> {
    let time = prop_oneof![
        Just("00:00".to_owned()),
        Just("02:30".to_owned()),
        Just("23:59:59".to_owned()),
        (0_u8..24, 0_u8..60).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"))
    ];
    (proptest::collection::btree_set(time, 1..4), 0..ZONES.len()).prop_map(|(times, nth)| {
        let times: Vec<&str> = times.iter().map(String::as_str).collect();
        CutOffs::new(&times, zone(ZONES[nth]), Some("every"), None).unwrap()
    })
}

proptest! {
    #[test]
    fn every_moment_of_a_year_belongs_to_exactly_one_date_and_every_date_has_its_cuts(
        cutoffs in cutoffs(),
        year in 2005_i16..2038,
        offsets in proptest::collection::vec(0..365 * 24 * HOUR, 20),
    ) {
        // Samoa's year without a 30th of December often enough.
        let year = if year % 4 == 0 { 2011 } else { year };
        let start = Timestamp::from_jiff(date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp());
        let mut cuts = vec![cutoffs.of(start).unwrap()];
        while cuts.last().unwrap().at.0 <= start.0 + 366 * 24 * HOUR {
            cuts.push(cutoffs.after(cuts.last().unwrap().slot).unwrap());
        }
        for pair in cuts.windows(2) {
            prop_assert!(pair[0].slot < pair[1].slot && pair[0].at <= pair[1].at);
            let next_of_day = pair[1].slot == Slot { nth: pair[0].slot.nth + 1, ..pair[0].slot };
            let next_day = pair[1].slot == Slot { date: pair[0].slot.date.tomorrow().unwrap(), nth: 0 };
            prop_assert!(next_of_day || (next_day && pair[0].slot.nth + 1 == cutoffs.per_date()));
        }
        // The first moment at which the clock there shows the time or a later one.
        for cut in &cuts {
            let time = cut.slot.date.to_datetime(cutoffs.times[cut.slot.nth]);
            let shown = |moment: i64| Timestamp(moment).to_jiff().to_zoned(cutoffs.zone.clone()).datetime();
            prop_assert!(shown(cut.at.0) >= time);
            for before in [1, HOUR / 4, HOUR / 2, HOUR - 1, HOUR, 2 * HOUR] {
                prop_assert!(shown(cut.at.0 - before) < time);
            }
        }
        for offset in offsets {
            let moment = Timestamp(start.0 + offset);
            let place = cuts.partition_point(|cut| cut.at <= moment);
            prop_assert_eq!(cutoffs.of(moment).unwrap(), cuts[place]);
        }
    }

    #[test]
    fn every_date_is_cut_once_and_in_order_whatever_the_clock_does(
        cutoffs in cutoffs(),
        begin in 1_104_537_600_000_i64..2_145_916_800_000,
        steps in proptest::collection::vec(-60 * HOUR..100 * HOUR, 1..60),
        limit in 1_usize..5,
    ) {
        let mut now = begin;
        let mut first = cutoffs.of(Timestamp(begin)).unwrap();
        let mut made: Vec<Cut> = Vec::new();
        let mut highest = begin;
        for step in steps {
            now += step;
            highest = highest.max(now);
            let due = cutoffs.due(first, Timestamp(now), Missed::default(), limit).unwrap();
            prop_assert!(due.cuts.len() <= limit && due.cuts.iter().all(|cut| cut.at.0 <= now));
            made.extend(&due.cuts);
            if let Some(last) = made.last() {
                first = cutoffs.after(last.slot).unwrap();
            }
        }
        made.extend(cutoffs.due(first, Timestamp(highest), Missed::default(), usize::MAX).unwrap().cuts);
        let mut expected = vec![cutoffs.of(Timestamp(begin)).unwrap()];
        while expected.last().unwrap().at.0 <= highest {
            expected.push(cutoffs.after(expected.last().unwrap().slot).unwrap());
        }
        expected.pop();
        prop_assert_eq!(made, expected);
    }

    #[test]
    fn a_business_date_never_goes_back(
        moments in proptest::collection::vec((1_750_000_000_000_i64..1_760_000_000_000, 0..HOUR), 1..30),
    ) {
        let cutoffs = federal(&["12:00", "18:00"], None);
        let (mut newest, mut last) = (Newest::default(), None);
        for (at, delay) in moments {
            let counts = newest.pass(Timestamp(at), Timestamp(at + delay));
            let cut = cutoffs.of(counts).unwrap();
            prop_assert!(Some(cut.slot) >= last);
            // Also when the cut before was made already.
            let first = cutoffs.after(cut.slot).unwrap();
            prop_assert_eq!(cutoffs.belonging(counts, first).unwrap(), first);
            last = Some(cut.slot);
        }
    }
}
